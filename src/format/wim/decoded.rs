//! A resource by itself, outside a WIM, decoded as it is read: what a store of resources needs.

use std::{io, sync::Arc};

use super::{
    blob_table::Blob,
    error::WimError,
    header::ResourceHeader,
    reader::Wim,
    resource::{Resource, Workers},
};
use crate::{base::read_at::ReadAt, codec::Codec};

/// The content of a resource. Any range can be read; the chunks it touches are decoded, on the calling thread.
#[derive(Debug)]
pub struct DecodedResource {
    source: Arc<dyn ReadAt>,
    header: ResourceHeader,
    workers: Workers,
}

impl DecodedResource {
    /// The resource that `header` finds in `source`, whose chunks were made with `codec` and `chunk_size`.
    ///
    /// # Errors
    /// When it does not lie in `source`, its sizes cannot be true, or the codec cannot be decoded.
    pub fn new(
        source: Arc<dyn ReadAt>,
        header: ResourceHeader,
        codec: Codec,
        chunk_size: u32,
    ) -> Result<Self, WimError> {
        let workers = Workers::new(codec, chunk_size);
        Resource::new(&*source, &workers, header)?;
        Ok(Self { source, header, workers })
    }
}

impl ReadAt for DecodedResource {
    fn size(&self) -> u64 {
        self.header.size
    }

    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let resource = Resource::new(&*self.source, &self.workers, self.header).map_err(other)?;
        read(&resource, offset, buffer)
    }
}

/// The content of a blob of a WIM, wherever it lies in it. Any range can be read; it is not checked against the SHA-1.
#[derive(Debug)]
pub struct BlobContent {
    wim: Arc<Wim>,
    blob: Blob,
}

impl BlobContent {
    /// The content of `blob`, which is one of `wim`.
    ///
    /// # Errors
    /// When its sizes cannot be true, or the codec cannot be decoded.
    pub fn new(wim: Arc<Wim>, blob: Blob) -> Result<Self, WimError> {
        wim.resource_of(&blob)?;
        Ok(Self { wim, blob })
    }
}

impl ReadAt for BlobContent {
    fn size(&self) -> u64 {
        self.blob.size
    }

    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let resource = self.wim.resource_of(&self.blob).map_err(other)?;
        read(&resource, offset, buffer)
    }
}

/// Reads any range: the chunks that it touches are decoded in whole, on the calling thread. That may be one that a worker of the thread pool waits for: if
/// it waited for a worker in turn, and all of them were waiting, nothing would go on.
fn read(resource: &Resource<'_>, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
    let length = buffer.len() as u64;
    let end = offset.checked_add(length).filter(|end| *end <= resource.size());
    let end = end.ok_or(io::ErrorKind::UnexpectedEof)?;
    let granule = resource.granule();
    let start = offset / granule * granule;
    let stop = end.next_multiple_of(granule).min(resource.size());
    if (start, stop) == (offset, end) {
        return resource.read(offset, buffer).map_err(other);
    }
    let size = usize::try_from(stop - start).map_err(io::Error::other)?;
    let mut chunks = vec![0; size];
    resource.read(start, &mut chunks).map_err(other)?;
    let skip = usize::try_from(offset - start).map_err(io::Error::other)?;
    buffer.copy_from_slice(&chunks[skip..skip + buffer.len()]);
    Ok(())
}

fn other(error: WimError) -> io::Error {
    match error {
        WimError::Io(error) => error,
        error => io::Error::new(io::ErrorKind::InvalidData, error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{codec::Level, format::wim::encode_resource};

    #[test]
    fn any_range_reads_as_the_content() {
        let content: Vec<u8> = (0..200_000_u32).map(|number| (number / 7 % 251) as u8).collect();
        for (codec, chunk_size) in [(Codec::None, 0), (Codec::Xpress, 4096), (Codec::Lzx, 32768)] {
            let mut stored = Vec::new();
            let settings = (codec, chunk_size, Level::Default);
            let coded = encode_resource(&content, settings, &mut stored).unwrap();
            let header = ResourceHeader {
                stored_size: coded.stored_size,
                flags: if coded.compressed { ResourceHeader::COMPRESSED } else { 0 },
                offset: 0,
                size: coded.size,
            };
            let decoded =
                DecodedResource::new(Arc::new(stored), header, codec, chunk_size).unwrap();
            for (start, end) in
                [(0, 200_000), (0, 1), (4095, 4097), (32768, 65536), (150_001, 200_000)]
            {
                let mut buffer = vec![0; end - start];
                decoded.read_exact_at(start as u64, &mut buffer).unwrap();
                assert_eq!(buffer, content[start..end], "{codec} {start}..{end}");
            }
            assert!(decoded.read_exact_at(199_999, &mut [0; 2]).is_err());
            assert!(decoded.read_exact_at(u64::MAX, &mut [0; 2]).is_err());
        }
    }
}
