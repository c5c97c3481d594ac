//! Deltas of Microsoft's "PA30" kind: a file told by how it differs from another, the *reference*. What updates carry programs as, and what
//! component manifests are stored as in an installed Windows ([`crate::format::dcm`]).
//!
//! A file is `PA30`, the target's time, and one stream of bits: which kinds of file the delta was made for, which it is, flags, the target's
//! size, its hash (MD5 in updates, none in manifests), what prepares the reference, and the patch stream (`stream`). Nothing of this is published;
//! the facts come from `facts/manifests-keyforms-pa30.md`, section 6, and were checked against deltas of Windows' own.
//!
//! Read are *raw* deltas, for which the reference is just bytes; an empty one is a reference too. Refused by name are deltas of executables (the
//! reference is rewritten before it is used), reverse deltas, other patch streams (bsdiff, LZMS), `PA31` and `PA19`.

mod bits;
mod encode;
mod huffman;
mod stream;

use sha2::Digest as _;

use crate::base::{
    digest::{Sha1, to_hex},
    filetime::FileTime,
    malformed::Malformed,
};
use bits::Bits;

pub use encode::create;

/// The first bytes of every delta that is read here.
pub const MAGIC: [u8; 4] = *b"PA30";

const FORMAT: &str = "PA30 delta";
/// Bytes before the stream of bits: the magic and the target's time.
const HEADER: usize = 12;
/// Bit of the set of file types: the delta leads back as well.
const REVERSE: u64 = 0x100;
/// Flag: the patch stream is of the bsdiff kind.
const FLAG_BSDIFF: u64 = 0x100;
/// Flag: the target may be larger than the maker's own limit. It changes nothing for the reader.
const FLAG_NO_SIZE_LIMIT: u64 = 0x2_0000;
/// What patch streams start with that are compressed once more (LZMS, by the Windows compression interface).
const COMPRESSED: [u8; 4] = 0xC0E5_510A_u32.to_le_bytes();

/// What a delta says of the file that it makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeltaHeader {
    /// Time of the target.
    pub time: FileTime,
    /// What the delta takes its target for.
    pub kind: FileKind,
    /// How the reference is prepared and the patch stream is written, as bits.
    pub flags: u64,
    /// Size of the target in bytes.
    pub size: u64,
    /// Hash of the target, where the delta has one.
    pub hash: Option<TargetHash>,
}

/// What a delta takes its target for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// Just bytes.
    Raw,
    /// A program, or what else the number (1 to 0x80 in real deltas) stands for.
    Executable(u64),
}

/// The hash that a delta has of its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetHash {
    /// MD5.
    Md5([u8; 16]),
    /// SHA-1.
    Sha1(Sha1),
    /// SHA-256.
    Sha256([u8; 32]),
}

/// Why a delta cannot be applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeltaError {
    /// It does not hold what the format demands, or does not belong to this reference.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// It is of a kind that this program does not read.
    #[error("{0} is not supported")]
    Unsupported(String),
    /// The target is larger than its user wants it.
    #[error("the delta makes a file of {size} bytes, more than the {limit} expected")]
    TooLarge {
        /// Size of the target.
        size: u64,
        /// Most that it may have.
        limit: u64,
    },
    /// The result is not what the delta was made of.
    #[error(
        "the delta makes a file with the {algorithm} {found}, not {expected}: it is damaged or belongs to another reference"
    )]
    Hash {
        /// Name of the hash.
        algorithm: &'static str,
        /// What the delta says, in hexadecimal digits.
        expected: String,
        /// What came out.
        found: String,
    },
}

impl DeltaError {
    /// True when the delta may be right, but only Windows can apply it.
    #[must_use]
    pub fn is_unsupported(&self) -> bool {
        matches!(self, Self::Unsupported(_))
    }
}

impl FileKind {
    /// What it is, for people.
    #[must_use]
    pub fn name(self) -> String {
        let number = match self {
            Self::Raw => return "raw bytes".to_owned(),
            Self::Executable(number) => number,
        };
        let name = match number {
            2 => "x86 executable",
            4 => "IA-64 executable",
            8 => "amd64 executable",
            0x10 => "x86 .NET executable",
            0x20 => "amd64 .NET executable",
            0x40 => "ARM .NET executable",
            0x80 => "arm64 .NET executable",
            other => return format!("file type {other:#x}"),
        };
        name.to_owned()
    }
}

impl TargetHash {
    /// The same hash of `data`.
    fn of_same_kind(self, data: &[u8]) -> Self {
        match self {
            Self::Md5(_) => Self::Md5(md5::Md5::digest(data).into()),
            Self::Sha1(_) => Self::Sha1(Sha1::of(data)),
            Self::Sha256(_) => Self::Sha256(sha2::Sha256::digest(data).into()),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Md5(_) => "MD5",
            Self::Sha1(_) => "SHA-1",
            Self::Sha256(_) => "SHA-256",
        }
    }

    fn to_hex(self) -> String {
        match self {
            Self::Md5(hash) => to_hex(&hash),
            Self::Sha1(hash) => hash.to_hex(),
            Self::Sha256(hash) => to_hex(&hash),
        }
    }
}

/// A delta taken apart.
struct Parts<'a> {
    header: DeltaHeader,
    /// The set of kinds that the delta was made for.
    kinds: u64,
    /// What prepares the reference.
    preparation: &'a [u8],
    patch: &'a [u8],
    /// Where the patch stream starts in the file.
    patch_at: u64,
}

/// What `delta` says of the file that it makes. This also works for executables.
///
/// # Errors
/// When it is no PA30 delta, or its head is damaged.
pub fn target_of(delta: &[u8]) -> Result<DeltaHeader, DeltaError> {
    parse(delta).map(|parts| parts.header)
}

/// The file that `delta` makes out of `reference`, which has at most `limit` bytes. Memory: the result, which grows as it is made, and the tables of
/// the codes, which the delta's own size bounds.
///
/// # Errors
/// When the delta is damaged, is of a kind that is not supported, makes a larger file, or makes one with another hash than it says.
pub fn apply(delta: &[u8], reference: &[u8], limit: u64) -> Result<Vec<u8>, DeltaError> {
    let parts = parse(delta)?;
    refuse_unsupported(&parts)?;
    let DeltaHeader { size, hash, .. } = parts.header;
    let limit = limit.min(isize::MAX as u64 / 2);
    let length = usize::try_from(size).ok().filter(|_| size <= limit);
    let length = length.ok_or(DeltaError::TooLarge { size, limit })?;
    let target = if length == 0 {
        Vec::new()
    } else {
        stream::decode(parts.patch, reference, length)
            .map_err(|(what, at)| Malformed::new(FORMAT, what, parts.patch_at + at))?
    };
    if let Some(expected) = hash {
        let found = expected.of_same_kind(&target);
        if found != expected {
            return Err(DeltaError::Hash {
                algorithm: expected.name(),
                expected: expected.to_hex(),
                found: found.to_hex(),
            });
        }
    }
    Ok(target)
}

fn refuse_unsupported(parts: &Parts<'_>) -> Result<(), DeltaError> {
    let DeltaHeader { kind, flags, .. } = parts.header;
    let what = if kind != FileKind::Raw {
        format!("a delta of PE kind ({})", kind.name())
    } else if parts.kinds & REVERSE != 0 {
        "a delta that leads both ways (a reverse delta)".to_owned()
    } else if flags & FLAG_BSDIFF != 0 {
        "a delta with a bsdiff patch stream".to_owned()
    } else if flags & !FLAG_NO_SIZE_LIMIT != 0 || !parts.preparation.is_empty() {
        format!("a delta that changes its reference before it uses it (flags {flags:#x})")
    } else if parts.patch.starts_with(&COMPRESSED) {
        "a delta with an LZMS patch stream".to_owned()
    } else {
        return Ok(());
    };
    Err(DeltaError::Unsupported(what))
}

fn parse(delta: &[u8]) -> Result<Parts<'_>, DeltaError> {
    let malformed = |what: &str, at: u64| Malformed::new(FORMAT, what, at);
    match delta.first_chunk::<4>() {
        Some(&MAGIC) => {}
        Some(b"PA31" | b"PA19") => {
            let magic = String::from_utf8_lossy(&delta[..4]).into_owned();
            return Err(DeltaError::Unsupported(format!("a delta of the {magic} kind")));
        }
        _ => return Err(malformed("it does not start with PA30", 0).into()),
    }
    let time = delta.get(4..HEADER).and_then(<[u8]>::first_chunk);
    let time = time.ok_or_else(|| malformed("shorter than its header", 4))?;
    let start = HEADER as u64;
    let mut bits = Bits::new(&delta[HEADER..]).map_err(|what| malformed(what, start))?;
    let parts = read_parts(&mut bits, FileTime(u64::from_le_bytes(*time)));
    parts.map_err(|what| malformed(what, start + bits.offset()).into())
}

fn read_parts<'a>(bits: &mut Bits<'a>, time: FileTime) -> Result<Parts<'a>, &'static str> {
    let kinds = bits.number()?;
    let kind = match bits.number()? {
        1 => FileKind::Raw,
        other => FileKind::Executable(other),
    };
    let (flags, size, algorithm) = (bits.number()?, bits.number()?, bits.number()?);
    let (hash, _) = bits.buffer()?;
    let wrong_size = "a hash of the wrong size";
    let hash = match algorithm {
        0 => None,
        0x8003 => Some(TargetHash::Md5(hash.try_into().map_err(|_| wrong_size)?)),
        0x8004 => Some(TargetHash::Sha1(Sha1(hash.try_into().map_err(|_| wrong_size)?))),
        0x800C => Some(TargetHash::Sha256(hash.try_into().map_err(|_| wrong_size)?)),
        _ => return Err("a hash of an unknown kind"),
    };
    let (preparation, _) = bits.buffer()?;
    let (patch, at) = bits.buffer()?;
    let header = DeltaHeader { time, kind, flags, size, hash };
    Ok(Parts { header, kinds, preparation, patch, patch_at: HEADER as u64 + at })
}

#[cfg(test)]
mod tests;
