//! A small builder for the file tree of a synthetic image.

use std::collections::BTreeMap;

use crate::{
    base::{digest::Sha1, filetime::FileTime, name::Name},
    format::wim::{Dentry, ImageMetadata, Reparse, Stream, StreamKind},
};

/// `FILE_ATTRIBUTE_*` bits that the demo uses.
pub(super) mod attribute {
    pub(in super::super) const READ_ONLY: u32 = 0x1;
    pub(in super::super) const HIDDEN: u32 = 0x2;
    pub(in super::super) const SYSTEM: u32 = 0x4;
    pub(in super::super) const DIRECTORY: u32 = 0x10;
    pub(in super::super) const ARCHIVE: u32 = 0x20;
    pub(in super::super) const REPARSE_POINT: u32 = 0x400;
}

/// `IO_REPARSE_TAG_SYMLINK` and `IO_REPARSE_TAG_MOUNT_POINT`.
const TAG_SYMLINK: u32 = 0xa000_000c;
const TAG_JUNCTION: u32 = 0xa000_0003;

/// Index of a dentry in the tree.
pub(super) type Id = u32;

/// A tree under construction and the contents of its files by SHA-1.
#[derive(Debug)]
pub(super) struct TreeBuilder {
    pub(super) metadata: ImageMetadata,
    pub(super) blobs: BTreeMap<Sha1, Vec<u8>>,
    time: FileTime,
    next_link_group: u64,
}

impl TreeBuilder {
    /// A tree with nothing but a root; `security` are the descriptors that nodes name by index.
    pub(super) fn new(security: Vec<Vec<u8>>, time: FileTime) -> Self {
        let metadata = ImageMetadata {
            security: security.into_iter().map(Into::into).collect(),
            ..ImageMetadata::default()
        };
        let mut tree = Self { metadata, blobs: BTreeMap::new(), time, next_link_group: 1 };
        tree.push(None, "", attribute::DIRECTORY, Some(0));
        tree
    }

    fn push(
        &mut self,
        parent: Option<Id>,
        name: &str,
        attributes: u32,
        security: Option<u32>,
    ) -> Id {
        let id = Id::try_from(self.metadata.dentries.len()).expect("the demo's trees are small");
        // What is not said is inherited: the demo gives the parent's descriptor to its children.
        let inherited = parent.and_then(|parent| self.dentry(parent).security_id);
        self.metadata.dentries.push(Dentry {
            name: Name::from(name),
            attributes,
            security_id: security.or(inherited),
            creation_time: self.time,
            last_access_time: self.time,
            last_write_time: self.time,
            ..Dentry::default()
        });
        if let Some(parent) = parent {
            self.dentry(parent).children.push(id);
        }
        id
    }

    /// The dentry `id`, to set what the builder has no word for.
    pub(super) fn dentry(&mut self, id: Id) -> &mut Dentry {
        &mut self.metadata.dentries[id as usize]
    }

    /// The directories of `path` below the root, made where missing.
    pub(super) fn directory(&mut self, path: &str) -> Id {
        let mut at = 0;
        for name in path.split('\\').filter(|name| !name.is_empty()) {
            let children = self.metadata.dentries[at as usize].children.clone();
            let found = children.into_iter().find(|&child| self.dentry(child).name.is(name));
            at = match found {
                Some(child) => child,
                None => self.push(Some(at), name, attribute::DIRECTORY, None),
            };
        }
        at
    }

    /// A directory with a security descriptor of its own.
    pub(super) fn secured(&mut self, path: &str, security: u32) -> Id {
        let id = self.directory(path);
        self.dentry(id).security_id = Some(security);
        id
    }

    /// A file at `path` with `content`.
    pub(super) fn file(&mut self, path: &str, content: impl Into<Vec<u8>>) -> Id {
        let (directory, name) = path.rsplit_once('\\').unwrap_or(("", path));
        let parent = self.directory(directory);
        let id = self.push(Some(parent), name, attribute::ARCHIVE, None);
        let sha1 = self.blob(content.into());
        self.dentry(id).streams =
            vec![Stream { kind: StreamKind::Data, name: Name::default(), sha1 }];
        id
    }

    /// Adds the stream `name` to a file.
    pub(super) fn named_stream(&mut self, id: Id, name: &str, content: impl Into<Vec<u8>>) {
        let sha1 = self.blob(content.into());
        self.dentry(id).streams.push(Stream {
            kind: StreamKind::Named,
            name: Name::from(name),
            sha1,
        });
    }

    /// Another name for the file `id`: a hard link.
    pub(super) fn hard_link(&mut self, id: Id, path: &str) {
        if self.dentry(id).hard_link_group == 0 {
            self.dentry(id).hard_link_group = self.next_link_group;
            self.next_link_group += 1;
        }
        let original = self.dentry(id).clone();
        let (directory, name) = path.rsplit_once('\\').unwrap_or(("", path));
        let parent = self.directory(directory);
        let link = self.push(Some(parent), name, original.attributes, original.security_id);
        let dentry = self.dentry(link);
        dentry.hard_link_group = original.hard_link_group;
        dentry.streams = original.streams;
    }

    /// A directory junction to the absolute path `target` (`C:\...`).
    pub(super) fn junction(&mut self, path: &str, target: &str) {
        self.link(path, TAG_JUNCTION, &format!(r"\??\{target}"), target, None);
    }

    /// A directory symbolic link to the absolute path `target` (`C:\...`).
    pub(super) fn directory_symlink(&mut self, path: &str, target: &str) {
        self.link(path, TAG_SYMLINK, &format!(r"\??\{target}"), target, Some(0));
    }

    fn link(&mut self, path: &str, tag: u32, substitute: &str, print: &str, flags: Option<u32>) {
        let id = self.directory(path);
        let sha1 = self.blob(link_data(substitute, print, flags));
        let dentry = self.dentry(id);
        dentry.attributes |= attribute::REPARSE_POINT | attribute::HIDDEN | attribute::SYSTEM;
        // Bit 0: the target was not rewritten relative to the image's root.
        dentry.reparse = Some(Reparse { tag, reserved: 0, flags: 1 });
        dentry.streams = vec![Stream { kind: StreamKind::Reparse, name: Name::default(), sha1 }];
    }

    fn blob(&mut self, content: Vec<u8>) -> Sha1 {
        if content.is_empty() {
            return Sha1::ZERO;
        }
        let sha1 = Sha1::of(&content);
        self.blobs.insert(sha1, content);
        sha1
    }
}

/// The data of a link's reparse point without its 8-byte header: offsets and lengths of the two names, flags for a
/// symbolic link, then both names with a NUL each.
fn link_data(substitute: &str, print: &str, flags: Option<u32>) -> Vec<u8> {
    let substitute: Vec<u16> = substitute.encode_utf16().collect();
    let print: Vec<u16> = print.encode_utf16().collect();
    let bytes = |units: usize| u16::try_from(units * 2).expect("the demo's link targets are short");
    let mut out = crate::base::bytes::Writer::new();
    out.u16(0).u16(bytes(substitute.len()));
    out.u16(bytes(substitute.len() + 1)).u16(bytes(print.len()));
    if let Some(flags) = flags {
        out.u32(flags);
    }
    out.utf16(&substitute).u16(0).utf16(&print).u16(0);
    out.data
}
