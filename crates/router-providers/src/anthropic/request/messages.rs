//! The conversation.
//!
//! - System and developer messages, wherever they stand, become the top-level `system`, in their order.
//! - Neighbours of one role are joined into one turn, and of a turn the tool results come first, as Anthropic demands.
//! - Blank text is left out, and so is a message of which nothing is left.
//! - Signed reasoning (`thinking_blocks`) goes first in its turn; unsigned reasoning is not Anthropic's and is left out.
//! - Ids of tool calls are cleaned where another provider made them.

use std::borrow::Cow;
use std::collections::VecDeque;

use router_core::ProviderError;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::{ANTHROPIC, media, raw, text_block, unsupported};
use crate::anthropic::wire::{Block, Role, Turn};
use crate::call_id::clean_id;
use crate::canonical_request::{self, Message, invalid, part};
use crate::raw_json::{self, Fields, Strict, Text};

/// A conversation in Anthropic's terms.
#[derive(Debug)]
pub(super) struct Conversation<'a> {
    pub(super) system: Vec<Block<'a>>,
    pub(super) turns: Vec<Turn<'a>>,
    /// Thinking may be switched on: not in the middle of an answer, nor of a tool loop that began without.
    pub(super) allows_thinking: bool,
}

pub(super) fn convert<'a>(fields: &Fields<'a>) -> Result<Conversation<'a>, ProviderError> {
    let mut conversation = Conversation { system: Vec::new(), turns: Vec::new(), allows_thinking: true };
    // The ids made for calls that came without one, which their results, in order, take up again.
    let mut made_ids = VecDeque::new();
    for (index, message) in canonical_request::messages(fields)?.enumerate() {
        let (place, message) = message?;
        let mark = message.cache_control;
        let (role, mut blocks) = match message.role.0.as_ref() {
            "system" | "developer" => (None, content(message.content, &place)?),
            "user" => (Some(Role::User), content(message.content, &place)?),
            "assistant" => {
                made_ids.clear();
                (Some(Role::Assistant), assistant(message, &place, index, &mut made_ids)?)
            }
            "tool" => (Some(Role::User), vec![tool_result(message, &place, &mut made_ids)?]),
            "function" => return Err(unsupported(&format!("`{place}` of role \"function\""))),
            other => return Err(invalid(&format!("`{place}.role` is wrong: {other:?} is no role"))),
        };
        if let (Some(mark), Some(last)) = (mark, blocks.last_mut()) {
            last.mark(mark);
        }
        match role {
            None => conversation.system.append(&mut blocks),
            Some(_) if blocks.is_empty() => {}
            Some(role) => match conversation.turns.last_mut() {
                Some(last) if last.role == role => last.content.append(&mut blocks),
                _ => conversation.turns.push(Turn { role, content: blocks }),
            },
        }
    }
    for turn in &mut conversation.turns {
        turn.content.sort_by_key(|block| !matches!(block, Block::ToolResult { .. })); // stable
    }
    finish(&mut conversation);
    Ok(conversation)
}

/// Looks at how the conversation ends: what matters for thinking, and for an answer that is to be continued.
fn finish(conversation: &mut Conversation<'_>) {
    let (last, before) = match conversation.turns.as_mut_slice() {
        [.., before, last] => (last, Some(before)),
        [last] => (last, None),
        [] => return,
    };
    match last.role {
        Role::Assistant => {
            conversation.allows_thinking = false;
            // An answer to be continued may not end in white space.
            if let Some(Block::Text { text, .. }) = last.content.last_mut()
                && let Some(decoded) = raw_json::text(text)
                && decoded.ends_with(char::is_whitespace)
                && let Some(trimmed) = raw(&json!(decoded.trim_end()))
            {
                *text = Cow::Owned(trimmed);
            }
        }
        Role::User => {
            let answers_calls = matches!(last.content.first(), Some(Block::ToolResult { .. }));
            let thought = before.is_some_and(|turn| matches!(turn.content.first(), Some(Block::Thinking(_))));
            conversation.allows_thinking = !answers_calls || thought;
        }
    }
}

/// Converts content, which is a string or a list of parts.
fn content<'a>(content: Option<&'a RawValue>, place: &str) -> Result<Vec<Block<'a>>, ProviderError> {
    let Some(content) = content else { return Ok(Vec::new()) };
    if raw_json::is_string(content) {
        return Ok(text_block(content, None).into_iter().collect());
    }
    let parts: Vec<&'a RawValue> = part(content, &format!("{place}.content"), "a string or a list of parts")?;
    let mut blocks = Vec::with_capacity(parts.len());
    for (index, raw_part) in parts.into_iter().enumerate() {
        let place = format!("{place}.content[{index}]");
        let fields: Fields<'a> = part(raw_part, &place, "an object with a `type`")?;
        let mark = fields.get("cache_control");
        let member =
            |name: &str| fields.get(name).ok_or_else(|| invalid(&format!("`{place}.{name}` is missing")));
        match member("type")?.get() {
            "\"text\"" if fields.get("citations").is_none() => {
                blocks.extend(text_block(member("text")?, mark))
            }
            "\"refusal\"" => blocks.extend(text_block(member("refusal")?, mark)),
            "\"image_url\"" => {
                blocks.push(media::image(member("image_url")?, mark, &format!("{place}.image_url"))?);
            }
            "\"file\"" => blocks.push(media::file(member("file")?, mark, &format!("{place}.file"))?),
            "\"document_url\"" => {
                blocks.push(media::document(
                    member("document_url")?,
                    mark,
                    &format!("{place}.document_url"),
                )?);
            }
            // Parts of other vendors, as their names show; what is left is Anthropic's own.
            kind if kind.starts_with("\"input_") || kind.ends_with("_url\"") => {
                return Err(unsupported(&format!("`{place}` of type {kind}")));
            }
            "\"thinking\"" | "\"redacted_thinking\"" => {
                blocks.extend(is_signed(raw_part).then_some(Block::Thinking(raw_part)));
            }
            _ => blocks.push(Block::Native(raw_part)),
        }
    }
    Ok(blocks)
}

fn assistant<'a>(
    message: Message<'a>,
    place: &str,
    position: usize,
    made_ids: &mut VecDeque<String>,
) -> Result<Vec<Block<'a>>, ProviderError> {
    if message.function_call.is_some() {
        return Err(unsupported(&format!("`{place}.function_call`")));
    }
    if message.audio.is_some() {
        return Err(unsupported(&format!("`{place}.audio`")));
    }
    let mut blocks: Vec<Block<'a>> = message
        .thinking_blocks
        .into_iter()
        .flatten()
        .filter(|block| is_signed(block))
        .map(Block::Thinking)
        .collect();
    blocks.extend(content(message.content, place)?);
    if let Some(refusal) = message.refusal {
        blocks.extend(text_block(refusal, None));
    }
    for (index, Strict(call)) in message.tool_calls.into_iter().flatten().enumerate() {
        let place = format!("{place}.tool_calls[{index}]");
        let Some(Strict(function)) = call.function else {
            return Err(unsupported(&format!("`{place}` of another type than \"function\"")));
        };
        let id = match call.id {
            Some(Text(id)) if !id.is_empty() => clean_id(id),
            _ => {
                let made = format!("call_{position}_{index}");
                made_ids.push_back(made.clone());
                made.into()
            }
        };
        blocks.push(Block::ToolUse {
            id,
            name: function.name.0,
            input: canonical_request::arguments(function.arguments, &place, ANTHROPIC)?,
            cache_control: call.cache_control,
        });
    }
    Ok(blocks)
}

fn tool_result<'a>(
    message: Message<'a>,
    place: &str,
    made_ids: &mut VecDeque<String>,
) -> Result<Block<'a>, ProviderError> {
    let id = match message.tool_call_id {
        Some(Text(id)) if !id.is_empty() => clean_id(id),
        _ => made_ids
            .pop_front()
            .map(Cow::Owned)
            .ok_or_else(|| invalid(&format!("`{place}.tool_call_id` is missing")))?,
    };
    Ok(Block::ToolResult {
        tool_use_id: id,
        content: content(message.content, place)?,
        is_error: message.is_error,
        cache_control: None,
    })
}

/// Returns whether a block of reasoning is signed, hence may be given back.
pub(crate) fn is_signed(block: &RawValue) -> bool {
    #[derive(Deserialize)]
    struct Signed<'a> {
        #[serde(borrow, rename = "type")]
        kind: Text<'a>,
        #[serde(borrow)]
        signature: Option<&'a RawValue>,
    }
    raw_json::parse::<Signed<'_>>(block.get()).is_ok_and(|block| {
        block.kind.0 == "redacted_thinking"
            || (block.kind.0 == "thinking" && block.signature.is_some_and(raw_json::is_filled))
    })
}
