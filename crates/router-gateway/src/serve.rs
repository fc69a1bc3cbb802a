//! `llm-router serve`.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use llm_router::{ConfigFile, Router};
use router_gateway::{App, Server};
use router_mock::MockServer;
use router_telemetry::TracingObserver;
use tokio::net::TcpListener;

use crate::cli::ServeArgs;
use crate::sources;

pub(crate) async fn run(args: ServeArgs) -> anyhow::Result<()> {
    let mut mock: Option<MockServer> = None;
    let (builder, origin) = match &args.config {
        Some(path) => {
            let file = ConfigFile::read(path)?;
            for problem in file.ignored() {
                tracing::warn!(%problem, "configuration key ignored");
                // Whoever wrote a master key relies on it.
                ensure!(
                    args.host.is_loopback() || problem.path != "general_settings",
                    "{problem}: without its access control the gateway serves this machine only; leave --host at 127.0.0.1"
                );
            }
            (file.into_builder(), format!("from {}", path.display()))
        }
        None => match sources::from_environment() {
            Some((builder, keys)) => (builder, format!("from the environment ({})", keys.join(", "))),
            None => {
                let server =
                    MockServer::start("127.0.0.1:0").await.context("the simulated providers cannot start")?;
                let builder = sources::simulated(&server);
                mock = Some(server);
                (builder, "SIMULATED: no --config and no provider key, so the answers are made up".to_owned())
            }
        },
    };
    let router = builder.observer(Arc::new(TracingObserver)).build()?;
    let address = SocketAddr::new(args.host, args.port);
    let listener = TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
    let address = listener.local_addr().context("the listener has no address")?;
    if !args.host.is_loopback() {
        tracing::warn!(%address, "everybody who reaches this address can use the configured keys");
    }
    greet(address, &router, &origin).context("stdout is closed")?;

    let server = Server::new(listener, App::new(router), Duration::from_secs(args.drain));
    let ended = server.serve(stop_signal()).await.context("serving failed")?;
    if !ended {
        tracing::warn!(seconds = args.drain, "requests were still under way when the drain time was over");
    }
    // The simulated providers live as long as the gateway.
    drop(mock);
    Ok(())
}

/// Says what is served and how to try it.
fn greet(address: SocketAddr, router: &Router, origin: &str) -> std::io::Result<()> {
    let aliases = router.aliases();
    let names: Vec<&str> = aliases.iter().map(llm_router::Alias::as_str).collect();
    let first = names.first().copied().unwrap_or_default();
    let mut out = std::io::stdout().lock();
    writeln!(out, "llm-router listens on http://{address}")?;
    writeln!(out, "models: {} ({origin})", names.join(", "))?;
    writeln!(out, "try: curl http://{address}/v1/chat/completions -H 'content-type: application/json' \\")?;
    writeln!(
        out,
        "       -d '{{\"model\": \"{first}\", \"messages\": [{{\"role\": \"user\", \"content\": \"Hello!\"}}]}}'"
    )?;
    out.flush()
}

/// Completes on SIGTERM or Ctrl-C.
async fn stop_signal() {
    let interrupt = async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    #[cfg(unix)]
    let terminate = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    #[cfg(not(unix))]
    let terminate = std::future::pending::<()>();
    tokio::select! {
        () = interrupt => {}
        () = terminate => {}
    }
    tracing::info!("stopping: no new connections, requests under way may end");
}
