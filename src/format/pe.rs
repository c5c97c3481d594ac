//! PE headers: which machine a program is for.

use object::{LittleEndian, pe, read::ReadRef as _};

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

#[cfg(test)]
mod tests {
    use super::*;

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
