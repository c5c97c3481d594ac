//! What must be in the hives because something else says so, and is not there.
//!
//! Nothing is concluded from what lies there alone (an update leaves files behind): there must be somebody who needs it. A package in use needs its key,
//! its place in the index, its owners, and the deployments of its updates; a deployment needs its key and marks, and its components; a component needs its
//! key with what its manifest says. Only what an image lacks as a whole, the hive, is not asked for.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    base::{digest::to_hex, name::Name, ntpath::NtPath},
    format::{
        cbs::{Identity, Mum, mum::Update},
        hive::{Value, ValueType},
    },
    image::{Image, ImageError, RegistryPath},
    servicing::cbs::{flags, layout, marks, store::PackageState},
};

use super::{
    manifests::{Component, Manifests, forms_of},
    packages::Catalogs,
    registry::{DeploymentKey, Registry},
    report::{HealthReport, Mend, What},
};

/// What is known of the store by now.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known<'a> {
    pub(super) registry: &'a Registry,
    pub(super) catalogs: &'a Catalogs,
    pub(super) manifests: &'a Manifests,
    /// Sound packages by id in lower case.
    pub(super) mums: &'a BTreeMap<String, Mum>,
}

/// Deployments (short key forms) that have a component, by its key form.
pub(super) type Brought = BTreeMap<String, BTreeSet<String>>;

impl Known<'_> {
    /// Which deployments of the hive have which components, as their manifests say; a deployment has itself too.
    pub(super) fn brought(&self) -> Brought {
        let mut brought = Brought::new();
        for (form, deployment) in self.manifests.sound.iter().filter(|(_, it)| it.deployment) {
            let short = deployment.identity.short_key_form();
            if !self.registry.deployments.contains_key(&short) {
                continue;
            }
            for component in deployment.brings.iter().chain([form]) {
                if self.manifests.sound.contains_key(component) {
                    brought.entry(component.clone()).or_default().insert(short.clone());
                }
            }
        }
        brought
    }

    /// True when a deployment that has the component is installed.
    pub(super) fn is_installed(&self, form: &str, brought: &Brought) -> bool {
        let by_key = self.registry.components.get(form).into_iter().flat_map(|it| &it.deployments);
        let mut deployments = by_key.chain(brought.get(form).into_iter().flatten());
        deployments.any(|short| {
            self.registry.deployments.get(short).is_some_and(|key| !key.installed.is_empty())
        })
    }

    fn state(&self, id: &str) -> Option<PackageState> {
        let mut known = self.registry.packages.iter();
        let (_, number) = known.find(|(known, _)| known.eq_ignore_ascii_case(id))?;
        Some(number.map_or(PackageState::Absent, PackageState::of_number))
    }
}

/// Looks for all of it.
pub(super) fn check(
    image: &mut Image,
    known: &Known<'_>,
    report: &mut HealthReport,
) -> Result<(), ImageError> {
    let registry = known.registry;
    if registry.software_read {
        packages(image, known, report)?;
    }
    if registry.software_read && registry.components_read {
        for (id, mum) in known.mums {
            let Some(state) = known.state(id).filter(|state| state.is_staged()) else { continue };
            for update in &mum.updates {
                for identity in &update.components {
                    deployment(image, known, (id, state, mum, update, identity), report)?;
                }
            }
        }
    }
    if registry.components_read {
        components(image, known, report);
        catalogs(known, report);
    }
    Ok(())
}

fn package_key(id: &str) -> RegistryPath {
    layout::cbs("Packages").join(&Name::from(id))
}

/// Adds a finding about a key, or values of it, that is missing.
fn missing(
    report: &mut HealthReport,
    place: &RegistryPath,
    what: &str,
    same: Option<NtPath>,
    computed: Vec<(RegistryPath, Value)>,
) {
    let mend = Mend::Restore { key: place.clone(), same, computed };
    report.damaged(What::Registry, place, (what, "nothing"), mend);
}

/// Packages that are needed, and what their keys need.
fn packages(
    image: &mut Image,
    known: &Known<'_>,
    report: &mut HealthReport,
) -> Result<(), ImageError> {
    let mut needed: BTreeMap<String, (String, &str)> = BTreeMap::new();
    let mut marked: BTreeSet<String> = BTreeSet::new();
    for deployment in known.registry.deployments.values() {
        for (name, reference) in &deployment.references {
            let Some((id, _)) = reference else { continue };
            let lower = id.to_lowercase();
            if deployment.installed.contains(&name.to_lowercase()) {
                marked.insert(lower.clone());
            }
            needed.entry(lower).or_insert((id.clone(), "a deployment is marked as its"));
        }
    }
    let index = layout::cbs("PackageIndex");
    for name in image.registry_subkeys(&index)? {
        for value in image.registry_values(&index.join(&name))? {
            let Some(id) = value.name.to_text().filter(|text| !text.is_empty()) else { continue };
            needed.entry(id.to_lowercase()).or_insert((id, "PackageIndex has it"));
        }
    }
    for (id, mum) in known.mums {
        // What an update brings need not be applicable to this edition; Windows leaves it out then.
        let is_update = mum.release_type.to_lowercase().contains("update")
            || mum.release_type.eq_ignore_ascii_case("hotfix");
        if is_update || !known.state(id).is_some_and(PackageState::is_installed) {
            continue;
        }
        for package in mum.updates.iter().filter(|it| is_always(it)).flat_map(|it| &it.packages) {
            if package.identity.language != "*" {
                let id = package.identity.package_id();
                let why = "an installed package brings it";
                needed.entry(id.to_lowercase()).or_insert((id, why));
            }
        }
    }
    for (lower, (id, why)) in &needed {
        match known.state(lower) {
            None => {
                let same = Some(layout::mum(image, id));
                missing(
                    report,
                    &package_key(id),
                    &format!("the package's key: {why}"),
                    same,
                    vec![],
                );
                if image.tree().lookup(&layout::mum(image, id)).is_none() {
                    let expected = format!("the mum of a package: {why}");
                    let mend = Mend::Package { id: id.clone() };
                    report.damaged(
                        What::Package,
                        layout::mum(image, id),
                        (expected, "nothing"),
                        mend,
                    );
                }
            }
            Some(
                state @ (PackageState::Absent
                | PackageState::Resolving
                | PackageState::Resolved
                | PackageState::Staging
                | PackageState::Staged),
            ) if marked.contains(lower) => {
                let key = package_key(id);
                let name = Name::from("CurrentState");
                let mend = Mend::Copy { key: key.clone(), name, like: None };
                let expected = "the state of a package whose deployments are installed";
                let place = format!("{key}: CurrentState");
                report.damaged(What::Registry, place, (expected, state.name()), mend);
            }
            Some(_) => {}
        }
    }
    for id in known.mums.keys() {
        if known.state(id).is_none() && !needed.contains_key(id) {
            let found = "none, and nothing needs it";
            report.note(What::Registry, package_key(id), ("a key", found), Mend::Nothing);
        }
    }
    for (id, number) in &known.registry.packages {
        if let Some(state) = number.map(PackageState::of_number).filter(|it| it.is_staged()) {
            package(image, known, id, state, report)?;
        }
    }
    Ok(())
}

/// What a package in use has besides its key.
fn package(
    image: &mut Image,
    known: &Known<'_>,
    id: &str,
    state: PackageState,
    report: &mut HealthReport,
) -> Result<(), ImageError> {
    let key = package_key(id);
    let same = Some(layout::mum(image, id));
    if let Some(identity) = Identity::of_package_id(id) {
        let index = layout::cbs("PackageIndex").join(&Name::from(identity.index_id().as_str()));
        if image.registry_value(&index, &id.into())?.is_none() {
            let computed = vec![
                (index.clone(), Value::dword(id, flags::PACKAGE_INDEX)),
                (index.clone(), Value::sz("", id)),
            ];
            missing(report, &index, &format!("the version {id}"), same.clone(), computed);
        }
    }
    let owners = key.join(&"Owners".into());
    if state.is_installed() && image.registry_values(&owners)?.is_empty() {
        missing(report, &owners, "who owns a package in force", same.clone(), vec![]);
    }
    let updates = key.join(&"Updates".into());
    let has_updates = known
        .mums
        .get(&id.to_lowercase())
        .is_some_and(|mum| mum.updates.iter().any(|update| !update.components.is_empty()));
    if has_updates && image.registry_values(&updates)?.is_empty() {
        missing(report, &updates, "the states of the package's updates", same, vec![]);
    }
    Ok(())
}

/// True when an update belongs to its package in any case.
fn is_always(update: &Update) -> bool {
    update.selectable.is_none() && update.applicable.is_empty()
}

/// Whether a package holds the deployment of an update, and whether it is installed; `None`: that is not known.
fn is_held(
    image: &mut Image,
    (id, state, update): (&str, PackageState, &Update),
    key: Option<&DeploymentKey>,
) -> Result<Option<bool>, ImageError> {
    if is_always(update) {
        return Ok(Some(state.is_installed()));
    }
    if !update.applicable.is_empty() && key.is_some_and(|key| !key.references.is_empty()) {
        return Ok(None);
    }
    let states = package_key(id).join(&"Updates".into());
    let number = image.registry_value(&states, &update.name.as_str().into())?;
    let number = number.and_then(|value| value.as_dword()).map(PackageState::of_number);
    let feature = layout::cbs(r"Notifications\OptionalFeatures").join(&update.name.as_str().into());
    let mut is = |name: &str| -> Result<bool, ImageError> {
        let value = image.registry_value(&feature, &name.into())?;
        Ok(value.and_then(|value| value.as_dword()) == Some(1))
    };
    if is("Removed")? || number.is_some_and(|state| !state.is_staged()) {
        return Ok(None);
    }
    Ok(Some(state.is_installed() && update.selectable.is_some() && is("Selection")?))
}

/// The key and the marks of a deployment that a package in use has.
fn deployment(
    image: &mut Image,
    known: &Known<'_>,
    (id, state, mum, update, identity): (&str, PackageState, &Mum, &Update, &Identity),
    report: &mut HealthReport,
) -> Result<(), ImageError> {
    let sound = &known.manifests.sound;
    let forms = forms_of(identity);
    let Some((form, component)) = forms.iter().find_map(|form| sound.get_key_value(form)) else {
        let is_told = forms.iter().any(|form| {
            known.registry.components.contains_key(form)
                || form
                    .rsplit_once('_')
                    .is_some_and(|(_, hash)| known.manifests.by_hash.contains_key(hash))
        });
        if !is_told && state.is_installed() && is_always(update) {
            let key_form = forms.last().cloned().unwrap_or_default();
            let path = layout::manifest(image, &key_form);
            let mend = Mend::Manifest { key_form, wanted: None };
            let expected = format!("the deployment of {}, which is in force", update.name);
            report.damaged(What::Manifest, path, (expected, "nothing"), mend);
        }
        return Ok(());
    };
    let short = component.identity.short_key_form();
    let found = known.registry.deployments.get(&short);
    let Some(installed) = is_held(image, (id, state, update), found)? else { return Ok(()) };
    let key = layout::deployments().join(&Name::from(short.as_str()));
    let mut computed = Vec::new();
    let mut names = Vec::new();
    if found.is_none_or(|found| found.identity.is_none()) {
        names.push("appid".to_owned());
        let text = component.identity.identity_text();
        computed.push((key.clone(), Value::binary("appid", text.into_bytes())));
    }
    if found.is_none_or(|found| found.catalog.is_none()) && !known.catalogs.store.is_empty() {
        names.push("CatalogThumbprint".to_owned());
        if let Some(catalog) = known.catalogs.of_package(id) {
            computed.push((key.clone(), Value::sz("CatalogThumbprint", &to_hex(&catalog))));
        }
    }
    let package = mum.identity.package_id();
    let reference = layout::reference(&package, &update.name);
    let held = found.is_some_and(|found| {
        found.references.iter().any(|(name, reference_of)| {
            let by_data = reference_of.as_ref().is_some_and(|(package, name)| {
                package.eq_ignore_ascii_case(id) && name.eq_ignore_ascii_case(&update.name)
            });
            by_data || name.eq_ignore_ascii_case(&reference)
        })
    });
    if !held {
        let tail = reference.get(4..).unwrap_or_default();
        let data = marks::reference_data(&format!("{package}.{}", update.name));
        for mark in ["p!", "s!", "i!"].into_iter().take(if installed { 3 } else { 2 }) {
            let name = format!("{mark}CBS_{tail}");
            computed.push((key.clone(), Value::binary(name.as_str(), data.clone())));
            names.push(name);
        }
    }
    if !names.is_empty() {
        let same = Some(layout::manifest(image, form));
        missing(report, &key, &names.join(", "), same, computed);
    }
    Ok(())
}

/// The keys of components that deployments have.
fn components(image: &Image, known: &Known<'_>, report: &mut HealthReport) {
    let brought = known.brought();
    for (form, component) in &known.manifests.sound {
        let path = marks::component_key(form);
        let Some(deployments) = brought.get(form) else {
            if !known.registry.components.contains_key(form) {
                let found = "none, and no deployment needs it";
                report.note(What::Registry, path, ("a key", found), Mend::Nothing);
            }
            continue;
        };
        let (names, computed) = of_component((form, component), deployments, image, known);
        if !names.is_empty() {
            let same = Some(layout::manifest(image, form));
            missing(report, &path, &names.join(", "), same, computed);
        }
    }
}

/// The values that the key of a component lacks, and what follows from its manifest.
fn of_component(
    (form, component): (&str, &Component),
    deployments: &BTreeSet<String>,
    image: &Image,
    known: &Known<'_>,
) -> (Vec<String>, Vec<(RegistryPath, Value)>) {
    let key = known.registry.components.get(form);
    let mut values = Vec::new();
    let text = component.identity.identity_text();
    if key.is_none_or(|key| key.identity.is_none()) {
        values.push((component.vouched, Value::binary("identity", text.into_bytes())));
    }
    if key.is_none_or(|key| key.hash.is_none()) {
        values.push((component.vouched, Value::binary("S256H", component.sha256)));
    }
    if key.is_none() {
        values.push((true, Value::dword("CF", flags::COMPONENT_FLAGS)));
    }
    for short in deployments {
        if key.is_none_or(|key| !key.deployments.contains(short)) {
            let name = format!("c!{short}");
            values.push((true, Value::new(name.as_str(), ValueType::BINARY, [])));
        }
    }
    // One of several may be missing: not all generations mark all files.
    if key.is_none_or(|key| key.files.is_empty() && known.registry.has_file_marks) {
        let folder = layout::component(image, form);
        for names in component.files.iter().filter_map(|file| file.names.as_ref()) {
            let path = names.iter().fold(folder.clone(), |path, it| path.join(it.as_str().into()));
            if image.tree().lookup(&path).is_some() {
                let name = format!("f!{}", names.join("\\").to_lowercase());
                values.push((true, Value::dword(name.as_str(), flags::STAGED_FILE)));
            }
        }
    }
    let names = values.iter().map(|(_, value)| value.name.to_string()).collect();
    let path = marks::component_key(form);
    let computed = values.into_iter().filter(|(follows, _)| *follows);
    (names, computed.map(|(_, value)| (path.clone(), value)).collect())
}

/// The keys of catalogs that deployments name and the store has.
fn catalogs(known: &Known<'_>, report: &mut HealthReport) {
    let mut needed: BTreeMap<&str, Vec<(RegistryPath, Value)>> = BTreeMap::new();
    for (short, deployment) in &known.registry.deployments {
        let Some(catalog) = deployment.catalog.as_deref() else { continue };
        if known.catalogs.has(catalog) && !known.registry.catalogs.contains(catalog) {
            let key = layout::catalogs().join(&Name::from(catalog));
            let name = format!("c!{short}");
            let value = Value::new(name.as_str(), ValueType::BINARY, []);
            needed.entry(catalog).or_default().push((key, value));
        }
    }
    for (catalog, computed) in needed {
        let key = layout::catalogs().join(&Name::from(catalog));
        missing(report, &key, "the key of a catalog that deployments name", None, computed);
    }
}
