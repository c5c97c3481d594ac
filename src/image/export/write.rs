//! Writing what the plan says.
//!
//! Order: folders, then files on all threads, then their further names, then symbolic links, then the times of folders. Links come after all files, and
//! before a file is written every folder above it is known to be a folder and no link, so nothing is written outside the target.

use std::{
    io::{self, Write as _},
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

use fs_err as fs;
use rayon::prelude::*;

use crate::{
    base::filetime::FileTime,
    format::wim::Wim,
    image::{
        content::BlobLocation,
        offline::Image,
        watch::{Watch, Work},
    },
};

use super::{
    extract::{ExtractError, ExtractOptions},
    plan::{File, Folder, Link, Plan, Times},
};

/// Files that all threads write before the next are begun: threads stay near each other in the WIM.
const AT_ONCE: usize = 256;

/// Writes everything below `target`. Returns the bytes written and the links made.
pub(super) fn write(
    image: &Image,
    plan: &Plan,
    target: &Path,
    options: &ExtractOptions,
    watch: Watch<'_>,
) -> Result<(u64, u64), ExtractError> {
    let total = plan.files.iter().map(|file| file.content.size).sum();
    let work = Work::new(watch, total);
    fs::create_dir_all(target).map_err(|error| refused(target, error))?;
    for folder in &plan.folders {
        make_folder(target, &folder.path)?;
    }
    let mut files: Vec<&File> = plan.files.iter().collect();
    files.sort_by_key(|file| file.position);
    let mut rest = &files[..];
    while !rest.is_empty() {
        let (piece, later) = rest.split_at(prepare(image, &rest[..rest.len().min(AT_ONCE)]));
        piece.par_iter().try_for_each(|file| write_file(image, file, target, options, &work))?;
        rest = later;
    }
    for file in &plan.files {
        check(&work)?;
        further_names(file, target, options)?;
    }
    for link in &plan.links {
        check(&work)?;
        make_link(link, target, options)?;
    }
    for folder in plan.folders.iter().rev() {
        finish_folder(folder, target);
    }
    Ok((total, plan.links.len() as u64))
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
    places.get(ready).copied().unwrap_or(files.len())
}

fn check(work: &Work<'_>) -> Result<(), ExtractError> {
    if work.is_cancelled() { Err(ExtractError::Cancelled) } else { Ok(()) }
}

fn refused(path: &Path, source: io::Error) -> ExtractError {
    ExtractError::Host { path: path.to_owned(), source }
}

/// Makes a folder, or uses the one that is there; a link in its place is refused. The folder above it must have been made in the same way.
fn make_folder(target: &Path, path: &Path) -> Result<(), ExtractError> {
    if path.as_os_str().is_empty() {
        return Ok(());
    }
    let host = target.join(path);
    match fs::symlink_metadata(&host) {
        Ok(found) if found.is_dir() => Ok(()),
        Ok(_) => Err(ExtractError::InTheWay { path: host, what: "not a folder" }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::create_dir(&host).map_err(|error| refused(&host, error))
        }
        Err(error) => Err(refused(&host, error)),
    }
}

/// Writes a file beside its place and renames it there: under its name a file is whole.
fn write_file(
    image: &Image,
    file: &File,
    target: &Path,
    options: &ExtractOptions,
    work: &Work<'_>,
) -> Result<(), ExtractError> {
    check(work)?;
    let host = target.join(&file.paths[0]);
    make_way(&host, options)?;
    let folder = host.parent().unwrap_or(target);
    let mut temporary = tempfile::Builder::new()
        .prefix(".transom-")
        .tempfile_in(folder)
        .map_err(|error| refused(&host, error))?;
    let mut failure = None;
    let path = image.tree().path_of(file.node);
    let result = image.stream(&file.content, &path, &mut |bytes| {
        let written = check(work)
            .and_then(|()| temporary.write_all(bytes).map_err(|error| refused(&host, error)));
        work.add(bytes.len() as u64);
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
    finish_file(temporary.as_file(), file);
    temporary.persist(&host).map(drop).map_err(|error| refused(&host, error.error))
}

/// Sees to it that a file or link may be put in this place.
fn make_way(host: &Path, options: &ExtractOptions) -> Result<(), ExtractError> {
    match fs::symlink_metadata(host) {
        Ok(found) if found.is_dir() => {
            Err(ExtractError::InTheWay { path: host.to_owned(), what: "a folder" })
        }
        Ok(_) if !options.overwrite => Err(ExtractError::Exists(host.to_owned())),
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(refused(host, error)),
    }
}

/// The same, and takes away what is there.
fn clear_way(host: &Path, options: &ExtractOptions) -> Result<(), ExtractError> {
    make_way(host, options)?;
    match fs::remove_file(host) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(refused(host, error)),
        _ => Ok(()),
    }
}

/// The further names of a file: hard links, or copies where the file system has none.
fn further_names(file: &File, target: &Path, options: &ExtractOptions) -> Result<(), ExtractError> {
    let first = target.join(&file.paths[0]);
    for path in &file.paths[1..] {
        let host = target.join(path);
        clear_way(&host, options)?;
        if fs::hard_link(&first, &host).is_err() {
            fs::copy(&first, &host).map_err(|error| refused(&host, error))?;
        }
    }
    Ok(())
}

fn make_link(link: &Link, target: &Path, options: &ExtractOptions) -> Result<(), ExtractError> {
    let host = target.join(&link.path);
    clear_way(&host, options)?;
    symbolic_link(link, &host).map_err(|error| refused(&host, error))
}

#[cfg(unix)]
fn symbolic_link(link: &Link, host: &Path) -> io::Result<()> {
    // Only Windows tells links to folders from links to files.
    let _ = link.to_folder;
    fs_err::os::unix::fs::symlink(&link.target, host)
}

#[cfg(windows)]
fn symbolic_link(link: &Link, host: &Path) -> io::Result<()> {
    if link.to_folder {
        fs_err::os::windows::fs::symlink_dir(&link.target, host)
    } else {
        fs_err::os::windows::fs::symlink_file(&link.target, host)
    }
}

/// Permissions and times. What the file system refuses is not worth a failure.
fn finish_file(host: &std::fs::File, file: &File) {
    set_mode(host, file.mode.unwrap_or(0o644));
    host.set_times(host_times(file.times)).ok();
}

fn finish_folder(folder: &Folder, target: &Path) {
    let Ok(host) = fs::File::open(target.join(&folder.path)) else { return };
    if let Some(mode) = folder.mode {
        set_mode(host.file(), mode | 0o700);
    }
    host.file().set_times(host_times(folder.times)).ok();
}

#[cfg(unix)]
fn set_mode(host: &std::fs::File, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    // Set-user-id bits are never taken from an image.
    host.set_permissions(std::fs::Permissions::from_mode(mode & 0o777)).ok();
}

#[cfg(not(unix))]
fn set_mode(_: &std::fs::File, _: u32) {}

fn host_times(times: Times) -> std::fs::FileTimes {
    std::fs::FileTimes::new()
        .set_accessed(system_time(times.accessed))
        .set_modified(system_time(times.modified))
}

fn system_time(time: FileTime) -> SystemTime {
    let (seconds, nanoseconds) = time.to_unix();
    let whole = Duration::from_secs(seconds.unsigned_abs());
    let rest = Duration::from_nanos(u64::from(nanoseconds));
    let epoch = SystemTime::UNIX_EPOCH;
    let base = if seconds < 0 { epoch.checked_sub(whole) } else { epoch.checked_add(whole) };
    base.and_then(|base| base.checked_add(rest)).unwrap_or(epoch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_before_1970_are_times_too() {
        let time = system_time(FileTime(0));
        let before = SystemTime::UNIX_EPOCH.duration_since(time).unwrap();
        assert_eq!(before.as_secs(), 11_644_473_600);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_in_the_place_of_a_folder_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/", folder.path().join("a")).unwrap();
        let error = make_folder(folder.path(), Path::new("a")).unwrap_err();
        assert!(matches!(error, ExtractError::InTheWay { .. }), "{error}");
    }
}
