//! The router: what applications call.

use std::hash::{BuildHasher, RandomState};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use router_core::{
    AccountId, Alias, Bill, ChatRequest, Classification, Clock, Consumed, Cost, DeploymentId, EmbeddingReply,
    EmbeddingRequest, Fleet, HealthChange, LatencySketch, Metered, Observer, Peer, PoolIndex, Provider,
    Reply, RequestContext, RequestKind, StateStore, Timestamp, TokenCounter, Usage, Usd,
};
#[cfg(feature = "redis")]
use router_state::{RedisStatus, RedisStore};

use crate::auto::{Auto, Chosen};
use crate::builder::{BuildError, RouterBuilder};
use crate::config::{ConfigFile, ConfigFileError};
use crate::continuation::Continuer;
use crate::demand::without_router_fields;
use crate::engine::{Embedded, Journey, Streamed, Whole};
use crate::error::RouteError;
use crate::metering::Answer;
use crate::report::RouteReport;
use crate::stream::CompletionStream;
use crate::tariffs::Tariffs;

/// Routes requests over pools of deployments. Cheap to clone; clones share everything.
///
/// ```no_run
/// use llm_router::{ChatRequest, Router};
///
/// # async fn ask() -> Result<(), Box<dyn std::error::Error>> {
/// let router = Router::from_yaml_file("config.yaml")?;
/// let answer = router.completion(&ChatRequest::user("fast", "Hello!")?).await?;
/// println!("{}", answer.reply.text().unwrap_or_default());
/// println!("{} attempt(s), answered by {:?}", answer.report.attempts.len(), answer.report.deployment);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Router {
    pub(crate) parts: Arc<Parts>,
    pub(crate) context: Arc<RequestContext>,
}

/// What a router is made of.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) fleet: Arc<Fleet>,
    /// What tells a deployment's upstream and credential from others, one per deployment.
    pub(crate) fingerprints: Box<[u64]>,
    /// One per deployment, in the order of the catalog.
    pub(crate) providers: Box<[Arc<dyn Provider>]>,
    pub(crate) observers: Box<[Arc<dyn Observer>]>,
    /// Whether observers are told what was asked and answered.
    pub(crate) observes_content: bool,
    /// Whether providers are told of traces.
    pub(crate) forwards_trace: bool,
    pub(crate) tariffs: Tariffs,
    pub(crate) state_store: Option<Arc<dyn StateStore>>,
    /// The same, when it is Redis.
    #[cfg(feature = "redis")]
    pub(crate) redis: Option<Arc<RedisStore>>,
    pub(crate) auto: Option<Auto>,
    pub(crate) token_counter: Arc<dyn TokenCounter>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) seeds: AtomicU64,
}

/// A reply, and how it came about.
#[derive(Debug, Clone)]
pub struct Completion {
    /// The reply.
    pub reply: Reply,
    /// Who answered, after which attempts.
    pub report: RouteReport,
}

/// Vectors, and how they came about.
#[derive(Debug, Clone)]
pub struct Embedding {
    /// The vectors.
    pub reply: EmbeddingReply,
    /// Who answered, after which attempts.
    pub report: RouteReport,
}

/// Returns what a completion cost, over all its attempts; `None` when that is not known.
pub fn completion_cost(completion: &Completion) -> Option<Usd> {
    completion.report.cost()
}

/// A router could not be made from a file.
#[derive(Debug, thiserror::Error)]
pub enum FromFileError {
    /// The file cannot be read or understood.
    #[error(transparent)]
    File(#[from] ConfigFileError),
    /// What it says makes no router.
    #[error(transparent)]
    Build(#[from] BuildError),
}

impl Router {
    /// Makes a router from a LiteLLM-style `config.yaml`. Keys that do nothing are warned about by name.
    ///
    /// # Errors
    /// Every problem there is, each with file, line, key and what was expected.
    pub fn from_yaml_file(path: impl AsRef<Path>) -> Result<Self, FromFileError> {
        let file = ConfigFile::read(path)?;
        for problem in file.ignored() {
            tracing::warn!(%problem, "configuration key ignored");
        }
        Ok(file.into_builder().build()?)
    }

    /// Starts a router in Rust, with the same settings as a file has.
    pub fn builder() -> RouterBuilder {
        RouterBuilder::default()
    }

    pub(crate) fn assemble(parts: Parts) -> Self {
        let router = Self { parts: Arc::new(parts), context: Arc::default() };
        if let Some(store) = &router.parts.state_store {
            let peer: Arc<dyn Peer> = Arc::clone(&router.parts) as _;
            store.join(Arc::downgrade(&peer));
        }
        router
    }

    /// Returns through what it shares what it learns with others, if it does.
    pub fn state_store(&self) -> Option<&Arc<dyn StateStore>> {
        self.parts.state_store.as_ref()
    }

    /// Returns how the connection to Redis is; `None` when state is not shared through it.
    #[cfg(feature = "redis")]
    pub fn redis_status(&self) -> Option<RedisStatus> {
        self.parts.redis.as_ref().map(|store| store.status())
    }

    /// Returns the same router for requests that are made in this context: observers are told of it. Cheap enough to be asked for
    /// each request.
    ///
    /// ```no_run
    /// use llm_router::{ChatRequest, RequestContext, Router};
    ///
    /// # async fn ask(router: Router) -> Result<(), Box<dyn std::error::Error>> {
    /// let context = RequestContext::new().with_user("u-17").with_tag("nightly");
    /// let answer = router.on_behalf_of(context).completion(&ChatRequest::user("fast", "Hello!")?).await?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn on_behalf_of(&self, context: impl Into<Arc<RequestContext>>) -> Self {
        Self { parts: Arc::clone(&self.parts), context: context.into() }
    }

    /// Answers a request with a whole reply, whatever its `stream` field says.
    ///
    /// # Errors
    /// [`RouteError`] with the last real error and the trail of attempts.
    ///
    /// # Cancel safety
    /// Dropping the future cancels the call under way and leaves nothing behind.
    pub async fn completion(&self, request: &ChatRequest) -> Result<Completion, RouteError> {
        let journey = self.set_out::<Whole>(request).await?;
        Self::complete(journey, request).await
    }

    /// Answers a request at this alias, whatever it names. It is not classified: this is how the classifier itself asks.
    pub(crate) async fn completion_at(
        &self,
        alias: &Alias,
        request: &ChatRequest,
    ) -> Result<Completion, RouteError> {
        let resolved = self.resolve(alias.as_str(), None)?;
        let journey = self.set_out_to::<Whole>(request, resolved, self.now())?;
        Self::complete(journey, request).await
    }

    async fn complete(mut journey: Journey, request: &ChatRequest) -> Result<Completion, RouteError> {
        let (reply, attempt) = journey.run::<Whole>(without_router_fields(request)?.as_ref()).await?;
        let report = journey.answered(attempt, Answer::from(&reply));
        Ok(Completion { reply, report })
    }

    /// Turns texts into vectors. Deployments are picked, retried and cooled as for completions, from the pool the request names;
    /// a deployment whose provider has no embeddings is passed over.
    ///
    /// # Errors
    /// [`RouteError`] with the last real error and the trail of attempts.
    ///
    /// # Cancel safety
    /// Dropping the future cancels the call under way and leaves nothing behind.
    pub async fn embedding(&self, request: &EmbeddingRequest) -> Result<Embedding, RouteError> {
        let mut journey = self.set_out::<Embedded>(request).await?;
        let (reply, attempt) = journey.run::<Embedded>(without_router_fields(request)?.as_ref()).await?;
        let report = journey.answered(attempt, Answer::from(&reply));
        Ok(Embedding { reply, report })
    }

    /// Answers a request with a stream, whatever its `stream` field says. Returns when the first token is there: until then
    /// failures are routed around as for a whole reply, and the caller sees nothing of them.
    ///
    /// # Errors
    /// [`RouteError`] with the last real error and the trail of attempts. What happens after the first token is the stream's.
    ///
    /// # Cancel safety
    /// Dropping the future or the stream cancels the call under way and leaves nothing behind.
    pub async fn stream(&self, request: &ChatRequest) -> Result<CompletionStream, RouteError> {
        let mut journey = self.set_out::<Streamed>(request).await?;
        let request = without_router_fields(request)?;
        let (opened, attempt) = journey.run::<Streamed>(&request).await?;
        let (call, report) = journey.opened(attempt, opened.headroom);
        let continuer = Continuer::new(self, &request);
        Ok(CompletionStream::new(opened, call, report, request.include_usage(), continuer))
    }

    /// Returns the aliases that applications can call.
    pub fn aliases(&self) -> Vec<Alias> {
        let pools = self.parts.fleet.catalog().pools().iter().map(|pool| pool.alias().clone());
        self.parts.auto.iter().map(|auto| auto.name.clone()).chain(pools).collect()
    }

    /// Returns the live state of every deployment.
    pub fn fleet(&self) -> &Arc<Fleet> {
        &self.parts.fleet
    }

    /// Returns what so many tokens cost at a deployment, were they used now; `None` when there is no such deployment, or a price that it
    /// takes is not known.
    pub fn cost_of(&self, deployment: &str, usage: &Usage) -> Option<Cost> {
        let catalog = self.parts.fleet.catalog();
        let index = catalog.deployment(deployment)?;
        let metered = Metered::Reported(*usage);
        let now = self.parts.clock.now();
        match self.parts.tariffs.bill(index, &catalog[index], metered, None, now) {
            Bill::Known(cost) => Some(cost),
            Bill::Nothing | Bill::Unknown => None,
        }
    }

    /// Returns the time, by the clock that the fleet goes by.
    pub fn now(&self) -> Timestamp {
        self.parts.clock.now()
    }

    /// Finds the pool of a request: the one that was chosen, or that of the alias it names.
    pub(crate) fn resolve(&self, model: &str, chosen: Option<Chosen>) -> Result<Resolved, RouteError> {
        let catalog = self.parts.fleet.catalog();
        let (classification, waited) = match chosen {
            Some(Chosen { classification, waited }) => (Some(classification), waited),
            None => (None, Duration::ZERO),
        };
        let name = classification.as_ref().map_or(model, |chosen| chosen.alias.as_str());
        match catalog.pool(name) {
            Some(pool) => {
                // A pattern or a further name: what was asked for is another name than the pool's.
                let own = catalog[pool].alias();
                let asked = if own.as_str() == name { None } else { Alias::try_from(name).ok() };
                let requested = asked.unwrap_or_else(|| own.clone());
                Ok(Resolved { requested, pool, classification, waited })
            }
            None => Err(RouteError::UnknownAlias { alias: name.to_owned(), known: self.aliases() }),
        }
    }
}

/// Where a request begins.
pub(crate) struct Resolved {
    pub(crate) requested: Alias,
    pub(crate) pool: PoolIndex,
    /// What the classifier said, if it chose.
    pub(crate) classification: Option<Classification>,
    /// How long an LLM was waited for to say it.
    pub(crate) waited: Duration,
}

impl Parts {
    /// A fresh seed: unpredictable at start, then counted up; the dice scramble it.
    pub(crate) fn next_seed(&self) -> u64 {
        self.seeds.fetch_add(1, Relaxed)
    }

    /// Tells the observers and the peers.
    pub(crate) fn announce(&self, changes: Vec<HealthChange>) {
        for change in changes {
            if let Some(store) = &self.state_store {
                store.publish(&change, self.clock.now());
            }
            self.observe(|| router_core::Event::Health(&change));
        }
    }

    /// Tells the observers; the event is not even made when nobody listens.
    pub(crate) fn observe<'e>(&self, event: impl FnOnce() -> router_core::Event<'e>) {
        if !self.observers.is_empty() {
            let event = event();
            for observer in &self.observers {
                observer.observe(&event);
            }
        }
    }
}

impl Peer for Parts {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn hear(&self, change: &HealthChange) {
        self.fleet.apply(change);
    }

    fn hear_consumed(&self, account: &AccountId, consumed: Consumed, ago: Duration) {
        self.fleet.apply_consumed(account, consumed, self.clock.now() - ago);
    }

    fn tell_consumed(&self, tell: &mut dyn FnMut(&AccountId, Consumed)) {
        self.fleet.tell_consumed(tell);
    }

    fn tell_cooling(&self, tell: &mut dyn FnMut(HealthChange)) {
        self.fleet.tell_cooling(self.clock.now(), tell);
    }

    fn tell_latencies(&self, tell: &mut dyn FnMut(&DeploymentId, RequestKind, LatencySketch)) {
        self.fleet.tell_latencies(self.clock.now(), tell);
    }

    fn hear_latency(&self, deployment: &DeploymentId, kind: RequestKind, others: &LatencySketch) {
        self.fleet.apply_latency(deployment, kind, others, self.clock.now());
    }
}

/// The first seed of a router: from the standard library's own source of randomness.
pub(crate) fn first_seed() -> AtomicU64 {
    AtomicU64::new(RandomState::new().hash_one(std::ptr::null::<u8>()))
}
