//! Captured directories and extracted images: between us, and between us and wimlib.

#![cfg(unix)]

use std::{
    os::unix::fs::{MetadataExt as _, symlink},
    path::Path,
};

use fs_err as fs;
use transom::{
    base::limits::Limits,
    format::wim::{StreamKind, Wim},
    image::{
        Image, ImageError,
        export::{extract, read_target},
        import::{CaptureOptions, capture},
        patterns::Patterns,
    },
};

use crate::{
    image_fixture::{entry, open, path, save, windows},
    support,
};

fn options(exclude: &[&str]) -> CaptureOptions {
    CaptureOptions {
        exclude: Patterns::new(exclude).unwrap(),
        unix_data: false,
        skip_bad_names: false,
        depth: 100,
    }
}

fn everything() -> Patterns {
    Patterns::new::<&str>(&[]).unwrap()
}

/// A directory with what a Unix file system has.
fn make_tree(root: &Path) {
    fs::create_dir_all(root.join("b/Deep/er")).unwrap();
    fs::create_dir(root.join("empty")).unwrap();
    fs::write(root.join("b/Big.bin"), vec![7; 200_000]).unwrap();
    fs::write(root.join("b/a.txt"), "text").unwrap();
    fs::write(root.join("zero"), "").unwrap();
    fs::write(root.join("b/skip.log"), "log").unwrap();
    fs::hard_link(root.join("b/a.txt"), root.join("b/Deep/same.txt")).unwrap();
    symlink("../../a.txt", root.join("b/Deep/er/relative")).unwrap();
    symlink("b/Deep", root.join("to-folder")).unwrap();
    symlink(root.join("b/a.txt"), root.join("absolute")).unwrap();
}

#[test]
fn a_captured_directory_holds_what_was_there() {
    let folder = support::temporary_folder();
    let root = folder.path().join("src");
    make_tree(&root);
    let (image, report) = capture(&root, &options(&["*.LOG", "/b/deep/er"])).unwrap();
    assert_eq!((report.excluded, report.warnings.len()), (2, 0));
    let finished = image.finish().unwrap();
    let counts = finished.counts;
    assert_eq!((counts.directories, counts.files), (3, 6), "a link to a folder counts as a file");
    assert_eq!(counts.hard_link_bytes, 4);
    let names: Vec<String> =
        finished.metadata.dentries.iter().map(|dentry| dentry.name.to_string()).collect();
    assert_eq!(
        names,
        ["", "absolute", "b", "a.txt", "Big.bin", "Deep", "same.txt", "empty", "to-folder", "zero"]
    );
    let link = entry(&finished.metadata, "to-folder");
    assert_eq!((link.attributes, link.reparse.unwrap().tag), (0x410, 0xa000_000c));
    let absolute = entry(&finished.metadata, "absolute").reparse.unwrap();
    assert_eq!((absolute.flags, link.reparse.unwrap().flags), (0, 1));
    let groups = ["a.txt", "same.txt"].map(|name| entry(&finished.metadata, name).hard_link_group);
    assert!(groups[0] == groups[1] && groups[0] != 0);
    let again = capture(&root, &options(&["*.LOG", "/b/deep/er"])).unwrap().0.finish().unwrap();
    assert_eq!(again.metadata.encode(), finished.metadata.encode(), "the same bytes each time");
}

#[test]
fn names_that_windows_cannot_hold_are_refused_together_or_skipped() {
    let folder = support::temporary_folder();
    let root = folder.path().join("src");
    fs::create_dir(&root).unwrap();
    for name in ["a:b", "con", "good", "tail."] {
        fs::write(root.join(name), name).unwrap();
    }
    let Err(ImageError::HostNames { names }) = capture(&root, &options(&[])) else {
        panic!("bad names were taken")
    };
    assert_eq!(names.len(), 3, "{names:?}");
    let skipping = CaptureOptions { skip_bad_names: true, ..options(&[]) };
    let (image, report) = capture(&root, &skipping).unwrap();
    assert_eq!((image.tree().children(image.tree().root()).len(), report.warnings.len()), (1, 3));
}

#[test]
fn extraction_gives_the_directory_back() {
    let folder = support::temporary_folder();
    let (root, out) = (folder.path().join("src"), folder.path().join("out"));
    make_tree(&root);
    let (image, _) = capture(&root, &CaptureOptions { unix_data: true, ..options(&[]) }).unwrap();
    let wim = save(image.finish().unwrap(), None, &folder.path().join("a.wim"));
    let image = open(&wim);
    let report = extract(&image, &out, &everything()).unwrap();
    assert_eq!((report.files, report.links, report.warnings.len()), (5, 3, 0), "{report:?}");
    assert_eq!(fs::read(out.join("b/Big.bin")).unwrap(), vec![7; 200_000]);
    assert_eq!(fs::read_link(out.join("b/Deep/er/relative")).unwrap(), Path::new("../../a.txt"));
    assert_eq!(fs::read_link(out.join("absolute")).unwrap(), Path::new("b/a.txt"), "stays inside");
    for name in ["b/a.txt", "b", "zero", ""] {
        let (old, new) =
            (fs::metadata(root.join(name)).unwrap(), fs::metadata(out.join(name)).unwrap());
        let ticks = |nanoseconds: i64| nanoseconds / 100;
        assert_eq!(
            (old.mtime(), ticks(old.mtime_nsec())),
            (new.mtime(), ticks(new.mtime_nsec())),
            "{name}"
        );
        assert_eq!(old.mode() & 0o666, new.mode() & 0o666, "{name}");
    }
    let inode = |name: &str| fs::metadata(out.join(name)).unwrap().ino();
    assert_eq!(inode("b/a.txt"), inode("b/Deep/same.txt"));
    // Over what is there: files are made anew, not written through.
    let outside = folder.path().join("outside");
    fs::write(&outside, "untouched").unwrap();
    fs::remove_file(out.join("zero")).unwrap();
    symlink(&outside, out.join("zero")).unwrap();
    extract(&image, &out, &everything()).unwrap();
    assert_eq!(fs::read_to_string(&outside).unwrap(), "untouched");
    // A folder that is a link is not entered.
    fs::remove_dir_all(out.join("b")).unwrap();
    symlink(folder.path(), out.join("b")).unwrap();
    assert!(extract(&image, &out, &everything()).unwrap_err().to_string().contains("in the way"));
    let some = folder.path().join("some");
    let report = extract(&image, &some, &Patterns::new(&["same.txt", r"\empty"]).unwrap()).unwrap();
    assert_eq!((report.files, report.directories), (1, 1));
    assert!(some.join("b/Deep/same.txt").exists() && !some.join("b/a.txt").exists());
}

#[test]
fn links_of_windows_lead_where_they_should_and_streams_are_counted() {
    let folder = support::temporary_folder();
    let wim = windows(&folder.path().join("base.wim"));
    let image = open(&wim);
    let out = folder.path().join("out");
    let report = extract(&image, &out, &everything()).unwrap();
    assert_eq!((report.named_streams, report.links), (1, 1));
    assert_eq!(fs::read_link(out.join("Documents and Settings")).unwrap(), Path::new("Users"));
    let node = image.tree().lookup(&path("Documents and Settings")).unwrap();
    let stream = &image.tree().inode(node).streams[0];
    assert_eq!(stream.kind, StreamKind::Reparse);
    let data = image.read_blob(&stream.content).unwrap();
    assert_eq!(read_target(&data, false).unwrap().0, r"\??\C:\Users");
    assert!(read_target(&data[..9], false).is_err());
}

#[test]
fn wimlib_and_we_see_the_same_directory() {
    let Some(wimlib) = support::oracle("wimlib-imagex") else { return };
    let folder = support::temporary_folder();
    let (root, theirs, ours) = (
        folder.path().join("src"),
        folder.path().join("theirs.wim"),
        folder.path().join("ours.wim"),
    );
    make_tree(&root);
    let arguments = ["capture", "--unix-data", "--no-acls", "--rpfix", "--compress=none"];
    let places = [root.to_str().unwrap(), theirs.to_str().unwrap()];
    wimlib.run([&arguments[..1], &places[..], &arguments[1..]].concat());
    let (image, _) = capture(&root, &CaptureOptions { unix_data: true, ..options(&[]) }).unwrap();
    let mine = image.finish().unwrap();
    let metadata = mine.metadata.clone();
    save(mine, None, &ours);
    wimlib.run(["verify".as_ref(), ours.as_os_str()]);
    let wim = Wim::open_path(&theirs, &Limits::default()).unwrap();
    let peer = wim.metadata(1).unwrap();
    let lines = |metadata: &transom::format::wim::ImageMetadata| -> Vec<String> {
        let mut lines: Vec<String> = metadata
            .dentries
            .iter()
            .map(|dentry| {
                format!(
                    "{} {:#x} {} {:?} {:?} {:?}",
                    dentry.name,
                    // wimlib marks files with holes.
                    dentry.attributes & !0x200,
                    dentry.last_write_time,
                    dentry
                        .streams
                        .iter()
                        .filter(|stream| !stream.sha1.is_zero())
                        .collect::<Vec<_>>(),
                    dentry.reparse,
                    dentry.tagged_items,
                )
            })
            .collect();
        lines.sort();
        lines
    };
    assert_eq!(lines(&metadata), lines(&peer));
    let mut image = Image::open(std::sync::Arc::new(wim), 1, &Limits::default()).unwrap();
    let before = image.tree().walk().count();
    assert!(image.facts().architecture.is_none());
    let finished = image.finish().unwrap();
    assert!(!finished.changed && finished.metadata.dentries.len() == before);
    assert_eq!(finished.metadata.encode(), peer.encode());
    let out = folder.path().join("out");
    wimlib.run(["apply".as_ref(), ours.as_os_str(), "1".as_ref(), out.as_os_str()]);
    assert_eq!(fs::read(out.join("b/Deep/er/relative")).unwrap(), b"text");
}
