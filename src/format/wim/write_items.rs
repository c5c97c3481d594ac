//! Writing resources one behind the other: copying stored bytes in long runs, and encoding the rest on all threads.
//!
//! Small contents are encoded whole, many at a time, so that thousands of small files keep all threads busy; large ones are encoded in parts, and
//! their chunk table is filled in when the last part is there. Each thread reads, hashes and encodes; the calling thread writes.

use std::{
    collections::HashMap,
    fs::File,
    io::{Seek as _, SeekFrom, Write as _},
    ops::Range,
    sync::Arc,
};

use sha1::Digest as _;

use super::{
    blob_table::Blob,
    encode::{Encoders, PART},
    error::WimError,
    header::ResourceHeader,
    parallel::{PartHasher, ahead, in_order},
    reader::{Wim, check},
    resource::to_usize,
};
use crate::base::{
    digest::Sha1,
    read_at::{CopyError, ReadAt},
};

/// Bytes copied with one call; between two, the caller may cancel.
const MAX_COPY: u64 = 64 << 20;
/// Chunks of solid resources that are at least as long are decoded by all threads before content is read from them; of shorter ones each thread
/// decodes its own when it comes to it.
const LONG_CHUNK: u32 = 8 << 20;
/// What file systems that share content between files share at least.
const BLOCK: u64 = 4096;

/// A resource to be written.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) sha1: Sha1,
    pub(super) size: u64,
    pub(super) source: ItemSource,
}

/// Where its bytes come from.
#[derive(Debug)]
pub(super) enum ItemSource {
    /// A resource that lies in the output already.
    Keep(ResourceHeader),
    /// Inside a solid resource that is copied or kept as a whole.
    InSolid,
    /// Stored bytes, ready for the output.
    Copy { source: Arc<dyn ReadAt>, offset: u64, stored_size: u64, compressed: bool },
    /// Content to be encoded.
    Encode(Content),
}

/// Content to be encoded.
#[derive(Debug)]
pub(super) enum Content {
    Wim(Arc<Wim>, Blob),
    Bytes(Arc<dyn ReadAt>),
}

impl Content {
    /// Parts must begin at a multiple of this.
    pub(super) fn granule(&self) -> Result<u64, WimError> {
        match self {
            Self::Wim(wim, blob) => Ok(wim.resource_of(blob)?.granule()),
            Self::Bytes(_) => Ok(1),
        }
    }

    /// Reads a range that may begin anywhere.
    pub(super) fn read_any(&self, start: u64, output: &mut [u8]) -> Result<(), WimError> {
        let granule = self.granule()?;
        let (end, size) = (start + output.len() as u64, self.size());
        let from = start / granule * granule;
        let to = end.next_multiple_of(granule).min(size);
        if (from, to) == (start, end) {
            return self.read(start, output);
        }
        let mut wider = vec![0; to_usize(to - from)?];
        self.read(from, &mut wider)?;
        let skip = to_usize(start - from)?;
        output.copy_from_slice(&wider[skip..skip + output.len()]);
        Ok(())
    }

    fn size(&self) -> u64 {
        match self {
            Self::Wim(_, blob) => blob.size,
            Self::Bytes(source) => source.size(),
        }
    }

    pub(super) fn read(&self, start: u64, output: &mut [u8]) -> Result<(), WimError> {
        match self {
            Self::Wim(wim, blob) => match wim.resource_of(blob)?.read(start, output) {
                Err(WimError::Io(error)) => Err(WimError::of_source(&**wim.source_of(blob), error)),
                result => result,
            },
            Self::Bytes(source) => source
                .read_exact_at(start, output)
                .map_err(|error| WimError::of_source(&**source, error)),
        }
    }
}

/// Writes items to a file, one behind the other.
pub(super) struct ItemWriter<'a> {
    pub(super) output: &'a File,
    /// Where the next byte goes; also the file's own position, between calls.
    pub(super) position: u64,
    encoders: Arc<Encoders>,
    progress: &'a dyn Fn(u64),
    cancelled: &'a dyn Fn() -> bool,
    /// Uncompressed bytes done.
    done: u64,
    copied: u64,
    pub(super) encoded: u64,
}

/// A large content whose parts are being written.
struct OpenResource {
    start: u64,
    sizes: Vec<u32>,
}

/// Work for one thread.
enum Unit {
    Whole(Range<usize>),
    Part { place: usize, start: u64, length: u64 },
}

/// What came of it.
enum Encoded {
    /// Small contents, one behind the other.
    Whole { stored: Vec<u8>, resources: Vec<WholeResource> },
    /// Some chunks of a large one.
    Part { place: usize, start: u64, length: u64, stored: Vec<u8>, sizes: Vec<u32> },
}

/// A small content, encoded.
struct WholeResource {
    place: usize,
    stored_size: u64,
    compressed: bool,
}

impl<'a> ItemWriter<'a> {
    /// Writes from the output's position on.
    pub(super) fn new(
        mut output: &'a File,
        encoders: Encoders,
        progress: &'a dyn Fn(u64),
        cancelled: &'a dyn Fn() -> bool,
    ) -> Result<Self, WimError> {
        let encoders = Arc::new(encoders);
        let position = output.stream_position()?;
        Ok(Self { output, position, encoders, progress, cancelled, done: 0, copied: 0, encoded: 0 })
    }

    /// Writes those of the items that get resources of their own; returns where each lies. Those inside solid resources have no place.
    pub(super) fn write(&mut self, items: &[Item]) -> Result<Vec<ResourceHeader>, WimError> {
        let mut headers = vec![ResourceHeader::default(); items.len()];
        for (item, header) in items.iter().zip(&mut headers) {
            if let ItemSource::Keep(kept) = &item.source {
                *header = *kept;
            }
        }
        let (copies, encodes) = order(items);
        self.copy_all(items, &copies, &mut headers)?;
        let mut rest = &encodes[..];
        while !rest.is_empty() {
            let (wave, behind) = rest.split_at(prepare(items, rest));
            self.encode_all(items, wave, &mut headers)?;
            rest = behind;
        }
        Ok(headers)
    }

    /// The end of what was written, and the bytes copied and encoded.
    pub(super) fn finish(self) -> (u64, u64, u64) {
        (self.position, self.copied, self.encoded)
    }

    pub(super) fn report(&mut self, bytes: u64) -> Result<(), WimError> {
        self.done += bytes;
        (self.progress)(self.done);
        if (self.cancelled)() { Err(WimError::Cancelled) } else { Ok(()) }
    }

    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(), WimError> {
        self.output.write_all(bytes)?;
        self.position += bytes.len() as u64;
        Ok(())
    }

    /// Copies stored bytes; neighbours in a source are one run.
    fn copy_all(
        &mut self,
        items: &[Item],
        places: &[usize],
        headers: &mut [ResourceHeader],
    ) -> Result<(), WimError> {
        let mut run: Option<(&Arc<dyn ReadAt>, Range<u64>)> = None;
        let mut size = 0;
        for &place in places {
            let item = &items[place];
            let ItemSource::Copy { source, offset, stored_size, compressed } = &item.source else {
                continue;
            };
            let joined = matches!(&run, Some((last, range))
                if Arc::ptr_eq(last, source) && range.end == *offset && range.end - range.start < MAX_COPY);
            if !joined && let Some((source, range)) = run.take() {
                self.copy_run(&**source, range)?;
                self.report(std::mem::take(&mut size))?;
            }
            let (_, range) = run.get_or_insert((source, *offset..*offset));
            headers[place] = ResourceHeader {
                stored_size: *stored_size,
                flags: if *compressed { ResourceHeader::COMPRESSED } else { 0 },
                offset: self.position + (range.end - range.start),
                size: item.size,
            };
            range.end += stored_size;
            size += item.size;
        }
        if let Some((source, range)) = run {
            self.copy_run(&**source, range)?;
            self.report(size)?;
        }
        Ok(())
    }

    /// Copies a range of a source, behind what was written.
    pub(super) fn copy_run(
        &mut self,
        source: &dyn ReadAt,
        range: Range<u64>,
    ) -> Result<(), WimError> {
        let mut start = range.start;
        while start < range.end {
            let mut length = (range.end - start).min(MAX_COPY);
            // Where both lie alike to a block, the file system can share blocks instead of copying them, from the next block on.
            let lead = start.next_multiple_of(BLOCK) - start;
            if lead > 0 && lead < length && start % BLOCK == self.position % BLOCK {
                length = lead;
            }
            if let Some(file) = source.as_file() {
                file.copy_range_to(start, length, self.output).map_err(|error| match error {
                    CopyError::Read(error) => WimError::of_source(source, error),
                    CopyError::Write(error) => error.into(),
                })?;
            } else {
                let mut buffer = vec![0; to_usize(length.min(1 << 20))?];
                let mut done = 0;
                while done < length {
                    let step = to_usize((length - done).min(buffer.len() as u64))?;
                    source
                        .read_exact_at(start + done, &mut buffer[..step])
                        .map_err(|error| WimError::of_source(source, error))?;
                    self.output.write_all(&buffer[..step])?;
                    done += step as u64;
                }
            }
            start += length;
            self.position += length;
            self.copied += length;
            if (self.cancelled)() {
                return Err(WimError::Cancelled);
            }
        }
        Ok(())
    }

    fn encode_all(
        &mut self,
        items: &[Item],
        places: &[usize],
        headers: &mut [ResourceHeader],
    ) -> Result<(), WimError> {
        if places.is_empty() {
            return Ok(());
        }
        let encoders = Arc::clone(&self.encoders);
        let mut units = Units::new(items, places, &encoders)?;
        let threads = rayon::current_num_threads();
        let unit = units.parts.iter().max().copied().unwrap_or(PART);
        let hasher = PartHasher::default();
        let work = Work { items, places, encoders: &encoders, hasher: &hasher };
        let mut open = None;
        in_order(
            (threads, ahead(threads, unit)),
            || units.unit(),
            Vec::new,
            |content, unit| hasher.guard(|| work.encode(content, unit)),
            |encoded| {
                let size = self.write_unit(items, &encoders, encoded, &mut open, headers)?;
                self.encoded += size;
                self.report(size)
            },
        )
    }

    /// Writes what came of a unit; returns the uncompressed size.
    fn write_unit(
        &mut self,
        items: &[Item],
        encoders: &Encoders,
        encoded: Encoded,
        open: &mut Option<OpenResource>,
        headers: &mut [ResourceHeader],
    ) -> Result<u64, WimError> {
        match encoded {
            Encoded::Whole { stored, resources } => {
                let mut offset = self.position;
                let mut size = 0;
                for resource in resources {
                    let header = ResourceHeader {
                        stored_size: resource.stored_size,
                        flags: if resource.compressed { ResourceHeader::COMPRESSED } else { 0 },
                        offset,
                        size: items[resource.place].size,
                    };
                    headers[resource.place] = header;
                    offset += header.stored_size;
                    size += header.size;
                }
                self.append(&stored)?;
                Ok(size)
            }
            Encoded::Part { place, start, length, stored, sizes } => {
                let item = &items[place];
                if start == 0 {
                    *open = Some(OpenResource { start: self.position, sizes: Vec::new() });
                    self.position += encoders.table_size(item.size);
                    self.output.seek(SeekFrom::Start(self.position))?;
                }
                self.append(&stored)?;
                if let Some(open) = open.as_mut() {
                    open.sizes.extend_from_slice(&sizes);
                }
                if start + length == item.size
                    && let Some(open) = open.take()
                {
                    headers[place] = self.close(item, encoders, &open)?;
                }
                Ok(length)
            }
        }
    }

    /// Fills in the chunk table of a large resource, or writes the content as it is when the chunks were not smaller.
    fn close(
        &mut self,
        item: &Item,
        encoders: &Encoders,
        open: &OpenResource,
    ) -> Result<ResourceHeader, WimError> {
        let table = encoders.table(item.size, &open.sizes);
        if let Some(table) = &table {
            self.output.seek(SeekFrom::Start(open.start))?;
            self.output.write_all(table)?;
            self.output.seek(SeekFrom::Start(self.position))?;
        } else if !open.sizes.is_empty() {
            self.position = open.start;
            self.output.seek(SeekFrom::Start(self.position))?;
            self.write_raw(item)?;
        }
        Ok(ResourceHeader {
            stored_size: self.position - open.start,
            flags: if table.is_some() { ResourceHeader::COMPRESSED } else { 0 },
            offset: open.start,
            size: item.size,
        })
    }

    fn write_raw(&mut self, item: &Item) -> Result<(), WimError> {
        match &item.source {
            ItemSource::Encode(Content::Wim(wim, blob)) => {
                let mut written = true;
                let result = wim.stream_blob(blob, &mut |bytes| {
                    self.position += bytes.len() as u64;
                    self.output.write_all(bytes).inspect_err(|_| written = false)
                });
                match result {
                    Err(WimError::Io(error)) if written => {
                        Err(WimError::of_source(&**wim.source_of(blob), error))
                    }
                    result => result,
                }
            }
            ItemSource::Encode(Content::Bytes(source)) => {
                let mut hasher = sha1::Sha1::new();
                let mut buffer = vec![0; to_usize(item.size.min(1 << 20))?];
                let mut start = 0;
                while start < item.size {
                    let length = to_usize((item.size - start).min(buffer.len() as u64))?;
                    source
                        .read_exact_at(start, &mut buffer[..length])
                        .map_err(|error| WimError::of_source(&**source, error))?;
                    hasher.update(&buffer[..length]);
                    self.append(&buffer[..length])?;
                    start += length as u64;
                }
                check_source(item, Sha1(hasher.finalize().into()))
            }
            _ => Ok(()),
        }
    }
}

pub(super) fn check_source(item: &Item, actual: Sha1) -> Result<(), WimError> {
    check(&item.sha1, actual, || format!("the source of blob {}", item.sha1))
}

/// How many of these can be read without decoding anything twice, after what is solid of them was decoded on all threads; at least 1.
fn prepare(items: &[Item], places: &[usize]) -> usize {
    let needs_it = |&place: &usize| match &items[place].source {
        ItemSource::Encode(Content::Wim(wim, blob)) => {
            blob.solid.is_some() && wim.codec_of(blob).1 >= LONG_CHUNK
        }
        _ => false,
    };
    let Some(first) = places.iter().position(needs_it) else { return places.len() };
    let ItemSource::Encode(Content::Wim(wim, _)) = &items[places[first]].source else {
        return first.max(1);
    };
    if first > 0 {
        return first;
    }
    let of_wim = |&place: &usize| match &items[place].source {
        ItemSource::Encode(Content::Wim(other, blob)) => Arc::ptr_eq(wim, other).then_some(*blob),
        _ => None,
    };
    let blobs: Vec<Blob> = places.iter().map_while(of_wim).collect();
    wim.prepare(&blobs).clamp(1, places.len())
}

/// Splits items into those that are copied, in the order of their sources, and those that are encoded, those from WIM files first and in
/// their order there.
fn order(items: &[Item]) -> (Vec<usize>, Vec<usize>) {
    let mut ranks: HashMap<*const (), usize> = HashMap::new();
    let mut rank = |source: &Arc<dyn ReadAt>| {
        let next = ranks.len();
        *ranks.entry(Arc::as_ptr(source).cast()).or_insert(next)
    };
    let mut copies = Vec::new();
    let mut encodes = Vec::new();
    for (place, item) in items.iter().enumerate() {
        match &item.source {
            ItemSource::Keep(_) | ItemSource::InSolid => {}
            ItemSource::Copy { source, offset, .. } => {
                copies.push(((rank(source), *offset), place));
            }
            ItemSource::Encode(Content::Wim(wim, blob)) => {
                encodes.push(((rank(wim.source_of(blob)), blob.position()), place));
            }
            ItemSource::Encode(Content::Bytes(_)) => {
                encodes.push(((usize::MAX, (u16::MAX, None, 0)), place));
            }
        }
    }
    (sorted(copies), sorted(encodes))
}

fn sorted<Key: Ord>(mut keyed: Vec<(Key, usize)>) -> Vec<usize> {
    keyed.sort_unstable();
    keyed.into_iter().map(|(_, place)| place).collect()
}

/// Cuts contents into units and hands them out.
struct Units<'a> {
    items: &'a [Item],
    places: &'a [usize],
    /// Of each place the size of a part.
    parts: Vec<u64>,
    next: usize,
    start: u64,
}

impl<'a> Units<'a> {
    fn new(items: &'a [Item], places: &'a [usize], encoders: &Encoders) -> Result<Self, WimError> {
        let part = |&place: &usize| match &items[place].source {
            ItemSource::Encode(content) => Ok(PART.max(encoders.granule()).max(content.granule()?)),
            _ => Ok(PART),
        };
        let parts = places.iter().map(part).collect::<Result<_, WimError>>()?;
        Ok(Self { items, places, parts, next: 0, start: 0 })
    }

    fn size(&self, index: usize) -> Option<u64> {
        self.places.get(index).map(|&place| self.items[place].size)
    }

    fn unit(&mut self) -> Option<Unit> {
        let size = self.size(self.next)?;
        let part = self.parts[self.next];
        if size > part + part / 2 {
            let length = part.min(size - self.start);
            let unit = Unit::Part { place: self.places[self.next], start: self.start, length };
            self.start += length;
            if self.start == size {
                self.next += 1;
                self.start = 0;
            }
            return Some(unit);
        }
        let begin = self.next;
        let mut total = 0;
        while let Some(size) = self.size(self.next) {
            if self.next > begin && total + size > PART {
                break;
            }
            total += size;
            self.next += 1;
        }
        Some(Unit::Whole(begin..self.next))
    }
}

/// What a thread needs to know to encode units.
struct Work<'a> {
    items: &'a [Item],
    places: &'a [usize],
    encoders: &'a Encoders,
    hasher: &'a PartHasher,
}

impl Work<'_> {
    /// Encodes a unit; `content` is the thread's buffer.
    fn encode(&self, content: &mut Vec<u8>, unit: Unit) -> Result<Encoded, WimError> {
        match unit {
            Unit::Part { place, start, length } => {
                self.read(content, place, start, length)?;
                let item = &self.items[place];
                let is_last = start + length == item.size;
                if let Some(actual) = self.hasher.update(place, start, content, is_last) {
                    check_source(item, actual)?;
                }
                let mut stored = Vec::new();
                let mut sizes = Vec::new();
                if !self.encoders.encode_to(content, &mut stored, &mut sizes) {
                    stored = std::mem::take(content);
                }
                Ok(Encoded::Part { place, start, length, stored, sizes })
            }
            Unit::Whole(range) => {
                let mut stored = Vec::new();
                let mut sizes = Vec::new();
                let mut resources = Vec::with_capacity(range.len());
                for &place in &self.places[range] {
                    let item = &self.items[place];
                    self.read(content, place, 0, item.size)?;
                    check_source(item, Sha1::of(content))?;
                    let before = stored.len();
                    sizes.clear();
                    // The table stands first and is as long whatever the chunks become.
                    let table = to_usize(self.encoders.table_size(item.size))?;
                    stored.resize(before + table, 0);
                    let compressed = self.encoders.encode_to(content, &mut stored, &mut sizes);
                    if let Some(bytes) = self.encoders.table(item.size, &sizes)
                        && compressed
                    {
                        stored[before..before + table].copy_from_slice(&bytes);
                    } else {
                        stored.truncate(before);
                        stored.extend_from_slice(content);
                    }
                    let compressed = compressed && (stored.len() - before) as u64 != item.size;
                    let stored_size = (stored.len() - before) as u64;
                    resources.push(WholeResource { place, stored_size, compressed });
                }
                Ok(Encoded::Whole { stored, resources })
            }
        }
    }

    fn read(
        &self,
        content: &mut Vec<u8>,
        place: usize,
        start: u64,
        length: u64,
    ) -> Result<(), WimError> {
        content.resize(to_usize(length)?, 0);
        match &self.items[place].source {
            ItemSource::Encode(source) => source.read(start, content),
            _ => Ok(()),
        }
    }
}
