//! The bit layer of PA30: bits come from the low end of each byte; the first three say how many at the end mean nothing.

/// What is wrong with a stream of bits; the caller adds where.
pub(super) type Step<T> = Result<T, &'static str>;

const ENDS: &str = "its bits end too early";

/// A stream of bits.
#[derive(Debug, Clone)]
pub(super) struct Bits<'a> {
    data: &'a [u8],
    /// Next bit.
    position: u64,
    /// Number of bits that mean something, from the start of `data`.
    end: u64,
}

impl<'a> Bits<'a> {
    /// Reads `data`, which starts with the number of padding bits at its end.
    pub(super) fn new(data: &'a [u8]) -> Step<Self> {
        let padding = u64::from(data.first().ok_or(ENDS)? & 7);
        let end = (data.len() as u64 * 8).saturating_sub(padding);
        if end < 3 {
            return Err(ENDS);
        }
        Ok(Self { data, position: 3, end })
    }

    /// Offset of the byte that holds the next bit.
    pub(super) fn offset(&self) -> u64 {
        self.position / 8
    }

    /// The next 56 bits or more, first bit lowest; zeros behind the end.
    #[inline(always)]
    pub(super) fn peek(&self) -> u64 {
        let byte = usize::try_from(self.position / 8).unwrap_or(usize::MAX);
        let rest = self.data.get(byte..).unwrap_or_default();
        let word = match rest.first_chunk::<8>() {
            Some(bytes) => u64::from_le_bytes(*bytes),
            None => near_the_end(rest),
        };
        word >> (self.position % 8)
    }

    /// Drops `count` bits, which must be there.
    #[inline(always)]
    pub(super) fn skip(&mut self, count: u32) -> Step<()> {
        self.position += u64::from(count);
        if self.position > self.end { Err(ENDS) } else { Ok(()) }
    }

    /// The next `count` (0 to 56) bits.
    #[inline(always)]
    pub(super) fn take(&mut self, count: u32) -> Step<u64> {
        let value = self.peek() & ((1 << count) - 1);
        self.skip(count)?;
        Ok(value)
    }

    /// The next bit.
    #[inline(always)]
    pub(super) fn flag(&mut self) -> Step<bool> {
        Ok(self.take(1)? == 1)
    }

    /// How many zero bits stand before the next one, at most `most`; all of them and the one are dropped.
    pub(super) fn zeros(&mut self, most: u32) -> Step<u32> {
        let zeros = self.peek().trailing_zeros();
        if zeros > most {
            return Err("a number that is too long");
        }
        self.skip(zeros + 1)?;
        Ok(zeros)
    }

    /// A *number*: z zero bits, a one, then 4 (z + 1) bits of value.
    pub(super) fn number(&mut self) -> Step<u64> {
        let width = 4 * (self.zeros(15)? + 1);
        let low = self.take(width.min(32))?;
        let high = self.take(width.saturating_sub(32))?;
        Ok(low | high << 32)
    }

    /// A *buffer*: its length as a number, then bytes from the next byte border on. Also the offset of the first of them.
    pub(super) fn buffer(&mut self) -> Step<(&'a [u8], u64)> {
        let length = self.number()?;
        let start = self.position.div_ceil(8);
        let end = start.checked_add(length).filter(|&end| end <= self.end.div_ceil(8));
        let range = |end: u64| Some(usize::try_from(start).ok()?..usize::try_from(end).ok()?);
        let range = end.and_then(range).ok_or("a buffer that is longer than the delta")?;
        let bytes = self.data.get(range).ok_or("a buffer that is longer than the delta")?;
        self.position = (start + length) * 8;
        Ok((bytes, start))
    }
}

#[cold]
fn near_the_end(rest: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    bytes[..rest.len()].copy_from_slice(rest);
    u64::from_le_bytes(bytes)
}
