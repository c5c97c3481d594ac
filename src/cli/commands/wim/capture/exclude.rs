//! What a capture leaves out.
//!
//! `--exclude-from` takes a pattern a line (`#` or `;` begin a comment), and DISM's `WimScript.ini`: under `[ExclusionList]` patterns, under
//! `[ExclusionException]` what is captured all the same; other sections are for other purposes and are skipped.

use std::path::{Path, PathBuf};

use fs_err as fs;

use crate::cli::{commands::wim::pattern::Patterns, exit::Failure, failures};

/// Left out by DISM and wimlib when nothing else is said: what belongs to a running system, not to an image.
const ALWAYS: [&str; 8] = [
    r"\$ntfs.log",
    r"\hiberfil.sys",
    r"\pagefile.sys",
    r"\swapfile.sys",
    r"\System Volume Information",
    r"\RECYCLER",
    r"\$Recycle.Bin",
    r"\Windows\CSC",
];

/// Patterns of what is left out, and of exceptions.
#[derive(Debug)]
pub(super) struct Exclusions {
    excluded: Patterns,
    excepted: Patterns,
    /// The output itself, when it lies in the source.
    host_file: Option<PathBuf>,
}

impl Exclusions {
    /// The patterns of the command line and of files.
    pub(super) fn read(patterns: &[String], files: &[PathBuf]) -> Result<Self, Failure> {
        let mut excluded: Vec<String> = ALWAYS.iter().copied().map(str::to_owned).collect();
        excluded.extend(patterns.iter().map(|pattern| anywhere(pattern)));
        let mut excepted = Vec::new();
        for file in files {
            let text = fs::read_to_string(file)
                .map_err(|error| failures::input("the list of exclusions", error))?;
            read_list(&text, &mut excluded, &mut excepted);
        }
        Ok(Self {
            excluded: Patterns::parse(&excluded)?,
            excepted: Patterns::parse(&excepted)?,
            host_file: None,
        })
    }

    /// Leaves out this file of the host, wherever it is in the source.
    pub(super) fn leave_out_host_file(&mut self, path: &Path) {
        self.host_file = fs::canonicalize(path).ok();
    }

    /// True when an entry is left out: `image_path` is its path in the image, `host` that on the host.
    pub(super) fn excludes(&self, image_path: &str, host: &Path) -> bool {
        if self.excluded.is_match(image_path) && !self.excepted.is_match(image_path) {
            return true;
        }
        self.host_file.as_ref().is_some_and(|left_out| {
            left_out.file_name() == host.file_name()
                && fs::canonicalize(host).is_ok_and(|host| host == *left_out)
        })
    }
}

/// A pattern without a separator means any entry of that name.
fn anywhere(pattern: &str) -> String {
    if pattern.contains(['\\', '/']) { pattern.to_owned() } else { format!("**/{pattern}") }
}

fn read_list(text: &str, excluded: &mut Vec<String>, excepted: &mut Vec<String>) {
    let mut section = String::from("[exclusionlist]");
    for line in text.trim_start_matches('\u{feff}').lines().map(str::trim) {
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if line.starts_with('[') && line.ends_with(']') && !line.contains(['\\', '/', '*']) {
            section = line.to_lowercase();
        } else if section == "[exclusionlist]" {
            excluded.push(anywhere(line));
        } else if section == "[exclusionexception]" {
            excepted.push(anywhere(line));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wim_script_ini_is_understood() {
        let (mut excluded, mut excepted) = (Vec::new(), Vec::new());
        let text = "; a comment\n[ExclusionList]\n\\temp\n*.tmp\n[ExclusionException]\n\\keep.tmp\n\
            [CompressionExclusionList]\n*.zip\n";
        read_list(text, &mut excluded, &mut excepted);
        assert_eq!(
            (excluded, excepted),
            (vec!["\\temp".into(), "**/*.tmp".into()], vec!["\\keep.tmp".into()])
        );
    }

    #[test]
    fn exceptions_win_and_the_usual_files_are_left_out() {
        let list = tempfile::NamedTempFile::new().unwrap();
        fs::write(list.path(), "[ExclusionList]\n*.tmp\n[ExclusionException]\n\\keep.tmp\n")
            .unwrap();
        let exclusions = Exclusions::read(&[], &[list.path().to_owned()]).unwrap();
        let excludes = |path: &str| exclusions.excludes(path, Path::new("nowhere"));
        assert!(excludes(r"\a\b.TMP"));
        assert!(!excludes(r"\keep.tmp"));
        assert!(excludes(r"\PageFile.sys"));
        assert!(!excludes(r"\a\pagefile.sys"));
    }
}
