//! Finds delta matches: the last position with the same differences.

use super::data::{Data, hash};
use crate::codec::bits::low_32;
use crate::codec::lzms::recent::DeltaSource;

/// No position.
const NONE: u32 = u32::MAX;
/// Entries of the table for each power.
const HASHES: usize = 1 << 14;
/// Offsets from here on are not looked for, so that a source fits in 32 bits with its power.
const MAX_OFFSET: usize = 1 << 29;

/// The last positions of differences.
#[derive(Debug)]
pub(super) struct DeltaFinder {
    /// For each power the positions by hash, with their differences: so what differs is known without looking there.
    positions: Vec<(u32, u32)>,
    /// Powers that are looked for.
    powers: u32,
}

impl DeltaFinder {
    /// A finder for spans of 2 to each power below `powers`, which is at most 8.
    pub(super) fn new(powers: u32) -> Self {
        Self { positions: Vec::new(), powers }
    }

    /// Starts a chunk.
    pub(super) fn reset(&mut self) {
        self.positions.clear();
        self.positions.resize(HASHES * self.powers as usize, (NONE, 0));
    }

    /// Remembers a position and shows `found` the delta matches there that are longer than `longer_than`, with their length, at most `most`.
    /// `most` is not more than the bytes left, and at least four bytes are left.
    #[inline(always)]
    pub(super) fn find(
        &mut self,
        data: &Data,
        position: usize,
        longer_than: usize,
        most: usize,
        mut found: impl FnMut(DeltaSource, usize),
    ) {
        for (power, table) in (0u32..).zip(self.positions.chunks_exact_mut(HASHES)) {
            let span = 1usize << power;
            if position < span {
                break;
            }
            let differences = data.differences(position, span);
            if differences == 0 {
                // What repeats without differences is for LZ matches.
                continue;
            }
            // Offsets are multiples of the span, so only positions with the same remainder are of use.
            let phase = low_32(position & (span.wrapping_sub(1)));
            let slot = &mut table[hash(differences ^ phase.wrapping_mul(0x85EB_CA6B), HASHES)];
            let (candidate, known) = std::mem::replace(slot, (low_32(position), differences));
            let offset = position.wrapping_sub(candidate as usize);
            if known != differences
                || candidate == NONE
                || offset & (span.wrapping_sub(1)) != 0
                || offset >= MAX_OFFSET
            {
                continue;
            }
            let length = data.delta_length(position, span, offset, most);
            if length > longer_than {
                found(DeltaSource { power, raw: low_32(offset >> power) }, length);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_of_growing_numbers_is_found() {
        let mut data = Data::default();
        let bytes: Vec<u8> =
            (0..100u8).flat_map(|i| [i, 7, i.wrapping_mul(3), i.wrapping_mul(5)]).collect();
        data.fill(&bytes);
        let mut finder = DeltaFinder::new(8);
        finder.reset();
        let mut sources = Vec::new();
        for position in 0..60 {
            sources.clear();
            finder.find(&data, position, 8, 200, |source, length| sources.push((source, length)));
        }
        assert!(sources.contains(&(DeltaSource { power: 2, raw: 1 }, 200)), "{sources:?}");
    }
}
