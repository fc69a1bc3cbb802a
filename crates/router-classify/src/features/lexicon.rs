//! Words by what they say about a task: the little knowledge of languages that hashing has not.

use std::sync::LazyLock;

use super::phrases::Phrases;

pub(super) const SOURCE: &str = include_str!("../../text/lexicon.txt");

/// The concepts of `text/lexicon.txt`, by the number of their line.
#[derive(Debug)]
pub(crate) struct Lexicon {
    pub(crate) phrases: Phrases,
    names: Vec<&'static str>,
}

static LEXICON: LazyLock<Lexicon> = LazyLock::new(|| {
    let lines = SOURCE.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let concepts: Vec<(&str, &str)> = lines.filter_map(|line| line.split_once(':')).collect();
    let entries = concepts
        .iter()
        .zip(0..)
        .flat_map(|((_, entries), number)| entries.split(',').map(move |entry| (entry, number)));
    Lexicon { phrases: Phrases::new(entries), names: concepts.iter().map(|(name, _)| *name).collect() }
});

impl Lexicon {
    pub(crate) fn shipped() -> &'static Self {
        &LEXICON
    }

    /// Returns the number of the concept with this name.
    pub(crate) fn number(&self, name: &str) -> Option<u16> {
        self.names.iter().position(|known| *known == name).and_then(|at| u16::try_from(at).ok())
    }
}

#[cfg(test)]
mod tests {
    use super::super::text::Text;
    use super::*;

    fn concepts(text: &str) -> Vec<&'static str> {
        let mut found = Vec::new();
        let lexicon = Lexicon::shipped();
        let text = Text::read(text);
        lexicon.phrases.scan(text.tokens(), |mention| found.push(lexicon.names[usize::from(mention.number)]));
        found
    }

    #[test]
    fn words_mean_the_same_in_every_language() {
        for text in [
            "Write a poem",
            "Schreibe ein Gedicht",
            "Escribe un poema",
            "Écris un poème",
            "Escreva um poema",
            "写一首诗",
            "詩を書いて",
        ] {
            let found = concepts(text);
            assert!(found.contains(&"compose") && found.contains(&"verse"), "{text}: {found:?}");
        }
    }

    #[test]
    fn the_longest_entry_wins() {
        assert_eq!(concepts("blog post"), ["prose"]);
        assert_eq!(concepts("square root"), ["maththing"]);
        assert_eq!(concepts("descriptions, resolved"), Vec::<&str>::new());
    }

    #[test]
    fn there_are_no_more_concepts_than_bits() {
        assert!(Lexicon::shipped().names.len() <= 64);
    }
}
