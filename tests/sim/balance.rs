//! Equal deployments get equal shares.

use system_tests::simulator::{SimulatedPool, SimulatedProvider, World};

use crate::{assert_sound, for_each_seed, named, secs};

const REQUESTS: u64 = 6_000;
const NAMES: [&str; 3] = ["a", "b", "c"];

/// Over whole runs, at a light and at a heavy load: how far a share may be from a third, and how many picks in a row may go to one.
#[track_caller]
fn check(strategy: &str, tolerance: f64, most_in_a_row: u64) {
    for_each_seed(0..16, |seed| {
        let rate = if seed % 2 == 0 { 20.0 } else { 200.0 };
        let pool = SimulatedPool::new("pool", named(strategy)).arrivals_per_second(rate);
        let report =
            World::new(seed).pool(pool.providers(NAMES.map(SimulatedProvider::new))).run_requests(REQUESTS);
        assert_sound(&report, strategy);
        for id in NAMES {
            let share = report.deployment(id).calls as f64 / REQUESTS as f64;
            let off = (share - 1.0 / 3.0).abs();
            assert!(off <= tolerance, "{strategy}, seed {seed}: {id} got {share:.4} of the calls");
        }
        let run = report.pool("pool").longest_run;
        assert!(run <= most_in_a_row, "{strategy}, seed {seed}: {run} picks in a row");
    });
}

/// Five standard deviations of a fair draw: sqrt(1/3 * 2/3 / 6000) = 0.0061. A strategy that balances must not be worse than dice.
const FAIR_DRAW: f64 = 0.0305;

/// A fair draw has 12 in a row in one of four such runs of 6,000 (6000 * 2/3 / 3^11 = 0.023 for one, times 16 seeds).
const FAIR_ROW: u64 = 12;

#[test]
fn simple_shuffle_deals_everybody_one_call_a_round() {
    // The end of one round and the beginning of the next can be the same deployment, hence two in a row.
    check("simple-shuffle", 1.01 / REQUESTS as f64, 2);
}

#[test]
fn least_busy_shares_as_well_as_fair_dice() {
    check("least-busy", FAIR_DRAW, FAIR_ROW);
}

#[test]
fn latency_based_shares_equal_latencies_as_well_as_fair_dice() {
    check("latency-based-routing", FAIR_DRAW, FAIR_ROW);
}

#[test]
fn usage_based_levels_tokens_and_so_nearly_levels_calls() {
    // One prompt of ten times the usual length holds a deployment back for as long as the others catch up, ten calls each.
    check("usage-based-routing", FAIR_DRAW, 2 * FAIR_ROW);
}

#[test]
fn peak_ewma_shares_equal_latencies_but_for_the_peaks() {
    // A peak counts for ten seconds, a third of the shorter runs: picks depend on each other, so 5 % instead of 3 %.
    check("peak-ewma", 0.05, FAIR_ROW);
}

#[test]
fn nobody_is_starved_or_herded_within_any_half_minute() {
    for_each_seed(0..200, |seed| {
        let name =
            ["simple-shuffle", "least-busy", "latency-based-routing", "usage-based-routing", "peak-ewma"]
                [usize::try_from(seed % 5).unwrap()];
        let pool = SimulatedPool::new("pool", named(name)).providers(NAMES.map(SimulatedProvider::new));
        let report = World::new(seed).pool(pool).run_for(secs(180));
        for id in NAMES {
            for from in (0..150).step_by(10) {
                let share = report.share(id, secs(from)..secs(from + 30));
                // 600 calls: five standard deviations of a fair draw are 0.096, and peaks come on top.
                assert!((0.2..0.47).contains(&share), "{name}, seed {seed}: {id} has {share:.3} at {from} s");
            }
        }
    });
}
