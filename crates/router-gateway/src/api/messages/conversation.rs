//! The conversation: Anthropic's blocks become OpenAI's messages.
//!
//! - `system` becomes the first message.
//! - Tool results become messages of their own, before the rest of their turn; images in them, which OpenAI takes from users only,
//!   go into that rest.
//! - Thinking is left out: only its maker understands it. Anthropic refuses thinking that it has not signed, so what came from
//!   elsewhere is left out of the native body, too.

use std::borrow::Cow;

use llm_router::JsonObject;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::request::Gap;
use crate::api::ApiError;
use crate::api::json::{Node, Object, needed, part, text};

/// A conversation in OpenAI's terms.
pub(super) struct Conversation<'a> {
    pub(super) messages: Vec<Object<'a>>,
    /// The messages in Anthropic's terms without unsigned thinking; `None` where there is none.
    pub(super) signed: Option<String>,
}

#[derive(Deserialize)]
struct Turn<'a> {
    #[serde(borrow)]
    role: Cow<'a, str>,
    #[serde(borrow)]
    content: &'a RawValue,
}

/// A block of content. Which members it has depends on its type.
#[derive(Deserialize)]
struct Block<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    #[serde(borrow)]
    source: Option<&'a RawValue>,
    #[serde(borrow)]
    title: Option<&'a RawValue>,
    #[serde(borrow)]
    signature: Option<&'a RawValue>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    #[serde(borrow)]
    input: Option<&'a RawValue>,
    #[serde(borrow)]
    tool_use_id: Option<&'a RawValue>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Source<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    media_type: Option<Cow<'a, str>>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    url: Option<&'a RawValue>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
}

pub(super) fn convert<'a>(body: &'a JsonObject, gap: &mut Gap) -> Result<Conversation<'a>, ApiError> {
    let mut messages = Vec::new();
    if let Some(system) = body.get::<&'a RawValue>("system", "a string or a list of text blocks")? {
        let parts = parts(system, "system", gap)?;
        messages.extend(message("system", parts));
    }
    let turns: Vec<&'a RawValue> =
        body.get("messages", "a list")?.ok_or_else(|| ApiError::missing("messages"))?;
    let mut unsigned = false;
    for (index, raw) in turns.iter().enumerate() {
        let place = format!("messages[{index}]");
        let turn: Turn<'a> = part(raw, &place, "an object with `role` and `content`")?;
        match &*turn.role {
            "user" => user(turn.content, &place, &mut messages, gap)?,
            "assistant" => unsigned |= assistant(turn.content, &place, &mut messages, gap)?,
            "system" => messages.extend(message("system", parts(turn.content, &place, gap)?)),
            _ => return Err(ApiError::wrong(&format!("{place}.role"), "user or assistant")),
        }
    }
    let signed = unsigned.then(|| without_unsigned(&turns));
    Ok(Conversation { messages, signed })
}

/// A message of these parts; `None` when there are none.
fn message<'a>(role: &'static str, parts: Vec<Part<'a>>) -> Option<Object<'a>> {
    (!parts.is_empty()).then(|| Object::default().with("role", role).with("content", content(parts)))
}

/// A part of a message in OpenAI's terms.
enum Part<'a> {
    Text(&'a RawValue),
    Other(Object<'a>),
}

/// One text stands for itself, since not every service takes lists.
fn content(parts: Vec<Part<'_>>) -> Node<'_> {
    match parts.as_slice() {
        [Part::Text(text)] => (*text).into(),
        _ => {
            let objects = parts.into_iter().map(|part| match part {
                Part::Text(text) => Object::typed("text").with("text", text),
                Part::Other(object) => object,
            });
            objects.collect::<Vec<_>>().into()
        }
    }
}

/// The blocks of a content, each with its place. Content that is a string has none.
fn blocks<'a>(content: &'a RawValue, place: &str) -> Result<Vec<(&'a RawValue, String)>, ApiError> {
    let blocks: Vec<&'a RawValue> =
        part(content, &format!("{place}.content"), "a string or a list of blocks")?;
    let numbered = blocks.into_iter().enumerate();
    Ok(numbered.map(|(index, block)| (block, format!("{place}.content[{index}]"))).collect())
}

fn is_string(value: &RawValue) -> bool {
    value.get().starts_with('"')
}

/// Converts content without calls, results or thinking.
fn parts<'a>(content: &'a RawValue, place: &str, gap: &mut Gap) -> Result<Vec<Part<'a>>, ApiError> {
    if is_string(content) {
        return Ok(vec![Part::Text(content)]);
    }
    let mut parts = Vec::new();
    for (raw, place) in blocks(content, place)? {
        let block: Block<'a> = part(raw, &place, "a block with a `type`")?;
        said(block, &place, &mut parts, gap)?;
    }
    Ok(parts)
}

/// Converts a block that either side can say, or the content of a result.
fn said<'a>(block: Block<'a>, place: &str, parts: &mut Vec<Part<'a>>, gap: &mut Gap) -> Result<(), ApiError> {
    match &*block.kind {
        "text" => parts.push(Part::Text(needed(block.text, place, "text")?)),
        "image" => {
            let place = &format!("{place}.source");
            let source: Source<'a> =
                part(needed(block.source, place, "source")?, place, "an object with a `type`")?;
            match url(&source, place)? {
                Some(url) => {
                    let url = Object::default().with("url", url);
                    parts.push(Part::Other(Object::typed("image_url").with("image_url", url)));
                }
                None => gap.note(|| format!("`{place}` of type {:?}", source.kind)),
            }
        }
        "document" => {
            let place = &format!("{place}.source");
            let raw = needed(block.source, place, "source")?;
            let source: Source<'a> = part(raw, place, "an object with a `type`")?;
            match (&*source.kind, source.content) {
                ("text", _) => parts.push(Part::Text(needed(source.data, place, "data")?)),
                ("content", Some(content)) => parts.extend(self::parts(content, place, gap)?),
                ("base64", _) => {
                    let name = block.title.and_then(text).unwrap_or("document.pdf".into());
                    let data: Option<Node<'a>> = url(&source, place)?;
                    let file = Object::default().with("filename", name).with_some("file_data", data);
                    parts.push(Part::Other(Object::typed("file").with("file", file)));
                }
                (kind, _) => gap.note(|| format!("`{place}` of type {kind:?}")),
            }
        }
        kind => gap.note(|| format!("`{place}` of type {kind:?}")),
    }
    Ok(())
}

/// The address of what a source holds, which may be the data itself; `None` for a file that only its owner knows.
fn url<'a>(source: &Source<'a>, place: &str) -> Result<Option<Node<'a>>, ApiError> {
    Ok(match &*source.kind {
        "url" => Some(needed(source.url, place, "url")?.into()),
        "base64" => {
            let media_type = needed(source.media_type.as_ref(), place, "media_type")?;
            let data = needed(source.data.and_then(text), place, "data")?;
            Some(format!("data:{media_type};base64,{data}").into())
        }
        _ => None,
    })
}

fn user<'a>(
    content: &'a RawValue,
    place: &str,
    messages: &mut Vec<Object<'a>>,
    gap: &mut Gap,
) -> Result<(), ApiError> {
    if is_string(content) {
        messages.extend(message("user", vec![Part::Text(content)]));
        return Ok(());
    }
    let mut rest = Vec::new();
    for (raw, place) in blocks(content, place)? {
        let block: Block<'a> = part(raw, &place, "a block with a `type`")?;
        if block.kind != "tool_result" {
            said(block, &place, &mut rest, gap)?;
            continue;
        }
        let id = needed(block.tool_use_id, &place, "tool_use_id")?;
        let result = match block.content {
            Some(content) => parts(content, &place, gap)?,
            None => Vec::new(),
        };
        let (texts, others): (Vec<_>, Vec<_>) =
            result.into_iter().partition(|part| matches!(part, Part::Text(_)));
        rest.extend(others);
        let text = if texts.is_empty() { "".into() } else { self::content(texts) };
        messages.push(Object::default().with("role", "tool").with("tool_call_id", id).with("content", text));
    }
    messages.extend(message("user", rest));
    Ok(())
}

/// Returns whether there was thinking that Anthropic has not signed.
fn assistant<'a>(
    content: &'a RawValue,
    place: &str,
    messages: &mut Vec<Object<'a>>,
    gap: &mut Gap,
) -> Result<bool, ApiError> {
    if is_string(content) {
        messages.extend(message("assistant", vec![Part::Text(content)]));
        return Ok(false);
    }
    let (mut parts, mut calls, mut unsigned) = (Vec::new(), Vec::new(), false);
    for (raw, place) in blocks(content, place)? {
        let block: Block<'a> = part(raw, &place, "a block with a `type`")?;
        match &*block.kind {
            "thinking" => unsigned |= !is_signed(&block),
            "redacted_thinking" => {}
            "tool_use" => {
                let arguments = block.input.map_or("{}", RawValue::get);
                let function = Object::default()
                    .with("name", needed(block.name, &place, "name")?)
                    .with("arguments", arguments);
                let id = needed(block.id, &place, "id")?;
                let call = Object::default().with("id", id).with("type", "function");
                calls.push(call.with("function", function));
            }
            _ => said(block, &place, &mut parts, gap)?,
        }
    }
    if parts.is_empty() && calls.is_empty() {
        return Ok(unsigned);
    }
    let said = if parts.is_empty() { Node::from(Value::Null) } else { self::content(parts) };
    let message = Object::default().with("role", "assistant").with("content", said);
    messages.push(message.with_some("tool_calls", (!calls.is_empty()).then_some(calls)));
    Ok(unsigned)
}

fn is_signed(block: &Block<'_>) -> bool {
    block.signature.and_then(text).is_some_and(|signature| !signature.is_empty())
}

/// The turns as they were written, less their unsigned thinking, and less those of which nothing is left.
fn without_unsigned(turns: &[&RawValue]) -> String {
    #[derive(Deserialize, serde::Serialize)]
    struct Raw<'a> {
        #[serde(borrow)]
        role: &'a RawValue,
        #[serde(borrow)]
        content: Vec<&'a RawValue>,
    }
    let is_kept = |block: &&RawValue| {
        let block = serde_json::from_str::<Block<'_>>(block.get());
        block.is_ok_and(|block| block.kind != "thinking" || is_signed(&block))
    };
    let mut kept = Vec::with_capacity(turns.len());
    for turn in turns {
        match serde_json::from_str::<Raw<'_>>(turn.get()) {
            Ok(mut raw) => {
                raw.content.retain(is_kept);
                if !raw.content.is_empty() {
                    kept.push(serde_json::to_string(&raw).unwrap_or_default());
                }
            }
            // Its content is a string.
            Err(_) => kept.push(turn.get().to_owned()),
        }
    }
    format!("[{}]", kept.join(","))
}
