//! Deployments: their keys, their catalogs, and what refers to them.

use std::collections::BTreeMap;

use crate::{
    base::name::Name,
    format::{cbs::Mum, hive::Value},
    image::RegistryPath,
    servicing::cbs::{layout, store::PackageState},
};

use super::{
    manifests::Manifests,
    packages::Catalogs,
    registry::{DeploymentKey, Registry},
    report::{HealthReport, Mend, What},
};

/// States of packages, by id in lower case.
type States = BTreeMap<String, PackageState>;

/// Checks the deployments; `mums` are the sound packages by id in lower case.
pub(super) fn check(
    registry: &Registry,
    catalogs: &Catalogs,
    manifests: &Manifests,
    mums: &BTreeMap<String, Mum>,
    report: &mut HealthReport,
) {
    let states: States = registry
        .packages
        .iter()
        .filter_map(|(id, number)| Some((id.to_lowercase(), PackageState::of_number((*number)?))))
        .collect();
    for (short, key) in &registry.deployments {
        let path = layout::deployments().join(&Name::from(key.name.as_str()));
        match &key.identity {
            None if key.has_appid => {
                let known = manifests.sound.values().find(|component| {
                    component.deployment && component.identity.short_key_form() == *short
                });
                let mend = match known.filter(|component| component.vouched) {
                    Some(component) => {
                        let text = component.identity.identity_text().into_bytes();
                        Mend::Set { key: path.clone(), value: Value::binary("appid", text) }
                    }
                    None => copy(&path, "appid", Some("CatalogThumbprint")),
                };
                let texts = ("the deployment's identity", "something else");
                report.damaged(What::Registry, format!("{path}: appid"), texts, mend);
            }
            None => report.skip("deployment key without appid"),
            Some(identity) if identity.short_key_form() != *short => {
                let mend = copy(&path, "appid", None);
                let found = identity.short_key_form();
                report.damaged(
                    What::Registry,
                    format!("{path}: appid"),
                    (short.as_str(), found),
                    mend,
                );
            }
            Some(_) => {}
        }
        let hash = short.rsplit_once('_').map_or("", |(_, hash)| hash);
        let is_used = !key.staged.is_empty() || !key.installed.is_empty();
        let known = key.identity.as_ref().is_some_and(|identity| {
            // What the hive has is reported with the components.
            registry.components.contains_key(&identity.key_form())
        });
        if is_used && !known && !manifests.by_hash.contains_key(hash) {
            let expected = "the manifest of a deployment in use";
            let mend = key
                .identity
                .as_ref()
                .map(|identity| Mend::Manifest { key_form: identity.key_form(), wanted: None });
            let mend = mend.unwrap_or(Mend::Nothing);
            report.damaged(What::Manifest, &path, (expected, "nothing"), mend);
        }
        catalog(key, &path, registry, catalogs, report);
        references(key, &path, &states, mums, report);
    }
}

fn copy(key: &RegistryPath, name: &str, like: Option<&str>) -> Mend {
    Mend::Copy { key: key.clone(), name: Name::from(name), like: like.map(Name::from) }
}

fn catalog(
    key: &DeploymentKey,
    path: &RegistryPath,
    registry: &Registry,
    catalogs: &Catalogs,
    report: &mut HealthReport,
) {
    let Some(thumbprint) = &key.catalog else {
        return report.skip("deployment key without CatalogThumbprint");
    };
    if registry.catalogs.is_empty() && catalogs.store.is_empty() {
        return report.skip("deployment in an image without catalogs");
    }
    // A catalog that is damaged or missing is told as such.
    if !registry.catalogs.contains(thumbprint) && !catalogs.has(thumbprint) {
        let place = format!("{path}: CatalogThumbprint");
        let mend = copy(path, "CatalogThumbprint", Some("appid"));
        report.damaged(
            What::Registry,
            place,
            ("a catalog of the image", thumbprint.as_str()),
            mend,
        );
    }
}

/// What is referred to must be staged; what a package in force brings in any case must be installed.
fn references(
    key: &DeploymentKey,
    path: &RegistryPath,
    states: &States,
    mums: &BTreeMap<String, Mum>,
    report: &mut HealthReport,
) {
    let mut missing = |mark: &str, name: &str| {
        let value = format!("{mark}!{name}");
        let mend = copy(path, &value, Some("appid"));
        let expected = format!("{value} (0x80073701 otherwise)");
        report.damaged(What::Registry, format!("{path}: {value}"), (expected, "none"), mend);
    };
    for (name, reference) in &key.references {
        let lower = name.to_lowercase();
        if !key.staged.contains(&lower) {
            missing("s", name);
        }
        if key.installed.contains(&lower) {
            continue;
        }
        let Some((package, update)) = reference else { continue };
        let id = package.to_lowercase();
        let update = mums
            .get(&id)
            .and_then(|mum| mum.updates.iter().find(|it| it.name.eq_ignore_ascii_case(update)));
        let always = update.is_some_and(|it| it.selectable.is_none() && it.applicable.is_empty());
        if always && states.get(&id).is_some_and(|state| state.is_installed()) {
            missing("i", name);
        }
    }
    let names: Vec<String> = key.references.keys().map(|name| name.to_lowercase()).collect();
    for installed in &key.installed {
        if !names.contains(installed) {
            missing("p", installed);
        }
    }
}
