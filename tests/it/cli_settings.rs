//! `transom inspect image` on how an image is set up: apps, services, Setup and answer files, Windows PE.

use std::path::Path;

use serde_json::Value;
use transom::{
    format::hive::Value as RegistryValue,
    image::RegistryPath,
    servicing::{
        InputId, Operation,
        first_boot::FirstBootSpec,
        winpe::{Startnet, WinPeSpec},
    },
};

use crate::{
    image_fixture::MemoryInputs,
    settings_apps::with_apps,
    settings_bench::SettingsBench,
    settings_winpe::pe,
    support::{shared_data, temporary_folder, transom},
};

/// What a run prints; it must end with `code`.
fn inspect(home: &Path, wim: &str, code: i32, view: &[&str]) -> (String, String) {
    let arguments: Vec<&str> = ["inspect", "image", wim].iter().chain(view).copied().collect();
    let output = transom(home).args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let (stdout, stderr) = (text(output.stdout), text(output.stderr));
    assert_eq!(output.status.code(), Some(code), "{view:?}\n{stdout}\n{stderr}");
    (stdout, stderr)
}

fn json(home: &Path, wim: &str, view: &[&str]) -> Value {
    let view: Vec<&str> = view.iter().copied().chain(["--json"]).collect();
    serde_json::from_str(&inspect(home, wim, 0, &view).0).unwrap()
}

fn key(path: &str) -> RegistryPath {
    RegistryPath::parse(path).unwrap()
}

#[test]
fn a_windows_tells_apps_services_and_the_state_of_setup() {
    let home = temporary_folder();
    let home = home.path();
    let mut bench = with_apps();
    let state = key(r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Setup\State");
    let complete = RegistryValue::sz("ImageState", "IMAGE_STATE_COMPLETE");
    bench.image.set_value(&state, &complete).unwrap();
    let setup = key(r"HKLM\SYSTEM\Setup");
    for value in [
        RegistryValue::dword("OOBEInProgress", 1),
        RegistryValue::sz("UnattendFile", r"C:\answers\mine.xml"),
    ] {
        bench.image.set_value(&setup, &value).unwrap();
    }
    let owner = RegistryValue::sz("RegisteredOwner", "Build farm");
    bench
        .image
        .set_value(&key(r"HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion"), &owner)
        .unwrap();
    for file in [
        r"\Windows\Panther\unattend.xml",
        r"\Windows\Panther\Unattend\Unattend.xml",
        r"\autounattend.xml",
    ] {
        bench.put(file, "<unattend/>");
    }
    let first = Operation::FirstBoot(FirstBootSpec::of_scripts([InputId("a.cmd".to_owned())]));
    bench.run(&first, &MemoryInputs::file("a.cmd", "echo a")).unwrap();
    bench.save(&home.join("a.wim"));

    let (apps, _) = inspect(home, "a.wim", 0, &["--apps"]);
    assert!(apps.contains("Contoso.News     2026.1.0.0  neutral       bundle"), "{apps}");
    assert!(
        apps.ends_with("3 provisioned apps (1 more that are registered alone: frameworks)\n"),
        "{apps}"
    );
    let state = json(home, "a.wim", &["--apps"]);
    assert_eq!(state["apps"][0]["family"], "Contoso.Maps_8wekyb3d8bbwe");
    let (intl, _) = inspect(home, "a.wim", 0, &["--intl"]);
    assert!(intl.starts_with("UI language          en-US\n"), "{intl}");
    assert_eq!(json(home, "a.wim", &["--intl"])["ui-language"], "en-US");
    let (services, _) = inspect(home, "a.wim", 0, &["--services"]);
    assert!(services.contains("Spooler         delayed  service"), "{services}");
    assert!(services.ends_with("2 services, 1 driver\n"), "{services}");
    let services = json(home, "a.wim", &["--services"]);
    assert_eq!(services["services"][2]["start"], "delayed");
    let (setup, _) = inspect(home, "a.wim", 0, &["--setup"]);
    let order = [
        "IMAGE_STATE_COMPLETE",
        "OOBE in progress",
        "SetupComplete.cmd",
        "01-a.cmd",
        r"1. C:\answers\mine.xml (not there;",
        r"2. \Windows\Panther\Unattend\unattend.xml (11 B;",
        r"3. \Windows\Panther\unattend.xml",
        r"4. \autounattend.xml",
    ];
    let places: Vec<usize> = order
        .iter()
        .map(|part| setup.find(part).unwrap_or_else(|| panic!("{part} in {setup}")))
        .collect();
    assert!(places.is_sorted(), "{setup}");
    let (whole, _) = inspect(home, "a.wim", 0, &[]);
    for part in
        ["Windows Setup", "Registered owner", "Provisioned: 2 apps (Contoso.Maps, Contoso.News)"]
    {
        assert!(whole.contains(part), "{part} in {whole}");
    }
    let whole = json(home, "a.wim", &[]);
    assert_eq!(whole["setup"]["oobe-in-progress"], 1);
    assert_eq!(whole["apps"]["apps"].as_array().unwrap().len(), 4);
    assert_eq!(whole["winpe"], Value::Null);
    assert_eq!(whole["locale"]["ui-language"], "en-US");
    assert_eq!(whole["defaults"]["registered-owner"], "Build farm");
    let (_, stderr) = inspect(home, "a.wim", 5, &["--pe"]);
    assert!(stderr.contains("this image is no Windows PE"), "{stderr}");
}

#[test]
fn a_windows_pe_tells_what_it_starts() {
    let home = temporary_folder();
    let home = home.path();
    let mut bench = pe();
    let spec = WinPeSpec {
        scratch_mib: Some(256),
        startnet: Some(Startnet::Commands(vec!["cmd".to_owned()])),
        ..WinPeSpec::default()
    };
    bench.run(&Operation::WinPe(spec), &MemoryInputs::default()).unwrap();
    bench.save(&home.join("a.wim"));
    let (text, _) = inspect(home, "a.wim", 0, &["--pe"]);
    assert_eq!(text, "Scratch space  256 MiB\nstartnet.cmd   wpeinit; cmd\n");
    assert_eq!(json(home, "a.wim", &[])["winpe"]["scratch-mib"], 256);
    assert!(inspect(home, "a.wim", 0, &[]).0.contains("\nWindows PE\nScratch space  256 MiB"));
    let Some(real) = shared_data("wim/wimbuilder2-boot.wim") else { return };
    let real = real.to_str().unwrap().to_owned();
    let (text, _) = inspect(home, &real, 0, &["--index", "2", "--pe"]);
    assert!(text.starts_with("Scratch space"), "{text}");
}

#[test]
fn an_empty_image_has_nothing_to_tell() {
    let home = temporary_folder();
    let bench = SettingsBench::on(transom::image::Image::empty(crate::image_fixture::EPOCH));
    bench.save(&home.path().join("a.wim"));
    let whole = json(home.path(), "a.wim", &[]);
    assert_eq!(whole["apps"]["apps"], Value::Array(Vec::new()));
    let (apps, _) = inspect(home.path(), "a.wim", 0, &["--apps"]);
    assert_eq!(apps, "0 provisioned apps\n");
    let (setup, _) = inspect(home.path(), "a.wim", 0, &["--setup"]);
    assert_eq!(setup, "Answer files: none\n");
}
