//! XPRESS with Huffman codes, as in WIM chunks (MS-XCA section 2.1 and 2.2, in the form Windows writes for WIMs).
//!
//! A chunk is 256 bytes of code lengths (512 of 4 bits, low nibble first), then 16-bit words read from the top bit, with raw
//! bytes between them. Symbols 0 to 255 are literals; symbol `256 + 16·k + l` is a match whose offset is `2^k` plus the next
//! `k` bits and whose length is `l + 3`. When `l` is 15 a raw byte is added to the length, and when that is 255 a raw 16-bit
//! value *is* the length (before the 3). The raw bytes lie behind the two words that the decoder has loaded at that moment.
//! Encoders end a chunk with symbol 256, which Microsoft's decoder wants to see.

mod decode;
mod encode;
mod table;

pub(super) use decode::Decoder;
pub(super) use encode::Encoder;

/// Version of what the encoder writes. Raise it whenever the same input may give other bytes than before: what is in caches under the older
/// version is then not copied into outputs any more, which would make them differ from machine to machine.
pub(super) const ENCODER_VERSION: u8 = 1;

/// Symbols of the code.
const SYMBOLS: usize = 512;
/// Bytes of code lengths at the start of a chunk.
const HEADER_SIZE: usize = SYMBOLS / 2;
/// Shortest match.
const MIN_MATCH: usize = 3;
