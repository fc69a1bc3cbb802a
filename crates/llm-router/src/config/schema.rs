//! The JSON schema of the configuration, for editors.

use serde_json::{Map, Value, json};

use super::keys::{Key, Keys, Kind, Policy, ROOT};
use super::read::policy_names;

/// Returns a JSON schema (draft 2020-12) of the configuration file. It accepts what is read without a complaint, and refuses what is
/// not; keys of LiteLLM's that do nothing here are marked as deprecated, with the reason.
pub fn config_schema() -> Value {
    let mut schema = section(&ROOT);
    if let Value::Object(schema) = &mut schema {
        schema.insert("$schema".to_owned(), "https://json-schema.org/draft/2020-12/schema".into());
        schema.insert("title".to_owned(), "llm-router config.yaml".into());
        let variable = json!({
            "type": "string",
            "pattern": "^os\\.environ/.",
            "description": "The environment variable of this name.",
        });
        schema.insert("$defs".to_owned(), json!({"variable": variable}));
    }
    schema
}

fn section(keys: &Keys) -> Value {
    let mut properties = Map::new();
    for Key { name, kind, meaning } in keys.honoured {
        let mut value = of(*kind);
        if !keys.required.contains(name) {
            // An empty value is as good as none.
            value = json!({"anyOf": [value, {"type": "null"}]});
        }
        if let Value::Object(value) = &mut value {
            value.insert("description".to_owned(), (*meaning).into());
        }
        properties.insert((*name).to_owned(), value);
    }
    for (name, reason) in keys.not_supported {
        let description = format!("not supported, ignored: {reason}");
        properties.insert((*name).to_owned(), json!({"deprecated": true, "description": description}));
    }
    let mut object = json!({"type": "object", "properties": properties, "additionalProperties": false});
    if let Value::Object(object) = &mut object {
        if !keys.required.is_empty() {
            object.insert("required".to_owned(), json!(keys.required));
        }
        if !keys.one_of.is_empty() {
            let is_there =
                |name: &str| json!({"required": [name], "properties": {name: {"not": {"type": "null"}}}});
            let one_of: Vec<Value> = keys.one_of.iter().map(|name| is_there(name)).collect();
            object.insert("oneOf".to_owned(), one_of.into());
        }
    }
    object
}

fn of(kind: Kind) -> Value {
    let or_variable = |schema: Value| json!({"anyOf": [schema, {"$ref": "#/$defs/variable"}]});
    match kind {
        Kind::Text => text(),
        Kind::Number => or_variable(json!({"type": "number"})),
        Kind::Integer => or_variable(json!({"type": "integer", "minimum": 0})),
        Kind::Count => or_variable(count()),
        Kind::Seconds => or_variable(json!({"type": "number", "minimum": 0, "exclusiveMaximum": 31_536_000})),
        Kind::Boolean => or_variable(json!({"type": "boolean"})),
        Kind::Choice(words) => or_variable(json!({"enum": words})),
        Kind::TextList => json!({"type": "array", "items": text()}),
        Kind::Texts => json!({"type": "object", "additionalProperties": text()}),
        Kind::Section(keys) => section(keys),
        Kind::SectionList(keys) => json!({"type": "array", "items": section(keys)}),
        Kind::Sections(keys) => {
            json!({"type": "object", "additionalProperties": section(keys)})
        }
        Kind::Fallbacks => {
            let targets = json!({"type": "array", "items": text()});
            json!({"type": "array", "items": {"type": "object", "additionalProperties": targets}})
        }
        Kind::Port => or_variable(port()),
        Kind::RedisUrl => or_variable(json!({"type": "string", "pattern": "^rediss?://[^/]"})),
        Kind::Nodes => {
            let pair = json!({
                "type": "array",
                "prefixItems": [text(), or_variable(port())],
                "items": false,
                "minItems": 1,
            });
            let named = json!({
                "type": "object",
                "properties": {"host": text(), "port": or_variable(port())},
                "required": ["host"],
                "additionalProperties": false,
            });
            json!({"type": "array", "minItems": 1, "items": {"anyOf": [pair, named]}})
        }
        Kind::Aliases => {
            let hidden = json!({
                "type": "object",
                "properties": {"model": text(), "hidden": {"type": "boolean"}},
                "required": ["model"],
                "additionalProperties": false,
            });
            json!({"type": "object", "additionalProperties": {"anyOf": [text(), hidden]}})
        }
        Kind::TextLists => {
            json!({"type": "object", "additionalProperties": {"type": "array", "items": text()}})
        }
        Kind::Tiers => tiers(),
        Kind::Labels => {
            let places = json!({"type": "object", "additionalProperties": {"anyOf": [text(), tiers()]}});
            json!({"anyOf": [{"type": "array", "items": text()}, places]})
        }
        Kind::Policy(policy) => by_kind(policy),
        Kind::Policies(policy) => json!({"type": "object", "additionalProperties": by_kind(policy)}),
    }
}

fn text() -> Value {
    // People write ids and versions without quotes.
    json!({"type": ["string", "number"]})
}

fn tiers() -> Value {
    let bound = json!({"anyOf": [
        {"type": "number"},
        {"type": "string", "pattern": "^[0-9]+([.][0-9]+)?%?$"},
        {"$ref": "#/$defs/variable"},
    ]});
    json!({"type": "object", "additionalProperties": bound})
}

fn port() -> Value {
    // People write ports in quotes, too.
    json!({"anyOf": [
        {"type": "integer", "minimum": 1, "maximum": u16::MAX},
        {"type": "string", "pattern": "^0*[1-9][0-9]{0,4}$"},
    ]})
}

fn count() -> Value {
    json!({"type": "integer", "minimum": 0, "maximum": u32::MAX})
}

fn by_kind(policy: Policy) -> Value {
    let number = json!({"anyOf": [count(), {"$ref": "#/$defs/variable"}]});
    let properties: Map<String, Value> = policy_names(policy).map(|name| (name, number.clone())).collect();
    json!({"type": "object", "properties": properties, "additionalProperties": false})
}
