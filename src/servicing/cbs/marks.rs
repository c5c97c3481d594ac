//! The keys of the COMPONENTS hive: which components and deployments are there, and which packages hold them.
//!
//! ```text
//! CanonicalData\Catalogs\<SHA-256 of the catalog>     c!<deployment>: deployments it vouches for
//! CanonicalData\Deployments\<short key form>          appid, CatalogThumbprint, p!CBS_<package>.<update>, s!CBS_..., i!CBS_...
//! DerivedData\Components\<key form>                   identity, S256H, CF, c!<deployment>, f!<file>
//! ```
//!
//! `facts/cbs-registry.md`, section 4. `p!` pins, `s!` says staged, `i!` installed; each holds `i32 length | i32 flags | text`.

use crate::{
    base::name::Name,
    format::{
        cbs::{Identity, Manifest},
        hive::{Value, ValueType},
    },
    image::{Image, ImageError, NewNode, RegistryPath},
};

use super::{flags, layout, stage, world::starts_with};

/// A deployment in a step.
#[derive(Debug, Clone)]
pub(super) struct DeploymentChange {
    pub identity: Identity,
    pub key_form: String,
    /// The package and the update that hold it.
    pub package: String,
    pub update: String,
    /// What shall be.
    pub goal: Mark,
    /// Its components, by key form.
    pub components: Vec<String>,
    /// The package of the source (folder, place) whose catalog vouches for it, when it comes with this step.
    pub catalog: Option<(usize, usize)>,
}

/// How a package holds a deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Mark {
    /// Not at all.
    Gone,
    /// `p!` and `s!`.
    Staged,
    /// `i!` too.
    Installed,
}

/// The key of a component.
pub(super) fn component_key(key_form: &str) -> RegistryPath {
    layout::components().join(&Name::from(key_form))
}

/// Writes the key of a component whose manifest and payload were put in place.
pub(super) fn write_component(
    key_form: &str,
    manifest: &Manifest,
    sha256: [u8; 32],
    image: &mut Image,
) -> Result<(), ImageError> {
    let key = component_key(key_form);
    let text = manifest.identity.identity_text();
    image.set_value(&key, &Value::binary("identity", text.into_bytes()))?;
    image.set_value(&key, &Value::binary("S256H", sha256))?;
    image.set_value(&key, &Value::dword("CF", flags::COMPONENT_FLAGS))?;
    write_files(key_form, manifest, image)
}

/// Marks the files of a component as staged.
pub(super) fn write_files(
    key_form: &str,
    manifest: &Manifest,
    image: &mut Image,
) -> Result<(), ImageError> {
    let key = component_key(key_form);
    for file in &manifest.files {
        let name = format!("f!{}", file.stored_name().to_lowercase());
        image.set_value(&key, &Value::dword(name.as_str(), flags::STAGED_FILE))?;
    }
    Ok(())
}

/// Takes the marks of staged files away.
pub(super) fn remove_files(key_form: &str, image: &mut Image) -> Result<(), ImageError> {
    let key = component_key(key_form);
    for value in image.registry_values(&key)? {
        if starts_with(&value.name, "f!") {
            image.delete_value(&key, &value.name)?;
        }
    }
    Ok(())
}

/// Brings the marks of a deployment to what shall be; `catalog` vouches for it when it is new. True when nobody holds it any more and its key is gone.
pub(super) fn write_deployment(
    change: &DeploymentChange,
    catalog: Option<&[u8]>,
    image: &mut Image,
) -> Result<bool, ImageError> {
    let short = change.identity.short_key_form();
    let key = layout::deployments().join(&Name::from(short.as_str()));
    let mark = Name::from(format!("c!{short}").as_str());
    let reference = layout::written_reference(&change.package, &change.update);
    let wanted = [("p!", Mark::Staged), ("s!", Mark::Staged), ("i!", Mark::Installed)];
    for (prefix, least) in wanted {
        let name = Name::from(format!("{prefix}{reference}").as_str());
        if change.goal >= least {
            let text = format!("{}.{}", change.package, change.update);
            image.set_value(&key, &Value::binary(name, reference_data(&text)))?;
        } else {
            image.delete_value(&key, &name)?;
        }
    }
    if change.goal > Mark::Gone {
        let identity = change.identity.identity_text();
        image.set_value(&key, &Value::binary("appid", identity.into_bytes()))?;
        if let Some(bytes) = catalog {
            let name = stage::catalog_name(bytes);
            let place = layout::catalog(image, &name);
            if image.tree().lookup(&place).is_none() {
                image.put_bytes(&place, bytes.to_vec(), &NewNode::default())?;
            }
            image.set_value(&key, &Value::sz("CatalogThumbprint", &name))?;
            let catalog = layout::catalogs().join(&Name::from(name.as_str()));
            image.set_value(&catalog, &Value::new(mark.clone(), ValueType::BINARY, []))?;
        }
        for component in change.components.iter().chain([&change.key_form]) {
            let value = Value::new(mark.clone(), ValueType::BINARY, []);
            image.set_value(&component_key(component), &value)?;
        }
        return Ok(false);
    }
    let held = image.registry_values(&key)?.iter().any(|value| starts_with(&value.name, "p!"));
    if held {
        return Ok(false);
    }
    let thumbprint = image.registry_value(&key, &"CatalogThumbprint".into())?;
    if let Some(catalog) = thumbprint.and_then(|value| value.as_text()) {
        let place = layout::catalogs().join(&Name::from(catalog.as_str()));
        image.delete_value(&place, &mark)?;
        let used =
            image.registry_values(&place)?.iter().any(|value| starts_with(&value.name, "c!"));
        if !used {
            image.delete_key(&place)?;
            image.remove(&layout::catalog(image, &catalog))?;
        }
    }
    image.delete_key(&key)?;
    for component in change.components.iter().chain([&change.key_form]) {
        image.delete_value(&component_key(component), &mark)?;
    }
    Ok(true)
}

/// Takes a component out of the store when no deployment has it any more. True when it is gone.
pub(super) fn drop_component(key_form: &str, image: &mut Image) -> Result<bool, ImageError> {
    let key = component_key(key_form);
    if image.registry_values(&key)?.iter().any(|value| starts_with(&value.name, "c!")) {
        return Ok(false);
    }
    image.delete_key(&key)?;
    image.remove(&layout::manifest(image, key_form))?;
    image.remove(&layout::component(image, key_form))?;
    Ok(true)
}

/// Drops the index that Windows makes anew from the rest.
pub(super) fn drop_index(image: &mut Image) -> Result<(), ImageError> {
    let index = layout::versioned_index();
    for name in image.registry_subkeys(&index)? {
        image.delete_key(&index.join(&name))?;
    }
    Ok(())
}

/// The data of `p!`, `s!` and `i!`.
pub(super) fn reference_data(text: &str) -> Vec<u8> {
    let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
    let mut data = Vec::with_capacity(8 + text.len());
    data.extend(length.to_le_bytes());
    data.extend(flags::REFERENCE.to_le_bytes());
    data.extend(text.as_bytes());
    data
}
