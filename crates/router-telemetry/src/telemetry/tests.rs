use std::sync::Mutex;

use super::*;
use router_core::{
    Alias, Catalog, Config, DeploymentConfig, ProviderErrorKind, RequestContext, RequestKind, RouteFacts,
    Timestamp, Usage,
};

/// Keeps what it is given, after failing so many times, and waits for its gate where it has one.
#[derive(Clone, Default)]
struct Kept {
    records: Arc<Mutex<Vec<CallRecord>>>,
    failures: Arc<AtomicU64>,
    gate: Option<Arc<std::sync::Barrier>>,
}

#[async_trait]
impl Sink for Kept {
    fn name(&self) -> &'static str {
        "kept"
    }

    async fn write(&mut self, batch: &[Arc<CallRecord>]) -> Result<(), SinkError> {
        if let Some(gate) = self.gate.take() {
            gate.wait();
        }
        let is_failing = self.failures.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok();
        if is_failing {
            return Err(SinkError::new("not now"));
        }
        self.records.lock().unwrap().extend(batch.iter().map(|record| CallRecord::clone(record)));
        Ok(())
    }
}

impl Kept {
    fn len(&self) -> usize {
        self.records.lock().unwrap().len()
    }
}

/// Tells of a request with one attempt, answered or not.
pub(crate) fn tell(observer: &dyn Observer, seed: u64, error: Option<ProviderErrorKind>) {
    let fast = Alias::try_from("fast").unwrap();
    let deployments = vec![DeploymentConfig::new(fast.clone(), "openai", "gpt-4o-mini")];
    let catalog = Catalog::new(Config { deployments, ..Config::default() }).unwrap();
    let deployment = &catalog[catalog.indices().next().unwrap()];
    let error = error.map(|kind| router_core::ProviderError::new(kind, "no"));
    let moment = Timestamp::from_millis(1_000 + seed);
    let attempts = [router_core::AttemptFacts {
        pool: &fast,
        deployment,
        cause: router_core::CauseFacts::First,
        started: moment,
        first_token: None,
        ended: moment + Duration::from_millis(500),
        outcome: error
            .as_ref()
            .map_or(router_core::AttemptOutcome::Answered, router_core::AttemptOutcome::Failed),
        model: Some("gpt-4o-mini-2024-07-18"),
        metered: router_core::Metered::Reported(Usage { prompt: 10, completion: 20, ..Usage::default() }),
        bill: router_core::Bill::Known(router_core::Cost::flat(router_core::Usd::from_pico(7))),
    }];
    let context = RequestContext::new().with_user("u-1").with_tag("t");
    let mut route = RouteFacts::new(seed, &fast, RequestKind::Whole, &context);
    route.started = moment;
    route.ended = moment + Duration::from_millis(500);
    route.attempts = &attempts;
    observer.observe(&match &error {
        None => Event::Answered { pool: &fast, deployment, route: &route },
        Some(error) => Event::Failed { error: Some(error), route: &route },
    });
}

#[test]
fn every_record_is_written_before_the_shutdown_ends() {
    let kept = Kept::default();
    let telemetry = Telemetry::new().sink(kept.clone(), Which::All);
    (0..1_234).for_each(|seed| tell(&telemetry, seed, None));
    assert!(telemetry.shutdown(Duration::from_secs(30)));
    assert_eq!(kept.len(), 1_234);
    assert_eq!((telemetry.counts()[0].written, telemetry.counts()[0].dropped), (1_234, 0));
    tell(&telemetry, 9, None);
    assert_eq!(telemetry.counts()[0].dropped, 1, "what comes after the end is counted");
}

#[test]
fn a_record_holds_what_happened() {
    let kept = Kept::default();
    let telemetry = Telemetry::new().sink(kept.clone(), Which::All);
    tell(&telemetry, 5, None);
    telemetry.shutdown(Duration::from_secs(30));
    let record = kept.records.lock().unwrap()[0].clone();
    assert_eq!((&*record.id, record.outcome, &*record.pool), ("0000000000000005", Outcome::Answered, "fast"));
    assert_eq!((record.tokens.prompt, record.cost_pico_usd, record.latency_ms), (10, 7, 500));
    assert_eq!((record.tokens_per_second, record.user.as_deref()), (Some(40.0), Some("u-1")));
    assert_eq!((record.attempts.len(), record.attempts[0].cost_pico_usd), (1, Some(7)));
    let json = serde_json::to_string(&record).unwrap();
    assert_eq!(serde_json::from_str::<CallRecord>(&json).unwrap(), record, "{json}");
}

#[test]
fn sinks_hear_of_what_they_are_for() {
    let (good, bad) = (Kept::default(), Kept::default());
    let telemetry = Telemetry::new().sink(good.clone(), Which::Successes).sink(bad.clone(), Which::Failures);
    for seed in 0..10 {
        tell(&telemetry, seed, (seed % 5 == 0).then_some(ProviderErrorKind::Server));
    }
    telemetry.shutdown(Duration::from_secs(30));
    assert_eq!((good.len(), bad.len()), (8, 2));
    assert_eq!(bad.records.lock().unwrap()[0].error.as_deref(), Some("server error"));
}

#[test]
fn a_failing_sink_is_tried_again_and_then_given_up() {
    let quick = QueueSettings { attempts: 3, flush_interval: Duration::ZERO, ..QueueSettings::default() };
    let (recovers, dead) = (Kept::default(), Kept::default());
    recovers.failures.store(2, Relaxed);
    dead.failures.store(3, Relaxed);
    let telemetry =
        Telemetry::new().queue(quick).sink(recovers.clone(), Which::All).sink(dead.clone(), Which::All);
    tell(&telemetry, 1, None);
    telemetry.shutdown(Duration::from_secs(30));
    let counts = telemetry.counts();
    assert_eq!((recovers.len(), counts[0].errors, counts[0].dropped), (1, 2, 0));
    assert_eq!((dead.len(), counts[1].errors, counts[1].dropped), (0, 3, 1));
}

#[test]
fn a_sink_that_blocks_holds_up_nobody_and_what_it_cannot_take_is_counted() {
    let gate = Arc::new(std::sync::Barrier::new(2));
    let blocked = Kept { gate: Some(Arc::clone(&gate)), ..Kept::default() };
    let other = Kept::default();
    let small = QueueSettings { capacity: 100, batch: 1, ..QueueSettings::default() };
    let telemetry = Telemetry::new()
        .queue(small)
        .sink(blocked.clone(), Which::All)
        .queue(QueueSettings::default())
        .sink(other.clone(), Which::All);
    let started = Instant::now();
    (0..1_000).for_each(|seed| tell(&telemetry, seed, None));
    assert!(started.elapsed() < Duration::from_secs(5), "nobody waited for the sink, which is still blocked");
    assert_eq!(blocked.len(), 0);
    gate.wait();
    assert!(telemetry.shutdown(Duration::from_secs(30)));
    let counts = telemetry.counts();
    assert_eq!(other.len(), 1_000);
    assert_eq!(counts[0].written + counts[0].dropped, 1_000, "every one is accounted for");
    assert!((100..=102).contains(&counts[0].written), "{counts:?}");
}

#[test]
fn a_file_begins_anew_at_its_limit_and_mends_half_a_line() {
    let folder = std::env::temp_dir().join(format!("router-telemetry-{}-{}", std::process::id(), line!()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("calls.jsonl");
    std::fs::write(&path, "{\"half\":").unwrap();
    let settings = QueueSettings { batch: 10, ..QueueSettings::default() };
    let sink = crate::JsonLines::create(&path).unwrap().rotate(20_000, 2);
    let telemetry = Telemetry::new().queue(settings).sink(sink, Which::All);
    (0..100).for_each(|seed| tell(&telemetry, seed, None));
    assert!(telemetry.shutdown(Duration::from_secs(30)));
    let files = ["calls.jsonl", "calls.jsonl.1", "calls.jsonl.2", "calls.jsonl.3"];
    let read = files.map(|name| std::fs::read_to_string(folder.join(name)).ok());
    assert!(read[3].is_none(), "two older files are kept");
    for text in read.iter().flatten() {
        assert!(text.len() <= 20_000 && text.ends_with('\n'));
        let whole = text.lines().filter(|line| serde_json::from_str::<CallRecord>(line).is_ok());
        assert!(whole.count() + 1 >= text.lines().count(), "all but the half line are records");
    }
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn content_is_redacted_before_any_sink_sees_it() {
    let kept = Kept::default();
    let redaction: Redaction =
        Arc::new(|content| content.request = content.request.replace("secret", "[gone]"));
    let telemetry = Telemetry::new().redact(redaction).sink(kept.clone(), Which::All);
    let fast = Alias::try_from("fast").unwrap();
    let context = RequestContext::new();
    let mut route = RouteFacts::new(1, &fast, RequestKind::Whole, &context);
    route.content = Some(router_core::Content { request: b"my secret", answer: b"" });
    telemetry.observe(&Event::Failed { error: None, route: &route });
    telemetry.shutdown(Duration::from_secs(30));
    let record = kept.records.lock().unwrap()[0].clone();
    assert_eq!(record.content.unwrap().request, "my [gone]");
    assert_eq!((record.pool.as_ref(), record.deployment), ("fast", None));
}
