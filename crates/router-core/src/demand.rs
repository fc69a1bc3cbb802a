//! What a request asks of a deployment, as far as routing goes.

use crate::Abilities;
use crate::catalog::{DeploymentIndex, PoolIndex};

/// What a request asks for.
///
/// ```
/// use router_core::Demand;
///
/// let demand = Demand::stream().with_prompt_tokens(1_200).with_max_tokens(400);
/// assert_eq!(demand.prompt_tokens, 1_200);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Demand {
    /// Whole or streamed.
    pub kind: RequestKind,
    /// The estimated length of the prompt, in tokens.
    pub prompt_tokens: u64,
    /// The most tokens the caller lets the answer have; `None` when it does not say.
    pub max_tokens: Option<u64>,
    /// What the deployment must be able to do beyond text; one that is known to lack it is passed over.
    pub needs: Abilities,
    /// The tags that deployments must have one of.
    pub tags: TagSet,
    /// Overrides the retries of every pool.
    pub num_retries: Option<u32>,
    /// Overrides where the request goes on; an empty list allows no fallback.
    pub fallbacks: Option<Box<[PoolIndex]>>,
    /// The deployment that began the answer and broke, when this request is to continue it: only deployments that can go on with
    /// an answer are asked, and that one last.
    pub continues: Option<DeploymentIndex>,
}

/// Whether the caller wants the reply whole or streamed; each has its own time limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RequestKind {
    /// Whole.
    Whole,
    /// Streamed.
    Stream,
}

impl Demand {
    /// Asks for a whole reply.
    #[must_use]
    pub const fn whole() -> Self {
        Self {
            kind: RequestKind::Whole,
            prompt_tokens: 0,
            max_tokens: None,
            needs: Abilities::NONE,
            tags: TagSet::NONE,
            num_retries: None,
            fallbacks: None,
            continues: None,
        }
    }

    /// Asks for a stream.
    #[must_use]
    pub fn stream() -> Self {
        Self { kind: RequestKind::Stream, ..Self::whole() }
    }

    /// Sets the estimated length of the prompt, in tokens.
    #[must_use]
    pub const fn with_prompt_tokens(mut self, tokens: u64) -> Self {
        self.prompt_tokens = tokens;
        self
    }

    /// Sets the most tokens the answer may have.
    #[must_use]
    pub const fn with_max_tokens(mut self, tokens: u64) -> Self {
        self.max_tokens = Some(tokens);
        self
    }

    /// Asks for deployments that are not known to lack these abilities.
    #[must_use]
    pub const fn with_needs(mut self, needs: Abilities) -> Self {
        self.needs = needs;
        self
    }

    /// Asks for deployments with one of these tags; see [`Catalog::tags`](crate::Catalog::tags).
    #[must_use]
    pub const fn with_tags(mut self, tags: TagSet) -> Self {
        self.tags = tags;
        self
    }

    /// Sets the retries of every pool.
    #[must_use]
    pub const fn with_num_retries(mut self, retries: u32) -> Self {
        self.num_retries = Some(retries);
        self
    }

    /// Asks to continue the answer that this deployment began.
    #[must_use]
    pub const fn continuing(mut self, broken: DeploymentIndex) -> Self {
        self.continues = Some(broken);
        self
    }

    /// Sets where the request goes on after its first pool; nowhere when empty.
    #[must_use]
    pub fn with_fallbacks(mut self, pools: impl Into<Box<[PoolIndex]>>) -> Self {
        self.fallbacks = Some(pools.into());
        self
    }
}

/// A set of a catalog's tags, of which there are at most 63.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct TagSet(pub(crate) u64);

impl TagSet {
    /// No tag: the request may go anywhere.
    pub const NONE: Self = Self(0);

    /// A tag that no deployment has.
    pub(crate) const UNKNOWN: Self = Self(1 << 63);

    /// Returns whether there is no tag in it.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(crate) const fn overlaps(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    pub(crate) const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}
