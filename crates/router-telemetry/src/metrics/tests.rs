use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use router_core::{Alias, Catalog, Config, DeploymentConfig, ProviderErrorKind};

use super::*;
use crate::telemetry::tests::tell;
use crate::{Telemetry, TracingSink, Which};

fn rendered() -> String {
    let metrics = Metrics::new();
    for seed in 0..10 {
        tell(&metrics, seed, (seed == 0).then_some(ProviderErrorKind::RateLimited));
    }
    let [fast, capable] = ["fast", "capable \"quoted\""].map(|name| Alias::try_from(name).unwrap());
    let kind = router_core::FallbackKind::General;
    metrics.observe(&Event::Fallback { seed: 1, from: &fast, to: &capable, kind });
    let deployments = vec![DeploymentConfig::new(fast, "openai", "gpt-4o-mini")];
    let fleet = Fleet::new(Arc::new(Catalog::new(Config { deployments, ..Config::default() }).unwrap()));
    let telemetry = Telemetry::new().sink(TracingSink, Which::All).sink(TracingSink, Which::Failures);
    telemetry.shutdown(Duration::from_secs(5));
    metrics.render(Some((&fleet, Timestamp::from_millis(0))), &telemetry.counts())
}

#[test]
fn what_happened_is_counted_by_pool_and_by_deployment() {
    let text = rendered();
    let deployment = r#"pool="fast",deployment="fast:gpt-4o-mini",provider="openai",model="gpt-4o-mini""#;
    for line in [
        r#"llm_router_requests_total{pool="fast",outcome="answered"} 9"#.to_owned(),
        r#"llm_router_requests_total{pool="fast",outcome="failed"} 1"#.to_owned(),
        format!(r#"llm_router_attempts_total{{{deployment},outcome="rate_limited"}} 1"#),
        format!(r#"llm_router_tokens_total{{{deployment},kind="prompt"}} 100"#),
        format!("llm_router_cost_dollars_total{{{deployment}}} 0.000000000070"),
        r#"llm_router_request_duration_seconds_bucket{pool="fast",le="0.25"} 0"#.to_owned(),
        r#"llm_router_request_duration_seconds_bucket{pool="fast",le="0.5"} 10"#.to_owned(),
        r#"llm_router_request_duration_seconds_sum{pool="fast"} 5.000000"#.to_owned(),
        r#"llm_router_fallbacks_total{from="fast",to="capable \"quoted\"",kind="fallbacks"} 1"#.to_owned(),
        r#"llm_router_deployment_ready{deployment="fast:gpt-4o-mini"} 1"#.to_owned(),
        r#"llm_router_sink_records_total{sink="tracing"} 0"#.to_owned(),
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
}

#[test]
fn promtool_has_no_complaint() {
    // `cargo xtask test` sees to it that promtool is there; elsewhere the test above has to do.
    let spawned = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut tool) = spawned else {
        assert!(std::env::var_os("LLM_ROUTER_NEEDS").is_none(), "promtool is missing");
        return;
    };
    tool.stdin.take().unwrap().write_all(rendered().as_bytes()).unwrap();
    let said = tool.wait_with_output().unwrap();
    let text = [said.stdout, said.stderr].concat();
    assert!(said.status.success() && text.is_empty(), "{}", String::from_utf8_lossy(&text));
}
