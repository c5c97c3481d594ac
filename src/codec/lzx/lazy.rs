//! The parser of the fast level: at each position the best match by an estimate of the bits saved, unless the next position
//! or the one after it has a better one.

use super::encode::Sequence;
use super::tables::{OFFSET_ADJUSTMENT, RECENT_OFFSETS, SLOT_BASE};
use crate::codec::Level;
use crate::codec::matches::{Effort, HashChains, Match, Position, common_length, load};

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

/// Cuts chunks into sequences.
#[derive(Debug)]
pub(super) struct Parser<P, const FOURS: usize> {
    effort: Effort,
    chains: HashChains<P, FOURS, 4_096>,
}

impl<P: Position, const FOURS: usize> Parser<P, FOURS> {
    pub(super) fn new(chunk_size: usize, level: Level) -> Self {
        let effort = match level {
            Level::Fast => Effort { depth: 16, nice_length: 32 },
        };
        Self { effort, chains: HashChains::new(chunk_size) }
    }

    /// Appends the sequences of `chunk`; together they cover it exactly.
    pub(super) fn parse(&mut self, chunk: &[u8], sequences: &mut Vec<Sequence>) {
        self.chains.reset();
        let effort = self.effort;
        let quick = Effort { depth: effort.depth / 2, ..effort };
        let mut recent = [1usize; RECENT_OFFSETS];
        let mut literals = 0u32;
        let mut position = 0usize;
        while position < chunk.len() {
            let mut choice = self.choose(chunk, position, effort, &recent);
            if choice.found.length == 0 {
                literals = literals.wrapping_add(1);
                position = position.wrapping_add(1);
                continue;
            }
            let mut known = 1usize;
            while choice.found.length < effort.nice_length {
                let next = position.wrapping_add(1);
                let later = self.choose(chunk, next, quick, &recent);
                known = 2;
                if later.found.gain <= choice.found.gain.wrapping_add(LAZY_MARGIN) {
                    break;
                }
                known = 1;
                literals = literals.wrapping_add(1);
                position = next;
                choice = later;
            }
            sequences.push(sequence(literals, choice, &mut recent));
            literals = 0;
            let end = position.wrapping_add(choice.found.length);
            self.chains.skip(chunk, position.wrapping_add(known), end);
            position = end;
        }
        if literals != 0 {
            sequences.push(Sequence { literals, extra: 0, length: 0, slot: 0 });
        }
    }

    /// The best that `position` offers, which is also remembered in the chains.
    #[inline(always)]
    fn choose(
        &mut self,
        chunk: &[u8],
        position: usize,
        effort: Effort,
        recent: &[usize; RECENT_OFFSETS],
    ) -> Choice {
        let found = self.chains.find(chunk, position, MAX_MATCH, effort, gain);
        let mut choice = Choice { found, recent: RECENT_OFFSETS };
        let Some(first) = load(chunk, position) else { return choice };
        for (index, &offset) in recent.iter().enumerate() {
            if offset > position {
                continue;
            }
            let at = position.wrapping_sub(offset);
            if load(chunk, at).is_none_or(|bytes| (bytes ^ first) & 0xFFFF != 0) {
                continue;
            }
            let most = MAX_MATCH.min(chunk.len().wrapping_sub(position));
            let length = common_length(chunk, at, position, most);
            let gain = repeat_gain(length);
            if gain > choice.found.gain {
                choice = Choice { found: Match { length, offset, gain }, recent: index };
            }
        }
        choice
    }
}

/// Bits that a match saves, roughly.
#[inline(always)]
fn gain(length: usize, offset: usize) -> i32 {
    let offset_bits = usize::BITS.wrapping_sub(offset.leading_zeros()).cast_signed();
    length_gain(length).wrapping_sub(offset_bits).wrapping_sub(6)
}

/// Bits that the repeat of a recent offset saves, roughly.
#[inline(always)]
fn repeat_gain(length: usize) -> i32 {
    length_gain(length).wrapping_sub(6)
}

#[inline(always)]
fn length_gain(length: usize) -> i32 {
    ((length & 0xFFFF) as i32).wrapping_mul(6)
}

/// The sequence of a choice; brings the recent offsets up to date.
#[inline(always)]
fn sequence(literals: u32, choice: Choice, recent: &mut [usize; RECENT_OFFSETS]) -> Sequence {
    let length = (choice.found.length & 0xFFFF) as u16;
    if let Some(&repeated) = recent.get(choice.recent) {
        recent[choice.recent] = recent[0];
        recent[0] = repeated;
        let slot = (choice.recent & 3) as u8;
        return Sequence { literals, extra: 0, length, slot };
    }
    let offset = choice.found.offset;
    *recent = [offset, recent[0], recent[1]];
    let formatted = ((offset & 0xFFFF_FFFF) as u32).wrapping_add(OFFSET_ADJUSTMENT);
    let slot = slot_of(formatted);
    let base = SLOT_BASE.get(slot).copied().unwrap_or(0);
    Sequence { literals, extra: formatted.wrapping_sub(base), length, slot: (slot & 63) as u8 }
}

/// The slot of a formatted offset (3 and more).
#[inline(always)]
fn slot_of(formatted: u32) -> usize {
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
        for formatted in 3..(2 << 20) + 2 {
            let slot = slot_of(formatted);
            assert!(SLOT_BASE[slot] <= formatted, "{formatted}");
            assert!(formatted - SLOT_BASE[slot] < 1 << EXTRA_BITS[slot], "{formatted}");
        }
    }
}
