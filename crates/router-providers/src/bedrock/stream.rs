//! From Converse's frames to canonical chunks.

use std::collections::VecDeque;

use bytes::Bytes;
use router_core::{Chunk, ChunkKind, ProviderError, ProviderErrorKind};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::event_stream::{Frame, FrameParser};
use super::reply::{ThinkingBlock, ToolUse, finish_reason, malformed};
use super::{errors, usage};
use crate::canonical::ChunkWriter;
use crate::protocol::{Progress, StreamDecoder};
use crate::raw_json::{self, Strict};

/// The most that is kept of an answer's blocks: as much as one event may hold, far more than any answer has.
const MAX_KEPT: usize = 16 << 20;

/// Reads `messageStart` … `messageStop`, `metadata`. The answer is complete with `messageStop`; the usage comes after it.
#[derive(Debug)]
pub(super) struct Decoder {
    frames: FrameParser,
    chunks: ChunkWriter,
    /// The blocks that have begun and not ended, by their index.
    open: Vec<(u64, OpenBlock)>,
    /// How many bytes of blocks were kept.
    kept: usize,
    tools: usize,
    has_content: bool,
    is_complete: bool,
    has_ended: bool,
}

#[derive(Debug)]
enum OpenBlock {
    /// A tool call, by its rank among the tool calls, which is OpenAI's index.
    Tool { rank: usize, has_arguments: bool },
    /// A tool that Bedrock runs itself.
    ServerTool,
    /// Reasoning, gathered because the caller has to send it back whole and signed.
    Reasoning { text: String, signature: String },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event<'a> {
    #[serde(default)]
    content_block_index: u64,
    #[serde(borrow)]
    start: Option<Strict<Start<'a>>>,
    #[serde(borrow)]
    delta: Option<Strict<Delta<'a>>>,
    #[serde(borrow)]
    stop_reason: Option<raw_json::Text<'a>>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Start<'a> {
    #[serde(borrow)]
    tool_use: Option<Strict<ToolUse<'a>>>,
}

/// What a delta brings; strings are moved on as they are written.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Delta<'a> {
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    #[serde(borrow)]
    tool_use: Option<Strict<ToolUse<'a>>>,
    #[serde(borrow)]
    reasoning_content: Option<Strict<Reasoning<'a>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reasoning<'a> {
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    #[serde(borrow)]
    signature: Option<&'a RawValue>,
    #[serde(borrow)]
    redacted_content: Option<&'a RawValue>,
}

impl Decoder {
    pub(super) fn new(id: &str, created: u64, model: &str) -> Self {
        Self {
            frames: FrameParser::default(),
            chunks: ChunkWriter::new(id, created, model),
            open: Vec::new(),
            kept: 0,
            tools: 0,
            has_content: false,
            is_complete: false,
            has_ended: false,
        }
    }

    fn take(&mut self, frame: &Frame, out: &mut VecDeque<Chunk>) -> Result<(), ProviderError> {
        if frame.message_type != "event" {
            return Err(errors::in_band(&frame.name, &frame.payload, frame.error_message.as_deref()));
        }
        let text = std::str::from_utf8(&frame.payload)
            .map_err(|_| malformed("an event of the stream is not UTF-8"))?;
        let event: Event<'_> =
            raw_json::parse(text).map_err(|_| malformed("an event of the stream is not valid"))?;
        let index = event.content_block_index;
        match frame.name.as_str() {
            "messageStart" => {
                let role = [r#"{"role":"assistant","content":""}"#];
                out.push_back(self.chunks.delta(ChunkKind::Preamble, &role));
                Ok(())
            }
            "contentBlockStart" => match event.start.and_then(|Strict(start)| start.tool_use) {
                Some(Strict(call)) => self.start_call(index, &call, out),
                None => Ok(()),
            },
            "contentBlockDelta" => {
                let Strict(delta) = event.delta.ok_or_else(|| malformed("a delta is missing"))?;
                self.continue_block(index, &delta, out)
            }
            "contentBlockStop" => self.end_block(index, out),
            "messageStop" => {
                let native = event.stop_reason.map(|reason| reason.0);
                let reason = finish_reason(native.as_deref().unwrap_or("end_turn"), self.has_content)?;
                out.push_back(self.chunks.finish(reason, native.as_deref()));
                self.is_complete = true;
                Ok(())
            }
            "metadata" => {
                out.extend(event.usage.and_then(usage::read).map(|usage| self.chunks.usage(usage)));
                self.has_ended = self.is_complete;
                Ok(())
            }
            _ => Ok(()), // what Bedrock will think of
        }
    }

    /// Counts what is kept until its block ends; an endless stream of it would fill the memory.
    fn keep(&mut self, bytes: usize) -> Result<(), ProviderError> {
        self.kept = self.kept.saturating_add(bytes);
        if self.kept > MAX_KEPT { Err(malformed("the stream's blocks are too large")) } else { Ok(()) }
    }

    fn start_call(
        &mut self,
        index: u64,
        call: &ToolUse<'_>,
        out: &mut VecDeque<Chunk>,
    ) -> Result<(), ProviderError> {
        self.keep(size_of::<OpenBlock>())?;
        if call.is_servers() {
            self.open.push((index, OpenBlock::ServerTool));
            return Ok(());
        }
        let id = call.tool_use_id.as_ref().ok_or_else(|| malformed("a tool call has no id"))?;
        let name = call.name.as_ref().ok_or_else(|| malformed("a tool call has no name"))?;
        out.push_back(self.chunks.delta(
            ChunkKind::Content,
            &[
                r#"{"tool_calls":[{"index":"#,
                &self.tools.to_string(),
                r#","id":"#,
                &quoted(&id.0),
                r#","type":"function","function":{"name":"#,
                &quoted(&name.0),
                r#","arguments":""}}]}"#,
            ],
        ));
        self.open.push((index, OpenBlock::Tool { rank: self.tools, has_arguments: false }));
        self.tools += 1;
        self.has_content = true;
        Ok(())
    }

    fn continue_block(
        &mut self,
        index: u64,
        delta: &Delta<'_>,
        out: &mut VecDeque<Chunk>,
    ) -> Result<(), ProviderError> {
        if let Some(text) = filled(delta.text)? {
            self.has_content = true;
            out.push_back(self.chunks.delta(ChunkKind::Content, &[r#"{"content":"#, text, "}"]));
        }
        if let Some(Strict(call)) = &delta.tool_use {
            let open = self.open.iter_mut().find(|(open, _)| *open == index).map(|(_, block)| block);
            if let (Some(OpenBlock::Tool { rank, has_arguments }), Some(more)) = (open, filled(call.input)?) {
                *has_arguments = true;
                let rank = rank.to_string();
                let delta =
                    [r#"{"tool_calls":[{"index":"#, &rank, r#","function":{"arguments":"#, more, "}}]}"];
                out.push_back(self.chunks.delta(ChunkKind::Content, &delta));
            }
        }
        let Some(Strict(reasoning)) = &delta.reasoning_content else { return Ok(()) };
        if let Some(data) = reasoning.redacted_content {
            self.think(&ThinkingBlock::RedactedThinking { data }, out)?;
        }
        let more = filled(reasoning.text)?;
        if let Some(more) = more {
            out.push_back(self.chunks.delta(ChunkKind::Content, &[r#"{"reasoning_content":"#, more, "}"]));
        }
        if more.is_none() && reasoning.signature.is_none() {
            return Ok(());
        }
        let text = |value: Option<&RawValue>| {
            value.and_then(raw_json::text).map(std::borrow::Cow::into_owned).unwrap_or_default()
        };
        let (more, signed) = (text(reasoning.text), text(reasoning.signature));
        self.keep(more.len() + signed.len() + size_of::<OpenBlock>())?;
        match self.open.iter_mut().find(|(open, _)| *open == index) {
            Some((_, OpenBlock::Reasoning { text, signature })) => {
                text.push_str(&more);
                signature.push_str(&signed);
            }
            Some(_) => {}
            None => self.open.push((index, OpenBlock::Reasoning { text: more, signature: signed })),
        }
        Ok(())
    }

    fn end_block(&mut self, index: u64, out: &mut VecDeque<Chunk>) -> Result<(), ProviderError> {
        let Some(place) = self.open.iter().position(|(open, _)| *open == index) else { return Ok(()) };
        match self.open.swap_remove(place).1 {
            // A tool without arguments sends none, and nobody parses an empty string as JSON.
            OpenBlock::Tool { rank, has_arguments: false } => {
                let rank = rank.to_string();
                let delta = [r#"{"tool_calls":[{"index":"#, &rank, r#","function":{"arguments":"{}"}}]}"#];
                out.push_back(self.chunks.delta(ChunkKind::Content, &delta));
                Ok(())
            }
            OpenBlock::Reasoning { text, signature } if !signature.is_empty() => self
                .think(&ThinkingBlock::Thinking { thinking: text.into(), signature: signature.into() }, out),
            OpenBlock::Tool { .. } | OpenBlock::ServerTool | OpenBlock::Reasoning { .. } => Ok(()),
        }
    }

    fn think(&self, block: &ThinkingBlock<'_>, out: &mut VecDeque<Chunk>) -> Result<(), ProviderError> {
        let block =
            serde_json::to_string(block).map_err(|_| malformed("the answer cannot be written as JSON"))?;
        out.push_back(self.chunks.delta(ChunkKind::Content, &[r#"{"thinking_blocks":["#, &block, "]}"]));
        Ok(())
    }
}

impl StreamDecoder for Decoder {
    fn push(&mut self, bytes: Bytes, out: &mut VecDeque<Chunk>) -> Result<Progress, ProviderError> {
        self.frames.feed(&bytes);
        while !self.has_ended {
            match self.frames.next() {
                Ok(Some(frame)) => self.take(&frame, out)?,
                Ok(None) => return Ok(Progress::Open),
                Err(broken) => return Err(malformed(broken.0)),
            }
        }
        Ok(Progress::Ended)
    }

    fn finish(&mut self, _out: &mut VecDeque<Chunk>) -> Result<(), ProviderError> {
        if self.has_ended || (self.is_complete && !self.frames.is_amid_frame()) {
            return Ok(());
        }
        Err(ProviderError::new(
            ProviderErrorKind::StreamInterrupted,
            "the stream ended without its end marker, `messageStop`",
        ))
    }
}

/// Returns a piece of text as it is written in the event, in its quotes, unless it is empty.
fn filled(value: Option<&RawValue>) -> Result<Option<&str>, ProviderError> {
    match value {
        None => Ok(None),
        Some(value) if raw_json::is_string(value) => Ok(raw_json::is_filled(value).then(|| value.get())),
        Some(_) => Err(malformed("a delta brings no text")),
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::super::event_stream::write;
    use super::*;

    type Decoded = (Vec<(ChunkKind, Value)>, Result<(), ProviderError>);

    fn event(name: &str, payload: &Value) -> Vec<u8> {
        write(&[(":message-type", "event"), (":event-type", name)], payload.to_string().as_bytes())
    }

    fn read(frames: &[Vec<u8>]) -> Decoded {
        let mut decoder = Decoder::new("r-1", 60, "amazon.nova");
        let mut out = VecDeque::new();
        let result = decoder.push(frames.concat().into(), &mut out).and_then(|_| decoder.finish(&mut out));
        let json =
            out.iter().map(|chunk| (chunk.kind, serde_json::from_slice(&chunk.data).unwrap())).collect();
        (json, result)
    }

    fn start() -> Vec<u8> {
        event("messageStart", &json!({"role": "assistant", "p": "abc"}))
    }

    fn delta(index: u64, delta: Value) -> Vec<u8> {
        event("contentBlockDelta", &json!({"contentBlockIndex": index, "delta": delta}))
    }

    fn stop(index: u64) -> Vec<u8> {
        event("contentBlockStop", &json!({"contentBlockIndex": index}))
    }

    fn call(index: u64, call: Value) -> Vec<u8> {
        event("contentBlockStart", &json!({"contentBlockIndex": index, "start": {"toolUse": call}}))
    }

    fn end(reason: &str) -> [Vec<u8>; 2] {
        [
            event("messageStop", &json!({"stopReason": reason})),
            event("metadata", &json!({"usage": {"inputTokens": 5, "outputTokens": 9}, "metrics": {}})),
        ]
    }

    #[test]
    fn events_become_chunks() {
        let [message_stop, metadata] = end("tool_use");
        let (chunks, result) = read(&[
            start(),
            delta(0, json!({"reasoningContent": {"text": "h\"m"}})),
            delta(0, json!({"reasoningContent": {"signature": "sig"}})),
            stop(0),
            delta(1, json!({"reasoningContent": {"redactedContent": "AAAA"}})),
            stop(1),
            delta(2, json!({"text": ""})),
            delta(2, json!({"text": "ä\n"})),
            delta(2, json!({"citation": {"title": "t"}})),
            stop(2),
            call(3, json!({"toolUseId": "s", "name": "nova_grounding", "type": "server_tool_use"})),
            delta(3, json!({"toolUse": {"input": "{}"}})),
            stop(3),
            call(4, json!({"toolUseId": "t1", "name": "f"})),
            delta(4, json!({"toolUse": {"input": ""}})),
            delta(4, json!({"toolUse": {"input": "{\"a\": "}})),
            delta(4, json!({"toolUse": {"input": "1}"}})),
            stop(4),
            call(5, json!({"toolUseId": "t2", "name": "g"})),
            stop(5),
            event("brandNewEvent", &json!({})),
            message_stop,
            metadata,
        ]);
        assert!(result.is_ok(), "{result:?}");
        let deltas: Vec<Value> = chunks
            .iter()
            .filter(|(kind, _)| *kind == ChunkKind::Content)
            .map(|(_, chunk)| chunk["choices"][0]["delta"].clone())
            .collect();
        let called = |index: u64, id: &str, name: &str| json!({"tool_calls": [{"index": index, "id": id, "type": "function", "function": {"name": name, "arguments": ""}}]});
        let arguments = |index: u64, more: &str| json!({"tool_calls": [{"index": index, "function": {"arguments": more}}]});
        assert_eq!(
            deltas,
            [
                json!({"reasoning_content": "h\"m"}),
                json!({"thinking_blocks": [{"type": "thinking", "thinking": "h\"m", "signature": "sig"}]}),
                json!({"thinking_blocks": [{"type": "redacted_thinking", "data": "AAAA"}]}),
                json!({"content": "ä\n"}),
                called(0, "t1", "f"),
                arguments(0, "{\"a\": "),
                arguments(0, "1}"),
                called(1, "t2", "g"),
                arguments(1, "{}"),
            ]
        );
        assert_eq!(
            chunks[0],
            (
                ChunkKind::Preamble,
                json!({"id": "r-1", "object": "chat.completion.chunk", "created": 60, "model": "amazon.nova", "choices":
                    [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": null}]})
            )
        );
        let [.., finish, usage] = &chunks[..] else { panic!("too few chunks") };
        assert_eq!(finish.1["choices"][0]["finish_reason"], "tool_calls");
        assert_eq!(finish.1["choices"][0]["native_finish_reason"], "tool_use");
        assert_eq!((usage.0, &usage.1["usage"]["total_tokens"]), (ChunkKind::Usage, &json!(14)));
    }

    proptest! {
        /// Frames with good checksums and any content: the general test of arbitrary bytes hardly gets past those.
        #[test]
        fn any_frames_end_in_an_answer_or_a_typed_error(
            frames in proptest::collection::vec((0_usize..8, any_payload()), 0..8),
            cut in any::<proptest::sample::Index>(),
        ) {
            let names = ["messageStart", "contentBlockStart", "contentBlockDelta", "contentBlockStop", "messageStop", "metadata", "x"];
            let frames = frames.into_iter().map(|(name, payload)| match names.get(name) {
                Some(name) => write(&[(":message-type", "event"), (":event-type", name)], payload.as_bytes()),
                None => write(&[(":message-type", "exception"), (":exception-type", "x")], payload.as_bytes()),
            });
            let bytes: Bytes = frames.collect::<Vec<_>>().concat().into();
            let outcome = |pieces: &[Bytes]| {
                let mut decoder = Decoder::new("", 0, "m");
                let mut out = VecDeque::new();
                let result = pieces
                    .iter()
                    .try_for_each(|piece| decoder.push(piece.clone(), &mut out).map(|_| ()))
                    .and_then(|()| decoder.finish(&mut out));
                let chunks: Vec<Value> =
                    out.iter().map(|chunk| serde_json::from_slice(&chunk.data).expect("chunks are JSON")).collect();
                (chunks, result.map_err(|error| error.kind()))
            };
            let at = cut.index(bytes.len() + 1);
            let whole = outcome(std::slice::from_ref(&bytes));
            prop_assert_eq!(outcome(&[bytes.slice(..at), bytes.slice(at..)]), whole);
        }
    }

    #[test]
    fn endless_thoughts_do_not_fill_the_memory() {
        let mut decoder = Decoder::new("r-1", 60, "amazon.nova");
        let thought = Bytes::from(delta(0, json!({"reasoningContent": {"text": "x".repeat(1 << 20)}})));
        let mut out = VecDeque::new();
        decoder.push(start().into(), &mut out).unwrap();
        let refused = (0..20).find_map(|_| {
            out.clear(); // the caller has read them
            decoder.push(thought.clone(), &mut out).err()
        });
        assert_eq!(refused.unwrap().kind(), ProviderErrorKind::MalformedReply);
    }

    fn any_payload() -> impl Strategy<Value = String> {
        let delta = prop_oneof![
            Just(json!({"text": "x"})),
            Just(json!({"toolUse": {"input": "{"}})),
            Just(json!({"reasoningContent": {"text": "r", "signature": "s"}})),
            Just(json!({"reasoningContent": {"redactedContent": "AAAA"}})),
            Just(json!(7)),
        ];
        let start = prop_oneof![
            Just(json!({"toolUse": {"toolUseId": "a", "name": "f"}})),
            Just(json!({"toolUse": 7}))
        ];
        let event = (0_u64..3, delta, start).prop_map(|(index, delta, start)| {
            json!({"contentBlockIndex": index, "delta": delta, "start": start, "stopReason": "end_turn", "role": "assistant",
                "usage": {"inputTokens": index, "outputTokens": 1}})
            .to_string()
        });
        prop_oneof![8 => event, 1 => ".{0,20}", 1 => Just("{}".to_owned())]
    }

    #[test]
    fn only_the_end_marker_ends_a_stream() {
        let [message_stop, metadata] = end("end_turn");
        let kind = |frames: &[Vec<u8>]| read(frames).1.map_err(|error| error.kind());
        let cut = metadata[..metadata.len() - 1].to_vec();
        assert_eq!(kind(&[start(), message_stop.clone(), metadata.clone()]), Ok(()));
        assert_eq!(kind(&[start(), message_stop.clone()]), Ok(()), "complete, though nobody counted");
        assert_eq!(kind(&[start(), message_stop, cut]), Err(ProviderErrorKind::StreamInterrupted));
        assert_eq!(kind(&[start(), metadata]), Err(ProviderErrorKind::StreamInterrupted));
        assert_eq!(kind(&[]), Err(ProviderErrorKind::StreamInterrupted));
    }

    #[test]
    fn errors_inside_a_stream_end_it_and_keep_what_came_before() {
        use ProviderErrorKind::{MalformedReply, RateLimited, Server};
        let check = |frame: Vec<u8>, expected: ProviderErrorKind| {
            let (chunks, result) = read(&[start(), delta(0, json!({"text": "x"})), frame]);
            assert_eq!(chunks.len(), 2);
            assert_eq!(result.unwrap_err().kind(), expected);
        };
        let exception = [(":message-type", "exception"), (":exception-type", "throttlingException")];
        check(write(&exception, br#"{"message":"slow down"}"#), RateLimited);
        let error =
            [(":message-type", "error"), (":error-code", "internalFailure"), (":error-message", "oops")];
        check(write(&error, b""), Server);
        check(event("contentBlockDelta", &json!("garbage")), MalformedReply);
        check(event("contentBlockDelta", &json!({})), MalformedReply);
        check(delta(0, json!({"text": 7})), MalformedReply);
        check(call(1, json!({})), MalformedReply);
        check(b"HTTP/1.1 500 Oops".to_vec(), MalformedReply);
    }
}
