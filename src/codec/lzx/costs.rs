//! What symbols cost: the estimate that the optimal parser works with.
//!
//! Costs are in fractions of a bit, from the frequencies of an earlier parse of the same block. Integer arithmetic only, so that every
//! machine finds the same parse.

use super::encode::Sequence;
use super::tables::{
    ALIGNED_BITS, ALIGNED_SYMBOLS, EXTRA_BITS, LENGTH_HEADERS, LENGTH_SYMBOLS, LITERALS,
    LONG_LENGTH_HEADER, MAX_MAIN_SYMBOLS, MAX_SLOTS, MIN_MATCH,
};
use crate::codec::huffman::boxed;

/// Slots, rounded up to a power of two.
pub(super) const SLOTS: usize = MAX_SLOTS.next_power_of_two();

/// Units of cost that make a bit.
pub(super) const BIT: u32 = 64;
/// Lengths of matches, with room to make it a power of two.
pub(super) const LENGTHS: usize = 512;

/// How often each symbol of a block occurs.
#[derive(Debug)]
pub(super) struct Frequencies {
    main: [u32; MAX_MAIN_SYMBOLS],
    length: [u32; LENGTH_SYMBOLS],
    aligned: [u32; ALIGNED_SYMBOLS],
}

impl Frequencies {
    pub(super) fn new() -> Self {
        Self {
            main: [0; MAX_MAIN_SYMBOLS],
            length: [0; LENGTH_SYMBOLS],
            aligned: [0; ALIGNED_SYMBOLS],
        }
    }

    /// Counts the symbols of the sequences, which stand for `data`.
    pub(super) fn count(&mut self, data: &[u8], sequences: &[Sequence]) {
        self.main.fill(0);
        self.length.fill(0);
        self.aligned.fill(0);
        let mut rest = data;
        for &sequence in sequences {
            let (literals, after) = rest.split_at(sequence.literals as usize);
            for &literal in literals {
                self.main[usize::from(literal)] += 1;
            }
            rest = &after[usize::from(sequence.length)..];
            if sequence.length != 0 {
                self.main[sequence.main_symbol()] += 1;
                if let Some(symbol) = sequence.length_symbol() {
                    self.length[symbol] += 1;
                }
                if u32::from(EXTRA_BITS[usize::from(sequence.slot)]) >= ALIGNED_BITS {
                    self.aligned[(sequence.extra & 7) as usize] += 1;
                }
            }
        }
    }
}

/// The cost of literals and matches.
#[derive(Debug)]
pub(super) struct Costs {
    pub(super) literal: [u64; LITERALS],
    /// Of the low bits of an offset whose slot has three extra bits or more.
    pub(super) aligned: [u64; 2 * ALIGNED_SYMBOLS],
    /// Of all else of a match, by slot and length; for short lengths of any slot, and long ones of the slot's long header.
    pub(super) matches: Box<[[u64; LENGTHS]; SLOTS]>,
    slots: usize,
}

impl Costs {
    pub(super) fn new(slots: usize) -> Self {
        Self {
            literal: [0; LITERALS],
            aligned: [0; 2 * ALIGNED_SYMBOLS],
            matches: boxed([0; LENGTHS]),
            slots,
        }
    }

    /// Takes over what the frequencies say, after adding `flattening` quarters to each.
    pub(super) fn update(&mut self, frequencies: &Frequencies, flattening: u32) {
        let mut main = [0; MAX_MAIN_SYMBOLS];
        let symbols = LITERALS + LENGTH_HEADERS * self.slots;
        symbol_costs(&frequencies.main[..symbols], &mut main[..symbols], flattening, 16);
        let mut length = [0; LENGTH_SYMBOLS];
        symbol_costs(&frequencies.length, &mut length, flattening, 16);
        let mut aligned = [0; ALIGNED_SYMBOLS];
        symbol_costs(&frequencies.aligned, &mut aligned, 0, 7);
        let used: u32 = frequencies.aligned.iter().sum();
        let counts = aligned.iter().zip(&frequencies.aligned);
        let cost: u64 = counts.map(|(&cost, &count)| u64::from(cost) * u64::from(count)).sum();
        if cost + u64::from(BIT) * 24 >= u64::from(used * ALIGNED_BITS * BIT) {
            aligned.fill(ALIGNED_BITS * BIT);
        }
        for (cost, &bits) in self.aligned[ALIGNED_SYMBOLS..].iter_mut().zip(&aligned) {
            *cost = u64::from(bits) << 32;
        }
        for (cost, &bits) in self.literal.iter_mut().zip(&main) {
            *cost = u64::from(bits) << 32 | 1;
        }
        let headers = main[LITERALS..symbols].chunks_exact(LENGTH_HEADERS);
        for ((row, headers), &extra) in self.matches.iter_mut().zip(headers).zip(&EXTRA_BITS) {
            let extra = u32::from(extra);
            let extra = BIT * if extra >= ALIGNED_BITS { extra - ALIGNED_BITS } else { extra };
            let base = headers[LONG_LENGTH_HEADER as usize] + extra;
            let (short, _) = headers.split_at(LONG_LENGTH_HEADER as usize);
            let costs = short
                .iter()
                .map(|header| header + extra)
                .chain(length.iter().map(|bits| base + bits));
            for ((cost, bits), length) in
                row[MIN_MATCH..].iter_mut().zip(costs).zip(MIN_MATCH as u64..)
            {
                *cost = u64::from(bits) << 32 | length;
            }
        }
    }
}

/// Sets the costs of symbols of an alphabet by their share, after adding `flattening` quarters to each frequency; those that did not occur
/// then cost as if they had occurred half a time. None costs more than `limit` bits.
fn symbol_costs(frequencies: &[u32], costs: &mut [u32], flattening: u32, limit: u32) {
    let quarters = |frequency: u32| 4 * frequency + flattening;
    let whole = logarithm(frequencies.iter().map(|&frequency| quarters(frequency)).sum());
    for (cost, &frequency) in costs.iter_mut().zip(frequencies) {
        let own = logarithm(quarters(frequency).max(2));
        *cost = whole.saturating_sub(own).clamp(BIT / 4, limit * BIT);
    }
}

/// The binary logarithm in units of cost; 0 for 0.
fn logarithm(value: u32) -> u32 {
    let value = value.max(1);
    let power = value.ilog2();
    // The fraction by squaring, bit by bit.
    let mut mantissa = u64::from(value) << 31 >> power;
    let mut result = power * BIT;
    let mut weight = BIT / 2;
    while weight != 0 {
        mantissa = (mantissa * mantissa) >> 31;
        if mantissa >> 32 != 0 {
            mantissa >>= 1;
            result += weight;
        }
        weight /= 2;
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logarithms_are_right() {
        for value in (1..5000).chain([1 << 20, (1 << 21) + 1, u32::MAX]) {
            let exact = f64::from(value).log2() * f64::from(BIT);
            let near = f64::from(logarithm(value));
            assert!(near <= exact && exact < near + 1.001, "{value}: {near} for {exact}");
        }
        assert_eq!(logarithm(0), 0);
    }

    #[test]
    fn rare_symbols_cost_more() {
        let mut costs = [0; 4];
        symbol_costs(&[8, 4, 4, 0], &mut costs, 0, 16);
        assert_eq!(costs, [BIT, 2 * BIT, 2 * BIT, 5 * BIT]);
        symbol_costs(&[3, 1, 1, 0], &mut costs, 4, 16);
        assert_eq!(costs, [74, 138, 138, 202], "as 4, 2, 2, 1");
        symbol_costs(&[1 << 20, 0, 1, 9], &mut costs, 0, 16);
        assert_eq!(costs[..3], [BIT / 4, 16 * BIT, 16 * BIT]);
    }
}
