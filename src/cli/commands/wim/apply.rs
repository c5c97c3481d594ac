//! `transom wim apply`: a whole image as a folder of the host that captures to the same image.
//!
//! What is written, and how, is in [`crate::image::export`]; here are the options and the words.

use std::path::{Path, PathBuf};

use clap::Args;

use super::{
    extract::lines,
    select::{self, ImageChoice},
};
use crate::{
    cli::{app::Context, exit::Failure, failures, progress::Meter, text},
    format::wim::{Element, Header},
    image::{
        Watch,
        export::{ApplyOptions, ExtractReport, apply},
        host::SIDECAR_NAME,
    },
};

/// Write a whole image into a folder, so that capturing the folder gives the image back
///
/// Folders, contents, hard links, symbolic links (junctions too) and times are the host's own. Everything else that the image holds and the host's file system does not
/// (attributes, security descriptors, short names, creation times, named streams, reparse data, object ids, extended attributes, encrypted files, names the
/// host refuses, the order of entries, what the XML says of the image) goes into one file at the folder's root, .transom-ntfs.wim: the sidecar.
/// `transom wim capture` merges it: the folder as it was applied gives an image that is equal in every entry, and in a folder that was
/// changed everything that was not changed is as it was.
///
/// Links to absolute places inside the image become relative ones that lead there; other links keep their targets, wherever these lead on this machine.
/// Nothing is written through a link.
///
/// Existing folders are used as they are. An existing file is an error unless --overwrite is given; then it is replaced.
#[derive(Debug, Args)]
#[command(after_long_help = r#"Examples:
  transom wim apply boot.wim --index 2 tree
  transom wim capture tree boot-new.wim

  transom wim apply install.wim --all editions"#)]
pub(crate) struct ApplyArguments {
    /// The WIM
    #[arg(value_name = "WIM")]
    wim: PathBuf,

    /// The folder to write into; it is made when needed
    #[arg(value_name = "DIR")]
    to: PathBuf,

    #[command(flatten)]
    choice: ImageChoice,

    /// All images, each into a folder with its number
    #[arg(long, conflicts_with_all = ["index", "image"])]
    all: bool,

    /// Replace files that exist already, the sidecar of an earlier run too
    #[arg(long)]
    overwrite: bool,

    /// Write no sidecar: what the host cannot hold is lost, and told
    #[arg(long)]
    no_sidecar: bool,

    /// Give files the Unix modes that wimlib's or our --unix-data recorded
    #[arg(long)]
    unix_data: bool,
}

/// Runs `transom wim apply`.
pub(crate) fn run(arguments: &ApplyArguments, context: &Context) -> Result<(), Failure> {
    let path = &arguments.wim;
    let wim = select::open(path, context)?;
    let indexes = match arguments.all {
        true => arguments.choice.any(&wim, path)?,
        false => vec![arguments.choice.one(&wim, path)?],
    };
    let options = ApplyOptions {
        overwrite: arguments.overwrite,
        unix_data: arguments.unix_data,
        sidecar: !arguments.no_sidecar,
        rp_fix: wim.header().flags & Header::RP_FIX != 0,
    };
    context.interrupt.cooperative();
    for index in indexes {
        let image = select::image(&wim, path, index, context)?;
        let none = Element::new("IMAGE");
        let element = wim.xml().image(index).unwrap_or(&none);
        let target = match arguments.all {
            true => arguments.to.join(index.to_string()),
            false => arguments.to.clone(),
        };
        let meter = Meter::new(&context.settings, "applying", 0);
        let watch = Watch {
            progress: &|done, total| meter.at_of(done, total),
            cancelled: &|| context.interrupt.pressed(),
        };
        let result = apply(&image, element, &target, options, watch);
        meter.finish();
        let done = result.map_err(|error| failures::extract(path, error))?;
        report(&done, &target, options, context);
    }
    Ok(())
}

fn report(report: &ExtractReport, target: &Path, options: ApplyOptions, context: &Context) {
    context.printer.note(format_args!(
        "applied {}, {} and {} ({}) to {}",
        text::count(report.files, "file", "files"),
        text::count(report.folders, "folder", "folders"),
        text::count(report.links, "link", "links"),
        text::size(report.bytes),
        target.display(),
    ));
    if !report.losses.is_empty() {
        context.printer.note(match options.sidecar {
            true => {
                format!("in the sidecar ({SIDECAR_NAME}) alone, because this host cannot hold it:")
            }
            false => "not kept, because this file system cannot hold it:".to_owned(),
        });
    }
    for line in lines(&report.losses) {
        context.printer.note(format_args!("  {line}"));
    }
}
