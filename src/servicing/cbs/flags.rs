//! Numbers whose meaning Microsoft does not publish, each chosen in this one place.
//!
//! `facts/cbs-registry.md` tells which numbers were seen and by whom. Nobody has described what the others mean; a capture of an image before and after
//! DISM would, and this file is where it would go. What is chosen here is never looked at again by this program when it decides what is installed: it
//! goes by the presence of keys and values and by `CurrentState`.

use super::store::PackageState;

/// `CF` of a component: 0x40 is what hand-made stores that Windows accepts write for a component whose manifest is there; 0x100 was seen too.
pub const COMPONENT_FLAGS: u32 = 0x40;

/// `f!<file>` of a component: there is one for each staged file; what its data says is not known, and 0 says nothing.
pub const STAGED_FILE: u32 = 0;

/// The second number in `p!`, `s!` and `i!` of a deployment (the first is the length of the text): not known, 0 says nothing.
pub const REFERENCE: u32 = 0;

/// A value of `PackageIndex\<id>` beside the default: its name tells the version, its data is not known.
pub const PACKAGE_INDEX: u32 = 0;

/// A value of `PackageDetect`, `UpdateDetect` and `ComponentDetect`: a count, it is thought, of what waits.
pub const DETECT: u32 = 1;

/// `Visibility` of a package that is listed, and of one that came inside another.
pub const VISIBLE: u32 = 1;
/// See [`VISIBLE`].
pub const HIDDEN: u32 = 2;

/// High word of a value of `Owners`: seen as 0x20070, whose low word is the state of an installed package.
const OWNER_FLAGS: u32 = 0x0002_0000;

/// A value of `Owners`, for a package in `state`.
#[must_use]
pub fn owner(state: PackageState) -> u32 {
    OWNER_FLAGS | number_of(state)
}

/// A value of `Updates`: the same numbers as `CurrentState`, it is thought; 0x70 for an update that is installed, 0x40 for one that is staged.
#[must_use]
pub fn update(installed: bool) -> u32 {
    number_of(if installed { PackageState::Installed } else { PackageState::Staged })
}

/// A value of `CapabilityIndex\<capability>`, whose name is a package's id: the state, as in `Updates`.
#[must_use]
pub fn capability(installed: bool) -> u32 {
    update(installed)
}

/// `Type` of a language below `MUI\UILanguages` that is installed in full: 0x91 in hives of Windows 7, 0x111 in those of 8 and later.
#[must_use]
pub fn language_type(major: u32, minor: u32) -> u32 {
    if (major, minor) < (6, 2) { 0x91 } else { 0x111 }
}

/// `CurrentState` as a number.
#[must_use]
pub fn number_of(state: PackageState) -> u32 {
    match state {
        PackageState::Absent => 0,
        PackageState::UninstallPending => 5,
        PackageState::Resolving => 0x10,
        PackageState::Resolved => 0x20,
        PackageState::Staging => 0x30,
        PackageState::Staged => 0x40,
        PackageState::Superseded => 0x50,
        PackageState::InstallPending => 0x60,
        PackageState::PartiallyInstalled => 0x65,
        PackageState::Installed => 0x70,
        PackageState::Permanent => 0x80,
        PackageState::Other(number) => number,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_go_to_numbers_and_back() {
        for number in [0, 5, 0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x65, 0x70, 0x80, 0x99] {
            assert_eq!(number_of(PackageState::of_number(number)), number);
        }
        assert_eq!(owner(PackageState::Installed), 0x20070);
        assert_eq!((language_type(6, 1), language_type(10, 0)), (0x91, 0x111));
    }
}
