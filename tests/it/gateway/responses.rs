//! OpenAI's newer API, over deployments of both formats.

use super::*;

async fn send(world: &World, body: &Value) -> reqwest::Response {
    let url = world.gateway.url("/v1/responses");
    reqwest::Client::new().post(url).body(body.to_string()).send().await.unwrap()
}

async fn events(response: reqwest::Response) -> Vec<Value> {
    let text = response.text().await.unwrap();
    let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
    data.map(|data| data.parse().unwrap()).collect()
}

fn streamed(mut body: Value) -> Value {
    body["stream"] = true.into();
    body
}

#[tokio::test]
async fn a_response_is_answered_by_either_format_whole_and_streamed() {
    let world = world().await;
    for model in ["gpt", "claude"] {
        let asked = json!({"model": model, "input": "Hello there", "instructions": "Be brief.", "metadata": {"a": "b"}});
        let response = send(&world, &asked).await;
        assert_eq!(response.headers()["x-router-pool"], model);
        let whole: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
        let events = events(send(&world, &streamed(asked)).await).await;
        let last = events.last().unwrap();
        assert_eq!(last["type"], "response.completed");
        let numbers: Vec<_> = events.iter().map(|event| event["sequence_number"].as_u64().unwrap()).collect();
        assert_eq!(numbers, (0..events.len() as u64).collect::<Vec<_>>());
        let deltas = events.iter().filter(|event| event["type"] == "response.output_text.delta");
        let text: String = deltas.filter_map(|event| event["delta"].as_str()).collect();
        for response in [&whole, &last["response"]] {
            assert_eq!(response["output"][0]["content"][0]["text"], text);
            assert_eq!((&response["status"], &response["store"]), (&json!("completed"), &json!(false)));
            assert_eq!(
                (&response["instructions"], &response["metadata"]),
                (&json!("Be brief."), &json!({"a": "b"}))
            );
            assert!(response["usage"]["total_tokens"].as_u64().unwrap() > 0);
        }
        assert!(text.contains("Hello there"), "{text}");
    }
}

#[tokio::test]
async fn a_call_its_result_and_the_answer_to_it_are_items() {
    let world = world().await;
    for upstream in [&world.openai, &world.anthropic] {
        upstream.set(Behaviour::default().with_tool_calls().with_tool_arguments(r#"{"city":"Paris"}"#));
    }
    for model in ["gpt", "claude"] {
        let asked = json!({
            "model": model, "input": [{"role": "user", "content": "Hello"}],
            "tools": [{"type": "function", "name": "weather", "parameters": {"type": "object", "properties": {}}}],
        });
        let whole: Value = serde_json::from_str(&send(&world, &asked).await.text().await.unwrap()).unwrap();
        let events = events(send(&world, &streamed(asked.clone())).await).await;
        for response in [&whole, &events.last().unwrap()["response"]] {
            let call = &response["output"][0];
            assert_eq!((&call["type"], &call["name"]), (&json!("function_call"), &json!("weather")));
            let arguments: Value = call["arguments"].as_str().unwrap().parse().unwrap();
            assert_eq!(arguments, json!({"city": "Paris"}));
            let mut next = asked.clone();
            let items = next["input"].as_array_mut().unwrap();
            items.push(call.clone());
            items
                .push(json!({"type": "function_call_output", "call_id": call["call_id"], "output": "sunny"}));
            let answer: Value =
                serde_json::from_str(&send(&world, &next).await.text().await.unwrap()).unwrap();
            assert_eq!(answer["output"][0]["type"], "message", "{answer}");
        }
    }
}

#[tokio::test]
async fn an_answer_that_ran_out_of_tokens_is_incomplete() {
    let world = world().await;
    for model in ["gpt", "claude"] {
        let asked = json!({"model": model, "input": "Hello there", "max_output_tokens": 2});
        let whole: Value = serde_json::from_str(&send(&world, &asked).await.text().await.unwrap()).unwrap();
        let events = events(send(&world, &streamed(asked)).await).await;
        assert_eq!(events.last().unwrap()["type"], "response.incomplete");
        for response in [&whole, &events.last().unwrap()["response"]] {
            assert_eq!(response["status"], "incomplete");
            assert_eq!(response["incomplete_details"]["reason"], "max_output_tokens");
        }
    }
}

#[tokio::test]
async fn a_cut_stream_fails() {
    let world = world().await;
    world.openai.set(Behaviour::failing(Fault::cut(3)).with_chunks(9));
    let asked = streamed(json!({"model": "lone", "input": "Hello there"}));
    let events = events(send(&world, &asked).await).await;
    let [.., error, failed] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!((&error["type"], &error["error"]["code"]), (&json!("error"), &json!("stream_interrupted")));
    assert_eq!(
        (&failed["type"], &failed["response"]["status"]),
        (&json!("response.failed"), &json!("failed"))
    );
}

#[tokio::test]
async fn what_needs_a_memory_is_refused() {
    let world = world().await;
    let response =
        send(&world, &json!({"model": "gpt", "input": "Hello", "previous_response_id": "resp_1"})).await;
    assert_eq!(response.status(), 400);
    let error: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
    assert_eq!(error["error"]["param"], "previous_response_id");
    assert_eq!(world.openai.calls(), 0);
}
