//! Reading known values out of a key so that nothing is lost: a value is taken only when writing what was read gives the very same value; else it
//! stays among the others, as it is.

use crate::{
    base::{filetime::FileTime, guid::Guid, name::Name},
    format::hive::Value,
};

use super::tree::KeyTree;

/// The values and keys of a key that were not taken yet.
#[derive(Debug, Default)]
pub(super) struct Fields {
    /// Values left.
    pub(super) values: Vec<Value>,
    /// Keys left.
    pub(super) keys: Vec<(Name, KeyTree)>,
}

impl Fields {
    /// All of a key.
    pub(super) fn of(tree: &KeyTree) -> Self {
        Self { values: tree.values.clone(), keys: tree.keys.clone() }
    }

    /// Takes a value that reads and writes back to itself.
    pub(super) fn take<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&Value) -> Option<T>,
        write: impl FnOnce(&str, &T) -> Value,
    ) -> Option<T> {
        let at = self.values.iter().position(|value| value.name.is(name))?;
        let found = read(&self.values[at])?;
        (write(name, &found) == self.values[at]).then(|| {
            self.values.remove(at);
            found
        })
    }

    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        self.take(name, Value::as_text, |name, text| Value::sz(name, text))
    }

    pub(super) fn texts(&mut self, name: &str) -> Option<Vec<String>> {
        self.take(name, Value::as_multi_text, |name, texts| Value::multi_sz(name, texts))
    }

    pub(super) fn dword(&mut self, name: &str) -> Option<u32> {
        self.take(name, Value::as_dword, |name, number| Value::dword(name, *number))
    }

    pub(super) fn qword(&mut self, name: &str) -> Option<u64> {
        self.take(name, Value::as_qword, |name, number| Value::qword(name, *number))
    }

    pub(super) fn time(&mut self, name: &str) -> Option<FileTime> {
        let read = |value: &Value| {
            <[u8; 8]>::try_from(value.data.as_slice()).ok().map(u64::from_le_bytes).map(FileTime)
        };
        self.take(name, read, |name, time| Value::binary(name, time.0.to_le_bytes()))
    }

    pub(super) fn guid(&mut self, name: &str) -> Option<Guid> {
        let read = |value: &Value| <[u8; 16]>::try_from(value.data.as_slice()).ok().map(Guid);
        self.take(name, read, |name, guid| Value::binary(name, guid.0))
    }

    /// Takes a key below; its name must be spelled as we spell it.
    pub(super) fn key(&mut self, name: &str) -> Option<KeyTree> {
        let wanted = Name::from(name);
        let at = self.keys.iter().position(|(key, _)| *key == wanted)?;
        Some(self.keys.remove(at).1)
    }
}

/// Writes the values that are there.
#[derive(Debug, Default)]
pub(super) struct Values(pub(super) Vec<Value>);

impl Values {
    pub(super) fn text(&mut self, name: &str, text: Option<&String>) {
        self.0.extend(text.map(|text| Value::sz(name, text)));
    }

    pub(super) fn texts(&mut self, name: &str, texts: Option<&Vec<String>>) {
        self.0.extend(texts.map(|texts| Value::multi_sz(name, texts)));
    }

    pub(super) fn dword(&mut self, name: &str, number: Option<u32>) {
        self.0.extend(number.map(|number| Value::dword(name, number)));
    }

    pub(super) fn qword(&mut self, name: &str, number: Option<u64>) {
        self.0.extend(number.map(|number| Value::qword(name, number)));
    }

    pub(super) fn binary(&mut self, name: &str, data: Option<&[u8]>) {
        self.0.extend(data.map(|data| Value::binary(name, data)));
    }
}
