//! A stream of chunks: looked at, and passed on as they came.

use std::collections::VecDeque;

use bytes::Bytes;
use router_core::{Chunk, ChunkKind, ProviderError, ProviderErrorKind};

use super::reply::{Scan, malformed, not_json};
use super::tool_calls::ToolCalls;
use super::{errors, usage};
use crate::protocol::{Progress, StreamDecoder};
use crate::raw_json;
use crate::sse::{SseEvent, SseParser};

/// Reads `data: {chunk}` … `data: [DONE]`.
#[derive(Debug)]
pub(crate) struct Decoder {
    events: SseParser,
    tool_calls: ToolCalls,
    has_begun: bool,
    has_ended: bool,
}

impl Decoder {
    pub(crate) fn new() -> Self {
        Self {
            events: SseParser::new(),
            tool_calls: ToolCalls::default(),
            has_begun: false,
            has_ended: false,
        }
    }

    fn take(&mut self, event: SseEvent, out: &mut VecDeque<Chunk>) -> Result<(), ProviderError> {
        let text =
            std::str::from_utf8(&event.data).map_err(|_| malformed("an event of the stream is not UTF-8"))?;
        match text.trim_ascii() {
            "" => return Ok(()), // a keep-alive
            "[DONE]" if self.has_begun => {
                self.has_ended = true;
                return Ok(());
            }
            "[DONE]" => return Err(malformed("the stream ended before its first chunk")),
            _ => {}
        }
        // What cannot be read may have been part of the answer, so it is never skipped: the answer would have a hole.
        let scan: Scan<'_> = raw_json::parse(text)
            .map_err(|error| malformed(&not_json("an event of the stream", "a chat completion", &error)))?;
        if scan.is_error() || (&event.name[..] == b"error" && scan.choices.is_none()) {
            return Err(errors::in_band(text));
        }
        let usage = scan.usage.and_then(|counts| usage::read(counts, scan.service_tier));
        let kind = match &scan.choices {
            Some(choices) if choices.error.is_some() => {
                return Err(errors::in_choice(choices.error.flatten()));
            }
            Some(choices) if choices.has_content => ChunkKind::Content,
            Some(choices) if choices.has_finished => ChunkKind::Finish,
            Some(choices) if choices.count > 0 => ChunkKind::Preamble,
            _ if usage.is_some() => ChunkKind::Usage,
            Some(_) => ChunkKind::Preamble,
            None => return Ok(()), // some host's own news; no part of the answer
        };
        let numbered = match &scan.choices {
            Some(choices) if choices.has_tool_calls => self.tool_calls.numbered(text)?,
            _ => None,
        };
        self.has_begun |= scan.choices.is_some_and(|choices| choices.count > 0);
        out.push_back(Chunk { data: numbered.unwrap_or(event.data), kind, usage });
        Ok(())
    }
}

impl StreamDecoder for Decoder {
    fn push(&mut self, bytes: Bytes, out: &mut VecDeque<Chunk>) -> Result<Progress, ProviderError> {
        self.events.feed(bytes);
        while !self.has_ended {
            match self.events.next() {
                Ok(Some(event)) => self.take(event, out)?,
                Ok(None) => return Ok(Progress::Open),
                Err(_) => return Err(malformed("an event of the stream is too large")),
            }
        }
        Ok(Progress::Ended)
    }

    fn finish(&mut self, out: &mut VecDeque<Chunk>) -> Result<(), ProviderError> {
        if !self.has_ended
            && let Some(event) = self.events.rest()
            && event.data.trim_ascii() == b"[DONE]"
        {
            self.take(event, out)?;
        }
        if self.has_ended {
            Ok(())
        } else {
            Err(ProviderError::new(
                ProviderErrorKind::StreamInterrupted,
                "the stream ended without its end marker, `data: [DONE]`",
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(stream: &str) -> (Vec<(ChunkKind, String)>, Result<(), ProviderError>) {
        let mut decoder = Decoder::new();
        let mut out = VecDeque::new();
        let result = decoder
            .push(Bytes::copy_from_slice(stream.as_bytes()), &mut out)
            .and_then(|_| decoder.finish(&mut out));
        let chunks = out
            .into_iter()
            .map(|chunk| (chunk.kind, String::from_utf8(chunk.data.to_vec()).unwrap()))
            .collect();
        (chunks, result)
    }

    #[test]
    fn each_chunk_is_known_by_what_it_brings() {
        let check = |chunk: &str, expected: ChunkKind| {
            let (chunks, _) = read(&format!("data: {chunk}\n\n"));
            assert_eq!(chunks, [(expected, chunk.to_owned())]);
        };
        let delta = |delta: &str, reason: &str| {
            format!(r#"{{"choices":[{{"index":0,"delta":{delta},"finish_reason":{reason}}}],"usage":null}}"#)
        };
        use ChunkKind::{Content, Finish, Preamble, Usage};
        check(&delta(r#"{"role":"assistant","content":"","refusal":null}"#, "null"), Preamble);
        check(&delta(r#"{"role":"assistant","tool_calls":[],"channel":"analysis"}"#, "null"), Preamble);
        check(&delta("{}", "null"), Preamble);
        check(&delta("null", "\"\""), Preamble);
        check(r#"{"choices":[],"id":"","prompt_filter_results":[{}]}"#, Preamble);
        check(r#"{"choices":null,"usage":{"prompt_tokens":1}}"#, Usage);
        check(r#"{"choices":[{"index":0,"content_filter_offsets":{}}]}"#, Preamble);
        check(&delta(r#"{"content":" "}"#, "null"), Content);
        check(&delta(r#"{"content":[{"type":"thinking"}]}"#, "null"), Content);
        for member in ["reasoning_content", "reasoning", "refusal", "content"] {
            check(&delta(&format!(r#"{{"{member}":"\u00e4"}}"#), "null"), Content);
        }
        check(&delta(r#"{"tool_calls":[{"index":0}]}"#, "null"), Content);
        check(&delta(r#"{"content":"x"}"#, "\"stop\""), Content);
        check(&delta(r#"{"content":""}"#, "\"stop\""), Finish);
        check(r#"{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#, Usage);
        check(r#"{"choices":[{"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":1}}"#, Finish);
    }

    #[test]
    fn only_the_end_marker_ends_a_stream() {
        let chunk = "data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\n";
        let ends = |tail: &str| read(&format!("{chunk}{tail}")).1.is_ok();
        assert!(ends("data: [DONE]\n\n"));
        assert!(ends("data: [DONE]\n"));
        assert!(ends("data: [DONE]"));
        assert!(ends("data:[DONE]\n\ndata: garbage\n\n"));
        assert!(!ends(""));
        assert!(!ends("data: [DO"));
        assert!(!ends("data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"));
        let kind = |stream: &str| read(stream).1.unwrap_err().kind();
        assert_eq!(kind(chunk), ProviderErrorKind::StreamInterrupted);
        assert_eq!(kind(""), ProviderErrorKind::StreamInterrupted);
        assert_eq!(kind("data: [DONE]\n\n"), ProviderErrorKind::MalformedReply);
    }

    #[test]
    fn errors_inside_a_stream_end_it_and_keep_what_came_before() {
        let chunk = r#"{"choices":[{"delta":{"content":"x"}}]}"#;
        let check = |event: &str, expected: ProviderErrorKind| {
            let (chunks, result) = read(&format!("data: {chunk}\n\n{event}\n\ndata: [DONE]\n\n"));
            assert_eq!(chunks, [(ChunkKind::Content, chunk.to_owned())], "{event}");
            assert_eq!(result.unwrap_err().kind(), expected, "{event}");
        };
        use ProviderErrorKind::{InvalidRequest, MalformedReply, Overloaded, RateLimited, Server};
        check(r#"data: {"error":{"message":"m","type":"server_error"}}"#, Server);
        check(
            "event: error\ndata: {\"error\":{\"message\":\"m\",\"code\":\"tool_use_failed\",\"status_code\":400}}",
            InvalidRequest,
        );
        check(
            r#"data: {"error":{"code":429,"message":"m"},"choices":[{"delta":{"content":""}}]}"#,
            RateLimited,
        );
        check(r#"data: {"choices":[{"delta":{},"finish_reason":"error"}]}"#, Server);
        check(r#"data: {"choices":[{"delta":{},"error":{"code":503,"message":"m"}}]}"#, Overloaded);
        check(r#"data: {"object":"error","message":"m","code":503}"#, Overloaded);
        check("event: error\ndata: {\"message\":\"m\",\"code\":503}", Overloaded);
        check("data: {\"choices\": [", MalformedReply);
        check("data: garbage", MalformedReply);
        check("data: 7", MalformedReply);
        check("data: [null, null, null, null, []]", MalformedReply);
        check(r#"data: {"choices":[[]]}"#, MalformedReply);
        check(r#"data: {"choices":{}}"#, MalformedReply);
    }

    #[test]
    fn what_is_no_part_of_the_answer_is_skipped() {
        let (chunks, result) = read(
            ": keep-alive\n\ndata:\n\ndata: {\"type\":\"ping\"}\n\ndata: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\ndata: [DONE]\n\n",
        );
        assert_eq!(chunks.len(), 1);
        assert!(result.is_ok());
    }
}
