//! What an image's component store holds: packages with their states, features, capabilities, languages.
//!
//! States are those of the hive; what a package is comes from its mum in `servicing\Packages`. What lies in the COMPONENTS hive is read by
//! [`super::records`], what follows from packages (features, capabilities, languages, pending work) by [`super::inventory`]. Keys that are not there are no
//! error: an image without them has no packages.

use std::{collections::BTreeMap, io, sync::OnceLock};

use rayon::prelude::*;

use crate::{
    base::{filetime::FileTime, name::Name},
    format::{
        cbs::{Identity, Mum, Version},
        dcm,
        hive::Value,
    },
    image::{Image, ImageError, NodeId},
};

use super::layout;

/// `CurrentState` of a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PackageState {
    /// 0
    Absent,
    /// 5
    UninstallPending,
    /// 0x10
    Resolving,
    /// 0x20
    Resolved,
    /// 0x30
    Staging,
    /// 0x40
    Staged,
    /// 0x50
    Superseded,
    /// 0x60
    InstallPending,
    /// 0x65
    PartiallyInstalled,
    /// 0x70
    Installed,
    /// 0x80
    Permanent,
    /// Any other number.
    Other(u32),
}

/// A package that the image knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstalledPackage {
    /// Its id, as the key is called.
    pub id: String,
    /// The id, taken apart.
    pub identity: Identity,
    /// Its state.
    pub state: PackageState,
    /// `Visibility` is 1 (or missing): it is listed.
    pub visible: bool,
    /// When it was installed.
    pub install_time: Option<FileTime>,
    /// `InstallClient`.
    pub install_client: Option<String>,
    /// Packages that brought it: `Owners`.
    pub owners: Vec<String>,
    /// `Updates`: the number that each of its updates has, by name as written.
    pub updates: BTreeMap<String, u32>,
    /// Its mum; `None` when the image does not have it, or it cannot be read (then [`InstalledPackage::mum_problem`] says why).
    pub mum: Option<Mum>,
    /// Why its mum cannot be read.
    pub mum_problem: Option<String>,
}

impl PackageState {
    /// The state that the number means.
    #[must_use]
    pub fn of_number(number: u32) -> Self {
        match number {
            0 => Self::Absent,
            5 => Self::UninstallPending,
            0x10 => Self::Resolving,
            0x20 => Self::Resolved,
            0x30 => Self::Staging,
            0x40 => Self::Staged,
            0x50 => Self::Superseded,
            0x60 => Self::InstallPending,
            0x65 => Self::PartiallyInstalled,
            0x70 => Self::Installed,
            0x80 => Self::Permanent,
            other => Self::Other(other),
        }
    }

    /// A word for it: `installed`, `install-pending`, `0x77` for a number that is not known.
    #[must_use]
    pub fn name(self) -> String {
        let name = match self {
            Self::Absent => "absent",
            Self::UninstallPending => "uninstall-pending",
            Self::Resolving => "resolving",
            Self::Resolved => "resolved",
            Self::Staging => "staging",
            Self::Staged => "staged",
            Self::Superseded => "superseded",
            Self::InstallPending => "install-pending",
            Self::PartiallyInstalled => "partially-installed",
            Self::Installed => "installed",
            Self::Permanent => "permanent",
            Self::Other(number) => return format!("{number:#x}"),
        };
        name.to_owned()
    }

    /// True when its content is in force: installed or permanent.
    #[must_use]
    pub fn is_installed(self) -> bool {
        matches!(self, Self::Installed | Self::Permanent)
    }

    /// True when its payload is there at least.
    #[must_use]
    pub fn is_staged(self) -> bool {
        self.is_installed()
            || matches!(
                self,
                Self::Staged | Self::Superseded | Self::InstallPending | Self::PartiallyInstalled
            )
    }
}

/// All packages that the image knows, sorted by id without case.
///
/// # Errors
/// When the SOFTWARE hive is missing or damaged.
pub fn packages(image: &mut Image) -> Result<Vec<InstalledPackage>, ImageError> {
    let mut packages = package_keys(image)?;
    let image = &*image;
    let folder = image.tree().lookup(&layout::packages(image));
    // Some thousand small files, each by itself in the WIM: reading and unpacking them takes longer than all else.
    packages.par_iter_mut().for_each(|package| {
        match folder.map(|folder| mum_in(image, folder, &package.id)) {
            Some(Ok(mum)) => package.mum = mum,
            Some(Err(problem)) => package.mum_problem = Some(problem),
            None => {}
        }
    });
    Ok(packages)
}

/// All packages that the image knows, as [`packages`], but their mums are not read: [`InstalledPackage::mum`] is `None`. For whom states are enough.
///
/// # Errors
/// When the SOFTWARE hive is missing or damaged.
pub fn package_keys(image: &mut Image) -> Result<Vec<InstalledPackage>, ImageError> {
    let root = layout::cbs("Packages");
    let mut found = Vec::new();
    for name in image.registry_subkeys(&root)? {
        found.push(package_key(image, &name)?);
    }
    found.sort_by_cached_key(|package| package.id.to_lowercase());
    Ok(found)
}

/// One package, with its mum; `None` when the image does not know it. Letter case does not matter.
///
/// # Errors
/// When the SOFTWARE hive is missing or damaged.
pub fn package(image: &mut Image, id: &str) -> Result<Option<InstalledPackage>, ImageError> {
    let key = layout::cbs("Packages").join(&id.into());
    if !image.registry_key_exists(&key)? {
        return Ok(None);
    }
    let mut package = package_key(image, &id.into())?;
    match mum(image, id) {
        Ok(mum) => package.mum = mum,
        Err(problem) => package.mum_problem = Some(problem),
    }
    Ok(Some(package))
}

/// The mum of a package in `servicing\Packages`; `None` when it is not there.
///
/// # Errors
/// Why it cannot be read, as a text that names the file.
pub fn mum(image: &Image, id: &str) -> Result<Option<Mum>, String> {
    match image.tree().lookup(&layout::packages(image)) {
        Some(folder) => mum_in(image, folder, id),
        None => Ok(None),
    }
}

/// Packages whose mum lies in `servicing\Packages`, whether the hive knows them or not: ids as the files are called, sorted as NT sorts.
#[must_use]
pub fn mum_ids(image: &Image) -> Vec<String> {
    names_in(image, &layout::packages(image), ".mum")
}

/// What [`packages`] says of one package, without its mum.
fn package_key(image: &mut Image, name: &Name) -> Result<InstalledPackage, ImageError> {
    let key = layout::cbs("Packages").join(name);
    let values = image.registry_values(&key)?;
    let value = |name: &str| values.iter().find(|value| value.name.is(name));
    let number = |name: &str| value(name).and_then(Value::as_dword);
    let id = name.to_string();
    let mut owners: Vec<String> = image
        .registry_values(&key.join(&"Owners".into()))?
        .iter()
        .map(|value| value.name.to_string())
        .collect();
    owners.sort();
    let updates = image
        .registry_values(&key.join(&"Updates".into()))?
        .iter()
        .filter_map(|value| Some((value.name.to_string(), value.as_dword()?)))
        .collect();
    let time = number("InstallTimeHigh").zip(number("InstallTimeLow"));
    Ok(InstalledPackage {
        identity: Identity::of_package_id(&id)
            .unwrap_or_else(|| Identity { name: id.clone(), ..Identity::default() }),
        id,
        state: number("CurrentState").map_or(PackageState::Absent, PackageState::of_number),
        visible: number("Visibility").is_none_or(|visibility| visibility == 1),
        install_time: time
            .map(|(high, low)| FileTime(u64::from(high) << 32 | u64::from(low)))
            .filter(|time| time.0 != 0),
        install_client: value("InstallClient").and_then(Value::as_text),
        owners,
        updates,
        mum: None,
        mum_problem: None,
    })
}

fn mum_in(image: &Image, folder: NodeId, id: &str) -> Result<Option<Mum>, String> {
    let name = format!("{id}.mum");
    let Some(node) = image.tree().child(folder, &name.as_str().into()) else { return Ok(None) };
    let inode = image.tree().inode(node);
    if inode.is_directory() {
        return Ok(None);
    }
    let bytes = image.read_blob(&inode.data()).map_err(|error| format!("{name}: {error}"))?;
    Mum::parse(&bytes).map(Some).map_err(|error| format!("{name}: {error}"))
}

/// Names of the files of a folder that end so, without the ending.
fn names_in(image: &Image, folder: &crate::base::ntpath::NtPath, ending: &str) -> Vec<String> {
    let tree = image.tree();
    let Some(folder) = tree.lookup(folder) else { return Vec::new() };
    let name = |id: &NodeId| {
        let name = tree.node(*id).name.to_text()?;
        let at = name.len().checked_sub(ending.len()).filter(|at| name.is_char_boundary(*at))?;
        name[at..].eq_ignore_ascii_case(ending).then(|| name[..at].to_owned())
    };
    tree.sorted_children(folder).iter().filter_map(name).collect()
}

/// The key forms of all manifests in `WinSxS\Manifests`, as the files are called, sorted as NT sorts.
#[must_use]
pub fn manifest_key_forms(image: &Image) -> Vec<String> {
    names_in(image, &layout::manifests(image), ".manifest")
}

/// The plain bytes of the manifest with that key form, decompressed with the image's own base manifest where it is compressed; `None` when it is not there.
/// For more than a few use [`Manifests`], which looks for the base manifest once.
///
/// # Errors
/// When it cannot be read or decompressed.
pub fn manifest(image: &Image, key_form: &str) -> Result<Option<Vec<u8>>, ImageError> {
    Manifests::default().read(image, key_form)
}

/// Reads manifests of one image; may be shared by threads.
#[derive(Debug, Default)]
pub struct Manifests {
    /// The base manifest, looked for when the first manifest needs it.
    base: OnceLock<Option<Vec<u8>>>,
}

impl Manifests {
    /// As [`manifest`].
    ///
    /// # Errors
    /// When it cannot be read or decompressed.
    pub fn read(&self, image: &Image, key_form: &str) -> Result<Option<Vec<u8>>, ImageError> {
        let path = layout::manifest(image, key_form);
        if image.tree().lookup(&path).is_none() {
            return Ok(None);
        }
        let stored = image.read(&path)?;
        self.plain(image, stored)
            .map(Some)
            .map_err(|source| ImageError::Content { what: path.to_string(), source })
    }

    /// The plain bytes of a manifest as it is stored.
    ///
    /// # Errors
    /// When it cannot be decompressed; the error does not say which manifest it is.
    pub fn plain(&self, image: &Image, stored: Vec<u8>) -> io::Result<Vec<u8>> {
        let base = match dcm::form(&stored) {
            dcm::ManifestForm::Plain => return Ok(stored),
            dcm::ManifestForm::Base => self.base.get_or_init(|| base_manifest(image)).as_deref(),
            _ => None,
        };
        dcm::decode(&stored, base, dcm::LARGEST)
            .map(std::borrow::Cow::into_owned)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }
}

/// The base manifest in the newest servicing stack that has one.
fn base_manifest(image: &Image) -> Option<Vec<u8>> {
    stack_folders(image).iter().rev().find_map(|(_, folder)| {
        let library = layout::component(image, folder).join("wcp.dll".into());
        let bytes = image.read(&library).ok()?;
        dcm::base_manifest_of(&bytes).map(<[u8]>::to_vec)
    })
}

/// The folders of servicing stacks in WinSxS with their versions, the oldest first; of one version, 64-bit ones last.
#[must_use]
pub fn stack_folders(image: &Image) -> Vec<(Version, String)> {
    let tree = image.tree();
    let Some(store) = tree.lookup(&layout::component_store(image)) else { return Vec::new() };
    let version = |name: &str| {
        let lower = name.to_lowercase();
        let (_, rest) = lower.split_once("_microsoft-windows-servicingstack_")?;
        Version::parse(rest.split('_').nth(1)?)
    };
    let mut found: Vec<(Version, String)> = tree
        .children(store)
        .iter()
        .filter(|id| tree.inode(**id).is_directory())
        .filter_map(|id| tree.node(*id).name.to_text())
        .filter_map(|name| Some((version(&name)?, name)))
        .collect();
    found.sort_by_cached_key(|(version, name)| {
        (*version, name.to_lowercase().contains("64_"), name.to_lowercase())
    });
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_have_numbers_and_words() {
        for (number, word) in [(0, "absent"), (0x40, "staged"), (0x70, "installed"), (0x77, "0x77")]
        {
            assert_eq!(PackageState::of_number(number).name(), word);
        }
        assert!(PackageState::of_number(0x80).is_installed());
        assert!(PackageState::Staged.is_staged() && !PackageState::Resolved.is_staged());
    }
}
