//! Registry paths as people write them: `HKLM\SOFTWARE\...`, `HKCR\...`, `HKCU\...`.

use std::fmt;

use crate::base::name::Name;

use super::hives::HiveId;

/// A key in one of the image's hives, with the text it was written as.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(into = "String")]
pub struct RegistryPath {
    text: String,
    hive: HiveId,
    /// `HKLM\SYSTEM\CurrentControlSet` stands before `keys`; which set that is, the hive says.
    current_control_set: bool,
    keys: Vec<Name>,
}

/// Why a text is not a registry path of an offline image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a registry path of an offline image: {what}")]
pub struct RegistryPathError {
    /// The text.
    pub text: String,
    /// What is wrong with it.
    pub what: String,
    /// What to write instead.
    pub help: String,
}

impl RegistryPath {
    /// Reads a path as people write it.
    ///
    /// # Errors
    /// For roots that an offline image does not have, and names that are not key names.
    pub fn parse(text: &str) -> Result<Self, RegistryPathError> {
        let _ = text;
        todo!()
    }

    /// The key `names` from the root of `hive`.
    #[must_use]
    pub fn from_keys(hive: HiveId, names: Vec<Name>) -> Self {
        let _ = (hive, names);
        todo!()
    }

    /// The key `name` below this one.
    #[must_use]
    pub fn join(&self, name: &Name) -> Self {
        let _ = name;
        todo!()
    }

    /// The text it was written as.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The hive it lies in.
    #[must_use]
    pub fn hive(&self) -> HiveId {
        self.hive
    }

    /// True when it begins with `HKLM\SYSTEM\CurrentControlSet`.
    #[must_use]
    pub fn in_current_control_set(&self) -> bool {
        self.current_control_set
    }

    /// Names from the hive's root, or from the current control set.
    #[must_use]
    pub fn keys(&self) -> &[Name] {
        &self.keys
    }
}

impl fmt::Display for RegistryPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl From<RegistryPath> for String {
    fn from(path: RegistryPath) -> Self {
        path.text
    }
}
