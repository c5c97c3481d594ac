//! Rules of packages that are easily broken: what a source brings that nobody asked for, what features share, what is never done natively, what an image
//! still knows of itself while a plan tries steps.

use transom::{
    base::digest::{Blake3, Sha1},
    format::hive::Value,
    image::{Architecture, NewNode, RegistryPath},
    servicing::{
        Operation, Prepared, Problem, WhenNotNative,
        cbs::{FeatureState, PackageAction, PackageSubject},
    },
    store::StoredBlob,
};

use crate::{
    image_fixture::{MemoryInputs, path},
    package_bench::{Bench, CBS, feature, no_package, package, present},
    package_fixture::{
        Component, Files, OFF, Package, VERSION, applicable, component_identity, files, inputs,
    },
};

/// Files of an expanded package in a folder of a source.
fn below(folder: &str, files: Files) -> Files {
    let inside = files.into_iter().filter(|(name, _)| name != "/");
    inside.map(|(name, bytes)| (format!("{folder}/{name}"), bytes)).collect()
}

fn language_pack(tag: &str) -> Files {
    let resources = Component::of(component_identity(
        "Transom-Tool.Resources",
        VERSION,
        "amd64",
        tag,
    ))
    .file("tool.exe.mui", &format!(r"$(runtime.system32)\{tag}\"), tag, "");
    let deployment = Component::deployment("Transom-LP-Deployment", VERSION, tag, &[&resources]);
    let pack = Package::in_language("Transom-Client-LanguagePack-Package", VERSION, tag)
        .release("Language Pack")
        .update("LP", "", &deployment);
    below(tag, files(&[&pack], &[&resources, &deployment]))
}

#[test]
fn of_many_language_packs_the_one_that_is_named_is_installed() {
    let mut bench = Bench::new();
    let mut all = vec![("/".to_owned(), Vec::new())];
    all.extend(language_pack("de-DE"));
    all.extend(language_pack("fr-FR"));
    let inputs = inputs(&[("packs", all)]);
    let subject = |tag: &str| PackageSubject::Language(tag.to_owned());
    let refused = bench.refused(&present(subject("it-IT"), Some("packs")), &inputs);
    assert!(refused.contains("not for it-IT"), "{refused}");
    bench.done(&present(subject("fr-FR"), Some("packs")), &inputs);
    assert!(bench.has(r"\Windows\System32\fr-FR\tool.exe.mui"));
    assert!(!bench.has(r"\Windows\System32\de-DE\tool.exe.mui"));
    assert_eq!(bench.image.facts().languages, ["en-US", "fr-FR"]);
}

fn file_of(name: &str) -> Component {
    Component::new(&format!("Transom-{name}"), VERSION).file(
        &format!("{name}.txt"),
        r"$(runtime.programFiles)\Features\",
        name,
        "",
    )
}

fn deployment_of(name: &str, component: &Component) -> Component {
    Component::deployment(&format!("Transom-{name}-Deployment"), VERSION, "neutral", &[component])
}

/// An image with a package of two features, off, that share a component.
fn with_two_features() -> (Bench, Component) {
    let mut bench = Bench::new();
    let shared = file_of("Shared");
    let (one, two) = (deployment_of("One", &shared), deployment_of("Two", &shared));
    let pack = Package::new("Transom-Shared-Package", VERSION)
        .update("FeatOne", OFF, &one)
        .update("FeatTwo", OFF, &two);
    let source = inputs(&[("shared", files(&[&pack], &[&shared, &one, &two]))]);
    bench.done(&package("shared"), &source);
    (bench, shared)
}

#[test]
fn what_two_features_share_stays_while_one_has_it_staged() {
    let (mut bench, shared) = with_two_features();
    let none = MemoryInputs::default();
    bench.done(&feature("FeatOne", FeatureState::Removed, false, None), &none);
    assert_eq!(bench.damage(), Vec::<String>::new());
    bench.done(&feature("FeatTwo", FeatureState::Enabled, false, None), &none);
    assert_eq!(bench.content(r"\Program Files\Features\Shared.txt"), "Shared");
    // When the other goes too, so does what they shared.
    bench.done(&feature("FeatTwo", FeatureState::Removed, false, None), &none);
    let stored = format!(r"\Windows\WinSxS\{}\Shared.txt", shared.key_form());
    assert!(!bench.has(&stored));
}

#[test]
fn a_component_that_is_staged_by_one_update_and_installed_by_another_needs_its_files() {
    let (mut bench, shared) = with_two_features();
    let none = MemoryInputs::default();
    // An image whose store somebody made smaller.
    let stored = path(&format!(r"\Windows\WinSxS\{}", shared.key_form()));
    bench.image.remove(&stored).unwrap();
    // The update that stays off comes first.
    let refused = bench.refused(&feature("FeatTwo", FeatureState::Enabled, false, None), &none);
    assert!(refused.contains("0x800f081f") && refused.contains("Shared.txt"), "{refused}");
}

#[test]
fn what_comes_with_a_part_of_a_feature_goes_with_it() {
    let mut bench = Bench::new();
    let (main, part, deep) = (file_of("Main"), file_of("Part"), file_of("Deep"));
    let (d1, d2, d3) =
        (deployment_of("Main", &main), deployment_of("Part", &part), deployment_of("Deep", &deep));
    // The one that stands last in the chain stands first in the package.
    let pack = Package::new("Transom-Chain-Package", VERSION)
        .update("Deep", &applicable("Part"), &d3)
        .update("Part", &applicable("Main"), &d2)
        .update("Main", OFF, &d1);
    let source = inputs(&[("chain", files(&[&pack], &[&main, &part, &deep, &d1, &d2, &d3]))]);
    bench.done(&package("chain"), &source);
    let off = bench.state();
    let none = MemoryInputs::default();
    bench.done(&feature("Main", FeatureState::Enabled, false, None), &none);
    assert!(bench.has(r"\Program Files\Features\Deep.txt"));
    bench.done(&feature("Main", FeatureState::Disabled, false, None), &none);
    for name in ["Main", "Part", "Deep"] {
        assert!(!bench.has(&format!(r"\Program Files\Features\{name}.txt")), "{name}");
    }
    assert_eq!(off.0, bench.state().0);
}

#[test]
fn updates_that_name_many_others_and_each_other_are_worked_out() {
    let mut bench = Bench::new();
    let component = file_of("Many");
    let deployment = deployment_of("Many", &component);
    let mut pack = Package::new("Transom-Many-Package", VERSION);
    // Each is bound to all behind it: without a memory there are 2^30 ways.
    for at in 0..30 {
        let behind: String = (at + 1..30).map(|other| applicable(&format!("U{other}"))).collect();
        pack = pack.update(&format!("U{at}"), &behind, &deployment);
    }
    // Selected by what is bound to it, and when nobody chose: both are in force.
    let selected = "<selectable disposition=\"staged\"><detectUpdate><update name=\"Bound\"/></detectUpdate><detectNone default=\"true\"/></selectable>";
    let bound = file_of("Bound");
    let of_bound = deployment_of("Bound", &bound);
    pack = pack.update("Selected", selected, &deployment).update(
        "Bound",
        &applicable("Selected"),
        &of_bound,
    );
    let source =
        inputs(&[("many", files(&[&pack], &[&component, &deployment, &bound, &of_bound]))]);
    bench.done(&package("many"), &source);
    let updates = format!(r"{CBS}\Packages\{}\Updates", pack.id());
    for name in ["U0", "U29", "Selected", "Bound"] {
        assert_eq!(bench.number(&updates, name), Some(0x70), "{name}");
    }
    assert!(bench.has(r"\Program Files\Features\Bound.txt"));
}

#[test]
fn a_package_without_a_catalog_is_refused() {
    let mut bench = Bench::new();
    let component = file_of("Bare");
    let deployment = deployment_of("Bare", &component);
    let pack = Package::new("Transom-Bare-Package", VERSION).update("U", "", &deployment);
    let mut bare = files(&[&pack], &[&component, &deployment]);
    bare.retain(|(name, _)| !name.ends_with(".cat"));
    // The recipe takes unsigned packages, and Windows keeps none without a catalog.
    let refused = bench.refused(&package("bare"), &inputs(&[("bare", bare)]));
    assert!(refused.contains("it has no catalog") && refused.contains("makecat"), "{refused}");
}

/// A package that the image has, by its mum and its key alone.
fn known(pack: &Package, bench: &mut Bench) {
    let place = path(&format!(r"\Windows\servicing\Packages\{}.mum", pack.id()));
    bench.image.put_bytes(&place, pack.text().into_bytes(), &NewNode::default()).unwrap();
    let key = RegistryPath::parse(&format!(r"{CBS}\Packages\{}", pack.id())).unwrap();
    bench.image.set_value(&key, &Value::dword("CurrentState", 0x70)).unwrap();
    bench.image.set_value(&key, &Value::dword("Visibility", 1)).unwrap();
}

#[test]
fn a_cumulative_update_is_applied_again_after_languages_and_never_removed_natively() {
    let mut bench = Bench::new();
    let update =
        Package::new("Package_for_RollupFix", "26100.1742.1.10").release("Security Update");
    known(&update, &mut bench);
    let source = inputs(&[("cu", files(&[&update], &[]))]);
    // Where nothing can be left to the first boot it is there already.
    let said = bench.problems(&package("cu"), &source);
    assert!(said.iter().any(|problem| problem.warning && problem.cause.contains("has it already")));
    let mut again = package("cu");
    let Operation::Package(spec) = &mut again else { panic!() };
    let PackageAction::Present { when_not_native, .. } = &mut spec.action else { panic!() };
    *when_not_native = WhenNotNative::FirstBoot;
    let said = bench.problems(&again, &source);
    let left = |problem: &Problem| problem.cause.contains("it is left to the first boot");
    assert!(said.iter().all(|problem| problem.warning) && said.iter().any(left), "{said:?}");
    bench.done(&again, &source);
    assert!(bench.has(r"\Windows\Setup\Scripts\transom-packages\package-cu\update.mum"));
    let refused = bench.refused(&no_package(&update.id()), &MemoryInputs::default());
    assert!(refused.contains("it cannot be removed natively"), "{refused}");
}

#[test]
fn what_the_container_of_a_feature_holds_back_is_said() {
    let mut bench = Bench::new();
    let main = file_of("Main");
    let deployment = deployment_of("Main", &main);
    let pack = Package::new("Transom-Held-Package", VERSION).update("Held", OFF, &deployment);
    let source = inputs(&[("held", files(&[&pack], &[&main, &deployment]))]);
    let operation = feature("Held", FeatureState::Enabled, false, Some("held"));
    let mut prepared = bench.prepare(&operation, &source).unwrap();
    let Prepared::Packages(packages) = &mut prepared else { panic!() };
    packages.folders[0].not_native.push(Problem::error("held", "it has deltas", ""));
    // What Windows gets from the delta is not missed here.
    packages.folders[0].payload.clear();
    let facts = bench.image.facts();
    let said = operation.check_prepared(&prepared, &mut bench.image, &facts);
    let errors: Vec<&str> = said
        .iter()
        .filter(|problem| !problem.warning)
        .map(|problem| problem.cause.as_str())
        .collect();
    assert_eq!(errors, ["it has deltas"]);
}

#[test]
fn an_image_stays_one_for_its_machine_while_a_plan_tries_steps() {
    let mut bench = Bench::new();
    let before = bench.image.facts().architecture;
    assert_eq!(before, Some(Architecture::Amd64));
    // What a plan puts in place has a size and no content.
    let content = StoredBlob { blake3: Blake3::of(b"kernel"), sha1: Sha1::ZERO, size: 6 };
    let kernel = path(r"\Windows\System32\kernel32.dll");
    bench.image.put_file(&kernel, content, &NewNode::default()).unwrap();
    assert_eq!(bench.image.facts().architecture, before);
}

#[test]
fn a_key_that_is_not_there_gets_no_security() {
    let mut bench = Bench::new();
    let key = RegistryPath::parse(r"HKLM\SOFTWARE\Transom\Nowhere").unwrap();
    let descriptor = crate::image_fixture::sddl("O:BAG:SYD:(A;CI;KA;;;BA)");
    let error = bench.image.set_key_security(&key, &descriptor).unwrap_err().to_string();
    assert!(error.contains("has no registry key") && error.contains("Nowhere"), "{error}");
    assert!(!bench.image.registry_key_exists(&key).unwrap());
}
