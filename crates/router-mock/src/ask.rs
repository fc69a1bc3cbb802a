//! What a completion request asks for, in either wire format.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{SeqAccess, Visitor, value::MapAccessDeserializer},
};
use serde_json::Value;

use crate::wire::{Refusal, Wire};

/// How much of the last user message is kept, for the echo.
const ECHOED_CHARS: usize = 60;

/// A checked completion request: what the simulation needs to know of it.
pub(crate) struct Ask {
    pub(crate) model: String,
    pub(crate) stream: bool,
    pub(crate) include_usage: bool,
    pub(crate) max_tokens: Option<usize>,
    pub(crate) prompt_chars: u64,
    /// The beginning of the last user message.
    pub(crate) echo: String,
    pub(crate) tool: Tool,
}

/// Whether the answer is to call a tool.
pub(crate) enum Tool {
    /// There is none, or it may not be called now.
    Unavailable,
    /// May be called.
    Offered(String),
    /// Must be called.
    Forced(String),
}

impl Ask {
    /// Reads a request body and refuses what the real services refuse.
    pub(crate) fn parse(wire: &dyn Wire, body: &[u8]) -> Result<Self, Refusal> {
        let raw: RawAsk<'_> =
            serde_json::from_slice(body).map_err(|error| Refusal::BadJson(error.to_string()))?;
        let model = raw.model.ok_or(Refusal::Missing("model"))?.into_owned();
        let max_tokens = raw.max_completion_tokens.or(raw.max_tokens);
        if max_tokens.is_none() && wire.requires_max_tokens() {
            return Err(Refusal::Missing("max_tokens"));
        }
        let mut messages = raw.messages.ok_or(Refusal::Missing("messages"))?;
        let Some(last) = messages.last() else {
            return Err(Refusal::NoMessages);
        };
        let tool = if last.role == "tool" || last.content.has_tool_result {
            Tool::Unavailable
        } else {
            wanted_tool(raw.tools.unwrap_or_default(), raw.tool_choice.as_ref())
        };
        let chars = messages.iter().map(|message| message.content.chars).sum::<u64>();
        let last_user = messages.iter_mut().rev().find(|message| message.role == "user");
        Ok(Self {
            model,
            stream: raw.stream.unwrap_or_default(),
            include_usage: raw.stream_options.is_some_and(|options| options.include_usage == Some(true)),
            max_tokens,
            prompt_chars: chars + raw.system.unwrap_or_default().chars,
            echo: last_user.map(|message| std::mem::take(&mut message.content.start)).unwrap_or_default(),
            tool,
        })
    }
}

/// The named tool, or the first one, and how much it is wanted. Both formats write "any tool" and "this tool" differently.
fn wanted_tool(tools: Vec<RawTool>, choice: Option<&Value>) -> Tool {
    let mut names = tools.into_iter().filter_map(|tool| tool.name.or_else(|| tool.function?.name));
    let Some(first) = names.next() else {
        return Tool::Unavailable;
    };
    let field = |name: &str| choice.and_then(|choice| choice.get(name)).and_then(Value::as_str);
    let named = choice.and_then(|choice| choice.pointer("/function/name")).and_then(Value::as_str);
    match choice.and_then(Value::as_str).or_else(|| field("type")) {
        Some("none") => Tool::Unavailable,
        Some("required" | "any") => Tool::Forced(first),
        Some("function" | "tool") => {
            Tool::Forced(named.or_else(|| field("name")).unwrap_or(&first).to_owned())
        }
        Some(_) | None => Tool::Offered(first),
    }
}

#[derive(Deserialize)]
struct RawAsk<'a> {
    #[serde(borrow)]
    model: Option<Cow<'a, str>>,
    messages: Option<Vec<RawMessage>>,
    system: Option<Said>,
    stream: Option<bool>,
    stream_options: Option<RawStreamOptions>,
    max_tokens: Option<usize>,
    max_completion_tokens: Option<usize>,
    tools: Option<Vec<RawTool>>,
    tool_choice: Option<Value>,
}

#[derive(Deserialize)]
struct RawMessage {
    role: String,
    #[serde(default)]
    content: Said,
}

#[derive(Deserialize)]
struct RawStreamOptions {
    include_usage: Option<bool>,
}

#[derive(Deserialize)]
struct RawTool {
    name: Option<String>,
    function: Option<RawFunction>,
}

#[derive(Deserialize)]
struct RawFunction {
    name: Option<String>,
}

/// What is worth knowing of a message's content: text, or parts that hold text. It is counted and not kept.
#[derive(Default)]
struct Said {
    chars: u64,
    start: String,
    has_tool_result: bool,
}

#[derive(Deserialize)]
struct RawPart<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Cow<'a, str>>,
    text: Option<Said>,
    content: Option<Said>,
}

impl Said {
    fn add(&mut self, part: RawPart<'_>) {
        for said in [part.text, part.content].into_iter().flatten() {
            self.chars += said.chars;
            if self.start.is_empty() {
                self.start = said.start;
            }
        }
        self.has_tool_result |= part.kind.as_deref() == Some("tool_result");
    }
}

impl<'de> Deserialize<'de> for Said {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Content;

        impl<'de> Visitor<'de> for Content {
            type Value = Said;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or an array of content parts")
            }

            fn visit_str<E>(self, text: &str) -> Result<Said, E> {
                let chars = text.chars().count() as u64;
                Ok(Said { chars, start: text.chars().take(ECHOED_CHARS).collect(), has_tool_result: false })
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Said, A::Error> {
                let mut said = Said::default();
                while let Some(part) = parts.next_element()? {
                    said.add(part);
                }
                Ok(said)
            }

            // A document block's `content` may be one object.
            fn visit_map<A: serde::de::MapAccess<'de>>(self, part: A) -> Result<Said, A::Error> {
                let mut said = Said::default();
                said.add(RawPart::deserialize(MapAccessDeserializer::new(part))?);
                Ok(said)
            }

            fn visit_unit<E>(self) -> Result<Said, E> {
                Ok(Said::default())
            }
        }

        deserializer.deserialize_any(Content)
    }
}
