//! An observer that keeps what it hears, in words.

use std::sync::{Arc, Mutex};

use llm_router::{Event, Observer};

/// Keeps every event as a line.
#[derive(Debug, Default)]
pub struct Recorder {
    lines: Mutex<Vec<String>>,
}

impl Recorder {
    /// Starts with nothing heard.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// What was heard so far.
    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    /// How many lines begin like this.
    pub fn count(&self, start: &str) -> usize {
        self.lines().iter().filter(|line| line.starts_with(start)).count()
    }
}

impl Observer for Recorder {
    fn observe(&self, event: &Event<'_>) {
        self.lines.lock().unwrap().push(format!("{event:?}"));
    }
}
