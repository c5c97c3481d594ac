//! Roots: what each output was last built from. [`gc`](super::gc) keeps what they name as long as they are young enough.

use serde::{Deserialize, Serialize};

use super::{error::StoreError, folder::Store, record::RecordKind};
use crate::base::digest::Blake3;

/// What one output was last built from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Root {
    /// The output's host path, for people who look into the store.
    pub output: String,
    /// Names of the objects it needed.
    pub used: Vec<String>,
    /// What the writer of the root wants to know next time; JSON of its own.
    pub details: String,
}

impl Store {
    /// The root of the output whose path has the digest `output`.
    ///
    /// # Errors
    /// When the file is there but cannot be read.
    pub fn root(&self, output: &Blake3) -> Result<Option<Root>, StoreError> {
        self.json(RecordKind::Output, output)
    }

    /// Writes the root of an output: also how an output that is up to date is marked as used.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn put_root(&self, output: &Blake3, root: &Root) -> Result<(), StoreError> {
        self.put_json(RecordKind::Output, output, root)
    }
}
