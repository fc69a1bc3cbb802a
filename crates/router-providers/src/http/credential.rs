//! Credentials that are more than a header: tokens that expire, and signatures over each request.

#[cfg(feature = "bedrock")]
mod aws;
mod google;

use bytes::Bytes;
use reqwest::Request;
use router_core::ProviderError;
use secrecy::SecretString;

use super::client::Client;
use crate::endpoint::{Endpoint, EndpointError};
use crate::registry::{Auth, Row};

/// How each request proves who is asking.
pub(super) enum Credential {
    /// By a header that is always the same, or not at all.
    Constant,
    /// By an access token, fetched and kept fresh.
    Google(google::TokenSource),
    /// By a signature over the request.
    #[cfg(feature = "bedrock")]
    Aws(aws::Signer),
}

impl Credential {
    /// Prepares the credential of an endpoint; a plain key lies among the headers already.
    pub(super) fn new(row: &Row, endpoint: &Endpoint, client: &Client) -> Result<Self, EndpointError> {
        match row.auth {
            _ if endpoint.api_key.is_some() => Ok(Self::Constant),
            Auth::Google => google::TokenSource::new(endpoint, client).map(Self::Google),
            #[cfg(feature = "bedrock")]
            Auth::Aws => aws::Signer::new(endpoint).map(Self::Aws),
            Auth::Bearer | Auth::Header(_) => Ok(Self::Constant),
        }
    }

    /// Adds to a request what it needs.
    ///
    /// # Cancel safety
    /// A token that is being fetched when the future is dropped goes on being fetched by whoever asks next.
    #[cfg_attr(
        not(feature = "bedrock"),
        expect(unused_variables, reason = "only signatures look at the body")
    )]
    pub(super) async fn apply(&self, request: &mut Request, body: &Bytes) -> Result<(), ProviderError> {
        match self {
            Self::Constant => Ok(()),
            Self::Google(tokens) => {
                let token = tokens.token().await?;
                request.headers_mut().insert(http::header::AUTHORIZATION, token.header);
                Ok(())
            }
            #[cfg(feature = "bedrock")]
            Self::Aws(signer) => signer.sign(request, body, std::time::SystemTime::now()),
        }
    }

    /// Is told that the provider refused what was sent last.
    pub(super) fn refused(&self) {
        if let Self::Google(tokens) = self {
            tokens.forget();
        }
    }

    /// Returns what must not get into errors now, besides the endpoint's own secrets.
    pub(super) fn secret(&self) -> Option<SecretString> {
        match self {
            Self::Google(tokens) => tokens.current(),
            Self::Constant => None,
            #[cfg(feature = "bedrock")]
            Self::Aws(_) => None,
        }
    }
}
