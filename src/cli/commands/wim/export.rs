//! `transom wim export`: images into another WIM.

use std::path::{Path, PathBuf};

use clap::Args;
use fs_err as fs;

use super::{
    compression::CompressionArguments,
    place::{self, Existing, assembly_failure, settings_like},
    select::{self, ImageChoices},
};
use crate::{
    cli::{
        app::Context,
        exit::{Exit, Failure, Problem},
        text,
    },
    format::wim::WriteSettings,
    image::{Assembly, AssemblyError, BlobOrder, WritePlan},
};

/// Copy images into a new or existing WIM
///
/// A new file is compressed as the source is, or as the options say. What is in the right form already is copied as it is stored, unless
/// --recompress. A file that is there is added to: it keeps its compression, content that it has already is not stored again, and it is as it was when
/// that is interrupted; --overwrite replaces it instead.
///
/// --boot marks the image as the one to boot; of several images, the one that is booted in the source.
#[derive(Debug, Args)]
#[command(after_long_help = r#"Examples:
  transom wim export install.esd --index 6 install.wim --compression lzx
  transom wim export install.wim --image 'Windows 11 Pro' --image 'Windows 11 Home' pro-and-home.wim
  transom wim export boot.wim --all --boot fast.wim --compression xpress
  transom wim export update.wim --index 1 images.wim --name 'November' --ref base.wim"#)]
pub(crate) struct ExportArguments {
    /// The WIM to copy from
    #[arg(value_name = "WIM")]
    wim: PathBuf,

    /// The WIM to copy into
    #[arg(value_name = "DEST")]
    destination: PathBuf,

    #[command(flatten)]
    choices: ImageChoices,

    /// All images
    #[arg(long, conflicts_with_all = ["index", "image"])]
    all: bool,

    /// Another name for the image; '' for none
    #[arg(long)]
    name: Option<String>,

    /// Another description for the image; '' for none
    #[arg(long)]
    description: Option<String>,

    /// Mark the image as the one to boot
    #[arg(long)]
    boot: bool,

    #[command(flatten)]
    compression: CompressionArguments,

    /// Compress everything anew, also what is in the right form; into a new file only
    #[arg(long)]
    recompress: bool,

    /// Write an integrity table
    #[arg(long)]
    integrity: bool,

    /// Another WIM that has content of the source: for a delta WIM; may be repeated, or a pattern
    #[arg(long = "ref", value_name = "GLOB")]
    references: Vec<String>,

    /// Replace DEST if it exists
    #[arg(long)]
    overwrite: bool,
}

/// Runs `transom wim export`.
pub(crate) fn run(arguments: &ExportArguments, context: &Context) -> Result<(), Failure> {
    let (path, destination) = (&arguments.wim, &arguments.destination);
    context.interrupt.cooperative();
    let wim = select::open_with(path, &arguments.references, context)?;
    let indexes = match arguments.all {
        true => (1..=wim.image_count()).collect(),
        false => arguments.choices.some(&wim, path)?,
    };
    if indexes.len() != 1 && (arguments.name.is_some() || arguments.description.is_some()) {
        let message = "--name and --description are for one image: export the images one by one";
        return Err(Failure::usage(message));
    }
    let boot = boot(arguments, &indexes, wim.header().boot_index)?;
    let existing = match !arguments.overwrite && fs::metadata(destination).is_ok() {
        true => Some(Existing::open(destination, context)?),
        false => None,
    };
    if existing.is_some() && arguments.compression.asks_for_a_form() {
        let message = format!(
            "{} keeps its compression: change it with `transom wim optimize`, or export into a new file",
            destination.display()
        );
        return Err(Failure::usage(message));
    }
    if existing.is_some() && arguments.recompress {
        let name = destination.display();
        return Err(Failure::usage(format!(
            "--recompress is for a new file: what {name} has stays as it is; `transom wim optimize {name} --recompress` writes it anew"
        )));
    }
    let mut assembly =
        existing.as_ref().map_or_else(Assembly::new, |existing| Assembly::of(&existing.wim));
    let failed = |error| export_failure(path, destination, error);
    for index in &indexes {
        let (name, description) = (arguments.name.as_deref(), arguments.description.as_deref());
        let new = assembly.push_from(&wim, *index, name, description).map_err(failed)?;
        if boot == Some(*index) {
            assembly.set_boot(new).map_err(failed)?;
        }
    }
    let like = existing.as_ref().map_or_else(
        || WriteSettings { integrity: false, ..settings_like(&wim) },
        Existing::settings,
    );
    let mut settings = arguments.compression.resolve(&like, context)?;
    settings.integrity |= arguments.integrity;
    let order = if existing.is_some() { BlobOrder::Stored } else { BlobOrder::of(&settings) };
    let mut plan: WritePlan = assembly.plan(order).map_err(failed)?;
    if arguments.recompress {
        plan.recompress().map_err(failed)?;
    }
    drop(wim);
    let report = match existing {
        Some(existing) => existing.change(&settings, plan, false, context)?,
        None => place::write(destination, &settings, plan, context)?,
    };
    context.printer.note(format_args!(
        "exported {} from {} into {}",
        text::count(indexes.len() as u64, "image", "images"),
        path.display(),
        place::told(destination, &report)
    ));
    Ok(())
}

/// Which image of the source becomes the one to boot.
fn boot(arguments: &ExportArguments, indexes: &[u32], booted: u32) -> Result<Option<u32>, Failure> {
    match indexes {
        _ if !arguments.boot => Ok(None),
        [only] => Ok(Some(*only)),
        several if several.contains(&booted) => Ok(Some(booted)),
        _ => Err(Failure::usage(
            "--boot: none of these images is the one that the source boots; mark one afterwards with `transom wim set DEST --boot N`",
        )),
    }
}

fn export_failure(source: &Path, destination: &Path, error: AssemblyError) -> Failure {
    match error {
        AssemblyError::MissingBlob { .. } => Problem::new("wim::missing-blob", error.to_string())
            .help("name the file that has it with --ref: the WIM that a delta was made from, or the other parts of a split set")
            .exit(Exit::BadInput),
        AssemblyError::DuplicateName { name, index } => Problem::new(
            "wim::duplicate-name",
            format!("{} has an image named `{name}` already, number {index}", destination.display()),
        )
        .help(format!(
            "export it under another name: `transom wim export {} {} --image '{name}' --name 'OTHER NAME'`; or delete the old one first",
            source.display(),
            destination.display()
        ))
        .exit(Exit::BadInput),
        error => assembly_failure(destination, error),
    }
}
