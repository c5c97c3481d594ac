//! Writing what the plan says.
//!
//! Order: folders, then files on all threads, then their further names, then symbolic links, then the times of folders. Links come after all files, and
//! before a file is written every folder above it is known to be a folder and no link, so nothing is written outside the target.
//!
//! A new file is written under its own name, and taken away again when that fails; one that replaces another is written beside it and renamed. So no file is there
//! half, unless the program is killed.

use std::{
    collections::BTreeMap,
    fs::File as HostFile,
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use rayon::prelude::*;

use super::{
    extract::{ExtractError, ExtractReport},
    plan::{File, Folder, Link, Plan},
};
use crate::{
    base::filetime::FileTime,
    format::wim::Wim,
    image::{
        content::BlobLocation,
        error::ImageError,
        host::{
            SIDECAR_NAME,
            target::{Found, Target, Times, file_modified, set_file_mode, set_file_times},
        },
        offline::Image,
        watch::{Watch, Work},
    },
};

/// Files that a thread takes at once: neighbours in the WIM.
const AT_ONCE: usize = 16;
/// Files of a solid resource for which it is decoded at once.
const PREPARED: usize = 256;
/// What the host allows for a whole path, in bytes.
const LONGEST_PATH: usize = if cfg!(target_os = "linux") { 4096 } else { 1024 };
/// Left free for names of temporary files, and for those who use the directory by a longer path.
const SPARE: usize = 96;

/// The folder that is written into.
#[derive(Debug)]
pub(super) struct Host {
    target: Target,
    /// The sidecar, there and empty.
    pub(super) sidecar: Option<HostFile>,
    /// Where the sidecar of an earlier image waits until it is known that this one can be written.
    older: Option<PathBuf>,
    /// True when the host takes names that differ in case alone for one.
    pub(super) folds_case: bool,
    /// True when the host tells times as exactly as the image.
    exact_times: bool,
}

/// How to write.
#[derive(Debug, Clone, Copy)]
pub(super) struct How {
    /// Replace files and links that are there.
    pub(super) overwrite: bool,
    /// Find out which times the host shows where these are not the ones it was told.
    pub(super) tells_times: bool,
}

/// What was written.
#[derive(Debug)]
pub(super) struct Written {
    bytes: u64,
    /// Entries for which the host shows another time than it was told.
    pub(super) times: BTreeMap<usize, FileTime>,
}

impl Written {
    pub(super) fn report(&self, plan: Plan) -> ExtractReport {
        let is_below = |folder: &&Folder| !folder.path.as_os_str().is_empty();
        ExtractReport {
            folders: plan.folders.iter().filter(is_below).count() as u64,
            files: plan.files.iter().map(|file| file.paths.len() as u64).sum(),
            links: plan.links.len() as u64,
            bytes: self.bytes,
            losses: plan.losses,
        }
    }
}

/// Bytes that a path below `target` may have.
pub(super) fn room(target: &Path) -> usize {
    let whole = std::path::absolute(target).unwrap_or_else(|_| target.to_owned());
    LONGEST_PATH.saturating_sub(whole.as_os_str().len() + SPARE)
}

/// Opens the folder, which is made when it is not there.
pub(super) fn open(target: &Path) -> Result<Host, ExtractError> {
    let folder = Target::open(target).map_err(|error| refused(target, error))?;
    let folds_case = cfg!(any(windows, target_os = "macos"));
    Ok(Host { target: folder, sidecar: None, older: None, folds_case, exact_times: true })
}

impl Host {
    /// Puts the sidecar of an earlier image aside, if there is one and it may go.
    pub(super) fn put_older_aside(&mut self, overwrite: bool) -> Result<(), ExtractError> {
        let path = Path::new(SIDECAR_NAME);
        let at = self.target.at(path);
        let failed = |error| refused(&at, error);
        match self.target.found(path).map_err(failed)? {
            Found::Nothing => return Ok(()),
            Found::Folder => {
                return Err(ExtractError::InTheWay { path: at.clone(), what: "a folder" });
            }
            Found::Other if !overwrite => return Err(ExtractError::Exists(at.clone())),
            Found::Other => {}
        }
        // A killed run may have left one.
        for attempt in 0..100 {
            let aside = PathBuf::from(format!(".transom-sidecar-{attempt}.part"));
            if self.target.found(&aside).map_err(failed)? == Found::Nothing {
                self.target.rename(path, &aside).map_err(failed)?;
                self.older = Some(aside);
                return Ok(());
            }
        }
        Err(ExtractError::Exists(self.target.at(Path::new(".transom-sidecar-99.part"))))
    }

    /// No file was touched: the sidecar of the earlier image is in force again.
    pub(super) fn put_older_back(&mut self) {
        if let Some(older) = self.older.take() {
            self.sidecar = None;
            self.target.rename(&older, Path::new(SIDECAR_NAME)).ok();
        }
    }

    /// Takes away the sidecar of the earlier image: its files are about to be replaced.
    pub(super) fn forget_older(&mut self) -> Result<(), ExtractError> {
        self.older.take().map_or(Ok(()), |older| {
            self.target.remove(&older).map_err(|error| refused(&self.target.at(&older), error))
        })
    }

    /// Makes the sidecar, empty, and learns from it what the host can do.
    pub(super) fn begin_sidecar(&mut self) -> Result<(), ExtractError> {
        let path = Path::new(SIDECAR_NAME);
        let at = self.target.at(path);
        let file = self.target.make_file(path).map_err(|error| refused(&at, error))?;
        let shouted = SIDECAR_NAME.to_ascii_uppercase();
        let found = self.target.found(Path::new(&shouted));
        self.folds_case |= found.is_ok_and(|found| found != Found::Nothing);
        // 2026-11-01T00:00:01.1234567Z
        let time = FileTime(134_379_648_011_234_567);
        self.exact_times = set_file_times(&file, Times { accessed: time, modified: time }).is_ok()
            && file_modified(&file).is_ok_and(|found| found == time);
        self.sidecar = Some(file);
        Ok(())
    }

    /// Makes the folders of the plan, or uses those that are there.
    pub(super) fn make_folders(&self, plan: &Plan) -> Result<(), ExtractError> {
        plan.folders.iter().try_for_each(|folder| self.make_folder(&folder.path))
    }

    /// Makes a folder, or uses the one that is there; a link in its place is refused. The folder above it must have been made in the same way.
    fn make_folder(&self, path: &Path) -> Result<(), ExtractError> {
        if path.as_os_str().is_empty() {
            return Ok(());
        }
        let failed = |error| refused(&self.target.at(path), error);
        match self.target.make_folder(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                match self.target.found(path).map_err(failed)? {
                    Found::Folder => Ok(()),
                    _ => {
                        let (path, what) = (self.target.at(path), "not a folder");
                        Err(ExtractError::InTheWay { path, what })
                    }
                }
            }
            result => result.map_err(failed),
        }
    }

    /// Something is at that place: sees whether it may go.
    fn may_replace(&self, path: &Path, overwrite: bool) -> Result<(), ExtractError> {
        let at = self.target.at(path);
        match self.target.found(path).map_err(|error| refused(&at, error))? {
            Found::Folder => Err(ExtractError::InTheWay { path: at, what: "a folder" }),
            Found::Other if !overwrite => Err(ExtractError::Exists(at)),
            _ => Ok(()),
        }
    }

    /// Takes away what is in the place of a name or link, if it may go.
    fn clear(&self, path: &Path, overwrite: bool) -> Result<(), ExtractError> {
        self.may_replace(path, overwrite)?;
        self.target.remove(path).map_err(|error| refused(&self.target.at(path), error))
    }
}

/// The folder's own times and permissions, once nothing more comes into it.
pub(super) fn finish_root(plan: &Plan, host: &Host) {
    if let Some(root) = plan.folders.first().filter(|folder| folder.path.as_os_str().is_empty()) {
        host.target.set_times(&root.path, root.times).ok();
    }
}

/// The sidecar cannot be written.
pub(super) fn sidecar_failed(path: &Path, error: ImageError) -> ExtractError {
    ExtractError::Sidecar { path: path.to_owned(), source: error }
}

/// Writes everything into the folder, where [`Host::make_folders`] made the folders of the plan.
pub(super) fn write(
    image: &Image,
    plan: &Plan,
    host: &Host,
    how: How,
    watch: Watch<'_>,
) -> Result<Written, ExtractError> {
    let sizes = plan.files.iter().map(|file| file.content.size);
    // One content may be that of many files.
    let total = sizes.fold(0, u64::saturating_add);
    let work = Work::new(watch, total);
    let writer = Writer { image, host, how, work, times: Mutex::default() };
    let mut files: Vec<&File> = plan.files.iter().collect();
    files.sort_by_key(|file| file.position);
    for run in files.chunk_by(|left, right| left.position.1.is_some() == right.position.1.is_some())
    {
        let is_solid = run.first().is_some_and(|file| file.position.1.is_some());
        let mut rest = run;
        while !rest.is_empty() {
            let ready = match is_solid {
                true => prepare(image, &rest[..rest.len().min(PREPARED)]),
                false => rest.len(),
            };
            let (piece, later) = rest.split_at(ready);
            writer.write_files(piece)?;
            rest = later;
        }
    }
    for file in &plan.files {
        writer.check()?;
        writer.further_names(file)?;
    }
    for link in &plan.links {
        writer.check()?;
        writer.make_link(link)?;
    }
    for folder in plan.folders.iter().rev() {
        writer.finish_folder(folder);
    }
    let times = writer.times.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(Written { bytes: total, times })
}

/// Has what is solid of the first of these files decoded once, for all of them; returns how many files are ready, of which there is at least one.
fn prepare(image: &Image, files: &[&File]) -> usize {
    let mut wim: Option<Arc<Wim>> = None;
    let mut blobs = Vec::new();
    let mut places = Vec::new();
    for (place, file) in files.iter().enumerate() {
        if let Some(BlobLocation::Base(of_file, blob)) = image.location(&file.content)
            && Arc::ptr_eq(&of_file, wim.get_or_insert_with(|| Arc::clone(&of_file)))
        {
            blobs.push(blob);
            places.push(place);
        }
    }
    let ready = wim.map_or(0, |wim| wim.prepare(&blobs));
    places.get(ready).copied().unwrap_or(files.len()).max(1)
}

/// Makes an empty file or folder for each link, which then becomes one.
pub(super) fn make_empty(host: &Host, links: &[Link], overwrite: bool) -> Result<(), ExtractError> {
    for link in links {
        let make = || match link.to_folder {
            true => host.target.make_folder(&link.path),
            false => host.target.make_file(&link.path).map(drop),
        };
        let failed = |error| refused(&host.target.at(&link.path), error);
        match make() {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                host.clear(&link.path, overwrite)?;
                make().map_err(failed)?;
            }
            result => result.map_err(failed)?,
        }
    }
    Ok(())
}

fn refused(path: &Path, source: io::Error) -> ExtractError {
    /// `ELOOP`: a symbolic link where none is followed. Where a folder is wanted, some systems say of a link that it is none.
    const LOOP: i32 = if cfg!(target_os = "linux") { 40 } else { 62 };
    let is_link = cfg!(unix) && source.raw_os_error() == Some(LOOP);
    if is_link || source.kind() == io::ErrorKind::NotADirectory {
        let what = "below a symbolic link or something else that is no folder";
        return ExtractError::InTheWay { path: path.to_owned(), what };
    }
    ExtractError::Host { path: path.to_owned(), source }
}

/// One piece of writing.
struct Writer<'a> {
    image: &'a Image,
    host: &'a Host,
    how: How,
    work: Work<'a>,
    times: Mutex<BTreeMap<usize, FileTime>>,
}

/// A file that is being written.
struct Open {
    file: HostFile,
    /// Where it is until it is whole, when it replaces another.
    temporary: Option<PathBuf>,
}

impl Writer<'_> {
    fn check(&self) -> Result<(), ExtractError> {
        if self.work.is_cancelled() { Err(ExtractError::Cancelled) } else { Ok(()) }
    }

    fn refused(&self, path: &Path, error: io::Error) -> ExtractError {
        refused(&self.host.target.at(path), error)
    }

    /// Writes the files, in pieces whose solid content is decoded once.
    fn write_files(&self, files: &[&File]) -> Result<(), ExtractError> {
        let mut rest = files;
        while !rest.is_empty() {
            let (piece, later) = rest.split_at(prepare(self.image, rest));
            self.write_ready(piece)?;
            rest = later;
        }
        Ok(())
    }

    /// Writes files on all threads. Each takes a few at a time, so that all stay near each other in the WIM.
    fn write_ready(&self, files: &[&File]) -> Result<(), ExtractError> {
        let next = AtomicUsize::new(0);
        let failed = AtomicBool::new(false);
        let threads = rayon::current_num_threads();
        (0..threads).into_par_iter().with_max_len(1).try_for_each(|_| {
            loop {
                let start = next.fetch_add(AT_ONCE, Ordering::Relaxed).min(files.len());
                let end = (start + AT_ONCE).min(files.len());
                if start == end {
                    return Ok(());
                }
                for (number, file) in (start..end).zip(&files[start..end]) {
                    if failed.load(Ordering::Relaxed) {
                        return Ok(());
                    }
                    self.write_file(file, number)
                        .inspect_err(|_| failed.store(true, Ordering::Relaxed))?;
                }
            }
        })
    }

    fn write_file(&self, file: &File, number: usize) -> Result<(), ExtractError> {
        self.check()?;
        let path = &file.paths[0];
        self.write_as(file, path, number)
    }

    /// Writes a file under one of its names; nothing of it stays when that fails.
    fn write_as(&self, file: &File, path: &Path, number: usize) -> Result<(), ExtractError> {
        let mut open = self.open_file(path, number)?;
        let result = self.fill(&mut open.file, file);
        drop(open.file);
        let result = result.and_then(|()| match &open.temporary {
            Some(temporary) => {
                self.host.target.rename(temporary, path).map_err(|error| self.refused(path, error))
            }
            None => Ok(()),
        });
        if result.is_err() {
            self.host.target.remove(open.temporary.as_deref().unwrap_or(path)).ok();
        }
        result
    }

    /// Opens a new file, under its own name where that is free.
    fn open_file(&self, path: &Path, number: usize) -> Result<Open, ExtractError> {
        let target = &self.host.target;
        match target.make_file(path) {
            Ok(file) => return Ok(Open { file, temporary: None }),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(self.refused(path, error)),
        }
        self.host.may_replace(path, self.how.overwrite)?;
        // A killed run may have left one.
        for attempt in 0..100 {
            let temporary = path.with_file_name(format!(".transom-{number}-{attempt}.part"));
            match target.make_file(&temporary) {
                Ok(file) => return Ok(Open { file, temporary: Some(temporary) }),
                Err(error) if attempt < 99 && error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(self.refused(&temporary, error)),
            }
        }
        Err(ExtractError::Exists(self.host.target.at(path)))
    }

    /// Content, permissions and times. What the file system refuses of the latter is not worth a failure.
    fn fill(&self, host: &mut HostFile, file: &File) -> Result<(), ExtractError> {
        if file.content.size > 0 {
            let path = self.image.tree().path_of(file.node);
            let mut failure = None;
            let result = self.image.stream(&file.content, &path, &mut |bytes| {
                let written = self.check().and_then(|()| {
                    let refused = |error| self.refused(&file.paths[0], error);
                    host.write_all(bytes).map_err(refused)
                });
                self.work.add(bytes.len() as u64);
                // The reader passes I/O errors only, and wraps them: what failed is kept here.
                written.map_err(|error| {
                    failure = Some(error);
                    io::ErrorKind::Other.into()
                })
            });
            if let Some(failure) = failure {
                return Err(failure);
            }
            result?;
        }
        if let Some(mode) = file.mode {
            set_file_mode(host, mode).ok();
        }
        set_file_times(host, file.times).ok();
        if self.asks(file.times) {
            let shown = file_modified(host).map_err(|e| self.refused(&file.paths[0], e))?;
            self.note(&file.entries, file.times, shown);
        }
        Ok(())
    }

    /// Whether the host may show another time than this one.
    fn asks(&self, times: Times) -> bool {
        /// 1970 and 2038, which every host can tell.
        const SAFE: std::ops::Range<u64> = 116_444_736_000_000_000..137_919_572_470_000_000;
        self.how.tells_times && !(self.host.exact_times && SAFE.contains(&times.modified.0))
    }

    fn note(&self, entries: &[usize], told: Times, shown: FileTime) {
        if shown != told.modified {
            let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
            times.extend(entries.iter().map(|&entry| (entry, shown)));
        }
    }

    /// The further names of a file: hard links, or copies where the file system has none.
    fn further_names(&self, file: &File) -> Result<(), ExtractError> {
        let target = &self.host.target;
        let first = &file.paths[0];
        for (path, number) in file.paths.iter().zip(0..).skip(1) {
            match target.hard_link(first, path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    self.host.clear(path, self.how.overwrite)?;
                    target.hard_link(first, path).map_err(|error| self.refused(path, error))?;
                }
                Err(_) => self.write_as(file, path, number)?,
                Ok(()) => {}
            }
        }
        Ok(())
    }

    fn make_link(&self, link: &Link) -> Result<(), ExtractError> {
        let make = || self.host.target.make_link(&link.path, &link.target, link.to_folder);
        match make() {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                self.host.clear(&link.path, self.how.overwrite)?;
                make().map_err(|error| self.refused(&link.path, error))?;
            }
            result => result.map_err(|error| self.refused(&link.path, error))?,
        }
        self.finish(&link.path, link.entry, link.times);
        Ok(())
    }

    fn finish_folder(&self, folder: &Folder) {
        if let Some(mode) = folder.mode {
            self.host.target.set_mode(&folder.path, mode | 0o700).ok();
        }
        self.finish(&folder.path, folder.entry, folder.times);
    }

    fn finish(&self, path: &Path, entry: usize, times: Times) {
        self.host.target.set_times(path, times).ok();
        // Links cannot be told their times everywhere: it is asked of all.
        if self.how.tells_times
            && let Ok(shown) = self.host.target.modified(path)
        {
            self.note(&[entry], times, shown);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn a_link_in_the_place_of_a_folder_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/", folder.path().join("a")).unwrap();
        let host = open(folder.path()).unwrap();
        let error = host.make_folder(Path::new("a")).unwrap_err();
        assert!(matches!(error, ExtractError::InTheWay { .. }), "{error}");
        let error = host.make_folder(Path::new("a/b")).unwrap_err();
        assert!(matches!(error, ExtractError::InTheWay { .. }), "{error:?}");
    }

    /// A file with contents that are nowhere.
    fn lost(paths: &[&str]) -> File {
        File {
            node: Image::empty(FileTime(1)).tree().root(),
            paths: paths.iter().map(PathBuf::from).collect(),
            entries: vec![0; paths.len()],
            content: crate::image::edit::ref_of(b"lost"),
            position: (0, None, 0),
            times: Times { accessed: FileTime(1), modified: FileTime(1) },
            mode: None,
        }
    }

    #[test]
    fn a_further_name_that_can_be_no_link_and_no_copy_leaves_no_half_file() {
        let folder = tempfile::tempdir().unwrap();
        let host = open(folder.path()).unwrap();
        let image = Image::empty(FileTime(1));
        fs_err::write(folder.path().join("there"), "older").unwrap();
        let how = How { overwrite: true, tells_times: false };
        let work = Work::new(Watch::default(), 0);
        let writer = Writer { image: &image, host: &host, how, work, times: Mutex::default() };
        // The first name is not there: no link to it can be made.
        for name in ["new", "sub"] {
            writer.further_names(&lost(&["first", name])).unwrap_err();
        }
        writer.write_as(&lost(&["there"]), Path::new("there"), 0).unwrap_err();
        assert_eq!(fs_err::read_dir(folder.path()).unwrap().count(), 1);
        assert_eq!(fs_err::read(folder.path().join("there")).unwrap(), b"older");
    }

    #[test]
    fn links_of_a_volume_replace_what_is_there_when_they_may() {
        let folder = tempfile::tempdir().unwrap();
        let host = open(folder.path()).unwrap();
        fs_err::write(folder.path().join("a"), "older").unwrap();
        fs_err::write(folder.path().join("b"), "older").unwrap();
        let times = Times { accessed: FileTime(1), modified: FileTime(1) };
        let link = |path: &str, to_folder| {
            let (path, target) = (PathBuf::from(path), PathBuf::from("x"));
            Link { path, entry: 0, times, target, to_folder }
        };
        let links = [link("a", false), link("b", true)];
        let error = make_empty(&host, &links, false).unwrap_err();
        assert!(matches!(error, ExtractError::Exists(_)), "{error}");
        make_empty(&host, &links, true).unwrap();
        assert_eq!(fs_err::read(folder.path().join("a")).unwrap(), b"");
        assert!(folder.path().join("b").is_dir());
        let error = make_empty(&host, &[link("b", false)], true).unwrap_err();
        assert!(matches!(error, ExtractError::InTheWay { .. }), "{error}");
    }
}
