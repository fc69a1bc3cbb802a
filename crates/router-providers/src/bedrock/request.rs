//! From a canonical request to Converse's.
//!
//! Each of OpenAI's fields is translated, dropped because it says nothing or only hints, or refused before anything is sent:
//! then another deployment may do it. Converse's own fields (`guardrailConfig`, `performanceConfig`, …) pass through; everything
//! else that is in no list of OpenAI's goes into `additionalModelRequestFields`, where the model itself finds it.
//!
//! | field | what becomes of it |
//! |---|---|
//! | `messages` | `system` and `messages`, see [`messages`] |
//! | `cache_control` | a `cachePoint` after what it marks |
//! | `max_completion_tokens`, `max_tokens`, `temperature`, `top_p`, `stop` | `inferenceConfig`; the temperature at most 1, stops not blank |
//! | `top_k` | among the model's own fields, where Nova has it in another place |
//! | `tools`, `tool_choice`, `parallel_tool_calls` | `toolConfig`, see [`tools`] |
//! | `response_format` | `json_schema` becomes `outputConfig`, for models that take it; `json_object` is refused |
//! | `reasoning_effort` | the model's own field for it, see [`reasoning`] |
//! | `metadata` | `requestMetadata`, as far as AWS takes it |
//! | `service_tier` | `serviceTier` |
//! | `user`, `safety_identifier`, `seed`, `store`, `prediction`, `verbosity`, `prompt_cache_*` | dropped: hints, or OpenAI's own bookkeeping |
//! | `n`, `logprobs`, `logit_bias`, penalties, `audio`, … | refused, unless they ask for what happens anyway |

mod media;
mod messages;
mod reasoning;
mod tools;

use std::borrow::Cow;

use bytes::Bytes;
use router_core::{ChatRequest, ProviderError};
use serde_json::json;
use serde_json::value::RawValue;

use super::model::{self, Family};
use crate::canonical_request::{self, Addressee, invalid, is_idle, labels, part};
use crate::json_tree::{Node, Object};
use crate::raw_json::{self, Fields};

const BEDROCK: Addressee = Addressee("Bedrock");
/// What Bedrock cannot do anything with.
const BEYOND: [&str; 12] = [
    "n",
    "logprobs",
    "top_logprobs",
    "presence_penalty",
    "frequency_penalty",
    "logit_bias",
    "modalities",
    "audio",
    "functions",
    "function_call",
    "moderation",
    "web_search_options",
];

/// The parts of a request that several fields write into.
#[derive(Default)]
struct Body<'a> {
    top: Object<'a>,
    inference: Object<'a>,
    /// `additionalModelRequestFields`
    model: Object<'a>,
}

pub(super) fn encode(model_id: &str, request: &ChatRequest) -> Result<Bytes, ProviderError> {
    let fields: Fields<'_> =
        serde_json::from_slice(request.body()).map_err(|_| invalid("the body is not a JSON object"))?;
    let family = model::family(model_id);
    let mut body = Body::default();
    let conversation = messages::convert(&fields)?;
    body.top.set_filled("system", conversation.system);
    body.top.set("messages", conversation.turns);
    let tools = tools::convert(&fields, &conversation.called, model_id)?;
    body.top.set_some("toolConfig", tools.config);
    if tools.is_serial {
        body.model.set("tool_choice", json!({"type": "auto", "disable_parallel_tool_use": true}));
    }
    for (name, value) in &fields.0 {
        if !raw_json::is_null(value) {
            translate(name.clone(), value, family, &mut body)?;
        }
    }
    if let Some(format) = fields.get("response_format") {
        body.top.set_some("outputConfig", output_config(format, model_id)?);
    }
    if conversation.allows_thinking && !tools.is_forced {
        reasoning::apply(&fields, model_id, &mut body)?;
    }
    body.top.set_filled("inferenceConfig", body.inference);
    body.top.set_filled("additionalModelRequestFields", body.model);
    serde_json::to_vec(&body.top)
        .map(Bytes::from)
        .map_err(|_| invalid("the request cannot be written as JSON"))
}

/// Translates the fields that stand for themselves.
fn translate<'a>(
    name: Cow<'a, str>,
    value: &'a RawValue,
    family: Family,
    body: &mut Body<'a>,
) -> Result<(), ProviderError> {
    if is_idle(&name, value, &BEYOND, BEDROCK)? {
        return Ok(());
    }
    match &*name {
        // Done elsewhere.
        "model"
        | "messages"
        | "stream"
        | "stream_options"
        | "tools"
        | "tool_choice"
        | "parallel_tool_calls"
        | "response_format"
        | "reasoning_effort" => {}
        // Hints, and bookkeeping at OpenAI.
        "user"
        | "safety_identifier"
        | "seed"
        | "store"
        | "prediction"
        | "verbosity"
        | "prompt_cache_key"
        | "prompt_cache_options"
        | "prompt_cache_retention" => {}
        "max_completion_tokens" => body.inference.set("maxTokens", value),
        "max_tokens" if !body.inference.has("maxTokens") => body.inference.set("maxTokens", value),
        "max_tokens" => {}
        "temperature" => match value.get().parse::<f64>() {
            Ok(number) if number > 1.0 => body.inference.set("temperature", json!(1)),
            _ => body.inference.set("temperature", value),
        },
        "top_p" => body.inference.set("topP", value),
        "top_k" if matches!(family, Family::Nova { .. }) => {
            body.model.set("inferenceConfig", Object::of("topK", value));
        }
        "stop" => {
            let sequences = canonical_request::stop_sequences(value)?;
            let sequences: Vec<Node<'a>> =
                sequences.into_iter().filter(|text| !text.trim().is_empty()).map(Node::Text).collect();
            body.inference.set_filled("stopSequences", sequences);
        }
        "metadata" => {
            let mut object = Object::default();
            for (name, value) in labels(value, is_label) {
                object.set(name, value);
            }
            if !body.top.has("requestMetadata") {
                body.top.set_filled("requestMetadata", object);
            }
        }
        "service_tier" => match value.get() {
            "\"auto\"" => {}
            "\"default\"" | "\"flex\"" | "\"priority\"" => {
                body.top.set("serviceTier", Object::of("type", value))
            }
            other => {
                return Err(BEDROCK.unsupported(&format!("`service_tier` {other}")));
            }
        },
        "inferenceConfig" => merge(value, "inferenceConfig", &mut body.inference)?,
        "additionalModelRequestFields" => merge(value, "additionalModelRequestFields", &mut body.model)?,
        "guardrailConfig"
        | "performanceConfig"
        | "promptVariables"
        | "requestMetadata"
        | "outputConfig"
        | "additionalModelResponseFieldPaths"
        | "serviceTier" => body.top.set(name, value),
        _ => body.model.set(name, value),
    }
    Ok(())
}

fn merge<'a>(value: &'a RawValue, place: &str, into: &mut Object<'a>) -> Result<(), ProviderError> {
    let native: Fields<'a> = part(value, place, "an object")?;
    for (name, value) in native.0 {
        into.set(name, value);
    }
    Ok(())
}

/// AWS's rule for what it takes as metadata of a request.
fn is_label(name: &str, value: &str) -> bool {
    let is_plain = |text: &str| {
        let allowed =
            |c: char| c.is_ascii_alphanumeric() || c.is_ascii_whitespace() || ":_@$#=/+,.-".contains(c);
        text.len() <= 256 && text.chars().all(allowed)
    };
    !name.is_empty() && is_plain(name) && is_plain(value)
}

fn output_config<'a>(format: &'a RawValue, model_id: &str) -> Result<Option<Node<'a>>, ProviderError> {
    let format: Fields<'a> = part(format, "response_format", "an object with a `type`")?;
    let kind =
        format.get("type").ok_or_else(|| invalid("`response_format.type` is missing: expected a string"))?;
    match kind.get() {
        "\"text\"" => return Ok(None),
        "\"json_schema\"" if model::takes_schema(model_id) => {}
        other => {
            let what = format!("`response_format` of type {other}, by this model,");
            return Err(BEDROCK.unsupported(&what));
        }
    }
    let place = "response_format.json_schema";
    let inner = format.get("json_schema").ok_or_else(|| invalid(&format!("`{place}` is missing")))?;
    let inner: Fields<'a> = part(inner, place, "an object")?;
    let schema = inner
        .get("schema")
        .ok_or_else(|| invalid(&format!("`{place}.schema` is missing: expected an object")))?;
    let mut json_schema = Object::of("schema", schema.get());
    json_schema.set_some("name", inner.get("name"));
    json_schema.set_some("description", inner.get("description"));
    let text_format =
        Object::of("type", "json_schema").with("structure", Object::of("jsonSchema", json_schema));
    Ok(Some(Object::of("textFormat", text_format).into()))
}

#[cfg(test)]
mod tests;
