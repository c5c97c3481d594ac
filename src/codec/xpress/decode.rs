//! Decoding of XPRESS chunks.

use super::table::{Entry, Table};
use super::{HEADER_SIZE, MIN_MATCH};
use crate::codec::bits::BitReader;
use crate::codec::copy::copy_match;
use crate::codec::{Codec, Decode, DecodeError};

/// Length header that announces raw length bytes.
const LONG_LENGTH: u32 = 15;

/// Decodes XPRESS chunks of any size.
#[derive(Debug)]
pub(in crate::codec) struct Decoder {
    table: Table,
}

impl Decoder {
    pub(in crate::codec) fn new() -> Self {
        Self { table: Table::new() }
    }
}

impl Decode for Decoder {
    fn decode(&mut self, compressed: &[u8], output: &mut [u8]) -> Result<(), DecodeError> {
        if output.is_empty() {
            return Ok(());
        }
        let (header, body) = compressed
            .split_first_chunk::<HEADER_SIZE>()
            .ok_or_else(|| damaged("shorter than its code lengths"))?;
        if !self.table.build(header) {
            return Err(damaged("impossible code lengths"));
        }
        decode_body(&self.table, body, output)
    }
}

fn damaged(what: &'static str) -> DecodeError {
    DecodeError { codec: Codec::Xpress, what }
}

fn decode_body(table: &Table, body: &[u8], output: &mut [u8]) -> Result<(), DecodeError> {
    let mut reader = BitReader::new(body);
    let mut position = 0;
    while position < output.len() {
        // 48 bits: three codes that the root knows, 11 bits at most, the last of which may be a match with 15 offset bits.
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
                let Some(third) = output.get_mut(position) else { break };
                entry = table.root(reader.peek());
                if entry.is_literal() {
                    reader.consume(entry.bits());
                    *third = entry.byte();
                    position = position.wrapping_add(1);
                    continue;
                }
            }
        }
        if entry.is_long() {
            reader.refill();
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

/// Offset and length of a match whose symbol was just consumed. At least 15 bits are available.
#[inline(always)]
fn match_of(reader: &mut BitReader<'_>, entry: Entry) -> Result<(usize, usize), DecodeError> {
    let mut length = entry.length_header();
    if length == LONG_LENGTH {
        reader.refill();
        length = long_length(reader).ok_or_else(|| damaged("it ends within a match length"))?;
    }
    let offset_bits = entry.offset_bits();
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
