//! Streams through the binary: a thousand at a time, of which none stalls, none is cut short, and each costs little memory; and
//! what becomes of them when it is killed.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "tests stop at the first surprise; the figures are for people"
)]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
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

/// One test at a time: the figures are of one gateway alone.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// A process that ends with the test.
struct Running {
    child: Child,
    /// Kept open: a server that cannot say the rest of its greeting ends.
    _output: BufReader<ChildStdout>,
    address: String,
}

impl Running {
    fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_llm-router"));
        let mut child = command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        output.read_line(&mut line).unwrap();
        let address = line.split("http://").nth(1).unwrap().split(['/', '\n']).next().unwrap().to_owned();
        Self { child, _output: output, address }
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

/// A gateway over one simulated provider that streams like this.
struct World {
    mock: Running,
    gateway: Running,
    config: PathBuf,
}

impl World {
    fn streaming(chunks: usize, interval: Duration) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let behaviour = format!(r#"{{"chunks": {chunks}, "chunk_interval_ms": {}}}"#, interval.as_millis());
        let mock = Running::start(&["mock", "--port", "0", "--behaviour", &behaviour]);
        let name = format!("llm-router-streams-{}-{}.yaml", std::process::id(), COUNT.fetch_add(1, Relaxed));
        let config = std::env::temp_dir().join(name);
        let deployment =
            format!("model: openai/gpt-4o, api_base: \"http://{}/v1\", api_key: k", mock.address);
        let text = format!("model_list: [{{model_name: fast, litellm_params: {{{deployment}}}}}]\n");
        std::fs::write(&config, text).unwrap();
        let gateway = Self::serve(&config, "0");
        Self { mock, gateway, config }
    }

    fn serve(config: &Path, port: &str) -> Running {
        Running::start(&["serve", "--port", port, "--config", config.to_str().unwrap()])
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // What is left in the folder for temporary files does no harm.
        let _ = std::fs::remove_file(&self.config);
    }
}

async fn ask(address: &str) -> TcpStream {
    let body = r#"{"model":"fast","stream":true,"messages":[{"role":"user","content":"Hello"}]}"#;
    let head = format!("POST /v1/chat/completions HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n");
    let mut connection = TcpStream::connect(address).await.unwrap();
    let request = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
    connection.write_all(request.as_bytes()).await.unwrap();
    connection
}

async fn stream(address: String) -> String {
    let mut answer = String::new();
    ask(&address).await.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn a_gateway_that_is_killed_ends_its_streams_and_the_next_takes_its_place() {
    let _alone = ALONE.lock().await;
    let mut world = World::streaming(1_000, Duration::from_millis(20));
    let mut connection = ask(&world.gateway.address).await;
    let mut heard = vec![0; 4096];
    let first = connection.read(&mut heard).await.unwrap();
    assert!(heard[..first].starts_with(b"HTTP/1.1 200"));
    world.gateway.child.kill().unwrap();
    let mut rest = Vec::new();
    // A reset is an end, too.
    let ended = tokio::time::timeout(Duration::from_secs(5), connection.read_to_end(&mut rest)).await;
    assert!(ended.is_ok(), "the client still waits");
    let ended_as_whole = String::from_utf8_lossy(&rest).contains("[DONE]");
    assert!(!ended_as_whole);
    let left = async {
        loop {
            let mut asked = TcpStream::connect(&world.mock.address).await.unwrap();
            let request = "GET /mock/upstreams HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
            asked.write_all(request.as_bytes()).await.unwrap();
            let mut state = String::new();
            asked.read_to_string(&mut state).await.unwrap();
            if state.contains(r#""aborted":1"#) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), left).await.expect("the provider still answers it");
    world.gateway.child.wait().unwrap();
    let port = world.gateway.address.rsplit(':').next().unwrap().to_owned();
    world.gateway = World::serve(&world.config, &port);
    assert!(
        ask(&world.gateway.address).await.read(&mut heard).await.unwrap() > 0,
        "it serves at the same address"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_streams_at_a_time_all_end_whole() {
    let _alone = ALONE.lock().await;
    let world = World::streaming(CHUNKS, INTERVAL);
    let gateway = &world.gateway;
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
