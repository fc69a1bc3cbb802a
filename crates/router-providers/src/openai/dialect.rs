//! In what services that speak OpenAI's format differ from OpenAI: data, not code.

/// How one service differs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dialect {
    /// The service, as messages name it.
    pub(crate) service: &'static str,
    /// What it calls the limit of an answer.
    pub(crate) max_tokens: MaxTokens,
    /// What it cannot do and refuses or, worse, passes over in silence: a request that needs it is not sent.
    pub(crate) lacks: &'static [Lack],
    /// Whether it has embeddings.
    pub(crate) embeddings: bool,
}

/// What the limit of an answer is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MaxTokens {
    /// Both names mean the same: what the caller wrote is sent.
    Both,
    /// `max_tokens` is the only name known.
    Old,
    /// Models that reason refuse `max_tokens` (400, `unsupported_parameter`); older ones take both.
    ByModel,
}

/// Something a service cannot do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lack {
    /// The field, unless its value asks for what happens anyway.
    Field(&'static str),
    /// A JSON schema for the answer.
    JsonSchema,
}

impl Dialect {
    /// A service that takes all OpenAI does, or says itself what it does not take.
    pub(crate) const fn of(service: &'static str) -> Self {
        Self { service, max_tokens: MaxTokens::Both, lacks: &[], embeddings: true }
    }

    /// A service that never heard of `max_completion_tokens`.
    pub(crate) const fn older(service: &'static str) -> Self {
        Self { max_tokens: MaxTokens::Old, ..Self::of(service) }
    }

    pub(crate) const fn lacking(self, lacks: &'static [Lack]) -> Self {
        Self { lacks, ..self }
    }

    pub(crate) const fn without_embeddings(self) -> Self {
        Self { embeddings: false, ..self }
    }
}

/// OpenAI itself, and Azure.
pub(crate) const OPENAI: Dialect = Dialect { max_tokens: MaxTokens::ByModel, ..Dialect::of("OpenAI") };

/// Returns whether a model of OpenAI's reasons by itself, by its name: `o3-mini`, `gpt-5`, `gpt-5.1-codex`, but not `gpt-5-chat`.
pub(super) fn reasons(model: &str) -> bool {
    let name = model.rsplit('/').next().unwrap_or(model);
    is_o_series(name)
        || name.strip_prefix("gpt-").is_some_and(|rest| {
            let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            let major = rest.get(..digits).and_then(|digits| digits.parse::<u32>().ok()).unwrap_or(0);
            major >= 5 && !rest.contains("chat")
        })
}

/// The o-series never takes sampling settings; of later models some do.
pub(super) fn is_o_series(model: &str) -> bool {
    let name = model.rsplit('/').next().unwrap_or(model);
    name.strip_prefix('o').is_some_and(|rest| {
        let after = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        after.len() < rest.len() && (after.is_empty() || after.starts_with('-'))
    })
}

/// What the o-series refuses, unless it asks for the default.
pub(super) const O_SERIES_LACKS: &[Lack] = &[
    Lack::Field("temperature"),
    Lack::Field("top_p"),
    Lack::Field("presence_penalty"),
    Lack::Field("frequency_penalty"),
    Lack::Field("logprobs"),
    Lack::Field("top_logprobs"),
    Lack::Field("logit_bias"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_that_reason_are_known_by_their_names() {
        for model in
            ["o1", "o3-mini", "o4-mini-2025-04-16", "gpt-5", "gpt-5-nano", "gpt-5.1-codex", "openai/gpt-5"]
        {
            assert!(reasons(model), "{model}");
        }
        for model in [
            "gpt-4o",
            "gpt-4.1",
            "gpt-5-chat-latest",
            "gpt-oss-120b",
            "omni",
            "o",
            "chatgpt-4o-latest",
            "gpt-3.5",
        ] {
            assert!(!reasons(model), "{model}");
        }
        assert!(is_o_series("o1-mini") && !is_o_series("gpt-5"));
    }
}
