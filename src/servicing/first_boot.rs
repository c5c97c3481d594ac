//! Scripts that Windows runs once, before the first logon.

use super::inputs::InputId;

/// Scripts for the first boot.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct FirstBootSpec {
    /// The scripts, in the order they run.
    pub scripts: Vec<InputId>,
}

/// Scripts whose content is in the store.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PreparedFirstBoot {}
