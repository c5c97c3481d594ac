//! What an image is and has, area by area: what people compare, report, list in a bill of materials, and hold against a policy.
//!
//! Each room knows its own part; here they are put together as plain data that can be kept and read back. What could not be told is a note, never an error: an
//! image that Windows would start may have a hive we cannot read.

pub mod diff;
mod folders;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{appx, cbs, drivers, first_boot, locale, services, setup_state};
use crate::{
    base::{name::Name, ntpath::NtPath},
    image::{Image, ImageFacts},
};

/// Raised when the same image gives another inventory: kept ones are then made anew.
pub const VERSION: u32 = 4;

/// What an image is and has. Lists are sorted as the rooms that make them say; none of it depends on the host.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Inventory {
    /// Version, edition, architecture.
    pub facts: ImageFacts,
    /// Packages that the image knows, hidden ones too.
    pub packages: Vec<PackageItem>,
    /// Features.
    pub features: Vec<FeatureItem>,
    /// Capabilities that are in the image.
    pub capabilities: Vec<CapabilityItem>,
    /// Display languages.
    pub languages: Vec<LanguageItem>,
    /// Driver packages, those that came with Windows too.
    pub drivers: Vec<DriverItem>,
    /// Services and drivers of the registry.
    pub services: Vec<ServiceItem>,
    /// Provisioned apps.
    pub apps: Vec<AppItem>,
    /// Languages, formats, keyboards, time zone, state of setup, by name: `time-zone`.
    pub settings: BTreeMap<String, String>,
    /// Servicing that waits for Windows to start.
    pub pending: Vec<PendingItem>,
    /// What our command file runs at the first boot, in order.
    pub deferred: Vec<String>,
    /// What lies where.
    pub folders: Vec<FolderSize>,
    /// What could not be told, and why.
    pub notes: Vec<String>,
}

/// A part of an inventory that may be unknown, for all or for some of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topic {
    /// [`Inventory::packages`].
    Packages,
    /// [`Inventory::features`].
    Features,
    /// [`Inventory::capabilities`].
    Capabilities,
    /// [`Inventory::languages`].
    Languages,
    /// [`Inventory::drivers`].
    Drivers,
    /// [`Inventory::services`].
    Services,
    /// [`Inventory::apps`].
    Apps,
    /// [`Inventory::pending`].
    Pending,
    /// [`Inventory::deferred`], and what else Setup runs.
    Deferred,
}

impl Topic {
    /// What a note about it begins with. Whatever needs the packages is as unknown as they are.
    fn prefixes(self) -> &'static [&'static str] {
        match self {
            Self::Packages => &["packages"],
            Self::Features => &["packages", "features"],
            Self::Capabilities => &["packages", "capabilities"],
            Self::Languages => &["packages", "languages"],
            Self::Drivers => &["drivers"],
            Self::Services => &["services"],
            Self::Apps => &["apps"],
            Self::Pending => &["packages", "features", "pending work"],
            Self::Deferred => &["the first boot", "Windows Setup"],
        }
    }
}

/// A package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct PackageItem {
    /// Its identity: `Package_for_KB5066835~31bf3856ad364e35~amd64~~10.0.1.2`.
    pub id: String,
    /// `installed`, `staged` ...
    pub state: String,
    /// `Update`, `Language Pack` ..., as its manifest says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release_type: Option<String>,
    /// What people call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// Where its maker helps: a text, mostly an address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub support: Option<String>,
    /// SHA-1 of its manifest, the mum, in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest_sha1: Option<String>,
}

/// A feature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct FeatureItem {
    /// Its name.
    pub name: String,
    /// `enabled`, `disabled`, `removed`, `enable-pending`, `disable-pending`.
    pub state: String,
    /// The package it is of.
    pub package: String,
}

/// A capability.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct CapabilityItem {
    /// `OpenSSH.Server~~~~0.0.1.0`.
    pub id: String,
    /// `installed`, `staged` ...
    pub state: String,
}

/// A display language.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct LanguageItem {
    /// Its tag.
    pub tag: String,
    /// Windows starts in it.
    pub default: bool,
    /// Windows offers it.
    pub registered: bool,
}

/// A driver package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct DriverItem {
    /// `oem3.inf`.
    pub published: String,
    /// The INF's own name.
    pub original: String,
    /// Its folder in the driver store.
    pub package: String,
    /// Who made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// The device class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// The version of its `DriverVer`.
    pub version: String,
    /// The date of its `DriverVer`.
    pub date: String,
    /// `amd64`.
    pub architecture: String,
    /// Who signed it; not said of those that came with Windows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signer: Option<String>,
    /// It came with Windows.
    pub inbox: bool,
    /// It is the package in force of its published INF.
    pub active: bool,
    /// SHA-1 of its INF in the driver store, in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inf_sha1: Option<String>,
}

/// A service or a driver of the registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ServiceItem {
    /// Its key name.
    pub name: String,
    /// `auto`, `manual`, `disabled` ...; `unknown` when its number means nothing.
    pub start: String,
    /// True for a driver.
    pub driver: bool,
    /// The account it runs as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Its command line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<String>,
}

/// A provisioned app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct AppItem {
    /// The identity's name: `Microsoft.BingNews`.
    pub name: String,
    /// The full name.
    pub full_name: String,
    /// The version.
    pub version: String,
}

/// Servicing that waits for Windows to start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct PendingItem {
    /// Where it is seen: a file, a key, a package.
    pub place: String,
    /// What it is.
    pub what: String,
}

/// A folder and what lies in and below it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct FolderSize {
    /// `\Windows\System32`; the root is `\`.
    pub path: String,
    /// Names of files in and below it.
    pub files: u64,
    /// Sizes of their unnamed data in bytes, each file counted at its first name alone.
    pub bytes: u64,
}

impl Inventory {
    /// What `image` is and has.
    #[must_use]
    pub fn of(image: &mut Image) -> Self {
        let mut inventory = Self { facts: image.facts(), ..Self::default() };
        inventory.notes.clone_from(&inventory.facts.warnings);
        inventory.add_packages(image);
        inventory.add_drivers(image);
        inventory.add_services(image);
        inventory.add_settings(image);
        match appx::inventory::inventory(image) {
            Ok(state) => inventory.apps = state.apps.into_iter().map(AppItem::from).collect(),
            Err(error) => inventory.note("apps", &error),
        }
        match first_boot::waiting(image) {
            Ok(scripts) => inventory.deferred = scripts,
            Err(error) => inventory.note("the first boot", &error),
        }
        inventory.folders = folders::sizes(image);
        inventory
    }

    /// `10.0.26100.1742`, as far as the image says it.
    #[must_use]
    pub fn version(&self) -> Option<String> {
        let facts = &self.facts;
        let (major, minor, build) = (facts.major?, facts.minor?, facts.build?);
        let revision = facts.revision.map(|revision| format!(".{revision}")).unwrap_or_default();
        Some(format!("{major}.{minor}.{build}{revision}"))
    }

    /// What could not be told of `topic`; nothing when all of it could.
    pub fn unknown(&self, topic: Topic) -> impl Iterator<Item = &str> {
        let about = topic.prefixes();
        let is_about = move |note: &&String| {
            note.split_once(": ").is_some_and(|(prefix, _)| about.contains(&prefix))
        };
        self.notes.iter().filter(is_about).map(String::as_str)
    }

    fn note(&mut self, what: &str, error: &dyn std::fmt::Display) {
        self.notes.push(format!("{what}: {error}"));
    }

    fn add_packages(&mut self, image: &mut Image) {
        let packages = match cbs::store::packages(image) {
            Ok(packages) => packages,
            Err(error) => return self.note("packages", &error),
        };
        match cbs::inventory::features(&packages, image) {
            Ok(features) => self.features = features.into_iter().map(FeatureItem::from).collect(),
            Err(error) => self.note("features", &error),
        }
        match cbs::inventory::capabilities(&packages, image) {
            Ok(found) => {
                let is_there = |found: &cbs::inventory::InstalledCapability| {
                    found.status != cbs::inventory::CapabilityStatus::NotPresent
                };
                self.capabilities =
                    found.into_iter().filter(is_there).map(CapabilityItem::from).collect();
            }
            Err(error) => self.note("capabilities", &error),
        }
        match cbs::inventory::languages(&packages, image) {
            Ok(found) => self.languages = found.into_iter().map(LanguageItem::from).collect(),
            Err(error) => self.note("languages", &error),
        }
        match cbs::inventory::pending(&packages, image) {
            Ok(found) => {
                let item = |work: cbs::inventory::PendingWork| PendingItem {
                    place: work.place,
                    what: work.what,
                };
                self.pending = found.into_iter().map(item).collect();
            }
            Err(error) => self.note("pending work", &error),
        }
        self.packages = packages.into_iter().map(PackageItem::from).collect();
        let folder = cbs::layout::packages(image);
        for package in &mut self.packages {
            let manifest = Name::from(format!("{}.mum", package.id).as_str());
            package.manifest_sha1 = sha1_of(image, &folder.join(manifest));
        }
    }

    fn add_drivers(&mut self, image: &mut Image) {
        match drivers::inventory::read(image) {
            Ok(found) => {
                self.drivers = found.drivers.into_iter().map(DriverItem::from).collect();
                for driver in &mut self.drivers {
                    let inf = drivers::inventory::inf(image, &driver.package, &driver.original);
                    driver.inf_sha1 = sha1_of(image, &inf);
                }
                self.notes.extend(found.notes.iter().map(|note| format!("drivers: {note}")));
            }
            Err(error) => self.note("drivers", &error),
        }
    }

    fn add_services(&mut self, image: &mut Image) {
        match services::inventory(image) {
            Ok(found) => self.services = found.into_iter().map(ServiceItem::from).collect(),
            Err(error) => self.note("services", &error),
        }
    }

    fn add_settings(&mut self, image: &mut Image) {
        match locale::inventory(image) {
            Ok(state) => self.add_locale(&state),
            Err(error) => self.note("languages and formats", &error),
        }
        match setup_state::inventory(image) {
            Ok(state) => {
                self.set("image-state", state.image_state);
                let files: Vec<String> =
                    state.answer_files.into_iter().map(|file| file.path).collect();
                self.set("answer-files", some(files.join(", ")));
                self.set("setup-scripts", some(state.scripts.join(", ")));
            }
            Err(error) => self.note("Windows Setup", &error),
        }
    }

    fn add_locale(&mut self, state: &locale::LocaleState) {
        self.set("ui-language", state.ui_language.clone());
        self.set("preferred-ui-languages", some(state.preferred_ui_languages.join(", ")));
        self.set("ui-fallback", some(state.ui_fallback.join(", ")));
        self.set("system-locale", state.system_locale.clone());
        self.set("code-page", state.ansi_code_page.clone());
        self.set("time-zone", state.time_zone.clone());
        let daylight = |on: bool| (if on { "on" } else { "off" }).to_owned();
        self.set("daylight-saving", state.daylight_saving.map(daylight));
        self.set("user-locale", state.user_locale.clone());
        self.set("logon-locale", state.logon_locale.clone());
        self.set("location", state.location.as_ref().map(|location| location.geoid.to_string()));
        let keyboards: Vec<&str> =
            state.keyboards.iter().map(|keyboard| keyboard.identifier.as_str()).collect();
        self.set("keyboards", some(keyboards.join(", ")));
        let layered = state.layered_driver.as_ref().map(|driver| driver.name.clone());
        self.set("layered-driver", layered);
    }

    fn set(&mut self, name: &str, value: Option<String>) {
        if let Some(value) = value {
            self.settings.insert(name.to_owned(), value);
        }
    }
}

/// SHA-1 of the file at `path`, which the image's metadata has: nothing is read for it.
fn sha1_of(image: &Image, path: &NtPath) -> Option<String> {
    let inode = image.tree().inode(image.tree().lookup(path)?);
    let content = inode.data();
    (!inode.is_directory() && content.size > 0).then(|| content.sha1.to_hex())
}

/// The text, unless it is empty.
fn some(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

impl DriverItem {
    /// True when it came with Windows: its INF bears its own name there, which nothing that is added does.
    #[must_use]
    pub fn came_with_windows(&self) -> bool {
        self.inbox && drivers::database::oem_number(&self.published).is_none()
    }
}

impl From<cbs::store::InstalledPackage> for PackageItem {
    fn from(package: cbs::store::InstalledPackage) -> Self {
        let state = package.state.name();
        let mum = package.mum;
        Self {
            id: package.id,
            state,
            release_type: mum.as_ref().and_then(|mum| some(mum.release_type.clone())),
            display_name: mum.as_ref().and_then(|mum| mum.display_name.clone()),
            support: mum.and_then(|mum| mum.support),
            manifest_sha1: None,
        }
    }
}

impl From<cbs::inventory::InstalledFeature> for FeatureItem {
    fn from(feature: cbs::inventory::InstalledFeature) -> Self {
        let state = feature.status.name().to_owned();
        Self { name: feature.name, state, package: feature.package }
    }
}

impl From<cbs::inventory::InstalledCapability> for CapabilityItem {
    fn from(capability: cbs::inventory::InstalledCapability) -> Self {
        Self { id: capability.id, state: capability.status.name().to_owned() }
    }
}

impl From<cbs::inventory::InstalledLanguage> for LanguageItem {
    fn from(language: cbs::inventory::InstalledLanguage) -> Self {
        let cbs::inventory::InstalledLanguage { tag, default, registered, .. } = language;
        Self { tag, default, registered }
    }
}

impl From<drivers::inventory::InstalledDriver> for DriverItem {
    fn from(driver: drivers::inventory::InstalledDriver) -> Self {
        Self {
            published: driver.published,
            original: driver.original,
            package: driver.package,
            provider: driver.provider,
            class: driver.class,
            version: driver.version,
            date: driver.date,
            architecture: driver.architecture,
            signer: driver.signer,
            inbox: driver.inbox,
            active: driver.active,
            inf_sha1: None,
        }
    }
}

impl From<services::InstalledService> for ServiceItem {
    fn from(service: services::InstalledService) -> Self {
        Self {
            name: service.name,
            start: service.start.map_or("unknown", services::StartMode::name).to_owned(),
            driver: service.driver,
            account: service.account,
            program: service.program,
        }
    }
}

impl From<appx::inventory::App> for AppItem {
    fn from(app: appx::inventory::App) -> Self {
        Self { name: app.name, full_name: app.full_name, version: app.version }
    }
}
