//! Hands live state over to the next configuration.

use std::sync::Arc;

use super::{Fleet, Live};
use crate::catalog::{Catalog, DeploymentIndex};

impl Fleet {
    /// Makes the fleet of the next configuration. Deployments that are the same go on as they are: cooldowns, latencies and windows are
    /// kept, and calls that are still under way count in both fleets. The others begin anew.
    ///
    /// A deployment is the same when it has the id of one here, its settings are the same as far as the core knows them, and
    /// `is_same` says so: the core does not know its address and its credential. It is given the position before and after.
    #[must_use]
    pub fn hand_over(
        &self,
        catalog: Arc<Catalog>,
        is_same: impl Fn(DeploymentIndex, DeploymentIndex) -> bool,
    ) -> Self {
        let mut next = Self::new(catalog);
        for (index, live) in next.catalog.indices().zip(next.live.iter_mut()) {
            let before = self.catalog.deployment(next.catalog[index].id().as_str());
            let before = before.filter(|before| is_same(*before, index));
            if let Some(before) = before.and_then(|before| self.live.get(before.get()))
                && before.has_settings_of(live)
            {
                *live = Arc::clone(before);
            }
        }
        // Turns are counted against those of the pool, so these are kept together.
        for (pool, live) in next.catalog.pools().iter().zip(next.pools.iter_mut()) {
            let before = self.catalog.pools().iter().position(|before| before.alias() == pool.alias());
            if let Some(before) = before.and_then(|before| self.pools.get(before)) {
                *live = Arc::clone(before);
            }
        }
        next
    }
}

impl Live {
    fn has_settings_of(&self, other: &Self) -> bool {
        let settings =
            |live: &Self| (live.order, live.is_standby, live.is_limited, live.untold.is_some(), live.price);
        settings(self) == settings(other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Alias, BreakerState, Config, Demand, DeploymentConfig, Dice, Lesson, PoolIndex, ProviderError,
        ProviderErrorKind, Reservation, Timestamp,
    };

    const NOW: Timestamp = Timestamp::from_millis(1_000_000);

    fn catalog(models: &[&str]) -> Arc<Catalog> {
        let alias = Alias::try_from("fast").unwrap();
        let deployments =
            models.iter().map(|model| DeploymentConfig::new(alias.clone(), "openai", *model)).collect();
        Arc::new(Catalog::new(Config { deployments, ..Config::default() }).unwrap())
    }

    fn call(fleet: &Arc<Fleet>, model: &str) -> Reservation {
        let index = fleet.catalog().deployment(&format!("fast:{model}")).unwrap();
        fleet.reserve(PoolIndex(0), index, &Demand::whole(), NOW).unwrap()
    }

    fn state(fleet: &Fleet, model: &str) -> (u32, BreakerState) {
        let index = fleet.catalog().deployment(&format!("fast:{model}")).unwrap();
        (fleet.in_flight(index), fleet.breaker(index, NOW))
    }

    #[test]
    fn what_is_the_same_goes_on_and_what_is_not_begins_anew() {
        let old = Arc::new(Fleet::new(catalog(&["a", "b", "c"])));
        let under_way = call(&old, "a");
        let refused = ProviderError::new(ProviderErrorKind::Authentication, "");
        for model in ["b", "c"] {
            drop(call(&old, model).settle(Some(&refused), Lesson::default(), NOW));
        }
        let new = Arc::new(old.hand_over(catalog(&["new", "c", "b", "a"]), |before, _| before.get() != 2));
        assert_eq!(state(&new, "a"), (1, BreakerState::Closed));
        assert!(matches!(state(&new, "b"), (0, BreakerState::Open { .. })), "it is still cooling");
        assert_eq!(state(&new, "c"), (0, BreakerState::Closed), "its credential is another");
        assert_eq!(state(&new, "new"), (0, BreakerState::Closed));

        drop(under_way.settle(Some(&refused), Lesson::default(), NOW));
        assert!(
            matches!(state(&new, "a"), (0, BreakerState::Open { .. })),
            "what the old call taught is known"
        );
    }

    #[test]
    fn a_newcomer_does_not_have_to_catch_up_on_the_turns_of_a_lifetime() {
        let old = Arc::new(Fleet::new(catalog(&["a", "b"])));
        let spread = |fleet: &Arc<Fleet>| {
            let mut dice = Dice::from_seed(7);
            let mut count = [0; 3];
            for _ in 0..300 {
                let mut route = crate::Route::new(Arc::clone(fleet), PoolIndex(0), Demand::whole(), NOW);
                let crate::Step::Attempt(attempt) = route.next(NOW, &mut dice) else { panic!() };
                count[attempt.deployment().get()] += 1;
                route.record(attempt, Ok(Lesson::default()), NOW);
            }
            count
        };
        spread(&old);
        let new = Arc::new(old.hand_over(catalog(&["a", "b", "c"]), |_, _| true));
        let spread = spread(&new);
        assert!(spread.iter().all(|calls| (95..=105).contains(calls)), "{spread:?}");
    }
}
