//! Which trace a request belongs to, told on.

use llm_router::{ConfigFile, TraceContext};

use super::*;

const CALLERS: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

async fn gateway(settings: &str) -> (MockServer, Gateway) {
    let server = MockServer::start("127.0.0.1:0").await.unwrap();
    let (open, claude) = (server.upstream("a").openai_base(), server.upstream("b").anthropic_base());
    let text = format!(
        "model_list:\n  - {{ model_name: gpt, litellm_params: {{ model: gpt-4o, api_base: '{open}' }} }}\n  \
         - {{ model_name: claude, litellm_params: {{ model: anthropic/c, api_base: '{claude}' }} }}\n\
         router_settings: {{ fallbacks: [{{ gpt: [claude] }}], num_retries: 0 }}\nlitellm_settings: {{ {settings} }}\n"
    );
    let file = ConfigFile::parse(&text, "config.yaml", &|_| None).unwrap();
    let serving = Serving::from_file(file, [], None).unwrap();
    (server, Gateway::of(App::with_limits(serving, Limits::default())).await)
}

async fn send(gateway: &Gateway, path: &str, body: &Value, trace: Option<&str>) {
    let mut request = reqwest::Client::new().post(gateway.url(path)).body(body.to_string());
    if let Some(trace) = trace {
        request = request.header("traceparent", trace);
    }
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 200);
    answer.bytes().await.unwrap();
}

/// What the upstreams were told, in the order of their names.
fn told(server: &MockServer) -> Vec<Option<TraceContext>> {
    let requests = ["a", "b"].into_iter().flat_map(|name| server.upstream(name).requests());
    requests.map(|request| TraceContext::parse(request.headers.get("traceparent")?.to_str().ok()?)).collect()
}

#[tokio::test]
async fn providers_hear_of_the_callers_trace_when_they_are_to_each_attempt_as_a_span() {
    let (server, gateway) = gateway("forward_traceparent_to_llm_provider: true").await;
    server.upstream("a").enqueue(Fault::status(500));
    send(&gateway, "/v1/chat/completions", &streamed("gpt"), Some(CALLERS)).await;
    let caller = TraceContext::parse(CALLERS).unwrap();
    let [Some(first), Some(second)] = told(&server)[..] else { panic!("two attempts, both told") };
    assert_eq!((first.trace_id, second.trace_id), (caller.trace_id, caller.trace_id));
    assert!(
        first.span_id != caller.span_id
            && second.span_id != caller.span_id
            && first.span_id != second.span_id
    );
    assert!(first.is_sampled && second.is_sampled);
}

#[tokio::test]
async fn without_a_callers_trace_each_request_is_one_of_its_own_embeddings_too() {
    let (server, gateway) = gateway("forward_traceparent_to_llm_provider: true").await;
    send(&gateway, "/v1/chat/completions", &ask("gpt"), None).await;
    send(&gateway, "/v1/embeddings", &json!({"model": "gpt", "input": "Hello"}), None).await;
    let [Some(first), Some(second)] = told(&server)[..] else { panic!("both told") };
    assert_ne!(first.trace_id, second.trace_id);
}

#[tokio::test]
async fn providers_hear_nothing_of_it_when_nobody_says_so() {
    let (server, gateway) = gateway("num_retries: 0").await;
    send(&gateway, "/v1/chat/completions", &ask("gpt"), Some(CALLERS)).await;
    assert_eq!(told(&server), [None]);
}
