//! A directory on a volume that ntfs-3g has mounted: what NT knows of a file is there, as extended attributes.
//!
//! | attribute | value |
//! |---|---|
//! | `system.ntfs_attrib_be` | `FILE_ATTRIBUTE_*`, u32 big endian |
//! | `system.ntfs_times_be` | creation, last writing, last access, (last change,) FILETIMEs, u64 big endian; of three given, three are set |
//! | `system.ntfs_acl` | the security descriptor, self-relative |
//! | `system.ntfs_dos_name` | the short name, UTF-8 |
//! | `system.ntfs_object_id` | object id (16 bytes) and birth ids, 64 bytes |
//! | `system.ntfs_ea` | `FILE_FULL_EA_INFORMATION`, each padded to 4 bytes and telling where the next begins, the last one too |
//! | `system.ntfs_reparse_data` | the whole reparse buffer: tag, u16 length, u16 reserved, data |
//! | `user.NAME` | the named stream NAME, when mounted with `streams_interface=xattr` (the default) |
//!
//! (Documentation of ntfs-3g, and trials on 2022.10.3.) Linux reads and writes extended attributes of at most 64 KiB. Encrypted files cannot be reached.

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::base::{
    bytes::{Reader, Writer},
    filetime::FileTime,
    malformed::Malformed,
};

pub(in crate::image) const ATTRIBUTES: &str = "system.ntfs_attrib_be";
pub(in crate::image) const TIMES: &str = "system.ntfs_times_be";
pub(in crate::image) const SECURITY: &str = "system.ntfs_acl";
pub(in crate::image) const SHORT_NAME: &str = "system.ntfs_dos_name";
pub(in crate::image) const OBJECT_ID: &str = "system.ntfs_object_id";
pub(in crate::image) const EXTENDED: &str = "system.ntfs_ea";
pub(in crate::image) const REPARSE: &str = "system.ntfs_reparse_data";
pub(in crate::image) const STREAM_PREFIX: &str = "user.";

/// Tagged items that NTFS has a place for.
pub(in crate::image) const ITEM_OBJECT_ID: u32 = 1;
pub(in crate::image) const ITEM_EXTENDED: u32 = 2;

/// The longest extended attribute that Linux passes, in bytes.
const LONGEST: usize = 64 << 10;

/// Extended attributes of files, by path below a directory; links are not followed.
pub(in crate::image) trait Attributes {
    /// The value; `None` when the file has no such attribute.
    fn get(&self, path: &Path, name: &str) -> io::Result<Option<Vec<u8>>>;
    fn set(&self, path: &Path, name: &str, value: &[u8]) -> io::Result<()>;
    /// Names of those a file has. What `system.*` there is is not among them.
    fn names(&self, path: &Path) -> io::Result<Vec<String>>;
}

/// A directory on such a volume.
#[derive(Debug)]
pub(in crate::image) struct Volume {
    directory: PathBuf,
}

#[cfg(target_os = "linux")]
impl Volume {
    /// The directory, if it is on a volume that ntfs-3g has mounted.
    pub(in crate::image) fn detect(directory: &Path) -> Option<Self> {
        const FUSE: i64 = 0x6573_5546;
        let found = rustix::fs::statfs(directory).ok()?;
        let volume = Self { directory: directory.to_owned() };
        #[expect(clippy::useless_conversion, reason = "the field's type depends on the platform")]
        let is_fuse = i64::try_from(found.f_type).is_ok_and(|kind| kind == FUSE);
        let answers = is_fuse && volume.get(Path::new(""), ATTRIBUTES).ok()??.len() == 4;
        answers.then_some(volume)
    }
}

#[cfg(target_os = "linux")]
impl Attributes for Volume {
    fn get(&self, path: &Path, name: &str) -> io::Result<Option<Vec<u8>>> {
        use rustix::io::Errno;
        let mut value = vec![0; LONGEST];
        match rustix::fs::lgetxattr(self.directory.join(path), name, &mut value[..]) {
            Ok(length) => {
                value.truncate(length);
                Ok(Some(value))
            }
            Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn set(&self, path: &Path, name: &str, value: &[u8]) -> io::Result<()> {
        let flags = rustix::fs::XattrFlags::empty();
        Ok(rustix::fs::lsetxattr(self.directory.join(path), name, value, flags)?)
    }

    fn names(&self, path: &Path) -> io::Result<Vec<String>> {
        let mut list = vec![0; LONGEST];
        let length = rustix::fs::llistxattr(self.directory.join(path), &mut list[..])?;
        let names = list[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty());
        Ok(names.map(|name| String::from_utf8_lossy(name).into_owned()).collect())
    }
}

/// ntfs-3g's attributes are known on Linux alone.
#[cfg(not(target_os = "linux"))]
impl Volume {
    pub(in crate::image) fn detect(_: &Path) -> Option<Self> {
        None
    }
}

#[cfg(not(target_os = "linux"))]
impl Attributes for Volume {
    fn get(&self, _: &Path, _: &str) -> io::Result<Option<Vec<u8>>> {
        Ok(None)
    }

    fn set(&self, _: &Path, _: &str, _: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn names(&self, _: &Path) -> io::Result<Vec<String>> {
        Ok(Vec::new())
    }
}

/// The three times that can be set.
pub(in crate::image) fn times_value(
    created: FileTime,
    written: FileTime,
    read: FileTime,
) -> Vec<u8> {
    [created, written, read].into_iter().flat_map(|time| time.0.to_be_bytes()).collect()
}

/// Creation, last writing, last access.
pub(in crate::image) fn times(value: &[u8]) -> Option<[FileTime; 3]> {
    let time = |place: usize| {
        let bytes = value.get(place * 8..place * 8 + 8)?;
        Some(FileTime(u64::from_be_bytes(bytes.try_into().ok()?)))
    };
    Some([time(0)?, time(1)?, time(2)?])
}

/// The data of a tagged item.
pub(in crate::image) fn tagged_item(items: &[u8], wanted: u32) -> Option<&[u8]> {
    let mut reader = Reader::new("tagged items", items);
    loop {
        let (tag, length) = (reader.u32().ok()?, reader.u32().ok()? as usize);
        let data = reader.bytes(length).ok()?;
        if tag == wanted {
            return Some(data);
        }
        reader.align(8).ok()?;
    }
}

/// A tagged item with its padding.
pub(in crate::image) fn tagged(tag: u32, data: &[u8]) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.u32(tag).u32(u32::try_from(data.len()).unwrap_or(u32::MAX)).bytes(data).align(8);
    writer.data
}

/// Extended attributes as a WIM has them (u16 length of the value, u8 of the name, u8 flags, name, NUL, value) to those of NT.
///
/// # Errors
/// When they are cut short.
pub(in crate::image) fn to_nt_extended(item: &[u8]) -> Result<Vec<u8>, Malformed> {
    let mut reader = Reader::new("extended attributes", item);
    let mut writer = Writer::new();
    while reader.remaining() >= 4 {
        let (length, name_length, flags) = (reader.u16()?, reader.u8()?, reader.u8()?);
        let rest = reader.bytes(usize::from(name_length) + 1 + usize::from(length))?;
        let size = (8 + rest.len()).next_multiple_of(4);
        writer.u32(u32::try_from(size).unwrap_or(u32::MAX));
        writer.u8(flags).u8(name_length).u16(length).bytes(rest).align(4);
    }
    Ok(writer.data)
}

/// The other way.
///
/// # Errors
/// When they are cut short.
pub(in crate::image) fn from_nt_extended(value: &[u8]) -> Result<Vec<u8>, Malformed> {
    let mut reader = Reader::new("extended attributes", value);
    let mut writer = Writer::new();
    loop {
        let start = reader.position();
        let next = reader.u32()? as usize;
        let (flags, name_length, length) = (reader.u8()?, reader.u8()?, reader.u16()?);
        let rest = reader.bytes(usize::from(name_length) + 1 + usize::from(length))?;
        writer.u16(length).u8(name_length).u8(flags).bytes(rest);
        let place = start.saturating_add(next);
        if next == 0 || place >= value.len() {
            return Ok(writer.data);
        }
        if place < reader.position() {
            return Err(reader.malformed("an entry overlaps the one before it"));
        }
        reader.seek(place)?;
    }
}

/// Extended attributes in memory.
#[cfg(test)]
#[derive(Debug, Default)]
pub(in crate::image) struct Fake(
    pub(in crate::image) std::cell::RefCell<std::collections::BTreeMap<(PathBuf, String), Vec<u8>>>,
);

#[cfg(test)]
impl Attributes for Fake {
    fn get(&self, path: &Path, name: &str) -> io::Result<Option<Vec<u8>>> {
        Ok(self.0.borrow().get(&(path.to_owned(), name.to_owned())).cloned())
    }

    fn set(&self, path: &Path, name: &str, value: &[u8]) -> io::Result<()> {
        if value.len() > LONGEST {
            return Err(io::ErrorKind::ArgumentListTooLong.into());
        }
        self.0.borrow_mut().insert((path.to_owned(), name.to_owned()), value.to_vec());
        Ok(())
    }

    fn names(&self, path: &Path) -> io::Result<Vec<String>> {
        let found = self.0.borrow();
        let names = found.keys().filter(|(of, name)| of == path && !name.starts_with("system."));
        Ok(names.map(|(_, name)| name.clone()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extended_attributes_go_both_ways() {
        let item = b"\x03\0\x01\0A\0xyz\x00\0\x02\x80BC\0".to_vec();
        let nt = to_nt_extended(&item).unwrap();
        assert_eq!(nt[..16], *b"\x10\0\0\0\0\x01\x03\0A\0xyz\0\0\0");
        assert_eq!(from_nt_extended(&nt).unwrap(), item);
        assert!(to_nt_extended(&item[..7]).is_err());
        assert!(from_nt_extended(&nt[..9]).is_err());
        assert!(from_nt_extended(&[1; 20]).is_err());
    }

    #[test]
    fn items_are_found_and_times_keep_their_order() {
        let items = [tagged(9, &[1, 2, 3]), tagged(1, &[7; 16])].concat();
        assert_eq!(tagged_item(&items, 1), Some(&[7; 16][..]));
        assert_eq!(tagged_item(&items, 2), None);
        let value = times_value(FileTime(1), FileTime(2), FileTime(3));
        assert_eq!(times(&value), Some([FileTime(1), FileTime(2), FileTime(3)]));
        assert_eq!(times(&value[..20]), None);
    }
}
