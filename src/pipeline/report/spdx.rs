//! The bill of materials as SPDX 2.3 JSON.
//!
//! Version 2.3 and not 3.0.1, because programs that read bills read the former, and its validators are finished. Everything is a package with relationships
//! between them; the files that steps put in place are files of a package of their own for each image, with a verification code over their SHA-1. What has
//! no field of its own is a line of a comment. BLAKE3 is among these lines: SPDX has it as a checksum, but `pyspdxtools` takes its least length in bits
//! for a number of digits and refuses every BLAKE3 there is.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{
    Report, identifier,
    materials::{Bill, Bond, Kind, Material},
};
use crate::base::digest::Sha1;

const NO_ASSERTION: &str = "NOASSERTION";
const DOCUMENT: &str = "SPDXRef-DOCUMENT";

/// The document.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    spdx_version: &'static str,
    data_license: &'static str,
    #[serde(rename = "SPDXID")]
    id: &'static str,
    name: String,
    document_namespace: String,
    creation_info: CreationInfo,
    packages: Vec<Package>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    files: Vec<File>,
    relationships: Vec<Relationship>,
}

#[derive(Debug, Serialize)]
struct CreationInfo {
    created: String,
    creators: [String; 1],
    comment: &'static str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Package {
    #[serde(rename = "SPDXID")]
    id: String,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    version_info: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    package_file_name: Option<String>,
    supplier: String,
    download_location: &'static str,
    files_analyzed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    package_verification_code: Option<VerificationCode>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    checksums: Vec<Checksum>,
    license_concluded: &'static str,
    license_declared: &'static str,
    copyright_text: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    comment: String,
    primary_package_purpose: &'static str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct VerificationCode {
    package_verification_code_value: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    package_verification_code_excluded_files: Vec<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct File {
    #[serde(rename = "SPDXID")]
    id: String,
    file_name: String,
    checksums: Vec<Checksum>,
    license_concluded: &'static str,
    copyright_text: &'static str,
    comment: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Checksum {
    algorithm: &'static str,
    checksum_value: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Relationship {
    spdx_element_id: String,
    relationship_type: &'static str,
    related_spdx_element: String,
}

/// The document.
pub(super) fn document(report: &Report) -> Vec<u8> {
    let mut writer = Writer::default();
    let bill = Bill::of(report);
    let systems: BTreeMap<String, Vec<&Material>> = bill
        .materials
        .iter()
        .filter(|material| material.kind == Kind::System)
        .map(|system| (system.reference.clone(), files_of(&bill, &system.reference)))
        .collect();
    for material in bill.materials.iter().filter(|material| material.kind != Kind::File) {
        let id = writer.package(material);
        match material.kind {
            Kind::Output => writer.relate(DOCUMENT, "DESCRIBES", &id),
            Kind::Tool => writer.relate(&id, "BUILD_TOOL_OF", "SPDXRef-output"),
            _ => {}
        }
        match systems.get(&material.reference) {
            Some(files) if !files.is_empty() => writer.files(&id, files),
            _ => {}
        }
    }
    for (one, bond, other) in &bill.bonds {
        // What is missing here are files, which have been related.
        if let (Some(one), Some(other)) = (writer.ids.get(one), writer.ids.get(other)) {
            let word = match bond {
                Bond::Contains => "CONTAINS",
                Bond::DependsOn => "DEPENDS_ON",
                Bond::MadeFrom => "GENERATED_FROM",
            };
            let (one, other) = (one.clone(), other.clone());
            writer.relate(&one, word, &other);
        }
    }
    let mut document = Document {
        spdx_version: "SPDX-2.3",
        data_license: "CC0-1.0",
        id: DOCUMENT,
        name: report.output.name.clone(),
        document_namespace: String::new(),
        creation_info: CreationInfo {
            created: identifier::whole_seconds(&report.epoch),
            creators: [format!("Tool: transom-{}", report.tool_version)],
            comment: "The time is that of the build's epoch, so that equal builds have equal bills.",
        },
        packages: writer.packages,
        files: writer.files,
        relationships: writer.relationships,
    };
    document.document_namespace = identifier::urn("transom spdx 1", &super::json(&document));
    super::json(&document)
}

/// The files that steps put into an image.
fn files_of<'a>(bill: &'a Bill, system: &str) -> Vec<&'a Material> {
    let prefix = format!("{system}/");
    let is_file = |material: &&Material| {
        material.kind == Kind::File && material.reference.starts_with(&prefix)
    };
    bill.materials.iter().filter(is_file).collect()
}

#[derive(Debug, Default)]
struct Writer {
    /// Identifiers by the bill's references.
    ids: BTreeMap<String, String>,
    taken: BTreeSet<String>,
    packages: Vec<Package>,
    files: Vec<File>,
    relationships: Vec<Relationship>,
}

impl Writer {
    /// A new identifier like `text`: letters, digits, dots and hyphens.
    fn id(&mut self, text: &str) -> String {
        let plain = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' };
        let wanted: String = "SPDXRef-".chars().chain(text.chars().map(plain)).collect();
        let mut id = wanted.clone();
        let mut number = 1;
        while !self.taken.insert(id.clone()) {
            number += 1;
            id = format!("{wanted}-{number}");
        }
        id
    }

    fn relate(&mut self, one: &str, word: &'static str, other: &str) {
        self.relationships.push(Relationship {
            spdx_element_id: one.to_owned(),
            relationship_type: word,
            related_spdx_element: other.to_owned(),
        });
    }

    fn package(&mut self, material: &Material) -> String {
        let id = self.id(&material.reference);
        self.ids.insert(material.reference.clone(), id.clone());
        let is_file = matches!(material.kind, Kind::Output | Kind::Input);
        self.packages.push(Package {
            id: id.clone(),
            name: material.name.clone(),
            version_info: material.version.clone(),
            package_file_name: is_file.then(|| material.name.clone()),
            supplier: supplier(material),
            download_location: NO_ASSERTION,
            files_analyzed: false,
            package_verification_code: None,
            checksums: checksums(material),
            license_concluded: NO_ASSERTION,
            license_declared: NO_ASSERTION,
            copyright_text: NO_ASSERTION,
            description: material.description.clone(),
            comment: comment(material),
            primary_package_purpose: purpose(material.kind),
        });
        id
    }

    /// The files that steps put into the image `system`, as a package in it.
    fn files(&mut self, system: &str, files: &[&Material]) {
        let package = self.id(&format!("{}-files", system.trim_start_matches("SPDXRef-")));
        self.relate(system, "CONTAINS", &package);
        let (mut sha1, mut without) = (Vec::new(), Vec::new());
        for material in files {
            let file_name = format!(".{}", material.name.replace('\\', "/"));
            let Some(digest) = &material.digests.sha1 else {
                without.push(file_name);
                continue;
            };
            sha1.push(digest.as_str());
            let id = self.id(&material.reference);
            self.files.push(File {
                id: id.clone(),
                file_name,
                checksums: checksums(material),
                license_concluded: NO_ASSERTION,
                copyright_text: NO_ASSERTION,
                comment: comment(material),
            });
            self.relate(&package, "CONTAINS", &id);
        }
        sha1.sort_unstable();
        let comment = match without.is_empty() {
            true => "",
            false => {
                "The files that are excluded have secrets in them, so their digests are not told, or are further names of files of the base."
            }
        };
        self.packages.push(Package {
            id: package,
            name: "files put in place by the recipe".to_owned(),
            version_info: None,
            package_file_name: None,
            supplier: NO_ASSERTION.to_owned(),
            download_location: NO_ASSERTION,
            files_analyzed: true,
            package_verification_code: Some(VerificationCode {
                package_verification_code_value: Sha1::of(sha1.concat().as_bytes()).to_hex(),
                package_verification_code_excluded_files: without,
            }),
            checksums: Vec::new(),
            license_concluded: NO_ASSERTION,
            license_declared: NO_ASSERTION,
            copyright_text: NO_ASSERTION,
            description: None,
            comment: comment.to_owned(),
            primary_package_purpose: "FILE",
        });
    }
}

fn purpose(kind: Kind) -> &'static str {
    match kind {
        Kind::Output => "ARCHIVE",
        Kind::File | Kind::Input => "FILE",
        Kind::Tool | Kind::App | Kind::Feature | Kind::Capability => "APPLICATION",
        Kind::System => "OPERATING_SYSTEM",
        Kind::Package | Kind::Language | Kind::Driver => "OTHER",
    }
}

/// Parentheses hold an address there, so a name has none.
fn supplier(material: &Material) -> String {
    let name = material.supplier.as_deref().map(|name| name.replace('(', "[").replace(')', "]"));
    name.map_or_else(|| NO_ASSERTION.to_owned(), |name| format!("Organization: {name}"))
}

fn checksums(material: &Material) -> Vec<Checksum> {
    [("SHA1", &material.digests.sha1), ("SHA256", &material.digests.sha256)]
        .into_iter()
        .filter_map(|(algorithm, value)| {
            Some(Checksum { algorithm, checksum_value: value.clone()? })
        })
        .collect()
}

/// What has no field of its own, line by line.
fn comment(material: &Material) -> String {
    let blake3 = material.digests.blake3.iter().map(|digest| format!("blake3: {digest}"));
    let properties = material.properties.iter().map(|(name, value)| format!("{name}: {value}"));
    blake3.chain(properties).collect::<Vec<String>>().join("\n")
}
