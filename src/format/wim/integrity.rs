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
        Self::continued(None, source, end, piece_size)
    }

    /// Like [`IntegrityTable::compute`] for a file that was made longer: the digests of whole pieces in front of `old.1`, the end of what its old
    /// table covered, are taken from that table, and only what is behind is read. An old table that does not fit is not used.
    pub(super) fn continued(
        old: Option<(Self, u64)>,
        source: &dyn ReadAt,
        end: u64,
        piece_size: u32,
    ) -> Result<Self, WimError> {
        let start = Header::SIZE as u64;
        // Where others ended the piece that was the last one, ours goes on.
        let is_usual = |size: &u32| (4096..=128 << 20).contains(size);
        let piece_size = match &old {
            Some((table, _)) if is_usual(&table.piece_size) => table.piece_size,
            _ => piece_size,
        };
        let size = u64::from(piece_size);
        let count = to_usize(end.saturating_sub(start).div_ceil(size))?;
        let mut pieces = Vec::new();
        if let Some((table, old_end)) = old
            && table.piece_size == piece_size
            && old_end <= end
            && table.pieces.len() as u64 == old_end.saturating_sub(start).div_ceil(size)
        {
            pieces = table.pieces;
            pieces.truncate(to_usize(old_end.saturating_sub(start) / size)?);
        }
        let new = (pieces.len()..count)
            .into_par_iter()
            .with_max_len(1)
            .map(|index| {
                let first = start + index as u64 * size;
                hash_range(source, first, end.min(first + size))
            })
            .collect::<Result<Vec<_>, WimError>>()?;
        pieces.extend(new);
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
    fn a_longer_file_is_hashed_from_where_it_grew() {
        let mut data: Vec<u8> = (0..=255).cycle().take(208 + 12_000).collect();
        let old = IntegrityTable::compute(&data, 208 + 10_000, 4096).unwrap();
        let whole = IntegrityTable::compute(&data, 208 + 12_000, 4096).unwrap();
        // What is not read again can be anything.
        data[300] ^= 1;
        let continued =
            IntegrityTable::continued(Some((old.clone(), 208 + 10_000)), &data, 208 + 12_000, 9999);
        assert_eq!(continued.unwrap(), whole);
        let misfit =
            IntegrityTable::continued(Some((old, 208 + 20_000)), &data, 208 + 12_000, 9999);
        assert_ne!(misfit.unwrap(), whole);
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
