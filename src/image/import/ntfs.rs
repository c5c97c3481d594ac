//! What NT knows of a file on a volume that ntfs-3g has mounted ([`crate::image::host`] tells how).

use std::{io, path::Path, sync::Arc};

use crate::{
    base::{bytes::Reader, name::Name},
    format::wim::{Reparse, StreamKind},
    image::{
        content::BlobLocation,
        edit::{not_empty, ref_of},
        host::ntfs::{
            self, ATTRIBUTES, Attributes, EXTENDED, ITEM_EXTENDED, ITEM_OBJECT_ID, OBJECT_ID,
            REPARSE, SECURITY, SHORT_NAME, STREAM_PREFIX, TIMES,
        },
        offline::Image,
        reparse::NOT_FIXED,
        tree::{ATTRIBUTE_REPARSE, FileStream, Inode},
    },
};

/// Completes what is captured of the file, folder or link at `path`. Returns what could not be read, in words.
///
/// # Errors
/// When the volume cannot be read.
pub(super) fn complete(
    volume: &dyn Attributes,
    path: &Path,
    image: &mut Image,
    inode: &mut Inode,
) -> io::Result<Vec<String>> {
    let mut warnings = Vec::new();
    let number = |value: Vec<u8>| value.try_into().ok().map(u32::from_be_bytes);
    if let Some(attributes) = volume.get(path, ATTRIBUTES)?.and_then(number) {
        inode.attributes = not_empty(attributes);
    }
    if let Some([created, written, read]) =
        volume.get(path, TIMES)?.and_then(|value| ntfs::times(&value))
    {
        inode.creation_time = created;
        inode.last_write_time = written;
        inode.last_access_time = read;
    }
    if let Some(descriptor) = volume.get(path, SECURITY)? {
        inode.security = Some(image.tree.security_id(&descriptor));
    }
    inode.reparse = None;
    inode.streams.clear();
    if inode.attributes & ATTRIBUTE_REPARSE != 0 {
        let value = volume.get(path, REPARSE)?.unwrap_or_default();
        let mut reader = Reader::new("reparse data", &value);
        if let (Ok(tag), Ok(_), Ok(reserved)) = (reader.u32(), reader.u16(), reader.u16()) {
            inode.reparse = Some(Reparse { tag, reserved, flags: NOT_FIXED });
            inode.streams.push(stream(image, StreamKind::Reparse, "", &value[8..]));
        } else {
            inode.attributes &= !ATTRIBUTE_REPARSE;
            warnings.push(format!("{}: its reparse data cannot be read", path.display()));
        }
    }
    for name in volume.names(path)? {
        let Some(name) = name.strip_prefix(STREAM_PREFIX) else { continue };
        match volume.get(path, &format!("{STREAM_PREFIX}{name}")) {
            Ok(value) => {
                let content = value.unwrap_or_default();
                inode.streams.push(stream(image, StreamKind::Named, name, &content));
            }
            Err(error) => {
                warnings.push(format!("{}:{name} is left out: {error}", path.display()));
            }
        }
    }
    if let Some(id) = volume.get(path, OBJECT_ID)? {
        // The birth ids are zero where there are none.
        let is_short = id.len() >= 16 && id[16..].iter().all(|byte| *byte == 0);
        let id = if is_short { &id[..16] } else { &id[..] };
        inode.tagged_items.extend(ntfs::tagged(ITEM_OBJECT_ID, id));
    }
    if let Some(Ok(extended)) =
        volume.get(path, EXTENDED)?.map(|value| ntfs::from_nt_extended(&value))
    {
        inode.tagged_items.extend(ntfs::tagged(ITEM_EXTENDED, &extended));
    }
    Ok(warnings)
}

/// The short name of a file or folder.
pub(super) fn short_name(volume: &dyn Attributes, path: &Path) -> Name {
    let value = volume.get(path, SHORT_NAME).ok().flatten().unwrap_or_default();
    Name::from(String::from_utf8_lossy(&value).as_ref())
}

fn stream(image: &mut Image, kind: StreamKind, name: &str, bytes: &[u8]) -> FileStream {
    let content = ref_of(bytes);
    if content.size > 0 {
        let bytes: Arc<[u8]> = bytes.into();
        image.blobs.insert(content.sha1, BlobLocation::Memory(bytes));
    }
    FileStream { kind, name: Name::from(name), content }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{base::filetime::FileTime, image::host::ntfs::Fake};

    #[test]
    fn what_is_set_is_captured() {
        let volume = Fake::default();
        let path = Path::new("f");
        let set = |name: &str, value: &[u8]| volume.set(path, name, value).unwrap();
        set(ATTRIBUTES, &0x427_u32.to_be_bytes());
        set(TIMES, &ntfs::times_value(FileTime(1), FileTime(2), FileTime(3)));
        set(SECURITY, b"descriptor");
        set(REPARSE, b"\x1b\0\0\x80\x02\0\0\0ab");
        set("user.s", b"stream");
        set("user.empty", b"");
        set(OBJECT_ID, &[vec![7; 16], vec![0; 48]].concat());
        set(SHORT_NAME, b"F~1");
        let mut image = Image::empty(FileTime(9));
        let mut inode = Inode::new(0x80, None, FileTime(9));
        assert_eq!(complete(&volume, path, &mut image, &mut inode).unwrap(), Vec::<String>::new());
        assert_eq!((inode.attributes, inode.creation_time), (0x427, FileTime(1)));
        assert_eq!((inode.last_write_time, inode.last_access_time), (FileTime(2), FileTime(3)));
        assert_eq!(image.tree.security(inode.security.unwrap()), b"descriptor");
        assert_eq!(inode.reparse.unwrap().tag, 0x8000_001b);
        let names: Vec<String> = inode.streams.iter().map(|s| s.name.to_string()).collect();
        assert_eq!(names, ["", "empty", "s"]);
        assert_eq!(inode.tagged_items, ntfs::tagged(ITEM_OBJECT_ID, &[7; 16]));
        assert_eq!(short_name(&volume, path), Name::from("F~1"));
    }
}
