//! The cells of a hive: checked access to their contents.

use super::{
    error::HiveError,
    layout::{BASE_BLOCK, BIN_HEADER, BIN_UNIT, bad, put_u16, put_u32, u32_at},
    space::Space,
};
use crate::base::malformed::Malformed;

/// The bytes of a hive file, seen as cells.
#[derive(Clone)]
pub(super) struct Cells {
    /// Base block and bins; behind them, until the first edit, whatever else the file holds.
    pub(super) bytes: Vec<u8>,
    /// Size of all bins; `BASE_BLOCK + bins_size <= bytes.len()` always holds.
    pub(super) bins_size: u32,
    /// Which cells are free; known from the first edit on.
    pub(super) space: Option<Space>,
}

impl Cells {
    /// Takes a file whose base block promises `bins_size` bytes of bins, and checks the bins' headers.
    pub(super) fn new(bytes: Vec<u8>, bins_size: u32) -> Result<Self, Malformed> {
        let wanted = BASE_BLOCK + bins_size as usize;
        if bytes.len() < wanted {
            return Err(Malformed::new(
                "registry hive",
                format!("truncated: {} of {wanted} bytes", bytes.len()),
                bytes.len() as u64,
            ));
        }
        let cells = Self { bytes, bins_size, space: None };
        let mut at = 0;
        while at < bins_size {
            at += cells.bin_size(at)?;
        }
        Ok(cells)
    }

    /// Size of the bin at `at`, a multiple of [`BIN_UNIT`] below `bins_size`; the bin lies within the bins.
    pub(super) fn bin_size(&self, at: u32) -> Result<u32, Malformed> {
        let start = BASE_BLOCK + at as usize;
        let header = &self.bytes[start..start + BIN_HEADER as usize];
        if header[..4] != *b"hbin" {
            return Err(bad("a bin's signature `hbin` is missing", at));
        }
        if u32_at(header, 4) != at {
            let found = u32_at(header, 4);
            return Err(bad(format!("a bin says it lies at {found:#x}, not {at:#x}"), at));
        }
        let size = u32_at(header, 8);
        if size == 0 || !size.is_multiple_of(BIN_UNIT) || size > self.bins_size - at {
            return Err(bad(format!("{size:#x} is not a possible size of a bin"), at));
        }
        Ok(size)
    }

    /// Size field of the cell at `at`, which must lie within the bins: positive for free cells.
    pub(super) fn raw_size(&self, at: u32) -> i32 {
        u32_at(&self.bytes, BASE_BLOCK + at as usize).cast_signed()
    }

    /// Size of the allocated cell at `offset`, its four bytes of size included.
    pub(super) fn size(&self, offset: u32) -> Result<u32, Malformed> {
        if !offset.is_multiple_of(8) || offset >= self.bins_size {
            return Err(bad(format!("a reference to {offset:#x}, where no cell can be"), 0));
        }
        let size = self.raw_size(offset);
        if size >= 0 {
            return Err(bad("a reference to a cell that is not allocated", offset));
        }
        let size = size.unsigned_abs();
        if !size.is_multiple_of(8) || size > self.bins_size - offset {
            return Err(bad(format!("{size:#x} is not a possible size of a cell"), offset));
        }
        Ok(size)
    }

    /// Content of the allocated cell at `offset`.
    pub(super) fn body(&self, offset: u32) -> Result<&[u8], Malformed> {
        let size = self.size(offset)? as usize;
        let start = BASE_BLOCK + offset as usize;
        Ok(&self.bytes[start + 4..start + size])
    }

    /// Content of the allocated cell at `offset`, to be changed. Only between edits' begin and end: the cell must be one that
    /// the scan has seen.
    pub(super) fn body_mut(&mut self, offset: u32) -> Result<&mut [u8], HiveError> {
        let size = self.size(offset)? as usize;
        if !self.space.as_ref().is_some_and(|space| space.is_allocated(offset)) {
            return Err(bad("a reference into the middle of a cell", offset).into());
        }
        let start = BASE_BLOCK + offset as usize;
        Ok(&mut self.bytes[start + 4..start + size])
    }

    /// Writes a `u32` into the allocated cell at `offset`.
    pub(super) fn put_u32(&mut self, offset: u32, at: usize, value: u32) -> Result<(), HiveError> {
        let body = self.body_mut(offset)?;
        if body.len() < at + 4 {
            return Err(bad("a cell is too small for what it holds", offset).into());
        }
        put_u32(body, at, value);
        Ok(())
    }

    /// Writes a `u16` into the allocated cell at `offset`.
    pub(super) fn put_u16(&mut self, offset: u32, at: usize, value: u16) -> Result<(), HiveError> {
        let body = self.body_mut(offset)?;
        if body.len() < at + 2 {
            return Err(bad("a cell is too small for what it holds", offset).into());
        }
        put_u16(body, at, value);
        Ok(())
    }
}
