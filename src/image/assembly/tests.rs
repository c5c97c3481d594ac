//! Tests of putting images together, on WIMs made here.

use std::path::Path;

use fs_err as fs;

use super::{
    commands::{Action, Command, parse},
    update::{UpdateOptions, run},
    *,
};
use crate::{
    base::{limits::Limits, ntpath::NtPath},
    codec::{Codec, Level},
    format::{
        security::parse_sddl,
        wim::{WriteSettings, write_wim},
    },
    image::{
        Image, NewNode, Watch,
        import::{CaptureOptions, capture},
        patterns::Patterns,
    },
};

fn write_tree(folder: &Path, files: &[(&str, &str)]) {
    for (path, text) in files {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

fn captured(folder: &Path) -> Image {
    let options = CaptureOptions {
        exclude: Patterns::new::<&str>(&[]).unwrap(),
        unix_data: false,
        skip_bad_names: false,
        depth: Limits::default().depth,
    };
    capture(folder, &options, Watch::default()).unwrap().0
}

fn push(assembly: &mut Assembly, files: &[(&str, &str)], name: &str) {
    let folder = tempfile::tempdir().unwrap();
    write_tree(folder.path(), files);
    let mut finished = captured(folder.path()).finish().unwrap();
    // The folder is gone before the WIM is written.
    for blob in &mut finished.blobs {
        let BlobLocation::Host(source) = &blob.location else { continue };
        let mut bytes = vec![0; usize::try_from(source.size()).unwrap()];
        source.read_exact_at(0, &mut bytes).unwrap();
        blob.location = BlobLocation::Memory(bytes.into());
    }
    let element = xml::create(&finished, name, FileTime::default());
    assembly.push(finished, element).unwrap();
}

fn written(assembly: Assembly) -> Arc<Wim> {
    let settings = WriteSettings {
        codec: Codec::Xpress,
        chunk_size: 32 << 10,
        level: Level::Default,
        solid: None,
        integrity: false,
        boot_index: assembly.boot_index(),
        rp_fix: true,
    };
    let plan = assembly.plan(BlobOrder::Stored).unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    let (blobs, images) = (plan.blobs, plan.images);
    write_wim(file.as_file(), &settings, blobs, images, plan.xml, &|_| (), &|| false).unwrap();
    let bytes: Arc<[u8]> = fs::read(file.path()).unwrap().into();
    Arc::new(Wim::open(Arc::new(bytes), &Limits::default()).unwrap())
}

/// Three images: `a` is in all of them (twice in the third), `b` and `c` in one each.
fn three() -> Arc<Wim> {
    let mut assembly = Assembly::new();
    push(&mut assembly, &[("a", "common"), ("b", "only one")], "one");
    push(&mut assembly, &[("a", "common"), ("c", "only two")], "two");
    push(&mut assembly, &[("a", "common"), ("again", "common")], "");
    assembly.set_boot(2).unwrap();
    written(assembly)
}

fn counts(wim: &Wim) -> Vec<(u64, u32)> {
    let mut counts: Vec<_> =
        wim.blobs().iter().map(|blob| (blob.size, blob.reference_count)).collect();
    counts.sort_unstable();
    counts
}

#[test]
fn references_are_counted_over_all_images() {
    let wim = three();
    assert_eq!(counts(&wim), [(6, 4), (8, 1), (8, 1)]);
    let mut assembly = Assembly::of(&wim);
    assembly.remove(1).unwrap();
    let without = written(assembly);
    assert_eq!(counts(&without), [(6, 3), (8, 1)], "what only image 1 had is gone");
    let mut assembly = Assembly::of(&without);
    assembly.push_from(&wim, 1, None, None).unwrap();
    assert_eq!(counts(&written(assembly)), counts(&wim));
}

#[test]
fn the_boot_index_follows_its_image() {
    let wim = three();
    let boot_after = |removed: u32| {
        let mut assembly = Assembly::of(&wim);
        assembly.remove(removed).unwrap();
        written(assembly).header().boot_index
    };
    assert_eq!([boot_after(1), boot_after(2), boot_after(3)], [1, 0, 2]);
    assert!(Assembly::of(&wim).set_boot(4).is_err());
    assert!(Assembly::of(&wim).remove(0).is_err());
}

#[test]
fn names_are_unique_unless_empty() {
    let wim = three();
    let mut assembly = Assembly::of(&wim);
    let error = assembly.push_from(&wim, 2, None, None).unwrap_err();
    assert_eq!(error.to_string(), "image 2 is named `two` already");
    assert_eq!(assembly.push_from(&wim, 3, None, None).unwrap(), 4, "unnamed ones are never alike");
    assert_eq!(assembly.push_from(&wim, 2, Some("again"), Some("text")).unwrap(), 5);
    let name = PropertyPath::of("NAME");
    assert!(assembly.set_text(1, &name, "again").is_err());
    assembly.set_text(1, &name, "one").unwrap();
    assembly.set_text(5, &name, "").unwrap();
    let wim = written(assembly);
    assert_eq!(wim.xml().description(5), Some("text"));
    assert_eq!(wim.xml().image_name(5), None);
}

#[test]
fn missing_content_is_told_with_image_and_path() {
    let mut assembly = Assembly::new();
    push(&mut assembly, &[("folder/file", "content")], "lost");
    let Some(Part::Made { blobs, .. }) = assembly.images.first_mut() else { panic!() };
    blobs.clear();
    let error = assembly.plan(BlobOrder::Stored).unwrap_err().to_string();
    assert!(error.contains(r#"\folder\file in image 1 "lost""#), "{error}");
}

#[test]
fn solid_content_is_sorted_and_what_is_there_stays_where_it_is() {
    let mut assembly = Assembly::new();
    push(&mut assembly, &[("z.dll", "1"), ("a.txt", "22"), ("B.DLL", "333")], "x");
    let order = |assembly: Assembly, order| -> Vec<u64> {
        assembly.plan(order).unwrap().blobs.iter().map(|blob| blob.size).collect()
    };
    assert_eq!(order(assembly, BlobOrder::Solid), [3, 1, 2]);
    let mut assembly = Assembly::of(&three());
    push(&mut assembly, &[("new", "1"), ("a", "common")], "x");
    assert_eq!(order(assembly, BlobOrder::Stored), [6, 8, 8, 1]);
}

/// An image with folder `\Windows` whose security is inherited, and two names of a file in it.
fn secured() -> (tempfile::TempDir, Image) {
    let folder = tempfile::tempdir().unwrap();
    write_tree(folder.path(), &[("Windows/old.txt", "old"), ("Windows/Sub/x", "x")]);
    fs::hard_link(folder.path().join("Windows/old.txt"), folder.path().join("link.txt")).unwrap();
    let mut image = captured(folder.path());
    let sddl = "O:SYG:SYD:(A;OICI;FA;;;SY)";
    let security = parse_sddl(sddl).unwrap().to_bytes();
    let options = NewNode { security: Some(security), ..NewNode::default() };
    image.make_directory(&path("/Windows"), &options).unwrap();
    (folder, image)
}

fn path(text: &str) -> NtPath {
    NtPath::parse(text).unwrap()
}

fn update(image: &mut Image, text: &str) -> Result<(), String> {
    let options = UpdateOptions {
        exclude: Patterns::new(&["*.bak"]).unwrap(),
        skip_bad_names: false,
        depth: 100,
        epoch: FileTime::parse("2020-01-01T00:00:00Z"),
    };
    for command in parse(text).unwrap() {
        run(image, &command, &options, Watch::default()).map_err(|error| error.to_string())?;
    }
    Ok(())
}

#[test]
fn added_files_inherit_and_replaced_ones_keep_their_names() {
    let (_folder, mut image) = secured();
    let host = tempfile::tempdir().unwrap();
    write_tree(
        host.path(),
        &[("OLD.TXT", "new content"), ("Sub/y", "y"), ("Sub/z.bak", "z"), ("more", "more")],
    );
    let from = host.path().display();
    update(&mut image, &format!("add '{from}' /windows\nadd '{from}/more' /New/Folder/file"))
        .unwrap();
    let read = |path_: &str| String::from_utf8(image.read(&path(path_)).unwrap()).unwrap();
    assert_eq!(read("/Windows/old.txt"), "new content");
    assert_eq!(read("/link.txt"), "new content", "all names of a file change");
    assert_eq!(read("/Windows/Sub/x"), "x", "folders merge");
    assert_eq!(read("/New/Folder/file"), "more");
    assert!(image.read(&path("/Windows/Sub/z.bak")).is_err());
    let security = |path_: &str| {
        let node = image.tree().lookup(&path(path_)).unwrap();
        image.tree().security_of(node).map(<[u8]>::to_vec)
    };
    let inherited = image.security_at(&path("/Windows/nothing"), false).unwrap().unwrap();
    assert_eq!(security("/Windows/more"), Some(inherited.to_bytes()));
    assert_eq!(security("/New"), None);
    let node = image.tree().lookup(&path("/Windows/more")).unwrap();
    let latest = FileTime::parse("2020-01-01T00:00:00Z").unwrap();
    assert_eq!(image.tree().inode(node).last_write_time, latest);
    let finished = image.finish().unwrap();
    let more = finished.blobs.iter().find(|blob| blob.size == 4).unwrap();
    assert_eq!(more.references, 2);
    let names: Vec<String> =
        finished.metadata.dentries.iter().map(|dentry| dentry.name.to_string()).collect();
    assert!(names.contains(&"old.txt".to_owned()) && !names.contains(&"OLD.TXT".to_owned()));
}

#[test]
fn links_among_added_files_stay_links() {
    let (_folder, mut image) = secured();
    let host = tempfile::tempdir().unwrap();
    write_tree(host.path(), &[("one", "shared")]);
    fs::hard_link(host.path().join("one"), host.path().join("two")).unwrap();
    update(&mut image, &format!("add '{}' /in", host.path().display())).unwrap();
    let node = image.tree().lookup(&path("/in/two")).unwrap();
    assert_eq!(image.tree().links(node), 2);
}

#[test]
fn what_is_in_the_way_is_told() {
    let (_folder, mut image) = secured();
    let host = tempfile::tempdir().unwrap();
    write_tree(host.path(), &[("file", "x"), ("folder/f", "y")]);
    let from = host.path().display().to_string();
    let mut said = |command: &str| {
        update(&mut image, &command.replace('@', &from)).unwrap_err().replace(&from, "@")
    };
    assert_eq!(said("add @/file /Windows"), "\\Windows is a folder");
    assert_eq!(said("add @/folder /link.txt"), "\\link.txt is not a folder");
    assert_eq!(said("add --no-replace @/file /link.txt"), "\\link.txt exists already");
    assert_eq!(said("add @/file /link.txt/below"), "\\link.txt is not a folder");
    assert!(said("add @/none /x").contains("@/none cannot be added"));
    assert!(said("add @/file /con").contains("device name"));
    assert_eq!(said("delete /none"), "the image has no \\none");
    assert!(said("delete /Windows").contains("--recursive"));
    assert_eq!(said("rename /none /x"), "the image has no \\none");
    assert_eq!(said("rename /link.txt /Windows"), "\\Windows is a folder");
    assert_eq!(said("rename /Windows/Sub /Windows"), "\\Windows is a folder that is not empty");
    assert_eq!(said("rename /Windows /link.txt"), "\\link.txt is not a folder");
}

#[test]
fn deleted_and_renamed_as_posix_does() {
    let (_folder, mut image) = secured();
    update(
        &mut image,
        "delete --force /none\nrename /Windows/Sub/x /Windows/OLD.txt\nrename /link.txt /LINK.txt\ndelete --recursive /windows/sub",
    )
    .unwrap();
    assert_eq!(image.read(&path("/Windows/old.txt")).unwrap(), b"x");
    assert_eq!(image.read(&path("/link.txt")).unwrap(), b"old", "the other name stays what it was");
    let root = image.tree().root();
    let names: Vec<String> = image
        .tree()
        .children(root)
        .iter()
        .map(|id| image.tree().node(*id).name.to_string())
        .collect();
    assert!(names.contains(&"LINK.txt".to_owned()), "{names:?}");
    assert!(image.tree().lookup(&path("/Windows/Sub")).is_none());
}

#[test]
fn a_command_is_plain_data() {
    let rename = Action::Rename { from: "/a".into(), to: "/b".into() };
    assert_eq!(parse("rename /a /b").unwrap(), [Command { line: 1, action: rename }]);
}

/// An image of these files, the last of which are names of the one before.
fn linked(files: &[(&str, &str)], links: &[(&str, &str)]) -> (tempfile::TempDir, Image) {
    let folder = tempfile::tempdir().unwrap();
    write_tree(folder.path(), files);
    for (old, new) in links {
        fs::hard_link(folder.path().join(old), folder.path().join(new)).unwrap();
    }
    let image = captured(folder.path());
    (folder, image)
}

#[test]
fn files_put_over_names_of_one_file_keep_their_own_contents() {
    let (_folder, mut image) = linked(
        &[("a", "one"), ("x", "x"), ("y", "y")],
        &[("a", "b"), ("a", "c"), ("a", "d"), ("a", "e")],
    );
    let (host, _) = linked(
        &[("a", "AAA"), ("b", "BBB"), ("d", "AAA"), ("x", "XX"), ("f", "f")],
        &[("b", "c"), ("x", "y")],
    );
    update(&mut image, &format!("add '{}' /", host.path().display())).unwrap();
    let read = |name: &str| String::from_utf8(image.read(&path(name)).unwrap()).unwrap();
    let names = ["a", "b", "c", "d", "e", "x", "y"];
    assert_eq!(names.map(read), ["AAA", "BBB", "BBB", "AAA", "AAA", "XX", "XX"]);
    let tree = image.tree();
    let node = |name: &str| tree.lookup(&path(name)).unwrap();
    assert_eq!(names.map(|name| tree.links(node(name))), [3, 2, 2, 3, 3, 1, 1]);
    assert_eq!(tree.node(node("b")).inode, tree.node(node("c")).inode);
}

#[test]
fn added_names_that_differ_in_case_alone_are_two_files() {
    let host = tempfile::tempdir().unwrap();
    write_tree(host.path(), &[("A", "big"), ("a", "small"), ("Sub/x", "X"), ("sub/x", "x")]);
    // A file system that ignores case.
    if fs::read_dir(host.path()).unwrap().count() < 4 {
        return;
    }
    let from = host.path().display();
    let (_folder, mut image) = linked(&[("a", "old")], &[]);
    update(&mut image, &format!("add '{from}' /\nadd '{from}' /new\nadd '{from}/A' /new/SUB/X"))
        .unwrap();
    for folder in ["", "/new"] {
        let read = |name: &str| {
            let path = path(&format!("{folder}/{name}"));
            String::from_utf8(image.read(&path).unwrap()).unwrap()
        };
        assert_eq!(["A", "a", "sub/x"].map(read), ["big", "small", "x"], "{folder}");
        let changed = if folder.is_empty() { "X" } else { "big" };
        assert_eq!(read("Sub/x"), changed, "{folder}");
    }
    assert_eq!(image.tree().children(image.tree().root()).len(), 5);
}

#[test]
fn a_full_folder_that_is_a_reparse_point_but_no_link_is_a_folder() {
    let (_folder, mut image) = linked(&[("cloud/file", "x")], &[]);
    let node = image.tree().lookup(&path("/cloud")).unwrap();
    let reparse = crate::format::wim::Reparse { tag: 0x9000_001a, reserved: 0, flags: 0 };
    let inode = image.tree.inode_mut(node);
    inode.attributes |= 0x400;
    inode.reparse = Some(reparse);
    let error = update(&mut image, "delete /cloud").unwrap_err();
    assert!(error.contains("--recursive"), "{error}");
    let host = tempfile::tempdir().unwrap();
    write_tree(host.path(), &[("cloud/more", "y")]);
    update(&mut image, &format!("add '{}' /", host.path().display())).unwrap();
    assert_eq!(image.read(&path("/cloud/more")).unwrap(), b"y");
    assert_eq!(image.read(&path("/cloud/file")).unwrap(), b"x");
    update(&mut image, "delete --recursive /cloud").unwrap();
    assert!(image.tree().lookup(&path("/cloud")).is_none());
}
