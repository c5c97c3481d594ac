//! Edits of keys: creation, deletion, class names, times.

use super::{
    error::HiveError,
    file::{Hive, KeyId},
    layout::{KEY_LATIN1, MAX_DEPTH, MAX_KEY_NAME, NIL, NK_SIZE, bad, nk, put_u16, put_u32},
    nodes::encode_name,
    read::upcased,
    subkeys::{Budget, List},
};
use crate::base::{filetime::FileTime, name::Name};

/// Longest class name, in bytes: the field that counts it has 16 bits.
const MAX_CLASS: usize = 0xfffe;

impl Hive {
    /// The subkey of `parent` named `name`, created when it is not there yet. A new key has no values and shares the
    /// security descriptor of its parent; `time` becomes the time of both.
    ///
    /// # Errors
    /// [`HiveError::KeyName`] for an empty name, one of more than 255 units or with a backslash; [`HiveError::TooDeep`]; when
    /// the hive is damaged there or full.
    pub fn create_key(
        &mut self,
        parent: KeyId,
        name: &Name,
        time: FileTime,
    ) -> Result<KeyId, HiveError> {
        check_key_name(name)?;
        let upcased = upcased(name);
        let node = self.node(parent)?;
        let count = node.u32(nk::SUBKEY_COUNT);
        let place = match count {
            0 => None,
            _ => Some(self.cells.locate(node.u32(nk::SUBKEY_LIST), &upcased)?),
        };
        if let Some(found) = place.and_then(|place| place.found) {
            return Ok(KeyId(found));
        }
        if self.depth(parent)? >= MAX_DEPTH {
            return Err(HiveError::TooDeep { limit: MAX_DEPTH });
        }
        let security = node.u32(nk::SECURITY);
        if count == 0 && node.u32(nk::SUBKEY_LIST) != NIL {
            // A list that is not in use any more: nothing refers to it once ours takes its place.
            self.begin_edit()?;
            self.free_list(self.node(parent)?.u32(nk::SUBKEY_LIST))?;
            self.cells.put_u32(parent.0, nk::SUBKEY_LIST, NIL)?;
        }
        self.begin_edit()?;
        self.retain_security(security)?;
        let key = self.new_key_cell(parent.0, name.units(), security, time)?;
        self.cells.insert_subkey(parent.0, place, key, name.units(), self.minor)?;
        self.cells.put_u32(parent.0, nk::SUBKEY_COUNT, count.saturating_add(1))?;
        let bytes = u16::try_from(2 * name.units().len()).unwrap_or(u16::MAX);
        let longest = self.node(parent)?.u32(nk::LONGEST_SUBKEY);
        if longest & 0xffff < u32::from(bytes) {
            self.cells.put_u16(parent.0, nk::LONGEST_SUBKEY, bytes)?;
        }
        self.touch(parent, time)?;
        Ok(KeyId(key))
    }

    /// As [`Hive::create_key`] for each name of `path` in turn.
    ///
    /// # Errors
    /// As [`Hive::create_key`].
    pub fn create_path(
        &mut self,
        key: KeyId,
        path: &[Name],
        time: FileTime,
    ) -> Result<KeyId, HiveError> {
        path.iter().try_fold(key, |at, name| self.create_key(at, name, time))
    }

    /// Deletes `key` and everything below it; `time` becomes the time of its parent.
    ///
    /// # Errors
    /// [`HiveError::RootKey`] for the root; when the hive is damaged there.
    pub fn delete_key(&mut self, key: KeyId, time: FileTime) -> Result<(), HiveError> {
        if key.0 == self.root {
            return Err(HiveError::RootKey);
        }
        let node = self.node(key)?;
        let parent = KeyId(node.u32(nk::PARENT));
        let name = upcased(&node.name()?.to_name());
        let count = self.node(parent)?.u32(nk::SUBKEY_COUNT);
        let doomed = self.keys_below(key)?;
        self.begin_edit()?;
        self.cells.remove_subkey(parent.0, key.0, &name)?;
        self.cells.put_u32(parent.0, nk::SUBKEY_COUNT, count.saturating_sub(1))?;
        self.touch(parent, time)?;
        for key in doomed {
            self.free_key(key)?;
        }
        Ok(())
    }

    /// Gives `key` a class name, or takes it away. The time of the key stays.
    ///
    /// # Errors
    /// [`HiveError::DataTooLarge`] beyond 32,767 units; when the hive is damaged there or full.
    pub fn set_class(&mut self, key: KeyId, class: Option<&Name>) -> Result<(), HiveError> {
        let class = class.filter(|class| !class.is_empty());
        if self.class(key)?.as_ref() == class {
            return Ok(());
        }
        let bytes: Vec<u8> = class
            .iter()
            .flat_map(|class| class.units())
            .flat_map(|unit| unit.to_le_bytes())
            .collect();
        let length = match u16::try_from(bytes.len()) {
            Ok(length) if bytes.len() <= MAX_CLASS => length,
            _ => {
                let size = bytes.len();
                return Err(HiveError::DataTooLarge {
                    what: "a class name",
                    size,
                    limit: MAX_CLASS,
                });
            }
        };
        self.begin_edit()?;
        let old = self.node(key)?.u32(nk::CLASS);
        if old != NIL {
            self.cells.free(old)?;
        }
        let new = if bytes.is_empty() { NIL } else { self.cells.store_cell(&bytes)? };
        self.cells.put_u32(key.0, nk::CLASS, new)?;
        self.cells.put_u16(key.0, nk::CLASS_LENGTH, length)?;
        if let Some(parent) = self.parent(key)? {
            self.raise(parent.0, nk::LONGEST_CLASS, length.into())?;
        }
        Ok(())
    }

    /// Sets the time of `key`.
    ///
    /// # Errors
    /// When the hive is damaged there.
    pub fn set_key_time(&mut self, key: KeyId, time: FileTime) -> Result<(), HiveError> {
        if self.key_time(key)? == time {
            return Ok(());
        }
        self.begin_edit()?;
        self.touch(key, time)
    }

    pub(super) fn touch(&mut self, key: KeyId, time: FileTime) -> Result<(), HiveError> {
        let [low, high] = [time.0, time.0 >> 32].map(|half| half.to_le_bytes());
        let low = u32::from_le_bytes([low[0], low[1], low[2], low[3]]);
        let high = u32::from_le_bytes([high[0], high[1], high[2], high[3]]);
        self.cells.put_u32(key.0, nk::TIME, low)?;
        self.cells.put_u32(key.0, nk::TIME + 4, high)
    }

    /// Raises one of a key's "longest" fields. They are upper bounds and never sink.
    pub(super) fn raise(&mut self, key: u32, field: usize, to: u32) -> Result<(), HiveError> {
        if self.cells.key(key)?.u32(field) < to {
            self.cells.put_u32(key, field, to)?;
        }
        Ok(())
    }

    /// Levels between `key` and the root.
    fn depth(&self, key: KeyId) -> Result<usize, HiveError> {
        let (mut at, mut depth) = (key.0, 0);
        while at != self.root {
            if depth > MAX_DEPTH {
                return Err(bad("the parents of this key do not lead to the root", key.0).into());
            }
            at = self.cells.key(at)?.u32(nk::PARENT);
            depth += 1;
        }
        Ok(depth)
    }

    fn new_key_cell(
        &mut self,
        parent: u32,
        name: &[u16],
        security: u32,
        time: FileTime,
    ) -> Result<u32, HiveError> {
        let (name, latin1) = encode_name(name);
        let offset = self.cells.allocate(NK_SIZE + name.len())?;
        let body = self.cells.body_mut(offset)?;
        body[..2].copy_from_slice(b"nk");
        put_u16(body, nk::FLAGS, if latin1 { KEY_LATIN1 } else { 0 });
        body[nk::TIME..nk::TIME + 8].copy_from_slice(&time.0.to_le_bytes());
        put_u32(body, nk::PARENT, parent);
        for field in [nk::SUBKEY_LIST, nk::VOLATILE_LIST, nk::VALUE_LIST, nk::CLASS] {
            put_u32(body, field, NIL);
        }
        put_u32(body, nk::SECURITY, security);
        put_u16(body, nk::NAME_LENGTH, u16::try_from(name.len()).unwrap_or(0));
        body[NK_SIZE..NK_SIZE + name.len()].copy_from_slice(&name);
        Ok(offset)
    }

    /// `key` and all keys below it; refuses circles.
    fn keys_below(&self, key: KeyId) -> Result<Vec<u32>, HiveError> {
        let mut budget = Budget::of(&self.cells);
        let mut keys = vec![key.0];
        let mut next = 0;
        while let Some(&offset) = keys.get(next) {
            budget.spend(self.cells.size(offset)?, offset)?;
            self.subkey_offsets(offset, &mut budget, &mut keys)?;
            next += 1;
        }
        Ok(keys)
    }

    /// Releases everything that belongs to one key alone.
    fn free_key(&mut self, key: u32) -> Result<(), HiveError> {
        let node = self.cells.key(key)?;
        let (list, security) = (node.u32(nk::SUBKEY_LIST), node.u32(nk::SECURITY));
        let class = (node.class_length() > 0).then(|| node.u32(nk::CLASS));
        self.free_values(key)?;
        if list != NIL {
            self.free_list(list)?;
        }
        if let Some(class) = class.filter(|&class| class != NIL) {
            self.cells.free(class)?;
        }
        self.release_security(security)?;
        self.cells.free(key)
    }

    /// Releases a list of subkeys, not the keys.
    fn free_list(&mut self, list: u32) -> Result<(), HiveError> {
        if let List::Index(count) = self.cells.list(list)? {
            let leaves: Result<Vec<u32>, _> =
                (0..count).map(|slot| self.cells.slot(list, 4, slot)).collect();
            for leaf in leaves? {
                self.cells.free(leaf)?;
            }
        }
        self.cells.free(list)
    }
}

fn check_key_name(name: &Name) -> Result<(), HiveError> {
    let what = match name.units() {
        [] => "it is empty",
        units if units.len() > MAX_KEY_NAME => "it is longer than 255 characters",
        units if units.contains(&u16::from(b'\\')) => "it contains a backslash",
        _ => return Ok(()),
    };
    Err(HiveError::KeyName { name: name.to_string(), what })
}
