//! The account of one request, as it is kept and sent.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use router_core::{
    AttemptFacts, AttemptOutcome, Bill, CauseFacts, Cost, Event, FallbackKind, Metered, ProviderError,
    RequestKind, RouteFacts, Timestamp, TraceContext, Usage, Usd,
};
use serde::{Deserialize, Serialize};

/// The account of one request: what was asked for, what each attempt used and cost, how it ended. The same for success and failure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CallRecord {
    /// The seed of the route's dice, which names the route, in hexadecimal digits.
    pub id: String,
    /// When the request came, in milliseconds since the Unix epoch.
    pub time_ms: u64,
    /// How it ended.
    pub outcome: Outcome,
    /// The alias that was called.
    pub pool: Box<str>,
    /// The alias that was asked last: the same, unless the request fell back.
    pub final_pool: Box<str>,
    /// The deployment that was called last.
    pub deployment: Option<Box<str>>,
    /// Its provider.
    pub provider: Option<Box<str>>,
    /// The model it was asked for, as the provider names it.
    pub model: Option<Box<str>>,
    /// The model that answered, as the provider names it.
    pub model_answered: Option<Box<str>>,
    /// Whether the answer was streamed.
    pub stream: bool,
    /// Tokens of all attempts together.
    pub tokens: Tokens,
    /// Whether some of them are estimated.
    pub estimated: bool,
    /// What all attempts cost, as far as that is known, in pico-dollars (10^-12 USD).
    pub cost_pico_usd: u64,
    /// How many attempts have a cost that is not known.
    pub unknown_costs: u32,
    /// From the request to the end of the answer, in milliseconds.
    pub latency_ms: u64,
    /// To the first token, of streams, in milliseconds.
    pub ttft_ms: Option<u64>,
    /// Tokens of the answer per second: of streams after the first token, of whole replies over the whole call.
    pub tokens_per_second: Option<f64>,
    /// Whether another alias than the one called was asked.
    pub fallback: bool,
    /// Why: the kind of the error that the last attempt before the fallback met; `fallbacks`, `context_window_fallbacks` or
    /// `content_policy_fallbacks` when there was none.
    pub fallback_cause: Option<Cow<'static, str>>,
    /// The kind of the error that it ended with.
    pub error: Option<Cow<'static, str>>,
    /// The provider's words for it.
    pub error_message: Option<Box<str>>,
    /// What the classifier said, where it chose the alias.
    pub classification: Option<Classified>,
    /// The name of the key that was used.
    pub key_alias: Option<Arc<str>>,
    /// The end user.
    pub user: Option<Arc<str>>,
    /// Words to find it by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Arc<str>>,
    /// Further facts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub metadata: Vec<(Arc<str>, Arc<str>)>,
    /// The trace, in 32 hexadecimal digits.
    pub trace_id: String,
    /// The span that the caller is in, in 16 hexadecimal digits, where it said so.
    pub parent_span_id: Option<String>,
    /// Every call to a deployment, in order.
    pub attempts: Vec<AttemptRecord>,
    /// What was asked and answered, where the operator wants it kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<RecordedContent>,
}

/// One call to a deployment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AttemptRecord {
    /// The alias it was called for.
    pub pool: Box<str>,
    /// The deployment.
    pub deployment: Box<str>,
    /// Its provider.
    pub provider: Box<str>,
    /// The model it was asked for.
    pub model: Box<str>,
    /// `first`, `retry`, or what led there: `fallbacks`, `context_window_fallbacks`, `content_policy_fallbacks`.
    pub cause: Cow<'static, str>,
    /// When it was called, in milliseconds after the request.
    pub offset_ms: u64,
    /// How long it took, in milliseconds.
    pub latency_ms: u64,
    /// How it ended.
    pub outcome: Outcome,
    /// The kind of its error.
    pub error: Option<Cow<'static, str>>,
    /// The HTTP status of its error.
    pub status: Option<u16>,
    /// The tokens it used; `None` when nothing is known of them.
    pub tokens: Option<Tokens>,
    /// What it costs, in pico-dollars; `None` when that is not known.
    pub cost_pico_usd: Option<u64>,
    /// For what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<CostParts>,
}

/// How a request or an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// With the whole answer.
    Answered,
    /// Without, or with a part of it.
    Failed,
    /// The caller left.
    Abandoned,
}

impl Outcome {
    /// Returns the word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Failed => "failed",
            Self::Abandoned => "abandoned",
        }
    }
}

/// Tokens; see [`Usage`] for what each count means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the fields are those of Usage")]
pub struct Tokens {
    pub prompt: u64,
    pub completion: u64,
    pub cached_read: u64,
    pub cache_write_5m: u64,
    pub cache_write_1h: u64,
    pub reasoning: u64,
    pub audio_prompt: u64,
    pub audio_completion: u64,
}

impl From<Usage> for Tokens {
    fn from(usage: Usage) -> Self {
        Self {
            prompt: usage.prompt,
            completion: usage.completion,
            cached_read: usage.cached_read,
            cache_write_5m: usage.cache_write_5m,
            cache_write_1h: usage.cache_write_1h,
            reasoning: usage.reasoning,
            audio_prompt: usage.audio_prompt,
            audio_completion: usage.audio_completion,
        }
    }
}

impl Tokens {
    const fn add(&mut self, more: Self) {
        self.prompt += more.prompt;
        self.completion += more.completion;
        self.cached_read += more.cached_read;
        self.cache_write_5m += more.cache_write_5m;
        self.cache_write_1h += more.cache_write_1h;
        self.reasoning += more.reasoning;
        self.audio_prompt += more.audio_prompt;
        self.audio_completion += more.audio_completion;
    }
}

/// The parts of a cost, in pico-dollars; see [`Cost`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the fields are those of Cost")]
pub struct CostParts {
    pub input: u64,
    pub cache_read: u64,
    pub cache_write: u64,
    pub output: u64,
    pub reasoning: u64,
    pub audio: u64,
    pub flat: u64,
}

impl From<Cost> for CostParts {
    fn from(cost: Cost) -> Self {
        Self {
            input: cost.input.as_pico(),
            cache_read: cost.cache_read.as_pico(),
            cache_write: cost.cache_write.as_pico(),
            output: cost.output.as_pico(),
            reasoning: cost.reasoning.as_pico(),
            audio: cost.audio.as_pico(),
            flat: cost.flat.as_pico(),
        }
    }
}

/// What a classifier said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Classified {
    /// The label, such as `math`.
    pub label: Box<str>,
    /// How sure it was, from 0 to 1.
    pub confidence: f64,
    /// Which layer decided.
    pub layer: Cow<'static, str>,
    /// How much a stronger model would help, from 0 to 1, where that was estimated.
    #[serde(default)]
    pub complexity: Option<f64>,
    /// How long it took to say so, in microseconds, with what an LLM was waited for.
    #[serde(default)]
    pub took_us: u64,
}

/// What was asked and answered, as text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedContent {
    /// The body of the request.
    pub request: String,
    /// The body of the reply, or the text of a stream.
    pub answer: String,
}

impl CallRecord {
    /// Makes the account of a request from the event that ends it; `None` for other events.
    pub fn of(event: &Event<'_>) -> Option<Self> {
        match event {
            Event::Answered { route, .. } => Some(Self::new(route, Outcome::Answered, None)),
            Event::Failed { error, route } => Some(Self::new(route, Outcome::Failed, *error)),
            Event::Abandoned { route } => Some(Self::new(route, Outcome::Abandoned, None)),
            _ => None,
        }
    }

    fn new(route: &RouteFacts<'_>, outcome: Outcome, error: Option<&ProviderError>) -> Self {
        let last = route.attempts.last();
        let (spent, unknown) = route.spend();
        let mut tokens = Tokens::default();
        let used = route.attempts.iter().filter_map(|attempt| attempt.metered.usage());
        used.for_each(|usage| tokens.add(usage.into()));
        let trace = route.context.trace.unwrap_or(TraceContext::of_route(route.seed));
        let final_pool = last.map_or(route.requested, |attempt| attempt.pool);
        let fallback = fallback(route.attempts);
        Self {
            id: format!("{:016x}", route.seed),
            time_ms: route.started.as_millis(),
            outcome,
            // With a pattern for an alias the pool tells more than the name that was asked for.
            pool: route.attempts.first().map_or(route.requested, |attempt| attempt.pool).as_str().into(),
            final_pool: final_pool.as_str().into(),
            deployment: last.map(|attempt| attempt.deployment.id().as_str().into()),
            provider: last.map(|attempt| attempt.deployment.provider().into()),
            model: last.map(|attempt| attempt.deployment.model().into()),
            model_answered: last.and_then(|attempt| attempt.model).map(Into::into),
            stream: route.kind == RequestKind::Stream,
            tokens,
            estimated: route.attempts.iter().any(|attempt| matches!(attempt.metered, Metered::Estimated(_))),
            cost_pico_usd: spent.as_pico(),
            unknown_costs: u32::try_from(unknown).unwrap_or(u32::MAX),
            latency_ms: millis(route.latency()),
            ttft_ms: route.time_to_first_token().map(millis),
            tokens_per_second: last.and_then(pace),
            fallback: fallback.is_some(),
            fallback_cause: fallback.map(Cow::Borrowed),
            error: error.map(|error| Cow::Borrowed(error.kind().as_str())),
            error_message: error.map(|error| error.message().into()),
            classification: route.classification.map(|said| Classified {
                label: (&*said.label).into(),
                confidence: said.confidence,
                layer: Cow::Borrowed(said.layer.name()),
                complexity: said.complexity,
                took_us: u64::try_from(said.took.as_micros()).unwrap_or(u64::MAX),
            }),
            key_alias: route.context.key_alias.clone(),
            user: route.context.user.clone(),
            tags: route.context.tags.clone(),
            metadata: route.context.metadata.clone(),
            trace_id: format!("{:032x}", trace.trace_id),
            parent_span_id: route.context.trace.map(|trace| format!("{:016x}", trace.span_id)),
            attempts: route
                .attempts
                .iter()
                .map(|attempt| AttemptRecord::new(attempt, route.started))
                .collect(),
            content: route.content.map(|content| RecordedContent {
                request: String::from_utf8_lossy(content.request).into_owned(),
                answer: String::from_utf8_lossy(content.answer).into_owned(),
            }),
        }
    }

    /// Returns the known cost.
    pub const fn cost(&self) -> Usd {
        Usd::from_pico(self.cost_pico_usd)
    }

    /// Returns the classifier's label, or nothing.
    pub fn label(&self) -> Option<&str> {
        self.classification.as_ref().map(|said| &*said.label)
    }
}

/// What made the request go on to another alias: the error before the first fallback.
fn fallback(attempts: &[AttemptFacts<'_>]) -> Option<&'static str> {
    let (at, kind) = attempts.iter().enumerate().find_map(|(n, attempt)| match attempt.cause {
        CauseFacts::Fallback { kind, .. } => Some((n, kind)),
        CauseFacts::First | CauseFacts::Retry => None,
    })?;
    let before = at.checked_sub(1).and_then(|before| attempts.get(before));
    Some(match before.map(|attempt| attempt.outcome) {
        Some(AttemptOutcome::Failed(error)) => error.kind().as_str(),
        _ => FallbackKind::setting(kind),
    })
}

fn pace(attempt: &AttemptFacts<'_>) -> Option<f64> {
    let completion = attempt.metered.usage()?.completion;
    let span = attempt.ended.since(attempt.first_token.unwrap_or(attempt.started)).as_secs_f64();
    (completion > 0 && span > 0.0).then(|| {
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let tokens = completion as f64;
        (tokens / span * 10.0).round() / 10.0
    })
}

impl AttemptRecord {
    fn new(attempt: &AttemptFacts<'_>, route_started: Timestamp) -> Self {
        let (outcome, error) = match attempt.outcome {
            AttemptOutcome::Answered => (Outcome::Answered, None),
            AttemptOutcome::Failed(error) => (Outcome::Failed, Some(error)),
            AttemptOutcome::Abandoned => (Outcome::Abandoned, None),
        };
        Self {
            pool: attempt.pool.as_str().into(),
            deployment: attempt.deployment.id().as_str().into(),
            provider: attempt.deployment.provider().into(),
            model: attempt.deployment.model().into(),
            cause: Cow::Borrowed(match attempt.cause {
                CauseFacts::First => "first",
                CauseFacts::Retry => "retry",
                CauseFacts::Fallback { kind, .. } => kind.setting(),
            }),
            offset_ms: millis(attempt.started.since(route_started)),
            latency_ms: millis(attempt.ended.since(attempt.started)),
            outcome,
            error: error.map(|error| Cow::Borrowed(error.kind().as_str())),
            status: error.and_then(|error| error.status()).map(|status| status.as_u16()),
            tokens: attempt.metered.usage().map(Into::into),
            cost_pico_usd: attempt.bill.total().map(Usd::as_pico),
            cost: match attempt.bill {
                Bill::Known(cost) => Some(cost.into()),
                Bill::Nothing | Bill::Unknown => None,
            },
        }
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
