//! A metadata resource: what parses is the same after it was written.
#![no_main]

use libfuzzer_sys::fuzz_target;
use transom::{base::limits::Limits, format::wim::ImageMetadata};

fuzz_target!(|data: &[u8]| {
    let limits = Limits { depth: 100, ..Limits::default() };
    let Ok(image) = ImageMetadata::parse(data, &limits) else { return };
    assert!(image.dentries.len() <= data.len() / 100);
    let again = ImageMetadata::parse(&image.encode(), &limits).expect("what we write parses");
    assert_eq!(again.dentries.len(), image.dentries.len());
    assert_eq!(again.encode(), image.encode());
});
