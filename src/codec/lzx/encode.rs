//! Encoding of LZX chunks: translation of calls, parsing into sequences, cutting into blocks, and writing the blocks.
//!
//! The parser ([`super::lazy`]) knows nothing of blocks, the block writer ([`super::block`]) nothing of how the sequences
//! were found: other levels are other parsers.

use super::block::BlockWriter;
use super::e8;
use super::lazy::Parser;
use super::split::Splitter;
use crate::codec::bits::{BitWriter, WRITER_SLACK};
use crate::codec::matches::{Position, Window};
use crate::codec::{Encode, Level};

use super::tables::{LENGTH_HEADERS, LITERALS, LONG_LENGTH_HEADER, MIN_MATCH, slots};

/// Literals, then a match (none at the end of the chunk).
#[derive(Debug, Clone, Copy)]
pub(super) struct Sequence {
    pub(super) literals: u32,
    /// The formatted offset without the base of its slot; zero for repeats.
    pub(super) extra: u32,
    /// Match length; 0 for none.
    pub(super) length: u16,
    pub(super) slot: u8,
}

impl Sequence {
    /// Bytes that it stands for.
    #[inline(always)]
    pub(super) fn size(self) -> usize {
        (self.literals as usize).wrapping_add(usize::from(self.length))
    }

    /// Main symbol of the match.
    #[inline(always)]
    pub(super) fn main_symbol(self) -> usize {
        let header =
            usize::from(self.length).wrapping_sub(MIN_MATCH).min(LONG_LENGTH_HEADER as usize);
        LITERALS + usize::from(self.slot) * LENGTH_HEADERS + header
    }

    /// Symbol of the length code, where the length header does not suffice.
    #[inline(always)]
    pub(super) fn length_symbol(self) -> Option<usize> {
        usize::from(self.length).checked_sub(MIN_MATCH + LONG_LENGTH_HEADER as usize)
    }
}

/// Encodes LZX chunks of one chunk size.
#[derive(Debug)]
pub(in crate::codec) struct Encoder<P, const SIZE: usize, const FOURS: usize> {
    parser: Parser<P, SIZE, FOURS>,
    splitter: Splitter,
    blocks: BlockWriter,
    /// The chunk with its calls translated.
    window: Window<SIZE>,
    sequences: Vec<Sequence>,
}

impl<P: Position, const SIZE: usize, const FOURS: usize> Encoder<P, SIZE, FOURS> {
    /// An encoder for chunks of at most `chunk_size` bytes, which must be a size that WIM allows.
    pub(in crate::codec) fn new(chunk_size: u32, level: Level) -> Self {
        Self {
            parser: Parser::new(level),
            splitter: Splitter::new(),
            blocks: BlockWriter::new(chunk_size, slots(chunk_size)),
            window: Window::new(),
            sequences: Vec::new(),
        }
    }
}

impl<P: Position, const SIZE: usize, const FOURS: usize> Encode for Encoder<P, SIZE, FOURS> {
    fn encode(&mut self, chunk: &[u8], output: &mut Vec<u8>) -> Option<usize> {
        let room = chunk.len().checked_sub(1)?;
        e8::encode(self.window.fill(chunk));
        self.sequences.clear();
        self.parser.parse(&self.window, &mut self.sequences);

        let start = output.len();
        output.resize(start + room + WRITER_SLACK, 0);
        let mut writer = BitWriter::new(&mut output[start..]);
        self.blocks.reset();
        let mut data = self.window.chunk();
        let mut sequences = self.sequences.as_slice();
        while !sequences.is_empty() {
            let (block, after) = sequences.split_at(self.splitter.next_block(data, sequences));
            let size = block.iter().map(|sequence| sequence.size()).sum();
            let (block_data, data_after) = data.split_at(size);
            self.blocks.write(&mut writer, block_data, block);
            (data, sequences) = (data_after, after);
        }
        let written = writer.finish().filter(|&size| size <= room);
        output.truncate(start + written.unwrap_or(0));
        written
    }
}
