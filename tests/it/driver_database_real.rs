//! Driver databases that Windows wrote: read and written back bit for bit, and what our model says of them compared with what is there.

use std::collections::{BTreeMap, BTreeSet};

use transom::{
    base::{filetime::FileTime, limits::Limits, name::Name},
    format::{
        hive::{Hive, KeyId, Value, ValueType},
        inf::{Inf, InfArchitecture, NoIncludes, resolve},
    },
    image::{Image, NewNode},
    servicing::drivers::{
        database::{
            self as driver_database, BOOT_CRITICAL_PROPERTY, DatabaseHive, DeviceId,
            EXTENSION_CLASS, IdKind, InfFileRecord, KeyTree, NewPackage, OemInfMap, PackageRecord,
            StatusFlags, additions, class_entry, device_ids, oem_number,
        },
        invariants::{self, Surroundings},
        inventory,
    },
};

use crate::{
    hive_real::real_hive,
    image_fixture::path,
    inf_corpus::{corpus, stamp, target},
    support,
};

const DATABASES: [&str; 3] = ["win81_9600", "win10_16299", "win10_19041"];

/// A database of the shared data: `{v: {name: [type, hex]}, k: {subkey: ...}}`, the default value named `(Default)`.
fn database(name: &str) -> Option<KeyTree> {
    let path = support::shared_data(&format!("hives/DriverDatabase_{name}.json.xz"))?;
    let json: serde_json::Value = serde_json::from_slice(&support::unpack_xz(&path)?).unwrap();
    Some(tree(&json))
}

fn tree(json: &serde_json::Value) -> KeyTree {
    let value = |(name, value): (&String, &serde_json::Value)| {
        let name = if name == "(Default)" { "" } else { name };
        let kind = u32::try_from(value[0].as_u64().unwrap()).unwrap();
        let digits = value[1].as_str().unwrap().as_bytes().as_chunks::<2>().0;
        let byte = |pair: &[u8; 2]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16);
        let data = digits.iter().map(|pair| byte(pair).unwrap()).collect::<Vec<u8>>();
        Value::new(name, ValueType(kind), data)
    };
    KeyTree {
        values: json["v"].as_object().unwrap().iter().map(value).collect(),
        keys: json["k"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, below)| (name.as_str().into(), tree(below)))
            .collect(),
    }
}

fn packages(database: &KeyTree) -> Vec<(&KeyTree, PackageRecord)> {
    let packages = &database.at("DriverPackages").unwrap().keys;
    packages.iter().map(|(name, tree)| (tree, PackageRecord::decode(name, tree).unwrap())).collect()
}

/// How a prediction fared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Exact,
    /// Another form of the same.
    Equivalent,
    /// Not predicted, for this reason.
    Omitted(&'static str),
    Contradicts,
}

/// Per kind of value: exact, equivalent, omitted, contradicting; and why omitted.
#[derive(Debug, Default)]
struct Table {
    counts: BTreeMap<&'static str, [u32; 4]>,
    omitted: BTreeMap<(&'static str, &'static str), u32>,
    contradictions: Vec<String>,
}

impl Table {
    fn add(&mut self, kind: &'static str, item: &str, fate: Fate) {
        let place = match fate {
            Fate::Exact => 0,
            Fate::Equivalent => 1,
            Fate::Omitted(reason) => {
                *self.omitted.entry((kind, reason)).or_default() += 1;
                2
            }
            Fate::Contradicts => {
                self.contradictions.push(format!("{kind}: {item}"));
                3
            }
        };
        self.counts.entry(kind).or_default()[place] += 1;
    }

    fn compare(&mut self, kind: &'static str, item: &str, equal: bool) {
        self.add(kind, item, if equal { Fate::Exact } else { Fate::Contradicts });
    }

    fn print(&self) {
        println!("{:44} {:>6} {:>6} {:>6} {:>6}", "", "exact", "equiv", "omit", "contra");
        for (kind, [exact, equivalent, omitted, contradicting]) in &self.counts {
            println!("{kind:44} {exact:6} {equivalent:6} {omitted:6} {contradicting:6}");
        }
        for ((kind, reason), count) in &self.omitted {
            println!("omitted: {kind}: {count} ({reason})");
        }
    }
}

const NO_INF: &str = "only the INF says it, and the hives do not hold the INF";
const NOT_BOUND: &str =
    "the package was added to a running Windows, which records what devices bound to";
const NOT_KNOWN: &str = "not understood; we write 0, Windows wrote something else";
const HASH: &str = "nobody knows how it is made; we make our own";
const AT_IMPORT: &str = "what happened when it was added: an input";
const OLD: &str = "Windows 8.1 does not have the bit";

#[test]
fn every_package_comes_back_bit_for_bit_and_all_of_it_is_understood() {
    let mut count = 0;
    let mut odd = BTreeSet::new();
    for name in DATABASES {
        let Some(database) = database(name) else { return };
        for (tree, record) in packages(&database) {
            assert!(record.encode() == *tree, "{name}: {}", record.name);
            count += 1;
            odd.extend(record.other_values.iter().map(|value| value.name.to_string()));
            odd.extend(record.other_keys.iter().map(|(name, _)| name.to_string()));
            for one in record.configurations.iter().flatten() {
                odd.extend(one.other_values.iter().map(|value| value.name.to_string()));
                odd.extend(one.other_keys.iter().map(|(name, _)| name.to_string()));
            }
            for one in record.descriptors.iter().flatten() {
                odd.extend(one.other_values.iter().map(|value| value.name.to_string()));
            }
        }
        for (name, tree) in &database.at("DriverInfFiles").unwrap().keys {
            let record = InfFileRecord::decode(tree);
            assert!(record.encode() == *tree, "{name}");
            odd.extend(record.other_values.iter().map(|value| value.name.to_string()));
        }
        for (path, tree) in database.at("DeviceIds").unwrap().walk() {
            for value in tree.values.iter().filter(|value| value.kind != ValueType::NONE) {
                let id = DeviceId::decode(&path, value).unwrap();
                assert_eq!(id.value(&value.name.to_string()), *value);
                assert_eq!(id.path(), path);
            }
        }
        let map = database.value("OemInfMap").unwrap();
        assert_eq!(OemInfMap::decode(&map.data).value(), *map);
    }
    println!("{count} packages; not understood: {odd:?}");
    assert_eq!(count, 620);
    assert_eq!(odd, BTreeSet::new(), "every value and key has its field");
}

#[test]
fn what_the_model_says_is_what_windows_wrote() {
    let mut table = Table::default();
    for name in DATABASES {
        let Some(database) = database(name) else { return };
        let mut ids: BTreeMap<String, Vec<(Vec<Name>, Value)>> = BTreeMap::new();
        let mut classes: BTreeMap<String, Vec<(Name, Value)>> = BTreeMap::new();
        for (path, tree) in database.at("DeviceIds").unwrap().walk() {
            for value in &tree.values {
                let inf = value.name.to_string().to_lowercase();
                match path.as_slice() {
                    [class] if value.kind == ValueType::NONE => {
                        classes.entry(inf).or_default().push((class.clone(), value.clone()));
                    }
                    _ => ids.entry(inf).or_default().push((path.clone(), value.clone())),
                }
            }
        }
        for (_, record) in packages(&database) {
            let inf = record.published.clone().unwrap().to_lowercase();
            let ids = ids.get(&inf).map(Vec::as_slice).unwrap_or_default();
            record_values(&mut table, &record, name);
            inf_values(&mut table, &record, &database);
            let class = classes.get(&inf).map(Vec::as_slice).unwrap_or_default();
            class_value(&mut table, &record, class);
            id_values(&mut table, &record, ids);
        }
    }
    table.print();
    assert_eq!(table.contradictions, Vec::<String>::new());
    let omitted: Vec<(&str, &str)> = table.omitted.keys().copied().collect();
    assert_eq!(
        omitted,
        [
            ("DeviceIds: compatible ID's place", NO_INF),
            ("DeviceIds: feature score", NO_INF),
            ("DeviceIds: hardware or compatible", NO_INF),
            ("DeviceIds: path", NO_INF),
            ("DeviceIds: path", NOT_BOUND),
            ("DriverInfFiles: Configurations", NOT_BOUND),
            ("DriverPackages: OemPath, SignerName, ImportDate", AT_IMPORT),
            ("DriverPackages: SignerScore", AT_IMPORT),
            ("DriverPackages: StatusFlags 0x100", OLD),
            ("DriverPackages: StatusFlags 0x100", NO_INF),
            ("DriverPackages: StatusFlags, other bits", NO_INF),
            ("DriverPackages: Version, date and version", NO_INF),
            ("DriverPackages: Version, flags", NOT_KNOWN),
            ("DriverPackages: hash in the name", HASH),
        ]
    );
}

/// `DriverPackages\<package>`.
fn record_values(table: &mut Table, record: &PackageRecord, database: &str) {
    let name = record.name.to_string();
    // <inf>_<architecture>_<hash>
    let mut parts = name.rsplitn(3, '_');
    let (_hash, architecture, inf) =
        (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap());
    table.add("DriverPackages: hash in the name", &name, Fate::Omitted(HASH));
    let mut predicted = record.version;
    predicted.inbox = record.inf_name.is_none();
    predicted.active = true;
    predicted.architecture = match architecture {
        "x86" => 0,
        "amd64" => 9,
        _ => panic!("{name}"),
    };
    table.compare(
        "DriverPackages: Version, inbox active processor",
        &name,
        predicted.encode() == record.version.encode(),
    );
    let day = 24 * 60 * 60 * 10_000_000;
    table.compare(
        "DriverPackages: Version, midnight",
        &name,
        record.version.date.0.is_multiple_of(day),
    );
    table.add("DriverPackages: Version, date and version", &name, Fate::Omitted(NO_INF));
    let known = record.version.flags == 0;
    let fate = if known { Fate::Exact } else { Fate::Omitted(NOT_KNOWN) };
    table.add("DriverPackages: Version, flags", &name, fate);
    let original = record.inf_name.as_ref().or(record.published.as_ref()).unwrap();
    let same = original.to_lowercase() == inf;
    table.compare("DriverPackages: name from the INF's", &name, same);
    let published = record.published.as_ref().unwrap();
    let oem = oem_number(published).is_some();
    table.compare(
        "DriverPackages: published as oemN or itself",
        &name,
        oem != record.version.inbox,
    );
    if !record.version.inbox {
        let kind = "DriverPackages: OemPath, SignerName, ImportDate";
        table.add(kind, &name, Fate::Omitted(AT_IMPORT));
    }
    let inbox_score = record.signer_score == Some(0x0d00_0003);
    let kind = "DriverPackages: SignerScore";
    if record.version.inbox {
        table.compare(kind, &name, inbox_score);
    } else {
        table.add(kind, &name, Fate::Omitted(AT_IMPORT));
    }
    let flags = record.status_flags.unwrap_or(0);
    let kind = "DriverPackages: StatusFlags 0x100";
    match &record.configurations {
        _ if database == "win81_9600" => table.add(kind, &name, Fate::Omitted(OLD)),
        None => table.add(kind, &name, Fate::Omitted(NO_INF)),
        Some(all) => {
            let includes = all.iter().any(|one| one.included_infs.is_some());
            table.compare(kind, &name, includes == (flags & StatusFlags::INCLUDES != 0));
        }
    }
    let kind = "DriverPackages: StatusFlags, other bits";
    table.add(kind, &name, Fate::Omitted(NO_INF));
    table.compare("DriverPackages: no StatusFlags for 0", &name, record.status_flags != Some(0));
    let in_store = flags & (StatusFlags::PAYLOAD | StatusFlags::COPIES) == StatusFlags::PAYLOAD;
    table.compare(
        "DriverPackages: LockLevel of StatusFlags",
        &name,
        (record.lock_level == Some(2)) == in_store,
    );
}

/// `DriverInfFiles\<inf>`.
fn inf_values(table: &mut Table, record: &PackageRecord, database: &KeyTree) {
    let name = record.name.to_string();
    let published = Name::from(record.published.as_ref().unwrap().as_str());
    let written = database.at("DriverInfFiles").unwrap().key(&published).unwrap();
    let predicted = InfFileRecord::of_packages(std::slice::from_ref(record)).unwrap().encode();
    let same = |value: &str| predicted.value(value) == written.value(value);
    table.compare("DriverInfFiles: packages", &name, same(""));
    table.compare("DriverInfFiles: Active", &name, same("Active"));
    let sorted = |tree: &KeyTree| {
        let mut list = tree.value("Configurations").and_then(Value::as_multi_text);
        list.iter_mut().for_each(|list| list.sort_by_key(|name| name.to_lowercase()));
        list
    };
    let fate = if same("Configurations") {
        Fate::Exact
    } else if record.configurations.is_none() && !record.version.inbox {
        Fate::Omitted(NOT_BOUND)
    } else if sorted(&predicted) == sorted(written) {
        // The order is the INF's; the hive sorts keys by name.
        Fate::Equivalent
    } else {
        Fate::Contradicts
    };
    table.add("DriverInfFiles: Configurations", &name, fate);
}

fn class_value(table: &mut Table, record: &PackageRecord, written: &[(Name, Value)]) {
    let predicted = class_entry(record.version.class, record.published.as_ref().unwrap());
    let name = record.name.to_string();
    table.compare("DeviceIds: class", &name, *written == [predicted]);
}

/// `DeviceIds\<id>`.
fn id_values(table: &mut Table, record: &PackageRecord, written: &[(Vec<Name>, Value)]) {
    let name = record.name.to_string();
    let upper = |path: &[Name]| -> Vec<Name> { path.iter().map(Name::to_upcase).collect() };
    let descriptors: Option<BTreeSet<Vec<Name>>> =
        record.descriptors.as_ref().map(|all| all.iter().map(|one| upper(&one.path)).collect());
    let online = !record.version.inbox;
    for (path, value) in written {
        let item = format!("{name} {path:?}");
        let fate = match &descriptors {
            None => Fate::Omitted(NO_INF),
            Some(all) if all.contains(&upper(path)) => Fate::Exact,
            Some(_) if online => Fate::Omitted(NOT_BOUND),
            Some(_) => Fate::Contradicts,
        };
        table.add("DeviceIds: path", &item, fate);
        let id = DeviceId::decode(path, value).unwrap();
        // A round trip of the four parts; what Windows chose them from is judged below.
        let same = id.path() == *path && id.encode() == value.data.as_slice();
        let published = record.published.as_ref().unwrap();
        let fate = match same {
            true if value.name.is(published) => Fate::Exact,
            _ => Fate::Contradicts,
        };
        table.add("DeviceIds: four parts, there and back", &item, fate);
        let extension = record.version.class == EXTENSION_CLASS;
        table.compare(
            "DeviceIds: kind 3 for extensions alone",
            &item,
            extension == (id.kind == IdKind::Extension),
        );
        if !extension {
            let kind = "DeviceIds: hardware or compatible";
            table.add(kind, &item, Fate::Omitted(NO_INF));
        }
        match id.kind {
            IdKind::Compatible => {
                table.add("DeviceIds: compatible ID's place", &item, Fate::Omitted(NO_INF));
            }
            _ => table.compare("DeviceIds: place 0 for hardware IDs", &item, id.index == 0),
        }
        let default = id.feature_score == 0xff;
        let fate = if default { Fate::Exact } else { Fate::Omitted(NO_INF) };
        table.add("DeviceIds: feature score", &item, fate);
    }
    let written: BTreeSet<Vec<Name>> = written.iter().map(|(path, _)| upper(path)).collect();
    for path in descriptors.iter().flatten() {
        table.compare("DeviceIds: a value per descriptor", &name, written.contains(path));
    }
}

#[test]
fn the_invariants_hold_but_for_packages_added_online() {
    let mut found = Vec::new();
    for name in DATABASES {
        let Some(database) = database(name) else { return };
        let all = invariants::check(&database, &Surroundings::default());
        found.extend(all.into_iter().map(|one| {
            let package = one.item.split('_').next().unwrap().to_owned();
            (name, format!("{:?}", one.rule), package)
        }));
    }
    for one in &found {
        println!("{one:?}");
    }
    let rule = || "DescriptorsAreDeviceIds".to_owned();
    assert_eq!(
        found,
        [
            // Its INF names a token that it does not define, so there is no text for it.
            ("win81_9600", "TokenHasText".to_owned(), "pnpxinternetgatewaydevices.inf".to_owned()),
            ("win10_16299", rule(), "dellrbtn.inf".to_owned()),
            ("win10_16299", rule(), "heci.inf".to_owned()),
            ("win10_19041", rule(), "vmusbmouse.inf".to_owned()),
        ]
    );
}

/// A part of a hive.
fn hive_tree(hive: &Hive, key: KeyId) -> KeyTree {
    let below = |key: KeyId| (hive.key_name(key).unwrap(), hive_tree(hive, key));
    KeyTree {
        values: hive.values(key).unwrap(),
        keys: hive.subkeys(key).unwrap().into_iter().map(below).collect(),
    }
}

fn find(hive: &Hive, path: &str) -> Option<KeyId> {
    let names: Vec<Name> = path.split('\\').map(Name::from).collect();
    hive.find(hive.root(), &names).unwrap()
}

#[test]
fn classes_say_which_hive_their_packages_are_in() {
    let hives = [
        ("SYSTEM_win10_19041", &[][..], "win10_19041"),
        (
            "SYSTEM_win10_16299_dirty",
            &["SYSTEM_win10_16299_dirty.LOG1", "SYSTEM_win10_16299_dirty.LOG2"][..],
            "win10_16299",
        ),
    ];
    for (name, logs, json) in hives {
        let (Some(bytes), Some(json)) = (real_hive(name), database(json)) else { return };
        let logs: Vec<Vec<u8>> = logs.iter().filter_map(|log| real_hive(log)).collect();
        let logs: Vec<&[u8]> = logs.iter().map(Vec::as_slice).collect();
        let hive = Hive::recover(bytes, &logs, &Limits::default()).unwrap();
        let tree = hive_tree(&hive, find(&hive, "DriverDatabase").unwrap());
        let read = packages(&tree);
        println!("{name}: {} packages, the same as the JSON: {}", read.len(), tree == json);
        let with_packages: BTreeSet<_> =
            read.iter().map(|(_, record)| record.version.class).collect();
        let classes = find(&hive, r"ControlSet001\Control\Class").unwrap();
        let mut marked = BTreeSet::new();
        for key in hive.subkeys(classes).unwrap() {
            let class = hive.key_name(key).unwrap().to_string();
            let Some(guid) = transom::base::guid::Guid::parse(&class) else { continue };
            let property = format!(r"ControlSet001\Control\Class\{class}\{BOOT_CRITICAL_PROPERTY}");
            let Some(property) = find(&hive, &property) else { continue };
            let value = hive.value(property, &"".into()).unwrap();
            if value.is_some_and(|value| value.data == [0xff]) {
                marked.insert(guid);
                assert_eq!(DatabaseHive::of_class(guid, true), DatabaseHive::System);
            }
        }
        marked.insert(EXTENSION_CLASS);
        let unmarked: Vec<String> =
            with_packages.difference(&marked).map(ToString::to_string).collect();
        let empty: Vec<String> =
            marked.difference(&with_packages).map(ToString::to_string).collect();
        println!("{} classes; unmarked {unmarked:?}; without packages {empty:?}", marked.len());
        assert_eq!(unmarked, Vec::<String>::new(), "{name}");
        let services = find(&hive, r"ControlSet001\Services").unwrap();
        let services: BTreeSet<String> = hive
            .subkeys(services)
            .unwrap()
            .into_iter()
            .map(|key| hive.key_name(key).unwrap().to_string().to_lowercase())
            .collect();
        let around = Surroundings { services: Some(services), oem_infs: None };
        let found = invariants::check(&tree, &around);
        let missing = found.iter().filter(|one| one.rule == invariants::Rule::ServiceExists);
        let missing: Vec<_> = missing.collect();
        assert_eq!(missing, Vec::<&invariants::Violation>::new(), "{name}");
    }
}

#[test]
fn a_real_hive_in_an_image_is_listed_and_takes_a_package() {
    let Some(bytes) = real_hive("SYSTEM_win10_19041") else { return };
    let mut image = Image::empty(FileTime(1));
    image.put_bytes(&path(r"\Windows\System32\config\SYSTEM"), bytes, &NewNode::default()).unwrap();
    let drivers = inventory::list(&mut image).unwrap();
    let third: Vec<_> = drivers.iter().filter(|driver| !driver.inbox).collect();
    let names: Vec<&str> = third.iter().map(|driver| driver.published.as_str()).collect();
    assert_eq!(drivers.len(), 239);
    assert_eq!(names, ["oem2.inf", "oem3.inf", "oem5.inf", "oem6.inf", "oem7.inf"]);
    let vmci = third[0];
    assert_eq!(vmci.original, "vmci.inf");
    assert_eq!(vmci.class.as_deref(), Some("System"));
    assert_eq!(vmci.services, ["vmci"]);
    assert_eq!((vmci.ids.len(), vmci.boot_critical, vmci.active), (3, true, true));
    assert_eq!(vmci.signer.as_deref(), Some("Microsoft Windows Hardware Compatibility Publisher"));

    // Every number of its OemInfMap has its file; those of DRIVERS are not here, their files are.
    for number in 0..9 {
        let file = path(&format!(r"\Windows\INF\oem{number}.inf"));
        image.put_bytes(&file, Vec::new(), &NewNode::default()).unwrap();
    }
    let before = invariants::check_image(&mut image).unwrap();
    assert_eq!(before.len(), 1, "{before:?}");
    let root = DatabaseHive::System.root();
    let tree = driver_database::read(&mut image, &root).unwrap().unwrap();
    let (_, mut record) = packages(&tree)
        .into_iter()
        .find(|(_, record)| record.name.to_string().starts_with("stornvme.inf"))
        .unwrap();
    record.name = "stornvme.inf_amd64_0000000000000001".into();
    record.published = Some("oem9.inf".into());
    record.version.inbox = false;
    let id = DeviceId {
        id: r"PCI\CC_010802".into(),
        kind: IdKind::Hardware,
        feature_score: 0xff,
        index: 0,
    };
    let mut added = additions(&record, &[id]);
    let mut map = OemInfMap::decode(&tree.value("OemInfMap").unwrap().data);
    assert_eq!(map.lowest_free(), Some(9));
    map.0.insert(9);
    added.set(map.value());
    driver_database::write(&mut image, &root, &added).unwrap();
    let file = path(r"\Windows\INF\oem9.inf");
    image.put_bytes(&file, Vec::new(), &NewNode::default()).unwrap();
    assert_eq!(invariants::check_image(&mut image).unwrap(), before);
    let drivers = inventory::list(&mut image).unwrap();
    assert_eq!((drivers.len(), drivers[5].published.as_str()), (240, "oem9.inf"));
    let tree = driver_database::read(&mut image, &root).unwrap().unwrap();
    let written = tree.at("DriverPackages").unwrap().key(&record.name).unwrap();
    assert!(*written == record.encode());
}

#[test]
fn records_of_real_infs_are_sound() {
    let Some((root, files)) = corpus() else { return };
    let (mut made, mut told) = (0, BTreeMap::<String, u32>::new());
    for path in files {
        let bytes = fs_err::read(&path).unwrap();
        let Ok(inf) = Inf::parse(&stamp(&bytes, InfArchitecture::Amd64)) else { continue };
        let Ok(inf) = resolve(&inf, &target(InfArchitecture::Amd64), &NoIncludes) else { continue };
        if inf.models.is_empty() {
            continue;
        }
        for boot_critical in [false, true] {
            let package = "x.inf_amd64_0123456789abcdef".to_owned();
            let facts = NewPackage {
                oem_path: NewPackage::store_path(&package),
                package,
                published: "oem0.inf".into(),
                inf_name: "x.inf".into(),
                architecture: InfArchitecture::Amd64,
                signer_name: None,
                signer_score: 0x8000_0000,
                import_date: FileTime(1),
                submission_id: None,
                file_size: 1,
                boot_critical,
            };
            let record = PackageRecord::from_inf(&inf, &facts);
            // The order of descriptors is the hive's, so the keys are compared.
            let back = PackageRecord::decode(&record.name, &record.encode()).unwrap();
            assert!(back.encode() == record.encode(), "{}", path.display());
            let mut tree = additions(&record, &device_ids(&inf));
            tree.set(OemInfMap([0].into()).value());
            for one in invariants::check(&tree, &Surroundings::default()) {
                let file = path.strip_prefix(&root).unwrap().display();
                *told.entry(format!("{file}: {:?} {}", one.rule, one.what)).or_default() += 1;
            }
            made += 1;
        }
    }
    println!("{made} records");
    assert_eq!(told, BTreeMap::new());
    assert!(made > 300);
}
