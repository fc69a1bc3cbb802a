//! Whole worlds of traffic, simulated from seeds on a virtual clock: what each strategy keeps to, whatever comes.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests stop at the first surprise")]

mod balance;
mod brown_out;
mod cost;
mod limits;
mod recovery;
mod replay;
mod storm;

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use router_core::{Strategy, strategies};
use system_tests::simulator::Report;

/// Runs a check for each of these seeds, on every core.
fn for_each_seed(seeds: Range<u64>, check: impl Fn(u64) + Sync) {
    let next = AtomicU64::new(seeds.start);
    let workers = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let seed = next.fetch_add(1, Relaxed)
                    && seed < seeds.end
                {
                    check(seed);
                }
            });
        }
    });
}

fn named(name: &str) -> Arc<dyn Strategy> {
    strategies().into_iter().find(|strategy| strategy.name() == name).unwrap()
}

/// Returns one strategy after the other, so that six seeds in a row cover them all.
fn of_seed(seed: u64) -> Arc<dyn Strategy> {
    let all = strategies();
    let position = usize::try_from(seed).unwrap() % all.len();
    Arc::clone(&all[position])
}

/// What holds in every world: each request ends once, none is tried too often, and nothing is left behind.
fn assert_sound(report: &Report, context: &str) {
    assert_eq!(report.lost, 0, "{context}: requests without an end");
    for pool in &report.pools {
        assert_eq!(pool.arrived, pool.answered + pool.failed(), "{context}: {} ended otherwise", pool.alias);
        assert!(
            pool.most_attempts <= pool.attempt_bound,
            "{context}: {} attempts in {}, bound {}",
            pool.most_attempts,
            pool.alias,
            pool.attempt_bound
        );
    }
    for deployment in &report.deployments {
        assert_eq!(deployment.in_flight, 0, "{context}: {} has calls in flight", deployment.id);
    }
    let calls: u64 = report.deployments.iter().map(|deployment| deployment.calls).sum();
    let attempts: u64 = report.pools.iter().map(|pool| pool.attempts).sum();
    assert_eq!(calls, attempts, "{context}: calls that nobody made");
}

const fn secs(count: u64) -> Duration {
    Duration::from_secs(count)
}

const fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}
