//! What items cost with the codes and probabilities of the moment, in parts of a bit.

use super::stream::Stream;
use crate::codec::bits::low_32;
use crate::codec::lzms::model::{Class, Probability};
use crate::codec::lzms::tables::{LENGTHS, OFFSETS, Slot, length_slot, offset_slot};

/// Parts of a bit: 2 to this power.
const FRACTION: u32 = 6;
/// Lengths whose cost is in a table.
const SHORT: usize = 1024;

/// Costs of a decision that so many of 64 times is what it is now.
static DECISIONS: [u32; 64] = decisions();

/// 64 · log2(64 / `times`), rounded; by repeated squaring, as no logarithm is there at compile time.
const fn decisions() -> [u32; 64] {
    let mut costs = [0; 64];
    let mut times = 1u32;
    while times < 64 {
        // The logarithm in 1/256: whole bits, then one bit of the fraction for each squaring. `value` is 1 to 2, times 2^31.
        let mut logarithm = times.ilog2();
        let mut value = (times as u64) << (31 - logarithm);
        let mut i = 0;
        while i < 8 {
            value = (value * value) >> 31;
            logarithm <<= 1;
            if value >> 32 != 0 {
                value >>= 1;
                logarithm |= 1;
            }
            i += 1;
        }
        costs[times as usize] = ((6 << 8) - logarithm + 2) >> (8 - FRACTION);
        times += 1;
    }
    costs[0] = costs[1];
    costs
}

/// For codes whose symbols have no plain bits.
static NO_BITS: [Slot; 256] = [Slot { base: 0, bits: 0 }; 256];

/// Sets the costs of symbols with codes of these lengths.
fn set(costs: &mut [u32], lengths: impl Iterator<Item = u32>, slots: &[Slot]) {
    for ((cost, slot), length) in costs.iter_mut().zip(slots).zip(lengths) {
        *cost = (length + slot.bits) << FRACTION;
    }
}

/// What a decision costs.
#[inline(always)]
fn decision(probability: Probability, decision: u32) -> u32 {
    let zeros = probability.of_zero();
    let times = if decision == 0 { zeros } else { 64u32.wrapping_sub(zeros) };
    DECISIONS[times as usize & 63]
}

/// What a decision costs in the state of its class.
#[inline(always)]
pub(super) fn decide<const CONTEXTS: usize>(class: &Class<CONTEXTS>, state: u8, bit: u32) -> u32 {
    decision(class.in_state(u32::from(state)), bit)
}

/// Costs of symbols with their plain bits.
#[derive(Debug)]
pub(super) struct Costs {
    literals: Box<[u32; 256]>,
    offsets: Box<[u32; 1024]>,
    lengths: Box<[u32; SHORT]>,
    long_lengths: [u32; 64],
    delta_offsets: Box<[u32; 1024]>,
    powers: [u32; 8],
    /// Which codes these costs are of.
    generations: [u32; 5],
}

impl Costs {
    pub(super) fn new() -> Self {
        Self {
            literals: Box::new([0; 256]),
            offsets: Box::new([0; 1024]),
            lengths: Box::new([0; SHORT]),
            long_lengths: [0; 64],
            delta_offsets: Box::new([0; 1024]),
            powers: [0; 8],
            generations: [0; 5],
        }
    }

    /// Brings the costs up to date with the codes of `stream`.
    pub(super) fn update(&mut self, stream: &Stream) {
        let codes = stream.codes();
        for (i, code) in codes.into_iter().enumerate() {
            if self.generations[i] == code.generation() {
                continue;
            }
            self.generations[i] = code.generation();
            let lengths = code.lengths();
            match i {
                0 => set(&mut *self.literals, lengths, &NO_BITS),
                1 => set(&mut *self.offsets, lengths, &OFFSETS),
                2 => {
                    set(&mut self.long_lengths, lengths, &LENGTHS);
                    let mut slot = 0;
                    for length in 1..SHORT {
                        while LENGTHS[slot + 1].base as usize <= length {
                            slot += 1;
                        }
                        self.lengths[length] = self.long_lengths[slot];
                    }
                }
                3 => set(&mut *self.delta_offsets, lengths, &OFFSETS),
                _ => set(&mut self.powers, lengths, &NO_BITS),
            }
        }
    }

    /// The code of a literal.
    #[inline(always)]
    pub(super) fn literal(&self, byte: u8) -> u32 {
        self.literals[usize::from(byte)]
    }

    /// The code of an offset.
    #[inline(always)]
    pub(super) fn offset(&self, offset: u32) -> u32 {
        self.offsets[offset_slot(offset) & 1023]
    }

    /// The codes of a delta source.
    #[inline(always)]
    pub(super) fn delta(&self, power: u32, raw: u32) -> u32 {
        let power = self.powers[power as usize & 7];
        self.delta_offsets[offset_slot(raw) & 1023].wrapping_add(power)
    }

    /// The code of a length.
    #[inline(always)]
    pub(super) fn length(&self, length: usize) -> u32 {
        match self.lengths.get(length) {
            Some(&cost) => cost,
            None => self.long_lengths[length_slot(low_32(length)) & 63],
        }
    }

    /// The codes of all lengths below [`SHORT`].
    #[inline(always)]
    pub(super) fn lengths(&self) -> &[u32; SHORT] {
        &self.lengths
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decisions_cost_their_information() {
        for (times, &cost) in DECISIONS.iter().enumerate().skip(1) {
            let exact = 64.0 * (64.0 / times as f64).log2();
            assert!((f64::from(cost) - exact).abs() <= 1.0, "{times}: {cost}, not {exact}");
        }
    }
}
