//! Numbers of the LZX format: alphabets, position slots, limits.
//!
//! Main symbols 0 to 255 are literals; symbol `256 + 8·slot + header` is a match. A header of 7 is followed by a symbol of
//! the length code: the length is `header + 2` plus that symbol. Slots 0 to 2 repeat a recent offset; from slot 3 on the
//! *formatted* offset (offset + 2) is `base[slot]` plus `extra[slot]` bits.

/// Most slots of any window (2 MiB).
pub(super) const MAX_SLOTS: usize = 50;
/// Literals of the main code.
pub(super) const LITERALS: usize = 256;
/// Length headers of one slot.
pub(super) const LENGTH_HEADERS: usize = 8;
/// Most symbols of the main code.
pub(super) const MAX_MAIN_SYMBOLS: usize = LITERALS + LENGTH_HEADERS * MAX_SLOTS;
/// Symbols of the length code.
pub(super) const LENGTH_SYMBOLS: usize = 249;
/// Symbols of the precode, which codes the lengths of the others.
pub(super) const PRECODE_SYMBOLS: usize = 20;
/// Symbols of the aligned offset code: the low 3 bits of an offset.
pub(super) const ALIGNED_SYMBOLS: usize = 8;
/// Bits of an offset that the aligned offset code codes.
pub(super) const ALIGNED_BITS: u32 = 3;
/// Length header that announces a symbol of the length code.
pub(super) const LONG_LENGTH_HEADER: u32 = 7;
/// Shortest match.
pub(super) const MIN_MATCH: usize = 2;
/// Recent offsets that a match may repeat.
pub(super) const RECENT_OFFSETS: usize = 3;
/// What an explicit offset is increased by, to make room for the repeats.
pub(super) const OFFSET_ADJUSTMENT: u32 = 2;
/// Block size that needs one bit only.
pub(super) const DEFAULT_BLOCK_SIZE: u32 = 32_768;

/// Block with verbatim offset bits.
pub(super) const BLOCK_VERBATIM: u32 = 1;
/// Block whose low offset bits have a code.
pub(super) const BLOCK_ALIGNED: u32 = 2;
/// Block of plain bytes.
pub(super) const BLOCK_UNCOMPRESSED: u32 = 3;

/// Precode symbol: a run of 4 to 19 zeros (4 bits).
pub(super) const PRECODE_SHORT_ZEROS: u32 = 17;
/// Precode symbol: a run of 20 to 51 zeros (5 bits).
pub(super) const PRECODE_LONG_ZEROS: u32 = 18;
/// Precode symbol: a run of 4 or 5 equal lengths (1 bit), which another precode symbol gives.
pub(super) const PRECODE_RUN: u32 = 19;

/// Number of extra offset bits of each slot.
pub(super) const EXTRA_BITS: [u8; MAX_SLOTS] = extra_bits();
/// First formatted offset of each slot.
pub(super) const SLOT_BASE: [u32; MAX_SLOTS] = slot_base();

const fn extra_bits() -> [u8; MAX_SLOTS] {
    let mut bits = [0u8; MAX_SLOTS];
    let mut slot = 4;
    let mut width = 1;
    while slot < MAX_SLOTS {
        bits[slot] = if width > 17 { 17 } else { width };
        if slot % 2 == 1 {
            width += 1;
        }
        slot += 1;
    }
    bits
}

const fn slot_base() -> [u32; MAX_SLOTS] {
    let mut base = [0u32; MAX_SLOTS];
    let mut slot = 1;
    while slot < MAX_SLOTS {
        base[slot] = base[slot - 1] + (1 << EXTRA_BITS[slot - 1]);
        slot += 1;
    }
    base
}

/// Position slots of a window of `chunk_size` bytes (a power of two from 32 KiB to 2 MiB).
pub(super) fn slots(chunk_size: u32) -> usize {
    match chunk_size >> 15 {
        0 | 1 => 30,
        2 => 32,
        4 => 34,
        8 => 36,
        16 => 38,
        32 => 42,
        _ => 50,
    }
}

/// True when block sizes of chunks of `chunk_size` bytes have 24 bits, not 16.
pub(super) fn has_wide_block_size(chunk_size: u32) -> bool {
    chunk_size >= 64 << 10
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_slot_of_each_window_reaches_its_end() {
        for order in 15..=21 {
            let chunk_size = 1u32 << order;
            let last = slots(chunk_size) - 1;
            let end = SLOT_BASE[last] + (1 << EXTRA_BITS[last]);
            assert!(end >= chunk_size, "{chunk_size}: {end}");
            assert!(SLOT_BASE[last] < chunk_size + 2, "{chunk_size}");
        }
    }

    #[test]
    fn slots_follow_the_published_table() {
        assert_eq!(SLOT_BASE[..12], [0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48]);
        assert_eq!(SLOT_BASE[30], 32_768);
        assert_eq!(SLOT_BASE[36], 262_144);
        assert_eq!(SLOT_BASE[49], 262_144 + 13 * 131_072);
        assert_eq!(EXTRA_BITS[34..38], [16, 16, 17, 17]);
    }
}
