//! The one loop that drives a route: calls what it says, waits when it says so.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use router_core::{
    Alias, Attempt, AttemptCause, AttemptRecord, ChatRequest, Chunk, ChunkKind, ChunkStream, Demand,
    DeploymentIndex, Dice, Edit, EmbeddingReply, EmbeddingRequest, Event, Headroom, Lesson, PoolIndex,
    Provider, ProviderError, ProviderErrorKind, Reply, RequestKind, Reservation, Route, RouteFailure, Step,
    StreamedReply, Timestamp, Unfit, Usage,
};
use tokio::time::Instant;
use tracing::Instrument;

use crate::error::RouteError;
use crate::payload::Payload;
use crate::report::RouteReport;
use crate::router::{Parts, Router};

/// What is asked of a provider.
pub(crate) trait Ask {
    const KIND: RequestKind;
    type Request: Payload;
    type Answer;

    async fn ask(provider: &dyn Provider, request: &Self::Request) -> Result<Self::Answer, ProviderError>;
}

/// A whole reply.
pub(crate) struct Whole;

impl Ask for Whole {
    const KIND: RequestKind = RequestKind::Whole;
    type Request = ChatRequest;
    type Answer = Reply;

    async fn ask(provider: &dyn Provider, request: &ChatRequest) -> Result<Reply, ProviderError> {
        provider.complete(request).await
    }
}

/// Vectors.
pub(crate) struct Embedded;

impl Ask for Embedded {
    const KIND: RequestKind = RequestKind::Whole;
    type Request = EmbeddingRequest;
    type Answer = EmbeddingReply;

    async fn ask(
        provider: &dyn Provider,
        request: &EmbeddingRequest,
    ) -> Result<EmbeddingReply, ProviderError> {
        provider.embed(request).await
    }
}

/// A stream, up to its first token. Nothing before that is shown to the caller, so it can still be taken back.
pub(crate) struct Streamed;

/// A stream whose first token is there.
pub(crate) struct Opened {
    pub(crate) ready: Vec<Chunk>,
    pub(crate) rest: ChunkStream,
    pub(crate) headroom: Option<Headroom>,
}

impl Ask for Streamed {
    const KIND: RequestKind = RequestKind::Stream;
    type Request = ChatRequest;
    type Answer = Opened;

    async fn ask(provider: &dyn Provider, request: &ChatRequest) -> Result<Opened, ProviderError> {
        let StreamedReply { chunks: mut rest, headroom } = provider.stream(request).await?;
        let mut ready = Vec::new();
        while let Some(chunk) = rest.next().await {
            let chunk = chunk?;
            let opened = match chunk.kind {
                ChunkKind::Content | ChunkKind::Finish => true,
                ChunkKind::Preamble | ChunkKind::Usage => false,
            };
            ready.push(chunk);
            if opened {
                break;
            }
        }
        Ok(Opened { ready, rest, headroom })
    }
}

/// One request under way. Whatever becomes of it, the observers hear of exactly one end.
#[derive(Debug)]
pub(crate) struct Journey {
    parts: Arc<Parts>,
    requested: Alias,
    route: Route,
    seed: u64,
    dice: Dice,
    /// The time spent on calls and waits.
    upstream: Duration,
    over: bool,
}

impl Router {
    pub(crate) fn set_out<A: Ask>(&self, request: &A::Request) -> Result<Journey, RouteError> {
        let (requested, pool) = self.resolve(request)?;
        let demand = self.demand(request, A::KIND)?;
        Ok(self.start(requested, pool, demand))
    }

    pub(crate) fn start(&self, requested: Alias, pool: PoolIndex, demand: Demand) -> Journey {
        let parts = Arc::clone(&self.parts);
        let seed = parts.next_seed();
        let route = Route::new(Arc::clone(&parts.fleet), pool, demand, parts.clock.now());
        Journey {
            parts,
            requested,
            route,
            seed,
            dice: Dice::from_seed(seed),
            upstream: Duration::ZERO,
            over: false,
        }
    }
}

impl Journey {
    /// Drives the route to an answer, or to the error that ends it.
    pub(crate) async fn run<A: Ask>(
        &mut self,
        request: &A::Request,
    ) -> Result<(A::Answer, Attempt), RouteError> {
        let span = tracing::debug_span!("router.complete", alias = %self.requested, seed = self.seed);
        self.drive::<A>(request).instrument(span).await
    }

    async fn drive<A: Ask>(&mut self, request: &A::Request) -> Result<(A::Answer, Attempt), RouteError> {
        loop {
            match self.route.next(self.now(), &mut self.dice) {
                Step::Attempt(attempt) => {
                    self.tell_attempt(&attempt);
                    let called = Instant::now();
                    let outcome = self.call::<A>(&attempt, request).await;
                    self.upstream += called.elapsed();
                    match outcome {
                        Ok(answer) => return Ok((answer, attempt)),
                        Err(error) => self.failed(attempt, error),
                    }
                }
                Step::Wait(span) => {
                    self.tell_wait(span);
                    tokio::time::sleep(span).await;
                    self.upstream += span;
                }
                Step::Done(outcome) => return Err(self.give_up(outcome)),
            }
        }
    }

    async fn call<A: Ask>(
        &self,
        attempt: &Attempt,
        request: &A::Request,
    ) -> Result<A::Answer, ProviderError> {
        let deployment = &self.route.catalog()[attempt.deployment()];
        let Some(provider) = self.parts.providers.get(attempt.deployment().get()) else {
            return Err(ProviderError::new(ProviderErrorKind::NotFound, "the deployment has no provider"));
        };
        let span = tracing::debug_span!(
            "router.attempt",
            deployment = %deployment.id(),
            model = deployment.model(),
            attempt = self.route.trail().len() + 1
        );
        // A deployment with a pattern for a model is asked for what the caller's name stands for.
        let filled =
            if deployment.model().contains('*') { Some(self.filled(attempt, request)?) } else { None };
        let call = A::ask(&**provider, filled.as_ref().unwrap_or(request)).instrument(span);
        tokio::time::timeout(attempt.timeout(), call).await.unwrap_or_else(|_| {
            let what = match A::KIND {
                RequestKind::Whole => "no answer",
                RequestKind::Stream => "no first token",
            };
            let message = format!("{what} within {:?}", attempt.timeout());
            Err(ProviderError::new(ProviderErrorKind::Timeout, message))
        })
    }

    fn filled<P: Payload>(&self, attempt: &Attempt, request: &P) -> Result<P, ProviderError> {
        let model = self.route.catalog().model_for(attempt.pool(), attempt.deployment(), request.model());
        let model = serde_json::Value::from(&*model).to_string();
        request
            .edited(&[("model", Edit::Set(&model))])
            .map_err(|error| ProviderError::new(ProviderErrorKind::InvalidRequest, error.to_string()))
    }

    fn failed(&mut self, attempt: Attempt, error: ProviderError) {
        let changes = self.route.record(attempt, Err(error), self.now());
        if let Some(AttemptRecord { pool, deployment, started, ended, error: Some(error) }) =
            self.route.trail().last()
        {
            let catalog = self.route.catalog();
            self.parts.observe(|| Event::AttemptFailed {
                seed: self.seed,
                pool: catalog[*pool].alias(),
                deployment: &catalog[*deployment],
                latency: ended.since(*started),
                error,
            });
        }
        self.parts.announce(changes);
    }

    /// Ends a route that was answered whole.
    pub(crate) fn answered(
        mut self,
        attempt: Attempt,
        usage: Option<Usage>,
        headroom: Option<Headroom>,
    ) -> RouteReport {
        let now = self.now();
        let lesson = Lesson::default().with_usage(usage).with_headroom(headroom);
        let changes = self.route.record(attempt, Ok(lesson), now);
        self.parts.announce(changes);
        self.tell_answered();
        self.report(now)
    }

    /// Takes note of a stream whose first token is there. The call goes on; whoever reads the stream tells how it ended.
    pub(crate) fn opened(mut self, attempt: Attempt, headroom: Option<Headroom>) -> (OpenCall, RouteReport) {
        let now = self.now();
        let deployment = attempt.deployment();
        let reservation = self.route.record_first_token(attempt, now);
        let report = self.report(now);
        (OpenCall { journey: self, deployment, reservation, headroom }, report)
    }

    fn give_up(&mut self, outcome: Result<(), RouteFailure>) -> RouteError {
        self.tell_failed(self.route.trail().last().and_then(|record| record.error.as_ref()));
        self.over = true;
        let report = Box::new(self.report(self.now()));
        let error = self.route.take_error();
        match (outcome, error) {
            (Err(RouteFailure::Unavailable { retry_after, obstacle }), _) => {
                RouteError::Unavailable { retry_after, obstacle, report }
            }
            (Err(RouteFailure::Unfit(Unfit::ContextWindow)), _) => {
                let message =
                    "the prompt is estimated to be longer than every context window it could be sent to";
                let error = ProviderError::new(ProviderErrorKind::ContextWindow, message);
                RouteError::Failed { error, retry_after: None, report }
            }
            (Err(RouteFailure::Unfit(Unfit::Continuation)), _) => {
                let error = ProviderError::new(
                    ProviderErrorKind::Unsupported,
                    "no deployment can continue the answer",
                );
                RouteError::Failed { error, retry_after: None, report }
            }
            (Err(RouteFailure::Unfit(Unfit::Tags)), _) => {
                let error =
                    ProviderError::new(ProviderErrorKind::NotFound, "no deployment has the tags asked for");
                RouteError::Failed { error, retry_after: None, report }
            }
            (Err(RouteFailure::DeadlineExceeded), error) => RouteError::DeadlineExceeded { error, report },
            (Err(RouteFailure::Attempted { retry_after }), Some(error)) => {
                RouteError::Failed { error, retry_after, report }
            }
            // A route that made no attempt is cooling or out of time, and an answered one has left the loop.
            (Ok(()) | Err(RouteFailure::Attempted { .. }), _) => {
                let error = ProviderError::new(ProviderErrorKind::Cancelled, "the attempt was given up");
                RouteError::Failed { error, retry_after: None, report }
            }
        }
    }

    fn report(&self, now: Timestamp) -> RouteReport {
        RouteReport::new(&self.route, self.requested.clone(), self.seed, self.upstream, now)
    }

    fn now(&self) -> Timestamp {
        self.parts.clock.now()
    }
}

/// A call whose stream is under way, after its route is over. Dropped, it is a caller who left.
#[derive(Debug)]
pub(crate) struct OpenCall {
    journey: Journey,
    deployment: DeploymentIndex,
    reservation: Reservation,
    headroom: Option<Headroom>,
}

impl OpenCall {
    /// Returns which deployment is called.
    pub(crate) const fn deployment(&self) -> DeploymentIndex {
        self.deployment
    }

    /// Returns the pool that was asked for, by the name the caller used.
    pub(crate) fn origin(&self) -> (Alias, Option<PoolIndex>) {
        (self.journey.requested.clone(), self.journey.route.entered().first().copied())
    }

    /// Returns how long the stream may be silent.
    pub(crate) fn idle_limit(&self) -> Duration {
        self.journey.route.catalog()[self.deployment].stream_timeout()
    }

    /// Tells how the stream ended, with this error or whole, and what it used.
    pub(crate) fn end(self, error: Option<&ProviderError>, usage: Option<Usage>) {
        let Self { mut journey, reservation, headroom, .. } = self;
        let lesson = Lesson::default().with_usage(usage).with_headroom(headroom);
        let changes = reservation.settle(error, lesson, journey.now());
        journey.parts.announce(changes);
        match error {
            None => journey.tell_answered(),
            Some(error) => {
                journey.tell_failed(Some(error));
                journey.over = true;
            }
        }
    }
}

/// What the observers are told.
impl Journey {
    fn tell_attempt(&self, attempt: &Attempt) {
        let catalog = self.route.catalog();
        let pool = catalog[attempt.pool()].alias();
        match attempt.cause() {
            AttemptCause::Fallback { from, kind } => self.parts.observe(|| Event::Fallback {
                seed: self.seed,
                from: catalog[from].alias(),
                to: pool,
                kind,
            }),
            AttemptCause::First | AttemptCause::Retry => {}
        }
        self.parts.observe(|| Event::AttemptStarted {
            seed: self.seed,
            pool,
            deployment: &catalog[attempt.deployment()],
            attempt: self.route.trail().len() + 1,
            retry: attempt.cause() == AttemptCause::Retry,
            probe: attempt.is_probe(),
        });
    }

    fn tell_wait(&self, span: Duration) {
        let catalog = self.route.catalog();
        if let Some(pool) = self.route.entered().last() {
            self.parts.observe(|| Event::Waiting { seed: self.seed, pool: catalog[*pool].alias(), span });
        }
    }

    fn tell_answered(&mut self) {
        self.over = true;
        let catalog = self.route.catalog();
        if let Some(record) = self.route.trail().last() {
            self.parts.observe(|| Event::Answered {
                seed: self.seed,
                requested: &self.requested,
                pool: catalog[record.pool].alias(),
                deployment: &catalog[record.deployment],
                attempts: self.route.trail().len(),
                latency: self.latency(),
            });
        }
    }

    fn tell_failed(&self, error: Option<&ProviderError>) {
        self.parts.observe(|| Event::Failed {
            seed: self.seed,
            requested: &self.requested,
            attempts: self.route.trail().len(),
            latency: self.latency(),
            error,
        });
    }

    fn latency(&self) -> Duration {
        self.now().since(self.route.started())
    }
}

impl Drop for Journey {
    fn drop(&mut self) {
        if !self.over {
            self.parts.observe(|| Event::Abandoned {
                seed: self.seed,
                requested: &self.requested,
                attempts: self.route.trail().len(),
                latency: self.latency(),
            });
        }
    }
}
