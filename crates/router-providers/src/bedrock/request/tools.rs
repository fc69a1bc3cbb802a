//! Tools, and which of them to call.
//!
//! Function tools become `toolSpec`s; a tool that is Converse's already (`{"systemTool": …}`) passes through. There is no word
//! for calling none: the tools are left out. But a conversation in which tools were called cannot be without: where it brings
//! none along, those that were called are named again, with a word that they are gone.

use std::borrow::Cow;

use router_core::ProviderError;
use serde_json::json;
use serde_json::value::RawValue;

use super::{BEDROCK, messages};
use crate::bedrock::model::{Family, family, takes_schema};
use crate::canonical_request::{invalid, part};
use crate::json_tree::{Node, Object};
use crate::raw_json::{self, Fields};

/// The tools of a request.
#[derive(Debug, Default)]
pub(super) struct Tools<'a> {
    pub(super) config: Option<Node<'a>>,
    /// The model has to call a tool.
    pub(super) is_forced: bool,
    /// The model may call one tool at a time only.
    pub(super) is_serial: bool,
}

pub(super) fn convert<'a>(
    fields: &Fields<'a>,
    called: &[Cow<'a, str>],
    model_id: &str,
) -> Result<Tools<'a>, ProviderError> {
    let list: Vec<&'a RawValue> = match fields.get("tools") {
        Some(list) => part(list, "tools", "a list")?,
        None => Vec::new(),
    };
    let choice = fields.get("tool_choice");
    let is_none = choice.is_some_and(|choice| choice.get() == "\"none\"");
    if list.is_empty() || is_none {
        if is_none && !list.is_empty() && !called.is_empty() {
            let what = "`tool_choice` \"none\" after calls of tools";
            return Err(BEDROCK.unsupported(what));
        }
        return Ok(Tools { config: gone(called), ..Tools::default() });
    }
    let mut specs = Vec::with_capacity(list.len());
    for (index, tool) in list.into_iter().enumerate() {
        convert_tool(tool, &format!("tools[{index}]"), takes_schema(model_id), &mut specs)?;
    }
    let is_serial = fields.get("parallel_tool_calls").is_some_and(|value| value.get() == "false");
    if is_serial && family(model_id) != Family::Claude {
        let what = "`parallel_tool_calls` of false, by this model,";
        return Err(BEDROCK.unsupported(what));
    }
    let mut config = Object::of("tools", specs);
    let (choice, is_forced) = convert_choice(choice)?;
    config.set_some("toolChoice", choice);
    Ok(Tools { config: Some(config.into()), is_forced, is_serial })
}

/// Returns stand-ins for the tools that a conversation called and that are not there any more.
fn gone<'a>(called: &[Cow<'a, str>]) -> Option<Node<'a>> {
    let mut names: Vec<&Cow<'a, str>> = Vec::new();
    for name in called {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let specs: Vec<Node<'a>> = names
        .into_iter()
        .map(|name| {
            let spec = Object::of("name", name.clone())
                .with("description", "No longer available. Do not call it.")
                .with("inputSchema", json!({"json": {"type": "object", "properties": {}}}));
            Object::of("toolSpec", spec).into()
        })
        .collect();
    (!specs.is_empty()).then(|| Object::of("tools", specs).into())
}

fn convert_tool<'a>(
    tool: &'a RawValue,
    place: &str,
    takes_strict: bool,
    specs: &mut Vec<Node<'a>>,
) -> Result<(), ProviderError> {
    let outer: Fields<'a> = part(tool, place, "an object")?;
    let function = match (outer.get("type").map(RawValue::get), outer.get("function")) {
        (Some("\"function\"") | None, Some(function)) => function,
        (Some("\"function\""), None) => return Err(invalid(&format!("`{place}.function` is missing"))),
        // Converse's own have no type: each is an object with one member.
        (None, None) => {
            specs.push(tool.into());
            return Ok(());
        }
        (Some(kind), _) => return Err(BEDROCK.unsupported(&format!("`{place}` of type {kind}"))),
    };
    let function: Fields<'a> = part(function, &format!("{place}.function"), "an object")?;
    let name = function.get("name").ok_or_else(|| invalid(&format!("`{place}.function.name` is missing")))?;
    let mut spec = Object::of("name", name);
    // An empty one is refused.
    spec.set_some("description", function.get("description").filter(|text| raw_json::is_filled(text)));
    spec.set("inputSchema", Object::of("json", schema(function.get("parameters"), place)?));
    spec.set_some("strict", function.get("strict").filter(|strict| takes_strict && strict.get() == "true"));
    specs.push(Object::of("toolSpec", spec).into());
    if let Some(mark) = outer.get("cache_control").or_else(|| function.get("cache_control")) {
        specs.push(messages::cache_point(mark));
    }
    Ok(())
}

/// Converse demands a schema, and that it is of an object.
fn schema<'a>(parameters: Option<&'a RawValue>, place: &str) -> Result<Node<'a>, ProviderError> {
    let Some(parameters) = parameters.filter(|parameters| raw_json::is_filled(parameters)) else {
        return Ok(json!({"type": "object", "properties": {}}).into());
    };
    let fields: Fields<'a> = part(parameters, &format!("{place}.function.parameters"), "a JSON schema")?;
    if fields.get("type").is_some() {
        return Ok(parameters.into());
    }
    let mut schema = Object::of("type", "object");
    for (name, value) in fields.0 {
        schema.set(name, value);
    }
    Ok(schema.into())
}

fn convert_choice<'a>(choice: Option<&'a RawValue>) -> Result<(Option<Node<'a>>, bool), ProviderError> {
    let Some(choice) = choice else { return Ok((None, false)) };
    match choice.get() {
        "\"auto\"" => return Ok((Some(json!({"auto": {}}).into()), false)),
        "\"required\"" | "\"any\"" => return Ok((Some(json!({"any": {}}).into()), true)),
        _ => {}
    }
    let object: Fields<'a> = part(choice, "tool_choice", "auto, none, required or a function to call")?;
    match object.get("type").map(RawValue::get) {
        Some("\"function\"") | None => {}
        Some(kind) => return Err(BEDROCK.unsupported(&format!("`tool_choice` of type {kind}"))),
    }
    let function = object.get("function").ok_or_else(|| invalid("`tool_choice.function` is missing"))?;
    let function: Fields<'a> = part(function, "tool_choice.function", "an object")?;
    let name = function.get("name").ok_or_else(|| invalid("`tool_choice.function.name` is missing"))?;
    Ok((Some(Object::of("tool", Object::of("name", name)).into()), true))
}
