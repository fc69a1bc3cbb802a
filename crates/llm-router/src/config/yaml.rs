//! Walks a YAML document and remembers where everything stands, so that a complaint can name its line.

use std::cell::RefCell;
use std::fmt;
use std::time::Duration;

use saphyr::{LoadableYamlNode, MarkedYaml, Scalar, YamlData};
use secrecy::SecretString;

use super::{Location, Problem};
use crate::suggest::closest;

/// Looks up an environment variable.
pub(super) type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Collects what is found wrong on the way.
pub(super) struct Reader<'a> {
    file: &'a str,
    environment: Environment<'a>,
    /// What the file itself puts into the environment.
    own_variables: RefCell<Vec<(String, String)>>,
    problems: RefCell<Vec<Problem>>,
    ignored: RefCell<Vec<Problem>>,
}

impl<'a> Reader<'a> {
    pub(super) const fn new(file: &'a str, environment: Environment<'a>) -> Self {
        Self {
            file,
            environment,
            own_variables: RefCell::new(Vec::new()),
            problems: RefCell::new(Vec::new()),
            ignored: RefCell::new(Vec::new()),
        }
    }

    /// Parses the text, which is not to be empty.
    pub(super) fn parse<'t>(&self, text: &'t str) -> Result<MarkedYaml<'t>, Problem> {
        match MarkedYaml::load_from_str(text) {
            Ok(documents) => {
                let first = documents.into_iter().next();
                first.ok_or_else(|| {
                    self.problem(1, 1, "", "the file is empty: expected at least `model_list`")
                })
            }
            Err(error) => {
                let marker = error.marker();
                let message = format!("not valid YAML: {}", error.info());
                Err(self.problem(marker.line(), marker.col() + 1, "", message))
            }
        }
    }

    pub(super) fn root<'r>(&'r self, yaml: &'r MarkedYaml<'r>) -> Node<'r> {
        Node { reader: self, path: String::new(), yaml, key: None }
    }

    pub(super) fn add_variable(&self, name: String, value: String) {
        self.own_variables.borrow_mut().push((name, value));
    }

    fn variable(&self, name: &str) -> Option<String> {
        let own = self.own_variables.borrow();
        let found = own.iter().find(|(own, _)| own == name).map(|(_, value)| value.clone());
        found.or_else(|| (self.environment)(name)).filter(|value| !value.is_empty())
    }

    fn problem(&self, line: usize, column: usize, path: &str, message: impl Into<String>) -> Problem {
        let location = Location { file: self.file.to_owned(), line, column };
        Problem { location: Some(location), path: path.to_owned(), message: message.into() }
    }

    fn complain(&self, line: usize, column: usize, path: &str, message: impl Into<String>) {
        let problem = self.problem(line, column, path, message);
        self.problems.borrow_mut().push(problem);
    }

    /// Returns the problems and the keys that are not supported.
    pub(super) fn finish(self) -> (Vec<Problem>, Vec<Problem>) {
        (self.problems.into_inner(), self.ignored.into_inner())
    }
}

/// One value of the document, with its path.
#[derive(Clone)]
pub(super) struct Node<'r> {
    reader: &'r Reader<'r>,
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
        Location { file: self.reader.file.to_owned(), line, column }
    }

    fn position(&self) -> (usize, usize) {
        let start = self.yaml.span.start;
        match (start.line(), self.key) {
            (0, Some(key)) => key,
            (line, _) => (line, start.col() + 1),
        }
    }

    pub(super) fn complain(&self, message: impl Into<String>) {
        let (line, column) = self.position();
        self.reader.complain(line, column, &self.path, message);
    }

    fn expected<T>(&self, what: &str) -> Option<T> {
        self.complain(format!("expected {what}, found {}", Found(self.yaml)));
        None
    }

    fn is_null(&self) -> bool {
        matches!(self.yaml.data, YamlData::Value(Scalar::Null))
    }

    /// Reads a mapping, whose keys are then asked for by name.
    pub(super) fn section(&self) -> Option<Section<'r>> {
        match &self.yaml.data {
            YamlData::Mapping(_) => Some(Section { node: self.clone(), asked: RefCell::new(Vec::new()) }),
            _ => self.expected("a mapping"),
        }
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
                let message = format!("expected a name as key, found {}", Found(key));
                self.reader.complain(key.span.start.line(), key.span.start.col() + 1, &self.path, message);
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
        let item = |(n, yaml)| Node {
            reader: self.reader,
            path: format!("{}[{n}]", self.path),
            yaml,
            key: self.key,
        };
        items.iter().enumerate().map(item).collect()
    }

    fn child(&self, name: &str, key: &MarkedYaml<'_>, yaml: &'r MarkedYaml<'r>) -> Self {
        let path = if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) };
        let key = Some((key.span.start.line(), key.span.start.col() + 1));
        Node { reader: self.reader, path, yaml, key }
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

/// A mapping with a fixed set of keys.
pub(super) struct Section<'r> {
    node: Node<'r>,
    asked: RefCell<Vec<&'static str>>,
}

impl<'r> Section<'r> {
    /// Returns the value of a key; `None` when it is not there or empty.
    pub(super) fn get(&self, name: &'static str) -> Option<Node<'r>> {
        self.asked.borrow_mut().push(name);
        let (key, value) = find(self.node.yaml, name)?;
        let node = self.node.child(name, key, value);
        (!node.is_null()).then_some(node)
    }

    /// Like [`get`](Self::get), but complains when it is not there.
    pub(super) fn require(&self, name: &'static str, what: &str) -> Option<Node<'r>> {
        let found = self.get(name);
        if found.is_none() {
            self.node.complain(format!("`{name}` is missing: expected {what}"));
        }
        found
    }

    /// Lists the keys nobody asked for as not supported.
    pub(super) fn finish(self) {
        let asked = self.asked.into_inner();
        for (name, node) in self.node.entries() {
            if asked.contains(&name.as_str()) || name == MERGE {
                continue;
            }
            let hint = closest(&name, &asked).map(|near| format!("; did you mean `{near}`?"));
            let message = format!("not supported, ignored{}", hint.unwrap_or_default());
            let problem = Problem { location: Some(node.location()), path: node.path, message };
            node.reader.ignored.borrow_mut().push(problem);
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
