//! What a provider cannot do: said before it is called.

use std::fmt;

use router_core::{ProviderError, ProviderErrorKind};
use serde_json::value::RawValue;

use crate::raw_json;

/// The top-level field that a provider cannot do anything with. It lies under the error, so that who is allowed to can leave
/// the field out and go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UnsupportedField(pub(crate) String);

impl fmt::Display for UnsupportedField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` cannot be sent", self.0)
    }
}

impl std::error::Error for UnsupportedField {}

/// The error for something a provider cannot do. `what` begins with its path in the request, in backticks: where that is one
/// whole field, as in "`n`" but not in "`messages[0].audio`", the request may be sent without it by who is allowed to.
pub(crate) fn unsupported(what: &str, provider: &str) -> ProviderError {
    let error =
        ProviderError::new(ProviderErrorKind::Unsupported, format!("{what} is not supported by {provider}"));
    let path = what.strip_prefix('`').and_then(|rest| rest.split('`').next()).unwrap_or_default();
    let is_field = !path.is_empty() && !path.contains(['.', '[']);
    if is_field && !matches!(path, "model" | "messages" | "input") {
        error.with_source(UnsupportedField(path.to_owned()))
    } else {
        error
    }
}

/// Returns the field that could be left out, if that is all that stands in the way.
pub(crate) fn droppable(error: &ProviderError) -> Option<&str> {
    let source = std::error::Error::source(error)?.downcast_ref::<UnsupportedField>()?;
    (error.kind() == ProviderErrorKind::Unsupported).then_some(source.0.as_str())
}

/// Returns whether a field asks for what happens without it.
pub(crate) fn is_neutral(field: &str, value: &RawValue) -> bool {
    let json = value.get();
    let is_number =
        |wanted: f64| json.parse::<f64>().is_ok_and(|number| (number - wanted).abs() < f64::EPSILON);
    raw_json::is_null(value)
        || match field {
            "n" => json == "1",
            "temperature" | "top_p" => is_number(1.0),
            "presence_penalty" | "frequency_penalty" | "top_logprobs" => is_number(0.0),
            "logprobs" => json == "false",
            "modalities" => json.split_ascii_whitespace().collect::<String>() == r#"["text"]"#,
            "parallel_tool_calls" => json == "true",
            // Asks for a search by being there.
            "web_search_options" => false,
            "service_tier" => matches!(json, "\"auto\"" | "\"default\""),
            _ => !raw_json::is_filled(value),
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_field_can_be_left_out_and_a_part_of_a_message_cannot() {
        let field = |what: &str| droppable(&unsupported(what, "X")).map(str::to_owned);
        assert_eq!(field("`n`").as_deref(), Some("n"));
        assert_eq!(field("`service_tier` \"flex\"").as_deref(), Some("service_tier"));
        for part in
            ["`messages[0].audio`", "`tools[1]` of type \"custom\"", "`messages`", "something else", "`"]
        {
            assert_eq!(field(part), None, "{part}");
        }
    }

    #[test]
    fn a_value_that_changes_nothing_is_told_from_one_that_does() {
        let neutral = |field: &str, json: &str| {
            is_neutral(field, &serde_json::from_str::<Box<RawValue>>(json).unwrap())
        };
        for (field, json) in [
            ("n", "1"),
            ("temperature", "1.0"),
            ("logprobs", "false"),
            ("logit_bias", "{}"),
            ("tools", "[]"),
            ("modalities", r#"[ "text" ]"#),
            ("anything", "null"),
        ] {
            assert!(neutral(field, json), "{field} {json}");
        }
        for (field, json) in [
            ("n", "2"),
            ("temperature", "0"),
            ("logprobs", "true"),
            ("logit_bias", r#"{"1":2}"#),
            ("web_search_options", "{}"),
            ("audio", "{\"a\":1}"),
        ] {
            assert!(!neutral(field, json), "{field} {json}");
        }
    }
}
