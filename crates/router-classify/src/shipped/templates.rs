//! Fills hand-written templates, always in the same way. `text/templates/README.md` says how they are written.

use std::collections::{HashMap, HashSet};

use router_core::Dice;

use crate::training::Labelled;

/// A template that cannot be filled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct TemplateError {
    line: usize,
    message: String,
}

/// Fills every template of a file; the texts get this source.
pub(super) fn filled(file: &str, origin: &str) -> Result<Vec<Labelled>, TemplateError> {
    let mut all = Vec::new();
    fill_file(file, origin, &mut all).map_err(|(line, message)| TemplateError { line, message })?;
    Ok(all)
}

fn fill_file(file: &str, origin: &str, all: &mut Vec<Labelled>) -> Result<(), (usize, String)> {
    let mut slots: HashMap<&str, Vec<&str>> = HashMap::new();
    let mut section: Option<(&str, usize)> = None;
    for (line, number) in file.lines().zip(1..) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(slot) = line.strip_prefix('@') {
            let (name, values) = slot.split_once(':').ok_or((number, "a slot has no `:`".to_owned()))?;
            slots.insert(name.trim(), values.split(';').map(str::trim).collect());
        } else if let Some(head) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            let parsed = head.split_once(" x").and_then(|(label, times)| Some((label, times.parse().ok()?)));
            section = Some(parsed.ok_or((number, format!("expected `[label xN]`, found `[{head}]`")))?);
        } else {
            let (label, times) = section.ok_or((number, "a template before any `[label xN]`".to_owned()))?;
            let mut seen = HashSet::new();
            // Of its own, so that a change of one template changes no other.
            let mut dice = Dice::from_seed(
                line.bytes().fold(0_u64, |seed, byte| seed.wrapping_mul(31).wrapping_add(byte.into())),
            );
            for _ in 0..times {
                let mut text = String::new();
                fill(line, &slots, &mut dice, &mut text).map_err(|message| (number, message))?;
                if seen.insert(text.clone()) {
                    let (text, label) = (text.trim().to_owned(), label.to_owned());
                    all.push(Labelled { text, label, source: Some(origin.to_owned()) });
                }
            }
        }
    }
    Ok(())
}

/// Appends `template` to `out`, with a value for each slot and one of each choice.
fn fill(
    template: &str,
    slots: &HashMap<&str, Vec<&str>>,
    dice: &mut Dice,
    out: &mut String,
) -> Result<(), String> {
    let mut rest = template;
    while let Some(at) = rest.find(['{', '(']) {
        let (plain, special) = rest.split_at(at);
        out.push_str(plain);
        let close = if special.starts_with('{') { '}' } else { ')' };
        let end = matching(special, close);
        let Some((inside, after)) = end.and_then(|end| Some((special.get(1..end)?, special.get(end + 1..)?)))
        else {
            return Err(format!("`{special}` is not closed"));
        };
        rest = after;
        if close == '}' {
            value(inside, slots, dice, out)?;
        } else {
            let options = options(inside);
            if let [_] = options.as_slice() {
                // Brackets without a choice are brackets.
                out.push('(');
                fill(inside, slots, dice, out)?;
                out.push(')');
            } else if let Some(option) = pick(&options, dice) {
                fill(option, slots, dice, out)?;
            }
        }
    }
    out.push_str(rest);
    Ok(())
}

fn value(
    name: &str,
    slots: &HashMap<&str, Vec<&str>>,
    dice: &mut Dice,
    out: &mut String,
) -> Result<(), String> {
    match name {
        "n" => out.push_str(&(dice.below(97) + 2).to_string()),
        "N" => out.push_str(&(dice.below(4_900) + 100).to_string()),
        "d" => out.push_str(&format!("{}.{}", dice.below(90) + 1, dice.below(99) + 1)),
        "v" => out.push_str(pick(&["a", "b", "n", "p", "s", "x", "df", "my_list"], dice).unwrap_or(&"x")),
        _ => match slots.get(name) {
            Some(values) => fill(pick(values, dice).copied().unwrap_or_default(), slots, dice, out)?,
            // Braces that stand for themselves, as in code and formulas.
            None if name.contains(|c: char| !c.is_ascii_lowercase()) || name.is_empty() => {
                out.push('{');
                fill(name, slots, dice, out)?;
                out.push('}');
            }
            None => return Err(format!("there is no slot `{name}`")),
        },
    }
    Ok(())
}

fn pick<'a, T>(values: &'a [T], dice: &mut Dice) -> Option<&'a T> {
    values.get(usize::try_from(dice.below(values.len() as u64)).ok()?)
}

/// Where the bracket that opens `text` is closed.
fn matching(text: &str, close: char) -> Option<usize> {
    let open = text.chars().next()?;
    let mut depth = 0;
    text.char_indices().find_map(|(at, c)| {
        if c == open {
            depth += 1;
        } else if c == close {
            depth -= 1;
        }
        (depth == 0).then_some(at)
    })
}

/// Splits at the `|` that are in no inner brackets.
fn options(inside: &str) -> Vec<&str> {
    let mut depth = 0;
    inside
        .split(|c: char| {
            match c {
                '(' | '{' => depth += 1,
                ')' | '}' => depth -= 1,
                _ => {}
            }
            c == '|' && depth == 0
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(template: &str) -> Result<String, String> {
        let slots = HashMap::from([("animal", vec!["cat"]), ("pet", vec!["a {animal}"])]);
        let mut out = String::new();
        fill(template, &slots, &mut Dice::from_seed(1), &mut out).map(|()| out)
    }

    #[test]
    fn slots_and_choices_are_filled_to_any_depth() {
        assert_eq!(one("I have {pet}.").unwrap(), "I have a cat.");
        assert_eq!(one("(a {animal}|a {animal}) (yes)").unwrap(), "a cat (yes)");
        assert_eq!(one("{ x; } f({animal})").unwrap(), "{ x; } f(cat)");
    }

    #[test]
    fn mistakes_are_found() {
        assert_eq!(one("a {dog}").unwrap_err(), "there is no slot `dog`");
        assert_eq!(one("a (b").unwrap_err(), "`(b` is not closed");
    }

    #[test]
    fn a_file_is_filled_up_to_the_number_its_section_says() {
        let file = "# a comment\n@animal: cat; dog\n[default x9]\nthe {animal}\n[math x2]\n{n} + {n}\n";
        let texts = filled(file, "own").unwrap();
        assert_eq!(texts.iter().filter(|text| text.label == "default").count(), 2);
        assert_eq!(texts.iter().filter(|text| text.label == "math").count(), 2);
        assert_eq!(texts, filled(file, "own").unwrap());
        assert_eq!(
            filled("[x]\n", "own").unwrap_err().to_string(),
            "line 1: expected `[label xN]`, found `[x]`"
        );
    }
}
