//! What an LLM answered before: bounded, the answers used longest ago go first.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, PoisonError};

/// The label's position; `None` where the LLM named no label.
pub(super) type Verdict = Option<u16>;

/// A question's fingerprint. Its two hashes have secret keys, so that nobody can make two questions look alike.
pub(super) type Fingerprint = (u64, u64);

/// Two generations: what is asked for again moves to the young one, which becomes the old one when it holds half of what there may be.
#[derive(Debug)]
pub(super) struct Answers {
    keys: (RandomState, RandomState),
    half: usize,
    generations: Mutex<Generations>,
}

#[derive(Debug, Default)]
struct Generations {
    young: HashMap<Fingerprint, Verdict>,
    old: HashMap<Fingerprint, Verdict>,
}

impl Answers {
    /// Remembers at most so many.
    pub(super) fn new(most: usize) -> Self {
        let keys = (RandomState::new(), RandomState::new());
        Self { keys, half: most.div_ceil(2), generations: Mutex::default() }
    }

    pub(super) fn fingerprint(&self, question: &str) -> Fingerprint {
        (self.keys.0.hash_one(question), self.keys.1.hash_one(question))
    }

    pub(super) fn get(&self, question: Fingerprint) -> Option<Verdict> {
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = generations.young.get(&question) {
            return Some(*found);
        }
        let found = generations.old.remove(&question)?;
        generations.insert(question, found, self.half);
        Some(found)
    }

    pub(super) fn insert(&self, question: Fingerprint, verdict: Verdict) {
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        generations.insert(question, verdict, self.half);
    }
}

impl Generations {
    fn insert(&mut self, question: Fingerprint, verdict: Verdict, half: usize) {
        if half == 0 {
            return;
        }
        if self.young.len() >= half {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(question, verdict);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_as_may_be_are_remembered_and_those_in_use_stay() {
        let answers = Answers::new(10);
        let often = answers.fingerprint("often");
        answers.insert(often, Some(1));
        for n in 0..100 {
            answers.insert(answers.fingerprint(&n.to_string()), None);
            assert_eq!(answers.get(often), Some(Some(1)), "after {n}");
            let held = answers.generations.lock().unwrap();
            assert!(held.young.len() + held.old.len() <= 10, "after {n}");
        }
        assert_eq!(answers.get(answers.fingerprint("0")), None);
        assert_eq!(answers.get(answers.fingerprint("99")), Some(None));
    }

    #[test]
    fn a_size_of_nothing_remembers_nothing() {
        let answers = Answers::new(0);
        answers.insert(answers.fingerprint("a"), Some(0));
        assert_eq!(answers.get(answers.fingerprint("a")), None);
    }
}
