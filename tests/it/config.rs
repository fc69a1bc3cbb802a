//! The configuration file: every key there is, read and described alike.

mod dialect;
mod schema;
