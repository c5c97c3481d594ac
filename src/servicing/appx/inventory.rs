//! The provisioned apps of an image: what `dism /Get-ProvisionedAppxPackages` lists, and what lies beside it.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    base::{name::Name, ntpath::NtPath},
    image::{HiveId, Image, RegistryPath},
    servicing::error::{Problem, ServicingError},
};

use super::{
    NAME,
    manifest::{BUNDLE, Manifest, PACKAGE},
    name::{AppName, FullName},
    provisioning::Provisioning,
};

/// The key of the apps that every user has or gets.
const STORE: &str = r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Appx\AppxAllUserStore";
const PROVISIONING: [&str; 4] = ["ProgramData", "Microsoft", "Windows", "AppxProvisioning.xml"];
const FOLDERS: [&str; 2] = ["Program Files", "WindowsApps"];
/// Made when an image starts for the first time.
const REPOSITORY: [&str; 5] =
    ["ProgramData", "Microsoft", "Windows", "AppRepository", "StateRepository-Machine.srd"];

/// The apps of an image.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct AppState {
    /// Its apps, by name.
    pub apps: Vec<App>,
    /// Families that were removed: an update of Windows does not bring them back.
    pub deprovisioned: Vec<String>,
}

/// An app that new users get, or a package that such apps need.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct App {
    /// The identity's name, which DISM calls `DisplayName`.
    pub name: String,
    /// The full name, which DISM calls `PackageName`.
    pub full_name: String,
    /// The family.
    pub family: String,
    /// The version.
    pub version: String,
    /// `x64`, `neutral` ...
    pub architecture: String,
    /// `bundle`, `main`, `resource`, where the list of provisioned apps says so.
    pub kind: Option<String>,
    /// In `AppxProvisioning.xml`: new users get it.
    pub provisioned: bool,
    /// Below `AppxAllUserStore\Applications`.
    pub registered: bool,
    /// Has a folder below `Program Files\WindowsApps`.
    pub folder: bool,
}

/// The provisioned apps of the image.
///
/// # Errors
/// When the list or the SOFTWARE hive cannot be read.
pub fn inventory(image: &mut Image) -> Result<AppState, ServicingError> {
    let found = Found::read(image)?;
    let mut apps: BTreeMap<String, App> = BTreeMap::new();
    let folded = |all: &[(FullName, Name)]| -> BTreeSet<String> {
        all.iter().map(|(full, _)| full.folded()).collect()
    };
    let (registered, folders) = (folded(&found.registered), folded(&found.folders));
    let provisioned = found.provisioned().map(|full| (full, true));
    for (full, provisioned) in
        provisioned.chain(found.registered.iter().map(|(full, _)| (full, false)))
    {
        let app = apps.entry(full.folded()).or_insert_with(|| App {
            name: full.name.clone(),
            full_name: full.to_string(),
            family: full.family(),
            version: full.version.clone(),
            architecture: full.architecture.clone(),
            kind: None,
            provisioned: false,
            registered: registered.contains(&full.folded()),
            folder: folders.contains(&full.folded()),
        });
        app.provisioned |= provisioned;
    }
    for package in found.provisioning.iter().flat_map(|file| &file.packages) {
        if let Some(app) = apps.get_mut(&package.full.folded()) {
            app.kind.clone_from(&package.kind);
        }
    }
    Ok(AppState { apps: apps.into_values().collect(), deprovisioned: found.deprovisioned })
}

/// What an image has of apps.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) provisioning: Option<Provisioning>,
    /// Below `Applications`, with the names of the keys.
    pub(super) registered: Vec<(FullName, Name)>,
    /// Below `Staged`.
    pub(super) staged: Vec<(FullName, Name)>,
    /// Apps that are a part of Windows.
    pub(super) inbox: Vec<FullName>,
    /// Apps that users of the image have.
    pub(super) of_users: Vec<FullName>,
    pub(super) deprovisioned: Vec<String>,
    /// Below `WindowsApps`, with the names of the folders.
    pub(super) folders: Vec<(FullName, Name)>,
    /// True when Windows made its own database of packages already.
    pub(super) has_repository: bool,
}

impl Found {
    pub(super) fn read(image: &mut Image) -> Result<Self, ServicingError> {
        let mut found = Self::default();
        let list = path(&PROVISIONING);
        if image.tree().lookup(&list).is_some() {
            let failed = |error| ServicingError::image(NAME, &list.to_string(), error);
            let bytes = image.read(&list).map_err(failed)?;
            let read = Provisioning::parse(&bytes).map_err(|cause| {
                let cause = format!("the image's list of provisioned apps cannot be read: {cause}");
                let problem = Problem::error(
                    list.to_string(),
                    cause,
                    "the base image is damaged: get it again",
                );
                ServicingError::refused(NAME, problem)
            })?;
            found.provisioning = Some(read);
        }
        if let Some(folder) = image.tree().lookup(&path(&FOLDERS)) {
            let names = image
                .tree()
                .sorted_children(folder)
                .iter()
                .map(|&id| image.tree().node(id).name.clone());
            found.folders = full_names(names.collect());
        }
        found.has_repository = image.tree().lookup(&path(&REPOSITORY)).is_some();
        if !image.has_hive(HiveId::Software) {
            return Ok(found);
        }
        let mut below = |key: &str| {
            image
                .registry_subkeys(&store_key(key))
                .map_err(|error| ServicingError::image(NAME, STORE, error))
        };
        found.registered = full_names(below("Applications")?);
        found.staged = full_names(below("Staged")?);
        found.inbox =
            full_names(below("InboxApplications")?).into_iter().map(|(full, _)| full).collect();
        found.deprovisioned = below("Deprovisioned")?.iter().filter_map(Name::to_text).collect();
        for user in below("")?.iter().filter_map(Name::to_text) {
            if user.starts_with("S-1-") {
                found.of_users.extend(full_names(below(&user)?).into_iter().map(|(full, _)| full));
            }
        }
        Ok(found)
    }

    /// The packages in the list of provisioned apps.
    pub(super) fn provisioned(&self) -> impl Iterator<Item = &FullName> {
        self.provisioning.iter().flat_map(|file| &file.packages).map(|package| &package.full)
    }

    /// What is listed or registered; a package may come twice.
    pub(super) fn all(&self) -> impl Iterator<Item = &FullName> {
        self.provisioned().chain(self.registered.iter().map(|(full, _)| full))
    }

    /// The full names of what is listed or registered and is meant by one of these names, in lower case.
    pub(super) fn meant_by(&self, names: &[AppName]) -> BTreeSet<String> {
        let meant = |full: &&FullName| names.iter().any(|name| name.means(full));
        self.all().filter(meant).map(FullName::folded).collect()
    }

    /// What the package in the folder `name` says of itself; `None` when it says nothing that can be read.
    pub(super) fn manifest(image: &Image, name: &Name) -> Option<Manifest> {
        let folder = path(&FOLDERS).join(name.clone());
        let file = [PACKAGE, BUNDLE]
            .map(|file| file.split('\\').fold(folder.clone(), |path, name| path.join(name.into())))
            .into_iter()
            .find(|file| image.tree().lookup(file).is_some())?;
        Manifest::parse(&image.read(&file).ok()?).ok()
    }
}

/// The list's path.
pub(super) fn list_path() -> NtPath {
    path(&PROVISIONING)
}

/// A folder below `WindowsApps`.
pub(super) fn folder_path(name: &Name) -> NtPath {
    path(&FOLDERS).join(name.clone())
}

/// A key below [`STORE`]; the store itself for an empty text.
pub(super) fn store_key(below: &str) -> RegistryPath {
    let store = RegistryPath::parse(STORE).expect("a constant path");
    match below {
        "" => store,
        below => store.join(&Name::from(below)),
    }
}

fn path(names: &[&str]) -> NtPath {
    NtPath::from_names(names.iter().map(|name| Name::from(*name)).collect())
}

fn full_names(names: Vec<Name>) -> Vec<(FullName, Name)> {
    names.into_iter().filter_map(|name| Some((FullName::parse(&name.to_text()?)?, name))).collect()
}
