//! The range coder: binary decisions as 16-bit words.

use super::model::{Class, Probability};
use crate::codec::bits::low_16;

/// Ranges below this are widened before the next decision.
const LEAST_RANGE: u32 = 1 << 16;

/// Reads decisions.
#[derive(Debug, Clone, Copy)]
pub(super) struct RangeDecoder<'a> {
    data: &'a [u8],
    /// The next word to read. Behind the end of the data come zeros.
    position: usize,
    range: u32,
    code: u32,
}

impl<'a> RangeDecoder<'a> {
    /// Starts at the first of the words.
    pub(super) fn new(data: &'a [u8]) -> Self {
        let mut decoder = Self { data, position: 0, range: u32::MAX, code: 0 };
        decoder.code = decoder.word() << 16;
        decoder.code |= decoder.word();
        decoder
    }

    #[inline(always)]
    fn word(&mut self) -> u32 {
        let bytes = self.data.get(self.position..).and_then(<[u8]>::first_chunk::<2>);
        self.position = self.position.wrapping_add(2);
        bytes.map_or(0, |bytes| u32::from(u16::from_le_bytes(*bytes)))
    }

    /// The next decision of a class.
    #[inline(always)]
    pub(super) fn decide<const CONTEXTS: usize>(&mut self, class: &mut Class<CONTEXTS>) -> bool {
        if self.range < LEAST_RANGE {
            self.range <<= 16;
            self.code = self.code << 16 | self.word();
        }
        let probability = class.current();
        let bound = (self.range >> 6).wrapping_mul(probability.of_zero());
        let decision = self.code >= bound;
        if decision {
            self.range = self.range.wrapping_sub(bound);
            self.code = self.code.wrapping_sub(bound);
        } else {
            self.range = bound;
        }
        probability.update(u32::from(decision));
        class.advance(u32::from(decision));
        decision
    }

    /// True when words behind the end of the data were read.
    pub(super) fn overrun(&self) -> bool {
        self.position > self.data.len()
    }
}

/// Writes decisions.
#[derive(Debug)]
pub(super) struct RangeEncoder {
    words: Vec<u16>,
    /// Lower end of the range, with a carry in bit 32.
    low: u64,
    range: u32,
    /// The word that a carry may still change; none at the start.
    held: Option<u16>,
    /// Words of ones behind it, which a carry would run through.
    ones: u64,
}

impl RangeEncoder {
    pub(super) fn new() -> Self {
        Self { words: Vec::new(), low: 0, range: u32::MAX, held: None, ones: 0 }
    }

    /// Starts anew, with the memory that is there.
    pub(super) fn reset(&mut self) {
        self.words.clear();
        (self.low, self.range, self.held, self.ones) = (0, u32::MAX, None, 0);
        // Before the first word nothing is held: a carry cannot reach there.
    }

    /// Writes a decision under its probability.
    #[inline(always)]
    fn put(&mut self, probability: Probability, decision: u32) {
        if self.range < LEAST_RANGE {
            self.range <<= 16;
            self.shift();
        }
        let bound = (self.range >> 6).wrapping_mul(probability.of_zero());
        if decision == 0 {
            self.range = bound;
        } else {
            self.low = self.low.wrapping_add(u64::from(bound));
            self.range = self.range.wrapping_sub(bound);
        }
    }

    /// Writes the next decision of a class.
    #[inline(always)]
    pub(super) fn decide<const CONTEXTS: usize>(
        &mut self,
        class: &mut Class<CONTEXTS>,
        decision: u32,
    ) {
        let probability = class.current();
        self.put(*probability, decision);
        probability.update(decision);
        class.advance(decision);
    }

    /// Moves the highest word of `low` out.
    fn shift(&mut self) {
        let carry = low_16((self.low >> 32) as usize);
        let word = low_16((self.low >> 16) as usize);
        if carry == 0 && word == u16::MAX {
            self.ones += 1;
        } else {
            if let Some(held) = self.held {
                self.words.push(held.wrapping_add(carry));
            }
            for _ in 0..self.ones {
                self.words.push(u16::MAX.wrapping_add(carry));
            }
            self.ones = 0;
            self.held = Some(word);
        }
        self.low = (self.low & 0xFFFF) << 16;
    }

    /// Writes what is held back and returns all words.
    ///
    /// A decoder may take the next word as soon as the range is short, not when the next decision asks for it: 7-Zip does, and says that the data is damaged
    /// when the words of the other end begin there.
    pub(super) fn finish(&mut self) -> &[u16] {
        if self.range < LEAST_RANGE {
            self.range <<= 16;
            self.shift();
        }
        for _ in 0..3 {
            self.shift();
        }
        &self.words
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::lzms::model::Model;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn decisions_come_back(
            decisions in proptest::collection::vec((0u32..3, proptest::bool::weighted(0.1)), 0..5000),
            flip in any::<bool>(),
        ) {
            let mut encoder = RangeEncoder::new();
            let mut model = Model::START;
            for &(class, decision) in &decisions {
                let decision = u32::from(decision ^ flip);
                match class {
                    0 => encoder.decide(&mut model.main, decision),
                    1 => encoder.decide(&mut model.matches, decision),
                    _ => encoder.decide(&mut model.lz, decision),
                }
            }
            let bytes: Vec<u8> = encoder.finish().iter().flat_map(|word| word.to_le_bytes()).collect();
            let mut decoder = RangeDecoder::new(&bytes);
            let mut model = Model::START;
            for &(class, decision) in &decisions {
                let read = match class {
                    0 => decoder.decide(&mut model.main),
                    1 => decoder.decide(&mut model.matches),
                    _ => decoder.decide(&mut model.lz),
                };
                prop_assert_eq!(read, decision ^ flip);
            }
            prop_assert!(!decoder.overrun());
            prop_assert!(bytes.len() - decoder.position <= 4);
        }
    }
}
