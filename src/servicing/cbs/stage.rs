//! Staging: what a source brings goes into the image's own store, where installing finds it.
//!
//! Mums and catalogs go to `servicing\Packages`, catalogs to `WinSxS\Catalogs` and CatRoot too, manifests (plain, which Windows accepts) to
//! `WinSxS\Manifests`, files to `WinSxS\<key form>` with the attributes, security and time they shall have: their other names are hard links.

use sha2::{Digest as _, Sha256};

use crate::{
    base::{digest::to_hex, filetime::FileTime, name::Name},
    format::cbs::Manifest,
    image::{Image, ImageError, NewNode},
    servicing::ServicingError,
};

use super::{
    effects, layout, marks,
    prepared::{PreparedManifest, PreparedPackage},
    security::Descriptors,
    world::{SourceFolder, World},
};

/// A component, or a part of one, that goes into the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NewComponent {
    pub key_form: String,
    /// Folder of the source.
    pub folder: usize,
    /// The image has its manifest, and lacks files.
    pub files_only: bool,
}

/// Puts a package's mum and catalog into the image, under the id that it is known by.
pub(super) fn package(
    id: &str,
    package: &PreparedPackage,
    image: &mut Image,
) -> Result<(), ImageError> {
    let dated = |time: Option<FileTime>| NewNode { last_write: time, ..NewNode::default() };
    let text = package.mum.clone().into_bytes();
    image.put_bytes(&layout::mum(image, id), text, &dated(package.time))?;
    let Some(catalog) = &package.catalog else { return Ok(()) };
    let sha256 = catalog_name(catalog);
    let places = [
        layout::mum_catalog(image, id),
        layout::catroot(image, id),
        layout::catalog(image, &sha256),
    ];
    for place in places {
        image.put_bytes(&place, catalog.clone(), &dated(package.time))?;
    }
    Ok(())
}

/// The name of a catalog in the store: its SHA-256.
pub(super) fn catalog_name(bytes: &[u8]) -> String {
    to_hex(&Sha256::digest(bytes))
}

/// Puts a component into the store.
pub(super) fn component(new: &NewComponent, world: &mut World<'_>) -> Result<(), ServicingError> {
    let World { image, folders, operation, name, .. } = world;
    let Some(folder) = folders.get(new.folder) else { return Ok(()) };
    let Some((place, manifest)) = folder.manifests.get(new.key_form.as_str()) else {
        return Ok(());
    };
    let prepared = &folder.prepared.manifests[*place];
    write(new, prepared, manifest, folder, image)
        .map_err(|error| ServicingError::image(operation, name, error))
}

fn write(
    new: &NewComponent,
    prepared: &PreparedManifest,
    manifest: &Manifest,
    folder: &SourceFolder<'_>,
    image: &mut Image,
) -> Result<(), ImageError> {
    let key_form = new.key_form.as_str();
    if !new.files_only {
        let options = NewNode { last_write: prepared.time, ..NewNode::default() };
        let bytes = prepared.text.clone().into_bytes();
        let sha256 = Sha256::digest(&bytes).into();
        image.put_bytes(&layout::manifest(image, key_form), bytes, &options)?;
        marks::write_component(key_form, manifest, sha256, image)?;
    }
    if manifest.files.is_empty() {
        return Ok(());
    }
    let descriptors = Descriptors::of(manifest);
    let root = layout::component(image, key_form);
    image.make_directory(&root, &NewNode::default())?;
    let creator = image.security_at(&root.join(Name::from("file")), false)?;
    let payload = folder.payload.get(key_form);
    for file in &manifest.files {
        let Ok(names) = effects::stored_names(file) else { continue };
        let found = payload.and_then(|payload| payload.get(&names.join("\\").to_lowercase()));
        let Some(found) = found else { continue };
        // What of a file is not understood does not matter while it is only staged.
        let (attributes, security) = effects::file_options(file, &descriptors).unwrap_or_default();
        let complete = |own: crate::format::security::SecurityDescriptor| {
            own.completed_by(creator.clone().unwrap_or_default()).to_bytes()
        };
        let options =
            NewNode { attributes, security: security.map(complete), last_write: found.time };
        let path =
            names.iter().fold(root.clone(), |path, name| path.join(Name::from(name.as_str())));
        image.put_file(&path, found.content, &options)?;
    }
    if new.files_only {
        marks::write_files(key_form, manifest, image)?;
    }
    Ok(())
}

/// Files of a component that neither the image nor (for a component that comes with it) the source has.
pub(super) fn missing_files(
    key_form: &str,
    manifest: &Manifest,
    folder: Option<&SourceFolder<'_>>,
    image: &Image,
) -> Vec<String> {
    let root = layout::component(image, key_form);
    let in_image = image.tree().lookup(&root).is_some();
    let payload = folder.and_then(|folder| folder.payload.get(key_form));
    let is_missing = |names: &Vec<String>| {
        let in_source =
            payload.is_some_and(|payload| payload.contains_key(&names.join("\\").to_lowercase()));
        if in_source {
            return false;
        }
        let place =
            || names.iter().fold(root.clone(), |path, name| path.join(Name::from(name.as_str())));
        !in_image || image.tree().lookup(&place()).is_none()
    };
    manifest
        .files
        .iter()
        .filter_map(|file| effects::stored_names(file).ok())
        .filter(is_missing)
        .map(|names| names.join("\\"))
        .collect()
}
