//! `GET /health/...`, for whoever starts, stops and balances processes.

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde_json::{Value, json};

use super::App;

/// The process runs.
pub(super) async fn live() -> &'static str {
    "\"I'm alive!\""
}

/// The process takes traffic. Deployments that cool do not make it unready: it still answers, if only with their Retry-After.
pub(super) async fn ready(State(app): State<App>) -> (StatusCode, Json<Value>) {
    if app.is_draining() {
        (StatusCode::SERVICE_UNAVAILABLE, Json(json!({"status": "draining"})))
    } else {
        (StatusCode::OK, Json(json!({"status": "ready", "models": app.router.aliases()})))
    }
}
