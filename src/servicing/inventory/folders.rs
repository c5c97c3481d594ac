//! How much lies where.

use std::collections::BTreeSet;

use super::FolderSize;
use crate::image::tree::{NodeId, Tree};

/// Folders deeper than this are not told apart.
const DEPTH: usize = 4;
/// A folder with less than this part of all is not told apart from the one it is in.
const LEAST: u64 = 1000;

/// The folders of `tree` that hold more than a thousandth of all bytes, the root always, each before those below it and in the order of names.
pub(super) fn sizes(tree: &Tree) -> Vec<FolderSize> {
    let mut seen = BTreeSet::new();
    let mut all = Vec::new();
    let root = measure(tree, tree.root(), 0, &mut seen, &mut all);
    all.push((tree.root(), root));
    let total = root.1;
    let big = all
        .into_iter()
        .filter(|(id, (_, bytes))| *id == tree.root() || bytes.saturating_mul(LEAST) > total);
    let size = |(id, (files, bytes)): (NodeId, (u64, u64))| FolderSize {
        path: tree.path_of(id).to_string(),
        files,
        bytes,
    };
    let mut sizes: Vec<FolderSize> = big.map(size).collect();
    sizes.sort_by(|one, other| one.path.cmp(&other.path));
    sizes
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
    measure(tree, folder, DEPTH, &mut BTreeSet::new(), &mut Vec::new())
}

/// Files and bytes in and below `folder`; notes those of every folder down to [`DEPTH`].
fn measure(
    tree: &Tree,
    folder: NodeId,
    depth: usize,
    seen: &mut BTreeSet<crate::image::tree::InodeId>,
    all: &mut Vec<(NodeId, (u64, u64))>,
) -> (u64, u64) {
    let (mut files, mut bytes) = (0, 0);
    let mut below = vec![folder];
    while let Some(at) = below.pop() {
        for id in tree.sorted_children(at) {
            let inode = tree.inode(*id);
            if inode.is_directory() && !inode.is_reparse_point() {
                if depth < DEPTH && at == folder {
                    let inside = measure(tree, *id, depth + 1, seen, all);
                    all.push((*id, inside));
                    (files, bytes) = (files + inside.0, bytes + inside.1);
                } else {
                    below.push(*id);
                }
                continue;
            }
            files += 1;
            if tree.links(*id) < 2 || seen.insert(tree.node(*id).inode) {
                bytes += inode.data().size;
            }
        }
    }
    (files, bytes)
}
