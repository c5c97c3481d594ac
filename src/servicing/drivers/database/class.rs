//! Which hive a package belongs to: what its device class says.

use crate::{
    base::guid::Guid,
    format::hive::Value,
    image::{HiveId, Image, ImageError, RegistryPath},
};

/// The class of extension INFs, `{e2f84ce7-8efa-411c-aa69-97454ca4cb57}`.
pub const EXTENSION_CLASS: Guid = Guid([
    0xe7, 0x4c, 0xf8, 0xe2, 0xfa, 0x8e, 0x1c, 0x41, 0xaa, 0x69, 0x97, 0x45, 0x4c, 0xa4, 0xcb, 0x57,
]);

/// Where a class says that it is boot-critical, below `Control\Class\{guid}`: the default value of this key is the boolean FF.
pub const BOOT_CRITICAL_PROPERTY: &str = r"Properties\{6a3433f4-5626-40e8-a9b9-dbd9ecd2884b}\0003";

/// One of the two driver databases.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum DatabaseHive {
    /// `HKLM\SYSTEM\DriverDatabase`: what Windows may need to start.
    System,
    /// `HKLM\DRIVERS\DriverDatabase`: everything else.
    Drivers,
}

impl DatabaseHive {
    /// Both.
    pub const ALL: [Self; 2] = [Self::System, Self::Drivers];

    /// The hive's file.
    #[must_use]
    pub fn hive(self) -> HiveId {
        match self {
            Self::System => HiveId::System,
            Self::Drivers => HiveId::Drivers,
        }
    }

    /// The root of the database.
    #[must_use]
    pub fn root(self) -> RegistryPath {
        RegistryPath::from_keys(self.hive(), vec!["DriverDatabase".into()])
    }

    /// Where packages of a class go: boot-critical classes and extensions are in SYSTEM.
    #[must_use]
    pub fn of_class(class: Guid, boot_critical: bool) -> Self {
        if boot_critical || class == EXTENSION_CLASS { Self::System } else { Self::Drivers }
    }
}

/// True when the image's class is marked boot-critical. False too for a class that the image does not know.
///
/// # Errors
/// When the SYSTEM hive is missing or damaged.
pub fn is_boot_critical(image: &mut Image, class: Guid) -> Result<bool, ImageError> {
    let text =
        format!(r"HKLM\SYSTEM\CurrentControlSet\Control\Class\{class}\{BOOT_CRITICAL_PROPERTY}");
    let path = RegistryPath::parse(&text).expect("the names are fixed and a GUID");
    Ok(image.registry_value(&path, &"".into())?.as_ref().is_some_and(is_true))
}

/// True for the device property TRUE: one byte FF.
fn is_true(value: &Value) -> bool {
    value.data == [0xff]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions_and_boot_critical_classes_are_in_system() {
        assert_eq!(EXTENSION_CLASS.to_string(), "{e2f84ce7-8efa-411c-aa69-97454ca4cb57}");
        let net = Guid::parse("4d36e972-e325-11ce-bfc1-08002be10318").unwrap();
        assert_eq!(DatabaseHive::of_class(net, false), DatabaseHive::Drivers);
        assert_eq!(DatabaseHive::of_class(net, true), DatabaseHive::System);
        assert_eq!(DatabaseHive::of_class(EXTENSION_CLASS, false), DatabaseHive::System);
        assert_eq!(DatabaseHive::Drivers.root().text(), r"HKLM\DRIVERS\DriverDatabase");
        assert!(is_true(&Value::new("", crate::format::hive::ValueType(0xffff_0011), [0xff])));
    }
}
