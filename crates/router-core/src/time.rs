//! Time as the core sees it: a number somebody else read off a clock.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

/// A moment, in whole milliseconds since the Unix epoch.
///
/// The core never reads a clock; every function that needs the time takes one of these.
///
/// ```
/// use router_core::Timestamp;
/// use std::time::Duration;
///
/// let then = Timestamp::from_millis(1_000);
/// let now = then + Duration::from_secs(2);
/// assert_eq!(now.since(then), Duration::from_secs(2));
/// assert_eq!(then.since(now), Duration::ZERO);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(u64);

impl Timestamp {
    /// Makes a moment from milliseconds since the Unix epoch.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Returns the milliseconds since the Unix epoch.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// Returns the time from `earlier` to this moment, or zero when `earlier` lies in the future.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    /// Moves forward, rounding a part of a millisecond up: a wait never ends early.
    fn add(self, span: Duration) -> Self {
        let millis = span.as_nanos().div_ceil(1_000_000);
        Self(self.0.saturating_add(u64::try_from(millis).unwrap_or(u64::MAX)))
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;

    /// Moves back, leaving out a part of a millisecond; never before the epoch.
    fn sub(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)))
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}ms", self.0)
    }
}

/// Tells the time to the shell that drives a route.
///
/// It must never step back: a cooldown that has ended stays ended.
pub trait Clock: fmt::Debug + Send + Sync {
    /// Returns the present moment.
    fn now(&self) -> Timestamp;
}
