//! What every reader says of bad bytes.

/// A file that does not hold what its format demands: which format, what is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{format}: {what} (at offset {offset:#x})")]
pub struct Malformed {
    /// The format, as a person knows it: `WIM header`, `registry hive`.
    pub format: &'static str,
    /// What is wrong, with expected and found values where they help.
    pub what: String,
    /// Byte offset from the start of the file or of the named structure.
    pub offset: u64,
}

impl Malformed {
    /// Bad bytes in `format` at `offset`.
    pub fn new(format: &'static str, what: impl Into<String>, offset: u64) -> Self {
        Self { format, what: what.into(), offset }
    }
}
