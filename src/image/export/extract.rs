//! The function that extracts, its options and its report.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::{
    losses::Losses,
    plan::{self, Rules},
    write::{self, How},
};
use crate::image::{
    error::ImageError, host::links::Reach, offline::Image, patterns::Patterns, watch::Watch,
};

/// What to extract, and how.
#[derive(Debug, Clone)]
pub struct ExtractOptions {
    /// What to extract, with all below it and the folders above it; no pattern: all.
    pub include: Patterns,
    /// Replace files and links that are there already; otherwise they are an error. Folders that are there are used.
    pub overwrite: bool,
    /// Give files and folders the modes that a capture with Unix data kept.
    pub unix_data: bool,
}

/// What an extraction did, and what it could not.
#[derive(Debug, Default)]
pub struct ExtractReport {
    /// Folders made or used, without the target itself.
    pub folders: u64,
    /// Files written; every name counts.
    pub files: u64,
    /// Symbolic links made.
    pub links: u64,
    /// Bytes written.
    pub bytes: u64,
    /// What did not come out.
    pub losses: Losses,
}

/// Why an extraction ended.
#[derive(Debug, thiserror::Error)]
pub enum ExtractError {
    /// Something cannot be read from the image, or a pattern chooses nothing.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The host refuses.
    #[error("{} cannot be written", .path.display())]
    Host {
        /// What was to be written.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file or link is there already.
    #[error("{} exists already", .0.display())]
    Exists(PathBuf),
    /// A folder where a file is to be, or something else where a folder is to be.
    #[error("{} is in the way: it is {what}", .path.display())]
    InTheWay {
        /// What is there.
        path: PathBuf,
        /// What that is.
        what: &'static str,
    },
    /// The sidecar cannot be written.
    #[error("{} cannot be written", .path.display())]
    Sidecar {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: ImageError,
    },
    /// The watcher ended it.
    #[error("cancelled")]
    Cancelled,
}

/// Writes the image, or what the options choose of it, into the folder `target`, which is made when it is not there.
///
/// What the host refuses of times and permissions is not told; everything else that is lost is in the report. What was written before an error stays; no
/// file is there half.
///
/// # Errors
/// When a pattern chooses nothing, something cannot be read from the image or written on the host, or the watcher ends it. Content that is nowhere is noticed
/// before anything is written.
pub fn extract(
    image: &Image,
    target: &Path,
    options: &ExtractOptions,
    watch: Watch<'_>,
) -> Result<ExtractReport, ExtractError> {
    let rules = Rules {
        include: &options.include,
        unix_data: options.unix_data,
        reach: Reach::Inside,
        kept: false,
        room: write::room(target),
        folds_case: cfg!(any(windows, target_os = "macos")),
    };
    let plan = plan::plan(image, rules)?;
    let host = write::open(target)?;
    host.make_folders(&plan)?;
    let how = How { overwrite: options.overwrite, tells_times: false };
    let written = write::write(image, &plan, &host, how, watch)?;
    Ok(written.report(plan))
}
