//! Reading component manifests.

use std::collections::BTreeMap;

use super::{
    CbsError, Identity,
    known::{IDENTITY, Known},
    manifest::{
        Dependency, Directory, File, FileHash, Manifest, Membership, Other, RegistryKey,
        RegistryValue, SecurityDefinition,
    },
    xml::Element,
};
use crate::base::base64;

/// A manifest from its root element.
pub(super) fn manifest(root: &Element) -> Result<Manifest, CbsError> {
    if root.name != "assembly" {
        return Err(root.error(format!("<{}> is not an assembly", root.name)));
    }
    let identity = root
        .child("assemblyIdentity")
        .ok_or_else(|| root.error("the assembly has no <assemblyIdentity>"))?;
    let mut manifest = Manifest {
        identity: Identity::of_element(identity)?,
        deployment: false,
        dependencies: Vec::new(),
        files: Vec::new(),
        directories: Vec::new(),
        registry_keys: Vec::new(),
        security: BTreeMap::new(),
        memberships: Vec::new(),
        strings: BTreeMap::new(),
        others: Vec::new(),
    };
    let mut others = Vec::new();
    ASSEMBLY.surplus(root, &mut |path, element, whole| {
        let line = element.line;
        others.push(Other { path, line, element: whole.then(|| element.clone()) });
    });
    manifest.others = others;
    for child in &root.children {
        match child.name.as_str() {
            "deployment" => manifest.deployment = true,
            "dependency" => manifest.dependency(child)?,
            "file" => manifest.file(child)?,
            "directories" => {
                manifest.directories.extend(child.named("directory").map(directory));
            }
            "registryKeys" => {
                manifest.registry_keys.extend(child.named("registryKey").map(registry_key));
            }
            "trustInfo" => manifest.trust(child),
            "memberships" => {
                for membership in child.named("categoryMembership") {
                    manifest.membership(membership);
                }
            }
            "localization" => manifest.localization(child),
            _ => {}
        }
    }
    manifest.others.sort_by_key(|other| other.line);
    Ok(manifest)
}

// What of a component manifest is modelled.

const SECURITY: Known = Known::new("securityDescriptor", &["name", "buildFilter"], &[]);
const HASH: Known = Known::new(
    "hash",
    &[],
    &[
        Known::new("Transforms", &[], &[Known::new("Transform", &["Algorithm"], &[])]).once(),
        Known::new("DigestMethod", &["Algorithm"], &[]).once(),
        Known::new("DigestValue", &[], &[]).once().text(),
    ],
);
const FILE: Known = Known::new(
    "file",
    &["name", "destinationPath", "destinationName", "sourceName", "attributes", "writeableType"],
    &[SECURITY, HASH.once(), Known::new("link", &["destination"], &[])],
);
const DIRECTORY: Known = Known::new(
    "directory",
    &["destinationPath", "owner", "attributes", "compression"],
    &[SECURITY],
);
const REGISTRY_KEY: Known = Known::new(
    "registryKey",
    &["keyName", "owner", "perUserVirtualization"],
    &[
        Known::new(
            "registryValue",
            &["name", "valueType", "value", "operationHint", "mutable", "owner"],
            &[],
        ),
        SECURITY,
    ],
);
const DEFINITIONS: Known = Known::new(
    "securityDescriptorDefinitions",
    &[],
    &[Known::new("securityDescriptorDefinition", &["name", "sddl", "operationHint"], &[])],
);
const ACCESS: Known = Known::new("accessControl", &[], &[DEFINITIONS]);
const MEMBERSHIP: Known = Known::new(
    "categoryMembership",
    &[],
    &[
        Known::new("id", &["name", "typeName", "version"], &[]).once(),
        Known::whole("categoryInstance"),
    ],
);
const STRING: Known = Known::new("string", &["id", "value"], &[]);
const RESOURCES: Known =
    Known::new("resources", &["culture"], &[Known::new("stringTable", &[], &[STRING])]);
const DEPENDENT: Known =
    Known::new("dependentAssembly", &["dependencyType"], &[IDENTITY.once()]).once();
const ASSEMBLY: Known = Known::new(
    "assembly",
    // Texts for people: a component is listed nowhere.
    &["displayName", "description", "supportInformation"],
    &[
        IDENTITY.once(),
        Known::new("deployment", &[], &[]),
        Known::new(
            "dependency",
            &["discoverable", "resourceType", "name", "optional"],
            &[DEPENDENT],
        ),
        FILE,
        Known::new("directories", &[], &[DIRECTORY]),
        Known::new("registryKeys", &[], &[REGISTRY_KEY]),
        Known::new("trustInfo", &[], &[Known::new("security", &[], &[ACCESS])]),
        Known::new("memberships", &[], &[MEMBERSHIP]),
        Known::new("localization", &[], &[RESOURCES]),
    ],
);

impl Manifest {
    /// Notes an element that has a modelled name, but not the form that the model holds.
    fn other(&mut self, path: &str, element: &Element) {
        let (path, line) = (path.to_owned(), element.line);
        self.others.push(Other { path, line, element: Some(element.clone()) });
    }

    fn dependency(&mut self, element: &Element) -> Result<(), CbsError> {
        let dependent = element.child("dependentAssembly");
        let identity = dependent.and_then(|dependent| dependent.child("assemblyIdentity"));
        let (Some(dependent), Some(identity)) = (dependent, identity) else {
            self.other("dependency", element);
            return Ok(());
        };
        self.dependencies.push(Dependency {
            identity: Identity::of_element(identity)?,
            kind: dependent.owned_or_empty("dependencyType"),
            discoverable: element.owned("discoverable"),
            resource_type: element.owned("resourceType"),
            name: element.owned("name"),
            optional: element.is_true("optional"),
        });
        Ok(())
    }

    fn file(&mut self, element: &Element) -> Result<(), CbsError> {
        let name = element.owned_or_empty("name");
        if name.is_empty() {
            return Err(element.error("<file> without a name"));
        }
        let hash_element = element.child("hash");
        let hash = hash_element.and_then(hash);
        if let (Some(hash_element), None) = (hash_element, &hash) {
            self.other("file/hash", hash_element);
        }
        let given = |name| element.owned(name).filter(|value| !value.is_empty());
        self.files.push(File {
            name,
            destination_path: given("destinationPath"),
            destination_name: given("destinationName"),
            source_name: given("sourceName"),
            attributes: given("attributes"),
            writeable_type: given("writeableType"),
            security: security(element),
            hash,
            links: element.named("link").map(|link| link.owned_or_empty("destination")).collect(),
            line: element.line,
        });
        Ok(())
    }

    fn trust(&mut self, element: &Element) {
        let inside = |parents: Vec<&Element>, name: &'static str| -> Vec<Element> {
            parents.into_iter().flat_map(|parent| parent.named(name)).cloned().collect()
        };
        let access = inside(element.named("security").collect(), "accessControl");
        let definitions = inside(access.iter().collect(), "securityDescriptorDefinitions");
        for definition in inside(definitions.iter().collect(), "securityDescriptorDefinition") {
            let name = definition.owned_or_empty("name");
            let new = SecurityDefinition {
                sddl: definition.owned_or_empty("sddl"),
                operation_hint: definition.owned("operationHint"),
            };
            if self.security.get(&name).is_some_and(|known| *known != new) {
                let path = "trustInfo/security/accessControl/securityDescriptorDefinitions/securityDescriptorDefinition";
                self.other(path, &definition);
            } else {
                self.security.insert(name, new);
            }
        }
    }

    fn membership(&mut self, element: &Element) {
        let Some(id) = element.child("id") else {
            self.other("memberships/categoryMembership", element);
            return;
        };
        let instance =
            |instance: &Element| (instance.owned_or_empty("subcategory"), instance.clone());
        self.memberships.push(Membership {
            category: id.owned_or_empty("name"),
            type_name: id.owned_or_empty("typeName"),
            version: id.owned_or_empty("version"),
            instances: element.named("categoryInstance").map(instance).collect(),
            line: element.line,
        });
    }

    fn localization(&mut self, element: &Element) {
        for resources in element.named("resources") {
            let culture = resources.owned_or_empty("culture").to_lowercase();
            let strings = self.strings.entry(culture).or_default();
            for string in resources.named("stringTable").flat_map(|table| table.named("string")) {
                let id = string.owned_or_empty("id");
                strings.entry(id).or_insert_with(|| string.owned_or_empty("value"));
            }
        }
    }
}

/// The names of security descriptors that an element refers to, with their build filters.
fn security(element: &Element) -> Vec<(String, Option<String>)> {
    let read =
        |reference: &Element| (reference.owned_or_empty("name"), reference.owned("buildFilter"));
    element.named("securityDescriptor").map(read).collect()
}

fn directory(element: &Element) -> Directory {
    Directory {
        destination_path: element.owned_or_empty("destinationPath"),
        owner: element.is_true("owner"),
        attributes: element.owned("attributes"),
        compression: element.owned("compression"),
        security: security(element),
        line: element.line,
    }
}

fn registry_key(element: &Element) -> RegistryKey {
    let value = |value: &Element| RegistryValue {
        name: value.owned_or_empty("name"),
        value_type: value.owned_or_empty("valueType"),
        value: value.owned_or_empty("value"),
        operation_hint: value.owned("operationHint"),
        mutable: value.is_true("mutable"),
        owner: value.is_true("owner"),
        line: value.line,
    };
    RegistryKey {
        key_name: element.owned_or_empty("keyName"),
        owner: element.is_true("owner"),
        per_user_virtualization: element.owned("perUserVirtualization"),
        values: element.named("registryValue").map(value).collect(),
        security: security(element),
        line: element.line,
    }
}

/// The digest of the whole file; `None` when it is transformed, of another method, or not what it says.
fn hash(element: &Element) -> Option<FileHash> {
    let mut transforms = element.named("Transforms").flat_map(|t| t.named("Transform"));
    let identity = |transform: &Element| {
        transform.attribute("Algorithm")
            == Some("urn:schemas-microsoft-com:HashTransforms.Identity")
    };
    if !transforms.all(identity) {
        return None;
    }
    let method = element.child("DigestMethod")?.attribute("Algorithm")?;
    let mut value = element.child("DigestValue")?.text.clone();
    value.retain(|character| !character.is_ascii_whitespace());
    let digest = base64::decode(&value)?;
    match method.rsplit('#').next()? {
        "sha256" => digest.try_into().ok().map(FileHash::Sha256),
        "sha1" => digest.try_into().ok().map(FileHash::Sha1),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SAMPLE: &str = r##"<?xml version="1.0" encoding="utf-8"?>
<assembly xmlns="urn:schemas-microsoft-com:asm.v3" manifestVersion="1.0" copyright="C" foo="1">
  <assemblyIdentity name="Example" version="10.0.1.2" processorArchitecture="amd64" language="neutral" buildType="release" publicKeyToken="31bf3856ad364e35" versionScope="nonSxS"/>
  <deployment/>
  <dependency discoverable="no" resourceType="Resources" name="R" optional="yes">
    <dependentAssembly dependencyType="prerequisite">
      <assemblyIdentity name="Example.Resources" version="10.0.1.2" language="*"/>
    </dependentAssembly>
  </dependency>
  <dependency/>
  <file name="a.dll" destinationPath="$(runtime.system32)\" destinationName="b.dll" sourceName="" attributes="hidden" importPath="$(build.nttree)\" writeableType="log">
    <securityDescriptor name="S" buildFilter="x"/>
    <asmv2:hash xmlns:asmv2="urn:schemas-microsoft-com:asm.v2" xmlns:dsig="http://www.w3.org/2000/09/xmldsig#">
      <dsig:Transforms><dsig:Transform Algorithm="urn:schemas-microsoft-com:HashTransforms.Identity"/></dsig:Transforms>
      <dsig:DigestMethod Algorithm="http://www.w3.org/2000/09/xmldsig#sha256"/>
      <dsig:DigestValue>zVeiarCK6HYDmoIC/RKuCYiSnx/1AOGt2nhlIg4MhOg=</dsig:DigestValue>
    </asmv2:hash>
    <link destination="$(runtime.windows)\c.dll"/>
    <systemProtection behavior="readOnlyFailWrites"/>
  </file>
  <file name="b.dll"><hash><DigestMethod Algorithm="x#md5"/><DigestValue>AA==</DigestValue></hash></file>
  <directories><directory destinationPath="D" owner="true" attributes="hidden system" compression="none"><securityDescriptor name="S"/></directory></directories>
  <registryKeys>
    <registryKey keyName="HKEY_LOCAL_MACHINE\SOFTWARE\Example" owner="true" perUserVirtualization="Disabled">
      <registryValue name="V" valueType="REG_SZ" value="a &lt; b" operationHint="replace" mutable="true" owner="true"/>
      <overridable name="V"/>
      <securityDescriptor name="S"/>
    </registryKey>
  </registryKeys>
  <memberships><categoryMembership>
    <id name="Microsoft.Windows.Categories.Services" version="1.0" publicKeyToken="31bf3856ad364e35" typeName="Service"/>
    <categoryInstance subcategory="Svc"><serviceData name="Svc" start="auto"><failureActions/></serviceData></categoryInstance>
  </categoryMembership></memberships>
  <localization><resources culture="en-US"><stringTable><string id="a" value="A"/></stringTable></resources></localization>
  <trustInfo><security><accessControl><securityDescriptorDefinitions>
    <securityDescriptorDefinition name="S" sddl="D:" operationHint="replace" description="d"/>
    <securityDescriptorDefinition name="S" sddl="D:P"/>
  </securityDescriptorDefinitions></accessControl></security></trustInfo>
  <taskScheduler><Task/></taskScheduler>
</assembly>"##;

    #[test]
    fn a_manifest_with_everything() {
        let manifest = Manifest::parse(SAMPLE.as_bytes()).unwrap();
        assert!(manifest.deployment);
        let [dependency] = &manifest.dependencies[..] else { panic!() };
        assert_eq!(dependency.identity.language, "*");
        assert!(dependency.optional && dependency.kind == "prerequisite");
        let [file, odd] = &manifest.files[..] else { panic!() };
        assert_eq!((file.stored_name(), file.projected_name()), ("a.dll", "b.dll"));
        assert_eq!(file.destination_path.as_deref(), Some("$(runtime.system32)\\"));
        assert_eq!(file.security, [("S".to_owned(), Some("x".to_owned()))]);
        assert_eq!(file.links, ["$(runtime.windows)\\c.dll"]);
        let Some(FileHash::Sha256(digest)) = &file.hash else { panic!() };
        assert_eq!((digest[0], digest[31]), (0xcd, 0xe8));
        assert_eq!(odd.hash, None);
        assert!(manifest.directories[0].owner);
        let key = &manifest.registry_keys[0];
        assert_eq!((key.values[0].value.as_str(), key.values[0].mutable), ("a < b", true));
        let membership = &manifest.memberships[0];
        assert_eq!(membership.instances[0].0, "Svc");
        assert!(membership.instances[0].1.child("serviceData").is_some());
        assert_eq!(manifest.strings["en-us"]["a"], "A");
        assert_eq!(manifest.security["S"].sddl, "D:");
        let others: Vec<_> = manifest
            .others
            .iter()
            .map(|other| {
                (
                    other.path.rsplit_once("Definitions/").map_or(&*other.path, |p| p.1),
                    other.line,
                    other.element.is_some(),
                )
            })
            .collect();
        let expected = [
            ("@foo", 2, false),
            ("dependency", 10, true),
            ("file/systemProtection", 19, true),
            ("file/hash", 21, true),
            ("registryKeys/registryKey/overridable", 26, true),
            ("securityDescriptorDefinition", 37, true),
            ("taskScheduler", 39, true),
        ];
        assert_eq!(others, expected);
    }

    #[test]
    fn what_is_no_manifest_is_refused() {
        for (text, cause) in [
            ("<foo/>", "<foo> is not an assembly"),
            ("<assembly/>", "no <assemblyIdentity>"),
            ("<assembly><assemblyIdentity name='a'/><file/></assembly>", "<file> without"),
        ] {
            let error = Manifest::parse(text.as_bytes()).unwrap_err();
            assert!(error.cause.contains(cause), "{error}");
        }
    }

    proptest! {
        #[test]
        fn no_change_of_a_manifest_makes_it_panic(at in 0..SAMPLE.len(), byte in 0x20_u8..0x7f) {
            let mut bytes = SAMPLE.as_bytes().to_vec();
            bytes[at] = byte;
            drop(Manifest::parse(&bytes));
        }
    }
}
