//! What real manifests and packages are worth: elements that are not understood are named, real signatures are known, real packages find their parents.

use std::{collections::BTreeMap, sync::Arc};

use transom::{
    format::{
        catalog::Trust,
        cbs::{Manifest, Mum},
    },
    image::{Architecture, Image},
    servicing::{
        InputId, Operation, Prepared, WhenNotNative,
        cbs::{PackageAction, PackageSpec, PackageSubject, classify, macros::Target},
    },
};

use crate::{
    image_fixture::{MemoryInputs, MemoryStore},
    package_fixture::image,
    support,
};

fn target() -> Target {
    Target {
        architecture: Architecture::Amd64,
        system_root: "Windows".into(),
        running_root: r"C:\Windows".to_owned(),
    }
}

#[test]
fn elements_of_real_manifests_that_are_not_understood_are_named() {
    let Some(folder) = support::shared_data("cbs/manifests") else { return };
    let expected: BTreeMap<&str, &[&str]> = BTreeMap::from([
        ("comp_appxreg.xml", &["appxRegistration"][..]),
        ("comp_cmd_mig.xml", &["configuration"]),
        ("comp_dependency.xml", &[]),
        ("comp_deployment.xml", &[]),
        ("comp_file_dir_others.xml", &["sppInstaller"]),
        ("comp_file_reg.xml", &["appxRegistration"]),
        ("comp_generic_cmds.xml", &["genericCommands"]),
        ("comp_imaging_sysprep.xml", &["imaging"]),
        ("comp_langpack.xml", &["languagePack/bilingualComponents"]),
        ("comp_localization.xml", &[]),
        ("comp_mig_script.xml", &["feature"]),
        ("comp_mig_service_actions.xml", &[]),
        ("comp_mof.xml", &["mof"]),
        ("comp_network_comp.xml", &["networkComponents"]),
        ("comp_secure_boot.xml", &["SecureBoot"]),
        ("comp_service.xml", &[]),
        ("comp_smi_wcm.xml", &["configuration", "file"]),
        ("comp_supported_comp.xml", &[]),
        ("comp_unattend.xml", &["configuration"]),
        ("comp_windowclass.xml", &[]),
    ]);
    let mut wrong = Vec::new();
    for (file, names) in expected {
        let bytes = fs_err::read(folder.join(file)).unwrap();
        let unknown = classify::unknown_elements(&Manifest::parse(&bytes).unwrap(), &target());
        let mut found: Vec<&str> = unknown.iter().map(|element| element.element.as_str()).collect();
        found.sort_unstable();
        found.dedup();
        let missing = names.iter().any(|name| !found.contains(name));
        if missing || names.is_empty() != found.is_empty() {
            wrong.push(format!(
                "{file}: {}",
                unknown.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_real_driver_and_a_real_font() {
    let Some(folder) = support::shared_data("cbs/dcm") else { return };
    let unknown = |name: &str| {
        let bytes = fs_err::read(folder.join(name)).unwrap();
        let unknown = classify::unknown_elements(&Manifest::parse(&bytes).unwrap(), &target());
        unknown.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let font = unknown(
        "amd64_microsoft-windows-font-truetype-gadugi_31bf3856ad364e35_10.0.26100.1_none_e1326a4c8dcc8ee1.manifest.xml",
    );
    assert_eq!(font, Vec::<String>::new());
    let resources = unknown(
        "amd64_multipoint-srcres.resources_31bf3856ad364e35_10.0.26100.1_en-us_6ab3ac0cf789ac3d.manifest.xml",
    );
    assert_eq!(resources, Vec::<String>::new());
    let driver = unknown(
        "amd64_dual_netvg63a.inf_31bf3856ad364e35_10.0.26100.1_none_9162a10543917fc7.manifest.xml",
    );
    assert!(!driver.is_empty());
}

#[test]
fn a_real_update_is_unpacked_checked_and_does_not_apply() {
    let name = "cbs/msu/windows6.1-kb4528069-x64_b00bef3c3a13b8bc65bfaea63426386dbb54c336.msu";
    let Some(file) = support::shared_data(name) else { return };
    let store = Arc::new(MemoryStore::default());
    let inputs = MemoryInputs::file("kb.msu", fs_err::read(file).unwrap());
    let operation = Operation::Package(PackageSpec {
        subject: PackageSubject::Package("kb".to_owned()),
        action: PackageAction::Present {
            source: Some(InputId("kb.msu".to_owned())),
            allow_unsigned: false,
            when_not_native: WhenNotNative::Refuse,
        },
    });
    let prepared = operation.prepare(&inputs, store.as_ref()).unwrap();
    let Prepared::Packages(packages) = &prepared else { panic!("packages are prepared") };
    let [folder] = packages.folders.as_slice() else { panic!("one package") };
    assert_eq!(folder.packages.len(), 5);
    for package in &folder.packages {
        let good = !matches!(package.trust, Trust::Test | Trust::Unsigned);
        assert!(good, "{}: {:?} {}", package.id, package.trust, package.reason);
    }
    assert!(folder.manifests.iter().all(|manifest| !manifest.catalogs.is_empty()));
    // Two of its deltas: one of plain bytes, one of a 32-bit program.
    assert_eq!(folder.payload.len() + folder.not_native.len(), 2, "{:?}", folder.not_native);
    let place = support::temporary_folder();
    let mut image: Image = image(place.path(), &store);
    let facts = image.facts();
    let problems = operation.check_prepared(&prepared, &mut image, &facts);
    let text: Vec<String> = problems.iter().map(|problem| problem.cause.clone()).collect();
    assert!(
        text.iter().any(|cause| cause.contains("0x800f081e")
            && cause.contains("Microsoft-Windows-Client-Features-Package")),
        "{text:?}"
    );
}

#[test]
fn real_editions_have_nothing_unknown_but_are_never_native() {
    let Some(folder) = support::shared_data("cbs/edition_mum") else { return };
    for file in fs_err::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "mum") {
            let mum = Mum::parse(&fs_err::read(&path).unwrap()).unwrap();
            assert_eq!(classify::unknown_in_package(&mum), Vec::new(), "{}", path.display());
        }
    }
}
