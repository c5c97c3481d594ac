//! Layer 1: compression. Safe Rust, no I/O, no container knowledge.
//!
//! Each codec works on one *chunk*: bytes that are compressed alone, whose uncompressed size is known from outside.
//! Containers (WIM resources, cabinets) cut their data into chunks and choose the codec. Cabinets alone have a codec with a memory:
//! [`LzxStream`], whose frames refer to those before.

use std::fmt;

mod bits;
mod copy;
mod huffman;
mod lzms;
mod lzx;
mod matches;
mod trees;
mod xpress;

pub use lzx::{LzxStream, LzxStreamEncoder};

/// How the chunks of a resource are compressed.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Codec {
    /// Stored as it is.
    None,
    /// LZ77 and Huffman, 64 KiB window at most.
    Xpress,
    /// LZX in its WIM dialect.
    Lzx,
    /// LZ77 with adaptive codes and delta matches, 1 GiB window at most.
    Lzms,
}

impl Codec {
    /// Chunk size that tools use when nothing else is said, in bytes; 0 for [`Codec::None`].
    #[must_use]
    pub fn default_chunk_size(self) -> u32 {
        match self {
            Self::None => 0,
            Self::Xpress | Self::Lzx => 32 << 10,
            Self::Lzms => 128 << 10,
        }
    }

    /// Version of what the encoder of this program writes: equal versions give equal bytes for equal input and settings. 0 where nothing is
    /// encoded.
    #[must_use]
    pub fn encoder_version(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Xpress => xpress::ENCODER_VERSION,
            Self::Lzx => lzx::ENCODER_VERSION,
            Self::Lzms => lzms::ENCODER_VERSION,
        }
    }

    /// True when the WIM format allows chunks of `size` bytes for this codec.
    #[must_use]
    pub fn allows_chunk_size(self, size: u32) -> bool {
        let range = match self {
            Self::None => return size == 0,
            Self::Xpress => 4 << 10..=64 << 10,
            Self::Lzx => 32 << 10..=2 << 20,
            Self::Lzms => 32 << 10..=1 << 30,
        };
        size.is_power_of_two() && range.contains(&size)
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::None => "none",
            Self::Xpress => "XPRESS",
            Self::Lzx => "LZX",
            Self::Lzms => "LZMS",
        })
    }
}

/// How much time a compressor spends for how much size; the same trade for every codec.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Default,
    serde::Serialize,
    serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Half to three quarters of the time of `Default`, for five to ten per cent more size.
    Fast,
    /// What golden images are built with every day: a seventh of the time of `High` for about 3 % more size (wimlib's `LZX:20`).
    #[default]
    Default,
    /// Optimal parsing, once: what wimlib spends when it is told nothing (`LZX:50`).
    High,
    /// Optimal parsing, over and over: for releases (`LZX:100`). Twice the time of `High` for less than a per cent.
    Max,
}

impl Level {
    /// All of them, from the fastest to the smallest.
    pub const ALL: [Self; 4] = [Self::Fast, Self::Default, Self::High, Self::Max];

    /// The name, as recipes, options and records write it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Fast => "fast",
            Self::Default => "default",
            Self::High => "high",
            Self::Max => "max",
        }
    }
}

/// Compressed bytes that do not decode.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{codec} data is damaged: {what}")]
pub struct DecodeError {
    /// Which codec.
    pub codec: Codec,
    /// What is wrong with the data.
    pub what: &'static str,
}

/// Decodes chunks of one codec; keeps its tables between chunks.
pub trait Decode: Send {
    /// Decodes the whole of `compressed` into the whole of `output`.
    ///
    /// # Errors
    /// When the data does not decode to exactly `output.len()` bytes. `output` then holds anything.
    fn decode(&mut self, compressed: &[u8], output: &mut [u8]) -> Result<(), DecodeError>;
}

/// Encodes chunks of one codec; keeps its tables between chunks. The output depends on the input and the settings alone.
pub trait Encode: Send {
    /// Appends the compressed form of `chunk` to `output` and returns its size, or `None`, leaving `output` as it was, when that
    /// would not be smaller than `chunk` itself (the container then stores it raw).
    fn encode(&mut self, chunk: &[u8], output: &mut Vec<u8>) -> Option<usize>;
}

/// A codec that this version cannot do in that direction.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{codec} with chunks of {chunk_size} bytes is not supported")]
pub struct Unsupported {
    /// The codec.
    pub codec: Codec,
    /// The chunk size in bytes.
    pub chunk_size: u32,
}

/// A decoder for chunks of at most `chunk_size` bytes.
///
/// # Errors
/// For [`Codec::None`] (nothing to decode), and chunk sizes that the format does not allow.
pub fn decoder(codec: Codec, chunk_size: u32) -> Result<Box<dyn Decode>, Unsupported> {
    match codec {
        Codec::Xpress if codec.allows_chunk_size(chunk_size) => {
            Ok(Box::new(xpress::Decoder::new()))
        }
        Codec::Lzx if codec.allows_chunk_size(chunk_size) => {
            Ok(Box::new(lzx::Decoder::new(chunk_size)))
        }
        Codec::Lzms if codec.allows_chunk_size(chunk_size) => {
            Ok(Box::new(lzms::Decoder::new(chunk_size)))
        }
        _ => Err(Unsupported { codec, chunk_size }),
    }
}

/// An encoder for chunks of at most `chunk_size` bytes.
///
/// # Errors
/// As [`decoder`].
pub fn encoder(
    codec: Codec,
    chunk_size: u32,
    level: Level,
) -> Result<Box<dyn Encode>, Unsupported> {
    match codec {
        Codec::Xpress if codec.allows_chunk_size(chunk_size) => {
            Ok(Box::new(xpress::Encoder::new(level)))
        }
        Codec::Lzx if codec.allows_chunk_size(chunk_size) => {
            Ok(match chunk_size {
                // Small positions and tables stay in the processor's nearest caches.
                ..=0x1_0000 => {
                    Box::new(lzx::Encoder::<u16, 0x2_0000, 0x8000>::new(chunk_size, level))
                }
                _ => Box::new(lzx::Encoder::<u32, 0x40_0000, 0x4_0000>::new(chunk_size, level)),
            })
        }
        Codec::Lzms if codec.allows_chunk_size(chunk_size) => {
            Ok(Box::new(lzms::Encoder::new(chunk_size, level)))
        }
        _ => Err(Unsupported { codec, chunk_size }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::digest::Blake3;

    /// Text-like, table-like, call-like and random content of 100,003 bytes; the same on every machine.
    fn fixed_input() -> Vec<u8> {
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        let mut random = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        let mut bytes = Vec::new();
        while bytes.len() < 100_003 {
            let number = random();
            match bytes.len() / 8192 % 4 {
                0 => bytes
                    .extend_from_slice(format!("the line {} of text; ", number % 500).as_bytes()),
                1 => bytes.extend_from_slice(&(number % 4000).to_le_bytes()),
                2 => {
                    bytes.push(0xE8);
                    bytes.extend_from_slice(&u32::try_from(number % 9000).unwrap().to_le_bytes());
                    bytes.extend_from_slice(&[0x8B, 0x45, (number >> 60) as u8]);
                }
                _ => bytes.extend_from_slice(&number.to_le_bytes()),
            }
        }
        bytes.truncate(100_003);
        bytes
    }

    /// The digest of the fixed input's chunks as the codec encodes them; a chunk that does not get smaller counts as it is.
    fn encoded(codec: Codec, chunk_size: u32, level: Level) -> String {
        let mut encoder = encoder(codec, chunk_size, level).unwrap();
        let mut output = Vec::new();
        for chunk in fixed_input().chunks(chunk_size as usize) {
            let size = encoder.encode(chunk, &mut output);
            output.extend_from_slice(&(size.unwrap_or(0) as u64).to_le_bytes());
        }
        Blake3::of(&output).to_hex()
    }

    /// Codec, version, chunk size in KiB, level, and the digest of what is written.
    #[rustfmt::skip]
    const KNOWN: &[(Codec, u8, u32, Level, &str)] = &[
        (Codec::Xpress, 2, 4, Level::Fast, "e53cb3ad6fdf4918b6d060d9b9037d7006d01c65890395054e30de2b3b4d925a"),
        (Codec::Xpress, 2, 4, Level::Default, "15e095a560383bbac884e69735a414091dca5c9f947c25a48beeb09d4cb797ae"),
        (Codec::Xpress, 2, 4, Level::High, "8d38f636aa8fe0a43d2be21c9133f981a110d2cea186ec41ce7136e106a95a0c"),
        (Codec::Xpress, 2, 4, Level::Max, "f33d51969af07642fe5bbc6789e1237bc6306a0f8f282dde7cff9aee1c51575b"),
        (Codec::Xpress, 2, 32, Level::Fast, "e17ecd00d707d431d5a00a1f39a8ed4e16e1792977689ed238c0fe88dffe9348"),
        (Codec::Xpress, 2, 32, Level::Default, "f5bc2cf54ceae8c476f556de58755065373af50f3045bd5e6dad7378ed75b0af"),
        (Codec::Xpress, 2, 32, Level::High, "28aeb26680e926e1089dac393066d75117a4c1689c28fae4f89ae1f775c3c9cb"),
        (Codec::Xpress, 2, 32, Level::Max, "875a3736c6f57566cf349369562270d2b6eaed949501241f6751f5940d97192b"),
        (Codec::Xpress, 2, 64, Level::Fast, "0addc9c41517e62fa66005e66b04c9beb807648e7f0f3b14aab05fb3da8a8522"),
        (Codec::Xpress, 2, 64, Level::Default, "dfbb0f5d93796a76173d0dad49c22f6db32e880117f54043989116115d7b69cf"),
        (Codec::Xpress, 2, 64, Level::High, "7e01707ad0df54e649cea05bad9ebba0b73d8d04ed791ae188d6e96ace39eea7"),
        (Codec::Xpress, 2, 64, Level::Max, "59df39421c0420cc2d1d452cc93b7ddce34afd35473f3169c0d11deba7247c3f"),
        (Codec::Lzx, 2, 32, Level::Fast, "60f7c12e3233d1dedf3ce102cfff733c7f6cca207d604b1193b3b19fe92d41b6"),
        (Codec::Lzx, 2, 32, Level::Default, "045e11c420052c61000e97996d65db68e3fb5c1f074dcc0232c438272c760141"),
        (Codec::Lzx, 2, 32, Level::High, "cf9e917b799c61d015240f326280138f41d90793ebe87c64ae97df1cc307e643"),
        (Codec::Lzx, 2, 32, Level::Max, "ace01e92b9df31795aa1b1137b68662b368a679899f240a6424b275ed272bc41"),
        (Codec::Lzx, 2, 2048, Level::Fast, "90d8fa3ed041878fbe5da51e9d300a8eb88463baa842baca26b7ec0704dcfff5"),
        (Codec::Lzx, 2, 2048, Level::Default, "4d8ce2c04ef3d3b0436faf82fd97fdf62d7742d5f4d23530c1755e909cd0b023"),
        (Codec::Lzx, 2, 2048, Level::High, "66e28b1247481791002fdda7344b207448a99b3b8e8740b34bc21c523da6d66b"),
        (Codec::Lzx, 2, 2048, Level::Max, "325815a238376081632878afe44ff0bc092c221ee33c7784bfa67b088454f9a1"),
        (Codec::Lzms, 1, 32, Level::Fast, "186a98b88b9dea61d729ada43030cb34fe7b481a2339c4f104fdb02148ed6a67"),
        (Codec::Lzms, 1, 32, Level::Default, "551f4e36e7968132a8c0391029da5246878c363250fb40349c1a26ecbad9f747"),
        (Codec::Lzms, 1, 32, Level::High, "e3230d7cf7a5d921dd327cb8d7b2047e664a3f1e070566cff6e631a12bada673"),
        (Codec::Lzms, 1, 32, Level::Max, "5b4e0b27da972ff28781064823360aef68aa962eb2d69e746b0e64bf9e1f8692"),
        (Codec::Lzms, 1, 128, Level::Fast, "bfbb06580e257efef46051eff81bdd4a5e7498828ccae05bd7fdab219974bca3"),
        (Codec::Lzms, 1, 128, Level::Default, "3aaff49cf1847f7ac129ba94c39bf690ab006a49b2702cd844c2e7be1e0f2540"),
        (Codec::Lzms, 1, 128, Level::High, "f377be24fba069953f2587165b02195c671a6945fb12734b92f878d1180de0d1"),
        (Codec::Lzms, 1, 128, Level::Max, "df89bb28aea88ca29d827fbd03e625b8e60ac9b4313f31f5a3b70828d2db2d4d"),
    ];

    /// When this fails, the encoder's output changed. If that is meant: raise the codec's `ENCODER_VERSION` and put the new digests here.
    #[test]
    fn encoders_write_the_bytes_that_their_version_stands_for() {
        let found: Vec<_> = KNOWN
            .iter()
            .map(|&(codec, _, chunk_kib, level, _)| {
                let digest = encoded(codec, chunk_kib << 10, level);
                (codec, codec.encoder_version(), chunk_kib, level, digest)
            })
            .collect();
        let known: Vec<_> = KNOWN
            .iter()
            .map(|&(codec, version, chunk_kib, level, digest)| {
                (codec, version, chunk_kib, level, digest.to_owned())
            })
            .collect();
        assert_eq!(found, known);
    }
}
