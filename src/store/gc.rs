//! What the store holds, and deleting what was not used for long or is more than it may hold.
//!
//! Deleting is always safe, at worst slow: a build looks whether an object is there before it relies on it.

use std::{
    collections::{BTreeMap, HashMap},
    io,
    path::Path,
    time::SystemTime,
};

use fs_err as fs;

use super::{
    error::StoreError,
    folder::{Format, open_lock, other_format, read_format},
    record::RecordKind,
    root::Root,
};
use crate::base::digest::Blake3;

/// What [`gc`] may delete.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GcOptions {
    /// Objects last used before this are deleted.
    pub unused_since: Option<SystemTime>,
    /// If the store then still holds more bytes than this, the objects unused for longest are deleted until it does not.
    pub max_bytes: Option<u64>,
    /// Only count what would be deleted.
    pub dry_run: bool,
}

/// What [`gc`] did, or would do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct GcReport {
    /// Objects deleted.
    pub deleted: u64,
    /// Bytes in them.
    pub deleted_bytes: u64,
    /// Objects left.
    pub kept: u64,
    /// Bytes in them.
    pub kept_bytes: u64,
}

/// Objects of one kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct KindSize {
    /// How many.
    pub objects: u64,
    /// Bytes in them.
    pub bytes: u64,
}

/// What a store holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Statistics {
    /// By kind: `blobs`, `changeset`, `step` ... in alphabetical order.
    pub kinds: BTreeMap<String, KindSize>,
    /// Everything.
    pub total: KindSize,
    /// The outputs it remembers, sorted.
    pub outputs: Vec<String>,
}

/// Counts what the store in `folder` holds. A folder that is not there is an empty store.
///
/// # Errors
/// When it cannot be read.
pub fn statistics(folder: &Path) -> Result<Statistics, StoreError> {
    let mut statistics = Statistics::default();
    for object in objects(folder)? {
        let kind = object.kind().to_owned();
        for sum in [statistics.kinds.entry(kind).or_default(), &mut statistics.total] {
            sum.objects += 1;
            sum.bytes += object.size;
        }
        if let Some(root) = object.root(folder) {
            statistics.outputs.push(root.output);
        }
    }
    statistics.outputs.sort();
    Ok(statistics)
}

/// Deletes what `options` allow, with nobody else in the store.
///
/// # Errors
/// [`StoreError::Busy`] when a build uses the store; otherwise when it is of another format or files cannot be read or deleted.
pub fn gc(folder: &Path, options: &GcOptions) -> Result<GcReport, StoreError> {
    match read_format(folder)? {
        Format::Ours => {}
        Format::Absent | Format::Empty => return Ok(GcReport::default()),
        Format::Other(found) => return Err(other_format(folder, found)),
        Format::Foreign => {
            return Err(StoreError::Foreign {
                path: folder.to_owned(),
                found: "format".to_owned(),
            });
        }
    }
    let lock = open_lock(folder)?;
    match lock.file().try_lock() {
        Ok(()) => {}
        Err(std::fs::TryLockError::WouldBlock) => {
            return Err(StoreError::Busy(folder.to_owned()));
        }
        Err(std::fs::TryLockError::Error(error)) => return Err(error.into()),
    }
    let mut objects = objects(folder)?;
    age_by_roots(folder, &mut objects);
    // Oldest first; names make the order complete.
    objects.sort_by(|one, other| (one.used, &one.name).cmp(&(other.used, &other.name)));
    let mut left: u64 = objects.iter().map(|object| object.size).sum();
    let mut report = GcReport::default();
    for object in &objects {
        let old = options.unused_since.is_some_and(|time| object.used < time);
        if old || options.max_bytes.is_some_and(|most| left > most) {
            if !options.dry_run {
                fs::remove_file(folder.join(&object.name))?;
            }
            left -= object.size;
            report.deleted += 1;
            report.deleted_bytes += object.size;
        } else {
            report.kept += 1;
            report.kept_bytes += object.size;
        }
    }
    Ok(report)
}

/// One object file.
struct Object {
    /// Its name: the path below the store's folder, with `/`.
    name: String,
    size: u64,
    /// When it was last used; at first, when it was written.
    used: SystemTime,
}

impl Object {
    /// `blobs`, or the folder of a record's kind.
    fn kind(&self) -> &str {
        let mut parts = self.name.split('/');
        match parts.next() {
            Some("records") => parts.next().unwrap_or_default(),
            other => other.unwrap_or_default(),
        }
    }

    /// The root it holds, if it is one.
    fn root(&self, folder: &Path) -> Option<Root> {
        let rest = self.name.strip_prefix("records/output/")?;
        let key = Blake3::from_hex(&rest.replace('/', ""))?;
        let bytes = fs::read(folder.join(&self.name)).ok()?;
        super::record::is_sound(RecordKind::Output, &key, &bytes)
            .then(|| serde_json::from_slice(&bytes[super::record::HEADER..]).ok())?
    }
}

/// What an output needed was used when that output was last built.
fn age_by_roots(folder: &Path, objects: &mut [Object]) {
    let mut used: HashMap<String, SystemTime> = HashMap::new();
    for object in objects.iter() {
        let Some(root) = object.root(folder) else { continue };
        for name in root.used {
            let time = used.entry(name).or_insert(object.used);
            *time = object.used.max(*time);
        }
    }
    for object in objects {
        if let Some(time) = used.get(&object.name) {
            object.used = object.used.max(*time);
        }
    }
}

/// Every object of the store. Files and folders that no store made are not counted, let alone deleted.
fn objects(folder: &Path) -> Result<Vec<Object>, StoreError> {
    let mut objects = Vec::new();
    for part in ["blobs", "records"] {
        let top = folder.join(part);
        if !top.is_dir() {
            continue;
        }
        let named = |entry: &walkdir::DirEntry| object_name(folder, entry.path());
        let ours = |entry: &walkdir::DirEntry| {
            named(entry).is_some_and(|name| is_place(&name, entry.file_type().is_file()))
        };
        for entry in walkdir::WalkDir::new(&top).min_depth(1).into_iter().filter_entry(ours) {
            let entry = entry.map_err(io::Error::from)?;
            let Some(name) = named(&entry).filter(|_| entry.file_type().is_file()) else {
                continue;
            };
            let metadata = entry.metadata().map_err(io::Error::from)?;
            objects.push(Object { name, size: metadata.len(), used: metadata.modified()? });
        }
    }
    Ok(objects)
}

/// The path of something in the store as object names are written; `None` when it is not Unicode.
fn object_name(folder: &Path, path: &Path) -> Option<String> {
    let relative = path.strip_prefix(folder).ok()?;
    let names: Option<Vec<&str>> = relative.iter().map(std::ffi::OsStr::to_str).collect();
    Some(names?.join("/"))
}

/// True when `name` is one that the store gives to an object (a file) or to a folder of objects.
fn is_place(name: &str, is_file: bool) -> bool {
    let hex = |text: &str, length: usize| {
        text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let known = |kind: &str| RecordKind::ALL.iter().any(|known| known.folder() == kind);
    let form = |text: &str| {
        !text.is_empty()
            && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'z' | b'-'))
    };
    let parts: Vec<&str> = name.split('/').collect();
    match (is_file, parts.as_slice()) {
        (false, ["blobs", fan]) => hex(fan, 2),
        (false, ["records", kind]) => known(kind),
        (false, ["records", kind, fan]) => known(kind) && hex(fan, 2),
        (true, ["blobs", fan, rest]) => {
            hex(fan, 2)
                && rest.split_once('.').is_some_and(|(rest, suffix)| hex(rest, 62) && form(suffix))
        }
        (true, ["records", kind, fan, rest]) => known(kind) && hex(fan, 2) && hex(rest, 62),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::store::{RecordKind, Store};

    fn age(store: &Path, kind: RecordKind, key: &Blake3, seconds: u64) {
        let path = store.join(kind.object(key));
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        fs::File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
    }

    /// Three old records: one that a young output needs, one that an old output needs, one that nobody needs.
    fn filled() -> (tempfile::TempDir, [Blake3; 5]) {
        let folder = tempfile::tempdir().unwrap();
        let keys = [b"0", b"1", b"2", b"3", b"4"].map(|text| Blake3::of(text));
        let store = Store::open(folder.path()).unwrap();
        for key in &keys[..3] {
            store.put_record(RecordKind::Step, key, &[7; 100]).unwrap();
        }
        for (output, needed) in [(3, 0), (4, 1)] {
            let used = vec![RecordKind::Step.object(&keys[needed])];
            let root = Root { output: format!("out{output}"), used, details: String::new() };
            store.put_root(&keys[output], &root).unwrap();
        }
        drop(store);
        for key in &keys[..3] {
            age(folder.path(), RecordKind::Step, key, 1000);
        }
        age(folder.path(), RecordKind::Output, &keys[3], 3000);
        age(folder.path(), RecordKind::Output, &keys[4], 2000);
        (folder, keys)
    }

    fn held(folder: &Path, keys: &[Blake3; 5]) -> Vec<bool> {
        let store = Store::open(folder).unwrap();
        let held = |key| store.record(RecordKind::Step, key).unwrap().is_some();
        keys[..3].iter().map(held).collect()
    }

    #[test]
    fn what_a_young_output_needs_is_kept() {
        let (folder, keys) = filled();
        let unused_since = Some(SystemTime::UNIX_EPOCH + Duration::from_secs(2500));
        let options = GcOptions { unused_since, dry_run: true, ..GcOptions::default() };
        let planned = gc(folder.path(), &options).unwrap();
        assert_eq!(held(folder.path(), &keys), [true, true, true], "a dry run deletes nothing");
        let done = gc(folder.path(), &GcOptions { dry_run: false, ..options }).unwrap();
        assert_eq!(done, planned);
        assert_eq!((done.deleted, done.kept), (3, 2));
        assert_eq!(held(folder.path(), &keys), [true, false, false]);
        assert_eq!(statistics(folder.path()).unwrap().outputs, ["out3"]);
    }

    #[test]
    fn a_budget_takes_the_longest_unused_first() {
        let (folder, keys) = filled();
        let total = statistics(folder.path()).unwrap().total;
        let options = GcOptions { max_bytes: Some(total.bytes - 1), ..GcOptions::default() };
        assert_eq!(gc(folder.path(), &options).unwrap().deleted, 1);
        assert_eq!(held(folder.path(), &keys), [true, true, false]);
    }

    #[test]
    fn nothing_is_deleted_under_a_build() {
        let (folder, keys) = filled();
        let build = Store::open(folder.path()).unwrap();
        let options = GcOptions { max_bytes: Some(0), ..GcOptions::default() };
        assert!(matches!(gc(folder.path(), &options), Err(StoreError::Busy(_))));
        drop(build);
        assert_eq!(held(folder.path(), &keys), [true, true, true]);
        assert_eq!(gc(folder.path(), &options).unwrap().kept, 0);
    }

    #[test]
    fn no_store_is_an_empty_store() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("none");
        assert_eq!(gc(&path, &GcOptions::default()).unwrap(), GcReport::default());
        assert_eq!(statistics(&path).unwrap(), Statistics::default());
        assert!(!path.exists());
    }

    #[test]
    fn files_of_others_in_blobs_and_records_are_neither_counted_nor_deleted() {
        let (folder, _) = filled();
        let hex = "ab".repeat(31);
        let ours = format!("blobs/ab/{hex}.lzx-32768-fast");
        let foreign = [
            "blobs/thesis.odt".to_owned(),
            "blobs/ab/notes.lzx".to_owned(),
            format!("blobs/ab/{hex}"),
            format!("blobs/AB/{hex}.lzx-32768-fast"),
            format!("blobs/{hex}.lzx-32768-fast"),
            format!("blobs/ab/sub/{hex}.lzx-32768-fast"),
            format!("blobs/ab/{hex}.My Notes"),
            "records/vinyl/list.txt".to_owned(),
            format!("records/vinyl/ab/{hex}"),
            format!("records/step/ab/{hex}.txt"),
        ];
        let before = statistics(folder.path()).unwrap();
        for name in foreign.iter().chain([&ours]) {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, b"mine").unwrap();
        }
        let after = statistics(folder.path()).unwrap();
        assert_eq!(after.total.objects, before.total.objects + 1);
        let options = GcOptions { max_bytes: Some(0), ..GcOptions::default() };
        let report = gc(folder.path(), &options).unwrap();
        assert_eq!((report.deleted, report.kept), (after.total.objects, 0));
        assert!(!folder.path().join(ours).exists());
        for name in foreign {
            assert_eq!(fs::read(folder.path().join(&name)).unwrap(), b"mine", "{name}");
        }
    }
}
