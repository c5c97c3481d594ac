//! Packages after everything that needs no image: unpacked, checked, their payload in the store.

use crate::{
    base::filetime::FileTime, format::catalog::Trust, servicing::error::Problem, store::StoredBlob,
};

/// A source of packages.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PreparedPackages {
    /// What it holds, in the order in which it is installed.
    pub folders: Vec<PreparedFolder>,
    /// The files of the source as they came, for the first boot: those that hold [`PreparedPackages::folders`]. Empty unless
    /// `when-not-native = "first-boot"`.
    pub originals: Vec<PreparedOriginal>,
    /// Files of the source that are no packages, and why they were left.
    #[serde(default)]
    pub skipped: Vec<(String, String)>,
}

/// A file of a source as it came.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PreparedOriginal {
    /// What messages call it: the source, and the names from its root.
    pub shown: String,
    /// Names from the root of the source; of a single file its own name.
    pub path: Vec<String>,
    /// Its content.
    pub content: StoredBlob,
}

/// An expanded package: a root package, those it contains, and what they bring.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PreparedFolder {
    /// Where it came from, for messages: `kb.msu/Windows6.1-KB4528069-x64.cab`.
    pub shown: String,
    /// Its packages; the first is the root (`update.mum`).
    pub packages: Vec<PreparedPackage>,
    /// Its component and deployment manifests, sorted by key form.
    pub manifests: Vec<PreparedManifest>,
    /// Its payload, sorted by component and name.
    pub payload: Vec<PreparedPayload>,
    /// Why it cannot be installed natively, as far as the container tells (deltas of executables).
    pub not_native: Vec<Problem>,
}

/// A package.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PreparedPackage {
    /// Its id.
    pub id: String,
    /// Its file in the container.
    pub file: String,
    /// The text of its mum; the bytes are these in UTF-8.
    pub mum: String,
    /// When the mum was last written, by the container.
    pub time: Option<FileTime>,
    /// The bytes of its catalog.
    #[serde(with = "crate::image::changeset::hex_option")]
    pub catalog: Option<Vec<u8>>,
    /// What the catalog's signature is worth.
    pub trust: Trust,
    /// Why it is not worth more; empty for the best.
    pub reason: String,
}

/// A component or deployment manifest.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PreparedManifest {
    /// The key form of its identity, computed; its file's name is the same.
    pub key_form: String,
    /// Its plain text; the bytes are these in UTF-8.
    pub text: String,
    /// Which packages' catalogs (places in [`PreparedFolder::packages`]) hold its hash.
    pub catalogs: Vec<usize>,
    /// When it was last written, by the container.
    pub time: Option<FileTime>,
}

/// A file of a component. Its content was checked against the component's manifest.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PreparedPayload {
    /// The component's key form.
    pub key_form: String,
    /// Names below the component's folder.
    pub path: Vec<String>,
    /// Its content.
    pub content: StoredBlob,
    /// When it was last written, by the container.
    pub time: Option<FileTime>,
}
