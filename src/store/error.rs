//! What can go wrong with the store.

use std::{io, path::PathBuf};

use crate::base::digest::Blake3;

/// The store cannot do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The system refused a read or a write; the text names the path.
    #[error("the cache cannot be used: {0}")]
    Io(#[from] io::Error),
    /// The folder holds a store of another format.
    #[error("{path} is not a cache this version can use: it says {found:?}, not {expected:?}")]
    Format {
        /// The store's folder.
        path: PathBuf,
        /// What its `format` file holds.
        found: String,
        /// What this version writes.
        expected: &'static str,
    },
    /// The folder holds things that are not of a store. They are left as they are.
    #[error("{path} is not a cache: it holds {found}, which transom did not put there")]
    Foreign {
        /// The folder.
        path: PathBuf,
        /// One of them, by its path below the folder.
        found: String,
    },
    /// Another process uses the store, so nothing may be deleted from it.
    #[error("{0} is in use by a build; nothing was deleted")]
    Busy(PathBuf),
    /// No sound copy of a blob is there. It has been removed, and whoever made it can make it again.
    #[error("the cache no longer holds a sound copy of blob {0}")]
    Lost(Blake3),
    /// The bytes to store changed while they were read.
    #[error("the data changed while it was being read")]
    Changed,
    /// The data to store could not be read; the store itself is well.
    #[error("the data to store cannot be read: {0}")]
    Source(io::Error),
    /// A blob could not be compressed or decompressed.
    #[error("a blob cannot be coded: {0}")]
    Coding(String),
}

impl StoreError {
    /// True when an object is gone that the next attempt will make anew.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        matches!(self, Self::Lost(_))
    }
}
