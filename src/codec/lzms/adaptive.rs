//! Huffman codes that adapt: rebuilt after every so many symbols, from the symbols before.
//!
//! Codes need not be optimal in any one way but the same on both sides, so how ties are broken is part of the format: the two lightest nodes
//! are joined, leaves before inner nodes of equal weight, lighter and then lower symbols before others; then the symbols, from the
//! rarest, get the longest lengths. Counts are halved after each rebuild. With so few symbols in between no code gets longer than 15 bits.

use crate::codec::bits::{low_8, low_16, low_32};

/// Symbols of the largest code, rounded up to a power of two.
const MAX_SYMBOLS: usize = 1024;
/// Longest code, in bits.
pub(super) const MAX_LENGTH: usize = 15;
/// Marks that no leaf, or no inner node, is left.
const NONE: u32 = u32::MAX;

/// The frequencies of a code's symbols, and when to rebuild the code.
#[derive(Debug, Clone)]
pub(super) struct Frequencies {
    counts: Vec<u16>,
    /// Symbols between two rebuilds.
    interval: u32,
    left: u32,
}

impl Frequencies {
    /// For a code that is rebuilt after every `interval` symbols.
    pub(super) fn new(interval: u32) -> Self {
        Self { counts: Vec::new(), interval, left: interval }
    }

    /// Starts anew with `symbols` symbols of equal frequency.
    pub(super) fn reset(&mut self, symbols: usize) {
        self.counts.clear();
        self.counts.resize(symbols, 1);
        self.left = self.interval;
    }

    /// Counts a symbol. True when the code is now to be rebuilt.
    #[inline(always)]
    pub(super) fn count(&mut self, symbol: usize) -> bool {
        if let Some(count) = self.counts.get_mut(symbol) {
            *count = count.wrapping_add(1);
        }
        self.left = self.left.wrapping_sub(1);
        self.left == 0
    }

    /// Halves the counts, after a rebuild.
    pub(super) fn age(&mut self) {
        for count in &mut self.counts {
            *count = (*count >> 1) + 1;
        }
        self.left = self.interval;
    }

    /// The frequencies.
    pub(super) fn counts(&self) -> &[u16] {
        &self.counts
    }
}

/// Makes code lengths from frequencies; keeps its memory.
#[derive(Debug)]
pub(super) struct Lengths {
    /// Symbols from the rarest to the most frequent, as `frequency << 10 | symbol`; then [`NONE`].
    leaves: Box<[u32; MAX_SYMBOLS + 1]>,
    /// Weights of the inner nodes, ascending; later their depths.
    weights: Box<[u32; MAX_SYMBOLS]>,
    /// The inner node above each inner node.
    parents: Box<[u16; MAX_SYMBOLS]>,
    /// The length of each symbol's code.
    pub(super) lengths: Box<[u8; MAX_SYMBOLS]>,
}

impl Lengths {
    pub(super) fn new() -> Self {
        Self {
            leaves: Box::new([NONE; MAX_SYMBOLS + 1]),
            weights: Box::new([NONE; MAX_SYMBOLS]),
            parents: Box::new([0; MAX_SYMBOLS]),
            lengths: Box::new([0; MAX_SYMBOLS]),
        }
    }

    /// Sets the lengths of the code for `counts` (1 to 1024 symbols, none of which is 0) and returns them.
    pub(super) fn make(&mut self, counts: &[u16]) -> &[u8] {
        let symbols = counts.len().min(MAX_SYMBOLS);
        if symbols < 2 {
            self.lengths[0] = 1;
            return &self.lengths[..symbols];
        }
        self.sort(&counts[..symbols]);
        let numbers = self.depths(symbols);
        let mut next = 0;
        for (length, &number) in numbers.iter().enumerate().rev() {
            let end = (next + number as usize).min(symbols);
            for &leaf in &self.leaves[next..end] {
                self.lengths[(leaf & 0x3FF) as usize] = low_8(length);
            }
            next = end;
        }
        &self.lengths[..symbols]
    }

    /// Fills `leaves`. Most symbols are rare, so frequencies are counted; only the few with high ones are sorted by comparison.
    fn sort(&mut self, counts: &[u16]) {
        const BUCKETS: usize = 64;
        let mut next = [0u16; BUCKETS + 1];
        for &count in counts {
            let bucket = usize::from(count).min(BUCKETS - 1);
            next[bucket + 1] = next[bucket + 1].wrapping_add(1);
        }
        for bucket in 1..=BUCKETS {
            next[bucket] = next[bucket].wrapping_add(next[bucket - 1]);
        }
        let frequent = usize::from(next[BUCKETS - 1]);
        for (symbol, &count) in (0u32..).zip(counts) {
            let slot = &mut next[usize::from(count).min(BUCKETS - 1)];
            self.leaves[usize::from(*slot) & (MAX_SYMBOLS - 1)] = u32::from(count) << 10 | symbol;
            *slot = slot.wrapping_add(1);
        }
        self.leaves[frequent..counts.len()].sort_unstable();
        self.leaves[counts.len()] = NONE;
    }

    /// Joins the leaves and returns how many have each depth.
    fn depths(&mut self, symbols: usize) -> [u32; MAX_LENGTH + 2] {
        self.weights[..symbols].fill(NONE);
        let (mut leaf, mut inner) = (0usize, 0usize);
        for made in 0..symbols - 1 {
            let mut weight = 0u32;
            for _ in 0..2 {
                let leaf_weight = match self.leaves[leaf] {
                    NONE => NONE,
                    key => key >> 10,
                };
                let inner_weight = self.weights[inner & (MAX_SYMBOLS - 1)];
                if leaf_weight <= inner_weight {
                    weight = weight.wrapping_add(leaf_weight);
                    leaf = leaf.wrapping_add(1);
                } else {
                    weight = weight.wrapping_add(inner_weight);
                    self.parents[inner & (MAX_SYMBOLS - 1)] = low_16(made);
                    inner = inner.wrapping_add(1);
                }
            }
            self.weights[made] = weight;
        }
        // Each inner node has two children; those that are no inner nodes are leaves.
        let mut inner_nodes = [0u32; MAX_LENGTH + 2];
        let root = symbols - 2;
        self.weights[root] = 0;
        inner_nodes[0] = 1;
        for node in (0..root).rev() {
            let above = self.weights[usize::from(self.parents[node]) & (MAX_SYMBOLS - 1)] as usize;
            let depth = (above + 1).min(MAX_LENGTH + 1);
            self.weights[node] = low_32(depth);
            inner_nodes[depth] += 1;
        }
        let mut leaves = [0u32; MAX_LENGTH + 2];
        for depth in 1..=MAX_LENGTH + 1 {
            leaves[depth] = (2 * inner_nodes[depth - 1]).wrapping_sub(inner_nodes[depth]);
        }
        leaves
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::huffman::CodeBuilder;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn lengths_are_those_of_the_plain_construction(
            counts in prop_oneof![
                proptest::collection::vec(prop_oneof![1u16..4, 1u16..20], 2..=799),
                proptest::collection::vec(1u16..200, 2..=40),
            ],
        ) {
            let mut lengths = Lengths::new();
            let made = lengths.make(&counts);
            let frequencies: Vec<u32> = counts.iter().map(|&count| u32::from(count)).collect();
            let mut plain = vec![0; counts.len()];
            CodeBuilder::new().lengths(&frequencies, 16, &mut plain);
            prop_assert_eq!(made, plain);
        }

        #[test]
        fn no_code_is_too_long(
            halving in 1u32..8,
            symbols in 2usize..799,
            seed in any::<u64>(),
        ) {
            let mut frequencies = Frequencies::new(1024);
            frequencies.reset(symbols);
            let mut lengths = Lengths::new();
            let mut state = seed | 1;
            for _ in 0..20_000 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let symbol = ((state >> 8).leading_zeros() * halving / 2) as usize;
                if frequencies.count(symbol.min(symbols - 1)) {
                    prop_assert!(lengths.make(frequencies.counts()).iter().all(|&length| length <= 15));
                    frequencies.age();
                }
            }
        }
    }
}
