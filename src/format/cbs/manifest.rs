//! Component manifests (`.manifest`): what a component or deployment brings.
//!
//! The primitive elements are modelled; every other element is kept as it is in [`Manifest::others`], so that a reader can decide what it is worth.
//! Macros (`$(runtime.system32)`) are kept as written.

use std::collections::BTreeMap;

use super::{CbsError, Identity, xml::Element};

/// A component manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// What the component is called.
    pub identity: Identity,
    /// `deployment`: it only lists components.
    pub deployment: bool,
    /// What it depends on or, of a deployment, consists of.
    pub dependencies: Vec<Dependency>,
    /// Files.
    pub files: Vec<File>,
    /// Directories.
    pub directories: Vec<Directory>,
    /// Registry keys.
    pub registry_keys: Vec<RegistryKey>,
    /// `trustInfo`: security descriptors by name.
    pub security: BTreeMap<String, SecurityDefinition>,
    /// `memberships/categoryMembership`.
    pub memberships: Vec<Membership>,
    /// `localization/resources/stringTable`: culture (lower case) and its strings.
    pub strings: BTreeMap<String, BTreeMap<String, String>>,
    /// Every other element below the root, and every element or attribute inside a modelled one that is not modelled: names as paths, each with its line.
    pub others: Vec<Other>,
}

/// An element (or attribute, as `file/@name`) that the model does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Other {
    /// Names from below the root, joined by `/`: `taskScheduler`, `file/infFile`, `file/@writeableType`.
    pub path: String,
    /// Its line, from 1.
    pub line: u32,
    /// The element itself; `None` for an attribute.
    pub element: Option<Element>,
}

/// `dependency`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependency {
    /// Which assembly; `language="*"` means: in every language that is there.
    pub identity: Identity,
    /// `dependentAssembly/@dependencyType`: `install`, `prerequisite`; empty when not given.
    pub kind: String,
    /// `@discoverable`: `yes`, `no`, `false`, as written.
    pub discoverable: Option<String>,
    /// `@resourceType`: `Resources`.
    pub resource_type: Option<String>,
    /// `@name`: what `$(dependentAssembly.NAME.path)` refers to.
    pub name: Option<String>,
    /// `@optional` is `yes` or `true`.
    pub optional: bool,
}

/// `file`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct File {
    /// `@name`.
    pub name: String,
    /// `@destinationPath`; `None` (also when it is empty): it stays in the store.
    pub destination_path: Option<String>,
    /// `@destinationName`; `None`: `name`.
    pub destination_name: Option<String>,
    /// `@sourceName`; `None` (also when it is empty, as real manifests have it): `name`. Its name in the component's folder.
    pub source_name: Option<String>,
    /// `@attributes`, as written.
    pub attributes: Option<String>,
    /// `@writeableType`, as written.
    pub writeable_type: Option<String>,
    /// `securityDescriptor/@name`s, with their `@buildFilter`.
    pub security: Vec<(String, Option<String>)>,
    /// `hash`: of the file; `None` when not given.
    pub hash: Option<FileHash>,
    /// `link/@destination`: further places.
    pub links: Vec<String>,
    /// Its line, from 1.
    pub line: u32,
}

/// `hash`: digest of a file, with the Identity transform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileHash {
    /// SHA-256.
    Sha256([u8; 32]),
    /// SHA-1, in old manifests.
    Sha1([u8; 20]),
}

/// `directories/directory`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Directory {
    /// `@destinationPath`.
    pub destination_path: String,
    /// `@owner` is true.
    pub owner: bool,
    /// `@attributes`, as written.
    pub attributes: Option<String>,
    /// `@compression`, as written.
    pub compression: Option<String>,
    /// `securityDescriptor/@name`s, with their `@buildFilter`.
    pub security: Vec<(String, Option<String>)>,
    /// Its line, from 1.
    pub line: u32,
}

/// `registryKeys/registryKey`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RegistryKey {
    /// `@keyName`: `HKEY_LOCAL_MACHINE\...`.
    pub key_name: String,
    /// `@owner` is true.
    pub owner: bool,
    /// `@perUserVirtualization`, as written.
    pub per_user_virtualization: Option<String>,
    /// `registryValue`s.
    pub values: Vec<RegistryValue>,
    /// `securityDescriptor/@name`s, with their `@buildFilter`.
    pub security: Vec<(String, Option<String>)>,
    /// Its line, from 1.
    pub line: u32,
}

/// `registryValue`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RegistryValue {
    /// `@name`; empty for the default value.
    pub name: String,
    /// `@valueType`, as written: `REG_SZ`, `00020001` ...
    pub value_type: String,
    /// `@value`, as written.
    pub value: String,
    /// `@operationHint`, as written.
    pub operation_hint: Option<String>,
    /// `@mutable` is true: a value that is there stays.
    pub mutable: bool,
    /// `@owner` is true.
    pub owner: bool,
    /// Its line, from 1.
    pub line: u32,
}

/// `securityDescriptorDefinition`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecurityDefinition {
    /// `@sddl`.
    pub sddl: String,
    /// `@operationHint`: `replace`.
    pub operation_hint: Option<String>,
}

/// `categoryMembership`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// `id/@name`: `Microsoft.Windows.Categories.Services`.
    pub category: String,
    /// `id/@typeName`: `Service`, `SvcHost`, `BootCritical`.
    pub type_name: String,
    /// `id/@version`, as written.
    pub version: String,
    /// `categoryInstance`s: subcategory and the element itself.
    pub instances: Vec<(String, Element)>,
    /// Its line, from 1.
    pub line: u32,
}

impl Manifest {
    /// Reads a manifest in plain XML (see `format::dcm` for compressed ones).
    ///
    /// # Errors
    /// When it is not XML, not an assembly with an identity, or too deep.
    pub fn parse(bytes: &[u8]) -> Result<Self, CbsError> {
        Self::of_element(&Element::parse(bytes)?)
    }

    /// Reads a manifest from its root element.
    ///
    /// # Errors
    /// When it is not an assembly with an identity.
    pub fn of_element(root: &Element) -> Result<Self, CbsError> {
        super::manifest_read::manifest(root)
    }
}

impl File {
    /// Its name in the component's folder in the store.
    #[must_use]
    pub fn stored_name(&self) -> &str {
        self.source_name.as_deref().unwrap_or(&self.name)
    }

    /// Its name where it is projected to.
    #[must_use]
    pub fn projected_name(&self) -> &str {
        self.destination_name.as_deref().unwrap_or(&self.name)
    }
}
