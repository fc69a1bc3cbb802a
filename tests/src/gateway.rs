//! A gateway in this process.

use std::net::SocketAddr;
use std::time::Duration;

use llm_router::Router;
use router_gateway::{App, Server};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Serves a router on a free port until it is dropped or stopped.
#[derive(Debug)]
pub struct Gateway {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    serving: JoinHandle<bool>,
}

impl Gateway {
    /// Starts to serve.
    pub async fn over(router: Router) -> Self {
        Self::of(App::new(router)).await
    }

    /// Starts to serve this app.
    pub async fn of(app: App) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let server = Server::new(listener, app, Duration::from_secs(5));
        let serving = tokio::spawn(async move {
            let stopped = async {
                let _ = stopped.await;
            };
            server.serve(stopped).await.unwrap()
        });
        Self { address, stop: Some(stop), serving }
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address of a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Stops it; returns whether every request ended within the drain time.
    pub async fn stop(mut self) -> bool {
        drop(self.stop.take());
        (&mut self.serving).await.unwrap()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.serving.abort();
    }
}
