//! The XML: what parses is the same after it was written.
#![no_main]

use libfuzzer_sys::fuzz_target;
use transom::format::wim::WimXml;

fuzz_target!(|data: &[u8]| {
    let text: Vec<u8> =
        String::from_utf8_lossy(data).encode_utf16().flat_map(u16::to_le_bytes).collect();
    for bytes in [data, &text[..]] {
        if let Ok(xml) = WimXml::parse(bytes) {
            assert_eq!(WimXml::parse(&xml.encode()).expect("what we write parses"), xml);
        }
    }
});
