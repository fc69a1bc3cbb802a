//! Serves on a socket until told to stop, then drains.

mod from_settings;
mod limits;
mod patience;
pub(crate) mod places;

use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

pub use self::limits::Limits;
use self::patience::Patience;
use crate::api::app;
use crate::app::App;

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
    /// when all of them ended in time; those that did not are cut off.
    ///
    /// # Errors
    /// None at present: what goes wrong with a connection is the connection's.
    ///
    /// # Cancel safety
    /// Dropping the future closes every connection.
    pub async fn serve(self, stop: impl Future<Output = ()> + Send) -> io::Result<bool> {
        let Self { listener, app: state, drain_limit } = self;
        let limits = state.limits().clone();
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(limits.head_timeout)
            .max_header_size(limits.max_head);
        let service = TowerToHyperService::new(app(state.clone()));
        let places = Arc::new(Semaphore::new(limits.max_connections.min(Semaphore::MAX_PERMITS)));
        let graceful = GracefulShutdown::new();
        let mut connections = JoinSet::new();
        let mut stop = pin!(stop);
        loop {
            let accepted = tokio::select! {
                () = &mut stop => break,
                Some(_) = connections.join_next() => continue,
                accepted = listener.accept() => accepted,
            };
            let stream = match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    pause_after(&error).await;
                    continue;
                }
            };
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                // Politeness has its bound too.
                if connections.len() < limits.max_connections.saturating_add(MAX_REFUSALS) {
                    connections.spawn(refuse(stream));
                }
                continue;
            };
            // Without this a small write waits up to 40 ms for the client's acknowledgement.
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "TCP_NODELAY cannot be set");
            }
            let io = TokioIo::new(Patience::new(stream, limits.write_timeout));
            let connection = graceful.watch(http.serve_connection(io, service.clone()));
            connections.spawn(async move {
                if let Err(error) = connection.await {
                    // Clients leave, stall and send nonsense; none of it is the operator's business.
                    tracing::debug!(%error, "a connection ended early");
                }
                drop(place);
            });
        }
        drop(listener);
        state.start_draining();
        tokio::select! {
            () = graceful.shutdown() => Ok(true),
            () = tokio::time::sleep(drain_limit) => Ok(false),
        }
    }
}

/// A connection that broke before it was accepted says nothing about the next one; when there are no more file descriptors, a
/// moment's rest is better than a busy loop.
async fn pause_after(error: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    if !matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset) {
        tracing::warn!(%error, "a connection cannot be accepted");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// How many connections are told at a time that they are too many; further ones are just closed.
const MAX_REFUSALS: usize = 256;

const REFUSAL: &str = r#"{"error":{"message":"too many connections","type":"server_error","param":null,"code":"too_many_connections"}}"#;

/// Says that there are too many connections, and closes this one. The client speaks first, since many take an answer before their
/// question for nonsense; what it sends afterwards is read and dropped, since closing on unread bytes would reset the connection
/// before the answer is seen.
async fn refuse(mut stream: TcpStream) {
    let answer = async {
        let mut sink = [0; 1024];
        if stream.read(&mut sink).await? == 0 {
            return Ok(());
        }
        let length = REFUSAL.len();
        let head = format!(
            "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\
             retry-after: 1\r\nconnection: close\r\n\r\n"
        );
        stream.write_all([&head, REFUSAL].concat().as_bytes()).await?;
        stream.shutdown().await?;
        while stream.read(&mut sink).await? > 0 {}
        io::Result::Ok(())
    };
    // Whether it arrived or not, there is nothing more to do.
    let _ = tokio::time::timeout(Duration::from_millis(500), answer).await;
}
