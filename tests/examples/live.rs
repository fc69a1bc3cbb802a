//! `cargo xtask live --provider NAME`: the smoke suite against a real service, when there is a key for it.

use std::process::ExitCode;
use std::sync::Arc;

use llm_router::Provider;
use router_providers::{Endpoint, Providers};
use system_tests::{Outcome, smoke};

/// A cheap model of each provider, for those who name none, and one for embeddings where there is one.
const MODELS: [(&str, &str, Option<&str>); 12] = [
    ("anthropic", "claude-haiku-4-5", None),
    ("cerebras", "llama3.1-8b", None),
    ("cohere", "command-r7b-12-2024", Some("embed-v4.0")),
    ("deepseek", "deepseek-chat", None),
    ("gemini", "gemini-2.5-flash", Some("gemini-embedding-001")),
    ("groq", "llama-3.1-8b-instant", None),
    ("mistral", "mistral-small-latest", Some("mistral-embed")),
    ("openai", "gpt-4o-mini", Some("text-embedding-3-small")),
    ("openrouter", "openai/gpt-4o-mini", None),
    ("perplexity", "sonar", None),
    ("together_ai", "meta-llama/Llama-3.3-70B-Instruct-Turbo", None),
    ("xai", "grok-3-mini", None),
];

fn main() -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.to_string()),
    };
    match runtime.block_on(run()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => fail(&message),
    }
}

#[expect(clippy::print_stderr, reason = "tells the person at the terminal")]
fn fail(message: &str) -> ExitCode {
    eprintln!("{message}");
    ExitCode::from(2)
}

#[derive(Default)]
struct Arguments {
    provider: String,
    model: Option<String>,
    embedding_model: Option<String>,
    api_base: Option<String>,
}

impl Arguments {
    fn read() -> Result<Self, String> {
        let mut arguments = Self::default();
        let mut words = std::env::args().skip(1);
        while let Some(name) = words.next() {
            let value = words.next().ok_or_else(|| format!("{name} needs a value"))?;
            match name.as_str() {
                "--provider" => arguments.provider = value,
                "--model" => arguments.model = Some(value),
                "--embedding-model" => arguments.embedding_model = Some(value),
                "--api-base" => arguments.api_base = Some(value),
                other => return Err(format!("there is no {other}")),
            }
        }
        Ok(arguments)
    }
}

#[expect(clippy::print_stdout, reason = "tells the person at the terminal")]
async fn run() -> Result<bool, String> {
    let arguments = Arguments::read()?;
    let provider = &arguments.provider;
    let usual = MODELS.iter().find(|(name, ..)| name == provider);
    let model = arguments.model.clone().or(usual.map(|(_, model, _)| (*model).to_owned()));
    let model = model.ok_or_else(|| format!("name a model of `{provider}` with --model"))?;
    let embedding_model =
        arguments.embedding_model.clone().or(usual.and_then(|(_, _, model)| model.map(str::to_owned)));
    let connect = |model: &str| -> Result<Option<Arc<dyn Provider>>, String> {
        let name = format!("{provider}/{model}");
        let found = Providers::identify(&name, None).map_err(|error| error.to_string())?;
        let variable = |name: Option<&str>| std::env::var(name?).ok().filter(|value| !value.is_empty());
        let mut endpoint = Endpoint::new(&name);
        match variable(found.key_env) {
            Some(key) => endpoint = endpoint.with_api_key(key),
            None if found.works_without_key || arguments.api_base.is_some() => {}
            None => return Ok(None),
        }
        if let Some(base) = arguments.api_base.clone().or_else(|| variable(found.base_env)) {
            endpoint = endpoint.with_api_base(base);
        }
        let providers = Providers::new().map_err(|error| error.to_string())?;
        providers.connect(&endpoint).map(Some).map_err(|error| error.to_string())
    };
    let Some(chat) = connect(&model)? else {
        let name = format!("{provider}/{model}");
        let found = Providers::identify(&name, None).map_err(|error| error.to_string())?;
        println!("skipped: no key for `{provider}`; export {}", found.key_env.unwrap_or("its key"));
        return Ok(true);
    };
    let embedder = embedding_model.as_deref().map(connect).transpose()?.flatten();
    println!("{provider}/{model}");
    let mut is_good = true;
    for (check, outcome) in smoke(&chat, embedder.as_ref()).await {
        let (word, seen) = match outcome {
            Outcome::Passed(seen) => ("ok", seen),
            Outcome::Unsupported => ("not supported", String::new()),
            Outcome::Failed(why) => {
                is_good = false;
                ("FAILED", why)
            }
        };
        println!("  {check:14} {word:14} {seen}");
    }
    Ok(is_good)
}
