//! A whole production configuration, with nothing changed but the addresses.

use llm_router::ConfigFile;

use super::*;

struct Production {
    server: MockServer,
    gateway: Gateway,
}

const MODELS: [&str; 4] = ["gpt-4o-mini", "gpt-4o", "claude-haiku-4-5-20251001", "claude-sonnet-4-6"];

/// Each model has an upstream of its name.
async fn production(redis: Option<u16>) -> Production {
    let server = MockServer::start("127.0.0.1:0").await.unwrap();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/router-gateway/tests/configs/production.yaml");
    let mut text = std::fs::read_to_string(path).unwrap();
    for model in MODELS {
        let upstream = server.upstream(model);
        let (name, base) = match model.starts_with("claude") {
            true => (format!("anthropic/{model}"), upstream.anthropic_base()),
            false => (model.to_owned(), upstream.openai_base()),
        };
        text = text.replace(&format!("model: {name},"), &format!("model: {name}, api_base: '{base}',"));
    }
    if let Some(port) = redis {
        text = text.replace("redis_port: 6379", &format!("redis_port: {port}"));
    }
    let environment = |name: &str| match name {
        "REDIS_HOST" => redis.map(|_| "127.0.0.1".to_owned()),
        _ => Some("sk-test".to_owned()),
    };
    let file = ConfigFile::parse(&text, "production.yaml", &environment).unwrap();
    let serving = Serving::from_file(file, [], None).unwrap();
    Production { gateway: Gateway::of(App::with_limits(serving, Limits::default())).await, server }
}

impl Production {
    fn set(&self, models: &[&str], fault: &Fault) {
        for model in models {
            self.server.upstream(model).set(fault.clone());
        }
    }

    fn calls(&self) -> u64 {
        MODELS.iter().map(|model| self.server.upstream(model).calls()).sum()
    }

    async fn ask(&self, alias: &str) -> reqwest::Response {
        let request = reqwest::Client::new().post(self.gateway.url("/v1/chat/completions"));
        request.body(ask(alias).to_string()).send().await.unwrap()
    }

    async fn works(&self) {
        for alias in ["fast", "capable", "math", "code", "creative"] {
            let answer = self.ask(alias).await;
            assert_eq!(answer.status(), 200, "{alias}");
            assert_eq!(answer.headers()["x-router-pool"], alias);
            assert_eq!(answer.headers()["x-router-attempts"], "1");
        }
        self.set(&["claude-sonnet-4-6"], &Fault::status(500));
        assert_eq!(self.ask("math").await.headers()["x-router-pool"], "capable");
        self.set(&["gpt-4o"], &Fault::status(500));
        let answer = self.ask("math").await;
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["x-router-pool"], "fast");
        assert_eq!(answer.headers()["x-router-fallback"], "true");
    }
}

#[tokio::test]
async fn all_five_pools_answer_and_math_falls_back_to_capable_and_then_to_fast() {
    production(None).await.works().await;
}

#[tokio::test]
async fn redis_may_be_there_or_away_or_die() {
    let mut redis = redis_server::Server::start(&[]).await;
    production(Some(redis.port)).await.works().await;
    let with_redis = production(Some(redis.port)).await;
    redis.kill();
    with_redis.works().await;
    production(Some(redis.port)).await.works().await;
}

#[tokio::test]
async fn a_pool_that_is_its_own_context_fallback_ends() {
    let production = production(None).await;
    production.set(&MODELS, &Fault::ContextWindow);
    let answer = tokio::time::timeout(Duration::from_secs(10), production.ask("capable")).await.unwrap();
    assert_eq!(answer.status(), 400);
    let error: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    assert_eq!(error["error"]["code"], "context_length_exceeded");
    assert!(production.calls() <= 2, "nobody is asked twice: {}", production.calls());
    production.set(&MODELS, &Fault::status(503));
    let answer = tokio::time::timeout(Duration::from_secs(60), production.ask("math")).await.unwrap();
    assert_eq!(answer.status(), 503);
}
