//! Two routers' views of the same deployment: what cools in one cools in the other.
//!
//! `cargo run -p router-state --example share`

#![expect(clippy::print_stdout, reason = "an example talks to the terminal")]

use std::sync::Arc;
use std::time::Duration;

use router_core::{
    Alias, Catalog, Config, DeploymentConfig, Fleet, HealthChange, HealthListener, ProviderErrorKind,
    StateStore, Timestamp,
};
use router_state::MemoryStore;

/// What a router does with what it hears.
struct Peer(Fleet);

impl HealthListener for Peer {
    fn hear(&self, change: &HealthChange) {
        self.0.apply(change);
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let deployments = vec![DeploymentConfig::new(Alias::try_from("fast")?, "openai", "gpt-4o-mini")];
    let catalog = Arc::new(Catalog::new(Config { deployments, ..Config::default() })?);
    let peer = Arc::new(Peer(Fleet::new(Arc::clone(&catalog))));
    let listener: Arc<dyn HealthListener> = Arc::clone(&peer) as _;

    let store = MemoryStore::default();
    store.subscribe(Arc::downgrade(&listener));
    let now = Timestamp::from_millis(1_000_000);
    let index = catalog.deployment("fast:gpt-4o-mini").ok_or("no such deployment")?;
    println!("before: {:?}", peer.0.breaker(index, now));
    store.publish(&HealthChange::Cooled {
        deployment: catalog[index].id().clone(),
        until: now + Duration::from_secs(60),
        cause: ProviderErrorKind::RateLimited,
    });
    println!("after:  {:?}", peer.0.breaker(index, now));
    Ok(())
}
