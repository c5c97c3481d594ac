//! The facts and counts of a changed image in the WIM's XML.

use crate::{base::filetime::FileTime, format::wim::Element};

use super::finish::FinishedImage;

/// Updates the `<IMAGE>` element of a changed image: counts, last modification time, and of the `<WINDOWS>` block what the image
/// has a source for. Elements without a source keep their value; unknown elements and the order stay.
pub fn update(element: &mut Element, image: &FinishedImage, modified: FileTime) {
    let _ = (element, image, modified);
    todo!()
}
