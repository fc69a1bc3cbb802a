//! The port to whoever wants to know what happens.

use std::fmt;
use std::time::Duration;

use crate::config::FallbackKind;
use crate::{
    Alias, Bill, Classification, Deployment, HealthChange, Metered, ProviderError, RequestContext,
    RequestKind, Timestamp, Usd,
};

/// Is told what happened, and returns at once: a sink with I/O queues the event, bounded, and counts what it drops.
///
/// Events never carry credentials. They carry prompts and answers only where the operator asked for it; see
/// [`RouteFacts::content`].
pub trait Observer: fmt::Debug + Send + Sync {
    /// Takes note of an event.
    fn observe(&self, event: &Event<'_>);
}

/// Something that happened on a route. Every route ends with exactly one of [`Answered`](Self::Answered),
/// [`Failed`](Self::Failed) and [`Abandoned`](Self::Abandoned), which tell its whole story. `seed` is that of the route's dice and
/// names the route: its decisions can be made again from it.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A deployment is called.
    AttemptStarted {
        /// The route.
        seed: u64,
        /// The pool it is called for.
        pool: &'a Alias,
        /// The deployment.
        deployment: &'a Deployment,
        /// Counts the attempts of a route from 1.
        attempt: usize,
        /// Whether an attempt before it failed in the same pool.
        retry: bool,
        /// Whether it is the single probe after a cooldown.
        probe: bool,
    },
    /// The call failed.
    AttemptFailed {
        /// The route.
        seed: u64,
        /// The pool it was called for.
        pool: &'a Alias,
        /// The deployment.
        deployment: &'a Deployment,
        /// How long it took.
        latency: Duration,
        /// Why.
        error: &'a ProviderError,
    },
    /// Nobody else is ready: the route waits before it asks the same pool again.
    Waiting {
        /// The route.
        seed: u64,
        /// The pool.
        pool: &'a Alias,
        /// How long.
        span: Duration,
    },
    /// The request goes on to another pool.
    Fallback {
        /// The route.
        seed: u64,
        /// The pool that gave up.
        from: &'a Alias,
        /// The pool that is asked next.
        to: &'a Alias,
        /// Which edges led there.
        kind: FallbackKind,
    },
    /// A deployment started or ended to cool.
    Health(&'a HealthChange),
    /// The request was answered: the whole reply, or a stream to its end.
    Answered {
        /// The pool that answered.
        pool: &'a Alias,
        /// The deployment that answered.
        deployment: &'a Deployment,
        /// How it went.
        route: &'a RouteFacts<'a>,
    },
    /// The request was not answered, or not to the end.
    Failed {
        /// The last real error; `None` when nobody was called.
        error: Option<&'a ProviderError>,
        /// How it went.
        route: &'a RouteFacts<'a>,
    },
    /// The caller left before the answer was whole.
    Abandoned {
        /// How it went.
        route: &'a RouteFacts<'a>,
    },
}

/// The story of one request, told at its end.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct RouteFacts<'a> {
    /// The seed of the route's dice: it names the route.
    pub seed: u64,
    /// The alias that was asked for.
    pub requested: &'a Alias,
    /// Whole or streamed.
    pub kind: RequestKind,
    /// For whom it was made.
    pub context: &'a RequestContext,
    /// What the classifier said, where it chose the alias.
    pub classification: Option<&'a Classification>,
    /// When the request came.
    pub started: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
    /// Every call to a deployment, in order.
    pub attempts: &'a [AttemptFacts<'a>],
    /// What was asked and answered; `None` unless the operator asked for it.
    pub content: Option<Content<'a>>,
}

impl<'a> RouteFacts<'a> {
    /// Tells of a request that made no attempts yet.
    #[must_use]
    pub const fn new(
        seed: u64,
        requested: &'a Alias,
        kind: RequestKind,
        context: &'a RequestContext,
    ) -> Self {
        let moment = Timestamp::from_millis(0);
        Self {
            seed,
            requested,
            kind,
            context,
            classification: None,
            started: moment,
            ended: moment,
            attempts: &[],
            content: None,
        }
    }

    /// Returns the time from the request to its end.
    pub const fn latency(&self) -> Duration {
        self.ended.since(self.started)
    }

    /// Returns the time to the first token that the caller saw, of a stream.
    pub fn time_to_first_token(&self) -> Option<Duration> {
        self.attempts.last()?.first_token.map(|moment| moment.since(self.started))
    }

    /// Returns what all attempts cost, as far as that is known, and how many of them have an unknown cost.
    pub fn spend(&self) -> (Usd, usize) {
        let known = self.attempts.iter().filter_map(|attempt| attempt.bill.total());
        let unknown = self.attempts.iter().filter(|attempt| attempt.bill == Bill::Unknown);
        (known.fold(Usd::default(), Usd::plus), unknown.count())
    }
}

/// One call to a deployment, told when it is over.
#[derive(Debug, Clone, Copy)]
pub struct AttemptFacts<'a> {
    /// The pool it was called for.
    pub pool: &'a Alias,
    /// The deployment.
    pub deployment: &'a Deployment,
    /// Why it was called.
    pub cause: CauseFacts<'a>,
    /// When it was called.
    pub started: Timestamp,
    /// When the first token of its stream came.
    pub first_token: Option<Timestamp>,
    /// When it was over.
    pub ended: Timestamp,
    /// How it ended.
    pub outcome: AttemptOutcome<'a>,
    /// The model that answered, as the provider names it.
    pub model: Option<&'a str>,
    /// The tokens it used.
    pub metered: Metered,
    /// What it costs.
    pub bill: Bill,
}

/// Why a deployment was called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CauseFacts<'a> {
    /// It was the first.
    First,
    /// The one before failed; this is another in the same pool.
    Retry,
    /// The pool before gave up.
    Fallback {
        /// That pool.
        from: &'a Alias,
        /// Which edges led on.
        kind: FallbackKind,
    },
}

/// How a call ended.
#[derive(Debug, Clone, Copy)]
pub enum AttemptOutcome<'a> {
    /// With the whole answer.
    Answered,
    /// With an error; of a stream, perhaps after its first tokens.
    Failed(&'a ProviderError),
    /// The caller left while it was under way.
    Abandoned,
}

/// What was asked and answered.
#[derive(Clone, Copy)]
pub struct Content<'a> {
    /// The body of the request.
    pub request: &'a [u8],
    /// The body of the reply, or the text of a stream as far as it came; empty when there was none.
    pub answer: &'a [u8],
}

impl fmt::Debug for Content<'_> {
    /// Shows the sizes only: what is logged by accident stays harmless.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Content")
            .field("request_bytes", &self.request.len())
            .field("answer_bytes", &self.answer.len())
            .finish()
    }
}
