//! Writes items, and keeps what adapts.

use crate::codec::bits::low_32;
use crate::codec::huffman::{CodeWord, canonical_codes};
use crate::codec::lzms::adaptive::{Frequencies, Lengths};
use crate::codec::lzms::model::{Class, Model};
use crate::codec::lzms::range::RangeEncoder;
use crate::codec::lzms::recent::{DeltaSource, Previous, Recent};
use crate::codec::lzms::tables::{
    LENGTH_SLOTS, LENGTHS, LITERALS, OFFSETS, POWERS, length_slot, offset_slot, offset_slots,
};

/// Writes the bits at the end of a chunk. The words are in the order of writing; the chunk has them in reverse.
#[derive(Debug)]
struct BackwardBits {
    words: Vec<u16>,
    /// Bits that are not written yet, the last one lowest; older bits may lie above them.
    buffer: u64,
    /// Number of bits not written yet, at most 15 between calls.
    count: u32,
}

impl BackwardBits {
    /// Appends the low `count` (0 to 32) bits of `bits`, whose other bits must be zero.
    #[inline(always)]
    fn put(&mut self, bits: u32, count: u32) {
        self.buffer = self.buffer.wrapping_shl(count) | u64::from(bits);
        self.count = self.count.wrapping_add(count);
        while self.count >= 16 {
            self.count = self.count.wrapping_sub(16);
            self.words.push((self.buffer.wrapping_shr(self.count) & 0xFFFF) as u16);
        }
    }

    fn finish(&mut self) -> &[u16] {
        self.put(0, self.count.wrapping_neg() % 16);
        &self.words
    }
}

/// An adaptive code for writing.
#[derive(Debug)]
pub(super) struct Code {
    frequencies: Frequencies,
    codes: Vec<CodeWord>,
    /// How often the code was built.
    generation: u32,
}

impl Code {
    fn new(interval: u32) -> Self {
        Self { frequencies: Frequencies::new(interval), codes: Vec::new(), generation: 0 }
    }

    fn reset(&mut self, symbols: usize, lengths: &mut Lengths) {
        self.frequencies.reset(symbols);
        self.codes.clear();
        self.codes.resize(symbols, CodeWord::default());
        self.build(lengths);
    }

    fn build(&mut self, lengths: &mut Lengths) {
        canonical_codes(lengths.make(self.frequencies.counts()), &mut self.codes);
        self.generation = self.generation.wrapping_add(1);
    }

    /// Another number after each rebuild.
    pub(super) fn generation(&self) -> u32 {
        self.generation
    }

    /// The lengths of the symbols' codes.
    pub(super) fn lengths(&self) -> impl Iterator<Item = u32> {
        self.codes.iter().map(|code| code.length())
    }

    #[inline(always)]
    fn write(&mut self, symbol: usize, bits: &mut BackwardBits, lengths: &mut Lengths) {
        let code = self.codes[symbol];
        bits.put(code.bits(), code.length());
        if self.frequencies.count(symbol) {
            self.build(lengths);
            self.frequencies.age();
        }
    }
}

/// What a match repeats, as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// A new LZ offset.
    Lz(u32),
    /// One of the recent LZ offsets: 0 to 2.
    LzRepeat(u32),
    /// A new delta source.
    Delta(DeltaSource),
    /// One of the recent delta sources: 0 to 2.
    DeltaRepeat(u32),
}

/// Everything that adapts, and what was written.
#[derive(Debug)]
pub(super) struct Stream {
    decisions: RangeEncoder,
    bits: BackwardBits,
    pub(super) model: Model,
    pub(super) recent: Recent<u32>,
    pub(super) recent_delta: Recent<DeltaSource>,
    pub(super) previous: Previous,
    literal: Code,
    offset: Code,
    length: Code,
    delta_offset: Code,
    power: Code,
    lengths: Lengths,
}

impl Stream {
    pub(super) fn new() -> Self {
        Self {
            decisions: RangeEncoder::new(),
            bits: BackwardBits { words: Vec::new(), buffer: 0, count: 0 },
            model: Model::START,
            recent: Recent::<u32>::START,
            recent_delta: Recent::<DeltaSource>::START,
            previous: Previous::Literal,
            literal: Code::new(1024),
            offset: Code::new(1024),
            length: Code::new(512),
            delta_offset: Code::new(1024),
            power: Code::new(512),
            lengths: Lengths::new(),
        }
    }

    /// Starts a chunk of `size` bytes.
    pub(super) fn reset(&mut self, size: usize) {
        self.decisions.reset();
        self.bits.words.clear();
        (self.bits.buffer, self.bits.count) = (0, 0);
        self.model = Model::START;
        self.recent = Recent::<u32>::START;
        self.recent_delta = Recent::<DeltaSource>::START;
        self.previous = Previous::Literal;
        let slots = offset_slots(size);
        self.literal.reset(LITERALS, &mut self.lengths);
        self.offset.reset(slots, &mut self.lengths);
        self.length.reset(LENGTH_SLOTS, &mut self.lengths);
        self.delta_offset.reset(slots, &mut self.lengths);
        self.power.reset(POWERS, &mut self.lengths);
    }

    /// The codes: literal, offset, length, delta offset, power.
    pub(super) fn codes(&self) -> [&Code; 5] {
        [&self.literal, &self.offset, &self.length, &self.delta_offset, &self.power]
    }

    /// Writes a literal.
    #[inline(always)]
    pub(super) fn literal(&mut self, byte: u8) {
        self.decisions.decide(&mut self.model.main, 0);
        self.literal.write(usize::from(byte), &mut self.bits, &mut self.lengths);
        self.previous = Previous::Literal;
    }

    /// Writes a match.
    pub(super) fn item(&mut self, source: Source, length: u32) {
        self.decisions.decide(&mut self.model.main, 1);
        match source {
            Source::Lz(offset) => {
                self.decisions.decide(&mut self.model.matches, 0);
                self.decisions.decide(&mut self.model.lz, 0);
                let slot = offset_slot(offset);
                self.offset.write(slot, &mut self.bits, &mut self.lengths);
                self.bits.put(offset.wrapping_sub(OFFSETS[slot].base), OFFSETS[slot].bits);
                self.recent.push(offset);
                self.previous = Previous::Lz;
            }
            Source::LzRepeat(index) => {
                self.decisions.decide(&mut self.model.matches, 0);
                self.decisions.decide(&mut self.model.lz, 1);
                write_repeat(&mut self.decisions, &mut self.model.lz_repeat, index);
                self.recent.repeat(index as usize, self.previous == Previous::Lz);
                self.previous = Previous::Lz;
            }
            Source::Delta(source) => {
                self.decisions.decide(&mut self.model.matches, 1);
                self.decisions.decide(&mut self.model.delta, 0);
                self.power.write(source.power as usize, &mut self.bits, &mut self.lengths);
                let slot = offset_slot(source.raw);
                self.delta_offset.write(slot, &mut self.bits, &mut self.lengths);
                self.bits.put(source.raw.wrapping_sub(OFFSETS[slot].base), OFFSETS[slot].bits);
                self.recent_delta.push(source);
                self.previous = Previous::Delta;
            }
            Source::DeltaRepeat(index) => {
                self.decisions.decide(&mut self.model.matches, 1);
                self.decisions.decide(&mut self.model.delta, 1);
                write_repeat(&mut self.decisions, &mut self.model.delta_repeat, index);
                self.recent_delta.repeat(index as usize, self.previous == Previous::Delta);
                self.previous = Previous::Delta;
            }
        }
        let slot = length_slot(length);
        self.length.write(slot, &mut self.bits, &mut self.lengths);
        self.bits.put(length.wrapping_sub(LENGTHS[slot].base), LENGTHS[slot].bits);
    }

    /// Appends the chunk to `output` and returns its size, unless that is not less than `limit`.
    pub(super) fn finish(&mut self, limit: usize, output: &mut Vec<u8>) -> Option<usize> {
        let forward = self.decisions.finish();
        let backward = self.bits.finish();
        let size = 2 * (forward.len() + backward.len());
        if size >= limit {
            return None;
        }
        output.reserve(size);
        output.extend(forward.iter().flat_map(|word| word.to_le_bytes()));
        output.extend(backward.iter().rev().flat_map(|word| word.to_le_bytes()));
        Some(size)
    }
}

#[inline(always)]
fn write_repeat(decisions: &mut RangeEncoder, classes: &mut [Class<64>; 2], index: u32) {
    decisions.decide(&mut classes[0], low_32(usize::from(index > 0)));
    if index > 0 {
        decisions.decide(&mut classes[1], index.wrapping_sub(1));
    }
}
