//! `llm-router serve`.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use llm_router::{ConfigFile, Observer, RouterBuilder};
use router_gateway::{App, Limits, Server, Serving, Watch};
use router_mock::MockServer;
use router_telemetry::TracingObserver;
use tokio::net::TcpListener;

use crate::cli::ServeArgs;
use crate::reload::Reload;
use crate::sinks;
use crate::sources::Source;

pub(crate) async fn run(args: ServeArgs) -> anyhow::Result<()> {
    let mut mock: Option<MockServer> = None;
    let mut reload = None;
    let file = args.config.as_ref().map(ConfigFile::read).transpose()?;
    let callbacks = file.as_ref().map(ConfigFile::callbacks).cloned().unwrap_or_default();
    let watch = Arc::new(Watch::new(sinks::open(args.records.as_deref(), &callbacks)?));
    let (serving, limits, origin) = match args.config.as_ref().zip(file) {
        Some((path, file)) => {
            for problem in file.ignored() {
                tracing::warn!(%problem, "configuration key ignored");
            }
            let limits = Limits::from(file.general());
            #[cfg(feature = "redis")]
            file.builder().probe_redis().await.context("`redis_required` is set")?;
            reload = Some(Reload::new(path, &file, !args.host.is_loopback(), Arc::clone(&watch)));
            let serving = Serving::from_file(file, observers(&watch), None)?;
            (serving, limits, format!("from {}", path.display()))
        }
        None => {
            let Source { builder, origin, mock: simulated } = Source::without_file().await?;
            mock = simulated;
            let router = observers(&watch).into_iter().fold(builder, RouterBuilder::observer).build()?;
            (Serving::new(router), Limits::default(), origin)
        }
    };
    let address = SocketAddr::new(args.host, args.port);
    ensure!(
        args.host.is_loopback() || !serving.is_open(),
        "without a key everybody who reaches {address} could spend your providers' credit: set \
         `general_settings.master_key` or `virtual_keys` in the config, or leave --host at 127.0.0.1"
    );
    let listener = TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
    let address = listener.local_addr().context("the listener has no address")?;
    greet(address, &serving, &origin).context("stdout is closed")?;

    let app = App::with_limits(serving, limits).with_watch(Arc::clone(&watch));
    let reloading = reload.map(|reload| tokio::spawn(reload.keep_up_to_date(app.clone())));
    let server = Server::new(listener, app, Duration::from_secs(args.drain));
    let ended = server.serve(stop_signal()).await.context("serving failed")?;
    if let Some(reloading) = reloading {
        reloading.abort();
    }
    if !ended {
        tracing::warn!(seconds = args.drain, "requests were still under way when the drain time was over");
    }
    if !watch.telemetry().shutdown(FLUSH_LIMIT) {
        tracing::warn!(sinks = ?watch.telemetry().counts(), "records were still being written when their time was over");
    }
    // The simulated providers live as long as the gateway.
    drop(mock);
    Ok(())
}

/// Whoever hears of every event: the log, and the watch over the traffic.
pub(crate) fn observers(watch: &Arc<Watch>) -> [Arc<dyn Observer>; 2] {
    [Arc::new(TracingObserver), Arc::clone(watch) as _]
}

/// How long records may take to be written at the end.
const FLUSH_LIMIT: Duration = Duration::from_secs(10);

/// Says what is served and how to try it.
fn greet(address: SocketAddr, serving: &Serving, origin: &str) -> std::io::Result<()> {
    let aliases = serving.router().aliases();
    let names: Vec<&str> = aliases.iter().map(llm_router::Alias::as_str).collect();
    let first = names.first().copied().unwrap_or_default();
    let mut out = std::io::stdout().lock();
    writeln!(out, "llm-router listens on http://{address}")?;
    writeln!(out, "models: {} ({origin})", names.join(", "))?;
    if serving.is_open() {
        writeln!(out, "access: everybody on this machine, since no key is configured; nobody else")?;
    }
    let key = if serving.is_open() { "" } else { " -H 'authorization: Bearer YOUR_KEY'" };
    writeln!(
        out,
        "try: curl http://{address}/v1/chat/completions{key} -H 'content-type: application/json' \\"
    )?;
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
