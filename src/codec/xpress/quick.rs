//! The quickest way to cut a chunk: the newest position with the same four bytes or nothing, and no second thoughts.

use super::window::{MAX_CHUNK, NONE, View, Window, hash_four};
use super::write::Sequence;
use super::{END, SYMBOLS, count};
use crate::codec::bits::low_16;
use crate::codec::huffman::boxed;

/// Bits of the hash.
const HASH_BITS: u32 = 14;
const HASHES: usize = 1 << HASH_BITS;
/// After this many literals in a row (two to this power) every second position is passed over, then more.
const PATIENCE: u32 = 7;

/// The newest position of each hash of four bytes.
#[derive(Debug)]
pub(super) struct Quick {
    newest: Box<[u16; HASHES]>,
}

impl Quick {
    pub(super) fn new() -> Self {
        Self { newest: boxed(NONE) }
    }

    /// Cuts the chunk into literals and matches. Sets the sequences and the frequencies of all symbols.
    pub(super) fn parse(
        &mut self,
        window: &Window,
        sequences: &mut Vec<Sequence>,
        frequencies: &mut [u32; SYMBOLS],
    ) {
        let view = window.view();
        let newest = &mut *self.newest;
        newest.fill(NONE);
        sequences.clear();
        frequencies.fill(0);
        frequencies[END] = 1;
        let (mut start, mut position) = (0usize, 0usize);
        while position < view.hashed_end() {
            let first = view.load(position);
            let slot = &mut newest[slot(first)];
            let candidate = usize::from(*slot);
            *slot = low_16(position);
            // Where there is no candidate, what is read is no reason to believe in one.
            if view.load(candidate) != first || candidate >= position {
                let literals = position.wrapping_sub(start);
                position = position.wrapping_add(1).wrapping_add(literals >> PATIENCE);
                continue;
            }
            let most = view.len().wrapping_sub(position);
            let length = view.common_length(candidate, position, 4, most);
            count_literals(view, start, position, frequencies);
            let sequence = Sequence::new(
                position.wrapping_sub(start),
                length,
                position.wrapping_sub(candidate),
            );
            count(frequencies, sequence.symbol());
            sequences.push(sequence);
            let end = position.wrapping_add(length);
            if end < view.hashed_end() {
                for position in [position.wrapping_add(1), end.wrapping_sub(2)] {
                    newest[self::slot(view.load(position))] = low_16(position);
                }
            }
            position = end;
            start = end;
        }
        count_literals(view, start, view.len(), frequencies);
    }
}

#[inline(always)]
fn slot(bytes: u32) -> usize {
    usize::from(hash_four(bytes, 32 - HASH_BITS)) & (HASHES - 1)
}

#[inline(always)]
fn count_literals(view: View<'_>, start: usize, end: usize, frequencies: &mut [u32; SYMBOLS]) {
    for position in start..end.min(MAX_CHUNK) {
        count(frequencies, view.byte(position).into());
    }
}
