//! Who may call, what they may call, and how much of it.

mod from_settings;
mod guard;
mod key;
mod ledger;
mod shared;

use std::collections::HashMap;
use std::sync::Arc;

use subtle::ConstantTimeEq;

pub(crate) use self::from_settings::unknown_aliases;
pub(crate) use self::guard::{require_caller, require_master};
pub use self::key::{KeyHash, KeyLimits, VirtualKey, WrongKeyHash};
pub use self::ledger::{Claim, Ledger, LocalLedger, Refusal, Used};
pub use self::shared::SharedLedger;
pub use llm_router::BudgetPeriod;

/// Who may call. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Access {
    keys: Option<Arc<Keys>>,
}

#[derive(Debug)]
struct Keys {
    master: Option<KeyHash>,
    virtual_keys: HashMap<KeyHash, Arc<VirtualKey>>,
}

/// Who calls.
#[derive(Debug, Clone)]
pub(crate) enum Caller {
    /// Somebody, where no key is asked for.
    Anybody,
    /// Whoever has the master key: may call everything, and see the state.
    Master,
    /// Whoever has this virtual key.
    Key(Arc<VirtualKey>),
}

impl Access {
    /// Lets everybody do everything. For gateways that nobody else can reach.
    pub const fn open() -> Self {
        Self { keys: None }
    }

    /// Lets in whoever has the master key, which may do everything, or one of the virtual keys.
    pub fn with_keys(master: Option<KeyHash>, virtual_keys: impl IntoIterator<Item = VirtualKey>) -> Self {
        let virtual_keys = virtual_keys.into_iter().map(|key| (key.hash(), Arc::new(key))).collect();
        Self { keys: Some(Arc::new(Keys { master, virtual_keys })) }
    }

    /// Returns whether everybody may call.
    pub const fn is_open(&self) -> bool {
        self.keys.is_none()
    }

    /// Finds out who calls by the key they show.
    fn recognise(&self, shown: Option<&str>) -> Result<Caller, Stranger> {
        let Some(keys) = &self.keys else { return Ok(Caller::Anybody) };
        let hash = KeyHash::of(shown.ok_or(Stranger::NoKey)?);
        if keys.master.as_ref().is_some_and(|master| bool::from(master.as_bytes().ct_eq(hash.as_bytes()))) {
            return Ok(Caller::Master);
        }
        // Found by its hash, so the time this takes tells nothing about a key: who wants a hash that begins like another's has to
        // find keys for it by brute force. The comparison that decides takes the same time for all.
        let known = keys.virtual_keys.get(&hash);
        let known = known.filter(|key| bool::from(key.hash().as_bytes().ct_eq(hash.as_bytes())));
        known.cloned().map(Caller::Key).ok_or(Stranger::WrongKey)
    }
}

/// Why somebody is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stranger {
    NoKey,
    WrongKey,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_are_known_by_their_keys_and_nothing_else() {
        let access = Access::with_keys(
            Some(KeyHash::of("sk-master")),
            [VirtualKey::new(KeyHash::of("sk-team"), "team")],
        );
        assert!(matches!(access.recognise(Some("sk-master")), Ok(Caller::Master)));
        assert!(matches!(access.recognise(Some("sk-team")), Ok(Caller::Key(key)) if key.name() == "team"));
        for wrong in ["", "sk-maste", "sk-master ", "SK-MASTER", "team"] {
            assert_eq!(access.recognise(Some(wrong)).unwrap_err(), Stranger::WrongKey, "{wrong:?}");
        }
        assert_eq!(access.recognise(None).unwrap_err(), Stranger::NoKey);
        assert!(matches!(Access::open().recognise(None), Ok(Caller::Anybody)));
    }

    #[test]
    fn without_a_master_key_nobody_is_master() {
        let access = Access::with_keys(None, [VirtualKey::new(KeyHash::of("sk-team"), "team")]);
        assert_eq!(access.recognise(Some("")).unwrap_err(), Stranger::WrongKey);
    }
}
