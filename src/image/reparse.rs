//! Symbolic links and junctions: what they point to.
//!
//! Reparse data as it lies in a WIM (without the 8-byte header that it has on a disk): offset and length of the substitute name, of the print name, in bytes
//! (four u16); for symbolic links u32 flags, 1: relative; then both names, UTF-16. The substitute name is what NT follows, `\??\` in front of it when it is
//! absolute. ([MS-FSCC] 2.1.2.4 and 2.1.2.5)

use crate::base::{bytes::Reader, bytes::Writer, malformed::Malformed, name::Name};

/// Reparse tag of a symbolic link.
pub const TAG_SYMLINK: u32 = 0xa000_000c;
/// Reparse tag of a junction or mount point.
pub const TAG_JUNCTION: u32 = 0xa000_0003;
/// Flag of a reparse point in a WIM: its target was not made relative to the image's root.
pub const NOT_FIXED: u16 = 1;
/// The longest reparse data NT allows, in bytes.
pub const MOST: u64 = 16 << 10;

/// Flag in the data of a symbolic link.
const RELATIVE: u32 = 1;

/// Where a link leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The substitute name as text, NT's prefix (`\??\`) taken off.
    pub text: String,
    /// Relative to the link's own folder, or (with a separator in front) to the root of the volume.
    pub relative: bool,
}

/// True for the tags of symbolic links and junctions.
#[must_use]
pub fn is_link(tag: u32) -> bool {
    matches!(tag, TAG_SYMLINK | TAG_JUNCTION)
}

/// Reads the target of a link; `None` for other tags.
///
/// # Errors
/// When the data is cut short or points outside itself.
pub fn target(tag: u32, data: &[u8]) -> Result<Option<Target>, Malformed> {
    if !is_link(tag) {
        return Ok(None);
    }
    let mut reader = Reader::new("reparse data", data);
    let (offset, length) = (usize::from(reader.u16()?), usize::from(reader.u16()?));
    reader.u32()?;
    let relative = tag == TAG_SYMLINK && reader.u32()? & RELATIVE != 0;
    let names = reader.position();
    reader.seek(names + offset)?;
    let text = Name::from_units(reader.utf16(length / 2)?).to_string();
    let text = text.strip_prefix(r"\??\").unwrap_or(&text).to_owned();
    Ok(Some(Target { text, relative }))
}

/// The reparse data of a symbolic link to a Unix path. Both names have a NUL behind them, which their lengths
/// do not count, as Windows and wimlib write them.
pub(super) fn symlink_data(target: &str) -> Vec<u8> {
    let windows: String = target.replace('/', "\\");
    let absolute = windows.starts_with('\\');
    let (substitute, print) = if absolute {
        (format!(r"\??\C:{windows}"), format!("C:{windows}"))
    } else {
        (windows.clone(), windows)
    };
    let (substitute, print) = (Name::from(substitute.as_str()), Name::from(print.as_str()));
    let bytes = |name: &Name| u16::try_from(name.units().len() * 2).unwrap_or(u16::MAX);
    let mut writer = Writer::new();
    let print_offset = bytes(&substitute).saturating_add(2);
    writer.u16(0).u16(bytes(&substitute)).u16(print_offset).u16(bytes(&print));
    writer.u32(if absolute { 0 } else { RELATIVE });
    writer.utf16(substitute.units()).u16(0).utf16(print.units()).u16(0);
    writer.data
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

    fn found(tag: u32, data: &[u8]) -> (String, bool) {
        let target = target(tag, data).unwrap().unwrap();
        (target.text, target.relative)
    }

    #[test]
    fn targets_are_told_without_the_prefix_of_nt() {
        let data = symlink(r"\??\C:\Users", false);
        assert_eq!(found(TAG_SYMLINK, &data), (r"C:\Users".to_owned(), false));
        assert_eq!(found(TAG_SYMLINK, &symlink(r"..\a", true)), (r"..\a".to_owned(), true));
        assert_eq!(target(0x8000_0017, &symlink("a", true)), Ok(None));
    }

    #[test]
    fn what_is_written_is_read() {
        assert_eq!(found(TAG_SYMLINK, &symlink_data("../é")), (r"..\é".to_owned(), true));
        assert_eq!(found(TAG_SYMLINK, &symlink_data("/a/b")), (r"C:\a\b".to_owned(), false));
    }

    #[test]
    fn bad_data_is_an_error() {
        assert!(target(TAG_SYMLINK, &[]).is_err());
        assert!(target(TAG_SYMLINK, &[255; 12]).is_err());
        assert!(target(TAG_JUNCTION, &[0, 0, 4, 0, 0, 0, 0, 0, 0x41, 0]).is_err());
    }
}
