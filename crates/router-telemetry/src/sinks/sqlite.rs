//! An SQLite database: no server, and what `llm-router report` reads.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rusqlite::{Connection, OpenFlags, params};

use super::row::Row;
use crate::record::CallRecord;
use crate::telemetry::{Sink, SinkError};

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS calls (
  id TEXT PRIMARY KEY, time_ms INTEGER NOT NULL, outcome TEXT NOT NULL, pool TEXT NOT NULL, final_pool TEXT NOT NULL,
  deployment TEXT, provider TEXT, model TEXT, prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL,
  attempts INTEGER NOT NULL, cost_pico_usd INTEGER NOT NULL, unknown_costs INTEGER NOT NULL, latency_ms INTEGER NOT NULL,
  ttft_ms INTEGER, key_alias TEXT, user_name TEXT, label TEXT, error TEXT, record TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS calls_by_time ON calls (time_ms);";

const INSERT: &str = "INSERT OR IGNORE INTO calls VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, \
                      ?18, ?19, ?20)";

/// Writes records to a table `calls`, a batch a transaction. A record that is written twice stands there once.
#[derive(Debug)]
pub struct Sqlite {
    path: PathBuf,
    connection: Connection,
}

impl Sqlite {
    /// Opens a database, and creates it where it is not there.
    ///
    /// # Errors
    /// When it cannot be opened or is something else.
    pub fn create(path: impl AsRef<Path>) -> Result<Self, SinkError> {
        let path = path.as_ref().to_path_buf();
        let open = || {
            let connection = Connection::open(&path)?;
            // Readers do not wait for the writer, nor it for them; a killed process loses no transaction.
            connection.pragma_update(None, "journal_mode", "WAL")?;
            connection.pragma_update(None, "synchronous", "NORMAL")?;
            connection.busy_timeout(Duration::from_secs(5))?;
            connection.execute_batch(SCHEMA)?;
            Ok(connection)
        };
        let connection = open().map_err(|error| failed(&path, &error))?;
        Ok(Self { path, connection })
    }

    fn insert(&mut self, rows: &[Row<'_>]) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction()?;
        {
            let mut insert = transaction.prepare_cached(INSERT)?;
            for row in rows {
                insert.execute(params![
                    row.id,
                    row.time_ms,
                    row.outcome,
                    row.pool,
                    row.final_pool,
                    row.deployment,
                    row.provider,
                    row.model,
                    row.prompt_tokens,
                    row.completion_tokens,
                    row.attempts,
                    row.cost_pico_usd,
                    row.unknown_costs,
                    row.latency_ms,
                    row.ttft_ms,
                    row.key_alias,
                    row.user_name,
                    row.label,
                    row.error,
                    row.record,
                ])?;
            }
        }
        transaction.commit()
    }
}

fn failed(path: &Path, error: &rusqlite::Error) -> SinkError {
    SinkError::new(format!("{}: {error}", path.display()))
}

#[async_trait]
impl Sink for Sqlite {
    fn name(&self) -> &'static str {
        "sqlite"
    }

    async fn write(&mut self, batch: &[Arc<CallRecord>]) -> Result<(), SinkError> {
        let rows = batch.iter().map(Row::new).collect::<Result<Vec<_>, _>>()?;
        self.insert(&rows).map_err(|error| failed(&self.path, &error))
    }
}

/// Reads the records of a database from this time on, in milliseconds since the Unix epoch, oldest first.
///
/// # Errors
/// When there is no such database, or it is something else.
pub fn read_records(
    path: impl AsRef<Path>,
    since_ms: u64,
    mut take: impl FnMut(CallRecord),
) -> Result<(), SinkError> {
    let path = path.as_ref();
    let read = |take: &mut dyn FnMut(CallRecord)| {
        let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        let mut select =
            connection.prepare("SELECT record FROM calls WHERE time_ms >= ?1 ORDER BY time_ms")?;
        let mut rows = select.query(params![i64::try_from(since_ms).unwrap_or(i64::MAX)])?;
        while let Some(row) = rows.next()? {
            let json: String = row.get(0)?;
            if let Ok(record) = serde_json::from_str(&json) {
                take(record);
            }
        }
        Ok(())
    };
    read(&mut take).map_err(|error| failed(path, &error))
}
