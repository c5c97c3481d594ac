//! Codecs on their own output: what was encoded decodes to itself, for every chunk size and shape; damaged data is an error or
//! other bytes, never a panic; an encoder does not remember earlier chunks.

use crate::codec_samples::{Random, SHAPES, sample};
use proptest::prelude::*;
use transom::codec::{Codec, Decode, Encode, Level, decoder, encoder};

/// Every codec with every chunk size that WIM allows it; for LZMS, which allows up to 1 GiB, the small ones.
fn settings() -> impl Iterator<Item = (Codec, u32)> {
    let xpress = (12..=16).map(|order| (Codec::Xpress, 1 << order));
    let lzx = (15..=21).map(|order| (Codec::Lzx, 1 << order));
    let lzms = (15..=19).map(|order| (Codec::Lzms, 1 << order));
    xpress.chain(lzx).chain(lzms)
}

fn pair(codec: Codec, chunk_size: u32) -> (Box<dyn Encode>, Box<dyn Decode>) {
    pair_of_level(codec, chunk_size, Level::Default)
}

fn pair_of_level(
    codec: Codec,
    chunk_size: u32,
    level: Level,
) -> (Box<dyn Encode>, Box<dyn Decode>) {
    (encoder(codec, chunk_size, level).unwrap(), decoder(codec, chunk_size).unwrap())
}

/// Encodes and decodes a chunk; returns its encoded size, or `None` when it is to be stored raw.
fn round_trip(encoder: &mut dyn Encode, decoder: &mut dyn Decode, chunk: &[u8]) -> Option<usize> {
    let mut encoded = b"before".to_vec();
    let size = encoder.encode(chunk, &mut encoded);
    assert_eq!(&encoded[..6], b"before");
    assert_eq!(encoded.len(), 6 + size.unwrap_or(0), "nothing is left behind a chunk");
    let size = size?;
    assert!(size < chunk.len());
    let mut decoded = vec![0xAA; chunk.len()];
    decoder.decode(&encoded[6..], &mut decoded).unwrap();
    assert!(decoded == chunk, "decoded something else");
    Some(size)
}

#[test]
fn every_shape_in_every_chunk_size() {
    for (codec, chunk_size) in settings() {
        let (mut encoder, mut decoder) = pair(codec, chunk_size);
        let full = usize::try_from(chunk_size).unwrap();
        // The larger the chunks, the fewer of them: these tests run without optimisation too.
        let sizes = [full, 2000, full - 1, full / 2 + 7];
        let sizes = if full > 1 << 18 { &sizes[..2] } else { &sizes };
        for shape in SHAPES {
            for &size in sizes {
                let chunk = sample(shape, size, u64::from(chunk_size));
                let encoded = round_trip(&mut *encoder, &mut *decoder, &chunk);
                assert_eq!(
                    encoded.is_none(),
                    *shape == "random",
                    "{codec} {chunk_size} {shape} {size}"
                );
                if *shape == "text" && size > 4000 {
                    let encoded = encoded.unwrap();
                    assert!(encoded * 2 < size, "{codec} {chunk_size} {size}: {encoded}");
                }
            }
        }
    }
}

#[test]
fn tiny_chunks() {
    for (codec, chunk_size) in settings() {
        let (mut encoder, mut decoder) = pair(codec, chunk_size);
        for size in 0..40 {
            for shape in SHAPES {
                round_trip(&mut *encoder, &mut *decoder, &sample(shape, size, 5));
            }
        }
        decoder.decode(&[], &mut []).unwrap();
        assert!(decoder.decode(&[], &mut [0]).is_err());
        assert_eq!(encoder.encode(&[], &mut Vec::new()), None);
    }
}

#[test]
fn every_level_round_trips_and_higher_ones_are_not_larger() {
    let sizes = |&(_, size): &(Codec, u32)| size <= 1 << 15 || size == 1 << 21;
    for (codec, chunk_size) in settings().filter(sizes) {
        let full = usize::try_from(chunk_size).unwrap();
        // Several blocks of the largest windows, in little time.
        let size = full.min(300_000) - 3;
        for shape in SHAPES {
            let chunk = sample(shape, size, u64::from(chunk_size) + 1);
            let sizes = Level::ALL.map(|level| {
                let (mut encoder, mut decoder) = pair_of_level(codec, chunk_size, level);
                round_trip(&mut *encoder, &mut *decoder, &chunk).unwrap_or(size)
            });
            // Estimates may err by a little, and the higher levels cut long runs into more blocks. Delta matches, which the fast level of LZMS does not look for,
            // may mislead in short records.
            let part = if codec == Codec::Lzms { 7 } else { 20 };
            let in_order = sizes.is_sorted_by(|&low, &high| high <= low + low / part + 100);
            assert!(in_order, "{codec} {chunk_size} {shape}: {sizes:?}");
        }
    }
}

#[test]
fn changing_content_is_cut_into_blocks_at_every_level() {
    // Shapes in turn, within one chunk: the codes of one block suit the next badly.
    let chunk: Vec<u8> =
        (0..12).flat_map(|i| sample(SHAPES[i % SHAPES.len()], 40_000, i as u64)).collect();
    for level in Level::ALL {
        let (mut encoder, mut decoder) = pair_of_level(Codec::Lzx, 1 << 19, level);
        let size = round_trip(&mut *encoder, &mut *decoder, &chunk).unwrap();
        assert!(size < chunk.len() * 9 / 10, "{level:?}: {size}");
    }
}

#[test]
fn the_output_does_not_depend_on_earlier_chunks() {
    let settings = settings().filter(|&(_, size)| size <= 1 << 17);
    for ((codec, chunk_size), level) in
        settings.flat_map(|one| Level::ALL.map(|level| (one, level)))
    {
        let (mut used, _) = pair_of_level(codec, chunk_size, level);
        for (shape, seed) in SHAPES.iter().zip(1..) {
            let chunk = sample(shape, usize::try_from(chunk_size).unwrap() - 5, seed);
            let (mut fresh, _) = pair_of_level(codec, chunk_size, level);
            let (mut first, mut second) = (Vec::new(), Vec::new());
            used.encode(&chunk, &mut first);
            fresh.encode(&chunk, &mut second);
            assert_eq!(first, second, "{codec} {chunk_size} {level:?} {shape}");
        }
    }
}

#[test]
fn what_is_not_supported_is_named() {
    for codec in [Codec::None, Codec::Lzms, Codec::Xpress, Codec::Lzx] {
        for chunk_size in [0, 1, 1 << 11, 5000, 3 << 15, 1 << 22, u32::MAX] {
            if (codec, chunk_size) == (Codec::Lzms, 1 << 22) {
                continue;
            }
            let error = decoder(codec, chunk_size).err().unwrap();
            assert_eq!((error.codec, error.chunk_size), (codec, chunk_size));
            assert!(encoder(codec, chunk_size, Level::Fast).is_err());
        }
    }
    let message = decoder(Codec::Lzms, 1 << 14).err().unwrap().to_string();
    assert_eq!(message, "LZMS with chunks of 16384 bytes is not supported");
}

#[test]
fn a_chunk_longer_than_the_chunk_size_is_not_decoded() {
    let mut decoder = decoder(Codec::Lzx, 1 << 15).unwrap();
    assert!(decoder.decode(&[0; 100], &mut vec![0; 40_000]).is_err());
}

#[test]
fn a_shortened_chunk_does_not_decode() {
    for (codec, chunk_size) in settings().filter(|&(_, size)| size <= 1 << 16) {
        let (mut encoder, mut decoder) = pair(codec, chunk_size);
        let chunk = sample("text", usize::try_from(chunk_size).unwrap(), 9);
        let mut encoded = Vec::new();
        encoder.encode(&chunk, &mut encoded).unwrap();
        let mut output = vec![0; chunk.len()];
        for size in [0, 1, 100, 255, 256, 260, encoded.len() / 2, encoded.len() - 8] {
            let error = decoder.decode(&encoded[..size], &mut output).unwrap_err();
            assert_eq!(error.codec, codec);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn any_chunk_round_trips(
        setting in 0usize..17,
        level in 0..Level::ALL.len(),
        shape in 0..SHAPES.len(),
        size in prop_oneof![0usize..600, 0usize..70_000],
        seed in any::<u64>(),
    ) {
        let (codec, chunk_size) = settings().nth(setting).unwrap();
        let size = size.min(usize::try_from(chunk_size).unwrap());
        let (mut encoder, mut decoder) = pair_of_level(codec, chunk_size, Level::ALL[level]);
        round_trip(&mut *encoder, &mut *decoder, &sample(SHAPES[shape], size, seed));
    }

    #[test]
    fn damaged_chunks_never_panic(
        setting in 0usize..17,
        shape in 0..SHAPES.len(),
        seed in any::<u64>(),
        damages in 1usize..20,
    ) {
        let (codec, chunk_size) = settings().nth(setting).unwrap();
        let size = usize::try_from(chunk_size).unwrap().min(50_000);
        let (mut encoder, mut decoder) = pair(codec, chunk_size);
        let mut random = Random::new(seed);
        let chunk = sample(SHAPES[shape], size, seed);
        let mut encoded = Vec::new();
        if encoder.encode(&chunk, &mut encoded).is_none() {
            encoded = chunk;
        }
        for _ in 0..damages {
            // Near the start are the codes, where damage has most ways to matter.
            let reach = if random.below(2) == 0 { encoded.len().min(300) } else { encoded.len() };
            let at = random.below(reach);
            encoded[at] = random.byte();
        }
        encoded.truncate(encoded.len() - random.below(encoded.len().min(4)));
        let mut output = vec![0; size];
        // Damage may go unnoticed: containers have digests.
        drop(decoder.decode(&encoded, &mut output));
        drop(decoder.decode(&encoded, &mut output[..size / 3]));
    }

    #[test]
    fn any_bytes_are_no_reason_to_panic(setting in 0usize..17, bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        let (codec, chunk_size) = settings().nth(setting).unwrap();
        let mut decoder = decoder(codec, chunk_size).unwrap();
        let mut output = vec![0; usize::try_from(chunk_size).unwrap().min(40_000)];
        drop(decoder.decode(&bytes, &mut output));
    }
}
