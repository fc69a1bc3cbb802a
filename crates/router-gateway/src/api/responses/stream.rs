//! From canonical chunks to the events of a response, in their order.

use llm_router::{Chunk, JsonObject, ProviderError, Usage};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::item::{self, Status};
use super::reply::{Frame, usage};
use crate::api::canonical::{Completion, Message, Said, ToolCall};
use crate::api::errors::meaning;
use crate::api::json::{Node, Object};
use crate::api::translated::{Events, Translate};

/// Writes `response.created` … `response.completed`.
pub(super) struct ResponseEvents {
    asked: JsonObject,
    frame: Option<Frame>,
    sequence: u64,
    /// The items so far, by their place in the output.
    items: Vec<Item>,
    finish_reason: Option<String>,
}

/// An item, as far as it has come.
struct Item {
    id: String,
    content: Content,
    /// The item as JSON, once it is complete.
    done: Option<Box<RawValue>>,
}

enum Content {
    Reasoning(String),
    Message(Said, String),
    Call {
        /// Its index in the chunks.
        index: u64,
        call_id: String,
        name: String,
        arguments: String,
    },
}

impl Item {
    fn object(&self, status: Status) -> Object<'_> {
        let is_new = status == Status::InProgress;
        match &self.content {
            Content::Reasoning(text) => item::reasoning(&self.id, (!is_new).then_some(text)),
            Content::Message(said, text) => {
                item::message(&self.id, status, (!is_new).then(|| item::message_part(*said, text)))
            }
            Content::Call { call_id, name, arguments, .. } => {
                item::call(&self.id, status, call_id, name, if is_new { "" } else { arguments })
            }
        }
    }
}

impl ResponseEvents {
    pub(super) const fn new(asked: JsonObject) -> Self {
        Self { asked, frame: None, sequence: 0, items: Vec::new(), finish_reason: None }
    }

    /// Sends an event, numbered.
    fn send(sequence: &mut u64, kind: &'static str, rest: Object<'_>, events: &mut Events) {
        let event = Object::typed(kind).with("sequence_number", *sequence).and(rest);
        *sequence += 1;
        events.named(kind, &event);
    }

    /// Sends an event about an item.
    fn tell(&mut self, place: usize, kind: &'static str, rest: Object<'_>, events: &mut Events) {
        let Some(item) = self.items.get(place) else { return };
        let about = Object::default().with("item_id", item.id.as_str()).with("output_index", place);
        let rest = about.and(rest);
        Self::send(&mut self.sequence, kind, rest, events);
    }

    /// Sends an event that shows the whole response.
    fn show(&mut self, kind: &'static str, status: &'static str, rest: Object<'_>, events: &mut Events) {
        let empty = Frame::default();
        let frame = self.frame.as_ref().unwrap_or(&empty);
        let output = self.items.iter().filter_map(|item| item.done.as_deref().map(Node::Raw)).collect();
        let response = frame.response(&self.asked, status, output).and(rest);
        Self::send(&mut self.sequence, kind, Object::default().with("response", response), events);
    }

    fn begin(&mut self, completion: &Completion<'_>, events: &mut Events) {
        self.frame = Some(Frame::of(completion));
        for kind in ["response.created", "response.in_progress"] {
            self.show(kind, "in_progress", nothing_yet(), events);
        }
    }

    /// Begins an item; what was open before it is complete. Calls may be written side by side.
    fn start(&mut self, content: Content, events: &mut Events) -> usize {
        let beside = matches!(content, Content::Call { .. });
        self.close(|open| !(beside && matches!(open, Content::Call { .. })), Status::Completed, events);
        let place = self.items.len();
        let id = self.frame.as_ref().map(|frame| frame.item_id(place)).unwrap_or_default();
        let item = Item { id, content, done: None };
        let added =
            Object::default().with("output_index", place).with("item", item.object(Status::InProgress));
        Self::send(&mut self.sequence, "response.output_item.added", added, events);
        let part = match &item.content {
            Content::Reasoning(_) => {
                let part =
                    Object::default().with("summary_index", 0_u64).with("part", item::summary_part(""));
                Some(("response.reasoning_summary_part.added", part))
            }
            Content::Message(said, _) => {
                let part = Object::default().with("content_index", 0_u64);
                Some(("response.content_part.added", part.with("part", item::message_part(*said, ""))))
            }
            Content::Call { .. } => None,
        };
        self.items.push(item);
        if let Some((kind, part)) = part {
            self.tell(place, kind, part, events);
        }
        place
    }

    /// Completes the open items of some kinds.
    fn close(&mut self, which: impl Fn(&Content) -> bool, status: Status, events: &mut Events) {
        for place in 0..self.items.len() {
            let is_open =
                self.items.get(place).is_some_and(|item| item.done.is_none() && which(&item.content));
            if is_open {
                self.complete(place, status, events);
            }
        }
    }

    fn complete(&mut self, place: usize, status: Status, events: &mut Events) {
        let Some(item) = self.items.get_mut(place) else { return };
        let whole = item.object(status).to_json();
        let Ok(whole) = RawValue::from_string(whole) else { return };
        let done: [Option<(&'static str, Object<'static>)>; 2] = match &item.content {
            Content::Reasoning(text) => {
                let at = || Object::default().with("summary_index", 0_u64);
                [
                    Some(("response.reasoning_summary_text.done", at().with("text", text.clone()))),
                    Some((
                        "response.reasoning_summary_part.done",
                        at().with("part", owned(&item::summary_part(text))),
                    )),
                ]
            }
            Content::Message(said, text) => {
                let at = || Object::default().with("content_index", 0_u64);
                let part = at().with("part", owned(&item::message_part(*said, text)));
                let (kind, text) = match said {
                    Said::Text => (
                        "response.output_text.done",
                        at().with("text", text.clone()).with("logprobs", json!([])),
                    ),
                    Said::Refusal => ("response.refusal.done", at().with("refusal", text.clone())),
                };
                [Some((kind, text)), Some(("response.content_part.done", part))]
            }
            Content::Call { arguments, .. } => {
                let call = Object::default().with("arguments", arguments.clone());
                [Some(("response.function_call_arguments.done", call)), None]
            }
        };
        item.done = Some(whole.clone());
        for (kind, rest) in done.into_iter().flatten() {
            self.tell(place, kind, rest, events);
        }
        let rest = Object::default().with("output_index", place).with("item", &*whole);
        Self::send(&mut self.sequence, "response.output_item.done", rest, events);
    }

    /// Returns the place of the open item that fits, if there is one.
    fn open(&self, fits: impl Fn(&Content) -> bool) -> Option<usize> {
        self.items.iter().position(|item| item.done.is_none() && fits(&item.content))
    }

    fn message(&mut self, message: &Message<'_>, events: &mut Events) {
        if let Some(more) = message.reasoning() {
            let place = self
                .open(|content| matches!(content, Content::Reasoning(_)))
                .unwrap_or_else(|| self.start(Content::Reasoning(String::new()), events));
            if let Some(Item { content: Content::Reasoning(text), .. }) = self.items.get_mut(place) {
                text.push_str(&more);
            }
            let delta = Object::default().with("summary_index", 0_u64).with("delta", more);
            self.tell(place, "response.reasoning_summary_text.delta", delta, events);
        }
        if let Some((said, more)) = message.said() {
            let place = self
                .open(|content| matches!(content, Content::Message(open, _) if *open == said))
                .unwrap_or_else(|| self.start(Content::Message(said, String::new()), events));
            if let Some(Item { content: Content::Message(_, text), .. }) = self.items.get_mut(place) {
                text.push_str(more);
            }
            let delta = Object::default().with("content_index", 0_u64).with("delta", more);
            match said {
                Said::Text => {
                    let delta = delta.with("logprobs", json!([]));
                    self.tell(place, "response.output_text.delta", delta, events);
                }
                Said::Refusal => self.tell(place, "response.refusal.delta", delta, events),
            }
        }
        for call in message.tool_calls.iter().flatten() {
            self.call(call, events);
        }
    }

    fn call(&mut self, call: &ToolCall<'_>, events: &mut Events) {
        let calls = self.items.iter().filter(|item| matches!(item.content, Content::Call { .. })).count();
        let index = call.index.unwrap_or_else(|| calls.try_into().unwrap_or(u64::MAX));
        let function = call.function.as_ref();
        let known =
            self.open(|content| matches!(content, Content::Call { index: open, .. } if *open == index));
        let place = known.unwrap_or_else(|| {
            let id = call.id.as_deref().filter(|id| !id.is_empty());
            let content = Content::Call {
                index,
                call_id: id.map_or_else(|| format!("call_{index}"), str::to_owned),
                name: function.and_then(|function| function.name.as_deref()).unwrap_or_default().to_owned(),
                arguments: String::new(),
            };
            self.start(content, events)
        });
        let more = function.and_then(|function| function.arguments.as_deref()).unwrap_or_default();
        if more.is_empty() {
            return;
        }
        if let Some(Item { content: Content::Call { arguments, .. }, .. }) = self.items.get_mut(place) {
            arguments.push_str(more);
        }
        let delta = Object::default().with("delta", more);
        self.tell(place, "response.function_call_arguments.delta", delta, events);
    }
}

/// What a response has before its end.
fn nothing_yet() -> Object<'static> {
    ending(Value::Null, Value::Null, Value::Null)
}

fn ending(incomplete: Value, error: Value, usage: Value) -> Object<'static> {
    Object::default().with("incomplete_details", incomplete).with("error", error).with("usage", usage)
}

fn owned(object: &Object<'_>) -> Value {
    serde_json::to_value(object).unwrap_or_default()
}

impl Translate for ResponseEvents {
    fn take(&mut self, chunk: &Chunk, events: &mut Events) -> Result<(), ProviderError> {
        let completion = Completion::read(&chunk.data)?;
        if self.frame.is_none() {
            self.begin(&completion, events);
        }
        if let Some(choice) = completion.first() {
            self.message(&choice.message, events);
            if let Some(reason) = &choice.finish_reason {
                self.finish_reason = Some(reason.as_ref().to_owned());
            }
        }
        Ok(())
    }

    fn finish(&mut self, used: &Usage, events: &mut Events) {
        let incomplete = item::incompleteness(self.finish_reason.as_deref());
        let (status, kind) = match &incomplete {
            Some(_) => (Status::Incomplete, "response.incomplete"),
            None => (Status::Completed, "response.completed"),
        };
        self.close(|_| true, status, events);
        let rest = ending(incomplete.unwrap_or_default(), Value::Null, usage(used));
        self.show(kind, status.as_str(), rest, events);
    }

    fn fail(&mut self, error: &ProviderError, events: &mut Events) {
        let (_, kind) = meaning(error.kind());
        let message = format!("the answer is incomplete: {error}");
        let said = json!({"type": kind, "code": "stream_interrupted", "message": message, "param": null});
        Self::send(&mut self.sequence, "error", Object::default().with("error", said), events);
        let error = json!({"code": "server_error", "message": message});
        self.show("response.failed", "failed", ending(Value::Null, error, Value::Null), events);
    }
}
