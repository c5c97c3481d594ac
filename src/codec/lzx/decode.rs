//! Decoding of LZX chunks.

use super::e8;
use super::tables::{
    ALIGNED_BITS, ALIGNED_SYMBOLS, BLOCK_ALIGNED, BLOCK_UNCOMPRESSED, BLOCK_VERBATIM,
    DEFAULT_BLOCK_SIZE, EXTRA_BITS, LENGTH_SYMBOLS, LITERALS, LONG_LENGTH_HEADER, MAX_MAIN_SYMBOLS,
    MIN_MATCH, OFFSET_ADJUSTMENT, PRECODE_LONG_ZEROS, PRECODE_SHORT_ZEROS, PRECODE_SYMBOLS,
    RECENT_OFFSETS, SLOT_BASE, has_wide_block_size, slots,
};
use crate::codec::bits::BitReader;
use crate::codec::copy::copy_match;
use crate::codec::huffman::{DecodeTable, LITERAL, PAYLOAD_SHIFT};
use crate::codec::{Codec, Decode, DecodeError};

/// Decodes LZX chunks of one chunk size.
#[derive(Debug)]
pub(in crate::codec) struct Decoder {
    chunk_size: u32,
    pub(super) codes: Codes,
    /// Lengths of the codes of the block before; zero at the start of a chunk.
    main_lengths: [u8; MAX_MAIN_SYMBOLS],
    length_lengths: [u8; LENGTH_SYMBOLS],
    precode: DecodeTable<128>,
}

/// The codes of a block.
#[derive(Debug)]
pub(super) struct Codes {
    main: DecodeTable<2048>,
    length: DecodeTable<512>,
    aligned: DecodeTable<128>,
}

/// Where decoding stands within a chunk.
#[derive(Debug, Clone, Copy)]
pub(super) struct State<'a> {
    pub(super) reader: BitReader<'a>,
    pub(super) position: usize,
    pub(super) recent: [u32; RECENT_OFFSETS],
}

impl Decoder {
    /// A decoder for chunks of at most `chunk_size` bytes, which must be a size that WIM allows.
    pub(in crate::codec) fn new(chunk_size: u32) -> Self {
        Self {
            chunk_size,
            codes: Codes {
                main: DecodeTable::new(),
                length: DecodeTable::new(),
                aligned: DecodeTable::new(),
            },
            main_lengths: [0; MAX_MAIN_SYMBOLS],
            length_lengths: [0; LENGTH_SYMBOLS],
            precode: DecodeTable::new(),
        }
    }

    /// The number of bytes that the next block makes.
    fn read_block_size(&self, reader: &mut BitReader<'_>) -> usize {
        let size = if reader.read(1) == 1 {
            DEFAULT_BLOCK_SIZE
        } else if has_wide_block_size(self.chunk_size) {
            reader.read(24)
        } else {
            reader.read(16)
        };
        size as usize
    }

    /// Reads the codes of a compressed block and builds their tables.
    pub(super) fn read_codes(
        &mut self,
        reader: &mut BitReader<'_>,
        aligned: bool,
    ) -> Result<(), DecodeError> {
        if aligned {
            let mut lengths = [0u8; ALIGNED_SYMBOLS];
            for length in &mut lengths {
                *length = low_byte(reader.read(3));
            }
            let built = self.codes.aligned.build(&lengths, |symbol| symbol << PAYLOAD_SHIFT);
            built
                .then_some(())
                .ok_or_else(|| damaged("impossible lengths of the aligned offset code"))?;
        }
        let main_symbols = LITERALS + 8 * slots(self.chunk_size);
        let (literals, matches) = self.main_lengths[..main_symbols].split_at_mut(LITERALS);
        read_lengths(reader, &mut self.precode, literals)?;
        read_lengths(reader, &mut self.precode, matches)?;
        read_lengths(reader, &mut self.precode, &mut self.length_lengths)?;
        let built = self.codes.main.build(&self.main_lengths[..main_symbols], main_payload);
        built.then_some(()).ok_or_else(|| damaged("impossible lengths of the main code"))?;
        let built = self.codes.length.build(&self.length_lengths, |symbol| symbol << PAYLOAD_SHIFT);
        built.then_some(()).ok_or_else(|| damaged("impossible lengths of the length code"))
    }
}

impl Decode for Decoder {
    fn decode(&mut self, compressed: &[u8], output: &mut [u8]) -> Result<(), DecodeError> {
        if output.len() > self.chunk_size as usize {
            return Err(damaged("longer than the chunk size"));
        }
        self.main_lengths.fill(0);
        self.length_lengths.fill(0);
        let mut state = State { reader: BitReader::new(compressed), position: 0, recent: [1; 3] };
        let mut may_have_calls = false;
        while state.position < output.len() {
            let kind = state.reader.read(3);
            let size = self.read_block_size(&mut state.reader);
            if size == 0 || size > output.len() - state.position {
                return Err(damaged("a block with an impossible size"));
            }
            let end = state.position + size;
            match kind {
                BLOCK_VERBATIM => {
                    self.read_codes(&mut state.reader, false)?;
                    decode_block::<false>(&self.codes, &mut state, output, end)?;
                }
                BLOCK_ALIGNED => {
                    self.read_codes(&mut state.reader, true)?;
                    decode_block::<true>(&self.codes, &mut state, output, end)?;
                }
                BLOCK_UNCOMPRESSED => copy_block(&mut state, &mut output[..end])?,
                _ => return Err(damaged("a block of unknown type")),
            }
            // Without a literal E8, no byte can be one.
            may_have_calls |= kind == BLOCK_UNCOMPRESSED || self.main_lengths[0xE8] != 0;
            if state.reader.overrun() {
                return Err(damaged("it ends too early"));
            }
        }
        if may_have_calls {
            e8::decode(output);
        }
        Ok(())
    }
}

pub(super) fn damaged(what: &'static str) -> DecodeError {
    DecodeError { codec: Codec::Lzx, what }
}

fn low_byte(value: u32) -> u8 {
    (value & 0xFF) as u8
}

/// Literals carry their byte; matches their length header (3 bits), their slot (6 bits) and the number of extra bits.
fn main_payload(symbol: u32) -> u32 {
    const PAYLOADS: [u32; MAX_MAIN_SYMBOLS] = {
        let mut payloads = [0; MAX_MAIN_SYMBOLS];
        let mut index = 0;
        let mut symbol = 0u32;
        while index < MAX_MAIN_SYMBOLS {
            payloads[index] = if index < LITERALS {
                LITERAL | symbol << PAYLOAD_SHIFT
            } else {
                let extra = EXTRA_BITS[(index - LITERALS) / 8] as u32;
                ((symbol - 256) | (extra << 9)) << PAYLOAD_SHIFT
            };
            index += 1;
            symbol += 1;
        }
        payloads
    };
    PAYLOADS.get(symbol as usize).copied().unwrap_or(0)
}

/// Reads the changes of some code lengths.
fn read_lengths(
    reader: &mut BitReader<'_>,
    precode: &mut DecodeTable<128>,
    lengths: &mut [u8],
) -> Result<(), DecodeError> {
    let mut precode_lengths = [0u8; PRECODE_SYMBOLS];
    for length in &mut precode_lengths {
        *length = low_byte(reader.read(4));
    }
    if !precode.build(&precode_lengths, |symbol| symbol << PAYLOAD_SHIFT) {
        return Err(damaged("impossible lengths of the precode"));
    }
    let mut next = 0;
    while next < lengths.len() {
        reader.refill();
        let symbol = read_precode_symbol(reader, precode)?;
        if symbol < PRECODE_SHORT_ZEROS {
            lengths[next] = difference(lengths[next], symbol);
            next += 1;
            continue;
        }
        let (run, value) = match symbol {
            PRECODE_SHORT_ZEROS => (4 + reader.take(4), 0),
            PRECODE_LONG_ZEROS => (20 + reader.take(5), 0),
            _ => {
                let run = 4 + reader.take(1);
                let symbol = read_precode_symbol(reader, precode)?;
                if symbol >= PRECODE_SHORT_ZEROS {
                    return Err(damaged("a run of runs in the code lengths"));
                }
                (run, difference(lengths[next], symbol))
            }
        };
        let run = lengths.get_mut(next..next + run as usize);
        let run = run.ok_or_else(|| damaged("a run past the end of the code lengths"))?;
        run.fill(value);
        next += run.len();
    }
    Ok(())
}

/// The new length that a precode symbol (0 to 16) makes of an old one.
fn difference(old: u8, symbol: u32) -> u8 {
    let difference = u32::from(old).wrapping_sub(symbol);
    low_byte(difference.min(difference.wrapping_add(17)))
}

/// Takes a precode symbol; 15 bits must be available.
fn read_precode_symbol(
    reader: &mut BitReader<'_>,
    precode: &DecodeTable<128>,
) -> Result<u32, DecodeError> {
    let entry =
        precode.get(reader.peek()).ok_or_else(|| damaged("a code that is not in the precode"))?;
    reader.consume(entry.bits());
    Ok(entry.payload())
}

/// The smallest offset of each slot. The root of the table of the aligned code has no codes that are too long for it.
const OFFSET_BASE: [u32; 64] = {
    let mut base = [0; 64];
    let mut slot = RECENT_OFFSETS;
    while slot < SLOT_BASE.len() {
        base[slot] = SLOT_BASE[slot] - OFFSET_ADJUSTMENT;
        slot += 1;
    }
    base
};

/// Decodes the items of a compressed block up to output position `end`.
pub(super) fn decode_block<const ALIGNED: bool>(
    codes: &Codes,
    state: &mut State<'_>,
    output: &mut [u8],
    end: usize,
) -> Result<(), DecodeError> {
    const UNKNOWN_CODE: DecodeError =
        DecodeError { codec: Codec::Lzx, what: "a code that is not in its table" };
    assert!(end <= output.len(), "checked by the caller");
    // A copy, so that it lives in registers.
    let State { mut reader, mut position, mut recent } = *state;
    while position < end {
        // 48 bits: enough for three codes of the root's 11 bits, the third of them no match.
        reader.refill();
        let mut entry = codes.main.root(reader.peek());
        if entry.is_literal() {
            reader.consume(entry.bits());
            output[position] = entry.byte();
            position = position.wrapping_add(1);
            entry = codes.main.root(reader.peek());
            if entry.is_literal() {
                // What lies behind the end of the block is decoded again later.
                let Some(next) = output.get_mut(position).filter(|_| position < end) else { break };
                reader.consume(entry.bits());
                *next = entry.byte();
                position = position.wrapping_add(1);
                entry = codes.main.root(reader.peek());
                if entry.is_literal() {
                    let Some(next) = output.get_mut(position).filter(|_| position < end) else {
                        break;
                    };
                    reader.consume(entry.bits());
                    *next = entry.byte();
                    position = position.wrapping_add(1);
                    continue;
                }
                reader.refill();
            }
            if position == end {
                break;
            }
        }
        if entry.is_special() {
            reader.refill();
            entry = codes.main.long(reader.peek()).ok_or(UNKNOWN_CODE)?;
            if entry.is_literal() {
                reader.consume(entry.bits());
                output[position] = entry.byte();
                position = position.wrapping_add(1);
                continue;
            }
        }
        reader.consume(entry.bits());
        // At least 26 bits are available: enough for a length code, or 14 bits and an aligned code, or 17 bits.
        let mut length = entry.payload() & 7;
        if length == LONG_LENGTH_HEADER {
            let entry = codes.length.get(reader.peek()).ok_or(UNKNOWN_CODE)?;
            reader.consume(entry.bits());
            length = length.wrapping_add(entry.payload());
            reader.refill();
        }
        let slot = (entry.payload() >> 3 & 63) as usize;
        let offset = if slot < RECENT_OFFSETS {
            recent.swap(0, slot);
            recent[0]
        } else {
            let extra = entry.payload() >> 9 & 31;
            let bits = if ALIGNED && extra >= ALIGNED_BITS {
                let high = reader.take(extra.wrapping_sub(ALIGNED_BITS)) << ALIGNED_BITS;
                let entry = codes.aligned.root(reader.peek());
                if entry.is_special() {
                    return Err(UNKNOWN_CODE);
                }
                reader.consume(entry.bits());
                high | entry.payload()
            } else {
                reader.take(extra)
            };
            let offset = OFFSET_BASE[slot].wrapping_add(bits);
            recent = [offset, recent[0], recent[1]];
            offset
        } as usize;
        let length = (length as usize).wrapping_add(MIN_MATCH);
        if offset > position {
            return Err(damaged("a match that starts before the chunk"));
        }
        if length > end.wrapping_sub(position) {
            return Err(damaged("a match that runs past the end of its block"));
        }
        copy_match(output, position, offset, length);
        position = position.wrapping_add(length);
    }
    *state = State { reader, position, recent };
    Ok(())
}

/// Copies an uncompressed block to the end of `output`.
fn copy_block(state: &mut State<'_>, output: &mut [u8]) -> Result<(), DecodeError> {
    const SHORT: DecodeError =
        DecodeError { codec: Codec::Lzx, what: "it ends within an uncompressed block" };
    let reader = &mut state.reader;
    reader.align_to_bytes();
    let header = reader.take_bytes(4 * RECENT_OFFSETS).ok_or(SHORT)?;
    for (recent, bytes) in state.recent.iter_mut().zip(header.chunks_exact(4)) {
        *recent = bytes.iter().rev().fold(0, |sum, &byte| sum << 8 | u32::from(byte));
        if *recent == 0 {
            return Err(damaged("an uncompressed block with a zero offset"));
        }
    }
    let target = &mut output[state.position..];
    target.copy_from_slice(reader.take_bytes(target.len()).ok_or(SHORT)?);
    let odd = target.len() % 2 == 1;
    state.position = output.len();
    if odd {
        // The pad byte may be missing at the very end.
        let _ = reader.take_bytes(1);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::bits::BitWriter;

    /// An uncompressed block of a chunk of 32 KiB, with its recent offsets.
    fn uncompressed(size: usize, recent: u32) -> Vec<u8> {
        let mut bytes = vec![0; 100];
        let mut writer = BitWriter::new(&mut bytes);
        writer.write(BLOCK_UNCOMPRESSED, 3);
        writer.write(0, 1);
        writer.write(u32::try_from(size).unwrap(), 16);
        let written = writer.finish().unwrap();
        bytes.truncate(written);
        for _ in 0..3 {
            bytes.extend_from_slice(&recent.to_le_bytes());
        }
        bytes.extend((0..=255).cycle().take(size));
        bytes
    }

    #[test]
    fn uncompressed_blocks_of_odd_size_are_padded() {
        let mut stream = uncompressed(7, 1);
        stream.push(0);
        stream.extend(uncompressed(5, 3));
        let mut output = [0; 12];
        Decoder::new(1 << 15).decode(&stream, &mut output).unwrap();
        assert_eq!(
            output,
            [0, 1, 2, 3, 4, 5, 6, 0, 1, 2, 3, 4],
            "and the last pad byte may be missing"
        );
    }

    #[test]
    fn calls_in_uncompressed_blocks_are_translated() {
        let mut stream = uncompressed(30, 1);
        let start = stream.len() - 30;
        stream[start + 4] = 0xE8;
        stream[start + 5..start + 9].copy_from_slice(&100i32.to_le_bytes());
        let mut output = [0; 30];
        Decoder::new(1 << 15).decode(&stream, &mut output).unwrap();
        assert_eq!(output[5..9], 96i32.to_le_bytes());
    }

    #[test]
    fn impossible_blocks_are_refused() {
        let what = |stream: &[u8], size: usize| {
            Decoder::new(1 << 15).decode(stream, &mut vec![0; size]).unwrap_err().what
        };
        assert_eq!(what(&uncompressed(8, 0), 8), "an uncompressed block with a zero offset");
        assert_eq!(what(&uncompressed(8, 1)[..20], 8), "it ends within an uncompressed block");
        assert_eq!(what(&uncompressed(8, 1), 7), "a block with an impossible size");
        assert_eq!(what(&uncompressed(0, 1), 7), "a block with an impossible size");
        assert_eq!(what(&[0, 0, 0x10, 0], 1), "a block with an impossible size");
        assert_eq!(what(&[0, 0xF0, 0, 0], 32_768), "a block of unknown type");
    }
}
