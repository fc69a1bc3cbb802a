//! Whatever comes, it is read or refused; nothing panics, and nothing that is not an answer passes for one.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use proptest::prelude::*;
use router_core::{ChatRequest, EmbeddingRequest, ProviderErrorKind};
use serde_json::Value;

use super::exchange::{replay, target};
use crate::anthropic::Anthropic;
use crate::cohere::Cohere;
use crate::gemini::{Gemini, Vertex};
use crate::mistral::Mistral;
use crate::openai::OpenAi;
use crate::openai::dialect::OPENAI;
use crate::protocol::{Mode, Protocol, Target, WireReply};

const PROTOCOLS: &[&dyn Protocol] = &[
    &OpenAi(OPENAI),
    &Anthropic,
    &Gemini,
    &Vertex,
    &Mistral,
    &Cohere,
    #[cfg(feature = "bedrock")]
    &crate::bedrock::Bedrock,
];

/// Bytes that come close to the real thing: pieces of both formats in any order, with garbage between.
fn nearly_a_stream() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(b"data: ".to_vec()),
        Just(b"event: error\n".to_vec()),
        Just(b"\n\n".to_vec()),
        Just(b"\r\n".to_vec()),
        Just(b"data: [DONE]\n\n".to_vec()),
        Just(b"data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\n".to_vec()),
        Just(b"data: {\"choices\":[]}\n\n".to_vec()),
        Just(b"data: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"usage\":{\"input_tokens\":1}}}\n\n".to_vec()),
        Just(b"data: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"tool_use\",\"id\":\"a\",\"name\":\"b\"}}\n\n".to_vec()),
        Just(b"data: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"{\"}}\n\n".to_vec()),
        Just(b"data: {\"type\":\"content_block_stop\",\"index\":0}\n\n".to_vec()),
        Just(b"data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"}}\n\n".to_vec()),
        Just(b"data: {\"type\":\"message_stop\"}\n\n".to_vec()),
        Just(b"data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"x\"}]}}],\"responseId\":\"r\"}\n\n".to_vec()),
        Just(b"data: {\"candidates\":[{\"content\":{\"parts\":[{\"functionCall\":{\"name\":\"f\",\"args\":{}}}]},\"finishReason\":\"STOP\"}]}\n\n".to_vec()),
        Just(b"data: {\"error\":{\"message\":\"m\"}}\n\n".to_vec()),
        json().prop_map(|value| format!("data: {value}\n\n").into_bytes()),
        proptest::collection::vec(any::<u8>(), 0..12),
    ];
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

/// JSON made of the words both formats use.
fn json() -> impl Strategy<Value = Value> {
    let word = proptest::sample::select(vec![
        "choices",
        "delta",
        "message",
        "content",
        "text",
        "type",
        "error",
        "usage",
        "finish_reason",
        "index",
        "tool_calls",
        "tool_use",
        "message_start",
        "content_block",
        "content_block_delta",
        "stop_reason",
        "model",
        "id",
        "name",
        "input",
        "object",
        "code",
        "status",
        "role",
        "assistant",
        "user",
        "system",
        "tool",
        "image_url",
        "url",
        "function",
        "arguments",
        "thinking_blocks",
        "prompt_tokens",
        "input_tokens",
        "metadata",
        "raw",
        "candidates",
        "parts",
        "functionCall",
        "args",
        "finishReason",
        "usageMetadata",
        "details",
        "inlineData",
        "toolUse",
        "toolUseId",
        "reasoningContent",
        "stopReason",
        "contentBlockIndex",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        word.clone().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 5, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            proptest::collection::vec((word.clone(), inner), 0..6).prop_map(|members| {
                Value::Object(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
            }),
        ]
    })
}

fn any_body() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..200),
        json().prop_map(|value| value.to_string().into_bytes()),
        json().prop_map(|value| format!("{{\"error\":{value}}}").into_bytes()),
        json().prop_map(|value| format!(
            "{{\"choices\":[{value}],\"content\":[{value}],\"candidates\":[{value}],\"output\":{{\"message\":{{\"content\":[{value}]}}}}}}"
        )
        .into_bytes()),
    ]
}

proptest! {
    #[test]
    fn any_stream_ends_in_an_answer_or_a_typed_error(bytes in nearly_a_stream(), cut in any::<proptest::sample::Index>()) {
        for protocol in PROTOCOLS {
            let bytes = Bytes::from(bytes.clone());
            let (chunks, result) = replay(*protocol, &HeaderMap::new(), [bytes.clone()]);
            for chunk in &chunks {
                let data: Value = serde_json::from_slice(&chunk.data).expect("chunks are JSON");
                prop_assert!(data.is_object());
            }
            if result.is_ok() {
                prop_assert!(!chunks.is_empty());
            }
            let at = cut.index(bytes.len() + 1);
            let (cut_chunks, cut_result) = replay(*protocol, &HeaderMap::new(), [bytes.slice(..at), bytes.slice(at..)]);
            prop_assert_eq!(chunks.len(), cut_chunks.len());
            prop_assert_eq!(result.map_err(|error| error.kind()), cut_result.map_err(|error| error.kind()));
        }
    }

    #[test]
    fn any_reply_is_an_answer_or_a_typed_error(body in any_body()) {
        for protocol in PROTOCOLS {
            let reply = WireReply { status: StatusCode::OK, headers: HeaderMap::new(), body: body.clone().into() };
            if let Ok(reply) = protocol.decode(&target(), reply) {
                let answer: Value = serde_json::from_slice(&reply.body).expect("an answer is JSON");
                prop_assert!(answer["choices"].as_array().is_some_and(|choices| !choices.is_empty()));
            }
        }
    }

    #[test]
    fn any_reply_to_an_embedding_is_vectors_or_a_typed_error(body in any_body(), item in json(), numbers in any::<Vec<f32>>()) {
        let request = EmbeddingRequest::of("alias", ["a"]).unwrap();
        let likely = [
            body,
            format!("{{\"embeddings\":[{item}],\"data\":[{item}],\"predictions\":[{item}],\"embedding\":{item}}}").into_bytes(),
            serde_json::json!({"embeddings": {"float": [numbers]}, "data": [{"embedding": numbers}], "embedding": numbers}).to_string().into_bytes(),
        ];
        let all = PROTOCOLS.iter().filter_map(|protocol| protocol.embeddings());
        for (embeddings, body) in all.flat_map(|embeddings| likely.iter().map(move |body| (embeddings, body))) {
            let reply = WireReply { status: StatusCode::OK, headers: HeaderMap::new(), body: body.clone().into() };
            match embeddings.decode(&target(), &request, &[reply]) {
                Ok(reply) => {
                    let answer: Value = serde_json::from_slice(&reply.body).expect("vectors are JSON");
                    prop_assert!(answer["data"].as_array().is_some_and(|data| !data.is_empty()));
                }
                Err(error) => prop_assert_ne!(error.kind(), ProviderErrorKind::Cancelled),
            }
        }
    }

    #[test]
    fn any_error_has_a_kind(status in 300_u16..600, body in any_body()) {
        for protocol in PROTOCOLS {
            let status = StatusCode::from_u16(status).unwrap();
            let reply = WireReply { status, headers: HeaderMap::new(), body: body.clone().into() };
            let error = protocol.decode_error(&reply);
            prop_assert_eq!(error.status(), Some(status));
            prop_assert!(!matches!(error.kind(), ProviderErrorKind::StreamInterrupted | ProviderErrorKind::Cancelled));
        }
    }

    #[test]
    fn any_request_is_translated_or_refused(messages in proptest::collection::vec(json(), 0..4), field in json()) {
        let body = serde_json::json!({"model": "m", "messages": messages, "tools": [field], "stop": field, "response_format": field});
        let request = ChatRequest::from_json(body.to_string()).unwrap();
        for protocol in PROTOCOLS {
            match protocol.encode(&Target::new("claude-x"), &request, Mode::Stream) {
                Ok(body) => prop_assert!(serde_json::from_slice::<Value>(&body).unwrap().is_object()),
                Err(error) => prop_assert!(matches!(
                    error.kind(),
                    ProviderErrorKind::InvalidRequest | ProviderErrorKind::Unsupported
                )),
            }
        }
    }
}

/// How much a decoder takes of an endless stream: an end marker never comes.
fn taken(protocol: &dyn Protocol, start: &[u8], again: &[u8]) -> usize {
    let mut decoder = protocol.stream_decoder(&target(), &HeaderMap::new());
    let mut chunks = std::collections::VecDeque::new();
    let mut taken = 0;
    let mut result = decoder.push(Bytes::copy_from_slice(start), &mut chunks);
    let again = Bytes::copy_from_slice(again);
    while result.is_ok() && taken < 64 << 20 {
        taken += again.len();
        chunks.clear(); // the caller has read them
        result = decoder.push(again.clone(), &mut chunks);
    }
    if let Err(error) = result {
        assert_eq!(error.kind(), ProviderErrorKind::MalformedReply, "{error}");
    }
    taken
}

#[test]
fn nothing_endless_fills_the_memory() {
    let piece = vec![b'x'; 1 << 20];
    for protocol in PROTOCOLS {
        for start in ["", "data: ", "event: ", ": ", "data: {\"choices\":[{\"delta\":{\"content\":\""] {
            let taken = taken(*protocol, start.as_bytes(), &piece);
            assert!(taken <= 17 << 20, "{protocol:?} took {taken} of an endless line");
        }
        // Data in many lines, of which an event is made.
        let lines = [&b"data: "[..], &piece, b"\n"].concat();
        assert!(taken(*protocol, b"", &lines) <= 17 << 20, "{protocol:?}");
    }
}

#[test]
fn endless_thoughts_do_not_fill_the_memory() {
    let event = |json: Value| format!("data: {json}\n\n").into_bytes();
    let start = [
        event(serde_json::json!({"type": "message_start", "message": {"id": "m", "usage": {"input_tokens": 1}}})),
        event(serde_json::json!({"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": ""}})),
    ]
    .concat();
    let thought = "x".repeat(1 << 20);
    let delta = serde_json::json!({"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": thought}});
    assert!(taken(&Anthropic, &start, &event(delta)) <= 17 << 20);
    // What is written is passed on, and never too much.
    let delta = serde_json::json!({"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": thought}});
    assert!(taken(&Anthropic, &start, &event(delta)) >= 64 << 20);
}
