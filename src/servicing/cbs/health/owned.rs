//! What components in force own outside the store: their registry values, keys and folders.
//!
//! What is missing is damage, as a file that is missing in its place is. A value that differs is only worth knowing: settings are there to be set. Values
//! that a manifest lets others change (`mutable`) are not looked at, nor what Windows takes away itself when it is done ([`PASSING`]), nor what belongs to
//! users, nor what lies in a hive that the image does not have.

use std::collections::BTreeMap;

use crate::{
    base::{name::Name, ntpath::NtPath},
    format::hive::Value,
    image::{HiveId, Image, ImageError, RegistryPath},
    servicing::cbs::{effects::Effects, records},
};

use super::{
    absence::Known,
    manifests::Component,
    report::{HealthReport, Mend, What},
};

/// Keys whose values are used up, wherever they lie.
const PASSING: [&str; 3] = ["RunOnce", "RunOnceEx", "RunServicesOnce"];
/// The first name below SYSTEM of what setup uses up.
const SETUP: &str = "Setup";
/// Folders that captures leave out, or that belong to users: their first names.
const LEFT_OUT: [&[&str]; 4] =
    [&["Users"], &["Windows", "CSC"], &["Windows", "Temp"], &["System Volume Information"]];

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
    let mut values: BTreeMap<(String, String), Owned> = BTreeMap::new();
    let mut keys: BTreeMap<String, RegistryPath> = BTreeMap::new();
    let mut folders: BTreeMap<NtPath, Option<u32>> = BTreeMap::new();
    for (form, component) in &known.manifests.sound {
        let Component { identity, effects: Some(effects), vouched, .. } = component else {
            continue;
        };
        if !known.is_installed(form) {
            continue;
        }
        let winner = records::winner(image, &identity.winners_key_form())?;
        if winner.and_then(|winner| winner.version()) != Some(identity.version) {
            continue;
        }
        collect(effects, *vouched, &mut values);
        let lasting = effects.keys.iter().filter(|key| is_lasting(&key.path));
        keys.extend(
            lasting.map(|key| plain(&key.path)).map(|key| (key.text().to_lowercase(), key)),
        );
        for folder in effects.directories.iter().filter(|folder| folder.owner) {
            folders.entry(folder.path.clone()).or_insert(folder.attributes);
        }
    }
    for owned in values.into_values() {
        value(image, owned, report)?;
    }
    for key in keys.into_values() {
        if image.has_hive(key.hive()) && !image.registry_key_exists(&key)? {
            let mend = Mend::Restore { key: key.clone(), same: None, computed: Vec::new() };
            let texts = ("a key of an installed component", "nothing");
            report.damaged(What::Registry, key, texts, mend);
        }
    }
    for (path, attributes) in folders {
        if !is_left_out(&path) && image.tree().lookup(&path).is_none() {
            let mend = Mend::Directory { path: path.clone(), attributes };
            let texts = ("a folder of an installed component", "nothing");
            report.damaged(What::Projection, path, texts, mend);
        }
    }
    Ok(())
}

/// The path in the words of this program, not of one manifest: several name the same key.
fn plain(path: &RegistryPath) -> RegistryPath {
    match path.in_current_control_set() {
        true => path.clone(),
        false => RegistryPath::from_keys(path.hive(), path.keys().to_vec()),
    }
}

/// True for keys of the machine that Windows leaves as they are.
fn is_lasting(path: &RegistryPath) -> bool {
    let is = |name: &Name, other: &str| name.eq_ignore_case(&Name::from(other));
    let used_up = path.keys().iter().any(|name| PASSING.iter().any(|passing| is(name, passing)));
    match path.hive() {
        HiveId::Software => !used_up,
        HiveId::System => !used_up && !path.keys().first().is_some_and(|name| is(name, SETUP)),
        _ => false,
    }
}

fn is_left_out(path: &NtPath) -> bool {
    let names = path.names();
    LEFT_OUT.iter().any(|left| {
        names.len() >= left.len()
            && names.iter().zip(*left).all(|(name, other)| name.eq_ignore_case(&Name::from(*other)))
    })
}

fn collect(effects: &Effects, vouched: bool, values: &mut BTreeMap<(String, String), Owned>) {
    for value in effects.values.iter().filter(|value| !value.mutable) {
        let path = &effects.keys[value.key].path;
        if !is_lasting(path) {
            continue;
        }
        let path = plain(path);
        let name = value.value.name.to_string().to_lowercase();
        let owned = values.entry((path.text().to_lowercase(), name)).or_insert_with(|| Owned {
            path,
            wanted: Vec::new(),
            vouched: false,
        });
        owned.vouched |= vouched;
        owned.wanted.push(value.value.clone());
    }
}

fn value(image: &mut Image, owned: Owned, report: &mut HealthReport) -> Result<(), ImageError> {
    let Owned { path, wanted, vouched } = owned;
    let Some(first) = wanted.first().filter(|_| image.has_hive(path.hive())) else {
        return Ok(());
    };
    let name = first.name.to_string();
    let place = format!("{path}: {}", if name.is_empty() { "(default)" } else { &name });
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_up_or_a_users_own_is_not_missed() {
        let lasting = |text: &str| is_lasting(&RegistryPath::parse(text).unwrap());
        assert!(lasting(r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Run"));
        assert!(lasting(r"HKLM\SYSTEM\CurrentControlSet\Services\Dhcp"));
        assert!(!lasting(r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\runonce"));
        assert!(!lasting(r"HKLM\SYSTEM\Setup\Upgrade"));
        assert!(!lasting(r"HKCU\Software\Microsoft"));
        let left = |text: &str| is_left_out(&NtPath::parse(text).unwrap());
        assert!(left(r"\Users\Default\AppData") && left(r"\windows\csc"));
        assert!(!left(r"\Windows\System32") && !left(r"\Windows"));
    }
}
