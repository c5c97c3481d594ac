//! What goes where: decided before anything is written.
//!
//! Every target is a list of plain names below the target folder: a name that the host could read as more than a name (`..`, a
//! separator, NUL, a reserved name) is left out with everything below it. Links are turned into relative ones that stay inside the
//! image, or left out.

use std::{collections::HashMap, path::PathBuf};

use super::{
    Rules,
    losses::{Loss, Losses},
};
use crate::{
    base::{digest::Sha1, filetime::FileTime, name::Name},
    cli::commands::wim::{
        reparse,
        tree::{self, Entry},
    },
    format::wim::{Blob, StreamKind, Wim},
};

/// What will be written, each list in the image's order.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) folders: Vec<Folder>,
    pub(super) files: Vec<File>,
    pub(super) links: Vec<Link>,
    /// Contents that images refer to and the WIM does not have.
    pub(super) missing: Vec<(Sha1, String)>,
}

/// A folder to make or use.
#[derive(Debug)]
pub(super) struct Folder {
    pub(super) path: PathBuf,
    pub(super) times: Times,
    pub(super) mode: Option<u32>,
}

/// A file to write once under all its names.
#[derive(Debug)]
pub(super) struct File {
    /// At least one; all but the first become hard links.
    pub(super) paths: Vec<PathBuf>,
    /// `None` for an empty file.
    pub(super) blob: Option<Blob>,
    pub(super) times: Times,
    pub(super) mode: Option<u32>,
}

/// A symbolic link to make.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) path: PathBuf,
    pub(super) target: PathBuf,
    pub(super) to_folder: bool,
}

/// The times that a host file can be given.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    pub(super) accessed: FileTime,
    pub(super) modified: FileTime,
}

/// Tag of wimlib's Unix data in a dentry's tagged items: u32 uid, gid, mode, rdev.
const UNIX_DATA: u32 = 0x337d_d873;

/// Decides about every chosen entry, and about the folders above it.
pub(super) fn plan(
    wim: &Wim,
    entries: &[Entry<'_>],
    chosen: &[bool],
    rules: Rules,
    losses: &mut Losses,
) -> Plan {
    let needed = with_parents(entries, chosen);
    let mut paths: Vec<Option<PathBuf>> = Vec::with_capacity(entries.len());
    let mut plan = Plan::default();
    let mut linked: HashMap<(u64, Sha1), usize> = HashMap::new();
    for (position, entry) in entries.iter().enumerate() {
        let path = if needed[position] { host_path(entry, &paths, losses) } else { None };
        if let Some(path) = &path {
            place(wim, entry, path, rules, &mut plan, &mut linked, losses);
        }
        paths.push(path);
    }
    plan
}

/// Marks the folders above what is chosen too.
fn with_parents(entries: &[Entry<'_>], chosen: &[bool]) -> Vec<bool> {
    let mut needed = chosen.to_vec();
    for position in (0..entries.len()).rev() {
        if needed[position]
            && let Some(parent) = entries[position].parent
        {
            needed[parent] = true;
        }
    }
    needed
}

/// Where the entry goes, below the target folder; `None` when its name or one above it cannot be held.
fn host_path(entry: &Entry<'_>, paths: &[Option<PathBuf>], losses: &mut Losses) -> Option<PathBuf> {
    let Some(parent) = entry.parent else { return Some(PathBuf::new()) };
    let folder = paths[parent].as_ref()?;
    match host_name(&entry.dentry.name) {
        Some(name) => Some(folder.join(name)),
        None => {
            losses.add(Loss::Name, &entry.path);
            None
        }
    }
}

/// The name as the host takes it; `None` when it would be something else than a name there.
fn host_name(name: &Name) -> Option<String> {
    let text = name.to_text()?;
    let is_plain =
        !text.is_empty() && text != "." && text != ".." && !text.contains(['/', '\0', '\\']);
    let fits = text.len() <= 255;
    // Windows itself reads more into names than Unix does.
    let is_windows_name = !cfg!(windows) || crate::base::ntpath::check_component(&text).is_ok();
    (is_plain && fits && is_windows_name).then_some(text)
}

fn place(
    wim: &Wim,
    entry: &Entry<'_>,
    path: &std::path::Path,
    rules: Rules,
    plan: &mut Plan,
    linked: &mut HashMap<(u64, Sha1), usize>,
    losses: &mut Losses,
) {
    let dentry = entry.dentry;
    note_losses(entry, rules, losses);
    if let Some(reparse) = dentry.reparse
        && matches!(reparse.tag, reparse::SYMLINK | reparse::JUNCTION)
    {
        match link_target(wim, entry) {
            Some(target) => plan.links.push(Link {
                path: path.to_owned(),
                target,
                to_folder: tree::is_directory(dentry),
            }),
            None => losses.add(Loss::Link, &entry.path),
        }
        return;
    }
    if dentry.reparse.is_some() {
        losses.add(Loss::Reparse, &entry.path);
    }
    let times = Times { accessed: dentry.last_access_time, modified: dentry.last_write_time };
    let mode = if rules.unix_data { unix_mode(&dentry.tagged_items) } else { None };
    if tree::is_directory(dentry) {
        plan.folders.push(Folder { path: path.to_owned(), times, mode });
        return;
    }
    if dentry.attributes & tree::ENCRYPTED != 0 {
        losses.add(Loss::Encrypted, &entry.path);
        return;
    }
    let sha1 = tree::stream_sha1(dentry, StreamKind::Data).unwrap_or(Sha1::ZERO);
    let key = tree::link_key(dentry);
    if dentry.hard_link_group != 0
        && let Some(file) = linked.get(&key)
    {
        plan.files[*file].paths.push(path.to_owned());
        return;
    }
    let blob = if sha1.is_zero() { None } else { wim.blob(&sha1).copied() };
    if blob.is_none() && !sha1.is_zero() {
        plan.missing.push((sha1, entry.path.clone()));
    }
    if dentry.hard_link_group != 0 {
        linked.insert(key, plan.files.len());
    }
    plan.files.push(File { paths: vec![path.to_owned()], blob, times, mode });
}

fn note_losses(entry: &Entry<'_>, rules: Rules, losses: &mut Losses) {
    let dentry = entry.dentry;
    for stream in dentry.streams.iter().filter(|stream| stream.kind == StreamKind::Named) {
        losses.add(Loss::Stream, format!("{}:{}", entry.path, stream.name));
    }
    if dentry.security_id.is_some() {
        losses.add(Loss::Security, &entry.path);
    }
    let plain = tree::DIRECTORY | tree::ARCHIVE | tree::NORMAL | tree::REPARSE_POINT | tree::SPARSE;
    if dentry.attributes & !plain != 0 {
        losses.add(Loss::Attributes, &entry.path);
    }
    if !dentry.short_name.is_empty() {
        losses.add(Loss::ShortName, &entry.path);
    }
    let kept = rules.unix_data && unix_mode(&dentry.tagged_items).is_some();
    if !dentry.tagged_items.is_empty() && !kept {
        losses.add(Loss::TaggedItems, &entry.path);
    }
}

/// The link's target as a relative path that stays inside the image.
fn link_target(wim: &Wim, entry: &Entry<'_>) -> Option<PathBuf> {
    let reparse = entry.dentry.reparse?;
    let blob = wim.blob(&tree::stream_sha1(entry.dentry, StreamKind::Reparse)?)?;
    if blob.size > reparse::MOST {
        return None;
    }
    let target = reparse::target(reparse.tag, &wim.read_blob(blob).ok()?)?;
    let not_fixed = reparse.flags & 1 != 0;
    if !target.relative && not_fixed && target.text.get(1..2) == Some(":") {
        return None;
    }
    relative_target(&entry.path, &target)
}

/// What to write into a symbolic link at `link` (an image path) that leads to `target`.
fn relative_target(link: &str, target: &reparse::Target) -> Option<PathBuf> {
    let names = |text: &str| -> Vec<String> {
        text.split(['\\', '/'])
            .filter(|name| !name.is_empty() && *name != ".")
            .map(str::to_owned)
            .collect()
    };
    let depth = names(link).len().checked_sub(1)?;
    let text = target.text.as_str();
    let is_network =
        text.starts_with(r"\\") || text.starts_with("UNC\\") || text.starts_with("Volume{");
    if is_network || text.contains('\0') {
        return None;
    }
    let mut path = PathBuf::new();
    if target.relative && !text.starts_with('\\') {
        let mut level = depth;
        for name in names(text) {
            level = if name == ".." { level.checked_sub(1)? } else { level + 1 };
            path.push(name);
        }
    } else {
        let rest = match text.as_bytes() {
            [letter, b':', ..] if letter.is_ascii_alphabetic() => &text[2..],
            _ => text,
        };
        path.extend(std::iter::repeat_n("..", depth));
        let inside = names(rest);
        if inside.iter().any(|name| name == ".." || name.contains(':')) {
            return None;
        }
        path.extend(inside);
    }
    if path.as_os_str().is_empty() {
        path.push(".");
    }
    Some(path)
}

/// The Unix mode among tagged items.
fn unix_mode(mut items: &[u8]) -> Option<u32> {
    let word = |bytes: &[u8], at: usize| {
        bytes.get(at..at + 4).and_then(|word| word.try_into().ok()).map(u32::from_le_bytes)
    };
    while items.len() >= 8 {
        let (tag, length) = (word(items, 0)?, word(items, 4)? as usize);
        if tag == UNIX_DATA && length >= 16 {
            return word(items, 16);
        }
        let next = length.checked_next_multiple_of(8)?.checked_add(8)?;
        items = items.get(next..)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn symlink(text: &str, relative: bool) -> reparse::Target {
        reparse::Target { text: text.to_owned(), relative }
    }

    #[test]
    fn links_stay_inside_or_are_left_out() {
        let cases = [
            (r"\a\b\link", symlink(r"..\c", true), Some("../c")),
            (r"\a\b\link", symlink(r"..\..\..\c", true), None),
            (r"\a\b\link", symlink(r"x\..\..\..\..\c", true), None),
            (r"\a\b\link", symlink(r"C:\Users", false), Some("../../Users")),
            (r"\link", symlink(r"C:\Users", false), Some("Users")),
            (r"\link", symlink(r"\Users", true), Some("Users")),
            (r"\link", symlink(r"C:\", false), Some(".")),
            (r"\link", symlink(r"C:\..\etc", false), None),
            (r"\link", symlink(r"UNC\server\share", false), None),
            (r"\link", symlink("Volume{1}\\x", false), None),
        ];
        for (link, target, expected) in cases {
            let found = relative_target(link, &target);
            assert_eq!(found, expected.map(PathBuf::from), "{link} -> {target:?}");
        }
    }

    #[test]
    fn names_that_are_more_than_names_are_refused() {
        for bad in ["..", ".", "a/b", "a\\b", "", "nul\0"] {
            assert_eq!(host_name(&Name::from(bad)), None, "{bad:?}");
        }
        assert_eq!(host_name(&Name::from("é.txt")), Some("é.txt".to_owned()));
        assert_eq!(host_name(&Name::from_units([0xd800])), None);
    }

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
