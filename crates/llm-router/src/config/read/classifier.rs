//! `router_settings.classifier`.

use std::time::Duration;

use router_classify::{
    Destination, Labelled, Query, QueryLine, Rule, TaskClassifier, TaskClassifierBuilder, TaskModel, Tiers,
    keywords, read_examples, threshold_for_share, train,
};
use router_core::{Alias, Place};

use crate::auto::{AutoRouting, LlmLayer};
use crate::builder::RouterBuilder;
use crate::config::keys::{CLASSIFIER, RULE};
use crate::config::yaml::{Node, Section};

/// What makes no classifier: where, and why. What is wrong with a single value is complained about at once.
type Wrong = (Place, String);

const WHOLE: Place = Place::Setting("classifier");
const TIERS: Place = Place::Setting("classifier.tiers");
const LABELS: Place = Place::Setting("classifier.labels");

pub(super) fn read(mut builder: RouterBuilder, node: &Node<'_>) -> RouterBuilder {
    let Some(section) = node.section(&CLASSIFIER) else { return builder };
    builder.at(WHOLE, node.path(), node.location());
    for (name, place) in [
        ("labels", LABELS),
        ("tiers", TIERS),
        ("llm", Place::Setting("classifier.llm")),
        ("threshold", Place::Setting("classifier.threshold")),
        ("rules", Place::Setting("classifier.rules")),
        ("examples", Place::Setting("classifier.examples")),
    ] {
        if let Some(node) = section.get(name) {
            builder.at(place, node.path(), node.location());
        }
    }
    let alias = section.get("alias").and_then(|node| node.string()).unwrap_or_else(|| "auto".to_owned());
    let llm = llm(&section);
    let classifier = classifier(&section);
    section.finish();
    match classifier {
        Ok(classifier) => {
            let routing = AutoRouting::new(alias, classifier);
            builder.auto_routing(match llm {
                Some(llm) => routing.llm(llm),
                None => routing,
            })
        }
        Err((place, why)) => builder.no_classifier(place, why),
    }
}

fn llm(section: &Section<'_>) -> Option<LlmLayer> {
    let mut layer = section.get("llm").and_then(|node| node.string()).map(LlmLayer::new);
    macro_rules! set {
        ($name:literal, $read:ident, $set:expr) => {
            if let Some(node) = section.get($name) {
                let value = node.$read();
                match layer.take() {
                    Some(known) => layer = Some(value.map_or(known.clone(), |value| $set(known, value))),
                    None => node.ignore("not supported, ignored: without `llm` there is nobody to ask"),
                }
            }
        };
    }
    set!("threshold", number, |layer: LlmLayer, value: f64| layer.threshold(value));
    set!("llm_max_tokens", count, |layer: LlmLayer, value: u32| layer.max_tokens(value));
    set!("llm_timeout", seconds, |layer: LlmLayer, value: Duration| layer.time_limit(value));
    set!("llm_cache_size", count, |layer: LlmLayer, value: u32| layer
        .cache_size(usize::try_from(value).unwrap_or(usize::MAX)));
    layer
}

fn classifier(section: &Section<'_>) -> Result<TaskClassifier, Wrong> {
    let rules = section.get("rules").map(|node| node.list()).unwrap_or_default();
    let mut builder =
        rules.iter().filter_map(rule).fold(TaskClassifier::builder(), TaskClassifierBuilder::rule);
    if section.get("keywords").and_then(|node| node.boolean()) == Some(true) {
        builder = keywords().into_iter().fold(builder, TaskClassifierBuilder::rule);
    }
    if let Some(node) = section.get("semantic") {
        builder = semantic(builder, &node);
    }
    if let Some(model) = model(section)? {
        builder = builder.model(model);
    }
    if section.get("model").and_then(|node| node.boolean()) == Some(false) {
        builder = builder.without_model();
    }
    let calibration = Calibration::new(section, &builder);
    if let Some(node) = section.get("labels") {
        for (label, destination) in labels(&node) {
            let destination = match destination {
                Raw::Alias(name) => Destination::Alias(alias(&name).map_err(|why| (LABELS, why))?),
                Raw::Tiers(tiers) => {
                    let tiers = calibration.tiers(&tiers, Some(&label));
                    Destination::Tiers(tiers.map_err(|why| (LABELS, format!("`{label}`: {why}")))?)
                }
            };
            builder = builder.route(&label, destination);
        }
    }
    if let Some(node) = section.get("tiers") {
        let tiers = calibration.tiers(&raw_tiers(&node), None).map_err(|why| (TIERS, why))?;
        builder = builder.tiers(tiers);
    }
    builder.build().map_err(|error| (WHOLE, error.to_string()))
}

#[cfg(not(feature = "semantic"))]
fn semantic(builder: TaskClassifierBuilder, node: &Node<'_>) -> TaskClassifierBuilder {
    node.complain("this build has no embeddings: build it with `--features semantic`");
    builder
}

#[cfg(feature = "semantic")]
fn semantic(builder: TaskClassifierBuilder, node: &Node<'_>) -> TaskClassifierBuilder {
    use router_classify::{Embeddings, SemanticRoutes};

    use crate::config::keys::SEMANTIC;

    let Some(section) = node.section(&SEMANTIC) else { return builder };
    let folder = section.require("model", "the folder of a model2vec model").and_then(|node| node.string());
    let threshold = section.require("threshold", "a similarity from 0 to 1").and_then(|node| node.number());
    let routes = section.require("routes", "utterances by label").map(|node| node.entries());
    section.finish();
    let utterance = |(label, node): (String, Node<'_>)| -> Vec<(String, String)> {
        node.list().iter().filter_map(Node::string).map(|text| (label.clone(), text)).collect()
    };
    let utterances: Vec<(String, String)> = routes.into_iter().flatten().flat_map(utterance).collect();
    let (Some(folder), Some(threshold)) = (folder, threshold) else { return builder };
    let routes = Embeddings::from_folder(&folder).map_err(|error| error.to_string()).and_then(|embeddings| {
        let utterances = utterances.iter().map(|(label, text)| (label.as_str(), text.as_str()));
        SemanticRoutes::new(embeddings.into(), utterances, threshold).map_err(|error| error.to_string())
    });
    match routes {
        Ok(routes) => builder.semantic(routes),
        Err(why) => {
            node.complain(why);
            builder
        }
    }
}

fn rule(node: &Node<'_>) -> Option<Rule> {
    let section = node.section(&RULE)?;
    let label = section.require("label", "the label of what it matches").and_then(|node| node.string());
    let texts = |name| {
        let list = section.get(name).map(|node| node.list()).unwrap_or_default();
        list.iter().filter_map(Node::string).collect::<Vec<_>>()
    };
    let mut rule = Rule::new(label.unwrap_or_default());
    rule.signals = texts("signals");
    rule.regex = texts("regex");
    rule.system = texts("system");
    let metadata = section.get("metadata").map(|node| node.entries()).unwrap_or_default();
    rule.metadata = metadata.into_iter().filter_map(|(name, value)| Some((name, value.string()?))).collect();
    section.finish();
    Some(rule)
}

/// The model of the file, or one made from examples; `None` stands for the shipped one.
fn model(section: &Section<'_>) -> Result<Option<TaskModel>, Wrong> {
    let from_file = section.get("model_file").and_then(|node| {
        let model = TaskModel::from_file(node.string()?);
        model.map_err(|error| node.complain(with_cause(&error))).ok()
    });
    let mut examples: Vec<Labelled> = Vec::new();
    for (label, node) in section.get("examples").iter().flat_map(Node::entries) {
        let texts = node.list();
        let texts = texts.iter().filter_map(Node::string);
        examples.extend(texts.map(|text| Labelled { text, label: label.clone(), source: None }));
    }
    if let Some(node) = section.get("examples_file")
        && let Some(path) = node.string()
    {
        let read = std::fs::read_to_string(&path).map_err(|error| format!("{path} cannot be read: {error}"));
        match read.and_then(|lines| read_examples(&lines).map_err(|error| format!("{path}: {error}"))) {
            Ok(found) => examples.extend(found),
            Err(why) => node.complain(why),
        }
    }
    if from_file.is_some() || (section.get("examples").is_none() && examples.is_empty()) {
        return Ok(from_file);
    }
    let (model, held_out) =
        train(&examples).map_err(|error| (Place::Setting("classifier.examples"), error.to_string()))?;
    tracing::info!(
        examples = examples.len(),
        labels = model.labels().len(),
        held_out_accuracy = format!("{:.3}", held_out.accuracy()),
        "the classifier has learned from the examples"
    );
    Ok(Some(model))
}

fn with_cause(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

/// Where queries of a label go, as written.
enum Raw {
    Alias(String),
    Tiers(Vec<(String, Bound)>),
}

/// Where a tier begins, as written.
#[derive(Debug, Clone, Copy)]
enum Bound {
    Complexity(f64),
    /// The hardest of the queries, from 0 to 1.
    Share(f64),
}

/// A list of labels, which go to the alias of the same name, or a mapping.
fn labels(node: &Node<'_>) -> Vec<(String, Raw)> {
    if !node.is_mapping() {
        let names = node.list();
        return names.iter().filter_map(Node::string).map(|name| (name.clone(), Raw::Alias(name))).collect();
    }
    let entry = |(label, node): (String, Node<'_>)| {
        let to = if node.is_mapping() { Raw::Tiers(raw_tiers(&node)) } else { Raw::Alias(node.string()?) };
        Some((label, to))
    };
    node.entries().into_iter().filter_map(entry).collect()
}

fn raw_tiers(node: &Node<'_>) -> Vec<(String, Bound)> {
    node.entries().into_iter().filter_map(|(name, node)| Some((name, bound(&node)?))).collect()
}

fn bound(node: &Node<'_>) -> Option<Bound> {
    let text = node.string()?;
    let number = |text: &str| text.parse::<f64>().ok().filter(|number| number.is_finite());
    let bound = match text.strip_suffix('%') {
        Some(share) => number(share).map(|share| Bound::Share(share / 100.0)),
        None => number(&text).map(Bound::Complexity),
    };
    if bound.is_none() {
        node.complain(format!(
            "expected the complexity from 0 to 1 at which the tier begins, or a share of the queries such as `30%`, found `{text}`"
        ));
    }
    bound
}

/// The user's own queries, by which shares become bounds. Without them the scale itself is used: it is a rank among everyday queries.
struct Calibration {
    /// The complexity and the label of each.
    queries: Vec<(f64, String)>,
}

impl Calibration {
    fn new(section: &Section<'_>, builder: &TaskClassifierBuilder) -> Self {
        let read = |node: &Node<'_>| {
            let path = node.string()?;
            let queries = std::fs::read_to_string(&path)
                .map_err(|error| format!("{path} cannot be read: {error}"))
                .and_then(|lines| QueryLine::read_all(&lines).map_err(|error| format!("{path}: {error}")));
            queries.map_err(|why| node.complain(why)).ok()
        };
        // Where queries go makes no difference to what they are.
        let anywhere = || builder.clone().labels(["default"]).and_then(TaskClassifierBuilder::build).ok();
        let found = section.get("calibration_file").and_then(|node| read(&node));
        let Some((queries, classifier)) = found.and_then(|queries| Some((queries, anywhere()?))) else {
            return Self { queries: Vec::new() };
        };
        let one = |QueryLine { text }: QueryLine| {
            let answer = classifier.answer(&Query::new(&text));
            (answer.complexity, answer.label.to_string())
        };
        Self { queries: queries.into_iter().map(one).collect() }
    }

    /// Turns shares into bounds: of all queries, or of those of one label where there are any.
    fn tiers(&self, raw: &[(String, Bound)], of: Option<&str>) -> Result<Tiers, String> {
        let of_label = |label: &str| -> Vec<f64> {
            self.queries.iter().filter(|(_, own)| own == label).map(|(complexity, _)| *complexity).collect()
        };
        let mut complexities = of.map(of_label).unwrap_or_default();
        if complexities.is_empty() {
            complexities = self.queries.iter().map(|(complexity, _)| *complexity).collect();
        }
        let mut tiers = Vec::new();
        for (name, bound) in raw {
            let from = match *bound {
                Bound::Complexity(complexity) => complexity,
                Bound::Share(share) if !(0.0..=1.0).contains(&share) => {
                    return Err(format!("`{name}`: expected a share from 0% to 100%"));
                }
                Bound::Share(share) if complexities.is_empty() => 1.0 - share,
                Bound::Share(share) => threshold_for_share(&mut complexities, share),
            };
            tiers.push((alias(name)?, from));
        }
        Tiers::new(tiers).map_err(|error| error.to_string())
    }
}

fn alias(name: &str) -> Result<Alias, String> {
    Alias::try_from(name).map_err(|_| "an alias must not be blank".to_owned())
}
