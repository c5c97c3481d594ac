//! The output: its settings, and what can be refused about it before anything is done.

use std::path::Path;

use fs_err as fs;

use super::{error::PlanError, model::PlannedOutput};
use crate::{
    codec::{Codec, Level},
    format::wim::Wim,
    recipe::{Finding, OutputImages, Recipe},
    store::{ResourceSettings, Stamp},
};

/// Free space that must be left beside a second copy of the base: for the store and what is new.
const MARGIN: u64 = 64 << 20;

/// Decides codec and chunk size; refuses an output that is the base, a folder, or cannot fit.
///
/// # Errors
/// One finding that says which.
pub fn plan(recipe: &Recipe, wim: &Wim, index: u32) -> Result<PlannedOutput, PlanError> {
    let output = &recipe.output;
    let path = output.path.value.clone();
    let refuse = |code: &'static str, message: &str, label: String, help: &str| {
        PlanError::Output(
            Finding::at(&output.path.origin, code, message.to_owned(), label, help.to_owned())
                .into(),
        )
    };
    if is_same_file(&path, &recipe.base.wim.value) {
        return Err(refuse(
            "output::is-base",
            "the output is the base image",
            format!("{} is read, and never written", path.display()),
            "give the output another path",
        ));
    }
    if path.is_dir() {
        let label = format!("{} is a folder", path.display());
        return Err(refuse("output::folder", "the output is a folder", label, "name a file in it"));
    }
    let resources = settings(recipe, wim)?;
    check_name(recipe, wim, index)?;
    let needed = wim.source().size().saturating_add(MARGIN);
    if let Some(free) = free_space(&path)
        && free < needed
    {
        return Err(refuse(
            "output::disk-full",
            "there is too little space for the output",
            format!(
                "{} MB are free, and about {} MB are needed",
                free / 1_000_000,
                needed / 1_000_000
            ),
            "make room, or put the output on another disk",
        ));
    }
    Ok(PlannedOutput { path, resources, integrity: output.integrity, images: output.images })
}

fn settings(recipe: &Recipe, wim: &Wim) -> Result<ResourceSettings, PlanError> {
    let output = &recipe.output;
    let (codec, usual) = match output.compression {
        Some(codec) => (codec, codec.default_chunk_size()),
        None => (wim.codec(), wim.chunk_size()),
    };
    let chunk_size = output.chunk_size.unwrap_or(usual);
    let refuse = |code: &'static str, message: String, help: &str| {
        let label = "this output".to_owned();
        Err(PlanError::Refused(
            Finding::at(&output.path.origin, code, message, label, help.to_owned()).into(),
        ))
    };
    if codec == Codec::Lzms {
        let message = "LZMS cannot be written in this version".to_owned();
        return refuse(
            "output::compression",
            message,
            "set `compression = \"lzx\"` under `[output]`",
        );
    }
    if !codec.allows_chunk_size(chunk_size) {
        let message = format!("{codec} does not allow chunks of {chunk_size} bytes");
        return refuse("output::chunk-size", message, "leave `chunk-size` out");
    }
    Ok(ResourceSettings { codec, chunk_size, level: Level::default() })
}

/// Two images of one WIM cannot have one name.
fn check_name(recipe: &Recipe, wim: &Wim, index: u32) -> Result<(), PlanError> {
    let (OutputImages::All, Some(name)) = (recipe.output.images, &recipe.image.name) else {
        return Ok(());
    };
    let same = |other: &u32| {
        *other != index && wim.xml().image_name(*other).is_some_and(|known| known == name.value)
    };
    match (1..=wim.image_count()).find(same) {
        None => Ok(()),
        Some(other) => {
            let message = "two images of the output would have one name";
            let label = format!("image {other} of the base has this name too");
            let help =
                "give the built image another name, or write it alone with `images = \"selected\"`";
            let finding = Finding::at(&name.origin, "output::same-name", message, label, help);
            Err(PlanError::Refused(finding.into()))
        }
    }
}

/// True when both paths lead to one existing file.
#[must_use]
pub fn is_same_file(one: &Path, other: &Path) -> bool {
    let stamp = |path| fs::metadata(path).map(|metadata| Stamp::of(&metadata));
    if cfg!(unix) {
        let (Ok(one), Ok(other)) = (stamp(one), stamp(other)) else { return false };
        return (one.device, one.inode) == (other.device, other.inode);
    }
    match (fs::canonicalize(one), fs::canonicalize(other)) {
        (Ok(one), Ok(other)) => one == other,
        _ => false,
    }
}

/// Bytes that an ordinary user may still write where `path` is to be; `None` where the system does not say.
#[cfg(unix)]
fn free_space(path: &Path) -> Option<u64> {
    let there = path.ancestors().skip(1).map(|folder| match folder.as_os_str().is_empty() {
        true => Path::new("."),
        false => folder,
    });
    let status = rustix::fs::statvfs(there.into_iter().find(|folder| folder.exists())?).ok()?;
    // What is there already is replaced only at the end, so it is not counted as free.
    status.f_bavail.checked_mul(status.f_frsize)
}

#[cfg(not(unix))]
fn free_space(_: &Path) -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn free_space_is_known_where_nothing_is_yet() {
        let folder = tempfile::tempdir().unwrap();
        let here = free_space(&folder.path().join("out.wim")).unwrap();
        assert!(here > 0);
        assert!(free_space(&folder.path().join("a/b/out.wim")).is_some());
        assert!(free_space(Path::new("out.wim")).is_some());
    }

    #[test]
    fn a_file_is_itself_under_any_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        fs::write(&path, b"").unwrap();
        assert!(is_same_file(&path, &folder.path().join("../").join(folder.path()).join("a")));
        assert!(!is_same_file(&path, &folder.path().join("b")));
    }
}
