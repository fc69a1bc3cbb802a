//! `GET /metrics`, for Prometheus.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;

use crate::app::App;

pub(super) async fn metrics(State(app): State<App>) -> Response {
    let text = app.watch().render(&app.serving().router, app.clock().now());
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}
