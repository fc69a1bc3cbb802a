//! What a broken connection means.

use std::error::Error;

use router_core::{ProviderError, ProviderErrorKind};

/// Where in a call the transport failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Before the head of the response.
    Head,
    /// In the body of a plain reply.
    Body,
    /// In the body of a stream.
    Stream,
}

/// Names the failure by the host and the innermost cause. The rest of the URL is taken out.
pub(super) fn failed(error: reqwest::Error, phase: Phase, has_certificates: bool) -> ProviderError {
    let host = error.url().and_then(|url| {
        let host = url.host_str()?;
        Some(url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")))
    });
    let host = host.as_deref().unwrap_or("the provider");
    let error = error.without_url();
    let kind = match phase {
        Phase::Stream => ProviderErrorKind::StreamInterrupted,
        Phase::Head if error.is_timeout() => ProviderErrorKind::Timeout,
        Phase::Head | Phase::Body => ProviderErrorKind::Connection,
    };
    let doing = match phase {
        Phase::Head if error.is_timeout() => format!("connecting to {host} took too long"),
        Phase::Head if error.is_connect() => format!("could not connect to {host}"),
        Phase::Head => format!("no response came from {host}"),
        Phase::Body => "the reply broke off".to_owned(),
        Phase::Stream => "the stream broke off".to_owned(),
    };
    let hint = if error.is_connect() && !has_certificates {
        " (this system has no CA certificates to check https servers by; install `ca-certificates`)"
    } else {
        ""
    };
    let message = format!("{doing}: {}{hint}", innermost(&error));
    ProviderError::new(kind, message).with_source(error)
}

fn innermost(error: &dyn Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
