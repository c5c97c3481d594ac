//! Questions to a hive.

use super::{
    error::HiveError,
    file::{Hive, KeyId},
    layout::{NIL, bad, nk, u32_at},
    nodes::{KeyNode, NameRef, ValueNode},
    subkeys::Budget,
    value::{Value, ValueType},
    walk::ValueRef,
};
use crate::base::{filetime::FileTime, malformed::Malformed, name::Name, upcase::upcase};

/// A name folded to upper case, as the searches want it.
pub(super) fn upcased(name: &Name) -> Vec<u16> {
    name.units().iter().copied().map(upcase).collect()
}

impl Hive {
    pub(super) fn node(&self, key: KeyId) -> Result<KeyNode<'_>, Malformed> {
        self.cells.key(key.0)
    }

    /// The key at `path` below `key`, found without regard to case; `None` when there is none. An empty path is `key` itself.
    ///
    /// # Errors
    /// When the hive is damaged on the way there.
    pub fn find(&self, key: KeyId, path: &[Name]) -> Result<Option<KeyId>, HiveError> {
        let mut at = key;
        for name in path {
            match self.subkey(at, name)? {
                Some(next) => at = next,
                None => return Ok(None),
            }
        }
        Ok(Some(at))
    }

    /// The subkey of `key` with this name, found without regard to case.
    ///
    /// # Errors
    /// When the hive is damaged there.
    pub fn subkey(&self, key: KeyId, name: &Name) -> Result<Option<KeyId>, HiveError> {
        let node = self.node(key)?;
        if node.u32(nk::SUBKEY_COUNT) == 0 {
            return Ok(None);
        }
        let place = self.cells.locate(node.u32(nk::SUBKEY_LIST), &upcased(name))?;
        Ok(place.found.map(KeyId))
    }

    /// The subkeys of `key`, in the order of the hive: by upper-case name.
    ///
    /// # Errors
    /// When the hive is damaged there.
    pub fn subkeys(&self, key: KeyId) -> Result<Vec<KeyId>, HiveError> {
        let mut offsets = Vec::new();
        self.subkey_offsets(key.0, &mut Budget::of(&self.cells), &mut offsets)?;
        Ok(offsets.into_iter().map(KeyId).collect())
    }

    /// Appends the offsets of a key's subkeys.
    pub(super) fn subkey_offsets(
        &self,
        key: u32,
        budget: &mut Budget,
        offsets: &mut Vec<u32>,
    ) -> Result<(), Malformed> {
        let node = self.cells.key(key)?;
        if node.u32(nk::SUBKEY_COUNT) == 0 {
            return Ok(());
        }
        self.cells.list_keys(node.u32(nk::SUBKEY_LIST), budget, offsets)
    }

    /// The name of `key`. That of the root is whatever its maker chose.
    ///
    /// # Errors
    /// When the hive is damaged there.
    pub fn key_name(&self, key: KeyId) -> Result<Name, HiveError> {
        Ok(self.key_name_ref(key)?.to_name())
    }

    /// The name of `key`, not copied.
    ///
    /// # Errors
    /// When the hive is damaged there.
    pub fn key_name_ref(&self, key: KeyId) -> Result<NameRef<'_>, HiveError> {
        Ok(self.node(key)?.name()?)
    }

    /// When `key` was last written to.
    ///
    /// # Errors
    /// When the hive is damaged there.
    pub fn key_time(&self, key: KeyId) -> Result<FileTime, HiveError> {
        Ok(FileTime(self.node(key)?.time()))
    }

    /// The parent of `key`; `None` for the root.
    ///
    /// # Errors
    /// When the hive is damaged there.
    pub fn parent(&self, key: KeyId) -> Result<Option<KeyId>, HiveError> {
        let node = self.node(key)?;
        Ok((key.0 != self.root).then(|| KeyId(node.u32(nk::PARENT))))
    }

    /// The class name of `key`: text that hardly any key has.
    ///
    /// # Errors
    /// When the hive is damaged there.
    pub fn class(&self, key: KeyId) -> Result<Option<Name>, HiveError> {
        let node = self.node(key)?;
        let (offset, length) = (node.u32(nk::CLASS), node.class_length());
        if offset == NIL || length == 0 {
            return Ok(None);
        }
        let Some(bytes) = self.cells.body(offset)?.get(..length) else {
            return Err(bad(format!("a class name of {length} bytes does not fit"), offset).into());
        };
        let (units, rest) = bytes.as_chunks();
        if !rest.is_empty() {
            return Err(bad(format!("a class name of {length} bytes"), offset).into());
        }
        let units: Vec<u16> = units.iter().map(|&unit| u16::from_le_bytes(unit)).collect();
        Ok(Some(Name::from_units(units)))
    }

    /// The security descriptor of `key`, self-relative.
    ///
    /// # Errors
    /// When the hive is damaged there.
    pub fn security(&self, key: KeyId) -> Result<&[u8], HiveError> {
        Ok(self.cells.security(self.node(key)?.u32(nk::SECURITY))?.descriptor)
    }

    /// The values of `key`, in the order they were set.
    ///
    /// # Errors
    /// When the hive is damaged there.
    pub fn values(&self, key: KeyId) -> Result<Vec<Value>, HiveError> {
        let mut values = Vec::new();
        self.visit_values(key, |value| values.push(value.to_value()))?;
        Ok(values)
    }

    /// The value of `key` with this name, found without regard to case; the empty name is the default value.
    ///
    /// # Errors
    /// When the hive is damaged there.
    pub fn value(&self, key: KeyId, name: &Name) -> Result<Option<Value>, HiveError> {
        match self.find_value(key, &upcased(name))? {
            Some((_, node)) => Ok(Some(self.value_ref(node)?.to_value())),
            None => Ok(None),
        }
    }

    /// Calls `visit` for each value of `key`, in the order they were set, without copying them.
    ///
    /// # Errors
    /// When the hive is damaged there; values before the damage have been visited.
    pub fn visit_values<'a>(
        &'a self,
        key: KeyId,
        mut visit: impl FnMut(ValueRef<'a>),
    ) -> Result<(), HiveError> {
        let mut budget = Budget::of(&self.cells);
        self.visit_node_values(self.node(key)?, &mut budget, &mut visit)?;
        Ok(())
    }

    pub(super) fn visit_node_values<'a>(
        &'a self,
        key: KeyNode<'_>,
        budget: &mut Budget,
        visit: &mut impl FnMut(ValueRef<'a>),
    ) -> Result<(), Malformed> {
        for entry in self.value_list(key)? {
            let offset = u32::from_le_bytes(*entry);
            let value = self.value_ref(self.cells.value(offset)?)?;
            budget.spend(self.cells.size(offset)?, offset)?;
            let length = u32::try_from(value.data.len()).unwrap_or(u32::MAX);
            budget.spend(length.saturating_sub(4), offset)?;
            visit(value);
        }
        Ok(())
    }

    /// The offsets of a key's values.
    pub(super) fn value_list(&self, key: KeyNode<'_>) -> Result<&[[u8; 4]], Malformed> {
        let count = key.u32(nk::VALUE_COUNT) as usize;
        if count == 0 {
            return Ok(&[]);
        }
        let offset = key.u32(nk::VALUE_LIST);
        let (entries, _) = self.cells.body(offset)?.as_chunks::<4>();
        entries
            .get(..count)
            .ok_or_else(|| bad(format!("a list of {count} values does not fit its cell"), offset))
    }

    /// A value by its upper-case name: its position in the list and its cell.
    pub(super) fn find_value(
        &self,
        key: KeyId,
        upcased: &[u16],
    ) -> Result<Option<(usize, ValueNode<'_>)>, Malformed> {
        for (position, entry) in self.value_list(self.node(key)?)?.iter().enumerate() {
            let node = self.cells.value(u32_at(entry, 0))?;
            if node.name()?.is_upcased(upcased) {
                return Ok(Some((position, node)));
            }
        }
        Ok(None)
    }

    fn value_ref<'a>(&'a self, node: ValueNode<'a>) -> Result<ValueRef<'a>, Malformed> {
        Ok(ValueRef {
            name: node.name()?,
            kind: ValueType(node.kind()),
            data: self.cells.data(node, self.minor)?,
        })
    }
}
