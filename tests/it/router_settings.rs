//! A LiteLLM-style `config.yaml` routes as it reads, over real HTTP.

use std::collections::HashMap;

use futures_util::StreamExt;
use llm_router::{ChatRequest, ConfigFile, ProviderErrorKind, RouteError, Router};
use router_mock::{Behaviour, Fault, MockServer, Upstream};

/// Two pools of two deployments, one OpenAI and one Anthropic each, as people write it.
const CONFIG: &str = r"
model_list:
  - model_name: fast
    litellm_params: { model: gpt-4o-mini, api_key: os.environ/OPENAI_KEY, api_base: os.environ/FAST_OPENAI }
  - model_name: fast
    litellm_params: { model: anthropic/claude-haiku-4-5, api_key: os.environ/ANTHROPIC_KEY, api_base: os.environ/FAST_ANTHROPIC }
  - model_name: capable
    litellm_params: { model: gpt-4o, api_key: os.environ/OPENAI_KEY, api_base: os.environ/CAPABLE_OPENAI }
  - model_name: capable
    litellm_params: { model: anthropic/claude-sonnet-4-6, api_key: os.environ/ANTHROPIC_KEY, api_base: os.environ/CAPABLE_ANTHROPIC }
router_settings:
  fallbacks: [{fast: [capable]}, {capable: [fast]}]
  num_retries: 2
  retry_after: 0.5
  timeout: TIMEOUT
  cooldown_time: 60
  allowed_fails: 2
";

struct World {
    _server: MockServer,
    fast: [Upstream; 2],
    capable: [Upstream; 2],
    router: Router,
}

/// `timeout` is 30 in the config people write; a test that waits for it writes less.
async fn world(timeout: &str) -> World {
    let server = MockServer::start("127.0.0.1:0").await.unwrap();
    let fast = ["fast-openai", "fast-anthropic"].map(|name| server.upstream(name));
    let capable = ["capable-openai", "capable-anthropic"].map(|name| server.upstream(name));
    let environment = HashMap::from([
        ("OPENAI_KEY", "sk-openai".to_owned()),
        ("ANTHROPIC_KEY", "sk-ant".to_owned()),
        ("FAST_OPENAI", fast[0].openai_base()),
        ("FAST_ANTHROPIC", fast[1].anthropic_base()),
        ("CAPABLE_OPENAI", capable[0].openai_base()),
        ("CAPABLE_ANTHROPIC", capable[1].anthropic_base()),
    ]);
    let text = CONFIG.replace("TIMEOUT", timeout);
    let file = ConfigFile::parse(&text, "config.yaml", &|name| environment.get(name).cloned()).unwrap();
    assert!(file.ignored().is_empty(), "{:?}", file.ignored());
    World { router: file.into_builder().build().unwrap(), _server: server, fast, capable }
}

fn ask(model: &str) -> ChatRequest {
    ChatRequest::user(model, "What is the capital of France?").unwrap()
}

fn calls(upstreams: &[Upstream]) -> u64 {
    upstreams.iter().map(Upstream::calls).sum()
}

#[tokio::test]
async fn each_pool_spreads_over_its_two_providers() {
    let world = world("30").await;
    for _ in 0..10 {
        let answer = world.router.completion(&ask("fast")).await.unwrap();
        assert_eq!(answer.report.attempts.len(), 1);
        assert!(!answer.reply.text().unwrap().is_empty());
        assert!(answer.reply.usage.unwrap().total() > 0);
    }
    assert_eq!((world.fast[0].calls(), world.fast[1].calls()), (5, 5));
    assert_eq!(calls(&world.capable), 0);

    let openai = &world.fast[0].requests()[0];
    assert_eq!(openai.headers["authorization"], "Bearer sk-openai");
    assert_eq!(openai.json().unwrap()["model"], "gpt-4o-mini");
    let anthropic = &world.fast[1].requests()[0];
    assert_eq!(anthropic.headers["x-api-key"], "sk-ant");
    assert_eq!(anthropic.json().unwrap()["model"], "claude-haiku-4-5");
}

/// The faults of the first provider, one after the other; the trail calls each by its name.
fn faults() -> [(Behaviour, ProviderErrorKind); 4] {
    [
        (Behaviour::failing(Fault::status(500)), ProviderErrorKind::Server),
        (Behaviour::failing(Fault::rate_limited("3")), ProviderErrorKind::RateLimited),
        (Behaviour::failing(Fault::Hang), ProviderErrorKind::Timeout),
        (Behaviour::failing(Fault::Reset), ProviderErrorKind::Connection),
    ]
}

#[tokio::test]
async fn callers_see_answers_and_nothing_else_while_one_provider_fails_in_every_way() {
    for (behaviour, kind) in faults() {
        let world = world("0.3").await;
        world.fast[0].set(behaviour);
        let mut trails = Vec::new();
        for n in 0..12 {
            if n % 2 == 0 {
                let answer = world.router.completion(&ask("fast")).await.unwrap();
                assert!(answer.reply.text().unwrap().contains("capital"), "the mock repeats the question");
                trails.push(answer.report);
            } else {
                let mut stream = world.router.stream(&ask("fast")).await.unwrap();
                let mut text = String::new();
                trails.push(stream.report().clone());
                while let Some(chunk) = stream.next().await {
                    text.extend(chunk.unwrap().text());
                }
                assert!(text.contains("capital"), "{text}");
            }
        }
        let failed: Vec<_> =
            trails.iter().flat_map(|report| &report.attempts).filter_map(|a| a.error.as_ref()).collect();
        assert!(!failed.is_empty(), "{kind}: the failing provider was called");
        assert!(failed.iter().all(|error| error.kind == kind), "{kind}: {failed:?}");
        // Cooled after more than two failures, and after one 429; then left alone.
        let limit = if kind == ProviderErrorKind::RateLimited { 1 } else { 3 };
        assert_eq!(world.fast[0].calls(), limit, "{kind}");
        assert_eq!(calls(&world.capable), 0, "{kind}: the pool's other provider was enough");
    }
}

#[tokio::test]
async fn a_pool_that_is_down_is_answered_by_the_other_one() {
    let world = world("30").await;
    world.fast[0].set(Fault::status(503));
    world.fast[1].set(Fault::status(529));
    for _ in 0..10 {
        let answer = world.router.completion(&ask("fast")).await.unwrap();
        assert!(answer.report.fallback_triggered);
        assert_eq!(answer.report.pool.as_str(), "capable");
        assert_eq!(answer.report.requested.as_str(), "fast");
    }
    assert!(calls(&world.fast) <= 6, "cooled after `allowed_fails`: {}", calls(&world.fast));
}

#[tokio::test]
async fn with_everything_down_both_aliases_end_with_the_last_real_error() {
    for alias in ["fast", "capable"] {
        let world = world("30").await;
        for upstream in world.fast.iter().chain(&world.capable) {
            upstream.set(Fault::status(500));
        }
        let error = world.router.completion(&ask(alias)).await.unwrap_err();
        let RouteError::Failed { error, report, .. } = &error else { panic!("{error}") };
        assert_eq!(error.status().unwrap().as_u16(), 500);
        assert_eq!(report.attempts.len() as u64, calls(&world.fast) + calls(&world.capable));
        assert!((2..=6).contains(&report.attempts.len()), "{}", report.attempts.len());
        let error = world.router.stream(&ask(alias)).await.unwrap_err();
        assert!(error.report().unwrap().attempts.len() <= 6);
    }
}

#[tokio::test]
async fn a_pattern_serves_every_model_that_matches_it() {
    let server = MockServer::start("127.0.0.1:0").await.unwrap();
    let upstream = server.upstream("any");
    let text = format!(
        "model_list:\n  - model_name: 'openai/*'\n    litellm_params: {{ model: 'openai/*', api_base: '{}' }}\n\
         router_settings:\n  model_group_alias: {{ best: 'openai/*' }}\n",
        upstream.openai_base()
    );
    let router = ConfigFile::parse(&text, "config.yaml", &|_| None).unwrap().into_builder().build().unwrap();
    for model in ["openai/gpt-5", "openai/o3"] {
        let answer = router.completion(&ask(model)).await.unwrap();
        assert_eq!(answer.report.requested.as_str(), model, "the report names what was asked for");
    }
    let sent: Vec<_> =
        upstream.requests().iter().map(|request| request.json().unwrap()["model"].clone()).collect();
    assert_eq!(sent, ["gpt-5", "o3"]);
    let error = router.completion(&ask("mistral/large")).await.unwrap_err();
    assert!(matches!(error, RouteError::UnknownAlias { .. }), "{error}");
}

#[tokio::test]
async fn limits_policies_and_defaults_are_read_from_the_file() {
    let text = "model_list:
  - model_name: fast
    litellm_params: { model: gpt-4o-mini, api_key: k, rpm: 60, tpm: 90000, max_parallel_requests: 4, order: 1, tags: [eu] }
    model_info: { id: first, max_input_tokens: 8000, allowed_fails: 1, supports_assistant_prefill: true }
  - model_name: capable
    litellm_params: { model: claude-sonnet-4-6, api_key: k2, input_cost_per_token: 0, output_cost_per_token: 0.000015 }
router_settings:
  routing_strategy: usage-based-routing-v2
  retry_policy: { RateLimitErrorRetries: 5, TimeoutErrorRetries: 0 }
  allowed_fails_policy: { TimeoutErrorAllowedFails: 9 }
  default_fallbacks: [capable]
  max_fallbacks: 2
  queue_timeout: 1.5
  enable_pre_call_checks: true
  enable_tag_filtering: true
  pools:
    capable: { routing_strategy: least-busy, num_retries: 0 }
";
    let file = ConfigFile::parse(text, "config.yaml", &|_| None).unwrap();
    assert!(file.ignored().is_empty(), "{:?}", file.ignored());
    let router = file.into_builder().build().unwrap();
    let catalog = router.fleet().catalog();
    let [fast, capable] = ["fast", "capable"].map(|alias| &catalog[catalog.pool(alias).unwrap()]);
    assert_eq!(fast.strategy().name(), "usage-based-routing");
    assert_eq!(capable.strategy().name(), "least-busy");
    assert_eq!(fast.retries_after(ProviderErrorKind::RateLimited), 5);
    assert_eq!(fast.retries_after(ProviderErrorKind::Timeout), 0);
    assert_eq!((fast.num_retries(), capable.num_retries()), (2, 0));
    let deployment = &catalog.deployments()[0];
    assert_eq!((deployment.id().as_str(), deployment.order()), ("first", Some(1)));
    let price = catalog.deployments()[1].price().unwrap();
    assert_eq!((price.input.as_pico(), price.output.as_pico()), (0, 15_000_000));
    assert_eq!(catalog.deployments()[1].provider(), "anthropic");
    assert_eq!(catalog.settings().queue_timeout.as_millis(), 1500);
}

#[tokio::test]
async fn requests_with_tools_or_images_pass_over_deployments_that_the_file_says_lack_them() {
    let server = MockServer::start("127.0.0.1:0").await.unwrap();
    let [plain, able] = ["plain", "able"].map(|name| server.upstream(name));
    let text = format!(
        "model_list:
  - model_name: fast
    litellm_params: {{ model: gpt-3.5-turbo, api_key: k, api_base: {}, order: 1 }}
    model_info: {{ supports_function_calling: false, supports_vision: false }}
  - model_name: fast
    litellm_params: {{ model: gpt-4o, api_key: k, api_base: {}, order: 2 }}
    model_info: {{ supports_function_calling: true }}
",
        plain.openai_base(),
        able.openai_base()
    );
    let file = ConfigFile::parse(&text, "config.yaml", &|_| None).unwrap();
    assert!(file.ignored().is_empty(), "{:?}", file.ignored());
    let router = file.into_builder().build().unwrap();
    let ask = async |body: &str| {
        router.completion(&ChatRequest::from_json(body.to_owned()).unwrap()).await.unwrap();
        (plain.calls(), able.calls())
    };
    let says_image_url =
        r#"{"model":"fast","messages":[{"role":"user","content":"what is \"image_url\"?"}],"tools":[]}"#;
    assert_eq!(ask(says_image_url).await, (1, 0));
    let tools = r#"{"model":"fast","messages":[{"role":"user","content":"hi"}],"tools":[{"type":"function","function":{"name":"f"}}]}"#;
    assert_eq!(ask(tools).await, (1, 1));
    let image = r#"{"model":"fast","messages":[{"role":"user","content":[{"type": "image_url","image_url":{"url":"https://example.org/a.png"}}]}]}"#;
    assert_eq!(ask(image).await, (1, 2));
}
