//! The columns that databases keep of a record, beside the whole of it as JSON.

use std::borrow::Cow;
use std::sync::Arc;

use crate::record::CallRecord;
use crate::telemetry::SinkError;

/// What stands in each column of the table `calls`, in order.
#[derive(Debug, serde::Serialize)]
pub(super) struct Row<'a> {
    pub(super) id: &'a str,
    pub(super) time_ms: i64,
    pub(super) outcome: &'static str,
    pub(super) pool: &'a str,
    pub(super) final_pool: &'a str,
    pub(super) deployment: Option<&'a str>,
    pub(super) provider: Option<&'a str>,
    pub(super) model: Option<&'a str>,
    pub(super) prompt_tokens: i64,
    pub(super) completion_tokens: i64,
    pub(super) attempts: i64,
    pub(super) cost_pico_usd: i64,
    pub(super) unknown_costs: i64,
    pub(super) latency_ms: i64,
    pub(super) ttft_ms: Option<i64>,
    pub(super) key_alias: Option<&'a str>,
    pub(super) user_name: Option<Cow<'a, str>>,
    pub(super) label: Option<&'a str>,
    pub(super) error: Option<&'a str>,
    /// The whole record as JSON.
    pub(super) record: String,
}

impl<'a> Row<'a> {
    pub(super) fn new(record: &'a Arc<CallRecord>) -> Result<Self, SinkError> {
        let json = serde_json::to_string(&**record).map_err(|error| SinkError::new(error.to_string()))?;
        Ok(Self {
            id: &record.id,
            time_ms: signed(record.time_ms),
            outcome: record.outcome.as_str(),
            pool: &record.pool,
            final_pool: &record.final_pool,
            deployment: record.deployment.as_deref(),
            provider: record.provider.as_deref(),
            model: record.model.as_deref(),
            prompt_tokens: signed(record.tokens.prompt),
            completion_tokens: signed(record.tokens.completion),
            attempts: i64::try_from(record.attempts.len()).unwrap_or(i64::MAX),
            cost_pico_usd: signed(record.cost_pico_usd),
            unknown_costs: i64::from(record.unknown_costs),
            latency_ms: signed(record.latency_ms),
            ttft_ms: record.ttft_ms.map(signed),
            key_alias: record.key_alias.as_deref(),
            user_name: record.user.as_deref().map(Cow::Borrowed),
            label: record.label(),
            error: record.error.as_deref(),
            record: json,
        })
    }
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
