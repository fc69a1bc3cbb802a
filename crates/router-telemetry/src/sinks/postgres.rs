//! PostgreSQL.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use secrecy::{ExposeSecret, SecretString};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, NoTls};

use super::row::Row;
use crate::record::CallRecord;
use crate::telemetry::{Sink, SinkError};

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS llm_router_calls (
  id TEXT PRIMARY KEY, time_ms BIGINT NOT NULL, outcome TEXT NOT NULL, pool TEXT NOT NULL, final_pool TEXT NOT NULL,
  deployment TEXT, provider TEXT, model TEXT, prompt_tokens BIGINT NOT NULL, completion_tokens BIGINT NOT NULL,
  attempts BIGINT NOT NULL, cost_pico_usd BIGINT NOT NULL, unknown_costs BIGINT NOT NULL, latency_ms BIGINT NOT NULL,
  ttft_ms BIGINT, key_alias TEXT, user_name TEXT, label TEXT, error TEXT, record TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS llm_router_calls_by_time ON llm_router_calls (time_ms);";

/// One statement for a batch of any size: each column is an array.
const INSERT: &str = "INSERT INTO llm_router_calls SELECT * FROM unnest(\
     $1::text[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::bigint[], $10::bigint[], \
     $11::bigint[], $12::bigint[], $13::bigint[], $14::bigint[], $15::bigint[], $16::text[], $17::text[], $18::text[], $19::text[], \
     $20::text[]) ON CONFLICT (id) DO NOTHING";

/// How long a batch may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Writes records to a table `llm_router_calls`, a batch a statement. A record that is written twice stands there once. The connection
/// is not encrypted: it is for a database on the same machine or in the same private network.
pub struct Postgres {
    address: SecretString,
    client: Option<Client>,
}

impl Postgres {
    /// Writes to this database, such as `postgres://user:password@localhost/name`. It is connected to when there is something to write,
    /// and again when the connection broke.
    pub fn new(address: impl Into<SecretString>) -> Self {
        Self { address: address.into(), client: None }
    }

    async fn client(&mut self) -> Result<&Client, SinkError> {
        if self.client.as_ref().is_none_or(Client::is_closed) {
            let (client, connection) =
                tokio_postgres::connect(self.address.expose_secret(), NoTls).await.map_err(failed)?;
            tokio::spawn(async move {
                if let Err(error) = connection.await {
                    tracing::warn!(%error, "the connection to PostgreSQL broke");
                }
            });
            client.batch_execute(SCHEMA).await.map_err(failed)?;
            self.client = Some(client);
        }
        self.client.as_ref().ok_or_else(|| SinkError::new("there is no connection"))
    }

    async fn insert(&mut self, rows: &[Row<'_>]) -> Result<(), SinkError> {
        macro_rules! columns {
            ($($column:ident),*) => { [$(&rows.iter().map(|row| &row.$column).collect::<Vec<_>>() as &(dyn ToSql + Sync)),*] };
        }
        let records: Vec<&str> = rows.iter().map(|row| row.record.as_str()).collect();
        let client = self.client().await?;
        let insert = client.prepare_typed(INSERT, &[]).await.map_err(failed)?;
        let columns = columns![
            id,
            time_ms,
            outcome,
            pool,
            final_pool,
            deployment,
            provider,
            model,
            prompt_tokens,
            completion_tokens,
            attempts,
            cost_pico_usd,
            unknown_costs,
            latency_ms,
            ttft_ms,
            key_alias,
            user_name,
            label,
            error
        ];
        let mut all: Vec<&(dyn ToSql + Sync)> = columns.to_vec();
        all.push(&records);
        client.execute(&insert, &all).await.map(drop).map_err(failed)
    }
}

fn failed(error: tokio_postgres::Error) -> SinkError {
    let detail = error.as_db_error().map(|error| error.message().to_owned());
    SinkError::new(detail.unwrap_or_else(|| error.to_string()))
}

impl fmt::Debug for Postgres {
    /// Shows nothing of the address, which may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Postgres").field("connected", &self.client.is_some()).finish_non_exhaustive()
    }
}

#[async_trait]
impl Sink for Postgres {
    fn name(&self) -> &'static str {
        "postgres"
    }

    async fn write(&mut self, batch: &[Arc<CallRecord>]) -> Result<(), SinkError> {
        let mut rows = batch.iter().map(Row::new).collect::<Result<Vec<_>, _>>()?;
        for row in &mut rows {
            // Callers send what they like, and one NUL, which `TEXT` cannot hold, would cost the whole batch.
            row.user_name = row.user_name.take().map(|user| Cow::Owned(user.replace('\0', "\u{fffd}")));
        }
        let written = tokio::time::timeout(TIMEOUT, self.insert(&rows)).await;
        let written = written.unwrap_or_else(|_| Err(SinkError::new("no answer within 30 s")));
        if written.is_err() {
            // Whatever state it is in: the next attempt connects anew.
            self.client = None;
        }
        written
    }
}

#[cfg(test)]
mod tests;
