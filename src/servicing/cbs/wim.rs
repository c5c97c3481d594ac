//! Packages and updates in the form of a WIM: the files of its first image.

use std::{collections::HashMap, sync::Arc};

use super::OPERATION;
use crate::{
    base::{
        digest::{Blake3, Sha1},
        limits::Limits,
        ntpath::check_component,
        read_at::ReadAt,
    },
    format::wim::{Blob, ImageMetadata, StreamKind, Wim, WimError},
    servicing::{
        archive::{self, ArchiveFile, Spool},
        error::{Problem, ServicingError},
    },
};

/// The first bytes of a WIM.
pub(super) const MAGIC: [u8; 8] = *b"MSWIM\0\0\0";
/// Deepest folder accepted; real packages have 3 levels.
const DEPTH: usize = 64;

/// The files of the first image of a WIM whose path is `wanted`, by path; none when it is no package and no update. Content is unpacked once; files with the same content share it.
///
/// # Errors
/// When it cannot be read, is damaged or not supported, a name in it cannot be used, or its content cannot be kept.
pub(super) fn open(
    shown: &str,
    content: &Arc<dyn ReadAt>,
    spool: &mut Spool,
    wanted: &dyn Fn(&[String]) -> bool,
) -> Result<Vec<ArchiveFile>, ServicingError> {
    let of_wim = |error: WimError| match error {
        WimError::Io(source) => ServicingError::input(shown, source),
        error => archive::damaged(OPERATION, shown, &error),
    };
    let wim = Wim::open(Arc::clone(content), &Limits::default()).map_err(of_wim)?;
    let tree = wim.metadata(1).map_err(of_wim)?;
    let mut files = list(shown, &tree)?;
    // An installed Windows, for one, is not unpacked to find that out.
    if !files.iter().any(|(_, path, _)| is_of_update(path)) {
        return Ok(Vec::new());
    }
    files.retain(|(_, path, _)| wanted(path));
    let mut blobs: Vec<Blob> = Vec::new();
    for (_, file, sha1) in files.iter().filter(|(.., sha1)| !sha1.is_zero()) {
        let missing = || {
            let cause = format!("the content of {} is not in it", file.join("/"));
            Problem::error(shown, cause, "get the file again")
        };
        let blob = wim.blob(sha1).copied();
        blobs.push(blob.ok_or_else(|| ServicingError::refused(OPERATION, missing()))?);
    }
    blobs.sort_by_key(|blob| (blob.position(), blob.sha1));
    blobs.dedup_by_key(|blob| blob.sha1);
    spool.check_total(OPERATION, shown, blobs.iter().map(|blob| blob.size))?;
    let contents = unpack(&wim, &blobs, spool).map_err(|error| match error {
        Failure::Wim(error) => of_wim(error),
        Failure::Spool(source) => archive::unpacking(OPERATION, shown, source),
    })?;
    let empty: Kept = (Arc::new(Vec::new()), Blake3::of(b""));
    let file = |(dentry, path, sha1): (usize, Vec<String>, Sha1)| {
        let (content, blake3) = contents.get(&sha1).unwrap_or(&empty);
        ArchiveFile {
            path,
            size: content.size(),
            time: Some(tree.dentries[dentry].last_write_time),
            content: Arc::clone(content),
            blake3: *blake3,
        }
    };
    Ok(files.into_iter().map(file).collect())
}

/// True for what lies in the root of packages and updates.
fn is_of_update(path: &[String]) -> bool {
    let [name] = path else { return false };
    let name = name.to_lowercase();
    [".mum", ".cab", ".msu", ".wim", ".esd", ".cix.xml"].iter().any(|end| name.ends_with(end))
}

/// Content and its digest.
type Kept = (Arc<dyn ReadAt>, Blake3);

enum Failure {
    Wim(WimError),
    Spool(std::io::Error),
}

/// Keeps the content of these blobs, which are in the order they lie in.
fn unpack(wim: &Wim, blobs: &[Blob], spool: &mut Spool) -> Result<HashMap<Sha1, Kept>, Failure> {
    let mut contents = HashMap::new();
    let mut rest = blobs;
    while !rest.is_empty() {
        let (ready, later) = rest.split_at(wim.prepare(rest).clamp(1, rest.len()));
        for blob in ready {
            let mut incoming = spool.start(blob.size).map_err(Failure::Spool)?;
            // Kept apart: that there is no room is not the input's fault.
            let mut full = None;
            let streamed = wim.stream_blob(blob, &mut |bytes| {
                incoming.write(bytes).map_err(|error| {
                    let kind = error.kind();
                    full = Some(error);
                    kind.into()
                })
            });
            if let Some(error) = full {
                return Err(Failure::Spool(error));
            }
            streamed.map_err(Failure::Wim)?;
            contents.insert(blob.sha1, incoming.finish().map_err(Failure::Spool)?);
        }
        rest = later;
    }
    Ok(contents)
}

/// The files of an image: entry, path, and SHA-1 of the content. Folders, links and named streams are left out.
fn list(
    shown: &str,
    tree: &ImageMetadata,
) -> Result<Vec<(usize, Vec<String>, Sha1)>, ServicingError> {
    let nothing = Sha1::of(b"");
    let mut files = Vec::new();
    let mut open: Vec<(u32, Vec<String>)> = vec![(0, Vec::new())];
    while let Some((place, path)) = open.pop() {
        let Some(folder) = tree.dentries.get(place as usize) else { continue };
        for &child in &folder.children {
            let Some(dentry) = tree.dentries.get(child as usize) else { continue };
            let name =
                String::from_utf16(dentry.name.units()).map_err(|_| "it is not text".to_owned());
            let name = name.and_then(|name| match check_component(&name) {
                Ok(()) if path.len() < DEPTH => Ok(name),
                Ok(()) => Err(format!("it lies in more than {DEPTH} folders")),
                Err(error) => Err(error.to_string()),
            });
            let name = name.map_err(|what| {
                let cause = format!("it holds a file {} that cannot be used: {what}", dentry.name);
                let problem = Problem::error(shown, cause, "get the file again");
                ServicingError::refused(OPERATION, problem)
            })?;
            let path: Vec<String> = path.iter().cloned().chain([name]).collect();
            if dentry.is_directory() {
                open.push((child, path));
            } else if dentry.reparse.is_none() {
                let data = dentry.stream(StreamKind::Data).map(|data| data.sha1);
                // Nothing has no content in a WIM, whether its SHA-1 is written or not.
                let data = data.filter(|sha1| *sha1 != nothing).unwrap_or(Sha1::ZERO);
                files.push((child as usize, path, data));
            }
        }
    }
    files.sort_by(|one, other| one.1.cmp(&other.1));
    Ok(files)
}
