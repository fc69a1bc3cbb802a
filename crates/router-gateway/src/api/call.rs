//! A request on its way to an answer: what every endpoint that answers has in common.
//!
//! An endpoint translates its body into a [`ChatRequest`], calls [`Call::complete`] or [`Call::stream`], and translates what comes
//! back. Whether the caller may ask for it, what it costs them and which headers the answer has is decided here.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use bytes::Bytes;
use http::HeaderMap;
use http::request::Parts;
use llm_router::{
    ChatRequest, Completion, Edit, Embedding, EmbeddingRequest, Estimate, Payload, Reply, RequestContext,
    RouteError, RouteReport, Router, Timestamp,
};

use super::ApiError;
use super::answer::{AnswerStream, Keeping};
use super::bill::Bill;
use super::headers::{answer_headers, cache_headers, kept_headers};
use crate::access::{Caller, Claim, Used};
use crate::app::App;
use crate::cache::{CachedAnswer, Control, Found, Kept, Kind, Pending, Plan};
use crate::context::{Admitted, Context};

/// A request that was let in.
#[derive(Debug)]
pub(crate) struct Call {
    app: App,
    context: Context,
    admitted: Admitted,
}

/// What was answered, and the headers that tell how it came about.
#[derive(Debug)]
pub(crate) struct Answer<T> {
    pub(crate) headers: HeaderMap,
    pub(crate) content: T,
}

/// A request that may be asked, the bill for it, and what the cache is to do.
struct Entered<P> {
    request: P,
    bill: Bill,
    plan: Option<Plan>,
}

/// Whether a request waits for the answer that an identical one is asking for.
#[derive(Clone, Copy)]
enum Waits {
    Yes,
    No,
}

impl FromRequestParts<App> for Call {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let found = (parts.extensions.get::<Context>().cloned(), parts.extensions.get::<Admitted>().cloned());
        let (Some(context), Some(admitted)) = found else {
            // The layers that name and admit requests are missing on this path: ours to mend, and never a way in.
            return Err(ApiError::internal("the request was not admitted"));
        };
        Ok(Self { app: app.clone(), context, admitted })
    }
}

impl Call {
    /// Returns the router that serves this request to its end.
    pub(crate) fn router(&self) -> &Router {
        &self.admitted.serving.router
    }

    /// Returns whether the caller may call this alias.
    pub(crate) fn may_call(&self, alias: &str) -> bool {
        match &self.admitted.caller {
            Caller::Anybody | Caller::Master => true,
            Caller::Key(key) => key.may_call(alias),
        }
    }

    /// Answers with a whole reply.
    pub(crate) async fn complete(&self, request: ChatRequest) -> Result<Answer<Reply>, ApiError> {
        let Entered { request, bill, plan } = self.enter(Kind::Chat, request).await?;
        let pending = match self.find(plan, Waits::Yes).await {
            Found::Answer(kept) => {
                let content = kept.answer.reply();
                return Ok(Answer { headers: self.kept_headers(&kept), content });
            }
            Found::Nothing(pending) => pending,
        };
        match self.router_for(&request).completion(&request).await {
            Ok(Completion { reply, report }) => {
                let headers = self.answered(bill, pending, &report, &reply.body);
                Ok(Answer { headers, content: reply })
            }
            Err(error) => Err(self.failed(error, bill, pending)),
        }
    }

    /// Answers with a stream, as soon as its first token is there.
    pub(crate) async fn stream(&self, request: ChatRequest) -> Result<Answer<AnswerStream>, ApiError> {
        let Entered { request, bill, plan } = self.enter(Kind::Chat, request).await?;
        // Nobody waits for another's stream: whoever wants one wants its first token soon.
        let pending = match self.find(plan, Waits::No).await {
            Found::Answer(kept) => {
                let headers = self.kept_headers(&kept);
                return Ok(Answer {
                    headers,
                    content: AnswerStream::kept(kept.answer, bill.prompt_tokens()),
                });
            }
            Found::Nothing(pending) => pending,
        };
        match self.router_for(&request).stream(&request).await {
            Ok(stream) => {
                // What it costs is not known before its end.
                let mut headers = answer_headers(&self.context, stream.report(), None);
                if let Some(pending) = &pending {
                    headers.extend(cache_headers(pending.key(), None));
                }
                let keeping = pending.map(|pending| Keeping::new(pending, Arc::clone(self.app.clock())));
                Ok(Answer { headers, content: AnswerStream::asked(stream, bill, keeping) })
            }
            Err(error) => Err(self.failed(error, bill, pending)),
        }
    }

    /// Answers with vectors.
    pub(crate) async fn embed(&self, request: EmbeddingRequest) -> Result<Answer<Bytes>, ApiError> {
        let Entered { request, bill, plan } = self.enter(Kind::Embedding, request).await?;
        let pending = match self.find(plan, Waits::Yes).await {
            Found::Answer(kept) => {
                return Ok(Answer { headers: self.kept_headers(&kept), content: kept.answer.reply().body });
            }
            Found::Nothing(pending) => pending,
        };
        match self.router_for(&request).embedding(&request).await {
            Ok(Embedding { reply, report }) => {
                let headers = self.answered(bill, pending, &report, &reply.body);
                Ok(Answer { headers, content: reply.body })
            }
            Err(error) => Err(self.failed(error, bill, pending)),
        }
    }

    /// Sees to it that the caller may ask for this and has room for it; says what the cache is to do.
    async fn enter<P: Payload>(&self, kind: Kind, request: P) -> Result<Entered<P>, ApiError> {
        let mut request = self.permit(request)?;
        let control = request.read::<Control>(Control::FIELD, Control::EXPECTED)?;
        if control.is_some() {
            // It is for us, and providers refuse what they do not know.
            request = request.edited(&[(Control::FIELD, Edit::Remove)])?;
        }
        let bill = self.open_bill(&request).await?;
        let cache = self.admitted.serving.cache.as_ref();
        let plan = cache.and_then(|cache| cache.plan(kind, &request, &control.unwrap_or_default()));
        Ok(Entered { request, bill, plan })
    }

    /// Looks into the cache, and counts what came of it.
    async fn find(&self, plan: Option<Plan>, waits: Waits) -> Found {
        let Some(plan) = plan else { return Found::Nothing(None) };
        let found = match waits {
            Waits::Yes => plan.find(self.now()).await,
            Waits::No => plan.look(self.now()).await,
        };
        let counts = self.app.watch().cache();
        match &found {
            Found::Answer(_) => counts.hit(),
            Found::Nothing(_) => counts.miss(),
        }
        found
    }

    fn kept_headers(&self, kept: &Kept) -> HeaderMap {
        let mut headers = kept_headers(&self.context, &kept.answer);
        headers.extend(cache_headers(kept.key, Some(self.now().since(kept.answer.given_at))));
        headers
    }

    /// Settles the bill, and keeps the answer where that is wanted. Returns the headers that tell how it came about.
    fn answered(
        &self,
        bill: Bill,
        pending: Option<Pending>,
        report: &RouteReport,
        body: &Bytes,
    ) -> HeaderMap {
        bill.settle(Used::of([report]));
        let mut headers = answer_headers(&self.context, report, report.cost());
        if let Some(pending) = pending {
            headers.extend(cache_headers(pending.key(), None));
            pending.answered(CachedAnswer::whole(report, body.clone(), self.now()), self.now());
        }
        headers
    }

    fn failed(&self, error: RouteError, bill: Bill, pending: Option<Pending>) -> ApiError {
        if let Some(pending) = pending {
            pending.failed();
        }
        // Providers charge for some of what fails.
        bill.settle(Used::of(error.report()));
        let headers = error.report().map(|report| answer_headers(&self.context, report, None));
        ApiError::from(error).with_headers(headers.unwrap_or_default())
    }

    fn now(&self) -> Timestamp {
        self.app.clock().now()
    }

    /// The router, with what observers are to know about the request.
    fn router_for(&self, request: &impl Payload) -> Router {
        let mut context = RequestContext::new()
            .with_metadata("request_id", self.context.request_id.to_str().unwrap_or_default());
        if let Caller::Key(key) = &self.admitted.caller {
            context = context.with_key_alias(key.name());
        }
        if let Ok(Some(user)) = request.read::<String>("user", "a text") {
            context = context.with_user(user);
        }
        context.trace = self.context.trace;
        self.router().on_behalf_of(context)
    }

    /// Returns what a request will probably use. Nothing is called, and nothing owed.
    pub(crate) fn estimate(&self, request: ChatRequest) -> Result<Estimate, ApiError> {
        let request = self.permit(request)?;
        Ok(self.router().estimate(&request))
    }

    /// Sees to it that the caller may call what the request names, and names it as the router does.
    fn permit<P: Payload>(&self, request: P) -> Result<P, ApiError> {
        let Caller::Key(key) = &self.admitted.caller else { return Ok(request) };
        let alias = key.resolve(request.model());
        // Where the configuration leads on is its author's decision, where the request does is the caller's.
        let fallbacks: Option<Vec<String>> = request.read("fallbacks", "a list of model names")?;
        let mut named = std::iter::once(alias).chain(fallbacks.iter().flatten().map(String::as_str));
        if let Some(forbidden) = named.find(|name| !key.may_call(name)) {
            return Err(ApiError::forbidden_model(forbidden));
        }
        if alias == request.model() {
            return Ok(request);
        }
        let model = serde_json::Value::from(alias).to_string();
        Ok(request.edited(&[("model", Edit::Set(&model))])?)
    }

    /// Takes note of the request in the caller's account, or refuses it.
    async fn open_bill(&self, request: &impl Payload) -> Result<Bill, ApiError> {
        let Estimate { prompt_tokens, cost, .. } = self.router().estimate(request);
        let Caller::Key(key) = &self.admitted.caller else { return Ok(Bill::nobodys(prompt_tokens)) };
        let now = self.app.clock().now();
        let claim = Claim::new(now, prompt_tokens, cost.unwrap_or_default());
        self.app.ledger().claim(key, &claim, now).await.map_err(|refusal| ApiError::refused(refusal, key))?;
        Ok(Bill::of(key.clone(), claim, self.app.clone()))
    }
}
