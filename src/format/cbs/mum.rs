//! Package manifests (`.mum`).
//!
//! A package is installed as a whole when its parents are there; its *updates* are what it consists of: each brings other packages or one deployment. An
//! update that a person can select is what Windows calls a feature.

use super::{CbsError, Identity, xml::Element};

/// A package manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mum {
    /// What the package is called.
    pub identity: Identity,
    /// `assembly/@displayName`.
    pub display_name: Option<String>,
    /// `assembly/@description`.
    pub description: Option<String>,
    /// `assembly/@supportInformation`.
    pub support: Option<String>,
    /// `package/@identifier`.
    pub identifier: String,
    /// `package/@releaseType`: `Product`, `Feature Pack`, `Language Pack`, `OnDemand Pack`, `Update`, `Security Update` ...; empty when not given.
    pub release_type: String,
    /// `package/@restart`: `possible`, `required`.
    pub restart: Option<String>,
    /// `package/@permanence`: `permanent`, `removable`.
    pub permanence: Option<String>,
    /// `package/@selfUpdate` is true: it replaces the servicing stack itself.
    pub self_update: bool,
    /// `package/@psfName`: its payload lies in a PSF.
    pub psf_name: Option<String>,
    /// Each must be satisfied by one of its identities.
    pub parents: Vec<Parent>,
    /// The oldest servicing stack that can install it.
    pub installer: Option<Identity>,
    /// Capabilities that it is.
    pub capabilities: Vec<DeclaredCapability>,
    /// What it consists of.
    pub updates: Vec<Update>,
    /// `customInformation`, whole.
    pub custom: Vec<Element>,
    /// Elements of the package that are not known here: names as paths (`package/foo`), each with its line.
    pub unknown: Vec<UnknownElement>,
}

/// An element that is not known here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownElement {
    /// Names from below the root, joined by `/`.
    pub path: String,
    /// Its line in the file, from 1.
    pub line: u32,
}

/// `parent`: what must be there before the package.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Parent {
    /// Any one of these.
    pub identities: Vec<Identity>,
    /// `@disposition`: `detect` (installed), `staged`, `absent`; empty when not given (as `detect`).
    pub disposition: String,
    /// `@integrate`: `separate`, `delegate`, `hidden`, `visible`.
    pub integrate: Option<String>,
    /// `@buildCompare`: `EQ`, `GE`: how the build number of the version is compared.
    pub build_compare: Option<String>,
    /// `@revisionCompare`.
    pub revision_compare: Option<String>,
    /// `@serviceCompare`.
    pub service_compare: Option<String>,
    /// `@distributionCompare`.
    pub distribution_compare: Option<String>,
}

/// `declareCapability/capability`: a capability that the package is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeclaredCapability {
    /// What it is called.
    pub identity: CapabilityIdentity,
    /// Capabilities it needs.
    pub dependencies: Vec<CapabilityIdentity>,
    /// `satelliteInfo/applyTo`: for what it is a satellite: type (`language`, `architecture` ...) and value.
    pub satellite_of: Vec<(String, String)>,
}

/// The name of a capability: `Name~~~language~version` where people write it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CapabilityIdentity {
    /// `OpenSSH.Server`.
    pub name: String,
    /// `0.0.1.0`, `1.0`, as written.
    pub version: String,
    /// A language tag; empty for none.
    pub language: String,
}

/// `update`: a part of a package.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Update {
    /// Its name; of a feature, the feature's.
    pub name: String,
    /// `@displayName`.
    pub display_name: Option<String>,
    /// `@description`.
    pub description: Option<String>,
    /// `@restart`.
    pub restart: Option<String>,
    /// `selectable`: it is a feature.
    pub selectable: Option<Selectable>,
    /// `applicable`: it applies only when these do.
    pub applicable: Vec<Applicable>,
    /// Packages it brings.
    pub packages: Vec<PackageReference>,
    /// Deployments it brings; one in all real packages.
    pub components: Vec<Identity>,
    /// Drivers it brings.
    pub drivers: Vec<DriverReference>,
    /// Capabilities it brings.
    pub capabilities: Vec<CapabilityIdentity>,
    /// Its line in the file, from 1.
    pub line: u32,
}

/// `selectable`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selectable {
    /// `@disposition`: `staged`, `installed`, `absent`; empty when not given.
    pub disposition: String,
    /// `detectNone/@default`: whether it is selected when nobody chose.
    pub default: Option<bool>,
    /// `detectUpdate`: other updates (with their package, when named) that select it.
    pub detect: Vec<DetectUpdate>,
}

/// `applicable`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Applicable {
    /// `@disposition`: `detect`, `staged`; empty when not given.
    pub disposition: String,
    /// Updates that must be selected.
    pub updates: Vec<DetectUpdate>,
    /// `updateComponent`: components that must be there in an older version.
    pub components: Vec<UpdateComponent>,
}

/// `detectUpdate/update`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DetectUpdate {
    /// The update's name.
    pub name: String,
    /// `detectUpdate/package` or `parent` around it, when given: the package whose update it is; `None`: this one.
    pub package: Option<Identity>,
}

/// `updateComponent`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UpdateComponent {
    /// `@elevate`: `serviceLevel`, `revision`, `build`, `install`.
    pub elevate: String,
    /// Which components.
    pub identities: Vec<Identity>,
}

/// `update/package`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageReference {
    /// Which package.
    pub identity: Identity,
    /// `@contained`: it comes in the same container.
    pub contained: Option<bool>,
    /// `@integrate`: `hidden`, `visible`, `separate`.
    pub integrate: Option<String>,
}

/// `update/driver`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DriverReference {
    /// `@inf`.
    pub inf: String,
    /// `@ranking`.
    pub ranking: Option<String>,
    /// The component.
    pub identity: Option<Identity>,
}

impl Mum {
    /// Reads a package manifest.
    ///
    /// # Errors
    /// When it is not XML, not an assembly with an identity and a package, or too deep.
    pub fn parse(bytes: &[u8]) -> Result<Self, CbsError> {
        let root = Element::parse(bytes)?;
        Err(root.error("packages are not read yet"))
    }
}
