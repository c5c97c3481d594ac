//! Stream files of updates (`.psf`, "PSFX"): many streams one behind the other, which a container index ([`super::cix`]) finds.
//!
//! Version 2 has a header of 48 bytes: `PSTREAM` and a zero byte, the version (u16 major, u16 minor), and at offset 0x28 and 0x2C the place and the size
//! (u32 each) of an index of its own, which may be a delta against nothing. The same index often lies beside it in the clear. Older ones have
//! no header at all. Source: `facts/package-containers.md`, section 4.

use std::{io, sync::Arc};

use super::{
    cix::{self, ContainerIndex},
    delta::{self, DeltaError},
};
use crate::base::{bytes::Reader, malformed::Malformed, read_at::ReadAt};

/// The first bytes of a stream file of version 2.
pub const MAGIC: [u8; 8] = *b"PSTREAM\0";

const FORMAT: &str = "stream file (PSF)";
const HEADER: usize = 0x30;
/// Largest index, in bytes as stored and as text. That of a cumulative update has some 100 MB.
const LARGEST_INDEX: u64 = 512 << 20;
/// Most text that any index may unpack to, and for each byte that is stored so much more. A text of hashes shrinks to a tenth at best; what claims far
/// more would only take time and memory.
const SMALL_INDEX: u64 = 4 << 20;
const INDEX_RATIO: u64 = 64;

/// An opened stream file.
#[derive(Debug, Clone)]
pub struct Psf {
    source: Arc<dyn ReadAt>,
    /// Offset and size of its own index.
    index: Option<(u64, u64)>,
}

/// Why a stream file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum PsfError {
    /// It does not hold what the format demands.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// Its index is a delta that cannot be applied.
    #[error("the index of the stream file")]
    Index(#[source] DeltaError),
    /// It cannot be read.
    #[error("cannot read the stream file")]
    Io(#[source] io::Error),
    /// It is of a version that is not read here.
    #[error("{0} is not supported")]
    Unsupported(String),
}

impl PsfError {
    /// What of it is sound but can only be read by Windows.
    #[must_use]
    pub fn unsupported(&self) -> Option<&str> {
        match self {
            Self::Index(DeltaError::Unsupported(what)) | Self::Unsupported(what) => Some(what),
            _ => None,
        }
    }
}

/// One stream of a stream file.
#[derive(Debug, Clone)]
pub struct Stream {
    source: Arc<dyn ReadAt>,
    offset: u64,
    size: u64,
}

impl Psf {
    /// Opens a stream file, with or without a header.
    ///
    /// # Errors
    /// When it cannot be read, has another version, or its header points behind its end.
    pub fn open(source: Arc<dyn ReadAt>) -> Result<Self, PsfError> {
        let mut header = [0; HEADER];
        let header = &mut header[..usize::try_from(source.size()).unwrap_or(HEADER).min(HEADER)];
        source.read_exact_at(0, header).map_err(PsfError::Io)?;
        if !header.starts_with(&MAGIC) {
            return Ok(Self { source, index: None });
        }
        let mut reader = Reader::new(FORMAT, header);
        reader.seek(MAGIC.len())?;
        let (major, minor) = (reader.u16()?, reader.u16()?);
        if major != 2 {
            return Err(PsfError::Unsupported(format!("stream file version {major}.{minor}")));
        }
        reader.seek(0x28)?;
        let (offset, size) = (u64::from(reader.u32()?), u64::from(reader.u32()?));
        if offset + size > source.size() {
            return Err(Malformed::new(FORMAT, "its index lies behind its end", 0x28).into());
        }
        Ok(Self { source, index: (size > 0).then_some((offset, size)) })
    }

    /// The index in the file itself, if it has one.
    ///
    /// # Errors
    /// When it cannot be read or is damaged.
    pub fn index(&self) -> Result<Option<ContainerIndex>, PsfError> {
        let Some((offset, size)) = self.index else { return Ok(None) };
        if size > LARGEST_INDEX {
            return Err(Malformed::new(FORMAT, "its index is too large", 0x2C).into());
        }
        let mut bytes = vec![0; usize::try_from(size).unwrap_or(usize::MAX)];
        self.source.read_exact_at(offset, &mut bytes).map_err(PsfError::Io)?;
        // All kinds of deltas start so; what is not read here is named.
        if bytes.starts_with(b"PA") {
            let most = LARGEST_INDEX.min(SMALL_INDEX + INDEX_RATIO * size);
            bytes = delta::apply(&bytes, &[], most).map_err(PsfError::Index)?;
        }
        Ok(Some(cix::parse(&bytes)?))
    }

    /// The bytes of a stream; nothing is copied.
    ///
    /// # Errors
    /// When it lies behind the end.
    pub fn stream(&self, offset: u64, length: u64) -> Result<Stream, Malformed> {
        if offset.checked_add(length).is_none_or(|end| end > self.source.size()) {
            let what = format!(
                "a stream of {length} bytes at {offset:#x} lies behind its end at {:#x}",
                self.source.size()
            );
            return Err(Malformed::new(FORMAT, what, offset));
        }
        Ok(Stream { source: Arc::clone(&self.source), offset, size: length })
    }
}

impl ReadAt for Stream {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let end = offset.checked_add(buffer.len() as u64);
        if end.is_none_or(|end| end > self.size) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.source.read_exact_at(self.offset + offset, buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{bytes::Writer, filetime::FileTime};

    const INDEX: &str = r#"<Container name="x" type="PSF"><Files><File id="1" name="a" length="2">
<Delta><Source type="RAW" offset="48" length="2"/></Delta></File></Files></Container>"#;

    /// A stream file with two bytes of content and `index` behind them.
    fn file(major: u16, index: &[u8], lie: u32) -> Arc<dyn ReadAt> {
        let mut file = Writer::new();
        file.bytes(&MAGIC).u16(major).u16(0).bytes(&[0; 0x1C]);
        file.u32(50).u32(u32::try_from(index.len()).unwrap() + lie).bytes(b"hi").bytes(index);
        Arc::new(file.data)
    }

    fn opened(file: Arc<dyn ReadAt>) -> Psf {
        Psf::open(file).unwrap()
    }

    #[test]
    fn the_index_is_found_plain_and_as_a_delta() {
        let delta = delta::create(b"", INDEX.as_bytes(), FileTime(1));
        for stored in [INDEX.as_bytes(), &delta] {
            let psf = opened(file(2, stored, 0));
            let index = psf.index().unwrap().unwrap();
            let cix::SourcePlace::Range { offset, length } = index.files[0].deltas[0].place else {
                panic!("{index:?}")
            };
            let mut bytes = [0; 2];
            let stream = psf.stream(offset, length).unwrap();
            stream.read_exact_at(0, &mut bytes).unwrap();
            assert_eq!((&bytes, stream.size()), (b"hi", 2));
            assert!(stream.read_exact_at(1, &mut bytes).is_err(), "it ends there");
        }
        assert_eq!(opened(Arc::new(b"old ones have no header".to_vec())).index().unwrap(), None);
        assert_eq!(opened(Arc::new(Vec::new())).index().unwrap(), None);
    }

    #[test]
    fn a_few_bytes_do_not_unpack_to_an_index_of_many_megabytes() {
        let blank = vec![b' '; usize::try_from(SMALL_INDEX).unwrap() + (64 << 10)];
        let delta = delta::create(b"", &blank, FileTime(1));
        assert!(delta.len() < 200);
        let error = opened(file(2, &delta, 0)).index().unwrap_err();
        assert!(matches!(error, PsfError::Index(DeltaError::TooLarge { .. })), "{error}");
    }

    #[test]
    fn lying_files_are_refused() {
        let open = |file| Psf::open(file).unwrap_err().to_string();
        assert!(open(file(2, b"<", 1)).contains("behind its end"));
        assert!(open(file(3, b"<", 0)).contains("version 3.0 is not supported"));
        assert!(open(Arc::new(MAGIC.to_vec())).contains("truncated"));
        let newer = opened(file(2, b"PA31........", 0)).index().unwrap_err();
        assert_eq!(newer.unsupported(), Some("a delta of the PA31 kind"));
        let psf = opened(file(2, b"<", 0));
        assert!(psf.index().is_err());
        assert!(psf.stream(51, 1).is_err());
        assert!(psf.stream(u64::MAX, 1).is_err());
        assert!(psf.stream(51, 0).is_ok());
    }
}
