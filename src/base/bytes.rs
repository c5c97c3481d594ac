//! A little-endian cursor over a slice whose errors say where, and its writing twin.
//!
//! Every format reader goes through [`Reader`]: no index, length or count from a file touches a slice
//! unchecked. Nested structures get a reader of their own with [`Reader::sub`], so that a lying inner
//! length cannot reach beyond its outer structure.

use super::malformed::Malformed;

/// A cursor over `data` that reads little-endian values and never reads past the end.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    format: &'static str,
    data: &'a [u8],
    position: usize,
    base: u64,
}

impl<'a> Reader<'a> {
    /// Reads `data`; `format` names it in errors.
    #[must_use]
    pub fn new(format: &'static str, data: &'a [u8]) -> Self {
        Self { format, data, position: 0, base: 0 }
    }

    /// Like [`Reader::new`], with offsets in errors counted from `base`.
    #[must_use]
    pub fn with_base(format: &'static str, data: &'a [u8], base: u64) -> Self {
        Self { format, data, position: 0, base }
    }

    /// Offset of the next byte, from the start of the outermost structure.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.base + self.position as u64
    }

    /// Position of the next byte within this reader.
    #[must_use]
    pub fn position(&self) -> usize {
        self.position
    }

    /// Bytes left.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.data.len() - self.position
    }

    /// True when everything has been read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.remaining() == 0
    }

    /// An error at the current position.
    #[must_use]
    pub fn malformed(&self, what: impl Into<String>) -> Malformed {
        Malformed::new(self.format, what, self.offset())
    }

    /// Moves to `position` within this reader.
    ///
    /// # Errors
    /// When `position` is past the end.
    pub fn seek(&mut self, position: usize) -> Result<(), Malformed> {
        if position > self.data.len() {
            return Err(self.malformed(format!(
                "points to offset {position:#x}, past the end at {:#x}",
                self.data.len()
            )));
        }
        self.position = position;
        Ok(())
    }

    /// The next `count` bytes.
    ///
    /// # Errors
    /// When fewer are left.
    pub fn bytes(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        if count > self.remaining() {
            return Err(self
                .malformed(format!("truncated: {count} bytes wanted, {} left", self.remaining())));
        }
        let slice = &self.data[self.position..self.position + count];
        self.position += count;
        Ok(slice)
    }

    /// A reader over the next `count` bytes, which this one skips.
    ///
    /// # Errors
    /// When fewer are left.
    pub fn sub(&mut self, count: usize) -> Result<Self, Malformed> {
        let base = self.offset();
        Ok(Self { format: self.format, data: self.bytes(count)?, position: 0, base })
    }

    /// The next `N` bytes as an array.
    ///
    /// # Errors
    /// When fewer are left.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let mut array = [0; N];
        array.copy_from_slice(self.bytes(N)?);
        Ok(array)
    }

    /// Skips to the next multiple of `alignment` (a power of two) counted from this reader's start.
    ///
    /// # Errors
    /// When that is past the end.
    pub fn align(&mut self, alignment: usize) -> Result<(), Malformed> {
        self.seek(self.position.next_multiple_of(alignment))
    }

    /// The next byte.
    ///
    /// # Errors
    /// When none is left.
    pub fn u8(&mut self) -> Result<u8, Malformed> {
        Ok(self.array::<1>()?[0])
    }

    /// The next `u16`.
    ///
    /// # Errors
    /// When fewer than 2 bytes are left.
    pub fn u16(&mut self) -> Result<u16, Malformed> {
        self.array().map(u16::from_le_bytes)
    }

    /// The next `u32`.
    ///
    /// # Errors
    /// When fewer than 4 bytes are left.
    pub fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_le_bytes)
    }

    /// The next `u64`.
    ///
    /// # Errors
    /// When fewer than 8 bytes are left.
    pub fn u64(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_le_bytes)
    }

    /// The next `units` UTF-16 code units.
    ///
    /// # Errors
    /// When fewer are left.
    pub fn utf16(&mut self, units: usize) -> Result<Vec<u16>, Malformed> {
        let length = units.checked_mul(2).ok_or_else(|| self.malformed("name length overflows"))?;
        let bytes = self.bytes(length)?;
        Ok(bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect())
    }
}

/// Appends little-endian values to a buffer.
#[derive(Debug, Clone, Default)]
pub struct Writer {
    /// What has been written.
    pub data: Vec<u8>,
}

impl Writer {
    /// An empty writer.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends raw bytes.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.data.extend_from_slice(bytes);
        self
    }

    /// Appends a byte.
    pub fn u8(&mut self, value: u8) -> &mut Self {
        self.bytes(&[value])
    }

    /// Appends a `u16`.
    pub fn u16(&mut self, value: u16) -> &mut Self {
        self.bytes(&value.to_le_bytes())
    }

    /// Appends a `u32`.
    pub fn u32(&mut self, value: u32) -> &mut Self {
        self.bytes(&value.to_le_bytes())
    }

    /// Appends a `u64`.
    pub fn u64(&mut self, value: u64) -> &mut Self {
        self.bytes(&value.to_le_bytes())
    }

    /// Appends UTF-16 code units.
    pub fn utf16(&mut self, units: &[u16]) -> &mut Self {
        for &unit in units {
            self.u16(unit);
        }
        self
    }

    /// Appends zero bytes up to the next multiple of `alignment`.
    pub fn align(&mut self, alignment: usize) -> &mut Self {
        self.data.resize(self.data.len().next_multiple_of(alignment), 0);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_values_and_says_where_it_ended() {
        let mut reader = Reader::with_base("test", &[1, 2, 0, 3, 0, 0, 0, 9], 0x10);
        assert_eq!(reader.u8().unwrap(), 1);
        assert_eq!(reader.u16().unwrap(), 2);
        assert_eq!(reader.u32().unwrap(), 3);
        let error = reader.u16().unwrap_err();
        assert_eq!(error.offset, 0x17);
        assert_eq!(error.what, "truncated: 2 bytes wanted, 1 left");
    }

    #[test]
    fn a_nested_reader_cannot_leave_its_structure() {
        let mut reader = Reader::new("test", &[1, 2, 3, 4]);
        let mut inner = reader.sub(2).unwrap();
        assert!(inner.u32().is_err());
        assert_eq!(reader.u16().unwrap(), 0x0403);
    }

    #[test]
    fn writer_pads_to_alignment() {
        let mut writer = Writer::new();
        writer.u8(1).align(8).u16(2).utf16(&[0x41]);
        assert_eq!(writer.data, [1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0x41, 0]);
    }
}
