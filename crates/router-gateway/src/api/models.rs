//! `GET /v1/models`.

use axum::Json;
use axum::extract::Path;
use serde_json::{Value, json};

use super::ApiError;
use super::call::Call;

pub(super) async fn list(call: Call) -> Json<Value> {
    let aliases = call.router().aliases();
    let allowed = aliases.iter().map(llm_router::Alias::as_str).filter(|alias| call.may_call(alias));
    let models: Vec<Value> = allowed.map(model).collect();
    Json(json!({"object": "list", "data": models}))
}

pub(super) async fn one(call: Call, Path(id): Path<String>) -> Result<Json<Value>, ApiError> {
    let router = call.router();
    let is_known = router.fleet().catalog().pool(&id).is_some()
        || router.aliases().iter().any(|alias| alias.as_str() == id);
    if is_known && call.may_call(&id) { Ok(Json(model(&id))) } else { Err(ApiError::no_such_model(&id)) }
}

/// When an alias was created is nobody's business, but OpenAI's clients expect a number.
fn model(alias: &str) -> Value {
    json!({"id": alias, "object": "model", "created": 0, "owned_by": "llm-router"})
}
