//! Sizes, offsets and signatures of the structures in a hive, and its base block.
//!
//! Offsets of fields count from the start of a cell's content, after its four bytes of size.

use super::error::HiveError;
use crate::base::{limits::Limits, malformed::Malformed};

/// Size of the base block; bins begin behind it, and cell offsets count from there.
pub(super) const BASE_BLOCK: usize = 4096;
/// Bins are multiples of this.
pub(super) const BIN_UNIT: u32 = 4096;
/// Size of a bin's header.
pub(super) const BIN_HEADER: u32 = 32;
/// Largest size of all bins: bit 31 of an offset marks volatile storage, which is never on disk.
pub(super) const MAX_BINS: u32 = 0x7fff_f000;
/// The offset that points nowhere.
pub(super) const NIL: u32 = u32::MAX;
/// Deepest key below the root that Windows accepts.
pub(super) const MAX_DEPTH: usize = 512;
/// Longest key name, in UTF-16 units.
pub(super) const MAX_KEY_NAME: usize = 255;
/// Longest value name, in UTF-16 units.
pub(super) const MAX_VALUE_NAME: usize = 16_383;
/// Entries of a leaf beyond which we split it: a leaf of `lh` or `lf` then fits one bin of 4 KiB.
pub(super) const LEAF_LIMIT: usize = 507;
/// Data longer than this is stored in segments of this size by hives of version 1.4 and later.
pub(super) const SEGMENT: usize = 16_344;
/// Size bit that says "the data lies in the offset field itself".
pub(super) const INLINE: u32 = 0x8000_0000;
/// Name flag of a value, and its counterpart of a key: one byte per unit (Latin-1).
pub(super) const VALUE_LATIN1: u16 = 0x0001;
/// See [`VALUE_LATIN1`].
pub(super) const KEY_LATIN1: u16 = 0x0020;
/// Flags of a root key: hive entry, can not be deleted, Latin-1 name.
pub(super) const ROOT_FLAGS: u16 = 0x002c;
/// Size of a key's cell content before its name.
pub(super) const NK_SIZE: usize = 76;
/// Size of a value's cell content before its name.
pub(super) const VK_SIZE: usize = 20;
/// Size of a security cell's content before the descriptor.
pub(super) const SK_SIZE: usize = 20;

/// Fields of a key.
pub(super) mod nk {
    pub(in super::super) const FLAGS: usize = 2;
    pub(in super::super) const TIME: usize = 4;
    pub(in super::super) const PARENT: usize = 16;
    pub(in super::super) const SUBKEY_COUNT: usize = 20;
    pub(in super::super) const SUBKEY_LIST: usize = 28;
    pub(in super::super) const VOLATILE_LIST: usize = 32;
    pub(in super::super) const VALUE_COUNT: usize = 36;
    pub(in super::super) const VALUE_LIST: usize = 40;
    pub(in super::super) const SECURITY: usize = 44;
    pub(in super::super) const CLASS: usize = 48;
    /// Longest subkey name in the low 16 bits (UTF-16 bytes); other flags above.
    pub(in super::super) const LONGEST_SUBKEY: usize = 52;
    /// Longest class name of a subkey, in bytes.
    pub(in super::super) const LONGEST_CLASS: usize = 56;
    /// Longest value name, in UTF-16 bytes.
    pub(in super::super) const LONGEST_VALUE_NAME: usize = 60;
    /// Longest value data, in bytes.
    pub(in super::super) const LONGEST_VALUE_DATA: usize = 64;
    pub(in super::super) const NAME_LENGTH: usize = 72;
    pub(in super::super) const CLASS_LENGTH: usize = 74;
}

/// Fields of a value.
pub(super) mod vk {
    pub(in super::super) const NAME_LENGTH: usize = 2;
    pub(in super::super) const SIZE: usize = 4;
    pub(in super::super) const DATA: usize = 8;
    pub(in super::super) const KIND: usize = 12;
    pub(in super::super) const FLAGS: usize = 16;
}

/// Fields of a security cell.
pub(super) mod sk {
    pub(in super::super) const NEXT: usize = 4;
    pub(in super::super) const PREVIOUS: usize = 8;
    pub(in super::super) const REFERENCES: usize = 12;
    pub(in super::super) const SIZE: usize = 16;
}

/// The `u16` at `at`, which must lie within `bytes`.
pub(super) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

/// The `u32` at `at`, which must lie within `bytes`.
pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// The `u64` at `at`, which must lie within `bytes`.
pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

/// Writes `value` at `at`, which must lie within `bytes`.
pub(super) fn put_u16(bytes: &mut [u8], at: usize, value: u16) {
    bytes[at..at + 2].copy_from_slice(&value.to_le_bytes());
}

/// Writes `value` at `at`, which must lie within `bytes`.
pub(super) fn put_u32(bytes: &mut [u8], at: usize, value: u32) {
    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

/// Bad bytes at `offset` from the start of the file.
#[cold]
pub(super) fn bad_file(what: impl Into<String>, offset: usize) -> Malformed {
    Malformed::new("registry hive", what, offset as u64)
}

/// Bad bytes at `offset` from the first bin.
#[cold]
pub(super) fn bad(what: impl Into<String>, offset: u32) -> Malformed {
    Malformed::new("registry hive", what, BASE_BLOCK as u64 + u64::from(offset))
}

/// What a file in hive format is: byte 28 of its base block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FileKind {
    /// A hive.
    Primary,
    /// A transaction log of Windows 8 and earlier: dirty pages of 512 bytes.
    OldLog,
    /// A transaction log of Windows 8.1 and later: a sequence of entries.
    NewLog,
}

/// The fields of a base block that matter to us.
#[derive(Debug, Clone, Copy)]
pub(super) struct BaseBlock {
    pub(super) primary: u32,
    pub(super) secondary: u32,
    pub(super) written: u64,
    pub(super) minor: u32,
    pub(super) kind: FileKind,
    pub(super) root: u32,
    pub(super) bins_size: u32,
    pub(super) checksum_holds: bool,
}

impl BaseBlock {
    /// Reads the base block at the start of `bytes` (of which 512 bytes suffice) and checks what does not depend on the bins.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let Some(block) = bytes.first_chunk::<512>() else {
            return Err(bad_file(format!("truncated: {} bytes", bytes.len()), 0));
        };
        if block[..4] != *b"regf" {
            return Err(bad_file("the signature `regf` is missing", 0));
        }
        let (major, minor) = (u32_at(block, 20), u32_at(block, 24));
        let kind = match u32_at(block, 28) {
            0 => FileKind::Primary,
            1 | 2 => FileKind::OldLog,
            6 => FileKind::NewLog,
            other => return Err(bad_file(format!("unknown file type {other}"), 28)),
        };
        Ok(Self {
            primary: u32_at(block, 4),
            secondary: u32_at(block, 8),
            written: u64_at(block, 12),
            // A wrong major version is told apart from a wrong minor one by `check_version`.
            minor: if major == 1 { minor } else { u32::MAX },
            kind,
            root: u32_at(block, 36),
            bins_size: u32_at(block, 40),
            checksum_holds: checksum(block) == u32_at(block, 508),
        })
    }

    /// True when the hive was written to its end.
    pub(super) fn is_clean(&self) -> bool {
        self.checksum_holds && self.primary == self.secondary
    }

    /// Refuses versions other than 1.3 to 1.6 and impossible sizes.
    pub(super) fn check(&self, limits: &Limits) -> Result<(), HiveError> {
        if !(3..=6).contains(&self.minor) {
            return Err(bad_file("a version other than 1.3, 1.4, 1.5 and 1.6", 20).into());
        }
        let size = BASE_BLOCK as u64 + u64::from(self.bins_size);
        if size > limits.hive {
            return Err(HiveError::TooLarge { size, limit: limits.hive });
        }
        if self.bins_size == 0
            || !self.bins_size.is_multiple_of(BIN_UNIT)
            || self.bins_size > MAX_BINS
        {
            return Err(bad_file(
                format!("{:#x} is not a possible size of all bins", self.bins_size),
                40,
            )
            .into());
        }
        Ok(())
    }
}

/// The checksum of a base block: all 32-bit words before it combined by exclusive or; 0 and -1 are avoided.
pub(super) fn checksum(block: &[u8; 512]) -> u32 {
    let (words, _) = block.as_chunks::<4>();
    let sum = words.iter().take(127).fold(0, |sum, word| sum ^ u32::from_le_bytes(*word));
    match sum {
        u32::MAX => u32::MAX - 1,
        0 => 1,
        sum => sum,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_avoids_its_two_special_values() {
        let mut block = [0; 512];
        assert_eq!(checksum(&block), 1);
        put_u32(&mut block, 8, u32::MAX);
        assert_eq!(checksum(&block), 0xffff_fffe);
        put_u32(&mut block, 504, 0xff);
        assert_eq!(checksum(&block), 0xffff_ff00);
        put_u32(&mut block, 508, 0x1234_5678);
        assert_eq!(checksum(&block), 0xffff_ff00, "the field itself does not count");
    }
}
