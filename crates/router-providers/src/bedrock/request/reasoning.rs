//! `reasoning_effort`, which each maker's models take in their own way.
//!
//! | model | what becomes of it |
//! |---|---|
//! | Claude | as at Anthropic: `thinking` with a budget, since 4.6 adaptive with an `output_config.effort` |
//! | Nova 2 | `reasoningConfig` with `maxReasoningEffort` low, medium or high |
//! | gpt-oss | `reasoning_effort` low, medium or high |
//! | Qwen | `reasoning_config` low, medium or high |
//! | others | `none` is what happens anyway; the rest is refused |

use router_core::ProviderError;
use serde_json::json;

use super::{BEDROCK, Body};
use crate::anthropic::Reasoning;
use crate::bedrock::model::{Family, family};
use crate::raw_json::Fields;

pub(super) fn apply<'a>(
    fields: &Fields<'a>,
    model_id: &str,
    body: &mut Body<'a>,
) -> Result<(), ProviderError> {
    let Some(effort) = fields.get("reasoning_effort") else { return Ok(()) };
    let family = family(model_id);
    // What the caller says in the model's own words counts.
    let own = ["thinking", "reasoningConfig", "reasoning_config", "reasoning_effort"];
    if own.iter().any(|name| body.model.has(name)) {
        return Ok(());
    }
    let level = match effort.get() {
        "\"none\"" => return Ok(()),
        "\"minimal\"" | "\"low\"" => "low",
        "\"medium\"" => "medium",
        "\"high\"" | "\"xhigh\"" | "\"max\"" => "high",
        other => {
            return Err(BEDROCK.unsupported(&format!("`reasoning_effort` {other}")));
        }
    };
    match family {
        Family::Claude => {
            let Some(reasoning) = Reasoning::of(effort, model_id)? else { return Ok(()) };
            let asked = fields.get("max_completion_tokens").or_else(|| fields.get("max_tokens"));
            let max_tokens = asked.and_then(|asked| asked.get().parse::<u64>().ok());
            let Some(thinking) = reasoning.thinking(max_tokens) else { return Ok(()) };
            body.model.set("thinking", thinking);
            if let Reasoning::Effort(effort) = reasoning {
                body.model.set("output_config", json!({ "effort": effort }));
            }
            // Claude refuses these beside thinking.
            for sampling in ["temperature", "topP"] {
                body.inference.remove(sampling);
            }
            body.model.remove("top_k");
        }
        Family::Nova { reasons: true } => {
            body.model.set("reasoningConfig", json!({"type": "enabled", "maxReasoningEffort": level}));
        }
        Family::GptOss => body.model.set("reasoning_effort", json!(level)),
        Family::Qwen => body.model.set("reasoning_config", json!(level)),
        Family::Nova { reasons: false } | Family::Other => {
            return Err(BEDROCK.unsupported("`reasoning_effort`, by this model,"));
        }
    }
    Ok(())
}
