//! A thousand streams at a time through the binary: none stalls, none is cut short, and each costs little memory.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "tests stop at the first surprise; the figures are for people"
)]

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

const STREAMS: usize = 1_000;
const CHUNKS: usize = 20;
/// Between two chunks; a stream takes twenty of these.
const INTERVAL: Duration = Duration::from_millis(100);
/// What a stream may cost beside everything else, in KiB.
const MOST_KIB: u64 = 100;

/// A process that ends with the test.
struct Running {
    child: Child,
    address: String,
}

impl Running {
    fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_llm-router"));
        let mut child = command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.split("http://").nth(1).unwrap().split(['/', '\n']).next().unwrap().to_owned();
        Self { child, address }
    }

    /// The memory in use, in KiB; `None` where the system does not tell.
    fn memory(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.split_whitespace().next()?.parse().ok()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn stream(address: String) -> String {
    let body = r#"{"model":"fast","stream":true,"messages":[{"role":"user","content":"Hello"}]}"#;
    let head = format!("POST /v1/chat/completions HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n");
    let mut connection = TcpStream::connect(&address).await.unwrap();
    connection
        .write_all(format!("{head}content-length: {}\r\n\r\n{body}", body.len()).as_bytes())
        .await
        .unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_streams_at_a_time_all_end_whole() {
    let behaviour = format!(r#"{{"chunks": {CHUNKS}, "chunk_interval_ms": {}}}"#, INTERVAL.as_millis());
    let mock = Running::start(&["mock", "--port", "0", "--behaviour", &behaviour]);
    let config = std::env::temp_dir().join(format!("llm-router-streams-{}.yaml", std::process::id()));
    let deployment = format!("model: openai/gpt-4o, api_base: \"http://{}/v1\", api_key: k", mock.address);
    std::fs::write(
        &config,
        format!("model_list: [{{model_name: fast, litellm_params: {{{deployment}}}}}]\n"),
    )
    .unwrap();
    let gateway = Running::start(&["serve", "--port", "0", "--config", config.to_str().unwrap()]);
    std::fs::remove_file(&config).unwrap();

    stream(gateway.address.clone()).await;
    let before = gateway.memory();
    let began = Instant::now();
    let mut streams = JoinSet::new();
    for _ in 0..STREAMS {
        streams.spawn(stream(gateway.address.clone()));
    }
    let mut most = before;
    let mut whole = 0;
    while let Some(answer) = streams.join_next().await {
        most = most.max(gateway.memory());
        let answer = answer.unwrap();
        assert!(answer.contains("data: [DONE]"), "cut short: {answer}");
        let chunks = answer.matches(r#""content":""#).count();
        assert!(chunks >= CHUNKS, "{chunks} chunks: {answer}");
        whole += 1;
    }
    assert_eq!(whole, STREAMS);
    let alone = INTERVAL * u32::try_from(CHUNKS).unwrap();
    let took = began.elapsed();
    if let (Some(before), Some(most)) = (before, most) {
        let each = (most - before) / u64::try_from(STREAMS).unwrap();
        eprintln!(
            "{STREAMS} streams of {CHUNKS} chunks in {took:.1?} (one alone takes {alone:.1?}): {before} KiB before, \
             {most} KiB at most, {each} KiB a stream"
        );
        assert!(each <= MOST_KIB, "{each} KiB a stream");
    }
}
