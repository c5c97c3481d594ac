//! An open WIM.

use std::{io, path::Path, sync::Arc};

use super::{
    error::WimError,
    header::{Header, ResourceHeader},
    info::WimXml,
    metadata::ImageMetadata,
    verify::VerifyReport,
};
use crate::{
    base::{digest::Sha1, limits::Limits, read_at::ReadAt},
    codec::Codec,
};

/// An entry of the blob table: unique content and where it lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Blob {
    /// SHA-1 of the uncompressed bytes.
    pub sha1: Sha1,
    /// Uncompressed size in bytes.
    pub size: u64,
    /// How many streams of all images refer to it, as the file says; not always right.
    pub reference_count: u32,
    /// Where it lies.
    pub resource: ResourceHeader,
    /// The part of a split set that holds it.
    pub part: u16,
}

/// A WIM that is open for reading. Any number of threads may use it.
#[derive(Debug)]
pub struct Wim {}

impl Wim {
    /// Reads header, blob table and XML.
    ///
    /// # Errors
    /// When it is no WIM, is malformed, or is of a kind this version does not read.
    pub fn open(_source: Arc<dyn ReadAt>, _limits: &Limits) -> Result<Self, WimError> {
        todo!()
    }
    /// Opens the file at `path`; see [`Wim::open`].
    ///
    /// # Errors
    /// As [`Wim::open`]; errors of the file system name the path.
    pub fn open_path(_path: &Path, _limits: &Limits) -> Result<Self, WimError> {
        todo!()
    }
    /// The bytes of the file.
    #[must_use]
    pub fn source(&self) -> &Arc<dyn ReadAt> {
        todo!()
    }
    /// The header.
    #[must_use]
    pub fn header(&self) -> &Header {
        todo!()
    }
    /// How resources are compressed.
    #[must_use]
    pub fn codec(&self) -> Codec {
        todo!()
    }
    /// Bytes in a chunk; 0 when the file is not compressed.
    #[must_use]
    pub fn chunk_size(&self) -> u32 {
        todo!()
    }
    /// How many images there are.
    #[must_use]
    pub fn image_count(&self) -> u32 {
        todo!()
    }
    /// The XML document.
    #[must_use]
    pub fn xml(&self) -> &WimXml {
        todo!()
    }
    /// What was odd and was put right while opening.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        todo!()
    }
    /// The blob of that SHA-1.
    #[must_use]
    pub fn blob(&self, _sha1: &Sha1) -> Option<&Blob> {
        todo!()
    }
    /// The blobs of files, in the order of the table.
    #[must_use]
    pub fn blobs(&self) -> &[Blob] {
        todo!()
    }
    /// The metadata resource of an image, counted from 1.
    ///
    /// # Errors
    /// When there is no such image.
    pub fn metadata_blob(&self, _index: u32) -> Result<&Blob, WimError> {
        todo!()
    }
    /// The tree of an image, counted from 1; its SHA-1 is checked.
    ///
    /// # Errors
    /// When there is no such image, or its metadata is damaged or malformed.
    pub fn metadata(&self, _index: u32) -> Result<ImageMetadata, WimError> {
        todo!()
    }
    /// The whole content of a blob, SHA-1 checked.
    ///
    /// # Errors
    /// When it cannot be read, does not decode, or has another SHA-1.
    pub fn read_blob(&self, _blob: &Blob) -> Result<Vec<u8>, WimError> {
        todo!()
    }
    /// Passes the content of a blob to `sink` in order, in bounded memory; the SHA-1 is checked at the end.
    ///
    /// # Errors
    /// As [`Wim::read_blob`], and what `sink` returns.
    pub fn stream_blob(
        &self,
        _blob: &Blob,
        _sink: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<(), WimError> {
        todo!()
    }
    /// Checks every blob, every metadata resource and the integrity table, on all threads and in bounded memory.
    /// `progress` gets the number of uncompressed bytes done so far.
    ///
    /// # Errors
    /// When the file cannot be read; damage is in the report.
    pub fn verify(&self, _progress: &dyn Fn(u64)) -> Result<VerifyReport, WimError> {
        todo!()
    }
}
