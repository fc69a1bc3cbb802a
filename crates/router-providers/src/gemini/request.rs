//! From a canonical request to Gemini's.
//!
//! Each of OpenAI's fields is translated, dropped because it says nothing or only hints, or refused before anything is sent:
//! then another deployment may do it. What is in no list of OpenAI's passes through, so that Gemini's own fields
//! (`safetySettings`, `cachedContent`, `toolConfig`, …) can be used; Gemini names those it does not know.
//!
//! | field | what becomes of it |
//! |---|---|
//! | `messages` | `systemInstruction` and `contents`, see [`contents`] |
//! | `max_completion_tokens`, `max_tokens` | `maxOutputTokens`, which counts thoughts, too |
//! | `temperature`, `top_p`, `top_k`, `seed`, penalties | the same in `generationConfig`, in camel case |
//! | `stop`, `n` | `stopSequences`, `candidateCount` |
//! | `logprobs`, `top_logprobs` | `responseLogprobs`, `logprobs` |
//! | `tools`, `tool_choice`, `web_search_options` | `tools` and `toolConfig`, see [`tools`] |
//! | `parallel_tool_calls` | `false` is refused where there are tools: Gemini has no such switch |
//! | `response_format` | `responseMimeType` and `responseJsonSchema`; beside tools only since Gemini 3 |
//! | `reasoning_effort`, `thinking` | `thinkingConfig`, see [`thinking`] |
//! | `metadata` | on Vertex `labels`, as far as they are spelled as labels have to be; in AI Studio dropped |
//! | `service_tier` | in AI Studio `serviceTier`: `flex` and `priority`; refused on Vertex |
//! | `user`, `safety_identifier`, `store`, `prediction`, `verbosity`, `prompt_cache_*`, `cache_control` | dropped: hints, or OpenAI's own bookkeeping |
//! | `logit_bias`, `audio`, `modalities`, … | refused, unless they ask for what happens anyway |

mod contents;
mod thinking;
mod tools;

use std::borrow::Cow;

use bytes::Bytes;
use router_core::{ChatRequest, ProviderError};
use serde_json::json;
use serde_json::value::RawValue;

use super::model::Model;
use crate::canonical_request::{self, Addressee, invalid, is_idle, labels, part};
use crate::json_tree::{Node, Object};
use crate::protocol::Target;
use crate::raw_json::{self, Fields};
use crate::unsupported::is_neutral;

const GEMINI: Addressee = Addressee("Gemini");
/// What Gemini cannot do anything with.
const BEYOND: [&str; 6] = ["logit_bias", "modalities", "audio", "functions", "function_call", "moderation"];
/// What need not be sent where it asks for nothing.
const IDLE: [&str; 5] = ["presence_penalty", "frequency_penalty", "n", "logprobs", "top_logprobs"];

/// Where Gemini is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Host {
    AiStudio,
    Vertex,
}

pub(super) fn encode(target: &Target, request: &ChatRequest, host: Host) -> Result<Bytes, ProviderError> {
    let fields: Fields<'_> =
        serde_json::from_slice(request.body()).map_err(|_| invalid("the body is not a JSON object"))?;
    let model = Model::of(&target.model);
    let mut body = Object::default();
    let mut config = Object::default();
    let conversation = contents::convert(&fields, model)?;
    body.set("contents", conversation.contents);
    if !conversation.system.is_empty() {
        body.set("systemInstruction", Object::of("parts", conversation.system));
    }
    let tools = tools::convert(&fields)?;
    body.set_filled("tools", tools.list);
    body.set_some("toolConfig", tools.config);
    for (name, value) in &fields.0 {
        if !raw_json::is_null(value) {
            translate(name.clone(), value, host, &mut config, &mut body)?;
        }
    }
    if let Some(format) = fields.get("response_format") {
        response_format(format, &mut config)?;
        if tools.has_functions && config.has("responseMimeType") && !model.mixes_json_and_tools() {
            let what = "`response_format` beside `tools`, before Gemini 3,";
            return Err(GEMINI.unsupported(what));
        }
    }
    config.set_some("thinkingConfig", thinking::config(&fields, model)?);
    if let Some(native) = fields.get("generationConfig").or_else(|| fields.get("generation_config")) {
        let native: Fields<'_> = part(native, "generationConfig", "an object")?;
        for (name, value) in native.0 {
            config.set(name, value);
        }
    }
    body.set_filled("generationConfig", config);
    serde_json::to_vec(&body).map(Bytes::from).map_err(|_| invalid("the request cannot be written as JSON"))
}

/// Translates the fields that stand for themselves.
fn translate<'a>(
    name: Cow<'a, str>,
    value: &'a RawValue,
    host: Host,
    config: &mut Object<'a>,
    body: &mut Object<'a>,
) -> Result<(), ProviderError> {
    if is_idle(&name, value, &BEYOND, GEMINI)? || (IDLE.contains(&&*name) && is_neutral(&name, value)) {
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
        | "web_search_options"
        | "response_format"
        | "reasoning_effort"
        | "thinking"
        | "generationConfig"
        | "generation_config" => {}
        // Hints, and bookkeeping at OpenAI.
        "user"
        | "safety_identifier"
        | "store"
        | "prediction"
        | "verbosity"
        | "prompt_cache_key"
        | "prompt_cache_options"
        | "prompt_cache_retention"
        | "cache_control" => {}
        "max_completion_tokens" => config.set("maxOutputTokens", value),
        "max_tokens" if !config.has("maxOutputTokens") => config.set("maxOutputTokens", value),
        "max_tokens" => {}
        "temperature" | "seed" => config.set(name, value),
        "top_p" => config.set("topP", value),
        "top_k" => config.set("topK", value),
        "presence_penalty" => config.set("presencePenalty", value),
        "frequency_penalty" => config.set("frequencyPenalty", value),
        "n" => config.set("candidateCount", value),
        "logprobs" => config.set("responseLogprobs", value),
        "top_logprobs" => config.set("logprobs", value),
        "stop" => {
            let sequences = canonical_request::stop_sequences(value)?;
            let sequences: Vec<Node<'a>> =
                sequences.into_iter().filter(|text| !text.is_empty()).map(Node::Text).collect();
            config.set_filled("stopSequences", sequences);
        }
        "metadata" if host == Host::Vertex => {
            let mut object = Object::default();
            for (name, value) in labels(value, is_label) {
                object.set(name, value);
            }
            if !body.has("labels") {
                body.set_filled("labels", object);
            }
        }
        "metadata" => {}
        "service_tier" => match (value.get(), host) {
            ("\"auto\"" | "\"default\"", _) => {}
            ("\"flex\"" | "\"priority\"", Host::AiStudio) => body.set("serviceTier", value),
            (other, _) => {
                return Err(GEMINI.unsupported(&format!("`service_tier` {other}")));
            }
        },
        _ => body.set(name, value),
    }
    Ok(())
}

/// Google's rule for labels: lower case, digits, `_` and `-`, at most 63 characters, a letter first in a name.
fn is_label(name: &str, value: &str) -> bool {
    let is_plain = |text: &str| {
        text.len() <= 63 && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-'))
    };
    name.starts_with(|c: char| c.is_ascii_lowercase()) && is_plain(name) && is_plain(value)
}

fn response_format<'a>(format: &'a RawValue, config: &mut Object<'a>) -> Result<(), ProviderError> {
    let expected = "an object with a `type`";
    let format: Fields<'a> = part(format, "response_format", expected)?;
    let kind =
        format.get("type").ok_or_else(|| invalid("`response_format.type` is missing: expected a string"))?;
    match kind.get() {
        "\"text\"" => return Ok(()),
        "\"json_object\"" => {}
        "\"json_schema\"" => {
            let schema = format
                .get("json_schema")
                .and_then(|inner| serde_json::from_str::<Fields<'a>>(inner.get()).ok())
                .and_then(|inner| inner.get("schema"))
                .ok_or_else(|| {
                    invalid("`response_format.json_schema.schema` is missing: expected an object")
                })?;
            config.set("responseJsonSchema", schema);
        }
        other => {
            let what = format!("`response_format` of type {other}");
            return Err(GEMINI.unsupported(&what));
        }
    }
    config.set("responseMimeType", json!("application/json"));
    Ok(())
}

#[cfg(test)]
mod tests;
