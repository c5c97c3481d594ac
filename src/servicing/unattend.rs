//! The answer file: checked, and put where Windows Setup finds it.

use super::inputs::InputId;

/// An answer file.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct UnattendSpec {
    /// The file.
    pub input: InputId,
}

/// A checked answer file.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PreparedUnattend {}
