//! What a directory of the host and an image have to do with each other, whichever way files go.
//!
//! - `links`: names and symbolic links as the host takes them
//! - `target`: a folder that is written into, and nothing outside it
//! - `ntfs`: a volume that ntfs-3g has mounted, where all of it has a place
//! - `sidecar`: what a host's file system cannot hold of an image, kept in a file beside its files

pub(in crate::image) mod links;
pub(in crate::image) mod ntfs;
pub(in crate::image) mod sidecar;
pub(in crate::image) mod target;

pub use sidecar::{SIDECAR_NAME, SidecarError};
