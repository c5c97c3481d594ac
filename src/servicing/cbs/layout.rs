//! Where Component Based Servicing keeps things: folders of the image and keys of its hives (`facts/cbs-registry.md`).

use crate::{
    base::{name::Name, ntpath::NtPath},
    image::{HiveId, Image, RegistryPath},
};

/// The folder of CatRoot that holds the catalogs of packages.
pub const CATROOT: &str = "{F750E6C3-38EE-11D1-85E5-00C04FC295EE}";

fn below(image: &Image, names: &[&str]) -> NtPath {
    let names =
        std::iter::once(image.system_root()).chain(names.iter().map(|name| Name::from(*name)));
    NtPath::from_names(names.collect())
}

/// `Windows\WinSxS`.
#[must_use]
pub fn component_store(image: &Image) -> NtPath {
    below(image, &["WinSxS"])
}

/// `Windows\WinSxS\<key form>`: the payload of a component.
#[must_use]
pub fn component(image: &Image, key_form: &str) -> NtPath {
    below(image, &["WinSxS", key_form])
}

/// `Windows\WinSxS\Manifests`.
#[must_use]
pub fn manifests(image: &Image) -> NtPath {
    below(image, &["WinSxS", "Manifests"])
}

/// `Windows\WinSxS\Manifests\<key form>.manifest`.
#[must_use]
pub fn manifest(image: &Image, key_form: &str) -> NtPath {
    below(image, &["WinSxS", "Manifests", &format!("{key_form}.manifest")])
}

/// `Windows\WinSxS\Catalogs\<SHA-256>.cat`.
#[must_use]
pub fn catalog(image: &Image, sha256: &str) -> NtPath {
    below(image, &["WinSxS", "Catalogs", &format!("{sha256}.cat")])
}

/// `Windows\System32\CatRoot\{...}\<package id>.cat`.
#[must_use]
pub fn catroot(image: &Image, package: &str) -> NtPath {
    below(image, &["System32", "CatRoot", CATROOT, &format!("{package}.cat")])
}

/// `Windows\servicing\Packages`.
#[must_use]
pub fn packages(image: &Image) -> NtPath {
    below(image, &["servicing", "Packages"])
}

/// `Windows\servicing\Packages\<package id>.mum`.
#[must_use]
pub fn mum(image: &Image, package: &str) -> NtPath {
    below(image, &["servicing", "Packages", &format!("{package}.mum")])
}

/// `Windows\servicing\Packages\<package id>.cat`.
#[must_use]
pub fn mum_catalog(image: &Image, package: &str) -> NtPath {
    below(image, &["servicing", "Packages", &format!("{package}.cat")])
}

fn key(hive: HiveId, path: &str) -> RegistryPath {
    RegistryPath::from_keys(hive, path.split('\\').map(Name::from).collect())
}

/// `HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing\<below>`; `below` is `Packages`, `PackageIndex`, `PackageDetect`, ...
#[must_use]
pub fn cbs(below: &str) -> RegistryPath {
    key(
        HiveId::Software,
        &format!(r"Microsoft\Windows\CurrentVersion\Component Based Servicing\{below}"),
    )
}

/// `HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\SideBySide\Winners`.
#[must_use]
pub fn winners() -> RegistryPath {
    key(HiveId::Software, r"Microsoft\Windows\CurrentVersion\SideBySide\Winners")
}

/// `HKLM\COMPONENTS\DerivedData\Components`: a key for each component, by key form.
#[must_use]
pub fn components() -> RegistryPath {
    key(HiveId::Components, r"DerivedData\Components")
}

/// `HKLM\COMPONENTS\CanonicalData\Deployments`: a key for each deployment, by short key form.
#[must_use]
pub fn deployments() -> RegistryPath {
    key(HiveId::Components, r"CanonicalData\Deployments")
}

/// How an update of a package is called where it holds a deployment, in lower case: `cbs_<package id>.<update>`; `p!`, `s!` or `i!` stands before it.
#[must_use]
pub fn reference(package: &str, update: &str) -> String {
    format!("CBS_{package}.{update}").to_lowercase()
}

/// [`reference()`] as it is written: with `CBS_` in capitals, as Windows has it. Names of values compare without case.
#[must_use]
pub fn written_reference(package: &str, update: &str) -> String {
    let lower = reference(package, update);
    format!("CBS_{}", lower.strip_prefix("cbs_").unwrap_or(&lower))
}

/// `HKLM\COMPONENTS\CanonicalData\Catalogs`: a key for each catalog, by its SHA-256.
#[must_use]
pub fn catalogs() -> RegistryPath {
    key(HiveId::Components, r"CanonicalData\Catalogs")
}

/// True for `Packages\<id>` of [`cbs`].
#[must_use]
pub fn is_package_key(path: &RegistryPath) -> bool {
    let (above, keys) = (cbs("Packages"), path.keys());
    path.hive() == above.hive()
        && keys.len() == above.keys().len() + 1
        && keys.iter().zip(above.keys()).all(|(one, other)| one.eq_ignore_case(other))
}

/// True for the keys that the component store itself is kept in, and all below them.
#[must_use]
pub fn is_own_key(path: &RegistryPath) -> bool {
    let is_below = |above: &RegistryPath| {
        path.hive() == above.hive()
            && path.keys().len() >= above.keys().len()
            && path.keys().iter().zip(above.keys()).all(|(one, other)| one.eq_ignore_case(other))
    };
    let servicing =
        key(HiveId::Software, r"Microsoft\Windows\CurrentVersion\Component Based Servicing");
    path.hive() == HiveId::Components || is_below(&servicing) || is_below(&winners())
}

/// `HKLM\COMPONENTS\DerivedData\VersionedIndex`: a cache that is dropped after every change.
#[must_use]
pub fn versioned_index() -> RegistryPath {
    key(HiveId::Components, r"DerivedData\VersionedIndex")
}
