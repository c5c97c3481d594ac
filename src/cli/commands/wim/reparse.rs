//! Symbolic links and junctions: what they point to.

use crate::image::export::read_target;

pub(crate) use crate::image::import::{TAG_JUNCTION as JUNCTION, TAG_SYMLINK as SYMLINK};

/// The longest reparse data NT allows, in bytes.
pub(crate) const MOST: u64 = 16 << 10;

/// Where a link leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// The substitute name as text, NT prefix (`\??\`) taken off.
    pub(crate) text: String,
    /// Relative to the link's own folder.
    pub(crate) relative: bool,
}

/// Reads the target of a link; `None` for other tags and bad data.
pub(crate) fn target(tag: u32, data: &[u8]) -> Option<Target> {
    if !matches!(tag, SYMLINK | JUNCTION) {
        return None;
    }
    let (text, relative) = read_target(data, tag == SYMLINK).ok()?;
    let text = text.strip_prefix(r"\??\").unwrap_or(&text).to_owned();
    Some(Target { text, relative })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reparse data of a symbolic link: offsets and lengths, flags, name.
    fn symlink(name: &str, relative: bool) -> Vec<u8> {
        let name: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let length = u8::try_from(name.len()).unwrap();
        let mut data = vec![0, 0, length, 0, length, 0, 0, 0, u8::from(relative), 0, 0, 0];
        data.extend(name);
        data
    }

    #[test]
    fn targets_are_told_without_the_prefix_of_nt() {
        let found = target(SYMLINK, &symlink(r"\??\C:\Users", false)).unwrap();
        assert_eq!((found.text.as_str(), found.relative), (r"C:\Users", false));
        let found = target(SYMLINK, &symlink(r"..\a", true)).unwrap();
        assert_eq!((found.text.as_str(), found.relative), (r"..\a", true));
    }

    #[test]
    fn bad_data_is_no_target() {
        assert_eq!(target(SYMLINK, &[]), None);
        assert_eq!(target(SYMLINK, &[255; 12]), None);
        assert_eq!(target(JUNCTION, &[0, 0, 4, 0, 0, 0, 0, 0, 0x41, 0]), None);
        assert_eq!(target(0x8000_0017, &symlink("a", true)), None);
    }
}
