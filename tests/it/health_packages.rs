//! The component store with real packages in it, and with packages and features that we install: sound by the same check.

use std::sync::Arc;

use fs_err as fs;
use transom::{
    image::{Image, NewNode},
    servicing::{
        InputId, Operation, WhenNotNative,
        cbs::{
            FeatureSpec, FeatureState, PackageAction, PackageSpec, PackageSubject,
            health::{HealthReport, Verdict},
            layout,
        },
    },
};

use crate::{
    health::{base, bytes_of, check, flip, open, path},
    image_fixture::{MemoryInputs, MemoryStore},
    package_fixture::{Component, Package, files, inputs},
    support::{files_below, shared_data},
};

/// The files of a real update, put where Windows keeps them: its catalogs name its packages and manifests, its manifests its files.
#[test]
fn a_real_update_in_the_store_is_healthy_and_a_changed_byte_is_seen() {
    let Some(folder) = shared_data("cbs/msu/unpacked/inner") else { return };
    let mut image = open(base(), 1);
    let mut files = Vec::new();
    let calc = |architecture: &str, hash: &str| {
        let version = "31bf3856ad364e35_6.1.7602.20587_none";
        let key_form = format!("{architecture}_microsoft-windows-calc_{version}_{hash}");
        path(&format!(r"\Windows\WinSxS\{key_form}\calc.exe"))
    };
    for path in files_below(&folder) {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let bytes = fs::read(&path).unwrap();
        let place = match name.rsplit_once('.') {
            Some((key_form, "manifest")) => layout::manifest(&image, key_form),
            Some((id, "mum")) if id.contains('~') => layout::mum(&image, id),
            Some((id, "cat")) if id.contains('~') => layout::mum_catalog(&image, id),
            Some(("calc64", _)) => calc("amd64", "0a0b815b47d56775"),
            Some(("calc32", _)) => calc("x86", "adece5d78f77f63f"),
            _ => continue,
        };
        if name.ends_with(".cat") {
            use sha2::Digest as _;
            let hash = transom::base::digest::to_hex(&sha2::Sha256::digest(&bytes));
            let place = layout::catalog(&image, &hash);
            image.put_bytes(&place, bytes.clone(), &NewNode::default()).unwrap();
        }
        image.put_bytes(&place, bytes, &NewNode::default()).unwrap();
        files.push(place);
    }
    assert!(files.len() > 10, "{files:?}");
    let before = check(&mut open(base(), 1)).counts;
    let report = check(&mut image);
    assert_eq!(report.verdict(), Verdict::Healthy, "{:#?}", report.findings);
    assert!(report.counts.manifests >= before.manifests + 5, "{:?}", report.counts);
    assert!(report.counts.catalogs > before.catalogs);
    let mut seen = 0;
    for place in files.iter().filter(|place| place.to_string().ends_with(".manifest")) {
        let bytes = bytes_of(&image, place);
        flip(&mut image, place);
        seen +=
            usize::from(check(&mut image).findings.iter().any(|it| it.place == place.to_string()));
        image.put_bytes(place, bytes, &NewNode::default()).unwrap();
    }
    assert_eq!(report.counts.files, before.files + 2);
    assert!(seen >= 5, "{seen}");
}

/// Does a step on the image, as a build does.
pub(crate) fn apply(
    image: &mut Image,
    operation: &Operation,
    inputs: &MemoryInputs,
    store: &MemoryStore,
) {
    let prepared = operation.prepare(inputs, store).unwrap();
    operation.apply(&prepared, image).unwrap();
}

/// Installs the package of an input.
pub(crate) fn present(input: &str) -> Operation {
    Operation::Package(PackageSpec {
        subject: PackageSubject::Package(input.to_owned()),
        action: PackageAction::Present {
            source: Some(InputId(input.to_owned())),
            allow_unsigned: true,
            when_not_native: WhenNotNative::Refuse,
        },
    })
}

pub(crate) fn healthy(image: &mut Image) -> HealthReport {
    let report = check(image);
    assert_eq!(report.verdict(), Verdict::Healthy, "{:#?}", report.findings);
    assert!(report.findings.is_empty(), "{:#?}", report.findings);
    report
}

/// What is installed and switched by us is healthy by the same check, in the demo's base.
#[test]
fn features_and_packages_that_come_and_go_leave_the_store_healthy() {
    let store = Arc::new(MemoryStore::default());
    let none = MemoryInputs::default();
    let mut image = open(base(), 1);
    image.set_stored_content(store.clone());
    let before = healthy(&mut image).counts;
    let feature = |name: &str, state| {
        Operation::Feature(FeatureSpec {
            name: name.to_owned(),
            state,
            all: true,
            source: None,
            allow_unsigned: true,
            when_not_native: WhenNotNative::Refuse,
        })
    };
    apply(&mut image, &feature("DemoTelnetServer", FeatureState::Enabled), &none, &store);
    let on = healthy(&mut image).counts;
    assert_eq!(on.projections, before.projections + 2);
    for file in ["demotelnet.exe", "demotelnetserver.exe"] {
        assert!(
            image.tree().lookup(&path(&format!(r"\Windows\System32\{file}"))).is_some(),
            "{file}"
        );
    }
    for name in ["DemoTelnetServer", "DemoTelnet"] {
        apply(&mut image, &feature(name, FeatureState::Disabled), &none, &store);
    }
    assert_eq!(healthy(&mut image).counts.projections, before.projections);

    let tool = Component::new("Transom-Tool", "1.0.0.1").file(
        "tool.txt",
        r"$(runtime.programFiles)\Tool\",
        "a tool",
        "",
    );
    let deployment =
        Component::deployment("Transom-Tool-Deployment", "1.0.0.1", "neutral", &[&tool]);
    let package = Package::new("Transom-Tool-Package", "1.0.0.1").update("Tool", "", &deployment);
    let inputs = inputs(&[("tool", files(&[&package], &[&tool, &deployment]))]);
    apply(&mut image, &present("tool"), &inputs, &store);
    let with = healthy(&mut image).counts;
    assert_eq!((with.packages, with.manifests), (before.packages + 1, before.manifests + 2));
    flip(&mut image, &path(r"\Program Files\Tool\tool.txt"));
    let damaged = check(&mut image);
    assert_eq!(damaged.damage().count(), 1, "{:#?}", damaged.findings);
    assert!(damaged.findings[0].place.ends_with(r"\tool.txt"));
}
