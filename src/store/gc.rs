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
    folder::{FORMAT, open_lock},
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
    match fs::read_to_string(folder.join("format")) {
        Ok(found) if found == FORMAT => {}
        Ok(found) => {
            let (expected, found) = (FORMAT.trim_end(), found.trim_end().to_owned());
            return Err(StoreError::Format { path: folder.to_owned(), found, expected });
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(GcReport::default()),
        Err(error) => return Err(error.into()),
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
        let kind = super::record::RecordKind::Output;
        super::record::is_sound(kind, &key, &bytes)
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

/// Every object of the store.
fn objects(folder: &Path) -> Result<Vec<Object>, StoreError> {
    let mut objects = Vec::new();
    for part in ["blobs", "records"] {
        let top = folder.join(part);
        if !top.is_dir() {
            continue;
        }
        for entry in walkdir::WalkDir::new(top) {
            let entry = entry.map_err(io::Error::from)?;
            if !entry.file_type().is_file() {
                continue;
            }
            let metadata = entry.metadata().map_err(io::Error::from)?;
            let Ok(relative) = entry.path().strip_prefix(folder) else { continue };
            let names: Vec<_> = relative.iter().map(|name| name.to_string_lossy()).collect();
            let used = metadata.modified()?;
            objects.push(Object { name: names.join("/"), size: metadata.len(), used });
        }
    }
    Ok(objects)
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
}
