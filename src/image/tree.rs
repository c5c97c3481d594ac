//! Directory entries and files.
//!
//! A [`Node`] is a name in a folder; an [`Inode`] is the file or folder it names. Hard links are several nodes on one inode.
//!
//! A folder keeps its entries in the order the image has them in, so that what is not touched is written as it was. For look-up it has a second list,
//! sorted as NT sorts, which is made when something is first looked up in that folder.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, OnceLock},
};

use crate::{
    base::{
        filetime::FileTime,
        name::{Name, compare_ignore_case},
        ntpath::NtPath,
    },
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
    pub(super) links: u32,
    /// True once it was edited: all names then tell the same.
    pub(super) edited: bool,
}

/// The tree of an image.
#[derive(Debug)]
pub struct Tree {
    slots: Vec<Slot>,
    inodes: Vec<Inode>,
    security: Vec<Arc<[u8]>>,
    /// First place of each descriptor in the table.
    security_ids: BTreeMap<Arc<[u8]>, SecurityId>,
}

/// All there is about a node.
#[derive(Debug)]
struct Slot {
    node: Node,
    /// What this name says of the file where that differs from what the file's first name says. Void once the file is edited.
    own: Option<Box<Inode>>,
    entries: Option<Box<Entries>>,
}

/// The entries of a folder.
#[derive(Debug, Default)]
struct Entries {
    order: Vec<NodeId>,
    index: OnceLock<Index>,
}

/// The entries of a folder, for look-up.
#[derive(Debug, Default)]
struct Index {
    /// Sorted by long name as NT sorts; equal names in the folder's order.
    by_name: Vec<NodeId>,
    /// Those that have a short name, sorted by it.
    by_short_name: Vec<NodeId>,
    /// True when the folder's own order is that of `by_name`.
    sorted: bool,
}

impl Tree {
    /// A tree of a root folder alone.
    pub(super) fn new(root: Inode, security: Vec<Arc<[u8]>>) -> Self {
        let mut security_ids = BTreeMap::new();
        for (id, descriptor) in (0..).zip(&security) {
            security_ids.entry(Arc::clone(descriptor)).or_insert(SecurityId(id));
        }
        let node = Node {
            name: Name::default(),
            short_name: Name::default(),
            parent: None,
            inode: InodeId(0),
        };
        let slot = Slot { node, own: None, entries: Some(Box::default()) };
        Self { slots: vec![slot], inodes: vec![root], security, security_ids }
    }

    /// The root folder.
    #[must_use]
    pub fn root(&self) -> NodeId {
        NodeId(0)
    }

    /// The node.
    #[must_use]
    pub fn node(&self, id: NodeId) -> &Node {
        &self.slot(id).node
    }

    /// What the node names, as this name tells it.
    #[must_use]
    pub fn inode(&self, id: NodeId) -> &Inode {
        let slot = self.slot(id);
        let shared = &self.inodes[slot.node.inode.0 as usize];
        match &slot.own {
            Some(own) if !shared.edited => own,
            _ => shared,
        }
    }

    /// How many names the node's file has.
    #[must_use]
    pub fn links(&self, id: NodeId) -> u32 {
        self.inodes[self.node(id).inode.0 as usize].links
    }

    /// The node at `path`, by long or short names, without case.
    #[must_use]
    pub fn lookup(&self, path: &NtPath) -> Option<NodeId> {
        path.names().iter().try_fold(self.root(), |node, name| self.child(node, name))
    }

    /// The entry `name` of a folder, by long or short name, without case. Where several differ only in case, the one with exactly this
    /// name, else the first of them.
    #[must_use]
    pub fn child(&self, parent: NodeId, name: &Name) -> Option<NodeId> {
        let entries = self.slot(parent).entries.as_ref()?;
        let index = self.index(entries);
        let start = index.by_name.partition_point(|&id| self.compare(id, name).is_lt());
        let equal =
            index.by_name[start..].iter().copied().take_while(|&id| self.compare(id, name).is_eq());
        let exact = equal.clone().find(|&id| self.node(id).name == *name);
        exact.or_else(|| equal.clone().next()).or_else(|| {
            let compare =
                |id: NodeId| compare_ignore_case(self.node(id).short_name.units(), name.units());
            let found = index.by_short_name.binary_search_by(|&id| compare(id)).ok()?;
            Some(index.by_short_name[found])
        })
    }

    /// The entries of a folder in the image's order; none for a file.
    #[must_use]
    pub fn children(&self, id: NodeId) -> &[NodeId] {
        self.slot(id).entries.as_ref().map_or(&[], |entries| &entries.order)
    }

    /// The entries of a folder as NT sorts them.
    #[must_use]
    pub fn sorted_children(&self, id: NodeId) -> &[NodeId] {
        self.slot(id).entries.as_ref().map_or(&[], |entries| &self.index(entries).by_name)
    }

    /// The path of a node.
    #[must_use]
    pub fn path_of(&self, id: NodeId) -> NtPath {
        let mut names = Vec::new();
        let mut node = self.node(id);
        while let Some(parent) = node.parent {
            names.push(node.name.clone());
            node = self.node(parent);
        }
        names.reverse();
        NtPath::from_names(names)
    }

    /// All nodes: the root first, each folder before its entries, in the image's order.
    pub fn walk(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.walk_from(self.root())
    }

    /// `id` and all nodes below it, each folder before its entries, in the image's order.
    pub fn walk_from(&self, id: NodeId) -> impl Iterator<Item = NodeId> + '_ {
        let mut stack = vec![id];
        std::iter::from_fn(move || {
            let next = stack.pop()?;
            stack.extend(self.children(next).iter().rev());
            Some(next)
        })
    }

    /// The bytes of a security descriptor.
    #[must_use]
    pub fn security(&self, id: SecurityId) -> &[u8] {
        &self.security[id.0 as usize]
    }

    /// The security descriptor of a node.
    #[must_use]
    pub fn security_of(&self, id: NodeId) -> Option<&[u8]> {
        self.inode(id).security.map(|id| self.security(id))
    }

    /// The table of security descriptors.
    pub(super) fn security_table(&self) -> &[Arc<[u8]>] {
        &self.security
    }

    /// The place of `descriptor` in the table, where it is put when it is new.
    pub(super) fn security_id(&mut self, descriptor: &[u8]) -> SecurityId {
        if let Some(&id) = self.security_ids.get(descriptor) {
            return id;
        }
        let id = SecurityId(index_u32(self.security.len()));
        let descriptor: Arc<[u8]> = descriptor.into();
        self.security.push(Arc::clone(&descriptor));
        self.security_ids.insert(descriptor, id);
        id
    }

    /// Adds a file or folder as the last entry of `parent`: for building a tree.
    pub(super) fn append(&mut self, parent: NodeId, name: Name, inode: Inode) -> NodeId {
        let inode_id = InodeId(index_u32(self.inodes.len()));
        let directory = inode.is_directory();
        self.inodes.push(inode);
        self.append_slot(parent, name, inode_id, directory)
    }

    /// Adds another name of the file that `first` names as the last entry of `parent`: for building a tree. `own` is what this name says of the file.
    pub(super) fn append_link(
        &mut self,
        parent: NodeId,
        name: Name,
        first: NodeId,
        own: Option<Inode>,
    ) -> NodeId {
        let inode = self.node(first).inode;
        let shared = &mut self.inodes[inode.0 as usize];
        shared.links += 1;
        let own = own.filter(|own| !own.tells_the_same(shared)).map(Box::new);
        let id = self.append_slot(parent, name, inode, false);
        self.slots[id.0 as usize].own = own;
        id
    }

    /// Gives a node a short name: for building a tree.
    pub(super) fn set_short_name(&mut self, id: NodeId, short_name: Name) {
        self.slots[id.0 as usize].node.short_name = short_name;
    }

    fn append_slot(
        &mut self,
        parent: NodeId,
        name: Name,
        inode: InodeId,
        directory: bool,
    ) -> NodeId {
        let id = NodeId(index_u32(self.slots.len()));
        let node = Node { name, short_name: Name::default(), parent: Some(parent), inode };
        let entries = directory.then(Box::default);
        self.slots.push(Slot { node, own: None, entries });
        let entries = self.entries_mut(parent);
        entries.index.take();
        entries.order.push(id);
        id
    }

    /// Adds a file or folder to `parent`, in its place there.
    pub(super) fn insert(&mut self, parent: NodeId, name: Name, inode: Inode) -> NodeId {
        let inode_id = InodeId(index_u32(self.inodes.len()));
        let entries = inode.is_directory().then(Box::default);
        self.inodes.push(inode);
        let id = NodeId(index_u32(self.slots.len()));
        let node =
            Node { name, short_name: Name::default(), parent: Some(parent), inode: inode_id };
        self.slots.push(Slot { node, own: None, entries });
        self.attach(parent, id);
        id
    }

    /// Adds another name of the file that `first` names to `parent`, in its place there.
    pub(super) fn insert_link(&mut self, parent: NodeId, name: Name, first: NodeId) -> NodeId {
        let inode = self.node(first).inode;
        self.inodes[inode.0 as usize].links += 1;
        let id = NodeId(index_u32(self.slots.len()));
        let node = Node { name, short_name: Name::default(), parent: Some(parent), inode };
        self.slots.push(Slot { node, own: None, entries: None });
        self.attach(parent, id);
        id
    }

    /// A short name of a folder's entry changed: look-up by it is prepared anew.
    pub(super) fn forget_index(&mut self, folder: NodeId) {
        self.entries_mut(folder).index.take();
    }

    /// Takes a node and all below it out of the tree.
    pub(super) fn remove(&mut self, id: NodeId) {
        self.unlink(id);
        self.detach(id);
    }

    /// Takes entries of one folder, and all below them, out of the tree.
    pub(super) fn remove_children(&mut self, folder: NodeId, gone: &BTreeSet<NodeId>) {
        if gone.is_empty() {
            return;
        }
        for &id in gone {
            self.unlink(id);
            self.slots[id.0 as usize].node.parent = None;
        }
        let entries = self.entries_mut(folder);
        entries.order.retain(|id| !gone.contains(id));
        entries.index.take();
    }

    /// The files that a node and those below it name have these names no more.
    fn unlink(&mut self, id: NodeId) {
        let below: Vec<NodeId> = self.walk_from(id).collect();
        for node in below {
            let inode = self.node(node).inode;
            self.inodes[inode.0 as usize].links -= 1;
        }
    }

    /// Changes the case of a name. Unlike one that is renamed, the entry keeps its short name and, in a folder without order, its place.
    pub(super) fn respell(&mut self, id: NodeId, name: Name) {
        let node = &mut self.slots[id.0 as usize].node;
        node.name = name;
        if let Some(parent) = node.parent {
            self.forget_index(parent);
        }
    }

    /// Moves a node to `parent` under another name. Its short name, which belongs to the old name, goes.
    pub(super) fn rename(&mut self, id: NodeId, parent: NodeId, name: Name) {
        self.detach(id);
        let node = &mut self.slots[id.0 as usize].node;
        node.name = name;
        node.short_name = Name::default();
        node.parent = Some(parent);
        self.attach(parent, id);
    }

    /// The node's file, to edit. All its names tell the same from now on.
    pub(super) fn inode_mut(&mut self, id: NodeId) -> &mut Inode {
        let slot = &mut self.slots[id.0 as usize];
        let shared = &mut self.inodes[slot.node.inode.0 as usize];
        if let Some(own) = slot.own.take()
            && !shared.edited
        {
            *shared = Inode { links: shared.links, ..*own };
        }
        shared.edited = true;
        shared
    }

    /// Makes what a node names a file of its own, as this name tells it.
    pub(super) fn split(&mut self, id: NodeId) {
        let inode = Inode { links: 1, hard_link_group: 0, ..self.inode(id).clone() };
        let old = self.node(id).inode;
        self.inodes[old.0 as usize].links -= 1;
        let new = InodeId(index_u32(self.inodes.len()));
        self.inodes.push(inode);
        let slot = &mut self.slots[id.0 as usize];
        slot.own = None;
        slot.node.inode = new;
    }

    /// Makes a node another name of the file that `first` names.
    pub(super) fn join(&mut self, id: NodeId, first: NodeId) {
        let (old, new) = (self.node(id).inode, self.node(first).inode);
        if old != new {
            self.inodes[old.0 as usize].links -= 1;
            self.inodes[new.0 as usize].links += 1;
            let slot = &mut self.slots[id.0 as usize];
            slot.own = None;
            slot.node.inode = new;
        }
    }

    /// Whether two files hold the same.
    pub(super) fn is_same_content(&self, one: InodeId, other: InodeId) -> bool {
        self.inodes[one.0 as usize].streams == self.inodes[other.0 as usize].streams
    }

    /// Number of inodes ever made: a bound for [`InodeId`].
    pub(super) fn inode_count(&self) -> usize {
        self.inodes.len()
    }

    fn attach(&mut self, parent: NodeId, id: NodeId) {
        let mut entries = self.slots[parent.0 as usize].entries.take().unwrap_or_default();
        self.index(&entries);
        let mut index = entries.index.take().unwrap_or_default();
        let name = &self.node(id).name;
        let place = index.by_name.partition_point(|&other| self.compare(other, name).is_le());
        index.by_name.insert(place, id);
        entries.order.insert(if index.sorted { place } else { entries.order.len() }, id);
        entries.index = OnceLock::from(index);
        self.slots[parent.0 as usize].entries = Some(entries);
    }

    fn detach(&mut self, id: NodeId) {
        let Some(parent) = self.slots[id.0 as usize].node.parent.take() else { return };
        let entries = self.entries_mut(parent);
        entries.order.retain(|&other| other != id);
        if let Some(index) = entries.index.get_mut() {
            index.by_name.retain(|&other| other != id);
            index.by_short_name.retain(|&other| other != id);
        }
    }

    fn slot(&self, id: NodeId) -> &Slot {
        &self.slots[id.0 as usize]
    }

    fn entries_mut(&mut self, id: NodeId) -> &mut Entries {
        self.slots[id.0 as usize].entries.get_or_insert_default()
    }

    fn compare(&self, id: NodeId, name: &Name) -> Ordering {
        compare_ignore_case(self.node(id).name.units(), name.units())
    }

    fn index<'a>(&self, entries: &'a Entries) -> &'a Index {
        entries.index.get_or_init(|| {
            let by = |left: &NodeId, right: &NodeId| self.compare(*left, &self.node(*right).name);
            let mut by_name = entries.order.clone();
            let sorted = by_name.is_sorted_by(|left, right| by(left, right).is_le());
            if !sorted {
                by_name.sort_by(by);
            }
            let mut by_short_name: Vec<NodeId> = entries.order.clone();
            by_short_name.retain(|&id| !self.node(id).short_name.is_empty());
            by_short_name.sort_by(|left, right| {
                let short = |id: &NodeId| self.node(*id).short_name.units();
                compare_ignore_case(short(left), short(right))
            });
            Index { by_name, by_short_name, sorted }
        })
    }
}

/// A count of nodes, inodes or descriptors as the index of the next; a metadata resource cannot hold more than `u32` counts.
fn index_u32(count: usize) -> u32 {
    u32::try_from(count).expect("a tree of more than 2^32 entries does not fit into memory")
}

impl Inode {
    /// A new file or folder without streams, all of whose times are `time`.
    #[must_use]
    pub fn new(attributes: u32, security: Option<SecurityId>, time: FileTime) -> Self {
        Self {
            attributes,
            creation_time: time,
            last_access_time: time,
            last_write_time: time,
            security,
            streams: Vec::new(),
            reparse: None,
            tagged_items: Vec::new(),
            unknown: 0,
            hard_link_group: 0,
            links: 1,
            edited: false,
        }
    }

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

    fn tells_the_same(&self, other: &Self) -> bool {
        *self == Self { links: self.links, edited: self.edited, ..other.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(names: &[(&str, &str)]) -> Tree {
        let folder = || Inode::new(ATTRIBUTE_DIRECTORY, None, FileTime(1));
        let mut tree = Tree::new(folder(), Vec::new());
        for (name, short) in names {
            let id = tree.append(tree.root(), Name::from(*name), folder());
            tree.set_short_name(id, Name::from(*short));
        }
        tree
    }

    fn names(tree: &Tree) -> Vec<String> {
        tree.children(tree.root()).iter().map(|&id| tree.node(id).name.to_string()).collect()
    }

    fn path(text: &str) -> NtPath {
        NtPath::parse(text).unwrap()
    }

    #[test]
    fn look_up_ignores_case_and_knows_short_names() {
        let tree = tree(&[("Program Files", "PROGRA~1"), ("Été", ""), ("a", ""), ("A", "")]);
        let found = |text: &str| tree.lookup(&path(text)).map(|id| tree.node(id).name.to_string());
        assert_eq!(found(r"\program files").as_deref(), Some("Program Files"));
        assert_eq!(found("progra~1").as_deref(), Some("Program Files"));
        assert_eq!(found("ÉTÉ").as_deref(), Some("Été"));
        assert_eq!(found("A").as_deref(), Some("A"));
        assert_eq!(found("a").as_deref(), Some("a"));
        assert_eq!(found("program"), None);
    }

    #[test]
    fn new_entries_keep_a_sorted_folder_sorted_and_go_last_in_others() {
        let folder = || Inode::new(ATTRIBUTE_DIRECTORY, None, FileTime(1));
        let mut sorted = tree(&[("Alpha", ""), ("gamma", "")]);
        sorted.insert(sorted.root(), Name::from("beta"), folder());
        assert_eq!(names(&sorted), ["Alpha", "beta", "gamma"]);
        let mut other = tree(&[("gamma", ""), ("Alpha", "")]);
        other.insert(other.root(), Name::from("beta"), folder());
        assert_eq!(names(&other), ["gamma", "Alpha", "beta"]);
        assert!(other.lookup(&path("BETA")).is_some());
        let id = other.lookup(&path("alpha")).unwrap();
        other.rename(id, other.root(), Name::from("omega"));
        assert_eq!(names(&other), ["gamma", "beta", "omega"]);
        assert!(other.lookup(&path("alpha")).is_none());
        other.remove(id);
        assert!(other.lookup(&path("omega")).is_none());
    }

    #[test]
    fn editing_through_one_name_changes_all_names_of_the_file() {
        let mut tree = tree(&[]);
        let root = tree.root();
        let file = Inode { hard_link_group: 7, ..Inode::new(0x20, None, FileTime(1)) };
        let first = tree.append(root, Name::from("one"), file.clone());
        let odd = Inode { attributes: 0x21, ..file };
        let second = tree.append_link(root, Name::from("two"), first, Some(odd));
        assert_eq!((tree.inode(first).attributes, tree.inode(second).attributes), (0x20, 0x21));
        tree.inode_mut(second).attributes |= 2;
        assert_eq!((tree.inode(first).attributes, tree.inode(second).attributes), (0x23, 0x23));
        assert_eq!(tree.links(first), 2);
        tree.remove(second);
        assert_eq!(tree.links(first), 1);
    }

    #[test]
    fn many_entries_of_a_folder_go_at_once_and_are_not_found_any_more() {
        let mut tree = tree(&[("Alpha", "ALPHA~1"), ("beta", ""), ("Gamma", "GAMMA~1")]);
        let root = tree.root();
        let beta = tree.lookup(&path("beta")).unwrap();
        let one = tree.append(beta, Name::from("one"), Inode::new(0x20, None, FileTime(1)));
        let two = tree.append_link(root, Name::from("two"), one, None);
        let gone = [tree.lookup(&path("alpha")).unwrap(), beta].into();
        tree.remove_children(root, &gone);
        assert_eq!(names(&tree), ["Gamma", "two"]);
        assert_eq!(tree.lookup(&path("ALPHA~1")), None);
        assert!(tree.lookup(&path("gamma~1")).is_some());
        assert_eq!(tree.links(two), 1);
    }
}
