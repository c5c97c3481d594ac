//! `[policy]`: refused at plan time, as the last step of a build, of an output that is there already, and of any WIM.

use std::{
    path::{Path, PathBuf},
    process::Output,
};

use crate::{
    driver_fixture::FILES,
    support::{expect_success, shared_data, temporary_folder, transom},
};

/// A folder with the demo's base, and a recipe made of two services and more.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self { folder: temporary_folder() };
        transom::cli::demo::write_base(&place.path("base.wim"), &Default::default()).unwrap();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, text).unwrap();
    }

    /// A recipe with `policy` behind what it always has.
    fn recipe(&self, more: &str) {
        let text = format!(
            "[base]\nwim = \"base.wim\"\nindex = 1\n[output]\npath = \"out/golden.wim\"\n[services]\nWSearch = \"manual\"\n{more}"
        );
        self.write("recipe.toml", &text);
    }

    fn transom<const N: usize>(&self, arguments: [&str; N]) -> Output {
        transom(self.folder.path()).args(arguments).output().unwrap()
    }

    fn build(&self) -> Output {
        self.transom(["build", "recipe.toml"])
    }

    fn out(&self) -> Vec<String> {
        let Ok(entries) = fs_err::read_dir(self.path("out")) else { return Vec::new() };
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
    }
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_broken_rule_stops_the_build_before_anything_is_written_and_keeps_the_steps() {
    let place = Place::new();
    place.recipe("[policy]\nminimum-build = \"26100.99999\"\n[policy.features]\nDemoTelnett = \"required\"\n");
    let refused = place.build();
    let text = said(&refused);
    assert_eq!(code(&refused), 7, "{text}");
    // Both are told, each with its place and a way out.
    assert!(text.contains("older than 26100.99999") && text.contains("recipe.toml:9:1"), "{text}");
    assert!(text.contains("no feature `DemoTelnett`") && text.contains("DemoTelnet`?"), "{text}");
    assert!(text.contains("nothing is written"), "{text}");
    assert_eq!(place.out(), [""; 0]);
    // The steps are remembered: with a milder rule nothing is done again.
    place.recipe("[policy]\nminimum-build = \"26100\"\n");
    let built = place.transom(["build", "recipe.toml", "--json"]);
    assert_eq!(code(&built), 0, "{}", said(&built));
    let outcome: serde_json::Value = serde_json::from_slice(&built.stdout).unwrap();
    assert_eq!(outcome["steps"][0]["cached"], true, "{outcome}");
    assert_eq!(outcome["policy"][0], "minimum-build: 26100 or newer");
}

#[test]
fn an_output_that_is_there_is_held_against_a_rule_that_is_new() {
    let place = Place::new();
    place.recipe("");
    expect_success(transom(place.folder.path()).args(["build", "recipe.toml"]));
    let bytes = fs_err::read(place.path("out/golden.wim")).unwrap();
    place.recipe("[policy]\nservices.\"w*search\" = \"required\"\n");
    let kept = place.build();
    assert_eq!(code(&kept), 0, "{}", said(&kept));
    assert!(told(&kept).contains("up to date"), "policy is in no key: {}", told(&kept));
    place.recipe("[policy]\nservices.\"w*search\" = \"forbidden\"\n");
    for forget in [false, true] {
        if forget {
            // What the store knew of the image is gone: the output is looked into.
            let records = place.path("transom-cache");
            let folders = walkdir::WalkDir::new(&records).into_iter().flatten();
            let of_inventories = folders.filter(|entry| entry.file_name() == "inventory");
            let found: Vec<PathBuf> = of_inventories.map(walkdir::DirEntry::into_path).collect();
            assert!(!found.is_empty());
            found.iter().for_each(|path| fs_err::remove_dir_all(path).unwrap());
        }
        let broken = place.build();
        assert_eq!(code(&broken), 7, "{}", said(&broken));
        assert!(said(&broken).contains("the output that is there breaks this rule"));
        assert_eq!(fs_err::read(place.path("out/golden.wim")).unwrap(), bytes);
    }
}

#[test]
fn every_image_is_told_of() {
    let place = Place::new();
    let text = "[base]\nwim = \"base.wim\"\nimages = \"all\"\n[output]\npath = \"out.wim\"\n[policy]\nno-pending = true\nfeatures.DemoTelnet = \"required\"\n";
    let settings = transom::cli::demo::BaseSettings { ..Default::default() };
    transom::cli::demo::write_base(&place.path("base.wim"), &settings).unwrap();
    let twice = place.path("base.wim");
    let twice = twice.to_str().unwrap();
    let more = ["wim", "export", twice, "twice.wim", "--index", "1", "--name", "one"];
    expect_success(transom(place.folder.path()).args(more));
    let more = ["wim", "export", twice, "twice.wim", "--index", "1", "--name", "two"];
    expect_success(transom(place.folder.path()).args(more));
    place.write("recipe.toml", &text.replace("base.wim", "twice.wim"));
    let refused = place.build();
    let text = said(&refused);
    assert_eq!(code(&refused), 7, "{text}");
    for image in ["image 1 \"one\"", "image 2 \"two\""] {
        assert!(text.contains(&format!("{image}: no such feature is enabled")), "{text}");
    }
}

#[test]
fn what_the_recipe_itself_breaks_is_refused_at_plan_time() {
    let place = Place::new();
    for (entries, rule, words) in [
        (
            "features.DemoTelnet = \"enabled\"",
            "features.\"demo*\" = \"forbidden\"",
            "wants DemoTelnet enabled",
        ),
        (
            "features.DemoTelnet = \"disabled\"",
            "features.DemoTelnet = \"required\"",
            "wants DemoTelnet disabled",
        ),
        ("", "services.WSearch = \"disabled\"", "wants WSearch manual"),
        ("first-boot.run = [\"a.cmd\"]", "no-deferred = true", "left to the first boot"),
    ] {
        place.write("a.cmd", "@echo off\r\n");
        let rest = "[base]\nwim = \"base.wim\"\nindex = 1\n[output]\npath = \"out/golden.wim\"\n[services]\nWSearch = \"manual\"\n";
        place.write("recipe.toml", &format!("{entries}\n{rest}[policy]\n{rule}\n"));
        for verb in ["plan", "build", "check"] {
            let refused = place.transom([verb, "recipe.toml"]);
            let text = said(&refused);
            assert_eq!(code(&refused), 7, "{verb} {rule}: {text}");
            assert!(text.contains(words) && text.contains("the rule at recipe.toml:"), "{text}");
        }
    }
    // A pattern for several may be kept by another one.
    place.recipe(
        "[features]\nDemoTelnet = \"disabled\"\n[policy]\nfeatures.\"Demo*\" = \"required\"\n",
    );
    let planned = place.transom(["plan", "recipe.toml"]);
    assert_eq!(code(&planned), 0, "{}", said(&planned));
    assert!(told(&planned).contains("policy   features.\"Demo*\": required"), "{}", told(&planned));
}

#[test]
fn any_wim_is_held_against_rules() {
    let place = Place::new();
    place.write("rules.toml", "[policy]\nno-pending = true\nlanguages.en-US = \"required\"\n");
    let kept = place.transom(["verify", "base.wim", "--policy", "rules.toml"]);
    assert_eq!(code(&kept), 0, "{}", said(&kept));
    assert!(told(&kept).contains("keeps 2 rules of rules.toml"), "{}", told(&kept));
    place.write(
        "rules.toml",
        "[policy]\nlanguages.\"*\" = \"forbidden\"\nlanguages.fr-FR = \"required\"\n",
    );
    for index in [None, Some("1")] {
        let mut command = transom(place.folder.path());
        command.args(["verify", "base.wim", "--policy", "rules.toml", "--json"]);
        let broken = command.args(index.map(|index| format!("--index={index}"))).output().unwrap();
        assert_eq!(code(&broken), 7, "{}", said(&broken));
        let json: serde_json::Value = serde_json::from_slice(&broken.stdout).unwrap();
        let policy = &json["policy"];
        assert_eq!((&json["good"], &policy["kept"]), (&true.into(), &false.into()));
        assert_eq!(policy["images"][0]["broken"].as_array().unwrap().len(), 2, "{policy}");
        assert_eq!(policy["images"][0]["broken"][1]["rule"], "languages.fr-FR");
    }
    // A recipe will do; one without rules does not, nor a misspelt section.
    place.recipe("[policy]\nno-pending = true\n");
    expect_success(transom(place.folder.path()).args([
        "verify",
        "base.wim",
        "--policy",
        "recipe.toml",
    ]));
    for (text, words) in [
        ("[image]\nname = \"x\"\n", "no rule"),
        ("[polcy]\nno-pending = true\n", "did you mean `policy`"),
        ("[policy]\nwhen-not-native = \"refuse\"\n", "no rule"),
    ] {
        place.write("rules.toml", text);
        let refused = place.transom(["verify", "base.wim", "--policy", "rules.toml"]);
        assert_eq!(code(&refused), 3, "{}", said(&refused));
        assert!(said(&refused).contains(words), "{}", said(&refused));
    }
}

#[test]
fn damage_comes_before_policy() {
    let place = Place::new();
    place.write("rules.toml", "[policy]\nminimum-build = \"99999\"\n");
    let mut bytes = fs_err::read(place.path("base.wim")).unwrap();
    let middle = bytes.len() / 3;
    bytes[middle..middle + 64].iter_mut().for_each(|byte| *byte ^= 0x5a);
    fs_err::write(place.path("damaged.wim"), bytes).unwrap();
    let damaged = place.transom(["verify", "damaged.wim", "--policy", "rules.toml"]);
    assert_eq!(code(&damaged), 8, "{}{}", told(&damaged), said(&damaged));
}

/// What a build of `drivers` with `signed-drivers` says.
fn with_drivers(place: &Place, source: &Path, more: &str) -> Output {
    place.recipe(&format!(
        "[drivers.one]\nsource = '{}'\n{more}\n[policy]\nsigned-drivers = true\n",
        source.display()
    ));
    place.build()
}

#[test]
fn a_driver_that_nobody_signed_breaks_the_rule_even_where_it_is_allowed() {
    let place = Place::new();
    for (path, text) in FILES {
        place.write(&format!("drivers/{path}"), text);
    }
    for more in ["unsigned = \"allow\"", "unsigned = \"allow\"\nwhen-not-native = \"first-boot\""] {
        let refused = with_drivers(&place, Path::new("drivers"), more);
        let text = said(&refused);
        assert_eq!(code(&refused), 7, "{text}");
        assert!(text.contains("(teststor.inf): it has no catalog"), "{text}");
        assert_eq!(place.out(), [""; 0]);
    }
}

#[test]
fn a_driver_whose_catalog_holds_keeps_the_rule_until_a_file_is_changed() {
    let Some(wintun) = shared_data("drivers/packages/wintun-0.14.1/amd64") else { return };
    let place = Place::new();
    let built = with_drivers(&place, &wintun, "");
    assert_eq!(code(&built), 0, "{}", said(&built));
    // The same package with one byte more in the driver, as a careless hand would leave it in the store.
    let verify = |wim: &str| {
        place.write("rules.toml", "[policy]\nsigned-drivers = true\n");
        place.transom(["verify", wim, "--policy", "rules.toml"])
    };
    let kept = verify("out/golden.wim");
    assert!(told(&kept).contains("keeps 1 rule"), "{}{}", told(&kept), said(&kept));
    let listed = place.transom(["wim", "list", "out/golden.wim"]);
    let listed = told(&listed);
    let driver = listed
        .lines()
        .find(|line| line.contains("FileRepository") && line.to_lowercase().ends_with("wintun.sys"))
        .unwrap_or_else(|| panic!("{listed}"))
        .to_owned();
    place.write("other.sys", "MZ, but not that driver");
    let command = format!("add other.sys '{driver}'");
    let update = ["wim", "update", "out/golden.wim", "--command", &command];
    expect_success(transom(place.folder.path()).args(update));
    let broken = verify("out/golden.wim");
    let text = said(&broken);
    assert_eq!(code(&broken), 7, "{text}");
    assert!(text.to_lowercase().contains("does not hold the hash of wintun.sys"), "{text}");
}
