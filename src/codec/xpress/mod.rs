//! XPRESS with Huffman codes, as in WIM chunks (MS-XCA section 2.1 and 2.2, in the form Windows writes for WIMs).
//!
//! A chunk is 256 bytes of code lengths (512 of 4 bits, low nibble first), then 16-bit words read from the top bit, with raw
//! bytes between them. Symbols 0 to 255 are literals; symbol `256 + 16·k + l` is a match whose offset is `2^k` plus the next
//! `k` bits and whose length is `l + 3`. When `l` is 15 a raw byte is added to the length, and when that is 255 a raw 16-bit
//! value *is* the length (before the 3). The raw bytes lie behind the two words that the decoder has loaded at that moment.
//! Encoders end a chunk with symbol 256, which Microsoft's decoder wants to see.

mod chains;
mod decode;
mod encode;
mod optimal;
mod quick;
mod table;
mod trees;
mod window;
mod write;

pub(super) use decode::Decoder;
pub(super) use encode::Encoder;

/// Version of what the encoder writes. Raise it whenever the same input may give other bytes than before: what is in caches under the older
/// version is then not copied into outputs any more, which would make them differ from machine to machine.
pub(super) const ENCODER_VERSION: u8 = 2;

/// Symbols of the code.
const SYMBOLS: usize = 512;
/// Bytes of code lengths at the start of a chunk.
const HEADER_SIZE: usize = SYMBOLS / 2;
/// Shortest match.
const MIN_MATCH: usize = 3;
/// The match symbol that ends a chunk: offset 1, length 3.
const END: usize = 256;
/// Largest value of the length header, which announces raw bytes.
const LONG_LENGTH: usize = 15;
/// Longest code.
const MAX_CODE_LENGTH: usize = 15;

/// Counts a symbol.
#[inline(always)]
fn count(frequencies: &mut [u32; SYMBOLS], symbol: usize) {
    let count = &mut frequencies[symbol & (SYMBOLS - 1)];
    *count = count.wrapping_add(1);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{Decode, Encode, Level};
    use proptest::prelude::*;

    /// Bytes with repeats of all lengths and distances: literals from `alphabet` values, then copies from before.
    fn repetitive(size: usize, alphabet: u8, seed: u64) -> Vec<u8> {
        let mut state = seed | 1;
        let mut below = |limit: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state >> 33).unwrap() % limit
        };
        let mut bytes = Vec::with_capacity(size + 70_000);
        while bytes.len() < size {
            for _ in 0..=below(12) {
                bytes.push(u8::try_from(below(usize::from(alphabet))).unwrap());
            }
            let offset = 1 + below(bytes.len());
            let length = [3, 4, 17, 18, 19, 40, 271, 272, 273, 274, 900, 9000][below(12)];
            for _ in 0..1 + below(length) {
                bytes.push(bytes[bytes.len() - offset]);
            }
        }
        bytes.truncate(size);
        bytes
    }

    fn round_trip(level: Level, chunk: &[u8]) -> Option<usize> {
        let mut encoded = vec![7];
        let size = Encoder::new(level).encode(chunk, &mut encoded);
        assert_eq!(encoded.len(), 1 + size.unwrap_or(0));
        let size = size?;
        assert!(size < chunk.len());
        let mut decoded = vec![0xAA; chunk.len()];
        Decoder::new().decode(&encoded[1..], &mut decoded).unwrap();
        assert!(decoded == chunk, "{level:?} decoded something else");
        Some(size)
    }

    #[test]
    fn the_longest_match_and_all_literals_round_trip() {
        let all: Vec<u8> =
            (0..0x1_0000u32).map(|i| (i.wrapping_mul(i) >> 7 & 0x7F) as u8).collect();
        for level in Level::ALL {
            assert!(round_trip(level, &vec![9; 0x1_0000]).is_some_and(|size| size < 300));
            assert!(round_trip(level, &all).is_some());
        }
    }

    #[test]
    fn slower_levels_are_smaller() {
        for seed in 1..4 {
            let chunk = repetitive(0x8000, 90, seed);
            let sizes = Level::ALL.map(|level| round_trip(level, &chunk).unwrap());
            assert!(sizes.is_sorted_by(|a, b| a >= b), "{sizes:?}");
            assert!(sizes[2] < sizes[0]);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn every_level_round_trips(
            level in 0..Level::ALL.len(),
            size in prop_oneof![0usize..700, 0usize..=0x1_0000],
            alphabet in 1u8..=255,
            seed in any::<u64>(),
        ) {
            round_trip(Level::ALL[level], &repetitive(size, alphabet, seed));
        }

        #[test]
        fn no_header_is_a_reason_to_panic(
            header in proptest::collection::vec(any::<u8>(), HEADER_SIZE + 40),
            keep in 0u8..=255,
        ) {
            // Few used symbols, so that some headers are codes.
            let sparse: Vec<u8> = (0..).zip(&header).map(|(i, &byte)| if i & 255 < u32::from(keep) { 0 } else { byte | 0xCC }).collect();
            for bytes in [header, sparse] {
                drop(Decoder::new().decode(&bytes, &mut [0; 500]));
            }
        }
    }
}
