//! `reasoning_effort`, which Gemini's models take in two ways.
//!
//! | effort | Gemini 3 and later: `thinkingLevel` | Gemini 2.5: `thinkingBudget` |
//! |---|---|---|
//! | `none` | refused: thinking cannot be switched off | 0; refused by the large models |
//! | `minimal` | `minimal`, of the large models `low` | 1024 |
//! | `low` | `low` | 1024 |
//! | `medium` | `medium` | 8192 |
//! | `high`, `xhigh`, `max` | `high` | 24576 |
//!
//! The levels and budgets are those of Google's own OpenAI-compatible endpoint
//! (<https://ai.google.dev/gemini-api/docs/openai#thinking>). Thoughts are asked for whenever thinking is. `thinking` in the
//! words of Anthropic (`{"type": "enabled", "budget_tokens": 1024}`) is a budget, which every model that thinks takes. The
//! caller's own `generationConfig.thinkingConfig` stands above both.

use router_core::ProviderError;
use serde_json::json;
use serde_json::value::RawValue;

use super::GEMINI;
use crate::canonical_request::{invalid, part};
use crate::gemini::model::{Model, Thinking};
use crate::json_tree::Node;
use crate::raw_json::Fields;

pub(super) fn config<'a>(fields: &Fields<'a>, model: Model<'_>) -> Result<Option<Node<'a>>, ProviderError> {
    if let Some(thinking) = fields.get("thinking") {
        let thinking: Fields<'a> = part(thinking, "thinking", "an object with a `type`")?;
        return match (thinking.get("type").map(RawValue::get), thinking.get("budget_tokens")) {
            (Some("\"disabled\""), _) => off(model, "`thinking` of type \"disabled\""),
            (Some("\"enabled\""), Some(budget)) => {
                Ok(Some(json!({"includeThoughts": true, "thinkingBudget": budget}).into()))
            }
            (Some("\"enabled\"" | "\"adaptive\""), None) => Ok(Some(json!({"includeThoughts": true}).into())),
            _ => Err(invalid("`thinking.type` is wrong: expected \"enabled\", \"adaptive\" or \"disabled\"")),
        };
    }
    let Some(effort) = fields.get("reasoning_effort") else { return Ok(None) };
    let (level, budget) = match effort.get() {
        "\"none\"" => return off(model, "`reasoning_effort` \"none\""),
        "\"minimal\"" if model.is_pro() => ("low", 1024),
        "\"minimal\"" => ("minimal", 1024),
        "\"low\"" => ("low", 1024),
        "\"medium\"" => ("medium", 8192),
        "\"high\"" | "\"xhigh\"" | "\"max\"" => ("high", 24576),
        other => {
            return Err(GEMINI.unsupported(&format!("`reasoning_effort` {other}")));
        }
    };
    match model.thinking() {
        Thinking::Level => Ok(Some(json!({"includeThoughts": true, "thinkingLevel": level}).into())),
        Thinking::Budget => Ok(Some(json!({"includeThoughts": true, "thinkingBudget": budget}).into())),
        Thinking::None => Err(GEMINI.unsupported("`reasoning_effort`, before Gemini 2.5,")),
    }
}

fn off<'a>(model: Model<'_>, what: &str) -> Result<Option<Node<'a>>, ProviderError> {
    match model.thinking() {
        Thinking::None => Ok(None),
        Thinking::Budget if !model.is_pro() => Ok(Some(json!({"thinkingBudget": 0}).into())),
        Thinking::Budget | Thinking::Level => {
            Err(GEMINI.unsupported(&format!("{what}, by a model that always thinks,")))
        }
    }
}
