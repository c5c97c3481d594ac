//! Encoding of XPRESS chunks: lazy matching, then one Huffman code for the chunk.

use super::{HEADER_SIZE, MIN_MATCH, SYMBOLS};
use crate::codec::bits::{low_16, low_32};
use crate::codec::huffman::{CodeBuilder, CodeWord, canonical_codes};
use crate::codec::matches::{Effort, HashChains, Match, Window};
use crate::codec::{Encode, Level};

/// Longest code.
const MAX_CODE_LENGTH: usize = 15;
/// The match symbol that ends a chunk.
const END: usize = 256;
/// Largest value of the length header, which announces raw bytes.
const LONG_LENGTH: usize = 15;
/// Longest match that can be written.
const MAX_MATCH: usize = 0xFFFF + MIN_MATCH;

/// Literals, then a match (none at the end of the chunk).
#[derive(Debug, Clone, Copy)]
struct Sequence {
    literals: u32,
    /// Match length without the 3.
    length: u16,
    offset: u16,
}

/// Encodes XPRESS chunks.
#[derive(Debug)]
pub(in crate::codec) struct Encoder {
    effort: Effort,
    window: Window<WINDOW_SIZE>,
    chains: HashChains<u16, WINDOW_SIZE, 0x4000>,
    sequences: Vec<Sequence>,
    frequencies: [u32; SYMBOLS],
    builder: CodeBuilder,
}

impl Encoder {
    /// An encoder for chunks of at most 64 KiB.
    pub(in crate::codec) fn new(level: Level) -> Self {
        let effort = match level {
            Level::Fast => Effort { depth: 4, nice_length: 24 },
            Level::Default | Level::High | Level::Max => Effort { depth: 8, nice_length: 32 },
        };
        Self {
            effort,
            window: Window::new(),
            chains: HashChains::new(),
            sequences: Vec::new(),
            frequencies: [0; SYMBOLS],
            builder: CodeBuilder::new(),
        }
    }

    /// Cuts the chunk in the window into literals and matches; returns the number of literals behind the last match.
    fn parse(&mut self) -> usize {
        self.chains.reset();
        self.sequences.clear();
        self.frequencies.fill(0);
        let effort = self.effort;
        let quick = Effort { depth: effort.depth / 2, ..effort };
        let size = self.window.len();
        let mut literals = 0usize;
        let mut position = 0usize;
        while position < size {
            let mut found = self.find(position, effort, 0);
            if found.length == 0 {
                self.literal(position);
                literals = literals.wrapping_add(1);
                position = position.wrapping_add(1);
                continue;
            }
            // A match one or more bytes later may save more.
            let mut known = 1usize;
            while found.length < effort.nice_length {
                let next = position.wrapping_add(1);
                let later = self.find(next, quick, found.gain.wrapping_add(LAZY_MARGIN));
                known = 2;
                if later.length == 0 {
                    break;
                }
                known = 1;
                self.literal(position);
                literals = literals.wrapping_add(1);
                position = next;
                found = later;
            }
            self.match_found(literals, found);
            literals = 0;
            let end = position.wrapping_add(found.length);
            self.chains.skip(&self.window, position.wrapping_add(known), end);
            position = end;
        }
        literals
    }

    #[inline(always)]
    fn find(&mut self, position: usize, effort: Effort, least_gain: i32) -> Match {
        let most = MAX_MATCH.min(self.window.len().wrapping_sub(position));
        // Shorter ones can not gain enough, whatever their offset.
        let longer_than =
            (least_gain.wrapping_add(MATCH_BITS) / LITERAL_BITS).cast_unsigned() as usize;
        self.chains.find(&self.window, position, most, effort, (least_gain, longer_than), gain)
    }

    #[inline(always)]
    fn literal(&mut self, position: usize) {
        let count = &mut self.frequencies[usize::from(self.window.byte(position))];
        *count = count.wrapping_add(1);
    }

    #[inline(always)]
    fn match_found(&mut self, literals: usize, found: Match) {
        // Chunks have at most 65,536 bytes, so lengths and offsets fit 16 bits.
        let sequence = Sequence {
            literals: low_32(literals),
            length: low_16(found.length.wrapping_sub(MIN_MATCH)),
            offset: low_16(found.offset),
        };
        let count = &mut self.frequencies[sequence.symbol()];
        *count = count.wrapping_add(1);
        self.sequences.push(sequence);
    }
}

impl Sequence {
    /// Bits that follow the symbol.
    #[inline(always)]
    fn offset_bits(self) -> u32 {
        15u32.wrapping_sub(self.offset.leading_zeros())
    }

    #[inline(always)]
    fn symbol(self) -> usize {
        let header = usize::from(self.length).min(LONG_LENGTH);
        END + ((self.offset_bits() as usize & 15) << 4 | header)
    }
}

/// Bits that a later match must save more to be preferred.
const LAZY_MARGIN: i32 = 2;

/// Bits of a literal, roughly.
const LITERAL_BITS: i32 = 6;
/// Bits of a match besides its offset, roughly.
const MATCH_BITS: i32 = 6;
/// Twice the longest chunk.
const WINDOW_SIZE: usize = 0x2_0000;

/// Bits that a match saves, roughly.
#[inline(always)]
fn gain(length: usize, offset: usize) -> i32 {
    let offset_bits = usize::BITS.wrapping_sub(offset.leading_zeros()).cast_signed();
    let length = low_32(length).cast_signed();
    length.wrapping_mul(LITERAL_BITS).wrapping_sub(offset_bits).wrapping_sub(MATCH_BITS)
}

impl Encode for Encoder {
    fn encode(&mut self, chunk: &[u8], output: &mut Vec<u8>) -> Option<usize> {
        let room = chunk.len().checked_sub(1)?;
        if room < HEADER_SIZE + 4 {
            return None;
        }
        self.window.fill(chunk);
        let last_literals = self.parse();
        self.frequencies[END] += 1;
        let mut lengths = [0u8; SYMBOLS];
        self.builder.lengths(&self.frequencies, MAX_CODE_LENGTH, &mut lengths);
        let start = output.len();
        output.resize(start + room, 0);
        let written = write(&mut output[start..], chunk, &self.sequences, last_literals, &lengths);
        output.truncate(start + written.unwrap_or(0));
        written
    }
}

/// Writes the chunk; `None` when it does not fit.
fn write(
    output: &mut [u8],
    chunk: &[u8],
    sequences: &[Sequence],
    last_literals: usize,
    lengths: &[u8; SYMBOLS],
) -> Option<usize> {
    let mut codes = [CodeWord::default(); SYMBOLS];
    canonical_codes(lengths, &mut codes);
    for (byte, pair) in output.iter_mut().zip(lengths.chunks_exact(2)) {
        *byte = pair[0] | pair[1] << 4;
    }
    let mut writer = Writer::new(output, HEADER_SIZE);
    let mut rest = chunk;
    for &sequence in sequences {
        let (literals, after) = rest.split_at_checked(sequence.literals as usize)?;
        for &literal in literals {
            writer.put_code(codes[usize::from(literal)]);
        }
        let symbol = sequence.symbol() & (SYMBOLS - 1);
        writer.put_code(codes[symbol]);
        writer.put_long_length(sequence.length);
        let offset_bits = sequence.offset_bits();
        writer.put((sequence.offset ^ 1u16.wrapping_shl(offset_bits)).into(), offset_bits);
        rest = after.get(usize::from(sequence.length) + MIN_MATCH..)?;
    }
    for &literal in rest.get(..last_literals)? {
        writer.put_code(codes[usize::from(literal)]);
    }
    writer.put_code(codes[END]);
    writer.finish()
}

/// Writes words and bytes in the order in which the decoder takes them: two words are always reserved ahead of the bytes.
#[derive(Debug)]
struct Writer<'a> {
    output: &'a mut [u8],
    /// Where the word being filled goes, and the one after it.
    current: usize,
    next: usize,
    /// Where the next byte or reserved word goes.
    cursor: usize,
    buffer: u32,
    /// Bits in `buffer`, at most 16 between calls.
    count: u32,
    full: bool,
}

impl<'a> Writer<'a> {
    fn new(output: &'a mut [u8], start: usize) -> Self {
        let (current, next, cursor) = (start, start + 2, start + 4);
        Self { output, current, next, cursor, buffer: 0, count: 0, full: false }
    }

    #[inline(always)]
    fn put_code(&mut self, code: CodeWord) {
        self.put(code.bits(), code.length());
    }

    /// Appends the low `count` (0 to 15) bits of `bits`, whose other bits must be zero.
    #[inline(always)]
    fn put(&mut self, bits: u32, count: u32) {
        self.buffer = self.buffer.wrapping_shl(count) | bits;
        self.count = self.count.wrapping_add(count);
        // Written in any case, and again later when it was not complete: whether it is complete is hard to predict.
        let word = self.buffer.wrapping_shr(self.count.wrapping_sub(16)) & 0xFFFF;
        self.put_word(word as u16);
        let complete = self.count > 16;
        self.count = if complete { self.count.wrapping_sub(16) } else { self.count };
        self.current = if complete { self.next } else { self.current };
        self.next = if complete { self.cursor } else { self.next };
        self.cursor = if complete { self.cursor.wrapping_add(2) } else { self.cursor };
    }

    /// Writes the current word.
    #[inline(always)]
    fn put_word(&mut self, word: u16) {
        let room = self.output.get_mut(self.current..);
        if let Some(target) = room.and_then(<[u8]>::first_chunk_mut::<2>) {
            *target = word.to_le_bytes();
        } else {
            self.full = true;
        }
    }

    /// Writes the raw bytes of a match length (without the 3), if it needs any.
    #[inline(always)]
    fn put_long_length(&mut self, length: u16) {
        let Some(more) = length.checked_sub(15) else { return };
        if let Ok(more @ 0..=254) = u8::try_from(more) {
            self.put_byte(more);
        } else {
            self.put_byte(255);
            for byte in length.to_le_bytes() {
                self.put_byte(byte);
            }
        }
    }

    fn put_byte(&mut self, byte: u8) {
        if let Some(target) = self.output.get_mut(self.cursor) {
            *target = byte;
            self.cursor += 1;
        } else {
            self.full = true;
        }
    }

    /// Writes what is left and returns the end of the data, or `None` when the output was too small.
    fn finish(mut self) -> Option<usize> {
        let (end, last) = (self.cursor, self.next);
        self.put_word((self.buffer << (16 - self.count) & 0xFFFF) as u16);
        let target = self.output.get_mut(last..)?.first_chunk_mut::<2>()?;
        *target = [0, 0];
        (!self.full && end <= self.output.len()).then_some(end)
    }
}
