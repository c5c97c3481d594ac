//! Driver packages put into an image and taken out again: what is written where, what is recognised, what is refused.

use std::sync::Arc;

use transom::{
    base::{limits::Limits, name::Name, read_at::FileSource},
    cli::demo,
    format::{hive::Value, wim::Wim},
    image::{HiveId, Image, NewNode, NodeId, RegistryPath},
    servicing::{
        InputId, Operation, Prepared, Problem, ServicingError, WhenNotNative,
        drivers::{
            DriverAction, DriverChoice, DriverSpec,
            database::{DatabaseHive, KeyTree, read},
            invariants, inventory,
        },
    },
};

use crate::{
    driver_fixture::{FILES, NETWORK_INF, STORAGE_INF, inputs, inputs_with, inputs_without},
    image_fixture::{MemoryInputs, MemoryStore, path},
    support,
};

/// The demo's image.
struct Bench {
    image: Image,
    store: Arc<MemoryStore>,
    _folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let folder = support::temporary_folder();
        let place = folder.path().join("base.wim");
        demo::write_base(&place, &demo::BaseSettings::default()).unwrap();
        let wim = Arc::new(
            Wim::open(Arc::new(FileSource::open(&place).unwrap()), &Limits::default()).unwrap(),
        );
        let mut image = Image::open(wim, 1, &Limits::default()).unwrap();
        let store = Arc::new(MemoryStore::default());
        image.set_stored_content(store.clone());
        Self { image, store, _folder: folder }
    }

    fn prepare(
        &self,
        operation: &Operation,
        inputs: &MemoryInputs,
    ) -> Result<Prepared, ServicingError> {
        let prepared = operation.prepare(inputs, self.store.as_ref())?;
        let text = serde_json::to_vec(&prepared).unwrap();
        Ok(serde_json::from_slice(&text).unwrap())
    }

    /// Applies and gives the number of changes.
    fn run(
        &mut self,
        operation: &Operation,
        inputs: &MemoryInputs,
    ) -> Result<usize, ServicingError> {
        let prepared = self.prepare(operation, inputs)?;
        self.image.begin_step();
        operation.apply(&prepared, &mut self.image)?;
        Ok(self.image.end_step().0.len())
    }

    /// What is said at plan time.
    fn problems(&mut self, operation: &Operation, inputs: &MemoryInputs) -> Vec<Problem> {
        let facts = self.image.facts();
        let mut problems = operation.check_image(&mut self.image, &facts);
        match self.prepare(operation, inputs) {
            Ok(prepared) => {
                problems.extend(operation.check_prepared(&prepared, &mut self.image, &facts));
            }
            Err(error) => problems.push(error.into_problem()),
        }
        problems
    }

    fn registry(&mut self, key: &str) -> Option<KeyTree> {
        read(&mut self.image, &RegistryPath::parse(key).unwrap()).unwrap()
    }

    fn data(&mut self, key: &str, name: &str) -> Option<Vec<u8>> {
        let value =
            self.image.registry_value(&RegistryPath::parse(key).unwrap(), &Name::from(name));
        value.unwrap().map(|value| value.data)
    }

    fn text(&mut self, key: &str, name: &str) -> Option<String> {
        let value =
            self.image.registry_value(&RegistryPath::parse(key).unwrap(), &Name::from(name));
        value.unwrap().and_then(|value| value.as_text())
    }

    /// Every file with the digest of its content, hives left out, and every key of the hives.
    fn state(&mut self) -> (Vec<String>, Vec<Option<KeyTree>>) {
        let tree = self.image.tree();
        let shown = |id: NodeId| {
            let inode = tree.inode(id);
            format!("{} {:x} {}", tree.path_of(id), inode.attributes, inode.data().sha1)
        };
        let mut files: Vec<String> =
            tree.walk().map(shown).filter(|line| !line.contains(r"\config\")).collect();
        files.sort();
        let hives = [HiveId::System, HiveId::Software, HiveId::Drivers];
        let keys = hives
            .map(|hive| read(&mut self.image, &RegistryPath::from_keys(hive, Vec::new())).unwrap());
        (files, keys.to_vec())
    }

    fn violations(&mut self) -> Vec<String> {
        let found = invariants::check_image(&mut self.image).unwrap();
        found.iter().map(|violation| format!("{violation:?}")).collect()
    }
}

fn present(when_not_native: WhenNotNative) -> Operation {
    Operation::Driver(DriverSpec {
        name: "all".to_owned(),
        action: DriverAction::Present {
            source: InputId("drivers".to_owned()),
            inf: None,
            allow_unsigned: true,
            when_not_native,
        },
    })
}

fn add() -> Operation {
    present(WhenNotNative::Refuse)
}

fn remove(choice: DriverChoice) -> Operation {
    Operation::Driver(DriverSpec { name: "old".to_owned(), action: DriverAction::Absent(choice) })
}

fn errors(problems: &[Problem]) -> Vec<String> {
    problems
        .iter()
        .filter(|problem| !problem.warning)
        .map(|problem| format!("{}: {}; {}", problem.item, problem.cause, problem.help))
        .collect()
}

#[test]
fn a_boot_critical_package_is_ready_for_the_boot_and_another_one_is_imported() {
    let mut bench = Bench::new();
    assert_eq!(errors(&bench.problems(&add(), &inputs())), [""; 0]);
    bench.run(&add(), &inputs()).unwrap();
    assert_eq!(bench.violations(), [""; 0]);

    // The folder's INFs in the order of their paths: network, storage.
    let installed = inventory::list(&mut bench.image).unwrap();
    let rows: Vec<_> = installed
        .iter()
        .filter(|driver| !driver.inbox)
        .map(|driver| (driver.published.as_str(), driver.original.as_str(), driver.hive))
        .collect();
    assert_eq!(
        rows,
        [
            ("oem1.inf", "teststor.inf", DatabaseHive::System),
            ("oem0.inf", "testnet.inf", DatabaseHive::Drivers),
        ]
    );
    assert_eq!(bench.data(r"HKLM\SYSTEM\DriverDatabase", "OemInfMap").unwrap(), [0xc0]);

    // Store, published INF, the driver itself; what no INF mentions and what is for another machine stays out.
    let store = r"\Windows\System32\DriverStore\FileRepository";
    let packages: Vec<String> = {
        let tree = bench.image.tree();
        let folder = tree.lookup(&path(store)).unwrap();
        tree.sorted_children(folder).iter().map(|id| tree.node(*id).name.to_string()).collect()
    };
    let storage = packages.iter().find(|name| name.starts_with("teststor.inf_amd64_")).unwrap();
    let network = packages.iter().find(|name| name.starts_with("testnet.inf_amd64_")).unwrap();
    assert_eq!(storage.rsplit('_').next().unwrap().len(), 16);
    let read = |path: String| bench.image.read(&crate::image_fixture::path(&path)).unwrap();
    assert_eq!(
        read(format!(r"{store}\{storage}\amd64\teststor.sys")),
        b"the driver of the storage controller"
    );
    assert_eq!(
        read(r"\Windows\System32\drivers\teststor.sys".into()),
        b"the driver of the storage controller"
    );
    assert_eq!(read(format!(r"{store}\{network}\testnet.sys")), b"the driver of the network card");
    assert_eq!(read(r"\Windows\INF\oem1.inf".into()), STORAGE_INF.as_bytes());
    assert_eq!(read(r"\Windows\INF\oem0.inf".into()), NETWORK_INF.as_bytes());
    let lookup = |path: String| bench.image.tree().lookup(&crate::image_fixture::path(&path));
    assert!(lookup(format!(r"{store}\{storage}\arm64")).is_none());
    assert!(lookup(format!(r"{store}\{storage}\setup.exe")).is_none());
    assert!(lookup(r"\Windows\System32\drivers\testnet.sys".into()).is_none());

    // The service starts with the boot loader and has its parameters and owner.
    let service = r"HKLM\SYSTEM\CurrentControlSet\Services\teststor";
    assert_eq!(bench.data(service, "Start").unwrap(), [0, 0, 0, 0]);
    assert_eq!(bench.text(service, "ImagePath").unwrap(), r"System32\drivers\teststor.sys");
    assert_eq!(bench.text(service, "Group").unwrap(), "SCSI miniport");
    assert_eq!(
        bench.text(service, "DisplayName").unwrap(),
        "@oem1.inf,%Service%;Test storage service"
    );
    assert_eq!(
        bench.data(&format!(r"{service}\Parameters"), "IoTimeoutValue").unwrap(),
        [90, 0, 0, 0]
    );
    let owners = RegistryPath::parse(service).unwrap();
    let owners = bench.image.registry_value(&owners, &"Owners".into()).unwrap().unwrap();
    assert_eq!(owners.as_multi_text().unwrap(), ["oem1.inf"]);
    assert!(bench.registry(r"HKLM\SYSTEM\CurrentControlSet\Services\testnet").is_none());
    assert!(
        bench
            .text(
                r"HKLM\SYSTEM\CurrentControlSet\Services\EventLog\System\teststor",
                "EventMessageFile"
            )
            .unwrap()
            .contains("IoLogMsg.dll")
    );

    // IDs: kind, feature score, place.
    let ids = r"HKLM\SYSTEM\DriverDatabase\DeviceIds\PCI";
    let id = |last: &str| format!(r"{ids}\{last}");
    assert_eq!(
        bench.data(&id("VEN_5452&DEV_1001&SUBSYS_00025452"), "oem1.inf").unwrap(),
        [1, 0xf9, 0, 0]
    );
    assert_eq!(bench.data(&id("VEN_5452&DEV_1001"), "oem1.inf").unwrap(), [2, 0xf9, 0, 0]);
    assert_eq!(
        bench
            .data(r"HKLM\DRIVERS\DriverDatabase\DeviceIds\PCI\VEN_5452&DEV_2001", "oem0.inf")
            .unwrap(),
        [1, 0xff, 0, 0]
    );
    let record =
        bench.registry(&format!(r"HKLM\SYSTEM\DriverDatabase\DriverPackages\{storage}")).unwrap();
    let configuration = record.at(r"Configurations\Stor_Inst.NT").unwrap();
    assert!(
        configuration.at(r"Device\Interrupt Management").unwrap().value("0x00000010").is_some()
    );
    assert_eq!(
        bench
            .registry(&format!(r"HKLM\DRIVERS\DriverDatabase\DriverPackages\{network}"))
            .unwrap()
            .keys
            .len(),
        0,
        "Windows configures it from its INF"
    );
    let lockdown = r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Setup\PnpLockdownFiles\%SystemRoot%/System32/drivers/teststor.sys";
    assert_eq!(bench.data(lockdown, "Class").unwrap(), [4, 0, 0, 0]);
}

#[test]
fn the_same_package_is_recognised_and_another_version_lies_beside_it() {
    let mut bench = Bench::new();
    assert!(bench.run(&add(), &inputs()).unwrap() > 0);
    assert_eq!(bench.run(&add(), &inputs()).unwrap(), 0, "it is there already");

    let newer = STORAGE_INF.replace("1.2.3.4", "1.2.4.0");
    bench.run(&add(), &inputs_with("storage/teststor.inf", &newer)).unwrap();
    let installed = inventory::list(&mut bench.image).unwrap();
    let versions: Vec<_> = installed
        .iter()
        .filter(|driver| driver.original == "teststor.inf")
        .map(|driver| (driver.published.as_str(), driver.version.as_str()))
        .collect();
    assert_eq!(versions, [("oem1.inf", "1.2.3.4"), ("oem2.inf", "1.2.4.0")]);
    let owners = RegistryPath::parse(r"HKLM\SYSTEM\CurrentControlSet\Services\teststor").unwrap();
    let owners = bench.image.registry_value(&owners, &"Owners".into()).unwrap().unwrap();
    assert_eq!(owners.as_multi_text().unwrap(), ["oem2.inf", "oem1.inf"], "the new owner in front");
    assert_eq!(bench.violations(), [""; 0]);
}

#[test]
fn adding_and_removing_gives_back_the_image() {
    let mut bench = Bench::new();
    // Folders and keys that stay, as Windows leaves them too.
    bench.run(&add(), &inputs()).unwrap();
    for published in ["oem0.inf", "oem1.inf"] {
        bench
            .run(&remove(DriverChoice::Published(published.into())), &MemoryInputs::default())
            .unwrap();
    }
    let before = bench.state();
    let mut fresh = Bench::new();
    let pristine = fresh.state();

    let gone: Vec<_> = pristine.0.iter().filter(|line| !before.0.contains(line)).collect();
    assert_eq!(gone, [""; 0], "nothing of the image went");
    let left: Vec<_> = before.0.iter().filter(|line| !pristine.0.contains(line)).collect();
    for line in &left {
        assert!(
            line.contains(r"\DriverStore") || line.contains(r"\CatRoot") || line.contains(r"\INF "),
            "only folders stay: {line}"
        );
    }
    assert_eq!(bench.violations(), [""; 0]);

    // The second time not even those differ.
    bench.run(&add(), &inputs()).unwrap();
    let choice =
        |inf: &str| DriverChoice::Original { provider: "transom tests".into(), inf: inf.into() };
    for inf in ["TestNet.inf", "teststor.inf"] {
        bench.run(&remove(choice(inf)), &MemoryInputs::default()).unwrap();
    }
    let after = bench.state();
    assert_eq!(before.0, after.0);
    assert!(before.1 == after.1, "the hives are as before");
}

#[test]
fn gaps_in_the_numbers_are_used_again() {
    let mut bench = Bench::new();
    bench.run(&add(), &inputs()).unwrap();
    bench
        .run(&remove(DriverChoice::Published("oem0.inf".into())), &MemoryInputs::default())
        .unwrap();
    assert_eq!(bench.data(r"HKLM\SYSTEM\DriverDatabase", "OemInfMap").unwrap(), [0x40]);
    bench.run(&add(), &inputs()).unwrap();
    assert_eq!(bench.data(r"HKLM\SYSTEM\DriverDatabase", "OemInfMap").unwrap(), [0xc0]);
    let installed = inventory::list(&mut bench.image).unwrap();
    assert!(
        installed
            .iter()
            .any(|driver| driver.published == "oem0.inf" && driver.original == "testnet.inf")
    );
}

#[test]
fn removing_the_older_of_two_owners_leaves_the_service_and_the_newer_is_not_removed_alone() {
    let mut bench = Bench::new();
    bench.run(&add(), &inputs()).unwrap();
    let newer = STORAGE_INF.replace("1.2.3.4", "1.2.4.0");
    bench.run(&add(), &inputs_with("storage/teststor.inf", &newer)).unwrap();

    let none = MemoryInputs::default();
    let newest = remove(DriverChoice::Published("oem2.inf".into()));
    let found = errors(&bench.problems(&newest, &none));
    assert!(found[0].contains("teststor is shared with oem1.inf"), "{found:?}");
    assert!(bench.run(&newest, &none).is_err());

    bench.run(&remove(DriverChoice::Published("oem1.inf".into())), &none).unwrap();
    assert!(bench.registry(r"HKLM\SYSTEM\CurrentControlSet\Services\teststor").is_some());
    assert!(bench.image.tree().lookup(&path(r"\Windows\System32\drivers\teststor.sys")).is_some());
    assert_eq!(bench.violations(), [""; 0]);

    // All versions of a name go together.
    bench.run(&add(), &inputs()).unwrap();
    let all =
        DriverChoice::Original { provider: "Transom Tests".into(), inf: "teststor.inf".into() };
    bench.run(&remove(all), &none).unwrap();
    assert!(bench.registry(r"HKLM\SYSTEM\CurrentControlSet\Services\teststor").is_none());
    assert!(
        bench
            .registry(r"HKLM\SYSTEM\CurrentControlSet\Services\EventLog\System\teststor")
            .is_none()
    );
}

#[test]
fn what_the_image_had_before_does_not_go_with_the_package() {
    let mut bench = Bench::new();
    let service = RegistryPath::parse(r"HKLM\SYSTEM\CurrentControlSet\Services\teststor").unwrap();
    bench.image.set_value(&service, &Value::dword("Start", 4)).unwrap();
    let file = path(r"\Windows\System32\drivers\teststor.sys");
    bench.image.put_bytes(&file, b"older".to_vec(), &NewNode::default()).unwrap();
    let keep = STORAGE_INF.replace("teststor, 0x00000002,", "teststor, 0x00000012,");
    bench.run(&add(), &inputs_with("storage/teststor.inf", &keep)).unwrap();
    assert_eq!(
        bench.data(service.text(), "Start").unwrap(),
        [4, 0, 0, 0],
        "the INF says that an existing start stays"
    );
    bench
        .run(&remove(DriverChoice::Published("oem1.inf".into())), &MemoryInputs::default())
        .unwrap();
    assert!(bench.registry(service.text()).is_some(), "nobody said that it is the driver's");
    assert!(bench.image.tree().lookup(&file).is_some());
}

#[test]
fn files_named_by_tokens_are_found() {
    let mut bench = Bench::new();
    let tokens = STORAGE_INF
        .replace("@teststor.sys", "@%Base%.sys")
        .replace("\nteststor.sys = 1,\\amd64", "\n%Base%.sys = 1,\\amd64")
        .replace("[Strings]", "[Strings]\r\nBase = \"TestStor\"");
    assert!(tokens.matches("%Base%").count() == 2);
    let inputs = inputs_with("storage/teststor.inf", &tokens);
    assert_eq!(errors(&bench.problems(&add(), &inputs)), [""; 0]);
    bench.run(&add(), &inputs).unwrap();
    assert!(bench.image.tree().lookup(&path(r"\Windows\System32\drivers\teststor.sys")).is_some());
}

#[test]
fn what_no_driver_may_do_is_refused_before_anything_is_done() {
    let mut bench = Bench::new();
    let mut refused = |text: &str, file: &str, what: &str| {
        let found = errors(&bench.problems(&add(), &inputs_with(file, text)));
        assert!(found.iter().any(|text| text.contains(what)), "{what}: {found:?}");
        let before = bench.state();
        assert!(bench.run(&add(), &inputs_with(file, text)).is_err());
        assert!(before == bench.state(), "nothing is done: {what}");
    };
    let storage = "storage/teststor.inf";
    let config = STORAGE_INF.replace("DefaultDestDir = 12", "DefaultDestDir = 11,config");
    refused(&config, storage, "a place of the system's own: system32\\config\\teststor.sys");
    let root = STORAGE_INF.replace(
        "[Stor_Inst.NT]",
        "[Stor_Inst.NT]\r\nDelReg = Bad\r\n[Bad]\r\nHKLM,SYSTEM\\CurrentControlSet\r\n[Stor_Inst.NT]",
    );
    refused(&root, storage, "a registry line that an image cannot take");
    let printer =
        NETWORK_INF.replace("4D36E972", "4D36E979").replace("Class = Net", "Class = Printer");
    refused(&printer, "network/testnet.inf", "printer");
    let no_section = "it names the section [Nowhere], which is not in it";
    let no_file = "the service teststor runs `teststor.sys`, which neither";
    for (from, to, what) in [
        ("CopyFiles = @teststor.sys", "CopyFiles = Nowhere", no_section),
        ("CopyFiles = @teststor.sys", "", no_file),
        ("AddService = teststor,", "AddService = a\\b,", "a service called a\\b"),
    ] {
        refused(&STORAGE_INF.replace(from, to), storage, what);
    }
    let inbox = STORAGE_INF
        .replace("[Stor_Inst.NT]", "[Stor_Inst.NT]\r\nInclude = machine.inf")
        .replace("@teststor.sys", "@boot.sys");
    let found = errors(&bench.problems(&add(), &inputs_with(storage, &inbox)));
    assert!(found[0].contains("machine.inf") && found[1].contains("boot.sys"), "{found:?}");
}

#[test]
fn an_inf_that_is_no_driver_does_not_stop_the_drivers_beside_it() {
    let mut bench = Bench::new();
    let mut files = FILES.to_vec();
    files.push(("autorun.inf", "[autorun]\r\nopen=setup.exe\r\n"));
    let inputs = MemoryInputs::folder("drivers", &files);
    let found = bench.problems(&add(), &inputs);
    assert_eq!(errors(&found), [""; 0]);
    assert!(
        found.iter().any(|problem| problem.item.starts_with("drivers/autorun.inf")),
        "{found:?}"
    );
    bench.run(&add(), &inputs).unwrap();
    let alone =
        MemoryInputs::folder("drivers", &[("autorun.inf", "[autorun]\r\nopen=setup.exe\r\n")]);
    assert_eq!(errors(&bench.problems(&add(), &alone)).len(), 1);
}

#[test]
fn what_is_not_complete_or_not_vouched_for_is_refused_with_its_line() {
    let mut bench = Bench::new();
    let found = errors(&bench.problems(&add(), &inputs_without("storage/amd64/teststor.sys")));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].starts_with("drivers/storage/teststor.inf:")
            && found[0].contains(r"it names `amd64\teststor.sys`, which the source does not have"),
        "{found:?}"
    );

    let strict = Operation::Driver(DriverSpec {
        name: "all".to_owned(),
        action: DriverAction::Present {
            source: InputId("drivers".to_owned()),
            inf: None,
            allow_unsigned: false,
            when_not_native: WhenNotNative::Refuse,
        },
    });
    let found = errors(&bench.problems(&strict, &inputs()));
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].contains("its catalog `testnet.cat` is not in the source"), "{found:?}");
    assert!(found[0].contains("unsigned = \"allow\""), "{found:?}");
    let before = bench.state();
    assert!(bench.run(&strict, &inputs()).is_err());
    assert_eq!(before.0, bench.state().0, "nothing half-done");

    let broken = STORAGE_INF.replace("[Version]", "[Version");
    let found = errors(&bench.problems(&add(), &inputs_with("storage/teststor.inf", &broken)));
    assert!(found.iter().any(|text| text.contains("teststor.inf:2")), "{found:?}");

    let other = STORAGE_INF.replace("NTamd64", "NTx86");
    let found = bench.problems(&add(), &inputs_with("storage/teststor.inf", &other));
    assert!(
        found.iter().any(|problem| problem.warning && problem.cause.contains("arm64, x86")
            || problem.cause.contains("x86, arm64")),
        "{found:?}"
    );
}

#[test]
fn what_cannot_be_done_natively_goes_the_way_that_the_recipe_says() {
    let mut bench = Bench::new();
    let coinstaller = format!(
        "{NETWORK_INF}\r\n[Net_Inst.CoInstallers]\r\nAddReg = Co_AddReg\r\n[Co_AddReg]\r\nHKR,,CoInstallers32,0x00010000,\"x.dll,Entry\"\r\n"
    );
    let inputs = inputs_with("network/testnet.inf", &coinstaller);
    let found = errors(&bench.problems(&add(), &inputs));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].contains("CoInstallers (line ") && found[0].contains("first-boot"),
        "{found:?}"
    );
    let found = errors(&bench.problems(&present(WhenNotNative::Dism), &inputs));
    assert!(found[0].contains("steps through DISM are not in this version"), "{found:?}");

    let deferred = present(WhenNotNative::FirstBoot);
    assert_eq!(errors(&bench.problems(&deferred, &inputs)), [""; 0]);
    bench.run(&deferred, &inputs).unwrap();
    let waiting = transom::servicing::first_boot::waiting(&bench.image).unwrap();
    assert_eq!(waiting, ["01-driver-all.cmd"]);
    let installed = inventory::list(&mut bench.image).unwrap();
    assert!(installed.iter().all(|driver| driver.original != "testnet.inf"));
    assert!(
        installed.iter().any(|driver| driver.original == "teststor.inf"),
        "the other one is native"
    );
    let command = bench.image.read(&path(r"\Windows\Setup\Scripts\SetupComplete.cmd")).unwrap();
    let command = String::from_utf8(command).unwrap();
    assert!(command.contains("01-driver-all.cmd"), "{command}");
    let script =
        bench.image.read(&path(r"\Windows\Setup\Scripts\transom\01-driver-all.cmd")).unwrap();
    let script = String::from_utf8(script).unwrap();
    assert!(script.contains(r#""%~dp0..\transom-drivers\all""#), "{script}");
    let waiting = bench.image.tree().lookup(&path(r"\Windows\Setup\Scripts\transom-drivers\all"));
    assert_eq!(bench.image.tree().children(waiting.unwrap()).len(), 1);
    assert_eq!(bench.run(&deferred, &inputs).unwrap(), 0, "twice is once");
}

#[test]
fn removing_what_is_not_there_is_said_and_done() {
    let mut bench = Bench::new();
    let operation = remove(DriverChoice::Published("oem7.inf".into()));
    let found = bench.problems(&operation, &MemoryInputs::default());
    assert!(found.len() == 1 && found[0].warning && found[0].cause.contains("nothing is removed"));
    assert_eq!(bench.run(&operation, &MemoryInputs::default()).unwrap(), 0);
}

#[test]
fn windows_7_gets_the_package_where_it_looks_for_drivers_and_the_boot_disk_is_bound() {
    let mut bench = Bench::new();
    let version =
        RegistryPath::parse(r"HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion").unwrap();
    for name in ["CurrentMajorVersionNumber", "CurrentMinorVersionNumber"] {
        bench.image.delete_value(&version, &name.into()).unwrap();
    }
    for (name, text) in
        [("CurrentVersion", "6.1"), ("CurrentBuild", "7601"), ("CurrentBuildNumber", "7601")]
    {
        bench.image.set_value(&version, &Value::sz(name, text)).unwrap();
    }
    bench.run(&add(), &inputs()).unwrap();
    let critical = r"HKLM\SYSTEM\CurrentControlSet\Control\CriticalDeviceDatabase";
    for id in ["pci#ven_5452&dev_1001", "pci#ven_5452&dev_1042"] {
        assert_eq!(bench.text(&format!(r"{critical}\{id}"), "Service").unwrap(), "teststor");
        assert_eq!(
            bench.text(&format!(r"{critical}\{id}"), "ClassGUID").unwrap(),
            "{4d36e97b-e325-11ce-bfc1-08002be10318}"
        );
    }
    assert!(
        bench.registry(&format!(r"{critical}\pci#ven_5452&dev_2001")).is_none(),
        "a network card is not critical"
    );
    assert!(bench.image.tree().lookup(&path(r"\Windows\System32\drivers\teststor.sys")).is_some());
    assert_eq!(
        bench.data(r"HKLM\SYSTEM\CurrentControlSet\Services\teststor", "Start").unwrap(),
        [0, 0, 0, 0]
    );
    let found =
        bench.text(r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion", "DevicePath").unwrap();
    assert!(
        found.starts_with(r"%SystemRoot%\inf;%SystemRoot%\Drivers\teststor.inf_amd64_"),
        "{found}"
    );
    // The network card's INF is for builds from 16299 on.
    assert!(!found.contains("testnet"), "{found}");
    assert!(
        inventory::list(&mut bench.image).unwrap().iter().all(|driver| driver.inbox),
        "no database is pretended"
    );
    assert_eq!(bench.run(&add(), &inputs()).unwrap(), 0, "twice is once");
}

#[test]
fn a_package_at_the_root_of_its_folder_and_one_inf_of_several() {
    let mut bench = Bench::new();
    let source = MemoryInputs::folder(
        "drivers",
        &[("testnet.inf", NETWORK_INF), ("testnet.sys", "card"), ("teststor.inf", STORAGE_INF)],
    );
    let only = |inf: &str| {
        Operation::Driver(DriverSpec {
            name: "one".to_owned(),
            action: DriverAction::Present {
                source: InputId("drivers".to_owned()),
                inf: Some(inf.to_owned()),
                allow_unsigned: true,
                when_not_native: WhenNotNative::Refuse,
            },
        })
    };
    bench.run(&only("TestNet.inf"), &source).unwrap();
    let installed = inventory::list(&mut bench.image).unwrap();
    let names: Vec<&str> = installed.iter().map(|driver| driver.original.as_str()).collect();
    assert_eq!(names, ["testnet.inf"]);
    let problems = errors(&bench.problems(&only("missing.inf"), &source));
    assert!(problems[0].starts_with("drivers/missing.inf: it does not exist"), "{problems:?}");
}

#[test]
fn what_is_odd_in_an_inf_is_told_with_its_line() {
    let bench = Bench::new();
    let odd = STORAGE_INF.replace("CopyFiles = @teststor.sys", "CopyFiles = Nowhere");
    let inputs = inputs_with("storage/teststor.inf", &odd);
    let prepared = bench.prepare(&add(), &inputs).unwrap();
    let found = add().defects(&prepared);
    // The source has two INFs, so it may be that this one is not meant.
    let line = odd.lines().position(|line| line.contains("Nowhere")).unwrap() + 1;
    let place = format!("drivers/storage/teststor.inf:{line}");
    assert!(
        found.iter().any(|problem| problem.item == place && problem.cause.contains("Nowhere")),
        "{found:?}"
    );
}

#[test]
fn an_exported_package_keeps_the_name_of_its_folder() {
    let mut bench = Bench::new();
    let source = MemoryInputs::folder(
        "drivers",
        &[
            ("testnet.inf_amd64_0123456789ABCDEF/testnet.inf", NETWORK_INF),
            ("testnet.inf_amd64_0123456789ABCDEF/testnet.sys", "card"),
        ],
    );
    bench.run(&add(), &source).unwrap();
    let installed = inventory::list(&mut bench.image).unwrap();
    assert_eq!(installed[0].package, "testnet.inf_amd64_0123456789abcdef");
}

#[test]
fn an_older_version_does_not_take_the_place_of_a_newer_one() {
    let mut bench = Bench::new();
    let newer = STORAGE_INF.replace("1.2.3.4", "1.2.4.0");
    bench.run(&add(), &inputs_with("storage/teststor.inf", &newer)).unwrap();
    let mut older = FILES.to_vec();
    for file in &mut older {
        if file.0 == "storage/amd64/teststor.sys" {
            file.1 = "the older driver";
        }
    }
    bench.run(&add(), &MemoryInputs::folder("drivers", &older)).unwrap();
    let file = bench.image.read(&path(r"\Windows\System32\drivers\teststor.sys")).unwrap();
    assert_eq!(file, b"the driver of the storage controller", "the newer one's");
    let owners = RegistryPath::parse(r"HKLM\SYSTEM\CurrentControlSet\Services\teststor").unwrap();
    let owners = bench.image.registry_value(&owners, &"Owners".into()).unwrap().unwrap();
    assert_eq!(owners.as_multi_text().unwrap(), ["oem1.inf", "oem2.inf"]);
    assert_eq!(bench.violations(), [""; 0]);
}

#[test]
fn the_same_inf_with_other_files_is_refused() {
    let mut bench = Bench::new();
    bench.run(&add(), &inputs()).unwrap();
    let other = inputs_with("network/testnet.sys", "something else");
    let error = bench.run(&add(), &other).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("the image has the same INF as oem0.inf, with another `testnet.sys`"),
        "{error}"
    );
}

#[test]
fn a_package_that_would_make_the_registry_endless_is_refused() {
    let mut bench = Bench::new();
    let deep = STORAGE_INF
        .replace("\"Parameters\\PnpInterface\"", &format!("\"{}\"", "a\\".repeat(100_000)));
    let found = errors(&bench.problems(&add(), &inputs_with("storage/teststor.inf", &deep)));
    assert!(found.iter().any(|text| text.contains("levels, more than the 250")), "{found:?}");
    let lines: String = (0..60_000).map(|number| format!("HKR,k{number},,0x10\r\n")).collect();
    let many = STORAGE_INF.replace("[Stor_Parameters]", &format!("[Stor_Parameters]\r\n{lines}"));
    let found = errors(&bench.problems(&add(), &inputs_with("storage/teststor.inf", &many)));
    assert!(
        found.iter().any(|text| text.contains("registry lines, more than the 20000 and 50000")),
        "{found:?}"
    );
}
