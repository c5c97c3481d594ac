//! An open WIM: what it says of itself, and its content on demand.
//!
//! Opening reads header, blob table and XML; content is decoded when asked for and checked against its SHA-1.

use std::{io, path::Path, sync::Arc};

use sha1::Digest as _;

use super::{
    blob_table::{Blob, BlobTable},
    error::WimError,
    header::{Header, ResourceHeader},
    info::WimXml,
    metadata::ImageMetadata,
    resource::{Resource, WINDOW, Workers, to_usize, zeroed},
    verify::{self, VerifyReport},
};
use crate::{
    base::{
        digest::Sha1,
        limits::Limits,
        malformed::Malformed,
        read_at::{FileSource, ReadAt},
    },
    codec::Codec,
};

/// A WIM that is open for reading. Any number of threads may use it.
#[derive(Debug)]
pub struct Wim {
    source: Arc<dyn ReadAt>,
    header: Header,
    codec: Codec,
    table: BlobTable,
    xml: WimXml,
    warnings: Vec<String>,
    limits: Limits,
    workers: Workers,
}

impl Wim {
    /// Reads header, blob table and XML. A file whose content is compressed with LZMS or solid opens; reading such content is refused.
    ///
    /// # Errors
    /// When it is no WIM, is malformed, or is of a kind this version does not read at all: split, pipable, encrypted, or an old version.
    pub fn open(source: Arc<dyn ReadAt>, limits: &Limits) -> Result<Self, WimError> {
        let mut bytes = vec![0; to_usize(source.size().min(Header::SIZE as u64))?];
        source.read_exact_at(0, &mut bytes)?;
        let header = Header::parse(&bytes)?;
        let codec = header.codec()?;
        if header.chunk_size > limits.chunk && codec != Codec::None {
            let what = format!("chunks of {} bytes are over the limit", header.chunk_size);
            return Err(Malformed::new("WIM header", what, 0x14).into());
        }
        let chunk_size = if codec == Codec::None { 0 } else { header.chunk_size };
        let workers = Workers::new(codec, chunk_size);
        let read = |resource, name, limit| read_part(&*source, &workers, resource, name, limit);
        let table = read(header.blob_table, "WIM blob table", limits.blob_table)?;
        let mut table = BlobTable::parse(&table, &header)?;
        let xml = WimXml::parse(&read(header.xml, "WIM XML", limits.xml)?)?;
        check_images(&header, &table, &xml)?;
        let mut warnings = std::mem::take(&mut table.warnings);
        if header.flags & Header::WRITE_IN_PROGRESS != 0 {
            warnings.push("the writer of this file did not finish".to_owned());
        }
        tracing::info!(
            "WIM: {} bytes, {codec}, {} images, {} blobs",
            source.size(),
            header.image_count,
            table.blobs.len()
        );
        warnings.iter().for_each(|warning| tracing::debug!("WIM: {warning}"));
        Ok(Self { source, header, codec, table, xml, warnings, limits: *limits, workers })
    }

    /// Opens the file at `path`; see [`Wim::open`].
    ///
    /// # Errors
    /// As [`Wim::open`]; errors of the file system name the path.
    pub fn open_path(path: &Path, limits: &Limits) -> Result<Self, WimError> {
        tracing::debug!("opening {}", path.display());
        Self::open(Arc::new(FileSource::open(path)?), limits)
    }

    /// The bytes of the file.
    #[must_use]
    pub fn source(&self) -> &Arc<dyn ReadAt> {
        &self.source
    }

    /// The header.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// How resources are compressed.
    #[must_use]
    pub fn codec(&self) -> Codec {
        self.codec
    }

    /// Bytes in a chunk; 0 when the file is not compressed.
    #[must_use]
    pub fn chunk_size(&self) -> u32 {
        if self.codec == Codec::None { 0 } else { self.header.chunk_size }
    }

    /// How many images there are.
    #[must_use]
    pub fn image_count(&self) -> u32 {
        self.header.image_count
    }

    /// The XML document.
    #[must_use]
    pub fn xml(&self) -> &WimXml {
        &self.xml
    }

    /// What was odd and was put right while opening.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The blob of that SHA-1.
    #[must_use]
    pub fn blob(&self, sha1: &Sha1) -> Option<&Blob> {
        self.table.by_sha1.get(sha1).map(|&index| &self.table.blobs[index as usize])
    }

    /// The blobs of files, in the order of the table.
    #[must_use]
    pub fn blobs(&self) -> &[Blob] {
        &self.table.blobs
    }

    /// The metadata resource of an image, counted from 1.
    ///
    /// # Errors
    /// When there is no such image.
    pub fn metadata_blob(&self, index: u32) -> Result<&Blob, WimError> {
        index
            .checked_sub(1)
            .and_then(|place| self.table.metadata.get(place as usize))
            .ok_or(WimError::NoSuchImage { index, count: self.header.image_count })
    }

    /// The tree of an image, counted from 1; its SHA-1 is checked.
    ///
    /// # Errors
    /// When there is no such image, or its metadata is damaged or malformed.
    pub fn metadata(&self, index: u32) -> Result<ImageMetadata, WimError> {
        ImageMetadata::parse(&self.metadata_bytes(index)?, &self.limits)
    }

    /// The uncompressed bytes of an image's metadata resource; their SHA-1 is checked.
    ///
    /// # Errors
    /// When there is no such image, or its metadata is damaged.
    pub fn metadata_bytes(&self, index: u32) -> Result<Vec<u8>, WimError> {
        let blob = self.metadata_blob(index)?;
        if blob.size > self.limits.metadata {
            let what = format!(
                "metadata of image {index} has {} bytes, over the limit of {}",
                blob.size, self.limits.metadata
            );
            return Err(Malformed::new("WIM metadata", what, 0).into());
        }
        self.read_named(blob, || format!("metadata of image {index}"))
    }

    /// The whole content of a blob, SHA-1 checked; large ones are decoded on all threads.
    ///
    /// # Errors
    /// When it cannot be read, does not decode, or has another SHA-1.
    pub fn read_blob(&self, blob: &Blob) -> Result<Vec<u8>, WimError> {
        self.read_named(blob, || format!("blob {}", blob.sha1))
    }

    fn read_named(&self, blob: &Blob, name: impl Fn() -> String) -> Result<Vec<u8>, WimError> {
        let resource = self.resource(&blob.resource)?;
        let mut content = zeroed(resource.size())?;
        let window = to_usize(WINDOW)?;
        let mut hasher = sha1::Sha1::new();
        // Each window is hashed while the next one is decoded.
        let mut decoded: &[u8] = &[];
        for (index, window) in content.chunks_mut(window).enumerate() {
            let start = index as u64 * WINDOW;
            let (result, ()) = rayon_join_if(
                !decoded.is_empty(),
                || resource.read_parallel(start, window),
                || hasher.update(decoded),
            );
            result?;
            decoded = window;
        }
        hasher.update(decoded);
        check(&blob.sha1, Sha1(hasher.finalize().into()), name)?;
        Ok(content)
    }

    /// Passes the content of a blob to `sink` in order, in bounded memory, decoding on all threads; the SHA-1 is checked at the end.
    ///
    /// # Errors
    /// As [`Wim::read_blob`], and what `sink` returns.
    pub fn stream_blob(
        &self,
        blob: &Blob,
        sink: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<(), WimError> {
        let mut hasher = sha1::Sha1::new();
        self.resource(&blob.resource)?.stream(|bytes| {
            hasher.update(bytes);
            Ok(sink(bytes)?)
        })?;
        check(&blob.sha1, Sha1(hasher.finalize().into()), || format!("blob {}", blob.sha1))
    }

    /// Checks every blob, every metadata resource and the integrity table, on all threads and in bounded memory.
    /// `progress` gets the number of uncompressed bytes done so far.
    ///
    /// # Errors
    /// When the file cannot be read or holds what this version cannot decode; damage is in the report.
    pub fn verify(&self, progress: &dyn Fn(u64)) -> Result<VerifyReport, WimError> {
        verify::verify(self, progress)
    }

    /// The resource at `header`, its shape checked.
    pub(super) fn resource(&self, header: &ResourceHeader) -> Result<Resource<'_>, WimError> {
        Resource::new(&*self.source, &self.workers, *header)
    }

    pub(super) fn workers(&self) -> &Workers {
        &self.workers
    }
}

/// Runs both, in parallel when that is worth it.
fn rayon_join_if<A: Send, B: Send>(
    both: bool,
    left: impl FnOnce() -> A + Send,
    right: impl FnOnce() -> B + Send,
) -> (A, B) {
    if both { rayon::join(left, right) } else { (left(), right()) }
}

/// Compares what was read with what it is called.
pub(super) fn check(
    expected: &Sha1,
    actual: Sha1,
    name: impl FnOnce() -> String,
) -> Result<(), WimError> {
    if *expected == actual {
        Ok(())
    } else {
        Err(WimError::HashMismatch { what: name(), expected: *expected, actual })
    }
}

/// Reads the blob table or the XML.
fn read_part(
    source: &dyn ReadAt,
    workers: &Workers,
    header: ResourceHeader,
    name: &'static str,
    limit: u64,
) -> Result<Vec<u8>, WimError> {
    if header.size > limit {
        let what = format!("{} bytes are over the limit of {limit}", header.size);
        return Err(Malformed::new(name, what, header.offset).into());
    }
    let resource = Resource::new(source, workers, header).map_err(|error| match error {
        WimError::Malformed(malformed) => {
            WimError::Malformed(Malformed { format: name, ..malformed })
        }
        other => other,
    })?;
    let mut content = zeroed(header.size)?;
    resource.read_parallel(0, &mut content)?;
    Ok(content)
}

fn check_images(header: &Header, table: &BlobTable, xml: &WimXml) -> Result<(), WimError> {
    if xml.is_encrypted() {
        return Err(WimError::unsupported("encrypted images (ESD) are"));
    }
    let count = header.image_count;
    if table.metadata.len() != count as usize {
        let what = format!("{} metadata resources for {count} images", table.metadata.len());
        return Err(Malformed::new("WIM blob table", what, header.blob_table.offset).into());
    }
    if !xml.is_numbered(count) {
        let what =
            format!("{} IMAGE elements, which are not numbered 1 to {count}", xml.image_count());
        return Err(Malformed::new("WIM XML", what, header.xml.offset).into());
    }
    Ok(())
}
