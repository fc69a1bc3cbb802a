//! The schema and the reader say the same of every value of every key.

use llm_router::{ConfigFile, config_schema};
use serde_json::{Map, Value, json};

/// Whether the reader takes a document without a complaint; keys of LiteLLM's that do nothing are no complaint.
fn is_read(document: &Value) -> bool {
    // JSON is YAML.
    let environment = |name: &str| match name {
        "NUMBER" => Some("5".to_owned()),
        "TRUTH" => Some("true".to_owned()),
        _ => None,
    };
    match ConfigFile::parse(&document.to_string(), "config.yaml", &environment) {
        Ok(file) => {
            file.ignored().iter().all(|problem| problem.message.starts_with("not supported, ignored: "))
        }
        Err(_) => false,
    }
}

/// Every place of the schema that has a value of its own, as a path of keys; `*` is a name the user chose, `0` an item.
fn places(schema: &Value, path: &[String], found: &mut Vec<Vec<String>>) {
    found.push(path.to_vec());
    let below = |step: &str| [path, &[step.to_owned()]].concat();
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        if property["deprecated"] != json!(true) {
            places(property, &below(name), found);
        }
    }
    if schema["additionalProperties"].is_object() {
        places(&schema["additionalProperties"], &below("*"), found);
    }
    if schema["items"].is_object() {
        places(&schema["items"], &below("0"), found);
    }
    for option in schema["anyOf"].as_array().into_iter().flatten() {
        places(option, path, found);
    }
}

/// What the document must have for a place to be reached, and nothing else.
fn base() -> Value {
    json!({
        "model_list": [{"model_name": "fast", "litellm_params": {"model": "openai/gpt-4o", "api_key": "k"}}],
        "general_settings": {"virtual_keys": [{"key": "k"}]},
    })
}

/// Puts a value at a place, making what is missing on the way.
fn put(document: &mut Value, path: &[String], value: Value) {
    let Some((step, rest)) = path.split_first() else {
        *document = value;
        return;
    };
    if step == "0" {
        if !document.is_array() {
            *document = json!([null]);
        }
        put(&mut document[0], rest, value);
    } else {
        if !document.is_object() {
            *document = Value::Object(Map::new());
        }
        let name = if step == "*" { "fast" } else { step };
        put(&mut document[name], rest, value);
    }
}

#[test]
fn every_value_of_every_key_is_taken_by_both_or_refused_by_both() {
    let schema = config_schema();
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    let mut found = Vec::new();
    places(&schema, &[], &mut found);
    found.sort();
    found.dedup();
    assert!(found.len() > 100, "{}", found.len());
    let values = [
        json!("text"),
        json!(""),
        json!("simple-shuffle"),
        json!("local"),
        json!("default_off"),
        json!(0),
        json!(7),
        json!(-1),
        json!(0.5),
        json!(-0.5),
        json!(4_294_967_296_u64),
        json!(40_000_000),
        json!(true),
        json!(null),
        json!([]),
        json!(["fast"]),
        json!([["fast"]]),
        json!([7, "fast"]),
        json!([{"fast": ["fast"]}]),
        json!([{"fast": "fast"}]),
        json!({}),
        json!({"fast": "fast"}),
        json!({"fast": {"model": "fast", "hidden": true}}),
        json!({"fast": {"hidden": true}}),
        json!({"fast": {}}),
        json!({"TimeoutErrorRetries": 3}),
        json!({"TimeoutErrorRetries": "os.environ/NUMBER"}),
        json!({"TimeoutErrorAllowedFails": 3}),
        json!({"DefaultRetries": 3, "BadRequestErrorRetries": 1}),
        json!({"TimeoutErrorRetries": "three"}),
        json!({"fast": {"TimeoutErrorRetries": 3}}),
        json!({"no_such_key": 1}),
    ];
    let mut checked = 0;
    let mut check = |path: &[String], value: &Value| {
        let mut document = base();
        put(&mut document, path, value.clone());
        let (by_schema, by_reader) = (validator.is_valid(&document), is_read(&document));
        assert_eq!(by_schema, by_reader, "by the schema and by the reader, {path:?}: {value}");
        checked += usize::from(by_schema);
    };
    // What stands there is looked for in the file system.
    let files = ["include", "model_prices", "model_file", "examples_file", "calibration_file", "semantic"];
    let is_file = |path: &[String]| path.iter().any(|key| files.contains(&key.as_str()));
    for path in found.iter().filter(|path| !is_file(path)) {
        for value in &values {
            check(path, value);
        }
    }
    assert!(checked > 500, "hardly anything was taken: {checked}");
}

#[test]
fn variables_are_taken_where_numbers_and_truths_are() {
    let validator = jsonschema::draft202012::new(&config_schema()).unwrap();
    let check = |section: &str, key: &str, value: &str, expected: bool| {
        let mut document = base();
        document[section] = json!({key: value});
        assert!(validator.is_valid(&document), "{key}");
        assert_eq!(is_read(&document), expected, "{key}: {value}");
    };
    check("router_settings", "num_retries", "os.environ/NUMBER", true);
    check("router_settings", "timeout", "os.environ/NUMBER", true);
    check("router_settings", "num_retries", "os.environ/TRUTH", false);
    check("router_settings", "enable_pre_call_checks", "os.environ/TRUTH", true);
    check("general_settings", "max_connections", "os.environ/NUMBER", true);
}

#[test]
fn the_documentation_lists_every_key() {
    let documentation = include_str!("../../../docs/configuration.md");
    let mut found = Vec::new();
    places(&config_schema(), &[], &mut found);
    for path in found {
        if let Some(key) = path.last().filter(|key| *key != "*" && *key != "0") {
            let is_there = ["`", ": "].iter().any(|end| documentation.contains(&format!("{key}{end}")))
                || documentation.contains(&format!("`{key}."));
            assert!(is_there, "`{key}` of {path:?} is not documented");
        }
    }
}
