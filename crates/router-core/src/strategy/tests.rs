//! What each strategy promises.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::{
    Alias, Attempt, Catalog, Config, Demand, DeploymentConfig, Fleet, Lesson, Price, ProviderError,
    ProviderErrorKind, Route, Step, Timestamp, Usd,
};

/// Deployments `0`, `1`, ... in one pool, and a clock.
struct World {
    fleet: Arc<Fleet>,
    now: Timestamp,
    dice: Dice,
}

impl World {
    fn new(strategy: Arc<dyn Strategy>, count: usize, set: impl Fn(usize, &mut DeploymentConfig)) -> Self {
        let pool = Alias::try_from("pool").unwrap();
        let deployments = (0..count).map(|n| {
            let mut deployment = DeploymentConfig::new(pool.clone(), "p", format!("m{n}"));
            set(n, &mut deployment);
            deployment
        });
        let mut config = Config { deployments: deployments.collect(), ..Config::default() };
        config.settings.routing_strategy = strategy;
        let fleet = Arc::new(Fleet::new(Arc::new(Catalog::new(config).unwrap())));
        Self { fleet, now: Timestamp::from_millis(1_000_000_000), dice: Dice::from_seed(5) }
    }

    fn start(&mut self, demand: &Demand) -> (Route, Attempt) {
        let pool = self.fleet.catalog().pool("pool").unwrap();
        let mut route = Route::new(Arc::clone(&self.fleet), pool, demand.clone(), self.now);
        let Step::Attempt(attempt) = route.next(self.now, &mut self.dice) else {
            panic!("somebody is ready")
        };
        (route, attempt)
    }

    /// One request that is answered after as many milliseconds as its deployment takes.
    fn call(&mut self, demand: &Demand, millis: impl Fn(usize) -> u64) -> usize {
        let (mut route, attempt) = self.start(demand);
        let who = attempt.deployment().get();
        self.now = self.now + Duration::from_millis(millis(who));
        route.record(attempt, Ok(Lesson::default()), self.now);
        who
    }

    fn shares(
        &mut self,
        calls: usize,
        demand: &Demand,
        millis: impl Fn(usize) -> u64 + Copy,
    ) -> HashMap<usize, usize> {
        let mut shares = HashMap::new();
        for _ in 0..calls {
            *shares.entry(self.call(demand, millis)).or_default() += 1;
        }
        shares
    }
}

fn named(name: &str) -> Arc<dyn Strategy> {
    strategies().into_iter().find(|strategy| strategy.name() == name).unwrap()
}

#[test]
fn a_burst_on_equal_cold_deployments_spreads_evenly_under_every_strategy() {
    for strategy in strategies() {
        let name = strategy.name().to_owned();
        let mut world = World::new(strategy, 3, |_, _| {});
        let burst: Vec<_> = (0..60).map(|_| world.start(&Demand::whole())).collect();
        let mut counts = [0; 3];
        for (_, attempt) in &burst {
            counts[attempt.deployment().get()] += 1;
        }
        // Two choices keep the difference small, all others keep it at nothing or one exploration.
        assert!(counts.iter().all(|count| (18..=22).contains(count)), "{name}: {counts:?}");
    }
}

#[test]
fn a_burst_after_warm_up_spreads_too() {
    for strategy in strategies() {
        let name = strategy.name().to_owned();
        let mut world = World::new(strategy, 3, |_, _| {});
        world.shares(60, &Demand::whole(), |_| 100);
        let burst: Vec<_> = (0..60).map(|_| world.start(&Demand::whole())).collect();
        let mut counts = [0; 3];
        for (_, attempt) in &burst {
            counts[attempt.deployment().get()] += 1;
        }
        assert!(counts.iter().all(|count| (16..=24).contains(count)), "{name}: {counts:?}");
    }
}

#[test]
fn latency_based_goes_to_the_fastest_and_keeps_an_eye_on_the_others() {
    let mut world = World::new(named("latency-based-routing"), 3, |_, _| {});
    let millis = |n: usize| [300, 100, 200][n];
    world.shares(60, &Demand::whole(), millis);
    let shares = world.shares(1_000, &Demand::whole(), millis);
    assert!(shares[&1] > 900, "{shares:?}");
    assert!(shares[&0] > 5 && shares[&2] > 5, "it explores: {shares:?}");
    // The fastest becomes the slowest.
    let shares = world.shares(1_000, &Demand::whole(), |n| [300, 900, 200][n]);
    assert!(shares[&2] > 850, "{shares:?}");
}

#[test]
fn latency_based_knows_first_tokens_apart_from_whole_replies() {
    let mut world = World::new(named("latency-based-routing"), 2, |_, _| {});
    world.shares(40, &Demand::whole(), |n| [100, 500][n]);
    for _ in 0..40 {
        let (mut route, attempt) = world.start(&Demand::stream());
        world.now = world.now + Duration::from_millis([500, 100][attempt.deployment().get()]);
        let _ = route.record_first_token(attempt, world.now);
    }
    let stream = (0..100).filter(|_| world.start(&Demand::stream()).1.deployment().get() == 1).count();
    let whole = (0..100).filter(|_| world.start(&Demand::whole()).1.deployment().get() == 0).count();
    assert!(stream > 85 && whole > 85, "{stream} {whole}");
}

#[test]
fn under_latency_based_a_newcomer_counts_as_the_median_and_not_as_nothing() {
    let mut world = World::new(named("latency-based-routing"), 4, |n, deployment| {
        // The newcomer only comes in when the others have answered.
        deployment.weight = Some(if n == 3 { 0.0 } else { 1.0 });
    });
    for _ in 0..90 {
        let (mut route, attempt) = world.start(&Demand::whole());
        let who = attempt.deployment().get();
        if who == 3 {
            continue;
        }
        world.now = world.now + Duration::from_millis([100, 200, 300][who]);
        route.record(attempt, Ok(Lesson::default()), world.now);
    }
    let mut picks = [0; 4];
    for _ in 0..200 {
        picks[world.start(&Demand::whole()).1.deployment().get()] += 1;
    }
    assert!(picks[0] > 180, "the fastest stays ahead of whoever is not known: {picks:?}");
}

#[test]
fn a_quick_failure_attracts_nobody() {
    for name in ["latency-based-routing", "peak-ewma"] {
        let mut world =
            World::new(named(name), 2, |_, deployment| deployment.cooldown_time = Some(Duration::ZERO));
        let mut failing = 0;
        for _ in 0..300 {
            let (mut route, attempt) = world.start(&Demand::whole());
            if attempt.deployment().get() == 0 {
                failing += 1;
                world.now = world.now + Duration::from_millis(2);
                route.record(attempt, Err(ProviderError::new(ProviderErrorKind::RateLimited, "")), world.now);
            } else {
                world.now = world.now + Duration::from_millis(200);
                route.record(attempt, Ok(Lesson::default()), world.now);
            }
        }
        assert!(failing < 40, "{name}: {failing} of 300 went to the quick 429");
    }
}

#[test]
fn cost_based_counts_prompt_and_answer_at_their_own_prices() {
    let price = |input: u64, output: u64| {
        Some(Price { input: Usd::from_pico(input), output: Usd::from_pico(output) })
    };
    let mut world = World::new(named("cost-based-routing"), 3, |n, deployment| {
        deployment.price = [price(1, 10), price(4, 1), None][n];
    });
    let long_prompt = Demand::whole().with_prompt_tokens(10_000).with_max_tokens(100);
    let long_answer = Demand::whole().with_prompt_tokens(10).with_max_tokens(4_000);
    assert_eq!(world.shares(50, &long_prompt, |_| 10), HashMap::from([(0, 50)]));
    assert_eq!(world.shares(50, &long_answer, |_| 10), HashMap::from([(1, 50)]));
}

#[test]
fn a_price_of_nothing_is_a_price_and_equal_prices_share() {
    let free = Some(Price { input: Usd::default(), output: Usd::default() });
    let cheap = Some(Price { input: Usd::from_pico(1), output: Usd::from_pico(1) });
    let demand = Demand::whole().with_prompt_tokens(10);
    let mut world =
        World::new(named("cost-based-routing"), 3, |n, deployment| deployment.price = [free, cheap, free][n]);
    assert_eq!(world.shares(100, &demand, |_| 10), HashMap::from([(0, 50), (2, 50)]));
}

#[test]
fn least_busy_evens_out_calls_in_flight() {
    let mut world = World::new(named("least-busy"), 3, |_, _| {});
    let mut held = Vec::new();
    for _ in 0..9 {
        held.push(world.start(&Demand::whole()));
    }
    held.retain(|(_, attempt)| attempt.deployment().get() != 2);
    for _ in 0..3 {
        let next = world.start(&Demand::whole());
        assert_eq!(next.1.deployment().get(), 2);
        held.push(next);
    }
}

#[test]
fn usage_based_fills_limits_in_proportion() {
    let mut world = World::new(named("usage-based-routing"), 2, |n, deployment| {
        deployment.tpm = Some([10_000, 30_000][n])
    });
    let demand = Demand::whole().with_prompt_tokens(100);
    let shares = world.shares(200, &demand, |_| 10);
    assert!((45..=55).contains(&shares[&0]), "{shares:?}");
}

#[test]
fn peak_ewma_leaves_a_slow_deployment_alone_and_comes_back_to_it() {
    let mut world = World::new(named("peak-ewma"), 2, |_, _| {});
    let shares = world.shares(300, &Demand::whole(), |n| [50, 2_000][n]);
    assert!(shares[&1] < 40, "{shares:?}");
    assert!(shares[&1] > 0, "an average fades, so it is tried again: {shares:?}");
}
