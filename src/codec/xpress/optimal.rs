//! The way through a chunk that costs the fewest bits, given what each symbol costs; then again, with the costs of the result.

use super::trees::{Found, Trees};
use super::window::{MAX_CHUNK, View, Window};
use super::write::Sequence;
use super::{END, LONG_LENGTH, MAX_CODE_LENGTH, MIN_MATCH, SYMBOLS, count};
use crate::codec::bits::{low_16, low_32};
use crate::codec::huffman::{CodeBuilder, boxed};

/// How hard to work.
#[derive(Debug, Clone, Copy)]
pub(super) struct Work {
    /// Most candidates to look at for each position.
    pub(super) depth: u32,
    /// Length at which a match is taken without looking for better ones.
    pub(super) nice_length: usize,
    /// How often a way is searched.
    pub(super) passes: u32,
    /// Of a match so long that its length is not in the symbol: how many lengths less than the full one are tried.
    pub(super) thorough: usize,
}

/// Bits that a symbol costs which the result before did not have.
const UNUSED_BITS: u8 = 13;
/// Positions at the end of a very long match that are remembered. What lies before them is there a second time already.
const REMEMBERED: usize = 16;

/// Searches ways; keeps its tables between chunks.
#[derive(Debug)]
pub(super) struct Optimizer {
    work: Work,
    trees: Trees,
    /// The matches of all positions.
    found: Vec<Found>,
    /// Where the matches of each position end in `found`.
    ends: Box<[u32; MAX_CHUNK]>,
    /// Costs from each position to the end, in bits. Only a few more than the length of the chunk are used; the size saves checks.
    rest: Box<[u32; 2 * MAX_CHUNK]>,
    /// What to write at each position: length (without the 3) and offset, which is 0 for a literal.
    choice: Box<[(u16, u16); MAX_CHUNK]>,
    /// What each symbol costs, with its offset bits.
    costs: [u32; SYMBOLS],
}

impl Optimizer {
    pub(super) fn new(work: Work) -> Self {
        Self {
            work,
            trees: Trees::new(),
            found: Vec::new(),
            ends: boxed(0),
            rest: boxed(0),
            choice: boxed((0, 0)),
            costs: [0; SYMBOLS],
        }
    }

    /// Cuts the chunk into literals and matches. Sets the sequences and the frequencies of all symbols.
    pub(super) fn parse(
        &mut self,
        window: &Window,
        sequences: &mut Vec<Sequence>,
        frequencies: &mut [u32; SYMBOLS],
        builder: &mut CodeBuilder,
    ) {
        let view = window.view();
        self.find_all(view);
        self.guess(view, frequencies);
        let mut lengths = [0; SYMBOLS];
        for _ in 0..self.work.passes {
            builder.lengths(frequencies, MAX_CODE_LENGTH, &mut lengths);
            self.set_costs(&lengths);
            self.search(view);
            self.follow(view, sequences, frequencies);
        }
    }

    /// Finds the matches of all positions.
    fn find_all(&mut self, view: View<'_>) {
        let Work { depth, nice_length, .. } = self.work;
        self.trees.reset(view.len());
        self.found.clear();
        let mut position = 0;
        while position < view.hashed_end() {
            let before = self.found.len();
            self.trees.find(view, position, (depth, nice_length), &mut self.found);
            let longest = match self.found.last() {
                Some(longest) if self.found.len() > before => longest.whole_length(),
                _ => 0,
            };
            let mut next = position + 1;
            if longest >= nice_length {
                next = position + longest;
                let start = (position + 1).max(next.saturating_sub(REMEMBERED));
                self.trees.skip(view, start, next, (depth, nice_length));
            }
            self.ends[position..next].fill(low_32(self.found.len()));
            position = next;
        }
        self.ends[position..view.len()].fill(low_32(self.found.len()));
    }

    /// The matches of a position.
    #[inline(always)]
    fn found_at(&self, position: usize) -> &[Found] {
        let start = position.checked_sub(1).map_or(0, |before| self.ends[before]);
        let end = self.ends[position];
        self.found.get(start as usize..end as usize).unwrap_or_default()
    }

    /// Sets the frequencies of a way that takes the longest match wherever the next position has no better one.
    fn guess(&self, view: View<'_>, frequencies: &mut [u32; SYMBOLS]) {
        frequencies.fill(0);
        frequencies[END] = 1;
        // Bits saved, roughly: 6 for each byte, less the bits of the offset.
        let gain = |found: &Found| {
            6 * i32::from(found.length) + found.offset.leading_zeros().cast_signed()
        };
        let mut position = 0;
        while position < view.len() {
            let next = (position + 1).min(view.len() - 1);
            let longest = self.found_at(position).last().filter(|&found| {
                let later = self.found_at(next).last();
                // Three bytes far away cost as much as literals.
                later.is_none_or(|later| gain(later) <= gain(found) + 2)
                    && (found.length > 0 || found.offset < 2048)
            });
            if let Some(found) = longest {
                let sequence = Sequence::new(0, found.whole_length(), found.offset.into());
                count(frequencies, sequence.symbol());
                position += found.whole_length();
            } else {
                count(frequencies, view.byte(position).into());
                position += 1;
            }
        }
    }

    /// Sets the costs to those under a code.
    fn set_costs(&mut self, lengths: &[u8; SYMBOLS]) {
        for ((cost, &length), symbol) in self.costs.iter_mut().zip(lengths).zip(0u32..) {
            let bits = if length == 0 { UNUSED_BITS } else { length };
            let offset_bits = symbol.saturating_sub(256) >> 4;
            *cost = u32::from(bits) + offset_bits;
        }
    }

    /// From the end to the start: the cheapest way from each position.
    fn search(&mut self, view: View<'_>) {
        let size = view.len().min(MAX_CHUNK);
        self.rest[size] = 0;
        for position in (0..size).rev() {
            let literal = self.costs[usize::from(view.byte(position))];
            let literal = literal.wrapping_add(self.rest[position + 1]);
            let (cost, choice) = self.cheapest(position, literal);
            self.rest[position] = cost;
            self.choice[position] = choice;
        }
    }

    /// The cheaper of a literal, whose costs are given, and all matches at a position: the costs and the choice.
    #[inline(always)]
    fn cheapest(&self, position: usize, literal: u32) -> (u32, (u16, u16)) {
        let mut cheapest = literal;
        let mut choice = (0, 0);
        // Lengths are without the 3 here. Those that the match before has too are cheaper there.
        let mut length = 0usize;
        let behind = position.wrapping_add(MIN_MATCH);
        for found in self.found_at(position) {
            let longest = usize::from(found.length);
            let slot = (found.offset.leading_zeros() ^ 15) as usize & 15;
            let row = self.costs[END + 16 * slot..].first_chunk().unwrap_or(&[0; 16]);
            while length <= longest && length < LONG_LENGTH {
                let rest = self.rest[behind.wrapping_add(length) & (2 * MAX_CHUNK - 1)];
                let cost = row[length & 15].wrapping_add(rest);
                if cost < cheapest {
                    cheapest = cost;
                    choice = (low_16(length), found.offset);
                }
                length = length.wrapping_add(1);
            }
            if longest < LONG_LENGTH {
                continue;
            }
            // In a very long match all shorter lengths are near the start of the other end's matches: not worth the time.
            let very_long = longest >= self.work.nice_length;
            let less = if very_long { 0 } else { self.work.thorough };
            length = length.max(longest.saturating_sub(less));
            let symbol = row[LONG_LENGTH].wrapping_add(raw_bits(longest));
            while length <= longest {
                let rest = self.rest[behind.wrapping_add(length) & (2 * MAX_CHUNK - 1)];
                let cost = symbol.wrapping_add(rest);
                if cost < cheapest {
                    cheapest = cost;
                    choice = (low_16(length), found.offset);
                }
                length = length.wrapping_add(1);
            }
        }
        (cheapest, choice)
    }

    /// Walks the cheapest way.
    fn follow(
        &self,
        view: View<'_>,
        sequences: &mut Vec<Sequence>,
        frequencies: &mut [u32; SYMBOLS],
    ) {
        sequences.clear();
        frequencies.fill(0);
        frequencies[END] = 1;
        let (mut position, mut literals) = (0, 0);
        while position < view.len() {
            let (length, offset) = self.choice[position];
            if offset == 0 {
                count(frequencies, view.byte(position).into());
                literals += 1;
                position += 1;
            } else {
                let length = usize::from(length) + MIN_MATCH;
                let sequence = Sequence::new(literals, length, offset.into());
                count(frequencies, sequence.symbol());
                sequences.push(sequence);
                literals = 0;
                position += length;
            }
        }
    }
}

/// Bits of the raw bytes behind the symbol of a match, whose length (without the 3) is at least 15.
#[inline(always)]
fn raw_bits(length: usize) -> u32 {
    if length < LONG_LENGTH + 255 { 8 } else { 24 }
}
