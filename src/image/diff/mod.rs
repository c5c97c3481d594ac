//! How two images differ: names, contents, attributes and security of files, and the registry by what it means.
//!
//! - Files are paired by path without case and compared by what the metadata says of them: the SHA-1 of each stream, attributes, security descriptor, reparse
//!   point, short name, which names are one file. No content is decoded for that. Times are no difference unless they are asked for.
//! - A file that is gone and one that is new with the same content, when there is one of each, are one that was renamed.
//! - A hive whose file differs is compared key by key and value by value; where its cells lie and when a key was written means nothing. The hive's file is
//!   then no difference itself. A hive that cannot be read is compared as a file, and a note says so.
//!
//! `a` against `b` tells what `b` against `a` tells with old and new in each other's place. The order is that of the folders and keys, without case, and
//! never depends on threads.

mod files;
mod hives;
mod registry;
mod renames;
#[cfg(test)]
mod tests;
mod text;

use std::{fmt, sync::Arc};

use serde::{Serialize, Serializer};

use super::{Image, ImageError, hives::HiveId, tree::Tree};
use crate::base::{digest::Sha1, name::Name, ntpath::NtPath};

/// What counts as a difference, beside all that always does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Options {
    /// Times of files and of registry keys too.
    pub times: bool,
}

/// One of two images.
#[derive(Debug)]
pub struct Side<'a> {
    image: &'a Image,
    system_root: Name,
}

/// A text that many differences share.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text(Arc<str>);

/// How two images differ.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Difference {
    /// Files and folders, in the order of their paths; hives that could be compared by meaning differ here only in what a hive does not hold.
    pub files: Vec<FileChange>,
    /// Keys and values: hive after hive, in the order of their keys.
    pub registry: Vec<RegistryChange>,
    /// The hives whose files differ and that were compared by meaning.
    pub hives: Vec<HiveChange>,
    /// Hives that are in one image alone, or that cannot be read: nothing of their keys is in `registry`.
    pub unread: Vec<HiveId>,
    /// What could not be compared as it should be, and why.
    pub notes: Vec<String>,
}

/// What became of something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// It is there on both sides and differs.
    Changed,
    /// It has another path.
    Renamed,
}

/// A file or folder that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct FileChange {
    /// `C:\Windows\notepad.exe`; of what was renamed the new path.
    pub path: String,
    /// What became of it.
    pub kind: Kind,
    /// Its path before, where it was renamed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// True for a folder.
    pub folder: bool,
    /// Of a new or vanished name of a file with several: the first of its other names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link_of: Option<String>,
    /// The unnamed data before; `None` where there was no file.
    pub old: Option<FileFacts>,
    /// The unnamed data after; `None` where there is no file.
    pub new: Option<FileFacts>,
    /// In what it differs; empty for what is new, gone, or only renamed.
    pub details: Vec<Detail>,
}

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct FileFacts {
    /// Bytes of its unnamed data.
    pub size: u64,
    /// Its SHA-1; `None` for an empty file and a folder.
    pub sha1: Option<Sha1>,
}

/// In what something differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Aspect {
    /// What the file holds.
    Content,
    /// A named stream.
    Stream,
    /// Attributes.
    Attributes,
    /// The security descriptor.
    Security,
    /// What a link points to, or what else makes it a reparse point.
    Reparse,
    /// Which names are one file.
    Links,
    /// The 8.3 name.
    ShortName,
    /// Upper and lower case of the name.
    Spelling,
    /// Object id, extended attributes, and the like.
    Extended,
    /// Creation, last write; access is never compared.
    Times,
    /// The class name of a registry key.
    Class,
}

/// One aspect that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Detail {
    /// In what.
    pub aspect: Aspect,
    /// The name of a stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What it was; `None`: nothing.
    pub old: Option<Text>,
    /// What it is; `None`: nothing.
    pub new: Option<Text>,
}

/// A key or value that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct RegistryChange {
    /// `HKLM\SOFTWARE\Microsoft`.
    pub key: Text,
    /// The value's name, empty for the default value; `None` for the key itself.
    pub value: Option<String>,
    /// What became of it; never renamed.
    pub kind: Kind,
    /// The value before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old: Option<ValueFacts>,
    /// The value after.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new: Option<ValueFacts>,
    /// In what a key that is there on both sides differs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<Detail>,
}

/// What a registry value holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct ValueFacts {
    /// `REG_SZ`, or the number of a type without a name.
    #[serde(rename = "type")]
    pub kind: String,
    /// Bytes of its data.
    pub size: u64,
    /// The data as people read it; in hexadecimal where no other text is exact; the beginning and a SHA-1 where it is long.
    pub data: String,
}

/// A hive whose file differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct HiveChange {
    /// Which one.
    pub hive: HiveId,
    /// Its file: `C:\Windows\System32\config\SOFTWARE`.
    pub path: String,
    /// How many keys and values differ; 0: it says the same in other bytes.
    pub changes: u64,
}

impl<'a> Side<'a> {
    /// An image to compare. Registry edits that were not written back yet are written into its hive files first, with secrets as their placeholders.
    ///
    /// # Errors
    /// When a hive does not come out valid.
    pub fn of(image: &'a mut Image) -> Result<Self, ImageError> {
        image.write_hives_back(&std::collections::BTreeSet::new())?;
        let system_root = image.system_root();
        Ok(Self { image, system_root })
    }

    /// Its files.
    #[must_use]
    pub fn tree(&self) -> &'a Tree {
        self.image.tree()
    }
}

/// How `after` differs from `before`.
#[must_use]
pub fn compare(before: &Side<'_>, after: &Side<'_>, options: Options) -> Difference {
    let found = files::compare(before, after, options);
    let mut files = found.changes;
    let compared = hives::compare(before, after, &found.hives, options);
    let mut difference = Difference::default();
    for (hive, compared) in found.hives.iter().zip(compared) {
        match compared {
            Ok(changes) => {
                files[hive.change].details.retain(|detail| detail.aspect != Aspect::Content);
                difference.hives.push(HiveChange {
                    hive: hive.id,
                    path: files[hive.change].path.clone(),
                    changes: changes.len() as u64,
                });
                difference.registry.extend(changes);
            }
            Err(note) => {
                difference.unread.push(hive.id);
                difference.notes.push(note);
            }
        }
    }
    for id in HiveId::ALL {
        let which = match (before.image.has_hive(id), after.image.has_hive(id)) {
            (true, false) => "first",
            (false, true) => "second",
            _ => continue,
        };
        let root = id.registry_root();
        difference
            .notes
            .push(format!("only the {which} image has {root}: its keys are not listed"));
        difference.unread.push(id);
    }
    let told = |change: &FileChange| change.kind != Kind::Changed || !change.details.is_empty();
    files.retain(told);
    difference.files = renames::find(files, before, after, options);
    difference
}

impl Difference {
    /// True when the images say the same. A hive in other bytes that says the same is no difference.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files.is_empty() && self.registry.is_empty() && self.unread.is_empty()
    }
}

/// A path as people write it: `C:\Windows`.
fn shown(path: &NtPath) -> String {
    format!("C:{path}")
}

impl Text {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Text {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}
