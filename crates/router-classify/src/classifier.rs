//! The layers, the most trustworthy first: rules, then example utterances, then the model, then what everything else goes to.

use std::sync::Arc;
use std::time::Duration;

use router_core::{Alias, ChatRequest, Classification, Classifier, Layer};

use crate::complexity::ComplexityModel;
use crate::features::Text;
use crate::linear::Scores;
use crate::model::TaskModel;
use crate::query::Query;
use crate::rules::{Rule, RuleError, Rules};
#[cfg(feature = "semantic")]
use crate::semantic::SemanticRoutes;
use crate::tiers::Tiers;

/// Says what a request is about and how hard it is, and to which alias it goes.
///
/// ```
/// use router_classify::{Query, TaskClassifier};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let classifier = TaskClassifier::builder().labels(["math", "code", "creative", "default"])?.build()?;
/// let answer = classifier.answer(&Query::new("Write a haiku about autumn"));
/// assert_eq!(&*answer.label, "creative");
/// assert!(answer.confidence > 0.8);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct TaskClassifier {
    rules: Option<Rules>,
    #[cfg(feature = "semantic")]
    semantic: Option<SemanticRoutes>,
    model: Option<TaskModel>,
    complexity: Option<&'static ComplexityModel>,
    routes: Vec<(Arc<str>, Destination)>,
    rest: Destination,
}

/// What a query is about, without where it goes.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The label.
    pub label: Arc<str>,
    /// The probability that the label is right, from 0 to 1; 1 when a rule says so; of an example utterance, how similar it is.
    pub confidence: f64,
    /// Who decided.
    pub layer: Layer,
    /// How much a stronger model would help, from 0 to 1.
    pub complexity: f64,
}

/// Where the queries of a label go.
#[derive(Debug, Clone, PartialEq)]
pub enum Destination {
    /// All to one alias.
    Alias(Alias),
    /// By how hard they are.
    Tiers(Tiers),
}

impl Destination {
    /// Returns every alias that queries can go to.
    pub fn aliases(&self) -> Vec<&Alias> {
        match self {
            Self::Alias(alias) => vec![alias],
            Self::Tiers(tiers) => tiers.aliases().collect(),
        }
    }

    fn alias(&self, complexity: f64) -> &Alias {
        match self {
            Self::Alias(alias) => alias,
            Self::Tiers(tiers) => tiers.alias(complexity),
        }
    }
}

/// A classifier that cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClassifierError {
    /// A rule is wrong.
    #[error(transparent)]
    Rule(#[from] RuleError),
    /// A label has a blank name.
    #[error("a label must not be blank")]
    BlankLabel,
    /// Queries of a label would go nowhere.
    #[error(
        "queries of the label `{0}` go nowhere: list it under `labels`, or list `default`, or give `tiers`"
    )]
    NoDestination(String),
    /// No layer would decide and there is nowhere to go.
    #[error(
        "there are no labels and no tiers: give `labels`, such as [math, code, creative, default], or `tiers`"
    )]
    NoLabels,
    /// The model is not there.
    #[error("the model that is shipped cannot be read: the library was built without it")]
    NoModel,
}

/// Builds a [`TaskClassifier`].
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct TaskClassifierBuilder {
    rules: Vec<Rule>,
    #[cfg(feature = "semantic")]
    semantic: Option<SemanticRoutes>,
    model: Option<ModelChoice>,
    routes: Vec<(Arc<str>, Destination)>,
    tiers: Option<Tiers>,
}

#[derive(Debug, Clone)]
enum ModelChoice {
    Own(TaskModel),
    None,
}

impl TaskClassifierBuilder {
    /// Adds labels that go to the alias of the same name.
    ///
    /// # Errors
    /// When one is blank.
    pub fn labels<L: AsRef<str>>(
        mut self,
        labels: impl IntoIterator<Item = L>,
    ) -> Result<Self, ClassifierError> {
        for label in labels {
            let alias = Alias::try_from(label.as_ref()).map_err(|_| ClassifierError::BlankLabel)?;
            self = self.route(label.as_ref(), Destination::Alias(alias));
        }
        Ok(self)
    }

    /// Adds a label and where its queries go.
    pub fn route(mut self, label: &str, to: Destination) -> Self {
        self.routes.push((Arc::from(label), to));
        self
    }

    /// Sets where the queries go whose label has no route of its own. Default: where those of the label `default` go.
    pub fn tiers(mut self, tiers: Tiers) -> Self {
        self.tiers = Some(tiers);
        self
    }

    /// Adds a rule. The first that fires decides.
    pub fn rule(mut self, rule: Rule) -> Self {
        self.rules.push(rule);
        self
    }

    /// Adds routes by example utterances, which are asked after the rules.
    #[cfg(feature = "semantic")]
    pub fn semantic(mut self, routes: SemanticRoutes) -> Self {
        self.semantic = Some(routes);
        self
    }

    /// Sets another model than the shipped one.
    pub fn model(mut self, model: TaskModel) -> Self {
        self.model = Some(ModelChoice::Own(model));
        self
    }

    /// Leaves the model out: what no rule decides is `default`.
    pub fn without_model(mut self) -> Self {
        self.model = Some(ModelChoice::None);
        self
    }

    /// Checks that every label goes somewhere, and makes the classifier.
    ///
    /// # Errors
    /// When a rule is wrong, or queries of a label would go nowhere.
    pub fn build(self) -> Result<TaskClassifier, ClassifierError> {
        #[cfg(feature = "semantic")]
        let semantic = self.semantic.clone();
        #[cfg(feature = "semantic")]
        let of_routes = semantic.iter().flat_map(|routes| routes.labels().iter());
        #[cfg(not(feature = "semantic"))]
        let of_routes = std::iter::empty();
        let Self { rules, model, routes, tiers, .. } = self;
        let rules = if rules.is_empty() { None } else { Some(Rules::new(&rules)?) };
        let model = match model {
            None => Some(TaskModel::shipped().ok_or(ClassifierError::NoModel)?.clone()),
            Some(ModelChoice::Own(model)) => Some(model),
            Some(ModelChoice::None) => None,
        };
        let default = || routes.iter().find(|(label, _)| &**label == DEFAULT).map(|(_, to)| to.clone());
        let rest = tiers.map(Destination::Tiers).or_else(default);
        let of_rules = rules.iter().flat_map(|rules: &Rules| rules.labels().iter());
        let of_model = model.iter().flat_map(|model| model.labels().iter());
        for label in of_rules.chain(of_routes).chain(of_model) {
            if rest.is_none() && !routes.iter().any(|(known, _)| known == label) {
                return Err(if routes.is_empty() {
                    ClassifierError::NoLabels
                } else {
                    ClassifierError::NoDestination(label.to_string())
                });
            }
        }
        // Without it every label has a route, so the first is never taken.
        let rest =
            rest.or_else(|| routes.first().map(|(_, to)| to.clone())).ok_or(ClassifierError::NoLabels)?;
        Ok(TaskClassifier {
            rules,
            #[cfg(feature = "semantic")]
            semantic,
            model,
            complexity: ComplexityModel::shipped(),
            routes,
            rest,
        })
    }
}

/// The label of everything that is about nothing in particular.
const DEFAULT: &str = "default";

/// Below this confidence the context of a query is read, too.
const DOUBT: f32 = 0.8;
/// How much the message before counts, beside the last one. Chosen by reading conversations: there is no labelled corpus of them.
const PREVIOUS: f32 = 0.6;
/// How much the system prompt counts.
const SYSTEM: f32 = 0.4;

impl TaskClassifier {
    /// Starts a classifier with the shipped model and no rules.
    pub fn builder() -> TaskClassifierBuilder {
        TaskClassifierBuilder::default()
    }

    /// Says what a query is about and how hard it is.
    pub fn answer(&self, query: &Query<'_>) -> Answer {
        let text = Text::read(query.text());
        let (scores, complexity) = self.scores(&text);
        if let Some(label) = self.rules.as_ref().and_then(|rules| rules.decide(query, &text)) {
            return Answer { label: Arc::clone(label), confidence: 1.0, layer: Layer::Rule, complexity };
        }
        #[cfg(feature = "semantic")]
        if let Some((label, confidence)) =
            self.semantic.as_ref().and_then(|routes| routes.decide(query.text()))
        {
            return Answer { label: Arc::clone(label), confidence, layer: Layer::Semantic, complexity };
        }
        match &self.model {
            Some(model) => {
                let (label, confidence) = in_context(model, query, scores);
                Answer { label, confidence: confidence.into(), layer: Layer::Model, complexity }
            }
            None => Answer { label: Arc::from(DEFAULT), confidence: 0.0, layer: Layer::Default, complexity },
        }
    }

    /// The task scores and the complexity, in one pass over the text where there are both models.
    fn scores(&self, text: &Text) -> (Scores, f64) {
        match (&self.model, self.complexity) {
            (Some(model), Some(complexity)) => {
                let (tasks, gain) = model.linear().scores_and(complexity.linear(), text);
                (tasks, complexity.rank_of(&gain).into())
            }
            (Some(model), None) => (model.scores(text), 0.0),
            (None, Some(complexity)) => {
                (Scores::new(), complexity.rank_of(&complexity.linear().scores(text)).into())
            }
            (None, None) => (Scores::new(), 0.0),
        }
    }

    /// Says where a query goes.
    pub fn route(&self, answer: Answer) -> Classification {
        let Answer { label, confidence, layer, complexity } = answer;
        let to = self.routes.iter().find(|(known, _)| *known == label).map_or(&self.rest, |(_, to)| to);
        let alias = to.alias(complexity).clone();
        Classification { alias, label, confidence, layer, complexity: Some(complexity), took: Duration::ZERO }
    }

    /// Returns every label that this classifier gives, each once.
    pub fn labels(&self) -> Vec<Arc<str>> {
        let of_rules = self.rules.iter().flat_map(|rules| rules.labels());
        #[cfg(feature = "semantic")]
        let of_rules = of_rules.chain(self.semantic.iter().flat_map(SemanticRoutes::labels));
        let of_model = self.model.iter().flat_map(TaskModel::labels);
        let mut labels: Vec<Arc<str>> = Vec::new();
        for label in self.routes.iter().map(|(label, _)| label).chain(of_rules).chain(of_model) {
            if !labels.contains(label) {
                labels.push(Arc::clone(label));
            }
        }
        labels
    }

    /// Returns every alias that queries can go to.
    pub fn aliases(&self) -> Vec<&Alias> {
        let own = self.routes.iter().flat_map(|(_, to)| to.aliases());
        own.chain(self.rest.aliases()).collect()
    }
}

impl Classifier for TaskClassifier {
    fn classify(&self, request: &ChatRequest) -> Classification {
        self.route(self.answer(&Query::of(request)))
    }
}

/// The model's answer. A message that leaves doubt, such as "and in French?", is read with what went before it.
fn in_context(model: &TaskModel, query: &Query<'_>, mut scores: Scores) -> (Arc<str>, f32) {
    let (label, confidence) = model.best(&scores);
    if confidence >= DOUBT {
        return (label, confidence);
    }
    let mut add = |context: Option<&str>, share: f32| {
        if let Some(context) = context {
            let more = model.scores(&Text::read(context));
            scores.iter_mut().zip(more).for_each(|(score, more)| *score += share * more);
        }
    };
    add(query.previous(), PREVIOUS);
    add(query.system(), SYSTEM);
    model.best(&scores)
}
