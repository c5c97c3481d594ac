//! A split set as the output: the image is written whole to a temporary file first, and cut by copying what is stored.
//!
//! The parts appear under their names when all of them are complete, the first one last: whoever opens it finds the others. Parts of an
//! earlier build that this one no longer has are deleted if they are still what that build wrote.

use std::{ffi::OsString, io, path::Path, sync::Arc};

use fs_err as fs;

use super::{
    build::Settings,
    error::BuildError,
    output::{OutputError, PartialOutput},
};
use crate::{
    base::read_at::FileSource,
    format::wim::{Wim, WimError, part_path, split_wim},
    plan::{Plan, base_image, state::OutputRecord},
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

/// Cuts the image that was written to `whole` and puts the parts in place. Gives their stamps, first part first.
///
/// # Errors
/// When the parts cannot be written, or the caller asks to stop.
pub(super) fn write_parts(
    plan: &Plan,
    whole: &PartialOutput,
    limit: u64,
    settings: &Settings<'_>,
) -> Result<Vec<Stamp>, BuildError> {
    let first = &plan.output.path;
    let failed = |source: io::Error| OutputError::Io { path: first.clone(), source };
    let source = FileSource::open(whole.path()).map_err(failed)?;
    let wim = Wim::open(Arc::new(source), &settings.limits)
        .map(Arc::new)
        .map_err(|error| write_error(first, error))?;
    let mut parts = Vec::new();
    let mut refused = None;
    let mut create = |number: u16| {
        let path = part_path(first, number);
        let begun = PartialOutput::begin(&path, &base_image::files(&plan.base.wim), &plan.inputs);
        let begun = begun.map_err(|error| {
            refused = Some(error);
            WimError::Io(io::Error::other("a part cannot be written"))
        })?;
        let file = begun.file().try_clone()?;
        parts.push(begun);
        Ok(file)
    };
    let result = split_wim(&wim, limit, &mut create, &|_| (), &|| (settings.cancelled)());
    if let Some(error) = refused {
        return Err(error.into());
    }
    result.map_err(|error| write_error(first, error))?;
    drop(wim);
    let mut stamps = Vec::new();
    while let Some(part) = parts.pop() {
        stamps.push(part.complete()?);
    }
    stamps.reverse();
    Ok(stamps)
}

/// Deletes the parts that `last` had and the output has no more. What is no longer as that build wrote it is left alone.
pub(super) fn remove_old_parts(first: &Path, last: Option<&OutputRecord>, parts: usize) {
    let Some(last) = last else { return };
    for (place, stamp) in last.parts.iter().enumerate() {
        let Ok(number) = u16::try_from(place + 2) else { return };
        let path = part_path(first, number);
        let is_ours = fs::metadata(&path).is_ok_and(|there| Stamp::of(&there) == *stamp);
        // One that stays is of no set, which a reader says.
        if usize::from(number) > parts && is_ours && fs::remove_file(&path).is_ok() {
            tracing::info!("{} was a part of the build before and is deleted", path.display());
        }
    }
}

fn write_error(path: &Path, error: WimError) -> BuildError {
    match error {
        WimError::Cancelled => BuildError::Cancelled,
        WimError::Io(source) => OutputError::Io { path: path.to_owned(), source }.into(),
        error => BuildError::Internal(error),
    }
}
