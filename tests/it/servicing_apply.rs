//! Operations on a small Windows-shaped image: what each does, that a second run does nothing, and what it refuses.

use transom::{
    base::name::Name,
    format::{
        hive::Value,
        security::{SecurityDescriptor, to_sddl},
    },
    image::{Image, RegistryPath},
    servicing::{
        InputId, Operation, Prepared, ServicingError,
        files::{FileAttribute, FilesAction, FilesSpec},
        first_boot::FirstBootSpec,
        registry::{FileSpec, KeyAction, KeySpec, ValueAction},
        services::{ServiceSpec, StartMode},
        unattend::UnattendSpec,
    },
};

use crate::{
    image_fixture::{MemoryInputs, MemoryStore, open, path, windows},
    support,
};

/// An image, and a store for what steps put into it.
struct Bench {
    image: Image,
    store: std::sync::Arc<MemoryStore>,
    _folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let folder = support::temporary_folder();
        let wim = windows(&folder.path().join("base.wim"));
        let store = std::sync::Arc::new(MemoryStore::default());
        let mut image = open(&wim);
        image.set_stored_content(store.clone());
        Self { image, store, _folder: folder }
    }

    /// Prepares, stores what was prepared as the pipeline does, applies; gives the number of changes.
    fn run(
        &mut self,
        operation: &Operation,
        inputs: &MemoryInputs,
    ) -> Result<usize, ServicingError> {
        let prepared = operation.prepare(inputs, self.store.as_ref())?;
        let text = serde_json::to_vec(&prepared).unwrap();
        let prepared: Prepared = serde_json::from_slice(&text).unwrap();
        self.image.begin_step();
        operation.apply(&prepared, &mut self.image)?;
        Ok(self.image.end_step().0.len())
    }

    /// Runs twice; the second time must change nothing.
    fn run_twice(&mut self, operation: &Operation, inputs: &MemoryInputs) -> usize {
        let facts = self.image.facts();
        let problems = operation.check_image(&mut self.image, &facts);
        assert!(problems.iter().all(|problem| problem.warning), "{problems:?}");
        let changes = self.run(operation, inputs).unwrap();
        assert_eq!(
            self.run(operation, inputs).unwrap(),
            0,
            "{} is not idempotent",
            operation.title()
        );
        changes
    }

    /// The refusal, which the look at the image must have foretold when the image is the reason.
    fn refusal(&mut self, operation: &Operation, inputs: &MemoryInputs) -> (String, String) {
        let error = self.run(operation, inputs).unwrap_err();
        (error.to_string(), error.help().to_owned())
    }

    fn foretold(&mut self, operation: &Operation) -> String {
        let facts = self.image.facts();
        let problems = operation.check_image(&mut self.image, &facts);
        assert_eq!(problems.len(), 1, "{problems:?}");
        let (error, help) = self.refusal(operation, &MemoryInputs::default());
        assert!(
            error.contains(&problems[0].cause) && help == problems[0].help,
            "{error} {problems:?}"
        );
        format!("{error}; {help}")
    }

    fn value(&mut self, key: &str, name: &str) -> Option<Value> {
        self.image.registry_value(&RegistryPath::parse(key).unwrap(), &Name::from(name)).unwrap()
    }

    fn text(&self, file: &str) -> Option<String> {
        self.image.read(&path(file)).ok().map(|bytes| String::from_utf8(bytes).unwrap())
    }

    fn names(&self, folder: &str) -> Vec<String> {
        let tree = self.image.tree();
        let id = tree.lookup(&path(folder)).unwrap();
        tree.sorted_children(id).iter().map(|&id| tree.node(id).name.to_string()).collect()
    }
}

fn service(name: &str, start: Option<StartMode>) -> ServiceSpec {
    ServiceSpec { name: name.into(), start, account: None, arguments: None }
}

fn files(to: &str, action: FilesAction) -> FilesSpec {
    FilesSpec { to: path(to), action, attributes: None, sddl: None }
}

fn from(input: &str, replace: bool) -> FilesAction {
    FilesAction::From { input: InputId(input.into()), replace }
}

const NOTHING: fn() -> MemoryInputs = MemoryInputs::default;

#[test]
fn registry_keys_take_their_values_and_go() {
    let mut bench = Bench::new();
    let key = |path: &str, action| {
        Operation::RegistryKey(KeySpec { path: RegistryPath::parse(path).unwrap(), action })
    };
    let set = |data: &[u8]| ValueAction::Set { kind: 4, data: data.to_vec() };
    let values = vec![("A".into(), set(&[1, 0, 0, 0])), ("B".into(), ValueAction::Absent)];
    let policies = r"HKLM\SOFTWARE\Policies\Vendor";
    let operation = key(policies, KeyAction::Values(values));
    assert_eq!(bench.run_twice(&operation, &NOTHING()), 2, "a key and a value");
    assert_eq!(bench.value(policies, "a").unwrap().as_dword(), Some(1));
    let gone =
        key(r"HKLM\SOFTWARE\None", KeyAction::Values(vec![("B".into(), ValueAction::Absent)]));
    assert_eq!(bench.run_twice(&gone, &NOTHING()), 0, "a missing value does not make its key");
    assert_eq!(bench.run_twice(&key(policies, KeyAction::Absent), &NOTHING()), 1);
    let class = key(r"HKCR\.txt", KeyAction::Values(vec![(Name::default(), set(&[1, 0, 0, 0]))]));
    bench.run_twice(&class, &NOTHING());
    assert!(bench.value(r"HKLM\SOFTWARE\Classes\.txt", "").is_some());
    for vital in [
        r"HKLM\SOFTWARE",
        r"HKLM\SOFTWARE\Microsoft",
        "HKCR",
        r"HKLM\SYSTEM\Select",
        r"HKLM\SYSTEM\ControlSet001",
        r"HKLM\SYSTEM\CurrentControlSet",
    ] {
        let message = bench.foretold(&key(vital, KeyAction::Absent));
        assert!(message.contains("Windows does not start without this key"), "{message}");
    }
    let message = bench.foretold(&key(r"HKLM\COMPONENTS\x", KeyAction::Values(Vec::new())));
    assert!(
        message.contains(r"registry HKLM\COMPONENTS\x: the image has no COMPONENTS hive"),
        "{message}"
    );
    assert!(message.contains(r"keys below HKLM\COMPONENTS"), "{message}");
}

#[test]
fn reg_files_are_applied_as_a_whole_and_say_where_they_are_wrong() {
    let mut bench = Bench::new();
    let operation = Operation::RegistryFile(FileSpec { input: InputId("a.reg".into()) });
    let text = "Windows Registry Editor Version 5.00\r\n\r\n[HKEY_LOCAL_MACHINE\\SOFTWARE\\V]\r\n\"a\"=\"x\"\r\n@=dword:5\r\n\
                [-HKEY_LOCAL_MACHINE\\SYSTEM\\CurrentControlSet\\Services\\Empty]\r\n[HKEY_USERS\\.DEFAULT\\E]\r\n";
    assert_eq!(bench.run_twice(&operation, &MemoryInputs::file("a.reg", text)), 5);
    assert_eq!(bench.value(r"HKLM\SOFTWARE\V", "A").unwrap().as_text().as_deref(), Some("x"));
    let missing = text.replace("HKEY_USERS\\.DEFAULT", "HKEY_LOCAL_MACHINE\\DRIVERS");
    let inputs = MemoryInputs::file("a.reg", missing);
    let prepared = operation.prepare(&inputs, bench.store.as_ref()).unwrap();
    let facts = bench.image.facts();
    let problems = operation.check_prepared(&prepared, &mut bench.image, &facts);
    assert!(problems[0].cause.contains("no DRIVERS hive") && problems.len() == 1, "{problems:?}");
    let wrong = text.replace("HKEY_USERS\\.DEFAULT", "HKEY_CURRENT_CONFIG");
    let (error, help) = bench.refusal(&operation, &MemoryInputs::file("a.reg", wrong));
    assert!(error.starts_with("registry a.reg:7: `HKEY_CURRENT_CONFIG\\E`"), "{error}");
    assert!(help.contains("Hardware Profiles"), "{help}");
    let wrong = text.replace("dword:5", "dword:x");
    let (error, _) = bench.refusal(&operation, &MemoryInputs::file("a.reg", wrong));
    assert!(error.starts_with("registry a.reg:5:"), "{error}");
}

#[test]
fn services_start_as_told() {
    let mut bench = Bench::new();
    let services = r"HKLM\SYSTEM\CurrentControlSet\Services";
    let remote = format!(r"{services}\RemoteRegistry");
    let spooler = format!(r"{services}\Spooler");
    let start = |bench: &mut Bench, key: &str| bench.value(key, "Start").unwrap().as_dword();
    let run = |bench: &mut Bench, name: &str, mode| {
        bench.run_twice(&Operation::Service(service(name, Some(mode))), &NOTHING())
    };
    assert_eq!(run(&mut bench, "remoteregistry", StartMode::Disabled), 1);
    assert_eq!(start(&mut bench, &remote), Some(4));
    assert_eq!(run(&mut bench, "RemoteRegistry", StartMode::Delayed), 2);
    assert_eq!(start(&mut bench, &remote), Some(2));
    assert_eq!(bench.value(&remote, "DelayedAutostart").unwrap().as_dword(), Some(1));
    assert_eq!(run(&mut bench, "Spooler", StartMode::Auto), 1, "it was delayed");
    assert_eq!(bench.value(&spooler, "DelayedAutostart"), None);
    let full = ServiceSpec {
        account: Some(r"NT AUTHORITY\LocalService".into()),
        arguments: Some("-k other -p".into()),
        ..service("Spooler", None)
    };
    bench.run_twice(&Operation::Service(full.clone()), &NOTHING());
    let line = bench.value(&spooler, "ImagePath").unwrap();
    assert_eq!(line.as_text().as_deref(), Some(r"%SystemRoot%\System32\svchost.exe -k other -p"));
    assert_eq!(line.kind.0, 2, "it stays REG_EXPAND_SZ");
    assert_eq!(start(&mut bench, &spooler), Some(2), "what is not said stays");
    let user = Operation::Service(ServiceSpec { account: Some(r".\me".into()), ..full });
    let facts = bench.image.facts();
    assert!(user.check_image(&mut bench.image, &facts)[0].warning);
    for (name, mode, message) in [
        (
            "RemoteRegistri",
            StartMode::Auto,
            "the image has no such service; did you mean RemoteRegistry",
        ),
        ("Empty", StartMode::Auto, "it is not a service"),
        ("Spooler", StartMode::Boot, "only drivers can start with `boot` or `system`"),
        ("disk", StartMode::Delayed, "a driver cannot start `delayed`"),
        (r"a\b", StartMode::Auto, "this is not the name of a service"),
    ] {
        let found = bench.foretold(&Operation::Service(service(name, Some(mode))));
        assert!(found.contains(message), "{found}");
    }
    let arguments = ServiceSpec { arguments: Some("-x".into()), ..service("disk", None) };
    let found = bench.foretold(&Operation::Service(arguments));
    assert!(found.contains("a driver has neither arguments nor an account"), "{found}");
}

#[test]
fn folders_are_merged_or_replaced() {
    let mut bench = Bench::new();
    let source = [("A.txt", "one"), ("sub/b.txt", "two"), ("sub/", ""), ("notepad.exe/", "")];
    let inputs = MemoryInputs::folder("src", &source);
    let merge = Operation::Files(files(r"C:\Data", from("src", false)));
    assert_eq!(bench.run_twice(&merge, &inputs), 5);
    let own = Operation::Files(files(r"\data\own.txt", from("own", false)));
    bench.run_twice(&own, &MemoryInputs::file("own", "mine"));
    bench.run_twice(&Operation::Files(files(r"\DATA", from("src", false))), &inputs);
    assert_eq!(bench.names(r"\Data"), ["A.txt", "notepad.exe", "own.txt", "sub"]);
    let replace = Operation::Files(files(r"\Data", from("src", true)));
    assert_eq!(bench.run_twice(&replace, &inputs), 1, "only what the source does not have");
    assert_eq!(bench.names(r"\Data"), ["A.txt", "notepad.exe", "sub"]);
    let other = MemoryInputs::folder("src", &[("a.TXT", "changed"), ("sub", "now a file")]);
    bench.run_twice(&replace, &other);
    assert_eq!(bench.names(r"\Data"), ["a.TXT", "sub"]);
    assert_eq!(bench.text(r"\Data\sub").as_deref(), Some("now a file"));
    // A merge meets a file where it has a folder.
    let (error, help) = bench.refusal(&merge, &inputs);
    assert!(
        error.contains(r"\Data\sub is not a folder") && help.contains("absent"),
        "{error} {help}"
    );
    let prepared = merge.prepare(&inputs, bench.store.as_ref()).unwrap();
    let facts = bench.image.facts();
    let problems = merge.check_prepared(&prepared, &mut bench.image, &facts);
    assert_eq!((problems.len(), problems[0].item.as_str()), (1, r"\Data\sub"), "{problems:?}");
    let absent = Operation::Files(files(r"\Data", FilesAction::Absent));
    assert_eq!(bench.run_twice(&absent, &NOTHING()), 1);
    let twins = MemoryInputs::folder("src", &[("a.txt", "1"), ("A.TXT", "2")]);
    assert!(bench.refusal(&merge, &twins).0.contains("differs from it only in case"));
    let device = MemoryInputs::folder("src", &[("sub/con.txt", "1")]);
    assert!(
        bench.refusal(&merge, &device).0.contains("src/sub/con.txt: `con.txt` is a device name")
    );
    let variable = Operation::Files(files(r"\%SystemRoot%\x", from("own", false)));
    let facts = bench.image.facts();
    let problems = variable.check_image(&mut bench.image, &facts);
    assert!(problems[0].cause.contains("`%SystemRoot%` is not replaced"), "{problems:?}");
    let root = Operation::Files(files(r"\", FilesAction::Absent));
    assert!(bench.foretold(&root).contains("the root of the image cannot be removed"));
    let junction = Operation::Files(files(r"\Documents and Settings\x", from("own", false)));
    let facts = bench.image.facts();
    let problems = junction.check_image(&mut bench.image, &facts);
    assert!(problems[0].cause.contains("junction"), "{problems:?}");
    let (error, _) = bench.refusal(
        &Operation::Files(files(r"\Windows", from("own", false))),
        &MemoryInputs::file("own", "mine"),
    );
    assert!(error.contains(r"\Windows is a folder"), "{error}");
}

#[test]
fn a_replaced_folder_does_not_write_through_hard_links() {
    let mut bench = Bench::new();
    let replace = Operation::Files(files(r"\Windows\WinSxS\x", from("src", true)));
    bench.run_twice(&replace, &MemoryInputs::folder("src", &[("notepad.exe", "patched")]));
    assert_eq!(bench.text(r"\Windows\WinSxS\x\notepad.exe").as_deref(), Some("patched"));
    assert_eq!(bench.text(r"\Windows\notepad.exe").as_deref(), Some("notepad"));
    let merge = Operation::Files(files(r"\Windows\Notepad.exe", from("own", false)));
    bench.run_twice(&merge, &MemoryInputs::file("own", "newer"));
    assert_eq!(bench.text(r"\Windows\WinSxS\x\notepad.exe").as_deref(), Some("patched"));
}

#[test]
fn a_replaced_folder_holds_files_as_if_it_had_been_empty() {
    let mut bench = Bench::new();
    let inputs = MemoryInputs::folder("src", &[("k.txt", "same")]);
    let private = FilesSpec {
        attributes: Some(vec![FileAttribute::Hidden]),
        sddl: Some("D:PAI(A;;FA;;;SY)".into()),
        ..files(r"\Data\k.txt", from("k", false))
    };
    bench.run_twice(&Operation::Files(private), &MemoryInputs::file("k", "same"));
    bench.run_twice(&Operation::Files(files(r"\Data", from("src", true))), &inputs);
    let node = bench.image.tree().lookup(&path(r"\Data\k.txt")).unwrap();
    assert_eq!(bench.image.tree().inode(node).attributes, 0x20, "a new file is to be archived");
    let security = bench.image.tree().security_of(node).unwrap();
    let text = to_sddl(&SecurityDescriptor::parse(security).unwrap());
    assert!(text.contains("D:AI") && text.contains("BU"), "inherited again: {text}");
}

#[test]
fn attributes_of_a_merged_folder_leave_folders_that_are_there_alone() {
    let mut bench = Bench::new();
    let hidden = FilesSpec {
        attributes: Some(vec![FileAttribute::Hidden]),
        ..files(r"\", from("src", false))
    };
    let inputs = MemoryInputs::folder("src", &[("Windows/", ""), ("Windows/new.txt", "x")]);
    let before = bench.image.tree().lookup(&path(r"\Windows")).unwrap();
    let before = bench.image.tree().inode(before).attributes;
    bench.run(&Operation::Files(hidden), &inputs).unwrap();
    let attributes = |file: &str| {
        let node = bench.image.tree().lookup(&path(file)).unwrap();
        bench.image.tree().inode(node).attributes
    };
    assert_eq!(attributes(r"\Windows"), before);
    assert_eq!(attributes(r"\Windows\new.txt") & 0x2, 0x2);
}

#[test]
fn a_file_does_not_silently_undo_what_the_registry_was_given() {
    let mut bench = Bench::new();
    let key = Operation::RegistryKey(KeySpec {
        path: RegistryPath::parse(r"HKLM\SOFTWARE\T").unwrap(),
        action: KeyAction::Values(vec![(
            Name::from("a"),
            ValueAction::Set { kind: 4, data: vec![1, 0, 0, 0] },
        )]),
    });
    bench.run(&key, &NOTHING()).unwrap();
    let hive = files(r"\Windows\System32\config\SOFTWARE", from("hive", false));
    let (error, _) =
        bench.refusal(&Operation::Files(hive), &MemoryInputs::file("hive", "another hive"));
    assert!(error.contains(r"HKLM\SOFTWARE"), "{error}");
}

#[test]
fn attributes_and_security_are_set() {
    let mut bench = Bench::new();
    let mut spec = files(r"\ProgramData\ssh\keys", from("keys", false));
    spec.attributes = Some(vec![FileAttribute::Hidden, FileAttribute::ReadOnly]);
    spec.sddl = Some("D:PAI(A;;FA;;;SY)(A;;FA;;;BA)".into());
    bench.run_twice(&Operation::Files(spec.clone()), &MemoryInputs::file("keys", "ssh-ed25519"));
    let node = bench.image.tree().lookup(&spec.to).unwrap();
    assert_eq!(bench.image.tree().inode(node).attributes, 0x3);
    let text = |bench: &Bench, file: &str| {
        let node = bench.image.tree().lookup(&path(file)).unwrap();
        to_sddl(&SecurityDescriptor::parse(bench.image.tree().security_of(node).unwrap()).unwrap())
    };
    assert_eq!(text(&bench, r"\ProgramData\ssh\keys"), "O:BAG:SYD:PAI(A;;FA;;;SY)(A;;FA;;;BA)");
    let adjust = FilesSpec {
        attributes: Some(vec![FileAttribute::System]),
        sddl: Some("O:SYD:P(A;OICI;FA;;;SY)".into()),
        ..files(r"\Windows\Temp", FilesAction::Adjust)
    };
    bench.run_twice(&Operation::Files(adjust), &NOTHING());
    assert_eq!(text(&bench, r"\Windows\Temp"), "O:SYG:SYD:P(A;OICI;FA;;;SY)");
    let new = Operation::Files(files(r"\Windows\Temp\x", from("keys", false)));
    bench.run_twice(&new, &MemoryInputs::file("keys", "x"));
    assert_eq!(text(&bench, r"\Windows\Temp\x"), "O:BAG:SYD:AI(A;ID;FA;;;SY)");
    let missing =
        FilesSpec { attributes: Some(Vec::new()), ..files(r"\none", FilesAction::Adjust) };
    assert!(bench.foretold(&Operation::Files(missing)).contains("no such file or folder"));
    let wrong =
        FilesSpec { sddl: Some("D:(A;;FA;;;XX)".into()), ..files(r"\x", from("keys", false)) };
    let (error, help) = bench.refusal(&Operation::Files(wrong), &MemoryInputs::file("keys", "x"));
    assert!(
        error.contains("`XX` is not an identity") && help.contains("Get-Acl"),
        "{error} {help}"
    );
}

#[test]
fn the_answer_file_is_placed_as_it_is() {
    let mut bench = Bench::new();
    let operation = Operation::Unattend(UnattendSpec {
        input: Some(InputId("unattend.xml".into())),
        paths: Vec::new(),
        settings: None,
    });
    let component = |architecture: &str| {
        format!(
            r#"<component name="Microsoft-Windows-Shell-Setup" processorArchitecture="{architecture}" publicKeyToken="31bf3856ad364e35" language="neutral" versionScope="nonSxS"/>"#
        )
    };
    let text = &format!(
        "<unattend xmlns=\"urn:schemas-microsoft-com:unattend\"><settings pass=\"specialize\" wasPassProcessed=\"true\">{}</settings></unattend>",
        component("amd64")
    );
    let inputs = MemoryInputs::file("unattend.xml", text.as_str());
    assert_eq!(bench.run_twice(&operation, &inputs), 2);
    assert_eq!(bench.text(r"\Windows\Panther\unattend.xml").as_deref(), Some(text.as_str()));
    let prepared = operation.prepare(&inputs, bench.store.as_ref()).unwrap();
    let facts = bench.image.facts();
    let warnings = operation.check_prepared(&prepared, &mut bench.image, &facts);
    assert!(warnings[0].warning && warnings[0].item.starts_with("unattend.xml:1:"), "{warnings:?}");
    let other = text.replace(" wasPassProcessed=\"true\"", "");
    let other = other.replace(&component("amd64"), &component("x86"));
    let prepared =
        operation.prepare(&MemoryInputs::file("unattend.xml", other), bench.store.as_ref());
    let warnings = operation.check_prepared(&prepared.unwrap(), &mut bench.image, &facts);
    assert!(warnings[0].cause.contains("is for x86, the image is amd64"), "{warnings:?}");
    let folder = MemoryInputs::folder("unattend.xml", &[("x", "")]);
    assert!(bench.refusal(&operation, &folder).0.contains("it is a folder"));
}

#[test]
fn first_boot_scripts_are_chained_once() {
    let mut bench = Bench::new();
    let scripts = r"\Windows\Setup\Scripts";
    let theirs =
        Operation::Files(files(r"\Windows\Setup\Scripts\SetupComplete.cmd", from("theirs", false)));
    bench.run_twice(&theirs, &MemoryInputs::file("theirs", "echo theirs\r\n"));
    let spec = |names: &[&str]| {
        let scripts = names.iter().map(|name| InputId((*name).to_owned()));
        Operation::FirstBoot(FirstBootSpec::of_scripts(scripts))
    };
    let mut inputs = MemoryInputs::default();
    for (name, text) in [("a/one.cmd", "1"), ("b/one.cmd", "2"), ("two.ps1", "3"), ("x.txt", "4")] {
        inputs.0.extend(MemoryInputs::file(name, text).0);
    }
    bench.run_twice(&spec(&["a/one.cmd", "b/one.cmd"]), &inputs);
    let command = |bench: &Bench| bench.text(r"\Windows\Setup\Scripts\SetupComplete.cmd").unwrap();
    let kept = r"\Windows\Setup\Scripts\SetupComplete-before-transom.cmd";
    assert_eq!(bench.text(kept).as_deref(), Some("echo theirs\r\n"));
    assert!(command(&bench).contains("SetupComplete-before-transom.cmd"));
    assert_eq!(bench.names(&format!(r"{scripts}\transom")), ["01-one.cmd", "02-one.cmd"]);
    assert_eq!(bench.text(r"\Windows\Setup\Scripts\transom\02-one.cmd").as_deref(), Some("2"));
    // A build on that output, with another script and a changed one.
    inputs.0.extend(MemoryInputs::file("a/one.cmd", "changed").0);
    bench.run_twice(&spec(&["a/one.cmd", "two.ps1"]), &inputs);
    assert_eq!(
        bench.names(&format!(r"{scripts}\transom")),
        ["01-one.cmd", "02-one.cmd", "03-one.cmd", "04-two.ps1"]
    );
    assert_eq!(
        bench.text(r"\Windows\Setup\Scripts\transom\03-one.cmd").as_deref(),
        Some("changed")
    );
    assert_eq!(bench.text(kept).as_deref(), Some("echo theirs\r\n"), "it does not call itself");
    assert_eq!(command(&bench).matches("begins").count(), 5);
    let (error, help) = bench.refusal(&spec(&["x.txt"]), &inputs);
    assert!(error.contains("x.txt: the first boot cannot run this kind of file"), "{error}");
    assert!(help.contains(".ps1"), "{help}");
}

#[test]
fn first_boot_on_an_own_output_loses_no_script_and_keeps_the_order() {
    let mut bench = Bench::new();
    let spec = |names: &[&str]| {
        let scripts = names.iter().map(|name| InputId((*name).to_owned()));
        Operation::FirstBoot(FirstBootSpec::of_scripts(scripts))
    };
    let mut inputs = MemoryInputs::default();
    for (name, text) in [("a/setup.cmd", "A"), ("b/setup.cmd", "B"), ("c.cmd", "C")] {
        inputs.0.extend(MemoryInputs::file(name, text).0);
    }
    let folder = r"\Windows\Setup\Scripts\transom";
    bench.run_twice(&spec(&["a/setup.cmd"]), &inputs);
    bench.run_twice(&spec(&["b/setup.cmd"]), &inputs);
    assert_eq!(bench.names(folder), ["01-setup.cmd", "02-setup.cmd"]);
    assert_eq!(bench.text(&format!(r"{folder}\01-setup.cmd")).as_deref(), Some("A"));
    assert_eq!(bench.text(&format!(r"{folder}\02-setup.cmd")).as_deref(), Some("B"));
    // B stands in front of nothing that the recipe wants first: it must run again behind C.
    bench.run_twice(&spec(&["c.cmd", "b/setup.cmd"]), &inputs);
    assert_eq!(bench.names(folder), ["01-setup.cmd", "02-setup.cmd", "03-c.cmd", "04-setup.cmd"]);
}

#[test]
fn parameters_tell_operations_apart_and_stay_the_same() {
    let one = Operation::Service(service("a", Some(StartMode::Auto)));
    let two = Operation::Service(service("a", Some(StartMode::Delayed)));
    assert_ne!(one.parameters(), two.parameters());
    let text = String::from_utf8(one.parameters()).unwrap();
    assert_eq!(text, r#"{"service":{"name":"a","start":"auto","account":null,"arguments":null}}"#);
    let path = RegistryPath::parse(r"HKLM\SOFTWARE\A").unwrap();
    let key = Operation::RegistryKey(KeySpec { path, action: KeyAction::Absent });
    let text = String::from_utf8(key.parameters()).unwrap();
    assert_eq!(text, r#"{"registry-key":{"path":"HKLM\\SOFTWARE\\A","action":"absent"}}"#);
    let files = Operation::Files(files(r"\a", from("in", true)));
    assert_eq!(files.inputs(), [InputId("in".into())]);
    assert_eq!(files.title(), r"files \a replaced from in");
}
