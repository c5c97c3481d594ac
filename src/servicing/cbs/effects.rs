//! What a component does to an image: files, folders, keys, values, entries of lists, each with its place. A pure function of manifest and target.
//!
//! The same function finds what is not understood: a value type, a macro, a security descriptor. So nothing is installed that was not looked at.

use crate::{
    base::ntpath::NtPath,
    format::{
        cbs::{
            Manifest,
            manifest::{Directory, File, RegistryKey},
        },
        hive::Value,
        security::SecurityDescriptor,
    },
    image::{
        RegistryPath,
        tree::{ATTRIBUTE_ARCHIVE, ATTRIBUTE_HIDDEN, ATTRIBUTE_READONLY, ATTRIBUTE_SYSTEM},
    },
};

use super::{
    layout,
    macros::{Macros, Target},
    registry,
    security::{Descriptors, ObjectKind},
    services,
};

/// What a component does.
#[derive(Debug, Default)]
pub(super) struct Effects {
    /// Folders that it names.
    pub directories: Vec<DirectoryEffect>,
    /// Names that its files have outside the store.
    pub links: Vec<LinkEffect>,
    /// Keys that it names.
    pub keys: Vec<KeyEffect>,
    /// Values.
    pub values: Vec<ValueEffect>,
    /// Entries of lists.
    pub members: Vec<Member>,
}

/// A folder.
#[derive(Debug)]
pub(super) struct DirectoryEffect {
    pub path: NtPath,
    /// The component says that it is its own.
    pub owner: bool,
    pub attributes: Option<u32>,
    pub security: Option<SecurityDescriptor>,
}

/// A name that a file of the store has elsewhere.
#[derive(Debug)]
pub(super) struct LinkEffect {
    /// Where.
    pub path: NtPath,
    /// Names below the component's folder.
    pub stored: Vec<String>,
}

/// A key.
#[derive(Debug)]
pub(super) struct KeyEffect {
    pub path: RegistryPath,
    pub security: Option<SecurityDescriptor>,
}

/// A value.
#[derive(Debug)]
pub(super) struct ValueEffect {
    /// Place in [`Effects::keys`].
    pub key: usize,
    pub value: Value,
    /// A value that is there stays.
    pub mutable: bool,
}

/// A text in a `REG_MULTI_SZ` that several components fill.
#[derive(Debug)]
pub(super) struct Member {
    /// Place in [`Effects::keys`].
    pub key: usize,
    /// The value's name.
    pub name: String,
    /// The text.
    pub member: String,
    /// It goes to the front.
    pub first: bool,
}

/// An element, attribute or value that is not understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownElement {
    /// Names from below the root, joined by `/`.
    pub element: String,
    /// Its line, from 1.
    pub line: u32,
    /// What of it is not understood; empty for the element as a whole.
    pub what: String,
}

impl UnknownElement {
    pub(super) fn new(element: &str, line: u32, what: String) -> Self {
        Self { element: element.to_owned(), line, what }
    }
}

impl std::fmt::Display for UnknownElement {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { element, line, what } = self;
        match what.as_str() {
            "" => write!(formatter, "<{element}> (line {line})"),
            what => write!(formatter, "<{element}> (line {line}): {what}"),
        }
    }
}

/// What the component does, as far as it is understood, and what is not.
pub(super) fn effects(manifest: &Manifest, target: &Target) -> (Effects, Vec<UnknownElement>) {
    let macros = Macros::new(target, manifest);
    let descriptors = Descriptors::of(manifest);
    let mut effects = Effects::default();
    let mut unknown = Vec::new();
    if !target.takes(&manifest.identity.architecture) {
        let what = format!("processorArchitecture=`{}`", manifest.identity.architecture);
        unknown.push(UnknownElement::new("assemblyIdentity", 1, what));
    }
    for (name, cause) in descriptors.defects() {
        let what = format!("{name}: {cause}");
        unknown.push(UnknownElement::new("trustInfo/../securityDescriptorDefinition", 1, what));
    }
    for directory in &manifest.directories {
        match directory_effect(directory, &macros, &descriptors) {
            Ok(effect) => effects.directories.push(effect),
            Err(what) => {
                unknown.push(UnknownElement::new("directories/directory", directory.line, what));
            }
        }
    }
    for file in &manifest.files {
        if let Err(what) = file_effects(file, &macros, &descriptors, &mut effects) {
            unknown.push(UnknownElement::new("file", file.line, what));
        }
    }
    for key in &manifest.registry_keys {
        key_effects(key, &macros, &descriptors, &mut effects, &mut unknown);
    }
    for membership in &manifest.memberships {
        let added = services::membership(membership, &macros, &descriptors, &mut effects);
        unknown.extend(added.err());
    }
    keep_out(&effects, target, &mut unknown);
    (effects, unknown)
}

/// Names what a component lays into the places of servicing itself. It stays an effect: the image's own servicing stack does that, and owns it.
fn keep_out(effects: &Effects, target: &Target, unknown: &mut Vec<UnknownElement>) {
    let directories = effects.directories.iter().map(|one| ("directories/directory", &one.path));
    let links = effects.links.iter().map(|one| ("file", &one.path));
    for (element, path) in directories.chain(links).filter(|(_, path)| target.is_store(path)) {
        let what = format!("the place `{path}`, which is for Windows' own servicing alone");
        unknown.push(UnknownElement::new(element, 1, what));
    }
    for key in effects.keys.iter().filter(|key| layout::is_own_key(&key.path)) {
        let what = format!("the key `{}`, which is for Windows' own servicing alone", key.path);
        unknown.push(UnknownElement::new("registryKeys/registryKey", 1, what));
    }
}

/// What a file of the store gets: attributes, and the security descriptor it names.
pub(super) fn file_options(
    file: &File,
    descriptors: &Descriptors,
) -> Result<(Option<u32>, Option<SecurityDescriptor>), String> {
    let security = descriptors.find(&file.security, ObjectKind::File)?;
    Ok((attributes(file.attributes.as_deref())?, security))
}

/// Names below the component's folder of a file in the store.
pub(super) fn stored_names(file: &File) -> Result<Vec<String>, String> {
    let name = file.stored_name();
    let names: Vec<String> =
        name.split(['\\', '/']).filter(|part| !part.is_empty()).map(str::to_owned).collect();
    match names.iter().find_map(|part| crate::base::ntpath::check_component(part).err()) {
        Some(error) => Err(format!("the name `{name}`: {error}")),
        None if names.is_empty() => Err("a file without name".to_owned()),
        None => Ok(names),
    }
}

fn directory_effect(
    directory: &Directory,
    macros: &Macros<'_>,
    descriptors: &Descriptors,
) -> Result<DirectoryEffect, String> {
    if let Some(compression) = &directory.compression {
        return Err(format!("compression=`{compression}`"));
    }
    Ok(DirectoryEffect {
        path: macros.path(&directory.destination_path)?,
        owner: directory.owner,
        attributes: attributes(directory.attributes.as_deref())?,
        security: descriptors.find(&directory.security, ObjectKind::File)?,
    })
}

fn file_effects(
    file: &File,
    macros: &Macros<'_>,
    descriptors: &Descriptors,
    effects: &mut Effects,
) -> Result<(), String> {
    file_options(file, descriptors)?;
    if file.hash.is_none() {
        return Err(format!("the file {} without a hash", file.name));
    }
    if let Some(kind) = file.writeable_type.as_deref().filter(|kind| !kind.is_empty()) {
        // Such a file is written to where it is used; a second name of the store's copy would spoil that.
        return Err(format!("writeableType=`{kind}` of {}", file.name));
    }
    let stored = stored_names(file)?;
    let mut places = Vec::new();
    if let Some(folder) = &file.destination_path {
        let name = file.projected_name();
        places.push(macros.path(&format!("{}\\{name}", folder.trim_end_matches('\\')))?);
    } else if !file.links.is_empty() {
        return Err(format!("links of {}, which has no place of its own", file.name));
    }
    for link in &file.links {
        places.push(macros.path(link)?);
    }
    effects
        .links
        .extend(places.into_iter().map(|path| LinkEffect { path, stored: stored.clone() }));
    Ok(())
}

fn key_effects(
    key: &RegistryKey,
    macros: &Macros<'_>,
    descriptors: &Descriptors,
    effects: &mut Effects,
    unknown: &mut Vec<UnknownElement>,
) {
    let path = "registryKeys/registryKey";
    if let Some(word) = key.per_user_virtualization.as_deref()
        && !["", "enable", "default"].iter().any(|known| known.eq_ignore_ascii_case(word))
    {
        let what = format!("perUserVirtualization=`{word}`");
        unknown.push(UnknownElement::new(path, key.line, what));
    }
    let place = descriptors
        .find(&key.security, ObjectKind::Key)
        .and_then(|security| effects.key(&key.key_name, security, macros));
    let at = match place {
        Ok(at) => at,
        Err(what) => {
            unknown.push(UnknownElement::new(path, key.line, what));
            return;
        }
    };
    for written in &key.values {
        match registry::value(written, macros) {
            Ok(value) => effects.value(at, value, written.mutable),
            Err(what) => unknown.push(UnknownElement::new(
                "registryKeys/registryKey/registryValue",
                written.line,
                what,
            )),
        }
    }
}

impl Effects {
    /// Adds a key of a manifest, and gives its place.
    pub(super) fn key(
        &mut self,
        name: &str,
        security: Option<SecurityDescriptor>,
        macros: &Macros<'_>,
    ) -> Result<usize, String> {
        let path = registry::key(name, macros)?;
        self.keys.push(KeyEffect { path, security });
        Ok(self.keys.len() - 1)
    }

    /// Adds a value.
    pub(super) fn value(&mut self, key: usize, value: Value, mutable: bool) {
        self.values.push(ValueEffect { key, value, mutable });
    }
}

/// `hidden system readOnly` as attributes; `None` when nothing is said.
fn attributes(text: Option<&str>) -> Result<Option<u32>, String> {
    let Some(text) = text.filter(|text| !text.trim().is_empty()) else { return Ok(None) };
    let mut all = 0;
    for word in text.split_whitespace() {
        all |= match word.to_ascii_lowercase().as_str() {
            "hidden" => ATTRIBUTE_HIDDEN,
            "system" => ATTRIBUTE_SYSTEM,
            "readonly" => ATTRIBUTE_READONLY,
            "archive" => ATTRIBUTE_ARCHIVE,
            _ => return Err(format!("attributes=`{text}`")),
        };
    }
    Ok(Some(all))
}
