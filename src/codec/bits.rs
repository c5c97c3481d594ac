//! Bits as XPRESS and LZX store them: little-endian 16-bit words, most significant bit first.
//!
//! The reader keeps up to 63 bits in a 64-bit buffer, next bit on top. One refill loads whole words without a loop and
//! leaves at least 48 bits, so several symbols are decoded per refill. XPRESS and LZX also keep raw bytes between the
//! words; the reader can give back the words that it read ahead ([`BitReader::raw_byte`], [`BitReader::align_to_bytes`]).
//! Behind the end of the data come zero bits, as in other decoders; [`BitReader::overrun`] tells whether any were used.

/// Reads bits from a byte slice.
#[derive(Debug, Clone, Copy)]
pub(super) struct BitReader<'a> {
    data: &'a [u8],
    /// Next byte to load; may lie behind the end when zero bits were loaded.
    position: usize,
    /// The next bits, left-justified. Bits below the valid ones are either zero or what the stream holds there.
    buffer: u64,
    /// Number of valid bits in `buffer`, at most 63.
    count: u32,
}

/// Bits that [`BitReader::refill`] guarantees.
pub(super) const REFILLED_BITS: u32 = 48;

impl<'a> BitReader<'a> {
    pub(super) fn new(data: &'a [u8]) -> Self {
        Self { data, position: 0, buffer: 0, count: 0 }
    }

    /// Makes at least [`REFILLED_BITS`] bits available.
    #[inline(always)]
    pub(super) fn refill(&mut self) {
        if let Some(bytes) = self.data.get(self.position..).and_then(<[u8]>::first_chunk::<8>) {
            let pairs = u64::from_le_bytes(*bytes).rotate_left(32);
            let words =
                (pairs & 0x0000_FFFF_0000_FFFF) << 16 | (pairs >> 16) & 0x0000_FFFF_0000_FFFF;
            // Bits that do not make a whole word are loaded too and loaded again next time: the same bits, so `|` is right.
            self.buffer |= words.wrapping_shr(self.count);
            let added = 63u32.wrapping_sub(self.count) & !15;
            self.position = self.position.wrapping_add((added >> 3) as usize);
            self.count = self.count.wrapping_add(added);
        } else {
            // By value: a reader whose address is known elsewhere could not live in registers.
            *self = self.refilled_near_end();
        }
    }

    #[cold]
    #[inline(never)]
    fn refilled_near_end(mut self) -> Self {
        while self.count < REFILLED_BITS {
            let low = self.data.get(self.position).copied().unwrap_or(0);
            let high = self.data.get(self.position.saturating_add(1)).copied().unwrap_or(0);
            let word = u64::from(u16::from_le_bytes([low, high]));
            self.buffer |= word << (REFILLED_BITS - self.count);
            self.position = self.position.saturating_add(2);
            self.count += 16;
        }
        self
    }

    /// The buffer: next bit on top. Only the bits made available by [`Self::refill`] mean anything.
    #[inline(always)]
    pub(super) fn peek(&self) -> u64 {
        self.buffer
    }

    /// Drops `count` bits, which must be available.
    #[inline(always)]
    pub(super) fn consume(&mut self, count: u32) {
        self.buffer = self.buffer.wrapping_shl(count);
        self.count = self.count.wrapping_sub(count);
    }

    /// Takes `count` (0 to 32) bits, which must be available.
    #[inline(always)]
    pub(super) fn take(&mut self, count: u32) -> u32 {
        let value = (self.buffer >> 1).wrapping_shr(63u32.wrapping_sub(count));
        self.consume(count);
        (value & 0xFFFF_FFFF) as u32
    }

    /// Takes `count` (0 to 32) bits, refilling first: for headers, where speed does not matter.
    pub(super) fn read(&mut self, count: u32) -> u32 {
        self.refill();
        self.take(count)
    }

    /// Takes the next raw byte of an XPRESS stream, where it lies behind the two words that hold the next 16 to 31 bits.
    /// At least 16 bits must be available. `None` at the end of the data.
    #[inline]
    pub(super) fn raw_byte(&mut self) -> Option<u8> {
        let surplus = self.count.wrapping_sub(16) & !15;
        self.position = self.position.wrapping_sub((surplus >> 3) as usize);
        self.count = self.count.wrapping_sub(surplus);
        self.buffer &= u64::MAX.wrapping_shl(64u32.wrapping_sub(self.count));
        let byte = self.data.get(self.position).copied()?;
        self.position = self.position.wrapping_add(1);
        Some(byte)
    }

    /// Goes to where the bytes of an uncompressed LZX block start: drops the rest of the word, or a whole word when the
    /// position is already at the start of one.
    pub(super) fn align_to_bytes(&mut self) {
        let unread_words = (self.count / 16) as usize;
        self.position = self.position.saturating_sub(2 * unread_words);
        if self.count.is_multiple_of(16) {
            self.position = self.position.saturating_add(2);
        }
        self.buffer = 0;
        self.count = 0;
    }

    /// Takes `size` bytes after [`Self::align_to_bytes`]; `None` when the data ends before.
    pub(super) fn take_bytes(&mut self, size: usize) -> Option<&'a [u8]> {
        let bytes = self.data.get(self.position..)?.get(..size)?;
        self.position += size;
        Some(bytes)
    }

    /// True when bits behind the end of the data were taken.
    pub(super) fn overrun(&self) -> bool {
        let behind_end = self.position.saturating_sub(self.data.len());
        behind_end.saturating_mul(8) > self.count as usize
    }
}

/// The lowest 8 bits.
#[inline(always)]
pub(super) fn low_8(value: usize) -> u8 {
    u8::try_from(value & 0xFF).unwrap_or(0)
}

/// The lowest 16 bits.
#[inline(always)]
pub(super) fn low_16(value: usize) -> u16 {
    u16::try_from(value & 0xFFFF).unwrap_or(0)
}

/// The lowest 32 bits.
#[inline(always)]
pub(super) fn low_32(value: usize) -> u32 {
    u32::try_from(value & 0xFFFF_FFFF).unwrap_or(0)
}

/// The lowest 32 bits of a longer number.
#[inline(always)]
pub(super) fn low_half(value: u64) -> u32 {
    u32::try_from(value & 0xFFFF_FFFF).unwrap_or(0)
}

/// Room that a [`BitWriter`] wants behind the data: it writes eight bytes at once.
pub(super) const WRITER_SLACK: usize = 8;

/// Writes bits into a byte slice, as [`BitReader`] reads them. Nothing is written behind the end of the slice;
/// [`BitWriter::finish`] then says so.
#[derive(Debug)]
pub(super) struct BitWriter<'a> {
    output: &'a mut [u8],
    position: usize,
    /// Bits not written yet, the last one lowest; older bits may lie above them.
    buffer: u64,
    /// Number of bits not written yet, at most 15 after a flush.
    count: u32,
    full: bool,
}

impl<'a> BitWriter<'a> {
    /// A writer into `output`, which should be [`WRITER_SLACK`] bytes larger than the largest acceptable result.
    pub(super) fn new(output: &'a mut [u8]) -> Self {
        Self { output, position: 0, buffer: 0, count: 0, full: false }
    }

    /// Appends the low `count` (0 to 32) bits of `bits`, whose other bits must be zero. At most 48 bits in a row
    /// without [`Self::flush`].
    #[inline(always)]
    pub(super) fn put(&mut self, bits: u32, count: u32) {
        self.buffer = self.buffer.wrapping_shl(count) | u64::from(bits);
        self.count = self.count.wrapping_add(count);
    }

    /// Writes the whole words. Without a branch on how many there are: that is hard to predict.
    #[inline(always)]
    pub(super) fn flush(&mut self) {
        let words = self.buffer.wrapping_shl(64u32.wrapping_sub(self.count));
        let pairs = (words & 0x0000_FFFF_0000_FFFF) << 16 | (words >> 16) & 0x0000_FFFF_0000_FFFF;
        let room = self.output.get_mut(self.position..);
        if let Some(target) = room.and_then(<[u8]>::first_chunk_mut::<8>) {
            *target = pairs.rotate_left(32).to_le_bytes();
        } else {
            self.full = true;
        }
        self.position = self.position.wrapping_add((self.count >> 4 << 1) as usize);
        self.count &= 15;
    }

    /// Appends bits as [`Self::put`] and flushes: for headers.
    pub(super) fn write(&mut self, bits: u32, count: u32) {
        self.put(bits, count);
        self.flush();
    }

    /// Fills the last word with zeros and returns the number of bytes written, or `None` when the output was too small.
    pub(super) fn finish(mut self) -> Option<usize> {
        self.write(0, self.count.wrapping_neg() % 16);
        (!self.full).then_some(self.position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_come_from_the_top_of_little_endian_words() {
        let data = [0x34, 0x12, 0x78, 0x56, 0xBC];
        let mut reader = BitReader::new(&data);
        assert_eq!(reader.read(4), 0x1);
        assert_eq!(reader.read(8), 0x23);
        assert_eq!(reader.read(0), 0);
        assert_eq!(reader.read(20), 0x45678);
        assert!(!reader.overrun());
        assert_eq!(reader.read(16), 0x00BC);
        assert!(reader.overrun(), "half a word is missing");
    }

    #[test]
    fn long_data_gives_the_same_bits_as_word_by_word_reading() {
        let data: Vec<u8> =
            (0..1000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let expected: Vec<u32> = data
            .chunks(2)
            .flat_map(|pair| {
                let word = u16::from_le_bytes([pair[0], pair[1]]);
                (0..16).rev().map(move |bit| u32::from(word >> bit & 1))
            })
            .collect();
        let mut reader = BitReader::new(&data);
        let mut at = 0;
        for width in (0..=32).cycle() {
            if at + width as usize > expected.len() {
                break;
            }
            let value =
                expected[at..at + width as usize].iter().fold(0u32, |sum, bit| sum << 1 | bit);
            assert_eq!(reader.read(width), value, "{width} bits at {at}");
            at += width as usize;
        }
    }

    #[test]
    fn a_raw_byte_lies_behind_two_words() {
        let data = [0x01, 0x80, 0x02, 0x80, 0xAA, 0x03, 0x80, 0xBB, 9, 9, 9, 9, 9];
        let mut reader = BitReader::new(&data);
        assert_eq!(reader.read(1), 1);
        assert_eq!(reader.raw_byte(), Some(0xAA));
        assert_eq!(reader.read(15), 1);
        assert_eq!(reader.read(16), 0x8002);
        reader.refill();
        assert_eq!(reader.raw_byte(), Some(0xBB));
        assert_eq!(reader.read(16), 0x8003);
        assert_eq!(reader.read(16), 0x0909);
    }

    #[test]
    fn aligning_skips_a_whole_word_when_already_aligned() {
        let data = [0, 0, 0xFF, 0xFF, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10];
        let mut reader = BitReader::new(&data);
        reader.read(16);
        reader.align_to_bytes();
        assert_eq!(reader.take_bytes(2), Some(&[1, 2][..]));
        let mut reader = BitReader::new(&data);
        reader.read(17);
        reader.align_to_bytes();
        assert_eq!(reader.take_bytes(2), Some(&[1, 2][..]));
        assert_eq!(reader.take_bytes(100), None);
    }
}
