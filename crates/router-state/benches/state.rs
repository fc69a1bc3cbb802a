//! What sharing costs on the hot path, and how many commands it sends.
//!
//! `cargo bench -p router-state --features redis --bench state`

#![expect(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a benchmark")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use criterion::Criterion;
use router_core::{
    AccountId, AccountLimits, Alias, Catalog, Claim, Config, Consumed, Demand, DeploymentConfig, Dice, Fleet,
    HealthChange, Lesson, Peer, Reserved, Route, Settlement, StateStore, Step, Timestamp, Usage, Usd,
};
use router_state::{MemoryStore, RedisAddress, RedisStore};

#[path = "../tests/redis/server.rs"]
#[expect(dead_code, reason = "tests do more with it")]
mod server;

use server::Server;

/// A fleet of ten deployments with limits, as far as its peers are concerned.
struct Router {
    fleet: Arc<Fleet>,
    /// Kept: who listens to a store does so as long as it lives.
    _store: Arc<dyn StateStore>,
}

impl Router {
    fn join(store: Arc<dyn StateStore>) -> Arc<Self> {
        let alias = Alias::try_from("pool").unwrap();
        let deployments = (0..10).map(|n| {
            let mut deployment = DeploymentConfig::new(alias.clone(), "openai", format!("m{n}"));
            (deployment.rpm, deployment.tpm) = (Some(u64::MAX / 2), Some(u64::MAX / 2));
            deployment
        });
        let config = Config { deployments: deployments.collect(), ..Config::default() };
        let fleet = Arc::new(Fleet::new(Arc::new(Catalog::new(config).unwrap())));
        let router = Arc::new(Self { fleet, _store: Arc::clone(&store) });
        let peer: Arc<dyn Peer> = Arc::clone(&router) as _;
        store.join(Arc::downgrade(&peer));
        router
    }

    /// Routes one request and takes note of its answer.
    fn request(&self, demand: &Demand, dice: &mut Dice, now: Timestamp) {
        let pool = self.fleet.catalog().pool("pool").unwrap();
        let mut route = Route::new(Arc::clone(&self.fleet), pool, demand.clone(), now);
        let Step::Attempt(attempt) = route.next(now, dice) else { panic!("everybody is healthy") };
        let usage = Usage { prompt: 500, completion: 100, ..Usage::default() };
        route.record(attempt, Ok(Lesson::default().with_usage(Some(usage))), now);
        let _ = black_box(route.next(now, dice));
    }
}

fn wall() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    Timestamp::from_millis(u64::try_from(since.as_millis()).unwrap())
}

impl Peer for Router {
    fn now(&self) -> Timestamp {
        wall()
    }

    fn hear(&self, change: &HealthChange) {
        self.fleet.apply(change);
    }

    fn hear_consumed(&self, account: &AccountId, consumed: Consumed, ago: Duration) {
        self.fleet.apply_consumed(account, consumed, wall() - ago);
    }

    fn tell_consumed(&self, tell: &mut dyn FnMut(&AccountId, Consumed)) {
        self.fleet.tell_consumed(tell);
    }

    fn tell_cooling(&self, tell: &mut dyn FnMut(HealthChange)) {
        self.fleet.tell_cooling(wall(), tell);
    }
}

async fn connected(server: &Server) -> Arc<RedisStore> {
    let store = Arc::new(RedisStore::start(RedisAddress::server("127.0.0.1", server.port)).unwrap());
    while !store.status().is_connected {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    store
}

/// A decision and its record, while the store does what it does in the background.
fn hot_path(criterion: &mut Criterion, redis: &Arc<RedisStore>) {
    let mut group = criterion.benchmark_group("state");
    let stores: [(&str, Arc<dyn StateStore>); 2] =
        [("memory", Arc::new(MemoryStore::default())), ("redis", Arc::clone(redis) as _)];
    for (name, store) in stores {
        let router = Router::join(store);
        let (demand, mut dice) = (Demand::whole().with_prompt_tokens(500), Dice::from_seed(1));
        group.bench_function(name, |bencher| bencher.iter(|| router.request(&demand, &mut dice, wall())));
    }
    group.finish();
}

/// Routes a thousand requests a second for five seconds and says how many commands that took.
async fn commands(store: &Arc<RedisStore>) {
    const SECONDS: u32 = 5;
    let router = Router::join(Arc::clone(store) as _);
    let (demand, mut dice) = (Demand::whole().with_prompt_tokens(500), Dice::from_seed(1));
    let before = store.status().commands;
    let mut tick = tokio::time::interval(Duration::from_millis(1));
    for _ in 0..SECONDS * 1_000 {
        tick.tick().await;
        router.request(&demand, &mut dice, wall());
    }
    report("shared", SECONDS * 1_000, store.status().commands - before);
}

/// The same for requests under a strict limit, of which a hundred are asked for at a time.
async fn strict_commands(store: &Arc<RedisStore>) {
    const REQUESTS: u32 = 5_000;
    let limits = AccountLimits { requests: Some(1_000_000), ..AccountLimits::default() };
    let claim = Claim { account: AccountId::of_key("bench"), limits, tokens: 500, cost: Usd::default() };
    let before = store.status().commands;
    let mut waits = Vec::new();
    let mut tick = tokio::time::interval(Duration::from_millis(1));
    let mut calls = Vec::new();
    for _ in 0..REQUESTS {
        tick.tick().await;
        let (store, claim) = (Arc::clone(store), claim.clone());
        calls.push(tokio::spawn(async move {
            let asked = Instant::now();
            let Reserved::Granted(hold) = store.reserve(&claim, wall()).await else {
                panic!("there is room")
            };
            let waited = asked.elapsed();
            tokio::time::sleep(Duration::from_millis(100)).await;
            store.settle(hold, Settlement::Used { tokens: Some(600), cost: Usd::default() }, wall());
            waited
        }));
    }
    for call in calls {
        waits.push(call.await.unwrap());
    }
    waits.sort_unstable();
    let at = |share: usize| waits.get(waits.len() * share / 100).copied().unwrap_or_default();
    println!("state/strict: a place takes p50 {:?}, p99 {:?}", at(50), at(99));
    report("strict", REQUESTS, store.status().commands - before);
}

fn report(what: &str, requests: u32, commands: u64) {
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let each = commands as f64 / f64::from(requests);
    println!("state/{what}: {requests} requests at 1,000 a second, {commands} commands: {each:.4} each");
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (server, store) = runtime.block_on(async {
        let server = Server::start(&[]).await;
        let store = connected(&server).await;
        (server, store)
    });
    let _inside = runtime.enter();
    let mut criterion = Criterion::default().configure_from_args();
    hot_path(&mut criterion, &store);
    runtime.block_on(async {
        commands(&store).await;
        strict_commands(&store).await;
    });
    criterion.final_summary();
    drop(server);
}
