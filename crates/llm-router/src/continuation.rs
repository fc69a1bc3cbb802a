//! Goes on with an answer whose stream broke, at a deployment that can: by opt-in, and only with plain text.

use router_core::{ChatRequest, Chunk, ChunkKind, DeploymentIndex, Edit};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::engine::{OpenCall, Opened, Streamed};
use crate::error::RouteError;
use crate::report::RouteReport;
use crate::router::Router;

/// Keeps what is needed to continue an answer. `None` where nobody asked for it.
pub(crate) struct Continuer {
    router: Router,
    request: ChatRequest,
    /// What the caller has seen so far.
    text: String,
    /// Whether that is all there was: no tool call, no reasoning, no second choice.
    plain: bool,
}

/// A stream that takes over.
pub(crate) struct Continued {
    pub(crate) opened: Opened,
    pub(crate) call: OpenCall,
    pub(crate) report: RouteReport,
}

impl Continuer {
    pub(crate) fn new(router: &Router, request: &ChatRequest) -> Option<Self> {
        let settings = router.parts.fleet.catalog().settings();
        // What is structured cannot be cut in two and glued together.
        let is_free_text = request.field("response_format").is_none_or(|format| format.contains("\"text\""))
            && request.field("n").is_none_or(|n| matches!(n, "1" | "null"))
            && request.field("logprobs").is_none_or(|logprobs| matches!(logprobs, "false" | "null"))
            && request.native().is_none_or(|native| native.untranslated().is_none());
        (settings.enable_mid_stream_fallback_continuation && is_free_text).then(|| Self {
            router: router.clone(),
            request: request.clone(),
            text: String::new(),
            plain: true,
        })
    }

    /// Takes note of a chunk that the caller sees.
    pub(crate) fn saw(&mut self, chunk: &Chunk) {
        if chunk.kind == ChunkKind::Content && self.plain {
            match plain_text(&chunk.data) {
                Some(text) => self.text.push_str(&text),
                None => self.plain = false,
            }
        }
    }

    /// Returns whether the answer so far can be continued by somebody else.
    pub(crate) const fn can_continue(&self) -> bool {
        self.plain
    }

    /// Asks somebody else to go on. One answer is continued once: what continues it is not continued again.
    pub(crate) async fn go_on(self, broken: OpenedBefore) -> Result<Continued, RouteError> {
        let OpenedBefore { requested, pool, deployment } = broken;
        let request = self.continuing_request()?;
        let demand = self.router.demand(&request, router_core::RequestKind::Stream)?.continuing(deployment);
        let mut journey = self.router.start(requested, pool, demand, self.router.now());
        let (opened, attempt) = journey.run::<Streamed>(&request).await?;
        let (call, report) = journey.opened(attempt, opened.headroom);
        Ok(Continued { opened, call, report })
    }

    /// The request with the text so far as the beginning of the assistant's turn, and what is left of the answer's limit.
    fn continuing_request(&self) -> Result<ChatRequest, RouteError> {
        let mut messages: Vec<Value> = self
            .request
            .field("messages")
            .and_then(|value| serde_json::from_str(value).ok())
            .unwrap_or_default();
        // Anthropic refuses a beginning that ends in white space.
        messages.push(json!({"role": "assistant", "content": self.text.trim_end()}));
        let messages = Value::Array(messages).to_string();
        let mut edits = vec![("messages", Edit::Set(&messages))];
        // Four bytes make a token, roughly; what was said is taken off, so that both parts together stay within the limit.
        let said = self.text.len() as u64 / 4;
        let limits: Vec<(&str, String)> = ["max_tokens", "max_completion_tokens"]
            .into_iter()
            .filter_map(|name| {
                let limit: u64 = serde_json::from_str(self.request.field(name)?).ok()?;
                Some((name, limit.saturating_sub(said).max(1).to_string()))
            })
            .collect();
        edits.extend(limits.iter().map(|(name, limit)| (*name, Edit::Set(limit))));
        Ok(ChatRequest::from_json(self.request.body_with(&edits))?)
    }
}

/// Whose answer broke.
pub(crate) struct OpenedBefore {
    pub(crate) requested: router_core::Alias,
    pub(crate) pool: router_core::PoolIndex,
    pub(crate) deployment: DeploymentIndex,
}

/// The text a chunk adds, if that is all it adds.
fn plain_text(data: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Body {
        choices: Vec<Choice>,
    }
    #[derive(Deserialize)]
    struct Choice {
        #[serde(default)]
        index: u64,
        delta: Delta,
    }
    #[derive(Deserialize)]
    struct Delta {
        content: Option<String>,
        tool_calls: Option<serde::de::IgnoredAny>,
        function_call: Option<serde::de::IgnoredAny>,
        reasoning: Option<serde::de::IgnoredAny>,
        reasoning_content: Option<serde::de::IgnoredAny>,
        refusal: Option<serde::de::IgnoredAny>,
        audio: Option<serde::de::IgnoredAny>,
    }
    let body: Body = serde_json::from_slice(data).ok()?;
    let [Choice { index: 0, delta }] = body.choices.as_slice() else { return None };
    let only_text = delta.tool_calls.is_none()
        && delta.function_call.is_none()
        && delta.reasoning.is_none()
        && delta.reasoning_content.is_none()
        && delta.refusal.is_none()
        && delta.audio.is_none();
    if only_text { delta.content.clone() } else { None }
}
