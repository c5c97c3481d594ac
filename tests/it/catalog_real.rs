//! Catalogs of real driver packages: what is read of them, which files they name, what their signatures are worth.
//!
//! The expected values come from outside of this program (2026-11): members and digests from a reference of our own over another
//! ASN.1 library; signatures and chains from `osslsigncode verify` with the roots of Microsoft's program, which agrees on 144 of 147
//! catalogs. The other three are Arduino srl's, whose countersignatures by Symantec's service pad the bare digest; OpenSSL refuses
//! that form.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use transom::{
    base::read_at::FileSource,
    format::catalog::{Catalog, FileDigests, MemberKind, Trust},
};
use walkdir::WalkDir;

use crate::support;

/// Catalogs of the shared data by folder of the package, leaf and class: how many there are.
const EXPECTED: &[(&str, &str, Trust, usize)] = &[
    ("arduino", "Adafruit Industries", Trust::Authenticode, 1),
    ("arduino", "Arduino LLC", Trust::Authenticode, 3),
    ("arduino", "Arduino srl", Trust::Authenticode, 3),
    ("arduino", HARDWARE_PUBLISHER, Trust::Whql, 3),
    ("softether", HARDWARE_PUBLISHER, Trust::Whql, 129),
    ("wintun-0.14.1", HARDWARE_PUBLISHER, Trust::Whql, 7),
    ("wintun-0.14.1", "WireGuard LLC", Trust::Authenticode, 1),
];

const HARDWARE_PUBLISHER: &str = "Microsoft Windows Hardware Compatibility Publisher";

#[test]
fn every_catalog_of_the_data_has_the_class_it_must_have() {
    let Some(root) = support::shared_data("drivers/packages") else { return };
    let mut found = BTreeMap::new();
    for path in catalogs(&root) {
        let catalog = read(&path);
        let verdict = catalog.verify();
        let folder = path.strip_prefix(&root).unwrap().components().next().unwrap();
        let folder = folder.as_os_str().to_str().unwrap().to_owned();
        assert!(verdict.signed_at.is_some(), "{}: {}", path.display(), verdict.reason);
        assert_eq!(verdict.reason.is_empty(), verdict.trust == Trust::Whql);
        assert_eq!(verdict.chain[0], verdict.signer);
        if verdict.trust == Trust::Whql {
            assert!(verdict.submission_id.is_some(), "{}", path.display());
            assert!(reaches_a_known_root(&verdict.chain), "{:?}", verdict.chain);
        }
        assert!(catalog.attribute("OS").is_some(), "{}", path.display());
        *found.entry((folder, verdict.signer, verdict.trust)).or_insert(0) += 1;
    }
    let expected: BTreeMap<_, _> = EXPECTED
        .iter()
        .map(|(folder, signer, trust, count)| {
            (((*folder).to_owned(), (*signer).to_owned(), *trust), *count)
        })
        .collect();
    assert_eq!(found, expected);
}

/// The root is in no catalog: its key in our table verified the topmost certificate.
fn reaches_a_known_root(chain: &[String]) -> bool {
    chain.last().is_some_and(|name| name.starts_with("Microsoft Root Certificate Authority"))
}

#[test]
fn catalogs_of_windows_itself_are_microsofts_but_no_drivers_and_development_ones_are_tests() {
    let Some(root) = support::shared_data("cbs") else { return };
    for path in catalogs(&root) {
        let verdict = read(&path).verify();
        let development = path.to_string_lossy().contains("edition_mum");
        let expected = if development { Trust::Test } else { Trust::Authenticode };
        assert_eq!(verdict.trust, expected, "{}: {}", path.display(), verdict.reason);
        assert_eq!(verdict.signer, "Microsoft Windows");
        assert_eq!(reaches_a_known_root(&verdict.chain), !development);
    }
}

#[test]
fn every_file_of_a_package_is_named_by_a_catalog_beside_it() {
    let Some(root) = support::shared_data("drivers/packages") else { return };
    // By file: whether a catalog in its folder has its digest, and as what. A folder may hold the catalogs of several architectures
    // that all speak of one name.
    let mut files: BTreeMap<PathBuf, Option<MemberKind>> = BTreeMap::new();
    for path in catalogs(&root) {
        let catalog = read(&path);
        for name in catalog.members().iter().filter_map(|member| member.file.as_deref()) {
            let Some(file) = beside(&path, name) else { continue };
            let digests = FileDigests::of(&FileSource::open(&file).unwrap()).unwrap();
            let found = files.entry(file).or_default();
            if catalog.contains(&digests) {
                *found = Some(if digests.pe.is_some() { MemberKind::Pe } else { MemberKind::Flat });
            }
        }
    }
    let missing: Vec<&PathBuf> =
        files.iter().filter(|(_, found)| found.is_none()).map(|(file, _)| file).collect();
    assert!(missing.is_empty(), "no catalog has the digest of {missing:?}");
    let count = |kind| files.values().filter(|found| **found == Some(kind)).count();
    assert_eq!((count(MemberKind::Pe), count(MemberKind::Flat)), (133, 142));
}

#[test]
fn a_changed_byte_of_a_real_catalog_is_not_trusted() {
    let Some(root) = support::shared_data("drivers/packages/wintun-0.14.1/amd64") else { return };
    let path = catalogs(&root).into_iter().next().unwrap();
    let bytes = fs_err::read(&path).unwrap();
    assert_eq!(Catalog::parse(&bytes).unwrap().verify().trust, Trust::Whql);
    let mut outside = 0;
    for index in (0..bytes.len()).step_by(bytes.len() / 400) {
        let mut changed = bytes.clone();
        changed[index] ^= 0x10;
        let Ok(catalog) = Catalog::parse(&changed) else { continue };
        let original = Catalog::parse(&bytes).unwrap();
        if catalog.verify().trust == Trust::Whql {
            // Parts that no signature covers and nothing is read from: certificates that are not needed, attribute certificates.
            assert_eq!(catalog.members(), original.members());
            assert!(catalog.attributes().eq(original.attributes()));
            outside += 1;
        }
    }
    assert!(outside < 200, "{outside} of 400 changes did not matter");
}

fn read(path: &Path) -> Catalog {
    Catalog::parse(&fs_err::read(path).unwrap())
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The file of that name in the catalog's folder, in whatever case.
fn beside(catalog: &Path, name: &str) -> Option<PathBuf> {
    let folder = fs_err::read_dir(catalog.parent().unwrap()).unwrap();
    let names = folder.map(|entry| entry.unwrap().path());
    let is =
        |path: &PathBuf| path.file_name().is_some_and(|found| found.eq_ignore_ascii_case(name));
    names.into_iter().find(is)
}

fn catalogs(root: &Path) -> Vec<PathBuf> {
    let all =
        WalkDir::new(root).sort_by_file_name().into_iter().map(|entry| entry.unwrap().into_path());
    let is = |path: &PathBuf| {
        path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("cat"))
    };
    all.filter(is).collect()
}
