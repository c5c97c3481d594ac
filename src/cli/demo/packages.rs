//! The demo's packages: synthetic, of primitive elements alone, without a signature. Nothing of them is Microsoft's.
//!
//! - `packages/contoso-tools.cab` needs `packages/contoso-runtime.msu`, which the recipe names behind it
//! - `languages/de-DE.cab`: a language pack
//! - `fod/`: a capability and its German satellite
//!
//! [`Package`] makes such packages from a few lines; tests make theirs with it too.

use sha2::{Digest as _, Sha256};

use crate::{
    base::{base64, digest::to_hex},
    format::{
        cab::{self, CabMethod, NewMember},
        catalog::{self, FileDigests, ctl_of},
        cbs::{Identity, Version},
    },
};

/// The token that everything here carries.
pub const TOKEN: &str = "31bf3856ad364e35";
/// 2026-11-01 00:00, as MS-DOS counts.
const DATE: u16 = 46 << 9 | 11 << 5 | 1;
const OWNER: &str = "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464";

/// A component: files and registry keys.
#[derive(Debug, Clone, Default)]
pub struct Component {
    /// What it is called.
    pub identity: Identity,
    /// Its files: name, where it is projected to (with macros; empty for nowhere), content.
    pub files: Vec<(String, String, Vec<u8>)>,
    /// More elements of the manifest, as XML: registry keys, memberships ...
    pub elements: String,
}

/// A package of one update with one deployment.
#[derive(Debug, Clone, Default)]
pub struct Package {
    /// What it is called.
    pub identity: Identity,
    /// `Update`, `Language Pack` ...
    pub release_type: String,
    /// The packages it needs, each.
    pub parents: Vec<Identity>,
    /// More elements of the package, as XML: a capability's declaration ...
    pub elements: String,
    /// The update's name; with more attributes and elements inside it when it is to be a feature.
    pub update: String,
    /// Elements inside the update, as XML.
    pub update_elements: String,
    /// What it brings.
    pub components: Vec<Component>,
}

/// An identity of a package or component of ours.
#[must_use]
pub fn identity(name: &str, version: &str, architecture: &str, language: &str) -> Identity {
    Identity {
        name: name.to_owned(),
        version: Version::parse(version).unwrap_or_default(),
        architecture: architecture.to_owned(),
        language: language.to_owned(),
        public_key_token: TOKEN.to_owned(),
        ..Identity::default()
    }
}

fn component_identity(name: &str, version: &str, architecture: &str, language: &str) -> Identity {
    Identity {
        version_scope: Some("nonSxS".to_owned()),
        ..identity(name, version, architecture, language)
    }
}

/// The element `assemblyIdentity`.
fn element(identity: &Identity) -> String {
    let Identity { name, version, architecture, language, public_key_token, .. } = identity;
    let scope = match &identity.version_scope {
        Some(scope) => format!(" versionScope=\"{scope}\""),
        None => String::new(),
    };
    format!(
        "<assemblyIdentity name=\"{name}\" version=\"{version}\" processorArchitecture=\"{architecture}\" \
         language=\"{language}\" buildType=\"release\" publicKeyToken=\"{public_key_token}\"{scope} />"
    )
}

fn assembly(identity: &Identity, content: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\" standalone=\"yes\"?>\r\n\
         <assembly xmlns=\"urn:schemas-microsoft-com:asm.v3\" manifestVersion=\"1.0\" copyright=\"Made by Transom\">\r\n  {}\r\n{content}</assembly>\r\n",
        element(identity)
    )
}

impl Component {
    /// The manifest's text.
    #[must_use]
    pub fn manifest(&self) -> String {
        let files = self.files.iter().map(|(name, destination, content)| {
            let destination = match destination.as_str() {
                "" => String::new(),
                path => format!(" destinationPath=\"{path}\""),
            };
            format!(
                "  <file name=\"{name}\"{destination} sourceName=\"{name}\" importPath=\"$(build.nttree)\\\" sourcePath=\".\\\">\r\n    \
                 <securityDescriptor name=\"WRP_FILE_DEFAULT_SDDL\" />\r\n    \
                 <asmv2:hash xmlns:asmv2=\"urn:schemas-microsoft-com:asm.v2\" xmlns:dsig=\"http://www.w3.org/2000/09/xmldsig#\">\r\n      \
                 <dsig:Transforms>\r\n        <dsig:Transform Algorithm=\"urn:schemas-microsoft-com:HashTransforms.Identity\" />\r\n      </dsig:Transforms>\r\n      \
                 <dsig:DigestMethod Algorithm=\"http://www.w3.org/2000/09/xmldsig#sha256\" />\r\n      \
                 <dsig:DigestValue>{}</dsig:DigestValue>\r\n    </asmv2:hash>\r\n  </file>\r\n",
                base64::encode(&Sha256::digest(content))
            )
        });
        let security = format!(
            "  <trustInfo>\r\n    <security>\r\n      <accessControl>\r\n        <securityDescriptorDefinitions>\r\n          \
             <securityDescriptorDefinition name=\"WRP_FILE_DEFAULT_SDDL\" sddl=\"O:{OWNER}G:{OWNER}D:P(A;;FA;;;{OWNER})(A;;GRGX;;;BA)(A;;GRGX;;;SY)(A;;GRGX;;;BU)\" operationHint=\"replace\" />\r\n        \
             </securityDescriptorDefinitions>\r\n      </accessControl>\r\n    </security>\r\n  </trustInfo>\r\n"
        );
        assembly(&self.identity, &(files.collect::<String>() + &self.elements + &security))
    }
}

impl Package {
    /// The identity of its deployment.
    #[must_use]
    pub fn deployment(&self) -> Identity {
        let Identity { name, architecture, language, .. } = &self.identity;
        let name = format!("{name}-Deployment");
        let version = self.identity.version.to_string();
        component_identity(&name, &version, architecture, language)
    }

    /// The deployment's manifest.
    #[must_use]
    pub fn deployment_manifest(&self) -> String {
        let dependencies = self.components.iter().map(|component| {
            format!(
                "  <dependency discoverable=\"no\">\r\n    <dependentAssembly dependencyType=\"install\">\r\n      {}\r\n    </dependentAssembly>\r\n  </dependency>\r\n",
                element(&component.identity)
            )
        });
        let content = format!("  <deployment />\r\n{}", dependencies.collect::<String>());
        assembly(&self.deployment(), &content)
    }

    /// The package's mum.
    #[must_use]
    pub fn mum(&self) -> String {
        let parents = self.parents.iter().map(|parent| {
            format!(
                "    <parent disposition=\"detect\">\r\n      {}\r\n    </parent>\r\n",
                element(parent)
            )
        });
        let content = format!(
            "  <package identifier=\"{}\" releaseType=\"{}\" permanence=\"removable\">\r\n{}{}    <update name=\"{}\">\r\n{}      \
             <component>\r\n        {}\r\n      </component>\r\n    </update>\r\n  </package>\r\n",
            self.identity.name,
            self.release_type,
            parents.collect::<String>(),
            self.elements,
            self.update,
            self.update_elements,
            element(&self.deployment()),
        );
        assembly(&self.identity, &content)
    }

    /// The files of the expanded package: path with `\`, content.
    #[must_use]
    pub fn files(&self) -> Vec<(String, Vec<u8>)> {
        let mum = self.mum().into_bytes();
        let mut manifests = vec![(self.deployment().key_form(), self.deployment_manifest())];
        for component in &self.components {
            manifests.push((component.identity.key_form(), component.manifest()));
        }
        let mut covered = vec![("update.mum".to_owned(), mum.clone())];
        let mut files = vec![("update.mum".to_owned(), mum)];
        for (key_form, text) in manifests {
            let file = (format!("{key_form}.manifest"), text.into_bytes());
            covered.push(file.clone());
            files.push(file);
        }
        for component in &self.components {
            let key_form = component.identity.key_form();
            for (name, _, content) in &component.files {
                files.push((format!(r"{key_form}\{name}"), content.clone()));
            }
        }
        files.insert(1, ("update.cat".to_owned(), catalog_of(&covered)));
        files
    }

    /// The package as a cabinet.
    #[must_use]
    pub fn cabinet(&self, method: CabMethod) -> Vec<u8> {
        cabinet_of(method, self.files())
    }

    /// The package as a `.msu`: the cabinet and the answer file that names it.
    #[must_use]
    pub fn msu(&self, method: CabMethod) -> Vec<u8> {
        let name = format!("{}.cab", self.identity.name);
        let answer = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n<unattend xmlns=\"urn:schemas-microsoft-com:unattend\">\r\n    <servicing>\r\n        \
             <package action=\"install\">\r\n            {}\r\n            <source location=\"%configsetroot%\\{name}\" />\r\n        </package>\r\n    </servicing>\r\n</unattend>\r\n",
            element(&self.identity)
        );
        let answer_name = format!("{}.xml", self.identity.name);
        cabinet_of(
            CabMethod::Stored,
            vec![(name, self.cabinet(method)), (answer_name, answer.into_bytes())],
        )
    }
}

/// A catalog without a signature that vouches for these files.
#[must_use]
pub fn catalog_of(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let members: Vec<catalog::NewMember> = files
        .iter()
        .map(|(name, content)| catalog::NewMember {
            file: name.clone(),
            digests: FileDigests::of(content).expect("bytes in memory can be read"),
        })
        .collect();
    ctl_of(&members, &[])
}

fn cabinet_of(method: CabMethod, files: Vec<(String, Vec<u8>)>) -> Vec<u8> {
    let members = files
        .into_iter()
        .map(|(name, content)| NewMember { name, date: DATE, time: 0, content })
        .collect();
    let mut bytes = Vec::new();
    cab::write(&mut bytes, method, &[members]).expect("small files fit into a cabinet");
    bytes
}

/// The demo's packages: path in the workspace, bytes.
pub(super) fn workspace(version: &str) -> Vec<(String, Vec<u8>)> {
    let package = |name: &str, language: &str| identity(name, "1.0.0.0", "amd64", language);
    let foundation = identity("Microsoft-Windows-Foundation-Package", version, "amd64", "neutral");
    let runtime = runtime(&package("Contoso-Runtime-Package", "neutral"), &foundation);
    let tools = tools(&package("Contoso-Tools-Package", "neutral"), &runtime.identity);
    let german = german(&foundation, version);
    let (fonts, fonts_german) = fonts(&foundation);
    let satellite = |package: &Package| {
        let Identity { name, architecture, .. } = &package.identity;
        let language = if package.identity.is_neutral() { "" } else { &package.identity.language };
        format!("fod/{name}~{TOKEN}~{architecture}~{language}~.cab")
    };
    vec![
        ("packages/contoso-tools.cab".to_owned(), tools.cabinet(CabMethod::MsZip)),
        ("packages/contoso-runtime.msu".to_owned(), runtime.msu(CabMethod::Lzx)),
        ("languages/de-DE.cab".to_owned(), german.cabinet(CabMethod::MsZip)),
        (satellite(&fonts), fonts.cabinet(CabMethod::MsZip)),
        (satellite(&fonts_german), fonts_german.cabinet(CabMethod::Stored)),
    ]
}

fn text(content: &str) -> Vec<u8> {
    format!("{content}\r\n").into_bytes()
}

/// A runtime with a service, for 64 and 32 bits.
fn runtime(identity: &Identity, foundation: &Identity) -> Package {
    let service = r#"  <memberships>
    <categoryMembership>
      <id name="Microsoft.Windows.Categories.Services" version="1.0.0.0" publicKeyToken="31bf3856ad364e35" typeName="Service" />
      <categoryInstance subcategory="ContosoRuntime">
        <serviceData name="ContosoRuntime" displayName="Contoso Runtime" description="Runs what Contoso's tools ask for" errorControl="normal" start="demand" type="win32OwnProcess" imagePath="%SystemRoot%\System32\contosort.exe" objectName="LocalSystem" />
      </categoryInstance>
    </categoryMembership>
  </memberships>
"#;
    let keys = r#"  <registryKeys>
    <registryKey keyName="HKEY_LOCAL_MACHINE\SOFTWARE\Contoso\Runtime">
      <registryValue name="Version" valueType="REG_SZ" value="1.0" />
      <registryValue name="Home" valueType="REG_EXPAND_SZ" value="$(runtime.system32)\contosort.exe" />
      <registryValue name="Threads" valueType="REG_DWORD" value="0x00000004" />
    </registryKey>
  </registryKeys>
"#;
    let component = |architecture: &str, elements: &str, content: &str| Component {
        identity: component_identity("Contoso-Runtime", "1.0.0.0", architecture, "neutral"),
        files: vec![(
            "contosort.exe".to_owned(),
            r"$(runtime.system32)\".to_owned(),
            text(content),
        )],
        elements: elements.replace("\r\n", "\n").replace('\n', "\r\n"),
    };
    Package {
        identity: identity.clone(),
        release_type: "Update".to_owned(),
        parents: vec![foundation.clone()],
        update: "Contoso-Runtime".to_owned(),
        components: vec![
            component("amd64", &format!("{keys}{service}"), "the runtime, 64 bits"),
            component("wow64", keys, "the runtime, 32 bits"),
        ],
        ..Package::default()
    }
}

fn tools(identity: &Identity, runtime: &Identity) -> Package {
    let file = |name: &str, folder: &str, content: &str| {
        (name.to_owned(), format!(r"$(runtime.programFiles)\Contoso\{folder}"), text(content))
    };
    Package {
        identity: identity.clone(),
        release_type: "Update".to_owned(),
        parents: vec![runtime.clone()],
        update: "Contoso-Tools".to_owned(),
        components: vec![Component {
            identity: component_identity("Contoso-Tools", "1.0.0.0", "amd64", "neutral"),
            files: vec![
                file("tool.exe", "", "a tool"),
                file("readme.txt", r"docs\", "how to use the tool"),
            ],
            elements: "  <registryKeys>\r\n    <registryKey keyName=\"HKEY_CLASSES_ROOT\\.contoso\">\r\n      \
                       <registryValue name=\"\" valueType=\"REG_SZ\" value=\"Contoso.Document\" />\r\n    </registryKey>\r\n  </registryKeys>\r\n"
                .to_owned(),
        }],
        ..Package::default()
    }
}

fn german(foundation: &Identity, version: &str) -> Package {
    let name = "Microsoft-Windows-Client-LanguagePack-Package";
    let file =
        ("kernel32.dll.mui".to_owned(), r"$(runtime.system32)\de-DE\".to_owned(), text("Texte"));
    Package {
        identity: identity(name, version, "amd64", "de-DE"),
        release_type: "Language Pack".to_owned(),
        parents: vec![foundation.clone()],
        update: "de-DE".to_owned(),
        components: vec![Component {
            identity: component_identity(
                "Microsoft-Windows-Kernel32.Resources",
                version,
                "amd64",
                "de-DE",
            ),
            files: vec![file],
            elements: String::new(),
        }],
        ..Package::default()
    }
}

/// A capability and its German satellite.
fn fonts(foundation: &Identity) -> (Package, Package) {
    let package = |language: &str, satellite: &str, content: &str| {
        let tag =
            if language == "neutral" { String::new() } else { format!(" language=\"{language}\"") };
        let name = "Contoso-Fonts-FoD-Package";
        Package {
            identity: identity(name, "1.0.0.0", "amd64", language),
            release_type: "OnDemand Pack".to_owned(),
            parents: vec![foundation.clone()],
            elements: format!(
                "    <declareCapability>\r\n      <capability>\r\n        \
                 <capabilityIdentity name=\"Contoso.Fonts\" version=\"1.0\"{tag} />\r\n      </capability>\r\n{satellite}    </declareCapability>\r\n"
            ),
            update: "Contoso-Fonts".to_owned(),
            components: vec![Component {
                identity: component_identity("Contoso-Fonts", "1.0.0.0", "amd64", language),
                files: vec![(content.to_owned(), r"$(runtime.fonts)\".to_owned(), text(content))],
                elements: String::new(),
            }],
            ..Package::default()
        }
    };
    let satellite = "      <satelliteInfo>\r\n        <applyTo type=\"language\" value=\"de-DE\" />\r\n      </satelliteInfo>\r\n";
    (package("neutral", "", "contoso.ttf"), package("de-DE", satellite, "contoso-de.ttf"))
}

/// What `WinSxS\Catalogs` calls a catalog: the SHA-256 of its bytes.
#[must_use]
pub fn catalog_name(bytes: &[u8]) -> String {
    to_hex(&Sha256::digest(bytes))
}
