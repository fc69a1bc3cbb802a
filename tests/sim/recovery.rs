//! What was down comes back: a deployment after its outage, and a whole fallback circle after a total one.

use system_tests::simulator::{Report, SimulatedPool, SimulatedProvider, World};

use crate::{assert_sound, for_each_seed, named, of_seed, secs};

const OUTAGE: std::ops::Range<u64> = 30..90;
/// After the outage, cooldowns of 5 s have doubled: 5 + 10 + 20 + 40 with a tenth on top go beyond 60 s, so the last is at most 44 s,
/// and the probe is the next request.
const LAST_COOLDOWN: u64 = 45;
const WARM_UP: u64 = 30;

fn one_of_three_is_down(strategy: &str, seed: u64) -> Report {
    let down = SimulatedProvider::new("down").outage(secs(OUTAGE.start)..secs(OUTAGE.end));
    let pool = SimulatedPool::new("pool", named(strategy))
        .arrivals_per_second(30.0)
        .provider(down.slow_start(secs(5), 3.0))
        .providers(["b", "c"].map(SimulatedProvider::new));
    World::new(seed).slice(secs(1)).pool(pool).run_for(secs(300))
}

/// How many seconds after the outage the first call succeeded.
fn comeback(report: &Report) -> Option<u64> {
    let deployment = report.deployment("down");
    let works = |second: &u64| {
        let then = secs(*second)..secs(second + 1);
        deployment.calls_during(then.clone()) > deployment.errors_during(then)
    };
    (OUTAGE.end..300).find(works).map(|second| second - OUTAGE.end)
}

#[track_caller]
fn check(strategy: &str) {
    for_each_seed(0..40, |seed| {
        let report = one_of_three_is_down(strategy, seed);
        assert_sound(&report, strategy);
        assert_eq!(report.pool("pool").failed(), 0, "{strategy}, seed {seed}: two were up all the time");
        let during = report.deployment("down").calls_during(secs(OUTAGE.start)..secs(OUTAGE.end));
        assert!(during <= 30, "{strategy}, seed {seed}: {during} calls to a dead deployment");
        let back = comeback(&report).unwrap_or(u64::MAX);
        assert!(back <= LAST_COOLDOWN, "{strategy}, seed {seed}: first answer {back} s after the outage");
        let full = OUTAGE.end + back + WARM_UP + 1;
        for from in (full..270).step_by(15) {
            let share = report.share("down", secs(from)..secs(from + 30));
            assert!((0.23..0.44).contains(&share), "{strategy}, seed {seed}: {share:.3} at {from} s");
        }
    });
}

#[test]
fn after_an_outage_the_first_probe_brings_a_deployment_back_and_it_warms_up_to_its_full_share() {
    for strategy in router_core::strategies() {
        check(strategy.name());
    }
}

#[test]
fn a_total_outage_of_two_pools_that_fall_back_to_each_other_ends_every_request_and_then_heals() {
    for_each_seed(0..24, |seed| {
        let down = |id: &str| SimulatedProvider::new(id).outage(secs(30)..secs(90));
        let pool = |alias, other: &str, members: [&str; 2]| {
            SimulatedPool::new(alias, of_seed(seed)).fallback(other).providers(members.map(down))
        };
        let report = World::new(seed)
            .slice(secs(1))
            .pool(pool("east", "west", ["e1", "e2"]))
            .pool(pool("west", "east", ["w1", "w2"]))
            .run_for(secs(240));
        assert_sound(&report, &format!("seed {seed}"));
        for pool in &report.pools {
            assert_eq!(pool.attempt_bound, 6, "two pools of one attempt and two retries");
            assert!(pool.answered_during(secs(0)..secs(28)) >= 1.0, "seed {seed}: all is well before");
            assert!(pool.answered_during(secs(31)..secs(89)) <= 0.0, "seed {seed}: nobody can answer");
            assert!(
                pool.answered_during(secs(90 + LAST_COOLDOWN)..secs(240)) >= 1.0,
                "seed {seed}: it heals"
            );
        }
        let calls = |one: &system_tests::simulator::DeploymentReport| one.calls_during(secs(31)..secs(89));
        let probes: u64 = report.deployments.iter().map(calls).sum();
        assert!(probes <= 40, "seed {seed}: {probes} calls to dead deployments instead of a few probes");
    });
}
