//! `transom completions`: completion scripts for shells.

use clap::{Args, CommandFactory as _};

use crate::cli::{app::Context, arguments::Arguments, exit::Failure};

/// Write a completion script for a shell
///
/// The script goes to standard output; put it where your shell looks for completions.
#[derive(Debug, Args)]
#[command(after_long_help = r#"Examples:
  transom completions bash > ~/.local/share/bash-completion/completions/transom
  transom completions zsh > ~/.zfunc/_transom
  transom completions fish > ~/.config/fish/completions/transom.fish"#)]
pub(crate) struct CompletionsArguments {
    /// The shell
    #[arg(value_enum)]
    pub(crate) shell: clap_complete::Shell,
}

/// Runs `transom completions`.
pub(crate) fn run(arguments: &CompletionsArguments, context: &Context) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Arguments::command(), "transom", &mut script);
    let mut out = context.printer.raw();
    out.write(&script).map_err(crate::cli::output::stdout_error)?;
    out.finish()
}
