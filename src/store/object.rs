//! The file of one blob in one form.
//!
//! ```text
//!   0   8  "TRNSBLOB"
//!   8   4  version of this header: 2
//!  12   1  codec: 0 none, 1 XPRESS, 2 LZX, 3 LZMS
//!  13   1  level: 0 fast
//!  14   1  1 when the resource is compressed, 0 when it is the content as it is
//!  15   1  version of the encoder that made the resource (`Codec::encoder_version`)
//!  16   4  chunk size
//!  20   4  0
//!  24   8  size of the content
//!  32   8  size of the resource
//!  40  20  SHA-1 of the content
//!  60   4  0
//!  64  32  BLAKE3 of the content: also the file's name
//!  96  32  BLAKE3 of the resource
//! 128  32  BLAKE3 of the 128 bytes above
//! 160      the resource: chunk table and chunks
//! ```
//! Integers are little-endian.

use std::{io, path::PathBuf, sync::Arc};

use super::{
    blob::{Resource, ResourceSettings, StoredBlob, coding},
    error::StoreError,
    folder::fan_out,
};
use crate::{
    base::{
        bytes::{Reader, Writer},
        digest::{Blake3, Sha1},
        malformed::Malformed,
        read_at::{FileSource, ReadAt},
    },
    codec::{Codec, Level},
    format::wim::{DecodedResource, ResourceHeader},
};

const MAGIC: &[u8; 8] = b"TRNSBLOB";
const VERSION: u32 = 2;
/// Bytes in front of the resource.
pub(super) const HEADER: usize = 160;
/// Bytes that the header's own digest covers.
const COVERED: usize = 128;
/// How much is read at once. Files are never mapped: a file that shrinks must be an error, not a signal.
const PIECE: usize = 1 << 20;

/// The header of an object file, without what is constant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) blob: StoredBlob,
    pub(super) settings: ResourceSettings,
    /// Version of the encoder that made it.
    pub(super) encoder: u8,
    pub(super) compressed: bool,
    pub(super) stored_size: u64,
    pub(super) stored: Blake3,
}

impl Header {
    pub(super) fn to_bytes(self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.bytes(MAGIC);
        writer.u32(VERSION);
        let codec = match self.settings.codec {
            Codec::None => 0,
            Codec::Xpress => 1,
            Codec::Lzx => 2,
            Codec::Lzms => 3,
        };
        let level = match self.settings.level {
            Level::Fast => 1,
            Level::Default => 0,
            Level::High => 2,
            Level::Max => 3,
        };
        writer.bytes(&[codec, level, u8::from(self.compressed), self.encoder]);
        writer.u32(self.settings.chunk_size);
        writer.u32(0);
        writer.u64(self.blob.size);
        writer.u64(self.stored_size);
        writer.bytes(&self.blob.sha1.0);
        writer.u32(0);
        writer.bytes(&self.blob.blake3.0);
        writer.bytes(&self.stored.0);
        let mut bytes = writer.data;
        let digest = Blake3::of(&bytes);
        bytes.extend_from_slice(&digest.0);
        bytes
    }

    pub(super) fn parse(bytes: &[u8; HEADER]) -> Result<Self, Malformed> {
        let wrong = |what: &str| Malformed::new("store object", what, 0);
        let mut reader = Reader::new("store object", &bytes[..]);
        if reader.bytes(8)? != MAGIC || reader.u32()? != VERSION {
            return Err(wrong("not a blob of this version"));
        }
        if Blake3::of(&bytes[..COVERED]).0 != bytes[COVERED..] {
            return Err(wrong("the header is damaged"));
        }
        let codec = match reader.u8()? {
            0 => Codec::None,
            1 => Codec::Xpress,
            2 => Codec::Lzx,
            3 => Codec::Lzms,
            _ => return Err(wrong("unknown codec")),
        };
        let level = match reader.u8()? {
            0 => Level::Default,
            1 => Level::Fast,
            2 => Level::High,
            3 => Level::Max,
            _ => return Err(wrong("unknown level")),
        };
        let compressed = reader.u8()? == 1;
        let encoder = reader.u8()?;
        let chunk_size = reader.u32()?;
        reader.u32()?;
        let size = reader.u64()?;
        let stored_size = reader.u64()?;
        let sha1 = Sha1(reader.array()?);
        reader.u32()?;
        let blake3 = Blake3(reader.array()?);
        let stored = Blake3(reader.array()?);
        let settings = ResourceSettings { codec, chunk_size, level };
        Ok(Self {
            blob: StoredBlob { blake3, sha1, size },
            settings,
            encoder,
            compressed,
            stored_size,
            stored,
        })
    }

    /// How long the object file must be.
    pub(super) fn file_size(&self) -> u64 {
        self.stored_size.saturating_add(HEADER as u64)
    }

    /// The content, decoded as it is read.
    pub(super) fn decoded(&self, resource: &Resource) -> Result<Arc<dyn ReadAt>, StoreError> {
        let flags = if self.compressed { ResourceHeader::COMPRESSED } else { 0 };
        let header = ResourceHeader {
            stored_size: self.stored_size,
            flags,
            offset: resource.offset,
            size: self.blob.size,
        };
        let ResourceSettings { codec, chunk_size, .. } = self.settings;
        let decoded = DecodedResource::new(Arc::clone(&resource.source), header, codec, chunk_size);
        Ok(Arc::new(decoded.map_err(coding)?))
    }
}

/// An object file that is open only while it is read.
#[derive(Debug)]
pub(super) struct ObjectFile {
    pub(super) path: PathBuf,
    pub(super) size: u64,
}

impl ReadAt for ObjectFile {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        FileSource::open(&self.path)?.read_exact_at(offset, buffer)
    }
}

/// BLAKE3 of a part of `source`, read in pieces.
pub(super) fn hash(source: &dyn ReadAt, offset: u64, length: u64) -> io::Result<Blake3> {
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; usize::try_from(length).unwrap_or(PIECE).min(PIECE)];
    let (mut position, end) = (offset, offset.saturating_add(length));
    while position < end {
        let step = usize::try_from(end - position).unwrap_or(PIECE).min(buffer.len());
        source.read_exact_at(position, &mut buffer[..step])?;
        hasher.update(&buffer[..step]);
        position += step as u64;
    }
    Ok(Blake3(*hasher.finalize().as_bytes()))
}

/// The object name of a blob in a form.
pub(super) fn object(blake3: &Blake3, suffix: &str) -> String {
    let hex = blake3.to_hex();
    let (fan, rest) = fan_out(&hex);
    format!("blobs/{fan}/{rest}.{suffix}")
}

/// The digest in an object's name: the reverse of [`object`].
pub(super) fn named_digest(name: &str) -> Option<Blake3> {
    let (digest, _) = name.strip_prefix("blobs/")?.split_once('.')?;
    Blake3::from_hex(&digest.replace('/', ""))
}

pub(super) fn codec_word(codec: Codec) -> &'static str {
    match codec {
        Codec::None => "none",
        Codec::Xpress => "xpress",
        Codec::Lzx => "lzx",
        Codec::Lzms => "lzms",
    }
}
