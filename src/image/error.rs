//! What can go wrong with an image.

use std::io;

use crate::{
    base::{digest::Sha1, malformed::Malformed, ntpath::NtPath, secret::SecretError},
    format::{hive::HiveError, wim::WimError},
};

use super::{hives::HiveId, host::SidecarError, registry::RegistryPath};

/// Most levels of a path that something new is put at. Readers of WIMs, this program's own among them, stop at 1024.
pub(super) const MOST_LEVELS: usize = 1000;

/// What can go wrong when an image is opened, read or edited.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The WIM cannot give what was asked.
    #[error(transparent)]
    Wim(#[from] WimError),
    /// The image's metadata does not describe a tree.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// Nothing is there.
    #[error("the image has no {0}")]
    NotFound(NtPath),
    /// No registry key is there.
    #[error("the image has no registry key {0}")]
    NoKey(RegistryPath),
    /// A folder where a file is needed.
    #[error("{0} is a folder")]
    IsDirectory(NtPath),
    /// A file where a folder is needed.
    #[error("{0} is not a folder")]
    NotDirectory(NtPath),
    /// A name that is empty or has `\`, `/` or NUL in it, which no file can have.
    #[error("{0} has a name that no file can have")]
    Name(NtPath),
    /// More folders in each other than a WIM can be read back with.
    #[error("a path of {levels} levels, of which {MOST_LEVELS} are the most: {start}\u{2026}")]
    TooDeep {
        /// How many it has.
        levels: usize,
        /// The path's first folders.
        start: NtPath,
    },
    /// Something is there already.
    #[error("{0} exists already")]
    Exists(NtPath),
    /// The root cannot be replaced, removed or renamed.
    #[error("the root of the image cannot be replaced or removed")]
    Root,
    /// A junction or symbolic link on the way.
    #[error("{link} is a junction or symbolic link, which is not followed on the way to {path}")]
    ThroughLink {
        /// Where the edit was to go.
        path: NtPath,
        /// The link.
        link: NtPath,
    },
    /// The image refers to content that is nowhere.
    #[error("the content of {path} (SHA-1 {sha1}) is not in the WIM{hint}")]
    MissingBlob {
        /// One file that refers to it.
        path: NtPath,
        /// Its SHA-1.
        sha1: Sha1,
        /// More words, or nothing.
        hint: &'static str,
    },
    /// The image has no such hive file.
    #[error("the image has no {hive} hive ({path})")]
    NoHive {
        /// The hive.
        hive: HiveId,
        /// Where it would be.
        path: NtPath,
    },
    /// A hive that cannot be read or edited.
    #[error("the {hive} hive ({path}): {source}")]
    Hive {
        /// The hive.
        hive: HiveId,
        /// Its file.
        path: NtPath,
        /// What is wrong.
        source: HiveError,
    },
    /// Content in the store or on the host that cannot be read.
    #[error("cannot read the content of {what}")]
    Content {
        /// The file in the image.
        what: String,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// Names of the host that an image cannot hold.
    #[error("{} name(s) that Windows cannot hold, first {}", .names.len(), .names.first().map_or("", String::as_str))]
    HostNames {
        /// Each path with what is wrong with it.
        names: Vec<String>,
    },
    /// A pattern that is not a glob.
    #[error("`{pattern}` is not a pattern: {what}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        what: String,
    },
    /// A pattern that was to choose something.
    #[error("nothing in the image matches `{pattern}`")]
    NoMatch {
        /// The pattern.
        pattern: String,
    },
    /// What an earlier apply kept beside the files of a directory cannot be used.
    #[error(transparent)]
    Sidecar(#[from] SidecarError),
    /// A secret that cannot be put where it belongs.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The watcher ended it.
    #[error("cancelled")]
    Cancelled,
    /// A directory of the host that cannot be read or written.
    #[error(transparent)]
    Host(#[from] io::Error),
}
