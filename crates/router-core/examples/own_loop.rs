//! Drives a route by hand, without a runtime: what the `llm-router` facade does with tokio, in thirty lines.
//!
//! `cargo run -p router-core --example own_loop`

#![expect(clippy::print_stdout, reason = "an example talks to the terminal")]

use std::sync::Arc;
use std::time::Duration;

use router_core::{
    Alias, Catalog, Config, Demand, DeploymentConfig, Dice, FallbackConfig, FallbackKind, Fleet, Lesson,
    ProviderError, ProviderErrorKind, Route, Step, Timestamp,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (fast, capable) = (Alias::try_from("fast")?, Alias::try_from("capable")?);
    let catalog = Catalog::new(Config {
        deployments: vec![
            DeploymentConfig::new(fast.clone(), "openai", "gpt-4o-mini"),
            DeploymentConfig::new(fast.clone(), "anthropic", "claude-haiku-4-5"),
            DeploymentConfig::new(capable.clone(), "openai", "gpt-4o"),
        ],
        fallbacks: vec![FallbackConfig { kind: FallbackKind::General, from: Some(fast), to: vec![capable] }],
        ..Config::default()
    })?;
    let pool = catalog.pool("fast").ok_or("no such alias")?;
    let fleet = Arc::new(Fleet::new(Arc::new(catalog)));

    let mut now = Timestamp::from_millis(0);
    let mut dice = Dice::from_seed(7);
    let mut route = Route::new(Arc::clone(&fleet), pool, Demand::whole(), now);
    loop {
        match route.next(now, &mut dice) {
            Step::Attempt(attempt) => {
                let deployment = &fleet.catalog()[attempt.deployment()];
                // The whole `fast` pool is down today; a call takes a tenth of a second.
                now = now + Duration::from_millis(100);
                let up = deployment.model() == "gpt-4o";
                println!("{now:?}: {} {}", deployment.id(), if up { "answers" } else { "fails" });
                let down = || ProviderError::new(ProviderErrorKind::Server, "down today");
                route.record(attempt, if up { Ok(Lesson::default()) } else { Err(down()) }, now);
            }
            Step::Wait(span) => now = now + span,
            Step::Done(outcome) => {
                println!("{now:?}: {outcome:?} after {} attempts", route.trail().len());
                return Ok(());
            }
        }
    }
}
