//! The output file: written beside its place, locked while it is written, renamed when it is complete.
//!
//! The temporary is `.NAME.partial` in the output's folder, so that the rename stays within one file system. It is also the lock: whoever holds it is the
//! only build of this output. It is opened without truncation and emptied only after it is locked, and after locking it is checked
//! that the path still names the locked file: a build that finished in between has renamed it away. A killed build leaves a temporary
//! that the next build empties and uses.

use std::{
    ffi::OsString,
    io,
    path::{Path, PathBuf},
};

use fs_err as fs;

use crate::{plan::output::is_same_file, store::Stamp};

/// Why the output cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// Another process is writing it.
    #[error("another build is writing {}", .0.display())]
    InUse(PathBuf),
    /// The output is the base image.
    #[error("{} is the base image, which is never written", .0.display())]
    IsBase(PathBuf),
    /// The path cannot be a file.
    #[error("{} cannot be an output: {why}", .path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
        /// What it is.
        why: &'static str,
    },
    /// The system refuses.
    #[error("{} cannot be written: {source}", .path.display())]
    Io {
        /// The output.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// An output being written. Dropped before [`PartialOutput::complete`], it leaves nothing behind.
#[derive(Debug)]
pub struct PartialOutput {
    output: PathBuf,
    partial: PathBuf,
    file: Option<fs::File>,
}

impl PartialOutput {
    /// Makes the folder of `output` and takes its lock. `base` is refused as the output, under any name.
    ///
    /// # Errors
    /// [`OutputError::InUse`] when another build holds the lock; otherwise when the file cannot be made.
    pub fn begin(output: &Path, base: Option<&Path>) -> Result<Self, OutputError> {
        let failed = |source| OutputError::Io { path: output.to_owned(), source };
        let Some(name) = output.file_name() else {
            return Err(OutputError::NotAFile { path: output.to_owned(), why: "it has no name" });
        };
        if output.is_dir() {
            return Err(OutputError::NotAFile { path: output.to_owned(), why: "it is a folder" });
        }
        if base.is_some_and(|base| is_same_file(base, output)) {
            return Err(OutputError::IsBase(output.to_owned()));
        }
        let folder = output.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or_else(|| Path::new("."));
        fs::create_dir_all(folder).map_err(failed)?;
        let mut partial_name = OsString::from(".");
        partial_name.push(name);
        partial_name.push(".partial");
        let partial = folder.join(partial_name);
        let file = loop {
            let mut options = fs::OpenOptions::new();
            options.create(true).truncate(false).read(true).write(true);
            let file = options.open(&partial).map_err(failed)?;
            match file.file().try_lock() {
                Ok(()) => {}
                Err(std::fs::TryLockError::WouldBlock) => {
                    return Err(OutputError::InUse(output.to_owned()));
                }
                Err(std::fs::TryLockError::Error(source)) => return Err(failed(source)),
            }
            if names_file(&partial, &file) {
                break file;
            }
        };
        let started = Self { output: output.to_owned(), partial, file: Some(file) };
        started.file().set_len(0).map_err(failed)?;
        Ok(started)
    }

    /// The file to write to: empty, open for reading and writing.
    ///
    /// # Panics
    /// Never: only [`PartialOutput::complete`] takes the file, and it takes the whole.
    #[must_use]
    pub fn file(&self) -> &std::fs::File {
        self.file.as_ref().expect("taken only when consumed").file()
    }

    /// Flushes the file to the disk and puts it in place. Gives its stamp.
    ///
    /// # Errors
    /// When it cannot be flushed or renamed; the temporary is then deleted.
    pub fn complete(mut self) -> Result<Stamp, OutputError> {
        let failed = |path: &Path, source| OutputError::Io { path: path.to_owned(), source };
        self.file().sync_all().map_err(|source| failed(&self.output, source))?;
        fs::rename(&self.partial, &self.output).map_err(|source| failed(&self.output, source))?;
        // It is the output now: nothing of it may be deleted.
        let file = self.file.take();
        let metadata = fs::metadata(&self.output).map_err(|source| failed(&self.output, source))?;
        drop(file);
        Ok(Stamp::of(&metadata))
    }
}

impl Drop for PartialOutput {
    fn drop(&mut self) {
        if let Some(file) = self.file.take() {
            // Under the lock, so that it cannot be another build's. When it cannot be deleted, the next build empties it.
            drop(fs::remove_file(&self.partial));
            drop(file);
        }
    }
}

/// The stamp of the file at `path`.
///
/// # Errors
/// When nothing is there.
pub fn stamp_of(path: &Path) -> io::Result<Stamp> {
    Ok(Stamp::of(&fs::metadata(path)?))
}

/// True when `path` still names the open `file`.
fn names_file(path: &Path, file: &fs::File) -> bool {
    if cfg!(not(unix)) {
        return path.exists();
    }
    let (Ok(open), Ok(named)) = (file.metadata(), stamp_of(path)) else { return false };
    let open = Stamp::of(&open);
    (open.device, open.inode) == (named.device, named.inode)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let names = fs::read_dir(folder).unwrap();
        let mut names: Vec<String> =
            names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn it_appears_complete_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let output = folder.path().join("deep/down/out.wim");
        let begun = PartialOutput::begin(&output, None).unwrap();
        begun.file().write_all(b"half").unwrap();
        assert_eq!(names(output.parent().unwrap()), [".out.wim.partial"]);
        drop(begun);
        assert_eq!(names(output.parent().unwrap()), [""; 0]);
        // What a killed build leaves is emptied.
        fs::write(output.parent().unwrap().join(".out.wim.partial"), b"longer than before")
            .unwrap();
        let begun = PartialOutput::begin(&output, None).unwrap();
        begun.file().write_all(b"whole").unwrap();
        let stamp = begun.complete().unwrap();
        assert_eq!(names(output.parent().unwrap()), ["out.wim"]);
        assert_eq!(fs::read(&output).unwrap(), b"whole");
        assert_eq!(stamp, stamp_of(&output).unwrap());
    }

    #[test]
    fn two_builds_of_one_output_do_not_mix() {
        let folder = tempfile::tempdir().unwrap();
        let output = folder.path().join("out.wim");
        let first = PartialOutput::begin(&output, None).unwrap();
        let second = PartialOutput::begin(&output, None);
        assert!(matches!(second, Err(OutputError::InUse(_))));
        PartialOutput::begin(&folder.path().join("other.wim"), None).unwrap();
        first.complete().unwrap();
        PartialOutput::begin(&output, None).unwrap();
        assert_eq!(names(folder.path()), ["out.wim"]);
    }

    #[test]
    fn many_builds_at_once_leave_one_whole_output() {
        let folder = tempfile::tempdir().unwrap();
        let output = folder.path().join("out.wim");
        let completed: usize = std::thread::scope(|scope| {
            let build = |number: u8| {
                let output = &output;
                scope.spawn(move || {
                    let mut completed = 0;
                    for _ in 0..50 {
                        let Ok(begun) = PartialOutput::begin(output, None) else { continue };
                        begun.file().write_all(&[number; 1000]).unwrap();
                        begun.complete().unwrap();
                        completed += 1;
                    }
                    completed
                })
            };
            let threads: Vec<_> = (0..4).map(build).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert!(completed > 0);
        let content = fs::read(&output).unwrap();
        assert_eq!(content.len(), 1000);
        assert!(content.iter().all(|byte| *byte == content[0]));
        assert_eq!(names(folder.path()), ["out.wim"]);
    }

    #[test]
    fn the_base_and_folders_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().join("base.wim");
        fs::write(&base, b"base").unwrap();
        let refused = PartialOutput::begin(&base, Some(&base));
        assert!(matches!(refused, Err(OutputError::IsBase(_))));
        #[cfg(unix)]
        {
            let link = folder.path().join("link.wim");
            fs::hard_link(&base, &link).unwrap();
            let refused = PartialOutput::begin(&link, Some(&base));
            assert!(matches!(refused, Err(OutputError::IsBase(_))));
        }
        let refused = PartialOutput::begin(folder.path(), Some(&base));
        assert!(matches!(refused, Err(OutputError::NotAFile { .. })));
        assert_eq!(fs::read(&base).unwrap(), b"base");
    }
}
