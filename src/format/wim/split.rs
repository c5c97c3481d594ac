//! Splitting a WIM into parts (`x.swm`, `x2.swm`, …) by copying stored bytes.
//!
//! ```text
//! part 1: header | metadata of all images | blobs | blob table | XML | [integrity table]
//! part n: header | blobs | blob table | XML | [integrity table]
//! ```
//!
//! Parts share a GUID, have the flag [`Header::SPANNED`] and their number in the header and in the entries of their blob tables, which list
//! their own blobs only. Each has the whole XML, as the source had it. No resource lies in two parts. As in parts that wimlib makes,
//! no image is marked as bootable: firmware does not boot from a set of parts.
//!
//! To join a set, open it as one [`Wim`] and write that with [`super::write_wim`].

use std::{
    fs::File,
    io::{Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    blob_table::{Blob, ENTRY_SIZE},
    encode::Encoders,
    error::WimError,
    header::{Header, ResourceHeader},
    integrity::{IntegrityTable, PIECE_SIZE},
    reader::Wim,
    write::OutputSource,
    write_items::{Item, ItemSource, ItemWriter},
    write_plan::encode_entry,
};
use crate::{
    base::{bytes::Writer, digest::Blake3, guid::Guid},
    codec::{Codec, Level},
};

/// A part that was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SplitPart {
    /// Its number, from 1.
    pub number: u16,
    /// Size of the file in bytes.
    pub file_size: u64,
    /// Blobs in it, without metadata.
    pub blobs: u64,
    /// True when it is larger than asked for, because one blob alone, or the metadata of all images, is.
    pub is_over_limit: bool,
}

/// The name of a part, beside the first one: `dir/x2.swm` for part 2 of `dir/x.swm`.
#[must_use]
pub fn part_path(first: &Path, number: u16) -> PathBuf {
    if number <= 1 {
        return first.to_owned();
    }
    let mut name = first.file_stem().unwrap_or_default().to_owned();
    name.push(number.to_string());
    if let Some(extension) = first.extension() {
        name.push(".");
        name.push(extension);
    }
    first.with_file_name(name)
}

/// Copies `wim` into parts of at most `part_limit` bytes each; a part is larger only when a single blob, or all metadata, is.
/// `create` makes the file of the part with that number, empty, open for writing, and for reading too when `wim` has an integrity table (the
/// parts then get one each). How many parts there will be is known before the first is made. `progress` gets the number of uncompressed
/// bytes done so far; `cancelled` is asked now and then. The files are not flushed to the disk.
///
/// # Errors
/// When `wim` has solid resources (a resource never lies in two parts), consists of files of different compression, or would make more than
/// 65,535 parts; when it cannot be read or a part cannot be written; and when `cancelled` says so.
pub fn split_wim(
    wim: &Arc<Wim>,
    part_limit: u64,
    create: &mut dyn FnMut(u16) -> Result<File, WimError>,
    progress: &dyn Fn(u64),
    cancelled: &dyn Fn() -> bool,
) -> Result<Vec<SplitPart>, WimError> {
    let xml = wim.xml().encode();
    let parts = plan(wim, part_limit, xml.len() as u64)?;
    let tables: Vec<Vec<u8>> = parts.iter().map(|part| part.table(&place(part))).collect();
    let guid = guid(&tables, &xml);
    let total = u16::try_from(parts.len()).unwrap_or(u16::MAX);
    let mut written = Vec::with_capacity(parts.len());
    let mut done = 0;
    for (part, table) in parts.iter().zip(&tables) {
        let file = create(part.number)?;
        let header = header(wim, part.number, (total, guid));
        let report = |bytes| progress(done + bytes);
        let file_size = part.write(&file, header, (table, &xml), (&report, cancelled))?;
        done += part.metadata.iter().chain(&part.blobs).map(|item| item.size).sum::<u64>();
        let is_over_limit = file_size > part_limit;
        let blobs = part.blobs.len() as u64;
        written.push(SplitPart { number: part.number, file_size, blobs, is_over_limit });
    }
    Ok(written)
}

/// What goes into a part.
struct Part {
    number: u16,
    metadata: Vec<Item>,
    blobs: Vec<Item>,
    reference_counts: Vec<u32>,
    has_integrity: bool,
}

/// Distributes the blobs, in the order of the file.
fn plan(wim: &Arc<Wim>, limit: u64, xml_size: u64) -> Result<Vec<Part>, WimError> {
    let refuse = |what: String| Err(WimError::Plan { what });
    let has_integrity = wim.header().integrity.stored_size > 0;
    let metadata = (1..=wim.image_count())
        .map(|index| item(wim, wim.metadata_blob(index)?))
        .collect::<Result<Vec<_>, WimError>>()?;
    let new = |number, metadata| Part {
        number,
        metadata,
        blobs: Vec::new(),
        reference_counts: Vec::new(),
        has_integrity,
    };
    let mut blobs: Vec<&Blob> = wim.blobs().iter().filter(|blob| blob.size > 0).collect();
    blobs.sort_by_key(|blob| (blob.volume, blob.resource.offset));
    let mut parts = Vec::new();
    let mut part = new(1, metadata);
    let mut used = part.stored_size();
    for blob in blobs {
        let size = blob.resource.stored_size;
        let is_full = part.file_size(used + size, part.blobs.len() + 1, xml_size) > limit;
        if is_full && !(part.blobs.is_empty() && part.metadata.is_empty()) {
            if part.number == u16::MAX {
                return refuse(format!("parts of {limit} bytes make more than 65535 of them"));
            }
            let next = new(part.number + 1, Vec::new());
            parts.push(std::mem::replace(&mut part, next));
            used = 0;
        }
        part.blobs.push(item(wim, blob)?);
        part.reference_counts.push(blob.reference_count);
        used += size;
    }
    parts.push(part);
    Ok(parts)
}

/// Stored bytes to be copied.
fn item(wim: &Arc<Wim>, blob: &Blob) -> Result<Item, WimError> {
    let refuse = |what: &str| Err(WimError::Plan { what: what.to_owned() });
    if blob.solid.is_some() || blob.resource.is_solid() {
        return refuse(
            "its files lie in solid resources, which cannot be split; export it without them first",
        );
    }
    wim.resource_of(blob)?;
    let compressed = blob.resource.is_compressed();
    if compressed && wim.codec_of(blob) != (wim.codec(), wim.chunk_size()) {
        return refuse("it consists of files of different compression; export it into one first");
    }
    let source = ItemSource::Copy {
        source: Arc::clone(wim.source_of(blob)),
        offset: blob.resource.offset,
        stored_size: blob.resource.stored_size,
        compressed,
    };
    Ok(Item { sha1: blob.sha1, size: blob.size, source })
}

fn stored_size(item: &Item) -> (u64, u8) {
    match &item.source {
        ItemSource::Copy { stored_size, compressed, .. } => {
            (*stored_size, if *compressed { ResourceHeader::COMPRESSED } else { 0 })
        }
        _ => (0, 0),
    }
}

/// Where the metadata and the blobs of a part will lie.
fn place(part: &Part) -> Vec<ResourceHeader> {
    let mut offset = Header::SIZE as u64;
    let place = |item: &Item| {
        let (stored_size, flags) = stored_size(item);
        offset += stored_size;
        ResourceHeader { stored_size, flags, offset: offset - stored_size, size: item.size }
    };
    part.metadata.iter().chain(&part.blobs).map(place).collect()
}

/// The same for the same parts.
fn guid(tables: &[Vec<u8>], xml: &[u8]) -> Guid {
    let mut text = b"transom split WIM GUID 1".to_vec();
    for part in tables.iter().map(Vec::as_slice).chain([xml]) {
        text.extend_from_slice(&Blake3::of(part).0);
    }
    Guid::from_digest(&Blake3::of(&text).0)
}

fn header(wim: &Wim, number: u16, (total, guid): (u16, Guid)) -> Header {
    let rp_fix = wim.header().flags & Header::RP_FIX;
    Header {
        version: wim.header().version,
        flags: Header::codec_flags(wim.codec()) | rp_fix | Header::SPANNED,
        chunk_size: wim.chunk_size(),
        guid,
        part_number: number,
        total_parts: total,
        image_count: wim.image_count(),
        blob_table: ResourceHeader::default(),
        xml: ResourceHeader::default(),
        boot_metadata: ResourceHeader::default(),
        boot_index: 0,
        integrity: ResourceHeader::default(),
    }
}

impl Part {
    fn stored_size(&self) -> u64 {
        self.metadata.iter().chain(&self.blobs).map(|item| stored_size(item).0).sum()
    }

    /// Size of the file with that many blobs, and that many stored bytes of them and of metadata.
    fn file_size(&self, stored: u64, blobs: usize, xml_size: u64) -> u64 {
        let table = ENTRY_SIZE as u64 * (self.metadata.len() + blobs) as u64;
        let covered = stored + table;
        let pieces = covered.div_ceil(u64::from(PIECE_SIZE));
        let integrity = if self.has_integrity { 12 + 20 * pieces } else { 0 };
        Header::SIZE as u64 + covered + xml_size + integrity
    }

    fn table(&self, places: &[ResourceHeader]) -> Vec<u8> {
        let mut writer = Writer::new();
        let (metadata, blobs) = places.split_at(self.metadata.len());
        for (item, place) in self.metadata.iter().zip(metadata) {
            let flags = place.flags | ResourceHeader::METADATA;
            let entry = ResourceHeader { flags, ..*place };
            encode_entry(&mut writer, &entry, self.number, (1, &item.sha1));
        }
        for ((item, place), &count) in self.blobs.iter().zip(blobs).zip(&self.reference_counts) {
            encode_entry(&mut writer, place, self.number, (count, &item.sha1));
        }
        writer.data
    }

    /// Returns the size of the file.
    fn write(
        &self,
        mut file: &File,
        mut header: Header,
        (table, xml): (&[u8], &[u8]),
        (progress, cancelled): (&dyn Fn(u64), &dyn Fn() -> bool),
    ) -> Result<u64, WimError> {
        header.flags |= Header::WRITE_IN_PROGRESS;
        file.set_len(0)?;
        file.rewind()?;
        file.write_all(&header.encode())?;
        let encoders = Encoders::new((Codec::None, 0, Level::Default))?;
        let mut writer = ItemWriter::new(file, encoders, progress, cancelled)?;
        // One by one: together they would be copied in the order of their source, which need not be that of the images.
        let mut places = Vec::new();
        for item in &self.metadata {
            places.extend(writer.write(std::slice::from_ref(item))?);
        }
        places.extend(writer.write(&self.blobs)?);
        if places != place(self) {
            let what = "its resources do not lie where they were planned".to_owned();
            return Err(WimError::Plan { what });
        }
        let (mut position, ..) = writer.finish();
        let output = file;
        let mut append = |bytes: &[u8], flags| -> Result<ResourceHeader, WimError> {
            let mut file = output;
            file.seek(SeekFrom::Start(position))?;
            file.write_all(bytes)?;
            let (offset, size) = (position, bytes.len() as u64);
            position += size;
            Ok(ResourceHeader { stored_size: size, flags, offset, size })
        };
        header.blob_table = append(table, ResourceHeader::METADATA)?;
        header.xml = append(xml, ResourceHeader::METADATA)?;
        if self.has_integrity {
            let end = header.blob_table.offset + header.blob_table.size;
            let source = OutputSource { file: output, size: end };
            let table = IntegrityTable::compute(&source, end, PIECE_SIZE)?;
            header.integrity = append(&table.encode(), 0)?;
        }
        header.flags &= !Header::WRITE_IN_PROGRESS;
        file.rewind()?;
        file.write_all(&header.encode())?;
        Ok(position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_named_as_wimlib_names_them() {
        for (first, second) in [
            ("x.swm", "x2.swm"),
            ("dir.d/x.y.swm", "dir.d/x.y2.swm"),
            ("plain", "plain2"),
            (".hid.swm", ".hid2.swm"),
        ] {
            assert_eq!(part_path(Path::new(first), 1), Path::new(first));
            assert_eq!(part_path(Path::new(first), 2), Path::new(second));
        }
        assert_eq!(part_path(Path::new("a/install.swm"), 10), Path::new("a/install10.swm"));
    }
}
