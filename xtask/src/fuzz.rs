//! Fuzzing on a stable compiler: the passes that libFuzzer needs are flags like others, only the sanitizers are not, and without
//! unsafe code there is little for those to find.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::cargo::cargo;

const HOST: &str = "x86_64-unknown-linux-gnu";

/// What `cargo fuzz` passes, too.
const INSTRUMENTATION: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Clink-dead-code";

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/router-providers/fuzz");

/// Fuzzes one target, or each in turn, for so many seconds. New inputs and crashes stay in the target directory.
pub(crate) fn fuzz(target: Option<&str>, seconds: u32) -> Result<()> {
    let mut targets: Vec<String> = Vec::new();
    for entry in std::fs::read_dir(Path::new(FOLDER).join("corpus")).context("there is a corpus")? {
        targets.push(entry?.file_name().to_string_lossy().into_owned());
    }
    targets.sort();
    if let Some(target) = target {
        if !targets.iter().any(|known| known == target) {
            bail!("there is no target `{target}`: known are {}", targets.join(", "));
        }
        targets.retain(|known| known == target);
    }
    let output = std::env::var("CARGO_TARGET_DIR").unwrap_or_else(|_| format!("{FOLDER}/../../../target"));
    let output = format!("{output}/fuzz");
    // With an explicit target, build scripts and macros stay without instrumentation.
    cargo(&format!("build --release --target {HOST} --manifest-path {FOLDER}/Cargo.toml"))
        .env("RUSTFLAGS", INSTRUMENTATION)
        .env("CARGO_TARGET_DIR", &output)
        .run()?;
    for target in targets {
        run(&target, seconds, &output)?;
    }
    Ok(())
}

#[expect(clippy::print_stderr, reason = "tells the person at the terminal what runs")]
fn run(target: &str, seconds: u32, output: &str) -> Result<()> {
    let found = format!("{output}/found/{target}");
    std::fs::create_dir_all(&found).with_context(|| format!("{found} cannot be made"))?;
    eprintln!("fuzzing {target} for {seconds} s; new inputs go to {found}");
    let status = Command::new(format!("{output}/{HOST}/release/wire"))
        .env("FUZZ_TARGET", target)
        .args([found.as_str(), &format!("{FOLDER}/corpus/{target}")])
        .args([format!("-max_total_time={seconds}"), format!("-artifact_prefix={output}/crash-{target}-")])
        .args(["-rss_limit_mb=1024", "-max_len=65536", "-timeout=10", "-print_final_stats=1", "-verbosity=0"])
        .status()
        .context("the fuzzer cannot be run")?;
    ensure!(status.success(), "{target} failed ({status}): the input is in {output}, as crash-{target}-…");
    Ok(())
}
