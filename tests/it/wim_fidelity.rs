//! Apply then capture is the identity: on images of others, on one with everything NTFS has, and on random ones; and what becomes of edits on the host.

#![cfg(unix)]

use std::{collections::BTreeMap, os::unix::fs::symlink, path::Path, sync::Arc};

use fs_err as fs;
use proptest::prelude::*;
use transom::{
    base::{digest::Sha1, filetime::FileTime, limits::Limits, name::Name},
    cli::demo::{BaseSettings, write_base},
    codec::{Codec, Level},
    format::{
        security::{SecurityDescriptor, to_sddl},
        wim::{
            BlobSource, BlobToWrite, Dentry, Element, Header, ImageMetadata, MetadataToWrite,
            Reparse, Stream, StreamKind, Wim, WimXml, WriteSettings, write_wim,
        },
    },
    image::{
        FinishedImage, Image, ImageError, Watch,
        export::{ApplyOptions, ExtractError, ExtractReport, Loss, apply},
        host::{SIDECAR_NAME, SidecarError},
        import::{self, CaptureOptions, SidecarUse},
        patterns::Patterns,
    },
};

use crate::{
    image_fixture::{entry, open, save, sddl, windows},
    support::{
        self,
        dump::{difference, dump_image},
    },
};

/// Applies an image with a sidecar.
pub(crate) fn unpack(
    wim: &Arc<Wim>,
    index: u32,
    target: &Path,
) -> Result<ExtractReport, ExtractError> {
    let image = Image::open(Arc::clone(wim), index, &Limits::default()).unwrap();
    let rp_fix = wim.header().flags & Header::RP_FIX != 0;
    let options = ApplyOptions { overwrite: false, unix_data: false, sidecar: true, rp_fix };
    let element = wim.xml().image(index).unwrap();
    apply(&image, element, target, options, Watch::default())
}

pub(crate) fn capture(root: &Path) -> Result<(FinishedImage, import::CaptureReport), ImageError> {
    let options = CaptureOptions {
        exclude: Patterns::new::<&str>(&[]).unwrap(),
        unix_data: false,
        skip_bad_names: false,
        depth: 2000,
    };
    let (image, report) = import::capture(root, &options, Watch::default())?;
    Ok((image.finish()?, report))
}

/// What the captured directory says, as the bytes say it: written as a WIM, every blob checked, read again.
fn captured(root: &Path, place: &Path) -> Arc<Wim> {
    let (finished, _) = capture(root).unwrap();
    let wim = save(finished, None, place);
    let report = wim.verify(&|_| {}).unwrap();
    assert!(report.is_good(), "{report:?}");
    wim
}

/// Each entry by its path, without what depends on the order of the list.
fn by_path(metadata: &ImageMetadata) -> BTreeMap<String, Dentry> {
    let parents = metadata.parents();
    let path = |index| metadata.path_of(index, &parents);
    let entries = metadata.dentries.iter().enumerate();
    entries
        .map(|(index, dentry)| (path(index), Dentry { children: vec![], ..dentry.clone() }))
        .collect()
}

/// Equal in every entry, in the order of entries, in the descriptors and their order.
pub(crate) fn assert_equal(before: &ImageMetadata, after: &ImageMetadata) {
    let (old, new) = (by_path(before), by_path(after));
    for (path, dentry) in &old {
        assert_eq!(Some(dentry), new.get(path), "{path}");
    }
    assert_eq!(old.len(), new.len());
    assert_eq!(before.security, after.security);
    assert_eq!(before.encode(), after.encode(), "order of entries");
}

/// Applies, captures, compares.
fn round(wim: &Arc<Wim>, index: u32, folder: &Path) -> ExtractReport {
    let tree = folder.join("tree");
    let report = unpack(wim, index, &tree).unwrap();
    let (finished, restored) = capture(&tree).unwrap();
    let restored = restored.restored.expect("there is a sidecar");
    assert!(!restored.changed);
    let mut element = restored.element(&finished, FileTime(5));
    element.set_attribute("INDEX", &index.to_string());
    assert_eq!(element, *wim.xml().image(index).unwrap());
    let after = captured(&tree, &folder.join("after.wim"));
    let before = wim.metadata(index).unwrap();
    assert_equal(&before, &after.metadata(1).unwrap());
    for (_, sha1) in before.references() {
        assert!(after.blob(&sha1).is_some(), "{sha1}");
    }
    report
}

#[test]
fn the_demo_base_comes_back() {
    let folder = support::temporary_folder();
    let base = folder.path().join("base.wim");
    write_base(&base, &BaseSettings::default()).unwrap();
    let wim = Arc::new(Wim::open_path(&base, &Limits::default()).unwrap());
    for index in 1..=wim.image_count() {
        round(&wim, index, &folder.path().join(index.to_string()));
    }
}

#[test]
fn images_of_others_come_back_and_wimlib_says_so() {
    let files = ["wimbuilder2-boot.wim", "dissect/basic32k.wim", "dissect/basic4k.wim"];
    for file in files {
        let Some(place) = support::shared_data(&format!("wim/{file}")) else { return };
        let wim = Arc::new(Wim::open_path(&place, &Limits::default()).unwrap());
        for index in 1..=wim.image_count() {
            let folder = support::temporary_folder();
            round(&wim, index, folder.path());
            let Some(wimlib) = support::oracle("wimlib-imagex") else { continue };
            let after = folder.path().join("after.wim");
            let lines =
                difference(&dump_image(&wimlib, &place, index), &dump_image(&wimlib, &after, 1));
            assert_eq!(lines, Vec::<String>::new(), "{file}");
        }
    }
}

#[test]
fn a_solid_file_comes_back_too() {
    let Some(wimlib) = support::oracle("wimlib-imagex") else { return };
    let folder = support::temporary_folder();
    let [base, solid] = ["base.wim", "solid.wim"].map(|name| folder.path().join(name));
    windows(&base);
    let [base, solid] = [&base, &solid].map(|path| path.to_str().unwrap());
    wimlib.run(["export", base, "1", solid, "--solid"]);
    let wim = open_wim(Path::new(solid));
    assert!(wim.blobs().iter().any(|blob| blob.solid.is_some()));
    round(&wim, 1, folder.path());
}

/// An image in the making.
struct Builder {
    metadata: ImageMetadata,
    contents: BTreeMap<Sha1, Vec<u8>>,
}

impl Builder {
    fn new() -> Self {
        let security =
            ["O:BAG:SYD:PAI(A;OICI;FA;;;SY)", "O:SYG:SYD:(A;;FA;;;BA)", "O:BAG:BAD:(A;;FR;;;WD)"];
        let root = Dentry { attributes: 0x16, security_id: Some(2), ..dentry("") };
        let metadata = ImageMetadata {
            security: security.map(|text| sddl(text).into()).to_vec(),
            dentries: vec![root],
            warnings: Vec::new(),
        };
        Self { metadata, contents: BTreeMap::new() }
    }

    fn add(&mut self, parent: usize, dentry: Dentry) -> usize {
        let place = self.metadata.dentries.len();
        self.metadata.dentries.push(dentry);
        self.metadata.dentries[parent].children.push(u32::try_from(place).unwrap());
        place
    }

    fn stream(&mut self, kind: StreamKind, name: &str, bytes: &[u8]) -> Stream {
        let sha1 = if bytes.is_empty() { Sha1::ZERO } else { Sha1::of(bytes) };
        self.contents.insert(sha1, bytes.to_vec());
        Stream { kind, name: Name::from(name), sha1 }
    }

    fn file(&mut self, parent: usize, name: impl Into<Name>, text: &str) -> usize {
        let streams = vec![self.stream(StreamKind::Data, "", text.as_bytes())];
        self.add(parent, Dentry { streams, ..dentry(name) })
    }

    fn folder(&mut self, parent: usize, name: impl Into<Name>) -> usize {
        self.add(parent, Dentry { attributes: 0x10, security_id: Some(0), ..dentry(name) })
    }

    fn link(
        &mut self,
        name: &str,
        (tag, flags): (u32, u16),
        data: &[u8],
        attributes: u32,
    ) -> usize {
        let streams = vec![self.stream(StreamKind::Reparse, "", data)];
        let reparse = Some(Reparse { tag, reserved: 0, flags });
        let attributes = 0x400 | attributes;
        self.add(0, Dentry { attributes, reparse, streams, ..dentry(name) })
    }

    fn last(&mut self) -> &mut Dentry {
        self.metadata.dentries.last_mut().unwrap()
    }

    fn write(self, place: &Path) -> Arc<Wim> {
        let codec = Codec::Xpress;
        let settings = WriteSettings {
            codec,
            chunk_size: codec.default_chunk_size(),
            level: Level::default(),
            solid: None,
            integrity: false,
            boot_index: 0,
            rp_fix: true,
        };
        let used: Vec<Sha1> = self.metadata.references().map(|(_, sha1)| sha1).collect();
        let blobs = used.into_iter().map(|sha1| {
            let bytes = self.contents[&sha1].clone();
            let size = bytes.len() as u64;
            let source = BlobSource::Bytes { source: Arc::new(bytes) };
            BlobToWrite { sha1, size, reference_count: 1, source }
        });
        let mut image = Element::new("IMAGE");
        image.set_text(&["NAME"], "Everything");
        image.set_text(&["FLAGS"], "Core");
        let mut xml = WimXml::new();
        xml.push_image(image);
        let images = vec![MetadataToWrite::Bytes(self.metadata.encode())];
        let file = fs::File::create(place).unwrap();
        let blobs = blobs.collect();
        write_wim(file.file(), &settings, blobs, images, xml, &|_| {}, &|| false).unwrap();
        open_wim(place)
    }
}

fn open_wim(place: &Path) -> Arc<Wim> {
    Arc::new(Wim::open_path(place, &Limits { depth: 2000, ..Limits::default() }).unwrap())
}

/// A file with times of its own, which hosts tell in 100 ns too.
fn dentry(name: impl Into<Name>) -> Dentry {
    Dentry {
        name: name.into(),
        attributes: 0x20,
        security_id: Some(1),
        creation_time: FileTime(131_000_000_000_000_001),
        last_access_time: FileTime(131_000_000_000_000_002),
        last_write_time: FileTime(131_000_000_000_000_003),
        ..Dentry::default()
    }
}

fn item(tag: u32, data: &[u8]) -> Vec<u8> {
    let length = u32::try_from(data.len()).unwrap();
    let mut item = [&tag.to_le_bytes()[..], &length.to_le_bytes(), data].concat();
    item.resize(item.len().next_multiple_of(8), 0);
    item
}

/// Reparse data of a symbolic link (with flags) or a junction (without).
fn link_data(target: &str, flags: Option<u32>) -> Vec<u8> {
    let units: Vec<u8> = target.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let length = u16::try_from(units.len()).unwrap();
    let head = [0, length, length, 0].map(u16::to_le_bytes).concat();
    [head, flags.map(u32::to_le_bytes).into_iter().flatten().collect(), units].concat()
}

const SYMLINK: u32 = 0xa000_000c;
const JUNCTION: u32 = 0xa000_0003;

/// Everything that NTFS has and a host has not.
pub(crate) fn everything(place: &Path) -> Arc<Wim> {
    let mut builder = Builder::new();
    let zulu = builder.folder(0, "zulu");
    builder.last().short_name = "ZULU~1".into();
    let named = builder.stream(StreamKind::Named, "of a folder", b"named");
    builder.last().streams.push(named);
    builder.file(0, "alpha.text", "plain");
    *builder.last() = Dentry {
        short_name: "ALPHA~1.TEX".into(),
        attributes: 0x2227,
        unknown: 77,
        tagged_items: [item(1, &[7; 16]), item(2, b"\x03\0\x01\0A\0xyz"), item(0x99, &[1, 2, 3])]
            .concat(),
        ..builder.last().clone()
    };
    builder.file(0, "streams", "unnamed");
    for (name, bytes) in [("Zone.Identifier", &b"zone"[..]), ("empty", b""), ("plain", b"plain")] {
        let named = builder.stream(StreamKind::Named, name, bytes);
        builder.last().streams.push(named);
    }
    builder.file(0, "only named", "");
    let named = builder.stream(StreamKind::Named, "n", b"n");
    builder.last().streams.push(named);
    builder.add(0, dentry("no stream"));
    builder.file(0, "no security", "plain");
    builder.last().security_id = None;
    // Names of one file that tell different things of it.
    builder.file(0, "link one", "linked");
    builder.last().hard_link_group = 0x7_0000_0001;
    builder.file(zulu, "link two", "linked");
    builder.last().hard_link_group = 0x7_0000_0001;
    builder.last().last_write_time = FileTime(131_000_000_000_000_009);
    builder.last().attributes = 0x21;
    builder.file(zulu, Name::from_units([0xdc00, 0x41]), "linked");
    builder.last().hard_link_group = 0x7_0000_0001;
    builder.file(zulu, "alone", "group of one");
    builder.last().hard_link_group = 9;
    for (name, time) in
        [("old", 1), ("zero", 0), ("late", i64::MAX as u64), ("1969", 116_444_000_000_000_001)]
    {
        builder.file(0, name, name);
        builder.last().last_write_time = FileTime(time);
        builder.last().last_access_time = FileTime(time);
    }
    builder.link("junction", (JUNCTION, 0), &link_data(r"\??\C:\zulu", None), 0x10);
    builder.link("junction out", (JUNCTION, 1), &link_data(r"\??\D:\data", None), 0x10);
    builder.link("relative", (SYMLINK, 1), &link_data(r"zulu\alone", Some(1)), 0);
    builder.link("up", (SYMLINK, 1), &link_data(r"..\..\x", Some(1)), 0);
    builder.link("volume", (JUNCTION, 0), &link_data(r"\??\Volume{1-2}\", None), 0x10);
    builder.link("share", (SYMLINK, 0), &link_data(r"\??\UNC\server\share", Some(0)), 0);
    builder.link("broken", (SYMLINK, 0), b"\xff\xff", 0);
    builder.link("cloud file", (0x9000_001a, 0), b"tag data", 0x220);
    let data = builder.stream(StreamKind::Data, "", b"behind the reparse point");
    builder.last().streams.push(data);
    builder.link("cloud folder", (0x9000_101a, 0), b"other tag data", 0x10);
    let cloud = builder.metadata.dentries.len() - 1;
    builder.file(cloud, "in it", "in it");
    let efs = builder.stream(StreamKind::Efs, "", b"raw encrypted");
    builder.add(0, Dentry { attributes: 0x4020, streams: vec![efs], ..dentry("secret") });
    for name in ["con", "tail.", "tail ", "a:b", "tab\t", "a*?", "A", "a", SIDECAR_NAME] {
        builder.file(0, name, name);
    }
    builder.file(0, Name::from_units([0xd800]), "half");
    let half = builder.folder(0, Name::from_units([0xd801]));
    let below = builder.folder(half, "below");
    builder.file(below, "deep below", "deep below");
    builder.file(0, "\u{6f22}".repeat(255).as_str(), "long in UTF-8");
    let mut parent = zulu;
    for _ in 0..300 {
        parent = builder.folder(parent, "a folder in a folder");
    }
    builder.file(parent, "at the bottom", "bottom");
    builder.write(place)
}

#[test]
fn an_image_with_everything_comes_back() {
    let folder = support::temporary_folder();
    let wim = everything(&folder.path().join("everything.wim"));
    let report = round(&wim, 1, folder.path());
    let losses = report.losses;
    assert_eq!(losses.of(Loss::Encrypted), [r"\secret"]);
    assert_eq!(losses.of(Loss::Link), [r"\volume", r"\share", r"\broken"]);
    let names = losses.of(Loss::Name);
    for name in ["\\\\u{d801}", "\\\\u{d800}", "\\.transom-ntfs.wim"] {
        assert!(names.iter().any(|found| found == name), "{name} of {names:?}");
    }
    let tree = folder.path().join("tree");
    assert_eq!(fs::read_link(tree.join("junction")).unwrap(), Path::new("zulu"));
    assert_eq!(fs::read_link(tree.join("junction out")).unwrap(), Path::new("/data"));
    assert_eq!(fs::read_link(tree.join("up")).unwrap(), Path::new("../../x"));
    assert_eq!(fs::read(tree.join("cloud file")).unwrap(), b"behind the reparse point");
    let Some(wimlib) = support::oracle("wimlib-imagex") else { return };
    let places = ["everything.wim", "after.wim"].map(|name| folder.path().join(name));
    let [before, after] = places.map(|place| dump_image(&wimlib, &place, 1));
    assert_eq!(difference(&before, &after), Vec::<String>::new());
}

#[test]
fn a_copy_of_the_directory_is_as_good_even_without_links() {
    let folder = support::temporary_folder();
    let wim = windows(&folder.path().join("base.wim"));
    let (tree, copy) = (folder.path().join("tree"), folder.path().join("copy"));
    unpack(&wim, 1, &tree).unwrap();
    let preserve = "--preserve=timestamps";
    let mut command = std::process::Command::new("cp");
    support::expect_success(command.args(["-r", preserve]).arg(&tree).arg(&copy));
    let (finished, _) = capture(&copy).unwrap();
    assert_equal(&wim.metadata(1).unwrap(), &finished.metadata);
}

fn security_of(metadata: &ImageMetadata, name: &str) -> String {
    let id = entry(metadata, name).security_id.unwrap();
    to_sddl(&SecurityDescriptor::parse(&metadata.security[id as usize]).unwrap())
}

#[test]
fn edits_on_the_host_change_what_they_touch_and_nothing_else() {
    let folder = support::temporary_folder();
    let wim = windows(&folder.path().join("base.wim"));
    let tree = folder.path().join("tree");
    unpack(&wim, 1, &tree).unwrap();
    let before = wim.metadata(1).unwrap();
    fs::remove_file(tree.join("Windows/hidden.ini")).unwrap();
    fs::remove_dir_all(tree.join("Windows/Temp")).unwrap();
    fs::write(tree.join("Program Files/readme.txt"), "read me again").unwrap();
    fs::create_dir(tree.join("Windows/new")).unwrap();
    fs::write(tree.join("Windows/new/file"), "new").unwrap();
    fs::rename(tree.join("Users/Default/NTUSER.DAT"), tree.join("Users/Default/moved")).unwrap();
    fs::remove_file(tree.join("Documents and Settings")).unwrap();
    symlink("Windows", tree.join("Documents and Settings")).unwrap();
    fs::hard_link(tree.join("Windows/notepad.exe"), tree.join("a third name")).unwrap();
    let (finished, report) = capture(&tree).unwrap();
    assert!(report.restored.unwrap().changed);
    let after = &finished.metadata;
    let (old, new) = (by_path(&before), by_path(after));
    let gone: Vec<&str> =
        old.keys().filter(|path| !new.contains_key(*path)).map(String::as_str).collect();
    assert_eq!(gone, [r"\Users\Default\NTUSER.DAT", r"\Windows\Temp", r"\Windows\hidden.ini"]);
    let came: Vec<&str> =
        new.keys().filter(|path| !old.contains_key(*path)).map(String::as_str).collect();
    assert_eq!(
        came,
        [r"\Users\Default\moved", r"\Windows\new", r"\Windows\new\file", r"\a third name"]
    );
    let readme = entry(after, "readme.txt");
    let old_readme = entry(&before, "readme.txt");
    assert_eq!(
        readme.streams,
        [Stream {
            kind: StreamKind::Data,
            name: Name::default(),
            sha1: Sha1::of(b"read me again")
        }]
    );
    assert_eq!(
        (&readme.short_name, readme.attributes),
        (&old_readme.short_name, old_readme.attributes)
    );
    assert_eq!(readme.creation_time, old_readme.creation_time);
    assert!(readme.last_write_time > old_readme.last_write_time);
    assert_eq!(security_of(after, "readme.txt"), security_of(&before, "readme.txt"));
    // New ones inherit what their folder passes on.
    assert_eq!(security_of(after, "new"), security_of(&before, "System32"));
    assert_eq!(security_of(after, "file"), security_of(&before, "kernel32.dll"));
    let link = entry(after, "Documents and Settings");
    assert_eq!((link.attributes, link.reparse.unwrap().tag), (0x410, SYMLINK));
    assert_eq!(
        security_of(after, "Documents and Settings"),
        security_of(&before, "Documents and Settings")
    );
    let [third, first] = [r"\a third name", r"\Windows\notepad.exe"].map(|path| &new[path]);
    assert_eq!(
        third,
        &Dentry { name: third.name.clone(), ..first.clone() },
        "a name more of the same file"
    );
    // All else is as it was, but for the times of folders that entries came into or went from.
    for (path, dentry) in &old {
        let touched = [
            r"\",
            r"\Windows",
            r"\Users\Default",
            r"\Program Files\readme.txt",
            r"\Documents and Settings",
        ];
        let Some(now) = new.get(path) else { continue };
        if touched.contains(&path.as_str()) {
            continue;
        }
        assert_eq!(dentry, now, "{path}");
    }
    let root = Dentry { last_write_time: old[r"\"].last_write_time, ..new[r"\"].clone() };
    assert_eq!(root, old[r"\"]);
}

#[test]
fn a_change_through_one_name_changes_all_and_a_new_file_parts_from_them() {
    let folder = support::temporary_folder();
    let wim = windows(&folder.path().join("base.wim"));
    let tree = folder.path().join("tree");
    unpack(&wim, 1, &tree).unwrap();
    let notepads = |metadata: &ImageMetadata| -> Vec<(Sha1, u64, u32)> {
        let found = metadata.dentries.iter().filter(|dentry| dentry.name.is("notepad.exe"));
        found.map(|d| (d.streams[0].sha1, d.hard_link_group, d.security_id.unwrap())).collect()
    };
    let old = notepads(&wim.metadata(1).unwrap());
    fs::write(tree.join("Windows/notepad.exe"), "edited").unwrap();
    let both = notepads(&capture(&tree).unwrap().0.metadata);
    assert_eq!(both.len(), 2);
    assert!(both.iter().all(|(sha1, group, _)| *sha1 == Sha1::of(b"edited") && *group == old[0].1));
    fs::remove_file(tree.join("Windows/notepad.exe")).unwrap();
    fs::write(tree.join("Windows/notepad.exe"), "another").unwrap();
    let parted = notepads(&capture(&tree).unwrap().0.metadata);
    let hashes: Vec<Sha1> = parted.iter().map(|found| found.0).collect();
    assert!(hashes.contains(&Sha1::of(b"edited")) && hashes.contains(&Sha1::of(b"another")));
    assert_ne!(parted[0].1, parted[1].1);
    assert_eq!([parted[0].2, parted[1].2], [old[0].2, old[1].2], "each keeps its security");
}

#[test]
fn a_directory_that_was_not_finished_or_has_a_damaged_sidecar_is_not_captured_silently() {
    let folder = support::temporary_folder();
    let wim = windows(&folder.path().join("base.wim"));
    let tree = folder.path().join("tree");
    let image = open(&wim);
    let options = ApplyOptions { overwrite: false, unix_data: false, sidecar: true, rp_fix: false };
    let element = wim.xml().image(1).unwrap();
    let watch = Watch { cancelled: &|| true, ..Watch::default() };
    let result = apply(&image, element, &tree, options, watch);
    assert!(matches!(result, Err(ExtractError::Cancelled)));
    let reason = |tree: &Path| match capture(tree) {
        Err(ImageError::Sidecar(error)) => error,
        other => panic!("{other:?}"),
    };
    assert!(matches!(reason(&tree), SidecarError::Unfinished(_)));
    let again = apply(&image, element, &tree, options, Watch::default());
    assert!(matches!(again, Err(ExtractError::Exists(_))));
    let options = ApplyOptions { overwrite: true, ..options };
    apply(&image, element, &tree, options, Watch::default()).unwrap();
    assert_equal(&wim.metadata(1).unwrap(), &capture(&tree).unwrap().0.metadata);
    let sidecar = tree.join(SIDECAR_NAME);
    let bytes = fs::read(&sidecar).unwrap();
    for length in [1, 207, 208, bytes.len() / 2, bytes.len() - 1] {
        fs::write(&sidecar, &bytes[..length]).unwrap();
        assert!(matches!(reason(&tree), SidecarError::Broken { .. }), "{length}");
    }
    fs::copy(folder.path().join("base.wim"), &sidecar).unwrap();
    assert!(matches!(reason(&tree), SidecarError::Foreign(_)));
    let home = folder.path();
    let output = support::transom(home).args(["wim", "capture", "tree", "a.wim"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && text.contains("--ignore-sidecar"), "{text}");
    let ignoring = ["wim", "capture", "tree", "a.wim", "--ignore-sidecar"];
    support::expect_success(support::transom(home).args(ignoring));
    let plain = open_wim(&home.join("a.wim")).metadata(1).unwrap();
    assert!(plain.dentries.iter().all(|d| d.security_id.is_none() && !d.name.is(SIDECAR_NAME)));
}

#[test]
fn the_program_gives_name_description_and_tree_back() {
    let folder = support::temporary_folder();
    let home = folder.path();
    write_base(&home.join("base.wim"), &BaseSettings::default()).unwrap();
    let run = |arguments: &[&str]| {
        support::expect_success(support::transom(home).arg("wim").args(arguments))
    };
    run(&["apply", "base.wim", "--all", "trees"]);
    run(&["capture", "trees/2", "again.wim"]);
    let (before, after) = (open_wim(&home.join("base.wim")), open_wim(&home.join("again.wim")));
    let mut element = after.xml().image(1).unwrap().clone();
    element.set_attribute("INDEX", "2");
    assert_eq!(&element, before.xml().image(2).unwrap());
    assert_equal(&before.metadata(2).unwrap(), &after.metadata(1).unwrap());
    run(&["capture", "trees/2", "named.wim", "--name", "Mine"]);
    assert_eq!(open_wim(&home.join("named.wim")).xml().image_name(1), Some("Mine"));
    let output = run(&["apply", "base.wim", "--index", "1", "lossy", "--no-sidecar"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("security descriptor"));
    assert!(!home.join("lossy").join(SIDECAR_NAME).exists());
}

/// A random image: folders, files, links, odd names, streams, groups.
fn random_image() -> impl Strategy<Value = Vec<(prop::sample::Index, u8, u8, u64, u32)>> {
    let entry = (any::<prop::sample::Index>(), 0..12_u8, 0..40_u8, any::<u64>(), any::<u32>());
    prop::collection::vec(entry, 0..40)
}

fn build(entries: &[(prop::sample::Index, u8, u8, u64, u32)]) -> Builder {
    let mut builder = Builder::new();
    let mut folders = vec![0];
    for (number, (parent, kind, name, time, bits)) in entries.iter().enumerate() {
        let parent = folders[parent.index(folders.len())];
        let name: Name = match name {
            0 => Name::from_units([0xd800, u16::try_from(number).unwrap()]),
            1 => Name::from_units([0x41, 0xdfff, u16::try_from(number).unwrap()]),
            2 => format!("CON.{number}").as_str().into(),
            3 => format!("dot{number}.").as_str().into(),
            _ => format!("{} {number}", char::from(b'A' + name)).as_str().into(),
        };
        let text = format!("content {}", bits % 5);
        match kind {
            0..=2 => folders.push(builder.folder(parent, name)),
            3 => {
                let data = link_data(r"\??\C:\A 1", None);
                let streams = vec![builder.stream(StreamKind::Reparse, "", &data)];
                let flags = u16::from(bits % 2 == 0);
                let reparse = Some(Reparse { tag: JUNCTION, reserved: 0, flags });
                builder.add(parent, Dentry { attributes: 0x410, reparse, streams, ..dentry(name) });
            }
            4 => {
                builder.add(parent, dentry(name));
            }
            _ => {
                builder.file(parent, name, &text);
            }
        }
        if *kind == 5 {
            builder.last().hard_link_group = u64::from(bits % 3);
        }
        if *kind == 6 {
            let stream = builder.stream(StreamKind::Named, "s", text.as_bytes());
            builder.last().streams.push(stream);
        }
        let last = builder.last();
        last.attributes |= bits & 0x2027;
        last.unknown = bits >> 16;
        last.last_write_time = FileTime(time >> (time % 9));
        last.security_id = [None, Some(0), Some(1), Some(2)][(bits >> 3) as usize % 4];
        if bits & 0x80 != 0 {
            last.tagged_items = item(*bits, &time.to_le_bytes());
        }
    }
    builder
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn any_image_comes_back(entries in random_image()) {
        let folder = support::temporary_folder();
        let wim = build(&entries).write(&folder.path().join("random.wim"));
        round(&wim, 1, folder.path());
    }
}

/// Where the sidecar is not heeded, the directory is what it shows.
#[test]
fn an_ignored_sidecar_gives_a_plain_capture() {
    let folder = support::temporary_folder();
    let wim = windows(&folder.path().join("base.wim"));
    let tree = folder.path().join("tree");
    unpack(&wim, 1, &tree).unwrap();
    let options = CaptureOptions {
        exclude: Patterns::new::<&str>(&[]).unwrap(),
        unix_data: false,
        skip_bad_names: false,
        depth: 100,
    };
    let (image, report) =
        import::capture_with(&tree, &options, SidecarUse::Ignore, Watch::default()).unwrap();
    assert_eq!(report.restored, None);
    let plain = image.finish().unwrap().metadata;
    assert!(plain.security.is_empty());
    assert_eq!(plain.dentries.len(), wim.metadata(1).unwrap().dentries.len());
}
