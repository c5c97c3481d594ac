//! Micro-benchmarks of the codecs: `cargo bench --bench codec`. Throughput is in bytes of uncompressed data.

use divan::Bencher;
use divan::counter::BytesCount;
use transom::codec::{Codec, Level, decoder, encoder};

fn main() {
    divan::main();
}

/// Codecs with chunk sizes in KiB.
const SETTINGS: &[(Codec, u32)] = &[
    (Codec::Xpress, 4),
    (Codec::Xpress, 32),
    (Codec::Lzx, 32),
    (Codec::Lzx, 256),
    (Codec::Lzx, 2048),
    (Codec::Lzms, 128),
    (Codec::Lzms, 2048),
];
/// What the data looks like.
const KINDS: &[&str] = &["program", "text", "compressed", "zeros"];
/// Bytes per iteration.
const SIZE: usize = 2 << 20;

/// Every setting that can be encoded, with every kind of data.
fn cases() -> impl Iterator<Item = (Codec, u32, &'static str)> {
    let settings =
        SETTINGS.iter().filter(|&&(codec, kib)| encoder(codec, kib << 10, Level::Fast).is_ok());
    settings.flat_map(|&(codec, size)| KINDS.iter().map(move |&kind| (codec, size, kind)))
}

/// Real code (this program), text, bytes without order, or zeros.
fn data(kind: &str) -> Vec<u8> {
    let mut state = 1u64;
    let mut random = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    };
    match kind {
        "program" => {
            let program = std::env::current_exe().expect("this program has a path");
            let bytes = fs_err::read(program).expect("this program is readable");
            bytes.into_iter().cycle().skip(1 << 18).take(SIZE).collect()
        }
        "text" => {
            const WORDS: &[&str] = &[
                "image ",
                "driver ",
                "of the ",
                "component ",
                "0x8007",
                "version ",
                "servicing\r\n",
                "and ",
            ];
            let words = std::iter::repeat_with(|| WORDS[usize::from(random() & 7)]);
            words.flat_map(str::bytes).take(SIZE).collect()
        }
        "compressed" => std::iter::repeat_with(random).take(SIZE).collect(),
        _ => vec![0; SIZE],
    }
}

#[divan::bench(args = cases().flat_map(|case| Level::ALL.map(|level| (case, level.word()))))]
fn encode(bencher: Bencher, ((codec, kib, kind), level): ((Codec, u32, &str), &str)) {
    let data = data(kind);
    let level = Level::ALL.into_iter().find(|known| known.word() == level).unwrap_or_default();
    let mut encoder = encoder(codec, kib << 10, level).expect("a size that WIM allows");
    let mut output = Vec::with_capacity(SIZE);
    bencher.counter(BytesCount::new(SIZE)).bench_local(|| {
        output.clear();
        for chunk in data.chunks((kib << 10) as usize) {
            encoder.encode(chunk, &mut output);
        }
        output.len()
    });
}

#[divan::bench(args = cases().filter(|case| case.2 != "compressed"))]
fn decode(bencher: Bencher, (codec, kib, kind): (Codec, u32, &str)) {
    let data = data(kind);
    let mut encoder = encoder(codec, kib << 10, Level::Fast).expect("a size that WIM allows");
    let mut decoder = decoder(codec, kib << 10).expect("a size that WIM allows");
    let mut chunks = Vec::new();
    for chunk in data.chunks((kib << 10) as usize) {
        let mut encoded = Vec::new();
        // Chunks that do not shrink are stored raw and not decoded.
        if encoder.encode(chunk, &mut encoded).is_some() {
            chunks.push((encoded, chunk.len()));
        }
    }
    let mut output = vec![0; (kib << 10) as usize];
    let bytes: usize = chunks.iter().map(|(_, size)| size).sum();
    bencher.counter(BytesCount::new(bytes)).bench_local(|| {
        for (encoded, size) in &chunks {
            decoder.decode(encoded, &mut output[..*size]).expect("our own chunk");
        }
    });
}
