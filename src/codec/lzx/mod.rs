//! LZX as in WIM chunks (MS-PATCH and Microsoft's LZX paper of 1997, with the differences that WIM has).
//!
//! A chunk is a row of blocks. Bits are 16-bit words read from the top. A block is 3 bits of type (1 verbatim, 2 aligned
//! offset, 3 uncompressed) and its size: one bit 1 means 32,768 bytes; else 16 bits follow, and 8 more low ones in chunks of
//! 64 KiB and more. Compressed blocks then have their Huffman codes as differences to the codes of the block before:
//! aligned offset code (type 2 only), main code in two parts, length code; see [`tables`] for the symbols. Matches may repeat
//! one of three recent offsets. The window is the chunk: nothing refers to other chunks.
//!
//! What differs from LZX in cabinets: no header bit for the call translation, which is always on with a file size of
//! 12,000,000 ([`e8`]); the block size field; no history; no realignment every 32 KiB. [`LzxStream`] decodes that dialect, [`LzxStreamEncoder`] writes it.

mod block;
mod cabinet;
mod cabinet_encode;
mod costs;
mod decode;
mod e8;
mod encode;
mod lazy;
mod optimal;
mod split;
mod tables;

pub use cabinet::LzxStream;
pub use cabinet_encode::LzxStreamEncoder;
pub(super) use decode::Decoder;
pub(super) use encode::Encoder;

/// Version of what the encoder writes. Raise it whenever the same input may give other bytes than before: what is in caches under the older
/// version is then not copied into outputs any more, which would make them differ from machine to machine.
pub(super) const ENCODER_VERSION: u8 = 2;
