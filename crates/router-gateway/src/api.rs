//! The HTTP interface: one module per endpoint, and what they share.

mod answer;
mod bill;
mod body;
mod call;
mod canonical;
mod chat;
mod completions;
mod cors;
mod embeddings;
mod errors;
mod headers;
mod health;
mod json;
mod live;
mod messages;
mod metrics;
mod model_info;
mod models;
mod responses;
mod sse;
mod state;
mod translated;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{MethodRouter, get, post};

pub(crate) use self::errors::ApiError;
use crate::access::{require_caller, require_master};
use crate::app::App;
use crate::context::name_request;
use crate::serving::places::take_place;

/// Makes the HTTP service.
pub fn app(app: App) -> Router {
    let answering = Router::new();
    let answering = both(answering, "/chat/completions", post(chat::completions));
    let answering = both(answering, "/completions", post(completions::create));
    let answering = both(answering, "/responses", post(responses::create));
    let answering = both(answering, "/embeddings", post(embeddings::create))
        .route_layer(from_fn_with_state(app.clone(), take_place));
    let listing = both(Router::new(), "/models", get(models::list));
    let listing = both(listing, "/models/{*id}", get(models::one));
    let listing = both(listing, "/model/info", get(model_info::list));
    let for_callers = answering.merge(listing).route_layer(from_fn_with_state(app.clone(), require_caller));
    let anthropics = both(Router::new(), "/messages", post(messages::create))
        .route_layer(from_fn_with_state(app.clone(), take_place));
    let anthropics = both(anthropics, "/messages/count_tokens", post(messages::count_tokens))
        .route_layer(from_fn_with_state(app.clone(), require_caller))
        .route_layer(from_fn(messages::in_anthropics_shape));
    let for_the_operator = Router::new()
        .route("/health", get(health::deployments))
        .route("/router/state", get(state::state))
        .route("/router/explain", post(state::explain))
        .route("/metrics", get(metrics::metrics))
        .route("/ui/events", get(live::events))
        .route_layer(from_fn_with_state(app.clone(), require_master));
    let for_everybody = Router::new()
        .route("/ui", get(live::page))
        .route("/health/liveliness", get(health::live))
        .route("/health/liveness", get(health::live))
        .route("/health/readiness", get(health::ready));
    for_callers
        .merge(anthropics)
        .merge(for_the_operator)
        .merge(for_everybody)
        .fallback(errors::no_such_path)
        .method_not_allowed_fallback(errors::wrong_method)
        .layer(cors::layer(app.clone()))
        .layer(from_fn(name_request))
        .with_state(app)
}

/// Clients differ in whether their base address ends with `/v1`.
fn both(router: Router<App>, path: &str, endpoint: MethodRouter<App>) -> Router<App> {
    router.route(path, endpoint.clone()).route(&format!("/v1{path}"), endpoint)
}
