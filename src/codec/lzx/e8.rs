//! The call translation of LZX: the operands of x86 `call` instructions (opcode E8) are made absolute before compression, so
//! that calls of one function look alike.
//!
//! WIM applies it to every chunk, with positions counted from the start of the chunk and an assumed file size of 12,000,000.
//! The last ten bytes of a chunk start no translation, and neither do the four bytes of an operand.

/// The file size that WIM's LZX assumes.
const FILE_SIZE: i32 = 12_000_000;
/// Bytes at the end of a chunk in which no translation starts.
const TAIL: usize = 10;
/// The opcode.
const CALL: u8 = 0xE8;
/// Bytes of opcode and operand.
const CALL_SIZE: usize = 5;

/// Undoes the translation: absolute operands become relative again.
pub(super) fn decode(chunk: &mut [u8]) {
    translate(chunk, |operand, position| {
        if (0..FILE_SIZE).contains(&operand) {
            Some(operand - position)
        } else if (-position..0).contains(&operand) {
            Some(operand + FILE_SIZE)
        } else {
            None
        }
    });
}

/// Finds the calls and replaces each operand by what `change` makes of it and the position of the call.
#[inline(always)]
fn translate(chunk: &mut [u8], change: impl Fn(i32, i32) -> Option<i32>) {
    let Some(limit) = chunk.len().checked_sub(TAIL) else { return };
    let mut position = 0;
    while let Some(found) = next_call(chunk, position, limit) {
        let Some(operand) = chunk.get_mut(found + 1..).and_then(<[u8]>::first_chunk_mut::<4>)
        else {
            return;
        };
        // Chunks are at most 2 MiB, so the position fits.
        let at = i32::try_from(found).unwrap_or(i32::MAX);
        if let Some(changed) = change(i32::from_le_bytes(*operand), at) {
            *operand = changed.to_le_bytes();
        }
        position = found + CALL_SIZE;
    }
}

/// Position of the next opcode from `start` on and before `limit`.
#[inline(always)]
fn next_call(chunk: &[u8], start: usize, limit: usize) -> Option<usize> {
    let mut rest = chunk.get(start..limit)?;
    let mut position = start;
    while let Some((block, after)) = rest.split_first_chunk::<32>() {
        if block.iter().fold(false, |any, &byte| any | (byte == CALL)) {
            break;
        }
        rest = after;
        position += 32;
    }
    rest.iter().position(|&byte| byte == CALL).map(|index| position + index)
}
