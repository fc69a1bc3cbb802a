//! JSON that is being written: an ordered tree, whose leaves may be pieces of the caller's bytes.

use std::borrow::Cow;

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

/// A value of the tree.
#[derive(Debug, serde::Serialize)]
#[serde(untagged)]
pub(crate) enum Node<'a> {
    /// As the caller wrote it.
    Raw(&'a RawValue),
    /// JSON that the caller wrote inside a string.
    Unwrapped(Box<RawValue>),
    Made(Value),
    Text(Cow<'a, str>),
    Object(Object<'a>),
    List(Vec<Self>),
}

/// An object, its members in order: the order of a schema's properties is the order in which a model answers.
#[derive(Debug, Default)]
pub(crate) struct Object<'a>(Vec<(Cow<'a, str>, Node<'a>)>);

impl<'a> Object<'a> {
    /// Returns an object with one member.
    pub(crate) fn of(name: &'static str, value: impl Into<Node<'a>>) -> Self {
        Self::default().with(name, value)
    }

    /// Returns the object with a further member.
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<Node<'a>>) -> Self {
        self.set(name, value);
        self
    }

    /// Sets a member, which replaces one of the same name.
    pub(crate) fn set(&mut self, name: impl Into<Cow<'a, str>>, value: impl Into<Node<'a>>) {
        let (name, value) = (name.into(), value.into());
        match self.0.iter_mut().find(|(other, _)| *other == name) {
            Some((_, old)) => *old = value,
            None => self.0.push((name, value)),
        }
    }

    /// Sets a member when there is something to set.
    pub(crate) fn set_some(&mut self, name: &'static str, value: Option<impl Into<Node<'a>>>) {
        if let Some(value) = value {
            self.set(name, value);
        }
    }

    /// Sets a member that is an object or a list, unless it is empty.
    pub(crate) fn set_filled(&mut self, name: &'static str, value: impl Into<Node<'a>>) {
        let value = value.into();
        let is_empty = match &value {
            Node::Object(object) => object.0.is_empty(),
            Node::List(list) => list.is_empty(),
            Node::Raw(_) | Node::Unwrapped(_) | Node::Made(_) | Node::Text(_) => false,
        };
        if !is_empty {
            self.set(name, value);
        }
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(other, _)| other == name)
    }

    #[cfg(feature = "bedrock")]
    pub(crate) fn remove(&mut self, name: &str) {
        self.0.retain(|(other, _)| other != name);
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

impl<'a> From<Cow<'a, RawValue>> for Node<'a> {
    fn from(value: Cow<'a, RawValue>) -> Self {
        match value {
            Cow::Borrowed(value) => Self::Raw(value),
            Cow::Owned(value) => Self::Unwrapped(value),
        }
    }
}

impl From<Value> for Node<'_> {
    fn from(value: Value) -> Self {
        Self::Made(value)
    }
}

impl<'a> From<Cow<'a, str>> for Node<'a> {
    fn from(text: Cow<'a, str>) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<&'a str> for Node<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text.into())
    }
}

impl<'a> From<Object<'a>> for Node<'a> {
    fn from(object: Object<'a>) -> Self {
        Self::Object(object)
    }
}

impl<'a> From<Vec<Self>> for Node<'a> {
    fn from(list: Vec<Self>) -> Self {
        Self::List(list)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn members_keep_their_order_and_the_callers_bytes() {
        let raw: &RawValue = serde_json::from_str(r#"{"z": 1, "a":  2}"#).unwrap();
        let mut object = Object::of("zebra", raw).with("apple", "x").with("zebra", raw);
        object.set_filled("none", Object::default());
        object.set_filled("none", Vec::new());
        object.set_some("one", Some(json!(1)));
        object.set_some("none", None::<Value>);
        let expected = r#"{"zebra":{"z": 1, "a":  2},"apple":"x","one":1}"#;
        assert_eq!(serde_json::to_string(&object).unwrap(), expected);
    }
}
