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
    /// Stores the content of `source`, which must have the digest `blake3`; `name` says in messages what it is.
    ///
    /// # Errors
    /// [`ServicingError::Changed`] when it is other content now; otherwise when it cannot be read or stored.
    fn put(
        &self,
        name: &str,
        source: &dyn ReadAt,
        blake3: &Blake3,
    ) -> Result<StoredBlob, ServicingError>;
}

/// Largest input that is read whole into memory, in bytes: answer files, `.reg` files, scripts.
const LARGEST: u64 = 64 << 20;

/// The single file that `id` names, with the digest it had when the inputs were looked at.
pub(super) fn single_file(
    operation: &'static str,
    inputs: &dyn Inputs,
    id: &InputId,
) -> Result<(Arc<dyn ReadAt>, Blake3), ServicingError> {
    let tree = inputs.input(id)?;
    match tree.entries.as_slice() {
        [InputEntry { path, kind: InputKind::File { content, blake3, .. } }] if path.is_empty() => {
            Ok((Arc::clone(content), *blake3))
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
    let (content, blake3) = single_file(operation, inputs, id)?;
    if content.size() > LARGEST {
        let cause = format!(
            "it has {} bytes, more than the {LARGEST} that such a file may have",
            content.size()
        );
        return Err(ServicingError::refused(operation, Problem::error(&id.0, cause, "")));
    }
    let mut bytes = vec![0; usize::try_from(content.size()).unwrap_or(0)];
    content.read_exact_at(0, &mut bytes).map_err(|source| ServicingError::input(&id.0, source))?;
    if Blake3::of(&bytes) != blake3 {
        return Err(ServicingError::Changed { input: id.0.clone() });
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One input whose content is not what it was when it was hashed.
    struct Swapped;

    impl Inputs for Swapped {
        fn input(&self, _: &InputId) -> Result<Arc<InputTree>, ServicingError> {
            let kind = InputKind::File {
                size: 3,
                blake3: Blake3::of(b"old"),
                content: Arc::new(b"new".to_vec()),
            };
            Ok(Arc::new(InputTree { entries: vec![InputEntry { path: Vec::new(), kind }] }))
        }
    }

    #[test]
    fn a_file_that_changed_after_it_was_hashed_is_not_read() {
        let error = read_file("unattend", &Swapped, &InputId("answer.xml".to_owned())).unwrap_err();
        assert!(matches!(&error, ServicingError::Changed { input } if input == "answer.xml"));
        assert!(error.to_string().contains("changed while the build was reading it; run it again"));
    }
}
