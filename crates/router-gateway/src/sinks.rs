//! Which sinks the configuration and the command line ask for.

use std::path::Path;

use anyhow::{Context, bail};
use llm_router::Callbacks;
use router_telemetry::{ClickHouse, JsonLines, Postgres, Sqlite, Telemetry, TracingSink, Webhook, Which};

/// Opens them. Names of services that LiteLLM sends to and this gateway does not are warned about.
pub(crate) fn open(records: Option<&Path>, callbacks: &Callbacks) -> anyhow::Result<Telemetry> {
    let mut telemetry = Telemetry::new();
    if let Some(path) = records {
        let named = || format!("--records {}", path.display());
        telemetry = if path.extension().is_some_and(|extension| extension == "jsonl") {
            telemetry.sink(JsonLines::create(path).with_context(named)?, Which::All)
        } else {
            telemetry.sink(Sqlite::create(path).with_context(named)?, Which::All)
        };
    }
    for (key, names, which) in [
        ("callbacks", &callbacks.all, Which::All),
        ("success_callback", &callbacks.successes, Which::Successes),
        ("failure_callback", &callbacks.failures, Which::Failures),
    ] {
        // The same sink for successes and for failures is one sink for all, so that a file is opened once.
        let is_both = |name: &String| callbacks.successes.contains(name) && callbacks.failures.contains(name);
        for name in names {
            let which = match which {
                Which::Successes if is_both(name) => Which::All,
                Which::Failures if is_both(name) => continue,
                which => which,
            };
            telemetry = add(telemetry, name, which, callbacks)
                .with_context(|| format!("litellm_settings.{key}: {name}"))?;
        }
    }
    Ok(telemetry)
}

fn add(telemetry: Telemetry, name: &str, which: Which, callbacks: &Callbacks) -> anyhow::Result<Telemetry> {
    let settings = callbacks.settings_of(name);
    let url = || {
        let missing = || format!("callback_settings.{name}.url is missing: expected its address");
        settings.url.clone().with_context(missing)
    };
    let plain_url = || url().map(|url| secrecy::ExposeSecret::expose_secret(&url).to_owned());
    let path = |default: &str| settings.path.clone().unwrap_or_else(|| default.to_owned());
    Ok(match name {
        "jsonl" => {
            let path = path("calls.jsonl");
            telemetry.sink(JsonLines::create(&path).with_context(|| path.clone())?, which)
        }
        "sqlite" => telemetry.sink(Sqlite::create(path("calls.db"))?, which),
        "postgres" => telemetry.sink(Postgres::new(url()?), which),
        "webhook" | "generic_api" => telemetry.sink(Webhook::new(plain_url()?), which),
        "clickhouse" => {
            let mut sink = ClickHouse::new(plain_url()?);
            if let Some(table) = &settings.table {
                sink = sink.table(table)?;
            }
            if let Some(user) = &settings.user {
                sink = sink.user(user, settings.password.clone().unwrap_or_default());
            }
            telemetry.sink(sink, which)
        }
        "tracing" => telemetry.sink(TracingSink, which),
        // What it would switch on is always there, at /metrics.
        "prometheus" => telemetry,
        "" => bail!("expected the name of a callback"),
        other => {
            tracing::warn!(
                callback = other,
                "callback not supported, ignored: there are jsonl, sqlite, postgres, webhook, clickhouse, tracing and prometheus"
            );
            telemetry
        }
    })
}
