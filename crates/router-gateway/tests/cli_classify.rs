//! `llm-router classify` and `llm-router classifier`, as a person or a script runs them.

#![expect(clippy::unwrap_used, reason = "tests stop at the first surprise")]

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use router_mock::{Behaviour, MockServer};
use serde_json::{Value, json};

/// Runs to the end with this on its standard input.
fn run(arguments: &[&str], input: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_llm-router"));
    command.args(arguments).env_remove("OPENAI_API_KEY").env_remove("ANTHROPIC_API_KEY");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    let writer = std::thread::spawn(move || {
        // Whoever stops at a mistake reads no further.
        let _ = stdin.write_all(input.as_bytes());
    });
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output
}

fn said(output: &Output) -> String {
    let said = String::from_utf8(output.stdout.clone()).unwrap();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    said
}

fn complained(output: &Output) -> String {
    assert!(!output.status.success());
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn values(lines: &str) -> Vec<Value> {
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A file of its own for each test, gone when it ends.
struct File(PathBuf);

impl File {
    fn new(name: &str, text: &str) -> Self {
        let file = std::env::temp_dir().join(format!("llm-router-{}-{name}", std::process::id()));
        std::fs::write(&file, text).unwrap();
        Self(file)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn a_query_is_classified_for_a_person() {
    let output = run(&["classify", "What is 15% of 80?"], "");
    let said = said(&output);
    for part in
        ["label       math\n", "layer       model\n", "confidence  0.", "complexity  0.", "time        0."]
    {
        assert!(said.contains(part), "{said}");
    }
}

#[test]
fn lines_of_queries_become_lines_of_answers_in_the_same_order() {
    let text = |text: &str| json!({"text": text, "other": 1}).to_string();
    let queries =
        ["What is 15% of 80?", "Write a poem about rain", "Fix this Python function: def f(x) return x"];
    let input = queries.map(text).join("\n\n");
    let lines = values(&said(&run(&["classify", "--jsonl"], &input)));
    let labels: Vec<&str> = lines.iter().map(|line| line["label"].as_str().unwrap()).collect();
    assert_eq!(labels, ["math", "creative", "code"]);
    for line in lines {
        let keys: Vec<&str> = line.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(keys, ["complexity", "confidence", "label", "layer"]);
        assert!((0.0..=1.0).contains(&line["confidence"].as_f64().unwrap()), "{line}");
    }
    let output = run(&["classify", "--jsonl"], "{\"text\": \"hi\"}\n{\"txt\": 1}\n");
    assert!(complained(&output).contains("line 2: expected {\"text\": ...}"));
    assert_eq!(values(&String::from_utf8(output.stdout).unwrap()).len(), 1, "what came before is answered");
    assert!(complained(&run(&["classify"], "")).contains("<TEXT>"));
    assert!(complained(&run(&["classify", "--llm", "hi"], "")).contains("--config"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_llm_of_a_config_is_asked_only_when_it_is_said_so() {
    let server = MockServer::start("127.0.0.1:0").await.unwrap();
    let upstream = server.upstream("judge");
    upstream.set(Behaviour::answering("creative"));
    let base = upstream.openai_base();
    let deployment = |alias: &str| {
        format!("  - {{model_name: {alias}, litellm_params: {{model: gpt-4o, api_base: '{base}'}}}}\n")
    };
    let config = format!(
        "model_list:\n{}{}router_settings:\n  classifier: {{tiers: {{a: 0}}, llm: judge}}\n",
        deployment("a"),
        deployment("judge")
    );
    let config = File::new("classify.yaml", &config);
    let input =
        "{\"text\": \"tomato seven\"}\n{\"text\": \"What is 15% of 80?\"}\n{\"text\": \"tomato seven\"}\n";
    let layers = |arguments: &[&str]| {
        let lines = values(&said(&run(arguments, input)));
        lines.iter().map(|line| line["layer"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(layers(&["classify", "--jsonl", "--config", config.path()]), ["model", "model", "model"]);
    assert_eq!(upstream.calls(), 0);
    assert_eq!(layers(&["classify", "--jsonl", "--config", config.path(), "--llm"]), ["llm", "model", "llm"]);
    assert_eq!(upstream.calls(), 1);
    let said = said(&run(&["classify", "--config", config.path(), "hello"], ""));
    assert!(said.contains("alias       a\n"), "{said}");
}

#[test]
fn a_model_for_labels_of_ones_own_is_made_measured_and_used() {
    let fruit = ["apples", "plums", "pears", "cherries", "grapes", "figs", "kiwis", "limes", "dates", "nuts"];
    let example = |label: &str, text: String| json!({"text": text, "label": label}).to_string() + "\n";
    let examples: String = fruit
        .iter()
        .flat_map(|f| {
            [example("shop", format!("I want to buy {f}")), example("farm", format!("How do I grow {f}?"))]
        })
        .collect();
    let data = File::new("examples.jsonl", &examples);
    let model = File::new("own.model", "");
    let made = said(&run(&["classifier", "train", "--data", data.path(), "--out", model.path()], ""));
    assert!(made.contains("examples: farm 10, shop 10") && made.contains("accuracy "), "{made}");

    let answer = said(&run(&["classify", "--model", model.path(), "I want to buy melons"], ""));
    assert!(answer.contains("label       shop\n"), "{answer}");
    let measured = said(&run(&["classifier", "eval", "--data", data.path(), "--model", model.path()], ""));
    for part in ["accuracy                    1.000", "macro-F1", "confusion", "threshold  answered here"] {
        assert!(measured.contains(part), "{measured}");
    }

    let few = File::new("few.jsonl", &example("a", "b".into()));
    let error = complained(&run(&["classifier", "train", "--data", few.path(), "--out", model.path()], ""));
    assert!(error.contains("at least two labels"), "{error}");
    let error = complained(&run(&["classify", "--model", data.path(), "hi"], ""));
    assert!(error.contains("no model of llm-router"), "{error}");
}

#[test]
fn what_routing_by_complexity_gains_is_measured_on_outcomes() {
    let line = |prompt: &str, strong: u8| json!({"prompt": prompt, "strong": strong, "weak": 0}).to_string();
    let outcomes =
        [line("hi", 0), line("Prove that the sum of two odd integers is even, then generalise.", 1)];
    let file = File::new("outcomes.jsonl", &outcomes.join("\n"));
    let measured = said(&run(&["classifier", "eval", "--data", file.path()], ""));
    assert!(measured.contains("length of the prompt"), "{measured}");
    assert!(measured.contains("2 prompts  APGR 0.750") && measured.contains("CPT(80 %)"), "{measured}");
    let file = File::new("no-gap.jsonl", &line("hi", 0));
    assert!(
        complained(&run(&["classifier", "eval", "--data", file.path()], "")).contains("no gap to recover")
    );
    let file = File::new("neither.jsonl", "{\"text\": \"hi\"}");
    let error = complained(&run(&["classifier", "eval", "--data", file.path()], ""));
    assert!(error.contains("\"label\": ...") && error.contains("\"strong\": ..."), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn escalation_accuracy_comes_from_records_and_a_labelled_sample() {
    let records = File::new("calls.jsonl", "");
    let server = MockServer::start("127.0.0.1:0").await.unwrap();
    let base = server.upstream("pools").openai_base();
    let router = ["fast", "capable"].into_iter().fold(llm_router::Router::builder(), |builder, alias| {
        builder.deployment(llm_router::Deployment::new(alias, "gpt-4o").api_base(base.clone()))
    });
    let accounts = std::sync::Arc::new(Accounts::default());
    let router = router.observer(accounts.clone()).build().unwrap();
    for alias in ["fast", "fast", "capable", "capable", "capable", "capable"] {
        router.completion(&llm_router::ChatRequest::user(alias, "hi").unwrap()).await.unwrap();
    }
    let lines = accounts.0.lock().unwrap().clone();
    std::fs::write(&records.0, lines.concat()).unwrap();
    let arguments = ["classifier", "eval", "--records", records.path(), "--escalated", "capable"];
    assert!(complained(&run(&arguments, "")).contains("nobody has judged a request to `capable` yet"));

    let ids = values(&lines.concat()).into_iter().filter(|line| line["pool"] == "capable");
    for (line, verdict) in ids.zip(["hard", "hard", "wrong"]) {
        let id = line["id"].as_str().unwrap();
        said(&run(&["report", "--jsonl", records.path(), "label", id, verdict], ""));
    }
    let measured = said(&run(&arguments, ""));
    std::fs::remove_file(format!("{}.labels.jsonl", records.path())).unwrap();
    assert!(measured.contains("labelled             3\nescalation accuracy  0.667\n"), "{measured}");
}

/// Keeps every account as a line.
#[derive(Debug, Default)]
struct Accounts(std::sync::Mutex<Vec<String>>);

impl llm_router::Observer for Accounts {
    fn observe(&self, event: &llm_router::Event<'_>) {
        let line = router_telemetry::CallRecord::of(event)
            .map(|record| serde_json::to_string(&record).unwrap() + "\n");
        self.0.lock().unwrap().extend(line);
    }
}
