//! How much lies where.

use std::collections::{BTreeMap, BTreeSet};

use super::FolderSize;
use crate::image::{
    Image,
    tree::{InodeId, NodeId, Tree},
};

/// Folders deeper than this are not told apart.
const DEPTH: usize = 4;
/// A folder with less than this part of all is not told apart from the one it is in.
const LEAST: u64 = 1000;

/// The folders of `image` that hold more than a thousandth of all bytes, the root always, each before those below it and in the order of names.
pub(super) fn sizes(image: &Image) -> Vec<FolderSize> {
    let unwritten = image.unwritten_sizes();
    let mut all = Walk::new(image.tree(), &unwritten).all();
    let total = all.get("\\").map_or(0, |(_, bytes)| *bytes);
    all.retain(|path, (_, bytes)| path == "\\" || bytes.saturating_mul(LEAST) > total);
    all.into_iter().map(|(path, (files, bytes))| FolderSize { path, files, bytes }).collect()
}

/// Files and bytes in and below every folder of `tree` down to [`DEPTH`], by path: as [`sizes`] counts them.
pub(super) fn all(tree: &Tree) -> BTreeMap<String, (u64, u64)> {
    Walk::new(tree, &BTreeMap::new()).all()
}

/// The most bytes that a folder of an image of `total` bytes has that is not told apart.
pub(super) fn least(total: u64) -> u64 {
    total / LEAST
}

/// Files and bytes in and below `folder`; those of a file that is no folder.
pub(super) fn size_of(tree: &Tree, folder: NodeId) -> (u64, u64) {
    let inode = tree.inode(folder);
    if !inode.is_directory() || inode.is_reparse_point() {
        return (1, inode.data().size);
    }
    Walk::new(tree, &BTreeMap::new()).measure(folder, DEPTH)
}

/// A walk that counts a file with several names once.
struct Walk<'a> {
    tree: &'a Tree,
    /// Sizes that files will have.
    unwritten: &'a BTreeMap<NodeId, u64>,
    seen: BTreeSet<InodeId>,
    all: Vec<(NodeId, (u64, u64))>,
}

impl<'a> Walk<'a> {
    fn new(tree: &'a Tree, unwritten: &'a BTreeMap<NodeId, u64>) -> Self {
        Self { tree, unwritten, seen: BTreeSet::new(), all: Vec::new() }
    }

    fn all(mut self) -> BTreeMap<String, (u64, u64)> {
        let root = self.measure(self.tree.root(), 0);
        self.all.push((self.tree.root(), root));
        self.all.iter().map(|(id, size)| (self.tree.path_of(*id).to_string(), *size)).collect()
    }

    /// Files and bytes in and below `folder`; notes those of every folder down to [`DEPTH`].
    fn measure(&mut self, folder: NodeId, depth: usize) -> (u64, u64) {
        let (mut files, mut bytes) = (0, 0);
        let mut below = vec![folder];
        while let Some(at) = below.pop() {
            for id in self.tree.sorted_children(at) {
                let inode = self.tree.inode(*id);
                if inode.is_directory() && !inode.is_reparse_point() {
                    if depth < DEPTH && at == folder {
                        let inside = self.measure(*id, depth + 1);
                        self.all.push((*id, inside));
                        (files, bytes) = (files + inside.0, bytes + inside.1);
                    } else {
                        below.push(*id);
                    }
                    continue;
                }
                files += 1;
                if self.tree.links(*id) < 2 || self.seen.insert(self.tree.node(*id).inode) {
                    bytes += self.unwritten.get(id).copied().unwrap_or_else(|| inode.data().size);
                }
            }
        }
        (files, bytes)
    }
}
