//! A price table as text: one model a line, sorted by name, found by halving and parsed one line at a time. So the built-in table
//! costs neither memory nor time until a model is looked up, and then touches a dozen pages of the executable.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::PricesError;

/// The text of a table.
#[derive(Clone)]
pub(super) struct Table(Cow<'static, str>);

const HEAD: &str = "\"models\": {\n";

impl Table {
    /// Takes a text that is a table, one model a line.
    pub(super) const fn built_in(text: &'static str) -> Self {
        Self(Cow::Borrowed(text))
    }

    /// Makes a table of JSON: of a table's text, or of LiteLLM's `model_prices_and_context_window.json`.
    pub(super) fn from_json(json: &str) -> Result<Self, PricesError> {
        let wrong = |error: serde_json::Error| PricesError::Json(error.to_string());
        let mut entries: Vec<(String, &RawValue)> = fields(json).map_err(wrong)?;
        let nested = entries.iter().find(|(name, _)| name == "models").map(|(_, models)| *models);
        if let Some(models) = nested {
            entries = fields(models.get()).map_err(wrong)?;
        }
        // LiteLLM's file explains its fields in an entry of its own.
        let models: BTreeMap<String, &RawValue> = entries
            .into_iter()
            .filter(|(name, entry)| {
                name != "sample_spec" && !name.starts_with('_') && entry.get().starts_with('{')
            })
            .collect();
        if models.is_empty() {
            return Err(PricesError::Empty);
        }
        let mut text = format!("{{\n{HEAD}");
        let mut lines = models.iter().peekable();
        while let Some((name, entry)) = lines.next() {
            let compact: serde_json::Map<String, serde_json::Value> =
                serde_json::from_str(entry.get()).map_err(wrong)?;
            // Amounts keep the digits they are written with; what this crate does not read is left out.
            let raw: Vec<(String, &RawValue)> = fields(entry.get()).map_err(wrong)?;
            let kept = raw.iter().filter(|(field, _)| is_read(field)).map(|(field, value)| {
                let field = if field == "litellm_provider" { "provider" } else { field };
                let value = match compact.get(field) {
                    Some(value) if !value.is_number() => value.to_string(),
                    _ => value.get().to_owned(),
                };
                format!("\"{field}\":{value}")
            });
            let kept: Vec<String> = kept.collect();
            let name = serde_json::Value::from(name.as_str());
            let comma = if lines.peek().is_some() { "," } else { "" };
            text.push_str(&format!("{name}: {{{}}}{comma}\n", kept.join(",")));
        }
        text.push_str("}\n}\n");
        Ok(Self(Cow::Owned(text)))
    }

    /// Returns the text.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the JSON of a model's entry.
    pub(super) fn entry(&self, model: &str) -> Option<&str> {
        let mut rest = self.lines();
        // Every turn of the loop leaves less: a line is taken out of the middle, with one of the halves.
        while !rest.is_empty() {
            let middle = rest.as_bytes().get(..rest.len() / 2)?.iter().rposition(|byte| *byte == b'\n');
            let start = middle.map_or(0, |newline| newline + 1);
            let line = rest.get(start..)?.split('\n').next()?;
            match split(line).map_or(Ordering::Greater, |(name, _)| name.cmp(model)) {
                Ordering::Equal => return split(line).map(|(_, entry)| entry),
                Ordering::Less => rest = rest.get(start + line.len() + 1..).unwrap_or_default(),
                Ordering::Greater => rest = rest.get(..start)?,
            }
        }
        None
    }

    /// Returns every model with the JSON of its entry, by name.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&str, &str)> {
        self.lines().lines().filter_map(split)
    }

    fn lines(&self) -> &str {
        let start = self.0.find(HEAD).map_or(0, |at| at + HEAD.len());
        let lines = self.0.get(start..).unwrap_or_default();
        lines.rfind("\n}").map_or(lines, |end| lines.get(..=end).unwrap_or_default())
    }
}

/// Takes a line `"name": {entry},` apart.
fn split(line: &str) -> Option<(&str, &str)> {
    let (name, entry) = line.strip_prefix('"')?.split_once("\": ")?;
    Some((name, entry.strip_suffix(',').unwrap_or(entry)))
}

fn is_read(field: &str) -> bool {
    super::RateCard::is_price(field)
        || matches!(
            field,
            "litellm_provider"
                | "provider"
                | "max_input_tokens"
                | "max_output_tokens"
                | "supports_function_calling"
                | "supports_vision"
                | "supports_response_schema"
                | "supports_reasoning"
                | "supports_assistant_prefill"
                | "off_peak_pricing"
                | "tiered_pricing"
        )
}

/// Reads the fields of a JSON object, in order, each value still text.
pub(super) fn fields(json: &str) -> serde_json::Result<Vec<(String, &RawValue)>> {
    struct Fields;

    impl<'de> Visitor<'de> for Fields {
        type Value = Vec<(String, &'de RawValue)>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut fields = Vec::new();
            while let Some(field) = map.next_entry()? {
                fields.push(field);
            }
            Ok(fields)
        }
    }

    let mut deserializer = serde_json::Deserializer::from_str(json);
    let fields = deserializer.deserialize_map(Fields)?;
    deserializer.end()?;
    Ok(fields)
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table").field("bytes", &self.0.len()).finish()
    }
}
