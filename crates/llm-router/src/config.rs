//! Reads a LiteLLM-style `config.yaml` into a [`RouterBuilder`].

mod read;
mod yaml;

use std::fmt;
use std::path::Path;

use crate::builder::RouterBuilder;

/// A configuration file that has been read.
#[derive(Debug)]
pub struct ConfigFile {
    builder: RouterBuilder,
    ignored: Vec<Problem>,
}

impl ConfigFile {
    /// Reads a file. `os.environ/NAME` in it stands for an environment variable of this process.
    ///
    /// # Errors
    /// Every problem there is, each with file, line, column, key and what was expected.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, ConfigFileError> {
        let path = path.as_ref();
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|error| {
            let location = Some(Location { file: name.clone(), line: 0, column: 0 });
            let message = format!("cannot be read: {error}");
            ConfigFileError::Unreadable(Problem { location, path: String::new(), message })
        })?;
        Self::parse(&text, &name, &|name| std::env::var(name).ok())
    }

    /// Reads a text as if it stood in a file of this name; `environment` looks up variables.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn parse(
        text: &str,
        file: &str,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigFileError> {
        read::read(text, file, environment)
    }

    /// Returns the keys that stand in the file and do nothing, each with its place.
    pub fn ignored(&self) -> &[Problem] {
        &self.ignored
    }

    /// Returns the builder, to add what a file cannot say, such as observers.
    pub fn into_builder(self) -> RouterBuilder {
        self.builder
    }
}

/// Why a configuration file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigFileError {
    /// There is no such file, or it is not YAML.
    #[error("{0}")]
    Unreadable(Problem),
    /// Every problem of what it says.
    #[error("{}", lines(.0))]
    Wrong(Vec<Problem>),
}

pub(crate) fn lines(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// One problem of a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where it stands, for a configuration that comes from a file.
    pub location: Option<Location>,
    /// The path of the key, such as `model_list[0].litellm_params.model`.
    pub path: String,
    /// What is wrong and what to do about it.
    pub message: String,
}

/// A place in a file. Line and column count from 1; a line of 0 means the file as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// The file's name, as it was given.
    pub file: String,
    /// The line.
    pub line: usize,
    /// The column, in characters.
    pub column: usize,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(location) = &self.location {
            write!(f, "{location}: ")?;
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str(&self.file),
            line => write!(f, "{}:{line}:{}", self.file, self.column),
        }
    }
}
