//! Callbacks.

use std::fmt;

use router_core::{Event, Observer};

/// An observer that is a closure; made by [`observe_with`].
pub struct ClosureObserver<F>(F);

/// Makes an observer of a closure: a callback.
///
/// ```
/// use router_core::Event;
/// use router_telemetry::observe_with;
///
/// let observer = observe_with(|event| {
///     if let Event::Fallback { from, to, .. } = event {
///         println!("{from} gave up, {to} takes over");
///     }
/// });
/// ```
pub const fn observe_with<F: Fn(&Event<'_>) + Send + Sync>(callback: F) -> ClosureObserver<F> {
    ClosureObserver(callback)
}

impl<F: Fn(&Event<'_>) + Send + Sync> Observer for ClosureObserver<F> {
    fn observe(&self, event: &Event<'_>) {
        (self.0)(event);
    }
}

impl<F> fmt::Debug for ClosureObserver<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClosureObserver")
    }
}
