//! Names with `*`.

use smallvec::SmallVec;

/// Returns what each `*` of a pattern stands for in a name, as little as possible each; `None` when the name does not match.
pub(crate) fn captures<'n>(pattern: &str, name: &'n str) -> Option<SmallVec<[&'n str; 2]>> {
    let mut captured = SmallVec::new();
    let mut parts = pattern.split('*');
    let mut rest = name.strip_prefix(parts.next()?)?;
    let Some(last) = parts.next_back() else { return rest.is_empty().then_some(captured) };
    for part in parts {
        let (between, after) = rest.split_once(part)?;
        captured.push(between);
        rest = after;
    }
    captured.push(rest.strip_suffix(last)?);
    Some(captured)
}

/// Puts what was captured into a template, from left to right. What is captured beyond its `*`s is dropped; a `*` without anything
/// captured for it stays empty.
pub(crate) fn fill(template: &str, captured: &[&str]) -> String {
    let mut captured = captured.iter();
    let mut parts = template.split('*');
    let mut filled = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        filled.push_str(captured.next().copied().unwrap_or_default());
        filled.push_str(part);
    }
    filled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_what_lies_between() {
        let check = |pattern: &str, name: &str, expected: Option<&[&str]>| {
            assert_eq!(captures(pattern, name).as_deref(), expected, "{pattern} {name}");
        };
        check("openai/*", "openai/gpt-5", Some(&["gpt-5"]));
        check("openai/*", "anthropic/claude", None);
        check("*-mini", "gpt-4o-mini", Some(&["gpt-4o"]));
        check("*/gpt-*", "azure/gpt-4", Some(&["azure", "4"]));
        check("*", "anything", Some(&["anything"]));
        check("gpt-4", "gpt-4", Some(&[]));
        check("gpt-4", "gpt-4o", None);
        check("a*a", "a", None);
    }

    #[test]
    fn a_template_takes_what_was_captured() {
        assert_eq!(fill("*", &["gpt-5"]), "gpt-5");
        assert_eq!(fill("models/*/v*", &["a", "2"]), "models/a/v2");
        assert_eq!(fill("fixed", &["a"]), "fixed");
    }
}
