//! To a directory of the host: what a Unix file system can hold.
//!
//! Folders, files, hard links, symbolic links (junctions too) and times of last writing come out. Attributes, short names, security, named streams and
//! encrypted files do not; the report counts them. A link with a relative target keeps it; an absolute target is a path in the image, so it is
//! written relative to the link, and stays inside.
//!
//! Nothing is written outside the target: names that are not plain names on the host are left out and reported, folders are never entered
//! through a link, files are made anew and never written through, and links are made last.

use std::{
    collections::BTreeMap,
    io::{self, Write as _},
    path::{Path, PathBuf},
    time::{Duration, UNIX_EPOCH},
};

use fs_err as fs;
use rayon::prelude::*;

use crate::{
    base::{
        bytes::Reader,
        filetime::FileTime,
        malformed::Malformed,
        name::{Name, compare_ignore_case},
        ntpath::NtPath,
    },
    format::wim::StreamKind,
};

use super::{
    error::ImageError,
    import::{TAG_JUNCTION, TAG_SYMLINK, UNIX_DATA},
    offline::Image,
    patterns::Patterns,
    tree::{InodeId, NodeId},
};

/// What an extraction did, and what it could not.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ExtractReport {
    /// Files written, hard links included.
    pub files: u64,
    /// Folders made or found.
    pub directories: u64,
    /// Symbolic links made.
    pub links: u64,
    /// Bytes written.
    pub bytes: u64,
    /// Named streams that were left out.
    pub named_streams: u64,
    /// One line for each thing that was left out or done in its own way.
    pub warnings: Vec<String>,
}

/// Writes the image, or what `include` matches of it with all below, into the folder `target`, which is made when it is not there.
///
/// # Errors
/// When something cannot be read from the image or written on the host.
pub fn extract(
    image: &Image,
    target: &Path,
    include: &Patterns,
) -> Result<ExtractReport, ImageError> {
    fs::create_dir_all(target)?;
    let mut extraction = Extraction {
        image,
        target: fs::canonicalize(target)?,
        report: ExtractReport::default(),
        files: Vec::new(),
        links: Vec::new(),
        directories: Vec::new(),
        first: BTreeMap::new(),
        hard_links: Vec::new(),
    };
    extraction.plan(include)?;
    extraction.write()?;
    Ok(extraction.report)
}

/// One extraction under way.
struct Extraction<'a> {
    image: &'a Image,
    target: PathBuf,
    report: ExtractReport,
    files: Vec<(NodeId, PathBuf)>,
    links: Vec<(NodeId, PathBuf)>,
    directories: Vec<(NodeId, PathBuf)>,
    first: BTreeMap<InodeId, PathBuf>,
    hard_links: Vec<(PathBuf, PathBuf)>,
}

impl Extraction<'_> {
    /// Makes the folders and collects what is to be put into them.
    fn plan(&mut self, include: &Patterns) -> Result<(), ImageError> {
        let tree = self.image.tree();
        // Node, host path, and whether a pattern matched it or a folder above it.
        let mut waiting = vec![(tree.root(), self.target.clone(), include.is_empty())];
        while let Some((id, host, wanted)) = waiting.pop() {
            let mut previous: Option<NodeId> = None;
            for &child in tree.sorted_children(id) {
                let node = tree.node(child);
                let path = tree.path_of(child);
                let wanted = wanted || include.matches(&path.to_string());
                let below = tree.inode(child).is_directory() && !self.is_link(child);
                if !wanted && !below {
                    continue;
                }
                let Some(name) = host_name(&node.name) else {
                    self.report.warnings.push(format!("{path}: not a file name on this system"));
                    continue;
                };
                if let Some(other) = previous
                    && compare_ignore_case(tree.node(other).name.units(), node.name.units()).is_eq()
                {
                    let other = &tree.node(other).name;
                    self.report
                        .warnings
                        .push(format!("{path}: differs from `{other}` only in case"));
                }
                previous = Some(child);
                let place = host.join(name);
                if wanted {
                    self.note(child, &place)?;
                }
                if below {
                    waiting.push((child, place, wanted));
                }
            }
        }
        if include.is_empty() {
            self.directories.push((tree.root(), self.target.clone()));
        }
        Ok(())
    }

    fn is_link(&self, id: NodeId) -> bool {
        let reparse = self.image.tree().inode(id).reparse;
        reparse.is_some_and(|reparse| matches!(reparse.tag, TAG_SYMLINK | TAG_JUNCTION))
    }

    fn note(&mut self, id: NodeId, place: &Path) -> Result<(), ImageError> {
        let tree = self.image.tree();
        let inode = tree.inode(id);
        let named = inode.streams.iter().filter(|stream| stream.kind == StreamKind::Named).count();
        self.report.named_streams += named as u64;
        if inode.streams.iter().any(|stream| stream.kind == StreamKind::Efs) {
            let path = tree.path_of(id);
            self.report.warnings.push(format!("{path}: encrypted by Windows, left out"));
        } else if self.is_link(id) {
            self.links.push((id, place.to_owned()));
        } else if inode.is_directory() {
            self.make_folders(place)?;
            self.directories.push((id, place.to_owned()));
            self.report.directories += 1;
        } else {
            let first = self.first.get(&tree.node(id).inode);
            match first {
                Some(first) if tree.links(id) > 1 => {
                    self.hard_links.push((first.clone(), place.to_owned()));
                }
                _ => {
                    self.first.insert(tree.node(id).inode, place.to_owned());
                    self.files.push((id, place.to_owned()));
                }
            }
        }
        Ok(())
    }

    /// Makes `place` and the folders above it down from the target, entering no link.
    fn make_folders(&self, place: &Path) -> io::Result<()> {
        let below = place.strip_prefix(&self.target).unwrap_or_else(|_| Path::new(""));
        let mut at = self.target.clone();
        for part in below.components() {
            at.push(part);
            match fs::create_dir(&at) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    if !fs::symlink_metadata(&at)?.is_dir() {
                        let text = format!("{} is in the way of a folder", at.display());
                        return Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
                    }
                }
                other => other?,
            }
        }
        Ok(())
    }

    fn write(&mut self) -> Result<(), ImageError> {
        for (_, place) in &self.files {
            self.make_way(place)?;
        }
        let sizes: Vec<u64> = self
            .files
            .par_iter()
            .map(|(id, place)| self.write_file(*id, place))
            .collect::<Result<_, ImageError>>()?;
        self.report.bytes = sizes.iter().sum();
        for (first, place) in &self.hard_links {
            self.make_way(place)?;
            fs::hard_link(first, place)?;
        }
        self.report.files = (self.files.len() + self.hard_links.len()) as u64;
        let links = std::mem::take(&mut self.links);
        for (id, place) in &links {
            self.write_link(*id, place)?;
        }
        // Innermost first: what is made in a folder changes its time.
        for (id, place) in self.directories.iter().rev() {
            // Elsewhere a folder cannot be opened as a file.
            if !cfg!(unix) {
                break;
            }
            let inode = self.image.tree().inode(*id);
            set_time(&fs::File::open(place)?, inode.last_write_time)?;
        }
        Ok(())
    }

    /// Makes the folder for `place` and takes away what is there, unless it is a folder.
    fn make_way(&self, place: &Path) -> io::Result<()> {
        if let Some(parent) = place.parent() {
            self.make_folders(parent)?;
        }
        match fs::symlink_metadata(place) {
            Ok(metadata) if metadata.is_dir() => {
                let text = format!("{} is a folder", place.display());
                Err(io::Error::new(io::ErrorKind::AlreadyExists, text))
            }
            Ok(_) => fs::remove_file(place),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn write_file(&self, id: NodeId, place: &Path) -> Result<u64, ImageError> {
        let tree = self.image.tree();
        let inode = tree.inode(id);
        let mut file = fs::OpenOptions::new().write(true).create_new(true).open(place)?;
        self.image.stream(&inode.data(), &tree.path_of(id), &mut |part| file.write_all(part))?;
        set_mode(&file, &inode.tagged_items)?;
        set_time(&file, inode.last_write_time)?;
        Ok(inode.data().size)
    }

    fn write_link(&mut self, id: NodeId, place: &Path) -> Result<(), ImageError> {
        let path = self.image.tree().path_of(id);
        let target = match self.link_target(id, &path)? {
            Ok(target) => target,
            Err(error) => {
                self.report.warnings.push(format!("{path}: {error}"));
                return Ok(());
            }
        };
        self.make_way(place)?;
        make_link(&target, place)?;
        self.report.links += 1;
        Ok(())
    }

    /// The target as the host writes it.
    fn link_target(
        &self,
        id: NodeId,
        path: &NtPath,
    ) -> Result<Result<String, Malformed>, ImageError> {
        let inode = self.image.tree().inode(id);
        let stream = inode.streams.iter().find(|stream| stream.kind == StreamKind::Reparse);
        let data = match stream {
            Some(stream) => self.image.read_blob(&stream.content)?,
            None => Vec::new(),
        };
        let symlink = inode.reparse.is_some_and(|reparse| reparse.tag == TAG_SYMLINK);
        Ok(read_target(&data, symlink).map(|(target, relative)| {
            let slashes = target.replace('\\', "/");
            if relative { slashes } else { from_here(path, &slashes) }
        }))
    }
}

/// The target in the reparse data of a symbolic link or junction, and whether it is relative.
///
/// # Errors
/// When the data is cut short or points outside itself.
pub fn read_target(data: &[u8], symlink: bool) -> Result<(String, bool), Malformed> {
    let mut reader = Reader::new("reparse data", data);
    let (offset, length) = (usize::from(reader.u16()?), usize::from(reader.u16()?));
    reader.u32()?;
    let relative = symlink && reader.u32()? & 1 != 0;
    let names = reader.position();
    reader.seek(names + offset)?;
    Ok((Name::from_units(reader.utf16(length / 2)?).to_string(), relative))
}

/// An absolute target (`/??/C:/Users`, `C:/Users`, `/Users`) as seen from the link at `link`.
fn from_here(link: &NtPath, target: &str) -> String {
    let target = target.strip_prefix("/??/").unwrap_or(target);
    let target = match target.as_bytes() {
        [letter, b':', ..] if letter.is_ascii_alphabetic() => &target[2..],
        _ => target,
    };
    let up = "../".repeat(link.names().len().saturating_sub(1));
    let names: Vec<&str> =
        target.split('/').filter(|name| !matches!(*name, "" | "." | "..")).collect();
    match format!("{up}{}", names.join("/")) {
        here if here.is_empty() => ".".to_owned(),
        target => target,
    }
}

/// The name as a single name of a host file.
fn host_name(name: &Name) -> Option<String> {
    let text = name.to_text()?;
    let bad = |character: char| {
        matches!(character, '/' | '\\' | '\0') || cfg!(windows) && r#"<>:"|?*"#.contains(character)
    };
    (!text.is_empty() && text != "." && text != ".." && !text.contains(bad)).then_some(text)
}

fn set_time(file: &fs::File, time: FileTime) -> io::Result<()> {
    let (seconds, nanoseconds) = time.to_unix();
    let part = Duration::from_nanos(u64::from(nanoseconds));
    let whole = Duration::from_secs(seconds.unsigned_abs());
    let time =
        if seconds < 0 { UNIX_EPOCH.checked_sub(whole) } else { UNIX_EPOCH.checked_add(whole) };
    let Some(time) = time.and_then(|time| time.checked_add(part)) else { return Ok(()) };
    let times = std::fs::FileTimes::new().set_modified(time).set_accessed(time);
    match file.file().set_times(times) {
        // Times that the file system cannot hold are no reason to stop.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
        other => other,
    }
}

/// Sets the permission bits that a capture with Unix data kept; never set-user-id and its like.
#[cfg(unix)]
fn set_mode(file: &fs::File, tagged_items: &[u8]) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let mut reader = Reader::new("tagged items", tagged_items);
    while let (Ok(tag), Ok(length)) = (reader.u32(), reader.u32()) {
        let Ok(mut item) = reader.sub(length as usize) else { break };
        if tag == UNIX_DATA && item.bytes(8).is_ok() {
            let mode = item.u32().unwrap_or(0o644);
            return file.set_permissions(std::fs::Permissions::from_mode(mode & 0o777));
        }
        if reader.align(8).is_err() {
            break;
        }
    }
    Ok(())
}

#[cfg(not(unix))]
fn set_mode(_: &fs::File, _: &[u8]) -> io::Result<()> {
    Ok(())
}

#[cfg(unix)]
fn make_link(target: &str, place: &Path) -> io::Result<()> {
    fs_err::os::unix::fs::symlink(target, place)
}

#[cfg(not(unix))]
fn make_link(target: &str, place: &Path) -> io::Result<()> {
    std::os::windows::fs::symlink_file(target, place)
}
