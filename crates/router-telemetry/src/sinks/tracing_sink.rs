//! Records as log lines.

use std::sync::Arc;

use async_trait::async_trait;

use crate::record::CallRecord;
use crate::telemetry::{Sink, SinkError};

/// Writes each record to `tracing`, at level *info* and target `router_telemetry::calls`.
#[derive(Debug, Clone, Copy, Default)]
pub struct TracingSink;

#[async_trait]
impl Sink for TracingSink {
    fn name(&self) -> &'static str {
        "tracing"
    }

    async fn write(&mut self, batch: &[Arc<CallRecord>]) -> Result<(), SinkError> {
        for record in batch {
            tracing::info!(
                target: "router_telemetry::calls",
                id = record.id,
                outcome = record.outcome.as_str(),
                pool = &*record.pool,
                deployment = record.deployment.as_deref(),
                prompt_tokens = record.tokens.prompt,
                completion_tokens = record.tokens.completion,
                cost_pico_usd = record.cost_pico_usd,
                latency_ms = record.latency_ms,
                attempts = record.attempts.len(),
                "call"
            );
        }
        Ok(())
    }
}
