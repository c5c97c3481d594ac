//! From a directory of the host: captures it as an image.
//!
//! What a Unix file system has and NT can hold goes in: folders, files, hard links (by device and inode), symbolic links (as reparse points), times of
//! last writing. There are no security descriptors; attributes are `NORMAL` and `DIRECTORY`. All three times are the time of last writing: when a file
//! was last read would make each capture differ from the one before.
//!
//! A relative symbolic link keeps its target. An absolute one into the captured directory is made relative to the image's root; any other
//! keeps its target and is marked as not fixed up. Entries are in NT order.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use fs_err as fs;
use rayon::prelude::*;
use sha1::Digest as _;

use crate::{
    base::{
        bytes::Writer,
        digest::Sha1,
        filetime::FileTime,
        name::{Name, compare_ignore_case},
        ntpath::check_component,
        read_at::{FileSource, ReadAt},
    },
    format::wim::{Reparse, StreamKind},
};

use super::{
    content::{BlobLocation, BlobRef},
    error::ImageError,
    offline::Image,
    patterns::Patterns,
    reparse::{NOT_FIXED, TAG_SYMLINK, symlink_data},
    tree::{ATTRIBUTE_DIRECTORY, ATTRIBUTE_NORMAL, ATTRIBUTE_REPARSE, FileStream, Inode, NodeId},
    watch::{Watch, Work},
};

/// Tagged item in which wimlib keeps owner, group, mode and device number.
pub(super) const UNIX_DATA: u32 = 0x337d_d873;

/// How to capture.
#[derive(Debug, Clone)]
pub struct CaptureOptions {
    /// What to leave out, with all below it.
    pub exclude: Patterns,
    /// Keep owner, group and mode, as wimlib does with `--unix-data`.
    pub unix_data: bool,
    /// Leave out names that Windows cannot hold, and report them; otherwise they are an error.
    pub skip_bad_names: bool,
    /// Deepest nesting accepted.
    pub depth: usize,
}

/// What a capture left out, or did in its own way.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CaptureReport {
    /// How many entries the patterns left out.
    pub excluded: u64,
    /// One line for each other thing.
    pub warnings: Vec<String>,
}

/// Why a captured file could not be read. It is the inner error of the [`io::Error`] that a read gives, so that whoever writes a WIM from captured files can tell
/// a file that went away from a full disk.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct HostFileError(io::Error);

/// A host file that is opened for each read: a captured tree has more files than a process may keep open.
#[derive(Debug)]
struct HostFile {
    path: PathBuf,
    size: u64,
}

impl ReadAt for HostFile {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        FileSource::open(&self.path)
            .and_then(|file| file.read_exact_at(offset, buffer))
            .map_err(|error| io::Error::new(error.kind(), HostFileError(error)))
    }
}

/// Captures the directory `root` (of a single file: a folder with just that in it): walks it, then hashes its files, of which `watch` is told. The content stays where it is; reads of it later give a
/// [`HostFileError`] when they fail.
///
/// # Errors
/// When something in it cannot be read, has a name that Windows cannot hold, or is nested too deeply, and when the watcher ends it.
pub fn capture(
    root: &Path,
    options: &CaptureOptions,
    watch: Watch<'_>,
) -> Result<(Image, CaptureReport), ImageError> {
    let root = fs::canonicalize(root)?;
    let metadata = fs::metadata(&root)?;
    let mut image = Image::empty(modified(&metadata));
    let mut capture = Capture {
        root: &root,
        options,
        report: CaptureReport::default(),
        bad_names: Vec::new(),
        links: BTreeMap::new(),
        files: Vec::new(),
    };
    let top = image.tree.root();
    let tagged = capture.tagged_items(&metadata);
    image.tree.inode_mut(top).tagged_items = tagged;
    let mut waiting = vec![(root.clone(), String::new(), top, 0)];
    if metadata.is_file() {
        waiting.clear();
        let name = Name::from(root.file_name().unwrap_or_default().to_string_lossy().as_ref());
        let entry = HostEntry { name, host: root.clone(), path: String::new(), metadata };
        capture.add(&mut image, top, &entry)?;
    }
    while let Some((directory, path, node, depth)) = waiting.pop() {
        if (watch.cancelled)() {
            return Err(ImageError::Cancelled);
        }
        if depth > options.depth {
            let text = format!("{} is nested too deeply", directory.display());
            return Err(ImageError::Host(io::Error::other(text)));
        }
        for entry in capture.entries(&directory, &path)? {
            let id = capture.add(&mut image, node, &entry)?;
            if entry.metadata.is_dir()
                && let Some(id) = id
            {
                waiting.push((entry.host, entry.path, id, depth + 1));
            }
        }
    }
    if !capture.bad_names.is_empty() {
        if !options.skip_bad_names {
            return Err(ImageError::HostNames { names: capture.bad_names });
        }
        capture.report.warnings.append(&mut capture.bad_names);
    }
    hash_files(&mut image, capture.files, watch)?;
    Ok((image, capture.report))
}

/// One capture under way.
struct Capture<'a> {
    root: &'a Path,
    options: &'a CaptureOptions,
    report: CaptureReport,
    bad_names: Vec<String>,
    /// The first name of each file with several, by device and inode.
    links: BTreeMap<(u64, u64), NodeId>,
    /// Files whose content is still to be hashed.
    files: Vec<(NodeId, PathBuf, u64)>,
}

/// An entry of a host directory.
struct HostEntry {
    name: Name,
    host: PathBuf,
    path: String,
    metadata: std::fs::Metadata,
}

impl Capture<'_> {
    /// The entries of a directory in NT order.
    fn entries(&mut self, directory: &Path, path: &str) -> Result<Vec<HostEntry>, ImageError> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            let host = entry.path();
            let file_name = entry.file_name();
            let Some(text) = file_name.to_str() else {
                self.bad_names.push(format!("{}: the name is not UTF-8", host.display()));
                continue;
            };
            let path = format!("{path}/{text}");
            if self.options.exclude.matches(&path) {
                self.report.excluded += 1;
                continue;
            }
            if let Err(error) = check_component(text) {
                self.bad_names.push(format!("{}: {error}", host.display()));
                continue;
            }
            let metadata = fs::symlink_metadata(&host)?;
            entries.push(HostEntry { name: Name::from(text), host, path, metadata });
        }
        entries.sort_by(|left, right| {
            compare_ignore_case(left.name.units(), right.name.units())
                .then_with(|| left.name.cmp(&right.name))
        });
        for pair in entries.windows(2) {
            if pair[0].name.eq_ignore_case(&pair[1].name) {
                self.report.warnings.push(format!(
                    "{} and {} differ only in case: Windows shows one of them",
                    pair[0].path, pair[1].path
                ));
            }
        }
        Ok(entries)
    }

    fn add(
        &mut self,
        image: &mut Image,
        parent: NodeId,
        entry: &HostEntry,
    ) -> Result<Option<NodeId>, ImageError> {
        let metadata = &entry.metadata;
        let mut inode = Inode::new(ATTRIBUTE_NORMAL, None, modified(metadata));
        inode.tagged_items = self.tagged_items(metadata);
        if metadata.is_symlink() {
            self.symlink(image, &mut inode, entry)?;
        } else if metadata.is_dir() {
            inode.attributes = ATTRIBUTE_DIRECTORY;
        } else if !metadata.is_file() {
            let line = format!("{} is neither file, folder nor link: left out", entry.path);
            self.report.warnings.push(line);
            return Ok(None);
        }
        let identity = identity(metadata);
        if let Some(key) = identity
            && let Some(&first) = self.links.get(&key)
        {
            return Ok(Some(image.tree.append_link(parent, entry.name.clone(), first, None)));
        }
        let id = image.tree.append(parent, entry.name.clone(), inode);
        if metadata.is_file() {
            if let Some(key) = identity {
                self.links.insert(key, id);
                // Numbered in the order of the walk.
                let group = self.links.len() as u64;
                image.tree.inode_mut(id).hard_link_group = group;
            }
            if metadata.len() > 0 {
                self.files.push((id, entry.host.clone(), metadata.len()));
            }
        }
        Ok(Some(id))
    }

    fn symlink(
        &mut self,
        image: &mut Image,
        inode: &mut Inode,
        entry: &HostEntry,
    ) -> Result<(), ImageError> {
        let target = fs::read_link(&entry.host)?;
        let Some(text) = target.to_str() else {
            let line = format!("{}: the target of the link is not UTF-8", entry.path);
            self.bad_names.push(line);
            return Ok(());
        };
        let inside = target.strip_prefix(self.root).ok().and_then(Path::to_str);
        let (text, fixed) = match inside {
            Some(inside) if target.is_absolute() => (format!("/{inside}"), true),
            _ => (text.to_owned(), false),
        };
        // A link to a folder is a folder to Windows; where it leads nowhere, it is a file.
        let to_directory = fs::metadata(&entry.host).is_ok_and(|target| target.is_dir());
        let data: Arc<[u8]> = symlink_data(&text).into();
        let content = super::edit::ref_of(&data);
        image.blobs.insert(content.sha1, BlobLocation::Memory(data));
        inode.attributes = ATTRIBUTE_REPARSE | if to_directory { ATTRIBUTE_DIRECTORY } else { 0 };
        let flags = if fixed { 0 } else { NOT_FIXED };
        inode.reparse = Some(Reparse { tag: TAG_SYMLINK, reserved: 0, flags });
        inode.streams =
            vec![FileStream { kind: StreamKind::Reparse, name: Name::default(), content }];
        Ok(())
    }

    #[cfg(unix)]
    fn tagged_items(&self, metadata: &std::fs::Metadata) -> Vec<u8> {
        use std::os::unix::fs::MetadataExt as _;
        if !self.options.unix_data {
            return Vec::new();
        }
        let device = u32::try_from(metadata.rdev()).unwrap_or(0);
        let mut writer = Writer::new();
        writer.u32(UNIX_DATA).u32(16);
        writer.u32(metadata.uid()).u32(metadata.gid()).u32(metadata.mode()).u32(device);
        writer.data
    }

    #[cfg(not(unix))]
    fn tagged_items(&self, _: &std::fs::Metadata) -> Vec<u8> {
        Vec::new()
    }
}

/// Hashes the files, in parallel, and gives them their content.
fn hash_files(
    image: &mut Image,
    files: Vec<(NodeId, PathBuf, u64)>,
    watch: Watch<'_>,
) -> Result<(), ImageError> {
    let work = Work::new(watch, files.iter().map(|(.., size)| size).sum());
    let hashed: Vec<(NodeId, PathBuf, Sha1, u64)> = files
        .into_par_iter()
        .map(|(id, path, _)| {
            let (sha1, size) = hash_file(&path, &work)?;
            Ok((id, path, sha1, size))
        })
        .collect::<Result<_, ImageError>>()?;
    for (id, path, sha1, size) in hashed {
        if size == 0 {
            continue;
        }
        let content = BlobRef { sha1, size };
        let file: Arc<dyn ReadAt> = Arc::new(HostFile { path, size });
        image.blobs.entry(sha1).or_insert(BlobLocation::Host(file));
        let stream = FileStream { kind: StreamKind::Data, name: Name::default(), content };
        image.tree.inode_mut(id).streams = vec![stream];
    }
    Ok(())
}

fn hash_file(path: &Path, work: &Work<'_>) -> Result<(Sha1, u64), ImageError> {
    let source = FileSource::open(path)?;
    let mut hasher = sha1::Sha1::new();
    let mut buffer = vec![0; usize::try_from(source.size().min(1 << 18)).unwrap_or(1 << 18)];
    let mut offset = 0;
    while offset < source.size() {
        if work.is_cancelled() {
            return Err(ImageError::Cancelled);
        }
        let left = usize::try_from(source.size() - offset).unwrap_or(usize::MAX);
        let length = left.min(buffer.len());
        let part = &mut buffer[..length];
        source.read_exact_at(offset, part)?;
        hasher.update(part);
        offset += length as u64;
        work.add(length as u64);
    }
    Ok((Sha1(hasher.finalize().into()), source.size()))
}

fn modified(metadata: &std::fs::Metadata) -> FileTime {
    let Ok(time) = metadata.modified() else { return FileTime::default() };
    match time.duration_since(std::time::UNIX_EPOCH) {
        Ok(after) => {
            let seconds = i64::try_from(after.as_secs()).unwrap_or(i64::MAX);
            FileTime::from_unix(seconds, after.subsec_nanos())
        }
        Err(before) => {
            let before = before.duration();
            let seconds = i64::try_from(before.as_secs()).unwrap_or(i64::MAX);
            match before.subsec_nanos() {
                0 => FileTime::from_unix(-seconds, 0),
                nanoseconds => FileTime::from_unix(-seconds - 1, 1_000_000_000 - nanoseconds),
            }
        }
    }
}

/// Device and inode of a file with several names.
#[cfg(unix)]
fn identity(metadata: &std::fs::Metadata) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt as _;
    (metadata.is_file() && metadata.nlink() > 1).then(|| (metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
fn identity(_: &std::fs::Metadata) -> Option<(u64, u64)> {
    None
}
