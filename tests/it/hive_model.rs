//! Edits of hives against a model of what a registry is: after every edit the hive is sound and says what the model says.

use std::collections::BTreeMap;

use proptest::prelude::*;
use transom::base::{filetime::FileTime, limits::Limits, name::Name};
use transom::format::hive::{Hive, KeyId, Value, ValueType};

use super::hive_real::real_hive;

/// A key of the model: values in the order they were set, class, security.
#[derive(Clone, Default, Debug, PartialEq)]
struct ModelKey {
    name: String,
    values: Vec<(String, u32, Vec<u8>)>,
    class: Option<String>,
    security: Vec<u8>,
    time: u64,
}

/// Keys by their path of upper-case names; the root is the empty path.
type Model = BTreeMap<Vec<Vec<u16>>, ModelKey>;

#[derive(Clone, Debug)]
enum Edit {
    Create { parent: usize, name: String },
    Delete { key: usize },
    Set { key: usize, name: String, kind: u32, data: Vec<u8> },
    Unset { key: usize, name: String },
    Secure { key: usize, descriptor: Vec<u8> },
    Class { key: usize, class: Option<String> },
}

fn names() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        "[a-dA-D]{1,2}",
        "[éÉжЖßÿŸ]{1,2}",
        "[a-z]{30,60}",
        Just("ключ реестра".to_owned()),
    ]
}

fn data() -> impl Strategy<Value = Vec<u8>> {
    let size = prop_oneof![
        4 => 0..10_usize,
        4 => 10..200_usize,
        1 => 16_340..16_350_usize,
        1 => 32_600..60_000_usize,
    ];
    (size, any::<u8>()).prop_map(|(size, byte)| vec![byte; size])
}

fn edits() -> impl Strategy<Value = Edit> {
    let key = 0..64_usize;
    prop_oneof![
        6 => (key.clone(), names()).prop_map(|(parent, name)| Edit::Create { parent, name }),
        1 => key.clone().prop_map(|key| Edit::Delete { key }),
        6 => (key.clone(), names(), 0..12_u32, data())
            .prop_map(|(key, name, kind, data)| Edit::Set { key, name, kind, data }),
        2 => (key.clone(), names()).prop_map(|(key, name)| Edit::Unset { key, name }),
        2 => (key.clone(), 1..4_u8, 20..300_usize)
            .prop_map(|(key, byte, size)| Edit::Secure { key, descriptor: vec![byte; size / 100 * 100 + 20] }),
        1 => (key, proptest::option::of("[a-z]{0,9}")).prop_map(|(key, class)| Edit::Class { key, class }),
    ]
}

fn upcased(name: &str) -> Vec<u16> {
    Name::from(name).to_upcase().units().to_vec()
}

fn find(hive: &Hive, path: &[Vec<u16>]) -> KeyId {
    let path: Vec<Name> = path.iter().map(|part| Name::from_units(part.clone())).collect();
    hive.find(hive.root(), &path).unwrap().expect("the model has this key")
}

/// Applies one edit to both.
fn apply(hive: &mut Hive, model: &mut Model, edit: &Edit, time: u64) {
    let pick = |index: usize| model.keys().nth(index % model.len()).unwrap().clone();
    let now = FileTime(time);
    match edit {
        Edit::Create { parent, name } => {
            let path = pick(*parent);
            let parent = find(hive, &path);
            let result = hive.create_key(parent, &Name::from(name.as_str()), now);
            if name.is_empty() {
                assert!(result.is_err());
                return;
            }
            let mut child = path.clone();
            child.push(upcased(name));
            if !model.contains_key(&child) {
                let security = model[&path].security.clone();
                let key = ModelKey { name: name.clone(), security, time, ..ModelKey::default() };
                model.insert(child.clone(), key);
                model.get_mut(&path).unwrap().time = time;
            }
            assert_eq!(result.unwrap(), find(hive, &child));
        }
        Edit::Delete { key } => {
            let path = pick(*key);
            let key = find(hive, &path);
            let result = hive.delete_key(key, now);
            let Some((_, parent)) = path.split_last() else {
                assert!(result.is_err());
                return;
            };
            result.unwrap();
            model.get_mut(parent).unwrap().time = time;
            model.retain(|other, _| !other.starts_with(&path));
        }
        Edit::Set { key, name, kind, data } => {
            let path = pick(*key);
            let key = find(hive, &path);
            let value = Value::new(name.as_str(), ValueType(*kind), data.clone());
            let changed = hive.set_value(key, &value, now).unwrap();
            let node = model.get_mut(&path).unwrap();
            let old = node.values.iter_mut().find(|(other, ..)| upcased(other) == upcased(name));
            assert_eq!(changed, old.as_ref().is_none_or(|old| (old.1, &old.2) != (*kind, data)));
            match old {
                Some(old) => (old.1, old.2) = (*kind, data.clone()),
                None => node.values.push((name.clone(), *kind, data.clone())),
            }
            if changed {
                node.time = time;
            }
        }
        Edit::Unset { key, name } => {
            let path = pick(*key);
            let key = find(hive, &path);
            let changed = hive.delete_value(key, &Name::from(name.as_str()), now).unwrap();
            let node = model.get_mut(&path).unwrap();
            let before = node.values.len();
            node.values.retain(|(other, ..)| upcased(other) != upcased(name));
            assert_eq!(changed, node.values.len() < before);
            if changed {
                node.time = time;
            }
        }
        Edit::Secure { key, descriptor } => {
            let path = pick(*key);
            hive.set_security(find(hive, &path), descriptor).unwrap();
            model.get_mut(&path).unwrap().security.clone_from(descriptor);
        }
        Edit::Class { key, class } => {
            let path = pick(*key);
            let name = class.as_deref().map(Name::from);
            hive.set_class(find(hive, &path), name.as_ref()).unwrap();
            model.get_mut(&path).unwrap().class = class.clone().filter(|class| !class.is_empty());
        }
    }
}

/// What the hive says, in the form of the model.
fn read(hive: &Hive) -> Model {
    let mut model = Model::new();
    let mut waiting = vec![(Vec::new(), hive.root())];
    while let Some((path, key)) = waiting.pop() {
        let values = hive.values(key).unwrap();
        let node = ModelKey {
            name: if path.is_empty() {
                String::new()
            } else {
                hive.key_name(key).unwrap().to_string()
            },
            values: values.into_iter().map(|v| (v.name.to_string(), v.kind.0, v.data)).collect(),
            class: hive.class(key).unwrap().map(|class| class.to_string()),
            security: hive.security(key).unwrap().to_vec(),
            time: hive.key_time(key).unwrap().0,
        };
        for child in hive.subkeys(key).unwrap() {
            let mut below: Vec<Vec<u16>> = path.clone();
            below.push(hive.key_name(child).unwrap().to_upcase().units().to_vec());
            waiting.push((below, child));
        }
        model.insert(path, node);
    }
    model
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn edits_do_what_the_model_does(minor in 3..=6_u32, edits in prop::collection::vec(edits(), 1..80)) {
        let build = || {
            let mut hive = Hive::create(minor, FileTime(1), &[9; 40]);
            let mut model = Model::new();
            model.insert(Vec::new(), ModelKey { security: vec![9; 40], time: 1, ..ModelKey::default() });
            for (time, edit) in (2..).zip(&edits) {
                apply(&mut hive, &mut model, edit, time);
                assert_eq!(hive.check(), [], "after {edit:?}");
            }
            (hive, model)
        };
        let (hive, model) = build();
        prop_assert_eq!(read(&hive), model);
        let bytes = hive.to_bytes();
        let again = Hive::parse(bytes.clone(), &Limits::default()).unwrap();
        prop_assert_eq!(again.check(), []);
        prop_assert_eq!(read(&again), read(&hive));
        prop_assert!(again.into_bytes() == bytes);
        prop_assert!(build().0.into_bytes() == bytes, "the same edits give the same bytes");
    }

    #[test]
    fn many_subkeys_stay_sorted_in_any_order_of_arrival(
        minor in 3..=6_u32,
        seed in any::<u32>(),
        count in 500..2500_u32,
    ) {
        // Multiplication by an odd number permutes; the names arrive and leave in two different orders.
        let name = |index: u32, factor: u32| {
            Name::from(format!("key {:08x}", index.wrapping_mul(factor).wrapping_add(seed)).as_str())
        };
        let mut hive = Hive::create(minor, FileTime(1), &[9; 40]);
        let empty = hive.to_bytes();
        let parent = hive.create_key(hive.root(), &Name::from("parent"), FileTime(1)).unwrap();
        for index in 0..count {
            hive.create_key(parent, &name(index, seed | 1), FileTime(1)).unwrap();
            if index % 509 == 0 {
                prop_assert_eq!(hive.check(), []);
            }
        }
        prop_assert_eq!(hive.check(), []);
        prop_assert_eq!(hive.subkeys(parent).unwrap().len(), count as usize);
        for index in 0..count {
            let key = hive.subkey(parent, &name(index, seed | 1)).unwrap().expect("was created");
            hive.delete_key(key, FileTime(1)).unwrap();
            if index % 509 == 0 {
                prop_assert_eq!(hive.check(), []);
            }
        }
        hive.delete_key(parent, FileTime(1)).unwrap();
        prop_assert_eq!(hive.check(), []);
        let bytes = hive.into_bytes();
        // All cells are free again: what is left beside empty bins is the hive as it was, but for the bound of the name's length.
        let last_cell = 4096 + 32;
        prop_assert_eq!(&bytes[last_cell..last_cell + 50], &empty[last_cell..last_cell + 50]);
        let free = bytes[4096..].chunks(4096).skip(1).all(|bin| bin[36..].iter().all(|&byte| byte == 0));
        prop_assert!(free, "something was left behind");
    }
}

#[test]
fn ten_thousand_keys_in_a_real_hive_come_and_go_without_a_trace() {
    let Some(bytes) = real_hive("SYSTEM_win10_19041") else { return };
    let mut hive = Hive::parse(bytes.clone(), &Limits::default()).unwrap();
    let before = hive.dump(hive.root()).unwrap();
    let time = hive.key_time(hive.root()).unwrap();
    let root = hive.root();
    let many = hive.create_key(root, &Name::from("Many"), time).unwrap();
    for index in 0..10_000 {
        let name = format!("Key{:05}", index * 7919 % 10_000);
        let key = hive.create_key(many, &Name::from(name.as_str()), time).unwrap();
        hive.set_value(key, &Value::dword("Start", index), time).unwrap();
    }
    assert_eq!(hive.check(), []);
    let grown = hive.byte_size() - bytes.len();
    // Each key is a cell of 88 bytes and 8 in the list, each value one of 32 with a list of 8.
    assert!(grown < 10_000 * (88 + 8 + 32 + 8) * 110 / 100, "{grown} bytes");
    assert_eq!(hive.subkeys(many).unwrap().len(), 10_000);
    hive.delete_key(many, time).unwrap();
    assert_eq!(hive.check(), []);
    assert_eq!(hive.dump(hive.root()).unwrap(), before);
    let again = Hive::parse(hive.into_bytes(), &Limits::default()).unwrap();
    assert_eq!(again.dump(again.root()).unwrap(), before);
}
