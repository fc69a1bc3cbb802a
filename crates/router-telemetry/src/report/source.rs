//! Where a report comes from: what a sink wrote, and what people said about it.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::record::CallRecord;

/// What a sink wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecordSource {
    /// JSON lines.
    JsonLines(PathBuf),
    /// An SQLite database.
    #[cfg(feature = "sqlite")]
    Sqlite(PathBuf),
}

/// A source that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {message}", path = .path.display())]
pub struct SourceError {
    path: PathBuf,
    message: String,
}

impl SourceError {
    fn new(path: &Path, message: impl ToString) -> Self {
        Self { path: path.to_path_buf(), message: message.to_string() }
    }
}

impl RecordSource {
    fn path(&self) -> &Path {
        match self {
            Self::JsonLines(path) => path,
            #[cfg(feature = "sqlite")]
            Self::Sqlite(path) => path,
        }
    }

    /// Reads the records from this time on, in milliseconds since the Unix epoch. Lines that are no records are passed over.
    ///
    /// # Errors
    /// When there is no such source, or it is something else.
    pub fn read(&self, since_ms: u64, mut take: impl FnMut(CallRecord)) -> Result<(), SourceError> {
        match self {
            Self::JsonLines(path) => lines(path, |record: CallRecord| {
                if record.time_ms >= since_ms {
                    take(record);
                }
            }),
            #[cfg(feature = "sqlite")]
            Self::Sqlite(path) => crate::sinks::read_records(path, since_ms, take)
                .map_err(|error| SourceError::new(path, error)),
        }
    }

    /// Reads what people said about sampled requests; nothing when nobody did.
    ///
    /// # Errors
    /// When the labels are there and cannot be read.
    pub fn labels(&self) -> Result<Labels, SourceError> {
        let path = self.labels_path();
        let mut labels = Labels::default();
        if path.exists() {
            // The last word stands.
            lines(&path, |label: Label| {
                labels.0.insert(label.id, label.verdict);
            })?;
        }
        Ok(labels)
    }

    /// Takes note of what somebody said about a request.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn label(&self, label: &Label) -> Result<(), SourceError> {
        let path = self.labels_path();
        let write = || -> io::Result<()> {
            let mut file = File::options().append(true).create(true).open(&path)?;
            let mut line = serde_json::to_vec(label)?;
            line.push(b'\n');
            file.write_all(&line)
        };
        write().map_err(|error| SourceError::new(&path, error))
    }

    /// Labels lie beside the source, so that a database that is being written to is left alone.
    fn labels_path(&self) -> PathBuf {
        let mut name = self.path().as_os_str().to_owned();
        name.push(".labels.jsonl");
        name.into()
    }
}

fn lines<T: for<'de> Deserialize<'de>>(path: &Path, mut take: impl FnMut(T)) -> Result<(), SourceError> {
    let file = File::open(path).map_err(|error| SourceError::new(path, error))?;
    for line in BufReader::new(file).lines() {
        let line = line.map_err(|error| SourceError::new(path, error))?;
        if let Ok(item) = serde_json::from_str(&line) {
            take(item);
        }
    }
    Ok(())
}

/// What somebody said about an escalated request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Label {
    /// The request.
    pub id: String,
    /// What it was.
    pub verdict: Verdict,
}

/// Whether an escalated request belonged where it went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It was hard.
    Hard,
    /// It was not: the classification was wrong.
    Wrong,
}

/// What people said, by request.
#[derive(Debug, Clone, Default)]
pub struct Labels(pub(super) HashMap<String, Verdict>);

impl Labels {
    /// Returns what was said about a request.
    pub fn of(&self, id: &str) -> Option<Verdict> {
        self.0.get(id).copied()
    }
}
