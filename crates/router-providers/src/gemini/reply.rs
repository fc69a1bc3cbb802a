//! From Gemini's answer to a canonical reply.

use std::borrow::Cow;

use router_core::{ProviderError, Reply};
use serde::Serialize;
use serde_json::value::RawValue;

use super::usage;
use super::wire::{Candidate, Ending, ExtraContent, Google, Part, Response, ToolCall, malformed};
use crate::canonical::{self, Completion, UsageObject};
use crate::protocol::{Target, WireReply};
use crate::raw_json::Text;

#[derive(Serialize)]
struct Choice<'a> {
    index: usize,
    message: Answer<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    logprobs: Option<Box<RawValue>>,
    finish_reason: &'static str,
    native_finish_reason: Option<Cow<'a, str>>,
}

#[derive(Serialize)]
struct Answer<'a> {
    role: &'static str,
    content: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<ToolCall<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    images: Vec<Image>,
    #[serde(skip_serializing_if = "Option::is_none")]
    extra_content: Option<ExtraContent<'a>>,
}

#[derive(Serialize)]
pub(super) struct Image {
    #[serde(rename = "type")]
    kind: &'static str,
    image_url: ImageUrl,
}

#[derive(Serialize)]
struct ImageUrl {
    url: String,
}

impl Image {
    pub(super) fn new(url: String) -> Self {
        Self { kind: "image_url", image_url: ImageUrl { url } }
    }
}

pub(super) fn decode(target: &Target, reply: &WireReply) -> Result<Reply, ProviderError> {
    let text = std::str::from_utf8(&reply.body).map_err(|_| malformed("the reply is not UTF-8"))?;
    let mut id = Cow::Borrowed("");
    let mut model = Cow::Borrowed(target.model.as_str());
    let mut usage = None;
    let mut choices: Vec<Unfinished<'_>> = Vec::new();
    for mut response in Response::read_all(text)? {
        if let Some(Text(told)) = response.response_id.take() {
            id = told;
        }
        if let Some(Text(told)) = response.model_version.take() {
            model = told;
        }
        usage = response.usage_metadata.and_then(usage::read).or(usage);
        for candidate in response.candidates() {
            match choices.iter_mut().find(|choice| choice.index == candidate.index) {
                Some(choice) => choice.take(candidate, &id)?,
                None => {
                    let mut choice = Unfinished { index: candidate.index, ..Unfinished::default() };
                    choice.take(candidate, &id)?;
                    choices.push(choice);
                }
            }
        }
    }
    if choices.is_empty() {
        return Err(malformed("the reply has no candidates"));
    }
    let completion = Completion {
        id: &id,
        object: "chat.completion",
        created: canonical::created(&reply.headers),
        model: &model,
        choices: choices.into_iter().map(Unfinished::finish).collect::<Result<_, _>>()?,
        usage: usage.as_ref().map(UsageObject::from),
    };
    let body =
        serde_json::to_vec(&completion).map_err(|_| malformed("the reply cannot be written as JSON"))?;
    Ok(Reply { body: body.into(), model: Some(model.into_owned()), usage, headroom: None })
}

/// A choice that more may be added to.
#[derive(Default)]
struct Unfinished<'a> {
    index: usize,
    content: Option<Cow<'a, str>>,
    reasoning_content: Option<Cow<'a, str>>,
    tool_calls: Vec<ToolCall<'a>>,
    images: Vec<Image>,
    google: Google<'a>,
    logprobs: Option<String>,
    native: Option<Cow<'a, str>>,
    finish_message: Option<Text<'a>>,
}

impl<'a> Unfinished<'a> {
    fn take(&mut self, mut candidate: Candidate<'a>, response_id: &str) -> Result<(), ProviderError> {
        for mut part in candidate.parts() {
            if let Some(call) = part.function_call.take() {
                let rank = self.tool_calls.len();
                self.tool_calls.push(ToolCall::new(call.0, part.thought_signature, response_id, rank)?);
                continue;
            }
            self.google.thought_signature = part.thought_signature.or(self.google.thought_signature);
            self.images.extend(part.image().map(Image::new));
            let Part { text, thought, .. } = part;
            join(if thought { &mut self.reasoning_content } else { &mut self.content }, text);
        }
        self.google.grounding_metadata = candidate.grounding_metadata.or(self.google.grounding_metadata);
        self.google.url_context_metadata =
            candidate.url_context_metadata.or(self.google.url_context_metadata);
        self.logprobs = candidate.logprobs().or(self.logprobs.take());
        self.native = candidate.finish_reason().or(self.native.take());
        self.finish_message = candidate.finish_message.or(self.finish_message.take());
        Ok(())
    }

    fn finish(mut self) -> Result<Choice<'a>, ProviderError> {
        let has_calls = !self.tool_calls.is_empty();
        let ending = Ending {
            native: self.native.as_deref().unwrap_or("STOP"),
            message: self.finish_message.as_ref().map(|text| text.0.as_ref()),
            has_calls,
            has_content: has_calls || self.content.is_some() || !self.images.is_empty(),
        };
        let finish_reason = ending.canonical()?;
        if self.content.is_none() && !has_calls {
            self.content = Some("".into());
        }
        Ok(Choice {
            index: self.index,
            message: Answer {
                role: "assistant",
                content: self.content,
                reasoning_content: self.reasoning_content,
                tool_calls: self.tool_calls,
                images: self.images,
                extra_content: ExtraContent::of(self.google),
            },
            logprobs: self.logprobs.and_then(|json| RawValue::from_string(json).ok()),
            finish_reason,
            native_finish_reason: self.native,
        })
    }
}

fn join<'a>(whole: &mut Option<Cow<'a, str>>, more: Option<Text<'a>>) {
    let Some(Text(more)) = more.filter(|more| !more.0.is_empty()) else { return };
    match whole {
        Some(whole) => whole.to_mut().push_str(&more),
        None => *whole = Some(more),
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, StatusCode};
    use router_core::ProviderErrorKind;
    use serde_json::{Value, json};

    use super::*;

    fn decoded(body: &Value) -> Result<Reply, ProviderError> {
        let target = Target::new("gemini-x");
        let body = body.to_string().into();
        decode(&target, &WireReply { status: StatusCode::OK, headers: HeaderMap::new(), body })
    }

    fn body(reply: &Reply) -> Value {
        serde_json::from_slice(&reply.body).unwrap()
    }

    #[test]
    fn every_part_finds_its_place() {
        let reply = decoded(&json!({
            "responseId": "r1", "modelVersion": "gemini-x-001",
            "candidates": [{"index": 0, "finishReason": "STOP", "groundingMetadata": {"webSearchQueries": ["q"]},
                "content": {"role": "model", "parts": [
                    {"text": "hm", "thought": true},
                    {"text": "a"},
                    {"executableCode": {"code": "1"}},
                    {"text": "\"b\"", "thoughtSignature": "s1"},
                    {"inlineData": {"mimeType": "image/png", "data": "AAAA"}},
                    {"functionCall": {"name": "f", "args": {"z": [1], "a": 2}}, "thoughtSignature": "s2"},
                    {"functionCall": {"name": "g", "id": "own"}},
                ]}}],
            "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 4, "thoughtsTokenCount": 5},
        }))
        .unwrap();
        assert_eq!(
            body(&reply),
            json!({
                "id": "r1", "object": "chat.completion", "created": 0, "model": "gemini-x-001",
                "choices": [{"index": 0, "finish_reason": "tool_calls", "native_finish_reason": "STOP", "message": {
                    "role": "assistant", "content": "a\"b\"", "reasoning_content": "hm",
                    "images": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}],
                    "tool_calls": [
                        {"id": "call_gemini_r1_0", "type": "function", "function": {"name": "f", "arguments": "{\"a\":2,\"z\":[1]}"},
                            "extra_content": {"google": {"thought_signature": "s2"}}},
                        {"id": "own", "type": "function", "function": {"name": "g", "arguments": "{}"}},
                    ],
                    "extra_content": {"google": {"thought_signature": "s1", "grounding_metadata": {"webSearchQueries": ["q"]}}},
                }}],
                "usage": {
                    "prompt_tokens": 3, "completion_tokens": 9, "total_tokens": 12,
                    "prompt_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
                    "completion_tokens_details": {"reasoning_tokens": 5},
                },
            })
        );
        assert_eq!(reply.model.as_deref(), Some("gemini-x-001"));
    }

    #[test]
    fn each_candidate_is_a_choice_with_its_probabilities() {
        let token = |token: &str, probability: f64| json!({"token": token, "tokenId": 7, "logProbability": probability});
        let candidate = |index: u64, text: &str| {
            json!({"index": index, "finishReason": "MAX_TOKENS", "content": {"parts": [{"text": text}]},
                "logprobsResult": {"chosenCandidates": [token("ä", -0.5)],
                    "topCandidates": [{"candidates": [token("ä", -0.5), token("b", -1.5)]}]}})
        };
        let reply = decoded(&json!({"candidates": [candidate(0, "x"), candidate(1, "y")]})).unwrap();
        let body = body(&reply);
        assert_eq!(body["choices"][1]["message"]["content"], "y");
        assert_eq!(body["choices"][1]["finish_reason"], "length");
        assert_eq!(
            body["choices"][0]["logprobs"],
            json!({"content": [{"token": "ä", "logprob": -0.5, "bytes": [195, 164], "top_logprobs": [
                {"token": "ä", "logprob": -0.5, "bytes": [195, 164]},
                {"token": "b", "logprob": -1.5, "bytes": [98]},
            ]}]})
        );
        assert_eq!(body["model"], "gemini-x", "the one that was asked");
    }

    #[test]
    fn finish_reasons_are_translated_and_the_native_one_is_kept() {
        let finish = |native: Value, parts: Value| {
            let reply =
                decoded(&json!({"candidates": [{"finishReason": native, "content": {"parts": parts}}]}));
            reply.map(|reply| body(&reply)["choices"][0].clone()).map_err(|error| {
                assert_eq!(error.code(), native.as_str());
                error.kind()
            })
        };
        let text = json!([{"text": "x"}]);
        for (native, expected) in [
            ("STOP", "stop"),
            ("MAX_TOKENS", "length"),
            ("SAFETY", "content_filter"),
            ("IMAGE_SAFETY", "content_filter"),
            ("MODEL_ARMOR", "content_filter"),
            ("MALFORMED_FUNCTION_CALL", "stop"),
            ("BRAND_NEW", "stop"),
        ] {
            let choice = finish(json!(native), text.clone()).unwrap();
            assert_eq!(
                (&choice["finish_reason"], &choice["native_finish_reason"]),
                (&json!(expected), &json!(native))
            );
        }
        assert_eq!(finish(json!(1), text).unwrap()["native_finish_reason"], "STOP");
        let call = json!([{"functionCall": {"name": "f"}}]);
        assert_eq!(finish(json!("UNEXPECTED_TOOL_CALL"), call).unwrap()["finish_reason"], "tool_calls");
        assert_eq!(finish(json!("SAFETY"), json!([])).unwrap()["message"]["content"], "");
        assert_eq!(
            finish(json!("MALFORMED_FUNCTION_CALL"), json!([])),
            Err(ProviderErrorKind::MalformedReply)
        );
    }

    #[test]
    fn a_stream_that_came_as_a_list_is_one_answer() {
        let piece = |text: &str, finish: Value| {
            json!({"candidates": [{"content": {"parts": [{"text": text}]}, "finishReason": finish}],
            "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": text.len()}})
        };
        let reply = decoded(&json!([piece("a", Value::Null), piece("bc", json!("MAX_TOKENS"))])).unwrap();
        assert_eq!(reply.text().as_deref(), Some("abc"));
        assert_eq!(body(&reply)["choices"][0]["finish_reason"], "length");
        assert_eq!(reply.usage.unwrap().completion, 2);
    }

    #[test]
    fn what_is_no_answer_is_an_error() {
        use ProviderErrorKind::{ContentPolicy, MalformedReply, Overloaded};
        let kind = |body: Value| decoded(&body).unwrap_err().kind();
        assert_eq!(kind(json!({"promptFeedback": {"blockReason": "SAFETY"}})), ContentPolicy);
        let error = json!({"error": {"code": 503, "status": "UNAVAILABLE", "message": "m"}});
        assert_eq!(kind(error.clone()), Overloaded);
        assert_eq!(kind(json!([error])), Overloaded);
        for body in [json!({}), json!({"candidates": []}), json!({"candidates": 7}), json!(null)] {
            assert_eq!(kind(body), MalformedReply);
        }
        let nameless = json!({"candidates": [{"content": {"parts": [{"functionCall": {}}]}}]});
        assert_eq!(kind(nameless), MalformedReply);
    }
}
