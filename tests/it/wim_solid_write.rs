//! Writing solid resources: what we write is what we read and what wimlib and 7-Zip read, and what lies in them already is not compressed again.

use std::{path::Path, sync::Arc};

use fs_err as fs;
use transom::{
    codec::{self, Codec, Level},
    format::wim::{
        BlobSource, BlobToWrite, Header, MetadataToWrite, Solid, Wim, WimError, WriteReport,
        WriteSettings, append_wim, encode_resource,
    },
};

use crate::{
    support,
    wim_tree::{noise, rich_tree, text},
    wim_write::{
        check_contents, check_with_peers, open, rewrite, settings, write, write_tree, xml,
    },
};

const SOLIDS: &[(Codec, u32)] = &[
    (Codec::Xpress, 4096),
    (Codec::Xpress, 65536),
    (Codec::Lzx, 32768),
    (Codec::Lzx, 2 << 20),
    (Codec::Lzms, 32768),
    (Codec::Lzms, 1 << 20),
    (Codec::Lzms, 64 << 20),
];

/// Those that this build can write.
fn solids() -> impl Iterator<Item = Solid> {
    SOLIDS
        .iter()
        .filter(|(codec, chunk_size)| codec::encoder(*codec, *chunk_size, Level::Fast).is_ok())
        .map(|&(codec, chunk_size)| Solid { codec, chunk_size })
}

fn solid_settings(solid: Solid) -> WriteSettings {
    let own = settings((Codec::Lzx, 32768));
    WriteSettings { solid: Some(solid), integrity: true, boot_index: 1, ..own }
}

const LZX: Solid = Solid { codec: Codec::Lzx, chunk_size: 65536 };

#[test]
fn what_is_written_is_what_is_read_and_peers_accept_it() {
    let tree = rich_tree();
    let folder = support::temporary_folder();
    let path = folder.path().join("out.wim");
    for solid in solids() {
        let report = write_tree(&tree, &path, &solid_settings(solid)).unwrap();
        assert_eq!(report.file_size, fs::metadata(&path).unwrap().len());
        let wim = open(&path);
        assert_eq!(wim.header().version, Header::VERSION_SOLID);
        assert_eq!((wim.codec(), wim.chunk_size()), (Codec::Lzx, 32768));
        let [resource] = wim.solids(0) else { panic!("{} solid resources", wim.solids(0).len()) };
        assert_eq!((resource.codec(), resource.chunk_size()), (solid.codec, solid.chunk_size));
        assert_eq!(
            resource.size(),
            tree.blobs.values().map(|(bytes, _)| bytes.len() as u64).sum::<u64>()
        );
        assert!(wim.blobs().iter().all(|blob| blob.solid == Some(0)));
        // In the order of the plan.
        let order: Vec<_> = wim.blobs_of_solid(0, 0).map(|blob| blob.sha1).collect();
        assert_eq!(order, tree.blobs.keys().copied().collect::<Vec<_>>());
        check_contents(&wim, &tree);
        check_with_peers(&path);
        let Some(wimlib) = support::oracle("wimlib-imagex") else { continue };
        let target = folder.path().join(format!("applied {} {}", solid.codec, solid.chunk_size));
        wimlib.run(["apply".as_ref(), path.as_os_str(), "1".as_ref(), target.as_os_str()]);
        let system = target.join("Windows/System32");
        assert!(fs::read(system.join("bignoise.bin")).unwrap() == noise(1_500_001, 2));
        assert_eq!(fs::read(target.join("symlink.txt")).unwrap(), b"main");
        fs::remove_dir_all(&target).unwrap();
    }
}

#[test]
fn the_bytes_do_not_depend_on_the_number_of_threads() {
    let tree = rich_tree();
    let folder = support::temporary_folder();
    for solid in solids() {
        let mut results = Vec::new();
        for threads in [1, 2, 5] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let path = folder.path().join(format!("{threads}.wim"));
            pool.install(|| write_tree(&tree, &path, &solid_settings(solid)).unwrap());
            results.push(fs::read(&path).unwrap());
        }
        assert!(results.windows(2).all(|pair| pair[0] == pair[1]), "{solid:?}");
    }
}

#[test]
fn what_lies_in_long_chunks_becomes_single_resources_and_goes_back() {
    let esd = Solid::default();
    if !solids().any(|solid| solid == esd) {
        return;
    }
    let tree = rich_tree();
    let folder = support::temporary_folder();
    let (first, second) = (folder.path().join("1.wim"), folder.path().join("2.wim"));
    write_tree(&tree, &first, &solid_settings(esd)).unwrap();
    rewrite(&open(&first), &second, &settings((Codec::Xpress, 4096))).unwrap();
    check_contents(&open(&second), &tree);
    let report = rewrite(&open(&first), &second, &solid_settings(LZX)).unwrap();
    assert_eq!(report.encoded_bytes, open(&first).solids(0)[0].size());
    check_contents(&open(&second), &tree);
}

/// Some of the blobs of a WIM, the others dropped, without images.
fn rewrite_some(
    wim: &Arc<Wim>,
    path: &Path,
    settings: &WriteSettings,
    wanted: impl Fn(usize) -> bool,
) -> Result<WriteReport, WimError> {
    let blobs = wim.blobs().iter().enumerate().filter(|(place, _)| wanted(*place));
    let blobs = blobs.map(|(_, &blob)| BlobToWrite {
        sha1: blob.sha1,
        size: blob.size,
        reference_count: blob.reference_count,
        source: BlobSource::Wim { wim: Arc::clone(wim), blob },
    });
    let settings = WriteSettings { boot_index: 0, ..*settings };
    write(path, &settings, blobs.collect(), vec![], xml(&[]))
}

#[test]
fn a_solid_resource_that_is_mostly_wanted_is_copied_and_others_are_made_anew() {
    let tree = rich_tree();
    let folder = support::temporary_folder();
    let (first, second) = (folder.path().join("1.wim"), folder.path().join("2.wim"));
    write_tree(&tree, &first, &solid_settings(LZX)).unwrap();
    let wim = open(&first);
    let report = rewrite(&wim, &second, &solid_settings(LZX)).unwrap();
    assert_eq!(report.encoded_bytes, 0);
    assert!(fs::read(&first).unwrap() == fs::read(&second).unwrap());
    // One small blob is dropped: its entry is gone, its bytes are not.
    let small = (0..wim.blobs().len()).min_by_key(|&place| wim.blobs()[place].size).unwrap();
    let report = rewrite_some(&wim, &second, &solid_settings(LZX), |place| place != small).unwrap();
    assert_eq!(report.encoded_bytes, 0);
    let fewer = open(&second);
    assert_eq!(fewer.blobs().len(), wim.blobs().len() - 1);
    assert_eq!(fewer.solids(0)[0].size(), wim.solids(0)[0].size());
    assert!(fewer.verify(&|_| ()).unwrap().is_good());
    // Hardly anything is wanted, or in another form: made anew, without holes.
    let report = rewrite_some(&wim, &second, &solid_settings(LZX), |place| place == small).unwrap();
    assert_eq!(report.encoded_bytes, wim.blobs()[small].size);
    assert_eq!(open(&second).solids(0)[0].size(), wim.blobs()[small].size);
    let other = Solid { codec: Codec::Xpress, chunk_size: 32768 };
    let report = rewrite(&wim, &second, &solid_settings(other)).unwrap();
    assert_eq!(report.encoded_bytes, wim.solids(0)[0].size());
    check_contents(&open(&second), &tree);
    // And to resources of their own, and back.
    let third = folder.path().join("3.wim");
    for pair in [(Codec::None, 0), (Codec::Xpress, 4096), (Codec::Lzx, 32768)] {
        rewrite(&wim, &second, &settings(pair)).unwrap();
        let single = open(&second);
        assert_eq!(single.header().version, Header::VERSION);
        check_contents(&single, &tree);
        rewrite(&single, &third, &solid_settings(LZX)).unwrap();
        check_contents(&open(&third), &tree);
    }
}

#[test]
fn several_solid_resources_make_one_run() {
    let folder = support::temporary_folder();
    let path = folder.path().join("out.wim");
    let bases: Vec<Arc<Wim>> = [(1_u32, 700_000), (2, 300_000)]
        .iter()
        .map(|&(seed, size)| {
            let path = folder.path().join(format!("{seed}.wim"));
            let blobs = vec![bytes(noise(size, seed)), bytes(text(size + seed as usize))];
            let settings = WriteSettings { boot_index: 0, ..solid_settings(LZX) };
            write(&path, &settings, blobs, vec![], xml(&[])).unwrap();
            open(&path)
        })
        .collect();
    let of_bases = bases.iter().flat_map(|wim| {
        wim.blobs().iter().map(|&blob| BlobToWrite {
            sha1: blob.sha1,
            size: blob.size,
            reference_count: 1,
            source: BlobSource::Wim { wim: Arc::clone(wim), blob },
        })
    });
    // A resource that is ready is decoded, as it cannot lie in a solid one.
    let content = text(123_456);
    let mut store = Vec::new();
    let ready = encode_resource(&content, (Codec::Lzx, 32768, Level::Fast), &mut store).unwrap();
    let stored = BlobToWrite {
        sha1: ready.sha1,
        size: ready.size,
        reference_count: 1,
        source: BlobSource::Resource {
            source: Arc::new(store),
            offset: 0,
            stored_size: ready.stored_size,
            compressed: ready.compressed,
        },
    };
    let blobs = of_bases.chain([bytes(noise(50_000, 3)), stored]).collect();
    let settings = WriteSettings { boot_index: 0, ..solid_settings(LZX) };
    let report = write(&path, &settings, blobs, vec![], xml(&[])).unwrap();
    assert_eq!(report.encoded_bytes, 173_456);
    let wim = open(&path);
    assert_eq!((wim.solids(0).len(), wim.blobs().len()), (3, 6));
    assert!(wim.verify(&|_| ()).unwrap().is_good());
    if let Some(wimlib) = support::oracle("wimlib-imagex") {
        wimlib.run(["verify".as_ref(), path.as_os_str()]);
    }
}

fn bytes(bytes: Vec<u8>) -> BlobToWrite {
    BlobToWrite {
        sha1: transom::base::digest::Sha1::of(&bytes),
        size: bytes.len() as u64,
        reference_count: 1,
        source: BlobSource::Bytes { source: Arc::new(bytes) },
    }
}

#[test]
fn a_solid_file_grows_in_place() {
    let tree = rich_tree();
    let folder = support::temporary_folder();
    let path = folder.path().join("out.wim");
    write_tree(&tree, &path, &solid_settings(LZX)).unwrap();
    let wim = open(&path);
    let size = wim.source().size();
    let mut other = rich_tree();
    other.file(0, "new.txt", &text(1_234_567));
    let blobs = other.blobs.iter().map(|(sha1, (content, count))| BlobToWrite {
        sha1: *sha1,
        size: content.len() as u64,
        reference_count: *count,
        source: BlobSource::Bytes { source: Arc::new(content.clone()) },
    });
    let images = vec![MetadataToWrite::Bytes(other.image.encode())];
    let settings = solid_settings(LZX);
    let document = xml(&["The image"]);
    let report =
        append_wim(&path, &wim, &settings, blobs.collect(), images, document, &|_| (), &|| false)
            .unwrap();
    assert!(report.encoded_bytes < 1_234_567 + 100_000, "{report:?}");
    assert!(report.file_size < size + 100_000);
    let changed = open(&path);
    assert_eq!(changed.solids(0).len(), 2);
    check_contents(&changed, &other);
    check_with_peers(&path);
}

#[test]
fn what_wimlib_made_solid_is_copied_and_compressed_anew() {
    let Some(wimlib) = support::oracle("wimlib-imagex") else { return };
    let folder = support::temporary_folder();
    let tree = folder.path().join("tree");
    fs::create_dir_all(&tree).unwrap();
    for number in 0..40_u32 {
        fs::write(tree.join(format!("t{number}")), text(10_000 + 7_001 * number as usize)).unwrap();
        fs::write(tree.join(format!("n{number}")), noise(3_000, number)).unwrap();
    }
    let path = folder.path().join("theirs.wim");
    let again = folder.path().join("again.wim");
    for (name, codec, chunk_size) in [
        ("xpress", Codec::Xpress, 65536),
        ("lzx", Codec::Lzx, 1 << 20),
        ("lzms", Codec::Lzms, 1 << 20),
    ] {
        let solid = Solid { codec, chunk_size };
        if codec::encoder(codec, chunk_size, Level::Fast).is_err() {
            continue;
        }
        let _ignored = fs::remove_file(&path);
        wimlib.run([
            "capture".as_ref(),
            tree.as_os_str(),
            path.as_os_str(),
            "--solid".as_ref(),
            format!("--solid-compress={name}").as_ref(),
            format!("--solid-chunk-size={chunk_size}").as_ref(),
        ]);
        let wim = open(&path);
        let own = settings((wim.codec(), wim.chunk_size()));
        if codec::encoder(own.codec, own.chunk_size.max(32768), own.level).is_err() {
            continue;
        }
        let report = rewrite(&wim, &again, &WriteSettings { solid: Some(solid), ..own }).unwrap();
        assert_eq!(report.encoded_bytes, 0, "{name}");
        check_with_peers(&again);
        let report = rewrite(&wim, &again, &WriteSettings { solid: None, ..own }).unwrap();
        assert!(report.encoded_bytes > 0);
        assert!(open(&again).solids(0).is_empty());
        check_with_peers(&again);
    }
}
