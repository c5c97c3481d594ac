//! Any bytes through each encoder and back.
//!
//! The first byte chooses codec, chunk size and level; the rest is the chunk.
#![no_main]

use libfuzzer_sys::fuzz_target;
use transom::codec::{Codec, Level, decoder, encoder};

fuzz_target!(|data: &[u8]| {
    let Some((&setting, chunk)) = data.split_first() else { return };
    let (codec, chunk_size) = match setting % 16 {
        order @ 0..=4 => (Codec::Xpress, 1u32 << (12 + order)),
        order @ 5..=11 => (Codec::Lzx, 1u32 << (15 + order - 5)),
        _ => (Codec::Lzms, 1 << 17),
    };
    let level = Level::ALL[usize::from(setting / 64)];
    let chunk = &chunk[..chunk.len().min(chunk_size as usize)];
    let mut encoder = encoder(codec, chunk_size, level).expect("a size that WIM allows");
    let mut encoded = Vec::new();
    if let Some(size) = encoder.encode(chunk, &mut encoded) {
        assert!(size < chunk.len() && size == encoded.len());
        let mut decoded = vec![0; chunk.len()];
        decoder(codec, chunk_size)
            .expect("a size that WIM allows")
            .decode(&encoded, &mut decoded)
            .expect("our own chunk");
        assert_eq!(decoded, chunk);
    } else {
        assert!(encoded.is_empty());
    }
});
