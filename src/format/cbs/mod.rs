//! Component Based Servicing: packages (`.mum`), component manifests (`.manifest`), their identities and key forms.
//!
//! - [`Identity`], [`Version`]: what an assembly is called; [`Identity::key_form`] and its sisters are the names it has in stores and hives
//! - [`Mum`]: a package: parents, updates (features), capabilities
//! - [`Manifest`]: a component or deployment: files, directories, registry keys, services, and every element that is not looked into, by name
//! - [`xml`]: the small tree that both are read from
//!
//! Known from real packages and manifests (`facts/manifests-keyforms-pa30.md`). Hashes are over the bytes of a file, so nothing here is written again.

pub mod identity;
mod known;
pub mod manifest;
mod manifest_read;
pub mod mum;
pub mod xml;

pub use identity::{Identity, Version};
pub use manifest::Manifest;
pub use mum::Mum;

/// Why a package or component manifest cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {cause}")]
pub struct CbsError {
    /// Line, from 1.
    pub line: u32,
    /// Column, from 1.
    pub column: u32,
    /// What is wrong.
    pub cause: String,
}
