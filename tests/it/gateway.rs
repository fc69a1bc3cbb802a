//! The gateway, over real HTTP on both sides.

mod access;
mod answers;
mod cache;
mod completions;
mod limits;
mod messages;
mod production;
#[path = "../../crates/router-state/tests/redis/server.rs"]
#[expect(
    dead_code,
    clippy::panic,
    reason = "only some of it is needed here, and tests stop at the first surprise"
)]
mod redis_server;
mod reload;
mod responses;
mod robustness;
mod telemetry;
mod traces;

use std::time::Duration;

use futures_util::StreamExt;
use llm_router::{Deployment, Router};
use router_gateway::{App, Limits, Server, Serving};
use router_mock::{Behaviour, Fault, MockServer, Upstream};
use serde_json::{Value, json};
use system_tests::Gateway;

struct World {
    _server: MockServer,
    openai: Upstream,
    anthropic: Upstream,
    gateway: Gateway,
}

async fn world() -> World {
    let server = MockServer::start("127.0.0.1:0").await.unwrap();
    let (openai, anthropic) = (server.upstream("openai"), server.upstream("anthropic"));
    let router = Router::builder()
        .deployment(Deployment::new("gpt", "gpt-4o-mini").api_base(openai.openai_base()))
        .deployment(
            Deployment::new("claude", "anthropic/claude-haiku-4-5").api_base(anthropic.anthropic_base()),
        )
        .deployment(Deployment::new("lone", "gpt-4o").api_base(openai.openai_base()))
        .fallbacks("gpt", ["claude"])
        .stream_timeout(Duration::from_secs(5))
        .build()
        .unwrap();
    World { gateway: Gateway::over(router).await, _server: server, openai, anthropic }
}

async fn post(world: &World, body: &Value) -> reqwest::Response {
    let client = reqwest::Client::new();
    let url = world.gateway.url("/v1/chat/completions");
    client.post(url).header("content-type", "application/json").body(body.to_string()).send().await.unwrap()
}

fn ask(model: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": "Hello there"}]})
}

fn streamed(model: &str) -> Value {
    let mut body = ask(model);
    body["stream"] = true.into();
    body
}

/// The events of a stream, without their framing.
async fn events(response: reqwest::Response) -> Vec<String> {
    let text = response.text().await.unwrap();
    text.split("\n\n")
        .filter(|event| !event.is_empty())
        .map(|event| event.strip_prefix("data: ").unwrap().to_owned())
        .collect()
}

fn text(events: &[String]) -> String {
    let chunks = events
        .iter()
        .filter(|event| *event != "[DONE]")
        .map(|event| serde_json::from_str::<Value>(event).unwrap());
    chunks.filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str().map(str::to_owned)).collect()
}

#[tokio::test]
async fn what_a_deployment_leaves_out_is_reported() {
    let server = MockServer::start("127.0.0.1:0").await.unwrap();
    let upstream = server.upstream("anthropic");
    let claude =
        || Deployment::new("claude", "anthropic/claude-haiku-4-5").api_base(upstream.anthropic_base());
    let router = Router::builder().deployment(claude()).drop_params(true).build().unwrap();
    let gateway = Gateway::over(router).await;
    for stream in [false, true] {
        let mut body = ask("claude");
        body["seed"] = 7.into();
        body["n"] = 2.into();
        body["stream"] = stream.into();
        let request = reqwest::Client::new().post(gateway.url("/v1/chat/completions"));
        let response = request.body(body.to_string()).send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["x-router-dropped-params"], "n");
    }
    // One that says otherwise itself refuses.
    let strict = Router::builder().deployment(claude().drop_params(false)).drop_params(true).build().unwrap();
    let request = llm_router::ChatRequest::builder("claude").user("hi").set("n", 2).build().unwrap();
    assert!(strict.completion(&request).await.is_err());
}

#[tokio::test]
async fn a_plain_request_is_answered_by_either_format_in_openais_shape() {
    let world = world().await;
    for model in ["gpt", "claude"] {
        let response = post(&world, &ask(model)).await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "application/json");
        assert_eq!(response.headers()["x-router-pool"], model);
        assert_eq!(response.headers()["x-router-attempts"], "1");
        assert_eq!(response.headers()["x-router-fallback"], "false");
        let body: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
        assert_eq!(body["object"], "chat.completion", "{model}");
        assert!(body["choices"][0]["message"]["content"].as_str().unwrap().contains("Hello there"));
        assert_eq!(body["choices"][0]["finish_reason"], "stop");
        assert!(body["usage"]["total_tokens"].as_u64().unwrap() > 0);
    }
}

#[tokio::test]
async fn a_stream_is_answered_by_either_format_in_openais_shape() {
    let world = world().await;
    for model in ["gpt", "claude"] {
        let response = post(&world, &streamed(model)).await;
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let events = events(response).await;
        assert_eq!(events.last().unwrap(), "[DONE]");
        assert!(text(&events).contains("Hello there"), "{model}");
        assert!(
            !events.iter().any(|event| event.contains(r#""usage":{"#)),
            "{model}: usage was not asked for"
        );

        let mut body = streamed(model);
        body["stream_options"] = json!({"include_usage": true});
        let events = self::events(post(&world, &body).await).await;
        let usage: Value = serde_json::from_str(&events[events.len() - 2]).unwrap();
        assert_eq!(usage["choices"], json!([]), "{model}");
        assert!(usage["usage"]["total_tokens"].as_u64().unwrap() > 0, "{model}");
    }
}

#[tokio::test]
async fn tool_calls_arrive_in_openais_shape_from_either_format() {
    let world = world().await;
    for upstream in [&world.openai, &world.anthropic] {
        upstream.set(Behaviour::default().with_tool_calls().with_tool_arguments(r#"{"city":"Paris"}"#));
    }
    let tool = json!({"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}});
    for model in ["gpt", "claude"] {
        let mut body = ask(model);
        body["tools"] = json!([tool]);
        let reply: Value = serde_json::from_str(&post(&world, &body).await.text().await.unwrap()).unwrap();
        let call = &reply["choices"][0]["message"]["tool_calls"][0];
        assert_eq!(
            (&call["type"], &call["function"]["name"]),
            (&json!("function"), &json!("weather")),
            "{model}"
        );
        let arguments: Value = serde_json::from_str(call["function"]["arguments"].as_str().unwrap()).unwrap();
        assert_eq!(arguments, json!({"city": "Paris"}), "{model}");
        assert_eq!(reply["choices"][0]["finish_reason"], "tool_calls", "{model}");

        body["stream"] = true.into();
        let mut arguments = String::new();
        for event in events(post(&world, &body).await).await.iter().filter(|event| *event != "[DONE]") {
            let chunk: Value = serde_json::from_str(event).unwrap();
            arguments.push_str(
                chunk["choices"][0]["delta"]["tool_calls"][0]["function"]["arguments"].as_str().unwrap_or(""),
            );
        }
        assert_eq!(serde_json::from_str::<Value>(&arguments).unwrap(), json!({"city": "Paris"}), "{model}");
    }
}

#[tokio::test]
async fn unknown_fields_reach_an_openai_upstream_untouched() {
    let world = world().await;
    let mut body = ask("gpt");
    body["x_new_feature"] = json!({"deep": [1, 2.50, "three"]});
    post(&world, &body).await;
    let sent = world.openai.requests()[0].json().unwrap();
    body["model"] = "gpt-4o-mini".into();
    assert_eq!(sent, body, "only the model is another");
}

#[tokio::test]
async fn the_headers_tell_of_a_fallback_and_why() {
    let world = world().await;
    world.openai.set(Fault::status(500));
    let response = post(&world, &ask("gpt")).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["x-router-fallback"], "true");
    assert_eq!(response.headers()["x-router-pool"], "claude");
    let trail = response.headers()["x-router-trail"].to_str().unwrap();
    assert_eq!(trail, "gpt:gpt-4o-mini=server error (500), claude:claude-haiku-4-5=answered");
    let body: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
    assert_eq!(body["model"], "claude-haiku-4-5", "the reply names the model that answered");
}

#[tokio::test]
async fn a_cut_stream_ends_with_an_error_event_and_no_done() {
    let world = world().await;
    world.anthropic.set(Behaviour::failing(Fault::cut(3)).with_chunks(9));
    world.openai.set(Behaviour::failing(Fault::cut(3)).with_chunks(9));
    for model in ["gpt", "claude"] {
        let events = events(post(&world, &streamed(model)).await).await;
        let error: Value = serde_json::from_str(events.last().unwrap()).unwrap();
        assert_eq!(error["error"]["code"], "stream_interrupted", "{model}: {events:?}");
        assert!(!events.iter().any(|event| event == "[DONE]"), "{model}");
        assert!(!events.iter().any(|event| event.contains(r#""finish_reason":"stop""#)), "{model}");
    }
}

#[tokio::test]
async fn a_stream_without_its_end_marker_is_no_success() {
    let world = world().await;
    for upstream in [&world.openai, &world.anthropic] {
        upstream.set(Fault::NoEndMarker { without_finish_reason: true });
    }
    for model in ["lone", "claude"] {
        let events = events(post(&world, &streamed(model)).await).await;
        assert!(events.last().unwrap().contains(r#""error""#), "{model}: {events:?}");
    }
}

#[tokio::test]
async fn errors_have_openais_shape_and_the_providers_meaning() {
    let world = world().await;
    let check = async |fault: Fault, status: u16, code: &str| {
        world.openai.enqueue(fault.clone());
        let response = post(&world, &ask("lone")).await;
        assert_eq!(response.status().as_u16(), status, "{fault:?}");
        let body: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
        assert_eq!(body["error"]["code"], code, "{fault:?}");
        assert!(!body["error"]["message"].as_str().unwrap().is_empty());
    };
    check(Fault::ContextWindow, 400, "context_length_exceeded").await;
    check(Fault::ContentFilter, 400, "content_filter").await;
    check(Fault::status(400), 400, "invalid_request_error").await;
    // It cools from here on.
    check(Fault::InsufficientQuota, 429, "insufficient_quota").await;
    check(Fault::status(500), 503, "no_deployment_ready").await;
}

#[tokio::test]
async fn retry_after_tells_when_the_first_deployment_is_ready() {
    let world = world().await;
    world.openai.set(Fault::rate_limited("40"));
    let response = post(&world, &ask("lone")).await;
    assert_eq!(response.status(), 429);
    assert_eq!(response.headers()["retry-after"], "40");
    let response = post(&world, &ask("lone")).await;
    let seconds: u64 = response.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((38..=40).contains(&seconds), "{seconds}");
    assert_eq!(world.openai.calls(), 1, "the second request was refused at once");
}

#[tokio::test]
async fn a_client_that_leaves_cancels_the_call_upstream() {
    let world = world().await;
    world.openai.set(Behaviour::default().with_chunks(1_000).with_chunk_interval_ms(5));
    let response = post(&world, &streamed("gpt")).await;
    let mut body = response.bytes_stream();
    body.next().await.unwrap().unwrap();
    assert_eq!(world.openai.open(), 1);
    drop(body);
    let gone = async {
        while world.openai.aborted() == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_millis(100), gone).await.expect("the upstream call goes on");
}

#[tokio::test]
async fn a_client_that_leaves_before_a_whole_answer_cancels_the_call_upstream() {
    let world = world().await;
    world.openai.set(Behaviour::default().with_latency_ms(60_000));
    let body = ask("gpt");
    let asking = post(&world, &body);
    let called = async {
        while world.openai.open() == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::select! {
        _ = asking => panic!("it is answered in a minute"),
        () = called => {}
    }
    let gone = async {
        while world.openai.aborted() == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_millis(100), gone).await.expect("the upstream call goes on");
}

#[tokio::test]
async fn models_and_health_answer() {
    let world = world().await;
    let get = async |path: &str| {
        let response = reqwest::get(world.gateway.url(path)).await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    };
    let (status, models) = get("/v1/models").await;
    let models: Value = serde_json::from_str(&models).unwrap();
    let ids: Vec<_> = models["data"].as_array().unwrap().iter().map(|model| model["id"].clone()).collect();
    assert_eq!((status, ids), (200, vec![json!("gpt"), json!("claude"), json!("lone")]));
    for path in ["/health/liveliness", "/health/liveness", "/health/readiness"] {
        assert_eq!(get(path).await.0, 200, "{path}");
    }
}

#[tokio::test]
async fn a_stop_lets_requests_under_way_end() {
    let world = world().await;
    world.openai.set(Behaviour::default().with_chunks(30).with_chunk_interval_ms(10));
    let response = post(&world, &streamed("gpt")).await;
    let url = world.gateway.url("/health/liveness");
    let (ended, events) = tokio::join!(world.gateway.stop(), events(response));
    assert!(ended, "it drained in time");
    assert_eq!(events.last().unwrap(), "[DONE]");
    assert!(reqwest::get(url).await.is_err(), "it takes no more connections");
}

#[tokio::test]
async fn a_cut_stream_goes_on_elsewhere_when_that_is_asked_for() {
    let server = MockServer::start("127.0.0.1:0").await.unwrap();
    let (openai, anthropic) = (server.upstream("openai"), server.upstream("anthropic"));
    openai.set(Behaviour::answering("one two three four five").with_fault(Fault::cut(3)));
    anthropic.set(Behaviour::answering(" four five"));
    let router = Router::builder()
        .deployment(Deployment::new("gpt", "gpt-4o-mini").api_base(openai.openai_base()))
        .deployment(
            Deployment::new("claude", "anthropic/claude-haiku-4-5")
                .api_base(anthropic.anthropic_base())
                .supports_assistant_prefill(true),
        )
        .fallbacks("gpt", ["claude"])
        .enable_mid_stream_fallback_continuation(true)
        .build()
        .unwrap();
    let world = World { gateway: Gateway::over(router).await, _server: server, openai, anthropic };
    let raw = post(&world, &streamed("gpt")).await.text().await.unwrap();
    assert!(raw.contains(": continued by claude:claude-haiku-4-5\n\n"), "{raw}");
    assert!(raw.ends_with("data: [DONE]\n\n"), "{raw}");
    let data: Vec<String> =
        raw.split("\n\n").filter_map(|event| event.strip_prefix("data: ")).map(str::to_owned).collect();
    assert_eq!(text(&data), "one two three four five");
    let sent = world.anthropic.requests()[0].json().unwrap();
    assert_eq!(sent["messages"][1]["role"], "assistant");
}
