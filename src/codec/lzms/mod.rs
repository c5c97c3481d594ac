//! LZMS: LZ77 with adaptive codes, delta matches and a translation of x86 addresses. What solid resources (ESD) are compressed with.
//!
//! No description by Microsoft is public; the facts come from `facts/wim-and-codecs.md`, section C3, and a reader written from it that
//! decodes real files. A chunk is a row of 16-bit words that is read from both ends. Forward from its start runs a range coder
//! ([`range`]) with binary decisions under adaptive probabilities ([`model`]): literal or match, LZ or delta match, new or recent offset. Backward
//! from its end come Huffman-coded symbols and plain bits, most significant bit first: literals, offset slots, length slots, powers
//! ([`tables`]). The Huffman codes ([`adaptive`]) are never written down: both sides rebuild them after so many symbols from what came before.
//!
//! A *delta match* repeats differences: each byte is the one a span (a power of two) before it plus the difference that was there at the
//! offset ([`delta`]). Recent offsets stand in two queues, one for each kind of match ([`recent`]). Decoded chunks are translated back by
//! [`x86`].
//!
//! Everything adapts from item to item, so one chunk is decoded, and encoded, by one thread.

mod adaptive;
mod decode;
mod delta;
mod encode;
mod model;
mod range;
mod recent;
mod tables;
mod x86;

pub(super) use decode::Decoder;
pub(super) use encode::Encoder;

/// Version of what the encoder writes. Raise it whenever the same input may give other bytes than before: what is in caches under the older
/// version is then not copied into outputs any more, which would make them differ from machine to machine.
pub(super) const ENCODER_VERSION: u8 = 1;
