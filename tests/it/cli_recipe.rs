//! The verbs that take a recipe, on a base that is captured here: the wiring from file to exit code.
#![cfg(unix)]

use std::path::Path;

use fs_err as fs;

use crate::{
    cli_frame::{ends_with, run},
    support::{expect_success, shared_data, temporary_folder, transom},
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
    assert!(plan.contains("1 step, 0 cached, 1 to run") && plan.contains("hello.txt"), "{plan}");
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
    // Behind it, the output may be hashed for the report.
    let done = events.iter().position(|event| event == "\"done\"").unwrap();
    assert!(events[done + 1..].iter().all(|event| event == "\"progress\""), "{events:?}");
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
fn a_log_says_what_was_done_and_why() {
    let home = temporary_folder();
    let home = home.path();
    workspace(home);
    let log = |name: &str, arguments: &[&str]| {
        let all = [&["build", "recipe.toml", "--log", name], arguments].concat();
        let (_, stderr) = ends_with(home, 0, &all);
        (fs::read_to_string(home.join(name)).unwrap(), stderr)
    };
    let (first, shown) = log("first.txt", &["-vv"]);
    for part in [
        "WIM: ",
        "base.wim: hashed",
        "input hello.txt",
        "base image 1",
        "plan: 1 steps",
        "never built with this cache",
        "step 1: prepared",
        "this output was not built with this cache yet",
        "step 1: applied",
        "store: miss",
        "commit: ",
    ] {
        assert!(first.contains(part), "{part}: {first}");
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let (second, shown) = log("second.txt", &[]);
    assert!(second.contains("golden.wim: up to date"), "{second}");
    assert_eq!(shown, "", "a log file alone shows nothing");
    fs::remove_file(home.join("out/golden.wim")).unwrap();
    let (third, shown) = log("third.txt", &["-v"]);
    assert!(third.contains("step 1: cached") && shown.contains("step 1: cached"), "{third}");
    assert!(!shown.contains("store: "), "details need -vv: {shown}");
}

#[test]
fn recipes_that_write_one_output_are_refused() {
    let home = temporary_folder();
    let home = home.path();
    workspace(home);
    fs::create_dir_all(home.join("more")).unwrap();
    let other = RECIPE
        .replace("out/golden.wim", "../out/./golden.wim")
        .replace("base.wim", "../base.wim")
        .replace("hello.txt\"", "../hello.txt\"");
    fs::write(home.join("more/b.toml"), other).unwrap();
    let (_, stderr) = ends_with(home, 3, &["check", "recipe.toml", "more/b.toml"]);
    for part in ["recipe::same-output", "recipe.toml:", "more/b.toml:"] {
        assert!(stderr.contains(part), "{part}: {stderr}");
    }
    ends_with(home, 0, &["check", "recipe.toml", "./recipe.toml"]);
}

#[test]
fn init_proposes_an_output_for_each_image() {
    let home = temporary_folder();
    let home = home.path();
    workspace(home);
    ends_with(home, 0, &["wim", "capture", "tree", "two.wim", "--name", "One"]);
    let two = home.join("two.wim");
    let Some(wimlib) = crate::support::oracle("wimlib-imagex") else { return };
    let mut append = wimlib.command();
    append.arg("append").arg(home.join("tree")).arg(&two).arg("Two");
    assert!(append.output().unwrap().status.success());
    ends_with(home, 0, &["init", "two.wim", "--index", "1", "-o", "r1.toml"]);
    ends_with(home, 0, &["init", "two.wim", "--index", "2", "-o", "r2.toml"]);
    ends_with(home, 0, &["check", "r1.toml", "r2.toml"]);
}

#[test]
fn values_of_the_command_line_leave_the_lock_alone() {
    let home = temporary_folder();
    let home = home.path();
    workspace(home);
    ends_with(home, 0, &["lock", "recipe.toml"]);
    let lock = || fs::read_to_string(home.join("recipe.lock")).unwrap();
    let before = lock();
    let set = ["build", "recipe.toml", "--set", "output.epoch=2026-11-01T00:00:00Z"];
    let (_, note) = ends_with(home, 0, &set);
    assert!(note.contains("recipe.lock is neither written nor compared"), "{note}");
    assert_eq!(lock(), before);
    ends_with(home, 4, &[&set[..], &["--locked"]].concat());
    fs::remove_file(home.join("recipe.lock")).unwrap();
    ends_with(home, 0, &set);
    assert!(!home.join("recipe.lock").exists());
}

#[test]
fn the_lock_is_no_output() {
    let home = temporary_folder();
    let home = home.path();
    workspace(home);
    let (_, stderr) =
        ends_with(home, 3, &["check", "recipe.toml", "--set", "output.path=./recipe.lock"]);
    assert!(stderr.contains("the output is the recipe's lock file"), "{stderr}");
}

#[test]
fn helps_lead_to_a_recipe_that_is_right() {
    let home = temporary_folder();
    let home = home.path();
    workspace(home);
    for (set, help) in [
        ("services.W32Time=3", "write \"manual\" (0 boot, 1 system, 2 auto, 3 manual, 4 disabled)"),
        ("services.W32Time=automatic", "did you mean `auto`?"),
        (r"registry.'HKLM\SOFTWARE\x'.bo=true", "write 1 for a REG_DWORD, or \"true\" for a text"),
        (r"registry.'HKLM\SOFTWARE\x'.absent=true", "write = \"absent\""),
        (r"registry.'HKLM/SOFTWARE/x'.a=1", r"backslashes: 'HKLM\SOFTWARE\x'"),
        (r"registry.'HKLM\SOFTWARE\x'.a={type='REG_DWORD',value=1}", "did you mean `dword`?"),
        ("vars.who={env=\"HOME\"}", "secrets can be values of [registry] keys"),
        ("output.epoch=1500-01-01T00:00:00Z", "after 1601-01-01T00:00:00Z"),
        ("output.epoch=2026-11-01", "for UTC write 2026-11-01T00:00:00Z"),
        ("output.epoch=2026-11-01T00:00:00", "for UTC write 2026-11-01T00:00:00Z"),
    ] {
        let (_, stderr) = ends_with(home, 3, &["check", "recipe.toml", "--set", set]);
        assert!(stderr.contains(help), "{set}: {stderr}");
    }
}

#[test]
fn check_says_what_a_build_says() {
    let home = temporary_folder();
    let home = home.path();
    workspace(home);
    fs::create_dir(home.join("folder")).unwrap();
    fs::write(home.join("folder/A"), "").unwrap();
    fs::write(home.join("folder/a"), "").unwrap();
    let set = "files=[{ from = 'folder', to = 'C:\\x' }]";
    for verb in ["check", "build"] {
        let (_, stderr) = ends_with(home, 5, &[verb, "recipe.toml", "--set", set]);
        assert!(stderr.contains("input::same-name"), "{verb}: {stderr}");
        assert!(stderr.contains("rename one of them"), "{verb}: {stderr}");
    }
    let (_, stderr) = ends_with(home, 5, &["plan", "recipe.toml", "--set", "base.wim=none.wim"]);
    let tried = home.join("none.wim");
    assert!(stderr.contains(&*tried.to_string_lossy()), "{stderr}");
}

#[test]
fn a_build_tells_name_and_version() {
    let home = temporary_folder();
    let home = home.path();
    workspace(home);
    let arguments = ["build", "recipe.toml", "--set", "image.version=7.1", "--json"];
    for up_to_date in [false, true] {
        let (json, _) = ends_with(home, 0, &arguments);
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json["up-to-date"], up_to_date);
        assert_eq!((&json["name"], &json["version"]), (&"golden".into(), &"7.1".into()));
    }
}

#[test]
fn usage_does_not_ask_for_the_cache() {
    let home = temporary_folder();
    let output =
        transom(home.path()).env("TRANSOM_CACHE_DIR", "cache").args(["build"]).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!stderr.contains("--cache-dir"), "{stderr}");
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

#[test]
fn a_build_tells_what_it_leaves_out_of_an_odd_base() {
    let Some(base) = shared_data("wim/hostile/duplicate_names.wim") else { return };
    let home = temporary_folder();
    let recipe = format!(
        "[base]\nwim = '{}'\nindex = 1\n\n[[files]]\nfrom = 'x'\nto = 'x'\n\n[output]\npath = 'out.wim'\n",
        base.display()
    );
    fs_err::write(home.path().join("r.toml"), recipe).unwrap();
    fs_err::write(home.path().join("x"), "x").unwrap();
    let built = expect_success(transom(home.path()).args(["build", "r.toml"]));
    let stderr = String::from_utf8(built.stderr).unwrap();
    assert!(stderr.contains("warning:"), "{stderr}");
}

#[test]
fn the_drivers_of_an_image_are_listed() {
    let home = temporary_folder();
    expect_success(transom(home.path()).arg("demo"));
    let wim = "transom-demo/media/install.wim";
    let arguments = ["inspect", "image", wim, "--index", "1", "--drivers"];
    let (listed, _) = ends_with(home.path(), 0, &arguments);
    assert!(listed.contains("driver packages"), "{listed}");
    let all = ["inspect", "image", wim, "--index", "1", "--drivers", "--all", "--json"];
    let (json, _) = ends_with(home.path(), 0, &all);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["notes"], serde_json::json!([]));
    assert!(json["drivers"].is_array());
    let absent = ["inspect", "image", wim, "--index", "1", "--driver", "oem77.inf"];
    let (_, stderr) = ends_with(home.path(), 5, &absent);
    assert!(stderr.contains("oem77.inf"), "{stderr}");
    ends_with(home.path(), 2, &["inspect", "image", wim, "--index", "1", "--all"]);
    let Some(real) = shared_data("wim/wimbuilder2-boot.wim") else { return };
    let real = real.to_str().unwrap();
    // A Windows PE stripped of its drivers: its database has no package.
    let arguments = ["inspect", "image", real, "--index", "2", "--drivers", "--all"];
    let (listed, stderr) = ends_with(home.path(), 0, &arguments);
    assert_eq!((listed.as_str(), stderr.as_str()), ("0 driver packages\n", ""));
}
