//! Checking a whole WIM.

use super::error::WimError;

/// What [`super::Wim::verify`] found.
#[derive(Debug, Default)]
pub struct VerifyReport {
    /// File blobs checked.
    pub blobs: u64,
    /// Metadata resources checked (a shared one counts once).
    pub metadata_resources: u64,
    /// Uncompressed bytes checked.
    pub bytes: u64,
    /// True when there is an integrity table.
    pub has_integrity_table: bool,
    /// Every damage found, in file order: hash mismatches, data that does not decode, missing blobs, bad pieces of the integrity table.
    pub problems: Vec<WimError>,
    /// Oddities that do no harm.
    pub warnings: Vec<String>,
}

impl VerifyReport {
    /// True when nothing is damaged or missing.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.problems.is_empty()
    }
}
