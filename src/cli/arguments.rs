//! The command tree and the options every command has. Data only: what a command does is in its file under `commands`.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::{commands, exit::EXIT_CODES};

/// Builds Windows images from a checked-in recipe
///
/// Transom turns a recipe and a base WIM into a serviced Windows image: without DISM, without mounting, as an ordinary user, and the
/// same bytes every time.
///
/// Begin with `transom init install.wim`, look at `transom plan recipe.toml`, then run `transom build recipe.toml`.
/// `transom demo` shows the whole way on an image it makes itself.
///
/// Results go to standard output, everything else to standard error.
#[derive(Debug, Parser)]
#[command(name = "transom", version, after_long_help = EXIT_CODES, max_term_width = 110)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) global: GlobalArguments,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options every command has.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct GlobalArguments {
    /// Say nothing but warnings and errors
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,

    /// Show what is being done; repeat for more
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,

    /// Write a detailed log to FILE
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) log: Option<PathBuf>,

    /// When to use colour: auto (on a terminal, unless NO_COLOR is set), always or never
    #[arg(
        long,
        global = true,
        value_enum,
        value_name = "WHEN",
        default_value_t,
        hide_possible_values = true
    )]
    pub(crate) color: ColourChoice,

    /// How to show progress: auto (live on a terminal, lines elsewhere), plain, json (lines on standard error) or none
    #[arg(
        long,
        global = true,
        value_enum,
        value_name = "HOW",
        default_value_t,
        hide_possible_values = true
    )]
    pub(crate) progress: ProgressChoice,

    /// Folder of the cache [default: the platform's cache folder] [env: TRANSOM_CACHE_DIR]
    // The environment is read with all else of it in `settings.rs`: as an `env` of clap, usage lines would show it as required.
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) cache_dir: Option<PathBuf>,

    /// Number of threads [default: one per processor]
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) jobs: Option<u16>,
}

/// When to use colour.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColourChoice {
    /// On a terminal
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// How progress is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProgressChoice {
    /// A live view on a terminal, plain lines elsewhere
    #[default]
    Auto,
    /// Plain lines
    Plain,
    /// One JSON object a line, on standard error
    Json,
    /// Not at all
    None,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Init(commands::init::InitArguments),
    Check(commands::check::CheckArguments),
    Lock(commands::lock::LockArguments),
    Plan(commands::plan::PlanArguments),
    Build(commands::build::BuildArguments),
    Explain(commands::explain::ExplainArguments),
    Diff(commands::diff::DiffArguments),
    Inspect(commands::inspect::InspectArguments),
    Verify(commands::verify::VerifyArguments),
    Repro(commands::repro::ReproArguments),
    Cache(commands::cache::CacheArguments),
    Wim(commands::wim::WimArguments),
    Demo(commands::demo::DemoArguments),
    Schema(commands::schema::SchemaArguments),
    Completions(commands::completions::CompletionsArguments),
    Man(commands::man::ManArguments),
}
