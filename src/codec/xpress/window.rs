//! A chunk of at most 64 KiB as match finders want it, and the hashes that they share.

use crate::codec::huffman::boxed;

/// Longest chunk.
pub(super) const MAX_CHUNK: usize = 1 << 16;
/// Bytes that a hash covers; positions with fewer bytes behind them are neither found nor remembered.
pub(super) const HASHED: usize = 4;
/// No position: the last one of a chunk has fewer than [`HASHED`] bytes behind it.
pub(super) const NONE: u16 = u16::MAX;
/// Bytes behind the longest chunk that may be read; they mean nothing.
const SLACK: usize = 8;
/// The buffer of a chunk.
type Bytes = [u8; MAX_CHUNK + SLACK];

/// A copy of a chunk.
#[derive(Debug)]
pub(super) struct Window {
    bytes: Box<Bytes>,
    length: usize,
}

impl Window {
    pub(super) fn new() -> Self {
        Self { bytes: boxed(0), length: 0 }
    }

    /// Takes a copy of `chunk`, of its first 64 KiB.
    pub(super) fn fill(&mut self, chunk: &[u8]) {
        self.length = chunk.len().min(MAX_CHUNK);
        self.bytes[..self.length].copy_from_slice(&chunk[..self.length]);
    }

    /// The chunk for reading.
    pub(super) fn view(&self) -> View<'_> {
        View { bytes: &self.bytes, length: self.length }
    }
}

/// A chunk in which reading a few bytes at any position needs no check.
#[derive(Debug, Clone, Copy)]
pub(super) struct View<'a> {
    bytes: &'a Bytes,
    length: usize,
}

impl View<'_> {
    /// Bytes in the chunk.
    #[inline(always)]
    pub(super) fn len(self) -> usize {
        self.length
    }

    /// Where the last positions start that have no [`HASHED`] bytes.
    #[inline(always)]
    pub(super) fn hashed_end(self) -> usize {
        self.length.saturating_sub(HASHED - 1)
    }

    #[inline(always)]
    pub(super) fn byte(self, position: usize) -> u8 {
        self.bytes[position & (MAX_CHUNK - 1)]
    }

    /// The four bytes at a position, little-endian.
    #[inline(always)]
    pub(super) fn load(self, position: usize) -> u32 {
        let at = position & (MAX_CHUNK - 1);
        self.bytes[at..].first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes))
    }

    #[inline(always)]
    fn load_eight(self, position: usize) -> u64 {
        let at = position & (MAX_CHUNK - 1);
        self.bytes[at..].first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
    }

    /// How many bytes at two positions are equal, at most `most`, when the first `length` are known to be.
    #[inline(always)]
    pub(super) fn common_length(self, a: usize, b: usize, length: usize, most: usize) -> usize {
        let mut length = length;
        while length < most {
            let left = self.load_eight(a.wrapping_add(length));
            let different = left ^ self.load_eight(b.wrapping_add(length));
            if different != 0 {
                let equal = (different.trailing_zeros() >> 3) as usize;
                return length.wrapping_add(equal).min(most);
            }
            length = length.wrapping_add(8);
        }
        most
    }
}

/// The newest position of each hash of four bytes, and of each hash of three.
#[derive(Debug)]
pub(super) struct Heads {
    pub(super) fours: Box<[u16; 1 << 16]>,
    pub(super) threes: Box<[u16; THREES]>,
    /// 32 minus the bits of the four-byte hash.
    pub(super) shift: u32,
}

/// Number of three-byte hashes.
pub(super) const THREES: usize = 1 << 13;

impl Heads {
    pub(super) fn new() -> Self {
        Self { fours: boxed(NONE), threes: boxed(NONE), shift: 16 }
    }

    /// Forgets the chunk before; the next one has `length` bytes. Twice as many hashes as positions: short chains, and little to clear for
    /// small chunks.
    pub(super) fn reset(&mut self, length: usize) {
        let bits = (usize::BITS - length.leading_zeros()).clamp(12, 16);
        self.shift = 32 - bits;
        self.fours[..1 << bits].fill(NONE);
        self.threes.fill(NONE);
    }
}

/// The four-byte hash of `bytes`.
#[inline(always)]
pub(super) fn hash_four(bytes: u32, shift: u32) -> u16 {
    (bytes.wrapping_mul(0x9E37_79B1).wrapping_shr(shift) & 0xFFFF) as u16
}

/// The hash of the lowest three of `bytes`.
#[inline(always)]
pub(super) fn hash_three(bytes: u32) -> usize {
    let product = (bytes << 8).wrapping_mul(0x9E37_79B1);
    (product >> (32 - THREES.trailing_zeros())) as usize & (THREES - 1)
}
