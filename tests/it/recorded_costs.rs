//! Every recorded reply of OpenAI, what is compatible with it, and Anthropic, priced in two ways that share nothing: through the router,
//! and here from the recorded bytes, by each vendor's own arithmetic.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt;
use llm_router::{ChatRequest, Clock, Deployment, Event, Router, Timestamp};
use router_mock::{Fault, MockServer};
use router_telemetry::observe_with;
use serde_json::Value;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/router-providers/tests/fixtures");
const TABLE: &str = include_str!("../../crates/router-telemetry/data/model-prices.json");

/// The folders whose models the table prices by one name or other.
const PROVIDERS: [(&str, &str); 9] = [
    ("openai", "openai"),
    ("anthropic", "anthropic"),
    ("deepseek", "deepseek"),
    ("fireworks", "fireworks_ai"),
    ("groq", "groq"),
    ("openrouter", "openrouter"),
    ("perplexity", "perplexity"),
    ("together", "together_ai"),
    ("xai", "xai"),
];

fn recordings(folder: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(Path::new(FOLDER).join(folder)).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// The events of a stream, or the one body.
fn documents(response: &Value) -> Vec<Value> {
    match response["sse"].as_str() {
        Some(sse) => sse
            .lines()
            .filter_map(|line| serde_json::from_str(line.strip_prefix("data:")?.trim()).ok())
            .collect(),
        None => vec![response["body"].clone()],
    }
}

/// A price of the table in whole pico-dollars.
fn pico(entry: &Value, name: &str) -> Option<u128> {
    entry[name].as_f64().map(whole)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "prices are positive and small")]
fn whole(dollars: f64) -> u128 {
    (dollars * 1e12).round() as u128
}

/// What the recorded usage costs by OpenAI's documentation: the prompt less what was cached, what was cached, the answer.
fn openai(entry: &Value, usage: &Value) -> Option<u128> {
    let count = |value: &Value| u128::from(value.as_u64().unwrap_or(0));
    let prompt = count(&usage["prompt_tokens"]);
    let cached = count(&usage["prompt_tokens_details"]["cached_tokens"])
        .max(count(&usage["prompt_cache_hit_tokens"]))
        .max(count(&usage["cached_tokens"]));
    let (input, output) = (pico(entry, "input_cost_per_token")?, pico(entry, "output_cost_per_token")?);
    let read = pico(entry, "cache_read_input_token_cost").unwrap_or(input);
    let written = count(&usage["prompt_tokens_details"]["cache_write_tokens"]);
    let write = pico(entry, "cache_creation_input_token_cost").unwrap_or(input);
    let (heard, spoken) = (
        count(&usage["prompt_tokens_details"]["audio_tokens"]),
        count(&usage["completion_tokens_details"]["audio_tokens"]),
    );
    let sound = heard * pico(entry, "input_cost_per_audio_token").unwrap_or(input)
        + spoken * pico(entry, "output_cost_per_audio_token").unwrap_or(output);
    let fresh = prompt - cached - written - heard;
    let said = count(&usage["completion_tokens"]) - spoken;
    Some(fresh * input + cached * read + written * write + said * output + sound)
}

/// The same by Anthropic's, whose input leaves out what the cache read and took.
fn anthropic(entry: &Value, usages: &[&Value]) -> Option<u128> {
    let last = |name: &str| usages.iter().rev().find_map(|usage| usage[name].as_u64());
    let count = |name: &str| u128::from(last(name).unwrap_or(0));
    let hour =
        usages.iter().rev().find_map(|usage| usage["cache_creation"]["ephemeral_1h_input_tokens"].as_u64());
    let hour = u128::from(hour.unwrap_or(0));
    let price = |name: &str| pico(entry, name);
    let input = price("input_cost_per_token")?;
    let write = price("cache_creation_input_token_cost").unwrap_or(input);
    Some(
        count("input_tokens") * input
            + count("cache_read_input_tokens") * price("cache_read_input_token_cost").unwrap_or(input)
            + (count("cache_creation_input_tokens") - hour) * write
            + hour * price("cache_creation_input_token_cost_above_1hr").unwrap_or(write)
            + count("output_tokens") * price("output_cost_per_token")?,
    )
}

/// What the vendor itself says, in pico-dollars.
fn reported(usage: &Value) -> Option<u128> {
    let ticks = usage["cost_in_usd_ticks"].as_u64().map(|ticks| u128::from(ticks) * 100);
    let own_key = if usage["is_byok"] == true {
        usage["cost_details"]["upstream_inference_cost"].as_f64().unwrap_or(0.0)
    } else {
        0.0
    };
    let dollars = usage["cost"].as_f64().or(usage["cost"]["total_cost"].as_f64());
    dollars.map(|dollars| whole(dollars + own_key)).or(ticks)
}

fn expected(table: &Value, provider: &str, family: &str, model: &str, documents: &[Value]) -> Option<u128> {
    let entry =
        [format!("{provider}/{model}"), model.to_owned()].iter().find_map(|name| table.get(name).cloned());
    if family == "anthropic_messages" {
        let usages: Vec<&Value> = documents
            .iter()
            .flat_map(|document| [&document["message"]["usage"], &document["usage"]])
            .filter(|usage| usage.is_object())
            .collect();
        return anthropic(&entry?, &usages);
    }
    let usage = documents.iter().rev().map(|document| &document["usage"]).find(|usage| usage.is_object())?;
    reported(usage).or_else(|| openai(&entry?, usage))
}

/// Always two at night, in UTC: an hour at which nobody sells for less.
#[derive(Debug)]
struct Night;

impl Clock for Night {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_767_751_200_000)
    }
}

/// A recorded exchange that ends well and says what it used.
struct Recorded {
    name: String,
    provider: &'static str,
    model: String,
    family: String,
    response: Value,
}

impl Recorded {
    fn read(path: &Path, provider: &'static str) -> Option<Self> {
        let recording: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        let family = recording["family"].as_str().unwrap().to_owned();
        let response = recording["response"].clone();
        let is_chat = matches!(family.as_str(), "openai_chat" | "anthropic_messages");
        let is_error = response["status"] != 200 || recording["kind"].as_str().unwrap().contains("error");
        let has_usage = documents(&response)
            .iter()
            .any(|document| document["usage"].is_object() || document["message"]["usage"].is_object());
        let model = recording["request"]["body"]["model"].as_str()?.to_owned();
        let name = path.display().to_string();
        (is_chat && !is_error && has_usage).then_some(Self { name, provider, model, family, response })
    }

    fn alias(&self) -> String {
        format!("{}/{}", self.provider, self.model)
    }

    fn fault(&self) -> Fault {
        let (content_type, body) = match self.response["sse"].as_str() {
            Some(sse) => ("text/event-stream", sse.to_owned()),
            None => ("application/json", self.response["body"].to_string()),
        };
        Fault::Raw { code: 200, content_type: content_type.to_owned(), body }
    }
}

#[tokio::test]
async fn every_recorded_reply_costs_what_its_bytes_imply() {
    let table: Value = serde_json::from_str(TABLE).unwrap();
    let server = MockServer::start("127.0.0.1:0").await.unwrap();
    let upstream = server.upstream("recorded");
    let all: Vec<Recorded> = PROVIDERS
        .iter()
        .flat_map(|(folder, provider)| {
            recordings(folder).into_iter().filter_map(|path| Recorded::read(&path, provider))
        })
        .collect();
    let heard: Arc<Mutex<Option<u64>>> = Arc::default();
    let tell = Arc::clone(&heard);
    let observer = observe_with(move |event| {
        if let Event::Answered { route, .. } = event {
            let total = route.attempts.last().and_then(|attempt| attempt.bill.total());
            *tell.lock().unwrap() = total.map(|total| total.as_pico());
        }
    });
    let mut builder = Router::builder().observer(Arc::new(observer)).clock(Arc::new(Night)).num_retries(0);
    let mut aliases: Vec<String> = all.iter().map(Recorded::alias).collect();
    aliases.sort();
    aliases.dedup();
    for alias in &aliases {
        let (provider, model) = alias.split_once('/').unwrap();
        let base = if provider == "anthropic" { upstream.anthropic_base() } else { upstream.openai_base() };
        let deployment = Deployment::new(alias, model).custom_llm_provider(provider);
        builder =
            builder.deployment(deployment.api_base(base).api_key("sk-test").cooldown_time(Duration::ZERO));
    }
    let router = builder.build().unwrap();

    let (mut checked, mut unknown) = (0, 0);
    for recorded in &all {
        let documents = documents(&recorded.response);
        upstream.set(recorded.fault());
        *heard.lock().unwrap() = None;
        let request = ChatRequest::user(recorded.alias(), "hi").unwrap();
        if recorded.response["sse"].is_string() {
            let Ok(mut stream) = router.stream(&request).await else { continue };
            while let Some(Ok(_)) = stream.next().await {}
        } else if router.completion(&request).await.is_err() {
            continue;
        }
        let Some(cost) = *heard.lock().unwrap() else { continue };
        let model =
            recorded.model.strip_prefix(&format!("{}/", recorded.provider)).unwrap_or(&recorded.model);
        match expected(&table["models"], recorded.provider, &recorded.family, model, &documents) {
            Some(expected) => {
                assert_eq!(u128::from(cost), expected, "{} {model}", recorded.name);
                checked += 1;
            }
            None => unknown += 1,
        }
    }
    assert!(checked > 250, "{checked} were priced in both ways, {unknown} in one");
}
