//! `transom wim capture`: folders of the host as a WIM.
//!
//! What is captured, and how, is in [`crate::image::import`]; here are the options and the file.
//!
//! - `sources`: what is captured, and several sources put together
//! - `exclude`: what is left out

mod exclude;
pub(super) mod sources;

use std::path::PathBuf;

use clap::Args;

use super::{
    compression::CompressionArguments,
    place::{self, assembly_failure},
};
use crate::{
    base::filetime::FileTime,
    cli::{app::Context, exit::Failure, text},
    codec::{Codec, Level},
    format::wim::WriteSettings,
    image::{Assembly, BlobOrder, ImageCounts},
};

/// Make a WIM from a folder
///
/// The same folder gives the same bytes, whatever the number of threads: the GUID comes from the content, and no clock is read. The times of
/// files are their modification times (also as creation and access time, which other systems and mere reading change); with --epoch or
/// SOURCE_DATE_EPOCH, later times become that time, so that a fresh checkout gives the same image too. The image's own time is that of its newest file.
///
/// A folder that `wim apply` wrote has a sidecar, .transom-ntfs.wim, with what the host's file system cannot hold: attributes, security, short names, named
/// streams and more come from there, as do name and description of the image. What is on the host decides: deleted entries are gone, new ones
/// inherit security, changed files keep their attributes and security and lose their named streams, as on Windows.
///
/// Several sources are put over each other in their order: SOURCE becomes the image's root, SOURCE=DEST goes to DEST in the image. With
/// --source-list each SOURCE is a list, as of wimlib: a line has a path of this machine and, behind blanks, the path in the image.
///
/// Captured are names, contents, hard links, symbolic links and times; --unix-data adds owner and mode as wimlib records them. Sockets, pipes and
/// devices are left out with a warning. A folder that is a Windows is recognised, and the XML says which.
///
/// Exclusions are patterns on paths from the source's root, without case, `\` and `/` alike; one without a separator means any entry of that name,
/// one that begins with a separator or has one in it is compared with the whole path.
/// Always left out are the files DISM leaves out: \$ntfs.log, \hiberfil.sys, \pagefile.sys, \swapfile.sys, \System Volume Information,
/// \RECYCLER, \$Recycle.Bin, \Windows\CSC.
#[derive(Debug, Args)]
#[command(after_long_help = r#"Examples:
  transom wim capture tree tools.wim --name Tools
  transom wim capture pe boot.wim --name 'Windows PE' --boot --compression xpress --exclude '*.bak'
  transom wim capture winpe overlay=/overlay startnet.cmd=/Windows/System32/startnet.cmd pe.wim
  transom wim capture sources.txt all.wim --source-list --compression solid"#)]
pub(crate) struct CaptureArguments {
    /// The folder, or several, as SOURCE or SOURCE=DEST
    #[arg(value_name = "SOURCE", required = true, num_args = 1..)]
    sources: Vec<PathBuf>,

    /// The WIM to write
    #[arg(value_name = "WIM", required = true)]
    wim: PathBuf,

    #[command(flatten)]
    image: ImageArguments,

    #[command(flatten)]
    compression: CompressionArguments,

    /// Replace the WIM if it exists
    #[arg(long)]
    overwrite: bool,
}

/// What an image is captured as.
#[derive(Debug, Args)]
pub(crate) struct ImageArguments {
    /// Each SOURCE is a list of sources (`-`: standard input)
    #[arg(long)]
    source_list: bool,

    /// Name of the image [default: the folder's name]
    #[arg(long)]
    name: Option<String>,

    /// Description of the image
    #[arg(long)]
    description: Option<String>,

    /// Edition flags of the image, such as Professional
    #[arg(long)]
    flags: Option<String>,

    /// Leave out what matches; may be repeated
    #[arg(long, value_name = "GLOB")]
    exclude: Vec<String>,

    /// Leave out what a file lists: a pattern a line, or DISM's WimScript.ini
    #[arg(long, value_name = "FILE")]
    exclude_from: Vec<PathBuf>,

    /// Mark the image as the one to boot
    #[arg(long)]
    pub(super) boot: bool,

    /// Write an integrity table
    #[arg(long)]
    pub(super) integrity: bool,

    /// Leave out names that Windows cannot hold; otherwise they are an error
    #[arg(long)]
    skip_bad_names: bool,

    /// Record owner, group and mode
    #[arg(long)]
    unix_data: bool,

    /// Heed no sidecar that `wim apply` left in the folder: capture what the folder itself holds
    #[arg(long)]
    ignore_sidecar: bool,

    /// Latest time in the image, such as 2026-11-01T00:00:00Z [default: SOURCE_DATE_EPOCH]
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    epoch: Option<FileTime>,
}

/// Reads a time of the command line.
pub(super) fn parse_time(text: &str) -> Result<FileTime, String> {
    FileTime::parse(text).ok_or_else(|| "not a time such as 2026-11-01T00:00:00Z".to_owned())
}

/// What a new file is compressed as when nothing else is said.
pub(super) const NEW_FILE: WriteSettings = WriteSettings {
    codec: Codec::Lzx,
    chunk_size: 32 << 10,
    level: Level::Default,
    solid: None,
    integrity: false,
    boot_index: 0,
    rp_fix: true,
};

/// Runs `transom wim capture`.
pub(crate) fn run(arguments: &CaptureArguments, context: &Context) -> Result<(), Failure> {
    let output = &arguments.wim;
    let mut settings = arguments.compression.resolve(&NEW_FILE, context)?;
    settings.integrity = arguments.image.integrity;
    place::check_free(output, arguments.overwrite)?;
    context.interrupt.cooperative();
    let captured = sources::capture(&arguments.image, &arguments.sources, output, context)?;
    settings.rp_fix = captured.rp_fix;
    let (counts, from) = (captured.image.counts, captured.from);
    let mut assembly = Assembly::new();
    assembly
        .push(captured.image, captured.element)
        .and_then(|index| assembly.set_boot(if arguments.image.boot { index } else { 0 }))
        .map_err(|error| assembly_failure(output, error))?;
    let plan =
        assembly.plan(BlobOrder::of(&settings)).map_err(|error| assembly_failure(output, error))?;
    let report = place::write(output, &settings, plan, context)?;
    context.printer.note(format_args!(
        "captured {} from {from} into {}",
        told(&counts),
        place::told(output, &report)
    ));
    Ok(())
}

/// An image in numbers.
pub(super) fn told(counts: &ImageCounts) -> String {
    format!(
        "{}, {} ({})",
        text::count(counts.files, "file", "files"),
        text::count(counts.directories, "folder", "folders"),
        text::size(counts.total_bytes)
    )
}

/// At most ten warnings one by one; the rest as a number.
pub(super) fn warn(warnings: &[String], context: &Context) {
    for warning in warnings.iter().take(10) {
        context.printer.warn(warning);
    }
    if warnings.len() > 10 {
        context.printer.warn(format_args!("and {} more like these", warnings.len() - 10));
    }
}
