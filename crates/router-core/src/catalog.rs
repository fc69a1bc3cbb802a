//! A configuration that has been checked: names resolved, defaults filled in. It never changes; a reload makes another.

mod resolve;

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use self::resolve::{Groups, Problems, resolve_deployments, resolve_pools, tags};
use crate::account::{AccountId, AccountLimits};
use crate::breaker::BreakerPolicy;
use crate::config::{Config, ConfigErrors, FallbackKind, KindPolicy, Place, Settings};
use crate::demand::TagSet;
use crate::pattern;
use crate::strategy::Strategy;
use crate::{Abilities, Alias, DeploymentId, Price, ProviderErrorKind};

/// Deployments, pools and the fallback graph, ready to route by.
///
/// ```
/// use router_core::{Alias, Catalog, Config, DeploymentConfig};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let fast = Alias::try_from("fast")?;
/// let catalog = Catalog::new(Config {
///     deployments: vec![
///         DeploymentConfig::new(fast.clone(), "openai", "gpt-4o-mini"),
///         DeploymentConfig::new(fast, "anthropic", "claude-haiku-4-5"),
///     ],
///     ..Config::default()
/// })?;
/// let pool = catalog.pool("fast").ok_or("there is a pool")?;
/// assert_eq!(catalog.members(pool).count(), 2);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Catalog {
    deployments: Box<[Deployment]>,
    pools: Box<[Pool]>,
    by_alias: HashMap<Alias, PoolIndex>,
    /// The aliases with a `*`, the most specific first.
    patterns: Box<[(Alias, PoolIndex)]>,
    by_id: HashMap<DeploymentId, DeploymentIndex>,
    tags: HashMap<Box<str>, TagSet>,
    lacking: Abilities,
    settings: Settings,
}

/// The position of a deployment in its [`Catalog`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeploymentIndex(pub(crate) u32);

/// The position of a pool in its [`Catalog`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PoolIndex(pub(crate) u32);

impl DeploymentIndex {
    /// Returns the position as a number, the same as in [`Config::deployments`].
    pub const fn get(self) -> usize {
        self.0 as usize
    }
}

/// One provider model, with every setting resolved.
#[derive(Debug)]
pub struct Deployment {
    id: DeploymentId,
    provider: Box<str>,
    model: Box<str>,
    max_input_tokens: Option<u64>,
    timeout: Duration,
    stream_timeout: Duration,
    pub(crate) breaker: BreakerPolicy,
    /// Distance between two turns, inverse to its share; `None` for a stand-by.
    pub(crate) stride: Option<u64>,
    pub(crate) order: u32,
    pub(crate) limits: Limits,
    pub(crate) account: AccountId,
    pub(crate) strict_limits: bool,
    pub(crate) price: Option<Price>,
    pub(crate) supports_assistant_prefill: bool,
    pub(crate) has: Abilities,
    pub(crate) lacks: Abilities,
    pub(crate) tags: TagSet,
    /// The tags of all members of its pool.
    pub(crate) pool_tags: TagSet,
    /// Which of the catalog's providers it belongs to.
    pub(crate) provider_index: u32,
    /// The others that use the same credential.
    pub(crate) same_credential: Box<[DeploymentIndex]>,
    /// Those of them with the same model.
    pub(crate) same_account_model: Box<[DeploymentIndex]>,
}

/// What a deployment may get; `None` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Limits {
    pub(crate) rpm: Option<u64>,
    pub(crate) tpm: Option<u64>,
    pub(crate) max_parallel_requests: Option<u32>,
}

impl Deployment {
    /// Returns its stable name.
    pub const fn id(&self) -> &DeploymentId {
        &self.id
    }

    /// Returns the account of its limits, which it may share with routers elsewhere.
    pub const fn account(&self) -> &AccountId {
        &self.account
    }

    /// Returns the limits that all who share them keep exactly: each call asks for its place first. `None` when there are none.
    pub const fn strict_limits(&self) -> Option<AccountLimits> {
        let Limits { rpm, tpm, .. } = self.limits;
        if !self.strict_limits || (rpm.is_none() && tpm.is_none()) {
            return None;
        }
        Some(AccountLimits { requests: rpm, tokens: tpm, budget: None })
    }

    /// Returns its provider, such as `anthropic`.
    pub fn provider(&self) -> &str {
        &self.provider
    }

    /// Returns the provider's name for its model.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// Returns the longest prompt it takes, in tokens, when that is known.
    pub const fn max_input_tokens(&self) -> Option<u64> {
        self.max_input_tokens
    }

    /// Returns what it charges, when that is known.
    pub const fn price(&self) -> Option<Price> {
        self.price
    }

    /// Returns its priority in the pool, when it has one.
    pub const fn order(&self) -> Option<u32> {
        if self.order == u32::MAX { None } else { Some(self.order) }
    }

    /// Returns what it can do beyond text, as far as that is known.
    pub const fn has(&self) -> Abilities {
        self.has
    }

    /// Returns what it is known not to be able to do.
    pub const fn lacks(&self) -> Abilities {
        self.lacks
    }

    /// Returns the time one attempt may take.
    pub const fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Returns the time a stream may take to its first token, and between two chunks.
    pub const fn stream_timeout(&self) -> Duration {
        self.stream_timeout
    }
}

/// The deployments behind one alias.
#[derive(Debug)]
pub struct Pool {
    alias: Alias,
    members: Box<[DeploymentIndex]>,
    strategy: Arc<dyn Strategy>,
    num_retries: u32,
    retry_policy: KindPolicy,
    /// The largest window among its members, where one is known.
    pub(crate) window: Option<u64>,
    fallbacks: Box<[PoolIndex]>,
    context_window_fallbacks: Box<[PoolIndex]>,
    content_policy_fallbacks: Box<[PoolIndex]>,
}

impl Pool {
    /// Returns the alias that applications call.
    pub const fn alias(&self) -> &Alias {
        &self.alias
    }

    /// Returns its deployments, never none.
    pub fn members(&self) -> &[DeploymentIndex] {
        &self.members
    }

    /// Returns how it chooses.
    pub fn strategy(&self) -> &dyn Strategy {
        &*self.strategy
    }

    /// Returns how many attempts it makes after its first one.
    pub const fn num_retries(&self) -> u32 {
        self.num_retries
    }

    /// Returns how many retries it makes after an error of this kind.
    pub fn retries_after(&self, kind: ProviderErrorKind) -> u32 {
        self.retry_policy.get(kind).unwrap_or(self.num_retries)
    }

    /// Returns the most retries it makes, whatever the errors.
    pub fn most_retries(&self) -> u32 {
        self.num_retries.max(self.retry_policy.largest().unwrap_or(0))
    }

    /// Returns where its requests go on, in order; empty when nowhere.
    pub fn fallbacks(&self, kind: FallbackKind) -> &[PoolIndex] {
        match kind {
            FallbackKind::General => &self.fallbacks,
            FallbackKind::ContextWindow => &self.context_window_fallbacks,
            FallbackKind::ContentPolicy => &self.content_policy_fallbacks,
        }
    }
}

impl Pool {
    const fn edges_mut(&mut self, kind: FallbackKind) -> &mut Box<[PoolIndex]> {
        match kind {
            FallbackKind::General => &mut self.fallbacks,
            FallbackKind::ContextWindow => &mut self.context_window_fallbacks,
            FallbackKind::ContentPolicy => &mut self.content_policy_fallbacks,
        }
    }
}

impl Catalog {
    /// Checks a configuration and resolves it.
    ///
    /// Fallback cycles and self-references are legal; a route enters each alias once.
    ///
    /// # Errors
    /// Every problem there is, each with its place.
    pub fn new(config: Config) -> Result<Self, ConfigErrors> {
        let mut problems = Problems::default();
        let Config { deployments, fallbacks, pools, aliases, settings } = config;
        problems.check_settings(&settings);
        if deployments.is_empty() {
            problems.add(Place::Deployments, "there is no deployment: list at least one".to_owned());
        }
        let mut groups = Groups::of(&deployments);
        groups.add_names(&aliases, &mut problems);
        let tags = tags(&deployments, &mut problems);
        let pools = resolve_pools(&groups, &deployments, &fallbacks, &pools, &settings, &mut problems);
        let deployments = resolve_deployments(&groups, &tags, deployments, &settings, &mut problems);
        if !problems.0.is_empty() {
            return Err(ConfigErrors(problems.0));
        }
        let by_id = indices(deployments.len())
            .zip(&deployments)
            .map(|(index, deployment)| (deployment.id.clone(), index))
            .collect();
        let Groups { by_alias, .. } = groups;
        let mut patterns: Vec<(Alias, PoolIndex)> = by_alias
            .iter()
            .filter(|(alias, _)| alias.as_str().contains('*'))
            .map(|(alias, pool)| (alias.clone(), *pool))
            .collect();
        let lacking = deployments.iter().fold(Abilities::NONE, |all, deployment| all.with(deployment.lacks));
        patterns.sort_by_key(|(alias, _)| (std::cmp::Reverse(alias.as_str().len()), alias.clone()));
        Ok(Self { deployments, pools, by_alias, patterns: patterns.into(), by_id, tags, lacking, settings })
    }

    /// Returns the pool behind an alias, or behind the most specific pattern that it matches.
    pub fn pool(&self, alias: &str) -> Option<PoolIndex> {
        let exact = self.by_alias.get(alias).copied();
        exact.or_else(|| {
            self.patterns
                .iter()
                .find(|(pattern, _)| pattern::captures(pattern.as_str(), alias).is_some())
                .map(|found| found.1)
        })
    }

    /// Returns the tag that requests without tags look for.
    pub(crate) fn default_tag(&self) -> TagSet {
        self.tags.get("default").copied().unwrap_or_default()
    }

    /// Returns the model to ask a deployment for when `asked` was called: its own, with each `*` in it replaced by what the `*` of
    /// the pool's alias stands for.
    pub fn model_for<'m>(
        &'m self,
        pool: PoolIndex,
        deployment: DeploymentIndex,
        asked: &'m str,
    ) -> Cow<'m, str> {
        let model = self[deployment].model();
        if !model.contains('*') {
            return Cow::Borrowed(model);
        }
        match pattern::captures(self[pool].alias().as_str(), asked) {
            Some(captured) => Cow::Owned(pattern::fill(model, &captured)),
            None => Cow::Borrowed(asked),
        }
    }

    /// Returns the set of these tags. Tags that no deployment has are in it all the same: they match nobody.
    pub fn tags<'t>(&self, names: impl IntoIterator<Item = &'t str>) -> TagSet {
        let tag = |name| self.tags.get(name).copied().unwrap_or(TagSet::UNKNOWN);
        names.into_iter().fold(TagSet::NONE, |set, name| set.with(tag(name)))
    }

    /// Returns what any of its deployments is known to lack.
    pub const fn lacking(&self) -> Abilities {
        self.lacking
    }

    /// Returns the deployment with this id.
    pub fn deployment(&self, id: &str) -> Option<DeploymentIndex> {
        self.by_id.get(id).copied()
    }

    /// Returns every pool, in the order their aliases first appear.
    pub fn pools(&self) -> &[Pool] {
        &self.pools
    }

    /// Returns every deployment, in the order of the configuration.
    pub fn deployments(&self) -> &[Deployment] {
        &self.deployments
    }

    /// Returns the position of every deployment.
    pub fn indices(&self) -> impl Iterator<Item = DeploymentIndex> + use<> {
        indices(self.deployments.len())
    }

    /// Returns the position of every pool.
    #[expect(clippy::cast_possible_truncation, reason = "there are no more pools than deployments")]
    pub fn pool_indices(&self) -> impl Iterator<Item = PoolIndex> + use<> {
        (0..self.pools.len() as u32).map(PoolIndex)
    }

    /// Returns the deployments of a pool of this catalog.
    pub fn members(&self, pool: PoolIndex) -> impl Iterator<Item = &Deployment> {
        self[pool].members.iter().map(|index| &self[*index])
    }

    /// Returns the settings of the whole router.
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Returns the most upstream calls a request to this pool can cause: each pool it can reach is entered once and makes
    /// one attempt and its retries. A request that sets its own retries has its own bound.
    pub fn attempt_bound(&self, pool: PoolIndex) -> u64 {
        const KINDS: [FallbackKind; 3] =
            [FallbackKind::General, FallbackKind::ContextWindow, FallbackKind::ContentPolicy];
        let mut reached = vec![pool];
        let mut next = 0;
        while let Some(&from) = reached.get(next) {
            next += 1;
            for kind in KINDS {
                for target in self[from].fallbacks(kind) {
                    if !reached.contains(target) {
                        reached.push(*target);
                    }
                }
            }
        }
        reached.iter().map(|pool| 1 + u64::from(self[*pool].most_retries())).sum()
    }
}

#[expect(clippy::indexing_slicing, reason = "an index is only made by, and used with, its own catalog")]
impl std::ops::Index<DeploymentIndex> for Catalog {
    type Output = Deployment;

    fn index(&self, index: DeploymentIndex) -> &Deployment {
        &self.deployments[index.get()]
    }
}

#[expect(clippy::indexing_slicing, reason = "an index is only made by, and used with, its own catalog")]
impl std::ops::Index<PoolIndex> for Catalog {
    type Output = Pool;

    fn index(&self, index: PoolIndex) -> &Pool {
        &self.pools[index.0 as usize]
    }
}

#[expect(clippy::cast_possible_truncation, reason = "nobody configures four billion deployments")]
fn indices(count: usize) -> impl Iterator<Item = DeploymentIndex> {
    (0..count as u32).map(DeploymentIndex)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{DeploymentConfig, FallbackConfig};

    fn alias(name: &str) -> Alias {
        Alias::try_from(name).unwrap()
    }

    fn deployment(name: &str, model: &str) -> DeploymentConfig {
        DeploymentConfig::new(alias(name), "openai", model)
    }

    fn edges(from: &str, to: &[&str]) -> FallbackConfig {
        FallbackConfig {
            kind: FallbackKind::General,
            from: Some(alias(from)),
            to: to.iter().map(|name| alias(name)).collect(),
        }
    }

    #[test]
    fn ids_are_readable_stable_and_unique() {
        let mut named = deployment("fast", "gpt");
        named.id = Some(DeploymentId::try_from("fast:gpt#2").unwrap());
        let catalog = Catalog::new(Config {
            deployments: vec![deployment("fast", "gpt"), deployment("fast", "gpt"), named],
            ..Config::default()
        })
        .unwrap();
        let ids: Vec<_> = catalog.deployments().iter().map(|deployment| deployment.id().as_str()).collect();
        assert_eq!(ids, ["fast:gpt", "fast:gpt#3", "fast:gpt#2"]);
    }

    #[test]
    fn every_problem_is_reported_with_its_place() {
        let mut odd = deployment("fast", "gpt");
        odd.weight = Some(-1.0);
        odd.timeout = Some(Duration::ZERO);
        let errors = Catalog::new(Config {
            deployments: vec![odd],
            fallbacks: vec![edges("slow", &["fast"]), edges("fast", &["fast", "capabel"])],
            ..Config::default()
        })
        .unwrap_err();
        let lines = errors.to_string();
        for expected in [
            "fallbacks[0]: there is no alias `slow`: known are fast",
            "fallbacks[1][1]: there is no alias `capabel`: known are fast",
            "deployments[0].weight: a weight is a number that is not negative",
            "deployments[0].timeout: a limit of 0 lets no request succeed",
        ] {
            assert!(lines.contains(expected), "{lines}");
        }
        assert_eq!(Catalog::new(Config::default()).unwrap_err().0.len(), 1);
    }

    #[test]
    fn the_attempt_bound_counts_each_reachable_pool_once() {
        let catalog = Catalog::new(Config {
            deployments: vec![deployment("a", "m"), deployment("b", "m"), deployment("c", "m")],
            fallbacks: vec![edges("a", &["b", "a"]), edges("b", &["a"])],
            ..Config::default()
        })
        .unwrap();
        assert_eq!(catalog.attempt_bound(catalog.pool("a").unwrap()), 6);
        assert_eq!(catalog.attempt_bound(catalog.pool("c").unwrap()), 3);
    }
}
