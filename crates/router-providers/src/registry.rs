//! Who there is: one row for each provider.

use crate::anthropic::Anthropic;
use crate::azure::{self, Azure, Foundry};
use crate::cohere::Cohere;
use crate::endpoint::EndpointError;
use crate::gemini::{Gemini, Vertex};
use crate::mistral::Mistral;
use crate::openai::OpenAi;
use crate::openai::dialect::{Dialect, Lack, OPENAI};
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
    /// The provider's own base URL; `None` where everybody has another.
    pub api_base: Option<&'static str>,
    /// The environment variable that conventionally holds the base URL.
    pub base_env: Option<&'static str>,
    /// The environment variable that conventionally holds the version of the interface.
    pub version_env: Option<&'static str>,
    /// Whether the provider answers callers without a key: a server on one's own machine usually does.
    pub works_without_key: bool,
    domains: &'static [&'static str],
}

impl ModelRef<'_> {
    /// Returns whether a base URL is an address of the provider itself, so that its key may be sent there.
    pub fn is_own_address(&self, base: &str) -> bool {
        let Ok(url) = reqwest::Url::parse(base.trim()) else { return false };
        let own = self.api_base.and_then(|base| reqwest::Url::parse(base).ok());
        let is_own = own.is_some_and(|own| own.origin() == url.origin());
        let host = url.host_str().unwrap_or_default();
        is_own || (url.scheme() == "https" && self.domains.iter().any(|domain| host.ends_with(domain)))
    }
}

/// One provider.
#[derive(Debug)]
pub(crate) struct Row {
    /// The names in front of the `/`; the first is the one we use.
    pub(crate) names: &'static [&'static str],
    /// Empty where everybody has another.
    pub(crate) api_base: &'static str,
    /// What belongs between the base and the path, and is added when the base does not end with it.
    pub(crate) version: &'static str,
    /// The version of the interface where the endpoint names none; `None` where there are no versions to choose from.
    pub(crate) default_api_version: Option<&'static str>,
    key_env: Option<&'static str>,
    base_env: Option<&'static str>,
    version_env: Option<&'static str>,
    /// Where the provider is at home, where it is not at one address.
    domains: &'static [&'static str],
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
    /// A key as a bearer token; without one, AWS's signatures.
    #[cfg(feature = "bedrock")]
    Aws,
}

const ROWS: &[Row] = &[
    Row {
        organization_header: Some("openai-organization"),
        ..hosted(&["openai"], "https://api.openai.com/v1", "OPENAI_API_KEY", &OpenAi(OPENAI))
    },
    Row {
        version: "/v1",
        auth: Auth::Header("x-api-key"),
        ..hosted(&["anthropic"], "https://api.anthropic.com", "ANTHROPIC_API_KEY", &Anthropic)
    },
    #[cfg(feature = "bedrock")]
    Row {
        key_env: None,
        works_without_key: true, // without a key of its own kind, that is
        auth: Auth::Aws,
        domains: &[".amazonaws.com", ".amazonaws.com.cn"],
        ..hosted(&["bedrock"], "https://bedrock-runtime.REGION.amazonaws.com", "", &crate::bedrock::Bedrock)
    },
    Row {
        default_api_version: Some(azure::API_VERSION),
        base_env: Some("AZURE_API_BASE"),
        version_env: Some("AZURE_API_VERSION"),
        domains: &[".openai.azure.com", ".cognitiveservices.azure.com"],
        auth: Auth::Header("api-key"),
        ..hosted(&["azure"], "", "AZURE_API_KEY", &Azure)
    },
    Row {
        default_api_version: Some(azure::FOUNDRY_API_VERSION),
        base_env: Some("AZURE_AI_API_BASE"),
        domains: &[".services.ai.azure.com", ".models.ai.azure.com"],
        auth: Auth::Header("api-key"),
        ..hosted(&["azure_ai"], "", "AZURE_AI_API_KEY", &Foundry)
    },
    hosted(&["avian"], "https://api.avian.io/v1", "AVIAN_API_KEY", &OpenAi(Dialect::older("Avian"))),
    hosted(&["cerebras"], "https://api.cerebras.ai/v1", "CEREBRAS_API_KEY", &CEREBRAS),
    hosted(&["cohere", "cohere_chat"], "https://api.cohere.com", "COHERE_API_KEY", &Cohere),
    hosted(
        &["crusoe"],
        "https://api.inference.crusoecloud.com/v1",
        "CRUSOE_API_KEY",
        &OpenAi(Dialect::of("Crusoe")),
    ),
    hosted(
        &["dashscope"],
        "https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
        "DASHSCOPE_API_KEY",
        &OpenAi(Dialect::older("DashScope")),
    ),
    hosted(
        &["deepinfra"],
        "https://api.deepinfra.com/v1/openai",
        "DEEPINFRA_API_KEY",
        &OpenAi(Dialect::older("DeepInfra")),
    ),
    hosted(&["deepseek"], "https://api.deepseek.com", "DEEPSEEK_API_KEY", &DEEPSEEK),
    hosted(
        &["fireworks_ai"],
        "https://api.fireworks.ai/inference/v1",
        "FIREWORKS_API_KEY",
        &OpenAi(Dialect::older("Fireworks")),
    ),
    Row {
        version: "/v1beta",
        auth: Auth::Header("x-goog-api-key"),
        ..hosted(&["gemini"], "https://generativelanguage.googleapis.com", "GEMINI_API_KEY", &Gemini)
    },
    Row {
        // Everybody has their own server, which serves under this path.
        version: "/v1",
        ..local(&["gpustack"], "http://localhost", "GPUSTACK_API_KEY", &OpenAi(Dialect::of("GPUStack")))
    },
    hosted(&["groq"], "https://api.groq.com/openai/v1", "GROQ_API_KEY", &GROQ),
    local(
        &["hosted_vllm", "vllm"],
        "http://localhost:8000/v1",
        "HOSTED_VLLM_API_KEY",
        &OpenAi(Dialect::of("vLLM")),
    ),
    hosted(
        &["huggingface"],
        "https://router.huggingface.co/v1",
        "HF_TOKEN",
        &OpenAi(Dialect::older("Hugging Face").without_embeddings()),
    ),
    local(
        &["llama_cpp", "llamafile"],
        "http://localhost:8080/v1",
        "LLAMA_CPP_API_KEY",
        &OpenAi(Dialect::of("llama.cpp")),
    ),
    local(
        &["lm_studio"],
        "http://localhost:1234/v1",
        "LM_STUDIO_API_KEY",
        &OpenAi(Dialect::older("LM Studio")),
    ),
    hosted(&["mistral"], "https://api.mistral.ai/v1", "MISTRAL_API_KEY", &Mistral),
    hosted(
        &["moonshot"],
        "https://api.moonshot.ai/v1",
        "MOONSHOT_API_KEY",
        &OpenAi(Dialect::older("Moonshot").without_embeddings()),
    ),
    hosted(
        &["nebius"],
        "https://api.studio.nebius.ai/v1",
        "NEBIUS_API_KEY",
        &OpenAi(Dialect::older("Nebius")),
    ),
    hosted(
        &["novita"],
        "https://api.novita.ai/v3/openai",
        "NOVITA_API_KEY",
        &OpenAi(Dialect::older("Novita")),
    ),
    hosted(
        &["nvidia_nim"],
        "https://integrate.api.nvidia.com/v1",
        "NVIDIA_NIM_API_KEY",
        &OpenAi(Dialect::older("NVIDIA NIM")),
    ),
    Row {
        // People give Ollama's own address, which has no `/v1`.
        version: "/v1",
        ..local(&["ollama", "ollama_chat"], "http://localhost:11434", "OLLAMA_API_KEY", &OLLAMA)
    },
    hosted(
        &["openrouter"],
        "https://openrouter.ai/api/v1",
        "OPENROUTER_API_KEY",
        &OpenAi(Dialect::of("OpenRouter")),
    ),
    hosted(&["perplexity"], "https://api.perplexity.ai", "PERPLEXITYAI_API_KEY", &PERPLEXITY),
    hosted(
        &["sambanova"],
        "https://api.sambanova.ai/v1",
        "SAMBANOVA_API_KEY",
        &OpenAi(Dialect::older("SambaNova")),
    ),
    hosted(
        &["together_ai"],
        "https://api.together.xyz/v1",
        "TOGETHERAI_API_KEY",
        &OpenAi(Dialect::older("Together")),
    ),
    Row {
        key_env: None,
        works_without_key: true, // without a key of its own kind, that is
        auth: Auth::Google,
        domains: &[".googleapis.com"],
        ..hosted(&["vertex_ai"], "https://LOCATION-aiplatform.googleapis.com", "", &Vertex)
    },
    hosted(&["xai"], "https://api.x.ai/v1", "XAI_API_KEY", &OpenAi(Dialect::of("xAI").without_embeddings())),
    hosted(
        &["zai"],
        "https://api.z.ai/api/paas/v4",
        "ZAI_API_KEY",
        &OpenAi(Dialect::older("Z.ai").lacking(&[Lack::Field("n")])),
    ),
];

/// Refuses these with a 400, as its documentation says.
static CEREBRAS: OpenAi = OpenAi(
    Dialect::of("Cerebras")
        .lacking(&[
            Lack::Field("n"),
            Lack::Field("frequency_penalty"),
            Lack::Field("presence_penalty"),
            Lack::Field("logit_bias"),
        ])
        .without_embeddings(),
);

/// Answers once whatever `n` says, and has no schemas: "This response_format type is unavailable now".
static DEEPSEEK: OpenAi =
    OpenAi(Dialect::older("DeepSeek").lacking(&[Lack::Field("n"), Lack::JsonSchema]).without_embeddings());

/// Refuses these with a 400, as its documentation says.
static GROQ: OpenAi = OpenAi(
    Dialect::of("Groq")
        .lacking(&[
            Lack::Field("n"),
            Lack::Field("logprobs"),
            Lack::Field("top_logprobs"),
            Lack::Field("logit_bias"),
        ])
        .without_embeddings(),
);

/// Passes these over in silence.
static OLLAMA: OpenAi =
    OpenAi(Dialect::older("Ollama").lacking(&[Lack::Field("n"), Lack::Field("logit_bias")]));

/// Searches the web by itself and calls nobody's tools.
static PERPLEXITY: OpenAi =
    OpenAi(Dialect::older("Perplexity").lacking(&[Lack::Field("n"), Lack::Field("tools")]));

/// A row with a key as a bearer token and an address of its own.
const fn hosted(
    names: &'static [&'static str],
    api_base: &'static str,
    key_env: &'static str,
    protocol: &'static dyn Protocol,
) -> Row {
    Row {
        names,
        api_base,
        version: "",
        default_api_version: None,
        key_env: Some(key_env),
        base_env: None,
        version_env: None,
        domains: &[],
        works_without_key: false,
        auth: Auth::Bearer,
        organization_header: None,
        protocol,
    }
}

const fn local(
    names: &'static [&'static str],
    api_base: &'static str,
    key_env: &'static str,
    protocol: &'static dyn Protocol,
) -> Row {
    Row { works_without_key: true, ..hosted(names, api_base, key_env, protocol) }
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
        api_base: (!row.api_base.is_empty()).then_some(row.api_base),
        base_env: row.base_env,
        version_env: row.version_env,
        works_without_key: row.works_without_key,
        domains: row.domains,
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
    fn a_key_is_for_the_provider_s_own_address() {
        let is_own = |model: &str, base: &str| identify(model, None).unwrap().is_own_address(base);
        assert!(is_own("gpt-4o", "https://api.openai.com/v1/"));
        assert!(is_own("azure/gpt", "https://mine.openai.azure.com"));
        assert!(is_own("ollama/qwen3", "http://localhost:11434/v1"));
        for stranger in [
            "http://api.openai.com/v1",
            "https://api.openai.com.evil.example/v1",
            "https://api.openai.com:8443/v1",
            "not a URL",
        ] {
            assert!(!is_own("gpt-4o", stranger), "{stranger}");
        }
        assert!(!is_own("azure/gpt", "http://mine.openai.azure.com"));
        assert!(!is_own("azure/gpt", "https://evilopenai.azure.com.example"));
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
