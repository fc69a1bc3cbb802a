//! Credentials appear nowhere: not in logs at the finest level, not in Debug output, not in errors or events.

use std::io::Write;
use std::sync::{Arc, Mutex};

use futures_util::StreamExt;
use llm_router::{ChatRequest, ConfigFile};
use router_mock::{Fault, MockServer};
use router_telemetry::TracingObserver;
use system_tests::Recorder;
use tracing_subscriber::filter::LevelFilter;

const KEYS: [&str; 3] = ["sk-proj-AAAA1111secret", "sk-ant-BBBB2222secret", "header-CCCC3333secret"];

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn keys_appear_in_no_log_no_debug_output_no_error_and_no_event() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(LevelFilter::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    tracing::trace!("the log works");

    let server = MockServer::start("127.0.0.1:0").await.unwrap();
    let (openai, anthropic) = (server.upstream("openai"), server.upstream("anthropic"));
    let text = format!(
        "model_list:\n  \
           - model_name: gpt\n    litellm_params: {{ model: gpt-4o, api_key: {}, api_base: '{}', extra_headers: {{ x-team: {} }} }}\n  \
           - model_name: claude\n    litellm_params: {{ model: anthropic/claude, api_key: {}, api_base: '{}' }}\n",
        KEYS[0],
        openai.openai_base(),
        KEYS[2],
        KEYS[1],
        anthropic.anthropic_base()
    );
    let mut said = Vec::new();
    let file = ConfigFile::parse(&text, "config.yaml", &|_| None).unwrap();
    said.push(format!("{file:?}"));
    let recorder = Recorder::new();
    let builder = file
        .into_builder()
        .num_retries(0)
        .cooldown_time(std::time::Duration::ZERO)
        .observer(Arc::clone(&recorder) as _);
    said.push(format!("{builder:#?}"));
    let router = builder.observer(Arc::new(TracingObserver)).build().unwrap();
    said.push(format!("{router:#?}"));

    // Upstreams that repeat the credential in what they answer.
    let echo = |key: &str| Fault::Status {
        code: 401,
        retry_after: None,
        message: Some(format!("wrong key: {key}")),
    };
    let faults =
        [Fault::status(500), Fault::Reset, Fault::MalformedBody, Fault::cut(1), Fault::rate_limited("1")];
    for (model, upstream, key) in [("gpt", &openai, KEYS[0]), ("claude", &anthropic, KEYS[1])] {
        let request = ChatRequest::user(model, "hi").unwrap();
        for fault in faults.iter().cloned().chain([echo(key)]) {
            upstream.set(fault);
            match router.completion(&request).await {
                Ok(answer) => said.push(format!("{answer:?}")),
                Err(error) => said.push(format!("{error} {error:#?}")),
            }
            match router.stream(&request).await {
                Ok(mut stream) => {
                    while let Some(chunk) = stream.next().await {
                        said.push(format!("{chunk:?}"));
                    }
                    said.push(format!("{stream:?}"));
                }
                Err(error) => said.push(format!("{error} {error:#?}")),
            }
        }
    }
    assert!(
        openai
            .requests()
            .iter()
            .any(|request| request.headers["authorization"] == format!("Bearer {}", KEYS[0]))
    );
    assert!(openai.requests().iter().any(|request| request.headers["x-team"] == KEYS[2]));
    said.extend(recorder.lines());
    said.push(String::from_utf8(log.0.lock().unwrap().clone()).unwrap());
    assert!(said.last().unwrap().contains("the log works"));
    assert!(said.iter().any(|text| text.contains("[redacted]")), "an echoed key is replaced");
    for text in &said {
        for key in KEYS {
            let shown = text.find(key).map(|at| &text[at.saturating_sub(200)..at]);
            assert_eq!(shown, None, "{key} appears after this");
        }
    }
}
