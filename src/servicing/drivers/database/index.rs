//! The indexes of the database: which INFs a device ID leads to, which packages an INF stands for, which `oemN.inf` are taken.
//!
//! `DeviceIds\<ID split at its backslashes>` has a value per published INF, 4 bytes: u8 kind (1 hardware ID, 2 compatible ID, 3 an ID of an extension
//! INF), u8 feature score (FF when the INF gives none), u16 place among the compatible IDs. `DeviceIds\<class GUID>` has an empty value without type
//! per published INF. `DriverInfFiles\<inf>`: default value all packages, `Active` the one in force, `Configurations` the sections in INF order.

use std::collections::BTreeSet;

use crate::{
    base::{guid::Guid, name::Name},
    format::hive::{Value, ValueType},
};

use super::{
    fields::{Fields, Values},
    package::PackageRecord,
    tree::KeyTree,
};

/// Highest `oemN.inf` that is looked at; Windows itself stops far earlier.
const HIGHEST_OEM: u32 = 0xffff;

/// What an ID is in its INF.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum IdKind {
    /// The first ID of a models line.
    Hardware,
    /// One of those that follow.
    Compatible,
    /// Either, in an extension INF.
    Extension,
}

/// A device ID that an INF names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct DeviceId {
    /// The ID as written: `PCI\VEN_1AF4&DEV_1001`.
    pub id: String,
    /// What it is.
    pub kind: IdKind,
    /// How well the driver serves the device: the lower the better, FF when not given.
    pub feature_score: u8,
    /// Its place among the compatible IDs of its line, from 0; 0 for the others.
    pub index: u16,
}

/// `DriverInfFiles\<inf>`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct InfFileRecord {
    /// Every package that was published under this name.
    pub packages: Option<Vec<String>>,
    /// The one in force.
    pub active: Option<String>,
    /// Its install sections, in INF order.
    pub configurations: Option<Vec<String>>,
    /// Other values, as they are.
    pub other_values: Vec<Value>,
    /// Keys, as they are.
    pub other_keys: Vec<(Name, KeyTree)>,
}

/// `OemInfMap`: which `oemN.inf` are taken. Bit 7 − N mod 8 of byte N / 8; no more bytes than needed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OemInfMap(pub BTreeSet<u32>);

impl IdKind {
    /// The first byte of the value.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::Hardware => 1,
            Self::Compatible => 2,
            Self::Extension => 3,
        }
    }

    fn from_number(number: u8) -> Option<Self> {
        [Self::Hardware, Self::Compatible, Self::Extension]
            .into_iter()
            .find(|kind| kind.number() == number)
    }
}

impl DeviceId {
    /// The key below `DeviceIds` and `Descriptors`.
    #[must_use]
    pub fn path(&self) -> Vec<Name> {
        self.id.split('\\').filter(|part| !part.is_empty()).map(Name::from).collect()
    }

    /// The 4 bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; 4] {
        let [low, high] = self.index.to_le_bytes();
        [self.kind.number(), self.feature_score, low, high]
    }

    /// The value for `published`: its name, and the 4 bytes.
    #[must_use]
    pub fn value(&self, published: &str) -> Value {
        Value::binary(published, self.encode())
    }

    /// Reads the value found at `path`; `None` when it is not one of 4 bytes with a known kind.
    #[must_use]
    pub fn decode(path: &[Name], value: &Value) -> Option<Self> {
        let bytes = <[u8; 4]>::try_from(value.data.as_slice()).ok()?;
        let kind = IdKind::from_number(bytes[0]).filter(|_| value.kind == ValueType::BINARY)?;
        let names: Vec<String> = path.iter().map(Name::to_string).collect();
        Some(Self {
            id: names.join("\\"),
            kind,
            feature_score: bytes[1],
            index: u16::from_le_bytes([bytes[2], bytes[3]]),
        })
    }
}

/// The entry of a package's class: the key below `DeviceIds`, and the value.
#[must_use]
pub fn class_entry(class: Guid, published: &str) -> (Name, Value) {
    (Name::from(class.to_string().as_str()), Value::new(published, ValueType::NONE, Vec::new()))
}

impl InfFileRecord {
    /// What the database must say of the INF that these packages were published as, or `None` for no package.
    #[must_use]
    pub fn of_packages(packages: &[PackageRecord]) -> Option<Self> {
        let active = preferred(packages)?;
        let sections = active.configurations.as_ref().map(|configurations| {
            configurations.iter().map(|configuration| configuration.name.to_string()).collect()
        });
        Some(Self {
            packages: Some(packages.iter().map(|package| package.name.to_string()).collect()),
            active: Some(active.name.to_string()),
            configurations: sections,
            ..Self::default()
        })
    }

    /// Reads the key.
    #[must_use]
    pub fn decode(tree: &KeyTree) -> Self {
        let mut fields = Fields::of(tree);
        Self {
            packages: fields.texts(""),
            active: fields.text("Active"),
            configurations: fields.texts("Configurations"),
            other_values: fields.values,
            other_keys: fields.keys,
        }
    }

    /// The key.
    #[must_use]
    pub fn encode(&self) -> KeyTree {
        let mut values = Values::default();
        values.texts("", self.packages.as_ref());
        values.text("Active", self.active.as_ref());
        values.texts("Configurations", self.configurations.as_ref());
        values.0.extend(self.other_values.iter().cloned());
        KeyTree { values: values.0, keys: self.other_keys.clone() }
    }
}

impl OemInfMap {
    /// Reads the value's data.
    #[must_use]
    pub fn decode(data: &[u8]) -> Self {
        let bits = data.iter().enumerate().flat_map(|(at, byte)| {
            (0..8).filter(move |bit| byte & (0x80 >> bit) != 0).map(move |bit| at * 8 + bit)
        });
        Self(
            bits.filter_map(|bit| u32::try_from(bit).ok())
                .filter(|bit| *bit <= HIGHEST_OEM)
                .collect(),
        )
    }

    /// The value's data.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let length = self.0.last().map_or(0, |highest| *highest as usize / 8 + 1);
        let mut data = vec![0; length];
        for number in &self.0 {
            data[*number as usize / 8] |= 0x80 >> (number % 8);
        }
        data
    }

    /// The value at the root of the database in SYSTEM.
    #[must_use]
    pub fn value(&self) -> Value {
        Value::binary("OemInfMap", self.encode())
    }

    /// The lowest number that is not taken; gaps are used again. `None` when all are taken.
    #[must_use]
    pub fn lowest_free(&self) -> Option<u32> {
        (0..=HIGHEST_OEM).find(|number| !self.0.contains(number))
    }
}

/// The number of `oemN.inf`; `None` for other names, leading zeros among them.
#[must_use]
pub fn oem_number(published: &str) -> Option<u32> {
    let lower = published.to_ascii_lowercase();
    let digits = lower.strip_prefix("oem")?.strip_suffix(".inf")?;
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit())
        && (digits == "0" || !digits.starts_with('0'));
    digits.parse().ok().filter(|number| plain && *number <= HIGHEST_OEM)
}

/// Which of several packages of one INF is in force: the latest date, then the highest version, then the first.
#[must_use]
pub fn preferred(packages: &[PackageRecord]) -> Option<&PackageRecord> {
    let rank = |package: &PackageRecord| (package.version.date, package.version.version);
    packages.iter().reduce(|best, next| if rank(next) > rank(best) { next } else { best })
}

/// Everything that the database must have for a package that is alone under its published name, from the database's root: its record, the entry
/// of its INF, its IDs and its class. `OemInfMap` is not among it, since it is in SYSTEM even for a package in DRIVERS.
#[must_use]
pub fn additions(record: &PackageRecord, ids: &[DeviceId]) -> KeyTree {
    let mut tree = KeyTree::default();
    *tree.make(&["DriverPackages".into(), record.name.clone()]) = record.encode();
    let Some(published) = &record.published else { return tree };
    if let Some(inf) = InfFileRecord::of_packages(std::slice::from_ref(record)) {
        *tree.make(&["DriverInfFiles".into(), published.as_str().into()]) = inf.encode();
    }
    for id in ids {
        let path: Vec<Name> = std::iter::once("DeviceIds".into()).chain(id.path()).collect();
        tree.make(&path).set(id.value(published));
    }
    let (class, value) = class_entry(record.version.class, published);
    tree.make(&["DeviceIds".into(), class]).set(value);
    tree
}

#[cfg(test)]
mod tests {
    use crate::base::filetime::FileTime;
    use proptest::prelude::*;

    use super::{super::package::PackageVersion, *};

    fn package(name: &str, date: u64, last: u16) -> PackageRecord {
        let version = PackageVersion {
            inbox: false,
            active: true,
            architecture: 9,
            class: Guid([7; 16]),
            date: FileTime(date),
            version: [1, 0, 0, last],
            flags: 0,
        };
        let mut record = PackageRecord::new(name.into(), version);
        record.published = Some("oem4.inf".into());
        record
    }

    #[test]
    fn real_maps_read_and_write_back() {
        for (data, numbers) in [
            (vec![0xff, 0x80], (0..9).collect::<Vec<u32>>()),
            (vec![0xe0], vec![0, 1, 2]),
            (vec![0xff, 0xfc], (0..14).collect()),
            (vec![0xff, 0xf0], (0..12).collect()),
            (vec![], vec![]),
        ] {
            let map = OemInfMap::decode(&data);
            assert_eq!(map.0.iter().copied().collect::<Vec<_>>(), numbers);
            assert_eq!(map.encode(), data);
        }
        assert_eq!(OemInfMap::decode(&[0b1011_1111]).lowest_free(), Some(1));
        assert_eq!(OemInfMap::default().lowest_free(), Some(0));
    }

    #[test]
    fn published_names_have_numbers() {
        assert_eq!(oem_number("OEM12.inf"), Some(12));
        assert_eq!(oem_number("oem0.inf"), Some(0));
        for other in
            ["oem.inf", "oem01.inf", "oem+1.inf", "oem-a.inf", "usb.inf", "oem99999999.inf"]
        {
            assert_eq!(oem_number(other), None, "{other}");
        }
    }

    #[test]
    fn the_later_and_then_the_higher_package_is_in_force() {
        let packages = [package("a", 5, 9), package("b", 6, 1), package("c", 6, 2)];
        let record = InfFileRecord::of_packages(&packages).unwrap();
        assert_eq!(record.active.as_deref(), Some("c"));
        assert_eq!(record.packages.as_ref().unwrap().len(), 3);
        assert_eq!(InfFileRecord::decode(&record.encode()), record);
        assert_eq!(InfFileRecord::of_packages(&[]), None);
    }

    #[test]
    fn a_package_is_indexed_by_its_ids_and_its_class() {
        let id = DeviceId {
            id: r"PCI\VEN_1AF4&DEV_1001".into(),
            kind: IdKind::Compatible,
            feature_score: 0xf9,
            index: 0x0102,
        };
        let tree = additions(&package("p", 1, 1), std::slice::from_ref(&id));
        let key = tree.at(r"DeviceIds\pci\ven_1af4&dev_1001").unwrap();
        let value = key.value("oem4.inf").unwrap();
        assert_eq!(value.data, [2, 0xf9, 2, 1]);
        assert_eq!(DeviceId::decode(&id.path(), value), Some(id));
        let class = tree.at(r"DeviceIds\{07070707-0707-0707-0707-070707070707}").unwrap();
        assert_eq!(class.value("oem4.inf").unwrap().kind, ValueType::NONE);
        assert!(tree.at(r"DriverPackages\p").unwrap().value("Version").is_some());
        let inf = tree.at(r"DriverInfFiles\oem4.inf").unwrap();
        assert_eq!(inf.value("Active"), Some(&Value::sz("Active", "p")));
        assert_eq!(inf.value("Configurations"), None);
    }

    proptest! {
        #[test]
        fn maps_of_any_numbers_come_back(numbers in prop::collection::btree_set(0u32..3000, 0..20)) {
            let map = OemInfMap(numbers);
            prop_assert_eq!(OemInfMap::decode(&map.encode()), map);
        }
    }
}
