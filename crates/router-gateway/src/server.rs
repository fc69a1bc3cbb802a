//! Serves until told to stop, then drains.

use std::future::Future;
use std::io;
use std::time::Duration;

use axum::serve::ListenerExt;
use tokio::net::TcpListener;

use crate::api::{App, app};

/// A bound gateway that is about to serve.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    app: App,
    drain_limit: Duration,
}

impl Server {
    /// Takes a listener and the app to serve on it. Requests under way at the stop get `drain_limit` to end.
    pub const fn new(listener: TcpListener, app: App, drain_limit: Duration) -> Self {
        Self { listener, app, drain_limit }
    }

    /// Serves until `stop` completes, then takes no more connections, lets requests under way end, and returns. Returns true
    /// when all of them ended in time.
    ///
    /// # Errors
    /// When the listener fails.
    pub async fn serve(self, stop: impl Future<Output = ()> + Send + 'static) -> io::Result<bool> {
        let Self { listener, app: state, drain_limit } = self;
        // Without this a small write waits up to 40 ms for the client's acknowledgement.
        let listener = listener.tap_io(|stream| {
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "TCP_NODELAY cannot be set");
            }
        });
        let (stopping, mut stopped) = tokio::sync::watch::channel(());
        let draining = state.clone();
        let serving = axum::serve(listener, app(state)).with_graceful_shutdown(async move {
            stop.await;
            draining.start_draining();
            drop(stopping);
        });
        let overdue = async move {
            // The sender is never used: it is dropped when draining begins.
            let _ = stopped.changed().await;
            tokio::time::sleep(drain_limit).await;
        };
        tokio::select! {
            served = serving => served.map(|()| true),
            () = overdue => Ok(false),
        }
    }
}
