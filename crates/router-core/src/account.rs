//! Limits that several routers keep together: whose they are, and what is asked of whoever keeps the books.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::budget::Budget;
use crate::{DeploymentId, Obstacle, Usd};

/// Whose limits: those of a deployment, or of a key that callers show.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AccountId(Arc<str>);

const DEPLOYMENT: &str = "deployment:";
const KEY: &str = "key:";

impl AccountId {
    /// Names the account of a deployment.
    pub fn of_deployment(id: &DeploymentId) -> Self {
        Self(format!("{DEPLOYMENT}{id}").into())
    }

    /// Names the account of a caller's key by the key's hash. The key itself is in no account.
    pub fn of_key(hash: &str) -> Self {
        Self(format!("{KEY}{hash}").into())
    }

    /// Reads what [`as_str`](Self::as_str) wrote; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        (text.starts_with(DEPLOYMENT) || text.starts_with(KEY)).then(|| Self(text.into()))
    }

    /// Returns it as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the id of the deployment, if it is one's.
    pub fn deployment(&self) -> Option<&str> {
        self.0.strip_prefix(DEPLOYMENT)
    }

    /// Returns the hash of the key, if it is one's.
    pub fn key(&self) -> Option<&str> {
        self.0.strip_prefix(KEY)
    }
}

impl fmt::Debug for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// What an account may use; `None` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct AccountLimits {
    /// Requests within any minute.
    pub requests: Option<u64>,
    /// Tokens within any minute.
    pub tokens: Option<u64>,
    /// Money.
    pub budget: Option<Budget>,
}

/// One request that asks for a place under an account's limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Whose.
    pub account: AccountId,
    /// The limits to keep.
    pub limits: AccountLimits,
    /// The tokens it will probably use: those of its prompt.
    pub tokens: u64,
    /// What it may cost at most.
    pub cost: Usd,
}

/// What came of a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Reserved {
    /// It is admitted.
    Granted(Hold),
    /// A limit does not admit it.
    Refused(Refused),
    /// The books cannot be reached: local limits decide.
    Away {
        /// What the account spent in its present period, as far as is known here.
        spent: Option<Usd>,
    },
}

/// Which limit refused a claim, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refused {
    /// The requests of this minute are used up; there is room again after this time.
    Requests(Duration),
    /// So are its tokens.
    Tokens(Duration),
    /// The budget is spent; it starts anew after this time, or never.
    Budget(Option<Duration>),
}

impl Refused {
    /// Returns what this means for a deployment, and for how long.
    pub fn obstacle(self) -> (Obstacle, Duration) {
        match self {
            Self::Requests(wait) => (Obstacle::Rpm, wait),
            Self::Tokens(wait) => (Obstacle::Tpm, wait),
            // Deployments have no budgets; whoever gives them one is told to come back in a minute.
            Self::Budget(wait) => (Obstacle::ProviderLimit, wait.unwrap_or(Duration::from_secs(60))),
        }
    }
}

/// A place that was granted: to be settled once. The store that made it knows what the parts mean.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[must_use]
pub struct Hold {
    /// Whose.
    pub account: AccountId,
    /// The part of the minute it was counted in.
    pub slot: u64,
    /// The tokens it was granted.
    pub tokens: u64,
    /// The money it was granted.
    pub cost: Usd,
}

/// What became of a hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Settlement {
    /// Nothing was sent: everything is given back.
    Unused,
    /// The request was sent.
    Used {
        /// The tokens it used, when that is known; otherwise those of the claim stand.
        tokens: Option<u64>,
        /// What it cost.
        cost: Usd,
    },
}
