//! Writing a WIM from a plan that is complete before the first byte.

use std::{fs::File, sync::Arc};

use super::{
    error::WimError,
    info::WimXml,
    reader::{Blob, Wim},
};
use crate::{
    base::{digest::Sha1, guid::Guid, read_at::ReadAt},
    codec::{Codec, Level},
};

/// How a WIM is to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WriteSettings {
    /// Compression of all resources.
    pub codec: Codec,
    /// Bytes in a chunk; must be one that [`Codec::allows_chunk_size`].
    pub chunk_size: u32,
    /// Effort for what has to be compressed.
    pub level: Level,
    /// Whether to write an integrity table. The output must then be open for reading too.
    pub integrity: bool,
    /// Number of the bootable image, from 1; 0 for none.
    pub boot_index: u32,
    /// The header flag that says absolute links were made relative to the image's root.
    pub rp_fix: bool,
}

/// Where the bytes of a blob come from.
#[derive(Debug, Clone)]
pub enum BlobSource {
    /// A blob of another WIM: its stored bytes are copied when codec and chunk size are the output's, else it is compressed anew.
    Wim {
        /// The WIM.
        wim: Arc<Wim>,
        /// The blob in it.
        blob: Blob,
    },
    /// A resource that is ready in the output's own codec and chunk size (see [`super::encode_resource`]).
    Resource {
        /// Where it is.
        source: Arc<dyn ReadAt>,
        /// Offset in `source`.
        offset: u64,
        /// Bytes in `source`.
        stored_size: u64,
        /// Whether it is stored as compressed chunks.
        compressed: bool,
    },
    /// Uncompressed bytes.
    Bytes {
        /// The whole source is the content.
        source: Arc<dyn ReadAt>,
    },
}

/// A blob of the WIM to be written.
#[derive(Debug, Clone)]
pub struct BlobToWrite {
    /// SHA-1 of the uncompressed bytes; what is read and compressed is checked against it.
    pub sha1: Sha1,
    /// Uncompressed size in bytes.
    pub size: u64,
    /// How many streams of all images refer to it (one per directory entry).
    pub reference_count: u32,
    /// Where the bytes come from.
    pub source: BlobSource,
}

/// The metadata of an image of the WIM to be written.
#[derive(Debug, Clone)]
pub enum MetadataToWrite {
    /// As it is in another WIM.
    Copy {
        /// The WIM.
        wim: Arc<Wim>,
        /// The image's number in it, from 1.
        index: u32,
    },
    /// Uncompressed bytes, from [`super::ImageMetadata::encode`].
    Bytes(Vec<u8>),
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WriteReport {
    /// Size of the file in bytes.
    pub file_size: u64,
    /// Blobs written, without metadata.
    pub blobs: u64,
    /// Stored bytes that were copied as they were.
    pub copied_bytes: u64,
    /// Uncompressed bytes that were read and compressed (or stored) anew.
    pub encoded_bytes: u64,
    /// The file's GUID, derived from its content.
    pub guid: Guid,
}

/// Writes a WIM to `output`, an empty file open for writing (and for reading, when an integrity table is wanted). `progress` gets
/// the number of uncompressed bytes done so far; `cancelled` is asked now and then.
///
/// # Errors
/// When the plan is contradictory, a source cannot be read or is not what its SHA-1 says, the output cannot be written, or
/// `cancelled` says so.
pub fn write_wim(
    _output: &File,
    _settings: &WriteSettings,
    _blobs: Vec<BlobToWrite>,
    _images: Vec<MetadataToWrite>,
    _xml: WimXml,
    _progress: &dyn Fn(u64),
    _cancelled: &dyn Fn() -> bool,
) -> Result<WriteReport, WimError> {
    todo!()
}
