//! One of three deployments is bad for a minute: what its callers notice, compared to a world that never had it.

use std::ops::Range;

use system_tests::simulator::{BrownOut, Report, SimulatedPool, SimulatedProvider, World};

use crate::{assert_sound, for_each_seed, named, secs};

const MINUTE: Range<std::time::Duration> = secs(30)..secs(90);
/// What the worst hundredth of the callers may notice.
const MOST: f64 = 1.5;

/// Returns the world with the bad deployment, and the one without, under the same requests.
fn worlds(strategy: &str, seed: u64, rate: f64, brown_out: &BrownOut) -> [Report; 2] {
    let pool = || {
        let pool = SimulatedPool::new("pool", named(strategy)).arrivals_per_second(rate);
        pool.providers(["a", "b"].map(SimulatedProvider::new))
    };
    let bad = SimulatedProvider::new("bad").brown_out(brown_out.clone());
    [pool().provider(bad), pool()].map(|pool| {
        let report = World::new(seed).pool(pool).run_for(secs(95));
        assert_sound(&report, strategy);
        report
    })
}

/// How many times as long the slowest hundredth of the callers wait during the minute.
fn ratio([with, without]: &[Report; 2]) -> f64 {
    let of = |report: &Report| report.pool("pool").latency_during(MINUTE).p99().as_secs_f64();
    of(with) / of(without)
}

#[track_caller]
fn check(strategy: &str, rate: f64, brown_out: &BrownOut, seeds: Range<u64>) {
    for_each_seed(seeds, |seed| {
        let worlds = worlds(strategy, seed, rate, brown_out);
        assert_eq!(worlds[0].pool("pool").failed(), 0, "{strategy}, seed {seed}: two were well all the time");
        let ratio = ratio(&worlds);
        assert!(ratio <= MOST, "{strategy} at {rate}/s, seed {seed}: the slowest take {ratio:.2} as long");
    });
}

#[test]
fn under_every_strategy_a_deployment_that_fails_three_in_ten_costs_the_99th_percentile_less_than_half() {
    for strategy in router_core::strategies() {
        check(strategy.name(), 30.0, &BrownOut::failing(MINUTE, 0.3), 0..200);
    }
}

#[test]
fn under_peak_ewma_and_latency_based_a_slow_deployment_costs_the_99th_percentile_less_than_half() {
    let slow = BrownOut::slow(MINUTE, 10.0);
    for strategy in ["peak-ewma", "latency-based-routing"] {
        for brown_out in [slow.clone(), slow.clone().with_errors(0.3)] {
            check(strategy, 30.0, &brown_out, 0..200);
            check(strategy, 150.0, &brown_out, 200..240);
        }
    }
}

#[test]
fn under_least_busy_a_deployment_that_is_only_slow_gets_few_of_the_requests() {
    // More is not in it: equal calls in flight, each ten times as long, are 0.1 / 2.1 = 4.8 % of the traffic (Little's law), and
    // more at a load so light that calls are rarely in flight. The strategies that do not look at latency share evenly.
    for_each_seed(0..40, |seed| {
        let [report, _] = worlds("least-busy", seed, 30.0, &BrownOut::slow(MINUTE, 10.0));
        let share = report.share("bad", MINUTE);
        assert!(share <= 0.1, "seed {seed}: {share:.4} of the traffic goes to the slow one");
    });
}
