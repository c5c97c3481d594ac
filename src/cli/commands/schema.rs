//! `transom schema`: the JSON Schema of recipes.

use clap::Args;

use crate::{
    cli::{app::Context, exit::Failure},
    recipe,
};

/// Print the JSON Schema of recipes
///
/// Editors complete and check recipes with it. Write it to a file and name that file in the recipe's first line.
#[derive(Debug, Default, Args)]
#[command(after_long_help = r#"Example:
  transom schema > recipe.schema.json      and in the recipe:
  #:schema recipe.schema.json"#)]
pub(crate) struct SchemaArguments {}

/// Runs `transom schema`.
pub(crate) fn run(_: &SchemaArguments, context: &Context) -> Result<(), Failure> {
    context.printer.text(recipe::schema::SCHEMA)
}
