//! Changing a file in place: what stays, what is refused, and a crash at any point.

use std::{cell::RefCell, collections::BTreeMap};

use super::*;
use crate::{
    base::{digest::Sha1, limits::Limits},
    codec::Level,
    format::wim::{BlobSource, Element, ImageMetadata, write_wim},
};

fn settings() -> WriteSettings {
    WriteSettings {
        codec: Codec::Xpress,
        chunk_size: 4096,
        level: Level::Fast,
        solid: None,
        integrity: true,
        boot_index: 1,
        rp_fix: false,
    }
}

fn bytes(seed: u32, size: usize) -> Vec<u8> {
    let number = |n: u32| (n.wrapping_mul(seed) >> (seed % 13)).to_le_bytes()[0];
    (0..).map(number).take(size).collect()
}

fn blob(seed: u32, size: usize) -> BlobToWrite {
    let bytes = bytes(seed, size);
    BlobToWrite {
        sha1: Sha1::of(&bytes),
        size: size as u64,
        reference_count: 1,
        source: BlobSource::Bytes { source: Arc::new(bytes) },
    }
}

fn metadata() -> MetadataToWrite {
    let root = crate::format::wim::Dentry { attributes: 0x10, ..Default::default() };
    let image = ImageMetadata { dentries: vec![root], ..ImageMetadata::default() };
    MetadataToWrite::Bytes(image.encode())
}

fn xml(names: &[&str]) -> WimXml {
    let mut xml = WimXml::new();
    for name in names {
        let mut image = Element::new("IMAGE");
        image.set_text(&["NAME"], name);
        xml.push_image(image);
    }
    xml
}

fn base(path: &Path) -> Arc<Wim> {
    let file = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(path)
        .unwrap();
    let blobs = vec![blob(77, 50_000), blob(2011, 3_000_000), blob(5, 10)];
    write_wim(file.file(), &settings(), blobs, vec![metadata()], xml(&["One"]), &|_| (), &|| false)
        .unwrap();
    Arc::new(Wim::open_path(path, &Limits::default()).unwrap())
}

/// A blob is dropped, one is new, one is given again, and there is a second image.
fn change(wim: &Arc<Wim>) -> (Vec<BlobToWrite>, Vec<MetadataToWrite>, WimXml) {
    let blobs = vec![blob(2011, 3_000_000), blob(5, 10), blob(99, 2_000_000), blob(3, 4097)];
    let images = vec![MetadataToWrite::Copy { wim: Arc::clone(wim), index: 1 }, metadata()];
    (blobs, images, xml(&["One", "Two"]))
}

fn append(path: &Path, wim: &Arc<Wim>, settings: &WriteSettings) -> Result<WriteReport, WimError> {
    let (blobs, images, xml) = change(wim);
    append_wim(path, wim, settings, blobs, images, xml, &|_| (), &|| false)
}

#[test]
fn what_lies_there_stays_and_the_rest_is_behind() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.wim");
    let wim = base(&path);
    let old = fs::read(&path).unwrap();
    let report = append(&path, &wim, &settings()).unwrap();
    assert!(!journal_path(&path).exists());
    let new = fs::read(&path).unwrap();
    assert_eq!(report.file_size, new.len() as u64);
    assert_eq!((report.copied_bytes, report.blobs), (0, 4));
    assert!(new[208..old.len()] == old[208..], "what was there is there");
    let changed = Arc::new(Wim::open_path(&path, &Limits::default()).unwrap());
    assert!(changed.verify(&|_| ()).unwrap().is_good());
    assert_eq!((changed.image_count(), changed.blobs().len()), (2, 4));
    assert!(changed.blob(&Sha1::of(&bytes(77, 50_000))).is_none());
    assert_eq!(changed.metadata_blob(1).unwrap(), wim.metadata_blob(1).unwrap());
    assert_eq!(changed.header().boot_metadata, wim.metadata_blob(1).unwrap().resource);
    assert_ne!(changed.header().guid, wim.header().guid);
    // Again the same: the same content, some bytes of tables longer.
    let (blobs, images, xml) = change(&changed);
    append_wim(&path, &changed, &settings(), blobs, images, xml, &|_| (), &|| false).unwrap();
    assert!(Wim::open_path(&path, &Limits::default()).unwrap().verify(&|_| ()).unwrap().is_good());
}

#[test]
fn whole_pieces_of_the_old_integrity_table_are_taken_over_unread() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.wim");
    let raw = WriteSettings { codec: Codec::None, chunk_size: 0, ..settings() };
    let file = fs::File::create_new(&path).unwrap();
    drop(file);
    let file = fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
    let blobs = vec![blob(2011, 24_000_000)];
    let images = vec![metadata()];
    write_wim(file.file(), &raw, blobs.clone(), images, xml(&["One"]), &|_| (), &|| false).unwrap();
    let wim = Arc::new(Wim::open_path(&path, &Limits::default()).unwrap());
    // Damage that was there before is not vouched for by a new digest.
    let mut bytes = fs::read(&path).unwrap();
    bytes[5000] ^= 1;
    fs::write(&path, bytes).unwrap();
    let images = vec![MetadataToWrite::Copy { wim: Arc::clone(&wim), index: 1 }, metadata()];
    append_wim(&path, &wim, &raw, blobs, images, xml(&["One", "Two"]), &|_| (), &|| false).unwrap();
    let wim = Wim::open_path(&path, &Limits::default()).unwrap();
    let problems = wim.verify(&|_| ()).unwrap().problems;
    let texts: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(texts.len(), 2, "{texts:#?}");
    assert!(texts.iter().any(|text| text.contains("integrity")), "{texts:#?}");
}

#[test]
fn an_integrity_table_can_be_left_away_and_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.wim");
    let wim = base(&path);
    let small = WriteSettings { integrity: false, ..settings() };
    append(&path, &wim, &small).unwrap();
    let wim = Arc::new(Wim::open_path(&path, &Limits::default()).unwrap());
    assert_eq!(wim.header().integrity.stored_size, 0);
    append(&path, &wim, &settings()).unwrap();
    assert!(Wim::open_path(&path, &Limits::default()).unwrap().verify(&|_| ()).unwrap().is_good());
}

type State = BTreeMap<PathBuf, Vec<u8>>;

fn state(folder: &Path) -> State {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

fn restore(folder: &Path, state: &State) {
    for path in self::state(folder).keys().filter(|path| !state.contains_key(*path)) {
        fs::remove_file(path).unwrap();
    }
    for (path, bytes) in state {
        fs::write(path, bytes).unwrap();
    }
}

#[test]
fn a_crash_at_any_point_leaves_the_old_file_or_the_new_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.wim");
    let wim = base(&path);
    let old = fs::read(&path).unwrap();
    let states: RefCell<Vec<(Option<Step>, State)>> = RefCell::default();
    let remember = |step| states.borrow_mut().push((step, state(folder.path())));
    {
        let file = open_alone(&path, true).unwrap();
        let (blobs, images, mut xml) = change(&wim);
        let settings = settings();
        let plan = Plan::new(&settings, blobs, images, &xml, Some(&wim)).unwrap();
        let progress = |_| remember(None);
        let body = Body {
            output: &file,
            settings: &settings,
            plan: &plan,
            progress: &progress,
            cancelled: &|| false,
        };
        let append = Append {
            path: &path,
            file: &file,
            journal: journal_path(&path),
            old_header: check_file(&file, &wim).unwrap(),
            old_size: old.len() as u64,
        };
        let at = |step| remember(Some(step));
        xml.set_total_bytes(0);
        append.run(&body, plan.header(&settings), xml, old_integrity(&wim), &at).unwrap();
    }
    let new = fs::read(&path).unwrap();
    let journal = journal_path(&path);
    let states = states.into_inner();
    assert!(states.len() > 8);
    let mut both = [0, 0];
    let mut check = |state: &State, expected: Option<&[u8]>| {
        restore(folder.path(), state);
        let recovered = recover(&path).unwrap();
        let left = fs::read(&path).unwrap();
        assert!(left == old || left == new, "{recovered:?}");
        assert_eq!(left == new, recovered == Recovered::Completed);
        assert!(expected.is_none_or(|expected| expected == left), "{recovered:?}");
        assert!(!journal.exists());
        assert_eq!(recover(&path).unwrap(), Recovered::Nothing);
        both[usize::from(left == new)] += 1;
    };
    for (step, state) in &states {
        let is_new = matches!(step, Some(Step::JournalComplete | Step::HeaderWritten));
        check(state, Some(if is_new { &new } else { &old }));
        // The journal may be cut off while it is written, or its last bytes may not have reached the disk.
        let whole = &state[&journal];
        for length in (0..whole.len()).step_by(37) {
            if *step == Some(Step::JournalWritten)
                || length >= FIRST && *step == Some(Step::Written)
            {
                let mut torn = state.clone();
                torn.insert(journal.clone(), whole[..length].to_vec());
                check(&torn, Some(&old));
                let mut torn = state.clone();
                let zeros = [&whole[..length], &vec![0; whole.len() - length][..]].concat();
                torn.insert(journal.clone(), zeros);
                check(&torn, Some(&old));
            }
        }
        // So may the new content, and the new header, in any order.
        if *step == Some(Step::JournalWritten) {
            for end in (old.len()..new.len()).step_by(100_003) {
                let mut torn = state.clone();
                torn.insert(path.clone(), [&old[..208], &new[208..end]].concat());
                check(&torn, Some(&old));
            }
        }
        if *step == Some(Step::JournalComplete) {
            for cut in [1, 24, 100, 200, 207] {
                let mut torn = state.clone();
                torn.insert(path.clone(), [&new[..cut], &old[cut..208], &new[208..]].concat());
                check(&torn, Some(&new));
                torn.insert(path.clone(), [&old[..cut], &new[cut..]].concat());
                check(&torn, Some(&new));
            }
        }
    }
    assert!(both[0] > 20 && both[1] > 5, "{both:?}");
    // A journal that is not of this file is left alone, and so is the file.
    let (_, last) = &states[states.len() - 1];
    restore(folder.path(), last);
    let mut other = old.clone();
    other[0x2c] = 9;
    fs::write(&path, &other).unwrap();
    assert!(recover(&path).unwrap_err().to_string().contains("does not belong"));
    assert!(fs::read(&path).unwrap() == other && journal.exists());
    let refused = append(&path, &wim, &settings()).unwrap_err().to_string();
    assert!(refused.contains("recover it first"), "{refused}");
}

#[test]
fn what_must_not_be_changed_is_refused_and_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.wim");
    let wim = base(&path);
    let old = fs::read(&path).unwrap();
    let said = |settings: &WriteSettings| append(&path, &wim, settings).unwrap_err().to_string();
    let lzx = WriteSettings { codec: Codec::Lzx, chunk_size: 32768, ..settings() };
    assert!(said(&lzx).contains("XPRESS with chunks of 4 KiB"), "{}", said(&lzx));
    let solid = WriteSettings { solid: Some(Default::default()), ..settings() };
    assert!(said(&solid).contains("no solid resources"));
    let (blobs, images, document) = change(&wim);
    let cancelled =
        append_wim(&path, &wim, &settings(), blobs, images, document, &|_| (), &|| true);
    assert!(matches!(cancelled, Err(WimError::Cancelled)));
    assert!(fs::read(&path).unwrap() == old && !journal_path(&path).exists());
    if cfg!(unix) {
        let other = open_alone(&path, true).unwrap();
        assert!(said(&settings()).contains("another process"));
        drop(other);
    }
    let mut changed = old.clone();
    changed[0x18] ^= 1;
    fs::write(&path, &changed).unwrap();
    assert!(said(&settings()).contains("changed by somebody else"));
    for (offset, flag, word) in [(0x10, 4, "read-only"), (0x10, 0x40, "did not finish")] {
        let mut changed = old.clone();
        changed[offset] |= flag;
        fs::write(&path, &changed).unwrap();
        let wim = Arc::new(Wim::open_path(&path, &Limits::default()).unwrap());
        let said = append(&path, &wim, &settings()).unwrap_err().to_string();
        assert!(said.contains(word), "{said}");
    }
}
