//! The HTTP interface: one module per endpoint.

mod chat;
mod embeddings;
mod errors;
mod health;
mod models;
mod sse;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};

/// The largest request body, in bytes. Documents and images travel inside the JSON.
const MAX_BODY: usize = 32 * 1024 * 1024;

/// What the endpoints share. Cheap to clone.
#[derive(Debug, Clone)]
pub struct App {
    router: llm_router::Router,
    draining: Arc<AtomicBool>,
}

impl App {
    /// Serves this router.
    pub fn new(router: llm_router::Router) -> Self {
        Self { router, draining: Arc::default() }
    }

    /// Tells load balancers to send no more traffic: readiness fails from now on. Requests are still answered.
    pub fn start_draining(&self) {
        self.draining.store(true, Relaxed);
    }

    fn is_draining(&self) -> bool {
        self.draining.load(Relaxed)
    }
}

/// Makes the HTTP service.
pub fn app(app: App) -> Router {
    Router::new()
        .route("/v1/chat/completions", post(chat::completions))
        .route("/chat/completions", post(chat::completions))
        .route("/v1/embeddings", post(embeddings::create))
        .route("/embeddings", post(embeddings::create))
        .route("/v1/models", get(models::list))
        .route("/models", get(models::list))
        .route("/health/liveliness", get(health::live))
        .route("/health/liveness", get(health::live))
        .route("/health/readiness", get(health::ready))
        .fallback(errors::no_such_path)
        .method_not_allowed_fallback(errors::wrong_method)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(app)
}
