//! The tree of an image as the metadata resource holds it.

use std::sync::Arc;

use super::error::WimError;
use crate::base::{digest::Sha1, filetime::FileTime, limits::Limits, name::Name};

/// One image: its security descriptors and its tree.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ImageMetadata {
    /// Self-relative security descriptors; [`Dentry::security_id`] is an index into it.
    pub security: Vec<Arc<[u8]>>,
    /// The entries; the first is the root.
    pub dentries: Vec<Dentry>,
    /// What was odd and was put right while reading.
    pub warnings: Vec<String>,
}

/// A directory entry: one name of a file or directory.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Dentry {
    /// The long name; empty for the root only.
    pub name: Name,
    /// The short (8.3) name; often empty.
    pub short_name: Name,
    /// `FILE_ATTRIBUTE_*`.
    pub attributes: u32,
    /// Index into [`ImageMetadata::security`].
    pub security_id: Option<u32>,
    /// When it was made.
    pub creation_time: FileTime,
    /// When it was last read.
    pub last_access_time: FileTime,
    /// When it was last written.
    pub last_write_time: FileTime,
    /// Contents: data, reparse data, raw encrypted data, named streams. Streams without bytes have SHA-1 zero; an unnamed empty stream may be absent.
    pub streams: Vec<Stream>,
    /// Files of one image with the same number (not 0) and the same content are names of one file.
    pub hard_link_group: u64,
    /// Set for reparse points.
    pub reparse: Option<Reparse>,
    /// Kept as it was found; 0 in all files seen.
    pub unknown: u32,
    /// Object id, extended attributes and others, as they are stored.
    pub tagged_items: Vec<u8>,
    /// Indexes of the entries below this directory, in order.
    pub children: Vec<u32>,
}

/// What the entry of a reparse point says of it; the data is a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Reparse {
    /// Reparse tag: 0xA000000C for a symbolic link, 0xA0000003 for a junction.
    pub tag: u32,
    /// Second field of a reparse buffer's header.
    pub reserved: u16,
    /// Bit 0: the target was not made relative to the image's root at capture.
    pub flags: u16,
}

/// What a stream holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum StreamKind {
    /// The file's unnamed data.
    Data,
    /// The reparse data buffer without its 8-byte header.
    Reparse,
    /// Raw data of an encrypted file.
    Efs,
    /// A named data stream.
    Named,
}

/// A stream of an entry.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Stream {
    /// What it holds.
    pub kind: StreamKind,
    /// Its name; empty unless `kind` is [`StreamKind::Named`].
    pub name: Name,
    /// Its content; zero when empty.
    pub sha1: Sha1,
}

impl ImageMetadata {
    /// Reads the uncompressed bytes of a metadata resource.
    ///
    /// # Errors
    /// When they do not hold what the format demands: truncated, cycles, deeper than `limits.depth`, `..` as a name.
    pub fn parse(_bytes: &[u8], _limits: &Limits) -> Result<Self, WimError> {
        todo!()
    }
    /// The canonical bytes: directories in pre-order, children in the order given.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        todo!()
    }
}
