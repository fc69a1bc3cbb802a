//! The port to whoever lets routers share what they learn.

use std::fmt;
use std::sync::Weak;

use crate::HealthChange;

/// Carries what one router finds out to its peers: in this process, or through a server.
///
/// A router reads only its own [`Fleet`](crate::Fleet), which is local memory; what peers found out is written into it as it
/// arrives. So no request ever waits for a store.
pub trait StateStore: fmt::Debug + Send + Sync {
    /// Takes note of a change and returns at once; a store with I/O carries it to the peers in the background.
    fn publish(&self, change: &HealthChange);

    /// Tells this listener of every change a peer publishes from now on, until it is dropped. A listener that hears its own
    /// changes back takes no harm: they change nothing twice.
    fn subscribe(&self, listener: Weak<dyn HealthListener>);
}

/// Hears of changes that peers found out.
pub trait HealthListener: Send + Sync {
    /// Takes note of a change. Must not block.
    fn hear(&self, change: &HealthChange);
}
