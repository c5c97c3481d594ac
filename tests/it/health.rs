//! The component store: the demo's base is healthy; every kind of damage is found by name and repaired from the pristine base.

use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::{Arc, OnceLock};

use fs_err as fs;
use serde_json::Value as Json;
use transom::{
    base::{limits::Limits, name::Name, ntpath::NtPath},
    cli::demo::{BASE_TIME, BaseSettings, write_base},
    format::{
        hive::Value,
        wim::{Wim, WriteSettings, write_wim},
    },
    image::{Assembly, BlobOrder, Image, NewNode, RegistryPath, Watch},
    servicing::cbs::{
        health::{self, HealthReport, Verdict, What},
        layout, repair,
    },
};

use crate::support::{
    dump::{difference, dump_image},
    oracle, temporary_folder, transom,
};

/// The pristine base, made once.
pub(crate) fn base() -> &'static Path {
    static BASE: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
    let (_, path) = BASE.get_or_init(|| {
        let folder = temporary_folder();
        let path = folder.path().join("base.wim");
        write_base(&path, &BaseSettings::default()).unwrap();
        (folder, path)
    });
    path
}

pub(crate) fn open(path: &Path, index: u32) -> Image {
    let wim = Arc::new(Wim::open_path(path, &Limits::default()).unwrap());
    let mut image = Image::open(wim, index, &Limits::default()).unwrap();
    image.set_epoch(BASE_TIME);
    image
}

pub(crate) fn check(image: &mut Image) -> HealthReport {
    health::check(image, Watch::default()).unwrap()
}

pub(crate) fn path(text: &str) -> NtPath {
    NtPath::parse(text).unwrap()
}

/// Key form of the only component of that name.
fn key_form(image: &mut Image, name: &str) -> String {
    let prefix = format!("amd64_microsoft-windows-{name}_");
    let names = image.registry_subkeys(&layout::components()).unwrap();
    let found = names.iter().map(ToString::to_string).find(|found| found.starts_with(&prefix));
    found.unwrap_or_else(|| panic!("{name} is a component"))
}

/// Its folder in the store.
fn component_of(image: &mut Image, name: &str) -> NtPath {
    let key_form = key_form(image, name);
    layout::component(image, &key_form)
}

fn manifest_of(image: &mut Image, name: &str) -> NtPath {
    let key_form = key_form(image, name);
    layout::manifest(image, &key_form)
}

pub(crate) fn bytes_of(image: &Image, path: &NtPath) -> Vec<u8> {
    image.read(path).unwrap()
}

/// Writes content with the byte in the middle changed.
pub(crate) fn flip(image: &mut Image, path: &NtPath) {
    let mut bytes = bytes_of(image, path);
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    image.put_bytes(path, bytes, &NewNode::default()).unwrap();
}

fn deployment(image: &mut Image, update: &str) -> RegistryPath {
    let parent = layout::deployments();
    let names = image.registry_subkeys(&parent).unwrap();
    let found = names.iter().find(|name| {
        let values = image.registry_values(&parent.join(name)).unwrap();
        values.iter().any(|value| {
            let name = value.name.to_string();
            name.starts_with("p!") && name.ends_with(&format!(".{}", update.to_lowercase()))
        })
    });
    parent.join(found.unwrap())
}

/// A damage: what it does, and the finding that names it.
struct Case {
    name: &'static str,
    what: What,
    damage: fn(&mut Image) -> String,
}

const CASES: &[Case] = &[
    Case {
        name: "a byte of payload is another",
        what: What::Payload,
        damage: |image| {
            let path = component_of(image, "kernel32");
            let path = path.join("kernel32.dll".into());
            flip(image, &path);
            path.to_string()
        },
    },
    Case {
        name: "payload is gone, its projections too",
        what: What::Payload,
        damage: |image| {
            let folder = component_of(image, "commandprompt");
            let path_in_store = folder.join("cmd.exe".into());
            image.remove(&path_in_store).unwrap();
            image.remove(&path(r"\Windows\System32\cmd.exe")).unwrap();
            path_in_store.to_string()
        },
    },
    Case {
        name: "payload is gone, its projections are there",
        what: What::Payload,
        damage: |image| {
            let folder = component_of(image, "commandprompt");
            let path = folder.join("cmd.exe".into());
            image.remove(&path).unwrap();
            path.to_string()
        },
    },
    Case {
        name: "staged payload of a feature that is off is gone",
        what: What::Payload,
        damage: |image| {
            let folder = component_of(image, "demotelnet");
            let path = folder.join("demotelnet.exe".into());
            image.remove(&path).unwrap();
            path.to_string()
        },
    },
    Case {
        name: "a manifest was changed",
        what: What::Manifest,
        damage: |image| {
            let path = manifest_of(image, "commandprompt");
            let text = String::from_utf8(bytes_of(image, &path)).unwrap();
            let text = text.replace("destinationPath", "importPath");
            image.put_bytes(&path, text.into_bytes(), &NewNode::default()).unwrap();
            path.to_string()
        },
    },
    Case {
        name: "a manifest was changed, and its hash in the hive with it",
        what: What::Manifest,
        damage: |image| {
            let key_form = key_form(image, "commandprompt");
            let path = layout::manifest(image, &key_form);
            let text = String::from_utf8(bytes_of(image, &path)).unwrap();
            let text = text.replace("destinationPath", "importPath");
            use sha2::Digest as _;
            let hash = sha2::Sha256::digest(&text).to_vec();
            image.put_bytes(&path, text.into_bytes(), &NewNode::default()).unwrap();
            let key = layout::components().join(&Name::from(key_form.as_str()));
            image.set_value(&key, &Value::binary("S256H", hash)).unwrap();
            path.to_string()
        },
    },
    Case {
        name: "a manifest is gone",
        what: What::Manifest,
        damage: |image| {
            let path = manifest_of(image, "demosearch");
            image.remove(&path).unwrap();
            path.to_string()
        },
    },
    Case {
        name: "a catalog of the store was changed",
        what: What::Catalog,
        damage: |image| {
            let name = image.registry_subkeys(&layout::catalogs()).unwrap()[0].to_string();
            let path = layout::catalog(image, &name);
            flip(image, &path);
            path.to_string()
        },
    },
    Case {
        name: "all copies of a catalog are gone",
        what: What::Catalog,
        damage: |image| {
            let name = image.registry_subkeys(&layout::catalogs()).unwrap()[0].to_string();
            let path = layout::catalog(image, &name);
            let content = image.tree().inode(image.tree().lookup(&path).unwrap()).data();
            let tree = image.tree();
            let copies: Vec<NtPath> = tree
                .walk()
                .filter(|&node| {
                    tree.inode(node).data() == content && !tree.inode(node).is_directory()
                })
                .map(|node| tree.path_of(node))
                .collect();
            assert_eq!(copies.len(), 3);
            copies.iter().for_each(|copy| image.remove(copy).unwrap());
            path.to_string()
        },
    },
    Case {
        name: "a package's mum was changed",
        what: What::Package,
        damage: |image| {
            let id = "Microsoft-Windows-Foundation-Package~31bf3856ad364e35~amd64~~10.0.26100.1";
            let path = layout::mum(image, id);
            let text = String::from_utf8(bytes_of(image, &path)).unwrap();
            let text = text.replace("default=\"false\"", "default=\"true\"");
            image.put_bytes(&path, text.into_bytes(), &NewNode::default()).unwrap();
            path.to_string()
        },
    },
    Case {
        name: "a package's mum is gone",
        what: What::Package,
        damage: |image| {
            let id = "Microsoft-Windows-Foundation-Package~31bf3856ad364e35~amd64~~10.0.26100.1";
            let path = layout::mum(image, id);
            image.remove(&path).unwrap();
            path.to_string()
        },
    },
    Case {
        name: "a hash in the hive is another",
        what: What::Registry,
        damage: |image| {
            let key_form = key_form(image, "kernel32");
            let key = layout::components().join(&Name::from(key_form.as_str()));
            image.set_value(&key, &Value::binary("S256H", [7; 32])).unwrap();
            format!("{key}: S256H")
        },
    },
    Case {
        name: "an identity in the hive is another",
        what: What::Registry,
        damage: |image| {
            let key_form = key_form(image, "kernel32");
            let key = layout::components().join(&Name::from(key_form.as_str()));
            image.set_value(&key, &Value::binary("identity", *b"Nobody, Culture=neutral")).unwrap();
            format!("{key}: identity")
        },
    },
    Case {
        name: "a projection is a file of its own with other content",
        what: What::Projection,
        damage: |image| {
            let path = path(r"\Windows\System32\cmd.exe");
            image.remove(&path).unwrap();
            image.put_bytes(&path, b"MZ not the one".to_vec(), &NewNode::default()).unwrap();
            path.to_string()
        },
    },
    Case {
        name: "a projection is gone",
        what: What::Projection,
        damage: |image| {
            let path = path(r"\Windows\System32\demosearch.dll");
            image.remove(&path).unwrap();
            path.to_string()
        },
    },
    Case {
        name: "p! without s!",
        what: What::Registry,
        damage: |image| {
            let key = deployment(image, "DemoTelnet");
            let values = image.registry_values(&key).unwrap();
            let name = values.iter().find(|it| it.name.to_string().starts_with("s!")).unwrap();
            image.delete_value(&key, &name.name).unwrap();
            format!("{key}: {}", name.name)
        },
    },
    Case {
        name: "what a package in force always brings has no i!",
        what: What::Registry,
        damage: |image| {
            let key = deployment(image, "Microsoft-Windows-Foundation");
            let values = image.registry_values(&key).unwrap();
            let name = values.iter().find(|it| it.name.to_string().starts_with("i!")).unwrap();
            image.delete_value(&key, &name.name).unwrap();
            format!("{key}: {}", name.name)
        },
    },
    Case {
        name: "a package has a state that does not exist",
        what: What::Registry,
        damage: |image| {
            let id = "Microsoft-Windows-Foundation-Package~31bf3856ad364e35~amd64~~10.0.26100.1";
            let key = layout::cbs("Packages").join(&id.into());
            image.set_value(&key, &Value::dword("CurrentState", 0x71)).unwrap();
            format!("{key}: CurrentState")
        },
    },
    Case {
        name: "a winner is not there",
        what: What::Registry,
        damage: |image| {
            let names = image.registry_subkeys(&layout::winners()).unwrap();
            let key = layout::winners().join(&names[0]);
            image.set_value(&key.join(&"10.0".into()), &Value::sz("", "10.0.26100.9")).unwrap();
            key.to_string()
        },
    },
];

#[test]
fn the_demos_base_is_healthy() {
    for index in [1, 2] {
        let report = check(&mut open(base(), index));
        assert_eq!(report.verdict(), Verdict::Healthy, "{:#?}", report.findings);
        assert!(report.findings.is_empty(), "{:#?}", report.findings);
        assert!(report.counts.not_checked.is_empty(), "{:?}", report.counts);
        assert_eq!(report.counts.packages, 2);
        assert!(report.counts.manifests >= 12, "{:?}", report.counts);
        assert!(report.counts.files >= 7 && report.counts.projections >= 3, "{:?}", report.counts);
    }
}

/// The paths, attributes, links and contents of an image, and its registry: what a repair must bring back.
pub(crate) fn whole(image: &mut Image) -> Vec<String> {
    let tree = image.tree();
    let mut lines: Vec<String> = tree
        .walk()
        .filter(|&node| !tree.path_of(node).to_string().contains(r"\config\"))
        .map(|node| {
            let inode = tree.inode(node);
            let (content, links) = (inode.data(), tree.links(node));
            let security = tree.security_of(node).map(<[u8]>::len);
            format!(
                "{} {:x} {:?} {} {links} {security:?} {:?}",
                tree.path_of(node),
                inode.attributes,
                content.sha1,
                content.size,
                inode.last_write_time
            )
        })
        .collect();
    lines.sort();
    for parent in [
        layout::components(),
        layout::deployments(),
        layout::catalogs(),
        layout::cbs("Packages"),
        layout::cbs("PackageIndex"),
        layout::winners(),
        RegistryPath::parse(r"HKLM\SOFTWARE\Transom").unwrap(),
    ] {
        registry(image, &parent, &mut lines);
    }
    lines
}

fn registry(image: &mut Image, key: &RegistryPath, lines: &mut Vec<String>) {
    let mut values: Vec<String> = image
        .registry_values(key)
        .unwrap()
        .iter()
        .map(|value| format!("{key} {value:?}"))
        .collect();
    values.sort();
    lines.extend(values);
    for name in image.registry_subkeys(key).unwrap() {
        registry(image, &key.join(&name), lines);
    }
}

#[test]
fn every_damage_is_found_by_name_and_repaired() {
    let pristine = whole(&mut open(base(), 1));
    for case in CASES {
        let mut image = open(base(), 1);
        let place = (case.damage)(&mut image);
        let report = check(&mut image);
        assert_eq!(report.verdict(), Verdict::Repairable, "{}: {:#?}", case.name, report.findings);
        let found = report.damage().any(|it| it.what == case.what && it.place == place);
        assert!(found, "{}: {place} in {:#?}", case.name, report.findings);

        // Without a source only what follows from the image itself is mended.
        let mut sources = vec![open(base(), 1)];
        let (done, after) = repair::mend(&mut image, &mut sources, Watch::default()).unwrap();
        assert_eq!(after.verdict(), Verdict::Healthy, "{}: {:#?}", case.name, after.findings);
        assert!(!done.repaired.is_empty() && done.lost.is_empty(), "{}: {done:#?}", case.name);
        let mended = whole(&mut image);
        let odd: Vec<_> = mended.iter().filter(|line| !pristine.contains(line)).collect();
        assert!(mended == pristine, "{}: {odd:#?}", case.name);
    }
}

#[test]
fn what_no_source_has_is_lost_and_named() {
    for case in CASES {
        let mut image = open(base(), 1);
        let place = (case.damage)(&mut image);
        let (done, after) = repair::mend(&mut image, &mut [], Watch::default()).unwrap();
        if after.verdict() == Verdict::Healthy {
            // From the image itself: a link, a catalog's other copy, a value that follows from the manifest.
            assert!(done.lost.is_empty());
            continue;
        }
        assert_eq!(after.verdict(), Verdict::NotRepairable, "{}", case.name);
        assert!(done.lost.iter().any(|it| it.place == place), "{}: {done:#?}", case.name);
    }
}

/// The other edition's image has no editor: what it lacks is not taken from elsewhere, and what differs is not believed.
#[test]
fn a_source_with_other_content_is_not_used() {
    let mut image = open(base(), 1);
    let folder = component_of(&mut image, "notepad");
    let notepad = folder.join("notepad.exe".into());
    flip(&mut image, &notepad);
    let mut source = open(base(), 1);
    flip(&mut source, &notepad);
    let mut sources = vec![open(base(), 2), source];
    let (done, after) = repair::mend(&mut image, &mut sources, Watch::default()).unwrap();
    assert_eq!(after.verdict(), Verdict::NotRepairable);
    assert!(done.repaired.is_empty(), "{done:#?}");
}

/// Writes a copy of the base whose image 1 was changed.
pub(crate) fn save(place: &Path, change: impl FnOnce(&mut Image)) {
    let wim = Arc::new(Wim::open_path(base(), &Limits::default()).unwrap());
    let mut image = Image::open(Arc::clone(&wim), 1, &Limits::default()).unwrap();
    image.set_epoch(BASE_TIME);
    change(&mut image);
    let mut assembly = Assembly::of(&wim);
    assembly.replace(1, image.finish().unwrap(), BASE_TIME).unwrap();
    let plan = assembly.plan(BlobOrder::Stored).unwrap();
    let settings = WriteSettings {
        codec: wim.codec(),
        chunk_size: wim.chunk_size(),
        level: transom::codec::Level::Fast,
        solid: None,
        integrity: true,
        boot_index: plan.boot_index,
        rp_fix: true,
    };
    let mut options = fs::OpenOptions::new();
    let file = options.read(true).write(true).create(true).truncate(true).open(place).unwrap();
    write_wim(file.file(), &settings, plan.blobs, plan.images, plan.xml, &|_| (), &|| false)
        .unwrap();
}

pub(crate) fn verify(home: &Path, arguments: &[&str]) -> (Output, String) {
    let output = transom(home)
        .arg("verify")
        .args(arguments)
        .env("SOURCE_DATE_EPOCH", "1793491200")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (output, text)
}

#[test]
fn the_verb_finds_repairs_and_verifies_again() {
    let folder = temporary_folder();
    let home = folder.path();
    fs::copy(base(), home.join("base.wim")).unwrap();
    let (output, text) = verify(home, &["base.wim"]);
    assert!(output.status.success(), "{text}");
    assert!(
        text.contains("image 2 (Transom Demo Server): component store healthy (2 packages"),
        "{text}"
    );

    save(&home.join("broken.wim"), |image| {
        for case in CASES.iter().take(5).chain(&CASES[7..8]) {
            (case.damage)(image);
        }
    });
    let before = fs::read(home.join("broken.wim")).unwrap();
    let (output, text) = verify(home, &["broken.wim"]);
    assert_eq!(output.status.code(), Some(8), "{text}");
    assert!(text.contains("damaged: repairable with a source"), "{text}");
    assert!(text.contains("kernel32.dll (0x80073712)"), "{text}");
    assert!(before == fs::read(home.join("broken.wim")).unwrap(), "verify alone writes nothing");
    let (_, text) = verify(home, &["broken.wim", "--json"]);
    let json: Json = serde_json::from_str(&text).unwrap();
    assert_eq!(json["images"][0]["verdict"], "repairable");
    assert_eq!(json["good"], false);

    let repaired =
        ["broken.wim", "--repair-from", "base.wim", "--repair-index", "1", "--output", "new.wim"];
    let (output, text) = verify(home, &repaired);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(before == fs::read(home.join("broken.wim")).unwrap());
    let (output, text) = verify(home, &["broken.wim", "--repair-from", "base.wim"]);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let Some(wimlib) = oracle("wimlib-imagex") else { return };
    for file in ["new.wim", "broken.wim"] {
        let file = home.join(file);
        wimlib.run(["verify".as_ref(), file.as_os_str()]);
        for index in [1, 2] {
            let lines =
                difference(&dump_image(&wimlib, base(), index), &dump_image(&wimlib, &file, index));
            // Which of a file's names is listed with its hard link group may differ, nothing else.
            assert!(lines.is_empty(), "{index}: {lines:#?}");
        }
    }
}

/// A blob of the WIM itself is damaged: its chunks do not decode, or decode to something else.
#[test]
fn damaged_blobs_are_findings_and_replaced() {
    let folder = temporary_folder();
    let home = folder.path();
    fs::copy(base(), home.join("base.wim")).unwrap();
    let wim = Wim::open_path(base(), &Limits::default()).unwrap();
    let image = open(base(), 1);
    let mut bytes = fs::read(base()).unwrap();
    let mut hit = |path: &str| {
        let node = image.tree().lookup(&self::path(path)).unwrap();
        let blob = wim.blob(&image.tree().inode(node).data().sha1).unwrap();
        let middle = usize::try_from(blob.resource.offset + blob.resource.stored_size / 2).unwrap();
        bytes[middle..middle + 8].iter_mut().for_each(|byte| *byte ^= 0x55);
    };
    hit(r"\Windows\System32\kernel32.dll");
    hit(r"\Windows\System32\drivers\disk.sys");
    hit(r"\Windows\System32\config\COMPONENTS");
    fs::write(home.join("broken.wim"), bytes).unwrap();
    let (output, text) = verify(home, &["broken.wim"]);
    assert_eq!(output.status.code(), Some(8), "{text}");
    assert!(text.contains(r"1:\Windows\System32\drivers\disk.sys"), "{text}");
    assert!(text.contains("kernel32.dll (0x80073712)"), "{text}");

    let (output, text) = verify(home, &["broken.wim", "--repair-from", "base.wim"]);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("3 damaged blobs replaced from base.wim"), "{text}");
    assert!(text.contains("broken.wim: good ("), "{text}");
    if let Some(wimlib) = oracle("wimlib-imagex") {
        let file = home.join("broken.wim");
        wimlib.run(["verify".as_ref(), file.as_os_str()]);
        for index in [1, 2] {
            let dumps = [dump_image(&wimlib, base(), index), dump_image(&wimlib, &file, index)];
            assert_eq!(difference(&dumps[0], &dumps[1]), Vec::<String>::new());
        }
    }
}

/// Stores that lack things are not called damaged for it.
#[test]
fn what_an_image_does_not_have_is_counted_and_no_damage() {
    let mut image = open(base(), 1);
    for folder in [r"\Windows\WinSxS\Catalogs", r"\Windows\System32\CatRoot"] {
        image.remove(&path(folder)).unwrap();
    }
    let catalogs: Vec<NtPath> = {
        let tree = image.tree();
        let cats =
            |node: &transom::image::NodeId| tree.node(*node).name.to_string().ends_with(".cat");
        tree.walk().filter(cats).map(|node| tree.path_of(node)).collect()
    };
    catalogs.iter().for_each(|path| image.remove(path).unwrap());
    let key = layout::catalogs();
    for name in image.registry_subkeys(&key).unwrap() {
        image.delete_key(&key.join(&name)).unwrap();
    }
    let report = check(&mut image);
    assert_eq!(report.verdict(), Verdict::Healthy, "{:#?}", report.findings);
    assert!(report.counts.not_checked.len() >= 3, "{:?}", report.counts);
    image.remove(&path(r"\Windows\System32\config\COMPONENTS")).unwrap();
    let report = check(&mut image);
    assert_eq!(report.verdict(), Verdict::Healthy, "{:#?}", report.findings);
    assert!(!report.notes.is_empty());
    image.remove(&path(r"\Windows\WinSxS\Manifests")).unwrap();
    assert_eq!(check(&mut image).verdict(), Verdict::NoStore);
}
