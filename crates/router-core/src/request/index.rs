//! One pass over a request body: where each top-level field lies, and the few values that routing needs.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use bytes::Bytes;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use smallvec::SmallVec;

use super::{ChatRequest, RequestError};

/// More top-level fields than this no caller needs; looking for duplicates stays cheap below it.
const MAX_FIELDS: usize = 256;

/// Where the name and the value of a top-level field lie in the body.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field {
    name: (u32, u32),
    value: (u32, u32),
}

impl Field {
    pub(super) fn name(&self) -> Range<usize> {
        self.name.0 as usize..self.name.1 as usize
    }

    pub(super) fn value(&self) -> Range<usize> {
        self.value.0 as usize..self.value.1 as usize
    }
}

pub(super) fn read(body: Bytes) -> Result<ChatRequest, RequestError> {
    if u32::try_from(body.len()).is_err() {
        return Err(RequestError::TooLarge { what: "its length in bytes", limit: u32::MAX as usize });
    }
    let object: Object<'_> = match serde_json::from_slice(&body) {
        Ok(object) => object,
        Err(error) => return Err(not_an_object(&body, &error)),
    };
    if object.fields.iter().any(|(name, _)| matches!(name, Cow::Owned(_))) {
        // A name was written with escapes. Nobody does that by hand; write the names plainly once and index that.
        return read(object.rewritten()?);
    }
    if object.fields.len() > MAX_FIELDS {
        return Err(RequestError::TooLarge { what: "its number of top-level fields", limit: MAX_FIELDS });
    }
    for (n, (name, _)) in object.fields.iter().enumerate() {
        if object.fields.iter().skip(n + 1).any(|(other, _)| other == name) {
            return Err(RequestError::Duplicate { field: name.clone().into_owned() });
        }
    }

    let model: String = match object.get("model") {
        None => {
            return Err(RequestError::Missing { field: "model", expected: "a string" });
        }
        Some(value) => parse("model", "a string", value)?,
    };
    if model.trim().is_empty() {
        return Err(RequestError::Wrong {
            field: "model",
            expected: "the name of a model",
            found: "a blank string",
        });
    }
    match object.get("messages") {
        None => {
            return Err(RequestError::Missing { field: "messages", expected: "an array" });
        }
        Some(value) if !value.starts_with('[') => {
            return Err(RequestError::Wrong {
                field: "messages",
                expected: "an array",
                found: kind_of(value),
            });
        }
        Some(_) => {}
    }
    let stream: Option<bool> =
        object.get("stream").map(|value| parse("stream", "a boolean", value)).transpose()?.flatten();
    let options: Option<StreamOptions> =
        object.get("stream_options").map(stream_options).transpose()?.flatten();
    let fields = object
        .fields
        .iter()
        .map(|(name, value)| Field { name: span(&body, name), value: span(&body, value.get()) })
        .collect();
    drop(object);
    let include_usage = options.is_some_and(|options| options.include_usage == Some(true));
    let (model, stream) = (model.into_boxed_str(), stream.unwrap_or(false));
    Ok(ChatRequest { fields, model, stream, include_usage, body })
}

#[derive(Deserialize)]
struct StreamOptions {
    include_usage: Option<bool>,
}

fn stream_options(value: &str) -> Result<Option<StreamOptions>, RequestError> {
    if value.starts_with(['{', 'n']) {
        parse("stream_options", "an object whose `include_usage` is a boolean", value)
    } else {
        Err(RequestError::Wrong { field: "stream_options", expected: "an object", found: kind_of(value) })
    }
}

pub(super) fn parse<'a, T: Deserialize<'a>>(
    field: &'static str,
    expected: &'static str,
    value: &'a str,
) -> Result<T, RequestError> {
    serde_json::from_str(value).map_err(|_| RequestError::Wrong { field, expected, found: kind_of(value) })
}

/// Where `part`, which was borrowed from `body`, lies in it. Bodies are shorter than 4 GiB, as `read` has checked.
#[expect(clippy::cast_possible_truncation, reason = "offsets within a body of less than 4 GiB")]
fn span(body: &[u8], part: &str) -> (u32, u32) {
    let start = part.as_ptr().addr() - body.as_ptr().addr();
    (start as u32, (start + part.len()) as u32)
}

fn kind_of(value: &str) -> &'static str {
    match value.as_bytes().first() {
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b'"') => "a string",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "a number",
    }
}

fn not_an_object(body: &[u8], error: &serde_json::Error) -> RequestError {
    if let Ok(other) = serde_json::from_slice::<&RawValue>(body)
        && !other.get().starts_with('{')
    {
        return RequestError::Wrong { field: "body", expected: "a JSON object", found: kind_of(other.get()) };
    }
    let (line, column) = (error.line(), error.column());
    let message = error.to_string();
    let message = message.rsplit_once(" at line ").map_or(message.as_str(), |(head, _)| head).to_owned();
    RequestError::Syntax { message, line, column }
}

/// The top-level fields of a JSON object, borrowed from its text.
struct Object<'a> {
    fields: SmallVec<[(Cow<'a, str>, &'a RawValue); 16]>,
}

impl<'a> Object<'a> {
    fn get(&self, name: &str) -> Option<&'a str> {
        self.fields.iter().find(|(other, _)| other == name).map(|(_, value)| value.get())
    }

    fn rewritten(&self) -> Result<Bytes, RequestError> {
        let mut out = String::from("{");
        for (n, (name, value)) in self.fields.iter().enumerate() {
            if name.contains(|c: char| c.is_control() || matches!(c, '"' | '\\')) {
                return Err(RequestError::Wrong {
                    field: "body",
                    expected: "plain field names",
                    found: "a name with quotes, backslashes or control characters",
                });
            }
            let comma = if n == 0 { "" } else { "," };
            out.extend([comma, "\"", name, "\":", value.get()]);
        }
        out.push('}');
        Ok(out.into())
    }
}

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;

        impl<'de> Visitor<'de> for Fields {
            type Value = Object<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = SmallVec::new();
                while let Some(Name(name)) = map.next_key()? {
                    fields.push((name, map.next_value()?));
                }
                Ok(Object { fields })
            }
        }

        deserializer.deserialize_map(Fields)
    }
}

/// A field name, borrowed where it holds no escapes. (`Cow` by itself always copies.)
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);
