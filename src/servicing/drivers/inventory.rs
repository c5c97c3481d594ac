//! Which driver packages an image has, as its driver databases say.

use std::collections::BTreeMap;

use crate::{
    base::{guid::Guid, name::Name, ntpath::NtPath},
    image::{Image, ImageError, RegistryPath},
};

use super::{
    super::error::ServicingError,
    database::{
        self, DatabaseHive, DeviceId, InfFileRecord, KeyTree, PackageRecord, is_boot_critical,
        oem_number,
    },
    place,
};

const NAME: &str = "drivers";
/// What there is to say of an image without any database.
const NO_DATABASE: &str = "this image keeps no driver database (Windows 7 and earlier do not); its drivers are not listed";

/// A driver package of an image.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct InstalledDriver {
    /// Which database it is in.
    pub hive: DatabaseHive,
    /// Its folder in the store: `viostor.inf_amd64_0123456789abcdef`.
    pub package: String,
    /// The INF that it is published as: `oem3.inf`, or an inbox name. Empty when the database does not say.
    pub published: String,
    /// The INF's own name.
    pub original: String,
    /// Who made it.
    pub provider: Option<String>,
    /// The device class by name, when the image knows the class.
    pub class: Option<String>,
    /// The device class.
    pub class_guid: String,
    /// The date of its `DriverVer`: `2006-06-21`.
    pub date: String,
    /// The version of its `DriverVer`: `10.0.19041.1266`.
    pub version: String,
    /// `x86`, `amd64`, `arm`, `arm64`, or the number of another one.
    pub architecture: String,
    /// Who signed it; not said of inbox packages.
    pub signer: Option<String>,
    /// The image marks its class as boot-critical.
    pub boot_critical: bool,
    /// It came with Windows.
    pub inbox: bool,
    /// It is the package in force of its published INF.
    pub active: bool,
    /// The device IDs that lead to its INF, sorted.
    pub ids: Vec<DeviceId>,
    /// Services that its install sections name, sorted; only packages in SYSTEM say that.
    pub services: Vec<String>,
}

/// The driver packages of an image, and what could not be told.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Inventory {
    /// The packages: SYSTEM before DRIVERS, `oemN.inf` by number before inbox names.
    pub drivers: Vec<InstalledDriver>,
    /// What could not be told, and why.
    pub notes: Vec<String>,
}

/// The driver packages of an image. None for Windows 7 and earlier, which keep no database ([`read`] tells that).
///
/// # Errors
/// When a hive is damaged.
pub fn list(image: &mut Image) -> Result<Vec<InstalledDriver>, ServicingError> {
    read(image).map(|inventory| inventory.drivers)
}

/// The driver packages of an image, and what could not be told.
///
/// # Errors
/// When a hive is damaged.
pub fn read(image: &mut Image) -> Result<Inventory, ServicingError> {
    let mut inventory = Inventory::default();
    let mut classes = BTreeMap::new();
    let mut found = false;
    for hive in DatabaseHive::ALL {
        let root = hive.root();
        let failed = |error| ServicingError::image(NAME, root.text(), error);
        if !image.has_hive(hive.hive()) {
            continue;
        }
        let Some(tree) = database::read(image, &root).map_err(failed)? else { continue };
        found = true;
        let (records, notes) = records(&tree);
        inventory.notes.extend(notes);
        let mut ids = ids_by_inf(&tree);
        for record in records {
            let guid = record.version.class;
            if let std::collections::btree_map::Entry::Vacant(place) = classes.entry(guid) {
                place.insert(class(image, guid).map_err(failed)?);
            }
            let ids = take_ids(&tree, &record, &mut ids);
            inventory.drivers.push(installed(hive, record, classes[&guid].clone(), ids));
        }
    }
    if !found {
        inventory.notes.push(NO_DATABASE.to_owned());
    }
    inventory.drivers.sort_by_cached_key(|driver| {
        let number = oem_number(&driver.published);
        let names = (driver.published.to_lowercase(), driver.package.to_lowercase());
        (driver.hive, number.is_none(), number, names)
    });
    Ok(inventory)
}

/// Where the INF called `original` of a driver package lies: in the package's folder.
#[must_use]
pub fn inf(image: &Image, package: &str, original: &str) -> NtPath {
    place::store(image, package).join(original.into())
}

/// The records of a database, and what is wrong with those that are none.
fn records(tree: &KeyTree) -> (Vec<PackageRecord>, Vec<String>) {
    let packages = tree.at("DriverPackages").map(|tree| tree.keys.as_slice()).unwrap_or_default();
    let (mut records, mut notes) = (Vec::new(), Vec::new());
    for (name, tree) in packages {
        match PackageRecord::decode(name, tree) {
            Ok(record) => records.push(record),
            Err(error) => notes.push(error.to_string()),
        }
    }
    (records, notes)
}

/// The IDs of every INF, by its name in lower case.
fn ids_by_inf(tree: &KeyTree) -> BTreeMap<String, Vec<DeviceId>> {
    let mut found: BTreeMap<String, Vec<DeviceId>> = BTreeMap::new();
    for (path, key) in tree.at("DeviceIds").map(KeyTree::walk).unwrap_or_default() {
        for value in &key.values {
            if let Some(id) = DeviceId::decode(&path, value) {
                found.entry(value.name.to_string().to_lowercase()).or_default().push(id);
            }
        }
    }
    found.values_mut().for_each(|ids| ids.sort());
    found
}

/// The IDs of a package: those of its INF, when it is the one in force.
fn take_ids(
    tree: &KeyTree,
    record: &PackageRecord,
    ids: &mut BTreeMap<String, Vec<DeviceId>>,
) -> Vec<DeviceId> {
    let Some(published) = &record.published else { return Vec::new() };
    let inf = tree.at("DriverInfFiles").and_then(|all| all.key(&published.as_str().into()));
    let active = inf.and_then(|inf| InfFileRecord::decode(inf).active);
    let in_force = active.is_none_or(|active| record.name.is(&active));
    if in_force { ids.remove(&published.to_lowercase()).unwrap_or_default() } else { Vec::new() }
}

/// A class's name, and whether it is boot-critical.
fn class(image: &mut Image, guid: Guid) -> Result<(Option<String>, bool), ImageError> {
    if !image.has_hive(crate::image::HiveId::System) {
        return Ok((None, false));
    }
    let text = format!(r"HKLM\SYSTEM\CurrentControlSet\Control\Class\{guid}");
    let path = RegistryPath::parse(&text).expect("the names are fixed and a GUID");
    let name = image.registry_value(&path, &Name::from("Class"))?;
    let boot_critical = is_boot_critical(image, guid)?;
    Ok((name.and_then(|name| name.as_text()), boot_critical))
}

fn installed(
    hive: DatabaseHive,
    record: PackageRecord,
    (class, boot_critical): (Option<String>, bool),
    ids: Vec<DeviceId>,
) -> InstalledDriver {
    let mut services: Vec<String> = record
        .configurations
        .iter()
        .flatten()
        .flat_map(database::Configuration::service_names)
        .collect();
    services.sort_by_key(|name| name.to_lowercase());
    services.dedup_by(|left, right| left.eq_ignore_ascii_case(right));
    let version = record.version;
    let published = record.published.unwrap_or_default();
    InstalledDriver {
        hive,
        package: record.name.to_string(),
        original: record.inf_name.unwrap_or_else(|| published.clone()),
        published,
        provider: record.provider,
        class,
        class_guid: version.class.to_string(),
        date: version.date_text(),
        version: version.version_text(),
        architecture: match version.architecture {
            0 => "x86".to_owned(),
            5 => "arm".to_owned(),
            9 => "amd64".to_owned(),
            12 => "arm64".to_owned(),
            other => other.to_string(),
        },
        signer: record.signer_name,
        boot_critical,
        inbox: version.inbox,
        active: version.active,
        ids,
        services,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        base::filetime::FileTime,
        format::hive::Value,
        servicing::drivers::database::{IdKind, PackageVersion, additions},
    };

    fn record(package: &str, published: &str) -> PackageRecord {
        let version = PackageVersion {
            inbox: oem_number(published).is_none(),
            active: true,
            architecture: 12,
            class: Guid([3; 16]),
            date: FileTime::parse("2024-02-29T00:00:00Z").unwrap(),
            version: [1, 2, 3, 4],
            flags: 0,
        };
        let mut record = PackageRecord::new(package.into(), version);
        record.published = Some(published.into());
        record
    }

    #[test]
    fn ids_go_to_the_package_in_force() {
        let id = DeviceId {
            id: r"ROOT\X".into(),
            kind: IdKind::Hardware,
            feature_score: 0xff,
            index: 0,
        };
        let record = record("x.inf_arm64_1", "oem1.inf");
        let mut tree = additions(&record, std::slice::from_ref(&id));
        let mut ids = ids_by_inf(&tree);
        assert_eq!(take_ids(&tree, &record, &mut ids.clone()), [id]);
        tree.make(&["DriverInfFiles".into(), "oem1.inf".into()]).set(Value::sz("Active", "other"));
        assert_eq!(take_ids(&tree, &record, &mut ids), []);
    }

    #[test]
    fn a_driver_reads_as_people_say_it() {
        let made = installed(
            DatabaseHive::System,
            record("x.inf_arm64_1", "oem1.inf"),
            (Some("Net".into()), false),
            Vec::new(),
        );
        assert_eq!((made.date.as_str(), made.version.as_str()), ("2024-02-29", "1.2.3.4"));
        assert_eq!((made.architecture.as_str(), made.original.as_str()), ("arm64", "oem1.inf"));
        let json = serde_json::to_value(&made).unwrap();
        assert_eq!((&json["hive"], &json["boot-critical"]), (&"system".into(), &false.into()));
    }

    #[test]
    fn a_broken_record_is_told_and_an_image_without_hives_has_no_database() {
        let mut tree = additions(&record("x.inf_arm64_1", "oem1.inf"), &[]);
        tree.make(&["DriverPackages".into(), "broken".into()]);
        let (records, notes) = records(&tree);
        assert_eq!(records.len(), 1);
        assert_eq!(notes, ["the driver database's record of `broken` has no `Version`"]);
        let mut image = Image::empty(FileTime(0));
        let inventory = read(&mut image).unwrap();
        assert_eq!(inventory.notes, [NO_DATABASE]);
        assert_eq!(list(&mut image).unwrap(), []);
    }
}
