//! From a canonical request to OpenAI's: the same bytes, with the model and the stream settings spliced in.

use std::borrow::Cow;

use bytes::Bytes;
use router_core::{ChatRequest, Edit};
use serde_json::{Map, Value};

use crate::protocol::{Mode, Target};

const USAGE_ONLY: &str = r#"{"include_usage":true}"#;

pub(super) fn encode(target: &Target, request: &ChatRequest, mode: Mode) -> Bytes {
    let model = ("model", Edit::Set(&target.model_json));
    match mode {
        // OpenAI refuses `stream_options` without `stream`.
        Mode::Whole => {
            request.body_with(&[model, ("stream", Edit::Remove), ("stream_options", Edit::Remove)])
        }
        Mode::Stream => {
            let stream = ("stream", Edit::Set("true"));
            if request.include_usage() {
                return request.body_with(&[model, stream]);
            }
            // Without asking, almost nobody sends the usage of a stream, and then nobody knows what it cost.
            let options = with_usage(request.field("stream_options"));
            request.body_with(&[model, stream, ("stream_options", Edit::Set(&options))])
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
        let encoded = encode(&Target::new("gpt \"4\""), &request, mode);
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
}
