//! Security descriptors: cells shared by all keys with the same descriptor, in one ring, with reference counts.

use std::collections::BTreeMap;

use super::{
    error::HiveError,
    file::{Hive, KeyId},
    layout::{SK_SIZE, bad, nk, put_u32, sk},
    subkeys::Budget,
};

/// Longest descriptor, in bytes; a descriptor's own offsets allow hardly more.
pub(super) const MAX_DESCRIPTOR: usize = 0x1_0000;

impl Hive {
    /// Gives `key` a security descriptor (self-relative bytes, not looked into). Keys with equal descriptors share one cell. The
    /// time of the key stays.
    ///
    /// # Errors
    /// [`HiveError::EmptySecurity`], [`HiveError::DataTooLarge`] beyond 64 KiB; when the hive is damaged there or full.
    pub fn set_security(&mut self, key: KeyId, descriptor: &[u8]) -> Result<(), HiveError> {
        if descriptor.is_empty() {
            return Err(HiveError::EmptySecurity);
        }
        if descriptor.len() > MAX_DESCRIPTOR {
            let (size, limit) = (descriptor.len(), MAX_DESCRIPTOR);
            return Err(HiveError::DataTooLarge { what: "a security descriptor", size, limit });
        }
        let old = self.node(key)?.u32(nk::SECURITY);
        if self.cells.security(old)?.descriptor == descriptor {
            return Ok(());
        }
        self.begin_edit()?;
        let index = match self.security_index.take() {
            Some(index) => index,
            None => self.index_security(old)?,
        };
        let known = index.get(descriptor).copied();
        self.security_index = Some(index);
        let new = if let Some(offset) = known {
            self.retain_security(offset)?;
            offset
        } else {
            self.new_security(old, descriptor)?
        };
        self.cells.put_u32(key.0, nk::SECURITY, new)?;
        self.release_security(old)
    }

    /// Counts one more key that uses the security cell at `offset`.
    pub(super) fn retain_security(&mut self, offset: u32) -> Result<(), HiveError> {
        let count = self.cells.security(offset)?.references;
        let count = count.checked_add(1).ok_or_else(|| bad("too many references", offset))?;
        self.cells.put_u32(offset, sk::REFERENCES, count)
    }

    /// Counts one key less; a cell that no key uses leaves the ring.
    pub(super) fn release_security(&mut self, offset: u32) -> Result<(), HiveError> {
        let node = self.cells.security(offset)?;
        if node.references > 1 {
            let count = node.references - 1;
            return self.cells.put_u32(offset, sk::REFERENCES, count);
        }
        let (next, previous) = (node.next, node.previous);
        if let Some(index) = &mut self.security_index
            && index.get(node.descriptor) == Some(&offset)
        {
            index.remove(node.descriptor);
        }
        if next != offset {
            self.cells.security(next)?;
            self.cells.security(previous)?;
            self.cells.put_u32(previous, sk::NEXT, next)?;
            self.cells.put_u32(next, sk::PREVIOUS, previous)?;
        }
        self.cells.free(offset)
    }

    /// A new security cell with one reference, behind `neighbour` in the ring.
    fn new_security(&mut self, neighbour: u32, descriptor: &[u8]) -> Result<u32, HiveError> {
        let next = self.cells.security(neighbour)?.next;
        self.cells.security(next)?;
        let offset = self.cells.allocate(SK_SIZE + descriptor.len())?;
        let body = self.cells.body_mut(offset)?;
        body[..2].copy_from_slice(b"sk");
        put_u32(body, sk::NEXT, next);
        put_u32(body, sk::PREVIOUS, neighbour);
        put_u32(body, sk::REFERENCES, 1);
        put_u32(body, sk::SIZE, u32::try_from(descriptor.len()).unwrap_or(0));
        body[SK_SIZE..SK_SIZE + descriptor.len()].copy_from_slice(descriptor);
        self.cells.put_u32(neighbour, sk::NEXT, offset)?;
        self.cells.put_u32(next, sk::PREVIOUS, offset)?;
        if let Some(index) = &mut self.security_index {
            index.insert(descriptor.into(), offset);
        }
        Ok(offset)
    }

    /// The ring that `start` is part of, by descriptor; the lowest offset among equals.
    fn index_security(&self, start: u32) -> Result<BTreeMap<Box<[u8]>, u32>, HiveError> {
        let mut budget = Budget::of(&self.cells);
        let mut index = BTreeMap::new();
        let mut at = start;
        loop {
            budget.spend(self.cells.size(at)?, at)?;
            let node = self.cells.security(at)?;
            let lowest = index.entry(Box::from(node.descriptor)).or_insert(at);
            *lowest = at.min(*lowest);
            at = node.next;
            if at == start {
                return Ok(index);
            }
        }
    }
}
