//! The one loop that drives a route: calls what it says, waits when it says so.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use router_core::{
    Alias, Attempt, AttemptCause, AttemptFacts, AttemptOutcome, AttemptRecord, Bill, CauseFacts, ChatRequest,
    Chunk, ChunkKind, ChunkStream, Classification, Content, Demand, DeploymentIndex, Dice, Edit,
    EmbeddingReply, EmbeddingRequest, Event, Headroom, Lesson, Metered, PoolIndex, Provider, ProviderError,
    ProviderErrorKind, Reply, RequestContext, RequestKind, Reservation, Route, RouteFacts, RouteFailure,
    Step, StreamedReply, Timestamp, TraceContext, Unfit, Usage, Usd,
};
use tokio::time::Instant;
use tracing::Instrument;

use crate::error::RouteError;
use crate::metering::{Account, Answer, StreamProgress};
use crate::payload::Payload;
use crate::place::Place;
use crate::report::RouteReport;
use crate::router::{Parts, Resolved, Router};

/// What is asked of a provider.
pub(crate) trait Ask {
    const KIND: RequestKind;
    type Request: Payload;
    type Answer;

    /// Asks; `seen` is left with the usage that was told before a failure.
    async fn ask(
        provider: &dyn Provider,
        request: &Self::Request,
        seen: &mut Option<Usage>,
    ) -> Result<Self::Answer, ProviderError>;

    /// Returns what was left out of the request.
    fn dropped(provider: &dyn Provider, request: &Self::Request) -> Vec<String>;
}

/// A whole reply.
pub(crate) struct Whole;

impl Ask for Whole {
    const KIND: RequestKind = RequestKind::Whole;
    type Request = ChatRequest;
    type Answer = Reply;

    async fn ask(
        provider: &dyn Provider,
        request: &ChatRequest,
        _seen: &mut Option<Usage>,
    ) -> Result<Reply, ProviderError> {
        provider.complete(request).await
    }

    fn dropped(provider: &dyn Provider, request: &ChatRequest) -> Vec<String> {
        provider.dropped_params(request)
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
        _seen: &mut Option<Usage>,
    ) -> Result<EmbeddingReply, ProviderError> {
        provider.embed(request).await
    }

    fn dropped(provider: &dyn Provider, request: &EmbeddingRequest) -> Vec<String> {
        provider.dropped_embedding_params(request)
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

    async fn ask(
        provider: &dyn Provider,
        request: &ChatRequest,
        seen: &mut Option<Usage>,
    ) -> Result<Opened, ProviderError> {
        let StreamedReply { chunks: mut rest, headroom } = provider.stream(request).await?;
        let mut ready = Vec::new();
        while let Some(chunk) = rest.next().await {
            let chunk = chunk?;
            *seen = chunk.usage.or(*seen);
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

    fn dropped(provider: &dyn Provider, request: &ChatRequest) -> Vec<String> {
        provider.dropped_params(request)
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
    context: Arc<RequestContext>,
    classification: Option<Classification>,
    /// What the attempts used: one for each record of the route's trail.
    accounts: Vec<Account>,
    /// The call that is being waited for.
    under_way: Option<UnderWay>,
    /// Its place under limits that must hold exactly, if it has any.
    place: Option<Place>,
    /// What the stream brought so far, once its first token is there.
    stream: Option<StreamProgress>,
    /// What was left out of the request that was answered.
    dropped: Vec<String>,
    /// What was asked and answered, where the operator wants it kept.
    content: Option<KeptContent>,
    over: bool,
}

/// A call that has neither answered nor failed yet.
#[derive(Debug, Clone, Copy)]
struct UnderWay {
    pool: PoolIndex,
    deployment: DeploymentIndex,
    cause: AttemptCause,
    started: Timestamp,
}

/// The bodies of a request and of its reply; the text of a stream is with its progress.
#[derive(Default)]
struct KeptContent {
    request: Bytes,
    answer: Bytes,
}

impl fmt::Debug for KeptContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeptContent")
    }
}

/// How a route ends, as observers are told.
#[derive(Clone, Copy)]
enum End<'a> {
    Answered,
    Failed(Option<&'a ProviderError>),
    Abandoned,
}

impl Router {
    /// Sets out to where a request belongs, which for one to the classifier's name is first found out.
    pub(crate) async fn set_out<A: Ask>(&self, request: &A::Request) -> Result<Journey, RouteError> {
        let came = self.now();
        let chosen = self.choose(request).await;
        let resolved = self.resolve(request.model(), chosen)?;
        self.set_out_to::<A>(request, resolved, came)
    }

    /// Sets out to a pool that is known, for a request that came at this time.
    pub(crate) fn set_out_to<A: Ask>(
        &self,
        request: &A::Request,
        resolved: Resolved,
        came: Timestamp,
    ) -> Result<Journey, RouteError> {
        let Resolved { requested, pool, classification, waited } = resolved;
        let demand = self.demand(request, A::KIND)?;
        let mut journey = self.start(requested, pool, demand, came);
        journey.upstream = waited;
        journey.classification = classification;
        if self.parts.observes_content {
            journey.content = Some(KeptContent { request: request.body().clone(), answer: Bytes::new() });
        }
        Ok(journey)
    }

    pub(crate) fn start(
        &self,
        requested: Alias,
        pool: PoolIndex,
        demand: Demand,
        came: Timestamp,
    ) -> Journey {
        let parts = Arc::clone(&self.parts);
        let seed = parts.next_seed();
        let route = Route::new(Arc::clone(&parts.fleet), pool, demand, came);
        Journey {
            parts,
            requested,
            route,
            seed,
            dice: Dice::from_seed(seed),
            upstream: Duration::ZERO,
            context: Arc::clone(&self.context),
            classification: None,
            accounts: Vec::new(),
            under_way: None,
            place: None,
            stream: None,
            dropped: Vec::new(),
            content: None,
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
                    let Some(attempt) = self.admitted(attempt).await else { continue };
                    self.tell_attempt(&attempt);
                    self.under_way = Some(UnderWay {
                        pool: attempt.pool(),
                        deployment: attempt.deployment(),
                        cause: attempt.cause(),
                        started: attempt.started(),
                    });
                    let mut seen = None;
                    let called = Instant::now();
                    let outcome = self.call::<A>(&attempt, request, &mut seen).await;
                    self.upstream += called.elapsed();
                    self.under_way = None;
                    match outcome {
                        Ok((answer, dropped)) => {
                            self.dropped = dropped;
                            return Ok((answer, attempt));
                        }
                        Err(error) => self.failed(attempt, error, seen),
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

    /// Gets a place for an attempt where its deployment's limits must hold exactly. The one wait of the loop that is not for a
    /// provider, and for nobody else; `None` when the attempt is not to be made.
    async fn admitted(&mut self, mut attempt: Attempt) -> Option<Attempt> {
        let deployment = &self.route.catalog()[attempt.deployment()];
        let Some(limits) = deployment.strict_limits() else { return Some(attempt) };
        let tokens = self.route.demand().prompt_tokens;
        let asked = Box::pin(Place::ask(&self.parts, deployment, limits, tokens, self.now())).await;
        match asked {
            Ok(place) => {
                self.place = place;
                attempt.start(self.now());
                Some(attempt)
            }
            Err(refused) => {
                let (obstacle, wait) = refused.obstacle();
                self.route.refuse(attempt, obstacle, wait, self.now());
                None
            }
        }
    }

    /// Returns the span of the attempt that is about to be made, where providers are to hear of it: in the caller's trace, or in one of
    /// its own.
    fn trace_of_attempt(&self) -> Option<TraceContext> {
        if !self.parts.forwards_trace {
            return None;
        }
        let trace = self.context.trace.unwrap_or_else(|| TraceContext::of_route(self.seed));
        let attempt = u64::try_from(self.route.trail().len()).unwrap_or(u64::MAX).saturating_add(1);
        Some(trace.at_attempt(self.seed, attempt))
    }

    async fn call<A: Ask>(
        &self,
        attempt: &Attempt,
        request: &A::Request,
        seen: &mut Option<Usage>,
    ) -> Result<(A::Answer, Vec<String>), ProviderError> {
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
        let request = filled.as_ref().unwrap_or(request);
        // Only where the operator wants providers to hear of traces: then the request is copied, but for its body.
        let traced = self.trace_of_attempt().map(|trace| request.traced(trace));
        let request = traced.as_ref().unwrap_or(request);
        let call = A::ask(&**provider, request, seen).instrument(span);
        let answer = tokio::time::timeout(attempt.timeout(), call).await.unwrap_or_else(|_| {
            let what = match A::KIND {
                RequestKind::Whole => "no answer",
                RequestKind::Stream => "no first token",
            };
            let message = format!("{what} within {:?}", attempt.timeout());
            Err(ProviderError::new(ProviderErrorKind::Timeout, message))
        })?;
        Ok((answer, A::dropped(&**provider, request)))
    }

    fn filled<P: Payload>(&self, attempt: &Attempt, request: &P) -> Result<P, ProviderError> {
        let model =
            self.route.catalog().model_for(attempt.pool(), attempt.deployment(), self.requested.as_str());
        let model = serde_json::Value::from(&*model).to_string();
        request
            .edited(&[("model", Edit::Set(&model))])
            .map_err(|error| ProviderError::new(ProviderErrorKind::InvalidRequest, error.to_string()))
    }

    fn failed(&mut self, attempt: Attempt, error: ProviderError, seen: Option<Usage>) {
        if let Some(place) = self.place.take() {
            place.settle(error.usage().or(seen));
        }
        let metered = Metered::from(error.usage().or(seen));
        let bill = match (metered, error.kind()) {
            // Providers charge for no error; whether one that gave no answer in time works on, nobody knows.
            (Metered::Unknown, ProviderErrorKind::Timeout) => Bill::Unknown,
            (Metered::Unknown, _) => Bill::Nothing,
            (metered, _) => self.bill(attempt.deployment(), metered, None),
        };
        self.accounts.push(Account { metered, bill, ..Account::default() });
        let changes = self.route.record(attempt, Err(error), self.now());
        if let Some(AttemptRecord { pool, deployment, started, ended, error: Some(error), .. }) =
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
    pub(crate) fn answered(mut self, attempt: Attempt, answer: Answer<'_>) -> RouteReport {
        let now = self.now();
        let metered = answer.metered(self.route.demand().prompt_tokens);
        if let Some(place) = self.place.take() {
            place.settle(metered.usage());
        }
        let Answer { usage, headroom, model, body, .. } = answer;
        let bill = self.bill(attempt.deployment(), metered, model);
        self.accounts.push(Account { model: model.map(Box::from), metered, bill, ..Account::default() });
        if let Some(content) = &mut self.content {
            content.answer = body.clone();
        }
        let lesson = Lesson::default().with_usage(usage).with_headroom(headroom);
        let changes = self.route.record(attempt, Ok(lesson), now);
        self.parts.announce(changes);
        self.end(End::Answered);
        self.report(now)
    }

    /// Takes note of a stream whose first token is there. The call goes on; whoever reads the stream tells how it ended.
    pub(crate) fn opened(mut self, attempt: Attempt, headroom: Option<Headroom>) -> (OpenCall, RouteReport) {
        let now = self.now();
        let deployment = attempt.deployment();
        let reservation = self.route.record_first_token(attempt, now);
        self.accounts.push(Account { first_token: Some(now), ..Account::default() });
        self.stream = Some(StreamProgress::new(self.content.is_some()));
        let report = self.report(now);
        (OpenCall { journey: self, deployment, reservation, headroom }, report)
    }

    fn give_up(&mut self, outcome: Result<(), RouteFailure>) -> RouteError {
        self.over = true;
        self.tell_end(End::Failed(self.route.trail().last().and_then(|record| record.error.as_ref())));
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
            (Err(RouteFailure::Unfit(Unfit::Abilities(needs))), _) => {
                let message =
                    format!("no deployment it could be sent to has what the request needs: {needs}");
                let error = ProviderError::new(ProviderErrorKind::Unsupported, message);
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
        RouteReport {
            dropped_params: self.dropped.clone(),
            classification: self.classification.clone(),
            ..RouteReport::new(
                &self.route,
                &self.accounts,
                self.requested.clone(),
                self.seed,
                self.upstream,
                now,
            )
        }
    }

    fn last_account(&self) -> (Option<Usage>, Option<Usd>) {
        self.accounts.last().map_or((None, None), |account| (account.metered.usage(), account.bill.total()))
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

    /// Takes note of a chunk that arrived.
    pub(crate) fn saw(&mut self, chunk: &Chunk) {
        if let Some(stream) = &mut self.journey.stream {
            stream.saw(chunk);
        }
    }

    /// Returns how long the stream may be silent.
    pub(crate) fn idle_limit(&self) -> Duration {
        self.journey.route.catalog()[self.deployment].stream_timeout()
    }

    /// Tells how the stream ended: with this error, or whole. Returns what it used and cost.
    pub(crate) fn end(self, error: Option<&ProviderError>) -> (Option<Usage>, Option<Usd>) {
        let Self { mut journey, reservation, headroom, .. } = self;
        let usage = journey.stream.as_ref().and_then(StreamProgress::usage);
        let lesson = Lesson::default().with_usage(usage).with_headroom(headroom);
        let changes = reservation.settle(error, lesson, journey.now());
        journey.parts.announce(changes);
        journey.end(error.map_or(End::Answered, |error| End::Failed(Some(error))));
        journey.last_account()
    }

    /// Tells that the caller left. Returns what the stream used and cost until then.
    pub(crate) fn leave(self) -> (Option<Usage>, Option<Usd>) {
        let mut journey = self.journey;
        journey.end(End::Abandoned);
        journey.last_account()
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

    /// Closes the accounts and tells the end.
    fn end(&mut self, end: End<'_>) {
        self.over = true;
        if let (Some(stream), Some(record)) = (&mut self.stream, self.route.trail().last()) {
            let prompt = self.route.demand().prompt_tokens;
            let metered = match end {
                End::Answered => stream.whole(prompt),
                End::Failed(_) | End::Abandoned => stream.cut(prompt),
            };
            if let Some(place) = self.place.take() {
                place.settle(metered.usage());
            }
            let model = stream.take_model();
            let bill = self.bill(record.deployment, metered, model.as_deref());
            let ended = Some(self.now());
            if let Some(account) = self.accounts.last_mut() {
                *account = Account { ended, model, metered, bill, ..std::mem::take(account) };
            }
        }
        self.tell_end(end);
    }

    fn bill(&self, deployment: DeploymentIndex, metered: Metered, model: Option<&str>) -> Bill {
        let of = &self.route.catalog()[deployment];
        self.parts.tariffs.bill(deployment, of, metered, model, self.now())
    }

    fn tell_end(&self, end: End<'_>) {
        if self.parts.observers.is_empty() {
            return;
        }
        let attempts = self.attempt_facts(end);
        let kind = self.route.demand().kind;
        let mut route = RouteFacts::new(self.seed, &self.requested, kind, &self.context);
        route.classification = self.classification.as_ref();
        route.started = self.route.started();
        route.ended = self.now();
        route.attempts = &attempts;
        route.content = self.content.as_ref().map(|content| Content {
            request: &content.request,
            answer: self.stream.as_ref().map_or(&content.answer[..], |stream| stream.text().as_bytes()),
        });
        let event = match (end, attempts.last()) {
            (End::Answered, Some(last)) => {
                Event::Answered { pool: last.pool, deployment: last.deployment, route: &route }
            }
            // Nobody answers without an attempt.
            (End::Answered, None) => return,
            (End::Failed(error), _) => Event::Failed { error, route: &route },
            (End::Abandoned, _) => Event::Abandoned { route: &route },
        };
        self.parts.observe(|| event);
    }

    fn attempt_facts<'a>(&'a self, end: End<'a>) -> Vec<AttemptFacts<'a>> {
        let catalog = self.route.catalog();
        let ended = self.route.trail().iter().zip(&self.accounts).map(|(record, account)| AttemptFacts {
            pool: catalog[record.pool].alias(),
            deployment: &catalog[record.deployment],
            cause: self.cause_facts(record.cause),
            started: record.started,
            first_token: account.first_token,
            ended: account.ended.unwrap_or(record.ended),
            outcome: match (&record.error, end) {
                (Some(error), _) | (None, End::Failed(Some(error))) => AttemptOutcome::Failed(error),
                (None, End::Answered | End::Failed(None)) => AttemptOutcome::Answered,
                (None, End::Abandoned) => AttemptOutcome::Abandoned,
            },
            model: account.model.as_deref(),
            metered: account.metered,
            bill: account.bill,
        });
        let left = self.under_way.map(|UnderWay { pool, deployment, cause, started }| AttemptFacts {
            pool: catalog[pool].alias(),
            deployment: &catalog[deployment],
            cause: self.cause_facts(cause),
            started,
            first_token: None,
            ended: self.now(),
            outcome: AttemptOutcome::Abandoned,
            model: None,
            metered: Metered::Unknown,
            bill: Bill::Unknown,
        });
        ended.chain(left).collect()
    }

    fn cause_facts(&self, cause: AttemptCause) -> CauseFacts<'_> {
        match cause {
            AttemptCause::First => CauseFacts::First,
            AttemptCause::Retry => CauseFacts::Retry,
            AttemptCause::Fallback { from, kind } => {
                CauseFacts::Fallback { from: self.route.catalog()[from].alias(), kind }
            }
        }
    }
}

impl Drop for Journey {
    fn drop(&mut self) {
        if !self.over {
            self.end(End::Abandoned);
        }
    }
}
