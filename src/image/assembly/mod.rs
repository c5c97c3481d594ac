//! The images of a WIM being put together: taken from WIMs, captured, updated, removed, renamed; and the plan from which the file is written.
//!
//! - [`Assembly`]: the images in their order, with their XML and the number of the one to boot
//! - [`WritePlan`]: what [`write_wim`](crate::format::wim::write_wim) needs
//! - [`property`]: a place in an image's XML as people write it (`WINDOWS/LANGUAGES/LANGUAGE[2]`)
//! - [`commands`]: wimlib's language of update commands; [`update`]: doing them to an image
//! - [`graft`]: host files and folders into an image that is there
//!
//! Reference counts are counted anew over the metadata of all images: those of a file's own table are not always right and would outlive
//! their images. Content that a WIM has already is taken from there, where several have it from the one that came first; so a file that
//! is appended to keeps what it holds.

pub mod commands;
pub mod graft;
mod order;
pub mod property;
pub mod update;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use crate::{
    base::{digest::Sha1, filetime::FileTime},
    format::wim::{
        Blob, BlobContent, BlobSource, BlobToWrite, Element, ImageMetadata, MetadataToWrite, Wim,
        WimError, WimXml,
    },
};

use order::SolidKey;
pub use order::{BlobOrder, sort_solid};
pub use property::{PropertyError, PropertyPath};

use super::{
    content::BlobLocation,
    finish::{FinishedBlob, FinishedImage},
    xml,
};

/// Why images cannot be put together.
#[derive(Debug, thiserror::Error)]
pub enum AssemblyError {
    /// Another image has the name.
    #[error("image {index} is named `{name}` already")]
    DuplicateName {
        /// The name.
        name: String,
        /// Who has it, from 1.
        index: u32,
    },
    /// An image number that is not there.
    #[error("there is no image {index}: there are {count}")]
    NoSuchImage {
        /// The number asked for, from 1.
        index: u32,
        /// How many images there are.
        count: u32,
    },
    /// A place in the XML that cannot be set.
    #[error(transparent)]
    Property(#[from] PropertyError),
    /// Content that is in no WIM at hand.
    #[error("the content of {path} in image {index}{} (SHA-1 {sha1}) is not in the files at hand", name_in_quotes(.name))]
    MissingBlob {
        /// The image, from 1.
        index: u32,
        /// Its name; may be empty.
        name: String,
        /// The first file that needs it.
        path: String,
        /// The SHA-1 that names it.
        sha1: Sha1,
    },
    /// Content that lies in the store, which only a build has.
    #[error("blob {0} lies in the store of a build")]
    Stored(Sha1),
    /// A WIM that cannot be read.
    #[error(transparent)]
    Wim(#[from] WimError),
}

fn name_in_quotes(name: &str) -> String {
    if name.is_empty() { String::new() } else { format!(" \"{name}\"") }
}

/// The images of a WIM being put together.
#[derive(Debug, Default)]
pub struct Assembly {
    images: Vec<Part>,
    xml: WimXml,
    boot_index: u32,
    /// WIMs that content may come from, in the order they came.
    sources: Vec<Arc<Wim>>,
    /// Content that is damaged where it lies, and where it is whole.
    supplied: BTreeMap<Sha1, (Arc<Wim>, Blob)>,
}

/// One image.
#[derive(Debug)]
enum Part {
    /// As it is in a WIM.
    Stored { wim: Arc<Wim>, index: u32 },
    /// Made or changed.
    Made {
        metadata: ImageMetadata,
        blobs: BTreeMap<Sha1, FinishedBlob>,
        /// The image it was made from.
        like: Option<(Arc<Wim>, u32)>,
    },
}

/// What a WIM is written from: complete, counted, in order.
#[derive(Debug)]
pub struct WritePlan {
    /// The content.
    pub blobs: Vec<BlobToWrite>,
    /// The images' metadata, in order.
    pub images: Vec<MetadataToWrite>,
    /// The XML document.
    pub xml: WimXml,
    /// Number of the image to boot, from 1; 0 for none.
    pub boot_index: u32,
}

impl WritePlan {
    /// Uncompressed bytes of all content.
    #[must_use]
    pub fn content_bytes(&self) -> u64 {
        self.blobs.iter().map(|blob| blob.size).sum()
    }

    /// Has all content compressed anew, also what is stored in the right form.
    ///
    /// # Errors
    /// When a resource cannot be true.
    pub fn recompress(&mut self) -> Result<(), AssemblyError> {
        for blob in &mut self.blobs {
            let BlobSource::Wim { wim, blob: stored } = &blob.source else { continue };
            let decoded = BlobContent::new(Arc::clone(wim), *stored)?;
            blob.source = BlobSource::Bytes { source: Arc::new(decoded) };
        }
        Ok(())
    }
}

impl Assembly {
    /// No images.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// All images of a WIM as they are, with its boot image and what else its XML says.
    #[must_use]
    pub fn of(wim: &Arc<Wim>) -> Self {
        let images = (1..=wim.image_count())
            .map(|index| Part::Stored { wim: Arc::clone(wim), index })
            .collect();
        Self {
            images,
            xml: wim.xml().clone(),
            boot_index: wim.header().boot_index,
            sources: vec![Arc::clone(wim)],
            supplied: BTreeMap::new(),
        }
    }

    /// How many images there are.
    #[must_use]
    pub fn image_count(&self) -> u32 {
        u32::try_from(self.images.len()).unwrap_or(u32::MAX)
    }

    /// The XML document as it stands.
    #[must_use]
    pub fn xml(&self) -> &WimXml {
        &self.xml
    }

    /// Number of the image to boot, from 1; 0 for none.
    #[must_use]
    pub fn boot_index(&self) -> u32 {
        self.boot_index
    }

    /// Content that is in `wim` is taken from there and not written anew.
    pub fn also_from(&mut self, wim: &Arc<Wim>) {
        if !self.sources.iter().any(|known| Arc::ptr_eq(known, wim)) {
            self.sources.push(Arc::clone(wim));
        }
    }

    /// Content that is damaged in the WIMs at hand is taken from `wim`, where `blob` has it whole. The file must then be written anew: what is appended to keeps
    /// what it holds.
    pub fn supply(&mut self, wim: &Arc<Wim>, blob: Blob) {
        self.supplied.insert(blob.sha1, (Arc::clone(wim), blob));
    }

    /// Appends image `index` of `wim`, under another name and description where given. Returns its number here.
    ///
    /// # Errors
    /// When there is no such image, or an image here has its name; unnamed ones are never alike.
    pub fn push_from(
        &mut self,
        wim: &Arc<Wim>,
        index: u32,
        name: Option<&str>,
        description: Option<&str>,
    ) -> Result<u32, AssemblyError> {
        wim.metadata_blob(index)?;
        let mut element = wim.xml().image(index).cloned().unwrap_or_else(|| Element::new("IMAGE"));
        for (place, text) in [("NAME", name), ("DESCRIPTION", description)] {
            if let Some(text) = text {
                property::set(&mut element, &PropertyPath::of(place), text)?;
            }
        }
        self.check_name(element.text(&["NAME"]).unwrap_or_default(), None)?;
        self.also_from(wim);
        self.images.push(Part::Stored { wim: Arc::clone(wim), index });
        Ok(self.xml.push_image(element))
    }

    /// Appends a captured image and its XML element. Returns its number.
    ///
    /// # Errors
    /// When an image here has its name.
    pub fn push(&mut self, image: FinishedImage, element: Element) -> Result<u32, AssemblyError> {
        self.check_name(element.text(&["NAME"]).unwrap_or_default(), None)?;
        self.images.push(made(image, None));
        Ok(self.xml.push_image(element))
    }

    /// Takes an image out. Those behind it move up by one, and the boot index with them; when it was the one to boot, none is.
    ///
    /// # Errors
    /// When there is no such image.
    pub fn remove(&mut self, index: u32) -> Result<(), AssemblyError> {
        let place = self.place(index)?;
        self.images.remove(place);
        self.xml.remove_image(index);
        self.boot_index = match self.boot_index {
            boot if boot == index => 0,
            boot if boot > index => boot - 1,
            boot => boot,
        };
        Ok(())
    }

    /// Puts an updated image in place of image `index`, from which it was made, and brings its XML up to date; `modified` is the time of
    /// its last modification. One that did not change changes nothing.
    ///
    /// # Errors
    /// When there is no such image.
    pub fn replace(
        &mut self,
        index: u32,
        image: FinishedImage,
        modified: FileTime,
    ) -> Result<(), AssemblyError> {
        let place = self.place(index)?;
        if !image.changed {
            return Ok(());
        }
        if let Some(element) = self.xml.image_mut(index) {
            xml::update(element, &image, modified);
        }
        let before = match &self.images[place] {
            Part::Stored { wim, index } => Some((Arc::clone(wim), *index)),
            Part::Made { like, .. } => like.clone(),
        };
        self.images[place] = made(image, before);
        Ok(())
    }

    /// Sets a property of an image's XML; an empty text takes the element out.
    ///
    /// # Errors
    /// When there is no such image, the path leads nowhere, or another image has the name that is set.
    pub fn set_text(
        &mut self,
        index: u32,
        path: &PropertyPath,
        text: &str,
    ) -> Result<(), AssemblyError> {
        self.place(index)?;
        if path.is("NAME") {
            self.check_name(text, Some(index))?;
        }
        let count = self.image_count();
        let element =
            self.xml.image_mut(index).ok_or(AssemblyError::NoSuchImage { index, count })?;
        Ok(property::set(element, path, text)?)
    }

    /// Sets which image is booted; 0 for none.
    ///
    /// # Errors
    /// When there is no such image.
    pub fn set_boot(&mut self, index: u32) -> Result<(), AssemblyError> {
        if index != 0 {
            self.place(index)?;
        }
        self.boot_index = index;
        Ok(())
    }

    /// The plan for writing: content counted over all images and in `order`.
    ///
    /// # Errors
    /// When a source's metadata cannot be read, or content is in none of the files at hand.
    pub fn plan(self, order: BlobOrder) -> Result<WritePlan, AssemblyError> {
        let (sources, supplied) = (self.sources, self.supplied);
        let mut gathered = Gathered { sources, supplied, order, ..Gathered::default() };
        let mut images = Vec::with_capacity(self.images.len());
        for (index, part) in (1..).zip(self.images) {
            let name = || self.xml.image_name(index).unwrap_or_default().to_owned();
            let add = |gathered: &mut Gathered, metadata: &ImageMetadata, made: &_| {
                gathered.add(metadata, made).map_err(|missing| match missing {
                    Missing::Stored(sha1) => AssemblyError::Stored(sha1),
                    Missing::Nowhere { sha1, dentry } => AssemblyError::MissingBlob {
                        index,
                        name: name(),
                        path: path_of(metadata, dentry),
                        sha1,
                    },
                })
            };
            images.push(match part {
                Part::Stored { wim, index } => {
                    add(&mut gathered, &wim.metadata(index)?, &BTreeMap::new())?;
                    MetadataToWrite::Copy { wim, index }
                }
                Part::Made { metadata, blobs, like } => {
                    add(&mut gathered, &metadata, &blobs)?;
                    let bytes = metadata.encode();
                    match like {
                        Some((wim, index)) => MetadataToWrite::Like { bytes, wim, index },
                        None => MetadataToWrite::Bytes(bytes),
                    }
                }
            });
        }
        let boot_index = self.boot_index;
        Ok(WritePlan { blobs: gathered.finish(), images, xml: self.xml, boot_index })
    }

    fn place(&self, index: u32) -> Result<usize, AssemblyError> {
        let count = self.image_count();
        if index == 0 || index > count {
            return Err(AssemblyError::NoSuchImage { index, count });
        }
        Ok(index as usize - 1)
    }

    /// Refuses a name that an image other than `own` has.
    fn check_name(&self, name: &str, own: Option<u32>) -> Result<(), AssemblyError> {
        let taken = (1..=self.image_count())
            .filter(|index| Some(*index) != own)
            .find(|index| !name.is_empty() && self.xml.image_name(*index) == Some(name));
        match taken {
            Some(index) => Err(AssemblyError::DuplicateName { name: name.to_owned(), index }),
            None => Ok(()),
        }
    }
}

fn made(image: FinishedImage, like: Option<(Arc<Wim>, u32)>) -> Part {
    let blobs = image.blobs.into_iter().map(|blob| (blob.sha1, blob)).collect();
    Part::Made { metadata: image.metadata, blobs, like }
}

/// The content of all images while they are counted.
#[derive(Debug, Default)]
struct Gathered {
    sources: Vec<Arc<Wim>>,
    supplied: BTreeMap<Sha1, (Arc<Wim>, Blob)>,
    order: BlobOrder,
    /// For look-up only; never iterated.
    places: HashMap<Sha1, usize>,
    blobs: Vec<(SolidKey, BlobToWrite)>,
}

/// Content that cannot be had.
enum Missing {
    Stored(Sha1),
    Nowhere { sha1: Sha1, dentry: usize },
}

impl Gathered {
    /// Counts what an image refers to.
    fn add(
        &mut self,
        metadata: &ImageMetadata,
        made: &BTreeMap<Sha1, FinishedBlob>,
    ) -> Result<(), Missing> {
        for (place, dentry) in metadata.dentries.iter().enumerate() {
            for stream in dentry.streams.iter().filter(|stream| !stream.sha1.is_zero()) {
                if let Some(&known) = self.places.get(&stream.sha1) {
                    let count = &mut self.blobs[known].1.reference_count;
                    *count = count.saturating_add(1);
                    continue;
                }
                let (size, source) = self.find(stream.sha1, place, made)?;
                let key = match self.order {
                    BlobOrder::Stored => SolidKey::default(),
                    BlobOrder::Solid => SolidKey::of(&dentry.name),
                };
                let blob = BlobToWrite { sha1: stream.sha1, size, reference_count: 1, source };
                self.places.insert(stream.sha1, self.blobs.len());
                self.blobs.push((key, blob));
            }
        }
        Ok(())
    }

    fn find(
        &self,
        sha1: Sha1,
        dentry: usize,
        made: &BTreeMap<Sha1, FinishedBlob>,
    ) -> Result<(u64, BlobSource), Missing> {
        if let Some((wim, blob)) = self.supplied.get(&sha1) {
            return Ok((blob.size, BlobSource::Wim { wim: Arc::clone(wim), blob: *blob }));
        }
        let in_wim = self.sources.iter().find_map(|wim| Some((wim, wim.blob(&sha1)?)));
        if let Some((wim, blob)) = in_wim {
            return Ok((blob.size, BlobSource::Wim { wim: Arc::clone(wim), blob: *blob }));
        }
        let Some(found) = made.get(&sha1) else { return Err(Missing::Nowhere { sha1, dentry }) };
        let source = match &found.location {
            BlobLocation::Base(wim, blob) => BlobSource::Wim { wim: Arc::clone(wim), blob: *blob },
            BlobLocation::Memory(bytes) => {
                BlobSource::Bytes { source: Arc::new(Arc::clone(bytes)) }
            }
            BlobLocation::Host(source) => BlobSource::Bytes { source: Arc::clone(source) },
            BlobLocation::Secret(bytes) => BlobSource::Bytes { source: Arc::new(bytes.clone()) },
            // A finished image has no templates.
            BlobLocation::Template(_) | BlobLocation::Stored(_) => {
                return Err(Missing::Stored(sha1));
            }
        };
        Ok((found.size, source))
    }

    /// The content in the order in which it is to be written.
    fn finish(self) -> Vec<BlobToWrite> {
        let Self { sources, order, mut blobs, .. } = self;
        let rank = |wim: &Arc<Wim>| {
            sources.iter().position(|known| Arc::ptr_eq(known, wim)).unwrap_or(sources.len())
        };
        blobs.sort_by_cached_key(|(key, blob)| order::place(order, key, blob, &rank));
        blobs.into_iter().map(|(_, blob)| blob).collect()
    }
}

/// The path of an entry, for messages.
fn path_of(metadata: &ImageMetadata, dentry: usize) -> String {
    let mut parents = vec![usize::MAX; metadata.dentries.len()];
    for (place, folder) in metadata.dentries.iter().enumerate() {
        for &child in &folder.children {
            if let Some(parent) = parents.get_mut(child as usize) {
                *parent = place;
            }
        }
    }
    let mut names = Vec::new();
    let mut at = dentry;
    // A parsed image is a tree; this keeps a damaged one from going round.
    while let (Some(entry), true) = (metadata.dentries.get(at), names.len() < parents.len()) {
        let parent = parents[at];
        if parent == usize::MAX {
            break;
        }
        names.push(entry.name.to_string());
        at = parent;
    }
    names.reverse();
    format!("\\{}", names.join("\\"))
}

#[cfg(test)]
mod tests;
