//! The parts of Anthropic's request, borrowing from the caller's bytes wherever nothing changes.

use std::borrow::Cow;

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

/// An object, its members in order: the order of a schema's properties is the order in which a model answers.
#[derive(Debug, Default)]
pub(super) struct Object<'a>(Vec<(Cow<'a, str>, Member<'a>)>);

/// The value of a member.
#[derive(Debug, serde::Serialize)]
#[serde(untagged)]
pub(super) enum Member<'a> {
    Raw(&'a RawValue),
    Made(Value),
    Object(Object<'a>),
    Objects(Vec<Self>),
    Blocks(Vec<Block<'a>>),
    Turns(Vec<Turn<'a>>),
}

impl<'a> Object<'a> {
    pub(super) fn set(&mut self, name: impl Into<Cow<'a, str>>, value: impl Into<Member<'a>>) {
        let (name, value) = (name.into(), value.into());
        match self.0.iter_mut().find(|(other, _)| *other == name) {
            Some((_, old)) => *old = value,
            None => self.0.push((name, value)),
        }
    }

    pub(super) fn remove(&mut self, name: &str) {
        self.0.retain(|(other, _)| other != name);
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(other, _)| other == name)
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
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

impl<'a> From<&'a RawValue> for Member<'a> {
    fn from(value: &'a RawValue) -> Self {
        Self::Raw(value)
    }
}

impl From<Value> for Member<'_> {
    fn from(value: Value) -> Self {
        Self::Made(value)
    }
}

impl<'a> From<Object<'a>> for Member<'a> {
    fn from(value: Object<'a>) -> Self {
        Self::Object(value)
    }
}

/// A message, or several of the same role joined.
#[derive(Debug, serde::Serialize)]
pub(super) struct Turn<'a> {
    pub(super) role: Role,
    pub(super) content: Vec<Block<'a>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Role {
    User,
    Assistant,
}

/// A block of content.
#[derive(Debug, serde::Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Block<'a> {
    Text {
        text: Cow<'a, RawValue>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<&'a RawValue>,
    },
    Image {
        source: Source<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<&'a RawValue>,
    },
    Document {
        source: Source<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        title: Option<Cow<'a, str>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<&'a RawValue>,
    },
    ToolUse {
        id: Cow<'a, str>,
        name: Cow<'a, str>,
        input: Cow<'a, RawValue>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<&'a RawValue>,
    },
    ToolResult {
        tool_use_id: Cow<'a, str>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        content: Vec<Self>,
        #[serde(skip_serializing_if = "Option::is_none")]
        is_error: Option<bool>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<&'a RawValue>,
    },
    /// Signed reasoning, given back as it came.
    #[serde(untagged)]
    Thinking(&'a RawValue),
    /// A block that is Anthropic's already.
    #[serde(untagged)]
    Native(&'a RawValue),
}

/// Where an image or a document comes from.
#[derive(Debug, serde::Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Source<'a> {
    Base64 { media_type: Cow<'a, str>, data: Cow<'a, str> },
    Url { url: Cow<'a, str> },
}

impl<'a> Block<'a> {
    /// Marks the block as the end of a prefix to be cached, unless it is marked already.
    pub(super) fn mark(&mut self, mark: &'a RawValue) {
        match self {
            Self::Text { cache_control, .. }
            | Self::Image { cache_control, .. }
            | Self::Document { cache_control, .. }
            | Self::ToolUse { cache_control, .. }
            | Self::ToolResult { cache_control, .. } => {
                cache_control.get_or_insert(mark);
            }
            Self::Thinking(_) | Self::Native(_) => {}
        }
    }
}
