//! The registry hives of an image: where they lie, opened on first use, written back once.
//!
//! A dirty hive is completed from the log files beside it. A hive that was changed is written back when the image is finished, and its log files
//! are emptied, so that nothing old can be applied to it. A hive that was only read, or edited to what it was, is not touched.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use crate::{
    base::{filetime::FileTime, name::Name, ntpath::NtPath},
    format::hive::{Hive, HiveError, KeyId, Value},
};

use super::{
    changeset::Change, content::BlobRef, error::ImageError, offline::Image, registry::RegistryPath,
    tree::NodeId,
};

/// A hive file of an offline image.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum HiveId {
    /// `System32\config\SYSTEM`: `HKLM\SYSTEM`.
    System,
    /// `System32\config\SOFTWARE`: `HKLM\SOFTWARE`, `HKCR`.
    Software,
    /// `System32\config\DEFAULT`: `HKU\.DEFAULT`.
    Default,
    /// `Users\Default\NTUSER.DAT`: `HKCU`, the profile that new users get.
    NtUser,
    /// `System32\config\COMPONENTS`: `HKLM\COMPONENTS`.
    Components,
    /// `System32\config\DRIVERS`: `HKLM\DRIVERS`.
    Drivers,
    /// `System32\config\SAM`: `HKLM\SAM`.
    Sam,
    /// `System32\config\SECURITY`: `HKLM\SECURITY`.
    Security,
}

impl HiveId {
    /// Every hive.
    pub const ALL: [Self; 8] = [
        Self::System,
        Self::Software,
        Self::Default,
        Self::NtUser,
        Self::Components,
        Self::Drivers,
        Self::Sam,
        Self::Security,
    ];

    /// The hive's file; `system_root` is the name of the Windows folder.
    #[must_use]
    pub fn path(self, system_root: &Name) -> NtPath {
        let file = self.to_string();
        let names = match self {
            Self::NtUser => vec!["Users".into(), "Default".into(), file.as_str().into()],
            _ => {
                vec![system_root.clone(), "System32".into(), "config".into(), file.as_str().into()]
            }
        };
        NtPath::from_names(names)
    }

    /// The registry path of its root: `HKLM\SYSTEM`.
    #[must_use]
    pub fn registry_root(self) -> &'static str {
        match self {
            Self::System => r"HKLM\SYSTEM",
            Self::Software => r"HKLM\SOFTWARE",
            Self::Default => r"HKU\.DEFAULT",
            Self::NtUser => "HKCU",
            Self::Components => r"HKLM\COMPONENTS",
            Self::Drivers => r"HKLM\DRIVERS",
            Self::Sam => r"HKLM\SAM",
            Self::Security => r"HKLM\SECURITY",
        }
    }
}

impl fmt::Display for HiveId {
    /// The file's name.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::System => "SYSTEM",
            Self::Software => "SOFTWARE",
            Self::Default => "DEFAULT",
            Self::NtUser => "NTUSER.DAT",
            Self::Components => "COMPONENTS",
            Self::Drivers => "DRIVERS",
            Self::Sam => "SAM",
            Self::Security => "SECURITY",
        })
    }
}

/// The open hives.
#[derive(Debug, Default)]
pub(super) struct Hives(BTreeMap<HiveId, OpenHive>);

/// An open hive.
#[derive(Debug)]
struct OpenHive {
    hive: Hive,
    path: NtPath,
    /// What its file held when it was opened. When the file holds something else, the file was replaced and this hive is void.
    opened_from: BlobRef,
}

impl Image {
    /// The hive whose file is at `path` and that was edited since it was opened; its edits are written back at the end.
    #[must_use]
    pub fn edited_hive_at(&self, path: &NtPath) -> Option<HiveId> {
        let same = |other: &NtPath| {
            let (left, right) = (other.names(), path.names());
            left.len() == right.len() && left.iter().zip(right).all(|(a, b)| a.eq_ignore_case(b))
        };
        let mut edited = self.hives.0.iter().filter(|(_, open)| open.hive.is_changed());
        edited.find(|(_, open)| same(&open.path)).map(|(id, _)| *id)
    }

    /// A value; `None` when the key or the value is not there.
    ///
    /// # Errors
    /// When the hive is missing or damaged.
    pub fn registry_value(
        &mut self,
        path: &RegistryPath,
        name: &Name,
    ) -> Result<Option<Value>, ImageError> {
        self.read_key(path, |hive, key| hive.value(key, name)).map(Option::flatten)
    }

    /// True when the key is there.
    ///
    /// # Errors
    /// When the hive is missing or damaged.
    pub fn registry_key_exists(&mut self, path: &RegistryPath) -> Result<bool, ImageError> {
        Ok(self.read_key(path, |_, _| Ok(()))?.is_some())
    }

    /// The names of the keys below a key; none when it is not there.
    ///
    /// # Errors
    /// When the hive is missing or damaged.
    pub fn registry_subkeys(&mut self, path: &RegistryPath) -> Result<Vec<Name>, ImageError> {
        let names = self.read_key(path, |hive, key| {
            hive.subkeys(key)?.into_iter().map(|key| hive.key_name(key)).collect()
        })?;
        Ok(names.unwrap_or_default())
    }

    /// The values of a key; none when it is not there.
    ///
    /// # Errors
    /// When the hive is missing or damaged.
    pub fn registry_values(&mut self, path: &RegistryPath) -> Result<Vec<Value>, ImageError> {
        Ok(self.read_key(path, |hive, key| hive.values(key))?.unwrap_or_default())
    }

    /// Makes a key, and those above it.
    ///
    /// # Errors
    /// When the hive is missing, damaged or full, or a name is not a key name.
    pub fn create_key(&mut self, path: &RegistryPath) -> Result<(), ImageError> {
        if self.registry_key_exists(path)? {
            return Ok(());
        }
        let (hive, key) = self.resolve(path)?;
        self.perform(Change::CreateKey { hive, key })
    }

    /// Takes a key away, with all below it; not there is fine.
    ///
    /// # Errors
    /// When the hive is missing or damaged, or the key is the hive's root.
    pub fn delete_key(&mut self, path: &RegistryPath) -> Result<(), ImageError> {
        if !self.registry_key_exists(path)? {
            return Ok(());
        }
        let (hive, key) = self.resolve(path)?;
        self.perform(Change::DeleteKey { hive, key })
    }

    /// Sets a value; makes the key when it is not there.
    ///
    /// # Errors
    /// When the hive is missing, damaged or full.
    pub fn set_value(&mut self, path: &RegistryPath, value: &Value) -> Result<(), ImageError> {
        self.create_key(path)?;
        let same = |old: &Value| old.kind == value.kind && old.data == value.data;
        if self.registry_value(path, &value.name)?.as_ref().is_some_and(same) {
            return Ok(());
        }
        let (hive, key) = self.resolve(path)?;
        let (name, kind, data) = (value.name.clone(), value.kind.0, value.data.clone());
        self.perform(Change::SetValue { hive, key, name, kind, data })
    }

    /// Gives a key that is there a security descriptor (self-relative bytes).
    ///
    /// # Errors
    /// When the hive is missing or damaged, or the key is not there.
    pub fn set_key_security(
        &mut self,
        path: &RegistryPath,
        descriptor: &[u8],
    ) -> Result<(), ImageError> {
        let old = self.read_key(path, |hive, key| hive.security(key).map(<[u8]>::to_vec))?;
        let Some(old) = old else { return Err(ImageError::NoKey(path.clone())) };
        if old == descriptor {
            return Ok(());
        }
        let (hive, key) = self.resolve(path)?;
        self.perform(Change::SetKeySecurity { hive, key, descriptor: descriptor.to_vec() })
    }

    /// The security descriptor of a key (self-relative bytes); `None` when the key is not there.
    ///
    /// # Errors
    /// When the hive is missing or damaged.
    pub fn key_security(&mut self, path: &RegistryPath) -> Result<Option<Vec<u8>>, ImageError> {
        self.read_key(path, |hive, key| hive.security(key).map(<[u8]>::to_vec))
    }

    /// When a key was last written to; `None` when it is not there.
    ///
    /// # Errors
    /// When the hive is missing or damaged.
    pub fn key_time(&mut self, path: &RegistryPath) -> Result<Option<FileTime>, ImageError> {
        self.read_key(path, |hive, key| hive.key_time(key))
    }

    /// Says when a key that is there was last written to: what an edit changed of that, for a key that shall keep its time.
    ///
    /// # Errors
    /// When the hive is missing or damaged, or the key is not there.
    pub fn set_key_time(&mut self, path: &RegistryPath, time: FileTime) -> Result<(), ImageError> {
        match self.key_time(path)? {
            None => Err(ImageError::NoKey(path.clone())),
            Some(old) if old == time => Ok(()),
            Some(_) => {
                let (hive, key) = self.resolve(path)?;
                self.perform(Change::SetKeyTime { hive, key, time })
            }
        }
    }

    /// Takes a value away; not there is fine.
    ///
    /// # Errors
    /// When the hive is missing or damaged.
    pub fn delete_value(&mut self, path: &RegistryPath, name: &Name) -> Result<(), ImageError> {
        if self.registry_value(path, name)?.is_none() {
            return Ok(());
        }
        let (hive, key) = self.resolve(path)?;
        self.perform(Change::DeleteValue { hive, key, name: name.clone() })
    }

    /// True when the image has the hive's file.
    #[must_use]
    pub fn has_hive(&self, id: HiveId) -> bool {
        let path = id.path(&self.system_root());
        self.tree().lookup(&path).is_some_and(|node| !self.tree().inode(node).is_directory())
    }

    /// Where a path leads: the hive, and the names from its root with the current control set in place.
    ///
    /// # Errors
    /// When the SYSTEM hive is needed for that and is missing or damaged.
    pub fn resolve(&mut self, path: &RegistryPath) -> Result<(HiveId, Vec<Name>), ImageError> {
        if !path.in_current_control_set() {
            return Ok((path.hive(), path.keys().to_vec()));
        }
        let set = self.current_control_set()?;
        let mut keys = vec![Name::from(format!("ControlSet{set:03}").as_str())];
        keys.extend_from_slice(path.keys());
        Ok((HiveId::System, keys))
    }

    /// The control set that `Select!Current` names; 1 where the hive has none.
    fn current_control_set(&mut self) -> Result<u32, ImageError> {
        let select = RegistryPath::from_keys(HiveId::System, vec!["Select".into()]);
        let current = self.registry_value(&select, &"Current".into())?;
        let number = current.and_then(|value| value.as_dword());
        Ok(number.filter(|number| (1..=999).contains(number)).unwrap_or(1))
    }

    pub(super) fn read_key<T>(
        &mut self,
        path: &RegistryPath,
        read: impl FnOnce(&Hive, KeyId) -> Result<T, HiveError>,
    ) -> Result<Option<T>, ImageError> {
        let (id, keys) = self.resolve(path)?;
        self.with_hive(id, |hive| {
            hive.find(hive.root(), &keys)?.map(|key| read(hive, key)).transpose()
        })
    }

    /// Does a change of the registry.
    pub(super) fn apply_to_hive(&mut self, change: &Change) -> Result<(), ImageError> {
        let epoch = self.epoch();
        match change {
            Change::CreateKey { hive, key } => {
                self.with_hive(*hive, |hive| hive.create_path(hive.root(), key, epoch).map(drop))
            }
            Change::SetKeySecurity { hive, key, descriptor } => {
                self.edit_key(*hive, key, |hive, key| hive.set_security(key, descriptor))
            }
            Change::SetKeyTime { hive, key, time } => {
                self.edit_key(*hive, key, |hive, key| hive.set_key_time(key, *time))
            }
            Change::DeleteKey { hive, key } => {
                self.with_hive(*hive, |hive| match hive.find(hive.root(), key)? {
                    Some(key) => hive.delete_key(key, epoch),
                    None => Ok(()),
                })
            }
            Change::SetValue { hive, key, name, kind, data } => {
                let kind = crate::format::hive::ValueType(*kind);
                let value = Value { name: name.clone(), kind, data: data.clone() };
                self.with_hive(*hive, |hive| {
                    let key = hive.create_path(hive.root(), key, epoch)?;
                    hive.set_value(key, &value, epoch).map(drop)
                })
            }
            Change::SetSecret { hive, key, name, kind, secret } => {
                self.apply_secret(*hive, key, name, *kind, secret)
            }
            Change::DeleteValue { hive, key, name } => {
                self.with_hive(*hive, |hive| match hive.find(hive.root(), key)? {
                    Some(key) => hive.delete_value(key, name, epoch).map(drop),
                    None => Ok(()),
                })
            }
            _ => Ok(()),
        }
    }

    /// Changes a key that is there.
    fn edit_key(
        &mut self,
        id: HiveId,
        names: &[Name],
        edit: impl FnOnce(&mut Hive, KeyId) -> Result<(), HiveError>,
    ) -> Result<(), ImageError> {
        let there = self.with_hive(id, |hive| match hive.find(hive.root(), names)? {
            Some(key) => edit(hive, key).map(|()| true),
            None => Ok(false),
        })?;
        let missing = || RegistryPath::from_keys(id, names.to_vec());
        there.then_some(()).ok_or_else(|| ImageError::NoKey(missing()))
    }

    /// Uses a hive, opening it when it is not.
    pub(super) fn with_hive<T>(
        &mut self,
        id: HiveId,
        use_it: impl FnOnce(&mut Hive) -> Result<T, HiveError>,
    ) -> Result<T, ImageError> {
        let path = id.path(&self.system_root());
        let content = match self.tree().lookup(&path) {
            Some(node) if !self.tree().inode(node).is_directory() => self.tree().inode(node).data(),
            _ => return Err(ImageError::NoHive { hive: id, path }),
        };
        let stale = self.hives.0.get(&id).is_none_or(|open| open.opened_from != content);
        if stale {
            let hive = self.open_hive(id, &path, &content)?;
            self.hives.0.insert(id, OpenHive { hive, path, opened_from: content });
        }
        let open = self.hives.0.get_mut(&id).expect("it was just opened");
        use_it(&mut open.hive).map_err(|source| ImageError::Hive {
            hive: id,
            path: open.path.clone(),
            source,
        })
    }

    /// The hive as its file has it: without edits that were not written back.
    ///
    /// # Errors
    /// When the hive is missing or damaged.
    pub(super) fn hive_of_file(&self, id: HiveId) -> Result<Hive, ImageError> {
        let path = id.path(&self.system_root());
        match self.tree().lookup(&path) {
            Some(node) if !self.tree().inode(node).is_directory() => {
                self.open_hive(id, &path, &self.tree().inode(node).data())
            }
            _ => Err(ImageError::NoHive { hive: id, path }),
        }
    }

    fn open_hive(&self, id: HiveId, path: &NtPath, content: &BlobRef) -> Result<Hive, ImageError> {
        if content.size > self.limits().hive {
            let (size, limit) = (content.size, self.limits().hive);
            let source = HiveError::TooLarge { size, limit };
            return Err(ImageError::Hive { hive: id, path: path.clone(), source });
        }
        let bytes = self.read(path)?;
        let mut logs = Vec::new();
        for log in log_paths(path) {
            let Some(node) = self.tree().lookup(&log) else { continue };
            let size = self.tree().inode(node).data().size;
            if size > 0 && size <= self.limits().hive {
                logs.push(self.read(&log)?);
            }
        }
        let logs: Vec<&[u8]> = logs.iter().map(Vec::as_slice).collect();
        Hive::recover(bytes, &logs, self.limits()).map_err(|source| ImageError::Hive {
            hive: id,
            path: path.clone(),
            source,
        })
    }

    /// The sizes that files will have once changed hives are put back into them, where that is another than now: of hives, and of log files, which are emptied.
    #[must_use]
    pub fn unwritten_sizes(&self) -> BTreeMap<NodeId, u64> {
        let tree = self.tree();
        let mut sizes = BTreeMap::new();
        for open in self.hives.0.values() {
            let Some(node) = tree.lookup(&open.path) else { continue };
            if !open.hive.is_changed() || tree.inode(node).data() != open.opened_from {
                continue;
            }
            sizes.insert(node, open.hive.file_size());
            sizes.extend(
                log_paths(&open.path).iter().filter_map(|log| Some((tree.lookup(log)?, 0))),
            );
        }
        sizes
    }

    /// Puts changed hives back into their files, those of `secret` as content that nothing may keep. Log files that hold something are emptied.
    pub(super) fn write_hives_back(&mut self, secret: &BTreeSet<HiveId>) -> Result<(), ImageError> {
        for (id, open) in std::mem::take(&mut self.hives.0) {
            let Some(node) = self.tree().lookup(&open.path) else { continue };
            if !open.hive.is_changed() || self.tree().inode(node).data() != open.opened_from {
                continue;
            }
            let bytes = open.hive.into_bytes();
            // What goes out must be what the next reader takes; this is cheap beside reading it.
            Hive::parse(bytes.clone(), self.limits()).map_err(|source| ImageError::Hive {
                hive: id,
                path: open.path.clone(),
                source,
            })?;
            self.overwrite(node, bytes, secret.contains(&id));
            for log in log_paths(&open.path) {
                match self.tree().lookup(&log) {
                    Some(node) if self.tree().inode(node).data().size > 0 => {
                        self.overwrite(node, Vec::new(), false);
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }
}

/// The log files that a hive can have beside it.
pub(super) fn log_paths(path: &NtPath) -> Vec<NtPath> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Vec::new() };
    let with = |ending: &str| {
        let units: Vec<u16> = name.units().iter().copied().chain(ending.encode_utf16()).collect();
        parent.join(Name::from_units(units))
    };
    [".LOG1", ".LOG2", ".LOG"].map(with).into()
}
