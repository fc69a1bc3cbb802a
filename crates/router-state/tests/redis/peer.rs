//! A router, as far as its peers are concerned.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use router_core::{
    AccountId, Alias, BreakerState, Catalog, Config, Consumed, Demand, DeploymentConfig, DeploymentId,
    DeploymentIndex, Dice, Fleet, HealthChange, LatencySketch, Lesson, Peer, ProviderErrorKind, RequestKind,
    Route, StateStore, Step, Timestamp,
};
use tokio::sync::Notify;

/// A fleet that tells when it heard something.
pub(crate) struct Router {
    pub(crate) fleet: Arc<Fleet>,
    store: Arc<dyn StateStore>,
    heard: Notify,
    /// How far its clock is ahead of the machine's.
    ahead: Duration,
}

impl Router {
    /// Joins with deployments `pool:a` and `pool:b`, each with this limit of requests a minute.
    pub(crate) fn join(store: Arc<dyn StateStore>, rpm: u64) -> Arc<Self> {
        Self::join_ahead(store, rpm, Duration::ZERO)
    }

    pub(crate) fn join_ahead(store: Arc<dyn StateStore>, rpm: u64, ahead: Duration) -> Arc<Self> {
        let pool = Alias::try_from("pool").unwrap();
        let deployments = ["a", "b"].map(|model| {
            let mut deployment = DeploymentConfig::new(pool.clone(), "p", model);
            deployment.rpm = Some(rpm);
            deployment.cooldown_time = Some(Duration::from_secs(60));
            deployment
        });
        let catalog = Catalog::new(Config { deployments: deployments.into(), ..Config::default() }).unwrap();
        let fleet = Arc::new(Fleet::new(Arc::new(catalog)));
        let router = Arc::new(Self { fleet, store, heard: Notify::new(), ahead });
        let peer: Arc<dyn Peer> = Arc::clone(&router) as _;
        router.store.join(Arc::downgrade(&peer));
        router
    }

    pub(crate) fn index(&self, model: &str) -> DeploymentIndex {
        self.fleet.catalog().deployment(&format!("pool:{model}")).unwrap()
    }

    pub(crate) fn cools(&self, model: &str) -> Option<(Duration, ProviderErrorKind)> {
        match self.fleet.breaker(self.index(model), self.now()) {
            BreakerState::Open { until, cause } => Some((until.since(self.now()), cause)),
            BreakerState::Closed | BreakerState::HalfOpen { .. } => None,
        }
    }

    /// Requests within the last minute, as far as this router knows.
    pub(crate) fn used(&self, model: &str) -> u64 {
        self.fleet.used(self.index(model), self.now()).0
    }

    /// Cools a deployment here, and tells it.
    pub(crate) fn cool(&self, model: &str, span: Duration, cause: ProviderErrorKind) {
        let deployment = DeploymentId::try_from(format!("pool:{model}").as_str()).unwrap();
        let change = HealthChange::Cooled { deployment, until: self.now() + span, cause };
        self.fleet.apply(&change);
        self.store.publish(&change, self.now());
    }

    /// Routes one request and answers it. Returns whether somebody was there to be asked.
    pub(crate) fn request(&self) -> bool {
        let (now, mut dice) = (self.now(), Dice::from_seed(self.used("a")));
        let pool = self.fleet.catalog().pool("pool").unwrap();
        let mut route = Route::new(Arc::clone(&self.fleet), pool, Demand::whole(), now);
        match route.next(now, &mut dice) {
            Step::Attempt(attempt) => {
                route.record(attempt, Ok(Lesson::default()), now);
                true
            }
            Step::Wait(_) | Step::Done(_) => false,
        }
    }

    /// Routes one request that is answered after so long.
    pub(crate) fn request_taking(&self, span: Duration) {
        let (now, mut dice) = (self.now() - span, Dice::from_seed(self.used("a")));
        let pool = self.fleet.catalog().pool("pool").unwrap();
        let mut route = Route::new(Arc::clone(&self.fleet), pool, Demand::whole(), now);
        let Step::Attempt(attempt) = route.next(now, &mut dice) else { panic!("somebody is ready") };
        route.record(attempt, Ok(Lesson::default()), now + span);
    }

    /// The median latency of a deployment, as far as this router knows.
    pub(crate) fn p50(&self, model: &str) -> Option<Duration> {
        self.fleet.p50(self.index(model), RequestKind::Whole)
    }

    /// Waits until something holds, looking again whenever something was heard.
    pub(crate) async fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let wait = async {
            loop {
                let heard = self.heard.notified();
                if holds(self) {
                    return;
                }
                // A cooldown that ends is heard of by nobody.
                let _ = tokio::time::timeout(Duration::from_millis(20), heard).await;
            }
        };
        let found = tokio::time::timeout(Duration::from_secs(20), wait).await;
        assert!(found.is_ok(), "{what} did not come to be");
    }
}

impl Peer for Router {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap() + self.ahead;
        Timestamp::from_millis(u64::try_from(since.as_millis()).unwrap())
    }

    fn hear(&self, change: &HealthChange) {
        self.fleet.apply(change);
        self.heard.notify_waiters();
    }

    fn hear_consumed(&self, account: &AccountId, consumed: Consumed, ago: Duration) {
        self.fleet.apply_consumed(account, consumed, self.now() - ago);
        self.heard.notify_waiters();
    }

    fn tell_consumed(&self, tell: &mut dyn FnMut(&AccountId, Consumed)) {
        self.fleet.tell_consumed(tell);
    }

    fn tell_cooling(&self, tell: &mut dyn FnMut(HealthChange)) {
        self.fleet.tell_cooling(self.now(), tell);
    }

    fn tell_latencies(&self, tell: &mut dyn FnMut(&DeploymentId, RequestKind, LatencySketch)) {
        self.fleet.tell_latencies(self.now(), tell);
    }

    fn hear_latency(&self, deployment: &DeploymentId, kind: RequestKind, others: &LatencySketch) {
        self.fleet.apply_latency(deployment, kind, others, self.now());
        self.heard.notify_waiters();
    }
}
