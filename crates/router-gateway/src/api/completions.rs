//! `POST /v1/completions`, which OpenAI calls legacy: a prompt instead of messages.
//!
//! No provider is asked in this format: the prompt becomes one message of the user, and the answer to it the completion.

mod request;
mod stream;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use llm_router::{JsonObject, Reply};

use self::stream::TextChunks;
use super::ApiError;
use super::body::WholeBody;
use super::call::{Answer, Call};
use super::canonical::{Choice, Completion};
use super::json::Object;
use super::sse::sse_headers;
use super::translated::Translated;

pub(super) async fn create(call: Call, WholeBody(body): WholeBody) -> Result<Response, ApiError> {
    let request = request::canonical(&JsonObject::read(body)?)?;
    if request.is_stream() {
        let Answer { mut headers, content } = call.stream(request).await?;
        headers.extend(sse_headers());
        Ok((headers, Body::from_stream(Translated::new(content, TextChunks))).into_response())
    } else {
        let Answer { mut headers, content } = call.complete(request).await?;
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok((headers, completion(&content)?).into_response())
    }
}

fn completion(reply: &Reply) -> Result<String, ApiError> {
    let completion = Completion::read(&reply.body).map_err(|error| ApiError::untranslatable(&error))?;
    let choices = completion.choices.iter().map(choice).collect();
    Ok(object(&completion, choices).to_json())
}

/// A `text_completion`; a piece of one in a stream has the same shape.
fn object<'a>(completion: &'a Completion<'a>, choices: Vec<Object<'a>>) -> Object<'a> {
    Object::default()
        .with("id", completion.id.as_deref().unwrap_or_default())
        .with("object", "text_completion")
        .with("created", completion.created.unwrap_or_default())
        .with("model", completion.model.as_deref().unwrap_or_default())
        .with("choices", choices)
        .with_some("usage", completion.usage)
}

fn choice<'a>(choice: &'a Choice<'a>) -> Object<'a> {
    let reason = choice.finish_reason.as_deref().map(|reason| match reason {
        "length" | "content_filter" => reason,
        _ => "stop",
    });
    let null = serde_json::Value::Null;
    let object = Object::default()
        .with("text", choice.message.text().unwrap_or_default())
        .with("index", choice.index)
        .with("logprobs", null.clone());
    match reason {
        Some(reason) => object.with("finish_reason", reason),
        None => object.with("finish_reason", null),
    }
}
