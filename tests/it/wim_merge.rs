//! What becomes of a directory with a sidecar: edits that apply and capture must not mistake, and an apply over an earlier image.

#![cfg(unix)]

use std::{
    os::unix::{ffi::OsStrExt as _, fs::symlink},
    path::Path,
    sync::Arc,
};

use fs_err as fs;
use transom::{
    base::{digest::Sha1, limits::Limits},
    format::wim::{Dentry, ImageMetadata, Wim},
    image::{
        Image, Watch,
        export::{ApplyOptions, ExtractError, ExtractReport, apply},
        host::SIDECAR_NAME,
        import::{self, CaptureOptions},
        patterns::Patterns,
    },
};

use crate::{
    image_fixture::{entry, save},
    support,
    wim_fidelity::{assert_equal, capture, everything, unpack},
};

/// A WIM of a directory with these files.
fn packed(home: &Path, name: &str, files: &[(&str, &str)]) -> Arc<Wim> {
    let root = home.join(name);
    fs::create_dir(&root).unwrap();
    for (path, text) in files {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    save(capture(&root).unwrap().0, None, &home.join(format!("{name}.wim")))
}

fn over(wim: &Arc<Wim>, target: &Path, sidecar: bool) -> Result<ExtractReport, ExtractError> {
    let image = Image::open(Arc::clone(wim), 1, &Limits::default()).unwrap();
    let options = ApplyOptions { overwrite: true, unix_data: false, sidecar, rp_fix: true };
    apply(&image, wim.xml().image(1).unwrap(), target, options, Watch::default())
}

fn names(metadata: &ImageMetadata) -> Vec<String> {
    metadata.dentries.iter().map(|dentry| dentry.name.to_string()).collect()
}

fn content(dentry: &Dentry) -> Option<Sha1> {
    dentry.streams.first().map(|stream| stream.sha1)
}

/// Nothing but what these paths say is in the folder.
fn assert_listed(folder: &Path, expected: &[&str]) {
    let mut found: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    found.sort();
    assert_eq!(found, expected);
}

#[test]
fn an_apply_that_fails_leaves_the_sidecar_of_the_earlier_image() {
    let folder = support::temporary_folder();
    let home = folder.path();
    let tree = home.join("tree");
    let first = packed(home, "first", &[("x", "first")]);
    unpack(&first, 1, &tree).unwrap();
    let before = fs::read(tree.join(SIDECAR_NAME)).unwrap();
    let whole = || {
        assert_listed(&tree, &[SIDECAR_NAME, "x"]);
        assert!(fs::read(tree.join(SIDECAR_NAME)).unwrap() == before);
        let (finished, report) = capture(&tree).unwrap();
        assert!(report.restored.is_some());
        let [old, new] = [&first.metadata(1).unwrap(), &finished.metadata];
        assert_eq!(entry(old, "x"), entry(new, "x"));
        assert_eq!(old.dentries.len(), new.dentries.len());
    };
    // Content that is nowhere, as in a delta WIM without the other one.
    let (mut finished, _) = capture(&home.join("first")).unwrap();
    finished.blobs.clear();
    let delta = save(finished, None, &home.join("delta.wim"));
    for sidecar in [true, false] {
        let error = over(&delta, &tree, sidecar).unwrap_err();
        assert!(matches!(error, ExtractError::Image(_)), "{error}");
        whole();
    }
    // Something in the way of a folder.
    let second = packed(home, "second", &[("x/below", "second")]);
    for sidecar in [true, false] {
        let error = over(&second, &tree, sidecar).unwrap_err();
        assert!(matches!(error, ExtractError::InTheWay { .. }), "{error}");
        whole();
    }
    let third = packed(home, "third", &[("x", "third")]);
    over(&third, &tree, true).unwrap();
    assert_listed(&tree, &[SIDECAR_NAME, "x"]);
    assert_equal(&third.metadata(1).unwrap(), &capture(&tree).unwrap().0.metadata);
}

#[test]
fn an_apply_without_sidecar_puts_the_earlier_one_out_of_force() {
    let folder = support::temporary_folder();
    let home = folder.path();
    let tree = home.join("tree");
    unpack(&packed(home, "first", &[("x", "first")]), 1, &tree).unwrap();
    let second = packed(home, "second", &[("y", "second")]);
    let image = Image::open(Arc::clone(&second), 1, &Limits::default()).unwrap();
    let options = ApplyOptions { overwrite: false, unix_data: false, sidecar: false, rp_fix: true };
    let element = second.xml().image(1).unwrap();
    let refused = apply(&image, element, &tree, options, Watch::default()).unwrap_err();
    assert!(matches!(refused, ExtractError::Exists(_)), "{refused}");
    assert_listed(&tree, &[SIDECAR_NAME, "x"]);
    over(&second, &tree, false).unwrap();
    assert_listed(&tree, &["x", "y"]);
    assert_eq!(capture(&tree).unwrap().1.restored, None);
}

#[test]
fn a_file_with_the_name_of_one_that_was_never_there_takes_its_place() {
    let folder = support::temporary_folder();
    let tree = folder.path().join("tree");
    let wim = everything(&folder.path().join("everything.wim"));
    unpack(&wim, 1, &tree).unwrap();
    fs::write(tree.join("secret"), "of the host").unwrap();
    let metadata = capture(&tree).unwrap().0.metadata;
    let count = |name: &str| names(&metadata).iter().filter(|found| *found == name).count();
    assert_eq!(count("secret"), 1);
    assert_eq!(content(entry(&metadata, "secret")), Some(Sha1::of(b"of the host")));
    // What nothing came in the place of stays.
    assert_eq!([count("volume"), count("share"), count("a"), count("A")], [1; 4]);
}

#[test]
fn names_of_one_file_that_were_edited_together_stay_one_file() {
    let folder = support::temporary_folder();
    let home = folder.path();
    let source = home.join("source");
    fs::create_dir(&source).unwrap();
    fs::write(source.join("a"), "old").unwrap();
    for name in ["b", "c"] {
        fs::hard_link(source.join("a"), source.join(name)).unwrap();
    }
    let wim = save(capture(&source).unwrap().0, None, &home.join("base.wim"));
    let tree = home.join("tree");
    unpack(&wim, 1, &tree).unwrap();
    for name in ["a", "b"] {
        fs::remove_file(tree.join(name)).unwrap();
    }
    fs::write(tree.join("a"), "new").unwrap();
    fs::hard_link(tree.join("a"), tree.join("b")).unwrap();
    let metadata = capture(&tree).unwrap().0.metadata;
    let [a, b, c] = ["a", "b", "c"].map(|name| entry(&metadata, name));
    assert_eq!([a, b, c].map(content), [b"new", b"new", b"old"].map(|text| Some(Sha1::of(text))));
    assert_ne!(a.hard_link_group, 0);
    assert_eq!(a.hard_link_group, b.hard_link_group);
    assert_ne!(a.hard_link_group, c.hard_link_group);
}

#[test]
fn a_link_whose_target_cannot_go_in_is_left_out() {
    let folder = support::temporary_folder();
    let home = folder.path();
    let source = home.join("source");
    fs::create_dir(&source).unwrap();
    symlink("target", source.join("link")).unwrap();
    let tree = home.join("tree");
    let wim = save(capture(&source).unwrap().0, None, &home.join("base.wim"));
    unpack(&wim, 1, &tree).unwrap();
    for root in [&source, &tree] {
        fs::remove_file(root.join("link")).unwrap();
        for name in ["link", "new"] {
            symlink(std::ffi::OsStr::from_bytes(b"not \xff"), root.join(name)).unwrap();
        }
        assert!(capture(root).is_err());
        let options = CaptureOptions {
            exclude: Patterns::new::<&str>(&[]).unwrap(),
            unix_data: false,
            skip_bad_names: true,
            depth: 100,
        };
        let (image, report) = import::capture(root, &options, Watch::default()).unwrap();
        assert_eq!(report.warnings.len(), 2, "{:?}", report.warnings);
        assert_eq!(names(&image.finish().unwrap().metadata), [""]);
    }
}

#[test]
fn a_name_whose_case_alone_changed_keeps_what_the_sidecar_knows() {
    let folder = support::temporary_folder();
    let tree = folder.path().join("tree");
    let wim = everything(&folder.path().join("everything.wim"));
    unpack(&wim, 1, &tree).unwrap();
    // The last takes the place of another, whose name it has now.
    for (old, new) in [("zulu", "Zulu"), ("alpha.text", "ALPHA.text"), ("a", "A")] {
        fs::rename(tree.join(old), tree.join(new)).unwrap();
    }
    let before = wim.metadata(1).unwrap();
    let after = capture(&tree).unwrap().0.metadata;
    for (old, new) in [("zulu", "Zulu"), ("alpha.text", "ALPHA.text")] {
        let (old, new) = (entry(&before, old), entry(&after, new));
        let expected = Dentry { name: new.name.clone(), children: vec![], ..old.clone() };
        assert_eq!(Dentry { children: vec![], ..new.clone() }, expected);
    }
    assert_eq!(before.dentries.len(), after.dentries.len() + 1);
    assert_eq!(content(entry(&after, "A")), Some(Sha1::of(b"a")));
}
