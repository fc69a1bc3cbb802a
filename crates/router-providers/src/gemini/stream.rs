//! From Gemini's events to canonical chunks.
//!
//! Each event is a whole response with the next parts of the answer. There is no end marker: an answer is complete when every
//! candidate has said why it finished, and that is only known once there are no more events. So the ends of the choices wait
//! for the end of the bytes.

use std::collections::VecDeque;

use bytes::Bytes;
use router_core::{Chunk, ChunkKind, ProviderError, ProviderErrorKind, Usage};
use serde_json::value::RawValue;

use super::reply::Image;
use super::usage;
use super::wire::{Candidate, Ending, ExtraContent, Google, Response, ToolCall, malformed};
use crate::canonical::ChunkWriter;
use crate::protocol::{Progress, StreamDecoder};
use crate::sse::SseParser;

/// More answers at a time than anybody can ask for.
const MAX_CHOICES: usize = 128;

/// Reads events of `streamGenerateContent?alt=sse`.
#[derive(Debug)]
pub(super) struct Decoder {
    events: SseParser,
    /// The model that was asked, for events that do not name it.
    model: String,
    created: u64,
    started: Option<Started>,
    choices: Vec<Choice>,
    usage: Option<Usage>,
}

/// What the first event brings.
#[derive(Debug)]
struct Started {
    chunks: ChunkWriter,
    response_id: String,
}

/// How far one of the answers is.
#[derive(Debug)]
struct Choice {
    index: usize,
    calls: usize,
    has_content: bool,
    finish: Option<Finish>,
}

#[derive(Debug)]
struct Finish {
    native: String,
    message: Option<String>,
}

impl Decoder {
    pub(super) fn new(model: &str, created: u64) -> Self {
        Self {
            events: SseParser::new(),
            model: model.to_owned(),
            created,
            started: None,
            choices: Vec::new(),
            usage: None,
        }
    }

    fn take(&mut self, data: &[u8], out: &mut VecDeque<Chunk>) -> Result<(), ProviderError> {
        let text = std::str::from_utf8(data).map_err(|_| malformed("an event of the stream is not UTF-8"))?;
        if text.trim_ascii().is_empty() {
            return Ok(());
        }
        let mut response = Response::read(text)?;
        self.usage = response.usage_metadata.and_then(usage::read).or(self.usage);
        let candidates = response.candidates();
        let started = self.started.get_or_insert_with(|| {
            let response_id = response.response_id.map(|id| id.0.into_owned()).unwrap_or_default();
            let model = response.model_version.map_or(self.model.clone(), |version| version.0.into_owned());
            Started { chunks: ChunkWriter::new(&response_id, self.created, &model), response_id }
        });
        for candidate in candidates {
            let place = match self.choices.iter().position(|choice| choice.index == candidate.index) {
                Some(place) => place,
                None if self.choices.len() == MAX_CHOICES => {
                    return Err(malformed("the stream has too many candidates"));
                }
                None => {
                    let role = [r#"{"role":"assistant","content":""}"#];
                    out.push_back(started.chunks.choice_delta(
                        candidate.index,
                        ChunkKind::Preamble,
                        &role,
                        "",
                    ));
                    self.choices.push(Choice {
                        index: candidate.index,
                        calls: 0,
                        has_content: false,
                        finish: None,
                    });
                    self.choices.len() - 1
                }
            };
            if let Some(choice) = self.choices.get_mut(place) {
                choice.take(candidate, started, out)?;
            }
        }
        Ok(())
    }
}

impl Choice {
    fn take(
        &mut self,
        mut candidate: Candidate<'_>,
        started: &Started,
        out: &mut VecDeque<Chunk>,
    ) -> Result<(), ProviderError> {
        // The probabilities belong to all of the event's tokens, and go with the first of its chunks.
        let mut logprobs =
            candidate.logprobs().map(|json| format!(r#","logprobs":{json}"#)).unwrap_or_default();
        let mut push = |delta: &[&str]| {
            let rest = std::mem::take(&mut logprobs);
            out.push_back(started.chunks.choice_delta(self.index, ChunkKind::Content, delta, &rest));
        };
        for mut part in candidate.parts() {
            if let Some(call) = part.function_call.take() {
                let signature = part.thought_signature;
                let mut call = ToolCall::new(call.0, signature, &started.response_id, self.calls)?;
                call.index = Some(self.calls);
                push(&[r#"{"tool_calls":["#, &json(&call)?, "]}"]);
                self.calls += 1;
                self.has_content = true;
                continue;
            }
            if let Some(image) = part.image() {
                push(&[r#"{"images":["#, &json(&Image::new(image))?, "]}"]);
                self.has_content = true;
            }
            let text = part.text.as_ref().map_or("", |text| &text.0);
            if !text.is_empty() {
                let name = if part.thought { r#"{"reasoning_content":"# } else { r#"{"content":"# };
                push(&[name, &json(text)?, "}"]);
                self.has_content |= !part.thought;
            }
            let google = Google { thought_signature: part.thought_signature, ..Google::default() };
            if let Some(extra) = ExtraContent::of(google) {
                push(&[r#"{"extra_content":"#, &json(&extra)?, "}"]);
            }
        }
        let google = Google {
            thought_signature: None,
            grounding_metadata: candidate.grounding_metadata,
            url_context_metadata: candidate.url_context_metadata,
        };
        if let Some(extra) = ExtraContent::of(google) {
            push(&[r#"{"extra_content":"#, &json(&extra)?, "}"]);
        }
        if let Some(native) = candidate.finish_reason() {
            let message = candidate.finish_message.map(|text| text.0.into_owned());
            self.finish = Some(Finish { native: native.into_owned(), message });
        }
        Ok(())
    }

    fn end(&self, chunks: &ChunkWriter) -> Result<Chunk, ProviderError> {
        let Some(Finish { native, message }) = &self.finish else { return Err(interrupted()) };
        let ending = Ending {
            native,
            message: message.as_deref(),
            has_calls: self.calls > 0,
            has_content: self.has_content,
        };
        Ok(chunks.choice_finish(self.index, ending.canonical()?, Some(native)))
    }
}

impl StreamDecoder for Decoder {
    fn push(&mut self, bytes: Bytes, out: &mut VecDeque<Chunk>) -> Result<Progress, ProviderError> {
        self.events.feed(bytes);
        loop {
            match self.events.next() {
                Ok(Some(event)) => self.take(&event.data, out)?,
                Ok(None) => return Ok(Progress::Open),
                Err(_) => return Err(malformed("an event of the stream is too large")),
            }
        }
    }

    fn finish(&mut self, out: &mut VecDeque<Chunk>) -> Result<(), ProviderError> {
        // An event that was cut short is no valid JSON, so one that is only lacks its line breaks.
        if let Some(event) = self.events.rest()
            && serde_json::from_slice::<&RawValue>(&event.data).is_ok()
        {
            self.take(&event.data, out)?;
        }
        let Some(started) = self.started.as_ref().filter(|_| !self.choices.is_empty()) else {
            return Err(interrupted());
        };
        let ends = self.choices.iter().map(|choice| choice.end(&started.chunks));
        out.extend(ends.collect::<Result<Vec<_>, _>>()?);
        out.extend(self.usage.map(|usage| started.chunks.usage(usage)));
        Ok(())
    }
}

fn interrupted() -> ProviderError {
    ProviderError::new(ProviderErrorKind::StreamInterrupted, "the stream ended without a `finishReason`")
}

fn json<T: serde::Serialize + ?Sized>(value: &T) -> Result<String, ProviderError> {
    serde_json::to_string(value).map_err(|_| malformed("the answer cannot be written as JSON"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    type Decoded = (Vec<(ChunkKind, Value)>, Result<(), ProviderError>);

    fn read(events: &[Value]) -> Decoded {
        let stream: String = events.iter().map(|event| format!("data: {event}\r\n\r\n")).collect();
        let mut decoder = Decoder::new("gemini-x", 60);
        let mut out = VecDeque::new();
        let result = decoder.push(stream.into(), &mut out).and_then(|_| decoder.finish(&mut out));
        let json =
            out.iter().map(|chunk| (chunk.kind, serde_json::from_slice(&chunk.data).unwrap())).collect();
        (json, result)
    }

    fn event(parts: Value, finish: Value) -> Value {
        json!({"responseId": "r", "modelVersion": "gemini-x-1", "candidates": [
            {"index": 0, "content": {"role": "model", "parts": parts}, "finishReason": finish}],
            "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 4}})
    }

    #[test]
    fn events_become_chunks() {
        let (chunks, result) = read(&[
            event(json!([{"text": "h\"m", "thought": true}]), Value::Null),
            event(json!([{"text": "ä\n", "thoughtSignature": "s1"}]), Value::Null),
            event(
                json!([
                    {"functionCall": {"name": "f", "args": {"a": 1}}, "thoughtSignature": "s2"},
                    {"functionCall": {"name": "f", "id": "own"}},
                ]),
                Value::Null,
            ),
            event(json!([{"text": ""}]), json!("STOP")),
        ]);
        assert!(result.is_ok(), "{result:?}");
        let deltas: Vec<Value> = chunks
            .iter()
            .filter(|(kind, _)| *kind == ChunkKind::Content)
            .map(|(_, chunk)| chunk["choices"][0]["delta"].clone())
            .collect();
        let signed = |signature: &str| json!({"google": {"thought_signature": signature}});
        assert_eq!(
            deltas,
            [
                json!({"reasoning_content": "h\"m"}),
                json!({"content": "ä\n"}),
                json!({"extra_content": signed("s1")}),
                json!({"tool_calls": [{"index": 0, "id": "call_gemini_r_0", "type": "function",
                    "function": {"name": "f", "arguments": "{\"a\":1}"}, "extra_content": signed("s2")}]}),
                json!({"tool_calls": [{"index": 1, "id": "own", "type": "function", "function": {"name": "f", "arguments": "{}"}}]}),
            ]
        );
        assert_eq!(
            chunks[0],
            (
                ChunkKind::Preamble,
                json!({"id": "r", "object": "chat.completion.chunk", "created": 60, "model": "gemini-x-1", "choices":
                    [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": null}]})
            )
        );
        let [.., finish, usage] = &chunks[..] else { panic!("too few chunks") };
        assert_eq!(finish.1["choices"][0]["finish_reason"], "tool_calls");
        assert_eq!(finish.1["choices"][0]["native_finish_reason"], "STOP");
        assert_eq!((usage.0, &usage.1["usage"]["total_tokens"]), (ChunkKind::Usage, &json!(7)));
    }

    #[test]
    fn each_candidate_ends_for_itself() {
        let candidate = |index: u64, text: &str, finish: Value| json!({"index": index, "content": {"parts": [{"text": text}]}, "finishReason": finish});
        let both = |a: Value, b: Value| json!({"candidates": [a, b]});
        let first = both(candidate(0, "a", json!("STOP")), candidate(1, "b", Value::Null));
        let (chunks, result) =
            read(&[first.clone(), json!({"candidates": [candidate(1, "c", json!("MAX_TOKENS"))]})]);
        assert!(result.is_ok());
        let ends: Vec<_> = chunks
            .iter()
            .filter(|(kind, _)| *kind == ChunkKind::Finish)
            .map(|(_, chunk)| (&chunk["choices"][0]["index"], &chunk["choices"][0]["finish_reason"]))
            .collect();
        assert_eq!(ends, [(&json!(0), &json!("stop")), (&json!(1), &json!("length"))]);
        let (_, result) = read(&[first]);
        assert_eq!(result.unwrap_err().kind(), ProviderErrorKind::StreamInterrupted);
    }

    #[test]
    fn only_a_reason_to_finish_ends_a_stream() {
        let text = json!([{"text": "x"}]);
        let kind = |events: &[Value]| read(events).1.map_err(|error| error.kind());
        assert_eq!(kind(&[event(text.clone(), json!("STOP"))]), Ok(()));
        assert_eq!(kind(&[event(text, Value::Null)]), Err(ProviderErrorKind::StreamInterrupted));
        assert_eq!(kind(&[]), Err(ProviderErrorKind::StreamInterrupted));
        assert_eq!(kind(&[json!({})]), Err(ProviderErrorKind::StreamInterrupted));
        assert_eq!(
            kind(&[event(json!([]), json!("MALFORMED_FUNCTION_CALL"))]),
            Err(ProviderErrorKind::MalformedReply)
        );

        let unterminated = format!("data: {}", event(json!([{"text": "x"}]), json!("STOP")));
        let mut decoder = Decoder::new("m", 0);
        let mut out = VecDeque::new();
        assert_eq!(decoder.push(unterminated.into(), &mut out).unwrap(), Progress::Open);
        assert!(decoder.finish(&mut out).is_ok());
        assert_eq!(out.back().unwrap().kind, ChunkKind::Usage);
    }

    #[test]
    fn errors_inside_a_stream_end_it_and_keep_what_came_before() {
        use ProviderErrorKind::{ContentPolicy, MalformedReply, Overloaded};
        let check = |last: Value, expected: ProviderErrorKind| {
            let (chunks, result) = read(&[event(json!([{"text": "x"}]), Value::Null), last.clone()]);
            assert_eq!(chunks.len(), 2, "{last}");
            assert_eq!(result.unwrap_err().kind(), expected, "{last}");
        };
        let error = json!({"error": {"code": 503, "message": "m", "status": "UNAVAILABLE"}});
        check(error.clone(), Overloaded);
        check(json!([error]), MalformedReply);
        check(json!({"promptFeedback": {"blockReason": "SAFETY"}}), ContentPolicy);
        check(json!("garbage"), MalformedReply);
        check(json!({"candidates": [{"content": {"parts": [7]}}]}), MalformedReply);
    }
}
