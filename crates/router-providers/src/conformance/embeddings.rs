//! Embeddings: recorded exchanges of every provider that has them.

use router_core::EmbeddingRequest;
use serde_json::{Map, Value, json};

use super::exchange::{Exchange, target};
use super::matrix::registered;
use crate::protocol::{Embeddings, Target};
use crate::registry;

/// The exchanges whose provider's adapter has embeddings, with it; those in a format of other providers are theirs to test.
fn all() -> Vec<(Exchange, &'static dyn Embeddings)> {
    let exchanges = Exchange::all("embeddings").into_iter();
    exchanges
        .filter(|exchange| !exchange.kind.contains("error"))
        .filter_map(|exchange| {
            let is_openai_shaped = exchange.path.ends_with("/embeddings");
            if !is_openai_shaped && exchange.provider != "cohere" {
                return None;
            }
            let name = format!("{}/m", registered(&exchange.provider));
            let embeddings = registry::find(&name, None).unwrap().0.protocol.embeddings();
            Some((exchange, embeddings.unwrap_or_else(|| panic!("{name} has embeddings"))))
        })
        .collect()
}

/// The request a client of ours would send for the recorded one.
fn canonical(exchange: &Exchange) -> EmbeddingRequest {
    let mut request = exchange.request.clone();
    let fields = request.as_object_mut().unwrap();
    fields.insert("model".to_owned(), json!("alias"));
    for (theirs, ours) in [("texts", "input"), ("output_dimension", "dimensions")] {
        if let Some(value) = fields.remove(theirs).filter(|value| !value.is_null()) {
            fields.insert(ours.to_owned(), value);
        }
    }
    fields.remove("embedding_types");
    EmbeddingRequest::from_json(request.to_string()).unwrap()
}

#[test]
fn every_reply_holds_the_vectors_that_were_recorded() {
    let mut providers = std::collections::BTreeSet::new();
    for (exchange, embeddings) in all() {
        let name = &exchange.name;
        let reply = embeddings.decode(&target(), &canonical(&exchange), exchange.reply());
        let reply = reply.unwrap_or_else(|error| panic!("{name}: {error}"));
        let body: Value = serde_json::from_slice(&reply.body).unwrap();
        let sent = &exchange.response["body"];
        let recorded: Vec<&Value> = match &sent["embeddings"]["float"] {
            Value::Array(vectors) => vectors.iter().collect(),
            _ => sent["data"].as_array().unwrap().iter().map(|item| &item["embedding"]).collect(),
        };
        let found: Vec<&Value> =
            body["data"].as_array().unwrap().iter().map(|item| &item["embedding"]).collect();
        assert_eq!(found, recorded, "{name}");
        let tokens = sent["usage"]["prompt_tokens"].as_u64();
        let tokens = tokens.or(sent["meta"]["billed_units"]["input_tokens"].as_u64());
        assert_eq!(reply.usage.map(|usage| usage.prompt), tokens, "{name}");
        providers.insert(exchange.provider.clone());
    }
    assert!(providers.len() >= 7, "{providers:?}");
}

#[test]
fn every_request_is_what_was_recorded() {
    for (exchange, embeddings) in all() {
        let name = &exchange.name;
        let Some(model) = exchange.request["model"].as_str() else { continue };
        let sent = embeddings.encode(&Target::new(model), &canonical(&exchange));
        let sent: Map<String, Value> = serde_json::from_slice(&sent.unwrap()).unwrap();
        let without_nulls = |fields: &Map<String, Value>| {
            let mut fields = fields.clone();
            fields.retain(|_, value| !value.is_null());
            // What is asked for anyway.
            fields.retain(|field, value| field != "embedding_types" || *value != json!(["float"]));
            Value::Object(fields)
        };
        let recorded = without_nulls(exchange.request.as_object().unwrap());
        assert_eq!(without_nulls(&sent), recorded, "{name}");
    }
}
