//! ZIP archives: reader, for stored and deflated members (APPNOTE 6.3, with the 64-bit sizes).
//!
//! The tables are read by the crate `rawzip`; what they say is checked here. Refused are encrypted members, symbolic links, other
//! compression, names that lead out of a folder, members that share bytes of the archive, and archives that say they hold more than
//! [`LARGEST_TOTAL`] bytes or more than deflate can make of theirs. A member never gives more bytes than the archive says, and its CRC is
//! checked.

use std::{
    io::{self, Read},
    sync::Arc,
};

use flate2::read::DeflateDecoder;
use rawzip::{CompressionMethod, ErrorKind, ZipArchiveEntryWayfinder, ZipLocator};

use super::member_name;
use crate::base::{malformed::Malformed, read_at::ReadAt};

pub use super::member_name::NameError;

/// What an archive with members starts with.
pub const MAGIC: [u8; 4] = *b"PK\x03\x04";
/// What an archive without members starts with.
pub const MAGIC_EMPTY: [u8; 4] = *b"PK\x05\x06";
/// Most bytes that all members of an archive may have together.
pub const LARGEST_TOTAL: u64 = 4 << 30;
/// Most bytes that deflate makes of one.
const LARGEST_RATIO: u64 = 1032;
/// Most members.
const MEMBERS: usize = 1 << 20;

/// An opened archive: its tables are read and checked, its data is not.
#[derive(Debug)]
pub struct ZipArchive {
    inner: rawzip::ZipArchive<Source>,
    members: Vec<Member>,
    places: Vec<Place>,
}

/// A file in an archive. Folders are not listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The path with `\`; names that could lead out of a folder were refused.
    pub name: String,
    /// Size in bytes, as the archive's table says; the content has exactly as many or is refused.
    pub size: u64,
}

/// Where a member's bytes lie.
#[derive(Debug)]
struct Place {
    wayfinder: ZipArchiveEntryWayfinder,
    deflated: bool,
}

/// Why an archive cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ZipError {
    /// It does not hold what the format demands.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The source cannot be read.
    #[error("cannot read the ZIP archive")]
    Io(#[source] io::Error),
    /// It uses something that this program does not read, or is too large.
    #[error("{0} is not supported")]
    Unsupported(String),
    /// A member's name cannot be used.
    #[error("the ZIP archive's member {member:?} has a name that cannot be used")]
    Name {
        /// The name, as the archive has it.
        member: String,
        /// What is wrong with it.
        source: NameError,
    },
    /// The receiver of a member failed.
    #[error("cannot take the member {member:?}")]
    Sink {
        /// The member.
        member: String,
        /// What the receiver says.
        source: io::Error,
    },
}

/// The source as `rawzip` wants it.
#[derive(Debug)]
struct Source(Arc<dyn ReadAt>);

impl rawzip::ReaderAt for Source {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let left = self.0.size().saturating_sub(offset);
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        self.0.read_exact_at(offset, &mut buffer[..count])?;
        Ok(count)
    }
}

impl ZipArchive {
    /// Reads and checks the tables.
    ///
    /// # Errors
    /// When the source cannot be read, is no ZIP archive or a damaged one, or holds what the module's head says is refused.
    pub fn open(source: Arc<dyn ReadAt>) -> Result<Self, ZipError> {
        let size = source.size();
        let mut buffer = vec![0; rawzip::MAX_CENTRAL_DIRECTORY_RECORD_SIZE];
        let inner = ZipLocator::new()
            .locate_in_reader(Source(source), &mut buffer, size)
            .map_err(|(_, error)| table_error(&error_text(&error), error))?;
        let (members, places) = read_members(&inner, &mut buffer)?;
        check_ranges(&inner, &places)?;
        Ok(Self { inner, members, places })
    }

    /// All files, in the order of the archive's table.
    #[must_use]
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// Gives the content of the wanted members to `sink`, in the order of the table. What `sink` leaves unread is not checked.
    ///
    /// # Errors
    /// When data is damaged, cannot be read, or `sink` fails. The failing member must be dropped.
    pub fn extract(
        &self,
        wanted: impl Fn(&Member) -> bool,
        sink: &mut dyn FnMut(&Member, &mut dyn Read) -> io::Result<()>,
    ) -> Result<(), ZipError> {
        for (member, place) in self.members.iter().zip(&self.places) {
            if !wanted(member) {
                continue;
            }
            let entry = self.inner.get_entry(place.wayfinder);
            let entry = entry.map_err(|error| table_error(&member.name, error))?;
            let raw = entry.reader();
            let plain: Box<dyn Read> =
                if place.deflated { Box::new(DeflateDecoder::new(raw)) } else { Box::new(raw) };
            let mut content = MemberReader {
                // One more, so that a member that is longer than it says is noticed.
                content: entry.verifying_reader(plain.take(member.size.saturating_add(1))),
                left: member.size,
                failure: None,
            };
            let taken = sink(member, &mut content);
            if let Some(error) = content.failure {
                return Err(damaged(&member.name, error));
            }
            taken.map_err(|source| ZipError::Sink { member: member.name.clone(), source })?;
        }
        Ok(())
    }
}

/// The content of one member, never more than its size.
struct MemberReader<R> {
    content: R,
    left: u64,
    /// What went wrong; the receiver's error may be another.
    failure: Option<io::Error>,
}

impl<R: Read> MemberReader<R> {
    fn read_checked(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.content.read(buffer)?;
        match self.left.checked_sub(count as u64) {
            Some(left) => self.left = left,
            None => {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "it is longer than it says",
                ));
            }
        }
        if count == 0 && self.left > 0 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it is shorter than it says"));
        }
        Ok(count)
    }
}

impl<R: Read> Read for MemberReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        if self.failure.is_some() {
            return Err(io::ErrorKind::InvalidData.into());
        }
        self.read_checked(buffer).map_err(|error| {
            let shown = io::Error::new(error.kind(), error.to_string());
            self.failure = Some(error);
            shown
        })
    }
}

/// Lists and checks the table.
fn read_members(
    archive: &rawzip::ZipArchive<Source>,
    buffer: &mut [u8],
) -> Result<(Vec<Member>, Vec<Place>), ZipError> {
    let (mut members, mut places, mut total) = (Vec::new(), Vec::new(), 0u64);
    let mut entries = archive.entries(buffer);
    let mut seen = 0u64;
    while let Some(entry) = entries.next_entry().map_err(|error| table_error("its table", error))? {
        seen += 1;
        let raw = entry.file_path();
        let text = String::from_utf8(raw.as_bytes().to_vec())
            .map_err(|_| malformed("a name that is not UTF-8", entry.central_directory_offset()))?;
        let unsupported = |what: &str| ZipError::Unsupported(format!("{what} ({text:?})"));
        let name = text.strip_suffix(['/', '\\']).unwrap_or(&text);
        let name = member_name::checked(name)
            .map_err(|source| ZipError::Name { member: text.clone(), source })?;
        if entry.flags().is_encrypted() || entry.flags().has_strong_encryption() {
            return Err(unsupported("an encrypted member"));
        }
        if entry.mode().is_symlink() {
            return Err(unsupported("a symbolic link in an archive"));
        }
        let (size, stored) = (entry.uncompressed_size_hint(), entry.compressed_size_hint());
        if text.ends_with(['/', '\\']) {
            if size > 0 {
                return Err(malformed("a folder with content", entry.central_directory_offset()));
            }
            continue;
        }
        let method = entry.compression_method();
        let deflated = method == CompressionMethod::DEFLATE;
        if !deflated && method != CompressionMethod::STORE {
            return Err(unsupported(&format!("the compression {method:?}")));
        }
        if size > stored.saturating_mul(if deflated { LARGEST_RATIO } else { 1 }) {
            let what = format!(
                "the member {text:?} says it has {size} bytes, more than {stored} stored bytes can make"
            );
            return Err(malformed(what, entry.central_directory_offset()));
        }
        total = total.saturating_add(size);
        if total > LARGEST_TOTAL || members.len() >= MEMBERS {
            return Err(ZipError::Unsupported(format!(
                "an archive of more than {LARGEST_TOTAL} bytes or {MEMBERS} files"
            )));
        }
        members.push(Member { name, size });
        places.push(Place { wayfinder: entry.wayfinder(), deflated });
    }
    if seen != archive.entries_hint() {
        let what =
            format!("it says it has {} members, its table has {seen}", archive.entries_hint());
        return Err(malformed(what, archive.directory_offset()));
    }
    Ok((members, places))
}

/// Refuses members that share bytes: the cheapest way to make much of little.
fn check_ranges(archive: &rawzip::ZipArchive<Source>, places: &[Place]) -> Result<(), ZipError> {
    let mut ranges = Vec::with_capacity(places.len());
    for place in places {
        let entry = archive.get_entry(place.wayfinder);
        ranges.push(entry.map_err(|error| table_error("a member", error))?.compressed_data_range());
    }
    ranges.sort_unstable();
    match ranges.windows(2).find(|pair| pair[0].1 > pair[1].0) {
        Some(pair) => Err(malformed("two members share bytes", pair[1].0)),
        None => Ok(()),
    }
}

fn malformed(what: impl Into<String>, offset: u64) -> ZipError {
    ZipError::Malformed(Malformed::new("ZIP archive", what, offset))
}

fn error_text(error: &rawzip::Error) -> String {
    match error.kind() {
        ErrorKind::MissingEndOfCentralDirectory => "its end".to_owned(),
        _ => "its table".to_owned(),
    }
}

/// An error of the tables; `item` says where.
fn table_error(item: &str, error: rawzip::Error) -> ZipError {
    let offset = error.eocd_offset().unwrap_or(0);
    match error.into_kind() {
        ErrorKind::IO(error) if error.kind() != io::ErrorKind::UnexpectedEof => ZipError::Io(error),
        kind => malformed(format!("{item}: {kind}"), offset),
    }
}

/// An error while a member's content was read.
fn damaged(member: &str, error: io::Error) -> ZipError {
    use io::ErrorKind::{InvalidData, InvalidInput, Other, UnexpectedEof};
    match error.kind() {
        InvalidData | InvalidInput | Other | UnexpectedEof => {
            malformed(format!("the member {member:?}: {error}"), 0)
        }
        _ => ZipError::Io(error),
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, io::Write};

    use proptest::prelude::*;

    use super::*;

    /// An archive of these files, deflated when the name says so.
    pub(crate) fn made(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut archive = rawzip::ZipArchiveWriter::new(&mut bytes);
        for (name, content) in files {
            let method = match name.contains("deflated") {
                true => CompressionMethod::DEFLATE,
                false => CompressionMethod::STORE,
            };
            let (mut entry, config) = archive
                .new_file(rawzip::path::EntryPath::verbatim(name.as_bytes()))
                .compression_method(method)
                .start()
                .unwrap();
            let descriptor = if method == CompressionMethod::DEFLATE {
                let encoder =
                    flate2::write::DeflateEncoder::new(&mut entry, flate2::Compression::default());
                let mut writer = config.wrap(encoder);
                writer.write_all(content).unwrap();
                let (encoder, descriptor) = writer.finish().unwrap();
                encoder.finish().unwrap();
                descriptor
            } else {
                let mut writer = config.wrap(&mut entry);
                writer.write_all(content).unwrap();
                writer.finish().unwrap().1
            };
            entry.finish(descriptor).unwrap();
        }
        archive.finish().unwrap();
        bytes
    }

    fn extract(bytes: Vec<u8>) -> Result<BTreeMap<String, Vec<u8>>, ZipError> {
        let archive = ZipArchive::open(Arc::new(bytes))?;
        let mut found = BTreeMap::new();
        archive.extract(|_| true, &mut |member, content| {
            let mut bytes = Vec::new();
            content.read_to_end(&mut bytes)?;
            found.insert(member.name.clone(), bytes);
            Ok(())
        })?;
        Ok(found)
    }

    #[test]
    fn stored_and_deflated_members_come_out() {
        let text = b"a driver package; ".repeat(5000);
        let found =
            extract(made(&[("a.inf", b"abc"), ("sub/deflated.sys", &text), ("empty", b"")]))
                .unwrap();
        assert_eq!(found.keys().collect::<Vec<_>>(), ["a.inf", "empty", r"sub\deflated.sys"]);
        assert!(found[r"sub\deflated.sys"] == text && found["a.inf"] == b"abc");
        assert!(extract(made(&[])).unwrap().is_empty());
    }

    #[test]
    fn names_that_lead_out_are_refused() {
        for name in ["../a", "/a", "C:a", "a/../../b", r"..\a", "nul"] {
            assert!(matches!(extract(made(&[(name, b"x")])), Err(ZipError::Name { .. })), "{name}");
        }
    }

    #[test]
    fn damage_and_lies_are_noticed() {
        let good = made(&[("a", b"0123456789")]);
        let mut bytes = good.clone();
        let place = bytes.windows(10).position(|part| part == b"0123456789").unwrap();
        bytes[place] ^= 1;
        assert!(matches!(extract(bytes), Err(ZipError::Malformed(_))));
        let table = good.windows(4).position(|part| part == b"PK\x01\x02").unwrap();
        let mut bytes = good.clone();
        bytes[table + 8] |= 1;
        assert!(extract(bytes).unwrap_err().to_string().contains("encrypted"));
        let mut bytes = good.clone();
        bytes[table + 24] = 200;
        assert!(extract(bytes).unwrap_err().to_string().contains("stored bytes can make"));
        let mut bytes = good;
        bytes[table + 10] = 12;
        assert!(extract(bytes).unwrap_err().to_string().contains("compression"));
        assert!(matches!(extract(b"PK\x03\x04 nothing".to_vec()), Err(ZipError::Malformed(_))));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn no_bytes_make_it_panic(
            changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        ) {
            let mut bytes = made(&[("a", b"0123456789"), ("deflated", &[7; 3000])]);
            for (place, value) in changes {
                let place = place.index(bytes.len());
                bytes[place] = value;
            }
            let _any = extract(bytes);
        }
    }
}
