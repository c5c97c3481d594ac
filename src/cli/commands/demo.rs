//! `transom demo`: the whole way, on a base made here.

use std::path::{Path, PathBuf};

use clap::Args;

use super::{
    build::{self, BuildArguments},
    check::{self, CheckArguments},
    lock::{self, LockArguments},
    plan::{self, PlanArguments},
    session::RecipeArguments,
    verify::{self, VerifyArguments},
};
use crate::cli::{app::Context, demo, exit::Failure, failures};

/// Make a small workspace and build it: the whole way in a few seconds
///
/// Writes a folder with a small Windows-shaped base WIM (made here, nothing of Microsoft's), a recipe and its inputs; then checks, locks, plans, builds and
/// verifies, and builds once more to show the cache. Files that are there already are left alone: change a line of demo.toml and run it again.
#[derive(Debug, Args)]
#[command(after_long_help = r#"Examples:
  transom demo
  transom demo ~/transom-demo"#)]
pub(crate) struct DemoArguments {
    /// The folder to make
    #[arg(value_name = "DIR", default_value = "transom-demo")]
    pub(crate) directory: PathBuf,
}

/// Runs `transom demo`.
pub(crate) fn run(arguments: &DemoArguments, context: &Context) -> Result<(), Failure> {
    let directory = &arguments.directory;
    demo::write_workspace(directory).map_err(|error| failures::demo(directory, error))?;
    let heading = |verb: &str, path: &Path| {
        context.printer.line(format_args!("\n$ transom {verb} {}", path.display()))
    };
    context.printer.line(format_args!(
        "{}: a base WIM of two images, a recipe and its inputs",
        directory.display()
    ))?;
    let path = directory.join("demo.toml");
    let recipe = || RecipeArguments { recipe: path.clone(), ..RecipeArguments::default() };

    heading("check", &path)?;
    check::run(
        &CheckArguments { recipes: vec![path.clone()], ..CheckArguments::default() },
        context,
    )?;
    heading("lock", &path)?;
    lock::run(&LockArguments { recipe: recipe(), ..LockArguments::default() }, context)?;
    heading("plan", &path)?;
    plan::run(&PlanArguments { recipe: recipe(), ..PlanArguments::default() }, context)?;
    heading("build", &path)?;
    let build = BuildArguments { recipe: recipe(), ..BuildArguments::default() };
    build::run(&build, context)?;
    let output = directory.join("out/demo-client.wim");
    heading("verify", &output)?;
    let wim = output.clone();
    let look = VerifyArguments { wim, ..VerifyArguments::default() };
    verify::run(&look, context)?;
    heading("build", &path)?;
    build::run(&build, context)?;
    context.printer.line(format_args!(
        "\nNow change a line of {} and run `transom build` on it again; `transom wim list {}` shows what is inside.",
        path.display(),
        output.display()
    ))
}
