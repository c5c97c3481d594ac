//! Builds with the real driver packages over the demo's base: other programs accept the output, the database keeps its rules, two builds are the same
//! file, and a package that was added and removed is gone.

use std::path::Path;
use std::process::Command;

use transom::{
    base::{limits::Limits, read_at::FileSource},
    format::wim::Wim,
    image::Image,
    servicing::drivers::{invariants, inventory},
};

use crate::support::{expect_success, oracle, shared_data, temporary_folder, transom};

/// What goes in: sources below `drivers/packages`, each an entry.
const SOURCES: [(&str, &str); 6] = [
    ("softether", "softether/Neo6_Win10/x64"),
    ("selow", "softether/SeLow_Win10/x64/SeLow_x64.inf"),
    ("wintun", "wintun-0.14.1/amd64/WINTUN.INF"),
    ("serial", "arduino/CP210x_6.7.4"),
    ("ftdi", "arduino/FTDI USB Drivers"),
    ("arduino", "arduino/arduino.inf"),
];

/// A workspace in `folder` whose recipe builds `out.wim` from `base.wim` with all of them.
fn workspace(folder: &Path, packages: &Path) {
    transom::cli::demo::write_base(&folder.join("base.wim"), &Default::default()).unwrap();
    let mut recipe = "[base]\nwim = \"base.wim\"\nindex = 1\n".to_owned();
    for (name, source) in SOURCES {
        let source = packages.join(source);
        recipe.push_str(&entry(name, &format!("source = '{}'", source.display())));
        recipe.push_str("when-not-native = \"first-boot\"\n");
    }
    recipe += "\n[output]\npath = \"out.wim\"\n";
    fs_err::write(folder.join("drivers.toml"), recipe).unwrap();
}

/// The beginning of an entry.
fn entry(name: &str, line: &str) -> String {
    format!("\n[drivers.{name}]\n{line}\n")
}

fn open(wim: &Path) -> Image {
    let source = FileSource::open(wim).unwrap();
    let wim = Wim::open(std::sync::Arc::new(source), &Limits::default()).unwrap();
    Image::open(std::sync::Arc::new(wim), 1, &Limits::default()).unwrap()
}

fn build(folder: &Path, recipe: &str, adjust: impl Fn(&mut Command)) {
    let mut command = transom(folder);
    adjust(&mut command);
    expect_success(command.args(["build", recipe]));
}

#[test]
fn real_packages_go_in_and_other_programs_accept_the_image() {
    let Some(packages) = shared_data("drivers/packages") else { return };
    let folder = temporary_folder();
    let here = folder.path();
    workspace(here, &packages);
    build(here, "drivers.toml", |command| {
        command.env("RAYON_NUM_THREADS", "1");
    });
    let output = here.join("out.wim");
    let mut image = open(&output);
    let installed = inventory::list(&mut image).unwrap();
    let third_party = installed.iter().filter(|driver| !driver.inbox).count();
    assert_eq!(
        third_party,
        127 + 4,
        "SoftEther's, SeLow, wintun, FTDI's bus, Arduino's; those with co-installers wait"
    );
    assert!(installed.iter().all(|driver| driver.active));
    let violations = invariants::check_image(&mut image).unwrap();
    assert!(violations.is_empty(), "{violations:?}");
    // The numbers follow the recipe: 127 of the first entry, then one each.
    let named = |original: &str| {
        let driver = installed.iter().find(|driver| driver.original.eq_ignore_ascii_case(original));
        driver.unwrap_or_else(|| panic!("{original} is not there")).published.clone()
    };
    assert_eq!(
        [named("SeLow_x64.inf"), named("wintun.inf"), named("arduino.inf")],
        ["oem127.inf", "oem128.inf", "oem130.inf"]
    );
    drop(image);

    if let Some(wimlib) = oracle("wimlib-imagex") {
        wimlib.run(["verify".as_ref(), output.as_os_str()]);
        let config = here.join("config");
        let paths = ["SYSTEM", "DRIVERS", "SOFTWARE"]
            .map(|hive| format!("/Windows/System32/config/{hive}"));
        let mut arguments = vec!["extract".into(), output.clone().into_os_string(), "1".into()];
        arguments.extend(paths.iter().map(std::ffi::OsString::from));
        arguments.push(format!("--dest-dir={}", config.display()).into());
        wimlib.run(&arguments);
        for (hive, prefix) in [
            ("SYSTEM", r"HKEY_LOCAL_MACHINE\SYSTEM"),
            ("DRIVERS", r"HKEY_LOCAL_MACHINE\DRIVERS"),
            ("SOFTWARE", r"HKEY_LOCAL_MACHINE\SOFTWARE"),
        ] {
            let file = config.join(hive);
            if let Some(hivexregedit) = oracle("hivexregedit") {
                let prefix = format!("--prefix={prefix}");
                let text = hivexregedit.run([
                    "--export".as_ref(),
                    prefix.as_ref(),
                    file.as_os_str(),
                    r"\".as_ref(),
                ]);
                let text = String::from_utf8_lossy(&text).into_owned();
                assert!(hive != "DRIVERS" || text.contains("wintun.inf_amd64_"), "{hive}");
            }
            if let Some(reged) = oracle("reged") {
                let text = here.join(format!("{hive}.reg"));
                reged.run([
                    "-x".as_ref(),
                    file.as_os_str(),
                    prefix.as_ref(),
                    r"\".as_ref(),
                    text.as_os_str(),
                ]);
                assert!(fs_err::metadata(&text).unwrap().len() > 0);
            }
            if let Some(hivexsh) = oracle("hivexsh") {
                let script = here.join("script");
                fs_err::write(&script, "ls\n").unwrap();
                let names = hivexsh.run(["-f".as_ref(), script.as_os_str(), file.as_os_str()]);
                let names = String::from_utf8_lossy(&names).into_owned();
                assert!(hive == "SOFTWARE" || names.contains("DriverDatabase"), "{hive}: {names}");
            }
        }
    }

    // Another place and another number of threads give the same file.
    let other = temporary_folder();
    workspace(other.path(), &packages);
    build(other.path(), "drivers.toml", |command| {
        command.env("RAYON_NUM_THREADS", "4");
    });
    let bytes = fs_err::read(&output).unwrap();
    assert!(bytes == fs_err::read(other.path().join("out.wim")).unwrap(), "the same bytes");

    // All out again, by what they are called.
    let mut recipe = "[base]\nwim = \"out.wim\"\nindex = 1\n".to_owned();
    for driver in installed.iter().filter(|driver| !driver.inbox) {
        let number = driver.published.trim_end_matches(".inf");
        recipe.push_str(&entry(number, &format!("inf = \"{}\"", driver.published)));
        recipe.push_str(
            "state = \"absent\"
",
        );
    }
    recipe += "[output]\npath = \"clean.wim\"\n";
    fs_err::write(here.join("clean.toml"), recipe).unwrap();
    build(here, "clean.toml", |_| {});
    let mut image = open(&here.join("clean.wim"));
    assert_eq!(
        inventory::list(&mut image).unwrap().iter().filter(|driver| !driver.inbox).count(),
        0
    );
    assert_eq!(invariants::check_image(&mut image).unwrap().len(), 0);
    let left = image.tree().walk().filter(|id| {
        let path = image.tree().path_of(*id).to_string();
        path.to_lowercase().contains(r"\inf\oem") || path.contains(r"FileRepository\")
    });
    assert_eq!(left.count(), 0, "nothing of them is left");
}
