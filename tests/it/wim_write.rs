//! Writing WIM files: what we write is what we read, what wimlib and 7-Zip accept, and the same for any number of threads.

use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::Arc,
};

use fs_err as fs;
use proptest::prelude::*;
use transom::{
    base::{digest::Sha1, limits::Limits, malformed::Malformed, read_at::FileSource},
    codec::{Codec, Level},
    format::wim::{
        BlobSource, BlobToWrite, Dentry, Element, MetadataToWrite, Solid, StreamKind, Wim,
        WimError, WimXml, WriteReport, WriteSettings, encode_resource, write_wim,
    },
};

use crate::{
    support,
    wim_tree::{Tree, data, noise, rich_tree, text, times},
};

const SETTINGS: &[(Codec, u32)] = &[
    (Codec::None, 0),
    (Codec::Xpress, 4096),
    (Codec::Xpress, 32768),
    (Codec::Xpress, 65536),
    (Codec::Lzx, 32768),
    (Codec::Lzx, 131_072),
    (Codec::Lzx, 2 << 20),
];

pub(crate) fn settings((codec, chunk_size): (Codec, u32)) -> WriteSettings {
    let level = Level::Fast;
    WriteSettings {
        codec,
        chunk_size,
        level,
        solid: None,
        integrity: false,
        boot_index: 0,
        rp_fix: true,
    }
}

pub(crate) fn xml(names: &[&str]) -> WimXml {
    let mut xml = WimXml::new();
    for name in names {
        let mut image = Element::new("IMAGE");
        image.set_text(&["NAME"], name);
        xml.push_image(image);
    }
    xml
}

pub(crate) fn write(
    path: &Path,
    settings: &WriteSettings,
    blobs: Vec<BlobToWrite>,
    images: Vec<MetadataToWrite>,
    xml: WimXml,
) -> Result<WriteReport, WimError> {
    let file: File = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(path)?
        .into();
    write_wim(&file, settings, blobs, images, xml, &|_| (), &|| false)
}

/// A WIM of one image.
pub(crate) fn write_tree(
    tree: &Tree,
    path: &Path,
    settings: &WriteSettings,
) -> Result<WriteReport, WimError> {
    let blobs = tree.blobs.iter().map(|(sha1, (bytes, count))| BlobToWrite {
        sha1: *sha1,
        size: bytes.len() as u64,
        reference_count: *count,
        source: BlobSource::Bytes { source: Arc::new(bytes.clone()) },
    });
    write(
        path,
        settings,
        blobs.collect(),
        vec![MetadataToWrite::Bytes(tree.image.encode())],
        xml(&["The image"]),
    )
}

pub(crate) fn check_contents(wim: &Wim, tree: &Tree) {
    let report = wim.verify(&|_| ()).unwrap();
    assert!(report.is_good(), "{:?}", report.problems);
    assert_eq!(report.warnings, Vec::<String>::new());
    assert_eq!(wim.blobs().len(), tree.blobs.len());
    for blob in wim.blobs() {
        let (bytes, count) = &tree.blobs[&blob.sha1];
        assert!(wim.read_blob(blob).unwrap() == *bytes);
        assert_eq!(blob.reference_count, *count);
    }
    let image = wim.metadata(1).unwrap();
    assert_eq!(image.encode(), tree.image.encode());
    assert_eq!(image.dentries.len(), tree.image.dentries.len());
}

pub(crate) fn open(path: &Path) -> Arc<Wim> {
    Arc::new(Wim::open_path(path, &Limits::default()).unwrap())
}

/// What wimlib and 7-Zip say of a file.
pub(crate) fn check_with_peers(path: &Path) {
    let file = path.as_os_str();
    if let Some(wimlib) = support::oracle("wimlib-imagex") {
        wimlib.run(["verify".as_ref(), file]);
    }
    if let Some(seven) = support::oracle("7z") {
        let printed = seven.run(["t".as_ref(), file]);
        let printed = String::from_utf8_lossy(&printed);
        assert!(printed.contains("Everything is Ok") && !printed.contains("WARN"), "{printed}");
    }
}

#[test]
fn what_is_written_is_what_is_read_and_peers_accept_it() {
    let tree = rich_tree();
    let folder = support::temporary_folder();
    for &pair in SETTINGS {
        let path = folder.path().join("out.wim");
        let settings = WriteSettings { integrity: true, boot_index: 1, ..settings(pair) };
        let report = write_tree(&tree, &path, &settings).unwrap();
        assert_eq!(report.file_size, fs::metadata(&path).unwrap().len());
        let wim = open(&path);
        assert_eq!((wim.codec(), wim.chunk_size()), pair);
        assert_eq!(wim.header().boot_metadata, wim.metadata_blob(1).unwrap().resource);
        assert_eq!(wim.xml().total_bytes(), Some(wim.header().xml.offset));
        assert_eq!(wim.xml().image_name(1), Some("The image"));
        check_contents(&wim, &tree);
        check_with_peers(&path);
    }
}

#[test]
fn wimlib_sees_and_applies_the_tree_we_wrote() {
    let Some(wimlib) = support::oracle("wimlib-imagex") else { return };
    let tree = rich_tree();
    let folder = support::temporary_folder();
    let path = folder.path().join("out.wim");
    for &pair in &[(Codec::None, 0), (Codec::Xpress, 4096), (Codec::Lzx, 32768)] {
        write_tree(&tree, &path, &settings(pair)).unwrap();
        let printed =
            wimlib.run(["dir".as_ref(), path.as_os_str(), "1".as_ref(), "--detailed".as_ref()]);
        let printed = String::from_utf8_lossy(&printed);
        for line in [
            "Full Path           = \"/streams.txt\"",
            "Named data stream \"first\":",
            "Short Name          = \"LONGFI~1.TXT\"",
            "Link Count          = 2",
            "Reparse Tag         = 0xa0000003",
            "Object ID",
        ] {
            assert!(printed.contains(line), "no {line} in\n{printed}");
        }
        let target = folder.path().join(format!("applied {}", pair.0));
        wimlib.run(["apply".as_ref(), path.as_os_str(), "1".as_ref(), target.as_os_str()]);
        let system = target.join("Windows/System32");
        assert!(
            fs::read(system.join("mixed.bin")).unwrap()
                == [noise(300_000, 3), text(1_500_000)].concat()
        );
        assert!(fs::read(system.join("bignoise.bin")).unwrap() == noise(1_500_001, 2));
        assert_eq!(fs::read(system.join("empty.txt")).unwrap(), b"");
        assert_eq!(fs::read(target.join("symlink.txt")).unwrap(), b"main");
        assert_eq!(
            fs::read(target.join("Windows/link of it.dll")).unwrap(),
            b"one file with two names"
        );
    }
}

#[test]
fn the_bytes_do_not_depend_on_the_number_of_threads() {
    let tree = rich_tree();
    let folder = support::temporary_folder();
    let source = folder.path().join("source.wim");
    write_tree(&tree, &source, &settings((Codec::Xpress, 4096))).unwrap();
    for pair in [(Codec::None, 0), (Codec::Xpress, 32768), (Codec::Lzx, 32768)] {
        let mut results = Vec::new();
        for threads in [1, 3] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let path = folder.path().join(format!("{threads}.wim"));
            pool.install(|| {
                let settings = WriteSettings { integrity: true, ..settings(pair) };
                write_tree(&tree, &path, &settings).unwrap();
                let made = fs::read(&path).unwrap();
                rewrite(&open(&source), &path, &settings).unwrap();
                results.push((made, fs::read(&path).unwrap()));
            });
        }
        assert!(results.windows(2).all(|pair| pair[0] == pair[1]), "{pair:?}");
    }
}

/// All of a WIM into a new one.
pub(crate) fn rewrite(
    wim: &Arc<Wim>,
    path: &Path,
    settings: &WriteSettings,
) -> Result<WriteReport, WimError> {
    let blobs = wim.blobs().iter().map(|&blob| BlobToWrite {
        sha1: blob.sha1,
        size: blob.size,
        reference_count: blob.reference_count,
        source: BlobSource::Wim { wim: Arc::clone(wim), blob },
    });
    let images =
        (1..=wim.image_count()).map(|index| MetadataToWrite::Copy { wim: Arc::clone(wim), index });
    write(path, settings, blobs.collect(), images.collect(), wim.xml().clone())
}

#[test]
fn a_wim_is_recompressed_from_any_settings_to_any_and_back() {
    let tree = rich_tree();
    let folder = support::temporary_folder();
    let (first, second) = (folder.path().join("1.wim"), folder.path().join("2.wim"));
    for from in [(Codec::None, 0), (Codec::Xpress, 4096), (Codec::Lzx, 2 << 20)] {
        write_tree(&tree, &first, &settings(from)).unwrap();
        for to in [(Codec::None, 0), (Codec::Xpress, 4096), (Codec::Lzx, 32768)] {
            let report = rewrite(&open(&first), &second, &settings(to)).unwrap();
            check_contents(&open(&second), &tree);
            if from == to {
                assert_eq!(report.encoded_bytes, 0);
                assert!(fs::read(&first).unwrap() == fs::read(&second).unwrap(), "{from:?}");
            }
        }
    }
}

#[test]
fn ready_resources_are_copied() {
    let folder = support::temporary_folder();
    let path = folder.path().join("out.wim");
    for &(codec, chunk_size) in SETTINGS {
        let mut blobs = Vec::new();
        for content in [text(1_000_000), noise(70_000, 5), text(10)] {
            let mut store = b"head".to_vec();
            let settings = (codec, chunk_size, Level::Fast);
            let encoded = encode_resource(&content, settings, &mut store).unwrap();
            blobs.push(BlobToWrite {
                sha1: encoded.sha1,
                size: encoded.size,
                reference_count: 1,
                source: BlobSource::Resource {
                    source: Arc::new(store),
                    offset: 4,
                    stored_size: encoded.stored_size,
                    compressed: encoded.compressed,
                },
            });
        }
        let report = write(&path, &settings((codec, chunk_size)), blobs, vec![], xml(&[])).unwrap();
        assert_eq!(report.encoded_bytes, 0);
        let wim = open(&path);
        let report = wim.verify(&|_| ()).unwrap();
        assert!(report.is_good(), "{:?}", report.problems);
        assert_eq!(report.bytes, 1_070_010);
    }
}

#[test]
fn plans_that_cannot_be_are_refused() {
    let folder = support::temporary_folder();
    let path = folder.path().join("out.wim");
    let none = settings((Codec::None, 0));
    let blob = |size, bytes: &[u8]| BlobToWrite {
        sha1: Sha1::of(b"abc"),
        size,
        reference_count: 1,
        source: BlobSource::Bytes { source: Arc::new(bytes.to_vec()) },
    };
    let error = |settings: &WriteSettings, blobs, images: Vec<MetadataToWrite>, xml| {
        write(&path, settings, blobs, images, xml).unwrap_err().to_string()
    };
    let image = || vec![MetadataToWrite::Bytes(Tree::new().image.encode())];
    let text = error(&none, vec![blob(3, b"abd")], vec![], xml(&[]));
    assert!(text.contains("SHA-1"), "{text}");
    let text = error(&none, vec![blob(4, b"abc")], vec![], xml(&[]));
    assert!(text.contains("another size"), "{text}");
    let text = error(&none, vec![blob(3, b"abc"), blob(4, b"abcd")], vec![], xml(&[]));
    assert!(text.contains("two sizes"), "{text}");
    let text = error(&none, vec![], image(), xml(&[]));
    assert!(text.contains("XML"), "{text}");
    let text = error(&WriteSettings { boot_index: 2, ..none }, vec![], image(), xml(&["a"]));
    assert!(text.contains("boot image 2 of 1"), "{text}");
    let text = error(&settings((Codec::Lzms, 16_384)), vec![], vec![], xml(&[]));
    assert!(text.contains("LZMS"), "{text}");
    let file = File::from(fs::File::create(&path).unwrap());
    let cancelled =
        write_wim(&file, &none, vec![blob(3, b"abc")], vec![], xml(&[]), &|_| (), &|| true);
    assert!(matches!(cancelled, Err(WimError::Cancelled)));
    // What was left behind says of itself that it is not complete, and is no WIM that opens.
    let left = Wim::open_path(&path, &Limits::default());
    assert!(matches!(left, Err(WimError::Malformed(Malformed { .. }))));
}

#[test]
fn the_real_boot_image_is_rewritten_and_wimlib_sees_no_difference() {
    let Some(base) = support::shared_data("wim/wimbuilder2-boot.wim") else { return };
    let folder = support::temporary_folder();
    let wim = open(&base);
    for &(codec, chunk_size) in &[(Codec::Lzx, 32768), (Codec::Xpress, 32768), (Codec::None, 0)] {
        let path = folder.path().join("boot.wim");
        let settings =
            WriteSettings { boot_index: 2, integrity: true, ..settings((codec, chunk_size)) };
        let report = rewrite(&wim, &path, &settings).unwrap();
        assert_eq!(report.encoded_bytes == 0, codec == Codec::Lzx);
        let ours = open(&path);
        assert!(ours.verify(&|_| ()).unwrap().is_good());
        // One resource for two images, as in this file, is more than 7-Zip opens.
        let places = [1, 2].map(|index| ours.metadata_blob(index).unwrap().resource.offset);
        assert_ne!(places[0], places[1]);
        check_with_peers(&path);
        let Some(wimlib) = support::oracle("wimlib-imagex") else { continue };
        for index in ["1", "2"] {
            let dir = |path: &Path| {
                let arguments =
                    ["dir".as_ref(), path.as_os_str(), index.as_ref(), "--detailed".as_ref()];
                let printed = String::from_utf8_lossy(&wimlib.run(arguments)).into_owned();
                // Where the bytes lie and how they are stored may differ.
                let moving = ["Offset in WIM", "Compressed size", "Flags    "];
                let stays = |line: &&str| !moving.iter().any(|text| line.contains(text));
                printed.lines().filter(stays).collect::<Vec<_>>().join("\n")
            };
            let (theirs, ours) = (dir(&base), dir(&path));
            assert!(theirs.len() > 10_000);
            let difference = theirs.lines().zip(ours.lines()).find(|(theirs, ours)| theirs != ours);
            assert_eq!(difference, None);
            assert_eq!(theirs.len(), ours.len());
        }
        let info = |path: &Path| {
            let bytes = wimlib.run(["info".as_ref(), path.as_os_str(), "--xml".as_ref()]);
            let mut xml = WimXml::parse(&bytes[..bytes.len() & !1]).unwrap();
            xml.set_total_bytes(0);
            xml
        };
        assert_eq!(info(&base), info(&path));
    }
}

#[test]
fn what_wimlib_captures_is_read_and_written_again() {
    let Some(wimlib) = support::oracle("wimlib-imagex") else { return };
    let folder = support::temporary_folder();
    let tree = folder.path().join("tree");
    fs::create_dir_all(tree.join("sub/empty")).unwrap();
    fs::write(tree.join("sub/text"), text(1_000_000)).unwrap();
    fs::write(tree.join("noise"), noise(300_000, 9)).unwrap();
    fs::write(tree.join("empty"), b"").unwrap();
    fs::hard_link(tree.join("noise"), tree.join("sub/noise too")).unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink("sub/text", tree.join("link")).unwrap();
    let path = folder.path().join("captured.wim");
    let again = folder.path().join("again.wim");
    for options in [
        &["--compress=none"][..],
        &["--compress=xpress", "--check", "--boot"],
        &["--compress=xpress", "--chunk-size=4096", "--unix-data"],
        &["--compress=xpress", "--chunk-size=65536"],
        &["--compress=lzx:20"],
        &["--compress=lzx:100", "--chunk-size=2097152", "--check"],
        &["--compress=lzx:50", "--chunk-size=65536", "--norpfix"],
    ] {
        let mut arguments: Vec<&std::ffi::OsStr> =
            vec!["capture".as_ref(), tree.as_os_str(), path.as_os_str()];
        arguments.extend(options.iter().map(std::ffi::OsStr::new));
        let _ignored = fs::remove_file(&path);
        wimlib.run(arguments);
        let wim = open(&path);
        let report = wim.verify(&|_| ()).unwrap();
        assert!(report.is_good() && report.warnings.is_empty(), "{options:?} {report:?}");
        assert_eq!(report.has_integrity_table, options.contains(&"--check"));
        let image = wim.metadata(1).unwrap();
        let links = image.dentries.iter().filter(|dentry| dentry.hard_link_group != 0).count();
        assert!(links >= 2, "{options:?}");
        // Our encoding of its metadata is its own.
        assert!(image.encode() == wim.metadata_bytes(1).unwrap(), "{options:?}");
        let settings = WriteSettings {
            boot_index: wim.header().boot_index,
            ..settings((wim.codec(), wim.chunk_size()))
        };
        assert_eq!(rewrite(&wim, &again, &settings).unwrap().encoded_bytes, 0);
        check_with_peers(&again);
    }
    for options in [&["--solid"][..], &["--compress=lzms"]] {
        let mut arguments: Vec<&std::ffi::OsStr> =
            vec!["capture".as_ref(), tree.as_os_str(), path.as_os_str()];
        arguments.extend(options.iter().map(std::ffi::OsStr::new));
        let _ignored = fs::remove_file(&path);
        wimlib.run(arguments);
        let wim = open(&path);
        assert!(wim.verify(&|_| ()).unwrap().is_good());
        let solid = wim
            .solids(0)
            .first()
            .map(|solid| Solid { codec: solid.codec(), chunk_size: solid.chunk_size() });
        let settings = WriteSettings { solid, ..settings((wim.codec(), wim.chunk_size())) };
        assert_eq!(rewrite(&wim, &again, &settings).unwrap().encoded_bytes, 0, "{options:?}");
        check_with_peers(&again);
    }
    let _ignored = fs::remove_file(&path);
    wimlib.run(["capture".as_ref(), tree.as_os_str(), path.as_os_str(), "--pipable".as_ref()]);
    let error = Wim::open_path(&path, &Limits::default()).unwrap_err();
    assert_eq!(error.to_string(), "pipable WIM files are not supported in this version");
}

#[test]
fn several_images_share_blobs() {
    let folder = support::temporary_folder();
    let tree = rich_tree();
    let mut other = rich_tree();
    other.file(0, "only here.txt", b"only in the second image");
    let path: PathBuf = folder.path().join("out.wim");
    let blobs = [&tree, &other, &other].into_iter().flat_map(|tree| {
        tree.blobs.iter().map(|(sha1, (bytes, count))| BlobToWrite {
            sha1: *sha1,
            size: bytes.len() as u64,
            reference_count: *count,
            source: BlobSource::Bytes { source: Arc::new(bytes.clone()) },
        })
    });
    let images = [&tree, &other, &other].map(|tree| MetadataToWrite::Bytes(tree.image.encode()));
    let settings = WriteSettings { boot_index: 3, ..settings((Codec::Lzx, 32768)) };
    let names = xml(&["One", "Two", "Three"]);
    let report = write(&path, &settings, blobs.collect(), images.into(), names).unwrap();
    assert_eq!(report.blobs, other.blobs.len() as u64);
    let wim = open(&path);
    assert!(wim.verify(&|_| ()).unwrap().is_good());
    assert_eq!(wim.metadata(2).unwrap(), wim.metadata(3).unwrap());
    let shared = wim.blob(&Sha1::of(b"one file with two names")).unwrap();
    assert_eq!(shared.reference_count, 6);
    check_with_peers(&path);
}

#[test]
fn missing_blobs_are_reported_as_missing() {
    let folder = support::temporary_folder();
    let mut tree = Tree::new();
    tree.file(0, "there.txt", b"there");
    tree.file(0, "gone.txt", b"gone");
    tree.blobs.remove(&Sha1::of(b"gone"));
    let path = folder.path().join("out.wim");
    write_tree(&tree, &path, &settings((Codec::None, 0))).unwrap();
    let report = open(&path).verify(&|_| ()).unwrap();
    let [problem] = &report.problems[..] else { panic!("{:?}", report.problems) };
    assert!(matches!(problem, WimError::MissingBlob { sha1, .. } if *sha1 == Sha1::of(b"gone")));
    assert!(problem.to_string().contains("\\gone.txt in image 1"), "{problem}");
}

#[test]
fn damage_anywhere_is_found_and_named() {
    let folder = support::temporary_folder();
    let tree = rich_tree();
    let path = folder.path().join("out.wim");
    for &pair in &[(Codec::Xpress, 32768), (Codec::Lzx, 32768), (Codec::None, 0)] {
        write_tree(&tree, &path, &WriteSettings { integrity: true, ..settings(pair) }).unwrap();
        let wim = open(&path);
        let good = fs::read(&path).unwrap();
        for name in ["big.txt", "bignoise.bin", "one.txt", "small299.txt"] {
            let image = wim.metadata(1).unwrap();
            let dentry = image.dentries.iter().find(|dentry| dentry.name.is(name)).unwrap();
            let blob = wim.blob(&dentry.streams[0].sha1).unwrap();
            let mut bytes = good.clone();
            let place = blob.resource.offset + blob.resource.stored_size / 2;
            bytes[usize::try_from(place).unwrap()] ^= 0x55;
            let damaged = Wim::open(Arc::new(bytes), &Limits::default()).unwrap();
            let report = damaged.verify(&|_| ()).unwrap();
            assert_eq!(report.blobs, wim.blobs().len() as u64);
            let texts: Vec<String> = report.problems.iter().map(ToString::to_string).collect();
            assert_eq!(texts.len(), 2, "{texts:?}");
            assert!(texts[1].contains("integrity table"), "{texts:?}");
            assert!(texts[0].contains("damaged") || texts[0].contains("chunk"), "{texts:?}");
            assert!(damaged.read_blob(blob).is_err());
        }
    }
}

#[test]
fn a_file_source_is_copied_from_disk() {
    let folder = support::temporary_folder();
    let input = folder.path().join("input");
    let content = text(9_000_000);
    fs::write(&input, &content).unwrap();
    let blob = BlobToWrite {
        sha1: Sha1::of(&content),
        size: content.len() as u64,
        reference_count: 1,
        source: BlobSource::Bytes { source: Arc::new(FileSource::open(&input).unwrap()) },
    };
    let path = folder.path().join("out.wim");
    for &pair in SETTINGS {
        write(&path, &settings(pair), vec![blob.clone()], vec![], xml(&[])).unwrap();
        let wim = open(&path);
        assert!(wim.read_blob(&wim.blobs()[0]).unwrap() == content);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn random_trees_round_trip(
        contents in proptest::collection::vec((0_usize..70_000, any::<u32>(), any::<bool>()), 0..12),
        directories in 1_u32..5,
        pair in proptest::sample::select(SETTINGS),
        integrity in any::<bool>(),
    ) {
        let mut tree = Tree::new();
        let folders: Vec<u32> =
            (0..directories).map(|number| tree.directory(number / 2, &format!("d{number}"))).collect();
        for (number, (size, seed, compressible)) in contents.into_iter().enumerate() {
            let bytes = if compressible { text(size) } else { noise(size, seed) };
            let folder = folders[number % folders.len()];
            tree.file(folder, &format!("f{number}"), &bytes);
        }
        let folder = support::temporary_folder();
        let path = folder.path().join("out.wim");
        write_tree(&tree, &path, &WriteSettings { integrity, ..settings(pair) }).unwrap();
        check_contents(&open(&path), &tree);
    }
}

/// More than 4 GiB: table entries of 8 bytes, in our files and in wimlib's eyes. Takes a minute with optimisation; run it by name.
#[test]
#[ignore = "takes minutes"]
fn resources_of_more_than_four_gibibytes_have_a_wide_table() {
    #[derive(Debug)]
    struct Long;
    impl transom::base::read_at::ReadAt for Long {
        fn size(&self) -> u64 {
            (4 << 30) + 160_000
        }
        fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> std::io::Result<()> {
            // Another byte every 16 MiB, so that both sides of the line differ.
            for (byte, place) in buffer.iter_mut().zip(offset..) {
                *byte = place.to_le_bytes()[3];
            }
            Ok(())
        }
    }
    let settings = settings((Codec::Xpress, 65536));
    let folder = support::temporary_folder();
    let path = folder.path().join("long.wim");
    let encoding = (settings.codec, settings.chunk_size, settings.level);
    let encoded = encode_resource(&Long, encoding, &mut std::io::sink()).unwrap();
    let blob = BlobToWrite {
        sha1: encoded.sha1,
        size: encoded.size,
        reference_count: 1,
        source: BlobSource::Bytes { source: Arc::new(Long) },
    };
    let mut tree = Tree::new();
    let streams = vec![data(StreamKind::Data, encoded.sha1)];
    tree.add(0, "long", Dentry { attributes: 0x20, streams, ..times(1) });
    let images = vec![MetadataToWrite::Bytes(tree.image.encode())];
    write(&path, &settings, vec![blob], images, xml(&["long"])).unwrap();
    let wim = open(&path);
    assert_eq!(wim.blobs()[0].resource.stored_size, encoded.stored_size);
    assert!(wim.verify(&|_| ()).unwrap().is_good());
    check_with_peers(&path);
}
