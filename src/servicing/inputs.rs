//! What operations read and where they put content: by name, never by host path.

use std::{fmt, sync::Arc};

use crate::{
    base::{digest::Blake3, read_at::ReadAt},
    store::StoredBlob,
};

use super::error::{Problem, ServicingError};

/// The recipe's text for a path on the host. The pipeline maps it to the file or folder.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(transparent)]
pub struct InputId(pub String);

impl fmt::Display for InputId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Gives inputs by name.
pub trait Inputs: Sync {
    /// The file or folder that `id` names.
    ///
    /// # Errors
    /// When it cannot be read.
    fn input(&self, id: &InputId) -> Result<Arc<InputTree>, ServicingError>;
}

/// A file or folder of the host: one entry with an empty path for a file; for a folder the folder itself (empty path) and everything below it.
#[derive(Debug, Default)]
pub struct InputTree {
    /// Sorted by path.
    pub entries: Vec<InputEntry>,
}

/// One file or folder of an input.
#[derive(Debug)]
pub struct InputEntry {
    /// Names from the input's root; empty for the root.
    pub path: Vec<String>,
    /// What it is.
    pub kind: InputKind,
}

/// What an entry of an input is.
#[derive(Debug)]
pub enum InputKind {
    /// A folder.
    Directory,
    /// A file.
    File {
        /// Size in bytes.
        size: u64,
        /// BLAKE3 of the content.
        blake3: Blake3,
        /// The content.
        content: Arc<dyn ReadAt>,
    },
}

/// Takes content into the store.
pub trait BlobSink: Sync {
    /// Stores the content of `source`.
    ///
    /// # Errors
    /// When it cannot be read or stored.
    fn put(&self, source: &dyn ReadAt) -> Result<StoredBlob, ServicingError>;
}

/// Largest input that is read whole into memory, in bytes: answer files, `.reg` files, scripts.
const LARGEST: u64 = 64 << 20;

/// The single file that `id` names.
pub(super) fn single_file(
    operation: &'static str,
    inputs: &dyn Inputs,
    id: &InputId,
) -> Result<Arc<dyn ReadAt>, ServicingError> {
    let tree = inputs.input(id)?;
    match tree.entries.as_slice() {
        [InputEntry { path, kind: InputKind::File { content, .. } }] if path.is_empty() => {
            Ok(Arc::clone(content))
        }
        _ => Err(ServicingError::refused(
            operation,
            Problem::error(&id.0, "it is a folder", "name a file"),
        )),
    }
}

/// The bytes of the single file that `id` names.
pub(super) fn read_file(
    operation: &'static str,
    inputs: &dyn Inputs,
    id: &InputId,
) -> Result<Vec<u8>, ServicingError> {
    let content = single_file(operation, inputs, id)?;
    if content.size() > LARGEST {
        let cause = format!(
            "it has {} bytes, more than the {LARGEST} that such a file may have",
            content.size()
        );
        return Err(ServicingError::refused(operation, Problem::error(&id.0, cause, "")));
    }
    let mut bytes = vec![0; usize::try_from(content.size()).unwrap_or(0)];
    content
        .read_exact_at(0, &mut bytes)
        .map_err(|source| ServicingError::Input { input: id.0.clone(), source })?;
    Ok(bytes)
}
