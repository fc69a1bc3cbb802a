//! Makes and measures the classifier's shipped models.

use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};
use router_classify::shipped::{Corpus, complexity_model, report, task_model};

/// Where the crate looks for them.
const MODELS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/router-classify/model");

pub(crate) fn train() -> Result<()> {
    let corpus = Corpus::shipped()?;
    write("task.model", &task_model(&corpus).to_bytes())?;
    write("complexity.model", &complexity_model(&corpus).to_bytes())
}

fn write(name: &str, bytes: &[u8]) -> Result<()> {
    let path = Path::new(MODELS).join(name);
    std::fs::write(&path, bytes).with_context(|| format!("{} cannot be written", path.display()))?;
    writeln!(std::io::stdout(), "{} bytes: {}", bytes.len(), path.display())?;
    Ok(())
}

pub(crate) fn evaluate() -> Result<()> {
    let corpus = Corpus::shipped()?;
    write!(std::io::stdout(), "{}", report(&corpus))?;
    Ok(())
}
