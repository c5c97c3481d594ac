//! A package taken out again, with everything that is its own.
//!
//! Services and files outside the store have owners; what another package owns too stays. When the package that goes was the last to write them, they
//! hold its values and point into its folder: that removal is refused, because what the other owner had is not known any more.

use crate::{
    base::name::Name,
    format::{
        hive::Value,
        inf::{Inf, resolve},
    },
    image::{HiveId, Image, ImageError, RegistryPath},
    servicing::error::{Problem, ServicingError},
};

use super::{
    NAME,
    database::{DatabaseHive, oem_number},
    inventory::{self, InstalledDriver},
    oem, place,
    reflect::{self, LOCKDOWN, SERVICES, parse},
    spec::DriverChoice,
    target::{self, InboxCache, InboxInfs},
    windows7,
};

/// The packages that `choice` names.
pub(super) fn chosen(
    choice: &DriverChoice,
    image: &mut Image,
) -> Result<Vec<InstalledDriver>, ServicingError> {
    let mut installed = inventory::list(image)?;
    installed.retain(|driver| {
        !driver.inbox
            && oem_number(&driver.published).is_some()
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

/// What stands against the removal, and what is odd about it.
pub(super) fn problems(
    choice: &DriverChoice,
    image: &mut Image,
) -> Result<Vec<Problem>, ServicingError> {
    if target::target(&image.facts()).is_some_and(|target| windows7::is_old(target.version)) {
        return Ok(vec![Problem::error(
            choice.text(),
            "Windows 7 keeps no list of its drivers that can be read",
            "remove its files and its service with [[files]] and [registry]",
        )]);
    }
    let chosen = chosen(choice, image)?;
    if chosen.is_empty() {
        return Ok(vec![Problem::warning(
            choice.text(),
            "the image has no such third-party driver package, so nothing is removed",
            "`transom inspect image --drivers` lists what it has",
        )]);
    }
    let names: Vec<&str> = chosen.iter().map(|driver| driver.published.as_str()).collect();
    let failed = |error: ImageError| ServicingError::image(NAME, &choice.text(), error);
    let shared = shared(&names, image).map_err(failed)?;
    Ok(shared
        .into_iter()
        .map(|(what, owner, other)| {
            Problem::error(
                &owner,
                format!("{what} is shared with {other}, whose own version of it cannot be brought back"),
                "remove both (by `provider` and `inf`, when they are versions of one driver), then add the one that shall stay",
            )
        })
        .collect())
}

/// Services and files that packages which stay had before those that go: the thing, who goes, who stays.
fn shared(going: &[&str], image: &mut Image) -> Result<Vec<(String, String, String)>, ImageError> {
    let goes = |owner: &String| going.iter().any(|name| name.eq_ignore_ascii_case(owner));
    let mut found = Vec::new();
    for root in [parse(SERVICES), parse(LOCKDOWN)] {
        if !image.has_hive(root.hive()) || !image.registry_key_exists(&root)? {
            continue;
        }
        for name in image.registry_subkeys(&root)? {
            let owners = reflect::owners(&root.join(&name), image)?;
            let Some(first) = owners.first().filter(|first| goes(first)) else { continue };
            if let Some(stays) = owners.iter().find(|owner| !goes(owner)) {
                found.push((name.to_string(), first.clone(), stays.clone()));
            }
        }
    }
    Ok(found)
}

/// Removes what `choice` names.
pub(super) fn remove(choice: &DriverChoice, image: &mut Image) -> Result<(), ServicingError> {
    if let Some(problem) = problems(choice, image)?.into_iter().find(|problem| !problem.warning) {
        return Err(ServicingError::refused(NAME, problem));
    }
    for driver in chosen(choice, image)? {
        package(&driver, image)
            .map_err(|error| ServicingError::image(NAME, &driver.published, error))?;
    }
    Ok(())
}

fn package(driver: &InstalledDriver, image: &mut Image) -> Result<(), ImageError> {
    let published = driver.published.as_str();
    unwind(driver, image)?;
    let root = driver.hive.root();
    let package = Name::from(driver.package.as_str());
    image.delete_key(&root.join(&"DriverPackages".into()).join(&package))?;
    let store = place::store(image, &driver.package);
    image.remove(&store)?;
    image.delete_key(&root.join(&"DriverInfFiles".into()).join(&Name::from(published)))?;
    ids(&root.join(&"DeviceIds".into()), published, image)?;
    lockdown(published, image)?;
    services(published, image)?;
    driver_files(published, image)?;
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

/// What only the INF tells: sources of the event log, and files outside the Windows folder that are still the package's own.
fn unwind(driver: &InstalledDriver, image: &mut Image) -> Result<(), ImageError> {
    let path = place::published(image, &driver.published);
    let Some(target) = target::target(&image.facts()) else { return Ok(()) };
    if !driver.boot_critical || image.tree().lookup(&path).is_none() {
        return Ok(());
    }
    let Ok(inf) = Inf::parse(&image.read(&path)?) else { return Ok(()) };
    let cache = InboxCache::default();
    let model = resolve(&inf, &target, &InboxInfs { image, cache: &cache });
    let Ok(model) = model else { return Ok(()) };
    for service in model.installs.iter().flat_map(|install| &install.services) {
        let key = parse(SERVICES).join(&Name::from(service.name.as_str()));
        let alone = reflect::owners(&key, image)? == [driver.published.clone()];
        if let (Some((source, _)), true) = (&service.event_log, alone) {
            image.delete_key(&reflect::event_log(source))?;
        }
    }
    let store = place::store(image, &driver.package);
    for copy in model.installs.iter().flat_map(|install| &install.copies) {
        let architecture = target.architecture;
        if place::below_system_root(&copy.to, &driver.package, architecture).is_some() {
            continue;
        }
        let to = place::path(image, &copy.to, &driver.package, architecture);
        let from = place::names(&copy.from)
            .map(|names| names.into_iter().fold(store.clone(), |path, name| path.join(name)));
        let (Some(to), Some(from)) = (to, from) else { continue };
        let tree = image.tree();
        let data = |path| tree.lookup(path).map(|id| tree.inode(id).data());
        if data(&to).is_some() && data(&to) == data(&from) {
            image.remove(&to)?;
        }
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

/// The index of files in real databases: what names this INF would name the next one of that number.
fn driver_files(published: &str, image: &mut Image) -> Result<(), ImageError> {
    let root = DatabaseHive::Drivers.root().join(&"DriverFiles".into());
    if !image.has_hive(HiveId::Drivers) || !image.registry_key_exists(&root)? {
        return Ok(());
    }
    for name in image.registry_subkeys(&root)? {
        let path = root.join(&name);
        let inf = image.registry_value(&path, &"".into())?.and_then(|value| value.as_text());
        if inf.is_some_and(|inf| inf.eq_ignore_ascii_case(published)) {
            image.delete_key(&path)?;
        }
    }
    Ok(())
}
