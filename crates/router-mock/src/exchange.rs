//! One request, from its bytes to the reply.

use std::{future::pending, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};

use crate::{
    answer::Answer,
    ask::Ask,
    behaviour::Behaviour,
    body::{Hangup, Page, ReplyBody},
    dice,
    embedding::EmbeddingAsk,
    fault::Fault,
    upstream::{Turn, Watch},
    wire::{CONTEXT_WINDOW, OpenAi, Refusal, Wire},
};

/// The content type of most replies.
pub(crate) const JSON: &str = "application/json";
const EVENT_STREAM: &str = "text/event-stream; charset=utf-8";
const BROKEN_JSON: &str = r#"{"id":"broken","object":"#;

type Reply = Result<Response<ReplyBody>, Hangup>;

/// Answers a completion request as its turn says. Dropped when the client leaves, which the watch notices.
pub(crate) async fn exchange(wire: &'static dyn Wire, turn: Turn, headers: &HeaderMap, body: &[u8]) -> Reply {
    let Turn { behaviour, fault, seed, watch } = turn;
    pause(behaviour.latency_ms).await;
    let mut head = Head::new(wire, &behaviour, seed);
    let ask = match admit(&behaviour, headers).and_then(|()| Ask::parse(wire, body)) {
        Ok(ask) => ask,
        Err(refusal) => return Ok(head.refuse(&refusal, watch)),
    };
    let (fault, watch) = match head.strike(fault, ask.prompt_chars, ask.stream, watch).await {
        Ok(spared) => spared,
        Err(reply) => return reply,
    };
    let stream = ask.stream;
    let answer = Answer::new(ask, &behaviour, watch.upstream().name(), seed);
    Ok(if stream {
        head.stream(answer, fault, watch)
    } else {
        head.plain(wire.reply(&answer).into(), fault, watch)
    })
}

/// Answers a request for embeddings as its turn says.
pub(crate) async fn embed(turn: Turn, headers: &HeaderMap, body: &[u8]) -> Reply {
    let Turn { behaviour, fault, seed, watch } = turn;
    pause(behaviour.latency_ms).await;
    let mut head = Head::new(&OpenAi, &behaviour, seed);
    let ask = match admit(&behaviour, headers).and_then(|()| EmbeddingAsk::parse(body)) {
        Ok(ask) => ask,
        Err(refusal) => return Ok(head.refuse(&refusal, watch)),
    };
    match head.strike(fault, ask.chars(), false, watch).await {
        Ok((fault, watch)) => Ok(head.plain(ask.reply().into(), fault, watch)),
        Err(reply) => reply,
    }
}

/// Refuses a body of more bytes than are taken, which is thus unread and not recorded.
pub(crate) fn refuse_too_large(wire: &'static dyn Wire, turn: Turn) -> Response<ReplyBody> {
    let head = Head::new(wire, &turn.behaviour, turn.seed);
    head.refuse(&Refusal::status(413), turn.watch)
}

/// Waits this many milliseconds, and not at all for 0.
async fn pause(ms: u64) {
    if ms > 0 {
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }
}

/// Checks the key.
fn admit(behaviour: &Behaviour, headers: &HeaderMap) -> Result<(), Refusal> {
    if let Some(key) = &behaviour.require_key {
        let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let bearer = header("authorization").and_then(|value| value.strip_prefix("Bearer "));
        if !bearer.or_else(|| header("x-api-key")).is_some_and(|given| key.is(given)) {
            return Err(Refusal::status(401));
        }
    }
    Ok(())
}

/// What all replies to one request share.
struct Head<'a> {
    wire: &'static dyn Wire,
    behaviour: &'a Arc<Behaviour>,
    request_id: String,
    retry_after: Option<String>,
}

impl<'a> Head<'a> {
    fn new(wire: &'static dyn Wire, behaviour: &'a Arc<Behaviour>, seed: u64) -> Self {
        let request_id = dice::identifier("req_", seed, 24);
        Self { wire, behaviour, request_id, retry_after: None }
    }

    fn refuse(&self, refusal: &Refusal, watch: Watch) -> Response<ReplyBody> {
        let (status, body) = self.wire.refusal(refusal, &self.request_id);
        self.whole(status, JSON, body, watch)
    }

    /// Strikes where a fault does so before the answer. Where it does not, gives back what only strikes within the answer.
    async fn strike(
        &mut self,
        fault: Option<Fault>,
        prompt_chars: u64,
        stream: bool,
        mut watch: Watch,
    ) -> Result<(Option<Fault>, Watch), Reply> {
        let refusal = match fault {
            Some(Fault::Hang) => return pending().await,
            Some(Fault::Reset) => {
                watch.finish();
                return Err(Err(Hangup));
            }
            Some(Fault::Raw { code, content_type, body }) => {
                return Err(Ok(self.whole(code, &content_type, body, watch)));
            }
            Some(Fault::EmptyBody) => {
                let content_type = if stream { EVENT_STREAM } else { JSON };
                return Err(Ok(self.whole(200, content_type, "", watch)));
            }
            Some(Fault::MalformedBody) => return Err(Ok(self.whole(200, JSON, BROKEN_JSON, watch))),
            Some(Fault::Status { code, retry_after, message }) => {
                self.retry_after = retry_after;
                Refusal::Status { code, message }
            }
            Some(Fault::ContextWindow) => {
                Refusal::ContextWindow { prompt_tokens: prompt_chars.div_ceil(4).max(CONTEXT_WINDOW + 1) }
            }
            Some(Fault::ContentFilter) => Refusal::ContentFilter,
            Some(Fault::InsufficientQuota) => Refusal::InsufficientQuota,
            fault @ (None
            | Some(
                Fault::Cut { .. }
                | Fault::Stall { .. }
                | Fault::MalformedChunk { .. }
                | Fault::NoEndMarker { .. }
                | Fault::ErrorInStream { .. },
            )) => return Ok((fault, watch)),
        };
        Err(Ok(self.refuse(&refusal, watch)))
    }

    fn plain(&self, full: Bytes, fault: Option<Fault>, watch: Watch) -> Response<ReplyBody> {
        let length = full.len() as u64;
        let half = full.len() / 2;
        let body = match fault {
            Some(Fault::ErrorInStream { code, .. }) => {
                let refusal = Refusal::status(code);
                ReplyBody::whole(self.wire.refusal(&refusal, &self.request_id).1, Some(watch))
            }
            Some(Fault::MalformedChunk { .. }) => ReplyBody::whole(BROKEN_JSON, Some(watch)),
            Some(Fault::Cut { .. }) => ReplyBody::written(Some(length), watch, async move |page| {
                page.send(full.slice(..half)).await;
                Err(page.hang_up().await)
            }),
            Some(Fault::Stall { ms, .. }) => ReplyBody::written(Some(length), watch, async move |page| {
                page.send(full.slice(..half)).await;
                stall(ms).await;
                page.send(full.slice(half..)).await;
                Ok(())
            }),
            _ => ReplyBody::whole(full, Some(watch)),
        };
        self.response(200, JSON, body)
    }

    fn stream(&self, answer: Answer, fault: Option<Fault>, watch: Watch) -> Response<ReplyBody> {
        let stream = Stream {
            wire: self.wire,
            behaviour: Arc::clone(self.behaviour),
            request_id: self.request_id.clone(),
            answer,
            fault,
        };
        let body = ReplyBody::written(None, watch, |page| stream.write(page));
        self.response(200, EVENT_STREAM, body)
    }

    fn whole(
        &self,
        status: u16,
        content_type: &str,
        body: impl Into<Bytes>,
        watch: Watch,
    ) -> Response<ReplyBody> {
        self.response(status, content_type, ReplyBody::whole(body, Some(watch)))
    }

    fn response(&self, status: u16, content_type: &str, body: ReplyBody) -> Response<ReplyBody> {
        let status = StatusCode::from_u16(status).map_err(http::Error::from);
        match status.and_then(|status| Ok((status, self.headers(content_type)?))) {
            Ok((status, headers)) => {
                let mut response = Response::new(body);
                *response.status_mut() = status;
                *response.headers_mut() = headers;
                response
            }
            Err(error) => misconfigured(body, &error),
        }
    }

    fn headers(&self, content_type: &str) -> Result<HeaderMap, http::Error> {
        let own = [("content-type", content_type), (self.wire.request_id_header(), &self.request_id)];
        let retry_after = self.retry_after.as_deref().map(|value| ("retry-after", value));
        let added = self.behaviour.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let mut headers = HeaderMap::new();
        for (name, value) in own.into_iter().chain(retry_after).chain(added) {
            headers.insert(HeaderName::try_from(name)?, HeaderValue::try_from(value)?);
        }
        Ok(headers)
    }
}

/// Says that the behaviour cannot be put into HTTP, rather than to leave out what does not fit.
fn misconfigured(mut unsent: ReplyBody, error: &http::Error) -> Response<ReplyBody> {
    unsent.finish();
    let message = format!("the behaviour of this simulated upstream is not valid HTTP: {error}");
    let mut response = Response::new(ReplyBody::whole(message, None));
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    response
}

async fn stall(ms: Option<u64>) {
    match ms {
        Some(ms) => pause(ms).await,
        None => pending().await,
    }
}

/// A streamed reply in the making.
struct Stream {
    wire: &'static dyn Wire,
    behaviour: Arc<Behaviour>,
    request_id: String,
    answer: Answer,
    fault: Option<Fault>,
}

impl Stream {
    async fn write(self, page: Page) -> Result<(), Hangup> {
        let Self { wire, behaviour, answer, fault, .. } = &self;
        page.send(wire.preamble(answer)).await;
        let mut pieces = answer.pieces();
        let last = pieces.remaining();
        let strikes_after = fault.as_ref().and_then(Fault::after_chunks).map(|chunks| chunks.min(last));
        for sent in 0..=last {
            if strikes_after == Some(sent) {
                match fault {
                    Some(Fault::Cut { .. }) => return Err(page.hang_up().await),
                    Some(Fault::Stall { ms, .. }) => stall(*ms).await,
                    Some(Fault::MalformedChunk { .. }) => page.send(wire.broken_chunk(answer)).await,
                    Some(Fault::ErrorInStream { code, .. }) => {
                        let refusal = Refusal::status(*code);
                        page.send(wire.error_event(&wire.refusal(&refusal, &self.request_id).1)).await;
                        return Ok(());
                    }
                    _ => {}
                }
            }
            let Some(piece) = pieces.next() else { break };
            pause(if sent == 0 { behaviour.first_token_ms } else { behaviour.chunk_interval_ms }).await;
            page.send(wire.chunk(answer, &piece)).await;
        }
        match fault {
            Some(Fault::NoEndMarker { without_finish_reason: true }) => {}
            Some(Fault::NoEndMarker { without_finish_reason: false }) => page.send(wire.finish(answer)).await,
            _ => {
                page.send(wire.finish(answer)).await;
                page.send(wire.end_marker()).await;
            }
        }
        Ok(())
    }
}
