//! Reading a metadata resource.
//!
//! Every list of children is read once: a list that is reached again is a cycle, or a trick to make a small file unfold into a huge
//! tree, and is refused. What other readers put up with is put right and reported as a warning.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::{
    error::WimError,
    metadata::{
        DENTRY_SIZE, Dentry, ImageMetadata, Reparse, STREAM_SIZE, Stream, StreamKind, attribute,
    },
};
use crate::base::{
    bytes::Reader, digest::Sha1, filetime::FileTime, limits::Limits, malformed::Malformed,
    name::Name,
};

const FORMAT: &str = "WIM metadata";
/// More warnings than this help nobody.
const MAX_WARNINGS: usize = 50;
/// An index that names no directory.
const NO_PARENT: u32 = u32::MAX;

pub(super) fn parse(bytes: &[u8], limits: &Limits) -> Result<ImageMetadata, WimError> {
    let mut parser = Parser {
        bytes,
        limits,
        image: ImageMetadata::default(),
        parents: Vec::new(),
        lists: HashMap::new(),
        suppressed: 0,
    };
    let root = parser.security()?;
    parser.tree(root)?;
    let Parser { mut image, suppressed, .. } = parser;
    if suppressed > 0 {
        image.warnings.push(format!("and {suppressed} more warnings"));
    }
    Ok(image)
}

struct Parser<'a> {
    bytes: &'a [u8],
    limits: &'a Limits,
    image: ImageMetadata,
    /// Of each entry its directory, for messages and depth.
    parents: Vec<u32>,
    /// Offset of each list read so far, and the directory it belongs to.
    lists: HashMap<u64, u32>,
    suppressed: usize,
}

/// A directory whose list is still to be read.
struct Pending {
    directory: u32,
    list: u64,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn warn(&mut self, text: impl FnOnce() -> String) {
        if self.image.warnings.len() < MAX_WARNINGS {
            self.image.warnings.push(text());
        } else {
            self.suppressed += 1;
        }
    }

    /// Reads the security descriptors; returns the offset of the root entry.
    fn security(&mut self) -> Result<usize, Malformed> {
        let mut reader = Reader::new(FORMAT, self.bytes);
        let total = match reader.u32()? {
            0 => 8,
            total => total as usize,
        };
        if total < 8 || total > self.bytes.len() {
            let what = format!("security data of {total} bytes in {}", self.bytes.len());
            return Err(Malformed::new(FORMAT, what, 0));
        }
        let mut reader = Reader::new(FORMAT, &self.bytes[..total]);
        reader.seek(4)?;
        let count = reader.u32()? as usize;
        let mut sizes = reader
            .sub(count.checked_mul(8).ok_or_else(|| reader.malformed("too many descriptors"))?)?;
        self.image.security.reserve(count);
        for _ in 0..count {
            let size = usize::try_from(sizes.u64()?)
                .map_err(|_| sizes.malformed("security descriptor is too long"))?;
            self.image.security.push(Arc::from(reader.bytes(size)?));
        }
        Ok(total.next_multiple_of(8))
    }

    fn tree(&mut self, root: usize) -> Result<(), WimError> {
        let mut reader = Reader::new(FORMAT, self.bytes);
        reader.seek(root)?;
        let Some((dentry, list)) = self.dentry(&mut reader)? else {
            return Err(reader.malformed("there is no root entry").into());
        };
        if !dentry.is_directory() {
            return Err(reader.malformed("the root is not a directory").into());
        }
        if !dentry.name.is_empty() {
            self.warn(|| format!("the root has a name: {}", dentry.name));
        }
        self.image.dentries.push(dentry);
        self.parents.push(NO_PARENT);
        let mut pending = vec![Pending { directory: 0, list, depth: 1 }];
        while let Some(next) = pending.pop() {
            let first = pending.len();
            self.list(&next, &mut pending)?;
            // The stack gives the last one first; pre-order wants the first one first.
            pending[first..].reverse();
        }
        Ok(())
    }

    /// Reads a directory's list; its subdirectories are appended to `pending`.
    fn list(&mut self, directory: &Pending, pending: &mut Vec<Pending>) -> Result<(), WimError> {
        if directory.list == 0 {
            return Ok(());
        }
        let mut reader = Reader::new(FORMAT, self.bytes);
        let start = usize::try_from(directory.list).unwrap_or(usize::MAX);
        reader.seek(start).map_err(|error| self.in_directory(error, directory.directory))?;
        let mut names = HashSet::new();
        loop {
            let offset = reader.offset();
            let Some((dentry, list)) = self
                .dentry(&mut reader)
                .map_err(|error| self.in_directory(error, directory.directory))?
            else {
                break;
            };
            if offset == directory.list {
                self.claim(directory)?;
            }
            if !self.is_acceptable(&dentry, directory, offset, &mut names)? {
                continue;
            }
            self.add(dentry, list, directory, pending)?;
        }
        Ok(())
    }

    /// Notes that the list of `directory`, which is not empty, is being read; refuses to read it twice.
    fn claim(&mut self, directory: &Pending) -> Result<(), WimError> {
        let Some(other) = self.lists.insert(directory.list, directory.directory) else {
            return Ok(());
        };
        let mut ancestor = directory.directory;
        while ancestor != NO_PARENT && ancestor != other {
            ancestor = self.parents[ancestor as usize];
        }
        let path = self.path(directory.directory);
        let what = if ancestor == other {
            format!("the directory tree has a cycle: {path} contains {}", self.path(other))
        } else {
            format!("{path} and {} share one list of entries", self.path(other))
        };
        Err(Malformed::new(FORMAT, what, directory.list).into())
    }

    /// False for an entry that is left out with a warning.
    fn is_acceptable(
        &mut self,
        dentry: &Dentry,
        directory: &Pending,
        offset: u64,
        names: &mut HashSet<Name>,
    ) -> Result<bool, WimError> {
        const DOT: u16 = b'.' as u16;
        const SEPARATORS: [u16; 3] = [0, b'/' as u16, b'\\' as u16];
        let problem = match dentry.name.units() {
            [DOT, DOT] => {
                let path = self.path(directory.directory);
                let what = format!("{path} contains an entry named \"..\"");
                return Err(Malformed::new(FORMAT, what, offset).into());
            }
            [] => "an entry without name",
            [DOT] => "an entry named \".\"",
            units if units.iter().any(|unit| SEPARATORS.contains(unit)) => {
                "an entry whose name has a separator or NUL"
            }
            _ if !names.insert(dentry.name.clone()) => "a second entry of the same name",
            _ => return Ok(true),
        };
        let path = self.path(directory.directory);
        self.warn(|| format!("{path}: {problem} is left out (\"{}\")", dentry.name));
        Ok(false)
    }

    fn add(
        &mut self,
        dentry: Dentry,
        list: u64,
        directory: &Pending,
        pending: &mut Vec<Pending>,
    ) -> Result<(), WimError> {
        let count = self.image.dentries.len();
        // Each entry takes its own bytes, unless lists overlap.
        if count > self.bytes.len() / DENTRY_SIZE {
            let what = "lists of entries overlap";
            return Err(Malformed::new(FORMAT, what, directory.list).into());
        }
        let index = u32::try_from(count)
            .map_err(|_| Malformed::new(FORMAT, "too many entries", directory.list))?;
        if dentry.is_directory() {
            if directory.depth >= self.limits.depth {
                let path = self.path(directory.directory);
                let short: String = path.chars().take(80).collect();
                let what = format!("{short}… nests deeper than {} levels", self.limits.depth);
                return Err(Malformed::new(FORMAT, what, directory.list).into());
            }
            pending.push(Pending { directory: index, list, depth: directory.depth + 1 });
        } else if list != 0 {
            self.warn(|| {
                format!("{} is a file and has a list of entries, which is left out", dentry.name)
            });
        }
        self.image.dentries.push(dentry);
        self.parents.push(directory.directory);
        self.image.dentries[directory.directory as usize].children.push(index);
        Ok(())
    }

    /// The path of an entry, for messages.
    fn path(&self, mut index: u32) -> String {
        let mut parts = Vec::new();
        while index != 0 && index != NO_PARENT {
            parts.push(self.image.dentries[index as usize].name.to_string());
            index = self.parents[index as usize];
        }
        let mut path = String::new();
        for part in parts.iter().rev() {
            path.push('\\');
            path.push_str(part);
        }
        if path.is_empty() { "\\".to_owned() } else { path }
    }

    fn in_directory(&self, mut error: Malformed, directory: u32) -> Malformed {
        error.what = format!("{} (in directory {})", error.what, self.path(directory));
        error
    }

    /// Reads an entry and its streams, and returns it with the offset of its list; `None` at the end of a list.
    fn dentry(&mut self, reader: &mut Reader<'a>) -> Result<Option<(Dentry, u64)>, Malformed> {
        reader.align(8)?;
        let length = reader.u64()?;
        if length <= 8 {
            return Ok(None);
        }
        let start = reader.position() - 8;
        let length = usize::try_from(length)
            .ok()
            .and_then(|length| length.checked_next_multiple_of(8))
            .filter(|&length| length >= DENTRY_SIZE)
            .ok_or_else(|| reader.malformed(format!("entry of {length} bytes")))?;
        reader.seek(start)?;
        let mut entry = reader.sub(length)?;
        entry.seek(8)?;
        let (mut dentry, list, main, stream_count) = self.fixed_part(&mut entry)?;
        let mut extra = Vec::with_capacity(stream_count.min(16));
        for _ in 0..stream_count {
            extra.push(stream(reader)?);
        }
        self.assign_streams(&mut dentry, main, extra);
        Ok(Some((dentry, list)))
    }

    fn fixed_part(
        &mut self,
        entry: &mut Reader<'_>,
    ) -> Result<(Dentry, u64, Sha1, usize), Malformed> {
        let mut dentry = Dentry { attributes: entry.u32()?, ..Dentry::default() };
        dentry.security_id = match entry.u32()? {
            u32::MAX => None,
            id if (id as usize) < self.image.security.len() => Some(id),
            id => {
                let count = self.image.security.len();
                self.warn(|| format!("security id {id} of {count} is taken as none"));
                None
            }
        };
        let list = entry.u64()?;
        entry.bytes(16)?;
        dentry.creation_time = FileTime(entry.u64()?);
        dentry.last_access_time = FileTime(entry.u64()?);
        dentry.last_write_time = FileTime(entry.u64()?);
        let main = Sha1(entry.array()?);
        dentry.unknown = entry.u32()?;
        if dentry.attributes & attribute::REPARSE_POINT != 0 {
            let (tag, reserved, flags) = (entry.u32()?, entry.u16()?, entry.u16()?);
            dentry.reparse = Some(Reparse { tag, reserved, flags });
        } else {
            dentry.hard_link_group = entry.u64()?;
        }
        let stream_count = usize::from(entry.u16()?);
        let short_length = entry.u16()?;
        let long_length = entry.u16()?;
        dentry.name = name(entry, long_length)?;
        dentry.short_name = name(entry, short_length)?;
        if entry.remaining() > 0 {
            entry.align(8)?;
        }
        dentry.tagged_items = entry.bytes(entry.remaining())?.to_vec();
        Ok((dentry, list, main, stream_count))
    }

    /// Decides what each stream holds, as Windows and wimlib read them.
    fn assign_streams(&mut self, dentry: &mut Dentry, main: Sha1, extra: Vec<(Name, Sha1)>) {
        let has_unnamed = extra.iter().any(|(name, _)| name.is_empty());
        let mut unnamed = Vec::new();
        let mut named = Vec::new();
        if !(main.is_zero() && has_unnamed) {
            unnamed.push(main);
        }
        for (name, sha1) in extra {
            if name.is_empty() {
                unnamed.push(sha1);
            } else {
                named.push(Stream { kind: StreamKind::Named, name, sha1 });
            }
        }
        let is_encrypted = dentry.attributes & attribute::ENCRYPTED != 0 && !dentry.is_directory();
        let kinds: &[StreamKind] = match (is_encrypted, dentry.reparse) {
            (true, _) => &[StreamKind::Efs],
            (false, Some(_)) => &[StreamKind::Reparse, StreamKind::Data],
            (false, None) => &[StreamKind::Data],
        };
        for (index, sha1) in unnamed.into_iter().enumerate() {
            match kinds.get(index) {
                // The format writes empty ones where it has to and leaves them out elsewhere.
                Some(&kind) if kind == StreamKind::Reparse || !sha1.is_zero() => {
                    dentry.streams.push(Stream { kind, name: Name::default(), sha1 });
                }
                Some(_) => {}
                None if sha1.is_zero() => {}
                None => {
                    let name = dentry.name.clone();
                    self.warn(|| format!("{name}: unnamed stream {sha1} too many is left out"));
                }
            }
        }
        dentry.streams.append(&mut named);
    }
}

fn stream(reader: &mut Reader<'_>) -> Result<(Name, Sha1), Malformed> {
    reader.align(8)?;
    let start = reader.position();
    let length = reader.u64()?;
    let length = usize::try_from(length)
        .ok()
        .and_then(|length| length.checked_next_multiple_of(8))
        .filter(|&length| length >= STREAM_SIZE)
        .ok_or_else(|| reader.malformed(format!("stream entry of {length} bytes")))?;
    reader.seek(start)?;
    let mut entry = reader.sub(length)?;
    entry.seek(16)?;
    let sha1 = Sha1(entry.array()?);
    let name_length = entry.u16()?;
    Ok((name(&mut entry, name_length)?, sha1))
}

/// Reads a name of `length` bytes and the NUL behind it, where there is a name and room for it.
fn name(entry: &mut Reader<'_>, length: u16) -> Result<Name, Malformed> {
    if !length.is_multiple_of(2) {
        return Err(entry.malformed(format!("name of {length} bytes")));
    }
    let name = Name::from_units(entry.utf16(usize::from(length / 2))?);
    if length != 0 && entry.remaining() >= 2 {
        entry.u16()?;
    }
    Ok(name)
}
