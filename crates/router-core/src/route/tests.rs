//! Routes driven with literals: outcomes in, calls out.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::breaker::BreakerState;
use crate::config::{Config, DeploymentConfig, FallbackConfig, KindPolicy, PoolConfig, Settings};
use crate::{Abilities, Alias, DeploymentId, ProviderErrorKind};
use ProviderErrorKind::{
    Authentication, ContentPolicy, ContextWindow, InvalidRequest, RateLimited, Server, Timeout, Unsupported,
};

fn alias(name: &str) -> Alias {
    Alias::try_from(name).unwrap()
}

/// A deployment named `a1` belongs to the pool `a`.
fn deployment(name: &str) -> DeploymentConfig {
    let mut deployment = DeploymentConfig::new(alias(name.trim_end_matches(char::is_numeric)), "p", "m");
    deployment.id = Some(DeploymentId::try_from(name).unwrap());
    deployment
}

fn edges(kind: FallbackKind, from: &str, to: &[&str]) -> FallbackConfig {
    FallbackConfig { kind, from: Some(alias(from)), to: to.iter().map(|name| alias(name)).collect() }
}

fn config(names: &[&str], fallbacks: &[(&str, &[&str])]) -> Config {
    Config {
        deployments: names.iter().map(|name| deployment(name)).collect(),
        fallbacks: fallbacks.iter().map(|(from, to)| edges(FallbackKind::General, from, to)).collect(),
        ..Config::default()
    }
}

fn fleet(config: Config) -> Arc<Fleet> {
    Arc::new(Fleet::new(Arc::new(Catalog::new(config).unwrap())))
}

/// A virtual world: a clock, dice, and what each deployment answers; the last answer of a script repeats.
struct World {
    fleet: Arc<Fleet>,
    now: Timestamp,
    dice: Dice,
    answers: HashMap<String, Vec<Answer>>,
}

type Answer = Result<(), (ProviderErrorKind, Option<u64>)>;

/// What a route did, in words: `a1` is a call, `+500` a wait of so many milliseconds.
#[derive(Debug, PartialEq)]
struct Story {
    steps: Vec<String>,
    end: Result<(), RouteFailure>,
}

impl World {
    fn new(config: Config) -> Self {
        let now = Timestamp::from_millis(1_000_000_000);
        Self { fleet: fleet(config), now, dice: Dice::from_seed(42), answers: HashMap::new() }
    }

    fn answers(mut self, deployment: &str, answers: &[Answer]) -> Self {
        self.answers.insert(deployment.to_owned(), answers.iter().rev().copied().collect());
        self
    }

    fn fails(self, deployment: &str, kind: ProviderErrorKind) -> Self {
        self.answers(deployment, &[Err((kind, None))])
    }

    fn answer(&mut self, deployment: &str) -> Result<(), ProviderError> {
        let answer = match self.answers.get_mut(deployment) {
            Some(script) if script.len() > 1 => script.pop().unwrap(),
            Some(script) => script[0],
            None => Ok(()),
        };
        answer.map_err(|(kind, retry_after)| {
            let error = ProviderError::new(kind, "scripted");
            retry_after.map_or(ProviderError::new(kind, "scripted"), |seconds| {
                error.with_retry_after(Duration::from_secs(seconds))
            })
        })
    }

    fn route(&mut self, pool: &str) -> Story {
        let pool = self.fleet.catalog().pool(pool).unwrap();
        let mut route = Route::new(Arc::clone(&self.fleet), pool, Demand::whole(), self.now);
        let mut steps = Vec::new();
        loop {
            match route.next(self.now, &mut self.dice) {
                Step::Attempt(attempt) => {
                    let name = self.fleet.catalog()[attempt.deployment()].id().to_string();
                    let answer = self.answer(&name);
                    steps.push(name);
                    route.record(attempt, answer.map(|()| Lesson::default()), self.now);
                }
                Step::Wait(span) => {
                    steps.push(format!("+{}", span.as_millis()));
                    self.now = self.now + span;
                }
                Step::Done(end) => return Story { steps, end },
            }
        }
    }

    fn calls(&mut self, pool: &str) -> Vec<String> {
        self.route(pool).steps
    }

    fn pass(&mut self, seconds: u64) {
        self.now = self.now + Duration::from_secs(seconds);
    }
}

#[test]
fn a_failed_call_is_retried_on_a_deployment_that_was_not_tried() {
    for seed in 0..50 {
        let mut world = World::new(config(&["a1", "a2", "a3"], &[])).fails("a1", Server).fails("a2", Server);
        world.dice = Dice::from_seed(seed);
        let story = world.route("a");
        assert_eq!(story.end, Ok(()));
        assert_eq!(story.steps.last().unwrap(), "a3");
        assert!(story.steps.iter().all(|step| !step.starts_with('+')), "no wait while others are ready");
    }
}

#[test]
fn only_a_lone_deployment_is_waited_for_and_the_wait_grows() {
    let mut world = World::new(config(&["a1"], &[])).fails("a1", Server);
    let story = world.route("a");
    let waits: Vec<u64> =
        story.steps.iter().filter_map(|step| step.strip_prefix('+')?.parse().ok()).collect();
    assert_eq!(story.steps.iter().filter(|step| *step == "a1").count(), 3);
    assert!((500..=750).contains(&waits[0]) && (1000..=1500).contains(&waits[1]), "{waits:?}");
    assert_eq!(story.end, Err(RouteFailure::Attempted { retry_after: None }));
}

#[test]
fn a_wait_is_never_shorter_than_retry_after_says() {
    let mut config = config(&["a1"], &[]);
    config.settings.retry_after = Duration::from_secs(3);
    let mut world = World::new(config).answers("a1", &[Err((Server, None)), Ok(())]);
    let wait: u64 = world.calls("a")[1].strip_prefix('+').unwrap().parse().unwrap();
    assert!((3000..=4500).contains(&wait), "{wait}");
}

#[test]
fn a_pool_of_one_waits_for_the_providers_retry_after_and_then_answers() {
    let mut world = World::new(config(&["a1"], &[])).answers("a1", &[Err((RateLimited, Some(3))), Ok(())]);
    assert_eq!(world.calls("a"), ["a1", "+3000", "a1"]);
}

#[test]
fn a_wait_longer_than_a_caller_likes_is_an_error_that_says_when() {
    let mut world = World::new(config(&["a1"], &[])).answers("a1", &[Err((RateLimited, Some(45)))]);
    let story = world.route("a");
    assert_eq!(story.steps, ["a1"]);
    assert_eq!(story.end, Err(RouteFailure::Attempted { retry_after: Some(Duration::from_secs(45)) }));
}

#[test]
fn a_ready_fallback_is_better_than_a_wait() {
    let mut world = World::new(config(&["a1", "b1"], &[("a", &["b"])])).fails("a1", Server);
    assert_eq!(world.calls("a"), ["a1", "b1"]);
}

#[test]
fn retries_come_before_the_fallback() {
    let mut world =
        World::new(config(&["a1", "a2", "b1"], &[("a", &["b"])])).fails("a1", Server).fails("a2", Timeout);
    let story = world.route("a");
    assert_eq!(story.steps.len(), 4, "{story:?}");
    assert_eq!(story.steps[3], "b1");
    assert_eq!(story.end, Ok(()));
}

#[test]
fn a_mutual_fallback_ends_with_the_last_real_error() {
    let both = |world: World| world.fails("a1", Server).fails("b1", Timeout);
    let mut config = config(&["a1", "b1"], &[("a", &["b"]), ("b", &["a"])]);
    config.settings.allowed_fails = 100;
    let mut world = both(World::new(config));
    let story = world.route("a");
    assert!(story.steps.iter().filter(|step| !step.starts_with('+')).count() <= 6, "{story:?}");
    assert_eq!(story.steps.first().unwrap(), "a1");
    assert_eq!(story.steps.last().unwrap(), "b1");
    assert_eq!(story.end, Err(RouteFailure::Attempted { retry_after: None }));
}

#[test]
fn fallbacks_are_followed_depth_first_and_each_alias_is_entered_once() {
    let config = config(
        &["a1", "b1", "c1", "d1"],
        &[("a", &["b", "c"]), ("b", &["d", "a"]), ("c", &["a"]), ("d", &["b"])],
    );
    let mut world = World::new(config);
    for name in ["a1", "b1", "c1", "d1"] {
        world = world.fails(name, Authentication);
    }
    assert_eq!(world.calls("a"), ["a1", "b1", "d1", "c1"]);
}

#[test]
fn a_refused_credential_is_not_tried_again_and_not_waited_for() {
    let mut world =
        World::new(config(&["a1", "a2"], &[])).fails("a1", Authentication).fails("a2", Authentication);
    let story = world.route("a");
    assert_eq!(story.steps.len(), 2);
    assert_eq!(story.end, Err(RouteFailure::Attempted { retry_after: None }));
}

#[test]
fn a_wrong_request_is_asked_once() {
    let mut world = World::new(config(&["a1", "a2", "b1"], &[("a", &["b"])]));
    for name in ["a1", "a2", "b1"] {
        world = world.fails(name, InvalidRequest);
    }
    assert_eq!(world.calls("a").len(), 1);
}

#[test]
fn what_one_deployment_cannot_do_another_may() {
    for seed in 0..20 {
        let mut world = World::new(config(&["a1", "a2"], &[])).fails("a1", Unsupported);
        world.dice = Dice::from_seed(seed);
        assert_eq!(world.calls("a").last().unwrap(), "a2");
        let a1 = DeploymentIndex(0);
        assert_eq!(world.fleet.breaker(a1, world.now), BreakerState::Closed);
    }
}

#[test]
fn a_context_error_goes_to_the_context_fallback_and_cools_nobody() {
    let mut config = config(&["a1", "b1", "c1"], &[("a", &["b"])]);
    config.fallbacks.push(edges(FallbackKind::ContextWindow, "a", &["c"]));
    let mut world = World::new(config).fails("a1", ContextWindow);
    for _ in 0..10 {
        assert_eq!(world.calls("a"), ["a1", "c1"]);
    }
}

#[test]
fn without_a_context_fallback_only_a_window_known_to_be_larger_is_tried() {
    let with_windows = |small: Option<u64>, large: Option<u64>| {
        let mut config = config(&["a1", "b1"], &[("a", &["b"])]);
        config.deployments[0].max_input_tokens = small;
        config.deployments[1].max_input_tokens = large;
        World::new(config).fails("a1", ContextWindow).calls("a")
    };
    assert_eq!(with_windows(Some(8_000), Some(200_000)), ["a1", "b1"]);
    assert_eq!(with_windows(Some(8_000), Some(8_000)), ["a1"]);
    assert_eq!(with_windows(Some(8_000), None), ["a1"]);
    assert_eq!(with_windows(None, Some(200_000)), ["a1"]);
}

#[test]
fn a_context_fallback_to_itself_ends() {
    let mut config = config(&["a1"], &[]);
    config.fallbacks.push(edges(FallbackKind::ContextWindow, "a", &["a"]));
    let mut world = World::new(config).fails("a1", ContextWindow);
    assert_eq!(world.calls("a"), ["a1"]);
}

#[test]
fn a_policy_error_goes_to_the_policy_fallback_else_to_the_general_one() {
    let mut config = config(&["a1", "b1", "c1"], &[("a", &["b"]), ("c", &["b"])]);
    config.fallbacks.push(edges(FallbackKind::ContentPolicy, "a", &["c"]));
    let mut world = World::new(config).fails("a1", ContentPolicy).fails("c1", ContentPolicy);
    assert_eq!(world.calls("a"), ["a1", "c1", "b1"]);
}

#[test]
fn a_cooling_deployment_is_left_alone_until_one_probe_decides() {
    let mut config = config(&["a1", "a2"], &[]);
    config.settings.cooldown_time = Duration::from_secs(60);
    config.settings.allowed_fails = 0;
    let mut world = World::new(config).answers("a1", &[Err((Server, None)), Err((Server, None)), Ok(())]);
    while !world.calls("a").contains(&"a1".to_owned()) {}
    for second in 0..59 {
        assert_eq!(world.calls("a"), ["a2"], "second {second}");
        world.pass(1);
    }
    world.pass(1);
    // The first probe fails and reopens at once, for twice as long; the second closes.
    let probes =
        |world: &mut World| (0..4).map(|_| world.calls("a")).filter(|calls| calls[0] == "a1").count();
    assert_eq!(probes(&mut world), 1);
    world.pass(119);
    assert_eq!(probes(&mut world), 0);
    world.pass(15);
    assert_eq!(probes(&mut world), 1, "then it warms up");
    assert_eq!(world.fleet.breaker(DeploymentIndex(0), world.now), BreakerState::Closed);
}

#[test]
fn while_the_probe_is_on_its_way_nobody_else_calls_the_deployment() {
    let mut config = config(&["a1"], &[]);
    config.settings.allowed_fails = 0;
    let mut world = World::new(config).answers("a1", &[Err((RateLimited, Some(40))), Ok(())]);
    world.route("a");
    world.pass(40);
    let pool = world.fleet.catalog().pool("a").unwrap();
    let start = |world: &World| Route::new(Arc::clone(&world.fleet), pool, Demand::whole(), world.now);
    let (mut first, mut second) = (start(&world), start(&world));
    let Step::Attempt(probe) = first.next(world.now, &mut world.dice) else { panic!("a probe is due") };
    assert!(probe.is_probe());
    assert!(matches!(
        second.next(world.now, &mut world.dice),
        Step::Done(Err(RouteFailure::Unavailable { .. } | RouteFailure::Unfit(_)))
    ));
    drop(probe);
    let mut third = start(&world);
    assert!(
        matches!(third.next(world.now, &mut world.dice), Step::Attempt(_)),
        "an abandoned probe is free again"
    );
}

#[test]
fn when_everybody_cools_the_caller_hears_the_remaining_time_at_once() {
    let mut config = config(&["a1", "b1"], &[("a", &["b"])]);
    config.settings.cooldown_time = Duration::from_secs(60);
    let mut world =
        World::new(config).fails("a1", Authentication).answers("b1", &[Err((RateLimited, Some(40)))]);
    world.route("a");
    world.pass(15);
    let story = world.route("a");
    assert_eq!(story.steps, Vec::<String>::new());
    let retry_after = Duration::from_secs(25);
    assert_eq!(
        story.end,
        Err(RouteFailure::Unavailable { retry_after, obstacle: Obstacle::Cooling(RateLimited) })
    );
}

#[test]
fn a_cooling_pool_is_passed_over_for_its_fallback_at_once() {
    let config = config(&["a1", "b1", "c1"], &[("a", &["b"]), ("b", &["c"])]);
    let mut world = World::new(config).fails("a1", Authentication).fails("b1", Authentication);
    assert_eq!(world.calls("a"), ["a1", "b1", "c1"]);
    assert_eq!(world.calls("a"), ["c1"]);
}

#[test]
fn the_total_time_ends_waits_and_attempts() {
    let mut config = config(&["a1"], &[]);
    config.settings.total_timeout = Some(Duration::from_millis(700));
    config.settings.retry_after = Duration::from_secs(1);
    let mut world = World::new(config).fails("a1", Server);
    assert_eq!(world.calls("a"), ["a1"], "a wait beyond the deadline is not begun");

    let pool = world.fleet.catalog().pool("a").unwrap();
    let mut route = Route::new(Arc::clone(&world.fleet), pool, Demand::whole(), world.now);
    let Step::Attempt(attempt) = route.next(world.now, &mut world.dice) else { panic!("an attempt is due") };
    assert_eq!(attempt.timeout(), Duration::from_millis(700), "an attempt gets what is left");
    world.pass(1);
    route.record(attempt, Err(ProviderError::new(Timeout, "")), world.now);
    let end = route.next(world.now, &mut world.dice);
    assert!(matches!(end, Step::Done(Err(RouteFailure::DeadlineExceeded))), "{end:?}");
}

#[test]
fn traffic_follows_the_shares_exactly_over_each_round() {
    let mut config = config(&["a1", "a2", "a3"], &[]);
    config.deployments[0].weight = Some(3.0);
    config.deployments[2].weight = Some(0.0);
    let mut world = World::new(config);
    let mut counts: HashMap<String, u32> = HashMap::new();
    for _ in 0..400 {
        *counts.entry(world.calls("a")[0].clone()).or_default() += 1;
    }
    assert_eq!(counts, HashMap::from([("a1".to_owned(), 300), ("a2".to_owned(), 100)]));
}

#[test]
fn a_burst_spreads_evenly_in_an_order_that_the_dice_decide() {
    let orders: std::collections::HashSet<Vec<usize>> = (0..20)
        .map(|seed| {
            let fleet = fleet(config(&["a1", "a2", "a3"], &[]));
            let pool = fleet.catalog().pool("a").unwrap();
            let (now, mut dice) = (Timestamp::from_millis(5), Dice::from_seed(seed));
            let mut routes: Vec<Route> =
                (0..60).map(|_| Route::new(Arc::clone(&fleet), pool, Demand::stream(), now)).collect();
            let attempts: Vec<Attempt> = routes
                .iter_mut()
                .map(|route| match route.next(now, &mut dice) {
                    Step::Attempt(attempt) => attempt,
                    step => panic!("{step:?}"),
                })
                .collect();
            for n in 0..3 {
                assert_eq!(fleet.in_flight(DeploymentIndex(n)), 20);
            }
            let order = attempts.iter().map(|attempt| attempt.deployment().get()).collect();
            drop(attempts);
            assert_eq!(fleet.in_flight(DeploymentIndex(0)), 0, "a dropped attempt is not in flight");
            order
        })
        .collect();
    assert!(orders.len() > 15, "the order is shuffled");
}

#[test]
fn who_comes_back_from_a_cooldown_is_not_flooded() {
    let mut config = config(&["a1", "a2"], &[]);
    config.settings.allowed_fails = 0;
    let mut world = World::new(config).answers("a1", &[Err((Server, None)), Ok(())]);
    while !world.calls("a").contains(&"a1".to_owned()) {}
    for _ in 0..100 {
        world.calls("a");
    }
    world.pass(5);
    let share = |world: &mut World| (0..20).filter(|_| world.calls("a")[0] == "a1").count();
    let first = share(&mut world);
    assert!((1..=6).contains(&first), "it warms up: {first}");
    world.pass(30);
    assert!((9..=11).contains(&share(&mut world)), "then it has its share, and not what it missed");
}

#[test]
fn a_peers_finding_cools_the_same_deployment_here() {
    let mut world = World::new(config(&["a1", "a2"], &[]));
    let until = world.now + Duration::from_secs(10);
    let deployment = DeploymentId::try_from("a1").unwrap();
    world.fleet.apply(&HealthChange::Cooled { deployment, until, cause: Server });
    for _ in 0..10 {
        assert_eq!(world.calls("a"), ["a2"]);
    }
    world.pass(10);
    assert!((0..3).any(|_| world.calls("a") == ["a1"]));
}

#[test]
fn the_same_seed_makes_the_same_decisions() {
    let story = |seed| {
        let mut world = World::new(config(&["a1", "a2", "a3"], &[])).fails("a1", Server).fails("a2", Server);
        world.dice = Dice::from_seed(seed);
        (0..10).map(|_| world.calls("a")).collect::<Vec<_>>()
    };
    assert_eq!(story(9), story(9));
    assert_ne!(story(9), story(10));
}

fn limited(set: impl Fn(&mut DeploymentConfig)) -> Config {
    let mut config = config(&["a1", "a2"], &[]);
    config.deployments.iter_mut().for_each(set);
    config
}

/// Attempts under way at the same time, as many as the pool admits of `count`.
fn admitted(world: &mut World, count: usize, demand: &Demand) -> Vec<Attempt> {
    let pool = world.fleet.catalog().pool("a").unwrap();
    let start = |world: &mut World| {
        let mut route = Route::new(Arc::clone(&world.fleet), pool, demand.clone(), world.now);
        match route.next(world.now, &mut world.dice) {
            Step::Attempt(attempt) => Some(attempt),
            Step::Wait(_) | Step::Done(_) => None,
        }
    };
    (0..count).filter_map(|_| start(world)).collect()
}

#[test]
fn limits_bind_before_selection_under_every_strategy() {
    for strategy in crate::strategies() {
        let name = strategy.name().to_owned();
        let with = |set: fn(&mut DeploymentConfig)| {
            let mut config = limited(set);
            config.settings.routing_strategy = Arc::clone(&strategy);
            World::new(config)
        };
        let demand = Demand::whole().with_prompt_tokens(100);
        let mut world = with(|deployment| deployment.max_parallel_requests = Some(3));
        let taken = admitted(&mut world, 20, &demand);
        assert_eq!(taken.len(), 6, "{name}");
        drop(taken);
        assert_eq!(admitted(&mut world, 20, &demand).len(), 6, "{name}: places are free again");

        let mut world = with(|deployment| deployment.rpm = Some(5));
        assert_eq!(admitted(&mut world, 20, &demand).len(), 10, "{name}");
        world.pass(66);
        assert_eq!(admitted(&mut world, 20, &demand).len(), 10, "{name}: a minute later");

        let mut world = with(|deployment| deployment.tpm = Some(450));
        assert_eq!(admitted(&mut world, 20, &demand).len(), 8, "{name}");
    }
}

#[test]
fn a_full_pool_falls_back_or_says_when_there_is_room() {
    let mut config = config(&["a1", "b1"], &[("a", &["b"])]);
    config.deployments[0].rpm = Some(2);
    let mut world = World::new(config);
    assert_eq!((0..4).flat_map(|_| world.calls("a")).collect::<Vec<_>>(), ["a1", "a1", "b1", "b1"]);

    let mut world = World::new(limited(|deployment| deployment.rpm = Some(1)));
    world.calls("a");
    world.calls("a");
    world.pass(20);
    let Err(RouteFailure::Unavailable { retry_after, obstacle }) = world.route("a").end else {
        panic!("it is full")
    };
    assert_eq!(obstacle, Obstacle::Rpm);
    assert!((40..=45).contains(&retry_after.as_secs()), "{retry_after:?}");
}

#[test]
fn a_full_pool_is_waited_for_as_long_as_asked() {
    let mut config = limited(|deployment| deployment.rpm = Some(1));
    config.settings.queue_timeout = Duration::from_secs(50);
    let mut world = World::new(config.clone());
    world.calls("a");
    world.calls("a");
    world.pass(30);
    let story = world.route("a");
    assert_eq!(story.end, Ok(()), "room comes within the time: {story:?}");

    config.settings.queue_timeout = Duration::from_secs(10);
    let mut world = World::new(config);
    world.calls("a");
    world.calls("a");
    let before = world.now;
    let story = world.route("a");
    assert!(matches!(story.end, Err(RouteFailure::Unavailable { .. })), "{story:?}");
    assert_eq!(world.now.since(before), Duration::from_secs(10));
}

#[test]
fn what_was_really_used_takes_the_place_of_the_estimate() {
    let mut world = World::new(limited(|deployment| deployment.tpm = Some(1_000)));
    let demand = Demand::whole().with_prompt_tokens(100);
    let pool = world.fleet.catalog().pool("a").unwrap();
    let mut route = Route::new(Arc::clone(&world.fleet), pool, demand, world.now);
    let Step::Attempt(attempt) = route.next(world.now, &mut world.dice) else { panic!("there is room") };
    let index = attempt.deployment();
    assert_eq!(world.fleet.used(index, world.now), (1, 100));
    let usage = crate::Usage { prompt: 120, completion: 380, ..crate::Usage::default() };
    route.record(attempt, Ok(Lesson::default().with_usage(Some(usage))), world.now);
    assert_eq!(world.fleet.used(index, world.now), (1, 500));
}

#[test]
fn what_the_provider_says_is_left_is_believed_before_the_429() {
    let mut world = World::new(config(&["a1", "a2"], &[]));
    let pool = world.fleet.catalog().pool("a").unwrap();
    let mut route = Route::new(Arc::clone(&world.fleet), pool, Demand::whole(), world.now);
    let Step::Attempt(attempt) = route.next(world.now, &mut world.dice) else { panic!("somebody is ready") };
    let near_its_limit = world.fleet.catalog()[attempt.deployment()].id().to_string();
    let headroom = crate::Headroom {
        requests_remaining: Some(0),
        requests_reset: Some(Duration::from_secs(20)),
        ..crate::Headroom::default()
    };
    route.record(attempt, Ok(Lesson::default().with_headroom(Some(headroom))), world.now);
    for _ in 0..10 {
        assert!(!world.calls("a").contains(&near_its_limit));
    }
    world.pass(20);
    let calls: Vec<_> = (0..4).flat_map(|_| world.calls("a")).collect();
    assert!(calls.contains(&near_its_limit));
}

#[test]
fn order_is_strict_priority_with_fall_through() {
    let mut config = config(&["a1", "a2", "a3"], &[]);
    config.deployments[0].order = Some(2);
    config.deployments[1].order = Some(1);
    let mut world = World::new(config);
    for _ in 0..10 {
        assert_eq!(world.calls("a"), ["a2"]);
    }
    let mut world = world.fails("a2", Authentication);
    assert_eq!(world.calls("a"), ["a2", "a1"]);
    for _ in 0..3 {
        assert_eq!(world.calls("a"), ["a1"], "while the first one cools");
    }
    let mut world = world.fails("a1", Authentication);
    assert_eq!(world.calls("a"), ["a1", "a3"], "who has no order comes last");
}

#[test]
fn a_credential_that_is_refused_cools_everything_that_uses_it() {
    let mut config = config(&["a1", "b1", "c1"], &[]);
    for (n, credential) in [(0, 7), (1, 7), (2, 8)] {
        config.deployments[n].credential = Some(credential);
    }
    let mut world = World::new(config).fails("a1", Authentication);
    world.calls("a");
    let states: Vec<bool> =
        (0..3).map(|n| world.fleet.breaker(DeploymentIndex(n), world.now) == BreakerState::Closed).collect();
    assert_eq!(states, [false, false, true]);
}

#[test]
fn a_rate_limit_cools_the_same_model_of_the_same_account_and_a_server_error_only_itself() {
    let shared = |kind| {
        let mut config = config(&["a1", "b1", "c1"], &[]);
        config.settings.allowed_fails = 0;
        for deployment in &mut config.deployments {
            deployment.credential = Some(7);
        }
        config.deployments[2].model = "another".to_owned();
        let mut world = World::new(config).fails("a1", kind);
        world.calls("a");
        [1, 2].map(|n| world.fleet.breaker(DeploymentIndex(n), world.now) == BreakerState::Closed)
    };
    assert_eq!(shared(RateLimited), [false, true]);
    assert_eq!(shared(Server), [true, true]);
}

#[test]
fn retries_can_be_set_by_kind_of_error_and_by_request() {
    let mut config = config(&["a1"], &[]);
    config.settings.allowed_fails = 100;
    config.settings.retry_policy = KindPolicy::new([(Timeout, 4), (Server, 0)]);
    let attempts = |world: &mut World| world.calls("a").iter().filter(|step| *step == "a1").count();
    assert_eq!(attempts(&mut World::new(config.clone()).fails("a1", Timeout)), 5);
    assert_eq!(attempts(&mut World::new(config.clone()).fails("a1", Server)), 1);
    assert_eq!(attempts(&mut World::new(config.clone()).fails("a1", ProviderErrorKind::Connection)), 3);

    let mut world = World::new(config).fails("a1", Timeout);
    let pool = world.fleet.catalog().pool("a").unwrap();
    let mut route =
        Route::new(Arc::clone(&world.fleet), pool, Demand::whole().with_num_retries(0), world.now);
    let Step::Attempt(attempt) = route.next(world.now, &mut world.dice) else { panic!("an attempt is due") };
    route.record(attempt, Err(ProviderError::new(Timeout, "")), world.now);
    assert!(matches!(route.next(world.now, &mut world.dice), Step::Done(Err(_))));
}

#[test]
fn a_prompt_that_fits_no_window_of_the_pool_escalates_without_a_call() {
    let mut config = config(&["a1", "b1"], &[]);
    config.deployments[0].max_input_tokens = Some(8_000);
    config.fallbacks.push(edges(FallbackKind::ContextWindow, "a", &["b"]));
    config.settings.enable_pre_call_checks = true;
    let mut world = World::new(config);
    let pool = world.fleet.catalog().pool("a").unwrap();
    let first = |world: &mut World, tokens| {
        let demand = Demand::whole().with_prompt_tokens(tokens);
        let mut route = Route::new(Arc::clone(&world.fleet), pool, demand, world.now);
        match route.next(world.now, &mut world.dice) {
            Step::Attempt(attempt) => Ok(world.fleet.catalog()[attempt.deployment()].id().to_string()),
            step => Err(format!("{step:?}")),
        }
    };
    assert_eq!(first(&mut world, 8_000).unwrap(), "a1");
    assert_eq!(first(&mut world, 8_001).unwrap(), "b1");
}

#[test]
fn a_prompt_that_fits_nowhere_is_refused_without_a_call() {
    let mut config = config(&["a1"], &[]);
    config.deployments[0].max_input_tokens = Some(8_000);
    config.settings.enable_pre_call_checks = true;
    let world = World::new(config);
    let pool = world.fleet.catalog().pool("a").unwrap();
    let demand = Demand::whole().with_prompt_tokens(9_000);
    let mut route = Route::new(Arc::clone(&world.fleet), pool, demand, world.now);
    let step = route.next(world.now, &mut Dice::from_seed(1));
    assert!(matches!(step, Step::Done(Err(RouteFailure::Unfit(Unfit::ContextWindow)))), "{step:?}");
}

#[test]
fn a_request_passes_over_whoever_is_known_to_lack_what_it_needs() {
    let mut config = config(&["a1", "a2", "b1"], &[("a", &["b"])]);
    config.deployments[0].lacks = Abilities::TOOLS;
    config.deployments[1].lacks = Abilities::TOOLS.with(Abilities::VISION);
    config.deployments[2].lacks = Abilities::VISION;
    let mut world = World::new(config);
    let pool = world.fleet.catalog().pool("a").unwrap();
    let first = |world: &mut World, needs| {
        let demand = Demand::whole().with_needs(needs);
        let mut route = Route::new(Arc::clone(&world.fleet), pool, demand, world.now);
        match route.next(world.now, &mut world.dice) {
            Step::Attempt(attempt) => Ok(world.fleet.catalog()[attempt.deployment()].id().to_string()),
            Step::Done(verdict) => Err(verdict),
            step @ Step::Wait(_) => panic!("{step:?}"),
        }
    };
    assert_eq!(first(&mut world, Abilities::VISION).unwrap(), "a1");
    assert_eq!(first(&mut world, Abilities::TOOLS).unwrap(), "b1", "nobody of the pool: its fallback");
    let both = Abilities::TOOLS.with(Abilities::VISION);
    assert_eq!(first(&mut world, both), Err(Err(RouteFailure::Unfit(Unfit::Abilities(both)))));
}

#[test]
fn tags_choose_deployments() {
    let mut config = config(&["a1", "a2", "a3"], &[]);
    config.settings.enable_tag_filtering = true;
    config.deployments[0].tags = vec!["eu".to_owned(), "paid".to_owned()];
    config.deployments[1].tags = vec!["us".to_owned()];
    config.deployments[2].tags = vec!["default".to_owned()];
    let mut world = World::new(config);
    let who = |world: &mut World, tags: &[&str]| {
        let demand = Demand::whole().with_tags(world.fleet.catalog().tags(tags.iter().copied()));
        let attempts = admitted(world, 6, &demand);
        let mut ids: Vec<_> = attempts.iter().map(|attempt| attempt.deployment().get() + 1).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    };
    assert_eq!(who(&mut world, &["eu"]), [1]);
    assert_eq!(who(&mut world, &["eu", "us"]), [1, 2]);
    assert_eq!(who(&mut world, &[]), [3]);
    assert_eq!(who(&mut world, &["mars"]), [3]);
}

#[test]
fn default_fallbacks_serve_pools_without_their_own_and_never_themselves() {
    let mut config = config(&["a1", "b1", "c1"], &[("a", &["c"])]);
    config.fallbacks.push(FallbackConfig { kind: FallbackKind::General, from: None, to: vec![alias("b")] });
    let mut world = World::new(config);
    for name in ["a1", "b1", "c1"] {
        world = world.fails(name, Authentication);
    }
    assert_eq!(world.calls("b"), ["b1"]);
    world.pass(60);
    assert_eq!(world.calls("c"), ["c1", "b1"]);
}

#[test]
fn a_request_can_bring_its_own_fallbacks() {
    let mut world =
        World::new(config(&["a1", "b1", "c1"], &[("a", &["b"])])).fails("a1", Server).fails("c1", Server);
    let catalog = world.fleet.catalog();
    let (pool, own) = (catalog.pool("a").unwrap(), [catalog.pool("c").unwrap()]);
    let demand = Demand::whole().with_fallbacks(own);
    let mut route = Route::new(Arc::clone(&world.fleet), pool, demand, world.now);
    let mut calls = Vec::new();
    while let Step::Attempt(attempt) = route.next(world.now, &mut world.dice) {
        calls.push(world.fleet.catalog()[attempt.deployment()].id().to_string());
        route.record(attempt, Err(ProviderError::new(Authentication, "")), world.now);
    }
    assert_eq!(calls, ["a1", "c1"]);
}

#[test]
fn max_fallbacks_counts_pools() {
    let mut config = config(&["a1", "b1", "c1", "d1"], &[("a", &["b", "c", "d"])]);
    config.settings.max_fallbacks = 2;
    let mut world = World::new(config);
    for name in ["a1", "b1", "c1", "d1"] {
        world = world.fails(name, Authentication);
    }
    assert_eq!(world.calls("a"), ["a1", "b1", "c1"]);
}

#[test]
fn further_names_and_patterns_lead_to_their_pools() {
    let mut config = config(&["a1", "b1"], &[]);
    config.deployments.push(DeploymentConfig::new(alias("openai/*"), "openai", "*"));
    config.deployments.push(DeploymentConfig::new(alias("openai/gpt-*"), "openai", "gpt-*"));
    config.aliases = vec![(alias("gpt-4"), alias("a"))];
    let catalog = Catalog::new(config).unwrap();
    let name = |asked: &str| catalog.pool(asked).map(|pool| catalog[pool].alias().to_string());
    assert_eq!(name("gpt-4").unwrap(), "a");
    assert_eq!(name("openai/o3").unwrap(), "openai/*");
    assert_eq!(name("openai/gpt-5").unwrap(), "openai/gpt-*", "the most specific pattern wins");
    assert_eq!(name("mistral/x"), None);
}

#[test]
fn retries_stay_a_share_of_the_traffic() {
    let mut config = config(&["a1", "a2"], &[]);
    config.settings.cooldown_time = Duration::ZERO;
    config.settings.num_retries = 5;
    let mut world = World::new(config).fails("a1", Server).fails("a2", Server);
    let calls: usize = (0..2_000)
        .map(|_| {
            let pool = world.fleet.catalog().pool("a").unwrap();
            let mut route = Route::new(Arc::clone(&world.fleet), pool, Demand::whole(), world.now);
            let mut calls = 0;
            while let Step::Attempt(attempt) = route.next(world.now, &mut world.dice) {
                calls += 1;
                route.record(attempt, Err(ProviderError::new(Server, "")), world.now);
            }
            calls
        })
        .sum();
    assert!((2_400..=2_600).contains(&calls), "{calls} calls for 2,000 requests");
}

// Random catalogs and random outcomes.

fn any_kind() -> impl Strategy<Value = ProviderErrorKind> {
    use ProviderErrorKind::*;
    prop::sample::select(vec![
        Authentication,
        Permission,
        QuotaExhausted,
        NotFound,
        Unsupported,
        InvalidRequest,
        ContextWindow,
        ContentPolicy,
        RateLimited,
        Overloaded,
        Timeout,
        Connection,
        Server,
        MalformedReply,
        StreamInterrupted,
        Cancelled,
    ])
}

fn any_config() -> impl Strategy<Value = Config> {
    const POOLS: usize = 5;
    let kinds = [FallbackKind::General, FallbackKind::ContextWindow, FallbackKind::ContentPolicy];
    let name = |pool: usize| alias(&format!("pool-{pool}"));
    let members = prop::collection::vec((0..3_u32, any::<bool>()), POOLS);
    let edges = prop::collection::vec((0..POOLS, prop::sample::select(kinds.to_vec()), 0..POOLS), 0..14);
    let settings = (0..4_u32, 0..3_u32, 0..90_u64, prop::option::of(1..120_u64));
    let overrides = prop::collection::vec((0..POOLS, 0..4_u32), 0..3);
    (members, edges, settings, overrides).prop_map(move |(members, edges, numbers, overrides)| {
        let (num_retries, allowed_fails, cooldown, total) = numbers;
        let deployments = members.iter().enumerate().flat_map(|(pool, (more, wide))| {
            (0..=*more).map(move |n| {
                let mut deployment = DeploymentConfig::new(name(pool), "p", format!("m{n}"));
                deployment.max_input_tokens = wide.then_some(10_000 * (1 + u64::try_from(pool).unwrap()));
                deployment
            })
        });
        Config {
            aliases: Vec::new(),
            deployments: deployments.collect(),
            fallbacks: edges
                .into_iter()
                .map(|(from, kind, to)| FallbackConfig { kind, from: Some(name(from)), to: vec![name(to)] })
                .collect(),
            pools: overrides
                .into_iter()
                .map(|(pool, retries)| PoolConfig {
                    alias: name(pool),
                    routing_strategy: None,
                    retry_policy: None,
                    num_retries: Some(retries),
                })
                .collect(),
            settings: Settings {
                num_retries,
                allowed_fails,
                cooldown_time: Duration::from_secs(cooldown),
                total_timeout: total.map(Duration::from_secs),
                ..Settings::default()
            },
        }
    })
}

#[derive(Debug, Clone)]
struct Event {
    /// Which of the routes under way moves, or starts anew.
    route: usize,
    pool: usize,
    outcome: Option<(ProviderErrorKind, Option<u64>)>,
    /// Milliseconds that pass before.
    pause: u64,
    cancel: bool,
}

fn any_event() -> impl Strategy<Value = Event> {
    let failure = (any_kind(), prop::option::of(0..400_u64));
    (0..4_usize, 0..5_usize, prop::option::weighted(0.8, failure), 0..20_000_u64, prop::bool::weighted(0.05))
        .prop_map(|(route, pool, outcome, pause, cancel)| Event { route, pool, outcome, pause, cancel })
}

/// One of several routes under way at the same time.
struct Running {
    route: Route,
    attempt: Option<Attempt>,
    attempts: u64,
    bound: u64,
    steps: u64,
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn every_route_ends_within_its_bound_and_nobody_cooling_is_called_but_for_one_probe(
        config in any_config(),
        events in prop::collection::vec(any_event(), 1..300),
        seed in any::<u64>(),
    ) {
        let fleet = fleet(config);
        let catalog = fleet.catalog();
        let mut dice = Dice::from_seed(seed);
        let mut now = Timestamp::from_millis(1_000_000_000);
        let mut running: Vec<Option<Running>> = (0..4).map(|_| None).collect();

        for event in &events {
            now = now + Duration::from_millis(event.pause);
            let slot = &mut running[event.route];
            let Some(run) = slot else {
                let pool = catalog.pool(&format!("pool-{}", event.pool)).unwrap();
                *slot = Some(Running {
                    route: Route::new(Arc::clone(&fleet), pool, Demand::whole(), now),
                    attempt: None,
                    attempts: 0,
                    bound: catalog.attempt_bound(pool),
                    steps: 0,
                });
                continue;
            };
            if event.cancel {
                *slot = None;
                continue;
            }
            if let Some(attempt) = run.attempt.take() {
                let outcome = event.outcome.map_or(Ok(Lesson::default()), |(kind, seconds)| {
                    let error = ProviderError::new(kind, "");
                    Err(match seconds {
                        Some(seconds) => error.with_retry_after(Duration::from_secs(seconds)),
                        None => error,
                    })
                });
                run.route.record(attempt, outcome, now);
            }
            let before: Vec<BreakerState> =
                catalog.indices().map(|index| fleet.breaker(index, now)).collect();
            run.steps += 1;
            prop_assert!(run.steps <= 3 * run.bound + 2, "a route goes on for ever");
            match run.route.next(now, &mut dice) {
                Step::Attempt(attempt) => {
                    run.attempts += 1;
                    prop_assert!(run.attempts <= run.bound, "{} attempts, bound {}", run.attempts, run.bound);
                    match before[attempt.deployment().get()] {
                        BreakerState::Closed => prop_assert!(!attempt.is_probe()),
                        BreakerState::HalfOpen { probing } => prop_assert!(!probing && attempt.is_probe()),
                        BreakerState::Open { .. } => prop_assert!(false, "a cooling deployment was called"),
                    }
                    run.attempt = Some(attempt);
                }
                Step::Wait(span) => {
                    prop_assert!(span <= MAX_WAIT);
                    prop_assert!(run.attempts > 0, "nobody waits before the first attempt");
                }
                Step::Done(end) => {
                    let entered = run.route.entered();
                    let mut unique = entered.to_vec();
                    unique.sort_unstable();
                    unique.dedup();
                    prop_assert_eq!(unique.len(), entered.len(), "an alias was entered twice");
                    let last = run.route.trail().last();
                    match end {
                        Ok(()) => prop_assert!(last.unwrap().error.is_none()),
                        Err(RouteFailure::Attempted { .. }) => prop_assert!(last.unwrap().error.is_some()),
                        Err(RouteFailure::Unavailable { .. } | RouteFailure::Unfit(_)) => prop_assert!(last.is_none()),
                        Err(RouteFailure::DeadlineExceeded) => {}
                    }
                    *slot = None;
                }
            }
        }
        drop(running);
        for deployment in catalog.indices() {
            prop_assert_eq!(fleet.in_flight(deployment), 0, "a place in flight leaked");
            prop_assert!(fleet.breaker(deployment, now) != BreakerState::HalfOpen { probing: true }, "a probe leaked");
        }
    }
}

#[test]
fn a_deployment_whose_strict_limit_refuses_is_passed_over_and_nothing_is_counted() {
    let mut config = config(&["a1", "a2", "b"], &[("a", &["b"])]);
    config.deployments.iter_mut().for_each(|deployment| deployment.rpm = Some(100));
    let mut world = World::new(config);
    let pool = world.fleet.catalog().pool("a").unwrap();
    let mut route = Route::new(Arc::clone(&world.fleet), pool, Demand::whole(), world.now);
    let mut asked = Vec::new();
    loop {
        match route.next(world.now, &mut world.dice) {
            Step::Attempt(attempt) => {
                asked.push(world.fleet.catalog()[attempt.deployment()].id().to_string());
                assert_eq!(attempt.cause() == AttemptCause::First, asked.len() < 3);
                let wait = Duration::from_secs(10 + asked.len() as u64);
                route.refuse(attempt, Obstacle::Rpm, wait, world.now);
            }
            Step::Wait(span) => panic!("nobody asked for a wait of {span:?}"),
            Step::Done(end) => {
                let unavailable = RouteFailure::Unavailable {
                    retry_after: Duration::from_secs(11),
                    obstacle: Obstacle::Rpm,
                };
                assert_eq!(end, Err(unavailable), "the true remaining time of the first");
                break;
            }
        }
    }
    asked[..2].sort();
    assert_eq!(asked, ["a1", "a2", "b"]);
    assert!(route.trail().is_empty());
    for deployment in world.fleet.catalog().indices() {
        assert_eq!(world.fleet.used(deployment, world.now), (0, 0));
        assert_eq!(world.fleet.in_flight(deployment), 0);
    }
}

#[test]
fn a_route_ends_however_often_a_strict_limit_refuses_and_however_soon_it_has_room_again() {
    let mut config = config(&["a1", "a2"], &[]);
    config.settings.queue_timeout = Duration::from_secs(2);
    let mut world = World::new(config);
    let pool = world.fleet.catalog().pool("a").unwrap();
    let started = world.now;
    let mut route = Route::new(Arc::clone(&world.fleet), pool, Demand::whole(), world.now);
    loop {
        match route.next(world.now, &mut world.dice) {
            Step::Attempt(attempt) => {
                route.refuse(attempt, Obstacle::Tpm, Duration::ZERO, world.now);
                world.now = world.now + Duration::from_millis(5);
            }
            Step::Wait(span) => world.now = world.now + span,
            Step::Done(end) => {
                assert!(matches!(end, Err(RouteFailure::Unavailable { .. })), "{end:?}");
                break;
            }
        }
    }
    assert!(world.now.since(started) < Duration::from_secs(3), "it waited as long as it may, and no longer");
}
