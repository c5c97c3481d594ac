//! The tables at the start of a cabinet. All numbers are little-endian.
//!
//! Header (36 bytes): `MSCF`, 0, u32 size, 0, u32 offset of the files, 0, u8 minor and major version (3, 1), u16 folders, u16 files, u16
//! flags, u16 set, u16 number in the set. Flags: 1 a cabinet precedes, 2 one follows, 4 reserved sizes follow (u16 header, u8 folder, u8 block).
//! Folder (8 bytes): u32 offset of the first block, u16 blocks, u16 method (low 4 bits: 0 stored, 1 MSZIP, 2 Quantum, 3 LZX with the window
//! bits in bits 8 to 12). File (16 bytes): u32 size, u32 offset in the folder, u16 folder, u16 date, u16 time, u16 attributes, name up to a NUL.

use std::sync::Arc;

use super::{CabError, Cabinet, MAGIC, Member};
use crate::{
    base::{malformed::Malformed, read_at::ReadAt},
    format::member_name,
};

const HEADER: usize = 36;
const FOLDER: usize = 8;
const FILE: usize = 16;
/// Longest name, in bytes.
const NAME: usize = 256;
/// Most bytes that a block makes.
pub(super) const BLOCK: u64 = 32 << 10;

const HAS_PREVIOUS: u16 = 1;
const HAS_NEXT: u16 = 2;
const HAS_RESERVE: u16 = 4;
/// Folder numbers from here on mean that the file goes on in another cabinet.
const CONTINUED: u16 = 0xFFFD;
/// Attribute: the name is UTF-8.
pub(super) const NAME_IS_UTF8: u16 = 0x80;

/// A stream of blocks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Folder {
    /// Offset of its first block.
    pub(super) first: u64,
    /// Number of blocks.
    pub(super) blocks: u16,
    /// How they are compressed.
    pub(super) method: Method,
}

/// How the blocks of a folder are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    Stored,
    MsZip,
    /// With this many window bits.
    Lzx(u32),
}

/// An error for bad bytes.
pub(super) fn malformed(what: impl Into<String>, offset: u64) -> CabError {
    CabError::Malformed(Malformed::new("cabinet", what, offset))
}

/// Bytes of the cabinet, with checked reading.
struct Tables<'a> {
    bytes: &'a [u8],
    position: usize,
    /// Where `bytes` starts in the file.
    start: u64,
}

impl<'a> Tables<'a> {
    fn take(&mut self, size: usize) -> Result<&'a [u8], CabError> {
        let rest = self.bytes.get(self.position..).unwrap_or_default();
        let taken =
            rest.get(..size).ok_or_else(|| malformed("its tables end too early", self.offset()))?;
        self.position += size;
        Ok(taken)
    }

    fn offset(&self) -> u64 {
        self.start + self.position as u64
    }

    /// Bytes up to a NUL, which is dropped.
    fn text(&mut self) -> Result<&'a [u8], CabError> {
        let rest = self.bytes.get(self.position..).unwrap_or_default();
        let end = rest.iter().take(NAME + 1).position(|&byte| byte == 0);
        let end = end.ok_or_else(|| malformed("a name without an end", self.offset()))?;
        self.position += end + 1;
        Ok(&rest[..end])
    }
}

fn u16_at(bytes: &[u8], offset: usize) -> u16 {
    bytes
        .get(offset..)
        .and_then(|rest| rest.first_chunk())
        .map_or(0, |pair| u16::from_le_bytes(*pair))
}

fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    bytes
        .get(offset..)
        .and_then(|rest| rest.first_chunk())
        .map_or(0, |four| u32::from_le_bytes(*four))
}

/// Reads the tables of a cabinet.
pub(super) fn read(source: Arc<dyn ReadAt>) -> Result<Cabinet, CabError> {
    let mut header = [0; HEADER];
    if source.size() < HEADER as u64 {
        return Err(malformed("shorter than its header", 0));
    }
    source.read_exact_at(0, &mut header).map_err(CabError::Io)?;
    if header[..4] != MAGIC {
        return Err(malformed("it does not start with MSCF", 0));
    }
    let size = u64::from(u32_at(&header, 8));
    if size > source.size() {
        let what = format!("its header says {size} bytes, there are {}", source.size());
        return Err(malformed(what, 8));
    }
    let files_at = u64::from(u32_at(&header, 16));
    let (minor, major) = (header[24], header[25]);
    if major != 1 {
        return Err(CabError::Unsupported(format!("cabinet version {major}.{minor}")));
    }
    let (folder_count, file_count) = (u16_at(&header, 26), u16_at(&header, 28));
    let flags = u16_at(&header, 30);
    if flags & (HAS_PREVIOUS | HAS_NEXT) != 0 {
        return Err(CabError::Unsupported("a set of several cabinets".to_owned()));
    }
    let start = HEADER as u64;
    let most = 4 + 0xFFFF + usize::from(folder_count) * (FOLDER + 0xFF);
    let bytes = bytes_at(source.as_ref(), size, start, most)?;
    let mut tables = Tables { bytes: &bytes, position: 0, start };
    let (mut folder_reserve, mut block_reserve) = (0, 0);
    if flags & HAS_RESERVE != 0 {
        let sizes = tables.take(4)?;
        (folder_reserve, block_reserve) = (usize::from(sizes[2]), sizes[3]);
        tables.take(usize::from(u16_at(sizes, 0)))?;
    }
    let folders = read_folders(&mut tables, folder_count, folder_reserve, size)?;
    let most = usize::from(file_count) * (FILE + NAME + 1);
    let bytes = bytes_at(source.as_ref(), size, files_at, most)?;
    let mut tables = Tables { bytes: &bytes, position: 0, start: files_at };
    let members = (0..file_count)
        .map(|_| read_member(&mut tables, &folders))
        .collect::<Result<Vec<Member>, CabError>>()?;
    Ok(Cabinet { source, size, folders, members, block_reserve })
}

/// At most `most` bytes from `offset` on, up to the end of the cabinet.
fn bytes_at(source: &dyn ReadAt, size: u64, offset: u64, most: usize) -> Result<Vec<u8>, CabError> {
    let left = size
        .checked_sub(offset)
        .ok_or_else(|| malformed("its tables lie behind its end", offset))?;
    let mut bytes = vec![0; usize::try_from(left).unwrap_or(usize::MAX).min(most)];
    source.read_exact_at(offset, &mut bytes).map_err(CabError::Io)?;
    Ok(bytes)
}

fn read_folders(
    tables: &mut Tables<'_>,
    count: u16,
    reserve: usize,
    size: u64,
) -> Result<Vec<Folder>, CabError> {
    let mut folders = Vec::new();
    for _ in 0..count {
        let at = tables.offset();
        let bytes = tables.take(FOLDER)?;
        tables.take(reserve)?;
        let (first, blocks) = (u64::from(u32_at(bytes, 0)), u16_at(bytes, 4));
        let kind = u16_at(bytes, 6);
        let method = match kind & 0xF {
            0 => Method::Stored,
            1 => Method::MsZip,
            2 => return Err(CabError::Unsupported("Quantum compression in cabinets".to_owned())),
            3 if (15..=21).contains(&(kind >> 8 & 0x1F)) => {
                Method::Lzx(u32::from(kind >> 8 & 0x1F))
            }
            3 => return Err(malformed("an LZX window that is not 32 KiB to 2 MiB", at)),
            other => {
                return Err(CabError::Unsupported(format!(
                    "compression method {other} in cabinets"
                )));
            }
        };
        if first > size {
            return Err(malformed("a folder behind the end", at));
        }
        folders.push(Folder { first, blocks, method });
    }
    Ok(folders)
}

fn read_member(tables: &mut Tables<'_>, folders: &[Folder]) -> Result<Member, CabError> {
    let at = tables.offset();
    let bytes = tables.take(FILE)?;
    let text = tables.text()?;
    let attributes = u16_at(bytes, 14);
    let text = if attributes & NAME_IS_UTF8 != 0 {
        std::str::from_utf8(text).map_err(|_| malformed("a name that is not UTF-8", at))?.to_owned()
    } else {
        encoding_rs::WINDOWS_1252.decode_without_bom_handling(text).0.into_owned()
    };
    let (size, offset) = (u64::from(u32_at(bytes, 0)), u64::from(u32_at(bytes, 4)));
    let folder = u16_at(bytes, 8);
    if folder >= CONTINUED {
        return Err(CabError::Unsupported("a set of several cabinets".to_owned()));
    }
    let Some(Folder { blocks, .. }) = folders.get(usize::from(folder)) else {
        return Err(malformed(
            format!("the member {text:?} lies in a folder that is not there"),
            at,
        ));
    };
    if offset + size > u64::from(*blocks) * BLOCK {
        return Err(malformed(format!("the member {text:?} is longer than its folder"), at));
    }
    let name = member_name::checked(&text)
        .map_err(|source| CabError::Name { member: text.clone(), source })?;
    let (date, time) = (u16_at(bytes, 10), u16_at(bytes, 12));
    Ok(Member { name, size, folder: usize::from(folder), offset, date, time, attributes })
}
