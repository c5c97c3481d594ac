//! Edits of values.

use super::{
    error::HiveError,
    file::{Hive, KeyId},
    layout::{MAX_VALUE_NAME, NIL, VALUE_LATIN1, VK_SIZE, nk, put_u16, put_u32, vk},
    nodes::encode_name,
    read::upcased,
    value::Value,
};
use crate::base::{filetime::FileTime, name::Name};

impl Hive {
    /// Sets a value of `key`, and the key's time to `time`. A value that is there already under this name, in whatever case, gets
    /// the new type and data and keeps its name as it is spelled, as in Windows.
    ///
    /// Returns false, and leaves the hive and the time as they are, when the value has this type and data already.
    ///
    /// # Errors
    /// [`HiveError::ValueName`] for a name of more than 16,383 units, [`HiveError::DataTooLarge`]; when the hive is damaged
    /// there or full.
    pub fn set_value(
        &mut self,
        key: KeyId,
        value: &Value,
        time: FileTime,
    ) -> Result<bool, HiveError> {
        let units = value.name.units().len();
        if units > MAX_VALUE_NAME {
            return Err(HiveError::ValueName { units, limit: MAX_VALUE_NAME });
        }
        let length = u32::try_from(value.data.len()).unwrap_or(u32::MAX);
        let found = match self.find_value(key, &upcased(&value.name))? {
            Some((_, node))
                if node.kind() == value.kind.0
                    && *self.cells.data(node, self.minor)? == *value.data =>
            {
                return Ok(false);
            }
            found => found.map(|(_, node)| node.offset()),
        };
        if value.data.len() > super::data::MAX_DATA {
            let (size, limit) = (value.data.len(), super::data::MAX_DATA);
            return Err(HiveError::DataTooLarge { what: "data", size, limit });
        }
        self.begin_edit()?;
        if let Some(offset) = found {
            self.cells.replace_data(offset, &value.data, self.minor)?;
            self.cells.put_u32(offset, vk::KIND, value.kind.0)?;
        } else {
            let offset = self.new_value_cell(value)?;
            self.append_value(key.0, offset)?;
            let bytes = u32::try_from(2 * units).unwrap_or(u32::MAX);
            self.raise(key.0, nk::LONGEST_VALUE_NAME, bytes)?;
        }
        self.raise(key.0, nk::LONGEST_VALUE_DATA, length)?;
        self.touch(key, time)?;
        Ok(true)
    }

    /// Deletes a value of `key`, found without regard to case, and sets the key's time. Returns false, and changes nothing,
    /// when there is none.
    ///
    /// # Errors
    /// When the hive is damaged there.
    pub fn delete_value(
        &mut self,
        key: KeyId,
        name: &Name,
        time: FileTime,
    ) -> Result<bool, HiveError> {
        let Some((position, node)) = self.find_value(key, &upcased(name))? else {
            return Ok(false);
        };
        let offset = node.offset();
        self.begin_edit()?;
        self.cells.free_data(offset, self.minor)?;
        self.remove_from_list(key.0, position)?;
        self.cells.free(offset)?;
        self.touch(key, time)?;
        Ok(true)
    }

    /// Releases all values of a key; the key still counts them afterwards.
    pub(super) fn free_values(&mut self, key: u32) -> Result<(), HiveError> {
        let node = self.cells.key(key)?;
        let list = node.u32(nk::VALUE_LIST);
        let values: Vec<u32> =
            self.value_list(node)?.iter().map(|entry| u32::from_le_bytes(*entry)).collect();
        for &value in &values {
            self.cells.free_data(value, self.minor)?;
            self.cells.free(value)?;
        }
        if !values.is_empty() || list != NIL {
            self.cells.free(list)?;
        }
        Ok(())
    }

    fn new_value_cell(&mut self, value: &Value) -> Result<u32, HiveError> {
        let (name, latin1) = encode_name(value.name.units());
        let offset = self.cells.allocate(VK_SIZE + name.len())?;
        let body = self.cells.body_mut(offset)?;
        body[..2].copy_from_slice(b"vk");
        put_u16(body, vk::NAME_LENGTH, u16::try_from(name.len()).unwrap_or(0));
        put_u32(body, vk::KIND, value.kind.0);
        // Windows marks the nameless default value as UTF-16.
        put_u16(body, vk::FLAGS, if latin1 && !name.is_empty() { VALUE_LATIN1 } else { 0 });
        body[VK_SIZE..VK_SIZE + name.len()].copy_from_slice(&name);
        self.cells.store_data(offset, &value.data, self.minor)?;
        Ok(offset)
    }

    fn append_value(&mut self, key: u32, value: u32) -> Result<(), HiveError> {
        let node = self.cells.key(key)?;
        let count = node.u32(nk::VALUE_COUNT);
        let mut list = node.u32(nk::VALUE_LIST);
        let needed = (count as usize + 1) * 4;
        if count == 0 {
            if list != NIL {
                self.cells.free(list)?;
            }
            list = self.cells.allocate(needed)?;
        } else if self.cells.body(list)?.len() < needed {
            // Some room for more, so that a long list is not moved for each value.
            list = self.cells.resize(list, needed + needed / 8 / 4 * 4)?;
        }
        self.cells.put_u32(list, needed - 4, value)?;
        self.cells.put_u32(key, nk::VALUE_LIST, list)?;
        self.cells.put_u32(key, nk::VALUE_COUNT, count + 1)
    }

    fn remove_from_list(&mut self, key: u32, position: usize) -> Result<(), HiveError> {
        let node = self.cells.key(key)?;
        let (count, mut list) = (node.u32(nk::VALUE_COUNT) as usize, node.u32(nk::VALUE_LIST));
        if count == 1 {
            self.cells.free(list)?;
            list = NIL;
        } else {
            let body = self.cells.body_mut(list)?;
            body.copy_within((position + 1) * 4..count * 4, position * 4);
            let needed = (count - 1) * 4;
            body[needed..needed + 4].fill(0);
            if body.len() > 64 + 2 * needed {
                list = self.cells.resize(list, needed)?;
            }
        }
        self.cells.put_u32(key, nk::VALUE_LIST, list)?;
        self.cells.put_u32(key, nk::VALUE_COUNT, u32::try_from(count - 1).unwrap_or(0))
    }
}
