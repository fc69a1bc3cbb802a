//! A file with one JSON object a line.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;

use crate::record::CallRecord;
use crate::telemetry::{Sink, SinkError};

/// Writes a record a line. A batch is one write, so a killed process leaves whole lines; a file that has grown to its limit becomes
/// `NAME.1`, what was that becomes `NAME.2`, and so on.
#[derive(Debug)]
pub struct JsonLines {
    path: PathBuf,
    file: File,
    length: u64,
    max_bytes: u64,
    keep: u32,
    buffer: Vec<u8>,
}

impl JsonLines {
    /// Opens a file to add to, and creates it where it is not there. It is cut at 100 MiB, and five older ones are kept.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn create(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref().to_path_buf();
        let (file, length) = open(&path)?;
        Ok(Self { path, file, length, max_bytes: 100 << 20, keep: 5, buffer: Vec::new() })
    }

    /// Sets the size at which a new file is begun, and how many older ones are kept.
    #[must_use]
    pub const fn rotate(mut self, max_bytes: u64, keep: u32) -> Self {
        self.max_bytes = max_bytes;
        self.keep = keep;
        self
    }

    fn append(&mut self) -> io::Result<()> {
        if self.length > 0 && self.length + self.buffer.len() as u64 > self.max_bytes {
            self.begin_anew()?;
        }
        if let Err(error) = self.file.write_all(&self.buffer) {
            // What was written of the batch is taken back, since all of it will be written again.
            self.file.set_len(self.length)?;
            return Err(error);
        }
        self.length += self.buffer.len() as u64;
        Ok(())
    }

    fn begin_anew(&mut self) -> io::Result<()> {
        let old = |n: u32| {
            let mut name = self.path.clone().into_os_string();
            name.push(format!(".{n}"));
            PathBuf::from(name)
        };
        for n in (1..self.keep).rev() {
            match std::fs::rename(old(n), old(n + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        if self.keep == 0 {
            std::fs::remove_file(&self.path)?;
        } else {
            std::fs::rename(&self.path, old(1))?;
        }
        (self.file, self.length) = open(&self.path)?;
        Ok(())
    }
}

/// Opens a file at its end. Half a line that a crash of the machine left there is ended first.
fn open(path: &Path) -> io::Result<(File, u64)> {
    let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
    let mut length = file.metadata()?.len();
    if length > 0 {
        let mut last = [0];
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
        if last != *b"\n" {
            file.write_all(b"\n")?;
            length += 1;
        }
    }
    Ok((file, length))
}

#[async_trait]
impl Sink for JsonLines {
    fn name(&self) -> &'static str {
        "jsonl"
    }

    async fn write(&mut self, batch: &[Arc<CallRecord>]) -> Result<(), SinkError> {
        self.buffer.clear();
        for record in batch {
            serde_json::to_writer(&mut self.buffer, &**record)
                .map_err(|error| SinkError::new(error.to_string()))?;
            self.buffer.push(b'\n');
        }
        self.append().map_err(|error| SinkError::new(format!("{}: {error}", self.path.display())))
    }
}
