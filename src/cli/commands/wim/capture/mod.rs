//! `transom wim capture`: a folder of the host as a WIM.
//!
//! What is captured, and how, is in [`crate::image::import`]; here are the options and the file.
//!
//! - `exclude`: what is left out

mod exclude;

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::{Args, ValueEnum};
use fs_err as fs;

use crate::{
    base::{filetime::FileTime, limits::Limits},
    cli::{
        app::Context,
        exit::{Exit, Failure, Problem},
        failures,
        progress::Meter,
        text,
    },
    codec::{Codec, Level},
    format::wim::{
        BlobSource, BlobToWrite, Element, MetadataToWrite, WimXml, WriteReport, WriteSettings,
        write_wim,
    },
    image::{
        self, BlobLocation, FinishedImage, Watch,
        import::{self, CaptureOptions},
    },
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
  transom wim capture pe boot.wim --name 'Windows PE' --boot --compression xpress --exclude '*.bak'"#)]
pub(crate) struct CaptureArguments {
    /// The folder
    #[arg(value_name = "SOURCE")]
    source: PathBuf,

    /// The WIM to write
    #[arg(value_name = "WIM")]
    wim: PathBuf,

    /// Name of the image [default: the folder's name]
    #[arg(long)]
    name: Option<String>,

    /// Description of the image
    #[arg(long)]
    description: Option<String>,

    /// How to compress
    #[arg(long, value_enum, default_value_t = CompressionChoice::Lzx)]
    compression: CompressionChoice,

    /// Size of a compression chunk in KiB [default: 32]
    #[arg(long, value_name = "KIB")]
    chunk_kib: Option<u32>,

    /// Leave out what matches; may be repeated
    #[arg(long, value_name = "GLOB")]
    exclude: Vec<String>,

    /// Leave out what a file lists: a pattern a line, or DISM's WimScript.ini
    #[arg(long, value_name = "FILE")]
    exclude_from: Vec<PathBuf>,

    /// Mark the image as the one to boot
    #[arg(long)]
    boot: bool,

    /// Write an integrity table
    #[arg(long)]
    integrity: bool,

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

    /// Replace the WIM if it exists
    #[arg(long)]
    overwrite: bool,
}

/// How to compress.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum CompressionChoice {
    /// Not at all
    None,
    /// Fast, larger
    Xpress,
    /// Smaller, slower
    Lzx,
}

fn parse_time(text: &str) -> Result<FileTime, String> {
    FileTime::parse(text).ok_or_else(|| "not a time such as 2026-11-01T00:00:00Z".to_owned())
}

/// Runs `transom wim capture`.
pub(crate) fn run(arguments: &CaptureArguments, context: &Context) -> Result<(), Failure> {
    let mut settings = write_settings(arguments, context)?;
    let (source, output) = (&arguments.source, &arguments.wim);
    if !arguments.overwrite && fs::symlink_metadata(output).is_ok() {
        return Err(Problem::new("output::exists", format!("{} exists already", output.display()))
            .help("--overwrite replaces it")
            .exit(Exit::OutputFailed));
    }
    let exclude = exclude::read(&arguments.exclude, &arguments.exclude_from, source, output)?;
    let options = CaptureOptions {
        exclude,
        unix_data: arguments.unix_data,
        skip_bad_names: arguments.skip_bad_names,
        depth: Limits::default().depth,
    };
    context.interrupt.cooperative();
    let meter = Meter::new(&context.settings, "hashing", 0);
    let watch = Watch {
        progress: &|done, total| meter.at_of(done, total),
        cancelled: &|| context.interrupt.pressed(),
    };
    let sidecar = match arguments.ignore_sidecar {
        true => import::SidecarUse::Ignore,
        false => import::SidecarUse::Merge,
    };
    let captured = import::capture_with(source, &options, sidecar, watch);
    meter.finish();
    let (mut image, report) = captured.map_err(|error| failures::capture(source, error))?;
    warn(&report.warnings, context);
    // Asked here so that the XML can tell which Windows this is, if it is one.
    image.facts();
    let mut finished = image.finish().map_err(|error| failures::capture(source, error))?;
    let newest = settle_times(&mut finished, arguments.epoch.or(context.settings.epoch));
    let name = arguments.name.clone().unwrap_or_else(|| folder_name(source));
    let mut xml = image::xml::create(&finished, &name, newest);
    if let Some(restored) = &report.restored {
        xml = restored.element(&finished, newest);
        settings.rp_fix = restored.rp_fix;
        arguments.name.iter().for_each(|name| xml.set_text(&["NAME"], name));
    }
    if let Some(description) = &arguments.description {
        xml.set_text(&["DESCRIPTION"], description);
    }
    let counts = finished.counts;
    let written = write(finished, xml, output, &settings, context)?;
    context.printer.note(format_args!(
        "captured {}, {} ({}) from {} into {} ({})",
        text::count(counts.files, "file", "files"),
        text::count(counts.directories, "folder", "folders"),
        text::size(counts.total_bytes),
        source.display(),
        output.display(),
        text::size(written.file_size)
    ));
    Ok(())
}

/// Sets times later than `epoch` to it; returns the newest time, which becomes the image's own.
fn settle_times(image: &mut FinishedImage, epoch: Option<FileTime>) -> FileTime {
    let mut newest = FileTime::default();
    for dentry in &mut image.metadata.dentries {
        for time in
            [&mut dentry.creation_time, &mut dentry.last_access_time, &mut dentry.last_write_time]
        {
            *time = epoch.map_or(*time, |epoch| epoch.min(*time));
        }
        newest = newest.max(dentry.last_write_time);
    }
    newest
}

fn folder_name(source: &Path) -> String {
    fs::canonicalize(source)
        .ok()
        .as_deref()
        .unwrap_or(source)
        .file_name()
        .map_or_else(|| "image".to_owned(), |name| name.to_string_lossy().into_owned())
}

/// At most ten warnings one by one; the rest as a number.
fn warn(warnings: &[String], context: &Context) {
    for warning in warnings.iter().take(10) {
        context.printer.warn(warning);
    }
    if warnings.len() > 10 {
        context.printer.warn(format_args!("and {} more like these", warnings.len() - 10));
    }
}

fn write_settings(
    arguments: &CaptureArguments,
    context: &Context,
) -> Result<WriteSettings, Failure> {
    let codec = match arguments.compression {
        CompressionChoice::None => Codec::None,
        CompressionChoice::Xpress => Codec::Xpress,
        CompressionChoice::Lzx => Codec::Lzx,
    };
    let chunk_size = match arguments.chunk_kib {
        None => codec.default_chunk_size(),
        Some(kib) => kib.saturating_mul(1024),
    };
    if !codec.allows_chunk_size(chunk_size) {
        let allowed = match codec {
            Codec::Xpress => "4, 8, 16, 32 or 64",
            Codec::Lzx => "a power of two from 32 to 2048",
            Codec::None | Codec::Lzms => "left away: nothing is compressed",
        };
        return Err(Failure::usage(format!("--chunk-kib must be {allowed} with this compression")));
    }
    if chunk_size > 32 << 10 {
        context.printer.warn(
            "Windows itself reads chunks of at most 32 KiB; wimlib and transom read this file",
        );
    }
    Ok(WriteSettings {
        codec,
        chunk_size,
        level: Level::default(),
        solid: None,
        integrity: arguments.integrity,
        boot_index: u32::from(arguments.boot),
        rp_fix: true,
    })
}

/// Writes beside the output and renames: the output is there complete or not at all.
fn write(
    image: FinishedImage,
    xml: Element,
    output: &Path,
    settings: &WriteSettings,
    context: &Context,
) -> Result<WriteReport, Failure> {
    let folder = match output.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let temporary = tempfile::Builder::new()
        .prefix(".transom-")
        .suffix(".wim")
        .tempfile_in(folder)
        .map_err(|error| failures::output(output, error))?;
    let meter =
        Meter::new(&context.settings, "writing", image.blobs.iter().map(|blob| blob.size).sum());
    let mut document = WimXml::new();
    document.push_image(xml);
    let result = write_wim(
        temporary.as_file(),
        settings,
        blobs(&image),
        vec![MetadataToWrite::Bytes(image.metadata.encode())],
        document,
        &|done| meter.at(done),
        &|| context.interrupt.pressed(),
    );
    meter.finish();
    let report = result.map_err(|error| failures::wim_write(output, error))?;
    finish(temporary, output).map_err(|error| failures::output(output, error))?;
    Ok(report)
}

/// The captured contents. Nothing of a captured folder lies in a WIM or in the store.
fn blobs(image: &FinishedImage) -> Vec<BlobToWrite> {
    let blob = |found: &image::FinishedBlob| {
        let source = match &found.location {
            BlobLocation::Host(source) => BlobSource::Bytes { source: Arc::clone(source) },
            BlobLocation::Memory(bytes) => {
                BlobSource::Bytes { source: Arc::new(Arc::clone(bytes)) }
            }
            BlobLocation::Base(wim, blob) => BlobSource::Wim { wim: Arc::clone(wim), blob: *blob },
            BlobLocation::Stored(_) => return None,
        };
        let (sha1, size, reference_count) = (found.sha1, found.size, found.references);
        Some(BlobToWrite { sha1, size, reference_count, source })
    };
    image.blobs.iter().filter_map(blob).collect()
}

fn finish(temporary: tempfile::NamedTempFile, output: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        temporary.as_file().set_permissions(std::fs::Permissions::from_mode(0o644))?;
    }
    temporary.as_file().sync_all()?;
    temporary.persist(output).map(drop).map_err(|error| error.error)
}
