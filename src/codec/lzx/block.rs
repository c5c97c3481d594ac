//! Blocks of LZX chunks: which kind, and their bits.

use super::encode::Sequence;
use super::tables::{
    ALIGNED_BITS, ALIGNED_SYMBOLS, BLOCK_ALIGNED, BLOCK_VERBATIM, DEFAULT_BLOCK_SIZE, EXTRA_BITS,
    LENGTH_HEADERS, LENGTH_SYMBOLS, LITERALS, MAX_MAIN_SYMBOLS, PRECODE_LONG_ZEROS, PRECODE_RUN,
    PRECODE_SHORT_ZEROS, PRECODE_SYMBOLS, has_wide_block_size,
};
use crate::codec::bits::{BitWriter, low_8, low_32};
use crate::codec::huffman::{CodeBuilder, CodeWord, canonical_codes};

/// Longest code of the main and the length code.
const MAX_CODE_LENGTH: usize = 16;
/// Longest code of the precode.
const MAX_PRECODE_LENGTH: usize = 15;
/// Longest code of the aligned offset code.
const MAX_ALIGNED_LENGTH: usize = 7;

/// A code with its statistics.
#[derive(Debug)]
struct Code<const SYMBOLS: usize> {
    frequencies: [u32; SYMBOLS],
    lengths: [u8; SYMBOLS],
    codes: [CodeWord; SYMBOLS],
}

impl<const SYMBOLS: usize> Code<SYMBOLS> {
    fn new() -> Self {
        Self {
            frequencies: [0; SYMBOLS],
            lengths: [0; SYMBOLS],
            codes: [CodeWord::default(); SYMBOLS],
        }
    }

    #[inline(always)]
    fn count(&mut self, symbol: usize) {
        if let Some(count) = self.frequencies.get_mut(symbol) {
            *count = count.wrapping_add(1);
        }
    }

    /// Builds the code for the first `symbols` symbols from their frequencies.
    fn build(&mut self, builder: &mut CodeBuilder, symbols: usize, limit: usize) {
        builder.lengths(&self.frequencies[..symbols], limit, &mut self.lengths[..symbols]);
        canonical_codes(&self.lengths[..symbols], &mut self.codes[..symbols]);
    }

    /// Bits of all that was counted.
    fn cost(&self) -> u64 {
        self.frequencies
            .iter()
            .zip(&self.lengths)
            .map(|(&count, &length)| u64::from(count) * u64::from(length))
            .sum()
    }

    #[inline(always)]
    fn put(&self, writer: &mut BitWriter<'_>, symbol: usize) {
        if let Some(&code) = self.codes.get(symbol) {
            writer.put(code.bits(), code.length());
        }
    }
}

/// How the head of a block tells its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BlockSizes {
    /// A bit for the usual size, else 16 bits: WIM chunks below 64 KiB.
    Narrow,
    /// A bit for the usual size, else 24 bits: larger WIM chunks.
    Wide,
    /// Always 24 bits: cabinets.
    Cabinet,
}

impl BlockSizes {
    /// Those of WIM chunks of at most `chunk_size` bytes.
    pub(super) fn of_chunks(chunk_size: u32) -> Self {
        if has_wide_block_size(chunk_size) { Self::Wide } else { Self::Narrow }
    }
}

/// Writes blocks; keeps the code lengths of the block before, to which the next ones are relative.
#[derive(Debug)]
pub(super) struct BlockWriter {
    sizes: BlockSizes,
    main_symbols: usize,
    main: Code<MAX_MAIN_SYMBOLS>,
    length: Code<LENGTH_SYMBOLS>,
    aligned: Code<ALIGNED_SYMBOLS>,
    precode: Code<PRECODE_SYMBOLS>,
    old_main: [u8; MAX_MAIN_SYMBOLS],
    old_length: [u8; LENGTH_SYMBOLS],
    builder: CodeBuilder,
    /// Precode symbols with their extra bits.
    precode_items: Vec<(u8, u8)>,
}

impl BlockWriter {
    pub(super) fn new(sizes: BlockSizes, slots: usize) -> Self {
        Self {
            sizes,
            main_symbols: LITERALS + LENGTH_HEADERS * slots,
            main: Code::new(),
            length: Code::new(),
            aligned: Code::new(),
            precode: Code::new(),
            old_main: [0; MAX_MAIN_SYMBOLS],
            old_length: [0; LENGTH_SYMBOLS],
            builder: CodeBuilder::new(),
            precode_items: Vec::new(),
        }
    }

    /// Starts a chunk.
    pub(super) fn reset(&mut self) {
        self.old_main.fill(0);
        self.old_length.fill(0);
    }

    /// Writes the block of these sequences, which stand for `data`.
    pub(super) fn write(
        &mut self,
        writer: &mut BitWriter<'_>,
        data: &[u8],
        sequences: &[Sequence],
    ) {
        self.count(data, sequences);
        self.main.build(&mut self.builder, self.main_symbols, MAX_CODE_LENGTH);
        self.length.build(&mut self.builder, LENGTH_SYMBOLS, MAX_CODE_LENGTH);
        self.aligned.build(&mut self.builder, ALIGNED_SYMBOLS, MAX_ALIGNED_LENGTH);
        let offsets: u64 = self.aligned.frequencies.iter().map(|&count| u64::from(count)).sum();
        let header_cost = 3 * ALIGNED_SYMBOLS as u64;
        let aligned = self.aligned.cost() + header_cost < offsets * u64::from(ALIGNED_BITS);
        self.write_header(writer, data.len(), aligned);
        if aligned {
            self.write_items::<true>(writer, data, sequences);
        } else {
            self.write_items::<false>(writer, data, sequences);
        }
    }

    fn count(&mut self, data: &[u8], sequences: &[Sequence]) {
        self.main.frequencies.fill(0);
        self.length.frequencies.fill(0);
        self.aligned.frequencies.fill(0);
        let mut rest = data;
        for &sequence in sequences {
            let (literals, after) = rest.split_at(sequence.literals as usize);
            for &literal in literals {
                self.main.count(usize::from(literal));
            }
            rest = after;
            if sequence.length == 0 {
                continue;
            }
            rest = &rest[usize::from(sequence.length)..];
            self.main.count(sequence.main_symbol());
            if let Some(symbol) = sequence.length_symbol() {
                self.length.count(symbol);
            }
            if extra_bits(sequence.slot) >= ALIGNED_BITS {
                self.aligned.count((sequence.extra & 7) as usize);
            }
        }
    }

    fn write_header(&mut self, writer: &mut BitWriter<'_>, size: usize, aligned: bool) {
        writer.write(if aligned { BLOCK_ALIGNED } else { BLOCK_VERBATIM }, 3);
        let size = low_32(size);
        match self.sizes {
            BlockSizes::Cabinet => writer.write(size, 24),
            _ if size == DEFAULT_BLOCK_SIZE => writer.write(1, 1),
            BlockSizes::Narrow => {
                writer.write(0, 1);
                writer.write(size, 16);
            }
            BlockSizes::Wide => {
                writer.write(0, 1);
                writer.write(size, 24);
            }
        }
        if aligned {
            for &length in &self.aligned.lengths {
                writer.write(length.into(), 3);
            }
        }
        for range in [0..LITERALS, LITERALS..self.main_symbols] {
            let (old, new) = (&self.old_main[range.clone()], &self.main.lengths[range]);
            plan_lengths(old, new, &mut self.precode_items);
            write_lengths(writer, &mut self.precode, &mut self.builder, &self.precode_items);
        }
        plan_lengths(&self.old_length, &self.length.lengths, &mut self.precode_items);
        write_lengths(writer, &mut self.precode, &mut self.builder, &self.precode_items);
        self.old_main = self.main.lengths;
        self.old_length = self.length.lengths;
    }

    fn write_items<const ALIGNED: bool>(
        &self,
        writer: &mut BitWriter<'_>,
        data: &[u8],
        sequences: &[Sequence],
    ) {
        let mut rest = data;
        for &sequence in sequences {
            let (mut literals, after) = rest.split_at(sequence.literals as usize);
            // Three codes of 16 bits fit between two flushes.
            while let Some((three, more)) = literals.split_first_chunk::<3>() {
                for &literal in three {
                    self.main.put(writer, usize::from(literal));
                }
                writer.flush();
                literals = more;
            }
            for &literal in literals {
                self.main.put(writer, usize::from(literal));
            }
            if sequence.length == 0 {
                break;
            }
            rest = &after[usize::from(sequence.length)..];
            self.main.put(writer, sequence.main_symbol());
            writer.flush();
            if let Some(symbol) = sequence.length_symbol() {
                self.length.put(writer, symbol);
            }
            let bits = extra_bits(sequence.slot);
            if ALIGNED && bits >= ALIGNED_BITS {
                writer.put(sequence.extra >> ALIGNED_BITS, bits.wrapping_sub(ALIGNED_BITS));
                self.aligned.put(writer, (sequence.extra & 7) as usize);
            } else {
                writer.put(sequence.extra, bits);
            }
            writer.flush();
        }
        writer.flush();
    }
}

/// Extra offset bits of a slot.
#[inline(always)]
fn extra_bits(slot: u8) -> u32 {
    EXTRA_BITS.get(usize::from(slot)).copied().unwrap_or(0).into()
}

/// Says in precode symbols how the lengths `new` follow from `old`; each with its extra bits, which for [`PRECODE_RUN`] are the
/// bit in position 7 and the symbol of the value below it.
fn plan_lengths(old: &[u8], new: &[u8], items: &mut Vec<(u8, u8)>) {
    items.clear();
    let mut position = 0;
    while position < new.len() {
        let value = new[position];
        let run = new[position..].iter().take_while(|&&length| length == value).count();
        let symbol = (old[position] + 17 - value) % 17;
        let (item, covered) = match run {
            20.. if value == 0 => {
                let covered = run.min(20 + 31);
                ((PRECODE_LONG_ZEROS, covered - 20), covered)
            }
            4.. if value == 0 => ((PRECODE_SHORT_ZEROS, run - 4), run),
            4.. => {
                let covered = run.min(5);
                ((PRECODE_RUN, (covered - 4) << 7 | usize::from(symbol)), covered)
            }
            _ => ((u32::from(symbol), 0), 1),
        };
        items.push((low_8(item.0 as usize), low_8(item.1)));
        position += covered;
    }
}

/// Writes a precode for the planned items, and the items.
fn write_lengths(
    writer: &mut BitWriter<'_>,
    precode: &mut Code<PRECODE_SYMBOLS>,
    builder: &mut CodeBuilder,
    items: &[(u8, u8)],
) {
    precode.frequencies.fill(0);
    for &(symbol, extra) in items {
        precode.count(usize::from(symbol));
        if u32::from(symbol) == PRECODE_RUN {
            precode.count(usize::from(extra & 31));
        }
    }
    precode.build(builder, PRECODE_SYMBOLS, MAX_PRECODE_LENGTH);
    for &length in &precode.lengths {
        writer.write(length.into(), 4);
    }
    for &(symbol, extra) in items {
        precode.put(writer, usize::from(symbol));
        writer.flush();
        match u32::from(symbol) {
            PRECODE_SHORT_ZEROS => writer.write(extra.into(), 4),
            PRECODE_LONG_ZEROS => writer.write(extra.into(), 5),
            PRECODE_RUN => {
                writer.write((extra >> 7).into(), 1);
                precode.put(writer, usize::from(extra & 31));
                writer.flush();
            }
            _ => {}
        }
    }
}
