//! Many components at once: how long it takes. Run with `--ignored --nocapture`.

use std::{sync::Arc, time::Instant};

use transom::{
    image::Image,
    servicing::{
        InputId, Operation, WhenNotNative,
        cbs::{PackageAction, PackageSpec, PackageSubject},
    },
};

use crate::{
    image_fixture::MemoryStore,
    package_fixture::{Component, Package, VERSION, files, image, inputs},
    support,
};

/// A package of many components with as many files and a key each.
pub(crate) fn many(components: usize, files_each: usize) -> Vec<(String, Vec<u8>)> {
    let all: Vec<Component> = (0..components)
        .map(|number| {
            let mut component = Component::new(&format!("Transom-Many-{number}"), VERSION);
            for file in 0..files_each {
                let name = format!("many-{number}-{file}.txt");
                let folder = format!(r"$(runtime.programFiles)\Many\{}\", number % 100);
                component = component.file(&name, &folder, &format!("{number} {file}"), "");
            }
            component.key(
                &format!(r"HKEY_LOCAL_MACHINE\SOFTWARE\Transom\Many\{number}"),
                r#"<registryValue name="A" valueType="REG_SZ" value="$(runtime.windows)"/><registryValue name="B" valueType="REG_DWORD" value="0x00000001"/>"#,
            )
        })
        .collect();
    let references: Vec<&Component> = all.iter().collect();
    let deployment =
        Component::deployment("Transom-Many-Deployment", VERSION, "neutral", &references);
    let package = Package::new("Transom-Many-Package", VERSION).update("U", "", &deployment);
    let mut with_deployment = references;
    with_deployment.push(&deployment);
    files(&[&package], &with_deployment)
}

#[test]
#[ignore = "it measures"]
fn two_thousand_components() {
    let folder = support::temporary_folder();
    let store = Arc::new(MemoryStore::default());
    let mut image: Image = image(folder.path(), &store);
    let inputs = inputs(&[("many", many(2000, 10))]);
    let spec = |action| {
        Operation::Package(PackageSpec {
            subject: PackageSubject::Package("many".to_owned()),
            action,
        })
    };
    let operation = spec(PackageAction::Present {
        source: Some(InputId("many".to_owned())),
        allow_unsigned: true,
        when_not_native: WhenNotNative::Refuse,
    });
    let lap =
        |what: &str, start: Instant| eprintln!("{what}: {:.2} s", start.elapsed().as_secs_f64());
    let start = Instant::now();
    let prepared = operation.prepare(&inputs, store.as_ref()).unwrap();
    lap("prepare", start);
    let start = Instant::now();
    let facts = image.facts();
    let problems = operation.check_prepared(&prepared, &mut image, &facts);
    assert!(problems.iter().all(|problem| problem.warning), "{problems:?}");
    lap("check", start);
    let start = Instant::now();
    image.begin_step();
    operation.apply(&prepared, &mut image).unwrap();
    let changes = image.end_step();
    lap("apply", start);
    eprintln!("{} changes", changes.0.len());
    let start = Instant::now();
    let bytes = changes.to_bytes();
    let again = transom::image::Changeset::from_bytes(&bytes).unwrap();
    lap("changeset to bytes and back", start);
    eprintln!("{} bytes", bytes.len());
    let mut other = crate::package_fixture::image(folder.path(), &store);
    let start = Instant::now();
    other.replay(&again).unwrap();
    lap("replay", start);
    let gone = spec(PackageAction::Absent {
        identity: Some("Transom-Many-Package".to_owned()),
        when_not_native: WhenNotNative::Refuse,
    });
    let prepared = gone.prepare(&inputs, store.as_ref()).unwrap();
    let start = Instant::now();
    gone.apply(&prepared, &mut image).unwrap();
    lap("remove", start);
}
