//! Any bytes through each encoder at each level and back.
//!
//! The first byte chooses the codec and chunk size, the second the level; the rest is the chunk.
#![no_main]

use libfuzzer_sys::fuzz_target;
use transom::codec::{Codec, Level, decoder, encoder};

fuzz_target!(|data: &[u8]| {
    let Some((&[setting, level], chunk)) = data.split_first_chunk() else { return };
    let codecs = [Codec::Xpress, Codec::Lzx, Codec::Lzms];
    let settings: Vec<(Codec, u32)> = codecs
        .into_iter()
        .flat_map(|codec| (12..=21).map(move |order| (codec, 1 << order)))
        .filter(|&(codec, size)| codec.allows_chunk_size(size))
        .collect();
    let (codec, chunk_size) = settings[usize::from(setting) % settings.len()];
    let level = Level::ALL[usize::from(level) % Level::ALL.len()];
    let chunk = &chunk[..chunk.len().min(chunk_size as usize)];
    // A codec that cannot be encoded in this version.
    let Ok(mut encoder) = encoder(codec, chunk_size, level) else { return };
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
