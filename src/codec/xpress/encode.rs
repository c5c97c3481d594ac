//! Encoding of XPRESS chunks: a parser cuts the chunk into literals and matches, one Huffman code is made for them.

use super::chains::{Chains, Effort};
use super::optimal::{Optimizer, Work};
use super::quick::Quick;
use super::window::Window;
use super::write::{ChunkWriter, Sequence};
use super::{HEADER_SIZE, MAX_CODE_LENGTH, SYMBOLS};
use crate::codec::huffman::CodeBuilder;
use crate::codec::{Encode, Level};

/// Encodes XPRESS chunks.
#[derive(Debug)]
pub(in crate::codec) struct Encoder {
    parser: Parser,
    window: Window,
    sequences: Vec<Sequence>,
    frequencies: [u32; SYMBOLS],
    builder: CodeBuilder,
    writer: ChunkWriter,
}

/// What decides between literals and matches.
#[derive(Debug)]
enum Parser {
    Quick(Quick),
    Lazy(Chains),
    Optimal(Box<Optimizer>),
}

impl Encoder {
    /// An encoder for chunks of at most 64 KiB.
    pub(in crate::codec) fn new(level: Level) -> Self {
        let optimal = |work| Parser::Optimal(Box::new(Optimizer::new(work)));
        let parser = match level {
            Level::Fast => Parser::Quick(Quick::new()),
            Level::Default => {
                Parser::Lazy(Chains::new(Effort { depth: 16, lazy_depth: 8, nice_length: 32 }))
            }
            Level::High => optimal(Work { depth: 32, nice_length: 80, passes: 2, thorough: 4 }),
            Level::Max => optimal(Work { depth: 40, nice_length: 224, passes: 2, thorough: 2 }),
        };
        Self {
            parser,
            window: Window::new(),
            sequences: Vec::new(),
            frequencies: [0; SYMBOLS],
            builder: CodeBuilder::new(),
            writer: ChunkWriter::new(),
        }
    }
}

impl Encode for Encoder {
    fn encode(&mut self, chunk: &[u8], output: &mut Vec<u8>) -> Option<usize> {
        // The smallest chunk that can get smaller.
        if chunk.len() < HEADER_SIZE + 6 {
            return None;
        }
        let Self { window, sequences, frequencies, builder, .. } = self;
        window.fill(chunk);
        match &mut self.parser {
            Parser::Quick(quick) => quick.parse(window, sequences, frequencies),
            Parser::Lazy(chains) => chains.parse(window, sequences, frequencies),
            Parser::Optimal(optimizer) => {
                optimizer.parse(window, sequences, frequencies, builder);
            }
        }
        let mut lengths = [0u8; SYMBOLS];
        builder.lengths(frequencies, MAX_CODE_LENGTH, &mut lengths);
        self.writer.write(chunk, sequences, &lengths, output)
    }
}
