//! The port to whoever wants to know what happens.

use std::fmt;
use std::time::Duration;

use crate::config::FallbackKind;
use crate::{Alias, Deployment, HealthChange, ProviderError};

/// Is told what happened, and returns at once: a sink with I/O queues the event, bounded, and counts what it drops.
///
/// Events never carry prompts, answers or credentials.
pub trait Observer: fmt::Debug + Send + Sync {
    /// Takes note of an event.
    fn observe(&self, event: &Event<'_>);
}

/// Something that happened on a route. Every route ends with exactly one of [`Answered`](Self::Answered),
/// [`Failed`](Self::Failed) and [`Abandoned`](Self::Abandoned). `seed` is that of the route's dice and names the route: its decisions can be made
/// again from it.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A deployment is called.
    AttemptStarted {
        /// The route.
        seed: u64,
        /// The pool it is called for.
        pool: &'a Alias,
        /// The deployment.
        deployment: &'a Deployment,
        /// Counts the attempts of a route from 1.
        attempt: usize,
        /// Whether an attempt before it failed in the same pool.
        retry: bool,
        /// Whether it is the single probe after a cooldown.
        probe: bool,
    },
    /// The call failed.
    AttemptFailed {
        /// The route.
        seed: u64,
        /// The pool it was called for.
        pool: &'a Alias,
        /// The deployment.
        deployment: &'a Deployment,
        /// How long it took.
        latency: Duration,
        /// Why.
        error: &'a ProviderError,
    },
    /// Nobody else is ready: the route waits before it asks the same pool again.
    Waiting {
        /// The route.
        seed: u64,
        /// The pool.
        pool: &'a Alias,
        /// How long.
        span: Duration,
    },
    /// The request goes on to another pool.
    Fallback {
        /// The route.
        seed: u64,
        /// The pool that gave up.
        from: &'a Alias,
        /// The pool that is asked next.
        to: &'a Alias,
        /// Which edges led there.
        kind: FallbackKind,
    },
    /// A deployment started or ended to cool.
    Health(&'a HealthChange),
    /// The request was answered: the whole reply, or a stream to its end.
    Answered {
        /// The route.
        seed: u64,
        /// The alias that was asked for.
        requested: &'a Alias,
        /// The pool that answered.
        pool: &'a Alias,
        /// The deployment that answered.
        deployment: &'a Deployment,
        /// How many deployments were called.
        attempts: usize,
        /// From the request to the end of the answer.
        latency: Duration,
    },
    /// The request was not answered, or not to the end.
    Failed {
        /// The route.
        seed: u64,
        /// The alias that was asked for.
        requested: &'a Alias,
        /// How many deployments were called.
        attempts: usize,
        /// From the request to the failure.
        latency: Duration,
        /// The last real error; `None` when nobody was called.
        error: Option<&'a ProviderError>,
    },
    /// The caller left before the answer was whole.
    Abandoned {
        /// The route.
        seed: u64,
        /// The alias that was asked for.
        requested: &'a Alias,
        /// How many deployments were called to an end; a call under way is not counted.
        attempts: usize,
        /// From the request to the moment the caller left.
        latency: Duration,
    },
}
