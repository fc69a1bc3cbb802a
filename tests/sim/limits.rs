//! Limits that providers set.

use std::time::Duration;

use system_tests::simulator::{RateLimit, Report, SimulatedPool, SimulatedProvider, World};

use crate::{assert_sound, for_each_seed, of_seed, secs};

const NAMES: [&str; 3] = ["a", "b", "c"];
const PER_MINUTE: u64 = 600;

/// Three such deployments under a load relative to what their limits allow together, 30 a second.
fn run(
    seed: u64,
    load: f64,
    queue_timeout: Duration,
    provider: impl Fn(&str) -> SimulatedProvider,
) -> Report {
    let pool = SimulatedPool::new("pool", of_seed(seed)).arrivals_per_second(30.0 * load);
    let report = World::new(seed)
        .configure(|settings| settings.queue_timeout = queue_timeout)
        .pool(pool.providers(NAMES.map(provider)))
        .run_for(secs(150));
    assert_sound(&report, &format!("seed {seed}"));
    report
}

fn refused(report: &Report) -> f64 {
    let count = |of: fn(&system_tests::simulator::DeploymentReport) -> u64| {
        report.deployments.iter().map(of).sum::<u64>() as f64
    };
    count(|one| one.rate_limited) / count(|one| one.calls)
}

/// Twice what the limits allow together, so that keeping to them is all that helps.
const TOO_MUCH: f64 = 2.0;

/// 150 s at ten a second, and the full buckets of the beginning.
const ALLOWED: u64 = 3 * (150 * PER_MINUTE / 60 + PER_MINUTE);

fn answered(report: &Report) -> u64 {
    report.pool("pool").answered
}

#[test]
fn with_the_providers_own_limit_configured_there_is_hardly_a_429_even_under_too_much_load() {
    for_each_seed(0..12, |seed| {
        let limited = |id: &str| {
            let provider = SimulatedProvider::new(id).rate_limit(RateLimit::per_minute(PER_MINUTE));
            provider.configure(|config| config.rpm = Some(PER_MINUTE))
        };
        let report = run(seed, TOO_MUCH, secs(5), limited);
        assert!(refused(&report) < 0.01, "seed {seed}: {:.4} of the calls", refused(&report));
        // A sliding minute cannot use what a bucket had saved up before.
        let kept = answered(&report);
        assert!(kept * 10 > ALLOWED * 7, "seed {seed}: {kept} of {ALLOWED} that were allowed");
    });
}

#[test]
fn with_the_providers_headers_there_is_hardly_a_429_even_under_too_much_load() {
    for_each_seed(0..12, |seed| {
        let limit = RateLimit::per_minute(PER_MINUTE).with_headers();
        let report = run(seed, TOO_MUCH, secs(5), |id| SimulatedProvider::new(id).rate_limit(limit));
        assert!(refused(&report) < 0.01, "seed {seed}: {:.4} of the calls", refused(&report));
        let kept = answered(&report);
        assert!(kept * 10 > ALLOWED * 7, "seed {seed}: {kept} of {ALLOWED} that were allowed");
    });
}

#[test]
fn without_configuration_too_much_load_is_refused_now_and_then_and_nearly_all_that_is_allowed_is_used() {
    for_each_seed(0..12, |seed| {
        let limit = RateLimit::per_minute(PER_MINUTE);
        let report = run(seed, TOO_MUCH, secs(5), |id| SimulatedProvider::new(id).rate_limit(limit));
        assert!(refused(&report) > 0.01, "seed {seed}: the load is too low to tell limits that are known");
        let kept = answered(&report);
        assert!(kept * 10 > ALLOWED * 9, "seed {seed}: {kept} of {ALLOWED} that were allowed");
    });
}

#[test]
fn without_configuration_429s_are_routed_around_and_all_that_fits_is_answered() {
    for_each_seed(0..12, |seed| {
        // One of them allows a third of its fair share; the others have room for the rest.
        let report = run(seed, 1.0, secs(5), |id| match id {
            "a" => SimulatedProvider::new(id).rate_limit(RateLimit::per_minute(PER_MINUTE / 3).burst(5)),
            _ => SimulatedProvider::new(id),
        });
        assert!(report.deployment("a").rate_limited > 0, "seed {seed}: the limit was met");
        assert!(refused(&report) < 0.02, "seed {seed}: {:.4} of the calls", refused(&report));
        assert_eq!(report.pool("pool").failed(), 0, "seed {seed}");
    });
}

#[test]
fn without_configuration_three_tight_limits_answer_all_that_they_allow_together() {
    for_each_seed(0..12, |seed| {
        let limit = RateLimit::per_minute(PER_MINUTE).burst(10);
        let report = run(seed, 0.7, secs(5), |id| SimulatedProvider::new(id).rate_limit(limit));
        assert_eq!(report.pool("pool").failed(), 0, "seed {seed}");
    });
}
