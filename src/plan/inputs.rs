//! The host's files that a recipe names: found, walked, hashed.
//!
//! A file is hashed again only when its stamp changed (see [`crate::store::Stamp`]), or always on request. Host symbolic links are followed
//! inside the source and refused when they lead out of it: a recipe must not depend on what lies elsewhere. Names that differ only in case
//! would be one file on Windows and are refused, as are names Windows cannot open.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use fs_err as fs;
use rayon::prelude::*;

use crate::{
    base::{
        digest::Blake3,
        name::{Name, compare_ignore_case},
        ntpath::{PathError, check_component},
        read_at::{FileSource, ReadAt},
    },
    recipe::Origin,
    servicing::{InputEntry, InputId, InputKind, InputTree},
    store::{Stamp, Stamps, Store, StoreError},
};

/// How much is read at once. Files are never mapped: one that shrinks must be an error, not a signal.
const PIECE: usize = 1 << 20;
/// Below this, sharing one file's hashing between threads costs more than it brings.
const SHARED_HASHING: usize = 256 << 10;
/// Deepest nesting of folders in a source.
const DEPTH: usize = 256;
/// Most files and folders in a source; links can multiply them.
const ENTRIES: usize = 1 << 21;

/// What long work looks at and reports to.
#[derive(Clone, Copy)]
pub struct Control<'a> {
    /// Asked now and then; true ends the work with an error.
    pub cancelled: &'a (dyn Fn() -> bool + Sync),
    /// Gets the number of bytes hashed since the last call.
    pub hashed: &'a (dyn Fn(u64) + Sync),
    /// Hash everything again, whatever the stamps say.
    pub rehash: bool,
}

impl std::fmt::Debug for Control<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Control").field("rehash", &self.rehash).finish_non_exhaustive()
    }
}

impl Default for Control<'_> {
    fn default() -> Self {
        Self { cancelled: &|| false, hashed: &|_| (), rehash: false }
    }
}

/// Why an input cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// Nothing is there.
    #[error("{} does not exist", absolute(.0).display())]
    Missing(PathBuf),
    /// The system refuses; the text names the path.
    #[error("{0}")]
    Unreadable(io::Error),
    /// Neither file nor folder.
    #[error("{} is neither a file nor a folder", .0.display())]
    Special(PathBuf),
    /// A symbolic link that leads out of the source.
    #[error("{} is a symbolic link to {}, outside the source", .link.display(), .target.display())]
    LeadsOut {
        /// The link.
        link: PathBuf,
        /// Where it leads.
        target: PathBuf,
    },
    /// A symbolic link that leads to a folder it lies in, or nesting beyond reason.
    #[error("{} is nested without end", .0.display())]
    Endless(PathBuf),
    /// Names that are one name on Windows.
    #[error("{} and {} differ only in case, which is one name on Windows", .0.display(), .1.display())]
    SameName(PathBuf, PathBuf),
    /// A name that is not Unicode.
    #[error("the name of {} is not valid Unicode", .0.display())]
    NotUnicode(PathBuf),
    /// A name that Windows cannot open.
    #[error("{}: {name_error}", .path.display())]
    Name {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with its name.
        name_error: PathError,
    },
    /// It was written to while it was hashed.
    #[error("{} changed while it was being read", .0.display())]
    Changed(PathBuf),
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The caller asked to stop.
    #[error("interrupted")]
    Cancelled,
}

/// The path that was tried, from the root.
pub(super) fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// What helps when the file or folder named at `origin` is not there: how its path is meant, and what the recipe remarks on it.
pub(super) fn missing_help(origin: &Origin) -> String {
    let help = "paths are relative to the file that holds them";
    match origin.remark() {
        Some(remark) => format!("{help}\nthe recipe says of it: {remark}"),
        None => help.to_owned(),
    }
}

/// A file or folder of the host with its digest.
#[derive(Debug, Clone)]
pub struct ResolvedInput {
    /// The recipe's text for it.
    pub id: InputId,
    /// Where it is.
    pub path: PathBuf,
    /// True for a folder.
    pub is_folder: bool,
    /// Everything in it, sorted by path; the first is the input itself, with an empty path.
    pub entries: Vec<ResolvedEntry>,
    /// Sizes of all files.
    pub size: u64,
    /// For a file, BLAKE3 of its content; for a folder, of the names, sizes and digests of everything in it.
    pub digest: Blake3,
}

/// A file or folder of an input.
#[derive(Debug, Clone)]
pub struct ResolvedEntry {
    /// Names from the input.
    pub path: Vec<String>,
    /// Where it is on the host, links followed.
    pub host: PathBuf,
    /// For a file: its stamp and the digest of its content; `None` for a folder.
    pub file: Option<(Stamp, Blake3)>,
}

impl ResolvedEntry {
    /// The path as one text with `/`; empty for the input itself.
    #[must_use]
    pub fn name(&self) -> String {
        self.path.join("/")
    }
}

impl ResolvedInput {
    /// The files, without folders.
    pub fn files(&self) -> impl Iterator<Item = (String, u64, Blake3)> {
        self.entries.iter().filter_map(|entry| {
            entry.file.as_ref().map(|(stamp, digest)| (entry.name(), stamp.size, *digest))
        })
    }

    /// True when `path` leads to one of the files.
    #[must_use]
    pub fn has_file(&self, path: &Path) -> bool {
        let Ok(real) = fs::canonicalize(path) else { return false };
        let Ok(stamp) = fs::metadata(&real).map(|metadata| Stamp::of(&metadata)) else {
            return false;
        };
        let same = |other: &Stamp| (other.device, other.inode) == (stamp.device, stamp.inode);
        // The number of a file that is gone may be another's by now.
        let is_there = |entry: &ResolvedEntry| {
            fs::metadata(&entry.host).is_ok_and(|now| same(&Stamp::of(&now)))
        };
        let is_it = |entry: &ResolvedEntry, known: &Stamp| {
            entry.host == real || (cfg!(unix) && same(known) && is_there(entry))
        };
        self.entries
            .iter()
            .any(|entry| entry.file.as_ref().is_some_and(|(known, _)| is_it(entry, known)))
    }

    /// The input as operations see it. A file whose stamp is no longer the same fails when it is read.
    #[must_use]
    pub fn tree(&self) -> InputTree {
        let entries = self.entries.iter().map(|entry| {
            let kind = match &entry.file {
                None => InputKind::Directory,
                Some((stamp, blake3)) => InputKind::File {
                    size: stamp.size,
                    blake3: *blake3,
                    content: Arc::new(HostFile { path: entry.host.clone(), stamp: *stamp }),
                },
            };
            InputEntry { path: entry.path.clone(), kind }
        });
        InputTree { entries: entries.collect() }
    }
}

/// Finds, walks and hashes the file or folder at `path`.
///
/// # Errors
/// When it is missing, cannot be read, holds what an image cannot, or changes meanwhile.
pub fn resolve(
    id: &InputId,
    path: &Path,
    store: &Store,
    control: &Control<'_>,
) -> Result<ResolvedInput, InputError> {
    let root = fs::canonicalize(path).map_err(|error| unreadable(path, error))?;
    let (is_folder, found) = walk(&root)?;
    let now = store.file_system_time()?;
    let known = if control.rehash { Stamps::default() } else { store.stamps(&root)? };
    let entries: Vec<ResolvedEntry> = found
        .into_par_iter()
        .map(|found| {
            let name = found.path.join("/");
            let file = match found.file {
                None => None,
                Some(stamp) => match known.digest(&name, &stamp) {
                    Some(digest) => {
                        tracing::debug!("input {id}: {name:?} trusted by its stamp, {digest}");
                        Some((stamp, digest))
                    }
                    None => {
                        let digest = hash_file(&found.host, &stamp, control)?;
                        tracing::debug!(
                            "input {id}: {name:?} hashed, {} bytes, {digest}",
                            stamp.size
                        );
                        Some((stamp, digest))
                    }
                },
            };
            Ok(ResolvedEntry { path: found.path, host: found.host, file })
        })
        .collect::<Result<_, InputError>>()?;
    let mut stamps = Stamps::default();
    for entry in &entries {
        if let Some((stamp, digest)) = &entry.file {
            stamps.remember(&entry.name(), *stamp, *digest, now);
        }
    }
    if stamps != known {
        store.put_stamps(&root, &stamps)?;
    }
    let size = entries.iter().filter_map(|entry| entry.file.as_ref()).map(|(stamp, _)| stamp.size);
    let size = size.sum();
    let digest = tree_digest(is_folder, &entries);
    tracing::info!("input {id}: {}, {size} bytes, {digest}", root.display());
    Ok(ResolvedInput { id: id.clone(), path: root, is_folder, entries, size, digest })
}

/// BLAKE3 of one big file (the base image), hashed again only when its stamp changed. Also gives its stamp.
///
/// # Errors
/// As [`resolve`].
pub fn digest_of_file(
    path: &Path,
    store: &Store,
    control: &Control<'_>,
) -> Result<(Stamp, Blake3), InputError> {
    let path = fs::canonicalize(path).map_err(|error| unreadable(path, error))?;
    let stamp = Stamp::of(&fs::metadata(&path).map_err(|error| unreadable(&path, error))?);
    if !control.rehash
        && let Some(digest) = store.stamps(&path)?.digest("", &stamp)
    {
        tracing::info!("{}: trusted by its stamp, {digest}", path.display());
        return Ok((stamp, digest));
    }
    let now = store.file_system_time()?;
    let digest = hash_file(&path, &stamp, control)?;
    tracing::info!("{}: hashed, {} bytes, {digest}", path.display(), stamp.size);
    let mut stamps = Stamps::default();
    stamps.remember("", stamp, digest, now);
    if !stamps.is_empty() {
        store.put_stamps(&path, &stamps)?;
    }
    Ok((stamp, digest))
}

/// What the walk found.
struct Found {
    path: Vec<String>,
    host: PathBuf,
    /// `None` for a folder.
    file: Option<Stamp>,
}

/// Everything at and below `root` (canonical), sorted by path; and whether it is a folder.
fn walk(root: &Path) -> Result<(bool, Vec<Found>), InputError> {
    let mut found = Vec::new();
    // Each with the folders whose links led to it: coming back to one of them would never end.
    let mut folders = vec![(Vec::<String>::new(), root.to_owned(), Vec::<PathBuf>::new())];
    let metadata = fs::metadata(root).map_err(|error| unreadable(root, error))?;
    if !metadata.is_dir() {
        if !metadata.is_file() {
            return Err(InputError::Special(root.to_owned()));
        }
        let file = Some(Stamp::of(&metadata));
        return Ok((false, vec![Found { path: Vec::new(), host: root.to_owned(), file }]));
    }
    while let Some((path, folder, links)) = folders.pop() {
        if path.len() > DEPTH || found.len() > ENTRIES {
            return Err(InputError::Endless(folder));
        }
        let mut names: Vec<(Name, PathBuf)> = Vec::new();
        for entry in fs::read_dir(&folder).map_err(InputError::Unreadable)? {
            let entry = entry.map_err(InputError::Unreadable)?;
            let shown = entry.path();
            let Ok(name) = entry.file_name().into_string() else {
                return Err(InputError::NotUnicode(shown));
            };
            if let Err(name_error) = check_component(&name) {
                return Err(InputError::Name { path: shown, name_error });
            }
            names.push((Name::from(name.as_str()), shown.clone()));
            let (host, metadata) = follow(root, &shown)?;
            let mut child = path.clone();
            child.push(name);
            if metadata.is_dir() {
                if folder.starts_with(&host) || links.iter().any(|link| link.starts_with(&host)) {
                    return Err(InputError::Endless(shown));
                }
                let mut links = links.clone();
                if host != shown {
                    links.push(folder.clone());
                }
                folders.push((child, host, links));
            } else if metadata.is_file() {
                found.push(Found { path: child, host, file: Some(Stamp::of(&metadata)) });
            } else {
                return Err(InputError::Special(shown));
            }
        }
        names.sort_by(|one, other| {
            compare_ignore_case(one.0.units(), other.0.units()).then_with(|| one.1.cmp(&other.1))
        });
        if let Some(pair) = names
            .windows(2)
            .find(|pair| compare_ignore_case(pair[0].0.units(), pair[1].0.units()).is_eq())
        {
            return Err(InputError::SameName(pair[0].1.clone(), pair[1].1.clone()));
        }
        found.push(Found { path, host: folder, file: None });
    }
    found.sort_by(|one, other| one.path.cmp(&other.path));
    Ok((true, found))
}

/// Where `path` really is and what it is; links must stay below `root`.
fn follow(root: &Path, path: &Path) -> Result<(PathBuf, std::fs::Metadata), InputError> {
    let metadata = fs::symlink_metadata(path).map_err(InputError::Unreadable)?;
    if !metadata.is_symlink() {
        return Ok((path.to_owned(), metadata));
    }
    let target = fs::canonicalize(path).map_err(InputError::Unreadable)?;
    if !target.starts_with(root) {
        return Err(InputError::LeadsOut { link: path.to_owned(), target });
    }
    let metadata = fs::metadata(&target).map_err(InputError::Unreadable)?;
    Ok((target, metadata))
}

/// BLAKE3 of the file, which must have `stamp` before and after.
fn hash_file(path: &Path, stamp: &Stamp, control: &Control<'_>) -> Result<Blake3, InputError> {
    let file = HostFile { path: path.to_owned(), stamp: *stamp };
    let source = file.open().map_err(|error| changed_or(path, error))?;
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; usize::try_from(stamp.size).unwrap_or(PIECE).min(PIECE)];
    let mut position = 0;
    while position < stamp.size {
        if (control.cancelled)() {
            return Err(InputError::Cancelled);
        }
        let step = usize::try_from(stamp.size - position).unwrap_or(PIECE).min(buffer.len());
        source
            .read_exact_at(position, &mut buffer[..step])
            .map_err(|error| changed_or(path, error))?;
        if step >= SHARED_HASHING {
            hasher.update_rayon(&buffer[..step]);
        } else {
            hasher.update(&buffer[..step]);
        }
        position += step as u64;
        (control.hashed)(step as u64);
    }
    let after = Stamp::of(&fs::metadata(path).map_err(InputError::Unreadable)?);
    if after != *stamp {
        return Err(InputError::Changed(path.to_owned()));
    }
    Ok(Blake3(*hasher.finalize().as_bytes()))
}

/// The digest of an input: of the content alone for a file, of the whole tree for a folder.
fn tree_digest(is_folder: bool, entries: &[ResolvedEntry]) -> Blake3 {
    if !is_folder && let [ResolvedEntry { file: Some((_, digest)), .. }] = entries {
        return *digest;
    }
    let mut hasher = blake3::Hasher::new_derive_key("transom input folder 1");
    for entry in entries {
        hasher.update(&(entry.path.len() as u64).to_le_bytes());
        for name in &entry.path {
            hasher.update(&(name.len() as u64).to_le_bytes()).update(name.as_bytes());
        }
        match &entry.file {
            None => hasher.update(b"d"),
            Some((stamp, digest)) => {
                hasher.update(b"f").update(&stamp.size.to_le_bytes()).update(&digest.0)
            }
        };
    }
    Blake3(*hasher.finalize().as_bytes())
}

fn unreadable(path: &Path, error: io::Error) -> InputError {
    match error.kind() {
        io::ErrorKind::NotFound => InputError::Missing(path.to_owned()),
        _ => InputError::Unreadable(error),
    }
}

fn changed_or(path: &Path, error: io::Error) -> InputError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::StaleNetworkFileHandle => {
            InputError::Changed(path.to_owned())
        }
        _ => InputError::Unreadable(error),
    }
}

/// A file of the host that is open only while it is read, and only as long as it has its stamp.
#[derive(Debug)]
struct HostFile {
    path: PathBuf,
    stamp: Stamp,
}

impl HostFile {
    fn open(&self) -> io::Result<FileSource> {
        let source = FileSource::open(&self.path)?;
        if Stamp::of(&fs::metadata(&self.path)?) != self.stamp {
            let text = format!("{} changed since the build began", self.path.display());
            return Err(io::Error::new(io::ErrorKind::StaleNetworkFileHandle, text));
        }
        Ok(source)
    }
}

impl ReadAt for HostFile {
    fn size(&self) -> u64 {
        self.stamp.size
    }

    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.open()?.read_exact_at(offset, buffer)
    }
}

/// Inputs by name.
pub type ResolvedInputs = BTreeMap<InputId, Arc<ResolvedInput>>;

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicU64, Ordering},
        time::Duration,
    };

    use super::*;

    struct Place {
        folder: tempfile::TempDir,
        store: Store,
    }

    impl Place {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let store = Store::open(&folder.path().join("store")).unwrap();
            fs::create_dir_all(folder.path().join("in/sub")).unwrap();
            Self { folder, store }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.folder.path().join("in").join(name)
        }

        fn write(&self, name: &str, content: &str) {
            fs::write(self.path(name), content).unwrap();
        }

        fn resolve(&self, name: &str) -> Result<ResolvedInput, InputError> {
            resolve(&InputId(name.to_owned()), &self.path(name), &self.store, &Control::default())
        }
    }

    #[test]
    fn a_folder_is_a_sorted_tree_and_its_digest_covers_names_and_contents() {
        let place = Place::new();
        place.write("b.txt", "b");
        place.write("sub/a.txt", "a");
        let first = place.resolve("").unwrap();
        let names: Vec<String> = first.entries.iter().map(ResolvedEntry::name).collect();
        assert_eq!(names, ["", "b.txt", "sub", "sub/a.txt"]);
        assert_eq!((first.is_folder, first.size), (true, 2));
        assert_eq!(place.resolve("").unwrap().digest, first.digest);
        let mut digests = vec![first.digest];
        place.write("b.txt", "c");
        digests.push(place.resolve("").unwrap().digest);
        fs::rename(place.path("b.txt"), place.path("c.txt")).unwrap();
        digests.push(place.resolve("").unwrap().digest);
        fs::create_dir(place.path("empty")).unwrap();
        digests.push(place.resolve("").unwrap().digest);
        digests.sort();
        digests.dedup();
        assert_eq!(digests.len(), 4);
    }

    #[test]
    fn a_file_has_the_digest_of_its_content_alone() {
        let place = Place::new();
        place.write("a", "content");
        place.write("b", "content");
        let one = place.resolve("a").unwrap();
        assert_eq!(one.digest, Blake3::of(b"content"));
        assert_eq!(one.digest, place.resolve("b").unwrap().digest);
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_inside_and_refused_outside() {
        use std::os::unix::fs::symlink;
        let place = Place::new();
        place.write("sub/a.txt", "a");
        symlink("sub/a.txt", place.path("link.txt")).unwrap();
        let found = place.resolve("").unwrap();
        assert_eq!(found.files().map(|file| file.0).collect::<Vec<_>>(), ["link.txt", "sub/a.txt"]);
        symlink("../sub", place.path("sub/loop")).unwrap();
        assert!(matches!(place.resolve(""), Err(InputError::Endless(_))));
        fs::remove_file(place.path("sub/loop")).unwrap();
        fs::create_dir(place.path("other")).unwrap();
        symlink("../other", place.path("sub/other")).unwrap();
        symlink("../sub", place.path("other/sub")).unwrap();
        assert!(matches!(place.resolve(""), Err(InputError::Endless(_))));
        fs::remove_file(place.path("other/sub")).unwrap();
        symlink("/etc/passwd", place.path("sub/out")).unwrap();
        assert!(matches!(place.resolve(""), Err(InputError::LeadsOut { .. })));
        fs::remove_file(place.path("sub/out")).unwrap();
        symlink("nowhere", place.path("sub/dangling")).unwrap();
        assert!(matches!(place.resolve(""), Err(InputError::Unreadable(_))));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn names_that_windows_cannot_keep_apart_or_open_are_refused() {
        let place = Place::new();
        place.write("sub/Readme", "1");
        place.write("sub/README", "2");
        let error = place.resolve("").unwrap_err();
        assert!(matches!(error, InputError::SameName(..)), "{error}");
        fs::remove_file(place.path("sub/README")).unwrap();
        place.write("sub/a:b", "1");
        assert!(matches!(place.resolve(""), Err(InputError::Name { .. })));
        assert!(matches!(place.resolve("none"), Err(InputError::Missing(_))));
    }

    #[test]
    fn only_what_may_have_changed_is_hashed_again() {
        let place = Place::new();
        place.write("a", "aaaa");
        place.write("sub/b", "bb");
        let hashed = AtomicU64::new(0);
        let count = |bytes| {
            hashed.fetch_add(bytes, Ordering::Relaxed);
        };
        let control = Control { hashed: &count, ..Control::default() };
        let resolve_again = |rehash| {
            let control = Control { rehash, ..control };
            let id = InputId(String::new());
            resolve(&id, &place.path(""), &place.store, &control).unwrap();
            hashed.swap(0, Ordering::Relaxed)
        };
        assert_eq!(resolve_again(false), 6);
        assert_eq!(resolve_again(false), 6, "written in the last two seconds: not believed");
        std::thread::sleep(Duration::from_millis(2100));
        assert_eq!(resolve_again(false), 6);
        assert_eq!(resolve_again(false), 0);
        assert_eq!(resolve_again(true), 6);
        place.write("a", "aaab");
        assert_eq!(resolve_again(false), 4);
    }

    #[test]
    fn a_file_that_changed_since_is_not_read() {
        let place = Place::new();
        place.write("a", "content");
        let tree = place.resolve("a").unwrap().tree();
        let InputKind::File { content, .. } = &tree.entries[0].kind else { panic!("a file") };
        let mut buffer = [0; 7];
        content.read_exact_at(0, &mut buffer).unwrap();
        std::thread::sleep(Duration::from_millis(20));
        place.write("a", "CONTENT");
        let error = content.read_exact_at(0, &mut buffer).unwrap_err();
        assert!(error.to_string().contains("changed"), "{error}");
    }

    #[test]
    fn hashing_stops_when_asked() {
        let place = Place::new();
        place.write("a", "content");
        let control = Control { cancelled: &|| true, ..Control::default() };
        let id = InputId("a".to_owned());
        let result = resolve(&id, &place.path("a"), &place.store, &control);
        assert!(matches!(result, Err(InputError::Cancelled)));
    }
}
