//! Reading solid resources that wimlib wrote, and the cost of looking into a large file.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use fs_err as fs;
use transom::{
    base::{digest::Sha1, guid::Guid, limits::Limits, read_at::ReadAt},
    codec::Codec,
    format::wim::{Dentry, Element, Header, ImageMetadata, ResourceHeader, Wim, WimXml},
};

use crate::{
    support::{self, Tool},
    wim_tree::{noise, text, times},
};

/// Every file of a tree, by its path below `folder`.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    support::files_below(folder)
        .into_iter()
        .map(|path| (path.strip_prefix(folder).unwrap().to_owned(), fs::read(&path).unwrap()))
        .collect()
}

/// A tree with small and large files, and two that are equal.
pub(crate) fn tree(folder: &Path, seed: u32) -> PathBuf {
    let tree = folder.join(format!("tree {seed}"));
    fs::create_dir_all(tree.join("a/b")).unwrap();
    for number in 0..40_u32 {
        let size = 37 * (number as usize) * (number as usize);
        fs::write(tree.join(format!("a/b/{number}.bin")), noise(size, seed + number + 1)).unwrap();
    }
    fs::write(tree.join("a/long.txt"), [text(2_500_000), noise(20, seed)].concat()).unwrap();
    fs::write(tree.join("mixed.bin"), [text(90_000), noise(700_000, seed)].concat()).unwrap();
    fs::write(tree.join("again.bin"), [text(90_000), noise(700_000, seed)].concat()).unwrap();
    fs::write(tree.join("empty"), b"").unwrap();
    tree
}

/// Opens, verifies, reads every blob alone, and unpacks; the unpacked trees are those that were captured.
pub(crate) fn check(path: &Path, references: &[PathBuf], trees: &[&Path]) -> Wim {
    let wim = Wim::open_with(path, references, &Limits::default()).unwrap();
    let report = wim.verify(&|_| ()).unwrap();
    assert!(report.is_good(), "{}: {:?}", path.display(), report.problems);
    assert_eq!((report.warnings, report.notes), (vec![], vec![]), "{}", path.display());
    for blob in wim.blobs().iter().rev() {
        let content = wim.read_blob(blob).unwrap();
        assert_eq!((Sha1::of(&content), content.len() as u64), (blob.sha1, blob.size));
    }
    let wim = Arc::new(wim);
    for (index, tree) in (1..).zip(trees) {
        let image =
            transom::image::Image::open(Arc::clone(&wim), index, &Limits::default()).unwrap();
        let target = support::temporary_folder();
        let options = transom::image::export::ExtractOptions {
            include: transom::image::patterns::Patterns::new::<&str>(&[]).unwrap(),
            overwrite: false,
            unix_data: false,
        };
        let watch = transom::image::Watch::default();
        transom::image::export::extract(&image, target.path(), &options, watch).unwrap();
        assert!(contents(target.path()) == contents(tree), "{}: image {index}", path.display());
    }
    Arc::into_inner(wim).unwrap()
}

fn capture(wimlib: &Tool, tree: &Path, path: &Path, options: &[&str]) {
    let mut command = wimlib.command();
    command.arg("capture").arg(tree).arg(path).args(options).arg("--no-acls");
    support::expect_success(&mut command);
}

#[test]
fn what_wimlib_packs_solid_is_read() {
    let Some(wimlib) = support::oracle("wimlib-imagex") else { return };
    let folder = support::temporary_folder();
    let tree = tree(folder.path(), 1);
    for (name, codec, chunk_size) in [
        ("XPRESS", Codec::Xpress, 4096),
        ("XPRESS", Codec::Xpress, 65536),
        ("LZX", Codec::Lzx, 32768),
        ("LZX", Codec::Lzx, 1 << 20),
        ("LZX", Codec::Lzx, 2 << 20),
        ("LZMS", Codec::Lzms, 131_072),
        ("LZMS", Codec::Lzms, 1 << 20),
        ("LZMS", Codec::Lzms, 64 << 20),
    ] {
        let path = folder.path().join(format!("{name} {chunk_size}.esd"));
        let codec_option = format!("--solid-compress={name}");
        let chunk_option = format!("--solid-chunk-size={chunk_size}");
        capture(&wimlib, &tree, &path, &["--solid", &codec_option, &chunk_option]);
        let wim = check(&path, &[], &[&tree]);
        assert_eq!(wim.solids(0).len(), 1);
        let solid = &wim.solids(0)[0];
        assert_eq!(wim.blobs_of_solid(0, 0).count(), wim.blobs().len());
        assert_eq!(wim.codec_of(&wim.blobs()[0]), (codec, chunk_size));
        assert_eq!(solid.size(), wim.blobs().iter().map(|blob| blob.size).sum::<u64>());
    }
}

#[test]
fn long_resources_with_large_chunks_are_read() {
    let Some(wimlib) = support::oracle("wimlib-imagex") else { return };
    let folder = support::temporary_folder();
    let tree = folder.path().join("tree");
    fs::create_dir(&tree).unwrap();
    let content: Vec<u8> =
        (0..6).flat_map(|seed| [text(1_500_000), noise(1_500_000, seed)].concat()).collect();
    fs::write(tree.join("long"), content).unwrap();
    for options in [
        ["--compress=LZX", "--chunk-size=2097152"],
        ["--compress=LZMS", "--chunk-size=1048576"],
        ["--compress=LZMS", "--chunk-size=16777216"],
    ] {
        let path = folder.path().join("long.wim");
        capture(&wimlib, &tree, &path, &options);
        check(&path, &[], &[&tree]);
    }
}

#[test]
fn several_solid_resources_of_one_run_and_other_resources_beside_them() {
    let Some(wimlib) = support::oracle("wimlib-imagex") else { return };
    let folder = support::temporary_folder();
    let trees = [1, 100, 200, 300].map(|seed| tree(folder.path(), seed));
    let path = folder.path().join("several.esd");
    capture(&wimlib, &trees[0], &path, &["--compress=LZX"]);
    for (tree, options) in [
        (&trees[1], ["--solid", "--solid-compress=XPRESS", "--solid-chunk-size=4096"]),
        (&trees[2], ["--solid", "--solid-compress=LZX", "--solid-chunk-size=65536"]),
        (&trees[3], ["--solid", "--solid-compress=LZMS", "--solid-chunk-size=262144"]),
    ] {
        let mut command = wimlib.command();
        command.arg("append").arg(tree).arg(&path).args(options).arg("--no-acls");
        support::expect_success(&mut command);
    }
    let trees = trees.each_ref().map(PathBuf::as_path);
    let wim = check(&path, &[], &trees);
    assert_eq!(wim.solids(0).len(), 3);
    assert!(wim.blobs().iter().any(|blob| blob.solid.is_none()));
    let in_solids: usize = (0..3).map(|index| wim.blobs_of_solid(0, index).count()).sum();
    assert_eq!(in_solids, wim.blobs().iter().filter(|blob| blob.solid.is_some()).count());
}

#[test]
fn damage_in_a_solid_resource_names_the_files_that_have_it() {
    let Some(wimlib) = support::oracle("wimlib-imagex") else { return };
    let folder = support::temporary_folder();
    let tree = tree(folder.path(), 1);
    let path = folder.path().join("bad.esd");
    capture(
        &wimlib,
        &tree,
        &path,
        &["--solid", "--solid-compress=LZX", "--solid-chunk-size=32768"],
    );
    let mut bytes = fs::read(&path).unwrap();
    let wim = Wim::open_path(&path, &Limits::default()).unwrap();
    let solid = wim.solids(0)[0].header();
    let middle = usize::try_from(solid.offset + solid.stored_size / 2).unwrap();
    bytes[middle..middle + 64].fill(0x55);
    let damaged = Wim::open(Arc::new(bytes), &Limits::default()).unwrap();
    let report = damaged.verify(&|_| ()).unwrap();
    assert!(!report.is_good());
    let bad = report.problems.len();
    assert!(bad < damaged.blobs().len() / 2, "{bad} of {}", damaged.blobs().len());
    for problem in &report.problems {
        assert!(problem.to_string().contains("in image 1"), "{problem}");
    }
    let readable = damaged.blobs().iter().filter(|blob| damaged.read_blob(blob).is_ok()).count();
    assert_eq!(readable, damaged.blobs().len() - bad);
    assert_eq!(report.blobs, damaged.blobs().len() as u64);
}

/// A file of which only some places are not zero.
#[derive(Debug)]
struct Sparse {
    size: u64,
    places: Vec<(u64, Vec<u8>)>,
    read: AtomicU64,
}

impl ReadAt for Sparse {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.read.fetch_add(buffer.len() as u64, Ordering::Relaxed);
        buffer.fill(0);
        let end = offset + buffer.len() as u64;
        for (start, bytes) in &self.places {
            let (from, to) = (offset.max(*start), end.min(start + bytes.len() as u64));
            if from < to {
                let place = |at: u64, origin: u64| usize::try_from(at - origin).unwrap();
                let target = place(from, offset)..place(to, offset);
                buffer[target].copy_from_slice(&bytes[place(from, *start)..place(to, *start)]);
            }
        }
        Ok(())
    }
}

#[test]
fn looking_into_five_gigabytes_reads_only_the_tables() {
    const BLOBS: u64 = 10_300;
    const BLOB: u64 = 512 << 10;
    let mut image = ImageMetadata::default();
    image.dentries.push(Dentry { attributes: 0x10, ..times(1) });
    let metadata = image.encode();
    let mut places = Vec::new();
    let mut size = 208 + BLOBS * BLOB;
    let mut place = |bytes: Vec<u8>, flags: u8| {
        let length = bytes.len() as u64;
        let resource = ResourceHeader { stored_size: length, flags, offset: size, size: length };
        places.push((size, bytes));
        size += length;
        resource
    };
    let entry = |table: &mut Vec<u8>, resource: &ResourceHeader, sha1: Sha1| {
        table.extend_from_slice(&resource.stored_size.to_le_bytes()[..7]);
        table.push(resource.flags);
        table.extend_from_slice(&resource.offset.to_le_bytes());
        table.extend_from_slice(&resource.size.to_le_bytes());
        table.extend_from_slice(&[1, 0, 1, 0, 0, 0]);
        table.extend_from_slice(&sha1.0);
    };
    let mut table = Vec::new();
    let sha1 = Sha1::of(&metadata);
    entry(&mut table, &place(metadata, 2), sha1);
    for number in 0..BLOBS {
        let resource =
            ResourceHeader { stored_size: BLOB, flags: 0, offset: 208 + number * BLOB, size: BLOB };
        entry(&mut table, &resource, Sha1::of(&number.to_le_bytes()));
    }
    let mut xml = WimXml::new();
    xml.push_image(Element::new("IMAGE"));
    let header = Header {
        version: Header::VERSION,
        flags: 0,
        chunk_size: 0,
        guid: Guid::default(),
        part_number: 1,
        total_parts: 1,
        image_count: 1,
        blob_table: place(table, 2),
        xml: place(xml.encode(), 2),
        boot_metadata: ResourceHeader::default(),
        boot_index: 0,
        integrity: ResourceHeader::default(),
    };
    places.push((0, header.encode()));
    assert!(size > 5 << 30);
    let source = Arc::new(Sparse { size, places, read: AtomicU64::new(0) });
    let wim = Wim::open(Arc::clone(&source) as Arc<dyn ReadAt>, &Limits::default()).unwrap();
    assert_eq!(wim.metadata(1).unwrap().dentries.len(), 1);
    assert_eq!(wim.blobs().len() as u64, BLOBS);
    let read = source.read.load(Ordering::Relaxed);
    assert!(read < 50 * (BLOBS + 1) + 4096, "{read} bytes read");
}
