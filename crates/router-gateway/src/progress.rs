//! Says on stderr how far something is that takes longer than a second.

use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// On a terminal one line is kept up to date; elsewhere a line is written now and then. Nothing is said of what takes less than a second.
#[derive(Debug)]
pub(crate) struct Progress {
    done: Arc<AtomicU64>,
    stop: Option<Sender<()>>,
    speaker: Option<JoinHandle<()>>,
}

/// How often it is said on a terminal, and elsewhere.
const OFTEN: Duration = Duration::from_millis(500);
const NOW_AND_THEN: Duration = Duration::from_secs(5);

impl Progress {
    /// Starts something that is described in words, such as `reading queries`.
    pub(crate) fn start(what: impl Into<String>) -> Self {
        let (what, done) = (what.into(), Arc::new(AtomicU64::new(0)));
        let (stop, stopped) = channel::<()>();
        let count = Arc::clone(&done);
        let speaker = std::thread::spawn(move || {
            let began = Instant::now();
            let is_terminal = std::io::stderr().is_terminal();
            let mut pause = Duration::from_secs(1);
            while stopped.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
                pause = if is_terminal { OFTEN } else { NOW_AND_THEN };
                let done = count.load(Relaxed);
                let count = if done > 0 { format!("{done}, ") } else { String::new() };
                say(is_terminal, &format!("{what}: {count}{} s", began.elapsed().as_secs()));
            }
            if is_terminal && began.elapsed() > Duration::from_secs(1) {
                say(true, "");
            }
        });
        Self { done, stop: Some(stop), speaker: Some(speaker) }
    }

    /// One more is done.
    pub(crate) fn one_more(&self) {
        self.done.fetch_add(1, Relaxed);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(speaker) = self.speaker.take() {
            // It panics for nothing.
            let _ = speaker.join();
        }
    }
}

fn say(is_terminal: bool, text: &str) {
    let mut out = std::io::stderr().lock();
    // Nobody is left to tell if stderr is gone. The escape clears what stood in the line.
    let _ = if is_terminal { write!(out, "\r\x1b[K{text}") } else { writeln!(out, "{text}") };
    let _ = out.flush();
}
