//! What differs from LiteLLM's router and is shown nowhere else.

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use llm_router::{ChatRequest, ConfigFile, Deployment, ProviderErrorKind, Router};
use router_core::{CostBased, LeastBusy};
use router_mock::{Fault, MockServer};
use serde_json::json;
use system_tests::{Act, Gateway, Recorder, ScriptedProvider};

use super::world::{Format, Layout, Mode, World};

#[tokio::test]
async fn an_unknown_model_is_404_though_there_are_default_fallbacks() {
    let set = |builder: llm_router::RouterBuilder| builder.default_fallbacks(["backup"]);
    let world = World::new(Layout::Fallback, Format::OpenAi, set).await;
    for mode in Mode::BOTH {
        let heard = world.post(mode, json!({"model": "caht", "messages": []})).await;
        assert_eq!(heard.status, 404);
        let error = &heard.error.as_ref().unwrap()["error"];
        assert_eq!((&error["code"], &error["param"]), (&"model_not_found".into(), &"model".into()));
    }
    assert_eq!((world.primary.calls(), world.other.calls()), (0, 0), "nobody answers what nobody asked");
}

#[tokio::test]
async fn a_deployment_behind_a_wildcard_cools_like_any_other() {
    let server = MockServer::start("127.0.0.1:0").await.unwrap();
    let [dead, alive] = ["dead", "alive"].map(|name| server.upstream(name));
    dead.set(Fault::status(500));
    let deployment = |upstream: &router_mock::Upstream| {
        Deployment::new("openai/*", "openai/*").api_base(upstream.openai_base()).id(upstream.name())
    };
    let router = Router::builder()
        .deployment(deployment(&dead))
        .deployment(deployment(&alive))
        .allowed_fails(2)
        .cooldown_time(Duration::from_secs(60))
        .build()
        .unwrap();
    let request = ChatRequest::user("openai/gpt-4o", "hi").unwrap();
    for _ in 0..30 {
        router.completion(&request).await.unwrap();
    }
    assert_eq!((dead.calls(), alive.calls()), (3, 30));
}

#[tokio::test(start_paused = true)]
async fn two_routers_in_one_process_share_nothing_even_under_the_same_ids() {
    let (fails, answers) = (
        ScriptedProvider::new([Act::Fail(ProviderErrorKind::Authentication)]),
        ScriptedProvider::new([Act::Answer("hello")]),
    );
    let recorder = Recorder::new();
    let deployment = |provider: &Arc<ScriptedProvider>| {
        Deployment::with_provider("fast", "m", Arc::clone(provider) as _).id("the-same")
    };
    let one =
        Router::builder().deployment(deployment(&fails).rpm(2)).observer(Arc::clone(&recorder) as _).build();
    let (one, other) = (one.unwrap(), Router::builder().deployment(deployment(&answers)).build().unwrap());
    let request = ChatRequest::user("fast", "hi").unwrap();
    one.completion(&request).await.unwrap_err();
    one.completion(&request).await.unwrap_err();
    let heard = recorder.lines();
    for _ in 0..10 {
        other.completion(&request).await.unwrap();
    }
    assert_eq!((fails.calls(), answers.calls()), (1, 10), "neither its cooldown nor its limit holds there");
    assert_eq!(recorder.lines(), heard, "nor does its observer hear what happens there");
}

/// The variable is set for a second run of this test, in a process of its own.
#[tokio::test]
async fn a_key_from_the_environment_is_not_sent_to_an_address_of_ones_own() {
    const NAME: &str =
        "scenarios::differences::a_key_from_the_environment_is_not_sent_to_an_address_of_ones_own";
    const KEY: &str = "sk-from-the-environment";
    if std::env::var("OPENAI_API_KEY").as_deref() != Ok(KEY) {
        let mut again = Command::new(std::env::current_exe().unwrap());
        let output = again.args(["--exact", NAME]).env("OPENAI_API_KEY", KEY).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("1 passed"), "{said}");
        return;
    }
    let server = MockServer::start("127.0.0.1:0").await.unwrap();
    let upstream = server.upstream("neighbour");
    let deployment = Deployment::new("chat", "gpt-4o").api_base(upstream.openai_base());
    let router = Router::builder().deployment(deployment).build().unwrap();
    router.completion(&ChatRequest::user("chat", "hi").unwrap()).await.unwrap();
    let sent = &upstream.requests()[0];
    assert!(!format!("{:?}", sent.headers.values().collect::<Vec<_>>()).contains(KEY));
    assert!(!sent.headers.contains_key("authorization"));
}

#[tokio::test(start_paused = true)]
async fn equals_take_turns_under_least_busy_and_cost_based_routing() {
    let strategies: [Arc<dyn router_core::Strategy>; 2] = [Arc::new(LeastBusy), Arc::new(CostBased)];
    for strategy in strategies {
        let providers: [_; 3] = std::array::from_fn(|_| ScriptedProvider::new([Act::Answer("hello")]));
        let builder = providers.iter().fold(Router::builder(), |builder, provider| {
            builder.deployment(Deployment::with_provider("fast", "m", Arc::clone(provider) as _))
        });
        let router = builder.routing_strategy(Arc::clone(&strategy)).build().unwrap();
        for _ in 0..30 {
            router.completion(&ChatRequest::user("fast", "hi").unwrap()).await.unwrap();
        }
        assert_eq!(providers.map(|provider| provider.calls()), [10, 10, 10], "{}", strategy.name());
    }
}

#[test]
fn both_versions_of_usage_based_routing_are_the_same_strategy() {
    for name in ["usage-based-routing", "usage-based-routing-v2"] {
        let text = format!(
            "model_list:\n  - model_name: chat\n    litellm_params: {{ model: gpt-4o, api_key: k }}\n\
             router_settings: {{ routing_strategy: {name} }}\n"
        );
        let file = ConfigFile::parse(&text, "config.yaml", &|_| None).unwrap();
        let router = file.into_builder().build().unwrap();
        let catalog = router.fleet().catalog();
        assert_eq!(catalog[catalog.pool("chat").unwrap()].strategy().name(), "usage-based-routing");
    }
}

#[test]
fn an_attempt_may_take_ten_minutes_where_nothing_is_said() {
    let deployment = Deployment::new("chat", "gpt-4o").api_key("k");
    let router = Router::builder().deployment(deployment).build().unwrap();
    assert_eq!(router.fleet().catalog().deployments()[0].timeout(), Duration::from_secs(600));
}

#[tokio::test]
async fn a_deployment_whose_places_are_taken_is_passed_over_without_an_attempt() {
    let server = MockServer::start("127.0.0.1:0").await.unwrap();
    let [small, large] = ["small", "large"].map(|name| server.upstream(name));
    for upstream in [&small, &large] {
        upstream.set(router_mock::Behaviour::answering("hello").with_latency_ms(100));
    }
    let deployment = |upstream: &router_mock::Upstream| {
        Deployment::new("chat", "gpt-4o").api_base(upstream.openai_base()).id(upstream.name())
    };
    let router = Router::builder()
        .deployment(deployment(&small).max_parallel_requests(2))
        .deployment(deployment(&large))
        .build()
        .unwrap();
    let gateway = Gateway::over(router).await;
    let client = reqwest::Client::builder().tls_certs_only([]).build().unwrap();
    let body = json!({"model": "chat", "messages": [{"role": "user", "content": "hi"}]}).to_string();
    let burst = (0..12).map(|_| client.post(gateway.url("/v1/chat/completions")).body(body.clone()).send());
    for response in futures_util::future::join_all(burst).await {
        let response = response.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["x-router-attempts"], "1", "nobody is refused and sent on");
    }
    assert_eq!((small.calls(), large.calls()), (2, 10));
}

#[tokio::test]
async fn with_nobody_left_the_caller_hears_the_last_real_error_and_the_whole_trail() {
    for mode in Mode::BOTH {
        let world = World::new(Layout::Fallback, Format::OpenAi, |builder| builder.num_retries(0)).await;
        world.primary.set(Fault::status(500));
        world.other.set(Fault::Status {
            code: 401,
            retry_after: None,
            message: Some("no such key".to_owned()),
        });
        let heard = world.ask(mode).await;
        assert_eq!(heard.status, 401, "{mode:?}: a stream that never began is an error, not a stream");
        let error = &heard.error.as_ref().unwrap()["error"];
        assert!(error["message"].as_str().unwrap().contains("no such key"), "{error}");
        let trail = "primary=server error (500), other=authentication failed (401)";
        assert_eq!(heard.header("x-router-trail"), trail, "{mode:?}");
        assert_eq!(heard.header("x-router-deployment"), "other", "{mode:?}");
    }
}

/// `docs/differences.md` claims nothing without a test: the last cell of each row names some, as `crate module::name`.
#[test]
fn every_row_of_the_page_on_differences_names_tests_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let page = std::fs::read_to_string(root.join("docs/differences.md")).unwrap();
    let rows = page.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| behaviour "));
    let mut sources = HashMap::new();
    let mut checked = 0;
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").collect();
        assert_eq!(cells.len(), 5, "{row}");
        let names: Vec<&str> = cells[4].split('`').skip(1).step_by(2).collect();
        assert!(!names.is_empty(), "no test: {row}");
        for name in names {
            let (package, path) = name.split_once(' ').unwrap();
            let folder = match package {
                "system-tests" => root.join("tests"),
                package => root.join("crates").join(package),
            };
            let source = sources.entry(package).or_insert_with(|| source_of(&folder));
            let function = format!("fn {}(", path.rsplit("::").next().unwrap());
            assert!(source.contains(&function), "there is no test {name}");
            checked += 1;
        }
    }
    assert!(checked > 50, "the page was read: {checked}");
}

/// All Rust source below a folder.
fn source_of(folder: &Path) -> String {
    let mut source = String::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            source.push_str(&source_of(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            source.push_str(&std::fs::read_to_string(&path).unwrap());
        }
    }
    source
}
