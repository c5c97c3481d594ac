//! A split set as the output: the image is written whole to a temporary file first, and cut by copying what is stored.
//!
//! The parts appear under their names when all of them are complete, the first one last: whoever opens it finds the others. Parts of an
//! earlier build that this one no longer has are deleted if they are still what that build wrote.

use std::{
    ffi::OsString,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use fs_err as fs;

use super::{
    build::Settings,
    error::BuildError,
    output::{OutputError, PartialOutput},
};
use crate::{
    base::read_at::FileSource,
    format::wim::{Wim, WimError, part_path, split_wim},
    plan::{Plan, base_image, memory::OutputRecord},
    store::Stamp,
};

/// Begins the temporary file for the whole image of a plan whose output is a split set: it has the output's name with `.whole` behind it.
///
/// # Errors
/// As [`PartialOutput::begin`].
pub(super) fn begin_whole(plan: &Plan) -> Result<PartialOutput, OutputError> {
    let mut name = OsString::from(plan.output.path.as_os_str());
    name.push(".whole");
    PartialOutput::begin(Path::new(&name), &base_image::files(&plan.base.wim), &plan.inputs)
}

/// Cuts the image that was written to `whole` and puts the parts in place. Gives their stamps, first part first; what there is to tell about
/// them goes to `warnings`.
///
/// # Errors
/// When the parts cannot be written, or the caller asks to stop.
pub(super) fn write_parts(
    plan: &Plan,
    whole: &PartialOutput,
    limit: u64,
    settings: &Settings<'_>,
    warnings: &mut Vec<String>,
) -> Result<Vec<Stamp>, BuildError> {
    let first = &plan.output.path;
    let failed = |source: io::Error| OutputError::Io { path: first.clone(), source };
    // By the handle that has the lock: Windows lets no other read.
    let source = whole.file().try_clone().and_then(|file| FileSource::of(file, whole.path()));
    let source = source.map_err(failed)?;
    let wim = Wim::open(Arc::new(source), &settings.limits)
        .map(Arc::new)
        .map_err(|error| write_error(first, error))?;
    let mut parts = Vec::new();
    // The part that is being written; the others are closed, for there may be more than a process may have open.
    let mut open: Option<PartialOutput> = None;
    let mut refused = None;
    let mut create = |number: u16| {
        let path = part_path(first, number);
        let closed = open.take().map(PartialOutput::close).transpose();
        let begun = closed.and_then(|closed| {
            parts.extend(closed);
            PartialOutput::begin(&path, &base_image::files(&plan.base.wim), &plan.inputs)
        });
        let begun = begun.map_err(|error| {
            refused = Some(error);
            WimError::Io(io::Error::other("a part cannot be written"))
        })?;
        let file = begun.file().try_clone()?;
        open = Some(begun);
        Ok(file)
    };
    let result = split_wim(&wim, limit, &mut create, &|_| (), &|| (settings.cancelled)());
    if let Some(error) = refused {
        return Err(error.into());
    }
    let written = result.map_err(|error| write_error(first, error))?;
    drop(wim);
    parts.extend(open.map(PartialOutput::close).transpose()?);
    let mut stamps = Vec::new();
    while let Some(part) = parts.pop() {
        stamps.push(part.complete()?);
    }
    stamps.reverse();
    let larger = written.iter().filter(|part| part.is_over_limit);
    let larger: Vec<String> =
        larger.map(|part| part_path(first, part.number).display().to_string()).collect();
    if let [one, others @ ..] = &larger[..] {
        let more =
            if others.is_empty() { String::new() } else { format!(" and {} more", others.len()) };
        warnings.push(format!(
            "larger than `split-mib` says, because of one content or the metadata alone: {one}{more}"
        ));
    }
    Ok(stamps)
}

/// Deletes the parts that `last` had and the output has no more. What is no longer as that build wrote it is left alone. Gives a part behind the
/// last one that is still there, which is of another set.
pub(super) fn remove_old_parts(
    first: &Path,
    last: Option<&OutputRecord>,
    parts: usize,
) -> Option<PathBuf> {
    for (place, stamp) in last.iter().flat_map(|last| last.parts.iter().enumerate()) {
        let Ok(number) = u16::try_from(place + 2) else { break };
        let path = part_path(first, number);
        let is_ours = fs::metadata(&path).is_ok_and(|there| Stamp::of(&there) == *stamp);
        if usize::from(number) > parts && is_ours && fs::remove_file(&path).is_ok() {
            tracing::info!("{} was a part of the build before and is deleted", path.display());
        }
    }
    let next = part_path(first, u16::try_from(parts + 1).ok()?);
    fs::symlink_metadata(&next).is_ok().then_some(next)
}

fn write_error(path: &Path, error: WimError) -> BuildError {
    match error {
        WimError::Cancelled => BuildError::Cancelled,
        WimError::Io(source) => OutputError::Io { path: path.to_owned(), source }.into(),
        error => BuildError::Internal(error),
    }
}
