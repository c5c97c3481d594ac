//! The registry of a synthetic image: hives made from the `.reg` texts beside this file.

use crate::{
    base::{filetime::FileTime, name::Name},
    format::{
        hive::{Hive, HiveError, KeyId, Value, ValueType},
        reg_text::{self, RegAction},
    },
};

/// What differs between the demo's editions.
#[derive(Debug, Clone, Copy)]
pub(super) struct Edition {
    /// `EditionID`: `Professional`.
    pub(super) id: &'static str,
    /// `CompositionEditionID`.
    pub(super) composition: &'static str,
    /// `InstallationType`: `Client`, `Server Core`.
    pub(super) installation: &'static str,
    /// `ProductName`.
    pub(super) product: &'static str,
    /// `ProductType`: `WinNT` or `ServerNT`.
    pub(super) product_type: &'static str,
    /// The first string of `ProductSuite`.
    pub(super) suite: &'static str,
}

/// Values, each with its key below the hive's root.
pub(super) type HiveValues = Vec<(String, Value)>;

/// A hive from `.reg` text, whose keys lie below `root`, which stands for the hive's own root key; and `more` values.
pub(super) fn from_text(
    text: &str,
    root: &str,
    edition: &Edition,
    more: &[(String, Value)],
    (security, time): (&[u8], FileTime),
) -> Result<Vec<u8>, HiveError> {
    let suite = multi_string(edition.suite);
    let text = text
        .replace("@EDITION@", edition.id)
        .replace("@COMPOSITION@", edition.composition)
        .replace("@INSTALLATION@", edition.installation)
        .replace("@PRODUCT@", edition.product)
        .replace("@PRODUCTTYPE@", edition.product_type)
        .replace("@SUITE@", &suite);
    let entries = reg_text::parse(text.as_bytes()).expect("the demo's .reg texts are tested");
    let mut hive = Hive::create(5, time, security);
    for entry in entries {
        let path = entry.key.strip_prefix(root).expect("the demo's .reg texts name one hive");
        let RegAction::Values(values) = entry.action else { continue };
        let key = create_path(&mut hive, path, time)?;
        for (name, setting) in values {
            let Some((kind, data)) = setting else { continue };
            hive.set_value(key, &Value { name, kind: ValueType(kind.0), data }, time)?;
        }
    }
    for (key, value) in more {
        let key = create_path(&mut hive, key, time)?;
        hive.set_value(key, value, time)?;
    }
    Ok(hive.into_bytes())
}

fn create_path(hive: &mut Hive, path: &str, time: FileTime) -> Result<KeyId, HiveError> {
    let mut key = hive.root();
    for name in path.split('\\').filter(|name| !name.is_empty()) {
        key = hive.create_key(key, &Name::from(name), time)?;
    }
    Ok(key)
}

/// A `REG_MULTI_SZ` of one string as `.reg` text writes it.
fn multi_string(text: &str) -> String {
    let bytes: Vec<String> = text
        .encode_utf16()
        .chain([0, 0])
        .flat_map(u16::to_le_bytes)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("hex(7):{}", bytes.join(","))
}
