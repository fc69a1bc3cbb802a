//! A callback that hears of a deployment's health.
//!
//! `cargo run -p router-telemetry --example callback`

#![expect(clippy::print_stdout, reason = "an example talks to the terminal")]

use router_core::{DeploymentId, Event, HealthChange, Observer};
use router_telemetry::observe_with;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // A router takes it with `Router::builder().observer(Arc::new(observer))`.
    let observer = observe_with(|event| {
        if let Event::Health(HealthChange::Recovered { deployment }) = event {
            println!("{deployment} is back");
        }
    });
    let change = HealthChange::Recovered { deployment: DeploymentId::try_from("fast:gpt-4o-mini")? };
    observer.observe(&Event::Health(&change));
    Ok(())
}
