//! Files and folders: two trees walked side by side.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
};

use super::{Aspect, Detail, FileChange, Kind, Options, Side, Text, shown, text};
use crate::{
    base::{
        name::{Name, compare_ignore_case},
        ntpath::NtPath,
    },
    format::wim::StreamKind,
    image::{
        content::BlobRef,
        hives::{HiveId, log_paths},
        tree::{ATTRIBUTE_NORMAL, Inode, InodeId, NodeId, Tree},
    },
};

/// As many other names of a file are told.
const MOST_NAMES: usize = 8;

/// What was found of the files.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) changes: Vec<FileChange>,
    /// The hives whose files, or the logs that complete them, differ.
    pub(super) hives: Vec<DifferingHive>,
}

/// A hive that is on both sides and whose file differs.
#[derive(Debug)]
pub(super) struct DifferingHive {
    pub(super) id: HiveId,
    /// The place of its file in the changes; it is there even when only a log differs.
    pub(super) change: usize,
}

/// An entry on both sides, or on one.
type Pair = (Option<NodeId>, Option<NodeId>);

/// Compares all files and folders.
pub(super) fn compare(before: &Side<'_>, after: &Side<'_>, options: Options) -> Found {
    let (old, new) = (before.tree(), after.tree());
    let pairs = pairs(old, new);
    let mut links = Links::of(old, new, &pairs);
    let hives = hives(before, after);
    let mut found = Found::default();
    for pair in pairs {
        match pair {
            (Some(one), Some(other)) => {
                let mut details = details(old, one, new, other, options);
                details.extend(links.detail(old, one, new, other));
                details.sort_by_key(|detail| (detail.aspect, detail.name.clone()));
                let hive = hives.get(&(one, other)).copied();
                if let Some(id) = hive {
                    found.hives.push(DifferingHive { id, change: found.changes.len() });
                }
                if hive.is_some() || !details.is_empty() {
                    found.changes.push(changed(old, one, new, other, details));
                }
            }
            (Some(one), None) => found.changes.push(alone(old, one, Kind::Removed, &links.old)),
            (None, Some(other)) => found.changes.push(alone(new, other, Kind::Added, &links.new)),
            (None, None) => {}
        }
    }
    found.hives.sort_by_key(|hive| hive.id);
    found
}

/// Every entry with the one of the same path, each folder before what is in it, in the order of names.
fn pairs(old: &Tree, new: &Tree) -> Vec<Pair> {
    let mut all = Vec::new();
    let mut waiting = vec![(Some(old.root()), Some(new.root()))];
    let mut children = Vec::new();
    while let Some(pair) = waiting.pop() {
        all.push(pair);
        match pair {
            (Some(one), Some(other)) if is_folder(old, one) != is_folder(new, other) => {
                // A file where a folder was is another thing.
                all.pop();
                waiting.push((None, Some(other)));
                waiting.push((Some(one), None));
                continue;
            }
            (Some(one), Some(other)) => {
                merge(
                    (old, old.sorted_children(one)),
                    (new, new.sorted_children(other)),
                    &mut children,
                );
            }
            (Some(one), None) => {
                children.extend(old.sorted_children(one).iter().map(|id| (Some(*id), None)));
            }
            (None, Some(other)) => {
                children.extend(new.sorted_children(other).iter().map(|id| (None, Some(*id))));
            }
            (None, None) => {}
        }
        waiting.extend(children.drain(..).rev());
    }
    all
}

fn is_folder(tree: &Tree, id: NodeId) -> bool {
    tree.inode(id).is_directory()
}

/// Pairs the entries of two folders, both sorted without case.
fn merge(old: (&Tree, &[NodeId]), new: (&Tree, &[NodeId]), pairs: &mut Vec<Pair>) {
    let name = |tree: &Tree, id: NodeId| tree.node(id).name.clone();
    let ((old, mut left), (new, mut right)) = (old, new);
    while let (Some(one), Some(other)) = (left.first(), right.first()) {
        let (one_name, other_name) = (&old.node(*one).name, &new.node(*other).name);
        match compare_ignore_case(one_name.units(), other_name.units()) {
            Ordering::Less => {
                pairs.push((Some(*one), None));
                left = &left[1..];
            }
            Ordering::Greater => {
                pairs.push((None, Some(*other)));
                right = &right[1..];
            }
            Ordering::Equal => {
                let run = |tree: &Tree, ids: &[NodeId]| {
                    let same = |id: &&NodeId| tree.node(**id).name.eq_ignore_case(one_name);
                    ids.iter().take_while(same).count()
                };
                let (lefts, rights) = (run(old, left), run(new, right));
                if (lefts, rights) == (1, 1) {
                    pairs.push((Some(*one), Some(*other)));
                } else {
                    let names = |tree: &Tree, ids: &[NodeId]| {
                        ids.iter().map(|id| (name(tree, *id), *id)).collect::<Vec<_>>()
                    };
                    let (ones, others) = (names(old, &left[..lefts]), names(new, &right[..rights]));
                    pairs.extend(match_exactly(ones, others));
                }
                (left, right) = (&left[lefts..], &right[rights..]);
            }
        }
    }
    pairs.extend(left.iter().map(|id| (Some(*id), None)));
    pairs.extend(right.iter().map(|id| (None, Some(*id))));
}

/// Pairs things whose names differ in case at most: those of exactly the same name first, then the others in order.
pub(super) fn match_exactly<T: Copy>(
    ones: Vec<(Name, T)>,
    others: Vec<(Name, T)>,
) -> Vec<(Option<T>, Option<T>)> {
    let mut free: Vec<Option<(Name, T)>> = others.into_iter().map(Some).collect();
    let mut places: BTreeMap<Name, Vec<usize>> = BTreeMap::new();
    for (place, (name, _)) in
        free.iter().enumerate().rev().filter_map(|(place, free)| Some((place, free.as_ref()?)))
    {
        places.entry(name.clone()).or_default().push(place);
    }
    let mut pairs: Vec<(Option<T>, Option<T>)> = Vec::new();
    for (name, one) in ones {
        let place = places.get_mut(&name).and_then(Vec::pop);
        let other = place.and_then(|place| free[place].take());
        pairs.push((Some(one), other.map(|(_, other)| other)));
    }
    let mut rest = free.into_iter().flatten().map(|(_, other)| other);
    for pair in pairs.iter_mut().filter(|pair| pair.1.is_none()) {
        pair.1 = rest.next();
    }
    pairs.extend(rest.map(|other| (None, Some(other))));
    pairs
}

/// The hives that are on both sides at one path and whose files differ, or the logs that complete them.
fn hives(before: &Side<'_>, after: &Side<'_>) -> BTreeMap<(NodeId, NodeId), HiveId> {
    let data = |side: &Side<'_>, path: &NtPath| {
        let node = side.tree().lookup(path)?;
        let inode = side.tree().inode(node);
        (!inode.is_directory()).then(|| (node, inode.data()))
    };
    let mut hives = BTreeMap::new();
    for id in HiveId::ALL {
        let (old_path, new_path) = (id.path(&before.system_root), id.path(&after.system_root));
        let (old, new) = (data(before, &old_path), data(after, &new_path));
        let (Some((one, old)), Some((other, new))) = (old, new) else { continue };
        let logs = |side: &Side<'_>, path: &NtPath| {
            log_paths(path)
                .iter()
                .map(|log| data(side, log).map(|(_, blob)| blob.sha1))
                .collect::<Vec<_>>()
        };
        if old != new || logs(before, &old_path) != logs(after, &new_path) {
            hives.insert((one, other), id);
        }
    }
    hives
}

fn changed(old: &Tree, one: NodeId, new: &Tree, other: NodeId, details: Vec<Detail>) -> FileChange {
    FileChange {
        path: shown(&new.path_of(other)),
        kind: Kind::Changed,
        from: None,
        folder: is_folder(new, other),
        link_of: None,
        old: Some(text::facts(old.inode(one))),
        new: Some(text::facts(new.inode(other))),
        details,
    }
}

/// What is on one side only.
fn alone(tree: &Tree, id: NodeId, kind: Kind, names: &Names) -> FileChange {
    let facts = Some(text::facts(tree.inode(id)));
    let (old, new) = if kind == Kind::Added { (None, facts) } else { (facts, None) };
    FileChange {
        path: shown(&tree.path_of(id)),
        kind,
        from: None,
        folder: is_folder(tree, id),
        link_of: names.first_other(tree, id),
        old,
        new,
        details: Vec::new(),
    }
}

/// In what two files differ, but for their names.
pub(super) fn details(
    old: &Tree,
    one: NodeId,
    new: &Tree,
    other: NodeId,
    options: Options,
) -> Vec<Detail> {
    let mut details = Vec::new();
    let mut tell = |aspect, name, old: Option<Text>, new: Option<Text>| {
        details.push(Detail { aspect, name, old, new });
    };
    let (node, partner) = (old.node(one), new.node(other));
    if node.name != partner.name {
        let names = [&node.name, &partner.name].map(|name| Some(Text::from(name.to_string())));
        let [one, other] = names;
        tell(Aspect::Spelling, None, one, other);
    }
    if node.short_name != partner.short_name {
        let text = |name: &Name| (!name.is_empty()).then(|| Text::from(name.to_string()));
        tell(Aspect::ShortName, None, text(&node.short_name), text(&partner.short_name));
    }
    let (node, partner) = (old.inode(one), new.inode(other));
    let bits = |inode: &Inode| inode.attributes & !ATTRIBUTE_NORMAL;
    if bits(node) != bits(partner) {
        let (one, other) = (text::attributes(bits(node)), text::attributes(bits(partner)));
        tell(Aspect::Attributes, None, Some(one), Some(other));
    }
    let (security, other_security) = (old.security_of(one), new.security_of(other));
    if security != other_security {
        let (one, other) = text::securities(security, other_security);
        tell(Aspect::Security, None, one, other);
    }
    if node.tagged_items != partner.tagged_items {
        let (one, other) =
            (text::extended(&node.tagged_items), text::extended(&partner.tagged_items));
        tell(Aspect::Extended, None, one, other);
    }
    if node.streams != partner.streams || node.reparse != partner.reparse {
        compare_streams(node, partner, &mut tell);
    }
    if options.times {
        let times = |inode: &Inode| (inode.creation_time, inode.last_write_time);
        if times(node) != times(partner) {
            let text = |inode: &Inode| {
                let (created, written) = times(inode);
                Some(Text::from(format!("created {created}, written {written}")))
            };
            tell(Aspect::Times, None, text(node), text(partner));
        }
    }
    details
}

/// Streams by kind and name without case; one that is not there holds what an empty unnamed one does.
fn compare_streams(
    old: &Inode,
    new: &Inode,
    tell: &mut dyn FnMut(Aspect, Option<String>, Option<Text>, Option<Text>),
) {
    let of = |inode: &Inode| {
        let mut streams: BTreeMap<(StreamKind, Name), (Name, BlobRef)> = BTreeMap::new();
        for stream in &inode.streams {
            let is_nothing = stream.kind != StreamKind::Named && stream.content.sha1.is_zero();
            if !is_nothing {
                let key = (stream.kind, stream.name.to_upcase());
                streams.entry(key).or_insert_with(|| (stream.name.clone(), stream.content));
            }
        }
        streams
    };
    let (olds, news) = (of(old), of(new));
    let keys: BTreeSet<_> = olds.keys().chain(news.keys()).collect();
    let mut reparse = false;
    for key in keys {
        let (one, other) = (olds.get(key), news.get(key));
        let sha1 = |side: Option<&(Name, BlobRef)>| side.map(|(_, blob)| blob.sha1);
        if sha1(one) == sha1(other) {
            continue;
        }
        if key.0 == StreamKind::Reparse {
            reparse = true;
            continue;
        }
        let empty = |side: Option<&(Name, BlobRef)>| match (key.0, side) {
            (_, Some((_, blob))) => Some(text::content(*blob)),
            (StreamKind::Named, None) => None,
            (_, None) => Some(text::content(BlobRef::default())),
        };
        let name = other.or(one).map(|(name, _)| name.to_string());
        match key.0 {
            StreamKind::Named => tell(Aspect::Stream, name, empty(one), empty(other)),
            _ => tell(Aspect::Content, None, empty(one), empty(other)),
        }
    }
    let flags =
        |inode: &Inode| inode.reparse.map(|reparse| (reparse.tag, reparse.reserved, reparse.flags));
    if reparse || flags(old) != flags(new) {
        let text = |inode: &Inode, streams: &BTreeMap<(StreamKind, Name), (Name, BlobRef)>| {
            let data = streams.iter().find(|((kind, _), _)| *kind == StreamKind::Reparse);
            let data = data.map_or_else(BlobRef::default, |(_, (_, blob))| *blob);
            let reparse = inode.reparse?;
            let (tag, flags) = (reparse.tag, reparse.flags);
            Some(Text::from(format!("tag {tag:#x}, flags {flags:#x}, {}", text::content(data))))
        };
        tell(Aspect::Reparse, None, text(old, &olds), text(new, &news));
    }
}

/// Which names are one file, on both sides.
#[derive(Debug, Default)]
struct Links {
    old: Names,
    new: Names,
    /// The same of the names that are on both sides.
    common_old: Names,
    common_new: Names,
    /// The entry of the new tree at the path of each of the old one that has several names, there or here.
    partner: BTreeMap<NodeId, NodeId>,
    /// Whether a file before and one after have the same names, of those that are on both sides.
    same: BTreeMap<(InodeId, InodeId), bool>,
}

/// The names of each file with several, in the order of the walk.
#[derive(Debug, Default)]
struct Names(BTreeMap<InodeId, Vec<NodeId>>);

impl Names {
    fn add(&mut self, tree: &Tree, id: NodeId) {
        if tree.links(id) > 1 {
            self.0.entry(tree.node(id).inode).or_default().push(id);
        }
    }

    fn of(&self, tree: &Tree, id: NodeId) -> &[NodeId] {
        self.0.get(&tree.node(id).inode).map_or(&[], Vec::as_slice)
    }

    fn first_other(&self, tree: &Tree, id: NodeId) -> Option<String> {
        let other = self.of(tree, id).iter().find(|other| **other != id)?;
        Some(shown(&tree.path_of(*other)))
    }

    /// The first few of the other names, and how many more there are.
    fn others(&self, tree: &Tree, id: NodeId) -> Option<Text> {
        let ids = self.of(tree, id);
        let others = ids.iter().filter(|other| **other != id).take(MOST_NAMES);
        let mut names: Vec<String> = others.map(|id| shown(&tree.path_of(*id))).collect();
        if ids.len() > MOST_NAMES + 1 {
            names.push(format!("and {} more", ids.len() - MOST_NAMES - 1));
        }
        (!names.is_empty()).then(|| Text::from(names.join(", ")))
    }
}

impl Links {
    fn of(old: &Tree, new: &Tree, pairs: &[Pair]) -> Self {
        let mut links = Self::default();
        for pair in pairs {
            if let Some(one) = pair.0 {
                links.old.add(old, one);
            }
            if let Some(other) = pair.1 {
                links.new.add(new, other);
            }
            if let (Some(one), Some(other)) = *pair {
                links.common_old.add(old, one);
                links.common_new.add(new, other);
                if old.links(one) > 1 {
                    links.partner.insert(one, other);
                }
            }
        }
        links
    }

    /// What differs in which of the names that are on both sides are one file. Names that are new or gone tell that of themselves.
    fn detail(&mut self, old: &Tree, one: NodeId, new: &Tree, other: NodeId) -> Option<Detail> {
        if old.links(one) < 2 && new.links(other) < 2 {
            return None;
        }
        let files = (old.node(one).inode, new.node(other).inode);
        let same = self.same.get(&files).copied().unwrap_or_else(|| {
            let partners = |ids: &[NodeId]| -> Vec<Option<NodeId>> {
                ids.iter().map(|id| self.partner.get(id).copied()).collect()
            };
            // A file with one name on one side has, of those on both sides, this one.
            let olds = match self.common_old.of(old, one) {
                [] => vec![Some(other)],
                several => partners(several),
            };
            let news = match self.common_new.of(new, other) {
                [] => vec![other],
                several => several.to_vec(),
            };
            olds.into_iter().eq(news.into_iter().map(Some))
        });
        self.same.insert(files, same);
        let (old, new) = (self.common_old.others(old, one), self.common_new.others(new, other));
        (!same).then_some(Detail { aspect: Aspect::Links, name: None, old, new })
    }
}
