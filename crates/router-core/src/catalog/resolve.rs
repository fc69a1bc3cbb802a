//! How a configuration becomes a catalog: names resolved, defaults filled in, every problem found.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::{Deployment, DeploymentIndex, Limits, Pool, PoolIndex, indices};
use crate::account::AccountId;
use crate::breaker::BreakerPolicy;
use crate::config::{ConfigError, DeploymentConfig, FallbackConfig, Place, PoolConfig, Settings};
use crate::demand::TagSet;
use crate::{Alias, DeploymentId};

/// The deployments by alias, in order of first appearance.
pub(super) struct Groups {
    pub(super) by_alias: HashMap<Alias, PoolIndex>,
    members: Vec<(Alias, Vec<DeploymentIndex>)>,
}

impl Groups {
    #[expect(clippy::cast_possible_truncation, reason = "nobody configures four billion deployments")]
    pub(super) fn of(deployments: &[DeploymentConfig]) -> Self {
        let mut groups = Self { by_alias: HashMap::new(), members: Vec::new() };
        for (index, deployment) in indices(deployments.len()).zip(deployments) {
            let next = PoolIndex(groups.members.len() as u32);
            let pool = *groups.by_alias.entry(deployment.alias.clone()).or_insert(next);
            if pool == next {
                groups.members.push((deployment.alias.clone(), Vec::new()));
            }
            if let Some((_, members)) = groups.members.get_mut(pool.0 as usize) {
                members.push(index);
            }
        }
        groups
    }
}

impl Groups {
    /// Adds further names for pools, one level deep.
    pub(super) fn add_names(&mut self, names: &[(Alias, Alias)], problems: &mut Problems) {
        let named = names.iter().enumerate().filter_map(|(n, (name, target))| {
            let pool = problems.find(self, target, Place::Alias(n))?;
            Some((n, name.clone(), pool))
        });
        for (n, name, pool) in named.collect::<Vec<_>>() {
            if self.by_alias.insert(name.clone(), pool).is_some_and(|other| other != pool) {
                problems.add(Place::Alias(n), format!("`{name}` is the alias of a pool already"));
            }
        }
    }
}

/// Gives each tag a bit.
pub(super) fn tags(deployments: &[DeploymentConfig], problems: &mut Problems) -> HashMap<Box<str>, TagSet> {
    let mut tags: HashMap<Box<str>, TagSet> = HashMap::new();
    for (n, deployment) in deployments.iter().enumerate() {
        for tag in &deployment.tags {
            let next = tags.len();
            if next >= 63 && !tags.contains_key(tag.as_str()) {
                problems
                    .add(Place::Deployment(n, "tags"), "there are more than 63 different tags".to_owned());
                return tags;
            }
            tags.entry(tag.as_str().into()).or_insert(TagSet(1 << next));
        }
    }
    tags
}

pub(super) fn resolve_pools(
    groups: &Groups,
    deployments: &[DeploymentConfig],
    fallbacks: &[FallbackConfig],
    overrides: &[PoolConfig],
    settings: &Settings,
    problems: &mut Problems,
) -> Box<[Pool]> {
    let mut pools: Vec<Pool> = groups
        .members
        .iter()
        .map(|(alias, members)| Pool {
            alias: alias.clone(),
            members: members.as_slice().into(),
            strategy: Arc::clone(&settings.routing_strategy),
            num_retries: settings.num_retries,
            retry_policy: settings.retry_policy.clone(),
            window: members.iter().filter_map(|index| deployments.get(index.get())?.max_input_tokens).max(),
            fallbacks: Box::default(),
            context_window_fallbacks: Box::default(),
            content_policy_fallbacks: Box::default(),
        })
        .collect();
    for (n, list) in fallbacks.iter().enumerate() {
        let targets: Vec<PoolIndex> = list
            .to
            .iter()
            .enumerate()
            .filter_map(|(m, target)| problems.find(groups, target, Place::FallbackTo(n, m)))
            .collect();
        let from = list.from.as_ref().and_then(|from| problems.find(groups, from, Place::FallbackFrom(n)));
        if let Some(pool) = from.and_then(|from| pools.get_mut(from.0 as usize)) {
            let edges = pool.edges_mut(list.kind);
            *edges = edges.iter().copied().chain(targets).collect();
        }
    }
    // What holds for every pool holds for those that say nothing themselves; a pool does not fall back to itself by default.
    for list in fallbacks.iter().filter(|list| list.from.is_none()) {
        let named = |pool: &Pool| {
            fallbacks.iter().any(|other| other.kind == list.kind && other.from.as_ref() == Some(&pool.alias))
        };
        for pool in &mut pools {
            if !named(pool) {
                let targets = list.to.iter().filter(|target| **target != pool.alias);
                let targets =
                    targets.filter_map(|target| groups.by_alias.get(target).copied()).collect::<Vec<_>>();
                let edges = pool.edges_mut(list.kind);
                *edges = edges.iter().copied().chain(targets).collect();
            }
        }
    }
    for (n, PoolConfig { alias, routing_strategy, num_retries, retry_policy }) in overrides.iter().enumerate()
    {
        let index = problems.find(groups, alias, Place::Pool(n));
        let Some(pool) = index.and_then(|index| pools.get_mut(index.0 as usize)) else { continue };
        if let Some(strategy) = routing_strategy {
            pool.strategy = Arc::clone(strategy);
        }
        pool.num_retries = num_retries.unwrap_or(pool.num_retries);
        if let Some(policy) = retry_policy {
            pool.retry_policy = policy.clone();
        }
    }
    pools.into()
}

pub(super) fn resolve_deployments(
    groups: &Groups,
    tags: &HashMap<Box<str>, TagSet>,
    deployments: Vec<DeploymentConfig>,
    settings: &Settings,
    problems: &mut Problems,
) -> Box<[Deployment]> {
    let strides = strides(groups, &deployments, problems);
    let ids = ids(&deployments, problems);
    let domains = domains(&deployments);
    let providers = providers(&deployments);
    let own_tags: Vec<TagSet> = deployments
        .iter()
        .map(|config| {
            let known = config.tags.iter().filter_map(|tag| tags.get(tag.as_str()));
            known.fold(TagSet::NONE, |set, tag| set.with(*tag))
        })
        .collect();
    let mut pool_tags = vec![TagSet::NONE; deployments.len()];
    for (_, members) in &groups.members {
        let union = members.iter().filter_map(|index| own_tags.get(index.get()));
        let union = union.fold(TagSet::NONE, |set, tags| set.with(*tags));
        for index in members {
            if let Some(tags) = pool_tags.get_mut(index.get()) {
                *tags = union;
            }
        }
    }
    let resolved = deployments.into_iter().zip(strides).zip(ids).zip(domains).zip(providers).enumerate().map(
        |(n, ((((config, stride), id), (same_credential, same_account_model)), provider_index))| {
            let timeout = config.timeout.unwrap_or(settings.timeout);
            let stream_timeout = config.stream_timeout.or(settings.stream_timeout).unwrap_or(timeout);
            problems.check_span(config.timeout, Place::Deployment(n, "timeout"));
            problems.check_span(config.stream_timeout, Place::Deployment(n, "stream_timeout"));
            Deployment {
                account: AccountId::of_deployment(&id),
                id,
                provider: config.provider.into(),
                model: config.model.into(),
                max_input_tokens: config.max_input_tokens,
                timeout,
                stream_timeout,
                order: config.order.unwrap_or(u32::MAX),
                limits: Limits {
                    rpm: config.rpm,
                    tpm: config.tpm,
                    max_parallel_requests: config
                        .max_parallel_requests
                        .or(settings.default_max_parallel_requests),
                },
                strict_limits: config.strict_limits.unwrap_or(settings.strict_limits),
                price: config.price,
                supports_assistant_prefill: config.supports_assistant_prefill,
                has: config.has.without(config.lacks),
                lacks: config.lacks,
                tags: own_tags.get(n).copied().unwrap_or_default(),
                pool_tags: pool_tags.get(n).copied().unwrap_or_default(),
                provider_index,
                same_credential,
                same_account_model,
                breaker: BreakerPolicy {
                    by_kind: config
                        .allowed_fails_policy
                        .unwrap_or_else(|| settings.allowed_fails_policy.clone()),
                    allowed_fails: config.allowed_fails.unwrap_or(settings.allowed_fails),
                    cooldown_time: config.cooldown_time.unwrap_or(settings.cooldown_time),
                },
                stride,
            }
        },
    );
    resolved.collect()
}

type Peers = Box<[DeploymentIndex]>;

/// For each deployment the others with the same credential, and those of them with the same model.
fn domains(deployments: &[DeploymentConfig]) -> Vec<(Peers, Peers)> {
    let mut by_credential: HashMap<(&str, u32), Vec<DeploymentIndex>> = HashMap::new();
    for (index, deployment) in indices(deployments.len()).zip(deployments) {
        if let Some(credential) = deployment.credential {
            by_credential.entry((&deployment.provider, credential)).or_default().push(index);
        }
    }
    let peers = |(index, deployment): (DeploymentIndex, &DeploymentConfig)| {
        let sharing =
            deployment.credential.and_then(|number| by_credential.get(&(&*deployment.provider, number)));
        let others = sharing.into_iter().flatten().copied().filter(|other| *other != index);
        let same_credential: Peers = others.collect();
        let model = |other: &DeploymentIndex| deployments.get(other.get()).map(|other| &other.model);
        let same_model =
            same_credential.iter().copied().filter(|other| model(other) == Some(&deployment.model));
        let same_model: Peers = same_model.collect();
        (same_credential, same_model)
    };
    indices(deployments.len()).zip(deployments).map(peers).collect()
}

/// The number of each deployment's provider.
#[expect(clippy::cast_possible_truncation, reason = "there are no more providers than deployments")]
fn providers(deployments: &[DeploymentConfig]) -> Vec<u32> {
    let mut numbers: HashMap<&str, u32> = HashMap::new();
    deployments
        .iter()
        .map(|deployment| {
            let next = numbers.len() as u32;
            *numbers.entry(&deployment.provider).or_insert(next)
        })
        .collect()
}

/// The distance between two turns of each deployment; `None` for a stand-by.
///
/// The share is the weight, else rpm, else tpm: the first of the three that any member of the pool has. A member that lacks
/// it counts as the mean of those that have it (as 1 for weights), so that nobody is starved by an omission.
fn strides(groups: &Groups, deployments: &[DeploymentConfig], problems: &mut Problems) -> Vec<Option<u64>> {
    const TURN: f64 = 65_536.0;
    for (n, deployment) in deployments.iter().enumerate() {
        if deployment.weight.is_some_and(|weight| !(weight >= 0.0 && weight.is_finite())) {
            problems
                .add(Place::Deployment(n, "weight"), "a weight is a number that is not negative".to_owned());
        }
    }
    let mut strides = vec![None; deployments.len()];
    for (_, members) in &groups.members {
        let shares = shares(members, deployments);
        let largest = shares.iter().copied().fold(0.0, f64::max);
        for (index, share) in members.iter().zip(shares) {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "floats saturate")]
            if let (Some(stride), true) = (strides.get_mut(index.get()), share > 0.0) {
                // A share smaller than a millionth of the largest counts as that.
                *stride = Some((TURN * (largest / share).min(1e6)) as u64);
            }
        }
    }
    strides
}

#[expect(clippy::cast_precision_loss, reason = "shares need no exact integers")]
fn shares(members: &[DeploymentIndex], deployments: &[DeploymentConfig]) -> Vec<f64> {
    type Share = fn(&DeploymentConfig) -> Option<f64>;
    let by: [Share; 3] = [
        |deployment| deployment.weight,
        |deployment| deployment.rpm.map(|rpm| rpm as f64),
        |deployment| deployment.tpm.map(|tpm| tpm as f64),
    ];
    for (n, share) in by.into_iter().enumerate() {
        let given: Vec<Option<f64>> =
            members.iter().map(|index| deployments.get(index.get()).and_then(share)).collect();
        let known: Vec<f64> = given.iter().flatten().copied().collect();
        if known.iter().any(|share| *share > 0.0) {
            let missing = if n == 0 { 1.0 } else { known.iter().sum::<f64>() / known.len() as f64 };
            return given.into_iter().map(|share| share.unwrap_or(missing)).collect();
        }
    }
    vec![1.0; members.len()]
}

/// The ids as given, or `alias:model`, numbered where that is not unique.
fn ids(deployments: &[DeploymentConfig], problems: &mut Problems) -> Vec<DeploymentId> {
    let mut taken: HashMap<DeploymentId, usize> = HashMap::new();
    for (n, deployment) in deployments.iter().enumerate() {
        if let Some(id) = &deployment.id
            && let Some(first) = taken.insert(id.clone(), n)
        {
            let message = format!("the id `{id}` is also that of deployment {first}: ids are unique");
            problems.add(Place::Deployment(n, "id"), message);
        }
    }
    let mut ids = Vec::with_capacity(deployments.len());
    for (n, deployment) in deployments.iter().enumerate() {
        let id = deployment.id.clone().or_else(|| {
            let base = format!("{}:{}", deployment.alias, deployment.model);
            let numbered = (2..).map(|number| format!("{base}#{number}"));
            std::iter::once(base.clone())
                .chain(numbered)
                .filter_map(|name| DeploymentId::try_from(name).ok())
                .find(|id| !taken.contains_key(id))
        });
        if let Some(id) = id {
            taken.insert(id.clone(), n);
            ids.push(id);
        }
    }
    ids
}

#[derive(Default)]
pub(super) struct Problems(pub(super) Vec<ConfigError>);

impl Problems {
    pub(super) fn add(&mut self, place: Place, message: String) {
        self.0.push(ConfigError { place, message });
    }

    fn find(&mut self, groups: &Groups, alias: &Alias, place: Place) -> Option<PoolIndex> {
        let found = groups.by_alias.get(alias).copied();
        if found.is_none() {
            let known: Vec<&str> = groups.members.iter().map(|(alias, _)| alias.as_str()).collect();
            self.add(place, format!("there is no alias `{alias}`: known are {}", known.join(", ")));
        }
        found
    }

    pub(super) fn check_settings(&mut self, settings: &Settings) {
        self.check_span(Some(settings.timeout), Place::Setting("timeout"));
        self.check_span(settings.stream_timeout, Place::Setting("stream_timeout"));
        self.check_span(settings.total_timeout, Place::Setting("total_timeout"));
    }

    fn check_span(&mut self, limit: Option<Duration>, place: Place) {
        if limit.is_some_and(|limit| limit.is_zero()) {
            self.add(place, "a limit of 0 lets no request succeed".to_owned());
        }
    }
}
