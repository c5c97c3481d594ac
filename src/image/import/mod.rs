//! From a directory of the host: captures it as an image.
//!
//! What a Unix file system has and NT can hold goes in: folders, files, hard links (by device and inode), symbolic links (as reparse points), times of
//! last writing. There are no security descriptors; attributes are `NORMAL` and `DIRECTORY`. All three times are the time of last writing: when a file
//! was last read would make each capture differ from the one before.
//!
//! A relative symbolic link keeps its target. An absolute one into the captured directory is made relative to the image's root; any other
//! keeps its target and is marked as not fixed up. Entries are in NT order.
//!
//! Where an image was applied, what the host cannot hold of it lies in a sidecar ([`super::host`]); `merge` puts both together.
//! On a volume that ntfs-3g has mounted all that NT knows of a file is asked of the volume (`ntfs`).

mod merge;
mod ntfs;

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
    format::wim::{Element, Reparse, StreamKind},
};

use super::{
    content::{BlobLocation, BlobRef},
    error::ImageError,
    finish::FinishedImage,
    host::{SIDECAR_NAME, ntfs::Volume, sidecar},
    offline::Image,
    patterns::Patterns,
    reparse::{NOT_FIXED, TAG_SYMLINK, symlink_data},
    tree::{ATTRIBUTE_DIRECTORY, ATTRIBUTE_NORMAL, ATTRIBUTE_REPARSE, FileStream, Inode, NodeId},
    watch::{Watch, Work},
    xml,
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
    /// What the sidecar said of the image, where one was merged.
    pub restored: Option<Restored>,
}

/// Whether to heed the sidecar of a directory that an image was applied to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SidecarUse {
    /// What is not on the host comes from the sidecar.
    #[default]
    Merge,
    /// The directory is captured as if it had none. It is not captured itself either way.
    Ignore,
}

/// What a sidecar says of the image besides its tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    element: Element,
    /// The header's flag for links in the WIM that the image was in.
    pub rp_fix: bool,
    /// True when the directory is not as apply left it.
    pub changed: bool,
}

impl Restored {
    /// The `<IMAGE>` element: the old one; in a changed directory with new counts and facts, and `modified` as its time.
    #[must_use]
    pub fn element(&self, image: &FinishedImage, modified: FileTime) -> Element {
        let mut element = self.element.clone();
        if self.changed {
            xml::update(&mut element, image, modified);
        }
        element
    }
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
/// [`HostFileError`] when they fail. A sidecar is merged.
///
/// # Errors
/// When something in it cannot be read, has a name that Windows cannot hold, or is nested too deeply, when a sidecar is damaged, and when the
/// watcher ends it.
pub fn capture(
    root: &Path,
    options: &CaptureOptions,
    watch: Watch<'_>,
) -> Result<(Image, CaptureReport), ImageError> {
    capture_with(root, options, SidecarUse::Merge, watch)
}

/// As [`capture()`], with a choice about the sidecar.
///
/// # Errors
/// As [`capture()`].
pub fn capture_with(
    root: &Path,
    options: &CaptureOptions,
    sidecar_use: SidecarUse,
    watch: Watch<'_>,
) -> Result<(Image, CaptureReport), ImageError> {
    let root = fs::canonicalize(root)?;
    let metadata = fs::metadata(&root)?;
    let sidecar = match sidecar_use {
        SidecarUse::Merge => sidecar::read(&root, modified(&metadata))?,
        SidecarUse::Ignore => None,
    };
    match sidecar {
        Some(sidecar) => merge::merge(&root, &metadata, options, sidecar, watch),
        None => capture_plain(&root, &metadata, options, watch),
    }
}

fn capture_plain(
    root: &Path,
    metadata: &std::fs::Metadata,
    options: &CaptureOptions,
    watch: Watch<'_>,
) -> Result<(Image, CaptureReport), ImageError> {
    let mut image = Image::empty(modified(metadata));
    let mut capture = Capture::new(root, options);
    capture.ntfs = Volume::detect(root);
    let top = image.tree.root();
    let mut inode = image.tree.inode(top).clone();
    inode.tagged_items = capture.tagged_items(metadata);
    capture.nt(&mut image, Path::new(""), &mut inode)?;
    *image.tree.inode_mut(top) = inode;
    let mut waiting = vec![(root.to_owned(), String::new(), top, 0)];
    if metadata.is_file() {
        waiting.clear();
        let name = Name::from(root.file_name().unwrap_or_default().to_string_lossy().as_ref());
        let (host, metadata) = (root.to_owned(), metadata.clone());
        let entry = HostEntry { name, host, path: String::new(), metadata };
        capture.add(&mut image, top, &entry)?;
    }
    while let Some((directory, path, node, depth)) = waiting.pop() {
        capture.check(&directory, depth, watch)?;
        for entry in capture.entries(&directory, &path, &|_| false)? {
            let id = capture.add(&mut image, node, &entry)?;
            if entry.metadata.is_dir()
                && let Some(id) = id
            {
                waiting.push((entry.host, entry.path, id, depth + 1));
            }
        }
    }
    capture.settle_names()?;
    let files = std::mem::take(&mut capture.files);
    for file in hash_files(&mut image, files, watch)? {
        if file.content.size > 0 {
            let (kind, name) = (StreamKind::Data, Name::default());
            let stream = FileStream { kind, name, content: file.content };
            let streams = &mut image.tree.inode_mut(file.node).streams;
            let is_before = |stream: &FileStream| stream.kind == StreamKind::Reparse;
            streams.insert(usize::from(streams.first().is_some_and(is_before)), stream);
        }
    }
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
    files: Vec<FoundFile>,
    /// The volume that the directory is on, when that knows what NT knows.
    ntfs: Option<Volume>,
}

/// A file of the host.
struct FoundFile {
    node: NodeId,
    host: PathBuf,
    size: u64,
    modified: FileTime,
}

/// A file of the host whose content is known.
struct HashedFile {
    node: NodeId,
    content: BlobRef,
    modified: FileTime,
}

/// An entry of a host directory.
struct HostEntry {
    name: Name,
    host: PathBuf,
    path: String,
    metadata: std::fs::Metadata,
}

impl HostEntry {
    /// The file that it is, to be hashed as the content of `node`.
    fn file(&self, node: NodeId) -> FoundFile {
        let (size, modified) = (self.metadata.len(), modified(&self.metadata));
        FoundFile { node, host: self.host.clone(), size, modified }
    }
}

impl<'a> Capture<'a> {
    fn new(root: &'a Path, options: &'a CaptureOptions) -> Self {
        Self {
            root,
            options,
            report: CaptureReport::default(),
            bad_names: Vec::new(),
            links: BTreeMap::new(),
            files: Vec::new(),
            ntfs: None,
        }
    }

    /// What the volume knows of a file, folder or link.
    fn nt(&mut self, image: &mut Image, path: &Path, inode: &mut Inode) -> Result<(), ImageError> {
        if let Some(volume) = &self.ntfs {
            let folder = inode.attributes & ATTRIBUTE_DIRECTORY;
            let warnings = ntfs::complete(volume, path, image, inode)?;
            inode.attributes |= folder;
            self.report.warnings.extend(warnings);
        }
        Ok(())
    }

    fn short_name(&self, image: &mut Image, id: NodeId, entry: &HostEntry) {
        if let Some(volume) = &self.ntfs {
            let path = Path::new(entry.path.trim_start_matches('/'));
            image.tree.set_short_name(id, ntfs::short_name(volume, path));
        }
    }

    /// Ends it when it is to end, or goes too deep.
    fn check(&self, directory: &Path, depth: usize, watch: Watch<'_>) -> Result<(), ImageError> {
        if (watch.cancelled)() {
            return Err(ImageError::Cancelled);
        }
        if depth > self.options.depth {
            let text = format!("{} is nested too deeply", directory.display());
            return Err(ImageError::Host(io::Error::other(text)));
        }
        Ok(())
    }

    /// Names that cannot go in are an error, or warnings.
    fn settle_names(&mut self) -> Result<(), ImageError> {
        let names = std::mem::take(&mut self.bad_names);
        if !names.is_empty() && !self.options.skip_bad_names {
            return Err(ImageError::HostNames { names });
        }
        self.report.warnings.extend(names);
        Ok(())
    }

    /// The entries of a directory in NT order. Names that are `known` came from an image: they may be ones that Windows cannot hold.
    fn entries(
        &mut self,
        directory: &Path,
        path: &str,
        known: &dyn Fn(&Name) -> bool,
    ) -> Result<Vec<HostEntry>, ImageError> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            let host = entry.path();
            let file_name = entry.file_name();
            if path.is_empty() && file_name == SIDECAR_NAME {
                continue;
            }
            let Some(text) = file_name.to_str() else {
                self.bad_names.push(format!("{}: the name is not UTF-8", host.display()));
                continue;
            };
            let path = format!("{path}/{text}");
            if self.options.exclude.matches(&path) {
                self.report.excluded += 1;
                continue;
            }
            let name = Name::from(text);
            if let Err(error) = check_component(text)
                && !known(&name)
            {
                self.bad_names.push(format!("{}: {error}", host.display()));
                continue;
            }
            let metadata = fs::symlink_metadata(&host)?;
            entries.push(HostEntry { name, host, path, metadata });
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
        let Some(inode) = self.inode(image, entry)? else { return Ok(None) };
        let identity = identity(metadata);
        if let Some(key) = identity
            && let Some(&first) = self.links.get(&key)
        {
            let id = image.tree.append_link(parent, entry.name.clone(), first, None);
            self.short_name(image, id, entry);
            return Ok(Some(id));
        }
        let id = image.tree.append(parent, entry.name.clone(), inode);
        self.short_name(image, id, entry);
        if metadata.is_file() {
            if let Some(key) = identity {
                self.links.insert(key, id);
                // Numbered in the order of the walk.
                let group = self.links.len() as u64;
                // On NTFS a short name counts as one of several: the number comes when a second name is found.
                if self.ntfs.is_none() {
                    image.tree.inode_mut(id).hard_link_group = group;
                }
            }
            if metadata.len() > 0 {
                self.files.push(entry.file(id));
            }
        }
        Ok(Some(id))
    }

    /// What goes in for an entry, without its content; `None` for what cannot.
    fn inode(&mut self, image: &mut Image, entry: &HostEntry) -> Result<Option<Inode>, ImageError> {
        let metadata = &entry.metadata;
        let mut inode = Inode::new(ATTRIBUTE_NORMAL, None, modified(metadata));
        inode.tagged_items = self.tagged_items(metadata);
        if metadata.is_symlink() {
            // The volume tells what the link really is.
            if self.ntfs.is_none() && !self.symlink(image, &mut inode, entry)? {
                return Ok(None);
            }
        } else if metadata.is_dir() {
            inode.attributes = ATTRIBUTE_DIRECTORY;
        } else if !metadata.is_file() {
            let line = format!("{} is neither file, folder nor link: left out", entry.path);
            self.report.warnings.push(line);
            return Ok(None);
        }
        self.nt(image, Path::new(entry.path.trim_start_matches('/')), &mut inode)?;
        Ok(Some(inode))
    }

    /// Makes the inode a link; false when its target cannot go in, which is kept as a bad name.
    fn symlink(
        &mut self,
        image: &mut Image,
        inode: &mut Inode,
        entry: &HostEntry,
    ) -> Result<bool, ImageError> {
        let target = fs::read_link(&entry.host)?;
        let Some(text) = target.to_str() else {
            let line = format!("{}: the target of the link is not UTF-8", entry.path);
            self.bad_names.push(line);
            return Ok(false);
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
        Ok(true)
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

/// Hashes the files, in parallel, and remembers where each content lies.
fn hash_files(
    image: &mut Image,
    files: Vec<FoundFile>,
    watch: Watch<'_>,
) -> Result<Vec<HashedFile>, ImageError> {
    let work = Work::new(watch, files.iter().map(|file| file.size).sum());
    let hashed: Vec<(FoundFile, Sha1, u64)> = files
        .into_par_iter()
        .map(|file| {
            let (sha1, size) = hash_file(&file.host, &work)?;
            Ok((file, sha1, size))
        })
        .collect::<Result<_, ImageError>>()?;
    let hashed = hashed.into_iter().map(|(file, sha1, size)| {
        let FoundFile { node, host: path, modified, .. } = file;
        // Empty content has no name.
        let content = if size == 0 { BlobRef::default() } else { BlobRef { sha1, size } };
        if size > 0 {
            let file: Arc<dyn ReadAt> = Arc::new(HostFile { path, size });
            image.blobs.entry(sha1).or_insert(BlobLocation::Host(file));
        }
        HashedFile { node, content, modified }
    });
    Ok(hashed.collect())
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
    metadata.modified().map_or_else(|_| FileTime::default(), file_time)
}

/// The host's time as NT tells it.
pub(super) fn file_time(time: std::time::SystemTime) -> FileTime {
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
