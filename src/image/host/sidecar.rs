//! What a host's file system cannot hold of an image, kept in a file beside its files.
//!
//! The file, [`SIDECAR_NAME`] at the root of the directory, is a WIM with one image: the metadata of the image that was applied, and of its contents
//! those that are in no file of the directory. Its `<IMAGE>` element is that of the image, with `<TRANSOM><SIDECAR>1</SIDECAR></TRANSOM>` in it, and the
//! header's flag for links is that of the WIM. Other tools can list it; only a capture by this program merges it.
//!
//! Each entry begins its tagged items with one of ours, which is taken off when the file is read:
//!
//! ```text
//! u32 tag 0x546e7253 | u32 24 | u32 what the directory holds: 0 nothing, 1 folder, 2 file, 3 link | u32 0
//! u64 size of the file | u64 time of last writing that the directory shows, as FILETIME
//! ```
//!
//! # Why no extended attributes
//!
//! `user.*` attributes would move with their files, but ext4 has 4 KiB for all of a file's, tmpfs had none before Linux 6.6, links have none anywhere, and
//! `cp`, archives and version control drop them unasked. Order of entries, names the host refuses and the image's own XML have no file to hang
//! on. One file has none of these limits, and its loss is noticed.

use std::{
    collections::{HashMap, HashSet},
    fs::File,
    path::{Path, PathBuf},
    sync::Arc,
};

use fs_err as fs;

use crate::{
    base::{
        bytes::{Reader, Writer},
        digest::Sha1,
        filetime::FileTime,
        limits::Limits,
        malformed::Malformed,
    },
    codec::{Codec, Level},
    format::wim::{
        BlobSource, BlobToWrite, Element, ImageMetadata, MetadataToWrite, StreamKind, Wim,
        WimError, WimXml, WriteSettings, write_wim,
    },
    image::{
        content::{BlobLocation, BlobRef},
        error::ImageError,
        metadata,
        offline::Image,
        tree::NodeId,
    },
};

/// Name of the sidecar, at the root of the directory.
pub const SIDECAR_NAME: &str = ".transom-ntfs.wim";

const TAG: u32 = 0x546e_7253;
const VERSION: &str = "1";
const ITEM_SIZE: u32 = 24;

/// A sidecar that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SidecarError {
    /// The program that applied an image was ended before all was there.
    #[error("{} is empty: the image was not applied to its end", .0.display())]
    Unfinished(PathBuf),
    /// A file of that name that something else made, or a later version.
    #[error("{} was not made by this version of transom", .0.display())]
    Foreign(PathBuf),
    /// It cannot be read.
    #[error("{} is damaged", .path.display())]
    Broken {
        /// The sidecar.
        path: PathBuf,
        /// What is wrong.
        source: Box<WimError>,
    },
}

/// What a directory holds of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::image) enum Kind {
    /// Nothing: the host cannot hold its name, or what it is.
    #[default]
    Absent,
    Folder,
    File,
    Link,
}

/// What the sidecar says of an entry besides what the image says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::image) struct Placed {
    pub(in crate::image) kind: Kind,
    /// Bytes of its file.
    pub(in crate::image) size: u64,
    /// The time of last writing that the directory shows: often less exact than the image's.
    pub(in crate::image) modified: FileTime,
}

/// A sidecar that was read.
#[derive(Debug)]
pub(in crate::image) struct Sidecar {
    /// The image as it was applied. Contents of files are not in it.
    pub(in crate::image) image: Image,
    pub(in crate::image) placed: HashMap<NodeId, Placed>,
    pub(in crate::image) element: Element,
    pub(in crate::image) rp_fix: bool,
}

/// Writes the sidecar of an image. `placed` goes with the nodes in the order of [`crate::image::Tree::walk`].
pub(in crate::image) fn write(
    output: &File,
    image: &Image,
    element: &Element,
    rp_fix: bool,
    placed: &[Placed],
    cancelled: &dyn Fn() -> bool,
) -> Result<(), ImageError> {
    let mut metadata = metadata::from_tree(image.tree());
    for (dentry, placed) in metadata.dentries.iter_mut().zip(placed) {
        let mut items = item(placed);
        items.append(&mut dentry.tagged_items);
        dentry.tagged_items = items;
    }
    let mut element = element.clone();
    element.set_text(&["TRANSOM", "SIDECAR"], VERSION);
    let mut xml = WimXml::new();
    xml.push_image(element);
    let codec = Codec::Xpress;
    let settings = WriteSettings {
        codec,
        chunk_size: codec.default_chunk_size(),
        level: Level::Fast,
        solid: None,
        integrity: false,
        boot_index: 0,
        rp_fix,
    };
    let images = vec![MetadataToWrite::Bytes(metadata.encode())];
    write_wim(output, &settings, blobs(image, placed)?, images, xml, &|_| {}, cancelled)?;
    Ok(())
}

/// The contents that are in no file.
fn blobs(image: &Image, placed: &[Placed]) -> Result<Vec<BlobToWrite>, ImageError> {
    let tree = image.tree();
    let mut blobs: Vec<BlobToWrite> = Vec::new();
    let mut places: HashMap<Sha1, usize> = HashMap::new();
    for (id, placed) in tree.walk().zip(placed) {
        for stream in &tree.inode(id).streams {
            let BlobRef { sha1, size } = stream.content;
            let is_host = stream.kind == StreamKind::Data && placed.kind == Kind::File;
            if is_host || sha1.is_zero() {
                continue;
            }
            if let Some(&place) = places.get(&sha1) {
                let count = &mut blobs[place].reference_count;
                *count = count.saturating_add(1);
                continue;
            }
            let source = match image.location(&stream.content) {
                Some(BlobLocation::Base(wim, blob)) => BlobSource::Wim { wim, blob },
                Some(BlobLocation::Memory(bytes)) => BlobSource::Bytes { source: Arc::new(bytes) },
                Some(BlobLocation::Host(source)) => BlobSource::Bytes { source },
                Some(BlobLocation::Secret(bytes)) => BlobSource::Bytes { source: Arc::new(bytes) },
                Some(BlobLocation::Stored(_) | BlobLocation::Template(_)) => {
                    BlobSource::Bytes { source: Arc::new(image.read_blob(&stream.content)?) }
                }
                None => return Err(image.missing(&tree.path_of(id), &stream.content, "")),
            };
            places.insert(sha1, blobs.len());
            blobs.push(BlobToWrite { sha1, size, reference_count: 1, source });
        }
    }
    Ok(blobs)
}

/// Reads the sidecar of a directory, if it has one.
pub(in crate::image) fn read(
    directory: &Path,
    modified: FileTime,
) -> Result<Option<Sidecar>, ImageError> {
    let path = directory.join(SIDECAR_NAME);
    let Ok(found) = fs::symlink_metadata(&path) else { return Ok(None) };
    if !found.is_file() {
        return Err(SidecarError::Foreign(path).into());
    }
    if found.len() == 0 {
        return Err(SidecarError::Unfinished(path).into());
    }
    let broken = |source| {
        let source = Box::new(source);
        SidecarError::Broken { path: path.clone(), source }
    };
    let limits = Limits::default();
    let wim = Arc::new(Wim::open_path(&path, &limits).map_err(broken)?);
    let element = wim.xml().image(1).filter(|element| {
        wim.image_count() == 1 && element.text(&["TRANSOM", "SIDECAR"]) == Some(VERSION)
    });
    let Some(mut element) = element.cloned() else {
        return Err(SidecarError::Foreign(path).into());
    };
    element.remove_all("TRANSOM");
    let metadata = wim.metadata(1).map_err(broken)?;
    let rp_fix = wim.header().flags & crate::format::wim::Header::RP_FIX != 0;
    let (image, placed) =
        image_of(wim, metadata, modified).map_err(|error| broken(error.into()))?;
    Ok(Some(Sidecar { image, placed, element, rp_fix }))
}

/// The image, and what was said of its nodes.
fn image_of(
    wim: Arc<Wim>,
    mut metadata: ImageMetadata,
    modified: FileTime,
) -> Result<(Image, HashMap<NodeId, Placed>), Malformed> {
    let mut placed = Vec::with_capacity(metadata.dentries.len());
    let mut sizes: HashMap<Sha1, u64> = HashMap::new();
    for dentry in &mut metadata.dentries {
        let found = take_item(&mut dentry.tagged_items)?;
        let is_possible = match found.kind {
            Kind::Absent => true,
            Kind::Folder => dentry.is_directory(),
            Kind::File => !dentry.is_directory(),
            Kind::Link => dentry.reparse.is_some(),
        };
        if !is_possible {
            let what = format!("{} is said to be what it cannot be", dentry.name);
            return Err(Malformed::new("sidecar", what, 0));
        }
        if found.kind == Kind::File
            && let Some(data) = dentry.stream(StreamKind::Data)
        {
            sizes.insert(data.sha1, found.size);
        }
        placed.push(found);
    }
    let order = walk_order(&metadata);
    let size_of = |sha1: &Sha1| {
        let size = wim.blob(sha1).map(|blob| blob.size);
        size.or_else(|| sizes.get(sha1).copied()).unwrap_or(0)
    };
    let tree = metadata::to_tree(metadata, &size_of)?;
    let nodes: Vec<NodeId> = tree.walk().collect();
    let placed = nodes.into_iter().zip(order.into_iter().map(|place| placed[place])).collect();
    let mut image = Image::empty(modified);
    image.tree = tree;
    for blob in wim.blobs() {
        image.blobs.insert(blob.sha1, BlobLocation::Base(Arc::clone(&wim), *blob));
    }
    Ok((image, placed))
}

/// The entries in the order in which the tree made of them is walked.
fn walk_order(metadata: &ImageMetadata) -> Vec<usize> {
    let mut order = Vec::with_capacity(metadata.dentries.len());
    let mut seen = HashSet::new();
    let mut waiting = vec![0];
    while let Some(place) = waiting.pop() {
        // What is no tree is refused when the tree is made.
        let Some(dentry) = metadata.dentries.get(place).filter(|_| seen.insert(place)) else {
            continue;
        };
        order.push(place);
        waiting.extend(dentry.children.iter().rev().map(|&child| child as usize));
    }
    order
}

fn item(placed: &Placed) -> Vec<u8> {
    let kind = match placed.kind {
        Kind::Absent => 0,
        Kind::Folder => 1,
        Kind::File => 2,
        Kind::Link => 3,
    };
    let mut writer = Writer::new();
    writer.u32(TAG).u32(ITEM_SIZE).u32(kind).u32(0).u64(placed.size).u64(placed.modified.0);
    writer.data
}

fn take_item(items: &mut Vec<u8>) -> Result<Placed, Malformed> {
    let mut reader = Reader::new("sidecar", items);
    if (reader.u32()?, reader.u32()?) != (TAG, ITEM_SIZE) {
        return Err(Malformed::new("sidecar", "an entry lacks what transom says of it", 0));
    }
    let kind = match reader.u32()? {
        0 => Kind::Absent,
        1 => Kind::Folder,
        2 => Kind::File,
        3 => Kind::Link,
        other => {
            return Err(Malformed::new("sidecar", format!("an entry of the kind {other}"), 8));
        }
    };
    reader.u32()?;
    let placed = Placed { kind, size: reader.u64()?, modified: FileTime(reader.u64()?) };
    let rest = reader.position();
    items.drain(..rest);
    Ok(placed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_an_entry_is_read_back_and_leaves_the_rest() {
        let placed = Placed { kind: Kind::File, size: 7, modified: FileTime(9) };
        let mut items = item(&placed);
        items.extend([1, 2, 3]);
        assert_eq!(take_item(&mut items).unwrap(), placed);
        assert_eq!(items, [1, 2, 3]);
        assert!(take_item(&mut items).is_err());
        let mut odd = item(&placed);
        odd[8] = 9;
        assert!(take_item(&mut odd).unwrap_err().to_string().contains("kind 9"));
    }

    #[test]
    fn other_files_of_that_name_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(SIDECAR_NAME);
        let read = || read(folder.path(), FileTime(1)).map(|found| found.is_some());
        assert!(!read().unwrap());
        fs_err::write(&path, "").unwrap();
        let error = |result: Result<bool, ImageError>| match result.unwrap_err() {
            ImageError::Sidecar(error) => error,
            other => panic!("{other}"),
        };
        assert!(matches!(error(read()), SidecarError::Unfinished(_)));
        fs_err::write(&path, vec![0; 300]).unwrap();
        assert!(matches!(error(read()), SidecarError::Broken { .. }));
        fs_err::remove_file(&path).unwrap();
        fs_err::create_dir(&path).unwrap();
        assert!(matches!(error(read()), SidecarError::Foreign(_)));
    }
}
