//! A place under limits that must hold exactly, for one attempt.

use std::fmt;
use std::sync::Arc;

use router_core::{
    AccountLimits, Claim, Deployment, Hold, Refused, Reserved, Settlement, StateStore, Timestamp, Usage, Usd,
};

use crate::router::Parts;

/// A place that was granted. It is settled once, whatever becomes of the attempt: dropped, the call was made and nobody said what it
/// used, so what was claimed stands.
pub(crate) struct Place {
    parts: Arc<Parts>,
    /// The store that granted it.
    granted: Option<(Arc<dyn StateStore>, Hold)>,
}

impl Place {
    /// Asks whoever keeps the books. `Ok(None)`: nobody can be asked, and local limits decide, as they did already.
    pub(crate) async fn ask(
        parts: &Arc<Parts>,
        deployment: &Deployment,
        limits: AccountLimits,
        tokens: u64,
        now: Timestamp,
    ) -> Result<Option<Self>, Refused> {
        let Some(store) = &parts.state_store else { return Ok(None) };
        let claim = Claim { account: deployment.account().clone(), limits, tokens, cost: Usd::default() };
        match store.reserve(&claim, now).await {
            Reserved::Granted(hold) => {
                let granted = Some((Arc::clone(store), hold));
                Ok(Some(Self { parts: Arc::clone(parts), granted }))
            }
            Reserved::Refused(refused) => Err(refused),
            Reserved::Away { .. } => Ok(None),
        }
    }

    /// Says what the call used, as far as that is known.
    pub(crate) fn settle(mut self, usage: Option<Usage>) {
        self.close(usage.map(|usage| usage.total()));
    }

    fn close(&mut self, tokens: Option<u64>) {
        if let Some((store, hold)) = self.granted.take() {
            store.settle(hold, Settlement::Used { tokens, cost: Usd::default() }, self.parts.clock.now());
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.close(None);
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Place").finish_non_exhaustive()
    }
}
