//! From Cohere's events to canonical chunks.

use std::collections::VecDeque;

use bytes::Bytes;
use router_core::{Chunk, ChunkKind, ProviderError, ProviderErrorKind};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::reply::{finish_reason, malformed};
use super::usage;
use crate::canonical::ChunkWriter;
use crate::openai::errors;
use crate::protocol::{Progress, StreamDecoder, Target};
use crate::raw_json::{self, Strict, Text};
use crate::sse::SseParser;

/// Reads `message-start` … `message-end`.
#[derive(Debug)]
pub(super) struct Decoder {
    events: SseParser,
    model: String,
    created: u64,
    /// Set by `message-start`.
    chunks: Option<ChunkWriter>,
    has_ended: bool,
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Text<'a>>,
    #[serde(borrow)]
    id: Option<Text<'a>>,
    index: Option<u64>,
    #[serde(borrow)]
    delta: Option<Strict<Delta<'a>>>,
}

#[derive(Deserialize)]
struct Delta<'a> {
    #[serde(borrow)]
    message: Option<Strict<Message<'a>>>,
    #[serde(borrow)]
    finish_reason: Option<Text<'a>>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
}

/// What a delta brings; strings are moved on as they are written.
#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(borrow)]
    tool_plan: Option<&'a RawValue>,
    #[serde(borrow)]
    tool_calls: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Content<'a> {
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    #[serde(borrow)]
    thinking: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Call<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    function: Option<Strict<Function<'a>>>,
}

#[derive(Deserialize)]
struct Function<'a> {
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
}

impl Decoder {
    pub(super) fn new(target: &Target, created: u64) -> Self {
        Self {
            events: SseParser::new(),
            model: target.model.clone(),
            created,
            chunks: None,
            has_ended: false,
        }
    }

    fn take(&mut self, data: &[u8], out: &mut VecDeque<Chunk>) -> Result<(), ProviderError> {
        let text = std::str::from_utf8(data).map_err(|_| malformed("an event of the stream is not UTF-8"))?;
        let text = text.trim_ascii();
        if text.is_empty() {
            return Ok(());
        }
        if text == "[DONE]" {
            return Err(malformed("the stream was marked as done before its message ended"));
        }
        let event: Event<'_> =
            raw_json::parse(text).map_err(|_| malformed("an event of the stream is not valid"))?;
        let Some(Text(kind)) = &event.kind else { return Err(errors::in_band(text)) };
        if kind == "message-start" {
            let id = event.id.as_ref().map_or("", |id| &id.0);
            let chunks = ChunkWriter::new(id, self.created, &self.model);
            out.push_back(chunks.delta(ChunkKind::Preamble, &[r#"{"role":"assistant","content":""}"#]));
            self.chunks = Some(chunks);
            return Ok(());
        }
        let chunks = || self.chunks.as_ref().ok_or_else(|| malformed("the stream has no beginning"));
        let delta = event.delta.map(|delta| delta.0);
        match &**kind {
            "content-start" | "content-delta" | "tool-plan-delta" => {
                let message = delta.and_then(|delta| delta.message).map(|message| message.0);
                let Some(message) = message else { return Ok(()) };
                let content: Option<Content<'_>> =
                    message.content.and_then(|content| raw_json::parse(content.get()).ok());
                let (text, thinking) =
                    content.map_or((None, None), |content| (content.text, content.thinking));
                for (member, text) in
                    [("content", message.tool_plan), ("content", text), ("reasoning_content", thinking)]
                {
                    if let Some(text) =
                        text.filter(|text| raw_json::is_string(text) && raw_json::is_filled(text))
                    {
                        let pieces = ["{\"", member, "\":", text.get(), "}"];
                        out.push_back(chunks()?.delta(ChunkKind::Content, &pieces));
                    }
                }
                Ok(())
            }
            "tool-call-start" | "tool-call-delta" => {
                let calls = delta.and_then(|delta| delta.message).and_then(|message| message.0.tool_calls);
                let Some(calls) = calls else { return Ok(()) };
                let call: Call<'_> = raw_json::parse(calls.get())
                    .map_err(|_| malformed("a tool call has an unknown shape"))?;
                let index = event.index.unwrap_or_default().to_string();
                out.extend(call_chunk(chunks()?, &index, &call));
                Ok(())
            }
            "message-end" => {
                let chunks = chunks()?;
                let native = delta.as_ref().and_then(|delta| delta.finish_reason.as_ref());
                let native = native.map_or("COMPLETE", |reason| &reason.0);
                out.push_back(chunks.finish(finish_reason(native)?, Some(native)));
                if let Some(usage) = delta.as_ref().and_then(|delta| delta.usage).and_then(usage::read) {
                    out.push_back(chunks.usage(usage));
                }
                self.has_ended = true;
                Ok(())
            }
            _ => Ok(()), // ends of parts, citations, and what is yet to come
        }
    }
}

fn call_chunk(chunks: &ChunkWriter, index: &str, call: &Call<'_>) -> Option<Chunk> {
    let function = call.function.as_ref().map(|function| &function.0)?;
    let arguments = function.arguments.filter(|arguments| raw_json::is_string(arguments));
    let arguments = arguments.map_or("\"\"", RawValue::get);
    let chunk = match (call.id, function.name) {
        (Some(id), Some(name)) => chunks.delta(
            ChunkKind::Content,
            &[
                r#"{"tool_calls":[{"index":"#,
                index,
                r#","id":"#,
                id.get(),
                r#","type":"function","function":{"name":"#,
                name.get(),
                r#","arguments":"#,
                arguments,
                "}}]}",
            ],
        ),
        _ => chunks.delta(
            ChunkKind::Content,
            &[r#"{"tool_calls":[{"index":"#, index, r#","function":{"arguments":"#, arguments, "}}]}"],
        ),
    };
    Some(chunk)
}

impl StreamDecoder for Decoder {
    fn push(&mut self, bytes: Bytes, out: &mut VecDeque<Chunk>) -> Result<Progress, ProviderError> {
        self.events.feed(bytes);
        while !self.has_ended {
            match self.events.next() {
                Ok(Some(event)) => self.take(&event.data, out)?,
                Ok(None) => return Ok(Progress::Open),
                Err(_) => return Err(malformed("an event of the stream is too large")),
            }
        }
        Ok(Progress::Ended)
    }

    fn finish(&mut self, out: &mut VecDeque<Chunk>) -> Result<(), ProviderError> {
        if !self.has_ended
            && let Some(event) = self.events.rest()
            && raw_json::parse::<Event<'_>>(std::str::from_utf8(&event.data).unwrap_or_default())
                .is_ok_and(|event| event.kind.is_some_and(|kind| kind.0 == "message-end"))
        {
            self.take(&event.data, out)?;
        }
        if self.has_ended {
            Ok(())
        } else {
            let message = "the stream ended without its end marker, `message-end`";
            Err(ProviderError::new(ProviderErrorKind::StreamInterrupted, message))
        }
    }
}
