//! JSON read piece by piece and written in order. What is only moved stays the text it came as: the order of a schema's properties is
//! the order in which a model answers.

use std::borrow::Cow;

use serde::de::Deserialize;
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

use super::ApiError;

/// An object, its members in order.
#[derive(Debug, Default)]
pub(super) struct Object<'a>(Vec<(&'static str, Node<'a>)>);

/// A value.
#[derive(Debug, serde::Serialize)]
#[serde(untagged)]
pub(super) enum Node<'a> {
    Raw(&'a RawValue),
    Text(Cow<'a, str>),
    Made(Value),
    Object(Object<'a>),
    List(Vec<Self>),
}

impl<'a> Object<'a> {
    /// An object that says its type first.
    pub(super) fn typed(kind: &'static str) -> Self {
        Self::default().with("type", kind)
    }

    pub(super) fn with(mut self, name: &'static str, value: impl Into<Node<'a>>) -> Self {
        self.set(name, value);
        self
    }

    /// Adds a member, unless there is none.
    pub(super) fn with_some(mut self, name: &'static str, value: Option<impl Into<Node<'a>>>) -> Self {
        self.set_some(name, value);
        self
    }

    pub(super) fn set(&mut self, name: &'static str, value: impl Into<Node<'a>>) {
        self.0.push((name, value.into()));
    }

    pub(super) fn set_some(&mut self, name: &'static str, value: Option<impl Into<Node<'a>>>) {
        if let Some(value) = value {
            self.set(name, value);
        }
    }

    /// Adds the members of another object.
    pub(super) fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    pub(super) fn to_json(&self) -> String {
        // Writing into memory fails for maps with odd keys only, of which there are none.
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl Serialize for Object<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl<'a> From<&'a RawValue> for Node<'a> {
    fn from(value: &'a RawValue) -> Self {
        Self::Raw(value)
    }
}

impl<'a> From<&'a str> for Node<'a> {
    fn from(value: &'a str) -> Self {
        Self::Text(value.into())
    }
}

impl From<String> for Node<'_> {
    fn from(value: String) -> Self {
        Self::Text(value.into())
    }
}

impl<'a> From<Cow<'a, str>> for Node<'a> {
    fn from(value: Cow<'a, str>) -> Self {
        Self::Text(value)
    }
}

impl From<Value> for Node<'_> {
    fn from(value: Value) -> Self {
        Self::Made(value)
    }
}

impl From<bool> for Node<'_> {
    fn from(value: bool) -> Self {
        Self::Made(value.into())
    }
}

impl From<u64> for Node<'_> {
    fn from(value: u64) -> Self {
        Self::Made(value.into())
    }
}

impl From<usize> for Node<'_> {
    fn from(value: usize) -> Self {
        Self::Made(value.into())
    }
}

impl<'a> From<Object<'a>> for Node<'a> {
    fn from(value: Object<'a>) -> Self {
        Self::Object(value)
    }
}

impl<'a, T: Into<Self>> From<Vec<T>> for Node<'a> {
    fn from(values: Vec<T>) -> Self {
        Self::List(values.into_iter().map(Into::into).collect())
    }
}

/// Parses a part of a request; an error names its place.
pub(super) fn part<'a, T: Deserialize<'a>>(
    value: &'a RawValue,
    place: &str,
    expected: &str,
) -> Result<T, ApiError> {
    serde_json::from_str(value.get()).map_err(|_| ApiError::wrong(place, expected))
}

/// Takes a member that has to be there.
pub(super) fn needed<T>(value: Option<T>, place: &str, name: &str) -> Result<T, ApiError> {
    value.ok_or_else(|| ApiError::missing(&format!("{place}.{name}")))
}

/// Returns the text that a JSON string stands for; `None` for what is no string.
pub(super) fn text(value: &RawValue) -> Option<Cow<'_, str>> {
    let json = value.get();
    let inner = json.strip_prefix('"')?.strip_suffix('"')?;
    // Without escapes, it is what it says.
    if inner.contains('\\') { serde_json::from_str(json).ok().map(Cow::Owned) } else { Some(inner.into()) }
}
