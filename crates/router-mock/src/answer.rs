//! What is answered, before it takes the shape of a wire format.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::{
    ask::{Ask, Tool},
    behaviour::{Behaviour, Usage},
    dice,
};

/// More chunks than this are not made, so that a slip in a configuration cannot fill the memory.
const MAX_CHUNKS: usize = 100_000;

/// Arguments of tool calls are streamed in pieces of about this many characters.
const ARGUMENT_PIECE: usize = 8;

pub(crate) struct Answer {
    seed: u64,
    /// Seconds since the Unix epoch.
    pub(crate) created: u64,
    pub(crate) model: String,
    pub(crate) content: Content,
    pub(crate) finish: Finish,
    pub(crate) usage: Usage,
    /// Whether an OpenAI stream reports usage.
    pub(crate) include_usage: bool,
    chunks: Option<usize>,
}

pub(crate) enum Content {
    Text(String),
    ToolCall { name: String, arguments: String },
}

#[derive(Clone, Copy)]
pub(crate) enum Finish {
    Stop,
    Length,
    ToolCalls,
}

/// One content chunk of a stream.
pub(crate) enum Piece<'a> {
    Text(&'a str),
    /// The start of a tool call: its name.
    Call(&'a str),
    Arguments(&'a str),
}

impl Answer {
    pub(crate) fn new(ask: Ask, behaviour: &Behaviour, upstream: &str, seed: u64) -> Self {
        let chunks = behaviour.chunks.map(|chunks| chunks.min(MAX_CHUNKS));
        let (content, finish) = match ask.tool {
            Tool::Forced(name) => (call(name, behaviour), Finish::ToolCalls),
            Tool::Offered(name) if behaviour.call_tools => (call(name, behaviour), Finish::ToolCalls),
            Tool::Offered(_) | Tool::Unavailable => {
                let mut text = match &behaviour.answer {
                    Some(text) => text.clone(),
                    None => simulated_text(upstream, &ask.model, &ask.echo, chunks.unwrap_or_default()),
                };
                let end = end_of_words(&text, ask.max_tokens.unwrap_or(usize::MAX));
                let is_cut = !text.get(end..).unwrap_or_default().trim().is_empty();
                if is_cut {
                    text.truncate(end);
                }
                (Content::Text(text), if is_cut { Finish::Length } else { Finish::Stop })
            }
        };
        let words = match &content {
            Content::Text(text) | Content::ToolCall { arguments: text, .. } => {
                text.split_whitespace().count()
            }
        };
        let counted = Usage::new(ask.prompt_chars.div_ceil(4), words as u64);
        Self {
            seed,
            created: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs()),
            model: ask.model,
            content,
            finish,
            usage: behaviour.usage.unwrap_or(counted),
            include_usage: ask.include_usage,
            chunks,
        }
    }

    /// Makes up an identifier, always the same one for a prefix.
    pub(crate) fn id(&self, prefix: &str, length: usize) -> String {
        dice::identifier(prefix, self.seed, length)
    }

    /// The answer in pieces, to be streamed.
    pub(crate) fn pieces(&self) -> Pieces<'_> {
        match &self.content {
            Content::Text(text) => {
                let words = text.split_whitespace().count();
                let wanted = self.chunks.unwrap_or(words);
                let (units, unit_end): (_, UnitEnd) =
                    if wanted <= words { (words, word_end) } else { (text.chars().count(), char_end) };
                Pieces { call: None, rest: text, is_text: true, units, pieces: wanted.min(units), unit_end }
            }
            Content::ToolCall { name, arguments } => {
                let units = arguments.chars().count();
                let wanted =
                    self.chunks.map_or(units.div_ceil(ARGUMENT_PIECE), |chunks| chunks.saturating_sub(1));
                let pieces = wanted.clamp(units.min(1), units);
                Pieces {
                    call: Some(name),
                    rest: arguments,
                    is_text: false,
                    units,
                    pieces,
                    unit_end: char_end,
                }
            }
        }
    }
}

/// Finds where the first unit of a text ends, in bytes.
type UnitEnd = fn(&str) -> usize;

/// An answer's pieces, each of about as many words or characters.
pub(crate) struct Pieces<'a> {
    call: Option<&'a str>,
    rest: &'a str,
    is_text: bool,
    units: usize,
    pieces: usize,
    unit_end: UnitEnd,
}

impl Pieces<'_> {
    pub(crate) fn remaining(&self) -> usize {
        self.pieces + usize::from(self.call.is_some())
    }
}

impl<'a> Iterator for Pieces<'a> {
    type Item = Piece<'a>;

    fn next(&mut self) -> Option<Piece<'a>> {
        if let Some(name) = self.call.take() {
            return Some(Piece::Call(name));
        }
        let units = match self.pieces {
            0 => return None,
            pieces => self.units.div_ceil(pieces),
        };
        self.units -= units;
        self.pieces -= 1;
        let end = match self.pieces {
            0 => self.rest.len(),
            _ => (0..units).fold(0, |end, _| end + (self.unit_end)(self.rest.get(end..).unwrap_or_default())),
        };
        let (piece, rest) = self.rest.split_at_checked(end).unwrap_or((self.rest, ""));
        self.rest = rest;
        Some(if self.is_text { Piece::Text(piece) } else { Piece::Arguments(piece) })
    }
}

/// The end of the first word; the space before it belongs to it, as in the providers' tokens.
fn word_end(text: &str) -> usize {
    let word = text.trim_start();
    text.len() - word.len() + word.find(char::is_whitespace).unwrap_or(word.len())
}

fn char_end(text: &str) -> usize {
    text.chars().next().map_or(0, char::len_utf8)
}

/// The end of the first `count` words.
fn end_of_words(text: &str, count: usize) -> usize {
    let mut end = 0;
    for _ in 0..count {
        match text.get(end..).map_or(0, word_end) {
            0 => break,
            step => end += step,
        }
    }
    end
}

fn call(name: String, behaviour: &Behaviour) -> Content {
    let arguments = behaviour.tool_arguments.clone().unwrap_or_else(|| "{}".to_owned());
    Content::ToolCall { name, arguments }
}

fn simulated_text(upstream: &str, model: &str, echo: &str, at_least_words: usize) -> String {
    let mut text = format!("This is a simulated answer from upstream `{upstream}`, model `{model}`.");
    if !echo.is_empty() {
        text.push_str(" You said: ");
        text.push_str(echo);
    }
    let words = text.split_whitespace().count();
    for number in words + 1..=at_least_words {
        text.push_str(&format!(" word{number}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(text: &str, chunks: Option<usize>) -> Vec<String> {
        let answer = Answer {
            seed: 0,
            created: 0,
            model: String::new(),
            content: Content::Text(text.to_owned()),
            finish: Finish::Stop,
            usage: Usage::default(),
            include_usage: false,
            chunks,
        };
        assert_eq!(answer.pieces().remaining(), answer.pieces().count());
        let text = |piece| match piece {
            Piece::Text(text) | Piece::Call(text) | Piece::Arguments(text) => text.to_owned(),
        };
        answer.pieces().map(text).collect()
    }

    #[test]
    fn a_text_is_cut_at_words_and_otherwise_at_characters() {
        assert_eq!(pieces("one two  three\n", None), ["one", " two", "  three\n"]);
        assert_eq!(pieces("a b c d e", Some(2)), ["a b c", " d e"]);
        assert_eq!(pieces("a b c d e", Some(1)), ["a b c d e"]);
        assert_eq!(pieces("zwölf", Some(3)), ["zw", "öl", "f"]);
        assert_eq!(pieces("no", Some(60)), ["n", "o"]);
        assert!(pieces("", None).is_empty());
        assert!(pieces("", Some(3)).is_empty());
    }

    #[test]
    fn words_are_counted_from_the_start() {
        let first = |count| &"one two three"[..end_of_words("one two three", count)];
        assert_eq!(
            [first(0), first(2), first(3), first(9)],
            ["", "one two", "one two three", "one two three"]
        );
    }

    #[test]
    fn a_simulated_text_grows_to_the_chunks_asked_for() {
        assert_eq!(simulated_text("a", "m", "hi", 60).split_whitespace().count(), 60);
        assert!(simulated_text("a", "m", "hi", 3).ends_with("You said: hi"));
    }
}
