//! A set of phrases, found in a text by whole words, whatever their case and accents.

use std::fmt;

use super::text::{Text, Token, finish};

/// Phrases, each with a number, in an open-addressing table by hash.
#[derive(Clone, Default)]
pub(crate) struct Phrases {
    /// A hash and a number; a hash of 0 is an empty slot.
    slots: Vec<(u64, u16)>,
    /// Which tokens a phrase may begin with, as a filter, so that most tokens need one look.
    firsts: Vec<u64>,
    longest: usize,
}

impl fmt::Debug for Phrases {
    /// Shows how much room they take, not their hashes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Phrases").field("slots", &self.slots.len()).finish_non_exhaustive()
    }
}

/// A phrase that was found.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mention {
    pub(crate) number: u16,
    /// The index of its first token.
    pub(crate) at: usize,
}

impl Phrases {
    /// Where a phrase is listed twice, the first number stands. A phrase without any word in it is never found.
    pub(crate) fn new<'p>(phrases: impl IntoIterator<Item = (&'p str, u16)>) -> Self {
        let mut entries = Vec::new();
        let mut this = Self { slots: Vec::new(), firsts: vec![0; FILTER], longest: 0 };
        for (phrase, number) in phrases {
            let text = Text::read(phrase);
            if let Some(first) = text.tokens().first() {
                entries
                    .push((text.tokens().iter().fold(CHAIN, |hash, token| link(hash, token.hash)), number));
                this.longest = this.longest.max(text.tokens().len());
                if let Some(word) = this.firsts.get_mut(filter_word(first.hash)) {
                    *word |= 1 << (first.hash & 63);
                }
            }
        }
        this.slots = vec![(0, 0); (entries.len() * 4).next_power_of_two()];
        for (hash, number) in entries {
            this.insert(hash, number);
        }
        this
    }

    fn insert(&mut self, hash: u64, number: u16) {
        let mask = self.slots.len() - 1;
        let mut at = slot(hash, mask);
        while let Some(entry) = self.slots.get_mut(at) {
            match entry.0 {
                0 => {
                    *entry = (hash, number);
                    return;
                }
                known if known == hash => return,
                _ => at = (at + 1) & mask,
            }
        }
    }

    fn get(&self, hash: u64) -> Option<u16> {
        let mask = self.slots.len().checked_sub(1)?;
        let mut at = slot(hash, mask);
        loop {
            match self.slots.get(at) {
                Some((found, number)) if *found == hash => return Some(*number),
                Some((0, _)) | None => return None,
                Some(_) => at = (at + 1) & mask,
            }
        }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.longest == 0
    }

    /// Calls `found` with each phrase in the text from left to right; of those that begin at one place the longest, and what lies
    /// within it is not looked at again.
    pub(crate) fn scan(&self, tokens: &[Token], mut found: impl FnMut(Mention)) {
        let mut at = 0;
        while let Some(rest) = tokens.get(at..).filter(|rest| !rest.is_empty()) {
            let mut longest = None;
            self.beginning(rest, |length, number| longest = Some((length, number)));
            match longest {
                Some((length, number)) => {
                    found(Mention { number, at });
                    at += length;
                }
                None => at += 1,
            }
        }
    }

    /// Returns the lowest number of all phrases in the text.
    pub(crate) fn lowest(&self, tokens: &[Token]) -> Option<u16> {
        let mut lowest = None;
        for at in 0..tokens.len() {
            self.beginning(tokens.get(at..).unwrap_or_default(), |_, number| {
                lowest = Some(lowest.map_or(number, |known: u16| known.min(number)));
            });
        }
        lowest
    }

    /// Calls `found` with each phrase that these tokens begin with, the longer later.
    fn beginning(&self, tokens: &[Token], mut found: impl FnMut(usize, u16)) {
        let Some(first) = tokens.first() else { return };
        if self.firsts.get(filter_word(first.hash)).is_none_or(|word| word >> (first.hash & 63) & 1 == 0) {
            return;
        }
        let mut hash = CHAIN;
        for (length, token) in tokens.iter().take(self.longest).enumerate() {
            hash = link(hash, token.hash);
            if let Some(number) = self.get(hash) {
                found(length + 1, number);
            }
        }
    }
}

const CHAIN: u64 = 0x517C_C1B7_2722_0A95;
const FILTER: usize = 256;

/// Extends the hash of a sequence of tokens by one.
const fn link(chain: u64, token: u64) -> u64 {
    finish(chain.rotate_left(7) ^ token)
}

const fn slot(hash: u64, mask: usize) -> usize {
    (hash >> 8) as usize & mask
}

const fn filter_word(hash: u64) -> usize {
    (hash >> 56) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lowest(phrases: &[&str], text: &str) -> Option<u16> {
        Phrases::new(phrases.iter().copied().zip(0..)).lowest(Text::read(text).tokens())
    }

    #[test]
    fn only_whole_words_count_whatever_their_case() {
        assert_eq!(lowest(&["script"], "a job description"), None);
        assert_eq!(lowest(&["script"], "my SCRIPT."), Some(0));
        assert_eq!(lowest(&["straße"], "Die STRASSE? Nein, die Straße!"), Some(0));
        assert_eq!(lowest(&["诗"], "写一首诗"), Some(0));
        assert_eq!(lowest(&["c++"], "In C++, please"), Some(0));
        assert_eq!(lowest(&["", " "], "anything"), None);
    }

    #[test]
    fn the_first_listed_wins() {
        assert_eq!(lowest(&["poem", "write a poem"], "please write a poem"), Some(0));
        assert_eq!(lowest(&["write a poem", "poem"], "please write a poem"), Some(0));
        assert_eq!(lowest(&[], "please write a poem"), None);
    }
}
