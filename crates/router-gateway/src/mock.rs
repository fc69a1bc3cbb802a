//! `llm-router mock`.

use std::io::Write;

use anyhow::Context;
use router_mock::{Behaviour, MockServer};

use crate::cli::MockArgs;

pub(crate) async fn run(args: MockArgs) -> anyhow::Result<()> {
    let behaviour: Behaviour = match &args.behaviour {
        Some(json) => serde_json::from_str(json).context("--behaviour")?,
        None => Behaviour::default(),
    };
    let server = MockServer::start(("127.0.0.1", args.port))
        .await
        .with_context(|| format!("cannot listen on 127.0.0.1:{}", args.port))?;
    server.upstream("default").set(behaviour);
    let base = server.base_url();
    let mut out = std::io::stdout().lock();
    writeln!(out, "simulated OpenAI:    {base}/v1")?;
    writeln!(out, "simulated Anthropic: {base}")?;
    writeln!(out, "behaviour:           {base}/mock/upstreams")?;
    out.flush()?;
    drop(out);
    tokio::signal::ctrl_c().await.context("waiting for Ctrl-C")?;
    Ok(())
}
