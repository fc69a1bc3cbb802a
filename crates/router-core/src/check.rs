//! What a careful reader would say about a configuration that is valid.

use std::fmt;
use std::time::Duration;

use crate::catalog::{Catalog, PoolIndex};
use crate::config::FallbackKind;
use crate::{Abilities, Alias, Deployment};

/// Something about a configuration that somebody should know.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// The rule that found it, for suppressing and searching.
    pub rule: &'static str,
    /// The pool it is about; `None` when it is about the whole.
    pub pool: Option<Alias>,
    /// What it is, what it means, and what to do.
    pub message: String,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Good to know.
    Info,
    /// It works, but hardly as meant.
    Warning,
    /// It does not work.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// Reads a catalog as a careful person would, pool by pool in the order of the configuration.
///
/// ```
/// use router_core::{Alias, Catalog, Config, DeploymentConfig, check};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let alone = DeploymentConfig::new(Alias::try_from("fast")?, "openai", "gpt-4o-mini");
/// let catalog = Catalog::new(Config { deployments: vec![alone], ..Config::default() })?;
/// assert_eq!(check(&catalog)[0].rule, "no-way-out");
/// # Ok(())
/// # }
/// ```
pub fn check(catalog: &Catalog) -> Vec<Finding> {
    let mut findings = Vec::new();
    for pool in catalog.pool_indices() {
        let reader = Reader { catalog, pool };
        let found = [
            reader.no_way_out(),
            reader.one_provider(),
            reader.falls_back_to_itself(),
            reader.cycle(),
            reader.context_fallback_is_no_larger(),
            reader.fallback_is_smaller(),
            reader.fallback_lacks_abilities(),
            reader.beyond_max_fallbacks(),
            reader.no_price(),
            reader.longest_wait(),
        ];
        findings.extend(found.into_iter().flatten().map(|found| reader.finding(found)));
    }
    findings
}

type Found = (Severity, &'static str, String);

struct Reader<'a> {
    catalog: &'a Catalog,
    pool: PoolIndex,
}

impl Reader<'_> {
    fn finding(&self, (severity, rule, message): Found) -> Finding {
        Finding { severity, rule, pool: Some(self.name(self.pool).clone()), message }
    }

    fn name(&self, pool: PoolIndex) -> &Alias {
        self.catalog[pool].alias()
    }

    fn edges(&self, pool: PoolIndex, kind: FallbackKind) -> &[PoolIndex] {
        self.catalog[pool].fallbacks(kind)
    }

    /// The pools that a general failure can lead to, this one first.
    fn reachable(&self) -> Vec<PoolIndex> {
        let mut reached = vec![self.pool];
        let mut next = 0;
        while let Some(&from) = reached.get(next) {
            next += 1;
            for target in self.edges(from, FallbackKind::General) {
                if !reached.contains(target) {
                    reached.push(*target);
                }
            }
        }
        reached
    }

    fn deployments(&self, pools: &[PoolIndex]) -> Vec<&Deployment> {
        pools.iter().flat_map(|pool| self.catalog.members(*pool)).collect()
    }

    fn no_way_out(&self) -> Option<Found> {
        let reachable = self.deployments(&self.reachable());
        let [only] = reachable.as_slice() else { return None };
        let message = format!(
            "`{}` is all there is: when it fails, nobody answers; add a deployment or a fallback",
            only.id()
        );
        Some((Severity::Warning, "no-way-out", message))
    }

    fn one_provider(&self) -> Option<Found> {
        let reachable = self.deployments(&self.reachable());
        let first = reachable.first()?.provider();
        let message = format!("everything it can reach belongs to `{first}`: an outage there takes it all");
        let alone = reachable.len() > 1 && reachable.iter().all(|deployment| deployment.provider() == first);
        alone.then_some((Severity::Warning, "one-provider", message))
    }

    fn falls_back_to_itself(&self) -> Option<Found> {
        let kinds = [FallbackKind::General, FallbackKind::ContextWindow, FallbackKind::ContentPolicy];
        let kind = kinds.into_iter().find(|kind| self.edges(self.pool, *kind).contains(&self.pool))?;
        let message = format!(
            "`{}` sends it to itself: an alias is entered once, so this does nothing{}",
            kind.setting(),
            match kind {
                FallbackKind::General => "",
                FallbackKind::ContextWindow | FallbackKind::ContentPolicy =>
                    ", and `fallbacks` are not used in its place",
            }
        );
        Some((Severity::Warning, "falls-back-to-itself", message))
    }

    fn cycle(&self) -> Option<Found> {
        let targets = self.edges(self.pool, FallbackKind::General);
        let leads_back = |target: &&PoolIndex| {
            **target != self.pool
                && Reader { catalog: self.catalog, pool: **target }.reachable().contains(&self.pool)
        };
        let through = targets.iter().find(leads_back)?;
        let message = format!(
            "`fallbacks` lead through `{}` back to it: legal, each alias is entered once; at most {} calls for one request",
            self.name(*through),
            self.catalog.attempt_bound(self.pool)
        );
        Some((Severity::Info, "cycle", message))
    }

    fn context_fallback_is_no_larger(&self) -> Option<Found> {
        let own = self.catalog[self.pool].window;
        let targets =
            self.edges(self.pool, FallbackKind::ContextWindow).iter().filter(|target| **target != self.pool);
        let mut doubtful = targets.filter(|target| match (self.catalog[**target].window, own) {
            (Some(wider), Some(own)) => wider <= own,
            // The same models have the same windows, whatever the alias is called.
            _ => self.models(**target).iter().all(|model| self.models(self.pool).contains(model)),
        });
        let target = doubtful.next()?;
        let message = format!(
            "`context_window_fallbacks` lead to `{}`, whose window is no larger: a prompt too long here is too long there",
            self.name(*target)
        );
        Some((Severity::Warning, "context-fallback-no-larger", message))
    }

    fn fallback_is_smaller(&self) -> Option<Found> {
        let own = self.catalog[self.pool].window?;
        let smaller = |target: &&PoolIndex| self.catalog[**target].window.is_some_and(|window| window < own);
        let target = self.edges(self.pool, FallbackKind::General).iter().find(smaller)?;
        let message = format!(
            "`fallbacks` lead to `{}`, whose window of {} tokens is smaller than {own}: prompts between the two fail there",
            self.name(*target),
            self.catalog[*target].window.unwrap_or_default()
        );
        Some((Severity::Warning, "fallback-smaller-window", message))
    }

    fn fallback_lacks_abilities(&self) -> Option<Found> {
        let own = self.deployments(&[self.pool]).iter().fold(Abilities::NONE, |all, one| all.with(one.has()));
        let missing = |target: &PoolIndex| {
            // What one of them has, or may have, is served there.
            let members = self.deployments(&[*target]);
            own.without(members.iter().fold(Abilities::NONE, |all, one| all.with(own.without(one.lacks()))))
        };
        let lacking = |target: &&PoolIndex| !missing(target).is_empty();
        let target = self.edges(self.pool, FallbackKind::General).iter().find(lacking)?;
        let message = format!(
            "`fallbacks` lead to `{}`, which has no {}: requests that need it fail there",
            self.name(*target),
            missing(target)
        );
        Some((Severity::Warning, "fallback-lacks-ability", message))
    }

    fn models(&self, pool: PoolIndex) -> Vec<(&str, &str)> {
        self.catalog.members(pool).map(|deployment| (deployment.provider(), deployment.model())).collect()
    }

    fn beyond_max_fallbacks(&self) -> Option<Found> {
        let most = self.catalog.settings().max_fallbacks as usize;
        let reachable = self.reachable();
        let beyond = reachable.get(most + 1)?;
        let message = format!(
            "`max_fallbacks` is {most}: `{}` and what follows is only reached when pools before it are cooling",
            self.name(*beyond)
        );
        Some((Severity::Info, "beyond-max-fallbacks", message))
    }

    fn no_price(&self) -> Option<Found> {
        let by_cost = self.catalog[self.pool].strategy().name() == "cost-based-routing";
        let unknown: Vec<&str> = self
            .catalog
            .members(self.pool)
            .filter(|deployment| deployment.price().is_none())
            .map(|deployment| deployment.id().as_str())
            .collect();
        if !by_cost || unknown.is_empty() || self.catalog[self.pool].members().len() == 1 {
            return None;
        }
        let message = format!(
            "it routes by cost, but the price of {} is not known: such deployments come last, in turn; set \
             `input_cost_per_token` and `output_cost_per_token`",
            unknown.join(", ")
        );
        Some((Severity::Warning, "no-price", message))
    }

    /// The longest a caller can wait, if every attempt takes all its time.
    fn longest_wait(&self) -> Option<Found> {
        let slowest = |pool: &PoolIndex| {
            let timeouts = self.catalog.members(*pool).map(Deployment::timeout);
            timeouts.max().unwrap_or_default().saturating_mul(1 + self.catalog[*pool].most_retries())
        };
        let most = self.catalog.settings().max_fallbacks as usize + 1;
        let longest: Duration = self.reachable().iter().take(most).map(slowest).sum();
        match self.catalog.settings().total_timeout {
            Some(total) if total < longest => {
                let message = format!(
                    "its attempts could take {} s, `total_timeout` ends them after {} s: what comes late may not be tried",
                    longest.as_secs(),
                    total.as_secs()
                );
                Some((Severity::Info, "longer-than-total-timeout", message))
            }
            None if longest > Duration::from_secs(600) => {
                let message = format!(
                    "if every attempt hangs, a caller waits {} s: set `timeout`, or `total_timeout` for the whole",
                    longest.as_secs()
                );
                Some((Severity::Info, "long-wait", message))
            }
            Some(_) | None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, DeploymentConfig, FallbackConfig};
    use std::sync::Arc;

    fn alias(name: &str) -> Alias {
        Alias::try_from(name).unwrap()
    }

    fn edge(kind: FallbackKind, from: &str, to: &str) -> FallbackConfig {
        FallbackConfig { kind, from: Some(alias(from)), to: vec![alias(to)] }
    }

    /// Deployments as `alias/provider/model`, with short timeouts.
    fn config(deployments: &[&str], fallbacks: &[(FallbackKind, &str, &str)]) -> Config {
        let deployment = |text: &&str| {
            let mut parts = text.split('/');
            let mut part = || parts.next().unwrap();
            DeploymentConfig::new(alias(part()), part(), part())
        };
        let mut config = Config {
            deployments: deployments.iter().map(deployment).collect(),
            fallbacks: fallbacks.iter().map(|(kind, from, to)| edge(*kind, from, to)).collect(),
            ..Config::default()
        };
        config.settings.timeout = Duration::from_secs(10);
        config
    }

    fn rules(config: Config) -> Vec<String> {
        let findings = check(&Catalog::new(config).unwrap());
        findings.iter().map(|found| format!("{}: {}", found.pool.as_ref().unwrap(), found.rule)).collect()
    }

    use FallbackKind::{ContextWindow, General};

    #[test]
    fn a_sound_configuration_has_no_findings() {
        let pools = ["a/openai/m", "a/anthropic/m", "b/openai/n", "b/anthropic/n"];
        assert_eq!(rules(config(&pools, &[(General, "a", "b")])), Vec::<String>::new());
    }

    #[test]
    fn each_rule_finds_its_case() {
        let check = |deployments: &[&str], fallbacks: &[(FallbackKind, &str, &str)], expected: &[&str]| {
            assert_eq!(rules(config(deployments, fallbacks)), expected, "{deployments:?} {fallbacks:?}");
        };
        check(&["a/openai/m"], &[], &["a: no-way-out"]);
        check(&["a/openai/m", "a/openai/n"], &[], &["a: one-provider"]);
        let both = ["a/openai/m", "a/anthropic/m", "b/openai/n", "b/anthropic/n"];
        check(&both, &[(ContextWindow, "a", "a")], &["a: falls-back-to-itself"]);
        check(&both, &[(General, "a", "b"), (General, "b", "a")], &["a: cycle", "b: cycle"]);
        let same = ["a/openai/m", "a/anthropic/m", "b/openai/m", "b/anthropic/m"];
        check(&same, &[(ContextWindow, "a", "b")], &["a: context-fallback-no-larger"]);
        check(&both, &[(ContextWindow, "a", "b")], &[]);
    }

    #[test]
    fn a_fallback_with_a_smaller_window_or_without_an_ability_is_pointed_at() {
        let both = ["a/openai/m", "a/anthropic/m", "b/openai/n", "b/anthropic/n"];
        let mut smaller = config(&both, &[(General, "a", "b")]);
        for (deployment, window) in smaller.deployments.iter_mut().zip([200, 100, 150, 50]) {
            deployment.max_input_tokens = Some(window);
        }
        assert_eq!(rules(smaller), ["a: fallback-smaller-window"]);

        let mut unable = config(&both, &[(General, "a", "b")]);
        unable.deployments[1].has = Abilities::TOOLS;
        unable.deployments[2].lacks = Abilities::TOOLS;
        assert_eq!(rules(unable.clone()), Vec::<String>::new(), "the other may be able");
        unable.deployments[3].lacks = Abilities::TOOLS.with(Abilities::VISION);
        assert_eq!(rules(unable), ["a: fallback-lacks-ability"]);
    }

    #[test]
    fn windows_prices_fallback_counts_and_times_are_read() {
        let both = ["a/openai/m", "a/anthropic/m", "b/openai/n", "b/anthropic/n"];
        let mut smaller = config(&both, &[(ContextWindow, "a", "b")]);
        smaller.deployments[0].max_input_tokens = Some(100);
        smaller.deployments[2].max_input_tokens = Some(50);
        assert_eq!(rules(smaller), ["a: context-fallback-no-larger"]);

        let mut by_cost = config(&both, &[]);
        by_cost.settings.routing_strategy = Arc::new(crate::CostBased);
        assert_eq!(rules(by_cost), ["a: no-price", "b: no-price"]);

        let mut few = config(&both, &[(General, "a", "b")]);
        few.settings.max_fallbacks = 0;
        assert_eq!(rules(few), ["a: beyond-max-fallbacks"]);

        let mut slow = config(&both, &[(General, "a", "b")]);
        slow.settings.timeout = Duration::from_secs(150);
        assert_eq!(rules(slow.clone()), ["a: long-wait"]);
        slow.settings.total_timeout = Some(Duration::from_secs(500));
        assert_eq!(rules(slow), ["a: longer-than-total-timeout"]);
    }
}
