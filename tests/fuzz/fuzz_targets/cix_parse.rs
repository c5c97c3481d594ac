//! A container index in either form, and the same bytes as a stream file.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use transom::format::{cix, psf::Psf};

fuzz_target!(|data: &[u8]| {
    let _ignored = cix::parse(data);
    if let Ok(psf) = Psf::open(Arc::new(data.to_vec())) {
        let _ignored = psf.index();
    }
});
