//! What an image has, as people ask for it: features, capabilities, languages, pending work, the servicing stack.

use std::collections::BTreeMap;

use crate::{
    base::name::Name,
    format::cbs::{
        Version,
        mum::{CapabilityIdentity, Mum, Update},
    },
    image::{HiveId, Image, ImageError, RegistryPath},
};

use super::{
    layout,
    store::{self, InstalledPackage, PackageState},
};

/// A feature: an update of a package that a person can select.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct InstalledFeature {
    /// Its name.
    pub name: String,
    /// The package whose update it is. Where several versions of a package are there, the newest of those that are installed.
    pub package: String,
    /// Whether it is on.
    pub status: FeatureStatus,
    /// What people call it.
    pub display_name: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// Features that it needs.
    pub parents: Vec<String>,
    /// Features that need it.
    pub dependants: Vec<String>,
    /// Updates of its package that come and go with it and are no features.
    pub parts: Vec<String>,
    /// `possible`, `required`: whether Windows must start again after it is switched.
    pub restart: Option<String>,
    /// Whether it is on when nobody chose.
    pub default: bool,
}

/// Whether a feature is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FeatureStatus {
    /// On.
    Enabled,
    /// Off; what it needs is in the image.
    Disabled,
    /// Off, and what it needs is not in the image.
    Removed,
    /// It will be on when Windows has started.
    EnablePending,
    /// It will be off when Windows has started.
    DisablePending,
}

impl FeatureStatus {
    /// The word for it: `enabled`, `enable-pending`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Enabled => "enabled",
            Self::Disabled => "disabled",
            Self::Removed => "removed",
            Self::EnablePending => "enable-pending",
            Self::DisablePending => "disable-pending",
        }
    }
}

/// What the hive says of a feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Recorded {
    /// The number in `Packages\<id>\Updates`.
    update: Option<u32>,
    /// `Selection` in `Notifications\OptionalFeatures\<name>`.
    selection: Option<u32>,
    /// `Removed` there.
    removed: Option<u32>,
}

/// The features of the image, sorted by name without case. `packages` is what [`store::packages`] gives.
///
/// # Errors
/// When the SOFTWARE hive is missing or damaged.
pub fn features(
    packages: &[InstalledPackage],
    image: &mut Image,
) -> Result<Vec<InstalledFeature>, ImageError> {
    let states: BTreeMap<String, PackageState> =
        packages.iter().map(|package| (package.id.to_lowercase(), package.state)).collect();
    let chosen = chosen(packages);
    let mut found = Vec::new();
    for (package, mum, feature) in chosen.values() {
        let key =
            layout::cbs(r"Notifications\OptionalFeatures").join(&feature.name.as_str().into());
        let recorded = Recorded {
            update: number_of(package, &feature.name),
            selection: dword(image, &key, "Selection")?,
            removed: dword(image, &key, "Removed")?,
        };
        let default = feature.selectable.as_ref().and_then(|selectable| selectable.default);
        let default = default.unwrap_or(false);
        let mut status = status(package.state, recorded, default);
        if status == FeatureStatus::Disabled && !payload_is_there(feature, &states) {
            status = FeatureStatus::Removed;
        }
        let is_known = |name: &&str| chosen.contains_key(&name.to_lowercase());
        let mine = |update: &&Update| {
            update.selectable.is_none()
                && needed(update).any(|name| name.eq_ignore_ascii_case(&feature.name))
        };
        let parts = mum.updates.iter().filter(mine).map(|update| update.name.clone());
        found.push(InstalledFeature {
            name: feature.name.clone(),
            package: package.id.clone(),
            status,
            display_name: feature.display_name.clone(),
            description: feature.description.clone(),
            parents: needed(feature).filter(is_known).map(str::to_owned).collect(),
            dependants: Vec::new(),
            parts: parts.collect(),
            restart: feature.restart.clone().or_else(|| mum.restart.clone()),
            default,
        });
    }
    let dependants: Vec<(String, String)> = found
        .iter()
        .flat_map(|f| f.parents.iter().map(|parent| (parent.to_lowercase(), f.name.clone())))
        .collect();
    for feature in &mut found {
        let name = feature.name.to_lowercase();
        let mine = dependants.iter().filter(|(parent, _)| *parent == name);
        feature.dependants = mine.map(|(_, name)| name.clone()).collect();
    }
    Ok(found)
}

/// Every feature once, by name in lower case: that of the newest of the installed versions of its package, else of the staged ones.
fn chosen(packages: &[InstalledPackage]) -> BTreeMap<String, (&InstalledPackage, &Mum, &Update)> {
    let rank = |package: &InstalledPackage| {
        let state = package.state;
        (state.is_installed(), state.is_staged(), package.identity.version)
    };
    let mut chosen = BTreeMap::new();
    for package in packages.iter().filter(|package| package.state != PackageState::Absent) {
        let Some(mum) = &package.mum else { continue };
        for feature in mum.features() {
            let name = feature.name.to_lowercase();
            let place = chosen.entry(name).or_insert((package, mum, feature));
            if rank(package) > rank(place.0) {
                *place = (package, mum, feature);
            }
        }
    }
    chosen
}

/// The names of updates that an update needs: those of `applicable/detectUpdate`.
fn needed(update: &Update) -> impl Iterator<Item = &str> {
    update.applicable.iter().flat_map(|a| &a.updates).map(|update| update.name.as_str())
}

fn number_of(package: &InstalledPackage, update: &str) -> Option<u32> {
    let found = package.updates.iter().find(|(name, _)| name.eq_ignore_ascii_case(update));
    found.map(|(_, number)| *number)
}

/// Whether a feature is on.
///
/// That a feature's state follows from its package's state, its number in `Updates`, the choice in `Notifications` and the default of its mum is known from
/// open tools. How the four go together is a guess (`facts/cbs-registry.md`, section 2): a package that is not installed has no features on; then the number
/// in `Updates`, read as a package's state in its low 16 bits, counts more than the choice, and that more than the default.
fn status(package: PackageState, recorded: Recorded, default: bool) -> FeatureStatus {
    if recorded.removed == Some(1) {
        return FeatureStatus::Removed;
    }
    match package {
        PackageState::Absent
        | PackageState::Resolving
        | PackageState::Resolved
        | PackageState::Staging => {
            return FeatureStatus::Removed;
        }
        PackageState::Staged | PackageState::Superseded => return FeatureStatus::Disabled,
        PackageState::UninstallPending => return FeatureStatus::DisablePending,
        _ => {}
    }
    let on = match recorded.update.map(|number| PackageState::of_number(number & 0xffff)) {
        Some(PackageState::Installed | PackageState::Permanent) => true,
        Some(PackageState::InstallPending | PackageState::PartiallyInstalled) => {
            return FeatureStatus::EnablePending;
        }
        Some(PackageState::UninstallPending) => return FeatureStatus::DisablePending,
        Some(PackageState::Resolving | PackageState::Resolved | PackageState::Staging) => {
            return FeatureStatus::Removed;
        }
        Some(PackageState::Absent | PackageState::Staged | PackageState::Superseded) => false,
        Some(PackageState::Other(_)) | None => {
            recorded.selection.map_or(default, |chosen| chosen == 1)
        }
    };
    match (on, package) {
        (true, PackageState::InstallPending) => FeatureStatus::EnablePending,
        (true, _) => FeatureStatus::Enabled,
        (false, _) => FeatureStatus::Disabled,
    }
}

/// True when a package that the feature brings is staged, or it brings none: a feature whose packages are all gone cannot be enabled without a source. That
/// Windows sees it so is a guess.
fn payload_is_there(feature: &Update, states: &BTreeMap<String, PackageState>) -> bool {
    let staged = |id: String| states.get(&id.to_lowercase()).is_some_and(|state| state.is_staged());
    feature.packages.is_empty()
        || feature.packages.iter().any(|package| staged(package.identity.package_id()))
}

/// A capability that the image has, or knows of.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct InstalledCapability {
    /// What people write: `OpenSSH.Server~~~~0.0.1.0`.
    pub id: String,
    /// The id, taken apart.
    #[serde(skip)]
    pub identity: CapabilityIdentity,
    /// Whether it is there.
    pub status: CapabilityStatus,
    /// The packages that are it, those that are not in the image too.
    pub packages: Vec<String>,
    /// What people call it.
    pub display_name: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// Capabilities that it needs.
    pub needs: Vec<String>,
}

/// Whether a capability is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CapabilityStatus {
    /// None of its packages is in the image.
    NotPresent,
    /// Its payload is in the image.
    Staged,
    /// It will be gone when Windows has started.
    UninstallPending,
    /// It will be there when Windows has started.
    InstallPending,
    /// It is there.
    Installed,
}

impl CapabilityStatus {
    /// The word for it: `installed`, `not-present`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NotPresent => "not-present",
            Self::Staged => "staged",
            Self::UninstallPending => "uninstall-pending",
            Self::InstallPending => "install-pending",
            Self::Installed => "installed",
        }
    }

    fn of(state: PackageState) -> Self {
        match state {
            PackageState::Installed | PackageState::Permanent => Self::Installed,
            PackageState::InstallPending | PackageState::PartiallyInstalled => Self::InstallPending,
            PackageState::UninstallPending => Self::UninstallPending,
            PackageState::Staged | PackageState::Superseded => Self::Staged,
            _ => Self::NotPresent,
        }
    }
}

/// The capabilities that packages of the image say they are, and those that `CapabilityIndex` or an edition knows, sorted by id without case.
///
/// # Errors
/// When the SOFTWARE hive is missing or damaged.
pub fn capabilities(
    packages: &[InstalledPackage],
    image: &mut Image,
) -> Result<Vec<InstalledCapability>, ImageError> {
    let mut found: BTreeMap<String, InstalledCapability> = BTreeMap::new();
    for package in packages {
        let Some(mum) = &package.mum else { continue };
        for declared in &mum.capabilities {
            let capability = noted(&mut found, &declared.identity);
            let status = CapabilityStatus::of(package.state);
            if status >= capability.status {
                capability.display_name = mum.display_name.clone();
                capability.description = mum.description.clone();
                capability.needs = declared.dependencies.iter().map(ToString::to_string).collect();
                capability.status = status;
            }
            add(&mut capability.packages, &package.id);
        }
        for brought in mum.updates.iter().flat_map(|update| &update.capabilities) {
            noted(&mut found, brought);
        }
    }
    let index = layout::cbs("CapabilityIndex");
    for name in image.registry_subkeys(&index)? {
        let text = name.to_string();
        let identity = CapabilityIdentity::parse(&text).unwrap_or(CapabilityIdentity {
            name: text,
            version: String::new(),
            language: String::new(),
        });
        let values = image.registry_values(&index.join(&name))?;
        let capability = noted(&mut found, &identity);
        for value in values {
            let id = value.name.to_string();
            if id.contains('~') {
                add(&mut capability.packages, &id);
                let state = packages.iter().find(|package| package.id.eq_ignore_ascii_case(&id));
                let status = state.map_or(CapabilityStatus::NotPresent, |package| {
                    CapabilityStatus::of(package.state)
                });
                capability.status = capability.status.max(status);
            }
        }
    }
    for capability in found.values_mut() {
        capability.packages.sort_by_cached_key(|id| id.to_lowercase());
    }
    Ok(found.into_values().collect())
}

fn noted<'a>(
    found: &'a mut BTreeMap<String, InstalledCapability>,
    identity: &CapabilityIdentity,
) -> &'a mut InstalledCapability {
    let id = identity.to_string();
    found.entry(id.to_lowercase()).or_insert_with(|| InstalledCapability {
        id,
        identity: identity.clone(),
        status: CapabilityStatus::NotPresent,
        packages: Vec::new(),
        display_name: None,
        description: None,
        needs: Vec::new(),
    })
}

fn add(to: &mut Vec<String>, id: &str) {
    if !to.iter().any(|known| known.eq_ignore_ascii_case(id)) {
        to.push(id.to_owned());
    }
}

/// A display language of the image.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct InstalledLanguage {
    /// Its tag: `de-DE`.
    pub tag: String,
    /// It is in `MUI\UILanguages`: Windows offers it.
    pub registered: bool,
    /// Windows starts in it.
    pub default: bool,
    /// The number that Windows has for it.
    pub lcid: Option<u32>,
    /// Its language packs: ids.
    pub packages: Vec<String>,
    /// The best state of its language packs; `None` without any.
    pub state: Option<String>,
}

/// The display languages: those of the hive, and those with a language pack, sorted by tag without case.
///
/// # Errors
/// When the SYSTEM hive is missing or damaged.
pub fn languages(
    packages: &[InstalledPackage],
    image: &mut Image,
) -> Result<Vec<InstalledLanguage>, ImageError> {
    let default = image.facts().default_language;
    let is_default = |tag: &str| default.as_deref().is_some_and(|d| d.eq_ignore_ascii_case(tag));
    let new = |tag: &str| InstalledLanguage {
        tag: tag.to_owned(),
        registered: false,
        default: is_default(tag),
        lcid: None,
        packages: Vec::new(),
        state: None,
    };
    let mut found: BTreeMap<String, InstalledLanguage> = BTreeMap::new();
    let key = RegistryPath::parse(r"HKLM\SYSTEM\CurrentControlSet\Control\MUI\UILanguages")
        .expect("a constant path");
    for name in image.registry_subkeys(&key)? {
        let tag = name.to_string();
        let lcid = dword(image, &key.join(&name), "LCID")?;
        let language = InstalledLanguage { registered: true, lcid, ..new(&tag) };
        found.insert(tag.to_lowercase(), language);
    }
    let mut best: BTreeMap<String, PackageState> = BTreeMap::new();
    for package in packages.iter().filter(|package| package.state != PackageState::Absent) {
        if !package.mum.as_ref().is_some_and(Mum::is_language_pack) {
            continue;
        }
        let tag = &package.identity.language;
        let language = found.entry(tag.to_lowercase()).or_insert_with(|| new(tag));
        language.packages.push(package.id.clone());
        let state = best.entry(tag.to_lowercase()).or_insert(package.state);
        *state = package.state.max(*state);
        language.state = Some(state.name());
    }
    Ok(found.into_values().collect())
}

/// Work that waits for Windows to start, or that was left unfinished.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct PendingWork {
    /// Where it is seen: a file, a key, a package id.
    pub place: String,
    /// What it is.
    pub what: String,
}

/// What is pending in the image: an image with pending work should not be serviced before Windows has done it.
///
/// # Errors
/// When the SOFTWARE hive is missing or damaged, or COMPONENTS is.
pub fn pending(
    packages: &[InstalledPackage],
    image: &mut Image,
) -> Result<Vec<PendingWork>, ImageError> {
    let mut found = Vec::new();
    pending_in_image(image, &mut |place, what| {
        found.push(PendingWork { place, what: what.to_owned() });
    })?;
    for package in packages {
        let what = match package.state {
            PackageState::InstallPending => "will be installed by the next start of Windows",
            PackageState::UninstallPending => "will be removed by the next start of Windows",
            PackageState::PartiallyInstalled => "is installed in part",
            _ => continue,
        };
        found.push(PendingWork { place: package.id.clone(), what: what.to_owned() });
    }
    Ok(found)
}

/// What files and keys say of pending work.
fn pending_in_image(
    image: &mut Image,
    note: &mut dyn FnMut(String, &str),
) -> Result<(), ImageError> {
    for (file, what) in [
        ("pending.xml", "operations that the next start of Windows will do"),
        ("reboot.xml", "operations that wait for a restart"),
    ] {
        let path = layout::component_store(image).join(file.into());
        if image.tree().lookup(&path).is_some() {
            note(path.to_string(), what);
        }
    }
    for (key, what) in [
        ("RebootPending", "Windows must start before anything else is installed"),
        ("RebootInProgress", "a restart was under way"),
    ] {
        let path = layout::cbs(key);
        if image.registry_key_exists(&path)? {
            note(path.to_string(), what);
        }
    }
    // The key itself is always there in some versions of Windows; what waits has a key below it.
    for (key, what) in [
        ("PackagesPending", "a package waits for the next start of Windows"),
        ("SessionsPending", "a servicing session that is not finished"),
    ] {
        let path = layout::cbs(key);
        for name in image.registry_subkeys(&path)? {
            note(path.join(&name).to_string(), what);
        }
    }
    let sessions = layout::cbs("SessionsPending");
    if dword(image, &sessions, "Exclusive")?.is_some_and(|number| number != 0) {
        note(sessions.to_string(), "a servicing session that must finish alone");
    }
    let root = RegistryPath::parse(
        r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing",
    )
    .expect("a constant path");
    if image.registry_value(&root, &"Unserviceable".into())?.is_some() {
        note(format!(r"{root}\Unserviceable"), "Windows refuses every servicing session");
    }
    if image.has_hive(HiveId::Components) {
        let components = RegistryPath::from_keys(HiveId::Components, Vec::new());
        if image.registry_value(&components, &"PendingXmlIdentifier".into())?.is_some() {
            note(
                format!(r"{components}\PendingXmlIdentifier"),
                "the component store waits for its pending.xml",
            );
        }
    }
    Ok(())
}

/// The servicing stack of an image.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct ServicingStack {
    /// Its version: `10.0.26100.1`.
    #[serde(serialize_with = "shown")]
    pub version: Version,
    /// Its folder in WinSxS; `None` when the image has none of that version.
    pub folder: Option<String>,
}

fn shown<S: serde::Serializer>(version: &Version, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(version)
}

/// The servicing stack in use: the newest of those that `Component Based Servicing\Version` and `servicing\Version` name, else the newest folder of one
/// in WinSxS. `None` when there is no trace of one.
///
/// # Errors
/// When the SOFTWARE hive is damaged.
pub fn servicing_stack(image: &mut Image) -> Result<Option<ServicingStack>, ImageError> {
    let mut versions = Vec::new();
    if image.has_hive(HiveId::Software) {
        let names = image.registry_values(&layout::cbs("Version"))?.into_iter().map(|v| v.name);
        versions.extend(names.filter_map(|name| Version::parse(&name.to_text()?)));
    }
    let folder = layout::packages(image).parent().map(|parent| parent.join("Version".into()));
    let tree = image.tree();
    if let Some(folder) = folder.and_then(|folder| tree.lookup(&folder)) {
        let names = tree.children(folder).iter().map(|id| &tree.node(*id).name);
        versions.extend(names.filter_map(|name: &Name| Version::parse(&name.to_text()?)));
    }
    let folders = store::stack_folders(image);
    let in_use = versions.into_iter().max().or_else(|| folders.last().map(|(version, _)| *version));
    Ok(in_use.map(|version| ServicingStack {
        version,
        folder: folders.into_iter().rev().find(|(of, _)| *of == version).map(|(_, folder)| folder),
    }))
}

/// A number in the registry; `None` when it is not there, or no number.
fn dword(image: &mut Image, key: &RegistryPath, name: &str) -> Result<Option<u32>, ImageError> {
    Ok(image.registry_value(key, &name.into())?.and_then(|value| value.as_dword()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_of_a_feature_follows_from_four_things() {
        let installed = PackageState::Installed;
        let none = Recorded::default();
        let update = |number| Recorded { update: Some(number), ..none };
        let chosen = |selection| Recorded { selection: Some(selection), ..none };
        let cases = [
            (installed, none, true, FeatureStatus::Enabled),
            (installed, none, false, FeatureStatus::Disabled),
            (installed, chosen(1), false, FeatureStatus::Enabled),
            (installed, chosen(0), true, FeatureStatus::Disabled),
            (installed, update(0x70), false, FeatureStatus::Enabled),
            (installed, update(0x2_0070), false, FeatureStatus::Enabled),
            (installed, update(0x40), true, FeatureStatus::Disabled),
            (installed, update(0x60), false, FeatureStatus::EnablePending),
            (installed, update(5), true, FeatureStatus::DisablePending),
            (installed, update(0x20), true, FeatureStatus::Removed),
            (installed, update(0x77), true, FeatureStatus::Enabled),
            (
                installed,
                Recorded { removed: Some(1), ..update(0x70) },
                true,
                FeatureStatus::Removed,
            ),
            (
                installed,
                Recorded { selection: Some(1), ..update(0x40) },
                true,
                FeatureStatus::Disabled,
            ),
            (PackageState::Staged, update(0x70), true, FeatureStatus::Disabled),
            (PackageState::Resolved, none, true, FeatureStatus::Removed),
            (PackageState::InstallPending, none, true, FeatureStatus::EnablePending),
            (PackageState::InstallPending, none, false, FeatureStatus::Disabled),
            (PackageState::UninstallPending, none, true, FeatureStatus::DisablePending),
        ];
        for (package, recorded, default, expected) in cases {
            assert_eq!(
                status(package, recorded, default),
                expected,
                "{package:?} {recorded:?} {default}"
            );
        }
    }
}
