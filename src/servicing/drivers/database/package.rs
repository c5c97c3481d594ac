//! `DriverPackages\<package>`: what the database says of one package, and its 48-byte `Version`.
//!
//! `Version`: byte 0 FF inbox, 0 not; byte 1 FF active, 0 superseded; u16 architecture (9 amd64, 0 x86, 5 arm, 12 arm64); u32 0; class GUID; the date of
//! `DriverVer`, a FILETIME at midnight UTC; its version, last number first, 4 × u16; u64 of flags, most often 0.

use crate::{
    base::{filetime::FileTime, guid::Guid, name::Name},
    format::hive::Value,
};

use super::{
    configuration::{Configuration, Descriptor},
    fields::{Fields, Values},
    tree::KeyTree,
};

/// The property that holds the catalog's submission ID, below `Properties`: category and number.
pub const SUBMISSION_ID: (&str, &str) = ("{4da162c1-5eb1-4140-a444-5064c9814e76}", "0009");
/// Its type: a device property, text.
const DEVPROP_TEXT: u32 = 0xffff_0012;

/// A record that is not one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the driver database's record of `{package}` {what}")]
pub struct RecordError {
    /// The package.
    pub package: String,
    /// What is wrong with it.
    pub what: &'static str,
}

/// `Version` of a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackageVersion {
    /// It came with Windows.
    pub inbox: bool,
    /// It is the package that its published INF stands for.
    pub active: bool,
    /// The processor: 9 amd64, 0 x86, 5 arm, 12 arm64.
    pub architecture: u16,
    /// The device class.
    pub class: Guid,
    /// The date of `DriverVer`, midnight UTC.
    pub date: FileTime,
    /// The version of `DriverVer`, first number first.
    pub version: [u16; 4],
    /// Not understood; 0 in most, and in what we write.
    pub flags: u64,
}

/// Bits of `StatusFlags` that are understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatusFlags;

impl StatusFlags {
    /// Files are copied out of the store.
    pub const COPIES: u32 = 0x02;
    /// Files are not protected by `PnpLockdown`.
    pub const NOT_LOCKED_DOWN: u32 = 0x04;
    /// A file goes elsewhere than to the drivers' folder.
    pub const ELSEWHERE: u32 = 0x08;
    /// There are files besides the INF.
    pub const PAYLOAD: u32 = 0x10;
    /// The INF includes others.
    pub const INCLUDES: u32 = 0x100;
}

/// What the database says of one package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageRecord {
    /// The store folder: `stornvme.inf_amd64_1218fad01506b7af`.
    pub name: Name,
    /// The INF that it is published as: `oem3.inf`; an inbox package keeps its own name. It is the default value.
    pub published: Option<String>,
    /// `Version`.
    pub version: PackageVersion,
    /// Who made it.
    pub provider: Option<String>,
    /// The INF's own name (not for inbox packages).
    pub inf_name: Option<String>,
    /// The folder that it was added from (not for inbox packages).
    pub oem_path: Option<String>,
    /// Who signed it.
    pub signer_name: Option<String>,
    /// When it was added.
    pub import_date: Option<FileTime>,
    /// The catalog.
    pub catalog: Option<String>,
    /// How well it is signed: 0x0D000003 inbox, 0x0D000005 WHQL, 0x0F000000 Authenticode, 0x80000000 and more unsigned.
    pub signer_score: Option<u32>,
    /// [`StatusFlags`]; absent where it would be 0.
    pub status_flags: Option<u32>,
    /// Sum of the sizes of its files (newer systems).
    pub file_size: Option<u64>,
    /// Not understood (newer systems).
    pub manifest_hash: Option<u64>,
    /// `ExtensionId` of an extension INF.
    pub extension_id: Option<Guid>,
    /// What it belongs to: `onecore`.
    pub product: Option<String>,
    /// 1 when devices are to be configured again.
    pub needs_reconfig: Option<u32>,
    /// 2 when the driver runs from the store.
    pub lock_level: Option<u32>,
    /// Not understood (newest systems).
    pub catalog_attributes: Option<u32>,
    /// The lowest system that it is for: 0x0a003fab is 10.0.16299 (newest systems).
    pub os_version_floor: Option<u32>,
    /// 1 for boot-critical packages (Windows 8.1 only, and only some).
    pub boot_critical: Option<u32>,
    /// Properties of the package: `{category}\<number>`, default value.
    pub properties: Option<KeyTree>,
    /// What its install sections do; `None` when the database does not hold that.
    pub configurations: Option<Vec<Configuration>>,
    /// What it says of device IDs.
    pub descriptors: Option<Vec<Descriptor>>,
    /// The texts of the tokens that the descriptors use, by token in lower case.
    pub strings: Option<Vec<(Name, String)>>,
    /// Other values, as they are.
    pub other_values: Vec<Value>,
    /// Other keys, as they are.
    pub other_keys: Vec<(Name, KeyTree)>,
}

impl PackageVersion {
    /// Reads the 48 bytes; `None` for bytes that no fields stand for.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes = <&[u8; 48]>::try_from(bytes).ok()?;
        let (pairs, _) = bytes.as_chunks::<2>();
        let (longs, _) = bytes.as_chunks::<8>();
        let word = |at: usize| u16::from_le_bytes(pairs[at / 2]);
        let long = |at: usize| u64::from_le_bytes(longs[at / 8]);
        let mut class = [0; 16];
        class.copy_from_slice(&bytes[8..24]);
        let version = Self {
            inbox: bytes[0] == 0xff,
            active: bytes[1] == 0xff,
            architecture: word(2),
            class: Guid(class),
            date: FileTime(long(24)),
            version: [word(38), word(36), word(34), word(32)],
            flags: long(40),
        };
        (version.encode() == *bytes).then_some(version)
    }

    /// The 48 bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; 48] {
        let mut bytes = [0; 48];
        bytes[0] = if self.inbox { 0xff } else { 0 };
        bytes[1] = if self.active { 0xff } else { 0 };
        bytes[2..4].copy_from_slice(&self.architecture.to_le_bytes());
        bytes[8..24].copy_from_slice(&self.class.0);
        bytes[24..32].copy_from_slice(&self.date.0.to_le_bytes());
        for (place, part) in self.version.iter().rev().enumerate() {
            bytes[32 + 2 * place..34 + 2 * place].copy_from_slice(&part.to_le_bytes());
        }
        bytes[40..].copy_from_slice(&self.flags.to_le_bytes());
        bytes
    }

    /// The version as people write it: `10.0.19041.1266`.
    #[must_use]
    pub fn version_text(&self) -> String {
        self.version.map(|part| part.to_string()).join(".")
    }

    /// The date as people write it: `2006-06-21`.
    #[must_use]
    pub fn date_text(&self) -> String {
        self.date.to_string().split('T').next().unwrap_or_default().to_owned()
    }
}

impl PackageRecord {
    /// A record with nothing but its version.
    #[must_use]
    pub fn new(name: Name, version: PackageVersion) -> Self {
        Self {
            name,
            published: None,
            version,
            provider: None,
            inf_name: None,
            oem_path: None,
            signer_name: None,
            import_date: None,
            catalog: None,
            signer_score: None,
            status_flags: None,
            file_size: None,
            manifest_hash: None,
            extension_id: None,
            product: None,
            needs_reconfig: None,
            lock_level: None,
            catalog_attributes: None,
            os_version_floor: None,
            boot_critical: None,
            properties: None,
            configurations: None,
            descriptors: None,
            strings: None,
            other_values: Vec::new(),
            other_keys: Vec::new(),
        }
    }

    /// Reads `DriverPackages\<name>`. What is not understood is kept as it is.
    ///
    /// # Errors
    /// When `Version`, without which Windows refuses a package, is missing or not a version.
    pub fn decode(name: &Name, tree: &KeyTree) -> Result<Self, RecordError> {
        let fail = |what| RecordError { package: name.to_string(), what };
        let mut fields = Fields::of(tree);
        if tree.value("Version").is_none() {
            return Err(fail("has no `Version`"));
        }
        let version = fields
            .take(
                "Version",
                |value| PackageVersion::decode(&value.data),
                |name, version| Value::binary(name, version.encode()),
            )
            .ok_or_else(|| fail("has a `Version` that is not one"))?;
        let mut record = Self::new(name.clone(), version);
        record.take_values(&mut fields);
        record.take_keys(&mut fields);
        record.other_values = fields.values;
        record.other_keys = fields.keys;
        Ok(record)
    }

    fn take_values(&mut self, fields: &mut Fields) {
        self.published = fields.text("");
        self.provider = fields.text("Provider");
        self.inf_name = fields.text("InfName");
        self.oem_path = fields.text("OemPath");
        self.signer_name = fields.text("SignerName");
        self.import_date = fields.time("ImportDate");
        self.catalog = fields.text("Catalog");
        self.signer_score = fields.dword("SignerScore");
        self.status_flags = fields.dword("StatusFlags");
        self.file_size = fields.qword("FileSize");
        self.manifest_hash = fields.qword("ManifestHash");
        self.extension_id = fields.guid("ExtensionId");
        self.product = fields.text("Product");
        self.needs_reconfig = fields.dword("NeedsReconfig");
        self.lock_level = fields.dword("LockLevel");
        self.catalog_attributes = fields.dword("CatalogAttributes");
        self.os_version_floor = fields.dword("OsVersionFloor");
        self.boot_critical = fields.dword("BootCritical");
    }

    /// Takes the keys below that are wholly understood.
    fn take_keys(&mut self, fields: &mut Fields) {
        self.properties = fields.key("Properties");
        self.configurations = take_key(fields, "Configurations", |tree| {
            let configurations =
                tree.keys.iter().map(|(name, below)| Configuration::decode(name, below)).collect();
            tree.values.is_empty().then_some(configurations)
        });
        self.descriptors = take_key(fields, "Descriptors", |tree| {
            let descriptors = Descriptor::decode_all(tree);
            (Descriptor::encode_all(&descriptors) == *tree).then_some(descriptors)
        });
        self.strings = take_key(fields, "Strings", |tree| {
            let texts = tree.values.iter().map(|value| {
                let text = value.as_text()?;
                (Value::sz(value.name.clone(), &text) == *value).then(|| (value.name.clone(), text))
            });
            if tree.keys.is_empty() { texts.collect() } else { None }
        });
    }

    /// The key `DriverPackages\<name>`.
    #[must_use]
    pub fn encode(&self) -> KeyTree {
        let mut values = Values::default();
        values.binary("Version", Some(&self.version.encode()));
        values.text("Provider", self.provider.as_ref());
        values.text("InfName", self.inf_name.as_ref());
        values.text("OemPath", self.oem_path.as_ref());
        values.text("SignerName", self.signer_name.as_ref());
        values.binary(
            "ImportDate",
            self.import_date
                .map(|time| time.0.to_le_bytes())
                .as_ref()
                .map(|bytes| bytes.as_slice()),
        );
        values.text("Catalog", self.catalog.as_ref());
        values.dword("SignerScore", self.signer_score);
        values.dword("StatusFlags", self.status_flags);
        values.qword("FileSize", self.file_size);
        values.qword("ManifestHash", self.manifest_hash);
        values.binary("ExtensionId", self.extension_id.as_ref().map(|guid| guid.0.as_slice()));
        values.text("Product", self.product.as_ref());
        values.text("", self.published.as_ref());
        values.dword("NeedsReconfig", self.needs_reconfig);
        values.dword("LockLevel", self.lock_level);
        values.dword("CatalogAttributes", self.catalog_attributes);
        values.dword("OsVersionFloor", self.os_version_floor);
        values.dword("BootCritical", self.boot_critical);
        values.0.extend(self.other_values.iter().cloned());
        KeyTree { values: values.0, keys: self.encode_keys() }
    }

    fn encode_keys(&self) -> Vec<(Name, KeyTree)> {
        let configurations = self.configurations.as_ref().map(|configurations| KeyTree {
            values: Vec::new(),
            keys: configurations.iter().map(|one| (one.name.clone(), one.encode())).collect(),
        });
        let strings = self.strings.as_ref().map(|strings| KeyTree {
            values: strings.iter().map(|(name, text)| Value::sz(name.clone(), text)).collect(),
            keys: Vec::new(),
        });
        let descriptors = self.descriptors.as_ref().map(|all| Descriptor::encode_all(all));
        let parts = [
            ("Configurations", configurations),
            ("Descriptors", descriptors),
            ("Properties", self.properties.clone()),
            ("Strings", strings),
        ];
        let parts = parts.into_iter().filter_map(|(name, tree)| Some((Name::from(name), tree?)));
        parts.chain(self.other_keys.iter().cloned()).collect()
    }

    /// The catalog's submission ID, kept as a property of the package.
    #[must_use]
    pub fn submission_id(&self) -> Option<String> {
        let (category, number) = SUBMISSION_ID;
        let key = self.properties.as_ref()?.at(category)?.at(number)?;
        let mut value = key.value("")?.clone();
        value.kind = crate::format::hive::ValueType::SZ;
        value.as_text()
    }

    /// Sets the submission ID.
    pub fn set_submission_id(&mut self, id: &str) {
        let (category, number) = SUBMISSION_ID;
        let data = Value::sz("", id).data;
        let kind = crate::format::hive::ValueType(DEVPROP_TEXT);
        self.properties
            .get_or_insert_default()
            .make(&[category.into(), number.into()])
            .set(Value { name: "".into(), kind, data });
    }
}

fn take_key<T>(
    fields: &mut Fields,
    name: &str,
    read: impl FnOnce(&KeyTree) -> Option<T>,
) -> Option<T> {
    let tree = fields.key(name)?;
    let found = read(&tree);
    if found.is_none() {
        fields.keys.push((name.into(), tree));
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn version() -> PackageVersion {
        PackageVersion {
            inbox: true,
            active: true,
            architecture: 9,
            class: Guid::parse("{4d36e97b-e325-11ce-bfc1-08002be10318}").unwrap(),
            date: FileTime::parse("2006-06-21T00:00:00Z").unwrap(),
            version: [10, 0, 19041, 1266],
            flags: 0,
        }
    }

    #[test]
    fn the_version_of_stornvme_of_windows_10() {
        let bytes = version().encode();
        let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            text,
            "ffff0900000000007be9364d25e3ce11bfc108002be1031800808ca3c594c601f204614a00000a000000000000000000"
        );
        assert_eq!(PackageVersion::decode(&bytes), Some(version()));
        assert_eq!(version().version_text(), "10.0.19041.1266");
        assert_eq!(version().date_text(), "2006-06-21");
        assert_eq!(PackageVersion::decode(&bytes[1..]), None);
    }

    #[test]
    fn what_is_not_understood_is_kept_and_a_record_without_version_is_none() {
        let mut record = PackageRecord::new("x.inf_amd64_0".into(), version());
        record.provider = Some("Someone".into());
        record.set_submission_id("1_2");
        let mut tree = record.encode();
        tree.set(Value::dword("SignerName", 7));
        tree.set(Value::binary("New", [1]));
        tree.make(&["Descriptors".into(), "PCI".into(), "X".into()]);
        tree.make(&["Strings".into()]).set(Value::dword("odd", 1));
        tree.make(&["Configurations".into()]).set(Value::dword("odd", 1));
        let back = PackageRecord::decode(&record.name, &tree).unwrap();
        assert_eq!((back.signer_name.clone(), back.other_values.len()), (None, 2));
        assert_eq!((back.strings.clone(), back.other_keys.len()), (None, 2));
        assert_eq!(back.submission_id().as_deref(), Some("1_2"));
        assert_eq!(back.encode(), tree);
        tree.values.retain(|value| !value.name.is("Version"));
        let error = PackageRecord::decode(&record.name, &tree).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the driver database's record of `x.inf_amd64_0` has no `Version`"
        );
    }

    proptest! {
        #[test]
        fn any_version_is_lossless_or_refused(bytes in prop::collection::vec(prop_oneof![Just(0u8), Just(255), any::<u8>()], 40..56)) {
            if let Some(version) = PackageVersion::decode(&bytes) {
                prop_assert_eq!(version.encode().to_vec(), bytes);
            }
        }
    }
}
