//! What is told of the files of an output: sizes, digests, the WIM's GUID, the metadata of its images. Kept in the store under the files' stamps, so that an output
//! that is there already is not read again.

use std::{
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::collect::{CollectError, Watching};
use crate::{
    base::{
        digest::{Blake3, Sha1, to_hex},
        limits::Limits,
    },
    format::wim::{Wim, part_path},
    plan::{Plan, key, memory::OutputRecord, state},
    store::{RecordKind, Stamp, Store},
};

/// How much is read at once.
const PIECE: usize = 1 << 20;

/// What is told of the files of an output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Written {
    /// The stamps of the files when they were read.
    stamps: Vec<Stamp>,
    /// SHA-256 of each in hexadecimal.
    pub(super) sha256: Vec<String>,
    /// The WIM's GUID.
    pub(super) guid: String,
    /// SHA-1 of the metadata of each image.
    pub(super) metadata: Vec<Sha1>,
}

/// The files of the output of `plan`, whose first has `stamp`, with their stamps.
pub(super) fn files(plan: &Plan, last: &OutputRecord) -> Vec<(PathBuf, Stamp)> {
    let parts = (2..).zip(&last.parts);
    let first = std::iter::once((plan.output.path.clone(), last.stamp));
    first
        .chain(parts.map(|(number, stamp)| (part_path(&plan.output.path, number), *stamp)))
        .collect()
}

/// What is told of the output of `plan`, which is there as `last` says.
///
/// # Errors
/// When it cannot be read, is no longer what was written, or the caller asks to stop.
pub(super) fn look(
    plan: &Plan,
    last: &OutputRecord,
    store: &Store,
    watching: &Watching<'_>,
) -> Result<Written, CollectError> {
    let key = written_key(plan);
    let files = files(plan, last);
    let stamps: Vec<Stamp> = files.iter().map(|(_, stamp)| *stamp).collect();
    if !last.racy
        && let Some(known) = store.json::<Written>(RecordKind::Stamps, &key)?
        && known.stamps == stamps
    {
        return Ok(known);
    }
    let total = stamps.iter().map(|stamp| stamp.size).sum();
    let mut done = 0;
    let mut sha256 = Vec::new();
    for (path, stamp) in &files {
        sha256.push(digest(path, stamp, watching, &mut done, total)?);
    }
    // The images are in the first part of a split set, which may have more parts than a process may have open.
    let wim = Wim::open_first(&plan.output.path, &Limits::default())
        .map_err(|error| CollectError::unreadable(&plan.output.path, io::Error::other(error)))?;
    let metadata =
        (1..=wim.image_count()).filter_map(|index| Some(wim.metadata_blob(index).ok()?.sha1));
    let (guid, metadata) = (wim.header().guid.to_string(), metadata.collect());
    let written = Written { stamps, sha256, guid, metadata };
    if !last.racy {
        store.put_json(RecordKind::Stamps, &key, &written)?;
    }
    Ok(written)
}

fn written_key(plan: &Plan) -> Blake3 {
    key::key("transom written 1", &[&state::output_key(plan).0])
}

/// SHA-256 of the file at `path`, which has `stamp` before and after.
fn digest(
    path: &Path,
    stamp: &Stamp,
    watching: &Watching<'_>,
    done: &mut u64,
    total: u64,
) -> Result<String, CollectError> {
    let failed = |error| CollectError::unreadable(path, error);
    let mut file = fs_err::File::open(path).map_err(failed)?;
    let is_same = |file: &fs_err::File| file.metadata().map(|there| Stamp::of(&there) == *stamp);
    let changed = || CollectError::Changed(path.to_owned());
    let mut hasher = Sha256::new();
    let mut piece = vec![0; PIECE];
    if !is_same(&file).map_err(failed)? {
        return Err(changed());
    }
    loop {
        if (watching.cancelled)() {
            return Err(CollectError::Cancelled);
        }
        let length = file.read(&mut piece).map_err(failed)?;
        if length == 0 {
            break;
        }
        hasher.update(&piece[..length]);
        *done += length as u64;
        (watching.hashed)(*done, total);
    }
    if !is_same(&file).map_err(failed)? {
        return Err(changed());
    }
    Ok(to_hex(&hasher.finalize()))
}
