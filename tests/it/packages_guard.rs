//! What packages and recipes do not take from an image: what others hold, and the component store itself.

use transom::{
    format::hive::Value,
    image::{NewNode, RegistryPath},
    servicing::{
        InputId, Operation,
        cbs::PackageSubject,
        files::{FilesAction, FilesSpec},
    },
};

use crate::{
    image_fixture::{MemoryInputs, path},
    package_bench::{Bench, CBS, absent, no_package, package},
    package_fixture::{Component, Package, VERSION, files, foundation, inputs},
};

/// A package of one component.
pub(crate) fn of(name: &str, component: &Component) -> (Package, Vec<(String, Vec<u8>)>) {
    let deployment =
        Component::deployment(&format!("{name}-Deployment"), VERSION, "neutral", &[component]);
    let package = Package::new(&format!("{name}-Package"), VERSION).update("U", "", &deployment);
    let files = files(&[&package], &[component, &deployment]);
    (package, files)
}

/// A package that the image has, by its mum and its key alone.
fn known(pack: &Package, owner: Option<&Package>, bench: &mut Bench) {
    let place = path(&format!(r"\Windows\servicing\Packages\{}.mum", pack.id()));
    bench.image.put_bytes(&place, pack.text().into_bytes(), &NewNode::default()).unwrap();
    let key = RegistryPath::parse(&format!(r"{CBS}\Packages\{}", pack.id())).unwrap();
    bench.image.set_value(&key, &Value::dword("CurrentState", 0x70)).unwrap();
    if let Some(owner) = owner {
        let owners = key.join(&"Owners".into());
        bench.image.set_value(&owners, &Value::dword(owner.id().as_str(), 0x20070)).unwrap();
    }
}

#[test]
fn editions_and_the_foundation_are_not_removed() {
    let mut bench = Bench::new();
    let edition = Package::new("Microsoft-Windows-ProfessionalEdition", VERSION).release("Product");
    known(&edition, None, &mut bench);
    let none = MemoryInputs::default();
    let refused = bench.refused(&no_package(&edition.id()), &none);
    assert!(refused.contains("0x800f0825") && refused.contains("edition of Windows"), "{refused}");
    // Also where it is installed and not marked permanent.
    known(&foundation(), None, &mut bench);
    let refused = bench.refused(&no_package(&foundation().id()), &none);
    assert!(refused.contains("0x800f0825") && refused.contains("foundation of"), "{refused}");
}

#[test]
fn what_belongs_to_a_package_that_stays_is_not_removed() {
    let mut bench = Bench::new();
    let (brought, owned) =
        (Package::new("Transom-Brought", VERSION), Package::new("Transom-Owned", VERSION));
    let holder = Package::new("Transom-Holder", VERSION).inner("U", "", &brought);
    known(&brought, None, &mut bench);
    known(&owned, Some(&holder), &mut bench);
    known(&holder, None, &mut bench);
    let none = MemoryInputs::default();
    for inner in [&brought, &owned] {
        let refused = bench.refused(&no_package(&inner.id()), &none);
        assert!(refused.contains(&format!("it belongs to {}", holder.id())), "{refused}");
    }
    bench.done(&no_package(&holder.id()), &none);
    assert_eq!(bench.state_of(&owned), None);
    // Nobody holds this one any more.
    bench.done(&no_package(&brought.id()), &none);
    assert_eq!(bench.state_of(&brought), None);
    let nothing = absent(PackageSubject::Package("gone".to_owned()), Some("Transom-Owned"));
    assert_eq!(bench.done(&nothing, &none), 0);
}

#[test]
fn keys_and_folders_that_others_name_stay_although_empty() {
    let mut bench = Bench::new();
    let names = Component::new("Transom-Names", VERSION)
        .with(r#"<directories><directory destinationPath="$(runtime.programData)\Common\Data"/></directories>"#)
        .key(r"HKEY_LOCAL_MACHINE\SOFTWARE\Transom\Common", "");
    let uses = Component::new("Transom-Uses", VERSION)
        .file("deep.txt", r"$(runtime.programData)\Common\Data\Deep\", "deep", "")
        .key(
            r"HKEY_LOCAL_MACHINE\SOFTWARE\Transom\Common\Deep\Deeper",
            r#"<registryValue name="V" valueType="REG_SZ" value="x"/>"#,
        );
    let ((one, one_files), (two, two_files)) =
        (of("Transom-Names", &names), of("Transom-Uses", &uses));
    let source = inputs(&[("one", one_files), ("two", two_files)]);
    bench.done(&package("one"), &source);
    let before = bench.state();
    bench.done(&package("two"), &source);
    assert!(bench.has(r"\ProgramData\Common\Data\Deep\deep.txt"));
    bench.done(&no_package(&two.id()), &source);
    assert!(bench.has(r"\ProgramData\Common\Data"));
    assert!(!bench.has(r"\ProgramData\Common\Data\Deep"));
    let key = |text: &str| RegistryPath::parse(text).unwrap();
    let common = key(r"HKLM\SOFTWARE\Transom\Common");
    assert!(bench.image.registry_key_exists(&common).unwrap());
    assert!(!bench.image.registry_key_exists(&common.join(&"Deep".into())).unwrap());
    assert_eq!(before.0, bench.state().0);
    bench.done(&no_package(&one.id()), &source);
    assert!(!bench.image.registry_key_exists(&key(r"HKLM\SOFTWARE\Transom")).unwrap());
    assert!(!bench.has(r"\ProgramData\Common"));
}

#[test]
fn a_file_over_one_of_the_store_leaves_the_stores_copy_alone() {
    let mut bench = Bench::new();
    let tool = Component::new("Transom-Linked", VERSION).file(
        "linked.exe",
        r"$(runtime.system32)\",
        "of the store",
        "",
    );
    let (_, tool_files) = of("Transom-Linked", &tool);
    bench.done(&package("tool"), &inputs(&[("tool", tool_files)]));
    let (place, stored) = (
        r"\Windows\System32\linked.exe",
        format!(r"\Windows\WinSxS\{}\linked.exe", tool.key_form()),
    );
    let security = |bench: &Bench, place: &str| {
        let tree = bench.image.tree();
        tree.security_of(tree.lookup(&path(place)).unwrap()).map(<[u8]>::to_vec)
    };
    let before = security(&bench, place);
    let put = |name: &str| {
        Operation::Files(FilesSpec {
            to: path(place),
            action: FilesAction::From { input: InputId(name.to_owned()), replace: false },
            attributes: None,
            sddl: None,
        })
    };
    let same = MemoryInputs::file("same", "of the store");
    assert!(bench.problems(&put("same"), &same).is_empty());
    assert_eq!(bench.done(&put("same"), &same), 0);
    let mine = MemoryInputs::file("mine", "mine");
    let said = bench.problems(&put("mine"), &mine);
    assert!(
        said.iter().any(|one| one.warning && one.cause.contains("component store")),
        "{said:?}"
    );
    bench.done(&put("mine"), &mine);
    assert_eq!(
        (bench.content(place), bench.content(&stored)),
        ("mine".into(), "of the store".into())
    );
    assert_eq!(security(&bench, place), before);
    assert_eq!(bench.image.tree().links(bench.image.tree().lookup(&path(&stored)).unwrap()), 1);
    // Once it is a file of its own nothing more is said or done.
    assert!(bench.problems(&put("mine"), &mine).is_empty());
    assert_eq!(bench.done(&put("mine"), &mine), 0);
}

#[test]
fn the_stores_own_places_are_not_for_packages() {
    let mut bench = Bench::new();
    for (component, named) in [
        (
            Component::new("Transom-Bad", VERSION)
                .file("a.txt", r"$(runtime.windows)\WinSxS\Mine\", "a", ""),
            r"\Windows\WinSxS\Mine\a.txt",
        ),
        (
            Component::new("Transom-Bad", VERSION)
                .file("SYSTEM", r"$(runtime.system32)\config\", "a", ""),
            r"\Windows\System32\config\SYSTEM",
        ),
        (
            Component::new("Transom-Bad", VERSION)
                .key(r"HKEY_LOCAL_MACHINE\COMPONENTS\DerivedData\x", ""),
            "DerivedData",
        ),
        (
            Component::new("Transom-Bad", VERSION).key(
                r"HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Windows\CurrentVersion\SideBySide\Winners\x",
                "",
            ),
            "Winners",
        ),
    ] {
        let (_, bad) = of("Transom-Bad", &component);
        let refused = bench.refused(&package("bad"), &inputs(&[("bad", bad)]));
        assert!(refused.contains(named) && refused.contains("servicing alone"), "{refused}");
    }
}

#[test]
fn a_catalog_that_cannot_be_read_is_none() {
    let mut bench = Bench::new();
    let component = Component::new("Transom-Empty", VERSION);
    for bytes in [&b""[..], b"junk"] {
        let (_, mut all) = of("Transom-Empty", &component);
        for (name, content) in &mut all {
            if name.ends_with(".cat") {
                *content = bytes.to_vec();
            }
        }
        let refused = bench.refused(&package("empty"), &inputs(&[("empty", all)]));
        assert!(
            refused.contains("not a sound catalog") && refused.contains("makecat"),
            "{refused}"
        );
    }
}

#[test]
fn marks_are_written_as_windows_writes_them() {
    let mut bench = Bench::new();
    let component = Component::new("Transom-Marked", VERSION);
    let (pack, all) = of("Transom-Marked", &component);
    let source = inputs(&[("marked", all)]);
    bench.done(&package("marked"), &source);
    let deployments = RegistryPath::parse(r"HKLM\COMPONENTS\CanonicalData\Deployments").unwrap();
    let mut names = Vec::new();
    for short in bench.image.registry_subkeys(&deployments).unwrap() {
        let values = bench.image.registry_values(&deployments.join(&short)).unwrap();
        names.extend(values.iter().map(|value| value.name.to_string()));
    }
    for prefix in ["p!", "s!", "i!"] {
        let wanted = format!("{prefix}CBS_{}.u", pack.id().to_lowercase());
        assert!(names.contains(&wanted), "{wanted}: {names:?}");
    }
    bench.done(&no_package(&pack.id()), &source);
    assert!(bench.image.registry_subkeys(&deployments).unwrap().is_empty());
}
