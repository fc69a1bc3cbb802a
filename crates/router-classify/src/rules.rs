//! The user's own rules: what they say is certain.

use std::sync::Arc;

use regex::RegexSet;

use crate::features::{Phrases, Text};
use crate::query::Query;

/// What makes a request belong to a label: any one of these is enough.
///
/// Signals are words or phrases. They match whole words, whatever their case and accents, in scripts without spaces anywhere.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rule {
    /// The label.
    pub label: String,
    /// Signals in the last user message.
    pub signals: Vec<String>,
    /// Regular expressions for the last user message; `(?i)` at the beginning makes one ignore case.
    pub regex: Vec<String>,
    /// Signals in the system prompt.
    pub system: Vec<String>,
    /// Values in the request's `metadata`, by key; in a list, one that is among them.
    pub metadata: Vec<(String, String)>,
}

impl Rule {
    /// Starts a rule that never fires.
    pub fn new(label: impl Into<String>) -> Self {
        Self { label: label.into(), ..Self::default() }
    }
}

/// A rule that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RuleError {
    /// A regular expression is wrong.
    #[error("the rule for `{label}` has a wrong regular expression: {message}")]
    Regex {
        /// The rule's label.
        label: String,
        /// What is wrong with it.
        message: String,
    },
    /// It can never fire.
    #[error("the rule for `{label}` has no condition: give it `signals`, `regex`, `system` or `metadata`")]
    Empty {
        /// The rule's label.
        label: String,
    },
    /// There are too many.
    #[error("there are more than 65535 rules")]
    TooMany,
}

/// The keyword list that many tutorials route by. It is right about half the time, so nobody asks it unless told to.
pub fn keywords() -> Vec<Rule> {
    let rule = |label: &str, signals: &[&str]| Rule {
        signals: signals.iter().map(ToString::to_string).collect(),
        ..Rule::new(label)
    };
    vec![
        rule("math", &["calculate", "solve", "equation", "proof", "derivative", "integral", "%", "how many"]),
        rule("code", &["write a function", "debug", "refactor", "implement", "sql", "regex", "script"]),
        rule("creative", &["write a story", "poem", "essay", "blog post", "marketing copy", "tone"]),
    ]
}

/// Rules, ready to be asked.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    labels: Vec<Arc<str>>,
    signals: Phrases,
    system: Phrases,
    regexes: RegexSet,
    /// The rule of each regular expression.
    regex_rules: Vec<u16>,
    metadata: Vec<(u16, String, String)>,
}

impl Rules {
    pub(crate) fn new(rules: &[Rule]) -> Result<Self, RuleError> {
        let mut regexes = Vec::new();
        let mut regex_rules = Vec::new();
        let mut metadata = Vec::new();
        for (n, rule) in rules.iter().enumerate() {
            let number = u16::try_from(n).map_err(|_| RuleError::TooMany)?;
            let Rule { label, signals, regex, system, metadata: values } = rule;
            if signals.is_empty() && regex.is_empty() && system.is_empty() && values.is_empty() {
                return Err(RuleError::Empty { label: label.clone() });
            }
            for pattern in regex {
                // Compiled alone first, so that an error names its rule.
                regex::Regex::new(pattern)
                    .map_err(|error| RuleError::Regex { label: label.clone(), message: error.to_string() })?;
                regexes.push(pattern);
                regex_rules.push(number);
            }
            metadata.extend(values.iter().map(|(key, value)| (number, key.clone(), value.clone())));
        }
        let regexes = RegexSet::new(regexes).map_err(|error| RuleError::Regex {
            label: "all rules".to_owned(),
            message: error.to_string(),
        })?;
        let phrases = |of: fn(&Rule) -> &Vec<String>| {
            Phrases::new(
                rules.iter().zip(0..).flat_map(|(rule, n)| of(rule).iter().map(move |p| (p.as_str(), n))),
            )
        };
        Ok(Self {
            labels: rules.iter().map(|rule| Arc::from(rule.label.as_str())).collect(),
            signals: phrases(|rule| &rule.signals),
            system: phrases(|rule| &rule.system),
            regexes,
            regex_rules,
            metadata,
        })
    }

    /// Returns the label of the first rule that fires.
    pub(crate) fn decide(&self, query: &Query<'_>, text: &Text) -> Option<&Arc<str>> {
        let by_signal = self.signals.lowest(text.tokens());
        let by_regex = if self.regex_rules.is_empty() {
            None
        } else {
            let matches = self.regexes.matches(query.text());
            matches.iter().filter_map(|at| self.regex_rules.get(at)).min().copied()
        };
        let system = query.system().filter(|_| !self.system.is_empty());
        let by_system = system.and_then(|system| self.system.lowest(Text::read(system).tokens()));
        let metadata = self.metadata.iter().find(|(_, key, value)| query.has_metadata(key, value));
        let by_metadata = metadata.map(|(rule, _, _)| *rule);
        let first = [by_signal, by_regex, by_system, by_metadata].into_iter().flatten().min()?;
        self.labels.get(usize::from(first))
    }

    pub(crate) fn labels(&self) -> &[Arc<str>] {
        &self.labels
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decide(rules: &[Rule], query: &Query<'_>) -> Option<String> {
        let rules = Rules::new(rules).unwrap();
        rules.decide(query, &Text::read(query.text())).map(|label| label.to_string())
    }

    fn signals(label: &str, signals: &[&str]) -> Rule {
        Rule { signals: signals.iter().map(ToString::to_string).collect(), ..Rule::new(label) }
    }

    #[test]
    fn the_first_rule_that_fires_decides() {
        let rules = [signals("legal", &["contract", "Vertrag"]), signals("billing", &["invoice"])];
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(decide(&rules, &Query::new(text)).as_deref(), expected, "{text}");
        };
        check("The invoice for our CONTRACT", Some("legal"));
        check("The invoice", Some("billing"));
        check("ein Vertrag?", Some("legal"));
        check("Contractors invoiced us", None);
    }

    #[test]
    fn a_regex_the_system_prompt_or_metadata_can_decide() {
        let ticket = Rule { regex: vec![r"(?i)\bticket-\d+".into()], ..Rule::new("support") };
        let tutor = Rule { system: vec!["math tutor".into()], ..Rule::new("math") };
        let team = Rule { metadata: vec![("team".into(), "dev".into())], ..Rule::new("code") };
        let rules = [ticket, tutor, team];
        assert_eq!(decide(&rules, &Query::new("About TICKET-12")).as_deref(), Some("support"));
        let query = Query::new("hello").with_system("You are a Math Tutor.");
        assert_eq!(decide(&rules, &query).as_deref(), Some("math"));
        let request = router_core::ChatRequest::from_json(
            r#"{"model":"auto","messages":[],"metadata":{"team":"dev"}}"#,
        );
        assert_eq!(decide(&rules, &Query::of(&request.unwrap())).as_deref(), Some("code"));
        assert_eq!(decide(&rules, &Query::new("hello")), None);
    }

    #[test]
    fn mistakes_name_their_rule() {
        let error = Rules::new(&[Rule { regex: vec!["(".into()], ..Rule::new("a") }]).unwrap_err();
        assert!(error.to_string().starts_with("the rule for `a` has a wrong regular expression"), "{error}");
        let error = Rules::new(&[Rule::new("b")]).unwrap_err();
        assert!(error.to_string().contains("`b` has no condition"), "{error}");
    }

    #[test]
    fn keywords_match_words_and_not_parts_of_them() {
        let rules = keywords();
        assert_eq!(decide(&rules, &Query::new("Please debug this")).as_deref(), Some("code"));
        assert_eq!(decide(&rules, &Query::new("a description to be resolved")), None);
        assert_eq!(decide(&rules, &Query::new("20% of that")).as_deref(), Some("math"));
    }
}
