//! Changing a WIM in place: peers read what comes out, and a process that is killed leaves the old file or the new one.

use std::{path::Path, sync::Arc};

use fs_err as fs;
use transom::{
    base::{digest::Sha1, limits::Limits},
    codec::Codec,
    format::wim::{
        BlobSource, BlobToWrite, MetadataToWrite, Recovered, Wim, WimError, WriteReport,
        WriteSettings, append_wim, hold, recover,
    },
};

use crate::{
    support,
    wim_tree::{Tree, noise, rich_tree, text},
    wim_write::{check_contents, check_with_peers, open, settings, write_tree, xml},
};

/// Makes the file one that has `tree` alone.
fn change(
    path: &Path,
    wim: &Arc<Wim>,
    tree: &Tree,
    settings: &WriteSettings,
) -> Result<WriteReport, WimError> {
    let blobs = tree.blobs.iter().map(|(sha1, (bytes, count))| BlobToWrite {
        sha1: *sha1,
        size: bytes.len() as u64,
        reference_count: *count,
        source: BlobSource::Bytes { source: Arc::new(bytes.clone()) },
    });
    let images = vec![MetadataToWrite::Bytes(tree.image.encode())];
    append_wim(path, wim, settings, blobs.collect(), images, xml(&["The image"]), &|_| (), &|| {
        false
    })
}

#[test]
fn peers_read_what_was_changed_in_place() {
    let tree = rich_tree();
    let mut other = rich_tree();
    other.file(0, "new.txt", &text(800_000));
    other.file(0, "new.bin", &noise(200_000, 77));
    let folder = support::temporary_folder();
    let path = folder.path().join("out.wim");
    for pair in
        [(Codec::None, 0), (Codec::Xpress, 4096), (Codec::Lzx, 32768), (Codec::Lzx, 2 << 20)]
    {
        let settings = WriteSettings { boot_index: 1, integrity: true, ..settings(pair) };
        write_tree(&tree, &path, &settings).unwrap();
        let old = fs::read(&path).unwrap();
        let report = change(&path, &open(&path), &other, &settings).unwrap();
        // The new files, and the metadata.
        assert!(report.encoded_bytes < 1_000_000 + 100_000, "{report:?}");
        let new = fs::read(&path).unwrap();
        assert_eq!(report.file_size, new.len() as u64);
        assert!(new[208..old.len()] == old[208..]);
        let wim = open(&path);
        assert_eq!(wim.header().boot_metadata, wim.metadata_blob(1).unwrap().resource);
        assert_eq!(wim.xml().total_bytes(), Some(wim.header().xml.offset));
        check_contents(&wim, &other);
        check_with_peers(&path);
        if let Some(wimlib) = support::oracle("wimlib-imagex") {
            let target = folder.path().join(format!("applied {} {}", pair.0, pair.1));
            wimlib.run(["apply".as_ref(), path.as_os_str(), "1".as_ref(), target.as_os_str()]);
            assert!(fs::read(target.join("new.bin")).unwrap() == noise(200_000, 77));
            // What it makes of the file is what we made: nothing is missing.
            wimlib.run(["optimize".as_ref(), path.as_os_str()]);
            check_contents(&open(&path), &other);
        }
        // Without the files again: nothing but tables is written.
        let wim = open(&path);
        let report = change(&path, &wim, &tree, &settings).unwrap();
        assert_eq!(report.encoded_bytes, tree.image.encode().len() as u64);
        check_contents(&open(&path), &tree);
        check_with_peers(&path);
    }
}

#[test]
fn what_wimlib_made_is_changed_in_place() {
    let Some(wimlib) = support::oracle("wimlib-imagex") else { return };
    let folder = support::temporary_folder();
    let source = folder.path().join("tree");
    fs::create_dir_all(&source).unwrap();
    fs::write(source.join("text"), text(900_000)).unwrap();
    fs::write(source.join("noise"), noise(300_000, 4)).unwrap();
    let path = folder.path().join("theirs.wim");
    wimlib.run([
        "capture".as_ref(),
        source.as_os_str(),
        path.as_os_str(),
        "--compress=xpress".as_ref(),
        "--check".as_ref(),
        "--boot".as_ref(),
    ]);
    let wim = open(&path);
    let tree = rich_tree();
    let mut blobs: Vec<BlobToWrite> = wim
        .blobs()
        .iter()
        .map(|&blob| BlobToWrite {
            sha1: blob.sha1,
            size: blob.size,
            reference_count: blob.reference_count,
            source: BlobSource::Wim { wim: Arc::clone(&wim), blob },
        })
        .collect();
    blobs.extend(tree.blobs.iter().map(|(sha1, (bytes, count))| BlobToWrite {
        sha1: *sha1,
        size: bytes.len() as u64,
        reference_count: *count,
        source: BlobSource::Bytes { source: Arc::new(bytes.clone()) },
    }));
    let images = vec![
        MetadataToWrite::Copy { wim: Arc::clone(&wim), index: 1 },
        MetadataToWrite::Bytes(tree.image.encode()),
    ];
    let own = settings((wim.codec(), wim.chunk_size()));
    let settings = WriteSettings { boot_index: 2, integrity: true, ..own };
    let names = xml(&["Theirs", "Ours"]);
    append_wim(&path, &wim, &settings, blobs, images, names, &|_| (), &|| false).unwrap();
    let changed = open(&path);
    assert!(changed.verify(&|_| ()).unwrap().is_good());
    assert_eq!(changed.blob(&Sha1::of(&text(900_000))), wim.blob(&Sha1::of(&text(900_000))));
    check_with_peers(&path);
    for (index, name) in [("1", "noise"), ("2", "symlink.txt")] {
        let target = folder.path().join(index);
        wimlib.run(["apply".as_ref(), path.as_os_str(), index.as_ref(), target.as_os_str()]);
        assert!(target.join(name).exists());
    }
}

#[test]
fn what_is_left_of_an_interrupted_change_is_undone() {
    let tree = rich_tree();
    let folder = support::temporary_folder();
    let path = folder.path().join("out.wim");
    write_tree(&tree, &path, &settings((Codec::Lzx, 32768))).unwrap();
    let old = fs::read(&path).unwrap();
    assert_eq!(recover(&path).unwrap(), Recovered::Nothing);
    // A journal that was cut off, beside a file that was not touched.
    let journal = folder.path().join("out.wim.transom-journal");
    fs::write(&journal, b"TRANSOM-WIM-JN").unwrap();
    let refused = change(&path, &open(&path), &tree, &settings((Codec::Lzx, 32768)));
    assert!(refused.unwrap_err().to_string().contains("recover it first"));
    assert_eq!(recover(&path).unwrap(), Recovered::Undone);
    assert!(fs::read(&path).unwrap() == old && !journal.exists());
    // Something else of that name is not ours to delete.
    fs::write(&journal, b"a letter to my aunt").unwrap();
    assert!(recover(&path).is_err() && journal.exists());
    assert!(Wim::open_path(&path, &Limits::default()).is_ok());
}

#[cfg(unix)]
#[test]
fn a_file_that_is_held_is_changed_by_nobody_else() {
    let tree = rich_tree();
    let folder = support::temporary_folder();
    let path = folder.path().join("out.wim");
    let settings = settings((Codec::Lzx, 32768));
    write_tree(&tree, &path, &settings).unwrap();
    let wim = open(&path);
    let held = hold(&path, &wim).unwrap();
    let refused = change(&path, &wim, &tree, &settings).unwrap_err().to_string();
    assert!(refused.contains("another process"), "{refused}");
    assert!(hold(&path, &wim).unwrap_err().to_string().contains("another process"));
    drop(held);
    // What a process that died left behind would stay beside the new file and not be its own.
    let journal = folder.path().join("out.wim.transom-journal");
    fs::write(&journal, b"TRANSOM-WIM-JN").unwrap();
    assert!(hold(&path, &wim).unwrap_err().to_string().contains("recover it first"));
    fs::remove_file(&journal).unwrap();
    // A change that somebody finished since the file was opened must not be lost.
    let mut other = rich_tree();
    other.file(0, "new.txt", &text(1000));
    change(&path, &open(&path), &other, &settings).unwrap();
    let told = free(|| hold(&path, &wim)).unwrap_err().to_string();
    assert!(told.contains("changed by somebody else"), "{told}");
    free(|| hold(&path, &open(&path))).unwrap();
}

/// Tries again while a program that another test starts has the lock: between its fork and its exec it holds every file of this process.
fn free<T>(hold: impl Fn() -> Result<T, WimError>) -> Result<T, WimError> {
    for _ in 0..200 {
        match hold() {
            Err(error) if error.to_string().contains("another process") => {
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
            other => return other,
        }
    }
    hold()
}
