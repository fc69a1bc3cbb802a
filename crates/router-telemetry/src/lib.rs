//! Tells what happened on each route, and what it cost.
//!
//! # A tour
//! - [`CallRecord`] is the account of one request: what was asked, what each attempt used and cost, how it ended.
//! - [`Telemetry`] makes one of each request and hands it to [`Sink`]s: files, databases, services. Each has a bounded queue and a thread
//!   of its own, so that no request ever waits for one.
//! - [`Prices`] knows what models charge, exactly; a [`RateCard`] is what one of them does.
//! - [`Metrics`] counts for Prometheus. [`Tally`] adds records up to a [`Report`]: the numbers that say whether routing works.
//! - [`TracingObserver`] writes events to `tracing`; [`observe_with`] makes an observer of a closure.

mod closure;
mod metrics;
mod prices;
mod record;
mod report;
mod sinks;
mod telemetry;
mod tracing_observer;

pub use self::closure::{ClosureObserver, observe_with};
pub use self::metrics::{Metrics, PoolCounts};
pub use self::prices::{Prices, PricesError, RateCard};
pub use self::record::{AttemptRecord, CallRecord, Classified, CostParts, Outcome, RecordedContent, Tokens};
pub use self::report::{
    Label, Labels, PoolReport, RecordSource, Report, ReportSettings, SourceError, Tally, Verdict,
};
#[cfg(feature = "postgres")]
pub use self::sinks::Postgres;
#[cfg(feature = "http")]
pub use self::sinks::{ClickHouse, Webhook};
pub use self::sinks::{JsonLines, TracingSink};
#[cfg(feature = "sqlite")]
pub use self::sinks::{Sqlite, read_records};
pub use self::telemetry::{QueueSettings, Redaction, Sink, SinkCounts, SinkError, Telemetry, Which};
pub use self::tracing_observer::TracingObserver;
