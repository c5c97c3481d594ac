//! Every INF and INX of the shared data: read or refused for a true reason, resolved for every architecture, known ones by hand.

use std::collections::BTreeMap;
use std::path::PathBuf;

use transom::format::inf::{
    DriverInf, Inf, InfArchitecture, InfError, NoIncludes, RegistryAction, Target, architectures,
    resolve, version,
};

use super::support;

pub(crate) fn target(architecture: InfArchitecture) -> Target {
    Target { architecture, version: (10, 0), build: 26100, product_type: Some(1), language: 0x409 }
}

pub(crate) fn corpus() -> Option<(PathBuf, Vec<PathBuf>)> {
    let root = support::shared_data("drivers")?;
    let mut files: Vec<PathBuf> = walkdir::WalkDir::new(&root)
        .into_iter()
        .map(|entry| entry.unwrap().into_path())
        .filter(|path| {
            let extension = path.extension().unwrap_or_default().to_ascii_lowercase();
            extension == "inf" || extension == "inx"
        })
        .collect();
    files.sort();
    Some((root, files))
}

/// What the driver kit's stampinf does to a template.
pub(crate) fn stamp(bytes: &[u8], architecture: InfArchitecture) -> Vec<u8> {
    let wide = bytes.starts_with(&[0xff, 0xfe]);
    let text = if wide {
        let (units, _) = bytes[2..].as_chunks::<2>();
        String::from_utf16_lossy(
            &units.iter().map(|unit| u16::from_le_bytes(*unit)).collect::<Vec<_>>(),
        )
    } else if let Ok(text) = std::str::from_utf8(bytes) {
        text.to_owned()
    } else {
        return bytes.to_vec();
    };
    let name = architecture.name();
    let text =
        ["$ARCH$", "$Arch$", "$arch$"].iter().fold(text, |text, from| text.replace(from, name));
    text.replace("%INX_PLATFORM_DRIVERS_DIR%", "%12%")
        .replace("INX_PLATFORM_DRIVERS_DIR", "12")
        .into_bytes()
}

fn reason(error: &InfError) -> String {
    // The kind of cause, without what it holds.
    let cause = format!("{:?}", error.cause);
    cause.split(['(', ' ', '{']).next().unwrap_or_default().to_owned()
}

#[test]
fn every_real_inf_is_read_or_refused_for_a_true_reason() {
    let Some((root, files)) = corpus() else { return };
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let mut refused: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut add = |what: &str| *counts.entry(what.to_owned()).or_default() += 1;
    for path in &files {
        let name = path.strip_prefix(&root).unwrap().display().to_string();
        let bytes = fs_err::read(path).unwrap();
        let inf = match Inf::parse(&bytes) {
            Ok(inf) => inf,
            Err(error) => {
                refused.entry(format!("parse {}", reason(&error))).or_default().push(name);
                continue;
            }
        };
        add("parsed");
        assert!(inf.defects().len() <= 512);
        for architecture in [InfArchitecture::Amd64, InfArchitecture::X86, InfArchitecture::Arm64] {
            let inf = Inf::parse(&stamp(&bytes, architecture)).unwrap();
            match resolve(&inf, &target(architecture), &NoIncludes) {
                Ok(found) => {
                    add(&format!("{} resolved", architecture.name()));
                    if !found.models.is_empty() {
                        add(&format!("{} with models", architecture.name()));
                    }
                    if version(&inf, architecture).is_err() {
                        add("version refused, resolve not");
                    }
                    if !found.models.is_empty() && !architectures(&inf).contains(&architecture) {
                        add("models without architecture");
                    }
                    check(&name, &found);
                }
                Err(error) => {
                    let line = format!("{name}: {error}");
                    refused
                        .entry(format!("{} {}", architecture.name(), reason(&error)))
                        .or_default()
                        .push(line);
                }
            }
        }
    }
    for (reason, names) in &refused {
        eprintln!("refused, {reason}: {}", names.len());
        for name in names {
            eprintln!("    {name}");
        }
    }
    eprintln!("{counts:#?}");
    let count = |what: &str| counts.get(what).copied().unwrap_or_default();
    assert_eq!(count("version refused, resolve not") + count("models without architecture"), 0);
    // Registry lists of ReactOS that are no driver packages, its boot files, templates whose version a build fills in, files without a section.
    let reasons: Vec<(&str, usize)> =
        refused.iter().map(|(reason, names)| (reason.as_str(), names.len())).collect();
    assert_eq!(
        reasons,
        [
            ("amd64 DriverVersion", 4),
            ("amd64 MissingEntry", 5),
            ("amd64 MissingSection", 22),
            ("amd64 Signature", 8),
            ("arm64 DriverVersion", 4),
            ("arm64 MissingEntry", 5),
            ("arm64 MissingSection", 22),
            ("arm64 Signature", 8),
            ("parse NoSections", 2),
            ("x86 Destination", 1),
            ("x86 DriverVersion", 4),
            ("x86 MissingEntry", 5),
            ("x86 MissingSection", 22),
            ("x86 Number", 1),
            ("x86 Signature", 8),
        ]
    );
    assert_eq!((files.len(), count("parsed")), (408, 406));
}

/// What must hold of anything resolved.
fn check(name: &str, found: &DriverInf) {
    assert_eq!(found.models.is_empty(), found.installs.is_empty(), "{name}");
    for model in &found.models {
        let known = found
            .installs
            .iter()
            .any(|install| install.section.eq_ignore_ascii_case(&model.install));
        assert!(known && model.line > 0, "{name}: {}", model.install);
    }
    assert!(found.files.is_sorted_by(|a, b| a.path < b.path), "{name}");
}

fn one(name: &str, architecture: InfArchitecture) -> Option<DriverInf> {
    let path = support::shared_data("drivers")?.join(name);
    let inf = Inf::parse(&stamp(&fs_err::read(path).unwrap(), architecture)).unwrap();
    Some(resolve(&inf, &target(architecture), &NoIncludes).unwrap())
}

fn wide(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

#[test]
fn viostor_by_hand() {
    let name = "inf/virtio-win+kvm-guest-drivers-windows/viostor/viostor.inx";
    let Some(found) = one(name, InfArchitecture::Amd64) else { return };
    assert_eq!(
        (found.version.class.as_str(), found.version.version),
        ("SCSIAdapter", [0, 0, 0, 1])
    );
    assert_eq!(found.version.class_guid.to_string(), "{4d36e97b-e325-11ce-bfc1-08002be10318}");
    assert_eq!(
        (found.version.date, found.version.catalog.as_deref()),
        ((2008, 1, 1), Some("viostor.cat"))
    );
    assert_eq!((found.models.len(), found.installs.len(), found.unsupported.len()), (2, 1, 0));
    assert_eq!(found.models[1].compatible_ids, ["PCI\\VEN_1AF4&DEV_1042"]);
    assert_eq!(found.models[0].description_token, "%viostorscsi.devicedesc%");
    let install = &found.installs[0];
    assert_eq!((install.section.as_str(), install.feature_score), ("scsi_inst", 0xff));
    let copy = &install.copies[0];
    assert_eq!(
        (copy.from.as_str(), copy.to.dirid, copy.to.path.as_str(), copy.flags),
        ("viostor.sys", 12, "viostor.sys", 2)
    );
    let service = &install.services[0];
    assert_eq!((service.name.as_str(), service.flags, service.service_type), ("viostor", 2, 1));
    assert_eq!((service.start_type, service.error_control), (0, 1));
    assert_eq!(service.group.as_deref(), Some("SCSI miniport"));
    let binary = service.binary.as_ref().unwrap();
    assert_eq!((binary.dirid, binary.path.as_str()), (12, "viostor.sys"));
    assert_eq!(service.registry[0].key, "Parameters\\PnpInterface");
    let (source, events) = service.event_log.as_ref().unwrap();
    let RegistryAction::Set { kind, data, .. } = &events[0].action else { panic!() };
    assert_eq!((source.as_str(), *kind), ("viostor", 2));
    assert_eq!(*data, wide("%SystemRoot%\\System32\\IoLogMsg.dll\0"));
    assert_eq!(
        (install.device_registry.len(), &install.device_registry[0].action),
        (7, &RegistryAction::Key)
    );
    let RegistryAction::Set { kind, data, .. } = &install.device_registry[3].action else {
        panic!()
    };
    assert_eq!((*kind, data.as_slice()), (4, &257_u32.to_le_bytes()[..]));
}

#[test]
fn wintun_by_hand() {
    let name = "packages/wintun-0.14.1/amd64/WINTUN.INF";
    let Some(found) = one(name, InfArchitecture::Amd64) else { return };
    assert_eq!(
        (found.version.provider.as_str(), found.version.pnp_lockdown),
        ("WireGuard LLC", true)
    );
    assert_eq!((found.version.date, found.version.version), ((2021, 10, 13), [0, 14, 0, 0]));
    assert_eq!(found.version.catalog.as_deref(), Some("wintun.cat"));
    assert_eq!(
        (found.models[0].hardware_id.as_str(), found.models[0].install.as_str()),
        ("Wintun", "Wintun.Install")
    );
    let install = &found.installs[0];
    assert_eq!((install.copies[0].flags, install.driver_registry.len()), (0x4002, 3));
    assert_eq!((install.properties[0].id, install.properties[0].kind), (3, 0x12));
    assert_eq!(install.properties[0].data, wide("https://www.wintun.net/\0"));
    assert_eq!((install.services[0].start_type, found.files.len()), (3, 1));
    // Its event section holds registry lines instead of naming a section of them: Windows does not read those.
    let (source, events) = install.services[0].event_log.as_ref().unwrap();
    assert_eq!((source.as_str(), events.len()), ("wintun", 0));
    assert!(one(name, InfArchitecture::Arm64).unwrap().models.is_empty());
}

#[test]
fn complete_packages_have_the_files_that_are_asked_for() {
    let Some((root, files)) = corpus() else { return };
    let (mut there, mut missing) = (0, Vec::new());
    for path in files.iter().filter(|path| path.starts_with(root.join("packages"))) {
        let folder = path.parent().unwrap();
        let known: Vec<String> = walkdir::WalkDir::new(folder)
            .into_iter()
            .map(|entry| entry.unwrap().into_path())
            .map(|path| path.strip_prefix(folder).unwrap().display().to_string().to_lowercase())
            .collect();
        let inf = Inf::parse(&fs_err::read(path).unwrap()).unwrap();
        for architecture in architectures(&inf) {
            for file in resolve(&inf, &target(architecture), &NoIncludes).unwrap().files {
                if known.contains(&file.path.replace('\\', "/").to_lowercase()) {
                    there += 1;
                } else {
                    missing.push(format!("{}: {}", path.display(), file.path));
                }
            }
        }
    }
    eprintln!("{there} files there, missing: {missing:#?}");
    assert!(there > 130, "{there}");
    // What these packages really lack: the ARM files of CP210x, and libusb of the Gemma.
    let others: Vec<&String> = missing
        .iter()
        .filter(|line| !line.contains("slabvcp.inf: arm") && !line.contains("libusb0"))
        .collect();
    assert_eq!((missing.len(), others.len()), (9, 0), "{missing:#?}");
}

/// A graphics driver's size: two megabytes, hundreds of install sections that share registry sections. Anything quadratic takes minutes.
#[test]
fn a_large_inf_is_quick() {
    let mut text = String::from(
        "[Version]\nSignature=\"$Windows NT$\"\nClass=Display\nClassGuid={4d36e968-e325-11ce-bfc1-08002be10318}\n\
         [Manufacturer]\n%m%=M,NTamd64\n[Strings]\nm=\"M\"\n[DestinationDirs]\nDefaultDestDir=13\n",
    );
    let mut section = |name: &str, lines: &mut dyn Iterator<Item = String>| {
        text.extend(["[", name, "]\n"]);
        lines.for_each(|line| text.push_str(&line));
    };
    section(
        "M.NTamd64",
        &mut (0..8000).map(|n| format!("%d{n}%=I{},PCI\\VEN_10DE&DEV_{n:04X}\n", n % 300)),
    );
    section("Strings", &mut (0..8000).map(|n| format!("d{n}=\"Graphics adapter number {n}\"\n")));
    section("SourceDisksFiles", &mut (0..8000).map(|n| format!("file{n}.dll=1,sub\n")));
    for n in 0..300 {
        section(
            &format!("I{n}"),
            &mut std::iter::once(format!("AddReg=R{n},R{}\nCopyFiles=C{n}\n", n / 2)),
        );
        section(
            &format!("R{n}"),
            &mut (0..60).map(|k| format!("HKR,\"Key{n}\",\"Value number {k}\",0x10001,{k}\n")),
        );
        section(
            &format!("C{n}"),
            &mut (0..25).map(|k| format!("file{}.dll,,,0x4000\n", n * 25 + k)),
        );
    }
    let start = std::time::Instant::now();
    let inf = Inf::parse(text.as_bytes()).unwrap();
    let parsed = start.elapsed();
    let found = resolve(&inf, &target(InfArchitecture::Amd64), &NoIncludes).unwrap();
    let resolved = start.elapsed();
    eprintln!("{} bytes: parsed in {parsed:?}, resolved by {resolved:?}", text.len());
    assert_eq!((found.models.len(), found.installs.len(), found.files.len()), (8000, 300, 7500));
    assert!(resolved.as_secs() < 20, "{resolved:?}");
}
