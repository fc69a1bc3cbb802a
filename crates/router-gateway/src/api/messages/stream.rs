//! From canonical chunks to Anthropic's events.

use llm_router::{Chunk, ProviderError, Usage};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::errors::stream_error;
use super::reply::{Ending, call_id, message_id, usage};
use crate::api::canonical::{Completion, Message, ToolCall};
use crate::api::json::text;
use crate::api::translated::{Events, Translate};

/// Writes `message_start` … `message_stop`.
pub(super) struct MessageEvents {
    /// What the prompt is estimated to have, in tokens, until the provider tells.
    prompt_tokens: u64,
    stops: Vec<String>,
    has_begun: bool,
    open: Option<Open>,
    /// Blocks begun so far.
    blocks: usize,
    /// The block of each tool call, by the call's index in the chunks.
    calls: Vec<(u64, usize)>,
    finish_reason: Option<String>,
    native_finish_reason: Option<String>,
}

/// The block that is being written: always the last one begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Open {
    Thinking,
    Text,
    Call,
}

#[derive(Serialize)]
struct BlockDelta<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    index: usize,
    delta: Delta<'a>,
}

#[derive(Serialize)]
#[serde(tag = "type")]
enum Delta<'a> {
    #[serde(rename = "text_delta")]
    Text { text: &'a str },
    #[serde(rename = "thinking_delta")]
    Thinking { thinking: &'a str },
    #[serde(rename = "signature_delta")]
    Signature { signature: &'a str },
    #[serde(rename = "input_json_delta")]
    Input { partial_json: &'a str },
}

impl MessageEvents {
    pub(super) const fn new(prompt_tokens: u64, stops: Vec<String>) -> Self {
        Self {
            prompt_tokens,
            stops,
            has_begun: false,
            open: None,
            blocks: 0,
            calls: Vec::new(),
            finish_reason: None,
            native_finish_reason: None,
        }
    }

    fn begin(&mut self, completion: &Completion<'_>, told: Option<Usage>, events: &mut Events) {
        self.has_begun = true;
        let told = told.unwrap_or(Usage { prompt: self.prompt_tokens, ..Usage::default() });
        let message = json!({
            "id": message_id(completion.id.as_deref()),
            "type": "message",
            "role": "assistant",
            "model": completion.model,
            "content": [],
            "stop_reason": null,
            "stop_sequence": null,
            "usage": usage(&told),
        });
        events.named("message_start", &json!({"type": "message_start", "message": message}));
    }

    /// Sees to it that a block of this kind is open.
    fn enter(&mut self, kind: Open, block: impl FnOnce() -> Value, events: &mut Events) {
        if self.open != Some(kind) {
            self.start(kind, &block(), events);
        }
    }

    fn start(&mut self, kind: Open, block: &impl Serialize, events: &mut Events) {
        #[derive(Serialize)]
        struct Start<'a, B> {
            #[serde(rename = "type")]
            kind: &'static str,
            index: usize,
            content_block: &'a B,
        }
        self.leave(events);
        let kind_of_event = "content_block_start";
        events.named(kind_of_event, &Start { kind: kind_of_event, index: self.blocks, content_block: block });
        self.open = Some(kind);
        self.blocks += 1;
    }

    fn leave(&mut self, events: &mut Events) {
        if self.open.take().is_some() {
            let stop = json!({"type": "content_block_stop", "index": self.blocks.saturating_sub(1)});
            events.named("content_block_stop", &stop);
        }
    }

    /// Adds to the block that was begun last.
    fn add(&self, delta: Delta<'_>, events: &mut Events) {
        add_to(self.blocks.saturating_sub(1), delta, events);
    }

    fn message(&mut self, message: &Message<'_>, events: &mut Events) {
        if let Some(reasoning) = message.reasoning() {
            self.think(&reasoning, events);
        }
        for block in message.thinking_blocks.iter().flatten() {
            self.thought(block, events);
        }
        if let Some(text) = message.text() {
            self.enter(Open::Text, || json!({"type": "text", "text": ""}), events);
            self.add(Delta::Text { text }, events);
        }
        for call in message.tool_calls.iter().flatten() {
            self.call(call, events);
        }
    }

    fn think(&mut self, thinking: &str, events: &mut Events) {
        self.enter(Open::Thinking, || json!({"type": "thinking", "thinking": "", "signature": ""}), events);
        self.add(Delta::Thinking { thinking }, events);
    }

    /// Takes a block of thinking that is complete. Its text may have come before, piece by piece.
    fn thought(&mut self, block: &RawValue, events: &mut Events) {
        #[derive(Deserialize)]
        struct Thought<'a> {
            #[serde(borrow)]
            thinking: Option<&'a RawValue>,
            #[serde(borrow)]
            signature: Option<&'a RawValue>,
        }
        let Ok(Thought { thinking: Some(thinking), signature }) =
            serde_json::from_str::<Thought<'_>>(block.get())
        else {
            // Redacted: it is sent as it is.
            self.start(Open::Thinking, &block, events);
            return self.leave(events);
        };
        if self.open != Some(Open::Thinking) {
            self.think(&text(thinking).unwrap_or_default(), events);
        }
        if let Some(signature) = signature.and_then(text).filter(|signature| !signature.is_empty()) {
            self.add(Delta::Signature { signature: &signature }, events);
        }
        self.leave(events);
    }

    fn call(&mut self, call: &ToolCall<'_>, events: &mut Events) {
        let index = call.index.unwrap_or_else(|| self.calls.len().try_into().unwrap_or(u64::MAX));
        let function = call.function.as_ref();
        let known = self.calls.iter().find(|(known, _)| *known == index).map(|(_, block)| *block);
        let block = known.unwrap_or_else(|| {
            let name = function.and_then(|function| function.name.as_deref()).unwrap_or_default();
            let id = call_id(call, self.calls.len());
            self.start(Open::Call, &json!({"type": "tool_use", "id": id, "name": name, "input": {}}), events);
            let block = self.blocks.saturating_sub(1);
            self.calls.push((index, block));
            block
        });
        let arguments = function.and_then(|function| function.arguments.as_deref()).unwrap_or_default();
        if !arguments.is_empty() {
            add_to(block, Delta::Input { partial_json: arguments }, events);
        }
    }
}

fn add_to(index: usize, delta: Delta<'_>, events: &mut Events) {
    let kind = "content_block_delta";
    events.named(kind, &BlockDelta { kind, index, delta });
}

impl Translate for MessageEvents {
    fn take(&mut self, chunk: &Chunk, events: &mut Events) -> Result<(), ProviderError> {
        let completion = Completion::read(&chunk.data)?;
        if !self.has_begun {
            self.begin(&completion, chunk.usage, events);
        }
        if let Some(choice) = completion.first() {
            self.message(&choice.message, events);
            let owned = |reason: &Option<std::borrow::Cow<'_, str>>| reason.as_deref().map(str::to_owned);
            self.finish_reason = owned(&choice.finish_reason).or(self.finish_reason.take());
            self.native_finish_reason =
                owned(&choice.native_finish_reason).or(self.native_finish_reason.take());
        }
        Ok(())
    }

    fn finish(&mut self, used: &Usage, events: &mut Events) {
        self.leave(events);
        let end = Ending::from_reasons(
            self.finish_reason.as_deref(),
            self.native_finish_reason.as_deref(),
            !self.calls.is_empty(),
            &self.stops,
        );
        let delta = json!({"stop_reason": end.reason, "stop_sequence": end.sequence});
        events
            .named("message_delta", &json!({"type": "message_delta", "delta": delta, "usage": usage(used)}));
        events.named("message_stop", &json!({"type": "message_stop"}));
    }

    fn fail(&mut self, error: &ProviderError, events: &mut Events) {
        events.named("error", &stream_error(error));
    }
}
