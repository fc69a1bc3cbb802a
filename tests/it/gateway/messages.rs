//! Anthropic's API, over deployments of both formats.

use std::path::Path;

use super::*;

async fn send(world: &World, body: &Value) -> reqwest::Response {
    let request = reqwest::Client::new().post(world.gateway.url("/v1/messages")).body(body.to_string());
    request.header("anthropic-version", "2023-06-01").send().await.unwrap()
}

async fn reply(world: &World, body: &Value) -> Value {
    let response = send(world, body).await;
    assert_eq!(response.status(), 200);
    serde_json::from_str(&response.text().await.unwrap()).unwrap()
}

fn ask(model: &str) -> Value {
    json!({"model": model, "max_tokens": 100, "messages": [{"role": "user", "content": "Hello there"}]})
}

fn streamed(model: &str) -> Value {
    let mut body = ask(model);
    body["stream"] = true.into();
    body
}

/// The events of a stream: their names and their data, which have to agree.
fn events_of(text: &str) -> Vec<Value> {
    let mut events = Vec::new();
    for event in text.split("\n\n").filter(|event| !event.trim().is_empty()) {
        let name = event.lines().find_map(|line| line.strip_prefix("event: "));
        let data: Value =
            event.lines().find_map(|line| line.strip_prefix("data: ")).unwrap().parse().unwrap();
        if let Some(name) = name {
            assert_eq!(data["type"], name);
        }
        events.push(data);
    }
    events
}

/// Puts a stream together, as Anthropic's SDKs do.
fn assembled(events: &[Value]) -> Value {
    let mut message = Value::Null;
    let mut pieces: Vec<String> = Vec::new();
    for event in events {
        let index = usize::try_from(event["index"].as_u64().unwrap_or(0)).unwrap();
        match event["type"].as_str().unwrap() {
            "message_start" => message = event["message"].clone(),
            "content_block_start" => {
                let content = message["content"].as_array_mut().unwrap();
                assert_eq!(content.len(), index, "blocks begin in their order");
                content.push(event["content_block"].clone());
                pieces.push(String::new());
            }
            "content_block_delta" => {
                let delta = &event["delta"];
                let block = &mut message["content"][index];
                for member in ["text", "thinking", "signature"] {
                    if let Some(more) = delta[member].as_str() {
                        let whole = block[member].as_str().unwrap_or_default().to_owned() + more;
                        block[member] = whole.into();
                    }
                }
                pieces[index].push_str(delta["partial_json"].as_str().unwrap_or_default());
            }
            "content_block_stop" if !pieces[index].is_empty() => {
                message["content"][index]["input"] = pieces[index].parse().unwrap();
            }
            "message_delta" => {
                for (name, value) in event["delta"].as_object().unwrap() {
                    message[name] = value.clone();
                }
                for (name, value) in event["usage"].as_object().unwrap() {
                    message["usage"][name] = value.clone();
                }
            }
            _ => {}
        }
    }
    message
}

#[tokio::test]
async fn a_message_is_answered_by_either_format_in_anthropics_shape() {
    let world = world().await;
    for model in ["gpt", "claude"] {
        let response = send(&world, &ask(model)).await;
        assert_eq!(response.headers()["x-router-pool"], model);
        assert_eq!(response.headers()["request-id"], response.headers()["x-request-id"]);
        let whole: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
        let response = send(&world, &streamed(model)).await;
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let events = events_of(&response.text().await.unwrap());
        assert_eq!(events.first().unwrap()["type"], "message_start");
        assert_eq!(events.last().unwrap()["type"], "message_stop");
        for message in [whole, assembled(&events)] {
            assert_eq!((&message["type"], &message["role"]), (&json!("message"), &json!("assistant")));
            assert!(message["id"].as_str().unwrap().starts_with("msg_"), "{message}");
            assert_eq!(message["content"][0]["type"], "text", "{model}");
            assert!(message["content"][0]["text"].as_str().unwrap().contains("Hello there"), "{message}");
            assert_eq!(message["stop_reason"], "end_turn");
            assert!(message["usage"]["input_tokens"].as_u64().unwrap() > 0);
            assert!(message["usage"]["output_tokens"].as_u64().unwrap() > 0);
        }
    }
}

#[tokio::test]
async fn tools_are_called_and_their_results_understood_by_either_format() {
    let world = world().await;
    for upstream in [&world.openai, &world.anthropic] {
        upstream.set(Behaviour::default().with_tool_calls().with_tool_arguments(r#"{"city":"Paris"}"#));
    }
    let tool = json!({"name": "weather", "input_schema": {"type": "object", "properties": {}}});
    for model in ["gpt", "claude"] {
        let mut body = streamed(model);
        body["tools"] = json!([tool]);
        let message = assembled(&events_of(&send(&world, &body).await.text().await.unwrap()));
        body["stream"] = false.into();
        for message in [message, reply(&world, &body).await] {
            let call = &message["content"][0];
            assert_eq!((&call["type"], &call["name"]), (&json!("tool_use"), &json!("weather")), "{message}");
            assert_eq!(
                (&call["input"], &message["stop_reason"]),
                (&json!({"city": "Paris"}), &json!("tool_use"))
            );
            let mut next = body.clone();
            let turns = next["messages"].as_array_mut().unwrap();
            turns.push(json!({"role": "assistant", "content": message["content"]}));
            let result = json!({"type": "tool_result", "tool_use_id": call["id"], "content": "sunny"});
            turns.push(json!({"role": "user", "content": [result]}));
            assert_eq!(reply(&world, &next).await["stop_reason"], "end_turn");
        }
    }
    let sent = world.openai.requests().last().unwrap().json().unwrap();
    assert_eq!(sent["messages"][2]["role"], "tool");
    assert_eq!(sent["messages"][2]["tool_call_id"], sent["messages"][1]["tool_calls"][0]["id"]);
}

#[tokio::test]
async fn anthropic_gets_the_callers_own_words_and_others_get_nothing_of_anthropics() {
    let world = world().await;
    let mut body = ask("claude");
    body["system"] = json!([{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}]);
    body["thinking"] = json!({"type": "enabled", "budget_tokens": 1024});
    body["context_management"] = json!({"edits": []});
    let request = reqwest::Client::new()
        .post(world.gateway.url("/v1/messages"))
        .header("anthropic-beta", "context-management-2025-06-27")
        .body(body.to_string());
    assert_eq!(request.send().await.unwrap().status(), 200);
    let sent = &world.anthropic.requests()[0];
    body["model"] = "claude-haiku-4-5".into();
    assert_eq!(sent.json().unwrap(), body);
    assert_eq!(sent.headers["anthropic-beta"], "context-management-2025-06-27");

    body["model"] = "gpt".into();
    reply(&world, &body).await;
    let sent = world.openai.requests()[0].json().unwrap();
    assert_eq!(
        sent,
        json!({
            "model": "gpt-4o-mini", "max_tokens": 100, "reasoning_effort": "low",
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "Hello there"},
            ],
        })
    );
}

#[tokio::test]
async fn what_only_anthropic_can_do_passes_over_the_others() {
    let world = world().await;
    let mut body = ask("gpt");
    body["tools"] = json!([{"type": "web_search_20250305", "name": "web_search"}]);
    let response = send(&world, &body).await;
    assert_eq!((response.status().as_u16(), world.openai.calls()), (200, 0));
    assert_eq!(response.headers()["x-router-pool"], "claude", "its fallback");
    body["model"] = "lone".into();
    let response = send(&world, &body).await;
    assert_eq!(response.status(), 400);
    let error: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
    let message = error["error"]["message"].as_str().unwrap();
    assert!(message.contains("`tools[0]` of type \"web_search_20250305\""), "{message}");
}

#[tokio::test]
async fn errors_have_anthropics_shape_whoever_makes_them() {
    let world = world().await;
    let check = async |response: reqwest::Response, status: u16, kind: &str| {
        assert_eq!(response.status().as_u16(), status);
        let id = response.headers()["request-id"].to_str().unwrap().to_owned();
        let error: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
        assert_eq!((&error["type"], &error["error"]["type"]), (&json!("error"), &json!(kind)), "{error}");
        assert_eq!(error["request_id"], id);
        assert!(!error["error"]["message"].as_str().unwrap().is_empty());
    };
    check(send(&world, &json!({"model": "gpt"})).await, 400, "invalid_request_error").await;
    check(send(&world, &ask("unknown")).await, 404, "not_found_error").await;
    world.openai.enqueue(Fault::ContextWindow);
    check(send(&world, &ask("lone")).await, 400, "invalid_request_error").await;
    world.openai.set(Fault::rate_limited("40"));
    check(send(&world, &ask("lone")).await, 429, "rate_limit_error").await;
}

#[tokio::test]
async fn keys_are_shown_as_anthropics_clients_do_and_refused_in_anthropics_words() {
    use router_gateway::{Access, KeyHash};
    let server = MockServer::start("127.0.0.1:0").await.unwrap();
    let deployment = Deployment::new("fast", "gpt-4o").api_base(server.upstream("a").openai_base());
    let router = Router::builder().deployment(deployment).build().unwrap();
    let access = Access::with_keys(Some(KeyHash::of("sk-master")), []);
    let app = App::with_limits(Serving::new(router).with_access(access), Limits::default());
    let gateway = Gateway::of(app).await;
    for (key, status) in [("sk-master", 200), ("sk-wrong", 401)] {
        for path in ["/v1/messages", "/v1/messages/count_tokens"] {
            let request = reqwest::Client::new().post(gateway.url(path)).header("x-api-key", key);
            let response = request.body(ask("fast").to_string()).send().await.unwrap();
            assert_eq!(response.status().as_u16(), status, "{path}");
            let body: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
            if status == 401 {
                assert_eq!(body["error"]["type"], "authentication_error");
            }
        }
    }
}

#[tokio::test]
async fn tokens_are_counted_without_a_call() {
    let world = world().await;
    let mut body = ask("claude");
    body.as_object_mut().unwrap().remove("max_tokens");
    let url = world.gateway.url("/v1/messages/count_tokens");
    let response = reqwest::Client::new().post(url).body(body.to_string()).send().await.unwrap();
    let count: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
    assert!((5..50).contains(&count["input_tokens"].as_u64().unwrap()), "{count}");
    assert_eq!(world.anthropic.calls(), 0);
}

#[tokio::test]
async fn a_cut_stream_ends_with_an_error_event_and_no_stop() {
    let world = world().await;
    for upstream in [&world.openai, &world.anthropic] {
        upstream.set(Behaviour::failing(Fault::cut(3)).with_chunks(9));
    }
    for model in ["gpt", "claude"] {
        let events = events_of(&send(&world, &streamed(model)).await.text().await.unwrap());
        assert_eq!(events.last().unwrap()["type"], "error", "{model}: {events:?}");
        assert!(!events.iter().any(|event| event["type"] == "message_stop"), "{model}");
    }
}

/// What has to survive the way through the canonical shape.
fn essence(message: &Value) -> Value {
    let blocks = message["content"].as_array().unwrap();
    let of = |kinds: &[&str]| -> Vec<Value> {
        let mut kept = blocks.clone();
        kept.retain(|block| kinds.contains(&block["type"].as_str().unwrap()));
        for block in &mut kept {
            block.as_object_mut().unwrap().remove("caller");
        }
        kept
    };
    let text: String = of(&["text"]).iter().filter_map(|block| block["text"].as_str()).collect();
    let count = |name: &str| message["usage"][name].as_u64().unwrap_or(0);
    json!({
        "id": message["id"], "model": message["model"], "stop_reason": message["stop_reason"],
        "stop_sequence": message["stop_sequence"], "text": text,
        "thinking": of(&["thinking", "redacted_thinking"]),
        "calls": of(&["tool_use"]),
        "tokens": [count("input_tokens"), count("output_tokens"), count("cache_read_input_tokens"), count("cache_creation_input_tokens")],
    })
}

#[tokio::test]
async fn recorded_exchanges_with_anthropic_pass_through_unharmed() {
    let world = world().await;
    let folder =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/router-providers/tests/fixtures/anthropic");
    let mut passed = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if !path.file_name().unwrap().to_str().unwrap().starts_with("anthropic_messages.") {
            continue;
        }
        let exchange: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let (mut asked, answer) = (exchange["request"]["body"].clone(), &exchange["response"]);
        if answer["status"] != 200 || !asked.is_object() || asked["messages"] == Value::Null {
            continue;
        }
        let (content_type, body) = match answer["sse"].as_str() {
            Some(sse) => ("text/event-stream", sse.to_owned()),
            None => ("application/json", answer["body"].to_string()),
        };
        world.anthropic.enqueue(Fault::Raw {
            code: 200,
            content_type: content_type.to_owned(),
            body: body.clone(),
        });
        asked["model"] = "claude".into();
        let response = send(&world, &asked).await;
        let (status, received) = (response.status(), response.text().await.unwrap());
        assert_eq!(status, 200, "{}: {received}", path.display());
        let sent = world.anthropic.requests().last().unwrap().json().unwrap();
        asked["model"] = "claude-haiku-4-5".into();
        if asked["stream"] == false {
            asked.as_object_mut().unwrap().remove("stream");
        }
        assert_eq!(sent, asked, "{}", path.display());
        let (received, recorded) = if content_type == "text/event-stream" {
            (assembled(&events_of(&received)), assembled(&events_of(&body)))
        } else {
            (received.parse().unwrap(), body.parse().unwrap())
        };
        assert_eq!(essence(&received), essence(&recorded), "{}", path.display());
        passed += 1;
    }
    assert!(passed > 100, "{passed}");
}
