//! Published names: which `oemN.inf` are taken, which is the next.
//!
//! Windows takes the lowest number that is free, so gaps are used again.

use crate::{
    base::name::Name,
    format::hive::Value,
    image::{Image, ImageError, RegistryPath},
};

use super::{
    database::{DatabaseHive, OemInfMap, oem_number},
    place,
};

const MAP: &str = "OemInfMap";

/// The lowest free name: not in the map, not in either database, and no file has it.
pub(super) fn next(image: &mut Image) -> Result<String, ImageError> {
    let taken = map(image)?;
    let mut number = 0_u32;
    loop {
        let name = published(number);
        let file = image.tree().lookup(&place::published(image, &name)).is_some();
        if !taken.0.contains(&number) && !file && !is_registered(image, &name)? {
            return Ok(name);
        }
        number += 1;
    }
}

fn published(number: u32) -> String {
    format!("oem{number}.inf")
}

fn is_registered(image: &mut Image, published: &str) -> Result<bool, ImageError> {
    for hive in DatabaseHive::ALL {
        let path = hive.root().join(&"DriverInfFiles".into()).join(&Name::from(published));
        if image.has_hive(path.hive()) && image.registry_key_exists(&path)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Marks a name as taken or free.
pub(super) fn mark(image: &mut Image, published: &str, taken: bool) -> Result<(), ImageError> {
    let Some(number) = oem_number(published) else { return Ok(()) };
    let mut map = map(image)?;
    let changed = if taken { map.0.insert(number) } else { map.0.remove(&number) };
    if !changed {
        return Ok(());
    }
    if map.0.is_empty() {
        return image.delete_value(&root(), &MAP.into());
    }
    image.set_value(&root(), &Value::binary(MAP, map.encode()))
}

fn root() -> RegistryPath {
    DatabaseHive::System.root()
}

fn map(image: &mut Image) -> Result<OemInfMap, ImageError> {
    let value = image.registry_value(&root(), &MAP.into())?;
    Ok(OemInfMap::decode(&value.map(|value| value.data).unwrap_or_default()))
}
