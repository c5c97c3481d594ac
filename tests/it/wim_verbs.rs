//! The verbs that write WIMs (append, export, delete, optimize, set, capture of several sources), judged by wimlib and 7-Zip.
#![cfg(unix)]

use std::{fmt::Write as _, os::unix::fs::symlink, path::Path};

use fs_err as fs;
use serde_json::Value;

use crate::{
    cli_frame::ends_with,
    support::{
        Tool,
        dump::{Dump, difference, dump_image},
        oracle, shared_data, temporary_folder,
    },
};

/// Two trees that have much in common.
pub(crate) fn make_trees(home: &Path) {
    for (tree, own) in [("one", "only in one"), ("two", "only in two")] {
        let root = home.join(tree);
        fs::create_dir_all(root.join("Sub/Empty")).unwrap();
        let mut numbers = String::new();
        for number in 0..30_000 {
            writeln!(numbers, "{number} of all").unwrap();
        }
        fs::write(root.join("numbers.txt"), &numbers).unwrap();
        fs::hard_link(root.join("numbers.txt"), root.join("Sub/numbers again.txt")).unwrap();
        fs::write(root.join("Sub/own.bin"), own.repeat(5000)).unwrap();
        fs::write(root.join("small"), own).unwrap();
        fs::write(root.join("empty"), "").unwrap();
        symlink("../small", root.join("Sub/link")).unwrap();
    }
}

/// Runs a verb that is to succeed; returns what it printed and told.
#[track_caller]
pub(crate) fn wim(home: &Path, arguments: &[&str]) -> (String, String) {
    let arguments: Vec<&str> = ["wim"].iter().chain(arguments).copied().collect();
    ends_with(home, 0, &arguments)
}

/// Runs a verb that is to fail with `code`; returns what it told.
#[track_caller]
pub(crate) fn fails(home: &Path, code: i32, arguments: &[&str]) -> String {
    let arguments: Vec<&str> = ["wim"].iter().chain(arguments).copied().collect();
    ends_with(home, code, &arguments).1
}

/// A file with image `one` and image `two`, of which the second is booted.
pub(crate) fn make_two(home: &Path, more: &[&str]) {
    make_trees(home);
    let arguments = ["capture", "one", "a.wim", "--name", "one"];
    wim(home, &arguments.iter().chain(more).copied().collect::<Vec<_>>());
    wim(home, &["append", "two", "a.wim", "--name", "two", "--boot"]);
}

/// The program's own description of a file.
fn info(home: &Path, name: &str) -> Value {
    serde_json::from_str(&wim(home, &["info", name, "--json", "--blobs"]).0).unwrap()
}

/// What wimlib, 7-Zip and we ourselves say of a file: all of it can be read, every number is right.
#[track_caller]
pub(crate) fn judge(home: &Path, name: &str) {
    let path = home.join(name);
    wim(home, &["verify", name]);
    if let Some(wimlib) = oracle("wimlib-imagex") {
        wimlib.run(["verify".as_ref(), path.as_os_str()]);
    }
    // Format 14 (solid, LZMS) of 7-Zip needs a newer one than some systems have; it tells by name.
    if let Some(seven) = oracle("7z") {
        let told = seven.run(["t".as_ref(), path.as_os_str()]);
        let told = String::from_utf8_lossy(&told);
        assert!(told.contains("Everything is Ok"), "{told}");
        assert!(!told.to_lowercase().contains("warning"), "{told}");
    }
    // Counted here over the lists of all images.
    let info = info(home, name);
    let images = info["images"].as_array().unwrap().len();
    let mut counted = std::collections::BTreeMap::new();
    for index in 1..=images {
        let list = wim(home, &["list", name, "--index", &index.to_string(), "--json"]).0;
        for line in list.lines() {
            let line: Value = serde_json::from_str(line).unwrap();
            let streams = line["streams"].as_array().unwrap().iter();
            let all =
                streams.map(|stream| &stream["sha1"]).chain([&line["sha1"], &line["reparse-sha1"]]);
            for sha1 in all.filter_map(Value::as_str) {
                *counted.entry(sha1.to_owned()).or_insert(0) += 1;
            }
        }
    }
    let told: std::collections::BTreeMap<String, u64> = info["blobs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|blob| {
            (blob["sha1"].as_str().unwrap().to_owned(), blob["references"].as_u64().unwrap())
        })
        .collect();
    assert_eq!(told, counted, "reference counts of {name}");
}

/// An image as wimlib tells it.
pub(crate) fn dump(wimlib: &Tool, home: &Path, name: &str, index: u32) -> Dump {
    dump_image(wimlib, &home.join(name), index)
}

#[test]
fn appended_images_share_content_and_boot() {
    let home = temporary_folder();
    let home = home.path();
    make_two(home, &[]);
    judge(home, "a.wim");
    let told = info(home, "a.wim");
    assert_eq!(told["file"]["boot-index"], 2);
    assert_eq!(told["images"][1]["name"], "two");
    let said = fails(home, 5, &["append", "two", "a.wim", "--name", "two"]);
    assert!(said.contains("image 2 is named `two` already") && said.contains("--name"), "{said}");
    let before = fs::read(home.join("a.wim")).unwrap();
    fails(home, 5, &["append", "nowhere", "a.wim", "--name", "three"]);
    assert!(before == fs::read(home.join("a.wim")).unwrap(), "a failure changes nothing");
    wim(home, &["append", "one", "a.wim", "--name", "", "--integrity", "--rebuild"]);
    wim(home, &["append", "one", "a.wim", "--name", "", "--flags", "Core"]);
    judge(home, "a.wim");
    let Some(wimlib) = oracle("wimlib-imagex") else { return };
    wim(home, &["capture", "two", "two.wim", "--name", "two"]);
    let lines = difference(&dump(&wimlib, home, "two.wim", 1), &dump(&wimlib, home, "a.wim", 2));
    assert_eq!(lines, [""; 0]);
}

#[test]
fn exported_images_are_the_same_in_every_form() {
    let home = temporary_folder();
    let home = home.path();
    make_two(home, &[]);
    for (name, form) in [
        ("none.wim", &["--compression", "none"][..]),
        ("xpress.wim", &["--compression", "xpress", "--chunk-kib", "4"]),
        ("lzx.wim", &["--compression", "lzx", "--level", "fast"]),
        ("same.wim", &[]),
        ("again.wim", &["--recompress"]),
    ] {
        let arguments = ["export", "a.wim", name, "--all", "--boot"];
        wim(home, &arguments.iter().chain(form).copied().collect::<Vec<_>>());
        judge(home, name);
        assert_eq!(info(home, name)["file"]["boot-index"], 2, "{name}");
        let Some(wimlib) = oracle("wimlib-imagex") else { continue };
        for index in [1, 2] {
            let (from, to) =
                (dump(&wimlib, home, "a.wim", index), dump(&wimlib, home, name, index));
            assert_eq!(difference(&from, &to), [""; 0], "{name} {index}");
        }
    }
    let same = |name: &str| fs::read(home.join(name)).unwrap();
    assert!(same("same.wim") == same("again.wim"), "what is compressed anew comes out the same");
}

#[test]
fn exports_into_a_file_that_is_there() {
    let home = temporary_folder();
    let home = home.path();
    make_two(home, &[]);
    wim(home, &["export", "a.wim", "b.wim", "--index", "2", "--boot"]);
    assert_eq!(info(home, "b.wim")["file"]["boot-index"], 1);
    wim(home, &["export", "a.wim", "b.wim", "--image", "one", "--description", "the first"]);
    judge(home, "b.wim");
    let told = info(home, "b.wim");
    assert_eq!(told["images"][1]["description"], "the first");
    assert_eq!(told["file"]["boot-index"], 1);
    let said = fails(home, 5, &["export", "a.wim", "b.wim", "--image", "one"]);
    assert!(said.contains("`one` already, number 2") && said.contains("OTHER NAME"), "{said}");
    wim(home, &["export", "a.wim", "b.wim", "--index", "1", "--name", "third"]);
    judge(home, "b.wim");
    let said =
        fails(home, 2, &["export", "a.wim", "b.wim", "--index", "1", "--compression", "none"]);
    assert!(said.contains("keeps its compression"), "{said}");
    fails(home, 2, &["export", "a.wim", "b.wim"]);
    fails(home, 2, &["export", "a.wim", "c.wim", "--all", "--name", "x"]);
    wim(home, &["export", "a.wim", "b.wim", "--index", "1", "--overwrite"]);
    assert_eq!(info(home, "b.wim")["images"].as_array().unwrap().len(), 1);
}

#[test]
fn deleted_images_take_along_what_only_they_had() {
    let home = temporary_folder();
    let home = home.path();
    make_two(home, &[]);
    wim(home, &["append", "one", "a.wim", "--name", "third"]);
    wim(home, &["delete", "a.wim", "--image", "one"]);
    judge(home, "a.wim");
    let told = info(home, "a.wim");
    assert_eq!(
        (&told["file"]["boot-index"], &told["images"][0]["name"]),
        (&1.into(), &"two".into())
    );
    let size = fs::metadata(home.join("a.wim")).unwrap().len();
    wim(home, &["delete", "a.wim", "--index", "1", "--in-place"]);
    judge(home, "a.wim");
    assert_eq!(info(home, "a.wim")["file"]["boot-index"], 0);
    wim(home, &["optimize", "a.wim"]);
    judge(home, "a.wim");
    assert!(fs::metadata(home.join("a.wim")).unwrap().len() < size);
    let said = fails(home, 5, &["delete", "a.wim", "--index", "1"]);
    assert!(said.contains("without images"), "{said}");
    fails(home, 2, &["delete", "a.wim"]);
    fails(home, 5, &["delete", "a.wim", "--index", "7"]);
}

#[test]
fn a_rebuilt_file_takes_the_form_that_was_asked_for() {
    let home = temporary_folder();
    let home = home.path();
    make_two(home, &["--integrity"]);
    wim(home, &["optimize", "a.wim", "--compression", "xpress"]);
    judge(home, "a.wim");
    let told = info(home, "a.wim");
    assert_eq!(
        (&told["file"]["compression"], &told["file"]["integrity-table"]),
        (&"xpress".into(), &true.into())
    );
    wim(home, &["optimize", "a.wim", "--no-integrity"]);
    assert_eq!(info(home, "a.wim")["file"]["integrity-table"], false);
    let said = wim(home, &["optimize", "a.wim", "--compression", "lzx", "--chunk-kib", "64"]).1;
    assert!(said.contains("Windows"), "{said}");
    judge(home, "a.wim");
    fails(home, 2, &["optimize", "a.wim", "--compression", "lzx", "--chunk-kib", "33"]);
    fails(home, 2, &["optimize", "a.wim", "--solid-chunk-mib", "4"]);
}

#[test]
fn properties_are_what_wimlib_sets() {
    let Some(wimlib) = oracle("wimlib-imagex") else { return };
    let home = temporary_folder();
    let home = home.path();
    make_two(home, &[]);
    fs::copy(home.join("a.wim"), home.join("theirs.wim")).unwrap();
    let theirs = home.join("theirs.wim");
    let set = [
        "WINDOWS/VERSION/BUILD=7601",
        "WINDOWS/LANGUAGES/LANGUAGE=en-US",
        "WINDOWS/LANGUAGES/LANGUAGE[2]=de-DE",
        "WINDOWS/LANGUAGES/LANGUAGE[3]=fr-FR",
        "DISPLAYNAME=Ein Name <&>",
        "WINDOWS/LANGUAGES/LANGUAGE[2]=",
    ];
    let mut arguments = vec![
        "set",
        "a.wim",
        "--index",
        "1",
        "--name",
        "new",
        "--description",
        "text",
        "--boot",
        "1",
    ];
    for property in &set {
        arguments.extend(["--property", property]);
    }
    wim(home, &arguments);
    let properties: Vec<String> =
        set.iter().map(|property| format!("--image-property={property}")).collect();
    // In two steps: in one, wimlib puts a new description behind the properties.
    let named = ["1", "new", "text", "--boot"].map(AsRef::<std::ffi::OsStr>::as_ref);
    wimlib.run(["info".as_ref(), theirs.as_os_str()].into_iter().chain(named));
    let mut command = vec!["info".as_ref(), theirs.as_os_str(), "1".as_ref()];
    command.extend(properties.iter().map(AsRef::<std::ffi::OsStr>::as_ref));
    wimlib.run(command);
    judge(home, "a.wim");
    let xml = |name: &str| {
        let text = wim(home, &["info", name, "--xml"]).0;
        let start = text.find("<IMAGE INDEX=\"1\">").unwrap();
        let end = text.find("</IMAGE>").unwrap();
        text[start..end].to_owned()
    };
    assert_eq!(xml("a.wim"), xml("theirs.wim"));
    assert_eq!(info(home, "a.wim")["file"]["boot-index"], 1);
    wim(home, &["set", "a.wim", "--boot", "none"]);
    assert_eq!(info(home, "a.wim")["file"]["boot-index"], 0);
    fails(home, 2, &["set", "a.wim"]);
    fails(home, 2, &["set", "a.wim", "--name", "which image?"]);
    fails(home, 2, &["set", "a.wim", "--index", "1", "--property", "A[9]=x"]);
    let said = fails(home, 5, &["set", "a.wim", "--index", "2", "--name", "new"]);
    assert!(said.contains("named `new` already"), "{said}");
    fails(home, 5, &["set", "a.wim", "--boot", "3"]);
}

#[test]
fn several_sources_become_one_image() {
    let home = temporary_folder();
    let home = home.path();
    make_trees(home);
    fs::write(
        home.join("list.txt"),
        "# a list\n\none\t/\n'two/Sub' \"/over there/two\"\r\none/small /over/small.txt\n",
    )
    .unwrap();
    wim(home, &["capture", "list.txt", "list.wim", "--source-list", "--name", "x"]);
    judge(home, "list.wim");
    wim(
        home,
        &[
            "capture",
            "one",
            "two/Sub=/over there/two",
            "one/small=/over/small.txt",
            "same.wim",
            "--name",
            "x",
        ],
    );
    let same = fs::read(home.join("list.wim")).unwrap() == fs::read(home.join("same.wim")).unwrap();
    assert!(same, "a list and arguments say the same");
    let said = fails(home, 5, &["capture", "one", "two=/small", "x.wim"]);
    assert!(said.contains("is not a folder"), "{said}");
    assert!(!home.join("x.wim").exists());
    fs::write(home.join("bad.txt"), "one /\none / /x\n").unwrap();
    let said = fails(home, 2, &["capture", "bad.txt", "x.wim", "--source-list"]);
    assert!(said.contains("line 2"), "{said}");
    let Some(wimlib) = oracle("wimlib-imagex") else { return };
    let mut command = wimlib.command();
    command.current_dir(home).args(["capture", "list.txt", "theirs.wim", "x", "--source-list"]);
    crate::support::expect_success(&mut command);
    let paths = |name: &str| dump(&wimlib, home, name, 1).into_keys().collect::<Vec<_>>();
    assert_eq!(paths("list.wim"), paths("theirs.wim"));
}

#[test]
fn levels_and_forms_of_a_capture_are_read_by_all() {
    let home = temporary_folder();
    let home = home.path();
    make_trees(home);
    for (name, form) in [
        ("fast.wim", ["--compression", "lzx", "--level", "fast"]),
        ("high.wim", ["--compression", "lzx", "--level", "high"]),
        ("x.wim", ["--compression", "xpress", "--level", "max"]),
    ] {
        let arguments = ["capture", "one", name, "--name", "x"];
        wim(home, &arguments.iter().chain(&form).copied().collect::<Vec<_>>());
        judge(home, name);
    }
    fails(home, 9, &["capture", "one", "x.wim"]);
    fails(home, 2, &["capture", "one", "y.wim", "--chunk-kib", "3"]);
    fails(home, 2, &["capture", "one", "y.wim", "--solid-chunk-mib", "4"]);
}

#[test]
fn what_dism_wrote_goes_through_every_verb() {
    let Some(boot) = shared_data("wim/wimbuilder2-boot.wim") else { return };
    let Some(wimlib) = oracle("wimlib-imagex") else { return };
    let home = temporary_folder();
    let home = home.path();
    let source = boot.to_str().unwrap();
    wim(home, &["export", source, "pe.wim", "--index", "2", "--boot"]);
    wim(home, &["export", source, "pe.wim", "--index", "1"]);
    judge(home, "pe.wim");
    for (theirs, ours) in [(2, 1), (1, 2)] {
        let from = dump_image(&wimlib, &boot, theirs);
        assert_eq!(difference(&from, &dump(&wimlib, home, "pe.wim", ours)), [""; 0]);
    }
    wim(home, &["delete", "pe.wim", "--index", "2"]);
    judge(home, "pe.wim");
    let told = info(home, "pe.wim");
    assert_eq!((&told["file"]["boot-index"], &told["file"]["images"]), (&1.into(), &1.into()));
    let from = dump_image(&wimlib, &boot, 2);
    assert_eq!(difference(&from, &dump(&wimlib, home, "pe.wim", 1)), [""; 0]);
}

#[test]
fn split_sets_are_wimlibs_and_join_again() {
    let home = temporary_folder();
    let home = home.path();
    make_two(home, &["--compression", "none", "--integrity"]);
    wim(home, &["split", "a.wim", "s.swm", "--size-mib", "0.3"]);
    assert!(home.join("s2.swm").exists());
    let said = fails(home, 9, &["split", "a.wim", "s.swm", "--size-mib", "1"]);
    assert!(said.contains("--overwrite"), "{said}");
    wim(home, &["join", "s.swm", "joined.wim"]);
    judge(home, "joined.wim");
    let number = info(home, "s.swm")["file"]["files"].as_array().unwrap().len();
    assert!(number >= 2);
    // Parts under other names, in any order.
    fs::create_dir(home.join("elsewhere")).unwrap();
    let mut arguments = vec!["join".to_owned()];
    for part in (2..=number).rev() {
        let moved = format!("elsewhere/part {part}");
        fs::rename(home.join(format!("s{part}.swm")), home.join(&moved)).unwrap();
        arguments.push(moved);
    }
    fs::rename(home.join("s.swm"), home.join("elsewhere/first")).unwrap();
    arguments.extend(["elsewhere/first".to_owned(), "again.wim".to_owned()]);
    wim(home, &arguments.iter().map(String::as_str).collect::<Vec<_>>());
    let same = |name: &str| fs::read(home.join(name)).unwrap();
    assert!(same("again.wim") == same("joined.wim"));
    fails(home, 5, &["join", "elsewhere/part 2", "x.wim"]);
    fails(home, 2, &["split", "a.wim", "t.swm", "--size-mib", "-1"]);
    for change in ["delete", "append"] {
        wim(home, &["split", "a.wim", "s.swm", "--size-mib", "0.3", "--overwrite"]);
        let arguments = match change {
            "delete" => vec!["delete", "s.swm", "--index", "1"],
            _ => vec!["append", "one", "s.swm", "--name", "x"],
        };
        let said = fails(home, 5, &arguments);
        assert!(said.contains("transom wim join"), "{said}");
    }
    let Some(wimlib) = oracle("wimlib-imagex") else { return };
    for index in [1, 2] {
        let from = dump(&wimlib, home, "a.wim", index);
        assert_eq!(difference(&from, &dump(&wimlib, home, "joined.wim", index)), [""; 0]);
    }
    let path = |name: &str| home.join(name).into_os_string();
    wimlib.run(
        ["join".into(), path("theirs.wim"), path("s.swm"), path("s2.swm")]
            .into_iter()
            .chain((3..=number).map(|part| path(&format!("s{part}.swm")))),
    );
    wimlib.run(["verify".into(), path("theirs.wim")]);
    wimlib.run(["split".into(), path("a.wim"), path("w.swm"), "0.3".into()]);
    wim(home, &["join", "w.swm", "ours.wim"]);
    judge(home, "ours.wim");
}

#[test]
fn a_delta_takes_its_content_from_the_file_that_is_named() {
    let Some(wimlib) = oracle("wimlib-imagex") else { return };
    let home = temporary_folder();
    let home = home.path();
    make_trees(home);
    wim(home, &["capture", "one", "base.wim", "--name", "one"]);
    let mut command = wimlib.command();
    command.current_dir(home).args(["capture", "two", "delta.wim", "two", "--delta-from=base.wim"]);
    crate::support::expect_success(&mut command);
    let said = fails(home, 5, &["export", "delta.wim", "x.wim", "--all"]);
    assert!(said.contains("--ref") && said.contains("\"two\""), "{said}");
    assert!(!home.join("x.wim").exists());
    wim(home, &["export", "delta.wim", "x.wim", "--all", "--ref", "bas*.wim"]);
    judge(home, "x.wim");
    fails(home, 2, &["export", "delta.wim", "y.wim", "--all", "--ref", "none*.wim"]);
}

#[test]
fn solid_files_are_made_changed_and_left() {
    let home = temporary_folder();
    let home = home.path();
    make_two(home, &[]);
    wim(
        home,
        &["export", "a.wim", "s.esd", "--all", "--compression", "solid", "--solid-chunk-mib", "1"],
    );
    judge_solid(home, "s.esd");
    let solid = &info(home, "s.esd")["file"]["solid-resources"];
    assert_eq!(
        (&solid[0]["chunk-size"], &solid[0]["compression"]),
        (&(1 << 20).into(), &"lzms".into())
    );
    wim(home, &["export", "s.esd", "back.wim", "--all", "--compression", "lzx"]);
    judge(home, "back.wim");
    wim(home, &["export", "s.esd", "half.esd", "--index", "2"]);
    judge_solid(home, "half.esd");
    wim(home, &["append", "one", "half.esd", "--name", "third"]);
    judge_solid(home, "half.esd");
    wim(home, &["update", "half.esd", "--index", "1", "--command", "add one/numbers.txt /new.txt"]);
    wim(home, &["update", "half.esd", "--index", "1", "--command", "add a.wim /new.wim"]);
    wim(home, &["delete", "half.esd", "--index", "2"]);
    judge_solid(home, "half.esd");
    wim(home, &["optimize", "half.esd", "--recompress", "--level", "fast"]);
    judge_solid(home, "half.esd");
    let said = fails(home, 5, &["split", "s.esd", "x.swm", "--size-mib", "1"]);
    assert!(said.contains("--compression lzx"), "{said}");
    wim(home, &["optimize", "half.esd", "--compression", "xpress"]);
    judge(home, "half.esd");
    let Some(wimlib) = oracle("wimlib-imagex") else { return };
    for index in [1, 2] {
        let from = dump(&wimlib, home, "a.wim", index);
        assert_eq!(difference(&from, &dump(&wimlib, home, "back.wim", index)), [""; 0]);
        assert_eq!(difference(&from, &dump(&wimlib, home, "s.esd", index)), [""; 0]);
    }
}

/// [`judge`] for a file that Debian's 7-Zip may not know.
#[track_caller]
fn judge_solid(home: &Path, name: &str) {
    wim(home, &["verify", name]);
    if let Some(wimlib) = oracle("wimlib-imagex") {
        wimlib.run(["verify".as_ref(), home.join(name).as_os_str()]);
    }
}

/// What is in the table's entry of each blob as the uncompressed size becomes so large that two of them overflow.
fn make_sizes_untrue(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let number = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
    let (size, start) = (number(0x30) & 0xff_ffff_ffff_ffff, number(0x38));
    let (start, end) = (usize::try_from(start).unwrap(), usize::try_from(start + size).unwrap());
    for entry in bytes[start..end].chunks_exact_mut(50) {
        // Not metadata.
        if entry[7] & 2 == 0 {
            entry[7] |= 4;
            entry[16..24].copy_from_slice(&0xffff_ffff_ffff_fff0_u64.to_le_bytes());
        }
    }
    fs::write(path, bytes).unwrap();
}

#[test]
fn sizes_that_overflow_are_a_bad_input_and_no_panic() {
    let home = temporary_folder();
    let home = home.path();
    make_two(home, &[]);
    make_sizes_untrue(&home.join("a.wim"));
    for arguments in [
        &["info", "a.wim"][..],
        &["list", "a.wim", "--index", "1"],
        &["verify", "a.wim"],
        &["optimize", "a.wim"],
        &["split", "a.wim", "x.swm", "--size-mib", "1"],
        &["export", "a.wim", "b.wim", "--all"],
        &["extract", "a.wim", "--index", "1", "--to", "out"],
    ] {
        let said = fails(home, 5, arguments);
        assert!(said.contains("cannot be true"), "{arguments:?}: {said}");
    }
}

#[test]
fn a_file_that_another_process_changes_is_not_rebuilt_over_it() {
    let home = temporary_folder();
    let home = home.path();
    make_two(home, &[]);
    let path = home.join("a.wim");
    let before = fs::read(&path).unwrap();
    let other = fs::File::open(&path).unwrap();
    other.file().lock().unwrap();
    for arguments in [
        &["optimize", "a.wim"][..],
        &["delete", "a.wim", "--index", "1"],
        &["set", "a.wim", "--index", "1", "--name", "x", "--rebuild"],
        &["append", "one", "a.wim", "--name", "x", "--rebuild"],
    ] {
        let said = fails(home, 9, arguments);
        assert!(said.contains("another process is changing this file"), "{said}");
    }
    drop(other);
    assert!(before == fs::read(&path).unwrap());
    wim(home, &["delete", "a.wim", "--index", "1"]);
    judge(home, "a.wim");
}

#[test]
fn a_file_that_may_only_be_read_can_be_rebuilt() {
    use std::os::unix::fs::PermissionsExt as _;
    let home = temporary_folder();
    let home = home.path();
    make_two(home, &[]);
    let path = home.join("a.wim");
    fs::set_permissions(&path, std::fs::Permissions::from_mode(0o440)).unwrap();
    wim(home, &["optimize", "a.wim"]);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o440);
}

#[test]
fn a_new_file_obeys_the_umask() {
    use std::os::unix::fs::PermissionsExt as _;
    let home = temporary_folder();
    let home = home.path();
    make_trees(home);
    for (umask, mode) in [("077", 0o600), ("002", 0o664)] {
        let program = crate::support::transom(home).get_program().to_owned();
        let script = format!("umask {umask} && exec \"$0\" wim capture one {umask}.wim");
        let mut command = std::process::Command::new("sh");
        command.current_dir(home).arg("-c").arg(script).arg(program);
        crate::support::expect_success(&mut command);
        let made = fs::metadata(home.join(format!("{umask}.wim"))).unwrap();
        assert_eq!(made.permissions().mode() & 0o777, mode, "umask {umask}");
    }
}

#[test]
fn chunks_that_transom_could_not_read_again_are_refused() {
    let home = temporary_folder();
    let home = home.path();
    make_trees(home);
    for (arguments, word) in [
        (["lzms", "--chunk-kib", "131072"], "32 to 65536"),
        (["lzms", "--chunk-kib", "524288"], "32 to 65536"),
        (["solid", "--solid-chunk-mib", "1024"], "1 to 64"),
        (["solid", "--solid-chunk-mib", "128"], "1 to 64"),
    ] {
        let all = ["capture", "one", "x.wim", "--compression"];
        let said = fails(home, 2, &all.iter().chain(&arguments).copied().collect::<Vec<_>>());
        assert!(said.contains(word), "{said}");
    }
    wim(home, &["capture", "one", "x.wim", "--compression", "lzms", "--chunk-kib", "65536"]);
    wim(home, &["verify", "x.wim"]);
}

#[test]
fn recompress_into_a_file_that_is_there_is_refused() {
    let home = temporary_folder();
    let home = home.path();
    make_two(home, &[]);
    wim(home, &["export", "a.wim", "b.wim", "--index", "1"]);
    let said = fails(home, 2, &["export", "a.wim", "b.wim", "--index", "2", "--recompress"]);
    assert!(said.contains("wim optimize b.wim --recompress"), "{said}");
    let over = ["export", "a.wim", "b.wim", "--index", "2", "--recompress", "--overwrite"];
    wim(home, &over);
}

#[test]
fn join_does_not_overwrite_a_part_that_it_found_itself() {
    let home = temporary_folder();
    let home = home.path();
    make_two(home, &["--compression", "none"]);
    wim(home, &["split", "a.wim", "w.swm", "--size-mib", "0.1"]);
    let second = fs::read(home.join("w2.swm")).unwrap();
    for part in ["w.swm", "w2.swm"] {
        let said = fails(home, 2, &["join", "w.swm", part, "--overwrite"]);
        assert!(said.contains("a part cannot be the file"), "{said}");
    }
    assert!(second == fs::read(home.join("w2.swm")).unwrap());
}

#[test]
fn a_delta_that_cannot_be_changed_is_told_how_to_become_whole() {
    let Some(wimlib) = oracle("wimlib-imagex") else { return };
    let home = temporary_folder();
    let home = home.path();
    make_trees(home);
    wim(home, &["capture", "one", "base.wim", "--name", "one"]);
    let delta = "--delta-from=base.wim";
    let mut command = wimlib.command();
    command.current_dir(home).args(["capture", "two", "delta.wim", delta, "--no-acls"]);
    crate::support::expect_success(&mut command);
    wim(home, &["capture", "two", "more.wim", "--name", "more"]);
    for arguments in [
        &["set", "delta.wim", "--index", "1", "--name", "x"][..],
        &["optimize", "delta.wim"],
        &["append", "one", "delta.wim", "--name", "x", "--rebuild"],
    ] {
        let said = fails(home, 5, arguments);
        assert!(said.contains("wim export") && said.contains("WHOLE.wim --all --ref"), "{said}");
    }
    let said = fails(home, 5, &["export", "delta.wim", "x.wim", "--index", "1"]);
    assert!(said.contains("name the file that has it with --ref"), "{said}");
    wim(home, &["export", "delta.wim", "whole.wim", "--all", "--ref", "base.wim"]);
    judge(home, "whole.wim");
}
