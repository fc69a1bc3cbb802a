//! What a caller owes for one request.

use std::sync::Arc;

use crate::access::{Claim, Used, VirtualKey};
use crate::app::App;

/// What a caller owes for one request. Dropped, it says that nothing was used.
#[derive(Debug)]
pub(super) struct Bill {
    prompt_tokens: u64,
    open: Option<(Arc<VirtualKey>, Claim, App)>,
}

impl Bill {
    /// For callers who have no account.
    pub(super) const fn nobodys(prompt_tokens: u64) -> Self {
        Self { prompt_tokens, open: None }
    }

    /// For a claim that was granted.
    pub(super) const fn of(key: Arc<VirtualKey>, claim: Claim, app: App) -> Self {
        Self { prompt_tokens: claim.tokens, open: Some((key, claim, app)) }
    }

    /// Returns how many tokens the prompt is estimated to have.
    pub(super) const fn prompt_tokens(&self) -> u64 {
        self.prompt_tokens
    }

    /// Closes it with what was used.
    pub(super) fn settle(mut self, used: Used) {
        self.close(used);
    }

    fn close(&mut self, used: Used) {
        if let Some((key, claim, app)) = self.open.take() {
            app.ledger().settle(&key, &claim, used, app.clock().now());
        }
    }
}

impl Drop for Bill {
    fn drop(&mut self) {
        self.close(Used::default());
    }
}
