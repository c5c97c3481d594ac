//! Files and folders put in place, taken away, adjusted.

use crate::base::ntpath::NtPath;

use super::inputs::InputId;

/// What a recipe says of a file or folder.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct FilesSpec {
    /// Where in the image.
    pub to: NtPath,
    /// What shall be there.
    pub action: FilesAction,
    /// Attributes of the file, or of the folder and every file put below it; `None`: as they are.
    pub attributes: Option<Vec<FileAttribute>>,
    /// A security descriptor as text; `None`: as it is, inherited for what is new.
    pub sddl: Option<String>,
}

/// What shall be at a path.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FilesAction {
    /// Nothing.
    Absent,
    /// The content of a file or folder of the host.
    From {
        /// The file or folder.
        input: InputId,
        /// True: the folder in the image is emptied first. False: what else is there stays.
        replace: bool,
    },
    /// What is there, with other attributes or security.
    Adjust,
}

/// An attribute that a recipe can give.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum FileAttribute {
    /// Cannot be written.
    ReadOnly,
    /// Not shown.
    Hidden,
    /// Belongs to the system.
    System,
    /// Changed since the last backup.
    Archive,
    /// Not indexed for search.
    NotContentIndexed,
}

/// Files and folders whose content is in the store.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PreparedFiles {}
