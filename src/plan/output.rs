//! The output: its settings, and what can be refused about it before anything is done.

use std::path::{Path, PathBuf};

use fs_err as fs;

use super::{
    base_image,
    error::PlanError,
    inputs::ResolvedInputs,
    model::{Plan, PlannedOutput},
};
use crate::{
    codec::Codec,
    format::wim::{Solid, Volume, Wim, WriteSettings},
    recipe::{BaseImage, Compression, Finding, Findings, Located, OutputImages, Recipe},
    store::{ResourceSettings, Stamp},
};

/// Decides codec and chunk size; refuses an output that is the base or no file.
///
/// # Errors
/// One finding that says which.
pub fn plan(
    recipe: &Recipe,
    wim: &Wim,
    selected: &[(u32, &BaseImage)],
) -> Result<PlannedOutput, PlanError> {
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
    if path.exists() && !path.is_file() {
        let label = format!("{} is a device, a pipe or a socket", path.display());
        return Err(refuse(
            "output::special",
            "the output is not a regular file",
            label,
            "give the output another path",
        ));
    }
    let (resources, solid) = settings(recipe, wim)?;
    check_names(recipe, wim, selected)?;
    let part_limit = output.split.as_ref().map(|limit| limit.value);
    if let (Some(_), Some(split)) = (solid, &output.split) {
        // Said by the base, not by the recipe: that case is refused when the recipe is read.
        return Err(PlanError::Refused(
            Finding::at(
                &split.origin,
                "output::split-solid",
                "a solid image cannot be split",
                "the output is solid because the base is",
                "choose `compression = \"lzx\"` under `[output]`, or take `split-mib` away",
            )
            .into(),
        ));
    }
    let (integrity, images) = (output.integrity, output.images);
    Ok(PlannedOutput { path, resources, solid, part_limit, integrity, images })
}

/// Refuses an output or a lock file that would replace, or get into, what the build reads.
///
/// # Errors
/// One finding that says which.
pub fn refuse_own_files(
    recipe: &Recipe,
    recipe_path: &Path,
    lock_path: &Path,
    inputs: &ResolvedInputs,
) -> Result<(), PlanError> {
    let output = &recipe.output.path;
    let refuse = |code: &'static str, message: &str, label: String, help: &str| {
        PlanError::Output(Finding::at(&output.origin, code, message, label, help).into())
    };
    let place = real_place(&output.value);
    let shown = output.value.display();
    if is_one_place(lock_path, recipe_path) {
        let label = format!("{} is the recipe and would be its own lock", recipe_path.display());
        let help = "name the recipe NAME.toml: its lock file is NAME.lock beside it";
        return Err(refuse("lock::is-recipe", "the lock file is the recipe", label, help));
    }
    let help = "give the output another path";
    for input in inputs.values() {
        if input.is_folder && place.starts_with(&input.path) {
            let label = format!("{shown} lies in the input folder {}", input.path.display());
            let message = "the output lies in a folder that the build reads";
            return Err(refuse("output::in-input", message, label, help));
        }
        if input.has_file(&output.value) || input.has_file(&place) {
            let label = format!("{shown} is read as the input {}", input.id);
            return Err(refuse("output::is-input", "the output is an input", label, help));
        }
        if input.has_file(lock_path) {
            let label = format!("{} is read as the input {}", lock_path.display(), input.id);
            let help = "let the input leave the lock file out: it changes with every input";
            return Err(refuse("lock::is-input", "the lock file is an input", label, help));
        }
    }
    for file in source_files(recipe).chain([recipe_path.to_owned()]) {
        if is_one_place(&output.value, &file) || is_same_file(&output.value, &file) {
            let label = format!("{shown} is the recipe, or a file it extends");
            return Err(refuse("output::is-recipe", "the output is the recipe", label, help));
        }
    }
    if is_one_place(&output.value, lock_path) {
        let label = format!("{shown} is the lock file of this recipe");
        return Err(refuse("output::is-lock", "the output is the lock file", label, help));
    }
    Ok(())
}

/// Refuses an output that would replace, or get into, what the plan of another variant reads or writes. Here links are followed, and all files of a base
/// are known; what the texts tell was refused with the recipe.
///
/// # Errors
/// One finding that says which.
pub fn refuse_files_of(
    recipe: &Recipe,
    output: &PlannedOutput,
    other: &Plan,
) -> Result<(), PlanError> {
    let name = other.variant.as_deref().unwrap_or_default();
    let shown = output.path.display();
    let refuse = |code: &'static str, message: String, label: String| {
        let help = "give the output another path";
        let origin = &recipe.output.path.origin;
        Err(PlanError::Output(Finding::at(origin, code, message, label, help).into()))
    };
    let is_one = |file: &Path| is_one_place(&output.path, file) || is_same_file(&output.path, file);
    if let Some(file) = base_image::files(&other.base.wim).into_iter().find(|file| is_one(file)) {
        let message = format!("the output is the base image of the variant `{name}`");
        return refuse("output::is-base", message, format!("{shown} is {}", file.display()));
    }
    let place = real_place(&output.path);
    for input in other.inputs.values() {
        if input.is_folder && place.starts_with(&input.path) {
            let label = format!("{shown} lies in the input folder {}", input.path.display());
            let message = format!("the output lies in a folder that the variant `{name}` reads");
            return refuse("output::in-input", message, label);
        }
        if input.has_file(&output.path) || input.has_file(&place) {
            let message = format!("the output is an input of the variant `{name}`");
            return refuse(
                "output::is-input",
                message,
                format!("{shown} is the input {}", input.id),
            );
        }
    }
    if is_one_place(&output.path, &other.output.path) {
        let message = format!("the output is that of the variant `{name}`");
        return refuse(
            "output::same",
            message,
            format!("{shown} is {}", other.output.path.display()),
        );
    }
    if is_one_place(&output.path, &other.lock_path) {
        let message = format!("the output is the lock file of the variant `{name}`");
        return refuse("output::is-lock", message, format!("{shown} is that file"));
    }
    Ok(())
}

/// Refuses an output beside which `documents` would be written over what the plan, or that of another variant in `others`, reads or writes. The documents of
/// each of those are given too.
///
/// # Errors
/// One finding that says which.
pub fn refuse_documents(
    recipe: &Recipe,
    plan: &Plan,
    documents: &[PathBuf],
    others: &[(&Plan, Vec<PathBuf>)],
) -> Result<(), PlanError> {
    let origin = &recipe.output.path.origin;
    let refuse = |document: &Path, what: String| {
        let message = "a report of the output would be written over another file";
        let label = format!("{} is {what}", document.display());
        let help = "give the output another name, or build with --no-report";
        let finding = Finding::at(origin, "output::documents", message, label, help);
        Err(PlanError::Output(finding.into()))
    };
    for document in documents {
        let is_one = |file: &Path| is_one_place(document, file) || is_same_file(document, file);
        for (place, plan) in
            std::iter::once(plan).chain(others.iter().map(|(plan, _)| *plan)).enumerate()
        {
            let of_variant = match &plan.variant {
                Some(name) if place > 0 => format!(" of the variant `{name}`"),
                _ => String::new(),
            };
            if base_image::files(&plan.base.wim).into_iter().any(is_one) {
                return refuse(document, format!("the base image{of_variant}"));
            }
            if let Some(input) = plan.inputs.values().find(|input| input.has_file(document)) {
                return refuse(document, format!("the input {}{of_variant}", input.id));
            }
            if is_one(&plan.output.path) {
                return refuse(document, format!("the output{of_variant}"));
            }
            if is_one(&plan.lock_path) {
                return refuse(document, format!("the lock file{of_variant}"));
            }
        }
        if source_files(recipe).any(|file| is_one(&file)) {
            return refuse(document, "the recipe, or a file it extends".to_owned());
        }
        for (other, theirs) in others {
            if theirs.iter().any(|other| is_one_place(document, other)) {
                let name = other.variant.as_deref().unwrap_or_default();
                return refuse(document, format!("that of the variant `{name}`"));
            }
        }
    }
    Ok(())
}

/// The files that a recipe was read from.
fn source_files(recipe: &Recipe) -> impl Iterator<Item = PathBuf> {
    let files = recipe.sources.iter().filter_map(|source| {
        // `--set 1` is no file, and none of its name is there.
        Some(source.folder.join(source.name.rsplit('/').next()?))
    });
    files.filter(|file| file.is_file())
}

/// True when both paths are one place, whether something is there or not.
fn is_one_place(one: &Path, other: &Path) -> bool {
    real_place(one) == real_place(other)
}

/// Where a file written as `path` would be: links in its folder followed, as far as the folders exist.
fn real_place(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut folders = absolute.ancestors().skip(1);
    folders
        .find_map(|folder| {
            let rest = absolute.strip_prefix(folder).ok()?;
            Some(fs::canonicalize(folder).ok()?.join(rest))
        })
        .unwrap_or_else(|| absolute.clone())
}

/// How resources are compressed, and how solid ones are. What the recipe leaves open is as in the base, as far as Windows reads that.
fn settings(recipe: &Recipe, wim: &Wim) -> Result<(ResourceSettings, Option<Solid>), PlanError> {
    let output = &recipe.output;
    // Solid resources that are not compressed can be read, but are not written.
    let of_base = wim.volumes().iter().flat_map(Volume::solids).find(|solid| {
        let codec = solid.codec();
        codec != Codec::None && codec.allows_chunk_size(solid.chunk_size())
    });
    let of_base =
        of_base.map(|solid| Solid { codec: solid.codec(), chunk_size: solid.chunk_size() });
    let resources = |codec, chunk_size| ResourceSettings { codec, chunk_size, level: output.level };
    let each = |codec: Codec, usual| -> Result<ResourceSettings, PlanError> {
        let chunk_size = output.chunk_size.unwrap_or(usual);
        if codec.allows_chunk_size(chunk_size) {
            return Ok(resources(codec, chunk_size));
        }
        let message = format!("{codec} does not allow chunks of {chunk_size} bytes");
        let label = "this output".to_owned();
        let help = "leave `chunk-kib` out".to_owned();
        let finding = Finding::at(&output.path.origin, "output::chunk-size", message, label, help);
        Err(PlanError::Refused(finding.into()))
    };
    let around_solid = resources(Codec::Lzms, Codec::Lzms.default_chunk_size());
    match (output.compression, of_base) {
        (Some(Compression::Each(codec)), _) => Ok((each(codec, codec.default_chunk_size())?, None)),
        (Some(Compression::Solid), of_base) => {
            let usual = Solid::default();
            // Solid resources of the base's own form are copied.
            let chunk_size = of_base.filter(|base| base.codec == usual.codec).unwrap_or(usual);
            let chunk_size = output.chunk_size.unwrap_or(chunk_size.chunk_size);
            Ok((around_solid, Some(Solid { chunk_size, ..usual })))
        }
        (None, Some(solid)) => Ok((around_solid, Some(solid))),
        (None, None) => {
            let codec = wim.codec();
            // What Windows cannot read is written only when the recipe says so.
            let as_base = WriteSettings {
                codec,
                chunk_size: wim.chunk_size(),
                level: output.level,
                solid: None,
                integrity: false,
                boot_index: 0,
                rp_fix: false,
            };
            let usual = match as_base.unreadable_by_windows() {
                None => as_base.chunk_size,
                Some(_) => codec.default_chunk_size(),
            };
            Ok((each(codec, usual)?, None))
        }
    }
}

/// What must be said about an output that Windows cannot read.
#[must_use]
pub fn warnings(recipe: &Recipe, output: &PlannedOutput) -> Vec<Finding> {
    let warn = |text: String| {
        let label = "the output will be such a file".to_owned();
        let help = "leave `chunk-kib` out to get what Windows reads".to_owned();
        Finding::at(&recipe.output.path.origin, "output::not-for-windows", text, label, help)
    };
    output.write_settings(0, false).unreadable_by_windows().map(warn).into_iter().collect()
}

/// Two images of one WIM cannot have one name.
fn check_names(
    recipe: &Recipe,
    wim: &Wim,
    selected: &[(u32, &BaseImage)],
) -> Result<(), PlanError> {
    let given = |image: &'_ BaseImage| image.name.clone().or_else(|| recipe.image.name.clone());
    // Number in the base, the name in the output, and the recipe's words for it if any.
    let mut names = Vec::new();
    for (index, image) in selected {
        let given = given(image);
        let name = given.as_ref().map(|name| name.value.clone());
        names.push((
            *index,
            name.or_else(|| wim.xml().image_name(*index).map(str::to_owned)),
            given,
        ));
    }
    if recipe.output.images == OutputImages::All {
        let others = (1..=wim.image_count())
            .filter(|index| selected.iter().all(|(selected, _)| selected != index));
        names.extend(
            others.map(|index| (index, wim.xml().image_name(index).map(str::to_owned), None)),
        );
    }
    let mut findings = Vec::new();
    for (index, name, origin) in &names {
        let (Some(_), Some(origin)) = (name, origin) else { continue };
        // Of two that are given, the later one is in the way.
        let is_other = |(other, known, given): &&(u32, Option<String>, Option<Located<String>>)| {
            other != index
                && known == name
                && (given.is_none()
                    || names.iter().position(|(one, ..)| one == other)
                        < names.iter().position(|(one, ..)| one == index))
        };
        if let Some((other, ..)) = names.iter().find(is_other) {
            let message = "two images of the output would have one name";
            let label = format!("image {other} of the base has this name too");
            let help =
                "give the built image another name, or write it alone with `images = \"selected\"`";
            findings.push(Finding::at(&origin.origin, "output::same-name", message, label, help));
        }
    }
    Findings::check(findings).map_err(PlanError::Refused)
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
#[must_use]
pub fn free_space(path: &Path) -> Option<u64> {
    let there = path.ancestors().skip(1).map(|folder| match folder.as_os_str().is_empty() {
        true => Path::new("."),
        false => folder,
    });
    let status = rustix::fs::statvfs(there.into_iter().find(|folder| folder.exists())?).ok()?;
    // What is there already is replaced only at the end, so it is not counted as free.
    status.f_bavail.checked_mul(status.f_frsize)
}

/// Bytes that an ordinary user may still write where `path` is to be; this system does not say.
#[cfg(not(unix))]
#[must_use]
pub fn free_space(_: &Path) -> Option<u64> {
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
