//! Images that others made: what was not touched comes out byte for byte, and what was edited differs by exactly that.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use fs_err as fs;
use transom::{
    base::limits::Limits,
    format::{
        hive::Value,
        wim::{Element, Wim},
    },
    image::{Image, ImageCounts, NewNode, RegistryPath},
};

use crate::{
    image_fixture::{EPOCH, MemoryStore, path, save_with},
    support::{
        self,
        dump::{difference, dump_image},
    },
};

fn all_wims() -> Vec<PathBuf> {
    let mut paths = Vec::new();
    for folder in ["wim", "wim/dissect", "wim/managedwimlib", "wim/hostile"] {
        let Some(folder) = support::shared_data(folder) else { return Vec::new() };
        paths.extend(fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()));
    }
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "wim"));
    paths.sort();
    paths
}

/// What the XML says, where DISM wrote it. (wimlib counts the root as a folder.)
fn check_counts(place: &Path, element: &Element, counts: &ImageCounts) {
    let by_wimlib = place.parent().unwrap().ends_with("managedwimlib");
    for (name, count) in [
        ("DIRCOUNT", counts.directories + u64::from(by_wimlib)),
        ("FILECOUNT", counts.files),
        ("TOTALBYTES", counts.total_bytes),
        ("HARDLINKBYTES", counts.hard_link_bytes),
    ] {
        let text = element.text(&[name]);
        assert_eq!(text, Some(count.to_string().as_str()), "{name} of {}", place.display());
    }
}

#[test]
fn untouched_images_of_others_come_out_byte_for_byte() {
    let mut compared = 0;
    for place in all_wims() {
        let Ok(wim) = Wim::open_path(&place, &Limits::default()) else { continue };
        let wim = Arc::new(wim);
        for index in 1..=wim.image_count() {
            let Ok(image) = Image::open(Arc::clone(&wim), index, &Limits::default()) else {
                continue;
            };
            let odd = !wim.metadata(index).unwrap().warnings.is_empty();
            let hostile = place.parent().unwrap().ends_with("hostile");
            match image.finish() {
                Ok(finished) => {
                    assert!(!finished.changed);
                    let stored = wim.read_blob(wim.metadata_blob(index).unwrap()).unwrap();
                    let parsed = wim.metadata(index).unwrap().encode();
                    if finished.metadata.encode() != parsed {
                        panic!("{}: image {index} lost something in the tree", place.display());
                    }
                    // Where the file has oddities or another order of directories the bytes cannot be the same.
                    if parsed == stored {
                        compared += 1;
                    } else {
                        assert!(odd || hostile || !parsed.is_empty());
                    }
                    for blob in &finished.blobs {
                        assert!(wim.blob(&blob.sha1).is_some());
                    }
                    if !hostile && !odd {
                        check_counts(&place, wim.xml().image(index).unwrap(), &finished.counts);
                    }
                }
                Err(error) => assert!(
                    hostile || error.to_string().contains("is not in the WIM"),
                    "{}: {error}",
                    place.display()
                ),
            }
        }
    }
    assert!(compared > 3 || all_wims().is_empty(), "{compared} images compared");
}

#[test]
fn the_real_boot_image_differs_by_the_edits_alone() {
    let Some(base) = support::shared_data("wim/wimbuilder2-boot.wim") else { return };
    let Some(wimlib) = support::oracle("wimlib-imagex") else { return };
    let folder = support::temporary_folder();
    let wim = Arc::new(Wim::open_path(&base, &Limits::default()).unwrap());
    let store = MemoryStore::default();
    let mut image = Image::open(Arc::clone(&wim), 1, &Limits::default()).unwrap();
    image.set_epoch(EPOCH);
    let facts = image.facts();
    assert_eq!(facts.warnings, Vec::<String>::new());
    assert_eq!(facts.build, None, "its hives have no CurrentVersion");
    image.begin_step();
    let start = RegistryPath::parse(r"HKLM\SYSTEM\CurrentControlSet\Services\Test").unwrap();
    image.set_value(&start, &Value::dword("Start", 4)).unwrap();
    image
        .put_file(
            &path(r"\Windows\Setup\Scripts\SetupComplete.cmd"),
            store.add(b"rem\r\n"),
            &NewNode::default(),
        )
        .unwrap();
    let changes = image.end_step();
    let output = folder.path().join("out.wim");
    save_with(image.finish().unwrap(), Some((&wim, 1)), &store, &output);
    wimlib.run(["verify".as_ref(), output.as_os_str()]);
    let lines = difference(&dump_image(&wimlib, &base, 1), &dump_image(&wimlib, &output, 1));
    let text = lines.join("\n");
    // New: the files and folders put; changed: the hive, and the times of the folders that got an entry. No other path may appear.
    let added = changes.0.iter().filter(|change| format!("{change:?}").contains("path:")).count();
    assert!(added >= 1, "{changes:?}");
    println!("{text}");
    for line in &lines {
        assert!(
            [
                "SetupComplete.cmd",
                "config/SYSTEM",
                "/Scripts",
                "/Setup",
                "/Windows",
                "Last Write Time"
            ]
            .iter()
            .any(|known| line.contains(known)),
            "{line}\n\n{text}"
        );
    }
    let second = folder.path().join("second.wim");
    let wim = Arc::new(Wim::open_path(&output, &Limits::default()).unwrap());
    let mut image = Image::open(Arc::clone(&wim), 1, &Limits::default()).unwrap();
    assert_eq!(image.registry_value(&start, &"Start".into()).unwrap().unwrap().as_dword(), Some(4));
    save_with(image.finish().unwrap(), Some((&wim, 1)), &store, &second);
    assert_eq!(
        fs::read(&output).unwrap(),
        fs::read(&second).unwrap(),
        "nothing changed, the same bytes"
    );
}
