//! Registry values: a name, a type, bytes; and what the bytes mean for the common types.

use crate::base::name::Name;

/// The type of a value: any 32-bit number. Real hives hold many beyond the documented ones.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ValueType(pub u32);

impl ValueType {
    /// No type.
    pub const NONE: Self = Self(0);
    /// Text, UTF-16 with a terminating NUL.
    pub const SZ: Self = Self(1);
    /// Text with `%VARIABLES%`.
    pub const EXPAND_SZ: Self = Self(2);
    /// Bytes.
    pub const BINARY: Self = Self(3);
    /// A 32-bit number, little-endian.
    pub const DWORD: Self = Self(4);
    /// A 32-bit number, big-endian.
    pub const DWORD_BIG_ENDIAN: Self = Self(5);
    /// The target of a symbolic link between keys, UTF-16 without NUL.
    pub const LINK: Self = Self(6);
    /// Texts, each with its NUL, and a final NUL.
    pub const MULTI_SZ: Self = Self(7);
    /// A device's resources.
    pub const RESOURCE_LIST: Self = Self(8);
    /// A device's resources as the hardware describes them.
    pub const FULL_RESOURCE_DESCRIPTOR: Self = Self(9);
    /// The resources a driver wants.
    pub const RESOURCE_REQUIREMENTS_LIST: Self = Self(10);
    /// A 64-bit number, little-endian.
    pub const QWORD: Self = Self(11);

    /// The documented name, such as `REG_SZ`.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        const NAMES: [&str; 12] = [
            "REG_NONE",
            "REG_SZ",
            "REG_EXPAND_SZ",
            "REG_BINARY",
            "REG_DWORD",
            "REG_DWORD_BIG_ENDIAN",
            "REG_LINK",
            "REG_MULTI_SZ",
            "REG_RESOURCE_LIST",
            "REG_FULL_RESOURCE_DESCRIPTOR",
            "REG_RESOURCE_REQUIREMENTS_LIST",
            "REG_QWORD",
        ];
        NAMES.get(self.0 as usize).copied()
    }
}

impl std::fmt::Display for ValueType {
    /// The documented name, or the number in hexadecimal.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.name() {
            Some(name) => formatter.write_str(name),
            None => write!(formatter, "{:#x}", self.0),
        }
    }
}

/// A value of a key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Value {
    /// Its name; empty for the default value.
    pub name: Name,
    /// Its type.
    pub kind: ValueType,
    /// Its data.
    pub data: Vec<u8>,
}

impl Value {
    /// A value of any type.
    #[must_use]
    pub fn new(name: impl Into<Name>, kind: ValueType, data: impl Into<Vec<u8>>) -> Self {
        Self { name: name.into(), kind, data: data.into() }
    }

    /// Text.
    #[must_use]
    pub fn sz(name: impl Into<Name>, text: &str) -> Self {
        Self::new(name, ValueType::SZ, terminated(text))
    }

    /// Text with `%VARIABLES%`.
    #[must_use]
    pub fn expand_sz(name: impl Into<Name>, text: &str) -> Self {
        Self::new(name, ValueType::EXPAND_SZ, terminated(text))
    }

    /// A list of texts. An empty text can not be told from the end of the list, so those are left out.
    #[must_use]
    pub fn multi_sz<S: AsRef<str>>(
        name: impl Into<Name>,
        texts: impl IntoIterator<Item = S>,
    ) -> Self {
        let mut data = Vec::new();
        for text in texts {
            if !text.as_ref().is_empty() {
                data.extend(terminated(text.as_ref()));
            }
        }
        data.extend([0, 0]);
        Self::new(name, ValueType::MULTI_SZ, data)
    }

    /// A 32-bit number.
    #[must_use]
    pub fn dword(name: impl Into<Name>, number: u32) -> Self {
        Self::new(name, ValueType::DWORD, number.to_le_bytes())
    }

    /// A 64-bit number.
    #[must_use]
    pub fn qword(name: impl Into<Name>, number: u64) -> Self {
        Self::new(name, ValueType::QWORD, number.to_le_bytes())
    }

    /// Bytes.
    #[must_use]
    pub fn binary(name: impl Into<Name>, data: impl Into<Vec<u8>>) -> Self {
        Self::new(name, ValueType::BINARY, data)
    }

    /// The text of a `REG_SZ`, `REG_EXPAND_SZ` or `REG_LINK` up to its first NUL; `None` for other types and ill-formed UTF-16.
    #[must_use]
    pub fn as_text(&self) -> Option<String> {
        match self.kind {
            ValueType::SZ | ValueType::EXPAND_SZ | ValueType::LINK => {
                let units: Vec<u16> = units(&self.data).take_while(|&unit| unit != 0).collect();
                String::from_utf16(&units).ok()
            }
            _ => None,
        }
    }

    /// The texts of a `REG_MULTI_SZ` up to the empty one that ends the list; `None` for other types and ill-formed UTF-16.
    #[must_use]
    pub fn as_multi_text(&self) -> Option<Vec<String>> {
        if self.kind != ValueType::MULTI_SZ {
            return None;
        }
        let units: Vec<u16> = units(&self.data).collect();
        units
            .split(|&unit| unit == 0)
            .take_while(|text| !text.is_empty())
            .map(|text| String::from_utf16(text).ok())
            .collect()
    }

    /// The number of a `REG_DWORD` or `REG_DWORD_BIG_ENDIAN` of exactly four bytes.
    #[must_use]
    pub fn as_dword(&self) -> Option<u32> {
        let bytes = <[u8; 4]>::try_from(self.data.as_slice()).ok()?;
        match self.kind {
            ValueType::DWORD => Some(u32::from_le_bytes(bytes)),
            ValueType::DWORD_BIG_ENDIAN => Some(u32::from_be_bytes(bytes)),
            _ => None,
        }
    }

    /// The number of a `REG_QWORD` of exactly eight bytes.
    #[must_use]
    pub fn as_qword(&self) -> Option<u64> {
        let bytes = <[u8; 8]>::try_from(self.data.as_slice()).ok()?;
        (self.kind == ValueType::QWORD).then(|| u64::from_le_bytes(bytes))
    }
}

/// UTF-16LE bytes of `text` with a terminating NUL.
fn terminated(text: &str) -> Vec<u8> {
    text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect()
}

/// The UTF-16 units in `data`; an odd last byte is left out.
fn units(data: &[u8]) -> impl Iterator<Item = u16> {
    data.as_chunks::<2>().0.iter().map(|&pair| u16::from_le_bytes(pair))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_ends_at_its_first_nul_and_need_not_have_one() {
        assert_eq!(Value::sz("", "Жи").data, [0x16, 4, 0x38, 4, 0, 0]);
        assert_eq!(Value::sz("", "abc").as_text().as_deref(), Some("abc"));
        let unterminated = Value::new("", ValueType::EXPAND_SZ, *b"a\0b\0c");
        assert_eq!(unterminated.as_text().as_deref(), Some("ab"));
        assert_eq!(Value::new("", ValueType::SZ, *b"a\0\0\0b\0").as_text().as_deref(), Some("a"));
        assert_eq!(Value::dword("", 1).as_text(), None);
        assert_eq!(Value::new("", ValueType::SZ, [0, 0xd8]).as_text(), None, "a lone surrogate");
    }

    #[test]
    fn lists_of_text_end_at_the_empty_one() {
        let list = Value::multi_sz("m", ["one", "", "two"]);
        assert_eq!(list.data.len(), (4 + 4 + 1) * 2);
        assert_eq!(list.as_multi_text().unwrap(), ["one", "two"]);
        assert_eq!(Value::multi_sz::<&str>("m", []).data, [0, 0]);
        assert!(Value::multi_sz::<&str>("m", []).as_multi_text().unwrap().is_empty());
    }

    #[test]
    fn numbers_need_their_exact_size() {
        assert_eq!(Value::dword("", 0x1234).as_dword(), Some(0x1234));
        assert_eq!(Value::qword("", 7).as_qword(), Some(7));
        assert_eq!(Value::new("", ValueType::DWORD, [1, 2, 3]).as_dword(), None);
        assert_eq!(Value::new("", ValueType::DWORD_BIG_ENDIAN, [0, 0, 0, 9]).as_dword(), Some(9));
        assert_eq!(ValueType(0xffff_0011).to_string(), "0xffff0011");
    }
}
