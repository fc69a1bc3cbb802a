//! Tools, and which of them to call.
//!
//! Function tools become declarations, all in one list; a tool that is Gemini's already (`{"googleSearch": {}}`) passes through.
//! `strict` is dropped: Gemini always holds on to the schema as well as it can. `web_search_options` asks for Google's search.

use std::borrow::Cow;

use router_core::ProviderError;
use serde_json::json;
use serde_json::value::RawValue;

use super::GEMINI;
use crate::canonical_request::{invalid, part};
use crate::json_tree::{Node, Object};
use crate::raw_json::{self, Fields};

/// The tools of a request.
#[derive(Debug, Default)]
pub(super) struct Tools<'a> {
    pub(super) list: Vec<Node<'a>>,
    pub(super) config: Option<Node<'a>>,
    pub(super) has_functions: bool,
}

pub(super) fn convert<'a>(fields: &Fields<'a>) -> Result<Tools<'a>, ProviderError> {
    let mut tools = Tools::default();
    let mut declarations = Vec::new();
    let list: Vec<&'a RawValue> = match fields.get("tools") {
        Some(list) => part(list, "tools", "a list")?,
        None => Vec::new(),
    };
    for (index, tool) in list.into_iter().enumerate() {
        match declaration(tool, &format!("tools[{index}]"))? {
            Some(declaration) => declarations.push(declaration.into()),
            None => tools.list.push(tool.into()),
        }
    }
    tools.has_functions = !declarations.is_empty();
    if tools.has_functions {
        if fields.get("parallel_tool_calls").is_some_and(|value| value.get() == "false") {
            return Err(GEMINI.unsupported("`parallel_tool_calls` of false"));
        }
        tools.list.insert(0, Object::of("functionDeclarations", declarations).into());
        tools.config = choice(fields.get("tool_choice"))?;
    }
    if fields.get("web_search_options").is_some() {
        tools.list.push(json!({"googleSearch": {}}).into());
    }
    Ok(tools)
}

fn declaration<'a>(tool: &'a RawValue, place: &str) -> Result<Option<Object<'a>>, ProviderError> {
    let outer: Fields<'a> = part(tool, place, "an object")?;
    let function = match (outer.get("type").map(RawValue::get), outer.get("function")) {
        (Some("\"function\"") | None, Some(function)) => function,
        (Some("\"function\""), None) => return Err(invalid(&format!("`{place}.function` is missing"))),
        // Gemini's own have no type: each is an object with one member.
        (None, None) => return Ok(None),
        (Some(kind), _) => return Err(GEMINI.unsupported(&format!("`{place}` of type {kind}"))),
    };
    let function: Fields<'a> = part(function, &format!("{place}.function"), "an object")?;
    let name = function.get("name").ok_or_else(|| invalid(&format!("`{place}.function.name` is missing")))?;
    let mut declaration = Object::of("name", name);
    declaration.set_some("description", function.get("description"));
    // A function without parameters must not have an empty schema.
    let parameters = function.get("parameters").filter(|schema| raw_json::is_filled(schema));
    declaration.set_some("parametersJsonSchema", parameters);
    Ok(Some(declaration))
}

fn choice<'a>(choice: Option<&'a RawValue>) -> Result<Option<Node<'a>>, ProviderError> {
    let Some(choice) = choice else { return Ok(None) };
    let config = |mode: &str| Ok(Some(json!({"functionCallingConfig": {"mode": mode}}).into()));
    match choice.get() {
        "\"auto\"" => return config("AUTO"),
        "\"none\"" => return config("NONE"),
        "\"required\"" | "\"any\"" => return config("ANY"),
        _ => {}
    }
    let object: Fields<'a> = part(choice, "tool_choice", "auto, none, required or a function to call")?;
    let (names, mode) = match object.get("type").map(RawValue::get) {
        Some("\"function\"") | None => (vec![function_name(&object, "tool_choice")?], "ANY"),
        Some("\"allowed_tools\"") => {
            let place = "tool_choice.allowed_tools";
            let inner =
                object.get("allowed_tools").ok_or_else(|| invalid(&format!("`{place}` is missing")))?;
            let inner: Fields<'a> = part(inner, place, "an object")?;
            let tools: Vec<Fields<'a>> = match inner.get("tools") {
                Some(tools) => part(tools, &format!("{place}.tools"), "a list of objects")?,
                None => return Err(invalid(&format!("`{place}.tools` is missing"))),
            };
            let names = tools.iter().map(|tool| function_name(tool, &format!("{place}.tools")));
            // `VALIDATED` is a choice among the allowed functions or none of them.
            let is_required = inner.get("mode").is_some_and(|mode| mode.get() == "\"required\"");
            (names.collect::<Result<_, _>>()?, if is_required { "ANY" } else { "VALIDATED" })
        }
        Some(kind) => return Err(GEMINI.unsupported(&format!("`tool_choice` of type {kind}"))),
    };
    Ok(Some(json!({"functionCallingConfig": {"mode": mode, "allowedFunctionNames": names}}).into()))
}

fn function_name<'a>(object: &Fields<'a>, place: &str) -> Result<Cow<'a, str>, ProviderError> {
    let function =
        object.get("function").ok_or_else(|| invalid(&format!("`{place}.function` is missing")))?;
    let function: Fields<'a> = part(function, &format!("{place}.function"), "an object")?;
    let name = function.get("name").and_then(raw_json::text);
    name.ok_or_else(|| invalid(&format!("`{place}.function.name` is missing")))
}
