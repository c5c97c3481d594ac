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

pub use lzx::LzxStream;

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
    /// Half the time of `Default` or less, for some per cent more size.
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
                    Box::new(lzx::Encoder::<u16, 0x2_0000, 0x4000>::new(chunk_size, level))
                }
                _ => Box::new(lzx::Encoder::<u32, 0x40_0000, 0x1_0000>::new(chunk_size, level)),
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

    /// When this fails, the encoder's output changed. If that is meant: raise the codec's `ENCODER_VERSION` and put the new digests here.
    #[test]
    fn encoders_write_the_bytes_that_their_version_stands_for() {
        let known = [
            (
                (Codec::Xpress, 1),
                (4 << 10, Level::Default),
                "373fad447ba08d3eb44a975263d60f2ab1e9f8c8279a4d4d397f8766b79338b9",
            ),
            (
                (Codec::Xpress, 1),
                (32 << 10, Level::Default),
                "f819550381f145ee0a9a15eb48798dc6683f3428d8efc697cfd5895d5d0b5079",
            ),
            (
                (Codec::Lzx, 2),
                (32 << 10, Level::Fast),
                "8814f64b50bf545c322f2782a90bc8c58502817b73f5e8978ac710d94b477d45",
            ),
            (
                (Codec::Lzx, 2),
                (32 << 10, Level::Default),
                "7d5c82e5174d43f92a6f7d00dfaf12e7756d9e24c77e2eff9793471eca2f07cf",
            ),
            (
                (Codec::Lzx, 2),
                (32 << 10, Level::High),
                "cf9e917b799c61d015240f326280138f41d90793ebe87c64ae97df1cc307e643",
            ),
            (
                (Codec::Lzx, 2),
                (32 << 10, Level::Max),
                "ace01e92b9df31795aa1b1137b68662b368a679899f240a6424b275ed272bc41",
            ),
            (
                (Codec::Lzx, 2),
                (2 << 20, Level::Fast),
                "d75c12a7dd6313c5153d057b756765206732171f61e35a0cb6e1c57e308b79b3",
            ),
            (
                (Codec::Lzx, 2),
                (2 << 20, Level::Default),
                "c95664fe2124b837586eb40666c5bea3837d516d691cba2f1ded925ea2e784a7",
            ),
            (
                (Codec::Lzx, 2),
                (2 << 20, Level::High),
                "66e28b1247481791002fdda7344b207448a99b3b8e8740b34bc21c523da6d66b",
            ),
            (
                (Codec::Lzx, 2),
                (2 << 20, Level::Max),
                "325815a238376081632878afe44ff0bc092c221ee33c7784bfa67b088454f9a1",
            ),
        ];
        let found = known.map(|((codec, _), (chunk_size, level), _)| {
            let digest = encoded(codec, chunk_size, level);
            ((codec, codec.encoder_version()), (chunk_size, level), digest)
        });
        assert_eq!(
            found,
            known.map(|(codec, setting, digest)| (codec, setting, digest.to_owned()))
        );
    }

    /// As above, for each level.
    #[test]
    fn lzms_writes_the_bytes_that_its_version_stands_for() {
        let known = [
            (
                Level::Fast,
                32 << 10,
                "186a98b88b9dea61d729ada43030cb34fe7b481a2339c4f104fdb02148ed6a67",
            ),
            (
                Level::Default,
                32 << 10,
                "551f4e36e7968132a8c0391029da5246878c363250fb40349c1a26ecbad9f747",
            ),
            (
                Level::High,
                32 << 10,
                "e3230d7cf7a5d921dd327cb8d7b2047e664a3f1e070566cff6e631a12bada673",
            ),
            (
                Level::Max,
                32 << 10,
                "5b4e0b27da972ff28781064823360aef68aa962eb2d69e746b0e64bf9e1f8692",
            ),
            (
                Level::Default,
                128 << 10,
                "3aaff49cf1847f7ac129ba94c39bf690ab006a49b2702cd844c2e7be1e0f2540",
            ),
        ];
        assert_eq!(Codec::Lzms.encoder_version(), 1);
        let found = known.map(|(level, size, _)| (level, size, encoded(Codec::Lzms, size, level)));
        assert_eq!(found, known.map(|(level, size, digest)| (level, size, digest.to_owned())));
    }
}
