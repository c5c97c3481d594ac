//! Where packages come from: a folder, a cabinet, an update (`.msu`), a language pack (`.esd`, `.wim`), or a folder of these.
//!
//! Containers are known by their first bytes, whatever their name. One with package manifests (`*.mum`) in its root is a package; one without is a container
//! of containers: an update, in either of its forms. A folder of the host with package manifests is an expanded package, with all below it; in
//! others, every container is opened. What is in none of these, and what updates hold besides packages, is left and said so.
//!
//! A package may hold its files as deltas and streams (`expand`), in cabinets of its own (`*cablist.ini`), or as deltas of nothing below
//! `n` in a component's folder. What comes out is the package as Windows sees it when it is expanded.

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    OPERATION,
    expand::{self, Sources},
    wim,
};
use crate::{
    base::{digest::Blake3, filetime::FileTime, read_at::ReadAt},
    format::{
        cab,
        cbs::Mum,
        cix::{self, ContainerIndex},
        delta::{self, DeltaError},
        msu::{self, WantedPackage},
        psf::{Psf, PsfError},
    },
    servicing::{
        archive::{self, ArchiveFile, Spool},
        error::{Problem, ServicingError},
        inputs::{InputId, InputKind, InputTree},
    },
};

/// Most bytes that the files of one container may have together.
const LARGEST: u64 = 64 << 30;
/// Deepest nesting of containers: an update, a package, its cabinets.
const DEPTH: usize = 4;
/// What is wrong with a file that should be a container.
const NO_CONTAINER: &str = "it is neither a cabinet nor a Windows Imaging file";
/// Largest answer file and index that is read.
const LARGEST_TEXT: u64 = 512 << 20;

/// An expanded package: what a CBS cabinet holds.
#[derive(Debug, Clone)]
pub struct PackageFolder {
    /// Where it came from, for messages: `kb.msu/Windows6.1-KB4528069-x64.cab`.
    pub shown: String,
    /// Sorted by the lower-cased path.
    pub files: Vec<PackageFile>,
    /// Files that could not be made because only Windows can; they are absent from `files`. A package with such can be left to Windows itself.
    pub not_native: Vec<Problem>,
}

/// A file of an expanded package.
#[derive(Debug, Clone)]
pub struct PackageFile {
    /// Names from the package's root; at least one.
    pub path: Vec<String>,
    /// Size in bytes.
    pub size: u64,
    /// Last write time, where the container tells one; times of cabinets are taken as UTC.
    pub time: Option<FileTime>,
    /// The content.
    pub content: Arc<dyn ReadAt>,
    /// BLAKE3 of the content.
    pub blake3: Blake3,
}

/// What an input holds.
#[derive(Debug, Clone, Default)]
pub struct Expanded {
    /// The packages: those of one update in the order they are to be installed, a servicing stack first; those of a folder by path.
    pub packages: Vec<PackageFolder>,
    /// Files that are no packages, and why they were left.
    pub skipped: Vec<(String, &'static str)>,
}

/// What is looked for: says it of the mums in the root of a container.
pub(super) type Filter<'a> = &'a dyn Fn(&[&Mum]) -> bool;

impl PackageFolder {
    /// The file at `path`, with `\` or `/`; letter case does not matter.
    #[must_use]
    pub fn file(&self, path: &str) -> Option<&PackageFile> {
        let wanted = path.replace('/', "\\").to_lowercase();
        let place = self.files.binary_search_by(|file| key(&file.path).cmp(&wanted)).ok()?;
        self.files.get(place)
    }
}

/// What files of a package are sorted and found by.
fn key(path: &[String]) -> String {
    path.join("\\").to_lowercase()
}

/// The packages of the input `id`.
///
/// # Errors
/// When it cannot be read, holds no package, or something in it is damaged.
pub fn open(id: &InputId, tree: &InputTree) -> Result<Expanded, ServicingError> {
    open_wanted(id, tree, None)
}

/// As [`open`], but containers whose mums do not have what is `wanted` are not unpacked: a medium of features on demand has hundreds, of many gigabytes. There
/// may be no package left.
///
/// # Errors
/// As [`open`].
pub(super) fn open_wanted(
    id: &InputId,
    tree: &InputTree,
    wanted: Option<Filter<'_>>,
) -> Result<Expanded, ServicingError> {
    let (spool, expanded) = (Spool::new(LARGEST), Expanded::default());
    let mut opener = Opener { spool, expanded, wanted, unwanted: 0 };
    let mut files = Vec::new();
    for entry in &tree.entries {
        if let InputKind::File { size, blake3, content } = &entry.kind {
            let (size, blake3) = (*size, *blake3);
            let (path, content) = (entry.path.clone(), Arc::clone(content));
            files.push(ArchiveFile { path, size, time: None, content, blake3 });
        }
    }
    match files.as_slice() {
        [file] if file.path.is_empty() => opener.container(&id.0, file, None, 0)?,
        _ => opener.folder(&id.0, files)?,
    }
    if opener.expanded.packages.is_empty() && opener.unwanted == 0 {
        let cause = "there is no package in it";
        let help = "name a .cab, .msu or .esd file, a folder of these, or the folder that a package was expanded to (it has update.mum)";
        return Err(ServicingError::refused(OPERATION, Problem::error(&id.0, cause, help)));
    }
    Ok(opener.expanded)
}

struct Opener<'a> {
    spool: Spool,
    expanded: Expanded,
    wanted: Option<Filter<'a>>,
    /// How many packages do not have what is wanted.
    unwanted: usize,
}

impl Opener<'_> {
    /// A folder of the host: packages that are expanded already, and containers.
    fn folder(&mut self, shown: &str, files: Vec<ArchiveFile>) -> Result<(), ServicingError> {
        let parent = |file: &ArchiveFile| {
            let names = file.path.split_last().map_or(&[][..], |(_, names)| names);
            names.to_vec()
        };
        let with_mum = files.iter().filter(|file| ends_with(file, ".mum")).map(parent);
        let mut roots: BTreeSet<Vec<String>> = with_mum.collect();
        // A package's own folders are not packages.
        let mut last: Option<Vec<String>> = None;
        roots.retain(|root| {
            let inner = last.as_ref().is_some_and(|outer| root.starts_with(outer));
            if !inner {
                last = Some(root.clone());
            }
            !inner
        });
        // By folder, in the order of the paths: packages, and files that are in none.
        let mut folders: BTreeMap<Vec<String>, Vec<ArchiveFile>> = BTreeMap::new();
        for mut file in files {
            let mut above = (0..file.path.len()).map(|length| &file.path[..length]);
            let folder = above.find(|names| roots.contains(*names));
            let folder = folder.map_or_else(|| parent(&file), <[String]>::to_vec);
            file.path.drain(..folder.len());
            folders.entry(folder).or_default().push(file);
        }
        for (folder, files) in folders {
            let shown = join(shown, &folder);
            if roots.contains(&folder) {
                self.package(&shown, files, None)?;
            } else {
                self.containers(&shown, files, 0)?;
            }
        }
        Ok(())
    }

    /// Containers side by side, and what lies with them.
    fn containers(
        &mut self,
        shown: &str,
        files: Vec<ArchiveFile>,
        depth: usize,
    ) -> Result<(), ServicingError> {
        let wanted = listed(shown, &files)?;
        let streams: Vec<&ArchiveFile> =
            files.iter().filter(|file| ends_with(file, ".psf")).collect();
        let mut inner = Vec::new();
        for file in &files {
            match left_because(file, shown)? {
                Some(reason) => {
                    self.expanded.skipped.push((join(shown, &file.path), reason));
                }
                None => inner.push(file),
            }
        }
        let rank = |file: &&ArchiveFile| {
            let name = file_name(file);
            let listed = wanted.iter().position(|one| one.file.eq_ignore_ascii_case(&name));
            (!is_servicing_stack(&name), listed.unwrap_or(usize::MAX), name)
        };
        inner.sort_by_cached_key(rank);
        for file in inner {
            let same_stem =
                |other: &&&ArchiveFile| stem(&file_name(other)) == stem(&file_name(file));
            let beside = streams.iter().find(same_stem).copied();
            self.container(&join(shown, &file.path), file, beside, depth + 1)?;
        }
        Ok(())
    }

    /// A cabinet or WIM: a package, or a container of these.
    fn container(
        &mut self,
        shown: &str,
        file: &ArchiveFile,
        streams: Option<&ArchiveFile>,
        depth: usize,
    ) -> Result<(), ServicingError> {
        if depth > DEPTH {
            let cause = format!("it lies in more than {DEPTH} containers, one in the other");
            let help = "unpack the outer ones and name the folder";
            return Err(ServicingError::refused(OPERATION, Problem::error(shown, cause, help)));
        }
        if let Some(wanted) = self.wanted
            && is_unwanted(shown, file, wanted)?
        {
            self.unwanted += 1;
            return Ok(());
        }
        let files = unpack(shown, &file.content, &mut self.spool, &|_| true)?;
        let in_root = |end: &str| files.iter().any(|file| is_in_root(file) && ends_with(file, end));
        if files.len() == 1 && in_root(".psf.cix.xml") && streams.is_none() {
            let reason = "it holds nothing but the index of a stream file";
            self.expanded.skipped.push((shown.to_owned(), reason));
            return Ok(());
        }
        if in_root(".mum") || in_root(cix::IN_CABINET) || in_root("cablist.ini") {
            return self.package(shown, files, streams);
        }
        let in_root = files.into_iter().filter(is_in_root).collect();
        let packages = self.expanded.packages.len();
        self.containers(shown, in_root, depth)?;
        if depth > 0 && self.expanded.packages.len() == packages {
            self.expanded.skipped.push((shown.to_owned(), "it holds no package"));
        }
        Ok(())
    }

    /// An expanded package, up to what it holds as deltas, streams and cabinets.
    fn package(
        &mut self,
        shown: &str,
        mut files: Vec<ArchiveFile>,
        streams: Option<&ArchiveFile>,
    ) -> Result<(), ServicingError> {
        let mut not_native = self.unpack_cabinets(shown, &mut files)?;
        not_native.extend(self.make_files(shown, &mut files, streams)?);
        not_native.extend(self.apply_null_deltas(shown, &mut files)?);
        archive::check_names(OPERATION, shown, files.iter().map(|file| file.path.as_slice()))?;
        files.sort_by_cached_key(|file| key(&file.path));
        let file = |ArchiveFile { path, size, time, content, blake3 }| PackageFile {
            path,
            size,
            time,
            content,
            blake3,
        };
        let files = files.into_iter().map(file).collect();
        let shown = shown.to_owned();
        self.expanded.packages.push(PackageFolder { shown, files, not_native });
        Ok(())
    }

    /// Puts the files of a package's own cabinets into it, where it has a list of such.
    fn unpack_cabinets(
        &mut self,
        shown: &str,
        files: &mut Vec<ArchiveFile>,
    ) -> Result<Vec<Problem>, ServicingError> {
        let mut problems = Vec::new();
        if !files.iter().any(|file| is_in_root(file) && ends_with(file, "cablist.ini")) {
            return Ok(problems);
        }
        let is_part = |file: &ArchiveFile| {
            is_in_root(file) && (ends_with(file, ".cab") || ends_with(file, "cablist.ini"))
        };
        let (parts, rest) = std::mem::take(files).into_iter().partition(is_part);
        *files = rest;
        let parts: Vec<ArchiveFile> = parts;
        // What several of them hold alike is one file.
        let mut known: BTreeMap<String, Blake3> =
            files.iter().map(|file| (key(&file.path), file.blake3)).collect();
        for part in parts.iter().filter(|part| ends_with(part, ".cab")) {
            let shown = join(shown, &part.path);
            let mut unpacked =
                archive::open_cabinet(OPERATION, &shown, &part.content, &mut self.spool)?;
            // An index speaks of the members of its own cabinet: others have members of the same names.
            let own = |file: &ArchiveFile| file_name(file) == cix::IN_CABINET;
            if unpacked
                .iter()
                .any(|file| is_in_root(file) && (own(file) || ends_with(file, ".psf")))
            {
                problems.extend(self.make_files(&shown, &mut unpacked, None)?);
            }
            unpacked.retain(|file| known.insert(key(&file.path), file.blake3) != Some(file.blake3));
            files.append(&mut unpacked);
        }
        Ok(problems)
    }

    /// Makes the files that an index names, in place of what they are made of.
    fn make_files(
        &mut self,
        shown: &str,
        files: &mut Vec<ArchiveFile>,
        streams: Option<&ArchiveFile>,
    ) -> Result<Vec<Problem>, ServicingError> {
        let damaged = |error: &dyn std::error::Error| archive::damaged(OPERATION, shown, error);
        let name_of_index = |file: &ArchiveFile| {
            let name = file_name(file);
            let beside = name.ends_with(".psf.cix.xml") || name.ends_with(".psf.cix.ini");
            is_in_root(file) && (name == cix::IN_CABINET || beside)
        };
        // Streams of a package that was expanded by hand lie in its folder.
        let streams =
            streams.or_else(|| files.iter().find(|it| is_in_root(it) && ends_with(it, ".psf")));
        let streams = streams.cloned();
        let mut problems = Vec::new();
        // Streams that only Windows can read make a package that only Windows can unpack.
        let mut readable = |error: &PsfError| match error.unsupported() {
            Some(what) => {
                problems.push(Problem::error(shown, expand::not_native(what), expand::HELP));
                Ok(())
            }
            None => Err(damaged(error)),
        };
        let is_done = |file: &ArchiveFile| is_in_root(file) && ends_with(file, ".psf");
        let psf = match streams.as_ref().map(|file| Psf::open(Arc::clone(&file.content))) {
            None => None,
            Some(Ok(psf)) => Some(psf),
            Some(Err(error)) => {
                readable(&error)?;
                files.retain(|file| !name_of_index(file) && !is_done(file));
                return Ok(problems);
            }
        };
        let mut indexes: Vec<ContainerIndex> = Vec::new();
        for file in files.iter().filter(|file| name_of_index(file)) {
            let shown = join(shown, &file.path);
            let index = cix::parse(&read(&shown, file)?);
            indexes.push(index.map_err(|error| archive::damaged(OPERATION, &shown, &error))?);
        }
        if indexes.is_empty()
            && let Some(psf) = &psf
        {
            match psf.index() {
                Ok(index) => indexes.extend(index),
                Err(error) => readable(&error)?,
            }
        }
        for index in indexes {
            let members: BTreeMap<String, ArchiveFile> =
                files.iter().map(|file| (key(&file.path), file.clone())).collect();
            let sources = Sources { shown, members: &members, streams: psf.as_ref() };
            let made = expand::make(&index, &sources, &mut self.spool)?;
            problems.extend(made.problems(shown));
            let finished: BTreeSet<String> =
                index.files.iter().map(|file| file.name.to_lowercase()).collect();
            let used: BTreeSet<String> = expand::members_of(&index);
            files.retain(|file| {
                let key = key(&file.path);
                !finished.contains(&key) && !used.contains(&key)
            });
            files.extend(made.files);
        }
        files.retain(|file| !name_of_index(file) && !is_done(file));
        Ok(problems)
    }

    /// Makes the files that a package holds as deltas of nothing (`component\n\file`), in their place; says which it holds as deltas of installed files.
    fn apply_null_deltas(
        &mut self,
        shown: &str,
        files: &mut Vec<ArchiveFile>,
    ) -> Result<Vec<Problem>, ServicingError> {
        let mut made = expand::Made::default();
        let mut forward: Option<(String, usize)> = None;
        let there: BTreeSet<String> = files.iter().map(|file| key(&file.path)).collect();
        let mut kept = Vec::with_capacity(files.len());
        for file in std::mem::take(files) {
            let kind = match file.path.as_slice() {
                [_, kind, _, ..] if matches!(kind.as_str(), "n" | "f" | "r") => kind.clone(),
                _ => {
                    kept.push(file);
                    continue;
                }
            };
            let mut path = file.path.clone();
            path.remove(1);
            let prefix = delta_prefix(shown, &file)?;
            let (Some(prefix), false) = (prefix, there.contains(&key(&path))) else {
                kept.push(file);
                continue;
            };
            if kind == "n" {
                let bytes = read(shown, &file)?;
                match delta::apply(&bytes[prefix..], &[], LARGEST_TEXT) {
                    Ok(bytes) => {
                        let kept = self.spool.take(bytes.len() as u64, &mut bytes.as_slice());
                        let (content, blake3) =
                            kept.map_err(|source| archive::unpacking(OPERATION, shown, source))?;
                        let size = content.size();
                        made.files.push(ArchiveFile {
                            path,
                            size,
                            time: file.time,
                            content,
                            blake3,
                        });
                    }
                    Err(DeltaError::Unsupported(what)) => {
                        made.left.push((path.join("\\"), expand::not_native(&what)));
                    }
                    Err(error) => {
                        let shown = join(shown, &file.path);
                        return Err(archive::damaged(OPERATION, &shown, &error));
                    }
                }
            } else if kind == "f" && !there.contains(&from_nothing(&file.path)) {
                let (_, count) = forward.get_or_insert_with(|| (path.join("/"), 0));
                *count += 1;
                kept.push(file);
            } else {
                kept.push(file);
            }
        }
        let mut problems = made.problems(shown);
        kept.extend(made.files);
        *files = kept;
        if let Some((first, count)) = forward {
            let cause = format!(
                "{count} of its files are deltas of the version that Windows came with ({first} and others), which only Windows can apply"
            );
            problems.push(Problem::error(shown, cause, expand::HELP));
        }
        Ok(problems)
    }
}

/// What answer files beside containers say is to be installed: in this order.
fn listed(shown: &str, files: &[ArchiveFile]) -> Result<Vec<WantedPackage>, ServicingError> {
    let mut wanted = Vec::new();
    for file in files.iter().filter(|file| ends_with(file, ".xml") && file.size < 1 << 20) {
        let shown = join(shown, &file.path);
        // Another document is no answer file, whatever is wrong with it.
        wanted.extend(msu::wanted_packages(&read(&shown, file)?).unwrap_or_default());
    }
    Ok(wanted)
}

/// The files of a cabinet or WIM whose path is `wanted`.
fn unpack(
    shown: &str,
    content: &Arc<dyn ReadAt>,
    spool: &mut Spool,
    wanted: &dyn Fn(&[String]) -> bool,
) -> Result<Vec<ArchiveFile>, ServicingError> {
    let magic: [u8; 8] = archive::magic(shown, content.as_ref())?;
    if magic.starts_with(&cab::MAGIC) {
        archive::open_members(OPERATION, shown, content, spool, wanted)
    } else if magic == wim::MAGIC {
        wim::open(shown, content, spool, wanted)
    } else {
        let help = "name a .cab, .msu or .esd file, or the folder it was expanded to";
        let problem = Problem::error(shown, NO_CONTAINER, help);
        Err(ServicingError::refused(OPERATION, problem))
    }
}

/// True when a container is a package whose mums do not have what is `wanted`. Only its mums are unpacked, and kept nowhere.
fn is_unwanted(
    shown: &str,
    file: &ArchiveFile,
    wanted: Filter<'_>,
) -> Result<bool, ServicingError> {
    // With an index or cabinets of its own it may have mums that are yet to be made.
    let plain = Cell::new(true);
    let is_mum = |path: &[String]| {
        let [name] = path else { return false };
        let name = name.to_lowercase();
        if name.ends_with(".cix.xml") || name.ends_with("cablist.ini") {
            plain.set(false);
        }
        name.ends_with(".mum")
    };
    let mums = unpack(shown, &file.content, &mut Spool::new(LARGEST_TEXT), &is_mum)?;
    if !plain.get() || mums.is_empty() {
        return Ok(false);
    }
    let mut parsed = Vec::new();
    for file in &mums {
        // What is wrong with it is said when the whole package is read.
        let Ok(mum) = Mum::parse(&read(shown, file)?) else { return Ok(false) };
        parsed.push(mum);
    }
    Ok(!wanted(&parsed.iter().collect::<Vec<_>>()))
}

/// Where the delta starts in a file that is one: behind a checksum of four bytes, or at once.
fn delta_prefix(shown: &str, file: &ArchiveFile) -> Result<Option<usize>, ServicingError> {
    let magic: [u8; 8] = archive::magic(shown, file.content.as_ref())?;
    let is_delta = |bytes: &[u8]| matches!(bytes, b"PA30" | b"PA31");
    Ok([0, 4].into_iter().find(|&start| is_delta(&magic[start..start + 4])))
}

/// Where the delta of nothing lies that makes the same file as the delta at `path`.
fn from_nothing(path: &[String]) -> String {
    let mut path = path.to_vec();
    if let Some(kind) = path.get_mut(1) {
        "n".clone_into(kind);
    }
    key(&path)
}

/// Why a file beside packages is no package; `None` when it is a container that may be one.
fn left_because(file: &ArchiveFile, shown: &str) -> Result<Option<&'static str>, ServicingError> {
    let name = file_name(file);
    let known = [
        (name == "wsusscan.cab", "it tells Windows Update what the update applies to"),
        (name.starts_with("desktopdeployment"), "it is the program that unpacks the update"),
        (name.contains("aggregatedmetadata"), "it lists what updates consist of"),
        (name.contains("baseless"), "it is for devices that are reset, not for images"),
        (name.ends_with(".psf"), "it is the stream file of a package"),
        (name.ends_with(".xml") || name.ends_with(".txt"), "it describes the update"),
    ];
    if let Some((_, reason)) = known.into_iter().find(|(is_it, _)| *is_it) {
        return Ok(Some(reason));
    }
    let magic: [u8; 8] = archive::magic(&join(shown, &file.path), file.content.as_ref())?;
    if magic.starts_with(&cab::MAGIC) || magic == wim::MAGIC {
        return Ok(None);
    }
    // A package that did not arrive: without it the image would lack what the recipe asks for.
    if [".cab", ".msu", ".esd", ".wim"].iter().any(|end| name.ends_with(end)) {
        let help = "it may be an error page of the server it came from: get it again, or remove it";
        let problem = Problem::error(join(shown, &file.path), NO_CONTAINER, help);
        return Err(ServicingError::refused(OPERATION, problem));
    }
    Ok(Some(NO_CONTAINER))
}

/// True for servicing stack updates, which everything else may need.
fn is_servicing_stack(name: &str) -> bool {
    name.starts_with("ssu-") || name.contains("servicingstack")
}

fn is_in_root(file: &ArchiveFile) -> bool {
    file.path.len() == 1
}

/// The lower-cased name.
fn file_name(file: &ArchiveFile) -> String {
    file.path.last().map_or_else(String::new, |name| name.to_lowercase())
}

/// True when the name ends so, which is lower-case.
fn ends_with(file: &ArchiveFile, end: &str) -> bool {
    file_name(file).ends_with(end)
}

/// A name without what follows its last dot.
fn stem(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(stem, _)| stem)
}

fn join(shown: &str, path: &[String]) -> String {
    path.iter().fold(shown.to_owned(), |shown, name| format!("{shown}/{name}"))
}

/// All bytes of a file that is small.
fn read(shown: &str, file: &ArchiveFile) -> Result<Vec<u8>, ServicingError> {
    let Some(size) = usize::try_from(file.size).ok().filter(|_| file.size <= LARGEST_TEXT) else {
        let cause = format!("it has {} bytes, more than such a file may have", file.size);
        return Err(ServicingError::refused(OPERATION, Problem::error(shown, cause, "")));
    };
    let mut bytes = vec![0; size];
    let read = file.content.read_exact_at(0, &mut bytes);
    read.map_err(|source| ServicingError::input(shown, source))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
