//! What lies at an offset of a WIM file.

use std::ops::Range;

use super::images::files_of;
use crate::format::wim::{Header, ResourceHeader, Wim};

/// Fields of the header: where each ends, and its name.
const HEADER: [(u64, &str); 13] = [
    (0x08, "magic"),
    (0x0c, "size of the header"),
    (0x10, "version"),
    (0x14, "flags"),
    (0x18, "chunk size"),
    (0x28, "GUID, which is made of all the content"),
    (0x2c, "part numbers"),
    (0x30, "number of images"),
    (0x48, "place of the blob table"),
    (0x60, "place of the XML"),
    (0x7c, "boot image"),
    (0x94, "place of the integrity table"),
    (0xd0, "unused bytes"),
];

/// What lies at `offset` of the file `volume` of a WIM.
pub(super) fn at(wim: &Wim, volume: u16, offset: u64) -> String {
    if offset < Header::SIZE as u64 {
        let field = HEADER.iter().find(|(end, _)| offset < *end).map_or("", |(_, name)| name);
        return format!("header: {field}");
    }
    let header = match wim.volumes().get(usize::from(volume)) {
        Some(volume) => volume.header(),
        None => wim.header(),
    };
    let parts = [
        (&header.blob_table, "blob table"),
        (&header.xml, "XML"),
        (&header.integrity, "integrity table"),
    ];
    for (place, name) in parts {
        if let Some(within) = within(place, offset) {
            return format!("{name}, byte {within} of it");
        }
    }
    for index in 1..=wim.image_count() {
        if let Ok(blob) = wim.metadata_blob(index)
            && blob.volume == volume
            && let Some(within) = within(&blob.resource, offset)
        {
            return format!("metadata of image {index}, byte {within} of it as it is stored");
        }
    }
    for (number, solid) in wim.solids(volume).iter().enumerate() {
        if within(&solid.header(), offset).is_some() {
            let index = u32::try_from(number).unwrap_or(u32::MAX);
            let files = wim.blobs_of_solid(volume, index).count();
            return format!("solid resource {} with {files} contents", number + 1);
        }
    }
    let blob = wim.blobs().iter().find(|blob| {
        blob.volume == volume && blob.solid.is_none() && within(&blob.resource, offset).is_some()
    });
    match blob {
        Some(blob) => {
            let within = offset - blob.resource.offset;
            let files = files_of(wim, &blob.sha1);
            format!("content of {files}, byte {within} of it as it is stored")
        }
        None => "bytes that belong to nothing".to_owned(),
    }
}

/// How far `offset` is inside of a resource.
fn within(place: &ResourceHeader, offset: u64) -> Option<u64> {
    let range: Range<u64> = place.offset..place.end()?;
    range.contains(&offset).then(|| offset - place.offset)
}
