//! A whole reply: looked at, and passed on as it came.

use std::fmt;
use std::marker::PhantomData;

use router_core::{ProviderError, ProviderErrorKind, Reply};
use serde::de::{Deserialize, Deserializer, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::{errors, usage};
use crate::protocol::WireReply;
use crate::raw_json::{self, Strict};

pub(crate) fn decode(reply: WireReply) -> Result<Reply, ProviderError> {
    // Checked once here, because what is skipped below is not looked at.
    let text = std::str::from_utf8(&reply.body).map_err(|_| malformed("the reply is not UTF-8"))?;
    let scan: Scan<'_> = match raw_json::parse(text) {
        Ok(scan) => scan,
        Err(error) => return Err(malformed(&not_json("the reply", "a chat completion", &error))),
    };
    if scan.is_error() {
        return Err(errors::in_band(text));
    }
    let Some(choices) = scan.choices else { return Err(malformed("the reply has no choices")) };
    if let Some(error) = choices.error {
        return Err(errors::in_choice(error));
    }
    if choices.count == 0 {
        return Err(malformed("the reply has no choices"));
    }
    Ok(Reply {
        model: scan.model.and_then(raw_json::text).map(std::borrow::Cow::into_owned),
        usage: scan.usage.and_then(|counts| usage::read(counts, scan.service_tier)),
        body: reply.body,
        headroom: None,
    })
}

pub(crate) fn malformed(message: &str) -> ProviderError {
    ProviderError::new(ProviderErrorKind::MalformedReply, message)
}

/// Says where JSON breaks off, without quoting it: what a model wrote has no place in an error.
pub(crate) fn not_json(what: &str, shape: &str, error: &serde_json::Error) -> String {
    let (line, column) = (error.line(), error.column());
    match error.classify() {
        serde_json::error::Category::Data => {
            format!("{what} does not have the shape of {shape} (line {line}, column {column})")
        }
        _ => format!("{what} is not valid JSON (line {line}, column {column})"),
    }
}

/// What there is to know about a reply or a chunk, found in one pass and borrowed.
#[derive(serde::Deserialize)]
pub(super) struct Scan<'a> {
    #[serde(borrow, default)]
    model: Option<&'a RawValue>,
    #[serde(borrow, default)]
    object: Option<&'a RawValue>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) usage: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) service_tier: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) choices: Option<Choices<'a>>,
}

impl Scan<'_> {
    pub(super) fn is_error(&self) -> bool {
        self.error.is_some_and(raw_json::is_filled)
            || (self.choices.is_none() && self.object.is_some_and(|object| object.get() == "\"error\""))
    }
}

/// What there is to know about all choices together.
#[derive(Default)]
pub(super) struct Choices<'a> {
    pub(super) count: usize,
    /// Some choice has text, reasoning or a tool call.
    pub(super) has_content: bool,
    /// Some choice has a piece of a tool call.
    pub(super) has_tool_calls: bool,
    /// Some choice says why it ended.
    pub(super) has_finished: bool,
    /// Some choice ended in an error; the error itself, where it is given.
    pub(super) error: Option<Option<&'a RawValue>>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Choices<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fold<'a>(PhantomData<&'a ()>);

        impl<'de: 'a, 'a> Visitor<'de> for Fold<'a> {
            type Value = Choices<'a>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of choices")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut all = Choices::default();
                while let Some(Strict(choice)) = seq.next_element::<Strict<Choice<'_>>>()? {
                    let reason = choice.finish_reason.filter(|reason| raw_json::is_filled(reason));
                    let error = choice.error.filter(|error| raw_json::is_filled(error));
                    all.count += 1;
                    all.has_tool_calls |= choice.delta.as_ref().is_some_and(|delta| delta.0.tool_calls.0);
                    all.has_content |= choice.delta.is_some_and(|delta| delta.0.has_content());
                    all.has_finished |= reason.is_some();
                    // Mistral and OpenRouter end a choice that broke with this reason.
                    if error.is_some() || reason.is_some_and(|reason| reason.get() == "\"error\"") {
                        all.error = Some(error);
                    }
                }
                Ok(all)
            }
        }

        deserializer.deserialize_seq(Fold(PhantomData))
    }
}

#[derive(serde::Deserialize)]
struct Choice<'a> {
    #[serde(default)]
    delta: Option<Strict<Delta>>,
    #[serde(borrow, default)]
    finish_reason: Option<&'a RawValue>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

/// The members of a delta that a reader would notice. Others, such as the role or padding, are preamble.
#[derive(serde::Deserialize, Default)]
#[serde(default)]
struct Delta {
    content: Filled,
    reasoning_content: Filled,
    reasoning: Filled,
    reasoning_details: Filled,
    thinking_blocks: Filled,
    refusal: Filled,
    tool_calls: Filled,
    function_call: Filled,
    audio: Filled,
    images: Filled,
    annotations: Filled,
}

impl Delta {
    fn has_content(&self) -> bool {
        [
            &self.content,
            &self.reasoning_content,
            &self.reasoning,
            &self.reasoning_details,
            &self.thinking_blocks,
            &self.refusal,
            &self.tool_calls,
            &self.function_call,
            &self.audio,
            &self.images,
            &self.annotations,
        ]
        .iter()
        .any(|filled| filled.0)
    }
}

/// Whether a member holds anything, found without unescaping it.
#[derive(Default)]
struct Filled(bool);

impl<'de> Deserialize<'de> for Filled {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&RawValue>::deserialize(deserializer).map(|value| Self(raw_json::is_filled(value)))
    }
}
