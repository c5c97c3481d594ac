//! Packages that the tests make: mums, manifests, catalogs and payload of primitive elements, and an image with a component store to put them into.

use std::{collections::BTreeMap, fmt::Write as _, path::Path, sync::Arc};

use sha2::{Digest as _, Sha256};
use transom::{
    base::{base64, limits::Limits},
    format::{
        catalog::{FileDigests, NewMember, ctl_of},
        cbs::Identity,
        hive::Value,
    },
    image::{HiveId, Image, NewNode, RegistryPath},
    servicing::cbs::{flags, layout, store::PackageState},
};

use crate::image_fixture::{EPOCH, MemoryInputs, MemoryStore, hive, path, windows};

pub(crate) const TOKEN: &str = "31bf3856ad364e35";
pub(crate) const VERSION: &str = "10.0.26100.1";

/// The security descriptors that manifests of the tests define.
pub(crate) const TRUST: &str = r#"<trustInfo><security><accessControl><securityDescriptorDefinitions>
<securityDescriptorDefinition name="WRP_FILE_DEFAULT_SDDL" sddl="O:SYG:SYD:P(A;;FA;;;SY)(A;;GRGX;;;BU)S:(AU;FASA;0x000D0116;;;WD)" operationHint="replace"/>
<securityDescriptorDefinition name="WRP_PARENT_DIR_DEFAULT_SDDL" sddl="O:SYG:SYD:P(A;CI;GA;;;SY)(A;OICIIO;GA;;;CO)(A;CIOI;GRGX;;;BU)" operationHint="replace"/>
<securityDescriptorDefinition name="WRP_REGKEY_DEFAULT_SDDL" sddl="O:SYG:SYD:P(A;CI;GA;;;SY)(A;CI;GR;;;BU)" operationHint="replace"/>
</securityDescriptorDefinitions></accessControl></security></trustInfo>"#;

/// `assemblyIdentity` of a component.
pub(crate) fn component_identity(
    name: &str,
    version: &str,
    architecture: &str,
    language: &str,
) -> Identity {
    Identity {
        name: name.to_owned(),
        version: transom::format::cbs::Version::parse(version).unwrap(),
        architecture: architecture.to_owned(),
        language: language.to_owned(),
        public_key_token: TOKEN.to_owned(),
        version_scope: Some("nonSxS".to_owned()),
        ..Identity::default()
    }
}

/// An identity as XML.
pub(crate) fn identity_xml(identity: &Identity) -> String {
    let Identity { name, version, architecture, language, public_key_token, version_scope, .. } =
        identity;
    let scope =
        version_scope.iter().map(|scope| format!(" versionScope=\"{scope}\"")).collect::<String>();
    format!(
        "<assemblyIdentity name=\"{name}\" version=\"{version}\" processorArchitecture=\"{architecture}\" language=\"{language}\" buildType=\"release\" publicKeyToken=\"{public_key_token}\"{scope}/>"
    )
}

/// A component or deployment.
#[derive(Debug, Clone)]
pub(crate) struct Component {
    pub identity: Identity,
    /// Its elements.
    pub body: String,
    /// Payload: name in the component's folder, content.
    pub payload: Vec<(String, Vec<u8>)>,
}

impl Component {
    /// A component of the image's architecture.
    pub(crate) fn new(name: &str, version: &str) -> Self {
        Self::of(component_identity(name, version, "amd64", "neutral"))
    }

    pub(crate) fn of(identity: Identity) -> Self {
        Self { identity, body: String::new(), payload: Vec::new() }
    }

    /// Adds a file; `inside` are elements of `file`.
    pub(crate) fn file(
        mut self,
        name: &str,
        destination: &str,
        content: &str,
        inside: &str,
    ) -> Self {
        let hash = base64::encode(&Sha256::digest(content.as_bytes()));
        write!(
            self.body,
            r#"<file name="{name}" destinationPath="{destination}" sourceName="{name}" importPath="$(build.nttree)\" sourcePath=".\"><securityDescriptor name="WRP_FILE_DEFAULT_SDDL"/>{inside}<asmv2:hash xmlns:asmv2="urn:schemas-microsoft-com:asm.v2" xmlns:dsig="http://www.w3.org/2000/09/xmldsig#"><dsig:Transforms><dsig:Transform Algorithm="urn:schemas-microsoft-com:HashTransforms.Identity"/></dsig:Transforms><dsig:DigestMethod Algorithm="http://www.w3.org/2000/09/xmldsig#sha256"/><dsig:DigestValue>{hash}</dsig:DigestValue></asmv2:hash></file>"#
        )
        .unwrap();
        self.payload.push((name.to_owned(), content.as_bytes().to_vec()));
        self
    }

    /// Adds elements.
    pub(crate) fn with(mut self, elements: &str) -> Self {
        self.body.push_str(elements);
        self
    }

    /// Adds a registry key; `values` are its elements.
    pub(crate) fn key(self, name: &str, values: &str) -> Self {
        self.with(&format!(
            "<registryKeys><registryKey keyName=\"{name}\">{values}</registryKey></registryKeys>"
        ))
    }

    /// Resources in any language.
    pub(crate) fn resources(self) -> Self {
        let identity = Identity {
            name: format!("{}.Resources", self.identity.name),
            language: "*".to_owned(),
            version_scope: None,
            ..self.identity.clone()
        };
        self.with(&dependency(&identity, ""))
    }

    /// A deployment of components.
    pub(crate) fn deployment(
        name: &str,
        version: &str,
        language: &str,
        components: &[&Self],
    ) -> Self {
        let mut deployment =
            Self::of(component_identity(name, version, "amd64", language)).with("<deployment/>");
        for component in components {
            deployment = deployment.with(&dependency(&component.identity, "install"));
        }
        deployment
    }

    pub(crate) fn key_form(&self) -> String {
        self.identity.key_form()
    }

    pub(crate) fn text(&self) -> String {
        format!(
            "<?xml version=\"1.0\" encoding=\"utf-8\" standalone=\"yes\"?>\r\n<assembly xmlns=\"urn:schemas-microsoft-com:asm.v3\" manifestVersion=\"1.0\" copyright=\"none\">\r\n{}{}{TRUST}\r\n</assembly>",
            identity_xml(&self.identity),
            self.body
        )
    }
}

fn dependency(identity: &Identity, kind: &str) -> String {
    let kind = if kind.is_empty() { String::new() } else { format!(" dependencyType=\"{kind}\"") };
    format!(
        "<dependency discoverable=\"no\"><dependentAssembly{kind}>{}</dependentAssembly></dependency>",
        identity_xml(identity)
    )
}

/// A package.
#[derive(Debug, Clone)]
pub(crate) struct Package {
    pub identity: Identity,
    pub release: String,
    /// Attributes of `package`.
    pub attributes: String,
    /// Its elements.
    pub body: String,
}

impl Package {
    pub(crate) fn new(name: &str, version: &str) -> Self {
        Self::in_language(name, version, "neutral")
    }

    pub(crate) fn in_language(name: &str, version: &str, language: &str) -> Self {
        let identity = Identity {
            version_scope: None,
            ..component_identity(name, version, "amd64", language)
        };
        Self {
            identity,
            release: "Feature Pack".to_owned(),
            attributes: String::new(),
            body: String::new(),
        }
    }

    pub(crate) fn release(mut self, release: &str) -> Self {
        release.clone_into(&mut self.release);
        self
    }

    pub(crate) fn attribute(mut self, name: &str, value: &str) -> Self {
        write!(self.attributes, " {name}=\"{value}\"").unwrap();
        self
    }

    pub(crate) fn with(mut self, elements: &str) -> Self {
        self.body.push_str(elements);
        self
    }

    pub(crate) fn parent(self, parent: &Self) -> Self {
        let identity = identity_xml(&parent.identity);
        self.with(&format!(
            "<parent disposition=\"detect\" integrate=\"separate\">{identity}</parent>"
        ))
    }

    /// An update that brings a deployment; `before` are its first elements.
    pub(crate) fn update(self, name: &str, before: &str, deployment: &Component) -> Self {
        let identity = identity_xml(&deployment.identity);
        self.with(&format!(
            "<update name=\"{name}\">{before}<component>{identity}</component></update>"
        ))
    }

    /// An update that brings a package.
    pub(crate) fn inner(self, name: &str, before: &str, package: &Self) -> Self {
        let identity = identity_xml(&package.identity);
        self.with(&format!("<update name=\"{name}\">{before}<package contained=\"true\" integrate=\"hidden\">{identity}</package></update>"))
    }

    pub(crate) fn id(&self) -> String {
        self.identity.package_id()
    }

    pub(crate) fn text(&self) -> String {
        let Self { identity, release, attributes, body } = self;
        format!(
            "<?xml version=\"1.0\" encoding=\"utf-8\" standalone=\"yes\"?>\r\n<assembly xmlns=\"urn:schemas-microsoft-com:asm.v3\" manifestVersion=\"1.0\" copyright=\"none\">\r\n{}<package identifier=\"{}\" releaseType=\"{release}\"{attributes}>{body}</package>\r\n</assembly>",
            identity_xml(identity),
            identity.name
        )
    }
}

/// `selectable` of a feature that is off when nobody chose.
pub(crate) const OFF: &str =
    "<selectable disposition=\"staged\"><detectNone default=\"false\"/></selectable>";
/// `applicable` with another update.
pub(crate) fn applicable(update: &str) -> String {
    format!(
        "<applicable disposition=\"detect\"><detectUpdate><update name=\"{update}\"/></detectUpdate></applicable>"
    )
}

/// Files of a folder: path, content.
pub(crate) type Files = Vec<(String, Vec<u8>)>;

/// The files of an expanded package: the first package is the root.
pub(crate) fn files(packages: &[&Package], components: &[&Component]) -> Files {
    let mut files = vec![("/".to_owned(), Vec::new())];
    let member = |file: &str, bytes: &[u8]| NewMember {
        file: file.to_owned(),
        digests: FileDigests::of(&bytes.to_vec()).unwrap(),
    };
    let mut manifests = Vec::new();
    for component in components {
        let form = component.key_form();
        let name = format!("{form}.manifest");
        let text = component.text().into_bytes();
        manifests.push(member(&name, &text));
        files.push((name, text));
        for (file, content) in &component.payload {
            files.push((format!("{form}/{file}"), content.clone()));
        }
    }
    for (at, package) in packages.iter().enumerate() {
        let name = if at == 0 { "update".to_owned() } else { package.id().to_lowercase() };
        let text = package.text().into_bytes();
        let mut members = vec![member(&format!("{name}.mum"), &text)];
        members.extend(manifests.iter().cloned());
        files.push((format!("{name}.cat"), ctl_of(&members, &[])));
        files.push((format!("{name}.mum"), text));
    }
    files.sort();
    files
}

/// Expanded packages as inputs.
pub(crate) fn inputs(folders: &[(&str, Files)]) -> MemoryInputs {
    MemoryInputs(
        folders
            .iter()
            .map(|(name, files)| ((*name).to_owned(), files.clone()))
            .collect::<BTreeMap<_, _>>(),
    )
}

/// The base that packages of the tests have as their parent.
pub(crate) fn foundation() -> Package {
    Package::new("Microsoft-Windows-Foundation-Package", VERSION).release("Foundation")
}

/// An image with a component store: the fixture's Windows, an empty COMPONENTS hive, and the foundation package installed.
pub(crate) fn image(folder: &Path, store: &Arc<MemoryStore>) -> Image {
    let wim = windows(&folder.join("base.wim"));
    let mut image = Image::open(wim, 1, &Limits::default()).unwrap();
    image.set_epoch(EPOCH);
    image.set_stored_content(store.clone());
    let components = hive(&[
        (
            "",
            vec![Value::binary(
                "StoreFormatVersion",
                b"0\x00.\x000\x00.\x000\x00.\x006\x00".as_slice(),
            )],
        ),
        (r"CanonicalData\Catalogs", vec![]),
        (r"CanonicalData\Deployments", vec![]),
        (r"DerivedData\Components", vec![]),
        (r"DerivedData\VersionedIndex\10.0.26100.1\ComponentFamilies", vec![]),
    ]);
    let place = HiveId::Components.path(&"Windows".into());
    image.put_bytes(&place, components, &NewNode::default()).unwrap();
    let foundation = foundation();
    for (name, bytes) in files(&[&foundation], &[]) {
        let Some((_, extension)) = name.split_once('.') else { continue };
        let place = format!(r"\Windows\servicing\Packages\{}.{extension}", foundation.id());
        if extension == "cat" {
            let place = layout::catroot(&image, &foundation.id());
            image.put_bytes(&place, bytes.clone(), &NewNode::default()).unwrap();
        }
        image.put_bytes(&path(&place), bytes, &NewNode::default()).unwrap();
    }
    for place in [
        r"\Windows\WinSxS\Manifests",
        r"\Windows\WinSxS\Catalogs",
        r"\Windows\Fonts",
        r"\Windows\SysWOW64",
        r"\ProgramData",
    ] {
        image.make_directory(&path(place), &NewNode::default()).unwrap();
    }
    let cbs = r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing";
    let key = RegistryPath::parse(&format!(r"{cbs}\Packages\{}", foundation.id())).unwrap();
    image.set_value(&key, &Value::dword("CurrentState", 0x80)).unwrap();
    image.set_value(&key, &Value::dword("Visibility", 1)).unwrap();
    let id = foundation.id();
    let owner = Value::dword(id.as_str(), flags::owner(PackageState::Permanent));
    image.set_value(&key.join(&"Owners".into()), &owner).unwrap();
    let index = layout::cbs("PackageIndex").join(&foundation.identity.index_id().as_str().into());
    let version = Value::dword(id.as_str(), flags::PACKAGE_INDEX);
    for value in [version, Value::sz("", &id)] {
        image.set_value(&index, &value).unwrap();
    }
    let winners = r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\SideBySide\Winners";
    let capabilities = format!(r"{cbs}\CapabilityIndex");
    for key in [winners, &capabilities] {
        image.create_key(&RegistryPath::parse(key).unwrap()).unwrap();
    }
    image
}
