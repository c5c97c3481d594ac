//! What a step that has not run writes, by what the recipe says of it: one place of the image, where the recipe names it.

use super::place::{is_below, same_path};
use crate::{
    base::{name::Name, ntpath::NtPath},
    image::{HiveId, Image, RegistryPath},
    servicing::{Operation, registry::KeyAction},
};

/// Where a step writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Intent {
    /// A file or folder, and what is below it.
    File(NtPath),
    /// A registry key; of its values these, or all of them, and all below it.
    Key(HiveId, Vec<Name>, Option<Vec<Name>>),
}

impl Intent {
    /// Where `operation` writes; `None` when that is told only by its inputs. `image` says what the current control set is.
    pub(super) fn of(operation: &Operation, image: &mut Image) -> Option<Self> {
        match operation {
            Operation::Files(spec) => Some(Self::File(spec.to.clone())),
            Operation::RegistryKey(spec) => {
                let (hive, key) = image.resolve(&spec.path).ok()?;
                let values = match &spec.action {
                    KeyAction::Absent => None,
                    KeyAction::Values(values) => {
                        Some(values.iter().map(|(name, _)| name.clone()).collect())
                    }
                };
                Some(Self::Key(hive, key, values))
            }
            Operation::Service(spec) => {
                let path = format!(r"HKLM\SYSTEM\CurrentControlSet\Services\{}", spec.name);
                let (hive, key) = image.resolve(&RegistryPath::parse(&path).ok()?).ok()?;
                Some(Self::Key(hive, key, None))
            }
            _ => None,
        }
    }

    /// True when it is the file or folder at `path`, a folder with that below it, or, when that is a folder, something below it.
    pub(super) fn is_of_file(&self, path: &NtPath, is_folder: bool) -> bool {
        match self {
            Self::File(to) => {
                is_below(path.names(), to.names())
                    || (is_folder && is_below(to.names(), path.names()))
            }
            Self::Key(..) => false,
        }
    }

    /// True when it is in the hive.
    pub(super) fn is_in_hive(&self, hive: HiveId) -> bool {
        matches!(self, Self::Key(of, ..) if *of == hive)
    }

    /// True when it is the key, something below it, or all below one above it.
    pub(super) fn is_of_key(&self, hive: HiveId, key: &[Name]) -> bool {
        match self {
            Self::Key(of, written, values) => {
                let takes = values.is_none() && is_below(key, written);
                *of == hive && (is_below(written, key) || takes)
            }
            Self::File(_) => false,
        }
    }

    /// True when it is the value of the key, or all that the key has.
    pub(super) fn is_of_value(&self, hive: HiveId, key: &[Name], name: &Name) -> bool {
        match self {
            Self::Key(of, written, None) => *of == hive && is_below(key, written),
            Self::Key(of, written, Some(values)) => {
                *of == hive
                    && same_path(key, written)
                    && values.iter().any(|value| value.eq_ignore_case(name))
            }
            Self::File(_) => false,
        }
    }
}
