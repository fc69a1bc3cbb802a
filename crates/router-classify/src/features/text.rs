//! A text as the model sees it: folded to plain lower case and cut into tokens.

use smallvec::SmallVec;
use unicode_normalization::char::{decompose_canonical, is_combining_mark};

use crate::query::EXCERPT;

/// Room for the folded text and its tokens without the heap. What does not fit any more is not read.
const BYTES: usize = EXCERPT + 64;
const TOKENS: usize = 768;

/// What a token is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Word,
    Number,
    /// One character of a script that does not separate words.
    Ideograph,
    /// Punctuation; repeated signs are one token.
    Sign,
    LineBreak,
}

/// A piece of the folded text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    /// Identifies the text of the token.
    pub(crate) hash: u64,
    start: u16,
    end: u16,
}

/// A folded text and its tokens.
#[derive(Debug)]
pub(crate) struct Text {
    bytes: SmallVec<[u8; BYTES]>,
    tokens: SmallVec<[Token; TOKENS]>,
    pub(crate) shape: Shape,
}

/// What folding would lose.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Shape {
    /// In bytes.
    pub(crate) length: usize,
    pub(crate) characters: u32,
    pub(crate) capitals: u32,
    pub(crate) digits: u32,
    /// Signs that code is full of: braces, brackets, semicolons, equals signs, ...
    pub(crate) code_signs: u32,
    pub(crate) lines: u32,
    /// Names written in camelCase or snake_case.
    pub(crate) identifiers: u32,
    pub(crate) foreign: u32,
    pub(crate) starts_with_capital: bool,
}

impl Text {
    /// Reads an excerpt.
    pub(crate) fn read(text: &str) -> Self {
        let text = text.trim();
        let mut this = Self {
            bytes: SmallVec::new(),
            tokens: SmallVec::new(),
            shape: Shape { length: text.len(), lines: 1, ..Shape::default() },
        };
        this.shape.starts_with_capital = text.starts_with(char::is_uppercase);
        this.push(text);
        this
    }

    pub(crate) fn tokens(&self) -> &[Token] {
        &self.tokens
    }

    pub(crate) fn bytes_of(&self, token: &Token) -> &[u8] {
        self.bytes.get(usize::from(token.start)..usize::from(token.end)).unwrap_or_default()
    }

    fn push(&mut self, text: &str) {
        let mut open: Option<Open> = None;
        let mut before = ' ';
        for original in text.chars() {
            self.shape.characters += 1;
            self.note(before, original);
            before = original;
            let folded = fold(original);
            // "don't" is one word, "l'amour" are two.
            if folded == '\''
                && let Some(Open { kind: Kind::Word, start, .. }) = &open
                && self.bytes.len() > usize::from(*start) + 2
            {
                continue;
            }
            let kind = match folded {
                '\n' => Some(Kind::LineBreak),
                c if c.is_ascii_digit() => Some(Kind::Number),
                c if is_ideograph(c) => Some(Kind::Ideograph),
                c if c.is_alphanumeric() || c == '_' => Some(Kind::Word),
                c if c.is_whitespace() || c.is_control() => None,
                _ => Some(Kind::Sign),
            };
            let Some(kind) = kind else {
                self.close(open.take());
                continue;
            };
            let goes_on = open.as_ref().is_some_and(|open| open.takes(kind, folded));
            if !goes_on {
                self.close(open.take());
            }
            let Some(position) = self.write(folded) else { break };
            let piece = open.get_or_insert(Open { kind, start: position, last: folded, hash: SEED });
            piece.hash = step(piece.hash, folded);
            piece.last = folded;
        }
        self.close(open);
    }

    /// Writes a character; returns where, or `None` when there is no more room.
    fn write(&mut self, c: char) -> Option<u16> {
        let position = self.bytes.len();
        let mut buffer = [0; 4];
        let encoded = c.encode_utf8(&mut buffer).as_bytes();
        if position + encoded.len() > BYTES || self.tokens.len() + 1 >= TOKENS {
            return None;
        }
        self.bytes.extend_from_slice(encoded);
        u16::try_from(position).ok()
    }

    fn close(&mut self, open: Option<Open>) {
        if let Some(Open { kind, start, hash, .. }) = open
            && let Ok(end) = u16::try_from(self.bytes.len())
            && self.tokens.len() < TOKENS
        {
            // How large a number is matters less than that there is one.
            let hash = if kind == Kind::Number { number_hash(end - start) } else { hash };
            self.tokens.push(Token { kind, hash: finish(hash), start, end });
        }
    }

    fn note(&mut self, before: char, c: char) {
        let shape = &mut self.shape;
        match c {
            '\n' => shape.lines += 1,
            '0'..='9' => shape.digits += 1,
            'A'..='Z' => {
                shape.capitals += 1;
                if before.is_ascii_lowercase() {
                    shape.identifiers += 1;
                }
            }
            '_' if before.is_ascii_alphanumeric() => shape.identifiers += 1,
            '{' | '}' | '[' | ']' | '(' | ')' | ';' | '=' | '<' | '>' | '`' | '\\' | '|' | '#' | '&' => {
                shape.code_signs += 1;
            }
            c if !c.is_ascii() && c.is_alphabetic() => shape.foreign += 1,
            _ => {}
        }
    }
}

/// A token that is being read.
struct Open {
    kind: Kind,
    start: u16,
    last: char,
    hash: u64,
}

impl Open {
    fn takes(&self, kind: Kind, c: char) -> bool {
        match self.kind {
            // "utf8" is one word.
            Kind::Word => matches!(kind, Kind::Word | Kind::Number),
            Kind::Number => kind == Kind::Number,
            Kind::Sign => kind == Kind::Sign && self.last == c,
            Kind::Ideograph | Kind::LineBreak => false,
        }
    }
}

const SEED: u64 = 0xCBF2_9CE4_8422_2325;

/// FNV-1a over characters (Fowler, Noll, Vo), finished by [`finish`].
const fn step(hash: u64, c: char) -> u64 {
    (hash ^ c as u64).wrapping_mul(0x0000_0100_0000_01B3)
}

fn number_hash(digits: u16) -> u64 {
    step(step(SEED, '0'), char::from(b'0' + u8::try_from(digits.min(5)).unwrap_or(5)))
}

/// Spreads a hash over all its bits (the finisher of SplitMix64).
pub(crate) const fn finish(hash: u64) -> u64 {
    let z = (hash ^ (hash >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Lower case without accents, full-width forms as plain ones, typographic quotes as straight ones.
fn fold(c: char) -> char {
    if c.is_ascii() {
        return c.to_ascii_lowercase();
    }
    let plain = match c {
        '\u{FF01}'..='\u{FF5E}' => char::from_u32(c as u32 - 0xFEE0).unwrap_or(c),
        '\u{3000}' | '\u{00A0}' => ' ',
        '\u{2018}' | '\u{2019}' | '\u{02BC}' => '\'',
        '\u{201C}' | '\u{201D}' | '\u{00AB}' | '\u{00BB}' => '"',
        '\u{2212}' | '\u{2013}' | '\u{2014}' => '-',
        '\u{00A1}' => '!',
        '\u{00BF}' => '?',
        c => c,
    };
    let lower = plain.to_lowercase().next().unwrap_or(plain);
    if !('\u{00C0}'..='\u{024F}').contains(&lower) {
        return lower;
    }
    let mut base = None;
    decompose_canonical(lower, |part| {
        if !is_combining_mark(part) && base.is_none() {
            base = Some(part);
        }
    });
    base.unwrap_or(lower)
}

/// Han, Kana, Hangul and Thai: scripts whose words are not set apart by spaces, or inflect like it.
const fn is_ideograph(c: char) -> bool {
    matches!(c,
        '\u{0E00}'..='\u{0E7F}'
        | '\u{3005}'..='\u{3007}'
        | '\u{3040}'..='\u{30FF}'
        | '\u{3400}'..='\u{4DBF}'
        | '\u{4E00}'..='\u{9FFF}'
        | '\u{AC00}'..='\u{D7AF}'
        | '\u{F900}'..='\u{FAFF}'
        | '\u{20000}'..='\u{2FA1F}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        let text = Text::read(text);
        text.tokens().iter().map(|token| String::from_utf8(text.bytes_of(token).to_vec()).unwrap()).collect()
    }

    #[test]
    fn case_accents_and_widths_do_not_matter() {
        assert_eq!(words("CuÁnto ＡＢＣ Ärger"), ["cuanto", "abc", "arger"]);
        assert_eq!(words("¿Por qué?"), ["?", "por", "que", "?"]);
    }

    #[test]
    fn scripts_without_spaces_are_read_by_the_character() {
        assert_eq!(words("写一首诗 now"), ["写", "一", "首", "诗", "now"]);
    }

    #[test]
    fn numbers_and_signs_are_tokens_of_their_own() {
        assert_eq!(words("f(x)==12;;;utf8"), ["f", "(", "x", ")", "==", "12", ";;;", "utf8"]);
    }

    #[test]
    fn what_is_too_long_is_cut() {
        let words = words(&"a b ".repeat(2_000));
        assert_eq!(words.len(), TOKENS - 1);
    }
}
