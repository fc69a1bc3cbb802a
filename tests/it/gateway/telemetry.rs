//! `/metrics` and the live page.

use std::sync::Arc;

use router_gateway::{Access, KeyHash, Watch};

use super::*;

async fn gateway() -> (MockServer, Gateway) {
    let server = MockServer::start("127.0.0.1:0").await.unwrap();
    let watch = Arc::new(Watch::default());
    let deployment = Deployment::new("fast", "gpt-4o-mini").api_base(server.upstream("a").openai_base());
    let router = Router::builder().deployment(deployment).observer(Arc::clone(&watch) as _).build().unwrap();
    let access = Access::with_keys(Some(KeyHash::of("sk-master")), []);
    let app = App::with_limits(Serving::new(router).with_access(access), Limits::default());
    (server, Gateway::of(app.with_watch(watch)).await)
}

async fn get(gateway: &Gateway, key: Option<&str>, path: &str) -> reqwest::Response {
    let request = reqwest::Client::new().get(gateway.url(path));
    let request = if let Some(key) = key { request.bearer_auth(key) } else { request };
    request.send().await.unwrap()
}

async fn call(gateway: &Gateway) {
    let request = reqwest::Client::new().post(gateway.url("/v1/chat/completions")).bearer_auth("sk-master");
    assert_eq!(request.body(ask("fast").to_string()).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn the_metrics_count_what_was_answered_and_are_for_the_operator() {
    let (_server, gateway) = gateway().await;
    call(&gateway).await;
    assert_eq!(get(&gateway, None, "/metrics").await.status(), 401);
    let text = get(&gateway, Some("sk-master"), "/metrics").await.text().await.unwrap();
    let line = r#"llm_router_requests_total{pool="fast",outcome="answered"} 1"#;
    assert!(text.lines().any(|found| found == line), "{text}");
    assert!(!text.contains("sk-master"));
}

#[tokio::test]
async fn the_live_page_loads_nothing_from_elsewhere_and_its_events_are_for_the_operator() {
    let (_server, gateway) = gateway().await;
    call(&gateway).await;
    let page = get(&gateway, None, "/ui").await;
    assert!(page.headers()["content-security-policy"].to_str().unwrap().starts_with("default-src 'none'"));
    let page = page.text().await.unwrap();
    assert!(!page.contains("http://") && !page.contains("https://"));
    assert_eq!(get(&gateway, None, "/ui/events").await.status(), 401);
    let mut events = get(&gateway, Some("sk-master"), "/ui/events").await.bytes_stream();
    let first = events.next().await.unwrap().unwrap();
    let first = std::str::from_utf8(&first).unwrap().strip_prefix("data: ").unwrap().trim_end();
    let state: Value = serde_json::from_str(first).unwrap();
    assert_eq!((&state["pools"][0]["pool"], &state["pools"][0]["answered"]), (&json!("fast"), &json!(1)));
    assert_eq!(state["deployments"][0]["state"], "ready");
    assert_eq!(state["recent"][0]["outcome"], "answered");
}
