//! Files that are written over as files of their own: many names in `System32` are hard links into the component store (`Windows\WinSxS`), and what is written
//! through such a name would change the store's file, which Windows then takes for damaged.

use crate::{
    base::{digest::Sha1, ntpath::NtPath},
    image::{Image, ImageError, NewNode},
    store::StoredBlob,
};

/// Puts a file in its place as [`Image::put_file`] does; the other names of a file that is there keep what they have.
///
/// # Errors
/// As [`Image::put_file`].
pub(super) fn put_file(
    image: &mut Image,
    path: &NtPath,
    content: StoredBlob,
    options: &NewNode,
) -> Result<(), ImageError> {
    separate(image, path, content.size, content.sha1)?;
    image.put_file(path, content, options)
}

/// Puts a small file in its place as [`Image::put_bytes`] does; the other names of a file that is there keep what they have.
///
/// # Errors
/// As [`Image::put_file`].
pub(super) fn put_bytes(
    image: &mut Image,
    path: &NtPath,
    content: Vec<u8>,
) -> Result<(), ImageError> {
    separate(image, path, content.len() as u64, Sha1::of(&content))?;
    image.put_bytes(path, content, &NewNode::default())
}

/// Makes a file of its own of a name whose content will be another. One that has the content already stays a link: nothing is written.
fn separate(image: &mut Image, path: &NtPath, size: u64, sha1: Sha1) -> Result<(), ImageError> {
    let Some(id) = image.tree().lookup(path) else { return Ok(()) };
    let inode = image.tree().inode(id);
    let data = inode.data();
    let same = data.size == size && (size == 0 || data.sha1 == sha1);
    let plain = !inode.is_reparse_point() && inode.streams.len() < 2;
    // A folder is refused where the file is put.
    if inode.is_directory() || same && plain {
        return Ok(());
    }
    image.separate(path)
}
