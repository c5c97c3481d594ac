//! Decoding of XPRESS chunks.

use super::{HEADER_SIZE, MIN_MATCH, SYMBOLS};
use crate::codec::bits::BitReader;
use crate::codec::copy::copy_match;
use crate::codec::huffman::{DecodeTable, Entry, LITERAL, PAYLOAD_SHIFT};
use crate::codec::{Codec, Decode, DecodeError};

/// Length header that announces raw length bytes.
const LONG_LENGTH: u32 = 15;

/// Decodes XPRESS chunks of any size.
#[derive(Debug)]
pub(in crate::codec) struct Decoder {
    table: DecodeTable<2048>,
}

impl Decoder {
    pub(in crate::codec) fn new() -> Self {
        Self { table: DecodeTable::new() }
    }
}

impl Decode for Decoder {
    fn decode(&mut self, compressed: &[u8], output: &mut [u8]) -> Result<(), DecodeError> {
        if output.is_empty() {
            return Ok(());
        }
        let (header, body) = compressed
            .split_at_checked(HEADER_SIZE)
            .ok_or_else(|| damaged("shorter than its code lengths"))?;
        let mut lengths = [0u8; SYMBOLS];
        for (pair, &byte) in lengths.chunks_exact_mut(2).zip(header) {
            pair[0] = byte & 15;
            pair[1] = byte >> 4;
        }
        if !self.table.build(&lengths, payload) {
            return Err(damaged("impossible code lengths"));
        }
        decode_body(&self.table, body, output)
    }
}

fn damaged(what: &'static str) -> DecodeError {
    DecodeError { codec: Codec::Xpress, what }
}

/// Literals carry their byte, matches their symbol without the 256.
fn payload(symbol: u32) -> u32 {
    if symbol < 256 { LITERAL | symbol << PAYLOAD_SHIFT } else { (symbol - 256) << PAYLOAD_SHIFT }
}

fn decode_body(
    table: &DecodeTable<2048>,
    body: &[u8],
    output: &mut [u8],
) -> Result<(), DecodeError> {
    let mut reader = BitReader::new(body);
    let mut position = 0;
    while position < output.len() {
        // 48 bits: three codes of at most 15, the last of which may be a match whose offset bits wait for another refill.
        reader.refill();
        let mut entry = table.root(reader.peek());
        if entry.is_literal() {
            reader.consume(entry.bits());
            output[position] = entry.byte();
            position = position.wrapping_add(1);
            let Some(second) = output.get_mut(position) else { break };
            entry = table.root(reader.peek());
            if entry.is_literal() {
                reader.consume(entry.bits());
                *second = entry.byte();
                position = position.wrapping_add(1);
                continue;
            }
        }
        if entry.is_special() {
            entry = table
                .long(reader.peek())
                .ok_or_else(|| damaged("a code that is not in the table"))?;
            if entry.is_literal() {
                reader.consume(entry.bits());
                output[position] = entry.byte();
                position = position.wrapping_add(1);
                continue;
            }
        }
        reader.consume(entry.bits());
        let (offset, length) = match_of(&mut reader, entry)?;
        if offset > position {
            return Err(damaged("a match that starts before the chunk"));
        }
        if length > output.len().wrapping_sub(position) {
            return Err(damaged("a match that runs past the end of the chunk"));
        }
        copy_match(output, position, offset, length);
        position = position.wrapping_add(length);
    }
    if reader.overrun() {
        return Err(damaged("it ends too early"));
    }
    Ok(())
}

/// Offset and length of a match whose symbol was just consumed. At least 18 bits are available.
#[inline(always)]
fn match_of(reader: &mut BitReader<'_>, entry: Entry) -> Result<(usize, usize), DecodeError> {
    let symbol = entry.payload();
    let mut length = symbol & 15;
    if length == LONG_LENGTH {
        length = long_length(reader).ok_or_else(|| damaged("it ends within a match length"))?;
    }
    let offset_bits = symbol >> 4 & 15;
    let offset = 1u32.wrapping_shl(offset_bits) | reader.take(offset_bits);
    Ok((offset as usize, length as usize + MIN_MATCH))
}

/// The length, without the 3, of a match whose length header is 15.
#[inline]
fn long_length(reader: &mut BitReader<'_>) -> Option<u32> {
    let byte = reader.raw_byte()?;
    if byte < 255 {
        return Some(LONG_LENGTH + u32::from(byte));
    }
    let low = reader.raw_byte()?;
    let high = reader.raw_byte()?;
    Some(u32::from(u16::from_le_bytes([low, high])))
}
