//! The keys of Component Based Servicing in the SOFTWARE hive: packages, who owns them, what waits for what.
//!
//! `facts/cbs-registry.md`, section 2. No clock and no host here: the time of installation is the image's epoch, the place it came from a constant.

use std::collections::BTreeSet;

use crate::{
    base::name::Name,
    format::{
        cbs::{Identity, Mum},
        hive::Value,
    },
    image::{Image, ImageError, RegistryPath},
};

use super::{flags, layout, store::PackageState};

/// `InstallClient`.
const CLIENT: &str = "Transom";
/// `InstallLocation`: no path of the host goes into an image.
const LOCATION: &str = r"\\?\transom\";
/// `InstallUser`: the local system.
const USER: &str = "S-1-5-18";

/// A package in a step.
#[derive(Debug, Clone)]
pub(super) struct PackageChange {
    pub id: String,
    pub mum: std::sync::Arc<Mum>,
    /// What shall be; [`PackageState::Absent`]: its keys go.
    pub state: PackageState,
    /// It is not listed.
    pub hidden: bool,
    /// Packages that bring it.
    pub owners: Vec<String>,
    /// Its updates, and whether each is in force.
    pub updates: Vec<(String, bool)>,
    /// Features among the updates, and whether each is on.
    pub features: Vec<(String, bool)>,
    /// The image did not have it.
    pub new: bool,
}

fn key(parts: &[&str]) -> RegistryPath {
    let (first, rest) = parts.split_first().expect("every caller names a key");
    rest.iter().fold(layout::cbs(first), |path, part| path.join(&Name::from(*part)))
}

/// The key of a feature that was switched.
fn notification(feature: &str) -> RegistryPath {
    key(&["Notifications", "OptionalFeatures", feature])
}

/// Writes the keys of a package.
pub(super) fn write(change: &PackageChange, image: &mut Image) -> Result<(), ImageError> {
    let place = key(&["Packages", &change.id]);
    let number = flags::number_of(change.state);
    image.set_value(&place, &Value::dword("CurrentState", number))?;
    if change.new {
        let time = image.epoch().0;
        let (high, low) = (time >> 32, time & u64::from(u32::MAX));
        let half = |half: u64| u32::try_from(half).unwrap_or_default();
        let visibility = if change.hidden { flags::HIDDEN } else { flags::VISIBLE };
        for value in [
            Value::dword("Visibility", visibility),
            Value::sz("InstallClient", CLIENT),
            Value::sz("InstallName", &format!("{}.mum", change.id)),
            Value::sz("InstallLocation", LOCATION),
            Value::sz("InstallUser", USER),
            Value::dword("InstallTimeHigh", half(high)),
            Value::dword("InstallTimeLow", half(low)),
        ] {
            image.set_value(&place, &value)?;
        }
        index(change, image)?;
        detect(change, true, image)?;
    }
    let owners = place.join(&"Owners".into());
    let own = change.owners.is_empty().then_some(&change.id);
    for owner in change.owners.iter().chain(own) {
        image.set_value(&owners, &Value::dword(owner.as_str(), flags::owner(change.state)))?;
    }
    for (update, installed) in &change.updates {
        let value = Value::dword(update.as_str(), flags::update(*installed));
        image.set_value(&place.join(&"Updates".into()), &value)?;
    }
    for (feature, on) in &change.features {
        image.set_value(&notification(feature), &Value::dword("Selection", u32::from(*on)))?;
        if *on {
            image.delete_value(&notification(feature), &"Removed".into())?;
        }
    }
    for capability in &change.mum.capabilities {
        let name = capability.identity.to_string();
        let installed = change.state.is_installed();
        let value = Value::dword(change.id.as_str(), flags::capability(installed));
        image.set_value(&key(&["CapabilityIndex", &name]), &value)?;
    }
    Ok(())
}

/// Says that the payload of a feature is gone from the image.
pub(super) fn mark_removed(feature: &str, image: &mut Image) -> Result<(), ImageError> {
    image.set_value(&notification(feature), &Value::dword("Removed", 1))
}

/// Sets the state of a package that stays as it is otherwise.
pub(super) fn set_state(
    id: &str,
    state: PackageState,
    image: &mut Image,
) -> Result<(), ImageError> {
    let value = Value::dword("CurrentState", flags::number_of(state));
    image.set_value(&key(&["Packages", id]), &value)
}

/// Takes the keys of a package away, and those above them that are empty then.
pub(super) fn remove(change: &PackageChange, image: &mut Image) -> Result<(), ImageError> {
    image.delete_key(&key(&["Packages", &change.id]))?;
    let place = key(&["PackageIndex", &change.mum.identity.index_id()]);
    image.delete_value(&place, &Name::from(change.id.as_str()))?;
    let left: Vec<Identity> = image
        .registry_values(&place)?
        .iter()
        .filter_map(|value| Identity::of_package_id(&value.name.to_text()?))
        .collect();
    match left.iter().max_by_key(|identity| identity.version) {
        Some(newest) => image.set_value(&place, &Value::sz("", &newest.package_id()))?,
        None => image.delete_key(&place)?,
    }
    prune(&layout::cbs("PackageIndex"), image)?;
    detect(change, false, image)?;
    for capability in &change.mum.capabilities {
        let place = key(&["CapabilityIndex", &capability.identity.to_string()]);
        image.delete_value(&place, &Name::from(change.id.as_str()))?;
        prune(&place, image)?;
    }
    for (feature, _) in &change.features {
        image.delete_key(&notification(feature))?;
    }
    prune(&key(&["Notifications", "OptionalFeatures"]), image)?;
    prune(&layout::cbs("Notifications"), image)
}

/// Takes an owner off a package that others own too.
pub(super) fn disown(id: &str, owner: &str, image: &mut Image) -> Result<(), ImageError> {
    let owners = key(&["Packages", id, "Owners"]);
    image.delete_value(&owners, &Name::from(owner))
}

fn index(change: &PackageChange, image: &mut Image) -> Result<(), ImageError> {
    let place = key(&["PackageIndex", &change.mum.identity.index_id()]);
    image.set_value(&place, &Value::dword(change.id.as_str(), flags::PACKAGE_INDEX))?;
    let newest = image
        .registry_values(&place)?
        .iter()
        .filter_map(|value| Identity::of_package_id(&value.name.to_text()?))
        .max_by_key(|identity| identity.version);
    match newest {
        Some(newest) => image.set_value(&place, &Value::sz("", &newest.package_id())),
        None => Ok(()),
    }
}

/// Says, or takes back, that the package waits for its parents, for updates and for components.
fn detect(change: &PackageChange, waits: bool, image: &mut Image) -> Result<(), ImageError> {
    let mut places = BTreeSet::new();
    for parent in change.mum.parents.iter().flat_map(|parent| &parent.identities) {
        places.insert(vec!["PackageDetect".to_owned(), parent.index_id()]);
    }
    for update in &change.mum.updates {
        let selected = update.selectable.iter().flat_map(|selectable| &selectable.detect);
        for wanted in selected.chain(update.applicable.iter().flat_map(|all| &all.updates)) {
            let package = wanted.package.as_ref().unwrap_or(&change.mum.identity).index_id();
            places.insert(vec!["UpdateDetect".to_owned(), package, wanted.name.clone()]);
        }
        let components = update.applicable.iter().flat_map(|condition| &condition.components);
        for identity in components.flat_map(|component| &component.identities) {
            places.insert(vec!["ComponentDetect".to_owned(), identity.index_id()]);
        }
    }
    for parts in places {
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let place = key(&parts);
        if waits {
            image.set_value(&place, &Value::dword(change.id.as_str(), flags::DETECT))?;
            continue;
        }
        image.delete_value(&place, &Name::from(change.id.as_str()))?;
        for length in (1..=parts.len()).rev() {
            prune(&key(&parts[..length]), image)?;
        }
    }
    Ok(())
}

/// Takes a key away that holds nothing.
pub(super) fn prune(place: &RegistryPath, image: &mut Image) -> Result<(), ImageError> {
    let empty =
        image.registry_subkeys(place)?.is_empty() && image.registry_values(place)?.is_empty();
    if empty { image.delete_key(place) } else { Ok(()) }
}
