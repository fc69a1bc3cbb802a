//! The four numbers that say whether routing works: where requests go, how often they fall back, what that saves, and whether those that
//! went to the stronger model belonged there.

mod advice;
mod html;
mod source;
mod table;

use std::collections::BTreeMap;

use router_core::{Timestamp, Usage, Usd};
use serde::Serialize;

pub use self::source::{Label, Labels, RecordSource, SourceError, Verdict};
use crate::prices::RateCard;
use crate::record::{CallRecord, Outcome};

/// What is to be reported.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct ReportSettings {
    /// The model that all requests are compared with, and what it charges.
    pub baseline: Option<(String, RateCard)>,
    /// The pool to which hard requests are escalated; the dearest by the request when not said.
    pub escalated: Option<String>,
}

/// Adds up records.
#[derive(Debug)]
pub struct Tally {
    settings: ReportSettings,
    labels: Labels,
    first_ms: u64,
    last_ms: u64,
    pools: BTreeMap<Box<str>, PoolTally>,
    errors: BTreeMap<String, u64>,
}

#[derive(Debug, Default)]
struct PoolTally {
    answered: u64,
    failed: u64,
    abandoned: u64,
    fallbacks: u64,
    causes: BTreeMap<String, u64>,
    deployments: BTreeMap<Box<str>, u64>,
    attempts: u64,
    prompt_tokens: u64,
    completion_tokens: u64,
    cost: u64,
    unknown_costs: u64,
    baseline: u64,
    latencies: Vec<u32>,
    first_tokens: Vec<u32>,
    hard: u64,
    wrong: u64,
}

/// What the records of some time say.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// When the first and the last request came, in milliseconds since the Unix epoch.
    pub from_ms: u64,
    /// See `from_ms`.
    pub to_ms: u64,
    /// How many there were.
    pub calls: u64,
    /// Known cost, in pico-dollars.
    pub cost_pico_usd: u64,
    /// Attempts with an unknown cost, which is not in it.
    pub unknown_costs: u64,
    /// The model that is compared with.
    pub baseline: Option<String>,
    /// What the same tokens cost there, in pico-dollars.
    pub baseline_pico_usd: Option<u64>,
    /// The pools, the one with most calls first.
    pub pools: Vec<PoolReport>,
    /// The pool to which hard requests are escalated.
    pub escalated: Option<Box<str>>,
    /// Of the labelled samples of that pool, the share that was hard.
    pub escalation_accuracy: Option<f64>,
    /// How many samples were labelled.
    pub labelled: u64,
    /// The most frequent errors of attempts, with their deployment.
    pub errors: Vec<(String, u64)>,
    /// What to do about it.
    pub advice: Vec<String>,
}

/// What the records say of one pool.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct PoolReport {
    /// The alias that was called.
    pub pool: Box<str>,
    /// Requests.
    pub calls: u64,
    /// Their share of all, from 0 to 1.
    pub share: f64,
    /// Requests that were answered.
    pub answered: u64,
    /// Requests that were not.
    pub failed: u64,
    /// Requests that their callers left.
    pub abandoned: u64,
    /// Requests that went on to another pool.
    pub fallbacks: u64,
    /// Their share, from 0 to 1.
    pub fallback_rate: f64,
    /// Why they did, the most frequent first.
    pub causes: Vec<(String, u64)>,
    /// Who answered, or was called last, the most frequent first.
    pub deployments: Vec<(Box<str>, u64)>,
    /// Calls to deployments.
    pub attempts: u64,
    /// Tokens of prompts.
    pub prompt_tokens: u64,
    /// Tokens of answers.
    pub completion_tokens: u64,
    /// Known cost, in pico-dollars.
    pub cost_pico_usd: u64,
    /// Attempts with an unknown cost.
    pub unknown_costs: u64,
    /// What the same tokens cost at the baseline model, in pico-dollars.
    pub baseline_pico_usd: Option<u64>,
    /// Milliseconds from request to answer: median, 95 % and 99 %.
    pub latency_ms: [u32; 3],
    /// Milliseconds to the first token of streams: median, 95 % and 99 %.
    pub first_token_ms: Option<[u32; 3]>,
}

impl Tally {
    /// Starts with nothing; `labels` say of sampled requests what they were.
    pub const fn new(settings: ReportSettings, labels: Labels) -> Self {
        Self {
            settings,
            labels,
            first_ms: u64::MAX,
            last_ms: 0,
            pools: BTreeMap::new(),
            errors: BTreeMap::new(),
        }
    }

    /// Adds a record.
    pub fn add(&mut self, record: &CallRecord) {
        self.first_ms = self.first_ms.min(record.time_ms);
        self.last_ms = self.last_ms.max(record.time_ms);
        for attempt in &record.attempts {
            if let Some(error) = &attempt.error {
                *self.errors.entry(format!("{}: {error}", attempt.deployment)).or_default() += 1;
            }
        }
        let pool = self.pools.entry(record.pool.clone()).or_default();
        match record.outcome {
            Outcome::Answered => pool.answered += 1,
            Outcome::Failed => pool.failed += 1,
            Outcome::Abandoned => pool.abandoned += 1,
        }
        if record.fallback {
            pool.fallbacks += 1;
            let cause = record.fallback_cause.as_deref().unwrap_or("unknown").to_owned();
            *pool.causes.entry(cause).or_default() += 1;
        }
        if let Some(deployment) = &record.deployment {
            *pool.deployments.entry(deployment.clone()).or_default() += 1;
        }
        pool.attempts += record.attempts.len() as u64;
        pool.prompt_tokens += record.tokens.prompt;
        pool.completion_tokens += record.tokens.completion;
        pool.cost += record.cost_pico_usd;
        pool.unknown_costs += u64::from(record.unknown_costs);
        if let Some((_, card)) = &self.settings.baseline {
            pool.baseline += baseline_cost(card, record).as_pico();
        }
        let millis = |ms: u64| u32::try_from(ms).unwrap_or(u32::MAX);
        if record.outcome == Outcome::Answered {
            pool.latencies.push(millis(record.latency_ms));
            pool.first_tokens.extend(record.ttft_ms.map(millis));
        }
        match self.labels.of(&record.id) {
            Some(Verdict::Hard) => pool.hard += 1,
            Some(Verdict::Wrong) => pool.wrong += 1,
            None => {}
        }
    }

    /// Returns what the records say.
    pub fn finish(mut self) -> Report {
        let calls: u64 = self.pools.values().map(PoolTally::calls).sum();
        let has_baseline = self.settings.baseline.is_some();
        let escalated = self.settings.escalated.take().map(String::into_boxed_str).or_else(|| {
            let dearest = self.pools.iter().max_by_key(|(_, pool)| pool.cost / pool.calls().max(1));
            dearest.filter(|_| self.pools.len() > 1).map(|(name, _)| name.clone())
        });
        let of_escalated = escalated.as_ref().and_then(|name| self.pools.get(name));
        let (hard, wrong) = of_escalated.map_or((0, 0), |pool| (pool.hard, pool.wrong));
        let sum = |of: fn(&PoolTally) -> u64| self.pools.values().map(of).sum::<u64>();
        let mut report = Report {
            from_ms: if calls == 0 { 0 } else { self.first_ms },
            to_ms: self.last_ms,
            calls,
            cost_pico_usd: sum(|pool| pool.cost),
            unknown_costs: sum(|pool| pool.unknown_costs),
            baseline: self.settings.baseline.as_ref().map(|(name, _)| name.clone()),
            baseline_pico_usd: has_baseline.then(|| sum(|pool| pool.baseline)),
            pools: Vec::new(),
            escalation_accuracy: (hard + wrong > 0).then(|| ratio(hard, hard + wrong)),
            labelled: hard + wrong,
            escalated,
            errors: most_frequent(self.errors, 10),
            advice: Vec::new(),
        };
        report.pools =
            self.pools.into_iter().map(|(name, pool)| pool.finish(name, calls, has_baseline)).collect();
        report.pools.sort_by(|a, b| b.calls.cmp(&a.calls).then_with(|| a.pool.cmp(&b.pool)));
        report.advice = advice::advice(&report);
        report
    }
}

impl PoolTally {
    const fn calls(&self) -> u64 {
        self.answered + self.failed + self.abandoned
    }

    fn finish(mut self, pool: Box<str>, all: u64, has_baseline: bool) -> PoolReport {
        let calls = self.calls();
        PoolReport {
            pool,
            calls,
            share: ratio(calls, all),
            answered: self.answered,
            failed: self.failed,
            abandoned: self.abandoned,
            fallbacks: self.fallbacks,
            fallback_rate: ratio(self.fallbacks, calls),
            causes: most_frequent(self.causes, 5),
            deployments: most_frequent(self.deployments, 10),
            attempts: self.attempts,
            prompt_tokens: self.prompt_tokens,
            completion_tokens: self.completion_tokens,
            cost_pico_usd: self.cost,
            unknown_costs: self.unknown_costs,
            baseline_pico_usd: has_baseline.then_some(self.baseline),
            latency_ms: percentiles(&mut self.latencies).unwrap_or_default(),
            first_token_ms: percentiles(&mut self.first_tokens),
        }
    }
}

/// What the tokens of the answer would have cost at the baseline model. Those of failed attempts would not have been spent there.
fn baseline_cost(card: &RateCard, record: &CallRecord) -> Usd {
    let answered = record.attempts.iter().rev().find_map(|attempt| attempt.tokens);
    let tokens = answered.unwrap_or_default();
    let usage = Usage { prompt: tokens.prompt, completion: tokens.completion, ..Usage::default() };
    let cost = card.cost(&usage, Timestamp::from_millis(record.time_ms));
    cost.map(|cost| cost.total()).unwrap_or_default()
}

#[expect(clippy::cast_precision_loss, reason = "a share for people")]
fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

fn most_frequent<K: Ord + Clone>(counts: BTreeMap<K, u64>, most: usize) -> Vec<(K, u64)> {
    let mut counts: Vec<(K, u64)> = counts.into_iter().collect();
    counts.sort_by(|(a, many), (b, more)| more.cmp(many).then_with(|| a.cmp(b)));
    counts.truncate(most);
    counts
}

/// Median, 95 % and 99 %, by nearest rank.
fn percentiles(samples: &mut [u32]) -> Option<[u32; 3]> {
    samples.sort_unstable();
    let at = |percent: usize| {
        let rank = (samples.len() * percent).div_ceil(100).max(1);
        samples.get(rank - 1).copied()
    };
    Some([at(50)?, at(95)?, at(99)?])
}

#[cfg(test)]
mod tests;
