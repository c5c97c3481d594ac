//! Making resources: content is cut into chunks that are compressed one by one, in parallel, and hashed in the same pass.
//!
//! What comes out depends on the content and the settings alone, not on the number of threads or how the work was cut.

use std::{
    fmt,
    io::{self, Seek, SeekFrom, Write},
    sync::{Mutex, PoisonError},
};

use super::{
    error::WimError,
    parallel::{ahead, in_order},
    resource::{entry_size, table_size, to_usize},
};
use crate::{
    base::{
        digest::{Blake3, Sha1, TeeHasher},
        read_at::ReadAt,
    },
    codec::{self, Codec, Encode, Level, Unsupported},
};

/// Uncompressed bytes one thread compresses at a time.
pub(super) const PART: u64 = 512 << 10;
/// Compressed bytes that [`encode_resource`] keeps in memory; what is longer is compressed twice.
const MAX_BUFFERED: usize = 64 << 20;

/// A resource that [`encode_resource`] made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EncodedResource {
    /// Bytes written.
    pub stored_size: u64,
    /// Uncompressed size in bytes.
    pub size: u64,
    /// False when the content was written as it is, because compression did not make it smaller.
    pub compressed: bool,
    /// SHA-1 of the content.
    pub sha1: Sha1,
    /// BLAKE3 of the content.
    pub blake3: Blake3,
}

/// Compresses the whole of `source` into one resource: chunk table and chunks, or the content as it is when that is not smaller.
/// Chunks are compressed in parallel, and the content is hashed in the same pass. When more than 64 MiB come out, everything is compressed
/// a second time, because the table stands first; [`encode_resource_seek`] spares that.
///
/// # Errors
/// When `source` cannot be read, `sink` cannot be written, or the codec cannot be used.
pub fn encode_resource(
    source: &dyn ReadAt,
    settings: (Codec, u32, Level),
    sink: &mut dyn Write,
) -> Result<EncodedResource, WimError> {
    let encoders = Encoders::new(settings)?;
    let mut buffered = Vec::new();
    let mut is_buffered = true;
    let (mut encoded, sizes) = encode(source, &encoders, |bytes| {
        if is_buffered && buffered.len() + bytes.len() <= MAX_BUFFERED {
            buffered.extend_from_slice(bytes);
        } else {
            is_buffered = false;
            buffered = Vec::new();
        }
        Ok(())
    })?;
    let Some(table) = encoders.table(encoded.size, &sizes) else {
        encoded.stored_size = encoded.size;
        copy(source, sink)?;
        return Ok(encoded);
    };
    encoded.compressed = true;
    sink.write_all(&table)?;
    if is_buffered {
        sink.write_all(&buffered)?;
    } else {
        let (again, _) = encode(source, &encoders, |bytes| sink.write_all(bytes))?;
        if again.sha1 != encoded.sha1 {
            return Err(io::Error::other("the content changed while it was read").into());
        }
    }
    Ok(encoded)
}

/// Like [`encode_resource`], for a sink that can go back: nothing is buffered or compressed twice. The resource begins at the sink's position,
/// which afterwards is the resource's end; bytes behind that may have been written (cut them off).
///
/// # Errors
/// As [`encode_resource`].
pub fn encode_resource_seek<S: Write + Seek>(
    source: &dyn ReadAt,
    settings: (Codec, u32, Level),
    sink: &mut S,
) -> Result<EncodedResource, WimError> {
    let encoders = Encoders::new(settings)?;
    let start = sink.stream_position()?;
    sink.seek(SeekFrom::Start(start + encoders.table_size(source.size())))?;
    let (mut encoded, sizes) = encode(source, &encoders, |bytes| sink.write_all(bytes))?;
    sink.seek(SeekFrom::Start(start))?;
    if let Some(table) = encoders.table(encoded.size, &sizes) {
        encoded.compressed = true;
        sink.write_all(&table)?;
        sink.seek(SeekFrom::Start(start + encoded.stored_size))?;
    } else {
        encoded.stored_size = encoded.size;
        copy(source, sink)?;
    }
    Ok(encoded)
}

/// Encodes all of `source`, passing the chunks to `sink`; returns the sizes of the chunks too.
fn encode(
    source: &dyn ReadAt,
    encoders: &Encoders,
    mut sink: impl FnMut(&[u8]) -> io::Result<()>,
) -> Result<(EncodedResource, Vec<u32>), WimError> {
    let size = source.size();
    let part = PART.max(encoders.granule());
    let mut start = 0;
    let next = || {
        let range = (start < size).then(|| start..(start + part).min(size));
        start += part;
        range
    };
    let read = |(): &mut (), range: std::ops::Range<u64>| {
        let mut content = vec![0; to_usize(range.end - range.start)?];
        source.read_exact_at(range.start, &mut content)?;
        let encoded = encoders.encode(&content);
        Ok::<_, WimError>((content, encoded))
    };
    let mut hasher = TeeHasher::new();
    let mut sizes = Vec::new();
    let mut stored_size = encoders.table_size(size);
    let threads = rayon::current_num_threads();
    let threads = threads.min(to_usize(size.div_ceil(part)).unwrap_or(usize::MAX));
    in_order(
        (threads, ahead(threads, part)),
        next,
        || (),
        read,
        |(content, encoded)| {
            hasher.update(&content);
            let bytes = encoded.bytes.as_deref().unwrap_or(&content);
            stored_size += bytes.len() as u64;
            sizes.extend(encoded.sizes);
            Ok(sink(bytes)?)
        },
    )?;
    let (sha1, blake3, size) = hasher.finish();
    Ok((EncodedResource { stored_size, size, compressed: false, sha1, blake3 }, sizes))
}

fn copy<S: Write + ?Sized>(source: &dyn ReadAt, sink: &mut S) -> Result<(), WimError> {
    let size = source.size();
    let mut buffer = vec![0; to_usize(size.min(1 << 20))?];
    let mut offset = 0;
    while offset < size {
        let length = to_usize((size - offset).min(buffer.len() as u64))?;
        source.read_exact_at(offset, &mut buffer[..length])?;
        sink.write_all(&buffer[..length])?;
        offset += length as u64;
    }
    Ok(())
}

/// Some chunks of a resource, encoded.
#[derive(Debug, Default)]
pub(super) struct EncodedPart {
    /// The chunks back to back; `None` when the output is not compressed (the content is what is stored).
    pub(super) bytes: Option<Vec<u8>>,
    /// Their sizes.
    pub(super) sizes: Vec<u32>,
}

/// Encoders of one setting that are not in use: threads take one and give it back.
pub(super) struct Encoders {
    codec: Codec,
    chunk_size: u32,
    level: Level,
    free: Mutex<Vec<Box<dyn Encode>>>,
}

impl fmt::Debug for Encoders {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Encoders({}, {}, {:?})", self.codec, self.chunk_size, self.level)
    }
}

impl Encoders {
    /// Fails when the codec cannot be used with that chunk size. With [`Codec::None`] the chunk size does not matter.
    pub(super) fn new(
        (codec, chunk_size, level): (Codec, u32, Level),
    ) -> Result<Self, Unsupported> {
        let mut free = Vec::new();
        if codec != Codec::None {
            free.push(codec::encoder(codec, chunk_size, level)?);
        }
        Ok(Self { codec, chunk_size, level, free: Mutex::new(free) })
    }

    /// Parts must begin at a multiple of this.
    pub(super) fn granule(&self) -> u64 {
        if self.codec == Codec::None { 1 } else { u64::from(self.chunk_size) }
    }

    /// Bytes of the table in front of the chunks of `size` bytes.
    pub(super) fn table_size(&self, size: u64) -> u64 {
        if self.codec == Codec::None { 0 } else { table_size(size, self.chunk_size) }
    }

    /// Encodes whole chunks.
    pub(super) fn encode(&self, content: &[u8]) -> EncodedPart {
        let mut part = EncodedPart::default();
        let mut bytes = Vec::new();
        part.bytes = self.encode_to(content, &mut bytes, &mut part.sizes).then_some(bytes);
        part
    }

    /// Appends whole chunks, encoded, and their sizes; false, and nothing appended, when the output is not compressed.
    pub(super) fn encode_to(
        &self,
        content: &[u8],
        bytes: &mut Vec<u8>,
        sizes: &mut Vec<u32>,
    ) -> bool {
        if self.codec == Codec::None {
            return false;
        }
        let taken = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let Ok(mut encoder) =
            taken.map_or_else(|| codec::encoder(self.codec, self.chunk_size, self.level), Ok)
        else {
            unreachable!("an encoder of these settings was made before");
        };
        bytes.reserve(content.len() / 2);
        for chunk in content.chunks(self.chunk_size as usize) {
            let before = bytes.len();
            if encoder.encode(chunk, bytes).is_none() {
                bytes.extend_from_slice(chunk);
            }
            sizes.push(u32::try_from(bytes.len() - before).unwrap_or(u32::MAX));
        }
        self.free.lock().unwrap_or_else(PoisonError::into_inner).push(encoder);
        true
    }

    /// The chunk table of a resource of `size` bytes with chunks of these sizes; `None` when the content is to be stored as it is, because
    /// table and chunks are not smaller.
    pub(super) fn table(&self, size: u64, sizes: &[u32]) -> Option<Vec<u8>> {
        let chunks: u64 = sizes.iter().map(|&size| u64::from(size)).sum();
        if self.codec == Codec::None || self.table_size(size) + chunks >= size {
            return None;
        }
        let mut table = Vec::new();
        let mut offset = 0;
        for chunk in sizes.split_last()?.1 {
            offset += u64::from(*chunk);
            let bytes = offset.to_le_bytes();
            table.extend_from_slice(if entry_size(size) == 8 { &bytes } else { &bytes[..4] });
        }
        Some(table)
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Cursor, sync::Arc};

    use super::*;
    use crate::format::wim::{
        header::ResourceHeader,
        resource::{Resource, Workers},
    };

    /// Text that compresses, with noise in the middle that does not.
    fn content(size: usize) -> Vec<u8> {
        let mut state = 7_u32;
        (0..size)
            .map(|index| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                if index / 70_000 % 3 == 1 {
                    state.to_le_bytes()[3]
                } else {
                    b"all the same "[index % 13]
                }
            })
            .collect()
    }

    fn check(settings: (Codec, u32, Level), size: usize) {
        let content = content(size);
        let mut bytes = Vec::new();
        let encoded = encode_resource(&content, settings, &mut bytes).unwrap();
        assert_eq!((encoded.stored_size, encoded.size), (bytes.len() as u64, size as u64));
        assert_eq!((encoded.sha1, encoded.blake3), (Sha1::of(&content), Blake3::of(&content)));
        let mut sought = Cursor::new(b"xyz".to_vec());
        sought.set_position(3);
        assert_eq!(encode_resource_seek(&content, settings, &mut sought).unwrap(), encoded);
        assert_eq!(sought.position(), 3 + encoded.stored_size);
        assert_eq!(sought.get_ref()[3..3 + bytes.len()], bytes);
        let header = ResourceHeader {
            stored_size: encoded.stored_size,
            flags: if encoded.compressed { ResourceHeader::COMPRESSED } else { 0 },
            offset: 0,
            size: encoded.size,
        };
        let workers = Workers::new(settings.0, settings.1);
        let source: Arc<[u8]> = Arc::from(bytes);
        let resource = Resource::new(&source, &workers, header).unwrap();
        let mut decoded = vec![0; size];
        resource.read_parallel(0, &mut decoded).unwrap();
        assert_eq!(decoded, content);
        let mut streamed = Vec::new();
        resource
            .stream(|bytes| {
                streamed.extend_from_slice(bytes);
                Ok(())
            })
            .unwrap();
        assert_eq!(streamed, content);
    }

    #[test]
    fn resources_of_every_codec_read_back() {
        for settings in [
            (Codec::None, 0, Level::Default),
            (Codec::Xpress, 4096, Level::Default),
            (Codec::Xpress, 65536, Level::Default),
            (Codec::Lzx, 32768, Level::Default),
            (Codec::Lzx, 2 << 20, Level::Default),
        ] {
            for size in [0, 1, 2, 4095, 4096, 4097, 32768, 300_000, 3_000_000] {
                check(settings, size);
            }
        }
    }

    #[test]
    fn long_resources_are_cut_into_batches() {
        check((Codec::Xpress, 32768, Level::Default), 20_000_001);
    }

    #[test]
    fn settings_that_no_file_can_have_are_refused() {
        for settings in [(Codec::Lzms, 16_384, Level::Default), (Codec::Lzx, 4096, Level::Default)]
        {
            let error = encode_resource(&Vec::new(), settings, &mut Vec::new()).unwrap_err();
            assert!(matches!(error, WimError::Unsupported { .. }));
        }
    }
}
