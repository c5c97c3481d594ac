//! A Windows DLL of the smallest size: true PE headers, one section, no code to speak of.
//!
//! Layout (Microsoft PE format): DOS header with `e_lfanew` at 0x3c; `PE\0\0`; COFF header (machine, sections, characteristics);
//! optional header PE32+ with 16 data directories; section table; section data at the file alignment.

use crate::base::bytes::Writer;

/// `IMAGE_FILE_MACHINE_AMD64`.
pub(super) const MACHINE_AMD64: u16 = 0x8664;

const HEADERS_SIZE: usize = 0x400;
const FILE_ALIGNMENT: usize = 0x200;
const SECTION_ALIGNMENT: usize = 0x1000;

/// A DLL for `machine` whose only section holds `payload`.
pub(super) fn dll(machine: u16, payload: &[u8]) -> Vec<u8> {
    let raw_size = payload.len().next_multiple_of(FILE_ALIGNMENT);
    let image_size = SECTION_ALIGNMENT + payload.len().next_multiple_of(SECTION_ALIGNMENT);
    let mut out = Writer::new();
    out.bytes(b"MZ");
    out.data.resize(0x3c, 0);
    out.u32(0x80);
    out.data.resize(0x80, 0);
    out.bytes(b"PE\0\0");
    // COFF header: one section; executable image, large-address aware, DLL.
    out.u16(machine).u16(1).u32(0).u32(0).u32(0).u16(240).u16(0x2022);
    // Optional header: magic PE32+, linker 14.0, sizes of code and data, entry point, base of code.
    out.u16(0x20b).u8(14).u8(0);
    out.u32(size(raw_size)).u32(0).u32(0).u32(0).u32(size(SECTION_ALIGNMENT));
    out.u64(0x1_8000_0000).u32(size(SECTION_ALIGNMENT)).u32(size(FILE_ALIGNMENT));
    // Versions of the system, the image and the subsystem: 10.0 each.
    out.u16(10).u16(0).u16(10).u16(0).u16(10).u16(0).u32(0);
    out.u32(size(image_size)).u32(size(HEADERS_SIZE)).u32(0);
    // Console subsystem; dynamic base, NX compatible, high-entropy addresses.
    out.u16(3).u16(0x0160);
    out.u64(0x4_0000).u64(0x1000).u64(0x10_0000).u64(0x1000).u32(0).u32(16);
    out.data.resize(out.data.len() + 16 * 8, 0);
    // Section table: .text, code, executable and readable.
    out.bytes(b".text\0\0\0").u32(size(payload.len())).u32(size(SECTION_ALIGNMENT));
    out.u32(size(raw_size)).u32(size(HEADERS_SIZE)).u32(0).u32(0).u32(0).u32(0x6000_0020);
    out.data.resize(HEADERS_SIZE, 0);
    out.bytes(payload).align(FILE_ALIGNMENT);
    out.data
}

fn size(value: usize) -> u32 {
    u32::try_from(value).expect("the demo's files are small")
}

#[cfg(test)]
mod tests {
    use object::Object as _;

    use super::*;

    #[test]
    fn a_pe_reader_understands_it() {
        let bytes = dll(MACHINE_AMD64, &[0xc3; 700]);
        let file = object::File::parse(bytes.as_slice()).unwrap();
        assert_eq!(file.architecture(), object::Architecture::X86_64);
        assert_eq!(file.sections().count(), 1);
    }
}
