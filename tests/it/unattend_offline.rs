//! What an answer file says of the offline image: done now, read back by another program, and not left for Setup a second time.

use std::fmt::Write as _;

use transom::{
    cli::demo,
    codec::Codec,
    format::unattend::{AnswerFile, PassName},
    image::{Architecture, ImageFacts},
    plan::{Options, Plan, PlanError},
    servicing::{
        InputId, Operation, WhenNotNative,
        unattend::{MappedPath, Offline, offline, without_offline},
    },
};

use crate::{
    pipeline_place::{Place, content, open},
    support::{self, oracle},
};

const TOKEN: &str = "31bf3856ad364e35";
const SHELL: &str = "Microsoft-Windows-Shell-Setup";

/// Component, path, value in the file; hive, key, name, value (numbers as .reg files write them).
#[rustfmt::skip]
const SETTINGS: &[(&str, &str, &str, &str, &str, &str, &str)] = &[
    ("Microsoft-Windows-LUA-Settings", "EnableLUA", "false", "SOFTWARE", r"Microsoft\Windows\CurrentVersion\Policies\System", "EnableLUA", "dword:00000000"),
    (SHELL, "RegisteredOwner", "Me &amp; You", "SOFTWARE", r"Microsoft\Windows NT\CurrentVersion", "RegisteredOwner", "Me & You"),
    (SHELL, "RegisteredOrganization", "Contoso", "SOFTWARE", r"Microsoft\Windows NT\CurrentVersion", "RegisteredOrganization", "Contoso"),
    (SHELL, "OEMInformation/Manufacturer", "Contoso", "SOFTWARE", r"Microsoft\Windows\CurrentVersion\OEMInformation", "Manufacturer", "Contoso"),
    (SHELL, "OEMInformation/Model", "One", "SOFTWARE", r"Microsoft\Windows\CurrentVersion\OEMInformation", "Model", "One"),
    (SHELL, "OEMInformation/Logo", r"C:\logo.bmp", "SOFTWARE", r"Microsoft\Windows\CurrentVersion\OEMInformation", "Logo", r"C:\logo.bmp"),
    (SHELL, "OEMInformation/SupportPhone", "123", "SOFTWARE", r"Microsoft\Windows\CurrentVersion\OEMInformation", "SupportPhone", "123"),
    (SHELL, "OEMInformation/SupportHours", "9-5", "SOFTWARE", r"Microsoft\Windows\CurrentVersion\OEMInformation", "SupportHours", "9-5"),
    (SHELL, "OEMInformation/SupportURL", "https://a.test", "SOFTWARE", r"Microsoft\Windows\CurrentVersion\OEMInformation", "SupportURL", "https://a.test"),
    (SHELL, "OEMInformation/SupportAppURL", "app:a", "SOFTWARE", r"Microsoft\Windows\CurrentVersion\OEMInformation", "SupportAppURL", "app:a"),
    (SHELL, "OEMInformation/SupportProvider", "P", "SOFTWARE", r"Microsoft\Windows\CurrentVersion\OEMInformation", "SupportProvider", "P"),
    (SHELL, "OEMInformation/TradeInURL", "https://b.test", "SOFTWARE", r"Microsoft\Windows\CurrentVersion\OEMInformation", "TradeInURL", "https://b.test"),
    (SHELL, "OEMInformation/RecycleURL", "https://c.test", "SOFTWARE", r"Microsoft\Windows\CurrentVersion\OEMInformation", "RecycleURL", "https://c.test"),
    (SHELL, "OEMInformation/HelpCustomized", "true", "SOFTWARE", r"Microsoft\Windows\CurrentVersion\OEMInformation", "HelpCustomized", "dword:00000001"),
    (SHELL, "SignInMode", "2", "SOFTWARE", r"Microsoft\Windows\CurrentVersion\ImmersiveShell", "SignInMode", "dword:00000002"),
    (SHELL, "ConvertibleSlateModePromptPreference", "1", "SOFTWARE", r"Microsoft\Windows\CurrentVersion\ImmersiveShell", "ConvertibleSlateModePromptPreference", "dword:00000001"),
    (SHELL, "BluetoothTaskbarIconEnabled", "true", "SOFTWARE", r"Microsoft\Windows\CurrentVersion\Control Panel\Settings\Bluetooth", "Notification Area Icon", "dword:00000001"),
    (SHELL, "SearchBoxVisibleInTouchImprovement", "true", "SOFTWARE", r"Microsoft\Windows\CurrentVersion\Explorer\Advanced", "SearchBoxVisibleInTouchImprovement", "dword:00000001"),
    (SHELL, "AppIconInTouchImprovement", "true", "SOFTWARE", r"Microsoft\Windows\CurrentVersion\Explorer\Advanced", "AppIconInTouchImprovement", "dword:00000001"),
    (SHELL, "FileExplorerInTouchImprovement", "true", "SOFTWARE", r"Microsoft\Windows\CurrentVersion\Explorer\Advanced", "FileExplorerInTouchImprovement", "dword:00000001"),
    (SHELL, "DesktopOptimization/GoToDesktopOnSignIn", "true", "SOFTWARE", r"Microsoft\Windows\CurrentVersion\Explorer\DesktopOptimization", "GoToDesktopOnSignIn", "dword:00000001"),
    (SHELL, "DesktopOptimization/ShowWindowsStoreAppsOnTaskbar", "false", "SOFTWARE", r"Microsoft\Windows\CurrentVersion\Explorer\DesktopOptimization", "ShowWindowsStoreAppsOnTaskbar", "dword:00000000"),
    (SHELL, "ComputerName", "farm-7", "SYSTEM", r"ControlSet001\Control\ComputerName\ComputerName", "ComputerName", "farm-7"),
    (SHELL, "", "", "SYSTEM", r"ControlSet001\Services\Tcpip\Parameters", "Hostname", "farm-7"),
    (SHELL, "", "", "SYSTEM", r"ControlSet001\Services\Tcpip\Parameters", "NV Hostname", "farm-7"),
    ("Microsoft-Windows-GPIOButtons", "ConvertibleSlateMode", "1", "SYSTEM", r"ControlSet001\Control\PriorityControl", "ConvertibleSlateMode", "dword:00000001"),
    ("Microsoft-Windows-PartitionManager", "SanPolicy", "3", "SYSTEM", r"ControlSet001\Services\partmgr\Parameters", "SanPolicy", "dword:00000003"),
    ("Microsoft-Windows-TerminalServices-LocalSessionManager", "fDenyTSConnections", "false", "SYSTEM", r"ControlSet001\Control\Terminal Server", "fDenyTSConnections", "dword:00000000"),
    ("Microsoft-Windows-TerminalServices-RemoteConnectionManager", "LicensingMode", "4", "SYSTEM", r"ControlSet001\Control\Terminal Server\RCM\Licensing Core", "LicensingMode", "dword:00000004"),
    ("Microsoft-Windows-TerminalServices-Publishing-WMIProvider", "fDisabledAllowList", "1", "SOFTWARE", r"Microsoft\Windows NT\CurrentVersion\Terminal Server\TSAppAllowList", "fDisabledAllowList", "dword:00000001"),
    ("Microsoft-Windows-DeviceGuard-Unattend", "EnableVirtualizationBasedSecurity", "1", "SYSTEM", r"ControlSet001\Control\DeviceGuard", "EnableVirtualizationBasedSecurity", "dword:00000001"),
    ("Microsoft-Windows-DeviceGuard-Unattend", "HypervisorEnforcedCodeIntegrity", "1", "SYSTEM", r"ControlSet001\Control\DeviceGuard", "HypervisorEnforcedCodeIntegrity", "dword:00000001"),
    ("Microsoft-Windows-DeviceGuard-Unattend", "LsaCfgFlags", "2", "SYSTEM", r"ControlSet001\Control\Lsa", "LsaCfgFlags", "dword:00000002"),
    ("Microsoft-Windows-CodeIntegrity", "SKUPolicyRequired", "1", "SYSTEM", r"ControlSet001\Control\CI\Policy", "SkuPolicyRequired", "dword:00000001"),
    ("Microsoft-Windows-SecureStartup-FilterDriver", "PreventDeviceEncryption", "true", "SYSTEM", r"ControlSet001\Control\BitLocker", "PreventDeviceEncryption", "dword:00000001"),
    ("Security-Malware-Windows-Defender", "DisableAntiSpyware", "false", "SOFTWARE", r"Microsoft\Windows Defender", "DisableAntiSpyware", "dword:00000000"),
    ("Security-Malware-Windows-Defender", "TrustedImageIdentifier", "{0}", "SOFTWARE", r"Microsoft\Windows Defender", "TrustedImageIdentifier", "{0}"),
    ("Security-Malware-Windows-Defender", "Scan/ScanParameters", "2", "SOFTWARE", r"Microsoft\Windows Defender\Scan", "ScanParameters", "dword:00000002"),
    ("Security-Malware-Windows-Defender", "Scan/ScheduleDay", "8", "SOFTWARE", r"Microsoft\Windows Defender\Scan", "ScheduleDay", "dword:00000008"),
    ("Security-Malware-Windows-Defender", "Scan/ScheduleTime", "120", "SOFTWARE", r"Microsoft\Windows Defender\Scan", "ScheduleTime", "dword:00000078"),
    ("Security-Malware-Windows-Defender", "SignatureUpdateInterval", "24", "SOFTWARE", r"Microsoft\Windows Defender\Signature Updates", "SignatureUpdateInterval", "dword:00000018"),
];

fn component(name: &str, architecture: &str, settings: &str) -> String {
    format!(
        r#"<component name="{name}" processorArchitecture="{architecture}" publicKeyToken="{TOKEN}" language="neutral" versionScope="nonSxS">{settings}</component>"#
    )
}

fn answer_file(content: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<unattend xmlns=\"urn:schemas-microsoft-com:unattend\" \
         xmlns:wcm=\"http://schemas.microsoft.com/WMIConfig/2002/State\">\n{content}\n</unattend>\n"
    )
}

fn pass(name: &str, components: &str) -> String {
    format!("<settings pass=\"{name}\">{components}</settings>")
}

/// A place whose recipe has an answer file, and `more` in its section.
fn place(file: &str, more: &str) -> Place {
    let place = Place::new(Codec::Xpress);
    let section = format!("[unattend]\nfile = \"answers.xml\"\n{more}\n[output]");
    place.edit("[output]", &section);
    place.write("answers.xml", file.as_bytes());
    place
}

fn titles(plan: &Plan) -> Vec<String> {
    plan.steps().map(|step| step.title.clone()).collect()
}

#[test]
fn every_setting_is_a_step_and_is_read_back_by_another_program() {
    let mut components = String::new();
    for (name, path, value, ..) in SETTINGS.iter().filter(|row| !row.1.is_empty()) {
        let (mut open, mut close) = (String::new(), String::new());
        for element in path.split('/') {
            write!(open, "<{element}>").unwrap();
            close = format!("</{element}>{close}");
        }
        // A component is given once in a pass: all its settings stand in it.
        let setting = format!("{open}{value}{close}");
        let marker = format!("<!--{name}-->");
        if !components.contains(&marker) {
            components.push_str(&component(name, "amd64", &marker));
        }
        components = components.replacen(&marker, &format!("{setting}{marker}"), 1);
    }
    let place = place(&answer_file(&pass("offlineServicing", &components)), "");
    let plan = place.plan();
    let titles = titles(&plan);
    let settings =
        titles.iter().filter(|title| title.contains("; asked for at answers.xml:")).count();
    // The name of the computer is two keys.
    assert_eq!(settings, SETTINGS.len() - 1, "{titles:#?}");
    let file = titles.iter().find(|title| title.starts_with("unattend from")).unwrap();
    assert_eq!(file, "unattend from answers.xml; nothing is left for Setup, no file is placed");
    place.build();
    let image = place.output_image(1);
    let answers = transom::base::ntpath::NtPath::parse(r"Windows\Panther\unattend.xml").unwrap();
    assert!(image.tree().lookup(&answers).is_none());
    let Some(hivexsh) = oracle("hivexsh") else { return };
    for hive in ["SYSTEM", "SOFTWARE"] {
        place.write(hive, &content(&image, &format!(r"Windows\System32\config\{hive}")));
        for (_, path, _, of, key, name, expected) in SETTINGS.iter().filter(|row| row.3 == hive) {
            let commands = format!("cd {key}\nlsval {name}\n");
            place.write("commands", commands.as_bytes());
            let read = hivexsh.run(["-f".into(), place.path("commands"), place.path(of)]);
            let read = String::from_utf8(read).unwrap();
            // hivexsh prints numbers as they are.
            let number = expected.strip_prefix("dword:");
            let number = number.map(|hex| u32::from_str_radix(hex, 16).unwrap().to_string());
            let expected = number.unwrap_or_else(|| String::from(*expected));
            assert_eq!(read.trim_end(), expected, "{path}: {key} {name}");
        }
    }
    let (outcome, _) = place.build();
    assert!(outcome.up_to_date);
}

#[test]
fn the_file_is_placed_without_what_was_done() {
    let lua = component("Microsoft-Windows-LUA-Settings", "amd64", "<EnableLUA>false</EnableLUA>");
    let zone = component(SHELL, "amd64", "<TimeZone>UTC</TimeZone>");
    let all = format!(
        "<servicing></servicing>{}{}{}",
        pass("offlineServicing", &lua),
        pass("specialize", &zone),
        pass("oobeSystem", &zone)
    );
    let place = place(&answer_file(&all), "");
    let titles = titles(&place.plan());
    assert!(
        titles.contains(
            &"unattend from answers.xml; left for Setup: specialize, oobeSystem".to_owned()
        )
    );
    place.build();
    let placed = content(&place.output_image(1), r"Windows\Panther\unattend.xml");
    let text = String::from_utf8(placed.clone()).unwrap();
    assert!(!text.contains("EnableLUA") && !text.contains("servicing"), "{text}");
    let (placed, given) = (
        AnswerFile::parse(&placed).unwrap(),
        AnswerFile::parse(answer_file(&all).as_bytes()).unwrap(),
    );
    assert_eq!(placed.passes.len(), 2);
    assert_eq!(placed.without_places(), without_offline(&given).unwrap().without_places());

    // One that has nothing of the kind is placed as it is, byte for byte.
    let plain = answer_file(&format!("<!-- kept -->{}", pass("specialize", &zone)));
    place.write("answers.xml", plain.as_bytes());
    place.build();
    assert_eq!(content(&place.output_image(1), r"Windows\Panther\unattend.xml"), plain.as_bytes());
}

#[test]
fn what_cannot_be_done_is_refused_by_name_with_the_way_out() {
    let drivers = "<DriverPaths><PathAndCredentials wcm:action=\"add\" wcm:keyValue=\"1\"><Path>D:\\drivers\\net</Path></PathAndCredentials></DriverPaths>";
    let package = |action: &str, inner: &str| {
        format!(
            "<servicing><package action=\"{action}\"><assemblyIdentity name=\"P\" version=\"1.0.0.0\" processorArchitecture=\"amd64\" publicKeyToken=\"{TOKEN}\" language=\"neutral\"/>{inner}</package></servicing>"
        )
    };
    let offline =
        |name: &str, settings: &str| pass("offlineServicing", &component(name, "amd64", settings));
    let cases = [
        (
            offline("Microsoft-Windows-PnpCustomizationsNonWinPE", drivers),
            r"`D:\drivers\net` is a path of another machine",
            r#"paths = { 'D:\drivers\net' = "a file or folder beside the recipe" }"#,
        ),
        (
            package("install", r#"<source location="%configsetroot%\P.cab"/>"#),
            r"answers.xml:3:",
            r"paths = { '%configsetroot%\P.cab' = ",
        ),
        (package("install", ""), "P: the package to install has no <source>", "give <source"),
        (package("stage", ""), "a package that is only staged", "install"),
        (package("configure", ""), "has no <selection>", "name a feature"),
        (
            package("configure", r#"<selection name="F" state="maybe"/>"#),
            "the state of the feature `F` is neither true nor false",
            "state=\"true\"",
        ),
        (
            offline("Microsoft-Windows-WDF-KernelLibrary", "<DriverStartType>3</DriverStartType>"),
            "Microsoft-Windows-WDF-KernelLibrary/DriverStartType: it is not known where",
            "write it as [registry]",
        ),
        (
            offline("Microsoft-Windows-PartitionManager", "<SanPolicy>9</SanPolicy>"),
            "answers.xml:3:",
            "write one of 1, 2, 3, 4",
        ),
        (
            offline(
                SHELL,
                "<OfflineUserAccounts><OfflineAdministratorPassword><Value>x</Value></OfflineAdministratorPassword></OfflineUserAccounts>",
            ),
            "OfflineUserAccounts/OfflineAdministratorPassword/Value",
            "use UserAccounts in the pass `oobeSystem`",
        ),
        (
            offline(
                "Microsoft-Windows-LUA-Settings",
                "<EnableLUA wcm:action=\"remove\">true</EnableLUA>",
            ),
            "Microsoft-Windows-LUA-Settings/EnableLUA: wcm:action=\"remove\" is not done",
            "a value is removed with [registry]",
        ),
        (
            offline(
                SHELL,
                "<OEMInformation wcm:action=\"Remove\"><Model>One</Model></OEMInformation>",
            ),
            "Microsoft-Windows-Shell-Setup/OEMInformation: wcm:action=\"remove\" is not done",
            "take it out",
        ),
        (
            offline(
                "Microsoft-Windows-PnpCustomizationsNonWinPE",
                &drivers.replace("action=\"add\"", "action=\"remove\""),
            ),
            "DriverPaths/PathAndCredentials: wcm:action=\"remove\" is not done",
            "take it out",
        ),
        (
            pass(
                "offlineServicing",
                &component(
                    "Microsoft-Windows-LUA-Settings",
                    "wow64",
                    "<EnableLUA>true</EnableLUA>",
                ),
            ),
            "settings for wow64 are not known",
            "own architecture",
        ),
    ];
    for (content, cause, help) in cases {
        let place = place(&answer_file(&content), "");
        let error = place.plan_with(&place.store(), &Options::default()).unwrap_err();
        assert!(matches!(error, PlanError::Refused(_)), "{error:?}");
        let finding = error.findings().next().unwrap();
        let (message, way_out) = (finding.message().to_owned(), finding.help().unwrap_or_default());
        assert!(message.contains(cause), "{message}");
        assert!(message.starts_with("answers.xml:3:"), "{message}");
        assert!(way_out.contains(help), "{way_out}");
        let line = finding.labels().next().unwrap().origin.line();
        let recipe = fs_err::read_to_string(place.path("recipe.toml")).unwrap();
        assert!(recipe.lines().nth(line - 1).unwrap().contains("unattend"), "the recipe's line");
    }
}

#[test]
fn packages_features_and_drivers_of_an_answer_file_become_steps() {
    let folder = support::temporary_folder();
    let home = folder.path();
    demo::write_workspace(home).unwrap();
    let identity = |name: &str, version: &str| {
        format!(
            "<assemblyIdentity name=\"{name}\" version=\"{version}\" processorArchitecture=\"amd64\" publicKeyToken=\"{TOKEN}\" language=\"neutral\"/>"
        )
    };
    let servicing = |tools: &str| {
        format!(
            "<servicing>\n<package action=\"configure\">{}<selection name=\"DemoTelnet\" state=\"true\"/></package>\n\
             <package action=\"install\">{}<source location=\"D:\\Updates\\tools.cab\"/></package>\n\
             <package action=\"install\">{}<source location=\"d:/updates/runtime.msu\"/></package>\n</servicing>",
            identity("Microsoft-Windows-Foundation-Package", "10.0.26100.1"),
            identity(tools, "1.0.0.0"),
            identity("Contoso-Runtime-Package", "1.0.0.0"),
        )
    };
    let drivers = pass(
        "offlineServicing",
        &component(
            "Microsoft-Windows-PnpCustomizationsNonWinPE",
            "amd64",
            "<DriverPaths><PathAndCredentials wcm:action=\"add\" wcm:keyValue=\"1\"><Path>\\\\server\\drivers\\</Path><Credentials><Username>u</Username></Credentials></PathAndCredentials></DriverPaths>",
        ),
    );
    for (path, text) in crate::driver_fixture::FILES {
        let path = home.join("drivers").join(path);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, text).unwrap();
    }
    let recipe = r#"
[base]
wim = "media/install.wim"
edition = "Professional"
[unattend]
file = "answers.xml"
[unattend.paths]
'D:\updates\tools.cab' = { source = "packages/contoso-tools.cab", unsigned = "allow" }
'D:\updates\runtime.msu' = { source = "packages/contoso-runtime.msu", unsigned = "allow" }
'\\server\drivers' = { source = "drivers", unsigned = "allow" }
'E:\unused' = "drivers"
[output]
path = "out.wim"
"#;
    let recipe_before = recipe;
    fs_err::write(home.join("recipe.toml"), recipe).unwrap();
    let write = |tools: &str| {
        let all = format!("{}\n{drivers}", servicing(tools));
        fs_err::write(home.join("answers.xml"), answer_file(&all)).unwrap();
    };
    let run = |verb: &str, code: i32| {
        let mut command = support::transom(home);
        let output = command.args([verb, "recipe.toml", "--cache-dir", "store"]).output().unwrap();
        let [stdout, stderr] =
            [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
        assert_eq!(output.status.code(), Some(code), "{stdout}{stderr}");
        (stdout, stderr)
    };
    write("Contoso-Tools-Package");
    run("check", 0);
    let (plan, talk) = run("plan", 0);
    let at = |text: &str| plan.find(text).unwrap_or_else(|| panic!("{text} in {plan}"));
    let feature = at("feature DemoTelnet: enabled; asked for at answers.xml:4:");
    let runtime = at(
        "package Contoso-Runtime-Package from packages/contoso-runtime.msu; asked for at answers.xml:6:",
    );
    let tools = at(
        "package Contoso-Tools-Package from packages/contoso-tools.cab; asked for at answers.xml:5:",
    );
    let driver = at("driver \\\\server\\drivers\\ from drivers; asked for at answers.xml:8:");
    assert!(feature < runtime && runtime < tools && tools < driver, "by what they need: {plan}");
    assert!(plan.contains("nothing is left for Setup"), "{plan}");
    assert!(talk.contains("answers.xml names no path `E:\\unused`"), "{talk}");
    let (built, _) = run("build", 0);
    assert!(built.contains("built ("), "{built}");
    let image = open(&home.join("out.wim"), 1);
    assert_eq!(content(&image, r"Windows\System32\contosort.exe"), b"the runtime, 64 bits\r\n");
    let (again, _) = run("build", 0);
    assert!(again.contains("up to date"), "{again}");

    let recipe = recipe.replace("[unattend]", "[features]\nDemoTelnet = \"disabled\"\n[unattend]");
    fs_err::write(home.join("recipe.toml"), recipe).unwrap();
    let (_, error) = run("plan", 6);
    assert!(error.contains("the feature DemoTelnet shall have two states"), "{error}");
    fs_err::write(home.join("recipe.toml"), recipe_before).unwrap();

    write("Contoso-Other-Package");
    let (_, error) = run("plan", 6);
    assert!(error.contains("is not what packages/contoso-tools.cab holds"), "{error}");
    assert!(error.contains("Contoso-Tools-Package~"), "{error}");
}

fn read(text: &str, architecture: Option<Architecture>) -> Offline {
    let file = AnswerFile::parse(text.as_bytes()).unwrap();
    let facts = ImageFacts { architecture, ..ImageFacts::default() };
    offline(&file, &[], WhenNotNative::Refuse, &facts, None)
}

#[test]
fn components_for_other_machines_and_processed_passes_are_skipped() {
    let lua = |architecture: &str| {
        component("Microsoft-Windows-LUA-Settings", architecture, "<EnableLUA>false</EnableLUA>")
    };
    let text = answer_file(&pass("offlineServicing", &format!("{}{}", lua("amd64"), lua("x86"))));
    assert_eq!(read(&text, Some(Architecture::Amd64)).wanted.len(), 1);
    assert_eq!(read(&text, Some(Architecture::Arm64)).wanted.len(), 0);
    assert_eq!(read(&text, None).wanted.len(), 2);
    let used = text.replace(
        "pass=\"offlineServicing\"",
        "pass=\"offlineServicing\" wasPassProcessed=\"true\"",
    );
    let found = read(&used, None);
    assert!(found.wanted.is_empty() && found.problems[0].1.warning, "{found:?}");
}

#[test]
fn real_answer_files_are_applied_without_a_refusal() {
    let Some(folder) = support::shared_data("unattend") else { return };
    let mut counts = (0, 0, 0);
    for entry in fs_err::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "xml") {
            continue;
        }
        let file = AnswerFile::parse(&fs_err::read(&path).unwrap()).unwrap();
        let found = offline(&file, &[], WhenNotNative::Refuse, &ImageFacts::default(), None);
        assert!(found.problems.is_empty(), "{}: {:?}", path.display(), found.problems);
        counts.0 += found.wanted.len();
        counts.1 += usize::from(without_offline(&file).is_some());
        counts.2 += usize::from(found.left.contains(&PassName::WindowsPe));
        assert!(
            found.wanted.iter().all(|wanted| matches!(wanted.operation, Operation::RegistryKey(_)))
        );
    }
    assert!(counts.0 >= 55 && counts.1 >= 50 && counts.2 >= 40, "{counts:?}");
}

#[test]
fn check_takes_a_file_that_an_image_of_one_of_its_architectures_takes() {
    let lua = |architecture: &str, value: &str| {
        let setting = format!("<EnableLUA>{value}</EnableLUA>");
        component("Microsoft-Windows-LUA-Settings", architecture, &setting)
    };
    let drivers = |architecture: &str| {
        component(
            "Microsoft-Windows-PnpCustomizationsNonWinPE",
            architecture,
            "<DriverPaths><PathAndCredentials wcm:action=\"add\" wcm:keyValue=\"1\"><Path>D:\\drivers</Path></PathAndCredentials></DriverPaths>",
        )
    };
    let check = |components: String| {
        let place = place(&answer_file(&pass("offlineServicing", &components)), "");
        let mut command = support::transom(&place.path("."));
        let output = command.args(["check", "recipe.toml"]).output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let one = check(format!("{}{}", lua("amd64", "false"), drivers("x86")));
    assert_eq!(one.0, 0, "{}", one.1);
    let neither = check(format!("{}{}{}", drivers("amd64"), lua("amd64", "false"), drivers("x86")));
    assert_eq!(neither.0, 5, "{}", neither.1);
    assert_eq!(neither.1.matches("is a path of another machine").count(), 1, "{}", neither.1);
}

#[test]
fn a_path_that_a_component_for_another_machine_names_is_named() {
    let drivers = component(
        "Microsoft-Windows-PnpCustomizationsNonWinPE",
        "arm64",
        "<DriverPaths><PathAndCredentials><Path>D:\\drivers\\</Path></PathAndCredentials></DriverPaths>",
    );
    let file = answer_file(&pass("offlineServicing", &drivers));
    let file = AnswerFile::parse(file.as_bytes()).unwrap();
    let mapped = |path: &str| MappedPath {
        path: path.to_owned(),
        input: InputId("drivers".to_owned()),
        inf: None,
        allow_unsigned: false,
        when_not_native: None,
    };
    let paths = [mapped("d:/drivers"), mapped("e:/drivers")];
    let facts = ImageFacts { architecture: Some(Architecture::Amd64), ..ImageFacts::default() };
    let found = offline(&file, &paths, WhenNotNative::Refuse, &facts, None);
    assert_eq!(found.unused, ["e:/drivers"]);
    assert!(found.wanted.is_empty() && found.problems.is_empty());
}

/// The manifest of a component with a setting of its own.
fn manifest(name: &str) -> String {
    format!(
        r#"<assembly xmlns="urn:schemas-microsoft-com:asm.v3" manifestVersion="1.0" xmlns:xsd="http://www.w3.org/2001/XMLSchema">
<assemblyIdentity name="{name}" version="10.0.26100.1" processorArchitecture="amd64" language="neutral" publicKeyToken="{TOKEN}" versionScope="nonSxS"/>
<configuration xmlns:wcm="http://schemas.microsoft.com/WMIConfig/2002/State"><configurationSchema><xsd:schema>
<xsd:element name="Colour" type="xsd:string" wcm:dataOnly="true" wcm:handler="regkey('HKLM\Software\Contoso\Paint')" wcm:legacyName="Main Colour" wcm:passes="offlineServicing"/>
</xsd:schema></configurationSchema></configuration></assembly>"#
    )
}

#[test]
fn what_no_table_knows_is_asked_of_the_images_own_manifest() {
    let folder = support::temporary_folder();
    demo::write_workspace(folder.path()).unwrap();
    let mut image = open(&folder.path().join("media/install.wim"), 1);
    let mut put = |name: &str, version: &str, text: Vec<u8>| {
        let identity = transom::format::cbs::Identity {
            name: name.to_owned(),
            version: transom::format::cbs::Version::parse(version).unwrap(),
            architecture: "amd64".to_owned(),
            language: "neutral".to_owned(),
            public_key_token: TOKEN.to_owned(),
            ..transom::format::cbs::Identity::default()
        };
        let path = format!(r"Windows\WinSxS\Manifests\{}.manifest", identity.key_form());
        let path = transom::base::ntpath::NtPath::parse(&path).unwrap();
        image.put_bytes(&path, text, &transom::image::NewNode::default()).unwrap();
    };
    let name = "Contoso-Paint-With-A-Name-That-Is-Longer-Than-Forty-Characters";
    put(name, "10.0.26100.1", manifest(name).into_bytes());
    let older = manifest(name).replace("10.0.26100.1", "10.0.1.1").replace("Main Colour", "Old");
    put(name, "10.0.1.1", older.into_bytes());
    let real = support::shared_data("cbs/manifests/comp_unattend.xml");
    if let Some(real) = &real {
        let text = fs_err::read_to_string(real).unwrap();
        let text = text.replace("10.0.22621.1\"", "10.0.26100.1\"");
        put(SHELL, "10.0.26100.1", text.into_bytes());
    }
    let facts = image.facts();
    let ask = |name: &str, settings: &str| {
        let text = answer_file(&pass("offlineServicing", &component(name, "amd64", settings)));
        let file = AnswerFile::parse(text.as_bytes()).unwrap();
        offline(&file, &[], WhenNotNative::Refuse, &facts, Some(&image))
    };
    let wanted = |found: &Offline| {
        let [one] = &found.wanted[..] else { panic!("{found:?}") };
        one.operation.title() + &serde_json::to_string(&one.operation).unwrap()
    };
    let colour = wanted(&ask(name, "<Colour>red</Colour>"));
    assert!(
        colour.contains(r"HKLM\Software\Contoso\Paint") && colour.contains("Main Colour"),
        "{colour}"
    );
    let found = ask(name, "<Shade>dark</Shade>");
    assert!(
        found.wanted.is_empty() && found.problems[0].1.help.contains("[registry]"),
        "{found:?}"
    );
    if real.is_some() {
        let bar = wanted(&ask(SHELL, "<DoNotCleanTaskBar>true</DoNotCleanTaskBar>"));
        assert!(bar.contains(r"HKLM\Software\Microsoft\Windows\CurrentVersion\Explorer:"), "{bar}");
        let panel = wanted(&ask(SHELL, "<StartPanelOff>false</StartPanelOff>"));
        assert!(panel.contains("DefaultStartPanelOff"), "{panel}");
    }
    let without = read(
        &answer_file(&pass("offlineServicing", &component(name, "amd64", "<Colour>red</Colour>"))),
        None,
    );
    assert!(without.undecided && without.problems.is_empty());
}
