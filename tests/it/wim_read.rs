//! Reading WIM files that others made: DISM, wimlib, and people who wanted to break readers.

use std::path::{Path, PathBuf};

use fs_err as fs;
use transom::{
    base::limits::Limits,
    format::wim::{ImageMetadata, StreamKind, Wim, WimError},
};

use crate::support;

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "wim"))
        .collect();
    files.sort();
    files
}

fn open(path: &Path) -> Result<Wim, WimError> {
    Wim::open_path(path, &Limits::default())
}

fn find<'a>(image: &'a ImageMetadata, name: &str) -> &'a transom::format::wim::Dentry {
    image.dentries.iter().find(|dentry| dentry.name.is(name)).unwrap()
}

#[test]
fn every_good_file_reads_with_the_right_hashes() {
    let Some(folder) = support::shared_data("wim") else { return };
    let mut paths = files(&folder);
    for below in ["dissect", "managedwimlib"] {
        paths.extend(files(&folder.join(below)));
    }
    assert!(paths.len() > 10);
    for path in paths {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let wim = open(&path).unwrap();
        let report = wim.verify(&|_| ()).unwrap();
        if name == "VerifyFail.wim" {
            assert!(!report.is_good());
            continue;
        }
        assert!(report.is_good(), "{name}: {:?}", report.problems);
        assert_eq!(report.warnings, Vec::<String>::new(), "{name}");
        for blob in wim.blobs() {
            let content = wim.read_blob(blob).unwrap();
            let mut streamed = Vec::new();
            wim.stream_blob(blob, &mut |bytes| {
                streamed.extend_from_slice(bytes);
                Ok(())
            })
            .unwrap();
            assert_eq!(content, streamed);
            assert_eq!(content.len() as u64, blob.size);
        }
        for index in 1..=wim.image_count() {
            let image = wim.metadata(index).unwrap();
            let encoded = image.encode();
            assert_eq!(ImageMetadata::parse(&encoded, &Limits::default()).unwrap(), image);
        }
    }
}

#[test]
fn what_dism_wrote_is_what_we_read() {
    let Some(folder) = support::shared_data("wim") else { return };
    let wim = open(&folder.join("dissect/basic32k.wim")).unwrap();
    let image = wim.metadata(1).unwrap();
    assert_eq!(image.security.len(), 3);
    let file = find(&image, "ads.txt");
    assert_eq!(file.streams.len(), 2);
    assert_eq!(file.streams[0].kind, StreamKind::Data);
    assert!(file.streams[1].name.is("spookystream"));
    let link = find(&image, "link.txt");
    assert_eq!(link.reparse.unwrap().tag, 0xa000_0003);
    assert_eq!(link.streams[0].kind, StreamKind::Reparse);
    assert!(link.children.is_empty());
    let last = image.dentries.len() - 1;
    assert_eq!(image.path_of(last, &image.parents()), "\\dir\\another.txt");

    let wim = open(&folder.join("wimbuilder2-boot.wim")).unwrap();
    assert_eq!((wim.image_count(), wim.header().boot_index), (2, 2));
    assert_eq!(wim.metadata_blob(1).unwrap().resource, wim.metadata_blob(2).unwrap().resource);
    let image = wim.metadata(1).unwrap();
    let directories = image.dentries.iter().filter(|dentry| dentry.is_directory()).count();
    assert_eq!((directories, image.dentries.len()), (604, 628));
    assert_eq!(image.security.len(), 70);
    assert_eq!(wim.xml().image_flags_edition(1), Some("WindowsPE"));
}

#[test]
fn hostile_files_are_refused_or_read_with_a_warning() {
    let Some(folder) = support::shared_data("wim/hostile") else { return };
    let report = |name: &str| open(&folder.join(name)).unwrap().verify(&|_| ()).unwrap();
    let problem = |name: &str| {
        let report = report(name);
        assert!(!report.is_good(), "{name}");
        let texts: Vec<String> = report.problems.iter().map(ToString::to_string).collect();
        texts.join("\n")
    };
    let metadata_error =
        |name: &str| open(&folder.join(name)).unwrap().metadata(1).unwrap_err().to_string();
    let text = problem("corrupted_file_1.wim");
    assert!(text.contains("is damaged: its SHA-1 is") && text.contains("in image 1"), "{text}");
    let text = problem("corrupted_file_2.wim");
    assert!(text.contains("damaged") || text.contains("chunk"), "{text}");
    let text = metadata_error("cyclic.wim");
    assert!(text.contains("cycle"), "{text}");
    let text = metadata_error("dotdot.wim");
    assert!(text.contains("\"..\""), "{text}");
    let image = open(&folder.join("duplicate_names.wim")).unwrap().metadata(1).unwrap();
    assert!(image.warnings.iter().any(|text| text.contains("same name")), "{:?}", image.warnings);
    for name in ["longpaths.wim", "empty_dacl.wim", "linux_xattrs_old.wim"] {
        assert!(report(name).is_good(), "{name}");
    }
    let image = open(&folder.join("linux_xattrs_old.wim")).unwrap().metadata(1).unwrap();
    assert!(image.dentries.iter().any(|dentry| !dentry.tagged_items.is_empty()));
}

#[test]
fn kinds_that_are_not_read_are_refused_by_name() {
    let Some(folder) = support::shared_data("wim/managedwimlib") else { return };
    let alone = std::sync::Arc::new(fs::read(folder.join("Split.swm")).unwrap());
    let error = Wim::open(alone, &Limits::default()).unwrap_err().to_string();
    assert!(error.contains("part 1 of a WIM that is split into 2 files"), "{error}");
    let error = open(&folder.join("../hostile/README")).unwrap_err();
    assert!(matches!(error, WimError::NotAWim { .. }), "{error}");
    let error = open(&folder.join("absent.wim")).unwrap_err();
    assert!(matches!(error, WimError::Io(_)) && error.to_string().contains("absent.wim"));
}

/// Opens damaged bytes and reads all they offer; only a panic is a failure.
fn read_all(bytes: Vec<u8>) {
    let limits =
        Limits { metadata: 8 << 20, xml: 1 << 20, blob_table: 1 << 20, ..Limits::default() };
    let Ok(wim) = Wim::open(std::sync::Arc::new(bytes), &limits) else { return };
    for index in 1..=wim.image_count() {
        if let Ok(image) = wim.metadata(index) {
            let _bytes = image.encode();
        }
    }
    for blob in wim.blobs().iter().filter(|blob| blob.size < 16 << 20) {
        let _ignored = wim.read_blob(blob);
    }
    if wim.blobs().iter().all(|blob| blob.size < 16 << 20) {
        let _ignored = wim.verify(&|_| ());
    }
}

#[test]
fn truncated_and_damaged_files_never_panic() {
    let Some(folder) = support::shared_data("wim") else { return };
    for name in ["dissect/basic4k.wim", "managedwimlib/LZX.wim", "managedwimlib/VerifySuccess.wim"]
    {
        let bytes = fs::read(folder.join(name)).unwrap();
        for end in (0..bytes.len()).step_by(64) {
            read_all(bytes[..end].to_vec());
        }
        // A fixed walk over places and bits.
        let mut state = 1_u64;
        for _ in 0..400 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let mut bytes = bytes.clone();
            let place = usize::try_from(state >> 33).unwrap() % bytes.len();
            bytes[place] ^= 1 << (state & 7);
            read_all(bytes);
        }
    }
}
