//! What can go wrong at a provider, and the two questions everything else asks about it.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use http::StatusCode;

use crate::Usage;

/// A failed call to a provider.
///
/// It is one pointer wide, so that results stay small. Adapters build it from the status and the machine-readable code;
/// whoever routes asks [`remedy`](Self::remedy) and [`fault`](Self::fault) and never reads the text.
///
/// ```
/// use router_core::{ProviderError, ProviderErrorKind, Remedy};
/// use std::time::Duration;
///
/// let error = ProviderError::new(ProviderErrorKind::RateLimited, "slow down")
///     .with_retry_after(Duration::from_secs(3));
/// assert_eq!(error.remedy(), Remedy::RetryLater);
/// ```
pub struct ProviderError(Box<Inner>);

struct Inner {
    kind: ProviderErrorKind,
    status: Option<StatusCode>,
    code: Option<Box<str>>,
    message: Box<str>,
    retry_after: Option<Duration>,
    usage: Option<Box<Usage>>,
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// What kind of failure it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ProviderErrorKind {
    /// The credential was refused (401).
    Authentication,
    /// The credential may not do this (403).
    Permission,
    /// The account has no money or quota left; waiting does not help.
    QuotaExhausted,
    /// The model or endpoint does not exist for this account (404).
    NotFound,
    /// This deployment cannot express what the request asks for; it was not called. Another may.
    Unsupported,
    /// The request is wrong, whoever is asked.
    InvalidRequest,
    /// The prompt is longer than the model's context window.
    ContextWindow,
    /// The provider's content policy refused the request.
    ContentPolicy,
    /// Too many requests or tokens for this account and model (429).
    RateLimited,
    /// The provider has no capacity right now (503, 529).
    Overloaded,
    /// No answer in time.
    Timeout,
    /// The provider could not be reached, or the connection broke before an answer began.
    Connection,
    /// The provider failed by itself (5xx).
    Server,
    /// The provider answered something that is not a reply.
    MalformedReply,
    /// A stream ended before its own end marker.
    StreamInterrupted,
    /// The caller went away.
    Cancelled,
}

/// What can help after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Remedy {
    /// Another deployment may answer; this one will not, however long one waits.
    RetryElsewhere,
    /// Another deployment may answer at once, and this one after a pause.
    RetryLater,
    /// A model with a larger context window.
    ContextFallback,
    /// A model with another content policy.
    ContentFallback,
    /// Nothing: the caller has to change the request.
    GiveUp,
}

/// What a failure blames: the failure domain. Several deployments may share one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The request itself; no deployment is to blame.
    Request,
    /// The credential, hence every deployment that uses it.
    Credential,
    /// The account's right to, or allowance for, this model.
    AccountModel,
    /// The provider's service in this region.
    Region,
    /// The way there: names, sockets, proxies.
    Path,
}

impl ProviderErrorKind {
    /// Returns what can help after such a failure.
    pub const fn remedy(self) -> Remedy {
        match self {
            Self::Authentication
            | Self::Permission
            | Self::QuotaExhausted
            | Self::NotFound
            | Self::Unsupported => Remedy::RetryElsewhere,
            Self::RateLimited
            | Self::Overloaded
            | Self::Timeout
            | Self::Connection
            | Self::Server
            | Self::MalformedReply
            | Self::StreamInterrupted => Remedy::RetryLater,
            Self::ContextWindow => Remedy::ContextFallback,
            Self::ContentPolicy => Remedy::ContentFallback,
            Self::InvalidRequest | Self::Cancelled => Remedy::GiveUp,
        }
    }

    /// Returns what such a failure blames.
    pub const fn fault(self) -> Fault {
        match self {
            Self::Unsupported
            | Self::InvalidRequest
            | Self::ContextWindow
            | Self::ContentPolicy
            | Self::Cancelled => Fault::Request,
            Self::Authentication | Self::Permission | Self::QuotaExhausted => Fault::Credential,
            Self::NotFound | Self::RateLimited => Fault::AccountModel,
            Self::Overloaded | Self::Server | Self::MalformedReply => Fault::Region,
            Self::Timeout | Self::Connection | Self::StreamInterrupted => Fault::Path,
        }
    }

    /// Returns the kind as the words used in logs and messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Authentication => "authentication failed",
            Self::Permission => "permission denied",
            Self::QuotaExhausted => "quota exhausted",
            Self::NotFound => "not found",
            Self::Unsupported => "not supported by this deployment",
            Self::InvalidRequest => "invalid request",
            Self::ContextWindow => "context window exceeded",
            Self::ContentPolicy => "refused by content policy",
            Self::RateLimited => "rate limited",
            Self::Overloaded => "overloaded",
            Self::Timeout => "timed out",
            Self::Connection => "connection failed",
            Self::Server => "server error",
            Self::MalformedReply => "malformed reply",
            Self::StreamInterrupted => "stream interrupted",
            Self::Cancelled => "cancelled",
        }
    }

    /// Returns the kind that [`as_str`](Self::as_str) calls by these words, as a peer wrote them.
    pub fn called(words: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == words)
    }

    const ALL: [Self; 16] = [
        Self::Authentication,
        Self::Permission,
        Self::QuotaExhausted,
        Self::NotFound,
        Self::Unsupported,
        Self::InvalidRequest,
        Self::ContextWindow,
        Self::ContentPolicy,
        Self::RateLimited,
        Self::Overloaded,
        Self::Timeout,
        Self::Connection,
        Self::Server,
        Self::MalformedReply,
        Self::StreamInterrupted,
        Self::Cancelled,
    ];
}

impl fmt::Display for ProviderErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl ProviderError {
    /// Makes an error of this kind; `message` is the provider's own words, or ours when it had none.
    #[must_use]
    pub fn new(kind: ProviderErrorKind, message: impl Into<Box<str>>) -> Self {
        Self(Box::new(Inner {
            kind,
            status: None,
            code: None,
            message: message.into(),
            retry_after: None,
            usage: None,
            source: None,
        }))
    }

    /// Adds the HTTP status the provider answered with.
    #[must_use]
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.0.status = Some(status);
        self
    }

    /// Adds the provider's machine-readable code, such as `context_length_exceeded`.
    #[must_use]
    pub fn with_code(mut self, code: impl Into<Box<str>>) -> Self {
        self.0.code = Some(code.into());
        self
    }

    /// Adds how long the provider asked to be left alone.
    #[must_use]
    pub fn with_retry_after(mut self, span: Duration) -> Self {
        self.0.retry_after = Some(span);
        self
    }

    /// Adds the tokens that the provider counted, and bills, all the same.
    #[must_use]
    pub fn with_usage(mut self, usage: Usage) -> Self {
        self.0.usage = Some(Box::new(usage));
        self
    }

    /// Adds the error underneath, such as the one of the HTTP client.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Returns what kind of failure it was.
    pub const fn kind(&self) -> ProviderErrorKind {
        self.0.kind
    }

    /// Returns what can help now.
    pub const fn remedy(&self) -> Remedy {
        self.0.kind.remedy()
    }

    /// Returns what is to blame.
    pub const fn fault(&self) -> Fault {
        self.0.kind.fault()
    }

    /// Returns the HTTP status, when the failure came as one.
    pub const fn status(&self) -> Option<StatusCode> {
        self.0.status
    }

    /// Returns the provider's machine-readable code.
    pub fn code(&self) -> Option<&str> {
        self.0.code.as_deref()
    }

    /// Returns the provider's own words.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Returns how long the provider asked to be left alone.
    pub const fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// Returns the tokens that the provider counted before it failed.
    pub fn usage(&self) -> Option<Usage> {
        self.0.usage.as_deref().copied()
    }
}

impl fmt::Display for ProviderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.kind.as_str())?;
        if let Some(status) = self.0.status {
            write!(f, " ({}", status.as_u16())?;
            if let Some(code) = &self.0.code {
                write!(f, " {code}")?;
            }
            f.write_str(")")?;
        }
        write!(f, ": {}", self.0.message)
    }
}

impl fmt::Debug for ProviderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { kind, status, code, message, retry_after, usage, source } = &*self.0;
        f.debug_struct("ProviderError")
            .field("kind", kind)
            .field("status", status)
            .field("code", code)
            .field("message", message)
            .field("retry_after", retry_after)
            .field("usage", usage)
            .field("source", source)
            .finish()
    }
}

impl Error for ProviderError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_reads_as_one_line_with_status_and_code() {
        let error = ProviderError::new(ProviderErrorKind::RateLimited, "too many requests")
            .with_status(StatusCode::TOO_MANY_REQUESTS)
            .with_code("rate_limit_exceeded");
        assert_eq!(error.to_string(), "rate limited (429 rate_limit_exceeded): too many requests");
    }

    #[test]
    fn a_wrong_request_is_never_sent_again_as_it_stands() {
        use ProviderErrorKind::{Cancelled, ContentPolicy, ContextWindow, InvalidRequest};
        for kind in [InvalidRequest, ContextWindow, ContentPolicy, Cancelled] {
            assert_eq!(kind.fault(), Fault::Request);
            assert!(!matches!(kind.remedy(), Remedy::RetryLater | Remedy::RetryElsewhere), "{kind}");
        }
    }
}
