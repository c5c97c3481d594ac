//! An image's entries as commands show them: paths, attribute letters, link counts.

use std::collections::HashMap;

use crate::{
    base::digest::Sha1,
    format::wim::{Dentry, ImageMetadata, StreamKind, Wim},
};

/// An entry and where it is.
#[derive(Debug, Clone)]
pub(crate) struct Entry<'image> {
    /// `\Windows\notepad.exe`; `\` for the root. Units that are not text are shown as `\u{d800}`.
    pub(crate) path: String,
    /// The entry.
    pub(crate) dentry: &'image Dentry,
    /// Position of the folder it is in, among the entries; `None` for the root.
    pub(crate) parent: Option<usize>,
}

/// All entries of an image: a folder before what is in it, children in the image's order.
pub(crate) fn entries(image: &ImageMetadata) -> Vec<Entry<'_>> {
    let mut entries: Vec<Entry<'_>> = Vec::with_capacity(image.dentries.len());
    let mut open: Vec<(u32, Option<usize>)> = vec![(0, None)];
    while let Some((index, parent)) = open.pop() {
        let Some(dentry) = image.dentries.get(index as usize) else { continue };
        let path = match parent.map(|parent| entries[parent].path.as_str()) {
            None => "\\".to_owned(),
            Some("\\") => format!("\\{}", dentry.name),
            Some(folder) => format!("{folder}\\{}", dentry.name),
        };
        let place = entries.len();
        entries.push(Entry { path, dentry, parent });
        open.extend(dentry.children.iter().rev().map(|child| (*child, Some(place))));
        // A parsed image is a tree; this keeps a damaged one from going round.
        if entries.len() > image.dentries.len() {
            break;
        }
    }
    entries
}

/// How many names each hard link group has, by group and content.
pub(crate) fn link_counts(image: &ImageMetadata) -> HashMap<(u64, Sha1), u32> {
    let mut counts = HashMap::new();
    for dentry in image.dentries.iter().filter(|dentry| dentry.hard_link_group != 0) {
        *counts.entry(link_key(dentry)).or_insert(0) += 1;
    }
    counts
}

/// What files have in common that are names of one file.
pub(crate) fn link_key(dentry: &Dentry) -> (u64, Sha1) {
    (dentry.hard_link_group, main_sha1(dentry))
}

/// SHA-1 of the unnamed content; zero when there is none or it is empty.
pub(crate) fn main_sha1(dentry: &Dentry) -> Sha1 {
    stream_sha1(dentry, StreamKind::Data)
        .or_else(|| stream_sha1(dentry, StreamKind::Efs))
        .unwrap_or(Sha1::ZERO)
}

/// SHA-1 of the first stream of that kind.
pub(crate) fn stream_sha1(dentry: &Dentry, kind: StreamKind) -> Option<Sha1> {
    dentry.streams.iter().find(|stream| stream.kind == kind).map(|stream| stream.sha1)
}

/// Size of a content; 0 when empty, `None` when the WIM does not have it.
pub(crate) fn content_size(wim: &Wim, sha1: &Sha1) -> Option<u64> {
    if sha1.is_zero() { Some(0) } else { wim.blob(sha1).map(|blob| blob.size) }
}

/// `FILE_ATTRIBUTE_*` that commands name: bit, letter, name.
pub(crate) const ATTRIBUTES: [(u32, char, &str); 13] = [
    (DIRECTORY, 'd', "directory"),
    (REPARSE_POINT, 'l', "reparse-point"),
    (READ_ONLY, 'r', "read-only"),
    (HIDDEN, 'h', "hidden"),
    (SYSTEM, 's', "system"),
    (ARCHIVE, 'a', "archive"),
    (SPARSE, 'p', "sparse"),
    (0x800, 'c', "compressed"),
    (ENCRYPTED, 'e', "encrypted"),
    (0x1000, 'o', "offline"),
    (0x2000, 'n', "not-indexed"),
    (0x100, 't', "temporary"),
    (NORMAL, '-', "normal"),
];
/// `FILE_ATTRIBUTE_READONLY`.
pub(crate) const READ_ONLY: u32 = 0x1;
/// `FILE_ATTRIBUTE_HIDDEN`.
pub(crate) const HIDDEN: u32 = 0x2;
/// `FILE_ATTRIBUTE_SYSTEM`.
pub(crate) const SYSTEM: u32 = 0x4;
/// `FILE_ATTRIBUTE_DIRECTORY`.
pub(crate) const DIRECTORY: u32 = 0x10;
/// `FILE_ATTRIBUTE_ARCHIVE`.
pub(crate) const ARCHIVE: u32 = 0x20;
/// `FILE_ATTRIBUTE_NORMAL`: no other attribute.
pub(crate) const NORMAL: u32 = 0x80;
/// `FILE_ATTRIBUTE_SPARSE_FILE`.
pub(crate) const SPARSE: u32 = 0x200;
/// `FILE_ATTRIBUTE_REPARSE_POINT`.
pub(crate) const REPARSE_POINT: u32 = 0x400;
/// `FILE_ATTRIBUTE_ENCRYPTED`.
pub(crate) const ENCRYPTED: u32 = 0x4000;

/// True for folders (also for folder links).
pub(crate) fn is_directory(dentry: &Dentry) -> bool {
    dentry.attributes & DIRECTORY != 0
}

/// The attributes in fixed columns: `d-rhs-------`, one letter each, `-` where not set.
pub(crate) fn attribute_letters(attributes: u32) -> String {
    ATTRIBUTES[..ATTRIBUTES.len() - 1]
        .iter()
        .map(|(bit, letter, _)| if attributes & bit == 0 { '-' } else { *letter })
        .collect()
}

/// The attributes by name.
pub(crate) fn attribute_names(attributes: u32) -> Vec<&'static str> {
    ATTRIBUTES.iter().filter(|(bit, ..)| attributes & bit != 0).map(|(.., name)| *name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::name::Name;

    fn dentry(name: &str, children: &[u32]) -> Dentry {
        Dentry { name: Name::from(name), children: children.to_vec(), ..Dentry::default() }
    }

    #[test]
    fn entries_come_folder_first_with_their_paths() {
        let image = ImageMetadata {
            dentries: vec![
                dentry("", &[2, 1]),
                dentry("b", &[]),
                dentry("A", &[3]),
                dentry("c", &[]),
            ],
            ..ImageMetadata::default()
        };
        let paths: Vec<_> = entries(&image).into_iter().map(|entry| entry.path).collect();
        assert_eq!(paths, ["\\", "\\A", "\\A\\c", "\\b"]);
    }

    #[test]
    fn a_loop_ends() {
        let image = ImageMetadata { dentries: vec![dentry("", &[0])], ..ImageMetadata::default() };
        assert!(entries(&image).len() <= 2);
    }

    #[test]
    fn links_are_counted_by_group_and_content() {
        let link = |group| Dentry { hard_link_group: group, ..Dentry::default() };
        let image =
            ImageMetadata { dentries: vec![link(0), link(1), link(1)], ..ImageMetadata::default() };
        assert_eq!(link_counts(&image), HashMap::from([((1, Sha1::ZERO), 2)]));
    }

    #[test]
    fn attributes_have_fixed_columns_and_names() {
        assert_eq!(attribute_letters(DIRECTORY | HIDDEN), "d--h--------");
        assert_eq!(attribute_names(NORMAL), ["normal"]);
    }
}
