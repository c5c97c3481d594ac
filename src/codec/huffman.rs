//! Canonical Huffman codes: fast decode tables and length-limited code construction.
//!
//! Canonical: shorter codes come first, codes of one length are ordered by symbol. So a code is known from its lengths alone.
//!
//! A decode table has two levels. The root is indexed by the next bits of the stream and answers at once for codes that
//! fit. Longer codes lie together at the end of the code space, so one flat second table serves them all.

/// Longest code of any codec here, in bits.
pub(super) const MAX_CODE_LENGTH: usize = 16;
/// Most symbols of any code here (LZX with 2 MiB chunks: 256 + 8 · 50), rounded up to a power of two.
pub(super) const MAX_SYMBOLS: usize = 1024;

/// Entry bits that hold the number of bits to consume.
const LENGTH_MASK: u32 = 0x1F;
/// Entry flag: the root has no answer, ask [`DecodeTable::long`].
const SPECIAL: u32 = 1 << 30;
/// Entry flag that the owner of a table may set in its payload to mark literals.
pub(super) const LITERAL: u32 = 1 << 31;
/// Lowest payload bit that the owner may use; the highest is 29, and [`LITERAL`].
pub(super) const PAYLOAD_SHIFT: u32 = 8;

/// An answer of a [`DecodeTable`]: how many bits the code has, and the payload its owner gave the symbol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry(u32);

impl Entry {
    /// The root could not answer: the code is long, or not in the table at all.
    #[inline(always)]
    pub(super) fn is_special(self) -> bool {
        self.0 & SPECIAL != 0
    }

    /// The owner marked it as a literal.
    #[inline(always)]
    pub(super) fn is_literal(self) -> bool {
        self.0 & LITERAL != 0
    }

    /// Bits of the code.
    #[inline(always)]
    pub(super) fn bits(self) -> u32 {
        self.0 & LENGTH_MASK
    }

    /// The payload from bit [`PAYLOAD_SHIFT`] on.
    #[inline(always)]
    pub(super) fn payload(self) -> u32 {
        (self.0 & !(LITERAL | SPECIAL)) >> PAYLOAD_SHIFT
    }

    /// The lowest byte of the payload: the value of a literal.
    #[inline(always)]
    pub(super) fn byte(self) -> u8 {
        (self.0 >> PAYLOAD_SHIFT & 0xFF) as u8
    }
}

/// Maps the next bits of a stream to a symbol. `ROOT` is the size of the root, a power of two.
#[derive(Debug)]
pub(super) struct DecodeTable<const ROOT: usize> {
    root: Box<[u32; ROOT]>,
    /// Entries of the codes longer than the root, for the code space from `long_start` on.
    long: Vec<u32>,
    /// Where the long codes start, in code space of 16 bits.
    long_start: u32,
    /// 16 minus the longest length.
    long_shift: u32,
    /// Symbols by length, then number: of use while building only, kept so that it need not be cleared each time.
    order: Box<[u16; MAX_SYMBOLS]>,
}

impl<const ROOT: usize> DecodeTable<ROOT> {
    const ROOT_BITS: u32 = ROOT.trailing_zeros();

    /// An empty table: no code decodes.
    pub(super) fn new() -> Self {
        Self {
            root: boxed(SPECIAL),
            long: Vec::new(),
            long_start: 0,
            long_shift: 0,
            order: boxed(0),
        }
    }

    /// The answer of the root for a buffer with the next bit on top.
    #[inline(always)]
    pub(super) fn root(&self, buffer: u64) -> Entry {
        let index = (buffer >> 48 & 0xFFFF) as usize >> (16 - Self::ROOT_BITS);
        Entry(self.root[index & (ROOT - 1)])
    }

    /// The answer where the root has none; `None` when no code starts with these bits.
    #[inline(always)]
    pub(super) fn long(&self, buffer: u64) -> Option<Entry> {
        let code = (buffer >> 48 & 0xFFFF) as u32;
        let index = code.wrapping_sub(self.long_start).wrapping_shr(self.long_shift);
        let entry = Entry(self.long.get(index as usize).copied()?);
        (!entry.is_special()).then_some(entry)
    }

    /// The answer for a buffer with the next bit on top; `None` when no code starts with these bits.
    #[inline(always)]
    pub(super) fn get(&self, buffer: u64) -> Option<Entry> {
        let entry = self.root(buffer);
        if entry.is_special() { self.long(buffer) } else { Some(entry) }
    }

    /// Fills the table from code lengths (0 = unused, at most [`MAX_CODE_LENGTH`]). `payload` gives the bits of a symbol's entry:
    /// [`LITERAL`] and bits [`PAYLOAD_SHIFT`] to 29. Codes that leave space unused are accepted, the unused space decodes to
    /// nothing. False when the lengths claim more space than there is.
    pub(super) fn build(&mut self, lengths: &[u8], payload: impl Fn(u32) -> u32) -> bool {
        debug_assert!(lengths.len() <= MAX_SYMBOLS);
        let mut counts = [0u32; 32];
        for &length in lengths {
            counts[usize::from(length & 31)] += 1;
        }
        let used: u32 = (1..=MAX_CODE_LENGTH).map(|length| counts[length] << (16 - length)).sum();
        if used > 1 << 16 || counts[MAX_CODE_LENGTH + 1..].iter().any(|&count| count != 0) {
            return false;
        }
        let mut next = [0usize; 32];
        for length in 1..MAX_CODE_LENGTH {
            next[length + 1] = next[length] + counts[length] as usize;
        }
        for (&length, symbol) in lengths.iter().zip(0u16..) {
            if length != 0 {
                let slot = &mut next[usize::from(length & 31)];
                self.order[*slot & (MAX_SYMBOLS - 1)] = symbol;
                *slot += 1;
            }
        }
        self.fill(&counts, payload);
        true
    }

    /// Writes the entries of the symbols in `order`; `counts` says how many each length has.
    fn fill(&mut self, counts: &[u32; 32], payload: impl Fn(u32) -> u32) {
        let mut symbols = self.order.iter();
        let mut filled = 0;
        let mut used = 0;
        let mut lengths = (1u32..).zip(&counts[1..=MAX_CODE_LENGTH]);
        for (length, &count) in lengths.by_ref().take(Self::ROOT_BITS as usize) {
            let width = ROOT >> length;
            let end = filled + width * count as usize;
            let symbols = symbols.by_ref().take(count as usize);
            // Most symbols have a code nearly as long as the root's: their entries are written without a loop.
            let entries = &mut self.root[filled..end];
            match width {
                1 => {
                    for (entry, &symbol) in entries.iter_mut().zip(symbols) {
                        *entry = payload(u32::from(symbol)) | length;
                    }
                }
                2 => {
                    for (entries, &symbol) in entries.as_chunks_mut::<2>().0.iter_mut().zip(symbols)
                    {
                        *entries = [payload(u32::from(symbol)) | length; 2];
                    }
                }
                4 => {
                    for (entries, &symbol) in entries.as_chunks_mut::<4>().0.iter_mut().zip(symbols)
                    {
                        *entries = [payload(u32::from(symbol)) | length; 4];
                    }
                }
                _ => {
                    for (entries, &symbol) in entries.chunks_exact_mut(width).zip(symbols) {
                        let entry = payload(u32::from(symbol)) | length;
                        for eight in entries.as_chunks_mut::<8>().0 {
                            *eight = [entry; 8];
                        }
                    }
                }
            }
            filled = end;
            used += count << (16 - length);
        }
        self.root[filled..].fill(SPECIAL);
        self.long.clear();
        let longest = lengths.clone().filter(|&(_, &count)| count != 0).last();
        let Some((longest, _)) = longest else { return };
        self.long_start = used;
        self.long_shift = 16 - longest;
        for (length, &count) in lengths.take_while(|&(length, _)| length <= longest) {
            let width = 1usize << (longest - length);
            for &symbol in symbols.by_ref().take(count as usize) {
                let end = self.long.len() + width;
                self.long.resize(end, payload(u32::from(symbol)) | length);
            }
        }
    }
}

/// An array on the heap that never was on the stack.
pub(super) fn boxed<T: Clone + std::fmt::Debug, const SIZE: usize>(value: T) -> Box<[T; SIZE]> {
    vec![value; SIZE].into_boxed_slice().try_into().expect("made with this length")
}

/// Builds length-limited codes for symbols whose frequencies are known.
#[derive(Debug)]
pub(super) struct CodeBuilder {
    /// Used symbols as `frequency << 10 | symbol`, sorted.
    leaves: Vec<u64>,
    /// Weights of the inner nodes, in the order of their making, which is ascending.
    weights: Vec<u32>,
    /// For leaves, then inner nodes: the inner node above.
    parents: Vec<u16>,
}

impl CodeBuilder {
    pub(super) fn new() -> Self {
        Self { leaves: Vec::new(), weights: Vec::new(), parents: Vec::new() }
    }

    /// Sets `lengths` to the lengths of a code of at most `limit` bits for these frequencies: optimal when the limit does not
    /// bind, near it otherwise. Symbols that do not occur get length 0. The code is complete, so a lone symbol gets a partner that
    /// is never used; without any symbol all lengths are 0.
    pub(super) fn lengths(&mut self, frequencies: &[u32], limit: usize, lengths: &mut [u8]) {
        debug_assert!(frequencies.len() == lengths.len() && lengths.len() <= MAX_SYMBOLS);
        lengths.fill(0);
        self.leaves.clear();
        self.leaves.extend(
            (0u64..)
                .zip(frequencies)
                .filter(|&(_, &frequency)| frequency != 0)
                .map(|(symbol, &frequency)| u64::from(frequency) << 10 | symbol),
        );
        match *self.leaves.as_slice() {
            [] => return,
            [lone] => {
                let symbol = (lone & 0x3FF) as usize;
                lengths[symbol] = 1;
                lengths[usize::from(symbol == 0)] = 1;
                return;
            }
            _ => self.leaves.sort_unstable(),
        }
        let mut counts = self.depths();
        limit_depths(&mut counts, limit);
        // The rarest symbols get the longest codes.
        let mut leaves = self.leaves.iter();
        for (length, &count) in (0u8..64).rev().zip(counts.iter().rev()) {
            for &leaf in leaves.by_ref().take(count as usize) {
                lengths[(leaf & 0x3FF) as usize] = length;
            }
        }
    }

    /// The number of leaves at each depth of the Huffman tree; those deeper than 63 count as 63.
    fn depths(&mut self) -> [u32; 64] {
        let leaves = self.leaves.len();
        self.weights.clear();
        self.parents.clear();
        self.parents.resize(2 * leaves - 1, 0);
        let (mut leaf, mut inner) = (0, 0);
        for made in (0u16..).take(leaves - 1) {
            let mut weight = 0u32;
            for _ in 0..2 {
                let leaf_weight =
                    self.leaves.get(leaf).map(|&key| (key >> 10 & 0xFFFF_FFFF) as u32);
                let inner_weight = self.weights.get(inner).copied();
                let take_leaf = match (leaf_weight, inner_weight) {
                    (Some(leaf_weight), Some(inner_weight)) => leaf_weight <= inner_weight,
                    (leaf_weight, _) => leaf_weight.is_some(),
                };
                if take_leaf {
                    weight = weight.saturating_add(leaf_weight.unwrap_or(0));
                    self.parents[leaf] = made;
                    leaf += 1;
                } else {
                    weight = weight.saturating_add(inner_weight.unwrap_or(0));
                    self.parents[leaves + inner] = made;
                    inner += 1;
                }
            }
            self.weights.push(weight);
        }
        // From the root down, the weights are no longer needed: they become depths.
        let mut counts = [0u32; 64];
        let depths = &mut self.weights;
        depths[leaves - 2] = 0;
        for node in (0..leaves - 2).rev() {
            depths[node] = depths[usize::from(self.parents[leaves + node])] + 1;
        }
        for &parent in &self.parents[..leaves] {
            counts[(depths[usize::from(parent)] as usize + 1).min(63)] += 1;
        }
        counts
    }
}

/// Changes the number of codes of each length so that none is longer than `limit` and the code stays complete.
fn limit_depths(counts: &mut [u32; 64], limit: usize) {
    let too_long: u32 = counts[limit + 1..].iter().sum();
    if too_long == 0 {
        return;
    }
    counts[limit + 1..].fill(0);
    counts[limit] += too_long;
    // Claimed code space in units of the longest code; every step frees one unit by lengthening the longest shorter code.
    let mut claimed: u64 =
        (1..=limit).map(|length| u64::from(counts[length]) << (limit - length)).sum();
    while claimed > 1 << limit {
        let Some(length) = (1..limit).rev().find(|&length| counts[length] != 0) else { break };
        counts[limit] -= 1;
        counts[length] -= 1;
        counts[length + 1] += 2;
        claimed -= 1;
    }
}

/// A code word and its length, together in one number for speed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct CodeWord(u32);

impl CodeWord {
    /// The bits of the word.
    #[inline(always)]
    pub(super) fn bits(self) -> u32 {
        self.0 & 0xFFFF
    }

    /// How many bits it has; 0 for a symbol that is not in the code.
    #[inline(always)]
    pub(super) fn length(self) -> u32 {
        self.0 >> 16
    }
}

/// Sets `codes` to the canonical code words of these lengths.
pub(super) fn canonical_codes(lengths: &[u8], codes: &mut [CodeWord]) {
    let mut counts = [0u32; 32];
    for &length in lengths {
        counts[usize::from(length & 31)] += 1;
    }
    counts[0] = 0;
    let mut next = [0u32; 32];
    for length in 1..=MAX_CODE_LENGTH {
        next[length] = (next[length - 1] + counts[length - 1]) << 1;
    }
    for (&length, code) in lengths.iter().zip(codes) {
        let next = &mut next[usize::from(length & 31)];
        *code = CodeWord(u32::from(length) << 16 | *next & 0xFFFF);
        *next = next.wrapping_add(u32::from(length != 0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::bits::{BitReader, BitWriter};
    use proptest::prelude::*;

    fn kraft(lengths: &[u8]) -> u32 {
        lengths.iter().filter(|&&length| length != 0).map(|&length| 1 << (16 - length)).sum()
    }

    /// Bits of the message under the code.
    fn cost(frequencies: &[u32], lengths: &[u8]) -> u64 {
        frequencies.iter().zip(lengths).map(|(&f, &l)| u64::from(f) * u64::from(l)).sum()
    }

    #[test]
    fn known_frequencies_give_the_known_code() {
        let mut lengths = [0; 6];
        CodeBuilder::new().lengths(&[45, 13, 12, 16, 9, 5], 15, &mut lengths);
        assert_eq!(lengths, [1, 3, 3, 3, 4, 4]);
        let mut codes = [CodeWord::default(); 6];
        canonical_codes(&lengths, &mut codes);
        assert_eq!(codes.map(CodeWord::bits), [0b0, 0b100, 0b101, 0b110, 0b1110, 0b1111]);
    }

    #[test]
    fn a_lone_symbol_gets_a_partner_and_nothing_gets_nothing() {
        let mut lengths = [9; 4];
        CodeBuilder::new().lengths(&[0, 0, 7, 0], 15, &mut lengths);
        assert_eq!(lengths, [1, 0, 1, 0]);
        CodeBuilder::new().lengths(&[7, 0, 0, 0], 15, &mut lengths);
        assert_eq!(lengths, [1, 1, 0, 0]);
        CodeBuilder::new().lengths(&[0; 4], 15, &mut lengths);
        assert_eq!(lengths, [0; 4]);
    }

    #[test]
    fn fibonacci_frequencies_are_limited() {
        let mut frequencies = vec![1u32, 1];
        while frequencies.len() < 40 {
            frequencies
                .push(frequencies[frequencies.len() - 1] + frequencies[frequencies.len() - 2]);
        }
        for limit in 6..=16 {
            let mut lengths = vec![0; 40];
            CodeBuilder::new().lengths(&frequencies, limit, &mut lengths);
            assert_eq!(kraft(&lengths), 1 << 16, "complete at {limit}");
            assert!(lengths.iter().all(|&length| usize::from(length) <= limit && length > 0));
        }
    }

    #[test]
    fn claiming_too_much_space_is_refused_and_unused_space_decodes_to_nothing() {
        let mut table = DecodeTable::<128>::new();
        assert!(!table.build(&[1, 1, 1], |symbol| symbol << PAYLOAD_SHIFT));
        assert!(!table.build(&[17, 1], |symbol| symbol << PAYLOAD_SHIFT));
        assert!(table.build(&[2, 9, 9], |symbol| symbol << PAYLOAD_SHIFT));
        assert_eq!(table.get(0).map(Entry::payload), Some(0));
        assert_eq!(table.get(0x4000 << 48).map(Entry::payload), Some(1));
        assert_eq!(table.get(0x4080 << 48).map(Entry::payload), Some(2));
        assert_eq!(table.get(0x4100 << 48), None);
        assert_eq!(table.get(u64::MAX), None);
    }

    proptest! {
        #[test]
        fn codes_decode_to_what_was_encoded(
            frequencies in proptest::collection::vec(prop_oneof![Just(0u32), 1..10u32, 1..100_000u32], 2..700),
            limit in 10usize..=16,
        ) {
            let mut lengths = vec![0; frequencies.len()];
            CodeBuilder::new().lengths(&frequencies, limit, &mut lengths);
            let used = frequencies.iter().filter(|&&f| f != 0).count();
            prop_assert!(used == 0 || kraft(&lengths) == 1 << 16);
            prop_assert!(lengths.iter().all(|&length| usize::from(length) <= limit));
            for (&f, &l) in frequencies.iter().zip(&lengths) {
                prop_assert!(f == 0 || l != 0);
            }
            let mut unlimited = vec![0; frequencies.len()];
            CodeBuilder::new().lengths(&frequencies, 40, &mut unlimited);
            prop_assert!(cost(&frequencies, &unlimited) <= cost(&frequencies, &lengths));
            let mut codes = vec![CodeWord::default(); frequencies.len()];
            canonical_codes(&lengths, &mut codes);
            let mut bytes = vec![0; 4 * frequencies.len() + 16];
            let mut writer = BitWriter::new(&mut bytes);
            for code in codes {
                writer.write(code.bits(), code.length());
            }
            writer.finish().unwrap();
            let mut table = DecodeTable::<512>::new();
            prop_assert!(table.build(&lengths, |symbol| symbol << PAYLOAD_SHIFT));
            let mut reader = BitReader::new(&bytes);
            for (symbol, &length) in (0u32..).zip(&lengths).filter(|&(_, &length)| length != 0) {
                reader.refill();
                let entry = table.get(reader.peek()).unwrap();
                prop_assert_eq!((entry.payload(), entry.bits()), (symbol, u32::from(length)));
                reader.consume(entry.bits());
            }
        }
    }
}
