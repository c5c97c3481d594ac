//! The report: what was built, from what, and why. No clock, no host, no path of the host, nothing of what was remembered.
//!
//! Its JSON Schema is `schema/report.schema.json`. Fields are only ever added; [`FORMAT`] is raised when one changes its meaning.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::servicing::inventory::Inventory;

/// Version of the report's own format.
pub const FORMAT: u32 = 1;

/// What was built, from what, and why.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Report {
    /// [`FORMAT`].
    pub format: u32,
    /// Version of this program.
    pub tool_version: String,
    /// The recipe.
    pub recipe: RecipePart,
    /// Version of the order table.
    pub order_table: String,
    /// Time of everything new, RFC 3339.
    pub epoch: String,
    /// The file that was started from.
    pub base: FilePart,
    /// The host's files and folders that the steps read, by the recipe's text for each.
    pub inputs: Vec<FilePart>,
    /// What was written.
    pub output: OutputPart,
    /// The images that were built.
    pub images: Vec<ImagePart>,
    /// The rules of `[policy]` that the images were held against, in words. A build that breaks one has no report.
    pub policy: Vec<String>,
    /// The environment variables that secrets came from.
    pub secrets: Vec<String>,
    /// What is odd and stopped nothing.
    pub warnings: Vec<String>,
}

/// The recipe.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct RecipePart {
    /// The name of its file.
    pub name: String,
    /// The files it is made of, itself last, by their names relative to it.
    pub files: Vec<FilePart>,
    /// What `--set` laid over it.
    pub set: Vec<String>,
    /// The variant, if it has any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// Version of the golden image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The lock file's text, which the build holds to whether it is written or not, by its digest.
    pub lock_sha256: String,
}

/// A file or folder.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct FilePart {
    /// The recipe's text for it.
    pub name: String,
    /// Size in bytes; of a folder that of all its files.
    pub size: u64,
    /// BLAKE3 in hexadecimal; of a folder that of its tree, of a split set that of its parts' digests.
    pub blake3: String,
    /// The files of a split set.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<PartPart>,
    /// True for a folder.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub folder: bool,
    /// What it says it is: identities of packages, versions of drivers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub is: Vec<String>,
}

/// A file of a split set.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct PartPart {
    /// Its name, as the recipe would write it.
    pub name: String,
    /// Size in bytes.
    pub size: u64,
    /// BLAKE3 in hexadecimal.
    pub blake3: String,
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct OutputPart {
    /// The name of its file; of a split set that of the first part.
    pub name: String,
    /// Its file, or the parts of a split set.
    pub files: Vec<OutputFile>,
    /// `lzx`, `solid` ...
    pub compression: String,
    /// The WIM's GUID, which comes from its content; not told with secrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guid: Option<String>,
    /// The key of the commit: equal keys mean equal bytes, but for secrets.
    pub commit: String,
    /// How many images are in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_count: Option<u32>,
    /// The number of the image that a machine starts from it; 0: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot_index: Option<u32>,
    /// The images in it that were not built but are there as in the base. Nothing else is told of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<OtherImage>,
}

/// An image of the output that was not built.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct OtherImage {
    /// Its number, in the base and in the output.
    pub index: u32,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// SHA-1 of its metadata, which names all its content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata_sha1: Option<String>,
}

/// A file of the output.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct OutputFile {
    /// Its name.
    pub name: String,
    /// Size in bytes.
    pub size: u64,
    /// SHA-256 in hexadecimal; not told with secrets: it would let a guess be tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

/// An image that was built.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ImagePart {
    /// Its number in the base.
    pub base_index: u32,
    /// Its name in the base.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_name: Option<String>,
    /// Its number in the output.
    pub index: u32,
    /// Its name in the output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its state: the base image, the epoch and every change, in one digest.
    pub state: String,
    /// SHA-1 of its metadata in the output, which names all its content; not told with secrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata_sha1: Option<String>,
    /// What it was before.
    pub before: Inventory,
    /// What it is and has.
    pub inventory: Inventory,
    /// The steps, in the order of execution.
    pub steps: Vec<StepPart>,
    /// The files that steps put in place and that are there in the end, by path: [`super::added::added_files`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<AddedFile>,
}

/// A file that a step put in place.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct AddedFile {
    /// Where it is.
    pub path: String,
    /// The step that put it there, the last of them.
    pub step: String,
    /// The file of the base that it is a further name of: a hard link. Nothing more is told of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link_to: Option<String>,
    /// Size in bytes; not told of a file with a secret in it, and neither are its digests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// BLAKE3 in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blake3: Option<String>,
    /// SHA-1 in hexadecimal: its name in the WIM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha1: Option<String>,
}

/// A step.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct StepPart {
    /// Its number in the order of execution of its image, from 1.
    pub number: usize,
    /// Its number in the recipe's order, from 1.
    pub listed: usize,
    /// `services.RemoteRegistry`.
    pub name: String,
    /// What it does.
    pub title: String,
    /// Its phase.
    pub phase: String,
    /// Where it stands: `server.toml:12`.
    pub origin: String,
    /// Why it does not stand earlier.
    pub reasons: Vec<ReasonPart>,
    /// Kind of operation.
    pub operation: String,
    /// The parameters of the operation: secrets by name alone, data of registry values in hexadecimal.
    pub parameters: serde_json::Value,
    /// The inputs that it reads, by the recipe's text.
    pub inputs: Vec<String>,
    /// Its key.
    pub key: String,
    /// Digest of what it did; absent when it changed nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changeset: Option<String>,
    /// True when it leaves something to the first boot.
    pub deferred: bool,
    /// What it did.
    pub changes: Changes,
    /// The steps inside a recovery image.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nested: Vec<Self>,
}

/// Why a step does not stand earlier.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ReasonPart {
    /// The steps that it comes after.
    pub after: Vec<usize>,
    /// Why.
    pub why: String,
}

/// What a step did.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Changes {
    /// How many changes there are, by kind: `put-file`, `set-value` ...
    pub counts: BTreeMap<String, u64>,
    /// Bytes of the files put in place.
    pub bytes: u64,
    /// The changes in order, the first [`SHOWN`] of them.
    pub first: Vec<ChangePart>,
    /// How many more there are.
    pub more: u64,
}

/// As many changes of a step as a report tells one by one.
pub const SHOWN: usize = 200;

/// A change, for a reader.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ChangePart {
    /// Its kind: `put-file`, `set-value` ...
    pub kind: String,
    /// The path, or the registry key and, behind ` : `, the value's name.
    pub place: String,
    /// What is there now, in short: size and BLAKE3 of a file, type and data of a value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub now: Option<String>,
}
