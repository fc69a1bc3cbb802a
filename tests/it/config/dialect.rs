//! LiteLLM's dialect, beyond single keys.

use llm_router::{ConfigFile, FromFileError};
use router_core::FallbackKind;
use router_gateway::Serving;

fn read(text: &str, environment: &dyn Fn(&str) -> Option<String>) -> ConfigFile {
    ConfigFile::parse(text, "config.yaml", environment).unwrap()
}

fn ignored(file: &ConfigFile) -> Vec<String> {
    file.ignored().iter().map(ToString::to_string).collect()
}

const MODELS: &str = "model_list:\n  - model_name: fast\n    litellm_params: { model: gpt-4o-mini, api_key: k }\n  \
                        - model_name: capable\n    litellm_params: { model: gpt-4o, api_key: k }\n";

#[test]
fn litellm_settings_hold_where_router_settings_say_nothing() {
    let text = format!(
        "{MODELS}litellm_settings:\n  num_retries: 5\n  request_timeout: 7\n  allowed_fails: 9\n  fallbacks: [{{fast: [capable]}}]\n  \
         context_window_fallbacks: [{{fast: [capable]}}]\nrouter_settings:\n  num_retries: 1\n  context_window_fallbacks: [{{capable: [fast]}}]\n"
    );
    let file = read(&text, &|_| None);
    assert_eq!(ignored(&file), [""; 0]);
    let router = file.into_builder().build().unwrap();
    let catalog = router.fleet().catalog();
    let pool = |alias: &str| &catalog[catalog.pool(alias).unwrap()];
    assert_eq!(pool("fast").num_retries(), 1);
    assert_eq!(catalog.deployments()[0].timeout().as_secs(), 7);
    assert_eq!(pool("fast").fallbacks(FallbackKind::General).len(), 1);
    assert_eq!(pool("fast").fallbacks(FallbackKind::ContextWindow).len(), 0);
    assert_eq!(pool("capable").fallbacks(FallbackKind::ContextWindow).len(), 1);
}

#[test]
fn a_variable_that_is_not_set_is_an_error_where_it_is_needed_and_no_setting_elsewhere() {
    let text =
        format!("{MODELS}router_settings:\n  timeout: os.environ/TIMEOUT\n  num_retries: os.environ/EMPTY\n");
    let file = read(&text, &|name| (name == "EMPTY").then(String::new));
    let why = |name: &str| format!("not set, since the environment variable {name} is not");
    assert_eq!(
        ignored(&file),
        [
            format!("config.yaml:7:12: router_settings.timeout: {}", why("TIMEOUT")),
            format!("config.yaml:8:16: router_settings.num_retries: {}", why("EMPTY")),
        ]
    );
    for text in [
        "model_list:\n  - model_name: fast\n    litellm_params: { model: gpt-4o, api_key: os.environ/KEY }\n",
        "model_list:\n  - model_name: fast\n    litellm_params: { model: gpt-4o, api_key: k, api_base: os.environ/BASE }\n",
        &format!("{MODELS}general_settings: {{ master_key: os.environ/MASTER }}\n"),
        &format!("{MODELS}general_settings: {{ virtual_keys: [{{ key: os.environ/TEAM }}] }}\n"),
    ] {
        let error = ConfigFile::parse(text, "config.yaml", &|_| None).unwrap_err().to_string();
        assert!(error.contains("is not set: export it"), "{error}");
    }
}

#[test]
fn what_a_list_repeats_is_told_once_with_its_reason() {
    let text = "model_list:\n  - model_name: fast\n    litellm_params: { model: gpt-4o, api_key: k, num_retries: 3 }\n  \
                - model_name: fast\n    litellm_params: { model: gpt-4o-mini, api_key: k, num_retries: 3 }\n";
    assert_eq!(
        ignored(&read(text, &|_| None)),
        [
            "config.yaml:3:63: model_list[0].litellm_params.num_retries: not supported, ignored: retries are set for a pool: \
          `router_settings.pools.<alias>.num_retries`"
        ]
    );
}

#[test]
fn retry_policies_of_pools_and_defaults_are_litellms() {
    let text = format!(
        "{MODELS}router_settings:\n  retry_policy: {{ TimeoutErrorRetries: 4, DefaultRetries: 1, BadRequestErrorRetries: 3 }}\n  \
         model_group_retry_policy:\n    capable: {{ RateLimitErrorRetries: 6 }}\n"
    );
    let file = read(&text, &|_| None);
    assert_eq!(ignored(&file).len(), 1, "BadRequestErrorRetries");
    let router = file.into_builder().build().unwrap();
    let catalog = router.fleet().catalog();
    let pool = |alias: &str| &catalog[catalog.pool(alias).unwrap()];
    use llm_router::ProviderErrorKind::{RateLimited, Server, Timeout};
    assert_eq!(pool("fast").retries_after(Timeout), 4);
    assert_eq!(pool("fast").retries_after(Server), 1);
    assert_eq!(pool("capable").retries_after(RateLimited), 6);
    assert_eq!(pool("capable").retries_after(Timeout), 2, "a pool's own policy stands for the other");
}

#[test]
fn included_files_add_their_models_and_settings() {
    let folder = std::env::temp_dir().join(format!("llm-router-include-{}", std::process::id()));
    std::fs::create_dir_all(folder.join("more")).unwrap();
    let main = folder.join("config.yaml");
    let more = folder.join("more/models.yaml");
    std::fs::write(&main, "include: [more/models.yaml]\nmodel_list:\n  - model_name: fast\n    litellm_params: { model: gpt-4o-mini, api_key: k }\nrouter_settings: { num_retries: 1 }\n").unwrap();
    std::fs::write(&more, "model_list:\n  - model_name: capable\n    litellm_params: { model: gpt-4o, api_key: k }\nrouter_settings: { num_retries: 4, timeout: 9 }\n").unwrap();
    let file = ConfigFile::read(&main).unwrap();
    assert_eq!(file.files().collect::<Vec<_>>(), [main.clone(), more.clone()]);
    let router = file.into_builder().build().unwrap();
    let names: Vec<_> = router.aliases().iter().map(ToString::to_string).collect();
    assert_eq!(names, ["fast", "capable"]);
    let catalog = router.fleet().catalog();
    assert_eq!(catalog.settings().num_retries, 1, "the main file wins");
    assert_eq!(catalog.settings().timeout.as_secs(), 9);

    std::fs::write(&more, "model_list:\n  - model_name: capable\n").unwrap();
    let error = ConfigFile::read(&main).unwrap_err().to_string();
    assert!(error.contains("models.yaml:2:5: model_list[0]: `litellm_params` is missing"), "{error}");
    std::fs::remove_file(&more).unwrap();
    let error = ConfigFile::read(&main).unwrap_err().to_string();
    assert!(error.contains("config.yaml:1:11: include[0]: `more/models.yaml` cannot be read"), "{error}");
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_files_own_variables_are_found_as_the_providers_usual_key() {
    let text = "environment_variables: { CEREBRAS_API_KEY: k }\nmodel_list:\n  - model_name: fast\n    litellm_params: { model: cerebras/llama }\n";
    read(text, &|_| None).into_builder().build().unwrap();
}

#[test]
fn wrong_keys_are_named_with_their_place_and_never_shown() {
    let check = |entry: &str, expected: &str| {
        let text =
            format!("{MODELS}general_settings:\n  virtual_keys:\n    - {entry}\n    - {{ key: sk-other }}\n");
        let error = match ConfigFile::parse(&text, "config.yaml", &|_| None) {
            Ok(file) => Serving::from_file(file, [], None).unwrap_err().to_string(),
            Err(error) => error.to_string(),
        };
        assert!(error.contains(expected), "{error}");
        assert!(!error.contains("sk-"), "{error}");
    };
    check("{ key_hash: abc }", "general_settings.virtual_keys[0].key_hash: expected 64 hexadecimal digits");
    check("{ key: sk-a, budget_duration: 1y, max_budget: 1 }", "budget_duration: expected a time such as");
    check("{ key: sk-a, max_budget: -1 }", "max_budget: expected dollars");
    check("{ key: '' }", "an empty key would let everybody in");
    check("{ key: sk-other }", "general_settings.virtual_keys[1]: this key is listed twice");
    check(
        "{ key: sk-a, models: [fats] }",
        "config.yaml:8:7: general_settings.virtual_keys[0]: there is no alias `fats`",
    );
    check("{ models: [fast] }", "`key` is missing");
    let text = format!("{MODELS}general_settings: {{ master_key: '' }}\n");
    let file = ConfigFile::parse(&text, "config.yaml", &|_| None).unwrap();
    assert!(matches!(Serving::from_file(file, [], None), Err(FromFileError::File(_))));
}

#[tokio::test]
async fn the_examples_load_as_they_are_with_and_without_redis() {
    for name in ["basic", "per-pool", "production", "tasks", "tiers"] {
        let path =
            format!("{}/../crates/router-gateway/tests/configs/{name}.yaml", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(path).unwrap();
        for redis in [None, Some("127.0.0.1")] {
            let environment = |variable: &str| match variable {
                "REDIS_HOST" => redis.map(str::to_owned),
                _ => Some("sk-test".to_owned()),
            };
            let file = read(&text, &environment);
            Serving::from_file(file, [], None).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
    }
}
