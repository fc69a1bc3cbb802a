//! The binary, as a person or a supervisor runs it.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests stop at the first surprise")]

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The binary, without any provider key in its environment.
fn llm_router(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_llm-router"));
    command.args(arguments).env_remove("OPENAI_API_KEY").env_remove("ANTHROPIC_API_KEY");
    command
}

/// Runs to the end, which has to come by itself and soon.
fn run(arguments: &[&str]) -> (Option<i32>, String) {
    let mut child = llm_router(arguments).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let (done, ended) = std::sync::mpsc::channel();
    let process = child.id().to_string();
    let watchdog = std::thread::spawn(move || {
        if ended.recv_timeout(Duration::from_secs(20)).is_err() {
            let _ = Command::new("kill").args(["-9", &process]).status();
        }
    });
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    let code = child.wait().unwrap().code();
    done.send(()).unwrap();
    watchdog.join().unwrap();
    (code, said)
}

/// A process that is killed when the test ends.
struct Running {
    child: Child,
    said: Vec<String>,
}

impl Running {
    /// Starts and reads what it says until `last` stands in a line.
    fn start(mut command: Command, last: &str) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut said = Vec::new();
        while !said.last().is_some_and(|line: &String| line.contains(last)) {
            let mut line = String::new();
            if out.read_line(&mut line).unwrap() == 0 {
                let mut error = String::new();
                child.stderr.take().unwrap().read_to_string(&mut error).unwrap();
                panic!("ended after {said:?}: {error}");
            }
            said.push(line);
        }
        Self { child, said }
    }

    fn base(&self) -> String {
        let line = self.said.iter().find(|line| line.contains("http://")).unwrap();
        line.split_whitespace().find(|word| word.starts_with("http://")).unwrap().to_owned()
    }

    fn terminate(&mut self) -> Option<i32> {
        Command::new("kill").arg(self.child.id().to_string()).status().unwrap();
        self.child.wait().unwrap().code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn serve(arguments: &[&str]) -> Running {
    Running::start(llm_router(&[&["serve", "--port", "0"], arguments].concat()), "-d '{")
}

async fn ask(base: &str, stream: bool) -> String {
    let body =
        format!(r#"{{"model":"fast","stream":{stream},"messages":[{{"role":"user","content":"Hello!"}}]}}"#);
    let url = format!("{base}/v1/chat/completions");
    let response = reqwest::Client::new().post(url).body(body).send().await.unwrap();
    assert_eq!(response.status(), 200);
    response.text().await.unwrap()
}

#[tokio::test]
async fn on_a_bare_machine_it_serves_simulated_answers_and_says_so() {
    let gateway = serve(&[]);
    let said = gateway.said.concat();
    assert!(said.contains("SIMULATED") && said.contains("models: fast, capable"), "{said}");
    assert!(ask(&gateway.base(), false).await.contains("chat.completion"));
    assert!(ask(&gateway.base(), true).await.ends_with("data: [DONE]\n\n"));
}

#[tokio::test]
async fn with_provider_keys_it_makes_the_pools_of_those_providers() {
    let mut command = llm_router(&["serve", "--port", "0"]);
    command.env("ANTHROPIC_API_KEY", "sk-ant-test");
    let gateway = Running::start(command, "-d '{");
    let said = gateway.said.concat();
    assert!(said.contains("from the environment (ANTHROPIC_API_KEY)"), "{said}");
    assert!(!said.contains("SIMULATED") && !said.contains("sk-ant-test"), "{said}");
}

#[tokio::test]
async fn it_routes_by_a_config_file_and_ends_cleanly_on_sigterm() {
    let mock = Running::start(llm_router(&["mock", "--port", "0"]), "behaviour");
    let folder = std::env::temp_dir().join(format!("llm-router-cli-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let config = folder.join("config.yaml");
    let base = mock.base();
    let text = format!(
        "model_list:\n  - model_name: fast\n    litellm_params: {{ model: gpt-4o-mini, api_base: '{base}' }}\n"
    );
    std::fs::write(&config, text).unwrap();
    let mut gateway = serve(&["--config", config.to_str().unwrap()]);
    assert!(ask(&gateway.base(), false).await.contains("Hello!"));

    let url = format!("{}/health/readiness", gateway.base());
    assert_eq!(reqwest::get(&url).await.unwrap().status(), 200);
    let began = Instant::now();
    assert_eq!(gateway.terminate(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(5), "an idle connection does not hold it");
    assert!(reqwest::get(&url).await.is_err());
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_wrong_config_ends_with_code_2_and_names_the_place() {
    let (code, said) = run(&["serve", "--config", "/nonexistent/config.yaml"]);
    assert_eq!(code, Some(2));
    assert!(said.starts_with("error: /nonexistent/config.yaml: cannot be read: "), "{said}");

    let file = std::env::temp_dir().join(format!("llm-router-wrong-{}.yaml", std::process::id()));
    let text = "model_list:\n  - model_name: fast\n    litellm_params: { model: nobody/gpt, api_key: sk-secret-1 }\n";
    std::fs::write(&file, text).unwrap();
    let (code, said) = run(&["serve", "--config", file.to_str().unwrap()]);
    std::fs::remove_file(&file).unwrap();
    assert_eq!(code, Some(2));
    assert!(said.contains(":3:30: model_list[0].litellm_params.model: unknown provider `nobody`"), "{said}");
    assert!(!said.contains("sk-secret-1"), "{said}");
}

#[test]
fn without_a_key_it_serves_this_machine_only_and_says_why() {
    let file = std::env::temp_dir().join(format!("llm-router-open-{}.yaml", std::process::id()));
    std::fs::write(
        &file,
        "model_list:\n  - model_name: a\n    litellm_params: { model: gpt-4o, api_key: k }\n",
    )
    .unwrap();
    let (code, said) =
        run(&["serve", "--port", "0", "--host", "0.0.0.0", "--config", file.to_str().unwrap()]);
    std::fs::remove_file(&file).unwrap();
    assert_eq!(code, Some(1));
    assert!(said.contains("without a key everybody") && said.contains("master_key"), "{said}");
}

#[tokio::test]
async fn with_a_master_key_it_asks_for_it_and_never_shows_it() {
    let file = std::env::temp_dir().join(format!("llm-router-keys-{}.yaml", std::process::id()));
    let text = "model_list:\n  - model_name: fast\n    litellm_params: { model: gpt-4o, api_key: k }\n\
                general_settings: { master_key: os.environ/MASTER }\n";
    std::fs::write(&file, text).unwrap();
    let path = file.to_str().unwrap().to_owned();
    let (code, said) = run(&["serve", "--port", "0", "--config", &path]);
    assert_eq!(code, Some(2));
    assert!(said.contains("the environment variable MASTER is not set"), "{said}");

    let mut command = llm_router(&["serve", "--port", "0", "--config", &path]);
    command.env("MASTER", "sk-secret-2");
    let gateway = Running::start(command, "-d '{");
    std::fs::remove_file(&file).unwrap();
    let said = gateway.said.concat();
    assert!(said.contains("Bearer YOUR_KEY") && !said.contains("sk-secret-2"), "{said}");
    let models = format!("{}/v1/models", gateway.base());
    assert_eq!(reqwest::get(&models).await.unwrap().status(), 401);
    let response = reqwest::Client::new().get(&models).bearer_auth("sk-secret-2").send().await.unwrap();
    assert_eq!(response.status(), 200);
}

#[tokio::test]
async fn a_changed_file_is_taken_over_a_broken_one_is_not_and_a_hangup_is_heard_at_once() {
    let file = std::env::temp_dir().join(format!("llm-router-reload-{}.yaml", std::process::id()));
    let write = |alias: &str| {
        let text = format!(
            "model_list:\n  - model_name: {alias}\n    litellm_params: {{ model: gpt-4o, api_key: k }}\n"
        );
        std::fs::write(&file, text).unwrap();
    };
    write("first");
    let mut gateway = serve(&["--config", file.to_str().unwrap()]);
    let url = format!("{}/v1/models", gateway.base());
    let models = async |expected: &str| {
        let began = Instant::now();
        while !reqwest::get(&url).await.unwrap().text().await.unwrap().contains(expected) {
            assert!(began.elapsed() < Duration::from_secs(10), "`{expected}` never came");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    models("first").await;
    write("second");
    Command::new("kill").args(["-HUP", &gateway.child.id().to_string()]).status().unwrap();
    models("second").await;
    std::fs::write(&file, "model_list: [").unwrap();
    Command::new("kill").args(["-HUP", &gateway.child.id().to_string()]).status().unwrap();
    let mut said = BufReader::new(gateway.child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("not taken over") {
        line.clear();
        assert!(said.read_line(&mut line).unwrap() > 0, "it ended");
    }
    assert!(line.contains("not valid YAML"), "{line}");
    models("second").await;
    write("third");
    models("third").await;
    std::fs::remove_file(&file).unwrap();
}

#[test]
fn a_port_that_is_taken_is_an_error_that_says_so() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let (code, said) = run(&["serve", "--port", &port]);
    assert_eq!(code, Some(1));
    assert!(said.contains(&format!("cannot listen on 127.0.0.1:{port}")), "{said}");
}

#[test]
fn a_wrong_behaviour_or_log_level_is_an_error_that_says_so() {
    let (code, said) = run(&["mock", "--port", "0", "--behaviour", r#"{"latency": 3}"#]);
    assert_eq!(code, Some(1));
    assert!(said.contains("--behaviour") && said.contains("unknown field `latency`"), "{said}");
    let (code, said) = run(&["--log", "loud", "mock", "--port", "0"]);
    assert_eq!(code, Some(1));
    assert!(said.contains("--log loud"), "{said}");
}

/// What `check` says about one of the example configs, in order: severity, pool or place, rule.
fn findings(config: &str) -> (Option<i32>, Vec<String>) {
    let file = format!("{}/tests/configs/{config}", env!("CARGO_MANIFEST_DIR"));
    let mut command = llm_router(&["check", "--config", &file, "--format", "json"]);
    command.env("OPENAI_API_KEY", "sk-test").env("ANTHROPIC_API_KEY", "sk-ant-test");
    let output = command.output().unwrap();
    let lines: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout).unwrap();
    let text = |line: &serde_json::Value, key: &str| line[key].as_str().unwrap().to_owned();
    let words = lines.iter().map(|line| {
        let at = text(line, "at");
        let at = at.rsplit_once(": ").map_or(at.as_str(), |(_, path)| path);
        format!("{} {} {at}", text(line, "severity"), text(line, "rule"))
    });
    (output.status.code(), words.collect())
}

#[test]
fn check_says_of_each_example_what_a_careful_reader_would() {
    let check = |config: &str, expected: &[&str]| {
        let (code, found) = findings(config);
        assert_eq!(found, expected, "{config}");
        assert_eq!(code, Some(0), "{config} has no errors");
    };
    check(
        "basic.yaml",
        &[
            "warning no-way-out gpt-4o",
            "info long-wait gpt-4o",
            "warning no-way-out claude-sonnet",
            "info long-wait claude-sonnet",
        ],
    );
    check("per-pool.yaml", &["info long-wait fast", "info long-wait capable"]);
    check(
        "tiers.yaml",
        &[
            "info cycle fast",
            "info cycle capable",
            "warning context-fallback-no-larger capable",
            "warning fallback-smaller-window capable",
            "warning no-way-out capable-32k",
        ],
    );
    check(
        "tasks.yaml",
        &[
            "warning fallback-smaller-window math",
            "info long-wait math",
            "warning one-provider code",
            "info long-wait code",
            "warning fallback-smaller-window creative",
            "info long-wait creative",
            "warning no-way-out default",
            "info long-wait default",
        ],
    );
    check(
        "production.yaml",
        &[
            "warning ignored-key router_settings.redis_host",
            "warning falls-back-to-itself capable",
            "warning fallback-smaller-window capable",
        ],
    );
}

#[test]
fn check_ends_with_1_for_errors_and_2_for_what_it_cannot_read() {
    let file = std::env::temp_dir().join(format!("llm-router-check-{}.yaml", std::process::id()));
    let path = file.to_str().unwrap();
    std::fs::write(&file, "model_list:\n  - model_name: a\n    litellm_params: { model: gpt-4o, api_key: k }\nrouter_settings:\n  fallbacks: [{a: [b]}]\n").unwrap();
    let output = llm_router(&["check", "--config", path]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(
        said.starts_with("error: ")
            && said.contains(":5:20: router_settings.fallbacks[0].a[0]: there is no alias `b`"),
        "{said}"
    );
    assert!(said.ends_with("1 errors, 0 warnings, 0 to know\n"), "{said}");
    std::fs::write(&file, "model_list: [").unwrap();
    assert_eq!(run(&["check", "--config", path]).0, Some(2));
    std::fs::remove_file(&file).unwrap();
}

/// Runs to the end; returns the exit code, what stands on stdout and what on stderr.
fn output(mut command: Command, input: &str) -> (Option<i32>, String, String) {
    use std::io::Write;
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn complete_shows_the_answer_on_stdout_and_who_gave_it_on_stderr() {
    for extra in [&["--model", "capable"][..], &["--model", "capable", "--no-stream"]] {
        let mut arguments = vec!["complete", "-", "--system", "Be brief."];
        arguments.extend(extra);
        let (code, answer, said) = output(llm_router(&arguments), "What is a monad?");
        assert_eq!(code, Some(0), "{said}");
        assert!(answer.contains("What is a monad?") && answer.ends_with('\n'), "{answer}");
        assert!(!answer.contains("capable:"), "only the answer: {answer}");
        assert!(
            said.contains("SIMULATED") && said.contains("capable:") && said.contains(" tokens, $"),
            "{said}"
        );
    }
    let (code, _, said) = output(llm_router(&["complete", "--model", "other", "Hi"]), "");
    assert_eq!(code, Some(1));
    assert!(said.contains("other") && said.contains("fast, capable"), "{said}");
    let (code, _, said) = output(llm_router(&["complete", " "]), "");
    assert_eq!(code, Some(1));
    assert!(said.contains("the prompt is empty"), "{said}");
}

#[test]
fn completions_name_every_command() {
    for shell in ["bash", "zsh", "fish"] {
        let (code, script, _) = output(llm_router(&["completions", shell]), "");
        assert_eq!(code, Some(0));
        for command in ["serve", "check", "complete", "classify", "report", "schema", "mock"] {
            assert!(script.contains(command), "{shell}: {command}");
        }
    }
}

#[test]
fn the_schema_is_json_and_knows_the_keys() {
    let (code, text, _) = output(llm_router(&["schema"]), "");
    assert_eq!(code, Some(0));
    let schema: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert!(
        schema.pointer("/properties/model_list").is_some()
            && schema.pointer("/properties/router_settings").is_some()
    );
}
