//! The image itself: opening, reading, and the record of what was done to it.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, OnceLock},
};

use crate::{
    base::{
        digest::{Blake3, Sha1},
        filetime::FileTime,
        limits::Limits,
        name::Name,
        ntpath::NtPath,
    },
    format::wim::Wim,
};

use super::{
    changeset::{Change, Changeset},
    content::{BlobLocation, BlobRef, StoredContent},
    error::ImageError,
    facts::{FactSources, ImageFacts},
    hives::Hives,
    metadata,
    secrets::SecretValue,
    tree::{ATTRIBUTE_DIRECTORY, Inode, Tree},
};

/// Bytes that are copied at a time.
const COPY_BUFFER: usize = 256 << 10;

/// An offline Windows image in memory. File bodies stay where they are.
#[derive(Debug)]
pub struct Image {
    pub(super) tree: Tree,
    pub(super) base: Option<Arc<Wim>>,
    /// True when the WIM says that it is a Windows PE.
    pub(super) is_windows_pe: bool,
    base_digest: Blake3,
    warnings: Vec<String>,
    /// Content that is not in the base WIM.
    pub(super) blobs: BTreeMap<Sha1, BlobLocation>,
    epoch: FileTime,
    limits: Limits,
    pub(super) changed: bool,
    record: Option<Vec<Change>>,
    pub(super) hives: Hives,
    /// Registry values that are placeholders of secrets.
    pub(super) secrets: Vec<SecretValue>,
    stored: Option<Arc<dyn StoredContent>>,
    /// What the image said of itself before the first change that could alter it.
    pub(super) base_facts: Option<ImageFacts>,
    pub(super) known_facts: Option<(FactSources, ImageFacts)>,
    system_root: OnceLock<Name>,
    /// How often something changed that facts are read from.
    pub(super) registry_edits: u64,
}

/// What a new or replaced file or folder gets.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NewNode {
    /// All attributes; `None`: as they are, or `ARCHIVE` for a new file.
    pub attributes: Option<u32>,
    /// A self-relative security descriptor; `None`: as it is, or inherited from the parent for what is new.
    pub security: Option<Vec<u8>>,
    /// When a file's content was last written; `None`: the image's epoch where the content is new, else as it is. Of no meaning for folders.
    pub last_write: Option<FileTime>,
}

impl Image {
    /// Opens image `index` (from 1) of `wim`. Reads its metadata only.
    ///
    /// # Errors
    /// When there is no such image, or its metadata is damaged.
    pub fn open(wim: Arc<Wim>, index: u32, limits: &Limits) -> Result<Self, ImageError> {
        let name = wim.metadata_blob(index)?.sha1;
        let mut metadata = wim.metadata(index)?;
        let warnings = std::mem::take(&mut metadata.warnings);
        let size_of = |sha1: &Sha1| wim.blob(sha1).map_or(0, |blob| blob.size);
        let tree = metadata::to_tree(metadata, &size_of)?;
        let mut text = b"transom base image ".to_vec();
        text.extend_from_slice(&name.0);
        // A small Windows PE may say it nowhere else: of its hives only what it needs is left.
        let said = |path: &str| {
            let element = wim.xml().image(index)?;
            Some(element.text(&["WINDOWS", path])?.eq_ignore_ascii_case("WindowsPE"))
        };
        let is_windows_pe =
            ["EDITIONID", "INSTALLATIONTYPE"].iter().any(|path| said(path) == Some(true));
        if is_windows_pe {
            text.extend_from_slice(b" Windows PE");
        }
        let mut image = Self::with_tree(tree, FileTime::default(), *limits);
        image.is_windows_pe = is_windows_pe;
        image.base = Some(wim);
        image.warnings = warnings;
        image.base_digest = Blake3::of(&text);
        Ok(image)
    }

    /// An image with a root folder and nothing in it.
    #[must_use]
    pub fn empty(epoch: FileTime) -> Self {
        let root = Inode::new(ATTRIBUTE_DIRECTORY, None, epoch);
        let mut image = Self::with_tree(Tree::new(root, Vec::new()), epoch, Limits::default());
        image.changed = true;
        image.base_facts = Some(ImageFacts::default());
        image
    }

    fn with_tree(tree: Tree, epoch: FileTime, limits: Limits) -> Self {
        Self {
            tree,
            base: None,
            is_windows_pe: false,
            base_digest: Blake3::of(b"transom empty image"),
            warnings: Vec::new(),
            blobs: BTreeMap::new(),
            epoch,
            limits,
            changed: false,
            record: None,
            hives: Hives::default(),
            secrets: Vec::new(),
            stored: None,
            base_facts: None,
            known_facts: None,
            system_root: OnceLock::new(),
            registry_edits: 0,
        }
    }

    /// The identity of the image as it was opened: BLAKE3 over the SHA-1 of its metadata.
    #[must_use]
    pub fn base_digest(&self) -> Blake3 {
        self.base_digest
    }

    /// What was odd about its metadata when it was opened.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The time that everything new or written gets.
    #[must_use]
    pub fn epoch(&self) -> FileTime {
        self.epoch
    }

    /// Sets the time that everything new or written gets.
    pub fn set_epoch(&mut self, epoch: FileTime) {
        self.epoch = epoch;
    }

    /// Gives the image a way to read what lies in the store.
    pub fn set_stored_content(&mut self, content: Arc<dyn StoredContent>) {
        self.stored = Some(content);
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The tree.
    #[must_use]
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// False while it is the image that was opened.
    #[must_use]
    pub fn is_changed(&self) -> bool {
        self.changed
    }

    /// Name of the folder that holds Windows: the one at the top that holds most of `System32\config\SOFTWARE`, `System32\config\SYSTEM` and
    /// `System32\kernel32.dll`. `Windows` where none does.
    #[must_use]
    pub fn system_root(&self) -> Name {
        self.system_root.get_or_init(|| self.find_system_root()).clone()
    }

    fn find_system_root(&self) -> Name {
        let marks =
            [r"System32\config\SOFTWARE", r"System32\config\SYSTEM", r"System32\kernel32.dll"];
        let score = |name: &Name| {
            let has = |mark: &&str| {
                let mut names = vec![name.clone()];
                names.extend(mark.split('\\').map(Name::from));
                self.tree.lookup(&NtPath::from_names(names)).is_some()
            };
            marks.iter().filter(|mark| has(mark)).count()
        };
        let usual = Name::from("Windows");
        let top = self.tree.children(self.tree.root()).iter();
        let mut best = (score(&usual), self.tree.child(self.tree.root(), &usual));
        for &id in top {
            let found = score(&self.tree.node(id).name);
            if found > best.0 {
                best = (found, Some(id));
            }
        }
        best.1.map_or(usual, |id| self.tree.node(id).name.clone())
    }

    /// The content of the file at `path`. A registry hive that is being edited is read as it was before.
    ///
    /// # Errors
    /// When there is none, or its content cannot be read.
    pub fn read(&self, path: &NtPath) -> Result<Vec<u8>, ImageError> {
        let node = self.tree.lookup(path).ok_or_else(|| ImageError::NotFound(path.clone()))?;
        let inode = self.tree.inode(node);
        if inode.is_directory() {
            return Err(ImageError::IsDirectory(path.clone()));
        }
        self.read_content(&inode.data(), path)
    }

    /// Content by name.
    ///
    /// # Errors
    /// When it is nowhere or cannot be read.
    pub fn read_blob(&self, blob: &BlobRef) -> Result<Vec<u8>, ImageError> {
        self.read_content(blob, &NtPath::root())
    }

    fn read_content(&self, blob: &BlobRef, path: &NtPath) -> Result<Vec<u8>, ImageError> {
        if let Some(BlobLocation::Base(wim, found)) = self.location(blob) {
            return Ok(wim.read_blob(&found)?);
        }
        let mut bytes = Vec::new();
        self.stream(blob, path, &mut |part| {
            bytes.extend_from_slice(part);
            Ok(())
        })?;
        Ok(bytes)
    }

    /// Passes content to `sink` in order; `path` names it in errors.
    ///
    /// # Errors
    /// When it is nowhere or cannot be read, and what `sink` returns.
    pub fn stream(
        &self,
        blob: &BlobRef,
        path: &NtPath,
        sink: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<(), ImageError> {
        if blob.sha1.is_zero() {
            return Ok(());
        }
        let fail = |source| ImageError::Content { what: path.to_string(), source };
        match self.location(blob) {
            Some(BlobLocation::Base(wim, blob)) => Ok(wim.stream_blob(&blob, sink)?),
            Some(BlobLocation::Stored(stored)) => match &self.stored {
                Some(content) => {
                    let bytes = content.read(&stored).map_err(fail)?;
                    sink(&bytes).map_err(fail)
                }
                None => Err(self.missing(path, blob, "; it lies in a store that was not given")),
            },
            Some(BlobLocation::Memory(bytes)) => sink(&bytes).map_err(fail),
            Some(BlobLocation::Template(template)) => {
                sink(template.text().as_bytes()).map_err(fail)
            }
            Some(BlobLocation::Secret(bytes)) => sink(&bytes.0).map_err(fail),
            Some(BlobLocation::Host(source)) => {
                let mut buffer = vec![0; COPY_BUFFER];
                let mut offset = 0;
                while offset < source.size() {
                    let left = usize::try_from(source.size() - offset).unwrap_or(COPY_BUFFER);
                    let part = &mut buffer[..left.min(COPY_BUFFER)];
                    source.read_exact_at(offset, part).map_err(fail)?;
                    sink(part).map_err(fail)?;
                    offset += part.len() as u64;
                }
                Ok(())
            }
            None => Err(self.missing(path, blob, "")),
        }
    }

    pub(super) fn missing(&self, path: &NtPath, blob: &BlobRef, hint: &'static str) -> ImageError {
        ImageError::MissingBlob { path: path.clone(), sha1: blob.sha1, hint }
    }

    /// Where content lies; `None` when it is nowhere, or empty.
    #[must_use]
    pub fn location(&self, blob: &BlobRef) -> Option<BlobLocation> {
        // What is new first: the base's copy of the same content is copied unread and may be damaged.
        if let Some(new) = self.blobs.get(&blob.sha1) {
            return Some(new.clone());
        }
        let wim = self.base.as_ref()?;
        wim.blob(&blob.sha1).map(|found| BlobLocation::Base(Arc::clone(wim), *found))
    }

    /// Has content read from, and later written from, another place: the base's own copy of it is damaged or missing. Who does this has checked that what lies
    /// there has that SHA-1.
    pub fn supply(&mut self, sha1: Sha1, location: BlobLocation) {
        self.blobs.insert(sha1, location);
    }

    /// Begins the record of a step. What an earlier record holds is dropped.
    pub fn begin_step(&mut self) {
        self.record = Some(Vec::new());
    }

    /// Ends the record of a step: what it did.
    pub fn end_step(&mut self) -> Changeset {
        Changeset(self.record.take().unwrap_or_default())
    }

    /// Does again what a step did.
    ///
    /// # Errors
    /// When the image is not in the state the step was recorded on.
    pub fn replay(&mut self, changes: &Changeset) -> Result<(), ImageError> {
        changes.0.iter().try_for_each(|change| self.perform(change.clone()))
    }

    /// Does a change and records it: the one way in which an image changes.
    pub(super) fn perform(&mut self, change: Change) -> Result<(), ImageError> {
        self.remember_facts_before(&change);
        match change {
            Change::CreateKey { .. }
            | Change::SetKeySecurity { .. }
            | Change::SetKeyTime { .. }
            | Change::DeleteKey { .. }
            | Change::SetValue { .. }
            | Change::SetSecret { .. }
            | Change::DeleteValue { .. } => self.apply_to_hive(&change)?,
            _ => self.apply_to_tree(&change)?,
        }
        if can_move_windows(&change) {
            self.system_root.take();
        }
        self.changed = true;
        if let Some(record) = &mut self.record {
            record.push(change);
        }
        Ok(())
    }

    /// Prepares for a change at `path` and below it that no record can hold: of files of the host.
    pub(super) fn change_unrecorded(&mut self, path: &NtPath) {
        debug_assert!(self.record.is_none(), "a step's changes are recorded");
        self.remember_facts_before(&Change::Remove { path: path.clone() });
        self.system_root.take();
        self.changed = true;
    }
}

/// True for changes near the top or in `System32`: only those can change which folder holds Windows.
fn can_move_windows(change: &Change) -> bool {
    let near = |path: &NtPath| match path.names() {
        [] | [_] => true,
        [_, second, rest @ ..] => rest.len() <= 2 && second.is("System32"),
    };
    match change {
        Change::MakeDirectory { path, .. }
        | Change::PutFile { path, .. }
        | Change::Link { path, .. }
        | Change::Remove { path } => near(path),
        Change::Rename { from, to } => near(from) || near(to),
        Change::SetAttributes { .. }
        | Change::SetSecurity { .. }
        | Change::Separate { .. }
        | Change::CreateKey { .. }
        | Change::SetKeySecurity { .. }
        | Change::SetKeyTime { .. }
        | Change::DeleteKey { .. }
        | Change::SetValue { .. }
        | Change::SetSecret { .. }
        | Change::DeleteValue { .. } => false,
    }
}
