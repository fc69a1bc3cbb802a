//! Gateways in processes of their own, that share one Redis.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use router_mock::{MockServer, Upstream};
use tokio::sync::Mutex;

use crate::server::Server;

/// What may see the metrics, where the settings ask for keys.
pub(crate) const MASTER_KEY: &str = "sk-master";

pub(crate) struct World {
    pub(crate) redis: Mutex<Server>,
    pub(crate) mock: MockServer,
    pub(crate) gateways: Vec<Gateway>,
    client: reqwest::Client,
    config: PathBuf,
}

/// A process that ends with the test.
pub(crate) struct Gateway {
    child: Child,
    /// Kept open: a server that cannot say the rest of its greeting ends.
    _output: BufReader<ChildStdout>,
    base: String,
}

/// What came of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The id of the deployment that gave it.
    pub(crate) deployment: String,
}

impl World {
    /// Starts so many gateways over these deployments and settings, each `model_list` entry made from the mock.
    pub(crate) async fn start(
        gateways: usize,
        deployments: impl FnOnce(&MockServer) -> Vec<String>,
        settings: &str,
    ) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let redis = Server::start(&[]).await;
        let mock = MockServer::start("127.0.0.1:0").await.unwrap();
        let name =
            format!("llm-router-processes-{}-{}.yaml", std::process::id(), COUNT.fetch_add(1, Relaxed));
        let config = std::env::temp_dir().join(name);
        let models = deployments(&mock).join("\n  - ");
        let text = format!(
            "model_list:\n  - {models}\nrouter_settings:\n  redis_host: 127.0.0.1\n  redis_port: {}\n{settings}",
            redis.port
        );
        std::fs::write(&config, text).unwrap();
        let gateways: Vec<Gateway> = (0..gateways).map(|_| Gateway::start(&config)).collect();
        let redis = Mutex::new(redis);
        let world = Self { redis, mock, gateways, client: reqwest::Client::new(), config };
        for n in 0..world.gateways.len() {
            world
                .until("it is connected", || async {
                    world.metric(n, "llm_router_redis_connected").await == 1
                })
                .await;
        }
        world
    }

    /// Asks one gateway for one alias.
    pub(crate) async fn ask(&self, gateway: usize, alias: &str) -> Answer {
        self.ask_with_key(gateway, alias, "none").await
    }

    pub(crate) async fn ask_with_key(&self, gateway: usize, alias: &str, key: &str) -> Answer {
        let url = format!("{}/v1/chat/completions", self.gateways[gateway].base);
        let body =
            format!(r#"{{"model":"{alias}","max_tokens":10,"messages":[{{"role":"user","content":"Hi"}}]}}"#);
        let response = self.client.post(url).bearer_auth(key).body(body).send().await.unwrap();
        let deployment = response.headers().get("x-litellm-model-id");
        let deployment = deployment.map(|id| id.to_str().unwrap().to_owned()).unwrap_or_default();
        let status = response.status().as_u16();
        response.bytes().await.unwrap();
        Answer { status, deployment }
    }

    pub(crate) async fn metric(&self, gateway: usize, name: &str) -> u64 {
        let url = format!("{}/metrics", self.gateways[gateway].base);
        let text = self.client.get(url).bearer_auth(MASTER_KEY).send().await.unwrap().text().await.unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("{name} is not in {text}")).parse().unwrap()
    }

    pub(crate) async fn until<F: Future<Output = bool>>(&self, what: &str, holds: impl Fn() -> F) {
        let begun = Instant::now();
        while !holds().await {
            assert!(begun.elapsed() < Duration::from_secs(20), "{what}: it did not come to be");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// An entry of `model_list` for one upstream of the mock; `more` are further `litellm_params`.
pub(crate) fn deployment(alias: &str, upstream: &Upstream, more: &str) -> String {
    let (id, base) = (upstream.name(), upstream.openai_base());
    format!(
        "{{model_name: {alias}, litellm_params: {{model: openai/{id}, api_base: '{base}', api_key: k-{id}{more}}}, \
         model_info: {{id: {id}}}}}"
    )
}

impl Gateway {
    fn start(config: &std::path::Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_llm-router"));
        command.args(["serve", "--port", "0", "--config", config.to_str().unwrap()]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        let base = line.split_whitespace().find(|word| word.starts_with("http://"));
        let base = base.unwrap_or_else(|| panic!("no address in `{line}`")).to_owned();
        Self { child, _output: output, base }
    }

    /// The memory in use, in KiB; `None` where the system does not tell.
    pub(crate) fn memory(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.split_whitespace().next()?.parse().ok()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // What is left in the folder for temporary files does no harm.
        let _ = std::fs::remove_file(&self.config);
    }
}
