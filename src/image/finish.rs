//! The finished image: what the WIM writer needs.

use std::collections::BTreeMap;

use crate::{
    base::{digest::Sha1, secret::Secrets},
    format::wim::ImageMetadata,
};

use super::{
    content::BlobLocation, error::ImageError, facts::ImageFacts, metadata, offline::Image,
    tree::Tree,
};

/// Content that the finished image refers to.
#[derive(Debug, Clone)]
pub struct FinishedBlob {
    /// SHA-1 of the content.
    pub sha1: Sha1,
    /// Size in bytes.
    pub size: u64,
    /// How many streams of how many names refer to it.
    pub references: u32,
    /// Where it lies.
    pub location: BlobLocation,
}

/// The numbers of the WIM's XML, as DISM counts them.
///
/// Read off files that DISM made: one with a folder, three files of 160 bytes in all, a junction (92 bytes of reparse data) and a named stream (38 bytes) says
/// `DIRCOUNT` 1, `FILECOUNT` 4, `TOTALBYTES` 160; a boot.wim with 603 folders below its root says 603. So the root is no folder, a junction is a
/// file, and only unnamed data has bytes. wimlib counts the root as a folder, and named streams and reparse data as bytes; an image that DISM made
/// and we changed should not change its way of counting, so we differ. No file of DISM's with hard links was at hand: `HARDLINKBYTES` follows wimlib.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ImageCounts {
    /// Folders, without the root, junctions and links.
    pub directories: u64,
    /// Files, junctions and links: every name counts.
    pub files: u64,
    /// Sizes of the unnamed data of all names, in bytes.
    pub total_bytes: u64,
    /// The same of all names but the first of each file, in bytes.
    pub hard_link_bytes: u64,
}

/// An image with nothing left to do: hives written back, counted.
#[derive(Debug)]
pub struct FinishedImage {
    /// The metadata.
    pub metadata: ImageMetadata,
    /// The content it refers to: what lies in the base in the base's order, then what is new in the order of the tree.
    pub blobs: Vec<FinishedBlob>,
    /// The numbers of the XML.
    pub counts: ImageCounts,
    /// What is known of it. Empty when no change could have altered it and nobody had asked before.
    pub facts: ImageFacts,
    /// What was known of it before a change that could alter it; `None` when there was no such change.
    pub base_facts: Option<ImageFacts>,
    /// False when it is the image that was opened: its metadata can then be copied as it is.
    pub changed: bool,
}

impl Image {
    /// Writes changed hives back and gives what the WIM writer needs.
    ///
    /// # Errors
    /// When a hive does not come out valid, or content that the image refers to is nowhere.
    pub fn finish(self) -> Result<FinishedImage, ImageError> {
        self.finish_with(&Secrets::default())
    }

    /// As [`Image::finish`], with the values of the secrets that the image names.
    ///
    /// # Errors
    /// As [`Image::finish`], and when a value is missing or cannot be written where it belongs.
    pub fn finish_with(mut self, secrets: &Secrets) -> Result<FinishedImage, ImageError> {
        let facts = if self.base_facts.is_some() {
            self.facts()
        } else {
            self.known_facts.as_ref().map(|(_, facts)| facts.clone()).unwrap_or_default()
        };
        let secret_hives = self.reveal(secrets)?;
        self.write_hives_back(&secret_hives)?;
        let blobs = self.finished_blobs()?;
        Ok(FinishedImage {
            metadata: metadata::from_tree(&self.tree),
            blobs,
            counts: count(&self.tree),
            facts,
            base_facts: self.base_facts,
            changed: self.changed,
        })
    }

    fn finished_blobs(&self) -> Result<Vec<FinishedBlob>, ImageError> {
        let mut places: BTreeMap<Sha1, usize> = BTreeMap::new();
        let mut blobs: Vec<FinishedBlob> = Vec::new();
        for id in self.tree.walk() {
            for stream in &self.tree.inode(id).streams {
                let content = stream.content;
                if content.sha1.is_zero() {
                    continue;
                }
                if let Some(&place) = places.get(&content.sha1) {
                    blobs[place].references = blobs[place].references.saturating_add(1);
                    continue;
                }
                let location = self
                    .location(&content)
                    .ok_or_else(|| self.missing(&self.tree.path_of(id), &content, ""))?;
                places.insert(content.sha1, blobs.len());
                let (sha1, size) = (content.sha1, content.size);
                blobs.push(FinishedBlob { sha1, size, references: 1, location });
            }
        }
        // New content has no place in the base: it comes last, and the sort keeps its order.
        blobs.sort_by_key(|blob| match &blob.location {
            BlobLocation::Base(_, found) => found.position(),
            _ => (u16::MAX, None, u64::MAX),
        });
        Ok(blobs)
    }
}

fn count(tree: &Tree) -> ImageCounts {
    let mut counts = ImageCounts::default();
    let mut seen = vec![false; tree.inode_count()];
    for id in tree.walk() {
        let inode = tree.inode(id);
        let size = inode.data().size;
        counts.total_bytes = counts.total_bytes.saturating_add(size);
        if std::mem::replace(&mut seen[tree.node(id).inode.0 as usize], true) {
            counts.hard_link_bytes = counts.hard_link_bytes.saturating_add(size);
        }
        if id == tree.root() {
            continue;
        }
        if inode.is_directory() && !inode.is_reparse_point() {
            counts.directories += 1;
        } else {
            counts.files += 1;
        }
    }
    counts
}
