//! Files that have another path: one that is gone and one that is new, with the same content, and no other of either.

use std::collections::BTreeMap;

use super::{Aspect, FileChange, Kind, Options, Side, files};
use crate::base::{digest::Sha1, ntpath::NtPath};

/// Puts what was renamed in the place of its new path; what cannot be paired without doubt stays as it is.
pub(super) fn find(
    mut changes: Vec<FileChange>,
    before: &Side<'_>,
    after: &Side<'_>,
    options: Options,
) -> Vec<FileChange> {
    let mut by_content: BTreeMap<Sha1, (Vec<usize>, Vec<usize>)> = BTreeMap::new();
    for (place, change) in changes.iter().enumerate() {
        let facts = match change.kind {
            Kind::Added => change.new,
            Kind::Removed => change.old,
            Kind::Changed | Kind::Renamed => None,
        };
        let Some(sha1) = facts.and_then(|facts| facts.sha1).filter(|_| !change.folder) else {
            continue;
        };
        let places = by_content.entry(sha1).or_default();
        let side = if change.kind == Kind::Removed { &mut places.0 } else { &mut places.1 };
        side.push(place);
    }
    let mut gone = vec![false; changes.len()];
    for places in by_content.into_values() {
        let (&[old], &[new]) = (places.0.as_slice(), places.1.as_slice()) else { continue };
        let node = |side: &Side<'_>, path: &str| side.tree().lookup(&read(path));
        let from = changes[old].path.clone();
        let (Some(one), Some(other)) = (node(before, &from), node(after, &changes[new].path))
        else {
            continue;
        };
        let mut details = files::details(before.tree(), one, after.tree(), other, options);
        // The name itself, and the short name that belongs to it, differ by nature.
        details.retain(|detail| !matches!(detail.aspect, Aspect::Spelling | Aspect::ShortName));
        // By short name or case a path may lead to another entry.
        if details.iter().any(|detail| detail.aspect == Aspect::Content) {
            continue;
        }
        let facts = changes[old].old;
        let change = &mut changes[new];
        (change.kind, change.from, change.old) = (Kind::Renamed, Some(from), facts);
        change.details = details;
        gone[old] = true;
    }
    let mut gone = gone.into_iter();
    changes.retain(|_| !gone.next().unwrap_or(false));
    changes
}

/// A path as [`super::shown`] wrote it.
fn read(path: &str) -> NtPath {
    let names = path.trim_start_matches("C:").split('\\').filter(|name| !name.is_empty());
    NtPath::from_names(names.map(Into::into).collect())
}
