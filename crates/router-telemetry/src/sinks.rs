//! Where accounts of requests go to.

#[cfg(feature = "http")]
mod clickhouse;
mod json_lines;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(any(feature = "http", feature = "postgres", feature = "sqlite"))]
mod row;
#[cfg(feature = "sqlite")]
mod sqlite;
mod tracing_sink;
#[cfg(feature = "http")]
mod webhook;

#[cfg(feature = "http")]
pub use self::clickhouse::ClickHouse;
pub use self::json_lines::JsonLines;
#[cfg(feature = "postgres")]
pub use self::postgres::Postgres;
#[cfg(feature = "sqlite")]
pub use self::sqlite::{Sqlite, read_records};
pub use self::tracing_sink::TracingSink;
#[cfg(feature = "http")]
pub use self::webhook::Webhook;
