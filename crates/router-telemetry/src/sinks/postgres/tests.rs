//! The sink on a real server: from the path or where Debian puts it, which `cargo xtask test` installs where it is missing.

use std::net::TcpListener;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use super::*;
use crate::telemetry::tests::tell;
use crate::telemetry::{QueueSettings, Telemetry, Which};

/// `postgres` on a free port; stopped, and its folder removed, when dropped.
struct Server {
    folder: PathBuf,
    port: u16,
}

impl Server {
    fn start() -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let folder = std::env::temp_dir().join(format!("llm-router-postgres-{}-{port}", std::process::id()));
        let server = Self { folder, port };
        server.run("initdb", &["-U", "postgres", "--auth=trust", "--no-sync", "-E", "UTF8", "--locale=C"]);
        server.go_on();
        server
    }

    /// Starts it, and returns when it takes connections.
    fn go_on(&self) {
        let options = format!(
            "-p {} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off",
            self.port
        );
        self.run("pg_ctl", &["start", "-w", "-s", "-o", &options]);
    }

    /// Ends it as a crash would: connections break, and what was not committed is gone.
    fn crash(&self) {
        self.run("pg_ctl", &["stop", "-s", "-m", "immediate"]);
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        let mut command = as_nobody_special(&program_of_postgres(program));
        command.arg("-D").arg(&self.folder).args(arguments).current_dir(std::env::temp_dir());
        let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
        assert!(status.is_ok_and(|status| status.success()), "{command:?} failed");
    }

    fn sink(&self) -> Postgres {
        Postgres::new(format!("postgres://postgres@127.0.0.1:{}/postgres", self.port))
    }

    /// What the table adds up to: records, prompt tokens, completion tokens, attempts, pico-dollars.
    async fn sums(&self) -> [i64; 5] {
        let mut sink = self.sink();
        let sums = "SELECT count(*), sum(prompt_tokens)::bigint, sum(completion_tokens)::bigint, sum(attempts)::bigint, \
                    sum(cost_pico_usd)::bigint FROM llm_router_calls";
        let row = sink.client().await.unwrap().query_one(sums, &[]).await.unwrap();
        [0, 1, 2, 3, 4].map(|column| row.get(column))
    }

    async fn records(&self) -> Vec<CallRecord> {
        let mut sink = self.sink();
        let select = "SELECT record FROM llm_router_calls ORDER BY time_ms, id";
        let rows = sink.client().await.unwrap().query(select, &[]).await.unwrap();
        rows.iter().map(|row| serde_json::from_str(row.get(0)).unwrap()).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let mut stop = as_nobody_special(&program_of_postgres("pg_ctl"));
        stop.args(["stop", "-s", "-m", "immediate", "-D"]).arg(&self.folder);
        let _ = stop.stdout(Stdio::null()).stderr(Stdio::null()).status();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// PostgreSQL refuses to run as root, so there it runs as the user that its package made.
fn as_nobody_special(program: &Path) -> Command {
    if std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0) {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=postgres", "--regid=postgres", "--init-groups"]).arg(program);
        command
    } else {
        Command::new(program)
    }
}

/// Debian keeps the server's programs out of the path, in a folder per version.
fn program_of_postgres(name: &str) -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let debian =
        versions.map(|version| version.path().join("bin").join(name)).filter(|path| path.exists()).max();
    debian.unwrap_or_else(|| PathBuf::from(name))
}

#[tokio::test]
async fn the_table_adds_up_to_what_happened_and_a_batch_written_twice_stands_there_once() {
    let server = Server::start();
    for _ in 0..2 {
        let telemetry = Telemetry::new().sink(server.sink(), Which::All);
        (0..2_000).for_each(|seed| tell(&telemetry, seed, None));
        assert!(telemetry.shutdown(Duration::from_secs(60)));
        assert_eq!((telemetry.counts()[0].written, telemetry.counts()[0].dropped), (2_000, 0));
    }
    assert_eq!(server.sums().await, [2_000, 20_000, 40_000, 2_000, 14_000]);
    let records = server.records().await;
    assert_eq!((records[7].id.as_str(), records[7].user.as_deref()), ("0000000000000007", Some("u-1")));
}

#[tokio::test]
async fn a_server_that_crashes_and_comes_back_gets_every_record_once() {
    let server = Server::start();
    let patient = QueueSettings { attempts: 9, flush_interval: Duration::ZERO, ..QueueSettings::default() };
    let telemetry = Telemetry::new().queue(patient).sink(server.sink(), Which::All);
    let until = |what: &dyn Fn() -> bool| {
        let started = Instant::now();
        while !what() {
            assert!(started.elapsed() < Duration::from_secs(30), "{:?}", telemetry.counts());
            std::thread::sleep(Duration::from_millis(2));
        }
    };
    (0..500).for_each(|seed| tell(&telemetry, seed, None));
    until(&|| telemetry.counts()[0].written == 500);
    server.crash();
    (500..1_000).for_each(|seed| tell(&telemetry, seed, None));
    until(&|| telemetry.counts()[0].errors > 0);
    server.go_on();
    (1_000..1_500).for_each(|seed| tell(&telemetry, seed, None));
    assert!(telemetry.shutdown(Duration::from_secs(60)));
    assert_eq!((telemetry.counts()[0].written, telemetry.counts()[0].dropped), (1_500, 0));
    assert_eq!(server.sums().await, [1_500, 15_000, 30_000, 1_500, 10_500]);
}

#[tokio::test]
async fn a_nul_in_what_a_caller_sent_does_not_cost_the_batch() {
    let server = Server::start();
    let telemetry = Telemetry::new().sink(server.sink(), Which::All);
    tell(&telemetry, 1, None);
    assert!(telemetry.shutdown(Duration::from_secs(60)));
    let mut record = server.records().await.remove(0);
    record.id = "2".to_owned();
    record.user = Some("a\0b".into());
    server.sink().write(&[Arc::new(record.clone())]).await.unwrap();
    assert_eq!(server.records().await.last(), Some(&record), "the whole record keeps it");
}
