//! What a package leaves when it goes, what it takes when it comes, and files of the store that a recipe adjusts.

use transom::{
    base::filetime::FileTime,
    format::hive::Value,
    image::{Image, NewNode, RegistryPath},
    servicing::{
        Operation, Problem,
        cbs::health,
        files::{FileAttribute, FilesAction, FilesSpec},
    },
};

use crate::{
    image_fixture::{EPOCH, MemoryInputs, path},
    package_bench::{Bench, no_package, package},
    package_fixture::{Component, Package, VERSION, component_identity, files, inputs},
    packages_guard::of,
};

fn key(text: &str) -> RegistryPath {
    RegistryPath::parse(text).unwrap()
}

/// A day later: the next build on this image.
fn next_day(image: &mut Image) {
    image.set_epoch(FileTime(EPOCH.0 + 864_000_000_000));
}

/// An image without the index that every step drops.
fn bench() -> Bench {
    let mut bench = Bench::new();
    let index = r"HKLM\COMPONENTS\DerivedData\VersionedIndex\10.0.26100.1";
    bench.image.delete_key(&key(index)).unwrap();
    bench
}

/// Files and keys in places that a base may have, empty.
fn guest() -> Component {
    Component::new("Transom-Guest", VERSION)
        .file("guest.txt", r"$(runtime.programData)\Spool\Queue\", "guest", "")
        .with(r#"<directories><directory destinationPath="$(runtime.programData)\Named"/></directories>"#)
        .key(
            r"HKEY_LOCAL_MACHINE\SOFTWARE\Host\Slots\Guest",
            r#"<registryValue name="Text" valueType="REG_SZ" value="guest"/>"#,
        )
        .key(
            r"HKEY_LOCAL_MACHINE\SOFTWARE\Host\Direct",
            r#"<registryValue name="Text" valueType="REG_SZ" value="guest"/>"#,
        )
}

#[test]
fn empty_keys_and_folders_of_the_base_outlive_a_package_that_used_them() {
    let mut bench = bench();
    for folder in [r"\ProgramData\Spool", r"\ProgramData\Named"] {
        bench.image.make_directory(&path(folder), &NewNode::default()).unwrap();
    }
    for empty in [r"HKLM\SOFTWARE\Host\Slots", r"HKLM\SOFTWARE\Host\Direct"] {
        bench.image.create_key(&key(empty)).unwrap();
    }
    next_day(&mut bench.image);
    let times = |bench: &mut Bench| {
        [r"HKLM\SOFTWARE\Host", r"HKLM\SOFTWARE\Host\Slots", r"HKLM\SOFTWARE\Host\Direct"]
            .map(|text| bench.image.key_time(&key(text)).unwrap())
    };
    let (before, old) = (bench.state(), times(&mut bench));
    let (pack, all) = of("Transom-Guest", &guest());
    let source = inputs(&[("guest", all)]);
    bench.done(&package("guest"), &source);
    assert_eq!(times(&mut bench), old, "that is how removal knows them");
    assert!(bench.has(r"\ProgramData\Spool\Queue\guest.txt"));
    next_day(&mut bench.image);
    bench.done(&no_package(&pack.id()), &source);
    let after = bench.state();
    assert_eq!(before.0, after.0);
    assert!(before.1 == after.1);
    // What the package itself made goes, as ever.
    assert!(!bench.has(r"\ProgramData\Spool\Queue"));
    assert!(!bench.image.registry_key_exists(&key(r"HKLM\SOFTWARE\Host\Slots\Guest")).unwrap());
    assert!(bench.has(r"\ProgramData\Spool") && bench.has(r"\ProgramData\Named"));
}

#[test]
fn what_an_older_version_made_goes_with_the_newer() {
    let mut bench = bench();
    let before = bench.state();
    let (_, all) = of("Transom-Guest", &guest());
    bench.done(&package("guest"), &inputs(&[("guest", all)]));
    next_day(&mut bench.image);
    let newer = Component {
        identity: component_identity("Transom-Guest", "10.0.26100.9", "amd64", "neutral"),
        ..guest()
    };
    let deployment =
        Component::deployment("Transom-Guest-Deployment", "10.0.26100.9", "neutral", &[&newer]);
    let pack = Package::new("Transom-Guest-Package", "10.0.26100.9").update("U", "", &deployment);
    let all = files(&[&pack], &[&newer, &deployment]);
    bench.done(&package("newer"), &inputs(&[("newer", all)]));
    // Both at once: the name without a version.
    bench.done(&no_package("Transom-Guest-Package"), &MemoryInputs::default());
    assert!(before.1 == bench.state().1);
    assert!(!bench.has(r"\ProgramData\Spool") && !bench.has(r"\ProgramData\Named"));
}

fn warnings(said: &[Problem]) -> Vec<&Problem> {
    assert!(said.iter().all(|one| one.warning), "{said:?}");
    said.iter().filter(|one| one.cause.contains("writes over")).collect()
}

#[test]
fn a_package_that_takes_over_files_and_values_is_warned_of_once() {
    let mut bench = Bench::new();
    let component = (0..7).fold(Component::new("Transom-Taker", VERSION), |component, at| {
        component.file(&format!("t{at}.dll"), r"$(runtime.system32)\", &format!("taker {at}"), "")
    });
    let component = component.key(
        r"HKEY_LOCAL_MACHINE\SOFTWARE\Host",
        r#"<registryValue name="Text" valueType="REG_SZ" value="taker"/><registryValue name="Same" valueType="REG_SZ" value="same"/><registryValue name="Kept" valueType="REG_SZ" value="x" mutable="true"/>"#,
    );
    let (pack, all) = of("Transom-Taker", &component);
    let source = inputs(&[("taker", all)]);
    assert!(warnings(&bench.problems(&package("taker"), &source)).is_empty());
    // The same content is no loss.
    bench
        .image
        .put_bytes(&path(r"\Windows\System32\t0.dll"), b"taker 0".to_vec(), &NewNode::default())
        .unwrap();
    for at in 1..7 {
        let place = path(&format!(r"\Windows\System32\T{at}.dll"));
        bench.image.put_bytes(&place, b"mine, so".to_vec(), &NewNode::default()).unwrap();
    }
    for (name, text) in [("Text", "mine"), ("Same", "same"), ("Kept", "mine")] {
        bench.image.set_value(&key(r"HKLM\SOFTWARE\Host"), &Value::sz(name, text)).unwrap();
    }
    let said = bench.problems(&package("taker"), &source);
    let found = warnings(&said);
    assert_eq!(found.len(), 1, "{said:?}");
    assert_eq!(found[0].item, pack.id());
    let cause = &found[0].cause;
    assert!(cause.contains("7 that no component owns") && cause.contains("and 3 more"), "{cause}");
    assert!(cause.contains(r"\Windows\System32\t1.dll") && !cause.contains("t0.dll"), "{cause}");
    assert!(found[0].help.contains("does not bring back"), "{}", found[0].help);
    bench.done(&package("taker"), &source);
    assert!(warnings(&bench.problems(&package("taker"), &source)).is_empty());
    // What another component owns is told from that, and comes back.
    let other = Component::new("Transom-Other", VERSION).file(
        "t3.dll",
        r"$(runtime.system32)\",
        "of the other",
        "",
    );
    let (other, all) = of("Transom-Other", &other);
    let source = inputs(&[("other", all)]);
    let said = bench.problems(&package("other"), &source);
    let found = warnings(&said);
    assert_eq!((found.len(), found[0].item.as_str()), (1, other.id().as_str()));
    assert!(found[0].cause.contains("1 of other components"), "{said:?}");
    bench.done(&package("other"), &source);
    bench.done(&no_package(&other.id()), &source);
    assert_eq!(bench.content(r"\Windows\System32\t3.dll"), "taker 3");
    // A newer version of the same component is what updates are.
    let newer = Component {
        identity: component_identity("Transom-Taker", "10.0.26100.9", "amd64", "neutral"),
        ..component
    };
    let deployment =
        Component::deployment("Transom-Taker-Deployment", "10.0.26100.9", "neutral", &[&newer]);
    let pack = Package::new("Transom-Taker-Package", "10.0.26100.9").update("U", "", &deployment);
    let source = inputs(&[("newer", files(&[&pack], &[&newer, &deployment]))]);
    assert!(warnings(&bench.problems(&package("newer"), &source)).is_empty());
}

#[test]
fn attributes_and_security_of_a_file_of_the_store_change_for_the_named_file_alone() {
    let mut bench = Bench::new();
    let tool = Component::new("Transom-Linked", VERSION).file(
        "linked.exe",
        r"$(runtime.system32)\",
        "of the store",
        r#"<link destination="$(runtime.windows)\linked.exe"/>"#,
    );
    let (_, all) = of("Transom-Linked", &tool);
    bench.done(&package("tool"), &inputs(&[("tool", all)]));
    let (place, other) = (r"\Windows\System32\linked.exe", r"\Windows\linked.exe");
    let stored = format!(r"\Windows\WinSxS\{}\linked.exe", tool.key_form());
    let of_file = |bench: &Bench, place: &str| {
        let tree = bench.image.tree();
        let id = tree.lookup(&path(place)).unwrap();
        let security = tree.security_of(id).map(<[u8]>::to_vec);
        (tree.inode(id).attributes, security, tree.links(id))
    };
    let before = of_file(&bench, &stored);
    assert_eq!(before.2, 3);
    let adjust = |attributes: Option<Vec<FileAttribute>>, sddl: Option<&str>| {
        Operation::Files(FilesSpec {
            to: path(place),
            action: FilesAction::Adjust,
            attributes,
            sddl: sddl.map(str::to_owned),
        })
    };
    let none = MemoryInputs::default();
    // What changes nothing breaks nothing.
    let as_it_is = adjust(Some(vec![FileAttribute::Archive]), None);
    assert!(bench.problems(&as_it_is, &none).is_empty());
    assert_eq!(bench.done(&as_it_is, &none), 0);
    let hide = adjust(Some(vec![FileAttribute::Hidden]), Some("O:BAG:SYD:P(A;;FA;;;SY)"));
    let said = bench.problems(&hide, &none);
    assert!(said[0].warning && said[0].cause.contains("component store"), "{said:?}");
    bench.done(&hide, &none);
    assert_eq!(of_file(&bench, place).0 & 2, 2);
    assert_ne!(of_file(&bench, place).1, before.1);
    for same in [stored.as_str(), other] {
        let now = of_file(&bench, same);
        assert_eq!((now.0, &now.1, now.2), (before.0, &before.1, 2), "{same}");
    }
    assert_eq!(bench.content(place), "of the store");
    assert_eq!(bench.damage(), Vec::<String>::new());
    let report = health::check(&mut bench.image, transom::image::Watch::default()).unwrap();
    assert!(format!("{:?}", report.findings).contains("linked.exe"), "verify notes it");
    // Once it is a file of its own nothing more is said or done.
    assert!(bench.problems(&hide, &none).is_empty());
    assert_eq!(bench.done(&hide, &none), 0);
}
