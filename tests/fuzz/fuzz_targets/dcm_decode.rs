//! A stored component manifest, and the same bytes as a library that may hold the base manifest.
#![no_main]

use libfuzzer_sys::fuzz_target;
use transom::format::dcm;

fuzz_target!(|data: &[u8]| {
    if data.len() < 1 << 16 {
        let _ignored = dcm::decode(data, Some(b"<assembly></assembly>"), dcm::LARGEST);
        let _ignored = dcm::base_manifest_of(data);
    }
});
