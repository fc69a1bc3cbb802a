//! Answers from the cache.

use llm_router::{ConfigFile, Usd};
use router_gateway::{Access, BudgetPeriod, KeyHash, KeyLimits, VirtualKey};

use super::*;

struct Cached {
    server: MockServer,
    gateway: Gateway,
}

async fn cached(cache: &str) -> Cached {
    let server = MockServer::start("127.0.0.1:0").await.unwrap();
    let upstream = server.upstream("a");
    let text = format!(
        "model_list:\n  - model_name: fast\n    litellm_params: {{ model: gpt-4o, api_base: '{}', api_key: k, \
         input_cost_per_token: 0.001, output_cost_per_token: 0.001 }}\nrouter_settings: {{ num_retries: 0 }}\n\
         litellm_settings: {{ {cache} }}\n",
        upstream.openai_base(),
    );
    let file = ConfigFile::parse(&text, "config.yaml", &|_| None).unwrap();
    let serving = Serving::from_file(file, [], None).unwrap();
    let mut limits = KeyLimits::default();
    limits.budget = Some((Usd::from_pico(100_000_000_000), BudgetPeriod::parse("1d").unwrap()));
    let key = VirtualKey::new(KeyHash::of("sk-team"), "team").with_limits(limits);
    let serving = serving.with_access(Access::with_keys(Some(KeyHash::of("sk-master")), [key]));
    Cached { gateway: Gateway::of(App::with_limits(serving, Limits::default())).await, server }
}

impl Cached {
    fn calls(&self) -> u64 {
        self.server.upstream("a").calls()
    }

    async fn post(&self, path: &str, body: &Value) -> reqwest::Response {
        self.post_as("sk-master", path, body).await
    }

    async fn post_as(&self, key: &str, path: &str, body: &Value) -> reqwest::Response {
        let request = reqwest::Client::new().post(self.gateway.url(path)).bearer_auth(key);
        request.body(body.to_string()).send().await.unwrap()
    }

    async fn chat(&self, body: &Value) -> reqwest::Response {
        self.post("/v1/chat/completions", body).await
    }

    /// Asks, and says whether the answer was kept.
    async fn hit(&self, body: &Value) -> Option<bool> {
        let response = self.chat(body).await;
        assert_eq!(response.status(), 200);
        let hit = response.headers().get("x-router-cache").map(|value| value == "hit");
        response.bytes().await.unwrap();
        hit
    }
}

fn with(mut body: Value, field: &str, value: Value) -> Value {
    body[field] = value;
    body
}

#[tokio::test]
async fn what_was_answered_is_answered_again_without_a_call_and_without_a_price() {
    let cached = cached("cache: true").await;
    let question = with(ask("fast"), "max_tokens", json!(9));
    let first = cached.chat(&question).await;
    assert_eq!(first.headers()["x-router-cache"], "miss");
    let first_cost = first.headers()["x-router-cost-usd"].to_str().unwrap().to_owned();
    let again = cached.chat(&question).await;
    let headers = again.headers().clone();
    assert_eq!(first.text().await.unwrap(), again.text().await.unwrap());
    assert_eq!(headers["x-router-cache"], "hit");
    assert_eq!(headers["x-router-pool"], "fast");
    assert_eq!(headers["x-router-cost-usd"], "0");
    assert_eq!(
        (headers["age"].to_str().unwrap(), headers["x-router-attempts"].to_str().unwrap()),
        ("0", "0")
    );
    assert_eq!(headers["x-litellm-cache-key"].len(), 64);
    assert_eq!(cached.calls(), 1);

    // The budget, a tenth of a dollar, holds for a few calls.
    let cost: f64 = first_cost.parse().unwrap();
    assert!(cost > 0.001 && cost < 0.1, "{cost}");
    for _ in 0..100 {
        let kept = cached.post_as("sk-team", "/v1/chat/completions", &question).await;
        assert_eq!(kept.status(), 200, "what is kept costs nothing");
    }

    let metrics = reqwest::Client::new().get(cached.gateway.url("/metrics")).bearer_auth("sk-master");
    let metrics = metrics.send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("llm_router_cache_requests_total{result=\"hit\"} 101"), "{metrics}");
}

#[tokio::test]
async fn another_question_is_another_and_whose_it_is_does_not_matter() {
    let cached = cached("cache: true").await;
    let question = with(ask("fast"), "user", json!("ada"));
    assert_eq!(cached.hit(&question).await, Some(false));
    assert_eq!(cached.hit(&with(question.clone(), "user", json!("grace"))).await, Some(true));
    assert_eq!(cached.hit(&with(question.clone(), "temperature", json!(0.5))).await, Some(false));
    assert_eq!(cached.hit(&with(question.clone(), "stream", json!(true))).await, Some(false));
    assert_eq!(cached.hit(&with(question, "cache", json!({"namespace": "mine"}))).await, Some(false));
    assert_eq!(cached.calls(), 4);
    let sent = cached.server.upstream("a").requests();
    assert!(sent.iter().all(|request| request.json().unwrap().get("cache").is_none()), "the field is ours");
}

#[tokio::test]
async fn identical_requests_under_way_are_asked_once() {
    let cached = cached("cache: true").await;
    cached.server.upstream("a").set(Behaviour::default().with_latency_ms(300));
    let question = ask("fast");
    let answers = futures_util::future::join_all((0..20).map(|_| cached.chat(&question))).await;
    let mut texts = Vec::new();
    for answer in answers {
        assert_eq!(answer.status(), 200);
        texts.push(answer.text().await.unwrap());
    }
    assert_eq!(cached.calls(), 1);
    assert!(texts.windows(2).all(|pair| pair[0] == pair[1]));
}

#[tokio::test]
async fn when_the_one_who_asks_leaves_another_asks() {
    let cached = cached("cache: true").await;
    let upstream = cached.server.upstream("a");
    upstream.set(Behaviour::default().with_latency_ms(60_000));
    let question = ask("fast");
    let leaving = tokio::time::timeout(Duration::from_millis(300), cached.chat(&question));
    let staying = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(upstream.calls(), 1);
        upstream.set(Behaviour::default());
        cached.chat(&question).await
    };
    let (left, answer) = tokio::join!(leaving, staying);
    assert!(left.is_err());
    assert_eq!(answer.status(), 200);
    assert_eq!(cached.calls(), 2);
}

#[tokio::test]
async fn errors_are_neither_kept_nor_shared() {
    let cached = cached("cache: true").await;
    cached.server.upstream("a").enqueue(Fault::status(400));
    assert_eq!(cached.chat(&ask("fast")).await.status(), 400);
    assert_eq!(cached.hit(&ask("fast")).await, Some(false));
    assert_eq!(cached.hit(&ask("fast")).await, Some(true));
}

#[tokio::test]
async fn streams_are_replayed_as_streams_and_cut_ones_are_not_kept() {
    let cached = cached("cache: true").await;
    let upstream = cached.server.upstream("a");
    upstream.enqueue(Behaviour::failing(Fault::cut(3)).with_chunks(10));
    upstream.set(Behaviour::default().with_chunks(10));
    let question = streamed("fast");
    let cut = cached.chat(&question).await.text().await.unwrap();
    assert!(!cut.ends_with("data: [DONE]\n\n"), "{cut}");
    let first = cached.chat(&question).await.text().await.unwrap();
    let again = cached.chat(&question).await;
    assert_eq!(again.headers()["content-type"], "text/event-stream");
    assert_eq!(again.headers()["x-router-cache"], "hit");
    assert_eq!(again.text().await.unwrap(), first);
    assert!(first.ends_with("data: [DONE]\n\n"));
    assert_eq!(cached.calls(), 2);
}

#[tokio::test]
async fn answers_of_the_other_apis_are_kept_too() {
    let cached = cached("cache: true").await;
    let messages =
        json!({"model": "fast", "max_tokens": 9, "messages": [{"role": "user", "content": "Hello"}]});
    let embeddings = json!({"model": "fast", "input": "Hello"});
    let responses = json!({"model": "fast", "input": "Hello", "stream": true});
    for (path, body) in
        [("/v1/messages", messages.clone()), ("/v1/messages", with(messages, "stream", json!(true)))]
            .into_iter()
            .chain([("/v1/embeddings", embeddings), ("/v1/responses", responses)])
    {
        let before = cached.calls();
        let first = cached.post(path, &body).await.text().await.unwrap();
        let again = cached.post(path, &body).await;
        assert_eq!(again.headers()["x-router-cache"], "hit", "{path} {body}");
        let again = again.text().await.unwrap();
        assert_eq!(again.len(), first.len(), "{path}: {first}\n{again}");
        assert_eq!(cached.calls(), before + 1, "{path}");
    }
}

#[tokio::test]
async fn a_request_says_what_the_cache_is_to_do() {
    let cached = cached("cache: true, cache_params: { ttl: 60 }").await;
    let question = ask("fast");
    let say = |control: Value| with(question.clone(), "cache", control);
    assert_eq!(cached.hit(&say(json!({"no-store": true}))).await, Some(false));
    assert_eq!(cached.hit(&say(json!({"no-store": true, "no-cache": true}))).await, None, "not its business");
    assert_eq!(cached.hit(&question).await, Some(false), "nothing was kept before");
    assert_eq!(cached.hit(&say(json!({"no-cache": true}))).await, Some(false));
    assert_eq!(cached.hit(&say(json!({"s-maxage": 60}))).await, Some(true));
    assert_eq!(cached.hit(&say(json!({"s-maxage": 0}))).await, Some(false), "too old");
    let wrong = cached.chat(&say(json!({"ttl": "soon"}))).await;
    assert_eq!(wrong.status(), 400);
    let wrong = wrong.text().await.unwrap();
    assert!(wrong.contains("cache") && wrong.contains("no-cache"), "{wrong}");
}

#[tokio::test]
async fn the_configuration_says_what_is_kept_and_for_how_long() {
    let off = cached("cache: true, cache_params: { mode: default_off, ttl: 0.2 }").await;
    assert_eq!(off.hit(&ask("fast")).await, None);
    let use_it = with(ask("fast"), "cache", json!({"use-cache": true}));
    assert_eq!(off.hit(&use_it).await, Some(false));
    assert_eq!(off.hit(&use_it).await, Some(true));
    tokio::time::sleep(Duration::from_millis(250)).await;
    assert_eq!(off.hit(&use_it).await, Some(false), "it has expired");

    let embeddings = cached("cache: true, cache_params: { supported_call_types: [aembedding] }").await;
    assert_eq!(embeddings.hit(&ask("fast")).await, None);
    let none = cached("cache: false").await;
    assert_eq!(none.hit(&with(ask("fast"), "cache", json!({"use-cache": true}))).await, None);
}

#[tokio::test]
async fn answers_in_redis_are_for_every_process_and_a_dead_redis_is_a_miss() {
    let mut redis = redis_server::Server::start(&[]).await;
    let config =
        format!("cache: true, cache_params: {{ type: redis, host: 127.0.0.1, port: {} }}", redis.port);
    let (one, other) = (cached(&config).await, cached(&config).await);
    let question = streamed("fast");
    let body = |response: reqwest::Response| async move { response.text().await.unwrap() };
    // It connects in the background; until then everything is a miss.
    let mut first = body(one.chat(&question).await).await;
    let wait = async {
        while other.hit(&question).await != Some(true) {
            tokio::time::sleep(Duration::from_millis(20)).await;
            first = body(one.chat(&question).await).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), wait).await.expect("what one keeps, the other finds");
    let calls = (one.calls(), other.calls());
    assert_eq!(body(other.chat(&question).await).await, first);
    assert_eq!((one.calls(), other.calls()), calls);
    assert!(
        redis.cli(&["ttl", &redis.cli(&["keys", "llm-router:v1:cache:*"])]).parse::<i64>().unwrap() > 500
    );

    redis.kill();
    let started = std::time::Instant::now();
    assert_eq!(one.hit(&question).await, Some(false));
    assert_eq!(one.hit(&question).await, Some(false));
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
}
