//! The parser of the low levels: at each position the best match by an estimate of the bits saved. [`Level::Default`] looks whether the
//! next position has a better one; [`Level::Fast`] takes what it has found, and remembers fewer positions.

use super::encode::Sequence;
use super::tables::{OFFSET_ADJUSTMENT, RECENT_OFFSETS, SLOT_BASE};
use crate::codec::Level;
use crate::codec::bits::{low_8, low_16, low_32};
use crate::codec::matches::{Effort, HashChains, Match, Position, Window};

/// Longest match.
const MAX_MATCH: usize = 257;
/// Bits that a match at the next position must save more to be preferred.
const LAZY_MARGIN: i32 = 2;

/// What a position offers: a match with an explicit offset, or one of the recent ones.
#[derive(Debug, Clone, Copy)]
struct Choice {
    found: Match,
    /// Index of the recent offset that it repeats; [`RECENT_OFFSETS`] if none.
    recent: usize,
}

/// By how much the fast level shifts the number of literals in a row to know how many more positions to pass over.
const HURRY_SHIFT: u32 = 6;

/// Cuts chunks into sequences.
#[derive(Debug)]
pub(super) struct Parser<P, const SIZE: usize, const FOURS: usize> {
    effort: Effort,
    /// Whether the next position is asked too.
    lazy: bool,
    chains: HashChains<P, SIZE, FOURS>,
}

/// Positions at the end of each match that [`Level::Fast`] remembers.
const FAST_REMEMBERED: usize = 6;

impl<P: Position, const SIZE: usize, const FOURS: usize> Parser<P, SIZE, FOURS> {
    pub(super) fn new(level: Level) -> Self {
        let (effort, lazy) = match level {
            Level::Fast => (Effort { depth: 2, nice_length: 24 }, false),
            _ => (Effort { depth: 8, nice_length: 32 }, true),
        };
        Self { effort, lazy, chains: HashChains::new() }
    }

    /// Appends the sequences of the chunk; together they cover it exactly.
    pub(super) fn parse(&mut self, window: &Window<SIZE>, sequences: &mut Vec<Sequence>) {
        self.chains.reset();
        if self.lazy {
            self.parse_with::<true>(window, sequences);
        } else {
            self.parse_with::<false>(window, sequences);
        }
    }

    fn parse_with<const LAZY: bool>(
        &mut self,
        window: &Window<SIZE>,
        sequences: &mut Vec<Sequence>,
    ) {
        let effort = self.effort;
        let quick = Effort { depth: effort.depth / 2, ..effort };
        let mut recent = [1usize; RECENT_OFFSETS];
        let mut literals = 0u32;
        let mut position = 0usize;
        let mut since_match = 0usize;
        while position < window.len() {
            let mut choice = self.choose(window, position, effort, 0, &recent);
            if choice.found.length == 0 {
                // The fast level hurries through what does not compress.
                let hurry = if LAZY { 0 } else { since_match >> HURRY_SHIFT };
                let step = hurry.wrapping_add(1).min(window.len().wrapping_sub(position));
                since_match = since_match.wrapping_add(step);
                literals = literals.wrapping_add(low_32(step));
                position = position.wrapping_add(step);
                continue;
            }
            let mut known = 1usize;
            while LAZY && choice.found.length < effort.nice_length {
                let next = position.wrapping_add(1);
                let least_gain = choice.found.gain.wrapping_add(LAZY_MARGIN);
                let later = self.choose(window, next, quick, least_gain, &recent);
                known = 2;
                if later.found.length == 0 {
                    break;
                }
                known = 1;
                literals = literals.wrapping_add(1);
                position = next;
                choice = later;
            }
            sequences.push(sequence(literals, choice, &mut recent));
            literals = 0;
            since_match = 0;
            let end = position.wrapping_add(choice.found.length);
            let mut start = position.wrapping_add(known);
            if !LAZY {
                start = start.max(end.wrapping_sub(FAST_REMEMBERED));
            }
            self.chains.skip(window, start, end);
            position = end;
        }
        if literals != 0 {
            sequences.push(Sequence { literals, extra: 0, length: 0, slot: 0 });
        }
    }

    /// The best that `position` offers above `least_gain`. The position is also remembered in the chains.
    #[inline(always)]
    fn choose(
        &mut self,
        window: &Window<SIZE>,
        position: usize,
        effort: Effort,
        least_gain: i32,
        recent: &[usize; RECENT_OFFSETS],
    ) -> Choice {
        let most = MAX_MATCH.min(window.len().wrapping_sub(position));
        let none = Match { length: 0, offset: 0, gain: least_gain };
        let mut choice = Choice { found: none, recent: RECENT_OFFSETS };
        let first = window.load(position);
        for (index, &offset) in recent.iter().enumerate() {
            let at = position.wrapping_sub(offset);
            // Repeats of two bytes save little, and looking at them costs much time. So does looking behind the first hit.
            if (window.load(at) ^ first) << 8 != 0 || offset > position || most < 3 {
                continue;
            }
            let length = window.common_length(at, position, most);
            let gain = repeat_gain(length);
            if gain > least_gain {
                choice = Choice { found: Match { length, offset, gain }, recent: index };
            }
            break;
        }
        // Shorter ones can not gain enough, whatever their offset.
        let least_gain = choice.found.gain;
        let longer_than =
            (least_gain.wrapping_add(MATCH_BITS) / LITERAL_BITS).cast_unsigned() as usize;
        let bounds = (least_gain, longer_than);
        let found = self.chains.find(window, position, most, effort, bounds, gain);
        if found.length != 0 {
            choice = Choice { found, recent: RECENT_OFFSETS };
        }
        choice
    }
}

/// Bits of a literal, roughly.
const LITERAL_BITS: i32 = 6;
/// Bits of a match besides its offset, roughly.
const MATCH_BITS: i32 = 6;

/// Bits that a match saves, roughly.
#[inline(always)]
fn gain(length: usize, offset: usize) -> i32 {
    let offset_bits = usize::BITS.wrapping_sub(offset.leading_zeros()).cast_signed();
    length_gain(length).wrapping_sub(offset_bits).wrapping_sub(MATCH_BITS)
}

/// Bits that the repeat of a recent offset saves, roughly.
#[inline(always)]
fn repeat_gain(length: usize) -> i32 {
    length_gain(length).wrapping_sub(MATCH_BITS)
}

#[inline(always)]
fn length_gain(length: usize) -> i32 {
    i32::from(low_16(length)).wrapping_mul(LITERAL_BITS)
}

/// The sequence of a choice; brings the recent offsets up to date.
#[inline(always)]
fn sequence(literals: u32, choice: Choice, recent: &mut [usize; RECENT_OFFSETS]) -> Sequence {
    let length = low_16(choice.found.length);
    if let Some(&repeated) = recent.get(choice.recent) {
        recent[choice.recent] = recent[0];
        recent[0] = repeated;
        let slot = low_8(choice.recent);
        return Sequence { literals, extra: 0, length, slot };
    }
    let offset = choice.found.offset;
    *recent = [offset, recent[0], recent[1]];
    let formatted = low_32(offset).wrapping_add(OFFSET_ADJUSTMENT);
    let slot = slot_of(formatted);
    let base = SLOT_BASE.get(slot).copied().unwrap_or(0);
    Sequence { literals, extra: formatted.wrapping_sub(base), length, slot: low_8(slot) }
}

/// The slot of a formatted offset (3 and more).
#[inline(always)]
pub(super) fn slot_of(formatted: u32) -> usize {
    const WIDE: u32 = SLOT_BASE[36];
    if formatted >= WIDE {
        return 36 + ((formatted - WIDE) >> 17) as usize;
    }
    // Below, each power of two has two slots.
    let power = 31u32.wrapping_sub(formatted.leading_zeros());
    let half = formatted.wrapping_shr(power.wrapping_sub(1)) & 1;
    (2 * power + half) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::lzx::tables::EXTRA_BITS;

    #[test]
    fn every_offset_has_its_slot() {
        for formatted in 3..2 << 20 {
            let slot = slot_of(formatted);
            assert!(SLOT_BASE[slot] <= formatted, "{formatted}");
            assert!(formatted - SLOT_BASE[slot] < 1 << EXTRA_BITS[slot], "{formatted}");
        }
    }
}
