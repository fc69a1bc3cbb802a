//! From a canonical request to Anthropic's. One that was written in Anthropic's format is sent as it was written.
//!
//! Each of OpenAI's fields is translated, dropped because it says nothing or only hints, or refused before anything is sent:
//! then another deployment may do it. What is in no list of OpenAI's passes through, so that Anthropic's own fields
//! (`thinking`, `top_k`, `cache_control`, `mcp_servers`, …) can be used; Anthropic names those it does not know.
//!
//! | field | what becomes of it |
//! |---|---|
//! | `messages` | `system` and `messages`, see [`messages`] |
//! | `max_completion_tokens`, `max_tokens` | `max_tokens`, which Anthropic demands: 4096 when absent, plus a thinking budget |
//! | `temperature` | at most 1, which is as random as Anthropic gets |
//! | `stop` | `stop_sequences`, without blank ones, which are refused |
//! | `tools`, `tool_choice`, `parallel_tool_calls` | `tools` and `tool_choice`, see [`tools`] |
//! | `response_format` | `json_schema` becomes `output_config.format`; `json_object` has no counterpart and is refused |
//! | `reasoning_effort` | `thinking`, see [`reasoning`] |
//! | `user`, `safety_identifier` | `metadata.user_id` |
//! | `service_tier` | `auto` and `default` (`standard_only`); others are refused |
//! | `seed`, `store`, `metadata`, `prediction`, `verbosity`, `prompt_cache_*` | dropped: hints, or OpenAI's own bookkeeping; the answer is valid without |
//! | `n`, `logprobs`, `logit_bias`, penalties, `audio`, … | refused, unless they ask for what happens anyway |

mod media;
mod messages;
mod reasoning;
mod tools;

use std::borrow::Cow;

use bytes::Bytes;
use router_core::{ChatRequest, Edit, Native, NativeFormat, ProviderError};
use serde_json::value::RawValue;
use serde_json::{Value, json};

pub(crate) use self::reasoning::Reasoning;
use super::wire::{Block, Member, Object};
use crate::canonical_request::{self, Addressee, invalid};
use crate::protocol::{Mode, Target};
use crate::raw_json::{self, Fields};
use crate::unsupported::is_neutral;

const ANTHROPIC: Addressee = Addressee("Anthropic");
/// The length of an answer when the caller sets none; every Claude can do it.
const DEFAULT_MAX_TOKENS: u64 = 4096;

/// Who passes the request on to the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Envelope {
    /// Anthropic itself: the model stands in the body.
    Api,
    /// Vertex AI: the model stands in the path, and the version of the format in the body.
    Vertex,
}

pub(super) fn encode(
    target: &Target,
    request: &ChatRequest,
    mode: Mode,
    envelope: Envelope,
) -> Result<Bytes, ProviderError> {
    if let Some(native) = request.native().filter(|native| native.format() == NativeFormat::AnthropicMessages)
    {
        return Ok(as_written(native, target, mode, envelope));
    }
    let fields: Fields<'_> =
        serde_json::from_slice(request.body()).map_err(|_| invalid("the body is not a JSON object"))?;
    let mut body = Object::default();
    match envelope {
        Envelope::Api => body.set("model", json!(target.model)),
        Envelope::Vertex => body.set("anthropic_version", json!("vertex-2023-10-16")),
    }

    let conversation = messages::convert(&fields)?;
    if !conversation.system.is_empty() {
        if fields.get("system").is_some() {
            return Err(unsupported("`system` beside system messages; use one of them"));
        }
        body.set("system", Member::Blocks(conversation.system));
    }
    let tools = tools::convert(&fields)?;
    let reasoning = fields
        .get("reasoning_effort")
        // What the caller says in Anthropic's own words counts.
        .filter(|_| fields.get("thinking").is_none())
        .filter(|_| !tools.is_forced && conversation.allows_thinking)
        .map(|effort| Reasoning::of(effort, &target.model))
        .transpose()?
        .flatten();

    body.set("messages", Member::Turns(conversation.turns));
    if let Some(list) = tools.list {
        body.set("tools", Member::Objects(list));
        if let Some(choice) = tools.choice {
            body.set("tool_choice", choice);
        }
    }
    for (name, value) in &fields.0 {
        if !raw_json::is_null(value) {
            translate(name.clone(), value, &mut body)?;
        }
    }
    output_config(&fields, reasoning.as_ref(), &mut body)?;
    length(&fields, reasoning, &mut body);
    if mode == Mode::Stream {
        body.set("stream", json!(true));
    }
    serde_json::to_vec(&body).map(Bytes::from).map_err(|_| invalid("the request cannot be written as JSON"))
}

/// Addresses a request that its caller wrote in Anthropic's format.
fn as_written(native: &Native, target: &Target, mode: Mode, envelope: Envelope) -> Bytes {
    let stream = if mode == Mode::Stream { Edit::Set("true") } else { Edit::Remove };
    let stream = ("stream", stream);
    match envelope {
        Envelope::Api => native.body_with(&[("model", Edit::Set(&target.model_json)), stream]),
        Envelope::Vertex => native.body_with(&[
            ("model", Edit::Remove),
            ("anthropic_version", Edit::Set("\"vertex-2023-10-16\"")),
            stream,
        ]),
    }
}

/// Translates the fields that stand for themselves.
fn translate<'a>(
    name: Cow<'a, str>,
    value: &'a RawValue,
    body: &mut Object<'a>,
) -> Result<(), ProviderError> {
    let json = value.get();
    let unless = |neutral: bool| if neutral { Ok(()) } else { Err(unsupported(&format!("`{name}`"))) };
    match &*name {
        // Done elsewhere.
        "model"
        | "messages"
        | "stream"
        | "stream_options"
        | "tools"
        | "tool_choice"
        | "parallel_tool_calls"
        | "max_tokens"
        | "max_completion_tokens"
        | "reasoning_effort"
        | "response_format"
        | "output_config" => Ok(()),
        // Hints, and bookkeeping at OpenAI.
        "seed"
        | "store"
        | "prediction"
        | "verbosity"
        | "prompt_cache_key"
        | "prompt_cache_options"
        | "prompt_cache_retention" => Ok(()),
        "n" | "logprobs" | "top_logprobs" | "presence_penalty" | "frequency_penalty" | "logit_bias"
        | "modalities" => unless(is_neutral(&name, value)),
        "audio" | "functions" | "function_call" | "moderation" | "web_search_options" => unless(false),
        "temperature" => {
            match json.parse::<f64>() {
                Ok(number) if number > 1.0 => body.set("temperature", json!(1)),
                _ => body.set("temperature", value),
            }
            Ok(())
        }
        "stop" => {
            let sequences = canonical_request::stop_sequences(value)?;
            let sequences: Vec<_> = sequences.into_iter().filter(|text| !text.trim().is_empty()).collect();
            if !sequences.is_empty() {
                body.set("stop_sequences", json!(sequences));
            }
            Ok(())
        }
        "user" | "safety_identifier" => {
            body.set("metadata", json!({"user_id": value}));
            Ok(())
        }
        // OpenAI's is a list of labels for its own records; of Anthropic's, the user is the one member.
        "metadata" => {
            let user = serde_json::from_str::<Fields<'_>>(json).ok().and_then(|labels| labels.get("user_id"));
            if let Some(user) = user
                && !body.has("metadata")
            {
                body.set("metadata", json!({"user_id": user}));
            }
            Ok(())
        }
        "service_tier" => match json {
            "\"auto\"" | "\"standard_only\"" => {
                body.set("service_tier", value);
                Ok(())
            }
            "\"default\"" => {
                body.set("service_tier", json!("standard_only"));
                Ok(())
            }
            _ => Err(unsupported(&format!("`service_tier` {json}"))),
        },
        _ => {
            body.set(name, value);
            Ok(())
        }
    }
}

fn output_config<'a>(
    fields: &Fields<'a>,
    reasoning: Option<&Reasoning>,
    body: &mut Object<'a>,
) -> Result<(), ProviderError> {
    let mut config = Object::default();
    if let Some(native) = fields.get("output_config") {
        let native: Fields<'a> = serde_json::from_str(native.get())
            .map_err(|_| invalid("`output_config` is wrong: expected an object"))?;
        for (name, value) in native.0 {
            config.set(name, value);
        }
    }
    if let Some(Reasoning::Effort(effort)) = reasoning
        && !config.has("effort")
    {
        config.set("effort", json!(effort));
    }
    if let Some(format) = fields.get("response_format") {
        let wrong = || invalid("`response_format` is wrong: expected an object with a `type`");
        let format: Fields<'a> = serde_json::from_str(format.get()).map_err(|_| wrong())?;
        match format.get("type").ok_or_else(wrong)?.get() {
            "\"text\"" => {}
            "\"json_schema\"" => {
                let schema = format
                    .get("json_schema")
                    .and_then(|inner| serde_json::from_str::<Fields<'a>>(inner.get()).ok())
                    .and_then(|inner| inner.get("schema"))
                    .ok_or_else(|| {
                        invalid("`response_format.json_schema.schema` is missing: expected an object")
                    })?;
                let mut format = Object::default();
                format.set("type", json!("json_schema"));
                format.set("schema", schema);
                config.set("format", format);
            }
            other => return Err(unsupported(&format!("`response_format` of type {other}"))),
        }
    }
    if !config.is_empty() {
        body.set("output_config", config);
    }
    Ok(())
}

/// Sets `max_tokens` and, out of it, the thinking budget.
fn length<'a>(fields: &Fields<'a>, reasoning: Option<Reasoning>, body: &mut Object<'a>) {
    let asked = fields.get("max_completion_tokens").or_else(|| fields.get("max_tokens"));
    let asked_tokens = asked.and_then(|asked| asked.get().parse::<u64>().ok());
    let native_budget = fields
        .get("thinking")
        .and_then(|thinking| serde_json::from_str::<Fields<'_>>(thinking.get()).ok())
        .and_then(|thinking| thinking.get("budget_tokens")?.get().parse::<u64>().ok());
    let thinking = reasoning.and_then(|reasoning| reasoning.thinking(asked_tokens));
    let budget = thinking.as_ref().and_then(|thinking| thinking["budget_tokens"].as_u64()).or(native_budget);
    match asked {
        Some(asked) => body.set("max_tokens", asked),
        None => body.set("max_tokens", json!(DEFAULT_MAX_TOKENS + budget.unwrap_or(0))),
    }
    if let Some(thinking) = thinking {
        body.set("thinking", thinking);
        // Anthropic refuses these beside thinking; at OpenAI, too, models that reason do not take them.
        for sampling in ["temperature", "top_p", "top_k"] {
            body.remove(sampling);
        }
    }
}

/// The error for what this format cannot express.
fn unsupported(what: &str) -> ProviderError {
    ANTHROPIC.unsupported(what)
}

/// Returns a text block, unless the text is blank, which Anthropic refuses.
fn text_block<'a>(text: &'a RawValue, cache_control: Option<&'a RawValue>) -> Option<Block<'a>> {
    let is_blank = raw_json::text(text).is_none_or(|text| text.trim().is_empty());
    (!is_blank).then_some(Block::Text { text: Cow::Borrowed(text), cache_control })
}

fn raw(value: &Value) -> Option<Box<RawValue>> {
    serde_json::value::to_raw_value(value).ok()
}

#[cfg(test)]
mod tests;
