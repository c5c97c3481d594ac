//! Decoding of LZMS chunks.

use super::adaptive::{Frequencies, Lengths};
use super::delta::copy_delta;
use super::model::{Class, Model};
use super::range::RangeDecoder;
use super::recent::{DeltaSource, Previous, Recent};
use super::tables::{LENGTH_SLOTS, LENGTHS, LITERALS, OFFSETS, POWERS, Slot, offset_slots};
use super::x86::X86;
use crate::codec::bits::{low_8, low_32};
use crate::codec::copy::copy_match;
use crate::codec::huffman::{DecodeTable, PAYLOAD_SHIFT};
use crate::codec::{Codec, Decode, DecodeError};

/// Reads the bits at the end of a chunk, backward. Words of 16 bits, each most significant bit first, read backward are bytes read backward.
#[derive(Debug, Clone, Copy)]
struct BackwardBits<'a> {
    data: &'a [u8],
    /// End of the bytes that were not loaded. Below 0, zeros are loaded.
    position: isize,
    /// The next bits, left-justified.
    buffer: u64,
    /// Number of valid bits in `buffer`.
    count: u32,
}

impl<'a> BackwardBits<'a> {
    fn new(data: &'a [u8]) -> Self {
        Self { data, position: data.len().cast_signed(), buffer: 0, count: 0 }
    }

    /// Makes at least 56 bits available.
    #[inline(always)]
    fn refill(&mut self) {
        let start = self.position.wrapping_sub(8);
        // A negative start is a number too large for any slice.
        let bytes = self.data.get(start.cast_unsigned()..).and_then(<[u8]>::first_chunk::<8>);
        if let Some(bytes) = bytes {
            self.buffer |= u64::from_le_bytes(*bytes).wrapping_shr(self.count);
            let added = 63u32.wrapping_sub(self.count) >> 3;
            self.position = self.position.wrapping_sub_unsigned(added as usize);
            self.count |= 56;
        } else {
            self.refill_near_start();
        }
    }

    #[cold]
    #[inline(never)]
    fn refill_near_start(&mut self) {
        while self.count < 56 {
            self.position = self.position.saturating_sub(1);
            let byte = usize::try_from(self.position).ok().and_then(|at| self.data.get(at));
            self.buffer |= u64::from(byte.copied().unwrap_or(0)) << (56 - self.count);
            self.count += 8;
        }
    }

    /// Drops bits, which must be available.
    #[inline(always)]
    fn consume(&mut self, count: u32) {
        self.buffer = self.buffer.wrapping_shl(count);
        self.count = self.count.wrapping_sub(count);
    }

    /// Takes `count` (0 to 32) bits, which must be available.
    #[inline(always)]
    fn take(&mut self, count: u32) -> u32 {
        let value = (self.buffer >> 1).wrapping_shr(63u32.wrapping_sub(count));
        self.consume(count);
        (value & 0xFFFF_FFFF) as u32
    }

    /// True when bits before the start of the data were taken.
    fn overrun(&self) -> bool {
        let unread = isize::try_from(self.count / 8).unwrap_or(0);
        self.position.saturating_add(unread) < 0
    }
}

/// An adaptive code for reading.
#[derive(Debug)]
struct Code<const ROOT: usize> {
    table: DecodeTable<ROOT>,
    frequencies: Frequencies,
}

impl<const ROOT: usize> Code<ROOT> {
    fn new(interval: u32) -> Self {
        Self { table: DecodeTable::new(), frequencies: Frequencies::new(interval) }
    }

    fn reset(&mut self, symbols: usize, lengths: &mut Lengths) {
        self.frequencies.reset(symbols);
        self.build(lengths);
    }

    fn build(&mut self, lengths: &mut Lengths) {
        let lengths = lengths.make(self.frequencies.counts());
        self.table.build(lengths, |symbol| symbol << PAYLOAD_SHIFT);
    }

    #[cold]
    #[inline(never)]
    fn rebuild(&mut self, lengths: &mut Lengths) {
        self.build(lengths);
        self.frequencies.age();
    }

    /// The next symbol, of which 16 bits must be available; `None` when the bits are no code, or ended long ago.
    #[inline(always)]
    fn read(&mut self, bits: &mut BackwardBits<'_>, lengths: &mut Lengths) -> Option<usize> {
        let entry = self.table.get(bits.buffer)?;
        bits.consume(entry.bits());
        let symbol = entry.payload() as usize;
        if self.frequencies.count(symbol) {
            self.rebuild(lengths);
            // Behind the end come zeros, which may be code for all the output there is: looked at so rarely, this costs nothing.
            if bits.overrun() {
                return None;
            }
        }
        Some(symbol)
    }

    /// The next value whose slot this code gives. At least 56 bits must be available; the plain bits come after a refill where needed.
    #[inline(always)]
    fn read_value(
        &mut self,
        slots: &[Slot],
        bits: &mut BackwardBits<'_>,
        lengths: &mut Lengths,
    ) -> Option<usize> {
        let slot = slots[self.read(bits, lengths)? & (slots.len() - 1)];
        Some(slot.base.wrapping_add(bits.take(slot.bits)) as usize)
    }
}

/// The adaptive codes, and where they are built.
#[derive(Debug)]
struct Codes {
    literal: Code<1024>,
    offset: Code<1024>,
    length: Code<512>,
    delta_offset: Code<1024>,
    power: Code<128>,
    lengths: Lengths,
}

impl Codes {
    fn new() -> Self {
        Self {
            literal: Code::new(1024),
            offset: Code::new(1024),
            length: Code::new(512),
            delta_offset: Code::new(1024),
            power: Code::new(512),
            lengths: Lengths::new(),
        }
    }

    /// The codes at the start of a chunk of `size` bytes.
    fn reset(&mut self, size: usize) {
        let slots = offset_slots(size);
        self.literal.reset(LITERALS, &mut self.lengths);
        self.offset.reset(slots, &mut self.lengths);
        self.length.reset(LENGTH_SLOTS, &mut self.lengths);
        self.delta_offset.reset(slots, &mut self.lengths);
        self.power.reset(POWERS, &mut self.lengths);
    }
}

/// Decodes LZMS chunks.
#[derive(Debug)]
pub(in crate::codec) struct Decoder {
    chunk_size: u32,
    /// Made when first needed.
    codes: Option<Box<Codes>>,
    x86: X86,
}

impl Decoder {
    /// A decoder for chunks of at most `chunk_size` bytes.
    pub(in crate::codec) fn new(chunk_size: u32) -> Self {
        Self { chunk_size, codes: None, x86: X86::new() }
    }
}

impl Decode for Decoder {
    fn decode(&mut self, compressed: &[u8], output: &mut [u8]) -> Result<(), DecodeError> {
        if output.len() > self.chunk_size as usize {
            return Err(damaged("the chunk is longer than the chunk size"));
        }
        if output.is_empty() && compressed.is_empty() {
            return Ok(());
        }
        if compressed.len() < 4 || !compressed.len().is_multiple_of(2) {
            return Err(damaged("its size is odd or less than four bytes"));
        }
        let codes = self.codes.get_or_insert_with(|| Box::new(Codes::new()));
        codes.reset(output.len());
        decode_items(codes, compressed, output)?;
        self.x86.decode(output);
        Ok(())
    }
}

fn damaged(what: &'static str) -> DecodeError {
    DecodeError { codec: Codec::Lzms, what }
}

const ENDS: &str = "it ends too early";
const FAR_OFFSET: &str = "an offset before the start of the chunk";
const LONG_MATCH: &str = "a match behind the end of the chunk";

/// Why there is no symbol.
#[cold]
fn no_code(bits: &BackwardBits<'_>) -> DecodeError {
    damaged(if bits.overrun() { ENDS } else { "bits that are no code" })
}

/// Decodes all items.
fn decode_items(
    codes: &mut Codes,
    compressed: &[u8],
    output: &mut [u8],
) -> Result<(), DecodeError> {
    let Codes { literal, offset, length, delta_offset, power, lengths } = codes;
    let mut decisions = RangeDecoder::new(compressed);
    let mut bits = BackwardBits::new(compressed);
    let mut model = Model::START;
    let mut recent = Recent::<u32>::START;
    let mut recent_delta = Recent::<DeltaSource>::START;
    let mut previous = Previous::Literal;
    let mut position = 0;
    while position < output.len() {
        bits.refill();
        if !decisions.decide(&mut model.main) {
            let symbol = literal.read(&mut bits, lengths).ok_or_else(|| no_code(&bits))?;
            output[position] = low_8(symbol);
            position = position.wrapping_add(1);
            previous = Previous::Literal;
            continue;
        }
        if !decisions.decide(&mut model.matches) {
            let again = previous == Previous::Lz;
            previous = Previous::Lz;
            let distance = if !decisions.decide(&mut model.lz) {
                let value = offset.read_value(&OFFSETS, &mut bits, lengths);
                let value = value.ok_or_else(|| no_code(&bits))?;
                bits.refill();
                recent.push(low_32(value));
                value
            } else {
                let [first, second] = &mut model.lz_repeat;
                let index = repeat_index(&mut decisions, first, second);
                recent.repeat(index, again) as usize
            };
            let length = length.read_value(&LENGTHS, &mut bits, lengths);
            let length = length.ok_or_else(|| no_code(&bits))?;
            if distance > position {
                return Err(damaged(FAR_OFFSET));
            }
            if length > output.len().wrapping_sub(position) {
                return Err(damaged(LONG_MATCH));
            }
            copy_match(output, position, distance, length);
            position = position.wrapping_add(length);
        } else {
            let again = previous == Previous::Delta;
            previous = Previous::Delta;
            let source = if !decisions.decide(&mut model.delta) {
                let power = power.read(&mut bits, lengths).ok_or_else(|| no_code(&bits))?;
                bits.refill();
                let raw = delta_offset.read_value(&OFFSETS, &mut bits, lengths);
                let raw = raw.ok_or_else(|| no_code(&bits))?;
                bits.refill();
                let source = DeltaSource { power: low_32(power & 7), raw: low_32(raw) };
                recent_delta.push(source);
                source
            } else {
                let [first, second] = &mut model.delta_repeat;
                let index = repeat_index(&mut decisions, first, second);
                recent_delta.repeat(index, again)
            };
            let length = length.read_value(&LENGTHS, &mut bits, lengths);
            let length = length.ok_or_else(|| no_code(&bits))?;
            let span = 1usize << source.power;
            let distance = u64::from(source.raw) << source.power;
            // A chunk is shorter than any distance that does not fit.
            let distance = usize::try_from(distance).unwrap_or(usize::MAX - 128);
            if distance.wrapping_add(span) > position {
                return Err(damaged(FAR_OFFSET));
            }
            if length > output.len().wrapping_sub(position) {
                return Err(damaged(LONG_MATCH));
            }
            copy_delta(output, position, span, distance, length);
            position = position.wrapping_add(length);
        }
    }
    if decisions.overrun() || bits.overrun() {
        return Err(damaged(ENDS));
    }
    Ok(())
}

/// Which of the three recent sources is repeated.
#[inline(always)]
fn repeat_index(
    decisions: &mut RangeDecoder<'_>,
    first: &mut Class<64>,
    second: &mut Class<64>,
) -> usize {
    if !decisions.decide(first) {
        0
    } else if !decisions.decide(second) {
        1
    } else {
        2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_that_ends_early_is_not_decoded_to_its_whole_size() {
        let mut output = vec![0xAA; 1 << 20];
        let error = Decoder::new(1 << 20).decode(&[0; 12], &mut output).unwrap_err();
        assert_eq!(error.what, ENDS);
        assert!(output[8192..].iter().all(|&byte| byte == 0xAA), "it went on behind the end");
    }
}
