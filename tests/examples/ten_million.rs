//! Ten million requests through the real routes, on a virtual clock.
//!
//! ```text
//! cargo run --release -p system-tests --example ten_million
//! ```
//! Exits with 1 when something that must hold does not.

#![expect(clippy::print_stdout, reason = "this is what it is for")]

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use router_core::{LatencyBased, PeakEwma, SimpleShuffle};
use system_tests::simulator::{BrownOut, RateLimit, SimulatedPool, SimulatedProvider, World};

const REQUESTS: u64 = 10_000_000;

/// Three pools at 9,000 requests a second, with everything that goes wrong in a bad half hour.
fn world() -> World {
    let secs = Duration::from_secs;
    let provider = |id: &str, millis| SimulatedProvider::new(id).latency(Duration::from_millis(millis), 0.4);
    let chat = SimulatedPool::new("chat", Arc::new(SimpleShuffle))
        .arrivals_per_second(4_000.0)
        .streamed(0.5)
        .fallback("backup")
        .provider(provider("chat-a", 120).error_rate(0.001).per_token(Duration::from_micros(500)))
        .provider(provider("chat-b", 150).outage(secs(200)..secs(260)).slow_start(secs(30), 3.0))
        .provider(provider("chat-c", 100).rate_limit(RateLimit::per_minute(120_000).burst(20_000)));
    let fast = SimulatedPool::new("fast", Arc::new(PeakEwma))
        .arrivals_per_second(3_000.0)
        .fallback("chat")
        .provider(provider("fast-a", 60).brown_out(BrownOut::slow(secs(400)..secs(460), 10.0)))
        .provider(provider("fast-b", 60).slow_start(secs(20), 4.0).outage(secs(900)..secs(910)))
        .provider(provider("fast-c", 80).outage(secs(600)..secs(660)));
    let backup = SimulatedPool::new("backup", Arc::new(LatencyBased))
        .arrivals_per_second(2_000.0)
        .provider(provider("backup-a", 90).price(0.15, 0.6))
        .provider(provider("backup-b", 200).price(0.1, 0.4));
    World::new(2026).pool(chat).pool(fast).pool(backup)
}

fn main() -> ExitCode {
    let begun = Instant::now();
    let report = world().run_requests(REQUESTS);
    let wall = begun.elapsed();
    let sum = |of: fn(&system_tests::simulator::PoolReport) -> u64| report.pools.iter().map(of).sum::<u64>();
    let (arrived, answered, attempts) =
        (sum(|pool| pool.arrived), sum(|pool| pool.answered), sum(|pool| pool.attempts));

    println!("{arrived} requests over {:?} of virtual time in {wall:.1?}", report.ended);
    println!(
        "{:.0} requests/s, {answered} answered, {attempts} attempts",
        arrived as f64 / wall.as_secs_f64()
    );
    print!("{report}");

    let checks = [
        ("every request came and ended once", report.lost == 0 && arrived == REQUESTS),
        ("each end is an answer or a failure", answered + sum(|pool| pool.failed()) == REQUESTS),
        ("99.99 % are answered", answered * 10_000 >= REQUESTS * 9_999),
        (
            "no request was tried too often",
            report.pools.iter().all(|pool| pool.most_attempts <= pool.attempt_bound),
        ),
        ("there are few retries", attempts < REQUESTS + REQUESTS / 50),
        ("nothing is in flight any more", report.deployments.iter().all(|one| one.in_flight == 0)),
        ("nobody is starved", report.deployments.iter().all(|one| one.calls > REQUESTS / 100)),
        ("it took less than a minute", wall < Duration::from_secs(60)),
    ];
    let broken = checks.into_iter().filter(|(_, holds)| !holds).map(|(what, _)| what).collect::<Vec<_>>();
    broken.iter().for_each(|what| println!("DOES NOT HOLD: {what}"));
    if broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
