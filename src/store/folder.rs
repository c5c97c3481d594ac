//! The store's folder: opening, locking, temporaries, writing by rename.

use std::{
    ffi::OsStr,
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    sync::Mutex,
    time::SystemTime,
};

use fs_err as fs;
use tempfile::NamedTempFile;

use super::error::StoreError;

/// What the `format` file of a store holds that this version reads and writes.
pub const FORMAT: &str = "transom store 1\n";

/// How names of files in `tmp/` begin and end; between them is what makes them unique.
const TEMPORARY: (&str, &str) = ("transom-", ".tmp");
/// More than any `format` file of a store holds.
const FORMAT_LIMIT: u64 = 256;

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
    /// When the folder cannot be made, read or locked, holds a store of another format ([`StoreError::Format`]), or things that are not of a
    /// store ([`StoreError::Foreign`]): those are never touched.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        fs::create_dir_all(folder)?;
        claim(folder)?;
        fs::create_dir_all(folder.join("tmp"))?;
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
        match new_temporary(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::create_dir_all(&folder)?;
                Ok(new_temporary(&folder)?)
            }
            other => Ok(other?),
        }
    }

    /// A file without a name in the store's folder, for what is too large for memory; it is gone when it is closed.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn scratch(&self) -> Result<std::fs::File, StoreError> {
        let folder = self.folder.join("tmp");
        fs::create_dir_all(&folder)?;
        Ok(tempfile::tempfile_in(&folder)?)
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
                // An empty folder in the way is nobody's.
                Err(error) if first && path.is_dir() => {
                    fs::remove_dir(&path)?;
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

    /// The error for a write that failed; the system's own error does not name the place.
    #[must_use]
    pub fn full(&self, error: &io::Error) -> StoreError {
        let text = format!("cannot write in {}: {error}", self.folder.display());
        StoreError::Io(io::Error::new(error.kind(), text))
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

/// True when an object may as well not be there: it cannot be read, and asking again will not help. It is told as a warning, and made anew.
pub(super) fn is_unusable(name: &str, error: &io::Error) -> bool {
    use io::ErrorKind::{IsADirectory, NotADirectory, PermissionDenied};
    // A failing disk (EIO) has no kind of its own, and fs_err keeps the system's number in the text only.
    let failing = || cfg!(unix) && error.to_string().ends_with("(os error 5)");
    let unusable =
        matches!(error.kind(), IsADirectory | NotADirectory | PermissionDenied) || failing();
    if unusable {
        tracing::warn!("the cache's {name} cannot be read and is made anew: {error}");
    }
    unusable
}

/// Opens the lock file, making it when needed.
pub(super) fn open_lock(folder: &Path) -> Result<fs::File, StoreError> {
    let mut options = fs::OpenOptions::new();
    options.create(true).truncate(false).read(true).write(true);
    Ok(options.open(folder.join("lock"))?)
}

/// What the `format` file of a folder says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// A store that this version reads and writes.
    Ours,
    /// There is no such file, so this is no store yet.
    Absent,
    /// It is empty: the machine stopped right after the very first build.
    Empty,
    /// A store of another version: the text.
    Other(String),
    /// A file that no version of this program wrote.
    Foreign,
}

/// Reads the `format` file of `folder`.
pub(super) fn read_format(folder: &Path) -> Result<Format, StoreError> {
    let file = match fs::File::open(folder.join("format")) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Format::Absent),
        Err(error) => return Err(error.into()),
    };
    if file.metadata()?.is_dir() {
        return Ok(Format::Foreign);
    }
    let mut bytes = Vec::new();
    file.take(FORMAT_LIMIT).read_to_end(&mut bytes)?;
    Ok(match String::from_utf8(bytes) {
        Ok(text) if text == FORMAT => Format::Ours,
        Ok(text) if text.is_empty() => Format::Empty,
        Ok(text) if text.starts_with("transom store ") => Format::Other(text.trim_end().to_owned()),
        _ => Format::Foreign,
    })
}

/// The error for a store of another version, which says `found`.
pub(super) fn other_format(folder: &Path, found: String) -> StoreError {
    StoreError::Format { path: folder.to_owned(), found, expected: FORMAT.trim_end() }
}

/// Makes sure that `folder` is a store of this version: writes the format file of a new one, refuses everything else.
fn claim(folder: &Path) -> Result<(), StoreError> {
    let foreign =
        |found: &str| StoreError::Foreign { path: folder.to_owned(), found: found.to_owned() };
    let format = read_format(folder)?;
    match format {
        Format::Ours => return Ok(()),
        Format::Other(found) => return Err(other_format(folder, found)),
        Format::Foreign => return Err(foreign("format")),
        Format::Absent | Format::Empty => {}
    }
    if let Some(found) = first_foreign(folder, format == Format::Empty)? {
        // Another build may have made the store since the first look.
        return match read_format(folder)? {
            Format::Ours => Ok(()),
            _ => Err(foreign(&found)),
        };
    }
    fs::create_dir_all(folder.join("tmp"))?;
    let mut file = new_temporary(&folder.join("tmp"))?;
    file.write_all(FORMAT.as_bytes())?;
    match file.persist(folder.join("format")) {
        Ok(_) => Ok(()),
        // Another build was faster, and has swept the temporary as a leftover.
        Err(_) if read_format(folder)? == Format::Ours => Ok(()),
        Err(error) => Err(error.error.into()),
    }
}

/// The first thing by name in `folder` that a store could not have left there; `begun` when it has a `format` file, if an empty one.
fn first_foreign(folder: &Path, begun: bool) -> Result<Option<String>, StoreError> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let (name, kind) = (entry.file_name(), entry.file_type()?);
        let ours = match name.to_str() {
            Some("format") => begun && kind.is_file(),
            Some("lock") => kind.is_file() && entry.metadata()?.len() == 0,
            Some("blobs" | "records") => begun && kind.is_dir(),
            // What a fresh file system has in its root: a store may be a mount of its own.
            Some("lost+found") => kind.is_dir(),
            Some("tmp") if kind.is_dir() => {
                found.extend(first_foreign_temporary(&entry.path())?);
                true
            }
            _ => false,
        };
        if !ours {
            found.push(name.to_string_lossy().into_owned());
        }
    }
    Ok(found.into_iter().min())
}

/// Something in the folder `tmp/` that is no temporary of a store.
fn first_foreign_temporary(folder: &Path) -> Result<Option<String>, StoreError> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if !(is_temporary(&name) && entry.file_type()?.is_file()) {
            return Ok(Some(format!("tmp/{}", name.to_string_lossy())));
        }
    }
    Ok(None)
}

/// A new file in `folder` under a name by which [`sweep`] knows it.
fn new_temporary(folder: &Path) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(TEMPORARY.0).suffix(TEMPORARY.1);
    // Objects are what the umask makes of them, as other files are: a cache may be shared by a group.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder.tempfile_in(folder)
}

fn is_temporary(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| {
        name.strip_prefix(TEMPORARY.0).is_some_and(|rest| rest.ends_with(TEMPORARY.1))
    })
}

/// Deletes what killed builds left in `tmp/`. What has no name of ours, or cannot be deleted, stays.
fn sweep(folder: &Path) -> Result<(), StoreError> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if !(is_temporary(&entry.file_name()) && entry.file_type()?.is_file()) {
            continue;
        }
        match fs::remove_file(entry.path()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!("a leftover of an earlier build stays: {error}");
            }
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
        let leftover = folder.path().join("tmp/transom-left.tmp");
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

    /// Every file and folder below `folder`, with the contents of files.
    fn everything(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
        let walk = walkdir::WalkDir::new(folder).sort_by_file_name();
        walk.into_iter()
            .map(|entry| entry.unwrap().into_path())
            .map(|path| (path.clone(), fs::read(&path).unwrap_or_default()))
            .collect()
    }

    #[test]
    fn a_folder_with_files_of_others_is_refused_and_left_as_it_is() {
        for name in ["notes.txt", "tmp/letter.txt", "tmp/sub/deep.txt", "blobs/a", "format", "lock"]
        {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, b"mine").unwrap();
            let before = everything(folder.path());
            let error = Store::open(folder.path()).unwrap_err();
            assert!(matches!(error, StoreError::Foreign { .. }), "{name}: {error}");
            let text = error.to_string();
            assert!(text.contains(&folder.path().display().to_string()), "{text}");
            assert!(
                text.contains(name.trim_end_matches("/deep.txt").trim_end_matches("/a")),
                "{text}"
            );
            assert_eq!(everything(folder.path()), before, "{name}");
        }
    }

    #[test]
    fn what_a_killed_first_build_left_is_taken_over() {
        for empty_format in [false, true] {
            let folder = tempfile::tempdir().unwrap();
            fs::create_dir_all(folder.path().join("tmp")).unwrap();
            fs::create_dir_all(folder.path().join("lost+found")).unwrap();
            fs::write(folder.path().join("tmp/transom-abcdef.tmp"), FORMAT).unwrap();
            fs::write(folder.path().join("lock"), b"").unwrap();
            if empty_format {
                fs::write(folder.path().join("format"), b"").unwrap();
                fs::create_dir_all(folder.path().join("blobs/ab")).unwrap();
            }
            drop(Store::open(folder.path()).unwrap());
            assert_eq!(fs::read_to_string(folder.path().join("format")).unwrap(), FORMAT);
            assert!(!folder.path().join("tmp/transom-abcdef.tmp").exists());
        }
    }

    #[test]
    fn files_and_folders_of_others_in_tmp_are_not_swept_and_do_not_disturb() {
        let folder = tempfile::tempdir().unwrap();
        drop(Store::open(folder.path()).unwrap());
        fs::create_dir_all(folder.path().join("tmp/sub")).unwrap();
        fs::create_dir_all(folder.path().join("tmp/transom-folder.tmp")).unwrap();
        for name in ["t-letter", "transom-notes.txt", "sub/transom-a.tmp"] {
            fs::write(folder.path().join("tmp").join(name), b"mine").unwrap();
        }
        let before = everything(folder.path());
        drop(Store::open(folder.path()).unwrap());
        assert_eq!(everything(folder.path()), before);
    }

    #[test]
    fn two_first_builds_at_once_both_get_the_store() {
        for _ in 0..20 {
            let folder = tempfile::tempdir().unwrap();
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| {
                        let store = Store::open(folder.path()).unwrap();
                        store.temporary().unwrap();
                    });
                }
            });
        }
    }

    #[cfg(unix)]
    #[test]
    fn objects_have_the_mode_that_other_files_have() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        store.persist(store.temporary().unwrap(), "records/step/ab/object").unwrap();
        let plain = folder.path().join("plain");
        fs::write(&plain, b"").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
        for name in ["records/step/ab/object", "format"] {
            assert_eq!(mode(&folder.path().join(name)), mode(&plain), "{name}");
        }
    }

    #[test]
    fn an_object_that_the_disk_or_the_system_refuses_is_as_good_as_absent() {
        let eio = || io::Error::from_raw_os_error(5);
        let named = io::Error::other(format!("failed to read from file `x`: {}", eio()));
        for error in [eio(), named, io::ErrorKind::PermissionDenied.into()] {
            assert!(is_unusable("x", &error), "{error}");
        }
        for error in [io::Error::from_raw_os_error(24), io::ErrorKind::OutOfMemory.into()] {
            assert!(!is_unusable("x", &error), "{error}");
        }
    }
}
