//! Tools, and which of them to call.
//!
//! Function tools become Anthropic's; a tool that is Anthropic's already passes through. `strict` is dropped: at Anthropic it
//! is an opt-in of its own, and without it tools work as well, only unchecked.

use router_core::ProviderError;
use serde_json::json;
use serde_json::value::RawValue;

use super::unsupported;
use crate::anthropic::wire::{Member, Object};
use crate::canonical_request::{invalid, part};
use crate::raw_json::{self, Fields};

/// The tools of a request.
#[derive(Debug, Default)]
pub(super) struct Tools<'a> {
    pub(super) list: Option<Vec<Member<'a>>>,
    pub(super) choice: Option<Member<'a>>,
    /// The model has to call a tool.
    pub(super) is_forced: bool,
}

pub(super) fn convert<'a>(fields: &Fields<'a>) -> Result<Tools<'a>, ProviderError> {
    let Some(list) = fields.get("tools").filter(|tools| raw_json::is_filled(tools)) else {
        return Ok(Tools::default()); // a choice among no tools says nothing
    };
    let list: Vec<&'a RawValue> = part(list, "tools", "a list")?;
    let list = list
        .into_iter()
        .enumerate()
        .map(|(index, tool)| convert_tool(tool, &format!("tools[{index}]")))
        .collect::<Result<Vec<_>, _>>()?;
    let is_serial = fields.get("parallel_tool_calls").is_some_and(|value| value.get() == "false");
    let (choice, is_forced) = choice(fields.get("tool_choice"), is_serial)?;
    Ok(Tools { list: Some(list), choice, is_forced })
}

fn convert_tool<'a>(tool: &'a RawValue, place: &str) -> Result<Member<'a>, ProviderError> {
    let outer: Fields<'a> = part(tool, place, "an object")?;
    let kind = outer.get("type").map(RawValue::get);
    let function = match (kind, outer.get("function")) {
        // Mistral's clients leave out the type.
        (Some("\"function\"") | None, Some(function)) => function,
        (Some("\"function\""), None) => return Err(invalid(&format!("`{place}.function` is missing"))),
        (Some("\"custom\""), _) if outer.get("custom").is_some() => {
            return Err(unsupported(&format!("`{place}` of type \"custom\"")));
        }
        _ => return Ok(Member::Raw(tool)),
    };
    let function: Fields<'a> = part(function, &format!("{place}.function"), "an object")?;
    let name = function.get("name").ok_or_else(|| invalid(&format!("`{place}.function.name` is missing")))?;
    let mut converted = Object::default();
    converted.set("name", name);
    if let Some(description) = function.get("description") {
        converted.set("description", description);
    }
    converted.set("input_schema", schema(function.get("parameters"), place)?);
    for name in ["cache_control", "defer_loading"] {
        if let Some(value) = outer.get(name).or_else(|| function.get(name)) {
            converted.set(name, value);
        }
    }
    Ok(converted.into())
}

/// Anthropic demands a schema, and that it is of an object.
fn schema<'a>(parameters: Option<&'a RawValue>, place: &str) -> Result<Member<'a>, ProviderError> {
    let Some(parameters) = parameters.filter(|parameters| raw_json::is_filled(parameters)) else {
        return Ok(json!({"type": "object", "properties": {}}).into());
    };
    let fields: Fields<'a> = part(parameters, &format!("{place}.function.parameters"), "a JSON schema")?;
    if fields.get("type").is_some() {
        return Ok(parameters.into());
    }
    let mut schema = Object::default();
    schema.set("type", json!("object"));
    for (name, value) in fields.0 {
        schema.set(name, value);
    }
    Ok(schema.into())
}

fn choice<'a>(
    choice: Option<&'a RawValue>,
    is_serial: bool,
) -> Result<(Option<Member<'a>>, bool), ProviderError> {
    let made = |kind: &str, is_forced| {
        let mut made = Object::default();
        made.set("type", json!(kind));
        if is_serial && kind != "none" {
            made.set("disable_parallel_tool_use", json!(true));
        }
        Ok((Some(made.into()), is_forced))
    };
    let Some(choice) = choice else {
        return if is_serial { made("auto", false) } else { Ok((None, false)) };
    };
    match choice.get() {
        "\"auto\"" => return made("auto", false),
        "\"none\"" => return made("none", false),
        "\"required\"" | "\"any\"" => return made("any", true),
        _ => {}
    }
    let object: Fields<'a> = part(choice, "tool_choice", "auto, none, required or a function to call")?;
    match object.get("type").map(RawValue::get) {
        // Hugging Face's clients leave out the type.
        Some("\"function\"") | None => {
            let function =
                object.get("function").ok_or_else(|| invalid("`tool_choice.function` is missing"))?;
            let function: Fields<'a> = part(function, "tool_choice.function", "an object")?;
            let name =
                function.get("name").ok_or_else(|| invalid("`tool_choice.function.name` is missing"))?;
            let mut named = Object::default();
            named.set("type", json!("tool"));
            named.set("name", name);
            if is_serial {
                named.set("disable_parallel_tool_use", json!(true));
            }
            Ok((Some(named.into()), true))
        }
        // Anthropic's own words.
        Some(kind @ ("\"auto\"" | "\"any\"" | "\"tool\"" | "\"none\"")) => {
            let mut native = Object::default();
            for (name, value) in object.0 {
                native.set(name, value);
            }
            if is_serial && kind != "\"none\"" {
                native.set("disable_parallel_tool_use", json!(true));
            }
            Ok((Some(native.into()), matches!(kind, "\"any\"" | "\"tool\"")))
        }
        Some(kind) => Err(unsupported(&format!("`tool_choice` of type {kind}"))),
    }
}
