//! Who there is: one row for each provider.

use crate::anthropic::Anthropic;
use crate::endpoint::EndpointError;
use crate::gemini::{Gemini, Vertex};
use crate::openai::OpenAi;
use crate::protocol::Protocol;

/// What a model string means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ModelRef<'a> {
    /// The provider, by its first name in the registry.
    pub provider: &'static str,
    /// The model, as the provider names it.
    pub model: &'a str,
    /// The environment variable that conventionally holds the key. This crate reads no environment.
    pub key_env: Option<&'static str>,
    /// The provider's own base URL.
    pub api_base: &'static str,
    /// Whether the provider answers callers without a key: a server on one's own machine usually does.
    pub works_without_key: bool,
}

/// One provider.
#[derive(Debug)]
pub(crate) struct Row {
    /// The names in front of the `/`; the first is the one we use.
    pub(crate) names: &'static [&'static str],
    pub(crate) api_base: &'static str,
    /// What belongs between the base and the path, and is added when the base does not end with it.
    pub(crate) version: &'static str,
    key_env: Option<&'static str>,
    works_without_key: bool,
    pub(crate) auth: Auth,
    pub(crate) organization_header: Option<&'static str>,
    pub(crate) protocol: &'static dyn Protocol,
}

/// How a credential is sent.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Auth {
    /// `authorization: Bearer KEY`
    Bearer,
    /// The key alone, in this header.
    Header(&'static str),
    /// A key as a bearer token; without one, Google's access tokens.
    Google,
}

const ROWS: &[Row] = &[
    Row {
        organization_header: Some("openai-organization"),
        ..openai_shaped(&["openai"], "https://api.openai.com/v1", "OPENAI_API_KEY")
    },
    Row {
        names: &["anthropic"],
        api_base: "https://api.anthropic.com",
        version: "/v1",
        key_env: Some("ANTHROPIC_API_KEY"),
        works_without_key: false,
        auth: Auth::Header("x-api-key"),
        organization_header: None,
        protocol: &Anthropic,
    },
    openai_shaped(&["cerebras"], "https://api.cerebras.ai/v1", "CEREBRAS_API_KEY"),
    openai_shaped(&["deepseek"], "https://api.deepseek.com", "DEEPSEEK_API_KEY"),
    openai_shaped(&["fireworks_ai"], "https://api.fireworks.ai/inference/v1", "FIREWORKS_API_KEY"),
    Row {
        names: &["gemini"],
        api_base: "https://generativelanguage.googleapis.com",
        version: "/v1beta",
        key_env: Some("GEMINI_API_KEY"),
        works_without_key: false,
        auth: Auth::Header("x-goog-api-key"),
        organization_header: None,
        protocol: &Gemini,
    },
    openai_shaped(&["groq"], "https://api.groq.com/openai/v1", "GROQ_API_KEY"),
    local(&["hosted_vllm", "vllm"], "http://localhost:8000/v1", "HOSTED_VLLM_API_KEY"),
    local(&["lm_studio"], "http://localhost:1234/v1", "LM_STUDIO_API_KEY"),
    Row {
        // People give Ollama's own address, which has no `/v1`.
        version: "/v1",
        ..local(&["ollama", "ollama_chat"], "http://localhost:11434", "OLLAMA_API_KEY")
    },
    openai_shaped(&["openrouter"], "https://openrouter.ai/api/v1", "OPENROUTER_API_KEY"),
    openai_shaped(&["perplexity"], "https://api.perplexity.ai", "PERPLEXITYAI_API_KEY"),
    openai_shaped(&["together_ai"], "https://api.together.xyz/v1", "TOGETHERAI_API_KEY"),
    Row {
        names: &["vertex_ai"],
        api_base: "https://LOCATION-aiplatform.googleapis.com",
        version: "",
        key_env: None,
        works_without_key: true, // without a key of its own kind, that is
        auth: Auth::Google,
        organization_header: None,
        protocol: &Vertex,
    },
    openai_shaped(&["xai"], "https://api.x.ai/v1", "XAI_API_KEY"),
];

const fn openai_shaped(names: &'static [&'static str], api_base: &'static str, key_env: &'static str) -> Row {
    Row {
        names,
        api_base,
        version: "",
        key_env: Some(key_env),
        works_without_key: false,
        auth: Auth::Bearer,
        organization_header: None,
        protocol: &OpenAi,
    }
}

const fn local(names: &'static [&'static str], api_base: &'static str, key_env: &'static str) -> Row {
    Row { works_without_key: true, ..openai_shaped(names, api_base, key_env) }
}

impl Row {
    pub(crate) fn name(&self) -> &'static str {
        self.names.first().copied().unwrap_or_default()
    }
}

/// Finds the row and the model's own name.
pub(crate) fn find<'a>(
    model: &'a str,
    custom: Option<&str>,
) -> Result<(&'static Row, &'a str), EndpointError> {
    let (prefix, rest) = match model.split_once('/') {
        Some((prefix, rest)) => (Some(prefix), rest),
        None => (None, model),
    };
    let (row, name) = match (custom, prefix) {
        (Some(custom), prefix) => {
            let row = row(custom)?;
            // `custom_llm_provider: groq` with `model: groq/llama` says the same thing twice.
            let is_repeated = prefix.is_some_and(|prefix| row.names.contains(&prefix));
            (row, if is_repeated { rest } else { model })
        }
        (None, Some(prefix)) => (row(prefix)?, rest),
        // As LiteLLM's model table has it: Claude's names need no prefix either.
        (None, None) if model.starts_with("claude-") => (row("anthropic")?, model),
        (None, None) => (row("openai")?, model),
    };
    if name.trim().is_empty() {
        return Err(EndpointError::BlankModel { model: model.to_owned() });
    }
    Ok((row, name))
}

pub(crate) fn identify<'a>(model: &'a str, custom: Option<&str>) -> Result<ModelRef<'a>, EndpointError> {
    let (row, model) = find(model, custom)?;
    Ok(ModelRef {
        provider: row.name(),
        model,
        key_env: row.key_env,
        api_base: row.api_base,
        works_without_key: row.works_without_key,
    })
}

fn row(name: &str) -> Result<&'static Row, EndpointError> {
    ROWS.iter().find(|row| row.names.contains(&name)).ok_or_else(|| {
        let mut known: Vec<&'static str> = ROWS.iter().flat_map(|row| row.names).copied().collect();
        known.sort_unstable();
        EndpointError::UnknownProvider {
            provider: name.to_owned(),
            suggestion: nearest(name, &known),
            known: known.join(", "),
        }
    })
}

/// Returns the name that is one or two slips of the finger away.
fn nearest(name: &str, known: &[&'static str]) -> Option<&'static str> {
    let name: String =
        name.chars().filter(|c| !matches!(c, '-' | '_' | ' ')).flat_map(char::to_lowercase).collect();
    let slips = |candidate: &str| edit_distance(&name, &candidate.replace('_', ""));
    let (slips, nearest) = known.iter().map(|known| (slips(known), *known)).min()?;
    (slips <= 2 && slips * 3 <= nearest.len()).then_some(nearest)
}

/// Levenshtein's distance, over characters.
fn edit_distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.chars().count()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut above_left = i;
        let mut left = i + 1;
        let mut cells = row.iter_mut();
        if let Some(first) = cells.next() {
            *first = left;
        }
        for (b, cell) in to.chars().zip(cells) {
            let substituted = above_left + usize::from(a != b);
            above_left = *cell;
            left = substituted.min(above_left + 1).min(left + 1);
            *cell = left;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_string_is_read_as_litellm_reads_it() {
        let check = |model: &str, custom: Option<&str>, provider: &str, name: &str| {
            let found = identify(model, custom).unwrap();
            assert_eq!((found.provider, found.model), (provider, name), "{model} {custom:?}");
        };
        check("gpt-4o", None, "openai", "gpt-4o");
        check("claude-sonnet-4-6", None, "anthropic", "claude-sonnet-4-6");
        check("openai/gpt-4o", None, "openai", "gpt-4o");
        check("anthropic/claude-sonnet-4-5", None, "anthropic", "claude-sonnet-4-5");
        check("openrouter/openai/gpt-4o", None, "openrouter", "openai/gpt-4o");
        check("ollama_chat/qwen3:8b", None, "ollama", "qwen3:8b");
        check("meta-llama/Llama-3.1-8B", Some("vllm"), "hosted_vllm", "meta-llama/Llama-3.1-8B");
        check("groq/llama", Some("groq"), "groq", "llama");
        check("openai/gpt-oss-120b", Some("groq"), "groq", "openai/gpt-oss-120b");
    }

    #[test]
    fn an_unknown_provider_is_named_with_the_remedy() {
        let error = identify("antropic/claude", None).unwrap_err().to_string();
        assert!(error.contains("unknown provider `antropic` (did you mean `anthropic`?)"), "{error}");
        assert!(error.contains("groq, hosted_vllm"), "{error}");
        assert!(error.contains("`openai/<model>` and set `api_base`"), "{error}");
        let error = identify("meta-llama/Llama-3", None).unwrap_err().to_string();
        assert!(!error.contains("did you mean"), "{error}");
        for (wrong, meant) in
            [("Together-AI", "together_ai"), ("OpenAI", "openai"), ("openruoter", "openrouter")]
        {
            let EndpointError::UnknownProvider { suggestion, .. } =
                identify(&format!("{wrong}/m"), None).unwrap_err()
            else {
                panic!("{wrong}")
            };
            assert_eq!(suggestion, Some(meant));
        }
    }

    #[test]
    fn a_model_string_without_a_model_is_refused() {
        for blank in ["", " ", "openai/", "anthropic/ "] {
            assert!(matches!(identify(blank, None), Err(EndpointError::BlankModel { .. })), "{blank:?}");
        }
    }

    #[test]
    fn each_name_has_one_row() {
        let mut names: Vec<_> = ROWS.iter().flat_map(|row| row.names).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
        assert!(ROWS.iter().all(|row| !row.name().is_empty()));
    }
}
