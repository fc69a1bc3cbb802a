//! Tells what happened on each route.
//!
//! An observer implements [`router_core::Observer`]. [`TracingObserver`] writes events to `tracing`; [`observe_with`] makes an
//! observer of a closure.

mod closure;
mod prices;
mod tracing_observer;

pub use self::closure::{ClosureObserver, observe_with};
pub use self::prices::{Prices, PricesError, RateCard};
pub use self::tracing_observer::TracingObserver;
