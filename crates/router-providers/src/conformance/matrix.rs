//! Every recorded exchange through the adapter its provider has in the registry: the mapping alone, and over HTTP. What passes
//! is counted by provider and capability; the table in `docs/providers.md` is that count.

use std::collections::BTreeMap;
use std::path::Path;

use router_core::ChatRequest;
use serde_json::Value;

use super::exchange::{Exchange, target};
use super::meaning::Meaning;
use super::replay_server::ReplayServer;
use crate::protocol::{Mode, Protocol, Target};
use crate::registry;
use crate::{Endpoint, Providers};

/// What a client can ask of a chat, in the order of the table's columns.
const CAPABILITIES: [&str; 18] = [
    "text",
    "stream",
    "system",
    "turns",
    "images",
    "files",
    "tools",
    "tool choice",
    "parallel calls",
    "tool results",
    "JSON object",
    "JSON schema",
    "stop",
    "seed",
    "logprobs",
    "reasoning",
    "cache",
    "embeddings",
];

/// Returns the name in the registry of a provider in the recordings.
pub(super) fn registered(provider: &str) -> &str {
    match provider {
        "fireworks" => "fireworks_ai",
        "llamacpp" => "llama_cpp",
        "together" => "together_ai",
        "vllm" => "hosted_vllm",
        "vertex" | "vertex_anthropic" => "vertex_ai",
        "openai_compat_gemini" => "openai",
        other => other,
    }
}

/// The exchanges of chats, with their provider's own adapter.
pub(super) fn all() -> Vec<(Exchange, &'static dyn Protocol)> {
    let families = ["openai_chat", "anthropic_messages", "cohere_chat", "gemini_generate"];
    let families = families.into_iter().chain(cfg!(feature = "bedrock").then_some("bedrock_converse"));
    let exchanges = families.flat_map(Exchange::all);
    // Anthropic also serves clients of OpenAI's, in their format.
    let exchanges = exchanges.filter(|exchange| !exchange.name.starts_with("anthropic/openai_chat"));
    // A prompt that Google refuses is an answer of status 200 that says so; the suite of that format has them.
    let exchanges = exchanges.filter(|exchange| {
        exchange.family != "gemini_generate"
            || !exchange.response["body"]["candidates"].is_null()
            || exchange.is_stream()
            || !is_good(exchange)
    });
    exchanges
        .map(|exchange| {
            let name = adapter_of(&exchange);
            let (row, model) = registry::find(&name, None).unwrap_or_else(|error| panic!("{name}: {error}"));
            (exchange, row.protocol.for_model(model).unwrap_or(row.protocol))
        })
        .collect()
}

/// Azure serves other companies' models at an address of its own.
fn adapter_of(exchange: &Exchange) -> String {
    let provider = match exchange.provider.as_str() {
        "azure" if exchange.path.starts_with("/models/") => "azure_ai",
        other => registered(other),
    };
    // Google has the model in the path.
    let model = super::embeddings::model(exchange);
    format!("{provider}/{}", if model.is_empty() { "the-model" } else { &model })
}

fn is_good(exchange: &Exchange) -> bool {
    !exchange.kind.contains("error")
}

#[test]
fn every_answer_means_what_was_recorded() {
    let mut counts = BTreeMap::new();
    for (exchange, protocol) in all().into_iter().filter(|(exchange, _)| is_good(exchange)) {
        let name = &exchange.name;
        let expected = Meaning::recorded(&exchange);
        let found = if exchange.is_stream() {
            let (chunks, result) = super::exchange::replay(protocol, &exchange.headers(), exchange.stream());
            assert!(result.is_ok(), "{name}: {result:?}");
            Meaning::of_chunks(&chunks)
        } else {
            let reply = protocol.decode(&target(), exchange.reply());
            let reply = reply.unwrap_or_else(|error| panic!("{name}: {error}"));
            Meaning::of_reply(&reply.body, reply.usage)
        };
        same(&found, &expected, name);
        let row = counts.entry(registered(&exchange.provider).to_owned()).or_insert_with(BTreeMap::new);
        for capability in capabilities(&exchange, &expected) {
            *row.entry(capability).or_insert(0_u32) += 1;
        }
    }
    for (exchange, embeddings, target) in super::embeddings::all() {
        let reply = embeddings.decode(&target, &super::embeddings::canonical(&exchange), &[exchange.reply()]);
        let reply = reply.unwrap_or_else(|error| panic!("{}: {error}", exchange.name));
        super::embeddings::check_vectors(&reply.body, reply.usage, &exchange);
        let row = counts.entry(registered(&exchange.provider).to_owned()).or_default();
        *row.entry("embeddings").or_insert(0) += 1;
    }
    check_table(&counts);
}

/// Arguments are JSON, written with or without spaces.
fn same(found: &Meaning, expected: &Meaning, name: &str) {
    assert_eq!(found.usage, expected.usage, "{name}");
    assert_eq!(found.choices.len(), expected.choices.len(), "{name}");
    for (found, expected) in found.choices.iter().zip(&expected.choices) {
        assert_eq!(found.text, expected.text, "{name}");
        assert_eq!(found.reasoning, expected.reasoning, "{name}");
        assert_eq!(found.finish_reason, expected.finish_reason, "{name}");
        assert_eq!(found.calls.len(), expected.calls.len(), "{name}: {:?}", found.calls);
        for (found, expected) in found.calls.iter().zip(&expected.calls) {
            assert_eq!(found.1, expected.1, "{name}");
            assert!(found.0 == expected.0 || expected.0.is_empty(), "{name}: {}", found.0);
            let parsed = |arguments: &str| serde_json::from_str::<Value>(arguments).ok();
            match (parsed(&found.2), parsed(&expected.2)) {
                (Some(found), Some(expected)) => assert_eq!(found, expected, "{name}"),
                _ => assert_eq!(found.2, expected.2, "{name}"),
            }
        }
    }
}

#[test]
fn every_recorded_rate_limit_is_understood() {
    let mut providers = std::collections::BTreeSet::new();
    for (exchange, _) in all() {
        let headers = exchange.headers();
        let said = headers.iter().filter(|(name, _)| name.as_str().contains("remaining"));
        let counts: Vec<u64> = said.map(|(_, count)| count.to_str().unwrap().parse().unwrap()).collect();
        if counts.is_empty() {
            continue;
        }
        let headroom = crate::headroom::headroom(&headers).unwrap_or_else(|| panic!("{}", exchange.name));
        let understood = [headroom.requests_remaining, headroom.tokens_remaining];
        assert!(understood.iter().flatten().count() > 0, "{}", exchange.name);
        assert!(understood.iter().flatten().all(|count| counts.contains(count)), "{}", exchange.name);
        providers.insert(exchange.provider);
    }
    assert!(providers.len() >= 9, "{providers:?}");
}

#[test]
fn every_request_is_what_was_recorded() {
    let mut count = 0;
    for (exchange, protocol) in all() {
        let name = &exchange.name;
        if exchange.family != "openai_chat" || !is_good(&exchange) {
            continue;
        }
        let Some(request) = canonical_request(&exchange) else { continue };
        count += 1;
        let target = Target::new(exchange.request["model"].as_str().unwrap());
        let mode = if exchange.is_stream() { Mode::Stream } else { Mode::Whole };
        // A refusal here would be of something that the provider did.
        let sent = protocol.encode(&target, &request, mode).unwrap_or_else(|error| panic!("{name}: {error}"));
        check_request(&serde_json::from_slice(&sent).unwrap(), &exchange);
    }
    assert!(count > 100, "{count}");
}

/// The recorded request as a client of ours would send it; `None` where the recording has none.
fn canonical_request(exchange: &Exchange) -> Option<ChatRequest> {
    exchange.request["model"].as_str()?;
    ChatRequest::from_json(exchange.request.to_string()).ok()
}

fn check_request(sent: &Value, exchange: &Exchange) {
    let name = &exchange.name;
    let recorded = exchange.request.as_object().unwrap();
    for (field, value) in recorded {
        let found = match field.as_str() {
            // Set by us, to get what we need to know.
            "stream" | "stream_options" => continue,
            // Hints to others, that Mistral would refuse.
            _ if value.is_null() => continue,
            "max_tokens" if sent[field].is_null() => &sent["max_completion_tokens"],
            "max_completion_tokens" if sent[field].is_null() => &sent["max_tokens"],
            field => &sent[field],
        };
        if field == "messages" && exchange.provider == "mistral" {
            check_mistral_messages(found, value, name);
        } else {
            assert_eq!(found, value, "{name}: {field}");
        }
    }
    for field in sent.as_object().unwrap().keys() {
        let is_ours =
            matches!(field.as_str(), "stream" | "stream_options" | "max_tokens" | "max_completion_tokens");
        assert!(is_ours || recorded.contains_key(field), "{name}: {field} was made up");
    }
    assert_eq!(sent["stream"] == true, exchange.is_stream(), "{name}");
}

/// Mistral's own clients write some things in two ways: an empty content, a `null`, and the default of `prefix`.
fn check_mistral_messages(sent: &Value, recorded: &Value, name: &str) {
    let normal = |messages: &Value| -> Vec<Value> {
        let messages = messages.as_array().unwrap().iter().cloned().map(|mut message| {
            let members = message.as_object_mut().unwrap();
            members
                .retain(|_, value| !value.is_null() && *value != false && *value != Value::Array(Vec::new()));
            if members.get("content").is_some_and(|content| *content == "") {
                members.remove("content");
            }
            message
        });
        messages.collect()
    };
    assert_eq!(normal(sent), normal(recorded), "{name}");
}

#[tokio::test]
async fn over_http_every_exchange_means_the_same() {
    let server = ReplayServer::start().await;
    let providers = Providers::new().unwrap();
    for (exchange, _) in all() {
        let name = exchange.name.clone();
        let request = canonical_request(&exchange).filter(|_| exchange.family == "openai_chat");
        let request = request.unwrap_or_else(|| ChatRequest::user("alias", "hi").unwrap());
        let endpoint = endpoint(adapter_of(&exchange), server.serve(&exchange));
        let provider = providers.connect(&endpoint).unwrap_or_else(|error| panic!("{name}: {error}"));
        let found = if exchange.is_stream() {
            super::replay_server::read(&*provider, &request).await
        } else {
            let reply = provider.complete(&request).await;
            reply.map(|reply| Meaning::of_reply(&reply.body, reply.usage))
        };
        match found {
            Ok(found) => same(&found, &Meaning::recorded(&exchange), &name),
            Err(error) => {
                assert!(!is_good(&exchange), "{name}: {error}");
                let expected = match exchange.kind.as_str() {
                    // Google's recorded quota is one of a minute.
                    "error_quota" if exchange.family == "gemini_generate" => {
                        router_core::ProviderErrorKind::RateLimited
                    }
                    kind => super::errors::meaning(kind),
                };
                assert_eq!(error.kind(), expected, "{name}: {error}");
            }
        }
        let received = server.received();
        let end = exchange.path.rsplit_once(['/', ':']).map_or("", |(_, end)| end);
        assert!(received.path.ends_with(end), "{name}: {}", received.path);
        if exchange.family == "openai_chat" && is_good(&exchange) && !exchange.request["model"].is_null() {
            check_request(&received.body, &exchange);
        }
    }
}

fn endpoint(model: String, base: String) -> Endpoint {
    let endpoint = Endpoint::new(model).with_api_base(base).with_api_key("sk-test-key-123");
    match endpoint.model.split('/').next() {
        Some("vertex_ai") => endpoint.with_vertex_project("p").with_vertex_location("us-central1"),
        Some("bedrock") => endpoint.with_aws_region_name("us-east-1"),
        _ => endpoint,
    }
}

#[tokio::test]
async fn over_http_every_embedding_is_the_same() {
    let server = ReplayServer::start().await;
    let providers = Providers::new().unwrap();
    for (exchange, _, target) in super::embeddings::all() {
        let name = &exchange.name;
        let endpoint = endpoint(adapter_of(&exchange), server.serve(&exchange));
        let provider = providers.connect(&endpoint).unwrap_or_else(|error| panic!("{name}: {error}"));
        let reply = provider.embed(&super::embeddings::canonical(&exchange)).await;
        let reply = reply.unwrap_or_else(|error| panic!("{name}: {error}"));
        super::embeddings::check_vectors(&reply.body, reply.usage, &exchange);
        let received = server.received();
        if !target.model.is_empty() {
            super::embeddings::check_request(&received.body, &exchange);
            let end = exchange.path.rsplit_once(['/', ':']).map_or("", |(_, end)| end);
            assert!(received.path.ends_with(end), "{name}: {}", received.path);
        }
    }
}

/// What of the capabilities an exchange shows.
fn capabilities(exchange: &Exchange, meaning: &Meaning) -> Vec<&'static str> {
    let request = &exchange.request;
    let any_call = meaning.choices.iter().any(|answer| !answer.calls.is_empty());
    let is_set = |names: &[&str]| {
        names.iter().any(|name| !matches!(&request[*name], Value::Null | Value::Bool(false)))
    };
    let turns = if request["contents"].is_array() { &request["contents"] } else { &request["messages"] };
    let roles: Vec<&str> =
        turns.as_array().into_iter().flatten().filter_map(|m| m["role"].as_str()).collect();
    let text = request.to_string();
    // AWS names a part by its member.
    let has_member = |name: &str| text.contains(&format!("\"{name}\":{{"));
    let is_aws = exchange.family == "bedrock_converse";
    let has_type = |kinds: &[&str]| kinds.iter().any(|kind| text.contains(&format!("\"type\":\"{kind}\"")));
    let format = request["response_format"]["type"].as_str();
    let google = &request["generationConfig"];
    let google_schema = ["responseSchema", "responseJsonSchema"].iter().any(|name| !google[*name].is_null());
    let google_json = google["responseMimeType"] == "application/json";
    let usage = meaning.usage.unwrap_or_default();
    let shown = [
        ("text", meaning.choices.iter().any(|answer| !answer.text.is_empty())),
        ("stream", exchange.is_stream()),
        (
            "system",
            roles.contains(&"system")
                || roles.contains(&"developer")
                || is_set(&["system", "systemInstruction", "system_instruction"]),
        ),
        ("turns", roles.contains(&"assistant") || roles.contains(&"model")),
        (
            "images",
            has_type(&["image_url", "image"]) || text.contains("\"image/") || (is_aws && has_member("image")),
        ),
        (
            "files",
            has_type(&["file", "document", "document_url"])
                || text.contains("\"application/pdf\"")
                || (is_aws && has_member("document")),
        ),
        ("tools", any_call),
        (
            "tool choice",
            is_set(&["tool_choice"])
                || text.contains("\"functionCallingConfig\"")
                || !request["toolConfig"]["toolChoice"].is_null(),
        ),
        ("parallel calls", meaning.choices.iter().any(|answer| answer.calls.len() > 1)),
        (
            "tool results",
            roles.contains(&"tool")
                || has_type(&["tool_result"])
                || text.contains("\"functionResponse\"")
                || has_member("toolResult"),
        ),
        (
            "JSON object",
            (format == Some("json_object") && request["response_format"]["json_schema"].is_null())
                || (google_json && !google_schema),
        ),
        (
            "JSON schema",
            format == Some("json_schema")
                || !request["response_format"]["json_schema"].is_null()
                || request["output_config"]["format"]["type"] == "json_schema"
                || request["output_format"]["type"] == "json_schema"
                || google_schema
                || !request["outputConfig"]["textFormat"].is_null(),
        ),
        (
            "stop",
            is_set(&["stop", "stop_sequences"])
                || [google, &request["inferenceConfig"]]
                    .iter()
                    .any(|config| config["stopSequences"][0].is_string()),
        ),
        ("seed", is_set(&["seed", "random_seed"]) || !google["seed"].is_null()),
        ("logprobs", is_set(&["logprobs"]) || google["responseLogprobs"] == true),
        (
            "reasoning",
            usage.reasoning > 0 || meaning.choices.iter().any(|answer| !answer.reasoning.is_empty()),
        ),
        ("cache", usage.cached_read + usage.cache_write_5m + usage.cache_write_1h > 0),
    ];
    shown.into_iter().filter(|(_, is_shown)| *is_shown).map(|(capability, _)| capability).collect()
}

/// Compares the table in the documentation with what was counted; `UPDATE_DOCS=1` writes it.
fn check_table(counts: &BTreeMap<String, BTreeMap<&'static str, u32>>) {
    let mut table =
        format!("| provider | {} |\n|---|{}\n", CAPABILITIES.join(" | "), "---|".repeat(CAPABILITIES.len()));
    for (provider, counts) in counts {
        let cells = CAPABILITIES.map(|name| counts.get(name).map_or(String::new(), u32::to_string));
        table.push_str(&format!("| `{provider}` | {} |\n", cells.join(" | ")));
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/providers.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once("<!-- table -->\n").expect("the page marks its table");
    let (written, after) = rest.split_once("<!-- end -->").expect("the page marks its table");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, format!("{before}<!-- table -->\n{table}<!-- end -->{after}")).unwrap();
    } else if std::env::var_os("PROVIDER_FIXTURES").is_none() {
        let compiled_in = |line: &&str| cfg!(feature = "bedrock") || !line.starts_with("| `bedrock` |");
        let written: Vec<&str> = written.lines().filter(compiled_in).collect();
        assert!(
            written == table.lines().collect::<Vec<_>>(),
            "docs/providers.md says something else; UPDATE_DOCS=1 writes it:\n{table}"
        );
    }
}
