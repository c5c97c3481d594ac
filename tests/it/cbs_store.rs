//! What an image's component store and hives say: packages, features, capabilities, languages, pending work, components, winners.

use std::fmt::Write as _;

use transom::{
    format::{cbs::Version, hive::Value},
    image::{Image, NewNode},
    servicing::cbs::{
        inventory::{self, CapabilityStatus, FeatureStatus},
        records,
        store::{self, Manifests, PackageState},
    },
};

use crate::{
    image_fixture::{BASE_TIME, hive, path},
    support,
};

const CBS: &str = r"Microsoft\Windows\CurrentVersion\Component Based Servicing";
const FEATURES: &str = "Contoso-Features~31bf3856ad364e35~amd64~~10.0.2.0";
const OLD_FEATURES: &str = "Contoso-Features~31bf3856ad364e35~amd64~~10.0.1.0";
pub(crate) const PARTS: &str = "Contoso-Parts~31bf3856ad364e35~amd64~~10.0.1.0";
pub(crate) const GERMAN: &str =
    "Contoso-LanguagePack-Package~31bf3856ad364e35~amd64~de-DE~10.0.1.0";
const TOOL: &str = "Contoso-Tool~31bf3856ad364e35~amd64~~10.0.1.0";
const DAMAGED: &str = "Contoso-Damaged~31bf3856ad364e35~amd64~~10.0.1.0";

fn identity(id: &str) -> String {
    let parts: Vec<&str> = id.split('~').collect();
    let language = if parts[3].is_empty() { "neutral" } else { parts[3] };
    format!(
        r#"<assemblyIdentity name="{}" publicKeyToken="{}" processorArchitecture="{}" language="{language}" version="{}"/>"#,
        parts[0], parts[1], parts[2], parts[4]
    )
}

fn mum(id: &str, release: &str, inside: &str) -> String {
    format!(
        r#"<assembly xmlns="urn:schemas-microsoft-com:asm.v3" manifestVersion="1.0" displayName="Shown">{}<package identifier="X" releaseType="{release}">{inside}</package></assembly>"#,
        identity(id)
    )
}

fn feature(name: &str, default: bool, parent: Option<&str>, package: Option<&str>) -> String {
    let mut text = format!(
        r#"<update name="{name}" displayName="D {name}"><selectable disposition="staged"><detectNone default="{default}"/></selectable>"#
    );
    if let Some(parent) = parent {
        let _ = write!(
            text,
            r#"<applicable disposition="detect"><detectUpdate><update name="{parent}"/></detectUpdate></applicable>"#
        );
    }
    if let Some(package) = package {
        let _ = write!(
            text,
            r#"<package contained="false" integrate="hidden">{}</package>"#,
            identity(package)
        );
    }
    text + "</update>"
}

/// A package's key: state, `Updates`, and whether it is listed.
fn key(id: &str, state: u32, updates: &[(&str, u32)]) -> Vec<(String, Vec<Value>)> {
    let root = format!(r"{CBS}\Packages\{id}");
    let values = vec![
        Value::dword("CurrentState", state),
        Value::dword("Visibility", if state == 0x70 { 1 } else { 2 }),
        Value::dword("InstallTimeHigh", 0x01da_8b70),
        Value::dword("InstallTimeLow", 0x3b5d_0000),
        Value::sz("InstallClient", "Test"),
    ];
    let updates = updates.iter().map(|(name, number)| Value::dword(*name, *number)).collect();
    let owners = vec![Value::dword(id, 0x2_0070)];
    vec![
        (root.clone(), values),
        (format!(r"{root}\Owners"), owners),
        (format!(r"{root}\Updates"), updates),
    ]
}

fn software() -> Vec<u8> {
    let mut keys = Vec::new();
    let updates = [("Chosen", 0x70), ("Off", 0x40), ("part", 0x70)];
    keys.extend(key(FEATURES, 0x70, &updates));
    keys.extend(key(OLD_FEATURES, 0x50, &[("Chosen", 0x40)]));
    keys.extend(key(PARTS, 0x70, &[]));
    keys.extend(key(GERMAN, 0x70, &[]));
    keys.extend(key(TOOL, 0x40, &[]));
    keys.extend(key(DAMAGED, 0x60, &[]));
    keys.push((format!(r"{CBS}\Packages\strange"), vec![]));
    keys.push((
        format!(r"{CBS}\CapabilityIndex\Other.Tool~~~~1.0"),
        vec![Value::dword("Other~31bf3856ad364e35~amd64~~1.0.0.0", 0)],
    ));
    keys.push((
        format!(r"{CBS}\Notifications\OptionalFeatures\Gone"),
        vec![Value::dword("Removed", 1)],
    ));
    keys.push((
        format!(r"{CBS}\Notifications\OptionalFeatures\Switched"),
        vec![Value::dword("Selection", 1)],
    ));
    keys.push((format!(r"{CBS}\Version"), vec![Value::expand_sz("10.0.1.0", "x")]));
    keys.push((format!(r"{CBS}\RebootPending"), vec![]));
    keys.push((format!(r"{CBS}\SessionsPending"), vec![Value::dword("Exclusive", 0)]));
    let family =
        r"Microsoft\Windows\CurrentVersion\SideBySide\Winners\amd64_a_none_none_0123456789abcdef";
    keys.push((family.to_owned(), vec![Value::sz("", "10.0")]));
    keys.push((
        format!(r"{family}\10.0"),
        vec![
            Value::sz("", "10.0.1.2"),
            Value::binary("10.0.1.2", [1]),
            Value::binary("10.0.1.1", [0]),
        ],
    ));
    let keys: Vec<(&str, Vec<Value>)> =
        keys.iter().map(|(key, values)| (key.as_str(), values.clone())).collect();
    hive(&keys)
}

pub(crate) fn image() -> Image {
    let mut image = Image::empty(BASE_TIME);
    let mut put = |place: &str, bytes: Vec<u8>| {
        image.put_bytes(&path(place), bytes, &NewNode::default()).unwrap();
    };
    put(r"\Windows\System32\config\SOFTWARE", software());
    let languages = r"ControlSet001\Control\MUI\UILanguages";
    let system = hive(&[
        ("Select", vec![Value::dword("Current", 1)]),
        (&format!(r"{languages}\en-US"), vec![Value::dword("LCID", 0x409)]),
        (&format!(r"{languages}\de-DE"), vec![Value::dword("LCID", 0x407)]),
        (r"ControlSet001\Control\Nls\Language", vec![Value::sz("InstallLanguage", "0409")]),
    ]);
    put(r"\Windows\System32\config\SYSTEM", system);
    let reference = b"\x08\0\0\0\0\0\0\0Contoso.";
    let components = hive(&[
        (
            r"DerivedData\Components\amd64_a",
            vec![
                Value::binary("identity", *b"A, Culture=neutral, Version=10.0.1.2, PublicKeyToken=31bf3856ad364e35, ProcessorArchitecture=amd64, versionScope=NonSxS"),
                Value::binary("S256H", [7; 32]),
                Value::binary("c!a-deployment", []),
                Value::dword("f!a.dll", 0),
            ],
        ),
        (
            r"CanonicalData\Deployments\a-deployment",
            vec![
                Value::binary("appid", *b"A-Deployment, Culture=neutral, Version=10.0.1.2"),
                Value::sz("CatalogThumbprint", "00ff"),
                Value::binary("p!CBS_contoso", *reference),
                Value::binary("i!CBS_contoso", *reference),
            ],
        ),
    ]);
    put(r"\Windows\System32\config\COMPONENTS", components);
    let updates = [
        feature("Chosen", false, None, Some(PARTS)),
        feature("Off", true, Some("Chosen"), None),
        feature("Switched", false, None, None),
        feature("Gone", true, None, None),
        feature("Empty", false, None, Some("Nowhere~31bf3856ad364e35~amd64~~10.0.1.0")),
        feature("Default", true, None, None),
        r#"<update name="part"><applicable><detectUpdate><update name="CHOSEN"/></detectUpdate></applicable></update>"#.to_owned(),
    ];
    let capability = r#"<declareCapability><capability><capabilityIdentity name="Contoso.Tool" version="1.0"/></capability></declareCapability>"#;
    let language = r#"<customInformation LPType="Client"/>"#;
    let mums = [
        (FEATURES, mum(FEATURES, "Feature Pack", &updates.concat())),
        (OLD_FEATURES, mum(OLD_FEATURES, "Feature Pack", &feature("Chosen", false, None, None))),
        (PARTS, mum(PARTS, "Feature Pack", "")),
        (GERMAN, mum(GERMAN, "Language Pack", language)),
        (TOOL, mum(TOOL, "OnDemand Pack", capability)),
        (DAMAGED, "<assembly>\n<".to_owned()),
        ("stray~~~~1.0", mum("stray~~amd64~~1.0.0.0", "Update", "")),
    ];
    for (id, text) in mums {
        put(&format!(r"\Windows\servicing\Packages\{id}.mum"), text.into_bytes());
    }
    put(r"\Windows\servicing\Packages\a.cat", Vec::new());
    image
}

#[test]
fn packages_have_their_states_and_mums() {
    let mut image = image();
    let packages = store::packages(&mut image).unwrap();
    let ids: Vec<&str> = packages.iter().map(|package| package.id.as_str()).collect();
    assert_eq!(ids, [DAMAGED, OLD_FEATURES, FEATURES, GERMAN, PARTS, TOOL, "strange"]);
    let features = &packages[2];
    assert_eq!(features.state, PackageState::Installed);
    assert_eq!(features.identity.version, Version([10, 0, 2, 0]));
    assert!(features.visible && !packages[1].visible);
    assert_eq!(features.install_time.unwrap().0, 0x01da_8b70_3b5d_0000);
    assert_eq!(features.install_client.as_deref(), Some("Test"));
    assert_eq!(features.owners, [FEATURES]);
    assert_eq!(features.updates["Off"], 0x40);
    assert_eq!(features.mum.as_ref().unwrap().features().count(), 6);
    let problem = packages[0].mum_problem.as_ref().unwrap();
    assert!(problem.starts_with(&format!("{DAMAGED}.mum: line 2")), "{problem}");
    let strange = &packages[6];
    assert_eq!((strange.state, strange.mum_problem.as_ref()), (PackageState::Absent, None));
    assert_eq!(
        store::package(&mut image, &TOOL.to_uppercase()).unwrap().unwrap().mum,
        packages[5].mum
    );
    assert_eq!(store::package(&mut image, "nothing").unwrap(), None);
    assert_eq!(store::mum_ids(&image).len(), 7);
}

#[test]
fn features_capabilities_and_languages_follow_from_packages_and_hives() {
    let mut image = image();
    let packages = store::packages(&mut image).unwrap();
    let features = inventory::features(&packages, &mut image).unwrap();
    let states: Vec<_> = features.iter().map(|f| (f.name.as_str(), f.status)).collect();
    let expected = [
        ("Chosen", FeatureStatus::Enabled),
        ("Default", FeatureStatus::Enabled),
        ("Empty", FeatureStatus::Removed),
        ("Gone", FeatureStatus::Removed),
        ("Off", FeatureStatus::Disabled),
        ("Switched", FeatureStatus::Enabled),
    ];
    assert_eq!(states, expected);
    let chosen = &features[0];
    assert_eq!(chosen.package, FEATURES);
    assert_eq!(
        (&chosen.dependants[..], &chosen.parts[..]),
        (&["Off".to_owned()][..], &["part".to_owned()][..])
    );
    assert_eq!(features[4].parents, ["Chosen"]);

    let capabilities = inventory::capabilities(&packages, &mut image).unwrap();
    let states: Vec<_> = capabilities.iter().map(|c| (c.id.as_str(), c.status)).collect();
    let expected = [
        ("Contoso.Tool~~~~0.0.1.0", CapabilityStatus::Staged),
        ("Other.Tool~~~~0.0.1.0", CapabilityStatus::NotPresent),
    ];
    assert_eq!(states, expected);
    assert_eq!(capabilities[0].packages, [TOOL]);
    assert_eq!(capabilities[0].display_name.as_deref(), Some("Shown"));
    assert_eq!(capabilities[1].packages.len(), 1);

    let languages = inventory::languages(&packages, &mut image).unwrap();
    let shown: Vec<_> = languages
        .iter()
        .map(|l| (l.tag.as_str(), l.registered, l.default, l.lcid, l.packages.len()))
        .collect();
    assert_eq!(
        shown,
        [("de-DE", true, false, Some(0x407), 1), ("en-US", true, true, Some(0x409), 0)]
    );
    assert_eq!(languages[0].state.as_deref(), Some("installed"));
}

#[test]
fn pending_work_is_found() {
    let mut image = image();
    let packages = store::packages(&mut image).unwrap();
    let places = |image: &mut Image| -> Vec<String> {
        let found = inventory::pending(&packages, image).unwrap();
        found.into_iter().map(|work| work.place).collect()
    };
    let reboot = format!(r"HKLM\SOFTWARE\{CBS}\RebootPending");
    assert_eq!(places(&mut image), [reboot, DAMAGED.to_owned()]);
    let pending = r"\Windows\WinSxS\pending.xml";
    image.put_bytes(&path(pending), b"<x/>".to_vec(), &NewNode::default()).unwrap();
    let first = places(&mut image).remove(0);
    assert!(first.ends_with("pending.xml"), "{first}");
}

#[test]
fn components_deployments_and_winners_are_read() {
    let mut image = image();
    assert_eq!(records::component_key_forms(&mut image).unwrap(), ["amd64_a"]);
    let component = records::component(&mut image, "AMD64_a").unwrap().unwrap();
    assert_eq!(component.identity.unwrap().version, Version([10, 0, 1, 2]));
    assert_eq!(component.sha256, Some([7; 32]));
    assert_eq!(
        (&component.deployments[..], &component.files[..]),
        (&["a-deployment".to_owned()][..], &["a.dll".to_owned()][..])
    );
    assert_eq!(records::component(&mut image, "b").unwrap(), None);
    let keys = records::deployment_keys(&mut image).unwrap();
    let deployment = records::deployment(&mut image, &keys[0]).unwrap().unwrap();
    assert_eq!(deployment.catalog.as_deref(), Some("00ff"));
    let mut marks: Vec<_> =
        deployment.references.iter().map(|r| (r.mark, r.text.as_str())).collect();
    marks.sort_unstable();
    assert_eq!(marks, [('i', "Contoso."), ('p', "Contoso.")]);
    let winners = records::winners(&mut image).unwrap();
    assert_eq!(winners.len(), 1);
    assert_eq!(winners[0].version(), Some(Version([10, 0, 1, 2])));
    let again = records::winner(&mut image, &winners[0].family).unwrap().unwrap();
    assert_eq!(again.branches[0].versions.len(), 2);
}

#[test]
fn an_image_without_a_component_store_has_nothing() {
    let mut image = Image::empty(BASE_TIME);
    assert!(store::packages(&mut image).is_err(), "no SOFTWARE hive");
    let put = |image: &mut Image, name: &str| {
        let place = path(&format!(r"\Windows\System32\config\{name}"));
        image.put_bytes(&place, hive(&[("Key", vec![])]), &NewNode::default()).unwrap();
    };
    put(&mut image, "SOFTWARE");
    put(&mut image, "SYSTEM");
    let packages = store::packages(&mut image).unwrap();
    assert!(packages.is_empty());
    assert!(inventory::features(&packages, &mut image).unwrap().is_empty());
    assert!(inventory::capabilities(&packages, &mut image).unwrap().is_empty());
    assert!(inventory::languages(&packages, &mut image).unwrap().is_empty());
    assert!(inventory::pending(&packages, &mut image).unwrap().is_empty());
    assert_eq!(inventory::servicing_stack(&mut image).unwrap(), None);
    assert!(records::component_key_forms(&mut image).unwrap().is_empty());
    assert!(records::winners(&mut image).unwrap().is_empty());
    assert_eq!(store::manifest(&image, "nothing").unwrap(), None);
}

#[test]
fn compressed_manifests_are_read_with_the_image_own_base() {
    let Some(folder) = support::shared_data("cbs") else { return };
    let mut image = image();
    let read = |name: &str| fs_err::read(folder.join(name)).unwrap();
    let form = "amd64_microsoft-windows-core_31bf3856ad364e35_10.0.26100.1_none_a943f5e781a44c5c";
    let stored = read(&format!("dcm/{form}.manifest"));
    let plain = read(&format!("dcm/{form}.manifest.xml"));
    let place = path(&format!(r"\Windows\WinSxS\Manifests\{form}.manifest"));
    image.put_bytes(&place, stored, &NewNode::default()).unwrap();
    let error = store::manifest(&image, form).unwrap_err();
    assert!(error.to_string().contains(form), "{error}");
    let stack =
        "amd64_microsoft-windows-servicingstack_31bf3856ad364e35_10.0.1.0_none_0123456789abcdef";
    let library = path(&format!(r"\Windows\WinSxS\{stack}\wcp.dll"));
    image.put_bytes(&library, read("base/wcp_base_manifest.bin"), &NewNode::default()).unwrap();
    let manifests = Manifests::default();
    assert_eq!(manifests.read(&image, form).unwrap().unwrap(), plain);
    assert_eq!(manifests.read(&image, &form.to_uppercase()).unwrap().unwrap(), plain);
    assert_eq!(store::manifest_key_forms(&image), [form]);
    let found = inventory::servicing_stack(&mut image).unwrap().unwrap();
    assert_eq!((found.version, found.folder.as_deref()), (Version([10, 0, 1, 0]), Some(stack)));
}
