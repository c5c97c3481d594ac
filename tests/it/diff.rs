//! `transom diff`: against what hivex and wimlib say of both sides, on real hives and images, and on the demo's builds.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use fs_err as fs;
use serde_json::Value as Json;
use transom::base::{filetime::FileTime, limits::Limits, name::Name, ntpath::NtPath};
use transom::format::{
    hive::{Hive, KeyId, Value},
    reg_text::{self, RegAction},
};
use transom::image::{
    Image, NewNode,
    diff::{self, Difference, Kind, Options, Side},
};

use crate::hive_real::real_hive;
use crate::support::dump::{Dump, difference, dump_image};
use crate::support::{self, expect_success, oracle, temporary_folder, transom};

const NO_DIFFERENCE: i32 = 0;
const BAD_INPUT: i32 = 5;
const DIFFERENCES: i32 = 10;

/// What a command printed, when it ended with that code.
fn told(command: &mut Command, code: i32) -> String {
    let output = command.output().unwrap();
    let (out, error) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{command:?}\n{out}\n{error}");
    if code == BAD_INPUT { error.into_owned() } else { out }
}

fn diff(home: &Path, arguments: &[&str], code: i32) -> String {
    told(transom(home).arg("diff").args(arguments), code)
}

fn json(home: &Path, arguments: &[&str], code: i32) -> Json {
    let mut all = arguments.to_vec();
    all.push("--json");
    serde_json::from_str(&diff(home, &all, code)).unwrap()
}

fn compare(before: &mut Image, after: &mut Image) -> Difference {
    let (before, after) = (Side::of(before).unwrap(), Side::of(after).unwrap());
    diff::compare(&before, &after, Options::default())
}

/// An image of a hive alone.
fn image_of(hive: Vec<u8>) -> Image {
    let mut image = Image::empty(FileTime(1));
    let path = NtPath::parse(r"Windows\System32\config\SYSTEM").unwrap();
    image.put_bytes(&path, hive, &NewNode::default()).unwrap();
    image
}

/// The keys and values of a `.reg` file: type and data by key and name, the key itself under no name.
type Content = BTreeMap<(String, Option<String>), Option<(u32, Vec<u8>)>>;

fn content(reg: &[u8]) -> Content {
    let mut content = Content::new();
    for entry in reg_text::parse(reg).unwrap() {
        let key = entry.key.trim_end_matches('\\').to_owned();
        content.insert((key.clone(), None), None);
        let RegAction::Values(values) = entry.action else { continue };
        for (name, data) in values {
            let data = data.map(|(kind, data)| (kind.0, data));
            content.insert((key.clone(), Some(name.to_string())), data);
        }
    }
    content
}

/// What differs in two exports.
fn of_exports(
    before: &Content,
    after: &Content,
) -> BTreeSet<(String, Option<String>, &'static str)> {
    let mut found = BTreeSet::new();
    for place in before.keys().chain(after.keys()) {
        let kind = match (before.get(place), after.get(place)) {
            (Some(old), Some(new)) if old == new => continue,
            (Some(_), Some(_)) => "changed",
            (Some(_), None) => "removed",
            _ => "added",
        };
        found.insert((place.0.clone(), place.1.clone(), kind));
    }
    found
}

fn hive_of(wim: &Path, home: &Path, name: &str) -> Vec<u8> {
    let path = format!("Windows/System32/config/{name}");
    let mut command = transom(home);
    command.args(["wim", "cat"]).arg(wim).args(["--index", "1", &path]);
    expect_success(&mut command).stdout
}

#[test]
fn the_demo_differs_from_its_base_as_hivex_and_wimlib_say() {
    let folder = temporary_folder();
    let home = folder.path();
    expect_success(transom(home).arg("demo"));
    let (base, output) = ("transom-demo/media/install.wim:1", "transom-demo/out/demo-client.wim");
    assert_eq!(diff(home, &[output, output], NO_DIFFERENCE).lines().last(), Some("no difference"));
    let text = diff(home, &[base, output], DIFFERENCES);
    for line in [
        "Packages: 5 added",
        "  + Contoso-Tools-Package~31bf3856ad364e35~amd64~~1.0.0.0  installed",
        "  ~ DemoTelnetServer                          disabled -> enabled",
        "  + de-DE                                     registered, default",
        "  ~ RemoteRegistry                            manual -> disabled",
        "  ~ time-zone                                 Pacific Standard Time -> W. Europe Standard Time",
        "  + 01-hello.cmd                              runs",
    ] {
        assert!(text.contains(&format!("\n{line}\n")), "{line}\n{text}");
    }
    assert!(text.contains("; --files lists them\nRegistry: "), "{text}");
    let one = json(home, &[base, output, "--jobs", "1"], DIFFERENCES);
    assert_eq!(one, json(home, &[base, output, "--jobs", "4"], DIFFERENCES));
    let image = &one["images"][0];
    registry_is_what_hivex_says(home, image);
    files_are_what_wimlib_says(home, image);
    narrowed(home, base, output);
}

/// Compares the registry part with the difference of hivexregedit's exports.
fn registry_is_what_hivex_says(home: &Path, image: &Json) {
    let Some(hivex) = oracle("hivexregedit") else { return };
    let wims = ["transom-demo/media/install.wim", "transom-demo/out/demo-client.wim"];
    let mut expected = BTreeSet::new();
    for hive in ["SYSTEM", "SOFTWARE", "DEFAULT", "COMPONENTS", "DRIVERS"] {
        let root = if hive == "DEFAULT" { r"HKU\.DEFAULT".into() } else { format!(r"HKLM\{hive}") };
        let [before, after] = wims.map(|wim| {
            let file = home.join("hive");
            fs::write(&file, hive_of(&home.join(wim), home, hive)).unwrap();
            content(&hivex.run(["--export", "--prefix", &root, file.to_str().unwrap(), "\\"]))
        });
        expected.extend(of_exports(&before, &after));
    }
    let changes = image["registry"].as_array().unwrap();
    let text = |json: &Json| json.as_str().unwrap().to_owned();
    let found: BTreeSet<_> = changes
        .iter()
        .filter(|change| !text(&change["key"]).starts_with("HKCU"))
        // Only the security of a key: hivex does not export it.
        .filter(|change| !(change["value"].is_null() && change["kind"] == "changed"))
        .map(|change| {
            let kind =
                ["added", "removed", "changed"].into_iter().find(|kind| change["kind"] == *kind);
            (text(&change["key"]), change["value"].as_str().map(str::to_owned), kind.unwrap())
        })
        .collect();
    assert!(expected.len() > 200, "{}", expected.len());
    assert_eq!(found, expected);
}

/// Compares the files part with the difference of what wimlib says of both.
fn files_are_what_wimlib_says(home: &Path, image: &Json) {
    let Some(wimlib) = oracle("wimlib-imagex") else { return };
    let before = dump_image(&wimlib, &home.join("transom-demo/media/install.wim"), 1);
    let after = dump_image(&wimlib, &home.join("transom-demo/out/demo-client.wim"), 1);
    let mut found = BTreeSet::new();
    for change in image["files"].as_array().unwrap() {
        let path = unix(change["path"].as_str().unwrap());
        match change["kind"].as_str().unwrap() {
            "added" => found.insert(format!("+ {path}")),
            "removed" => found.insert(format!("- {path}")),
            "changed" => found.insert(format!("~ {path}")),
            _ => {
                found.insert(format!("- {}", unix(change["from"].as_str().unwrap())));
                found.insert(format!("+ {path}"))
            }
        };
    }
    for hive in image["hives"].as_array().unwrap() {
        found.insert(format!("~ {}", unix(hive["path"].as_str().unwrap())));
    }
    assert!(found.len() > 60, "{found:#?}");
    assert_eq!(found, of_dumps(before, after));
}

fn unix(path: &str) -> String {
    path.trim_start_matches("C:").replace('\\', "/")
}

/// The paths that differ, with `+`, `-` or `~`, in what wimlib says; times, and how many names a file has, left out.
fn of_dumps(before: Dump, after: Dump) -> BTreeSet<String> {
    let left_out = ["Time", "Link Count", "linked with", "Link Group"];
    let [before, after] = [before, after].map(|mut dump| {
        for lines in dump.values_mut() {
            lines.retain(|line| !left_out.iter().any(|what| line.contains(what)));
        }
        dump
    });
    let lines = difference(&before, &after).into_iter();
    lines
        .map(|line| line.split_once(": ").map_or(line.as_str(), |(path, _)| path).to_owned())
        .collect()
}

/// `--path` shows what is there, and refuses what is nowhere.
fn narrowed(home: &Path, base: &str, output: &str) {
    let text = diff(home, &[base, output, "--path", r"C:\ProgramData"], DIFFERENCES);
    let paths: Vec<&str> = text.lines().filter(|line| line.starts_with("  ")).collect();
    assert!(
        paths.len() == 5 && paths.iter().all(|line| line.contains(r"C:\ProgramData\")),
        "{text}"
    );
    assert!(!text.contains("Registry") && !text.contains("Packages"), "{text}");
    let key = r"HKLM\SYSTEM\CurrentControlSet\Services\W32Time";
    let text = diff(home, &[base, output, "--path", key], DIFFERENCES);
    let expected = "\nRegistry: values 1 added, 1 changed\n  + HKLM\\SYSTEM\\ControlSet001\\Services\\W32Time : DelayedAutostart  REG_DWORD 1\n  ~ \
                    HKLM\\SYSTEM\\ControlSet001\\Services\\W32Time : Start  REG_DWORD 3 -> 2\n";
    assert!(text.ends_with(expected), "{text}");
    let text = diff(home, &[base, output, "--path", r"HKLM\SYSTEM\Select"], NO_DIFFERENCE);
    assert!(text.ends_with("\nno difference there\n"), "{text}");
    // As the list writes it; braces are a part of the name.
    let value = format!("{key} : Start");
    let text = diff(home, &[base, output, "--path", &value], DIFFERENCES);
    assert!(text.contains("Start  REG_DWORD 3 -> 2") && !text.contains("Delayed"), "{text}");
    let catalogs = r"C:\Windows\System32\CatRoot\{F750E6C3-38EE-11D1-85E5-00C04FC295EE}";
    let text = diff(home, &[base, output, "--path", catalogs], DIFFERENCES);
    assert!(text.contains("Files: ") && text.contains(".cat"), "{text}");
    for nowhere in [r"HKLM\SYSTEM\CurrentControlSet\Services\W32Tim", r"HKLM\SOFTWARE\A : B"] {
        let text = diff(home, &[base, output, "--path", nowhere], BAD_INPUT);
        assert!(text.contains("neither image has"), "{text}");
    }
    let text = diff(home, &[base, output, "--path", r"C:\Nowhere"], BAD_INPUT);
    assert!(text.contains(r"neither image has C:\Nowhere"), "{text}");
}

#[test]
fn the_last_two_builds_of_a_recipe_are_compared() {
    let folder = temporary_folder();
    let home = folder.path();
    expect_success(transom(home).arg("demo"));
    let recipe = "transom-demo/demo.toml";
    let text = diff(home, &[recipe], BAD_INPUT);
    assert!(text.contains("diff::no-previous-build"), "{text}");
    let kept = home.join("kept.wim");
    fs::copy(home.join("transom-demo/out/demo-client.wim"), &kept).unwrap();
    let path = home.join(recipe);
    let old = fs::read_to_string(&path).unwrap();
    fs::write(&path, old.replace("AllowTelemetry = 0", "AllowTelemetry = 1")).unwrap();
    expect_success(transom(home).args(["build", recipe]));
    let line = r"  ~ HKLM\SOFTWARE\Policies\Microsoft\Windows\DataCollection : AllowTelemetry  REG_DWORD 0 -> 1";
    let text = diff(home, &[recipe, "--registry", "--files"], DIFFERENCES);
    assert!(text.ends_with(&format!("\nRegistry: values 1 changed\n{line}\n")), "{text}");
    assert!(!text.contains("Files:"), "{text}");
    // The build before, made again in memory, is what lay there.
    assert_eq!(
        diff(home, &["transom-demo/demo.toml~1", "kept.wim"], NO_DIFFERENCE).lines().last(),
        Some("no difference")
    );
    let text = diff(home, &["kept.wim", recipe], DIFFERENCES);
    assert!(text.ends_with("\nRegistry: values 1 changed; --registry lists them\n"), "{text}");
    for (way, expected) in [("base", "cannot be read"), ("changeset", "is no longer in the cache")]
    {
        let (from, to) = match way {
            "base" => ("transom-demo/media/install.wim", "elsewhere.wim"),
            _ => ("transom-cache/records/changeset", "elsewhere"),
        };
        fs::rename(home.join(from), home.join(to)).unwrap();
        let text = diff(home, &[recipe], BAD_INPUT);
        assert!(text.contains("diff::past-build") && text.contains(expected), "{text}");
        assert!(text.contains("transom diff COPY.wim"), "{text}");
        fs::rename(home.join(to), home.join(from)).unwrap();
    }
    // Another file in the base's place.
    fs::rename(home.join("transom-demo/media/install.wim"), home.join("elsewhere.wim")).unwrap();
    fs::copy(&kept, home.join("transom-demo/media/install.wim")).unwrap();
    let text = diff(home, &[recipe], BAD_INPUT);
    assert!(text.contains("is no longer the one it was built from"), "{text}");
    let text = diff(home, &["nowhere.wim:2", recipe], BAD_INPUT);
    assert!(text.contains("nowhere.wim") && !text.contains("wim:2"), "{text}");
    told(transom(home).args(["diff", "kept.wim"]), 2);
    told(transom(home).args(["diff", "kept.wim", "kept.wim", "--variant", "x"]), 2);
}

#[test]
fn a_hive_on_one_side_alone_is_a_difference_of_its_keys() {
    let folder = temporary_folder();
    let home = folder.path();
    expect_success(transom(home).arg("demo"));
    fs::copy(home.join("transom-demo/media/install.wim"), home.join("less.wim")).unwrap();
    let command = r"delete \Windows\System32\config\SOFTWARE";
    let arguments = ["wim", "update", "less.wim", "--index", "1", "--command", command];
    expect_success(transom(home).args(arguments));
    let sides = ["transom-demo/media/install.wim:1", "less.wim:1"];
    let arguments = [&["diff"], &sides[..], &["--path", r"HKLM\SOFTWARE\Microsoft"]].concat();
    let output = transom(home).args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(DIFFERENCES), "{said}");
    assert!(said.contains(r"only the first image has HKLM\SOFTWARE"), "{said}");
    diff(home, &[&sides[..], &["--path", r"HKLM\SYSTEM\Select"]].concat(), NO_DIFFERENCE);
}

#[test]
fn name_description_and_number_of_images_of_the_last_two_builds_are_compared() {
    let folder = temporary_folder();
    let home = folder.path();
    expect_success(transom(home).arg("demo"));
    let recipe = "transom-demo/demo.toml";
    let path = home.join(recipe);
    let mut text = fs::read_to_string(&path).unwrap();
    for (old, new, told) in [
        (
            "A client image with a few settings, a file and a first-boot script",
            "Another text",
            "WIM DESCRIPTION",
        ),
        ("name = \"demo-client\"", "name = \"other\"", "WIM NAME"),
        ("[output]", "[output]\nimages = \"all\"", "Transom Demo Server"),
        ("images = \"all\"", "images = \"selected\"", "Transom Demo Server"),
    ] {
        text = text.replace(old, new);
        fs::write(&path, &text).unwrap();
        expect_success(transom(home).args(["build", recipe]));
        let said = diff(home, &[recipe], DIFFERENCES);
        assert!(said.contains(told), "{new}: {said}");
    }
}

#[test]
fn several_images_are_paired_by_name_or_number() {
    let folder = temporary_folder();
    let home = folder.path();
    for (file, images) in [
        ("a.wim", &[("One", "1"), ("Two", "2"), ("Gone", "3")][..]),
        ("b.wim", &[("Two", "2x"), ("One", "1")][..]),
        ("c.wim", &[("Eins", "1"), ("Zwei", "2"), ("Drei", "y")][..]),
    ] {
        for (place, (name, content)) in images.iter().enumerate() {
            fs::create_dir_all(home.join("tree")).unwrap();
            fs::write(home.join("tree/file"), content).unwrap();
            let verb = if place == 0 { "capture" } else { "append" };
            expect_success(transom(home).args(["wim", verb, "tree", file, "--name", name]));
        }
    }
    let found = json(home, &["a.wim", "b.wim"], DIFFERENCES);
    let pairs = |found: &Json| -> Vec<(u64, u64, bool)> {
        let images = found["images"].as_array().unwrap().iter();
        let index = |image: &Json, side: &str| image[side]["index"].as_u64().unwrap();
        images
            .map(|image| (index(image, "first"), index(image, "second"), image["differ"] == true))
            .collect()
    };
    assert_eq!(pairs(&found), [(1, 2, false), (2, 1, true)]);
    assert_eq!(found["only-in-first"][0]["name"], "Gone");
    let found = json(home, &["a.wim", "c.wim"], DIFFERENCES);
    assert_eq!(pairs(&found), [(1, 1, true), (2, 2, true), (3, 3, true)]);
    // Their names differ alone; that is in none of the files and counts all the same.
    assert_eq!(found["images"][0]["files"], serde_json::json!([]));
    assert_eq!(found["images"][0]["areas"][0]["entries"][0]["name"], "WIM NAME");
    assert_eq!(pairs(&json(home, &["a.wim:Two", "b.wim"], DIFFERENCES)), [(2, 1, true)]);
    assert_eq!(pairs(&json(home, &["a.wim:1", "b.wim:One"], NO_DIFFERENCE)), [(1, 2, false)]);
    let text = told(transom(home).args(["diff", "a.wim:9", "b.wim"]), BAD_INPUT);
    assert!(text.contains("has no image 9"), "{text}");
    let output = transom(home).args(["diff", "a.wim:Gone", "b.wim"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn edits_of_a_real_hive_are_told_and_nothing_else() {
    for name in ["SYSTEM_win10_19041", "NTUSER.DAT", "UsrClass.dat", "BCD"] {
        let Some(bytes) = real_hive(name) else { return };
        let Ok(mut hive) = Hive::parse(bytes.clone(), &Limits::default()) else { continue };
        assert!(compare(&mut image_of(bytes.clone()), &mut image_of(bytes.clone())).is_empty());
        let expected = edit(&mut hive);
        let after = hive.into_bytes();
        let found = compare(&mut image_of(bytes.clone()), &mut image_of(after.clone()));
        let list = |found: &Difference| -> BTreeSet<(String, Option<String>, Kind)> {
            let changes = found.registry.iter();
            changes
                .map(|change| (change.key.to_string(), change.value.clone(), change.kind))
                .collect()
        };
        assert_eq!(list(&found), expected, "{name}");
        assert!(found.files.is_empty() && found.notes.is_empty(), "{name}: {found:?}");
        let back = compare(&mut image_of(after), &mut image_of(bytes));
        assert_eq!(back.registry.len(), found.registry.len(), "{name}");
    }
}

/// Sets, changes and deletes values of every fiftieth key, and tells what that was.
fn edit(hive: &mut Hive) -> BTreeSet<(String, Option<String>, Kind)> {
    let mut keys: Vec<(KeyId, String)> = Vec::new();
    let mut waiting = vec![(hive.root(), r"HKLM\SYSTEM".to_owned())];
    while let Some((key, path)) = waiting.pop() {
        for below in hive.subkeys(key).unwrap() {
            waiting.push((below, format!("{path}\\{}", hive.key_name(below).unwrap())));
        }
        keys.push((key, path));
    }
    let mut expected = BTreeSet::new();
    for (number, (key, path)) in keys.iter().enumerate().filter(|(number, _)| number % 50 == 7) {
        let values = hive.values(*key).unwrap();
        let (value, kind) = match (number / 50 % 3, values.first()) {
            (0, Some(first)) => {
                hive.delete_value(*key, &first.name, FileTime(9)).unwrap();
                (first.name.clone(), Kind::Removed)
            }
            (1, Some(first)) => {
                let mut changed = first.clone();
                changed.data.push(7);
                hive.set_value(*key, &changed, FileTime(9)).unwrap();
                (first.name.clone(), Kind::Changed)
            }
            _ => {
                hive.set_value(*key, &Value::dword("transom-new", 1), FileTime(9)).unwrap();
                (Name::from("transom-new"), Kind::Added)
            }
        };
        expected.insert((path.clone(), Some(value.to_string()), kind));
    }
    assert!(!expected.is_empty());
    expected
}

#[test]
fn two_real_hives_differ_as_their_exports_do() {
    let (Some(one), Some(other)) = (real_hive("SYSTEM_win10_19041"), real_hive("NTUSER.DAT"))
    else {
        return;
    };
    let Some(hivex) = oracle("hivexregedit") else { return };
    let folder = temporary_folder();
    let export = |bytes: &[u8]| {
        let file = folder.path().join("hive");
        fs::write(&file, bytes).unwrap();
        let prefix = ["--export", "--prefix", r"HKLM\SYSTEM", file.to_str().unwrap(), "\\"];
        // Names without case, as the registry has them.
        let content = content(&hivex.run(prefix)).into_iter();
        let lower = |((key, name), data): ((String, Option<String>), _)| {
            ((key.to_lowercase(), name.map(|name| name.to_lowercase())), data)
        };
        content.map(lower).collect::<Content>()
    };
    let expected = of_exports(&export(&one), &export(&other));
    let found = compare(&mut image_of(one), &mut image_of(other));
    let word = |kind: Kind| match kind {
        Kind::Added => "added",
        Kind::Removed => "removed",
        _ => "changed",
    };
    let list: BTreeSet<_> = found
        .registry
        .iter()
        .filter(|change| !(change.value.is_none() && change.kind == Kind::Changed))
        .map(|change| {
            let value = change.value.as_ref().map(|value| value.to_lowercase());
            (change.key.as_str().to_lowercase(), value, word(change.kind))
        })
        .collect();
    let (only_ours, only_theirs): (Vec<_>, Vec<_>) =
        (list.difference(&expected).collect(), expected.difference(&list).collect());
    assert!(list.len() > 10_000, "{}", list.len());
    assert!(
        only_ours.is_empty() && only_theirs.is_empty(),
        "{:?}\n{:?}",
        &only_ours[..only_ours.len().min(5)],
        &only_theirs[..only_theirs.len().min(5)]
    );
}

#[test]
fn real_images_differ_as_wimlib_says() {
    let Some(wimlib) = oracle("wimlib-imagex") else { return };
    let Some(folder) = support::shared_data("wim") else { return };
    let home = temporary_folder();
    let (boot, multi) = ("wimbuilder2-boot.wim", "managedwimlib/MultiImage.wim");
    for ((one, first), (other, second)) in [
        ((boot, 1), (boot, 2)),
        ((multi, 1), (multi, 2)),
        ((multi, 2), (multi, 3)),
        (("dissect/basic4k.wim", 1), ("managedwimlib/LZX.wim", 1)),
        (("managedwimlib/LZX.wim", 1), ("managedwimlib/XPRESS.wim", 1)),
    ] {
        let (one, other) = (folder.join(one), folder.join(other));
        let sides = [format!("{}:{first}", one.display()), format!("{}:{second}", other.display())];
        let mut command = transom(home.path());
        let output = command.arg("diff").args(&sides).arg("--json").output().unwrap();
        let found: Json = serde_json::from_slice(&output.stdout).unwrap();
        let image = &found["images"][0];
        let mut paths = BTreeSet::new();
        for change in image["files"].as_array().unwrap() {
            let path = unix(change["path"].as_str().unwrap());
            // wimlib's words of names and spelling are left out of the comparison.
            let details = change["details"].as_array().unwrap();
            let only_names =
                |detail: &Json| detail["aspect"] == "links" || detail["aspect"] == "spelling";
            match change["kind"].as_str().unwrap() {
                "added" => _ = paths.insert(format!("+ {path}")),
                "removed" => _ = paths.insert(format!("- {path}")),
                "changed" if details.iter().all(only_names) => {}
                "changed" => _ = paths.insert(format!("~ {path}")),
                _ => {
                    paths.insert(format!("- {}", unix(change["from"].as_str().unwrap())));
                    paths.insert(format!("+ {path}"));
                }
            }
        }
        for hive in image["hives"].as_array().unwrap() {
            paths.insert(format!("~ {}", unix(hive["path"].as_str().unwrap())));
        }
        let expected =
            of_dumps(dump_image(&wimlib, &one, first), dump_image(&wimlib, &other, second));
        let differing: Vec<_> = paths.symmetric_difference(&expected).collect();
        assert!(differing.is_empty(), "{sides:?}: {differing:#?}");
        assert_eq!(output.status.code() == Some(DIFFERENCES), found["differ"] == true);
    }
}

#[test]
fn the_value_of_a_secret_is_never_told() {
    let folder = temporary_folder();
    let home = folder.path();
    expect_success(transom(home).arg("demo"));
    let recipe = "transom-demo/demo.toml";
    let path = home.join(recipe);
    let text = fs::read_to_string(&path).unwrap();
    let text =
        format!("{text}\n[registry.'HKLM\\SOFTWARE\\Secrets']\nToken = {{ env = \"TOKEN\" }}\n");
    for (text, secret) in [
        (text.clone(), "first-hunter"),
        (text.replace("AllowTelemetry = 0", "AllowTelemetry = 1"), "second-hunter"),
    ] {
        fs::write(&path, text).unwrap();
        expect_success(transom(home).args(["build", recipe]).env("TOKEN", secret));
    }
    let text = diff(home, &[recipe, "--registry"], DIFFERENCES);
    assert!(text.contains("\nRegistry: values 1 changed\n"), "{text}");
    let base = "transom-demo/media/install.wim:1";
    for told in [text, diff(home, &[base, recipe, "--registry", "--json"], DIFFERENCES)] {
        assert!(!told.contains("hunter"), "{told}");
    }
}
