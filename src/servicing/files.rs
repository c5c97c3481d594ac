//! Files and folders put in place, taken away, adjusted.
//!
//! - A file from the host goes to the path `to` itself. A folder's content goes into the folder `to`: what else is there stays, unless it is to
//!   be replaced.
//! - `replace` leaves the folder as if it had been emptied first; a file that is there already with the same content, attributes and security is not
//!   touched, so that a build on its own output changes nothing.
//! - Attributes go to everything that is put, not to folders that are there already. A security descriptor goes to `to` itself; what is made below inherits from it.
//! - A file of the component store (hard-linked below `Windows\WinSxS`) is not changed through another of its names, neither in content nor in attributes
//!   or security (which NTFS keeps for the file, not for the name): that name becomes a file of its own, and the store keeps what it has.
//! - Names that differ only in case are one name; two of them in one source folder are refused.

use std::collections::BTreeSet;

use rayon::prelude::*;

use crate::{
    base::{
        name::Name,
        ntpath::{NtPath, check_component},
    },
    format::security::{
        SecurityDescriptor,
        inherit::{administrators, inherit, local_system},
        parse_sddl,
    },
    image::{
        Image, ImageError, NewNode,
        tree::{
            ATTRIBUTE_ARCHIVE, ATTRIBUTE_HIDDEN, ATTRIBUTE_NOT_INDEXED, ATTRIBUTE_READONLY,
            ATTRIBUTE_SYSTEM, NodeId,
        },
    },
    store::StoredBlob,
};

use super::{
    error::{Problem, ServicingError},
    first_boot,
    inputs::{BlobSink, InputEntry, InputId, InputKind, Inputs},
};

/// What a recipe says of a file or folder.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct FilesSpec {
    /// Where in the image.
    pub to: NtPath,
    /// What shall be there.
    pub action: FilesAction,
    /// All attributes of the file, or of the folder and everything put below it; `None`: as they are.
    pub attributes: Option<Vec<FileAttribute>>,
    /// The security descriptor of `to` as text; `None`: as it is, inherited for what is new. Owner and group stay when the text has none.
    pub sddl: Option<String>,
}

/// What shall be at a path.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FilesAction {
    /// Nothing.
    Absent,
    /// The content of a file or folder of the host.
    From {
        /// The file or folder.
        input: InputId,
        /// True: the folder in the image is emptied first. False: what else is there stays.
        replace: bool,
    },
    /// What is there, with other attributes or security.
    Adjust,
}

/// An attribute that a recipe can give.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum FileAttribute {
    /// Cannot be written.
    ReadOnly,
    /// Not shown.
    Hidden,
    /// Belongs to the system.
    System,
    /// Changed since the last backup.
    Archive,
    /// Not indexed for search.
    NotContentIndexed,
}

/// Files and folders whose content is in the store.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PreparedFiles {
    /// Each folder before what is in it.
    entries: Vec<PreparedEntry>,
}

/// A file or folder to put.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
struct PreparedEntry {
    /// Names below `to`; empty for `to` itself.
    path: Vec<String>,
    /// `None` for a folder.
    content: Option<StoredBlob>,
}

const NAME: &str = "files";

/// Attributes that a recipe can give.
const SETTABLE: u32 = ATTRIBUTE_READONLY
    | ATTRIBUTE_HIDDEN
    | ATTRIBUTE_SYSTEM
    | ATTRIBUTE_ARCHIVE
    | ATTRIBUTE_NOT_INDEXED;

impl FileAttribute {
    /// `FILE_ATTRIBUTE_*`.
    #[must_use]
    pub fn bit(self) -> u32 {
        match self {
            Self::ReadOnly => ATTRIBUTE_READONLY,
            Self::Hidden => ATTRIBUTE_HIDDEN,
            Self::System => ATTRIBUTE_SYSTEM,
            Self::Archive => ATTRIBUTE_ARCHIVE,
            Self::NotContentIndexed => ATTRIBUTE_NOT_INDEXED,
        }
    }
}

impl FilesSpec {
    pub(super) fn title(&self) -> String {
        match &self.action {
            FilesAction::Absent => format!("files {}: absent", self.to),
            FilesAction::From { input, replace: false } => {
                format!("files {} from {input}", self.to)
            }
            FilesAction::From { input, replace: true } => {
                format!("files {} replaced from {input}", self.to)
            }
            FilesAction::Adjust => format!("files {}: attributes and security", self.to),
        }
    }

    pub(super) fn prepare(
        &self,
        inputs: &dyn Inputs,
        blobs: &dyn BlobSink,
    ) -> Result<PreparedFiles, ServicingError> {
        self.descriptor()?;
        let FilesAction::From { input, .. } = &self.action else {
            return Ok(PreparedFiles { entries: Vec::new() });
        };
        let tree = inputs.input(input)?;
        self.check_names(input, &tree.entries)?;
        let entries = tree
            .entries
            .par_iter()
            .map(|entry| {
                let content = match &entry.kind {
                    InputKind::Directory => None,
                    InputKind::File { content, blake3, .. } => {
                        let name = match entry.path.as_slice() {
                            [] => input.0.clone(),
                            names => format!("{input}/{}", names.join("/")),
                        };
                        Some(blobs.put(&name, content.as_ref(), blake3)?)
                    }
                };
                Ok(PreparedEntry { path: entry.path.clone(), content })
            })
            .collect::<Result<Vec<_>, ServicingError>>()?;
        Ok(PreparedFiles { entries })
    }

    pub(super) fn apply(
        &self,
        prepared: &PreparedFiles,
        image: &mut Image,
    ) -> Result<(), ServicingError> {
        if let Some(problem) = self.problem(image) {
            return Err(ServicingError::refused(NAME, problem));
        }
        match &self.action {
            FilesAction::Absent => image.remove(&self.to).map_err(|error| self.failed(error)),
            FilesAction::Adjust => {
                self.separate(prepared, image)?;
                self.adjust(image)
            }
            FilesAction::From { replace, .. } => {
                let (command_file, _) = first_boot::held(image);
                let waiting = match is_in(&command_file, &self.to) {
                    true => first_boot::chained(image).map_err(|error| self.failed(error))?,
                    false => Vec::new(),
                };
                if *replace {
                    self.clear(prepared, image)?;
                }
                self.separate(prepared, image)?;
                prepared.entries.iter().try_for_each(|entry| self.put(entry, *replace, image))?;
                // What waits for the first boot is not lost to a SetupComplete.cmd of the recipe.
                first_boot::keep(image, &waiting).map_err(|error| self.failed(error))
            }
        }
    }

    /// Files whose content lies in the component store and that would be changed: a hard link below `Windows\WinSxS` is the same file.
    fn of_the_store(&self, prepared: &PreparedFiles, image: &Image) -> Vec<NtPath> {
        let tree = image.tree();
        let store = NtPath::root().join(image.system_root()).join("WinSxS".into());
        let put = prepared.entries.iter().filter_map(|entry| {
            let content = entry.content?;
            Some((self.path_of(&entry.path), Some(content), entry.path.is_empty()))
        });
        let adjusted = (self.action == FilesAction::Adjust).then(|| (self.to.clone(), None, true));
        let linked: Vec<(NtPath, NodeId)> = put
            .chain(adjusted)
            .filter_map(|(path, content, own)| {
                let id = tree.lookup(&path)?;
                let changed = tree.links(id) > 1
                    && !is_in(&path, &store)
                    && self.changes(image, id, content.as_ref(), own);
                changed.then_some((path, id))
            })
            .collect();
        let Some(store) = tree.lookup(&store).filter(|_| !linked.is_empty()) else {
            return Vec::new();
        };
        let stored: BTreeSet<_> = tree.walk_from(store).map(|id| tree.node(id).inode).collect();
        let of_store = linked.into_iter().filter(|(_, id)| stored.contains(&tree.node(*id).inode));
        of_store.map(|(path, _)| path).collect()
    }

    /// True when the file that is there is changed: by putting `content`, where there is one, or by what else the recipe says of it.
    fn changes(&self, image: &Image, id: NodeId, content: Option<&StoredBlob>, own: bool) -> bool {
        let inode = image.tree().inode(id);
        let data = inode.data();
        let secured = || {
            // What cannot be worked out is refused elsewhere.
            let wanted = self.options(image, false).ok().and_then(|options| options.security);
            wanted.as_deref() != image.tree().security_of(id)
        };
        content.is_some_and(|content| {
            data.size != content.size || (data.size > 0 && data.sha1 != content.sha1)
        }) || self.bits().is_some_and(|bits| inode.attributes & SETTABLE != bits)
            || (own && self.sddl.is_some() && secured())
    }

    /// Makes files of their own of the names that are changed and lead into the component store.
    fn separate(&self, prepared: &PreparedFiles, image: &mut Image) -> Result<(), ServicingError> {
        for path in self.of_the_store(prepared, image) {
            let failed = |error| ServicingError::image(NAME, &path.to_string(), error);
            image.separate(&path).map_err(failed)?;
        }
        Ok(())
    }

    /// Says that files of the component store lose a name.
    fn store_warning(&self, prepared: &PreparedFiles, image: &Image) -> Option<Problem> {
        let all = self.of_the_store(prepared, image);
        let first = all.first()?;
        let more = match all.len() {
            1 => String::new(),
            count => format!(", and so do {} more", count - 1),
        };
        let (reported, help) = match self.action {
            FilesAction::Adjust => (
                "`transom verify` notes that it is no longer a hard link into it",
                "the store's own copy keeps its attributes and security",
            ),
            _ => (
                "`transom verify` reports it as changed",
                "put the file elsewhere, or live with that: the store's own copy stays as it is",
            ),
        };
        let cause = format!(
            "it belongs to the component store of Windows{more}: an update puts its own file back, and {reported}"
        );
        Some(Problem::warning(first.to_string(), cause, help))
    }

    /// What would be taken away although the first boot needs it.
    fn takes_what_waits(&self, image: &Image) -> Option<Problem> {
        let takes = match &self.action {
            FilesAction::Absent => true,
            FilesAction::From { replace, .. } => *replace,
            FilesAction::Adjust => false,
        };
        if !takes {
            return None;
        }
        let (command_file, folders) = first_boot::held(image);
        let touches = |place: &NtPath| {
            image.tree().lookup(place).is_some()
                && (is_in(place, &self.to) || is_in(&self.to, place))
        };
        let loses = folders.iter().any(touches)
            || self.action == FilesAction::Absent && is_in(&command_file, &self.to);
        // One that cannot be read is not ours.
        if !loses || first_boot::chained(image).unwrap_or_default().is_empty() {
            return None;
        }
        let cause = "scripts of the first boot wait there, and would be lost";
        let help = r"name other paths than `Windows\Setup\Scripts` and its folders `transom...`, leave `replace` out, or begin with a base image on which nothing waits";
        Some(Problem::error(self.to.to_string(), cause, help))
    }

    pub(super) fn check(&self, image: &Image) -> Vec<Problem> {
        let sddl = self.descriptor().err().map(ServicingError::into_problem);
        self.problem(image).into_iter().chain(sddl).collect()
    }

    /// Files where the image has folders, and the other way round; a folder that is replaced takes either.
    pub(super) fn check_prepared(&self, prepared: &PreparedFiles, image: &Image) -> Vec<Problem> {
        let tree = image.tree();
        let mut problems = Vec::new();
        for entry in &prepared.entries {
            let path = self.path_of(&entry.path);
            let Some(id) = tree.lookup(&path) else { continue };
            let error = match (entry.content.is_none(), tree.inode(id).is_directory()) {
                (true, false) => ImageError::NotDirectory(path.clone()),
                (false, true) => ImageError::IsDirectory(path.clone()),
                _ => continue,
            };
            if !matches!(self.action, FilesAction::From { replace: true, .. }) {
                problems.push(ServicingError::image(NAME, &path.to_string(), error).into_problem());
            }
        }
        problems.extend(self.store_warning(prepared, image));
        problems
    }

    fn failed(&self, error: ImageError) -> ServicingError {
        ServicingError::image(NAME, &self.to.to_string(), error)
    }

    /// What stands against it in this image.
    fn problem(&self, image: &Image) -> Option<Problem> {
        let item = self.to.to_string();
        let variable = self
            .to
            .names()
            .iter()
            .map(Name::to_string)
            .find(|name| name.len() > 2 && name.starts_with('%') && name.ends_with('%'));
        if let Some(variable) = variable {
            let cause =
                format!("`{variable}` is not replaced by anything in a path inside the image");
            return Some(Problem::error(item, cause, r"write the folder itself: `C:\Windows\...`"));
        }
        if self.to.is_root() && self.action == FilesAction::Absent {
            let help = "name something below the root";
            return Some(Problem::error(item, "the root of the image cannot be removed", help));
        }
        if self.to.is_root() && matches!(self.action, FilesAction::From { replace: true, .. }) {
            let cause = "the root of the image cannot be replaced";
            return Some(Problem::error(item, cause, "leave `replace` out"));
        }
        if matches!(self.action, FilesAction::From { .. })
            && let Err(error) = image.check_place(&self.to)
        {
            return Some(self.failed(error).into_problem());
        }
        if let Some(problem) = self.takes_what_waits(image) {
            return Some(problem);
        }
        if self.action == FilesAction::Adjust && image.tree().lookup(&self.to).is_none() {
            let cause = "the image has no such file or folder, so its attributes and security cannot be set";
            return Some(Problem::error(item, cause, "give `from`, or correct the path"));
        }
        None
    }

    /// The descriptor that `sddl` says.
    fn descriptor(&self) -> Result<Option<SecurityDescriptor>, ServicingError> {
        let Some(text) = &self.sddl else { return Ok(None) };
        parse_sddl(text).map(Some).map_err(|error| {
            let help = r"write it like `O:BAG:SYD:PAI(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)`; `(Get-Acl FILE).Sddl` shows that of a file";
            ServicingError::refused(
                NAME,
                Problem::error(self.to.to_string(), error.to_string(), help),
            )
        })
    }

    /// What the file or folder `to` gets.
    fn options(&self, image: &Image, is_directory: bool) -> Result<NewNode, ServicingError> {
        let Some(wanted) = self.descriptor()? else {
            return Ok(NewNode { attributes: self.bits(), ..NewNode::default() });
        };
        let old = image.security_at(&self.to, is_directory).map_err(|error| self.failed(error))?;
        let creator = SecurityDescriptor {
            owner: Some(administrators()),
            group: Some(local_system()),
            ..SecurityDescriptor::default()
        };
        let security = wanted.completed_by(old.unwrap_or_default()).completed_by(creator);
        Ok(NewNode {
            attributes: self.bits(),
            security: Some(security.to_bytes()),
            last_write: None,
        })
    }

    fn bits(&self) -> Option<u32> {
        let list = self.attributes.as_ref()?;
        Some(list.iter().fold(0, |bits, attribute| bits | attribute.bit()))
    }

    fn adjust(&self, image: &mut Image) -> Result<(), ServicingError> {
        let is_directory =
            image.tree().lookup(&self.to).is_some_and(|id| image.tree().inode(id).is_directory());
        let options = self.options(image, is_directory)?;
        if let Some(bits) = options.attributes {
            image.set_attributes(&self.to, bits, !bits).map_err(|error| self.failed(error))?;
        }
        match &options.security {
            Some(bytes) => image.set_security(&self.to, bytes).map_err(|error| self.failed(error)),
            None => Ok(()),
        }
    }

    fn put(
        &self,
        entry: &PreparedEntry,
        replace: bool,
        image: &mut Image,
    ) -> Result<(), ServicingError> {
        let path = self.path_of(&entry.path);
        let own = entry.path.is_empty();
        let options = if own {
            self.options(image, entry.content.is_none())?
        } else {
            NewNode { attributes: self.bits(), ..NewNode::default() }
        };
        let failed = |error| ServicingError::image(NAME, &path.to_string(), error);
        let Some(content) = entry.content else {
            // A folder that is there already keeps its attributes: only what is put gets the recipe's.
            let there = !own && image.tree().lookup(&path).is_some();
            let options = if there { NewNode::default() } else { options };
            return image.make_directory(&path, &options).map_err(failed);
        };
        if let Some(hive) = image.edited_hive_at(&path) {
            let cause =
                format!("an earlier step changed {}, which this file holds", hive.registry_root());
            let help =
                "put the file into the base first, or change the registry inside the file you put";
            return Err(ServicingError::refused(
                NAME,
                Problem::error(path.to_string(), cause, help),
            ));
        }
        if replace && !own && self.differs(image, &path, &content) {
            image.remove(&path).map_err(failed)?;
        }
        image.put_file(&path, content, &options).map_err(failed)
    }

    /// True when a file is there that is not what would be put into an empty folder: content, attributes, security, names.
    fn differs(&self, image: &Image, path: &NtPath, content: &StoredBlob) -> bool {
        let tree = image.tree();
        let Some(id) = tree.lookup(path) else { return false };
        let inode = tree.inode(id);
        let data = inode.data();
        let same = data.size == content.size && (data.size == 0 || data.sha1 == content.sha1);
        let above =
            path.parent().and_then(|parent| image.security_at(&parent, true).ok().flatten());
        let fresh = above.map(|above| inherit(&above, false).to_bytes());
        !same
            || inode.is_reparse_point()
            || inode.streams.len() > 1
            || inode.attributes != self.bits().unwrap_or(ATTRIBUTE_ARCHIVE)
            || tree.security_of(id).map(<[u8]>::to_vec) != fresh
    }

    /// Takes away what a replaced folder shall no longer hold: what the source does not have, and what is of another kind there.
    fn clear(&self, prepared: &PreparedFiles, image: &mut Image) -> Result<(), ServicingError> {
        let Some(top) = image.tree().lookup(&self.to) else { return Ok(()) };
        if !image.tree().inode(top).is_directory() {
            return image.remove(&self.to).map_err(|error| self.failed(error));
        }
        let wanted: BTreeSet<(Vec<Name>, bool)> = prepared
            .entries
            .iter()
            .map(|entry| (folded(&entry.path), entry.content.is_none()))
            .collect();
        let mut doomed = Vec::new();
        let mut waiting: Vec<(NodeId, Vec<Name>)> = vec![(top, Vec::new())];
        while let Some((folder, above)) = waiting.pop() {
            for &id in image.tree().children(folder) {
                let mut names = above.clone();
                names.push(image.tree().node(id).name.to_upcase());
                let inode = image.tree().inode(id);
                let key = (names, inode.is_directory());
                if !wanted.contains(&key) || inode.is_reparse_point() {
                    doomed.push(image.tree().path_of(id));
                } else if inode.is_directory() {
                    waiting.push((id, key.0));
                }
            }
        }
        doomed.iter().try_for_each(|path| image.remove(path)).map_err(|error| self.failed(error))
    }

    fn path_of(&self, below: &[String]) -> NtPath {
        below.iter().fold(self.to.clone(), |path, name| path.join(Name::from(name.as_str())))
    }

    /// Refuses names that Windows cannot hold, and names of one folder that it takes for one.
    fn check_names(&self, input: &InputId, entries: &[InputEntry]) -> Result<(), ServicingError> {
        let mut seen: BTreeSet<Vec<Name>> = BTreeSet::new();
        for entry in entries {
            let item = || format!("{input}/{}", entry.path.join("/"));
            let refused = |cause: String, help: &str| {
                Err(ServicingError::refused(NAME, Problem::error(item(), cause, help)))
            };
            for name in &entry.path {
                if let Err(error) = check_component(name) {
                    return refused(error.to_string(), "rename it, or keep it out of the folder");
                }
            }
            if entry.path.is_empty()
                && matches!(entry.kind, InputKind::File { .. })
                && self.to.is_root()
            {
                let cause = "a file cannot become the root of the image".to_owned();
                return refused(cause, "name the file in `to`");
            }
            if !seen.insert(folded(&entry.path)) {
                let cause =
                    "another name in the same folder differs from it only in case".to_owned();
                return refused(cause, "to Windows they are one name; keep one of them");
            }
        }
        Ok(())
    }
}

fn folded(path: &[String]) -> Vec<Name> {
    path.iter().map(|name| Name::from(name.as_str()).to_upcase()).collect()
}

/// True when `path` is `above` or below it.
fn is_in(path: &NtPath, above: &NtPath) -> bool {
    let mut names = path.names().iter();
    above
        .names()
        .iter()
        .all(|one| names.next().is_some_and(|name| name.to_upcase() == one.to_upcase()))
}
