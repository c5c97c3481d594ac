//! The integrity table: what parses is written as it was.
#![no_main]

use libfuzzer_sys::fuzz_target;
use transom::format::wim::integrity::IntegrityTable;

fuzz_target!(|data: &[u8]| {
    if let Ok(table) = IntegrityTable::parse(data) {
        let bytes = table.encode();
        assert_eq!(bytes, data[..bytes.len()]);
    }
});
