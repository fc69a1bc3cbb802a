//! What the tests need beside the Rust toolchain: found, or installed, or asked for by name.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// A program, and the Debian package that brings it.
struct Need {
    program: &'static str,
    package: &'static str,
    why: &'static str,
}

const NEEDS: [Need; 2] = [
    Need { program: "cc", package: "gcc", why: "to build the TLS library" },
    Need { program: "redis-server", package: "redis-server", why: "to test shared state on the real thing" },
];

/// Makes sure that everything is there.
pub(crate) fn find_or_install() -> Result<()> {
    for need in NEEDS {
        if !is_there(need.program) {
            install(&need)?;
        }
    }
    Ok(())
}

fn is_there(program: &str) -> bool {
    let found = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    found.is_ok_and(|status| status.success())
}

#[expect(clippy::print_stderr, reason = "tells the person at the terminal what is installed")]
fn install(need: &Need) -> Result<()> {
    let Need { program, package, why } = need;
    let ask = format!("`{program}` is needed {why}: install it (on Debian: apt-get install {package})");
    if !is_there("apt-get") {
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
    if is_there(program) { Ok(()) } else { bail!(ask) }
}
