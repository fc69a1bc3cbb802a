//! What it costs to translate: a request from the caller's bytes to the provider's, and a reply back.
//!
//! The floor that OpenAI's shape is measured against is what cannot be avoided: one look at each field and one copy.

use std::collections::HashMap;
use std::hint::black_box;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use http::HeaderMap;
use router_core::ChatRequest;
use router_providers::WireFormat;
use serde_json::value::RawValue;
use serde_json::{Value, json};

const SIZES: [(&str, usize); 3] = [("1KB", 1 << 10), ("32KB", 32 << 10), ("1MB", 1 << 20)];

const FORMATS: [&str; 6] = [
    "openai/gpt-4o",
    "anthropic/claude-sonnet-4-5",
    "gemini/gemini-2.5-flash",
    "mistral/mistral-small",
    "cohere/command-a",
    "bedrock/anthropic.claude-3-haiku-20240307-v1:0",
];

/// A conversation of about this many bytes, in turns of a paragraph, with quotes and line breaks as people write them.
fn conversation(size: usize) -> String {
    let paragraph =
        "He said: \"routing is a matter of patience\", and went on.\nThen nobody spoke for a while. "
            .repeat(4);
    let mut messages = vec![json!({"role": "system", "content": "Answer briefly."})];
    while messages.len() * (paragraph.len() + 40) < size {
        let role = if messages.len() % 2 == 1 { "user" } else { "assistant" };
        messages.push(json!({"role": role, "content": paragraph}));
    }
    if messages.len() % 2 == 1 {
        messages.push(json!({"role": "user", "content": "Go on."}));
    }
    json!({"model": "alias", "messages": messages, "temperature": 0.7, "max_tokens": 500}).to_string()
}

/// A reply of about this many bytes, in the format's own shape.
fn reply(format: &str, size: usize) -> String {
    let text = "He said: \"so be it\".\n".repeat(size / 22);
    let body: Value = match format.split('/').next() {
        Some("anthropic") => {
            json!({"id": "m", "type": "message", "role": "assistant", "model": "c", "stop_reason": "end_turn",
            "content": [{"type": "text", "text": text}], "usage": {"input_tokens": 9, "output_tokens": 9}})
        }
        Some("gemini") => {
            json!({"responseId": "r", "modelVersion": "g", "candidates": [{"finishReason": "STOP",
            "content": {"role": "model", "parts": [{"text": text}]}}],
            "usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": 9, "totalTokenCount": 18}})
        }
        Some("cohere") => json!({"id": "c", "finish_reason": "COMPLETE", "message": {"role": "assistant",
            "content": [{"type": "text", "text": text}]}, "usage": {"tokens": {"input_tokens": 9, "output_tokens": 9}}}),
        Some("bedrock") => json!({"output": {"message": {"role": "assistant", "content": [{"text": text}]}},
            "stopReason": "end_turn", "usage": {"inputTokens": 9, "outputTokens": 9, "totalTokens": 18}}),
        _ => {
            json!({"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [{"index": 0,
            "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 9, "completion_tokens": 9, "total_tokens": 18}})
        }
    };
    body.to_string()
}

/// One look at each field, and one copy.
fn floor(body: &[u8]) -> (usize, Vec<u8>) {
    let fields: HashMap<&str, &RawValue> = serde_json::from_slice(black_box(body)).unwrap_or_default();
    (black_box(fields.len()), black_box(body.to_vec()))
}

fn translate(criterion: &mut Criterion) {
    // A format that is not compiled in is left out.
    let formats = || FORMATS.iter().filter_map(|model| Some((*model, WireFormat::of(model).ok()?)));
    for (size_name, size) in SIZES {
        let mut group = criterion.benchmark_group(format!("request/{size_name}"));
        let body = Bytes::from(conversation(size));
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function("floor", |bencher| bencher.iter(|| floor(&body)));
        for (model, format) in formats() {
            let name = model.split('/').next().unwrap_or_default();
            group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
                bencher.iter(|| {
                    let request = ChatRequest::from_json(body.clone());
                    request.ok().and_then(|request| format.encode(black_box(&request), false).ok())
                });
            });
        }
        group.finish();

        let mut group = criterion.benchmark_group(format!("reply/{size_name}"));
        let body = reply("openai", size).into_bytes();
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function("floor", |bencher| bencher.iter(|| floor(&body)));
        for (model, format) in formats() {
            let body = Bytes::from(reply(model, size));
            group.throughput(Throughput::Bytes(body.len() as u64));
            let name = model.split('/').next().unwrap_or_default();
            group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
                bencher.iter(|| format.decode(HeaderMap::new(), black_box(&body).clone()).ok());
            });
        }
        group.finish();
    }
}

criterion_group!(benches, translate);
criterion_main!(benches);
