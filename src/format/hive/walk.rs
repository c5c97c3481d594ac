//! Everything below a key, without copies.

use std::borrow::Cow;

use super::{
    error::HiveError,
    file::{Hive, KeyId},
    layout::{MAX_DEPTH, bad, nk},
    nodes::NameRef,
    subkeys::Budget,
    value::{Value, ValueType},
};
use crate::base::filetime::FileTime;

/// A value as it lies in the hive.
#[derive(Clone, Debug)]
pub struct ValueRef<'a> {
    /// Its name; empty for the default value.
    pub name: NameRef<'a>,
    /// Its type.
    pub kind: ValueType,
    /// Its data; put together from segments only when it is larger than 16,344 bytes.
    pub data: Cow<'a, [u8]>,
}

impl ValueRef<'_> {
    /// A copy that does not need the hive.
    #[must_use]
    pub fn to_value(&self) -> Value {
        Value { name: self.name.to_name(), kind: self.kind, data: self.data.to_vec() }
    }
}

/// What [`Hive::walk`] meets.
#[derive(Clone, Debug)]
pub enum Entry<'a> {
    /// A key; its values follow, then its subkeys.
    Key {
        /// The key.
        key: KeyId,
        /// Levels below the key the walk began with.
        depth: usize,
        /// Its name.
        name: NameRef<'a>,
        /// When it was last written to.
        time: FileTime,
    },
    /// A value of the key met last.
    Value(ValueRef<'a>),
}

impl Hive {
    /// Calls `visit` for `key` and everything below it, each key before its values and those before its subkeys, in the order
    /// of the hive.
    ///
    /// # Errors
    /// When the hive is damaged; what comes before the damage has been visited. Circles are found and refused.
    pub fn walk<'a>(
        &'a self,
        key: KeyId,
        mut visit: impl FnMut(Entry<'a>),
    ) -> Result<(), HiveError> {
        let mut budget = Budget::of(&self.cells);
        let mut waiting = vec![(key.0, 0)];
        let mut children = Vec::new();
        while let Some((offset, depth)) = waiting.pop() {
            budget.spend(self.cells.size(offset)?, offset)?;
            let node = self.cells.key(offset)?;
            let time = FileTime(node.time());
            visit(Entry::Key { key: KeyId(offset), depth, name: node.name()?, time });
            self.visit_node_values(node, &mut budget, &mut |value| visit(Entry::Value(value)))?;
            if node.u32(nk::SUBKEY_COUNT) != 0 {
                if depth == MAX_DEPTH {
                    return Err(bad("keys nested deeper than 512 levels", offset).into());
                }
                children.clear();
                self.subkey_offsets(offset, &mut budget, &mut children)?;
                waiting.extend(children.iter().rev().map(|&child| (child, depth + 1)));
            }
        }
        Ok(())
    }
}
