//! What the hives say of the store, read once.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    format::{
        cbs::{Identity, Version},
        hive::Value,
    },
    image::{HiveId, Image, ImageError, RegistryPath},
    servicing::cbs::layout,
};

use super::{
    content,
    report::{HealthReport, Mend, What},
};

/// What the hives say of the store. Names of keys and files are in lower case.
#[derive(Debug, Default)]
pub(super) struct Registry {
    /// Components and deployments, by key form.
    pub(super) components: BTreeMap<String, ComponentKey>,
    /// Deployments, by short key form.
    pub(super) deployments: BTreeMap<String, DeploymentKey>,
    /// Catalogs, by their hash as the key is called.
    pub(super) catalogs: BTreeSet<String>,
    /// Packages, by id as the key is called.
    pub(super) packages: BTreeMap<String, Option<u32>>,
    /// The version that wins, by winners key form; `None`: the key does not say it.
    pub(super) winners: BTreeMap<String, Option<Version>>,
    /// The COMPONENTS hive is there and was read whole.
    pub(super) components_read: bool,
    /// The SOFTWARE hive is there and was read whole.
    pub(super) software_read: bool,
    /// What keys have in this image: what none of them has is not asked of any.
    pub(super) customs: Customs,
}

/// Values that at least one key of the hive has.
#[derive(Debug, Default)]
pub(super) struct Customs {
    /// `identity` of components.
    pub(super) identities: bool,
    /// `S256H` of components.
    pub(super) hashes: bool,
    /// `f!` of components.
    pub(super) files: bool,
    /// `appid` of deployments.
    pub(super) appids: bool,
    /// `CatalogThumbprint` of deployments.
    pub(super) thumbprints: bool,
}

/// A key of `DerivedData\Components`.
#[derive(Debug, Default)]
pub(super) struct ComponentKey {
    /// The key's name, as written.
    pub(super) name: String,
    /// `identity`.
    pub(super) identity: Option<Vec<u8>>,
    /// `S256H`, whatever its length.
    pub(super) hash: Option<Vec<u8>>,
    /// `c!`: deployments it belongs to, by short key form.
    pub(super) deployments: BTreeSet<String>,
    /// `f!`: files that are staged.
    pub(super) files: BTreeSet<String>,
}

/// A key of `CanonicalData\Deployments`.
#[derive(Debug, Default)]
pub(super) struct DeploymentKey {
    /// The key's name, as written.
    pub(super) name: String,
    /// `appid`.
    pub(super) identity: Option<Identity>,
    /// It has `appid`, readable or not.
    pub(super) has_appid: bool,
    /// `CatalogThumbprint`.
    pub(super) catalog: Option<String>,
    /// `p!`: what refers to it; the name behind the mark as written, and the package and update that the data name.
    pub(super) references: BTreeMap<String, Option<(String, String)>>,
    /// `s!`, names in lower case.
    pub(super) staged: BTreeSet<String>,
    /// `i!`, names in lower case.
    pub(super) installed: BTreeSet<String>,
}

impl DeploymentKey {
    /// True when it has nothing that is known.
    pub(super) fn is_bare(&self) -> bool {
        !self.has_appid && self.catalog.is_none() && !self.is_used()
    }

    /// True when it has any mark.
    pub(super) fn is_used(&self) -> bool {
        !self.references.is_empty() || !self.staged.is_empty() || !self.installed.is_empty()
    }
}

impl ComponentKey {
    /// True when it has nothing that is known.
    pub(super) fn is_bare(&self) -> bool {
        self.identity.is_none()
            && self.hash.is_none()
            && self.deployments.is_empty()
            && self.files.is_empty()
    }

    /// `S256H` when it is a SHA-256.
    pub(super) fn sha256(&self) -> Option<[u8; 32]> {
        self.hash.as_deref()?.try_into().ok()
    }
}

/// Reads it. A hive that is there and cannot be read is a finding.
pub(super) fn read(image: &mut Image, report: &mut HealthReport) -> Registry {
    let mut registry = Registry::default();
    if image.has_hive(HiveId::Components) {
        match components(image, &mut registry) {
            Ok(()) => registry.components_read = true,
            Err(error) => hive_damaged(image, HiveId::Components, &error, report),
        }
    } else {
        report.notes.push("there is no COMPONENTS hive; its keys are not checked".to_owned());
    }
    if image.has_hive(HiveId::Software) {
        match software(image, &mut registry) {
            Ok(()) => registry.software_read = true,
            Err(error) => hive_damaged(image, HiveId::Software, &error, report),
        }
    } else {
        report.notes.push("there is no SOFTWARE hive; its keys are not checked".to_owned());
    }
    registry
}

fn hive_damaged(image: &Image, id: HiveId, error: &ImageError, report: &mut HealthReport) {
    let path = id.path(&image.system_root());
    let unread = matches!(
        error,
        ImageError::Wim(_) | ImageError::MissingBlob { .. } | ImageError::Content { .. }
    );
    let content = image.tree().lookup(&path).map(|node| image.tree().inode(node).data());
    let mend = match content.filter(|_| unread) {
        Some(content) => Mend::Same(content),
        None => Mend::Nothing,
    };
    report.unreadable.extend(content.filter(|_| unread));
    let found = content::text(error);
    report.damaged(What::Hive, &path, ("a hive that can be read", found), mend);
}

fn components(image: &mut Image, registry: &mut Registry) -> Result<(), ImageError> {
    let parent = layout::components();
    for name in image.registry_subkeys(&parent)? {
        let mut key = ComponentKey { name: name.to_string(), ..ComponentKey::default() };
        for value in image.registry_values(&parent.join(&name))? {
            let Some(text) = value.name.to_text() else { continue };
            match text.split_once('!') {
                Some(("c", rest)) => drop(key.deployments.insert(rest.to_lowercase())),
                Some(("f", rest)) => drop(key.files.insert(rest.to_lowercase())),
                _ if text.eq_ignore_ascii_case("identity") => key.identity = Some(value.data),
                _ if text.eq_ignore_ascii_case("S256H") => key.hash = Some(value.data),
                _ => {}
            }
        }
        registry.customs.identities |= key.identity.is_some();
        registry.customs.hashes |= key.hash.is_some();
        registry.customs.files |= !key.files.is_empty();
        registry.components.insert(key.name.to_lowercase(), key);
    }
    let parent = layout::deployments();
    for name in image.registry_subkeys(&parent)? {
        let mut key = DeploymentKey { name: name.to_string(), ..DeploymentKey::default() };
        for value in image.registry_values(&parent.join(&name))? {
            let Some(text) = value.name.to_text() else { continue };
            match text.split_once('!') {
                Some(("p", rest)) => {
                    key.references.insert(rest.to_owned(), reference(&value.data));
                }
                Some(("s", rest)) => drop(key.staged.insert(rest.to_lowercase())),
                Some(("i", rest)) => drop(key.installed.insert(rest.to_lowercase())),
                _ if text.eq_ignore_ascii_case("appid") => {
                    key.has_appid = true;
                    key.identity =
                        std::str::from_utf8(&value.data).ok().and_then(Identity::of_identity_text);
                }
                _ if text.eq_ignore_ascii_case("CatalogThumbprint") => {
                    key.catalog = value.as_text().map(|text| text.to_lowercase());
                }
                _ => {}
            }
        }
        registry.customs.appids |= key.has_appid;
        registry.customs.thumbprints |= key.catalog.is_some();
        registry.deployments.insert(key.name.to_lowercase(), key);
    }
    let names = image.registry_subkeys(&layout::catalogs())?;
    registry.catalogs = names.iter().map(|name| name.to_string().to_lowercase()).collect();
    Ok(())
}

/// The package and the update that the data of a `p!` value name: two words of 32 bits, then `<package id>.<update>`.
fn reference(data: &[u8]) -> Option<(String, String)> {
    let text = std::str::from_utf8(data.get(8..)?).ok()?.trim_end_matches('\0');
    let (front, back) = text.rsplit_once('~')?;
    let parts: Vec<&str> = back.splitn(5, '.').collect();
    let [major, minor, build, revision, update] = parts[..] else { return None };
    let version = Version::parse(&format!("{major}.{minor}.{build}.{revision}"))?;
    Some((format!("{front}~{version}"), update.to_owned()))
}

fn software(image: &mut Image, registry: &mut Registry) -> Result<(), ImageError> {
    let parent = layout::cbs("Packages");
    for name in image.registry_subkeys(&parent)? {
        let state = image.registry_value(&parent.join(&name), &"CurrentState".into())?;
        let number = state.and_then(|value| value.as_dword());
        registry.packages.insert(name.to_string(), number);
    }
    let parent = layout::winners();
    for name in image.registry_subkeys(&parent)? {
        let key = parent.join(&name);
        let version = winner(image, &key)?;
        registry.winners.insert(name.to_string().to_lowercase(), version);
    }
    Ok(())
}

/// The version that wins: the default value names the branch, whose key's default value is the version.
fn winner(image: &mut Image, key: &RegistryPath) -> Result<Option<Version>, ImageError> {
    let default = |value: Option<Value>| value.and_then(|value| value.as_text());
    let Some(branch) = default(image.registry_value(key, &"".into())?) else { return Ok(None) };
    let branch = key.join(&branch.as_str().into());
    let version = default(image.registry_value(&branch, &"".into())?);
    Ok(version.and_then(|text| Version::parse(&text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_of_a_reference_names_package_and_update() {
        let read = |text: &str| reference(&[&[0; 8], text.as_bytes()].concat());
        assert_eq!(
            read("A-Package~31bf3856ad364e35~amd64~~10.0.1.2.Some.Update"),
            Some(("A-Package~31bf3856ad364e35~amd64~~10.0.1.2".into(), "Some.Update".into()))
        );
        assert_eq!(read("A-Package~~amd64~~10.0.1"), None);
        assert_eq!(read("nothing"), None);
        assert_eq!(reference(&[1, 2]), None);
    }
}
