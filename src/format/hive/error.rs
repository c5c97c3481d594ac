//! Why a hive could not be read or edited.

use crate::base::malformed::Malformed;

/// A hive that could not be read, or an edit that it can not take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HiveError {
    /// The bytes are not what the format demands.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// Windows was interrupted while it wrote the hive; what is missing lies in the log files beside it.
    #[error(
        "registry hive: not written to the end (sequence numbers {primary} and {secondary}, checksum {}); \
         its log files (.LOG1, .LOG2) are needed to complete it",
        if *.checksum_holds { "right" } else { "wrong" }
    )]
    Dirty {
        /// Sequence number that was raised when the last write began.
        primary: u32,
        /// Sequence number that is raised when a write ends; equal to `primary` in a clean hive.
        secondary: u32,
        /// Whether the checksum of the base block is right.
        checksum_holds: bool,
    },
    /// The hive is dirty and none of the logs given continues it.
    #[error("registry hive: not written to the end, and its logs do not continue it: {what}")]
    LogsDoNotFit {
        /// Why the logs were not taken, one clause each.
        what: String,
    },
    /// The hive is larger than the reader was allowed to take.
    #[error("registry hive: {size} bytes, more than the limit of {limit}")]
    TooLarge {
        /// Size of the hive in bytes.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// A key name that the registry does not allow.
    #[error("`{name}` can not name a registry key: {what}")]
    KeyName {
        /// The name.
        name: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A value name that the registry does not allow.
    #[error("a value name of {units} UTF-16 units; the registry allows {limit}")]
    ValueName {
        /// Length of the name in UTF-16 units.
        units: usize,
        /// The most the registry allows.
        limit: usize,
    },
    /// Data or text that is larger than a hive can hold in one piece.
    #[error("{what} of {size} bytes does not fit into a registry hive (limit {limit})")]
    DataTooLarge {
        /// What is too large.
        what: &'static str,
        /// Its size in bytes.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// A key would lie deeper than the registry allows.
    #[error("a key more than {limit} levels below the root; the registry allows no more")]
    TooDeep {
        /// The deepest level allowed.
        limit: usize,
    },
    /// The root key can not be deleted.
    #[error("the root key of a hive can not be deleted")]
    RootKey,
    /// A security descriptor without content.
    #[error("an empty security descriptor")]
    EmptySecurity,
    /// The hive can not grow any further.
    #[error("the hive can not grow beyond {limit} bytes")]
    Full {
        /// Largest size of all bins, in bytes.
        limit: u64,
    },
}
