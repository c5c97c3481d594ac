//! A package put into an image: store, published INF, catalog, database; or as Windows 7 has it; or left to the first boot.

use crate::{
    base::name::Name,
    format::catalog::Trust,
    image::{Image, ImageError, NewNode},
};

use super::{
    candidate::Candidate,
    database::{self, NewPackage, PackageRecord},
    oem, place,
    prepare::PreparedDriver,
    reflect, windows7,
};

/// What became of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It was installed under this name.
    Installed(String),
    /// It was there already, under this name.
    There(String),
    /// Its INF is there already under this name, with another content of this file.
    Other(String, String),
}

/// Installs the package natively.
pub(super) fn install(candidate: &Candidate<'_>, image: &mut Image) -> Result<Outcome, ImageError> {
    if windows7::is_old(candidate.target.version) {
        return windows7::install(candidate, image).map(|()| Outcome::Installed(String::new()));
    }
    if let Some(published) = there(candidate, image)? {
        if let Some(other) = other_content(candidate, &published, image)? {
            return Ok(Outcome::Other(published, other));
        }
        tracing::info!("{}: already in the image as {published}", candidate.shown);
        return Ok(Outcome::There(published));
    }
    let published = oem::next(image)?;
    tracing::info!("{}: {published}, {}", candidate.shown, candidate.package);
    files(candidate, &published, image)?;
    oem::mark(image, &published, true)?;
    register(candidate, &published, image)?;
    if candidate.boot_critical {
        reflect::reflect(candidate, &published, image)?;
    }
    Ok(Outcome::Installed(published))
}

/// The name under which the same package is in the image: the same INF under the same name, as Windows compares (`facts/drivers.md` B).
fn there(candidate: &Candidate<'_>, image: &mut Image) -> Result<Option<String>, ImageError> {
    let Some(inf) = candidate.inf_file() else { return Ok(None) };
    let mut same: Vec<(u32, String)> = Vec::new();
    let tree = image.tree();
    if let Some(folder) = tree.lookup(&place::below_windows(image, &["INF"])) {
        for &id in tree.children(folder) {
            let name = tree.node(id).name.to_text().unwrap_or_default().to_lowercase();
            let Some(number) = database::oem_number(&name) else { continue };
            let data = tree.inode(id).data();
            if data.size == inf.content.size && data.sha1 == inf.content.sha1 {
                same.push((number, name));
            }
        }
    }
    same.sort();
    for (_, published) in same {
        let database = candidate.hive().root();
        let entry = database.join(&"DriverInfFiles".into()).join(&Name::from(published.as_str()));
        let Some(active) = image.registry_value(&entry, &"Active".into())? else { continue };
        let Some(package) = active.as_text() else { continue };
        let record = database.join(&"DriverPackages".into()).join(&Name::from(package.as_str()));
        let name =
            image.registry_value(&record, &"InfName".into())?.and_then(|value| value.as_text());
        if name.is_none_or(|name| name.eq_ignore_ascii_case(&candidate.inf_name)) {
            return Ok(Some(published));
        }
    }
    Ok(None)
}

/// A file of the package that differs from the one in the store. Windows tells packages by their INF alone.
fn other_content(
    candidate: &Candidate<'_>,
    published: &str,
    image: &mut Image,
) -> Result<Option<String>, ImageError> {
    let entry = candidate.hive().root().join(&"DriverInfFiles".into()).join(&Name::from(published));
    let active = image.registry_value(&entry, &"Active".into())?;
    let Some(package) = active.and_then(|value| value.as_text()) else { return Ok(None) };
    let store = place::store(image, &package);
    for (path, file) in candidate.files() {
        let Some(names) = place::names(path) else { continue };
        let place = names.into_iter().fold(store.clone(), |path, name| path.join(name));
        let Some(id) = image.tree().lookup(&place) else { continue };
        let data = image.tree().inode(id).data();
        let same =
            data.size == file.content.size && (data.size == 0 || data.sha1 == file.content.sha1);
        if !same {
            return Ok(Some(path.to_owned()));
        }
    }
    Ok(None)
}

fn files(candidate: &Candidate<'_>, published: &str, image: &mut Image) -> Result<(), ImageError> {
    let store = place::store(image, &candidate.package);
    for (path, file) in candidate.files() {
        let Some(names) = place::names(path) else { continue };
        let path = names.into_iter().fold(store.clone(), |path, name| path.join(name));
        image.put_file(&path, file.content, &NewNode::default())?;
    }
    if let Some(inf) = candidate.inf_file() {
        image.put_file(&place::published(image, published), inf.content, &NewNode::default())?;
    }
    let catalog = candidate.model.version.catalog.as_ref().and_then(|name| candidate.file(name));
    if let Some(catalog) = catalog {
        image.put_file(&place::catalog(image, published), catalog.content, &NewNode::default())?;
    }
    Ok(())
}

fn register(
    candidate: &Candidate<'_>,
    published: &str,
    image: &mut Image,
) -> Result<(), ImageError> {
    let record = PackageRecord::from_inf(&candidate.model, &new_package(candidate, published));
    let root = candidate.hive().root();
    database::write(image, &root, &database::additions(&record, &[]))?;
    for id in database::device_ids(&candidate.model) {
        let start = root.join(&"DeviceIds".into());
        let path = id.path().iter().fold(start, |path, name| path.join(name));
        image.set_value(&path, &id.value(published))?;
    }
    Ok(())
}

fn new_package(candidate: &Candidate<'_>, published: &str) -> NewPackage {
    let version = &candidate.model.version;
    // A catalog that does not vouch for the package says nothing of it.
    let vouching = match candidate.trust {
        Trust::Whql | Trust::Attested | Trust::Authenticode => candidate.catalog,
        Trust::Test | Trust::Unsigned => None,
    };
    NewPackage {
        package: candidate.package.clone(),
        published: published.to_owned(),
        inf_name: candidate.inf_name.clone(),
        oem_path: NewPackage::store_path(&candidate.package),
        architecture: candidate.target.architecture,
        signer_name: vouching.map(|catalog| catalog.signer.clone()),
        signer_score: candidate.trust.signer_score(),
        // There is no clock here: the driver's own date is the one that two builds agree on.
        import_date: database::midnight(version.date),
        submission_id: vouching.and_then(|catalog| catalog.submission_id.clone()),
        file_size: candidate.size(),
        boot_critical: candidate.boot_critical,
    }
}

/// Has Windows install the package at the first boot.
pub(super) fn defer(
    name: &str,
    candidate: &Candidate<'_>,
    prepared: &PreparedDriver,
    image: &mut Image,
) -> Result<(), ImageError> {
    let folder = super::first_boot::folder(image, name, &candidate.package);
    for (path, file) in candidate.files() {
        let Some(names) = place::names(path) else { continue };
        let path = names.into_iter().fold(folder.clone(), |path, name| path.join(name));
        image.put_file(&path, file.content, &NewNode::default())?;
    }
    super::first_boot::add(image, name, prepared.first_boot)
}
