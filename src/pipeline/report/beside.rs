//! The documents as files beside the output.

use std::{
    ffi::OsString,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use fs_err as fs;

use super::{
    Document, Report, Run, documents, run,
    signing::{self, SigningKey},
};
use crate::base::temporary;

/// What follows the output's name without its extension, for every document there may be.
pub const SUFFIXES: [&str; 7] = [
    ".report.json",
    ".run.json",
    ".report.html",
    ".cdx.json",
    ".spdx.json",
    ".provenance.json",
    signing::SUFFIX,
];

/// Where the document with `suffix` about `output` is: `out/demo.report.json` beside `out/demo.wim`.
#[must_use]
pub fn path_of(output: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(output.file_stem().unwrap_or_default());
    name.push(suffix);
    output.with_file_name(name)
}

/// Where all documents about `output` would be.
#[must_use]
pub fn paths_of(output: &Path) -> Vec<PathBuf> {
    SUFFIXES.iter().map(|suffix| path_of(output, suffix)).collect()
}

/// A document that cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("{} cannot be written", .path.display())]
pub struct WriteError {
    /// Its path.
    pub path: PathBuf,
    /// What the system says.
    pub source: io::Error,
}

/// Writes the documents about `output`, and gives where they are. One that is there with the same bytes is not touched. Of an output that was up to date the
/// account of the build that made it is kept, if there is one. With a key the provenance is signed too.
///
/// # Errors
/// When one cannot be written. All are complete before the first is put in place.
pub fn write(
    output: &Path,
    report: &Report,
    run: &Run,
    key: Option<&SigningKey>,
) -> Result<Vec<PathBuf>, WriteError> {
    let kept = if run.up_to_date { kept_run(output, report) } else { None };
    let mut documents = documents(report, kept.as_ref().unwrap_or(run));
    documents.retain(|document| !document.bytes.is_empty());
    let envelope = key.and_then(|key| signing::signed(&documents, key));
    documents.extend(envelope);
    if kept.is_some() {
        documents.retain(|document| document.suffix != ".run.json");
    }
    let mut ready = Vec::new();
    for Document { suffix, bytes } in &documents {
        let path = path_of(output, suffix);
        if fs::read(&path).is_ok_and(|there| there == *bytes) {
            continue;
        }
        let file = temporary(&path, bytes);
        ready.push((file.map_err(|source| WriteError { path: path.clone(), source })?, path));
    }
    for (file, path) in ready {
        file.persist(&path).map_err(|error| WriteError { path, source: error.error })?;
    }
    let is_there = |suffix: &&&str| {
        documents.iter().any(|document| document.suffix == **suffix)
            || kept.is_some() && **suffix == ".run.json"
    };
    Ok(SUFFIXES.iter().filter(is_there).map(|suffix| path_of(output, suffix)).collect())
}

fn temporary(path: &Path, bytes: &[u8]) -> io::Result<tempfile::NamedTempFile> {
    if path.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    let mut file = temporary::beside(path, ".report-")?;
    file.write_all(bytes)?;
    Ok(file)
}

/// The account of the build that made the output, as it was written then.
fn kept_run(output: &Path, report: &Report) -> Option<Run> {
    let bytes = fs::read(path_of(output, ".run.json")).ok()?;
    let run: Run = serde_json::from_slice(&bytes).ok()?;
    (run.format == run::FORMAT && run.commit == report.output.commit).then_some(run)
}

/// The documents beside `output` that tell of another output than the one with this commit key, or of which nothing is told any more: they were left there by a build before.
#[must_use]
pub fn stale(output: &Path, commit: &str, current: &[PathBuf]) -> Vec<PathBuf> {
    let is_current = || {
        let bytes = fs::read(path_of(output, ".report.json")).ok()?;
        let report: serde_json::Value = serde_json::from_slice(&bytes).ok()?;
        Some(report["output"]["commit"] == commit)
    };
    if current.is_empty() && is_current().unwrap_or(false) {
        return Vec::new();
    }
    let mut paths = paths_of(output);
    paths.retain(|path| !current.contains(path) && path.is_file());
    // A signature of an earlier build holds as long as the statement comes out the same.
    paths
        .retain(|path| *path != path_of(output, signing::SUFFIX) || !is_of_statement(path, output));
    paths
}

/// True when the envelope at `path` is of the provenance that is beside `output`.
fn is_of_statement(path: &Path, output: &Path) -> bool {
    let payload = fs::read(path).ok().and_then(|bytes| signing::unverified_payload(&bytes).ok());
    let statement = fs::read(path_of(output, ".provenance.json")).ok();
    payload.is_some() && payload == statement
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_output_without_its_extension() {
        let path = |output: &str, suffix| path_of(Path::new(output), suffix);
        assert_eq!(path("out/a.b.wim", ".report.json"), Path::new("out/a.b.report.json"));
        assert_eq!(path("image", ".cdx.json"), Path::new("image.cdx.json"));
        let all = documents(&Report::default(), &Run::default());
        assert!(all.iter().all(|document| SUFFIXES.contains(&document.suffix)));
    }

    #[test]
    fn what_is_the_same_is_not_touched_and_the_story_of_the_build_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let output = folder.path().join("a.wim");
        let mut report = Report::default();
        report.output.commit = "c".to_owned();
        let built =
            Run { format: run::FORMAT, commit: "c".to_owned(), duration: 7, ..Run::default() };
        let nothing = Run { up_to_date: true, duration: 1, ..built.clone() };
        let paths = write(&output, &report, &built, None).unwrap();
        assert!(paths.iter().all(|path| path.is_file()));
        let read_run = || -> Run {
            serde_json::from_slice(&fs::read(path_of(&output, ".run.json")).unwrap()).unwrap()
        };
        let stamp = || {
            let metadata = fs::metadata(path_of(&output, ".report.json")).unwrap();
            crate::store::Stamp::of(&metadata)
        };
        let before = stamp();
        assert_eq!(write(&output, &report, &nothing, None).unwrap(), paths);
        assert_eq!((read_run().duration, stamp()), (7, before));
        // Of another output, it is no story of this one.
        report.output.commit = "d".to_owned();
        let nothing = Run { commit: "d".to_owned(), ..nothing };
        write(&output, &report, &nothing, None).unwrap();
        assert_eq!(read_run().duration, 1);
        assert_ne!(stamp(), before);
        assert!(stale(&output, "d", &[]).is_empty());
        assert_eq!(stale(&output, "e", &[]), paths);
        assert!(stale(&output, "d", &paths).is_empty());
        let names = fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(names, paths.len());
    }

    #[test]
    fn all_or_none() {
        let folder = tempfile::tempdir().unwrap();
        let output = folder.path().join("a.wim");
        fs::create_dir(path_of(&output, ".run.json")).unwrap();
        let error = write(&output, &Report::default(), &Run::default(), None).unwrap_err();
        assert!(error.path.ends_with("a.run.json"));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
