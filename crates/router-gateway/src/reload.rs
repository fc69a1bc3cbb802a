//! Takes over a changed configuration while serving.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use llm_router::ConfigFile;
use router_gateway::{App, Limits, Serving, Watch};

use crate::serve::observers;

/// How often the files are looked at. A second is soon enough for a person, and works on every kind of file system; notifications
/// do not reach through the symbolic links that Kubernetes mounts.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The configuration of a gateway that serves.
#[derive(Debug)]
pub(crate) struct Reload {
    path: PathBuf,
    files: Vec<PathBuf>,
    limits: Limits,
    /// Whether other machines can reach the gateway: then a configuration without keys is not taken over.
    needs_keys: bool,
    watch: Arc<Watch>,
}

/// Size and time of each file; another content has another stamp.
type Stamp = Vec<Option<(u64, SystemTime)>>;

impl Reload {
    pub(crate) fn new(path: &Path, file: &ConfigFile, needs_keys: bool, watch: Arc<Watch>) -> Self {
        let limits = Limits::from(file.general());
        Self { path: path.to_owned(), files: file.files().collect(), limits, needs_keys, watch }
    }

    /// Reads the files again at each SIGHUP and when they change, for as long as it is polled.
    pub(crate) async fn keep_up_to_date(mut self, app: App) {
        let mut hangup = Hangup::new();
        let mut known = self.stamp();
        loop {
            let is_asked = tokio::select! {
                () = hangup.next() => true,
                () = tokio::time::sleep(LOOK_EVERY) => false,
            };
            let present = self.stamp();
            if is_asked || present != known {
                // Whoever writes it may be in the middle of it: what holds for two looks is whole.
                if !is_asked {
                    tokio::time::sleep(LOOK_EVERY).await;
                    if self.stamp() != present {
                        continue;
                    }
                }
                known = present;
                self.reload(&app);
            }
        }
    }

    /// Takes the files over, or says why not; then the present configuration stays in force.
    fn reload(&mut self, app: &App) {
        match self.read(app) {
            Ok(serving) => {
                let models: Vec<String> =
                    serving.router().aliases().iter().map(ToString::to_string).collect();
                app.replace(serving);
                tracing::info!(file = %self.path.display(), models = models.join(", "), "configuration reloaded");
            }
            Err(error) => tracing::error!(
                file = %self.path.display(),
                error = format!("{error:#}"),
                "the changed configuration is not taken over, the present one stays in force"
            ),
        }
    }

    fn read(&mut self, app: &App) -> anyhow::Result<Serving> {
        let file = ConfigFile::read(&self.path)?;
        self.files = file.files().collect();
        for problem in file.ignored() {
            tracing::warn!(%problem, "configuration key ignored");
        }
        if Limits::from(file.general()) != self.limits {
            tracing::warn!("limits in general_settings have changed: they hold after a restart");
        }
        let serving = Serving::from_file(file, observers(&self.watch), Some(&app.serving()))?;
        anyhow::ensure!(
            !self.needs_keys || !serving.is_open(),
            "it has no key any more, and other machines can reach this gateway"
        );
        Ok(serving)
    }

    fn stamp(&self) -> Stamp {
        let stamp = |file: &PathBuf| {
            let data = std::fs::metadata(file).ok()?;
            Some((data.len(), data.modified().ok()?))
        };
        self.files.iter().map(stamp).collect()
    }
}

/// SIGHUP, where there is one.
struct Hangup {
    #[cfg(unix)]
    signal: Option<tokio::signal::unix::Signal>,
}

impl Hangup {
    fn new() -> Self {
        Self {
            #[cfg(unix)]
            signal: tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup()).ok(),
        }
    }

    async fn next(&mut self) {
        #[cfg(unix)]
        if let Some(signal) = &mut self.signal
            && signal.recv().await.is_some()
        {
            return;
        }
        std::future::pending().await
    }
}
