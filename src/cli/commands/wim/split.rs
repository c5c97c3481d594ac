//! `transom wim split` and `transom wim join`: a WIM as a set of files, and back.

use std::{
    io,
    path::{Path, PathBuf},
};

use clap::Args;
use fs_err as fs;

use super::{
    place::{self, Temporary, assembly_failure, settings_like},
    select,
};
use crate::{
    cli::{
        app::Context,
        exit::{Exit, Failure, Problem},
        failures,
        progress::Meter,
        text,
    },
    format::wim::{Header, WimError, part_path, split_wim},
    image::{Assembly, BlobOrder},
    plan::output::is_same_file,
};

/// Split a WIM into parts of a size
///
/// The parts are DEST.swm, DEST2.swm, DEST3.swm and so on. No content lies in two parts, so a part can be larger when one content or the metadata alone is.
/// What is compressed is copied as it is. Solid resources cannot be split: export the images with --compression lzx first.
#[derive(Debug, Args)]
#[command(after_long_help = r#"Examples:
  transom wim split install.wim install.swm --size-mib 3800"#)]
pub(crate) struct SplitArguments {
    /// The WIM
    #[arg(value_name = "WIM")]
    wim: PathBuf,

    /// The first part
    #[arg(value_name = "DEST.swm")]
    destination: PathBuf,

    /// Largest size of a part in MiB; fractions are allowed
    #[arg(long, value_name = "MIB", value_parser = parse_size)]
    size_mib: u64,

    /// Replace parts that exist
    #[arg(long)]
    overwrite: bool,
}

/// Mebibytes as bytes.
fn parse_size(text: &str) -> Result<u64, String> {
    let size: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    let bytes = size * f64::from(1 << 20);
    // Larger files than this do not exist.
    if !(1.0..=1e15).contains(&bytes) {
        return Err("not a size".to_owned());
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "in the range that was just checked"
    )]
    Ok(bytes as u64)
}

/// Runs `transom wim split`.
pub(crate) fn run_split(arguments: &SplitArguments, context: &Context) -> Result<(), Failure> {
    let (path, first) = (&arguments.wim, &arguments.destination);
    context.interrupt.cooperative();
    place::check_free(first, arguments.overwrite)?;
    let wim = select::open(path, context)?;
    let total = wim.blobs().iter().map(|blob| blob.size).sum();
    let mut parts: Vec<(PathBuf, Temporary)> = Vec::new();
    let mut failure = None;
    let mut create = |number: u16| {
        let path = part_path(first, number);
        let is_read = is_same_file(&path, &arguments.wim);
        let refused = || Err(Failure::usage("a part cannot be the file that is split"));
        let file = if is_read { refused() } else { Ok(()) }
            .and_then(|()| place::check_free(&path, arguments.overwrite))
            .and_then(|()| Temporary::beside(&path))
            .map(|(temporary, file)| {
                parts.push((path.clone(), temporary));
                file
            });
        file.map_err(|why| {
            failure = Some(why);
            WimError::Io(io::ErrorKind::Other.into())
        })
    };
    let meter = Meter::new(&context.settings, "writing", total);
    let result = split_wim(&wim, arguments.size_mib, &mut create, &|done| meter.at(done), &|| {
        context.interrupt.pressed()
    });
    meter.finish();
    if let Some(failure) = failure {
        return Err(failure);
    }
    let written = result.map_err(|error| split_failure(path, first, error))?;
    // The first one last: whoever opens it finds the others.
    for (path, temporary) in parts.into_iter().rev() {
        temporary.finish(&path)?;
    }
    let larger: Vec<String> = written
        .iter()
        .filter(|part| part.is_over_limit)
        .map(|part| part_path(first, part.number).display().to_string())
        .collect();
    if !larger.is_empty() {
        context.printer.warn(format_args!(
            "larger than asked for, because of one content or the metadata alone: {}",
            text::few(&larger, 5)
        ));
    }
    let next = part_path(first, u16::try_from(written.len() + 1).unwrap_or(u16::MAX));
    if fs::symlink_metadata(&next).is_ok() {
        context.printer.warn(format_args!("{} is not of this set", next.display()));
    }
    context.printer.note(format_args!(
        "split {} into {}, from {} on",
        path.display(),
        text::count(written.len() as u64, "part", "parts"),
        first.display()
    ));
    Ok(())
}

fn split_failure(source: &Path, first: &Path, error: WimError) -> Failure {
    match error {
        WimError::Plan { what } => {
            Problem::new("wim::split", format!("{} cannot be split: {what}", source.display()))
                .help(format!(
                    "`transom wim export {} OTHER.wim --all --compression lzx` makes a file that can be split",
                    source.display()
                ))
                .exit(Exit::BadInput)
        }
        error => failures::wim_write(first, error),
    }
}

/// Put the parts of a split WIM together
///
/// The other parts are found beside the first by their names (x.swm, x2.swm, x3.swm ...); parts that lie or are called otherwise are named, in any order.
/// What is compressed is copied as it is.
#[derive(Debug, Args)]
#[command(after_long_help = r#"Examples:
  transom wim join install.swm install.wim
  transom wim join disc1/a.swm disc2/b.swm install.wim"#)]
pub(crate) struct JoinArguments {
    /// The first part, or several
    #[arg(value_name = "PART.swm", required = true, num_args = 1..)]
    parts: Vec<PathBuf>,

    /// The WIM to write
    #[arg(value_name = "DEST.wim", required = true)]
    destination: PathBuf,

    /// Write an integrity table [default: when the first part has one]
    #[arg(long)]
    integrity: bool,

    /// Replace DEST.wim if it exists
    #[arg(long)]
    overwrite: bool,
}

/// Runs `transom wim join`.
pub(crate) fn run_join(arguments: &JoinArguments, context: &Context) -> Result<(), Failure> {
    let destination = &arguments.destination;
    context.interrupt.cooperative();
    place::check_free(destination, arguments.overwrite)?;
    let (first, others) = first_part(&arguments.parts)?;
    let wim = select::open_parts(first, &others, context)?;
    let target = fs::canonicalize(destination).ok();
    let found = wim.volumes().iter().filter_map(|volume| Some(volume.source().as_file()?.path()));
    if found.into_iter().any(|part| target.is_some() && fs::canonicalize(part).ok() == target) {
        return Err(Failure::usage("a part cannot be the file that is written"));
    }
    let count = wim.volumes().len();
    let mut settings = settings_like(&wim);
    settings.integrity |= arguments.integrity;
    let plan = Assembly::of(&wim)
        .plan(BlobOrder::of(&settings))
        .map_err(|error| assembly_failure(first, error))?;
    drop(wim);
    let report = place::write(destination, &settings, plan, context)?;
    context.printer.note(format_args!(
        "joined {} into {}",
        text::count(count as u64, "part", "parts"),
        place::told(destination, &report)
    ));
    Ok(())
}

/// The part that has the number 1, and the others.
fn first_part(parts: &[PathBuf]) -> Result<(&Path, Vec<PathBuf>), Failure> {
    let [only] = parts else {
        let is_first = |part: &&PathBuf| {
            let mut bytes = [0; Header::SIZE];
            let read = fs::File::open(part)
                .and_then(|mut file| io::Read::read_exact(&mut file, &mut bytes));
            read.is_ok() && Header::parse(&bytes).is_ok_and(|header| header.part_number == 1)
        };
        let Some(first) = parts.iter().find(is_first) else {
            return Err(Problem::new("wim::parts", "none of the files is the first part of a set")
                .help("name part 1 too: it has the images")
                .exit(Exit::BadInput));
        };
        let others = parts.iter().filter(|part| *part != first).cloned().collect();
        return Ok((first, others));
    };
    Ok((only, Vec::new()))
}
