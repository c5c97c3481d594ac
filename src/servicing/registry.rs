//! Registry keys, values and `.reg` files.

use crate::{base::name::Name, image::RegistryPath};

use super::inputs::InputId;

/// A key and what it shall hold.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct KeySpec {
    /// The key.
    pub path: RegistryPath,
    /// Its state.
    pub action: KeyAction,
}

/// The state of a key.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyAction {
    /// Not there, nor anything below it.
    Absent,
    /// There, with these values in these states; other values stay.
    Values(Vec<(Name, ValueAction)>),
}

/// The state of a value.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ValueAction {
    /// This type and data.
    Set {
        /// `REG_*`.
        kind: u32,
        /// The data.
        data: Vec<u8>,
    },
    /// Not there.
    Absent,
}

/// A `.reg` file.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct FileSpec {
    /// The file.
    pub input: InputId,
}

/// The entries of a `.reg` file.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PreparedFile {}
