//! What a model is told about a text: a set of numbered features.
//!
//! Three families, each scaled by how many of its features a text has, so that long texts do not shout:
//! - *words*: single tokens, pairs and triples;
//! - *letters*: three to five letters within a word, which carry over to inflected, misspelt and compound words;
//! - *shape*: what the words are about (see the lexicon), where and in which company; how the text begins and ends; its length,
//!   digits, signs, lines, code fences.

mod lexicon;
mod phrases;
mod text;

use smallvec::SmallVec;

use self::lexicon::Lexicon;
use self::phrases::Mention;
pub(crate) use self::phrases::Phrases;
pub(crate) use self::text::Text;
use self::text::{Kind, Token, finish};

/// Buckets that words and letters share.
const HASHED_BITS: u32 = 16;
/// Buckets of the shape family, apart so that nothing collides with its few strong features.
const SHAPE_BITS: u32 = 13;

/// Features that a model has weights for.
/// Those of them that words and letters share; the shape has the rest.
pub(crate) const HASHED: usize = 1 << HASHED_BITS;

pub(crate) const BUCKETS: usize = (1 << HASHED_BITS) + (1 << SHAPE_BITS);

/// Identifies what features there are: a model fits the version it was trained with.
pub(crate) fn version() -> u64 {
    let words = lexicon::SOURCE.bytes().fold(0, |hash, byte| finish(hash ^ u64::from(byte)));
    name(VERSION, words, BUCKETS as u64)
}

/// Counted up whenever the same text gives other features than before.
const VERSION: u64 = 1;

/// A group of features that are scaled together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    Words,
    Letters,
    Shape,
}

pub(crate) const FAMILIES: usize = 3;

/// Takes the features of one text, each once.
pub(crate) trait Sink {
    fn take(&mut self, family: Family, bucket: usize);
}

/// Hands the features of a text to `sink`. The same text gives the same features on every machine.
pub(crate) fn extract(text: &Text, sink: &mut impl Sink) {
    let mut out = Distinct { seen: [0; BUCKETS / 64], sink };
    words(text, &mut out);
    letters(text, &mut out);
    shape(text, &mut out);
}

/// Lets each feature through once.
struct Distinct<'s, S> {
    seen: [u64; BUCKETS / 64],
    sink: &'s mut S,
}

impl<S: Sink> Distinct<'_, S> {
    fn hashed(&mut self, family: Family, hash: u64) {
        self.bucket(family, (hash >> 40) as usize & ((1 << HASHED_BITS) - 1));
    }

    fn shape(&mut self, hash: u64) {
        let bucket = (hash >> 40) as usize & ((1 << SHAPE_BITS) - 1);
        self.bucket(Family::Shape, (1 << HASHED_BITS) + bucket);
    }

    fn bucket(&mut self, family: Family, bucket: usize) {
        if let Some(word) = self.seen.get_mut(bucket / 64) {
            let bit = 1 << (bucket % 64);
            if *word & bit == 0 {
                *word |= bit;
                self.sink.take(family, bucket);
            }
        }
    }
}

/// Names a feature: what kind it is, and its parts.
const fn name(kind: u64, first: u64, second: u64) -> u64 {
    finish(finish(kind.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ first).rotate_left(23) ^ second)
}

fn words<S: Sink>(text: &Text, out: &mut Distinct<'_, S>) {
    let mut before = [0_u64; 2];
    for token in text.tokens() {
        out.hashed(Family::Words, name(1, token.hash, 0));
        if before[1] != 0 {
            out.hashed(Family::Words, name(2, before[1], token.hash));
        }
        if before[0] != 0 && token.kind == Kind::Ideograph {
            out.hashed(Family::Words, name(3, name(2, before[0], before[1]), token.hash));
        }
        before = [before[1], token.hash];
    }
}

fn letters<S: Sink>(text: &Text, out: &mut Distinct<'_, S>) {
    for token in text.tokens().iter().filter(|token| token.kind == Kind::Word) {
        let word = text.bytes_of(token);
        // A boundary on both sides: "<word>".
        let length = word.len() + 2;
        let at = |position: usize| match position {
            0 => b'<',
            position => word.get(position - 1).copied().unwrap_or(b'>'),
        };
        for start in 0..length.saturating_sub(2) {
            let mut gram = 0_u64;
            for (size, position) in (start..length.min(start + 5)).enumerate() {
                gram = gram << 8 | u64::from(at(position));
                if size >= 2 {
                    out.hashed(Family::Letters, name(4 + size as u64, gram, 0));
                }
            }
        }
    }
}

/// Mentions that are looked at; more would only repeat.
const MENTIONS: usize = 48;

fn shape<S: Sink>(text: &Text, out: &mut Distinct<'_, S>) {
    let tokens = text.tokens();
    let lexicon = Lexicon::shipped();
    let negator = lexicon.number("negator");
    let mut mentions: SmallVec<[Mention; MENTIONS]> = SmallVec::new();
    lexicon.phrases.scan(tokens, |mention| {
        if mentions.len() < MENTIONS {
            mentions.push(mention);
        }
    });

    // Which concepts there are; after a "not" they count apart.
    let mut present: u64 = 0;
    let mut denied_at = None;
    for mention in &mentions {
        let concept = u64::from(mention.number);
        if Some(mention.number) == negator {
            denied_at = Some(mention.at);
        }
        let denied = denied_at.is_some_and(|at| at < mention.at && mention.at <= at + 3);
        out.shape(name(if denied { 11 } else { 10 }, concept, 0));
        if !denied {
            present |= 1 << (concept & 63);
        }
        if mention.at < 4 {
            out.shape(name(12, concept, 0));
        }
        if mention.at + 4 >= tokens.len() {
            out.shape(name(13, concept, 0));
        }
    }
    for first in bits(present) {
        for second in bits(present & (u64::MAX << first) & !(1 << first)) {
            out.shape(name(14, first, second));
        }
    }
    let mut order = mentions.iter().map(|mention| u64::from(mention.number) + 1);
    let [first, second, third] = std::array::from_fn(|_| order.next().unwrap_or(0));
    out.shape(name(15, first, 0));
    out.shape(name(16, first, second));
    out.shape(name(17, name(16, first, second), third));

    // How it begins and ends.
    let hash = |token: Option<&Token>| token.map_or(0, |token| token.hash);
    let [first, second, third] = [tokens.first(), tokens.get(1), tokens.get(2)].map(hash);
    out.shape(name(20, first, 0));
    out.shape(name(21, first, second));
    out.shape(name(22, name(21, first, second), third));
    out.shape(name(23, hash(tokens.last()), 0));
    out.shape(name(24, u64::from(text.shape.starts_with_capital), 0));

    measures(text, present, out);
}

/// Sizes, as steps: a size reaches every step up to its own, so that weights add up along the scale.
fn measures<S: Sink>(text: &Text, present: u64, out: &mut Distinct<'_, S>) {
    let tokens = text.tokens();
    let text_shape = &text.shape;
    let count = |kind: Kind| tokens.iter().filter(|token| token.kind == kind).count();
    let (words, numbers, signs) =
        (count(Kind::Word) + count(Kind::Ideograph) / 2, count(Kind::Number), count(Kind::Sign));
    let sizes = [
        text_shape.length,
        words,
        numbers,
        signs,
        text_shape.lines as usize,
        text_shape.code_signs as usize,
        text_shape.identifiers as usize,
        text_shape.digits as usize,
    ];
    for (size, kind) in sizes.into_iter().zip(30..) {
        for step in 0..steps(size) {
            out.shape(name(kind, step, 0));
        }
    }
    let characters = text_shape.characters.max(1);
    let shares =
        [text_shape.digits, text_shape.code_signs, text_shape.capitals, text_shape.foreign].map(u64::from);
    for (share, kind) in shares.into_iter().zip(50..) {
        // Doubling steps from one character in 256.
        for step in 0..steps(usize::try_from(share * 256 / u64::from(characters)).unwrap_or(0)) {
            out.shape(name(kind, step, 0));
        }
    }
    // Numbers mean different things in different company.
    let amount = numbers.min(4) as u64;
    for concept in bits(present) {
        out.shape(name(60, concept, amount));
    }
    let asks = tokens.iter().rev().take(3).any(|token| text.bytes_of(token).first() == Some(&b'?'));
    out.shape(name(61, u64::from(asks), amount));
    out.shape(name(62, u64::from(asks), steps(words)));
    let fenced = tokens.iter().any(|token| text.bytes_of(token).starts_with(b"```"));
    out.shape(name(63, u64::from(fenced), 0));
}

/// The positions of the bits that are set, from the lowest.
fn bits(mut set: u64) -> impl Iterator<Item = u64> {
    std::iter::from_fn(move || {
        let lowest = set.trailing_zeros();
        set &= set.wrapping_sub(1);
        (lowest < 64).then_some(u64::from(lowest))
    })
}

/// Half octaves: 0, 1, 2, 3, 4, 6, 8, 12, 16, ... are where steps begin.
fn steps(size: usize) -> u64 {
    match size {
        0 => 0,
        1 => 1,
        size => {
            let octave = u64::from(size.ilog2());
            octave * 2 + (size >> (octave - 1) & 1) as u64
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_half_octaves() {
        let sizes = [0, 1, 2, 3, 4, 5, 6, 7, 8, 12, 16];
        assert_eq!(sizes.map(steps), [0, 1, 2, 3, 4, 4, 5, 5, 6, 7, 8]);
    }
}
