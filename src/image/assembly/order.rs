//! The order in which content is written.

use std::{collections::HashMap, sync::Arc};

use crate::{
    base::{digest::Sha1, name::Name},
    format::wim::{BlobSource, BlobToWrite, ImageMetadata, Wim, WriteSettings},
};

/// The order of content in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BlobOrder {
    /// As it lies in its source, one source after the other, so that neighbours are copied together; what is new comes last, in the order of
    /// the tree.
    #[default]
    Stored,
    /// For solid resources: like beside like, by extension and then by name, as wimlib has it; so the compressor finds what they have in common. What lies
    /// in a solid resource already was put in order when that was made, and comes first as it lies there: taken out of its order it would be decoded
    /// over and over.
    Solid,
}

impl BlobOrder {
    /// The order for a file that is written with these settings.
    #[must_use]
    pub fn of(settings: &WriteSettings) -> Self {
        if settings.solid.is_some() { Self::Solid } else { Self::Stored }
    }
}

/// Extension and name of the first file with that content, without case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct SolidKey {
    extension: Vec<u16>,
    name: Vec<u16>,
}

impl SolidKey {
    pub(super) fn of(name: &Name) -> Self {
        let name = name.to_upcase();
        let units = name.units();
        let dot = units.iter().rposition(|&unit| unit == u16::from(b'.'));
        let extension = dot.map_or(&[][..], |dot| &units[dot + 1..]);
        Self { extension: extension.to_vec(), name: units.to_vec() }
    }
}

/// Whether it comes after what is stored already, its name, and where it is stored: number of the WIM, and place in that.
pub(super) type Place = (bool, SolidKey, Option<(usize, (u16, Option<u32>, u64))>);

/// Where content stands in the output, as a key to sort by. `rank` numbers the WIMs.
pub(super) fn place(
    order: BlobOrder,
    key: &SolidKey,
    blob: &BlobToWrite,
    rank: &dyn Fn(&Arc<Wim>) -> usize,
) -> Place {
    let stored = match &blob.source {
        BlobSource::Wim { wim, blob } => Some((rank(wim), blob.position())),
        BlobSource::Resource { .. } | BlobSource::Bytes { .. } => None,
    };
    let is_solid = stored.is_some_and(|(_, (_, solid, _))| solid.is_some());
    match order {
        BlobOrder::Stored => (stored.is_none(), SolidKey::default(), stored),
        BlobOrder::Solid if is_solid => (false, SolidKey::default(), stored),
        BlobOrder::Solid => (true, key.clone(), None),
    }
}

/// Puts content in the order of [`BlobOrder::Solid`]: it has the names that these images give it.
pub fn sort_solid(blobs: &mut [BlobToWrite], images: &[ImageMetadata]) {
    let mut keys: HashMap<Sha1, SolidKey> = HashMap::new();
    for dentry in images.iter().flat_map(|image| &image.dentries) {
        for stream in &dentry.streams {
            keys.entry(stream.sha1).or_insert_with(|| SolidKey::of(&dentry.name));
        }
    }
    let mut wims: Vec<Arc<Wim>> = Vec::new();
    for blob in &*blobs {
        if let BlobSource::Wim { wim, .. } = &blob.source
            && !wims.iter().any(|known| Arc::ptr_eq(known, wim))
        {
            wims.push(Arc::clone(wim));
        }
    }
    let rank = |wim: &Arc<Wim>| {
        wims.iter().position(|known| Arc::ptr_eq(known, wim)).unwrap_or(wims.len())
    };
    let nameless = SolidKey::default();
    blobs.sort_by_cached_key(|blob| {
        place(BlobOrder::Solid, keys.get(&blob.sha1).unwrap_or(&nameless), blob, &rank)
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions_come_before_names_without_case() {
        let mut names = ["b.DLL", "a.exe", "noext", "A.dll", "c.dll.mui", "B.EXE"];
        names.sort_by_key(|name| SolidKey::of(&Name::from(*name)));
        assert_eq!(names, ["noext", "A.dll", "b.DLL", "a.exe", "B.EXE", "c.dll.mui"]);
    }
}
