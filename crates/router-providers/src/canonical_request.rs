//! What a canonical request says, read without copying: for formats that have another shape.

use std::borrow::Cow;

use router_core::{ProviderError, ProviderErrorKind};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::raw_json::{self, Fields, Strict, Text};
use crate::unsupported::{is_neutral, unsupported};

/// Whom a request is translated for, as messages to the caller name them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Addressee(pub(crate) &'static str);

impl Addressee {
    /// The error for what this provider cannot be asked. Nothing was sent, and another deployment may do it.
    pub(crate) fn unsupported(self, what: &str) -> ProviderError {
        unsupported(what, self.0)
    }
}

/// The error for a request that is wrong in itself.
pub(crate) fn invalid(message: &str) -> ProviderError {
    ProviderError::new(ProviderErrorKind::InvalidRequest, message)
}

/// Parses a part of the request, naming its place when it has the wrong shape.
pub(crate) fn part<'a, T: Deserialize<'a>>(
    value: &'a RawValue,
    place: &str,
    expected: &str,
) -> Result<T, ProviderError> {
    serde_json::from_str(value.get())
        .map_err(|_| invalid(&format!("`{place}` is wrong: expected {expected}")))
}

/// One of `messages`.
#[derive(Deserialize)]
pub(crate) struct Message<'a> {
    #[serde(borrow)]
    pub(crate) role: Text<'a>,
    #[serde(borrow)]
    pub(crate) name: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) content: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) refusal: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) thinking_blocks: Option<Vec<&'a RawValue>>,
    #[serde(borrow)]
    pub(crate) tool_calls: Option<Vec<Strict<ToolCall<'a>>>>,
    #[serde(borrow)]
    pub(crate) tool_call_id: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) function_call: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) audio: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) cache_control: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) extra_content: Option<&'a RawValue>,
    pub(crate) is_error: Option<bool>,
}

/// A call of a tool, in an assistant's message.
#[derive(Deserialize)]
pub(crate) struct ToolCall<'a> {
    #[serde(borrow)]
    pub(crate) id: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) function: Option<Strict<Function<'a>>>,
    #[serde(borrow)]
    pub(crate) cache_control: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) extra_content: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) provider_specific_fields: Option<&'a RawValue>,
}

/// What is called.
#[derive(Deserialize)]
pub(crate) struct Function<'a> {
    #[serde(borrow)]
    pub(crate) name: Text<'a>,
    #[serde(borrow)]
    pub(crate) arguments: Option<&'a RawValue>,
}

/// Reads the messages of a request, each with its place in it.
pub(crate) fn messages<'a>(
    fields: &Fields<'a>,
) -> Result<impl Iterator<Item = Result<(String, Message<'a>), ProviderError>> + use<'a>, ProviderError> {
    let messages = fields.get("messages").ok_or_else(|| invalid("`messages` is missing"))?;
    let messages: Vec<&'a RawValue> = part(messages, "messages", "a list")?;
    Ok(messages.into_iter().enumerate().map(|(index, message)| {
        let place = format!("messages[{index}]");
        let Strict(message) = part(message, &place, "a message with a `role`")?;
        Ok((place, message))
    }))
}

/// Returns the arguments of a call as an object. They are JSON in a string, which may be empty, and here and there an object
/// already; those that a model wrote and that were cut off where it ran out of tokens are for providers that take strings.
pub(crate) fn arguments<'a>(
    arguments: Option<&'a RawValue>,
    place: &str,
    to: Addressee,
) -> Result<Cow<'a, RawValue>, ProviderError> {
    let none = || RawValue::from_string("{}".to_owned()).map(Cow::Owned).map_err(|_| invalid("no arguments"));
    let Some(arguments) = arguments else { return none() };
    if arguments.get().starts_with('{') {
        return Ok(Cow::Borrowed(arguments));
    }
    let object = raw_json::text(arguments).and_then(|text| match text.trim() {
        "" | "null" => Some(none()),
        text => serde_json::from_str::<Box<RawValue>>(text)
            .ok()
            .filter(|value| value.get().starts_with('{'))
            .map(|value| Ok(Cow::Owned(value))),
    });
    object.unwrap_or_else(|| {
        Err(to.unsupported(&format!("`{place}.function.arguments` that is no JSON object")))
    })
}

/// Returns the `stop` field as a list.
pub(crate) fn stop_sequences(stop: &RawValue) -> Result<Vec<Cow<'_, str>>, ProviderError> {
    if let Some(one) = raw_json::text(stop) {
        return Ok(vec![one]);
    }
    part(stop, "stop", "a string or a list of strings")
}

/// Returns the labels of OpenAI's `metadata` that fit where another provider keeps labels; what it does not take is left out,
/// since it is bookkeeping and does not change the answer.
pub(crate) fn labels<'a>(
    metadata: &'a RawValue,
    fits: impl Fn(&str, &str) -> bool,
) -> Vec<(Cow<'a, str>, Cow<'a, str>)> {
    let fields: Fields<'a> = serde_json::from_str(metadata.get()).unwrap_or_default();
    fields
        .0
        .into_iter()
        .filter_map(|(name, value)| Some((name, raw_json::text(value)?)))
        .filter(|(name, value)| fits(name, value))
        .collect()
}

/// Returns whether a field is one of those that a provider cannot do anything with, and asks for nothing special.
///
/// # Errors
/// When it asks for something.
pub(crate) fn is_idle(
    name: &str,
    value: &RawValue,
    beyond: &[&str],
    to: Addressee,
) -> Result<bool, ProviderError> {
    match beyond.contains(&name) {
        false => Ok(false),
        true if is_neutral(name, value) => Ok(true),
        true => Err(to.unsupported(&format!("`{name}`"))),
    }
}
