//! Settings of a Windows PE image: on the fixture, on the image that DISM made, and as hivexsh reads them back.

use std::sync::Arc;

use transom::{
    base::limits::Limits,
    format::wim::Wim,
    image::{Image, RegistryPath},
    servicing::{
        InputId, Operation,
        winpe::{Startnet, WinPeSpec, Winpeshl, inventory},
    },
};

use crate::{image_fixture::MemoryInputs, settings_bench::SettingsBench, support::shared_data};

const SYSTEM: &str = r"\Windows\System32\config\SYSTEM";
const SOFTWARE: &str = r"\Windows\System32\config\SOFTWARE";

/// The small Windows as a Windows PE.
pub(crate) fn pe() -> SettingsBench {
    let mut bench = SettingsBench::new();
    for key in [
        r"HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion\WinPE",
        r"HKLM\SYSTEM\CurrentControlSet\Services\FBWF",
    ] {
        bench.image.create_key(&RegistryPath::parse(key).unwrap()).unwrap();
    }
    bench
}

fn operation(spec: WinPeSpec) -> Operation {
    Operation::WinPe(spec)
}

fn none() -> MemoryInputs {
    MemoryInputs::default()
}

fn commands(lines: &[&str]) -> Option<Startnet> {
    Some(Startnet::Commands(lines.iter().map(ToString::to_string).collect()))
}

fn both() -> Operation {
    operation(WinPeSpec {
        scratch_mib: Some(512),
        target_path: Some(r"X:\".to_owned()),
        startnet: commands(&["net use z: \\\\server\\share", "z:\\install.cmd"]),
        winpeshl: None,
    })
}

fn read_back(bench: SettingsBench, set: &str) {
    let finished = bench.finish();
    let scratch = [&format!(r"cd \{set}\Services\FBWF"), "lsval WinPECacheThreshold"];
    let Some(lines) = finished.hivexsh(SYSTEM, &scratch) else { return };
    assert_eq!(lines, ["512"]);
    let target = [r"cd \Microsoft\Windows NT\CurrentVersion\WinPE", "lsval InstRoot"];
    assert_eq!(finished.hivexsh(SOFTWARE, &target).unwrap(), [r"X:\"]);
}

#[test]
fn hivexsh_reads_scratch_space_and_target_path_back() {
    let mut bench = pe();
    assert!(bench.problems(&both(), &none()).is_empty());
    bench.run_twice(&both(), &none());
    let startnet = bench.text(r"\Windows\System32\startnet.cmd").unwrap();
    assert_eq!(startnet, "wpeinit\r\nnet use z: \\\\server\\share\r\nz:\\install.cmd\r\n");
    let state = inventory(&mut bench.image).unwrap().unwrap();
    assert_eq!((state.scratch_mib, state.target_path.as_deref()), (Some(512), Some(r"X:\")));
    assert_eq!(state.startnet.unwrap()[0], "wpeinit");
    read_back(bench, "ControlSet002");
}

#[test]
fn the_image_that_dism_made_takes_them() {
    let Some(wim) = shared_data("wim/wimbuilder2-boot.wim") else { return };
    let wim = Arc::new(Wim::open_path(&wim, &Limits::default()).unwrap());
    let mut bench = SettingsBench::on(Image::open(wim, 2, &Limits::default()).unwrap());
    let before = inventory(&mut bench.image).unwrap().expect("it is a Windows PE");
    assert_eq!(before.target_path, None);
    bench.run_twice(&both(), &none());
    let state = inventory(&mut bench.image).unwrap().unwrap();
    assert_eq!(state.scratch_mib, Some(512));
    // Its SYSTEM hive has no Select.
    read_back(bench, "ControlSet001");
}

#[test]
fn winpeshl_is_written_and_startnet_beside_it_is_warned_of() {
    let mut bench = pe();
    let shell = |app: &str, startnet| {
        operation(WinPeSpec {
            winpeshl: Some(Winpeshl::App(app.to_owned())),
            startnet,
            ..WinPeSpec::default()
        })
    };
    let odd = bench.problems(&shell(r"X:\a.exe", commands(&["b"])), &none());
    assert!(odd.len() == 1 && odd[0].cause.contains("does not run startnet.cmd"), "{odd:?}");
    assert!(bench.problems(&shell(r"X:\startnet.cmd", commands(&["b"])), &none()).is_empty());
    bench.run_twice(&shell(r"X:\a.exe", None), &none());
    let ini = r"\Windows\System32\winpeshl.ini";
    assert_eq!(bench.text(ini).unwrap(), "[LaunchApp]\r\nAppPath = X:\\a.exe\r\n");
    let apps = Winpeshl::Apps(vec!["wpeinit.exe".to_owned(), "a.exe, /b".to_owned()]);
    bench
        .run_twice(&operation(WinPeSpec { winpeshl: Some(apps), ..WinPeSpec::default() }), &none());
    assert_eq!(bench.text(ini).unwrap(), "[LaunchApps]\r\nwpeinit.exe\r\na.exe, /b\r\n");
    // The image's own counts too.
    let startnet = operation(WinPeSpec { startnet: commands(&["b"]), ..WinPeSpec::default() });
    assert_eq!(bench.problems(&startnet, &none()).len(), 1);
}

#[test]
fn files_are_placed_as_they_are_and_looked_at() {
    let mut bench = pe();
    let mut inputs = MemoryInputs::file("start.cmd", "@echo off\r\n");
    inputs.0.extend(MemoryInputs::file("shell.ini", "[LaunchApps]\r\nstartnet.cmd\r\n").0);
    let spec = operation(WinPeSpec {
        startnet: Some(Startnet::File(InputId("start.cmd".to_owned()))),
        winpeshl: Some(Winpeshl::File(InputId("shell.ini".to_owned()))),
        ..WinPeSpec::default()
    });
    let odd = bench.problems(&spec, &inputs);
    assert!(odd.len() == 1 && odd[0].cause.contains("does not call wpeinit"), "{odd:?}");
    bench.run_twice(&spec, &inputs);
    assert_eq!(bench.text(r"\Windows\System32\startnet.cmd").as_deref(), Some("@echo off\r\n"));
    assert!(bench.exists(r"\Windows\System32\winpeshl.ini"));
}

#[test]
fn another_image_is_refused() {
    let mut bench = SettingsBench::new();
    let told = bench.refusal(&both(), &none());
    assert!(told.contains("the image is no Windows PE"), "{told}");
    assert_eq!(inventory(&mut bench.image).unwrap(), None);
    let mut without = SettingsBench::new();
    let key = r"HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion\WinPE";
    without.image.create_key(&RegistryPath::parse(key).unwrap()).unwrap();
    let odd = without.problems(&both(), &none());
    assert!(odd.len() == 1 && odd[0].warning && odd[0].cause.contains("FBWF"), "{odd:?}");
}

#[test]
fn files_of_the_component_store_stay_as_they_are() {
    let shell =
        |winpeshl| operation(WinPeSpec { winpeshl: Some(winpeshl), ..WinPeSpec::default() });
    let given = MemoryInputs::file("shell.ini", "[LaunchApp]\r\nAppPath=a.exe\r\n");
    for (file, operation) in [
        ("startnet.cmd", both()),
        ("winpeshl.ini", shell(Winpeshl::App("X:\\a.exe".to_owned()))),
        ("winpeshl.ini", shell(Winpeshl::File(InputId("shell.ini".to_owned())))),
    ] {
        let file = format!(r"\Windows\System32\{file}");
        let mut bench = pe();
        bench.put(&file, "old");
        bench.link_to_store(&file);
        bench.run_twice(&operation, &given);
        bench.assert_store_kept(&file, "old");
    }
}
