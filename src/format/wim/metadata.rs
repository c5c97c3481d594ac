//! The tree of an image as the metadata resource holds it.
//!
//! ```text
//! security descriptors | root entry | 8 zero bytes | lists of children, each ended by 8 zero bytes
//! ```
//!
//! An entry is 102 bytes, its names, and *tagged items*; entries for further streams follow it. All is aligned to 8 bytes.

use std::sync::Arc;

use super::{error::WimError, metadata_encode, metadata_parse};
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
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Self, WimError> {
        metadata_parse::parse(bytes, limits)
    }

    /// The canonical bytes: directories in pre-order, children in the order given, streams as DISM writes them. The children must form a
    /// tree: an entry that is reached a second time, or an index without entry, is left out. Names longer than 32,766 units and
    /// streams after the 65,535th, which the format cannot hold, are cut.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        metadata_encode::encode(self)
    }

    /// SHA-1 of every stream of every entry that is not empty, with the entry's index: what the image needs of the blob table.
    pub fn references(&self) -> impl Iterator<Item = (usize, Sha1)> {
        self.dentries.iter().enumerate().flat_map(|(index, dentry)| {
            dentry
                .streams
                .iter()
                .filter(|stream| !stream.sha1.is_zero())
                .map(move |stream| (index, stream.sha1))
        })
    }

    /// Of each entry the directory it is in; `None` for the root and for what no directory contains.
    #[must_use]
    pub fn parents(&self) -> Vec<Option<u32>> {
        let mut parents = vec![None; self.dentries.len()];
        for (directory, dentry) in (0..).zip(&self.dentries) {
            for &child in &dentry.children {
                if let Some(parent) = parents.get_mut(child as usize) {
                    *parent = Some(directory);
                }
            }
        }
        parents
    }

    /// The path of an entry from the root, for messages: `\Windows\explorer.exe`. `parents` comes from [`ImageMetadata::parents`].
    #[must_use]
    pub fn path_of(&self, index: usize, parents: &[Option<u32>]) -> String {
        let mut names = Vec::new();
        let mut next = index;
        // Children that are no tree must not make it go round for ever.
        while let Some(parent) = parents.get(next).copied().flatten() {
            if names.len() > self.dentries.len() {
                break;
            }
            names.push(self.dentries[next].name.to_string());
            next = parent as usize;
        }
        names.reverse();
        format!("\\{}", names.join("\\"))
    }
}

impl Dentry {
    /// True for directories (also for those that are reparse points).
    #[must_use]
    pub fn is_directory(&self) -> bool {
        self.attributes & attribute::DIRECTORY != 0
    }

    /// The unnamed data stream, the reparse data or the raw encrypted data.
    #[must_use]
    pub fn stream(&self, kind: StreamKind) -> Option<&Stream> {
        self.streams.iter().find(|stream| stream.kind == kind)
    }
}

/// The file attributes that shape an entry.
pub mod attribute {
    /// A directory.
    pub const DIRECTORY: u32 = 0x10;
    /// A reparse point: symbolic link, junction and others.
    pub const REPARSE_POINT: u32 = 0x400;
    /// An encrypted file.
    pub const ENCRYPTED: u32 = 0x4000;
}

/// Bytes of an entry's fixed part.
pub(super) const DENTRY_SIZE: usize = 102;
/// Bytes of a stream entry's fixed part.
pub(super) const STREAM_SIZE: usize = 38;
