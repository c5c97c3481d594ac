//! The data of values: in the value itself, in a cell of its own, or in segments (`db`).
//!
//! ```text
//! db:  "db", u16 number of segments, u32 offset of a list of u32 segment offsets
//! ```
//! Each segment holds 16,344 bytes, the last one the rest. Hives of version 1.3 have no segments.

use std::borrow::Cow;

use super::{
    cells::Cells,
    error::HiveError,
    layout::{INLINE, SEGMENT, bad, u16_at, u32_at},
    nodes::ValueNode,
};
use crate::base::malformed::Malformed;

/// The largest data we store: the most segments a `db` cell can count.
pub(super) const MAX_DATA: usize = SEGMENT * u16::MAX as usize;

/// A `db` cell, its list checked against its cell.
#[derive(Clone, Copy)]
pub(super) struct BigData {
    pub(super) list: u32,
    pub(super) count: usize,
}

impl Cells {
    /// The `db` cell of data of `length` bytes at `offset`; `None` when it lies in one cell.
    pub(super) fn big_data(
        &self,
        offset: u32,
        length: usize,
        minor: u32,
    ) -> Result<Option<BigData>, Malformed> {
        if minor < 4 || length <= SEGMENT {
            return Ok(None);
        }
        let body = self.body(offset)?;
        if body.len() < 8 || body[..2] != *b"db" {
            // hivex stores such data in one cell, which Windows misreads; `check` says so.
            return Ok(None);
        }
        let (count, list) = (usize::from(u16_at(body, 2)), u32_at(body, 4));
        if count != length.div_ceil(SEGMENT) || self.body(list)?.len() < count * 4 {
            return Err(bad(
                format!("{count} segments are wrong for data of {length} bytes"),
                offset,
            ));
        }
        Ok(Some(BigData { list, count }))
    }

    /// The segment at `index` of data of `length` bytes.
    pub(super) fn segment(
        &self,
        big: BigData,
        index: usize,
        length: usize,
    ) -> Result<&[u8], Malformed> {
        let offset = u32_at(self.body(big.list)?, index * 4);
        let size = SEGMENT.min(length - index * SEGMENT);
        self.body(offset)?
            .get(..size)
            .ok_or_else(|| bad(format!("a segment of {size} bytes does not fit its cell"), offset))
    }

    /// The data of a value.
    pub(super) fn data(
        &self,
        value: ValueNode<'_>,
        minor: u32,
    ) -> Result<Cow<'_, [u8]>, Malformed> {
        let length = value.length();
        if value.is_inline() {
            // The value lies in a cell of this hive; find the bytes there so that they live as long as the hive.
            if value.inline_data().is_none() {
                return Err(bad(format!("{length} bytes of data in place"), value.offset()));
            }
            return Ok(Cow::Borrowed(&self.body(value.offset())?[8..8 + length]));
        }
        if length == 0 {
            return Ok(Cow::Borrowed(&[]));
        }
        let offset = value.data_offset();
        if length > self.bins_size as usize {
            return Err(bad(format!("data of {length} bytes"), value.offset()));
        }
        let Some(big) = self.big_data(offset, length, minor)? else {
            return self.body(offset)?.get(..length).map(Cow::Borrowed).ok_or_else(|| {
                bad(format!("data of {length} bytes does not fit its cell"), offset)
            });
        };
        let mut data = Vec::with_capacity(length);
        for index in 0..big.count {
            data.extend_from_slice(self.segment(big, index, length)?);
        }
        Ok(Cow::Owned(data))
    }

    /// Releases what holds the data of the value at `offset`, and leaves the value empty.
    pub(super) fn free_data(&mut self, offset: u32, minor: u32) -> Result<(), HiveError> {
        let value = self.value(offset)?;
        let (data, length) = (value.data_offset(), value.length());
        let stored = !value.is_inline() && length > 0;
        self.put_data_fields(offset, INLINE, 0)?;
        if !stored {
            return Ok(());
        }
        if let Some(big) = self.big_data(data, length, minor)? {
            let body = self.body(big.list)?;
            let segments: Vec<u32> = (0..big.count).map(|index| u32_at(body, index * 4)).collect();
            for segment in segments {
                self.free(segment)?;
            }
            self.free(big.list)?;
        }
        self.free(data)
    }

    /// Gives the value at `offset` new data.
    pub(super) fn replace_data(
        &mut self,
        offset: u32,
        data: &[u8],
        minor: u32,
    ) -> Result<(), HiveError> {
        let old = self.value(offset)?;
        let (cell, length) = (old.data_offset(), old.length());
        let one_cell = |length: usize| length > 4 && (minor < 4 || length <= SEGMENT);
        if !old.is_inline() && one_cell(length) && one_cell(data.len()) {
            let cell = self.resize(cell, data.len())?;
            let body = self.body_mut(cell)?;
            body[..data.len()].copy_from_slice(data);
            body[data.len()..].fill(0);
            return self.put_data_fields(offset, data_size(data)?, cell);
        }
        self.free_data(offset, minor)?;
        self.store_data(offset, data, minor)
    }

    /// Stores data for the value at `offset`, which has none.
    pub(super) fn store_data(
        &mut self,
        offset: u32,
        data: &[u8],
        minor: u32,
    ) -> Result<(), HiveError> {
        let size = data_size(data)?;
        if data.len() <= 4 {
            let mut field = [0; 4];
            field[..data.len()].copy_from_slice(data);
            return self.put_data_fields(offset, size | INLINE, u32::from_le_bytes(field));
        }
        let cell = if minor >= 4 && data.len() > SEGMENT {
            self.store_segments(data)?
        } else {
            self.store_cell(data)?
        };
        self.put_data_fields(offset, size, cell)
    }

    fn store_segments(&mut self, data: &[u8]) -> Result<u32, HiveError> {
        let mut list = Vec::new();
        for segment in data.chunks(SEGMENT) {
            list.extend(self.store_cell(segment)?.to_le_bytes());
        }
        let count = u16::try_from(list.len() / 4).map_err(|_| HiveError::DataTooLarge {
            what: "data",
            size: data.len(),
            limit: MAX_DATA,
        })?;
        let list = self.store_cell(&list)?;
        let mut head = [0; 8];
        head[..2].copy_from_slice(b"db");
        head[2..4].copy_from_slice(&count.to_le_bytes());
        head[4..].copy_from_slice(&list.to_le_bytes());
        self.store_cell(&head)
    }

    /// A new cell that holds `content`.
    pub(super) fn store_cell(&mut self, content: &[u8]) -> Result<u32, HiveError> {
        let offset = self.allocate(content.len())?;
        self.body_mut(offset)?[..content.len()].copy_from_slice(content);
        Ok(offset)
    }

    fn put_data_fields(&mut self, value: u32, size: u32, data: u32) -> Result<(), HiveError> {
        self.put_u32(value, super::layout::vk::SIZE, size)?;
        self.put_u32(value, super::layout::vk::DATA, data)
    }
}

fn data_size(data: &[u8]) -> Result<u32, HiveError> {
    match u32::try_from(data.len()) {
        Ok(size) if data.len() <= MAX_DATA => Ok(size),
        _ => Err(HiveError::DataTooLarge { what: "data", size: data.len(), limit: MAX_DATA }),
    }
}
