//! What integration tests share: real data, peer programs, temporary folders, the built program, wimlib's dump of an image.
//!
//! Nothing here decides whether a test passes. A test that cannot run says so in one line on standard error and returns; with
//! `TRANSOM_ORACLES=required` a missing peer program is a failure instead (`.ci/run` sets it).

pub(crate) mod dump;

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A file or folder of the shared data, which is not part of the repository; `None` when this machine does not have it.
///
/// Looked for in `$TRANSOM_SHARED_DATA` and beside the repository (`../shared/data`). When absent, one line
/// says so; the test then returns without having tested anything more.
#[must_use]
pub(crate) fn shared_data(relative: &str) -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    let places = [std::env::var_os("TRANSOM_SHARED_DATA").map(PathBuf::from), Some(beside)];
    let found = places.into_iter().flatten().map(|place| place.join(relative)).find(|p| p.exists());
    if found.is_none() {
        say(&format!("shared data missing: {relative}"));
    }
    found
}

/// A peer program that judges what we write, or writes what we read.
#[derive(Debug, Clone)]
pub(crate) struct Tool {
    /// Where it was found.
    pub(crate) path: PathBuf,
}

/// Peer programs and the Debian package that brings each.
const PACKAGES: &[(&str, &str)] = &[
    ("7z", "p7zip-full"),
    ("cabextract", "cabextract"),
    ("check-jsonschema", "none: pip install check-jsonschema"),
    ("chntpw", "chntpw"),
    ("chromium", "chromium"),
    ("gcab", "gcab"),
    ("git", "git"),
    ("hivexml", "libhivex-bin"),
    ("hivexregedit", "libwin-hivex-perl"),
    ("hivexsh", "libhivex-bin"),
    ("mandoc", "mandoc"),
    ("mkntfs", "ntfs-3g"),
    ("node", "nodejs"),
    ("ntfs-3g", "ntfs-3g"),
    ("ntfscat", "ntfs-3g"),
    ("ntfsfix", "ntfs-3g"),
    ("ntfsinfo", "ntfs-3g"),
    ("openssl", "openssl"),
    ("pyspdxtools", "none: pip install spdx-tools"),
    ("python3", "python3"),
    ("reged", "chntpw"),
    ("wimlib-imagex", "wimtools"),
    ("xmllint", "libxml2-utils"),
    ("xz", "xz-utils"),
];

/// The peer program `name`, or `None` after a loud line naming the Debian package that has it.
///
/// # Panics
///
/// When the program is missing and `TRANSOM_ORACLES=required`, and when `name` is not in the table above.
#[must_use]
pub(crate) fn oracle(name: &str) -> Option<Tool> {
    let package = PACKAGES
        .iter()
        .find(|(tool, _)| *tool == name)
        .map(|(_, package)| *package)
        .unwrap_or_else(|| panic!("name the Debian package of {name} in tests/it/support/mod.rs"));
    if let Some(path) = find_program(name) {
        return Some(Tool { path });
    }
    missing_oracle(&format!("oracle missing: {name} (Debian package {package})"));
    None
}

/// A Python that has the module `module` of the package `package`, or `None` after a loud line.
///
/// # Panics
///
/// When there is none and `TRANSOM_ORACLES=required`.
#[must_use]
pub(crate) fn python_with(module: &str, package: &str) -> Option<Tool> {
    let python = find_program("python3").map(|path| Tool { path }).filter(|python| {
        let imported = python.command().args(["-c", &format!("import {module}")]).output();
        imported.is_ok_and(|output| output.status.success())
    });
    if python.is_none() {
        missing_oracle(&format!("oracle missing: Python's {module} (pip install {package})"));
    }
    python
}

/// Says that a peer is missing, or fails where all are required.
fn missing_oracle(line: &str) {
    assert!(
        std::env::var_os("TRANSOM_ORACLES").as_deref() != Some(OsStr::new("required")),
        "{line}"
    );
    say(line);
}

/// One line on standard error that the test runner's capture does not swallow: a silent skip would pass for a success.
pub(crate) fn say(line: &str) {
    // Nothing is lost that anybody could be told when standard error itself is closed.
    drop(std::io::stderr().write_all(format!("{line}\n").as_bytes()));
}

/// The first executable file of that name in `PATH`, or in the two `sbin` folders Debian leaves out of a user's.
fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|candidate| candidate.is_file())
}

impl Tool {
    /// A command of this tool with no input, in the C locale.
    #[must_use]
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        command.stdin(Stdio::null()).env("LC_ALL", "C.UTF-8");
        command
    }

    /// Runs the tool and returns its standard output.
    ///
    /// # Panics
    ///
    /// When it cannot be started or does not succeed; the message has both outputs.
    pub(crate) fn run<I, S>(&self, arguments: I) -> Vec<u8>
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        let mut command = self.command();
        command.args(arguments);
        expect_success(&mut command).stdout
    }
}

/// Runs a command to its end and insists that it succeeds.
///
/// # Panics
///
/// When it cannot be started or does not succeed; the message has the command line and both outputs.
pub(crate) fn expect_success(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?} ended with {}\n--- stdout\n{}\n--- stderr\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    output
}

/// A folder that is removed when the value goes out of scope.
#[must_use]
pub(crate) fn temporary_folder() -> tempfile::TempDir {
    tempfile::Builder::new()
        .prefix("transom-it-")
        .tempdir()
        .expect("the temporary folder is writable")
}

/// The built program, in a plain environment: no input, no colour, own cache folder below `home`.
#[must_use]
pub(crate) fn transom(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_transom"));
    command
        .stdin(Stdio::null())
        .current_dir(home)
        .env("HOME", home)
        .env("TRANSOM_CACHE_DIR", home.join("transom-cache"))
        .env("NO_COLOR", "1")
        .env("COLUMNS", "100")
        .env_remove("SOURCE_DATE_EPOCH")
        .env_remove("TRANSOM_SIGN_KEY")
        .env_remove("CI");
    command
}

/// All files below a folder, sorted, build output (`target`) left out; none when there is no such folder.
#[must_use]
pub(crate) fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = walkdir::WalkDir::new(folder).sort_by_file_name().into_iter();
    let entries = entries.filter_entry(|entry| entry.file_name() != "target");
    entries
        .flatten()
        .filter(|e| e.file_type().is_file())
        .map(walkdir::DirEntry::into_path)
        .collect()
}

/// An `.xz` file of the shared data, unpacked by `xz`.
#[must_use]
pub(crate) fn unpack_xz(path: &Path) -> Option<Vec<u8>> {
    Some(oracle("xz")?.run([OsStr::new("-dc"), path.as_os_str()]))
}

mod tests {
    use super::*;

    #[test]
    fn a_tool_runs_and_its_output_comes_back() {
        let Some(xmllint) = oracle("xmllint") else { return };
        let folder = temporary_folder();
        let file = folder.path().join("a.xml");
        fs_err::write(&file, "<a>  <b/></a>").unwrap();
        let printed = xmllint.run([OsStr::new("--noblanks"), file.as_os_str()]);
        assert!(String::from_utf8(printed).unwrap().ends_with("<a><b/></a>\n"));
    }

    #[test]
    fn the_program_starts_without_input() {
        let folder = temporary_folder();
        expect_success(transom(folder.path()).arg("--version"));
    }

    #[test]
    fn shared_data_is_found_or_named() {
        assert_eq!(shared_data("no such file"), None);
        let Some(hive) = shared_data("hives/NTUSER.DAT.xz") else { return };
        let Some(bytes) = unpack_xz(&hive) else { return };
        assert!(bytes.starts_with(b"regf"), "the default user's hive starts with its signature");
    }
}
