//! What each deployment charges: as configured, else as the price table has it.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use router_core::{Bill, Cost, Deployment, DeploymentIndex, Metered, Timestamp, Usage};
use router_telemetry::{Prices, RateCard};

/// More models than this by which deployments with a pattern or a name of their own answer are looked up anew each time.
const MOST_ANSWERED: usize = 1_000;

/// The rate cards of a router's deployments.
#[derive(Debug)]
pub(crate) struct Tariffs {
    prices: Prices,
    /// One for each deployment; `None` where neither the configuration nor the table knows it by its name.
    cards: Box<[Option<RateCard>]>,
    /// Those found by the names of the models that answered.
    answered: RwLock<HashMap<String, Option<Arc<RateCard>>>>,
}

impl Tariffs {
    pub(crate) fn new(prices: Prices, cards: Box<[Option<RateCard>]>) -> Self {
        Self { prices, cards, answered: RwLock::default() }
    }

    /// Returns what an attempt costs: what the provider says, else by the deployment's prices, else by those of the model that
    /// answered.
    pub(crate) fn bill(
        &self,
        index: DeploymentIndex,
        deployment: &Deployment,
        metered: Metered,
        answered: Option<&str>,
        at: Timestamp,
    ) -> Bill {
        let Some(usage) = metered.usage() else { return Bill::Unknown };
        if let Some(total) = usage.reported_cost {
            return Bill::Known(Cost::flat(total));
        }
        let cost = match self.cards.get(index.get()) {
            Some(Some(card)) => card.cost(&usage, at),
            _ => answered.and_then(|model| self.cost_by_model(deployment.provider(), model, &usage, at)),
        };
        cost.map_or(Bill::Unknown, Bill::Known)
    }

    fn cost_by_model(&self, provider: &str, model: &str, usage: &Usage, at: Timestamp) -> Option<Cost> {
        let name = format!("{provider}/{model}");
        let known = self.answered.read().unwrap_or_else(PoisonError::into_inner).get(&name).cloned();
        let card = known.unwrap_or_else(|| {
            let card = self.prices.card(provider, model).map(Arc::new);
            let mut answered = self.answered.write().unwrap_or_else(PoisonError::into_inner);
            if answered.len() < MOST_ANSWERED {
                answered.insert(name, card.clone());
            }
            card
        });
        card?.cost(usage, at)
    }
}
