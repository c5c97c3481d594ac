//! A package taken out again, with everything that is its own.
//!
//! Services and files outside the store have owners; what another package owns too stays. Values that the package wrote over those of another
//! owner are not brought back: Windows has nothing to bring them back from either, and configures the device anew when it starts.

use crate::{
    base::name::Name,
    format::hive::Value,
    image::{HiveId, Image, ImageError, RegistryPath},
    servicing::error::{Problem, ServicingError},
};

use super::{
    NAME,
    inventory::{self, InstalledDriver},
    oem, place,
    reflect::{self, LOCKDOWN, SERVICES, parse},
    spec::DriverChoice,
};

/// The packages that `choice` names.
pub(super) fn chosen(
    choice: &DriverChoice,
    image: &mut Image,
) -> Result<Vec<InstalledDriver>, ServicingError> {
    let mut installed = inventory::list(image)?;
    installed.retain(|driver| {
        !driver.inbox
            && match choice {
                DriverChoice::Published(inf) => driver.published.eq_ignore_ascii_case(inf),
                DriverChoice::Original { provider, inf } => {
                    driver
                        .provider
                        .as_ref()
                        .is_some_and(|known| known.eq_ignore_ascii_case(provider))
                        && driver.original.eq_ignore_ascii_case(inf)
                }
            }
    });
    Ok(installed)
}

/// Why nothing is to be removed: a warning, as the image is as it shall be.
pub(super) fn nothing(choice: &DriverChoice) -> Problem {
    Problem::warning(
        choice.text(),
        "the image has no such third-party driver package, so nothing is removed",
        "`transom inspect image --drivers` lists what it has",
    )
}

/// Removes what `choice` names.
pub(super) fn remove(choice: &DriverChoice, image: &mut Image) -> Result<(), ServicingError> {
    for driver in chosen(choice, image)? {
        package(&driver, image)
            .map_err(|error| ServicingError::image(NAME, &driver.published, error))?;
    }
    Ok(())
}

fn package(driver: &InstalledDriver, image: &mut Image) -> Result<(), ImageError> {
    let published = driver.published.as_str();
    let root = driver.hive.root();
    let package = Name::from(driver.package.as_str());
    image.delete_key(&root.join(&"DriverPackages".into()).join(&package))?;
    let store = place::store(image, &driver.package);
    image.remove(&store)?;
    image.delete_key(&root.join(&"DriverInfFiles".into()).join(&Name::from(published)))?;
    ids(&root.join(&"DeviceIds".into()), published, image)?;
    lockdown(published, image)?;
    services(published, image)?;
    oem::mark(image, published, false)?;
    let precompiled = format!("{}.PNF", published.strip_suffix(".inf").unwrap_or(published));
    for path in [
        place::published(image, published),
        place::published(image, &precompiled),
        place::catalog(image, published),
    ] {
        image.remove(&path)?;
    }
    Ok(())
}

/// Takes the values named `published` out of the tree of device IDs, and keys that are empty then. Returns nothing; keys nest as deep as the hive's
/// reader allows, and are walked without recursion.
fn ids(root: &RegistryPath, published: &str, image: &mut Image) -> Result<(), ImageError> {
    let name = Name::from(published);
    let mut all = vec![root.clone()];
    let mut at = 0;
    while at < all.len() {
        let path = all[at].clone();
        for below in image.registry_subkeys(&path)? {
            all.push(path.join(&below));
        }
        at += 1;
    }
    // A key comes after those above it, so that going backwards sees what is below first.
    let mut emptied = std::collections::BTreeSet::new();
    for path in all.iter().rev() {
        let had = image.registry_value(path, &name)?.is_some();
        if had {
            image.delete_value(path, &name)?;
        }
        let below_went = emptied.remove(path.text());
        if (had || below_went)
            && path.text() != root.text()
            && image.registry_values(path)?.is_empty()
            && image.registry_subkeys(path)?.is_empty()
        {
            image.delete_key(path)?;
            let above = path.text().rsplit_once('\\').map_or("", |(above, _)| above);
            emptied.insert(above.to_owned());
        }
    }
    Ok(())
}

/// Gives up the files outside the store; those that nobody else owns go.
fn lockdown(published: &str, image: &mut Image) -> Result<(), ImageError> {
    let root = parse(LOCKDOWN);
    if !image.has_hive(HiveId::Software) || !image.registry_key_exists(&root)? {
        return Ok(());
    }
    for name in image.registry_subkeys(&root)? {
        let path = root.join(&name);
        if disown(&path, published, image)? {
            image.delete_key(&path)?;
            let text = name.to_text().unwrap_or_default();
            if let Some(below) = text.strip_prefix("%SystemRoot%/") {
                let names: Vec<&str> = below.split('/').collect();
                let file = place::below_windows(image, &names);
                image.remove(&file)?;
            }
        }
    }
    Ok(())
}

/// Gives up the services; those that nobody else owns go.
fn services(published: &str, image: &mut Image) -> Result<(), ImageError> {
    let root = parse(SERVICES);
    for name in image.registry_subkeys(&root)? {
        let path = root.join(&name);
        if disown(&path, published, image)? {
            image.delete_key(&path)?;
            let log = root.join(&"EventLog".into()).join(&"System".into()).join(&name);
            image.delete_key(&log)?;
        }
    }
    Ok(())
}

/// Takes `published` out of the key's `Owners`; true when it was the only one.
fn disown(path: &RegistryPath, published: &str, image: &mut Image) -> Result<bool, ImageError> {
    let owners = reflect::owners(path, image)?;
    let others: Vec<String> =
        owners.iter().filter(|owner| !owner.eq_ignore_ascii_case(published)).cloned().collect();
    if others.len() == owners.len() {
        return Ok(false);
    }
    if others.is_empty() {
        return Ok(true);
    }
    image.set_value(path, &Value::multi_sz("Owners", &others))?;
    Ok(false)
}
