//! What components in force own outside the store: their registry values, keys and folders.
//!
//! What is missing is damage. A value that differs is only worth knowing: settings are there to be set. Values that a manifest lets others change
//! (`mutable`) are not looked at, nor what lies in a hive that the image does not have.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    base::ntpath::NtPath,
    format::hive::Value,
    image::{Image, ImageError, RegistryPath},
    servicing::cbs::{effects::Effects, records},
};

use super::{
    absence::Known,
    manifests::Component,
    report::{HealthReport, Mend, What},
};

/// A value that components in force write, by all of them.
struct Owned {
    path: RegistryPath,
    wanted: Vec<Value>,
    /// One of those manifests is named by a catalog.
    vouched: bool,
}

/// Checks it.
pub(super) fn check(
    image: &mut Image,
    known: &Known<'_>,
    report: &mut HealthReport,
) -> Result<(), ImageError> {
    if !known.registry.software_read || !known.registry.components_read {
        return Ok(());
    }
    let brought = known.brought();
    let mut values: BTreeMap<(RegistryPath, String), Owned> = BTreeMap::new();
    let mut keys: BTreeSet<RegistryPath> = BTreeSet::new();
    let mut folders: BTreeMap<NtPath, Option<u32>> = BTreeMap::new();
    for (form, component) in &known.manifests.sound {
        let Component { identity, effects: Some(effects), vouched, .. } = component else {
            continue;
        };
        if !known.is_installed(form, &brought) {
            continue;
        }
        let winner = records::winner(image, &identity.winners_key_form())?;
        if winner.and_then(|winner| winner.version()) != Some(identity.version) {
            continue;
        }
        collect(effects, *vouched, &mut values);
        keys.extend(effects.keys.iter().map(|key| key.path.clone()));
        for folder in &effects.directories {
            folders.entry(folder.path.clone()).or_insert(folder.attributes);
        }
    }
    for ((_, name), owned) in values {
        value(image, &name, owned, report)?;
    }
    for key in keys {
        if image.has_hive(key.hive()) && !image.registry_key_exists(&key)? {
            let mend = Mend::Restore { key: key.clone(), same: None, computed: Vec::new() };
            report.damaged(
                What::Registry,
                key,
                ("a key of an installed component", "nothing"),
                mend,
            );
        }
    }
    for (path, attributes) in folders {
        if image.tree().lookup(&path).is_none() {
            let mend = Mend::Directory { path: path.clone(), attributes };
            let expected = "a folder of an installed component";
            report.damaged(What::Projection, path, (expected, "nothing"), mend);
        }
    }
    Ok(())
}

fn collect(effects: &Effects, vouched: bool, values: &mut BTreeMap<(RegistryPath, String), Owned>) {
    for value in effects.values.iter().filter(|value| !value.mutable) {
        let path = &effects.keys[value.key].path;
        let name = value.value.name.to_string();
        let owned = values.entry((path.clone(), name.to_lowercase())).or_insert_with(|| Owned {
            path: path.clone(),
            wanted: Vec::new(),
            vouched: false,
        });
        owned.vouched |= vouched;
        owned.wanted.push(value.value.clone());
    }
}

fn value(
    image: &mut Image,
    name: &str,
    owned: Owned,
    report: &mut HealthReport,
) -> Result<(), ImageError> {
    let Owned { path, wanted, vouched } = owned;
    let Some(first) = wanted.first().filter(|_| image.has_hive(path.hive())) else {
        return Ok(());
    };
    let place = format!("{path}: {}", if name.is_empty() { "(default)" } else { name });
    match image.registry_value(&path, &first.name)? {
        None => {
            let mend = match vouched {
                true => Mend::Set { key: path, value: first.clone() },
                false => Mend::Nothing,
            };
            let expected = "a value that an installed component writes";
            report.damaged(What::Registry, place, (expected, "nothing"), mend);
        }
        Some(now) if wanted.iter().all(|it| it.kind != now.kind || it.data != now.data) => {
            let expected = "what the manifest of an installed component says";
            report.note(What::Registry, place, (expected, "changed since"), Mend::Nothing);
        }
        Some(_) => {}
    }
    Ok(())
}
