//! Two routers' views of the same deployment: what cools in one cools in the other.
//!
//! `cargo run -p router-state --example share`

#![expect(clippy::print_stdout, reason = "an example talks to the terminal")]

use std::sync::Arc;
use std::time::Duration;

use router_core::{
    AccountId, Alias, Catalog, Config, Consumed, DeploymentConfig, Fleet, HealthChange, Peer,
    ProviderErrorKind, StateStore, Timestamp,
};
use router_state::MemoryStore;

/// A router, as far as its peers are concerned: it passes on what it hears to its fleet, and tells what its fleet has to tell.
struct Router {
    fleet: Fleet,
    now: Timestamp,
}

impl Peer for Router {
    fn now(&self) -> Timestamp {
        self.now
    }

    fn hear(&self, change: &HealthChange) {
        self.fleet.apply(change);
    }

    fn hear_consumed(&self, account: &AccountId, consumed: Consumed, ago: Duration) {
        self.fleet.apply_consumed(account, consumed, self.now - ago);
    }

    fn tell_consumed(&self, tell: &mut dyn FnMut(&AccountId, Consumed)) {
        self.fleet.tell_consumed(tell);
    }

    fn tell_cooling(&self, tell: &mut dyn FnMut(HealthChange)) {
        self.fleet.tell_cooling(self.now, tell);
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let deployments = vec![DeploymentConfig::new(Alias::try_from("fast")?, "openai", "gpt-4o-mini")];
    let catalog = Arc::new(Catalog::new(Config { deployments, ..Config::default() })?);
    let now = Timestamp::from_millis(1_000_000);
    let router = Arc::new(Router { fleet: Fleet::new(Arc::clone(&catalog)), now });
    let peer: Arc<dyn Peer> = Arc::clone(&router) as _;

    let store = MemoryStore::default();
    store.join(Arc::downgrade(&peer));
    let index = catalog.deployment("fast:gpt-4o-mini").ok_or("no such deployment")?;
    println!("before: {:?}", router.fleet.breaker(index, now));
    let cooled = HealthChange::Cooled {
        deployment: catalog[index].id().clone(),
        until: now + Duration::from_secs(60),
        cause: ProviderErrorKind::RateLimited,
    };
    store.publish(&cooled, now);
    println!("after:  {:?}", router.fleet.breaker(index, now));
    Ok(())
}
