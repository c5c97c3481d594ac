//! LZMS beyond what `codec_roundtrip` tries: every level, delta matches, damage to every part of a chunk, and large chunk sizes.

use crate::codec_samples::{Random, SHAPES, sample};
use proptest::prelude::*;
use transom::codec::{Codec, Level, decoder, encoder};

/// Encodes and decodes; returns the encoded chunk, or the chunk itself when it does not get smaller.
fn round_trip(chunk: &[u8], chunk_size: u32, level: Level) -> Vec<u8> {
    let mut encoded = Vec::new();
    let size = encoder(Codec::Lzms, chunk_size, level).unwrap().encode(chunk, &mut encoded);
    let Some(size) = size else { return chunk.to_vec() };
    assert!(size < chunk.len() && size == encoded.len() && size.is_multiple_of(2));
    let mut decoded = vec![0x55; chunk.len()];
    decoder(Codec::Lzms, chunk_size).unwrap().decode(&encoded, &mut decoded).unwrap();
    assert!(decoded == chunk, "{level:?}: decoded something else");
    encoded
}

#[test]
fn every_shape_at_every_level() {
    for shape in SHAPES {
        let chunk = sample(shape, 50_001, 7);
        let sizes = Level::ALL.map(|level| round_trip(&chunk, 1 << 16, level).len());
        let [fast, default, _, max] = sizes;
        assert!(max <= default + default / 50 && default <= fast + fast / 50, "{shape}: {sizes:?}");
    }
}

#[test]
fn tables_of_numbers_become_delta_matches() {
    // 16 bytes for each number; none of them occurs twice.
    let table: Vec<u8> = (0..3000u64)
        .flat_map(|i| [i * 0x0123_4567_89AB, i * i * 0x0F_1357].map(u64::to_le_bytes))
        .flatten()
        .collect();
    let without = round_trip(&table, 1 << 16, Level::Fast).len();
    let with = round_trip(&table, 1 << 16, Level::High).len();
    assert!(with < without * 9 / 10, "{with} {without}");
}

#[test]
fn a_decoder_for_large_chunks_costs_little_before_its_use() {
    let decoders: Vec<_> =
        (0..10_000).map(|_| decoder(Codec::Lzms, 1 << 30).expect("a legal size")).collect();
    let encoders: Vec<_> = (0..10_000)
        .map(|_| encoder(Codec::Lzms, 1 << 30, Level::Max).expect("a legal size"))
        .collect();
    assert_eq!(decoders.len(), encoders.len());
    let chunk = sample("mixed", 200_000, 1);
    assert!(round_trip(&chunk, 1 << 30, Level::Default).len() < chunk.len());
}

#[test]
fn what_cannot_be_a_chunk_is_refused() {
    let mut decoder = decoder(Codec::Lzms, 1 << 15).unwrap();
    for bytes in [&[][..], &[0], &[0, 0], &[0, 0, 0], &[0; 5]] {
        assert!(decoder.decode(bytes, &mut [0; 10]).is_err(), "{bytes:?}");
    }
    assert!(decoder.decode(&[0; 100], &mut vec![0; (1 << 15) + 1]).is_err());
    // All decisions 0: literals, as long as there are bits for them.
    assert_eq!(decoder.decode(&[0; 100], &mut [1; 10]), Ok(()));
    assert!(decoder.decode(&[0; 100], &mut [1; 110]).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn mixtures_round_trip_at_every_level(
        parts in proptest::collection::vec((0..SHAPES.len(), 1usize..3000, any::<u64>()), 0..8),
        level in 0usize..4,
    ) {
        let chunk: Vec<u8> =
            parts.iter().flat_map(|&(shape, size, seed)| sample(SHAPES[shape], size, seed)).collect();
        round_trip(&chunk, 1 << 15, Level::ALL[level]);
    }

    #[test]
    fn small_alphabets_round_trip(
        chunk in proptest::collection::vec(prop_oneof![Just(0u8), Just(0xE8), Just(1), Just(0xFF)], 0..400),
        level in 0usize..4,
    ) {
        round_trip(&chunk, 1 << 15, Level::ALL[level]);
    }

    #[test]
    fn damage_is_an_error_or_other_bytes(
        shape in 0..SHAPES.len(),
        seed in any::<u64>(),
        flips in 1usize..5,
        cut in 0usize..40,
    ) {
        let chunk = sample(SHAPES[shape], 20_000, seed);
        let mut encoded = round_trip(&chunk, 1 << 15, Level::Default);
        let mut random = Random::new(seed);
        for _ in 0..flips {
            let at = random.below(encoded.len());
            encoded[at] ^= 1 << random.below(8);
        }
        encoded.truncate(encoded.len().saturating_sub(cut));
        let mut decoder = decoder(Codec::Lzms, 1 << 15).unwrap();
        let mut output = vec![0; chunk.len()];
        drop(decoder.decode(&encoded, &mut output));
        drop(decoder.decode(&encoded, &mut output[..7000]));
    }

    #[test]
    fn any_bytes_decode_to_something_or_not(
        bytes in proptest::collection::vec(any::<u8>(), 0..600),
        size in 0usize..32_768,
    ) {
        let mut decoder = decoder(Codec::Lzms, 1 << 15).unwrap();
        drop(decoder.decode(&bytes, &mut vec![0; size]));
    }
}
