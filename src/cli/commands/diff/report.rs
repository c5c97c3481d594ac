//! What `transom diff --json` prints. Fields are only ever added.

use serde::Serialize;

use crate::{image::diff::Difference, servicing::inventory::diff::AreaChange};

/// How two sides differ.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Report {
    /// The first side, as it was named.
    pub(super) first: String,
    /// The second side.
    pub(super) second: String,
    /// True when anything differs.
    pub(super) differ: bool,
    /// The images that were compared, in the order of the first side.
    pub(super) images: Vec<ImageReport>,
    /// Images that have no counterpart.
    pub(super) only_in_first: Vec<Label>,
    pub(super) only_in_second: Vec<Label>,
}

/// How two images differ.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct ImageReport {
    pub(super) first: Label,
    pub(super) second: Label,
    pub(super) differ: bool,
    /// What differs in packages, services ...; empty with `--path`.
    pub(super) areas: Vec<AreaChange>,
    #[serde(flatten)]
    pub(super) difference: Difference,
}

/// An image of a side.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Label {
    /// The file, or the build, that it is of.
    pub(super) what: String,
    /// Its number there, from 1.
    pub(super) index: u32,
    /// Its name.
    pub(super) name: Option<String>,
}

impl std::fmt::Display for Label {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}, image {}", self.what, self.index)?;
        self.name.as_ref().map_or(Ok(()), |name| write!(formatter, " ({name})"))
    }
}
