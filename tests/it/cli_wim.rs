//! The `wim` verbs: on WIMs of our own, and against wimlib in both directions.
#![cfg(unix)]

use std::{
    collections::BTreeMap,
    io::Read as _,
    os::unix::fs::symlink,
    path::Path,
    process::{Command, Stdio},
};

use fs_err as fs;

use crate::{
    cli_frame::{ends_with, run},
    support::{Tool, oracle, shared_data, temporary_folder, transom},
};

/// A folder with everything a Unix file system has that an image can hold.
fn make_tree(root: &Path) {
    fs::create_dir_all(root.join("Sub/Empty")).unwrap();
    let numbers: String = (0..60_000).map(|number| format!("{number}\n")).collect();
    fs::write(root.join("numbers.txt"), &numbers).unwrap();
    fs::hard_link(root.join("numbers.txt"), root.join("Sub/numbers again.txt")).unwrap();
    fs::write(root.join("empty"), "").unwrap();
    fs::write(root.join("Sub/été.bin"), [0, 1, 2, 255]).unwrap();
    fs::write(root.join("Sub/same as numbers"), &numbers).unwrap();
    fs::write(root.join("_b"), "b").unwrap();
    fs::write(root.join("A"), "a").unwrap();
    symlink("../numbers.txt", root.join("Sub/link")).unwrap();
    symlink("Sub", root.join("to folder")).unwrap();
    let old = std::time::UNIX_EPOCH + std::time::Duration::new(1_500_000_000, 123_456_700);
    let file = fs::OpenOptions::new().append(true).open(root.join("A")).unwrap();
    file.file().set_modified(old).unwrap();
}

/// Captures `tree` in `home` into `wim`.
#[track_caller]
fn capture(home: &Path, wim: &str, more: &[&str]) -> String {
    let arguments: Vec<&str> = ["wim", "capture", "tree", wim, "--name", "Tree"]
        .into_iter()
        .chain(more.iter().copied())
        .collect();
    ends_with(home, 0, &arguments).1
}

/// What a tree on the host holds: contents, targets of links, and the first name of each hard link.
fn contents(root: &Path) -> BTreeMap<String, String> {
    use std::os::unix::fs::MetadataExt as _;
    let mut first_names = BTreeMap::new();
    walkdir::WalkDir::new(root)
        .sort_by_file_name()
        .into_iter()
        .map(|entry| {
            let entry = entry.unwrap();
            let name = entry.path().strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            let kind = entry.file_type();
            let what = if kind.is_dir() {
                "folder".to_owned()
            } else if kind.is_symlink() {
                format!("-> {}", fs::read_link(entry.path()).unwrap().display())
            } else {
                let inode = entry.metadata().unwrap().ino();
                let first: &mut String = first_names.entry(inode).or_insert_with(|| name.clone());
                format!("{} {:x?}", first, blake(&fs::read(entry.path()).unwrap()))
            };
            (name, what)
        })
        .collect()
}

fn blake(data: &[u8]) -> String {
    transom::base::digest::Blake3::of(data).to_hex()
}

#[test]
fn a_capture_is_the_same_bytes_for_any_number_of_threads() {
    let home = temporary_folder();
    make_tree(&home.path().join("tree"));
    for compression in ["none", "xpress", "lzx"] {
        capture(
            home.path(),
            "1.wim",
            &["--overwrite", "--jobs", "1", "--compression", compression],
        );
        capture(
            home.path(),
            "2.wim",
            &["--overwrite", "--jobs", "2", "--compression", compression],
        );
        let (one, two) = (
            fs::read(home.path().join("1.wim")).unwrap(),
            fs::read(home.path().join("2.wim")).unwrap(),
        );
        assert!(one == two, "{compression}: the number of threads reaches the bytes");
    }
}

#[test]
fn an_epoch_makes_later_times_equal() {
    let home = temporary_folder();
    make_tree(&home.path().join("tree"));
    capture(home.path(), "a.wim", &["--epoch", "2020-01-01T00:00:00Z"]);
    let (list, _) = ends_with(home.path(), 0, &["wim", "list", "a.wim", "--json"]);
    let modified = |path: &str| {
        list.lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
            .find(|line| line["path"] == path)
            .unwrap()["modified"]
            .clone()
    };
    assert_eq!(modified(r"\numbers.txt"), "2020-01-01T00:00:00Z");
    assert_eq!(modified(r"\A"), "2017-07-14T02:40:00.1234567Z", "an older time stays");
}

#[test]
fn what_was_captured_comes_out_again() {
    let home = temporary_folder();
    make_tree(&home.path().join("tree"));
    capture(home.path(), "a.wim", &["--integrity"]);
    ends_with(home.path(), 0, &["wim", "extract", "a.wim", "--to", "out"]);
    assert_eq!(contents(&home.path().join("out")), contents(&home.path().join("tree")));
    let times = |path: &str| fs::metadata(home.path().join(path)).unwrap().modified().unwrap();
    assert_eq!(times("out/A"), times("tree/A"));
    ends_with(home.path(), 0, &["wim", "verify", "a.wim"]);
    ends_with(home.path(), 0, &["verify", "a.wim"]);
}

#[test]
fn existing_files_are_replaced_only_when_told() {
    let home = temporary_folder();
    make_tree(&home.path().join("tree"));
    capture(home.path(), "a.wim", &[]);
    ends_with(home.path(), 9, &["wim", "capture", "tree", "a.wim"]);
    ends_with(home.path(), 0, &["wim", "extract", "a.wim", "/A", "--to", "out"]);
    ends_with(home.path(), 9, &["wim", "extract", "a.wim", "/A", "--to", "out"]);
    fs::write(home.path().join("outside"), "untouched").unwrap();
    fs::remove_file(home.path().join("out/A")).unwrap();
    symlink(home.path().join("outside"), home.path().join("out/A")).unwrap();
    ends_with(home.path(), 0, &["wim", "extract", "a.wim", "/A", "--to", "out", "--overwrite"]);
    assert_eq!(fs::read_to_string(home.path().join("outside")).unwrap(), "untouched");
    assert_eq!(fs::read_to_string(home.path().join("out/A")).unwrap(), "a");
}

#[test]
fn nothing_is_written_through_a_link_that_stands_for_a_folder() {
    let home = temporary_folder();
    make_tree(&home.path().join("tree"));
    capture(home.path(), "a.wim", &[]);
    fs::create_dir_all(home.path().join("elsewhere")).unwrap();
    fs::create_dir_all(home.path().join("out")).unwrap();
    symlink(home.path().join("elsewhere"), home.path().join("out/Sub")).unwrap();
    ends_with(home.path(), 9, &["wim", "extract", "a.wim", "--to", "out", "--overwrite"]);
    assert_eq!(fs::read_dir(home.path().join("elsewhere")).unwrap().count(), 0);
}

#[test]
fn patterns_choose_what_is_listed_and_unpacked() {
    let home = temporary_folder();
    make_tree(&home.path().join("tree"));
    capture(home.path(), "a.wim", &["--exclude", "*.BIN", "--exclude", "/sub/empty"]);
    let list = |patterns: &[&str]| {
        let arguments: Vec<&str> =
            ["wim", "list", "a.wim"].iter().chain(patterns).copied().collect();
        ends_with(home.path(), 0, &arguments).0.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(
        list(&[]),
        [
            "\\",
            "\\A",
            "\\empty",
            "\\numbers.txt",
            "\\Sub",
            "\\Sub\\link",
            "\\Sub\\numbers again.txt",
            "\\Sub\\same as numbers",
            "\\to folder",
            "\\_b"
        ]
    );
    assert_eq!(list(&["*.TXT"]), ["\\numbers.txt", "\\Sub\\numbers again.txt"]);
    assert_eq!(list(&["/*.txt"]), ["\\numbers.txt"]);
    assert_eq!(list(&[r"\SUB\same*"]), ["\\Sub\\same as numbers"]);
    assert_eq!(list(&["sub"]).len(), 4, "a folder means what is below");
    let (_, stderr) = ends_with(home.path(), 5, &["wim", "list", "a.wim", "*.none"]);
    assert!(stderr.contains("*.none"), "{stderr}");
    ends_with(home.path(), 2, &["wim", "list", "a.wim", "a[b"]);
}

#[test]
fn one_file_goes_to_standard_output() {
    let home = temporary_folder();
    make_tree(&home.path().join("tree"));
    capture(home.path(), "a.wim", &[]);
    let output = run(home.path(), &["wim", "cat", "a.wim", r"C:\SUB\ÉTÉ.BIN"]);
    assert_eq!(output.stdout, [0, 1, 2, 255]);
    assert!(output.stderr.is_empty());
    let numbers = run(home.path(), &["wim", "cat", "a.wim", "numbers.txt"]).stdout;
    assert!(numbers == fs::read(home.path().join("tree/numbers.txt")).unwrap());
    let (_, stderr) = ends_with(home.path(), 5, &["wim", "cat", "a.wim", "number.txt"]);
    assert!(stderr.contains("numbers.txt"), "a near name is told: {stderr}");
    for no_file in ["Sub", "Sub/link", "A:stream", "/"] {
        ends_with(home.path(), 5, &["wim", "cat", "a.wim", no_file]);
    }
}

#[test]
fn damage_is_named_by_path_and_fails_verification() {
    let home = temporary_folder();
    make_tree(&home.path().join("tree"));
    capture(home.path(), "a.wim", &["--compression", "none"]);
    let mut bytes = fs::read(home.path().join("a.wim")).unwrap();
    let at = bytes.windows(16).position(|window| window == b"41999\n42000\n4200").unwrap();
    bytes[at] = b'X';
    fs::write(home.path().join("a.wim"), bytes).unwrap();
    let (stdout, _) = ends_with(home.path(), 8, &["wim", "verify", "a.wim"]);
    for file in [r"1:\numbers.txt", r"1:\Sub\numbers again.txt", r"1:\Sub\same as numbers"] {
        assert!(stdout.contains(file), "{file} has the damaged content: {stdout}");
    }
    let (json, _) = ends_with(home.path(), 8, &["verify", "a.wim", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["good"], json["problems"].as_array().unwrap().len()), (&false.into(), 1));
    ends_with(home.path(), 5, &["wim", "cat", "a.wim", "numbers.txt"]);
    ends_with(home.path(), 5, &["wim", "extract", "a.wim", "--to", "out"]);
    assert!(!home.path().join("out/numbers.txt").exists(), "a damaged file does not appear");
}

#[test]
fn ctrl_c_ends_it_with_130() {
    let home = temporary_folder();
    make_tree(&home.path().join("tree"));
    capture(home.path(), "a.wim", &[]);
    // Nobody reads the pipe, and the file is larger than a pipe holds: the program waits in a write until it is interrupted.
    let mut child = transom(home.path())
        .args(["wim", "cat", "a.wim", "numbers.txt"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = [0; 1];
    child.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
    let kill = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(kill.success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

#[test]
fn special_files_and_bad_names_are_told() {
    let home = temporary_folder();
    let tree = home.path().join("tree");
    fs::create_dir(&tree).unwrap();
    fs::write(tree.join("con"), "").unwrap();
    let (_, stderr) = ends_with(home.path(), 5, &["wim", "capture", "tree", "a.wim"]);
    assert!(stderr.contains("con"), "{stderr}");
    assert!(!home.path().join("a.wim").exists());
    assert!(capture(home.path(), "a.wim", &["--skip-bad-names"]).contains("warning:"));
}

#[test]
fn an_image_is_chosen_by_number_or_name() {
    let Some(wim) = shared_data("wim/wimbuilder2-boot.wim") else { return };
    let home = temporary_folder();
    let wim = wim.to_str().unwrap();
    let (_, stderr) = ends_with(home.path(), 2, &["wim", "list", wim]);
    assert!(
        stderr.contains("Microsoft Windows Recovery Environment (x64)"),
        "images are listed: {stderr}"
    );
    ends_with(home.path(), 5, &["wim", "list", wim, "--index", "3"]);
    let name = "microsoft windows recovery environment (X64)";
    let (by_name, _) = ends_with(home.path(), 0, &["wim", "list", wim, "--image", name]);
    let (by_index, _) = ends_with(home.path(), 0, &["wim", "list", wim, "--index", "1"]);
    assert_eq!(by_name, by_index);
    let (xml, _) = ends_with(home.path(), 0, &["wim", "info", wim, "--xml"]);
    assert!(xml.starts_with("<WIM>"), "{xml}");
    let (info, _) = ends_with(home.path(), 0, &["wim", "info", wim, "--json"]);
    let info: serde_json::Value = serde_json::from_str(&info).unwrap();
    assert_eq!(
        (&info["file"]["boot-index"], &info["images"][1]["bootable"]),
        (&2.into(), &true.into())
    );
}

#[test]
fn named_streams_come_out_and_losses_are_named() {
    let Some(wim) = shared_data("wim/dissect/basic32k.wim") else { return };
    let home = temporary_folder();
    let wim = wim.to_str().unwrap();
    let (list, _) = ends_with(home.path(), 0, &["wim", "list", wim, "--long"]);
    let stream = list.lines().find(|line| line.contains("ads.txt:")).unwrap();
    let path = stream.rsplit_once(' ').unwrap().1;
    assert!(!run(home.path(), &["wim", "cat", wim, path]).stdout.is_empty());
    let (_, stderr) = ends_with(home.path(), 0, &["wim", "extract", wim, "--to", "out"]);
    assert!(stderr.contains("named stream") && stderr.contains("security descriptor"), "{stderr}");
}

#[test]
fn wimlib_takes_what_we_capture() {
    let Some(wimlib) = oracle("wimlib-imagex") else { return };
    let home = temporary_folder();
    let tree = home.path().join("tree");
    make_tree(&tree);
    for (compression, chunk) in [
        ("none", None),
        ("xpress", Some("4")),
        ("xpress", None),
        ("lzx", None),
        ("lzx", Some("128")),
    ] {
        let mut more = vec![
            "--overwrite",
            "--integrity",
            "--boot",
            "--unix-data",
            "--compression",
            compression,
        ];
        if let Some(chunk) = chunk {
            more.extend(["--chunk-kib", chunk]);
        }
        capture(home.path(), "a.wim", &more);
        let wim = home.path().join("a.wim");
        wimlib.run(["verify".as_ref(), wim.as_os_str()]);
        let applied = home.path().join("applied");
        wimlib.run(["apply".as_ref(), wim.as_os_str(), applied.as_os_str()]);
        assert_eq!(contents(&applied), contents(&tree), "{compression} {chunk:?}");
        fs::remove_dir_all(&applied).unwrap();
    }
    assert_eq!(wimlib_paths(&wimlib, &home.path().join("a.wim")), our_paths(home.path(), "a.wim"));
}

#[test]
fn we_take_what_wimlib_captures() {
    let Some(wimlib) = oracle("wimlib-imagex") else { return };
    let home = temporary_folder();
    let tree = home.path().join("tree");
    make_tree(&tree);
    let wim = home.path().join("w.wim");
    for compression in ["none", "XPRESS", "LZX"] {
        let option = format!("--compress={compression}");
        fs::remove_file(&wim).ok();
        wimlib.run([
            "capture".as_ref(),
            tree.as_os_str(),
            wim.as_os_str(),
            option.as_ref(),
            "--check".as_ref(),
        ]);
        ends_with(home.path(), 0, &["wim", "verify", "w.wim"]);
        ends_with(home.path(), 0, &["wim", "extract", "w.wim", "--to", "out"]);
        assert_eq!(contents(&home.path().join("out")), contents(&tree), "{compression}");
        fs::remove_dir_all(home.path().join("out")).unwrap();
        let cat = run(home.path(), &["wim", "cat", "w.wim", "Sub/été.bin"]);
        assert_eq!(cat.stdout, [0, 1, 2, 255]);
        assert_eq!(wimlib_paths(&wimlib, &wim), our_paths(home.path(), "w.wim"));
    }
}

/// The paths of image 1 as wimlib lists them.
fn wimlib_paths(wimlib: &Tool, wim: &Path) -> Vec<String> {
    let listed =
        String::from_utf8(wimlib.run(["dir".as_ref(), wim.as_os_str(), "1".as_ref()])).unwrap();
    let mut paths: Vec<String> = listed.lines().map(|path| path.replace('/', "\\")).collect();
    paths.sort();
    paths
}

/// The paths of image 1 as we list them.
fn our_paths(home: &Path, wim: &str) -> Vec<String> {
    let (listed, _) = ends_with(home, 0, &["wim", "list", wim]);
    let mut paths: Vec<String> = listed.lines().map(str::to_owned).collect();
    paths.sort();
    paths
}
