//! Provisioned apps: taken out of an image whole, and left to the first boot when they shall come.

use std::io::Write as _;

use flate2::{Crc, write::DeflateEncoder};
use transom::{
    format::hive::Value,
    image::RegistryPath,
    servicing::{
        InputId, Operation, WhenNotNative,
        appx::{AppxAction, AppxSpec, inventory::inventory, name::publisher_id},
    },
};

use crate::{
    image_fixture::{MemoryInputs, path},
    settings_bench::SettingsBench,
};

const ID: &str = "8wekyb3d8bbwe";
const PUBLISHER: &str =
    "CN=Microsoft Corporation, O=Microsoft Corporation, L=Redmond, S=Washington, C=US";
const STORE: &str = r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Appx\AppxAllUserStore";
const LIST: &str = r"\ProgramData\Microsoft\Windows\AppxProvisioning.xml";
const APPS: &str = r"\Program Files\WindowsApps";
const SOFTWARE: &str = r"\Windows\System32\config\SOFTWARE";

fn full(name: &str, version: &str, middle: &str) -> String {
    format!("{name}_{version}_{middle}_{ID}")
}

fn bundle_manifest(name: &str, version: &str, members: &[(&str, &str, &str, &str)]) -> String {
    let members: String = members
        .iter()
        .map(|(kind, version, architecture, resource)| {
            format!(
                r#"<Package Type="{kind}" Version="{version}" Architecture="{architecture}" ResourceId="{resource}" FileName="x"/>"#
            )
        })
        .collect();
    format!(
        r#"<Bundle xmlns="http://schemas.microsoft.com/appx/2013/bundle"><Identity Name="{name}" Publisher="{PUBLISHER}" Version="{version}"/><Packages>{members}</Packages></Bundle>"#
    )
}

fn manifest(name: &str, version: &str, architecture: &str, more: &str) -> String {
    format!(
        r#"<Package xmlns="http://schemas.microsoft.com/appx/manifest/foundation/windows10"><Identity Name="{name}" Publisher="{PUBLISHER}" Version="{version}" ProcessorArchitecture="{architecture}"/>{more}</Package>"#
    )
}

/// The small Windows with two apps in bundles, of which one comes in two versions, and a framework.
pub(crate) fn with_apps() -> SettingsBench {
    let mut bench = SettingsBench::new();
    let news = full("Contoso.News", "2026.1.0.0", "neutral_~");
    let old = full("Contoso.Maps", "1.0.0.0", "neutral_~");
    let new = full("Contoso.Maps", "2.0.0.0", "neutral_~");
    let framework = full("Contoso.Runtime", "14.0.0.0", "x64_");
    let entry = |full: &str| format!(r#"<Package FullName="{full}" PackageType="bundle"/>"#);
    let list = format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?><Provisioned xmlns=\"http://schemas.microsoft.com/appx/2013/appxprovisionpackage\">{}{}{}</Provisioned>",
        entry(&news),
        entry(&old),
        entry(&new)
    );
    bench.put(LIST, list);
    for (full, file) in [
        (&news, r"AppxMetadata\AppxBundleManifest.xml"),
        (&old, r"AppxMetadata\AppxBundleManifest.xml"),
        (&new, r"AppxMetadata\AppxBundleManifest.xml"),
        (&framework, "AppxManifest.xml"),
    ] {
        let key = RegistryPath::parse(&format!(r"{STORE}\Applications\{full}")).unwrap();
        let place = format!(r"C:\Program Files\WindowsApps\{full}\{file}");
        bench.image.set_value(&key, &Value::sz("Path", &place)).unwrap();
    }
    let german = ("resource", "4.2.0.0", "neutral", "split.language-de");
    let members = [("application", "4.2.0.0", "x64", ""), german];
    let bundle = |version: &str, name: &str, members: &[_]| bundle_manifest(name, version, members);
    let maps = |version: &'static str| {
        [("application", version, "x64", ""), ("resource", "1.5.0.0", "neutral", "split.scale-125")]
    };
    let needs = r#"<Dependencies><PackageDependency Name="Contoso.Runtime" MinVersion="14.0.0.0" Publisher="x"/></Dependencies>"#;
    for (folder, file, text) in [
        (
            news,
            r"AppxMetadata\AppxBundleManifest.xml",
            bundle("2026.1.0.0", "Contoso.News", &members),
        ),
        (
            full("Contoso.News", "4.2.0.0", "x64_"),
            "AppxManifest.xml",
            manifest("Contoso.News", "4.2.0.0", "x64", needs),
        ),
        (
            full("Contoso.News", "4.2.0.0", "neutral_split.language-de"),
            "AppxManifest.xml",
            "x".to_owned(),
        ),
        (
            old,
            r"AppxMetadata\AppxBundleManifest.xml",
            bundle("1.0.0.0", "Contoso.Maps", &maps("1.1.0.0")),
        ),
        (
            full("Contoso.Maps", "1.1.0.0", "x64_"),
            "AppxManifest.xml",
            manifest("Contoso.Maps", "1.1.0.0", "x64", ""),
        ),
        (
            full("Contoso.Maps", "1.5.0.0", "neutral_split.scale-125"),
            "AppxManifest.xml",
            "x".to_owned(),
        ),
        (
            new,
            r"AppxMetadata\AppxBundleManifest.xml",
            bundle("2.0.0.0", "Contoso.Maps", &maps("2.1.0.0")),
        ),
        (
            full("Contoso.Maps", "2.1.0.0", "x64_"),
            "AppxManifest.xml",
            manifest("Contoso.Maps", "2.1.0.0", "x64", ""),
        ),
        (
            framework,
            "AppxManifest.xml",
            manifest(
                "Contoso.Runtime",
                "14.0.0.0",
                "x64",
                "<Properties><Framework>true</Framework></Properties>",
            ),
        ),
    ] {
        bench.put(&format!(r"{APPS}\{folder}\{file}"), text);
    }
    bench
}

fn absent(name: &str) -> Operation {
    absent_with(name, &[])
}

/// `name` goes, and so do the others.
fn absent_with(name: &str, with: &[&str]) -> Operation {
    let with = with.iter().map(ToString::to_string).collect();
    Operation::Appx(AppxSpec { name: name.to_owned(), action: AppxAction::Absent { with } })
}

fn none() -> MemoryInputs {
    MemoryInputs::default()
}

#[test]
fn an_app_goes_from_all_four_places() {
    let mut bench = with_apps();
    assert_eq!(inventory(&mut bench.image).unwrap().apps.len(), 4);
    for name in ["contoso.news", &format!("Contoso.News_{ID}")] {
        assert!(bench.problems(&absent(name), &none()).is_empty(), "{name}");
    }
    assert_eq!(
        bench.run_twice(&absent("Contoso.News"), &none()),
        6,
        "list, key, mark, three folders"
    );
    assert!(bench.problems(&absent("Contoso.News"), &none()).is_empty(), "gone is fine");
    let state = inventory(&mut bench.image).unwrap();
    assert!(state.apps.iter().all(|app| app.name != "Contoso.News"));
    assert_eq!(state.deprovisioned, [format!("Contoso.News_{ID}")]);
    let list = bench.text(LIST).unwrap();
    assert!(!list.contains("News") && list.matches("Contoso.Maps").count() == 2, "{list}");
    for (middle, version) in
        [("neutral_~", "2026.1.0.0"), ("x64_", "4.2.0.0"), ("neutral_split.language-de", "4.2.0.0")]
    {
        assert!(!bench.exists(&format!(r"{APPS}\{}", full("Contoso.News", version, middle))));
    }
    let store = r"cd \Microsoft\Windows\CurrentVersion\Appx\AppxAllUserStore";
    let commands =
        [&format!(r"{store}\Applications"), "ls", &format!(r"{store}\Deprovisioned"), "ls"];
    let Some(lines) = bench.finish().hivexsh(SOFTWARE, &commands) else { return };
    let expected = [
        full("Contoso.Maps", "1.0.0.0", "neutral_~"),
        full("Contoso.Maps", "2.0.0.0", "neutral_~"),
        full("Contoso.Runtime", "14.0.0.0", "x64_"),
        format!("Contoso.News_{ID}"),
    ];
    assert_eq!(lines, expected);
}

#[test]
fn a_folder_that_another_bundle_uses_stays() {
    let mut bench = with_apps();
    bench.run_twice(&absent(&full("Contoso.Maps", "1.0.0.0", "neutral_~")), &none());
    let there = |bench: &SettingsBench, version: &str, middle: &str| {
        bench.exists(&format!(r"{APPS}\{}", full("Contoso.Maps", version, middle)))
    };
    assert!(!there(&bench, "1.0.0.0", "neutral_~") && !there(&bench, "1.1.0.0", "x64_"));
    assert!(
        there(&bench, "1.5.0.0", "neutral_split.scale-125") && there(&bench, "2.1.0.0", "x64_")
    );
    assert!(inventory(&mut bench.image).unwrap().deprovisioned.is_empty(), "the family stays");
    // With the last one the rest goes.
    bench.run_twice(&absent("Contoso.Maps"), &none());
    assert!(!there(&bench, "1.5.0.0", "neutral_split.scale-125"));
}

#[test]
fn a_framework_that_others_need_is_not_removed() {
    let mut bench = with_apps();
    let told = bench.refusal(&absent("Contoso.Runtime"), &none());
    assert!(told.contains("other apps need it: Contoso.News_4.2.0.0_x64__"), "{told}");
    bench.run_twice(&absent("Contoso.News"), &none());
    bench.run_twice(&absent("Contoso.Runtime"), &none());
}

#[test]
fn a_framework_goes_with_all_the_apps_that_need_it() {
    let whole = full("Contoso.News", "2026.1.0.0", "neutral_~");
    let family = format!("Contoso.News_{ID}");
    for news in ["contoso.news", &whole, &family] {
        let steps = [
            absent_with("Contoso.Runtime", &["Contoso.Maps", news]),
            absent_with(news, &["Contoso.Maps", "Contoso.Runtime"]),
        ];
        for order in [[0, 1], [1, 0]] {
            let mut bench = with_apps();
            for step in order {
                assert!(bench.problems(&steps[step], &none()).is_empty(), "{news}");
            }
            for step in order {
                bench.run_twice(&steps[step], &none());
            }
            let state = inventory(&mut bench.image).unwrap();
            assert!(state.apps.iter().all(|app| app.name == "Contoso.Maps"), "{state:?}");
        }
    }
    let mut bench = with_apps();
    let maps = absent_with("Contoso.Runtime", &["Contoso.Maps"]);
    assert!(bench.refusal(&maps, &none()).contains("other apps need it: Contoso.News"));
    // A user has the app: it stays, whatever the recipe says.
    let package = full("Contoso.News", "4.2.0.0", "x64_");
    let key = RegistryPath::parse(&format!(r"{STORE}\S-1-5-21-1\{package}")).unwrap();
    bench.image.create_key(&key).unwrap();
    let news = absent_with("Contoso.Runtime", &["Contoso.News"]);
    assert!(bench.refusal(&news, &none()).contains("other apps need it: Contoso.News"));
}

#[test]
fn an_app_that_waits_for_the_first_boot_is_not_just_absent() {
    let mut bench = with_apps();
    bench.run_twice(&present(WhenNotNative::FirstBoot), &sources("x64", ""));
    let whole = full("Contoso.Paint", "3.0.0.0", "x64_");
    for name in ["contoso.paint", &whole, &format!("Contoso.Paint_{ID}")] {
        let told = bench.refusal(&absent(name), &none());
        assert!(told.contains("the image installs it at its first boot"), "{told}");
    }
    let other = full("Contoso.Paint", "2.0.0.0", "x64_");
    for name in ["Contoso.News", &other] {
        bench.run_twice(&absent(name), &none());
    }
    // Its files are gone: it was installed.
    let folder = r"\Windows\Setup\Scripts\transom-apps";
    bench.image.remove(&path(folder)).unwrap();
    bench.run_twice(&absent("Contoso.Paint"), &none());
}

#[test]
fn a_users_app_keeps_its_folder_and_an_inbox_app_is_refused() {
    let mut bench = with_apps();
    let package = full("Contoso.News", "4.2.0.0", "x64_");
    let inbox = full("Contoso.Shell", "1.0.0.0", "neutral_");
    for below in [format!(r"S-1-5-21-1\{package}"), format!(r"InboxApplications\{inbox}")] {
        bench
            .image
            .create_key(&RegistryPath::parse(&format!(r"{STORE}\{below}")).unwrap())
            .unwrap();
    }
    let problems = bench.problems(&absent("Contoso.News"), &none());
    assert!(problems[0].warning && problems[0].cause.contains("its folder stays"), "{problems:?}");
    bench.run(&absent("Contoso.News"), &none()).unwrap();
    assert!(bench.exists(&format!(r"{APPS}\{package}")));
    let told = bench.refusal(&absent("Contoso.Shell"), &none());
    assert!(told.contains("a part of Windows"), "{told}");
}

#[test]
fn what_is_not_there_is_a_warning_that_helps() {
    let mut bench = with_apps();
    for (name, help) in [
        ("Contoso.Newz", "did you mean Contoso.News?"),
        ("Fabrikam.Paint", "it has Contoso.Maps, Contoso.News, Contoso.Runtime"),
        (&full("Contoso.News", "9.9.9.9", "neutral_~"), "write `Contoso.News` for every version"),
    ] {
        let problems = bench.problems(&absent(name), &none());
        assert!(problems.len() == 1 && problems[0].warning, "{problems:?}");
        assert!(problems[0].help.contains(help), "{problems:?}");
        assert_eq!(bench.run_twice(&absent(name), &none()), 0);
    }
    let mut bare = SettingsBench::new();
    let problems = bare.problems(&absent("A"), &none());
    assert!(
        problems[0].warning && problems[0].help.contains("no provisioned apps"),
        "{problems:?}"
    );
    bare.put(LIST, "<x/>");
    let told = bare.refusal(&absent("A"), &none());
    assert!(told.contains("list of provisioned apps cannot be read: line 1"), "{told}");
}

/// A ZIP archive with one deflated member.
fn zip(member: &str, text: &str) -> Vec<u8> {
    let mut packed = DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(text.as_bytes()).unwrap();
    let packed = packed.finish().unwrap();
    let mut crc = Crc::new();
    crc.update(text.as_bytes());
    let size = |length: usize| u32::try_from(length).unwrap().to_le_bytes();
    let common = [
        &[20, 0, 0, 0, 8, 0, 0, 0, 0, 0][..],
        &crc.sum().to_le_bytes(),
        &size(packed.len()),
        &size(text.len()),
        &size(member.len())[..2],
        &[0, 0],
    ]
    .concat();
    let local = [b"PK\x03\x04", &common[..], member.as_bytes(), &packed].concat();
    let central = [b"PK\x01\x02\x14\x00", &common[..], &[0; 14], member.as_bytes()].concat();
    let end =
        [b"PK\x05\x06\0\0\0\0\x01\0\x01\0", &size(central.len())[..], &size(local.len()), &[0, 0]]
            .concat();
    [local, central, end].concat()
}

fn present(when: WhenNotNative) -> Operation {
    Operation::Appx(AppxSpec {
        name: "Contoso.Paint".to_owned(),
        action: AppxAction::Present {
            source: InputId("apps/paint.msix".to_owned()),
            license: Some(InputId("apps/paint_License1.xml".to_owned())),
            dependencies: vec![InputId("apps/runtime.appx".to_owned())],
            region: Some("all".to_owned()),
            when_not_native: when,
        },
    })
}

fn sources(architecture: &str, more: &str) -> MemoryInputs {
    let mut inputs = MemoryInputs::default();
    let paint = manifest("Contoso.Paint", "3.0.0.0", architecture, more);
    let runtime = manifest("Contoso.Runtime", "15.0.0.0", "x64", "");
    for (name, content) in [
        ("apps/paint.msix", zip("AppxManifest.xml", &paint)),
        ("apps/runtime.appx", zip("AppxManifest.xml", &runtime)),
        ("apps/paint_License1.xml", b"<License/>".to_vec()),
    ] {
        inputs.0.extend(MemoryInputs::file(name, content).0);
    }
    inputs
}

#[test]
fn an_app_that_shall_come_waits_for_the_first_boot() {
    let mut bench = with_apps();
    let needs = r#"<Dependencies><TargetDeviceFamily Name="Windows.Desktop" MinVersion="10.0.17763.0"/><PackageDependency Name="Contoso.Runtime" MinVersion="15.0.0.0"/></Dependencies>"#;
    let inputs = sources("x64", needs);
    let told = bench.refusal(&present(WhenNotNative::Refuse), &inputs);
    assert!(
        told.contains("cannot be installed into an image here") && told.contains("first-boot"),
        "{told}"
    );
    assert!(bench.refusal(&present(WhenNotNative::Dism), &inputs).contains("--as dism"));
    bench.run_twice(&present(WhenNotNative::FirstBoot), &inputs);
    let scripts = r"\Windows\Setup\Scripts";
    for file in ["paint.msix", "runtime.appx", "paint_License1.xml"] {
        assert!(
            bench.exists(&format!(r"{scripts}\transom-apps\app-Contoso.Paint\{file}")),
            "{file}"
        );
    }
    let script = bench.text(&format!(r"{scripts}\transom\01-app-Contoso.Paint.cmd")).unwrap();
    let call = r#"/Online /Add-ProvisionedAppxPackage /PackagePath:"%PAYLOAD%\paint.msix" /DependencyPackagePath:"%PAYLOAD%\runtime.appx" /LicensePath:"%PAYLOAD%\paint_License1.xml" /Region:"all" /NoRestart"#;
    assert!(script.contains(call), "{script}");
    assert!(
        bench
            .text(&format!(r"{scripts}\SetupComplete.cmd"))
            .unwrap()
            .contains("01-app-Contoso.Paint.cmd")
    );
    // The app is there in a newer version: nothing is to be done.
    let mut there = with_apps();
    let newer = format!(
        r#"<Provisioned><Package FullName="{}"/></Provisioned>"#,
        full("Contoso.Paint", "4.0.0.0", "x64_")
    );
    there.put(LIST, newer);
    let problems = there.problems(&present(WhenNotNative::Refuse), &inputs);
    assert!(
        problems.len() == 1 && problems[0].warning && problems[0].cause.contains("newer"),
        "{problems:?}"
    );
    assert_eq!(there.run_twice(&present(WhenNotNative::Refuse), &inputs), 0);
}

#[test]
fn an_app_that_does_not_fit_is_refused_before_anything_is_done() {
    let first = present(WhenNotNative::FirstBoot);
    let mut bench = with_apps();
    for (inputs, cause) in [
        (sources("arm64", ""), "it is for arm64, the image is amd64"),
        (
            sources(
                "x64",
                r#"<Dependencies><TargetDeviceFamily Name="Windows.Universal" MinVersion="10.0.99999.0"/></Dependencies>"#,
            ),
            "it needs Windows 10.0.99999.0, the image is 10.0.26100.1742",
        ),
        (
            sources(
                "x64",
                r#"<Dependencies><PackageDependency Name="Contoso.Else" MinVersion="1.0.0.0"/></Dependencies>"#,
            ),
            "it needs Contoso.Else 1.0.0.0",
        ),
    ] {
        let told = bench.refusal(&first, &inputs);
        assert!(told.contains(cause), "{told}");
    }
    let mut wrong = sources("x64", "");
    wrong.0.extend(
        MemoryInputs::file(
            "apps/paint.msix",
            zip("AppxManifest.xml", &manifest("Contoso.Draw", "1.0.0.0", "x64", "")),
        )
        .0,
    );
    let told = bench.refusal(&first, &wrong);
    assert!(
        told.contains("it is Contoso.Draw_1.0.0.0_x64__")
            && told.contains("[appx] \"Contoso.Draw\""),
        "{told}"
    );
    for (content, cause) in [
        (b"no zip".to_vec(), "it is no app package"),
        (zip("x.xml", ""), "it has no manifest"),
        (zip("AppxManifest.xml", "<Package>"), "its manifest cannot be read: line 1"),
    ] {
        wrong.0.extend(MemoryInputs::file("apps/paint.msix", content).0);
        let error = bench.run(&first, &wrong).unwrap_err().to_string();
        assert!(error.contains(cause), "{error}");
    }
    let mut wrong = sources("x64", "");
    wrong.0.extend(MemoryInputs::file("apps/paint_License1.xml", "<x/>").0);
    let error = bench.run(&first, &wrong).unwrap_err().to_string();
    assert!(error.contains("not <License>"), "{error}");
}

#[test]
fn windows_pe_has_no_apps() {
    let mut bench = with_apps();
    let key =
        RegistryPath::parse(r"HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion\WinPE").unwrap();
    bench.image.create_key(&key).unwrap();
    let told = bench.refusal(&absent("Contoso.News"), &none());
    assert!(told.contains("Windows PE has no apps"), "{told}");
    assert_eq!(publisher_id(PUBLISHER), ID);
}

#[test]
fn files_of_the_component_store_stay_as_they_are() {
    let mut bench = with_apps();
    let list = bench.text(LIST).unwrap();
    bench.link_to_store(LIST);
    bench.run_twice(&absent("Contoso.News"), &none());
    bench.assert_store_kept(LIST, &list);
}
