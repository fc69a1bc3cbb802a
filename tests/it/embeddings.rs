//! Embeddings: routed as completions are, over real HTTP on both sides.

use llm_router::{Deployment, EmbeddingRequest, ProviderErrorKind, RouteError, Router, RouterBuilder};
use router_mock::{Fault, MockServer, Upstream};
use serde_json::{Value, json};
use system_tests::Gateway;

struct World {
    _server: MockServer,
    first: Upstream,
    second: Upstream,
}

async fn world() -> World {
    let server = MockServer::start("127.0.0.1:0").await.unwrap();
    let (first, second) = (server.upstream("first"), server.upstream("second"));
    World { _server: server, first, second }
}

/// Two deployments behind `vectors`; behind `claude` one whose provider has no embeddings.
fn router(world: &World) -> RouterBuilder {
    let embedder = |upstream: &Upstream| {
        Deployment::new("vectors", "text-embedding-3-small").api_base(upstream.openai_base())
    };
    Router::builder()
        .deployment(embedder(&world.first).order(1))
        .deployment(embedder(&world.second).order(2))
        .deployment(
            Deployment::new("claude", "anthropic/claude-haiku-4-5").api_base(world.first.anthropic_base()),
        )
}

#[tokio::test]
async fn a_failing_deployment_is_retried_at_another_and_cooled() {
    let world = world().await;
    world.first.set(Fault::rate_limited("60"));
    let router = router(&world).build().unwrap();
    let request = EmbeddingRequest::of("vectors", ["a", "b"]).unwrap();
    let answer = router.embedding(&request).await.unwrap();
    assert_eq!(answer.reply.vectors().unwrap().len(), 2);
    assert_eq!(answer.report.attempts.len(), 2);
    router.embedding(&request).await.unwrap();
    assert_eq!((world.first.calls(), world.second.calls()), (1, 2), "the first cools");
}

#[tokio::test]
async fn a_provider_without_embeddings_is_passed_over() {
    let world = world().await;
    let request = EmbeddingRequest::of("claude", ["a"]).unwrap();
    let with_fallback = router(&world).fallbacks("claude", ["vectors"]).build().unwrap();
    let answer = with_fallback.embedding(&request).await.unwrap();
    assert!(answer.report.fallback_triggered);
    assert_eq!(world.first.calls(), 1);

    let alone = router(&world).build().unwrap();
    let error = alone.embedding(&request).await.unwrap_err();
    let RouteError::Failed { error, .. } = error else { panic!("{error}") };
    assert_eq!(error.kind(), ProviderErrorKind::Unsupported);
}

async fn post(gateway: &Gateway, path: &str, body: &Value) -> (u16, Value) {
    let request = reqwest::Client::new().post(gateway.url(path)).body(body.to_string());
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    (status, serde_json::from_slice(&response.bytes().await.unwrap()).unwrap())
}

#[tokio::test]
async fn the_gateway_serves_them_and_names_what_is_wrong() {
    let world = world().await;
    let gateway = Gateway::over(router(&world).build().unwrap()).await;
    for path in ["/v1/embeddings", "/embeddings"] {
        let (status, body) = post(&gateway, path, &json!({"model": "vectors", "input": "hello"})).await;
        assert_eq!(status, 200, "{body}");
        assert_eq!(body["data"][0]["embedding"].as_array().unwrap().len(), 8);
        assert_eq!((&body["model"], &body["object"]), (&json!("text-embedding-3-small"), &json!("list")));
    }
    let (status, body) = post(&gateway, "/v1/embeddings", &json!({"model": "vectors"})).await;
    assert_eq!((status, &body["error"]["param"]), (400, &json!("input")));
    let (status, body) = post(&gateway, "/v1/embeddings", &json!({"model": "nobody", "input": "x"})).await;
    assert_eq!((status, &body["error"]["code"]), (404, &json!("model_not_found")));
}
