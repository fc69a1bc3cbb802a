//! The wire formats of LLM providers, and the one HTTP client that speaks them all.
//!
//! # A tour
//! - [`Endpoint`] says what to call: a model string as in LiteLLM (`openai/gpt-4o`, `anthropic/claude-…`, a bare name is
//!   OpenAI's, or Anthropic's when it begins with `claude-`), a key, perhaps another base URL.
//! - [`Providers`] turns it into a [`Provider`](router_core::Provider), with everything prepared that does not change from
//!   call to call. All of them share one pool of connections.
//! - [`Providers::identify`] tells who is meant by a model string, without any client: for checking a configuration.
//!
//! # Inside
//! A provider is two things kept apart. A `Protocol` is a wire format: bytes in, bytes out, no I/O, tested on recorded
//! traffic. The driver in `http` does the I/O, the same for each. Vendors that speak the same format share its protocol and
//! differ in one row of the table in `registry`. A new format is a new module and one row.
//!
//! Nothing outside this crate reads a provider's prose. Inside, the status and the machine-readable code come first, and the
//! text last.
//!
//! # Examples
//! ```
//! use router_providers::{Endpoint, Providers};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let providers = Providers::new()?;
//! let claude = providers.connect(&Endpoint::new("anthropic/claude-sonnet-4-5").with_api_key("sk-ant-…"))?;
//! let local = providers.connect(&Endpoint::new("openai/qwen3").with_api_base("http://localhost:8000/v1"))?;
//! # let _ = (claude, local);
//!
//! let found = Providers::identify("groq/openai/gpt-oss-120b", None)?;
//! assert_eq!((found.provider, found.model), ("groq", "openai/gpt-oss-120b"));
//! assert_eq!(found.key_env, Some("GROQ_API_KEY"));
//! # Ok(())
//! # }
//! ```

#[cfg(feature = "bedrock")]
mod aws;
mod endpoint;
mod google;
mod registry;

mod headroom;
mod http;

mod protocol;

mod anthropic;
mod azure;
#[cfg(feature = "bedrock")]
mod bedrock;
mod cohere;
mod gemini;
mod mistral;
mod openai;

mod base_url;
mod call_id;
mod canonical;
mod canonical_request;
mod embedding_body;
mod error_body;
mod json_tree;
mod media;
mod raw_json;
mod retry_after;
mod sse;
mod unsupported;
mod url_path;

#[cfg(feature = "wire-format")]
mod wire_format;

#[cfg(test)]
mod conformance;

pub use self::endpoint::{AwsSettings, Endpoint, EndpointError, GoogleSettings};
pub use self::http::{ClientError, Providers};
pub use self::registry::ModelRef;
#[cfg(feature = "wire-format")]
pub use self::wire_format::WireFormat;
