//! The legacy endpoint: a prompt instead of messages.

use super::*;

async fn send(world: &World, body: &Value) -> reqwest::Response {
    let url = world.gateway.url("/v1/completions");
    reqwest::Client::new().post(url).body(body.to_string()).send().await.unwrap()
}

#[tokio::test]
async fn a_prompt_is_completed_by_either_format() {
    let world = world().await;
    for model in ["gpt", "claude"] {
        for prompt in [json!("Hello there"), json!(["Hello there"])] {
            let response = send(&world, &json!({"model": model, "prompt": prompt})).await;
            assert_eq!(response.headers()["x-router-pool"], model);
            let body: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
            assert_eq!(body["object"], "text_completion");
            assert!(body["choices"][0]["text"].as_str().unwrap().contains("Hello there"), "{body}");
            assert_eq!(body["choices"][0]["finish_reason"], "stop");
            assert!(body["usage"]["total_tokens"].as_u64().unwrap() > 0);
        }
    }
}

#[tokio::test]
async fn a_prompt_is_completed_as_a_stream() {
    let world = world().await;
    for model in ["gpt", "claude"] {
        let body = json!({"model": model, "prompt": "Hello there", "stream": true});
        let events = events(send(&world, &body).await).await;
        let (last, pieces) = events.split_last().unwrap();
        assert_eq!(last, "[DONE]");
        let pieces: Vec<Value> = pieces.iter().map(|event| event.parse().unwrap()).collect();
        assert!(pieces.iter().all(|piece| piece["object"] == "text_completion"));
        let text: String = pieces.iter().filter_map(|piece| piece["choices"][0]["text"].as_str()).collect();
        assert!(text.contains("Hello there"), "{text}");
        assert_eq!(pieces.last().unwrap()["choices"][0]["finish_reason"], "stop");
    }
    world.openai.set(Behaviour::failing(Fault::cut(3)).with_chunks(9));
    let cut = json!({"model": "lone", "prompt": "Hello there", "stream": true});
    let events = events(send(&world, &cut).await).await;
    assert!(events.last().unwrap().contains("stream_interrupted"), "{events:?}");
}

#[tokio::test]
async fn what_chat_cannot_do_is_refused() {
    let world = world().await;
    let response = send(&world, &json!({"model": "gpt", "prompt": ["a", "b"]})).await;
    assert_eq!(response.status(), 400);
    let error: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
    assert_eq!(error["error"]["param"], "prompt");
    assert_eq!(world.openai.calls(), 0);
}
