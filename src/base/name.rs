//! NT names: UTF-16 code units, possibly ill-formed, compared without case.
//!
//! File, stream and registry key names on NT are sequences of 16-bit units that need not be valid UTF-16.
//! [`Name`] keeps them as they are; equality of [`Name`] is exact, [`Name::eq_ignore_case`] and
//! [`compare_ignore_case`] fold case as NT does (see [`super::upcase`]).

use std::{cmp::Ordering, fmt, fmt::Write as _};

use super::upcase::upcase;

/// A name as NT stores it: UTF-16 code units, exact, possibly ill-formed.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Name(Box<[u16]>);

impl Name {
    /// The name made of these code units.
    #[must_use]
    pub fn from_units(units: impl Into<Box<[u16]>>) -> Self {
        Self(units.into())
    }

    /// The code units.
    #[must_use]
    pub fn units(&self) -> &[u16] {
        &self.0
    }

    /// True for the empty name (the unnamed stream, the default value, the root).
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Equal as NT compares names: without case.
    #[must_use]
    pub fn eq_ignore_case(&self, other: &Self) -> bool {
        compare_ignore_case(&self.0, &other.0) == Ordering::Equal
    }

    /// Equal, without case, to `text`.
    #[must_use]
    pub fn is(&self, text: &str) -> bool {
        self.0.iter().copied().map(upcase).eq(text.encode_utf16().map(upcase))
    }

    /// The name with every unit folded to upper case.
    #[must_use]
    pub fn to_upcase(&self) -> Self {
        Self(self.0.iter().copied().map(upcase).collect())
    }

    /// The name as text when it is well-formed UTF-16.
    #[must_use]
    pub fn to_text(&self) -> Option<String> {
        String::from_utf16(&self.0).ok()
    }
}

/// Orders two names as NT does: by folded code units, shorter first.
#[must_use]
pub fn compare_ignore_case(left: &[u16], right: &[u16]) -> Ordering {
    left.iter().copied().map(upcase).cmp(right.iter().copied().map(upcase))
}

impl From<&str> for Name {
    fn from(text: &str) -> Self {
        Self(text.encode_utf16().collect())
    }
}

impl fmt::Display for Name {
    /// The text; a lone surrogate or control character appears as `\u{d800}`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for unit in char::decode_utf16(self.0.iter().copied()) {
            match unit {
                Ok(character) if !character.is_control() => formatter.write_char(character)?,
                Ok(character) => write!(formatter, "\\u{{{:x}}}", u32::from(character))?,
                Err(lone) => write!(formatter, "\\u{{{:x}}}", lone.unpaired_surrogate())?,
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "\"{self}\"")
    }
}

impl serde::Serialize for Name {
    /// The text; a name that is not well-formed UTF-16 becomes the list of its code units.
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.to_text() {
            Some(text) => serializer.serialize_str(&text),
            None => self.0.serialize(serializer),
        }
    }
}

impl<'de> serde::Deserialize<'de> for Name {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(serde::Deserialize)]
        #[serde(untagged)]
        enum Form {
            Text(String),
            Units(Vec<u16>),
        }
        Ok(match <Form as serde::Deserialize>::deserialize(deserializer)? {
            Form::Text(text) => Self::from(text.as_str()),
            Form::Units(units) => Self::from_units(units),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serialised_names_come_back_exactly() {
        for name in [Name::from("Été"), Name::default(), Name::from_units([0x41, 0xd800])] {
            let text = serde_json::to_string(&name).unwrap();
            assert_eq!(serde_json::from_str::<Name>(&text).unwrap(), name, "{text}");
        }
    }

    #[test]
    fn compares_without_case_and_keeps_what_it_was_given() {
        let name = Name::from("Été.TXT");
        assert!(name.is("éTé.txt"));
        assert!(!name.is("Été.TX"));
        assert_eq!(name.to_string(), "Été.TXT");
        assert_ne!(name, Name::from("été.txt"));
        assert!(name.eq_ignore_case(&Name::from("été.txt")));
    }

    #[test]
    fn ill_formed_names_survive_and_are_shown_escaped() {
        let name = Name::from_units([0x41, 0xd800, 0x0a]);
        assert_eq!(name.to_string(), "A\\u{d800}\\u{a}");
        assert_eq!(name.to_text(), None);
    }
}
