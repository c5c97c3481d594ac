//! The parser of the high levels: the cheapest way through a block, by an estimate of costs that each pass makes better.
//!
//! All matches of a stretch of the chunk are found once ([`BinaryTrees`]) and kept. A quick parse of them tells where blocks end
//! ([`Splitter`]) and what symbols cost there. Then the cheapest path is sought: from each position, every literal, repeat and match leads
//! to a later position; each position keeps the cheapest way to it and the recent offsets that this way leaves. The path found
//! gives the costs of the next pass.

use super::costs::{Costs, Frequencies, LENGTHS, SLOTS};
use super::encode::Sequence;
use super::lazy::slot_of;
use super::split::Splitter;
use super::tables::{MIN_MATCH, OFFSET_ADJUSTMENT, SLOT_BASE};
use crate::codec::Level;
use crate::codec::bits::{low_8, low_16, low_32, low_half};
use crate::codec::huffman::boxed;
use crate::codec::matches::{Effort, Position, Window};
use crate::codec::trees::BinaryTrees;

/// Recent offsets that a match may repeat.
const REPEATS: u32 = 3;
/// Longest match.
const MAX_MATCH: usize = 257;
/// Slots of the largest window in which a short walk finds nearly all.
const LARGE_SLOTS: usize = 32;
/// What is added to quarters of occurrences before the first pass: what the quick parse does not use may still be good.
const FIRST_FLATTENING: u32 = 64;
/// Bytes whose matches are found at once; no block is longer.
const STRETCH: usize = 256 << 10;
/// Bits of a match length in a [`Step`] and in the found matches.
const LENGTH_BITS: u32 = 9;
const LENGTH_MASK: u32 = (1 << LENGTH_BITS) - 1;
/// Cost of a position that no way leads to yet.
const FAR: u64 = u64::MAX;

/// Most matches of one position, and more; a power of two.
const MOST_FOUND: usize = 256;

/// How the cheapest way reaches a position: the length (1 for a literal) and above it the formatted offset or the index of a repeat.
type Step = u32;

/// The three recent offsets, 21 bits each, the newest lowest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Recent(u64);

impl Recent {
    const BITS: u32 = 21;
    const MASK: u64 = (1 << Self::BITS) - 1;
    /// At the start of a chunk.
    const START: Self = Self(1 | 1 << Self::BITS | 1 << (2 * Self::BITS));

    #[inline(always)]
    fn get(self, index: u32) -> usize {
        (self.0.wrapping_shr(index.wrapping_mul(Self::BITS)) & Self::MASK) as usize
    }

    /// After a match with a new offset.
    #[inline(always)]
    fn push(self, offset: u32) -> Self {
        Self((self.0 << Self::BITS | u64::from(offset)) & ((1 << (3 * Self::BITS)) - 1))
    }

    /// After a repeat.
    #[inline(always)]
    fn repeat(self, index: u32) -> Self {
        let at = index.wrapping_mul(Self::BITS);
        let different = (self.0 ^ self.0.wrapping_shr(at)) & Self::MASK;
        Self(self.0 ^ different ^ different.wrapping_shl(at))
    }

    /// After a step.
    #[inline(always)]
    fn after(self, step: Step) -> Self {
        let value = step >> LENGTH_BITS;
        if step & LENGTH_MASK == 1 {
            self
        } else if value < REPEATS {
            self.repeat(value)
        } else {
            self.push(value.wrapping_sub(OFFSET_ADJUSTMENT))
        }
    }
}

/// How hard to try. The values are measured: what a little more of each costs in time against what it saves in size.
#[derive(Debug, Clone, Copy)]
struct Settings {
    effort: Effort,
    /// Most steps in a tree to remember a position that a long match covers.
    covered_depth: u32,
    /// How often the cheapest way is sought.
    passes: u32,
    /// A match of this length is taken at once in all passes but the last, which are for the costs alone.
    early_nice_length: usize,
}

/// Cuts chunks into blocks of sequences.
#[derive(Debug)]
pub(super) struct Parser<P, const SIZE: usize, const FOURS: usize> {
    settings: Settings,
    trees: BinaryTrees<P, SIZE, FOURS>,
    found: Found,
    splitter: Splitter,
    frequencies: Frequencies,
    costs: Costs,
    path: Path,
    /// The recent offsets where the next block starts.
    recent: Recent,
}

/// Matches of a stretch of the chunk.
#[derive(Debug)]
struct Found {
    /// Position of the start.
    start: usize,
    /// For each position of the stretch, and its end: where its matches start.
    starts: Vec<u32>,
    /// Formatted offset and length, as in a [`Step`], by growing length.
    matches: Vec<u64>,
    /// How many there are; more room lies behind them.
    count: usize,
    /// No matches were sought before this position: a long one covers it.
    covered: usize,
}

impl Found {
    /// Forgets what is before `start`.
    fn start_at(&mut self, start: usize) {
        if self.starts.is_empty() {
            self.starts.push(0);
        }
        let gone = start - self.start;
        let first = self.starts[gone];
        self.starts.drain(..gone);
        for at in &mut self.starts {
            *at -= first;
        }
        self.matches.copy_within(first as usize..self.count, 0);
        self.count -= first as usize;
        self.start = start;
    }

    /// Room for the matches of one position.
    #[inline(always)]
    fn room(&mut self) -> &mut [u64; MOST_FOUND] {
        if self.matches.len() < self.count + MOST_FOUND {
            self.matches.resize(2 * self.matches.len() + MOST_FOUND, 0);
        }
        self.matches[self.count..].first_chunk_mut().expect("made room above")
    }

    /// The matches at a position of the stretch.
    #[inline(always)]
    fn at(&self, position: usize) -> &[u64] {
        let index = position.wrapping_sub(self.start);
        let range = self.starts.get(index..).and_then(<[u32]>::first_chunk::<2>);
        range.and_then(|&[from, to]| self.matches.get(from as usize..to as usize)).unwrap_or(&[])
    }
}

/// The cheapest ways to the positions of a block.
#[derive(Debug)]
struct Path {
    /// For each position, and some behind the end: the cost, and below it, in 32 bits, the [`Step`].
    ways: Vec<u64>,
    recent: Box<[Recent; LENGTHS]>,
}

impl<P: Position, const SIZE: usize, const FOURS: usize> Parser<P, SIZE, FOURS> {
    pub(super) fn new(level: Level, slots: usize) -> Self {
        let large = slots > LARGE_SLOTS;
        let settings = match level {
            Level::Max => Settings {
                effort: Effort { depth: 48, nice_length: 128 },
                covered_depth: 16,
                passes: 3,
                early_nice_length: 16,
            },
            _ => Settings {
                effort: Effort { depth: if large { 32 } else { 16 }, nice_length: 48 },
                covered_depth: if large { 24 } else { 6 },
                passes: 2,
                early_nice_length: 8,
            },
        };
        Self {
            settings,
            trees: BinaryTrees::new(),
            found: Found {
                start: 0,
                starts: Vec::new(),
                matches: Vec::new(),
                count: 0,
                covered: 0,
            },
            splitter: Splitter::new(if large { 1000 } else { 1500 }, 0),
            frequencies: Frequencies::new(),
            costs: Costs::new(slots),
            path: Path { ways: Vec::new(), recent: boxed(Recent::START) },
            recent: Recent::START,
        }
    }

    /// Starts a chunk.
    pub(super) fn reset(&mut self) {
        self.trees.reset();
        self.found.start = 0;
        self.found.starts.clear();
        self.found.count = 0;
        self.found.covered = 0;
        self.recent = Recent::START;
    }

    /// Replaces `sequences` by those of the block that starts at `start`, where the block before ended; returns its end.
    pub(super) fn next_block(
        &mut self,
        window: &Window<SIZE>,
        start: usize,
        sequences: &mut Vec<Sequence>,
    ) -> usize {
        self.find_matches(window, start);
        let stretch_end = start + self.found.starts.len() - 1;
        sequences.clear();
        self.parse_quickly(window, start, stretch_end, sequences);
        let data = &window.chunk()[start..stretch_end];
        let taken = self.splitter.next_block(data, sequences);
        sequences.truncate(taken);
        let size = sequences.iter().map(|sequence| sequence.size()).sum::<usize>();
        let end = start + size;
        for pass in 1..=self.settings.passes {
            self.frequencies.count(&data[..size], sequences);
            self.costs.update(&self.frequencies, if pass == 1 { FIRST_FLATTENING } else { 0 });
            let nice_length = match pass == self.settings.passes {
                true => self.settings.effort.nice_length,
                false => self.settings.early_nice_length,
            };
            let bounds = (start, end);
            self.path.find(window, bounds, &self.found, &self.costs, self.recent, nice_length);
            self.path.sequences(sequences);
        }
        for sequence in sequences.iter().filter(|sequence| sequence.length != 0) {
            let value = if u32::from(sequence.slot) < REPEATS {
                sequence.slot.into()
            } else {
                SLOT_BASE[usize::from(sequence.slot)] + sequence.extra
            };
            self.recent = self.recent.after(value << LENGTH_BITS);
        }
        end
    }

    /// Finds the matches of the stretch that starts at `start`; keeps those that are known already.
    fn find_matches(&mut self, window: &Window<SIZE>, start: usize) {
        let found = &mut self.found;
        found.start_at(start);
        let end = window.len().min(start + STRETCH);
        let effort = self.settings.effort;
        let covered = Effort { depth: self.settings.covered_depth, ..effort };
        for position in start + found.starts.len() - 1..end {
            let most = MAX_MATCH.min(window.len().wrapping_sub(position));
            if position < found.covered {
                self.trees.skip(window, position, most, covered);
            } else {
                let longest = find_at(&mut self.trees, window, position, most, effort, found);
                if longest >= effort.nice_length {
                    found.covered = position.wrapping_add(longest);
                }
            }
            found.starts.push(low_32(found.count));
        }
    }

    /// Parses a stretch by taking the longest match, or the repeat that is nearly as long.
    fn parse_quickly(
        &self,
        window: &Window<SIZE>,
        start: usize,
        end: usize,
        sequences: &mut Vec<Sequence>,
    ) {
        let mut recent = self.recent;
        let mut literals = 0u32;
        let mut position = start;
        while position < end {
            let mut step = 0;
            let most = MAX_MATCH.min(end - position);
            if let Some(&longest) = self.found.at(position).last() {
                let longest = low_half(longest);
                let length = ((longest & LENGTH_MASK) as usize).min(most);
                let near = match length {
                    ..=2 => 0,
                    3 => 1 << 11,
                    4 => 1 << 15,
                    _ => u32::MAX,
                };
                if longest >> LENGTH_BITS < near {
                    step = longest & !LENGTH_MASK | low_32(length);
                }
            }
            let length = (step & LENGTH_MASK) as usize;
            for index in 0..REPEATS {
                let offset = recent.get(index);
                if offset > position {
                    continue;
                }
                let repeat = window.common_length(position - offset, position, most);
                if repeat >= 2 && repeat + 2 >= length {
                    step = index << LENGTH_BITS | low_32(repeat);
                    break;
                }
            }
            if step == 0 {
                literals += 1;
                position += 1;
                continue;
            }
            sequences.push(sequence(literals, step));
            recent = recent.after(step);
            literals = 0;
            position += (step & LENGTH_MASK) as usize;
        }
        if literals != 0 {
            sequences.push(Sequence { literals, extra: 0, length: 0, slot: 0 });
        }
    }
}

impl Path {
    /// Finds the cheapest way from the start to the end of a block.
    #[inline(never)]
    fn find<const SIZE: usize>(
        &mut self,
        window: &Window<SIZE>,
        (start, end): (usize, usize),
        found: &Found,
        costs: &Costs,
        recent_at_start: Recent,
        nice_length: usize,
    ) {
        self.ways.clear();
        self.ways.resize(end - start + LENGTHS, FAR);
        self.ways[0] = 0;
        let mut position = start;
        while position < end {
            let index = position.wrapping_sub(start);
            let most = MAX_MATCH.min(end.wrapping_sub(position));
            let ahead = self.ways.get_mut(index..).and_then(<[u64]>::first_chunk_mut::<LENGTHS>);
            let Some(ahead) = ahead else { return };
            let step = low_half(ahead[0]);
            let here = ahead[0] & 0xFFFF_FFFF_0000_0000;
            let before = index.wrapping_sub((step & LENGTH_MASK) as usize);
            let recent = if index == 0 {
                recent_at_start
            } else {
                self.recent[before & (LENGTHS - 1)].after(step)
            };
            self.recent[index & (LENGTHS - 1)] = recent;
            let literal = here.wrapping_add(costs.literal[usize::from(window.byte(position))]);
            ahead[1] = ahead[1].min(literal);
            if most < MIN_MATCH {
                break;
            }
            let first = window.load(position);
            // One hard to predict branch for all three.
            let same = |repeat: u32| {
                let offset = recent.get(repeat);
                let different = (window.load(position.wrapping_sub(offset)) ^ first) << 16;
                u32::from((different == 0) & (offset <= position)).wrapping_shl(repeat)
            };
            let mut repeats = same(0) | same(1) | same(2);
            let mut enough = 1usize;
            // Lengths that a cheaper kind of match offers are not looked at again.
            let mut shortest = MIN_MATCH;
            while repeats != 0 {
                let repeat = repeats.trailing_zeros();
                repeats &= repeats.wrapping_sub(1);
                let at = position.wrapping_sub(recent.get(repeat));
                let length = window.common_length_from(at, position, 2, most);
                let row = &costs.matches[repeat as usize & (SLOTS - 1)];
                let base = here | u64::from(repeat << LENGTH_BITS);
                if length >= nice_length {
                    relax(ahead, row, (length, length), base);
                    enough = length;
                    break;
                }
                if length >= shortest {
                    relax(ahead, row, (shortest, length), base);
                    shortest = length.wrapping_add(1);
                }
            }
            if enough == 1 {
                for &one in found.at(position) {
                    let length = ((low_half(one) & LENGTH_MASK) as usize).min(most);
                    if length < shortest {
                        continue;
                    }
                    let slot = (one >> 32) as usize & (SLOTS - 1);
                    let low_bits = costs.aligned
                        [((one >> LENGTH_BITS & 7) as usize) | (usize::from(slot >= 8) << 3)];
                    let row = &costs.matches[slot];
                    if length >= nice_length {
                        shortest = length;
                        enough = length;
                    }
                    let base = here.wrapping_add(low_bits) | (one & 0xFFFF_FE00);
                    relax(ahead, row, (shortest, length), base);
                    shortest = length.wrapping_add(1);
                }
            }
            position = position.wrapping_add(enough);
        }
    }

    /// Replaces `sequences` by those of the way found.
    fn sequences(&self, sequences: &mut Vec<Sequence>) {
        sequences.clear();
        let mut index = self.ways.len() - LENGTHS;
        // Backwards, so the literals are counted for the sequence that comes before in the list.
        let mut literals = 0u32;
        while index != 0 {
            let step = low_half(self.ways[index]);
            let length = (step & LENGTH_MASK) as usize;
            if length == 1 {
                literals += 1;
            } else {
                if let Some(last) = sequences.last_mut() {
                    last.literals = literals;
                } else if literals != 0 {
                    sequences.push(Sequence { literals, extra: 0, length: 0, slot: 0 });
                }
                sequences.push(sequence(0, step));
                literals = 0;
            }
            index -= length;
        }
        match sequences.last_mut() {
            Some(last) => last.literals = literals,
            None => sequences.push(Sequence { literals, extra: 0, length: 0, slot: 0 }),
        }
        sequences.reverse();
    }
}

/// Finds the matches at a position; returns the length of the longest, which is right where it is enough.
#[inline(always)]
fn find_at<P: Position, const SIZE: usize, const FOURS: usize>(
    trees: &mut BinaryTrees<P, SIZE, FOURS>,
    window: &Window<SIZE>,
    position: usize,
    most: usize,
    effort: Effort,
    found: &mut Found,
) -> usize {
    let room = found.room();
    let mut count = 0usize;
    trees.find(window, position, most, effort, |length, offset| {
        let formatted = low_32(offset).wrapping_add(OFFSET_ADJUSTMENT);
        room[count & (MOST_FOUND - 1)] =
            u64::from(formatted) << LENGTH_BITS | u64::from(low_32(length));
        count = count.wrapping_add(1);
    });
    let count = count.min(MOST_FOUND);
    let mut longest = 0;
    for one in &mut room[..count] {
        let formatted = low_half(*one) >> LENGTH_BITS;
        longest = low_half(*one) & LENGTH_MASK;
        *one |= (slot_of(formatted) as u64) << 32;
    }
    let mut longest = longest as usize;
    if longest >= effort.nice_length {
        // No longer compared than this so far.
        let last = &mut room[count.wrapping_sub(1) & (MOST_FOUND - 1)];
        let offset = (low_half(*last) >> LENGTH_BITS).wrapping_sub(OFFSET_ADJUSTMENT);
        let earlier = position.wrapping_sub(offset as usize);
        longest = window.common_length_from(earlier, position, longest, most);
        *last = *last & !u64::from(LENGTH_MASK) | longest as u64;
    }
    found.count = found.count.wrapping_add(count);
    longest
}

/// Offers the lengths of a match, from one to another, as ways from here.
#[inline(always)]
fn relax(ahead: &mut [u64; LENGTHS], row: &[u64; LENGTHS], (from, to): (usize, usize), base: u64) {
    let range = from..(to & (LENGTHS - 1)).wrapping_add(1);
    let (Some(ahead), Some(row)) = (ahead.get_mut(range.clone()), row.get(range)) else { return };
    for (way, &cost) in ahead.iter_mut().zip(row) {
        *way = (*way).min(base.wrapping_add(cost));
    }
}

/// The sequence of a step that is a match.
#[inline(always)]
fn sequence(literals: u32, step: Step) -> Sequence {
    let length = low_16((step & LENGTH_MASK) as usize);
    let value = step >> LENGTH_BITS;
    if value < REPEATS {
        return Sequence { literals, extra: 0, length, slot: low_8(value as usize) };
    }
    let slot = slot_of(value);
    let base = SLOT_BASE.get(slot).copied().unwrap_or(0);
    Sequence { literals, extra: value.wrapping_sub(base), length, slot: low_8(slot) }
}
