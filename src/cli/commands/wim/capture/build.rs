//! The walked tree as an image.

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use fs_err as fs;
use rayon::prelude::*;
use sha1::Digest as _;

use super::{
    Rules,
    host_file::HostFile,
    walk::{HostEntry, HostKind, HostTree, UnixData},
};
use crate::{
    base::{digest::Sha1, filetime::FileTime, read_at::ReadAt},
    cli::{
        app::Context,
        commands::wim::{reparse, tree},
        exit::Failure,
        failures,
        progress::Meter,
    },
    format::wim::{
        BlobSource, BlobToWrite, Dentry, Element, ImageMetadata, Reparse, Stream, StreamKind,
    },
};

/// An image ready to be written.
#[derive(Debug)]
pub(super) struct Built {
    pub(super) metadata: ImageMetadata,
    pub(super) blobs: Vec<BlobToWrite>,
    pub(super) xml: Element,
    pub(super) counts: Counts,
}

/// What the XML tells of the image.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) directories: u64,
    pub(super) files: u64,
    pub(super) total_bytes: u64,
    pub(super) hard_link_bytes: u64,
}

/// The content of an entry.
#[derive(Debug, Clone, Default)]
struct Content {
    sha1: Sha1,
    size: u64,
    /// Reparse data, which is in memory; files are read again when they are written.
    bytes: Option<Vec<u8>>,
}

/// Hashes contents on all threads, then puts the image together in the tree's order.
pub(super) fn build(host: &HostTree, rules: &Rules, context: &Context) -> Result<Built, Failure> {
    let groups = link_groups(host);
    let contents = hash_contents(host, &groups, context)?;
    let mut blobs: Vec<BlobToWrite> = Vec::new();
    let mut known: HashMap<Sha1, usize> = HashMap::new();
    let mut counts = Counts::default();
    let mut dentries = Vec::with_capacity(host.entries.len());
    let mut seen_groups = Vec::new();
    for (position, entry) in host.entries.iter().enumerate() {
        let group = groups.get(&position).copied();
        let content = &contents[group.map_or(position, |group| group.first)];
        let dentry = dentry(host, entry, content, group, rules);
        count(&mut counts, position, &dentry, content.size, group, &mut seen_groups);
        if content.size > 0 {
            let place = *known.entry(content.sha1).or_insert_with(|| {
                blobs.push(blob(entry, content));
                blobs.len() - 1
            });
            blobs[place].reference_count += 1;
        }
        dentries.push(dentry);
    }
    let newest = dentries.iter().map(|dentry| dentry.last_write_time).max().unwrap_or_default();
    let xml = image_xml(rules, &counts, newest);
    let metadata = ImageMetadata { dentries, ..ImageMetadata::default() };
    Ok(Built { metadata, blobs, xml, counts })
}

/// A file with several names in the tree.
#[derive(Debug, Clone, Copy)]
struct Group {
    /// From 1.
    number: u64,
    /// Position of its first name.
    first: usize,
}

/// The hard link group of every entry that has one, by position.
fn link_groups(host: &HostTree) -> HashMap<usize, Group> {
    let mut names: BTreeMap<(u64, u64), Vec<usize>> = BTreeMap::new();
    for (position, entry) in host.entries.iter().enumerate() {
        if let HostKind::File { links: Some(identity), .. } = entry.kind {
            names.entry(identity).or_default().push(position);
        }
    }
    // Numbered by first name, not by the host's file numbers, which differ from host to host.
    let mut several: Vec<Vec<usize>> =
        names.into_values().filter(|names| names.len() > 1).collect();
    several.sort_unstable();
    let mut groups = HashMap::new();
    for (number, positions) in (1..).zip(several) {
        for position in &positions {
            groups.insert(*position, Group { number, first: positions[0] });
        }
    }
    groups
}

/// SHA-1 and size of every content; further names of a file are not read again.
fn hash_contents(
    host: &HostTree,
    groups: &HashMap<usize, Group>,
    context: &Context,
) -> Result<Vec<Content>, Failure> {
    let size = |entry: &HostEntry| match entry.kind {
        HostKind::File { size, .. } => size,
        _ => 0,
    };
    let meter = Meter::new(&context.settings, "reading", host.entries.iter().map(size).sum());
    let done = AtomicU64::new(0);
    let positions: Vec<usize> = (0..host.entries.len()).collect();
    let mut contents = Vec::with_capacity(positions.len());
    // Pieces, so that this thread can draw in between.
    for piece in positions.chunks(256) {
        let hashed: Result<Vec<Content>, Failure> = piece
            .par_iter()
            .map(|position| {
                if groups.get(position).is_some_and(|group| group.first != *position) {
                    return Ok(Content::default());
                }
                content(host, &host.entries[*position], &done)
            })
            .collect();
        contents.extend(hashed?);
        meter.at(done.load(Ordering::Relaxed));
    }
    meter.finish();
    Ok(contents)
}

fn content(host: &HostTree, entry: &HostEntry, done: &AtomicU64) -> Result<Content, Failure> {
    match &entry.kind {
        HostKind::Directory => Ok(Content::default()),
        HostKind::Link { target, .. } => {
            let (text, place) = link_text(&host.root, target);
            let data = reparse::symlink_data(&text, place == LinkPlace::Relative);
            Ok(Content { sha1: Sha1::of(&data), size: data.len() as u64, bytes: Some(data) })
        }
        HostKind::File { size: 0, .. } => Ok(Content::default()),
        HostKind::File { size, .. } => {
            let file = HostFile::new(&entry.path, *size);
            let sha1 =
                hash(&file, done).map_err(|error| failures::input("a file to capture", error))?;
            Ok(Content { sha1, size: *size, bytes: None })
        }
    }
}

fn hash(file: &HostFile, done: &AtomicU64) -> std::io::Result<Sha1> {
    let mut hasher = sha1::Sha1::new();
    let mut buffer = vec![0; usize::try_from(file.size().min(1 << 20)).unwrap_or(1 << 20)];
    let mut offset = 0;
    while offset < file.size() {
        let step = usize::try_from(file.size() - offset).unwrap_or(usize::MAX).min(buffer.len());
        file.read_exact_at(offset, &mut buffer[..step])?;
        hasher.update(&buffer[..step]);
        offset += step as u64;
        done.fetch_add(step as u64, Ordering::Relaxed);
    }
    Ok(Sha1(hasher.finalize().into()))
}

/// Where a symbolic link leads, seen from the captured folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LinkPlace {
    /// Relative to its own folder.
    Relative,
    /// Absolute, inside: the prefix is taken off, so that it holds wherever the image is applied.
    Inside,
    /// Absolute, outside: kept as it is.
    Outside,
}

/// A link's target as NT writes it.
fn link_text(root: &Path, target: &Path) -> (String, LinkPlace) {
    let windows = |path: &Path| path.to_string_lossy().replace('/', "\\");
    if !target.is_absolute() {
        return (windows(target), LinkPlace::Relative);
    }
    let roots = [Some(root.to_owned()), fs::canonicalize(root).ok()];
    let inside = roots
        .iter()
        .flatten()
        .filter(|root| root.is_absolute())
        .find_map(|root| target.strip_prefix(root).ok().map(PathBuf::from));
    match inside {
        Some(rest) => (format!(r"C:\{}", windows(&rest)), LinkPlace::Inside),
        None => (format!("C:{}", windows(target)), LinkPlace::Outside),
    }
}

/// Tag of wimlib's Unix data: u32 uid, gid, mode, rdev.
const UNIX_DATA: u32 = 0x337d_d873;

fn unix_item(data: UnixData) -> Vec<u8> {
    [UNIX_DATA, 16, data.user, data.group, data.mode, 0]
        .iter()
        .flat_map(|word| word.to_le_bytes())
        .collect()
}

fn dentry(
    host: &HostTree,
    entry: &HostEntry,
    content: &Content,
    group: Option<Group>,
    rules: &Rules,
) -> Dentry {
    let time = rules.epoch.map_or(entry.modified, |epoch| entry.modified.min(epoch));
    let stream = |kind| vec![Stream { kind, name: Default::default(), sha1: content.sha1 }];
    let (attributes, streams, reparse) = match &entry.kind {
        HostKind::Directory => (tree::DIRECTORY, Vec::new(), None),
        HostKind::File { .. } => (tree::NORMAL, stream(StreamKind::Data), None),
        HostKind::Link { target, to_directory } => {
            let outside = link_text(&host.root, target).1 == LinkPlace::Outside;
            let directory = if *to_directory { tree::DIRECTORY } else { 0 };
            let reparse = Reparse { tag: reparse::SYMLINK, reserved: 0, flags: u16::from(outside) };
            (tree::REPARSE_POINT | directory, stream(StreamKind::Reparse), Some(reparse))
        }
    };
    Dentry {
        name: entry.name.clone(),
        attributes,
        creation_time: time,
        last_access_time: time,
        last_write_time: time,
        streams,
        hard_link_group: group.map_or(0, |group| group.number),
        reparse,
        tagged_items: if rules.unix_data { unix_item(entry.unix) } else { Vec::new() },
        children: entry
            .children
            .iter()
            .map(|child| u32::try_from(*child).unwrap_or(u32::MAX))
            .collect(),
        ..Dentry::default()
    }
}

fn count(
    counts: &mut Counts,
    position: usize,
    dentry: &Dentry,
    size: u64,
    group: Option<Group>,
    seen_groups: &mut Vec<u64>,
) {
    if position == 0 {
        return;
    }
    if tree::is_directory(dentry) {
        counts.directories += 1;
    } else {
        counts.files += 1;
    }
    counts.total_bytes += size;
    if let Some(group) = group {
        // Groups are numbered by first name, so a new one is always the next number.
        if seen_groups.len() as u64 >= group.number {
            counts.hard_link_bytes += size;
        } else {
            seen_groups.push(group.number);
        }
    }
}

fn blob(entry: &HostEntry, content: &Content) -> BlobToWrite {
    let source: Arc<dyn ReadAt> = match &content.bytes {
        Some(bytes) => Arc::new(bytes.clone()),
        None => Arc::new(HostFile::new(&entry.path, content.size)),
    };
    BlobToWrite {
        sha1: content.sha1,
        size: content.size,
        reference_count: 0,
        source: BlobSource::Bytes { source },
    }
}

/// The `IMAGE` element.
fn image_xml(rules: &Rules, counts: &Counts, newest: FileTime) -> Element {
    let mut image = Element::new("IMAGE");
    for (name, number) in [
        ("DIRCOUNT", counts.directories),
        ("FILECOUNT", counts.files),
        ("TOTALBYTES", counts.total_bytes),
        ("HARDLINKBYTES", counts.hard_link_bytes),
    ] {
        image.set_text(&[name], &number.to_string());
    }
    for name in ["CREATIONTIME", "LASTMODIFICATIONTIME"] {
        image.set_text(&[name, "HIGHPART"], &format!("0x{:08X}", newest.0 >> 32));
        image.set_text(&[name, "LOWPART"], &format!("0x{:08X}", newest.0 & 0xffff_ffff));
    }
    image.set_text(&["NAME"], &rules.name);
    if let Some(description) = &rules.description {
        image.set_text(&["DESCRIPTION"], description);
    }
    image
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn links_are_told_as_nt_tells_them() {
        let root = Path::new("/src");
        let cases = [
            ("../a/b", r"..\a\b", LinkPlace::Relative),
            ("/src/a", r"C:\a", LinkPlace::Inside),
            ("/src", r"C:\", LinkPlace::Inside),
            ("/etc/x", r"C:\etc\x", LinkPlace::Outside),
        ];
        for (target, text, place) in cases {
            assert_eq!(link_text(root, Path::new(target)), (text.to_owned(), place));
        }
    }
}
