//! Leaves out of a request what a format cannot express, where that is allowed.

use std::borrow::Cow;

use router_core::{ChatRequest, Edit, EmbeddingRequest, ProviderError};

use crate::unsupported::droppable;

/// A request as it was written, and the fields that were left out of it.
pub(super) struct Fitted<T> {
    pub(super) written: T,
    pub(super) dropped: Vec<String>,
}

/// A request in the canonical shape.
pub(super) trait Canonical: Clone {
    fn has(&self, field: &str) -> bool;

    /// Returns the same request without a field; `None` when it cannot be without.
    fn without(&self, field: &str) -> Option<Self>;
}

impl Canonical for ChatRequest {
    fn has(&self, field: &str) -> bool {
        self.field(field).is_some()
    }

    fn without(&self, field: &str) -> Option<Self> {
        Self::from_json(self.body_with(&[(field, Edit::Remove)])).ok()
    }
}

impl Canonical for EmbeddingRequest {
    fn has(&self, field: &str) -> bool {
        self.field(field).is_some()
    }

    fn without(&self, field: &str) -> Option<Self> {
        Self::from_json(self.body_with(&[(field, Edit::Remove)])).ok()
    }
}

/// Writes a request; where `may_drop`, without the fields that stand in the way.
pub(super) fn fitted<R: Canonical, T>(
    request: &R,
    may_drop: bool,
    write: impl Fn(&R) -> Result<T, ProviderError>,
) -> Result<Fitted<T>, ProviderError> {
    let mut dropped = Vec::new();
    let mut request = Cow::Borrowed(request);
    loop {
        match write(&request) {
            Ok(written) => return Ok(Fitted { written, dropped }),
            Err(error) => {
                let field = droppable(&error).filter(|field| may_drop && request.has(field));
                let Some(field) = field.map(str::to_owned) else { return Err(error) };
                let Some(rest) = request.without(&field) else { return Err(error) };
                request = Cow::Owned(rest);
                dropped.push(field);
            }
        }
    }
}
