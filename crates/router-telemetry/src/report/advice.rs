//! What each number calls for.

use super::{PoolReport, Report};

/// More than this share of requests at one pool says that the classifier does not divide; of the strongest, that it is too careful.
const TOO_MUCH: f64 = 0.9;
/// More fallbacks than this say that a pool is unreliable or too small.
const MANY_FALLBACKS: f64 = 0.05;
/// Fewer hard ones than this among the escalated say that the classifier is wrong.
const MANY_WRONG: f64 = 0.7;

pub(super) fn advice(report: &Report) -> Vec<String> {
    if report.calls == 0 {
        return vec![
            "There are no requests in this time: point --db or --jsonl at what a sink wrote.".to_owned(),
        ];
    }
    let mut advice = Vec::new();
    distribution(report, &mut advice);
    report.pools.iter().for_each(|pool| fallbacks(pool, &mut advice));
    cost(report, &mut advice);
    escalation(report, &mut advice);
    if advice.is_empty() {
        advice.push("Nothing stands out.".to_owned());
    }
    advice
}

fn distribution(report: &Report, advice: &mut Vec<String>) {
    let Some(pool) = report.pools.first().filter(|pool| pool.share > TOO_MUCH && report.calls >= 20) else {
        return;
    };
    let share = percent(pool.share);
    advice.push(match &report.escalated {
        Some(escalated) if **escalated == *pool.pool => format!(
            "{share} of requests go to `{}`: the classifier is too conservative; lower the threshold for escalation.",
            pool.pool
        ),
        _ => format!("{share} of requests go to `{}`: see whether the other pools are needed.", pool.pool),
    });
}

fn fallbacks(pool: &PoolReport, advice: &mut Vec<String>) {
    if pool.fallback_rate > MANY_FALLBACKS && pool.calls >= 20 {
        let cause = pool.causes.first().map_or("unknown", |(cause, _)| cause);
        let remedy = match cause {
            "rate limited" | "quota exhausted" => "add a second deployment or raise its limits",
            "context window exceeded" => "give it a model with a larger window, or classify by length",
            "refused by content policy" => "put a model with another policy into it",
            "authentication failed" | "permission denied" | "not found" => "its credential or model is wrong",
            _ => "its provider is unreliable: add a second deployment to the pool",
        };
        advice.push(format!(
            "`{}` falls back in {} of its requests, mostly for: {cause}. {}.",
            pool.pool,
            percent(pool.fallback_rate),
            capitalized(remedy)
        ));
    }
}

fn cost(report: &Report, advice: &mut Vec<String>) {
    if report.unknown_costs > 0 {
        advice.push(format!(
            "The cost of {} attempts is not known: set `input_cost_per_token` and `output_cost_per_token` for their deployments, or \
             update the price table.",
            report.unknown_costs
        ));
    }
    let (Some(model), Some(baseline)) = (&report.baseline, report.baseline_pico_usd) else { return };
    if report.cost_pico_usd > baseline && report.unknown_costs == 0 {
        advice.push(format!(
            "Routing costs more than sending everything to `{model}`: move traffic to cheaper pools."
        ));
    }
    for pool in &report.pools {
        if pool.baseline_pico_usd.is_some_and(|baseline| pool.cost_pico_usd > baseline) && pool.calls >= 20 {
            advice.push(format!(
                "`{}` costs more than `{model}` would: keep it for requests that need it.",
                pool.pool
            ));
        }
    }
}

fn escalation(report: &Report, advice: &mut Vec<String>) {
    let Some(escalated) = &report.escalated else { return };
    match report.escalation_accuracy {
        None => advice.push(format!(
            "Nobody has looked yet whether requests to `{escalated}` are hard: `llm-router report sample` picks some, \
             `llm-router report label ID hard|wrong` takes your verdict."
        )),
        Some(accuracy) if accuracy < MANY_WRONG => advice.push(format!(
            "Only {} of the labelled requests to `{escalated}` were hard: give the classifier those that were not as examples.",
            percent(accuracy)
        )),
        Some(accuracy) => advice.push(format!(
            "{} of the labelled requests to `{escalated}` were hard: the threshold is right.",
            percent(accuracy)
        )),
    }
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
