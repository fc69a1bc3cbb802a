//! What a request can need of a model beyond reading and writing text.

/// A set of abilities: what a request needs, or what a deployment is known to have or to lack.
///
/// ```
/// use router_core::Abilities;
///
/// let needed = Abilities::TOOLS.with(Abilities::VISION);
/// assert!(needed.overlaps(Abilities::VISION));
/// assert_eq!(needed.to_string(), "tools, vision");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Abilities(u8);

impl Abilities {
    /// None of them.
    pub const NONE: Self = Self(0);
    /// Calling tools: LiteLLM's `supports_function_calling`.
    pub const TOOLS: Self = Self(1);
    /// Looking at images: LiteLLM's `supports_vision`.
    pub const VISION: Self = Self(2);

    const NAMES: [(Self, &str); 2] = [(Self::TOOLS, "tools"), (Self::VISION, "vision")];

    /// Returns these and those.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Returns these without those.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Returns whether they have one in common.
    pub const fn overlaps(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Returns whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl std::fmt::Display for Abilities {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = Self::NAMES.iter().filter(|(ability, _)| self.overlaps(*ability));
        for (n, (_, name)) in names.enumerate() {
            write!(f, "{}{name}", if n == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}
