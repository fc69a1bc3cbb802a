//! What an answer cost.

use llm_router::{RouteReport, Router, Usage, Usd};

/// Returns what these tokens cost at the deployment that answered; `None` when its price is not known.
pub(crate) fn cost(router: &Router, report: &RouteReport, usage: &Usage) -> Option<Usd> {
    Some(router.cost_of(report.deployment.as_ref()?.as_str(), usage)?.total())
}
