//! `transom wim append`: folders of the host as one more image of a WIM.

use std::path::PathBuf;

use clap::Args;

use super::{
    capture::{self, ImageArguments},
    compression::LevelChoice,
    place::{self, Existing, assembly_failure},
};
use crate::{
    cli::{app::Context, exit::Failure},
    image::{Assembly, BlobOrder},
};

/// Capture a folder into a WIM that is there
///
/// Adds an image to a file. Content that the file has already is not stored again. The file grows at its end, and is as it was when
/// that is interrupted; --rebuild writes it anew instead, which also gives back what earlier changes left unused.
///
/// Sources, times and exclusions are those of `transom wim capture`. The file's compression stays as it is.
#[derive(Debug, Args)]
#[command(after_long_help = r#"Examples:
  transom wim append tree images.wim --name 'Second image'
  transom wim append pe tools=/Tools boot.wim --name 'PE with tools' --boot"#)]
pub(crate) struct AppendArguments {
    /// The folder, or several, as SOURCE or SOURCE=DEST
    #[arg(value_name = "SOURCE", required = true, num_args = 1..)]
    sources: Vec<PathBuf>,

    /// The WIM to change
    #[arg(value_name = "WIM", required = true)]
    wim: PathBuf,

    #[command(flatten)]
    image: ImageArguments,

    /// How much time to spend for how much size
    #[arg(long, value_enum)]
    level: Option<LevelChoice>,

    /// Write the whole file anew
    #[arg(long)]
    rebuild: bool,
}

/// Runs `transom wim append`.
pub(crate) fn run(arguments: &AppendArguments, context: &Context) -> Result<(), Failure> {
    let path = &arguments.wim;
    context.interrupt.cooperative();
    let existing = Existing::open(path, context)?;
    let captured = capture::sources::capture(&arguments.image, &arguments.sources, path, context)?;
    let (counts, from) = (captured.image.counts, captured.from);
    let mut assembly = Assembly::of(&existing.wim);
    let index = assembly
        .push(captured.image, captured.element)
        .map_err(|error| assembly_failure(path, error))?;
    if arguments.image.boot {
        assembly.set_boot(index).map_err(|error| assembly_failure(path, error))?;
    }
    let mut settings = existing.settings();
    settings.integrity |= arguments.image.integrity;
    settings.level = arguments.level.map_or(settings.level, Into::into);
    let plan = assembly.plan(BlobOrder::Stored).map_err(|error| assembly_failure(path, error))?;
    let report = existing.change(&settings, plan, arguments.rebuild, context)?;
    context.printer.note(format_args!(
        "captured {} from {from} as image {index} of {}",
        capture::told(&counts),
        place::told(path, &report)
    ));
    Ok(())
}
