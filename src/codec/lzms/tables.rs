//! Slots: how offsets and lengths become a symbol of a Huffman code and plain bits.
//!
//! A slot stands for a range of values; how many plain bits choose within it grows in steps. Slots with the same number of bits form a
//! *group*, and a value's slot follows from its group by a shift.

use crate::codec::bits::low_32;

/// Symbols of the literal code.
pub(super) const LITERALS: usize = 256;
/// Slots of offsets of the largest chunks.
pub(super) const OFFSET_SLOTS: usize = 799;
/// Slots of match lengths.
pub(super) const LENGTH_SLOTS: usize = 54;
/// Symbols of the code of delta powers.
pub(super) const POWERS: usize = 8;

/// Plain bits of a slot, and the number of slots with so many.
type Run = (u8, u16);

const OFFSET_RUNS: [Run; 21] = [
    (0, 8),
    (2, 9),
    (3, 7),
    (4, 10),
    (5, 15),
    (6, 15),
    (7, 20),
    (8, 20),
    (9, 30),
    (10, 33),
    (11, 40),
    (12, 42),
    (13, 45),
    (14, 60),
    (15, 73),
    (16, 80),
    (17, 85),
    (18, 95),
    (19, 105),
    (20, 6),
    (30, 1),
];

const LENGTH_RUNS: [Run; 13] = [
    (0, 26),
    (1, 4),
    (2, 6),
    (3, 4),
    (4, 5),
    (5, 2),
    (6, 1),
    (7, 1),
    (8, 1),
    (9, 1),
    (10, 1),
    (16, 1),
    (30, 1),
];

/// The values that a slot stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot {
    /// The lowest.
    pub(super) base: u32,
    /// Plain bits that are added to it.
    pub(super) bits: u32,
}

/// The slots of offsets (LZ offsets, and delta offsets before their shift). The length is a power of two, so that no index needs a check;
/// those behind the last slot are never used.
pub(super) static OFFSETS: [Slot; 1024] = slots(&OFFSET_RUNS);
/// The slots of lengths, likewise.
pub(super) static LENGTHS: [Slot; 64] = slots(&LENGTH_RUNS);

const fn slots<const SIZE: usize>(runs: &[Run]) -> [Slot; SIZE] {
    let mut slots = [Slot { base: 1, bits: 0 }; SIZE];
    let (mut run, mut slot, mut base) = (0, 0, 1);
    while run < runs.len() {
        let (bits, count) = runs[run];
        let mut i = 0;
        while i < count {
            slots[slot] = Slot { base, bits: bits as u32 };
            base += 1 << bits;
            slot += 1;
            i += 1;
        }
        run += 1;
    }
    slots
}

/// Finds the slot of a value: where the groups start, and where to begin looking for a value of so many bits.
#[derive(Debug)]
struct Groups<const COUNT: usize> {
    /// First value, first slot and plain bits of each group.
    groups: [(u32, u32, u32); COUNT],
    /// For each bit length of a value the first group that may hold it.
    first: [u8; 33],
}

static OFFSET_GROUPS: Groups<21> = groups(&OFFSET_RUNS);
static LENGTH_GROUPS: Groups<13> = groups(&LENGTH_RUNS);

const fn groups<const COUNT: usize>(runs: &[Run; COUNT]) -> Groups<COUNT> {
    let mut groups = [(0, 0, 0); COUNT];
    let (mut slot, mut base, mut i) = (0u32, 1u32, 0);
    while i < COUNT {
        let (bits, count) = runs[i];
        groups[i] = (base, slot, bits as u32);
        slot += count as u32;
        base += (count as u32) << bits;
        i += 1;
    }
    let mut first = [0u8; 33];
    let mut length = 1;
    while length < 33 {
        let lowest = 1u32 << (length - 1);
        let mut group = 0u8;
        while (group as usize) + 1 < COUNT && groups[group as usize + 1].0 <= lowest {
            group += 1;
        }
        first[length] = group;
        length += 1;
    }
    Groups { groups, first }
}

impl<const COUNT: usize> Groups<COUNT> {
    #[inline(always)]
    fn slot(&self, value: u32) -> usize {
        let length = 32u32.wrapping_sub(value.leading_zeros());
        let mut group = usize::from(self.first[length as usize]);
        while self.groups.get(group.wrapping_add(1)).is_some_and(|next| next.0 <= value) {
            group = group.wrapping_add(1);
        }
        let (base, slot, bits) = self.groups[group];
        (value.wrapping_sub(base).wrapping_shr(bits)).wrapping_add(slot) as usize
    }
}

/// The slot of an offset, which is not 0.
#[inline(always)]
pub(super) fn offset_slot(offset: u32) -> usize {
    OFFSET_GROUPS.slot(offset)
}

/// The slot of a length, which is not 0.
#[inline(always)]
pub(super) fn length_slot(length: u32) -> usize {
    LENGTH_GROUPS.slot(length)
}

/// How many offset slots the codes of a chunk of `size` bytes have.
pub(super) fn offset_slots(size: usize) -> usize {
    match size {
        0..=1 => 1,
        _ => (offset_slot(low_32(size - 1)) + 1).min(OFFSET_SLOTS),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_as_many_as_the_format_says() {
        for (size, slots) in [
            (0, 1),
            (1, 1),
            (2, 1),
            (3, 2),
            (32 << 10, 142),
            (128 << 10, 203),
            (1 << 20, 317),
            (32 << 20, 643),
            (64 << 20, 729),
            (128 << 20, 799),
            (1 << 30, 799),
        ] {
            assert_eq!(offset_slots(size), slots, "{size}");
        }
        let last = OFFSETS[OFFSET_SLOTS - 1];
        assert_eq!(last.base + (1 << last.bits), 0x465B_E4A5);
        let last = LENGTHS[LENGTH_SLOTS - 1];
        assert_eq!(last.base + (1 << last.bits), 0x4001_08AB);
    }

    #[test]
    fn every_slot_holds_its_first_and_last_value() {
        for (slot, values) in OFFSETS[..OFFSET_SLOTS].iter().enumerate() {
            let last = values.base + ((1 << values.bits) - 1);
            assert_eq!((offset_slot(values.base), offset_slot(last)), (slot, slot));
        }
        for (slot, values) in LENGTHS[..LENGTH_SLOTS].iter().enumerate() {
            let last = values.base + ((1 << values.bits) - 1);
            assert_eq!((length_slot(values.base), length_slot(last)), (slot, slot));
        }
    }
}
