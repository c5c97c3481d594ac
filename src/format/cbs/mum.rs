//! Package manifests (`.mum`).
//!
//! A package is installed as a whole when its parents are there; its *updates* are what it consists of: each brings other packages or one deployment. An
//! update that a person can select is what Windows calls a feature.

use super::{
    CbsError, Identity,
    known::{IDENTITY, IDENTITY_ATTRIBUTES, Known},
    xml::{Element, says_yes},
};

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
    /// Elements and attributes that are not known here: names as paths (`package/foo`, `package/update/@bar`), each with its line.
    pub unknown: Vec<UnknownElement>,
}

/// An element, or an attribute, that is not known here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownElement {
    /// Names from below the root, joined by `/`; an attribute's name has `@` before it.
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
        Self::of_element(&Element::parse(bytes)?)
    }

    /// Reads a package manifest from its root element.
    ///
    /// # Errors
    /// When it is not an assembly with an identity and a package.
    pub fn of_element(root: &Element) -> Result<Self, CbsError> {
        if root.name != "assembly" {
            return Err(root.error(format!("<{}> is not an assembly", root.name)));
        }
        let missing = |name| root.error(format!("the assembly has no <{name}>"));
        let identity = root.child("assemblyIdentity").ok_or_else(|| missing("assemblyIdentity"))?;
        let package = root.child("package").ok_or_else(|| missing("package"))?;
        let mut unknown = Vec::new();
        ASSEMBLY.surplus(root, &mut |path, element, _| {
            unknown.push(UnknownElement { path, line: element.line });
        });
        Ok(Self {
            identity: Identity::of_element(identity)?,
            display_name: root.owned("displayName"),
            description: root.owned("description"),
            support: root.owned("supportInformation"),
            identifier: package.owned_or_empty("identifier"),
            release_type: package.owned_or_empty("releaseType"),
            restart: package.owned("restart"),
            permanence: package.owned("permanence"),
            self_update: package.is_true("selfUpdate"),
            psf_name: package.owned("psfName"),
            parents: package.named("parent").map(parent).collect::<Result<_, _>>()?,
            installer: package.child("installerAssembly").map(installer).transpose()?,
            capabilities: capabilities(package)?,
            updates: package.named("update").map(update).collect::<Result<_, _>>()?,
            custom: package.named("customInformation").cloned().collect(),
            unknown,
        })
    }

    /// The updates that a person can select: what Windows calls features.
    pub fn features(&self) -> impl Iterator<Item = &Update> {
        self.updates.iter().filter(|update| update.selectable.is_some())
    }

    /// The update with that name; letter case does not matter.
    #[must_use]
    pub fn update(&self, name: &str) -> Option<&Update> {
        self.updates.iter().find(|update| update.name.eq_ignore_ascii_case(name))
    }

    /// True when the whole package is a language of Windows, not the texts of one part: its release type is `Language Pack`, it has a language, and
    /// it says of what Windows it is (`LPType`), or is called so.
    #[must_use]
    pub fn is_language_pack(&self) -> bool {
        let name = self.identity.name.to_ascii_lowercase();
        self.release_type.eq_ignore_ascii_case("Language Pack")
            && !self.identity.is_neutral()
            && (self.custom_attribute("LPType").is_some() || name.contains("languagepack-package"))
    }

    /// An attribute of `customInformation`: `LPType`, `PackageFormat` ...
    #[must_use]
    pub fn custom_attribute(&self, name: &str) -> Option<&str> {
        self.custom.iter().find_map(|element| element.attribute(name))
    }
}

impl std::fmt::Display for CapabilityIdentity {
    /// As people write it: `Name~~~language~version`, the version with four numbers.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}~~~{}~{}", self.name, self.full_language(), self.full_version())
    }
}

impl CapabilityIdentity {
    /// The version with four numbers: packages declare `1.0` for what people write as `0.0.1.0` (PowerShell ISE does). What is no version stays.
    #[must_use]
    pub fn full_version(&self) -> String {
        let numbers: Vec<&str> = self.version.split('.').collect();
        let is_number =
            |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !numbers.iter().all(is_number) {
            return self.version.clone();
        }
        let mut full = vec!["0"; 4_usize.saturating_sub(numbers.len())];
        full.extend(numbers);
        full.join(".")
    }

    /// The language, nothing for `neutral`: some packages write that, people do not.
    #[must_use]
    pub fn full_language(&self) -> &str {
        if self.language.eq_ignore_ascii_case("neutral") { "" } else { &self.language }
    }

    /// Reads what people write: `Name~~~language~version`; `None` when it is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let parts: Vec<&str> = text.split('~').collect();
        let [name, "", "", language, version] = parts[..] else { return None };
        (!name.is_empty()).then(|| Self {
            name: name.to_owned(),
            version: version.to_owned(),
            language: language.to_owned(),
        })
    }
}

/// Most capabilities that a package declares, counted with what each needs and is a satellite of. Real ones have some dozens.
const MOST_CAPABILITY_PARTS: usize = 1 << 16;

// What of a package manifest is modelled. `localizedStrings` (texts for people), `packageExtended` (sizes) and `phoneInformation` are read by nobody here.

const CAPABILITY_IDENTITY: Known =
    Known::new("capabilityIdentity", &["name", "version", "language"], &[]);
const CAPABILITY: Known =
    Known::new("capability", &[], &[CAPABILITY_IDENTITY, CAPABILITY_DEPENDENCY, SATELLITE]);
const CAPABILITY_DEPENDENCY: Known = Known::new(
    "dependency",
    &[],
    &[Known::new("capability", &[], &[CAPABILITY_IDENTITY]), CAPABILITY_IDENTITY],
);
const SATELLITE: Known =
    Known::new("satelliteInfo", &[], &[Known::new("applyTo", &["type", "value"], &[])]);
const PACKAGE_AROUND: Known = Known::new("package", &[], &[IDENTITY.once()]).once();
const PARENT_AROUND: Known = Known::new("parent", &[], &[IDENTITY.once()]).once();
const DETECT: Known = Known::new(
    "detectUpdate",
    &[],
    &[Known::new("update", &["name"], &[PACKAGE_AROUND]), PACKAGE_AROUND, PARENT_AROUND],
);
const UPDATE: Known = Known::new(
    "update",
    &["name", "displayName", "description", "restart"],
    &[
        Known::new(
            "selectable",
            &["disposition"],
            &[Known::new("detectNone", &["default"], &[]).once(), DETECT],
        )
        .once(),
        Known::new(
            "applicable",
            &["disposition"],
            &[DETECT, Known::new("updateComponent", &["elevate"], &[IDENTITY])],
        ),
        Known::new("package", &["contained", "integrate"], &[IDENTITY.once()]),
        Known::new("component", &[], &[IDENTITY]),
        Known::new("driver", &["inf", "ranking"], &[IDENTITY.once()]),
        Known::new("capability", &[], &[CAPABILITY_IDENTITY]),
    ],
);
const PACKAGE: Known = Known::new(
    "package",
    &["identifier", "releaseType", "restart", "permanence", "selfUpdate", "psfName"],
    &[
        Known::whole("customInformation"),
        Known::whole("localizedStrings"),
        Known::whole("packageExtended"),
        Known::new(
            "parent",
            &[
                "disposition",
                "integrate",
                "buildCompare",
                "revisionCompare",
                "serviceCompare",
                "distributionCompare",
            ],
            &[IDENTITY],
        ),
        Known::new("installerAssembly", IDENTITY_ATTRIBUTES, &[IDENTITY.once()]).once(),
        Known::new("declareCapability", &[], &[CAPABILITY, CAPABILITY_DEPENDENCY, SATELLITE]),
        UPDATE,
    ],
);
const ASSEMBLY: Known = Known::new(
    "assembly",
    &["displayName", "description", "supportInformation"],
    &[IDENTITY.once(), PACKAGE.once()],
);

fn identities(element: &Element) -> Result<Vec<Identity>, CbsError> {
    element.named("assemblyIdentity").map(Identity::of_element).collect()
}

fn identity(element: &Element) -> Result<Option<Identity>, CbsError> {
    element.child("assemblyIdentity").map(Identity::of_element).transpose()
}

fn parent(element: &Element) -> Result<Parent, CbsError> {
    Ok(Parent {
        identities: identities(element)?,
        disposition: element.owned_or_empty("disposition"),
        integrate: element.owned("integrate"),
        build_compare: element.owned("buildCompare"),
        revision_compare: element.owned("revisionCompare"),
        service_compare: element.owned("serviceCompare"),
        distribution_compare: element.owned("distributionCompare"),
    })
}

/// Real packages have the identity's attributes at the element itself.
fn installer(element: &Element) -> Result<Identity, CbsError> {
    Identity::of_element(element.child("assemblyIdentity").unwrap_or(element))
}

/// The capabilities that a package declares.
fn capabilities(package: &Element) -> Result<Vec<DeclaredCapability>, CbsError> {
    let (mut found, mut left) = (Vec::new(), MOST_CAPABILITY_PARTS);
    for element in package.named("declareCapability") {
        found.append(&mut declared(element, &mut left)?);
    }
    Ok(found)
}

/// The capabilities of a `declareCapability`. What they need and what they are satellites of stands beside `capability` in real packages, and is said of each
/// of them: `left` is how much more of that there may be.
fn declared(element: &Element, left: &mut usize) -> Result<Vec<DeclaredCapability>, CbsError> {
    let mut found = Vec::new();
    for capability in element.named("capability") {
        let around = [element, capability];
        let dependencies: Vec<_> = around.iter().flat_map(|e| e.named("dependency")).collect();
        let mut needed = Vec::new();
        for dependency in dependencies {
            let inside = dependency.named("capability").chain([dependency]);
            for part in inside {
                needed.append(&mut capability_identities(part)?);
            }
        }
        let satellite_of: Vec<_> = around
            .iter()
            .flat_map(|e| e.named("satelliteInfo"))
            .flat_map(|info| info.named("applyTo"))
            .map(|to| (to.owned_or_empty("type"), to.owned_or_empty("value")))
            .collect();
        let names = capability_identities(capability)?;
        if names.is_empty() {
            return Err(capability.error("<capability> without <capabilityIdentity>"));
        }
        let parts = names.len().saturating_mul(needed.len() + satellite_of.len() + 1);
        let rest = left.checked_sub(parts);
        *left = rest.ok_or_else(|| capability.error("more capabilities than any package has"))?;
        for identity in names {
            let (dependencies, satellite_of) = (needed.clone(), satellite_of.clone());
            found.push(DeclaredCapability { identity, dependencies, satellite_of });
        }
    }
    Ok(found)
}

fn capability_identities(element: &Element) -> Result<Vec<CapabilityIdentity>, CbsError> {
    let read = |identity: &Element| match identity.attribute("name") {
        None | Some("") => Err(identity.error("<capabilityIdentity> without a name")),
        Some(name) => Ok(CapabilityIdentity {
            name: name.to_owned(),
            version: identity.owned_or_empty("version"),
            language: match identity.attribute("language") {
                Some(language) if !language.eq_ignore_ascii_case("neutral") => language.to_owned(),
                _ => String::new(),
            },
        }),
    };
    element.named("capabilityIdentity").map(read).collect()
}

fn update(element: &Element) -> Result<Update, CbsError> {
    let references = |element: &Element| -> Result<PackageReference, CbsError> {
        Ok(PackageReference {
            identity: identity(element)?
                .ok_or_else(|| element.error("<package> without <assemblyIdentity>"))?,
            contained: element.attribute("contained").map(says_yes),
            integrate: element.owned("integrate"),
        })
    };
    let driver = |element: &Element| -> Result<DriverReference, CbsError> {
        Ok(DriverReference {
            inf: element.owned_or_empty("inf"),
            ranking: element.owned("ranking"),
            identity: identity(element)?,
        })
    };
    Ok(Update {
        name: element.owned_or_empty("name"),
        display_name: element.owned("displayName"),
        description: element.owned("description"),
        restart: element.owned("restart"),
        selectable: element.child("selectable").map(selectable).transpose()?,
        applicable: element.named("applicable").map(applicable).collect::<Result<_, _>>()?,
        packages: element.named("package").map(references).collect::<Result<_, _>>()?,
        components: element
            .named("component")
            .map(identities)
            .collect::<Result<Vec<_>, _>>()?
            .concat(),
        drivers: element.named("driver").map(driver).collect::<Result<_, _>>()?,
        capabilities: element
            .named("capability")
            .map(capability_identities)
            .collect::<Result<Vec<_>, _>>()?
            .concat(),
        line: element.line,
    })
}

fn selectable(element: &Element) -> Result<Selectable, CbsError> {
    Ok(Selectable {
        disposition: element.owned_or_empty("disposition"),
        default: element
            .child("detectNone")
            .and_then(|none| none.attribute("default"))
            .map(says_yes),
        detect: detected(element)?,
    })
}

fn applicable(element: &Element) -> Result<Applicable, CbsError> {
    let component = |element: &Element| -> Result<UpdateComponent, CbsError> {
        Ok(UpdateComponent {
            elevate: element.owned_or_empty("elevate"),
            identities: identities(element)?,
        })
    };
    Ok(Applicable {
        disposition: element.owned_or_empty("disposition"),
        updates: detected(element)?,
        components: element.named("updateComponent").map(component).collect::<Result<_, _>>()?,
    })
}

/// The updates of every `detectUpdate` in an element.
fn detected(element: &Element) -> Result<Vec<DetectUpdate>, CbsError> {
    let mut found = Vec::new();
    for detect in element.named("detectUpdate") {
        let around = [detect.child("package"), detect.child("parent")];
        let around = around.into_iter().flatten().next().map(identity).transpose()?.flatten();
        for update in detect.named("update") {
            let own = update.child("package").map(identity).transpose()?.flatten();
            found.push(DetectUpdate {
                name: update.owned_or_empty("name"),
                package: own.or_else(|| around.clone()),
            });
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::format::cbs::Version;

    const SAMPLE: &str = r#"<?xml version="1.0" encoding="utf-8"?>
<assembly xmlns="urn:schemas-microsoft-com:asm.v3" manifestVersion="1.0" displayName="D" description="E" supportInformation="S" copyright="C">
  <assemblyIdentity name="Example-Package" version="10.0.1.2" processorArchitecture="amd64" language="neutral" buildType="release" publicKeyToken="31bf3856ad364e35"/>
  <package identifier="KB1" releaseType="Feature Pack" restart="possible" permanence="permanent" selfUpdate="True" psfName="a.psf" applicabilityEvaluation="deep">
    <mum2:customInformation xmlns:mum2="urn:x" LPType="Client"><mum2:foo/></mum2:customInformation>
    <parent disposition="detect" integrate="delegate" buildCompare="EQ" serviceCompare="GE">
      <assemblyIdentity name="A" version="10.0.1.1"/>
      <assemblyIdentity name="B"/>
    </parent>
    <parent set="x"/>
    <installerAssembly name="Microsoft-Windows-ServicingStack" version="6.1.7601.24516" language="neutral" versionScope="nonSxS"/>
    <declareCapability>
      <capability><capabilityIdentity name="Example.Tool" version="1.0" language="zh-CN"/></capability>
      <dependency><capability><capabilityIdentity name="Language.Basic" version="1.0" language="neutral"/></capability></dependency>
      <satelliteInfo><applyTo type="language" value="zh-CN"/></satelliteInfo>
    </declareCapability>
    <update name="Feature" displayName="F" description="G" restart="required">
      <selectable disposition="staged"><detectNone default="true"/><detectUpdate><update name="Other"/></detectUpdate></selectable>
      <package contained="false" integrate="hidden"><assemblyIdentity name="C" version="1.0"/></package>
    </update>
    <update name="Part">
      <applicable disposition="detect">
        <detectUpdate><parent><assemblyIdentity name="P"/></parent><update name="Feature"/></detectUpdate>
        <updateComponent elevate="install"><assemblyIdentity name="D"/></updateComponent>
      </applicable>
      <component><assemblyIdentity name="Deployment" version="1.0"/></component>
      <driver inf="a.inf" ranking="1"><assemblyIdentity name="dual_a.inf"/></driver>
      <capability><capabilityIdentity name="Q" version="1"/></capability>
      <driverExtended/>
    </update>
    <packageExtended packageSize="1"/>
    <selection/>
  </package>
</assembly>"#;

    #[test]
    fn a_package_with_everything() {
        let mum = Mum::parse(SAMPLE.as_bytes()).unwrap();
        assert_eq!(mum.identity.package_id(), "Example-Package~31bf3856ad364e35~amd64~~10.0.1.2");
        assert_eq!(mum.release_type, "Feature Pack");
        assert!(mum.self_update);
        assert_eq!(mum.custom_attribute("LPType"), Some("Client"));
        let names: Vec<_> = mum.parents[0].identities.iter().map(|i| i.name.as_str()).collect();
        assert_eq!(names, ["A", "B"]);
        assert_eq!(mum.parents[0].service_compare.as_deref(), Some("GE"));
        assert_eq!(mum.installer.as_ref().unwrap().version, Version([6, 1, 7601, 24516]));
        let [capability] = &mum.capabilities[..] else { panic!("{:?}", mum.capabilities) };
        assert_eq!(capability.identity.to_string(), "Example.Tool~~~zh-CN~0.0.1.0");
        assert_eq!(capability.dependencies[0].to_string(), "Language.Basic~~~~0.0.1.0");
        assert_eq!(capability.satellite_of, [("language".to_owned(), "zh-CN".to_owned())]);
        let [feature] = &mum.features().collect::<Vec<_>>()[..] else { panic!() };
        let selectable = feature.selectable.as_ref().unwrap();
        assert_eq!((feature.name.as_str(), selectable.default), ("Feature", Some(true)));
        assert_eq!(selectable.detect[0].name, "Other");
        assert_eq!(feature.packages[0].contained, Some(false));
        let part = mum.update("PART").unwrap();
        let detect = &part.applicable[0].updates[0];
        assert_eq!(detect.package.as_ref().unwrap().name, "P");
        assert_eq!(part.applicable[0].components[0].elevate, "install");
        assert_eq!(part.components[0].name, "Deployment");
        assert_eq!(part.drivers[0].identity.as_ref().unwrap().name, "dual_a.inf");
        assert_eq!(part.capabilities[0].name, "Q");
        let unknown: Vec<_> = mum.unknown.iter().map(|u| (u.path.as_str(), u.line)).collect();
        let expected = [
            ("package/parent/@set", 10),
            ("package/update/driverExtended", 29),
            ("package/selection", 32),
        ];
        assert_eq!(unknown, expected);
    }

    #[test]
    fn capabilities_that_multiply_are_refused() {
        let mum = |count: usize| {
            let name = "<capabilityIdentity name='a'/>".repeat(count);
            format!(
                "<assembly><assemblyIdentity name='a'/><package><declareCapability><capability>{name}</capability><dependency>{name}</dependency></declareCapability></package></assembly>"
            )
        };
        assert_eq!(Mum::parse(mum(100).as_bytes()).unwrap().capabilities.len(), 100);
        let error = Mum::parse(mum(300).as_bytes()).unwrap_err();
        assert!(error.cause.contains("more capabilities"), "{error}");
    }

    #[test]
    fn what_is_no_package_is_refused() {
        for (text, cause) in [
            ("<foo/>", "<foo> is not an assembly"),
            ("<assembly/>", "no <assemblyIdentity>"),
            ("<assembly><assemblyIdentity name='a'/></assembly>", "no <package>"),
            (
                "<assembly><assemblyIdentity name='a'/><package><update><package/></update></package></assembly>",
                "<package> without",
            ),
        ] {
            let error = Mum::parse(text.as_bytes()).unwrap_err();
            assert!(error.cause.contains(cause), "{error}");
        }
    }

    #[test]
    fn capabilities_are_written_as_people_do() {
        let written = "OpenSSH.Server~~~~0.0.1.0";
        assert_eq!(CapabilityIdentity::parse(written).unwrap().to_string(), written);
        for wrong in ["", "OpenSSH", "A~B~~~1", "~~~~1", "A~~~~1~"] {
            assert_eq!(CapabilityIdentity::parse(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn no_change_of_a_package_makes_it_panic(at in 0..SAMPLE.len(), byte in 0x20_u8..0x7f) {
            let mut bytes = SAMPLE.as_bytes().to_vec();
            bytes[at] = byte;
            drop(Mum::parse(&bytes));
        }
    }
}
