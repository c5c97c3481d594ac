//! Codecs on one thread, for `tests/bench/codec_peers.sh`, which runs libwim on the same chunks:
//!
//! ```text
//! codec_peers CODEC CHUNK_KIB LEVEL ROUNDS FILE
//! ```
//!
//! Prints the bytes after encoding and the least seconds of CPU-bound work for encoding and decoding all chunks of the file, or `unsupported`.
//! Without arguments (as `cargo bench` calls it) it does nothing.

use std::error::Error;
use std::io::Write as _;
use std::time::Instant;

use transom::codec::{Codec, Level, decoder, encoder};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let [codec, kib, level, rounds, file] = arguments.as_slice() else { return Ok(()) };
    let codec = match codec.as_str() {
        "xpress" => Codec::Xpress,
        "lzx" => Codec::Lzx,
        "lzms" => Codec::Lzms,
        other => return Err(format!("no codec {other}").into()),
    };
    let chunk_size = kib.parse::<u32>()? << 10;
    let level = Level::ALL
        .into_iter()
        .find(|known| known.word() == level)
        .ok_or_else(|| format!("no level {level}"))?;
    let data = fs_err::read(file)?;
    let (Ok(mut encoder), Ok(mut decoder)) =
        (encoder(codec, chunk_size, level), decoder(codec, chunk_size))
    else {
        writeln!(std::io::stdout(), "unsupported")?;
        return Ok(());
    };
    let (mut encode, mut decode) = (f64::MAX, f64::MAX);
    let (mut encoded, mut ends) = (Vec::new(), Vec::new());
    let mut output = vec![0; chunk_size as usize];
    let mut size = 0;
    for _ in 0..rounds.parse::<u32>()? {
        encoded.clear();
        ends.clear();
        let start = Instant::now();
        for chunk in data.chunks(chunk_size as usize) {
            // Chunks that do not shrink are stored raw and not decoded.
            let encoded_size = encoder.encode(chunk, &mut encoded);
            ends.push((encoded.len(), encoded_size.is_some()));
        }
        encode = encode.min(start.elapsed().as_secs_f64());
        let start = Instant::now();
        let mut begin = 0;
        size = encoded.len();
        for (chunk, &(end, shrunk)) in data.chunks(chunk_size as usize).zip(&ends) {
            if shrunk {
                decoder.decode(&encoded[begin..end], &mut output[..chunk.len()])?;
            } else {
                size += chunk.len();
            }
            begin = end;
        }
        decode = decode.min(start.elapsed().as_secs_f64());
    }
    writeln!(std::io::stdout(), "{size} {encode:.6} {decode:.6}")?;
    Ok(())
}
