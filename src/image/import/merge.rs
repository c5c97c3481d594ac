//! A directory that an image was applied to, put together with what the sidecar keeps of the image.
//!
//! The host decides what there is: entries that went away are gone, new ones come in as in any capture (with the security that their folder passes on, if it
//! has any). An entry is the same one when it has the same name in the same folder and is still a file, a folder or a link; so what was moved is new. For
//! an entry that is the same:
//!
//! - Everything comes from the sidecar: attributes, security, short name, times, streams, tagged items, place among its neighbours.
//! - The time of last writing is the host's where that is not the one apply left.
//! - A file with other content, and a link with another target, keep what a file keeps that an edit replaces (see [`crate::image`]): name, short
//!   name, creation time, attributes, security. Named streams, reparse and encryption data and extended attributes go, as on NTFS.
//! - The names of one file stay that while their contents on the host are the same, be they linked there or not: copying a directory may break links.
//!   Where one changed and another did not, they part; those that changed to the same stay one file.
//! - What was never on the host (names it refuses, encrypted files, links it cannot say) stays as long as its folder does, and until the host has
//!   something of its very name.
//! - A name that is another in its case alone is still that entry, unless there are several such names.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    path::{Path, PathBuf},
};

use fs_err as fs;

use super::{
    Capture, CaptureOptions, CaptureReport, HashedFile, HostEntry, Restored, hash_files, identity,
    modified,
};
use crate::{
    base::{
        filetime::FileTime,
        name::{Name, compare_ignore_case},
    },
    format::{
        security::{SecurityDescriptor, inherit},
        wim::StreamKind,
    },
    image::{
        content::BlobRef,
        edit::{EXTENDED_ATTRIBUTES, KEPT, not_empty, without_item},
        error::ImageError,
        host::{
            links::{Reach, host_target},
            sidecar::{Kind, Placed, Sidecar},
        },
        import::UNIX_DATA,
        offline::Image,
        tree::{FileStream, Inode, InodeId, NodeId, SecurityId},
        watch::Watch,
    },
};

pub(super) fn merge(
    root: &Path,
    metadata: &std::fs::Metadata,
    options: &CaptureOptions,
    sidecar: Sidecar,
    watch: Watch<'_>,
) -> Result<(Image, CaptureReport), ImageError> {
    let Sidecar { image, placed, element, rp_fix } = sidecar;
    let top = image.tree.root();
    let mut merge = Merge {
        capture: Capture::new(root, options),
        image,
        placed,
        rp_fix,
        inherited: HashMap::new(),
        linked: Vec::new(),
        changed: false,
    };
    merge.settle_time(top, modified(metadata));
    merge.settle_unix_data(top, metadata);
    let mut waiting =
        vec![Folder { host: root.to_owned(), path: String::new(), node: top, depth: 0 }];
    while let Some(folder) = waiting.pop() {
        merge.capture.check(&folder.host, folder.depth, watch)?;
        merge.folder(&folder, &mut waiting)?;
    }
    for (parent, entry) in std::mem::take(&mut merge.linked) {
        merge.insert(parent, &entry)?;
    }
    merge.capture.settle_names()?;
    let files = std::mem::take(&mut merge.capture.files);
    let files = hash_files(&mut merge.image, files, watch)?;
    merge.contents(files);
    let mut report = merge.capture.report;
    report.restored = Some(Restored { element, rp_fix, changed: merge.changed });
    Ok((merge.image, report))
}

/// A merge under way.
struct Merge<'a> {
    capture: Capture<'a>,
    /// The image of the sidecar, which becomes that of the directory.
    image: Image,
    placed: HashMap<NodeId, Placed>,
    rp_fix: bool,
    /// What descriptors pass on to files and to folders.
    inherited: HashMap<(SecurityId, bool), Option<SecurityId>>,
    /// New files with several names, and their folders. They come last: one of the names may be an old one.
    linked: Vec<(NodeId, HostEntry)>,
    changed: bool,
}

/// A folder of the host whose entries are still to be merged.
struct Folder {
    host: PathBuf,
    path: String,
    node: NodeId,
    depth: usize,
}

impl Merge<'_> {
    fn kind(&self, node: NodeId) -> Kind {
        self.placed.get(&node).map_or(Kind::Absent, |placed| placed.kind)
    }

    fn folder(&mut self, folder: &Folder, waiting: &mut Vec<Folder>) -> Result<(), ImageError> {
        let children = self.image.tree.children(folder.node).to_vec();
        let on_host = children.iter().copied().filter(|&id| self.kind(id) != Kind::Absent);
        let known: HashMap<Name, NodeId> =
            on_host.map(|id| (self.image.tree.node(id).name.clone(), id)).collect();
        let entries =
            self.capture.entries(&folder.host, &folder.path, &|name| known.contains_key(name))?;
        let same = |entry: &HostEntry| {
            known.get(&entry.name).copied().filter(|&id| Some(self.kind(id)) == kind_of(entry))
        };
        let mut matched: Vec<Option<NodeId>> = entries.iter().map(same).collect();
        self.match_case(&children, &entries, &mut matched);
        let seen: HashSet<NodeId> = matched.iter().copied().flatten().collect();
        let is_new = |(entry, id): (_, &Option<_>)| id.is_none().then_some(entry);
        let new: HashSet<&Name> =
            entries.iter().map(|entry| &entry.name).zip(&matched).filter_map(is_new).collect();
        let mut gone = BTreeSet::new();
        for &id in &children {
            if self.kind(id) == Kind::Absent {
                match new.contains(&self.image.tree.node(id).name) {
                    true => drop(gone.insert(id)),
                    false => self.exclude(id, &folder.path),
                }
            } else if !seen.contains(&id) {
                gone.insert(id);
            }
        }
        self.changed |= !gone.is_empty();
        self.image.tree.remove_children(folder.node, &gone);
        for (entry, id) in entries.into_iter().zip(matched) {
            let id = match id {
                Some(id) => self.known(folder, id, &entry)?,
                None if identity(&entry.metadata).is_some() => {
                    self.linked.push((folder.node, entry));
                    continue;
                }
                None => self.insert(folder.node, &entry)?,
            };
            if let Some(node) = id
                && entry.metadata.is_dir()
            {
                let depth = folder.depth + 1;
                waiting.push(Folder { host: entry.host, path: entry.path, node, depth });
            }
        }
        Ok(())
    }

    /// Finds, for entries of the host that have no match, the one that has their name and kind but for the case, if that is certain.
    fn match_case(
        &mut self,
        children: &[NodeId],
        entries: &[HostEntry],
        matched: &mut [Option<NodeId>],
    ) {
        let seen: HashSet<NodeId> = matched.iter().copied().flatten().collect();
        let tree = &self.image.tree;
        let name = |id: &NodeId| tree.node(*id).name.units();
        let mut left: Vec<NodeId> = children.to_vec();
        left.retain(|&id| self.kind(id) != Kind::Absent);
        if seen.len() == left.len() || seen.len() == entries.len() {
            return;
        }
        left.sort_by(|one, other| compare_ignore_case(name(one), name(other)));
        let mut found = Vec::new();
        // The entries are sorted in the same way: such names are neighbours.
        let mut start = 0;
        for alike in entries.chunk_by(|one, other| one.name.eq_ignore_case(&other.name)) {
            let units = alike[0].name.units();
            let first = left.partition_point(|id| compare_ignore_case(name(id), units).is_lt());
            let count = left[first..]
                .iter()
                .take_while(|id| compare_ignore_case(name(id), units).is_eq())
                .count();
            if let ([entry], 1, None) = (alike, count, matched[start])
                && Some(self.kind(left[first])) == kind_of(entry)
            {
                found.push((start, left[first], entry.name.clone()));
            }
            start += alike.len();
        }
        for (place, id, name) in found {
            matched[place] = Some(id);
            self.image.tree.respell(id, name);
            self.changed = true;
        }
    }

    fn remove(&mut self, id: NodeId) {
        self.image.tree.remove(id);
        self.changed = true;
    }

    /// Takes away what the patterns leave out of what was never on the host.
    fn exclude(&mut self, id: NodeId, folder: &str) {
        if self.capture.options.exclude.is_empty() {
            return;
        }
        let mut waiting = vec![(id, folder.to_owned())];
        while let Some((id, folder)) = waiting.pop() {
            let path = format!("{folder}/{}", self.image.tree.node(id).name);
            if self.capture.options.exclude.matches(&path) {
                self.capture.report.excluded += 1;
                self.remove(id);
                continue;
            }
            let children = self.image.tree.children(id);
            waiting.extend(children.iter().map(|&child| (child, path.clone())));
        }
    }

    /// An entry that apply left. Returns its node, which is another one when it was linked to another file meanwhile; `None` when it cannot go in any more.
    fn known(
        &mut self,
        folder: &Folder,
        id: NodeId,
        entry: &HostEntry,
    ) -> Result<Option<NodeId>, ImageError> {
        if entry.metadata.is_file() {
            if let Some(key) = identity(&entry.metadata) {
                let first = *self.capture.links.entry(key).or_insert(id);
                let tree = &mut self.image.tree;
                if tree.node(first).inode != tree.node(id).inode {
                    tree.remove(id);
                    self.changed = true;
                    return Ok(Some(tree.insert_link(folder.node, entry.name.clone(), first)));
                }
            }
            self.settle_unix_data(id, &entry.metadata);
            self.capture.files.push(entry.file(id));
            return Ok(Some(id));
        }
        if entry.metadata.is_symlink() && !self.link(folder, id, entry)? {
            self.remove(id);
            return Ok(None);
        }
        self.settle_time(id, modified(&entry.metadata));
        self.settle_unix_data(id, &entry.metadata);
        Ok(Some(id))
    }

    /// A link whose target is another one than apply left gets it; the rest stays. False when that target cannot go in.
    fn link(&mut self, folder: &Folder, id: NodeId, entry: &HostEntry) -> Result<bool, ImageError> {
        let reach = Reach::Anywhere { rp_fix: self.rp_fix };
        let inode = self.image.tree.inode(id);
        let left = host_target(&self.image, inode, folder.depth, reach);
        if left.as_deref() == Some(fs::read_link(&entry.host)?.as_path()) {
            return Ok(true);
        }
        let Some(new) = self.capture.inode(&mut self.image, entry)? else { return Ok(false) };
        let inode = self.image.tree.inode_mut(id);
        inode.attributes = inode.attributes & KEPT | new.attributes;
        inode.streams = new.streams;
        inode.reparse = new.reparse;
        inode.tagged_items = without_item(&inode.tagged_items, EXTENDED_ATTRIBUTES);
        self.changed = true;
        Ok(true)
    }

    /// An entry that is new.
    fn insert(&mut self, parent: NodeId, entry: &HostEntry) -> Result<Option<NodeId>, ImageError> {
        let Some(mut inode) = self.capture.inode(&mut self.image, entry)? else { return Ok(None) };
        self.changed = true;
        let identity = identity(&entry.metadata);
        if let Some(key) = identity
            && let Some(&first) = self.capture.links.get(&key)
        {
            return Ok(Some(self.image.tree.insert_link(parent, entry.name.clone(), first)));
        }
        inode.security = self.inherited(parent, inode.is_directory());
        let id = self.image.tree.insert(parent, entry.name.clone(), inode);
        if entry.metadata.is_file() {
            if let Some(key) = identity {
                self.capture.links.insert(key, id);
            }
            self.capture.files.push(entry.file(id));
        }
        Ok(Some(id))
    }

    /// The security that a folder passes on. A damaged descriptor passes nothing on.
    fn inherited(&mut self, parent: NodeId, is_directory: bool) -> Option<SecurityId> {
        let id = self.image.tree.inode(parent).security?;
        if let Some(&known) = self.inherited.get(&(id, is_directory)) {
            return known;
        }
        let parent = SecurityDescriptor::parse(self.image.tree.security(id)).ok();
        let bytes = parent.map(|parent| inherit(&parent, is_directory).to_bytes());
        let passed = bytes.map(|bytes| self.image.tree.security_id(&bytes));
        self.inherited.insert((id, is_directory), passed);
        passed
    }

    /// The time of last writing is the host's where that is not the one apply left.
    fn settle_time(&mut self, id: NodeId, host: FileTime) {
        if self.placed.get(&id).is_some_and(|placed| placed.modified != host) {
            self.image.tree.inode_mut(id).last_write_time = host;
            self.changed = true;
        }
    }

    /// Owner and mode are the host's when they are asked for.
    fn settle_unix_data(&mut self, id: NodeId, metadata: &std::fs::Metadata) {
        let items = self.capture.tagged_items(metadata);
        let old = &self.image.tree.inode(id).tagged_items;
        let is_there = (0..old.len()).step_by(8).any(|start| old[start..].starts_with(&items));
        if items.is_empty() || is_there {
            return;
        }
        let mut new = without_item(old, UNIX_DATA);
        new.extend(items);
        self.image.tree.inode_mut(id).tagged_items = new;
        self.changed = true;
    }

    /// What the files hold.
    fn contents(&mut self, files: Vec<HashedFile>) {
        let mut names: BTreeMap<InodeId, Vec<HashedFile>> = BTreeMap::new();
        for file in files {
            names.entry(self.image.tree.node(file.node).inode).or_default().push(file);
        }
        for names in names.into_values() {
            if names.iter().all(|name| !self.placed.contains_key(&name.node)) {
                for name in &names {
                    self.new_content(name);
                }
                continue;
            }
            let changed: Vec<bool> = names.iter().map(|name| self.has_changed(name)).collect();
            let first = names[0].content;
            let is_one = names.iter().all(|name| name.content == first);
            if !changed.contains(&true) {
                self.latest_time(&names);
            } else if is_one {
                // What was never on the host follows the names that are.
                self.replace(&names[0]);
            } else {
                let mut parted: BTreeMap<BlobRef, NodeId> = BTreeMap::new();
                for (name, _) in names.iter().zip(changed).filter(|(_, changed)| *changed) {
                    if let Some(&first) = parted.get(&name.content) {
                        self.image.tree.join(name.node, first);
                        continue;
                    }
                    parted.insert(name.content, name.node);
                    if self.image.tree.links(name.node) > 1 {
                        self.image.tree.split(name.node);
                    }
                    self.replace(name);
                }
            }
        }
    }

    fn has_changed(&self, file: &HashedFile) -> bool {
        let data = self.image.tree.inode(file.node).data();
        data.size != file.content.size || data.size != 0 && data.sha1 != file.content.sha1
    }

    fn new_content(&mut self, file: &HashedFile) {
        if file.content.size > 0 {
            self.image.tree.inode_mut(file.node).streams = vec![data_stream(file.content)];
        }
    }

    /// The names of one file have one time: the latest that is not the one apply left.
    fn latest_time(&mut self, names: &[HashedFile]) {
        let left = |name: &&HashedFile| {
            self.placed.get(&name.node).is_some_and(|placed| placed.modified != name.modified)
        };
        let latest = names.iter().filter(left).max_by_key(|name| name.modified);
        if let Some(latest) = latest {
            self.image.tree.inode_mut(latest.node).last_write_time = latest.modified;
            self.changed = true;
        }
    }

    fn replace(&mut self, file: &HashedFile) {
        let inode: &mut Inode = self.image.tree.inode_mut(file.node);
        inode.attributes = not_empty(inode.attributes & KEPT);
        inode.streams = vec![data_stream(file.content)];
        inode.reparse = None;
        inode.tagged_items = without_item(&inode.tagged_items, EXTENDED_ATTRIBUTES);
        inode.last_write_time = file.modified;
        self.changed = true;
    }
}

fn data_stream(content: BlobRef) -> FileStream {
    FileStream { kind: StreamKind::Data, name: Name::default(), content }
}

fn kind_of(entry: &HostEntry) -> Option<Kind> {
    let metadata = &entry.metadata;
    if metadata.is_symlink() {
        Some(Kind::Link)
    } else if metadata.is_dir() {
        Some(Kind::Folder)
    } else {
        metadata.is_file().then_some(Kind::File)
    }
}
