//! The decode table of XPRESS chunks, made for chunks as small as 4 KiB, where filling it costs as much as using it.
//!
//! The root answers codes of at most 11 bits. Longer ones are rare; they are found by comparing with the first code of each length, in
//! the list of all symbols by code length, which exists anyway after sorting.

use super::{HEADER_SIZE, SYMBOLS};
use crate::codec::huffman::boxed;

/// Longest code.
const MAX_LENGTH: usize = 15;
/// Bits of the root's index.
const ROOT_BITS: usize = 11;
const ROOT: usize = 1 << ROOT_BITS;

/// What a code stands for, in one number: bits 0–3 its length; literals have bit 31 and their byte in bits 8–15; matches have the
/// number of offset bits in bits 8–11 and the length header in bits 12–15.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry(u32);

const LITERAL: u32 = 1 << 31;
/// The root does not know the code.
const LONG: Entry = Entry(1 << 30);

impl Entry {
    /// The entry of a symbol, without the length of its code.
    const fn of(symbol: u32) -> Self {
        if symbol < 256 {
            Self(LITERAL | symbol << 8)
        } else {
            Self((symbol & 15) << 12 | (symbol >> 4 & 15) << 8)
        }
    }

    /// A literal, not a match.
    #[inline(always)]
    pub(super) fn is_literal(self) -> bool {
        self.0 & LITERAL != 0
    }

    /// The root had no answer: ask [`Table::long`].
    #[inline(always)]
    pub(super) fn is_long(self) -> bool {
        self == LONG
    }

    /// Bits of the code.
    #[inline(always)]
    pub(super) fn bits(self) -> u32 {
        self.0 & 15
    }

    /// The byte of a literal.
    #[inline(always)]
    pub(super) fn byte(self) -> u8 {
        (self.0 >> 8 & 0xFF) as u8
    }

    /// How many bits of the offset follow a match.
    #[inline(always)]
    pub(super) fn offset_bits(self) -> u32 {
        self.0 >> 8 & 15
    }

    /// The length header of a match.
    #[inline(always)]
    pub(super) fn length_header(self) -> u32 {
        self.0 >> 12 & 15
    }
}

/// The entries of all symbols, without lengths.
const ENTRIES: [Entry; SYMBOLS] = {
    let mut entries = [LONG; SYMBOLS];
    let mut symbol = 0u32;
    while (symbol as usize) < SYMBOLS {
        entries[symbol as usize] = Entry::of(symbol);
        symbol += 1;
    }
    entries
};

/// Maps the next bits of a stream to a symbol.
#[derive(Debug)]
pub(super) struct Table {
    root: Box<[Entry; ROOT]>,
    /// The entries of all symbols in use, by code length, then symbol. Those in front of `first[1]` mean nothing.
    sorted: Box<[Entry; SYMBOLS]>,
    /// For each length: where its symbols start in `sorted`.
    first: [u32; MAX_LENGTH + 2],
    /// For each length: where its codes end, in code space of 15 bits.
    limit: [u32; MAX_LENGTH + 1],
}

impl Table {
    /// A table in which no code decodes.
    pub(super) fn new() -> Self {
        Self {
            root: boxed(LONG),
            sorted: boxed(LONG),
            first: [0; MAX_LENGTH + 2],
            limit: [0; MAX_LENGTH + 1],
        }
    }

    /// The answer of the root for a buffer with the next bit on top.
    #[inline(always)]
    pub(super) fn root(&self, buffer: u64) -> Entry {
        self.root[(buffer >> (64 - ROOT_BITS)) as usize & (ROOT - 1)]
    }

    /// The answer where the root has none; `None` when no code starts with these bits.
    #[inline]
    pub(super) fn long(&self, buffer: u64) -> Option<Entry> {
        let code = (buffer >> (64 - MAX_LENGTH)) as u32;
        let length = (ROOT_BITS + 1..=MAX_LENGTH).find(|&length| code < self.limit[length])?;
        let start = self.limit[length - 1];
        let index = self.first[length] + (code.wrapping_sub(start) >> (MAX_LENGTH - length));
        self.sorted.get(index as usize).copied()
    }

    /// Fills the table from the code lengths at the start of a chunk. Codes that leave space unused are accepted, the unused space
    /// decodes to nothing. False when the lengths claim more space than there is.
    pub(super) fn build(&mut self, header: &[u8; HEADER_SIZE]) -> bool {
        let counts = count(header);
        let (mut index, mut space) = (counts[0], 0);
        self.first[0] = 0;
        self.limit[0] = 0;
        for (length, &symbols) in counts.iter().enumerate().skip(1) {
            self.first[length] = index;
            index += symbols;
            space += symbols << (MAX_LENGTH - length);
            self.limit[length] = space;
        }
        self.first[MAX_LENGTH + 1] = index;
        if space > 1 << MAX_LENGTH {
            return false;
        }
        self.sort(header);
        let mut filled = 0;
        self.fill::<1024>(1, &mut filled);
        self.fill::<512>(2, &mut filled);
        self.fill::<256>(3, &mut filled);
        self.fill::<128>(4, &mut filled);
        self.fill::<64>(5, &mut filled);
        self.fill::<32>(6, &mut filled);
        self.fill::<16>(7, &mut filled);
        self.fill::<8>(8, &mut filled);
        self.fill::<4>(9, &mut filled);
        self.fill::<2>(10, &mut filled);
        self.fill::<1>(11, &mut filled);
        self.root[filled..].fill(LONG);
        true
    }

    /// Puts the symbols in the order of their codes. Unused ones come first.
    fn sort(&mut self, header: &[u8; HEADER_SIZE]) {
        let mut next = self.first;
        let pairs = ENTRIES.as_chunks::<16>().0;
        for (eight, entries) in header.as_chunks::<8>().0.iter().zip(pairs) {
            if *eight == [0; 8] {
                continue;
            }
            for (&byte, pair) in eight.iter().zip(entries.as_chunks::<2>().0) {
                for (length, entry) in [byte & 15, byte >> 4].into_iter().zip(pair) {
                    let slot = &mut next[usize::from(length)];
                    self.sorted[*slot as usize & (SYMBOLS - 1)] =
                        Entry(entry.0 | u32::from(length));
                    *slot = slot.wrapping_add(1);
                }
            }
        }
    }

    /// Writes the part of the root that codes of one length cover, `WIDTH` entries for each.
    #[inline(always)]
    fn fill<const WIDTH: usize>(&mut self, length: usize, filled: &mut usize) {
        let symbols = &self.sorted[self.first[length] as usize..self.first[length + 1] as usize];
        let targets = self.root[*filled..].as_chunks_mut::<WIDTH>().0;
        for (target, &entry) in targets.iter_mut().zip(symbols) {
            *target = [entry; WIDTH];
        }
        *filled += symbols.len() * WIDTH;
    }
}

/// How many symbols have each length.
fn count(header: &[u8; HEADER_SIZE]) -> [u32; 16] {
    // Several counters for each length: adding to the same one again has to wait for the addition before.
    let mut counts = [[0u32; 16]; 4];
    let mut zeros = 0;
    for eight in header.as_chunks::<8>().0 {
        if *eight == [0; 8] {
            zeros += 16;
            continue;
        }
        for two in eight.as_chunks::<2>().0 {
            let lengths = [two[0] & 15, two[0] >> 4, two[1] & 15, two[1] >> 4];
            for (counts, length) in counts.iter_mut().zip(lengths) {
                let count = &mut counts[usize::from(length)];
                *count = count.wrapping_add(1);
            }
        }
    }
    let mut sums = [0; 16];
    for counts in counts {
        for (sum, count) in sums.iter_mut().zip(counts) {
            *sum += count;
        }
    }
    sums[0] += zeros;
    sums
}
