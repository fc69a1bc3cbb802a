//! Events as log lines.

use router_core::{Event, HealthChange, Observer, RouteFacts};

/// Writes every event to `tracing`.
///
/// *warn* is a request that was not answered, *info* a change of a deployment's health and a fallback, *debug* everything else.
/// Values are fields, messages are constant; prompts, answers and credentials are in neither.
#[derive(Debug, Clone, Copy, Default)]
pub struct TracingObserver;

impl Observer for TracingObserver {
    fn observe(&self, event: &Event<'_>) {
        match event {
            Event::AttemptStarted { seed, pool, deployment, attempt, retry, probe } => {
                tracing::debug!(seed, %pool, deployment = %deployment.id(), attempt, retry, probe, "attempt started");
            }
            Event::AttemptFailed { seed, pool, deployment, latency, error } => {
                let latency_ms = latency.as_millis();
                tracing::debug!(seed, %pool, deployment = %deployment.id(), latency_ms, %error, "attempt failed");
            }
            Event::Waiting { seed, pool, span } => {
                tracing::debug!(seed, %pool, wait_ms = span.as_millis(), "waiting before a retry");
            }
            Event::Fallback { seed, from, to, kind } => {
                tracing::info!(seed, %from, %to, kind = kind.setting(), "fallback");
            }
            Event::Health(HealthChange::Cooled { deployment, until, cause }) => {
                tracing::info!(%deployment, until_ms = until.as_millis(), %cause, "deployment cooling");
            }
            Event::Health(HealthChange::Recovered { deployment }) => {
                tracing::info!(%deployment, "deployment recovered");
            }
            Event::Answered { pool, deployment, route } => {
                let RouteFacts { seed, requested, attempts, .. } = route;
                let (latency_ms, attempts) = (route.latency().as_millis(), attempts.len());
                let deployment = deployment.id();
                tracing::debug!(seed, %requested, %pool, %deployment, attempts, latency_ms, "answered");
            }
            Event::Failed { error, route } => {
                let RouteFacts { seed, requested, attempts, .. } = route;
                let (latency_ms, attempts) = (route.latency().as_millis(), attempts.len());
                let error = error.map(ToString::to_string);
                tracing::warn!(seed, %requested, attempts, latency_ms, error, "request failed");
            }
            Event::Abandoned { route } => {
                let RouteFacts { seed, requested, attempts, .. } = route;
                let (latency_ms, attempts) = (route.latency().as_millis(), attempts.len());
                tracing::debug!(seed, %requested, attempts, latency_ms, "caller left");
            }
            // Events are open to extension; what this sink does not know yet still shows.
            other => tracing::debug!(event = ?other, "event"),
        }
    }
}
