//! Writing of XPRESS chunks: literals and matches that were chosen become bytes.
//!
//! The words of bits and the raw bytes of long lengths are written apart and put together at the end, because where a raw byte goes
//! depends only on how many words there are before it.

use super::{END, HEADER_SIZE, LONG_LENGTH, MIN_MATCH, SYMBOLS};
use crate::codec::bits::{low_16, low_32};
use crate::codec::huffman::{CodeWord, boxed, canonical_codes};

/// Literals, then a match.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sequence {
    literals: u32,
    /// Match length without the 3.
    length: u16,
    offset: u16,
}

impl Sequence {
    /// Chunks have at most 65,536 bytes, so lengths and offsets fit 16 bits.
    #[inline(always)]
    pub(super) fn new(literals: usize, length: usize, offset: usize) -> Self {
        Self {
            literals: low_32(literals),
            length: low_16(length.wrapping_sub(MIN_MATCH)),
            offset: low_16(offset),
        }
    }

    /// Bits that follow the symbol.
    #[inline(always)]
    fn offset_bits(self) -> u32 {
        15u32.wrapping_sub(self.offset.leading_zeros())
    }

    /// The symbol of the match.
    #[inline(always)]
    pub(super) fn symbol(self) -> usize {
        let header = usize::from(self.length).min(LONG_LENGTH);
        END + ((self.offset_bits() as usize & 15) << 4 | header)
    }
}

/// The least length (without the 3) that has raw bytes.
const FIRST_RAW: u16 = 15;
/// Bytes of the longest stream of words: 65,536 literals of 15 bits are less.
const STREAM_SIZE: usize = 1 << 17;

/// Writes chunks; keeps its buffers between them.
#[derive(Debug)]
pub(super) struct ChunkWriter {
    words: Box<[u8; STREAM_SIZE + 8]>,
    /// Lengths that have raw bytes, and the number of words that lie before these.
    lengths: Vec<(u32, u16)>,
}

impl ChunkWriter {
    pub(super) fn new() -> Self {
        Self { words: boxed(0), lengths: Vec::new() }
    }

    /// Appends the chunk that `sequences` and the literals behind them make, with codes of these `lengths`. Returns its size, or `None` and
    /// leaves `output` as it was when that is not smaller than the chunk.
    pub(super) fn write(
        &mut self,
        chunk: &[u8],
        sequences: &[Sequence],
        lengths: &[u8; SYMBOLS],
        output: &mut Vec<u8>,
    ) -> Option<usize> {
        let mut codes = [CodeWord::default(); SYMBOLS];
        canonical_codes(lengths, &mut codes);
        let words = self.write_words(chunk, sequences, &codes);
        let raw: usize = self.lengths.iter().map(|&(_, length)| raw_size(length)).sum();
        let size = HEADER_SIZE + words + raw;
        if size >= chunk.len() {
            return None;
        }
        output.reserve(size);
        output.extend(lengths.as_chunks::<2>().0.iter().map(|[low, high]| low | high << 4));
        let mut done = 0;
        for &(word, length) in &self.lengths {
            let end = word as usize * 2;
            output.extend_from_slice(self.words.get(done..end)?);
            done = end;
            match u8::try_from(length - FIRST_RAW) {
                Ok(byte @ 0..=254) => output.push(byte),
                _ => {
                    let [low, high] = length.to_le_bytes();
                    output.extend_from_slice(&[255, low, high]);
                }
            }
        }
        output.extend_from_slice(self.words.get(done..words)?);
        Some(size)
    }

    /// Writes the stream of words and notes the long lengths; returns the size in bytes.
    fn write_words(
        &mut self,
        chunk: &[u8],
        sequences: &[Sequence],
        codes: &[CodeWord; SYMBOLS],
    ) -> usize {
        self.lengths.clear();
        let mut bits = Bits { words: &mut self.words, position: 0, buffer: 0, count: 0 };
        let mut rest = chunk;
        for &sequence in sequences {
            let (literals, after) = rest.split_at(rest.len().min(sequence.literals as usize));
            bits.put_literals(literals, codes);
            bits.put(codes[sequence.symbol() & (SYMBOLS - 1)]);
            if sequence.length >= FIRST_RAW {
                self.lengths.push((bits.words_before_raw_byte(), sequence.length));
            }
            let offset_bits = sequence.offset_bits();
            let extra = u32::from(sequence.offset) & !u32::MAX.wrapping_shl(offset_bits);
            bits.put_bits(extra, offset_bits);
            bits.flush();
            rest = after.get(usize::from(sequence.length) + MIN_MATCH..).unwrap_or_default();
        }
        bits.put_literals(rest, codes);
        bits.put(codes[END]);
        bits.finish()
    }
}

/// Bytes that a length (without the 3) of at least 15 has behind its symbol.
fn raw_size(length: u16) -> usize {
    if length - FIRST_RAW < 255 { 1 } else { 3 }
}

/// A stream of 16-bit words, filled from the top bit.
struct Bits<'a> {
    words: &'a mut [u8; STREAM_SIZE + 8],
    position: usize,
    /// Bits not written yet, the last one lowest; older bits may lie above them.
    buffer: u64,
    /// Number of bits not written yet, at most 15 after a flush.
    count: u32,
}

impl Bits<'_> {
    #[inline(always)]
    fn put_literals(&mut self, literals: &[u8], codes: &[CodeWord; SYMBOLS]) {
        let (threes, rest) = literals.as_chunks::<3>();
        for three in threes {
            for &literal in three {
                self.put(codes[usize::from(literal)]);
            }
            self.flush();
        }
        for &literal in rest {
            self.put(codes[usize::from(literal)]);
        }
        self.flush();
    }

    /// Appends a code. At most 48 bits in a row without [`Self::flush`].
    #[inline(always)]
    fn put(&mut self, code: CodeWord) {
        self.put_bits(code.bits(), code.length());
    }

    /// Appends the low `count` bits of `bits`, whose other bits are zero.
    #[inline(always)]
    fn put_bits(&mut self, bits: u32, count: u32) {
        self.buffer = self.buffer.wrapping_shl(count) | u64::from(bits);
        self.count = self.count.wrapping_add(count);
    }

    /// Writes the whole words. Without a branch on how many there are: that is hard to predict.
    #[inline(always)]
    fn flush(&mut self) {
        let words = self.buffer.wrapping_shl(64u32.wrapping_sub(self.count));
        let pairs = (words & 0x0000_FFFF_0000_FFFF) << 16 | (words >> 16) & 0x0000_FFFF_0000_FFFF;
        let room = &mut self.words[self.position & (STREAM_SIZE - 1)..];
        if let Some(target) = room.first_chunk_mut::<8>() {
            *target = pairs.rotate_left(32).to_le_bytes();
        }
        self.position = self.position.wrapping_add((self.count >> 4 << 1) as usize);
        self.count &= 15;
    }

    /// How many words lie before a raw byte that is written now: a decoder has loaded the word of the last bit, and one more.
    #[inline(always)]
    fn words_before_raw_byte(&self) -> u32 {
        let bits = low_32(self.position).wrapping_mul(8).wrapping_add(self.count);
        (bits.wrapping_sub(1) >> 4).wrapping_add(2)
    }

    /// Fills the last word with zeros, appends a zero word and returns the number of bytes written.
    fn finish(mut self) -> usize {
        // The decoder has loaded what `words_before_raw_byte` says.
        let words = self.words_before_raw_byte();
        self.put_bits(0, 32);
        self.flush();
        words as usize * 2
    }
}
