//! Who may call, what, and how much.

use llm_router::Usd;
use router_gateway::{Access, BudgetPeriod, KeyHash, KeyLimits, VirtualKey};

use super::*;

/// A gateway with a master key and one virtual key with these limits, for the aliases `fast` and `capable`.
async fn gateway(limits: KeyLimits) -> (MockServer, Gateway) {
    let server = MockServer::start("127.0.0.1:0").await.unwrap();
    let base = server.upstream("a").openai_base();
    let priced = |alias: &str| {
        Deployment::new(alias, "gpt-4o")
            .api_base(&base)
            .input_cost_per_token(0.001)
            .output_cost_per_token(0.001)
    };
    let router = Router::builder()
        .deployment(priced("fast"))
        .deployment(priced("capable"))
        .deployment(priced("secret"))
        .fallbacks("fast", ["secret"])
        .build()
        .unwrap();
    let key = VirtualKey::new(KeyHash::of("sk-team"), "team")
        .with_models(["fast".to_owned(), "capable".to_owned()])
        .with_aliases([("gpt-4".to_owned(), "capable".to_owned())])
        .with_limits(limits);
    let blocked = VirtualKey::new(KeyHash::of("sk-old"), "old").blocked(true);
    let access = Access::with_keys(Some(KeyHash::of("sk-master")), [key, blocked]);
    let app = App::with_limits(Serving::new(router).with_access(access), Limits::default());
    (server, Gateway::of(app).await)
}

async fn call(gateway: &Gateway, key: Option<&str>, body: &Value) -> (u16, Value, http::HeaderMap) {
    let mut request = reqwest::Client::new().post(gateway.url("/v1/chat/completions")).body(body.to_string());
    if let Some(key) = key {
        request = request.bearer_auth(key);
    }
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    (status, serde_json::from_str(&response.text().await.unwrap()).unwrap(), headers)
}

async fn get(gateway: &Gateway, key: &str, path: &str) -> (u16, Value) {
    let response = reqwest::Client::new().get(gateway.url(path)).bearer_auth(key).send().await.unwrap();
    let status = response.status().as_u16();
    (status, serde_json::from_str(&response.text().await.unwrap()).unwrap())
}

#[tokio::test]
async fn only_who_shows_a_key_is_answered() {
    let (server, gateway) = gateway(KeyLimits::default()).await;
    for key in [None, Some("sk-wrong"), Some("sk-old"), Some("")] {
        let (status, body, _) = call(&gateway, key, &ask("fast")).await;
        assert_eq!((status, &body["error"]["code"]), (401, &json!("invalid_api_key")), "{key:?}");
    }
    assert_eq!(server.upstream("a").calls(), 0);
    for key in ["sk-master", "sk-team"] {
        assert_eq!(call(&gateway, Some(key), &ask("fast")).await.0, 200, "{key}");
    }
    assert_eq!(reqwest::get(gateway.url("/v1/models")).await.unwrap().status(), 401);
    for path in ["/health/liveliness", "/health/readiness"] {
        assert_eq!(reqwest::get(gateway.url(path)).await.unwrap().status(), 200, "{path} is for everybody");
    }
    assert_eq!(reqwest::get(gateway.url("/nowhere")).await.unwrap().status(), 404);
}

#[tokio::test]
async fn the_state_is_for_the_master_key_only() {
    let (_server, gateway) = gateway(KeyLimits::default()).await;
    assert_eq!(get(&gateway, "sk-master", "/health").await.0, 200);
    assert_eq!(get(&gateway, "sk-team", "/health").await.0, 403);
    assert_eq!(get(&gateway, "sk-wrong", "/health").await.0, 401);
}

#[tokio::test]
async fn a_key_calls_and_sees_its_own_aliases_and_where_the_configuration_leads() {
    let (server, gateway) = gateway(KeyLimits::default()).await;
    let (status, body, _) = call(&gateway, Some("sk-team"), &ask("secret")).await;
    assert_eq!((status, &body["error"]["code"]), (403, &json!("key_model_access_denied")));
    let mut sneaky = ask("fast");
    sneaky["fallbacks"] = json!(["secret"]);
    assert_eq!(call(&gateway, Some("sk-team"), &sneaky).await.0, 403, "not by a fallback of its own");
    assert_eq!(call(&gateway, Some("sk-team"), &ask("gpt-4")).await.2["x-router-pool"], "capable");
    let (_, models) = get(&gateway, "sk-team", "/v1/models").await;
    let ids: Vec<_> = models["data"].as_array().unwrap().iter().map(|model| model["id"].clone()).collect();
    assert_eq!(ids, [json!("fast"), json!("capable")]);
    assert_eq!(get(&gateway, "sk-team", "/v1/models/secret").await.0, 404);

    server.upstream("a").enqueue(Fault::status(500));
    let (status, _, headers) = call(&gateway, Some("sk-team"), &ask("fast")).await;
    assert_eq!((status, headers["x-router-pool"].to_str().unwrap()), (200, "secret"));
}

fn with(set: impl FnOnce(&mut KeyLimits)) -> KeyLimits {
    let mut limits = KeyLimits::default();
    set(&mut limits);
    limits
}

#[tokio::test]
async fn requests_per_minute_are_refused_beyond_the_limit_with_the_time_to_wait() {
    let (server, gateway) = gateway(with(|limits| limits.requests_per_minute = Some(2))).await;
    for _ in 0..2 {
        assert_eq!(call(&gateway, Some("sk-team"), &ask("fast")).await.0, 200);
    }
    let (status, body, headers) = call(&gateway, Some("sk-team"), &ask("fast")).await;
    assert_eq!((status, &body["error"]["code"]), (429, &json!("rate_limit_exceeded")));
    assert!((1..=65).contains(&headers["retry-after"].to_str().unwrap().parse::<u64>().unwrap()));
    assert_eq!(server.upstream("a").calls(), 2, "the third was not sent");
    assert_eq!(call(&gateway, Some("sk-master"), &ask("fast")).await.0, 200, "others are not concerned");
}

#[tokio::test]
async fn a_budget_stops_hard_for_whole_answers_and_streams() {
    let budget = (Usd::from_dollars(0.1).unwrap(), BudgetPeriod::Forever);
    let (server, gateway) = gateway(with(|limits| limits.budget = Some(budget))).await;
    let mut short = ask("fast");
    short["max_tokens"] = 20.into();
    let mut streamed = short.clone();
    streamed["stream"] = true.into();
    for n in 0..30 {
        let response = reqwest::Client::new()
            .post(gateway.url("/v1/chat/completions"))
            .bearer_auth("sk-team")
            .body(if n % 2 == 0 { short.to_string() } else { streamed.to_string() })
            .send()
            .await
            .unwrap();
        if response.status() == 429 {
            let stop = response.headers()["x-should-retry"].clone();
            let body: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
            assert_eq!(
                (stop.to_str().unwrap(), &body["error"]["code"]),
                ("false", &json!("insufficient_quota"))
            );
            assert!(n >= 2, "whole answers and streams were both let through");
            assert_eq!(server.upstream("a").calls(), n);
            return;
        }
        response.text().await.unwrap();
    }
    panic!("nothing stopped it");
}

#[tokio::test]
async fn who_leaves_in_the_middle_of_a_stream_pays_for_what_was_sent() {
    let (server, gateway) = gateway(with(|limits| limits.tokens_per_minute = Some(60))).await;
    server.upstream("a").set(Behaviour::default().with_chunks(1_000).with_chunk_interval_ms(1));
    let response = reqwest::Client::new()
        .post(gateway.url("/v1/chat/completions"))
        .bearer_auth("sk-team")
        .body(streamed("fast").to_string())
        .send()
        .await
        .unwrap();
    let mut body = response.bytes_stream();
    for _ in 0..80 {
        body.next().await.unwrap().unwrap();
    }
    drop(body);
    let refused = async {
        while call(&gateway, Some("sk-team"), &ask("fast")).await.0 != 429 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), refused).await.expect("80 chunks are more than 60 tokens");
}
