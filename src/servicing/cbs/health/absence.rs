//! What must be in COMPONENTS because something else says so, and is not there.
//!
//! Nothing is concluded from what lies there alone (an update leaves files behind): there must be somebody who needs it. A deployment of a package in use
//! needs its key and marks, and its components; a component needs its key with what its manifest says. What no key of an image has is not asked of
//! any, nor anything of an image without the hive: not all generations of Windows write the same.

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
    package_keys,
    packages::Catalogs,
    registry::{ComponentKey, DeploymentKey, Registry},
    report::{HealthReport, Mend, What},
};

/// What is known of the store by now.
#[derive(Debug)]
pub(super) struct Known<'a> {
    pub(super) registry: &'a Registry,
    pub(super) catalogs: &'a Catalogs,
    pub(super) manifests: &'a Manifests,
    /// Sound packages by id in lower case.
    pub(super) mums: &'a BTreeMap<String, Mum>,
    /// Ids of the packages that the hive has as they are written, and their states, by id in lower case.
    packages: BTreeMap<String, (&'a str, Option<PackageState>)>,
    /// Deployments of the hive (short key forms) that have a component, by its key form, as their manifests say; a deployment has itself too.
    brought: BTreeMap<String, BTreeSet<String>>,
}

impl<'a> Known<'a> {
    pub(super) fn new(
        registry: &'a Registry,
        catalogs: &'a Catalogs,
        manifests: &'a Manifests,
        mums: &'a BTreeMap<String, Mum>,
    ) -> Self {
        let packages = registry.packages.iter().map(|(id, number)| {
            (id.to_lowercase(), (id.as_str(), number.map(PackageState::of_number)))
        });
        let mut brought: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (form, deployment) in manifests.sound.iter().filter(|(_, it)| it.deployment) {
            let short = deployment.identity.short_key_form();
            if !registry.deployments.get(&short).is_some_and(DeploymentKey::is_used) {
                continue;
            }
            for component in deployment.brings.iter().chain([form]) {
                if manifests.sound.contains_key(component) {
                    brought.entry(component.clone()).or_default().insert(short.clone());
                }
            }
        }
        Self { registry, catalogs, manifests, mums, packages: packages.collect(), brought }
    }

    /// True when a deployment that has the component is installed.
    pub(super) fn is_installed(&self, form: &str) -> bool {
        let by_key = self.registry.components.get(form).into_iter().flat_map(|it| &it.deployments);
        let mut deployments = by_key.chain(self.brought.get(form).into_iter().flatten());
        deployments.any(|short| {
            self.registry.deployments.get(short).is_some_and(|key| !key.installed.is_empty())
        })
    }

    /// True when the hive has a key of the package; its id in lower case.
    pub(super) fn has_package(&self, id: &str) -> bool {
        self.packages.contains_key(id)
    }

    /// The state of a package, its id in lower case; `None`: it has none.
    pub(super) fn state(&self, id: &str) -> Option<PackageState> {
        self.packages.get(id)?.1
    }

    /// Packages that say their state: id in lower case, id as the key is called, state.
    pub(super) fn states(&self) -> impl Iterator<Item = (&str, &'a str, PackageState)> {
        self.packages
            .iter()
            .filter_map(|(lower, (id, state))| Some((lower.as_str(), *id, (*state)?)))
    }

    /// The deployments of the hive that have a component.
    fn deployments_of(&self, form: &str) -> Option<&BTreeSet<String>> {
        self.brought.get(form)
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
        package_keys::check(image, known, report)?;
    }
    if registry.software_read && registry.components_read {
        for (id, mum) in known.mums {
            // What is superseded or on its way may have lost its own.
            let Some(state) = known.state(id).filter(|state| is_settled(*state)) else { continue };
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

/// True when a package's content is there for good.
pub(super) fn is_settled(state: PackageState) -> bool {
    state == PackageState::Staged || state.is_installed()
}

/// Adds a finding about a key, or values of it, that is missing.
pub(super) fn missing(
    report: &mut HealthReport,
    place: &RegistryPath,
    what: &str,
    same: Option<NtPath>,
    computed: Vec<(RegistryPath, Value)>,
) {
    let mend = Mend::Restore { key: place.clone(), same, computed };
    report.damaged(What::Registry, place, (what, "nothing"), mend);
}

/// True when an update belongs to its package in any case.
pub(super) fn is_always(update: &Update) -> bool {
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
    let states = package_keys::key_of(id).join(&"Updates".into());
    let number = image.registry_value(&states, &update.name.as_str().into())?;
    let state_of_update = number.and_then(|value| value.as_dword()).map(PackageState::of_number);
    let feature = layout::cbs(r"Notifications\OptionalFeatures").join(&update.name.as_str().into());
    let mut is = |name: &str| -> Result<bool, ImageError> {
        let value = image.registry_value(&feature, &name.into())?;
        Ok(value.and_then(|value| value.as_dword()) == Some(1))
    };
    if is("Removed")? || !state_of_update.is_some_and(PackageState::is_staged) {
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
            let hash = form.rsplit_once('_').map_or("", |(_, hash)| hash);
            known.registry.components.contains_key(form)
                || known.manifests.by_hash.contains_key(hash)
        });
        if !is_told && state.is_installed() && is_always(update) && identity.language != "*" {
            let path = layout::manifest(image, forms.last().map_or("", String::as_str));
            let expected = format!("the deployment of {}, which is in force", update.name);
            report.note(What::Manifest, path, (expected, "nothing"), Mend::Nothing);
        }
        return Ok(());
    };
    let short = component.identity.short_key_form();
    let found = known.registry.deployments.get(&short);
    let Some(installed) = is_held(image, (id, state, update), found)? else { return Ok(()) };
    let (customs, bare) = (&known.registry.customs, found.is_none_or(DeploymentKey::is_bare));
    let key = layout::deployments().join(&Name::from(short.as_str()));
    let mut computed = Vec::new();
    let mut names = Vec::new();
    if (bare || customs.appids) && found.is_none_or(|found| !found.has_appid) {
        names.push("appid".to_owned());
        let text = component.identity.identity_text();
        computed.push((key.clone(), Value::binary("appid", text.into_bytes())));
    }
    let catalog = known.catalogs.of_package(id);
    if let Some(catalog) = catalog.filter(|_| bare || customs.thumbprints)
        && found.is_none_or(|found| found.catalog.is_none())
    {
        names.push("CatalogThumbprint".to_owned());
        computed.push((key.clone(), Value::sz("CatalogThumbprint", &to_hex(&catalog))));
    }
    // One of several packages may be missing: how a long reference is called is not known for all generations.
    if found.is_none_or(|found| !found.is_used()) {
        let package = mum.identity.package_id();
        let reference = layout::written_reference(&package, &update.name);
        let data = marks::reference_data(&format!("{package}.{}", update.name));
        for mark in ["p!", "s!", "i!"].into_iter().take(if installed { 3 } else { 2 }) {
            let name = format!("{mark}{reference}");
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
    let keys = &known.registry.components;
    let deployments: Vec<(&Component, &ComponentKey)> = known
        .manifests
        .sound
        .iter()
        .filter(|(_, component)| component.deployment)
        .filter_map(|(form, component)| Some((component, keys.get(form)?)))
        .collect();
    // Whether deployments are components of this image too, and have themselves.
    let have_keys = keys.is_empty() || !deployments.is_empty();
    let have_themselves = deployments.is_empty()
        || deployments
            .iter()
            .any(|(component, key)| key.deployments.contains(&component.identity.short_key_form()));
    for (form, component) in &known.manifests.sound {
        let path = marks::component_key(form);
        let Some(brought) = known.deployments_of(form) else {
            if !keys.contains_key(form) {
                let found = "none, and no deployment needs it";
                report.note(What::Registry, path, ("a key", found), Mend::Nothing);
            }
            continue;
        };
        if component.deployment && !have_keys {
            report.skip("deployment in an image whose deployments are no components");
            continue;
        }
        let own = component.identity.short_key_form();
        let mut brought = brought.clone();
        brought.retain(|short| have_themselves || *short != own);
        let (names, computed) = of_component((form, component), &brought, image, known);
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
    let (customs, bare) = (&known.registry.customs, key.is_none_or(ComponentKey::is_bare));
    let mut values = Vec::new();
    let text = component.identity.identity_text();
    if (bare || customs.identities) && key.is_none_or(|key| key.identity.is_none()) {
        values.push((component.vouched, Value::binary("identity", text.into_bytes())));
    }
    if (bare || customs.hashes) && key.is_none_or(|key| key.hash.is_none()) {
        values.push((component.vouched, Value::binary("S256H", component.sha256)));
    }
    if bare {
        values.push((true, Value::dword("CF", flags::COMPONENT_FLAGS)));
    }
    for short in deployments {
        if key.is_none_or(|key| !key.deployments.contains(short)) {
            let name = format!("c!{short}");
            values.push((true, Value::new(name.as_str(), ValueType::BINARY, [])));
        }
    }
    // One of several may be missing: not all generations mark all files.
    if key.is_none_or(|key| key.files.is_empty() && customs.files) {
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
