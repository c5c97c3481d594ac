//! What is missing in the hives is found because something else needs it, and comes back.

use std::sync::Arc;

use transom::{
    format::hive::Value,
    image::{Image, RegistryPath, Watch},
    servicing::cbs::{
        health::{Severity, Verdict, What},
        layout, repair,
    },
};

use crate::{
    health::{base, check, open, path},
    health_packages::{apply, healthy, present},
    image_fixture::MemoryStore,
    package_fixture::{Component, Package, files, inputs},
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
        without(image, key, "p!")
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
    ("a catalog in CatRoot is gone", |image| {
        let path = layout::catroot(image, FOUNDATION);
        image.remove(&path).unwrap();
        path.to_string()
    }),
];

/// The parts of the registry that a repair must bring back.
fn registry(image: &mut Image, key: &RegistryPath, lines: &mut Vec<String>) {
    for value in image.registry_values(key).unwrap() {
        lines.push(format!("{key} {value:?}"));
    }
    for name in image.registry_subkeys(key).unwrap() {
        registry(image, &key.join(&name), lines);
    }
}

fn whole(image: &mut Image) -> Vec<String> {
    let mut lines = Vec::new();
    for parent in [
        layout::components(),
        layout::deployments(),
        layout::catalogs(),
        layout::cbs("Packages"),
        layout::cbs("PackageIndex"),
        layout::winners(),
    ] {
        registry(image, &parent, &mut lines);
    }
    lines.sort();
    lines
}

#[test]
fn what_something_else_needs_is_missed_and_comes_back() {
    let pristine = whole(&mut open(base(), 1));
    let mut wrong = Vec::new();
    for (name, damage) in CASES {
        let mut image = open(base(), 1);
        let place = damage(&mut image);
        let report = check(&mut image);
        if !report.damage().any(|finding| finding.place == place) {
            wrong.push(format!("{name}: {place} not in {:#?}", report.findings));
            continue;
        }
        let mut sources = vec![open(base(), 1)];
        let (_, after) = repair::mend(&mut image, &mut sources, Watch::default()).unwrap();
        if after.verdict() != Verdict::Healthy {
            wrong.push(format!("{name}: {:#?}", after.findings));
        }
        let mended = whole(&mut image);
        let odd: Vec<_> = mended.iter().filter(|line| !pristine.contains(line)).collect();
        let lost: Vec<_> = pristine.iter().filter(|line| !mended.contains(line)).collect();
        if mended != pristine {
            wrong.push(format!("{name}: {odd:#?} instead of {lost:#?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
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
