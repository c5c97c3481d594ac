//! Any bytes as a hive, and as a dirty hive with a log: walked, dumped, checked, edited, written; a sound hive stays sound.
#![no_main]

use libfuzzer_sys::fuzz_target;
use transom::base::{filetime::FileTime, limits::Limits, name::Name};
use transom::format::hive::{Hive, Value};

fuzz_target!(|data: &[u8]| {
    let limits = Limits { hive: 8 << 20, ..Limits::default() };
    let half = data.len() / 8192 * 4096;
    let (primary, log) = data.split_at(half);
    drop(Hive::recover(primary.to_vec(), &[log], &limits));

    let mut bytes = data.to_vec();
    seal(&mut bytes);
    let Ok(mut hive) = Hive::parse(bytes.clone(), &limits) else { return };
    assert!(hive.to_bytes() == bytes, "an unchanged hive is the same bytes");
    let root = hive.root();
    let sound = hive.check().is_empty();
    let dump = hive.dump(root);
    assert!(dump.is_ok() || !sound, "a sound hive can be dumped");
    for key in hive.subkeys(root).unwrap_or_default().into_iter().chain([root]).take(8) {
        drop(hive.create_key(key, &Name::from("new"), FileTime(1)));
        drop(hive.set_value(key, &Value::binary("new", vec![1; 20_000]), FileTime(1)));
        drop(hive.set_security(key, &[1; 40]));
        drop(hive.delete_key(key, FileTime(1)));
    }
    let problems = hive.check();
    assert!(problems.is_empty() || !sound, "a sound hive stays sound: {problems:?}");
});

/// Makes the base block that of a clean hive, so that the fuzzer gets past it.
fn seal(bytes: &mut [u8]) {
    let Some(block) = bytes.first_chunk_mut::<512>() else { return };
    block.copy_within(8..12, 4);
    let (words, _) = block[..508].as_chunks::<4>();
    let sum = match words.iter().fold(0, |sum, word| sum ^ u32::from_le_bytes(*word)) {
        u32::MAX => u32::MAX - 1,
        0 => 1,
        sum => sum,
    };
    block[508..].copy_from_slice(&sum.to_le_bytes());
}
