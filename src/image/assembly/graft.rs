//! Host files and folders into an image that is there: what `add` does.
//!
//! The source is captured as an image of its own first; its entries are then moved over with all that was captured of them: streams, times,
//! attributes, links. What the capture has no security descriptor for inherits that of the folder it comes into, and a file that is replaced
//! keeps name, short name, creation time, security and, where the capture has none of its own, attributes (see [`super::super`]).
//! Folders merge. Two files of the source stay two: names of one file here that get the contents of several part, and names that differ in their case alone
//! are entries of their own where the source has several.
//!
//! This is not recorded in a changeset: a changeset can be replayed without its inputs, and here the inputs are the host's files.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    base::{filetime::FileTime, name::Name, ntpath::NtPath},
    format::security::{SecurityDescriptor, inherit},
};

use super::super::{
    edit::is_link,
    error::ImageError,
    offline::{Image, NewNode},
    tree::{ATTRIBUTE_NORMAL, Inode, InodeId, NodeId, SecurityId},
};

/// How entries are moved over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GraftOptions {
    /// A file that is there already is an error.
    pub no_replace: bool,
    /// The source's security descriptors are left behind.
    pub no_security: bool,
    /// Later times become this one.
    pub latest: Option<FileTime>,
}

impl Image {
    /// Puts entry `from` of `source`, with all below it, at `at`. Where both are folders they merge, and the one that is there keeps what it is.
    ///
    /// # Errors
    /// When a file is in the way of a folder or a folder in the way of a file, when a link is on the way, and when a file is there that must not be
    /// replaced. The image may then have part of the source and is to be dropped.
    pub fn graft(
        &mut self,
        at: &NtPath,
        source: &Self,
        from: NodeId,
        options: &GraftOptions,
    ) -> Result<(), ImageError> {
        self.change_unrecorded(at);
        if let Some(parent) = at.parent().filter(|parent| !parent.is_root()) {
            self.check_place(at)?;
            if self.tree.lookup(&parent).is_none() {
                self.make_directory(&parent, &NewNode::default())?;
            }
        }
        let mut graft = Graft {
            target: self,
            source,
            options,
            moved: BTreeMap::new(),
            given: BTreeMap::new(),
            placed: BTreeSet::new(),
        };
        // Each with the folder it goes into, and its path there.
        let mut waiting = Vec::new();
        if let Some(root) = graft.at(at, from)? {
            waiting.push((root, from, at.clone()));
        }
        while let Some((folder, from, path)) = waiting.pop() {
            for &child in source.tree.children(from) {
                let path = path.join(source.tree.node(child).name.clone());
                if let Some(below) = graft.entry(folder, child, &path)? {
                    waiting.push((below, child, path));
                }
            }
        }
        Ok(())
    }
}

/// A graft under way.
struct Graft<'a> {
    target: &'a mut Image,
    source: &'a Image,
    options: &'a GraftOptions,
    /// The first name here of each file of the source that has several.
    moved: BTreeMap<InodeId, NodeId>,
    /// The file of the source whose content each file here has been given.
    given: BTreeMap<InodeId, InodeId>,
    /// Entries that stand for one of the source.
    placed: BTreeSet<NodeId>,
}

impl Graft<'_> {
    /// Puts the first entry in its place; returns the folder to go on in.
    fn at(&mut self, at: &NtPath, from: NodeId) -> Result<Option<NodeId>, ImageError> {
        let Some(parent) = at.parent() else {
            let is_folder = self.source.tree.inode(from).is_directory();
            let root = self.target.tree.root();
            return if is_folder {
                Ok(Some(root))
            } else {
                Err(ImageError::IsDirectory(at.clone()))
            };
        };
        let folder = self.target.tree.lookup(&parent).ok_or(ImageError::NotFound(parent))?;
        self.entry(folder, from, at)
    }

    /// Puts one entry into `folder`; returns the folder to go on in, when it is one.
    fn entry(
        &mut self,
        folder: NodeId,
        from: NodeId,
        path: &NtPath,
    ) -> Result<Option<NodeId>, ImageError> {
        let new = self.source.tree.inode(from);
        let Some(name) = path.file_name() else { return Err(ImageError::Root) };
        let is_folder = new.is_directory() && !is_link(new);
        let found = self.target.tree.child(folder, name);
        let Some(found) = found.filter(|&found| !self.is_of_another(found, name, from)) else {
            let id = self.add(folder, from, path, is_folder)?;
            return Ok(is_folder.then_some(id));
        };
        self.placed.insert(found);
        let old = self.target.tree.inode(found);
        match (is_folder, old.is_directory(), is_link(old)) {
            (true, true, false) => return Ok(Some(found)),
            (true, true, true) => {
                return Err(ImageError::ThroughLink { path: path.clone(), link: path.clone() });
            }
            (true, false, _) => return Err(ImageError::NotDirectory(path.clone())),
            (false, true, false) => return Err(ImageError::IsDirectory(path.clone())),
            // A link to a folder takes the place of another alone: both have nothing below them.
            (false, is_directory, _) if is_directory != new.is_directory() => {
                return Err(ImageError::Exists(path.clone()));
            }
            (false, _, _) if self.options.no_replace => {
                return Err(ImageError::Exists(path.clone()));
            }
            (false, _, _) => {}
        }
        self.replace_by(found, from);
        Ok(None)
    }

    /// Whether an entry that was found without case is there for another entry of the source.
    fn is_of_another(&self, found: NodeId, name: &Name, from: NodeId) -> bool {
        let (there, source) = (&self.target.tree.node(found).name, &self.source.tree);
        let has_namesake = || {
            let sibling = source.node(from).parent.and_then(|folder| source.child(folder, there));
            sibling.is_some_and(|id| id != from && source.node(id).name == *there)
        };
        there != name && (self.placed.contains(&found) || has_namesake())
    }

    /// Gives the file at `found` the content of another: for all its names, but for those that this graft gave another content.
    fn replace_by(&mut self, found: NodeId, from: NodeId) {
        let origin = self.source.tree.node(from).inode;
        let first = self.moved.get(&origin).copied();
        let tree = &mut self.target.tree;
        let here = tree.node(found).inode;
        if first.is_some_and(|first| tree.node(first).inode == here) {
            return;
        }
        let other = self.given.get(&here).filter(|&&other| other != origin);
        if other.is_some_and(|other| !self.source.tree.is_same_content(*other, origin)) {
            if let Some(first) = first {
                tree.join(found, first);
                return;
            }
            tree.split(found);
        }
        self.replace(found, from);
        self.given.insert(self.target.tree.node(found).inode, origin);
        self.moved.entry(origin).or_insert(found);
    }

    fn add(
        &mut self,
        folder: NodeId,
        from: NodeId,
        path: &NtPath,
        is_folder: bool,
    ) -> Result<NodeId, ImageError> {
        let Some(name) = path.file_name().cloned() else { return Err(ImageError::Root) };
        let origin = self.source.tree.node(from).inode;
        let id = match self.moved.get(&origin) {
            Some(&first) => self.target.tree.insert_link(folder, name, first),
            None => {
                let mut inode = self.copy(from);
                inode.security = match self.own_security(from) {
                    Some(id) => Some(id),
                    None => self.inherited(folder, inode.is_directory())?,
                };
                self.target.tree.insert(folder, name, inode)
            }
        };
        if !is_folder {
            self.moved.entry(origin).or_insert(id);
        }
        let short_name = self.source.tree.node(from).short_name.clone();
        // A short name holds in one folder, where another may have it already.
        if !short_name.is_empty() && self.target.tree.child(folder, &short_name).is_none() {
            self.target.tree.set_short_name(id, short_name);
            self.target.tree.forget_index(folder);
        }
        self.target.touch(folder);
        self.placed.insert(id);
        self.given.insert(self.target.tree.node(id).inode, origin);
        Ok(id)
    }

    /// Gives the file at `found` the content of another, for all its names.
    fn replace(&mut self, found: NodeId, from: NodeId) {
        let mut inode = self.copy(from);
        let own_security = self.own_security(from);
        let old = self.target.tree.inode(found);
        if own_security.is_none() && inode.attributes == ATTRIBUTE_NORMAL {
            inode.attributes = old.attributes & super::super::edit::KEPT;
            if inode.attributes == 0 {
                inode.attributes = ATTRIBUTE_NORMAL;
            }
        }
        inode.security = own_security.or(old.security);
        inode.creation_time = old.creation_time;
        inode.hard_link_group = old.hard_link_group;
        inode.unknown = old.unknown;
        let place = self.target.tree.inode_mut(found);
        *place = Inode { links: place.links, edited: true, ..inode };
    }

    /// The file as it becomes one of the target, without security; its content is made known to it.
    fn copy(&mut self, from: NodeId) -> Inode {
        let mut inode = self.source.tree.inode(from).clone();
        for stream in &inode.streams {
            let content = stream.content;
            if !content.sha1.is_zero()
                && self.target.location(&content).is_none()
                && let Some(location) = self.source.location(&content)
            {
                self.target.blobs.insert(content.sha1, location);
            }
        }
        if let Some(latest) = self.options.latest {
            for time in
                [&mut inode.creation_time, &mut inode.last_access_time, &mut inode.last_write_time]
            {
                *time = latest.min(*time);
            }
        }
        // A new number is found when the image is finished.
        Inode { hard_link_group: 0, security: None, links: 1, edited: false, ..inode }
    }

    fn own_security(&mut self, from: NodeId) -> Option<SecurityId> {
        if self.options.no_security {
            return None;
        }
        let descriptor = self.source.tree.security_of(from)?;
        Some(self.target.tree.security_id(descriptor))
    }

    fn inherited(
        &mut self,
        folder: NodeId,
        is_directory: bool,
    ) -> Result<Option<SecurityId>, ImageError> {
        let Some(above) = self.target.tree.security_of(folder) else { return Ok(None) };
        let descriptor = inherit(&SecurityDescriptor::parse(above)?, is_directory).to_bytes();
        Ok(Some(self.target.tree.security_id(&descriptor)))
    }
}
