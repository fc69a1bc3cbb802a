//! `GET /ui`: a page that shows what happens now, and `GET /ui/events`, which feeds it.

use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use llm_router::{BreakerState, Timestamp};
use router_telemetry::{CallRecord, PoolCounts};
use serde::Serialize;

use crate::app::App;

/// The page: everything is in it, and it may load nothing.
const PAGE: &str = include_str!("live.html");
const POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; \
                      form-action 'none'; frame-ancestors 'none'; base-uri 'none'";

/// How often the page is told, and so how long an event stream holds up a drain.
const TICK: Duration = Duration::from_secs(1);

pub(super) async fn page() -> Response {
    let headers = [(CONTENT_TYPE, "text/html; charset=utf-8"), (CONTENT_SECURITY_POLICY, POLICY)];
    (headers, PAGE).into_response()
}

pub(super) async fn events(State(app): State<App>) -> Response {
    let ticks = stream::unfold((app, true), |(app, is_first)| async move {
        if !is_first {
            tokio::time::sleep(TICK).await;
        }
        // A page that stays open is no reason not to stop.
        if app.is_draining() {
            return None;
        }
        let json = serde_json::to_string(&Snapshot::take(&app)).unwrap_or_default();
        let event = Ok::<Bytes, std::convert::Infallible>(format!("data: {json}\n\n").into());
        Some((event, (app, false)))
    });
    let headers = [(CONTENT_TYPE, "text/event-stream"), (CACHE_CONTROL, "no-store")];
    (headers, Body::from_stream(ticks)).into_response()
}

/// What the page shows.
#[derive(Debug, Serialize)]
struct Snapshot {
    now_ms: u64,
    version: &'static str,
    pools: Vec<PoolCounts>,
    deployments: Vec<DeploymentState>,
    recent: Vec<CallRecord>,
}

#[derive(Debug, Serialize)]
struct DeploymentState {
    pool: String,
    id: String,
    provider: String,
    model: String,
    state: &'static str,
    cause: Option<&'static str>,
    left_ms: u64,
    in_flight: u32,
    requests_per_minute: u64,
    tokens_per_minute: u64,
}

impl Snapshot {
    fn take(app: &App) -> Self {
        let now = app.clock().now();
        let serving = app.serving();
        let fleet = serving.router.fleet();
        let catalog = fleet.catalog();
        let mut deployments = Vec::new();
        for pool in catalog.pools() {
            for index in pool.members() {
                let deployment = &catalog[*index];
                let (state, cause, left_ms) = state(fleet.breaker(*index, now), now);
                let (requests_per_minute, tokens_per_minute) = fleet.used(*index, now);
                deployments.push(DeploymentState {
                    pool: pool.alias().to_string(),
                    id: deployment.id().to_string(),
                    provider: deployment.provider().to_owned(),
                    model: deployment.model().to_owned(),
                    state,
                    cause,
                    left_ms,
                    in_flight: fleet.in_flight(*index),
                    requests_per_minute,
                    tokens_per_minute,
                });
            }
        }
        Self {
            now_ms: now.as_millis(),
            version: env!("CARGO_PKG_VERSION"),
            pools: app.watch().metrics().pools(),
            deployments,
            recent: app.watch().recent(),
        }
    }
}

fn state(breaker: BreakerState, now: Timestamp) -> (&'static str, Option<&'static str>, u64) {
    match breaker {
        BreakerState::Closed => ("ready", None, 0),
        BreakerState::Open { until, cause } => {
            let left = u64::try_from(until.since(now).as_millis()).unwrap_or(u64::MAX);
            ("cooling", Some(cause.as_str()), left)
        }
        BreakerState::HalfOpen { .. } => ("half-open", None, 0),
    }
}
