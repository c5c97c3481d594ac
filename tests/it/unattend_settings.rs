//! Settings of `[unattend]`: what they become, that it passes the lint, and what lies in the image.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use transom::{
    format::{
        hive::Value,
        unattend::{AnswerFile, PassName, catalogue},
    },
    image::{ImageFacts, NewNode, RegistryPath},
    recipe,
    servicing::{
        InputId, Operation,
        unattend::{UnattendSpec, lint},
    },
};

use crate::{
    image_fixture::{MemoryInputs, MemoryStore, open, path, windows},
    support,
};

/// The answer file part of a sample.
fn spec(sample: &str) -> UnattendSpec {
    let path = format!("tests/data/recipes/valid/{sample}.toml");
    let recipe = recipe::load(Path::new(&path), &[]).unwrap();
    let found = recipe.entries.into_iter().find_map(|entry| match entry.operation {
        Operation::Unattend(spec) => Some(spec),
        _ => None,
    });
    found.expect("it has settings")
}

#[test]
fn every_short_form_and_setting_becomes_an_answer_file_that_passes_the_lint() {
    for sample in ["answers", "answers-bios"] {
        let settings = spec(sample).settings.expect("settings");
        for architecture in ["amd64", "arm64"] {
            let file = settings.alone(architecture);
            assert_eq!(lint(&file), [], "{sample}");
            let components = file.passes.iter().flat_map(|pass| &pass.components);
            for component in components {
                assert_eq!(component.architecture, architecture);
                assert!(catalogue::component(&component.name).is_some());
            }
            let again = AnswerFile::parse(file.to_text().as_bytes()).unwrap();
            assert_eq!(again.without_places(), file.clone().without_places());
        }
        let text = settings.alone("amd64").to_text();
        let text = text.replace('\u{fdd0}', "{{").replace('\u{fdd1}', "}}").replace('\r', "");
        let mut settings = insta::Settings::clone_current();
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        settings.bind(|| insta::assert_snapshot!(format!("unattend-{sample}"), text));
    }
}

#[test]
fn settings_are_laid_over_a_file_for_the_image_s_architecture() {
    let settings = spec("answers-bios").settings.unwrap();
    let text = r#"<unattend xmlns="urn:schemas-microsoft-com:unattend" xmlns:wcm="http://schemas.microsoft.com/WMIConfig/2002/State"><settings pass="oobeSystem">
        <component name="Microsoft-Windows-Shell-Setup" processorArchitecture="amd64" publicKeyToken="31bf3856ad364e35" language="neutral" versionScope="nonSxS">
        <OOBE><HideEULAPage>false</HideEULAPage><HideWirelessSetupInOOBE>true</HideWirelessSetupInOOBE></OOBE></component></settings></unattend>"#;
    let mut file = AnswerFile::parse(text.as_bytes()).unwrap();
    let replaced = settings.lay_over(&mut file, "amd64");
    assert_eq!(replaced, ["oobeSystem Microsoft-Windows-Shell-Setup/OOBE/HideEULAPage"]);
    let shell = &file.pass(PassName::OobeSystem).unwrap().components[0];
    let value = |name| shell.setting(&["OOBE", name]).map(|setting| setting.value());
    assert_eq!(value("HideEULAPage"), Some("true"));
    assert_eq!(value("HideWirelessSetupInOOBE"), Some("true"));
    assert_eq!(value("ProtectYourPC"), Some("1"));
}

#[test]
fn settings_are_checked_against_the_image_and_written_for_its_architecture() {
    let folder = support::temporary_folder();
    let wim = windows(&folder.path().join("base.wim"));
    let store = Arc::new(MemoryStore::default());
    let mut image = open(&wim);
    image.set_stored_content(store.clone());
    for key in [
        r"HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion\Time Zones\W. Europa Standard Time",
        r"HKLM\SYSTEM\CurrentControlSet\Control\Keyboard Layouts\00000409",
    ] {
        image.create_key(&RegistryPath::parse(key).unwrap()).unwrap();
    }
    let facts = image.facts();
    let operation = Operation::Unattend(spec("answers"));
    let prepared = operation.prepare(&MemoryInputs::default(), store.as_ref()).unwrap();
    let problems = operation.check_prepared(&prepared, &mut image, &facts);
    let found = |text: &str| {
        let found = problems.iter().find(|problem| problem.cause.contains(text));
        found.unwrap_or_else(|| panic!("{text}: {problems:?}"))
    };
    let zone = found("no time zone `W. Europe Standard Time`");
    assert!(!zone.warning && zone.help == "did you mean `W. Europa Standard Time`?", "{zone:?}");
    assert!(found("no keyboard layout `00000407`").warning);
    assert!(found("the pass windowsPE").warning);
    // Without secrets the file lies there as it is; what of the file below is replaced is said.
    let spec = spec("answers-bios");
    let input = spec.input.clone().unwrap();
    let below = AnswerFile::parse(
        br#"<unattend xmlns="urn:schemas-microsoft-com:unattend"><settings pass="oobeSystem"><component name="Microsoft-Windows-Shell-Setup" processorArchitecture="amd64" publicKeyToken="31bf3856ad364e35" language="neutral" versionScope="nonSxS"><OOBE><ProtectYourPC>3</ProtectYourPC></OOBE></component></settings></unattend>"#,
    );
    let inputs = MemoryInputs::file(&input.0, below.unwrap().to_text());
    let operation = Operation::Unattend(spec);
    let prepared = operation.prepare(&inputs, store.as_ref()).unwrap();
    let problems = operation.check_prepared(&prepared, &mut image, &facts);
    let replaced = problems.iter().any(|problem| problem.cause.contains("OOBE/ProtectYourPC of"));
    assert!(replaced && problems.iter().all(|problem| problem.warning), "{problems:?}");
    operation.apply(&prepared, &mut image).unwrap();
    let bytes = image.read(&path(r"\Windows\Panther\unattend.xml")).unwrap();
    let file = AnswerFile::parse(&bytes).unwrap();
    let shell = &file.pass(PassName::OobeSystem).unwrap().components[0];
    assert_eq!(shell.setting(&["OOBE", "ProtectYourPC"]).unwrap().value(), "1");
    assert_eq!(Some(shell.architecture.as_str()), facts.architecture.map(|one| one.name()));
}

/// A file of the recipe's that nothing is laid over.
fn alone() -> UnattendSpec {
    UnattendSpec { input: Some(InputId("answers.xml".to_owned())), paths: vec![], settings: None }
}

/// An answer file with settings of the shell and `more` below the root.
fn answer_file(settings: &str, more: &str) -> String {
    format!(
        "<unattend xmlns=\"urn:schemas-microsoft-com:unattend\">\n\n\n<settings pass=\"specialize\"><component name=\"Microsoft-Windows-Shell-Setup\" \
         processorArchitecture=\"amd64\" publicKeyToken=\"31bf3856ad364e35\" language=\"neutral\" versionScope=\"nonSxS\">\n\n{settings}</component></settings>{more}</unattend>"
    )
}

#[test]
fn an_answer_file_is_prepared_as_it_was_given() {
    let folder = support::temporary_folder();
    let wim = windows(&folder.path().join("base.wim"));
    let store = Arc::new(MemoryStore::default());
    let mut image = open(&wim);
    image.set_stored_content(store.clone());
    let zone = r"HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion\Time Zones\UTC";
    image.create_key(&RegistryPath::parse(zone).unwrap()).unwrap();
    let facts = image.facts();
    let zone = "<TimeZone>W. Europe Standard Time</TimeZone>";
    // Lines are the file's own.
    let operation = Operation::Unattend(alone());
    let inputs = MemoryInputs::file("answers.xml", answer_file(zone, ""));
    let prepared = operation.prepare(&inputs, store.as_ref()).unwrap();
    let problems = operation.check_prepared(&prepared, &mut image, &facts);
    let found = problems.iter().find(|problem| problem.cause.contains("no time zone")).unwrap();
    assert_eq!(found.item, "answers.xml:6:1");
    // A file that has more namespaces than one element can declare is not lost.
    let many: String = (0..150).map(|number| format!("<n:a xmlns:n=\"urn:{number}\"/>")).collect();
    let spec = UnattendSpec { input: alone().input, ..spec("answers-bios") };
    let operation = Operation::Unattend(spec);
    let owner = "<RegisteredOwner>Me</RegisteredOwner>";
    let inputs = MemoryInputs::file("answers.xml", answer_file(owner, &many));
    let prepared = operation.prepare(&inputs, store.as_ref()).unwrap();
    operation.apply(&prepared, &mut image).unwrap();
    let bytes = image.read(&path(r"\Windows\Panther\unattend.xml")).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    assert!(text.contains(owner) && text.contains("urn:149"), "{text}");
}

#[test]
fn a_file_that_asks_for_nothing_is_not_placed() {
    let folder = support::temporary_folder();
    let wim = windows(&folder.path().join("base.wim"));
    let store = Arc::new(MemoryStore::default());
    let mut image = open(&wim);
    image.set_stored_content(store.clone());
    let operation = Operation::Unattend(alone());
    let empty = "<unattend xmlns=\"urn:schemas-microsoft-com:unattend\"><settings pass=\"specialize\"/></unattend>";
    let inputs = MemoryInputs::file("answers.xml", empty);
    let prepared = operation.prepare(&inputs, store.as_ref()).unwrap();
    operation.apply(&prepared, &mut image).unwrap();
    assert!(image.tree().lookup(&path(r"\Windows\Panther\unattend.xml")).is_none());
}

#[test]
fn every_answer_file_that_setup_would_take_first_is_named() {
    let folder = support::temporary_folder();
    let wim = windows(&folder.path().join("base.wim"));
    let store = Arc::new(MemoryStore::default());
    let mut image = open(&wim);
    image.set_stored_content(store.clone());
    let facts = image.facts();
    let operation = Operation::Unattend(alone());
    let owner = answer_file("<RegisteredOwner>Me</RegisteredOwner>", "");
    let inputs = MemoryInputs::file("answers.xml", owner);
    let prepared = operation.prepare(&inputs, store.as_ref()).unwrap();
    assert_eq!(operation.check_prepared(&prepared, &mut image, &facts), []);
    let before = r"\Windows\Panther\Unattend\autounattend.xml";
    for file in [before, r"\Windows\Panther\autounattend.xml", r"\unattend.xml"] {
        image.put_bytes(&path(file), b"<unattend/>".to_vec(), &NewNode::default()).unwrap();
    }
    let setup = RegistryPath::parse(r"HKLM\SYSTEM\Setup").unwrap();
    image.set_value(&setup, &Value::sz("UnattendFile", r"D:\answers.xml")).unwrap();
    let problems = operation.check_prepared(&prepared, &mut image, &facts);
    let items: Vec<&str> = problems.iter().map(|problem| problem.item.as_str()).collect();
    assert_eq!(items, [r"D:\answers.xml", before]);
    assert!(problems[0].warning && problems[0].help.contains("UnattendFile"), "{problems:?}");
    assert!(problems[1].warning && problems[1].help.contains("[[files]]"), "{problems:?}");
    // That it names the file that is placed is as it should be.
    let own = Value::sz("UnattendFile", r"C:\windows\panther\Unattend.xml");
    image.set_value(&setup, &own).unwrap();
    assert_eq!(operation.check_prepared(&prepared, &mut image, &facts), []);
    // A Windows PE looks nowhere.
    let facts = ImageFacts { windows_pe: true, ..facts };
    let problems = operation.check_prepared(&prepared, &mut image, &facts);
    let [problem] = &problems[..] else { panic!("{problems:?}") };
    assert!(!problem.warning && problem.help.contains("wpeinit -unattend"), "{problem:?}");
}

#[test]
fn file_and_recipe_are_checked_as_one_file() {
    let folder = support::temporary_folder();
    let wim = windows(&folder.path().join("base.wim"));
    let store = Arc::new(MemoryStore::default());
    let mut image = open(&wim);
    image.set_stored_content(store.clone());
    let facts = image.facts();
    let text = r#"[base]
wim = "a.wim"
index = 1
[output]
path = "out.wim"
[unattend]
file = "u.xml"
computer-name = "farm"
disk = { layout = "uefi" }
[unattend.settings.specialize."Contoso-Gadget"]
Speed = 1
"#;
    let files = BTreeMap::from([("recipe.toml".to_owned(), text.as_bytes().to_vec())]);
    let recipe = recipe::load_from(&files, Path::new("recipe.toml"), &[]).unwrap();
    let operation = recipe.entries.into_iter().map(|entry| entry.operation).next().unwrap();
    let Operation::Unattend(spec) = &operation else { panic!("{operation:?}") };
    let component = |pass: &str, name: &str, inside: &str| {
        format!(
            r#"<settings pass="{pass}"><component name="{name}" processorArchitecture="amd64" publicKeyToken="31bf3856ad364e35" language="neutral" versionScope="nonSxS">{inside}</component></settings>"#
        )
    };
    let below = format!(
        r#"<unattend xmlns="urn:schemas-microsoft-com:unattend" xmlns:wcm="http://schemas.microsoft.com/WMIConfig/2002/State">{}{}</unattend>"#,
        component(
            "windowsPE",
            "Microsoft-Windows-Setup",
            "<ImageInstall><DataImage wcm:action=\"add\"><Order>1</Order><InstallTo><DiskID>0</DiskID><PartitionID>9</PartitionID></InstallTo></DataImage></ImageInstall>",
        ),
        component(
            "oobeSystem",
            "Microsoft-Windows-Shell-Setup",
            "<UserAccounts><LocalAccounts><LocalAccount wcm:action=\"add\"><Name>farm</Name></LocalAccount></LocalAccounts></UserAccounts><CopyProfil>true</CopyProfil>",
        ),
    );
    let inputs = MemoryInputs::file(&spec.input.clone().unwrap().0, below);
    let prepared = operation.prepare(&inputs, store.as_ref()).unwrap();
    let problems = operation.check_prepared(&prepared, &mut image, &facts);
    let found = |text: &str| {
        let found: Vec<_> = problems.iter().filter(|one| one.cause.contains(text)).collect();
        assert_eq!(found.len(), 1, "{text}: {problems:?}");
        found[0]
    };
    assert!(found("the account `farm` is called as the computer").warning);
    assert!(!found("there is no partition `9`: 3 are created").warning);
    let newer = found("Contoso-Gadget is no component that is known");
    assert!(newer.warning && newer.item == "[unattend]", "{newer:?}");
    // Said of the file, and not again.
    assert!(found("has no setting `CopyProfil`").warning);
}
