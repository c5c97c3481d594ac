//! Writing what the plan says.
//!
//! Order: folders, then files on all threads, then their further names, then symbolic links, then the times of folders. Links come after all files, and
//! before a file is written every folder above it is known to be a folder and no link, so nothing is written outside the target.

use std::{
    collections::HashSet,
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::Mutex,
    sync::atomic::{AtomicU64, Ordering},
};

use fs_err as fs;
use rayon::prelude::*;

use super::{
    Counts, Rules,
    plan::{File, Folder, Link, Plan, Times},
};
use crate::{
    base::filetime::FileTime,
    cli::{
        app::Context,
        exit::{Exit, Failure, Problem},
        failures,
        progress::Meter,
    },
    format::wim::{Wim, WimError},
};

/// Writes everything below `target`.
pub(super) fn write(
    wim: &Wim,
    wim_path: &Path,
    plan: &Plan,
    target: &Path,
    rules: Rules,
    context: &Context,
) -> Result<Counts, Failure> {
    if let Some((sha1, path)) = plan.missing.first() {
        let error = WimError::MissingBlob { sha1: *sha1, needed_by: path.clone() };
        return Err(failures::wim_read(wim_path, error));
    }
    fs::create_dir_all(target).map_err(|error| failures::output(target, error))?;
    let mut safe = HashSet::new();
    for folder in &plan.folders {
        make_folder(target, &folder.path, &mut safe)?;
    }
    let bytes = write_files(wim, wim_path, plan, target, rules, context)?;
    for file in &plan.files {
        further_names(file, target, rules)?;
    }
    let links = make_links(&plan.links, target, rules)?;
    for folder in plan.folders.iter().rev() {
        finish_folder(folder, target);
    }
    Ok(Counts {
        folders: plan.folders.len() as u64,
        files: plan.files.iter().map(|file| file.paths.len() as u64).sum(),
        links,
        bytes,
    })
}

/// Makes a folder, or uses the one that is there; a link in its place is refused.
fn make_folder(target: &Path, path: &Path, safe: &mut HashSet<PathBuf>) -> Result<(), Failure> {
    if path.as_os_str().is_empty() || !safe.insert(path.to_owned()) {
        return Ok(());
    }
    // The plan lists a folder after the one it is in, so everything above is safe already.
    let host = target.join(path);
    match fs::symlink_metadata(&host) {
        Ok(found) if found.is_dir() => Ok(()),
        Ok(_) => Err(Problem::new(
            "wim::extract::in-the-way",
            format!("{} is in the way: it is not a folder", host.display()),
        )
        .help("symbolic links are not followed; unpack into an empty folder, or move it away")
        .exit(Exit::OutputFailed)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::create_dir(&host).map_err(|error| failures::output(&host, error))
        }
        Err(error) => Err(failures::output(&host, error)),
    }
}

/// Writes the first name of every file, on all threads, in the order in which contents lie in the WIM.
fn write_files(
    wim: &Wim,
    wim_path: &Path,
    plan: &Plan,
    target: &Path,
    rules: Rules,
    context: &Context,
) -> Result<u64, Failure> {
    let mut files: Vec<&File> = plan.files.iter().collect();
    files.sort_by_key(|file| file.blob.map_or(0, |blob| blob.resource.offset));
    let total = files.iter().filter_map(|file| file.blob).map(|blob| blob.size).sum();
    let meter = Meter::new(&context.settings, "unpacking", total);
    let done = AtomicU64::new(0);
    let failed: Mutex<Option<Failure>> = Mutex::new(None);
    // Pieces, so that this thread can draw and look for Ctrl-C in between.
    for piece in files.chunks(256) {
        let result = piece
            .par_iter()
            .try_for_each(|file| write_file(wim, wim_path, file, target, rules, &done, context));
        if let Err(failure) = result {
            failed.lock().map(|mut first| first.get_or_insert(failure).exit).ok();
            break;
        }
        meter.at(done.load(Ordering::Relaxed));
    }
    meter.finish();
    match failed.into_inner() {
        Ok(Some(failure)) => Err(failure),
        _ => Ok(total),
    }
}

/// Writes a file beside its place and renames it there: under its name a file is whole.
fn write_file(
    wim: &Wim,
    wim_path: &Path,
    file: &File,
    target: &Path,
    rules: Rules,
    done: &AtomicU64,
    context: &Context,
) -> Result<(), Failure> {
    context.interrupt.check()?;
    let host = target.join(&file.paths[0]);
    make_way(&host, rules)?;
    let folder = host.parent().unwrap_or(target);
    let mut temporary = tempfile::Builder::new()
        .prefix(".transom-")
        .tempfile_in(folder)
        .map_err(|error| failures::output(&host, error))?;
    if let Some(blob) = &file.blob {
        let mut failure = None;
        let result = wim.stream_blob(blob, &mut |bytes| {
            if context.interrupt.pressed() {
                failure = Some(Failure::interrupted());
                return Err(io::ErrorKind::Interrupted.into());
            }
            done.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            temporary.write_all(bytes).map_err(|error| {
                let kind = error.kind();
                failure = Some(failures::output(&host, error));
                kind.into()
            })
        });
        if let Some(failure) = failure {
            return Err(failure);
        }
        result.map_err(|error| failures::wim_read(wim_path, error))?;
    }
    finish_file(temporary.as_file(), file);
    temporary.persist(&host).map(drop).map_err(|error| failures::output(&host, error.error))
}

/// Sees to it that nothing stands where a file or link is to be.
fn make_way(host: &Path, rules: Rules) -> Result<(), Failure> {
    let found = match fs::symlink_metadata(host) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failures::output(host, error)),
        Ok(found) => found,
    };
    if found.is_dir() {
        return Err(Problem::new(
            "wim::extract::in-the-way",
            format!("{} is in the way: it is a folder", host.display()),
        )
        .exit(Exit::OutputFailed));
    }
    if !rules.overwrite {
        return Err(Problem::new(
            "wim::extract::exists",
            format!("{} exists already", host.display()),
        )
        .help("--overwrite replaces existing files")
        .exit(Exit::OutputFailed));
    }
    Ok(())
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

fn system_time(time: FileTime) -> std::time::SystemTime {
    let (seconds, nanoseconds) = time.to_unix();
    let epoch = std::time::SystemTime::UNIX_EPOCH;
    let whole = std::time::Duration::from_secs(seconds.unsigned_abs());
    let rest = std::time::Duration::from_nanos(u64::from(nanoseconds));
    let base = if seconds < 0 { epoch.checked_sub(whole) } else { epoch.checked_add(whole) };
    base.and_then(|base| base.checked_add(rest)).unwrap_or(epoch)
}

/// The further names of a file: hard links, or copies where the file system has none.
fn further_names(file: &File, target: &Path, rules: Rules) -> Result<(), Failure> {
    let first = target.join(&file.paths[0]);
    for path in &file.paths[1..] {
        let host = target.join(path);
        make_way(&host, rules)?;
        remove(&host)?;
        if fs::hard_link(&first, &host).is_err() {
            fs::copy(&first, &host).map_err(|error| failures::output(&host, error))?;
        }
    }
    Ok(())
}

fn make_links(links: &[Link], target: &Path, rules: Rules) -> Result<u64, Failure> {
    for link in links {
        let host = target.join(&link.path);
        make_way(&host, rules)?;
        remove(&host)?;
        symbolic_link(link, &host).map_err(|error| failures::output(&host, error))?;
    }
    Ok(links.len() as u64)
}

fn remove(host: &Path) -> Result<(), Failure> {
    match fs::remove_file(host) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failures::output(host, error)),
        _ => Ok(()),
    }
}

#[cfg(unix)]
fn symbolic_link(link: &Link, host: &Path) -> io::Result<()> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_before_1970_are_times_too() {
        let time = system_time(FileTime(0));
        let before = std::time::SystemTime::UNIX_EPOCH.duration_since(time).unwrap();
        assert_eq!(before.as_secs(), 11_644_473_600);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_in_the_place_of_a_folder_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/", folder.path().join("a")).unwrap();
        let failure = make_folder(folder.path(), Path::new("a"), &mut HashSet::new()).unwrap_err();
        assert_eq!(failure.exit, Exit::OutputFailed);
    }
}
