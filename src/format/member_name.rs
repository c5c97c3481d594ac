//! Names of archive members: what an archive says, made a path that stays below the folder it is unpacked to.

use crate::base::ntpath::{PathError, check_component};

/// Most names in one path.
const DEPTH: usize = 64;

/// Why a member's name cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// There is none.
    #[error("it is empty")]
    Empty,
    /// It starts at a root, or has two separators in a row, or ends in one.
    #[error("it is not a path from the archive's root")]
    NotRelative,
    /// More folders than anybody needs.
    #[error("it has more than {DEPTH} folders")]
    Deep,
    /// One of its parts is no file name on Windows, or leads upwards.
    #[error(transparent)]
    Part(#[from] PathError),
}

/// Makes `text` (with `\` or `/`) a path with `\` that leads nowhere else.
pub(super) fn checked(text: &str) -> Result<String, NameError> {
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    let mut path = String::with_capacity(text.len());
    for (depth, part) in text.split(['\\', '/']).enumerate() {
        if part.is_empty() {
            return Err(NameError::NotRelative);
        }
        if depth > DEPTH {
            return Err(NameError::Deep);
        }
        check_component(part)?;
        if depth > 0 {
            path.push('\\');
        }
        path.push_str(part);
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_that_stay_below_are_taken() {
        assert_eq!(checked("a.inf").unwrap(), "a.inf");
        assert_eq!(checked(r"x/y\z.sys").unwrap(), r"x\y\z.sys");
        let bad = [
            "",
            "/a",
            r"\a",
            "a//b",
            r"a\",
            "..",
            r"a\..\b",
            r"C:\a",
            "C:a",
            r"\\host\a",
            "a\0b",
            "NUL",
            "com1.txt",
            "a.",
            "a ",
            ".",
            "a:b",
        ];
        for text in bad {
            assert!(checked(text).is_err(), "{text:?}");
        }
        assert_eq!(checked(&"a/".repeat(100)), Err(NameError::Deep));
    }
}
