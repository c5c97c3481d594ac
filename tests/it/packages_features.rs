//! Features, capabilities and languages put into an image and taken out again.

use transom::servicing::cbs::{FeatureState, PackageSubject};

use crate::{
    image_fixture::MemoryInputs,
    package_bench::{Bench, CBS, absent, feature, package, present},
    package_fixture::{
        Component, Files, OFF, Package, VERSION, applicable, component_identity, files, foundation,
        inputs,
    },
};

/// Features: Server needs Client; Part comes with Client.
fn featured() -> (Package, Files) {
    let component = |name: &str| {
        Component::new(&format!("Transom-{name}"), VERSION).file(
            &format!("{name}.txt"),
            r"$(runtime.programFiles)\Features\",
            name,
            "",
        )
    };
    let (client, server, part) = (component("Client"), component("Server"), component("Part"));
    let deploy = |name: &str, component: &Component| {
        Component::deployment(
            &format!("Transom-{name}-Deployment"),
            VERSION,
            "neutral",
            &[component],
        )
    };
    let (d1, d2, d3) =
        (deploy("Client", &client), deploy("Server", &server), deploy("Part", &part));
    let inner = Package::new("Transom-Server-Package", VERSION).update("S", "", &d2);
    let package = Package::new("Transom-Features-Package", VERSION)
        .parent(&foundation())
        .update("TransomClient", OFF, &d1)
        .inner("TransomServer", &format!("{OFF}{}", applicable("TransomClient")), &inner)
        .update("Part", &applicable("TransomClient"), &d3);
    let files = files(&[&package, &inner], &[&client, &server, &part, &d1, &d2, &d3]);
    (package, files)
}

#[test]
fn features_are_staged_switched_on_with_what_they_need_and_off_again() {
    let mut bench = Bench::new();
    let (pack, files) = featured();
    let inputs = inputs(&[("features", files)]);
    bench.done(&package("features"), &inputs);
    let off = bench.state();
    assert!(!bench.has(r"\Program Files\Features"));
    assert_eq!(
        bench.number(&format!(r"{CBS}\Packages\{}\Updates", pack.id()), "TransomClient"),
        Some(0x40)
    );
    let none = MemoryInputs::default();
    let refused =
        bench.refused(&feature("transomserver", FeatureState::Enabled, false, None), &none);
    assert!(refused.contains("TransomClient") && refused.contains("all = true"), "{refused}");
    let refused =
        bench.refused(&feature("TransomServr", FeatureState::Enabled, false, None), &none);
    assert!(
        refused.contains("0x800f080c") && refused.contains("did you mean TransomServer"),
        "{refused}"
    );
    bench.done(&feature("transomserver", FeatureState::Enabled, true, None), &none);
    for name in ["Client", "Server", "Part"] {
        assert!(bench.has(&format!(r"\Program Files\Features\{name}.txt")), "{name}");
    }
    let updates = format!(r"{CBS}\Packages\{}\Updates", pack.id());
    assert_eq!(bench.number(&updates, "TransomServer"), Some(0x70));
    assert_eq!(
        bench.number(&format!(r"{CBS}\Notifications\OptionalFeatures\TransomServer"), "Selection"),
        Some(1)
    );
    assert_eq!(bench.features(), ["TransomClient enabled", "TransomServer enabled"]);
    assert_eq!(bench.damage(), Vec::<String>::new());
    let again = bench.done(&feature("TransomServer", FeatureState::Enabled, true, None), &none);
    assert_eq!(again, 0);
    let refused =
        bench.refused(&feature("TransomClient", FeatureState::Disabled, false, None), &none);
    assert!(refused.contains("TransomServer"), "{refused}");
    bench.done(&feature("TransomServer", FeatureState::Disabled, false, None), &none);
    assert!(
        !bench.has(r"\Program Files\Features\Server.txt")
            && bench.has(r"\Program Files\Features\Client.txt")
    );
    bench.done(&feature("TransomClient", FeatureState::Disabled, false, None), &none);
    assert_eq!(bench.features(), ["TransomClient disabled", "TransomServer disabled"]);
    assert_eq!(bench.damage(), Vec::<String>::new());
    let after = bench.state();
    assert_eq!(off.0, after.0);
    assert!(off.1 == after.1, "{:#?}\n{:#?}", off.1[1], after.1[1]);
}

#[test]
fn a_feature_whose_payload_is_removed_needs_its_source() {
    let mut bench = Bench::new();
    let (_, files) = featured();
    let inputs = inputs(&[("features", files)]);
    bench.done(&package("features"), &inputs);
    let none = MemoryInputs::default();
    bench.done(&feature("TransomClient", FeatureState::Enabled, false, None), &none);
    bench.done(&feature("TransomClient", FeatureState::Removed, false, None), &none);
    let stored = |bench: &Bench| {
        let tree = bench.image.tree();
        tree.walk().filter(|id| tree.path_of(*id).to_string().contains("Client.txt")).count()
    };
    assert_eq!(stored(&bench), 0);
    assert_eq!(bench.features(), ["TransomClient removed", "TransomServer disabled"]);
    assert_eq!(bench.damage(), Vec::<String>::new());
    assert_eq!(
        bench.number(&format!(r"{CBS}\Notifications\OptionalFeatures\TransomClient"), "Removed"),
        Some(1)
    );
    let refused =
        bench.refused(&feature("TransomClient", FeatureState::Enabled, false, None), &none);
    assert!(refused.contains("0x800f081f") && refused.contains("Client.txt"), "{refused}");
    bench.done(&feature("TransomClient", FeatureState::Enabled, false, Some("features")), &inputs);
    assert_eq!(stored(&bench), 2);
    assert_eq!(bench.content(r"\Program Files\Features\Client.txt"), "Client");
}

fn capability_xml(language: Option<&str>) -> String {
    let (attribute, satellite) = match language {
        None => (String::new(), String::new()),
        Some(tag) => (
            format!(" language=\"{tag}\""),
            format!("<satelliteInfo><applyTo type=\"language\" value=\"{tag}\"/></satelliteInfo>"),
        ),
    };
    format!(
        "<declareCapability><capability><capabilityIdentity name=\"Transom.Cap\" version=\"1.0\"{attribute}/></capability>{satellite}</declareCapability>"
    )
}

#[test]
fn a_capability_is_listed_and_goes_again() {
    let mut bench = Bench::new();
    let before = bench.state();
    let component = Component::new("Transom-Cap", VERSION).file(
        "cap.txt",
        r"$(runtime.windows)\Cap\",
        "cap",
        "",
    );
    let deployment =
        Component::deployment("Transom-Cap-Deployment", VERSION, "neutral", &[&component]);
    let cap = Package::new("Transom-Cap-Package", VERSION)
        .release("OnDemand Pack")
        .with(&capability_xml(None))
        .update("C", "", &deployment);
    let inputs = inputs(&[("fod", files(&[&cap], &[&component, &deployment]))]);
    let name = "Transom.Cap~~~~0.0.1.0";
    let subject = || PackageSubject::Capability(name.to_owned());
    let other = present(PackageSubject::Capability("Other.Cap~~~~0.0.1.0".to_owned()), Some("fod"));
    assert!(bench.refused(&other, &inputs).contains("nothing in it is the capability"));
    let refused = bench.refused(&present(subject(), None), &inputs);
    assert!(refused.contains("0x800f0954"), "{refused}");
    bench.done(&present(subject(), Some("fod")), &inputs);
    assert!(bench.has(r"\Windows\Cap\cap.txt"));
    assert_eq!(bench.capabilities(), ["Transom.Cap~~~~0.0.1.0 installed"]);
    assert_eq!(bench.damage(), Vec::<String>::new());
    assert_eq!(bench.number(&format!(r"{CBS}\CapabilityIndex\{name}"), &cap.id()), Some(0x70));
    bench.done(&absent(subject(), None), &inputs);
    let mut after = bench.state();
    after.1[2].clone_from(&before.1[2]);
    assert_eq!(before.0, after.0);
    assert!(before.1 == after.1, "{:#?}\n{:#?}", before.1[1], after.1[1]);
}

/// A language pack for German.
fn german() -> (Package, Files) {
    let resources =
        Component::of(component_identity("Transom-Tool.Resources", VERSION, "amd64", "de-DE"))
            .file("tool.exe.mui", r"$(runtime.system32)\de-DE\", "das Werkzeug", "");
    let deployment = Component::deployment("Transom-LP-Deployment", VERSION, "de-DE", &[&resources])
        .with(r#"<languagePack xmlns="urn:schemas-microsoft-com:asm.internal.v1"><sequence type="full" value="de-DE;en-US"/></languagePack>"#);
    let pack = Package::in_language("Transom-Client-LanguagePack-Package", VERSION, "de-DE")
        .release("Language Pack")
        .update("LP", "", &deployment);
    let files = files(&[&pack], &[&resources, &deployment]);
    (pack, files)
}

#[test]
fn a_language_is_known_and_goes_again() {
    let mut bench = Bench::new();
    let before = bench.state();
    let (pack, files) = german();
    let inputs = inputs(&[("lp", files)]);
    let subject = |tag: &str| PackageSubject::Language(tag.to_owned());
    let refused = bench.refused(&present(subject("fr-FR"), Some("lp")), &inputs);
    assert!(refused.contains("is for de-DE, not for fr-FR"), "{refused}");
    bench.done(&present(subject("de-DE"), Some("lp")), &inputs);
    assert_eq!(bench.content(r"\Windows\System32\de-DE\tool.exe.mui"), "das Werkzeug");
    let key = r"HKLM\SYSTEM\CurrentControlSet\Control\MUI\UILanguages\de-DE";
    assert_eq!((bench.number(key, "LCID"), bench.number(key, "Type")), (Some(0x407), Some(0x111)));
    assert_eq!(bench.image.facts().languages, ["de-DE", "en-US"]);
    assert_eq!(bench.state_of(&pack), Some(0x70));
    assert_eq!(bench.damage(), Vec::<String>::new());
    let refused = bench.refused(&absent(subject("en-US"), None), &inputs);
    assert!(refused.contains("starts in"), "{refused}");
    bench.done(&absent(subject("de-DE"), None), &inputs);
    let mut after = bench.state();
    after.1[2].clone_from(&before.1[2]);
    assert_eq!(before.0, after.0);
    assert!(before.1 == after.1, "{:#?}\n{:#?}", before.1, after.1);
}
