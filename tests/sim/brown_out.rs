//! One of three deployments is bad for a minute: what its callers notice, compared to a world that never had it.

use system_tests::simulator::{BrownOut, Report, SimulatedPool, SimulatedProvider, World};

use crate::{assert_sound, for_each_seed, named, secs};

const MINUTE: std::ops::Range<std::time::Duration> = secs(30)..secs(90);
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

/// How many times as long the slowest so many of a thousand take during the minute.
fn ratio([with, without]: &[Report; 2], per_mille: u64) -> f64 {
    let of = |report: &Report| report.pool("pool").latency_during(MINUTE).per_mille(per_mille).as_secs_f64();
    of(with) / of(without)
}

#[track_caller]
fn check(strategy: &str, rate: f64, brown_out: &BrownOut, per_mille: u64) {
    for_each_seed(0..4, |seed| {
        let worlds = worlds(strategy, seed, rate, brown_out);
        assert_eq!(worlds[0].pool("pool").failed(), 0, "{strategy}, seed {seed}: two were well all the time");
        let ratio = ratio(&worlds, per_mille);
        assert!(
            ratio <= MOST,
            "{strategy} at {rate}/s, seed {seed}: {per_mille} of 1000 take {ratio:.2} as long"
        );
    });
}

#[test]
fn under_every_strategy_a_deployment_that_fails_three_in_ten_costs_the_99th_percentile_less_than_half() {
    for strategy in router_core::strategies() {
        check(strategy.name(), 30.0, &BrownOut::failing(MINUTE, 0.3), 990);
    }
}

#[test]
fn under_peak_ewma_a_slow_and_failing_deployment_costs_the_99th_percentile_less_than_half() {
    for rate in [30.0, 150.0] {
        check("peak-ewma", rate, &BrownOut::slow(MINUTE, 10.0).with_errors(0.3), 990);
    }
}

#[test]
fn under_latency_based_a_slow_and_failing_deployment_costs_a_busy_pool_less_than_half() {
    // At 30 requests a second, exploring alone is more than a hundredth of the minute's requests.
    check("latency-based-routing", 150.0, &BrownOut::slow(MINUTE, 10.0).with_errors(0.3), 990);
}

#[test]
fn under_peak_ewma_a_deployment_that_is_only_slow_costs_the_98th_percentile_less_than_half() {
    // It is not the 99th: a call that takes ten times as long is known to be slow only when it is over, and a deployment that is
    // left alone looks fast again after half a minute. Together that is 1.2 % of the minute's requests.
    for rate in [30.0, 150.0] {
        check("peak-ewma", rate, &BrownOut::slow(MINUTE, 10.0), 980);
    }
}

#[test]
fn a_deployment_that_is_only_slow_gets_few_of_the_requests() {
    // Least busy cannot do better: equal calls in flight, each ten times as long, are 0.1 / 2.1 = 4.8 % of the traffic (Little's
    // law), and more at a load so light that calls are rarely in flight. Latency based explores with 5 %, most of it there.
    for (strategy, most) in [("peak-ewma", 0.02), ("latency-based-routing", 0.06), ("least-busy", 0.1)] {
        for_each_seed(0..4, |seed| {
            let [report, _] = worlds(strategy, seed, 30.0, &BrownOut::slow(MINUTE, 10.0));
            let share = report.share("bad", MINUTE);
            assert!(share <= most, "{strategy}, seed {seed}: {share:.4} of the traffic goes to the slow one");
        });
    }
}
