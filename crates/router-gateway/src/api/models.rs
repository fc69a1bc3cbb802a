//! `GET /v1/models`.

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use super::App;

pub(super) async fn list(State(app): State<App>) -> Json<Value> {
    let model = |alias| json!({"id": alias, "object": "model", "created": 0, "owned_by": "llm-router"});
    let models: Vec<Value> = app.router.aliases().into_iter().map(model).collect();
    Json(json!({"object": "list", "data": models}))
}
