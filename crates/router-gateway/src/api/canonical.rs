//! What is read of canonical replies and chunks, to be told in another API's words.

use std::borrow::Cow;

use llm_router::{ProviderError, ProviderErrorKind};
use serde::Deserialize;
use serde_json::value::RawValue;

/// A `chat.completion`, or a `chat.completion.chunk`: both are choices.
#[derive(Debug, Deserialize)]
pub(super) struct Completion<'a> {
    #[serde(borrow)]
    pub(super) id: Option<Cow<'a, str>>,
    pub(super) created: Option<u64>,
    #[serde(borrow)]
    pub(super) model: Option<Cow<'a, str>>,
    #[serde(borrow, default = "Vec::new")]
    pub(super) choices: Vec<Choice<'a>>,
    #[serde(borrow)]
    pub(super) usage: Option<&'a RawValue>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Choice<'a> {
    #[serde(default)]
    pub(super) index: u64,
    /// The message; of a chunk, what it adds.
    #[serde(borrow, alias = "delta")]
    pub(super) message: Message<'a>,
    #[serde(borrow)]
    pub(super) finish_reason: Option<Cow<'a, str>>,
    /// The provider's own reason, where adapters keep it.
    #[serde(borrow)]
    pub(super) native_finish_reason: Option<Cow<'a, str>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Message<'a> {
    #[serde(borrow)]
    pub(super) content: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) refusal: Option<Cow<'a, str>>,
    #[serde(borrow)]
    reasoning_content: Option<Cow<'a, str>>,
    /// The same under its other name; some hosts send both.
    #[serde(borrow)]
    reasoning: Option<&'a RawValue>,
    /// Anthropic's blocks, signed.
    #[serde(borrow)]
    pub(super) thinking_blocks: Option<Vec<&'a RawValue>>,
    #[serde(borrow)]
    pub(super) tool_calls: Option<Vec<ToolCall<'a>>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct ToolCall<'a> {
    pub(super) index: Option<u64>,
    #[serde(borrow)]
    pub(super) id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) function: Option<Function<'a>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Function<'a> {
    #[serde(borrow)]
    pub(super) name: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) arguments: Option<Cow<'a, str>>,
}

impl<'a> Completion<'a> {
    /// Reads a reply or a chunk.
    pub(super) fn read(json: &'a [u8]) -> Result<Self, ProviderError> {
        serde_json::from_slice(json).map_err(|_| {
            let message = "the answer has a shape that cannot be translated into this API";
            ProviderError::new(ProviderErrorKind::MalformedReply, message)
        })
    }

    /// Returns the first choice, which is the only one that other APIs know.
    pub(super) fn first(&self) -> Option<&Choice<'a>> {
        self.choices.iter().find(|choice| choice.index == 0)
    }
}

/// What a text of the assistant is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    Text,
    Refusal,
}

impl Message<'_> {
    /// Returns what is said, and whether it is a refusal to say anything else; `None` when that is nothing.
    pub(super) fn said(&self) -> Option<(Said, &str)> {
        let texts = [(Said::Text, &self.content), (Said::Refusal, &self.refusal)];
        let mut said = texts.into_iter().filter_map(|(said, text)| Some((said, text.as_deref()?)));
        said.find(|(_, text)| !text.is_empty())
    }

    /// Returns what is said, refusals included.
    pub(super) fn text(&self) -> Option<&str> {
        self.said().map(|(_, text)| text)
    }

    /// Returns the reasoning.
    pub(super) fn reasoning(&self) -> Option<Cow<'_, str>> {
        let text = match &self.reasoning_content {
            Some(text) => Some(Cow::Borrowed(text.as_ref())),
            None => self.reasoning.and_then(super::json::text),
        };
        text.filter(|text| !text.is_empty())
    }
}
