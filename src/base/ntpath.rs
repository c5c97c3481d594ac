//! Paths inside an image.
//!
//! An image path is a list of names from the image's root. In recipes it is written as on Windows
//! (`C:\Windows\System32`, the drive letter meaning the image's root) or without a drive (`\Windows`, `Windows/System32`).

use std::fmt;

use super::name::Name;

/// A path inside an image: names from the root; empty for the root itself.
#[derive(
    Debug,
    Clone,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Default,
    serde::Serialize,
    serde::Deserialize,
)]
#[serde(transparent)]
pub struct NtPath(Vec<Name>);

/// Why a text is not a path inside an image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// `.` or `..` as a component.
    #[error("`{0}` is not allowed in a path inside the image")]
    Relative(String),
    /// A character that NT does not allow in a file name.
    #[error("the name `{name}` holds {character:?}, which Windows does not allow in a file name")]
    Character {
        /// The component.
        name: String,
        /// The first bad character.
        character: char,
    },
    /// A device name (`CON`, `NUL`, `COM1` ...), with or without an extension.
    #[error("`{0}` is a device name on Windows and cannot be a file")]
    Device(String),
    /// A name that ends in a dot or a blank, which Windows cannot open.
    #[error("`{0}` ends in a dot or a blank, which Windows cannot open")]
    Trailing(String),
    /// More than 255 UTF-16 code units.
    #[error("the name `{0}` is longer than 255 characters")]
    TooLong(String),
    /// A network or device path.
    #[error("`{0}` is not a path inside the image")]
    NotLocal(String),
}

impl NtPath {
    /// The root of the image.
    #[must_use]
    pub fn root() -> Self {
        Self::default()
    }

    /// Reads a path as recipes write it: an optional drive letter, then names between `\` or `/`.
    ///
    /// # Errors
    /// For names that Windows could not open, relative components and network paths.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        if text.starts_with(r"\\") || text.starts_with("//") {
            return Err(PathError::NotLocal(text.to_owned()));
        }
        let bytes = text.as_bytes();
        let rest = match bytes {
            [letter, b':'] | [letter, b':', b'\\' | b'/', ..] if letter.is_ascii_alphabetic() => {
                &text[2..]
            }
            _ => text,
        };
        rest.split(['\\', '/'])
            .filter(|part| !part.is_empty())
            .map(|part| check_component(part).map(|()| Name::from(part)))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// The path made of these names, unchecked: for names that come from an image.
    #[must_use]
    pub fn from_names(names: Vec<Name>) -> Self {
        Self(names)
    }

    /// The names from the root.
    #[must_use]
    pub fn names(&self) -> &[Name] {
        &self.0
    }

    /// The last name; `None` for the root.
    #[must_use]
    pub fn file_name(&self) -> Option<&Name> {
        self.0.last()
    }

    /// The path without its last name; `None` for the root.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        self.0.split_last().map(|(_, names)| Self(names.to_vec()))
    }

    /// The path with `name` appended.
    #[must_use]
    pub fn join(&self, name: Name) -> Self {
        let mut names = self.0.clone();
        names.push(name);
        Self(names)
    }

    /// True for the root.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }
}

/// Checks that `name` is a file name that Windows can create and open.
///
/// # Errors
/// For relative components, characters NT refuses, device names, trailing dots or blanks, and overlong names.
pub fn check_component(name: &str) -> Result<(), PathError> {
    if name == "." || name == ".." {
        return Err(PathError::Relative(name.to_owned()));
    }
    let bad = |character: &char| u32::from(*character) < 32 || r#"<>:"|?*\/"#.contains(*character);
    if let Some(character) = name.chars().find(bad) {
        return Err(PathError::Character { name: name.to_owned(), character });
    }
    let stem = name.split('.').next().unwrap_or(name).trim_end().to_ascii_uppercase();
    let device = matches!(stem.as_str(), "CON" | "PRN" | "AUX" | "NUL")
        || (stem.len() == 4
            && (stem.starts_with("COM") || stem.starts_with("LPT"))
            && matches!(stem.as_bytes()[3], b'1'..=b'9'));
    if device {
        return Err(PathError::Device(name.to_owned()));
    }
    if name.ends_with(['.', ' ']) {
        return Err(PathError::Trailing(name.to_owned()));
    }
    if name.encode_utf16().count() > 255 {
        return Err(PathError::TooLong(name.to_owned()));
    }
    Ok(())
}

impl fmt::Display for NtPath {
    /// `\Windows\System32`; the root is `\`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return formatter.write_str("\\");
        }
        self.0.iter().try_for_each(|name| write!(formatter, "\\{name}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drive_letters_and_either_slash_mean_the_image_root() {
        for text in [r"C:\Windows\notepad.exe", "/Windows/notepad.exe", r"Windows\\notepad.exe"] {
            assert_eq!(NtPath::parse(text).unwrap().to_string(), r"\Windows\notepad.exe");
        }
        assert!(NtPath::parse(r"C:\").unwrap().is_root());
    }

    #[test]
    fn what_windows_cannot_open_is_refused() {
        for text in [
            r"C:\..\x",
            "a/./b",
            "CON",
            "nul.txt",
            "com1",
            "a:b",
            "x?",
            "tail.",
            "tail ",
            r"\\server\share",
            "LPT9.log",
        ] {
            assert!(NtPath::parse(text).is_err(), "{text} was accepted");
        }
        assert!(NtPath::parse("CONSOLE").is_ok());
        assert!(NtPath::parse("com0").is_ok());
        assert!(NtPath::parse(&"x".repeat(256)).is_err());
    }
}
