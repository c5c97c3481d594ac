//! The output file: written beside its place, locked while it is written, renamed when it is complete.
//!
//! The temporary is `.NAME.partial` in the output's folder, so that the rename stays within one file system. It is also the lock: whoever holds it is the
//! only build of this output. It is opened without truncation and emptied only after it is locked, and after locking it is checked
//! that the path still names the locked file: a build that finished in between has renamed it away. A killed build leaves a temporary
//! that the next build empties and uses.
//!
//! Something else may bear the temporary's name: a link, a hard link to a precious file, the base itself. Links are not followed, nothing is emptied
//! that has another name too, and base and inputs are refused by what they are, not by what they are called.

use std::{
    ffi::OsString,
    io,
    path::{Path, PathBuf},
};

use fs_err as fs;

use crate::{
    plan::{inputs::ResolvedInputs, output::is_same_file},
    store::Stamp,
};

/// Why the output cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// Another process is writing it.
    #[error("another build is writing {}", .0.display())]
    InUse(PathBuf),
    /// The output is the base image.
    #[error("{} is the base image, which is never written", .0.display())]
    IsBase(PathBuf),
    /// The output or its temporary is a file that the build reads.
    #[error("{} is an input of this build, which is never written", .0.display())]
    IsInput(PathBuf),
    /// The path cannot be a file.
    #[error("{} cannot be an output: {why}", .path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
        /// What it is.
        why: &'static str,
    },
    /// It does not fit on its disk.
    #[error(
        "{} cannot be written: {} MB are free there, and {} MB are needed",
        .path.display(), .free / 1_000_000, .needed.div_ceil(1_000_000)
    )]
    NoRoom {
        /// The output.
        path: PathBuf,
        /// Bytes that are free.
        free: u64,
        /// Bytes that will be written at least.
        needed: u64,
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
    /// Makes the folder of `output` and takes its lock. The files of `base` and `inputs` are refused as output and as temporary, under any name.
    ///
    /// # Errors
    /// [`OutputError::InUse`] when another build holds the lock; otherwise when the file cannot be made.
    pub fn begin(
        output: &Path,
        base: &[&Path],
        inputs: &ResolvedInputs,
    ) -> Result<Self, OutputError> {
        let failed = |source| OutputError::Io { path: output.to_owned(), source };
        let Some(name) = output.file_name() else {
            return Err(OutputError::NotAFile { path: output.to_owned(), why: "it has no name" });
        };
        if output.is_dir() {
            return Err(OutputError::NotAFile { path: output.to_owned(), why: "it is a folder" });
        }
        if let Ok(there) = fs::metadata(output)
            && !there.is_file()
        {
            let why = "it is a device, a pipe or a socket";
            return Err(OutputError::NotAFile { path: output.to_owned(), why });
        }
        let folder = output.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or_else(|| Path::new("."));
        fs::create_dir_all(folder).map_err(failed)?;
        let mut partial_name = OsString::from(".");
        partial_name.push(name);
        partial_name.push(".partial");
        let partial = folder.join(partial_name);
        for path in [output, &partial] {
            refuse_read_files(path, base, inputs)?;
        }
        let file = loop {
            remove_foreign(&partial).map_err(failed)?;
            let file = match open_temporary(&partial) {
                Ok(file) => file,
                // Another build renamed it away, or something was put there, since it was looked at.
                Err(error) if is_link_error(&error) => continue,
                Err(error) => return Err(failed(error)),
            };
            match file.file().try_lock() {
                Ok(()) => {}
                Err(std::fs::TryLockError::WouldBlock) => {
                    return Err(OutputError::InUse(output.to_owned()));
                }
                Err(std::fs::TryLockError::Error(source)) => return Err(failed(source)),
            }
            if names_file(&partial, &file) && is_ours(&file.metadata().map_err(failed)?) {
                break file;
            }
        };
        // It may have become one while it was opened.
        refuse_read_files(&partial, base, inputs)?;
        let started = Self { output: output.to_owned(), partial, file: Some(file) };
        started.file().set_len(0).map_err(failed)?;
        Ok(started)
    }

    /// Where the file is until it is complete.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.partial
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
        if !self.file.as_ref().is_some_and(|file| names_file(&self.partial, file)) {
            let text = format!("{} was replaced while it was written", self.partial.display());
            return Err(failed(&self.output, io::Error::other(text)));
        }
        fs::rename(&self.partial, &self.output).map_err(|source| failed(&self.output, source))?;
        // It is the output now: nothing of it may be deleted.
        let Some(file) = self.file.take() else {
            return Err(failed(&self.output, io::ErrorKind::NotFound.into()));
        };
        // By the handle: the path may name another file by now, and that must not be taken for this one.
        let metadata = file.metadata().map_err(|source| failed(&self.output, source))?;
        Ok(Stamp::of(&metadata))
    }
}

impl PartialOutput {
    /// Flushes the file to the disk and closes it, which ends the lock: for outputs of many files, under the lock of another.
    ///
    /// # Errors
    /// When it cannot be flushed; the temporary is then deleted.
    pub(super) fn close(mut self) -> Result<ClosedOutput, OutputError> {
        let failed = |source| OutputError::Io { path: self.output.clone(), source };
        self.file().sync_all().map_err(failed)?;
        let stamp = self.file().metadata().map(|metadata| Stamp::of(&metadata)).map_err(failed)?;
        self.file = None;
        let (output, partial) = (self.output.clone(), std::mem::take(&mut self.partial));
        Ok(ClosedOutput { output, partial, stamp })
    }
}

/// An output that is written and not yet in its place. Dropped before [`ClosedOutput::complete`], it leaves nothing behind.
#[derive(Debug)]
pub(super) struct ClosedOutput {
    output: PathBuf,
    /// Empty when the file is in its place.
    partial: PathBuf,
    /// What it was when it was closed.
    stamp: Stamp,
}

impl ClosedOutput {
    /// Puts the file in place. Gives its stamp.
    ///
    /// # Errors
    /// When it is no longer what was written, or cannot be renamed; the temporary is then deleted.
    pub(super) fn complete(mut self) -> Result<Stamp, OutputError> {
        let failed = |source| OutputError::Io { path: self.output.clone(), source };
        let replaced = || io::Error::other(format!("{} was replaced", self.partial.display()));
        if !self.is_at(&self.partial) {
            return Err(failed(replaced()));
        }
        fs::rename(&self.partial, &self.output).map_err(failed)?;
        if !self.is_at(&self.output) {
            return Err(failed(replaced()));
        }
        let stamp = stamp_of(&self.output).map_err(failed)?;
        // It is the output now: nothing of it may be deleted.
        self.partial = PathBuf::new();
        Ok(stamp)
    }

    /// True when the file, as it was written, is the one of that name. (A renamed file counts as changed on some systems.)
    fn is_at(&self, path: &Path) -> bool {
        fs::symlink_metadata(path).is_ok_and(|there| {
            let there = Stamp::of(&there);
            Stamp { changed: self.stamp.changed, ..there } == self.stamp
        })
    }
}

impl Drop for ClosedOutput {
    fn drop(&mut self) {
        if !self.partial.as_os_str().is_empty() && self.is_at(&self.partial) {
            drop(fs::remove_file(&self.partial));
        }
    }
}

impl Drop for PartialOutput {
    fn drop(&mut self) {
        if let Some(file) = self.file.take() {
            // Under the lock, so that it cannot be another build's. When it cannot be deleted, the next build empties it.
            if names_file(&self.partial, &file) {
                drop(fs::remove_file(&self.partial));
            }
            drop(file);
        }
    }
}

/// Refuses an output of `needed` bytes where only `free` are free; where that is not known, nothing is refused.
///
/// # Errors
/// [`OutputError::NoRoom`].
pub(super) fn check_room(path: &Path, free: Option<u64>, needed: u64) -> Result<(), OutputError> {
    match free {
        Some(free) if free < needed => {
            Err(OutputError::NoRoom { path: path.to_owned(), free, needed })
        }
        _ => Ok(()),
    }
}

/// The stamp of the file at `path`.
///
/// # Errors
/// When nothing is there.
pub fn stamp_of(path: &Path) -> io::Result<Stamp> {
    Ok(Stamp::of(&fs::metadata(path)?))
}

/// Refuses `path` when it leads to a file that the build reads.
fn refuse_read_files(
    path: &Path,
    base: &[&Path],
    inputs: &ResolvedInputs,
) -> Result<(), OutputError> {
    if base.iter().any(|base| is_same_file(base, path)) {
        return Err(OutputError::IsBase(path.to_owned()));
    }
    match inputs.values().any(|input| input.has_file(path)) {
        true => Err(OutputError::IsInput(path.to_owned())),
        false => Ok(()),
    }
}

/// Opens the temporary without following a link, waiting for a reader, or emptying it.
fn open_temporary(path: &Path) -> io::Result<fs::File> {
    let mut options = fs::OpenOptions::new();
    options.create(true).truncate(false).read(true).write(true);
    #[cfg(unix)]
    {
        use fs_err::os::unix::fs::OpenOptionsExt as _;
        use rustix::fs::OFlags;
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        options.custom_flags(i32::try_from(flags.bits()).unwrap_or(0));
    }
    options.open(path)
}

/// What opening a link without following it gives.
fn is_link_error(error: &io::Error) -> bool {
    #[cfg(unix)]
    {
        // The kind has no stable name yet.
        error.kind() == io::Error::from(rustix::io::Errno::LOOP).kind()
    }
    #[cfg(not(unix))]
    {
        let _: &io::Error = error;
        false
    }
}

/// Takes the temporary's name from what is no file of an earlier build: a link, a pipe, a file that has another name too.
fn remove_foreign(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(there) if !is_ours(&there) => match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        },
        _ => Ok(()),
    }
}

/// True for a regular file that has no other name.
fn is_ours(metadata: &std::fs::Metadata) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        metadata.is_file() && metadata.nlink() == 1
    }
    #[cfg(not(unix))]
    metadata.is_file()
}

/// True when `path` itself, and no link there, still names the open `file`.
fn names_file(path: &Path, file: &fs::File) -> bool {
    if cfg!(not(unix)) {
        return path.exists();
    }
    let (Ok(open), Ok(named)) = (file.metadata(), fs::symlink_metadata(path)) else {
        return false;
    };
    let (open, named) = (Stamp::of(&open), Stamp::of(&named));
    (open.device, open.inode) == (named.device, named.inode)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn begin(output: &Path, base: &[&Path]) -> Result<PartialOutput, OutputError> {
        PartialOutput::begin(output, base, &ResolvedInputs::new())
    }

    #[cfg(unix)]
    #[test]
    fn a_hard_link_of_the_base_under_the_temporarys_name_does_not_empty_the_base() {
        let folder = tempfile::tempdir().unwrap();
        let (base, output) = (folder.path().join("base.wim"), folder.path().join("out.wim"));
        let partial = folder.path().join(".out.wim.partial");
        fs::write(&base, b"base").unwrap();
        fs::hard_link(&base, &partial).unwrap();
        assert!(matches!(begin(&output, &[&base]), Err(OutputError::IsBase(_))));
        assert_eq!(fs::read(&base).unwrap(), b"base");
        // Of another file: the name is taken from it, and its content stays.
        begin(&output, &[]).unwrap().complete().unwrap();
        assert_eq!(fs::read(&base).unwrap(), b"base");
        assert_eq!(fs::read(&output).unwrap(), b"");
    }

    #[test]
    fn a_base_with_the_temporarys_name_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().join(".z.wim.partial");
        fs::write(&base, b"base").unwrap();
        let refused = begin(&folder.path().join("z.wim"), &[&base]);
        assert!(matches!(refused, Err(OutputError::IsBase(_))));
        assert_eq!(fs::read(&base).unwrap(), b"base");
    }

    #[cfg(unix)]
    #[test]
    fn a_link_under_the_temporarys_name_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (other, output) = (folder.path().join("other"), folder.path().join("out.wim"));
        let partial = folder.path().join(".out.wim.partial");
        fs::write(&other, b"precious").unwrap();
        for target in ["other", "nowhere"] {
            std::os::unix::fs::symlink(target, &partial).unwrap();
            let begun = begin(&output, &[]).unwrap();
            begun.file().write_all(b"new").unwrap();
            begun.complete().unwrap();
            assert_eq!(fs::read(&other).unwrap(), b"precious");
            assert!(fs::symlink_metadata(&output).unwrap().is_file());
            assert_eq!(names(folder.path()), ["other", "out.wim"]);
        }
    }

    #[cfg(unix)]
    #[test]
    fn what_was_put_in_the_temporarys_place_is_neither_renamed_nor_deleted() {
        let folder = tempfile::tempdir().unwrap();
        let output = folder.path().join("out.wim");
        let partial = folder.path().join(".out.wim.partial");
        for complete in [true, false] {
            let begun = begin(&output, &[]).unwrap();
            fs::remove_file(&partial).unwrap();
            fs::write(&partial, b"of someone else").unwrap();
            if complete {
                begun.complete().unwrap_err();
            } else {
                drop(begun);
            }
            assert_eq!(fs::read(&partial).unwrap(), b"of someone else");
            assert_eq!(names(folder.path()), [".out.wim.partial"]);
        }
    }

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
        let begun = begin(&output, &[]).unwrap();
        begun.file().write_all(b"half").unwrap();
        assert_eq!(names(output.parent().unwrap()), [".out.wim.partial"]);
        drop(begun);
        assert_eq!(names(output.parent().unwrap()), [""; 0]);
        // What a killed build leaves is emptied.
        fs::write(output.parent().unwrap().join(".out.wim.partial"), b"longer than before")
            .unwrap();
        let begun = begin(&output, &[]).unwrap();
        begun.file().write_all(b"whole").unwrap();
        let stamp = begun.complete().unwrap();
        assert_eq!(names(output.parent().unwrap()), ["out.wim"]);
        assert_eq!(fs::read(&output).unwrap(), b"whole");
        assert_eq!(stamp, stamp_of(&output).unwrap());
    }

    #[test]
    fn an_output_that_cannot_fit_is_refused_before_it_is_written() {
        let path = Path::new("out.wim");
        check_room(path, Some(10), 10).unwrap();
        check_room(path, None, u64::MAX).unwrap();
        let error = check_room(path, Some(5_000_000), 7_000_001).unwrap_err().to_string();
        assert!(error.ends_with("5 MB are free there, and 8 MB are needed"), "{error}");
    }

    #[test]
    fn two_builds_of_one_output_do_not_mix() {
        let folder = tempfile::tempdir().unwrap();
        let output = folder.path().join("out.wim");
        let first = begin(&output, &[]).unwrap();
        let second = begin(&output, &[]);
        assert!(matches!(second, Err(OutputError::InUse(_))));
        begin(&folder.path().join("other.wim"), &[]).unwrap();
        first.complete().unwrap();
        begin(&output, &[]).unwrap();
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
                        let Ok(begun) = begin(output, &[]) else { continue };
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
        let refused = begin(&base, &[&base]);
        assert!(matches!(refused, Err(OutputError::IsBase(_))));
        #[cfg(unix)]
        {
            let link = folder.path().join("link.wim");
            fs::hard_link(&base, &link).unwrap();
            let refused = begin(&link, &[&base]);
            assert!(matches!(refused, Err(OutputError::IsBase(_))));
        }
        let refused = begin(folder.path(), &[&base]);
        assert!(matches!(refused, Err(OutputError::NotAFile { .. })));
        assert_eq!(fs::read(&base).unwrap(), b"base");
    }
}
