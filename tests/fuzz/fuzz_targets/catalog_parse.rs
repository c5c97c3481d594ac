//! Reading a catalog, judging its signature and asking it for a file never panics, whatever the bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use transom::format::catalog::{Catalog, FileDigests};

fuzz_target!(|bytes: &[u8]| {
    let bytes = bytes.to_vec();
    let digests = FileDigests::of(&bytes).expect("memory reads");
    if let Ok(catalog) = Catalog::parse(&bytes) {
        drop(catalog.verify());
        // A file cannot hold its own digest.
        assert!(!catalog.contains(&digests));
    }
});
