//! What goes where: decided before anything is written.
//!
//! Every place is a list of plain names below the target folder: a name that the host could read as more than a name (`..`, a
//! separator, NUL, a reserved name) is left out with everything below it, and so is what would come to lie below a link. Links are turned into relative
//! ones that stay inside the image, or left out.

use std::{
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
};

use crate::{
    base::{
        bytes::Reader, filetime::FileTime, name::Name, ntpath::check_component, upcase::upcase,
    },
    format::wim::StreamKind,
    image::{
        content::{BlobLocation, BlobRef},
        error::ImageError,
        import::UNIX_DATA,
        offline::Image,
        reparse::{self, NOT_FIXED, Target},
        tree::{
            ATTRIBUTE_ARCHIVE, ATTRIBUTE_DIRECTORY, ATTRIBUTE_ENCRYPTED, ATTRIBUTE_NORMAL,
            ATTRIBUTE_REPARSE, ATTRIBUTE_SPARSE, Inode, InodeId, NodeId, Tree,
        },
    },
};

use super::{
    extract::ExtractOptions,
    losses::{Loss, Losses},
};

/// What will be written, each list in the image's order.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// A folder stands after the one it is in.
    pub(super) folders: Vec<Folder>,
    pub(super) files: Vec<File>,
    pub(super) links: Vec<Link>,
    pub(super) losses: Losses,
}

/// A folder to make or use.
#[derive(Debug)]
pub(super) struct Folder {
    /// Below the target; empty for the target itself, which is here when all of the image is extracted.
    pub(super) path: PathBuf,
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
    pub(super) target: PathBuf,
    pub(super) to_folder: bool,
}

/// The times that a host file can be given.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    pub(super) accessed: FileTime,
    pub(super) modified: FileTime,
}

/// An entry of the image and where it is.
struct Entry {
    node: NodeId,
    /// Its path in the image, `\` for the root.
    path: String,
    /// Position of its folder among the entries.
    parent: Option<usize>,
}

/// Decides about every chosen entry, and about the folders above it.
pub(super) fn plan(image: &Image, options: &ExtractOptions) -> Result<Plan, ImageError> {
    let tree = image.tree();
    let entries = entries(tree);
    let paths = entries.iter().map(|entry| (entry.path.as_str(), entry.parent));
    let chosen = options.include.choose(paths)?;
    let whole = chosen.first() == Some(&true);
    let needed = with_parents(&entries, chosen);
    let mut planner = Planner {
        image,
        options,
        plan: Plan::default(),
        first_names: HashMap::new(),
        taken: HashSet::new(),
    };
    let mut places: Vec<Place> = Vec::with_capacity(entries.len());
    for (entry, needed) in entries.iter().zip(needed) {
        let place = if needed {
            let folder = entry.parent.map(|parent| &places[parent]);
            planner.place(entry, folder)?
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
        let path = match parent.map(|parent: usize| entries[parent].path.as_str()) {
            None => "\\".to_owned(),
            Some("\\") => format!("\\{name}"),
            Some(folder) => format!("{folder}\\{name}"),
        };
        let place = Some(entries.len());
        entries.push(Entry { node, path, parent });
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
    options: &'a ExtractOptions,
    plan: Plan,
    /// The planned file of each inode.
    first_names: HashMap<InodeId, usize>,
    /// The places that are given away.
    taken: HashSet<PathBuf>,
}

impl Planner<'_> {
    fn place(&mut self, entry: &Entry, folder: Option<&Place>) -> Result<Place, ImageError> {
        let path = match folder {
            None => PathBuf::new(),
            Some(Place::Folder(folder)) => {
                let name = host_name(&self.image.tree().node(entry.node).name);
                let path = name.map(|name| folder.join(name));
                match path {
                    Some(path) if self.taken.insert(as_the_host_compares(&path)) => path,
                    _ => {
                        self.plan.losses.add(Loss::Name, &entry.path);
                        return Ok(Place::LeftOut);
                    }
                }
            }
            Some(Place::Leaf) => {
                self.plan.losses.add(Loss::Link, &entry.path);
                return Ok(Place::LeftOut);
            }
            Some(Place::LeftOut) => return Ok(Place::LeftOut),
        };
        let inode = self.image.tree().inode(entry.node);
        self.note_losses(entry, inode);
        if inode.reparse.is_some_and(|reparse| reparse::is_link(reparse.tag)) {
            match self.link_target(entry, inode) {
                Some(target) => {
                    let to_folder = inode.is_directory();
                    self.plan.links.push(Link { path, target, to_folder });
                }
                None => self.plan.losses.add(Loss::Link, &entry.path),
            }
            return Ok(Place::Leaf);
        }
        if inode.reparse.is_some() {
            self.plan.losses.add(Loss::Reparse, &entry.path);
        }
        let times = Times { accessed: inode.last_access_time, modified: inode.last_write_time };
        let mode = self.options.unix_data.then(|| unix_mode(&inode.tagged_items)).flatten();
        if inode.is_directory() {
            self.plan.folders.push(Folder { path: path.clone(), times, mode });
            return Ok(Place::Folder(path));
        }
        if inode.attributes & ATTRIBUTE_ENCRYPTED != 0 {
            self.plan.losses.add(Loss::Encrypted, &entry.path);
        } else {
            self.place_file(entry, inode, path, times, mode)?;
        }
        Ok(Place::Leaf)
    }

    fn place_file(
        &mut self,
        entry: &Entry,
        inode: &Inode,
        path: PathBuf,
        times: Times,
        mode: Option<u32>,
    ) -> Result<(), ImageError> {
        let tree = self.image.tree();
        let number = tree.node(entry.node).inode;
        if let Some(&file) = self.first_names.get(&number) {
            self.plan.files[file].paths.push(path);
            return Ok(());
        }
        let content = inode.data();
        let position = match self.image.location(&content) {
            Some(BlobLocation::Base(_, blob)) => blob.position(),
            Some(_) => (u16::MAX, None, u64::MAX),
            None if content.sha1.is_zero() => (0, None, 0),
            None => return Err(self.image.missing(&tree.path_of(entry.node), &content, "")),
        };
        if tree.links(entry.node) > 1 {
            self.first_names.insert(number, self.plan.files.len());
        }
        let (node, paths) = (entry.node, vec![path]);
        self.plan.files.push(File { node, paths, content, position, times, mode });
        Ok(())
    }

    fn note_losses(&mut self, entry: &Entry, inode: &Inode) {
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
        let kept = self.options.unix_data && unix_mode(&inode.tagged_items).is_some();
        if !inode.tagged_items.is_empty() && !kept {
            losses.add(Loss::TaggedItems, &entry.path);
        }
    }

    /// The link's target as a relative path that stays inside the image.
    fn link_target(&self, entry: &Entry, inode: &Inode) -> Option<PathBuf> {
        let reparse = inode.reparse?;
        let stream = inode.streams.iter().find(|stream| stream.kind == StreamKind::Reparse)?;
        if stream.content.size > reparse::MOST {
            return None;
        }
        let data = self.image.read_blob(&stream.content).ok()?;
        let target = reparse::target(reparse.tag, &data).ok()??;
        // An absolute target that was not made relative to the image leads to a place on the machine that was captured.
        let not_fixed = reparse.flags & NOT_FIXED != 0;
        if !target.relative && not_fixed && target.text.get(1..2) == Some(":") {
            return None;
        }
        relative_target(&entry.path, &target)
    }
}

/// The name as the host takes it; `None` when it would be something else than a name there.
fn host_name(name: &Name) -> Option<String> {
    let text = name.to_text()?;
    let is_plain =
        !text.is_empty() && text != "." && text != ".." && !text.contains(['/', '\0', '\\']);
    let fits = text.len() <= 255;
    // Windows itself reads more into names than Unix does.
    let is_windows_name = !cfg!(windows) || check_component(&text).is_ok();
    (is_plain && fits && is_windows_name).then_some(text)
}

/// The same for two paths that would be one file on the host: names that differ in case alone are one on Windows and macOS.
fn as_the_host_compares(path: &Path) -> PathBuf {
    if cfg!(not(any(windows, target_os = "macos"))) {
        return path.to_owned();
    }
    let text = path.to_string_lossy();
    let folded: Vec<u16> = text.encode_utf16().map(upcase).collect();
    String::from_utf16_lossy(&folded).into()
}

/// What to write into a symbolic link at `link` (an image path) that leads to `target`; `None` when it would leave the image.
///
/// `..` is taken at the beginning only: behind a name that is a link itself, it would lead elsewhere than it seems.
fn relative_target(link: &str, target: &Target) -> Option<PathBuf> {
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
    let (up, inside) = if target.relative && !text.starts_with('\\') {
        let mut names = names(text);
        let up = names.iter().take_while(|name| *name == "..").count();
        let inside = names.split_off(up);
        (up, inside)
    } else {
        let rest = match text.as_bytes() {
            [letter, b':', ..] if letter.is_ascii_alphabetic() => &text[2..],
            _ => text,
        };
        (depth, names(rest))
    };
    if up > depth || inside.iter().any(|name| name == ".." || name.contains(':')) {
        return None;
    }
    let path: PathBuf = std::iter::repeat_n("..", up).map(str::to_owned).chain(inside).collect();
    if path.as_os_str().is_empty() { Some(".".into()) } else { Some(path) }
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

    fn symlink(text: &str, relative: bool) -> Target {
        Target { text: text.to_owned(), relative }
    }

    #[test]
    fn links_stay_inside_or_are_left_out() {
        let cases = [
            (r"\a\b\link", symlink(r"..\c", true), Some("../c")),
            (r"\a\b\link", symlink(r"c\d", true), Some("c/d")),
            (r"\a\b\link", symlink(r"..\..\..\c", true), None),
            (r"\a\b\link", symlink(r"x\..\c", true), None),
            (r"\a\b\link", symlink(r"x\..\..\..\..\c", true), None),
            (r"\a\b\link", symlink(r"C:\Users", false), Some("../../Users")),
            (r"\link", symlink(r"C:\Users", false), Some("Users")),
            (r"\link", symlink(r"\Users", true), Some("Users")),
            (r"\link", symlink(r"C:\", false), Some(".")),
            (r"\link", symlink(r"C:\..\etc", false), None),
            (r"\link", symlink(r"c:d", true), None),
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
