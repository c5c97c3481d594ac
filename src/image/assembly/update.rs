//! Update commands done to an image.

use std::path::PathBuf;

use crate::base::{
    filetime::FileTime,
    name::Name,
    ntpath::{NtPath, PathError},
};

use super::{
    super::{
        edit,
        error::ImageError,
        import::{self, CaptureOptions},
        offline::Image,
        patterns::Patterns,
        watch::Watch,
    },
    commands::{Action, AddOptions, Command, DeleteOptions},
    graft::GraftOptions,
};

/// What a command could not do.
#[derive(Debug, thiserror::Error)]
pub enum UpdateError {
    /// A path that cannot be in an image.
    #[error("{path}: {source}")]
    Path {
        /// The path.
        path: String,
        /// What is wrong with it.
        source: PathError,
    },
    /// A folder where only files are deleted.
    #[error("{0} is a folder; with --recursive it is deleted with all in it")]
    IsFolder(NtPath),
    /// A folder that would have to lie in itself.
    #[error("{0} cannot be moved into itself")]
    IntoItself(NtPath),
    /// A folder in the way that is not empty.
    #[error("{0} is a folder that is not empty")]
    NotEmpty(NtPath),
    /// A source that cannot be captured.
    #[error("{} cannot be added: {error}", .source_path.display())]
    Source {
        /// The file or folder of the host.
        source_path: PathBuf,
        /// What is wrong with it.
        error: ImageError,
    },
    /// The image does not allow it.
    #[error(transparent)]
    Image(#[from] ImageError),
}

/// How host files are taken in.
#[derive(Debug, Clone)]
pub struct UpdateOptions {
    /// What to leave out of added folders, with all below it.
    pub exclude: Patterns,
    /// Leave out names that Windows cannot hold, and report them; otherwise they are an error.
    pub skip_bad_names: bool,
    /// Deepest nesting accepted.
    pub depth: usize,
    /// Later times become this one, and it is the time of every change. Without it, a change gets the time of the newest file that was added so far,
    /// and the image's own epoch before that.
    pub epoch: Option<FileTime>,
}

/// Does one command; returns what there is to tell about it.
///
/// # Errors
/// When it cannot be done. The image may then have part of it and is to be dropped.
pub fn run(
    image: &mut Image,
    command: &Command,
    options: &UpdateOptions,
    watch: Watch<'_>,
) -> Result<Vec<String>, UpdateError> {
    match &command.action {
        Action::Add { source, destination, options: how } => {
            add(image, source, destination, how, (options, watch))
        }
        Action::Delete { path, options } => delete(image, &named(path), options).map(|()| vec![]),
        Action::Rename { from, to } => rename(image, &named(from), &checked(to)?).map(|()| vec![]),
    }
}

fn add(
    image: &mut Image,
    source: &PathBuf,
    destination: &str,
    how: &AddOptions,
    (options, watch): (&UpdateOptions, Watch<'_>),
) -> Result<Vec<String>, UpdateError> {
    let at = checked(destination)?;
    let capture = CaptureOptions {
        exclude: options.exclude.clone(),
        unix_data: how.unix_data,
        skip_bad_names: options.skip_bad_names,
        depth: options.depth,
    };
    let captured = import::capture(source, &capture, watch);
    let (captured, report) = captured.map_err(|error| match error {
        ImageError::Cancelled => UpdateError::Image(ImageError::Cancelled),
        error => UpdateError::Source { source_path: source.clone(), error },
    })?;
    let root = captured.tree.root();
    let from = match fs_err::metadata(source) {
        Ok(metadata) if metadata.is_file() => {
            captured.tree.children(root).first().copied().unwrap_or(root)
        }
        _ => root,
    };
    let newest = captured.tree.walk_from(from).map(|id| captured.tree.inode(id).last_write_time);
    let newest = newest.max().unwrap_or_default();
    image.set_epoch(options.epoch.unwrap_or_else(|| image.epoch().max(newest)));
    let graft = GraftOptions {
        no_replace: how.no_replace,
        no_security: how.no_acls,
        latest: options.epoch,
    };
    image.graft(&at, &captured, from, &graft)?;
    Ok(report.warnings)
}

fn delete(image: &mut Image, path: &NtPath, options: &DeleteOptions) -> Result<(), UpdateError> {
    let Some(node) = image.tree.lookup(path) else {
        if options.force {
            return Ok(());
        }
        return Err(ImageError::NotFound(path.clone()).into());
    };
    let inode = image.tree.inode(node);
    // A reparse point that is no link, such as a folder of a cloud provider, is a folder.
    let is_folder = inode.is_directory() && !edit::is_link(inode);
    if (is_folder || !image.tree.children(node).is_empty()) && !options.recursive {
        return Err(UpdateError::IsFolder(path.clone()));
    }
    Ok(image.remove(path)?)
}

/// As POSIX has it: a file takes the place of a file, a folder that of an empty folder.
fn rename(image: &mut Image, from: &NtPath, to: &NtPath) -> Result<(), UpdateError> {
    let Some(node) = image.tree.lookup(from) else {
        return Err(ImageError::NotFound(from.clone()).into());
    };
    let (true, Some(name)) = (!from.is_root(), to.file_name()) else {
        return Err(ImageError::Root.into());
    };
    let mut folders = std::iter::successors(to.parent(), NtPath::parent);
    if folders.any(|folder| image.tree.lookup(&folder) == Some(node)) {
        return Err(UpdateError::IntoItself(from.clone()));
    }
    if let Some(there) = image.tree.lookup(to) {
        if there == node {
            return respell(image, node, name, from, to);
        }
        let is_folder = |id| image.tree.inode(id).is_directory();
        match (is_folder(node), is_folder(there)) {
            (false, true) => return Err(ImageError::IsDirectory(to.clone()).into()),
            (true, false) => return Err(ImageError::NotDirectory(to.clone()).into()),
            (true, true) if !image.tree.children(there).is_empty() => {
                return Err(UpdateError::NotEmpty(to.clone()));
            }
            _ => image.remove(to)?,
        }
    }
    Ok(image.rename(from, to)?)
}

/// Changes the spelling of a name: by way of a name that nothing has.
fn respell(
    image: &mut Image,
    node: super::super::tree::NodeId,
    name: &Name,
    from: &NtPath,
    to: &NtPath,
) -> Result<(), UpdateError> {
    if image.tree.node(node).name == *name {
        return Ok(());
    }
    let folder = from.parent().unwrap_or_default();
    let free = (0_u32..)
        .map(|number| folder.join(Name::from(format!("transom{number}").as_str())))
        .find(|path| image.tree.lookup(path).is_none());
    let free = free.ok_or_else(|| ImageError::Exists(to.clone()))?;
    image.rename(from, &free)?;
    Ok(image.rename(&free, to)?)
}

/// A path of something that is to be put into the image.
fn checked(text: &str) -> Result<NtPath, UpdateError> {
    NtPath::parse(text).map_err(|source| UpdateError::Path { path: text.to_owned(), source })
}

/// A path of something that is in the image, whose names may be such as Windows could not open.
fn named(text: &str) -> NtPath {
    let rest = match text.as_bytes() {
        [letter, b':'] | [letter, b':', b'\\' | b'/', ..] if letter.is_ascii_alphabetic() => {
            &text[2..]
        }
        _ => text,
    };
    let names = rest.split(['\\', '/']).filter(|name| !name.is_empty()).map(Name::from);
    NtPath::from_names(names.collect())
}
