//! The finished image: what the WIM writer needs.

use crate::{base::digest::Sha1, format::wim::ImageMetadata};

use super::{
    content::BlobLocation, error::ImageError, facts::ImageFacts, offline::Image,
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

/// The numbers of the WIM's XML.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ImageCounts {
    /// Folders, without the root.
    pub directories: u64,
    /// Files: every name counts.
    pub files: u64,
    /// Sizes of all streams of all names, in bytes.
    pub total_bytes: u64,
    /// Sizes of the streams of all names but the first of each file, in bytes.
    pub hard_link_bytes: u64,
}

/// An image with nothing left to do: hives written back, counted.
#[derive(Debug)]
pub struct FinishedImage {
    /// The metadata.
    pub metadata: ImageMetadata,
    /// The content it refers to: what the base has in the base's order, then what is new in the order of the tree.
    pub blobs: Vec<FinishedBlob>,
    /// The numbers of the XML.
    pub counts: ImageCounts,
    /// What is known of it.
    pub facts: ImageFacts,
    /// False when it is the image that was opened: its metadata can then be copied as it is.
    pub changed: bool,
}

impl Image {
    /// Writes changed hives back and gives what the WIM writer needs.
    ///
    /// # Errors
    /// When a hive does not come out valid, or content that the image refers to is nowhere.
    pub fn finish(self) -> Result<FinishedImage, ImageError> {
        todo!()
    }
}
