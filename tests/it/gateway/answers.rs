//! What stands beside an answer: its headers, and what can be asked about the gateway.

use super::*;

#[tokio::test]
async fn an_answer_says_how_it_came_about_in_our_words_and_in_litellms() {
    let server = MockServer::start("127.0.0.1:0").await.unwrap();
    let (dead, alive) = (server.upstream("dead"), server.upstream("alive"));
    dead.set(Fault::status(500));
    let router = Router::builder()
        .deployment(Deployment::new("fast", "gpt-4o-mini").api_base(dead.openai_base()))
        .deployment(Deployment::new("fast", "gpt-4o").api_base(dead.openai_base()))
        .deployment(
            Deployment::new("capable", "gpt-4o")
                .id("capable-1")
                .api_base(alive.openai_base())
                .input_cost_per_token(0.0000025)
                .output_cost_per_token(0.00001),
        )
        .fallbacks("fast", ["capable"])
        .build()
        .unwrap();
    let gateway = Gateway::over(router).await;
    let response = reqwest::Client::new()
        .post(gateway.url("/chat/completions"))
        .header("x-request-id", "from-the-caller")
        .body(ask("fast").to_string())
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
    let headers = response.headers().clone();
    let header = |name: &str| headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or("is missing");
    for (name, expected) in [
        ("x-router-pool", "capable"),
        ("x-router-deployment", "capable-1"),
        ("x-router-attempts", "4"),
        ("x-router-retries", "2"),
        ("x-router-fallbacks", "1"),
        ("x-litellm-model-group", "capable"),
        ("x-litellm-model-id", "capable-1"),
        ("x-litellm-attempted-retries", "2"),
        ("x-litellm-attempted-fallbacks", "1"),
        ("x-litellm-call-id", "from-the-caller"),
        ("x-request-id", "from-the-caller"),
    ] {
        assert_eq!(header(name), expected, "{name}");
    }
    let usage = serde_json::from_str::<Value>(&response.text().await.unwrap()).unwrap()["usage"].clone();
    let picos = 2_500_000 * usage["prompt_tokens"].as_u64().unwrap()
        + 10_000_000 * usage["completion_tokens"].as_u64().unwrap();
    for name in ["x-router-cost-usd", "x-litellm-response-cost"] {
        let cost: f64 = header(name).parse().unwrap();
        assert!((cost * 1e12 - picos as f64).abs() < 0.5, "{name}: {cost}");
    }
    let millis = |name: &str| header(name).parse::<f64>().unwrap();
    assert!(millis("x-router-overhead-ms") > 0.0);
    assert!(millis("x-router-overhead-ms") < millis("x-litellm-response-duration-ms"));
}

#[tokio::test]
async fn every_answer_has_a_request_id_and_an_error_tells_its_trail() {
    let world = world().await;
    world.openai.set(Fault::status(500));
    let response = post(&world, &ask("lone")).await;
    assert_eq!(response.status(), 502);
    assert!(response.headers()["x-request-id"].to_str().unwrap().starts_with("req_"));
    assert_eq!(response.headers()["x-router-pool"], "lone");
    assert_eq!(response.headers()["x-litellm-attempted-retries"], "2");
    let response = reqwest::get(world.gateway.url("/nowhere")).await.unwrap();
    assert!(response.headers().contains_key("x-request-id"));
}

#[tokio::test]
async fn models_their_details_and_their_health_can_be_asked_for() {
    let world = world().await;
    let get = async |path: &str| {
        let response = reqwest::get(world.gateway.url(path)).await.unwrap();
        let status = response.status().as_u16();
        (status, serde_json::from_str::<Value>(&response.text().await.unwrap()).unwrap())
    };
    for path in ["/v1/models/claude", "/models/claude"] {
        let (status, model) = get(path).await;
        assert_eq!((status, &model["id"], &model["object"]), (200, &json!("claude"), &json!("model")));
    }
    let (status, error) = get("/v1/models/other/name").await;
    assert_eq!((status, &error["error"]["code"]), (404, &json!("model_not_found")));

    for path in ["/v1/model/info", "/model/info"] {
        let (_, info) = get(path).await;
        let first = &info["data"][0];
        assert_eq!(first["model_name"], "gpt");
        assert_eq!(first["litellm_params"]["model"], "openai/gpt-4o-mini");
        assert_eq!(first["model_info"]["id"], "gpt:gpt-4o-mini");
    }

    world.openai.set(Fault::InsufficientQuota);
    post(&world, &ask("lone")).await;
    let (_, health) = get("/health").await;
    assert_eq!((&health["healthy_count"], &health["unhealthy_count"]), (&json!(2), &json!(1)));
    assert_eq!(health["unhealthy_endpoints"][0]["model_id"], "lone:gpt-4o");
    assert_eq!(health["unhealthy_endpoints"][0]["error"], "cooling down: quota exhausted");
}

#[tokio::test]
async fn browsers_are_let_in_only_when_their_page_is_listed() {
    let server = MockServer::start("127.0.0.1:0").await.unwrap();
    let deployment = Deployment::new("fast", "gpt-4o").api_base(server.upstream("a").openai_base());
    let router = Router::builder().deployment(deployment).build().unwrap();
    let app = App::new(router.clone());
    let gateway = Gateway::of(app.clone()).await;
    let preflight = async || {
        let response = reqwest::Client::new()
            .request(reqwest::Method::OPTIONS, gateway.url("/v1/chat/completions"))
            .header("origin", "https://chat.example")
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "authorization,content-type")
            .send()
            .await
            .unwrap();
        response.headers().get("access-control-allow-origin").map(|value| value.to_str().unwrap().to_owned())
    };
    assert_eq!(preflight().await, None, "off by default");
    app.replace(Serving::new(router.clone()).with_cors_origins(["https://chat.example".to_owned()]));
    assert_eq!(preflight().await.as_deref(), Some("https://chat.example"));
    app.replace(Serving::new(router).with_cors_origins(["https://other.example".to_owned()]));
    assert_eq!(preflight().await, None);
}

#[tokio::test]
async fn the_state_tells_of_each_deployment_what_the_router_sees() {
    let server = MockServer::start("127.0.0.1:0").await.unwrap();
    let (good, bad) = (server.upstream("good"), server.upstream("bad"));
    bad.set(Fault::rate_limited("40"));
    let router = Router::builder()
        .deployment(Deployment::new("fast", "gpt-4o-mini").id("good").api_base(good.openai_base()).rpm(100))
        .deployment(Deployment::new("capable", "gpt-4o").id("bad").api_base(bad.openai_base()))
        .build()
        .unwrap();
    let gateway = Gateway::over(router).await;
    let client = reqwest::Client::new();
    for model in ["fast", "capable"] {
        client.post(gateway.url("/v1/chat/completions")).body(ask(model).to_string()).send().await.unwrap();
    }
    let state = client.get(gateway.url("/router/state")).send().await.unwrap().text().await.unwrap();
    let state: Value = serde_json::from_str(&state).unwrap();
    let (fast, capable) = (&state["deployments"][0], &state["deployments"][1]);
    assert_eq!((&fast["pool"], &fast["deployment"]), (&json!("fast"), &json!("good")));
    assert_eq!(
        (&fast["health"], &fast["rpm"], &fast["requests_last_minute"]),
        (&json!("healthy"), &json!(100), &json!(1))
    );
    assert!(fast["p50_ms"].is_u64() && fast["in_flight"] == 0, "{fast}");
    assert_eq!((&capable["health"], &capable["why_not"]), (&json!("cooling"), &json!("rate limited")));
    assert!((30_000..=40_000).contains(&capable["cooldown_left_ms"].as_u64().unwrap()), "{capable}");
}

#[tokio::test]
async fn a_request_can_be_explained_without_being_made() {
    let world = world().await;
    let explain = async |body: &Value| {
        let response = reqwest::Client::new()
            .post(world.gateway.url("/router/explain"))
            .body(body.to_string())
            .send()
            .await
            .unwrap();
        (response.status().as_u16(), serde_json::from_str::<Value>(&response.text().await.unwrap()).unwrap())
    };
    let (status, told) = explain(&ask("gpt")).await;
    assert_eq!(status, 200);
    assert_eq!(told["first"], "gpt:gpt-4o-mini");
    assert_eq!(told["attempts_at_most"], 6);
    assert_eq!(
        (&told["pools"][0]["pool"], &told["pools"][0]["strategy"]),
        (&json!("gpt"), &json!("simple-shuffle"))
    );
    assert_eq!(told["pools"][0]["deployments"][0]["verdict"], "picked");
    assert_eq!(
        (&told["pools"][1]["pool"], &told["pools"][1]["fallback_of"]),
        (&json!("claude"), &json!("gpt"))
    );
    assert_eq!(world.openai.calls() + world.anthropic.calls(), 0);

    world.openai.set(Fault::rate_limited("40"));
    post(&world, &ask("gpt")).await;
    let (_, told) = explain(&ask("gpt")).await;
    let first = &told["pools"][0]["deployments"][0];
    assert_eq!(first["verdict"], "not_ready");
    assert!(first["why"].as_str().unwrap().starts_with("cooling down: rate limited; for "), "{first}");
    assert_eq!(told["first"], "claude:claude-haiku-4-5");
    let (status, error) = explain(&ask("nobody")).await;
    assert_eq!((status, &error["error"]["code"]), (404, &json!("model_not_found")));
}
