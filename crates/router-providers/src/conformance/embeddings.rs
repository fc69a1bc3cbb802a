//! Embeddings: recorded exchanges of every provider that has them.

use router_core::{EmbeddingRequest, Usage};
use serde_json::{Value, json};

use super::exchange::Exchange;
use super::matrix::registered;
use crate::protocol::{Embeddings, Target};
use crate::registry;

/// The good exchanges, each with its provider's adapter and its model, which Google and AWS have in the path.
pub(super) fn all() -> Vec<(Exchange, &'static dyn Embeddings, Target)> {
    let exchanges = Exchange::all("embeddings").into_iter();
    let exchanges = exchanges.filter(|exchange| !exchange.kind.contains("error"));
    // What is not compiled in is not tested.
    let exchanges = exchanges.filter(|exchange| cfg!(feature = "bedrock") || exchange.provider != "bedrock");
    exchanges
        .map(|exchange| {
            let model = model(&exchange);
            let row = registry::find(&format!("{}/{model}", registered(&exchange.provider)), None).unwrap().0;
            let embeddings = row.protocol.embeddings();
            let embeddings = embeddings.unwrap_or_else(|| panic!("{} has embeddings", exchange.name));
            let base = exchange.path.split("/publishers/").next().unwrap().to_owned();
            (exchange, embeddings, Target { api_base: base, ..Target::new(&model) })
        })
        .collect()
}

pub(super) fn model(exchange: &Exchange) -> String {
    let path = exchange.path.replace("%3A", ":");
    let (_, name) = path.rsplit_once("/models/").or(path.rsplit_once("/model/")).unwrap_or_default();
    let name = name.trim_end_matches("/invoke");
    let in_path = match exchange.provider.as_str() {
        "bedrock" => name,
        _ => name.split(':').next().unwrap(),
    };
    exchange.request["model"].as_str().filter(|model| !model.is_empty()).unwrap_or(in_path).to_owned()
}

/// The request a client of ours would send for the recorded one.
pub(super) fn canonical(exchange: &Exchange) -> EmbeddingRequest {
    let recorded = &exchange.request;
    let texts = |list: &Value, place: &str| -> Value {
        list.as_array().unwrap().iter().map(|item| item.pointer(place).unwrap().clone()).collect()
    };
    let mut request = if recorded["requests"].is_array() {
        let mut request = recorded["requests"][0].clone();
        request["input"] = texts(&recorded["requests"], "/content/parts/0/text");
        request
    } else if recorded["instances"].is_array() {
        json!({"input": texts(&recorded["instances"], "/content")})
    } else if recorded["content"].is_object() {
        json!({"input": recorded["content"]["parts"][0]["text"]})
    } else if recorded["singleEmbeddingParams"].is_object() {
        let mut request = recorded["singleEmbeddingParams"].clone();
        request["input"] = request["text"]["value"].clone();
        request["truncationMode"] = request["text"]["truncationMode"].clone();
        request
    } else {
        recorded.clone()
    };
    let fields = request.as_object_mut().unwrap();
    fields.insert("model".to_owned(), json!("alias"));
    let names = [
        ("texts", "input"),
        ("inputText", "input"),
        ("output_dimension", "dimensions"),
        ("outputDimensionality", "dimensions"),
        ("embeddingDimension", "dimensions"),
    ];
    for (theirs, ours) in names {
        if let Some(value) = fields.remove(theirs).filter(|value| !value.is_null()) {
            fields.insert(ours.to_owned(), value);
        }
    }
    for theirs in ["embedding_types", "content", "text"] {
        fields.remove(theirs);
    }
    EmbeddingRequest::from_json(request.to_string()).unwrap()
}

/// The vectors of a recorded reply, and the tokens it counts.
pub(super) fn recorded(exchange: &Exchange) -> (Vec<Value>, Option<u64>) {
    let sent = &exchange.response["body"];
    let list = [&sent["embeddings"]["float"], &sent["data"], &sent["predictions"], &sent["embeddings"]];
    let list = list.into_iter().find_map(Value::as_array).cloned().unwrap_or_else(|| vec![sent.clone()]);
    let vector = |item: &Value| {
        let places = ["/embedding/values", "/embedding", "/embeddings/values", "/values", ""];
        let vector = places.into_iter().find_map(|place| item.pointer(place)).unwrap();
        assert!(vector.is_array() || vector.is_string(), "{vector}");
        vector.clone()
    };
    let predicted = sent["predictions"].as_array().map(|predictions| {
        predictions.iter().filter_map(|p| p["embeddings"]["statistics"]["token_count"].as_u64()).sum()
    });
    let in_header = exchange.response["headers"]["x-amzn-bedrock-input-token-count"].as_str();
    let tokens = sent["usage"]["prompt_tokens"].as_u64();
    let tokens = tokens.or(sent["meta"]["billed_units"]["input_tokens"].as_u64()).or(predicted);
    let tokens = tokens.or(sent["usageMetadata"]["promptTokenCount"].as_u64());
    (list.iter().map(vector).collect(), tokens.or(in_header.map(|count| count.parse().unwrap())))
}

#[test]
fn every_reply_holds_the_vectors_that_were_recorded() {
    let mut providers = std::collections::BTreeSet::new();
    for (exchange, embeddings, target) in all() {
        let name = &exchange.name;
        let reply = embeddings.decode(&target, &canonical(&exchange), &[exchange.reply()]);
        let reply = reply.unwrap_or_else(|error| panic!("{name}: {error}"));
        check_vectors(&reply.body, reply.usage, &exchange);
        providers.insert(exchange.provider.clone());
    }
    assert!(providers.len() >= 9, "{providers:?}");
}

/// Checks a canonical reply against the recorded one.
pub(super) fn check_vectors(body: &[u8], usage: Option<Usage>, exchange: &Exchange) {
    let body: Value = serde_json::from_slice(body).unwrap();
    let found: Vec<Value> =
        body["data"].as_array().unwrap().iter().map(|item| item["embedding"].clone()).collect();
    let (vectors, tokens) = recorded(exchange);
    assert_eq!(found, vectors, "{}", exchange.name);
    assert_eq!(usage.map(|usage| usage.prompt), tokens, "{}", exchange.name);
}

#[test]
fn every_request_is_what_was_recorded() {
    for (exchange, embeddings, target) in all() {
        let name = &exchange.name;
        if target.model.is_empty() {
            continue;
        }
        let calls = embeddings.encode(&target, &canonical(&exchange));
        let [sent] = &calls.unwrap_or_else(|error| panic!("{name}: {error}"))[..] else {
            panic!("{name}: one call")
        };
        check_request(&serde_json::from_slice(sent).unwrap(), &exchange);
        let path = embeddings.path(&target);
        let path = path.split('?').next().unwrap();
        let ours = path.replace("%3A", ":");
        assert!(exchange.path.replace("%3A", ":").ends_with(&ours), "{name}: {path}");
    }
}

/// Checks a request of ours against the recorded one.
pub(super) fn check_request(sent: &Value, exchange: &Exchange) {
    let without_nulls = |fields: &Value| {
        let mut fields = fields.as_object().unwrap().clone();
        fields.retain(|_, value| !value.is_null());
        // What is asked for anyway.
        fields.retain(|field, value| field != "embedding_types" || *value != json!(["float"]));
        Value::Object(fields)
    };
    assert_eq!(without_nulls(sent), without_nulls(&exchange.request), "{}", exchange.name);
}
