//! The Huffman codes of PA30: canonical, but the longest codes have the smallest values; the first bit of a code is its highest.

use super::bits::{Bits, Step};

/// Longest code.
pub(super) const LONGEST: usize = 16;
/// Most bits that the root of a table answers for.
const ROOT_BITS: usize = 10;

/// A code, ready to decode.
#[derive(Debug, Default)]
pub(super) struct Code {
    /// By the next bits of the stream: symbol shifted by 5, length in the low 5 bits; 0 when the code is longer or is none.
    root: Vec<u32>,
    /// By length: the smallest code, how many there are, and where their symbols start.
    ranges: [Range; LONGEST + 1],
    /// By length, then number.
    symbols: Vec<u16>,
    root_bits: usize,
    longest: usize,
}

/// The codes of one length.
#[derive(Debug, Clone, Copy, Default)]
struct Range {
    first: u32,
    count: u32,
    symbols: usize,
}

impl Code {
    /// The code with these lengths (0 for a symbol that does not occur). Code space may be left unused.
    pub(super) fn new(lengths: &[u8]) -> Step<Self> {
        let mut ranges = [Range::default(); LONGEST + 1];
        for &length in lengths {
            let range = ranges.get_mut(usize::from(length)).ok_or("a code of more than 16 bits")?;
            range.count += 1;
        }
        ranges[0].count = 0;
        let longest = (1..=LONGEST).rev().find(|&length| ranges[length].count > 0).unwrap_or(0);
        let mut first = 0;
        for length in (1..=longest).rev() {
            let end = first + ranges[length].count;
            let shorter = ranges[1..length].iter().any(|range| range.count > 0);
            if end > 1 << length || end % 2 == 1 && shorter {
                return Err("code lengths that make no code");
            }
            ranges[length].first = first;
            first = end / 2;
        }
        let mut symbols = Vec::with_capacity(lengths.len());
        for (length, range) in ranges.iter_mut().enumerate().skip(1) {
            range.symbols = symbols.len();
            let here = lengths.iter().zip(0u16..).filter(|(has, _)| usize::from(**has) == length);
            if range.count > 0 {
                symbols.extend(here.map(|(_, symbol)| symbol));
            }
        }
        let root_bits = longest.min(ROOT_BITS);
        let mut code = Self { root: vec![0; 1 << root_bits], ranges, symbols, root_bits, longest };
        code.fill_root();
        Ok(code)
    }

    fn fill_root(&mut self) {
        for (length, bits) in (1..=self.root_bits).zip(1u32..) {
            let Range { first, count, symbols } = self.ranges[length];
            for (code, &symbol) in (first..first + count).zip(&self.symbols[symbols..]) {
                let start = (code.reverse_bits() >> (32 - bits)) as usize;
                let entry = u32::from(symbol) << 5 | bits;
                for place in self.root.iter_mut().skip(start).step_by(1 << length) {
                    *place = entry;
                }
            }
        }
    }

    /// The next symbol.
    #[inline(always)]
    pub(super) fn read(&self, bits: &mut Bits<'_>) -> Step<usize> {
        let next = bits.peek();
        let index = usize::try_from(next & 0xFFFF).unwrap_or(0);
        let entry = self.root.get(index & ((1 << self.root_bits) - 1)).copied().unwrap_or(0);
        if entry == 0 {
            return self.read_long(bits);
        }
        bits.skip(entry & 31)?;
        Ok((entry >> 5) as usize)
    }

    #[inline(never)]
    fn read_long(&self, bits: &mut Bits<'_>) -> Step<usize> {
        let next = u32::try_from(bits.peek() & 0xFFFF_FFFF).unwrap_or(0).reverse_bits();
        for (length, width) in (1..=self.longest).zip(1u32..).skip(self.root_bits) {
            let range = self.ranges[length];
            let place = (next >> (32 - width)).wrapping_sub(range.first);
            if place < range.count {
                bits.skip(width)?;
                let symbol = self.symbols.get(range.symbols + place as usize);
                return symbol.map(|&symbol| usize::from(symbol)).ok_or("bits that are no code");
            }
        }
        Err("bits that are no code")
    }
}

/// Lengths of the code over `count` symbols that are all alike: the first ones have a bit less when `count` is no power of two.
pub(super) fn flat(count: usize) -> Vec<u8> {
    let (bits, short) = flat_shape(count);
    (0..count).map(|symbol| if symbol < short { bits - 1 } else { bits }).collect()
}

/// Bits of the longer codes of [`flat`], and how many symbols have one less.
pub(super) fn flat_shape(count: usize) -> (u8, usize) {
    let space = count.next_power_of_two();
    (u8::try_from(space.trailing_zeros()).unwrap_or(0), space - count)
}
