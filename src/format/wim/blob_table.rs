//! The blob table: 50 bytes an entry, one for each blob of files and one for each image's metadata.
//!
//! ```text
//! resource header (24) | part (u16) | reference count (u32) | SHA-1 (20)
//! ```
//!
//! In version 0xE00 a run of entries with the solid flag describes solid resources and the blobs inside, in any order: offsets of blobs count
//! in the content of all solid resources of the run, one behind the other.

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

impl Blob {
    /// Sorts blobs as they lie in their files: what is read in this order is read fastest.
    #[must_use]
    pub fn position(&self) -> (u16, Option<u32>, u64) {
        (self.volume, self.solid, self.resource.offset)
    }
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
    /// Reads the uncompressed bytes of the table of a file with this header. `load` takes each solid resource in turn (once, when it is listed
    /// several times) and says how much content is in it.
    pub(super) fn parse(
        bytes: &[u8],
        header: &Header,
        volume: u16,
        load: &mut dyn FnMut(ResourceHeader) -> Result<u64, WimError>,
    ) -> Result<Self, WimError> {
        let mut table = Self::default();
        let count = bytes.len() / ENTRY_SIZE;
        if !bytes.len().is_multiple_of(ENTRY_SIZE) {
            table.warn(format!("the blob table has {} odd bytes", bytes.len() % ENTRY_SIZE));
        }
        table.by_sha1.reserve(count.min(1 << 20));
        let mut reader = Reader::new(FORMAT, bytes);
        let mut solids = Solids { known: HashMap::new(), load };
        let mut run = SolidRun::default();
        for _ in 0..count {
            let offset = reader.offset();
            let mut blob = parse_entry(&mut reader, volume)?;
            if header.version == Header::VERSION {
                blob.resource.flags &= !ResourceHeader::SOLID;
            }
            if blob.resource.is_solid() {
                if blob.resource.size == SOLID_RESOURCE {
                    run.resources.push(solids.add(blob.resource)?);
                } else {
                    run.blobs.push((offset, blob));
                }
            } else {
                std::mem::take(&mut run).finish(&mut table, header)?;
                blob.size = blob.resource.size;
                table.add(blob, header);
                // A table that is stored compressed may be endless repetition.
                if table.metadata.len() > header.image_count as usize {
                    let what =
                        format!("more metadata resources than the {} images", header.image_count);
                    return Err(Malformed::new(FORMAT, what, offset).into());
                }
            }
        }
        run.finish(&mut table, header)?;
        table.check_solid()?;
        Ok(table)
    }

    /// Refuses blobs in solid resources that share bytes.
    fn check_solid(&self) -> Result<(), Malformed> {
        let mut solid: Vec<&Blob> =
            self.blobs.iter().filter(|blob| blob.solid.is_some() && blob.size > 0).collect();
        solid.sort_by_key(|blob| (blob.solid, blob.resource.offset));
        for pair in solid.windows(2) {
            let end = pair[0].resource.offset + pair[0].size;
            if pair[0].solid == pair[1].solid && end > pair[1].resource.offset {
                let what = format!("blobs {} and {} overlap", pair[0].sha1, pair[1].sha1);
                return Err(Malformed::new(FORMAT, what, 0));
            }
        }
        Ok(())
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

    /// Takes the blobs of a further file that this one does not have; its metadata belongs to nobody.
    pub(super) fn merge(&mut self, further: Self) -> Result<(), Malformed> {
        for blob in further.blobs {
            let std::collections::hash_map::Entry::Vacant(entry) = self.by_sha1.entry(blob.sha1)
            else {
                continue;
            };
            let index = u32::try_from(self.blobs.len())
                .map_err(|_| Malformed::new(FORMAT, "too many blobs in all files", 0))?;
            entry.insert(index);
            self.blobs.push(blob);
        }
        Ok(())
    }

    /// Refuses sizes that nothing could have, so that nobody who adds them up has to fear an overflow.
    pub(super) fn check_sizes(&self) -> Result<(), Malformed> {
        let blobs = self.blobs.iter().chain(&self.metadata);
        check_sum(blobs.map(|blob| blob.size)).map_err(|what| Malformed::new(FORMAT, what, 0))
    }

    fn warn(&mut self, text: String) {
        if self.warnings.len() < MAX_WARNINGS {
            self.warnings.push(text);
        }
    }
}

/// Says what is wrong when these sizes are more in all than any file system holds.
pub(super) fn check_sum(mut sizes: impl Iterator<Item = u64>) -> Result<(), &'static str> {
    let sum = sizes.try_fold(0_u64, u64::checked_add);
    match sum.is_some_and(|sum| i64::try_from(sum).is_ok()) {
        true => Ok(()),
        false => Err("the sizes of all blobs together cannot be true"),
    }
}

fn parse_entry(reader: &mut Reader<'_>, volume: u16) -> Result<Blob, Malformed> {
    let resource = ResourceHeader::parse(reader)?;
    let part = reader.u16()?;
    let reference_count = reader.u32()?;
    Ok(Blob {
        sha1: Sha1(reader.array()?),
        size: 0,
        reference_count,
        resource,
        part,
        volume,
        solid: None,
    })
}

/// Solid resources seen so far.
struct Solids<'a> {
    /// Number and size of each.
    known: HashMap<ResourceHeader, (u32, u64)>,
    load: &'a mut dyn FnMut(ResourceHeader) -> Result<u64, WimError>,
}

impl Solids<'_> {
    fn add(&mut self, header: ResourceHeader) -> Result<(u32, u64), WimError> {
        if let Some(known) = self.known.get(&header) {
            return Ok(*known);
        }
        let index = u32::try_from(self.known.len())
            .map_err(|_| Malformed::new(FORMAT, "too many solid resources", header.offset))?;
        let solid = (index, (self.load)(header)?);
        self.known.insert(header, solid);
        Ok(solid)
    }
}

/// Consecutive entries with the solid flag.
#[derive(Debug, Default)]
struct SolidRun {
    /// Number and size of each resource.
    resources: Vec<(u32, u64)>,
    /// With the offset of its entry.
    blobs: Vec<(u64, Blob)>,
}

impl SolidRun {
    /// Places the blobs and adds them to the table.
    fn finish(self, table: &mut BlobTable, header: &Header) -> Result<(), Malformed> {
        if self.blobs.is_empty() {
            return Ok(());
        }
        if self.resources.is_empty() {
            let what = format!("{} solid blobs without a solid resource", self.blobs.len());
            return Err(Malformed::new(FORMAT, what, self.blobs[0].0));
        }
        let mut ends = Vec::with_capacity(self.resources.len());
        let mut end = 0_u64;
        for &(_, size) in &self.resources {
            end = end.saturating_add(size);
            ends.push(end);
        }
        for (offset, mut blob) in self.blobs {
            let resource = &mut blob.resource;
            let (start, size) = (resource.offset, resource.stored_size);
            // An empty blob may stand at the very end.
            let place = ends.partition_point(|end| *end <= start && size > 0 || *end < start);
            if start.checked_add(size).zip(ends.get(place)).is_none_or(|(end, most)| end > *most) {
                let what = format!("blob of {size} bytes at {start:#x} is in no solid resource");
                return Err(Malformed::new(FORMAT, what, offset));
            }
            if resource.is_metadata() {
                let what = "metadata of an image in a solid resource";
                return Err(Malformed::new(FORMAT, what, offset));
            }
            blob.size = size;
            blob.solid = Some(self.resources[place].0);
            resource.size = size;
            resource.offset = start - place.checked_sub(1).map_or(0, |before| ends[before]);
            // Only the solid resource itself says how it is compressed.
            resource.flags &= !ResourceHeader::COMPRESSED;
            table.add(blob, header);
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
        let mut load = |resource: ResourceHeader| Ok(resource.stored_size);
        if let Ok(table) = BlobTable::parse(bytes, &header, 0, &mut load) {
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
            image_count: 2,
            blob_table: ResourceHeader::default(),
            xml: ResourceHeader::default(),
            boot_metadata: ResourceHeader::default(),
            boot_index: 0,
            integrity: ResourceHeader::default(),
        }
    }

    fn parse(bytes: &[u8], version: u32) -> Result<BlobTable, WimError> {
        BlobTable::parse(bytes, &header(version), 0, &mut |_| Ok(1000))
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
        let table = parse(&bytes.data, Header::VERSION).unwrap();
        assert_eq!(table.blobs.len(), 1);
        assert_eq!((table.blobs[0].size, table.blobs[0].reference_count), (5, 3));
        assert_eq!(table.metadata.len(), 2);
        assert_eq!(table.warnings.len(), 4, "{:?}", table.warnings);
    }

    #[test]
    fn sizes_that_overflow_when_they_are_added_up_are_refused() {
        let most = u64::MAX - 15;
        for (sizes, is_good) in [
            ([most, most], false),
            ([most, 1], false),
            ([i64::MAX as u64, 1], false),
            ([7, 8], true),
        ] {
            let mut bytes = Writer::new();
            entry(&mut bytes, ResourceHeader::COMPRESSED, sizes[0], 1, 1, 1);
            entry(&mut bytes, ResourceHeader::COMPRESSED, sizes[1], 1, 1, 2);
            let table = parse(&bytes.data, Header::VERSION).unwrap();
            assert_eq!(table.check_sizes().is_ok(), is_good, "{sizes:?}");
        }
    }

    #[test]
    fn solid_runs_are_recognised_in_their_version_only() {
        let mut bytes = Writer::new();
        entry(&mut bytes, 0x10, SOLID_RESOURCE, 1, 1, 0);
        entry(&mut bytes, 0x10, 0, 1, 1, 1);
        let table = parse(&bytes.data, Header::VERSION_SOLID).unwrap();
        assert_eq!(table.blobs.len(), 1);
        assert!(table.blobs[0].resource.is_solid());
        assert_eq!(table.blobs[0].size, 5);
        let bad = parse(&bytes.data[50..], Header::VERSION_SOLID);
        assert!(bad.unwrap_err().to_string().contains("without a solid resource"));
        let table = parse(&bytes.data, Header::VERSION).unwrap();
        assert!(!table.blobs[0].resource.is_solid());
    }
}
