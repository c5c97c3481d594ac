//! Solid resources: the content of many blobs, one behind the other, cut into chunks that are compressed one by one (an ESD file's form).
//!
//! ```text
//! size (u64) | chunk size (u32) | codec (u32: 0 none, 1 XPRESS, 2 LZX, 3 LZMS) | compressed size of each chunk (u32) | chunks
//! ```
//!
//! A chunk as long as its content is stored raw. To read one small blob the chunk around it (64 MiB in Microsoft's files) must be decoded
//! whole, so decoded chunks are kept for a while: about one for each thread. Short chunks are handled several at a time, as *blocks*.

use std::{
    ops::Range,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use rayon::prelude::*;

use super::{
    blob_table::Blob,
    error::WimError,
    header::ResourceHeader,
    resource::{Worker, Workers, to_usize, zeroed},
};
use crate::{
    base::{bytes::Reader, limits::Limits, malformed::Malformed, read_at::ReadAt},
    codec::{Codec, DecodeError},
};

const FORMAT: &str = "WIM solid resource";
/// Bytes in front of the sizes of the chunks.
const HEADER_SIZE: u64 = 16;
/// The same for an array.
const HEADER_BYTES: usize = 16;
/// Content that is decoded at once at least.
const MIN_BLOCK: u64 = 1 << 20;
/// Content of all blocks that are kept at least, where blocks are short.
const MIN_CACHE: u64 = 16 << 20;

/// One solid resource of a file. What lies where in it is known when the file is open; its chunks are found when they are read.
#[derive(Debug)]
pub struct SolidResource {
    header: ResourceHeader,
    size: u64,
    chunk_size: u32,
    codec: Codec,
    workers: Arc<Workers>,
    /// Where each chunk ends, counted from the first one's beginning.
    ends: OnceLock<Vec<u64>>,
    /// Names it in the cache.
    pub(super) id: u32,
    /// The blobs in it, by their offset: places in the list of the WIM's blobs.
    pub(super) blobs: Vec<u32>,
}

impl SolidResource {
    /// Reads what stands in front of the sizes of the chunks, and checks that the file can hold what it says.
    pub(super) fn open(
        source: &dyn ReadAt,
        header: ResourceHeader,
        limits: &Limits,
        workers: &mut dyn FnMut(Codec, u32) -> Arc<Workers>,
    ) -> Result<Self, WimError> {
        let malformed = |what: String| Err(Malformed::new(FORMAT, what, header.offset).into());
        if header.end().is_none_or(|end| end > source.size()) || header.stored_size < HEADER_SIZE {
            return malformed(format!(
                "{} bytes at {:#x} cannot be in a file that ends at {:#x}",
                header.stored_size,
                header.offset,
                source.size()
            ));
        }
        let mut bytes = [0; HEADER_BYTES];
        source.read_exact_at(header.offset, &mut bytes)?;
        let mut reader = Reader::new(FORMAT, &bytes);
        let (size, chunk_size, format) = (reader.u64()?, reader.u32()?, reader.u32()?);
        let codec = match format {
            0 => Codec::None,
            1 => Codec::Xpress,
            2 => Codec::Lzx,
            3 => Codec::Lzms,
            _ => return malformed(format!("compression number {format} is not known")),
        };
        let is_legal = match codec {
            Codec::None => chunk_size.is_power_of_two(),
            _ => codec.allows_chunk_size(chunk_size),
        };
        if !is_legal {
            return malformed(format!("{codec} with chunks of {chunk_size} bytes"));
        }
        if chunk_size > limits.chunk {
            return malformed(format!("chunks of {chunk_size} bytes are over the limit"));
        }
        let count = size.div_ceil(u64::from(chunk_size));
        // Every chunk has four bytes of table and at least one byte: this is what bounds the memory by the file.
        let table = count.checked_mul(4).and_then(|table| table.checked_add(HEADER_SIZE));
        let least = table.and_then(|table| table.checked_add(count));
        let Some(data) = least
            .filter(|least| *least <= header.stored_size)
            .and(table)
            .map(|table| header.stored_size - table)
        else {
            return malformed(format!(
                "{} stored bytes cannot hold {count} chunks and their table",
                header.stored_size
            ));
        };
        if data > size || (codec == Codec::None && data != size) {
            return malformed(format!(
                "{size} bytes are stored in {}, more than they can take",
                header.stored_size
            ));
        }
        let workers = workers(codec, chunk_size);
        let (ends, blobs) = (OnceLock::new(), Vec::new());
        Ok(Self { header, size, chunk_size, codec, workers, ends, id: 0, blobs })
    }

    /// Where it lies in its file, with all that stands in front of its chunks.
    #[must_use]
    pub fn header(&self) -> ResourceHeader {
        self.header
    }

    /// Bytes of all content in it.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Bytes in a chunk.
    #[must_use]
    pub fn chunk_size(&self) -> u32 {
        self.chunk_size
    }

    /// How its chunks are compressed.
    #[must_use]
    pub fn codec(&self) -> Codec {
        self.codec
    }

    pub(super) fn workers(&self) -> &Workers {
        &self.workers
    }

    /// Bytes of content in a block: one chunk, or several short ones.
    pub(super) fn block_size(&self) -> u64 {
        u64::from(self.chunk_size).max(MIN_BLOCK)
    }

    /// The blocks that a range of the content touches.
    pub(super) fn blocks(&self, range: Range<u64>) -> Range<u64> {
        range.start / self.block_size()..range.end.div_ceil(self.block_size())
    }

    /// The content that is in a block.
    pub(super) fn range(&self, block: u64) -> Range<u64> {
        let start = block * self.block_size();
        start..(start + self.block_size()).min(self.size)
    }

    /// Where the chunks end; read and checked when it is asked for first.
    fn ends(&self, source: &dyn ReadAt) -> Result<&[u64], WimError> {
        if let Some(ends) = self.ends.get() {
            return Ok(ends);
        }
        let chunk_size = u64::from(self.chunk_size);
        let count = self.size.div_ceil(chunk_size);
        let mut table = zeroed(4 * count)?;
        source.read_exact_at(self.header.offset + HEADER_SIZE, &mut table)?;
        let data = self.header.stored_size - HEADER_SIZE - 4 * count;
        let mut ends = Vec::with_capacity(to_usize(count)?);
        let mut end = 0;
        let malformed = |what| Err(Malformed::new(FORMAT, what, self.header.offset).into());
        for (chunk, stored) in (0..).zip(table.chunks_exact(4)) {
            let stored =
                u64::from(u32::from_le_bytes([stored[0], stored[1], stored[2], stored[3]]));
            let content = chunk_size.min(self.size - chunk * chunk_size);
            if stored == 0 || stored > content {
                return malformed(format!(
                    "chunk {chunk} of {content} bytes is stored in {stored}"
                ));
            }
            end += stored;
            ends.push(end);
        }
        if end != data {
            return malformed(format!("its chunks have {end} bytes together, not {data}"));
        }
        Ok(self.ends.get_or_init(|| ends))
    }

    /// Decodes a block into `output`, which gets its size, on the calling thread and without any work on others.
    pub(super) fn decode_block(
        &self,
        source: &dyn ReadAt,
        block: u64,
        output: &mut Vec<u8>,
        worker: &mut Worker,
    ) -> Result<(), WimError> {
        self.workers.check()?;
        let ends = self.ends(source)?;
        let range = self.range(block);
        let chunk_size = u64::from(self.chunk_size);
        let chunks = to_usize(range.start / chunk_size)?..to_usize(range.end.div_ceil(chunk_size))?;
        let start = chunks.start.checked_sub(1).map_or(0, |before| ends[before]);
        let end = chunks.end.checked_sub(1).map_or(0, |last| ends[last]);
        let data = self.header.offset + HEADER_SIZE + 4 * ends.len() as u64;
        let mut stored = std::mem::take(&mut worker.stored);
        stored.resize(to_usize(end - start)?, 0);
        output.resize(to_usize(range.end - range.start)?, 0);
        let mut decode = || {
            source.read_exact_at(data + start, &mut stored)?;
            let mut begin = start;
            for (chunk, output) in chunks.clone().zip(output.chunks_mut(self.chunk_size as usize)) {
                let stored = &stored[to_usize(begin - start)?..to_usize(ends[chunk] - start)?];
                begin = ends[chunk];
                worker.decode(stored, output).map_err(|source| WimError::Decode {
                    offset: self.header.offset,
                    chunk: chunk as u64,
                    source,
                })?;
            }
            Ok(())
        };
        let result = decode();
        worker.stored = stored;
        result
    }
}

/// Blocks of solid resources that were decoded last: one for each thread and one more, or [`MIN_CACHE`] bytes where that is more.
#[derive(Debug, Default)]
pub(super) struct BlockCache {
    /// The one used last comes last.
    slots: Mutex<Vec<Slot>>,
}

/// A solid resource of an open file, by its id, and a block of it.
type Key = (u32, u64);

#[derive(Debug, Clone)]
struct Slot {
    key: Key,
    size: u64,
    state: Arc<Mutex<State>>,
}

/// Who wants the block and finds it empty decodes it while others wait; nobody who decodes waits for anybody.
#[derive(Debug)]
enum State {
    Empty,
    Ready(Arc<Vec<u8>>),
    /// Does not decode; kept, so that it is not tried again for each of thousands of blobs.
    Damaged(Damage),
}

/// What is wrong with a block: told to everybody whose content is in it.
#[derive(Debug, Clone)]
pub(super) enum Damage {
    Malformed(Malformed),
    Decode { offset: u64, chunk: u64, source: DecodeError },
}

impl Damage {
    /// Errors of the bytes are damage; errors of the system and of this program are not.
    pub(super) fn of(error: WimError) -> Result<Self, WimError> {
        match error {
            WimError::Malformed(malformed) => Ok(Self::Malformed(malformed)),
            WimError::Decode { offset, chunk, source } => {
                Ok(Self::Decode { offset, chunk, source })
            }
            error => Err(error),
        }
    }
}

impl From<Damage> for WimError {
    fn from(damage: Damage) -> Self {
        match damage {
            Damage::Malformed(malformed) => Self::Malformed(malformed),
            Damage::Decode { offset, chunk, source } => Self::Decode { offset, chunk, source },
        }
    }
}

impl BlockCache {
    /// How many blocks may be decoded at a time.
    pub(super) fn width(solid: &SolidResource) -> usize {
        let threads = rayon::current_num_threads();
        threads.max(usize::try_from(MIN_CACHE / solid.block_size()).unwrap_or(0))
    }

    /// The decoded block.
    pub(super) fn get(
        &self,
        solid: &SolidResource,
        source: &dyn ReadAt,
        block: u64,
    ) -> Result<Arc<Vec<u8>>, WimError> {
        let slot = self.slot(solid, block);
        let mut state = slot.lock().unwrap_or_else(PoisonError::into_inner);
        match &*state {
            State::Ready(content) => return Ok(Arc::clone(content)),
            State::Damaged(damage) => return Err(damage.clone().into()),
            State::Empty => {}
        }
        let mut content = Vec::new();
        let decoded =
            solid.workers().with(|worker| solid.decode_block(source, block, &mut content, worker));
        match decoded {
            Ok(()) => {
                let content = Arc::new(content);
                *state = State::Ready(Arc::clone(&content));
                Ok(content)
            }
            Err(error) => {
                let damage = Damage::of(error)?;
                *state = State::Damaged(damage.clone());
                Err(damage.into())
            }
        }
    }

    /// Finds or makes the place of a block, and forgets what was not used for longest.
    fn slot(&self, solid: &SolidResource, block: u64) -> Arc<Mutex<State>> {
        let key = (solid.id, block);
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = match slots.iter().position(|slot| slot.key == key) {
            Some(place) => slots.remove(place),
            None => {
                let size = solid.block_size();
                Slot { key, size, state: Arc::new(Mutex::new(State::Empty)) }
            }
        };
        let state = Arc::clone(&slot.state);
        slots.push(slot);
        let most = rayon::current_num_threads() + 1;
        let mut bytes: u64 = slots.iter().map(|slot| slot.size).sum();
        let mut forgotten = 0;
        while slots.len() - forgotten > most && bytes > MIN_CACHE + solid.block_size() {
            bytes -= slots[forgotten].size;
            forgotten += 1;
        }
        slots.drain(..forgotten);
        state
    }

    /// True when the block is there, or is being decoded; it is then the last to be forgotten.
    fn touch(&self, key: Key) -> bool {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(place) = slots.iter().position(|slot| slot.key == key) else { return false };
        let slot = slots.remove(place);
        slots.push(slot);
        true
    }

    /// Decodes blocks on all threads. What does not decode is told to who reads it.
    pub(super) fn fill(&self, wanted: &[(&SolidResource, &dyn ReadAt, u64)]) {
        let absent: Vec<_> =
            wanted.iter().filter(|(solid, _, block)| !self.touch((solid.id, *block))).collect();
        absent.into_par_iter().with_max_len(1).for_each(|(solid, source, block)| {
            drop(self.get(solid, *source, *block));
        });
    }

    /// Decodes what the first of these blobs need, as much as is kept; returns how many blobs from the first on can now be read without decoding, and
    /// at least one: a blob that is larger than what is kept is decoded as it is read.
    pub(super) fn prepare<'a>(
        &self,
        blobs: &[Blob],
        solid_of: impl Fn(&Blob) -> Option<(&'a SolidResource, &'a dyn ReadAt)>,
    ) -> usize {
        let mut wanted: Vec<(&SolidResource, &dyn ReadAt, u64)> = Vec::new();
        let mut absent = 0;
        let mut ready = 0;
        for blob in blobs {
            if let Some((solid, source)) = solid_of(blob) {
                let width = Self::width(solid);
                let range = blob.resource.offset..blob.resource.offset.saturating_add(blob.size);
                let blocks = solid.blocks(range);
                let is_new = |block: &u64| {
                    !wanted.iter().any(|other| other.0.id == solid.id && other.2 == *block)
                };
                let count = blocks.end.saturating_sub(blocks.start);
                if blob.size > 0 && count > width as u64 {
                    // It is decoded as it is read, by all threads; it comes alone.
                    if ready == 0 {
                        return 1;
                    }
                    break;
                }
                let new: Vec<u64> = match blob.size {
                    0 => Vec::new(),
                    _ => blocks.filter(is_new).collect(),
                };
                let missing = new.iter().filter(|block| !self.touch((solid.id, **block))).count();
                if ready > 0
                    && !new.is_empty()
                    && (absent + missing > width || wanted.len() + new.len() > width + 1)
                {
                    break;
                }
                absent += missing;
                wanted.extend(new.into_iter().map(|block| (solid, source, block)));
            }
            ready += 1;
        }
        if absent > 0 {
            self.fill(&wanted);
        }
        ready.max(1)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use proptest::prelude::*;

    use super::*;
    use crate::{
        base::{bytes::Writer, digest::Sha1, guid::Guid},
        codec::{self, Level},
        format::wim::{Header, Wim, WimXml},
    };

    /// A file whose blobs lie in several solid resources of one run. `level` `None`: every chunk is stored raw.
    fn make(
        resources: &[Vec<Vec<u8>>],
        (codec, chunk_size): (Codec, u32),
        level: Option<Level>,
    ) -> Vec<u8> {
        let mut file = vec![0; Header::SIZE];
        let mut table = Writer::new();
        let mut start = 0;
        for blobs in resources {
            let content = blobs.concat();
            let mut encoder = level.and_then(|level| codec::encoder(codec, chunk_size, level).ok());
            let (mut sizes, mut data) = (Writer::new(), Vec::new());
            for chunk in content.chunks(chunk_size as usize) {
                let encoded = encoder.as_mut().and_then(|encoder| encoder.encode(chunk, &mut data));
                if encoded.is_none() {
                    data.extend_from_slice(chunk);
                }
                sizes.u32(u32::try_from(encoded.unwrap_or(chunk.len())).unwrap());
            }
            let mut resource = Writer::new();
            resource.u64(content.len() as u64).u32(chunk_size).u32(codec as u32);
            resource.bytes(&sizes.data).bytes(&data);
            let entry = |table: &mut Writer, stored_size, offset, size, sha1: &Sha1| {
                let flags = ResourceHeader::SOLID;
                let resource = ResourceHeader { stored_size, flags, offset, size };
                super::super::write_plan::encode_entry(table, &resource, 1, (1, sha1));
            };
            let (stored, offset) = (resource.data.len() as u64, file.len() as u64);
            entry(&mut table, stored, offset, 1 << 32, &Sha1::ZERO);
            file.extend_from_slice(&resource.data);
            for blob in blobs {
                entry(&mut table, blob.len() as u64, start, 0, &Sha1::of(blob));
                start += blob.len() as u64;
            }
        }
        let place = |file: &mut Vec<u8>, bytes: &[u8]| {
            let (size, offset) = (bytes.len() as u64, file.len() as u64);
            file.extend_from_slice(bytes);
            ResourceHeader { stored_size: size, flags: 2, offset, size }
        };
        let blob_table = place(&mut file, &table.data);
        let xml = place(&mut file, &WimXml::new().encode());
        let header = Header {
            version: Header::VERSION_SOLID,
            flags: Header::codec_flags(Codec::Lzx),
            chunk_size: 32768,
            guid: Guid::default(),
            part_number: 1,
            total_parts: 1,
            image_count: 0,
            blob_table,
            xml,
            boot_metadata: ResourceHeader::default(),
            boot_index: 0,
            integrity: ResourceHeader::default(),
        };
        file[..Header::SIZE].copy_from_slice(&header.encode());
        file
    }

    /// Content of this size that compresses and is unlike any other.
    fn content(size: usize, seed: u32) -> Vec<u8> {
        let mut state = seed.wrapping_mul(2_654_435_761) | 1;
        (0..size)
            .map(|place| {
                if place % 16 == 0 {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                }
                (state >> (place % 16)).to_le_bytes()[0] & 0x3f
            })
            .collect()
    }

    fn resources(sizes: &[&[usize]]) -> Vec<Vec<Vec<u8>>> {
        let mut seed = 0;
        let mut next = |size: &usize| {
            seed += 1;
            content(*size, seed)
        };
        sizes.iter().map(|sizes| sizes.iter().map(&mut next).collect()).collect()
    }

    fn open(file: &[u8]) -> Result<Wim, WimError> {
        let limits = Limits { chunk: 4 << 20, ..Limits::default() };
        Wim::open(Arc::new(file.to_vec()), &limits)
    }

    #[test]
    fn all_content_is_read_whatever_the_codec_and_the_threads() {
        let sizes: &[&[usize]] =
            &[&[1000, 1, 70_000, 2_500_000, 32_768], &[5], &[300_000, 1_200_000]];
        let resources = resources(sizes);
        for setting in [
            (Codec::None, 1 << 20),
            (Codec::Xpress, 4096),
            (Codec::Xpress, 65536),
            (Codec::Lzx, 32768),
            (Codec::Lzx, 2 << 20),
        ] {
            let file = make(&resources, setting, Some(Level::Fast));
            for threads in [1, 3] {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| {
                    let wim = open(&file).unwrap();
                    assert_eq!(wim.blobs().len(), 8);
                    assert_eq!(wim.solids(0).len(), 3);
                    for (index, blobs) in (0..).zip(&resources) {
                        let in_it: Vec<&Blob> = wim.blobs_of_solid(0, index).collect();
                        let expected: Vec<Sha1> = blobs.iter().map(|blob| Sha1::of(blob)).collect();
                        let actual: Vec<Sha1> = in_it.iter().map(|blob| blob.sha1).collect();
                        assert_eq!(actual, expected);
                    }
                    // Backwards, so that nothing is there yet.
                    for blob in wim.blobs().iter().rev() {
                        assert_eq!(wim.codec_of(blob), setting);
                        let mut streamed = Vec::new();
                        wim.stream_blob(blob, &mut |bytes| {
                            streamed.extend_from_slice(bytes);
                            Ok(())
                        })
                        .unwrap();
                        assert_eq!(Sha1::of(&streamed), blob.sha1);
                        assert!(wim.read_blob(blob).unwrap() == streamed);
                    }
                    let report = wim.verify(&|_| ()).unwrap();
                    assert!(report.is_good(), "{:?}", report.problems);
                    assert_eq!((report.blobs, report.bytes), (8, 4_103_774));
                });
            }
        }
    }

    /// Counts the bytes that are read.
    #[derive(Debug)]
    pub(crate) struct Counting<Source>(pub(crate) Source, pub(crate) Arc<AtomicU64>);

    impl<Source: ReadAt> ReadAt for Counting<Source> {
        fn size(&self) -> u64 {
            self.0.size()
        }

        fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> std::io::Result<()> {
            self.1.fetch_add(buffer.len() as u64, Ordering::Relaxed);
            self.0.read_exact_at(offset, buffer)
        }
    }

    #[test]
    fn who_reads_everything_decodes_every_chunk_once() {
        // More than what is kept for any number of threads up to eight, with one blob that is larger than that.
        let mut sizes = vec![300_001; 60];
        sizes.insert(30, 24 << 20);
        let resources = resources(&[&sizes, &[3 << 20, 100]]);
        let file = make(&resources, (Codec::Lzx, 2 << 20), None);
        let size = file.len() as u64;
        for threads in [1, 3] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let read = Arc::new(AtomicU64::new(0));
                let source = Counting(file.clone(), Arc::clone(&read));
                let wim = Wim::open(Arc::new(source), &Limits::default()).unwrap();
                assert!(read.swap(0, Ordering::Relaxed) < 10_000);
                assert!(wim.verify(&|_| ()).unwrap().is_good());
                let verified = read.swap(0, Ordering::Relaxed);
                assert!(verified < size, "{verified} bytes of {size} to verify");

                let mut rest = wim.blobs();
                let mut calls = 0;
                while !rest.is_empty() {
                    let (now, later) = rest.split_at(wim.prepare(rest));
                    now.par_iter().for_each(|blob| drop(wim.read_blob(blob).unwrap()));
                    (rest, calls) = (later, calls + 1);
                }
                let bulk = read.swap(0, Ordering::Relaxed);
                // The large blob ends what was prepared before it, and the chunk around its end may be decoded again.
                assert!(bulk <= size + (4 << 20), "{bulk} bytes of {size} to read everything");
                assert!(calls < 10, "{calls} calls");
            });
        }
    }

    #[test]
    fn sizes_and_tables_that_lie_are_refused() {
        let resources = resources(&[&[50_000, 20_000], &[40_000]]);
        let file = make(&resources, (Codec::Xpress, 32768), None);
        let header = Header::parse(&file).unwrap();
        let table = usize::try_from(header.blob_table.offset).unwrap();
        let changed = |place: usize, bytes: &[u8]| {
            let mut file = file.clone();
            file[place..place + bytes.len()].copy_from_slice(bytes);
            file
        };
        let refused = |place, bytes: &[u8]| open(&changed(place, bytes)).unwrap_err().to_string();
        let entry = |index: usize| table + 50 * index;
        // What stands in front of the chunks.
        assert!(refused(208, &u64::MAX.to_le_bytes()).contains("cannot hold"));
        assert!(refused(208, &(1_u64 << 30).to_le_bytes()).contains("cannot hold"));
        assert!(refused(208, &1_u64.to_le_bytes()).contains("more than they can take"));
        assert!(refused(216, &4095_u32.to_le_bytes()).contains("with chunks of 4095"));
        assert!(refused(220, &[9]).contains("number 9"));
        let large = changed(216, &[&(8_u32 << 20).to_le_bytes()[..], &[3]].concat());
        assert!(open(&large).unwrap_err().to_string().contains("over the limit"));
        // Where it lies.
        assert!(refused(entry(0), &[15, 0, 0]).contains("cannot be in a file"));
        assert!(refused(entry(0) + 8, &[255; 7]).contains("cannot be in a file"));
        assert!(refused(entry(3), &[0, 0, 0]).contains("cannot be in a file"));
        // Blobs outside, and over the edge between two.
        assert!(refused(entry(2) + 8, &50_001_u32.to_le_bytes()).contains("in no solid resource"));
        assert!(refused(entry(4) + 8, &u64::MAX.to_le_bytes()).contains("in no solid resource"));
        assert!(refused(entry(2) + 8, &49_999_u32.to_le_bytes()).contains("overlap"));
        assert!(refused(entry(1) + 7, &[0x12]).contains("metadata of an image"));
        // One solid resource inside another.
        let mut inside = file[entry(0)..entry(1)].to_vec();
        inside[0] -= 1;
        assert!(refused(entry(3), &inside).contains("overlaps the one at 0xd0"));
        // The sizes of the chunks are looked at when content is read.
        let said = |place, bytes: &[u8]| {
            let wim = open(&changed(place, bytes)).unwrap();
            let problems = wim.verify(&|_| ()).unwrap().problems;
            assert!(!problems.is_empty());
            let error = wim.read_blob(&wim.blobs()[0]).unwrap_err().to_string();
            assert_eq!(wim.read_blob(&wim.blobs()[0]).unwrap_err().to_string(), error);
            error
        };
        assert!(said(224, &0_u32.to_le_bytes()).contains("is stored in 0"));
        assert!(said(224, &32769_u32.to_le_bytes()).contains("is stored in 32769"));
        assert!(said(224, &32767_u32.to_le_bytes()).contains("bytes together, not"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn damage_is_never_taken_for_content(
            places in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
            of_tables in any::<bool>(),
        ) {
            let resources = resources(&[&[5000, 9000, 10], &[7000]]);
            let mut file = make(&resources, (Codec::Xpress, 4096), Some(Level::Fast));
            let header = Header::parse(&file).unwrap();
            let start = usize::try_from(header.blob_table.offset).unwrap();
            for (place, value) in places {
                let place = match of_tables {
                    true => start + place.index(6 * 50),
                    false => 208 + place.index(file.len() - 208),
                };
                file[place] = value;
            }
            let limits = Limits { chunk: 1 << 20, ..Limits::default() };
            if let Ok(wim) = Wim::open(Arc::new(file), &limits) {
                for blob in wim.blobs() {
                    prop_assert!(blob.size <= 100_000);
                    if let Ok(content) = wim.read_blob(blob) {
                        prop_assert_eq!(Sha1::of(&content), blob.sha1);
                    }
                }
                prop_assert!(wim.prepare(wim.blobs()) <= wim.blobs().len());
                drop(wim.verify(&|_| ()));
            }
        }
    }
}
