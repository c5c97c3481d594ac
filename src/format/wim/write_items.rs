//! Writing resources one behind the other: copying stored bytes in long runs, and encoding the rest on all threads.
//!
//! Small contents are encoded whole, many at a time, so that thousands of small files keep all threads busy; large ones are encoded in parts, and
//! their chunk table is filled in when the last part is there.

use std::{
    collections::HashMap,
    fs::File,
    io::{Seek as _, SeekFrom, Write as _},
    ops::Range,
    sync::Arc,
};

use rayon::prelude::*;
use sha1::Digest as _;

use super::{
    blob_table::Blob,
    encode::{BATCH, EncodedPart, Encoders, PART},
    error::WimError,
    header::ResourceHeader,
    parallel::{Piece, PieceHasher, pipeline},
    reader::{Wim, check},
    resource::to_usize,
    write::WriteSettings,
};
use crate::base::{
    digest::Sha1,
    read_at::{CopyError, ReadAt},
};

/// Bytes copied with one call; between two, the caller may cancel.
const MAX_COPY: u64 = 64 << 20;

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
    fn granule(&self) -> Result<u64, WimError> {
        match self {
            Self::Wim(wim, blob) => Ok(wim.resource_of(blob)?.granule()),
            Self::Bytes(_) => Ok(1),
        }
    }

    fn read(&self, start: u64, output: &mut [u8]) -> Result<(), WimError> {
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
    output: &'a File,
    /// Where the next byte goes; also the file's own position, between calls.
    position: u64,
    encoders: Arc<Encoders>,
    progress: &'a dyn Fn(u64),
    cancelled: &'a dyn Fn() -> bool,
    /// Uncompressed bytes done.
    done: u64,
    copied: u64,
    encoded: u64,
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
    Whole(Vec<WholeResource>),
    Part { place: usize, start: u64, content: Vec<u8>, part: EncodedPart },
}

/// A small content, encoded.
struct WholeResource {
    place: usize,
    stored: Vec<u8>,
    compressed: bool,
}

impl<'a> ItemWriter<'a> {
    /// Writes from the output's position on.
    pub(super) fn new(
        mut output: &'a File,
        settings: &WriteSettings,
        progress: &'a dyn Fn(u64),
        cancelled: &'a dyn Fn() -> bool,
    ) -> Result<Self, WimError> {
        let encoders = (settings.codec, settings.chunk_size, settings.level);
        let encoders = Arc::new(Encoders::new(encoders)?);
        let position = output.stream_position()?;
        Ok(Self { output, position, encoders, progress, cancelled, done: 0, copied: 0, encoded: 0 })
    }

    /// Writes all items; returns where each lies.
    pub(super) fn write(&mut self, items: &[Item]) -> Result<Vec<ResourceHeader>, WimError> {
        let mut headers = vec![ResourceHeader::default(); items.len()];
        let (copies, encodes) = order(items);
        self.copy_all(items, &copies, &mut headers)?;
        self.encode_all(items, &encodes, &mut headers)?;
        Ok(headers)
    }

    /// The end of what was written, and the bytes copied and encoded.
    pub(super) fn finish(self) -> (u64, u64, u64) {
        (self.position, self.copied, self.encoded)
    }

    fn report(&mut self, bytes: u64) -> Result<(), WimError> {
        self.done += bytes;
        (self.progress)(self.done);
        if (self.cancelled)() { Err(WimError::Cancelled) } else { Ok(()) }
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), WimError> {
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

    fn copy_run(&mut self, source: &dyn ReadAt, range: Range<u64>) -> Result<(), WimError> {
        let mut start = range.start;
        while start < range.end {
            let length = (range.end - start).min(MAX_COPY);
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
        let encoders = Arc::clone(&self.encoders);
        let mut units = Units::new(items, places, &encoders)?;
        let mut hasher = PieceHasher::default();
        let mut open = None;
        pipeline(
            || units.batch(),
            |batch: Vec<Unit>| -> Result<Vec<Encoded>, WimError> {
                let encode = |unit| encode_unit(items, places, &encoders, unit);
                batch.into_par_iter().with_max_len(1).map(encode).collect()
            },
            |batch: Result<Vec<Encoded>, WimError>| {
                let batch = batch?;
                let pieces = pieces(items, &batch);
                let mut hashed = Vec::new();
                let size = rayon::in_place_scope(|scope| {
                    scope.spawn(|_| hashed = hasher.update(&pieces));
                    self.write_batch(items, &encoders, &batch, &mut open, headers)
                })?;
                for (place, actual) in hashed {
                    check_source(&items[place], actual)?;
                }
                self.encoded += size;
                self.report(size)
            },
        )
    }

    /// Writes what a batch gave; returns the uncompressed size.
    fn write_batch(
        &mut self,
        items: &[Item],
        encoders: &Encoders,
        batch: &[Encoded],
        open: &mut Option<OpenResource>,
        headers: &mut [ResourceHeader],
    ) -> Result<u64, WimError> {
        let mut size = 0;
        for encoded in batch {
            match encoded {
                Encoded::Whole(resources) => {
                    let mut bytes = Vec::new();
                    for resource in resources {
                        headers[resource.place] = ResourceHeader {
                            stored_size: resource.stored.len() as u64,
                            flags: if resource.compressed { ResourceHeader::COMPRESSED } else { 0 },
                            offset: self.position + bytes.len() as u64,
                            size: items[resource.place].size,
                        };
                        size += items[resource.place].size;
                        bytes.extend_from_slice(&resource.stored);
                    }
                    self.append(&bytes)?;
                }
                Encoded::Part { place, start, content, part } => {
                    size += content.len() as u64;
                    let item = &items[*place];
                    if *start == 0 {
                        *open = Some(OpenResource { start: self.position, sizes: Vec::new() });
                        self.position += encoders.table_size(item.size);
                        self.output.seek(SeekFrom::Start(self.position))?;
                    }
                    self.append(part.bytes.as_deref().unwrap_or(content))?;
                    if let Some(open) = open.as_mut() {
                        open.sizes.extend_from_slice(&part.sizes);
                    }
                    if start + content.len() as u64 == item.size
                        && let Some(open) = open.take()
                    {
                        headers[*place] = self.close(item, encoders, &open)?;
                    }
                }
            }
        }
        Ok(size)
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
            ItemSource::Copy { .. } => Ok(()),
        }
    }
}

fn check_source(item: &Item, actual: Sha1) -> Result<(), WimError> {
    check(&item.sha1, actual, || format!("the source of blob {}", item.sha1))
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
            ItemSource::Copy { source, offset, .. } => {
                copies.push(((rank(source), *offset), place));
            }
            ItemSource::Encode(Content::Wim(wim, blob)) => {
                encodes.push(((rank(wim.source_of(blob)), blob.position()), place));
            }
            ItemSource::Encode(Content::Bytes(_)) => {
                encodes.push(((usize::MAX, (u16::MAX, None, 0)), place))
            }
        }
    }
    (sorted(copies), sorted(encodes))
}

fn sorted<Key: Ord>(mut keyed: Vec<(Key, usize)>) -> Vec<usize> {
    keyed.sort_unstable();
    keyed.into_iter().map(|(_, place)| place).collect()
}

/// Cuts contents into units and hands them out in batches.
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
            ItemSource::Copy { .. } => Ok(PART),
        };
        let parts = places.iter().map(part).collect::<Result<_, WimError>>()?;
        Ok(Self { items, places, parts, next: 0, start: 0 })
    }

    fn size(&self, index: usize) -> Option<u64> {
        self.places.get(index).map(|&place| self.items[place].size)
    }

    fn unit(&mut self) -> Option<(Unit, u64)> {
        let size = self.size(self.next)?;
        let part = self.parts[self.next];
        if size > 2 * part {
            let length = part.min(size - self.start);
            let unit = Unit::Part { place: self.places[self.next], start: self.start, length };
            self.start += length;
            if self.start == size {
                self.next += 1;
                self.start = 0;
            }
            return Some((unit, length));
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
        Some((Unit::Whole(begin..self.next), total))
    }

    fn batch(&mut self) -> Option<Vec<Unit>> {
        let mut units = Vec::new();
        let mut total = 0;
        while total < BATCH {
            let Some((unit, size)) = self.unit() else { break };
            total += size;
            units.push(unit);
        }
        (!units.is_empty()).then_some(units)
    }
}

fn encode_unit(
    items: &[Item],
    places: &[usize],
    encoders: &Encoders,
    unit: Unit,
) -> Result<Encoded, WimError> {
    let content = |place: usize, start: u64, length: u64| -> Result<Vec<u8>, WimError> {
        let mut bytes = vec![0; to_usize(length)?];
        if let ItemSource::Encode(content) = &items[place].source {
            content.read(start, &mut bytes)?;
        }
        Ok(bytes)
    };
    match unit {
        Unit::Part { place, start, length } => {
            let content = content(place, start, length)?;
            let part = encoders.encode(&content);
            Ok(Encoded::Part { place, start, content, part })
        }
        Unit::Whole(range) => {
            let whole = |&place: &usize| {
                let content = content(place, 0, items[place].size)?;
                check_source(&items[place], Sha1::of(&content))?;
                let EncodedPart { bytes, sizes } = encoders.encode(&content);
                let table = encoders.table(content.len() as u64, &sizes);
                let (stored, compressed) = match (table, bytes) {
                    (Some(mut table), Some(bytes)) => {
                        table.extend_from_slice(&bytes);
                        (table, true)
                    }
                    _ => (content, false),
                };
                Ok(WholeResource { place, stored, compressed })
            };
            Ok(Encoded::Whole(places[range].iter().map(whole).collect::<Result<_, WimError>>()?))
        }
    }
}

/// What is still to be hashed of a batch.
fn pieces<'a>(items: &[Item], batch: &'a [Encoded]) -> Vec<Piece<'a>> {
    batch
        .iter()
        .filter_map(|encoded| match encoded {
            Encoded::Whole(_) => None,
            Encoded::Part { place, start, content, .. } => Some(Piece {
                item: *place,
                data: content,
                is_last: start + content.len() as u64 == items[*place].size,
            }),
        })
        .collect()
}
