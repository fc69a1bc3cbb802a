//! Keeps credentials out of errors, and errors short.

use std::fmt;

use router_core::ProviderError;
use secrecy::{ExposeSecret, SecretString};

const REDACTED: &str = "[redacted]";
/// Longer messages are cut: what matters stands at the beginning, and it ends up in logs.
const MAX_MESSAGE: usize = 300;
const MAX_CODE: usize = 80;
/// A credential shorter than this is only found as a word of its own: `none` and `EMPTY` are usual keys of local servers,
/// and not every "none" in a message is one.
const LONG: usize = 8;

/// The credentials of one endpoint.
#[derive(Default)]
pub(super) struct Redactor {
    secrets: Vec<SecretString>,
}

impl Redactor {
    /// Adds a credential. Of `Bearer KEY` the key counts, too.
    pub(super) fn add(&mut self, secret: &SecretString) {
        let text = secret.expose_secret().trim();
        self.secrets.extend(
            [Some(text), text.split_once(' ').map(|(_, key)| key.trim())]
                .into_iter()
                .flatten()
                .filter(|text| !text.is_empty())
                .map(SecretString::from),
        );
        // The longest first, so that a key which is part of another does not leave the rest of it standing.
        self.secrets.sort_by_key(|secret| std::cmp::Reverse(secret.expose_secret().len()));
    }

    /// Returns one that knows this credential, too.
    pub(super) fn with(&self, secret: &SecretString) -> Self {
        let mut redactor = Self { secrets: self.secrets.clone() };
        redactor.add(secret);
        redactor
    }

    /// Returns the error with its message and code redacted and cut to length, in this order: a key cut in half would not
    /// be found. An error that needs neither is returned as it is.
    pub(super) fn clean(&self, error: ProviderError) -> ProviderError {
        let message = self.clean_text(error.message(), MAX_MESSAGE);
        let code = error.code().map(|code| self.clean_text(code, MAX_CODE));
        if message.as_deref().is_none() && code.as_ref().is_none_or(Option::is_none) {
            return error;
        }
        let mut cleaned =
            ProviderError::new(error.kind(), message.unwrap_or_else(|| error.message().to_owned()));
        if let Some(status) = error.status() {
            cleaned = cleaned.with_status(status);
        }
        if let Some(original) = error.code() {
            cleaned = cleaned.with_code(code.flatten().unwrap_or_else(|| original.to_owned()));
        }
        if let Some(span) = error.retry_after() {
            cleaned = cleaned.with_retry_after(span);
        }
        if let Some(usage) = error.usage() {
            cleaned = cleaned.with_usage(usage);
        }
        cleaned
    }

    /// Returns the text without credentials, on one line and of limited length; `None` when it already is all that.
    fn clean_text(&self, text: &str, limit: usize) -> Option<String> {
        let mut clean = text.to_owned();
        for secret in &self.secrets {
            clean = without(&clean, secret.expose_secret());
        }
        clean = clean
            .split(|c: char| c.is_whitespace() || c.is_control())
            .filter(|word| !word.is_empty())
            .fold(String::new(), |mut line, word| {
                if !line.is_empty() {
                    line.push(' ');
                }
                line.push_str(word);
                line
            });
        if let Some((end, _)) = clean.char_indices().nth(limit) {
            clean.truncate(end);
            clean.push('…');
        }
        (clean != text).then_some(clean)
    }
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redactor").field("secrets", &self.secrets.len()).finish()
    }
}

fn without(text: &str, secret: &str) -> String {
    if secret.len() >= LONG {
        return text.replace(secret, REDACTED);
    }
    let is_part_of_word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(secret) {
        let previous = before.chars().next_back().or_else(|| clean.chars().next_back());
        let is_word = !is_part_of_word(previous) && !is_part_of_word(after.chars().next());
        clean.push_str(before);
        clean.push_str(if is_word { REDACTED } else { secret });
        rest = after;
    }
    clean.push_str(rest);
    clean
}

#[cfg(test)]
mod tests {
    use router_core::ProviderErrorKind;

    use super::*;

    fn clean(secrets: &[&str], message: &str) -> String {
        let mut redactor = Redactor::default();
        for secret in secrets {
            redactor.add(&SecretString::from(*secret));
        }
        let error = ProviderError::new(ProviderErrorKind::Server, message).with_code(message);
        let error = redactor.clean(error);
        if error.message().chars().count() < MAX_CODE {
            assert_eq!(error.code(), Some(error.message()));
        }
        error.message().to_owned()
    }

    #[test]
    fn credentials_are_taken_out_of_messages_and_codes() {
        let check = |secrets: &[&str], message: &str, expected: &str| {
            assert_eq!(clean(secrets, message), expected, "{secrets:?} {message}");
        };
        check(&["sk-verysecret"], "bad key sk-verysecret!", "bad key [redacted]!");
        check(&["sk-verysecret"], "xsk-verysecretx", "x[redacted]x");
        check(&["Bearer tok-123456789"], "got tok-123456789", "got [redacted]");
        check(&["abcdefgh", "abcdefghijkl"], "abcdefghijkl abcdefgh", "[redacted] [redacted]");
        check(&["none"], "none of the nonexistent: none", "[redacted] of the nonexistent: [redacted]");
        check(&["x"], "max x", "max [redacted]");
        check(&[""], "a  b\n c\u{0}d", "a b c d");
    }

    #[test]
    fn a_key_at_the_cut_does_not_survive_in_part() {
        let message = format!("{}sk-verysecretkey", "x".repeat(MAX_MESSAGE - 5));
        let cleaned = clean(&["sk-verysecretkey"], &message);
        assert!(!cleaned.contains("sk-"), "{cleaned}");
        assert_eq!(cleaned.chars().count(), MAX_MESSAGE + 1);
    }

    #[test]
    fn debug_output_shows_no_secret() {
        let mut redactor = Redactor::default();
        redactor.add(&SecretString::from("sk-verysecret"));
        assert!(!format!("{redactor:?}").contains("very"));
    }
}
