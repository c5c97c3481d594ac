//! The blob table, as that of a usual and of a solid file.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    transom::format::wim::blob_table::fuzz(data);
});
