//! A folder of the host that is written into, and nothing outside it.
//!
//! Paths are relative to the folder and made of plain names. On Linux no symbolic link is followed on the way, whoever puts one there while we
//! write (`openat2`); elsewhere the caller makes or checks every folder before what is in it, and makes links last.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
};

use crate::base::filetime::FileTime;

/// The times that a host file can be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::image) struct Times {
    pub(in crate::image) accessed: FileTime,
    pub(in crate::image) modified: FileTime,
}

/// What is at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::image) enum Found {
    Nothing,
    Folder,
    /// A file, a link, anything else.
    Other,
}

#[cfg(unix)]
pub(in crate::image) use unix::Target;

#[cfg(not(unix))]
pub(in crate::image) use portable::Target;

#[cfg(unix)]
mod unix {
    use std::{
        collections::HashMap,
        ffi::OsStr,
        os::fd::OwnedFd,
        sync::{
            Arc, Mutex, PoisonError,
            atomic::{AtomicBool, Ordering},
        },
    };

    use fs_err as fs;
    use rustix::fs::{self as system, AtFlags, Mode, OFlags, Timespec, Timestamps};

    use super::{File, FileTime, Found, Path, PathBuf, Times, io};

    /// Folders that are kept open at most.
    const OPEN_FOLDERS: usize = 64;

    /// A folder that is written into.
    #[derive(Debug)]
    pub(in crate::image) struct Target {
        root: Arc<OwnedFd>,
        path: PathBuf,
        /// False once the kernel said that it has no such call.
        has_openat2: AtomicBool,
        open: Mutex<HashMap<PathBuf, Arc<OwnedFd>>>,
    }

    impl Target {
        /// Opens the folder, which is made when it is not there.
        pub(in crate::image) fn open(path: &Path) -> io::Result<Self> {
            fs::create_dir_all(path)?;
            let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
            let root = system::open(path, flags, Mode::empty())?;
            Ok(Self {
                root: Arc::new(root),
                path: path.to_owned(),
                has_openat2: AtomicBool::new(cfg!(target_os = "linux")),
                open: Mutex::default(),
            })
        }

        /// Where `path` is, for messages.
        pub(in crate::image) fn at(&self, path: &Path) -> PathBuf {
            self.path.join(path)
        }

        /// Makes a folder; one that is there is an error.
        pub(in crate::image) fn make_folder(&self, path: &Path) -> io::Result<()> {
            let (folder, name) = self.folder_of(path)?;
            Ok(system::mkdirat(&*folder, name, Mode::from_raw_mode(0o755))?)
        }

        /// Makes a file; anything that is there is an error.
        pub(in crate::image) fn make_file(&self, path: &Path) -> io::Result<File> {
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
            Ok(self.open_at(path, flags | OFlags::CLOEXEC, 0o644)?.into())
        }

        pub(in crate::image) fn make_link(
            &self,
            path: &Path,
            to: &Path,
            _to_folder: bool,
        ) -> io::Result<()> {
            let (folder, name) = self.folder_of(path)?;
            Ok(system::symlinkat(to, &*folder, name)?)
        }

        pub(in crate::image) fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
            let (old, old_name) = self.folder_of(from)?;
            let (new, new_name) = self.folder_of(to)?;
            Ok(system::linkat(&*old, old_name, &*new, new_name, AtFlags::empty())?)
        }

        /// Renames within one folder.
        pub(in crate::image) fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
            let (folder, new_name) = self.folder_of(to)?;
            let old_name = from.file_name().unwrap_or_default();
            Ok(system::renameat(&*folder, old_name, &*folder, new_name)?)
        }

        pub(in crate::image) fn remove(&self, path: &Path) -> io::Result<()> {
            let (folder, name) = self.folder_of(path)?;
            Ok(system::unlinkat(&*folder, name, AtFlags::empty())?)
        }

        pub(in crate::image) fn found(&self, path: &Path) -> io::Result<Found> {
            let (folder, name) = self.folder_of(path)?;
            match system::statat(&*folder, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(found) if system::FileType::from_raw_mode(found.st_mode).is_dir() => {
                    Ok(Found::Folder)
                }
                Ok(_) => Ok(Found::Other),
                Err(rustix::io::Errno::NOENT) => Ok(Found::Nothing),
                Err(error) => Err(error.into()),
            }
        }

        /// Sets the times of a file, folder or link.
        pub(in crate::image) fn set_times(&self, path: &Path, times: Times) -> io::Result<()> {
            if path.as_os_str().is_empty() {
                return Ok(system::futimens(&*self.root, &stamps(times))?);
            }
            let (folder, name) = self.folder_of(path)?;
            Ok(system::utimensat(&*folder, name, &stamps(times), AtFlags::SYMLINK_NOFOLLOW)?)
        }

        /// When the file, folder or link says that it was written last.
        pub(in crate::image) fn modified(&self, path: &Path) -> io::Result<FileTime> {
            let found = if path.as_os_str().is_empty() {
                system::fstat(&*self.root)?
            } else {
                let (folder, name) = self.folder_of(path)?;
                system::statat(&*folder, name, AtFlags::SYMLINK_NOFOLLOW)?
            };
            Ok(written(&found))
        }

        /// Sets the mode of a folder.
        pub(in crate::image) fn set_mode(&self, path: &Path, mode: u32) -> io::Result<()> {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let folder = match path.as_os_str().is_empty() {
                true => Arc::clone(&self.root),
                false => Arc::new(self.open_at(path, flags, 0)?),
            };
            Ok(system::fchmod(&*folder, Mode::from_raw_mode((mode & 0o777) as _))?)
        }

        fn open_at(&self, path: &Path, flags: OFlags, mode: u32) -> io::Result<OwnedFd> {
            let mode = Mode::from_raw_mode(mode as _);
            #[cfg(target_os = "linux")]
            if self.has_openat2.load(Ordering::Relaxed) {
                use rustix::{fs::ResolveFlags, io::Errno};
                let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
                match system::openat2(&*self.root, path, flags, mode, resolve) {
                    // Old kernels have none; some sandboxes forbid what they do not know.
                    Err(Errno::NOSYS | Errno::PERM) => {
                        self.has_openat2.store(false, Ordering::Relaxed);
                    }
                    Err(Errno::INTR | Errno::AGAIN) => {
                        return self.open_at(path, flags, mode.bits());
                    }
                    result => return Ok(result?),
                }
            }
            Ok(system::openat(&*self.root, path, flags, mode)?)
        }

        /// The folder of `path`, open, and the name in it.
        fn folder_of<'path>(&self, path: &'path Path) -> io::Result<(Arc<OwnedFd>, &'path OsStr)> {
            let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
            let parent = path.parent().unwrap_or_else(|| Path::new(""));
            if parent.as_os_str().is_empty() {
                return Ok((Arc::clone(&self.root), name));
            }
            let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(folder) = open.get(parent) {
                return Ok((Arc::clone(folder), name));
            }
            let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let folder = Arc::new(self.open_at(parent, flags, 0)?);
            if open.len() >= OPEN_FOLDERS {
                open.clear();
            }
            open.insert(parent.to_owned(), Arc::clone(&folder));
            Ok((folder, name))
        }
    }

    /// Sets the times of an open file.
    pub(in crate::image) fn set_file_times(file: &File, times: Times) -> io::Result<()> {
        Ok(system::futimens(file, &stamps(times))?)
    }

    /// Sets the mode of an open file. Set-user-id bits are never taken from an image.
    pub(in crate::image) fn set_file_mode(file: &File, mode: u32) -> io::Result<()> {
        Ok(system::fchmod(file, Mode::from_raw_mode((mode & 0o777) as _))?)
    }

    /// When an open file says that it was written last.
    pub(in crate::image) fn file_modified(file: &File) -> io::Result<FileTime> {
        Ok(written(&system::fstat(file)?))
    }

    fn stamps(times: Times) -> Timestamps {
        let stamp = |time: FileTime| {
            let (seconds, nanoseconds) = time.to_unix();
            Timespec { tv_sec: seconds, tv_nsec: nanoseconds.into() }
        };
        Timestamps { last_access: stamp(times.accessed), last_modification: stamp(times.modified) }
    }

    fn written(found: &system::Stat) -> FileTime {
        FileTime::from_unix(
            found.st_mtime as _,
            u32::try_from(found.st_mtime_nsec).unwrap_or_default(),
        )
    }
}

#[cfg(unix)]
pub(in crate::image) use unix::{file_modified, set_file_mode, set_file_times};

#[cfg(not(unix))]
pub(in crate::image) use portable::{file_modified, set_file_mode, set_file_times};

/// What any host can do. On Unix it is built for the tests alone, so that it cannot rot.
#[cfg(any(test, not(unix)))]
mod portable {
    use std::time::{Duration, SystemTime};

    use fs_err as fs;

    use super::{File, FileTime, Found, Path, PathBuf, Times, io};

    /// A folder that is written into.
    #[derive(Debug)]
    pub(in crate::image) struct Target {
        path: PathBuf,
    }

    impl Target {
        pub(in crate::image) fn open(path: &Path) -> io::Result<Self> {
            fs::create_dir_all(path)?;
            Ok(Self { path: path.to_owned() })
        }

        pub(in crate::image) fn at(&self, path: &Path) -> PathBuf {
            self.path.join(path)
        }

        pub(in crate::image) fn make_folder(&self, path: &Path) -> io::Result<()> {
            fs::create_dir(self.at(path))
        }

        pub(in crate::image) fn make_file(&self, path: &Path) -> io::Result<File> {
            let mut options = fs::OpenOptions::new();
            let file = options.write(true).create_new(true).open(self.at(path))?;
            Ok(file.into_parts().0)
        }

        pub(in crate::image) fn make_link(
            &self,
            path: &Path,
            to: &Path,
            to_folder: bool,
        ) -> io::Result<()> {
            #[cfg(windows)]
            return if to_folder {
                fs::os::windows::fs::symlink_dir(to, self.at(path))
            } else {
                fs::os::windows::fs::symlink_file(to, self.at(path))
            };
            #[cfg(unix)]
            {
                let _ = to_folder;
                fs::os::unix::fs::symlink(to, self.at(path))
            }
        }

        pub(in crate::image) fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
            fs::hard_link(self.at(from), self.at(to))
        }

        pub(in crate::image) fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
            fs::rename(self.at(from), self.at(to))
        }

        pub(in crate::image) fn remove(&self, path: &Path) -> io::Result<()> {
            fs::remove_file(self.at(path))
        }

        pub(in crate::image) fn found(&self, path: &Path) -> io::Result<Found> {
            match fs::symlink_metadata(self.at(path)) {
                Ok(found) if found.is_dir() => Ok(Found::Folder),
                Ok(_) => Ok(Found::Other),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Found::Nothing),
                Err(error) => Err(error),
            }
        }

        pub(in crate::image) fn set_times(&self, path: &Path, times: Times) -> io::Result<()> {
            let host = self.at(path);
            if fs::symlink_metadata(&host)?.is_symlink() {
                return Ok(());
            }
            set_file_times(fs::File::open(host)?.file(), times)
        }

        pub(in crate::image) fn modified(&self, path: &Path) -> io::Result<FileTime> {
            fs::symlink_metadata(self.at(path))?.modified().map(file_time)
        }

        #[cfg(not(unix))]
        pub(in crate::image) fn set_mode(&self, _: &Path, _: u32) -> io::Result<()> {
            Ok(())
        }
    }

    pub(in crate::image) fn set_file_times(file: &File, times: Times) -> io::Result<()> {
        let times = std::fs::FileTimes::new()
            .set_accessed(system_time(times.accessed))
            .set_modified(system_time(times.modified));
        file.set_times(times)
    }

    #[cfg(not(unix))]
    pub(in crate::image) fn set_file_mode(_: &File, _: u32) -> io::Result<()> {
        Ok(())
    }

    #[cfg(not(unix))]
    pub(in crate::image) fn file_modified(file: &File) -> io::Result<FileTime> {
        file.metadata()?.modified().map(file_time)
    }

    pub(super) fn system_time(time: FileTime) -> SystemTime {
        let (seconds, nanoseconds) = time.to_unix();
        let whole = Duration::from_secs(seconds.unsigned_abs());
        let rest = Duration::from_nanos(u64::from(nanoseconds));
        let epoch = SystemTime::UNIX_EPOCH;
        let base = if seconds < 0 { epoch.checked_sub(whole) } else { epoch.checked_add(whole) };
        base.and_then(|base| base.checked_add(rest)).unwrap_or(epoch)
    }

    fn file_time(time: SystemTime) -> FileTime {
        crate::image::import::file_time(time)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    /// Both hosts do the same.
    macro_rules! host_tests {
        ($name:ident, $target:ty) => {
            #[test]
            fn $name() {
                let folder = tempfile::tempdir().unwrap();
                let target = <$target>::open(&folder.path().join("a/b")).unwrap();
                let path = |text: &'static str| Path::new(text);
                let exists = |error: io::Error| error.kind() == io::ErrorKind::AlreadyExists;
                target.make_folder(path("sub")).unwrap();
                assert!(exists(target.make_folder(path("sub")).unwrap_err()));
                target.make_file(path("sub/f")).unwrap().write_all(b"text").unwrap();
                assert!(exists(target.make_file(path("sub/f")).unwrap_err()));
                target.hard_link(path("sub/f"), path("g")).unwrap();
                target.rename(path("g"), path("h")).unwrap();
                assert_eq!(target.found(path("g")).unwrap(), Found::Nothing);
                assert_eq!(target.found(path("sub")).unwrap(), Found::Folder);
                target.make_link(path("sub/l"), path("f"), false).unwrap();
                assert_eq!(target.found(path("sub/l")).unwrap(), Found::Other);
                let time = FileTime(132_000_000_000_123_400);
                let times = Times { accessed: time, modified: time };
                for place in ["sub/f", "sub", ""] {
                    target.set_times(path(place), times).unwrap();
                    assert_eq!(target.modified(path(place)).unwrap(), time, "{place:?}");
                }
                target.remove(path("h")).unwrap();
                assert_eq!(target.found(path("h")).unwrap(), Found::Nothing);
            }
        };
    }

    host_tests!(this_host, Target);
    host_tests!(any_host, portable::Target);

    #[cfg(target_os = "linux")]
    #[test]
    fn a_link_on_the_way_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (inside, outside) = (folder.path().join("in"), folder.path().join("out"));
        fs_err::create_dir(&outside).unwrap();
        let target = Target::open(&inside).unwrap();
        target.make_link(Path::new("a"), &outside, true).unwrap();
        assert!(target.make_file(Path::new("a/f")).is_err());
        assert!(target.make_folder(Path::new("a/f")).is_err());
        assert!(target.remove(Path::new("a/f")).is_err());
        assert_eq!(fs_err::read_dir(outside).unwrap().count(), 0);
    }

    #[test]
    fn times_before_1970_are_times_too() {
        let time = portable::system_time(FileTime(0));
        let before = std::time::SystemTime::UNIX_EPOCH.duration_since(time).unwrap();
        assert_eq!(before.as_secs(), 11_644_473_600);
    }
}
