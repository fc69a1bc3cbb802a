//! What observers are told at the end of a route: every attempt, what it used, what it costs, and for whom it was.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt;
use llm_router::{
    AttemptOutcome, Bill, CauseFacts, ChatRequest, Classification, Classifier, Deployment, Event, Metered,
    Observer, ProviderErrorKind, RequestContext, Router, RouterBuilder, TraceContext, Usd,
};
use router_core::{Alias, RequestKind};
use router_mock::{Behaviour, Fault, MockServer, Usage};

/// Keeps the stories, with what is borrowed in them as text.
#[derive(Debug, Default)]
struct Stories(Mutex<Vec<Story>>);

#[derive(Debug, Clone)]
struct Story {
    end: &'static str,
    kind: RequestKind,
    context: RequestContext,
    label: Option<(String, f64)>,
    content: Option<(String, String)>,
    has_first_token: bool,
    attempts: Vec<Call>,
}

#[derive(Debug, Clone)]
struct Call {
    cause: &'static str,
    outcome: Result<bool, ProviderErrorKind>,
    model: Option<String>,
    metered: Metered,
    bill: Bill,
}

impl Observer for Stories {
    fn observe(&self, event: &Event<'_>) {
        let (end, route) = match event {
            Event::Answered { route, .. } => ("answered", route),
            Event::Failed { route, .. } => ("failed", route),
            Event::Abandoned { route } => ("abandoned", route),
            _ => return,
        };
        let attempts = route.attempts.iter().map(|attempt| Call {
            cause: match attempt.cause {
                CauseFacts::First => "first",
                CauseFacts::Retry => "retry",
                CauseFacts::Fallback { .. } => "fallback",
            },
            outcome: match attempt.outcome {
                AttemptOutcome::Answered => Ok(true),
                AttemptOutcome::Abandoned => Ok(false),
                AttemptOutcome::Failed(error) => Err(error.kind()),
            },
            model: attempt.model.map(str::to_owned),
            metered: attempt.metered,
            bill: attempt.bill,
        });
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        self.0.lock().unwrap().push(Story {
            end,
            kind: route.kind,
            context: route.context.clone(),
            label: route.classification.map(|said| (said.alias.to_string(), said.confidence)),
            content: route.content.map(|content| (text(content.request), text(content.answer))),
            has_first_token: route.time_to_first_token().is_some(),
            attempts: attempts.collect(),
        });
    }
}

impl Stories {
    fn only(&self) -> Story {
        let stories = self.0.lock().unwrap();
        assert_eq!(stories.len(), 1, "{stories:?}");
        stories[0].clone()
    }
}

fn usage() -> Usage {
    Usage { cached_tokens: 40, reasoning_tokens: 3, ..Usage::new(100, 20) }
}

/// A million times these are dollars: 2 for the prompt and 10 for the answer.
fn priced(deployment: Deployment) -> Deployment {
    deployment.input_cost_per_token(2e-6).output_cost_per_token(10e-6)
}

fn builder(server: &MockServer) -> (RouterBuilder, Arc<Stories>) {
    let stories = Arc::new(Stories::default());
    let deployment =
        |alias, model, base| priced(Deployment::new(alias, model).api_base(base).api_key("sk-test"));
    let builder = Router::builder()
        .deployment(deployment("fast", "openai/gpt-4o-mini", server.upstream("first").openai_base()))
        .deployment(deployment("capable", "anthropic/claude-x", server.upstream("second").anthropic_base()))
        .fallbacks("fast", ["capable"])
        .num_retries(0)
        .observer(Arc::clone(&stories) as _);
    (builder, stories)
}

fn ask() -> ChatRequest {
    ChatRequest::user("fast", "What is the capital of France?").unwrap()
}

fn known(pico: u64) -> Option<Usd> {
    Some(Usd::from_pico(pico))
}

#[tokio::test]
async fn an_answer_after_a_fallback_tells_both_attempts_and_for_whom() {
    let server = MockServer::start("127.0.0.1:0").await.unwrap();
    server.upstream("first").set(Fault::status(500));
    server.upstream("second").set(Behaviour::answering("Paris.").with_usage(usage()));
    let (builder, stories) = builder(&server);
    let router = builder.build().unwrap();
    let trace = TraceContext::of_route(5);
    let context =
        RequestContext::new().with_key_alias("team").with_user("u-1").with_tag("t").with_trace(trace);
    let answer = router.on_behalf_of(context.clone()).completion(&ask()).await.unwrap();
    assert_eq!(answer.report.cost(), known(100 * 2_000_000 + 20 * 10_000_000));

    let story = stories.only();
    assert_eq!((story.end, story.kind, &story.context), ("answered", RequestKind::Whole, &context));
    assert!(!story.has_first_token && story.content.is_none());
    let [failed, answered] = story.attempts.as_slice() else { panic!("{story:?}") };
    assert_eq!((failed.cause, failed.outcome), ("first", Err(ProviderErrorKind::Server)));
    assert_eq!((failed.metered, failed.bill.total()), (Metered::Unknown, known(0)), "an error costs nothing");
    assert_eq!((answered.cause, answered.outcome), ("fallback", Ok(true)));
    assert_eq!(answered.model.as_deref(), Some("claude-x"));
    let Metered::Reported(used) = answered.metered else { panic!("{answered:?}") };
    assert_eq!((used.prompt, used.completion, used.cached_read, used.reasoning), (100, 20, 40, 3));
}

#[tokio::test]
async fn a_stream_that_was_cut_is_billed_for_what_arrived() {
    let server = MockServer::start("127.0.0.1:0").await.unwrap();
    let cut = Behaviour::answering("one two three four five six").with_fault(Fault::cut(4));
    server.upstream("first").set(cut);
    let (builder, stories) = builder(&server);
    let router = builder.build().unwrap();
    let mut stream = router.stream(&ask()).await.unwrap();
    while let Some(chunk) = stream.next().await {
        if chunk.is_err() {
            break;
        }
    }
    let story = stories.only();
    assert_eq!((story.end, story.kind), ("failed", RequestKind::Stream));
    assert!(story.has_first_token);
    let [cut] = story.attempts.as_slice() else { panic!("{story:?}") };
    assert_eq!(cut.outcome, Err(ProviderErrorKind::StreamInterrupted));
    assert_eq!(cut.model.as_deref(), Some("gpt-4o-mini"));
    let Metered::Estimated(used) = cut.metered else { panic!("{cut:?}") };
    assert_eq!(used.completion, 4, "a token for each piece");
    assert!(used.prompt > 0);
    assert_eq!(cut.bill.total(), known(used.prompt * 2_000_000 + used.completion * 10_000_000));
}

#[tokio::test]
async fn an_anthropic_stream_that_was_left_is_billed_by_the_prompt_it_told() {
    let server = MockServer::start("127.0.0.1:0").await.unwrap();
    let endless = Behaviour::answering("one two three four five six")
        .with_usage(usage())
        .with_fault(Fault::Stall { after_chunks: 3, ms: None });
    server.upstream("second").set(endless);
    let (builder, stories) = builder(&server);
    let router = builder.build().unwrap();
    let request = ChatRequest::user("capable", "hi").unwrap();
    let mut stream = router.stream(&request).await.unwrap();
    for _ in 0..4 {
        stream.next().await.unwrap().unwrap();
    }
    drop(stream);
    let story = stories.only();
    assert_eq!(story.end, "abandoned");
    let [left] = story.attempts.as_slice() else { panic!("{story:?}") };
    assert_eq!(left.outcome, Ok(false));
    let Metered::Estimated(used) = left.metered else { panic!("{left:?}") };
    assert_eq!((used.prompt, used.cached_read), (100, 40), "told at the start");
    assert!(used.completion >= 3);
}

#[tokio::test]
async fn a_whole_stream_is_billed_by_the_provider_s_own_count() {
    let server = MockServer::start("127.0.0.1:0").await.unwrap();
    server.upstream("first").set(Behaviour::answering("one two three").with_usage(usage()));
    let (builder, stories) = builder(&server);
    let router = builder.observe_content(true).build().unwrap();
    let mut stream = router.stream(&ask()).await.unwrap();
    while let Some(chunk) = stream.next().await {
        chunk.unwrap();
    }
    let story = stories.only();
    assert_eq!(story.end, "answered");
    assert_eq!(story.attempts[0].metered.usage().map(|used| (used.prompt, used.completion)), Some((100, 20)));
    // The price table has one for what was cached, 0.075 $ a million; the configured ones stand for the rest.
    assert_eq!(story.attempts[0].bill.total(), known(60 * 2_000_000 + 40 * 75_000 + 20 * 10_000_000));
    let (request, answer) = story.content.unwrap();
    assert!(request.contains("capital of France"));
    assert_eq!(answer, "one two three");
}

#[tokio::test]
async fn a_call_that_the_caller_left_stands_in_the_story_and_its_cost_is_unknown() {
    let server = MockServer::start("127.0.0.1:0").await.unwrap();
    server.upstream("first").set(Fault::Hang);
    let (builder, stories) = builder(&server);
    let router = builder.build().unwrap();
    let request = ask();
    let call = router.completion(&request);
    assert!(tokio::time::timeout(Duration::from_millis(200), call).await.is_err());
    let story = stories.only();
    assert_eq!(story.end, "abandoned");
    let [left] = story.attempts.as_slice() else { panic!("{story:?}") };
    assert_eq!((left.outcome, left.bill), (Ok(false), Bill::Unknown));
}

#[tokio::test]
async fn what_the_classifier_said_is_part_of_the_story() {
    #[derive(Debug)]
    struct Always(Alias);

    impl Classifier for Always {
        fn classify(&self, _request: &ChatRequest) -> Classification {
            Classification::new(self.0.clone(), 0.8)
        }
    }

    let server = MockServer::start("127.0.0.1:0").await.unwrap();
    let (builder, stories) = builder(&server);
    let classifier = Arc::new(Always(Alias::try_from("capable").unwrap()));
    let router = builder.classifier("auto", classifier).build().unwrap();
    router.completion(&ChatRequest::user("auto", "hi").unwrap()).await.unwrap();
    assert_eq!(stories.only().label, Some(("capable".to_owned(), 0.8)));
}

#[tokio::test]
async fn deployments_take_their_price_and_window_from_the_table_where_the_configuration_is_silent() {
    let deployment = |model| Deployment::new("fast", model).api_key("sk-test");
    let router = Router::builder()
        .deployment(deployment("openai/gpt-4o-mini").id("known"))
        .deployment(deployment("openai/a-model-of-my-own").id("unknown"))
        .deployment(deployment("openai/another").id("based").base_model("gpt-4o"))
        .deployment(deployment("openai/gpt-4o").id("set").input_cost_per_token(1e-6).max_input_tokens(9))
        .build()
        .unwrap();
    let catalog = router.fleet().catalog();
    let found = |id| {
        let deployment = &catalog[catalog.deployment(id).unwrap()];
        let pico = deployment.price().map(|price| (price.input.as_pico(), price.output.as_pico()));
        (pico, deployment.max_input_tokens())
    };
    assert_eq!(found("known"), (Some((150_000, 600_000)), Some(128_000)));
    assert_eq!(found("unknown"), (None, None));
    assert_eq!(found("based"), (Some((2_500_000, 10_000_000)), Some(128_000)));
    assert_eq!(found("set"), (Some((1_000_000, 10_000_000)), Some(9)));
    let usage = router_core::Usage { prompt: 1_000, completion: 10, ..router_core::Usage::default() };
    assert_eq!(router.cost_of("known", &usage).unwrap().total(), Usd::from_pico(156_000_000));
    assert_eq!(router.cost_of("unknown", &usage), None);
}

#[tokio::test]
async fn a_model_without_a_known_price_is_billed_by_the_one_that_answered_or_not_at_all() {
    let server = MockServer::start("127.0.0.1:0").await.unwrap();
    server.upstream("any").set(Behaviour::answering("Paris.").with_usage(Usage::new(1_000, 10)));
    let stories = Arc::new(Stories::default());
    let deployment = Deployment::new("openai/*", "openai/*").api_key("sk-test");
    let router = Router::builder()
        .deployment(deployment.api_base(server.upstream("any").openai_base()))
        .observer(Arc::clone(&stories) as _)
        .build()
        .unwrap();
    for model in ["openai/gpt-4o-mini", "openai/unheard-of"] {
        router.completion(&ChatRequest::user(model, "hi").unwrap()).await.unwrap();
    }
    let bills: Vec<Bill> = stories.0.lock().unwrap().iter().map(|story| story.attempts[0].bill).collect();
    assert_eq!(bills[0].total(), known(156_000_000));
    assert_eq!(bills[1], Bill::Unknown, "unknown is not zero");
}
