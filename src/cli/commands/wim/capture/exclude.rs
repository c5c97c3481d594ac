//! What a capture leaves out.
//!
//! `--exclude-from` takes a pattern a line (`#` or `;` begin a comment), or DISM's `WimScript.ini`, of which `[ExclusionList]` is read. What its
//! `[ExclusionException]` would bring back cannot be kept apart and is refused; other sections are for other purposes and are skipped.

use std::path::{Path, PathBuf};

use fs_err as fs;

use crate::{
    cli::{exit::Failure, failures},
    image::patterns::Patterns,
};

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

/// The patterns of the command line and of files, and `output` itself when it lies in `source`.
pub(super) fn read(
    patterns: &[String],
    files: &[PathBuf],
    source: &Path,
    output: &Path,
) -> Result<Patterns, Failure> {
    let mut excluded: Vec<String> = ALWAYS.iter().copied().map(str::to_owned).collect();
    excluded.extend_from_slice(patterns);
    for file in files {
        let text = fs::read_to_string(file)
            .map_err(|error| failures::input("the list of exclusions", error))?;
        read_list(&text, file, &mut excluded)?;
    }
    excluded.extend(inside(source, output));
    Patterns::new(&excluded).map_err(failures::patterns)
}

fn read_list(text: &str, file: &Path, excluded: &mut Vec<String>) -> Result<(), Failure> {
    let mut section = String::from("[exclusionlist]");
    for line in text.trim_start_matches('\u{feff}').lines().map(str::trim) {
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if line.starts_with('[') && line.ends_with(']') && !line.contains(['\\', '/', '*']) {
            section = line.to_lowercase();
        } else if section == "[exclusionlist]" {
            excluded.push(line.to_owned());
        } else if section == "[exclusionexception]" {
            return Err(Failure::usage(format!(
                "{}: `{line}` under [ExclusionException]: exceptions are not supported; write patterns that do not match it",
                file.display()
            )));
        }
    }
    Ok(())
}

/// The pattern for the output when it is there already and lies in the source: a WIM does not capture itself.
fn inside(source: &Path, output: &Path) -> Option<String> {
    let output = fs::canonicalize(output).ok()?;
    let below = output.strip_prefix(fs::canonicalize(source).ok()?).ok()?.to_str()?.to_owned();
    let literal: String = below
        .chars()
        .map(|character| match character {
            '[' | ']' | '*' | '?' | '{' | '}' => format!("[{character}]"),
            other => other.to_string(),
        })
        .collect();
    Some(format!("/{literal}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::exit::Exit;

    #[test]
    fn wim_script_ini_is_understood() {
        let mut excluded = Vec::new();
        let text =
            "; a comment\n[ExclusionList]\n\\temp\n*.tmp\n[CompressionExclusionList]\n*.zip\n";
        read_list(text, Path::new("x.ini"), &mut excluded).unwrap();
        assert_eq!(excluded, ["\\temp", "*.tmp"]);
        let exception = "[ExclusionException]\n\\keep.tmp\n";
        let failure = read_list(exception, Path::new("x.ini"), &mut excluded).unwrap_err();
        assert_eq!(failure.exit, Exit::Usage);
    }

    #[test]
    fn the_usual_files_and_the_output_itself_are_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let output = folder.path().join("a[1].wim");
        fs::write(&output, "").unwrap();
        let patterns = read(&["*.bak".to_owned()], &[], folder.path(), &output).unwrap();
        for left_out in [r"\PageFile.sys", "/x/y.BAK", "/a[1].wim"] {
            assert!(patterns.matches(left_out), "{left_out}");
        }
        for kept in ["/a/pagefile.sys", "/a1.wim", "/b.wim"] {
            assert!(!patterns.matches(kept), "{kept}");
        }
    }
}
