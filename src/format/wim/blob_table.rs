//! The blob table: 50 bytes an entry, one for each blob of files and one for each image's metadata.
//!
//! ```text
//! resource header (24) | part (u16) | reference count (u32) | SHA-1 (20)
//! ```
//!
//! In version 0xE00 a run of entries with the solid flag describes solid resources and the blobs inside; they are recognised here and
//! refused by name when their content is asked for.

use std::collections::HashMap;

use super::{
    error::WimError,
    header::{Header, ResourceHeader},
};
use crate::base::{bytes::Reader, digest::Sha1, malformed::Malformed};

const FORMAT: &str = "WIM blob table";
/// Bytes of an entry.
pub(super) const ENTRY_SIZE: usize = 50;
/// Uncompressed size that marks the entry of a solid resource, as opposed to a blob inside.
const SOLID_RESOURCE: u64 = 0x1_0000_0000;
/// More warnings than this help nobody.
const MAX_WARNINGS: usize = 20;

/// An entry of the blob table: unique content and where it lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Blob {
    /// SHA-1 of the uncompressed bytes.
    pub sha1: Sha1,
    /// Uncompressed size in bytes.
    pub size: u64,
    /// How many streams of all images refer to it, as the file says; not always right.
    pub reference_count: u32,
    /// Where it lies. Inside a solid resource the offset counts from the start of the run's uncompressed data.
    pub resource: ResourceHeader,
    /// The part of a split set that holds it, as the table says.
    pub part: u16,
    /// Which of the files that make up the [`Wim`](super::Wim) holds it, from 0: parts of a split set and referenced files.
    pub volume: u16,
    /// Which of that file's solid resources holds it. `resource.offset` then counts from the start of that resource's uncompressed
    /// content, and `resource.size` is the blob's own.
    pub solid: Option<u32>,
}

/// What the table says.
#[derive(Debug, Default)]
pub(super) struct BlobTable {
    /// Blobs of files in table order, the first of each SHA-1.
    pub(super) blobs: Vec<Blob>,
    /// Metadata of the images, in image order.
    pub(super) metadata: Vec<Blob>,
    /// For look-up only; never iterated.
    pub(super) by_sha1: HashMap<Sha1, u32>,
    /// Oddities.
    pub(super) warnings: Vec<String>,
}

impl BlobTable {
    /// Reads the uncompressed bytes of the table of a file with this header.
    pub(super) fn parse(bytes: &[u8], header: &Header) -> Result<Self, WimError> {
        let mut table = Self::default();
        let count = bytes.len() / ENTRY_SIZE;
        if !bytes.len().is_multiple_of(ENTRY_SIZE) {
            table.warn(format!("the blob table has {} odd bytes", bytes.len() % ENTRY_SIZE));
        }
        table.by_sha1.reserve(count);
        let mut reader = Reader::new(FORMAT, bytes);
        let mut solid_run = SolidRun::default();
        for _ in 0..count {
            let offset = reader.offset();
            let mut blob = parse_entry(&mut reader)?;
            if header.version == Header::VERSION {
                blob.resource.flags &= !ResourceHeader::SOLID;
            }
            if blob.resource.is_solid() {
                if !solid_run.add(&mut blob, offset)? {
                    continue;
                }
            } else {
                std::mem::take(&mut solid_run).finish(offset)?;
                blob.size = blob.resource.size;
            }
            table.add(blob, header);
        }
        solid_run.finish(reader.offset())?;
        Ok(table)
    }

    fn add(&mut self, blob: Blob, header: &Header) {
        if blob.part != header.part_number {
            self.warn(format!("blob {} lies in part {} and is left out", blob.sha1, blob.part));
        } else if blob.resource.is_metadata() {
            // Old preinstallation files keep entries of deleted images this way.
            if blob.reference_count == 0 {
                return;
            }
            if blob.reference_count != 1 {
                self.warn(format!(
                    "metadata of image {} has reference count {}",
                    self.metadata.len() + 1,
                    blob.reference_count
                ));
            }
            self.metadata.push(blob);
        } else if blob.sha1.is_zero() {
            self.warn("an entry of the blob table has no SHA-1 and is left out".to_owned());
        } else if let Ok(index) = u32::try_from(self.blobs.len()) {
            if let std::collections::hash_map::Entry::Vacant(entry) = self.by_sha1.entry(blob.sha1)
            {
                entry.insert(index);
                self.blobs.push(blob);
            } else {
                self.warn(format!("blob {} is listed twice; the first is used", blob.sha1));
            }
        }
    }

    fn warn(&mut self, text: String) {
        if self.warnings.len() < MAX_WARNINGS {
            self.warnings.push(text);
        }
    }
}

fn parse_entry(reader: &mut Reader<'_>) -> Result<Blob, Malformed> {
    let resource = ResourceHeader::parse(reader)?;
    let part = reader.u16()?;
    let reference_count = reader.u32()?;
    Ok(Blob {
        sha1: Sha1(reader.array()?),
        size: 0,
        reference_count,
        resource,
        part,
        volume: 0,
        solid: None,
    })
}

/// Consecutive entries with the solid flag.
#[derive(Debug, Default)]
struct SolidRun {
    resources: u64,
    blobs: u64,
}

impl SolidRun {
    /// Takes an entry; true when it is a blob, whose `size` is then set.
    fn add(&mut self, blob: &mut Blob, offset: u64) -> Result<bool, Malformed> {
        if blob.resource.size == SOLID_RESOURCE {
            self.resources += 1;
            if blob.resource.end().is_none() {
                return Err(Malformed::new(FORMAT, "solid resource has no end", offset));
            }
            return Ok(false);
        }
        self.blobs += 1;
        blob.size = blob.resource.stored_size;
        if blob.resource.end().is_none() {
            return Err(Malformed::new(FORMAT, "blob in solid resource has no end", offset));
        }
        Ok(true)
    }

    fn finish(self, offset: u64) -> Result<(), Malformed> {
        if self.blobs > 0 && self.resources == 0 {
            let what = format!("{} solid blobs without a solid resource", self.blobs);
            return Err(Malformed::new(FORMAT, what, offset));
        }
        Ok(())
    }
}

/// Reads the bytes of a blob table as those of a file of the usual or the solid version: for fuzzing.
#[doc(hidden)]
pub fn fuzz(bytes: &[u8]) {
    for version in [Header::VERSION, Header::VERSION_SOLID] {
        let header = Header {
            version,
            flags: 0,
            chunk_size: 0,
            guid: crate::base::guid::Guid::default(),
            part_number: 1,
            total_parts: 1,
            image_count: 1,
            blob_table: ResourceHeader::default(),
            xml: ResourceHeader::default(),
            boot_metadata: ResourceHeader::default(),
            boot_index: 0,
            integrity: ResourceHeader::default(),
        };
        if let Ok(table) = BlobTable::parse(bytes, &header) {
            assert!(table.blobs.len() + table.metadata.len() <= bytes.len() / ENTRY_SIZE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{bytes::Writer, guid::Guid};

    fn header(version: u32) -> Header {
        Header {
            version,
            flags: 0,
            chunk_size: 0,
            guid: Guid::default(),
            part_number: 1,
            total_parts: 1,
            image_count: 1,
            blob_table: ResourceHeader::default(),
            xml: ResourceHeader::default(),
            boot_metadata: ResourceHeader::default(),
            boot_index: 0,
            integrity: ResourceHeader::default(),
        }
    }

    fn entry(bytes: &mut Writer, flags: u8, size: u64, count: u32, part: u16, hash: u8) {
        let resource = ResourceHeader { stored_size: 5, flags, offset: 208, size };
        resource.encode(bytes);
        bytes.u16(part).u32(count).bytes(&[hash; 20]);
    }

    #[test]
    fn keeps_the_first_of_each_hash_and_metadata_in_order() {
        let mut bytes = Writer::new();
        entry(&mut bytes, 2, 5, 0, 1, 9);
        entry(&mut bytes, 0, 5, 3, 1, 1);
        entry(&mut bytes, 2, 5, 1, 1, 8);
        entry(&mut bytes, 0, 6, 1, 1, 1);
        entry(&mut bytes, 0, 5, 1, 2, 2);
        entry(&mut bytes, 0, 5, 1, 1, 0);
        entry(&mut bytes, 2, 5, 1, 1, 8);
        bytes.u8(0);
        let table = BlobTable::parse(&bytes.data, &header(Header::VERSION)).unwrap();
        assert_eq!(table.blobs.len(), 1);
        assert_eq!((table.blobs[0].size, table.blobs[0].reference_count), (5, 3));
        assert_eq!(table.metadata.len(), 2);
        assert_eq!(table.warnings.len(), 4, "{:?}", table.warnings);
    }

    #[test]
    fn solid_runs_are_recognised_in_their_version_only() {
        let mut bytes = Writer::new();
        entry(&mut bytes, 0x10, SOLID_RESOURCE, 1, 1, 0);
        entry(&mut bytes, 0x10, 0, 1, 1, 1);
        let table = BlobTable::parse(&bytes.data, &header(Header::VERSION_SOLID)).unwrap();
        assert_eq!(table.blobs.len(), 1);
        assert!(table.blobs[0].resource.is_solid());
        assert_eq!(table.blobs[0].size, 5);
        let bad = BlobTable::parse(&bytes.data[50..], &header(Header::VERSION_SOLID));
        assert!(bad.unwrap_err().to_string().contains("without a solid resource"));
        let table = BlobTable::parse(&bytes.data, &header(Header::VERSION)).unwrap();
        assert!(!table.blobs[0].resource.is_solid());
    }
}
