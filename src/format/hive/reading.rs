//! Questions about many keys, with one ceiling for all of them.
//!
//! In a sound hive every cell has one owner, so whoever asks for each key once reads no more than the hive has. [`Reading`] counts that: a hive whose keys lead in
//! circles, or share what they hold, is refused instead of being read for ever.

use super::{
    error::HiveError,
    file::{Hive, KeyId},
    layout::nk,
    nodes::NameRef,
    subkeys::Budget,
    walk::ValueRef,
};
use crate::base::{filetime::FileTime, name::Name};

/// Questions to a hive that are asked once of each key.
pub struct Reading<'a> {
    hive: &'a Hive,
    budget: Budget,
}

/// What is known of a key beside its name, values and subkeys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyFacts<'a> {
    /// When it was last written to.
    pub time: FileTime,
    /// Its security descriptor, self-relative.
    pub security: &'a [u8],
    /// Its class name.
    pub class: Option<Name>,
}

impl<'a> Reading<'a> {
    /// Begins to ask.
    #[must_use]
    pub fn new(hive: &'a Hive) -> Self {
        Self { hive, budget: Budget::of(&hive.cells) }
    }

    /// The hive.
    #[must_use]
    pub fn hive(&self) -> &'a Hive {
        self.hive
    }

    /// What is known of `key`.
    ///
    /// # Errors
    /// When the hive is damaged there, or more was asked than it can have.
    pub fn facts(&mut self, key: KeyId) -> Result<KeyFacts<'a>, HiveError> {
        self.budget.spend(self.hive.cells.size(key.0)?, key.0)?;
        let time = FileTime(self.hive.node(key)?.time());
        Ok(KeyFacts { time, security: self.hive.security(key)?, class: self.hive.class(key)? })
    }

    /// The values of `key`, in the order they were set.
    ///
    /// # Errors
    /// As [`Reading::facts`].
    pub fn values(&mut self, key: KeyId) -> Result<Vec<ValueRef<'a>>, HiveError> {
        let mut values = Vec::new();
        let node = self.hive.node(key)?;
        self.hive.visit_node_values(node, &mut self.budget, &mut |value| values.push(value))?;
        Ok(values)
    }

    /// The subkeys of `key` with their names, in the order of the hive: by upper-case name, unless it is damaged.
    ///
    /// # Errors
    /// As [`Reading::facts`].
    pub fn subkeys(&mut self, key: KeyId) -> Result<Vec<(NameRef<'a>, KeyId)>, HiveError> {
        let mut offsets = Vec::new();
        if self.hive.node(key)?.u32(nk::SUBKEY_COUNT) != 0 {
            self.hive.subkey_offsets(key.0, &mut self.budget, &mut offsets)?;
        }
        let named = |offset| Ok((self.hive.key_name_ref(KeyId(offset))?, KeyId(offset)));
        offsets.into_iter().map(named).collect()
    }
}

impl std::fmt::Debug for Reading<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Reading").field("hive", self.hive).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        base::limits::Limits,
        format::hive::{Value, layout::put_u32},
    };

    #[test]
    fn keys_that_lead_in_circles_are_refused() {
        let mut hive = Hive::create(6, FileTime(1), &[1]);
        let root = hive.root();
        let key = hive.create_path(root, &["a".into()], FileTime(1)).unwrap();
        hive.set_value(key, &Value::dword("v", 1), FileTime(1)).unwrap();
        let list = hive.node(root).unwrap().u32(nk::SUBKEY_LIST);
        let mut bytes = hive.into_bytes();
        // The subkey is its own subkey.
        let at = 4096 + key.0 as usize + 4;
        put_u32(&mut bytes[at..], nk::SUBKEY_COUNT, 1);
        put_u32(&mut bytes[at..], nk::SUBKEY_LIST, list);
        let hive = Hive::parse(bytes, &Limits::default()).unwrap();
        let mut reading = Reading::new(&hive);
        let mut at = hive.root();
        let error = loop {
            match reading.facts(at).and_then(|_| reading.subkeys(at)) {
                Ok(keys) => at = keys[0].1,
                Err(error) => break error,
            }
        };
        assert!(error.to_string().contains("circles"), "{error}");
    }
}
