//! From a response request to a canonical one.
//!
//! | field | what becomes of it |
//! |---|---|
//! | `instructions` | the first system message |
//! | `input` | messages: texts, images, files, calls and their outputs; reasoning, which only its maker understands, is left out |
//! | `max_output_tokens` | `max_tokens` |
//! | `reasoning.effort` | `reasoning_effort` |
//! | `text.format`, `text.verbosity` | `response_format`, `verbosity` |
//! | `tools`, `tool_choice` | functions; OpenAI's own tools are refused |
//! | `temperature`, `top_p`, `parallel_tool_calls`, `stream`, `user`, `safety_identifier`, `prompt_cache_key`, `service_tier` | the same |
//! | `previous_response_id`, `conversation`, `prompt`, `background` | refused: nothing is kept here |
//! | others, such as `store`, `include`, `metadata`, `truncation` | not sent on: the answer is valid without |

use std::borrow::Cow;

use llm_router::{ChatRequest, JsonObject};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use crate::api::ApiError;
use crate::api::json::{Node, Object, needed, part};

const KEPT: [&str; 11] = [
    "temperature",
    "top_p",
    "parallel_tool_calls",
    "stream",
    "user",
    "safety_identifier",
    "prompt_cache_key",
    "service_tier",
    "fallbacks",
    "num_retries",
    "disable_fallbacks",
];

/// What would need a memory.
const STATEFUL: [&str; 4] = ["previous_response_id", "conversation", "prompt", "background"];

pub(super) fn canonical(body: &JsonObject) -> Result<ChatRequest, ApiError> {
    for name in STATEFUL {
        if body.field(name).is_some_and(|value| !matches!(value, "null" | "false")) {
            let why = "this gateway keeps no responses; send the whole conversation in `input`";
            return Err(ApiError::unsupported(name, why));
        }
    }
    if body.get::<u64>("top_logprobs", "a whole number")?.is_some_and(|count| count > 0) {
        return Err(ApiError::unsupported("top_logprobs", "ask at /v1/chat/completions"));
    }
    let mut request = Object::default();
    request.set_some("model", raw(body, "model"));
    request.set("messages", messages(body)?);
    request.set_some("max_tokens", raw(body, "max_output_tokens"));
    for name in KEPT {
        request.set_some(name, raw(body, name));
    }
    if body.get("stream", "a boolean")? == Some(true) {
        request.set("stream_options", json!({"include_usage": true}));
    }
    tools(body, &mut request)?;
    text_and_reasoning(body, &mut request)?;
    Ok(ChatRequest::from_json(request.to_json())?)
}

/// Returns a field as it was written; `None` when it is not there or null.
pub(super) fn raw<'a>(body: &'a JsonObject, name: &str) -> Option<&'a RawValue> {
    serde_json::from_str(body.field(name).filter(|value| *value != "null")?).ok()
}

/// An item of the input. Which members it has depends on its type.
#[derive(Deserialize)]
struct Item<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    role: Option<Cow<'a, str>>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(borrow)]
    call_id: Option<&'a RawValue>,
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
    #[serde(borrow)]
    output: Option<&'a RawValue>,
}

/// What the assistant did in one turn: it may speak and call, which are items of their own here and one message there.
#[derive(Default)]
struct Turn<'a> {
    content: Option<Node<'a>>,
    calls: Vec<Object<'a>>,
}

impl<'a> Turn<'a> {
    fn end(&mut self, messages: &mut Vec<Object<'a>>) {
        let Self { content, calls } = std::mem::take(self);
        if content.is_some() || !calls.is_empty() {
            let said = content.unwrap_or(serde_json::Value::Null.into());
            let message = Object::default().with("role", "assistant").with("content", said);
            messages.push(message.with_some("tool_calls", (!calls.is_empty()).then_some(calls)));
        }
    }
}

fn messages(body: &JsonObject) -> Result<Vec<Object<'_>>, ApiError> {
    let mut messages = Vec::new();
    if let Some(instructions) = raw(body, "instructions") {
        let text = content(instructions, "instructions")?;
        messages.push(Object::default().with("role", "system").with("content", text));
    }
    let input = raw(body, "input").ok_or_else(|| ApiError::missing("input"))?;
    if is_string(input) {
        messages.push(Object::default().with("role", "user").with("content", input));
        return Ok(messages);
    }
    let items: Vec<&RawValue> = part(input, "input", "a string or a list of items")?;
    let mut turn = Turn::default();
    for (index, item) in items.into_iter().enumerate() {
        let place = format!("input[{index}]");
        let item: Item<'_> = part(item, &place, "an item")?;
        match item.kind.as_deref().unwrap_or("message") {
            "message" => {
                let said = content(needed(item.content, &place, "content")?, &place)?;
                let role = match &*needed(item.role, &place, "role")? {
                    "user" => "user",
                    "system" | "developer" => "system",
                    "assistant" => {
                        turn.end(&mut messages);
                        turn.content = Some(said);
                        continue;
                    }
                    _ => {
                        let expected = "user, assistant, system or developer";
                        return Err(ApiError::wrong(&format!("{place}.role"), expected));
                    }
                };
                turn.end(&mut messages);
                messages.push(Object::default().with("role", role).with("content", said));
            }
            "function_call" => {
                let function = Object::default()
                    .with("name", needed(item.name, &place, "name")?)
                    .with("arguments", needed(item.arguments, &place, "arguments")?);
                let id = needed(item.call_id, &place, "call_id")?;
                let call = Object::default().with("id", id).with("type", "function");
                turn.calls.push(call.with("function", function));
            }
            "function_call_output" => {
                turn.end(&mut messages);
                let id = needed(item.call_id, &place, "call_id")?;
                let output = content(needed(item.output, &place, "output")?, &place)?;
                let message = Object::default().with("role", "tool").with("tool_call_id", id);
                messages.push(message.with("content", output));
            }
            "reasoning" => {}
            kind => {
                let why = format!(
                    "it is of type `{kind}`; messages, function calls and their outputs are understood"
                );
                return Err(ApiError::unsupported(&place, &why));
            }
        }
    }
    turn.end(&mut messages);
    Ok(messages)
}

fn is_string(value: &RawValue) -> bool {
    value.get().starts_with('"')
}

/// Converts content. One text stands for itself, since not every service takes lists.
fn content<'a>(content: &'a RawValue, place: &str) -> Result<Node<'a>, ApiError> {
    #[derive(Deserialize)]
    struct Part<'a> {
        #[serde(borrow, rename = "type")]
        kind: Cow<'a, str>,
        #[serde(borrow)]
        text: Option<&'a RawValue>,
        #[serde(borrow)]
        refusal: Option<&'a RawValue>,
        #[serde(borrow)]
        image_url: Option<&'a RawValue>,
        #[serde(borrow)]
        detail: Option<&'a RawValue>,
        #[serde(borrow)]
        filename: Option<&'a RawValue>,
        #[serde(borrow)]
        file_data: Option<&'a RawValue>,
    }
    if is_string(content) {
        return Ok(content.into());
    }
    let place = format!("{place}.content");
    let raw_parts: Vec<&'a RawValue> = part(content, &place, "a string or a list of parts")?;
    let is_single = raw_parts.len() == 1;
    let mut parts = Vec::with_capacity(raw_parts.len());
    for (index, raw_part) in raw_parts.into_iter().enumerate() {
        let place = format!("{place}[{index}]");
        let read: Part<'a> = part(raw_part, &place, "a part with a `type`")?;
        parts.push(match &*read.kind {
            "input_text" | "output_text" | "text" | "summary_text" | "refusal" => {
                let text = needed(read.text.or(read.refusal), &place, "text")?;
                if is_single {
                    return Ok(text.into());
                }
                Object::typed("text").with("text", text)
            }
            "input_image" => {
                let url = needed(read.image_url, &place, "image_url")?;
                let image = Object::default().with("url", url).with_some("detail", read.detail);
                Object::typed("image_url").with("image_url", image)
            }
            "input_file" => {
                let data = needed(read.file_data, &place, "file_data")?;
                let file = Object::default().with_some("filename", read.filename).with("file_data", data);
                Object::typed("file").with("file", file)
            }
            kind => {
                let why = format!("it is of type `{kind}`; texts, images and files are understood");
                return Err(ApiError::unsupported(&place, &why));
            }
        });
    }
    Ok(parts.into())
}

fn tools<'a>(body: &'a JsonObject, request: &mut Object<'a>) -> Result<(), ApiError> {
    #[derive(Deserialize)]
    struct Tool<'a> {
        #[serde(borrow, rename = "type")]
        kind: Cow<'a, str>,
        #[serde(borrow)]
        name: Option<&'a RawValue>,
        #[serde(borrow)]
        description: Option<&'a RawValue>,
        #[serde(borrow)]
        parameters: Option<&'a RawValue>,
        #[serde(borrow)]
        strict: Option<&'a RawValue>,
    }
    let tools: Vec<&'a RawValue> = body.get("tools", "a list")?.unwrap_or_default();
    if tools.is_empty() {
        return Ok(()); // a choice among no tools says nothing
    }
    let mut functions = Vec::with_capacity(tools.len());
    for (index, tool) in tools.into_iter().enumerate() {
        let place = format!("tools[{index}]");
        let tool: Tool<'a> = part(tool, &place, "a tool with a `type`")?;
        if tool.kind != "function" {
            let why =
                format!("it is of type `{}`, which runs at OpenAI only; functions are understood", tool.kind);
            return Err(ApiError::unsupported(&place, &why));
        }
        let function = Object::default()
            .with("name", needed(tool.name, &place, "name")?)
            .with_some("description", tool.description)
            .with_some("parameters", tool.parameters)
            .with_some("strict", tool.strict);
        functions.push(Object::typed("function").with("function", function));
    }
    request.set("tools", functions);
    if let Some(choice) = raw(body, "tool_choice") {
        #[derive(Deserialize)]
        struct Choice<'a> {
            #[serde(borrow, rename = "type")]
            kind: Cow<'a, str>,
            #[serde(borrow)]
            name: Option<&'a RawValue>,
        }
        let node = if is_string(choice) {
            choice.into()
        } else {
            let expected = "auto, none, required or a function to call";
            let choice: Choice<'a> = part(choice, "tool_choice", expected)?;
            if choice.kind != "function" {
                return Err(ApiError::wrong("tool_choice", expected));
            }
            let name = needed(choice.name, "tool_choice", "name")?;
            Node::from(Object::typed("function").with("function", Object::default().with("name", name)))
        };
        request.set("tool_choice", node);
    }
    Ok(())
}

fn text_and_reasoning<'a>(body: &'a JsonObject, request: &mut Object<'a>) -> Result<(), ApiError> {
    #[derive(Deserialize)]
    struct Reasoning<'a> {
        #[serde(borrow)]
        effort: Option<&'a RawValue>,
    }
    #[derive(Deserialize)]
    struct Text<'a> {
        #[serde(borrow)]
        format: Option<Format<'a>>,
        #[serde(borrow)]
        verbosity: Option<&'a RawValue>,
    }
    #[derive(Deserialize)]
    struct Format<'a> {
        #[serde(borrow, rename = "type")]
        kind: Cow<'a, str>,
        #[serde(borrow)]
        name: Option<&'a RawValue>,
        #[serde(borrow)]
        description: Option<&'a RawValue>,
        #[serde(borrow)]
        schema: Option<&'a RawValue>,
        #[serde(borrow)]
        strict: Option<&'a RawValue>,
    }
    let reasoning: Option<Reasoning<'a>> = body.get("reasoning", "an object")?;
    request.set_some("reasoning_effort", reasoning.and_then(|reasoning| reasoning.effort));
    let Some(text) = body.get::<Text<'a>>("text", "an object")? else { return Ok(()) };
    request.set_some("verbosity", text.verbosity);
    let Some(format) = text.format else { return Ok(()) };
    let place = "text.format";
    match &*format.kind {
        "text" => {}
        "json_object" => request.set("response_format", Object::typed("json_object")),
        "json_schema" => {
            let schema = Object::default()
                .with("name", needed(format.name, place, "name")?)
                .with_some("description", format.description)
                .with("schema", needed(format.schema, place, "schema")?)
                .with_some("strict", format.strict);
            request.set("response_format", Object::typed("json_schema").with("json_schema", schema));
        }
        _ => return Err(ApiError::wrong("text.format.type", "text, json_object or json_schema")),
    }
    Ok(())
}

#[cfg(test)]
mod tests;
