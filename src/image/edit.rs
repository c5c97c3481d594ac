//! Edits of files and folders: what the caller wants is compared with what is there, resolved to a [`Change`], and done.

use std::sync::Arc;

use crate::{
    base::{digest::Sha1, malformed::Malformed, name::Name, ntpath::NtPath, secret::SecretBytes},
    format::{
        security::{SecurityDescriptor, inherit},
        wim::StreamKind,
    },
    store::StoredBlob,
};

use super::{
    changeset::{Change, FileContent},
    content::{BlobLocation, BlobRef},
    error::{ImageError, MOST_LEVELS},
    offline::{Image, NewNode},
    secrets::template_ref,
    tree::{
        ATTRIBUTE_ARCHIVE, ATTRIBUTE_COMPRESSED, ATTRIBUTE_DIRECTORY, ATTRIBUTE_HIDDEN,
        ATTRIBUTE_NORMAL, ATTRIBUTE_NOT_INDEXED, ATTRIBUTE_READONLY, ATTRIBUTE_REPARSE,
        ATTRIBUTE_SYSTEM, FileStream, Inode, NodeId,
    },
};

/// What a caller may set and clear. The others say how the file is stored.
const SETTABLE: u32 = ATTRIBUTE_READONLY
    | ATTRIBUTE_HIDDEN
    | ATTRIBUTE_SYSTEM
    | ATTRIBUTE_ARCHIVE
    | ATTRIBUTE_NOT_INDEXED;

/// What a file keeps of how it is stored when its content is replaced.
pub(super) const KEPT: u32 = SETTABLE | ATTRIBUTE_COMPRESSED | ATTRIBUTE_NORMAL;

/// Tagged item with extended attributes, which describe the content.
pub(super) const EXTENDED_ATTRIBUTES: u32 = 2;

impl Image {
    /// Makes a folder, and those above it. One that is there gets the attributes and security that `options` names.
    ///
    /// # Errors
    /// When a file or link is in the way, or the parent's security descriptor is damaged.
    pub fn make_directory(&mut self, path: &NtPath, options: &NewNode) -> Result<(), ImageError> {
        if let Some(node) = self.tree.lookup(path) {
            if !self.tree.inode(node).is_directory() {
                return Err(ImageError::NotDirectory(path.clone()));
            }
            return self.adjust(path, options);
        }
        let parent = self.make_parent(path)?;
        let attributes =
            ATTRIBUTE_DIRECTORY | options.attributes.map_or(0, |wanted| wanted & SETTABLE);
        let security = self.security_for_new(parent, options, true)?;
        self.perform(Change::MakeDirectory { path: path.clone(), attributes, security })
    }

    /// Puts a file in place, new or replaced, and makes the folders above it.
    ///
    /// # Errors
    /// When a folder is there, or a file or link is in the way.
    pub fn put_file(
        &mut self,
        path: &NtPath,
        content: StoredBlob,
        options: &NewNode,
    ) -> Result<(), ImageError> {
        self.put(path, FileContent::Stored(content), options)
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
        self.put(path, FileContent::Inline(content), options)
    }

    pub(super) fn put(
        &mut self,
        path: &NtPath,
        content: FileContent,
        options: &NewNode,
    ) -> Result<(), ImageError> {
        let blob = content_ref(&content);
        let last_write = options.last_write;
        let (attributes, security) = match self.tree.lookup(path) {
            Some(node) if self.tree.inode(node).is_directory() => {
                return Err(ImageError::IsDirectory(path.clone()));
            }
            Some(node) => {
                let inode = self.tree.inode(node);
                let kept = inode.attributes & KEPT;
                let attributes = options
                    .attributes
                    .map_or(kept, |wanted| kept & ATTRIBUTE_COMPRESSED | wanted & SETTABLE);
                let attributes = not_empty(attributes);
                let old_security = self.tree.security_of(node).map(<[u8]>::to_vec);
                let security = options.security.clone().or_else(|| old_security.clone());
                if inode.data() == blob
                    && is_plain(inode)
                    && inode.attributes == attributes
                    && old_security == security
                    && last_write.is_none_or(|time| inode.last_write_time == time)
                {
                    return Ok(());
                }
                (attributes, security)
            }
            None => {
                let parent = self.make_parent(path)?;
                let wanted = options.attributes.map_or(ATTRIBUTE_ARCHIVE, |all| all & SETTABLE);
                (not_empty(wanted), self.security_for_new(parent, options, false)?)
            }
        };
        let path = path.clone();
        self.perform(Change::PutFile { path, content, attributes, security, last_write })
    }

    /// Gives the file at `file` another name, `path`, and makes the folders above that. A file that has the name already loses it (but not its other
    /// names); nothing happens when it is the same file.
    ///
    /// # Errors
    /// When there is no file at `file`, a folder has the name, or a file or link is in the way.
    pub fn link(&mut self, file: &NtPath, path: &NtPath) -> Result<(), ImageError> {
        let first = self.existing(file)?;
        if self.tree.inode(first).is_directory() {
            return Err(ImageError::IsDirectory(file.clone()));
        }
        if let Some(node) = self.tree.lookup(path) {
            if self.tree.node(node).inode == self.tree.node(first).inode {
                return Ok(());
            }
            if self.tree.inode(node).is_directory() {
                return Err(ImageError::IsDirectory(path.clone()));
            }
            self.check_place(path)?;
            self.perform(Change::Remove { path: path.clone() })?;
        } else {
            self.make_parent(path)?;
        }
        self.perform(Change::Link { file: file.clone(), path: path.clone() })
    }

    /// Makes one name of a file a file of its own, alike in everything: what is done to it then does not reach the other names. Nothing happens to a
    /// file that has one name alone.
    ///
    /// # Errors
    /// When nothing is there, or a folder.
    pub fn separate(&mut self, path: &NtPath) -> Result<(), ImageError> {
        let node = self.existing(path)?;
        if self.tree.inode(node).is_directory() {
            return Err(ImageError::IsDirectory(path.clone()));
        }
        if self.tree.links(node) < 2 {
            return Ok(());
        }
        self.perform(Change::Separate { path: path.clone() })
    }

    /// Takes a file or folder away, with all below it; nothing there is fine.
    ///
    /// # Errors
    /// For the root, and for a link on the way.
    pub fn remove(&mut self, path: &NtPath) -> Result<(), ImageError> {
        if path.is_root() {
            return Err(ImageError::Root);
        }
        if self.tree.lookup(path).is_none() {
            return Ok(());
        }
        self.perform(Change::Remove { path: path.clone() })
    }

    /// Moves a file or folder to a path where nothing is, in a folder that is there.
    ///
    /// # Errors
    /// When it is not there, or something is at the new path.
    pub fn rename(&mut self, from: &NtPath, to: &NtPath) -> Result<(), ImageError> {
        self.perform(Change::Rename { from: from.clone(), to: to.clone() })
    }

    /// Sets and clears attributes; only those that do not say how the file is stored can be changed.
    ///
    /// # Errors
    /// When nothing is there.
    pub fn set_attributes(
        &mut self,
        path: &NtPath,
        set: u32,
        clear: u32,
    ) -> Result<(), ImageError> {
        let old = self.tree.inode(self.existing(path)?).attributes;
        let attributes = not_empty(old & !(clear & SETTABLE) | set & SETTABLE);
        if attributes == old {
            return Ok(());
        }
        self.perform(Change::SetAttributes { path: path.clone(), attributes })
    }

    /// Sets the security descriptor.
    ///
    /// # Errors
    /// When nothing is there.
    pub fn set_security(&mut self, path: &NtPath, descriptor: &[u8]) -> Result<(), ImageError> {
        let node = self.existing(path)?;
        if self.tree.security_of(node) == Some(descriptor) {
            return Ok(());
        }
        self.perform(Change::SetSecurity { path: path.clone(), descriptor: descriptor.to_vec() })
    }

    /// The security descriptor that a new file or folder at `path` would inherit, or that of what is there.
    ///
    /// # Errors
    /// When a descriptor is damaged.
    pub fn security_at(
        &self,
        path: &NtPath,
        is_directory: bool,
    ) -> Result<Option<SecurityDescriptor>, ImageError> {
        if let Some(node) = self.tree.lookup(path) {
            let bytes = self.tree.security_of(node);
            return Ok(bytes.map(SecurityDescriptor::parse).transpose()?);
        }
        let Some(parent) = path.parent() else { return Ok(None) };
        let above = self.security_at(&parent, true)?;
        Ok(above.map(|above| inherit(&above, is_directory)))
    }

    /// What stands in the way of putting something at `path`: a junction, a link or a file where a folder should be.
    ///
    /// # Errors
    /// What [`Image::put_file`] and [`Image::make_directory`] would say.
    pub fn check_place(&self, path: &NtPath) -> Result<(), ImageError> {
        if self.tree.lookup(path).is_none() {
            check_levels(path)?;
        }
        match path.parent() {
            Some(parent) => self.check_way(&parent, path),
            None => Ok(()),
        }
    }

    fn adjust(&mut self, path: &NtPath, options: &NewNode) -> Result<(), ImageError> {
        if let Some(wanted) = options.attributes {
            self.set_attributes(path, wanted, !wanted)?;
        }
        match &options.security {
            Some(descriptor) => self.set_security(path, descriptor),
            None => Ok(()),
        }
    }

    fn existing(&self, path: &NtPath) -> Result<NodeId, ImageError> {
        self.tree.lookup(path).ok_or_else(|| ImageError::NotFound(path.clone()))
    }

    /// The folder of `path`, made when it is not there.
    fn make_parent(&mut self, path: &NtPath) -> Result<NodeId, ImageError> {
        let Some(parent) = path.parent() else { return Err(ImageError::Root) };
        check_levels(path)?;
        self.check_way(&parent, path)?;
        if self.tree.lookup(&parent).is_none() {
            let names = parent.names();
            let known = (0..names.len())
                .rev()
                .find(|&count| {
                    self.tree.lookup(&NtPath::from_names(names[..count].to_vec())).is_some()
                })
                .unwrap_or(0);
            for count in known + 1..=names.len() {
                let missing = NtPath::from_names(names[..count].to_vec());
                let above = self.existing(&NtPath::from_names(names[..count - 1].to_vec()))?;
                let security = self.security_for_new(above, &NewNode::default(), true)?;
                let attributes = ATTRIBUTE_DIRECTORY;
                self.perform(Change::MakeDirectory { path: missing, attributes, security })?;
            }
        }
        self.existing(&parent)
    }

    /// Refuses a file, a junction or a link on the way to `path`; `parent` is its folder.
    fn check_way(&self, parent: &NtPath, path: &NtPath) -> Result<(), ImageError> {
        let mut node = self.tree.root();
        for (count, name) in parent.names().iter().enumerate() {
            let Some(next) = self.tree.child(node, name) else { return Ok(()) };
            let inode = self.tree.inode(next);
            let here = || NtPath::from_names(parent.names()[..=count].to_vec());
            if is_link(inode) {
                return Err(ImageError::ThroughLink { path: path.clone(), link: here() });
            }
            if !inode.is_directory() {
                return Err(ImageError::NotDirectory(here()));
            }
            node = next;
        }
        Ok(())
    }

    fn security_for_new(
        &self,
        parent: NodeId,
        options: &NewNode,
        is_directory: bool,
    ) -> Result<Option<Vec<u8>>, Malformed> {
        if let Some(given) = &options.security {
            return Ok(Some(given.clone()));
        }
        let Some(parent) = self.tree.security_of(parent) else { return Ok(None) };
        Ok(Some(inherit(&SecurityDescriptor::parse(parent)?, is_directory).to_bytes()))
    }

    /// Does a change of files and folders.
    pub(super) fn apply_to_tree(&mut self, change: &Change) -> Result<(), ImageError> {
        match change {
            Change::MakeDirectory { path, attributes, security } => {
                if self.tree.lookup(path).is_some() {
                    return Err(ImageError::Exists(path.clone()));
                }
                self.insert(path, *attributes, security.as_deref(), Vec::new())
            }
            Change::PutFile { path, content, attributes, security, last_write } => {
                self.apply_put(path, content, *attributes, security.as_deref())?;
                if let Some(time) = last_write {
                    let node = self.existing(path)?;
                    self.tree.inode_mut(node).last_write_time = *time;
                }
                Ok(())
            }
            Change::Link { file, path } => self.apply_link(file, path),
            Change::Separate { path } => {
                let node = self.existing(path)?;
                if self.tree.inode(node).is_directory() {
                    return Err(ImageError::IsDirectory(path.clone()));
                }
                self.tree.split(node);
                Ok(())
            }
            Change::Remove { path } => {
                let node = self.existing(path)?;
                let parent = self.tree.node(node).parent.ok_or(ImageError::Root)?;
                self.tree.remove(node);
                self.touch(parent);
                Ok(())
            }
            Change::Rename { from, to } => self.apply_rename(from, to),
            Change::SetAttributes { path, attributes } => {
                let node = self.existing(path)?;
                self.tree.inode_mut(node).attributes = *attributes;
                Ok(())
            }
            Change::SetSecurity { path, descriptor } => {
                let node = self.existing(path)?;
                let id = self.tree.security_id(descriptor);
                self.tree.inode_mut(node).security = Some(id);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn apply_put(
        &mut self,
        path: &NtPath,
        content: &FileContent,
        attributes: u32,
        security: Option<&[u8]>,
    ) -> Result<(), ImageError> {
        let blob = content_ref(content);
        if !blob.sha1.is_zero() && self.location(&blob).is_none() {
            let location = match content {
                FileContent::Stored(stored) => BlobLocation::Stored(*stored),
                FileContent::Inline(bytes) => BlobLocation::Memory(bytes.as_slice().into()),
                FileContent::Template(template) => BlobLocation::Template(template.clone()),
            };
            self.blobs.insert(blob.sha1, location);
        }
        let streams =
            vec![FileStream { kind: StreamKind::Data, name: Name::default(), content: blob }];
        let Some(node) = self.tree.lookup(path) else {
            return self.insert(path, attributes, security, streams);
        };
        if self.tree.inode(node).is_directory() {
            return Err(ImageError::IsDirectory(path.clone()));
        }
        let security = security.map(|bytes| self.tree.security_id(bytes));
        let epoch = self.epoch();
        let same_content = {
            let inode = self.tree.inode(node);
            inode.data() == blob && is_plain(inode)
        };
        let inode = self.tree.inode_mut(node);
        inode.attributes = attributes;
        inode.security = security;
        if !same_content {
            inode.streams = streams;
            inode.reparse = None;
            inode.last_write_time = epoch;
            inode.tagged_items = without_item(&inode.tagged_items, EXTENDED_ATTRIBUTES);
        }
        Ok(())
    }

    fn apply_link(&mut self, file: &NtPath, path: &NtPath) -> Result<(), ImageError> {
        let first = self.existing(file)?;
        let (parent, name) = place(path)?;
        if self.tree.inode(first).is_directory() {
            return Err(ImageError::IsDirectory(file.clone()));
        }
        self.check_way(&parent, path)?;
        let parent = self.existing(&parent)?;
        if self.tree.lookup(path).is_some() {
            return Err(ImageError::Exists(path.clone()));
        }
        self.tree.insert_link(parent, name.clone(), first);
        // What each name said of the file differs no more: all tell what the first one does.
        self.tree.inode_mut(first);
        self.touch(parent);
        Ok(())
    }

    fn apply_rename(&mut self, from: &NtPath, to: &NtPath) -> Result<(), ImageError> {
        let node = self.existing(from)?;
        let old_parent = self.tree.node(node).parent.ok_or(ImageError::Root)?;
        let (parent, name) = place(to)?;
        self.check_way(&parent, to)?;
        let parent = self.existing(&parent)?;
        if self.tree.lookup(to).is_some() {
            return Err(ImageError::Exists(to.clone()));
        }
        if self.tree.walk_from(node).any(|below| below == parent) {
            return Err(ImageError::NotDirectory(to.clone()));
        }
        self.tree.rename(node, parent, name.clone());
        self.touch(old_parent);
        self.touch(parent);
        Ok(())
    }

    fn insert(
        &mut self,
        path: &NtPath,
        attributes: u32,
        security: Option<&[u8]>,
        streams: Vec<FileStream>,
    ) -> Result<(), ImageError> {
        let (parent, name) = place(path)?;
        self.check_way(&parent, path)?;
        let parent = self.existing(&parent)?;
        let security = security.map(|bytes| self.tree.security_id(bytes));
        let inode = Inode { streams, ..Inode::new(attributes, security, self.epoch()) };
        self.tree.insert(parent, name.clone(), inode);
        self.touch(parent);
        Ok(())
    }

    /// The folder's entries changed.
    pub(super) fn touch(&mut self, folder: NodeId) {
        let epoch = self.epoch();
        self.tree.inode_mut(folder).last_write_time = epoch;
    }

    /// New content of a file that the image itself writes: hives and their logs. Not recorded: the record has the edits.
    pub(super) fn overwrite(&mut self, node: NodeId, bytes: Vec<u8>, is_secret: bool) {
        let bytes: Arc<[u8]> = bytes.into();
        let content = ref_of(&bytes);
        if !content.sha1.is_zero() && self.location(&content).is_none() {
            let location = match is_secret {
                true => BlobLocation::Secret(SecretBytes(bytes)),
                false => BlobLocation::Memory(bytes),
            };
            self.blobs.insert(content.sha1, location);
        }
        let epoch = self.epoch();
        let inode = self.tree.inode_mut(node);
        inode.last_write_time = epoch;
        inode.streams.retain(|stream| stream.kind != StreamKind::Data);
        let stream = FileStream { kind: StreamKind::Data, name: Name::default(), content };
        inode.streams.insert(0, stream);
    }
}

/// Refuses what is too deep to be read back.
fn check_levels(path: &NtPath) -> Result<(), ImageError> {
    let levels = path.names().len();
    if levels <= MOST_LEVELS {
        return Ok(());
    }
    let start = NtPath::from_names(path.names()[..3].to_vec());
    Err(ImageError::TooDeep { levels, start })
}

/// The folder and the name of something new. Names with separators in them would lead elsewhere, or nowhere, on Windows.
fn place(path: &NtPath) -> Result<(NtPath, &Name), ImageError> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(ImageError::Root);
    };
    check_levels(path)?;
    let bad = |unit: &u16| [u16::from(b'\\'), u16::from(b'/'), 0].contains(unit);
    if name.units().is_empty() || name.units().iter().any(bad) {
        return Err(ImageError::Name(path.clone()));
    }
    Ok((parent, name))
}

/// A file whose content is its unnamed data: neither a reparse point nor encrypted.
fn is_plain(inode: &Inode) -> bool {
    inode.reparse.is_none()
        && inode
            .streams
            .iter()
            .all(|stream| matches!(stream.kind, StreamKind::Data | StreamKind::Named))
}

/// Junctions, symbolic links and mount points lead elsewhere. Folders with other tags (deduplication, cloud files) are folders.
pub(super) fn is_link(inode: &Inode) -> bool {
    /// Bit of a reparse tag: it stands for another named thing.
    const NAME_SURROGATE: u32 = 0x2000_0000;
    inode.is_reparse_point()
        && inode.reparse.is_none_or(|reparse| reparse.tag & NAME_SURROGATE != 0)
}

/// `NORMAL` stands alone, and for no attribute at all.
pub(super) fn not_empty(attributes: u32) -> u32 {
    match attributes & !ATTRIBUTE_NORMAL {
        0 => ATTRIBUTE_NORMAL,
        others => others,
    }
}

fn content_ref(content: &FileContent) -> BlobRef {
    match content {
        FileContent::Stored(blob) if blob.size == 0 => BlobRef::default(),
        FileContent::Stored(blob) => BlobRef { sha1: blob.sha1, size: blob.size },
        FileContent::Inline(bytes) => ref_of(bytes),
        FileContent::Template(template) => template_ref(template),
    }
}

/// The name of content; empty content has none.
pub(super) fn ref_of(bytes: &[u8]) -> BlobRef {
    match bytes.len() {
        0 => BlobRef::default(),
        size => BlobRef { sha1: Sha1::of(bytes), size: size as u64 },
    }
}

/// Tagged items without those of one tag. Items are `u32 tag, u32 length, data`, padded to 8; what does not parse stays.
pub(super) fn without_item(items: &[u8], tag: u32) -> Vec<u8> {
    let mut kept = Vec::new();
    let mut rest = items;
    while let Some((head, data)) = rest.split_first_chunk::<8>() {
        let [a, b, c, d, e, f, g, h] = *head;
        let length = u32::from_le_bytes([e, f, g, h]) as usize;
        let padded = length.next_multiple_of(8).min(data.len());
        if length > data.len() {
            break;
        }
        if u32::from_le_bytes([a, b, c, d]) != tag {
            kept.extend_from_slice(&rest[..8 + padded]);
        }
        rest = &data[padded..];
    }
    kept.extend_from_slice(rest);
    kept
}

const _: () = assert!(SETTABLE & (ATTRIBUTE_DIRECTORY | ATTRIBUTE_REPARSE) == 0);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_no_file_can_have_are_refused() {
        let path = |name: &str| NtPath::from_names(vec!["Windows".into(), name.into()]);
        for name in ["../../evil", r"a\b", "a\0", ""] {
            let path = path(name);
            assert!(matches!(place(&path), Err(ImageError::Name(_))), "{name:?}");
        }
        assert_eq!(place(&path("a.mum")).unwrap().1, &Name::from("a.mum"));
        assert!(matches!(place(&NtPath::root()), Err(ImageError::Root)));
    }

    #[test]
    fn what_is_too_deep_to_be_read_back_is_refused() {
        let path = |levels: usize| NtPath::from_names(vec!["d".into(); levels]);
        assert!(place(&path(1000)).is_ok());
        let error = place(&path(1001)).unwrap_err().to_string();
        assert!(error.contains("1001 levels") && error.contains("1000"), "{error}");
    }
}
