//! Reads a LiteLLM-style `config.yaml` into a [`RouterBuilder`].

mod keys;
mod read;
mod schema;
mod settings;
mod yaml;

use std::fmt;
use std::path::{Path, PathBuf};

use self::read::Source;
pub use self::schema::config_schema;
pub use self::settings::{
    CacheSettings, CallbackSettings, Callbacks, GeneralSettings, KeySetting, VirtualKeySettings,
};
use crate::builder::RouterBuilder;

/// A configuration file that has been read, with what it includes.
#[derive(Debug)]
pub struct ConfigFile {
    builder: RouterBuilder,
    general: GeneralSettings,
    cache: Option<CacheSettings>,
    callbacks: Callbacks,
    ignored: Vec<Problem>,
    files: Vec<String>,
}

impl ConfigFile {
    /// Reads a file, and those it includes, whose names are relative to it. `os.environ/NAME` in it stands for an environment variable
    /// of this process.
    ///
    /// # Errors
    /// Every problem there is, each with file, line, column, key and what was expected.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, ConfigFileError> {
        let path = path.as_ref();
        let file = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|error| {
            let location = Some(Location { file: file.clone(), line: 0, column: 0 });
            let message = format!("cannot be read: {error}");
            ConfigFileError::Unreadable(Problem { location, path: String::new(), message })
        })?;
        let folder = path.parent().map(Path::to_path_buf).unwrap_or_default();
        let load = |name: &str| {
            let path = folder.join(name);
            let text = std::fs::read_to_string(&path).map_err(|error| error.to_string())?;
            Ok(Source { file: path.display().to_string(), text })
        };
        read::read(Source { file, text }, &load, &|name| std::env::var(name).ok())
    }

    /// Reads a text as if it stood in a file of this name; `environment` looks up variables. It cannot include others.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn parse(
        text: &str,
        file: &str,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigFileError> {
        let main = Source { file: file.to_owned(), text: text.to_owned() };
        read::read(main, &|_| Err("only a file can include others".to_owned()), environment)
    }

    /// Returns the keys that stand in the file and do nothing, each with its place.
    pub fn ignored(&self) -> &[Problem] {
        &self.ignored
    }

    /// Returns what it says for the gateway.
    pub const fn general(&self) -> &GeneralSettings {
        &self.general
    }

    /// Returns the cache it asks for; `None` when it asks for none.
    pub const fn cache(&self) -> Option<&CacheSettings> {
        self.cache.as_ref()
    }

    /// Returns where it wants the accounts of requests to go.
    pub const fn callbacks(&self) -> &Callbacks {
        &self.callbacks
    }

    /// Returns the files that were read, the main one first.
    pub fn files(&self) -> impl Iterator<Item = PathBuf> {
        self.files.iter().map(PathBuf::from)
    }

    /// Returns the builder, and what is for the gateway: its settings, and the cache if there is to be one.
    pub fn into_parts(self) -> (RouterBuilder, GeneralSettings, Option<CacheSettings>) {
        (self.builder, self.general, self.cache)
    }

    /// Returns the builder as the file made it.
    pub const fn builder(&self) -> &RouterBuilder {
        &self.builder
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
