//! Reading a resource: raw bytes, or a chunk table and chunks that were compressed one by one.
//!
//! ```text
//! offset of chunk 1, of chunk 2, ...  | chunk 0 | chunk 1 | ...      offsets count from the end of the table
//! ```
//!
//! Table entries have 4 bytes, or 8 when the uncompressed size does not fit 32 bits. A chunk as long as its content is stored raw. Chunks
//! know nothing of each other, so any range can be decoded, by any number of threads.

use std::{
    fmt,
    ops::Range,
    sync::{Mutex, PoisonError},
};

use rayon::prelude::*;

use super::{
    error::WimError,
    header::ResourceHeader,
    parallel::pipeline,
    solid::{BlockCache, SolidResource},
};
use crate::{
    base::{malformed::Malformed, read_at::ReadAt},
    codec::{self, Codec, Decode, DecodeError},
};

const FORMAT: &str = "WIM resource";
/// How much of a resource is decoded at a time when it is streamed; more where each thread's chunk needs more.
const WINDOW: u64 = 8 << 20;
/// How much of a resource one thread decodes at a time.
const PART: u64 = 256 << 10;

/// A thread's decoder and buffers.
pub(super) struct Worker {
    decoder: Option<Box<dyn Decode>>,
    /// For stored bytes.
    pub(super) stored: Vec<u8>,
    /// For decoded bytes.
    pub(super) output: Vec<u8>,
}

/// Workers of one codec and chunk size that are not in use: threads take one and give it back.
pub(super) struct Workers {
    codec: Codec,
    chunk_size: u32,
    /// Why compressed resources cannot be read, if they cannot.
    unsupported: Option<codec::Unsupported>,
    free: Mutex<Vec<Worker>>,
}

impl Worker {
    /// Decodes a chunk that may be stored raw.
    pub(super) fn decode(&mut self, stored: &[u8], output: &mut [u8]) -> Result<(), DecodeError> {
        if stored.len() == output.len() {
            output.copy_from_slice(stored);
            return Ok(());
        }
        match &mut self.decoder {
            Some(decoder) => decoder.decode(stored, output),
            // Resources whose codec has no decoder are refused before.
            None => Err(DecodeError { codec: Codec::None, what: "it is shorter than its content" }),
        }
    }
}

impl fmt::Debug for Workers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Workers({}, {})", self.codec, self.chunk_size)
    }
}

impl Workers {
    pub(super) fn new(codec: Codec, chunk_size: u32) -> Self {
        let unsupported = match codec {
            Codec::None => None,
            _ => codec::decoder(codec, chunk_size).err(),
        };
        Self { codec, chunk_size, unsupported, free: Mutex::new(Vec::new()) }
    }

    /// Refuses a codec that cannot be decoded.
    pub(super) fn check(&self) -> Result<(), WimError> {
        self.unsupported.clone().map_or(Ok(()), |error| Err(error.into()))
    }

    /// Runs `work` with a worker.
    pub(super) fn with<T>(&self, work: impl FnOnce(&mut Worker) -> T) -> T {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut worker = free.unwrap_or_else(|| Worker {
            // Resources that are not compressed need none, and those that are refuse to be read without.
            decoder: codec::decoder(self.codec, self.chunk_size).ok(),
            stored: Vec::new(),
            output: Vec::new(),
        });
        let result = work(&mut worker);
        self.free.lock().unwrap_or_else(PoisonError::into_inner).push(worker);
        result
    }
}

/// A resource whose shape has been checked against its file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Resource<'a> {
    source: &'a dyn ReadAt,
    workers: &'a Workers,
    header: ResourceHeader,
    layout: Layout<'a>,
}

/// How a resource's content is cut.
#[derive(Debug, Clone, Copy)]
enum Layout<'a> {
    Raw,
    /// A range of a solid resource's content; the header's offset is where it begins there.
    Solid {
        solid: &'a SolidResource,
        blocks: &'a BlockCache,
    },
    /// `count` is not 0.
    Chunks {
        chunk_size: u64,
        count: u64,
        entry_size: u64,
    },
}

/// Bytes of the chunk table of a compressed resource of `size` bytes; 0 for an empty one.
pub(super) fn table_size(size: u64, chunk_size: u32) -> u64 {
    size.div_ceil(u64::from(chunk_size)).saturating_sub(1) * entry_size(size)
}

/// Bytes of an entry of that table.
pub(super) fn entry_size(size: u64) -> u64 {
    if size > u64::from(u32::MAX) { 8 } else { 4 }
}

impl<'a> Resource<'a> {
    /// Checks that the resource lies in its file and that its sizes can be true.
    pub(super) fn new(
        source: &'a dyn ReadAt,
        workers: &'a Workers,
        header: ResourceHeader,
    ) -> Result<Self, WimError> {
        let malformed = |what: String| Err(Malformed::new(FORMAT, what, header.offset).into());
        if header.is_solid() {
            return malformed("it is marked as solid where it cannot be".to_owned());
        }
        if header.end().is_none_or(|end| end > source.size()) {
            return malformed(format!(
                "{} bytes at {:#x} reach beyond the end of the file at {:#x}",
                header.stored_size,
                header.offset,
                source.size()
            ));
        }
        let layout = if header.is_compressed() && header.size > 0 {
            if workers.codec == Codec::None {
                return malformed("compressed resource in an uncompressed file".to_owned());
            }
            workers.check()?;
            let chunk_size = u64::from(workers.chunk_size);
            let count = header.size.div_ceil(chunk_size);
            let table = table_size(header.size, workers.chunk_size);
            // Every chunk has at least one byte: this is what bounds the memory by the file.
            if table.checked_add(count).is_none_or(|least| least > header.stored_size) {
                return malformed(format!(
                    "{} stored bytes cannot hold {count} chunks and their table",
                    header.stored_size
                ));
            }
            if header.stored_size - table > header.size {
                return malformed(format!(
                    "{} bytes are stored in {}, more than they can take",
                    header.size, header.stored_size
                ));
            }
            Layout::Chunks { chunk_size, count, entry_size: entry_size(header.size) }
        } else if header.stored_size == header.size {
            Layout::Raw
        } else {
            return malformed(format!(
                "uncompressed resource of {} bytes is stored in {}",
                header.size, header.stored_size
            ));
        };
        Ok(Self { source, workers, header, layout })
    }

    /// The range of a solid resource's content that `header` says; `blocks` keeps what is decoded of it.
    pub(super) fn in_solid(
        source: &'a dyn ReadAt,
        solid: &'a SolidResource,
        blocks: &'a BlockCache,
        header: ResourceHeader,
    ) -> Result<Self, WimError> {
        if header.offset.checked_add(header.size).is_none_or(|end| end > solid.size()) {
            let what = format!("{} bytes of content are not in it", header.size);
            return Err(Malformed::new("WIM solid resource", what, solid.header().offset).into());
        }
        solid.workers().check()?;
        Ok(Self {
            source,
            workers: solid.workers(),
            header,
            layout: Layout::Solid { solid, blocks },
        })
    }

    /// Uncompressed size in bytes.
    pub(super) fn size(&self) -> u64 {
        self.header.size
    }

    /// Ranges to be read must begin at a multiple of this, and end at one or at the end.
    pub(super) fn granule(&self) -> u64 {
        match self.layout {
            Layout::Raw | Layout::Solid { .. } => 1,
            Layout::Chunks { chunk_size, .. } => chunk_size,
        }
    }

    /// How much is decoded at a time when it is streamed: a multiple of the granule, and work for every thread.
    pub(super) fn window(&self) -> u64 {
        WINDOW.max(self.granule() * rayon::current_num_threads() as u64)
    }

    /// Fills `output` from `start` on, on the calling thread.
    pub(super) fn read(&self, start: u64, output: &mut [u8]) -> Result<(), WimError> {
        match self.layout {
            Layout::Raw => {
                return Ok(self.source.read_exact_at(self.header.offset + start, output)?);
            }
            Layout::Solid { solid, blocks } => {
                let mut output = output;
                return self.each_block(start..start + output.len() as u64, |block, range| {
                    let content = blocks.get(solid, self.source, block)?;
                    let (now, rest) = std::mem::take(&mut output).split_at_mut(range.len());
                    now.copy_from_slice(&content[range]);
                    output = rest;
                    Ok(())
                });
            }
            Layout::Chunks { .. } => {}
        }
        self.workers.with(|worker| {
            let mut stored = std::mem::take(&mut worker.stored);
            let result = self.read_chunks(start, output, worker, &mut stored);
            worker.stored = stored;
            result
        })
    }

    /// Calls `take` with each block of the solid resource that a range of this resource's content touches, and the range of the block's bytes.
    fn each_block(
        &self,
        range: Range<u64>,
        mut take: impl FnMut(u64, Range<usize>) -> Result<(), WimError>,
    ) -> Result<(), WimError> {
        let Layout::Solid { solid, .. } = self.layout else { return Ok(()) };
        let (start, end) = (self.header.offset + range.start, self.header.offset + range.end);
        if start == end {
            return Ok(());
        }
        for block in solid.blocks(start..end) {
            let content = solid.range(block);
            let from = start.max(content.start) - content.start;
            let to = end.min(content.end) - content.start;
            take(block, to_usize(from)?..to_usize(to)?)?;
        }
        Ok(())
    }

    /// Passes a range of a solid resource's content to `sink` in order; where it touches several blocks, they are decoded on all threads.
    fn solid_parallel(
        &self,
        range: Range<u64>,
        mut sink: impl FnMut(&[u8]) -> Result<(), WimError>,
    ) -> Result<(), WimError> {
        let Layout::Solid { solid, blocks } = self.layout else { return Ok(()) };
        let last = solid.blocks(0..self.header.offset + range.end).end;
        let width = BlockCache::width(solid) as u64;
        let mut filled = 0;
        self.each_block(range, |block, range| {
            if block >= filled {
                filled = last.min(block + width);
                if filled - block > 1 {
                    let wanted = (block..filled).map(|block| (solid, self.source, block));
                    blocks.fill(&wanted.collect::<Vec<_>>());
                }
            }
            sink(&blocks.get(solid, self.source, block)?[range])
        })
    }

    /// Decodes the whole content into `output`, from the stored bytes of the whole resource.
    pub(super) fn decode(
        &self,
        stored: &[u8],
        output: &mut [u8],
        worker: &mut Worker,
    ) -> Result<(), WimError> {
        let Layout::Chunks { count, entry_size, .. } = self.layout else {
            output.copy_from_slice(stored);
            return Ok(());
        };
        let table = usize::try_from((count - 1) * entry_size).unwrap_or(usize::MAX);
        let Some((table, chunks)) = stored.split_at_checked(table) else {
            return Err(Malformed::new(FORMAT, "truncated chunk table", self.header.offset).into());
        };
        let ends = self.ends(0..count, table)?;
        self.decode_chunks(0, &ends, chunks, output, worker)
    }

    fn read_chunks(
        &self,
        start: u64,
        output: &mut [u8],
        worker: &mut Worker,
        stored: &mut Vec<u8>,
    ) -> Result<(), WimError> {
        let Layout::Chunks { chunk_size, count, entry_size } = self.layout else { return Ok(()) };
        if output.is_empty() {
            return Ok(());
        }
        let length = output.len() as u64;
        if start == 0 && length == self.header.size && self.header.stored_size <= 2 * PART {
            stored.resize(to_usize(self.header.stored_size)?, 0);
            self.source.read_exact_at(self.header.offset, stored)?;
            return self.decode(stored, output, worker);
        }
        let chunks = start / chunk_size..(start + length).div_ceil(chunk_size).min(count);
        let table_size = (count - 1) * entry_size;
        // Entry n is where chunk n + 1 begins and chunk n ends; the range needs its own beginning too.
        let entries = chunks.start.max(1) - 1..chunks.end.min(count - 1);
        stored.resize(to_usize((entries.end.max(entries.start) - entries.start) * entry_size)?, 0);
        let table_start = self.header.offset + entries.start * entry_size;
        self.source.read_exact_at(table_start, stored)?;
        let ends = self.ends(chunks.clone(), stored)?;
        let (first, last) = (ends.start, ends.last());
        stored.resize(to_usize(last - first)?, 0);
        self.source.read_exact_at(self.header.offset + table_size + first, stored)?;
        self.decode_chunks(chunks.start, &ends, stored, output, worker)
    }

    /// The chunks of a compressed resource as they are stored, back to back, and where each of them ends; `None` for a raw or solid one.
    pub(super) fn stored_chunks(&self) -> Result<Option<StoredChunks>, WimError> {
        let Layout::Chunks { count, entry_size, .. } = self.layout else { return Ok(None) };
        let mut chunks = zeroed(self.header.stored_size)?;
        self.source.read_exact_at(self.header.offset, &mut chunks)?;
        let table_size = to_usize((count - 1) * entry_size)?;
        let ends = self.ends(0..count, &chunks[..table_size])?;
        chunks.drain(..table_size);
        Ok(Some((chunks, ends.ends)))
    }

    /// Where the chunks of a range begin and end, from the table entries that say so. No chunk is longer than its content.
    fn ends(&self, chunks: Range<u64>, table: &[u8]) -> Result<Ends, WimError> {
        let Layout::Chunks { chunk_size, count, entry_size } = self.layout else {
            return Ok(Ends::default());
        };
        let mut entries = table.chunks_exact(to_usize(entry_size)?).map(|entry| {
            let mut bytes = [0; 8];
            bytes[..entry.len()].copy_from_slice(entry);
            u64::from_le_bytes(bytes)
        });
        let data_size = self.header.stored_size - (count - 1) * entry_size;
        let start = if chunks.start == 0 { 0 } else { entries.next().unwrap_or(u64::MAX) };
        let mut ends =
            Ends { start, ends: Vec::with_capacity(to_usize(chunks.end - chunks.start)?) };
        let mut previous = start;
        for chunk in chunks {
            let end =
                if chunk == count - 1 { data_size } else { entries.next().unwrap_or(u64::MAX) };
            let content = chunk_size.min(self.header.size - chunk * chunk_size);
            if end > data_size || end <= previous || end - previous > content {
                let what = format!(
                    "chunk {chunk} of {content} bytes lies at {previous:#x} to {end:#x} of {data_size:#x}"
                );
                return Err(Malformed::new(FORMAT, what, self.header.offset).into());
            }
            ends.ends.push(end);
            previous = end;
        }
        Ok(ends)
    }

    fn decode_chunks(
        &self,
        first: u64,
        ends: &Ends,
        stored: &[u8],
        output: &mut [u8],
        worker: &mut Worker,
    ) -> Result<(), WimError> {
        let Layout::Chunks { chunk_size, .. } = self.layout else { return Ok(()) };
        let mut start = ends.start;
        let outputs = output.chunks_mut(to_usize(chunk_size)?);
        for ((chunk, &end), output) in (first..).zip(&ends.ends).zip(outputs) {
            let range = to_usize(start - ends.start)?..to_usize(end - ends.start)?;
            start = end;
            let Some(stored) = stored.get(range) else {
                return Err(Malformed::new(FORMAT, "truncated chunk", self.header.offset).into());
            };
            worker.decode(stored, output).map_err(|source| WimError::Decode {
                offset: self.header.offset,
                chunk,
                source,
            })?;
        }
        Ok(())
    }

    /// Fills `output` from `start` on, on all threads.
    pub(super) fn read_parallel(&self, start: u64, output: &mut [u8]) -> Result<(), WimError> {
        if matches!(self.layout, Layout::Solid { .. }) {
            let mut output = output;
            return self.solid_parallel(start..start + output.len() as u64, |bytes| {
                let (now, rest) = std::mem::take(&mut output).split_at_mut(bytes.len());
                now.copy_from_slice(bytes);
                output = rest;
                Ok(())
            });
        }
        let part = PART.max(self.granule());
        if output.len() as u64 <= part {
            return self.read(start, output);
        }
        output
            .par_chunks_mut(to_usize(part)?)
            .with_max_len(1)
            .enumerate()
            .try_for_each(|(index, output)| self.read(start + index as u64 * part, output))
    }

    /// Passes the content to `sink` in order; decodes on all threads meanwhile.
    pub(super) fn stream(
        &self,
        mut sink: impl FnMut(&[u8]) -> Result<(), WimError>,
    ) -> Result<(), WimError> {
        if matches!(self.layout, Layout::Solid { .. }) {
            return self.solid_parallel(0..self.size(), sink);
        }
        let window = self.window();
        let mut start = 0;
        let mut next = || {
            let range = (start < self.size()).then(|| start..(start + window).min(self.size()));
            start += window;
            range
        };
        let read = |range: Range<u64>| {
            let mut output = vec![0; to_usize(range.end - range.start)?];
            self.read_parallel(range.start, &mut output)?;
            Ok(output)
        };
        if self.granule() > WINDOW {
            // Two windows of such chunks at a time would be too much memory.
            while let Some(range) = next() {
                sink(&read(range)?)?;
            }
            return Ok(());
        }
        pipeline(next, read, |output: Result<Vec<u8>, WimError>| sink(&output?))
    }
}

/// Stored chunks, back to back, and where each of them ends.
pub(super) type StoredChunks = (Vec<u8>, Vec<u64>);

/// Offsets in the chunk data: where a range of chunks begins, and where each of them ends.
#[derive(Debug, Default)]
struct Ends {
    start: u64,
    ends: Vec<u64>,
}

impl Ends {
    fn last(&self) -> u64 {
        self.ends.last().copied().unwrap_or(self.start)
    }
}

/// A size that must fit this machine's memory.
pub(super) fn to_usize(size: u64) -> Result<usize, WimError> {
    usize::try_from(size).map_err(|_| {
        let text = format!("{size} bytes do not fit this machine's memory");
        WimError::Io(std::io::Error::new(std::io::ErrorKind::OutOfMemory, text))
    })
}

/// A buffer of zeros, or an error where the system would refuse the memory.
pub(super) fn zeroed(size: u64) -> Result<Vec<u8>, WimError> {
    let length = to_usize(size)?;
    // `vec!` ends the process when there is no memory; ask politely first.
    Vec::<u8>::new().try_reserve_exact(length).map_err(|_| {
        let text = format!("there is no memory for {size} bytes");
        WimError::Io(std::io::Error::new(std::io::ErrorKind::OutOfMemory, text))
    })?;
    Ok(vec![0; length])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three XPRESS chunks of 4,096 bytes, all stored raw, of a content of 10,000 bytes.
    fn sample() -> (Vec<u8>, Vec<u8>, ResourceHeader) {
        let content: Vec<u8> = (0..=255).cycle().take(10_000).collect();
        let mut file = b"....".to_vec();
        for end in [4096_u32, 8192] {
            file.extend_from_slice(&end.to_le_bytes());
        }
        file.extend_from_slice(&content);
        let header = ResourceHeader { stored_size: 10_008, flags: 4, offset: 4, size: 10_000 };
        (file, content, header)
    }

    fn read(file: &Vec<u8>, header: ResourceHeader) -> Result<Vec<u8>, String> {
        let workers = Workers::new(Codec::Xpress, 4096);
        let text = |error: WimError| error.to_string();
        let resource = Resource::new(file, &workers, header).map_err(text)?;
        let mut output = vec![0; usize::try_from(resource.size()).unwrap()];
        resource.read_parallel(0, &mut output).map_err(text)?;
        Ok(output)
    }

    #[test]
    fn ranges_of_chunks_are_read_alone() {
        let (file, content, header) = sample();
        assert_eq!(read(&file, header), Ok(content.clone()));
        let workers = Workers::new(Codec::Xpress, 4096);
        let resource = Resource::new(&file, &workers, header).unwrap();
        for (start, end) in [(0, 4096), (4096, 8192), (4096, 10_000), (8192, 10_000), (0, 8192)] {
            let mut output = vec![0; end - start];
            resource.read(start as u64, &mut output).unwrap();
            assert_eq!(output, content[start..end], "{start}..{end}");
        }
    }

    #[test]
    fn tables_that_lie_are_refused() {
        let (file, _, header) = sample();
        let lie = |place: usize, value: u32| {
            let mut file = file.clone();
            file[place..place + 4].copy_from_slice(&value.to_le_bytes());
            read(&file, header).unwrap_err()
        };
        // Empty, too long, backwards, beyond the end.
        for (place, value) in [(4, 0), (4, 4097), (8, 4096), (8, 0), (8, 10_001), (8, u32::MAX)] {
            assert!(lie(place, value).contains("chunk "), "{place} {value}");
        }
        // The last chunk is shorter than its content, so it does not decode.
        assert!(lie(8, 8191).contains("chunk"));
    }

    #[test]
    fn sizes_that_cannot_be_are_refused() {
        let (file, _, header) = sample();
        for (header, text) in [
            (ResourceHeader { offset: 5, ..header }, "beyond the end"),
            (ResourceHeader { offset: u64::MAX, ..header }, "beyond the end"),
            (ResourceHeader { size: 1 << 40, ..header }, "cannot hold"),
            (ResourceHeader { size: u64::MAX, ..header }, "cannot hold"),
            (ResourceHeader { size: 9000, ..header }, "more than they can take"),
            (ResourceHeader { flags: 0, ..header }, "is stored in"),
            (ResourceHeader { flags: 0x14, ..header }, "solid"),
            (ResourceHeader { size: 0, ..header }, "is stored in"),
        ] {
            let error = read(&file, header).unwrap_err();
            assert!(error.contains(text), "{header:?}: {error}");
        }
    }

    #[test]
    fn other_codecs_are_refused_by_name() {
        let (file, _, header) = sample();
        let error = |codec, chunk_size| {
            let workers = Workers::new(codec, chunk_size);
            Resource::new(&file, &workers, header).unwrap_err().to_string()
        };
        let text = error(Codec::Xpress, 131_072);
        assert!(text.starts_with("XPRESS with chunks of 131072 bytes is not"), "{text}");
        assert!(error(Codec::None, 0).contains("in an uncompressed file"));
    }
}
