//! What a `.reg` file says.

use crate::{base::name::Name, format::hive::ValueType};

/// What a `.reg` file says of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegEntry {
    /// The key's path as written, such as `HKEY_LOCAL_MACHINE\SOFTWARE\Example`.
    pub key: String,
    /// Line of the key in the file, from 1.
    pub line: usize,
    /// What is to become of it.
    pub action: RegAction,
}

/// What is to become of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RegAction {
    /// It is deleted with everything below it.
    DeleteKey,
    /// It is created when missing, and these values are set, or deleted (`None`), in this order.
    Values(Vec<RegValue>),
}

/// A value's name (empty for the default value), and its type and data, or `None` when it is deleted.
pub type RegValue = (Name, Option<(ValueType, Vec<u8>)>);
