//! `transom wim delete`: images out of a WIM.

use std::path::PathBuf;

use clap::Args;

use super::{
    place::{self, Existing, assembly_failure},
    select::ImageChoices,
};
use crate::{
    cli::{
        app::Context,
        exit::{Exit, Failure, Problem},
        text,
    },
    image::{Assembly, BlobOrder},
};

/// Delete images from a WIM
///
/// The file is written anew without them and without the content that only they had, and takes the old one's place when it is complete. With
/// --in-place only the tables are written and the file does not shrink: quick, and `transom wim optimize` gives the room back later.
///
/// Images behind a deleted one move up by one. When the one to boot is deleted, none is booted.
#[derive(Debug, Args)]
#[command(after_long_help = r#"Examples:
  transom wim delete install.wim --index 3
  transom wim delete install.wim --image 'Windows 11 Home' --image 'Windows 11 Education'"#)]
pub(crate) struct DeleteArguments {
    /// The WIM
    #[arg(value_name = "WIM")]
    wim: PathBuf,

    #[command(flatten)]
    choices: ImageChoices,

    /// Leave the room of what is deleted in the file
    #[arg(long)]
    in_place: bool,
}

/// Runs `transom wim delete`.
pub(crate) fn run(arguments: &DeleteArguments, context: &Context) -> Result<(), Failure> {
    let path = &arguments.wim;
    context.interrupt.cooperative();
    let existing = Existing::open(path, context)?;
    let mut indexes = arguments.choices.named(&existing.wim, path)?;
    indexes.sort_unstable();
    indexes.dedup();
    if indexes.len() == existing.wim.image_count() as usize {
        let what = format!("{} would be left without images", path.display());
        return Err(Problem::new("wim::last-image", what)
            .help("delete the file itself, or leave an image in it")
            .exit(Exit::BadInput));
    }
    let before = existing.wim.source().size();
    let mut assembly = Assembly::of(&existing.wim);
    for index in indexes.iter().rev() {
        assembly.remove(*index).map_err(|error| assembly_failure(path, error))?;
    }
    let settings = existing.settings();
    let plan =
        assembly.plan(BlobOrder::of(&settings)).map_err(|error| assembly_failure(path, error))?;
    let report = existing.change(&settings, plan, !arguments.in_place, context)?;
    context.printer.note(format_args!(
        "deleted {} from {}, {} before",
        text::count(indexes.len() as u64, "image", "images"),
        place::told(path, &report),
        text::size(before)
    ));
    Ok(())
}
