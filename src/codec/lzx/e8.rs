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

/// Undoes the translation in a frame of a cabinet's stream: `start` is the frame's position in the stream, `size` what the stream says of
/// its size.
pub(super) fn decode_frame(frame: &mut [u8], start: i32, size: i32) {
    translate(frame, |operand, position| {
        let position = start.wrapping_add(position);
        if operand >= size || operand < position.wrapping_neg() {
            None
        } else if operand >= 0 {
            Some(operand.wrapping_sub(position))
        } else {
            Some(operand.wrapping_add(size))
        }
    });
}

/// Applies the translation: relative operands become absolute.
pub(super) fn encode(chunk: &mut [u8]) {
    translate(chunk, |operand, position| {
        if !(-position..FILE_SIZE).contains(&operand) {
            None
        } else if operand < FILE_SIZE - position {
            Some(operand + position)
        } else {
            Some(operand - FILE_SIZE)
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The translation as the fact sheet words it, byte by byte.
    fn reference(chunk: &mut [u8]) {
        let mut position = 0;
        while position + TAIL < chunk.len() {
            if chunk[position] != CALL {
                position += 1;
                continue;
            }
            let operand = i32::from_le_bytes(chunk[position + 1..position + 5].try_into().unwrap());
            let at = i32::try_from(position).unwrap();
            let changed = if (0..FILE_SIZE).contains(&operand) {
                operand - at
            } else if -at <= operand && operand < 0 {
                operand + FILE_SIZE
            } else {
                operand
            };
            chunk[position + 1..position + 5].copy_from_slice(&changed.to_le_bytes());
            position += 5;
        }
    }

    /// Bytes with many calls, near and far.
    fn code() -> impl Strategy<Value = Vec<u8>> {
        let call = (-100_000i32..13_000_000)
            .prop_map(|operand| [&[CALL][..], &operand.to_le_bytes()].concat());
        let other = proptest::collection::vec(any::<u8>(), 0..70);
        proptest::collection::vec(prop_oneof![call, other, Just(vec![CALL])], 0..40)
            .prop_map(|parts| parts.concat())
    }

    proptest! {
        #[test]
        fn decoding_undoes_encoding_and_follows_the_sheet(original in code()) {
            let mut chunk = original.clone();
            encode(&mut chunk);
            let mut by_reference = chunk.clone();
            decode(&mut chunk);
            reference(&mut by_reference);
            prop_assert_eq!(&by_reference, &original);
            prop_assert_eq!(chunk, original);
        }
    }

    #[test]
    fn a_call_becomes_absolute_but_not_in_the_last_ten_bytes() {
        let mut chunk = [0u8; 30];
        chunk[8] = CALL;
        chunk[9] = 5;
        chunk[20] = CALL;
        chunk[21] = 5;
        encode(&mut chunk);
        assert_eq!((chunk[9], chunk[21]), (13, 5));
    }
}
