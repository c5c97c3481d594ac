//! Every form a WIM can have, both ways: what we write, wimlib and 7-Zip read; what wimlib writes, we read, and nothing about the tree changes.
//!
//! The tree has hard links, named streams, reparse points, short names, security descriptors, empty and large files.

use std::{ffi::OsString, path::Path};

use transom::{
    codec::{Codec, Level},
    format::wim::{
        BlobSource, BlobToWrite, MetadataToWrite, Solid, WriteSettings, part_path, split_wim,
        write_wim,
    },
};

use crate::{
    support::{self, dump},
    wim_tree::{Tree, noise, rich_tree, text},
    wim_write::{check_contents, open, rewrite, settings, write_tree},
};

/// Codec and chunk size of each resource, or of all content together.
fn forms() -> Vec<WriteSettings> {
    let mut forms = Vec::new();
    for (codec, chunk_sizes) in [
        (Codec::None, vec![0]),
        (Codec::Xpress, vec![4 << 10, 8 << 10, 16 << 10, 32 << 10, 64 << 10]),
        (Codec::Lzx, (15..=21).map(|power| 1 << power).collect()),
        (Codec::Lzms, vec![32 << 10, 128 << 10, 1 << 20, 64 << 20]),
    ] {
        forms.extend(chunk_sizes.into_iter().map(|size| settings((codec, size))));
    }
    for (codec, chunk_size) in [
        (Codec::Xpress, 32 << 10),
        (Codec::Lzx, 32 << 10),
        (Codec::Lzx, 1 << 20),
        (Codec::Lzms, 32 << 10),
        (Codec::Lzms, 1 << 20),
        (Codec::Lzms, 64 << 20),
    ] {
        let solid = Some(Solid { codec, chunk_size });
        forms.push(WriteSettings { solid, ..settings((Codec::Lzms, 128 << 10)) });
        forms.push(WriteSettings { solid, ..settings((Codec::Lzx, 32 << 10)) });
    }
    for (codec, chunk_size) in
        [(Codec::Xpress, 32 << 10), (Codec::Lzx, 32 << 10), (Codec::Lzms, 128 << 10)]
    {
        for level in Level::ALL {
            forms.push(WriteSettings { level, ..settings((codec, chunk_size)) });
        }
    }
    forms
}

fn tree() -> Tree {
    let mut tree = rich_tree();
    tree.file(0, "long.txt", &text(700_000));
    tree.file(0, "noise.bin", &noise(300_000, 9));
    tree.file(0, "zeros.bin", &vec![0; 1_000_000]);
    let calls: Vec<u8> = (0..60_000_u32)
        .flat_map(|number| {
            let [a, b, ..] = (number.wrapping_mul(77) % 5000).to_le_bytes();
            [0xE8, a, b, 0, 0, 0x48, 0x8B, 0x05]
        })
        .collect();
    tree.file(0, "calls.exe", &calls);
    let ramp: Vec<u8> = (0..100_000_u32).flat_map(|number| (number * 3).to_le_bytes()).collect();
    tree.file(0, "ramp.wav", &ramp);
    tree
}

/// The tree as wimlib sees it in a file without compression.
fn reference(tree: &Tree, folder: &Path) -> Option<dump::Dump> {
    let wimlib = support::oracle("wimlib-imagex")?;
    let path = folder.join("reference.wim");
    write_tree(tree, &path, &settings((Codec::None, 0))).unwrap();
    Some(dump::dump_image(&wimlib, &path, 1))
}

fn assert_same(reference: &dump::Dump, path: &Path, about: &str) {
    let Some(wimlib) = support::oracle("wimlib-imagex") else { return };
    wimlib.run(["verify".as_ref(), path.as_os_str()]);
    let difference = dump::difference(reference, &dump::dump_image(&wimlib, path, 1));
    assert!(difference.is_empty(), "{about}: {difference:#?}");
    if let Some(sevenzip) = support::oracle("7z") {
        sevenzip.run(["t".as_ref(), "-bso0".as_ref(), path.as_os_str()]);
    }
}

#[test]
fn what_we_write_in_any_form_the_peers_read() {
    let folder = support::temporary_folder();
    let (tree, path) = (tree(), folder.path().join("ours.wim"));
    let Some(reference) = reference(&tree, folder.path()) else { return };
    for (number, form) in forms().into_iter().enumerate() {
        let about = format!("{form:?}");
        let form = WriteSettings { integrity: number % 2 == 0, boot_index: 1, ..form };
        write_tree(&tree, &path, &form).unwrap();
        check_contents(&open(&path), &tree);
        assert_same(&reference, &path, &about);
    }
}

#[test]
fn what_wimlib_writes_in_any_form_we_read_and_write_again() {
    let Some(wimlib) = support::oracle("wimlib-imagex") else { return };
    let folder = support::temporary_folder();
    let tree = tree();
    let Some(reference) = reference(&tree, folder.path()) else { return };
    let source = folder.path().join("reference.wim");
    let mut forms: Vec<Vec<String>> = Vec::new();
    for (codec, levels, chunk_sizes) in [
        ("XPRESS", &["20", "50", "100"][..], &["4K", "32K", "64K"][..]),
        ("LZX", &["20", "50", "100"], &["32K", "64K", "512K", "2M"]),
        ("LZMS", &["20", "50", "100"], &["32K", "128K", "1M", "4M"]),
    ] {
        for level in levels {
            for size in chunk_sizes {
                let compress = format!("--compress={codec}:{level}");
                forms.push(vec![compress, format!("--chunk-size={size}")]);
            }
        }
        for size in ["32K", "64K", "1M", "64M"] {
            let allowed = match codec {
                "XPRESS" => matches!(size, "32K" | "64K"),
                "LZX" => size != "64M",
                _ => true,
            };
            if allowed {
                forms.push(vec![
                    "--solid".to_owned(),
                    format!("--solid-compress={codec}"),
                    format!("--solid-chunk-size={size}"),
                ]);
            }
        }
    }
    for form in forms {
        let path = folder.path().join("theirs.wim");
        let _ignored = fs_err::remove_file(&path);
        let mut arguments: Vec<OsString> =
            vec!["export".into(), source.clone().into(), "all".into(), path.clone().into()];
        arguments.extend(form.iter().map(OsString::from));
        wimlib.run(arguments);
        let wim = open(&path);
        check_contents(&wim, &tree);
        let again = folder.path().join("again.wim");
        rewrite(&wim, &again, &settings((Codec::Xpress, 32 << 10))).unwrap();
        assert_same(&reference, &again, &form.join(" "));
    }
}

#[test]
fn split_sets_go_both_ways() {
    let Some(wimlib) = support::oracle("wimlib-imagex") else { return };
    let folder = support::temporary_folder();
    let mut tree = tree();
    for number in 0..8 {
        tree.file(0, &format!("part{number}.bin"), &noise(400_000, number + 20));
    }
    let Some(reference) = reference(&tree, folder.path()) else { return };
    for form in [settings((Codec::Lzx, 32 << 10)), settings((Codec::None, 0))] {
        let whole = folder.path().join("whole.wim");
        write_tree(&tree, &whole, &WriteSettings { integrity: true, ..form }).unwrap();
        let first = folder.path().join("ours.swm");
        let mut create = |number| Ok(fs_err::File::create_new(part_path(&first, number))?.into());
        let parts =
            split_wim(&open(&whole), 1 << 20, &mut create, &|_| (), &|| false).unwrap().len();
        assert!(parts > 3, "{parts}");
        check_contents(&open(&first), &tree);
        let joined = folder.path().join("joined.wim");
        let names = (1..=parts).map(|number| part_path(&first, u16::try_from(number).unwrap()));
        let mut arguments: Vec<OsString> = vec!["join".into(), joined.clone().into()];
        arguments.extend(names.clone().map(OsString::from));
        wimlib.run(arguments);
        check_contents(&open(&joined), &tree);
        assert_same(&reference, &joined, "joined by wimlib");
        if let Some(sevenzip) = support::oracle("7z") {
            sevenzip.run(["t".as_ref(), "-bso0".as_ref(), first.as_os_str()]);
        }

        let theirs = folder.path().join("theirs.swm");
        wimlib.run(["split".as_ref(), whole.as_os_str(), theirs.as_os_str(), "1".as_ref()]);
        let wim = open(&theirs);
        assert!(wim.volumes().len() > 3);
        check_contents(&wim, &tree);
        let ours = folder.path().join("ours.wim");
        rewrite(&wim, &ours, &form).unwrap();
        assert_same(&reference, &ours, "joined by us");
        for entry in fs_err::read_dir(folder.path()).unwrap() {
            let path = entry.unwrap().path();
            if !path.ends_with("reference.wim") {
                fs_err::remove_file(path).unwrap();
            }
        }
    }
}

#[test]
fn metadata_of_which_little_changed_is_the_same_as_if_all_were_compressed_anew() {
    let folder = support::temporary_folder();
    let mut tree = tree();
    for number in 0..3000 {
        tree.file(0, &format!("file {number} of many"), format!("{number}").as_bytes());
    }
    let (before, path) = (folder.path().join("before.wim"), folder.path().join("after.wim"));
    for form in [
        settings((Codec::Lzx, 32 << 10)),
        settings((Codec::Xpress, 4 << 10)),
        settings((Codec::None, 0)),
    ] {
        write_tree(&tree, &before, &form).unwrap();
        let wim = open(&before);
        let mut image = wim.metadata(1).unwrap();
        let last = image.dentries.len() - 1;
        image.dentries[last].attributes ^= 1;
        let bytes = image.encode();
        assert!(bytes.len() > 300_000);
        let like = MetadataToWrite::Like { bytes: bytes.clone(), wim: wim.clone(), index: 1 };
        let mut files = Vec::new();
        // What is like nothing in another form is compressed anew.
        for (images, form) in [
            (like.clone(), form),
            (MetadataToWrite::Bytes(bytes.clone()), form),
            (like, settings((Codec::Lzx, 64 << 10))),
        ] {
            let blobs = wim.blobs().iter().map(|blob| BlobToWrite {
                sha1: blob.sha1,
                size: blob.size,
                reference_count: blob.reference_count,
                source: BlobSource::Wim { wim: wim.clone(), blob: *blob },
            });
            let file = fs_err::File::create(&path).unwrap();
            let (blobs, xml) = (blobs.collect(), wim.xml().clone());
            let output = fs_err::OpenOptions::new().read(true).write(true).open(&path).unwrap();
            drop(file);
            write_wim(output.file(), &form, blobs, vec![images], xml, &|_| (), &|| false).unwrap();
            assert_eq!(open(&path).metadata_bytes(1).unwrap(), bytes);
            files.push(fs_err::read(&path).unwrap());
        }
        assert!(files[0] == files[1], "the same encoder gives the same bytes either way");
    }
}
