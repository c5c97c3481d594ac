//! What app packages say of themselves: `AppxManifest.xml` and `AppxMetadata\AppxBundleManifest.xml` (Microsoft's package manifest schema).
//!
//! Namespaces are not looked at: each version of Windows brought its own for the same elements.

use crate::format::cbs::{CbsError, xml::Element};

use super::name::{FullName, publisher_id, version};

/// Where the manifest lies in a package.
pub(super) const PACKAGE: &str = "AppxManifest.xml";
/// Where the manifest lies in a bundle.
pub(super) const BUNDLE: &str = r"AppxMetadata\AppxBundleManifest.xml";

/// What a package or bundle is.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Manifest {
    /// The full name.
    pub(super) full: String,
    /// The full names of the packages in a bundle; `None` for a package.
    pub(super) members: Option<Vec<Member>>,
    /// True for a framework, which other packages need.
    pub(super) framework: bool,
    /// Packages that it needs: their names, and the version at least.
    pub(super) needs: Vec<(String, String)>,
    /// The lowest version of Windows that it says it runs on.
    pub(super) windows: Option<String>,
}

/// A package in a bundle.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Member {
    /// The full name.
    pub(super) full: String,
    /// True for the app itself, false for resources.
    pub(super) application: bool,
    /// `x64` ...; `neutral`.
    pub(super) architecture: String,
}

impl Manifest {
    /// Reads either manifest.
    ///
    /// # Errors
    /// When it is no such manifest.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, CbsError> {
        let root = Element::parse(bytes)?;
        let identity =
            root.child("Identity").ok_or_else(|| root.error("there is no <Identity>"))?;
        match root.name.as_str() {
            "Package" => Self::package(&root, identity),
            "Bundle" => Self::bundle(&root, identity),
            other => Err(root.error(format!("<{other}> is not the manifest of an app package"))),
        }
    }

    /// The full name, taken apart.
    pub(super) fn full_name(&self) -> Option<FullName> {
        FullName::parse(&self.full)
    }

    fn package(root: &Element, identity: &Element) -> Result<Self, CbsError> {
        let attribute = |name: &str| identity.attribute(name).unwrap_or_default();
        let architecture = match attribute("ProcessorArchitecture") {
            "" => "neutral",
            architecture => architecture,
        };
        let full = full_name(identity, architecture, attribute("ResourceId"))?;
        let is_true = |name: &str| {
            let properties = root.child("Properties");
            let text = properties.and_then(|all| all.child(name)).map(|one| one.text.as_str());
            text.is_some_and(|text| text.eq_ignore_ascii_case("true") || text == "1")
        };
        let dependencies = root.child("Dependencies");
        let of_kind =
            |name: &'static str| dependencies.into_iter().flat_map(move |all| all.named(name));
        let needs = of_kind("PackageDependency")
            .filter_map(|one| {
                let least = one.attribute("MinVersion").unwrap_or("0.0.0.0");
                Some((one.attribute("Name")?.to_owned(), least.to_owned()))
            })
            .collect();
        // Several families of devices may be named: the lowest is what the package runs on.
        let windows = of_kind("TargetDeviceFamily")
            .filter(|one| {
                one.attribute("Name")
                    .is_some_and(|name| name == "Windows.Universal" || name == "Windows.Desktop")
            })
            .filter_map(|one| one.attribute("MinVersion"))
            .filter_map(|text| Some((version(text)?, text)))
            .min()
            .map(|(_, text)| text.to_owned());
        Ok(Self { full, members: None, framework: is_true("Framework"), needs, windows })
    }

    fn bundle(root: &Element, identity: &Element) -> Result<Self, CbsError> {
        let full = full_name(identity, "neutral", "~")?;
        let packages = root.child("Packages").into_iter().flat_map(|all| all.named("Package"));
        let mut members = Vec::new();
        for package in packages {
            let attribute = |name: &str| package.attribute(name).unwrap_or_default();
            let architecture = match attribute("Architecture") {
                "" => "neutral",
                architecture => architecture,
            };
            let name = identity.attribute("Name").unwrap_or_default();
            let publisher = publisher_id(identity.attribute("Publisher").unwrap_or_default());
            let (version, resource) = (attribute("Version"), attribute("ResourceId"));
            members.push(Member {
                full: format!("{name}_{version}_{architecture}_{resource}_{publisher}"),
                application: attribute("Type").eq_ignore_ascii_case("application"),
                architecture: architecture.to_ascii_lowercase(),
            });
        }
        Ok(Self {
            full,
            members: Some(members),
            framework: false,
            needs: Vec::new(),
            windows: None,
        })
    }
}

/// The full name of an `<Identity>`.
fn full_name(identity: &Element, architecture: &str, resource: &str) -> Result<String, CbsError> {
    let attribute = |name: &str| {
        identity
            .attribute(name)
            .filter(|value| !value.is_empty())
            .ok_or_else(|| identity.error(format!("<Identity> has no {name}")))
    };
    let (name, version, publisher) =
        (attribute("Name")?, attribute("Version")?, publisher_id(attribute("Publisher")?));
    let full = format!("{name}_{version}_{architecture}_{resource}_{publisher}");
    match FullName::parse(&full) {
        Some(_) => Ok(full),
        None => Err(identity.error(format!("`{full}` is not the name of a package"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PUBLISHER: &str =
        "CN=Microsoft Corporation, O=Microsoft Corporation, L=Redmond, S=Washington, C=US";

    #[test]
    fn a_package_tells_what_it_needs() {
        let text = format!(
            r#"<Package xmlns="http://schemas.microsoft.com/appx/manifest/foundation/windows10" xmlns:b="x">
  <Identity Name="A.News" Publisher="{PUBLISHER}" Version="4.2.0.0" ProcessorArchitecture="x64"/>
  <Properties><DisplayName>ms-resource:x</DisplayName><Framework>true</Framework></Properties>
  <Dependencies><TargetDeviceFamily Name="Windows.Universal" MinVersion="10.0.17763.0" MaxVersionTested="10.0.19041.0"/>
    <TargetDeviceFamily Name="Windows.Team" MinVersion="10.0.10000.0"/>
    <b:PackageDependency Name="Microsoft.VCLibs.140.00" MinVersion="14.0.0.0" Publisher="{PUBLISHER}"/></Dependencies>
</Package>"#
        );
        let found = Manifest::parse(text.as_bytes()).unwrap();
        assert_eq!(found.full, "A.News_4.2.0.0_x64__8wekyb3d8bbwe");
        assert!(found.framework && found.members.is_none());
        assert_eq!(found.needs, [("Microsoft.VCLibs.140.00".to_owned(), "14.0.0.0".to_owned())]);
        assert_eq!(found.windows.as_deref(), Some("10.0.17763.0"));
    }

    #[test]
    fn a_bundle_tells_its_packages() {
        let text = format!(
            r#"<Bundle><Identity Name="A.News" Publisher="{PUBLISHER}" Version="2026.1.0.0"/><Packages>
<Package Type="application" Version="4.2.0.0" Architecture="x64" FileName="a.appx"/>
<Package Type="resource" Version="4.2.0.0" ResourceId="split.scale-125" FileName="b.appx"/></Packages></Bundle>"#
        );
        let found = Manifest::parse(text.as_bytes()).unwrap();
        assert_eq!(found.full, "A.News_2026.1.0.0_neutral_~_8wekyb3d8bbwe");
        let members = found.members.unwrap();
        assert!(members[0].application && !members[1].application);
        assert_eq!(members[1].full, "A.News_4.2.0.0_neutral_split.scale-125_8wekyb3d8bbwe");
    }

    #[test]
    fn other_files_are_refused_with_a_place() {
        for (text, cause) in [
            ("<Package/>", "there is no <Identity>"),
            ("<x><Identity/></x>", "is not the manifest"),
            ("<Package>\n<Identity Name='a' Version='1.0.0.0'/></Package>", "has no Publisher"),
            (
                "<Package><Identity Name='a' Version='1' Publisher='CN=x'/></Package>",
                "is not the name",
            ),
        ] {
            let error = Manifest::parse(text.as_bytes()).unwrap_err();
            assert!(error.cause.contains(cause), "{error}");
        }
    }
}
