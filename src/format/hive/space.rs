//! Which cells are free: allocation, release, resizing.
//!
//! The first edit scans all cells once. Free cells are kept by offset (to join neighbours) and by size (to take the smallest
//! that fits, the lowest among equals: the same edits give the same bytes). No two free cells of a bin are neighbours, as in
//! the hives Windows writes; cells can not join across bins because a bin begins with its header.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    cells::Cells,
    error::HiveError,
    layout::{BASE_BLOCK, BIN_HEADER, BIN_UNIT, MAX_BINS, bad, put_u32},
};

/// Free cells, and where allocated ones begin.
#[derive(Clone, Default)]
pub(super) struct Space {
    /// One bit for each eight bytes of the bins: an allocated cell begins there.
    allocated: Vec<u64>,
    by_offset: BTreeMap<u32, u32>,
    by_size: BTreeSet<(u32, u32)>,
}

impl Space {
    pub(super) fn is_allocated(&self, offset: u32) -> bool {
        let bit = offset as usize / 8;
        self.allocated.get(bit / 64).is_some_and(|word| word >> (bit % 64) & 1 == 1)
    }

    fn set_allocated(&mut self, offset: u32, allocated: bool) {
        let bit = offset as usize / 8;
        if bit / 64 >= self.allocated.len() {
            self.allocated.resize(bit / 64 + 1, 0);
        }
        let mask = 1 << (bit % 64);
        if allocated {
            self.allocated[bit / 64] |= mask;
        } else {
            self.allocated[bit / 64] &= !mask;
        }
    }

    fn insert(&mut self, offset: u32, size: u32) {
        self.by_offset.insert(offset, size);
        self.by_size.insert((size, offset));
    }

    fn remove(&mut self, offset: u32, size: u32) {
        self.by_offset.remove(&offset);
        self.by_size.remove(&(size, offset));
    }

    /// The smallest free cell of at least `size` bytes.
    fn best_fit(&self, size: u32) -> Option<(u32, u32)> {
        self.by_size.range((size, 0)..).next().map(|&(size, offset)| (offset, size))
    }

    /// The free cell that ends where `offset` begins, if there is one.
    fn before(&self, offset: u32) -> Option<(u32, u32)> {
        let (&start, &size) = self.by_offset.range(..offset).next_back()?;
        (start + size == offset).then_some((start, size))
    }

    /// The free cell that begins at `offset`.
    fn at(&self, offset: u32) -> Option<u32> {
        self.by_offset.get(&offset).copied()
    }
}

/// Bytes a cell needs to hold `length` bytes of content.
fn cell_size(length: usize) -> Result<u32, HiveError> {
    let limit = MAX_BINS - BIN_UNIT;
    match u32::try_from(length) {
        Ok(length) if length <= limit - BIN_HEADER - 8 => Ok((length + 4).next_multiple_of(8)),
        _ => Err(HiveError::Full { limit: MAX_BINS.into() }),
    }
}

impl Cells {
    /// Makes the hive ready for edits: learns what is free, joins free neighbours, drops what follows the last bin.
    pub(super) fn begin_edit(&mut self) -> Result<(), HiveError> {
        if self.space.is_some() {
            return Ok(());
        }
        let space = self.scan()?;
        self.bytes.truncate(BASE_BLOCK + self.bins_size as usize);
        for (&offset, &size) in &space.by_offset {
            put_u32(&mut self.bytes, BASE_BLOCK + offset as usize, size);
        }
        self.space = Some(space);
        Ok(())
    }

    fn scan(&self) -> Result<Space, HiveError> {
        let mut space = Space::default();
        space.allocated.resize((self.bins_size as usize).div_ceil(8 * 64), 0);
        let mut free = Vec::new();
        let mut bin = 0;
        while bin < self.bins_size {
            let end = bin + self.bin_size(bin)?;
            let mut at = bin + BIN_HEADER;
            let mut free_before = false;
            while at < end {
                let raw = self.raw_size(at);
                let size = raw.unsigned_abs();
                if size == 0 || !size.is_multiple_of(8) || size > end - at {
                    return Err(
                        bad(format!("{size:#x} is not a possible size of a cell"), at).into()
                    );
                }
                if raw < 0 {
                    space.set_allocated(at, true);
                } else if let (true, Some((_, last))) = (free_before, free.last_mut()) {
                    *last += size;
                } else {
                    free.push((at, size));
                }
                free_before = raw > 0;
                at += size;
            }
            bin = end;
        }
        space.by_size = free.iter().map(|&(offset, size)| (size, offset)).collect();
        space.by_offset = free.into_iter().collect();
        Ok(space)
    }

    fn space_mut(&mut self) -> &mut Space {
        self.space.get_or_insert_default()
    }

    fn write_size(&mut self, offset: u32, size: u32, allocated: bool) {
        let raw = if allocated { size.wrapping_neg() } else { size };
        put_u32(&mut self.bytes, BASE_BLOCK + offset as usize, raw);
    }

    /// A new cell for `length` bytes of content, all zero.
    pub(super) fn allocate(&mut self, length: usize) -> Result<u32, HiveError> {
        let wanted = cell_size(length)?;
        let (offset, size) = match self.space_mut().best_fit(wanted) {
            Some(found) => found,
            None => self.grow(wanted)?,
        };
        self.space_mut().remove(offset, size);
        self.space_mut().set_allocated(offset, true);
        self.write_size(offset, wanted, true);
        let start = BASE_BLOCK + offset as usize;
        self.bytes[start + 4..start + wanted as usize].fill(0);
        if size > wanted {
            self.write_size(offset + wanted, size - wanted, false);
            self.space_mut().insert(offset + wanted, size - wanted);
        }
        Ok(offset)
    }

    /// Releases the cell at `offset` and joins it with free neighbours. What it held is overwritten with zeros.
    pub(super) fn free(&mut self, offset: u32) -> Result<(), HiveError> {
        self.body_mut(offset)?.fill(0);
        let mut size = self.size(offset)?;
        let mut start = offset;
        let space = self.space_mut();
        space.set_allocated(offset, false);
        let before = space.before(offset);
        let after = space.at(offset + size);
        if let Some((at, length)) = before {
            space.remove(at, length);
            start = at;
            size += length;
        }
        if let Some(length) = after {
            space.remove(start + size, length);
            size += length;
        }
        space.insert(start, size);
        if before.is_some() {
            put_u32(&mut self.bytes, BASE_BLOCK + offset as usize, 0);
        }
        if let Some(length) = after {
            put_u32(&mut self.bytes, BASE_BLOCK + (start + size - length) as usize, 0);
        }
        self.write_size(start, size, false);
        Ok(())
    }

    /// Makes the cell at `offset` as large as `length` bytes of content need, in its place where possible; returns where it is
    /// now. Content is kept up to the smaller length; what is new is zero.
    pub(super) fn resize(&mut self, offset: u32, length: usize) -> Result<u32, HiveError> {
        let have = self.size(offset)?;
        let kept = self.body_mut(offset)?.len();
        let wanted = cell_size(length)?;
        let start = BASE_BLOCK + offset as usize;
        if wanted <= have {
            if wanted < have {
                self.write_size(offset, wanted, true);
                self.write_size(offset + wanted, have - wanted, true);
                self.space_mut().set_allocated(offset + wanted, true);
                self.free(offset + wanted)?;
            }
            return Ok(offset);
        }
        if let Some(next) = self.space_mut().at(offset + have)
            && have + next >= wanted
        {
            self.space_mut().remove(offset + have, next);
            self.bytes[start + have as usize..start + wanted as usize].fill(0);
            self.write_size(offset, wanted, true);
            let rest = have + next - wanted;
            if rest > 0 {
                self.write_size(offset + wanted, rest, false);
                self.space_mut().insert(offset + wanted, rest);
            }
            return Ok(offset);
        }
        let moved = self.allocate(length)?;
        let target = BASE_BLOCK + moved as usize + 4;
        self.bytes.copy_within(start + 4..start + 4 + kept, target);
        self.free(offset)?;
        Ok(moved)
    }

    /// Appends a bin with one free cell of at least `wanted` bytes.
    fn grow(&mut self, wanted: u32) -> Result<(u32, u32), HiveError> {
        let size = (wanted + BIN_HEADER).next_multiple_of(BIN_UNIT);
        let bin = self.bins_size;
        if size > MAX_BINS - bin {
            return Err(HiveError::Full { limit: MAX_BINS.into() });
        }
        let start = BASE_BLOCK + bin as usize;
        self.bytes.resize(start + size as usize, 0);
        self.bins_size += size;
        self.bytes[start..start + 4].copy_from_slice(b"hbin");
        put_u32(&mut self.bytes, start + 4, bin);
        put_u32(&mut self.bytes, start + 8, size);
        let cell = (bin + BIN_HEADER, size - BIN_HEADER);
        self.write_size(cell.0, cell.1, false);
        self.space_mut().insert(cell.0, cell.1);
        Ok(cell)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one_bin() -> Cells {
        let mut cells =
            Cells { bytes: vec![0; BASE_BLOCK], bins_size: 0, space: Some(Space::default()) };
        cells.grow(8).unwrap();
        cells
    }

    /// Every free cell, after a fresh scan that checks the tiling; fails when the kept state differs from the bytes.
    fn free_cells(cells: &Cells) -> Vec<(u32, u32)> {
        let scanned = cells.scan().unwrap();
        let kept = cells.space.as_ref().unwrap();
        assert_eq!(scanned.by_offset, kept.by_offset);
        assert_eq!(scanned.by_size, kept.by_size);
        scanned.by_offset.into_iter().collect()
    }

    #[test]
    fn released_neighbours_join_within_a_bin() {
        let mut cells = one_bin();
        let [a, b, c] = [20, 20, 20].map(|length| cells.allocate(length).unwrap());
        assert_eq!((a, b, c), (32, 56, 80));
        cells.free(a).unwrap();
        cells.free(c).unwrap();
        assert_eq!(free_cells(&cells), [(32, 24), (80, 4096 - 80)]);
        cells.free(b).unwrap();
        assert_eq!(free_cells(&cells), [(32, 4064)]);
        assert!(cells.bytes[BASE_BLOCK + 36..].iter().all(|&byte| byte == 0), "remnants");
        assert!(cells.free(b).is_err(), "freed twice");
    }

    #[test]
    fn the_smallest_cell_that_fits_is_taken() {
        let mut cells = one_bin();
        let offsets = [100, 4, 40, 4].map(|length| cells.allocate(length).unwrap());
        cells.free(offsets[0]).unwrap();
        cells.free(offsets[2]).unwrap();
        assert_eq!(cells.allocate(36).unwrap(), offsets[2]);
        assert_eq!(cells.allocate(36).unwrap(), offsets[0]);
        free_cells(&cells);
    }

    #[test]
    fn resizing_stays_in_place_where_it_can_and_keeps_the_content() {
        let mut cells = one_bin();
        let a = cells.allocate(12).unwrap();
        cells.body_mut(a).unwrap().copy_from_slice(b"twelve bytes");
        assert_eq!(cells.resize(a, 100).unwrap(), a, "the next cell was free");
        let wall = cells.allocate(4).unwrap();
        let moved = cells.resize(a, 200).unwrap();
        assert!(moved > wall);
        assert_eq!(&cells.body(moved).unwrap()[..14], b"twelve bytes\0\0");
        assert_eq!(cells.resize(moved, 4).unwrap(), moved);
        assert_eq!(cells.body(moved).unwrap(), b"twel");
        free_cells(&cells);
        let large = cells.allocate(5000).unwrap();
        assert_eq!(large, 4096 + 32);
        assert_eq!(cells.bins_size, 4096 + 8192);
        free_cells(&cells);
    }

    #[test]
    fn a_hive_does_not_grow_beyond_what_offsets_can_say() {
        let mut cells = one_bin();
        assert!(matches!(cells.allocate(usize::MAX), Err(HiveError::Full { .. })));
        assert!(matches!(cells.allocate(0x7fff_f000), Err(HiveError::Full { .. })));
    }
}
