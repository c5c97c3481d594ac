//! Keys, values and names as they lie in their cells.

use std::{cmp::Ordering, fmt};

use super::{
    cells::Cells,
    layout::{
        INLINE, KEY_LATIN1, NK_SIZE, SK_SIZE, VALUE_LATIN1, VK_SIZE, bad, nk, sk, u16_at, u32_at,
        u64_at, vk,
    },
};
use crate::base::{malformed::Malformed, name::Name, upcase::upcase};

/// A name inside a hive: one byte per unit (Latin-1) or UTF-16LE.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum NameRef<'a> {
    /// One byte per unit.
    Latin1(&'a [u8]),
    /// Two bytes per unit, little-endian.
    Utf16(&'a [[u8; 2]]),
}

impl<'a> NameRef<'a> {
    fn new(bytes: &'a [u8], latin1: bool) -> Option<Self> {
        if latin1 {
            return Some(Self::Latin1(bytes));
        }
        let (units, rest) = bytes.as_chunks();
        rest.is_empty().then_some(Self::Utf16(units))
    }

    /// Length in UTF-16 units.
    #[must_use]
    pub fn len(self) -> usize {
        match self {
            Self::Latin1(bytes) => bytes.len(),
            Self::Utf16(units) => units.len(),
        }
    }

    /// True for the empty name.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The unit at `index`, which must be less than [`Self::len`].
    fn unit(self, index: usize) -> u16 {
        match self {
            Self::Latin1(bytes) => u16::from(bytes[index]),
            Self::Utf16(units) => u16::from_le_bytes(units[index]),
        }
    }

    /// The UTF-16 units.
    pub fn units(self) -> impl Iterator<Item = u16> + 'a {
        (0..self.len()).map(move |index| self.unit(index))
    }

    /// The name as a value of its own.
    #[must_use]
    pub fn to_name(self) -> Name {
        Name::from_units(self.units().collect::<Box<[u16]>>())
    }

    /// Orders two names as the registry does: without case.
    #[must_use]
    pub fn cmp_ignore_case(self, other: NameRef<'_>) -> Ordering {
        self.units().map(upcase).cmp(other.units().map(upcase))
    }

    /// Compares with a name that is already folded to upper case.
    pub(super) fn cmp_upcased(self, upcased: &[u16]) -> Ordering {
        match self {
            Self::Latin1(bytes) => {
                bytes.iter().map(|&byte| upcase(byte.into())).cmp(upcased.iter().copied())
            }
            Self::Utf16(_) => self.units().map(upcase).cmp(upcased.iter().copied()),
        }
    }

    /// Equal, without case, to a name that is already folded to upper case.
    pub(super) fn is_upcased(self, upcased: &[u16]) -> bool {
        self.len() == upcased.len() && self.cmp_upcased(upcased) == Ordering::Equal
    }
}

impl fmt::Debug for NameRef<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.to_name(), formatter)
    }
}

/// The bytes of `name` in a cell, and whether they are Latin-1.
pub(super) fn encode_name(name: &[u16]) -> (Vec<u8>, bool) {
    let narrow: Option<Vec<u8>> = name.iter().map(|&unit| u8::try_from(unit).ok()).collect();
    match narrow {
        Some(bytes) => (bytes, true),
        None => (name.iter().flat_map(|unit| unit.to_le_bytes()).collect(), false),
    }
}

/// A key's cell.
#[derive(Clone, Copy)]
pub(super) struct KeyNode<'a> {
    fixed: &'a [u8; NK_SIZE],
    rest: &'a [u8],
    offset: u32,
}

impl<'a> KeyNode<'a> {
    pub(super) fn flags(self) -> u16 {
        u16_at(self.fixed, nk::FLAGS)
    }
    pub(super) fn time(self) -> u64 {
        u64_at(self.fixed, nk::TIME)
    }
    pub(super) fn u32(self, field: usize) -> u32 {
        u32_at(self.fixed, field)
    }
    pub(super) fn class_length(self) -> usize {
        u16_at(self.fixed, nk::CLASS_LENGTH).into()
    }
    pub(super) fn name(self) -> Result<NameRef<'a>, Malformed> {
        let length = usize::from(u16_at(self.fixed, nk::NAME_LENGTH));
        self.rest
            .get(..length)
            .and_then(|bytes| NameRef::new(bytes, self.flags() & KEY_LATIN1 != 0))
            .ok_or_else(|| bad(format!("a key name of {length} bytes does not fit"), self.offset))
    }
}

/// A value's cell.
#[derive(Clone, Copy)]
pub(super) struct ValueNode<'a> {
    fixed: &'a [u8; VK_SIZE],
    rest: &'a [u8],
    offset: u32,
}

impl<'a> ValueNode<'a> {
    pub(super) fn offset(self) -> u32 {
        self.offset
    }
    pub(super) fn kind(self) -> u32 {
        u32_at(self.fixed, vk::KIND)
    }
    pub(super) fn flags(self) -> u16 {
        u16_at(self.fixed, vk::FLAGS)
    }
    /// The size field with its inline bit.
    pub(super) fn raw_size(self) -> u32 {
        u32_at(self.fixed, vk::SIZE)
    }
    /// Size of the data in bytes.
    pub(super) fn length(self) -> usize {
        (self.raw_size() & !INLINE) as usize
    }
    pub(super) fn is_inline(self) -> bool {
        self.raw_size() & INLINE != 0
    }
    /// Offset of the data cell, unless the data is inline.
    pub(super) fn data_offset(self) -> u32 {
        u32_at(self.fixed, vk::DATA)
    }
    /// The data itself when it is inline; more than four bytes can not be.
    pub(super) fn inline_data(self) -> Option<&'a [u8]> {
        self.fixed[vk::DATA..vk::DATA + 4].get(..self.length())
    }
    pub(super) fn name(self) -> Result<NameRef<'a>, Malformed> {
        let length = usize::from(u16_at(self.fixed, vk::NAME_LENGTH));
        self.rest
            .get(..length)
            .and_then(|bytes| NameRef::new(bytes, self.flags() & VALUE_LATIN1 != 0))
            .ok_or_else(|| bad(format!("a value name of {length} bytes does not fit"), self.offset))
    }
}

/// A security cell.
#[derive(Clone, Copy)]
pub(super) struct SecurityNode<'a> {
    pub(super) next: u32,
    pub(super) previous: u32,
    pub(super) references: u32,
    pub(super) descriptor: &'a [u8],
}

impl Cells {
    pub(super) fn key(&self, offset: u32) -> Result<KeyNode<'_>, Malformed> {
        match self.body(offset)?.split_first_chunk() {
            Some((fixed, rest)) if fixed[..2] == *b"nk" => Ok(KeyNode { fixed, rest, offset }),
            _ => Err(bad("a key (`nk`) was expected", offset)),
        }
    }

    pub(super) fn value(&self, offset: u32) -> Result<ValueNode<'_>, Malformed> {
        match self.body(offset)?.split_first_chunk() {
            Some((fixed, rest)) if fixed[..2] == *b"vk" => Ok(ValueNode { fixed, rest, offset }),
            _ => Err(bad("a value (`vk`) was expected", offset)),
        }
    }

    pub(super) fn security(&self, offset: u32) -> Result<SecurityNode<'_>, Malformed> {
        let body = self.body(offset)?;
        let Some((fixed, rest)) = body.split_first_chunk::<SK_SIZE>() else {
            return Err(bad("a security cell (`sk`) was expected", offset));
        };
        if fixed[..2] != *b"sk" {
            return Err(bad("a security cell (`sk`) was expected", offset));
        }
        let size = u32_at(fixed, sk::SIZE) as usize;
        let Some(descriptor) = rest.get(..size) else {
            return Err(bad(format!("a descriptor of {size} bytes does not fit"), offset));
        };
        Ok(SecurityNode {
            next: u32_at(fixed, sk::NEXT),
            previous: u32_at(fixed, sk::PREVIOUS),
            references: u32_at(fixed, sk::REFERENCES),
            descriptor,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_narrow_when_they_can_be() {
        assert_eq!(encode_name(&[0x41, 0xff]), (vec![0x41, 0xff], true));
        assert_eq!(encode_name(&[0x41, 0x178]), (vec![0x41, 0, 0x78, 1], false));
        let narrow = NameRef::Latin1(&[0xff]);
        assert!(narrow.is_upcased(&[0x178]), "ÿ folds to Ÿ, which is not Latin-1");
        assert!(NameRef::new(&[1, 2, 3], false).is_none());
    }
}
