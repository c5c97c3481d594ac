//! Layer 3: the content-addressed store. (Stub: only the value type that other layers hold; the store itself is on its own branch.)

use crate::base::digest::{Blake3, Sha1};

/// Content that the store holds: its name there, its name in a WIM, its size.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub struct StoredBlob {
    /// BLAKE3 of the content: its name in the store.
    pub blake3: Blake3,
    /// SHA-1 of the content: its name in a WIM.
    pub sha1: Sha1,
    /// Size in bytes.
    pub size: u64,
}
