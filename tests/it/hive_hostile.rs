//! Damaged hives: whatever the bytes, they are read, checked, edited or refused, in bounded time, without a panic.

use std::time::{Duration, Instant};

use transom::base::{filetime::FileTime, limits::Limits, name::Name};
use transom::format::hive::{Hive, Value};
use transom::format::reg_text;

use crate::hive_real::{edge_cases, real_hive};

/// A sequence of numbers that is the same everywhere (SplitMix64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).unwrap()
    }
}

/// A small hive with every kind of cell.
fn sample(minor: u32) -> Vec<u8> {
    let mut hive = Hive::create(minor, FileTime(1), &[7; 60]);
    let root = hive.root();
    let parent = hive.create_key(root, &Name::from("parent"), FileTime(2)).unwrap();
    for index in 0..20 {
        let name = Name::from(format!("key {index} ж").as_str());
        let key = hive.create_key(parent, &name, FileTime(3)).unwrap();
        hive.set_value(key, &Value::sz("text", "some text"), FileTime(3)).unwrap();
        hive.set_value(key, &Value::dword("", index), FileTime(3)).unwrap();
        if index % 5 == 0 {
            hive.set_security(key, &[u8::try_from(index).unwrap(); 44]).unwrap();
            hive.set_class(key, Some(&Name::from("class"))).unwrap();
        }
    }
    hive.set_value(parent, &Value::binary("big", vec![1; 40_000]), FileTime(3)).unwrap();
    let many = hive.create_key(root, &Name::from("many"), FileTime(2)).unwrap();
    for index in 0..600 {
        let name = Name::from(format!("{:03}", index * 7 % 600).as_str());
        hive.create_key(many, &name, FileTime(3)).unwrap();
    }
    assert_eq!(hive.check(), []);
    hive.into_bytes()
}

/// Everything one can do to a hive; none of it may panic, all of it may fail.
fn use_it(bytes: Vec<u8>) {
    let limits = Limits { hive: 64 << 20, ..Limits::default() };
    let Ok(mut hive) = Hive::parse(bytes, &limits) else { return };
    let root = hive.root();
    drop(hive.dump(root));
    drop(reg_text::entries_of(&hive, root, "HKLM"));
    let problems = hive.check();
    let mut keys = vec![root];
    let mut next = 0;
    while let Some(&key) = keys.get(next).filter(|_| next < 60) {
        keys.extend(hive.subkeys(key).unwrap_or_default());
        drop((hive.values(key), hive.class(key), hive.security(key).map(<[u8]>::len)));
        next += 1;
    }
    keys.truncate(60);
    for (index, &key) in keys.iter().enumerate() {
        let time = FileTime(9);
        drop(hive.create_key(key, &Name::from("new ж"), time));
        drop(hive.set_value(key, &Value::binary("bytes", vec![1; index * 700]), time));
        drop(hive.set_value(key, &Value::sz("text", "other"), time));
        drop(hive.set_security(key, &[u8::try_from(index % 3).unwrap(); 30]));
        drop(hive.set_class(key, Some(&Name::from("new class"))));
        drop(hive.delete_value(key, &Name::from(""), time));
        if index % 4 == 3 {
            drop(hive.delete_key(key, time));
        }
    }
    let after = hive.check();
    if problems.is_empty() {
        assert_eq!(after, [], "a sound hive stays sound");
    }
    drop(Hive::parse(hive.into_bytes(), &limits));
}

/// Makes the base block's checksum right again, so that damage gets past the door.
fn seal(bytes: &mut [u8]) {
    if bytes.len() < 512 {
        return;
    }
    let secondary: [u8; 4] = bytes[8..12].try_into().unwrap();
    bytes[4..8].copy_from_slice(&secondary);
    let words = bytes[..508].chunks(4).map(|word| u32::from_le_bytes(word.try_into().unwrap()));
    let sum = match words.fold(0, |sum, word| sum ^ word) {
        u32::MAX => u32::MAX - 1,
        0 => 1,
        sum => sum,
    };
    bytes[508..512].copy_from_slice(&sum.to_le_bytes());
}

fn damage(bytes: &mut Vec<u8>, numbers: &mut Numbers) {
    for _ in 0..=numbers.below(4) {
        let at = numbers.below(bytes.len());
        match numbers.below(6) {
            0 => bytes[at] ^= 1 << numbers.below(8),
            1 => bytes[at] = 0xff,
            2 => {
                // A field becomes another one from elsewhere: offsets that point to real cells of the wrong kind.
                let (to, from) = (at & !3, numbers.below(bytes.len()) & !3);
                let field: Option<[u8; 4]> =
                    bytes.get(from..from + 4).and_then(|f| f.try_into().ok());
                if let (Some(field), Some(place)) = (field, bytes.get_mut(to..to + 4)) {
                    place.copy_from_slice(&field);
                }
            }
            3 => {
                let value = u32::try_from(numbers.below(bytes.len())).unwrap() & !7;
                if let Some(place) = bytes.get_mut(at & !3..(at & !3) + 4) {
                    place.copy_from_slice(&value.to_le_bytes());
                }
            }
            4 => bytes[at] = bytes[at].wrapping_add(8),
            _ if numbers.below(20) == 0 => bytes.truncate(at),
            _ => bytes[at] = 0,
        }
        if bytes.is_empty() {
            return;
        }
    }
    seal(bytes);
}

#[test]
fn damaged_hives_never_panic() {
    let mut originals: Vec<Vec<u8>> = (3..=6).map(sample).collect();
    originals.extend(
        edge_cases()
            .into_iter()
            .flatten()
            .map(|(_, bytes)| bytes)
            .filter(|bytes| bytes.starts_with(b"regf") && bytes.len() <= 524_288),
    );
    for original in &originals {
        use_it(original.clone());
    }
    let start = Instant::now();
    let mut numbers = Numbers(1);
    let mut rounds = 0;
    while start.elapsed() < Duration::from_secs(3) {
        let mut bytes = originals[numbers.below(originals.len())].clone();
        damage(&mut bytes, &mut numbers);
        use_it(bytes);
        rounds += 1;
    }
    assert!(rounds > 20, "{rounds} rounds in three seconds");
}

#[test]
fn every_truncation_is_refused() {
    let bytes = sample(5);
    for length in (0..bytes.len()).step_by(97) {
        assert!(Hive::parse(bytes[..length].to_vec(), &Limits::default()).is_err(), "{length}");
    }
}

#[test]
fn damaged_logs_never_panic() {
    let Some(files) = edge_cases() else { return };
    let mut numbers = Numbers(2);
    for hive in ["NewDirtyHive1/NewDirtyHive", "OldDirtyHive/OldDirtyHive"] {
        for _ in 0..200 {
            let mut parts =
                ["", ".LOG1", ".LOG2"].map(|end| files[&format!("{hive}{end}")].clone());
            let which = numbers.below(3);
            if parts[which].is_empty() {
                continue;
            }
            let length = parts[which].len().min(2048);
            let at = numbers.below(length);
            parts[which][at] ^= 1 << numbers.below(8);
            let [primary, log1, log2] = parts;
            if let Ok(hive) = Hive::recover(primary, &[&log1, &log2], &Limits::default()) {
                drop(hive.check());
            }
        }
    }
}

#[test]
fn a_corrupted_hive_is_named_as_such() {
    let Some(bytes) = real_hive("corrupted_system_hive") else { return };
    let error = Hive::parse(bytes, &Limits::default()).unwrap_err().to_string();
    assert!(error.contains("signature `hbin` is missing"), "{error}");
}

#[test]
fn a_hive_larger_than_allowed_is_refused() {
    let limits = Limits { hive: 10_000, ..Limits::default() };
    let error = Hive::parse(sample(5), &limits).unwrap_err();
    assert!(error.to_string().contains("limit of 10000"), "{error}");
}
