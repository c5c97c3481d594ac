//! Writing a WIM from a plan that is complete before the first byte.
//!
//! Order in the file: header, blobs that are copied, blobs that are encoded, solid resources (copied ones, then the new one), metadata, blob table, XML,
//! integrity table. Nothing but the plan decides about the bytes: not the clock (the GUID comes from the content), not the number of
//! threads.

use std::{
    fs::File,
    io::{Seek as _, Write as _},
    sync::Arc,
};

use super::{
    blob_table::Blob,
    encode::Encoders,
    error::WimError,
    header::{Header, ResourceHeader},
    info::WimXml,
    integrity::{IntegrityTable, PIECE_SIZE},
    reader::Wim,
    write_items::ItemWriter,
    write_plan::{Places, Plan},
};
use crate::{
    base::{
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

impl WriteSettings {
    /// Why Windows itself would not read a file written with these settings; `None` when it does. wimlib, 7-Zip and this program read them all.
    #[must_use]
    pub fn unreadable_by_windows(&self) -> Option<String> {
        let kib = |size: u32| size >> 10;
        let limits = match self.codec {
            Codec::Xpress if self.chunk_size > 32 << 10 => Some("4, 8, 16 or 32 KiB"),
            Codec::Lzx if self.chunk_size != 32 << 10 => Some("32 KiB"),
            Codec::Lzms if self.chunk_size != 128 << 10 => Some("128 KiB"),
            _ => None,
        };
        if let Some(limits) = limits {
            let (codec, found) = (self.codec, kib(self.chunk_size));
            return Some(format!(
                "Windows itself reads {codec} in chunks of {limits} only, not of {found} KiB"
            ));
        }
        let solid = self.solid?;
        if solid.codec != Codec::Lzms {
            let codec = solid.codec;
            return Some(format!(
                "Windows itself reads solid resources in LZMS only, not in {codec}"
            ));
        }
        (solid.chunk_size > 64 << 20).then(|| {
            let found = kib(solid.chunk_size) >> 10;
            format!("Windows itself reads solid resources in chunks of at most 64 MiB, not of {found} MiB")
        })
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
    /// Uncompressed bytes that are much like the metadata of an image that is there: chunks that are the same are copied as they are stored, where that
    /// is in the output's codec and chunk size.
    Like {
        /// The bytes, from [`super::ImageMetadata::encode`].
        bytes: Vec<u8>,
        /// The WIM that has the other image.
        wim: Arc<Wim>,
        /// The other image's number in it, from 1.
        index: u32,
    },
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
/// with the same metadata get a resource each: wimlib reads a shared one and DISM writes it, but 7-Zip does not open such files. The XML's
/// images must be numbered as `images` are; its `TOTALBYTES` is set here.
///
/// With [`WriteSettings::solid`], blobs go into one solid resource in the order of `blobs`: sorting them, so that similar content lies
/// together, is up to the caller. A base's solid resource of the same codec and chunk size is copied as it is when at least two thirds of
/// its bytes are wanted; blobs of others come first in the new resource, in their order there, so that each chunk is decoded once. While
/// it is written, each thread holds one chunk, and the result for one more.
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
    let plan = Plan::new(settings, blobs, images, &xml, None)?;
    let mut header = plan.header(settings);
    header.flags |= Header::WRITE_IN_PROGRESS;
    let mut file = output;
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(&header.encode())?;
    let body = Body { output, settings, plan: &plan, progress, cancelled };
    let report = body.write(&mut header, &mut xml, None)?;
    file.rewind()?;
    file.write_all(&header.encode())?;
    Ok(report)
}

/// Integrity table of a file, and the end of the bytes it covers.
pub(super) type OldIntegrity = (IntegrityTable, u64);

/// All of a file but its header.
pub(super) struct Body<'a> {
    pub(super) output: &'a File,
    pub(super) settings: &'a WriteSettings,
    pub(super) plan: &'a Plan,
    pub(super) progress: &'a dyn Fn(u64),
    pub(super) cancelled: &'a dyn Fn() -> bool,
}

impl Body<'_> {
    /// Writes everything from the output's position on and cuts off what is behind; fills in `header`.
    pub(super) fn write(
        &self,
        header: &mut Header,
        xml: &mut WimXml,
        old: Option<OldIntegrity>,
    ) -> Result<WriteReport, WimError> {
        let settings = self.settings;
        let (places, mut position, copied_bytes, encoded_bytes) = self.write_resources()?;
        let table = self.plan.blob_table(&places);
        header.blob_table = self.append(&mut position, &table, ResourceHeader::METADATA)?;
        xml.set_total_bytes(position);
        let xml = xml.encode();
        header.xml = self.append(&mut position, &xml, ResourceHeader::METADATA)?;
        header.integrity = ResourceHeader::default();
        if settings.integrity {
            let end = header.blob_table.offset + header.blob_table.size;
            let source = OutputSource { file: self.output, size: end };
            let table = IntegrityTable::continued(old, &source, end, PIECE_SIZE)?;
            header.integrity = self.append(&mut position, &table.encode(), 0)?;
        }
        if let Some(index) = settings.boot_index.checked_sub(1) {
            let mut boot = places.metadata[index as usize];
            boot.flags |= ResourceHeader::METADATA;
            header.boot_metadata = boot;
        }
        header.guid = guid(header, &table, &xml);
        header.flags &= !Header::WRITE_IN_PROGRESS;
        // A resource that was written again, shorter, may have left bytes behind.
        self.output.set_len(position)?;
        let blobs = self.plan.blobs.len() as u64;
        let guid = header.guid;
        Ok(WriteReport { file_size: position, blobs, copied_bytes, encoded_bytes, guid })
    }

    /// Returns where everything lies, the end, and the bytes copied and encoded.
    fn write_resources(&self) -> Result<(Places, u64, u64, u64), WimError> {
        let (settings, plan) = (self.settings, self.plan);
        let encoders = Encoders::new((settings.codec, settings.chunk_size, settings.level))?;
        let mut writer = ItemWriter::new(self.output, encoders, self.progress, self.cancelled)?;
        let mut places = Places { blobs: writer.write(&plan.blobs)?, ..Places::default() };
        for solid in &plan.solids {
            places.solids.push(writer.take_solid(solid)?);
        }
        if let Some(solid) = settings.solid
            && !plan.solid.is_empty()
        {
            let encoders = Encoders::new((solid.codec, solid.chunk_size, settings.level))?;
            places.solids.push(writer.write_solid(&plan.blobs, &plan.solid, solid, &encoders)?);
        }
        places.metadata = writer.write(&plan.metadata)?;
        let (position, copied, encoded) = writer.finish();
        Ok((places, position, copied, encoded))
    }

    /// Writes bytes that are stored as they are.
    fn append(
        &self,
        position: &mut u64,
        bytes: &[u8],
        flags: u8,
    ) -> Result<ResourceHeader, WimError> {
        let mut file = self.output;
        file.seek(std::io::SeekFrom::Start(*position))?;
        file.write_all(bytes)?;
        let size = bytes.len() as u64;
        let offset = *position;
        *position += size;
        Ok(ResourceHeader { stored_size: size, flags, offset, size })
    }
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

/// The output, to be read again for the integrity table.
#[derive(Debug)]
pub(super) struct OutputSource<'a> {
    pub(super) file: &'a File,
    pub(super) size: u64,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_windows_does_not_read() {
        let settings = |codec, chunk_size, solid: Option<(Codec, u32)>| WriteSettings {
            codec,
            chunk_size,
            level: Level::Default,
            solid: solid.map(|(codec, chunk_size)| Solid { codec, chunk_size }),
            integrity: false,
            boot_index: 0,
            rp_fix: false,
        };
        let esd = Some((Codec::Lzms, 64 << 20));
        for (codec, chunk_size, solid, word) in [
            (Codec::None, 0, None, None),
            (Codec::Xpress, 4096, None, None),
            (Codec::Xpress, 32 << 10, None, None),
            (Codec::Xpress, 64 << 10, None, Some("4, 8, 16 or 32 KiB only, not of 64 KiB")),
            (Codec::Lzx, 32 << 10, None, None),
            (Codec::Lzx, 2 << 20, None, Some("not of 2048 KiB")),
            (Codec::Lzms, 128 << 10, esd, None),
            (Codec::Lzms, 64 << 10, None, Some("128 KiB only")),
            (Codec::Lzms, 128 << 10, Some((Codec::Lzms, 128 << 20)), Some("not of 128 MiB")),
            (Codec::Lzx, 32 << 10, Some((Codec::Lzx, 32 << 10)), Some("LZMS only, not in LZX")),
        ] {
            let said = settings(codec, chunk_size, solid).unreadable_by_windows();
            match word {
                None => assert_eq!(said, None),
                Some(word) => {
                    assert!(said.as_ref().is_some_and(|said| said.contains(word)), "{said:?}");
                }
            }
        }
    }
}
