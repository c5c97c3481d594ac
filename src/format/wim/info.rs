//! The XML document of a WIM: what its images are called and contain.
//!
//! ```text
//! <WIM> <TOTALBYTES>n</TOTALBYTES> <IMAGE INDEX="1"> <NAME>…</NAME> <WINDOWS>…</WINDOWS> … </IMAGE> … </WIM>
//! ```

use super::{
    error::WimError,
    xml::{self, Element},
};
use crate::base::{filetime::FileTime, malformed::Malformed};

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
    /// When the bytes are not UTF-16, not well-formed XML with a `WIM` root, or nested too deeply.
    pub fn parse(bytes: &[u8]) -> Result<Self, WimError> {
        let root = xml::parse(bytes)?;
        if root.name() != "WIM" {
            let what = format!("the root element is {}, not WIM", root.name());
            return Err(Malformed::new("WIM XML", what, 0).into());
        }
        Ok(Self { root })
    }

    /// UTF-16LE with byte order mark.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        xml::encode(&self.root)
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
    pub fn image(&self, index: u32) -> Option<&Element> {
        self.images().find(|image| index_of(image) == Some(index))
    }

    /// The `IMAGE` element with that `INDEX`, to change.
    pub fn image_mut(&mut self, index: u32) -> Option<&mut Element> {
        self.root
            .children_mut()
            .find(|image| image.name() == "IMAGE" && index_of(image) == Some(index))
    }

    /// The `IMAGE` elements in document order.
    pub fn images(&self) -> impl Iterator<Item = &Element> {
        self.root.children().filter(|child| child.name() == "IMAGE")
    }

    /// How many `IMAGE` elements there are.
    #[must_use]
    pub fn image_count(&self) -> u32 {
        u32::try_from(self.images().count()).unwrap_or(u32::MAX)
    }

    /// True when the images are numbered 1 to `count`, each once.
    #[must_use]
    pub fn is_numbered(&self, count: u32) -> bool {
        let mut indexes: Vec<Option<u32>> = self.images().map(index_of).collect();
        indexes.sort_unstable();
        indexes.into_iter().eq((1..=count).map(Some))
    }

    /// Appends an image and gives it the next number, which is returned.
    pub fn push_image(&mut self, mut image: Element) -> u32 {
        let index = self.images().filter_map(index_of).max().unwrap_or(0).saturating_add(1);
        image.set_attribute("INDEX", &index.to_string());
        self.root.push(image);
        index
    }

    /// Takes out an image; those with higher numbers move up by one.
    pub fn remove_image(&mut self, index: u32) -> Option<Element> {
        let removed =
            self.root.take(|child| child.name() == "IMAGE" && index_of(child) == Some(index))?;
        for image in self.root.children_mut().filter(|child| child.name() == "IMAGE") {
            if let Some(number) = index_of(image).filter(|&number| number > index) {
                image.set_attribute("INDEX", &(number - 1).to_string());
            }
        }
        Some(removed)
    }

    /// Numbers the images 1, 2, 3 ... in document order.
    pub fn reindex(&mut self) {
        let images = self.root.children_mut().filter(|child| child.name() == "IMAGE");
        for (number, image) in (1..).zip(images) {
            let number: u32 = number;
            image.set_attribute("INDEX", &number.to_string());
        }
    }

    /// `NAME` of an image.
    #[must_use]
    pub fn image_name(&self, index: u32) -> Option<&str> {
        self.image(index)?.text(&["NAME"])
    }

    /// `DESCRIPTION` of an image.
    #[must_use]
    pub fn description(&self, index: u32) -> Option<&str> {
        self.image(index)?.text(&["DESCRIPTION"])
    }

    /// `DISPLAYNAME` of an image.
    #[must_use]
    pub fn display_name(&self, index: u32) -> Option<&str> {
        self.image(index)?.text(&["DISPLAYNAME"])
    }

    /// `DISPLAYDESCRIPTION` of an image.
    #[must_use]
    pub fn display_description(&self, index: u32) -> Option<&str> {
        self.image(index)?.text(&["DISPLAYDESCRIPTION"])
    }

    /// Edition of an image: `WINDOWS/EDITIONID`, else `FLAGS`.
    #[must_use]
    pub fn image_flags_edition(&self, index: u32) -> Option<&str> {
        let image = self.image(index)?;
        let text = |path: &[&str]| image.text(path).filter(|text| !text.is_empty());
        text(&["WINDOWS", "EDITIONID"]).or_else(|| text(&["FLAGS"]))
    }

    /// The document's own `TOTALBYTES`: bytes of the file in front of the XML.
    #[must_use]
    pub fn total_bytes(&self) -> Option<u64> {
        self.root.text(&["TOTALBYTES"])?.trim().parse().ok()
    }

    /// Sets the document's own `TOTALBYTES`; where there was none it becomes the first element, as DISM has it.
    pub fn set_total_bytes(&mut self, bytes: u64) {
        if self.root.child("TOTALBYTES").is_none() {
            self.root.push_front(Element::new("TOTALBYTES"));
        }
        self.root.set_text(&["TOTALBYTES"], &bytes.to_string());
    }

    /// True for a file whose images are encrypted (a distribution `.esd`).
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.root.child("ESD").is_some_and(|esd| esd.child("ENCRYPTED").is_some())
    }

    /// `LASTMODIFICATIONTIME` of an image.
    #[must_use]
    pub fn last_modification(&self, index: u32) -> Option<FileTime> {
        time(self.image(index)?, "LASTMODIFICATIONTIME")
    }

    /// `CREATIONTIME` of an image.
    #[must_use]
    pub fn creation(&self, index: u32) -> Option<FileTime> {
        time(self.image(index)?, "CREATIONTIME")
    }

    /// Sets the times of an image; `None` leaves one as it is. False when there is no such image.
    pub fn set_times(
        &mut self,
        index: u32,
        creation: Option<FileTime>,
        modification: Option<FileTime>,
    ) -> bool {
        let Some(image) = self.image_mut(index) else { return false };
        for (name, time) in [("CREATIONTIME", creation), ("LASTMODIFICATIONTIME", modification)] {
            if let Some(FileTime(ticks)) = time {
                image.set_text(&[name, "HIGHPART"], &format!("0x{:08X}", ticks >> 32));
                image.set_text(&[name, "LOWPART"], &format!("0x{:08X}", ticks & 0xffff_ffff));
            }
        }
        true
    }
}

fn index_of(image: &Element) -> Option<u32> {
    image.attribute("INDEX")?.trim().parse().ok()
}

fn time(image: &Element, name: &str) -> Option<FileTime> {
    let part = |part| {
        let text = image.text(&[name, part])?.trim();
        let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
        u32::from_str_radix(digits, 16).ok()
    };
    Some(FileTime(u64::from(part("HIGHPART")?) << 32 | u64::from(part("LOWPART")?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> WimXml {
        let text = "\u{feff}<WIM><TOTALBYTES>1476</TOTALBYTES><IMAGE INDEX=\"1\"><NAME>Eins</NAME>\
            <LASTMODIFICATIONTIME><HIGHPART>0x01DA01FC</HIGHPART><LOWPART>0x7E376E86</LOWPART></LASTMODIFICATIONTIME>\
            <FLAGS>Core</FLAGS></IMAGE><IMAGE INDEX=\"2\"><NAME>Zwei</NAME>\
            <WINDOWS><EDITIONID>Professional</EDITIONID></WINDOWS></IMAGE></WIM>";
        let bytes: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let xml = WimXml::parse(&bytes).unwrap();
        assert_eq!(xml.encode(), bytes);
        xml
    }

    #[test]
    fn images_are_found_by_number() {
        let xml = sample();
        assert_eq!(xml.image_count(), 2);
        assert!(xml.is_numbered(2) && !xml.is_numbered(1) && !xml.is_numbered(3));
        assert_eq!(xml.image_name(2), Some("Zwei"));
        assert_eq!(xml.image_name(3), None);
        assert_eq!(xml.image_flags_edition(1), Some("Core"));
        assert_eq!(xml.image_flags_edition(2), Some("Professional"));
        assert_eq!(xml.total_bytes(), Some(1476));
        assert_eq!(xml.last_modification(1), Some(FileTime(0x01da_01fc_7e37_6e86)));
        assert_eq!(xml.last_modification(2), None);
    }

    #[test]
    fn images_are_removed_and_added() {
        let mut xml = sample();
        let first = xml.remove_image(1).unwrap();
        assert_eq!(xml.image_name(1), Some("Zwei"));
        assert_eq!(xml.push_image(first), 2);
        assert_eq!(xml.image_name(2), Some("Eins"));
        xml.root_mut().children_mut().for_each(|child| child.set_attribute("INDEX", "7"));
        xml.reindex();
        assert!(xml.is_numbered(2));
        assert!(xml.remove_image(5).is_none());
    }

    #[test]
    fn times_and_sizes_are_written_as_dism_does() {
        let mut xml = sample();
        assert!(xml.set_times(2, Some(FileTime(1)), Some(FileTime(0x01da_01fc_7e37_6e86))));
        assert!(!xml.set_times(3, None, None));
        assert_eq!(xml.image(2).unwrap().text(&["CREATIONTIME", "LOWPART"]), Some("0x00000001"));
        assert_eq!(xml.last_modification(2), xml.last_modification(1));
        let mut empty = WimXml::new();
        empty.push_image(Element::new("IMAGE"));
        empty.set_total_bytes(5);
        assert_eq!(empty.root().children().next().unwrap().name(), "TOTALBYTES");
        assert_eq!(empty.total_bytes(), Some(5));
    }
}
