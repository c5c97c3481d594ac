//! Hives that Windows wrote: each is read and found sound, or refused for a reason; dirty ones become what a real kernel made of them.

use std::collections::BTreeMap;

use transom::base::limits::Limits;
use transom::base::name::Name;
use transom::format::hive::{Entry, Hive, HiveError};

use crate::support;

/// An unpacked hive of the shared data.
pub(crate) fn real_hive(name: &str) -> Option<Vec<u8>> {
    support::unpack_xz(&support::shared_data(&format!("hives/{name}.xz"))?)
}

/// The files of the edge cases by their path in the archive.
pub(crate) fn edge_cases() -> Option<BTreeMap<String, Vec<u8>>> {
    Some(untar(&real_hive("edge-cases.tar")?))
}

/// Just enough of tar for one well-known archive: plain files with short names.
fn untar(archive: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut rest = archive;
    while let Some(header) = rest.get(..512).filter(|header| header[0] != 0) {
        let text = |range: std::ops::Range<usize>| {
            let field = &header[range];
            let end = field.iter().position(|&byte| byte == 0).unwrap_or(field.len());
            String::from_utf8(field[..end].to_vec()).unwrap()
        };
        let size = usize::from_str_radix(text(124..136).trim(), 8).unwrap();
        if header[156] == b'0' {
            files.insert(
                text(0..100).trim_start_matches("./").into(),
                rest[512..512 + size].to_vec(),
            );
        }
        rest = &rest[512 + size.next_multiple_of(512)..];
    }
    files
}

fn parse(bytes: &[u8]) -> Result<Hive, HiveError> {
    Hive::parse(bytes.to_vec(), &Limits::default())
}

/// Keys, values and bytes of data.
fn count(hive: &Hive) -> (usize, usize, usize) {
    let mut counts = (0, 0, 0);
    hive.walk(hive.root(), |entry| match entry {
        Entry::Key { .. } => counts.0 += 1,
        Entry::Value(value) => {
            counts.1 += 1;
            counts.2 += value.data.len();
        }
    })
    .unwrap();
    counts
}

fn harmful(hive: &Hive) -> Vec<String> {
    hive.check().iter().filter(|problem| !problem.harmless).map(ToString::to_string).collect()
}

#[test]
fn clean_hives_of_windows_are_sound_and_unchanged_by_reading() {
    for (name, keys, values) in
        [("SYSTEM_win10_19041", 33_317, 74_454), ("NTUSER.DAT", 1812, 4094), ("BCD", 132, 103)]
    {
        let Some(bytes) = real_hive(name) else { return };
        let hive = parse(&bytes).unwrap();
        assert_eq!(hive.check(), [], "{name}");
        let counts = count(&hive);
        assert_eq!((counts.0, counts.1), (keys, values), "{name}");
        if name == "SYSTEM_win10_19041" {
            assert_eq!(counts.2, 3_885_336);
        }
        assert!(hive.to_bytes() == bytes, "{name} was changed by reading it");
        every_key_is_found_by_its_path(&hive);
    }
}

fn every_key_is_found_by_its_path(hive: &Hive) {
    let mut path: Vec<Name> = Vec::new();
    hive.walk(hive.root(), |entry| {
        let Entry::Key { key, depth, name, .. } = entry else { return };
        if depth > 0 {
            path.truncate(depth - 1);
            path.push(Name::from(name.to_name().to_string().to_lowercase().as_str()));
        }
        assert_eq!(hive.find(hive.root(), &path).unwrap(), Some(key), "{path:?}");
    })
    .unwrap();
}

#[test]
fn dirty_hives_are_refused_without_their_logs_and_completed_with_them() {
    for name in ["SYSTEM_win10_16299_dirty", "UsrClass.dat"] {
        let (Some(bytes), Some(log1), Some(log2)) = (
            real_hive(name),
            real_hive(&format!("{name}.LOG1")),
            real_hive(&format!("{name}.LOG2")),
        ) else {
            return;
        };
        assert!(matches!(parse(&bytes), Err(HiveError::Dirty { .. })), "{name}");
        let limits = Limits::default();
        let without = Hive::recover(bytes.clone(), &[&[], &[0; 512]], &limits);
        assert!(matches!(without, Err(HiveError::Dirty { .. })), "{name}");
        let hive = Hive::recover(bytes.clone(), &[&log1, &log2], &limits).unwrap();
        assert!(hive.is_recovered() && !hive.is_changed());
        assert_eq!(harmful(&hive), [""; 0], "{name}");
        let swapped = Hive::recover(bytes, &[&log2, &log1], &limits).unwrap();
        assert!(swapped.to_bytes() == hive.to_bytes(), "the order of the logs does not matter");
        assert!(parse(&hive.to_bytes()).is_ok(), "{name} is clean now");
        count(&hive);
    }
    let Some(bytes) = real_hive("SYSTEM_win81_dirty") else { return };
    let error = parse(&bytes).unwrap_err();
    assert!(error.to_string().contains(".LOG1"), "{error}");
}

#[test]
fn recovery_gives_what_real_kernels_gave() {
    let Some(files) = edge_cases() else { return };
    let limits = Limits::default();
    // Windows 7 wrote on after the recovery: the time in the first bin, the bound of a value's size.
    for (hive, recovered, differing) in [
        ("NewDirtyHive1/NewDirtyHive", "NewDirtyHive1/RecoveredHive_Windows10", 0),
        ("OldDirtyHive/OldDirtyHive", "OldDirtyHive/RecoveredHive_Windows7", 2),
    ] {
        let logs = [".LOG1", ".LOG2"].map(|end| files[&format!("{hive}{end}")].as_slice());
        let ours = Hive::recover(files[hive].clone(), &logs, &limits).unwrap();
        let theirs = parse(&files[recovered]).unwrap();
        assert_eq!(ours.dump(ours.root()).unwrap(), theirs.dump(theirs.root()).unwrap(), "{hive}");
        let (ours, theirs) = (ours.into_bytes(), &files[recovered]);
        assert_eq!(ours.len(), theirs.len());
        let sectors = ours.chunks(512).zip(theirs.chunks(512)).skip(8);
        assert_eq!(sectors.filter(|(a, b)| a != b).count(), differing, "{hive}");
    }
}

#[test]
fn logs_that_do_not_belong_to_the_hive_are_refused() {
    let Some(files) = edge_cases() else { return };
    let recover = |hive: &str| {
        let logs = [".LOG1", ".LOG2"].map(|end| files[&format!("{hive}{end}")].as_slice());
        Hive::recover(files[hive].clone(), &logs, &Limits::default())
    };
    for (number, why) in [
        (1, "log 1 has a wrong checksum"),
        (2, "the log holds no bitmap"),
        (3, "log 1 has a wrong checksum; log 2 has a wrong checksum"),
    ] {
        let error = recover(&format!("BadLogHive{number}/BadLogHive")).unwrap_err().to_string();
        assert!(error.contains(why), "{number}: {error}");
    }
    // A damaged base block is replaced by that of the log.
    let hive = recover("BadBaseBlockHive/BadBaseBlockHive").unwrap();
    assert_eq!(hive.check(), []);
    assert_eq!(count(&hive).0, 5003);
}

#[test]
fn edge_cases_are_read_or_refused_cleanly() {
    /// What must be said of those that are not sound; all others with a good base block are.
    const SAID: &[(&str, &str)] = &[
        ("BadListHive", "names another parent"),
        ("BadSubkeyHive", "two owners"),
        ("CompHive", "hash of"),
        ("DeletedDataHiveTruncated", "where no cell can be"),
        ("DuplicateSubkeysHive", "out of order or a duplicate"),
        ("HealedHive", "8 keys, 4 use it"),
        ("InvalidParentHive", "names another parent"),
        ("RecoveredHive_Windows10", "nothing refers to this cell"),
        ("TruncatedNameHive", "does not fit"),
        ("WrongOrderHive", "out of order or a duplicate"),
    ];
    let Some(files) = edge_cases() else { return };
    let mut sound = 0;
    for (path, bytes) in &files {
        let Ok(hive) = parse(bytes) else { continue };
        let problems: Vec<String> = hive.check().iter().map(ToString::to_string).collect();
        match SAID.iter().find(|(name, _)| path.ends_with(name)) {
            None => {
                assert!(problems.is_empty(), "{path}: {problems:?}");
                count(&hive);
                sound += 1;
            }
            Some((_, what)) => {
                assert!(problems.iter().any(|problem| problem.contains(what)), "{problems:?}");
            }
        }
        assert!(hive.into_bytes() == *bytes, "{path}");
    }
    assert_eq!(sound, 30, "sound hives among the edge cases");
}
