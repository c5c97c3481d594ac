//! What a stream holds, and where that lies.

use std::{fmt, io, sync::Arc};

use crate::{
    base::{
        digest::Sha1,
        read_at::ReadAt,
        secret::{SecretBytes, Template},
    },
    format::wim::{Blob, Wim},
    store::StoredBlob,
};

/// The content of one stream, by name. Where it lies is in the image's blob map.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct BlobRef {
    /// SHA-1 of the content; zero for an empty stream.
    pub sha1: Sha1,
    /// Size in bytes.
    pub size: u64,
}

/// Where content lies.
#[derive(Debug, Clone)]
pub enum BlobLocation {
    /// In a WIM, as it was when the image was opened.
    Base(Arc<Wim>, Blob),
    /// In the store.
    Stored(StoredBlob),
    /// In memory: hives that were written back, small files that a step wrote.
    Memory(Arc<[u8]>),
    /// In a host file: captured directories.
    Host(Arc<dyn ReadAt>),
    /// A text whose secrets are still to be filled in; it is read with their placeholders. A finished image has none.
    Template(Template),
    /// In memory, with secrets in it: nothing may keep it, as it is or compressed, but the output.
    Secret(SecretBytes),
}

/// Reads what the store holds. The pipeline gives one to the image, so that a step can read what an earlier step put there.
pub trait StoredContent: Send + Sync + fmt::Debug {
    /// The whole content, checked.
    ///
    /// # Errors
    /// When the store does not have it or it is damaged.
    fn read(&self, blob: &StoredBlob) -> io::Result<Vec<u8>>;
}
