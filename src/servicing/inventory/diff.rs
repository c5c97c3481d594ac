//! How two inventories differ, area by area: the short answer to "what changed?".
//!
//! Things are paired by what names them: a package by its identity, a driver package by its folder in the driver store. What is then alone on both sides, and is
//! the only one of its name without the version, is an upgrade: `10.0.1.1 -> 10.0.1.2`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{FolderSize, Inventory, folders};
use crate::{base::ntpath::NtPath, image::tree::Tree};

/// A part of an image that people ask about as a whole. In the order in which differences are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Area {
    /// Version, edition, architecture.
    Image,
    /// Packages.
    Packages,
    /// Features.
    Features,
    /// Capabilities.
    Capabilities,
    /// Display languages.
    Languages,
    /// Driver packages.
    Drivers,
    /// Services and drivers of the registry.
    Services,
    /// Provisioned apps.
    Apps,
    /// Languages and formats, keyboards, time zone, state of setup.
    Settings,
    /// Servicing that waits for Windows to start.
    Pending,
    /// What is run at the first boot.
    Deferred,
    /// What lies where.
    Folders,
}

/// What differs in one area.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct AreaChange {
    /// The area.
    pub area: Area,
    /// What differs, sorted by name without case; at least one.
    pub entries: Vec<EntryChange>,
}

/// One thing that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct EntryChange {
    /// What it is called; of an upgrade what both versions have in common.
    pub name: String,
    /// What people call it, where that is something else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// What it was, as a short text: a state, a version, what differs of several facts. `None`: it was not there.
    pub old: Option<String>,
    /// What it is. `None`: it is no longer there.
    pub new: Option<String>,
    /// Its size in bytes before, where it has one that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old_bytes: Option<u64>,
    /// Its size in bytes after, where it has one that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_bytes: Option<u64>,
    /// Where it lies in the image before, when that is one folder: `\Windows\System32\DriverStore\FileRepository\...`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old_folder: Option<String>,
    /// Where it lies in the image after, when that is one folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_folder: Option<String>,
}

impl Area {
    /// Every area, in the order in which they are told.
    pub const ALL: [Self; 12] = [
        Self::Image,
        Self::Packages,
        Self::Features,
        Self::Capabilities,
        Self::Languages,
        Self::Drivers,
        Self::Services,
        Self::Apps,
        Self::Settings,
        Self::Pending,
        Self::Deferred,
        Self::Folders,
    ];

    /// What people call it: `Packages`, `First boot`.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Image => "Image",
            Self::Packages => "Packages",
            Self::Features => "Features",
            Self::Capabilities => "Capabilities",
            Self::Languages => "Languages",
            Self::Drivers => "Drivers",
            Self::Services => "Services",
            Self::Apps => "Apps",
            Self::Settings => "Settings",
            Self::Pending => "Pending work",
            Self::Deferred => "First boot",
            Self::Folders => "Size by folder",
        }
    }
}

impl AreaChange {
    /// How many entries are new, gone, and there on both sides with something else to say.
    #[must_use]
    pub fn counts(&self) -> (usize, usize, usize) {
        let count = |old: bool, new: bool| {
            let alike =
                |entry: &&EntryChange| entry.old.is_some() == old && entry.new.is_some() == new;
            self.entries.iter().filter(alike).count()
        };
        (count(false, true), count(true, false), count(true, true))
    }
}

/// How `after` differs from `before`. Areas without a difference are left out; equal inventories give nothing.
///
/// What an inventory could not tell ([`Inventory::notes`]) looks like what is not there: whoever shows this shows the notes too.
#[must_use]
pub fn changes(before: &Inventory, after: &Inventory) -> Vec<AreaChange> {
    let of = |area: Area| match area {
        Area::Folders => folder_changes(&before.folders, &after.folders),
        Area::Deferred => deferred(&before.deferred, &after.deferred),
        _ => compare(rows(area, before), rows(area, after)),
    };
    let areas = Area::ALL.into_iter().map(|area| AreaChange { area, entries: of(area) });
    areas.filter(|change| !change.entries.is_empty()).collect()
}

/// Tells the sizes of what lies in one folder, and those of folders exactly, from the trees themselves.
pub fn measure(changes: &mut Vec<AreaChange>, before: &Tree, after: &Tree) {
    let size = |tree: &Tree, path: &str| {
        let node = tree.lookup(&NtPath::parse(path).ok()?)?;
        Some(folders::size_of(tree, node).1)
    };
    let (folders_before, folders_after) = (folders::all(before), folders::all(after));
    for change in &mut *changes {
        let area = change.area;
        for entry in &mut change.entries {
            if let Some(folder) = &entry.old_folder {
                entry.old_bytes = size(before, folder);
            }
            if let Some(folder) = &entry.new_folder {
                entry.new_bytes = size(after, folder);
            }
            if area == Area::Folders {
                let size =
                    |all: &BTreeMap<String, (u64, u64)>| all.get(&entry.name).map(|size| size.1);
                (entry.old_bytes, entry.new_bytes) = (size(&folders_before), size(&folders_after));
                // A folder that is too small to be in an inventory, or that is not there, has a size all the same.
                entry.old = entry.old_bytes.map(|bytes| format!("{bytes} bytes"));
                entry.new = entry.new_bytes.map(|bytes| format!("{bytes} bytes"));
            }
        }
        if area == Area::Folders {
            change.entries.retain(|entry| entry.old_bytes != entry.new_bytes);
        }
    }
    changes.retain(|change| !change.entries.is_empty());
}

/// What is compared, with what it is called; the main one is called nothing.
type Fact = (&'static str, String);

/// A thing of an inventory, for comparison.
#[derive(Debug, Default)]
struct Row {
    /// What names it.
    name: String,
    /// What an upgrade keeps of that.
    family: Option<String>,
    label: Option<String>,
    /// What is said of it when it is on one side only.
    summary: String,
    /// What is compared.
    facts: Vec<Fact>,
    folder: Option<String>,
}

impl Row {
    fn new(name: &str, summary: &str, facts: Vec<Fact>) -> Self {
        let (name, summary) = (name.to_owned(), summary.to_owned());
        Self { name, summary, facts, ..Self::default() }
    }
}

/// The text, or nothing.
fn or_empty(text: Option<&String>) -> String {
    text.cloned().unwrap_or_default()
}

fn rows(area: Area, of: &Inventory) -> Vec<Row> {
    match area {
        Area::Image => facts(of),
        Area::Packages => of.packages.iter().map(package).collect(),
        Area::Features => of.features.iter().map(feature).collect(),
        Area::Capabilities => of
            .capabilities
            .iter()
            .map(|item| Row {
                family: item.id.rsplit_once('~').map(|(family, _)| family.to_owned()),
                ..Row::new(&item.id, &item.state, versioned(&item.id, &item.state))
            })
            .collect(),
        Area::Languages => of.languages.iter().map(language).collect(),
        Area::Drivers => {
            let root = of.facts.system_root.as_deref().unwrap_or("Windows");
            of.drivers.iter().map(|item| driver(item, root)).collect()
        }
        Area::Services => of.services.iter().map(service).collect(),
        Area::Apps => of
            .apps
            .iter()
            .map(|app| {
                let facts = vec![("", app.version.clone()), ("full name", without_version(app))];
                Row {
                    family: Some(app.name.clone()),
                    folder: Some(format!(r"\Program Files\WindowsApps\{}", app.full_name)),
                    ..Row::new(&app.full_name, &app.version, facts)
                }
            })
            .collect(),
        Area::Settings => of
            .settings
            .iter()
            .map(|(name, value)| Row::new(name, value, vec![("", value.clone())]))
            .collect(),
        Area::Pending => of
            .pending
            .iter()
            .map(|item| Row::new(&item.place, &item.what, vec![("", item.what.clone())]))
            .collect(),
        Area::Deferred | Area::Folders => Vec::new(),
    }
}

fn facts(of: &Inventory) -> Vec<Row> {
    let facts = &of.facts;
    let number = |number: Option<u32>| number.map(|number| number.to_string());
    let rows = [
        ("architecture", facts.architecture.map(|architecture| architecture.to_string())),
        ("branch", facts.branch.clone()),
        ("default-language", facts.default_language.clone()),
        ("edition", facts.edition.clone()),
        ("hal", facts.hal.clone()),
        ("installation-type", facts.installation_type.clone()),
        ("installed-languages", super::some(facts.languages.join(", "))),
        ("product-name", facts.product_name.clone()),
        ("product-suite", facts.product_suite.clone()),
        ("product-type", facts.product_type.clone()),
        ("service-pack", number(facts.service_pack_level)),
        ("service-pack-build", number(facts.service_pack_build)),
        ("system-root", facts.system_root.clone()),
        ("version", of.version()),
        ("windows-pe", facts.windows_pe.then(|| "yes".to_owned())),
    ];
    let row = |(name, value): (&str, Option<String>)| {
        value.map(|value| Row::new(name, &value, vec![("", value.clone())]))
    };
    rows.into_iter().filter_map(row).collect()
}

fn package(item: &super::PackageItem) -> Row {
    let mut facts = versioned(&item.id, &item.state);
    facts.push(("release type", or_empty(item.release_type.as_ref())));
    facts.push(("display name", or_empty(item.display_name.as_ref())));
    facts.push(("support", or_empty(item.support.as_ref())));
    Row {
        family: item.id.rsplit_once('~').map(|(family, _)| family.to_owned()),
        label: item.display_name.clone(),
        ..Row::new(&item.id, &item.state, facts)
    }
}

/// What is compared of what has its version at the end of its identity.
fn versioned(id: &str, state: &str) -> Vec<Fact> {
    let version = id.rsplit_once('~').map_or("", |(_, version)| version);
    vec![("", version.to_owned()), ("", state.to_owned())]
}

/// A feature that comes with a newer version of its package is the same feature.
fn feature(item: &super::FeatureItem) -> Row {
    let package = item.package.rsplit_once('~').map_or(item.package.as_str(), |(family, _)| family);
    let facts = vec![("", item.state.clone()), ("of", package.to_owned())];
    Row::new(&item.name, &item.state, facts)
}

fn language(item: &super::LanguageItem) -> Row {
    let registered = if item.registered { "registered" } else { "not registered" };
    let state = if item.default { format!("{registered}, default") } else { registered.to_owned() };
    Row::new(&item.tag, &state, vec![("", state.clone())])
}

fn driver(item: &super::DriverItem, root: &str) -> Row {
    let yes = |yes: bool| (if yes { "yes" } else { "no" }).to_owned();
    let facts = vec![
        ("", item.version.clone()),
        ("dated", item.date.clone()),
        ("published as", item.published.clone()),
        ("provider", or_empty(item.provider.as_ref())),
        ("class", or_empty(item.class.as_ref())),
        ("signer", or_empty(item.signer.as_ref())),
        ("architecture", item.architecture.clone()),
        ("inbox", yes(item.inbox)),
        ("in force", yes(item.active)),
    ];
    let signed = item.signer.as_ref().map(|signer| format!(", signed by {signer}"));
    let summary = format!(
        "{} of {}, {}{}",
        item.version,
        item.date,
        item.published,
        signed.unwrap_or_default()
    );
    // A folder is `name.inf_amd64_digest`; a package that has none is known by its published INF.
    let name = if item.package.is_empty() { &item.published } else { &item.package };
    let folder = format!(r"\{root}\System32\DriverStore\FileRepository\{}", item.package);
    Row {
        family: Some(format!("{} ({})", item.original, item.architecture)),
        label: item.provider.clone(),
        folder: (!item.package.is_empty()).then_some(folder),
        ..Row::new(name, &summary, facts)
    }
}

fn service(item: &super::ServiceItem) -> Row {
    let facts = vec![
        ("", item.start.clone()),
        ("kind", (if item.driver { "driver" } else { "service" }).to_owned()),
        ("account", or_empty(item.account.as_ref())),
        ("program", or_empty(item.program.as_ref())),
    ];
    let kind = if item.driver { ", a driver" } else { "" };
    Row::new(&item.name, &format!("{}{kind}", item.start), facts)
}

/// The full name with its version taken out: what an upgrade keeps.
fn without_version(app: &super::AppItem) -> String {
    app.full_name.replacen(&format!("_{}_", app.version), "__", 1)
}

/// Pairs things by name, then what is left by family, and tells what differs.
fn compare(before: Vec<Row>, after: Vec<Row>) -> Vec<EntryChange> {
    let mut pairs: BTreeMap<(String, usize), (Option<Row>, Option<Row>)> = BTreeMap::new();
    for (name, row) in numbered(before) {
        pairs.entry(name).or_default().0 = Some(row);
    }
    for (name, row) in numbered(after) {
        pairs.entry(name).or_default().1 = Some(row);
    }
    let mut changes = Vec::new();
    let mut families: BTreeMap<String, (Vec<Row>, Vec<Row>)> = BTreeMap::new();
    let family = |row: &Row| row.family.as_ref().map(|family| family.to_lowercase());
    for pair in pairs.into_values() {
        match pair {
            (Some(old), Some(new)) => {
                let name = new.name.clone();
                changes.extend(differing(name, old, new));
            }
            (Some(old), None) => match family(&old) {
                Some(family) => families.entry(family).or_default().0.push(old),
                None => changes.push(alone(old, true)),
            },
            (None, Some(new)) => match family(&new) {
                Some(family) => families.entry(family).or_default().1.push(new),
                None => changes.push(alone(new, false)),
            },
            (None, None) => {}
        }
    }
    for (mut old, mut new) in families.into_values() {
        if let ([_], [one]) = (old.as_slice(), new.as_slice())
            && let Some(name) = one.family.clone()
            && let (Some(old), Some(new)) = (old.pop(), new.pop())
        {
            changes.extend(differing(name, old, new));
            continue;
        }
        changes.extend(old.into_iter().map(|row| alone(row, true)));
        changes.extend(new.into_iter().map(|row| alone(row, false)));
    }
    sort(&mut changes);
    changes
}

/// Things by name without case, and a number where several have one name.
fn numbered(rows: Vec<Row>) -> Vec<((String, usize), Row)> {
    let mut numbers: BTreeMap<String, usize> = BTreeMap::new();
    let named = |row: Row| {
        let name = row.name.to_lowercase();
        let number = numbers.entry(name.clone()).or_insert(0);
        *number += 1;
        ((name, *number), row)
    };
    rows.into_iter().map(named).collect()
}

fn sort(changes: &mut [EntryChange]) {
    changes.sort_by_cached_key(|change| {
        let name = change.name.clone();
        (name.to_lowercase(), name, change.old.clone(), change.new.clone())
    });
}

/// What is on one side only.
fn alone(row: Row, gone: bool) -> EntryChange {
    let Row { name, label, summary, folder, .. } = row;
    let side = |is: bool| is.then(|| summary.clone());
    let (old, new) = (side(gone), side(!gone));
    let (old_folder, new_folder) = if gone { (folder, None) } else { (None, folder) };
    EntryChange { name, label, old, new, old_bytes: None, new_bytes: None, old_folder, new_folder }
}

/// What is on both sides, when it differs.
fn differing(name: String, old: Row, new: Row) -> Option<EntryChange> {
    let differ: Vec<_> =
        old.facts.iter().zip(&new.facts).filter(|(old, new)| old.1 != new.1).collect();
    if differ.is_empty() {
        // Only what both sides are called can differ then: two packages of one identity are one.
        let same = old.name.eq_ignore_ascii_case(&new.name)
            || old.name.to_lowercase() == new.name.to_lowercase();
        if same {
            return None;
        }
        let (old_text, new_text) = (old.name.clone(), new.name.clone());
        return Some(entry(name, old_text, new_text, old, new));
    }
    let text = |facts: &mut dyn Iterator<Item = &Fact>| {
        facts.map(fact_text).collect::<Vec<_>>().join(", ")
    };
    let old_text = text(&mut differ.iter().map(|(old, _)| *old));
    let new_text = text(&mut differ.iter().map(|(_, new)| *new));
    Some(entry(name, old_text, new_text, old, new))
}

fn entry(name: String, old_text: String, new_text: String, old: Row, new: Row) -> EntryChange {
    EntryChange {
        name,
        label: new.label.or(old.label),
        old: Some(old_text),
        new: Some(new_text),
        old_bytes: None,
        new_bytes: None,
        old_folder: old.folder,
        new_folder: new.folder,
    }
}

fn fact_text((called, value): &Fact) -> String {
    match (called.is_empty(), value.is_empty()) {
        (true, true) => "unknown".to_owned(),
        (true, false) => value.clone(),
        (false, true) => format!("no {called}"),
        (false, false) => format!("{called} {value}"),
    }
}

/// Scripts that came, went, or are run in another order.
fn deferred(before: &[String], after: &[String]) -> Vec<EntryChange> {
    let rows = |scripts: &[String]| {
        scripts.iter().map(|script| Row::new(script, "runs", vec![("", String::new())])).collect()
    };
    let mut changes = compare(rows(before), rows(after));
    if changes.is_empty() && before != after {
        let order = |scripts: &[String]| Row::new("order", "", vec![("", scripts.join(", "))]);
        changes.extend(differing("order".to_owned(), order(before), order(after)));
    }
    changes
}

/// Folders whose size differs. One that is told on one side only has, on the other, no more than what an inventory leaves out; where that cannot be told
/// from no change, nothing is said.
fn folder_changes(before: &[FolderSize], after: &[FolderSize]) -> Vec<EntryChange> {
    let least = |sizes: &[FolderSize]| {
        let whole = sizes.iter().find(|folder| folder.path == "\\");
        folders::least(whole.map_or(0, |whole| whole.bytes))
    };
    let (least_before, least_after) = (least(before), least(after));
    let mut paths: BTreeMap<&str, (Option<u64>, Option<u64>)> = BTreeMap::new();
    for folder in before {
        paths.entry(&folder.path).or_default().0 = Some(folder.bytes);
    }
    for folder in after {
        paths.entry(&folder.path).or_default().1 = Some(folder.bytes);
    }
    let exact = |bytes: u64| format!("{bytes} bytes");
    let at_most = |bytes: u64| format!("at most {bytes} bytes");
    let change = |(path, sizes): (&str, (Option<u64>, Option<u64>))| {
        let (old, new) = match sizes {
            (Some(old), Some(new)) if old != new => (exact(old), exact(new)),
            (Some(old), None) if old > least_after => (exact(old), at_most(least_after)),
            (None, Some(new)) if new > least_before => (at_most(least_before), exact(new)),
            _ => return None,
        };
        Some(EntryChange {
            name: path.to_owned(),
            label: None,
            old: Some(old),
            new: Some(new),
            old_bytes: sizes.0,
            new_bytes: sizes.1,
            old_folder: Some(path.to_owned()),
            new_folder: Some(path.to_owned()),
        })
    };
    paths.into_iter().filter_map(change).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{AppItem, DriverItem, FeatureItem, PackageItem, PendingItem, ServiceItem};
    use super::*;

    fn package(id: &str, state: &str) -> PackageItem {
        PackageItem {
            id: id.into(),
            state: state.into(),
            release_type: None,
            display_name: None,
            support: None,
            manifest_sha1: None,
        }
    }

    fn service(name: &str, start: &str) -> ServiceItem {
        let (name, start) = (name.into(), start.into());
        ServiceItem { name, start, driver: false, account: None, program: Some("a.exe".into()) }
    }

    fn driver(package: &str, published: &str, version: &str) -> DriverItem {
        DriverItem {
            published: published.into(),
            original: "net.inf".into(),
            package: package.into(),
            provider: Some("Example".into()),
            class: Some("Net".into()),
            version: version.into(),
            date: "2024-01-02".into(),
            architecture: "amd64".into(),
            signer: None,
            inbox: false,
            active: true,
            inf_sha1: None,
        }
    }

    fn folder(path: &str, bytes: u64) -> FolderSize {
        FolderSize { path: path.into(), files: 1, bytes }
    }

    /// Every change as `area name: old -> new`.
    fn told(before: &Inventory, after: &Inventory) -> Vec<String> {
        let mut lines = Vec::new();
        for change in changes(before, after) {
            for entry in change.entries {
                let side = |text: Option<String>| text.unwrap_or_else(|| "-".into());
                let (old, new) = (side(entry.old), side(entry.new));
                lines.push(format!("{:?} {}: {old} -> {new}", change.area, entry.name));
            }
        }
        lines
    }

    fn sample() -> Inventory {
        let mut inventory = Inventory {
            packages: vec![
                package("A~t~amd64~~1.0", "installed"),
                package("B~t~amd64~~1.0", "staged"),
            ],
            features: vec![FeatureItem {
                name: "Telnet".into(),
                state: "disabled".into(),
                package: "F~t~amd64~~1.0".into(),
            }],
            drivers: vec![driver("net.inf_amd64_1", "oem0.inf", "1.0")],
            services: vec![service("Spooler", "auto"), service("W32Time", "manual")],
            apps: vec![AppItem {
                name: "News".into(),
                full_name: "News_1.0_x64__abc".into(),
                version: "1.0".into(),
            }],
            pending: vec![PendingItem { place: "pending.xml".into(), what: "work".into() }],
            deferred: vec!["one.cmd".into(), "two.cmd".into()],
            folders: vec![folder("\\", 100_000), folder(r"\Windows", 50_000), folder(r"\a", 150)],
            ..Inventory::default()
        };
        inventory.facts.build = Some(26100);
        inventory.settings.insert("time-zone".into(), "UTC".into());
        inventory
    }

    #[test]
    fn equal_inventories_do_not_differ() {
        assert_eq!(told(&sample(), &sample()), [""; 0]);
    }

    #[test]
    fn each_area_tells_what_came_went_and_changed() {
        let mut after = sample();
        after.facts.major = Some(10);
        after.facts.minor = Some(0);
        after.packages =
            vec![package("A~t~amd64~~1.1", "installed"), package("B~t~amd64~~1.0", "installed")];
        after.features[0].state = "enabled".into();
        after.features[0].package = "F~t~amd64~~1.1".into();
        after.drivers = vec![driver("net.inf_amd64_2", "oem0.inf", "1.1")];
        after.services = vec![service("spooler", "disabled")];
        after.apps[0].full_name = "News_1.1_x64__abc".into();
        after.apps[0].version = "1.1".into();
        after.settings.insert("time-zone".into(), "Tokyo Standard Time".into());
        after.settings.insert("keyboards".into(), "0411:00000411".into());
        after.pending.clear();
        after.deferred = vec!["two.cmd".into(), "one.cmd".into()];
        after.folders[1].bytes += 5;
        let expected = [
            "Image version: - -> 10.0.26100",
            "Packages A~t~amd64~: 1.0 -> 1.1",
            "Packages B~t~amd64~~1.0: staged -> installed",
            "Features Telnet: disabled -> enabled",
            "Drivers net.inf (amd64): 1.0 -> 1.1",
            "Services spooler: auto -> disabled",
            "Services W32Time: manual -> -",
            "Apps News: 1.0 -> 1.1",
            "Settings keyboards: - -> 0411:00000411",
            "Settings time-zone: UTC -> Tokyo Standard Time",
            "Pending pending.xml: work -> -",
            "Deferred order: one.cmd, two.cmd -> two.cmd, one.cmd",
            r"Folders \Windows: 50000 bytes -> 50005 bytes",
        ];
        assert_eq!(told(&sample(), &after), expected);
    }

    #[test]
    fn the_other_way_round_old_and_new_change_places() {
        let mut after = sample();
        after.packages.push(package("C~t~amd64~~1.0", "installed"));
        after.services[0].account = Some("LocalService".into());
        after.drivers.clear();
        after.settings.clear();
        after.folders.push(folder(r"\b", 9_000));
        let mut mirrored = changes(&after, &sample());
        for entry in mirrored.iter_mut().flat_map(|change| &mut change.entries) {
            std::mem::swap(&mut entry.old, &mut entry.new);
            std::mem::swap(&mut entry.old_bytes, &mut entry.new_bytes);
            std::mem::swap(&mut entry.old_folder, &mut entry.new_folder);
        }
        assert_eq!(mirrored, changes(&sample(), &after));
        let text = told(&sample(), &after);
        assert!(text.contains(&"Services Spooler: no account -> account LocalService".to_owned()));
        assert!(
            text.contains(&r"Folders \b: at most 100 bytes -> 9000 bytes".to_owned()),
            "{text:?}"
        );
    }

    #[test]
    fn two_versions_side_by_side_are_no_upgrade() {
        let (mut before, mut after) = (sample(), sample());
        before.packages = vec![package("A~t~amd64~~1.0", "installed")];
        after.packages =
            vec![package("A~t~amd64~~1.1", "installed"), package("A~t~amd64~~1.2", "installed")];
        let expected = [
            "Packages A~t~amd64~~1.0: installed -> -",
            "Packages A~t~amd64~~1.1: - -> installed",
            "Packages A~t~amd64~~1.2: - -> installed",
        ];
        assert_eq!(told(&before, &after), expected);
    }

    #[test]
    fn a_folder_that_is_only_left_out_is_no_difference() {
        let (mut before, after) = (sample(), sample());
        before.folders[0].bytes = 200_000;
        before.folders.retain(|folder| folder.path != r"\a");
        assert_eq!(told(&before, &after), [r"Folders \: 200000 bytes -> 100000 bytes"]);
    }

    #[test]
    fn changes_are_kept_and_read_back() {
        let changes = changes(&Inventory::default(), &sample());
        let text = serde_json::to_string(&changes).unwrap();
        assert_eq!(serde_json::from_str::<Vec<AreaChange>>(&text).unwrap(), changes);
        assert_eq!(changes.iter().map(|change| change.area).collect::<Vec<_>>().len(), 9);
        assert_eq!(changes[0].counts(), (2, 0, 0));
    }
}
