//! What would become of a request, and why: the decisions of a route, without taking them.

use std::sync::Arc;

use smallvec::SmallVec;

use super::{AttemptCause, Route, Turn, Unfit};
use crate::catalog::{DeploymentIndex, PoolIndex};
use crate::config::FallbackKind;
use crate::fleet::{Admission, Obstacle};
use crate::strategy::Candidates;
use crate::{Dice, Timestamp};

/// What a route would find in one pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExplainedPool {
    /// The pool.
    pub pool: PoolIndex,
    /// The pool whose fallback it is; `None` for the one that is asked first.
    pub fallback_of: Option<PoolIndex>,
    /// Each of its deployments.
    pub deployments: Vec<Explained>,
}

/// What a route would make of one deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Explained {
    /// The deployment.
    pub deployment: DeploymentIndex,
    /// Whether it would be called, and why not.
    pub verdict: Verdict,
}

/// Whether a deployment would be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It would.
    Picked,
    /// It could; the strategy prefers another.
    Outdone,
    /// It could, but others come first: by their `order`, or since it recovered a moment ago.
    Outranked,
    /// It may not before this moment.
    NotReady(Timestamp, Obstacle),
    /// It cannot take such a request; `None` when it lacks something else than what is told apart here.
    Unfit(Option<Unfit>),
}

impl Route {
    /// Returns what the route would find in each pool it can come to by failures, in the order it would ask them; with the same dice
    /// [`next`](Self::next) picks what is told to be picked, as long as nothing changes. Nothing is reserved.
    pub fn explain(&self, now: Timestamp, dice: &mut Dice) -> Vec<ExplainedPool> {
        let first = self.pool();
        let mut order: Vec<(PoolIndex, Option<PoolIndex>)> = vec![(first, None)];
        self.follow(first, &mut order);
        order
            .into_iter()
            .map(|(pool, fallback_of)| ExplainedPool {
                pool,
                fallback_of,
                deployments: self.at(pool).explain_pool(now, dice),
            })
            .collect()
    }

    /// Adds the pools that come after one, depth first, each once, as the search does when all of them fail.
    fn follow(&self, from: PoolIndex, order: &mut Vec<(PoolIndex, Option<PoolIndex>)>) {
        for target in self.edges(from, FallbackKind::General) {
            let is_new = order.iter().all(|(known, _)| known != target);
            if is_new && order.len() <= self.catalog().settings().max_fallbacks as usize {
                order.push((*target, Some(from)));
                self.follow(*target, order);
            }
        }
    }

    /// The same request at another pool, before anything was tried.
    fn at(&self, pool: PoolIndex) -> Self {
        let first = self.entered.first().copied().filter(|first| *first != pool);
        Self {
            fleet: Arc::clone(&self.fleet),
            demand: self.demand.clone(),
            started: self.started,
            deadline: self.deadline,
            entered: first.into_iter().chain([pool]).collect(),
            retries: 0,
            cause: AttemptCause::First,
            trail: SmallVec::new(),
            refused: Vec::new(),
            turn: Turn::Choose,
        }
    }

    fn explain_pool(&self, now: Timestamp, dice: &mut Dice) -> Vec<Explained> {
        let index = self.pool();
        let pool = &self.catalog()[index];
        let eligible = self.eligible(now, dice);
        let candidates = Candidates::new(&self.fleet, index, &self.demand, now, &eligible);
        let picked = candidates.as_ref().map(|candidates| pool.strategy().pick(candidates, dice).index);
        let verdict = |member: usize, deployment: DeploymentIndex| {
            if self.standing(deployment).is_none() {
                return Verdict::Unfit(self.lack(deployment));
            }
            match self.admission(deployment, now) {
                Admission::Later(moment, obstacle) => Verdict::NotReady(moment, obstacle),
                Admission::Ready if picked == Some(deployment) => Verdict::Picked,
                Admission::Ready if eligible.contains(member) => Verdict::Outdone,
                Admission::Ready => Verdict::Outranked,
            }
        };
        pool.members()
            .iter()
            .enumerate()
            .map(|(member, deployment)| Explained {
                deployment: *deployment,
                verdict: verdict(member, *deployment),
            })
            .collect()
    }

    /// What a deployment lacks for this request, as far as it is told apart.
    fn lack(&self, deployment: DeploymentIndex) -> Option<Unfit> {
        if !self.fits_tags(deployment) {
            Some(Unfit::Tags)
        } else if !self.fits_window(deployment) {
            Some(Unfit::ContextWindow)
        } else if self.demand.continues.is_some() {
            Some(Unfit::Continuation)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Alias, Catalog, Config, Demand, DeploymentConfig, FallbackConfig, Fleet, Step, strategies};

    const NOW: Timestamp = Timestamp::from_millis(1_000_000);

    fn alias(name: &str) -> Alias {
        Alias::try_from(name).unwrap()
    }

    fn deployment(name: &str, model: &str, order: Option<u32>) -> DeploymentConfig {
        DeploymentConfig { order, ..DeploymentConfig::new(alias(name), "openai", model) }
    }

    fn edges(from: &str, to: &[&str]) -> FallbackConfig {
        let to = to.iter().map(|name| alias(name)).collect();
        FallbackConfig { kind: FallbackKind::General, from: Some(alias(from)), to }
    }

    fn fleet(strategy: usize) -> Arc<Fleet> {
        let mut config = Config {
            deployments: vec![
                deployment("a", "one", None),
                deployment("a", "two", None),
                deployment("a", "three", None),
                deployment("b", "first", Some(1)),
                deployment("b", "second", Some(2)),
                deployment("c", "only", None),
            ],
            fallbacks: vec![edges("a", &["b", "c"]), edges("b", &["a"])],
            ..Config::default()
        };
        config.settings.routing_strategy = Arc::clone(&strategies()[strategy]);
        Arc::new(Fleet::new(Arc::new(Catalog::new(config).unwrap())))
    }

    #[test]
    fn what_is_told_to_be_picked_is_picked_and_nothing_is_reserved_by_telling() {
        for strategy in 0..strategies().len() {
            let fleet = fleet(strategy);
            for seed in 0..200 {
                let mut route = Route::new(Arc::clone(&fleet), PoolIndex(0), Demand::whole(), NOW);
                let explained = route.explain(NOW, &mut Dice::from_seed(seed));
                assert_eq!(
                    route.explain(NOW, &mut Dice::from_seed(seed)),
                    explained,
                    "telling changes nothing"
                );
                let picked: Vec<_> =
                    explained[0].deployments.iter().filter(|told| told.verdict == Verdict::Picked).collect();
                assert_eq!(picked.len(), 1);
                let Step::Attempt(attempt) = route.next(NOW, &mut Dice::from_seed(seed)) else { panic!() };
                assert_eq!(attempt.deployment(), picked[0].deployment, "strategy {strategy}, seed {seed}");
            }
        }
    }

    #[test]
    fn the_pools_come_in_the_order_they_would_be_asked_each_with_its_reasons() {
        let fleet = fleet(0);
        let route = Route::new(Arc::clone(&fleet), PoolIndex(0), Demand::whole(), NOW);
        let explained = route.explain(NOW, &mut Dice::from_seed(1));
        let pools: Vec<_> =
            explained.iter().map(|pool| (pool.pool.0, pool.fallback_of.map(|from| from.0))).collect();
        assert_eq!(pools, [(0, None), (1, Some(0)), (2, Some(0))]);
        let verdicts: Vec<_> = explained[1].deployments.iter().map(|told| told.verdict).collect();
        assert_eq!(verdicts, [Verdict::Picked, Verdict::Outranked]);
    }

    #[test]
    fn who_is_not_ready_is_told_with_the_obstacle() {
        let fleet = fleet(0);
        let until = NOW + std::time::Duration::from_secs(9);
        let cause = crate::ProviderErrorKind::Server;
        let id = fleet.catalog()[DeploymentIndex(0)].id().clone();
        fleet.apply(&crate::HealthChange::Cooled { deployment: id, until, cause });
        let route = Route::new(Arc::clone(&fleet), PoolIndex(0), Demand::whole(), NOW);
        let explained = route.explain(NOW, &mut Dice::from_seed(1));
        assert_eq!(explained[0].deployments[0].verdict, Verdict::NotReady(until, Obstacle::Cooling(cause)));
    }
}
