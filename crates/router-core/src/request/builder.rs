//! Requests written in Rust.

use serde_json::{Map, Value, json};

use super::{ChatRequest, RequestError};

/// Builds a [`ChatRequest`] from Rust values.
///
/// ```
/// use router_core::ChatRequest;
///
/// # fn main() -> Result<(), router_core::RequestError> {
/// let request = ChatRequest::builder("fast")
///     .system("Answer in one word.")
///     .user("What is the capital of France?")
///     .max_tokens(5)
///     .set("temperature", 0.2)
///     .build()?;
/// assert_eq!(request.model(), "fast");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct ChatRequestBuilder {
    model: String,
    messages: Vec<Value>,
    fields: Map<String, Value>,
}

impl ChatRequestBuilder {
    pub(super) fn new(model: String) -> Self {
        Self { model, messages: Vec::new(), fields: Map::new() }
    }

    /// Adds a system message.
    pub fn system(self, text: impl Into<String>) -> Self {
        self.message(json!({"role": "system", "content": text.into()}))
    }

    /// Adds a user message.
    pub fn user(self, text: impl Into<String>) -> Self {
        self.message(json!({"role": "user", "content": text.into()}))
    }

    /// Adds an assistant message.
    pub fn assistant(self, text: impl Into<String>) -> Self {
        self.message(json!({"role": "assistant", "content": text.into()}))
    }

    /// Adds a message in OpenAI's shape, such as one with images or a tool result.
    pub fn message(mut self, message: Value) -> Self {
        self.messages.push(message);
        self
    }

    /// Asks for at most this many tokens of answer.
    pub fn max_tokens(self, tokens: u64) -> Self {
        self.set("max_tokens", tokens)
    }

    /// Sets any other top-level field of the request, such as `temperature` or `tools`.
    ///
    /// `model` and `messages` have their own methods; what is set here under these names is not used.
    pub fn set(mut self, field: impl Into<String>, value: impl Into<Value>) -> Self {
        self.fields.insert(field.into(), value.into());
        self
    }

    /// Finishes the request.
    ///
    /// # Errors
    /// What [`ChatRequest::from_json`] refuses: a blank model, a `stream` that is no boolean.
    pub fn build(mut self) -> Result<ChatRequest, RequestError> {
        self.fields.insert("model".to_owned(), Value::String(self.model));
        self.fields.insert("messages".to_owned(), Value::Array(self.messages));
        ChatRequest::from_json(Value::Object(self.fields).to_string())
    }
}
