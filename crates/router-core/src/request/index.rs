//! One pass over a request body: where each top-level field lies.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use smallvec::SmallVec;

use super::{Edit, RequestError};

/// More top-level fields than this no caller needs; looking for duplicates stays cheap below it.
const MAX_FIELDS: usize = 256;

/// A JSON object as it came, and where its fields lie: it is read once, its values are neither parsed nor copied.
#[derive(Clone)]
pub struct JsonObject {
    body: Bytes,
    fields: SmallVec<[Field; 12]>,
}

/// Where the name and the value of a top-level field lie in the body.
#[derive(Debug, Clone, Copy)]
struct Field {
    name: (u32, u32),
    value: (u32, u32),
}

impl JsonObject {
    /// Reads a body, which has to be a JSON object without duplicate fields.
    ///
    /// # Errors
    /// [`RequestError`] says where it is not.
    pub fn read(body: impl Into<Bytes>) -> Result<Self, RequestError> {
        let body = body.into();
        if u32::try_from(body.len()).is_err() {
            return Err(RequestError::TooLarge { what: "its length in bytes", limit: u32::MAX as usize });
        }
        let object: Object<'_> = match serde_json::from_slice(&body) {
            Ok(object) => object,
            Err(error) => return Err(not_an_object(&body, &error)),
        };
        if object.fields.iter().any(|(name, _)| matches!(name, Cow::Owned(_))) {
            // A name was written with escapes. Nobody does that by hand; write the names plainly once and index that.
            return Self::read(object.rewritten()?);
        }
        if object.fields.len() > MAX_FIELDS {
            return Err(RequestError::TooLarge { what: "its number of top-level fields", limit: MAX_FIELDS });
        }
        for (n, (name, _)) in object.fields.iter().enumerate() {
            if object.fields.iter().skip(n + 1).any(|(other, _)| other == name) {
                return Err(RequestError::Duplicate { field: name.clone().into_owned() });
            }
        }
        let fields = object
            .fields
            .iter()
            .map(|(name, value)| Field { name: span(&body, name), value: span(&body, value.get()) })
            .collect();
        drop(object);
        Ok(Self { body, fields })
    }

    /// Returns the body as it came.
    pub const fn body(&self) -> &Bytes {
        &self.body
    }

    /// Returns the JSON text of a field.
    pub fn field(&self, name: &str) -> Option<&str> {
        let field = self.fields.iter().find(|field| self.text(field.name) == name)?;
        Some(self.text(field.value))
    }

    /// Returns the names of the fields and their JSON texts, in their order.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields.iter().map(|field| (self.text(field.name), self.text(field.value)))
    }

    /// Reads a field; `None` when it is not there or null.
    ///
    /// # Errors
    /// [`RequestError::Wrong`] when it is not what was `expected`.
    pub fn get<'a, T: Deserialize<'a>>(
        &'a self,
        field: &'static str,
        expected: &'static str,
    ) -> Result<Option<T>, RequestError> {
        let value = self.field(field).filter(|value| *value != "null");
        value.map(|value| parse(field, expected, value)).transpose()
    }

    /// Reads the model, which every request names.
    pub(crate) fn model(&self) -> Result<Box<str>, RequestError> {
        let Some(value) = self.field("model") else {
            return Err(RequestError::Missing { field: "model", expected: "a string" });
        };
        let model: Box<str> = parse("model", "a string", value)?;
        if model.trim().is_empty() {
            return Err(RequestError::Wrong {
                field: "model",
                expected: "the name of a model",
                found: "a blank string",
            });
        }
        Ok(model)
    }

    /// Returns the body with some fields changed. Everything else is copied as it stands; one allocation.
    pub fn with(&self, edits: &[(&str, Edit<'_>)]) -> Bytes {
        let grown: usize = edits
            .iter()
            .map(|(name, edit)| match edit {
                Edit::Set(value) => name.len() + value.len() + 4,
                Edit::Remove => 0,
            })
            .sum();
        let mut out = Vec::with_capacity(self.body.len() + grown);
        let mut separator: &[u8] = b"{";
        let mut push = |name: &str, value: &str| {
            out.extend_from_slice(separator);
            out.push(b'"');
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b"\":");
            out.extend_from_slice(value.as_bytes());
            separator = b",";
        };
        for field in &self.fields {
            let name = self.text(field.name);
            match edits.iter().find(|(edited, _)| *edited == name) {
                Some((_, Edit::Set(value))) => push(name, value),
                Some((_, Edit::Remove)) => {}
                None => push(name, self.text(field.value)),
            }
        }
        for (name, edit) in edits {
            if let (Edit::Set(value), None) = (edit, self.field(name)) {
                push(name, value);
            }
        }
        if out.is_empty() {
            out.push(b'{');
        }
        out.push(b'}');
        out.into()
    }

    fn text(&self, (start, end): (u32, u32)) -> &str {
        // The index was made from this body, so neither default is ever taken.
        let bytes = self.body.get(start as usize..end as usize);
        bytes.and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default()
    }
}

impl fmt::Debug for JsonObject {
    /// Shows the names of the fields and the size, never what stands in them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.fields().map(|(name, _)| name).collect();
        f.debug_struct("JsonObject").field("fields", &names).field("bytes", &self.body.len()).finish()
    }
}

pub(crate) fn parse<'a, T: Deserialize<'a>>(
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

/// Says in words what a JSON text is.
pub(crate) fn kind_of(value: &str) -> &'static str {
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

impl Object<'_> {
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
