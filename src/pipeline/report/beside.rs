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
        if read(&path).is_some_and(|there| there == *bytes) {
            continue;
        }
        let file = temporary(&path, bytes);
        ready.push((file.map_err(|source| WriteError { path: path.clone(), source })?, path));
    }
    for (file, path) in ready {
        file.persist(&path).map_err(|error| WriteError { path, source: error.error })?;
    }
    // What proves another output must not stand beside this one under its name.
    for suffix in [".provenance.json", signing::SUFFIX] {
        let path = path_of(output, suffix);
        let is_told = documents.iter().any(|document| document.suffix == suffix)
            || suffix == signing::SUFFIX && is_of_statement(&path, output);
        if !is_told && path.is_file() {
            fs::remove_file(&path).map_err(|source| WriteError { path, source })?;
        }
    }
    let is_there = |suffix: &&&str| {
        documents.iter().any(|document| document.suffix == **suffix)
            || kept.is_some() && **suffix == ".run.json"
    };
    Ok(SUFFIXES.iter().filter(is_there).map(|suffix| path_of(output, suffix)).collect())
}

/// Refuses what a document about `output` cannot take the place of, before there is anything to tell.
///
/// # Errors
/// When a folder or a device lies where one would be.
pub fn check_places(output: &Path) -> Result<(), WriteError> {
    paths_of(output)
        .into_iter()
        .try_for_each(|path| place(&path).map_err(|source| WriteError { path, source }))
}

/// Refuses what is there and is no regular file.
fn place(path: &Path) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(there) if there.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
        Ok(there) if !there.is_file() => {
            Err(io::Error::other("something that is no file is there"))
        }
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The longest file that is taken for a document of ours.
const LONGEST: u64 = 256 << 20;

/// The document at `path`; `None` when there is none. Never waits on a pipe, and never reads more than a document may have.
fn read(path: &Path) -> Option<Vec<u8>> {
    let there = fs::metadata(path).ok()?;
    (there.is_file() && there.len() <= LONGEST).then(|| fs::read(path).ok())?
}

fn temporary(path: &Path, bytes: &[u8]) -> io::Result<tempfile::NamedTempFile> {
    place(path)?;
    let mut file = temporary::beside(path, ".report-")?;
    file.write_all(bytes)?;
    Ok(file)
}

/// The account of the build that made the output, as it was written then.
fn kept_run(output: &Path, report: &Report) -> Option<Run> {
    let bytes = read(&path_of(output, ".run.json"))?;
    let run: Run = serde_json::from_slice(&bytes).ok()?;
    (run.format == run::FORMAT && run.commit == report.output.commit).then_some(run)
}

/// The documents beside `output` that tell of another output than the one with this commit key, or of which nothing is told any more: they were left there by a build before.
#[must_use]
pub fn stale(output: &Path, commit: &str, current: &[PathBuf]) -> Vec<PathBuf> {
    let is_current = || {
        let bytes = read(&path_of(output, ".report.json"))?;
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
    let payload = read(path).and_then(|bytes| signing::unverified_payload(&bytes).ok());
    let statement = read(&path_of(output, ".provenance.json"));
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
    fn a_proof_of_another_output_does_not_stay() {
        let folder = tempfile::tempdir().unwrap();
        let output = folder.path().join("a.wim");
        for suffix in [".provenance.json", signing::SUFFIX] {
            fs::write(path_of(&output, suffix), "of another").unwrap();
        }
        // With secrets there is no provenance.
        let report = Report { secrets: vec!["TOKEN".to_owned()], ..Report::default() };
        write(&output, &report, &Run::default(), None).unwrap();
        for suffix in [".provenance.json", signing::SUFFIX] {
            assert!(!path_of(&output, suffix).exists(), "{suffix}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_in_the_way_is_refused_and_never_waited_on() {
        let folder = tempfile::tempdir().unwrap();
        let output = folder.path().join("a.wim");
        assert!(check_places(&output).is_ok());
        let made = std::process::Command::new("mkfifo").arg(path_of(&output, ".run.json")).status();
        if !made.is_ok_and(|status| status.success()) {
            return;
        }
        assert!(check_places(&output).unwrap_err().path.ends_with("a.run.json"));
        write(&output, &Report::default(), &Run::default(), None).unwrap_err();
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
