//! `reasoning_effort`, which Anthropic's models take in two ways.
//!
//! | effort | Claude 4.6 and later: `output_config.effort` | earlier: `thinking.budget_tokens` |
//! |---|---|---|
//! | `none` | no thinking | no thinking |
//! | `minimal`, `low` | `low` | 1024 |
//! | `medium` | `medium` | 2048 |
//! | `high` | `high` | 4096 |
//! | `xhigh` | `high` | 8192 |
//! | `max` | `max` | 16384 |
//!
//! The budgets up to `high` are LiteLLM's. A budget has to be at least 1024 and below `max_tokens`: it takes at most half of
//! the tokens the caller allows, and there is no thinking when that is not enough. Nor is there any beside a forced tool
//! choice, a prefilled answer, or a tool loop whose calls carry no signed reasoning; Anthropic refuses these together.

use router_core::ProviderError;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::unsupported;

const MIN_BUDGET: u64 = 1024;

/// How much a model shall think.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reasoning {
    /// As much as it sees fit, in one of Anthropic's words for it.
    Effort(&'static str),
    /// At most this many tokens.
    Budget(u64),
}

impl Reasoning {
    /// Returns what an effort means to a model; `None` for no thinking at all.
    pub(crate) fn of(effort: &RawValue, model: &str) -> Result<Option<Self>, ProviderError> {
        let (word, budget) = match effort.get() {
            "\"none\"" => return Ok(None),
            "\"minimal\"" | "\"low\"" => ("low", 1024),
            "\"medium\"" => ("medium", 2048),
            "\"high\"" => ("high", 4096),
            "\"xhigh\"" => ("high", 8192),
            "\"max\"" => ("max", 16384),
            // Some hosts have words of their own, such as Groq's "default".
            other => return Err(unsupported(&format!("`reasoning_effort` {other}"))),
        };
        Ok(Some(if is_adaptive(model) { Self::Effort(word) } else { Self::Budget(budget) }))
    }

    /// Returns the `thinking` field that fits into the tokens allowed for the answer.
    pub(crate) fn thinking(self, max_tokens: Option<u64>) -> Option<Value> {
        match self {
            Self::Effort(_) => Some(json!({"type": "adaptive"})),
            Self::Budget(budget) => {
                let budget = match max_tokens {
                    Some(max) if max <= MIN_BUDGET => return None,
                    Some(max) => budget.min(max / 2).max(MIN_BUDGET),
                    None => budget,
                };
                Some(json!({"type": "enabled", "budget_tokens": budget}))
            }
        }
    }
}

/// Returns whether a model decides itself how long to think: those since 4.6 do, by their name, `claude-opus-4-6`.
fn is_adaptive(model: &str) -> bool {
    let Some((_, name)) = model.split_once("claude-") else { return false };
    // Dates are numbers of eight digits.
    let mut version =
        name.split(['-', '.', '@']).filter(|part| part.len() < 3).filter_map(|part| part.parse::<u32>().ok());
    let (major, minor) = (version.next().unwrap_or(0), version.next().unwrap_or(0));
    (major, minor) >= (4, 6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_told_apart_by_their_version() {
        for adaptive in [
            "claude-opus-4-6",
            "claude-sonnet-4-6",
            "claude-opus-4-8",
            "claude-sonnet-5",
            "claude-haiku-5-20270101",
        ] {
            assert!(is_adaptive(adaptive), "{adaptive}");
        }
        for budgeted in [
            "claude-3-7-sonnet-20250219",
            "claude-sonnet-4-0",
            "claude-sonnet-4-20250514",
            "claude-opus-4-1-20250805",
            "claude-haiku-4-5",
            "my-model-9",
            "claude-instant",
        ] {
            assert!(!is_adaptive(budgeted), "{budgeted}");
        }
    }

    #[test]
    fn a_budget_leaves_room_for_the_answer() {
        let budget = |budget, max| {
            Reasoning::Budget(budget).thinking(max).map(|thinking| thinking["budget_tokens"].clone())
        };
        assert_eq!(budget(2048, None), Some(json!(2048)));
        assert_eq!(budget(2048, Some(8000)), Some(json!(2048)));
        assert_eq!(budget(2048, Some(3000)), Some(json!(1500)));
        assert_eq!(budget(2048, Some(1100)), Some(json!(1024)));
        assert_eq!(budget(2048, Some(1024)), None);
    }
}
