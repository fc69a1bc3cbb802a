//! The port to whoever lets routers share what they learn.

use std::fmt;
use std::sync::Weak;
use std::time::Duration;

use async_trait::async_trait;

use crate::account::{AccountId, Claim, Hold, Reserved, Settlement};
use crate::demand::RequestKind;
use crate::latency::LatencySketch;
use crate::{DeploymentId, HealthChange, Timestamp};

/// Carries what one router finds out to its peers: in this process, or through a server.
///
/// A router reads only its own [`Fleet`](crate::Fleet), which is local memory; what peers found out is written into it as it
/// arrives. So no request waits for a store, but those under limits that must hold exactly: see [`reserve`](Self::reserve).
#[async_trait]
pub trait StateStore: fmt::Debug + Send + Sync {
    /// Takes note of a change, which happened `now` by the clock of the router that tells, and returns at once; a store with I/O
    /// carries it to the peers in the background.
    fn publish(&self, change: &HealthChange, now: Timestamp);

    /// Lets a router hear what its peers find out and asks it, now and then, what it used of shared limits, until it is dropped. A
    /// router that hears its own changes back takes no harm: they change nothing twice.
    fn join(&self, peer: Weak<dyn Peer>);

    /// Asks for a place under limits that all who share the store keep together, exactly. It may wait for a round trip, and never
    /// longer than a short time of the store's choice: then it is [`Reserved::Away`].
    ///
    /// A hold that is granted is [settled](Self::settle) once, whatever becomes of the call.
    ///
    /// # Cancel safety
    /// Dropping the future gives back what it might have been granted.
    async fn reserve(&self, _claim: &Claim, _now: Timestamp) -> Reserved {
        Reserved::Away { spent: None }
    }

    /// Puts what was really used in the place of a hold. Returns at once; a store with I/O carries it on in the background.
    fn settle(&self, _hold: Hold, _settlement: Settlement, _now: Timestamp) {}
}

/// A router among others that share a store.
pub trait Peer: Send + Sync {
    /// Returns the present moment by its clock: clocks of peers differ, so stores carry spans and not moments.
    fn now(&self) -> Timestamp;

    /// Takes note of a change that a peer found out. Must not block.
    fn hear(&self, change: &HealthChange);

    /// Takes note of what peers consumed of an account's limits, so long ago. Accounts that it does not have do not concern it. Must
    /// not block.
    fn hear_consumed(&self, account: &AccountId, consumed: Consumed, ago: Duration);

    /// Tells what was consumed here of accounts with limits since this was last asked.
    fn tell_consumed(&self, tell: &mut dyn FnMut(&AccountId, Consumed));

    /// Tells which deployments cool here, for a store that lost its memory.
    fn tell_cooling(&self, tell: &mut dyn FnMut(HealthChange));

    /// Tells how fast deployments have been here. By default it has nothing to tell.
    fn tell_latencies(&self, _tell: &mut dyn FnMut(&DeploymentId, RequestKind, LatencySketch)) {}

    /// Takes note of how fast a deployment has been for its peers, all of them together, when it joins. Must not block. By default it
    /// does not concern it.
    fn hear_latency(&self, _deployment: &DeploymentId, _kind: RequestKind, _others: &LatencySketch) {}
}

/// Requests and tokens of an account's limits. Less than nothing where an estimate was too high.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Consumed {
    /// Requests.
    pub requests: i64,
    /// Tokens.
    pub tokens: i64,
}

impl Consumed {
    /// Returns whether it is nothing.
    pub const fn is_zero(self) -> bool {
        self.requests == 0 && self.tokens == 0
    }

    /// Returns this and that together.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            requests: self.requests.saturating_add(other.requests),
            tokens: self.tokens.saturating_add(other.tokens),
        }
    }

    /// Returns this without that.
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        Self {
            requests: self.requests.saturating_sub(other.requests),
            tokens: self.tokens.saturating_sub(other.tokens),
        }
    }
}
