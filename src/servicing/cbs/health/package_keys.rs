//! What must be below Component Based Servicing because something else says so, and is not there.
//!
//! A package whose deployments are held, which the index has, or which the edition brings needs its key; a package in use needs its place in the index, its
//! owners, and the states of its features. What DISM or a user may take away is only worth knowing.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    base::name::Name,
    format::{
        cbs::{Identity, Mum},
        hive::Value,
    },
    image::{Image, ImageError, RegistryPath},
    servicing::cbs::{flags, layout, store::PackageState},
};

use super::{
    absence::{Known, is_always, is_settled, missing},
    report::{HealthReport, Mend, What},
};

/// What says that a package is there, and what follows from it.
#[derive(Debug, Default)]
struct Needs {
    /// Id as it is written, why it is needed, and whether that is enough to call its absence damage; by id in lower case.
    packages: BTreeMap<String, (String, &'static str, bool)>,
    /// Updates whose deployment is held, and whether it is installed; by id and name in lower case.
    updates: BTreeMap<(String, String), bool>,
    /// Packages with an installed deployment: ids in lower case.
    installed: BTreeSet<String>,
    /// Installed packages that bring a package, by its id in lower case.
    owners: BTreeMap<String, BTreeSet<String>>,
    /// The index names its packages by their ids.
    index_has_ids: bool,
}

/// The key of a package.
pub(super) fn key_of(id: &str) -> RegistryPath {
    layout::cbs("Packages").join(&Name::from(id))
}

/// Looks for it.
pub(super) fn check(
    image: &mut Image,
    known: &Known<'_>,
    report: &mut HealthReport,
) -> Result<(), ImageError> {
    let needs = needs(image, known)?;
    for (lower, need) in &needs.packages {
        one(image, known, &needs, (lower, need), report);
    }
    for id in known.mums.keys() {
        if !known.has_package(id) && !needs.packages.contains_key(id) {
            let found = "none, and nothing needs it";
            report.note(What::Registry, key_of(id), ("a key", found), Mend::Nothing);
        }
    }
    for (lower, id, state) in known.states().filter(|(_, _, state)| is_settled(*state)) {
        index(image, known, &needs, (lower, id), report)?;
        owners(image, &needs, (lower, id, state), report)?;
        if let Some(mum) = known.mums.get(lower) {
            updates(image, &needs, (id, mum), report)?;
        }
    }
    Ok(())
}

fn needs(image: &mut Image, known: &Known<'_>) -> Result<Needs, ImageError> {
    let mut needs = Needs::default();
    for deployment in known.registry.deployments.values() {
        for (name, reference) in &deployment.references {
            let Some((id, update)) = reference else { continue };
            let lower = id.to_lowercase();
            let installed = deployment.installed.contains(&name.to_lowercase());
            if installed {
                needs.installed.insert(lower.clone());
            }
            *needs.updates.entry((lower.clone(), update.to_lowercase())).or_default() |= installed;
            let need = || (id.clone(), "a deployment is marked as its", true);
            needs.packages.entry(lower).or_insert_with(need);
        }
    }
    let index = layout::cbs("PackageIndex");
    for name in image.registry_subkeys(&index)? {
        for value in image.registry_values(&index.join(&name))? {
            let id = value.name.to_text().filter(|text| Identity::of_package_id(text).is_some());
            let Some(id) = id else { continue };
            needs.index_has_ids = true;
            let lower = id.to_lowercase();
            needs.packages.entry(lower).or_insert((id, "PackageIndex has it", true));
        }
    }
    for (id, mum) in known.mums {
        if !known.state(id).is_some_and(PackageState::is_installed) {
            continue;
        }
        // What an update or a feature pack brings may have been taken out again, or never have applied; an edition stands and falls with its own.
        let edition = mum.release_type.eq_ignore_ascii_case("Product");
        for package in mum.updates.iter().filter(|it| is_always(it)).flat_map(|it| &it.packages) {
            if package.identity.language == "*" {
                continue;
            }
            let brought = package.identity.package_id();
            let lower = brought.to_lowercase();
            let owner = mum.identity.package_id();
            needs.owners.entry(lower.clone()).or_default().insert(owner);
            let is_update = mum.release_type.to_lowercase().contains("update")
                || mum.release_type.eq_ignore_ascii_case("hotfix");
            if !is_update {
                let need = (brought, "an installed package brings it", edition);
                needs.packages.entry(lower).or_insert(need);
            }
        }
    }
    Ok(needs)
}

/// A package that something needs.
fn one(
    image: &Image,
    known: &Known<'_>,
    needs: &Needs,
    (lower, (id, why, certain)): (&str, &(String, &str, bool)),
    report: &mut HealthReport,
) {
    let (key, mum) = (key_of(id), layout::mum(image, id));
    if known.has_package(lower) {
        // A number that is not known, or none, has been told.
        let found = known.state(lower).filter(|state| {
            matches!(state, PackageState::Absent | PackageState::Resolving | PackageState::Resolved)
        });
        if let Some(state) = found.filter(|_| needs.installed.contains(lower)) {
            let expected = "the state of a package whose deployments are installed";
            let place = format!("{key}: CurrentState");
            let mend = Mend::State { id: id.clone() };
            report.damaged(What::Registry, place, (expected, state.name()), mend);
        }
        return;
    }
    let expected = format!("the package's key: {why}");
    if !certain && !known.mums.contains_key(lower) {
        report.note(What::Registry, key, (expected, "nothing"), Mend::Nothing);
        return;
    }
    missing(
        report,
        &key,
        &expected,
        Some(mum.clone()),
        states_of_updates(known, needs, (lower, id)),
    );
    if image.tree().lookup(&mum).is_none() {
        let expected = format!("the mum of a package: {why}");
        let mend = Mend::Package { id: id.clone() };
        report.damaged(What::Package, mum, (expected, "nothing"), mend);
    }
}

/// The states of a package's updates, as the marks of their deployments tell them.
fn states_of_updates(
    known: &Known<'_>,
    needs: &Needs,
    (lower, id): (&str, &str),
) -> Vec<(RegistryPath, Value)> {
    known.mums.get(lower).map(|mum| states_in(needs, (id, mum))).unwrap_or_default()
}

fn states_in(needs: &Needs, (id, mum): (&str, &Mum)) -> Vec<(RegistryPath, Value)> {
    let key = key_of(id).join(&"Updates".into());
    let state = |name: &str| {
        let installed = needs.updates.get(&(id.to_lowercase(), name.to_lowercase()))?;
        Some((key.clone(), Value::dword(name, flags::update(*installed))))
    };
    mum.updates.iter().filter_map(|update| state(&update.name)).collect()
}

/// A package's place in the index.
fn index(
    image: &mut Image,
    known: &Known<'_>,
    needs: &Needs,
    (lower, id): (&str, &str),
    report: &mut HealthReport,
) -> Result<(), ImageError> {
    let Some(identity) = Identity::of_package_id(id) else { return Ok(()) };
    let index_id = identity.index_id();
    let key = layout::cbs("PackageIndex").join(&Name::from(index_id.as_str()));
    let values = image.registry_values(&key)?;
    if values.iter().any(|value| value.name.to_string().eq_ignore_ascii_case(id)) {
        return Ok(());
    }
    let is_empty = values.is_empty() && image.registry_subkeys(&key)?.is_empty();
    if !is_empty && !needs.index_has_ids {
        report.skip("package in an index that does not go by ids");
        return Ok(());
    }
    let all = known.states().filter(|(_, _, state)| is_settled(*state));
    let versions = all.filter_map(|(_, id, _)| Identity::of_package_id(id));
    let newest = versions
        .filter(|other| other.index_id().eq_ignore_ascii_case(&index_id))
        .max_by_key(|other| other.version);
    let newest = newest.map_or_else(|| id.to_owned(), |identity| identity.package_id());
    let computed = vec![
        (key.clone(), Value::dword(id, flags::PACKAGE_INDEX)),
        (key.clone(), Value::sz("", &newest)),
    ];
    let same = known.mums.contains_key(lower).then(|| layout::mum(image, id));
    missing(report, &key, &format!("the version {id}"), same, computed);
    Ok(())
}

/// Who owns a package in force.
fn owners(
    image: &mut Image,
    needs: &Needs,
    (lower, id, state): (&str, &str, PackageState),
    report: &mut HealthReport,
) -> Result<(), ImageError> {
    let key = key_of(id).join(&"Owners".into());
    if !state.is_installed() || !image.registry_values(&key)?.is_empty() {
        return Ok(());
    }
    let expected = "who owns a package in force";
    if image.registry_value(&key_of(id), &"DefVis".into())?.is_some() {
        let found = "nothing, and a trace of a tool that takes owners away";
        report.note(What::Registry, key, (expected, found), Mend::Nothing);
        return Ok(());
    }
    let itself = || BTreeSet::from([id.to_owned()]);
    let owners = needs.owners.get(lower).cloned().unwrap_or_else(itself);
    let value = |owner: &String| (key.clone(), Value::dword(owner.as_str(), flags::owner(state)));
    let computed = owners.iter().map(value).collect();
    missing(report, &key, expected, Some(layout::mum(image, id)), computed);
    Ok(())
}

/// The states of a package's features.
fn updates(
    image: &mut Image,
    needs: &Needs,
    (id, mum): (&str, &Mum),
    report: &mut HealthReport,
) -> Result<(), ImageError> {
    let has_features =
        mum.updates.iter().any(|it| it.selectable.is_some() && !it.components.is_empty());
    let key = key_of(id).join(&"Updates".into());
    if has_features && image.registry_values(&key)?.is_empty() {
        let computed = states_in(needs, (id, mum));
        let same = Some(layout::mum(image, id));
        missing(report, &key, "the states of the package's features", same, computed);
    }
    Ok(())
}
