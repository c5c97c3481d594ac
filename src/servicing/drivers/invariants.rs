//! What holds in every driver database: found true of what Windows wrote, checked of what we write.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    base::{name::Name, ntpath::NtPath},
    format::hive::ValueType,
    image::{HiveId, Image, RegistryPath},
};

use super::{
    super::error::ServicingError,
    database::{
        self, DatabaseHive, InfFileRecord, KeyTree, OemInfMap, PackageRecord, class_entry,
        oem_number,
    },
};

const NAME: &str = "drivers";

/// What must hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// A package's record can be read.
    Readable,
    /// A package with descriptors has one for each ID that leads to its INF, and no other.
    DescriptorsAreDeviceIds,
    /// The configurations of an INF are those of its package in force.
    ConfigurationsAreListed,
    /// The section that a descriptor names is there.
    SectionExists,
    /// The text of every token is there.
    TokenHasText,
    /// A package is active, and only then, when its INF says so.
    ActiveIsListed,
    /// The packages that an INF lists exist, and every package is listed.
    PackagesAreListed,
    /// The class of a package leads to its INF exactly once.
    ClassEntry,
    /// An ID leads to an INF that exists.
    IdLeadsToInf,
    /// `OemInfMap` names the `oemN.inf` there are.
    OemInfMap,
    /// A service that a configuration names exists.
    ServiceExists,
}

/// Something that does not hold.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Violation {
    /// What must hold.
    pub rule: Rule,
    /// The package, the INF or the ID.
    pub item: String,
    /// What is wrong.
    pub what: String,
}

/// What is known around a database. What is not known is not checked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Surroundings {
    /// Names of the services in SYSTEM, in lower case.
    pub services: Option<BTreeSet<String>>,
    /// The numbers N of every `oemN.inf` of the image: those of the files, or of both databases.
    pub oem_infs: Option<BTreeSet<u32>>,
}

/// Checks a database, given from its root (`DriverDatabase`).
#[must_use]
pub fn check(root: &KeyTree, around: &Surroundings) -> Vec<Violation> {
    let mut checker = Checker::new(root, around);
    checker.infs();
    checker.classes();
    checker.ids();
    let packages = std::mem::take(&mut checker.packages);
    for package in packages.values() {
        checker.package(package);
    }
    checker.oem_map();
    checker.found.sort();
    checker.found
}

/// Checks both databases of an image, with its services and the files of its INF folder.
///
/// # Errors
/// When a hive is damaged.
pub fn check_image(image: &mut Image) -> Result<Vec<Violation>, ServicingError> {
    let mut around = Surroundings { oem_infs: Some(oem_files(image)), services: None };
    if image.has_hive(HiveId::System) {
        let services = RegistryPath::parse(r"HKLM\SYSTEM\CurrentControlSet\Services")
            .expect("the path is fixed");
        let names = image.registry_subkeys(&services);
        let names = names.map_err(|error| ServicingError::image(NAME, services.text(), error))?;
        around.services = Some(names.iter().map(|name| name.to_string().to_lowercase()).collect());
    }
    let mut found = Vec::new();
    for hive in DatabaseHive::ALL {
        if image.has_hive(hive.hive()) {
            let root = hive.root();
            let tree = database::read(image, &root)
                .map_err(|error| ServicingError::image(NAME, root.text(), error))?;
            found.extend(tree.iter().flat_map(|tree| check(tree, &around)));
        }
    }
    Ok(found)
}

/// The numbers of the `oemN.inf` in the image's INF folder.
fn oem_files(image: &Image) -> BTreeSet<u32> {
    let folder = NtPath::from_names(vec![image.system_root(), "INF".into()]);
    let tree = image.tree();
    let files = tree.lookup(&folder).map(|folder| tree.children(folder)).unwrap_or_default();
    files.iter().filter_map(|file| oem_number(&tree.node(*file).name.to_string())).collect()
}

/// A database, read, and what was found.
struct Checker<'a> {
    root: &'a KeyTree,
    around: &'a Surroundings,
    packages: BTreeMap<String, PackageRecord>,
    infs: BTreeMap<String, InfFileRecord>,
    /// The IDs that lead to an INF, in upper case, by INF.
    ids: BTreeMap<String, BTreeSet<Name>>,
    /// The classes that lead to an INF, by INF.
    classes: BTreeMap<String, Vec<Name>>,
    found: Vec<Violation>,
}

impl<'a> Checker<'a> {
    fn new(root: &'a KeyTree, around: &'a Surroundings) -> Self {
        let mut checker = Self {
            root,
            around,
            packages: BTreeMap::new(),
            infs: BTreeMap::new(),
            ids: BTreeMap::new(),
            classes: BTreeMap::new(),
            found: Vec::new(),
        };
        for (name, tree) in keys(root, "DriverPackages") {
            match PackageRecord::decode(name, tree) {
                Ok(record) => drop(checker.packages.insert(lower(name), record)),
                Err(error) => checker.tell(Rule::Readable, name.to_string(), error.to_string()),
            }
        }
        for (name, tree) in keys(root, "DriverInfFiles") {
            checker.infs.insert(lower(name), InfFileRecord::decode(tree));
        }
        for (path, tree) in root.at("DeviceIds").map(KeyTree::walk).unwrap_or_default() {
            for value in &tree.values {
                let inf = lower(&value.name);
                match path.as_slice() {
                    [class] if value.kind == ValueType::NONE => {
                        checker.classes.entry(inf).or_default().push(class.clone());
                    }
                    _ => drop(checker.ids.entry(inf).or_default().insert(joined(&path))),
                }
            }
        }
        checker
    }

    fn tell(&mut self, rule: Rule, item: impl Into<String>, what: impl Into<String>) {
        self.found.push(Violation { rule, item: item.into(), what: what.into() });
    }

    /// Every package that an INF lists exists, and the one in force is among them.
    fn infs(&mut self) {
        let mut found = Vec::new();
        for (inf, record) in &self.infs {
            let listed = record.packages.as_deref().unwrap_or_default();
            for package in listed {
                let exists = self.packages.contains_key(&package.to_lowercase());
                if !exists {
                    found.push((
                        Rule::PackagesAreListed,
                        inf,
                        format!("lists {package}, which is not there"),
                    ));
                }
            }
            match &record.active {
                None => {
                    found.push((Rule::ActiveIsListed, inf, "has no package in force".to_owned()));
                }
                Some(active) if !listed.iter().any(|one| one.eq_ignore_ascii_case(active)) => {
                    let what = format!("its package in force, {active}, is not listed");
                    found.push((Rule::ActiveIsListed, inf, what));
                }
                Some(_) => {}
            }
        }
        let found: Vec<_> =
            found.into_iter().map(|(rule, inf, what)| (rule, inf.clone(), what)).collect();
        found.into_iter().for_each(|(rule, inf, what)| self.tell(rule, inf, what));
    }

    /// A class leads to INFs that exist and are of that class.
    fn classes(&mut self) {
        let known: BTreeSet<String> = self.infs.keys().cloned().collect();
        let unknown: Vec<String> =
            self.classes.keys().filter(|inf| !known.contains(*inf)).cloned().collect();
        for inf in unknown {
            self.tell(Rule::ClassEntry, inf, "a class leads to it, and it is not there");
        }
    }

    /// An ID leads to an INF that exists.
    fn ids(&mut self) {
        let unknown: Vec<String> =
            self.ids.keys().filter(|inf| !self.infs.contains_key(*inf)).cloned().collect();
        for inf in unknown {
            self.tell(Rule::IdLeadsToInf, inf, "device IDs lead to it, and it is not there");
        }
    }

    fn package(&mut self, package: &PackageRecord) {
        let name = package.name.to_string();
        let Some(published) = &package.published else {
            return self.tell(Rule::PackagesAreListed, name, "is not published as any INF");
        };
        let inf = published.to_lowercase();
        let Some(record) = self.infs.get(&inf).cloned() else {
            return self.tell(Rule::PackagesAreListed, name, format!("{published} is not there"));
        };
        let is_it = |other: &String| other.eq_ignore_ascii_case(&name);
        if !record.packages.iter().flatten().any(is_it) {
            self.tell(Rule::PackagesAreListed, &name, format!("{published} does not list it"));
        }
        let in_force = record.active.as_ref().is_some_and(is_it);
        if package.version.active != in_force {
            let says = if in_force { "is" } else { "is not" };
            let what =
                format!("it {says} the package in force of {published}, its `Version` differs");
            self.tell(Rule::ActiveIsListed, &name, what);
        }
        if in_force {
            self.package_in_force(package, &inf, &record);
        }
        self.sections(package);
        self.services(package);
    }

    /// What the indexes must say of a package in force.
    fn package_in_force(&mut self, package: &PackageRecord, inf: &str, record: &InfFileRecord) {
        let name = package.name.to_string();
        let (class, _) = class_entry(package.version.class, inf);
        let classes = self.classes.get(inf).cloned().unwrap_or_default();
        if !matches!(classes.as_slice(), [one] if one.eq_ignore_case(&class)) {
            let what = format!("{} class entries lead to {inf}, not one of {class}", classes.len());
            self.tell(Rule::ClassEntry, &name, what);
        }
        if let Some(configurations) = &package.configurations {
            let have: BTreeSet<String> =
                configurations.iter().map(|one| lower(&one.name)).collect();
            let listed: BTreeSet<String> =
                record.configurations.iter().flatten().map(|one| one.to_lowercase()).collect();
            if have != listed {
                let what =
                    format!("it has {} configurations, {inf} lists {}", have.len(), listed.len());
                self.tell(Rule::ConfigurationsAreListed, &name, what);
            }
        }
        if let Some(descriptors) = &package.descriptors {
            let have: BTreeSet<Name> = descriptors.iter().map(|one| joined(&one.path)).collect();
            let ids = self.ids.get(inf).cloned().unwrap_or_default();
            if have != ids {
                let without = ids.difference(&have).count();
                let more = have.difference(&ids).count();
                let what = format!(
                    "{without} of {} IDs have no descriptor, {more} descriptors no ID",
                    ids.len()
                );
                self.tell(Rule::DescriptorsAreDeviceIds, &name, what);
            }
        }
    }

    /// Sections and tokens that descriptors name.
    fn sections(&mut self, package: &PackageRecord) {
        let name = package.name.to_string();
        let strings = package.strings.as_deref().unwrap_or_default();
        let tokens: BTreeSet<String> = strings.iter().map(|(token, _)| lower(token)).collect();
        let sections = package.configurations.as_deref().unwrap_or_default();
        let sections: BTreeSet<String> = sections.iter().map(|one| lower(&one.name)).collect();
        let mut missing = BTreeSet::new();
        for descriptor in package.descriptors.iter().flatten() {
            let section = descriptor.configuration.as_ref();
            if let Some(section) = section.filter(|name| !sections.contains(&name.to_lowercase())) {
                missing.insert((Rule::SectionExists, section.clone()));
            }
            for text in [&descriptor.description, &descriptor.manufacturer].into_iter().flatten() {
                let token = text.strip_prefix('%').and_then(|text| text.strip_suffix('%'));
                if token.is_some_and(|token| !tokens.contains(&token.to_lowercase())) {
                    missing.insert((Rule::TokenHasText, text.clone()));
                }
            }
        }
        for (rule, what) in missing {
            self.tell(rule, &name, format!("{what} is named and not there"));
        }
    }

    /// The services of a package in force that a device can bind to.
    fn services(&mut self, package: &PackageRecord) {
        let Some(services) = &self.around.services else { return };
        let named = package.configurations.iter().flatten().filter_map(|one| one.service.as_ref());
        let missing: BTreeSet<&String> = named
            .filter(|name| !name.is_empty() && !services.contains(&name.to_lowercase()))
            .collect();
        for service in missing {
            let what = format!("its service {service} is not there");
            self.tell(Rule::ServiceExists, package.name.to_string(), what);
        }
    }

    /// `OemInfMap`, which only SYSTEM has, names all of the image's; at least those of this database.
    fn oem_map(&mut self) {
        let Some(value) = self.root.value("OemInfMap") else { return };
        let map = OemInfMap::decode(&value.data).0;
        let here: BTreeSet<u32> = self.infs.keys().filter_map(|inf| oem_number(inf)).collect();
        let mut missing: BTreeSet<u32> = here.difference(&map).copied().collect();
        let mut more = BTreeSet::new();
        if let Some(all) = &self.around.oem_infs {
            missing.extend(all.difference(&map));
            more.extend(map.difference(all).copied());
        }
        for number in missing {
            self.tell(Rule::OemInfMap, format!("oem{number}.inf"), "is there and not in the map");
        }
        for number in more {
            self.tell(Rule::OemInfMap, format!("oem{number}.inf"), "is in the map and not there");
        }
    }
}

fn keys<'a>(root: &'a KeyTree, name: &str) -> &'a [(Name, KeyTree)] {
    root.at(name).map(|tree| tree.keys.as_slice()).unwrap_or_default()
}

fn lower(name: &Name) -> String {
    name.to_string().to_lowercase()
}

/// A path as one name in upper case, to compare paths.
fn joined(path: &[Name]) -> Name {
    let parts: Vec<&[u16]> = path.iter().map(Name::units).collect();
    Name::from_units(parts.join(&u16::from(b'\\'))).to_upcase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        base::{filetime::FileTime, guid::Guid},
        format::hive::Value,
        servicing::drivers::database::{
            Configuration, Descriptor, DeviceId, IdKind, PackageVersion, additions,
        },
    };

    fn sound() -> KeyTree {
        let version = PackageVersion {
            inbox: false,
            active: true,
            architecture: 9,
            class: Guid([1; 16]),
            date: FileTime(0),
            version: [1, 0, 0, 0],
            flags: 0,
        };
        let mut record = PackageRecord::new("x.inf_amd64_1".into(), version);
        record.published = Some("oem0.inf".into());
        let id =
            DeviceId { id: r"PCI\X".into(), kind: IdKind::Hardware, feature_score: 255, index: 0 };
        record.configurations = Some(vec![Configuration {
            name: "Install.NT".into(),
            service: Some("x".into()),
            ..Configuration::default()
        }]);
        record.descriptors = Some(vec![Descriptor {
            path: id.path(),
            configuration: Some("install.nt".into()),
            description: Some("%x%".into()),
            manufacturer: Some("plain".into()),
            other_values: Vec::new(),
        }]);
        record.strings = Some(vec![("x".into(), "X".into())]);
        let mut tree = additions(&record, &[id]);
        tree.set(OemInfMap([0].into()).value());
        tree
    }

    fn around() -> Surroundings {
        Surroundings { services: Some(["x".into()].into()), oem_infs: Some([0].into()) }
    }

    fn rules(tree: &KeyTree, around: &Surroundings) -> Vec<Rule> {
        check(tree, around).into_iter().map(|one| one.rule).collect()
    }

    #[test]
    fn what_we_make_holds_and_every_rule_can_break() {
        assert_eq!(check(&sound(), &around()), []);
        let package = "DriverPackages\\x.inf_amd64_1";
        type Break = fn(&mut KeyTree);
        let cases: [(&str, Break, Rule); 11] = [
            (package, |key| key.values.clear(), Rule::PackagesAreListed),
            ("DeviceIds\\PCI\\X", |key| key.values.clear(), Rule::DescriptorsAreDeviceIds),
            (
                "DriverInfFiles\\oem0.inf",
                |key| key.set(Value::multi_sz("Configurations", ["y"])),
                Rule::ConfigurationsAreListed,
            ),
            (
                r"DriverPackages\x.inf_amd64_1\Descriptors\PCI\X",
                |key| key.set(Value::sz("Configuration", "y")),
                Rule::SectionExists,
            ),
            (r"DriverPackages\x.inf_amd64_1\Strings", |key| key.values.clear(), Rule::TokenHasText),
            (
                "DriverInfFiles\\oem0.inf",
                |key| key.set(Value::sz("Active", "y")),
                Rule::ActiveIsListed,
            ),
            (
                "DriverInfFiles\\oem0.inf",
                |key| key.set(Value::multi_sz("", ["y"])),
                Rule::PackagesAreListed,
            ),
            (
                r"DeviceIds\{01010101-0101-0101-0101-010101010101}",
                |key| key.values.clear(),
                Rule::ClassEntry,
            ),
            (
                "DeviceIds\\PCI\\X",
                |key| key.set(Value::binary("other.inf", [1, 0, 0, 0])),
                Rule::IdLeadsToInf,
            ),
            ("", |key| key.set(OemInfMap([1].into()).value()), Rule::OemInfMap),
            (package, |key| key.set(Value::binary("Version", [1])), Rule::Readable),
        ];
        for (path, break_it, rule) in cases {
            let mut tree = sound();
            let names: Vec<Name> =
                path.split('\\').filter(|name| !name.is_empty()).map(Name::from).collect();
            break_it(tree.make(&names));
            let found = rules(&tree, &around());
            assert!(found.contains(&rule), "{path}: {rule:?} not in {found:?}");
        }
        let none = Surroundings { services: Some(BTreeSet::new()), ..around() };
        assert_eq!(rules(&sound(), &none), [Rule::ServiceExists]);
    }
}
