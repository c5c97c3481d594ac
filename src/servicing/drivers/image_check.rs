//! What a package needs of the image, asked before anything is touched: databases, hives, places for its files, and the files of Windows it builds on.

use crate::{
    base::{name::Name, ntpath::NtPath},
    format::inf::{Destination, FileCopy, InfArchitecture, RegistryLine},
    image::{HiveId, Image, ImageError},
    servicing::error::Problem,
};

use super::{
    candidate::{Candidate, architecture_name},
    database::DatabaseHive,
    place, reflect, windows7,
};

/// What the image lacks for `candidate` to be installed natively, and what stands in its way.
pub(super) fn lacking(
    candidate: &Candidate<'_>,
    image: &mut Image,
) -> Result<Vec<Problem>, ImageError> {
    let old = windows7::is_old(candidate.target.version);
    for hive in [DatabaseHive::System, candidate.hive()] {
        let path = hive.root();
        if !old && (!image.has_hive(path.hive()) || !image.registry_key_exists(&path)?) {
            let cause = format!("the image has no {}, where its drivers are kept", path.text());
            let help = "this image cannot take drivers; name a complete Windows or Windows PE image in [base]";
            return Ok(vec![Problem::error(&candidate.shown, cause, help)]);
        }
    }
    let mut problems = Vec::new();
    let mut stands = |cause: String| {
        let help = "the package cannot be installed natively into this image; choose another version of it, or leave it out";
        problems.push(Problem::error(&candidate.shown, cause, help));
    };
    if (old || candidate.is_reflected()) && !image.has_hive(HiveId::Software) {
        stands("the image has no SOFTWARE hive, where the owners of its files are kept".to_owned());
    }
    if !candidate.is_reflected() {
        return Ok(problems);
    }
    for (path, line) in &candidate.inbox {
        let found =
            candidate.model.installs.iter().flat_map(|install| &install.copies).any(|copy| {
                copy.from.eq_ignore_ascii_case(path) && is_there(candidate, copy, image)
            });
        if !found {
            stands(format!(
                "line {line} names `{path}`, which neither the source nor the image has where it belongs"
            ));
        }
    }
    for install in &candidate.model.installs {
        for (inf, copy) in &install.included_copies {
            let there = is_there(candidate, copy, image)
                || included_file(image, inf, &copy.from, candidate.target.architecture).is_some();
            if !there {
                stands(format!(
                    "it builds on {inf} and its `{}`, which the image does not have",
                    copy.from
                ));
            }
        }
        for copy in &install.copies {
            let architecture = candidate.target.architecture;
            let Some(path) = place::path(image, &copy.to, &candidate.package, architecture) else {
                continue;
            };
            let folder =
                image.tree().lookup(&path).is_some_and(|id| image.tree().inode(id).is_directory());
            if folder {
                stands(format!("`{}` goes to {path}, where the image has a folder", copy.from));
            } else if let Err(error) = image.check_place(&path) {
                stands(format!("`{}` goes to {path}: {error}", copy.from));
            }
        }
        for service in install.services.iter().filter(|service| service.inf.is_none()) {
            let Some(binary) = &service.binary else { continue };
            if service.service_type != 0 && !will_be_there(candidate, binary, image) {
                stands(format!(
                    "the service {} runs `{}`, which neither the package nor the image has there",
                    service.name, binary.path
                ));
            }
        }
        let services = install.services.iter().flat_map(|service| {
            service.registry.iter().chain(service.event_log.iter().flat_map(|(_, lines)| lines))
        });
        let lines = install
            .driver_registry
            .iter()
            .chain(&install.device_registry)
            .chain(install.interface_registry.iter().flatten())
            .chain(services);
        for line in lines {
            if let Some(hive) = missing_hive(line, image) {
                stands(format!(
                    "line {} writes to {}, which the image does not have",
                    line.line,
                    hive.registry_root()
                ));
            }
        }
    }
    problems.sort_by(|left, right| left.cause.cmp(&right.cause));
    problems.dedup();
    Ok(problems)
}

fn missing_hive(line: &RegistryLine, image: &Image) -> Option<HiveId> {
    let hive = reflect::absolute(line)?.hive();
    (!image.has_hive(hive)).then_some(hive)
}

/// True when the program of a service is in the image, or the package brings it to where the service looks.
fn will_be_there(candidate: &Candidate<'_>, binary: &Destination, image: &Image) -> bool {
    let architecture = candidate.target.architecture;
    let place = |to: &Destination| {
        place::path(image, to, &candidate.package, architecture)
            .map(|path| path.to_string().to_uppercase())
    };
    let wanted = place(binary);
    let store = binary.dirid == place::STORE && candidate.file(&binary.path).is_some();
    let installs = &candidate.model.installs;
    let copies = installs.iter().flat_map(|install| &install.copies);
    let included =
        installs.iter().flat_map(|install| &install.included_copies).map(|(_, copy)| copy);
    store
        || copies.chain(included).any(|copy| place(&copy.to) == wanted)
        || place::path(image, binary, &candidate.package, architecture)
            .is_some_and(|path| image.tree().lookup(&path).is_some())
}

/// True when the image has the file of the copy in its place.
pub(super) fn is_there(candidate: &Candidate<'_>, copy: &FileCopy, image: &Image) -> bool {
    let architecture = candidate.target.architecture;
    let path = place::path(image, &copy.to, &candidate.package, architecture);
    path.is_some_and(|path| image.tree().lookup(&path).is_some())
}

/// The file `from` of an inbox INF, in its folder of the store.
pub(super) fn included_file(
    image: &Image,
    inf: &str,
    from: &str,
    architecture: InfArchitecture,
) -> Option<NtPath> {
    let tree = image.tree();
    let store = place::below_windows(image, &["System32", "DriverStore", "FileRepository"]);
    let start = format!("{inf}_{}_", architecture_name(architecture));
    let folder = tree.lookup(&store)?;
    let names = tree.sorted_children(folder).iter().map(|id| tree.node(*id).name.clone());
    let below = place::names(from)?;
    names
        .filter(|name| name.to_text().is_some_and(|text| text.to_lowercase().starts_with(&start)))
        .map(|name: Name| below.iter().fold(store.join(name), |path, name| path.join(name.clone())))
        .find(|path| tree.lookup(path).is_some())
}
