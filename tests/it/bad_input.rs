//! What is wrong is said clearly, with its place, and nothing is half-started.

use llm_router::{ConfigFile, Deployment, Router};
use router_mock::MockServer;
use serde_json::Value;
use system_tests::Gateway;

/// What reading and building a configuration says, line by line.
fn complaints(text: &str) -> Vec<String> {
    let environment = |name: &str| (name == "SET").then(|| "value".to_owned());
    let error = match ConfigFile::parse(text, "config.yaml", &environment) {
        Ok(file) => file.into_builder().build().map(|_| ()).unwrap_err().to_string(),
        Err(error) => error.to_string(),
    };
    error.lines().map(str::to_owned).collect()
}

#[test]
fn every_configuration_mistake_is_named_with_file_line_and_key() {
    let check = |text: &str, expected: &[&str]| assert_eq!(complaints(text), expected, "{text}");
    check("", &["config.yaml:1:1: the file is empty: expected at least `model_list`"]);
    check(
        "router_settings: {}",
        &["config.yaml:1:1: `model_list` is missing: expected a list of deployments"],
    );
    check("model_list: {}", &["config.yaml:1:13: model_list: expected a list, found a mapping"]);
    check(
        "model_list:\n  - model_name: fast\n",
        &["config.yaml:2:5: model_list[0]: `litellm_params` is missing: expected a mapping with `model`"],
    );
    check(
        "model_list:\n  - model_name: fast\n    litellm_params:\n      model: gpt-4o\n      api_key: os.environ/NOT_SET\n",
        &[
            "config.yaml:5:16: model_list[0].litellm_params.api_key: the environment variable NOT_SET is not set: \
           export it, or write the value here",
        ],
    );
    check(
        "model_list:\n  - model_name: fast\n    litellm_params: { model: gpt-4o, api_key: k, weight: heavy }\n\
         router_settings:\n  num_retries: -1\n  timeout: soon\n  routing_strategy: fastest\n",
        &[
            "config.yaml:3:58: model_list[0].litellm_params.weight: expected a number, found a text",
            "config.yaml:5:16: router_settings.num_retries: expected a whole number that is not negative, found `-1`",
            "config.yaml:6:12: router_settings.timeout: expected a number of seconds that is not negative, found a text",
            "config.yaml:7:21: router_settings.routing_strategy: there is no strategy `fastest`: known are simple-shuffle, \
             least-busy, latency-based-routing, cost-based-routing, usage-based-routing, peak-ewma",
        ],
    );
    check(
        "model_list:\n  - model_name: fast\n    litellm_params: { model: gpt-4o, api_key: k }\n\
         router_settings:\n  fallbacks:\n    - fast: [capabel, fast]\n    - slow: [fast]\n",
        &[
            "config.yaml:6:14: router_settings.fallbacks[0].fast[0]: there is no alias `capabel`: known are fast",
            "config.yaml:7:13: router_settings.fallbacks[1].slow: there is no alias `slow`: known are fast",
        ],
    );
    check(
        "model_list:\n  - model_name: ' '\n    litellm_params: { model: gpt-4o, api_key: k }\n",
        &["config.yaml:3:30: model_list[0].litellm_params.model: deployment 0 has a blank alias"],
    );
    check(
        "model_list:\n  - model_name: fast\n    litellm_params: { model: gpt-4o, api_key: k, timeout: 0 }\n",
        &["config.yaml:3:59: model_list[0].litellm_params.timeout: a limit of 0 lets no request succeed"],
    );
}

#[test]
fn an_unknown_provider_is_named_with_the_known_ones_and_the_remedy() {
    let lines = complaints(
        "model_list:\n  - model_name: fast\n    litellm_params: { model: antropic/claude, api_key: k }\n",
    );
    assert_eq!(lines.len(), 1);
    let line = &lines[0];
    assert!(
        line.starts_with("config.yaml:3:30: model_list[0].litellm_params.model: unknown provider `antropic`"),
        "{line}"
    );
    assert!(line.contains("did you mean `anthropic`") && line.contains("api_base"), "{line}");
}

#[test]
fn broken_yaml_is_named_with_its_place() {
    let lines = complaints("model_list:\n  - model_name: fast\n   litellm_params: [\n");
    assert!(lines[0].starts_with("config.yaml:3:"), "{lines:?}");
    assert!(lines[0].contains("not valid YAML"), "{lines:?}");
    let lines = complaints("model_list: []\nmodel_list: []\n");
    assert!(lines[0].contains("duplicated key"), "{lines:?}");
}

#[test]
fn keys_that_do_nothing_are_listed_by_name_with_a_suggestion() {
    let text = "model_list:\n  - model_name: fast\n    litellm_params: { model: gpt-4o, api_key: k, wieght: 2 }\n\
                router_settings:\n  num_retires: 3\nlitellm_settings:\n  drop_parms: true\n";
    let file = ConfigFile::parse(text, "config.yaml", &|_| None).unwrap();
    let ignored: Vec<String> = file.ignored().iter().map(ToString::to_string).collect();
    assert_eq!(
        ignored,
        [
            "config.yaml:3:58: model_list[0].litellm_params.wieght: not supported, ignored; did you mean `weight`?",
            "config.yaml:5:16: router_settings.num_retires: not supported, ignored; did you mean `num_retries`?",
            "config.yaml:7:15: litellm_settings.drop_parms: not supported, ignored; did you mean `drop_params`?",
        ]
    );
}

#[test]
fn merged_anchors_and_the_files_own_variables_are_read() {
    let text = "environment_variables: { BASE: http://localhost:1/v1 }\n\
                defaults: &defaults { api_key: k, timeout: 7 }\n\
                model_list:\n  - model_name: fast\n    litellm_params: { <<: *defaults, model: gpt-4o, api_base: os.environ/BASE }\n";
    let router = ConfigFile::parse(text, "config.yaml", &|_| None).unwrap().into_builder().build().unwrap();
    assert_eq!(router.fleet().catalog().deployments()[0].timeout().as_secs(), 7);
}

#[test]
fn a_missing_credential_says_what_to_do() {
    let error = Router::builder().deployment(Deployment::new("fast", "cerebras/llama")).build().unwrap_err();
    assert_eq!(
        error.to_string(),
        "deployments[0].model: no credential: set `api_key`, or export CEREBRAS_API_KEY"
    );
}

#[tokio::test]
async fn a_bad_request_is_answered_with_the_place() {
    let server = MockServer::start("127.0.0.1:0").await.unwrap();
    let deployment = Deployment::new("fast", "gpt-4o").api_base(server.upstream("a").openai_base());
    let gateway = Gateway::over(Router::builder().deployment(deployment).build().unwrap()).await;
    let check = async |body: &[u8], status: u16, param: Option<&str>, message: &str| {
        let url = gateway.url("/v1/chat/completions");
        let response = reqwest::Client::new().post(url).body(body.to_vec()).send().await.unwrap();
        assert_eq!(response.status().as_u16(), status, "{message}");
        let body: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
        assert_eq!(body["error"]["message"], message);
        assert_eq!(body["error"]["param"].as_str(), param, "{message}");
        assert_eq!(body["error"]["type"], "invalid_request_error");
    };
    check(
        br#"{"model": "slow", "messages": []}"#,
        404,
        Some("model"),
        "there is no model `slow`: known are fast",
    )
    .await;
    check(
        b"{\"model\": \"fast\",\n\"messages\": [,]}",
        400,
        None,
        "the body is not valid JSON: expected value at line 2, column 14",
    )
    .await;
    check(b"", 400, None, "the body is not valid JSON: EOF while parsing a value at line 1, column 0").await;
    check(
        br#"{"model": "fast", "messages": "hello"}"#,
        400,
        Some("messages"),
        "`messages` is wrong: expected an array, found a string",
    )
    .await;
    check(
        br#"{"model": 4, "messages": []}"#,
        400,
        Some("model"),
        "`model` is wrong: expected a string, found a number",
    )
    .await;
    check(
        br#"{"model": "fast", "messages": [], "stream": "no"}"#,
        400,
        Some("stream"),
        "`stream` is wrong: expected a boolean, found a string",
    )
    .await;
    assert_eq!(server.upstream("a").calls(), 0, "nobody was bothered");

    let response = reqwest::get(gateway.url("/v1/nothing")).await.unwrap();
    assert_eq!(response.status(), 404);
    assert!(response.text().await.unwrap().contains("there is nothing at GET /v1/nothing"));
    let response = reqwest::get(gateway.url("/v1/chat/completions")).await.unwrap();
    assert_eq!(response.status(), 405);
    let large = vec![b' '; 33 * 1024 * 1024];
    let response =
        reqwest::Client::new().post(gateway.url("/v1/chat/completions")).body(large).send().await.unwrap();
    assert_eq!(response.status(), 413);
}
