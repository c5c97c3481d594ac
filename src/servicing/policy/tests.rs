//! Rules against inventories made by hand.

use super::{super::inventory::*, *};
use crate::{format::catalog::Trust, image::ImageFacts, servicing::drivers::signatures::Signature};

fn facts(build: u32, revision: Option<u32>) -> ImageFacts {
    ImageFacts {
        major: Some(10),
        minor: Some(0),
        build: Some(build),
        revision,
        ..ImageFacts::default()
    }
}

fn inventory() -> Inventory {
    let package = |id: &str, state: &str| PackageItem {
        id: id.to_owned(),
        state: state.to_owned(),
        release_type: None,
        display_name: None,
        support: None,
        manifest_sha1: None,
    };
    let feature = |name: &str, state: &str| FeatureItem {
        name: name.to_owned(),
        state: state.to_owned(),
        package: "p".to_owned(),
    };
    let driver = |published: &str, original: &str, inbox| DriverItem {
        published: published.to_owned(),
        original: original.to_owned(),
        package: format!("{original}_amd64_1"),
        provider: None,
        class: None,
        version: "1.0.0.0".to_owned(),
        date: "2026-01-01".to_owned(),
        architecture: "amd64".to_owned(),
        signer: None,
        inbox,
        active: true,
        inf_sha1: None,
    };
    let service = |name: &str, start: &str| ServiceItem {
        name: name.to_owned(),
        start: start.to_owned(),
        driver: false,
        account: None,
        program: None,
    };
    Inventory {
        facts: facts(26100, Some(4061)),
        packages: vec![
            package("Package_for_KB5063878~31bf3856ad364e35~amd64~~26100.4000.1.1", "superseded"),
            package("Package_for_RollupFix~31bf3856ad364e35~amd64~~26100.4061.1.1", "installed"),
            package("Package_for_KB1~31bf3856ad364e35~amd64~~1.0.0.0", "install-pending"),
        ],
        features: vec![
            feature("SMB1Protocol", "disabled"),
            feature("TelnetClient", "enable-pending"),
            feature("NetFx3", "enabled"),
            feature("Printing-Foundation", "disable-pending"),
        ],
        capabilities: vec![CapabilityItem {
            id: "OpenSSH.Server~~~~0.0.1.0".into(),
            state: "installed".into(),
        }],
        languages: vec![
            LanguageItem { tag: "en-US".into(), default: true, registered: true },
            LanguageItem { tag: "de-DE".into(), default: false, registered: false },
        ],
        drivers: vec![
            driver("oem0.inf", "viostor.inf", false),
            driver("disk.inf", "disk.inf", true),
        ],
        services: vec![service("RemoteRegistry", "disabled"), service("Spooler", "auto")],
        apps: vec![AppItem {
            name: "Microsoft.BingNews".into(),
            full_name: "Microsoft.BingNews_1.0_neutral_~_8wekyb3d8bbwe".into(),
            version: "1.0".into(),
        }],
        ..Inventory::default()
    }
}

fn signed(problem: &str) -> Signatures {
    let package = Signature {
        package: "viostor.inf_amd64_1".into(),
        published: "oem0.inf".into(),
        original: "viostor.inf".into(),
        trust: Trust::Whql,
        signer: "Microsoft".into(),
        problem: problem.to_owned(),
    };
    Signatures { packages: vec![package], notes: Vec::new() }
}

fn held(spec: &PolicySpec, inventory: &Inventory) -> Vec<String> {
    let checked = check(spec, inventory, &signed(""));
    checked.broken.iter().map(|broken| format!("{}: {}", broken.rule, broken.found)).collect()
}

fn item(area: Area, pattern: &str, wanted: Wanted) -> PolicySpec {
    let items = vec![ItemRule { area, pattern: pattern.to_owned(), wanted }];
    PolicySpec { items, ..PolicySpec::default() }
}

fn is_kept(area: Area, pattern: &str, wanted: Wanted) -> bool {
    held(&item(area, pattern, wanted), &inventory()).is_empty()
}

#[test]
fn builds_are_read_and_compared_as_numbers() {
    for bad in ["", ".", "26100.", "1.2.3.4.5", "ten", "26100.4061 ", "+1", "99999999999"] {
        assert_eq!(Build::parse(bad), None, "{bad}");
    }
    for (minimum, have, is_kept) in [
        ("26100", facts(26100, None), true),
        ("26100.4061", facts(26100, Some(4061)), true),
        ("26100.4061", facts(26100, Some(10000)), true),
        ("26100.4061", facts(26100, Some(999)), false),
        ("26100.4061", facts(26200, Some(1)), true),
        ("26100.4061", facts(26100, None), false),
        ("10.0.26100.4061", facts(26100, Some(4061)), true),
        ("10.1.1", facts(26100, Some(4061)), false),
        ("6.3.9600", facts(26100, Some(1)), true),
        ("1", ImageFacts::default(), false),
    ] {
        let minimum_build = Build::parse(minimum);
        assert_eq!(minimum_build.unwrap().to_string(), minimum);
        let spec = PolicySpec { minimum_build, ..PolicySpec::default() };
        let inventory = Inventory { facts: have, ..Inventory::default() };
        assert_eq!(held(&spec, &inventory).is_empty(), is_kept, "{minimum} {:?}", inventory.facts);
    }
}

#[test]
fn what_waits_counts_as_forbidden_and_not_as_there() {
    let (required, forbidden) = (Wanted::Required, Wanted::Forbidden);
    for (area, pattern, as_required, as_forbidden) in [
        (Area::Features, "SMB1Protocol", false, true),
        (Area::Features, "telnetclient", false, false),
        (Area::Features, "NetFx3", true, false),
        (Area::Features, "Printing*", false, false),
        (Area::Features, "NoSuchThing", false, true),
        (Area::Packages, "Package_for_KB5063878", false, true),
        (Area::Packages, "Package_for_RollupFix~*~26100.4061.*", true, false),
        (Area::Packages, "Package_for_KB1~*", false, false),
        (Area::Capabilities, "OpenSSH.Server", true, false),
        (Area::Languages, "en-us", true, false),
        (Area::Languages, "de-DE", false, false),
        (Area::Drivers, "viostor.inf", true, false),
        (Area::Drivers, "oem?.inf", true, false),
        (Area::Apps, "Microsoft.Bing*", true, false),
        (Area::Services, "Spooler", true, false),
    ] {
        assert_eq!(is_kept(area, pattern, required), as_required, "{pattern} required");
        assert_eq!(is_kept(area, pattern, forbidden), as_forbidden, "{pattern} forbidden");
    }
    assert!(is_kept(Area::Services, "RemoteRegistry", Wanted::Start(StartMode::Disabled)));
    assert!(!is_kept(Area::Services, "Spooler", Wanted::Start(StartMode::Disabled)));
    assert!(!is_kept(Area::Services, "Nothing", Wanted::Start(StartMode::Disabled)));
    assert!(!is_kept(Area::Services, "*", Wanted::Start(StartMode::Disabled)));
}

#[test]
fn a_state_that_nobody_knows_is_not_believed() {
    let mut inventory = inventory();
    inventory.packages[0].state = "0x99".into();
    let pattern = "Package_for_KB5063878~*";
    for wanted in [Wanted::Required, Wanted::Forbidden] {
        assert_eq!(held(&item(Area::Packages, pattern, wanted), &inventory).len(), 1);
    }
}

#[test]
fn what_cannot_be_told_breaks_the_rule() {
    let all = PolicySpec {
        minimum_build: Build::parse("1"),
        no_pending: true,
        no_deferred: true,
        signed_drivers: true,
        items: Area::ALL
            .map(|area| ItemRule { area, pattern: "x".into(), wanted: Wanted::Forbidden })
            .to_vec(),
    };
    let good = Inventory { pending: Vec::new(), features: Vec::new(), ..inventory() };
    assert_eq!(held(&all, &good), [""; 0]);
    assert_eq!(rules(&all).len(), 11);
    for (note, broken) in [
        (
            "packages: the hive is damaged",
            vec!["no-pending", "packages.x", "features.x", "capabilities.x", "languages.x"],
        ),
        ("drivers: no database", vec!["signed-drivers", "drivers.x"]),
        ("the first boot: damaged", vec!["no-deferred"]),
        ("Windows Setup: damaged", vec!["no-deferred"]),
        ("pending work: damaged", vec!["no-pending"]),
        ("services: damaged", vec!["services.x"]),
        ("apps: damaged", vec!["apps.x"]),
        ("languages and formats: damaged", vec![]),
    ] {
        let inventory = Inventory { notes: vec![note.to_owned()], ..good.clone() };
        let found = check(&all, &inventory, &signed("")).broken;
        let found: Vec<String> = found.iter().map(|broken| broken.rule.to_string()).collect();
        assert_eq!(found, broken, "{note}");
    }
    let unread = Signatures { notes: vec!["unreadable".into()], ..signed("") };
    assert_eq!(check(&all, &good, &unread).broken.len(), 1);
}

#[test]
fn drivers_that_were_added_need_a_signature() {
    let spec = PolicySpec { signed_drivers: true, ..PolicySpec::default() };
    let inventory = inventory();
    assert_eq!(check(&spec, &inventory, &signed("")).broken, []);
    let found = &check(&spec, &inventory, &signed("it has no catalog")).broken[0].found;
    assert_eq!(found, "oem0.inf (viostor.inf): it has no catalog");
    let found = &check(&spec, &inventory, &Signatures::default()).broken[0].found;
    assert!(found.contains("not looked at"), "{found}");
    // A name that only added drivers have is not believed to be Windows' own.
    let mut claimed = inventory;
    claimed.drivers[0].inbox = true;
    assert_eq!(check(&spec, &claimed, &Signatures::default()).broken.len(), 1);
}

#[test]
fn what_waits_is_named() {
    let mut inventory = inventory();
    inventory.deferred = vec!["01-package-kb1.cmd".into()];
    let spec = PolicySpec { no_pending: true, no_deferred: true, ..PolicySpec::default() };
    assert_eq!(
        held(&spec, &inventory),
        [
            "no-pending: something waits for the next start of Windows: feature TelnetClient (enable-pending), feature Printing-Foundation (disable-pending)",
            "no-deferred: something is left to the first boot: 01-package-kb1.cmd",
        ]
    );
    inventory.deferred.clear();
    let scripts =
        r"\Windows\Setup\Scripts\SetupComplete.cmd, \Windows\Setup\Scripts\ErrorHandler.cmd";
    inventory.settings.insert("setup-scripts".into(), scripts.into());
    let found = held(&spec, &inventory);
    assert!(
        found[1].ends_with(r"first boot: \Windows\Setup\Scripts\SetupComplete.cmd"),
        "{found:?}"
    );
}

#[test]
fn a_name_that_is_nearly_there_is_offered() {
    let checked = |area, pattern, wanted| {
        check(&item(area, pattern, wanted), &inventory(), &Signatures::default())
    };
    let help = &checked(Area::Features, "NetFx33", Wanted::Required).broken[0].help;
    assert!(help.starts_with("did you mean `NetFx3`?"), "{help}");
    let help = &checked(Area::Packages, "Package_for_KB5063879~*", Wanted::Required).broken[0].help;
    assert!(help.contains("Package_for_KB5063878~"), "{help}");
    let doubts = checked(Area::Features, "SMB1Protcol", Wanted::Forbidden).doubts;
    assert_eq!(
        doubts,
        [
            "policy features.SMB1Protcol: the image knows no such feature; did you mean `SMB1Protocol`?"
        ]
    );
    assert_eq!(checked(Area::Features, "Fax", Wanted::Forbidden), Checked::default());
}
