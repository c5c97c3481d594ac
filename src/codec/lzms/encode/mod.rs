//! Encoding of LZMS chunks.
//!
//! A [`optimal::Parser`] chooses items by least cost, among what a match finder ([`tree`], [`chains`], [`delta`]) shows it, and
//! hands them to [`stream::Stream`], which writes them at once. So the parser always knows the codes and probabilities that the next item will have.

mod chains;
mod costs;
mod data;
mod delta;
mod optimal;
mod state;
mod stream;
mod tree;

use super::x86::X86;
use crate::codec::{Encode, Level};
use chains::Chains;
use data::Data;
use optimal::{Parser, Thoroughness};
use stream::Stream;
use tree::Tree;

/// Encodes LZMS chunks.
#[derive(Debug)]
pub(in crate::codec) struct Encoder {
    chunk_size: u32,
    level: Level,
    x86: X86,
    /// Made when first needed.
    parts: Option<Box<Parts>>,
}

/// What encoding needs memory for.
#[derive(Debug)]
struct Parts {
    data: Data,
    finder: Finder,
    parser: Parser,
    stream: Stream,
}

/// The match finder of a level.
#[derive(Debug)]
enum Finder {
    Chains(Chains),
    Tree(Tree),
}

impl Parts {
    fn new(level: Level) -> Self {
        let (finder, thoroughness) = match level {
            Level::Fast => (
                Finder::Chains(Chains::new(4, 32)),
                Thoroughness { nice_length: 32, powers: 0, delta_below: 0 },
            ),
            Level::Default => (
                Finder::Chains(Chains::new(8, 32)),
                Thoroughness { nice_length: 32, powers: 5, delta_below: 16 },
            ),
            Level::High => (
                Finder::Tree(Tree::new(24, 64)),
                Thoroughness { nice_length: 64, powers: 6, delta_below: 16 },
            ),
            Level::Max => (
                Finder::Tree(Tree::new(96, 256)),
                Thoroughness { nice_length: 256, powers: 8, delta_below: 32 },
            ),
        };
        let parser = Parser::new(thoroughness);
        Self { data: Data::default(), finder, parser, stream: Stream::new() }
    }
}

impl Encoder {
    /// An encoder for chunks of at most `chunk_size` bytes. Takes its memory when first used, as much as the chunk needs.
    pub(in crate::codec) fn new(chunk_size: u32, level: Level) -> Self {
        Self { chunk_size, level, x86: X86::new(), parts: None }
    }
}

impl Encode for Encoder {
    fn encode(&mut self, chunk: &[u8], output: &mut Vec<u8>) -> Option<usize> {
        debug_assert!(chunk.len() <= self.chunk_size as usize);
        // Four bytes is the least that a chunk can have.
        if chunk.len() <= 4 {
            return None;
        }
        let level = self.level;
        let parts = self.parts.get_or_insert_with(|| Box::new(Parts::new(level)));
        let Parts { data, finder, parser, stream } = &mut **parts;
        self.x86.encode(data.fill(chunk));
        stream.reset(chunk.len());
        match finder {
            Finder::Chains(chains) => parser.parse(data, chains, stream),
            Finder::Tree(tree) => parser.parse(data, tree, stream),
        }
        stream.finish(chunk.len(), output)
    }
}
