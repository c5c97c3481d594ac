//! What can go wrong with a WIM.

use std::{io, path::PathBuf};

use crate::{
    base::{digest::Sha1, malformed::Malformed, read_at::ReadAt},
    codec::{DecodeError, Unsupported},
};

/// Why a WIM could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum WimError {
    /// The file does not begin as a WIM does.
    #[error("not a WIM file: {what}")]
    NotAWim {
        /// What was found instead.
        what: String,
    },
    /// Bytes that do not hold what the format demands.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// A resource whose compressed bytes do not decode.
    #[error("the resource at offset {offset:#x} is damaged: chunk {chunk}: {source}")]
    Decode {
        /// Offset of the resource in the file.
        offset: u64,
        /// Number of the chunk, from 0.
        chunk: u64,
        /// What the decoder says.
        source: DecodeError,
    },
    /// Content that is not what its SHA-1 says.
    #[error("{what} is damaged: its SHA-1 is {actual}, not {expected}")]
    HashMismatch {
        /// Which blob or resource.
        what: String,
        /// The SHA-1 that names it.
        expected: Sha1,
        /// The SHA-1 of the bytes.
        actual: Sha1,
    },
    /// Content that cannot be read, with what it belongs to: what [`super::Wim::verify`] makes of other errors.
    #[error("{what} is damaged: {source}")]
    Damaged {
        /// The SHA-1 that names it.
        sha1: Sha1,
        /// Which blob or metadata, and a file that has it.
        what: String,
        /// What is wrong with it.
        source: Box<Self>,
    },
    /// A blob that an image refers to and that this file does not contain.
    #[error(
        "blob {sha1} is missing from this file (needed by {needed_by}); it may be a delta WIM or an incomplete split set"
    )]
    MissingBlob {
        /// The SHA-1 that names it.
        sha1: Sha1,
        /// Which image or file refers to it.
        needed_by: String,
    },
    /// Files that do not make up a WIM: a part of a split set without the others, or parts of different sets.
    #[error("{what}")]
    Volumes {
        /// What is wrong with them, in whole.
        what: String,
    },
    /// An image number that the file does not have.
    #[error("there is no image {index}: the file has {count}")]
    NoSuchImage {
        /// The number asked for, from 1.
        index: u32,
        /// How many images there are.
        count: u32,
    },
    /// Something this version does not do, by name.
    #[error("{what} not supported in this version")]
    Unsupported {
        /// What, with its verb: `solid resources are`.
        what: String,
    },
    /// A plan for writing that cannot be carried out.
    #[error("cannot write this WIM: {what}")]
    Plan {
        /// What is wrong with it.
        what: String,
    },
    /// Content that is to be written cannot be read: the fault of its source, not of the output.
    #[error("cannot read {}: {source}", .file.as_ref().map_or_else(|| "content".to_owned(), |file| file.display().to_string()))]
    Source {
        /// The file it comes from, if it is one.
        file: Option<PathBuf>,
        /// What the system says.
        source: io::Error,
    },
    /// What the system says; file errors name the path.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The caller asked to stop.
    #[error("cancelled")]
    Cancelled,
}

impl From<Unsupported> for WimError {
    fn from(error: Unsupported) -> Self {
        Self::Unsupported {
            what: format!("{} with chunks of {} bytes is", error.codec, error.chunk_size),
        }
    }
}

impl WimError {
    /// A failed read of content that is to be written.
    pub(super) fn of_source(source: &dyn ReadAt, error: io::Error) -> Self {
        let file = source.as_file().map(|file| file.path().to_owned());
        Self::Source { file, source: error }
    }

    /// Something this version does not do; `what` ends with its verb.
    pub(super) fn unsupported(what: &str) -> Self {
        Self::Unsupported { what: what.to_owned() }
    }
}
