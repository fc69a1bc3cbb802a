//! The shared client.

use std::error::Error;
use std::time::Duration;

use reqwest::redirect;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Idle connections are kept this long; most load balancers close them after 60 s or more.
const IDLE_TIMEOUT: Duration = Duration::from_secs(55);
/// How often a silent connection is asked whether it is still there: model calls are long and quiet, and a path that has
/// silently died should be noticed.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// The HTTP client could not be set up.
#[derive(Debug, thiserror::Error)]
#[error("the HTTP client could not be set up")]
pub struct ClientError(#[source] Box<dyn Error + Send + Sync>);

/// A pool of connections, and whether the system had certificates to check servers by.
#[derive(Debug, Clone)]
pub(super) struct Client {
    pub(super) inner: reqwest::Client,
    pub(super) has_certificates: bool,
}

impl Client {
    pub(super) fn new() -> Result<Self, ClientError> {
        if let Ok(inner) = builder().build() {
            return Ok(Self { inner, has_certificates: true });
        }
        // The usual reason is a machine without any certificates, such as a bare container. Plain http to a neighbour needs
        // none; without roots to trust, https fails when it is called, and the error says why.
        let inner = builder().tls_certs_only([]).build().map_err(|error| ClientError(error.into()))?;
        Ok(Self { inner, has_certificates: false })
    }
}

fn builder() -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .user_agent(concat!("llm-router/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        .referer(false)
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(IDLE_TIMEOUT)
        .tcp_nodelay(true)
        .tcp_keepalive(KEEP_ALIVE)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .http2_keep_alive_timeout(CONNECT_TIMEOUT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_can_be_had_without_any_certificates() {
        assert!(builder().tls_certs_only([]).build().is_ok());
    }

    /// The client tells of its settings only so. With Nagle's algorithm the last piece of a large request would wait for an
    /// acknowledgement that may be delayed by 40 ms.
    #[test]
    fn small_packets_are_sent_at_once_and_redirects_are_left_alone() {
        let settings = format!("{:?}", builder());
        assert!(settings.contains("tcp_nodelay: true"), "{settings}");
        assert!(settings.contains("redirect_policy: Policy(None)"), "{settings}");
    }
}
