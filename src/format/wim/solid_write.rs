//! Writing solid resources: the contents of many blobs one behind the other, cut into chunks regardless of where blobs begin.
//!
//! ```text
//! uncompressed size (u64) | chunk size (u32) | codec (u32: 1 XPRESS, 2 LZX, 3 LZMS) | size of each chunk (u32) | chunks
//! ```
//!
//! Chunks are encoded on all threads, each of which holds one chunk (or a few small ones): it reads the blobs that the chunk needs, hashes
//! them and encodes. The calling thread writes the results in order and fills in the table at the end.

use std::{
    io::{Seek as _, SeekFrom, Write as _},
    ops::Range,
};

use super::{
    encode::Encoders,
    error::WimError,
    header::ResourceHeader,
    parallel::{PartHasher, ahead, in_order},
    resource::to_usize,
    write::Solid,
    write_items::{Item, ItemWriter, check_source},
    write_plan::{SolidItem, SolidMember},
};
use crate::{base::digest::Sha1, codec::Codec};

/// Bytes in front of the table of chunk sizes.
const HEAD: u64 = 16;
/// Uncompressed bytes one thread handles at a time, when chunks are smaller.
const UNIT: u64 = 1 << 20;

/// How solid resources name codecs.
fn codec_number(codec: Codec) -> u32 {
    match codec {
        Codec::None => 0,
        Codec::Xpress => 1,
        Codec::Lzx => 2,
        Codec::Lzms => 3,
    }
}

impl ItemWriter<'_> {
    /// Copies a solid resource, unless it lies in the output already; returns where it lies.
    pub(super) fn take_solid(&mut self, solid: &SolidItem) -> Result<ResourceHeader, WimError> {
        let Some(source) = &solid.source else { return Ok(solid.header) };
        let header = ResourceHeader { offset: self.position, ..solid.header };
        let start = solid.header.offset;
        self.copy_run(&**source, start..start + solid.header.stored_size)?;
        self.report(solid.header.size)?;
        Ok(header)
    }

    /// Makes a solid resource of `members`, in their order; returns where it lies.
    pub(super) fn write_solid(
        &mut self,
        items: &[Item],
        members: &[SolidMember],
        solid: Solid,
        encoders: &Encoders,
    ) -> Result<ResourceHeader, WimError> {
        let content = Content::new(items, members);
        let size = content.size;
        let chunk_size = u64::from(solid.chunk_size);
        let count = to_usize(size.div_ceil(chunk_size))?;
        let offset = self.position;
        self.position += HEAD + 4 * count as u64;
        self.output.seek(SeekFrom::Start(self.position))?;
        let unit = UNIT.max(chunk_size);
        let mut starts = (0..size).step_by(to_usize(unit)?);
        let mut sizes = Vec::with_capacity(count);
        let threads = rayon::current_num_threads().min(to_usize(size.div_ceil(unit))?);
        in_order(
            (threads, ahead(threads, unit)),
            || starts.next().map(|start| start..size.min(start + unit)),
            Vec::new,
            |buffer, range| {
                content.hasher.guard(|| {
                    let length = range.end - range.start;
                    content.read(buffer, range)?;
                    let (mut stored, mut sizes) = (Vec::new(), Vec::new());
                    encoders.encode_to(buffer, &mut stored, &mut sizes);
                    Ok((length, stored, sizes))
                })
            },
            |(length, stored, chunks)| {
                self.append(&stored)?;
                sizes.extend(chunks);
                self.encoded += length;
                self.report(length)
            },
        )?;
        let mut head = Vec::with_capacity(16 + 4 * count);
        head.extend_from_slice(&size.to_le_bytes());
        head.extend_from_slice(&solid.chunk_size.to_le_bytes());
        head.extend_from_slice(&codec_number(solid.codec).to_le_bytes());
        for size in sizes {
            head.extend_from_slice(&size.to_le_bytes());
        }
        let mut output = self.output;
        output.seek(SeekFrom::Start(offset))?;
        output.write_all(&head)?;
        output.seek(SeekFrom::Start(self.position))?;
        let stored_size = self.position - offset;
        Ok(ResourceHeader { stored_size, flags: ResourceHeader::SOLID, offset, size })
    }
}

/// The contents of all members, one behind the other.
struct Content<'a> {
    items: &'a [Item],
    members: &'a [SolidMember],
    /// Where each member begins.
    starts: Vec<u64>,
    size: u64,
    hasher: PartHasher,
}

impl<'a> Content<'a> {
    fn new(items: &'a [Item], members: &'a [SolidMember]) -> Self {
        let mut size = 0;
        let start = |member: &SolidMember| {
            let start = size;
            size += items[member.place].size;
            start
        };
        let starts = members.iter().map(start).collect();
        Self { items, members, starts, size, hasher: PartHasher::default() }
    }

    /// Fills `buffer` with a range and checks the SHA-1 of members that end in it.
    fn read(&self, buffer: &mut Vec<u8>, range: Range<u64>) -> Result<(), WimError> {
        buffer.resize(to_usize(range.end - range.start)?, 0);
        let first = self.starts.partition_point(|&start| start <= range.start).saturating_sub(1);
        let mut rest: &mut [u8] = buffer;
        let mut position = range.start;
        for (member, &start) in self.members[first..].iter().zip(&self.starts[first..]) {
            if position == range.end {
                break;
            }
            let item = &self.items[member.place];
            let inside = position - start;
            let length = (item.size - inside).min(range.end - position);
            let (piece, behind) = rest.split_at_mut(to_usize(length)?);
            member.content.read_any(inside, piece)?;
            let is_last = inside + length == item.size;
            let actual = if inside == 0 && is_last {
                Some(Sha1::of(piece))
            } else {
                self.hasher.update(member.place, inside, piece, is_last)
            };
            if let Some(actual) = actual {
                check_source(item, actual)?;
            }
            rest = behind;
            position += length;
        }
        Ok(())
    }
}
