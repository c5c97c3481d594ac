//! Copying what a key lacks from the same key of another image.
//!
//! Not all that another image says is true of this one: who owns a package, which features are on, which catalogs there are, and who holds a deployment is
//! each image's own matter.

use crate::{
    format::{cbs::Identity, hive::Value},
    image::{Image, ImageError, RegistryPath},
};

use super::{layout, store::PackageState};

/// Keys below a key that is copied: `Packages\<id>` has `Owners` and `Updates`.
const DEEPEST: usize = 2;

/// Copies the values that are missing, and the keys below; true when there was something. `computed` is what follows from the image itself: it wins where
/// the other image says something else.
pub(super) fn key(
    image: &mut Image,
    source: &mut Image,
    key: &RegistryPath,
    computed: &[(RegistryPath, Value)],
) -> Result<bool, ImageError> {
    let known = Known { computed };
    known.copy(image, source, key, 0)
}

struct Known<'a> {
    computed: &'a [(RegistryPath, Value)],
}

impl Known<'_> {
    fn copy(
        &self,
        image: &mut Image,
        source: &mut Image,
        key: &RegistryPath,
        depth: usize,
    ) -> Result<bool, ImageError> {
        // A source whose hive is damaged is none.
        let (Ok(values), Ok(names)) = (source.registry_values(key), source.registry_subkeys(key))
        else {
            return Ok(false);
        };
        let mut changed = false;
        for value in values {
            if image.registry_value(key, &value.name)?.is_none()
                && self.is_true(image, key, &value)?
            {
                image.set_value(key, &value)?;
                changed = true;
            }
        }
        if depth < DEEPEST {
            for name in names {
                changed |= self.copy(image, source, &key.join(&name), depth + 1)?;
            }
        }
        Ok(changed)
    }

    /// Whether a value of another image is true of this one.
    fn is_true(
        &self,
        image: &mut Image,
        key: &RegistryPath,
        value: &Value,
    ) -> Result<bool, ImageError> {
        let wanted = self.computed.iter().find(|(place, wanted)| {
            place == key && wanted.name.to_upcase() == value.name.to_upcase()
        });
        let name = value.name.to_string();
        // Marks: only which files are staged follows from the component alone.
        if name.get(1..2) == Some("!") {
            return Ok(name.starts_with("f!") && wanted.is_some());
        }
        let is_known = |image: &mut Image, id: &str| {
            image.registry_key_exists(&layout::cbs("Packages").join(&id.into()))
        };
        let below = |above: usize, other: &str| {
            key.keys().iter().rev().nth(above).is_some_and(|name| name.is(other))
        };
        if value.name.is("CatalogThumbprint") {
            let catalog = value.as_text().unwrap_or_default();
            let path = layout::catalog(image, &catalog);
            return Ok(image.tree().lookup(&path).is_some());
        }
        if below(0, "Owners") {
            return is_known(image, &name);
        }
        if below(0, "Updates") {
            let installed = |value: &Value| {
                value.as_dword().map(PackageState::of_number).map(PackageState::is_installed)
            };
            return Ok(wanted.is_none_or(|(_, wanted)| installed(wanted) == installed(value)));
        }
        if below(1, "PackageIndex") {
            let id = if name.is_empty() { value.as_text().unwrap_or_default() } else { name };
            return Ok(Identity::of_package_id(&id).is_none() || is_known(image, &id)?);
        }
        Ok(true)
    }
}
