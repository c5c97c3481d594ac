//! The component store of the demo's base: what its packages, deployments and components are, from which everything else is computed.
//!
//! An edition has two packages: Foundation, which has features, and the edition's own, which brings it. Each `update` of a package brings one deployment, and
//! each deployment some components. Key forms, hashes, catalogs and the keys of COMPONENTS and SOFTWARE follow from that list, so the store is one
//! that `transom verify` finds healthy and that packages can be installed into. The catalogs are not signed.

use std::fmt::{self, Write as _};

use sha2::{Digest as _, Sha256};

use super::{
    base::{VERSION, filler},
    hives::{Edition, HiveValues},
    pe,
    tree::TreeBuilder,
};
use crate::{
    base::{base64, digest::to_hex},
    format::{
        catalog::{FileDigests, NewMember, ctl_of},
        cbs::{Identity, Version},
        hive::Value,
    },
    servicing::cbs::flags,
};

const TOKEN: &str = "31bf3856ad364e35";
/// `COMPONENTS\CanonicalData`, below the hive's root.
const CANONICAL: &str = "CanonicalData";
/// `COMPONENTS\DerivedData\Components`, below the hive's root.
const DERIVED: &str = r"DerivedData\Components";
/// Component Based Servicing in SOFTWARE, below the hive's root.
const CBS: &str = r"Microsoft\Windows\CurrentVersion\Component Based Servicing";
const WINNERS: &str = r"Microsoft\Windows\CurrentVersion\SideBySide\Winners";

/// Where a file goes in Windows.
#[derive(Debug, Clone, Copy)]
struct Destination {
    /// As manifests write it.
    macro_path: &'static str,
    /// In the image.
    path: &'static str,
}

const SYSTEM32: Destination =
    Destination { macro_path: r"$(runtime.system32)\", path: r"Windows\System32" };
const WINDOWS: Destination = Destination { macro_path: r"$(runtime.windows)\", path: "Windows" };
const EDITIONS: Destination = Destination {
    macro_path: r"$(runtime.windows)\servicing\Editions\",
    path: r"Windows\servicing\Editions",
};

/// A component: one file, and what the registry gets from it.
#[derive(Debug, Clone)]
struct Component {
    name: String,
    file: String,
    /// Bytes of the file's payload; 0 for a text.
    size: usize,
    /// The first is the file's destination, the others are links. None: it stays in the store.
    destinations: Vec<Destination>,
    /// Elements of the manifest besides the file.
    more: String,
}

/// An `update` of a package with its deployment.
#[derive(Debug, Clone)]
struct Update {
    name: String,
    /// Of a feature: its display name, whether it is on when nobody chose, and the feature it needs.
    feature: Option<(&'static str, bool, Option<&'static str>)>,
    components: Vec<Component>,
}

/// A package.
#[derive(Debug, Clone)]
struct Package {
    name: String,
    release: &'static str,
    /// Packages it brings.
    brings: Vec<Identity>,
    updates: Vec<Update>,
}

/// What the registry has of the store.
#[derive(Debug, Default)]
pub(super) struct StoreRegistry {
    pub(super) components: HiveValues,
    pub(super) software: HiveValues,
}

/// Puts the store of an edition into its tree, and gives what belongs into its hives.
pub(super) fn write(tree: &mut TreeBuilder, edition: &Edition) -> StoreRegistry {
    let mut store = Store { tree, registry: StoreRegistry::default() };
    for package in packages(edition) {
        store.package(&package);
    }
    store.stack();
    store.registry
}

fn identity(name: &str) -> Identity {
    Identity {
        name: name.to_owned(),
        version: Version::parse(VERSION).expect("a constant version"),
        architecture: "amd64".to_owned(),
        language: "neutral".to_owned(),
        public_key_token: TOKEN.to_owned(),
        version_scope: Some("nonSxS".to_owned()),
        ..Identity::default()
    }
}

/// The component that holds the servicing stack.
fn stack() -> Component {
    Component {
        name: "Microsoft-Windows-ServicingStack".to_owned(),
        file: "CbsCore.dll".to_owned(),
        size: 60_000,
        destinations: Vec::new(),
        more: String::new(),
    }
}

fn program(name: &str, file: &str, size: usize, destinations: &[Destination]) -> Component {
    Component {
        name: format!("Microsoft-Windows-{name}"),
        file: file.to_owned(),
        size,
        destinations: destinations.to_vec(),
        more: String::new(),
    }
}

fn packages(edition: &Edition) -> [Package; 2] {
    let foundation = Package {
        name: "Microsoft-Windows-Foundation-Package".to_owned(),
        release: "Foundation",
        brings: Vec::new(),
        updates: foundation(),
    };
    let own = format!("Microsoft-Windows-{}Edition", edition.id);
    let mut components = vec![Component {
        name: own.clone(),
        file: format!("{}Edition.xml", edition.id),
        size: 0,
        destinations: vec![EDITIONS],
        more: String::new(),
    }];
    if edition.installation == "Client" {
        // A server core has no editor.
        components.push(program("Notepad", "notepad.exe", 210_000, &[SYSTEM32, WINDOWS]));
    }
    let edition = Package {
        release: "Product",
        brings: vec![identity(&foundation.name)],
        updates: vec![Update { name: own.clone(), feature: None, components }],
        name: own,
    };
    [foundation, edition]
}

fn foundation() -> Vec<Update> {
    let feature = |name: &str, feature, component| Update {
        name: name.to_owned(),
        feature: Some(feature),
        components: vec![component],
    };
    let search = Component {
        more: registry_key(r"SOFTWARE\Transom\Demo\Search", "Catalog", "REG_SZ", "Windows"),
        ..program("DemoSearch", "demosearch.dll", 20_000, &[SYSTEM32])
    };
    let telnet = Component {
        more: [
            registry_key(r"SOFTWARE\Transom\Demo\Telnet", "Port", "REG_DWORD", "0x00000017"),
            service("DemoTelnet", "Demo Telnet", "demotelnet.exe"),
        ]
        .concat(),
        ..program("DemoTelnet", "demotelnet.exe", 30_000, &[SYSTEM32])
    };
    let server = Component {
        more: registry_key(r"SOFTWARE\Transom\Demo\Telnet", "Server", "REG_DWORD", "0x00000001"),
        ..program("DemoTelnetServer", "demotelnetserver.exe", 25_000, &[SYSTEM32])
    };
    vec![
        Update {
            name: "Microsoft-Windows-Foundation".to_owned(),
            feature: None,
            components: vec![
                program("Kernel32", "kernel32.dll", 790_000, &[SYSTEM32]),
                program("CommandPrompt", "cmd.exe", 330_000, &[SYSTEM32]),
                stack(),
            ],
        },
        feature("DemoSearch", ("Demo Search", true, None), search),
        feature("DemoTelnet", ("Demo Telnet Client", false, None), telnet),
        feature("DemoTelnetServer", ("Demo Telnet Server", false, Some("DemoTelnet")), server),
    ]
}

fn registry_key(key: &str, name: &str, kind: &str, value: &str) -> String {
    format!(
        "  <registryKeys>\r\n    \
         <registryKey keyName=\"HKEY_LOCAL_MACHINE\\{key}\">\r\n      \
         <registryValue name=\"{name}\" valueType=\"{kind}\" value=\"{value}\" />\r\n    \
         </registryKey>\r\n  </registryKeys>\r\n"
    )
}

fn service(name: &str, shown: &str, program: &str) -> String {
    format!(
        "  <memberships>\r\n    <categoryMembership>\r\n      \
         <id name=\"Microsoft.Windows.Categories.Services\" version=\"{VERSION}\" publicKeyToken=\"{TOKEN}\" typeName=\"Service\" />\r\n      \
         <categoryInstance subcategory=\"{name}\">\r\n        \
         <serviceData name=\"{name}\" displayName=\"{shown}\" errorControl=\"normal\" start=\"demand\" type=\"win32OwnProcess\" \
         imagePath=\"%SystemRoot%\\System32\\{program}\" objectName=\"LocalSystem\" />\r\n      \
         </categoryInstance>\r\n    </categoryMembership>\r\n  </memberships>\r\n"
    )
}

struct Store<'a> {
    tree: &'a mut TreeBuilder,
    registry: StoreRegistry,
}

/// What a catalog is made over: name and content of each file.
type Members = Vec<(String, String)>;

impl Store<'_> {
    fn package(&mut self, package: &Package) {
        let of_package = Identity { version_scope: None, ..identity(&package.name) };
        let id = of_package.package_id();
        let mum = mum(package, &of_package);
        let mut members = vec![(format!("{id}.mum"), mum.clone())];
        let mut deployments = Vec::new();
        for update in &package.updates {
            deployments.push((update, self.deployment(update, &mut members)));
        }
        let catalog = catalog(&members);
        let thumbprint = to_hex(&Sha256::digest(&catalog));
        self.tree.file(&format!(r"Windows\servicing\Packages\{id}.mum"), mum);
        for path in [
            format!(r"Windows\servicing\Packages\{id}.cat"),
            format!(r"Windows\System32\CatRoot\{{F750E6C3-38EE-11D1-85E5-00C04FC295EE}}\{id}.cat"),
            format!(r"Windows\WinSxS\Catalogs\{thumbprint}.cat"),
        ] {
            self.tree.file(&path, catalog.clone());
        }
        for (update, deployment) in deployments {
            let on = update.feature.is_none_or(|(_, on, _)| on);
            self.register_deployment(&deployment, &thumbprint, &id, &update.name, on);
            let state = Value::dword(update.name.as_str(), flags::update(on));
            self.software(format!(r"{CBS}\Packages\{id}\Updates"), state);
            if update.feature.is_some() {
                let key = format!(r"{CBS}\Notifications\OptionalFeatures\{}", update.name);
                self.software(key, Value::dword("Selection", u32::from(on)));
            }
        }
    }

    /// Puts a deployment with its components into the store.
    fn deployment(&mut self, update: &Update, members: &mut Members) -> Identity {
        let name = match update.name.strip_prefix("Microsoft-Windows-") {
            Some(_) => format!("{}-Deployment", update.name),
            None => format!("Microsoft-Windows-{}-Deployment", update.name),
        };
        let deployment = identity(&name);
        let short = deployment.short_key_form();
        let installed = update.feature.is_none_or(|(_, on, _)| on);
        let mut text = head(&deployment);
        text.push_str("  <deployment xmlns=\"urn:schemas-microsoft-com:asm.v3\" />\r\n");
        for component in &update.components {
            let of_component = identity(&component.name);
            add(
                &mut text,
                format_args!(
                    "  <dependency discoverable=\"yes\">\r\n    <dependentAssembly dependencyType=\"install\">\r\n      {}\r\n    \
                 </dependentAssembly>\r\n  </dependency>\r\n",
                    element(&of_component)
                ),
            );
            self.component(component, &of_component, &short, installed, members);
        }
        text.push_str("</assembly>\r\n");
        self.manifest(&deployment, text, &short, members);
        deployment
    }

    fn component(
        &mut self,
        component: &Component,
        identity: &Identity,
        deployment: &str,
        installed: bool,
        members: &mut Members,
    ) {
        let content = match component.size {
            0 => b"<?xml version=\"1.0\" encoding=\"utf-8\"?>\r\n<edition />\r\n".to_vec(),
            size => pe::dll(pe::MACHINE_AMD64, &filler(&component.name, size)),
        };
        let manifest = component_manifest(component, identity, &content);
        let key_form = identity.key_form();
        let file = &component.file;
        let stored = self.tree.file(&format!(r"Windows\WinSxS\{key_form}\{file}"), content);
        if installed {
            for destination in &component.destinations {
                self.tree.hard_link(stored, &format!(r"{}\{file}", destination.path));
            }
            self.winner(identity);
        }
        self.manifest(identity, manifest, deployment, members);
        let key = format!(r"{DERIVED}\{key_form}");
        let staged = format!("f!{}", file.to_lowercase());
        self.components(key, Value::dword(staged.as_str(), flags::STAGED_FILE));
    }

    /// Puts a manifest into the store, with the key of its component.
    fn manifest(
        &mut self,
        identity: &Identity,
        text: String,
        deployment: &str,
        members: &mut Members,
    ) {
        let key_form = identity.key_form();
        let key = format!(r"{DERIVED}\{key_form}");
        for value in [
            Value::binary("identity", identity.identity_text()),
            Value::binary("S256H", Sha256::digest(&text).to_vec()),
            Value::dword("CF", flags::COMPONENT_FLAGS),
            Value::binary(format!("c!{deployment}").as_str(), Vec::new()),
        ] {
            self.components(key.clone(), value);
        }
        self.tree.file(&format!(r"Windows\WinSxS\Manifests\{key_form}.manifest"), text.clone());
        members.push((format!("{key_form}.manifest"), text));
    }

    fn register_deployment(
        &mut self,
        deployment: &Identity,
        thumbprint: &str,
        package: &str,
        update: &str,
        installed: bool,
    ) {
        let short = deployment.short_key_form();
        let key = format!(r"{CANONICAL}\Deployments\{short}");
        self.components(key.clone(), Value::binary("appid", deployment.identity_text()));
        self.components(key.clone(), Value::sz("CatalogThumbprint", thumbprint));
        let name = format!("{package}.{update}");
        let mut data = u32::try_from(name.len()).unwrap_or(0).to_le_bytes().to_vec();
        data.extend_from_slice(&flags::REFERENCE.to_le_bytes());
        data.extend_from_slice(name.as_bytes());
        for prefix in ["p!", "s!", "i!"] {
            if prefix != "i!" || installed {
                let value = format!("{prefix}CBS_{}", name.to_lowercase());
                self.components(key.clone(), Value::binary(value.as_str(), data.clone()));
            }
        }
        let catalog = format!(r"{CANONICAL}\Catalogs\{thumbprint}");
        self.components(catalog, Value::binary(format!("c!{short}").as_str(), Vec::new()));
    }

    fn winner(&mut self, identity: &Identity) {
        let [major, minor, ..] = identity.version.0;
        let key = format!(r"{WINNERS}\{}", identity.winners_key_form());
        let branch = format!("{major}.{minor}");
        let version = identity.version.to_string();
        self.software(key.clone(), Value::sz("", &branch));
        self.software(format!(r"{key}\{branch}"), Value::sz("", &version));
        self.software(format!(r"{key}\{branch}"), Value::binary(version.as_str(), vec![1]));
    }

    /// Which servicing stack is in use, by the folder that holds it.
    fn stack(&mut self) {
        let folder = identity(&stack().name).key_form();
        self.tree.file(
            &format!(r"Windows\servicing\Version\{VERSION}\amd64_installed"),
            format!("{folder}\r\n"),
        );
        let path = format!(r"%SystemRoot%\WinSxS\{folder}");
        self.software(format!(r"{CBS}\Version"), Value::expand_sz(VERSION, &path));
    }

    fn components(&mut self, key: String, value: Value) {
        self.registry.components.push((key, value));
    }

    fn software(&mut self, key: String, value: Value) {
        self.registry.software.push((key, value));
    }
}

fn add(text: &mut String, more: fmt::Arguments<'_>) {
    text.write_fmt(more).expect("memory takes every text");
}

fn head(identity: &Identity) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\" standalone=\"yes\"?>\r\n\
         <assembly xmlns=\"urn:schemas-microsoft-com:asm.v3\" manifestVersion=\"1.0\">\r\n  {}\r\n",
        element(identity)
    )
}

fn element(identity: &Identity) -> String {
    let scope = match &identity.version_scope {
        Some(scope) => format!(" versionScope=\"{scope}\""),
        None => String::new(),
    };
    format!(
        "<assemblyIdentity name=\"{}\" version=\"{}\" processorArchitecture=\"{}\" language=\"{}\" buildType=\"release\" \
         publicKeyToken=\"{}\"{scope} />",
        identity.name,
        identity.version,
        identity.architecture,
        identity.language,
        identity.public_key_token
    )
}

fn component_manifest(component: &Component, identity: &Identity, content: &[u8]) -> String {
    let file = &component.file;
    let (destination, links) = match component.destinations.split_first() {
        Some((first, links)) => (format!(" destinationPath=\"{}\"", first.macro_path), links),
        None => (String::new(), &[][..]),
    };
    let mut text = head(identity);
    add(&mut text, format_args!("  <file name=\"{file}\"{destination} sourceName=\"{file}\">\r\n"));
    for link in links {
        add(&mut text, format_args!("    <link destination=\"{}{file}\" />\r\n", link.macro_path));
    }
    add(
        &mut text,
        format_args!(
            "    <asmv2:hash xmlns:asmv2=\"urn:schemas-microsoft-com:asm.v2\" xmlns:dsig=\"http://www.w3.org/2000/09/xmldsig#\">\r\n      \
         <dsig:Transforms>\r\n        \
         <dsig:Transform Algorithm=\"urn:schemas-microsoft-com:HashTransforms.Identity\" />\r\n      \
         </dsig:Transforms>\r\n      \
         <dsig:DigestMethod Algorithm=\"http://www.w3.org/2000/09/xmldsig#sha256\" />\r\n      \
         <dsig:DigestValue>{}</dsig:DigestValue>\r\n    \
         </asmv2:hash>\r\n  </file>\r\n{}</assembly>\r\n",
            base64::encode(&Sha256::digest(content)),
            component.more
        ),
    );
    text
}

fn mum(package: &Package, of_package: &Identity) -> String {
    let mut text = head(of_package);
    let identifier = &package.name;
    add(
        &mut text,
        format_args!(
            "  <package identifier=\"{identifier}\" releaseType=\"{}\">\r\n",
            package.release
        ),
    );
    for update in &package.updates {
        let shown = match update.feature {
            Some((shown, ..)) => {
                format!(" displayName=\"{shown}\" description=\"A feature of the demo\"")
            }
            None => String::new(),
        };
        add(&mut text, format_args!("    <update name=\"{}\"{shown}>\r\n", update.name));
        if let Some((_, on, parent)) = update.feature {
            add(
                &mut text,
                format_args!(
                    "      <selectable disposition=\"staged\">\r\n        <detectNone default=\"{on}\" />\r\n      </selectable>\r\n"
                ),
            );
            if let Some(parent) = parent {
                add(
                    &mut text,
                    format_args!(
                        "      <applicable disposition=\"staged\">\r\n        <detectUpdate>\r\n          <update name=\"{parent}\" />\r\n        \
                     </detectUpdate>\r\n      </applicable>\r\n"
                    ),
                );
            }
        }
        for brought in &package.brings {
            let brought = Identity { version_scope: None, ..brought.clone() };
            add(
                &mut text,
                format_args!(
                    "      <package contained=\"false\" integrate=\"hidden\">\r\n        {}\r\n      </package>\r\n",
                    element(&brought)
                ),
            );
        }
        let deployment = match update.name.strip_prefix("Microsoft-Windows-") {
            Some(_) => format!("{}-Deployment", update.name),
            None => format!("Microsoft-Windows-{}-Deployment", update.name),
        };
        add(
            &mut text,
            format_args!(
                "      <component>\r\n        {}\r\n      </component>\r\n    </update>\r\n",
                element(&identity(&deployment))
            ),
        );
    }
    text.push_str("  </package>\r\n</assembly>\r\n");
    text
}

fn catalog(members: &Members) -> Vec<u8> {
    let members: Vec<NewMember> = members
        .iter()
        .map(|(name, content)| NewMember {
            file: name.clone(),
            digests: FileDigests::of(&content.as_bytes().to_vec()).expect("memory can be read"),
        })
        .collect();
    ctl_of(&members, &[])
}
