//! Where to end a block: where the symbols change so much that codes of their own pay for themselves.
//!
//! The sequences are taken in segments. A segment joins the block while that is cheaper, by entropy, than a block of its own with
//! another header. Integer arithmetic only, so that every machine cuts alike.

use super::encode::Sequence;
use super::tables::{LENGTH_SYMBOLS, MAX_MAIN_SYMBOLS};

/// Sequences of a segment.
const SEGMENT: usize = 512;
/// Binary digits of the fractions of a bit.
const FRACTION: u32 = 8;

/// How often each symbol occurs.
#[derive(Debug)]
struct Histogram {
    main: [u32; MAX_MAIN_SYMBOLS],
    length: [u32; LENGTH_SYMBOLS],
}

impl Histogram {
    fn new() -> Self {
        Self { main: [0; MAX_MAIN_SYMBOLS], length: [0; LENGTH_SYMBOLS] }
    }

    fn clear(&mut self) {
        self.main.fill(0);
        self.length.fill(0);
    }

    /// Counts the symbols of sequences that stand for the start of `data`; returns the rest of `data`.
    fn count<'a>(&mut self, data: &'a [u8], sequences: &[Sequence]) -> &'a [u8] {
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
            }
        }
        rest
    }

    /// Adds the counts of another.
    fn add(&mut self, other: &Self) {
        for (count, &more) in self.main.iter_mut().zip(&other.main) {
            *count += more;
        }
        for (count, &more) in self.length.iter_mut().zip(&other.length) {
            *count += more;
        }
    }

    /// Bits of the symbols by entropy, in fractions.
    fn cost(&self) -> u64 {
        entropy(self.main.iter().copied()) + entropy(self.length.iter().copied())
    }

    /// Bits of the symbols of both together, in fractions.
    fn cost_with(&self, other: &Self) -> u64 {
        let main = self.main.iter().zip(&other.main).map(|(a, b)| a + b);
        let length = self.length.iter().zip(&other.length).map(|(a, b)| a + b);
        entropy(main) + entropy(length)
    }
}

/// Decides where blocks end.
#[derive(Debug)]
pub(super) struct Splitter {
    header_bits: u64,
    single_block: usize,
    block: Histogram,
    segment: Histogram,
}

impl Splitter {
    /// `header_bits`: bits by entropy that a block of its own must save: its header, and what entropy flatters small blocks by.
    /// `single_block`: most bytes that always are one block.
    pub(super) fn new(header_bits: u64, single_block: usize) -> Self {
        Self { header_bits, single_block, block: Histogram::new(), segment: Histogram::new() }
    }

    /// How many of the sequences, which stand for `data`, make the next block.
    pub(super) fn next_block(&mut self, data: &[u8], sequences: &[Sequence]) -> usize {
        if data.len() <= self.single_block {
            return sequences.len();
        }
        let mut segments = sequences.chunks(SEGMENT);
        let Some(first) = segments.next() else { return 0 };
        self.block.clear();
        let mut rest = self.block.count(data, first);
        let mut taken = first.len();
        let mut cost = self.block.cost();
        for sequences in segments {
            self.segment.clear();
            rest = self.segment.count(rest, sequences);
            let together = self.block.cost_with(&self.segment);
            // A short last segment is never worth a header.
            let apart = cost + self.segment.cost() + (self.header_bits << FRACTION);
            if sequences.len() == SEGMENT && apart < together {
                break;
            }
            self.block.add(&self.segment);
            cost = together;
            taken += sequences.len();
        }
        taken
    }
}

/// Bits that symbols of these counts need, in fractions.
fn entropy(counts: impl Iterator<Item = u32>) -> u64 {
    let (mut total, mut sum) = (0u32, 0u64);
    for count in counts {
        total = total.wrapping_add(count);
        sum = sum.wrapping_add(u64::from(count).wrapping_mul(logarithm(count)));
    }
    (u64::from(total).wrapping_mul(logarithm(total))).saturating_sub(sum)
}

/// The binary logarithm in fractions, at most a tenth of a bit too low; 0 for 0.
#[inline(always)]
fn logarithm(value: u32) -> u64 {
    let power = (value | 1).ilog2();
    // The fraction is linear between powers of two.
    let mantissa = u64::from(value).wrapping_shl(FRACTION).wrapping_shr(power);
    u64::from(power << FRACTION) + (mantissa & 0xFF)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logarithms_are_near() {
        assert_eq!(logarithm(0), 0);
        for value in 1..100_000u32 {
            let exact = f64::from(value).log2() * 256.0;
            let near = f64::from(u32::try_from(logarithm(value)).unwrap());
            assert!((exact - near).abs() < 25.0, "{value}: {near} for {exact}");
        }
    }

    fn literals(count: usize) -> Vec<Sequence> {
        vec![Sequence { literals: 10, extra: 0, length: 0, slot: 0 }; count]
    }

    #[test]
    fn a_change_of_alphabet_ends_the_block_and_none_does_not() {
        let one: Vec<u8> = (0..40_960usize).map(|i| b"abcdefgh"[i * i / 7 % 8]).collect();
        let other: Vec<u8> = one.iter().map(|byte| byte + 100).collect();
        let sequences = literals(8192);
        let mut splitter = Splitter::new(2000, 0);
        let changing = [one.clone(), other].concat();
        assert_eq!(splitter.next_block(&changing, &sequences), 4096);
        let constant = [one.clone(), one].concat();
        assert_eq!(splitter.next_block(&constant, &sequences), 8192);
        assert_eq!(splitter.next_block(&[], &[]), 0);
    }
}
