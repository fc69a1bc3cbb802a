//! `GET /health` and below, for whoever starts, stops and balances processes.

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use llm_router::BreakerState;
use serde_json::{Value, json};

use crate::app::App;

/// The process runs.
pub(super) async fn live() -> &'static str {
    "\"I'm alive!\""
}

/// The process takes traffic. Deployments that cool do not make it unready: it still answers, if only with their Retry-After.
pub(super) async fn ready(State(app): State<App>) -> (StatusCode, Json<Value>) {
    if app.is_draining() {
        (StatusCode::SERVICE_UNAVAILABLE, Json(json!({"status": "draining"})))
    } else {
        (StatusCode::OK, Json(json!({"status": "ready", "models": app.serving().router.aliases()})))
    }
}

/// Which deployments take traffic. Nothing is called: what the traffic showed is better known than what a probe would, and costs
/// nothing.
pub(super) async fn deployments(State(app): State<App>) -> Json<Value> {
    let (serving, now) = (app.serving(), app.clock().now());
    let fleet = serving.router.fleet();
    let catalog = fleet.catalog();
    let (mut healthy, mut unhealthy) = (Vec::new(), Vec::new());
    for index in catalog.indices() {
        let deployment = &catalog[index];
        let model = format!("{}/{}", deployment.provider(), deployment.model());
        let error = match fleet.breaker(index, now) {
            BreakerState::Closed => {
                healthy.push(json!({"model": model, "model_id": deployment.id()}));
                continue;
            }
            BreakerState::Open { cause, .. } => format!("cooling down: {cause}"),
            BreakerState::HalfOpen { .. } => "its cooldown is over: the next request decides".to_owned(),
        };
        unhealthy.push(json!({"model": model, "model_id": deployment.id(), "error": error}));
    }
    Json(json!({
        "healthy_count": healthy.len(),
        "unhealthy_count": unhealthy.len(),
        "healthy_endpoints": healthy,
        "unhealthy_endpoints": unhealthy,
    }))
}
