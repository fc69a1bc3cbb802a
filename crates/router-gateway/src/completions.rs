//! `llm-router completions`.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::cli::Cli;

pub(crate) const HELP: &str = "\
  llm-router completions bash > ~/.local/share/bash-completion/completions/llm-router
  llm-router completions zsh > ~/.zfunc/_llm-router
  llm-router completions fish > ~/.config/fish/completions/llm-router.fish";

#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell.
    shell: Shell,
}

pub(crate) fn run(args: &CompletionsArgs) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "llm-router", &mut script);
    std::io::Write::write_all(&mut std::io::stdout(), &script)?;
    Ok(())
}
