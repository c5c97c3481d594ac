//! What is in the output, as a list that both bills of materials are written from.
//!
//! - the output file, the images in it, and for each image: the packages in force, features that are enabled, capabilities, languages, drivers that did not
//!   come with Windows, provisioned apps, and the files that steps put in place;
//! - what it was made of: the base, and the inputs.
//!
//! What a package brings is not listed file by file: Windows' own files are the packages'.
//!
//! A supplier is told of what a signature vouches for, and of nothing else: names that anybody can write (the public key token of a package, the publisher id of
//! an app, the provider of a driver that nobody signed) are properties. An image that was changed is no longer Microsoft's.

use std::collections::{BTreeMap, BTreeSet};

use super::model::{AddedFile, FilePart, ImagePart, Report};
use crate::servicing::inventory::{
    AppItem, CapabilityItem, DriverItem, FeatureItem, Inventory, LanguageItem, PackageItem,
};

/// States of packages and capabilities that are in force, or will be until Windows starts or when it does.
const IN_FORCE: [&str; 5] =
    ["installed", "permanent", "partially-installed", "install-pending", "uninstall-pending"];

/// What kind of thing a [`Material`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A file or a set of files that holds images.
    Output,
    /// The program that built it.
    Tool,
    /// Windows.
    System,
    /// A package of the component store.
    Package,
    Feature,
    Capability,
    Language,
    Driver,
    App,
    /// A file that a step put in place.
    File,
    /// What a step read on the host.
    Input,
}

/// How one material is bound to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Bond {
    Contains,
    DependsOn,
    /// It was made from the other one.
    MadeFrom,
}

/// A thing in a bill.
#[derive(Debug, Clone)]
pub(super) struct Material {
    /// Its name within the bill.
    pub(super) reference: String,
    pub(super) kind: Kind,
    pub(super) name: String,
    pub(super) version: Option<String>,
    pub(super) supplier: Option<String>,
    pub(super) description: Option<String>,
    pub(super) digests: Digests,
    /// More about it, by name, in an order of ours.
    pub(super) properties: Vec<(&'static str, String)>,
}

/// Digests of a file, in hexadecimal.
#[derive(Debug, Clone, Default)]
pub(super) struct Digests {
    pub(super) sha1: Option<String>,
    pub(super) sha256: Option<String>,
    pub(super) blake3: Option<String>,
}

/// All that a bill tells.
#[derive(Debug)]
pub(super) struct Bill {
    /// The output first, then the images each followed by what it has, then what they were made of.
    pub(super) materials: Vec<Material>,
    /// First to second, sorted.
    pub(super) bonds: BTreeSet<(String, Bond, String)>,
    references: BTreeSet<String>,
}

impl Material {
    fn new(kind: Kind, reference: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            reference: reference.into(),
            kind,
            name: name.into(),
            version: None,
            supplier: None,
            description: None,
            digests: Digests::default(),
            properties: Vec::new(),
        }
    }

    fn version(self, version: &str) -> Self {
        Self { version: some(version), ..self }
    }

    fn supplier(self, supplier: Option<&str>) -> Self {
        Self { supplier: supplier.and_then(some), ..self }
    }

    fn property(mut self, name: &'static str, value: impl Into<String>) -> Self {
        let value = value.into();
        if !value.is_empty() {
            self.properties.push((name, value));
        }
        self
    }

    fn maybe(self, name: &'static str, value: Option<&String>) -> Self {
        self.property(name, value.cloned().unwrap_or_default())
    }
}

impl Bill {
    /// The bill of a build.
    pub(super) fn of(report: &Report) -> Self {
        let (materials, bonds, references) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
        let mut bill = Self { materials, bonds, references };
        let output = bill.add(output(report));
        let tool = Material::new(Kind::Tool, "tool", "transom").version(&report.tool_version);
        bill.add(tool);
        for image in &report.images {
            let system = bill.add_image(image);
            bill.bind(&output, Bond::Contains, &system);
            let base = bill.add(base(report, image));
            bill.bind(&system, Bond::MadeFrom, &base);
        }
        for input in &report.inputs {
            let input = bill.add(file(Kind::Input, format!("input/{}", input.name), input));
            bill.bind(&output, Bond::MadeFrom, &input);
        }
        bill
    }

    /// Adds a material; a reference that is taken gets a number.
    fn add(&mut self, mut material: Material) -> String {
        let wanted = material.reference.clone();
        let mut number = 1;
        while !self.references.insert(material.reference.clone()) {
            number += 1;
            material.reference = format!("{wanted}#{number}");
        }
        let reference = material.reference.clone();
        self.materials.push(material);
        reference
    }

    fn bind(&mut self, one: &str, bond: Bond, other: &str) {
        self.bonds.insert((one.to_owned(), bond, other.to_owned()));
    }

    fn add_image(&mut self, image: &ImagePart) -> String {
        let system = self.add(system(image));
        let inventory = &image.inventory;
        let mut packages = BTreeMap::new();
        for item in inventory.packages.iter().filter(|item| in_force(&item.state)) {
            let reference = self.add(package(&system, item));
            self.bind(&system, Bond::Contains, &reference);
            packages.insert(item.id.to_ascii_lowercase(), reference);
        }
        let enabled = |item: &&FeatureItem| matches!(&item.state[..], "enabled" | "enable-pending");
        for item in inventory.features.iter().filter(enabled) {
            let reference = self.add(feature(&system, item));
            self.bind(&system, Bond::Contains, &reference);
            if let Some(package) = packages.get(&item.package.to_ascii_lowercase()) {
                self.bind(&reference, Bond::DependsOn, package);
            }
        }
        let capabilities = inventory.capabilities.iter().filter(|item| in_force(&item.state));
        let drivers = inventory.drivers.iter().filter(|item| !item.inbox);
        let materials = capabilities
            .map(|item| capability(&system, item))
            .chain(inventory.languages.iter().map(|item| language(&system, item)))
            .chain(drivers.map(|item| driver(&system, item)))
            .chain(inventory.apps.iter().map(|item| app(&system, item)))
            .chain(image.files.iter().map(|file| added_file(&system, file)));
        for material in materials {
            let reference = self.add(material);
            self.bind(&system, Bond::Contains, &reference);
        }
        system
    }
}

fn some(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

fn in_force(state: &str) -> bool {
    IN_FORCE.contains(&state)
}

fn output(report: &Report) -> Material {
    let output = &report.output;
    let mut material = Material::new(Kind::Output, "output", &output.name)
        .version(report.recipe.version.as_deref().unwrap_or_default())
        .property("compression", &output.compression)
        .maybe("wim-guid", output.guid.as_ref())
        .property("commit", &output.commit)
        .property("recipe", &report.recipe.name)
        .maybe("variant", report.recipe.variant.as_ref())
        .property("order-table", &report.order_table);
    match &output.files[..] {
        [file] => {
            material.digests.sha256.clone_from(&file.sha256);
            material = material.property("size", file.size.to_string());
        }
        parts => {
            for part in parts {
                let digest = part.sha256.as_deref().map(|sha256| format!(", SHA-256 {sha256}"));
                let text =
                    format!("{}: {} bytes{}", part.name, part.size, digest.unwrap_or_default());
                material = material.property("part", text);
            }
        }
    }
    for other in &output.others {
        let name = other.name.as_ref().map(|name| format!(" ({name})")).unwrap_or_default();
        let text = format!("image {}{name}: as in the base", other.index);
        material = material.property("not-listed", text);
    }
    if !report.secrets.is_empty() {
        let text = "there are secrets in it: its digest is not told";
        material = material.property("digest", text);
    }
    material
}

/// The image as Windows describes itself.
fn windows(kind: Kind, reference: String, name: &str, inventory: &Inventory) -> Material {
    let facts = &inventory.facts;
    Material::new(kind, reference, name)
        .version(&inventory.version().unwrap_or_default())
        .maybe("edition", facts.edition.as_ref())
        .property("architecture", facts.architecture.map_or("", |architecture| architecture.name()))
}

fn system(image: &ImagePart) -> Material {
    let name = image.name.as_ref().or(image.base_name.as_ref()).map_or("Windows", String::as_str);
    let mut material =
        windows(Kind::System, format!("image-{}", image.index), name, &image.inventory)
            .property("index", image.index.to_string())
            .property("state", &image.state)
            .maybe("metadata-sha1", image.metadata_sha1.as_ref());
    for pending in &image.inventory.pending {
        material = material.property("pending", format!("{}: {}", pending.place, pending.what));
    }
    for command in &image.inventory.deferred {
        material = material.property("deferred", command);
    }
    for note in &image.inventory.notes {
        material = material.property("not-told", note);
    }
    material
}

fn base(report: &Report, image: &ImagePart) -> Material {
    let name = image.base_name.as_deref().unwrap_or("Windows");
    let reference = format!("base-{}", image.base_index);
    let mut material = windows(Kind::System, reference, name, &image.before)
        .property("file", &report.base.name)
        .property("file-size", report.base.size.to_string())
        .property("index", image.base_index.to_string());
    // A digest over the parts of a split set is that of no file.
    for part in &report.base.parts {
        let text = format!("{}: {} bytes, BLAKE3 {}", part.name, part.size, part.blake3);
        material = material.property("part", text);
    }
    if report.base.parts.is_empty() {
        material.digests.blake3 = some(&report.base.blake3);
    }
    material
}

/// A file or folder of the host, by the recipe's text for it.
fn file(kind: Kind, reference: String, part: &FilePart) -> Material {
    let mut material = Material::new(kind, reference, &part.name);
    for is in &part.is {
        material = material.property("is", is);
    }
    material = material.property("size", part.size.to_string());
    if part.folder {
        return material.property("tree-blake3", &part.blake3);
    }
    material.digests.blake3 = some(&part.blake3);
    material
}

/// `Name~token~architecture~language~version`.
fn package(system: &str, item: &PackageItem) -> Material {
    let parts: Vec<&str> = item.id.split('~').collect();
    let part = |place: usize| parts.get(place).copied().unwrap_or_default();
    let mut material =
        Material::new(Kind::Package, format!("{system}/package/{}", item.id), part(0))
            .version(part(4))
            .property("identity", &item.id)
            .property("state", &item.state)
            .property("public-key-token", part(1))
            .property("architecture", part(2))
            .property("language", part(3))
            .maybe("manifest-sha1", item.manifest_sha1.as_ref())
            .maybe("release-type", item.release_type.as_ref())
            .maybe("support", item.support.as_ref());
    material.description = item.display_name.as_deref().and_then(some);
    material
}

fn feature(system: &str, item: &FeatureItem) -> Material {
    // A feature has the version of the package that brings it.
    let version = item.package.split('~').nth(4).unwrap_or_default();
    Material::new(Kind::Feature, format!("{system}/feature/{}", item.name), &item.name)
        .version(version)
        .property("state", &item.state)
        .property("package", &item.package)
}

/// `Name~~~language~version`.
fn capability(system: &str, item: &CapabilityItem) -> Material {
    let parts: Vec<&str> = item.id.split('~').collect();
    let part = |place: usize| parts.get(place).copied().unwrap_or_default();
    Material::new(Kind::Capability, format!("{system}/capability/{}", item.id), part(0))
        .version(part(4))
        .property("identity", &item.id)
        .property("state", &item.state)
        .property("language", part(3))
}

fn language(system: &str, item: &LanguageItem) -> Material {
    Material::new(Kind::Language, format!("{system}/language/{}", item.tag), &item.tag)
        .property("default", item.default.to_string())
}

fn driver(system: &str, item: &DriverItem) -> Material {
    Material::new(Kind::Driver, format!("{system}/driver/{}", item.package), &item.original)
        .version(&item.version)
        .supplier(item.provider.as_deref().filter(|_| item.signer.is_some()))
        .maybe("provider", item.provider.as_ref())
        .property("published", &item.published)
        .property("package", &item.package)
        .property("date", &item.date)
        .property("architecture", &item.architecture)
        .maybe("class", item.class.as_ref())
        .maybe("inf-sha1", item.inf_sha1.as_ref())
        .property("signer", item.signer.as_deref().unwrap_or("none"))
        .property("active", item.active.to_string())
}

/// `Name_version_architecture_resource_publisher`.
fn app(system: &str, item: &AppItem) -> Material {
    let publisher = item.full_name.rsplit('_').next().unwrap_or_default();
    Material::new(Kind::App, format!("{system}/app/{}", item.full_name), &item.name)
        .version(&item.version)
        .property("full-name", &item.full_name)
        .property("publisher-id", publisher)
}

fn added_file(system: &str, file: &AddedFile) -> Material {
    let mut material = Material::new(Kind::File, format!("{system}/file{}", file.path), &file.path)
        .property("step", &file.step)
        .property("size", file.size.map(|size| size.to_string()).unwrap_or_default());
    if let Some(other) = &file.link_to {
        material = material.property("link-to", other);
    } else if file.size.is_none() {
        material = material.property("digest", "there is a secret in it: its digest is not told");
    }
    material.digests.sha1.clone_from(&file.sha1);
    material.digests.blake3.clone_from(&file.blake3);
    material
}
