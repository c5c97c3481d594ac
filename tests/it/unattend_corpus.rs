//! Real answer files (`unattend` of the shared data): what is read is written and read again as the same; what is malformed is refused with its place.

use std::fmt::Write as _;
use std::{collections::BTreeMap, path::PathBuf};

use transom::{
    format::unattend::AnswerFile,
    servicing::unattend::{Kind, lint},
};

use crate::support;

/// The XML files directly in a folder, sorted.
fn files(folder: &std::path::Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs_err::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "xml"))
        .collect();
    files.sort();
    files
}

#[test]
fn real_answer_files_survive_writing_and_reading() {
    let Some(folder) = support::shared_data("unattend") else { return };
    let files = files(&folder);
    assert!(files.len() >= 70, "{}", files.len());
    for path in files {
        let file = AnswerFile::parse(&fs_err::read(&path).unwrap())
            .unwrap_or_else(|error| panic!("{}:{error}", path.display()));
        let text = file.to_text();
        let again = AnswerFile::parse(text.as_bytes())
            .unwrap_or_else(|error| panic!("{} again:{error}", path.display()));
        assert_eq!(again.to_text(), text, "{}", path.display());
        assert_eq!(again.without_places(), file.without_places(), "{}", path.display());
    }
}

#[test]
fn malformed_real_answer_files_are_refused_with_line_and_column() {
    let Some(folder) = support::shared_data("unattend/invalid") else { return };
    let mut found = Vec::new();
    for path in files(&folder) {
        let error = AnswerFile::parse(&fs_err::read(&path).unwrap()).unwrap_err();
        let place = error.place.expect("a place");
        // The character there is on that line.
        let text = String::from_utf8(fs_err::read(&path).unwrap()).unwrap();
        let line = text.lines().nth(place.line as usize - 1).expect("the line is there");
        assert!(place.column as usize <= line.chars().count() + 1, "{place}");
        found.push(error.to_string());
    }
    assert_eq!(found.len(), 3);
    for error in found {
        assert!(error.contains("not well-formed XML") || error.contains("declares"), "{error}");
    }
}

/// How often each kind is found, errors and warnings apart. The numbers were looked through one by one when they were written down.
#[test]
fn what_the_lint_finds_in_real_files_stays_what_it_is() {
    let Some(folder) = support::shared_data("unattend") else { return };
    let mut counts: BTreeMap<(bool, Kind), usize> = BTreeMap::new();
    let mut all = String::new();
    for path in files(&folder) {
        let file = AnswerFile::parse(&fs_err::read(&path).unwrap()).unwrap();
        for finding in lint(&file) {
            *counts.entry((finding.warning, finding.kind)).or_default() += 1;
            assert!(!finding.cause.ends_with('.') && finding.place.line > 0, "{finding:?}");
            let name = path.file_name().unwrap().to_string_lossy();
            let word = if finding.warning { "" } else { "ERROR " };
            let kind = finding.kind;
            let (place, cause, help) = (finding.place, finding.cause, finding.help);
            writeln!(all, "{name}:{place}: {word}{kind:?}: {cause} ({help})").unwrap();
        }
    }
    if let Some(place) = std::env::var_os("TRANSOM_LINT_OUTPUT") {
        fs_err::write(PathBuf::from(place), all).unwrap();
    }
    let counts: Vec<String> = counts
        .iter()
        .map(|((warning, kind), count)| {
            format!("{} {kind:?} {count}", if *warning { "warning" } else { "error" })
        })
        .collect();
    assert_eq!(counts, COUNTS);
}

const COUNTS: [&str; 7] = [
    "error ProductKey 2",
    "warning OldSetting 85",
    "warning WrongPass 22",
    "warning Undocumented 3",
    "warning Empty 6",
    "warning StrayText 4",
    "warning PlainPassword 113",
];
