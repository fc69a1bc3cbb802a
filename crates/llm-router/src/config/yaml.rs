//! Walks a YAML document and remembers where everything stands, so that a complaint can name its line.

use std::cell::RefCell;
use std::fmt;
use std::time::Duration;

use saphyr::{LoadableYamlNode, MarkedYaml, Scalar, YamlData};
use secrecy::SecretString;

use super::keys::Keys;
use super::{Location, Problem};
use crate::suggest::closest;

/// Looks up an environment variable.
pub(super) type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// A text of YAML, and the name of its file.
pub(super) struct Document<'t> {
    file: &'t str,
    yaml: MarkedYaml<'t>,
}

impl<'t> Document<'t> {
    /// Parses a text, which is not to be empty.
    pub(super) fn parse(text: &'t str, file: &'t str) -> Result<Self, Problem> {
        let problem = |line, column, message: String| {
            let location = Some(Location { file: file.to_owned(), line, column });
            Problem { location, path: String::new(), message }
        };
        match MarkedYaml::load_from_str(text) {
            Ok(documents) => match documents.into_iter().next() {
                Some(yaml) => Ok(Self { file, yaml }),
                None => Err(problem(1, 1, "the file is empty: expected at least `model_list`".to_owned())),
            },
            Err(error) => {
                let (marker, message) = (error.marker(), format!("not valid YAML: {}", error.info()));
                Err(problem(marker.line(), marker.col() + 1, message))
            }
        }
    }

    pub(super) fn root<'r>(&'r self, reader: &'r Reader<'r>) -> Node<'r> {
        Node { reader, file: self.file, path: String::new(), yaml: &self.yaml, key: None }
    }
}

/// Collects what is found wrong on the way.
pub(super) struct Reader<'a> {
    environment: Environment<'a>,
    /// What the file itself puts into the environment.
    own_variables: RefCell<Vec<(String, String)>>,
    problems: RefCell<Vec<Problem>>,
    ignored: RefCell<Vec<Problem>>,
}

impl<'a> Reader<'a> {
    pub(super) const fn new(environment: Environment<'a>) -> Self {
        Self {
            environment,
            own_variables: RefCell::new(Vec::new()),
            problems: RefCell::new(Vec::new()),
            ignored: RefCell::new(Vec::new()),
        }
    }

    pub(super) fn add_variable(&self, name: String, value: String) {
        self.own_variables.borrow_mut().push((name, value));
    }

    /// Returns what the file itself puts into the environment.
    pub(super) fn own_variables(&self) -> Vec<(String, String)> {
        self.own_variables.borrow().clone()
    }

    fn variable(&self, name: &str) -> Option<String> {
        let own = self.own_variables.borrow();
        let found = own.iter().find(|(own, _)| own == name).map(|(_, value)| value.clone());
        found.or_else(|| (self.environment)(name)).filter(|value| !value.is_empty())
    }

    /// Returns the problems and the keys that do nothing. What a list repeats is told once.
    pub(super) fn finish(self) -> (Vec<Problem>, Vec<Problem>) {
        let mut told: Vec<(String, Problem)> = Vec::new();
        let mut ignored = self.ignored.into_inner();
        ignored.sort_by_key(|problem| problem.location.as_ref().map(|place| (place.line, place.column)));
        for problem in ignored {
            let kind = without_positions(&problem.path);
            if !told.iter().any(|(known, earlier)| *known == kind && earlier.message == problem.message) {
                told.push((kind, problem));
            }
        }
        (self.problems.into_inner(), told.into_iter().map(|(_, problem)| problem).collect())
    }
}

/// A path without the positions in lists: `model_list[].litellm_params.model`.
fn without_positions(path: &str) -> String {
    path.chars().filter(|letter| !letter.is_ascii_digit()).collect()
}

/// One value of a document, with its path.
#[derive(Clone)]
pub(super) struct Node<'r> {
    reader: &'r Reader<'r>,
    file: &'r str,
    path: String,
    yaml: &'r MarkedYaml<'r>,
    /// Where its key stands, for values that are nowhere, such as an empty one.
    key: Option<(usize, usize)>,
}

impl<'r> Node<'r> {
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    pub(super) fn location(&self) -> Location {
        let (line, column) = self.position();
        Location { file: self.file.to_owned(), line, column }
    }

    fn position(&self) -> (usize, usize) {
        let start = self.yaml.span.start;
        match (start.line(), self.key) {
            (0, Some(key)) => key,
            (line, _) => (line, start.col() + 1),
        }
    }

    pub(super) fn complain(&self, message: impl Into<String>) {
        let problem = self.problem(message);
        self.reader.problems.borrow_mut().push(problem);
    }

    /// Tells that it does nothing.
    pub(super) fn ignore(&self, message: impl Into<String>) {
        let problem = self.problem(message);
        self.reader.ignored.borrow_mut().push(problem);
    }

    fn problem(&self, message: impl Into<String>) -> Problem {
        Problem { location: Some(self.location()), path: self.path.clone(), message: message.into() }
    }

    fn expected<T>(&self, what: &str) -> Option<T> {
        self.complain(format!("expected {what}, found {}", Found(self.yaml)));
        None
    }

    pub(super) const fn is_mapping(&self) -> bool {
        matches!(self.yaml.data, YamlData::Mapping(_))
    }

    fn is_null(&self) -> bool {
        matches!(self.yaml.data, YamlData::Value(Scalar::Null))
    }

    /// Reads a mapping, whose keys are then asked for by name.
    pub(super) fn section(&self, keys: &'static Keys) -> Option<Section<'r>> {
        Section::of(vec![self.clone()], keys)
    }

    /// The variable that it names and that is not set, if it is such a value.
    fn unset_variable(&self) -> Option<&str> {
        let YamlData::Value(Scalar::String(text)) = &self.yaml.data else { return None };
        let name = text.strip_prefix("os.environ/")?;
        self.reader.variable(name).is_none().then_some(name)
    }

    /// Reads a mapping whose keys are names that the user chose.
    pub(super) fn entries(&self) -> Vec<(String, Self)> {
        let YamlData::Mapping(mapping) = &self.yaml.data else {
            self.expected::<()>("a mapping");
            return Vec::new();
        };
        let entry = |(key, value): (&'r MarkedYaml<'r>, &'r MarkedYaml<'r>)| match &key.data {
            YamlData::Value(Scalar::String(name)) => Some((name.to_string(), self.child(name, key, value))),
            _ => {
                let start = key.span.start;
                let position = Some((start.line(), start.col() + 1));
                let key_node = Node { yaml: key, key: position, ..self.clone() };
                key_node.complain(format!("expected a name as key, found {}", Found(key)));
                None
            }
        };
        mapping.iter().filter_map(entry).collect()
    }

    pub(super) fn list(&self) -> Vec<Self> {
        let YamlData::Sequence(items) = &self.yaml.data else {
            self.expected::<()>("a list");
            return Vec::new();
        };
        let item = |(n, yaml)| Node { path: format!("{}[{n}]", self.path), yaml, ..self.clone() };
        items.iter().enumerate().map(item).collect()
    }

    fn child(&self, name: &str, key: &MarkedYaml<'_>, yaml: &'r MarkedYaml<'r>) -> Self {
        let path = if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) };
        let key = Some((key.span.start.line(), key.span.start.col() + 1));
        Node { reader: self.reader, file: self.file, path, yaml, key }
    }

    /// Reads a text, with `os.environ/NAME` resolved; an unset variable is a problem.
    pub(super) fn string(&self) -> Option<String> {
        let YamlData::Value(scalar) = &self.yaml.data else {
            return self.expected("a text");
        };
        let text = match scalar {
            Scalar::String(text) => text.to_string(),
            // People write ids and versions without quotes.
            Scalar::Integer(number) => number.to_string(),
            Scalar::FloatingPoint(number) => number.to_string(),
            Scalar::Boolean(_) | Scalar::Null => return self.expected("a text"),
        };
        let Some(name) = text.strip_prefix("os.environ/") else {
            return Some(text);
        };
        let value = self.reader.variable(name);
        if value.is_none() {
            self.complain(format!(
                "the environment variable {name} is not set: export it, or write the value here"
            ));
        }
        value
    }

    pub(super) fn secret(&self) -> Option<SecretString> {
        self.string().map(SecretString::from)
    }

    pub(super) fn number(&self) -> Option<f64> {
        let number = match self.scalar() {
            Some(Scalar::Integer(number)) => number as f64,
            Some(Scalar::FloatingPoint(number)) => number.into_inner(),
            _ => return self.expected("a number"),
        };
        Some(number)
    }

    pub(super) fn integer(&self) -> Option<u64> {
        match self.scalar() {
            Some(Scalar::Integer(number)) if number >= 0 => u64::try_from(number).ok(),
            _ => self.expected("a whole number that is not negative"),
        }
    }

    pub(super) fn boolean(&self) -> Option<bool> {
        match self.scalar() {
            Some(Scalar::Boolean(value)) => Some(value),
            _ => self.expected("`true` or `false`"),
        }
    }

    /// Reads one of these words.
    pub(super) fn choice(&self, words: &[&str]) -> Option<String> {
        let word = self.string()?;
        if words.contains(&word.as_str()) {
            return Some(word);
        }
        self.complain(format!("expected one of {}, found `{word}`", words.join(", ")));
        None
    }

    pub(super) fn count(&self) -> Option<u32> {
        let number = self.integer()?;
        u32::try_from(number).ok().or_else(|| self.expected("a smaller number"))
    }

    /// Reads a span in seconds.
    pub(super) fn seconds(&self) -> Option<Duration> {
        let seconds = match self.scalar() {
            Some(Scalar::Integer(number)) => u64::try_from(number).ok().map(Duration::from_secs),
            Some(Scalar::FloatingPoint(number)) => Duration::try_from_secs_f64(number.into_inner()).ok(),
            _ => None,
        };
        // A year and more is a slip of the pen, and would overflow further on.
        let sensible = seconds.filter(|span| *span < Duration::from_secs(365 * 86_400));
        sensible.or_else(|| self.expected("a number of seconds that is not negative"))
    }

    /// The scalar as it stands, or what the environment variable it names holds.
    fn scalar(&self) -> Option<Scalar<'static>> {
        let YamlData::Value(scalar) = &self.yaml.data else {
            return None;
        };
        match scalar {
            Scalar::String(text) if text.starts_with("os.environ/") => {
                let value = self.string()?;
                let parsed = Scalar::parse_from_cow(value.into());
                Some(owned(&parsed))
            }
            other => Some(owned(other)),
        }
    }
}

fn owned(scalar: &Scalar<'_>) -> Scalar<'static> {
    match scalar {
        Scalar::Null => Scalar::Null,
        Scalar::Boolean(value) => Scalar::Boolean(*value),
        Scalar::Integer(value) => Scalar::Integer(*value),
        Scalar::FloatingPoint(value) => Scalar::FloatingPoint(*value),
        Scalar::String(value) => Scalar::String(value.to_string().into()),
    }
}

/// A mapping with a fixed set of keys: one, or what several files say under the same name, of which the first to have a key is heard.
pub(super) struct Section<'r> {
    nodes: Vec<Node<'r>>,
    keys: &'static Keys,
    /// Whether a value that names an unset variable is an error; else it is as good as none.
    strict: bool,
}

impl<'r> Section<'r> {
    /// Reads these mappings as one; `None` when one of them is none.
    pub(super) fn of(nodes: Vec<Node<'r>>, keys: &'static Keys) -> Option<Self> {
        let complaints: Vec<&Node<'r>> =
            nodes.iter().filter(|node| !matches!(node.yaml.data, YamlData::Mapping(_))).collect();
        if complaints.is_empty() {
            return Some(Self { nodes, keys, strict: false });
        }
        complaints.into_iter().for_each(|node| {
            node.expected::<()>("a mapping");
        });
        None
    }

    /// Makes values that name an unset variable errors.
    pub(super) const fn strict(mut self) -> Self {
        self.strict = true;
        self
    }

    /// Returns the value of a key; `None` when it is not there or empty.
    pub(super) fn get(&self, name: &'static str) -> Option<Node<'r>> {
        self.all(name).into_iter().next()
    }

    /// Returns the value of a key in each file that has one.
    pub(super) fn all(&self, name: &'static str) -> Vec<Node<'r>> {
        debug_assert!(self.keys.honoured.iter().any(|key| key.name == name), "`{name}` is in no table");
        let found = self.nodes.iter().filter_map(|node| {
            let (key, value) = find(node.yaml, name)?;
            let child = node.child(name, key, value);
            match child.unset_variable() {
                _ if child.is_null() => None,
                Some(variable) if !self.strict => {
                    child.ignore(format!("not set, since the environment variable {variable} is not"));
                    None
                }
                _ => Some(child),
            }
        });
        found.collect()
    }

    /// Like [`get`](Self::get), but complains when it is not there.
    pub(super) fn require(&self, name: &'static str, what: &str) -> Option<Node<'r>> {
        let found = self.get(name);
        if let (None, Some(node)) = (&found, self.nodes.first()) {
            node.complain(format!("`{name}` is missing: expected {what}"));
        }
        found
    }

    /// Lists the keys that nobody honours, with why or with what was probably meant.
    pub(super) fn finish(self) {
        for (name, node) in self.nodes.iter().flat_map(Node::entries) {
            let is_honoured = self.keys.honoured.iter().any(|key| key.name == name);
            if is_honoured || name == MERGE {
                continue;
            }
            let reason = self.keys.not_supported.iter().find(|(known, _)| *known == name);
            let names: Vec<&str> = self.keys.honoured.iter().map(|key| key.name).collect();
            let more = match reason {
                Some((_, reason)) => format!(": {reason}"),
                None => closest(&name, &names)
                    .map_or_else(String::new, |near| format!("; did you mean `{near}`?")),
            };
            node.ignore(format!("not supported, ignored{more}"));
        }
    }
}

/// The key that brings in another mapping's keys, as YAML 1.1 has it and people's anchors rely on.
const MERGE: &str = "<<";

/// Finds a key of a mapping, or of what is merged into it.
fn find<'r>(yaml: &'r MarkedYaml<'r>, name: &str) -> Option<(&'r MarkedYaml<'r>, &'r MarkedYaml<'r>)> {
    let YamlData::Mapping(mapping) = &yaml.data else {
        return None;
    };
    let entry = |name: &str| {
        mapping
            .iter()
            .find(|(key, _)| matches!(&key.data, YamlData::Value(Scalar::String(key)) if key == name))
    };
    entry(name).or_else(|| {
        let (_, merged) = entry(MERGE)?;
        match &merged.data {
            YamlData::Sequence(mappings) => mappings.iter().find_map(|mapping| find(mapping, name)),
            _ => find(merged, name),
        }
    })
}

/// Says what stands somewhere, without showing it when it may be a secret.
struct Found<'y>(&'y MarkedYaml<'y>);

impl fmt::Display for Found<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.data {
            YamlData::Value(Scalar::Null) => f.write_str("nothing"),
            YamlData::Value(Scalar::Boolean(value)) => write!(f, "`{value}`"),
            YamlData::Value(Scalar::Integer(value)) => write!(f, "`{value}`"),
            YamlData::Value(Scalar::FloatingPoint(value)) => write!(f, "`{value}`"),
            YamlData::Value(Scalar::String(_)) => f.write_str("a text"),
            YamlData::Sequence(_) => f.write_str("a list"),
            YamlData::Mapping(_) => f.write_str("a mapping"),
            _ => f.write_str("something else"),
        }
    }
}
