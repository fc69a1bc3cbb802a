//! Routing decisions for LLM traffic.

mod dice;
mod error;
mod names;
mod provider;
mod reply;
mod request;
mod time;
mod usage;

pub use self::dice::Dice;
pub use self::error::{Fault, ProviderError, ProviderErrorKind, Remedy};
pub use self::names::{Alias, BlankName, DeploymentId};
pub use self::provider::Provider;
pub use self::reply::{Chunk, ChunkKind, ChunkStream, Reply};
pub use self::request::{ChatRequest, ChatRequestBuilder, Edit, RequestError};
pub use self::time::{Clock, Timestamp};
pub use self::usage::Usage;
