//! What a recipe says of packages, languages, capabilities and features.

use crate::servicing::{inputs::InputId, not_native::WhenNotNative};

/// `[packages.NAME]`, `[languages.TAG]`, `[capabilities]`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct PackageSpec {
    /// What it is about.
    pub subject: PackageSubject,
    /// What shall be.
    pub action: PackageAction,
}

/// What an entry is about.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PackageSubject {
    /// `[packages.NAME]`: the recipe's own name for it.
    Package(String),
    /// `[languages.TAG]`: `de-DE`.
    Language(String),
    /// `[capabilities]`: `OpenSSH.Server~~~~0.0.1.0`.
    Capability(String),
}

/// What shall be with packages.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PackageAction {
    /// Installed.
    Present {
        /// Where it comes from; `None` for a capability whose payload is in the image.
        source: Option<InputId>,
        /// True: packages that nobody vouches for are taken too.
        allow_unsigned: bool,
        /// What to do when it cannot be installed natively.
        when_not_native: WhenNotNative,
    },
    /// Not there.
    Absent {
        /// Of a package: its id (`name~token~architecture~language~version`), or its name alone for all its versions. `None` for languages and capabilities,
        /// which say by their subject what goes.
        identity: Option<String>,
        /// What to do when it cannot be removed natively.
        when_not_native: WhenNotNative,
    },
}

/// `[features]`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct FeatureSpec {
    /// Its name; letter case does not matter.
    pub name: String,
    /// What shall be.
    pub state: FeatureState,
    /// True: features that it needs are enabled too.
    pub all: bool,
    /// Where its payload comes from when the image does not have it.
    pub source: Option<InputId>,
    /// True: packages of `source` that nobody vouches for are taken too.
    pub allow_unsigned: bool,
    /// What to do when it cannot be switched natively.
    pub when_not_native: WhenNotNative,
}

/// What shall be with a feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FeatureState {
    /// On.
    Enabled,
    /// Off; its payload stays in the image.
    Disabled,
    /// Off, and its payload gone from the image.
    Removed,
}
