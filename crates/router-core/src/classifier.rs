//! The port to whoever can tell what a request is about.

use std::fmt;

use crate::{Alias, ChatRequest};

/// Chooses the alias when the application does not want to.
///
/// It is local and returns at once; it is asked on the way of every request that names no alias of its own.
///
/// ```
/// use router_core::{Alias, ChatRequest, Classification, Classifier};
///
/// /// Long requests are hard ones.
/// #[derive(Debug)]
/// struct ByLength { fast: Alias, capable: Alias }
///
/// impl Classifier for ByLength {
///     fn classify(&self, request: &ChatRequest) -> Classification {
///         let alias = if request.body().len() < 4_000 { &self.fast } else { &self.capable };
///         Classification { alias: alias.clone(), confidence: 0.7 }
///     }
/// }
/// ```
pub trait Classifier: fmt::Debug + Send + Sync {
    /// Says where this request belongs.
    fn classify(&self, request: &ChatRequest) -> Classification;
}

/// Where a request belongs.
#[derive(Debug, Clone, PartialEq)]
pub struct Classification {
    /// The alias to route to.
    pub alias: Alias,
    /// How sure the classifier is, from 0 to 1.
    pub confidence: f64,
}
