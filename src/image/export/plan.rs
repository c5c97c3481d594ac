//! What goes where: decided before anything is written.
//!
//! Every place is a list of plain names below the target folder: a name that the host could read as more than a name (`..`, a
//! separator, NUL, a reserved name) is left out with everything below it, and so is what would come to lie below a link. Links are turned into relative
//! ones that stay inside the image, or left out.

use std::{
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
};

use super::losses::{Loss, Losses};
use crate::{
    base::bytes::Reader,
    format::wim::StreamKind,
    image::{
        content::{BlobLocation, BlobRef},
        error::ImageError,
        host::{
            SIDECAR_NAME,
            links::{Reach, folded, host_name, host_target},
            sidecar::{Kind, Placed},
            target::Times,
        },
        import::UNIX_DATA,
        offline::Image,
        patterns::Patterns,
        reparse,
        tree::{
            ATTRIBUTE_ARCHIVE, ATTRIBUTE_DIRECTORY, ATTRIBUTE_ENCRYPTED, ATTRIBUTE_NORMAL,
            ATTRIBUTE_REPARSE, ATTRIBUTE_SPARSE, Inode, InodeId, NodeId, Tree,
        },
    },
};

/// How to plan.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules<'a> {
    /// What to write, with the folders above it; no pattern: all.
    pub(super) include: &'a Patterns,
    /// Give files and folders the modes that a capture with Unix data kept.
    pub(super) unix_data: bool,
    /// Where links may lead.
    pub(super) reach: Reach,
    /// True when nothing is lost that a file system cannot hold, because it is kept elsewhere.
    pub(super) kept: bool,
    /// Bytes that a path below the target may have.
    pub(super) room: usize,
    /// True when the host takes names that differ in case alone for one.
    pub(super) folds_case: bool,
}

/// What will be written, each list in the image's order.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// A folder stands after the one it is in.
    pub(super) folders: Vec<Folder>,
    pub(super) files: Vec<File>,
    pub(super) links: Vec<Link>,
    pub(super) losses: Losses,
    /// What becomes of each entry, in the order of the tree.
    pub(super) placed: Vec<Placed>,
}

/// A folder to make or use.
#[derive(Debug)]
pub(super) struct Folder {
    /// Below the target; empty for the target itself, which is here when all of the image is extracted.
    pub(super) path: PathBuf,
    /// Its entry, counted in the order of the tree.
    pub(super) entry: usize,
    pub(super) times: Times,
    pub(super) mode: Option<u32>,
}

/// A file to write once under all its names.
#[derive(Debug)]
pub(super) struct File {
    /// One of its entries in the image, for messages.
    pub(super) node: NodeId,
    /// At least one; all but the first become hard links.
    pub(super) paths: Vec<PathBuf>,
    /// The entry of each path.
    pub(super) entries: Vec<usize>,
    pub(super) content: BlobRef,
    /// Where its content lies, so that files can be read in that order: part and offset in the WIM; what lies elsewhere comes last.
    pub(super) position: (u16, Option<u32>, u64),
    pub(super) times: Times,
    pub(super) mode: Option<u32>,
}

/// A symbolic link to make.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) path: PathBuf,
    pub(super) entry: usize,
    pub(super) times: Times,
    pub(super) target: PathBuf,
    pub(super) to_folder: bool,
}

/// An entry of the image and where it is.
struct Entry {
    node: NodeId,
    /// Its path in the image, `\` for the root.
    path: String,
    /// Position of its folder among the entries.
    parent: Option<usize>,
    /// How many folders are above it, without the root.
    depth: usize,
}

/// Decides about every chosen entry, and about the folders above it.
pub(super) fn plan(image: &Image, rules: Rules<'_>) -> Result<Plan, ImageError> {
    let tree = image.tree();
    let entries = entries(tree);
    let paths = entries.iter().map(|entry| (entry.path.as_str(), entry.parent));
    let chosen = rules.include.choose(paths)?;
    let whole = chosen.first() == Some(&true);
    let needed = with_parents(&entries, chosen);
    let mut planner = Planner {
        image,
        rules,
        plan: Plan::default(),
        first_names: HashMap::new(),
        taken: HashSet::new(),
    };
    let mut places: Vec<Place> = Vec::with_capacity(entries.len());
    planner.plan.placed = vec![Placed::default(); entries.len()];
    for (number, (entry, needed)) in entries.iter().zip(needed).enumerate() {
        let place = if needed {
            let folder = entry.parent.map(|parent| &places[parent]);
            planner.place(entry, number, folder)?
        } else {
            Place::LeftOut
        };
        places.push(place);
    }
    if !whole {
        // Parts come into a folder that has its own times and permissions.
        planner.plan.folders.retain(|folder| !folder.path.as_os_str().is_empty());
    }
    Ok(planner.plan)
}

/// All entries: a folder before what is in it, in the image's order.
fn entries(tree: &Tree) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut waiting = vec![(tree.root(), None)];
    while let Some((node, parent)) = waiting.pop() {
        let name = &tree.node(node).name;
        let above = parent.map(|parent: usize| &entries[parent]);
        let (path, depth) = match above {
            None => ("\\".to_owned(), 0),
            Some(above) if above.parent.is_none() => (format!("\\{name}"), 0),
            Some(above) => (format!("{}\\{name}", above.path), above.depth + 1),
        };
        let place = Some(entries.len());
        entries.push(Entry { node, path, parent, depth });
        waiting.extend(tree.children(node).iter().rev().map(|child| (*child, place)));
    }
    entries
}

/// Marks the folders above what is chosen too.
fn with_parents(entries: &[Entry], mut needed: Vec<bool>) -> Vec<bool> {
    for position in (0..entries.len()).rev() {
        if needed[position]
            && let Some(parent) = entries[position].parent
        {
            needed[parent] = true;
        }
    }
    needed
}

/// What became of an entry.
enum Place {
    /// It is a folder there.
    Folder(PathBuf),
    /// It is a file or a link, planned or not: nothing can be below it.
    Leaf,
    /// It was left out, or not asked for.
    LeftOut,
}

/// A plan in the making.
struct Planner<'a> {
    image: &'a Image,
    rules: Rules<'a>,
    plan: Plan,
    /// The planned file of each inode.
    first_names: HashMap<InodeId, usize>,
    /// The places that are given away.
    taken: HashSet<PathBuf>,
}

impl Planner<'_> {
    fn place(
        &mut self,
        entry: &Entry,
        number: usize,
        folder: Option<&Place>,
    ) -> Result<Place, ImageError> {
        let path = match folder {
            None => PathBuf::new(),
            Some(Place::Folder(folder)) => match self.path_in(folder, entry) {
                Some(path) => path,
                None => {
                    self.plan.losses.add(Loss::Name, &entry.path);
                    return Ok(Place::LeftOut);
                }
            },
            Some(Place::Leaf) => {
                self.plan.losses.add(Loss::Link, &entry.path);
                return Ok(Place::LeftOut);
            }
            Some(Place::LeftOut) => return Ok(Place::LeftOut),
        };
        let inode = self.image.tree().inode(entry.node);
        self.note_losses(entry, inode);
        let times = Times { accessed: inode.last_access_time, modified: inode.last_write_time };
        if inode.reparse.is_some_and(|reparse| reparse::is_link(reparse.tag)) {
            match host_target(self.image, inode, entry.depth, self.rules.reach) {
                Some(target) => {
                    let to_folder = inode.is_directory();
                    let link = Link { path, entry: number, times, target, to_folder };
                    self.plan.links.push(link);
                    self.placed(number, Kind::Link, times);
                }
                None => self.plan.losses.add(Loss::Link, &entry.path),
            }
            return Ok(Place::Leaf);
        }
        if inode.reparse.is_some() && !self.rules.kept {
            self.plan.losses.add(Loss::Reparse, &entry.path);
        }
        let mode = self.rules.unix_data.then(|| unix_mode(&inode.tagged_items)).flatten();
        if inode.is_directory() {
            self.placed(number, Kind::Folder, times);
            self.plan.folders.push(Folder { path: path.clone(), entry: number, times, mode });
            return Ok(Place::Folder(path));
        }
        if inode.attributes & ATTRIBUTE_ENCRYPTED != 0 {
            self.plan.losses.add(Loss::Encrypted, &entry.path);
        } else {
            self.place_file(entry, number, path, (times, mode))?;
        }
        Ok(Place::Leaf)
    }

    /// The entry's path below the target, if it can have one.
    fn path_in(&mut self, folder: &Path, entry: &Entry) -> Option<PathBuf> {
        let name = host_name(&self.image.tree().node(entry.node).name)?;
        let is_root = folder.as_os_str().is_empty();
        if is_root && name.eq_ignore_ascii_case(SIDECAR_NAME) {
            return None;
        }
        let path = folder.join(name);
        let fits = path.as_os_str().len() <= self.rules.room;
        let compared = if self.rules.folds_case { folded(&path) } else { path.clone() };
        (fits && self.taken.insert(compared)).then_some(path)
    }

    fn placed(&mut self, number: usize, kind: Kind, times: Times) {
        self.plan.placed[number] = Placed { kind, size: 0, modified: times.modified };
    }

    fn place_file(
        &mut self,
        entry: &Entry,
        number: usize,
        path: PathBuf,
        (times, mode): (Times, Option<u32>),
    ) -> Result<(), ImageError> {
        let tree = self.image.tree();
        let inode_id = tree.node(entry.node).inode;
        let content = tree.inode(entry.node).data();
        self.placed(number, Kind::File, times);
        self.plan.placed[number].size = content.size;
        if let Some(&file) = self.first_names.get(&inode_id) {
            let file = &mut self.plan.files[file];
            file.paths.push(path);
            file.entries.push(number);
            // The names may tell different times; the host has one.
            self.plan.placed[number].modified = file.times.modified;
            return Ok(());
        }
        let position = match self.image.location(&content) {
            Some(BlobLocation::Base(_, blob)) => blob.position(),
            Some(_) => (u16::MAX, None, u64::MAX),
            None if content.sha1.is_zero() => (0, None, 0),
            None => return Err(self.image.missing(&tree.path_of(entry.node), &content, "")),
        };
        if tree.links(entry.node) > 1 {
            self.first_names.insert(inode_id, self.plan.files.len());
        }
        let (node, paths, entries) = (entry.node, vec![path], vec![number]);
        self.plan.files.push(File { node, paths, entries, content, position, times, mode });
        Ok(())
    }

    fn note_losses(&mut self, entry: &Entry, inode: &Inode) {
        if self.rules.kept {
            return;
        }
        let losses = &mut self.plan.losses;
        for stream in inode.streams.iter().filter(|stream| stream.kind == StreamKind::Named) {
            losses.add(Loss::Stream, format!("{}:{}", entry.path, stream.name));
        }
        if inode.security.is_some() {
            losses.add(Loss::Security, &entry.path);
        }
        let plain = ATTRIBUTE_DIRECTORY
            | ATTRIBUTE_ARCHIVE
            | ATTRIBUTE_NORMAL
            | ATTRIBUTE_REPARSE
            | ATTRIBUTE_SPARSE;
        if inode.attributes & !plain != 0 {
            losses.add(Loss::Attributes, &entry.path);
        }
        if !self.image.tree().node(entry.node).short_name.is_empty() {
            losses.add(Loss::ShortName, &entry.path);
        }
        let kept = self.rules.unix_data && unix_mode(&inode.tagged_items).is_some();
        if !inode.tagged_items.is_empty() && !kept {
            losses.add(Loss::TaggedItems, &entry.path);
        }
    }
}

/// The Unix mode among tagged items: each a u32 tag, a u32 length and the data, padded to 8 bytes. wimlib's Unix data is u32 owner, group, mode, device.
fn unix_mode(items: &[u8]) -> Option<u32> {
    let mut reader = Reader::new("tagged items", items);
    loop {
        let (tag, length) = (reader.u32().ok()?, reader.u32().ok()?);
        let mut item = reader.sub(length as usize).ok()?;
        if tag == UNIX_DATA && length >= 16 {
            item.bytes(8).ok()?;
            return item.u32().ok();
        }
        reader.align(8).ok()?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unix_mode_is_found_behind_other_items() {
        let mut items = Vec::new();
        items.extend([2_u32.to_le_bytes(), 3_u32.to_le_bytes()].concat());
        items.extend([1, 2, 3, 0, 0, 0, 0, 0]);
        items.extend([UNIX_DATA, 16, 1, 2, 0o100_755, 0].map(u32::to_le_bytes).concat());
        assert_eq!(unix_mode(&items), Some(0o100_755));
        assert_eq!(unix_mode(&items[..20]), None);
        assert_eq!(unix_mode(&[255; 16]), None);
    }
}
