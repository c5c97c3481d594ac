//! Captured directories and extracted images: between us, and between us and wimlib.

#![cfg(unix)]

use std::{
    os::unix::fs::{MetadataExt as _, symlink},
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
};

use fs_err as fs;
use transom::{
    base::limits::Limits,
    format::wim::{ImageMetadata, StreamKind, Wim},
    image::{
        BlobLocation, Image, ImageError, Watch,
        export::{ExtractError, ExtractOptions, ExtractReport, Loss, extract},
        import::{self, CaptureOptions, CaptureReport, HostFileError},
        patterns::Patterns,
        reparse,
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

/// Extracts what `include` chooses, over what is there, with Unix data.
fn unpack(image: &Image, target: &Path, include: &[&str]) -> Result<ExtractReport, ExtractError> {
    let include = Patterns::new(include).unwrap();
    let options = ExtractOptions { include, overwrite: true, unix_data: true };
    extract(image, target, &options, Watch::default())
}

fn capture(root: &Path, options: &CaptureOptions) -> Result<(Image, CaptureReport), ImageError> {
    import::capture(root, options, Watch::default())
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
    assert_eq!((counts.total_bytes, counts.hard_link_bytes), (200_008, 4), "every name counts");
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
fn hashing_tells_how_far_it_is_and_can_be_ended() {
    let folder = support::temporary_folder();
    let root = folder.path().join("src");
    make_tree(&root);
    let most = AtomicU64::new(0);
    let progress = |done: u64, total: u64| {
        assert!(done <= total && total == 200_007, "{done} of {total}");
        most.fetch_max(done, Ordering::Relaxed);
    };
    let watch = Watch { progress: &progress, ..Watch::default() };
    import::capture(&root, &options(&[]), watch).unwrap();
    assert_eq!(most.load(Ordering::Relaxed), 200_007);
    // Ended in the middle of a file that is longer than one read.
    fs::write(root.join("long"), vec![1; 1 << 20]).unwrap();
    let begun = AtomicU64::new(0);
    let watch = Watch {
        progress: &|done, _| begun.store(done, Ordering::Relaxed),
        cancelled: &|| begun.load(Ordering::Relaxed) > 0,
    };
    let result = import::capture(&root, &options(&[]), watch);
    assert!(matches!(result, Err(ImageError::Cancelled)));
    assert!(begun.load(Ordering::Relaxed) < 1 << 20, "the rest was not read");
}

#[test]
fn a_captured_file_that_went_away_says_that_it_was_an_input() {
    let folder = support::temporary_folder();
    let root = folder.path().join("src");
    make_tree(&root);
    let blobs = capture(&root, &options(&[])).unwrap().0.finish().unwrap().blobs;
    let host = blobs.iter().find_map(|blob| match &blob.location {
        BlobLocation::Host(source) => Some(source),
        _ => None,
    });
    fs::remove_dir_all(&root).unwrap();
    let error = host.unwrap().read_exact_at(0, &mut [0; 1]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
    assert!(error.get_ref().unwrap().is::<HostFileError>(), "{error:?}");
}

#[test]
fn extraction_gives_the_directory_back() {
    let folder = support::temporary_folder();
    let (root, out) = (folder.path().join("src"), folder.path().join("out"));
    make_tree(&root);
    let (image, _) = capture(&root, &CaptureOptions { unix_data: true, ..options(&[]) }).unwrap();
    let wim = save(image.finish().unwrap(), None, &folder.path().join("a.wim"));
    let image = open(&wim);
    let report = unpack(&image, &out, &[]).unwrap();
    assert_eq!((report.folders, report.files, report.links), (4, 5, 3), "{report:?}");
    assert_eq!((report.bytes, report.losses.is_empty()), (200_007, true), "{report:?}");
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
    unpack(&image, &out, &[]).unwrap();
    assert_eq!(fs::read_to_string(&outside).unwrap(), "untouched");
    // A folder that is a link is not entered.
    fs::remove_dir_all(out.join("b")).unwrap();
    symlink(folder.path(), out.join("b")).unwrap();
    assert!(unpack(&image, &out, &[]).unwrap_err().to_string().contains("in the way"));
    let some = folder.path().join("some");
    let report = unpack(&image, &some, &["same.txt", r"\empty"]).unwrap();
    assert_eq!((report.files, report.folders), (1, 3), "with the folders above");
    assert!(some.join("b/Deep/same.txt").exists() && !some.join("b/a.txt").exists());
}

#[test]
fn links_of_windows_lead_where_they_should_and_streams_are_counted() {
    let folder = support::temporary_folder();
    let wim = windows(&folder.path().join("base.wim"));
    let image = open(&wim);
    let out = folder.path().join("out");
    let report = unpack(&image, &out, &[]).unwrap();
    assert_eq!((report.losses.of(Loss::Stream).len(), report.links), (1, 1));
    assert_eq!(fs::read_link(out.join("Documents and Settings")).unwrap(), Path::new("Users"));
    let node = image.tree().lookup(&path("Documents and Settings")).unwrap();
    let stream = &image.tree().inode(node).streams[0];
    assert_eq!(stream.kind, StreamKind::Reparse);
    let data = image.read_blob(&stream.content).unwrap();
    let target = reparse::target(reparse::TAG_JUNCTION, &data).unwrap().unwrap();
    assert_eq!((target.text.as_str(), target.relative), (r"C:\Users", false));
    assert!(reparse::target(reparse::TAG_JUNCTION, &data[..9]).is_err());
}

/// An image whose metadata says what no Windows would write.
fn forged(folder: &Path, edit: impl FnOnce(&mut ImageMetadata)) -> Image {
    let root = folder.join("src");
    make_tree(&root);
    let mut finished = capture(&root, &options(&[])).unwrap().0.finish().unwrap();
    edit(&mut finished.metadata);
    open(&save(finished, None, &folder.join("forged.wim")))
}

#[test]
fn what_lies_below_a_link_is_left_out() {
    let folder = support::temporary_folder();
    let image = forged(folder.path(), |metadata| {
        let place =
            |name: &str| metadata.dentries.iter().position(|dentry| dentry.name.is(name)).unwrap();
        let (root_file, link) = (place("zero"), place("to-folder"));
        let moved = u32::try_from(root_file).unwrap();
        metadata.dentries[0].children.retain(|child| *child != moved);
        metadata.dentries[link].children.push(moved);
    });
    // The link's place leads out of the target already.
    let (out, outside) = (folder.path().join("out"), folder.path().join("outside"));
    fs::create_dir(&out).unwrap();
    fs::create_dir(&outside).unwrap();
    symlink(&outside, out.join("to-folder")).unwrap();
    let report = unpack(&image, &out, &[]).unwrap();
    assert_eq!(report.losses.of(Loss::Link), [r"\to-folder\zero"]);
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    assert_eq!(fs::read_link(out.join("to-folder")).unwrap(), Path::new("b/Deep"));
}

#[test]
fn a_name_that_is_there_twice_comes_out_once() {
    let folder = support::temporary_folder();
    let image = forged(folder.path(), |metadata| {
        for dentry in &mut metadata.dentries {
            if dentry.name.is("to-folder") || dentry.name.is("zero") {
                dentry.name = "b".into();
            }
        }
    });
    assert_eq!(image.warnings().len(), 2, "{:?}", image.warnings());
    let out = folder.path().join("out");
    unpack(&image, &out, &[]).unwrap();
    assert!(out.join("b/a.txt").exists(), "the first is kept");
}

#[test]
fn what_is_there_already_is_replaced_only_when_told() {
    let folder = support::temporary_folder();
    let root = folder.path().join("src");
    make_tree(&root);
    let (image, _) = capture(&root, &options(&[])).unwrap();
    let out = folder.path().join("out");
    let include = Patterns::new(&["a.txt", "relative"]).unwrap();
    let options = ExtractOptions { include, overwrite: false, unix_data: false };
    let again = || extract(&image, &out, &options, Watch::default());
    again().unwrap();
    assert!(matches!(again(), Err(ExtractError::Exists(path)) if path.ends_with("b/a.txt")));
    fs::remove_file(out.join("b/a.txt")).unwrap();
    assert!(matches!(again(), Err(ExtractError::Exists(path)) if path.ends_with("relative")));
    fs::remove_file(out.join("b/a.txt")).unwrap();
    fs::create_dir(out.join("b/a.txt")).unwrap();
    assert!(matches!(again(), Err(ExtractError::InTheWay { .. })), "no folder is replaced");
}

#[test]
fn an_extraction_tells_how_far_it_is_and_can_be_ended() {
    let folder = support::temporary_folder();
    let root = folder.path().join("src");
    make_tree(&root);
    let (image, _) = capture(&root, &options(&[])).unwrap();
    let include = Patterns::new::<&str>(&[]).unwrap();
    let options = ExtractOptions { include, overwrite: false, unix_data: false };
    let most = AtomicU64::new(0);
    let progress = |done: u64, total: u64| {
        assert!(done <= total && total == 200_007, "{done} of {total}");
        most.fetch_max(done, Ordering::Relaxed);
    };
    let watch = Watch { progress: &progress, ..Watch::default() };
    extract(&image, &folder.path().join("out"), &options, watch).unwrap();
    assert_eq!(most.load(Ordering::Relaxed), 200_007);
    // Ended when the first bytes have come: no file is there half, and nothing temporary stays.
    let begun = AtomicU64::new(0);
    let watch = Watch {
        progress: &|done, _| begun.store(done, Ordering::Relaxed),
        cancelled: &|| begun.load(Ordering::Relaxed) > 0,
    };
    let out = folder.path().join("ended");
    let result = extract(&image, &out, &options, watch);
    assert!(matches!(result, Err(ExtractError::Cancelled)), "{result:?}");
    for entry in walkdir::WalkDir::new(&out) {
        let entry = entry.unwrap();
        assert!(!entry.file_name().to_string_lossy().starts_with(".transom"), "{entry:?}");
        if entry.file_type().is_file() {
            let place = root.join(entry.path().strip_prefix(&out).unwrap());
            assert_eq!(fs::read(entry.path()).unwrap(), fs::read(place).unwrap());
        }
    }
}

#[test]
fn missing_content_is_noticed_before_anything_is_written() {
    let folder = support::temporary_folder();
    let image = forged(folder.path(), |metadata| {
        let file = metadata.dentries.iter_mut().find(|dentry| dentry.name.is("Big.bin")).unwrap();
        file.streams[0].sha1.0[0] ^= 1;
    });
    let out = folder.path().join("out");
    let error = unpack(&image, &out, &[]).unwrap_err();
    assert!(error.to_string().contains(r"\b\Big.bin"), "{error}");
    assert!(!out.exists());
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
    let (metadata, counts) = (mine.metadata.clone(), mine.counts);
    save(mine, None, &ours);
    wimlib.run(["verify".as_ref(), ours.as_os_str()]);
    let wim = Wim::open_path(&theirs, &Limits::default()).unwrap();
    let peer = wim.metadata(1).unwrap();
    let lines = |metadata: &ImageMetadata| -> Vec<String> {
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
    // We count as DISM does: without the root, and without the bytes of reparse data.
    let number =
        |name: &str| -> u64 { wim.xml().image(1).unwrap().text(&[name]).unwrap().parse().unwrap() };
    let links = peer.dentries.iter().flat_map(|dentry| &dentry.streams);
    let link_bytes: u64 = links
        .filter(|stream| stream.kind == StreamKind::Reparse)
        .map(|stream| wim.blob(&stream.sha1).unwrap().size)
        .sum();
    assert_eq!(number("DIRCOUNT"), counts.directories + 1);
    assert_eq!(number("FILECOUNT"), counts.files);
    assert_eq!(number("TOTALBYTES"), counts.total_bytes + link_bytes);
    assert_eq!(number("HARDLINKBYTES"), counts.hard_link_bytes);
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
