//! Finds earlier occurrences of the bytes at a position: hash chains.
//!
//! Positions with the same hash of four bytes form a chain, newest first; one more table holds the newest position of each
//! hash of three bytes. The walk along a chain is cut after a number of steps, and at a match that is long enough.
//! What is found depends on the chunk alone, never on chunks before it.

use super::bits::{low_16, low_32};
use super::huffman::boxed;

/// Bytes that a hash covers; positions with fewer bytes behind them are neither found nor remembered.
pub(super) const HASHED: usize = 4;

/// A position within a chunk, as the tables store it: small ones keep the tables in the processor's nearest cache.
pub(super) trait Position: Copy + PartialEq + std::fmt::Debug + Send {
    /// No position.
    const NONE: Self;
    /// Stores a position, which must be less than [`Self::NONE`].
    fn new(position: usize) -> Self;
    /// The stored position.
    fn get(self) -> usize;
}

impl Position for u16 {
    const NONE: Self = Self::MAX;

    #[inline(always)]
    fn new(position: usize) -> Self {
        low_16(position)
    }

    #[inline(always)]
    fn get(self) -> usize {
        usize::from(self)
    }
}

impl Position for u32 {
    const NONE: Self = Self::MAX;

    #[inline(always)]
    fn new(position: usize) -> Self {
        low_32(position)
    }

    #[inline(always)]
    fn get(self) -> usize {
        self as usize
    }
}

/// An earlier occurrence. Its `gain` is what the codec expects to save by it; no match has length 0 and gain 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Match {
    pub(super) length: usize,
    pub(super) offset: usize,
    pub(super) gain: i32,
}

/// How hard to search.
#[derive(Debug, Clone, Copy)]
pub(super) struct Effort {
    /// Most candidates to look at.
    pub(super) depth: u32,
    /// Length at which a match is good enough to stop.
    pub(super) nice_length: usize,
}

/// A chunk, copied into a buffer twice as long as the longest chunk. Positions are masked to the first half, so that reading a
/// few bytes at any position needs no check. What is read behind the end of the chunk means nothing.
#[derive(Debug)]
pub(super) struct Window<const SIZE: usize> {
    bytes: Box<[u8; SIZE]>,
    length: usize,
}

impl<const SIZE: usize> Window<SIZE> {
    pub(super) fn new() -> Self {
        Self { bytes: boxed(0), length: 0 }
    }

    /// Takes a copy of `chunk`, which has at most half of `SIZE` bytes, and returns it for changing.
    pub(super) fn fill(&mut self, chunk: &[u8]) -> &mut [u8] {
        self.length = chunk.len();
        let copy = &mut self.bytes[..chunk.len()];
        copy.copy_from_slice(chunk);
        copy
    }

    /// The chunk.
    pub(super) fn chunk(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// Bytes in the chunk.
    #[inline(always)]
    pub(super) fn len(&self) -> usize {
        self.length
    }

    /// The byte at a position.
    #[inline(always)]
    pub(super) fn byte(&self, position: usize) -> u8 {
        self.bytes[position & (SIZE - 1)]
    }

    /// The four bytes at a position, little-endian.
    #[inline(always)]
    pub(super) fn load(&self, position: usize) -> u32 {
        let at = position & (SIZE / 2 - 1);
        self.bytes[at..].first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes))
    }

    /// The eight bytes at a position, little-endian.
    #[inline(always)]
    pub(super) fn load_eight(&self, position: usize) -> u64 {
        let at = position & (SIZE / 2 - 1);
        self.bytes[at..].first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
    }

    /// How many bytes at two positions are equal, at most `max_length`.
    #[inline(always)]
    pub(super) fn common_length(&self, a: usize, b: usize, max_length: usize) -> usize {
        self.common_length_from(a, b, 0, max_length)
    }

    /// As [`Self::common_length`], where the first `known` bytes are known to be equal.
    #[inline(always)]
    pub(super) fn common_length_from(
        &self,
        a: usize,
        b: usize,
        known: usize,
        max_length: usize,
    ) -> usize {
        let mut length = known;
        while length < max_length {
            let left = self.load_eight(a.wrapping_add(length));
            let different = left ^ self.load_eight(b.wrapping_add(length));
            if different != 0 {
                let equal = (different.trailing_zeros() >> 3) as usize;
                return length.wrapping_add(equal).min(max_length);
            }
            length = length.wrapping_add(8);
        }
        max_length
    }
}

/// The chains. `SIZE` is that of the [`Window`], `FOURS` the number of four-byte hashes; both are powers of two.
#[derive(Debug)]
pub(super) struct HashChains<P, const SIZE: usize, const FOURS: usize> {
    fours: Box<[P; FOURS]>,
    threes: Box<[P; THREES]>,
    /// The position before each position in its chain.
    previous: Box<[P; SIZE]>,
}

/// Number of three-byte hashes.
const THREES: usize = 4096;

impl<P: Position, const SIZE: usize, const FOURS: usize> HashChains<P, SIZE, FOURS> {
    pub(super) fn new() -> Self {
        Self { fours: boxed(P::NONE), threes: boxed(P::NONE), previous: boxed(P::new(0)) }
    }

    /// Forgets the chunk before.
    pub(super) fn reset(&mut self) {
        self.fours.fill(P::NONE);
        self.threes.fill(P::NONE);
    }

    /// Remembers `position` and returns the candidates: newest of its four bytes, newest of its three bytes.
    #[inline(always)]
    fn insert(&mut self, first: u32, position: usize) -> (P, P) {
        let four = &mut self.fours[hash(first, FOURS)];
        let three = &mut self.threes[hash(first << 8, THREES)];
        let candidates = (*four, *three);
        *four = P::new(position);
        *three = P::new(position);
        self.previous[position & (SIZE - 1)] = candidates.0;
        candidates
    }

    /// Remembers the positions from `start` to before `end`.
    #[inline(always)]
    pub(super) fn skip(&mut self, window: &Window<SIZE>, start: usize, end: usize) {
        let end = end.min(window.len().saturating_sub(HASHED - 1));
        for position in start..end {
            self.insert(window.load(position), position);
        }
    }

    /// Remembers `position` and finds, among the candidates by growing length, the match with the most `gain` (a function of length
    /// and offset) above `least_gain`, and longer than `longer_than`. `max_length` must not reach behind the end of the window.
    #[inline(always)]
    pub(super) fn find(
        &mut self,
        window: &Window<SIZE>,
        position: usize,
        max_length: usize,
        effort: Effort,
        (least_gain, longer_than): (i32, usize),
        gain: impl Fn(usize, usize) -> i32,
    ) -> Match {
        let mut best = Match { length: 0, offset: 0, gain: least_gain };
        if max_length < HASHED {
            return best;
        }
        let first = window.load(position);
        let (mut candidate, near) = self.insert(first, position);
        let mut best_length = longer_than.max(HASHED - 1);
        if best_length >= max_length {
            return best;
        }
        // A match longer than the best so far agrees in the four bytes that end just behind the best.
        let mut tail = window.load(position.wrapping_add(best_length).wrapping_sub(3));
        let mut steps = effort.depth;
        while candidate != P::NONE && steps != 0 {
            let at = candidate.get();
            candidate = self.previous[at & (SIZE - 1)];
            steps = steps.wrapping_sub(1);
            if window.load(at.wrapping_add(best_length).wrapping_sub(3)) != tail {
                continue;
            }
            let length = window.common_length(at, position, max_length);
            if length <= best_length {
                continue;
            }
            let offset = position.wrapping_sub(at);
            let gain = gain(length, offset);
            if gain > best.gain {
                best = Match { length, offset, gain };
            }
            best_length = length;
            if length >= effort.nice_length || length >= max_length {
                break;
            }
            tail = window.load(position.wrapping_add(best_length).wrapping_sub(3));
        }
        if best_length == 3 && near != P::NONE {
            let near = near.get();
            if (window.load(near) ^ first) << 8 == 0 {
                let offset = position.wrapping_sub(near);
                let gain = gain(3, offset);
                if gain > best.gain {
                    best = Match { length: 3, offset, gain };
                }
            }
        }
        best
    }
}

/// Hash of four bytes (the lowest of `bytes << 8` drops out: three bytes) for a table of `size` entries.
#[inline(always)]
pub(super) fn hash(bytes: u32, size: usize) -> usize {
    let bits = size.trailing_zeros();
    let product = bytes.wrapping_mul(0x9E37_79B1);
    (product.wrapping_shr(32u32.wrapping_sub(bits)) as usize) & size.wrapping_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Chains = HashChains<u16, 1024, 512>;

    const EFFORT: Effort = Effort { depth: 100, nice_length: 100 };

    fn window(data: &[u8]) -> Window<1024> {
        let mut window = Window::new();
        window.fill(data);
        window
    }

    /// The longest match at a position.
    fn longest(chains: &mut Chains, window: &Window<1024>, position: usize, most: usize) -> Match {
        let most = most.min(window.len() - position);
        chains.find(window, position, most, EFFORT, (0, 0), |length, _| {
            i32::try_from(length).unwrap()
        })
    }

    #[test]
    fn finds_the_nearest_of_the_longest() {
        let data = window(b"abcdefX abcdY abcdefZ abcdefX");
        let mut chains = Chains::new();
        chains.skip(&data, 0, 22);
        let found = longest(&mut chains, &data, 22, 1000);
        assert_eq!((found.length, found.offset), (7, 22));
        let mut chains = Chains::new();
        chains.skip(&data, 0, 14);
        let found = longest(&mut chains, &data, 14, 5);
        assert_eq!((found.length, found.offset), (5, 14), "not longer than allowed");
    }

    #[test]
    fn finds_three_bytes() {
        let data = window(b"abcX....abcY...");
        let mut chains = Chains::new();
        chains.skip(&data, 0, 8);
        let found = longest(&mut chains, &data, 8, 100);
        assert_eq!((found.length, found.offset), (3, 8));
    }

    #[test]
    fn the_end_of_the_data_is_respected() {
        let data = window(&[7u8; 50]);
        let mut chains = Chains::new();
        for position in 0..50 {
            let found = longest(&mut chains, &data, position, 1000);
            assert!(position + found.length <= 50);
            assert_eq!(found.length > 0, (1..47).contains(&position), "{position}");
        }
    }

    #[test]
    fn after_a_reset_nothing_is_found() {
        let data = window(&[7u8; 50]);
        let mut chains = Chains::new();
        chains.skip(&data, 0, 40);
        chains.reset();
        assert_eq!(longest(&mut chains, &data, 40, 100).length, 0);
    }
}
