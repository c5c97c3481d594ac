//! `transom wim extract`: files of an image as files of the host.
//!
//! What comes out, and how, is in [`crate::image::export`]; here are the options and the words.

use std::path::{Path, PathBuf};

use clap::Args;

use super::select::{self, ImageChoice};
use crate::{
    cli::{app::Context, exit::Failure, failures, progress::Meter, text},
    image::{
        Watch,
        export::{ExtractOptions, ExtractReport, Loss, Losses, extract},
        patterns::Patterns,
    },
};

/// How many examples of each loss are named.
const NAMED: usize = 5;

/// Unpack files of an image into a folder
///
/// Unpacks what the patterns choose (all, without patterns), with its folders. A pattern without a separator (`*.dll`) means any entry of that
/// name; one with a separator (`/Windows/*.exe`) is compared with the whole path from the image's root; without case, `\` and `/` alike. `*`
/// and `?` stay within a name, `**` crosses folders. What matches a folder takes everything below it.
///
/// Without --index or --image every image is unpacked; when there are several, each into a folder with its number.
///
/// Existing folders are used as they are. An existing file is an error unless --overwrite is given; then it is replaced. Nothing is written through
/// symbolic links, neither those in the image nor those that are already there. Links that lead out of the image are left out.
///
/// A Unix file system cannot hold everything an NT file has: what was lost (security descriptors, attributes, short names, named streams ...) is
/// counted and named at the end. To change an image, use a recipe; unpacking and capturing again loses this.
#[derive(Debug, Args)]
#[command(after_long_help = r#"Examples:
  transom wim extract boot.wim --index 2 --to tree
  transom wim extract install.wim --image 'Windows Server 2025' 'Windows/System32/config/*' --to hives"#)]
pub(crate) struct ExtractArguments {
    /// The WIM
    #[arg(value_name = "WIM")]
    wim: PathBuf,

    /// Which paths [default: all]
    #[arg(value_name = "PATTERN")]
    patterns: Vec<String>,

    /// The folder to unpack into; it is made when needed
    #[arg(long, value_name = "DIR")]
    to: PathBuf,

    #[command(flatten)]
    choice: ImageChoice,

    /// Replace files that exist already
    #[arg(long)]
    overwrite: bool,

    /// Give files the Unix modes that wimlib's or our --unix-data recorded
    #[arg(long)]
    unix_data: bool,
}

/// Runs `transom wim extract`.
pub(crate) fn run(arguments: &ExtractArguments, context: &Context) -> Result<(), Failure> {
    let path = &arguments.wim;
    let options = ExtractOptions {
        include: Patterns::new(&arguments.patterns).map_err(failures::patterns)?,
        overwrite: arguments.overwrite,
        unix_data: arguments.unix_data,
    };
    let wim = select::open(path, context)?;
    let indexes = arguments.choice.any(&wim, path)?;
    context.interrupt.cooperative();
    for index in &indexes {
        let image = select::image(&wim, path, *index, context)?;
        let target = match indexes.len() {
            1 => arguments.to.clone(),
            _ => arguments.to.join(index.to_string()),
        };
        let meter = Meter::new(&context.settings, "unpacking", 0);
        let watch = Watch {
            progress: &|done, total| meter.at_of(done, total),
            cancelled: &|| context.interrupt.pressed(),
        };
        let result = extract(&image, &target, &options, watch);
        meter.finish();
        report(&result.map_err(|error| failures::extract(path, error))?, &target, context);
    }
    Ok(())
}

fn report(report: &ExtractReport, target: &Path, context: &Context) {
    context.printer.note(format_args!(
        "unpacked {}, {} and {} ({}) into {}",
        text::count(report.files, "file", "files"),
        text::count(report.folders, "folder", "folders"),
        text::count(report.links, "link", "links"),
        text::size(report.bytes),
        target.display(),
    ));
    if !report.losses.is_empty() {
        context.printer.note("not kept, because this file system cannot hold it:");
    }
    for line in lines(&report.losses) {
        context.printer.note(format_args!("  {line}"));
    }
}

/// A line for each kind of loss.
pub(super) fn lines(losses: &Losses) -> impl Iterator<Item = String> {
    losses.iter().map(|(loss, paths)| {
        let (one, many) = nouns(loss);
        let count = text::count(paths.len() as u64, one, many);
        match loss {
            // Nearly every file of a Windows image has them: examples tell nothing.
            Loss::Security | Loss::ShortName => count,
            _ => format!("{count}: {}", text::few(paths, NAMED)),
        }
    })
}

fn nouns(loss: Loss) -> (&'static str, &'static str) {
    match loss {
        Loss::Name => ("entry left out for its name", "entries left out for their names"),
        Loss::Link => ("link left out", "links left out"),
        Loss::Reparse => ("reparse point of another kind", "reparse points of other kinds"),
        Loss::Encrypted => ("encrypted file left out", "encrypted files left out"),
        Loss::Stream => ("named stream", "named streams"),
        Loss::Security => ("security descriptor", "security descriptors"),
        Loss::Attributes => (
            "entry's attributes (read-only, hidden, system ...)",
            "entries' attributes (read-only, hidden, system ...)",
        ),
        Loss::ShortName => ("short name", "short names"),
        Loss::TaggedItems => (
            "entry's object id or extended attributes",
            "entries' object ids or extended attributes",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_are_counted_and_named() {
        let mut losses = Losses::default();
        losses.add(Loss::Security, "\\a");
        losses.add(Loss::Stream, "\\a:s");
        losses.add(Loss::Stream, "\\b:t");
        let lines: Vec<String> = lines(&losses).collect();
        assert_eq!(lines, ["2 named streams: \\a:s, \\b:t", "1 security descriptor"]);
    }
}
