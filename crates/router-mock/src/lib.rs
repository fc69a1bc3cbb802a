//! A simulated LLM provider: an HTTP/1.1 server on loopback that speaks the wire formats of OpenAI chat completions and
//! Anthropic messages, plain and streaming, with settable latency and faults. It needs no key and reaches no network.
//!
//! - [`MockServer`] binds a port and serves until it is dropped.
//! - [`Upstream`] is one of the many named upstreams behind that port. The path `/{name}/v1/chat/completions` or
//!   `/{name}/v1/messages` chooses it, `/{name}/v1/embeddings` too; a path without a name means the upstream `default`. It counts and records what it
//!   received, and notices clients that leave early.
//! - [`Behaviour`] says how an upstream answers: how fast, with which text, usage and headers. It is standing
//!   ([`Upstream::set`]) or used once, in order ([`Upstream::enqueue`]).
//! - [`Fault`] is what goes wrong: an error status, a hang, a reset, a cut stream, a stall, a missing end marker.
//!
//! The same is open to users without Rust: `GET /mock/upstreams` lists upstreams with their counters,
//! `PUT /mock/upstreams/{name}` takes a [`Behaviour`] as JSON, and `POST /mock/upstreams/{name}/enqueue` takes one or a list.
//!
//! # Examples
//!
//! ```
//! use router_mock::{Behaviour, Fault, MockServer};
//!
//! # #[tokio::main]
//! # async fn main() -> std::io::Result<()> {
//! let server = MockServer::start("127.0.0.1:0").await?;
//! let primary = server.upstream("primary");
//! primary.set(Behaviour::answering("Four.").with_latency_ms(20));
//! primary.enqueue(Fault::rate_limited("3")); // the first request is refused, later ones are answered
//!
//! // Point an OpenAI client at `openai_base`, an Anthropic client at `anthropic_base`.
//! assert_eq!(primary.openai_base(), format!("{}/primary/v1", server.base_url()));
//! assert_eq!(primary.anthropic_base(), format!("{}/primary", server.base_url()));
//! assert_eq!(primary.calls(), 0);
//! # Ok(())
//! # }
//! ```

mod behaviour;
mod fault;
mod server;
mod upstream;

mod answer;
mod ask;
mod body;
mod control;
mod dice;
mod embedding;
mod exchange;
mod wire;

pub use behaviour::{Behaviour, Key, Usage};
pub use fault::Fault;
pub use server::MockServer;
pub use upstream::{RecordedRequest, Upstream};
