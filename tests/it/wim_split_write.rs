//! Splitting: what we split, wimlib reads and joins, and so do we; and what wimlib split, we join.

use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::Arc,
};

use fs_err as fs;
use transom::{
    base::limits::Limits,
    codec::Codec,
    format::wim::{Header, SplitPart, Wim, WimError, WriteSettings, part_path, split_wim},
};

use crate::{
    support,
    wim_tree::{noise, rich_tree, text},
    wim_write::{check_contents, check_with_peers, open, rewrite, settings, write_tree},
};

fn split(wim: &Arc<Wim>, first: &Path, limit: u64) -> Result<Vec<SplitPart>, WimError> {
    let mut create = |number| {
        let path = part_path(first, number);
        let options = fs::OpenOptions::new().read(true).write(true).create_new(true).open(path)?;
        Ok(File::from(options))
    };
    split_wim(wim, limit, &mut create, &|_| (), &|| false)
}

fn header(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap()[..Header::SIZE].to_vec()
}

#[test]
fn wimlib_reads_and_joins_what_we_split() {
    let tree = rich_tree();
    for pair in [(Codec::None, 0), (Codec::Xpress, 32768), (Codec::Lzx, 32768)] {
        let folder = support::temporary_folder();
        let whole = folder.path().join("whole.wim");
        let settings = WriteSettings { boot_index: 1, integrity: true, ..settings(pair) };
        write_tree(&tree, &whole, &settings).unwrap();
        let wim = open(&whole);
        let first = folder.path().join("x.swm");
        let limit = 900_000;
        let parts = split(&wim, &first, limit).unwrap();
        assert!(parts.len() >= 3, "{parts:?}");
        assert_eq!(parts.iter().map(|part| part.blobs).sum::<u64>(), tree.blobs.len() as u64);
        let guid = header(&first)[0x18..0x28].to_vec();
        for part in &parts {
            let path = part_path(&first, part.number);
            assert_eq!(fs::metadata(&path).unwrap().len(), part.file_size);
            assert_eq!(part.is_over_limit, part.file_size > limit);
            assert!(part.file_size <= limit || part.blobs <= 1, "{part:?}");
            let header = header(&path);
            assert_eq!(header[0x18..0x28], guid);
            assert_eq!(header[0x28..0x2a], part.number.to_le_bytes());
            assert_eq!(header[0x2a..0x2c], u16::try_from(parts.len()).unwrap().to_le_bytes());
            assert_eq!(header[0x10] & 0x48, 8, "split, and finished");
            assert_eq!(header[0x78..0x7c], [0; 4]);
        }
        // Joined by us: what it was, but for the order and the empty ends of chunks that nobody wrote.
        let joined = folder.path().join("joined by us.wim");
        let set = open(&first);
        check_contents(&set, &tree);
        let report = rewrite(&set, &joined, &settings).unwrap();
        assert_eq!((report.encoded_bytes, report.file_size), (0, wim.source().size()));
        assert!(fs::read(&joined).unwrap() == fs::read(&whole).unwrap());
        let Some(wimlib) = support::oracle("wimlib-imagex") else { continue };
        let others = format!("--ref={}", folder.path().join("x*.swm").display());
        wimlib.run(["verify".as_ref(), first.as_os_str(), others.as_ref()]);
        let joined = folder.path().join("joined.wim");
        let names: Vec<PathBuf> = parts.iter().map(|part| part_path(&first, part.number)).collect();
        let mut arguments = vec!["join".as_ref(), joined.as_os_str()];
        arguments.extend(names.iter().map(|name| name.as_os_str()));
        wimlib.run(arguments);
        check_contents(&open(&joined), &tree);
        check_with_peers(&joined);
    }
}

#[test]
fn what_wimlib_split_is_joined_and_split_again() {
    let Some(wimlib) = support::oracle("wimlib-imagex") else { return };
    let folder = support::temporary_folder();
    let tree = folder.path().join("tree");
    fs::create_dir_all(&tree).unwrap();
    for number in 0..12_u32 {
        fs::write(tree.join(format!("n{number}")), noise(150_000, number)).unwrap();
        fs::write(tree.join(format!("t{number}")), text(50_000 + 9_001 * number as usize)).unwrap();
    }
    let whole = folder.path().join("whole.wim");
    let arguments = ["capture".as_ref(), tree.as_os_str(), whole.as_os_str()];
    wimlib.run(arguments.into_iter().chain(["--check".as_ref(), "--boot".as_ref()]));
    let first = folder.path().join("theirs.swm");
    wimlib.run(["split".as_ref(), whole.as_os_str(), first.as_os_str(), "0.5".as_ref()]);
    let set = open(&first);
    assert!(set.volumes().len() > 2);
    let joined = folder.path().join("joined.wim");
    let own = settings((set.codec(), set.chunk_size()));
    let report = rewrite(&set, &joined, &WriteSettings { boot_index: 1, ..own }).unwrap();
    assert_eq!(report.encoded_bytes, 0);
    let wim = open(&joined);
    assert_eq!(wim.xml().total_bytes(), Some(wim.header().xml.offset));
    assert_eq!(wim.blobs().len(), open(&whole).blobs().len());
    check_with_peers(&joined);
    // A set is split anew without being joined.
    let again = folder.path().join("again.swm");
    let parts = split(&set, &again, 1_000_000).unwrap();
    assert!(parts.len() < set.volumes().len());
    assert!(open(&again).verify(&|_| ()).unwrap().is_good());
}

#[test]
fn a_large_limit_makes_one_part_and_a_small_one_a_part_for_each_blob() {
    let tree = rich_tree();
    let folder = support::temporary_folder();
    let whole = folder.path().join("whole.wim");
    write_tree(&tree, &whole, &settings((Codec::Lzx, 32768))).unwrap();
    let wim = open(&whole);
    let parts = split(&wim, &folder.path().join("one.swm"), u64::MAX).unwrap();
    assert_eq!(parts.len(), 1);
    assert!(!parts[0].is_over_limit);
    let parts = split(&wim, &folder.path().join("many.swm"), 1).unwrap();
    // The first has the metadata.
    assert_eq!(parts.len(), tree.blobs.len() + 1);
    assert!(parts.iter().all(|part| part.is_over_limit));
    // The same parts have the same bytes.
    let again = folder.path().join("again.swm");
    split(&wim, &again, 1).unwrap();
    for part in &parts {
        let names =
            ["many.swm", "again.swm"].map(|name| part_path(&folder.path().join(name), part.number));
        assert!(fs::read(&names[0]).unwrap() == fs::read(&names[1]).unwrap());
    }
    let mut created = 0;
    let mut create = |_| {
        created += 1;
        Ok(File::from(fs::File::create(folder.path().join("never.swm"))?))
    };
    let cancelled = split_wim(&wim, 1, &mut create, &|_| (), &|| true);
    assert!(matches!(cancelled, Err(WimError::Cancelled)) && created == 1);
}

#[test]
fn solid_content_is_refused_by_name() {
    let mut tree = rich_tree();
    tree.file(0, "more", &text(100_000));
    let folder = support::temporary_folder();
    let whole = folder.path().join("whole.wim");
    let solid = transom::format::wim::Solid { codec: Codec::Lzx, chunk_size: 32768 };
    let settings = WriteSettings { solid: Some(solid), ..settings((Codec::Lzx, 32768)) };
    write_tree(&tree, &whole, &settings).unwrap();
    let mut create = |_| unreachable!("nothing is written");
    let error = split_wim(&open(&whole), 1 << 20, &mut create, &|_| (), &|| false).unwrap_err();
    assert!(error.to_string().contains("solid resources, which cannot be split"), "{error}");
}

#[test]
fn metadata_that_lies_in_another_order_than_the_images_is_split_right() {
    let Some(wimlib) = support::oracle("wimlib-imagex") else { return };
    let folder = support::temporary_folder();
    let tree = folder.path().join("tree");
    fs::create_dir(&tree).unwrap();
    for number in 0..5 {
        fs::write(tree.join(format!("f{number}")), noise(300_000, number + 1)).unwrap();
    }
    let path = folder.path().join("two.wim");
    wimlib.run(["capture".as_ref(), tree.as_os_str(), path.as_os_str(), "one".as_ref()]);
    fs::write(tree.join("more"), b"more").unwrap();
    wimlib.run(["append".as_ref(), tree.as_os_str(), path.as_os_str(), "two".as_ref()]);
    // The metadata of the first image comes to lie behind that of the second.
    let command = std::ffi::OsStr::new("--command=delete /f0");
    wimlib.run(["update".as_ref(), path.as_os_str(), "1".as_ref(), command]);
    let wim = Arc::new(Wim::open_path(&path, &Limits::default()).unwrap());
    let first = folder.path().join("two.swm");
    let mut create = |number| Ok(fs::File::create_new(part_path(&first, number))?.into());
    split_wim(&wim, 1 << 20, &mut create, &|_| (), &|| false).unwrap();
    let set = Wim::open_path(&first, &Limits::default()).unwrap();
    assert!(set.verify(&|_| ()).unwrap().is_good());
    for index in [1, 2] {
        assert_eq!(set.metadata_bytes(index).unwrap(), wim.metadata_bytes(index).unwrap());
    }
}
