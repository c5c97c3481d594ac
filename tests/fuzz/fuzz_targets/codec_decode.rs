//! Any bytes as a chunk of any codec: an error or an output, never a panic or a hang, and the same again with used tables.
//!
//! The first byte chooses codec and chunk size, the next two the output's size; the rest is the chunk.
#![no_main]

use libfuzzer_sys::fuzz_target;
use transom::codec::{Codec, decoder};

fuzz_target!(|data: &[u8]| {
    let Some((&[setting, low, high], chunk)) = data.split_first_chunk::<3>() else { return };
    let (codec, chunk_size) = match setting % 12 {
        order @ 0..=4 => (Codec::Xpress, 1u32 << (12 + order)),
        order => (Codec::Lzx, 1u32 << (15 + order - 5)),
    };
    let size = usize::from(u16::from_le_bytes([low, high])).min(chunk_size as usize);
    let mut decoder = decoder(codec, chunk_size).expect("a size that WIM allows");
    let (mut first, mut second) = (vec![0; size], vec![0; size]);
    let result = decoder.decode(chunk, &mut first);
    let again = decoder.decode(chunk, &mut second);
    assert_eq!(result, again);
    if result.is_ok() {
        assert_eq!(first, second);
    }
});
