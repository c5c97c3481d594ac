//! The tree from, and to, the metadata of a WIM.

use std::collections::BTreeMap;

use crate::{
    base::{digest::Sha1, malformed::Malformed},
    format::wim::{Dentry, ImageMetadata, Stream},
};

use super::{
    content::BlobRef,
    tree::{FileStream, Inode, NodeId, SecurityId, Tree},
};

/// Builds the tree. `size_of` tells the size of content; what is unknown counts as empty.
///
/// # Errors
/// When the entries do not form a tree.
pub(super) fn to_tree(
    metadata: ImageMetadata,
    size_of: &dyn Fn(&Sha1) -> u64,
) -> Result<Tree, Malformed> {
    let malformed = |what: &str, index: u32| {
        Malformed::new("image metadata", format!("entry {index} {what}"), u64::from(index))
    };
    let count = metadata.dentries.len();
    let descriptors = metadata.security.len();
    let mut dentries: Vec<Option<Dentry>> = metadata.dentries.into_iter().map(Some).collect();
    let Some(root) = dentries.first_mut().and_then(Option::take) else {
        return Err(malformed("is missing", 0));
    };
    let inode = |dentry: &Dentry| inode_of(dentry, descriptors, size_of);
    let mut tree = Tree::new(inode(&root), metadata.security);
    let mut linked: BTreeMap<(u64, Sha1), NodeId> = BTreeMap::new();
    let mut waiting = vec![(tree.root(), root.children)];
    while let Some((parent, children)) = waiting.pop() {
        for index in children {
            let dentry = dentries
                .get_mut(index as usize)
                .and_then(Option::take)
                .ok_or_else(|| malformed("is not there or in two folders", index))?;
            let file = inode(&dentry);
            let group = dentry.hard_link_group;
            let linkable = group != 0 && !file.is_directory() && file.reparse.is_none();
            let key = (group, main_hash(&file));
            let id = match linked.get(&key) {
                Some(&first) if linkable => {
                    tree.append_link(parent, dentry.name, first, Some(file))
                }
                _ => {
                    let id = tree.append(parent, dentry.name, file);
                    if linkable {
                        linked.insert(key, id);
                    }
                    id
                }
            };
            tree.set_short_name(id, dentry.short_name);
            if !dentry.children.is_empty() {
                if !tree.inode(id).is_directory() {
                    return Err(malformed("has entries below it and is not a folder", index));
                }
                waiting.push((id, dentry.children));
            }
        }
    }
    debug_assert!(tree.walk().count() <= count, "a node for each entry at most");
    Ok(tree)
}

/// The content that decides, with the group id, whether two names are one file.
fn main_hash(inode: &Inode) -> Sha1 {
    inode
        .streams
        .first()
        .filter(|stream| stream.name.is_empty())
        .map_or(Sha1::ZERO, |stream| stream.content.sha1)
}

fn inode_of(dentry: &Dentry, descriptors: usize, size_of: &dyn Fn(&Sha1) -> u64) -> Inode {
    let stream = |stream: &Stream| FileStream {
        kind: stream.kind,
        name: stream.name.clone(),
        content: BlobRef {
            sha1: stream.sha1,
            size: if stream.sha1.is_zero() { 0 } else { size_of(&stream.sha1) },
        },
    };
    Inode {
        attributes: dentry.attributes,
        creation_time: dentry.creation_time,
        last_access_time: dentry.last_access_time,
        last_write_time: dentry.last_write_time,
        security: dentry.security_id.filter(|&id| (id as usize) < descriptors).map(SecurityId),
        streams: dentry.streams.iter().map(stream).collect(),
        reparse: dentry.reparse,
        tagged_items: dentry.tagged_items.clone(),
        unknown: dentry.unknown,
        hard_link_group: dentry.hard_link_group,
        links: 1,
        edited: false,
    }
}

/// The metadata of the tree: entries in the order of the tree, descriptors in the order of the table (what nothing uses any more stays,
/// so that the others keep their numbers).
pub(super) fn from_tree(tree: &Tree) -> ImageMetadata {
    let groups = link_groups(tree);
    let order: Vec<NodeId> = tree.walk().collect();
    let mut places = BTreeMap::new();
    for (place, &id) in (0_u32..).zip(&order) {
        places.insert(id, place);
    }
    let dentries = order.iter().map(|&id| {
        let (node, inode) = (tree.node(id), tree.inode(id));
        Dentry {
            name: node.name.clone(),
            short_name: node.short_name.clone(),
            attributes: inode.attributes,
            security_id: inode.security.map(|id| id.0),
            creation_time: inode.creation_time,
            last_access_time: inode.last_access_time,
            last_write_time: inode.last_write_time,
            streams: inode
                .streams
                .iter()
                .map(|stream| Stream {
                    kind: stream.kind,
                    name: stream.name.clone(),
                    sha1: stream.content.sha1,
                })
                .collect(),
            hard_link_group: groups[node.inode.0 as usize],
            reparse: inode.reparse,
            unknown: inode.unknown,
            tagged_items: inode.tagged_items.clone(),
            children: tree.children(id).iter().map(|child| places[child]).collect(),
        }
    });
    ImageMetadata {
        dentries: dentries.collect(),
        security: tree.security_table().to_vec(),
        warnings: Vec::new(),
    }
}

/// The group id of each inode. They stay as they are, except where an edit made the content of two files with one id equal (readers would take
/// them for one file), and for files with several names and no id: those get new ids above all others.
fn link_groups(tree: &Tree) -> Vec<u64> {
    let mut groups = vec![0; tree.inode_count()];
    let mut seen = vec![false; tree.inode_count()];
    let mut taken = BTreeMap::new();
    let mut wanting = Vec::new();
    let mut highest = 0;
    for id in tree.walk() {
        let (inode, place) = (tree.inode(id), tree.node(id).inode.0 as usize);
        if std::mem::replace(&mut seen[place], true) {
            continue;
        }
        let group = inode.hard_link_group;
        groups[place] = group;
        if inode.is_directory() || inode.reparse.is_some() {
            continue;
        }
        highest = highest.max(group);
        let free = group != 0 && taken.insert((group, main_hash(inode)), place).is_none();
        if !free && (group != 0 || tree.links(id) > 1) {
            wanting.push(place);
        }
    }
    for place in wanting {
        highest = highest.wrapping_add(1).max(1);
        groups[place] = highest;
    }
    groups
}
