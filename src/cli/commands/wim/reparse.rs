//! Symbolic links and junctions: reparse data and what it points to.
//!
//! The stream of a reparse point is the `REPARSE_DATA_BUFFER` without its 8-byte header: four u16 (offset and length of the substitute name, of
//! the print name), for symbolic links a u32 of flags (1: relative), then the names in UTF-16LE.
//! Knowledge: `facts/wim-and-codecs.md` section 6.4.

/// Reparse tag of a symbolic link.
pub(crate) const SYMLINK: u32 = 0xa000_000c;
/// Reparse tag of a junction (mount point).
pub(crate) const JUNCTION: u32 = 0xa000_0003;

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
    let fixed = match tag {
        SYMLINK => 12,
        JUNCTION => 8,
        _ => return None,
    };
    let field =
        |at: usize| Some(usize::from(u16::from_le_bytes(data.get(at..at + 2)?.try_into().ok()?)));
    let (offset, length) = (field(0)?, field(2)?);
    let names = data.get(fixed..)?;
    let units: Vec<u16> = names
        .get(offset..offset.checked_add(length)?)?
        .chunks_exact(2)
        .map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
        .collect();
    let text = String::from_utf16(&units).ok()?;
    let relative = tag == SYMLINK && data.get(8).is_some_and(|flags| flags & 1 != 0);
    let text = text.strip_prefix(r"\??\").unwrap_or(&text).to_owned();
    Some(Target { text, relative })
}

/// The reparse data of a symbolic link to `target` (with `\` as separator).
pub(crate) fn symlink_data(target: &str, relative: bool) -> Vec<u8> {
    let print: Vec<u8> = target.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let substitute: Vec<u8> = if relative {
        print.clone()
    } else {
        format!(r"\??\{target}").encode_utf16().flat_map(u16::to_le_bytes).collect()
    };
    let length = |bytes: &[u8]| u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_le_bytes();
    let mut data = Vec::with_capacity(12 + substitute.len() + print.len());
    data.extend([0, 0]);
    data.extend(length(&substitute));
    data.extend(length(&substitute));
    data.extend(length(&print));
    data.extend(u32::from(relative).to_le_bytes());
    data.extend(substitute);
    data.extend(print);
    data
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for (text, relative) in [(r"..\a\b", true), (r"C:\Users", false)] {
            let data = symlink_data(text, relative);
            assert_eq!(target(SYMLINK, &data), Some(Target { text: text.to_owned(), relative }));
        }
    }

    #[test]
    fn bad_data_is_no_target() {
        assert_eq!(target(SYMLINK, &[]), None);
        assert_eq!(target(SYMLINK, &[255; 12]), None);
        assert_eq!(target(JUNCTION, &[0, 0, 4, 0, 0, 0, 0, 0, 0x41, 0]), None);
        assert_eq!(target(0x8000_0017, &symlink_data("a", true)), None);
    }
}
