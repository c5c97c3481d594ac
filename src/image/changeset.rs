//! What a step did to the image, as data: recorded by the image itself, hashed, stored, replayed.
//!
//! Every change is *resolved*: it holds the final attributes and security, the real control set, the full path. Replaying a changeset on the state it
//! was recorded on therefore needs no inputs and gives the same state. Times are not in it but for
//! those that a package gives its files: all others are the image's epoch at replay. Secrets are in it by name, never by value.
//!
//! Canonical bytes: JSON without blanks, fields in the order declared here, one form for each value.

use crate::{
    base::{
        digest::Blake3,
        filetime::FileTime,
        name::Name,
        ntpath::NtPath,
        secret::{SecretRef, Template},
    },
    store::StoredBlob,
};

use super::hives::HiveId;

/// One change, resolved.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum Change {
    /// A new folder.
    MakeDirectory {
        /// Where; the parent exists.
        path: NtPath,
        /// Its attributes.
        attributes: u32,
        /// Its security descriptor, if any.
        #[serde(with = "hex_option")]
        security: Option<Vec<u8>>,
    },
    /// A file put in place, new or with new content.
    PutFile {
        /// Where; the parent exists.
        path: NtPath,
        /// Its content.
        content: FileContent,
        /// Its attributes.
        attributes: u32,
        /// Its security descriptor, if any.
        #[serde(with = "hex_option")]
        security: Option<Vec<u8>>,
        /// Its last write time; `None`: the epoch, when the content is new.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        last_write: Option<FileTime>,
    },
    /// Another name for a file.
    Link {
        /// The file.
        file: NtPath,
        /// The new name, where nothing is; its folder exists.
        path: NtPath,
    },
    /// One name of a file becomes a file of its own, alike in everything.
    Separate {
        /// The name.
        path: NtPath,
    },
    /// A file or folder, with all below it, taken away.
    Remove {
        /// What.
        path: NtPath,
    },
    /// A file or folder moved to another name in the same or another folder.
    Rename {
        /// The old path.
        from: NtPath,
        /// The new path, where nothing is.
        to: NtPath,
    },
    /// New attributes.
    SetAttributes {
        /// Of what.
        path: NtPath,
        /// All attributes.
        attributes: u32,
    },
    /// A new security descriptor.
    SetSecurity {
        /// Of what.
        path: NtPath,
        /// The self-relative descriptor.
        #[serde(with = "hex")]
        descriptor: Vec<u8>,
    },
    /// A new registry key; missing keys above it are made too.
    CreateKey {
        /// In which hive.
        hive: HiveId,
        /// Names from the hive's root.
        key: Vec<Name>,
    },
    /// A new security descriptor of a registry key.
    SetKeySecurity {
        /// In which hive.
        hive: HiveId,
        /// Names from the hive's root; the key exists.
        key: Vec<Name>,
        /// The self-relative descriptor.
        #[serde(with = "hex")]
        descriptor: Vec<u8>,
    },
    /// When a registry key was last written to.
    SetKeyTime {
        /// In which hive.
        hive: HiveId,
        /// Names from the hive's root; the key exists.
        key: Vec<Name>,
        /// The time.
        time: FileTime,
    },
    /// A registry key, with all below it, taken away.
    DeleteKey {
        /// In which hive.
        hive: HiveId,
        /// Names from the hive's root.
        key: Vec<Name>,
    },
    /// A registry value set.
    SetValue {
        /// In which hive.
        hive: HiveId,
        /// Names from the hive's root; the key exists.
        key: Vec<Name>,
        /// The value's name; empty for the default value.
        name: Name,
        /// `REG_*`.
        kind: u32,
        /// The data.
        #[serde(with = "hex")]
        data: Vec<u8>,
    },
    /// A registry value set to a secret, whose value comes when the image is finished.
    SetSecret {
        /// In which hive.
        hive: HiveId,
        /// Names from the hive's root; the key exists.
        key: Vec<Name>,
        /// The value's name; empty for the default value.
        name: Name,
        /// `REG_SZ` or `REG_EXPAND_SZ`.
        kind: u32,
        /// The secret.
        secret: SecretRef,
    },
    /// A registry value taken away.
    DeleteValue {
        /// In which hive.
        hive: HiveId,
        /// Names from the hive's root.
        key: Vec<Name>,
        /// The value's name; empty for the default value.
        name: Name,
    },
}

/// The content of a file that a step put in place.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileContent {
    /// In the store.
    Stored(StoredBlob),
    /// In the changeset itself: small files that a step writes from what it finds in the image.
    Inline(#[serde(with = "hex")] Vec<u8>),
    /// In the changeset itself but for its secrets, whose values come when the image is finished.
    Template(Template),
}

/// The changes of one step, in order.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Changeset(pub Vec<Change>);

impl Changeset {
    /// True when the step changed nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The canonical bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("names, numbers and texts always serialise")
    }

    /// Reads canonical bytes back; `None` when they are not a changeset.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }

    /// BLAKE3 of the canonical bytes.
    #[must_use]
    pub fn digest(&self) -> Blake3 {
        Blake3::of(&self.to_bytes())
    }
}

/// Bytes as hexadecimal text in serialised data.
pub(crate) mod hex {
    use crate::base::digest::{from_hex, to_hex};

    pub(crate) fn serialize<S: serde::Serializer>(
        data: &[u8],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&to_hex(data))
    }

    pub(crate) fn deserialize<'de, D: serde::Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<u8>, D::Error> {
        let text = <String as serde::Deserialize>::deserialize(deserializer)?;
        from_hex(&text).ok_or_else(|| serde::de::Error::custom("not hexadecimal"))
    }
}

pub(crate) mod hex_option {
    use crate::base::digest::{from_hex, to_hex};

    #[expect(clippy::ref_option, reason = "serde calls it with a reference to the field")]
    pub(crate) fn serialize<S: serde::Serializer>(
        data: &Option<Vec<u8>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serde::Serialize::serialize(&data.as_deref().map(to_hex), serializer)
    }

    pub(crate) fn deserialize<'de, D: serde::Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Vec<u8>>, D::Error> {
        let text = <Option<String> as serde::Deserialize>::deserialize(deserializer)?;
        text.map(|text| from_hex(&text).ok_or_else(|| serde::de::Error::custom("not hexadecimal")))
            .transpose()
    }
}
