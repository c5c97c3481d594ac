//! Manifests: against their names, the hive and the catalogs.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    base::{digest::Sha1, name::Name, ntpath::NtPath},
    format::{
        cbs::{
            Identity, Manifest,
            manifest::{File, FileHash},
        },
        hive::Value,
    },
    image::{BlobRef, Image, ImageError, Watch},
    servicing::cbs::{
        effects::{self, Effects},
        layout,
        macros::{Macros, Target},
        store,
    },
};

use super::{
    content::{self, sha256},
    packages::Catalogs,
    registry::{ComponentKey, Registry},
    report::{HealthReport, Mend, What, shown},
};

/// A manifest of the store that can be believed.
#[derive(Debug, Clone)]
pub(super) struct Component {
    /// What it is called.
    pub(super) identity: Identity,
    /// It only lists components.
    pub(super) deployment: bool,
    /// Its files.
    pub(super) files: Vec<StoredFile>,
    /// Key forms of the components that it installs, in the one language that it names.
    pub(super) brings: Arc<Vec<String>>,
    /// What it does to the image; `None`: a deployment, a component of another architecture, or the image does not say its own.
    pub(super) effects: Option<Arc<Effects>>,
    /// SHA-256 of its manifest's plain bytes.
    pub(super) sha256: [u8; 32],
    /// A sound catalog of the image names its manifest.
    pub(super) vouched: bool,
}

/// A file of a component.
#[derive(Debug, Clone)]
pub(super) struct StoredFile {
    /// Names below the component's folder; `None`: they are no names of files.
    pub(super) names: Option<Vec<String>>,
    /// What it holds.
    pub(super) hash: Option<FileHash>,
    /// It may be changed where it is projected to.
    pub(super) writeable: bool,
    /// Places outside the store.
    pub(super) projections: Vec<NtPath>,
    /// Places that cannot be told.
    pub(super) unknown_places: u32,
}

/// What manifests are compared with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hives<'a> {
    pub(super) registry: &'a Registry,
    pub(super) catalogs: &'a Catalogs,
    pub(super) target: Option<&'a Target>,
}

/// What of the store can be believed.
#[derive(Debug, Default)]
pub(super) struct Manifests {
    /// By key form.
    pub(super) sound: BTreeMap<String, Component>,
    /// Key forms of all that are there, sound or not, by the hash at their end.
    pub(super) by_hash: BTreeMap<String, String>,
}

/// A manifest that was read.
struct Read {
    sha256: [u8; 32],
    sha1: [u8; 20],
    parsed: Result<Component, String>,
}

/// Reads and checks all manifests.
pub(super) fn check(
    image: &Image,
    Hives { registry, catalogs, target }: Hives<'_>,
    watch: Watch<'_>,
    report: &mut HealthReport,
) -> Result<Manifests, ImageError> {
    let folder = layout::manifests(image);
    let mut files: BTreeMap<String, (NtPath, BlobRef)> = BTreeMap::new();
    let node = image.tree().lookup(&folder);
    for &child in node.map_or(&[][..], |node| image.tree().children(node)) {
        let name = image.tree().node(child).name.to_string();
        let lower = name.to_lowercase();
        let Some(key_form) = lower.strip_suffix(".manifest") else { continue };
        let path = folder.join(Name::from(name.as_str()));
        files.insert(key_form.to_owned(), (path, image.tree().inode(child).data()));
    }
    report.counts.manifests = files.len() as u64;
    let mut key_forms: BTreeMap<BlobRef, Vec<&str>> = BTreeMap::new();
    for (key_form, (_, content)) in &files {
        key_forms.entry(*content).or_default().push(key_form);
    }
    let reader = store::Manifests::default();
    let read = content::each(image, key_forms.keys().copied(), watch, &|content| {
        // Files with the same content read the same whatever they are called.
        read(image, &reader, key_forms[content][0], target)
    })?;
    let mut manifests = Manifests::default();
    for (key_form, (path, content)) in &files {
        if let Some((_, hash)) = key_form.rsplit_once('_') {
            manifests.by_hash.insert(hash.to_owned(), key_form.clone());
        }
        let key = registry.components.get(key_form);
        let wanted = key.and_then(ComponentKey::sha256);
        let mend = Mend::Manifest { key_form: key_form.clone(), wanted };
        let found = match &read[content] {
            Ok(found) => found,
            Err(why) => {
                report.unreadable(What::Manifest, path, *content, why, mend);
                continue;
            }
        };
        let judge = Judge { registry, catalogs, key_form, path, key };
        if let Some(component) = judge.judge(found, mend, report) {
            let vouched = report.vouched.names(&found.sha256, &found.sha1);
            let component = Component { vouched, ..component.clone() };
            manifests.sound.insert(key_form.clone(), component);
        }
    }
    missing(image, registry, &files, report);
    Ok(manifests)
}

fn read(
    image: &Image,
    reader: &store::Manifests,
    key_form: &str,
    target: Option<&Target>,
) -> Result<Read, String> {
    let bytes = reader.read(image, key_form).map_err(|error| content::text(&error))?;
    let bytes = bytes.ok_or("it is not there")?;
    let sha256 = sha256(&bytes);
    let parsed = Manifest::parse(&bytes).map_err(|error| error.to_string());
    let parsed = parsed.map(|manifest| Component {
        files: manifest.files.iter().map(|file| stored_file(file, &manifest, target)).collect(),
        deployment: manifest.deployment,
        brings: Arc::new(brings(&manifest)),
        effects: target
            .filter(|target| !manifest.deployment && target.takes(&manifest.identity.architecture))
            .map(|target| Arc::new(effects::effects(&manifest, target).0)),
        sha256,
        vouched: false,
        identity: manifest.identity,
    });
    Ok(Read { sha256, sha1: Sha1::of(&bytes).0, parsed })
}

/// The key forms that an identity may mean: where it does not say its scope, the components of Windows have this one.
pub(super) fn forms_of(identity: &Identity) -> Vec<String> {
    let mut forms = vec![identity.key_form()];
    if identity.version_scope.is_none() {
        let scope = Some("NonSxS".to_owned());
        forms.push(Identity { version_scope: scope, ..identity.clone() }.key_form());
    }
    forms
}

/// What a deployment installs. Components in every language that is there (`*`) are left out: which these are is not in the manifest.
fn brings(manifest: &Manifest) -> Vec<String> {
    let installs = manifest.dependencies.iter().filter(|dependency| {
        dependency.kind.eq_ignore_ascii_case("install") && dependency.identity.language != "*"
    });
    let forms = installs.flat_map(|dependency| forms_of(&dependency.identity));
    forms.collect()
}

fn stored_file(file: &File, manifest: &Manifest, target: Option<&Target>) -> StoredFile {
    let mut found = StoredFile {
        names: effects::stored_names(file).ok(),
        hash: file.hash.clone(),
        writeable: file.writeable_type.as_deref().is_some_and(|kind| !kind.is_empty()),
        projections: Vec::new(),
        unknown_places: 0,
    };
    let Some(target) = target else { return found };
    let macros = Macros::new(target, manifest);
    let name = file.projected_name();
    let main = file
        .destination_path
        .iter()
        .map(|folder| format!("{}\\{name}", folder.trim_end_matches('\\')));
    for place in main.chain(file.links.iter().cloned()) {
        match macros.path(&place) {
            Ok(path) => found.projections.push(path),
            Err(_) => found.unknown_places += 1,
        }
    }
    found
}

/// One manifest and what is known of it.
struct Judge<'a> {
    registry: &'a Registry,
    catalogs: &'a Catalogs,
    key_form: &'a str,
    path: &'a NtPath,
    key: Option<&'a ComponentKey>,
}

impl Judge<'_> {
    /// Judges it; gives it back when it can be believed.
    fn judge<'a>(
        &self,
        read: &'a Read,
        mend: Mend,
        report: &mut HealthReport,
    ) -> Option<&'a Component> {
        let wanted = self.key.and_then(ComponentKey::sha256);
        let vouched = report.vouched.names(&read.sha256, &read.sha1);
        let found = shown(&read.sha256);
        if !vouched && wanted.is_some_and(|wanted| wanted != read.sha256) {
            let expected = wanted.as_ref().map(shown).unwrap_or_default();
            report.damaged(What::Manifest, self.path, (expected, found), mend);
            return None;
        }
        if !vouched {
            match (self.catalogs_are_sound(), wanted) {
                (Some(true), _) => {
                    let expected = "a manifest that a catalog of its packages names";
                    report.damaged(What::Manifest, self.path, (expected, found), mend);
                    return None;
                }
                (Some(false), _) => report.skip("manifest whose catalog is damaged"),
                (None, _) if self.catalogs.store.is_empty() => {
                    report.skip("manifest without any catalog in the image");
                }
                (None, Some(_)) => report.skip("manifest that no catalog names"),
                (None, None) => {
                    let expected = "a manifest that the hive or a catalog names";
                    report.note(What::Manifest, self.path, (expected, found), mend);
                    return None;
                }
            }
        }
        let component = match &read.parsed {
            Ok(component) => component,
            Err(why) => {
                report.damaged(What::Manifest, self.path, ("a manifest", why.as_str()), mend);
                return None;
            }
        };
        let computed = component.identity.key_form();
        if computed != self.key_form {
            let expected = format!("the manifest of {}", self.key_form);
            report.damaged(
                What::Manifest,
                self.path,
                (expected, format!("that of {computed}")),
                mend,
            );
            return None;
        }
        if let Some(key) = self.key {
            key_agrees(key, component, read, vouched, report);
        }
        Some(component)
    }

    /// Whether the catalogs of the deployments it belongs to are sound; `None`: they are not known.
    fn catalogs_are_sound(&self) -> Option<bool> {
        let key = self.key?;
        let mut known = false;
        for deployment in &key.deployments {
            let catalog = self.registry.deployments.get(deployment)?.catalog.as_ref()?;
            if !self.catalogs.has(catalog) {
                return Some(false);
            }
            known = true;
        }
        known.then_some(true)
    }
}

/// Compares the key of a component with its manifest, which is at least what the key says or what a catalog names.
fn key_agrees(
    key: &ComponentKey,
    component: &Component,
    read: &Read,
    vouched: bool,
    report: &mut HealthReport,
) {
    let path = layout::components().join(&Name::from(key.name.as_str()));
    let set = |name: &str, data: Vec<u8>| match vouched {
        true => Mend::Set { key: path.clone(), value: Value::binary(name, data) },
        false => Mend::Nothing,
    };
    let place = |name: &str| format!("{path}: {name}");
    match (&key.hash, key.sha256()) {
        (Some(_), Some(hash)) if hash == read.sha256 => {}
        (None, _) => report.skip("component key without S256H"),
        (Some(bytes), hash) => {
            let found = match &hash {
                Some(hash) => shown(hash),
                None => format!("{} bytes", bytes.len()),
            };
            let mend = set("S256H", read.sha256.to_vec());
            report.damaged(What::Registry, place("S256H"), (shown(&read.sha256), found), mend);
        }
    }
    let Some(bytes) = &key.identity else {
        report.skip("component key without identity");
        return;
    };
    let text = String::from_utf8_lossy(bytes);
    let read = Identity::of_identity_text(&text);
    if read.is_none_or(|identity| identity.key_form() != key.name.to_lowercase()) {
        let expected = component.identity.identity_text();
        let mend = set("identity", expected.clone().into_bytes());
        report.damaged(What::Registry, place("identity"), (expected, text), mend);
    }
}

/// Components that the hive has and whose manifest is not there.
fn missing(
    image: &Image,
    registry: &Registry,
    files: &BTreeMap<String, (NtPath, BlobRef)>,
    report: &mut HealthReport,
) {
    for (key_form, key) in &registry.components {
        if files.contains_key(key_form) {
            continue;
        }
        let staged = key.deployments.iter().any(|deployment| {
            let deployment = registry.deployments.get(deployment);
            deployment.is_some_and(|key| !key.staged.is_empty() || !key.installed.is_empty())
        });
        if !staged {
            report.skip("component that is not staged");
            continue;
        }
        let wanted = key.sha256();
        let expected = wanted.as_ref().map_or_else(|| "a manifest".to_owned(), shown);
        let mend = Mend::Manifest { key_form: key_form.clone(), wanted };
        let path = layout::manifest(image, key_form);
        report.damaged(What::Manifest, path, (expected, "nothing"), mend);
    }
}
