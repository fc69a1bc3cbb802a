//! Keys, which are never kept: only their hashes are.

use std::fmt;

use llm_router::Usd;
use sha2::{Digest, Sha256};

use super::BudgetPeriod;

/// The SHA-256 of a key. Keys are long and random, so a plain hash is enough: there is no dictionary to try.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyHash([u8; 32]);

/// A text is not the hash of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WrongKeyHash;

impl KeyHash {
    /// Hashes a key.
    pub fn of(key: &str) -> Self {
        Self(Sha256::digest(key.as_bytes()).into())
    }

    /// Reads the 64 hexadecimal digits that `sha256sum` prints, and that LiteLLM keeps in its database.
    ///
    /// # Errors
    /// When it is something else.
    pub fn from_hex(text: &str) -> Result<Self, WrongKeyHash> {
        let digits: Vec<u8> = text
            .chars()
            .map(|digit| digit.to_digit(16).and_then(|value| u8::try_from(value).ok()).ok_or(WrongKeyHash))
            .collect::<Result<_, _>>()?;
        let bytes: Vec<u8> =
            digits.chunks(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect();
        let is_whole = digits.len() == 64;
        let hash = bytes.try_into().ok().filter(|_| is_whole).ok_or(WrongKeyHash)?;
        Ok(Self(hash))
    }

    /// Returns the 64 hexadecimal digits.
    pub(crate) fn to_hex(self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    pub(crate) const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for KeyHash {
    /// Shows the first bytes, which tell two keys apart and help nobody to find one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, ..] = self.0;
        write!(f, "sha256:{a:02x}{b:02x}{c:02x}{d:02x}…")
    }
}

/// LiteLLM's word for all aliases.
pub(super) const ALL_MODELS: &str = "all-proxy-models";

/// A key that somebody was given: what it may call and how much of it.
#[derive(Debug, Clone)]
pub struct VirtualKey {
    hash: KeyHash,
    name: String,
    /// The aliases it may call; all when empty.
    models: Vec<String>,
    aliases: Vec<(String, String)>,
    limits: KeyLimits,
    is_blocked: bool,
}

/// How much a key may use; `None` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct KeyLimits {
    /// Requests per minute.
    pub requests_per_minute: Option<u64>,
    /// Tokens per minute.
    pub tokens_per_minute: Option<u64>,
    /// Requests under way at a time.
    pub parallel_requests: Option<u32>,
    /// Money, and the time after which it starts anew.
    pub budget: Option<(Usd, BudgetPeriod)>,
    /// Whether requests and tokens hold exactly across processes that share a store, as budgets do: each request asks it for its place.
    pub strict: bool,
}

impl VirtualKey {
    /// Makes a key that may do everything a caller may; `name` stands for it in logs.
    pub fn new(hash: KeyHash, name: impl Into<String>) -> Self {
        Self {
            hash,
            name: name.into(),
            models: Vec::new(),
            aliases: Vec::new(),
            limits: KeyLimits::default(),
            is_blocked: false,
        }
    }

    /// Lets it call these aliases only. A `*` in one stands for anything.
    #[must_use]
    pub fn with_models(mut self, models: impl IntoIterator<Item = String>) -> Self {
        self.models = models.into_iter().collect();
        self
    }

    /// Gives aliases further names, for this key: `(name, alias)`.
    #[must_use]
    pub fn with_aliases(mut self, aliases: impl IntoIterator<Item = (String, String)>) -> Self {
        self.aliases = aliases.into_iter().collect();
        self
    }

    /// Sets how much it may use.
    #[must_use]
    pub const fn with_limits(mut self, limits: KeyLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Refuses it, without forgetting it.
    #[must_use]
    pub const fn blocked(mut self, blocked: bool) -> Self {
        self.is_blocked = blocked;
        self
    }

    /// Returns its hash.
    pub const fn hash(&self) -> KeyHash {
        self.hash
    }

    /// Returns the name it has in logs.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns how much it may use.
    pub const fn limits(&self) -> &KeyLimits {
        &self.limits
    }

    pub(crate) const fn is_blocked(&self) -> bool {
        self.is_blocked
    }

    /// Returns the alias that a name stands for.
    pub(crate) fn resolve<'n>(&'n self, name: &'n str) -> &'n str {
        self.aliases.iter().find(|(from, _)| from == name).map_or(name, |(_, to)| to)
    }

    /// Returns whether it may call an alias.
    pub(crate) fn may_call(&self, alias: &str) -> bool {
        self.models.is_empty()
            || self.models.iter().any(|allowed| allowed == ALL_MODELS || matches(allowed, alias))
    }
}

/// Whether a pattern, in which each `*` stands for anything, matches a name.
fn matches(pattern: &str, name: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut left) = name.strip_prefix(start) else { return false };
    let mut pieces = rest.split('*').peekable();
    while let Some(piece) = pieces.next() {
        if pieces.peek().is_none() {
            return left.ends_with(piece);
        }
        match left.find(piece).and_then(|at| left.get(at + piece.len()..)) {
            Some(after) => left = after,
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_what_sha256sum_prints_and_show_hardly_anything() {
        let hash = KeyHash::of("abc");
        let hex = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(KeyHash::from_hex(hex), Ok(hash));
        assert_eq!(KeyHash::from_hex(&hex.to_uppercase()), Ok(hash));
        assert_eq!(format!("{hash:?}"), "sha256:ba7816bf…");
        for wrong in ["", "ba78", &hex.replace('b', "g"), &format!("+{}", &hex[1..]), &"é".repeat(32)] {
            assert!(KeyHash::from_hex(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_key_calls_what_it_lists_and_all_when_it_lists_nothing() {
        let check = |models: &[&str], alias: &str| {
            VirtualKey::new(KeyHash::of("k"), "k")
                .with_models(models.iter().map(|m| (*m).to_owned()))
                .may_call(alias)
        };
        assert!(check(&[], "fast"));
        assert!(check(&["fast"], "fast"));
        assert!(!check(&["fast"], "faster"));
        assert!(check(&["all-proxy-models"], "fast"));
        assert!(check(&["openai/*"], "openai/gpt-4o"));
        assert!(!check(&["openai/*"], "azure/openai/gpt-4o"));
        assert!(check(&["*/gpt-*-mini"], "openai/gpt-4o-mini"));
        assert!(!check(&["*/gpt-*-mini"], "openai/gpt-4o"));
    }
}
