//! Finds earlier occurrences of the bytes at a position: hash chains.
//!
//! Positions with the same hash of four bytes form a chain, newest first; one more table holds the newest position of each
//! hash of three bytes. The walk along a chain is cut after a number of steps, and at a match that is long enough.
//! What is found depends on the chunk alone, never on chunks before it.

use super::huffman::boxed;

/// Bytes that a hash covers; positions with fewer bytes behind them are neither found nor remembered.
const HASHED: usize = 4;

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
        (position & 0xFFFF) as Self
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
        (position & 0xFFFF_FFFF) as Self
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

/// The chains. `FOURS` and `THREES` are the sizes of the tables of four-byte and three-byte hashes, powers of two.
#[derive(Debug)]
pub(super) struct HashChains<P, const FOURS: usize, const THREES: usize> {
    fours: Box<[P; FOURS]>,
    threes: Box<[P; THREES]>,
    /// The position before each position in its chain.
    previous: Box<[P]>,
}

impl<P: Position, const FOURS: usize, const THREES: usize> HashChains<P, FOURS, THREES> {
    /// Chains for chunks of at most `chunk_size` bytes; for 16-bit positions that must be 65,536 at most.
    pub(super) fn new(chunk_size: usize) -> Self {
        Self {
            fours: boxed(P::NONE),
            threes: boxed(P::NONE),
            previous: vec![P::NONE; chunk_size].into_boxed_slice(),
        }
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
        if let Some(previous) = self.previous.get_mut(position) {
            *previous = candidates.0;
        }
        candidates
    }

    /// Remembers the positions from `start` to before `end`.
    #[inline(always)]
    pub(super) fn skip(&mut self, data: &[u8], start: usize, end: usize) {
        let end = end.min(data.len().saturating_sub(HASHED - 1));
        for position in start..end {
            if let Some(first) = load(data, position) {
                self.insert(first, position);
            }
        }
    }

    /// Remembers `position` and finds the match with the most `gain` (of length and offset; only positive gains count) among
    /// the candidates, by growing length.
    #[inline(always)]
    pub(super) fn find(
        &mut self,
        data: &[u8],
        position: usize,
        max_length: usize,
        effort: Effort,
        gain: impl Fn(usize, usize) -> i32,
    ) -> Match {
        let mut best = Match::default();
        let Some(first) = load(data, position) else { return best };
        let (mut candidate, near) = self.insert(first, position);
        let max_length = max_length.min(data.len().wrapping_sub(position));
        if near != P::NONE && near != candidate {
            let near = near.get();
            if load(data, near).is_some_and(|bytes| (bytes ^ first) << 8 == 0) {
                let offset = position.wrapping_sub(near);
                let gain = gain(3, offset);
                if gain > 0 {
                    best = Match { length: 3, offset, gain };
                }
            }
        }
        let mut best_length = 3usize;
        // A match longer than the best so far agrees in the four bytes that end just behind the best.
        let mut tail = first;
        let mut steps = effort.depth;
        while candidate != P::NONE && steps != 0 {
            let at = candidate.get();
            candidate = self.previous.get(at).copied().unwrap_or(P::NONE);
            steps = steps.wrapping_sub(1);
            if load(data, at.wrapping_add(best_length).wrapping_sub(3)) != Some(tail) {
                continue;
            }
            let length = common_length(data, at, position, max_length);
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
            match load(data, position.wrapping_add(best_length).wrapping_sub(3)) {
                Some(bytes) => tail = bytes,
                None => break,
            }
        }
        best
    }
}

/// Hash of four bytes (the lowest of `bytes << 8` drops out: three bytes) for a table of `size` entries.
#[inline(always)]
fn hash(bytes: u32, size: usize) -> usize {
    let bits = size.trailing_zeros();
    let product = bytes.wrapping_mul(0x9E37_79B1);
    (product.wrapping_shr(32u32.wrapping_sub(bits)) as usize) & size.wrapping_sub(1)
}

/// The four bytes at `position`, little-endian.
#[inline(always)]
pub(super) fn load(data: &[u8], position: usize) -> Option<u32> {
    data.get(position..).and_then(<[u8]>::first_chunk::<4>).map(|bytes| u32::from_le_bytes(*bytes))
}

/// How many bytes at `a` and at `b` (which is later) are equal, at most `max_length`.
#[inline(always)]
pub(super) fn common_length(data: &[u8], a: usize, b: usize, max_length: usize) -> usize {
    let mut length = 0usize;
    while length.wrapping_add(8) <= max_length {
        let (Some(left), Some(right)) =
            (load8(data, a.wrapping_add(length)), load8(data, b.wrapping_add(length)))
        else {
            break;
        };
        let different = left ^ right;
        if different != 0 {
            return length.wrapping_add((different.trailing_zeros() >> 3) as usize);
        }
        length = length.wrapping_add(8);
    }
    while length < max_length
        && data.get(a.wrapping_add(length)) == data.get(b.wrapping_add(length))
    {
        length = length.wrapping_add(1);
    }
    length
}

#[inline(always)]
fn load8(data: &[u8], position: usize) -> Option<u64> {
    data.get(position..).and_then(<[u8]>::first_chunk::<8>).map(|bytes| u64::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    type Chains = HashChains<u16, 1024, 512>;

    const EFFORT: Effort = Effort { depth: 100, nice_length: 100 };

    /// Counts bytes, so that the longest match wins.
    fn length_only(length: usize, _offset: usize) -> i32 {
        i32::try_from(length).unwrap()
    }

    #[test]
    fn finds_the_nearest_of_the_longest() {
        let data = b"abcdefX abcdY abcdefZ abcdefX";
        let mut chains = Chains::new(data.len());
        for position in 0..22 {
            chains.skip(data, position, position + 1);
        }
        let found = chains.find(data, 22, 1000, EFFORT, length_only);
        assert_eq!((found.length, found.offset), (7, 22));
        let mut chains = Chains::new(data.len());
        chains.skip(data, 0, 14);
        let found = chains.find(data, 14, 5, EFFORT, length_only);
        assert_eq!((found.length, found.offset), (5, 14), "not longer than allowed");
    }

    #[test]
    fn finds_three_bytes() {
        let data = b"abcX....abcY...";
        let mut chains = Chains::new(data.len());
        chains.skip(data, 0, 8);
        let found = chains.find(data, 8, 100, EFFORT, length_only);
        assert_eq!((found.length, found.offset), (3, 8));
    }

    #[test]
    fn the_end_of_the_data_is_respected() {
        let data = [7u8; 50];
        let mut chains = Chains::new(data.len());
        for position in 0..50 {
            let found = chains.find(&data, position, 1000, EFFORT, length_only);
            assert!(position + found.length <= 50);
            assert_eq!(found.length > 0, (1..47).contains(&position), "{position}");
        }
    }

    #[test]
    fn after_a_reset_nothing_is_found() {
        let data = [7u8; 50];
        let mut chains = Chains::new(data.len());
        chains.skip(&data, 0, 40);
        chains.reset();
        assert_eq!(chains.find(&data, 40, 100, EFFORT, length_only), Match::default());
    }
}
