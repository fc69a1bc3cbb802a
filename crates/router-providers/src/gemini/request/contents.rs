//! The conversation.
//!
//! - System and developer messages, wherever they stand, become the `systemInstruction`, in their order.
//! - Neighbours of one role are joined. The results of tools are a content of their own, in the order of their calls.
//! - A result needs the name of what was called, which is found at the call.
//! - Signatures of thoughts go back to the part they came with. Since Gemini 3 a call without one is refused; for calls that
//!   another provider made, or whose client lost the signature, Google knows a word to put in its place.
//! - Reasoning in words is not sent back: Gemini does not read it.

use std::borrow::Cow;

use router_core::ProviderError;
use serde_json::json;
use serde_json::value::RawValue;

use super::GEMINI;
use crate::canonical_request::{self, Message, ToolCall, invalid, part};
use crate::gemini::model::Model;
use crate::gemini::wire::MADE_ID;
use crate::json_tree::{Node, Object};
use crate::media::{self, Source};
use crate::raw_json::{self, Fields, Strict, Text};

/// What Google takes in place of a signature (<https://ai.google.dev/gemini-api/docs/thought-signatures>).
const NO_SIGNATURE: &str = "skip_thought_signature_validator";

/// A conversation in Gemini's terms.
#[derive(Debug)]
pub(super) struct Conversation<'a> {
    pub(super) system: Vec<Node<'a>>,
    pub(super) contents: Vec<Node<'a>>,
}

/// A content that more parts may join.
#[derive(Debug)]
enum Turn<'a> {
    User(Vec<Node<'a>>),
    Model(Vec<Node<'a>>),
    /// Results with the ranks of their calls, and the images and files that came with them.
    Results {
        results: Vec<(usize, Node<'a>)>,
        media: Vec<Node<'a>>,
    },
}

/// A call that was made, for its result to find.
#[derive(Debug)]
struct Call<'a> {
    id: Cow<'a, str>,
    name: Cow<'a, str>,
    is_answered: bool,
}

pub(super) fn convert<'a>(fields: &Fields<'a>, model: Model<'_>) -> Result<Conversation<'a>, ProviderError> {
    let mut system = Vec::new();
    let mut turns: Vec<Turn<'a>> = Vec::new();
    let mut calls: Vec<Call<'a>> = Vec::new();
    for message in canonical_request::messages(fields)? {
        let (place, message) = message?;
        match message.role.0.as_ref() {
            "system" | "developer" => system.extend(content(message.content, &place)?),
            "user" => {
                let mut parts = content(message.content, &place)?;
                match turns.last_mut() {
                    _ if parts.is_empty() => {}
                    Some(Turn::User(turn)) => turn.append(&mut parts),
                    _ => turns.push(Turn::User(parts)),
                }
            }
            "assistant" => {
                let mut parts = assistant(message, &place, model, &mut calls)?;
                match turns.last_mut() {
                    _ if parts.is_empty() => {}
                    Some(Turn::Model(turn)) => turn.append(&mut parts),
                    _ => turns.push(Turn::Model(parts)),
                }
            }
            "tool" => {
                let (rank, result, more) = tool_result(message, &place, model, &mut calls)?;
                match turns.last_mut() {
                    Some(Turn::Results { results, media }) => {
                        results.push((rank, result));
                        media.extend(more);
                    }
                    _ => turns.push(Turn::Results { results: vec![(rank, result)], media: more }),
                }
            }
            "function" => return Err(GEMINI.unsupported(&format!("`{place}` of role \"function\""))),
            other => return Err(invalid(&format!("`{place}.role` is wrong: {other:?} is no role"))),
        }
    }
    if turns.is_empty() && system.is_empty() {
        return Err(invalid("`messages` is wrong: nothing is said in it"));
    }
    if turns.is_empty() {
        // Contents are demanded, but may be empty.
        turns.push(Turn::User(vec![Object::of("text", "").into()]));
    }
    Ok(Conversation { system, contents: turns.into_iter().map(Turn::into_content).collect() })
}

impl<'a> Turn<'a> {
    fn into_content(self) -> Node<'a> {
        let (role, parts) = match self {
            Self::User(parts) => ("user", parts),
            Self::Model(parts) => ("model", parts),
            Self::Results { mut results, media } => {
                results.sort_by_key(|(rank, _)| *rank); // stable
                ("user", results.into_iter().map(|(_, result)| result).chain(media).collect())
            }
        };
        Object::of("role", role).with("parts", parts).into()
    }
}

/// Converts content, which is a string or a list of parts.
fn content<'a>(content: Option<&'a RawValue>, place: &str) -> Result<Vec<Node<'a>>, ProviderError> {
    let Some(content) = content else { return Ok(Vec::new()) };
    if raw_json::is_string(content) {
        return Ok(text_part(content).into_iter().collect());
    }
    let parts: Vec<&'a RawValue> = part(content, &format!("{place}.content"), "a string or a list of parts")?;
    let mut converted = Vec::with_capacity(parts.len());
    for (index, raw_part) in parts.into_iter().enumerate() {
        let place = format!("{place}.content[{index}]");
        let fields: Fields<'a> = part(raw_part, &place, "an object with a `type`")?;
        let member =
            |name: &str| fields.get(name).ok_or_else(|| invalid(&format!("`{place}.{name}` is missing")));
        match fields.get("type").map(RawValue::get) {
            Some("\"text\"") => converted.extend(text_part(member("text")?)),
            Some("\"refusal\"") => converted.extend(text_part(member("refusal")?)),
            Some(kind @ ("\"image_url\"" | "\"video_url\"" | "\"document_url\"")) => {
                let name = kind.trim_matches('"');
                let place = format!("{place}.{name}");
                let declared = said_type(member(name)?);
                let source = media::source(media::url(member(name)?, &place)?, &place)?;
                converted.push(data_part(source, declared, None, &place)?);
            }
            Some("\"file\"") => {
                let place = format!("{place}.file");
                let file = media::file(member("file")?, &place, GEMINI)?;
                let declared = said_type(member("file")?);
                converted.push(data_part(file.source, declared, file.name.as_deref(), &place)?);
            }
            Some("\"input_audio\"") => {
                converted.push(audio(member("input_audio")?, &format!("{place}.input_audio"))?);
            }
            // Another provider's reasoning.
            Some("\"thinking\"" | "\"redacted_thinking\"") => {}
            Some(kind) => return Err(GEMINI.unsupported(&format!("`{place}` of type {kind}"))),
            // Gemini's own parts have no type.
            None => converted.push(raw_part.into()),
        }
    }
    Ok(converted)
}

/// Returns a part with the text, unless it is empty, which says nothing.
fn text_part<'a>(text: &'a RawValue) -> Option<Node<'a>> {
    raw_json::is_filled(text).then(|| Object::of("text", text).into())
}

/// Returns the media type in `format`, where LiteLLM's callers put it.
fn said_type(media: &RawValue) -> Option<Cow<'_, str>> {
    let fields: Fields<'_> = serde_json::from_str(media.get()).ok()?;
    fields.get("format").and_then(raw_json::text)
}

fn data_part<'a>(
    source: Source<'a>,
    declared: Option<Cow<'a, str>>,
    name: Option<&str>,
    place: &str,
) -> Result<Node<'a>, ProviderError> {
    let by_name = |name: &str| media::type_by_name(name).map(Cow::Borrowed);
    match source {
        Source::Inline { media_type, data } => {
            let media_type = media_type.or(declared).or_else(|| by_name(name?)).ok_or_else(|| {
                invalid(&format!("`{place}` does not tell its type: write `data:<media type>;base64,…`"))
            })?;
            Ok(Object::of("inlineData", Object::of("mimeType", media_type).with("data", data)).into())
        }
        Source::Remote(url) => {
            let media_type = declared.or_else(|| by_name(&url)).or_else(|| by_name(name?));
            let mut file = Object::default();
            file.set_some("mimeType", media_type);
            file.set("fileUri", url);
            Ok(Object::of("fileData", file).into())
        }
    }
}

fn audio<'a>(audio: &'a RawValue, place: &str) -> Result<Node<'a>, ProviderError> {
    let audio: Fields<'a> = part(audio, place, "an object with `data` and `format`")?;
    let text = |name: &str| {
        audio
            .get(name)
            .and_then(raw_json::text)
            .ok_or_else(|| invalid(&format!("`{place}.{name}` is missing")))
    };
    let media_type: Cow<'a, str> = format!("audio/{}", text("format")?).into();
    Ok(Object::of("inlineData", Object::of("mimeType", media_type).with("data", text("data")?)).into())
}

fn assistant<'a>(
    message: Message<'a>,
    place: &str,
    model: Model<'_>,
    calls: &mut Vec<Call<'a>>,
) -> Result<Vec<Node<'a>>, ProviderError> {
    if message.function_call.is_some() {
        return Err(GEMINI.unsupported(&format!("`{place}.function_call`")));
    }
    if message.audio.is_some() {
        return Err(GEMINI.unsupported(&format!("`{place}.audio`")));
    }
    let mut parts = content(message.content, place)?;
    parts.extend(message.refusal.and_then(text_part));
    if let Some(signature) = message.extra_content.and_then(signature) {
        match parts.last_mut() {
            Some(Node::Object(last)) => last.set("thoughtSignature", signature),
            Some(_) => {}
            None => parts.push(Object::of("text", "").with("thoughtSignature", signature).into()),
        }
    }
    let mut is_first = true;
    for (index, Strict(call)) in message.tool_calls.into_iter().flatten().enumerate() {
        let place = format!("{place}.tool_calls[{index}]");
        let signature = call_signature(&call).or_else(|| {
            // Of parallel calls only the first is signed.
            (is_first && model.demands_signatures()).then_some(Node::from(NO_SIGNATURE))
        });
        is_first = false;
        let Some(Strict(function)) = call.function else {
            return Err(GEMINI.unsupported(&format!("`{place}` of another type than \"function\"")));
        };
        let id = call.id.map(|id| id.0).unwrap_or_default();
        let mut native = Object::default();
        native.set_some("id", native_id(&id));
        native.set("name", function.name.0.clone());
        native.set("args", canonical_request::arguments(function.arguments, &place, GEMINI)?);
        let mut part = Object::of("functionCall", native);
        part.set_some("thoughtSignature", signature);
        parts.push(part.into());
        calls.push(Call { id, name: function.name.0, is_answered: false });
    }
    Ok(parts)
}

/// Returns the id that Gemini is told: not one that we made up for it.
fn native_id<'a>(id: &Cow<'a, str>) -> Option<Node<'a>> {
    (!id.is_empty() && !id.starts_with(MADE_ID)).then(|| id.clone().into())
}

fn call_signature<'a>(call: &ToolCall<'a>) -> Option<Node<'a>> {
    let litellm = || {
        let fields: Fields<'a> = serde_json::from_str(call.provider_specific_fields?.get()).ok()?;
        fields.get("thought_signature").map(Node::from)
    };
    call.extra_content.and_then(signature).or_else(litellm)
}

/// Returns `google.thought_signature`.
fn signature(extra_content: &RawValue) -> Option<Node<'_>> {
    let extra: Fields<'_> = serde_json::from_str(extra_content.get()).ok()?;
    let google: Fields<'_> = serde_json::from_str(extra.get("google")?.get()).ok()?;
    google.get("thought_signature").map(Node::from)
}

/// Converts a result: the rank of its call, the part, and further parts that cannot be inside it.
fn tool_result<'a>(
    message: Message<'a>,
    place: &str,
    model: Model<'_>,
    calls: &mut [Call<'a>],
) -> Result<(usize, Node<'a>, Vec<Node<'a>>), ProviderError> {
    let id = message.tool_call_id.map(|id| id.0).unwrap_or_default();
    // Without an id it answers the first call that has no answer yet.
    let rank = if id.is_empty() {
        calls.iter().position(|call| !call.is_answered)
    } else {
        calls.iter().rposition(|call| call.id == id)
    };
    let call = rank.and_then(|rank| calls.get_mut(rank));
    let name = match (call, message.name) {
        (Some(call), _) => {
            call.is_answered = true;
            call.name.clone()
        }
        (None, Some(Text(name))) => name,
        (None, None) => {
            return Err(invalid(&format!("`{place}.tool_call_id` is wrong: no call before it has this id")));
        }
    };
    let (response, media) = response(message.content, message.is_error == Some(true), place)?;
    let mut native = Object::default();
    native.set_some("id", native_id(&id));
    native.set("name", name);
    native.set("response", response);
    let (inside, beside) =
        if model.takes_media_of_tools() { (media, Vec::new()) } else { (Vec::new(), media) };
    native.set_filled("parts", inside);
    Ok((rank.unwrap_or(usize::MAX), Object::of("functionResponse", native).into(), beside))
}

/// Returns what a tool said as the object that Gemini demands, and what of it is no text.
fn response<'a>(
    said: Option<&'a RawValue>,
    is_error: bool,
    place: &str,
) -> Result<(Node<'a>, Vec<Node<'a>>), ProviderError> {
    let name = if is_error { "error" } else { "output" };
    let Some(said) = said else { return Ok((json!({ name: "" }).into(), Vec::new())) };
    if raw_json::is_string(said) {
        let object = raw_json::text(said)
            .filter(|text| !is_error && text.trim_start().starts_with('{'))
            .and_then(|text| serde_json::from_str::<Box<RawValue>>(&text).ok());
        let response = object.map_or_else(|| Object::of(name, said).into(), Node::Unwrapped);
        return Ok((response, Vec::new()));
    }
    let is_text = |part: &Node<'a>| matches!(part, Node::Object(object) if object.has("text"));
    let media = content(Some(said), place)?.into_iter().filter(|part| !is_text(part)).collect();
    let parts: Vec<Fields<'a>> = part(said, &format!("{place}.content"), "a string or a list of parts")?;
    let texts: Vec<_> = parts.iter().filter_map(|part| part.get("text").and_then(raw_json::text)).collect();
    Ok((Object::of(name, Node::Text(texts.join("\n").into())).into(), media))
}
