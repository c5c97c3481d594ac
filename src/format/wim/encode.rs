//! Making compressed resources.

use std::io::Write;

use super::error::WimError;
use crate::{
    base::{
        digest::{Blake3, Sha1},
        read_at::ReadAt,
    },
    codec::{Codec, Level},
};

/// A resource that [`encode_resource`] made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EncodedResource {
    /// Bytes written.
    pub stored_size: u64,
    /// Uncompressed size in bytes.
    pub size: u64,
    /// False when the content was written as it is, because compression did not make it smaller.
    pub compressed: bool,
    /// SHA-1 of the content.
    pub sha1: Sha1,
    /// BLAKE3 of the content.
    pub blake3: Blake3,
}

/// Compresses the whole of `source` into one resource: chunk table and chunks, or the content as it is when that is not smaller.
/// Chunks are compressed in parallel, and the content is hashed in the same pass.
///
/// # Errors
/// When `source` cannot be read, `sink` cannot be written, or the codec cannot be used.
pub fn encode_resource(
    _source: &dyn ReadAt,
    _settings: (Codec, u32, Level),
    _sink: &mut dyn Write,
) -> Result<EncodedResource, WimError> {
    todo!()
}
