//! What is in a folder of the host.

use std::{
    fs::Metadata,
    path::{Path, PathBuf},
};

use fs_err as fs;

use super::exclude::Exclusions;
use crate::{
    base::{
        filetime::FileTime,
        name::{Name, compare_ignore_case},
        ntpath::check_component,
    },
    cli::{
        exit::{Exit, Failure, Problem},
        failures,
    },
};

/// The deepest nesting that is captured.
const DEEPEST: usize = 1000;

/// A walked folder: entries, each after the folder it is in; the first is the root.
#[derive(Debug)]
pub(super) struct HostTree {
    pub(super) root: PathBuf,
    pub(super) entries: Vec<HostEntry>,
    pub(super) warnings: Vec<String>,
}

/// An entry of the host's file system.
#[derive(Debug)]
pub(super) struct HostEntry {
    pub(super) name: Name,
    pub(super) path: PathBuf,
    pub(super) kind: HostKind,
    pub(super) modified: FileTime,
    pub(super) unix: UnixData,
    /// Positions of what is in the folder, in the order of an NT directory.
    pub(super) children: Vec<usize>,
}

/// What an entry is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum HostKind {
    Directory,
    File {
        size: u64,
        /// Device and file number when the file has several names.
        links: Option<(u64, u64)>,
    },
    Link {
        target: PathBuf,
        to_directory: bool,
    },
}

/// Owner, group and mode; zero where the system has none.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct UnixData {
    pub(super) user: u32,
    pub(super) group: u32,
    pub(super) mode: u32,
}

/// Looks at everything below `root`.
pub(super) fn walk(root: &Path, exclusions: &Exclusions) -> Result<HostTree, Failure> {
    let metadata =
        fs::metadata(root).map_err(|error| failures::input("the folder to capture", error))?;
    if !metadata.is_dir() {
        return Err(Problem::new("input", format!("{} is not a folder", root.display()))
            .exit(Exit::BadInput));
    }
    let first = HostEntry {
        name: Name::default(),
        path: root.to_owned(),
        kind: HostKind::Directory,
        modified: modified(&metadata),
        unix: unix_data(&metadata),
        children: Vec::new(),
    };
    let mut tree = HostTree { root: root.to_owned(), entries: vec![first], warnings: Vec::new() };
    let mut open = vec![(0, String::new(), 0)];
    while let Some((folder, image_path, depth)) = open.pop() {
        if depth > DEEPEST {
            let path = tree.entries[folder].path.display();
            return Err(Problem::new(
                "input",
                format!("{path} lies deeper than {DEEPEST} folders"),
            )
            .exit(Exit::BadInput));
        }
        let begin = tree.entries.len();
        read_folder(&mut tree, folder, &image_path, exclusions)?;
        tree.entries[folder].children = (begin..tree.entries.len()).collect();
        for child in (begin..tree.entries.len()).rev() {
            if tree.entries[child].kind == HostKind::Directory {
                open.push((
                    child,
                    format!("{image_path}\\{}", tree.entries[child].name),
                    depth + 1,
                ));
            }
        }
    }
    Ok(tree)
}

/// Appends what is in one folder, sorted as NT sorts.
fn read_folder(
    tree: &mut HostTree,
    folder: usize,
    image_path: &str,
    exclusions: &Exclusions,
) -> Result<(), Failure> {
    let unreadable = |error| failures::input("a folder to capture", error);
    let mut found = Vec::new();
    for entry in fs::read_dir(&tree.entries[folder].path).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let name = name_of(&path)?;
        if exclusions.excludes(&format!("{image_path}\\{name}"), &path) {
            continue;
        }
        if let Some(entry) = look(path, Name::from(name.as_str()), &mut tree.warnings)? {
            found.push(entry);
        }
    }
    found.sort_by(|left, right| {
        compare_ignore_case(left.name.units(), right.name.units())
            .then_with(|| left.name.cmp(&right.name))
    });
    for pair in found.windows(2).filter(|pair| pair[0].name.eq_ignore_case(&pair[1].name)) {
        tree.warnings.push(format!(
            "{} and `{}` differ in case only: Windows sees one of them",
            pair[0].path.display(),
            pair[1].name
        ));
    }
    tree.entries.append(&mut found);
    Ok(())
}

/// The entry's name as text that an image can hold.
fn name_of(path: &Path) -> Result<String, Failure> {
    let name = path.file_name().unwrap_or_default();
    let text = name.to_str().filter(|text| !text.contains('\\') || cfg!(windows));
    text.map(str::to_owned).ok_or_else(|| {
        Problem::new(
            "input::name",
            format!("{} has a name that an image cannot hold", path.display()),
        )
        .help("names must be UTF-8 and without backslash: rename it, or leave it out with --exclude on its folder")
        .exit(Exit::BadInput)
    })
}

/// Looks at one entry; `None` for what is not captured.
fn look(
    path: PathBuf,
    name: Name,
    warnings: &mut Vec<String>,
) -> Result<Option<HostEntry>, Failure> {
    let metadata = fs::symlink_metadata(&path)
        .map_err(|error| failures::input("an entry to capture", error))?;
    let file_type = metadata.file_type();
    let kind = if file_type.is_symlink() {
        let target =
            fs::read_link(&path).map_err(|error| failures::input("a symbolic link", error))?;
        HostKind::Link { target, to_directory: path.is_dir() }
    } else if file_type.is_dir() {
        HostKind::Directory
    } else if file_type.is_file() {
        HostKind::File { size: metadata.len(), links: link_identity(&metadata) }
    } else {
        warnings.push(format!("{} is neither file, folder nor link: left out", path.display()));
        return Ok(None);
    };
    if let Err(error) = check_component(&name.to_string()) {
        warnings.push(format!("{}: {error}", path.display()));
    }
    let (modified, unix) = (modified(&metadata), unix_data(&metadata));
    Ok(Some(HostEntry { name, path, kind, modified, unix, children: Vec::new() }))
}

#[cfg(unix)]
fn modified(metadata: &Metadata) -> FileTime {
    use std::os::unix::fs::MetadataExt as _;
    FileTime::from_unix(metadata.mtime(), u32::try_from(metadata.mtime_nsec()).unwrap_or(0))
}

#[cfg(windows)]
fn modified(metadata: &Metadata) -> FileTime {
    use std::os::windows::fs::MetadataExt as _;
    FileTime(metadata.last_write_time())
}

#[cfg(unix)]
fn unix_data(metadata: &Metadata) -> UnixData {
    use std::os::unix::fs::MetadataExt as _;
    UnixData { user: metadata.uid(), group: metadata.gid(), mode: metadata.mode() }
}

#[cfg(not(unix))]
fn unix_data(_: &Metadata) -> UnixData {
    UnixData::default()
}

#[cfg(unix)]
fn link_identity(metadata: &Metadata) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt as _;
    (metadata.nlink() > 1).then(|| (metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
fn link_identity(_: &Metadata) -> Option<(u64, u64)> {
    // The standard library tells file numbers on Windows only in unstable calls: links are captured as files.
    None
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn entries_are_sorted_as_nt_sorts_and_exclusions_are_left_out() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b", "A", "_", "skip.tmp"] {
            fs::write(folder.path().join(name), name).unwrap();
        }
        fs::create_dir(folder.path().join("c")).unwrap();
        fs::hard_link(folder.path().join("b"), folder.path().join("c/b2")).unwrap();
        std::os::unix::fs::symlink("c", folder.path().join("l")).unwrap();
        let exclusions = Exclusions::read(&["*.tmp".to_owned()], &[]).unwrap();
        let tree = walk(folder.path(), &exclusions).unwrap();
        let names: Vec<_> = tree.entries.iter().map(|entry| entry.name.to_string()).collect();
        assert_eq!(names, ["", "A", "b", "c", "l", "_", "b2"]);
        assert_eq!(tree.entries[0].children, [1, 2, 3, 4, 5]);
        assert!(matches!(tree.entries[4].kind, HostKind::Link { to_directory: true, .. }));
        assert!(matches!(tree.entries[6].kind, HostKind::File { links: Some(_), .. }));
        assert!(tree.warnings.is_empty());
    }

    #[test]
    fn names_that_windows_cannot_open_are_warned_of() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["con", "x", "X"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let tree = walk(folder.path(), &Exclusions::read(&[], &[]).unwrap()).unwrap();
        assert_eq!(tree.warnings.len(), 2, "{:?}", tree.warnings);
    }
}
