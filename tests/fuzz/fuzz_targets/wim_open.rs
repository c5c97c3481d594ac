//! A whole file: opened, listed, read, verified.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use transom::{base::limits::Limits, format::wim::Wim};

const MOST: u64 = 1 << 20;

fuzz_target!(|data: &[u8]| {
    let limits =
        Limits { metadata: MOST, xml: MOST, blob_table: MOST, chunk: 1 << 16, ..Limits::default() };
    let Ok(wim) = Wim::open(Arc::new(data.to_vec()), &limits) else { return };
    for index in 1..=wim.image_count() {
        let _ignored = wim.metadata(index);
    }
    for blob in wim.blobs().iter().filter(|blob| blob.size <= MOST) {
        let _ignored = wim.read_blob(blob);
    }
    if wim.blobs().len() < 100 && wim.blobs().iter().all(|blob| blob.size <= MOST) {
        let _ignored = wim.verify(&|_| ());
    }
});
