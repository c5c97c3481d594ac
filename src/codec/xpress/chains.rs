//! Finds one good earlier occurrence: hash chains of 16-bit positions, which fit the processor's nearest caches.
//!
//! Positions with the same hash of four bytes form a chain, newest first; one more table holds the newest position of each hash of three
//! bytes. What is found depends on the chunk alone.

use super::window::{HASHED, Heads, MAX_CHUNK, NONE, THREES, View, Window, hash_four, hash_three};
use super::write::Sequence;
use super::{END, SYMBOLS, count};
use crate::codec::bits::low_16;
use crate::codec::huffman::boxed;

/// How hard to search.
#[derive(Debug, Clone, Copy)]
pub(super) struct Effort {
    /// Most candidates to look at.
    pub(super) depth: u32,
    /// Most candidates to look at for something better than a match that starts a byte earlier.
    pub(super) lazy_depth: u32,
    /// Length at which a match is good enough to stop.
    pub(super) nice_length: usize,
}

/// An earlier occurrence; length 0 when there is none. `gain` is about what it saves, in bits.
#[derive(Debug, Clone, Copy)]
struct Match {
    length: usize,
    offset: usize,
    gain: i32,
}

/// Bits of a literal, roughly.
const LITERAL_BITS: i32 = 6;
/// Bits of a match besides its offset, roughly.
const MATCH_BITS: i32 = 6;
/// Bits that a later match must save more to be preferred.
const LAZY_MARGIN: i32 = 2;

/// Bits that a match saves, roughly.
#[inline(always)]
fn gain(length: usize, offset: usize) -> i32 {
    let offset_bits = usize::BITS.wrapping_sub(offset.leading_zeros()).cast_signed();
    let literals = i32::from(low_16(length)).wrapping_mul(LITERAL_BITS);
    literals.wrapping_sub(offset_bits).wrapping_sub(MATCH_BITS)
}

/// The chains.
#[derive(Debug)]
pub(super) struct Chains {
    effort: Effort,
    heads: Heads,
    /// The position before each position in its chain.
    previous: Box<[u16; MAX_CHUNK]>,
}

impl Chains {
    pub(super) fn new(effort: Effort) -> Self {
        Self { effort, heads: Heads::new(), previous: boxed(NONE) }
    }

    /// Cuts the chunk into literals and matches: a match is taken unless one that starts a byte later saves more. Sets the sequences and
    /// the frequencies of all symbols.
    pub(super) fn parse(
        &mut self,
        window: &Window,
        sequences: &mut Vec<Sequence>,
        frequencies: &mut [u32; SYMBOLS],
    ) {
        let effort = self.effort;
        let view = window.view();
        let mut finder = self.finder(view);
        sequences.clear();
        frequencies.fill(0);
        frequencies[END] = 1;
        let mut literals = 0usize;
        let mut position = 0usize;
        let mut look = finder.look(0);
        while position < view.hashed_end() {
            let mut found = finder.find(position, &mut look, effort.depth, effort.nice_length, 0);
            if found.length == 0 {
                count(frequencies, view.byte(position).into());
                literals = literals.wrapping_add(1);
                position = position.wrapping_add(1);
                continue;
            }
            let mut known = position.wrapping_add(1);
            while found.length < effort.nice_length && known < view.hashed_end() {
                let least = found.gain.wrapping_add(LAZY_MARGIN);
                let later =
                    finder.find(known, &mut look, effort.lazy_depth, effort.nice_length, least);
                known = known.wrapping_add(1);
                if later.length == 0 {
                    break;
                }
                count(frequencies, view.byte(position).into());
                literals = literals.wrapping_add(1);
                position = position.wrapping_add(1);
                found = later;
            }
            let sequence = Sequence::new(literals, found.length, found.offset);
            count(frequencies, sequence.symbol());
            sequences.push(sequence);
            literals = 0;
            position = position.wrapping_add(found.length);
            finder.skip(known, position);
            look = finder.look(position);
        }
        for position in position..view.len() {
            count(frequencies, view.byte(position).into());
        }
    }

    /// The chains, empty, for a chunk.
    fn finder<'a>(&'a mut self, view: View<'a>) -> Finder<'a> {
        self.heads.reset(view.len());
        let Heads { fours, threes, shift } = &mut self.heads;
        Finder { view, fours, threes, shift: *shift, previous: &mut self.previous }
    }
}

/// What the tables say about a position. Asked for before the search at the position before, whose mistaken guesses of the processor
/// then cost less.
#[derive(Debug, Clone, Copy)]
struct Look {
    first: u32,
    four: u16,
    three: u16,
    /// Newest position with these four bytes, or others of the same hash.
    candidate: u16,
    /// Newest position with these three bytes, or others of the same hash.
    near: u16,
}

/// The tables while a chunk is parsed, as references: behind boxes, the compiler would load their addresses again and again.
#[derive(Debug)]
struct Finder<'a> {
    view: View<'a>,
    fours: &'a mut [u16; 1 << 16],
    threes: &'a mut [u16; THREES],
    shift: u32,
    previous: &'a mut [u16; MAX_CHUNK],
}

impl Finder<'_> {
    #[inline(always)]
    fn look(&self, position: usize) -> Look {
        let first = self.view.load(position);
        let (four, three) = (hash_four(first, self.shift), hash_three(first));
        Look {
            first,
            four,
            three: low_16(three),
            candidate: self.fours[usize::from(four)],
            near: self.threes[three],
        }
    }

    /// Remembers the positions from `start` to before `end`.
    #[inline(always)]
    fn skip(&mut self, start: usize, end: usize) {
        for position in start..end.min(self.view.hashed_end()) {
            let bytes = self.view.load(position);
            let four = &mut self.fours[usize::from(hash_four(bytes, self.shift))];
            self.previous[position & (MAX_CHUNK - 1)] = *four;
            *four = low_16(position);
            self.threes[hash_three(bytes)] = low_16(position);
        }
    }

    /// Remembers `position`, whose `look` is given and then that of the next one, and finds the match with the most gain above `least`.
    #[inline(always)]
    fn find(
        &mut self,
        position: usize,
        look: &mut Look,
        depth: u32,
        nice_length: usize,
        least: i32,
    ) -> Match {
        let view = self.view;
        let most = view.len().wrapping_sub(position);
        let Look { first, four, three, mut candidate, near } = *look;
        self.fours[usize::from(four)] = low_16(position);
        self.threes[usize::from(three) & (THREES - 1)] = low_16(position);
        self.previous[position & (MAX_CHUNK - 1)] = candidate;
        *look = self.look(position.wrapping_add(1));
        let mut best = Match { length: 0, offset: 0, gain: least };
        // Shorter ones can not gain enough, whatever their offset.
        let longer_than = (least.wrapping_add(MATCH_BITS) / LITERAL_BITS).cast_unsigned() as usize;
        let mut best_length = longer_than.max(HASHED - 1);
        if best_length >= most {
            return best;
        }
        // A match longer than the best so far agrees in the four bytes that end just behind the best.
        let mut tail = view.load(position.wrapping_add(best_length).wrapping_sub(3));
        let mut steps = depth;
        while candidate != NONE && steps != 0 {
            let at = usize::from(candidate);
            candidate = self.previous[at];
            steps = steps.wrapping_sub(1);
            if view.load(at.wrapping_add(best_length).wrapping_sub(3)) != tail {
                continue;
            }
            let length = view.common_length(at, position, 0, most);
            if length <= best_length {
                continue;
            }
            let offset = position.wrapping_sub(at);
            let gain = gain(length, offset);
            if gain > best.gain {
                best = Match { length, offset, gain };
            }
            best_length = length;
            if length >= nice_length || length >= most {
                return best;
            }
            tail = view.load(position.wrapping_add(best_length).wrapping_sub(3));
        }
        if best_length == 3 {
            // Without a position the offset is huge, and so there is no gain: one branch decides all.
            let near = usize::from(near);
            let offset = position.wrapping_sub(near);
            let equal = (view.load(near) ^ first) << 8 == 0;
            let gain = if equal { gain(3, offset) } else { 0 };
            if gain > best.gain {
                best = Match { length: 3, offset, gain };
            }
        }
        best
    }
}
