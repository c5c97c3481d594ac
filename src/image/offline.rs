//! The image itself: opening, reading, and the steps of its record.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    base::{
        digest::{Blake3, Sha1},
        filetime::FileTime,
        limits::Limits,
        name::Name,
        ntpath::NtPath,
    },
    format::{hive::Value, wim::Wim},
    store::StoredBlob,
};

use super::{
    changeset::Changeset,
    content::{BlobLocation, BlobRef, StoredContent},
    error::ImageError,
    facts::ImageFacts,
    registry::RegistryPath,
    tree::Tree,
};

/// An offline Windows image in memory. File bodies stay where they are.
#[derive(Debug)]
pub struct Image {
    tree: Tree,
    base: Option<Arc<Wim>>,
    blobs: BTreeMap<Sha1, BlobLocation>,
    epoch: FileTime,
    changed: bool,
}

/// What a new or replaced file or folder gets.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NewNode {
    /// All attributes; `None`: as they are, or `ARCHIVE` for a new file.
    pub attributes: Option<u32>,
    /// A self-relative security descriptor; `None`: as it is, or inherited from the parent for what is new.
    pub security: Option<Vec<u8>>,
}

impl Image {
    /// Opens image `index` (from 1) of `wim`. Reads its metadata only.
    ///
    /// # Errors
    /// When there is no such image, or its metadata is damaged.
    pub fn open(wim: Arc<Wim>, index: u32, limits: &Limits) -> Result<Self, ImageError> {
        let _ = (wim, index, limits);
        todo!()
    }

    /// An image with a root folder and nothing in it.
    #[must_use]
    pub fn empty(epoch: FileTime) -> Self {
        let _ = epoch;
        todo!()
    }

    /// The identity of the image as it was opened: BLAKE3 over the SHA-1 of its metadata.
    #[must_use]
    pub fn base_digest(&self) -> Blake3 {
        todo!()
    }

    /// Sets the time that everything new or written gets.
    pub fn set_epoch(&mut self, epoch: FileTime) {
        self.epoch = epoch;
    }

    /// Gives the image a way to read what lies in the store.
    pub fn set_stored_content(&mut self, content: Arc<dyn StoredContent>) {
        let _ = content;
        todo!()
    }

    /// The tree.
    #[must_use]
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// The content of the file at `path`.
    ///
    /// # Errors
    /// When there is none, or its content cannot be read.
    pub fn read(&self, path: &NtPath) -> Result<Vec<u8>, ImageError> {
        let _ = path;
        todo!()
    }

    /// Content by name.
    ///
    /// # Errors
    /// When it is nowhere or cannot be read.
    pub fn read_blob(&self, blob: &BlobRef) -> Result<Vec<u8>, ImageError> {
        let _ = blob;
        todo!()
    }

    /// Where content lies; `None` when it is nowhere.
    #[must_use]
    pub fn location(&self, blob: &BlobRef) -> Option<BlobLocation> {
        let _ = blob;
        todo!()
    }

    /// Makes a folder, and those above it.
    ///
    /// # Errors
    /// When a file or link is in the way.
    pub fn make_directory(&mut self, path: &NtPath, options: &NewNode) -> Result<(), ImageError> {
        let _ = (path, options);
        todo!()
    }

    /// Puts a file in place, new or replaced.
    ///
    /// # Errors
    /// When a folder is there, or a file or link is in the way.
    pub fn put_file(
        &mut self,
        path: &NtPath,
        content: StoredBlob,
        options: &NewNode,
    ) -> Result<(), ImageError> {
        let _ = (path, content, options);
        todo!()
    }

    /// Puts a small file in place whose content goes into the changeset itself.
    ///
    /// # Errors
    /// As [`Image::put_file`].
    pub fn put_bytes(
        &mut self,
        path: &NtPath,
        content: Vec<u8>,
        options: &NewNode,
    ) -> Result<(), ImageError> {
        let _ = (path, content, options);
        todo!()
    }

    /// Takes a file or folder away, with all below it; nothing there is fine.
    ///
    /// # Errors
    /// For the root, and for a link on the way.
    pub fn remove(&mut self, path: &NtPath) -> Result<(), ImageError> {
        let _ = path;
        todo!()
    }

    /// Moves a file or folder to a path where nothing is.
    ///
    /// # Errors
    /// When it is not there, or something is at the new path.
    pub fn rename(&mut self, from: &NtPath, to: &NtPath) -> Result<(), ImageError> {
        let _ = (from, to);
        todo!()
    }

    /// Sets and clears attributes.
    ///
    /// # Errors
    /// When nothing is there.
    pub fn set_attributes(
        &mut self,
        path: &NtPath,
        set: u32,
        clear: u32,
    ) -> Result<(), ImageError> {
        let _ = (path, set, clear);
        todo!()
    }

    /// Sets the security descriptor.
    ///
    /// # Errors
    /// When nothing is there.
    pub fn set_security(&mut self, path: &NtPath, descriptor: &[u8]) -> Result<(), ImageError> {
        let _ = (path, descriptor);
        todo!()
    }

    /// A value; `None` when the key or the value is not there.
    ///
    /// # Errors
    /// When the hive is missing or damaged.
    pub fn registry_value(
        &mut self,
        path: &RegistryPath,
        name: &Name,
    ) -> Result<Option<Value>, ImageError> {
        let _ = (path, name);
        todo!()
    }

    /// True when the key is there.
    ///
    /// # Errors
    /// When the hive is missing or damaged.
    pub fn registry_key_exists(&mut self, path: &RegistryPath) -> Result<bool, ImageError> {
        let _ = path;
        todo!()
    }

    /// The names of the keys below a key; none when it is not there.
    ///
    /// # Errors
    /// When the hive is missing or damaged.
    pub fn registry_subkeys(&mut self, path: &RegistryPath) -> Result<Vec<Name>, ImageError> {
        let _ = path;
        todo!()
    }

    /// The values of a key; none when it is not there.
    ///
    /// # Errors
    /// When the hive is missing or damaged.
    pub fn registry_values(&mut self, path: &RegistryPath) -> Result<Vec<Value>, ImageError> {
        let _ = path;
        todo!()
    }

    /// Makes a key, and those above it.
    ///
    /// # Errors
    /// When the hive is missing, damaged or full.
    pub fn create_key(&mut self, path: &RegistryPath) -> Result<(), ImageError> {
        let _ = path;
        todo!()
    }

    /// Takes a key away, with all below it; not there is fine.
    ///
    /// # Errors
    /// When the hive is missing or damaged, or the key is the hive's root.
    pub fn delete_key(&mut self, path: &RegistryPath) -> Result<(), ImageError> {
        let _ = path;
        todo!()
    }

    /// Sets a value; makes the key when it is not there.
    ///
    /// # Errors
    /// When the hive is missing, damaged or full.
    pub fn set_value(&mut self, path: &RegistryPath, value: &Value) -> Result<(), ImageError> {
        let _ = (path, value);
        todo!()
    }

    /// Takes a value away; not there is fine.
    ///
    /// # Errors
    /// When the hive is missing or damaged.
    pub fn delete_value(&mut self, path: &RegistryPath, name: &Name) -> Result<(), ImageError> {
        let _ = (path, name);
        todo!()
    }

    /// Begins the record of a step.
    pub fn begin_step(&mut self) {
        todo!()
    }

    /// Ends the record of a step: what it did.
    pub fn end_step(&mut self) -> Changeset {
        todo!()
    }

    /// Does again what a step did.
    ///
    /// # Errors
    /// When the image is not in the state the step was recorded on.
    pub fn replay(&mut self, changes: &Changeset) -> Result<(), ImageError> {
        let _ = changes;
        todo!()
    }

    /// What is known of the image.
    pub fn facts(&mut self) -> ImageFacts {
        todo!()
    }

    /// False while it is the image that was opened.
    #[must_use]
    pub fn is_changed(&self) -> bool {
        self.changed
    }
}
