//! `GET /router/state` and `POST /router/explain`: what the router sees, and what it would do.

use axum::Json;
use llm_router::{Alias, ChatRequest, DeploymentState, Explanation};
use serde::Serialize;

use super::ApiError;
use super::body::WholeBody;
use super::call::Call;

#[derive(Debug, Serialize)]
pub(super) struct State {
    deployments: Vec<InPool>,
}

#[derive(Debug, Serialize)]
struct InPool {
    pool: Alias,
    #[serde(flatten)]
    state: DeploymentState,
}

/// Every deployment, as it is now.
pub(super) async fn state(call: Call) -> Json<State> {
    let deployments = call.router().state().into_iter().map(|(pool, state)| InPool { pool, state });
    Json(State { deployments: deployments.collect() })
}

/// What would become of a chat request, and why. Nobody is called.
pub(super) async fn explain(call: Call, WholeBody(body): WholeBody) -> Result<Json<Explanation>, ApiError> {
    Ok(Json(call.router().explain(&ChatRequest::from_json(body)?)?))
}
