//! ClickHouse, over its HTTP interface.

use std::sync::Arc;

use async_trait::async_trait;
use secrecy::{ExposeSecret, SecretString};

use super::row::Row;
use super::webhook::{client, send};
use crate::record::CallRecord;
use crate::telemetry::{Sink, SinkError};

const COLUMNS: &str = "id String, time_ms Int64, outcome LowCardinality(String), pool LowCardinality(String), \
     final_pool LowCardinality(String), deployment Nullable(String), provider Nullable(String), model Nullable(String), \
     prompt_tokens Int64, completion_tokens Int64, attempts Int64, cost_pico_usd Int64, unknown_costs Int64, latency_ms Int64, \
     ttft_ms Nullable(Int64), key_alias Nullable(String), user_name Nullable(String), label Nullable(String), \
     error Nullable(String), record String";

/// Inserts each batch into a table, which is created where it is not there. A record that is written twice stands there once, after the
/// table's parts were merged.
#[derive(Debug)]
pub struct ClickHouse {
    url: String,
    table: String,
    user: String,
    password: SecretString,
    is_created: bool,
    client: Option<reqwest::Client>,
}

impl ClickHouse {
    /// Writes to the table `llm_router_calls` of the server at this address, such as `http://localhost:8123`, as user `default`.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            table: "llm_router_calls".to_owned(),
            user: "default".to_owned(),
            password: SecretString::from(String::new()),
            is_created: false,
            client: None,
        }
    }

    /// Sets the table, perhaps with its database in front.
    ///
    /// # Errors
    /// When it is no name.
    pub fn table(mut self, table: impl Into<String>) -> Result<Self, SinkError> {
        self.table = table.into();
        let is_name = |part: &str| {
            !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        };
        if self.table.split('.').count() <= 2 && self.table.split('.').all(is_name) {
            Ok(self)
        } else {
            Err(SinkError::new(format!("`{}` is no table: expected letters, digits and `_`", self.table)))
        }
    }

    /// Sets who writes.
    #[must_use]
    pub fn user(mut self, user: impl Into<String>, password: impl Into<SecretString>) -> Self {
        self.user = user.into();
        self.password = password.into();
        self
    }

    async fn query(&mut self, query: &str, body: Vec<u8>) -> Result<(), SinkError> {
        let request = client(&mut self.client)?
            .post(&self.url)
            .query(&[("query", query)])
            .header("x-clickhouse-user", &self.user)
            .header("x-clickhouse-key", self.password.expose_secret())
            .body(body);
        send(request).await
    }
}

#[async_trait]
impl Sink for ClickHouse {
    fn name(&self) -> &'static str {
        "clickhouse"
    }

    async fn write(&mut self, batch: &[Arc<CallRecord>]) -> Result<(), SinkError> {
        let table = self.table.clone();
        if !self.is_created {
            let create = format!(
                "CREATE TABLE IF NOT EXISTS {table} ({COLUMNS}) ENGINE = ReplacingMergeTree ORDER BY (time_ms, id)"
            );
            self.query(&create, Vec::new()).await?;
            self.is_created = true;
        }
        let mut body = Vec::new();
        for record in batch {
            serde_json::to_writer(&mut body, &Row::new(record)?)
                .map_err(|error| SinkError::new(error.to_string()))?;
            body.push(b'\n');
        }
        self.query(&format!("INSERT INTO {table} FORMAT JSONEachRow"), body).await
    }
}
