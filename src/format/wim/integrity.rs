//! The integrity table: SHA-1 of the file's bytes from the end of the header to the end of the blob table, in pieces.
//!
//! ```text
//! total size (u32) | count (u32) | piece size (u32) | count x SHA-1
//! ```

use rayon::prelude::*;
use sha1::Digest as _;

use super::{error::WimError, header::Header, resource::to_usize};
use crate::base::{
    bytes::{Reader, Writer},
    digest::Sha1,
    malformed::Malformed,
    read_at::ReadAt,
};

const FORMAT: &str = "WIM integrity table";
/// Bytes of a piece, as DISM and wimlib choose it.
pub(super) const PIECE_SIZE: u32 = 10 << 20;
/// Bytes read at a time.
const READ_SIZE: u64 = 1 << 20;

/// An integrity table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IntegrityTable {
    /// Bytes in a piece; the last one is shorter.
    pub piece_size: u32,
    /// SHA-1 of each piece.
    pub pieces: Vec<Sha1>,
}

impl IntegrityTable {
    /// Reads a table; bytes behind it are ignored.
    ///
    /// # Errors
    /// When it is shorter than it says, or its pieces are empty.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(FORMAT, bytes);
        let size = reader.u32()?;
        let count = reader.u32()?;
        let piece_size = reader.u32()?;
        if u64::from(size) != 12 + 20 * u64::from(count) || piece_size == 0 {
            let what = format!("{size} bytes for {count} pieces of {piece_size} bytes");
            return Err(Malformed::new(FORMAT, what, 0));
        }
        let hashes = reader.bytes(size as usize - 12)?;
        let mut pieces = Vec::with_capacity(hashes.len() / 20);
        let mut hashes = Reader::new(FORMAT, hashes);
        while !hashes.is_empty() {
            pieces.push(Sha1(hashes.array()?));
        }
        Ok(Self { piece_size, pieces })
    }

    /// The bytes of the table.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.u32(u32::try_from(12 + 20 * self.pieces.len()).unwrap_or(u32::MAX));
        writer.u32(u32::try_from(self.pieces.len()).unwrap_or(u32::MAX)).u32(self.piece_size);
        for piece in &self.pieces {
            writer.bytes(&piece.0);
        }
        writer.data
    }

    /// Hashes a file whose blob table ends at `end`, on all threads.
    pub(super) fn compute(
        source: &dyn ReadAt,
        end: u64,
        piece_size: u32,
    ) -> Result<Self, WimError> {
        let start = Header::SIZE as u64;
        let size = u64::from(piece_size);
        let count = to_usize(end.saturating_sub(start).div_ceil(size))?;
        let pieces = (0..count)
            .into_par_iter()
            .with_max_len(1)
            .map(|index| {
                let first = start + index as u64 * size;
                hash_range(source, first, end.min(first + size))
            })
            .collect::<Result<_, WimError>>()?;
        Ok(Self { piece_size, pieces })
    }
}

fn hash_range(source: &dyn ReadAt, start: u64, end: u64) -> Result<Sha1, WimError> {
    let mut hasher = sha1::Sha1::new();
    let mut buffer = vec![0; usize::try_from(READ_SIZE.min(end - start)).unwrap_or(0)];
    let mut offset = start;
    while offset < end {
        let length = usize::try_from((end - offset).min(READ_SIZE)).unwrap_or(0);
        source.read_exact_at(offset, &mut buffer[..length])?;
        hasher.update(&buffer[..length]);
        offset += length as u64;
    }
    Ok(Sha1(hasher.finalize().into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_pieces_behind_the_header() {
        let data: Vec<u8> = (0..=255).cycle().take(208 + 2500).collect();
        let table = IntegrityTable::compute(&data, 208 + 2500, 1000).unwrap();
        let expected: Vec<Sha1> = data[208..].chunks(1000).map(Sha1::of).collect();
        assert_eq!(table.pieces, expected);
        assert_eq!(IntegrityTable::parse(&table.encode()).unwrap(), table);
        assert!(IntegrityTable::parse(&table.encode()[..71]).is_err());
        assert!(IntegrityTable::compute(&data, 208, 1000).unwrap().pieces.is_empty());
    }

    #[test]
    fn sizes_that_do_not_fit_are_refused() {
        let table = IntegrityTable { piece_size: 0, pieces: vec![] };
        assert!(IntegrityTable::parse(&table.encode()).is_err());
        let mut bytes = IntegrityTable { piece_size: 1, pieces: vec![Sha1::ZERO] }.encode();
        bytes[4] = 2;
        assert!(IntegrityTable::parse(&bytes).is_err());
    }
}
