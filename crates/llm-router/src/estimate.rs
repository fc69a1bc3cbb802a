//! What a request will probably use, before it is sent.

use router_core::{Demand, RequestKind, Usd};

use crate::payload::Payload;
use crate::router::Router;

/// What a request will probably use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Estimate {
    /// The tokens of its prompt.
    pub prompt_tokens: u64,
    /// What it costs at the dearest deployment of the pool it asks for; `None` when no price is known there.
    pub cost: Option<Usd>,
}

/// What is assumed of an answer's length when the request does not bound it, in tokens: more than most have.
const LONG_ANSWER: u64 = 1_024;

impl Router {
    /// Returns what a request will probably use. Nothing is called.
    pub fn estimate(&self, request: &impl Payload) -> Estimate {
        let demand = self.demand(request, RequestKind::Whole).unwrap_or_else(|_| Demand::whole());
        let answer = demand.max_tokens.unwrap_or(LONG_ANSWER);
        let catalog = self.fleet().catalog();
        // A request that is still to be classified has no pool yet.
        let prices = catalog
            .pool(request.model())
            .into_iter()
            .flat_map(|pool| catalog.members(pool))
            .filter_map(|member| member.price());
        let cost = prices.map(|price| price.of(demand.prompt_tokens, answer)).max();
        Estimate { prompt_tokens: demand.prompt_tokens, cost }
    }
}
