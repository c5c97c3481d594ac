//! The registry hives of an image: where they lie, opened on first use, written back once.

use std::fmt;

/// A hive file of an offline image.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum HiveId {
    /// `System32\config\SYSTEM`: `HKLM\SYSTEM`.
    System,
    /// `System32\config\SOFTWARE`: `HKLM\SOFTWARE`, `HKCR`.
    Software,
    /// `System32\config\DEFAULT`: `HKU\.DEFAULT`.
    Default,
    /// `Users\Default\NTUSER.DAT`: `HKCU`, the profile that new users get.
    NtUser,
    /// `System32\config\COMPONENTS`: `HKLM\COMPONENTS`.
    Components,
    /// `System32\config\DRIVERS`: `HKLM\DRIVERS`.
    Drivers,
    /// `System32\config\SAM`: `HKLM\SAM`.
    Sam,
    /// `System32\config\SECURITY`: `HKLM\SECURITY`.
    Security,
}

impl fmt::Display for HiveId {
    /// The file's name.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::System => "SYSTEM",
            Self::Software => "SOFTWARE",
            Self::Default => "DEFAULT",
            Self::NtUser => "NTUSER.DAT",
            Self::Components => "COMPONENTS",
            Self::Drivers => "DRIVERS",
            Self::Sam => "SAM",
            Self::Security => "SECURITY",
        })
    }
}
