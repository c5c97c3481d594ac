//! Any bytes as an LZMS chunk: an error or an output, never a panic or a hang, and the same again with used tables.
//!
//! The first two bytes are the output's size, in units that grow with it; the rest is the chunk.
#![no_main]

use libfuzzer_sys::fuzz_target;
use transom::codec::{Codec, decoder};

fuzz_target!(|data: &[u8]| {
    let Some((&[low, high], chunk)) = data.split_first_chunk::<2>() else { return };
    let size = usize::from(u16::from_le_bytes([low, high]));
    // Larger chunks have more offset slots.
    let size = if size >= 1 << 15 { (size - (1 << 15)) * 16 } else { size };
    let mut decoder = decoder(Codec::Lzms, 1 << 20).expect("a size that WIM allows");
    let (mut first, mut second) = (vec![0; size], vec![0; size]);
    let result = decoder.decode(chunk, &mut first);
    let again = decoder.decode(chunk, &mut second);
    assert_eq!(result, again);
    if result.is_ok() {
        assert_eq!(first, second);
    }
});
