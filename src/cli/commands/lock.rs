//! `transom lock`: write down what a recipe was resolved to.

use clap::Args;

use super::session::{self, Planning, RecipeArguments};
use crate::cli::{app::Context, exit::Failure, failures};

/// Write the lock file of a recipe
///
/// The lock (NAME.lock beside NAME.toml) holds what the recipe was resolved to: every input with size and digest, the base image's identity,
/// the time of new files, the version of the order table. Check it in with the recipe: `transom build --locked` then refuses when
/// anything is no longer so. `transom build` without --locked writes it too. Each variant of a [matrix] has a lock of its own, NAME.VARIANT.lock.
#[derive(Debug, Default, Args)]
#[command(after_long_help = r#"Example:
  transom lock server.toml"#)]
pub(crate) struct LockArguments {
    #[command(flatten)]
    pub(crate) recipe: RecipeArguments,

    /// Hash base and inputs again, even if they look unchanged
    #[arg(long)]
    pub(crate) rehash: bool,
}

/// Runs `transom lock`.
pub(crate) fn run(arguments: &LockArguments, context: &Context) -> Result<(), Failure> {
    let recipes = arguments.recipe.load()?;
    let store = session::store(context)?;
    let planning = Planning { rehash: arguments.rehash, ..Planning::default() };
    for recipe in &recipes {
        let plan = session::plan(recipe, &arguments.recipe.recipe, &store, planning, context)?;
        let written =
            plan.write_lock().map_err(|error| failures::output(&plan.lock_path, error))?;
        let what = if written { "written" } else { "current already" };
        context.printer.line(format_args!("{}: {what}", plan.lock_path.display()))?;
    }
    Ok(())
}
