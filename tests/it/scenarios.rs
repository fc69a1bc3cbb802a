//! Sixteen faults of a provider, and what a caller sees of each: over real HTTP, from the client through the gateway to two
//! simulated providers. Above them all stands one rule: an answer that was cut is never presented as whole.

mod differences;
mod world;

use std::time::Duration;

use futures_util::future::join_all;
use llm_router::RouterBuilder;
use router_mock::{Behaviour, Fault, Usage};

use self::world::{Format, Heard, Layout, Mode, OTHER, PRIMARY, World, sixty_words, until};

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Every way to ask: a pool of two or a fallback, a primary of either format, plain or streamed.
fn every_case() -> impl Iterator<Item = (Layout, Format, Mode)> {
    Layout::BOTH.into_iter().flat_map(|layout| {
        Format::BOTH.into_iter().flat_map(move |format| Mode::BOTH.map(|mode| (layout, format, mode)))
    })
}

/// The fault strikes every call to the primary; each answer is the other deployment's and nothing of the primary shows.
async fn answered_elsewhere(
    fault: Fault,
    cases: impl Iterator<Item = (Layout, Format, Mode)>,
    set: fn(RouterBuilder) -> RouterBuilder,
    why: &str,
) {
    at_once(cases, set, async |world, (layout, format, mode)| {
        let case = format!("{fault:?} {layout:?} {format:?} {mode:?}");
        world.primary.set(Behaviour::answering(sixty_words()).with_fault(fault.clone()));
        let heard = world.ask(mode).await;
        heard.is_whole(OTHER, &case);
        heard.came_from(layout.pool_of_other(), "other", &case);
        assert_eq!(heard.header("x-router-attempts"), "2", "{case}");
        assert_eq!(heard.header("x-router-fallback"), layout.is_fallback().to_string(), "{case}");
        assert_eq!(heard.header("x-router-trail"), format!("primary={why}, other=answered"), "{case}");
        assert_eq!((world.primary.calls(), world.other.calls()), (1, 1), "{case}");
    })
    .await;
}

/// The stream shows what came before the fault, then an error event, and nothing that looks like a good end. Nobody else is
/// asked: another answer would begin anew, in the middle of this one.
async fn cut_after_forty_words(fault: Fault, set: fn(RouterBuilder) -> RouterBuilder, says: &str) {
    let cases = every_case().filter(|(.., mode)| *mode == Mode::Streamed);
    at_once(cases, set, async |world, (layout, format, mode)| {
        let case = format!("{fault:?} {layout:?} {format:?}");
        world.primary.set(Behaviour::answering(sixty_words()).with_chunks(60).with_fault(fault.clone()));
        let heard = world.ask(mode).await;
        heard.is_cut(&case);
        heard.came_from("chat", "primary", &case);
        let forty: Vec<&str> = sixty_words().split(' ').take(40).collect();
        assert_eq!(heard.text.split_whitespace().collect::<Vec<_>>(), forty, "{case}");
        let error = &heard.error.as_ref().unwrap()["error"];
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(says), "{case}: {message}");
        assert_eq!(error["code"], "stream_interrupted", "{case}: whatever the provider called it");
        assert_eq!((world.primary.calls(), world.other.calls()), (1, 0), "{case}");
    })
    .await;
}

/// Runs a check over a world of each case, all at the same time: many of them wait.
async fn at_once(
    cases: impl Iterator<Item = (Layout, Format, Mode)>,
    set: fn(RouterBuilder) -> RouterBuilder,
    check: impl AsyncFn(&World, (Layout, Format, Mode)),
) {
    let mut worlds = Vec::new();
    for (layout, format, mode) in cases {
        worlds.push((World::new(layout, format, set).await, (layout, format, mode)));
    }
    join_all(worlds.iter().map(|(world, case)| check(world, *case))).await;
}

const fn as_it_is(builder: RouterBuilder) -> RouterBuilder {
    builder
}

#[tokio::test]
async fn s01_a_429_is_answered_elsewhere_at_once_and_its_sender_rests_for_retry_after() {
    for (layout, format, mode) in every_case() {
        let case = format!("{layout:?} {format:?} {mode:?}");
        let world = World::new(layout, format, as_it_is).await;
        world.primary.enqueue(Fault::rate_limited("30"));
        let heard = world.ask(mode).await;
        heard.is_whole(OTHER, &case);
        heard.came_from(layout.pool_of_other(), "other", &case);
        assert_eq!(heard.header("x-router-trail"), "primary=rate limited (429), other=answered", "{case}");
        assert!(heard.elapsed < ms(500), "{case}: no wait while somebody is ready: {:?}", heard.elapsed);

        for _ in 0..3 {
            let heard = world.ask(mode).await;
            heard.came_from(layout.pool_of_other(), "other", &case);
            assert_eq!(heard.header("x-router-attempts"), "1", "{case}");
            assert_eq!(world.primary.calls(), 1, "{case}: it rests");
            world.clock.skip(secs(14));
        }
        let heard = world.ask(mode).await;
        heard.is_whole(PRIMARY, &case);
        heard.came_from("chat", "primary", &case);
    }
}

#[tokio::test]
async fn s02_a_deployment_that_says_429_for_ever_sees_almost_nothing() {
    for layout in Layout::BOTH {
        for (n, retry_after) in [Some("20"), None].into_iter().enumerate() {
            let case = format!("{layout:?} {retry_after:?}");
            let world = World::new(layout, Format::BOTH[n], as_it_is).await;
            world.primary.set(retry_after.map_or(Fault::status(429), Fault::rate_limited));
            for second in 0..60 {
                let heard = world.ask(Mode::BOTH[second % 2]).await;
                heard.is_whole(OTHER, &case);
                world.clock.skip(secs(1));
            }
            assert!(world.primary.calls() <= 5, "{case}: {} calls in a minute", world.primary.calls());
            assert_eq!(world.other.calls(), 60, "{case}");
        }
    }
}

#[tokio::test]
async fn s03_one_500_is_answered_by_a_retry() {
    for format in Format::BOTH {
        for mode in Mode::BOTH {
            let case = format!("{format:?} {mode:?}");
            let world = World::new(Layout::OnePool, format, as_it_is).await;
            world.primary.enqueue(Fault::status(500));
            let heard = world.ask(mode).await;
            heard.is_whole(OTHER, &case);
            heard.came_from("chat", "other", &case);
            assert_eq!(
                heard.header("x-router-trail"),
                "primary=server error (500), other=answered",
                "{case}"
            );
            assert_eq!(heard.header("x-router-fallback"), "false", "{case}: a retry is no fallback");
            assert!(heard.elapsed < ms(500), "{case}: {:?}", heard.elapsed);
            world.ask(mode).await.came_from("chat", "primary", &case);
        }
    }
}

#[tokio::test]
async fn s03_one_500_of_a_lone_deployment_is_answered_by_itself_after_a_pause() {
    let lone = async |mode| {
        let world = World::new(Layout::Lone, Format::OpenAi, as_it_is).await;
        world.primary.enqueue(Fault::status(500));
        let heard = world.ask(mode).await;
        heard.is_whole(PRIMARY, "lone");
        assert_eq!(heard.header("x-router-trail"), "primary=server error (500), primary=answered");
        assert_eq!(world.primary.calls(), 2);
        assert!(heard.elapsed >= ms(500), "{:?}", heard.elapsed);
    };
    tokio::join!(lone(Mode::Plain), lone(Mode::Streamed));
}

#[tokio::test]
async fn s04_a_503_for_ever_is_answered_by_the_fallback_and_no_longer_asked_after_allowed_fails() {
    for format in Format::BOTH {
        let case = format!("{format:?}");
        let set = |builder: RouterBuilder| builder.allowed_fails(2).cooldown_time(secs(60));
        let world = World::new(Layout::Fallback, format, set).await;
        world.primary.set(Fault::status(if format == Format::OpenAi { 503 } else { 529 }));
        for n in 0..12 {
            let heard = world.ask(Mode::BOTH[n % 2]).await;
            heard.is_whole(OTHER, &case);
            heard.came_from("backup", "other", &case);
            assert_eq!(heard.header("x-router-fallback"), "true", "{case}");
            let attempts = if n < 3 { "2" } else { "1" };
            assert_eq!(heard.header("x-router-attempts"), attempts, "{case}: request {n}");
        }
        assert_eq!(world.primary.calls(), 3, "{case}: two are allowed, the third cools");
        assert_eq!(world.other.calls(), 12, "{case}");
    }
}

#[tokio::test]
async fn s05_a_reset_before_the_headers_is_answered_elsewhere() {
    answered_elsewhere(Fault::Reset, every_case(), as_it_is, "connection failed").await;
}

#[tokio::test]
async fn s05_resets_cool_like_any_other_failure() {
    let world = World::new(Layout::Fallback, Format::OpenAi, |builder| builder.allowed_fails(2)).await;
    world.primary.set(Fault::Reset);
    for n in 0..10 {
        world.ask(Mode::BOTH[n % 2]).await.is_whole(OTHER, "reset");
    }
    assert_eq!(world.primary.calls(), 3);
}

#[tokio::test]
async fn s06_no_response_is_answered_elsewhere_within_the_attempt_timeout() {
    at_once(
        every_case(),
        |builder| builder.timeout(ms(150)),
        async |world, (layout, format, mode)| {
            let case = format!("{layout:?} {format:?} {mode:?}");
            world.primary.set(Fault::Hang);
            let heard = world.ask(mode).await;
            heard.is_whole(OTHER, &case);
            heard.came_from(layout.pool_of_other(), "other", &case);
            assert_eq!(heard.header("x-router-trail"), "primary=timed out, other=answered", "{case}");
            assert!((ms(150)..secs(2)).contains(&heard.elapsed), "{case}: {:?}", heard.elapsed);
            until("the hanging call is cancelled", || world.primary.aborted() == 1).await;
        },
    )
    .await;
}

/// The primary sends headers and preamble at once, and its first token so much later.
fn slow_to_begin(span: Duration) -> Behaviour {
    Behaviour::answering(PRIMARY).with_first_token_ms(u64::try_from(span.as_millis()).unwrap())
}

#[tokio::test]
async fn s07_a_late_first_token_is_answered_elsewhere_where_it_has_a_limit() {
    let cases = every_case().filter(|(.., mode)| *mode == Mode::Streamed);
    at_once(
        cases,
        |builder| builder.stream_timeout(ms(150)),
        async |world, (layout, format, mode)| {
            let case = format!("{layout:?} {format:?}");
            world.primary.set(slow_to_begin(secs(20)));
            let heard = world.ask(mode).await;
            heard.is_whole(OTHER, &case);
            heard.came_from(layout.pool_of_other(), "other", &case);
            assert_eq!(heard.header("x-router-trail"), "primary=timed out, other=answered", "{case}");
            assert!((ms(150)..secs(2)).contains(&heard.elapsed), "{case}: {:?}", heard.elapsed);
            until("the late call is cancelled", || world.primary.aborted() == 1).await;
        },
    )
    .await;
}

#[tokio::test]
async fn s07_a_late_first_token_is_waited_for_where_it_has_no_limit() {
    let cases = every_case().filter(|(.., mode)| *mode == Mode::Streamed);
    at_once(cases, as_it_is, async |world, (layout, format, mode)| {
        let case = format!("{layout:?} {format:?}");
        world.primary.set(slow_to_begin(ms(400)));
        let heard = world.ask(mode).await;
        heard.is_whole(PRIMARY, &case);
        heard.came_from("chat", "primary", &case);
        assert!(heard.elapsed >= ms(400), "{case}: {:?}", heard.elapsed);
        assert_eq!(world.other.calls(), 0, "{case}");
    })
    .await;
}

#[tokio::test]
async fn s07_the_limit_of_the_first_token_does_not_bind_whole_replies() {
    let world = World::new(Layout::Fallback, Format::OpenAi, |builder| builder.stream_timeout(ms(100))).await;
    world.primary.set(Behaviour::answering(PRIMARY).with_latency_ms(250));
    world.ask(Mode::Plain).await.is_whole(PRIMARY, "plain");
}

#[tokio::test]
async fn s08_a_stream_that_is_cut_after_forty_of_sixty_tokens_ends_with_an_error_event() {
    cut_after_forty_words(Fault::cut(40), as_it_is, "stream interrupted").await;
}

#[tokio::test]
async fn s08_a_cut_before_the_first_token_or_in_a_whole_reply_is_answered_elsewhere() {
    let streamed = every_case().filter(|(.., mode)| *mode == Mode::Streamed);
    answered_elsewhere(Fault::cut(0), streamed, as_it_is, "stream interrupted").await;
    let plain = every_case().filter(|(.., mode)| *mode == Mode::Plain);
    answered_elsewhere(Fault::cut(0), plain, as_it_is, "connection failed").await;
}

#[tokio::test]
async fn s08_an_error_that_the_provider_reports_inside_a_stream_ends_it_with_that_error() {
    let fault = Fault::ErrorInStream { after_chunks: 40, code: 500 };
    cut_after_forty_words(fault, as_it_is, "server error").await;
}

/// A stall without end.
const fn stall(after_chunks: usize) -> Fault {
    Fault::Stall { after_chunks, ms: None }
}

#[tokio::test]
async fn s09_a_stall_in_the_middle_ends_with_an_error_event_after_the_stream_timeout() {
    cut_after_forty_words(stall(40), |builder| builder.stream_timeout(ms(150)), "stalled").await;
}

#[tokio::test]
async fn s09_a_stall_cancels_the_call_and_counts_against_its_deployment() {
    let set = |builder: RouterBuilder| builder.stream_timeout(ms(100)).allowed_fails(0);
    let world = World::new(Layout::Fallback, Format::OpenAi, set).await;
    world.primary.set(Behaviour::answering(sixty_words()).with_chunks(60).with_fault(stall(3)));
    let heard = world.ask(Mode::Streamed).await;
    heard.is_cut("stall");
    assert!((ms(100)..secs(2)).contains(&heard.elapsed), "{:?}", heard.elapsed);
    until("the stalled call is cancelled", || world.primary.aborted() == 1).await;
    world.ask(Mode::Streamed).await.is_whole(OTHER, "it cools");
}

#[tokio::test]
async fn s09_a_stall_before_the_first_token_or_in_a_whole_reply_is_answered_elsewhere() {
    answered_elsewhere(stall(0), every_case(), |builder| builder.timeout(ms(150)), "timed out").await;
}

#[tokio::test]
async fn s09_a_pause_shorter_than_the_stream_timeout_is_no_fault() {
    for format in Format::BOTH {
        let world = World::new(Layout::Fallback, format, |builder| builder.stream_timeout(secs(1))).await;
        world
            .primary
            .set(Behaviour::answering(PRIMARY).with_fault(Fault::Stall { after_chunks: 1, ms: Some(100) }));
        world.ask(Mode::Streamed).await.is_whole(PRIMARY, "a pause");
    }
}

#[tokio::test]
async fn s10_a_malformed_event_after_the_first_token_ends_with_an_error_event() {
    cut_after_forty_words(Fault::MalformedChunk { after_chunks: 40 }, as_it_is, "malformed reply").await;
}

#[tokio::test]
async fn s10_a_malformed_event_before_the_first_token_or_a_malformed_reply_is_answered_elsewhere() {
    let fault = Fault::MalformedChunk { after_chunks: 0 };
    answered_elsewhere(fault, every_case(), as_it_is, "malformed reply").await;
}

#[tokio::test]
async fn s11_a_stream_that_ends_without_its_end_marker_ends_with_an_error_event() {
    for format in Format::BOTH {
        for without_finish_reason in [true, false] {
            let case = format!("{format:?} {without_finish_reason}");
            let world = World::new(Layout::Fallback, format, as_it_is).await;
            let fault = Fault::NoEndMarker { without_finish_reason };
            world.primary.set(Behaviour::answering(PRIMARY).with_fault(fault));
            let heard = world.ask(Mode::Streamed).await;
            assert!(heard.error.is_some() && !heard.is_done, "{case}: {:?}", heard.events);
            if without_finish_reason {
                heard.is_cut(&case);
            }
            assert_eq!(heard.text, PRIMARY, "{case}");
            assert_eq!(world.other.calls(), 0, "{case}");
        }
    }
}

#[tokio::test]
async fn s11_a_stream_or_reply_without_anything_in_it_is_answered_elsewhere() {
    let streamed = every_case().filter(|(.., mode)| *mode == Mode::Streamed);
    answered_elsewhere(Fault::EmptyBody, streamed, as_it_is, "stream interrupted").await;
    let plain = every_case().filter(|(.., mode)| *mode == Mode::Plain);
    answered_elsewhere(Fault::EmptyBody, plain, as_it_is, "malformed reply").await;
}

#[tokio::test]
async fn s12_a_prompt_that_is_too_long_goes_to_the_context_fallback_and_nobody_cools() {
    for format in Format::BOTH {
        let set =
            |builder: RouterBuilder| builder.allowed_fails(0).context_window_fallbacks("chat", ["special"]);
        refused_but_not_blamed(format, Fault::ContextWindow, set, "context window exceeded (400)").await;
    }
}

#[tokio::test]
async fn s13_a_refusal_by_policy_goes_to_the_policy_fallback_and_nobody_cools() {
    for format in Format::BOTH {
        let set =
            |builder: RouterBuilder| builder.allowed_fails(0).content_policy_fallbacks("chat", ["special"]);
        refused_but_not_blamed(format, Fault::ContentFilter, set, "refused by content policy (400)").await;
    }
}

/// Ten refused requests are answered by the special fallback, each after asking the primary, which does what it is asked next.
async fn refused_but_not_blamed(
    format: Format,
    fault: Fault,
    set: fn(RouterBuilder) -> RouterBuilder,
    why: &str,
) {
    let case = format!("{fault:?} {format:?}");
    let world = World::new(Layout::Fallback, format, set).await;
    world.primary.set(fault);
    for n in 0..10 {
        let heard = world.ask(Mode::BOTH[n % 2]).await;
        heard.is_whole("the special answer", &case);
        heard.came_from("special", "special", &case);
        assert_eq!(heard.header("x-router-trail"), format!("primary={why}, special=answered"), "{case}");
    }
    assert_eq!(world.primary.calls(), 10, "{case}: asked each time, so it does not cool");
    assert_eq!(world.other.calls(), 0, "{case}: the general fallback is for failures");
    world.primary.set(Behaviour::answering(PRIMARY));
    world.ask(Mode::Plain).await.came_from("chat", "primary", &case);
}

#[tokio::test]
async fn s14_a_cut_that_nobody_can_continue_ends_with_an_error_event_that_says_so() {
    for format in Format::BOTH {
        let case = format!("{format:?}");
        let asked_to = |builder: RouterBuilder| builder.enable_mid_stream_fallback_continuation(true);
        let world = World::new(Layout::Fallback, format, asked_to).await;
        world.primary.set(Behaviour::answering(sixty_words()).with_chunks(60).with_fault(Fault::cut(20)));
        let heard = world.ask(Mode::Streamed).await;
        heard.is_cut(&case);
        assert_eq!(heard.text.split_whitespace().count(), 20, "{case}");
        let error = &heard.error.as_ref().unwrap()["error"];
        assert_eq!((&error["type"], &error["code"]), (&"server_error".into(), &"stream_interrupted".into()));
        let message = error["message"].as_str().unwrap();
        assert!(message.starts_with("the answer is incomplete: stream interrupted: "), "{case}: {message}");
        assert!(message.contains("no deployment can continue the answer"), "{case}: {message}");
        assert_eq!(world.other.calls(), 0, "{case}: it was not asked for what it cannot do");
    }
}

#[tokio::test]
async fn s15_twenty_requests_to_a_primary_that_is_down_for_a_minute_are_answered_and_it_gets_its_traffic_back()
 {
    for layout in Layout::BOTH {
        for format in Format::BOTH {
            let case = format!("{layout:?} {format:?}");
            let set = |builder: RouterBuilder| builder.allowed_fails(0).cooldown_time(secs(10));
            let world = World::new(layout, format, set).await;
            world.primary.set(Fault::status(503));
            for n in 0..20 {
                world.ask(Mode::BOTH[n % 2]).await.is_whole(OTHER, &case);
                world.clock.skip(secs(3));
            }
            // At 0 s, and one probe each after 10 s, another 20 s and another 40 s.
            assert!((2..=4).contains(&world.primary.calls()), "{case}: {} calls", world.primary.calls());

            world.primary.set(Behaviour::answering(PRIMARY));
            let mut waited = 0;
            while world.ask(Mode::Plain).await.header("x-router-deployment") != "primary" {
                world.clock.skip(secs(3));
                waited += 3;
                assert!(waited <= 60, "{case}: it never comes back");
            }
            // Then it warms up.
            world.clock.skip(secs(31));
            for n in 0..10 {
                world.ask(Mode::BOTH[n % 2]).await.is_whole(PRIMARY, &case);
            }
        }
    }
}

#[tokio::test]
async fn s16_an_answer_of_the_fallback_reports_its_own_model_usage_and_deployment() {
    for format in Format::BOTH {
        for mode in Mode::BOTH {
            let case = format!("{format:?} {mode:?}");
            let world = World::new(Layout::Fallback, format, as_it_is).await;
            world.primary.set(
                Behaviour::answering(PRIMARY).with_fault(Fault::status(500)).with_usage(Usage::new(900, 900)),
            );
            world.other.set(Behaviour::answering(OTHER).with_usage(Usage::new(7, 11)));
            let heard = world.ask_with_usage(mode).await;
            heard.is_whole(OTHER, &case);
            heard.came_from("backup", "other", &case);
            assert_eq!(heard.model, format.other().model(), "{case}");
            let usage = heard.usage.as_ref().unwrap();
            assert_eq!(usage["prompt_tokens"], 7, "{case}: {usage}");
            assert_eq!(usage["completion_tokens"], 11, "{case}: {usage}");
            assert_eq!(usage["total_tokens"], 18, "{case}: {usage}");
        }
    }
}

/// The checks themselves can fail: a cut answer is not whole, and a whole one is not cut.
#[tokio::test]
async fn a_whole_answer_is_told_from_a_cut_one() {
    let world = World::new(Layout::Fallback, Format::OpenAi, as_it_is).await;
    let seems_whole = |heard: &Heard| heard.status == 200 && heard.error.is_none() && heard.is_done;
    assert!(seems_whole(&world.ask(Mode::Streamed).await));
    world.primary.set(Behaviour::answering(PRIMARY).with_fault(Fault::cut(1)));
    assert!(!seems_whole(&world.ask(Mode::Streamed).await));
}
