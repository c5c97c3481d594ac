//! Writing a WIM from a plan that is complete before the first byte.
//!
//! Order in the file: header, blobs that are copied, blobs that are encoded, metadata, blob table, XML, integrity table. Nothing but the plan
//! decides about the bytes: not the clock (the GUID comes from the content), not the number of threads.

use std::{
    collections::HashMap,
    fs::File,
    io::{Seek as _, SeekFrom, Write as _},
    sync::Arc,
};

use super::{
    blob_table::{self, Blob},
    error::WimError,
    header::{Header, ResourceHeader},
    info::WimXml,
    integrity::{IntegrityTable, PIECE_SIZE},
    reader::Wim,
    write_items::{Content, Item, ItemSource, ItemWriter},
};
use crate::{
    base::{
        bytes::Writer,
        digest::{Blake3, Sha1},
        guid::Guid,
        read_at::ReadAt,
    },
    codec::{Codec, Level},
};

/// How a WIM is to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WriteSettings {
    /// Compression of all resources.
    pub codec: Codec,
    /// Bytes in a chunk; must be one that [`Codec::allows_chunk_size`].
    pub chunk_size: u32,
    /// Effort for what has to be compressed.
    pub level: Level,
    /// Whether the content of files is stored in solid resources, and how these are compressed. Metadata is always stored in `codec` and
    /// `chunk_size`.
    pub solid: Option<Solid>,
    /// Whether to write an integrity table. The output must then be open for reading too.
    pub integrity: bool,
    /// Number of the bootable image, from 1; 0 for none.
    pub boot_index: u32,
    /// The header flag that says absolute links were made relative to the image's root.
    pub rp_fix: bool,
}

/// How solid resources are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Solid {
    /// The codec; not [`Codec::None`].
    pub codec: Codec,
    /// Bytes in a chunk; must be one that [`Codec::allows_chunk_size`].
    pub chunk_size: u32,
}

impl Default for Solid {
    /// What `install.esd` uses: LZMS in chunks of 64 MiB.
    fn default() -> Self {
        Self { codec: Codec::Lzms, chunk_size: 64 << 20 }
    }
}

/// Where the bytes of a blob come from.
#[derive(Debug, Clone)]
pub enum BlobSource {
    /// A blob of another WIM: its stored bytes are copied when codec and chunk size are the output's, else it is compressed anew.
    Wim {
        /// The WIM.
        wim: Arc<Wim>,
        /// The blob in it.
        blob: Blob,
    },
    /// A resource that is ready in the output's own codec and chunk size (see [`super::encode_resource`]).
    Resource {
        /// Where it is.
        source: Arc<dyn ReadAt>,
        /// Offset in `source`.
        offset: u64,
        /// Bytes in `source`.
        stored_size: u64,
        /// Whether it is stored as compressed chunks.
        compressed: bool,
    },
    /// Uncompressed bytes.
    Bytes {
        /// The whole source is the content.
        source: Arc<dyn ReadAt>,
    },
}

/// A blob of the WIM to be written.
#[derive(Debug, Clone)]
pub struct BlobToWrite {
    /// SHA-1 of the uncompressed bytes; what is read and compressed is checked against it.
    pub sha1: Sha1,
    /// Uncompressed size in bytes.
    pub size: u64,
    /// How many streams of all images refer to it (one per directory entry).
    pub reference_count: u32,
    /// Where the bytes come from.
    pub source: BlobSource,
}

/// The metadata of an image of the WIM to be written.
#[derive(Debug, Clone)]
pub enum MetadataToWrite {
    /// As it is in another WIM.
    Copy {
        /// The WIM.
        wim: Arc<Wim>,
        /// The image's number in it, from 1.
        index: u32,
    },
    /// Uncompressed bytes, from [`super::ImageMetadata::encode`].
    Bytes(Vec<u8>),
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WriteReport {
    /// Size of the file in bytes.
    pub file_size: u64,
    /// Blobs written, without metadata.
    pub blobs: u64,
    /// Stored bytes that were copied as they were.
    pub copied_bytes: u64,
    /// Uncompressed bytes that were read and compressed (or stored) anew.
    pub encoded_bytes: u64,
    /// The file's GUID, derived from its content.
    pub guid: Guid,
}

/// Writes a WIM to `output`, an empty file open for writing (and for reading, when an integrity table is wanted). `progress` gets
/// the number of uncompressed bytes done so far; `cancelled` is asked now and then. The file is not flushed to the disk: that is up to
/// the caller.
///
/// Blobs of the same SHA-1 are written once and their reference counts are added up; empty ones are left out, as the format wants it. Images
/// with the same metadata get a resource each: wimlib reads a shared one and DISM writes it, but 7-Zip does not open such files. The XML's images must be numbered as `images` are; its `TOTALBYTES` is set here.
///
/// # Errors
/// When the plan is contradictory, a source cannot be read or is not what its SHA-1 says, the output cannot be written, or
/// `cancelled` says so.
pub fn write_wim(
    output: &File,
    settings: &WriteSettings,
    blobs: Vec<BlobToWrite>,
    images: Vec<MetadataToWrite>,
    mut xml: WimXml,
    progress: &dyn Fn(u64),
    cancelled: &dyn Fn() -> bool,
) -> Result<WriteReport, WimError> {
    let plan = Plan::new(settings, blobs, images, &xml)?;
    let mut header = plan.header(settings);
    header.flags |= Header::WRITE_IN_PROGRESS;
    let mut file = output;
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(&header.encode())?;
    let mut writer = ItemWriter::new(output, settings, progress, cancelled)?;
    let blob_resources = writer.write(&plan.blobs)?;
    let metadata_resources = writer.write(&plan.metadata)?;
    let (mut position, copied_bytes, encoded_bytes) = writer.finish();

    let table = plan.blob_table(&blob_resources, &metadata_resources);
    let mut append = |bytes: &[u8], flags| -> Result<ResourceHeader, WimError> {
        file.seek(SeekFrom::Start(position))?;
        file.write_all(bytes)?;
        let size = bytes.len() as u64;
        position += size;
        Ok(ResourceHeader { stored_size: size, flags, offset: position - size, size })
    };
    header.blob_table = append(&table, ResourceHeader::METADATA)?;
    xml.set_total_bytes(header.blob_table.offset + header.blob_table.size);
    let xml = xml.encode();
    header.xml = append(&xml, ResourceHeader::METADATA)?;
    if settings.integrity {
        let end = header.blob_table.offset + header.blob_table.size;
        let source = OutputSource { file: output, size: end };
        let table = IntegrityTable::compute(&source, end, PIECE_SIZE)?;
        header.integrity = append(&table.encode(), 0)?;
    }
    if let Some(index) = settings.boot_index.checked_sub(1) {
        let mut boot = metadata_resources[index as usize];
        boot.flags |= ResourceHeader::METADATA;
        header.boot_metadata = boot;
    }
    header.guid = guid(&header, &table, &xml);
    header.flags &= !Header::WRITE_IN_PROGRESS;
    // A resource that was written again, shorter, may have left bytes behind.
    file.set_len(position)?;
    file.rewind()?;
    file.write_all(&header.encode())?;
    let blobs = plan.blobs.len() as u64;
    Ok(WriteReport { file_size: position, blobs, copied_bytes, encoded_bytes, guid: header.guid })
}

/// A GUID that is the same for the same file.
fn guid(header: &Header, table: &[u8], xml: &[u8]) -> Guid {
    let mut text = b"transom WIM GUID 1".to_vec();
    let nameless = Header { guid: Guid::default(), ..header.clone() };
    for part in [&nameless.encode()[..], table, xml] {
        text.extend_from_slice(&Blake3::of(part).0);
    }
    Guid::from_digest(&Blake3::of(&text).0)
}

/// What is to be written, checked and without repetition.
struct Plan {
    blobs: Vec<Item>,
    reference_counts: Vec<u32>,
    /// One for each image.
    metadata: Vec<Item>,
}

impl Plan {
    fn new(
        settings: &WriteSettings,
        blobs: Vec<BlobToWrite>,
        images: Vec<MetadataToWrite>,
        xml: &WimXml,
    ) -> Result<Self, WimError> {
        let refuse = |what: String| Err(WimError::Plan { what });
        let count = u32::try_from(images.len()).unwrap_or(u32::MAX);
        if count > 0xffff {
            return refuse(format!("{count} images"));
        }
        if settings.boot_index > count {
            return refuse(format!("boot image {} of {count}", settings.boot_index));
        }
        if !xml.is_numbered(count) {
            return refuse(format!("the XML has not just the images 1 to {count}"));
        }
        let mut plan = Self {
            blobs: Vec::with_capacity(blobs.len()),
            reference_counts: Vec::with_capacity(blobs.len()),
            metadata: Vec::with_capacity(images.len()),
        };
        let mut places: HashMap<Sha1, usize> = HashMap::with_capacity(blobs.len());
        for blob in blobs.into_iter().filter(|blob| blob.size > 0) {
            if let Some(&place) = places.get(&blob.sha1) {
                if plan.blobs[place].size != blob.size {
                    return refuse(format!("blob {} has two sizes", blob.sha1));
                }
                let count = &mut plan.reference_counts[place];
                *count = count.saturating_add(blob.reference_count);
                continue;
            }
            places.insert(blob.sha1, plan.blobs.len());
            plan.reference_counts.push(blob.reference_count);
            plan.blobs.push(item(settings, blob)?);
        }
        for image in images {
            plan.metadata.push(metadata_item(settings, image)?);
        }
        Ok(plan)
    }

    fn header(&self, settings: &WriteSettings) -> Header {
        let is_compressed = settings.codec != Codec::None;
        let rp_fix = if settings.rp_fix { Header::RP_FIX } else { 0 };
        Header {
            version: Header::VERSION,
            flags: Header::codec_flags(settings.codec) | rp_fix,
            chunk_size: if is_compressed { settings.chunk_size } else { 0 },
            guid: Guid::default(),
            part_number: 1,
            total_parts: 1,
            image_count: u32::try_from(self.metadata.len()).unwrap_or(u32::MAX),
            blob_table: ResourceHeader::default(),
            xml: ResourceHeader::default(),
            boot_metadata: ResourceHeader::default(),
            boot_index: settings.boot_index,
            integrity: ResourceHeader::default(),
        }
    }

    /// Metadata in image order, then blobs by their place in the file.
    fn blob_table(&self, blobs: &[ResourceHeader], metadata: &[ResourceHeader]) -> Vec<u8> {
        let mut writer = Writer::new();
        for (resource, item) in metadata.iter().zip(&self.metadata) {
            let flags = resource.flags | ResourceHeader::METADATA;
            let resource = ResourceHeader { flags, ..*resource };
            blob_table::encode_entry(&mut writer, &resource, 1, &item.sha1);
        }
        let mut order: Vec<usize> = (0..blobs.len()).collect();
        order.sort_by_key(|&place| blobs[place].offset);
        for place in order {
            let count = self.reference_counts[place];
            blob_table::encode_entry(&mut writer, &blobs[place], count, &self.blobs[place].sha1);
        }
        writer.data
    }
}

/// Decides whether a blob is copied or encoded.
fn item(settings: &WriteSettings, blob: BlobToWrite) -> Result<Item, WimError> {
    let refuse = |what: &str| {
        let what = format!("{what} (blob {})", blob.sha1);
        Err(WimError::Plan { what })
    };
    let source = match blob.source {
        BlobSource::Wim { wim, blob: base } => {
            if base.sha1 != blob.sha1 || base.size != blob.size {
                return refuse("the base's blob is another one");
            }
            wim_source(settings, wim, base)?
        }
        BlobSource::Resource { source, offset, stored_size, compressed } => {
            if offset.checked_add(stored_size).is_none_or(|end| end > source.size()) {
                return refuse("the resource reaches beyond its source");
            }
            if compressed && settings.codec == Codec::None {
                return refuse("the resource is compressed, the output is not");
            }
            if !compressed && stored_size != blob.size || stored_size == 0 {
                return refuse("the resource has another size");
            }
            ItemSource::Copy { source, offset, stored_size, compressed }
        }
        BlobSource::Bytes { source } => {
            if source.size() != blob.size {
                return refuse("the source has another size");
            }
            ItemSource::Encode(Content::Bytes(source))
        }
    };
    Ok(Item { sha1: blob.sha1, size: blob.size, source })
}

/// Stored bytes are copied when they are what the output would hold: compressed in its codec and chunk size, or raw where the output is not
/// compressed or compression with these settings was tried in vain.
fn wim_source(settings: &WriteSettings, wim: Arc<Wim>, blob: Blob) -> Result<ItemSource, WimError> {
    // Its shape is checked now, so that nothing is copied that no reader could read.
    wim.resource_of(&blob)?;
    let (codec, chunk_size) = wim.codec_of(&blob);
    let is_same = codec == settings.codec
        && (settings.codec == Codec::None || chunk_size == settings.chunk_size);
    let compressed = blob.resource.is_compressed();
    let is_raw_in_raw = !compressed && settings.codec == Codec::None;
    if blob.solid.is_none() && (is_same || is_raw_in_raw) {
        Ok(ItemSource::Copy {
            source: Arc::clone(wim.source_of(&blob)),
            offset: blob.resource.offset,
            stored_size: blob.resource.stored_size,
            compressed,
        })
    } else {
        Ok(ItemSource::Encode(Content::Wim(wim, blob)))
    }
}

fn metadata_item(settings: &WriteSettings, image: MetadataToWrite) -> Result<Item, WimError> {
    match image {
        MetadataToWrite::Copy { wim, index } => {
            let blob = *wim.metadata_blob(index)?;
            let source = wim_source(settings, wim, blob)?;
            Ok(Item { sha1: blob.sha1, size: blob.size, source })
        }
        MetadataToWrite::Bytes(bytes) => {
            let (sha1, size) = (Sha1::of(&bytes), bytes.len() as u64);
            let source = ItemSource::Encode(Content::Bytes(Arc::new(bytes)));
            Ok(Item { sha1, size, source })
        }
    }
}

/// The output, to be read again for the integrity table.
#[derive(Debug)]
struct OutputSource<'a> {
    file: &'a File,
    size: u64,
}

impl ReadAt for OutputSource<'_> {
    fn size(&self) -> u64 {
        self.size
    }

    #[cfg(unix)]
    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> std::io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(self.file, buffer, offset)
    }

    #[cfg(windows)]
    fn read_exact_at(&self, mut offset: u64, mut buffer: &mut [u8]) -> std::io::Result<()> {
        while !buffer.is_empty() {
            let count = std::os::windows::fs::FileExt::seek_read(self.file, buffer, offset)?;
            if count == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            buffer = &mut buffer[count..];
            offset += count as u64;
        }
        Ok(())
    }
}
