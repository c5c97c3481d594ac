//! `transom wim optimize`: a WIM written anew.

use std::path::PathBuf;

use clap::Args;

use super::{
    compression::CompressionArguments,
    place::{self, Existing, assembly_failure},
};
use crate::{
    cli::{app::Context, exit::Failure, text},
    image::{Assembly, BlobOrder},
};

/// Write a WIM anew: without holes, or compressed otherwise
///
/// Takes out what no image needs any more. What is compressed as it should be is copied as it is, unless --recompress; so without options this
/// takes no longer than a copy. The old file is replaced when the new one is complete.
#[derive(Debug, Args)]
#[command(after_long_help = r#"Examples:
  transom wim optimize install.wim
  transom wim optimize install.wim --compression solid
  transom wim optimize boot.wim --recompress --level max"#)]
pub(crate) struct OptimizeArguments {
    /// The WIM
    #[arg(value_name = "WIM")]
    wim: PathBuf,

    #[command(flatten)]
    compression: CompressionArguments,

    /// Compress everything anew, also what is in the right form
    #[arg(long)]
    recompress: bool,

    /// Write an integrity table [default: when there is one]
    #[arg(long, conflicts_with = "no_integrity")]
    integrity: bool,

    /// Write no integrity table
    #[arg(long)]
    no_integrity: bool,
}

/// Runs `transom wim optimize`.
pub(crate) fn run(arguments: &OptimizeArguments, context: &Context) -> Result<(), Failure> {
    let path = &arguments.wim;
    context.interrupt.cooperative();
    let existing = Existing::open(path, context)?;
    let mut settings = arguments.compression.resolve(&existing.settings(), context)?;
    settings.integrity = (settings.integrity || arguments.integrity) && !arguments.no_integrity;
    let before = existing.wim.source().size();
    let mut plan = Assembly::of(&existing.wim)
        .plan(BlobOrder::of(&settings))
        .map_err(|error| assembly_failure(path, error))?;
    if arguments.recompress {
        plan.recompress().map_err(|error| assembly_failure(path, error))?;
    }
    let report = existing.rebuild(&settings, plan, context)?;
    context.printer.note(format_args!(
        "wrote {}, {} before",
        place::told(path, &report),
        text::size(before)
    ));
    Ok(())
}
