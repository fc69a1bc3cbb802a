//! Everything goes wrong at once, in another way for each seed.

use router_core::Dice;
use system_tests::simulator::{BrownOut, RateLimit, SimulatedPool, SimulatedProvider, World};

use crate::{assert_sound, for_each_seed, ms, of_seed, secs};

const REQUESTS: u64 = 5_000;

/// Three pools that fall back to each other in a circle, with random providers.
fn storm(seed: u64) -> World {
    let [one, two, three] = ["one", "two", "three"];
    let mut dice = Dice::from_seed(seed ^ 0x5708);
    let mut world = World::new(seed).configure(|settings| {
        settings.timeout = secs(1 + dice.below(20));
        settings.num_retries = u32::try_from(dice.below(4)).unwrap();
        settings.queue_timeout = secs(dice.below(3));
        settings.total_timeout = [None, Some(secs(8))][usize::from(dice.below(2) == 0)];
    });
    for (alias, other, another) in [(one, two, three), (two, three, one), (three, one, two)] {
        let mut pool = SimulatedPool::new(alias, of_seed(seed))
            .arrivals_per_second((5 + dice.below(40)) as f64)
            .streamed(0.4)
            .fallback(other)
            .fallback(another);
        for n in 0..1 + dice.below(4) {
            pool = pool.provider(provider(&format!("{alias}-{n}"), &mut dice));
        }
        world = world.pool(pool);
    }
    world
}

fn provider(id: &str, dice: &mut Dice) -> SimulatedProvider {
    let mut span = |length: u64| {
        let from = dice.below(60);
        secs(from)..secs(from + 1 + dice.below(length))
    };
    let (outage, slow, failing) = (span(40), span(30), span(30));
    let mut provider = SimulatedProvider::new(id)
        .latency(ms(50 + dice.below(800)), 0.2 + dice.below(10) as f64 / 10.0)
        .per_token(ms(dice.below(3)))
        .error_rate([0.0, 0.01, 0.2, 1.0][usize::try_from(dice.below(4)).unwrap()])
        .brown_out(BrownOut::slow(slow, 10.0))
        .brown_out(BrownOut::failing(failing, 0.3))
        .configure(|config| config.max_parallel_requests = Some(20).filter(|_| dice.below(4) == 0));
    if dice.below(2) == 0 {
        provider = provider.outage(outage).slow_start(secs(10), 4.0);
    }
    if dice.below(3) == 0 {
        provider = provider.rate_limit(RateLimit::per_minute(60 + dice.below(600)).burst(10).with_headers());
    }
    provider
}

#[test]
fn in_every_storm_each_request_ends_once_within_its_bound_and_leaves_nothing_behind() {
    for_each_seed(0..240, |seed| {
        let report = storm(seed).run_requests(REQUESTS);
        assert_sound(&report, &format!("seed {seed}"));
        let arrived: u64 = report.pools.iter().map(|pool| pool.arrived).sum();
        assert_eq!(arrived, REQUESTS, "seed {seed}");
    });
}

#[test]
fn storms_do_what_storms_are_for() {
    let (mut failed, mut interrupted, mut rate_limited, mut probes, mut most) = (0, 0, 0, 0, 0);
    for seed in 0..24 {
        let report = storm(seed).run_requests(REQUESTS);
        failed += report.pools.iter().map(|pool| pool.failed()).sum::<u64>();
        interrupted += report.pools.iter().map(|pool| pool.interrupted).sum::<u64>();
        rate_limited += report.deployments.iter().map(|one| one.rate_limited).sum::<u64>();
        probes += report.deployments.iter().map(|one| one.probes).sum::<u64>();
        most = most.max(report.pools.iter().map(|pool| pool.most_attempts).max().unwrap());
    }
    let seen = [failed, interrupted, rate_limited, probes];
    assert!(seen.iter().all(|count| *count > 10) && most >= 4, "{seen:?}, {most} attempts");
}
