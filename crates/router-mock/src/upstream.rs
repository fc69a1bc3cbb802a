//! One named upstream: its behaviour, its script, its counters, and what it received.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use http::{HeaderMap, header};

use crate::{behaviour::Behaviour, dice, fault::Fault};

/// How many requests an upstream remembers; older ones are forgotten.
const RECORDED: usize = 1_000;

/// A handle to one named upstream; clones share it.
#[derive(Clone)]
pub struct Upstream(Arc<Shared>);

struct Shared {
    name: String,
    server_url: String,
    seed: u64,
    plan: Mutex<Plan>,
    /// `None` while recording is off.
    requests: Mutex<Option<VecDeque<RecordedRequest>>>,
    calls: AtomicU64,
    rolls: AtomicU64,
    open: AtomicU64,
    aborted: AtomicU64,
}

struct Plan {
    standing: Arc<Behaviour>,
    script: VecDeque<Behaviour>,
}

impl Upstream {
    fn new(name: &str, server_url: &str) -> Self {
        Self(Arc::new(Shared {
            name: name.to_owned(),
            server_url: server_url.to_owned(),
            seed: dice::seed_of(name),
            plan: Mutex::new(Plan { standing: Arc::default(), script: VecDeque::new() }),
            requests: Mutex::new(Some(VecDeque::new())),
            calls: AtomicU64::new(0),
            rolls: AtomicU64::new(0),
            open: AtomicU64::new(0),
            aborted: AtomicU64::new(0),
        }))
    }

    /// Returns the name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Returns the base URL for OpenAI clients, which append `/chat/completions`.
    pub fn openai_base(&self) -> String {
        format!("{}/{}/v1", self.0.server_url, self.0.name)
    }

    /// Returns the base URL for Anthropic clients, which append `/v1/messages`.
    pub fn anthropic_base(&self) -> String {
        format!("{}/{}", self.0.server_url, self.0.name)
    }

    /// Sets the standing behaviour. The script, if any, still goes first.
    pub fn set(&self, behaviour: impl Into<Behaviour>) {
        lock(&self.0.plan).standing = Arc::new(behaviour.into());
    }

    /// Adds to the script: one behaviour for one request, in the order they were added.
    pub fn enqueue(&self, behaviour: impl Into<Behaviour>) {
        lock(&self.0.plan).script.push_back(behaviour.into());
    }

    /// Returns the standing behaviour.
    pub fn behaviour(&self) -> Behaviour {
        lock(&self.0.plan).standing.as_ref().clone()
    }

    /// Returns how many scripted behaviours are still unused.
    pub fn queued(&self) -> usize {
        lock(&self.0.plan).script.len()
    }

    /// Returns the number of completion requests received.
    pub fn calls(&self) -> u64 {
        self.0.calls.load(Ordering::Acquire)
    }

    /// Returns the number of completion requests being answered right now.
    pub fn open(&self) -> u64 {
        self.0.open.load(Ordering::Acquire)
    }

    /// Returns the number of completion requests whose client left before the end of the reply.
    pub fn aborted(&self) -> u64 {
        self.0.aborted.load(Ordering::Acquire)
    }

    /// Returns the completion requests received, oldest first: the last 1,000 at most.
    pub fn requests(&self) -> Vec<RecordedRequest> {
        lock(&self.0.requests).iter().flatten().cloned().collect()
    }

    /// Turns recording on, as it is at the start, or off for benches; both forget what was recorded.
    pub fn record_requests(&self, record: bool) {
        *lock(&self.0.requests) = record.then(VecDeque::new);
    }

    /// Takes note of a request and says how to answer it.
    pub(crate) fn receive(&self, path: &str, headers: &HeaderMap, body: &Bytes) -> Turn {
        if let Some(requests) = lock(&self.0.requests).as_mut() {
            if requests.len() == RECORDED {
                requests.pop_front();
            }
            requests.push_back(RecordedRequest::new(path, headers, body));
        }
        let behaviour = {
            let mut plan = lock(&self.0.plan);
            match plan.script.pop_front() {
                Some(once) => Arc::new(once),
                None => Arc::clone(&plan.standing),
            }
        };
        let number = self.0.calls.fetch_add(1, Ordering::AcqRel);
        self.0.open.fetch_add(1, Ordering::AcqRel);
        Turn {
            fault: behaviour.fault.clone().filter(|_| self.is_unlucky(behaviour.fault_rate)),
            behaviour,
            seed: self.0.seed.wrapping_add(number),
            watch: Watch { upstream: self.clone(), finished: false },
        }
    }

    fn is_unlucky(&self, rate: f64) -> bool {
        // A rate of 1 needs no dice, so that scripted faults do not shift the sequence.
        rate >= 1.0 || {
            let roll = self.0.rolls.fetch_add(1, Ordering::AcqRel);
            dice::fraction(self.0.seed ^ dice::scramble(roll)) < rate
        }
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upstream")
            .field("name", &self.name())
            .field("calls", &self.calls())
            .field("open", &self.open())
            .field("aborted", &self.aborted())
            .finish_non_exhaustive()
    }
}

/// A completion request as it arrived.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RecordedRequest {
    /// The path, with the upstream's name and the query.
    pub path: String,
    /// The headers. Credentials are marked sensitive, so `Debug` does not show them.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl RecordedRequest {
    fn new(path: &str, headers: &HeaderMap, body: &Bytes) -> Self {
        let mut headers = headers.clone();
        for (name, value) in &mut headers {
            if *name == header::AUTHORIZATION || name.as_str().ends_with("api-key") {
                value.set_sensitive(true);
            }
        }
        Self { path: path.to_owned(), headers, body: body.clone() }
    }

    /// Returns the body as JSON.
    ///
    /// # Errors
    ///
    /// When the body is not valid JSON.
    pub fn json(&self) -> serde_json::Result<serde_json::Value> {
        serde_json::from_slice(&self.body)
    }
}

/// How to answer one request.
pub(crate) struct Turn {
    pub(crate) behaviour: Arc<Behaviour>,
    /// The behaviour's fault, if this request has it.
    pub(crate) fault: Option<Fault>,
    /// Distinguishes this request's made-up identifiers.
    pub(crate) seed: u64,
    pub(crate) watch: Watch,
}

/// Lives as long as the reply is being made; when dropped unfinished, the client has left.
pub(crate) struct Watch {
    upstream: Upstream,
    finished: bool,
}

impl Watch {
    pub(crate) fn upstream(&self) -> &Upstream {
        &self.upstream
    }

    /// Notes that everything meant to be sent was sent.
    pub(crate) fn finish(&mut self) {
        self.finished = true;
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let Shared { open, aborted, .. } = self.upstream.0.as_ref();
        if !self.finished {
            aborted.fetch_add(1, Ordering::AcqRel);
        }
        open.fetch_sub(1, Ordering::AcqRel);
    }
}

/// All upstreams of a server, created when first mentioned.
pub(crate) struct Upstreams {
    server_url: String,
    by_name: RwLock<BTreeMap<String, Upstream>>,
}

impl Upstreams {
    pub(crate) fn new(server_url: String) -> Self {
        Self { server_url, by_name: RwLock::default() }
    }

    pub(crate) fn server_url(&self) -> &str {
        &self.server_url
    }

    pub(crate) fn get(&self, name: &str) -> Upstream {
        let known = self.by_name.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
        known.unwrap_or_else(|| {
            let mut by_name = self.by_name.write().unwrap_or_else(PoisonError::into_inner);
            let created =
                by_name.entry(name.to_owned()).or_insert_with(|| Upstream::new(name, &self.server_url));
            created.clone()
        })
    }

    pub(crate) fn all(&self) -> Vec<Upstream> {
        let by_name = self.by_name.read().unwrap_or_else(PoisonError::into_inner);
        by_name.values().cloned().collect()
    }
}

/// Locks; what these locks guard is valid even if a holder panicked.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fates(name: &str, rate: f64) -> Vec<bool> {
        let upstream = Upstreams::new(String::new()).get(name);
        upstream.set(Behaviour::failing(Fault::Reset).with_fault_rate(rate));
        let receive = || upstream.receive("/", &HeaderMap::new(), &Bytes::new());
        (0..200).map(|_| receive().fault.is_some()).collect()
    }

    #[test]
    fn faults_come_at_their_rate_and_the_same_in_every_run() {
        let hits = fates("a", 0.25).into_iter().filter(|&hit| hit).count();
        assert!((30..70).contains(&hits), "{hits} of 200");
        assert_eq!(fates("a", 0.25), fates("a", 0.25));
        assert_ne!(fates("a", 0.25), fates("b", 0.25));
        assert!(fates("a", 0.0).iter().all(|hit| !hit));
        assert!(fates("a", 1.0).iter().all(|hit| *hit));
    }

    #[test]
    fn recording_is_bounded_and_hides_credentials() {
        let upstream = Upstreams::new(String::new()).get("a");
        let mut headers = HeaderMap::new();
        for name in ["authorization", "x-api-key"] {
            headers.insert(name, "sk-very-secret".parse().unwrap());
        }
        for number in 0..=RECORDED {
            upstream.receive(&number.to_string(), &headers, &Bytes::new());
        }
        let requests = upstream.requests();
        assert_eq!((requests.len(), requests[0].path.as_str()), (RECORDED, "1"));
        assert!(!format!("{requests:?}").contains("very-secret"));
        upstream.record_requests(false);
        upstream.receive("/", &headers, &Bytes::new());
        assert!(upstream.requests().is_empty());
    }
}
