//! From Anthropic's events to canonical chunks.

use std::collections::VecDeque;

use bytes::Bytes;
use router_core::{Chunk, ChunkKind, ProviderError, ProviderErrorKind};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::errors;
use super::reply::{Block, finish_reason, malformed};
use super::usage::WireUsage;
use crate::canonical::ChunkWriter;
use crate::protocol::{Progress, StreamDecoder};
use crate::raw_json::{self, Strict, Text};
use crate::sse::SseParser;

/// The most that is kept of an answer's blocks: as much as one event may hold, far more than any answer has.
const MAX_KEPT: usize = 16 << 20;

/// Reads `message_start` … `message_stop`.
#[derive(Debug)]
pub(super) struct Decoder {
    events: SseParser,
    created: u64,
    /// Set by `message_start`.
    chunks: Option<ChunkWriter>,
    /// The blocks that have begun and not ended, by their index.
    open: Vec<(u64, OpenBlock)>,
    /// How many bytes of blocks were kept.
    kept: usize,
    tools: usize,
    usage: Option<WireUsage>,
    has_finished: bool,
    has_ended: bool,
}

#[derive(Debug)]
enum OpenBlock {
    /// A tool call, by its rank among the tool calls, which is OpenAI's index.
    Tool { rank: usize, has_arguments: bool },
    /// Reasoning, gathered because the caller has to send it back whole and signed.
    Thinking { text: String, signature: String },
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Text<'a>>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(borrow)]
    message: Option<&'a RawValue>,
    index: Option<u64>,
    #[serde(borrow)]
    content_block: Option<&'a RawValue>,
    #[serde(borrow)]
    delta: Option<Strict<Delta<'a>>>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
}

/// What a delta brings; strings are moved on as they are written.
#[derive(Deserialize)]
struct Delta<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Text<'a>>,
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    #[serde(borrow)]
    thinking: Option<&'a RawValue>,
    #[serde(borrow)]
    signature: Option<&'a RawValue>,
    #[serde(borrow)]
    partial_json: Option<&'a RawValue>,
    #[serde(borrow)]
    stop_reason: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct MessageStart<'a> {
    #[serde(borrow)]
    id: Option<Text<'a>>,
    #[serde(borrow)]
    model: Option<Text<'a>>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
}

impl Decoder {
    pub(super) fn new(created: u64) -> Self {
        Self {
            events: SseParser::new(),
            created,
            chunks: None,
            open: Vec::new(),
            kept: 0,
            tools: 0,
            usage: None,
            has_finished: false,
            has_ended: false,
        }
    }

    fn take(&mut self, data: &[u8], out: &mut VecDeque<Chunk>) -> Result<(), ProviderError> {
        let text = std::str::from_utf8(data).map_err(|_| malformed("an event of the stream is not UTF-8"))?;
        if text.trim_ascii().is_empty() {
            return Ok(());
        }
        let event: Event<'_> =
            raw_json::parse(text).map_err(|_| malformed("an event of the stream is not valid"))?;
        let kind = event.kind.as_ref().map_or("", |kind| &kind.0);
        if kind == "error" || event.error.is_some() {
            return Err(errors::in_band(text));
        }
        if kind == "message_start" {
            let message = event.message.ok_or_else(|| malformed("the stream begins with no message"))?;
            return self.start(message, out);
        }
        let chunks = || self.chunks.as_ref().ok_or_else(|| malformed("the stream has no beginning"));
        match kind {
            "content_block_start" => {
                let block =
                    event.content_block.ok_or_else(|| malformed("a content block has no beginning"))?;
                self.start_block(event.index.unwrap_or_default(), block, out)
            }
            "content_block_delta" => match event.delta {
                Some(Strict(delta)) => self.continue_block(event.index.unwrap_or_default(), &delta, out),
                None => Err(malformed("a delta is missing")),
            },
            "content_block_stop" => self.end_block(event.index.unwrap_or_default(), out),
            "message_delta" => {
                if let Some(later) = event.usage.and_then(WireUsage::read) {
                    self.usage.get_or_insert_default().update(later);
                }
                if let Some(Text(native)) = event.delta.and_then(|delta| delta.0.stop_reason)
                    && !self.has_finished
                {
                    out.push_back(chunks()?.finish(finish_reason(&native), Some(&native)));
                    self.has_finished = true;
                }
                Ok(())
            }
            "message_stop" => {
                let chunks = chunks()?;
                if !self.has_finished {
                    out.push_back(chunks.finish("stop", None));
                }
                if let Some(usage) = self.usage {
                    out.push_back(chunks.usage(usage.canonical()));
                }
                self.has_ended = true;
                Ok(())
            }
            _ => Ok(()), // `ping`, and what Anthropic will think of
        }
    }

    fn start(&mut self, message: &RawValue, out: &mut VecDeque<Chunk>) -> Result<(), ProviderError> {
        let message: MessageStart<'_> =
            raw_json::parse(message.get()).map_err(|_| malformed("the stream begins with no message"))?;
        let text =
            |text: &'_ Option<Text<'_>>| text.as_ref().map_or(String::new(), |text| text.0.to_string());
        self.usage = message.usage.and_then(WireUsage::read);
        let chunks = ChunkWriter::new(&text(&message.id), self.created, &text(&message.model));
        let mut chunk = chunks.delta(ChunkKind::Preamble, &[r#"{"role":"assistant","content":""}"#]);
        // What was read is known from here on, should the stream never reach its end.
        chunk.usage = self.usage.map(WireUsage::canonical);
        out.push_back(chunk);
        self.chunks = Some(chunks);
        Ok(())
    }

    /// Counts what is kept until its block ends; an endless stream of it would fill the memory.
    fn keep(&mut self, bytes: usize) -> Result<(), ProviderError> {
        self.kept = self.kept.saturating_add(bytes);
        if self.kept > MAX_KEPT { Err(malformed("the stream's blocks are too large")) } else { Ok(()) }
    }

    fn start_block(
        &mut self,
        index: u64,
        block: &RawValue,
        out: &mut VecDeque<Chunk>,
    ) -> Result<(), ProviderError> {
        self.keep(block.get().len() + size_of::<OpenBlock>())?;
        let chunks = self.chunks.as_ref().ok_or_else(|| malformed("the stream has no beginning"))?;
        let raw = block;
        let block: Block<'_> =
            raw_json::parse(block.get()).map_err(|_| malformed("a content block has an unknown shape"))?;
        match block.kind.0.as_ref() {
            "text" => {
                if let Some(Text(text)) = block.text.filter(|text| !text.0.is_empty()) {
                    let text = quoted(&text);
                    out.push_back(chunks.delta(ChunkKind::Content, &[r#"{"content":"#, &text, "}"]));
                }
            }
            "thinking" => {
                let text = block.thinking.map(|text| text.0.into_owned()).unwrap_or_default();
                let signature = block.signature.map(|text| text.0.into_owned()).unwrap_or_default();
                if !text.is_empty() {
                    let text = quoted(&text);
                    out.push_back(
                        chunks.delta(ChunkKind::Content, &[r#"{"reasoning_content":"#, &text, "}"]),
                    );
                }
                self.open.push((index, OpenBlock::Thinking { text, signature }));
            }
            "redacted_thinking" => {
                out.push_back(chunks.delta(ChunkKind::Content, &[r#"{"thinking_blocks":["#, raw.get(), "]}"]))
            }
            "tool_use" => {
                let id = block.id.ok_or_else(|| malformed("a tool call has no id"))?;
                let name = block.name.ok_or_else(|| malformed("a tool call has no name"))?;
                // Empty at Anthropic itself, where the arguments follow in pieces.
                let arguments =
                    block.input.filter(|input| raw_json::is_filled(input)).map_or("", RawValue::get);
                out.push_back(chunks.delta(
                    ChunkKind::Content,
                    &[
                        r#"{"tool_calls":[{"index":"#,
                        &self.tools.to_string(),
                        r#","id":"#,
                        &quoted(&id.0),
                        r#","type":"function","function":{"name":"#,
                        &quoted(&name.0),
                        r#","arguments":"#,
                        &quoted(arguments),
                        "}}]}",
                    ],
                ));
                let has_arguments = !arguments.is_empty();
                self.open.push((index, OpenBlock::Tool { rank: self.tools, has_arguments }));
                self.tools += 1;
            }
            _ => {} // Anthropic's own tools, which it runs itself
        }
        Ok(())
    }

    fn continue_block(
        &mut self,
        index: u64,
        delta: &Delta<'_>,
        out: &mut VecDeque<Chunk>,
    ) -> Result<(), ProviderError> {
        let gathered = [delta.thinking, delta.signature].into_iter().flatten();
        self.keep(gathered.map(|part| part.get().len()).sum())?;
        let chunks = self.chunks.as_ref().ok_or_else(|| malformed("the stream has no beginning"))?;
        let open = self.open.iter_mut().find(|(open, _)| *open == index).map(|(_, block)| block);
        match delta.kind.as_ref().map_or("", |kind| &kind.0) {
            "text_delta" => {
                let text = string(delta.text)?;
                if text != "\"\"" {
                    out.push_back(chunks.delta(ChunkKind::Content, &[r#"{"content":"#, text, "}"]));
                }
            }
            "thinking_delta" => {
                let more = string(delta.thinking)?;
                if more != "\"\"" {
                    out.push_back(chunks.delta(ChunkKind::Content, &[r#"{"reasoning_content":"#, more, "}"]));
                }
                if let (Some(OpenBlock::Thinking { text, .. }), Some(more)) =
                    (open, delta.thinking.and_then(raw_json::text))
                {
                    text.push_str(&more);
                }
            }
            "signature_delta" => {
                if let (Some(OpenBlock::Thinking { signature, .. }), Some(more)) =
                    (open, delta.signature.and_then(raw_json::text))
                {
                    signature.push_str(&more);
                }
            }
            "input_json_delta" => {
                let more = string(delta.partial_json)?;
                if let Some(OpenBlock::Tool { rank, has_arguments }) = open
                    && more != "\"\""
                {
                    *has_arguments = true;
                    let rank = rank.to_string();
                    let delta =
                        [r#"{"tool_calls":[{"index":"#, &rank, r#","function":{"arguments":"#, more, "}}]}"];
                    out.push_back(chunks.delta(ChunkKind::Content, &delta));
                }
            }
            _ => {} // citations, and what Anthropic will think of
        }
        Ok(())
    }

    fn end_block(&mut self, index: u64, out: &mut VecDeque<Chunk>) -> Result<(), ProviderError> {
        let chunks = self.chunks.as_ref().ok_or_else(|| malformed("the stream has no beginning"))?;
        let Some(place) = self.open.iter().position(|(open, _)| *open == index) else { return Ok(()) };
        match self.open.swap_remove(place).1 {
            // A tool without arguments sends none, and nobody parses an empty string as JSON.
            OpenBlock::Tool { rank, has_arguments: false } => {
                let rank = rank.to_string();
                let delta = [r#"{"tool_calls":[{"index":"#, &rank, r#","function":{"arguments":"{}"}}]}"#];
                out.push_back(chunks.delta(ChunkKind::Content, &delta));
            }
            OpenBlock::Tool { .. } => {}
            OpenBlock::Thinking { text, signature } => {
                let block = serde_json::json!({"type": "thinking", "thinking": text, "signature": signature})
                    .to_string();
                out.push_back(chunks.delta(ChunkKind::Content, &[r#"{"thinking_blocks":["#, &block, "]}"]));
            }
        }
        Ok(())
    }
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
        // An event that was cut short is no valid JSON, so one that is only lacks its line breaks.
        if !self.has_ended
            && let Some(event) = self.events.rest()
            && serde_json::from_slice::<&RawValue>(&event.data).is_ok()
        {
            self.take(&event.data, out)?;
        }
        if self.has_ended {
            Ok(())
        } else {
            Err(ProviderError::new(
                ProviderErrorKind::StreamInterrupted,
                "the stream ended without its end marker, `message_stop`",
            ))
        }
    }
}

/// Returns a piece of text as it is written in the event: in its quotes, with its escapes.
fn string(value: Option<&RawValue>) -> Result<&str, ProviderError> {
    match value {
        Some(value) if raw_json::is_string(value) => Ok(value.get()),
        _ => Err(malformed("a delta brings no text")),
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use router_core::Usage;
    use serde_json::{Value, json};

    use super::*;

    type Decoded = (Vec<(ChunkKind, Value)>, Vec<Chunk>, Result<(), ProviderError>);

    fn read(events: &[Value]) -> Decoded {
        let stream: String = events.iter().map(|event| format!("event: x\ndata: {event}\n\n")).collect();
        let mut decoder = Decoder::new(60);
        let mut out = VecDeque::new();
        let result = decoder.push(stream.into(), &mut out).and_then(|_| decoder.finish(&mut out));
        let json =
            out.iter().map(|chunk| (chunk.kind, serde_json::from_slice(&chunk.data).unwrap())).collect();
        (json, out.into(), result)
    }

    fn start() -> Value {
        json!({"type": "message_start", "message": {"id": "msg_1", "model": "claude-x", "usage":
            {"input_tokens": 5, "cache_read_input_tokens": 2, "output_tokens": 1}}})
    }

    fn block(index: u64, block: Value) -> Value {
        json!({"type": "content_block_start", "index": index, "content_block": block})
    }

    fn delta(index: u64, delta: Value) -> Value {
        json!({"type": "content_block_delta", "index": index, "delta": delta})
    }

    fn stop(index: u64) -> Value {
        json!({"type": "content_block_stop", "index": index})
    }

    fn end(reason: &str) -> [Value; 2] {
        [
            json!({"type": "message_delta", "delta": {"stop_reason": reason}, "usage": {"output_tokens": 9}}),
            json!({"type": "message_stop"}),
        ]
    }

    #[test]
    fn events_become_chunks() {
        let [message_delta, message_stop] = end("tool_use");
        let (chunks, raw, result) = read(&[
            start(),
            json!({"type": "ping"}),
            block(0, json!({"type": "thinking", "thinking": "", "signature": ""})),
            delta(0, json!({"type": "thinking_delta", "thinking": "h\"m"})),
            delta(0, json!({"type": "signature_delta", "signature": "sig"})),
            stop(0),
            block(1, json!({"type": "redacted_thinking", "data": "d"})),
            stop(1),
            block(2, json!({"type": "text", "text": ""})),
            delta(2, json!({"type": "text_delta", "text": "ä\n"})),
            delta(2, json!({"type": "citations_delta", "citation": {}})),
            stop(2),
            block(3, json!({"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}})),
            delta(3, json!({"type": "input_json_delta", "partial_json": "{}"})),
            stop(3),
            block(4, json!({"type": "tool_use", "id": "t1", "name": "f", "input": {}})),
            delta(4, json!({"type": "input_json_delta", "partial_json": ""})),
            delta(4, json!({"type": "input_json_delta", "partial_json": "{\"a\": "})),
            delta(4, json!({"type": "input_json_delta", "partial_json": "1}"})),
            stop(4),
            block(5, json!({"type": "tool_use", "id": "t2", "name": "g", "input": {}})),
            stop(5),
            json!({"type": "brand_new_event"}),
            message_delta,
            message_stop,
        ]);
        assert!(result.is_ok());
        let deltas: Vec<Value> = chunks
            .iter()
            .filter(|(kind, _)| *kind == ChunkKind::Content)
            .map(|(_, chunk)| chunk["choices"][0]["delta"].clone())
            .collect();
        let call = |index: u64, id: &str, name: &str| json!({"tool_calls": [{"index": index, "id": id, "type": "function", "function": {"name": name, "arguments": ""}}]});
        let arguments = |index: u64, more: &str| json!({"tool_calls": [{"index": index, "function": {"arguments": more}}]});
        assert_eq!(
            deltas,
            [
                json!({"reasoning_content": "h\"m"}),
                json!({"thinking_blocks": [{"type": "thinking", "thinking": "h\"m", "signature": "sig"}]}),
                json!({"thinking_blocks": [{"type": "redacted_thinking", "data": "d"}]}),
                json!({"content": "ä\n"}),
                call(0, "t1", "f"),
                arguments(0, "{\"a\": "),
                arguments(0, "1}"),
                call(1, "t2", "g"),
                arguments(1, "{}"),
            ]
        );
        let first = &chunks[0];
        assert_eq!(first.0, ChunkKind::Preamble);
        assert_eq!(
            first.1,
            json!({"id": "msg_1", "object": "chat.completion.chunk", "created": 60, "model": "claude-x", "choices":
                [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": null}]})
        );
        let [.., finish, usage] = &chunks[..] else { panic!("too few chunks") };
        assert_eq!(finish.0, ChunkKind::Finish);
        assert_eq!(finish.1["choices"][0]["finish_reason"], "tool_calls");
        assert_eq!(finish.1["choices"][0]["native_finish_reason"], "tool_use");
        assert_eq!(usage.0, ChunkKind::Usage);
        assert_eq!(usage.1["choices"], json!([]));
        assert_eq!(usage.1["usage"]["prompt_tokens"], 7);
        let used = |completion| Usage { prompt: 7, completion, cached_read: 2, ..Usage::default() };
        assert_eq!(raw.first().unwrap().usage, Some(used(1)));
        assert_eq!(raw.last().unwrap().usage, Some(used(9)));
    }

    #[test]
    fn only_the_end_marker_ends_a_stream() {
        let [message_delta, message_stop] = end("end_turn");
        let kind = |events: &[Value]| read(events).2.map_err(|error| error.kind());
        assert_eq!(kind(&[start(), message_delta.clone(), message_stop.clone()]), Ok(()));
        assert_eq!(kind(&[start(), message_delta]), Err(ProviderErrorKind::StreamInterrupted));
        assert_eq!(kind(&[]), Err(ProviderErrorKind::StreamInterrupted));
        assert_eq!(kind(&[message_stop]), Err(ProviderErrorKind::MalformedReply));

        let unterminated = format!("data: {}\n\ndata: {{\"type\":\"message_stop\"}}", start());
        let mut decoder = Decoder::new(0);
        let mut out = VecDeque::new();
        assert_eq!(decoder.push(unterminated.into(), &mut out).unwrap(), Progress::Open);
        assert!(decoder.finish(&mut out).is_ok());
        assert_eq!(out.back().unwrap().kind, ChunkKind::Usage);
    }

    #[test]
    fn errors_inside_a_stream_end_it_and_keep_what_came_before() {
        let check = |event: Value, expected: ProviderErrorKind| {
            let (chunks, _, result) = read(&[
                start(),
                block(0, json!({"type": "text", "text": "x"})),
                event.clone(),
                json!({"type": "message_stop"}),
            ]);
            assert_eq!(chunks.len(), 2, "{event}");
            assert_eq!(result.unwrap_err().kind(), expected, "{event}");
        };
        use ProviderErrorKind::{MalformedReply, Overloaded, RateLimited};
        let error = |kind: &str| json!({"type": "error", "error": {"type": kind, "message": "m"}});
        check(error("overloaded_error"), Overloaded);
        check(error("rate_limit_error"), RateLimited);
        check(json!({"error": {"type": "overloaded_error", "message": "m"}}), Overloaded);
        check(json!("garbage"), MalformedReply);
        check(json!([null, null, null, 0, null, null, null]), MalformedReply);
        check(delta(0, json!({"type": "text_delta"})), MalformedReply);
        check(delta(0, json!({"type": "text_delta", "text": 7})), MalformedReply);
        check(block(1, json!({"type": "tool_use"})), MalformedReply);
    }
}
