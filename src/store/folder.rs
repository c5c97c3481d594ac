//! The store's folder: opening, locking, temporaries, writing by rename.

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::Mutex,
    time::SystemTime,
};

use fs_err as fs;
use tempfile::NamedTempFile;

use super::error::StoreError;

/// What the `format` file of a store holds that this version reads and writes.
pub const FORMAT: &str = "transom store 1\n";

/// An open store. While it lives, no [`gc`](super::gc) deletes from it.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
    /// Names of objects used since it was opened: what a [`Root`](super::Root) will keep alive.
    used: Mutex<std::collections::BTreeSet<String>>,
    /// Locked shared until the store is dropped.
    _lock: fs::File,
}

impl Store {
    /// Opens the store in `folder`, making it when it is not there, and sweeps what a killed build left in `tmp/` when nobody
    /// else has it open. Waits while `gc` deletes.
    ///
    /// # Errors
    /// When the folder cannot be made, read or locked, or holds a store of another format.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        fs::create_dir_all(folder.join("tmp"))?;
        check_format(folder)?;
        let lock = open_lock(folder)?;
        if lock.file().try_lock().is_ok() {
            sweep(&folder.join("tmp"))?;
            lock.file().unlock()?;
        }
        lock.file().lock_shared()?;
        Ok(Self { folder: folder.to_owned(), used: Mutex::default(), _lock: lock })
    }

    /// The folder it lies in.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What the file system calls now: the time of a file made for the question. Files changed after that moment may still
    /// carry an older stamp only within the file system's own granularity.
    ///
    /// # Errors
    /// When no file can be made.
    pub fn file_system_time(&self) -> Result<SystemTime, StoreError> {
        let mut probe = self.temporary()?;
        probe.write_all(b"?")?;
        Ok(probe.as_file().metadata()?.modified()?)
    }

    /// Names of the objects that were read or written through this handle, sorted.
    #[must_use]
    pub fn used(&self) -> Vec<String> {
        self.used.lock().map(|used| used.iter().cloned().collect()).unwrap_or_default()
    }

    /// Remembers that the object `name` was used.
    pub(super) fn mark_used(&self, name: &str) {
        if let Ok(mut used) = self.used.lock()
            && !used.contains(name)
        {
            used.insert(name.to_owned());
        }
    }

    /// The host path of the object `name`.
    pub(super) fn path_of(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// A new file in `tmp/`, deleted when dropped.
    pub(super) fn temporary(&self) -> Result<NamedTempFile, StoreError> {
        let folder = self.folder.join("tmp");
        let make = || tempfile::Builder::new().prefix("t-").tempfile_in(&folder);
        match make() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::create_dir_all(&folder)?;
                Ok(make()?)
            }
            other => Ok(other?),
        }
    }

    /// Moves a finished temporary to the object `name`, replacing what is there.
    pub(super) fn persist(&self, file: NamedTempFile, name: &str) -> Result<(), StoreError> {
        let path = self.path_of(name);
        let mut file = file;
        for first in [true, false] {
            match file.persist(&path) {
                Ok(_) => break,
                Err(error) if first && error.error.kind() == io::ErrorKind::NotFound => {
                    if let Some(parent) = path.parent() {
                        fs::create_dir_all(parent)?;
                    }
                    file = error.file;
                }
                // Windows refuses to replace a file that someone has open: that file holds the same bytes.
                Err(_) if cfg!(windows) && path.exists() => break,
                Err(error) => {
                    let text = format!("{}: {}", path.display(), error.error);
                    return Err(io::Error::new(error.error.kind(), text).into());
                }
            }
        }
        self.mark_used(name);
        Ok(())
    }

    /// Deletes an object that is not what its name promises. That it is gone already is no error.
    pub(super) fn discard(&self, name: &str) {
        // Nothing better can be done when the deletion fails: the object is not believed next time either.
        drop(fs::remove_file(self.path_of(name)));
    }
}

/// The name `ab/cdef…` of a digest, for fan-out folders.
pub(super) fn fan_out(hex: &str) -> (&str, &str) {
    hex.split_at(2)
}

/// Opens the lock file, making it when needed.
pub(super) fn open_lock(folder: &Path) -> Result<fs::File, StoreError> {
    let mut options = fs::OpenOptions::new();
    options.create(true).truncate(false).read(true).write(true);
    Ok(options.open(folder.join("lock"))?)
}

/// Refuses a store of another format; writes the format file of a new one.
fn check_format(folder: &Path) -> Result<(), StoreError> {
    let path = folder.join("format");
    match fs::read_to_string(&path) {
        Ok(found) if found == FORMAT => Ok(()),
        // A crash of the machine right after the very first build may leave it empty.
        Ok(found) if !found.is_empty() => {
            let expected = FORMAT.trim_end();
            Err(StoreError::Format {
                path: folder.to_owned(),
                found: found.trim_end().to_owned(),
                expected,
            })
        }
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
        _ => {
            let mut file = NamedTempFile::new_in(folder.join("tmp"))?;
            file.write_all(FORMAT.as_bytes())?;
            file.persist(&path).map_err(|error| error.error)?;
            Ok(())
        }
    }
}

/// Deletes everything in `tmp/`.
fn sweep(folder: &Path) -> Result<(), StoreError> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leftovers_are_swept_only_when_nobody_else_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let first = Store::open(folder.path()).unwrap();
        let leftover = folder.path().join("tmp/t-left");
        fs::write(&leftover, b"half").unwrap();
        drop(Store::open(folder.path()).unwrap());
        assert!(leftover.exists(), "it may be the other build's");
        drop(first);
        drop(Store::open(folder.path()).unwrap());
        assert!(!leftover.exists());
    }

    #[test]
    fn a_store_of_another_format_is_refused_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("format"), "transom store 9\n").unwrap();
        let error = Store::open(folder.path()).unwrap_err();
        assert!(error.to_string().contains("transom store 9"), "{error}");
        assert_eq!(fs::read_to_string(folder.path().join("format")).unwrap(), "transom store 9\n");
    }
}
