//! Small records by key.
//!
//! ```text
//!  0   8  "TRNSREC1"
//!  8   8  length of the payload
//! 16  32  BLAKE3 of kind, key and payload
//! 48      payload
//! ```
//! The digest covers kind and key, so a file under a wrong name is not believed either. Integers are little-endian.

use std::io::{self, Write as _};

use fs_err as fs;
use serde::{Serialize, de::DeserializeOwned};

use super::{
    error::StoreError,
    folder::{Store, fan_out, is_unusable},
};
use crate::base::digest::Blake3;

const MAGIC: &[u8; 8] = b"TRNSREC1";
pub(super) const HEADER: usize = 48;

/// What a record is about; each kind has its own folder and its own key space.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecordKind {
    /// What a step did to the image, by the digest of the changeset.
    Changeset,
    /// That an operation suits an image, by operation and base image: not looked at again.
    Check,
    /// What an image is and has, by its state.
    Inventory,
    /// What an output was built from, by its path; the root of what `gc` keeps.
    Output,
    /// What an operation made of its inputs, by operation, parameters and inputs.
    Prepared,
    /// How often an image's metadata names each blob, by the metadata's SHA-1.
    References,
    /// Digests of host files with the stamps they were taken under, by path.
    Stamps,
    /// Which changeset a step had, by the step's key.
    Step,
}

impl RecordKind {
    /// Every kind.
    pub const ALL: [Self; 8] = [
        Self::Changeset,
        Self::Check,
        Self::Inventory,
        Self::Output,
        Self::Prepared,
        Self::References,
        Self::Stamps,
        Self::Step,
    ];

    /// The name of its folder.
    #[must_use]
    pub fn folder(self) -> &'static str {
        match self {
            Self::Changeset => "changeset",
            Self::Check => "check",
            Self::Inventory => "inventory",
            Self::Output => "output",
            Self::Prepared => "prepared",
            Self::References => "references",
            Self::Stamps => "stamps",
            Self::Step => "step",
        }
    }

    /// The object name of the record with `key`.
    pub(super) fn object(self, key: &Blake3) -> String {
        let hex = key.to_hex();
        let (fan, rest) = fan_out(&hex);
        format!("records/{}/{fan}/{rest}", self.folder())
    }
}

impl Store {
    /// Writes a record, replacing one of the same key.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn put_record(
        &self,
        kind: RecordKind,
        key: &Blake3,
        payload: &[u8],
    ) -> Result<(), StoreError> {
        let mut file = self.temporary()?;
        let mut bytes = Vec::with_capacity(HEADER + payload.len());
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&(payload.len() as u64).to_le_bytes());
        bytes.extend_from_slice(&digest(kind, key, payload).0);
        bytes.extend_from_slice(payload);
        file.write_all(&bytes).map_err(|error| self.full(&error))?;
        self.persist(file, &kind.object(key))
    }

    /// The record with `key`; `None` when there is none, or none that is sound.
    ///
    /// # Errors
    /// When the file is there but cannot be read.
    pub fn record(&self, kind: RecordKind, key: &Blake3) -> Result<Option<Vec<u8>>, StoreError> {
        let name = kind.object(key);
        let mut bytes = match fs::read(self.path_of(&name)) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) if is_unusable(&name, &error) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        if !is_sound(kind, key, &bytes) {
            self.discard(&name);
            return Ok(None);
        }
        self.mark_used(&name);
        bytes.drain(..HEADER);
        Ok(Some(bytes))
    }

    /// Counts a record as used without reading it, so that the output being built keeps it alive.
    pub fn keep_record(&self, kind: RecordKind, key: &Blake3) {
        self.mark_used(&kind.object(key));
    }

    /// Writes a record that a later version or a person may read: JSON.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn put_json(
        &self,
        kind: RecordKind,
        key: &Blake3,
        value: &impl Serialize,
    ) -> Result<(), StoreError> {
        let payload = serde_json::to_vec(value).map_err(io::Error::other)?;
        self.put_record(kind, key, &payload)
    }

    /// Reads what [`Store::put_json`] wrote; `None` when it is absent, unsound, or has another shape than this version's.
    ///
    /// # Errors
    /// When the file is there but cannot be read.
    pub fn json<T: DeserializeOwned>(
        &self,
        kind: RecordKind,
        key: &Blake3,
    ) -> Result<Option<T>, StoreError> {
        Ok(self.record(kind, key)?.and_then(|payload| serde_json::from_slice(&payload).ok()))
    }
}

/// True when `bytes` is the whole record of `kind` and `key`.
pub(super) fn is_sound(kind: RecordKind, key: &Blake3, bytes: &[u8]) -> bool {
    let Some((header, payload)) = bytes.split_at_checked(HEADER) else { return false };
    header[..8] == *MAGIC
        && header[8..16] == (payload.len() as u64).to_le_bytes()
        && header[16..] == digest(kind, key, payload).0
}

fn digest(kind: RecordKind, key: &Blake3, payload: &[u8]) -> Blake3 {
    let mut hasher = blake3::Hasher::new_derive_key("transom store record 1");
    hasher.update(kind.folder().as_bytes()).update(&key.0).update(payload);
    Blake3(*hasher.finalize().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_cut_or_changed_anywhere_is_absent_and_can_be_written_again() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let key = Blake3::of(b"key");
        let path = folder.path().join(RecordKind::Step.object(&key));
        for length in 0..60 {
            store.put_record(RecordKind::Step, &key, b"twelve bytes").unwrap();
            let mut bytes = fs::read(&path).unwrap();
            assert_eq!(bytes.len(), 60);
            bytes[length] ^= 0x40;
            fs::write(&path, &bytes).unwrap();
            assert_eq!(store.record(RecordKind::Step, &key).unwrap(), None, "byte {length}");
            assert!(!path.exists());
            bytes[length] ^= 0x40;
            fs::write(&path, &bytes[..length]).unwrap();
            assert_eq!(store.record(RecordKind::Step, &key).unwrap(), None, "cut at {length}");
        }
        store.put_record(RecordKind::Step, &key, b"twelve bytes").unwrap();
        assert_eq!(store.record(RecordKind::Step, &key).unwrap().unwrap(), b"twelve bytes");
    }

    #[test]
    fn a_record_under_another_name_or_kind_is_not_believed() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let (here, there) = (Blake3::of(b"here"), Blake3::of(b"there"));
        store.put_record(RecordKind::Step, &here, b"payload").unwrap();
        let from = folder.path().join(RecordKind::Step.object(&here));
        for to in [RecordKind::Step.object(&there), RecordKind::Prepared.object(&here)] {
            let to = folder.path().join(to);
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::copy(&from, &to).unwrap();
        }
        assert_eq!(store.record(RecordKind::Step, &there).unwrap(), None);
        assert_eq!(store.record(RecordKind::Prepared, &here).unwrap(), None);
    }

    #[test]
    fn json_of_another_shape_is_absent() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let key = Blake3::of(b"key");
        store.put_json(RecordKind::Check, &key, &vec![1_u32, 2]).unwrap();
        assert_eq!(store.json::<Vec<u32>>(RecordKind::Check, &key).unwrap(), Some(vec![1, 2]));
        assert_eq!(store.json::<String>(RecordKind::Check, &key).unwrap(), None);
    }

    #[test]
    fn a_folder_under_the_name_of_a_record_is_no_permanent_failure() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let key = Blake3::of(b"key");
        fs::create_dir_all(folder.path().join(RecordKind::Step.object(&key))).unwrap();
        assert_eq!(store.record(RecordKind::Step, &key).unwrap(), None);
        store.put_record(RecordKind::Step, &key, b"payload").unwrap();
        assert_eq!(store.record(RecordKind::Step, &key).unwrap().unwrap(), b"payload");
    }
}
