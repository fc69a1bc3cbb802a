//! `llm-router schema`.

use std::io::Write;

use anyhow::Context;
use llm_router::config_schema;

pub(crate) const HELP: &str = "\
With the YAML extension of VS Code, this first line of a config makes the editor complete and check it:

  llm-router schema > llm-router.schema.json
  # yaml-language-server: $schema=llm-router.schema.json";

pub(crate) fn run() -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(&config_schema()).context("the schema is no JSON")?;
    writeln!(std::io::stdout(), "{text}").context("stdout is closed")
}
