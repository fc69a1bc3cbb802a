//! Why a request was not answered.

use std::time::Duration;

use router_core::{Alias, Obstacle, ProviderError, RequestError};

use crate::report::RouteReport;

/// A request that was not answered. Those that were routed tell what was tried.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RouteError {
    /// Nobody configured this alias.
    #[error("there is no model `{alias}`: known are {}", join(.known))]
    UnknownAlias {
        /// What was asked for.
        alias: String,
        /// What there is.
        known: Vec<Alias>,
    },
    /// A field that is meant for the router is wrong.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The deployments that were called failed, or none can take such a request; this is the last error.
    #[error("{error}")]
    Failed {
        /// The last error, as the provider gave it.
        error: ProviderError,
        /// When a deployment will be ready again, if all of them are cooling now.
        retry_after: Option<Duration>,
        /// What was tried.
        report: Box<RouteReport>,
    },
    /// Every deployment that could answer is cooling down or at its limit; none was called.
    #[error("no deployment of `{}` is ready ({obstacle}): try again in {} s", .report.requested, .retry_after.as_secs_f64().ceil())]
    Unavailable {
        /// When the first will be ready again.
        retry_after: Duration,
        /// What keeps it until then.
        obstacle: Obstacle,
        /// What was tried: nothing.
        report: Box<RouteReport>,
    },
    /// The time for the whole request was over.
    #[error("no answer within the total timeout{}", last(.error.as_ref()))]
    DeadlineExceeded {
        /// The last error before that, if a deployment was called and failed in time.
        error: Option<ProviderError>,
        /// What was tried.
        report: Box<RouteReport>,
    },
}

impl RouteError {
    /// Returns what was tried; `None` when the request named no alias that exists or was wrong.
    pub fn report(&self) -> Option<&RouteReport> {
        match self {
            Self::UnknownAlias { .. } | Self::Request(_) => None,
            Self::Failed { report, .. }
            | Self::Unavailable { report, .. }
            | Self::DeadlineExceeded { report, .. } => Some(report),
        }
    }

    /// Returns when it makes sense to try again, where that is known.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Failed { retry_after, error, .. } => retry_after.or(error.retry_after()),
            Self::Unavailable { retry_after, .. } => Some(*retry_after),
            Self::UnknownAlias { .. } | Self::Request(_) | Self::DeadlineExceeded { .. } => None,
        }
    }
}

fn join(aliases: &[Alias]) -> String {
    aliases.iter().map(Alias::as_str).collect::<Vec<_>>().join(", ")
}

fn last(error: Option<&ProviderError>) -> String {
    error.map(|error| format!("; the last error was: {error}")).unwrap_or_default()
}
