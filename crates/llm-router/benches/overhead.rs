//! What the router adds to a call: `router.completion` against the same call by bare reqwest, to the same server in this process.
//!
//! `cargo bench -p llm-router --bench overhead`

#![expect(clippy::unwrap_used, reason = "a benchmark")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use llm_router::{ChatRequest, Deployment, Router};
use router_mock::{Behaviour, MockServer};
use tokio::runtime::Runtime;

fn overhead(c: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let server = runtime.block_on(MockServer::start("127.0.0.1:0")).unwrap();
    let upstream = server.upstream("bench");
    upstream.set(Behaviour::answering("Paris."));
    upstream.record_requests(false);

    let base = upstream.openai_base();
    let router = Router::builder()
        .deployment(Deployment::new("fast", "gpt-4o-mini").api_base(&base).api_key("sk-bench"))
        .build()
        .unwrap();
    let request = ChatRequest::user("fast", "What is the capital of France?").unwrap();
    let body = request.body_with(&[("model", llm_router::Edit::Set("\"gpt-4o-mini\""))]);
    let client = reqwest::Client::builder().tcp_nodelay(true).build().unwrap();
    let url = format!("{base}/chat/completions");

    let mut group = c.benchmark_group("overhead");
    group.bench_function("reqwest", |b| {
        b.to_async(&runtime).iter(|| async {
            let call = client.post(&url).bearer_auth("sk-bench").header("content-type", "application/json");
            black_box(call.body(body.clone()).send().await.unwrap().bytes().await.unwrap())
        });
    });
    group.bench_function("router.completion", |b| {
        b.to_async(&runtime).iter(|| async { black_box(router.completion(&request).await.unwrap()) });
    });
    group.finish();
}

criterion_group!(benches, overhead);
criterion_main!(benches);
