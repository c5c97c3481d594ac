//! A sequence of edits against a model: after each the hive is sound, in the end it says what the model says.
#![no_main]

use std::collections::BTreeMap;

use libfuzzer_sys::fuzz_target;
use transom::base::{filetime::FileTime, limits::Limits, name::Name};
use transom::format::hive::{Hive, KeyId, Value};

/// Values of the keys below the root, by upper-case name.
type Model = BTreeMap<Vec<u16>, BTreeMap<Vec<u16>, Vec<u8>>>;

fn upcased(name: &Name) -> Vec<u16> {
    name.to_upcase().units().to_vec()
}

fn name(byte: u8) -> Name {
    const NAMES: [&str; 8] = ["a", "B", "été", "É", "Жи", "жИ", "ÿ", "a longer name"];
    let text = NAMES[usize::from(byte % 8)];
    Name::from(format!("{text}{}", byte / 8).as_str())
}

fuzz_target!(|data: &[u8]| {
    let Some((&first, mut rest)) = data.split_first() else { return };
    let mut hive = Hive::create(u32::from(first % 4) + 3, FileTime(1), &[1; 24]);
    let root = hive.root();
    let mut model = Model::new();
    while let [operation, key, value, size, tail @ ..] = rest {
        rest = tail;
        let (key, value) = (name(*key), name(*value));
        let found = hive.subkey(root, &key).expect("a sound hive");
        assert_eq!(found.is_some(), model.contains_key(&upcased(&key)));
        match (operation % 6, found) {
            (0 | 1, _) => {
                let created = hive.create_key(root, &key, FileTime(2)).expect("room");
                assert!(found.is_none_or(|found| found == created));
                model.entry(upcased(&key)).or_default();
            }
            (2, Some(id)) => {
                let data = vec![*size; usize::from(*size) * usize::from(operation / 6)];
                set(&mut hive, id, &value, &data);
                model.entry(upcased(&key)).or_default().insert(upcased(&value), data);
            }
            (3, Some(id)) => {
                let had = model.entry(upcased(&key)).or_default().remove(&upcased(&value)).is_some();
                assert_eq!(hive.delete_value(id, &value, FileTime(3)).expect("a sound hive"), had);
            }
            (4, Some(id)) => {
                hive.delete_key(id, FileTime(4)).expect("a sound hive");
                model.remove(&upcased(&key));
            }
            (5, Some(id)) => hive.set_security(id, &[size % 4; 24]).expect("room"),
            _ => {}
        }
        assert_eq!(hive.check(), []);
    }
    let bytes = hive.to_bytes();
    let again = Hive::parse(bytes, &Limits::default()).expect("what we wrote");
    for hive in [&hive, &again] {
        assert_eq!(read(hive), model);
    }
});

fn set(hive: &mut Hive, key: KeyId, name: &Name, data: &[u8]) {
    hive.set_value(key, &Value::binary(name.clone(), data), FileTime(3)).expect("room");
}

fn read(hive: &Hive) -> Model {
    let keys = hive.subkeys(hive.root()).expect("a sound hive");
    keys.into_iter()
        .map(|key| {
            let values = hive.values(key).expect("a sound hive");
            let values = values.into_iter().map(|value| (upcased(&value.name), value.data));
            (upcased(&hive.key_name(key).expect("a sound hive")), values.collect())
        })
        .collect()
}
