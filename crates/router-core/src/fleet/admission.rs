//! Whether a deployment may be called, and what keeps it from it.

use std::fmt;
use std::time::Duration;

use crate::{ProviderErrorKind, Timestamp};

/// Whether a deployment may be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// It may.
    Ready,
    /// It may from this moment on, as far as that is known.
    Later(Timestamp, Obstacle),
}

/// What keeps a deployment from being called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Obstacle {
    /// It is cooling down after such an error.
    Cooling(ProviderErrorKind),
    /// It is half-open and its probe is on its way.
    Probing,
    /// Its requests per minute are used up.
    Rpm,
    /// Its tokens per minute are used up.
    Tpm,
    /// All its places in flight are taken.
    MaxParallelRequests,
    /// The provider's own rate-limit headers say that nothing is left.
    ProviderLimit,
}

impl Obstacle {
    /// Returns whether it is a limit, as opposed to a failure.
    pub const fn is_limit(self) -> bool {
        match self {
            Self::Cooling(ProviderErrorKind::RateLimited)
            | Self::Rpm
            | Self::Tpm
            | Self::MaxParallelRequests
            | Self::ProviderLimit => true,
            Self::Cooling(_) | Self::Probing => false,
        }
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cooling(cause) => write!(f, "cooling down: {cause}"),
            Self::Probing => f.write_str("cooling down: its probe is on its way"),
            Self::Rpm => f.write_str("its requests per minute are used up"),
            Self::Tpm => f.write_str("its tokens per minute are used up"),
            Self::MaxParallelRequests => f.write_str("all its parallel requests are taken"),
            Self::ProviderLimit => f.write_str("the provider says its limit is reached"),
        }
    }
}

/// How soon to look again where nobody knows when it will be over: a probe, a place in flight.
pub(super) const PROBE_RECHECK: Duration = Duration::from_secs(1);
pub(super) const PARALLEL_RECHECK: Duration = Duration::from_millis(50);
