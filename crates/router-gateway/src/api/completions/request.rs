//! From a completion request to a canonical one: its prompt becomes a message, what chat does not have is refused, and the rest stays.

use llm_router::{ChatRequest, Edit, JsonObject};
use serde::Deserialize;
use serde_json::json;

use crate::api::ApiError;

pub(super) fn canonical(body: &JsonObject) -> Result<ChatRequest, ApiError> {
    let messages = json!([{"role": "user", "content": prompt(body)?}]).to_string();
    if body.field("messages").is_some() {
        return Err(ApiError::unsupported("messages", "this endpoint takes a `prompt`"));
    }
    if body.get("echo", "a boolean")? == Some(true) {
        return Err(ApiError::unsupported("echo", "chat models answer without repeating their prompt"));
    }
    if body.get::<String>("suffix", "a string")?.is_some_and(|suffix| !suffix.is_empty()) {
        return Err(ApiError::unsupported("suffix", "chat models write no text that ends in another"));
    }
    if body.get::<u64>("best_of", "a whole number")?.is_some_and(|best| best > 1) {
        return Err(ApiError::unsupported("best_of", "ask with `n` and choose yourself"));
    }
    if body.get::<u64>("logprobs", "a whole number")?.is_some_and(|count| count > 0) {
        return Err(ApiError::unsupported("logprobs", "ask at /v1/chat/completions"));
    }
    let gone = ["prompt", "echo", "suffix", "best_of", "logprobs"].map(|name| (name, Edit::Remove));
    let mut edits = Vec::from(gone);
    edits.push(("messages", Edit::Set(&messages)));
    Ok(ChatRequest::from_json(body.with(&edits))?)
}

fn prompt(body: &JsonObject) -> Result<String, ApiError> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Prompt {
        One(String),
        Several(Vec<String>),
    }
    const EXPECTED: &str = "a string, or a list of one string";
    match body.get::<Prompt>("prompt", EXPECTED)?.ok_or_else(|| ApiError::missing("prompt"))? {
        Prompt::One(prompt) => Ok(prompt),
        Prompt::Several(prompts) => {
            <[String; 1]>::try_from(prompts).map(|[prompt]| prompt).map_err(|prompts| {
                ApiError::wrong(
                    "prompt",
                    &format!("{EXPECTED}, found {}; send one request for each", prompts.len()),
                )
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &str, expected: Result<&str, &str>) {
        let outcome = canonical(&JsonObject::read(body.to_owned()).unwrap());
        let outcome = outcome.map(|request| String::from_utf8(request.body().to_vec()).unwrap());
        assert_eq!(outcome.as_deref().map_err(|error| &*error.error.message), expected, "{body}");
    }

    #[test]
    fn the_prompt_becomes_a_message_and_the_rest_stays() {
        let messages = r#""messages":[{"content":"Once","role":"user"}]"#;
        let with = |rest: &str| format!(r#"{{"model":"m",{rest}{messages}}}"#);
        check(r#"{"model":"m","prompt":"Once"}"#, Ok(&with("")));
        check(r#"{"model":"m","prompt":["Once"],"logprobs":null,"echo":false,"best_of":1}"#, Ok(&with("")));
        check(
            r#"{"model":"m","prompt":"Once","n":2,"stop":["."],"x":1e2}"#,
            Ok(&with(r#""n":2,"stop":["."],"x":1e2,"#)),
        );
    }

    #[test]
    fn what_chat_does_not_have_is_refused_by_name() {
        check(r#"{"model":"m"}"#, Err("`prompt` is missing"));
        check(
            r#"{"model":"m","prompt":["a","b"]}"#,
            Err(
                "`prompt` is wrong: expected a string, or a list of one string, found 2; send one request for each",
            ),
        );
        check(
            r#"{"model":"m","prompt":[1,2]}"#,
            Err("`prompt` is wrong: expected a string, or a list of one string, found an array"),
        );
        check(
            r#"{"model":"m","prompt":"a","echo":true}"#,
            Err("`echo` is not supported: chat models answer without repeating their prompt"),
        );
        check(
            r#"{"model":"m","prompt":"a","suffix":"b"}"#,
            Err("`suffix` is not supported: chat models write no text that ends in another"),
        );
        check(
            r#"{"model":"m","prompt":"a","best_of":3}"#,
            Err("`best_of` is not supported: ask with `n` and choose yourself"),
        );
        check(
            r#"{"model":"m","prompt":"a","logprobs":3}"#,
            Err("`logprobs` is not supported: ask at /v1/chat/completions"),
        );
    }
}
