//! The record of a new package, from its INF.
//!
//! A package of a boot-critical class gets its configurations, descriptors and strings written, so that Windows can bind devices to it before it can
//! read the INF. Any other package gets none: Windows configures its devices from the INF at the first boot, as in every real DRIVERS hive.
//! Extensions are in SYSTEM but have none either.
//!
//! What AddReg and DelReg of a section write is kept as values whose type has flags in its upper half: 0x20000 not over an existing value, 0x40000 append
//! to the list, 0x200000 the value is deleted, 0x100000 the key of that name is deleted. Values of the `.HW` section that Windows knows as device
//! properties become such: `Security`, `DeviceCharacteristics` and others; `UpperFilters` and `LowerFilters` become values of the configuration.

use std::collections::BTreeMap;

use crate::{
    base::{filetime::FileTime, guid::Guid, name::Name},
    format::{
        hive::{Value, ValueType},
        inf::{
            DriverInf, InfArchitecture, Install, Model, RegistryAction, RegistryLine, RegistryRoot,
            Service,
        },
        security::parse_sddl,
    },
};

use super::{
    class::EXTENSION_CLASS,
    configuration::{Configuration, Descriptor},
    index::{DeviceId, IdKind},
    package::{PackageRecord, PackageVersion, StatusFlags},
    tree::KeyTree,
};

/// What is known of a new package besides its INF.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPackage {
    /// The store folder: `viostor.inf_amd64_0123456789abcdef`.
    pub package: String,
    /// The name it is published as: `oem3.inf`.
    pub published: String,
    /// The INF's own name: `viostor.inf`.
    pub inf_name: String,
    /// `OemPath`, where Windows keeps the folder that a package came from. No path of the building host may enter an image: give
    /// [`NewPackage::store_path`], the package's own folder in the image.
    pub oem_path: String,
    /// The processor it is for.
    pub architecture: InfArchitecture,
    /// Who signed it; `None` when nobody did.
    pub signer_name: Option<String>,
    /// `SignerScore`.
    pub signer_score: u32,
    /// `ImportDate`: the time of the build.
    pub import_date: FileTime,
    /// The catalog's submission ID.
    pub submission_id: Option<String>,
    /// Sum of the sizes of its files.
    pub file_size: u64,
    /// Its class is boot-critical in this image ([`super::is_boot_critical`]).
    pub boot_critical: bool,
}

impl NewPackage {
    /// The folder of a package in the store, as `OemPath`: `C:\Windows\System32\DriverStore\FileRepository\<package>`.
    #[must_use]
    pub fn store_path(package: &str) -> String {
        format!(r"C:\Windows\System32\DriverStore\FileRepository\{package}")
    }
}

/// The category of the properties that every device has.
const DEVICE_CATEGORY: &str = "{a45c254e-df1c-4efd-8020-67d146a850e0}";
/// Values of `.HW` that are device properties: name, number, type.
const HARDWARE_PROPERTIES: [(&str, &str, u32); 6] = [
    ("FriendlyName", "000E", DEVPROP_TEXT),
    ("Security", "0019", DEVPROP_SECURITY),
    ("DeviceType", "001B", DEVPROP_U32),
    ("Exclusive", "001C", DEVPROP_BOOLEAN),
    ("DeviceCharacteristics", "001D", DEVPROP_U32),
    ("UINumberDescFormat", "001F", DEVPROP_TEXT),
];
const DEVPROP: u32 = 0xffff_0000;
const DEVPROP_U32: u32 = 0x07;
const DEVPROP_BOOLEAN: u32 = 0x11;
const DEVPROP_TEXT: u32 = 0x12;
const DEVPROP_SECURITY: u32 = 0x13;

/// Flags of AddReg as written in an INF.
const FLAG_NO_CLOBBER: u32 = 0x02;
const FLAG_APPEND: u32 = 0x08;
const FLAG_OVERWRITE_ONLY: u32 = 0x20;
/// Their form in the type of a value.
const TYPE_NO_CLOBBER: u32 = 0x0002_0000;
const TYPE_APPEND: u32 = 0x0004_0000;
const TYPE_DELETE_KEY: u32 = 0x0010_0000;
const TYPE_DELETE_VALUE: u32 = 0x0020_0000;

/// Folders by number.
const DIRID_DRIVERS: u32 = 12;
const DIRID_STORE: u32 = 13;
/// `AddService` flag: the function driver.
const FUNCTION_DRIVER: u32 = 2;
/// Service types that are no drivers: own and shared process.
const WIN32_TYPES: u32 = 0x10 | 0x20;
/// What a package whose configurations are complete says.
const SCOPE_COMPLETE: u32 = 7;
/// The driver runs from the store.
const LOCKED: u32 = 2;

/// True when a package's configurations, descriptors and strings are written: those of boot-critical classes, extensions not.
#[must_use]
pub fn class_needs_configurations(class: Guid, boot_critical: bool) -> bool {
    boot_critical && class != EXTENSION_CLASS
}

impl PackageRecord {
    /// The record of a new package.
    #[must_use]
    pub fn from_inf(inf: &DriverInf, facts: &NewPackage) -> Self {
        let version = PackageVersion {
            inbox: false,
            active: true,
            architecture: architecture_number(facts.architecture),
            class: inf.version.class_guid,
            date: midnight(inf.version.date),
            version: inf.version.version,
            flags: 0,
        };
        let mut record = Self::new(facts.package.as_str().into(), version);
        record.published = Some(facts.published.clone());
        record.provider = Some(inf.version.provider.clone());
        record.inf_name = Some(facts.inf_name.clone());
        record.oem_path = Some(facts.oem_path.clone());
        record.signer_name = facts.signer_name.clone();
        record.import_date = Some(facts.import_date);
        record.catalog = inf.version.catalog.clone();
        record.signer_score = Some(facts.signer_score);
        record.status_flags = Some(status_flags(inf)).filter(|flags| *flags != 0);
        record.file_size = Some(facts.file_size);
        record.extension_id = inf.version.extension_id;
        record.lock_level = runs_from_store(inf).then_some(LOCKED);
        if let Some(id) = &facts.submission_id {
            record.set_submission_id(id);
        }
        if class_needs_configurations(inf.version.class_guid, facts.boot_critical) {
            record.configurations = Some(inf.installs.iter().map(configuration).collect());
            record.descriptors = Some(descriptors(inf));
            record.strings = Some(
                inf.strings
                    .iter()
                    .map(|(name, text)| (name.as_str().into(), text.clone()))
                    .collect(),
            );
        }
        record
    }
}

/// The IDs that an INF names, each once, sorted by ID. Of an ID that is named again the last mention counts, also when it is a compatible ID and the one
/// before a hardware ID: so Windows has it for `*PNP0500` of msports.inf, `*PNP0E00` of pcmcia.inf and `*PNP0320` of keyboard.inf.
#[must_use]
pub fn device_ids(inf: &DriverInf) -> Vec<DeviceId> {
    chosen(inf).into_values().map(|(id, _)| id).collect()
}

/// Each ID by its name in upper case, with the models line that it counts in.
fn chosen(inf: &DriverInf) -> BTreeMap<Vec<u16>, (DeviceId, &Model)> {
    let scores: BTreeMap<String, u8> = inf
        .installs
        .iter()
        .map(|install| (install.section.to_ascii_lowercase(), install.feature_score))
        .collect();
    let ids = inf.models.iter().flat_map(|model| {
        let score = scores.get(&model.install.to_ascii_lowercase()).copied().unwrap_or(0xff);
        ids_of_model(inf, model, score)
            .map(move |id| (Name::from(id.id.as_str()).to_upcase().units().to_vec(), (id, model)))
    });
    ids.collect()
}

fn ids_of_model<'a>(
    inf: &'a DriverInf,
    model: &'a Model,
    feature_score: u8,
) -> impl Iterator<Item = DeviceId> + 'a {
    let extension = inf.version.class_guid == EXTENSION_CLASS;
    let of = move |id: &String, kind: IdKind, index: u16| DeviceId {
        id: id.clone(),
        kind: if extension { IdKind::Extension } else { kind },
        feature_score,
        index,
    };
    let hardware = std::iter::once(of(&model.hardware_id, IdKind::Hardware, 0));
    let compatible = model.compatible_ids.iter().zip(0u16..);
    let compatible = compatible.map(move |(id, place)| of(id, IdKind::Compatible, place));
    hardware.chain(compatible).filter(|id| !id.path().is_empty())
}

/// One descriptor per ID, from the models line that the ID counts in.
fn descriptors(inf: &DriverInf) -> Vec<Descriptor> {
    chosen(inf)
        .into_values()
        .map(|(id, model)| Descriptor {
            path: id.path(),
            configuration: Some(model.install.clone()),
            description: Some(model.description_token.clone()),
            manufacturer: Some(model.manufacturer_token.clone()),
            other_values: Vec::new(),
        })
        .collect()
}

fn configuration(install: &Install) -> Configuration {
    let mut made = Configuration {
        name: install.section.as_str().into(),
        service: function_service(&install.services),
        config_flags: Some(0),
        config_scope: Some(SCOPE_COMPLETE),
        included_infs: Some(install.included_infs.clone()).filter(|infs| !infs.is_empty()),
        reboot: install.reboot.then_some(1),
        ..Configuration::default()
    };
    let is_win32 = |service: &&Service| service.service_type & WIN32_TYPES != 0;
    let win32: Vec<String> =
        install.services.iter().filter(is_win32).map(|service| service.name.clone()).collect();
    made.win32_services = Some(win32).filter(|names| !names.is_empty());
    for filter in &install.filters {
        let list = if filter.upper { &mut made.upper_filters } else { &mut made.lower_filters };
        list.get_or_insert_default().push(filter.service.clone());
    }
    let mut device = KeyTree::default();
    for line in relative(&install.device_registry) {
        if !lift(line, &mut made) {
            apply(&mut device, line);
        }
    }
    let mut driver = KeyTree::default();
    relative(&install.driver_registry).for_each(|line| apply(&mut driver, line));
    let mut services = KeyTree::default();
    for service in install.services.iter().filter(|service| !service.name.is_empty()) {
        if relative(&service.registry).next().is_some() {
            let key = services.make(&[service.name.as_str().into()]);
            relative(&service.registry).for_each(|line| apply(key, line));
        }
    }
    for property in &install.properties {
        let kind = ValueType(DEVPROP | property.kind);
        let number = format!("{:04X}", property.id);
        let value = Value::new("", kind, property.data.clone());
        set_property(&mut made, &property.guid.to_string(), &number, value);
    }
    let mut interfaces = KeyTree::default();
    for (class, _) in &install.interfaces {
        interfaces.make(&[class.to_string().as_str().into()]);
    }
    let some = |tree: KeyTree| Some(tree).filter(|tree| !tree.is_empty());
    made.device = some(device);
    made.driver = some(driver);
    made.services = some(services);
    made.interfaces = some(interfaces);
    made
}

/// The function driver's service: empty for the null service, `None` when there is no service at all or none is the function driver.
fn function_service(services: &[Service]) -> Option<String> {
    let function = services.iter().find(|service| service.flags & FUNCTION_DRIVER != 0);
    function.map(|service| service.name.clone())
}

fn relative(lines: &[RegistryLine]) -> impl Iterator<Item = &RegistryLine> {
    lines.iter().filter(|line| line.root == RegistryRoot::Relative)
}

/// Takes a line of `.HW` that is more than a value of the device's key. False when it is just that.
fn lift(line: &RegistryLine, made: &mut Configuration) -> bool {
    let RegistryAction::Set { kind, data, flags } = &line.action else { return false };
    if !line.key.is_empty() {
        return false;
    }
    let value = Value::new(line.name.as_str(), ValueType(*kind), data.clone());
    let is = |name: &str| line.name.eq_ignore_ascii_case(name);
    if is("UpperFilters") || is("LowerFilters") {
        let Some(names) = value.as_multi_text().or_else(|| value.as_text().map(|one| vec![one]))
        else {
            return false;
        };
        let list =
            if is("UpperFilters") { &mut made.upper_filters } else { &mut made.lower_filters };
        let list = list.get_or_insert_default();
        if flags & FLAG_APPEND == 0 {
            list.clear();
        }
        list.extend(names);
        return true;
    }
    let Some((_, number, kind)) = HARDWARE_PROPERTIES.iter().find(|(name, ..)| is(name)) else {
        return false;
    };
    let Some(data) = property_data(*kind, &value) else { return false };
    set_property(made, DEVICE_CATEGORY, number, Value::new("", ValueType(DEVPROP | kind), data));
    true
}

/// The data of a value as a device property of a type; `None` when it does not fit.
fn property_data(kind: u32, value: &Value) -> Option<Vec<u8>> {
    match kind {
        DEVPROP_U32 => value.as_dword().map(|number| number.to_le_bytes().to_vec()),
        DEVPROP_BOOLEAN => value.as_dword().map(|number| vec![if number == 0 { 0 } else { 0xff }]),
        DEVPROP_SECURITY => parse_sddl(&value.as_text()?).ok().map(|security| security.to_bytes()),
        _ => value.as_text().map(|text| Value::sz("", &text).data),
    }
}

fn set_property(made: &mut Configuration, category: &str, number: &str, value: Value) {
    let tree = made.properties.get_or_insert_default();
    tree.make(&[category.into(), number.into()]).set(value);
}

/// Records what a line of AddReg or DelReg does.
fn apply(tree: &mut KeyTree, line: &RegistryLine) {
    let path: Vec<Name> =
        line.key.split('\\').filter(|name| !name.is_empty()).map(Name::from).collect();
    match &line.action {
        RegistryAction::Key => drop(tree.make(&path)),
        RegistryAction::Set { kind, data, flags } => {
            set(tree.make(&path), line, *kind, data, *flags);
        }
        RegistryAction::DeleteValue => {
            let kind = ValueType(TYPE_DELETE_VALUE);
            tree.make(&path).set(Value::new(line.name.as_str(), kind, Vec::new()));
        }
        RegistryAction::DeleteKey => {
            let Some((last, above)) = path.split_last() else { return };
            let kind = ValueType(TYPE_DELETE_KEY);
            tree.make(above).set(Value::new(last.clone(), kind, Vec::new()));
        }
    }
}

fn set(key: &mut KeyTree, line: &RegistryLine, kind: u32, data: &[u8], flags: u32) {
    let old = key.value(&line.name);
    // A value that is only to be changed where it exists has no form in the database; a new device has none to change.
    if flags & FLAG_OVERWRITE_ONLY != 0 || (flags & FLAG_NO_CLOBBER != 0 && old.is_some()) {
        return;
    }
    let mut kind = kind;
    let mut data = data.to_vec();
    if flags & FLAG_APPEND != 0 {
        let before = old.filter(|old| old.kind.0 & 0xffff == ValueType::MULTI_SZ.0);
        if let Some(before) = before {
            // The lists are joined before the NUL that ends the first.
            let kept = before.data.len().saturating_sub(2);
            data = [&before.data[..kept], &data].concat();
        }
        // An append to a list that this same section sets is just that list.
        if before.is_none_or(|before| before.kind.0 & TYPE_APPEND != 0) {
            kind |= TYPE_APPEND;
        }
    }
    if flags & FLAG_NO_CLOBBER != 0 {
        kind |= TYPE_NO_CLOBBER;
    }
    key.set(Value::new(line.name.as_str(), ValueType(kind), data));
}

/// `StatusFlags` of a new package.
fn status_flags(inf: &DriverInf) -> u32 {
    let copies = || inf.installs.iter().flat_map(|install| &install.copies);
    let includes = inf.installs.iter().any(|install| !install.included_infs.is_empty());
    let bits = [
        (StatusFlags::PAYLOAD, !inf.files.is_empty()),
        (StatusFlags::COPIES, copies().any(|copy| copy.to.dirid != DIRID_STORE)),
        (
            StatusFlags::ELSEWHERE,
            copies().any(|copy| ![DIRID_DRIVERS, DIRID_STORE].contains(&copy.to.dirid)),
        ),
        (StatusFlags::NOT_LOCKED_DOWN, !inf.version.pnp_lockdown && !inf.files.is_empty()),
        (StatusFlags::INCLUDES, includes),
    ];
    bits.into_iter().filter(|(_, is_set)| *is_set).map(|(bit, _)| bit).sum()
}

/// True when the driver's files are used where they are in the store.
fn runs_from_store(inf: &DriverInf) -> bool {
    let mut copies = inf.installs.iter().flat_map(|install| &install.copies).peekable();
    copies.peek().is_some() && copies.all(|copy| copy.to.dirid == DIRID_STORE)
}

fn architecture_number(architecture: InfArchitecture) -> u16 {
    match architecture {
        InfArchitecture::X86 => 0,
        InfArchitecture::Arm => 5,
        InfArchitecture::Amd64 => 9,
        InfArchitecture::Arm64 => 12,
    }
}

/// Midnight UTC of a day; 1601-01-01 for a day that no calendar has.
pub(in crate::servicing::drivers) fn midnight((year, month, day): (u16, u8, u8)) -> FileTime {
    FileTime::parse(&format!("{year:04}-{month:02}-{day:02}T00:00:00Z")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::inf::{Destination, FileCopy, Filter, PackageFile, Property, VersionInfo};

    fn line(key: &str, name: &str, action: RegistryAction) -> RegistryLine {
        let root = RegistryRoot::Relative;
        RegistryLine { root, key: key.into(), name: name.into(), action, line: 1 }
    }

    fn set_line(key: &str, value: Value, flags: u32) -> RegistryLine {
        let action = RegistryAction::Set { kind: value.kind.0, data: value.data, flags };
        line(key, &value.name.to_string(), action)
    }

    fn model(install: &str, description: &str, hardware: &str, compatible: &[&str]) -> Model {
        Model {
            description_token: description.into(),
            description: "Text".into(),
            manufacturer_token: "%mfg%".into(),
            manufacturer: "Someone".into(),
            install: install.into(),
            hardware_id: hardware.into(),
            compatible_ids: compatible.iter().map(|id| (*id).to_owned()).collect(),
            line: 1,
        }
    }

    /// An INF in the shape of msports.inf and the VMware drivers of Windows 10.
    fn inf() -> DriverInf {
        let install = Install {
            section: "ComPort.NT".into(),
            feature_score: 0xf9,
            services: vec![Service {
                name: "Serial".into(),
                flags: 2,
                registry: vec![
                    set_line(r"Parameters\Device", Value::multi_sz("List", ["a"]), FLAG_APPEND),
                    set_line(r"Parameters\Device", Value::multi_sz("List", ["b"]), FLAG_APPEND),
                    set_line("Parameters", Value::dword("Old", 1), FLAG_OVERWRITE_ONLY),
                    line("Parameters", "Gone", RegistryAction::DeleteValue),
                    RegistryLine {
                        root: RegistryRoot::LocalMachine,
                        ..set_line("Elsewhere", Value::dword("x", 1), 0)
                    },
                ],
                ..Service::default()
            }],
            driver_registry: vec![set_line("", Value::sz("Page", "x"), FLAG_NO_CLOBBER)],
            device_registry: vec![
                set_line("", Value::multi_sz("UpperFilters", ["serenum"]), 0),
                set_line("", Value::sz("Security", "D:P(A;;GA;;;SY)"), 0),
                set_line("", Value::dword("DeviceCharacteristics", 0x100), 0),
                line("WUDF", "", RegistryAction::DeleteKey),
                line("Interrupt Management", "", RegistryAction::Key),
                set_line("", Value::dword("Plain", 1), 0),
            ],
            filters: vec![Filter { service: "low".into(), upper: false }],
            copies: vec![FileCopy {
                to: Destination { dirid: 12, path: "serial.sys".into() },
                from: "serial.sys".into(),
                flags: 0,
            }],
            included_infs: vec!["machine.inf".into()],
            properties: vec![Property {
                guid: Guid([0; 16]),
                id: 13,
                kind: 0x12,
                data: vec![0, 0],
            }],
            ..Install::default()
        };
        DriverInf {
            version: VersionInfo {
                class: "Ports".into(),
                class_guid: Guid::parse("{4d36e978-e325-11ce-bfc1-08002be10318}").unwrap(),
                provider: "Someone".into(),
                date: (2006, 6, 21),
                version: [10, 0, 19041, 1266],
                catalog: Some("x.cat".into()),
                extension_id: None,
                pnp_lockdown: true,
            },
            models: vec![
                model("ComPort.NT", "%first%", "*PNP0500", &[]),
                model("comport.nt", "%second%", "*PNP0501", &["*pnp0500", "*PNP0502"]),
            ],
            installs: vec![install],
            files: vec![PackageFile { path: "serial.sys".into(), line: 1 }],
            strings: vec![("first".into(), "First".into()), ("mfg".into(), "Someone".into())],
            unsupported: Vec::new(),
            listed_files: Vec::new(),
            missing_includes: Vec::new(),
            missing_sections: Vec::new(),
            class_registry: Vec::new(),
        }
    }

    fn facts(boot_critical: bool) -> NewPackage {
        let package = "ports.inf_amd64_0123456789abcdef".to_owned();
        NewPackage {
            published: "oem3.inf".into(),
            inf_name: "Ports.inf".into(),
            oem_path: NewPackage::store_path(&package),
            package,
            architecture: InfArchitecture::Amd64,
            signer_name: Some("Someone".into()),
            signer_score: 0x0d00_0005,
            import_date: FileTime(7),
            submission_id: Some("1".into()),
            file_size: 12,
            boot_critical,
        }
    }

    #[test]
    fn of_an_id_named_twice_the_last_mention_counts() {
        let ids: Vec<_> =
            device_ids(&inf()).into_iter().map(|id| (id.id.clone(), id.encode())).collect();
        assert_eq!(
            ids,
            [
                ("*pnp0500".to_owned(), [2, 0xf9, 0, 0]),
                ("*PNP0501".to_owned(), [1, 0xf9, 0, 0]),
                ("*PNP0502".to_owned(), [2, 0xf9, 1, 0]),
            ]
        );
        let record = PackageRecord::from_inf(&inf(), &facts(true));
        let descriptors = record.descriptors.unwrap();
        assert_eq!(descriptors[0].description.as_deref(), Some("%second%"));
        assert_eq!(descriptors.len(), 3);
        let mut extension = inf();
        extension.version.class_guid = EXTENSION_CLASS;
        assert!(device_ids(&extension).iter().all(|id| id.kind == IdKind::Extension));
    }

    #[test]
    fn a_boot_critical_package_has_its_configurations() {
        let record = PackageRecord::from_inf(&inf(), &facts(true));
        assert_eq!(record.status_flags, Some(0x112));
        assert_eq!((record.lock_level, record.file_size), (None, Some(12)));
        let one = &record.configurations.as_ref().unwrap()[0];
        assert_eq!(one.service.as_deref(), Some("Serial"));
        assert_eq!(one.upper_filters.as_deref(), Some(&["serenum".to_owned()][..]));
        assert_eq!(one.lower_filters.as_deref(), Some(&["low".to_owned()][..]));
        assert_eq!((one.config_scope, one.config_flags), (Some(7), Some(0)));
        let device = one.device.as_ref().unwrap();
        let kinds = |tree: &KeyTree| {
            tree.values
                .iter()
                .map(|value| (value.name.to_string(), value.kind.0))
                .collect::<Vec<_>>()
        };
        assert_eq!(kinds(device), [("WUDF".to_owned(), TYPE_DELETE_KEY), ("Plain".to_owned(), 4)]);
        assert!(device.at("Interrupt Management").unwrap().is_empty());
        assert_eq!(kinds(one.driver.as_ref().unwrap()), [("Page".to_owned(), 0x20001)]);
        let services = one.services.as_ref().unwrap();
        assert_eq!(
            kinds(services.at(r"serial\parameters").unwrap()),
            [("Gone".to_owned(), TYPE_DELETE_VALUE)]
        );
        let list = services.at(r"serial\parameters\device").unwrap().value("list").unwrap();
        let expected = Value::multi_sz("List", ["a", "b"]);
        assert_eq!((list.kind.0, &list.data), (0x40007, &expected.data));
        assert!(services.at(r"serial\elsewhere").is_none(), "absolute roots are not the device's");
        let properties = one.properties.as_ref().unwrap();
        let device = properties.at(DEVICE_CATEGORY).unwrap();
        assert_eq!(device.at("001D").unwrap().value("").unwrap().kind.0, 0xffff_0007);
        let security = device.at("0019").unwrap().value("").unwrap();
        // Revision 1, self-relative, protected: as in the real databases.
        assert_eq!((security.kind.0, &security.data[..4]), (0xffff_0013, &[1, 0, 4, 0x90][..]));
        assert!(properties.at(r"{00000000-0000-0000-0000-000000000000}\000D").is_some());
        assert_eq!(PackageRecord::decode(&record.name, &record.encode()), Ok(record));
    }

    #[test]
    fn any_other_package_has_none_and_a_driver_in_the_store_is_locked() {
        let mut inf = inf();
        inf.version.pnp_lockdown = false;
        inf.installs[0].copies[0].to.dirid = 13;
        inf.installs[0].included_infs.clear();
        let record = PackageRecord::from_inf(&inf, &facts(false));
        assert_eq!((record.status_flags, record.lock_level), (Some(0x14), Some(2)));
        assert_eq!(record.configurations, None);
        assert_eq!((record.descriptors.as_ref(), record.strings.as_ref()), (None, None));
        assert_eq!(record.submission_id().as_deref(), Some("1"));
        assert_eq!(record.version.date_text(), "2006-06-21");
        assert_eq!(
            record.oem_path.as_deref(),
            Some(
                r"C:\Windows\System32\DriverStore\FileRepository\ports.inf_amd64_0123456789abcdef"
            )
        );
        assert!(!class_needs_configurations(EXTENSION_CLASS, true));
    }
}
