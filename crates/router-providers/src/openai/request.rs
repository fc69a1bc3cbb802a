//! From a canonical request to OpenAI's: the same bytes, with the model, the stream settings and what a service calls
//! differently spliced in.

use std::borrow::Cow;

use bytes::Bytes;
use router_core::{ChatRequest, Edit, ProviderError};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use smallvec::SmallVec;

use super::dialect::{self, Dialect, Lack, MaxTokens};
use crate::protocol::{Mode, Target};
use crate::unsupported::{is_neutral, unsupported};

const USAGE_ONLY: &str = r#"{"include_usage":true}"#;

pub(super) fn encode(
    dialect: &Dialect,
    target: &Target,
    request: &ChatRequest,
    mode: Mode,
) -> Result<Bytes, ProviderError> {
    refuse_what_it_lacks(dialect, target, request)?;
    let options;
    let mut edits: SmallVec<[(&str, Edit<'_>); 6]> = SmallVec::new();
    edits.push(("model", Edit::Set(&target.model_json)));
    limit(dialect, target, request, &mut edits);
    match mode {
        // OpenAI refuses `stream_options` without `stream`.
        Mode::Whole => edits.extend([("stream", Edit::Remove), ("stream_options", Edit::Remove)]),
        Mode::Stream => {
            edits.push(("stream", Edit::Set("true")));
            // Without asking, almost nobody sends the usage of a stream, and then nobody knows what it cost.
            if !request.include_usage() {
                options = with_usage(request.field("stream_options"));
                edits.push(("stream_options", Edit::Set(&options)));
            }
        }
    }
    Ok(request.body_with(&edits))
}

fn refuse_what_it_lacks(
    dialect: &Dialect,
    target: &Target,
    request: &ChatRequest,
) -> Result<(), ProviderError> {
    let model_lacks = if dialect.max_tokens == MaxTokens::ByModel && dialect::is_o_series(&target.model) {
        dialect::O_SERIES_LACKS
    } else {
        &[]
    };
    for lack in dialect.lacks.iter().chain(model_lacks) {
        match lack {
            Lack::Field(name) => {
                let value = request.field(name).and_then(|json| serde_json::from_str::<&RawValue>(json).ok());
                if value.is_some_and(|value| !is_neutral(name, value)) {
                    let what = if model_lacks.is_empty() { "" } else { " with this model" };
                    return Err(unsupported(&format!("`{name}`{what}"), dialect.service));
                }
            }
            Lack::JsonSchema => {
                let format = request.field("response_format");
                if format.is_some_and(|format| format.contains("\"json_schema\"")) {
                    let what = "`response_format` of type \"json_schema\"";
                    return Err(unsupported(what, dialect.service));
                }
            }
        }
    }
    Ok(())
}

/// Gives the limit of the answer the name the service knows it by.
fn limit<'a>(
    dialect: &Dialect,
    target: &Target,
    request: &'a ChatRequest,
    edits: &mut SmallVec<[(&str, Edit<'a>); 6]>,
) {
    const NAMES: [&str; 2] = ["max_tokens", "max_completion_tokens"];
    let [known, unknown] = match dialect.max_tokens {
        MaxTokens::Old => NAMES,
        MaxTokens::ByModel if dialect::reasons(&target.model) => [NAMES[1], NAMES[0]],
        MaxTokens::ByModel | MaxTokens::Both => return,
    };
    if let Some(limit) = request.field(unknown) {
        edits.push((unknown, Edit::Remove));
        if request.field(known).is_none() {
            edits.push((known, Edit::Set(limit)));
        }
    }
}

fn with_usage(options: Option<&str>) -> Cow<'static, str> {
    match options.map(serde_json::from_str::<Map<String, Value>>) {
        Some(Ok(mut options)) if !options.is_empty() => {
            options.insert("include_usage".to_owned(), Value::Bool(true));
            Value::Object(options).to_string().into()
        }
        _ => USAGE_ONLY.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &str, mode: Mode, expected: &str) {
        let request = ChatRequest::from_json(body.to_owned()).unwrap();
        let encoded = encode(&dialect::OPENAI, &Target::new("gpt \"4\""), &request, mode).unwrap();
        assert_eq!(std::str::from_utf8(&encoded).unwrap(), expected, "{body}");
    }

    #[test]
    fn a_plain_call_never_asks_for_a_stream() {
        check(
            r#"{"model":"fast","stream":true,"messages":[ 1 ],"stream_options":{"include_usage":true},"x":1e2}"#,
            Mode::Whole,
            r#"{"model":"gpt \"4\"","messages":[ 1 ],"x":1e2}"#,
        );
    }

    #[test]
    fn a_stream_always_asks_for_itself_and_for_its_usage() {
        let model = r#""model":"gpt \"4\"","messages":[]"#;
        let with = |rest: &str| format!("{{{model},{rest}}}");
        let usage = r#""stream_options":{"include_usage":true}"#;
        check(r#"{"model":"m","messages":[]}"#, Mode::Stream, &with(&format!(r#""stream":true,{usage}"#)));
        check(
            r#"{"model":"m","messages":[],"stream":false,"stream_options":{}}"#,
            Mode::Stream,
            &with(&format!(r#""stream":true,{usage}"#)),
        );
        check(
            r#"{"model":"m","messages":[],"stream":true,"stream_options":{"include_usage" : true, "a":1}}"#,
            Mode::Stream,
            &with(r#""stream":true,"stream_options":{"include_usage" : true, "a":1}"#),
        );
        check(
            r#"{"model":"m","messages":[],"stream":true,"stream_options":{"include_usage":false,"a":1}}"#,
            Mode::Stream,
            &with(r#""stream":true,"stream_options":{"a":1,"include_usage":true}"#),
        );
        check(
            r#"{"model":"m","messages":[],"stream":null,"stream_options":null}"#,
            Mode::Stream,
            &with(&format!(r#""stream":true,{usage}"#)),
        );
    }

    fn sent(dialect: &Dialect, model: &str, fields: &str) -> Result<String, String> {
        let request = ChatRequest::from_json(format!(r#"{{"model":"m","messages":[],{fields}}}"#)).unwrap();
        let body = encode(dialect, &Target::new(model), &request, Mode::Whole);
        let body = body.map_err(|error| error.to_string())?;
        let body = std::str::from_utf8(&body).unwrap();
        Ok(body.split_once("[],").map_or("", |(_, rest)| rest).trim_end_matches('}').to_owned())
    }

    #[test]
    fn the_limit_has_the_name_the_service_knows() {
        let check = |dialect: Dialect, model: &str, fields: &str, expected: &str| {
            assert_eq!(sent(&dialect, model, fields).as_deref(), Ok(expected), "{model} {fields}");
        };
        let (old, new) = (r#""max_tokens":5"#, r#""max_completion_tokens":5"#);
        check(dialect::OPENAI, "gpt-4o", old, old);
        check(dialect::OPENAI, "gpt-4o", new, new);
        check(dialect::OPENAI, "gpt-5-nano", old, new);
        check(
            dialect::OPENAI,
            "o3",
            &format!(r#"{old},"max_completion_tokens":7"#),
            r#""max_completion_tokens":7"#,
        );
        check(Dialect::of("Groq"), "m", new, new);
        check(Dialect::older("DeepSeek"), "m", new, old);
        check(Dialect::older("DeepSeek"), "m", old, old);
    }

    #[test]
    fn what_a_service_lacks_is_refused_before_the_call() {
        const GROQ: Dialect = Dialect::of("Groq").lacking(&[Lack::Field("n"), Lack::JsonSchema]);
        assert_eq!(sent(&GROQ, "m", r#""n":1"#).as_deref(), Ok(r#""n":1"#));
        let refused = |fields: &str| sent(&GROQ, "m", fields).unwrap_err();
        assert_eq!(refused(r#""n":2"#), "not supported by this deployment: `n` is not supported by Groq");
        let schema = r#""response_format":{"type":"json_schema","json_schema":{}}"#;
        assert!(refused(schema).contains("json_schema"), "{}", refused(schema));
        let warm = r#""temperature":0.2"#;
        assert!(sent(&dialect::OPENAI, "o3", warm).unwrap_err().contains("`temperature` with this model"));
        assert!(sent(&dialect::OPENAI, "gpt-5.1", warm).is_ok());
    }
}
