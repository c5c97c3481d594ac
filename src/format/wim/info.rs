//! The XML document of a WIM: what its images are called and contain.

use super::{error::WimError, xml::Element};
use crate::base::filetime::FileTime;

/// The XML document; unknown elements, attributes and the order are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WimXml {
    root: Element,
}

impl Default for WimXml {
    fn default() -> Self {
        Self::new()
    }
}

impl WimXml {
    /// A document without images.
    #[must_use]
    pub fn new() -> Self {
        Self { root: Element::new("WIM") }
    }
    /// Reads UTF-16LE bytes with or without byte order mark.
    ///
    /// # Errors
    /// When the bytes are not UTF-16 or not well-formed XML with a `WIM` root, or nested too deeply.
    pub fn parse(_bytes: &[u8]) -> Result<Self, WimError> {
        todo!()
    }
    /// UTF-16LE with byte order mark.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        todo!()
    }
    /// The `WIM` element.
    #[must_use]
    pub fn root(&self) -> &Element {
        &self.root
    }
    /// The `WIM` element, to change.
    pub fn root_mut(&mut self) -> &mut Element {
        &mut self.root
    }
    /// The `IMAGE` element with that `INDEX`.
    #[must_use]
    pub fn image(&self, _index: u32) -> Option<&Element> {
        todo!()
    }
    /// The `IMAGE` element with that `INDEX`, to change.
    pub fn image_mut(&mut self, _index: u32) -> Option<&mut Element> {
        todo!()
    }
    /// How many `IMAGE` elements there are.
    #[must_use]
    pub fn image_count(&self) -> u32 {
        todo!()
    }
    /// Appends an image and gives it the next number, which is returned.
    pub fn push_image(&mut self, _image: Element) -> u32 {
        todo!()
    }
    /// Takes out an image; those behind it move up by one.
    pub fn remove_image(&mut self, _index: u32) -> Option<Element> {
        todo!()
    }
    /// Numbers the images 1, 2, 3 ... in document order.
    pub fn reindex(&mut self) {
        todo!()
    }
    /// `NAME` of an image.
    #[must_use]
    pub fn image_name(&self, _index: u32) -> Option<&str> {
        todo!()
    }
    /// `DESCRIPTION` of an image.
    #[must_use]
    pub fn description(&self, _index: u32) -> Option<&str> {
        todo!()
    }
    /// `DISPLAYNAME` of an image.
    #[must_use]
    pub fn display_name(&self, _index: u32) -> Option<&str> {
        todo!()
    }
    /// `DISPLAYDESCRIPTION` of an image.
    #[must_use]
    pub fn display_description(&self, _index: u32) -> Option<&str> {
        todo!()
    }
    /// Edition of an image: `WINDOWS/EDITIONID`, else `FLAGS`.
    #[must_use]
    pub fn image_flags_edition(&self, _index: u32) -> Option<&str> {
        todo!()
    }
    /// The document's own `TOTALBYTES`: bytes of the file in front of the XML.
    #[must_use]
    pub fn total_bytes(&self) -> Option<u64> {
        todo!()
    }
    /// Sets the document's own `TOTALBYTES`.
    pub fn set_total_bytes(&mut self, _bytes: u64) {
        todo!()
    }
    /// `LASTMODIFICATIONTIME` of an image.
    #[must_use]
    pub fn last_modification(&self, _index: u32) -> Option<FileTime> {
        todo!()
    }
    /// `CREATIONTIME` of an image.
    #[must_use]
    pub fn creation(&self, _index: u32) -> Option<FileTime> {
        todo!()
    }
    /// Sets the times of an image; `None` leaves one as it is. False when there is no such image.
    pub fn set_times(
        &mut self,
        _index: u32,
        _creation: Option<FileTime>,
        _modification: Option<FileTime>,
    ) -> bool {
        todo!()
    }
}
