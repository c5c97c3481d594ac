//! Layer 4: the offline image: an NT volume in memory, and a record of what was done to it.
//!
//! - [`Image`]: open it from a WIM, read it, edit it, finish it; every edit goes through one function that also records it
//! - [`tree`]: directory entries and files (hard links are several entries on one file); look-up without case, by long and short name
//! - [`content`]: what a stream holds and where that lies
//! - [`registry`], [`hives`]: registry paths as people write them, and the hive files of the image
//! - [`changeset`]: what a step did, as canonical data that can be replayed; [`describe`]: the same in words
//! - [`facts`]: what the image says about itself; [`xml`]: those facts in the WIM's XML
//! - [`diff`]: how two images differ; [`dump`]: the tree as text
//! - [`import`], [`export`]: from and to a directory of the host; [`host`]: what both need of it; [`watch`]: progress and cancellation of both
//! - [`assembly`]: the images of a WIM being put together, and update commands
//! - [`patterns`]: what to capture or extract; [`reparse`]: what links point to
//!
//! # Rules of editing
//!
//! - A change of a file with hard links changes all its names.
//! - New files and folders get the image's epoch as all their times, and the security their parent passes on, computed as Windows
//!   does ([`crate::format::security::inherit()`]).
//! - A replaced file keeps its name, short name, creation time, attributes and security unless told otherwise. It loses what describes the old
//!   content: named streams, reparse and encryption data, extended attributes (NTFS does the same when a file is overwritten).
//! - A folder whose entries change gets the epoch as last write time, as on NTFS. A change of attributes or security alone moves no time.
//! - A junction or symbolic link on the way to a file is not followed; the edit is refused and names it.
//! - An edit that would change nothing is not recorded and changes nothing.
//! - A secret is a placeholder until the image is finished; what it comes to stands in [`BlobLocation::Secret`], which nothing keeps but the output.
//! - Folders keep their order of entries. A new entry goes to its place in a folder that is sorted as NT sorts, and to the end in others.

pub mod assembly;
pub mod changeset;
pub mod content;
pub mod describe;
pub mod diff;
pub mod dump;
mod edit;
mod error;
pub mod export;
pub mod facts;
mod finish;
pub mod hives;
pub mod host;
pub mod import;
mod metadata;
mod offline;
pub mod patterns;
pub mod registry;
pub mod reparse;
mod secrets;
pub mod tree;
pub mod watch;
pub mod xml;

pub use assembly::{Assembly, AssemblyError, BlobOrder, WritePlan};
pub use changeset::{Change, Changeset};
pub use content::{BlobLocation, BlobRef, StoredContent};
pub use error::ImageError;
pub use facts::{Architecture, ImageFacts};
pub use finish::{FinishedBlob, FinishedImage, ImageCounts};
pub use hives::HiveId;
pub use offline::{Image, NewNode};
pub use registry::{RegistryPath, RegistryPathError};
pub use tree::{Inode, Node, NodeId, Tree};
pub use watch::Watch;
