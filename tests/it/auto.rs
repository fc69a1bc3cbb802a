//! Requests to `auto`: classified, settled by an LLM where that is doubtful, and routed.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join_all;
use llm_router::{
    AutoRouting, ChatRequest, ConfigFile, Deployment, Event, Layer, LlmLayer, Observer, ProviderErrorKind,
    Router, RouterBuilder, TaskClassifier,
};
use router_mock::{Behaviour, MockServer, Upstream};
use router_telemetry::CallRecord;
use serde_json::{Value, json};
use system_tests::{Act, Gateway, ScriptedProvider};
use tokio::time::Instant;

use Act::{Answer, Fail, Hang, Slow};

const LABELS: [&str; 4] = ["math", "code", "creative", "default"];

fn classifier() -> TaskClassifier {
    TaskClassifier::builder().labels(LABELS).unwrap().build().unwrap()
}

fn ask(text: &str) -> ChatRequest {
    ChatRequest::user("auto", text).unwrap()
}

/// A pool for each label, whose answer is its name, and `judge`, an LLM that settles what is doubtful.
fn over(judge: &Arc<ScriptedProvider>) -> RouterBuilder {
    let add = |builder: RouterBuilder, alias, provider: Arc<ScriptedProvider>| {
        builder.deployment(Deployment::with_provider(alias, "m", provider as _))
    };
    let pools = LABELS.into_iter().fold(Router::builder(), |builder, label| {
        add(builder, label, ScriptedProvider::new([Answer(label)]))
    });
    add(pools, "judge", Arc::clone(judge))
}

fn with(judge: &Arc<ScriptedProvider>, llm: LlmLayer) -> Router {
    over(judge).auto_routing(AutoRouting::new("auto", classifier()).llm(llm)).build().unwrap()
}

/// What nobody can tell by its words alone.
const DOUBTFUL: &str = "tomato seven";

async fn answer(router: &Router, text: &str) -> (String, Layer) {
    let completion = router.completion(&ask(text)).await.unwrap();
    (completion.reply.text().unwrap(), completion.report.classification.unwrap().layer)
}

/// Different queries of both files, and whether the local layers leave doubt about each.
fn queries() -> Vec<(String, bool)> {
    let dev = include_str!("../../crates/router-classify/data/task-classification/dev.jsonl");
    let hard = include_str!("../../crates/router-classify/data/hard-cases/hard.jsonl");
    let classifier = classifier();
    let mut texts: Vec<String> = Vec::new();
    for line in hard.lines().chain(dev.lines()) {
        let text = serde_json::from_str::<Value>(line).unwrap()["text"].as_str().unwrap().to_owned();
        if !texts.contains(&text) && texts.len() < 900 {
            texts.push(text);
        }
    }
    let is_doubtful = |text: &String| classifier.answer(&llm_router::Query::new(text)).confidence < THRESHOLD;
    texts.into_iter().map(|text| (text.clone(), is_doubtful(&text))).collect()
}

const THRESHOLD: f64 = 0.9;

#[tokio::test]
async fn of_a_thousand_queries_each_doubtful_one_is_asked_once() {
    let server = MockServer::start("127.0.0.1:0").await.unwrap();
    let (pools, judge) = (server.upstream("pools"), server.upstream("judge"));
    let mut slow = Behaviour::answering("Code.");
    slow.latency_ms = 5;
    judge.set(slow);
    let add = |builder: RouterBuilder, alias, upstream: &Upstream| {
        builder.deployment(Deployment::new(alias, "gpt-4o-mini").api_base(upstream.openai_base()))
    };
    let builder = LABELS.into_iter().fold(Router::builder(), |builder, label| add(builder, label, &pools));
    let llm = LlmLayer::new("judge").threshold(THRESHOLD).time_limit(Duration::from_secs(60));
    let router = add(builder, "judge", &judge)
        .auto_routing(AutoRouting::new("auto", classifier()).llm(llm))
        .build()
        .unwrap();

    let queries = queries();
    let doubtful: Vec<&(String, bool)> = queries.iter().filter(|(_, doubtful)| *doubtful).collect();
    assert!(doubtful.len() >= 100, "{} of {} are doubtful", doubtful.len(), queries.len());
    // A hundred are asked twice: half of them again at once, while the first is on its way, half when it has been answered.
    let again = 1_000 - queries.len();
    let mut at_once = doubtful.iter().take(again / 2);
    let mut asked: Vec<&(String, bool)> = Vec::new();
    for query in &queries {
        asked.push(query);
        if query.1 {
            asked.extend(at_once.next());
        }
    }
    asked.extend(doubtful.iter().rev().take(again / 2));
    assert_eq!(asked.len(), 1_000);
    for some in asked.chunks(50) {
        let requests: Vec<ChatRequest> = some.iter().map(|(text, _)| ask(text)).collect();
        let answers = join_all(requests.iter().map(|request| router.completion(request))).await;
        for ((text, doubtful), answer) in some.iter().zip(answers) {
            let said = answer.unwrap().report.classification.unwrap();
            let expected = if *doubtful { Layer::Llm } else { Layer::Model };
            assert_eq!(said.layer, expected, "{text}");
            assert!(!doubtful || &*said.label == "code", "{text}");
        }
    }
    assert_eq!(judge.calls(), u64::try_from(doubtful.len()).unwrap());
    assert_eq!(pools.calls(), 1_000);
}

#[tokio::test(start_paused = true)]
async fn the_llm_is_asked_one_word_and_only_in_doubt() {
    let judge = ScriptedProvider::new([Answer("creative")]);
    let router = with(&judge, LlmLayer::new("judge"));
    assert_eq!(
        answer(&router, "Write a Python function that sorts a list").await,
        ("code".into(), Layer::Model)
    );
    assert_eq!(judge.calls(), 0);
    assert_eq!(answer(&router, DOUBTFUL).await, ("creative".into(), Layer::Llm));
    let body: Value = serde_json::from_str(&judge.last_body()).unwrap();
    assert_eq!((&body["temperature"], &body["max_tokens"]), (&json!(0), &json!(16)));
    assert!(body["messages"][0]["content"].as_str().unwrap().contains("math, code, creative, default"));
    assert!(body["messages"][1]["content"].as_str().unwrap().contains(DOUBTFUL));
}

#[tokio::test(start_paused = true)]
async fn an_llm_that_hangs_delays_nothing_beyond_its_limit_and_is_then_left_alone() {
    let judge = ScriptedProvider::new([Hang]);
    let limit = Duration::from_millis(300);
    let router = with(&judge, LlmLayer::new("judge").time_limit(limit));
    let began = Instant::now();
    let (first, second) = (ask(DOUBTFUL), ask(DOUBTFUL));
    let late = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let began = Instant::now();
        let answer = router.completion(&second).await.unwrap();
        (answer, began.elapsed())
    };
    let (answered, (_, joined)) = tokio::join!(router.completion(&first), late);
    let report = answered.unwrap().report;
    assert_eq!(began.elapsed(), limit);
    assert_eq!(joined, Duration::from_millis(100), "who joins later waits for the rest of the same call");
    assert_eq!((report.latency, report.upstream), (limit, limit));
    let said = report.classification.unwrap();
    assert_eq!((said.layer, said.took), (Layer::Model, limit));
    assert_eq!((judge.calls(), judge.open()), (1, 0));

    for text in ["tomato eight", "pear nine", "lime ten"] {
        answer(&router, text).await;
    }
    assert_eq!(judge.calls(), 3, "three in vain are enough");
    let began = Instant::now();
    assert_eq!(answer(&router, "plum eight").await.1, Layer::Model);
    assert_eq!(began.elapsed(), Duration::ZERO);
    tokio::time::advance(Duration::from_secs(31)).await;
    answer(&router, "plum eight").await;
    assert_eq!(judge.calls(), 4, "after a while it is tried again");
}

#[tokio::test(start_paused = true)]
async fn a_failing_or_babbling_llm_leaves_the_best_guess_and_what_it_babbled_is_remembered() {
    let judge = ScriptedProvider::new([Fail(ProviderErrorKind::Authentication), Answer("as you like")]);
    let builder = over(&judge).num_retries(0).cooldown_time(Duration::ZERO);
    let llm = AutoRouting::new("auto", classifier()).llm(LlmLayer::new("judge"));
    let router = builder.auto_routing(llm).build().unwrap();
    for expected_calls in [1, 2, 2] {
        assert_eq!(answer(&router, DOUBTFUL).await.1, Layer::Model);
        assert_eq!(judge.calls(), expected_calls);
    }
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_leaves_takes_the_answer_from_nobody_and_the_last_one_cancels() {
    let judge = ScriptedProvider::new([Slow(Duration::from_secs(1), "math")]);
    let router = with(&judge, LlmLayer::new("judge"));
    let (request, same) = (ask(DOUBTFUL), ask(DOUBTFUL));
    let leaves = tokio::time::timeout(Duration::from_millis(500), router.completion(&request));
    let (left, stayed) = tokio::join!(leaves, router.completion(&same));
    assert!(left.is_err());
    assert_eq!(stayed.unwrap().report.classification.unwrap().layer, Layer::Llm);
    assert_eq!(judge.calls(), 1);

    let request = ask("plum eight");
    let leaves = tokio::time::timeout(Duration::from_millis(500), router.completion(&request));
    assert!(leaves.await.is_err());
    assert_eq!(judge.open(), 0, "nobody waits for it any more");
    assert_eq!(answer(&router, "plum eight").await.1, Layer::Llm);
    assert_eq!(judge.calls(), 3);
}

#[tokio::test(start_paused = true)]
async fn streams_are_classified_too_and_asking_locally_asks_nobody() {
    let judge = ScriptedProvider::new([Answer("math")]);
    let router = with(&judge, LlmLayer::new("judge"));
    let stream = router.stream(&ask(DOUBTFUL)).await.unwrap();
    assert_eq!(stream.report().classification.as_ref().unwrap().alias.as_str(), "math");
    let said = router.classify(&ChatRequest::user("anything", DOUBTFUL).unwrap()).await.unwrap();
    assert_eq!((said.layer, judge.calls()), (Layer::Llm, 1));
    let said = router.classify_locally(&ask("plum eight")).unwrap();
    assert_eq!((said.layer, judge.calls()), (Layer::Model, 1));
}

/// Keeps every account.
#[derive(Debug, Default)]
struct Accounts(Mutex<Vec<CallRecord>>);

impl Observer for Accounts {
    fn observe(&self, event: &Event<'_>) {
        self.0.lock().unwrap().extend(CallRecord::of(event));
    }
}

fn config(server: &MockServer, settings: &str) -> ConfigFile {
    let deployment = |alias: &str| {
        let base = server.upstream(alias).openai_base();
        format!("  - {{model_name: {alias}, litellm_params: {{model: gpt-4o-mini, api_base: '{base}'}}}}\n")
    };
    let pools: String = ["math", "code", "creative", "default", "capable"].map(deployment).concat();
    let text = format!("model_list:\n{pools}router_settings:\n  classifier:\n{settings}");
    ConfigFile::parse(&text, "config.yaml", &|_| None).unwrap()
}

#[tokio::test]
async fn a_configured_classifier_routes_and_tells_what_it_said_in_headers_and_records() {
    let server = MockServer::start("127.0.0.1:0").await.unwrap();
    server.upstream("default").set(Behaviour::answering("creative"));
    let accounts = Arc::new(Accounts::default());
    let file = config(
        &server,
        "    {alias: auto, labels: [math, code, creative, default], llm: default, threshold: 0.8}\n",
    );
    assert!(file.ignored().is_empty(), "{:?}", file.ignored());
    let router = file.into_builder().observer(accounts.clone()).build().unwrap();
    let gateway = Gateway::over(router).await;
    let client = reqwest::Client::new();
    let ask = async |text: &str| {
        let body = json!({"model": "auto", "messages": [{"role": "user", "content": text}]});
        let response = client.post(gateway.url("/v1/chat/completions")).body(body.to_string()).send().await;
        let response = response.unwrap();
        assert_eq!(response.status(), 200);
        let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
        let number = |name: &str| header(name).parse::<f64>().unwrap();
        assert!((0.0..=1.0).contains(&number("x-router-complexity")));
        assert!(number("x-router-classification-ms") < 2_000.0);
        (
            header("x-router-pool"),
            header("x-router-label"),
            header("x-router-layer"),
            number("x-router-confidence"),
        )
    };
    let (pool, label, layer, confidence) = ask("What is 15% of 80?").await;
    assert_eq!((pool.as_str(), label.as_str(), layer.as_str()), ("math", "math", "model"));
    assert!(confidence > 0.8);
    let (pool, label, layer, confidence) = ask(DOUBTFUL).await;
    assert_eq!((pool.as_str(), label.as_str(), layer.as_str()), ("creative", "creative", "llm"));
    assert!(confidence > 0.99);

    let records = accounts.0.lock().unwrap();
    let said: Vec<_> = records.iter().map(|record| (&*record.pool, record.label(), &record.tags)).collect();
    assert_eq!(said.len(), 3, "{said:?}");
    assert_eq!((said[0].0, said[0].1), ("math", Some("math")));
    assert_eq!(
        (said[1].0, said[1].1, &*said[1].2[0]),
        ("default", None, "classifier"),
        "what the LLM was asked"
    );
    assert_eq!((said[2].0, said[2].1), ("creative", Some("creative")));
    let classified = records[2].classification.as_ref().unwrap();
    assert_eq!(classified.layer, "llm");
    assert!(classified.took_us > 0 && classified.complexity.is_some());
}

#[tokio::test]
async fn rules_tiers_shares_and_examples_can_be_configured() {
    let server = MockServer::start("127.0.0.1:0").await.unwrap();
    let check = |settings: &str, expected: &[(&str, &str, &str)]| {
        let router = config(&server, settings).into_builder().build().unwrap();
        for (text, alias, layer) in expected {
            let said = router.classify_locally(&ask(text)).unwrap();
            assert_eq!((said.alias.as_str(), said.layer.name()), (*alias, *layer), "{text}: {said:?}");
        }
    };
    check(
        "    labels: {math: capable, default: default}\n    tiers: {default: 0.0, capable: 30%}\n    rules:\n      - {label: code, signals: [ticket]}\n",
        &[
            ("What is 15% of 80?", "capable", "model"),
            ("About my ticket", "default", "rule"),
            ("Hello", "default", "model"),
        ],
    );
    check(
        "    labels: {math: {default: 0, capable: 99%}, default: default}\n",
        &[("What is 15% of 80?", "capable", "model"), ("Write a poem about rain", "default", "model")],
    );
    check(
        "    {model: false, keywords: true, labels: [math, code, creative, default]}\n",
        &[("Please debug this", "code", "rule"), ("Hello", "default", "default")],
    );
    let fruit = ["apples", "plums", "pears", "cherries", "grapes", "figs", "kiwis", "limes", "dates", "nuts"];
    let buy: Vec<String> = fruit.map(|fruit| format!("I want to buy {fruit}")).to_vec();
    let grow: Vec<String> = fruit.map(|fruit| format!("How do I grow {fruit}?")).to_vec();
    let examples = json!({"shop": buy, "farm": grow});
    check(
        &format!("    labels: {{shop: math, farm: code}}\n    examples: {examples}\n"),
        &[("How do I grow bananas?", "code", "model"), ("I want to buy melons", "math", "model")],
    );
}

#[tokio::test]
async fn shares_are_measured_on_the_users_own_queries() {
    let server = MockServer::start("127.0.0.1:0").await.unwrap();
    let queries = queries();
    let file = std::env::temp_dir().join(format!("llm-router-calibration-{}.jsonl", std::process::id()));
    let lines: String = queries.iter().map(|(text, _)| json!({"text": text}).to_string() + "\n").collect();
    std::fs::write(&file, lines).unwrap();
    let settings =
        format!("    calibration_file: '{}'\n    tiers: {{default: 0, capable: 20%}}\n", file.display());
    let router = config(&server, &settings).into_builder().build().unwrap();
    std::fs::remove_file(&file).unwrap();
    let to = |text: &String| router.classify_locally(&ask(text)).unwrap().alias;
    let up = queries.iter().filter(|(text, _)| to(text).as_str() == "capable").count();
    let share = up as f64 / queries.len() as f64;
    assert!((share - 0.2).abs() < 0.01, "{share}");
}

#[tokio::test]
async fn a_classifier_that_would_lead_nowhere_or_to_itself_is_refused_with_its_place() {
    let server = MockServer::start("127.0.0.1:0").await.unwrap();
    let check = |settings: &str, expected: &str| {
        let error = config(&server, settings).into_builder().build().unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert!(error.starts_with("config.yaml:"), "{error}");
    };
    check("    {}\n", "router_settings.classifier: there are no labels and no tiers");
    check("    labels: [math]\n", "queries of the label `code` go nowhere");
    check(
        "    labels: [math, code, creative, default]\n    llm: auto\n",
        ":10:10: router_settings.classifier.llm: `auto` is the classifier itself",
    );
    check(
        "    labels: {default: auto}\n",
        ":9:13: router_settings.classifier.labels: `auto` is the classifier itself",
    );
    check("    labels: {default: defualt}\n", "there is no alias `defualt`: known are math, code");
    check("    {alias: math, labels: [default]}\n", "`math` is the name of a pool");
    check(
        "    {labels: [default], llm: math, threshold: 80}\n",
        "expected a confidence from 0 to 1, found 80",
    );
    check("    tiers: {capable: 0.5}\n", "router_settings.classifier.tiers: one tier has to begin at 0");
    check("    {labels: [default], rules: [{label: a}]}\n", "the rule for `a` has no condition");
    check("    {labels: [default], rules: [{label: a, regex: ['(']}]}\n", "wrong regular expression");
    check("    {labels: [default], examples: {a: [b]}}\n", "at least two labels");
}

#[test]
fn files_that_are_not_there_are_refused_with_their_place() {
    for key in ["model_file", "examples_file", "calibration_file"] {
        let text = format!(
            "model_list:\n  - {{model_name: default, litellm_params: {{model: gpt-4o, api_key: k}}}}\n\
             router_settings:\n  classifier: {{labels: [default], {key}: /nonexistent/file}}\n"
        );
        let error = ConfigFile::parse(&text, "config.yaml", &|_| None).unwrap_err().to_string();
        assert!(error.starts_with("config.yaml:4:"), "{error}");
        assert!(error.contains(&format!("classifier.{key}")) && error.contains("cannot be read"), "{error}");
    }
}

#[test]
fn example_utterances_without_their_model_or_their_feature_are_refused_with_their_place() {
    let text = "model_list:\n  - {model_name: default, litellm_params: {model: gpt-4o, api_key: k}}\nrouter_settings:\n  classifier:\n    \
                labels: [default]\n    semantic: {model: /nonexistent, threshold: 0.6, routes: {billing: [my invoice]}}\n";
    let error = ConfigFile::parse(text, "config.yaml", &|_| None).unwrap_err().to_string();
    assert!(error.starts_with("config.yaml:6:15: router_settings.classifier.semantic: "), "{error}");
    let reasons = ["/nonexistent/tokenizer.json: cannot be read", "build it with `--features semantic`"];
    assert!(reasons.iter().any(|reason| error.contains(reason)), "{error}");
}
