//! What of a request is read: the last user message, what went before it, and what it is about besides its words.

use std::borrow::Cow;
use std::fmt;

use router_core::ChatRequest;
use serde::Deserialize;
use serde::de::{Deserializer, SeqAccess, Visitor};
use serde_json::value::RawValue;
use smallvec::SmallVec;

/// Bytes of a text that are read: this many from its beginning ...
pub(crate) const HEAD: usize = 1_536;
/// ... and this many from its end, where long inputs put their question.
pub(crate) const TAIL: usize = 512;
/// The most an excerpt can be: both, and the line break between them.
pub(crate) const EXCERPT: usize = HEAD + TAIL + 1;

/// A query to classify, with its context.
#[derive(Debug, Clone, Default)]
pub struct Query<'a> {
    text: Excerpt<'a>,
    previous: Option<Excerpt<'a>>,
    system: Option<Excerpt<'a>>,
    metadata: Option<&'a str>,
    attachments: usize,
}

/// A query as it stands in a file, one JSON object a line: `{"text": ...}`. Other fields are not looked at.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct QueryLine {
    /// The query.
    pub text: String,
}

impl QueryLine {
    /// Reads a line.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn read(line: &str) -> Result<Self, String> {
        serde_json::from_str(line).map_err(|error| format!("expected {{\"text\": ...}}: {error}"))
    }

    /// Reads every line that is not blank.
    ///
    /// # Errors
    /// The first line that is none, in words.
    pub fn read_all(lines: &str) -> Result<Vec<Self>, String> {
        let lines = lines.lines().zip(1_u64..).filter(|(line, _)| !line.trim().is_empty());
        lines.map(|(line, n)| Self::read(line).map_err(|why| format!("line {n}: {why}"))).collect()
    }
}

/// A text, or its two ends when it is long.
#[derive(Clone)]
#[expect(clippy::large_enum_variant, reason = "it lives on the stack, so that no request allocates for it")]
pub(crate) enum Excerpt<'a> {
    Whole(&'a str),
    Ends(SmallVec<[u8; EXCERPT]>),
}

impl Default for Excerpt<'_> {
    fn default() -> Self {
        Self::Whole("")
    }
}

impl fmt::Debug for Excerpt<'_> {
    /// Shows how much there is, never what.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.as_str().len())
    }
}

impl<'a> Excerpt<'a> {
    /// Takes a text at its ends.
    pub(crate) fn of(text: &'a str) -> Self {
        match ends(text) {
            (whole, "") => Self::Whole(whole),
            (head, tail) => {
                let mut joined = SmallVec::new();
                joined.extend_from_slice(head.as_bytes());
                joined.push(b'\n');
                joined.extend_from_slice(tail.as_bytes());
                Self::Ends(joined)
            }
        }
    }

    /// Takes a JSON string at its ends, without reading what lies between.
    fn of_json(literal: &'a str) -> Self {
        let inside = literal.trim().strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        let inside = inside.unwrap_or_default();
        let (head, tail) = ends(inside);
        if !head.contains('\\') && !tail.contains('\\') {
            return Self::of(inside);
        }
        let mut joined = SmallVec::new();
        unescape(head, &mut joined);
        if !tail.is_empty() {
            joined.push(b'\n');
            unescape(tail, &mut joined);
        }
        Self::Ends(joined)
    }

    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Whole(text) => text,
            Self::Ends(bytes) => std::str::from_utf8(bytes).unwrap_or_default(),
        }
    }
}

/// The whole text and nothing, or its beginning and its end.
fn ends(text: &str) -> (&str, &str) {
    if text.len() <= HEAD + TAIL {
        return (text, "");
    }
    let head = text.get(..text.floor_char_boundary(HEAD)).unwrap_or_default();
    let tail = text.get(text.floor_char_boundary(text.len() - TAIL)..).unwrap_or_default();
    (head, tail)
}

/// Resolves JSON escapes. The text may be cut in the middle of one, of which a letter or a few digits then stay.
fn unescape(text: &str, out: &mut SmallVec<[u8; EXCERPT]>) {
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        let (plain, escape) = rest.split_at(at);
        out.extend_from_slice(plain.as_bytes());
        let kind = escape.as_bytes().get(1).copied().unwrap_or(b'\\');
        let mut length = 2;
        match kind {
            b'n' | b'r' | b't' | b'b' | b'f' => out.push(if kind == b'n' { b'\n' } else { b' ' }),
            b'u' => {
                let (c, digits) = code_point(escape);
                length += digits;
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            }
            other => {
                // An escaped quote or slash, or the first byte of a letter where the text was cut.
                if other.is_ascii() {
                    out.push(other);
                } else {
                    length = 1;
                }
            }
        }
        rest = escape.get(length..).unwrap_or_default();
    }
    out.extend_from_slice(rest.as_bytes());
}

/// Reads `\uXXXX`, or two of them that make one letter; also returns how many bytes follow the first `\u`.
fn code_point(escape: &str) -> (char, usize) {
    let unit = |from: usize| -> Option<u32> { u32::from_str_radix(escape.get(from..from + 4)?, 16).ok() };
    match unit(2) {
        Some(high @ 0xD800..=0xDBFF) => match (escape.get(6..8), unit(8)) {
            (Some("\\u"), Some(low @ 0xDC00..=0xDFFF)) => {
                let code = 0x1_0000 + ((high - 0xD800) << 10) + (low - 0xDC00);
                (char::from_u32(code).unwrap_or(' '), 10)
            }
            _ => (' ', 4),
        },
        Some(code) => (char::from_u32(code).unwrap_or(' '), 4),
        None => (' ', 0),
    }
}

impl<'a> Query<'a> {
    /// A query without any context.
    pub fn new(text: &'a str) -> Self {
        Self { text: Excerpt::of(text), ..Self::default() }
    }

    /// Sets the system prompt.
    #[must_use]
    pub fn with_system(mut self, system: &'a str) -> Self {
        self.system = Some(Excerpt::of(system));
        self
    }

    /// Sets the user message before this one.
    #[must_use]
    pub fn with_previous(mut self, previous: &'a str) -> Self {
        self.previous = Some(Excerpt::of(previous));
        self
    }

    /// Reads a request: its last user message, the one before, the first system or developer message, the metadata. A message in
    /// parts is its text parts; others are attachments.
    pub fn of(request: &'a ChatRequest) -> Self {
        let messages =
            request.field("messages").and_then(|value| serde_json::from_str::<Messages<'a>>(value).ok());
        let Messages { mut last, previous, system } = messages.unwrap_or_default();
        let metadata = request.field("metadata");
        let text = std::mem::take(&mut last.text);
        Self {
            text,
            previous: previous.map(|message| message.text),
            system: system.map(|message| message.text),
            metadata,
            attachments: last.attachments,
        }
    }

    /// Returns the query's text: at most two kilobytes, from its ends.
    pub fn text(&self) -> &str {
        self.text.as_str()
    }

    /// Returns the system prompt.
    pub fn system(&self) -> Option<&str> {
        self.system.as_ref().map(Excerpt::as_str)
    }

    /// Returns the user message before the last one.
    pub fn previous(&self) -> Option<&str> {
        self.previous.as_ref().map(Excerpt::as_str)
    }

    /// Returns how many images, files and recordings the last message holds.
    pub const fn attachments(&self) -> usize {
        self.attachments
    }

    /// Returns whether `metadata` of the request has this value under this key.
    pub(crate) fn has_metadata(&self, key: &str, value: &str) -> bool {
        let metadata: Option<serde_json::Map<String, serde_json::Value>> =
            self.metadata.and_then(|metadata| serde_json::from_str(metadata).ok());
        metadata.is_some_and(|metadata| match metadata.get(key) {
            Some(serde_json::Value::String(found)) => found == value,
            Some(serde_json::Value::Array(items)) => items.iter().any(|item| item == value),
            // Numbers and truth values by what stands there.
            Some(other) => format!("{other}") == value,
            None => false,
        })
    }
}

/// The messages that matter.
#[derive(Default)]
struct Messages<'a> {
    last: Content<'a>,
    previous: Option<Content<'a>>,
    system: Option<Content<'a>>,
}

#[derive(Default)]
struct Content<'a> {
    text: Excerpt<'a>,
    attachments: usize,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, default)]
    role: Cow<'a, str>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Messages<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = Messages<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of messages")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Messages<'de>, A::Error> {
                // Only where they lie is noted on the way; two of them are read in the end.
                let (mut last, mut previous, mut system) = (None, None, None);
                while let Some(Message { role, content }) = list.next_element::<Message<'de>>()? {
                    match &*role {
                        "user" => previous = std::mem::replace(&mut last, content),
                        "system" | "developer" => system = system.or(content),
                        _ => {}
                    }
                }
                Ok(Messages {
                    last: last.map(read_content).unwrap_or_default(),
                    previous: previous.map(read_content),
                    system: system.map(read_content),
                })
            }
        }

        deserializer.deserialize_seq(Reader)
    }
}

/// Reads a message's content: a text, or parts of which the last text counts.
fn read_content(content: &RawValue) -> Content<'_> {
    #[derive(Deserialize)]
    struct Part<'a> {
        #[serde(borrow)]
        text: Option<&'a RawValue>,
    }
    let json = content.get();
    if json.starts_with('"') {
        return Content { text: Excerpt::of_json(json), attachments: 0 };
    }
    let parts: Vec<Part<'_>> = serde_json::from_str(json).unwrap_or_default();
    let mut texts = parts.iter().filter_map(|part| part.text);
    let attachments = parts.iter().filter(|part| part.text.is_none()).count();
    Content {
        text: texts.next_back().map(|text| Excerpt::of_json(text.get())).unwrap_or_default(),
        attachments,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(messages: &str) -> ChatRequest {
        ChatRequest::from_json(format!(r#"{{"model":"auto","messages":{messages}}}"#)).unwrap()
    }

    #[test]
    fn the_last_user_message_counts_with_what_went_before() {
        let request = request(
            r#"[{"role":"system","content":"Be brief."},{"role":"user","content":"one"},
                {"role":"assistant","content":"two"},{"role":"user","content":"th\u0072ee\n\"3\""},
                {"role":"tool","content":"four"}]"#,
        );
        let query = Query::of(&request);
        assert_eq!(query.text(), "three\n\"3\"");
        assert_eq!((query.previous(), query.system()), (Some("one"), Some("Be brief.")));
    }

    #[test]
    fn parts_are_their_text_and_attachments() {
        let request = request(
            r#"[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:..."}},{"type":"text","text":"What is this?"}]}]"#,
        );
        let query = Query::of(&request);
        assert_eq!((query.text(), query.attachments()), ("What is this?", 1));
    }

    #[test]
    fn escapes_are_resolved_even_where_a_long_text_is_cut() {
        for shift in 0..14 {
            let long = format!("{}{}", "x".repeat(shift), "\u{1F600}é\"\\ \n".repeat(600));
            let body = serde_json::json!([{"role": "user", "content": long}]).to_string();
            for body in [body.clone(), body.replace('é', "\\u00e9").replace('\u{1F600}', "\\ud83d\\ude00")] {
                let request = request(&body);
                let query = Query::of(&request);
                assert!(query.text().contains("\u{1F600}é\"\\ \n\u{1F600}"), "{}", query.text());
                assert!(query.text().len() <= EXCERPT, "{}", query.text().len());
            }
        }
    }

    #[test]
    fn metadata_is_compared_by_its_text() {
        let request = ChatRequest::from_json(
            r#"{"model":"m","messages":[],"metadata":{"team":"dev","tags":["a"],"n":3}}"#,
        )
        .unwrap();
        let query = Query::of(&request);
        assert!(
            query.has_metadata("team", "dev")
                && query.has_metadata("tags", "a")
                && query.has_metadata("n", "3")
        );
        assert!(!query.has_metadata("team", "ops") && !query.has_metadata("none", ""));
    }

    #[test]
    fn what_is_no_message_is_no_query() {
        for messages in ["[]", "[1]", r#"[{"role":"user"}]"#, r#"[{"role":"user","content":null}]"#] {
            let request = request(messages);
            assert_eq!(Query::of(&request).text(), "", "{messages}");
        }
    }

    #[test]
    fn debug_output_never_shows_the_text() {
        assert!(!format!("{:?}", Query::new("my secret")).contains("secret"));
    }
}
