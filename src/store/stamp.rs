//! Stamps: what the file system says of a file, so that a file is hashed again only when it may have changed.
//!
//! A stamp is believed only when the file was at rest for two seconds when it was taken (two seconds is the coarsest
//! clock of a file system in use, FAT's): a file changed in the same tick as it was hashed would carry the same stamp with
//! other bytes. Such stamps are not remembered, as git does with its index.

use std::{
    collections::BTreeMap,
    fs::Metadata,
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};

use super::{error::StoreError, folder::Store, record::RecordKind};
use crate::base::digest::Blake3;

/// How long a file must have been at rest before its stamp is believed.
const REST: Duration = Duration::from_secs(2);

/// What changes when a file changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// Length in bytes.
    pub size: u64,
    /// Modification time: seconds and nanoseconds since 1970.
    pub modified: (i64, u32),
    /// Time of the last change of the inode, which no program can set; where the system has none, the modification time.
    pub changed: (i64, u32),
    /// Number of the file on its device; 0 where the system has none.
    pub inode: u64,
    /// The device; 0 where the system has none.
    pub device: u64,
}

impl Stamp {
    /// The stamp in `metadata`.
    #[must_use]
    pub fn of(metadata: &Metadata) -> Self {
        let modified = metadata.modified().map_or((0, 0), since_1970);
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt as _;
            let changed = (metadata.ctime(), u32::try_from(metadata.ctime_nsec()).unwrap_or(0));
            let (inode, device) = (metadata.ino(), metadata.dev());
            Self { size: metadata.len(), modified, changed, inode, device }
        }
        #[cfg(not(unix))]
        Self { size: metadata.len(), modified, changed: modified, inode: 0, device: 0 }
    }

    /// True when the file was at rest at `now`, the file system's time from before it was read.
    #[must_use]
    pub fn is_at_rest(&self, now: SystemTime) -> bool {
        now.checked_sub(REST).is_some_and(|then| self.changed < since_1970(then))
    }
}

fn since_1970(time: SystemTime) -> (i64, u32) {
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => (i64::try_from(after.as_secs()).unwrap_or(i64::MAX), after.subsec_nanos()),
        Err(before) => {
            let before = before.duration();
            (-i64::try_from(before.as_secs()).unwrap_or(i64::MAX), before.subsec_nanos())
        }
    }
}

/// The remembered digests of one input: a file (under the empty name) or the files of a folder by their relative paths.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamps(BTreeMap<String, (Stamp, Blake3)>);

impl Stamps {
    /// The digest of `name` if its stamp is still `stamp`.
    #[must_use]
    pub fn digest(&self, name: &str, stamp: &Stamp) -> Option<Blake3> {
        self.0.get(name).filter(|(known, _)| known == stamp).map(|(_, digest)| *digest)
    }

    /// Remembers the digest of `name`, read while it had `stamp`, unless the file was not at rest at `now`.
    pub fn remember(&mut self, name: &str, stamp: Stamp, digest: Blake3, now: SystemTime) {
        if stamp.is_at_rest(now) {
            self.0.insert(name.to_owned(), (stamp, digest));
        }
    }

    /// True when nothing is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Store {
    /// What is remembered of the input at `path` (absolute, so that two folders do not share a name).
    ///
    /// # Errors
    /// When the record is there but cannot be read.
    pub fn stamps(&self, path: &Path) -> Result<Stamps, StoreError> {
        Ok(self.json(RecordKind::Stamps, &stamps_key(path))?.unwrap_or_default())
    }

    /// Remembers `stamps` for the input at `path`.
    ///
    /// # Errors
    /// When the record cannot be written.
    pub fn put_stamps(&self, path: &Path, stamps: &Stamps) -> Result<(), StoreError> {
        self.put_json(RecordKind::Stamps, &stamps_key(path), stamps)
    }
}

fn stamps_key(path: &Path) -> Blake3 {
    Blake3::of(path.as_os_str().as_encoded_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(seconds: i64) -> Stamp {
        Stamp { size: 3, modified: (1, 0), changed: (seconds, 0), inode: 4, device: 5 }
    }

    #[test]
    fn a_file_changed_in_the_last_two_seconds_is_not_remembered() {
        let now = UNIX_EPOCH + Duration::from_secs(1000);
        let digest = Blake3::of(b"abc");
        let mut stamps = Stamps::default();
        for (seconds, known) in [(997, true), (998, false), (1000, false), (2000, false)] {
            stamps.remember("a", stamp(seconds), digest, now);
            assert_eq!(stamps.digest("a", &stamp(seconds)).is_some(), known, "{seconds}");
            stamps = Stamps::default();
        }
    }

    #[test]
    fn every_part_of_the_stamp_counts() {
        let now = UNIX_EPOCH + Duration::from_secs(1000);
        let mut stamps = Stamps::default();
        let known = stamp(1);
        stamps.remember("a", known, Blake3::of(b"abc"), now);
        let others = [
            Stamp { size: 4, ..known },
            Stamp { modified: (1, 1), ..known },
            Stamp { changed: (1, 1), ..known },
            Stamp { inode: 5, ..known },
            Stamp { device: 6, ..known },
        ];
        assert!(stamps.digest("a", &known).is_some());
        assert!(stamps.digest("b", &known).is_none());
        assert!(others.iter().all(|other| stamps.digest("a", other).is_none()));
    }

    #[test]
    fn stamps_survive_the_store() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let path = folder.path().join("input");
        fs_err::write(&path, b"abc").unwrap();
        let now = store.file_system_time().unwrap() + Duration::from_secs(3);
        let taken = Stamp::of(&fs_err::metadata(&path).unwrap());
        let mut stamps = Stamps::default();
        stamps.remember("", taken, Blake3::of(b"abc"), now);
        store.put_stamps(&path, &stamps).unwrap();
        assert_eq!(store.stamps(&path).unwrap(), stamps);
        assert!(store.stamps(folder.path()).unwrap().is_empty());
        assert!(!taken.is_at_rest(store.file_system_time().unwrap()));
    }
}
