//! Windows Imaging files (WIM): reading, verifying and writing.
//!
//! ```text
//! header (208 bytes) | blobs and metadata resources, any order | blob table | XML | [integrity table]
//! ```
//!
//! A *blob* is unique file content, named by the SHA-1 of its uncompressed bytes. A *resource* is where its bytes lie in the file, stored
//! raw or as chunks that are compressed one by one. Each image has one *metadata resource*: security descriptors and the tree of
//! directory entries, which name their content by SHA-1. The XML describes the images to people and setup programs.
//!
//! Knowledge: `facts/wim-and-codecs.md` of the project, which was checked against files made by DISM and wimlib.
//!
//! - [`header`]: the header and the 24-byte resource header
//! - [`blob_table`]: which blob lies where
//! - [`metadata`]: the tree of an image; `parse` and `encode` beside it
//! - [`xml`], [`info`]: the XML as a tree that keeps what it does not know, and typed access to it
//! - [`reader`]: [`Wim`]: open, look up, read, stream
//! - [`volume`]: the files that make up a WIM: parts of a split set, referenced files
//! - `parts`: finding the parts of a split set
//! - [`solid`]: solid resources, and the cache of what was decoded of them
//! - [`verify`]: every blob against its SHA-1, on all threads; `verify_solid` for those in solid resources
//! - `resource`: compressed resources: chunk tables, decoding in parallel
//! - [`decoded`]: a resource by itself, outside a WIM
//! - [`integrity`]: the integrity table
//! - [`encode`]: making compressed resources
//! - `like`: metadata of which only some chunks changed
//! - [`mod@write`]: a whole WIM from a plan
//! - [`append`]: the same, in place: behind what the file holds already, so that no crash can damage it
//! - [`split`]: a WIM in parts of a given size
//! - [`error`]: what can go wrong

pub mod append;
pub mod blob_table;
pub mod decoded;
pub mod encode;
pub mod error;
pub mod header;
pub mod info;
pub mod integrity;
mod like;
pub mod metadata;
mod metadata_encode;
mod metadata_parse;
mod parallel;
mod parts;
pub mod reader;
mod resource;
pub mod solid;
mod solid_write;
pub mod split;
pub mod verify;
mod verify_solid;
pub mod volume;
pub mod write;
mod write_items;
mod write_plan;
pub mod xml;

pub use append::{Recovered, append_wim, hold, recover};
pub use blob_table::Blob;
pub use decoded::{BlobContent, DecodedResource};
pub use encode::{EncodedResource, encode_resource, encode_resource_seek};
pub use error::WimError;
pub use header::{Header, ResourceHeader};
pub use info::WimXml;
pub use metadata::{Dentry, ImageMetadata, Reparse, Stream, StreamKind};
pub use reader::Wim;
pub use solid::SolidResource;
pub use split::{SplitPart, part_path, split_wim};
pub use verify::VerifyReport;
pub use volume::{Volume, VolumeKind};
pub use write::{
    BlobSource, BlobToWrite, MetadataToWrite, Solid, WriteReport, WriteSettings, write_wim,
};
pub use xml::Element;
