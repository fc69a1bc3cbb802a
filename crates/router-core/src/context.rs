//! For whom a request is made.

use std::sync::Arc;

use crate::TraceContext;

/// What a caller knows about a request beside the request itself: for whom it is, and what it belongs to. Routing does not look
/// at it; observers are told. It holds no credential, and no prompt.
///
/// ```
/// use router_core::RequestContext;
///
/// let context = RequestContext::new().with_key_alias("team-red").with_user("u-17").with_tag("nightly");
/// assert_eq!(context.key_alias.as_deref(), Some("team-red"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct RequestContext {
    /// The name of the key that was used, never the key.
    pub key_alias: Option<Arc<str>>,
    /// The end user, as the caller names them.
    pub user: Option<Arc<str>>,
    /// Words to find the request by.
    pub tags: Vec<Arc<str>>,
    /// Further facts, by name.
    pub metadata: Vec<(Arc<str>, Arc<str>)>,
    /// The trace that the request is part of.
    pub trace: Option<TraceContext>,
}

impl RequestContext {
    /// Knows nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self { key_alias: None, user: None, tags: Vec::new(), metadata: Vec::new(), trace: None }
    }

    /// Names the key that was used.
    #[must_use]
    pub fn with_key_alias(mut self, alias: impl Into<Arc<str>>) -> Self {
        self.key_alias = Some(alias.into());
        self
    }

    /// Names the end user.
    #[must_use]
    pub fn with_user(mut self, user: impl Into<Arc<str>>) -> Self {
        self.user = Some(user.into());
        self
    }

    /// Adds a tag.
    #[must_use]
    pub fn with_tag(mut self, tag: impl Into<Arc<str>>) -> Self {
        self.tags.push(tag.into());
        self
    }

    /// Adds a fact.
    #[must_use]
    pub fn with_metadata(mut self, name: impl Into<Arc<str>>, value: impl Into<Arc<str>>) -> Self {
        self.metadata.push((name.into(), value.into()));
        self
    }

    /// Makes the request a part of a trace.
    #[must_use]
    pub const fn with_trace(mut self, trace: TraceContext) -> Self {
        self.trace = Some(trace);
        self
    }
}
