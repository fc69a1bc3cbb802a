//! Requests to a name such as `auto`: first it is found out what they are about, then they are routed.

mod answers;
mod llm;

use std::sync::Arc;
use std::time::Duration;

use router_classify::{Answer, Query, TaskClassifier};
use router_core::{Alias, ChatRequest, Classification, Classifier, Layer};
use tokio::time::Instant;

use self::llm::Llm;
pub use self::llm::LlmLayer;
use crate::payload::Payload;
use crate::router::Router;

/// Routes requests to one name, such as `auto`, by what they are about and how hard they are.
///
/// ```
/// use llm_router::{AutoRouting, Deployment, LlmLayer, Router, TaskClassifier};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let classifier = TaskClassifier::builder().labels(["math", "code", "creative", "default"])?.build()?;
/// let pools = ["math", "code", "creative", "default"];
/// let builder = pools.into_iter().fold(Router::builder(), |builder, pool| {
///     builder.deployment(Deployment::new(pool, "gpt-4o-mini").api_key("sk-..."))
/// });
/// let router = builder.auto_routing(AutoRouting::new("auto", classifier).llm(LlmLayer::new("default"))).build()?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct AutoRouting {
    pub(crate) name: String,
    pub(crate) classifier: Arc<TaskClassifier>,
    pub(crate) llm: Option<LlmLayer>,
}

impl AutoRouting {
    /// Lets `classifier` choose the alias of requests to the model `name`.
    pub fn new(name: impl Into<String>, classifier: TaskClassifier) -> Self {
        Self { name: name.into(), classifier: Arc::new(classifier), llm: None }
    }

    /// Asks an LLM where the classifier is unsure.
    pub fn llm(mut self, llm: LlmLayer) -> Self {
        self.llm = Some(llm);
        self
    }
}

/// The same, as a router holds it; or a classifier of the user's own.
#[derive(Debug)]
pub(crate) struct Auto {
    pub(crate) name: Alias,
    chooser: Chooser,
}

#[derive(Debug)]
enum Chooser {
    Own(Arc<dyn Classifier>),
    Tasks { classifier: Arc<TaskClassifier>, llm: Option<Llm> },
}

/// Where a request was sent, and how long an LLM was waited for.
pub(crate) struct Chosen {
    pub(crate) classification: Classification,
    pub(crate) waited: Duration,
}

impl Auto {
    pub(crate) const fn by_own(name: Alias, classifier: Arc<dyn Classifier>) -> Self {
        Self { name, chooser: Chooser::Own(classifier) }
    }

    /// `llm` is the alias of the LLM layer, where there is one.
    pub(crate) fn by_task(name: Alias, routing: AutoRouting, llm: Option<Alias>) -> Self {
        let AutoRouting { classifier, llm: layer, .. } = routing;
        let llm = layer.zip(llm).map(|(layer, alias)| Llm::new(layer, alias, classifier.labels()));
        Self { name, chooser: Chooser::Tasks { classifier, llm } }
    }

    fn locally(&self, request: &ChatRequest) -> Classification {
        let began = Instant::now();
        let mut said = match &self.chooser {
            Chooser::Own(classifier) => classifier.classify(request),
            Chooser::Tasks { classifier, .. } => classifier.classify(request),
        };
        said.took = began.elapsed();
        said
    }

    async fn choose(&self, request: &ChatRequest, router: &Router) -> Chosen {
        let mut said = self.locally(request);
        let Chooser::Tasks { classifier, llm: Some(llm) } = &self.chooser else {
            return Chosen { classification: said, waited: Duration::ZERO };
        };
        if said.confidence >= llm.threshold() {
            return Chosen { classification: said, waited: Duration::ZERO };
        }
        let began = Instant::now();
        let label = llm.ask(&Query::of(request), router).await;
        let waited = began.elapsed();
        let took = said.took + waited;
        if let Some(label) = label {
            let complexity = said.complexity.unwrap_or_default();
            said = classifier.route(Answer { label, confidence: 1.0, layer: Layer::Llm, complexity });
        }
        said.took = took;
        Chosen { classification: said, waited }
    }
}

impl Router {
    /// Says what a request is about and to which alias it would go if it named the classifier, an LLM asked where the configuration says
    /// so. `None` when the router has no classifier.
    ///
    /// # Cancel safety
    /// Dropping the future leaves nothing behind.
    pub async fn classify(&self, request: &ChatRequest) -> Option<Classification> {
        Some(self.parts.auto.as_ref()?.choose(request, self).await.classification)
    }

    /// Says the same with nobody asked.
    pub fn classify_locally(&self, request: &ChatRequest) -> Option<Classification> {
        Some(self.parts.auto.as_ref()?.locally(request))
    }

    /// Chooses the alias of a request that names the classifier.
    pub(crate) async fn choose(&self, request: &impl Payload) -> Option<Chosen> {
        let auto = self.parts.auto.as_ref().filter(|auto| auto.name.as_str() == request.model())?;
        Some(auto.choose(request.as_chat()?, self).await)
    }

    /// The same, with nobody asked.
    pub(crate) fn choose_locally(&self, request: &impl Payload) -> Option<Chosen> {
        let auto = self.parts.auto.as_ref().filter(|auto| auto.name.as_str() == request.model())?;
        Some(Chosen { classification: auto.locally(request.as_chat()?), waited: Duration::ZERO })
    }
}
