//! `transom wim extract`: files of an image as files of the host.
//!
//! - `plan`: what goes where, decided before anything is written
//! - `write`: folders, files, links, times, in an order that no link of the image can lead astray
//! - `losses`: what the host's file system could not hold

mod losses;
mod plan;
mod write;

use std::path::{Path, PathBuf};

use clap::Args;

use self::losses::Losses;
use super::{
    select::{self, ImageChoice},
    tree,
};
use crate::{
    cli::{app::Context, exit::Failure, failures, text},
    image::patterns::Patterns,
};

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

/// How to write.
#[derive(Debug, Clone, Copy)]
struct Rules {
    overwrite: bool,
    unix_data: bool,
}

/// What was written.
#[derive(Debug, Default)]
struct Counts {
    folders: u64,
    files: u64,
    links: u64,
    bytes: u64,
}

/// Runs `transom wim extract`.
pub(crate) fn run(arguments: &ExtractArguments, context: &Context) -> Result<(), Failure> {
    let path = &arguments.wim;
    let patterns = Patterns::new(&arguments.patterns).map_err(failures::patterns)?;
    let wim = select::open(path, context)?;
    let indexes = arguments.choice.any(&wim, path)?;
    let rules = Rules { overwrite: arguments.overwrite, unix_data: arguments.unix_data };
    context.interrupt.cooperative();
    for index in &indexes {
        let image = select::metadata(&wim, path, *index, context)?;
        let entries = tree::entries(&image);
        let paths = entries.iter().map(|entry| (entry.path.as_str(), entry.parent));
        let chosen = patterns.choose(paths).map_err(failures::patterns)?;
        let target = match indexes.len() {
            1 => arguments.to.clone(),
            _ => arguments.to.join(index.to_string()),
        };
        let mut losses = Losses::default();
        let plan = plan::plan(&wim, &entries, &chosen, rules, &mut losses);
        let counts = write::write(&wim, path, &plan, &target, rules, context)?;
        report(&counts, &losses, &target, context);
    }
    Ok(())
}

fn report(counts: &Counts, losses: &Losses, target: &Path, context: &Context) {
    context.printer.note(format_args!(
        "unpacked {}, {} and {} ({}) into {}",
        text::count(counts.files, "file", "files"),
        text::count(counts.folders, "folder", "folders"),
        text::count(counts.links, "link", "links"),
        text::size(counts.bytes),
        target.display(),
    ));
    let lines = losses.lines();
    if !lines.is_empty() {
        context.printer.note("not kept, because this file system cannot hold it:");
    }
    for line in lines {
        context.printer.note(format_args!("  {line}"));
    }
}
