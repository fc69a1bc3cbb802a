//! The conversation.
//!
//! - System and developer messages, wherever they stand, become the top-level `system`, in their order.
//! - Neighbours of one role are joined into one turn, since roles have to alternate, and of a turn the tool results come first.
//! - Blank text is left out, and so is a message of which nothing is left.
//! - Signed reasoning (`thinking_blocks`) goes first in its turn; unsigned reasoning is left out.
//! - Ids of tool calls are cleaned where another provider made them.

use std::borrow::Cow;
use std::collections::VecDeque;

use router_core::ProviderError;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::media::Names;
use super::{BEDROCK, media};
use crate::call_id::clean_id;
use crate::canonical_request::{self, Message, invalid, part};
use crate::json_tree::{Node, Object};
use crate::media::{File, file, source, url};
use crate::raw_json::{self, Fields, Strict, Text};

/// A conversation in Converse's terms.
#[derive(Debug)]
pub(super) struct Conversation<'a> {
    pub(super) system: Vec<Node<'a>>,
    pub(super) turns: Vec<Node<'a>>,
    /// The names of the tools that were called.
    pub(super) called: Vec<Cow<'a, str>>,
    /// Thinking may be switched on: not in the middle of an answer, nor of a tool loop that began without.
    pub(super) allows_thinking: bool,
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    User,
    Assistant,
}

/// A message, or several of the same role joined.
struct Turn<'a> {
    role: Role,
    blocks: Vec<Block<'a>>,
}

/// A block, with what its place depends on. A cache point is of the kind of the block that it closes.
struct Block<'a> {
    kind: Kind,
    node: Node<'a>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Result,
    Thinking,
    Other,
}

pub(super) fn convert<'a>(fields: &Fields<'a>) -> Result<Conversation<'a>, ProviderError> {
    let mut system = Vec::new();
    let mut turns: Vec<Turn<'a>> = Vec::new();
    let mut called = Vec::new();
    let mut names = Names::default();
    // The ids made for calls that came without one, which their results, in order, take up again.
    let mut made_ids = VecDeque::new();
    for (index, message) in canonical_request::messages(fields)?.enumerate() {
        let (place, message) = message?;
        let mark = message.cache_control;
        let (role, mut blocks) = match message.role.0.as_ref() {
            "system" | "developer" => (None, content(message.content, &place, &mut names)?),
            "user" => (Some(Role::User), content(message.content, &place, &mut names)?),
            "assistant" => {
                made_ids.clear();
                let blocks = assistant(message, &place, index, &mut made_ids, &mut called, &mut names)?;
                (Some(Role::Assistant), blocks)
            }
            "tool" => (Some(Role::User), vec![tool_result(message, &place, &mut made_ids, &mut names)?]),
            "function" => return Err(BEDROCK.unsupported(&format!("`{place}` of role \"function\""))),
            other => return Err(invalid(&format!("`{place}.role` is wrong: {other:?} is no role"))),
        };
        if let (Some(mark), Some(kind)) = (mark, blocks.last().map(|block| block.kind)) {
            blocks.push(Block { kind, node: cache_point(mark) });
        }
        match role {
            None => system.extend(blocks.into_iter().map(|block| block.node)),
            Some(_) if blocks.is_empty() => {}
            Some(role) => match turns.last_mut() {
                Some(last) if last.role == role => last.blocks.append(&mut blocks),
                _ => turns.push(Turn { role, blocks }),
            },
        }
    }
    if turns.is_empty() {
        return Err(BEDROCK.unsupported("a conversation of instructions only"));
    }
    for turn in &mut turns {
        turn.blocks.sort_by_key(|block| block.kind); // stable
    }
    let allows_thinking = allows_thinking(&turns);
    let turns = turns.into_iter().map(Turn::into_node).collect();
    Ok(Conversation { system, turns, called, allows_thinking })
}

/// Returns whether the model may think: not in an answer that is to be continued, nor in a tool loop that began without.
fn allows_thinking(turns: &[Turn<'_>]) -> bool {
    let begins_with =
        |turn: &Turn<'_>, kind: Kind| turn.blocks.first().is_some_and(|block| block.kind == kind);
    match turns {
        [.., before, last] if last.role == Role::User => {
            !begins_with(last, Kind::Result) || begins_with(before, Kind::Thinking)
        }
        [last] => last.role == Role::User,
        _ => false,
    }
}

impl<'a> Turn<'a> {
    fn into_node(self) -> Node<'a> {
        let role = match self.role {
            Role::User => "user",
            Role::Assistant => "assistant",
        };
        let blocks: Vec<Node<'a>> = self.blocks.into_iter().map(|block| block.node).collect();
        Object::of("role", role).with("content", blocks).into()
    }
}

/// Returns the mark that ends a prefix to be cached.
pub(super) fn cache_point(cache_control: &RawValue) -> Node<'_> {
    let mut point = Object::of("type", "default");
    let fields: Fields<'_> = serde_json::from_str(cache_control.get()).unwrap_or_default();
    point.set_some("ttl", fields.get("ttl"));
    Object::of("cachePoint", point).into()
}

/// Converts content, which is a string or a list of parts.
fn content<'a>(
    content: Option<&'a RawValue>,
    place: &str,
    names: &mut Names,
) -> Result<Vec<Block<'a>>, ProviderError> {
    let other = |node: Node<'a>| Block { kind: Kind::Other, node };
    let Some(content) = content else { return Ok(Vec::new()) };
    if raw_json::is_string(content) {
        return Ok(text_block(content).map(other).into_iter().collect());
    }
    let parts: Vec<&'a RawValue> = part(content, &format!("{place}.content"), "a string or a list of parts")?;
    let mut blocks = Vec::with_capacity(parts.len());
    for (index, raw_part) in parts.into_iter().enumerate() {
        let place = format!("{place}.content[{index}]");
        let fields: Fields<'a> = part(raw_part, &place, "an object with a `type`")?;
        let member =
            |name: &str| fields.get(name).ok_or_else(|| invalid(&format!("`{place}.{name}` is missing")));
        let block = match fields.get("type").map(RawValue::get) {
            Some("\"text\"") => text_block(member("text")?),
            Some("\"refusal\"") => text_block(member("refusal")?),
            Some(kind @ ("\"image_url\"" | "\"video_url\"")) => {
                let name = kind.trim_matches('"');
                let place = format!("{place}.{name}");
                Some(media::image(url(member(name)?, &place)?, &place)?)
            }
            Some(kind @ ("\"file\"" | "\"document_url\"")) => {
                let name = kind.trim_matches('"');
                let place = format!("{place}.{name}");
                let file = if name == "file" {
                    file(member(name)?, &place, BEDROCK)?
                } else {
                    File { source: source(url(member(name)?, &place)?, &place)?, name: None }
                };
                Some(media::block(file, &place, names)?)
            }
            Some("\"thinking\"" | "\"redacted_thinking\"") => {
                blocks.extend(thinking(raw_part));
                None
            }
            Some(kind) => return Err(BEDROCK.unsupported(&format!("`{place}` of type {kind}"))),
            // Converse's own blocks have no type.
            None => Some(raw_part.into()),
        };
        let is_there = block.is_some();
        blocks.extend(block.map(other));
        if let Some(mark) = fields.get("cache_control").filter(|_| is_there) {
            blocks.push(other(cache_point(mark)));
        }
    }
    Ok(blocks)
}

/// Returns a block with the text, unless it is blank, which Bedrock refuses.
fn text_block<'a>(text: &'a RawValue) -> Option<Node<'a>> {
    let is_blank = raw_json::text(text).is_none_or(|text| text.trim().is_empty());
    (!is_blank).then(|| Object::of("text", text).into())
}

/// Converts reasoning, if it is signed.
fn thinking<'a>(block: &'a RawValue) -> Option<Block<'a>> {
    #[derive(Deserialize)]
    struct Thinking<'a> {
        #[serde(borrow)]
        thinking: Option<&'a RawValue>,
        #[serde(borrow)]
        signature: Option<&'a RawValue>,
        #[serde(borrow)]
        data: Option<&'a RawValue>,
    }
    let block: Thinking<'a> = raw_json::parse(block.get()).ok()?;
    let reasoning = match (block.thinking, block.signature, block.data) {
        (Some(text), Some(signature), _) if raw_json::is_filled(signature) => {
            Object::of("reasoningText", Object::of("text", text).with("signature", signature))
        }
        (_, _, Some(data)) => Object::of("redactedContent", data),
        _ => return None,
    };
    Some(Block { kind: Kind::Thinking, node: Object::of("reasoningContent", reasoning).into() })
}

fn assistant<'a>(
    message: Message<'a>,
    place: &str,
    position: usize,
    made_ids: &mut VecDeque<String>,
    called: &mut Vec<Cow<'a, str>>,
    names: &mut Names,
) -> Result<Vec<Block<'a>>, ProviderError> {
    if message.function_call.is_some() {
        return Err(BEDROCK.unsupported(&format!("`{place}.function_call`")));
    }
    if message.audio.is_some() {
        return Err(BEDROCK.unsupported(&format!("`{place}.audio`")));
    }
    let other = |node: Node<'a>| Block { kind: Kind::Other, node };
    let mut blocks: Vec<Block<'a>> =
        message.thinking_blocks.into_iter().flatten().filter_map(thinking).collect();
    blocks.extend(content(message.content, place, names)?);
    blocks.extend(message.refusal.and_then(text_block).map(other));
    for (index, Strict(call)) in message.tool_calls.into_iter().flatten().enumerate() {
        let place = format!("{place}.tool_calls[{index}]");
        let Some(Strict(function)) = call.function else {
            return Err(BEDROCK.unsupported(&format!("`{place}` of another type than \"function\"")));
        };
        let id = match call.id {
            Some(Text(id)) if !id.is_empty() => clean_id(id),
            _ => {
                let made = format!("call_{position}_{index}");
                made_ids.push_back(made.clone());
                made.into()
            }
        };
        called.push(function.name.0.clone());
        let input = canonical_request::arguments(function.arguments, &place, BEDROCK)?;
        let tool_use = Object::of("toolUseId", id).with("name", function.name.0).with("input", input);
        blocks.push(other(Object::of("toolUse", tool_use).into()));
        if let Some(mark) = call.cache_control {
            blocks.push(other(cache_point(mark)));
        }
    }
    Ok(blocks)
}

fn tool_result<'a>(
    message: Message<'a>,
    place: &str,
    made_ids: &mut VecDeque<String>,
    names: &mut Names,
) -> Result<Block<'a>, ProviderError> {
    let id = match message.tool_call_id {
        Some(Text(id)) if !id.is_empty() => clean_id(id),
        _ => made_ids
            .pop_front()
            .map(Cow::Owned)
            .ok_or_else(|| invalid(&format!("`{place}.tool_call_id` is missing")))?,
    };
    let blocks = content(message.content, place, names)?;
    let mut said: Vec<Node<'a>> = blocks.into_iter().map(|block| block.node).collect();
    if said.is_empty() {
        // Something has to be there, and blank text is refused.
        said.push(json!({"json": {}}).into());
    }
    let mut result = Object::of("toolUseId", id).with("content", said);
    if message.is_error == Some(true) {
        result.set("status", "error");
    }
    Ok(Block { kind: Kind::Result, node: Object::of("toolResult", result).into() })
}
