//! The verbs that take a recipe, on a base that is captured here: the wiring from file to exit code.
#![cfg(unix)]

use std::path::Path;

use fs_err as fs;

use crate::{
    cli_frame::{ends_with, run},
    support::{shared_data, temporary_folder, transom},
};

/// A base of two files, and a recipe that puts a file into it.
fn workspace(home: &Path) {
    fs::create_dir_all(home.join("tree/Windows")).unwrap();
    fs::write(home.join("tree/Windows/notes.txt"), "from the base").unwrap();
    fs::write(home.join("tree/readme.txt"), "read me").unwrap();
    ends_with(home, 0, &["wim", "capture", "tree", "base.wim", "--name", "Base"]);
    fs::write(home.join("hello.txt"), "hello").unwrap();
    fs::write(home.join("recipe.toml"), RECIPE).unwrap();
}

const RECIPE: &str = r#"
[image]
name = "golden"

[base]
wim = "base.wim"
index = 1

[[files]]
from = "hello.txt"
to = 'C:\Windows\hello.txt'

[output]
path = "out/golden.wim"
"#;

#[test]
fn a_recipe_is_made_checked_planned_built_and_verified() {
    let home = temporary_folder();
    let home = home.path();
    workspace(home);
    let (check, _) = ends_with(home, 0, &["check", "recipe.toml"]);
    assert_eq!(check, "recipe.toml: good (1 entry, 1 input)\n");
    let (plan, _) = ends_with(home, 0, &["plan", "recipe.toml"]);
    assert!(plan.contains("1 steps, 0 cached, 1 to run") && plan.contains("hello.txt"), "{plan}");
    assert!(
        !home.join("recipe.lock").exists() && !home.join("out").exists(),
        "planning writes nothing"
    );
    let (built, talk) = ends_with(home, 0, &["build", "recipe.toml"]);
    assert!(built.starts_with("out/golden.wim: built ("), "{built}");
    assert!(talk.contains("step 1"), "progress is plain lines on standard error: {talk}");
    let (again, talk) = ends_with(home, 0, &["build", "recipe.toml"]);
    assert!(again.starts_with("out/golden.wim: up to date ("), "{again}");
    assert_eq!(talk, "");
    let (json, _) = ends_with(home, 0, &["plan", "recipe.toml", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["up-to-date"], &json["lock"]), (&true.into(), &"current".into()));
    ends_with(home, 0, &["verify", "out/golden.wim"]);
    assert_eq!(run(home, &["wim", "cat", "out/golden.wim", "windows/HELLO.TXT"]).stdout, b"hello");
    for graph in ["dot", "mermaid"] {
        assert!(!ends_with(home, 0, &["plan", "recipe.toml", "--graph", graph]).0.is_empty());
    }
}

#[test]
fn progress_can_be_read_by_a_program() {
    let home = temporary_folder();
    let home = home.path();
    workspace(home);
    let (stdout, stderr) =
        ends_with(home, 0, &["build", "recipe.toml", "--progress", "json", "--json", "-q"]);
    let outcome: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(outcome["up-to-date"], false);
    let events: Vec<String> = stderr
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["event"].to_string())
        .collect();
    assert!(events.contains(&"\"step-applied\"".to_owned()), "{events:?}");
    assert_eq!(events.last().map(String::as_str), Some("\"done\""));
}

#[test]
fn each_class_of_failure_has_its_exit_code() {
    let home = temporary_folder();
    let home = home.path();
    workspace(home);
    let set = |value: &str| ["build", "recipe.toml", "--set", value].map(str::to_owned);
    let code = |value: &str| {
        let arguments = set(value);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let output = run(home, &arguments);
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (found, stderr) = code("outptu.path=\"x.wim\"");
    assert_eq!(found, Some(3), "{stderr}");
    assert!(stderr.contains("output"), "a near name is told: {stderr}");
    assert_eq!(code("base.wim=\"absent.wim\"").0, Some(5));
    assert_eq!(code("base.index=7").0, Some(6));
    assert_eq!(code("output.path=\"base.wim\"").0, Some(3), "the output must not be the base");
    let (found, stderr) = code("services.NoSuch=\"disabled\"");
    assert!(
        matches!(found, Some(5 | 6)),
        "an image without hives has no services: {found:?} {stderr}"
    );
    assert!(!home.join("out").exists(), "nothing was written");
    ends_with(home, 2, &["build", "recipe.toml", "--locked", "--no-locked"]);
    fs::write(home.join("blocker"), "").unwrap();
    assert_eq!(code("output.path=\"blocker/golden.wim\"").0, Some(9));
    fs::remove_file(home.join("hello.txt")).unwrap();
    ends_with(home, 5, &["build", "recipe.toml"]);
    let (_, note) = ends_with(home, 0, &["check", "recipe.toml"]);
    assert!(note.contains("hello.txt"), "a missing input is named: {note}");
}

#[test]
fn a_locked_build_refuses_what_is_not_locked() {
    let home = temporary_folder();
    let home = home.path();
    workspace(home);
    ends_with(home, 4, &["build", "recipe.toml", "--locked"]);
    let ci = |arguments: &[&str]| {
        transom(home).env("CI", "true").args(arguments).output().unwrap().status.code()
    };
    assert_eq!(ci(&["build", "recipe.toml"]), Some(4), "CI means locked");
    assert_eq!(ci(&["build", "recipe.toml", "--no-locked"]), Some(0));
    let (lock, _) = ends_with(home, 0, &["lock", "recipe.toml"]);
    assert_eq!(lock, "recipe.lock: current already\n");
    assert_eq!(ci(&["build", "recipe.toml"]), Some(0));
    fs::write(home.join("hello.txt"), "changed").unwrap();
    let (_, stderr) = ends_with(home, 4, &["build", "recipe.toml", "--locked"]);
    assert!(stderr.contains("hello.txt"), "what differs is named: {stderr}");
}

#[test]
fn the_environment_gives_the_time_of_new_files() {
    let home = temporary_folder();
    let home = home.path();
    workspace(home);
    let build = transom(home)
        .env("SOURCE_DATE_EPOCH", "1793491200")
        .args(["build", "recipe.toml"])
        .output()
        .unwrap();
    assert!(build.status.success());
    let (list, _) = ends_with(home, 0, &["wim", "list", "out/golden.wim", "hello.txt", "--json"]);
    let line: serde_json::Value = serde_json::from_str(list.trim()).unwrap();
    assert_eq!(line["modified"], "2026-11-01T00:00:00Z");
}

#[test]
fn init_writes_a_recipe_that_builds() {
    let home = temporary_folder();
    let home = home.path();
    workspace(home);
    fs::remove_file(home.join("recipe.toml")).unwrap();
    let (path, _) = ends_with(home, 0, &["init", "base.wim"]);
    assert_eq!(path, "recipe.toml\n");
    ends_with(home, 9, &["init", "base.wim"]);
    ends_with(home, 0, &["init", "base.wim", "--overwrite"]);
    ends_with(home, 0, &["check", "recipe.toml"]);
    ends_with(home, 0, &["build", "recipe.toml"]);
    ends_with(home, 0, &["verify", "out/base-golden.wim"]);
    let (text, _) = ends_with(home, 0, &["init", "base.wim", "-o", "-"]);
    assert!(text.contains("wim = \"base.wim\"\nname = \"Base\"\n"), "{text}");
}

#[test]
fn a_real_image_tells_what_it_is() {
    let Some(wim) = shared_data("wim/wimbuilder2-boot.wim") else { return };
    let home = temporary_folder();
    let wim = wim.to_str().unwrap();
    let arguments = ["inspect", "image", wim, "--index", "2", "--json"];
    let (json, _) = ends_with(home.path(), 0, &arguments);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["tree"]["directories"], &json["tree"]["files"]), (&603.into(), &24.into()));
    assert_eq!(json["xml"]["architecture"], "x86");
    ends_with(home.path(), 0, &["inspect", "image", wim, "--index", "1"]);
}
