//! Runs cargo, and says what it runs.

use std::process::Command;

use anyhow::{Context, Result, ensure};

/// One call of cargo, in the root of the workspace.
#[derive(Debug)]
#[must_use]
pub(crate) struct Cargo {
    command: Command,
    words: String,
}

/// Prepares a call with these words, separated by spaces.
pub(crate) fn cargo(words: &str) -> Cargo {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.args(words.split(' ')).current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    Cargo { command, words: words.to_owned() }
}

impl Cargo {
    pub(crate) fn args(mut self, arguments: &[String]) -> Self {
        self.command.args(arguments);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    #[expect(clippy::print_stderr, reason = "tells the person at the terminal what runs")]
    pub(crate) fn run(mut self) -> Result<()> {
        eprintln!("$ cargo {}", self.words);
        let status = self.command.status().with_context(|| format!("cargo {} cannot be run", self.words))?;
        ensure!(status.success(), "cargo {} failed ({status})", self.words);
        Ok(())
    }
}
