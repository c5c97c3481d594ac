//! Encoding of LZMS chunks.
//!
//! A parser (greedy with one position of foresight in [`lazy`], by least cost in [`optimal`]) looks for matches with a match finder and
//! hands items to [`stream::Stream`], which writes them at once. So a parser always knows the codes and probabilities that the next item will have.

mod stream;

use super::x86::X86;
use crate::codec::{Encode, Level};
use stream::Stream;

/// Encodes LZMS chunks.
#[derive(Debug)]
pub(in crate::codec) struct Encoder {
    chunk_size: u32,
    level: Level,
    x86: X86,
    /// The chunk, translated.
    data: Vec<u8>,
    stream: Option<Box<Stream>>,
}

impl Encoder {
    /// An encoder for chunks of at most `chunk_size` bytes. Takes its memory when first used, as much as the chunk needs.
    pub(in crate::codec) fn new(chunk_size: u32, level: Level) -> Self {
        Self { chunk_size, level, x86: X86::new(), data: Vec::new(), stream: None }
    }
}

impl Encode for Encoder {
    fn encode(&mut self, chunk: &[u8], output: &mut Vec<u8>) -> Option<usize> {
        debug_assert!(chunk.len() <= self.chunk_size as usize);
        // Four bytes is the least that a chunk can have.
        if chunk.len() <= 4 {
            return None;
        }
        self.data.clear();
        self.data.extend_from_slice(chunk);
        self.x86.encode(&mut self.data);
        let stream = self.stream.get_or_insert_with(|| Box::new(Stream::new()));
        stream.reset(chunk.len());
        for &byte in &self.data {
            stream.literal(byte);
        }
        stream.finish(chunk.len(), output)
    }
}
