//! The hives whose files differ: read on both sides, compared beside each other.

use rayon::prelude::*;

use super::{Options, RegistryChange, Side, files::DifferingHive, registry, shown};
use crate::{format::hive::Hive, image::ImageError};

/// Compares each of `hives` by meaning, in order; what could not be compared gives a note.
pub(super) fn compare(
    before: &Side<'_>,
    after: &Side<'_>,
    hives: &[DifferingHive],
    options: Options,
) -> Vec<Result<Vec<RegistryChange>, String>> {
    let one = |hive: &DifferingHive| {
        let id = hive.id;
        let note = |which: &str, path: String, error: &dyn std::fmt::Display| {
            format!("{path} of the {which} image is compared as a file: {error}")
        };
        let path = |side: &Side<'_>| shown(&id.path(&side.system_root));
        let read = |side: &Side<'_>| side.image.hive_of_file(id);
        let (old, new) = rayon::join(|| read(before), || read(after));
        let old = old.map_err(|error| note("first", path(before), &plain(error)))?;
        let new = new.map_err(|error| note("second", path(after), &plain(error)))?;
        compare_two(id, &old, &new, options).map_err(|error| match error.in_first {
            true => note("first", path(before), &error),
            false => note("second", path(after), &error),
        })
    };
    hives.par_iter().map(one).collect()
}

fn compare_two(
    id: crate::image::HiveId,
    old: &Hive,
    new: &Hive,
    options: Options,
) -> Result<Vec<RegistryChange>, registry::Unreadable> {
    registry::compare(id.registry_root(), old, new, options)
}

/// The cause without the path, which the note has already.
fn plain(error: ImageError) -> String {
    match error {
        ImageError::Hive { source, .. } => source.to_string(),
        other => other.to_string(),
    }
}
