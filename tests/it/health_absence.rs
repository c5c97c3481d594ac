//! What is missing in the hives is found because something else needs it, and comes back.

use std::sync::Arc;

use fs_err as fs;
use serde_json::Value as Json;
use transom::{
    format::hive::Value,
    image::{Image, RegistryPath, Watch},
    servicing::cbs::{
        health::{Severity, Verdict, What},
        layout, repair,
    },
};

use crate::{
    health::{base, check, flip, open, path, save, verify, whole},
    health_packages::{apply, healthy, present},
    image_fixture::MemoryStore,
    package_fixture::{Component, Package, files, inputs},
    support::temporary_folder,
};

const FOUNDATION: &str =
    "Microsoft-Windows-Foundation-Package~31bf3856ad364e35~amd64~~10.0.26100.1";

fn empty(image: &mut Image, key: &RegistryPath) {
    for value in image.registry_values(key).unwrap() {
        image.delete_value(key, &value.name).unwrap();
    }
    for name in image.registry_subkeys(key).unwrap() {
        image.delete_key(&key.join(&name)).unwrap();
    }
}

fn first(image: &mut Image, parent: &RegistryPath, part: &str) -> RegistryPath {
    let names = image.registry_subkeys(parent).unwrap();
    let name = names.iter().find(|name| name.to_string().contains(part));
    parent.join(name.unwrap_or_else(|| panic!("{part} below {parent}")))
}

fn kernel(image: &mut Image) -> RegistryPath {
    first(image, &layout::components(), "kernel32")
}

fn deployment(image: &mut Image) -> RegistryPath {
    let kernel = kernel(image);
    let values = image.registry_values(&kernel).unwrap();
    let names = values.iter().map(|value| value.name.to_string());
    let short = names.filter_map(|name| name.strip_prefix("c!").map(str::to_owned)).next();
    layout::deployments().join(&short.unwrap().as_str().into())
}

fn package() -> RegistryPath {
    layout::cbs("Packages").join(&FOUNDATION.into())
}

fn search() -> RegistryPath {
    RegistryPath::parse(r"HKLM\SOFTWARE\Transom\Demo\Search").unwrap()
}

fn delete(image: &mut Image, key: RegistryPath) -> String {
    image.delete_key(&key).unwrap();
    key.to_string()
}

fn without(image: &mut Image, key: RegistryPath, prefix: &str) -> String {
    for value in image.registry_values(&key).unwrap() {
        if value.name.to_string().starts_with(prefix) {
            image.delete_value(&key, &value.name).unwrap();
        }
    }
    key.to_string()
}

type Case = (&'static str, fn(&mut Image) -> String);

const CASES: &[Case] = &[
    ("all component keys are gone", |image| {
        let place = kernel(image).to_string();
        let parent = layout::components();
        empty(image, &parent);
        place
    }),
    ("a component key is gone", |image| {
        let key = kernel(image);
        delete(image, key)
    }),
    ("a component key has no values", |image| {
        let key = kernel(image);
        empty(image, &key);
        key.to_string()
    }),
    ("no S256H", |image| {
        let key = kernel(image);
        without(image, key, "S256H")
    }),
    ("no c!", |image| {
        let key = kernel(image);
        without(image, key, "c!")
    }),
    ("no f!", |image| {
        let key = kernel(image);
        without(image, key, "f!")
    }),
    ("a deployment key is gone", |image| {
        let key = deployment(image);
        delete(image, key)
    }),
    ("a deployment key has no values", |image| {
        let key = deployment(image);
        empty(image, &key);
        key.to_string()
    }),
    ("no appid", |image| {
        let key = deployment(image);
        without(image, key, "appid")
    }),
    ("no CatalogThumbprint", |image| {
        let key = deployment(image);
        without(image, key, "CatalogThumbprint")
    }),
    ("no p!", |image| {
        let key = deployment(image);
        let values = image.registry_values(&key).unwrap();
        let mut names = values.iter().map(|value| value.name.to_string().to_lowercase());
        let name = names.find(|name| name.starts_with("p!")).unwrap();
        format!("{}: {name}", without(image, key, "p!"))
    }),
    ("no marks", |image| {
        let key = deployment(image);
        for mark in ["p!", "s!", "i!"] {
            without(image, key.clone(), mark);
        }
        key.to_string()
    }),
    ("keys of catalogs are gone", |image| {
        let parent = layout::catalogs();
        let key = first(image, &parent, "");
        empty(image, &parent);
        key.to_string()
    }),
    ("a package key is gone", |image| delete(image, package())),
    ("owners are gone", |image| delete(image, package().join(&"Owners".into()))),
    ("updates are gone", |image| delete(image, package().join(&"Updates".into()))),
    ("the state is 0 and the marks stand", |image| {
        image.set_value(&package(), &Value::dword("CurrentState", 0)).unwrap();
        format!("{}: CurrentState", package())
    }),
    ("the index is gone", |image| {
        let parent = layout::cbs("PackageIndex");
        let key = first(image, &parent, "Foundation");
        empty(image, &parent);
        key.to_string()
    }),
    ("all winners are gone", |image| {
        let parent = layout::winners();
        let key = first(image, &parent, "kernel32");
        empty(image, &parent);
        key.to_string()
    }),
    ("a winner's branch is not there", |image| {
        let key = first(image, &layout::winners(), "kernel32");
        image.set_value(&key, &Value::sz("", "9.9")).unwrap();
        key.to_string()
    }),
    ("a winning version is not marked", |image| {
        let key = first(image, &layout::winners(), "kernel32");
        let branch = first(image, &key, "10.0");
        let values = image.registry_values(&branch).unwrap();
        let value = values.iter().find(|value| !value.name.is_empty()).unwrap();
        let value = Value { data: vec![0], ..value.clone() };
        image.set_value(&branch, &value).unwrap();
        key.to_string()
    }),
    ("all of DerivedData is gone", |image| {
        let place = kernel(image).to_string();
        image.delete_key(&RegistryPath::parse(r"HKLM\COMPONENTS\DerivedData").unwrap()).unwrap();
        place
    }),
    ("an appid that is none", |image| {
        let key = deployment(image);
        image.set_value(&key, &Value::binary("appid", *b"AB")).unwrap();
        format!("{key}: appid")
    }),
    ("the tree of winners is gone", |image| {
        let key = first(image, &layout::winners(), "kernel32");
        image.delete_key(&layout::winners()).unwrap();
        key.to_string()
    }),
    ("a value of an installed component is gone", |image| {
        let key = search();
        image.delete_value(&key, &"Catalog".into()).unwrap();
        format!("{key}: Catalog")
    }),
    ("a key of an installed component is gone", |image| delete(image, search())),
    ("all catalogs in CatRoot are gone", |image| {
        let path = layout::catroot(image, FOUNDATION);
        let folder = path.parent().unwrap();
        let node = image.tree().lookup(&folder).unwrap();
        let names: Vec<_> = image.tree().children(node).to_vec();
        let paths: Vec<_> = names.iter().map(|node| image.tree().path_of(*node)).collect();
        paths.iter().for_each(|path| image.remove(path).unwrap());
        path.to_string()
    }),
    ("a catalog in CatRoot is gone", |image| {
        let path = layout::catroot(image, FOUNDATION);
        image.remove(&path).unwrap();
        path.to_string()
    }),
];

/// As somebody sees it who has the program and two WIMs: the damage is named, the repair gives the pristine image back.
#[test]
fn what_something_else_needs_is_missed_and_comes_back() {
    let pristine = whole(&mut open(base(), 1));
    let folder = temporary_folder();
    let home = folder.path();
    fs::copy(base(), home.join("base.wim")).unwrap();
    let mut wrong = Vec::new();
    for (name, damage) in CASES {
        let mut place = String::new();
        save(&home.join("broken.wim"), |image| place = damage(image));
        let (output, text) = verify(home, &["broken.wim", "--json"]);
        let json: Json = serde_json::from_str(&text).unwrap();
        let findings = json["images"][0]["findings"].as_array().unwrap().clone();
        let is_named = |it: &Json| it["place"] == *place && it["severity"] == "damage";
        if output.status.code() != Some(8) || !findings.iter().any(is_named) {
            wrong.push(format!("{name}: {place} not in {findings:#?}"));
            continue;
        }
        let (output, text) =
            verify(home, &["broken.wim", "--repair-from", "base.wim", "--repair-index", "1"]);
        if !output.status.success() {
            wrong.push(format!("{name}: {text}"));
        }
        let mended = whole(&mut open(&home.join("broken.wim"), 1));
        let odd: Vec<_> = mended.iter().filter(|line| !pristine.contains(line)).collect();
        let lost: Vec<_> = pristine.iter().filter(|line| !mended.contains(line)).collect();
        if mended != pristine {
            wrong.push(format!("{name}: {odd:#?} instead of {lost:#?}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {}\n{}", wrong.len(), CASES.len(), wrong.join("\n"));
}

/// What another edition's image says of owners and of features is not taken over.
#[test]
fn a_source_with_other_owners_and_features_does_not_decide() {
    let pristine = whole(&mut open(base(), 1));
    let mut image = open(base(), 1);
    for key in ["Owners", "Updates"] {
        image.delete_key(&package().join(&key.into())).unwrap();
    }
    let mut source = open(base(), 2);
    let updates = package().join(&"Updates".into());
    for update in source.registry_values(&updates).unwrap() {
        let number = if update.as_dword() == Some(0x70) { 0x40 } else { 0x70 };
        source
            .set_value(&updates, &Value { name: update.name, ..Value::dword("", number) })
            .unwrap();
    }
    let mut sources = vec![source];
    let (_, after) = repair::mend(&mut image, &mut sources, Watch::default()).unwrap();
    assert_eq!(after.verdict(), Verdict::Healthy, "{:#?}", after.findings);
    assert_eq!(whole(&mut image), pristine);
}

/// A version whose manifest is gone still wins: nothing is rewritten to an older one.
#[test]
fn a_winner_whose_manifest_is_gone_stays() {
    let pristine = whole(&mut open(base(), 1));
    let mut image = open(base(), 1);
    let key = kernel(&mut image);
    let form = key.keys().last().unwrap().to_string();
    image.remove(&layout::manifest(&image, &form)).unwrap();
    let report = check(&mut image);
    let winners = layout::winners().to_string();
    assert!(!report.damage().any(|it| it.place.starts_with(&winners)), "{:#?}", report.findings);
    let mut sources = vec![open(base(), 1)];
    repair::mend(&mut image, &mut sources, Watch::default()).unwrap();
    assert_eq!(whole(&mut image), pristine);
}

/// A repair that mends a part says so and fails; a file is no source for itself.
#[test]
fn a_repair_says_what_it_is_worth() {
    let folder = temporary_folder();
    let home = folder.path();
    save(&home.join("broken.wim"), |image| {
        let folder = first(image, &layout::components(), "kernel32");
        let form = folder.keys().last().unwrap().to_string();
        let payload = layout::component(image, &form).join("kernel32.dll".into());
        flip(image, &payload);
        image.delete_key(&folder).unwrap();
    });
    save(&home.join("source.wim"), |image| {
        let folder = first(image, &layout::components(), "kernel32");
        let form = folder.keys().last().unwrap().to_string();
        let payload = layout::component(image, &form).join("kernel32.dll".into());
        flip(image, &payload);
    });
    let (output, text) =
        verify(home, &["broken.wim", "--repair-from", "source.wim", "--repair-index", "1"]);
    assert_eq!(output.status.code(), Some(8), "{text}");
    assert!(text.contains("partly repaired, 1 left"), "{text}");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("partly repaired broken.wim"), "{told}");

    fs::hard_link(home.join("broken.wim"), home.join("other.wim")).unwrap();
    for source in ["broken.wim", "./broken.wim", "other.wim"] {
        let (output, _) = verify(home, &["broken.wim", "--repair-from", source]);
        assert_eq!(output.status.code(), Some(2), "{source}");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(told.contains("--repair-from names broken.wim itself"), "{told}");
    }
}

/// The mum and the key of a package that the edition brings are both gone.
#[test]
fn a_package_that_an_installed_one_brings_is_missed() {
    let mut image = open(base(), 1);
    image.remove(&layout::mum(&image, FOUNDATION)).unwrap();
    image.delete_key(&package()).unwrap();
    let report = check(&mut image);
    assert!(report.damage().any(|it| it.place == package().to_string()), "{report:#?}");
    let mut sources = vec![open(base(), 1)];
    let (_, after) = repair::mend(&mut image, &mut sources, Watch::default()).unwrap();
    assert_eq!(after.verdict(), Verdict::Healthy, "{:#?}", after.findings);
}

#[test]
fn what_a_component_writes_is_missed_and_what_was_changed_is_noted() {
    let store = Arc::new(MemoryStore::default());
    let mut image = open(base(), 1);
    image.set_stored_content(store.clone());
    let tool = Component::new("Transom-Tool", "1.0.0.1")
        .key(
            r"HKEY_LOCAL_MACHINE\SOFTWARE\Transom\Tool",
            r#"<registryValue name="A" valueType="REG_SZ" value="one" /><registryValue name="B" valueType="REG_DWORD" value="0x00000002" />"#,
        )
        .key(r"HKEY_LOCAL_MACHINE\SOFTWARE\Transom\Empty", "")
        .with(r#"<directories><directory destinationPath="$(runtime.programFiles)\Transom Tool\" owner="true" /></directories>"#);
    let deployment =
        Component::deployment("Transom-Tool-Deployment", "1.0.0.1", "neutral", &[&tool]);
    let package = Package::new("Transom-Tool-Package", "1.0.0.1").update("Tool", "", &deployment);
    let inputs = inputs(&[("tool", files(&[&package], &[&tool, &deployment]))]);
    apply(&mut image, &present("tool"), &inputs, &store);
    healthy(&mut image);

    let key = RegistryPath::parse(r"HKLM\SOFTWARE\Transom\Tool").unwrap();
    image.set_value(&key, &Value::dword("B", 3)).unwrap();
    let report = check(&mut image);
    assert_eq!(report.verdict(), Verdict::Healthy, "{:#?}", report.findings);
    let note = report.findings.iter().find(|it| it.place.to_lowercase().ends_with(": b"));
    assert!(note.is_some_and(|it| it.severity == Severity::Note && it.found == "changed since"));

    image.delete_key(&RegistryPath::parse(r"HKLM\SOFTWARE\Transom").unwrap()).unwrap();
    image.remove(&path(r"\Program Files\Transom Tool")).unwrap();
    let report = check(&mut image);
    let of = |what| report.damage().filter(|it| it.what == what).count();
    assert!(of(What::Registry) >= 3, "{:#?}", report.findings);
    assert_eq!(of(What::Projection), 1, "{:#?}", report.findings);
    let (_, after) = repair::mend(&mut image, &mut [], Watch::default()).unwrap();
    assert_eq!(after.verdict(), Verdict::Healthy, "{:#?}", after.findings);
    assert!(after.findings.is_empty(), "{:#?}", after.findings);
}
