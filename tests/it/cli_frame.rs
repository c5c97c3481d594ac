//! The command line itself: help, exit codes, what goes to which stream, broken pipes.

use std::{
    fmt::Write as _,
    io::Read as _,
    path::Path,
    process::{Command, Output, Stdio},
};

use crate::support::{expect_success, oracle, shared_data, temporary_folder, transom};

/// Every verb, by the words that call it.
const VERBS: &[&[&str]] = &[
    &[],
    &["init"],
    &["check"],
    &["lock"],
    &["plan"],
    &["build"],
    &["inspect"],
    &["inspect", "image"],
    &["inspect", "package"],
    &["inspect", "hive"],
    &["verify"],
    &["cache"],
    &["cache", "stat"],
    &["cache", "gc"],
    &["wim"],
    &["wim", "info"],
    &["wim", "list"],
    &["wim", "cat"],
    &["wim", "extract"],
    &["wim", "capture"],
    &["wim", "append"],
    &["wim", "export"],
    &["wim", "delete"],
    &["wim", "optimize"],
    &["wim", "update"],
    &["wim", "set"],
    &["wim", "split"],
    &["wim", "join"],
    &["wim", "verify"],
    &["demo"],
    &["schema"],
    &["completions"],
];

/// Runs the program in `home` and returns how it ended.
pub(crate) fn run(home: &Path, arguments: &[&str]) -> Output {
    transom(home).args(arguments).output().unwrap()
}

/// Runs the program and insists on an exit code; returns standard output and standard error.
#[track_caller]
pub(crate) fn ends_with(home: &Path, code: i32, arguments: &[&str]) -> (String, String) {
    let output = run(home, arguments);
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(
        output.status.code(),
        Some(code),
        "{arguments:?}\n--- stdout\n{stdout}\n--- stderr\n{stderr}"
    );
    (stdout, stderr)
}

#[test]
fn every_verb_explains_itself() {
    let home = temporary_folder();
    let mut all = String::new();
    for verb in VERBS {
        let arguments: Vec<&str> = verb.iter().copied().chain(["--help"]).collect();
        let (stdout, stderr) = ends_with(home.path(), 0, &arguments);
        assert_eq!(stderr, "", "help is a result");
        // The global options are the same everywhere: once is enough.
        let own = match stdout.split_once("Global options:") {
            Some((own, rest)) if !verb.is_empty() => {
                let examples = rest.find("\nExample").map_or("", |at| &rest[at..]);
                format!("{own}{examples}")
            }
            _ => stdout.clone(),
        };
        writeln!(all, "##### transom {}\n{}\n", verb.join(" "), own.trim_end()).unwrap();
    }
    insta::assert_snapshot!(all);
}

#[test]
fn a_wrong_command_line_is_usage() {
    let home = temporary_folder();
    for arguments in [
        &["no-such-verb"][..],
        &["wim", "list"],
        &["wim", "list", "x.wim", "--index", "0"],
        &["wim", "list", "x.wim", "--index", "1", "--image", "a"],
        &["build", "x.toml", "--jobs", "0"],
        &["cache", "gc", "--older-than", "soon"],
    ] {
        let (stdout, stderr) = ends_with(home.path(), 2, arguments);
        assert_eq!(stdout, "", "{arguments:?}: errors are no results");
        assert!(stderr.contains("error:"), "{stderr}");
    }
    let epoch = transom(home.path())
        .env("SOURCE_DATE_EPOCH", "tomorrow")
        .args(["cache", "stat"])
        .output()
        .unwrap();
    assert_eq!(epoch.status.code(), Some(2));
}

#[test]
fn what_is_missing_or_no_wim_is_a_bad_input() {
    let home = temporary_folder();
    fs_err::write(home.path().join("text.wim"), "this is no WIM, whatever its name says").unwrap();
    for wim in ["absent.wim", "text.wim", "."] {
        for verb in ["info", "list", "verify"] {
            let (stdout, stderr) = ends_with(home.path(), 5, &["wim", verb, wim]);
            assert_eq!(stdout, "");
            assert!(stderr.contains(wim), "the file is named: {stderr}");
        }
    }
    ends_with(home.path(), 5, &["inspect", "hive", "absent"]);
    ends_with(home.path(), 5, &["inspect", "hive", "text.wim"]);
    ends_with(home.path(), 3, &["check", "absent.toml"]);
}

#[test]
fn a_log_file_that_cannot_be_written_is_an_output_failure() {
    let home = temporary_folder();
    ends_with(home.path(), 9, &["--log", "no/such/folder/log", "cache", "stat"]);
    ends_with(home.path(), 0, &["--log", "log", "cache", "stat"]);
    assert!(home.path().join("log").exists());
}

#[test]
fn the_schema_and_completions_are_results() {
    let home = temporary_folder();
    let (schema, stderr) = ends_with(home.path(), 0, &["schema"]);
    assert_eq!(stderr, "");
    assert!(serde_json::from_str::<serde_json::Value>(&schema).is_ok());
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let (script, _) = ends_with(home.path(), 0, &["completions", shell]);
        assert!(script.contains("capture"), "{shell} completes the verbs");
    }
}

#[test]
fn an_empty_cache_is_told_and_emptied() {
    let home = temporary_folder();
    let (stat, _) = ends_with(home.path(), 0, &["cache", "stat", "--json"]);
    let stat: serde_json::Value = serde_json::from_str(&stat).unwrap();
    assert_eq!(stat["total"]["objects"], 0);
    let (gc, _) = ends_with(home.path(), 0, &["cache", "gc", "--max-size", "0", "--json"]);
    let gc: serde_json::Value = serde_json::from_str(&gc).unwrap();
    assert_eq!(gc["deleted"], 0);
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let home = temporary_folder();
    let mut child = transom(home.path())
        .args(["completions", "bash"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Closed without reading: the script is longer than a pipe holds, or the pipe is gone before it is written.
    drop(child.stdout.take());
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert_eq!((child.wait().unwrap().code(), stderr.as_str()), (Some(0), ""));
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_behind_standard_output_is_an_output_failure() {
    let home = temporary_folder();
    let full = fs_err::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = transom(home.path())
        .args(["schema"])
        .stdout(Stdio::from(full.into_file()))
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
        .wait_with_output()
        .unwrap();
    assert_eq!(output.status.code(), Some(9), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn real_and_hostile_wims_never_make_it_panic() {
    let Some(folder) = shared_data("wim") else { return };
    let home = temporary_folder();
    for wim in crate::support::files_below(&folder) {
        if !wim.extension().is_some_and(|end| end == "wim" || end == "swm") {
            continue;
        }
        let wim = wim.to_str().unwrap();
        for verb in [&["wim", "info"][..], &["wim", "verify"], &["verify"]] {
            let arguments: Vec<&str> = verb.iter().copied().chain([wim]).collect();
            let code = run(home.path(), &arguments).status.code();
            assert!(matches!(code, Some(0 | 5 | 8)), "{arguments:?} ended with {code:?}");
        }
        let list = run(home.path(), &["wim", "list", wim, "--index", "1", "--long"]).status.code();
        assert!(matches!(list, Some(0 | 5)), "list {wim} ended with {list:?}");
        let to = home.path().join("unpacked");
        let extract = ["wim", "extract", wim, "--to", to.to_str().unwrap(), "--overwrite"];
        let code = run(home.path(), &extract).status.code();
        assert!(matches!(code, Some(0 | 5 | 9)), "extract {wim} ended with {code:?}");
        fs_err::remove_dir_all(&to).ok();
    }
}

#[test]
fn a_real_hive_is_shown_and_checked() {
    let Some(packed) = shared_data("hives/NTUSER.DAT.xz") else { return };
    let Some(xz) = oracle("xz") else { return };
    let home = temporary_folder();
    let hive = xz.run([std::ffi::OsStr::new("-dc"), packed.as_os_str()]);
    fs_err::write(home.path().join("NTUSER.DAT"), hive).unwrap();
    let (root, _) = ends_with(home.path(), 0, &["inspect", "hive", "NTUSER.DAT"]);
    assert!(root.contains("  Software\\\n"), "{root}");
    let json = ["inspect", "hive", "NTUSER.DAT", "software\\microsoft", "--values", "--json"];
    let (key, _) = ends_with(home.path(), 0, &json);
    let key: serde_json::Value = serde_json::from_str(&key).unwrap();
    assert!(key["key"]["subkeys"].as_array().unwrap().iter().any(|name| name == "Windows"));
    let (_, stderr) = ends_with(home.path(), 5, &["inspect", "hive", "NTUSER.DAT", "Sofware"]);
    assert!(stderr.contains("Software"), "a near name is told: {stderr}");
    ends_with(home.path(), 0, &["inspect", "hive", "NTUSER.DAT", "--check"]);
}

#[test]
fn a_damaged_hive_fails_its_check() {
    let Some(packed) = shared_data("hives/NTUSER.DAT.xz") else { return };
    let Some(xz) = oracle("xz") else { return };
    let home = temporary_folder();
    let mut hive = xz.run([std::ffi::OsStr::new("-dc"), packed.as_os_str()]);
    // The first key behind the root loses its signature.
    let second =
        hive.windows(2).enumerate().filter(|(at, two)| *two == b"nk" && at % 8 == 4).nth(1);
    let at = second.unwrap().0;
    hive[at] = b'x';
    fs_err::write(home.path().join("hive"), hive).unwrap();
    let (stdout, _) = ends_with(home.path(), 8, &["inspect", "hive", "hive", "--check"]);
    assert!(stdout.contains("problem"), "{stdout}");
}

#[test]
fn the_version_is_told() {
    let home = temporary_folder();
    let output = expect_success(transom(home.path()).arg("--version"));
    let expected = format!("transom {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
}

/// Continuous integration cancels with SIGTERM: as with Ctrl-C, nothing half-written may stay.
#[cfg(unix)]
#[test]
fn a_terminated_capture_leaves_nothing_behind() {
    let home = temporary_folder();
    let source = home.path().join("source");
    fs_err::create_dir(&source).unwrap();
    let file = fs_err::File::create(source.join("large")).unwrap();
    // Holes read as zeros: long work from no data.
    file.set_len(8 << 30).unwrap();
    let mut capture = transom(home.path());
    capture.args(["wim", "capture", "source", "out.wim", "--name", "x", "--progress", "none"]);
    capture.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut capture = capture.spawn().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(400));
    let id = capture.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    assert_eq!(capture.wait().unwrap().code(), Some(130));
    let left: Vec<_> = fs_err::read_dir(home.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .filter(|name| name.to_string_lossy().contains("out.wim"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_standard_error_does_not_stop_a_build() {
    let home = temporary_folder();
    let full = fs_err::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut demo = transom(home.path());
    demo.args(["demo", "--progress", "plain"]).stderr(full.into_file());
    assert_eq!(demo.stdout(Stdio::null()).status().unwrap().code(), Some(0));
}
