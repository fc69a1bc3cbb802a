//! A request on its way to an answer: what every endpoint that answers has in common.
//!
//! An endpoint translates its body into a [`ChatRequest`], calls [`Call::complete`] or [`Call::stream`], and translates what comes
//! back. Whether the caller may ask for it, what it costs them and which headers the answer has is decided here.

use axum::extract::FromRequestParts;
use http::HeaderMap;
use http::request::Parts;
use llm_router::{
    ChatRequest, Completion, Edit, Embedding, EmbeddingRequest, Estimate, Payload, RequestContext,
    RouteReport, Router, Usage,
};

use super::ApiError;
use super::answer::{AnswerStream, Bill};
use super::headers::answer_headers;
use crate::access::{Caller, Claim, Used};
use crate::app::App;
use crate::context::{Admitted, Context};
use crate::cost::cost;

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
    pub(crate) async fn complete(&self, request: ChatRequest) -> Result<Answer<Completion>, ApiError> {
        let request = self.permit(request)?;
        let bill = self.open_bill(&request).await?;
        let router = self.router_for(&request);
        let completion = router.completion(&request).await.map_err(|error| self.failed(error))?;
        let usage = completion.reply.usage.unwrap_or_else(|| guess(&bill, &completion));
        let cost = cost(self.router(), &completion.report, &usage);
        bill.settle(Used::new(usage.total(), cost.unwrap_or_default()));
        let headers = answer_headers(&self.context, &completion.report, cost);
        Ok(Answer { headers, content: completion })
    }

    /// Answers with a stream, as soon as its first token is there.
    pub(crate) async fn stream(&self, request: ChatRequest) -> Result<Answer<AnswerStream>, ApiError> {
        let request = self.permit(request)?;
        let bill = self.open_bill(&request).await?;
        let stream = self.router_for(&request).stream(&request).await.map_err(|error| self.failed(error))?;
        let headers = self.headers(stream.report());
        Ok(Answer { headers, content: AnswerStream::new(stream, bill, self.router().clone()) })
    }

    /// Answers with vectors.
    pub(crate) async fn embed(&self, request: EmbeddingRequest) -> Result<Answer<Embedding>, ApiError> {
        let request = self.permit(request)?;
        let bill = self.open_bill(&request).await?;
        let router = self.router_for(&request);
        let embedding = router.embedding(&request).await.map_err(|error| self.failed(error))?;
        let estimate = Usage { prompt: bill.prompt_tokens(), ..Usage::default() };
        let usage = embedding.reply.usage.unwrap_or(estimate);
        let cost = cost(self.router(), &embedding.report, &usage);
        bill.settle(Used::new(usage.total(), cost.unwrap_or_default()));
        let headers = answer_headers(&self.context, &embedding.report, cost);
        Ok(Answer { headers, content: embedding })
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

    fn headers(&self, report: &RouteReport) -> HeaderMap {
        answer_headers(&self.context, report, None)
    }

    fn failed(&self, error: llm_router::RouteError) -> ApiError {
        let headers = error.report().map(|report| self.headers(report)).unwrap_or_default();
        ApiError::from(error).with_headers(headers)
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

/// The tokens of a reply whose provider did not say: the prompt by estimate, the answer by its length.
fn guess(bill: &Bill, completion: &Completion) -> Usage {
    let answered = completion.reply.text().map_or(0, |text| text.len().div_ceil(4));
    Usage {
        prompt: bill.prompt_tokens(),
        completion: u64::try_from(answered).unwrap_or(u64::MAX),
        ..Usage::default()
    }
}
