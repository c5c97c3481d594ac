//! The bill of materials as CycloneDX 1.6 JSON (ECMA-424).
//!
//! The bill is flat: what contains what, and what was made of what, is in `dependencies`. What has no field of its own is a property `transom:…`. Its serial number
//! comes from its content and its time is the build's epoch, so that equal builds have equal bills. Neither purl nor CPE is given: there is no purl type
//! for parts of Windows, and the product names of the CPE dictionary do not follow from what an image says of itself.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{
    Report, identifier,
    materials::{Bill, Digests, Kind, Material},
};

/// The document.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    #[serde(rename = "$schema")]
    schema: &'static str,
    bom_format: &'static str,
    spec_version: &'static str,
    #[serde(skip_serializing_if = "String::is_empty")]
    serial_number: String,
    version: u32,
    metadata: Metadata,
    components: Vec<Component>,
    dependencies: Vec<Dependency>,
    compositions: Vec<Composition>,
}

#[derive(Debug, Serialize)]
struct Metadata {
    timestamp: String,
    lifecycles: [Lifecycle; 1],
    tools: Tools,
    component: Option<Component>,
}

#[derive(Debug, Serialize)]
struct Lifecycle {
    phase: &'static str,
}

#[derive(Debug, Serialize)]
struct Tools {
    components: Vec<Component>,
}

#[derive(Debug, Serialize)]
struct Component {
    r#type: &'static str,
    #[serde(rename = "bom-ref")]
    reference: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    supplier: Option<Supplier>,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    hashes: Vec<Hash>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    properties: Vec<Property>,
}

#[derive(Debug, Serialize)]
struct Supplier {
    name: String,
}

#[derive(Debug, Serialize)]
struct Hash {
    alg: &'static str,
    content: String,
}

#[derive(Debug, Serialize)]
struct Property {
    name: String,
    value: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Dependency {
    r#ref: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    depends_on: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Composition {
    aggregate: &'static str,
    assemblies: Vec<String>,
}

/// The document.
pub(super) fn document(report: &Report) -> Vec<u8> {
    let bill = Bill::of(report);
    let mut depends: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for material in bill.materials.iter().filter(|material| material.kind != Kind::Tool) {
        depends.insert(material.reference.clone(), Vec::new());
    }
    for (one, _, other) in bill.bonds {
        depends.entry(one).or_default().push(other);
    }
    let dependencies = depends.into_iter().map(|(r#ref, mut depends_on)| {
        depends_on.sort();
        depends_on.dedup();
        Dependency { r#ref, depends_on }
    });
    let systems = bill.materials.iter().filter(|material| material.kind == Kind::System);
    // The files of packages are not listed, so no image's list of parts is whole; nor is the output's, when it has images that were not built.
    let output = (!report.output.others.is_empty()).then(|| "output".to_owned());
    let compositions = vec![Composition {
        aggregate: "incomplete",
        assemblies: output
            .into_iter()
            .chain(systems.map(|system| system.reference.clone()))
            .collect(),
    }];
    let (mut output, mut tools, mut components) = (None, Vec::new(), Vec::new());
    for material in bill.materials {
        let kind = material.kind;
        let component = component(material);
        match kind {
            Kind::Output => output = Some(component),
            Kind::Tool => tools.push(component),
            _ => components.push(component),
        }
    }
    let mut document = Document {
        schema: "http://cyclonedx.org/schema/bom-1.6.schema.json",
        bom_format: "CycloneDX",
        spec_version: "1.6",
        serial_number: String::new(),
        version: 1,
        metadata: Metadata {
            timestamp: identifier::whole_seconds(&report.epoch),
            lifecycles: [Lifecycle { phase: "build" }],
            tools: Tools { components: tools },
            component: output,
        },
        components,
        dependencies: dependencies.collect(),
        compositions,
    };
    document.serial_number = identifier::urn("transom cyclonedx 1", &super::json(&document));
    super::json(&document)
}

fn component(material: Material) -> Component {
    let property =
        |(name, value): (&str, String)| Property { name: format!("transom:{name}"), value };
    Component {
        r#type: kind(material.kind),
        reference: material.reference,
        supplier: material.supplier.map(|name| Supplier { name }),
        name: material.name,
        version: material.version,
        description: material.description,
        // What it was built with is not in it as such.
        scope: (material.kind == Kind::Input).then_some("excluded"),
        hashes: hashes(material.digests),
        properties: material.properties.into_iter().map(property).collect(),
    }
}

/// The words of the specification. What is neither a program nor anything else it has a word for is to be called a library.
fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Output | Kind::File | Kind::Input => "file",
        Kind::Tool | Kind::App | Kind::Feature | Kind::Capability => "application",
        Kind::System => "operating-system",
        Kind::Package => "library",
        Kind::Language => "data",
        Kind::Driver => "device-driver",
    }
}

fn hashes(digests: Digests) -> Vec<Hash> {
    let Digests { sha1, sha256, blake3 } = digests;
    [("SHA-1", sha1), ("SHA-256", sha256), ("BLAKE3", blake3)]
        .into_iter()
        .filter_map(|(alg, content)| content.map(|content| Hash { alg, content }))
        .collect()
}
