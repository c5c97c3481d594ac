//! PE headers: which machine a program is for, and which bytes its Authenticode hash covers.
//!
//! The Authenticode hash is that of the whole file without what signing changes: the check sum (at 64 in the optional header), the
//! directory entry of the certificate table, and the table itself. An unsigned file counts as padded with zeros to a multiple of
//! 8, because signing appends the table there. Known from Microsoft's "Windows Authenticode Portable Executable Signature Format",
//! and checked on signed drivers.

use std::{io, ops::Range};

use object::{LittleEndian, pe, read::ReadRef as _};

use crate::base::read_at::ReadAt;

pub use object::pe::{
    IMAGE_FILE_MACHINE_AMD64 as MACHINE_AMD64, IMAGE_FILE_MACHINE_ARM64 as MACHINE_ARM64,
    IMAGE_FILE_MACHINE_ARMNT as MACHINE_ARM, IMAGE_FILE_MACHINE_I386 as MACHINE_X86,
    IMAGE_FILE_MACHINE_IA64 as MACHINE_IA64,
};

/// The machine type (`IMAGE_FILE_MACHINE_*`) of a program or library; `None` when `bytes` do not begin as one does.
#[must_use]
pub fn machine(bytes: &[u8]) -> Option<u16> {
    let offset = pe::ImageDosHeader::parse(bytes).ok()?.nt_headers_offset() as usize;
    let signature: &[u8; 4] = bytes.get(offset..)?.first_chunk()?;
    if u32::from_le_bytes(*signature) != pe::IMAGE_NT_SIGNATURE {
        return None;
    }
    let header: &pe::ImageFileHeader = bytes.read_at(offset as u64 + 4).ok()?;
    Some(header.machine.get(LittleEndian).0)
}

/// The parts of a program its Authenticode hash leaves out, and the padding it adds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthenticodeLayout {
    /// In ascending order, apart from each other, inside the file.
    gaps: Vec<Range<u64>>,
    padding: usize,
}

/// Where things stand in the optional header, from its start: PE32 and PE32+.
const CHECK_SUM: u64 = 64;
const DIRECTORY_COUNT: [u64; 2] = [92, 108];
const DIRECTORIES: [u64; 2] = [96, 112];
const DIRECTORY_SIZE: u64 = 8;
const CERTIFICATE_TABLE: u64 = 4;
/// Bytes from the PE signature to the optional header.
const OPTIONAL_HEADER: u64 = 24;

impl AuthenticodeLayout {
    /// Reads the headers of `content`; `None` when it is not a well-formed program.
    ///
    /// # Errors
    /// What reading says.
    pub fn read(content: &dyn ReadAt) -> io::Result<Option<Self>> {
        let size = content.size();
        let field = |offset: u64, buffer: &mut [u8]| -> io::Result<bool> {
            let inside = offset.checked_add(buffer.len() as u64).is_some_and(|end| end <= size);
            if inside {
                content.read_exact_at(offset, buffer)?;
            }
            Ok(inside)
        };
        let mut mark = [0; 2];
        let mut word = [0; 4];
        if !field(0, &mut mark)? || mark != *b"MZ" || !field(0x3c, &mut word)? {
            return Ok(None);
        }
        let signature = u64::from(u32::from_le_bytes(word));
        let mut header = [0; 26];
        if !field(signature, &mut header)? || !header.starts_with(b"PE\0\0") {
            return Ok(None);
        }
        let optional = signature + OPTIONAL_HEADER;
        let wide = match [header[24], header[25]] {
            [0x0b, 0x01] => 0,
            [0x0b, 0x02] => 1,
            _ => return Ok(None),
        };
        let optional_end = optional + u64::from(u16::from_le_bytes([header[20], header[21]]));
        let first_directory = optional + DIRECTORIES[wide];
        if optional_end < first_directory || optional_end > size {
            return Ok(None);
        }
        let mut gaps = Vec::with_capacity(3);
        gaps.push(optional + CHECK_SUM..optional + CHECK_SUM + 4);
        let mut table = [0; 8];
        field(optional + DIRECTORY_COUNT[wide], &mut word)?;
        if u64::from(u32::from_le_bytes(word)) > CERTIFICATE_TABLE {
            let entry = first_directory + CERTIFICATE_TABLE * DIRECTORY_SIZE;
            if entry + DIRECTORY_SIZE > optional_end || !field(entry, &mut table)? {
                return Ok(None);
            }
            gaps.push(entry..entry + DIRECTORY_SIZE);
        }
        Ok(Self::with_table(gaps, table, &(optional_end..size)))
    }

    /// Adds the certificate table that `entry` announces, which must stand in `body`; `None` when it does not.
    fn with_table(mut gaps: Vec<Range<u64>>, entry: [u8; 8], body: &Range<u64>) -> Option<Self> {
        let [a, b, c, d, e, f, g, h] = entry;
        // The only directory whose place is an offset in the file.
        let start = u64::from(u32::from_le_bytes([a, b, c, d]));
        let end = start + u64::from(u32::from_le_bytes([e, f, g, h]));
        if start == 0 || start == end {
            let rest = usize::try_from(body.end % 8).unwrap_or(0);
            return Some(Self { gaps, padding: if rest == 0 { 0 } else { 8 - rest } });
        }
        if start < body.start || end > body.end {
            return None;
        }
        gaps.push(start..end);
        Some(Self { gaps, padding: 0 })
    }

    /// Hands the parts of `bytes`, which stand at `offset` in the file, that the hash covers to `hash`, in order.
    pub fn covered(&self, offset: u64, bytes: &[u8], mut hash: impl FnMut(&[u8])) {
        // Positions relative to `bytes`, cut to it.
        let place = |position: u64| {
            usize::try_from(position.saturating_sub(offset))
                .map_or(bytes.len(), |at| at.min(bytes.len()))
        };
        let mut from = 0;
        for gap in &self.gaps {
            let start = place(gap.start);
            if start > from {
                hash(&bytes[from..start]);
            }
            from = from.max(place(gap.end));
        }
        if from < bytes.len() {
            hash(&bytes[from..]);
        }
    }

    /// Zeros that follow the file's bytes: 0 to 7.
    #[must_use]
    pub fn padding(&self) -> usize {
        self.padding
    }
}

/// A program for tests.
#[cfg(test)]
pub(crate) mod testing {
    use std::ops::Range;

    /// What the hash of [`program`] leaves out, apart from a certificate table.
    pub(crate) const GAPS: [Range<usize>; 2] = [0xd8..0xdc, 0x128..0x130];

    /// The smallest well-formed PE32+ file, with `body` after its headers.
    pub(crate) fn program(body: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; 0x80 + 24 + 240];
        bytes[..2].copy_from_slice(b"MZ");
        bytes[0x3c] = 0x80;
        bytes[0x80..0x86].copy_from_slice(b"PE\0\0\x64\x86");
        bytes[0x94] = 240;
        bytes[0x98..0x9a].copy_from_slice(&[0x0b, 2]);
        bytes[0x98 + 108] = 16;
        bytes.extend_from_slice(body);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hashed(bytes: &[u8], step: usize) -> Option<Vec<u8>> {
        let layout = AuthenticodeLayout::read(&bytes.to_vec()).unwrap()?;
        let mut covered = Vec::new();
        for (index, part) in bytes.chunks(step).enumerate() {
            layout.covered((index * step) as u64, part, |some| covered.extend_from_slice(some));
        }
        covered.resize(covered.len() + layout.padding(), 0);
        Some(covered)
    }

    #[test]
    fn signing_a_program_does_not_change_what_its_hash_covers() {
        let plain = testing::program(b"some code");
        let covered = hashed(&plain, 1 << 20).unwrap();
        assert_eq!(covered.len() + 12, plain.len().next_multiple_of(8));
        let mut signed = plain.clone();
        signed.resize(plain.len().next_multiple_of(8), 0);
        let table = u32::try_from(signed.len()).unwrap();
        signed.extend_from_slice(&[0xaa; 24]);
        signed[testing::GAPS[0].clone()].copy_from_slice(&[1, 2, 3, 4]);
        signed[testing::GAPS[1].start..][..4].copy_from_slice(&table.to_le_bytes());
        signed[testing::GAPS[1].start + 4] = 24;
        for step in [1, 7, 100, 1 << 20] {
            assert_eq!(hashed(&signed, step).as_ref(), Some(&covered), "{step}");
        }
        let mut changed = signed.clone();
        changed[0x180] ^= 1;
        assert_ne!(hashed(&changed, 64).unwrap(), covered);
        // What stands after the table is covered; a table that leaves the file or begins in the headers makes it no program.
        let mut longer = signed.clone();
        longer.push(7);
        assert_eq!(hashed(&longer, 64).unwrap().last(), Some(&7));
        signed[testing::GAPS[1].start + 4] = 25;
        assert_eq!(hashed(&signed, 64), None);
        signed[testing::GAPS[1].start..][..4].copy_from_slice(&[8, 0, 0, 0]);
        assert_eq!(hashed(&signed, 64), None);
    }

    proptest! {
        #[test]
        fn any_headers_end_and_gaps_stay_in_the_file(
            changes in proptest::collection::vec((0_usize..0x1a0, any::<u8>()), 0..12),
            cut in 0_usize..0x1a0,
        ) {
            let mut bytes = testing::program(&[1; 64]);
            for (index, value) in changes {
                if let Some(byte) = bytes.get_mut(index) { *byte = value; }
            }
            bytes.truncate(bytes.len() - cut);
            if let Some(layout) = AuthenticodeLayout::read(&bytes).unwrap() {
                let mut last = 0;
                for gap in &layout.gaps {
                    prop_assert!(last <= gap.start && gap.end <= bytes.len() as u64);
                    last = gap.end;
                }
                let whole = hashed(&bytes, 1 << 20);
                prop_assert_eq!(hashed(&bytes, 13), whole);
            }
        }
    }

    #[test]
    fn the_machine_is_read_from_the_headers_and_nonsense_is_none() {
        let mut bytes = vec![0; 0x200];
        bytes[..2].copy_from_slice(b"MZ");
        bytes[0x3c] = 0x80;
        bytes[0x80..0x86].copy_from_slice(b"PE\0\0\x64\x86");
        assert_eq!(machine(&bytes), Some(MACHINE_AMD64.0));
        assert_eq!(machine(&bytes[..0x84]), None);
        bytes[0x3f] = 0xff;
        assert_eq!(machine(&bytes), None);
        assert_eq!(machine(b""), None);
    }
}
