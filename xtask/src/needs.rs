//! What the tests need beside the Rust toolchain: found, or installed, or asked for by name.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// A program, and the Debian package that brings it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Need {
    program: &'static str,
    /// What to call it with, to see that it is there and whole.
    trial: &'static [&'static str],
    package: &'static str,
    why: &'static str,
}

const VERSION: &[&str] = &["--version"];

const C_COMPILER: Need =
    Need { program: "cc", trial: VERSION, package: "gcc", why: "to build the TLS library" };
const REDIS: Need = Need {
    program: "redis-server",
    trial: VERSION,
    package: "redis-server",
    why: "to test shared state on the real thing",
};
/// Debian keeps the server's programs out of the path, in a folder per version.
const POSTGRES: Need = Need {
    program: "sh",
    trial: &["-c", "command -v initdb || ls /usr/lib/postgresql/*/bin/initdb"],
    package: "postgresql",
    why: "to test records in a database on the real thing",
};
const PROMTOOL: Need = Need {
    program: "promtool",
    trial: VERSION,
    package: "prometheus",
    why: "to read the metrics as Prometheus does",
};
pub(crate) const PYTHON: Need =
    Need { program: "python3", trial: VERSION, package: "python3", why: "to run Python clients" };
pub(crate) const VENV: Need = Need {
    program: "python3",
    trial: &["-c", "import ensurepip, venv"],
    package: "python3-venv",
    why: "to install Python clients apart from the system",
};
pub(crate) const NODE: Need =
    Need { program: "node", trial: VERSION, package: "nodejs", why: "to run JavaScript clients" };
pub(crate) const NPM: Need =
    Need { program: "npm", trial: VERSION, package: "npm", why: "to install JavaScript clients" };

/// What the tests in Rust need.
pub(crate) const FOR_TESTS: [Need; 4] = [C_COMPILER, REDIS, POSTGRES, PROMTOOL];

/// Makes sure that all of these are there.
pub(crate) fn find_or_install(needs: &[Need]) -> Result<()> {
    for need in needs {
        if !is_there(need) {
            install(need)?;
        }
    }
    Ok(())
}

fn is_there(need: &Need) -> bool {
    let mut trial = Command::new(need.program);
    let found = trial.args(need.trial).stdout(Stdio::null()).stderr(Stdio::null()).status();
    found.is_ok_and(|status| status.success())
}

#[expect(clippy::print_stderr, reason = "tells the person at the terminal what is installed")]
fn install(need: &Need) -> Result<()> {
    const APT: Need = Need { program: "apt-get", trial: VERSION, package: "apt", why: "to install programs" };
    let Need { package, why, .. } = need;
    let ask = format!("`{package}` is needed {why}: install it (on Debian: apt-get install {package})");
    if !is_there(&APT) {
        bail!(ask);
    }
    eprintln!("$ apt-get install {package}   ({why})");
    // A fresh image has no package lists.
    for words in [vec!["update"], vec!["install", "--yes", "--no-install-recommends", package]] {
        let status = Command::new("apt-get").args(&words).env("DEBIAN_FRONTEND", "noninteractive").status();
        if !status.with_context(|| ask.clone())?.success() {
            bail!(ask);
        }
    }
    if is_there(need) { Ok(()) } else { bail!(ask) }
}
