//! A few calls that show whether a provider really answers as this project understands it: for the real service, with a key.

use std::sync::Arc;

use futures_util::StreamExt;
use llm_router::{ChatRequest, ChunkKind, EmbeddingRequest, Provider, ProviderErrorKind};
use serde_json::{Value, json};

/// How one check ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// As it should, with what was seen.
    Passed(String),
    /// Not as it should.
    Failed(String),
    /// The provider cannot do it and says so without being called.
    Unsupported,
}

/// Runs every check; each is one or two short calls.
pub async fn smoke(
    chat: &Arc<dyn Provider>,
    embedder: Option<&Arc<dyn Provider>>,
) -> Vec<(&'static str, Outcome)> {
    let mut outcomes = vec![
        ("plain answer", plain(&**chat).await),
        ("stream", stream(&**chat).await),
        ("tool call", tool_call(&**chat).await),
        ("JSON schema", json_schema(&**chat).await),
    ];
    if let Some(embedder) = embedder {
        outcomes.push(("embedding", embedding(&**embedder).await));
    }
    outcomes
}

type Checked = Result<String, Outcome>;

fn outcome(checked: Checked) -> Outcome {
    checked.map_or_else(|outcome| outcome, Outcome::Passed)
}

fn wrong(what: impl Into<String>) -> Outcome {
    Outcome::Failed(what.into())
}

fn failed(error: &llm_router::ProviderError) -> Outcome {
    match error.kind() {
        ProviderErrorKind::Unsupported => Outcome::Unsupported,
        _ => Outcome::Failed(error.to_string()),
    }
}

fn ask(text: &str) -> llm_router::ChatRequestBuilder {
    ChatRequest::builder("smoke").user(text).max_tokens(512)
}

fn request(builder: llm_router::ChatRequestBuilder) -> Result<ChatRequest, Outcome> {
    builder.build().map_err(|error| wrong(error.to_string()))
}

async fn plain(provider: &dyn Provider) -> Outcome {
    let checked = async {
        let reply = provider.complete(&request(ask("Answer with the word: pong"))?).await;
        let reply = reply.map_err(|error| failed(&error))?;
        let text = reply.text().filter(|text| !text.is_empty()).ok_or_else(|| wrong("no text"))?;
        let usage = reply.usage.ok_or_else(|| wrong("no usage"))?;
        Ok(format!("{text:?}, {} + {} tokens", usage.prompt, usage.completion))
    };
    outcome(checked.await)
}

async fn stream(provider: &dyn Provider) -> Outcome {
    let checked = async {
        let reply = provider.stream(&request(ask("Count from one to five, in words."))?).await;
        let mut chunks = reply.map_err(|error| failed(&error))?.chunks;
        let (mut text, mut usage, mut has_finished, mut count) = (String::new(), None, false, 0);
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|error| failed(&error))?;
            count += 1;
            usage = chunk.usage.or(usage);
            has_finished |= chunk.kind == ChunkKind::Finish;
            text.push_str(&chunk.text().unwrap_or_default());
        }
        let usage = usage.ok_or_else(|| wrong("no usage"))?;
        if text.is_empty() || !has_finished {
            return Err(wrong(format!("{count} chunks, no text or no end")));
        }
        Ok(format!("{count} chunks, {} + {} tokens", usage.prompt, usage.completion))
    };
    outcome(checked.await)
}

async fn tool_call(provider: &dyn Provider) -> Outcome {
    let checked = async {
        let tools = json!([{"type": "function", "function": {"name": "get_weather", "description": "The weather in a city",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}]);
        let asked = ask("What is the weather in Paris? Use the tool.")
            .set("tools", tools)
            .set("tool_choice", "required");
        let reply = provider.complete(&request(asked)?).await.map_err(|error| failed(&error))?;
        let body: Value = serde_json::from_slice(&reply.body).map_err(|error| wrong(error.to_string()))?;
        let function = &body["choices"][0]["message"]["tool_calls"][0]["function"];
        let arguments: Value = serde_json::from_str(function["arguments"].as_str().unwrap_or_default())
            .map_err(|_| wrong(format!("no call with arguments: {function}")))?;
        if function["name"] != "get_weather" || !arguments.is_object() {
            return Err(wrong(format!("another call: {function}")));
        }
        Ok(arguments.to_string())
    };
    outcome(checked.await)
}

async fn json_schema(provider: &dyn Provider) -> Outcome {
    let checked = async {
        let schema = json!({"type": "object", "additionalProperties": false, "required": ["capital"],
            "properties": {"capital": {"type": "string"}}});
        let format = json!({"type": "json_schema", "json_schema": {"name": "answer", "strict": true, "schema": schema}});
        let asked = ask("What is the capital of France?").set("response_format", format);
        let reply = provider.complete(&request(asked)?).await.map_err(|error| failed(&error))?;
        let text = reply.text().unwrap_or_default();
        let answer: Value = serde_json::from_str(&text).map_err(|_| wrong(format!("no JSON: {text:?}")))?;
        Ok(answer.to_string())
    };
    outcome(checked.await)
}

async fn embedding(provider: &dyn Provider) -> Outcome {
    let checked = async {
        let asked =
            EmbeddingRequest::of("smoke", ["one", "two"]).map_err(|error| wrong(error.to_string()))?;
        let reply = provider.embed(&asked).await.map_err(|error| failed(&error))?;
        let vectors = reply.vectors().ok_or_else(|| wrong("no vectors"))?;
        match &vectors[..] {
            [one, two] if !one.is_empty() && one.len() == two.len() => {
                Ok(format!("2 vectors of {} numbers", one.len()))
            }
            _ => Err(wrong(format!("{} vectors", vectors.len()))),
        }
    };
    outcome(checked.await)
}
