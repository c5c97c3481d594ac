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
}

impl<const ROOT: usize> DecodeTable<ROOT> {
    const ROOT_BITS: u32 = ROOT.trailing_zeros();

    /// An empty table: no code decodes.
    pub(super) fn new() -> Self {
        Self { root: boxed(SPECIAL), long: Vec::new(), long_start: 0, long_shift: 0 }
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
        let mut order = [0u16; MAX_SYMBOLS];
        let mut next = [0usize; 32];
        for length in 1..MAX_CODE_LENGTH {
            next[length + 1] = next[length] + counts[length] as usize;
        }
        for (&length, symbol) in lengths.iter().zip(0u16..) {
            if length != 0 {
                let slot = &mut next[usize::from(length & 31)];
                order[*slot & (MAX_SYMBOLS - 1)] = symbol;
                *slot += 1;
            }
        }
        self.fill(&counts, &order, payload);
        true
    }

    /// Writes the entries of the symbols in `order` (by length, then symbol); `counts` says how many each length has.
    fn fill(&mut self, counts: &[u32; 32], order: &[u16], payload: impl Fn(u32) -> u32) {
        let mut symbols = order.iter();
        let mut filled = 0;
        let mut used = 0;
        let mut lengths = (1u32..).zip(&counts[1..=MAX_CODE_LENGTH]);
        for (length, &count) in lengths.by_ref().take(Self::ROOT_BITS as usize) {
            let width = ROOT >> length;
            for &symbol in symbols.by_ref().take(count as usize) {
                self.root[filled..filled + width].fill(payload(u32::from(symbol)) | length);
                filled += width;
            }
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
