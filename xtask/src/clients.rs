//! Real clients against the gateway, whose providers are simulated: `tests/clients`.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};

use crate::cargo::cargo;
use crate::needs;

/// The upstreams of `config.yaml` that speak as Anthropic does; the others speak as OpenAI does.
const ANTHROPICS: [&str; 3] = ["claude", "claude-tools", "claude-json"];
const OPENAIS: [&str; 6] = ["gpt", "gpt-tools", "gpt-json", "limited", "broken", "cut"];

/// Builds, serves, installs and runs; `CLIENTS=python` or `CLIENTS=node` runs one suite only.
#[expect(clippy::print_stderr, reason = "tells the person at the terminal how it went")]
pub(crate) fn test() -> Result<()> {
    let only = std::env::var("CLIENTS").ok();
    let suites: Vec<Suite> = Suite::ALL
        .into_iter()
        .filter(|suite| only.as_deref().is_none_or(|only| only == suite.name()))
        .collect();
    ensure!(!suites.is_empty(), "CLIENTS={}: expected python or node", only.unwrap_or_default());
    // Any test target of the gateway's brings the binary along; with the whole workspace's features nothing is built twice in CI.
    cargo("test --workspace --all-features --no-run --test cli").run()?;
    let home = Home::find()?;
    let gateway = Gateway::start(&home)?;
    let mut summary = Vec::new();
    for suite in suites {
        let began = Instant::now();
        let outcome = suite.install(&home).and_then(|()| suite.run(&home, &gateway));
        summary.push((suite.name(), outcome, began.elapsed().as_secs()));
    }
    drop(gateway);
    eprintln!("\nreal clients against the gateway:");
    for (name, outcome, seconds) in &summary {
        match outcome {
            Ok(()) => eprintln!("  {name:<8} passed  ({seconds} s)"),
            Err(error) => eprintln!("  {name:<8} FAILED  ({seconds} s): {error:#}"),
        }
    }
    ensure!(summary.iter().all(|(_, outcome, _)| outcome.is_ok()), "a client suite failed");
    Ok(())
}

/// Where things lie.
struct Home {
    /// The tests: `tests/clients`.
    tests: PathBuf,
    /// Where clients are installed: `clients` in cargo's target folder.
    scratch: PathBuf,
    /// The gateway.
    binary: PathBuf,
}

impl Home {
    fn find() -> Result<Self> {
        // xtask lies where cargo puts what it builds, wherever that is.
        let here = std::env::current_exe().context("xtask does not know where it is")?;
        let debug = here.parent().context("xtask has no folder")?;
        let target = debug.parent().context("xtask's folder has no parent")?;
        Ok(Self {
            tests: Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/clients"),
            scratch: target.join("clients"),
            binary: debug.join(format!("llm-router{}", std::env::consts::EXE_SUFFIX)),
        })
    }
}

/// The gateway and its simulated providers; dropped, both end.
struct Gateway {
    processes: Vec<Child>,
    url: String,
}

impl Gateway {
    fn start(home: &Home) -> Result<Self> {
        let mut gateway = Self { processes: Vec::new(), url: String::new() };
        let mock = gateway.launch(Command::new(&home.binary).args(["mock", "--port", "0"]))?;
        let behaviours = home.tests.join("behaviours.json");
        let mut serve = Command::new(&home.binary);
        serve
            .args(["--log", "error", "serve", "--port", "0", "--config"])
            .arg(home.tests.join("config.yaml"));
        for name in OPENAIS {
            serve.env(variable(name), format!("{mock}/{name}/v1"));
        }
        for name in ANTHROPICS {
            serve.env(variable(name), format!("{mock}/{name}"));
        }
        gateway.url = gateway.launch(&mut serve)?;
        set_behaviours(&mock, &behaviours)?;
        Ok(gateway)
    }

    /// Starts a server and returns the address that it prints first.
    fn launch(&mut self, command: &mut Command) -> Result<String> {
        let mut child = command.stdout(Stdio::piped()).spawn().context("llm-router cannot be run")?;
        let output = child.stdout.take().context("llm-router has no output")?;
        self.processes.push(child);
        let (mut output, mut line) = (BufReader::new(output), String::new());
        output.read_line(&mut line).context("llm-router says nothing")?;
        // Whoever says more would end if nobody listened.
        std::thread::spawn(move || std::io::copy(&mut output, &mut std::io::sink()));
        let address = line.split_whitespace().find(|word| word.starts_with("http://"));
        let address = address.with_context(|| format!("llm-router says no address: {line}"))?;
        Ok(address.trim_end_matches("/v1").to_owned())
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        for process in &mut self.processes {
            // It may have ended by itself.
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

fn variable(upstream: &str) -> String {
    format!("MOCK_{}", upstream.replace('-', "_").to_uppercase())
}

/// Tells the simulated providers how to behave. Python is there anyway, and speaks HTTP and JSON.
fn set_behaviours(mock: &str, behaviours: &Path) -> Result<()> {
    const SCRIPT: &str = "
import json, sys, urllib.request
for name, behaviour in json.load(open(sys.argv[2])).items():
    url = f'{sys.argv[1]}/mock/upstreams/{name}'
    headers = {'content-type': 'application/json'}
    urllib.request.urlopen(urllib.request.Request(url, json.dumps(behaviour).encode(), headers, method='PUT')).read()
";
    needs::find_or_install(&[needs::PYTHON])?;
    let mut python = Command::new("python3");
    run(python.args(["-c", SCRIPT, mock]).arg(behaviours), "setting the behaviours")
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Suite {
    Python,
    Node,
}

impl Suite {
    const ALL: [Self; 2] = [Self::Python, Self::Node];

    const fn name(self) -> &'static str {
        match self {
            Self::Python => "python",
            Self::Node => "node",
        }
    }

    /// The file that says what is to be installed.
    const fn pins(self) -> &'static str {
        match self {
            Self::Python => "requirements.txt",
            Self::Node => "package.json",
        }
    }

    /// Installs the clients, unless these very ones are there.
    fn install(self, home: &Home) -> Result<()> {
        let tests = home.tests.join(self.name());
        let scratch = home.scratch.join(self.name());
        match self {
            Self::Python => needs::find_or_install(&[needs::PYTHON, needs::VENV])?,
            Self::Node => needs::find_or_install(&[needs::NODE, needs::NPM])?,
        }
        let pins = std::fs::read(tests.join(self.pins())).context("the list of clients cannot be read")?;
        let installed = scratch.join("installed");
        if std::fs::read(&installed).is_ok_and(|there| there == pins) {
            return Ok(());
        }
        std::fs::create_dir_all(&scratch).context("the scratch folder cannot be made")?;
        match self {
            Self::Python => {
                run(Command::new("python3").args(["-m", "venv"]).arg(&scratch), "python3 -m venv")?;
                let mut pip = Command::new(scratch.join("bin/pip"));
                pip.args(["install", "--quiet", "--disable-pip-version-check", "--requirement"]);
                run(pip.arg(tests.join(self.pins())), "pip install")?;
            }
            Self::Node => {
                std::fs::write(scratch.join(self.pins()), &pins).context("package.json cannot be written")?;
                let mut npm = Command::new("npm");
                npm.args(["install", "--no-audit", "--no-fund", "--loglevel", "error"]);
                run(npm.current_dir(&scratch), "npm install")?;
            }
        }
        std::fs::write(installed, pins).context("the installation cannot be noted")
    }

    fn run(self, home: &Home, gateway: &Gateway) -> Result<()> {
        let tests = home.tests.join(self.name());
        let scratch = home.scratch.join(self.name());
        let mut command = match self {
            Self::Python => {
                let mut pytest = Command::new(scratch.join("bin/python"));
                pytest.args(["-B", "-m", "pytest", "-q", "-p", "no:cacheprovider"]).current_dir(tests);
                pytest
            }
            Self::Node => {
                // Node looks for packages beside the program, so the programs go to the packages.
                for file in std::fs::read_dir(&tests).context("the tests cannot be listed")? {
                    let file = file.context("the tests cannot be listed")?;
                    std::fs::copy(file.path(), scratch.join(file.file_name()))
                        .context("a test cannot be copied")?;
                }
                let mut node = Command::new("node");
                node.arg("--test").current_dir(&scratch);
                node.args(node_tests(&scratch)?);
                node
            }
        };
        run(command.env("GATEWAY_URL", &gateway.url), "the tests")
    }
}

/// The programs by name: versions of Node differ in what they look for.
fn node_tests(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for file in std::fs::read_dir(folder).context("the tests cannot be listed")? {
        let path = file.context("the tests cannot be listed")?.path();
        if path.to_string_lossy().ends_with(".test.js") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn run(command: &mut Command, what: &str) -> Result<()> {
    let status = command.status().with_context(|| format!("{what}: cannot be run"))?;
    if status.success() { Ok(()) } else { bail!("{what} failed ({status})") }
}
