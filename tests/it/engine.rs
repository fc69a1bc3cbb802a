//! The loop that drives a route, over scripted providers and paused time.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use llm_router::{
    Alias, ChatRequest, Classification, Classifier, Deployment, ProviderErrorKind, RouteError, Router,
    RouterBuilder,
};
use system_tests::{Act, Recorder, ScriptedProvider};
use tokio::time::Instant;

use Act::{Answer, CutAfter, Fail, Hang, RateLimited, Slow, StallAfter};

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn ask(model: &str) -> ChatRequest {
    ChatRequest::user(model, "hi").unwrap()
}

/// A builder over one deployment per script; scripts of the same alias form a pool.
fn over(scripts: &[(&str, &Arc<ScriptedProvider>)]) -> RouterBuilder {
    scripts.iter().enumerate().fold(Router::builder(), |builder, (n, (alias, provider))| {
        builder.deployment(Deployment::with_provider(*alias, format!("m{n}"), Arc::clone(provider) as _))
    })
}

async fn text_of(router: &Router, request: &ChatRequest) -> (String, Option<ProviderErrorKind>) {
    let mut stream = router.stream(request).await.unwrap();
    let mut text = Vec::new();
    while let Some(chunk) = stream.next().await {
        match chunk {
            Ok(chunk) => text.extend(chunk.text()),
            Err(error) => return (text.join(" "), Some(error.kind())),
        }
    }
    (text.join(" "), None)
}

#[tokio::test(start_paused = true)]
async fn a_pool_of_one_waits_for_retry_after() {
    let provider = ScriptedProvider::new([RateLimited(secs(3)), Answer("hello")]);
    let router = over(&[("fast", &provider)]).build().unwrap();
    let started = Instant::now();
    let answer = router.completion(&ask("fast")).await.unwrap();
    assert_eq!(started.elapsed(), secs(3));
    assert_eq!(answer.reply.text().unwrap(), "hello");
    assert_eq!(answer.report.attempts.len(), 2);
    assert_eq!(answer.report.latency, secs(3));
    assert!(!answer.report.fallback_triggered);
}

#[tokio::test(start_paused = true)]
async fn a_hanging_deployment_costs_its_timeout_and_then_another_answers() {
    let (hangs, answers) = (ScriptedProvider::new([Hang]), ScriptedProvider::new([Answer("hello")]));
    let router = over(&[("fast", &hangs), ("capable", &answers)])
        .fallbacks("fast", ["capable"])
        .timeout(secs(30))
        .build()
        .unwrap();
    let started = Instant::now();
    let answer = router.completion(&ask("fast")).await.unwrap();
    assert_eq!(started.elapsed(), secs(30));
    assert!(answer.report.fallback_triggered);
    assert_eq!(answer.report.pool.as_str(), "capable");
    let error = answer.report.attempts[0].error.as_ref().unwrap();
    assert_eq!(error.kind, ProviderErrorKind::Timeout);
    assert_eq!(error.message, "no answer within 30s");
    assert_eq!(hangs.open(), 0, "the hanging call was cancelled");
}

#[tokio::test(start_paused = true)]
async fn the_total_timeout_ends_a_request_whatever_is_left_to_try() {
    let hangs = ScriptedProvider::new([Hang]);
    let router = over(&[("fast", &hangs)]).timeout(secs(30)).total_timeout(secs(45)).build().unwrap();
    let started = Instant::now();
    let error = router.completion(&ask("fast")).await.unwrap_err();
    assert_eq!(started.elapsed(), secs(45));
    let RouteError::DeadlineExceeded { error: Some(last), report } = error else { panic!("{error}") };
    assert_eq!(last.kind(), ProviderErrorKind::Timeout);
    assert_eq!(report.attempts.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn mutual_fallbacks_end_with_the_last_real_error_after_a_bounded_number_of_calls() {
    let (one, other) = (
        ScriptedProvider::new([Fail(ProviderErrorKind::Server)]),
        ScriptedProvider::new([Fail(ProviderErrorKind::Overloaded)]),
    );
    let router = over(&[("fast", &one), ("capable", &other)])
        .fallbacks("fast", ["capable"])
        .fallbacks("capable", ["fast"])
        .build()
        .unwrap();
    for alias in ["fast", "capable"] {
        let (before, last) =
            (one.calls() + other.calls(), if alias == "fast" { "overloaded" } else { "server error" });
        let error = router.completion(&ask(alias)).await.unwrap_err();
        assert!(error.to_string().starts_with(last), "{alias}: {error}");
        let calls = one.calls() + other.calls() - before;
        assert!((2..=6).contains(&calls), "{alias}: {calls} calls");
        tokio::time::advance(secs(120)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn everybody_cooling_is_an_error_at_once_with_the_remaining_time() {
    let provider = ScriptedProvider::new([Fail(ProviderErrorKind::Authentication)]);
    let router = over(&[("fast", &provider)]).cooldown_time(secs(60)).build().unwrap();
    router.completion(&ask("fast")).await.unwrap_err();
    tokio::time::advance(secs(20)).await;
    let started = Instant::now();
    let error = router.completion(&ask("fast")).await.unwrap_err();
    assert_eq!(started.elapsed(), Duration::ZERO);
    assert_eq!(error.retry_after(), Some(secs(40)));
    assert_eq!(
        error.to_string(),
        "no deployment of `fast` is ready (cooling down: authentication failed): try again in 40 s"
    );
    assert_eq!(provider.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_fails_before_its_first_token_is_answered_elsewhere_and_nobody_sees_it() {
    let dead: [&[Act]; 4] =
        [&[Fail(ProviderErrorKind::Server)], &[Hang], &[CutAfter(&[])], &[StallAfter(&[])]];
    for acts in dead {
        let (fails, answers) =
            (ScriptedProvider::new(acts.iter().copied()), ScriptedProvider::new([Answer("one two three")]));
        let router = over(&[("fast", &fails), ("capable", &answers)])
            .fallbacks("fast", ["capable"])
            .timeout(secs(9))
            .build()
            .unwrap();
        let mut stream = router.stream(&ask("fast")).await.unwrap();
        assert!(stream.report().fallback_triggered, "{acts:?}");
        let mut roles = 0;
        while let Some(chunk) = stream.next().await {
            roles += usize::from(std::str::from_utf8(&chunk.unwrap().data).unwrap().contains("assistant"));
        }
        assert_eq!(roles, 1, "the caller sees one beginning: {acts:?}");
        assert_eq!(fails.open(), 0, "the failed stream is closed: {acts:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_cut_after_its_first_token_ends_with_an_error() {
    let provider = ScriptedProvider::new([CutAfter(&["one", "two"])]);
    let recorder = Recorder::new();
    let router = over(&[("fast", &provider)]).observer(Arc::clone(&recorder) as _).build().unwrap();
    let (text, error) = text_of(&router, &ask("fast")).await;
    assert_eq!((text.as_str(), error), ("one two", Some(ProviderErrorKind::StreamInterrupted)));
    assert_eq!(recorder.count("Failed"), 1);
    assert_eq!(recorder.count("Answered"), 0, "a cut stream is no success");
}

#[tokio::test(start_paused = true)]
async fn a_stall_between_chunks_ends_with_an_error_after_the_stream_timeout() {
    let provider = ScriptedProvider::new([StallAfter(&["one", "two"])]);
    let router = over(&[("fast", &provider)]).stream_timeout(secs(7)).build().unwrap();
    let started = Instant::now();
    let (text, error) = text_of(&router, &ask("fast")).await;
    assert_eq!((text.as_str(), error), ("one two", Some(ProviderErrorKind::StreamInterrupted)));
    assert_eq!(started.elapsed(), secs(7));
    assert_eq!(provider.open(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_slow_first_token_is_waited_for_up_to_the_stream_timeout() {
    let provider = ScriptedProvider::new([Slow(secs(20), "one two")]);
    let router = over(&[("fast", &provider)]).timeout(secs(5)).stream_timeout(secs(25)).build().unwrap();
    let (text, error) = text_of(&router, &ask("fast")).await;
    assert_eq!((text.as_str(), error), ("one two", None));
}

#[tokio::test(start_paused = true)]
async fn streams_that_break_cool_their_deployment() {
    let (breaks, answers) =
        (ScriptedProvider::new([CutAfter(&["one"])]), ScriptedProvider::new([Answer("hello")]));
    let router = over(&[("fast", &breaks), ("fast", &answers)])
        .allowed_fails(1)
        .cooldown_time(secs(60))
        .build()
        .unwrap();
    for _ in 0..20 {
        text_of(&router, &ask("fast")).await;
    }
    assert_eq!(breaks.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_leaves_cancels_the_call_and_blames_nobody() {
    let provider = ScriptedProvider::new([Hang]);
    let recorder = Recorder::new();
    let router =
        over(&[("fast", &provider)]).allowed_fails(0).observer(Arc::clone(&recorder) as _).build().unwrap();
    for _ in 0..10 {
        let request = ask("fast");
        let call = router.completion(&request);
        assert!(tokio::time::timeout(secs(1), call).await.is_err());
        assert_eq!(provider.open(), 0, "nothing is left behind");
    }
    let deployment = router.fleet().catalog().indices().next().unwrap();
    assert_eq!(router.fleet().in_flight(deployment), 0);
    assert_eq!(provider.calls(), 10, "it never cooled");
    assert_eq!(recorder.count("Abandoned"), 10);
}

#[tokio::test(start_paused = true)]
async fn dropping_a_stream_cancels_it_upstream() {
    let provider = ScriptedProvider::new([StallAfter(&["one"])]);
    let router = over(&[("fast", &provider)]).build().unwrap();
    let mut stream = router.stream(&ask("fast")).await.unwrap();
    stream.next().await.unwrap().unwrap();
    assert_eq!(provider.open(), 1);
    let deployment = router.fleet().catalog().indices().next().unwrap();
    assert_eq!(router.fleet().in_flight(deployment), 1, "in flight until it ends");
    drop(stream);
    assert_eq!((provider.open(), router.fleet().in_flight(deployment)), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn observers_hear_the_whole_story_and_one_end() {
    let (fails, answers) = (
        ScriptedProvider::new([Fail(ProviderErrorKind::Authentication)]),
        ScriptedProvider::new([Answer("hello")]),
    );
    let recorder = Recorder::new();
    let router = over(&[("fast", &fails), ("capable", &answers)])
        .fallbacks("fast", ["capable"])
        .observer(Arc::clone(&recorder) as _)
        .build()
        .unwrap();
    router.completion(&ask("fast")).await.unwrap();
    let words: Vec<String> =
        recorder.lines().iter().map(|line| line.split([' ', '(']).next().unwrap().to_owned()).collect();
    assert_eq!(
        words,
        ["AttemptStarted", "AttemptFailed", "Health", "Fallback", "AttemptStarted", "Answered"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_deployment_comes_back_after_its_cooldown() {
    let provider = ScriptedProvider::new([Fail(ProviderErrorKind::Authentication), Answer("hello")]);
    let recorder = Recorder::new();
    let router = over(&[("fast", &provider)])
        .cooldown_time(secs(60))
        .observer(Arc::clone(&recorder) as _)
        .build()
        .unwrap();
    router.completion(&ask("fast")).await.unwrap_err();
    tokio::time::advance(secs(60)).await;
    router.completion(&ask("fast")).await.unwrap();
    router.completion(&ask("fast")).await.unwrap();
    assert_eq!(provider.calls(), 3);
    assert_eq!(recorder.count("Health(Recovered"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_classifier_chooses_the_alias_of_requests_to_its_name() {
    #[derive(Debug)]
    struct Shouting;

    impl Classifier for Shouting {
        fn classify(&self, request: &ChatRequest) -> Classification {
            let shouts = request.field("messages").unwrap().contains('!');
            let alias = if shouts { "capable" } else { "fast" };
            Classification::new(Alias::try_from(alias).unwrap(), 1.0)
        }
    }

    let (calm, loud) = (ScriptedProvider::new([Answer("calm")]), ScriptedProvider::new([Answer("loud")]));
    let router =
        over(&[("fast", &calm), ("capable", &loud)]).classifier("auto", Arc::new(Shouting)).build().unwrap();
    let answer = |text: &'static str| {
        let router = router.clone();
        async move {
            router.completion(&ChatRequest::user("auto", text).unwrap()).await.unwrap().reply.text().unwrap()
        }
    };
    assert_eq!(answer("hello").await, "calm");
    assert_eq!(answer("HELLO!").await, "loud");
}

#[tokio::test(start_paused = true)]
async fn an_unknown_alias_is_refused_with_the_known_ones() {
    let provider = ScriptedProvider::new([Answer("hello")]);
    let router = over(&[("fast", &provider), ("capable", &provider)]).build().unwrap();
    let error = router.completion(&ask("fats")).await.unwrap_err();
    assert_eq!(error.to_string(), "there is no model `fats`: known are fast, capable");
    assert_eq!(provider.calls(), 0);
}

fn continuing(scripts: &[(&str, &Arc<ScriptedProvider>, bool)]) -> Router {
    let builder = Router::builder().enable_mid_stream_fallback_continuation(true).num_retries(0);
    let with =
        |builder: RouterBuilder,
         (n, (alias, provider, prefill)): (usize, &(&str, &Arc<ScriptedProvider>, bool))| {
            let deployment = Deployment::with_provider(*alias, format!("m{n}"), Arc::clone(*provider) as _);
            builder.deployment(deployment.supports_assistant_prefill(*prefill))
        };
    scripts.iter().enumerate().fold(builder, with).fallbacks("fast", ["capable"]).build().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_cut_stream_goes_on_at_a_deployment_that_can_continue_it_when_asked_to() {
    let breaks = ScriptedProvider::new([CutAfter(&["one", "two "])]);
    let goes_on = ScriptedProvider::new([Answer("three four")]);
    let router = continuing(&[("fast", &breaks, false), ("capable", &goes_on, true)]);
    let request = ChatRequest::builder("fast").user("Count.").max_tokens(50).build().unwrap();
    let mut stream = router.stream(&request).await.unwrap();
    let (mut text, mut roles) = (Vec::new(), 0);
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.unwrap();
        roles += usize::from(std::str::from_utf8(&chunk.data).unwrap().contains("assistant"));
        text.extend(chunk.text());
    }
    assert_eq!(text, ["one", "two ", "three", "four"]);
    assert_eq!(roles, 1, "the answer begins once");
    let continuation = stream.continuation().unwrap();
    assert_eq!(continuation.pool.as_str(), "capable", "the report says who went on");
    let sent: serde_json::Value = serde_json::from_str(&goes_on.last_body()).unwrap();
    assert_eq!(sent["messages"][1], serde_json::json!({"role": "assistant", "content": "onetwo"}));
    assert_eq!(sent["max_tokens"], 49, "what was said is taken off the limit");
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_nobody_can_continue_ends_with_an_error_that_says_so() {
    let (breaks, other) =
        (ScriptedProvider::new([CutAfter(&["one"])]), ScriptedProvider::new([Answer("two")]));
    let router = continuing(&[("fast", &breaks, false), ("capable", &other, false)]);
    let mut stream = router.stream(&ask("fast")).await.unwrap();
    let mut error = None;
    while let Some(chunk) = stream.next().await {
        error = chunk.err();
    }
    let error = error.unwrap();
    assert_eq!(error.kind(), ProviderErrorKind::StreamInterrupted);
    assert!(error.message().contains("no deployment can continue the answer"), "{error}");
    assert_eq!(other.calls(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_continuation_that_breaks_too_ends_with_an_error() {
    let breaks = ScriptedProvider::new([CutAfter(&["one"])]);
    let router = continuing(&[("fast", &breaks, false), ("capable", &breaks, true)]);
    let (text, error) = text_of(&router, &ask("fast")).await;
    assert_eq!((text.as_str(), error), ("one one", Some(ProviderErrorKind::StreamInterrupted)));
    assert_eq!(breaks.open(), 0);
}

#[tokio::test(start_paused = true)]
async fn structured_answers_are_never_continued() {
    let (breaks, other) =
        (ScriptedProvider::new([CutAfter(&["one"])]), ScriptedProvider::new([Answer("two")]));
    let router = continuing(&[("fast", &breaks, true), ("capable", &other, true)]);
    let format = serde_json::json!({"type": "json_object"});
    let request = ChatRequest::builder("fast").user("hi").set("response_format", format).build().unwrap();
    let (_, error) = text_of(&router, &request).await;
    assert_eq!(error, Some(ProviderErrorKind::StreamInterrupted));
    assert_eq!(other.calls(), 0);
}

#[tokio::test(start_paused = true)]
async fn fields_for_the_router_are_honoured_and_not_sent_on() {
    let (fails, answers) =
        (ScriptedProvider::new([Fail(ProviderErrorKind::Server)]), ScriptedProvider::new([Answer("hello")]));
    let router = over(&[("fast", &fails), ("capable", &answers)]).build().unwrap();
    let with = |field: &str, value: serde_json::Value| {
        ChatRequest::builder("fast").user("hi").set("num_retries", 0).set(field, value).build().unwrap()
    };
    let request = with("fallbacks", serde_json::json!(["capable"]));
    assert_eq!(router.completion(&request).await.unwrap().report.pool.as_str(), "capable");
    assert_eq!(fails.calls(), 1);
    for body in [fails.last_body(), answers.last_body()] {
        assert!(!body.contains("fallbacks") && !body.contains("num_retries"), "{body}");
    }
    let error = router.completion(&with("fallbacks", serde_json::json!(["nobody"]))).await.unwrap_err();
    assert!(matches!(error, RouteError::UnknownAlias { .. }), "{error}");
    let error = router.completion(&with("fallbacks", serde_json::json!(7))).await.unwrap_err();
    assert_eq!(error.to_string(), "`fallbacks` is wrong: expected a list of model names, found a number");
}
