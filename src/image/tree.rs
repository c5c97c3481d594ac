//! Directory entries and files.
//!
//! A [`Node`] is a name in a folder; an [`Inode`] is the file or folder it names. Hard links are several nodes on one inode.

use crate::{
    base::{filetime::FileTime, name::Name, ntpath::NtPath},
    format::wim::{Reparse, StreamKind},
};

use super::content::BlobRef;

/// `FILE_ATTRIBUTE_READONLY`.
pub const ATTRIBUTE_READONLY: u32 = 0x1;
/// `FILE_ATTRIBUTE_HIDDEN`.
pub const ATTRIBUTE_HIDDEN: u32 = 0x2;
/// `FILE_ATTRIBUTE_SYSTEM`.
pub const ATTRIBUTE_SYSTEM: u32 = 0x4;
/// `FILE_ATTRIBUTE_DIRECTORY`.
pub const ATTRIBUTE_DIRECTORY: u32 = 0x10;
/// `FILE_ATTRIBUTE_ARCHIVE`.
pub const ATTRIBUTE_ARCHIVE: u32 = 0x20;
/// `FILE_ATTRIBUTE_NORMAL`: none of the others.
pub const ATTRIBUTE_NORMAL: u32 = 0x80;
/// `FILE_ATTRIBUTE_SPARSE_FILE`.
pub const ATTRIBUTE_SPARSE: u32 = 0x200;
/// `FILE_ATTRIBUTE_REPARSE_POINT`.
pub const ATTRIBUTE_REPARSE: u32 = 0x400;
/// `FILE_ATTRIBUTE_COMPRESSED`.
pub const ATTRIBUTE_COMPRESSED: u32 = 0x800;
/// `FILE_ATTRIBUTE_OFFLINE`.
pub const ATTRIBUTE_OFFLINE: u32 = 0x1000;
/// `FILE_ATTRIBUTE_NOT_CONTENT_INDEXED`.
pub const ATTRIBUTE_NOT_INDEXED: u32 = 0x2000;
/// `FILE_ATTRIBUTE_ENCRYPTED`.
pub const ATTRIBUTE_ENCRYPTED: u32 = 0x4000;

/// A name in a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub(super) u32);

/// The file or folder that a name names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InodeId(pub(super) u32);

/// A security descriptor of the image's table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SecurityId(pub(super) u32);

/// A name in a folder.
#[derive(Debug, Clone)]
pub struct Node {
    /// The name; empty for the root.
    pub name: Name,
    /// The 8.3 name, if it has one.
    pub short_name: Name,
    /// The folder; `None` for the root.
    pub parent: Option<NodeId>,
    /// What it names.
    pub inode: InodeId,
}

/// One stream of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileStream {
    /// What it is.
    pub kind: StreamKind,
    /// Its name; empty unless it is a named stream.
    pub name: Name,
    /// What it holds.
    pub content: BlobRef,
}

/// A file or folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inode {
    /// `FILE_ATTRIBUTE_*`.
    pub attributes: u32,
    /// Creation time.
    pub creation_time: FileTime,
    /// Last access time.
    pub last_access_time: FileTime,
    /// Last write time.
    pub last_write_time: FileTime,
    /// Its security descriptor in the image's table.
    pub security: Option<SecurityId>,
    /// Its streams; an empty file may have none.
    pub streams: Vec<FileStream>,
    /// What makes it a reparse point.
    pub reparse: Option<Reparse>,
    /// Tagged items: object id, extended attributes, Unix data; raw and padded.
    pub tagged_items: Vec<u8>,
    /// A field of the format whose meaning is not known.
    pub unknown: u32,
    /// The group id that its names carry in the WIM.
    pub hard_link_group: u64,
    /// How many names it has.
    pub links: u32,
}

/// The tree of an image.
#[derive(Debug)]
pub struct Tree {
    nodes: Vec<Node>,
    inodes: Vec<Inode>,
}

impl Tree {
    /// The root folder.
    #[must_use]
    pub fn root(&self) -> NodeId {
        NodeId(0)
    }

    /// The node.
    #[must_use]
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0 as usize]
    }

    /// What the node names.
    #[must_use]
    pub fn inode(&self, id: NodeId) -> &Inode {
        &self.inodes[self.node(id).inode.0 as usize]
    }

    /// The node at `path`, by long or short names, without case.
    #[must_use]
    pub fn lookup(&self, path: &NtPath) -> Option<NodeId> {
        let _ = path;
        todo!()
    }

    /// The entry `name` of a folder, by long or short name, without case.
    #[must_use]
    pub fn child(&self, parent: NodeId, name: &Name) -> Option<NodeId> {
        let _ = (parent, name);
        todo!()
    }

    /// The entries of a folder in the image's order.
    #[must_use]
    pub fn children(&self, id: NodeId) -> &[NodeId] {
        let _ = id;
        todo!()
    }

    /// The path of a node.
    #[must_use]
    pub fn path_of(&self, id: NodeId) -> NtPath {
        let _ = id;
        todo!()
    }

    /// All nodes: the root first, each folder before its entries, in the image's order.
    pub fn walk(&self) -> impl Iterator<Item = NodeId> + '_ {
        std::iter::empty()
    }

    /// The bytes of a security descriptor.
    #[must_use]
    pub fn security(&self, id: SecurityId) -> &[u8] {
        let _ = id;
        todo!()
    }
}

impl Inode {
    /// True for a folder, junctions and links to folders included.
    #[must_use]
    pub fn is_directory(&self) -> bool {
        self.attributes & ATTRIBUTE_DIRECTORY != 0
    }

    /// True for junctions, symbolic links and every other reparse point.
    #[must_use]
    pub fn is_reparse_point(&self) -> bool {
        self.attributes & ATTRIBUTE_REPARSE != 0
    }

    /// The file's own content; empty when it has none.
    #[must_use]
    pub fn data(&self) -> BlobRef {
        self.streams
            .iter()
            .find(|stream| stream.kind == StreamKind::Data)
            .map_or_else(BlobRef::default, |stream| stream.content)
    }
}
