//! Real packages and manifests: every one is read, and identities give the names they really have.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use transom::{
    base::name::Name,
    format::{
        cbs::{Identity, Manifest, Mum, manifest::FileHash, xml::Element},
        reg_text::{self, RegAction, RegEntry},
    },
};

use super::support;

/// Every file below `folder` whose name ends so, in order.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = walkdir::WalkDir::new(folder)
        .into_iter()
        .map(|entry| entry.expect("a readable folder").into_path())
        .filter(|path| path.to_string_lossy().ends_with(ending))
        .collect();
    found.sort();
    found
}

fn read(path: &Path) -> Vec<u8> {
    fs_err::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn manifest(path: &Path) -> Manifest {
    Manifest::parse(&read(path)).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn mum(path: &Path) -> Mum {
    Mum::parse(&read(path)).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The name of the file up to `ending`.
fn stem(path: &Path, ending: &str) -> String {
    let name = path.file_name().expect("a file").to_string_lossy();
    name.strip_suffix(ending).expect("the ending").to_owned()
}

#[test]
fn every_sample_of_an_element_is_read() {
    let Some(folder) = support::shared_data("cbs/manifests") else { return };
    let mut others: Vec<String> = Vec::new();
    let mut unknown: Vec<String> = Vec::new();
    let samples = files(&folder, ".xml");
    assert_eq!(samples.len(), 25);
    for path in samples {
        if stem(&path, ".xml").starts_with("pkg_") {
            unknown.extend(mum(&path).unknown.into_iter().map(|unknown| unknown.path));
            continue;
        }
        let manifest = manifest(&path);
        let hashed = manifest.files.iter().all(|f| matches!(f.hash, Some(FileHash::Sha256(_))));
        assert!(hashed, "{}", path.display());
        others.extend(manifest.others.into_iter().map(|other| other.path));
    }
    others.sort();
    others.dedup();
    assert!(unknown.is_empty(), "{unknown:?}");
    let expected = [
        "SecureBoot",
        "appxRegistration",
        "configuration",
        "file/signatureInfo",
        "file/systemProtection",
        "file/windowClass",
        "registryKeys/registryKey/overridable",
        "taskScheduler",
    ];
    for path in expected {
        assert!(others.iter().any(|other| other == path), "{path}: {others:?}");
    }
    for modelled in ["dependency", "file/hash", "memberships/categoryMembership"] {
        assert!(!others.iter().any(|other| other == modelled), "{others:?}");
    }
}

#[test]
fn a_real_service_is_read_whole() {
    let Some(path) = support::shared_data("cbs/manifests/comp_service.xml") else { return };
    let manifest = manifest(&path);
    assert!(manifest.others.is_empty(), "{:?}", manifest.others);
    let service = &manifest.memberships[0];
    assert_eq!(service.type_name, "Service");
    let data = service.instances[0].1.child("serviceData").expect("a service");
    assert_eq!(data.attribute("imagePath"), Some(r"System32\Drivers\cng.sys"));
    assert_eq!(manifest.security.len(), 3);
}

#[test]
fn editions_list_their_packages() {
    let Some(folder) = support::shared_data("cbs/edition_mum") else { return };
    let mums = files(&folder, ".mum");
    assert_eq!(mums.len(), 2);
    for path in mums {
        let mum = mum(&path);
        assert_eq!(mum.identity.package_id(), stem(&path, ".mum"));
        assert_eq!(mum.release_type, "Product");
        assert!(mum.unknown.is_empty(), "{:?}", mum.unknown);
        // An edition only brings packages; its features are those of the packages.
        assert_eq!(mum.features().count(), 0);
        assert!(mum.updates.len() >= 15, "{}", mum.updates.len());
        for update in &mum.updates {
            assert_eq!(update.packages.len(), 1, "{}", update.name);
            assert_eq!(update.packages[0].identity.version, mum.identity.version);
            assert_eq!(update.packages[0].contained, Some(false));
        }
    }
}

#[test]
fn a_real_feature_has_its_state_and_dependants() {
    let Some(path) = support::shared_data("cbs/manifests/pkg_pkg.xml") else { return };
    let mum = mum(&path);
    let features: Vec<_> = mum.features().collect();
    let [feature] = features[..] else { panic!("{features:?}") };
    assert_eq!(feature.name, "SearchEngine-Client-Package");
    assert_eq!(feature.display_name.as_deref(), Some("Windows Search"));
    let selectable = feature.selectable.as_ref().expect("a feature");
    assert_eq!((selectable.disposition.as_str(), selectable.default), ("staged", Some(true)));
    let dependants = mum.updates.iter().filter(|update| {
        update.applicable.iter().any(|a| a.updates.iter().any(|u| u.name == feature.name))
    });
    assert_eq!(dependants.count(), 2);
}

#[test]
fn every_package_of_the_update_is_read() {
    let Some(folder) = support::shared_data("cbs/msu/unpacked") else { return };
    let mums = files(&folder, ".mum");
    assert_eq!(mums.len(), 5);
    for path in mums {
        let mum = mum(&path);
        assert!(mum.unknown.is_empty(), "{:?}", mum.unknown);
        assert_eq!(mum.parents.len(), 1);
        let installer = mum.installer.as_ref().expect("a servicing stack");
        assert_eq!(installer.version.to_string(), "6.1.7601.24516");
        let name = stem(&path, ".mum");
        if name != "update" {
            assert_eq!(mum.identity.package_id().to_lowercase(), name);
        }
    }
    let manifests = files(&folder, ".manifest");
    for path in &manifests {
        assert_eq!(manifest(path).identity.key_form(), stem(path, ".manifest"));
    }
    // Two deployments, two architectures of a component, and an installer; the folder `delta` may have them again.
    assert!(manifests.len() >= 5, "{manifests:?}");
}

#[test]
fn components_of_windows_11_have_their_names() {
    let Some(folder) = support::shared_data("cbs/dcm") else { return };
    let decoded = files(&folder, ".manifest.xml");
    assert_eq!(decoded.len(), 4);
    for path in decoded {
        let manifest = manifest(&path);
        assert_eq!(manifest.identity.key_form(), stem(&path, ".manifest.xml"));
        let text = manifest.identity.identity_text();
        assert_eq!(
            Identity::of_identity_text(&text).expect("comes back").key_form(),
            manifest.identity.key_form()
        );
    }
}

/// A value's name and data.
type Exported = (String, Vec<u8>);

/// The keys of an export: the last name of each, and its values.
fn exported(path: &Path) -> Vec<(String, Vec<Exported>)> {
    let entries =
        reg_text::parse(&read(path)).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let values = |entry: &RegEntry| match &entry.action {
        RegAction::Values(values) => values
            .iter()
            .filter_map(|(name, data)| Some((name.to_string(), data.as_ref()?.1.clone())))
            .collect(),
        RegAction::DeleteKey => Vec::new(),
    };
    let last = |entry: &RegEntry| entry.key.rsplit('\\').next().unwrap_or_default().to_owned();
    entries.iter().map(|entry| (last(entry), values(entry))).collect()
}

#[test]
fn key_forms_identities_and_hashes_are_those_that_windows_exported() {
    let Some(folder) = support::shared_data("cbs/keyforms") else { return };
    let manifests = files(&folder, ".manifest");
    assert!(manifests.len() >= 50, "{}", manifests.len());
    let (mut components, mut winners) = (0, 0);
    for path in &manifests {
        let manifest = manifest(path);
        let identity = &manifest.identity;
        let key_form = identity.key_form();
        assert_eq!(key_form, stem(path, ".manifest"));
        assert!(!manifest.others.is_empty(), "its only content is an element that is not modelled");
        let folder = path.parent().expect("a folder");
        for export in files(folder, ".reg") {
            for (key, values) in exported(&export) {
                let value = |name: &str| {
                    values
                        .iter()
                        .find(|(n, _)| Name::from(n.as_str()) == Name::from(name))
                        .map(|(_, data)| data.clone())
                };
                if key == key_form {
                    components += 1;
                    let text =
                        String::from_utf8(value("identity").expect("identity")).expect("ASCII");
                    assert_eq!(identity.identity_text(), text);
                    // The data has the manifests with LF; Windows hashed them with CRLF.
                    let plain = String::from_utf8(read(path)).expect("UTF-8");
                    let plain = plain.replace("\r\n", "\n").replace('\n', "\r\n");
                    assert_eq!(
                        Sha256::digest(plain.as_bytes()).to_vec(),
                        value("S256H").expect("S256H"),
                        "{}",
                        path.display()
                    );
                } else if key == identity.winners_key_form() {
                    winners += 1;
                }
            }
        }
    }
    println!("{} manifests, {components} components, {winners} winners", manifests.len());
    assert!(components >= manifests.len() - 1, "{components} of {}", manifests.len());
    assert!(winners >= manifests.len() - 1, "{winners} of {}", manifests.len());
}

#[test]
fn a_real_manifest_without_its_model_keeps_every_element() {
    let Some(folder) = support::shared_data("cbs/manifests") else { return };
    // Whatever stands directly below the root is either modelled or listed.
    let modelled = [
        "assemblyIdentity",
        "deployment",
        "dependency",
        "file",
        "directories",
        "registryKeys",
        "trustInfo",
        "memberships",
        "localization",
    ];
    for path in files(&folder, ".xml") {
        let root = Element::parse(&read(&path)).expect("XML");
        if root.child("package").is_some() {
            continue;
        }
        let manifest = Manifest::of_element(&root).expect("a manifest");
        for child in root.children.iter().filter(|child| !modelled.contains(&child.name.as_str())) {
            let kept = manifest.others.iter().any(|o| o.path == child.name && o.line == child.line);
            assert!(kept, "{}: {}", path.display(), child.name);
        }
    }
}
