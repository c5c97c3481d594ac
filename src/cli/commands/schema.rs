//! `transom schema`: the JSON Schemas of what is read and written.

use clap::{Args, ValueEnum};

use crate::{
    cli::{app::Context, exit::Failure},
    pipeline::report,
    recipe,
};

/// Print the JSON Schema of recipes, or of what a build tells
///
/// Editors complete and check recipes with it: write it to a file and name that file in the recipe's first line. Those of the report (NAME.report.json) and of the
/// run (NAME.run.json) are for programs that read these files.
///
/// The other files beside an output have schemas of their makers: NAME.cdx.json is CycloneDX 1.6, NAME.spdx.json is SPDX 2.3, NAME.provenance.json is an in-toto
/// Statement v1 with a SLSA provenance v1 predicate, NAME.provenance.dsse.json is a DSSE envelope of it (protocol 1.0) with an Ed25519 signature.
#[derive(Debug, Default, Args)]
#[command(after_long_help = r#"Examples:
  transom schema > recipe.schema.json      and in the recipe:
  #:schema recipe.schema.json
  transom schema report > report.schema.json"#)]
pub(crate) struct SchemaArguments {
    /// Of what
    #[arg(value_enum, default_value_t, value_name = "WHAT")]
    pub(crate) what: SchemaOf,
}

/// What has a schema.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum SchemaOf {
    /// A recipe
    #[default]
    Recipe,
    /// NAME.report.json beside an output: what was built, from what, and why
    Report,
    /// NAME.run.json beside an output: how the build went
    Run,
}

/// Runs `transom schema`.
pub(crate) fn run(arguments: &SchemaArguments, context: &Context) -> Result<(), Failure> {
    context.printer.text(match arguments.what {
        SchemaOf::Recipe => recipe::schema::SCHEMA,
        SchemaOf::Report => report::schema::REPORT,
        SchemaOf::Run => report::schema::RUN,
    })
}
