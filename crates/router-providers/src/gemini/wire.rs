//! What Gemini answers: the same object whole, and in each event of a stream.

use std::borrow::Cow;

use router_core::{ProviderError, ProviderErrorKind};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::errors;
use crate::raw_json::{self, Strict, Text};

/// A `GenerateContentResponse`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Response<'a> {
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(borrow)]
    candidates: Option<Vec<Strict<Candidate<'a>>>>,
    #[serde(borrow)]
    prompt_feedback: Option<Strict<PromptFeedback<'a>>>,
    #[serde(borrow)]
    pub(super) usage_metadata: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) model_version: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) response_id: Option<Text<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PromptFeedback<'a> {
    #[serde(borrow)]
    block_reason: Option<Text<'a>>,
    #[serde(borrow)]
    block_reason_message: Option<Text<'a>>,
}

/// One of the answers.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Candidate<'a> {
    #[serde(default)]
    pub(super) index: usize,
    #[serde(borrow)]
    content: Option<Strict<Content<'a>>>,
    #[serde(borrow)]
    finish_reason: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) finish_message: Option<Text<'a>>,
    #[serde(borrow)]
    logprobs_result: Option<Strict<LogprobsResult<'a>>>,
    #[serde(borrow)]
    pub(super) grounding_metadata: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) url_context_metadata: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Content<'a> {
    #[serde(borrow)]
    parts: Option<Vec<Strict<Part<'a>>>>,
}

/// A part of an answer. What is not known here is not carried over: code that Gemini runs itself, and its results.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Part<'a> {
    #[serde(borrow)]
    pub(super) text: Option<Text<'a>>,
    #[serde(default)]
    pub(super) thought: bool,
    #[serde(borrow)]
    pub(super) thought_signature: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) function_call: Option<Strict<FunctionCall<'a>>>,
    #[serde(borrow)]
    inline_data: Option<Strict<InlineData<'a>>>,
}

#[derive(Deserialize)]
pub(super) struct FunctionCall<'a> {
    #[serde(borrow)]
    id: Option<Text<'a>>,
    #[serde(borrow)]
    name: Option<Text<'a>>,
    #[serde(borrow)]
    args: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct InlineData<'a> {
    #[serde(borrow)]
    mime_type: Option<Text<'a>>,
    #[serde(borrow)]
    data: Option<Text<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LogprobsResult<'a> {
    #[serde(borrow, default)]
    top_candidates: Vec<Strict<TopCandidates<'a>>>,
    #[serde(borrow, default)]
    chosen_candidates: Vec<Strict<Logprob<'a>>>,
}

#[derive(Deserialize)]
struct TopCandidates<'a> {
    #[serde(borrow, default)]
    candidates: Vec<Strict<Logprob<'a>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Logprob<'a> {
    #[serde(borrow)]
    token: Option<Text<'a>>,
    log_probability: Option<f64>,
}

impl<'a> Response<'a> {
    /// Reads a response, or the list of them that a stream without `alt=sse` is; an error in place of one is returned as such.
    pub(super) fn read_all(json: &'a str) -> Result<Vec<Self>, ProviderError> {
        if !json.trim_ascii_start().starts_with('[') {
            return Self::read(json).map(|response| vec![response]);
        }
        let list: Vec<&'a RawValue> =
            serde_json::from_str(json).map_err(|_| malformed("the reply is not what Gemini sends"))?;
        list.into_iter().map(|response| Self::read(response.get())).collect()
    }

    /// Reads one response; an error in place of it is returned as such.
    pub(super) fn read(json: &'a str) -> Result<Self, ProviderError> {
        let response: Self =
            raw_json::parse(json).map_err(|_| malformed("the reply is not what Gemini sends"))?;
        if response.error.is_some() {
            return Err(errors::in_band(json));
        }
        if response.candidates.is_none()
            && let Some(Strict(PromptFeedback { block_reason: Some(Text(reason)), block_reason_message })) =
                &response.prompt_feedback
        {
            let message = block_reason_message.as_ref().map_or("the prompt was blocked", |text| &text.0);
            let error = ProviderError::new(ProviderErrorKind::ContentPolicy, message);
            return Err(error.with_code(reason.as_ref()));
        }
        Ok(response)
    }

    pub(super) fn candidates(&mut self) -> impl Iterator<Item = Candidate<'a>> + use<'a> {
        self.candidates.take().unwrap_or_default().into_iter().map(|Strict(candidate)| candidate)
    }
}

impl<'a> Candidate<'a> {
    pub(super) fn parts(&mut self) -> impl Iterator<Item = Part<'a>> + use<'a> {
        let parts = self.content.take().and_then(|Strict(content)| content.parts);
        parts.unwrap_or_default().into_iter().map(|Strict(part)| part)
    }

    /// Returns why the answer ends, as Gemini says it: a word or, at some hosts, its number.
    pub(super) fn finish_reason(&self) -> Option<Cow<'a, str>> {
        let reason = self.finish_reason?;
        raw_json::text(reason).or_else(|| {
            Some(Cow::Borrowed(match reason.get() {
                "1" => "STOP",
                "2" => "MAX_TOKENS",
                "3" => "SAFETY",
                "4" => "RECITATION",
                other => other,
            }))
        })
    }

    /// Returns the probabilities of the tokens in OpenAI's shape, as JSON.
    pub(super) fn logprobs(&self) -> Option<String> {
        #[derive(Serialize)]
        struct Entry<'a> {
            #[serde(flatten)]
            chosen: Token<'a>,
            top_logprobs: Vec<Token<'a>>,
        }
        #[derive(Serialize)]
        struct Token<'a> {
            token: &'a str,
            logprob: f64,
            bytes: &'a [u8],
        }
        #[derive(Serialize)]
        struct Logprobs<'a> {
            content: Vec<Entry<'a>>,
        }
        fn token<'t>(Strict(logprob): &'t Strict<Logprob<'_>>) -> Token<'t> {
            let token = logprob.token.as_ref().map_or("", |text| &text.0);
            Token { token, logprob: logprob.log_probability.unwrap_or_default(), bytes: token.as_bytes() }
        }
        let Strict(result) = self.logprobs_result.as_ref()?;
        let entries = result.chosen_candidates.iter().enumerate().map(|(at, chosen)| Entry {
            chosen: token(chosen),
            top_logprobs: result
                .top_candidates
                .get(at)
                .map(|Strict(top)| top.candidates.iter().map(token).collect())
                .unwrap_or_default(),
        });
        serde_json::to_string(&Logprobs { content: entries.collect() }).ok()
    }
}

impl Part<'_> {
    /// Returns an image, or what else is not text, as a data URI.
    pub(super) fn image(&self) -> Option<String> {
        let Strict(inline) = self.inline_data.as_ref()?;
        let media_type = inline.mime_type.as_ref().map_or("application/octet-stream", |text| &text.0);
        Some(format!("data:{media_type};base64,{}", inline.data.as_ref()?.0))
    }
}

/// A call as it stands in a canonical message.
#[derive(Serialize)]
pub(super) struct ToolCall<'a> {
    /// The rank among the calls of the answer, in a stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) index: Option<usize>,
    id: Cow<'a, str>,
    #[serde(rename = "type")]
    kind: &'static str,
    function: Function<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    extra_content: Option<ExtraContent<'a>>,
}

#[derive(Serialize)]
struct Function<'a> {
    name: Cow<'a, str>,
    /// JSON in a string.
    arguments: &'a str,
}

/// What is Google's own, where its OpenAI-compatible endpoint has it, too. The signatures have to come back.
#[derive(Serialize)]
pub(super) struct ExtraContent<'a> {
    pub(super) google: Google<'a>,
}

#[derive(Serialize, Default)]
pub(super) struct Google<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) thought_signature: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) grounding_metadata: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) url_context_metadata: Option<&'a RawValue>,
}

impl<'a> ExtraContent<'a> {
    /// Returns what there is of it, if anything.
    pub(super) fn of(google: Google<'a>) -> Option<Self> {
        let is_empty = google.thought_signature.is_none()
            && google.grounding_metadata.is_none()
            && google.url_context_metadata.is_none();
        (!is_empty).then_some(Self { google })
    }
}

/// The beginning of the ids we make up; Gemini never sees them.
pub(super) const MADE_ID: &str = "call_gemini_";

impl<'a> ToolCall<'a> {
    /// Translates a call. Most models give none of them an id, but everybody else needs one.
    pub(super) fn new(
        call: FunctionCall<'a>,
        signature: Option<&'a RawValue>,
        response_id: &str,
        rank: usize,
    ) -> Result<Self, ProviderError> {
        let id = match call.id {
            Some(Text(id)) if !id.is_empty() => id,
            _ => format!("{MADE_ID}{response_id}_{rank}").into(),
        };
        Ok(Self {
            index: None,
            id,
            kind: "function",
            function: Function {
                name: call.name.ok_or_else(|| malformed("a tool call has no name"))?.0,
                arguments: call.args.filter(|args| !raw_json::is_null(args)).map_or("{}", RawValue::get),
            },
            extra_content: ExtraContent::of(Google { thought_signature: signature, ..Google::default() }),
        })
    }
}

/// How an answer ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ending<'a> {
    pub(super) native: &'a str,
    pub(super) message: Option<&'a str>,
    pub(super) has_calls: bool,
    /// Anything of the answer came.
    pub(super) has_content: bool,
}

impl Ending<'_> {
    /// Returns the canonical reason, or the error that this end really is: an empty answer in place of a call that the model
    /// could not write is not an answer, and asking again usually helps.
    pub(super) fn canonical(self) -> Result<&'static str, ProviderError> {
        match self.native {
            "MAX_TOKENS" => Ok("length"),
            "SAFETY" | "RECITATION" | "BLOCKLIST" | "PROHIBITED_CONTENT" | "SPII" | "LANGUAGE"
            | "MODEL_ARMOR" => Ok("content_filter"),
            other if other.starts_with("IMAGE_") => Ok("content_filter"),
            "MALFORMED_FUNCTION_CALL" | "TOO_MANY_TOOL_CALLS" | "UNEXPECTED_TOOL_CALL" | "OTHER"
                if !self.has_content =>
            {
                let message = self.message.unwrap_or("the model gave up without an answer");
                let error = ProviderError::new(ProviderErrorKind::MalformedReply, message);
                Err(error.with_code(self.native))
            }
            _ if self.has_calls => Ok("tool_calls"),
            _ => Ok("stop"),
        }
    }
}

pub(super) fn malformed(message: &str) -> ProviderError {
    ProviderError::new(ProviderErrorKind::MalformedReply, message)
}
