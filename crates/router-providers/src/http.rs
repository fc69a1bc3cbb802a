//! The one HTTP client, and the driver that lends it to each wire format.

mod body;
mod client;
mod credential;
mod driver;
mod fitting;
mod redact;
mod stream;
mod transport;
mod whole_as_stream;

use std::sync::Arc;

use router_core::Provider;

use self::client::Client;
pub use self::client::ClientError;
use self::driver::HttpProvider;
use crate::endpoint::{Endpoint, EndpointError};
use crate::registry::{self, ModelRef};

/// All the providers there are, behind one pool of connections. Cheap to clone; clones share the pool.
///
/// Requests are not timed here: whoever routes drops the future when its time is over. Only connecting has a limit of its
/// own, ten seconds. Redirects are not followed, since a credential must not travel to wherever they lead.
#[derive(Debug, Clone)]
pub struct Providers {
    client: Client,
}

impl Providers {
    /// Makes the HTTP client. It takes proxies from the environment variables `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`,
    /// and certificates from the system; where there are none, only calls over https will fail.
    ///
    /// # Errors
    /// When the HTTP client cannot be set up at all.
    pub fn new() -> Result<Self, ClientError> {
        Client::new().map(|client| Self { client })
    }

    /// Tells which provider and model is meant by a model string; `custom` is LiteLLM's `custom_llm_provider`.
    ///
    /// # Errors
    /// When the provider is unknown or no model is named.
    pub fn identify<'a>(model: &'a str, custom: Option<&str>) -> Result<ModelRef<'a>, EndpointError> {
        registry::identify(model, custom)
    }

    /// Prepares calls to an endpoint: its address and headers are made here, once. No connection is opened yet.
    ///
    /// # Errors
    /// [`EndpointError`] names the setting that is wrong. A missing key is none: a server may do without.
    pub fn connect(&self, endpoint: &Endpoint) -> Result<Arc<dyn Provider>, EndpointError> {
        Ok(Arc::new(HttpProvider::new(self.client.clone(), endpoint)?))
    }
}
