//! The translation of addresses in x86 machine code.
//!
//! Instructions name addresses relative to where they stand, so the same target looks different each time. Before encoding, the operands of
//! calls and of the usual instructions with addresses relative to the program counter become absolute; after decoding, relative again. Both
//! sides decide alike whether bytes look like code: the low halves of two targets within 64 KiB have to be equal, and
//! then everything close behind is translated. No flag switches it off. Neither the first byte of a chunk nor the last 16 begin an instruction.

/// Bytes at the end of a chunk that begin no instruction.
const TAIL: usize = 16;
/// Distance behind the last sure instruction in which instructions are translated.
const REACH: u32 = 1023;
/// Longest distance between two uses of a target.
const TARGET_DISTANCE: u32 = 65535;

/// The memory of the translation: where each low half of a target was last used.
#[derive(Debug)]
pub(super) struct X86 {
    /// Numbers of positions. They grow from chunk to chunk, so that what is older than the chunk is too far away to count.
    last_use: Vec<u32>,
    /// The number behind the last one of the chunk before.
    next: u32,
}

impl X86 {
    /// Takes no memory before it is used.
    pub(super) fn new() -> Self {
        Self { last_use: Vec::new(), next: 0 }
    }

    /// Makes relative operands absolute.
    pub(super) fn encode(&mut self, chunk: &mut [u8]) {
        self.translate::<true>(chunk);
    }

    /// Makes absolute operands relative.
    pub(super) fn decode(&mut self, chunk: &mut [u8]) {
        self.translate::<false>(chunk);
    }

    fn translate<const ENCODE: bool>(&mut self, chunk: &mut [u8]) {
        let Some(end) = chunk.len().checked_sub(TAIL).filter(|&end| end > 1) else { return };
        let base = self.start(chunk.len());
        // Numbers as in `last_use`; the first one is out of reach of every position.
        let mut sure = base.wrapping_sub(REACH + 1);
        let mut position = 1;
        let mut candidates = Candidates::default();
        while let Some(found) = candidates.next(chunk, position, end) {
            let (size, reach) = match opcode(&chunk[found..]) {
                Opcode::None => {
                    position = found + 1;
                    continue;
                }
                Opcode::Jump => {
                    position = found + 5;
                    continue;
                }
                Opcode::Call => (1, REACH / 2),
                Opcode::Long(size) => (size, REACH),
            };
            let at = found + size;
            let Some(operand) = chunk.get_mut(at..).and_then(<[u8]>::first_chunk_mut::<4>) else {
                return;
            };
            // Chunks have at most 2^30 bytes.
            let here = u32::try_from(found).unwrap_or(u32::MAX);
            let number = base.wrapping_add(here);
            let stored = u32::from_le_bytes(*operand);
            let translated = number.wrapping_sub(sure) <= reach;
            let other = if ENCODE { stored.wrapping_add(here) } else { stored.wrapping_sub(here) };
            if translated {
                *operand = other.to_le_bytes();
            }
            let relative = if translated && !ENCODE { other } else { stored };
            let target = (here.wrapping_add(relative) & 0xFFFF) as usize;
            let end_number = number.wrapping_add(u32::try_from(size).unwrap_or(0)).wrapping_add(3);
            let last_use = &mut self.last_use[target];
            if end_number.wrapping_sub(*last_use) <= TARGET_DISTANCE {
                sure = end_number;
            }
            *last_use = end_number;
            position = at + 4;
        }
    }

    /// Makes every earlier use too old to count, and claims the numbers of a chunk of `size` bytes.
    fn start(&mut self, size: usize) -> u32 {
        if self.last_use.is_empty() {
            self.last_use = vec![0; 1 << 16];
        }
        let size = u32::try_from(size).unwrap_or(u32::MAX);
        let base = self.next.saturating_add(TARGET_DISTANCE + 1);
        if let Some(next) = base.checked_add(size) {
            self.next = next;
            return base;
        }
        self.last_use.fill(0);
        self.next = size.saturating_add(TARGET_DISTANCE + 1);
        TARGET_DISTANCE + 1
    }
}

/// What stands at a position.
enum Opcode {
    /// Nothing of interest.
    None,
    /// A jump, which is skipped with its operand.
    Jump,
    /// A call, of one byte.
    Call,
    /// An instruction with so many bytes before its operand.
    Long(usize),
}

/// The instruction at the start of `bytes`, of which there are at least three.
#[inline(always)]
fn opcode(bytes: &[u8]) -> Opcode {
    match *bytes {
        [0xE8, ..] => Opcode::Call,
        [0xE9, ..] => Opcode::Jump,
        // LEA and MOV with an operand relative to the program counter.
        [0x48 | 0x4C, 0x8D, modrm, ..] if modrm & 7 == 5 => Opcode::Long(3),
        [0x48, 0x8B, modrm, ..] if modrm & 0xF7 == 5 => Opcode::Long(3),
        [0xFF, 0x15, ..] => Opcode::Long(2),
        [0xF0, 0x83, 0x05, ..] => Opcode::Long(3),
        _ => Opcode::None,
    }
}

/// Positions that one step of [`Candidates`] looks at.
const STEP: usize = 32;

/// Finds positions where an instruction of interest may begin: many at once, since single bytes of that kind are everywhere.
#[derive(Debug, Default)]
struct Candidates {
    /// Where the positions in `mask` begin.
    start: usize,
    /// A bit for each position that is left.
    mask: u32,
    /// Where the next step begins.
    next: usize,
}

impl Candidates {
    /// The first candidate from `position` to before `end`. The bytes from `position` on must be as they were at the call before.
    #[inline(always)]
    fn next(&mut self, chunk: &[u8], position: usize, end: usize) -> Option<usize> {
        loop {
            while self.mask != 0 {
                let found = self.start.wrapping_add(self.mask.trailing_zeros() as usize);
                if found >= end {
                    return None;
                }
                self.mask &= self.mask.wrapping_sub(1);
                if found >= position {
                    return Some(found);
                }
            }
            if self.next >= end {
                return None;
            }
            self.start = self.next;
            self.next = self.next.wrapping_add(STEP);
            let rest = &chunk[self.start..];
            self.mask = if let Some(bytes) = rest.first_chunk() {
                candidates(bytes)
            } else {
                let mut bytes = [0; STEP + 2];
                bytes[..rest.len()].copy_from_slice(rest);
                candidates(&bytes)
            };
        }
    }
}

/// A bit for each position where an instruction of interest may begin.
#[inline(always)]
fn candidates(bytes: &[u8; STEP + 2]) -> u32 {
    // One byte for each position, without branches: the compiler makes vector instructions of it.
    let mut flags = [0u8; STEP];
    for (i, flag) in flags.iter_mut().enumerate() {
        let (first, second, third) = (bytes[i], bytes[i + 1], bytes[i + 2]);
        let short = u8::from(first & 0xFE == 0xE8);
        let call = u8::from(first == 0xFF) & u8::from(second == 0x15);
        let lock = u8::from(first == 0xF0) & u8::from(second == 0x83);
        let relative = u8::from(first & 0xFB == 0x48)
            & u8::from(second & 0xF9 == 0x89)
            & u8::from(third & 7 == 5);
        *flag = short | call | lock | relative;
    }
    let mut mask = 0;
    for (i, eight) in (0u32..).zip(flags.as_chunks::<8>().0) {
        // Gathers the lowest bits of eight bytes in the highest byte.
        let bits = u64::from_le_bytes(*eight).wrapping_mul(0x0102_0408_1020_4080) >> 56;
        mask |= (bits & 0xFF) as u32 * (1 << (8 * i));
    }
    mask
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The undoing as the fact sheet words it.
    fn reference(chunk: &mut [u8]) {
        let size = chunk.len();
        let mut last_use = vec![-65536i64; 1 << 16];
        let (mut last_x86, mut i) = (-1024i64, 1);
        while i + 16 < size {
            let byte = chunk[i];
            let (next, modrm) = (chunk[i + 1], chunk[i + 2]);
            let long = modrm & 7 == 5
                && (next == 0x8D || (next == 0x8B && byte == 0x48 && modrm & 0xF0 == 0));
            let opcode_size = match byte {
                0x48 | 0x4C if long => 3,
                0xE8 => 1,
                0xFF if next == 0x15 => 2,
                0xF0 if next == 0x83 && modrm == 5 => 3,
                0xE9 => {
                    i += 5;
                    continue;
                }
                _ => {
                    i += 1;
                    continue;
                }
            };
            let at = i + opcode_size;
            let here = i64::try_from(i).unwrap();
            let mut value = u32::from_le_bytes(chunk[at..at + 4].try_into().unwrap());
            if here - last_x86 <= if byte == 0xE8 { 511 } else { 1023 } {
                value = value.wrapping_sub(u32::try_from(i).unwrap());
                chunk[at..at + 4].copy_from_slice(&value.to_le_bytes());
            }
            let target = (i + usize::try_from(value & 0xFFFF).unwrap()) & 0xFFFF;
            let end = i64::try_from(at + 3).unwrap();
            if end - last_use[target] <= 65535 {
                last_x86 = end;
            }
            last_use[target] = end;
            i = at + 4;
        }
    }

    /// Bytes with many instructions of interest, and few targets.
    fn code() -> impl Strategy<Value = Vec<u8>> {
        let opcode = prop_oneof![
            Just(vec![0xE8]),
            Just(vec![0xFF, 0x15]),
            Just(vec![0x48, 0x8D, 0x0D]),
            Just(vec![0x48, 0x8B, 0x05]),
            Just(vec![0x4C, 0x8B, 0x05]),
            Just(vec![0x48, 0x8B, 0x85]),
            Just(vec![0xF0, 0x83, 0x05]),
            Just(vec![0xE9]),
        ];
        let call = (opcode, 0u32..20).prop_map(|(opcode, target)| (opcode, Some(target)));
        let other = proptest::collection::vec(any::<u8>(), 0..70).prop_map(|bytes| (bytes, None));
        proptest::collection::vec(prop_oneof![4 => call, 1 => other], 0..200).prop_map(|parts| {
            let mut bytes: Vec<u8> = Vec::new();
            for (part, target) in parts {
                let here = u32::try_from(bytes.len()).unwrap();
                bytes.extend(part);
                if let Some(target) = target {
                    bytes.extend((target * 977).wrapping_sub(here).to_le_bytes());
                }
            }
            bytes
        })
    }

    proptest! {
        #[test]
        fn decoding_undoes_encoding_and_follows_the_sheet(chunks in proptest::collection::vec(code(), 1..4)) {
            let mut x86 = X86::new();
            for original in chunks {
                let mut chunk = original.clone();
                x86.encode(&mut chunk);
                let mut by_reference = chunk.clone();
                x86.decode(&mut chunk);
                reference(&mut by_reference);
                prop_assert_eq!(&chunk, &original);
                prop_assert_eq!(&by_reference, &original);
            }
        }
    }

    #[test]
    fn the_second_call_of_a_target_makes_the_third_absolute() {
        let mut chunk = [0u8; 60];
        for (i, at) in [1usize, 11, 21].into_iter().enumerate() {
            chunk[at] = 0xE8;
            chunk[at + 1] = 100 - u8::try_from(10 * i).unwrap();
        }
        X86::new().encode(&mut chunk);
        assert_eq!((chunk[2], chunk[12], chunk[22]), (100, 90, 101));
    }

    #[test]
    fn numbers_start_anew_before_they_run_out() {
        let mut x86 = X86::new();
        x86.next = u32::MAX - 70_000;
        assert_eq!(x86.start(1000), u32::MAX - 70_000 + 65_536);
        assert_eq!(x86.start(1000), 65_536);
        assert_eq!(x86.next, 66_536);
    }
}
